/* prefetch.h - loading ahead of an end that is being drained, and of a cursor.
 *
 * One thread. Nothing here waits or fails: what cannot be read now will be read when it is needed.
 */
#ifndef MODULES_SPILL_PREFETCH_H
#define MODULES_SPILL_PREFETCH_H
#include "modules/spill/deque.h"

struct block;
struct deque;
struct spill_store;

/* How far a walk or a drain has got in reading ahead. All zeros: it has not begun. */
struct prefetch_pace {
    uint8_t chunks; /* to have ahead: twice as many with each step */
    uint8_t skips;  /* so many steps that need not look again */
};

/* The most that is kept ahead of one end or walk, read or being read: at most a quarter of the
 * budget, at least one chunk. */
unsigned prefetch_window_chunks(const struct spill_store *store);

/* A chunk of the trees became the end chunk of an end that is being drained: keeps the next ones
 * coming, more with each call. */
void prefetch_drained(struct deque *deque, enum spill_end end);
/* Goes on after the read that an earlier walk waited for. */
void prefetch_continue(struct deque *deque, enum spill_end end);
/* Starts loading the root's path to an end, so that what gathers beside can be joined to it. The
 * read that it has begun, or NULL. */
struct fetch *prefetch_edge(struct deque *deque, enum spill_end end);
/* The deque goes away: reads under way no longer lead back to it. */
void prefetch_forget(struct deque *deque);

/* A walk through a tree is about to take the chunk that holds index: keeps the next ones coming,
 * none for the first. A step a chunk. */
void prefetch_walked(struct spill_store *store, struct block *tree, uint64_t index,
                     enum spill_end towards, struct prefetch_pace *pace);
/* The walk ends before it takes that chunk: what was read for it no longer counts as ahead. */
void prefetch_given_up(struct spill_store *store, struct block *tree, uint64_t index,
                       enum spill_end towards, const struct prefetch_pace *pace);
#endif
