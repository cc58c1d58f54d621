/* prefetch.h - loading ahead of an end that is being drained, and of a cursor.
 *
 * One thread. Nothing here waits or fails: what cannot be read now will be read when it is needed.
 */
#ifndef MODULES_SPILL_PREFETCH_H
#define MODULES_SPILL_PREFETCH_H
#include "modules/spill/deque.h"

struct block;
struct spill_store;

/* A chunk of the trees became the end chunk of an end that is being drained: keeps the next ones
 * coming, more with each call. */
void prefetch_drained(struct spill_deque *deque, enum spill_end end);
/* Goes on after the read that an earlier walk waited for. */
void prefetch_continue(struct spill_deque *deque, enum spill_end end);
/* Starts loading the root's path to an end, so that what gathers beside can be joined to it. */
void prefetch_edge(struct spill_deque *deque, enum spill_end end);
/* The deque goes away: reads under way no longer lead back to it. */
void prefetch_forget(struct spill_deque *deque);

/* Of a snapshot's tree: loads up to chunk_count chunks from the one that holds index on. */
void prefetch_tree(struct spill_store *store, struct block *tree, uint64_t index,
                   enum spill_end towards, unsigned chunk_count);
#endif
