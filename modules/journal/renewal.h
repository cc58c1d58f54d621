/* renewal.h - what a failed sync may have left behind is brought to the device after all.
 *
 * When a sync has failed the kernel takes pages for written that are not: another sync would pass
 * over them and succeed. So each page is written once more where it lies, as it is read, which
 * gives the kernel something to write; then the file is synced; and last the frames are gone
 * through. A page that had left memory meanwhile was read from the device as it was there before:
 * its frames do not validate, and what they held is lost.
 *
 * In steps, each of which ends with a sync of what it wrote, so that no I/O thread is kept for
 * long. Functions wait for the disk. One thread at a time; nothing is stored there meanwhile. */
#ifndef MODULES_JOURNAL_RENEWAL_H
#define MODULES_JOURNAL_RENEWAL_H
#include "modules/journal/places.h"

struct journal_renewal;

enum { JOURNAL_RENEWAL_STEP_BYTES = 4 << 20 };

/* What of a segment is written once more: [from, to), with all of the pages it lies in. */
struct journal_renewed {
    uint64_t number;
    uint64_t from;
    uint64_t to; /* behind the last frame; 0: the segment has ended, to its END */
    int fd;      /* of its plain file, for writing too; -1: none is open */
};

/* os, places and renewed->fd must outlive it. One that has ended and is not plain any more was
 * verified and synced when it was packed: there is nothing to do. -ENOENT: it is nowhere. -ENOMEM,
 * … */
int journal_renewal_create(struct os *os, const struct journal_places *places,
                           const struct journal_renewed *renewed,
                           struct journal_renewal **out_renewal);
/* 1: there is more to do. 0: all of it is on the device, and all frames of the segment up to `to`
 * are whole. -EBADMSG: *out_damage is the offset of the first that is not as it was. Errors of
 * reading, writing and syncing; -ENOMEM. After 0 and errors only destroy may follow. */
int journal_renewal_step(struct journal_renewal *renewal, uint64_t *out_damage);
/* Accepts NULL. */
void journal_renewal_destroy(struct journal_renewal *renewal);
#endif
