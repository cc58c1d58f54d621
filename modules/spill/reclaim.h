/* reclaim.h - taking dropped trees apart, a slice at a time.
 *
 * One thread. Never waits: nodes on disk are read in the background to find the extents below. */
#ifndef MODULES_SPILL_RECLAIM_H
#define MODULES_SPILL_RECLAIM_H
#include <stdbool.h>

struct spill_store;

/* A few nodes: what small changes leave behind, so that their children are exclusive again. */
void reclaim_some(struct spill_store *store);
/* Up to node_count nodes. True: there are more that could be taken apart now. */
bool reclaim_nodes(struct spill_store *store, unsigned node_count);
/* Those that are in memory, but for what is beyond a bound: a checkpoint knows only of dropped
 * trees on disk. */
void reclaim_loaded(struct spill_store *store);
/* All at once, reading nothing: the store and its file go away. */
void reclaim_all(struct spill_store *store);
#endif
