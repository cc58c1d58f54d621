/* journal_set.h - a bound on how many journals of a process have their files open and mapped.
 *
 * A journal in a set that has more than that puts the ones to rest that were not used for longest
 * (roughly: a clock's hand goes round): they are synced, and an I/O thread unmaps and closes all
 * but the one descriptor that holds the writer's lock. The next append finds them resting and gets
 * -EAGAIN once, while an I/O thread opens them again. Journals that are in memory do not count.
 *
 * Belongs to the thread of its journals. */
#ifndef MODULES_JOURNAL_JOURNAL_SET_H
#define MODULES_JOURNAL_JOURNAL_SET_H
#include "modules/journal/journal.h"

struct journal_set;

/* open_max is at least 1. It may be exceeded for as long as resting takes. -ENOMEM. */
int journal_set_create(unsigned open_max, struct journal_set **out_set);
/* Accepts NULL. All its journals have been closed. */
void journal_set_destroy(struct journal_set *set);
/* Journals that have their files open. */
unsigned journal_set_open_count(const struct journal_set *set);
#endif
