/* save.h - the running checkpoint's lists are brought to disk, a slice at a time.
 *
 * One thread. */
#ifndef MODULES_SPILL_SAVE_H
#define MODULES_SPILL_SAVE_H
#include <stdbool.h>
#include <stdint.h>

struct spill_store;

/* Goes on with what is pending for at most slice_us. True: there is more to do at once. A
 * checkpoint is running. */
bool save_tick(struct spill_store *store, uint64_t slice_us);
/* Ends all that are pending with rc. */
void saves_cancel(struct spill_store *store, int rc);
#endif
