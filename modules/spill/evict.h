/* evict.h - bringing memory down to the budget.
 *
 * One thread. Nothing here waits but evict_all. */
#ifndef MODULES_SPILL_EVICT_H
#define MODULES_SPILL_EVICT_H
#include <stdbool.h>
#include <stdint.h>

struct spill_store;

/* Starts what is due, for about slice_us; something in any case. True: there is more to do soon. */
bool evict_tick(struct spill_store *store, uint64_t slice_us);
/* Writes and drops all that can be. 0, or why a write failed. */
int evict_all(struct spill_store *store);
#endif
