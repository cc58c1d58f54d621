/* mover.h - moves a segment's file to the directory of another tier, perhaps in another file
 * system.
 *
 * In steps: it is copied under a name of its own, brought to the device, compared and named; then
 * the file where it was goes. Whenever that is broken off, the segment is in
 * one of the two places, or in both and the same.
 *
 * Functions wait for the disk. One thread at a time. */
#ifndef MODULES_JOURNAL_MOVER_H
#define MODULES_JOURNAL_MOVER_H
#include "modules/journal/places.h"

struct journal_mover;

enum { JOURNAL_MOVER_STEP_BYTES = 4 << 20 };

/* From the hottest place where it is. os and places must outlive the mover. -EALREADY: that is
 * tier, or colder. -ENOENT: it is nowhere, or the tier's directory is missing. -ENOMEM, -ENOSPC, …
 */
int journal_mover_create(struct os *os, const struct journal_places *places, uint64_t number,
                         enum journal_tier tier, struct journal_mover **out_mover);
/* 1: there is more to do. 0: it has moved. After an error only destroy() is left. */
int journal_mover_step(struct journal_mover *mover);
/* Also breaks off: removes what is half-made. Accepts NULL. */
void journal_mover_destroy(struct journal_mover *mover);
uint64_t journal_mover_number(const struct journal_mover *mover);
#endif
