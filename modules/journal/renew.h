/* renew.h - what a failed sync may have left behind is brought to the device after all.
 *
 * When a sync has failed the kernel takes pages for written that are not: another sync would pass
 * over them and succeed. So each page is written once more where it lies, as it is read, which
 * gives the kernel something to write; then the file is synced; and last the frames are gone
 * through. A page that had left memory meanwhile was read from the device as it was there before:
 * its frames do not validate, and what they held is lost.
 *
 * Waits for the disk: belongs on an I/O thread. Nothing is stored there meanwhile. */
#ifndef MODULES_JOURNAL_RENEW_H
#define MODULES_JOURNAL_RENEW_H
#include "modules/journal/places.h"

struct journal_segment;

/* Of a plain segment that is open, [from, to), with all of the pages it lies in. Its frames are
 * verified from the first one on; the last one ends at `to`. -EBADMSG: *out_damage is the offset of
 * the first that is not as it was. Errors of reading, writing and syncing; -ENOMEM. */
int journal_renew_segment(struct os *os, const struct journal_places *places,
                          const struct journal_segment *segment, uint64_t from, uint64_t to,
                          uint64_t *out_damage);
#endif
