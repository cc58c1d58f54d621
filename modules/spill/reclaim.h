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
/* Those that are in memory, up to a bound: a checkpoint can tell only of dropped trees on disk.
 * True: there are more. */
bool reclaim_loaded(struct spill_store *store);
/* All at once, reading nothing: the store and its file go away. */
void reclaim_all(struct spill_store *store);
#endif
