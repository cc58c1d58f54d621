/* file_written.h - which extents were written since the file was last known to be on the device.
 *
 * A sync that fails says nothing of any of them, and the next one that succeeds says nothing of
 * what the failed one left behind. So they are remembered: in the order of their ends,
 *
 *   [ suspect: a sync of them failed )[ being synced )[ written since )
 *
 * Suspect ones are not written over (space_kept.h) until they were read back, written once more
 * where they lie, and synced. One thread. */
#ifndef MODULES_SPILL_FILE_WRITTEN_H
#define MODULES_SPILL_FILE_WRITTEN_H
#include <stddef.h>

#include "modules/spill/file.h"

struct written {
    struct spill_ref ref; /* generation 0: it does not matter any more */
    uint64_t number;      /* of its write, whose entries stand together */
    bool is_kept;         /* its blocks are marked suspect in the space */
};

struct written_log {
    struct written *entries;
    size_t count, capacity;
    size_t suspect_count, syncing_end; /* suspect_count <= syncing_end <= count */
    size_t expected;                   /* extents whose write is under way */
    uint64_t bytes, suspect_bytes;     /* on disk, of all that matter; of the suspect */
};

void written_finish(struct written_log *log);
/* So many extents are about to be written. -ENOMEM. */
int written_expect(struct written_log *log, size_t count);
/* The write of so many has failed; of one has ended well. */
void written_give_up(struct written_log *log, size_t count);
void written_add(struct written_log *log, const struct spill_ref *ref, uint64_t number);

/* An entry does not matter any more. */
void written_drop(struct written_log *log, struct written *entry);
/* All are suspect now. */
void written_suspect_all(struct written_log *log);
/* Those before syncing_end, none of which matters any more, go. */
void written_remove_synced(struct written_log *log);
#endif
