/* stored.h - the bytes of a segment by reading, whatever its form and place.
 *
 * For what goes through a segment once and must not fault: recovery, packing, checking. Functions
 * wait for the disk. One thread at a time. */
#ifndef MODULES_JOURNAL_STORED_H
#define MODULES_JOURNAL_STORED_H
#include "modules/journal/packed.h"
#include "modules/journal/places.h"

struct journal_stored {
    struct os *os;
    int fd;                        /* of a plain file, else -1 */
    struct journal_packed *packed; /* or NULL */
    struct journal_place place;
    struct journal_segment_header header;
    uint64_t size_bytes; /* of the plain file; at most the capacity */
};

/* -ENOENT: it is nowhere. -EBADMSG: its header is damaged. -EPROTONOSUPPORT. out_stored is to be
 * closed also after an error. */
int journal_stored_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_stored *out_stored);
void journal_stored_close(struct journal_stored *stored);
/* Reads plain bytes below size_bytes. */
int journal_stored_read(struct journal_stored *stored, uint8_t *bytes, size_t size,
                        uint64_t offset);
#endif
