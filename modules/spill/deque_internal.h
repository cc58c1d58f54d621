/* deque_internal.h - a deque as the module's own files see it.
 *
 * Order of the elements: ends[HEAD] · sides[HEAD] · root · sides[TAIL] · ends[TAIL]. A short list
 * is one chunk, and then ends[HEAD] == ends[TAIL] with one reference and no tree. The sides exist
 * only while the root's edge is on disk: what is pushed meanwhile gathers there, so that pushing
 * needs no read. */
#ifndef MODULES_SPILL_DEQUE_INTERNAL_H
#define MODULES_SPILL_DEQUE_INTERNAL_H
#include <assert.h>

#include "modules/base/list.h"
#include "modules/spill/deque.h"
#include "modules/spill/fetch.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/tree.h"

enum { SPILL_NO_END = 2, PARTS_MAX = 5 };

struct deque {
    /* Pushing and popping touch this line, the chunk's descriptor and its bytes. */
    struct spill_store *store;
    struct block *ends[2];
    uint64_t element_count, element_bytes;
    bool is_touched;    /* used since the eviction's hand passed */
    bool is_spilled;    /* something of the trees may be on disk only, or leave unseen */
    uint8_t busy_count; /* operations under way, possibly suspended */
    uint8_t popped_end, pushed_end; /* the last one used, or SPILL_NO_END */
    struct prefetch_pace ahead[2];  /* of a draining end */
    uint32_t pass;                  /* in which the eviction's hand was here */
    uint8_t rest_delays;            /* how often putting it to rest has waited for a read */
    uint8_t gap;                    /* number of the gap that eviction makes: see evict.c */
    uint32_t epoch; /* the store's when a checkpoint saw it last, or when it was made */

    struct block *sides[2];
    struct block *root;
    uint64_t list; /* its number: names it in errors and on disk */
    struct list_link
        resident;           /* of the trees' chunks those in memory, from head to tail, roughly */
    struct list_link link;  /* in the store's ring when it has something in memory */
    struct fetch *walks[2]; /* the read that a prefetch at that end waits for */
    struct pins *pins;      /* of spill_deque_pin_end */
};
static_assert(sizeof(struct deque) <= 200, "100,000 cold lists must be small");

/* What deque.h says of spill_deque_NAME, for a list that has outgrown its handle (handle.c). */
int deque_create(struct spill_store *store, struct deque **out_deque);
void deque_destroy(struct deque *deque);
/* 0, or why the store takes no such elements: -EMSGSIZE, -ENOSPC. */
int deque_may_push(const struct spill_store *store, const struct slice *items, size_t item_count);
int deque_push(struct deque *deque, enum spill_end end, const struct slice *items,
               size_t item_count);
int deque_peek(struct deque *deque, enum spill_end end, struct slice *out_item);
void deque_drop_peeked(struct deque *deque, enum spill_end end);
int64_t deque_drop(struct deque *deque, enum spill_end end, uint64_t count);
int64_t deque_pin_end(struct deque *deque, enum spill_end end, uint64_t count, uint64_t bytes_max);
void deque_unpin(struct deque *deque);
int deque_get(struct deque *deque, uint64_t index, struct slice *out_item);
int deque_view(struct deque *deque, uint64_t index, enum spill_end towards, struct slice *out_items,
               unsigned capacity);
int deque_set(struct deque *deque, uint64_t index, struct slice item);
int deque_insert(struct deque *deque, uint64_t index, struct slice item);
int deque_remove(struct deque *deque, uint64_t index, uint64_t count);
int deque_keep(struct deque *deque, uint64_t index, uint64_t count);
int deque_snapshot(struct deque *deque, struct spill_snapshot **out_snapshot);
void deque_restore(struct deque *deque, struct spill_snapshot *snapshot);
int64_t deque_remove_matching(struct deque *deque, enum spill_end from, uint64_t limit,
                              bool (*accepts)(void *context, struct slice item), void *context);
int64_t deque_remove_some(struct deque *deque, enum spill_end from, uint64_t limit,
                          bool (*accepts)(void *context, struct slice item), void *context,
                          uint64_t *passed);
int deque_info(struct deque *deque, struct spill_deque_info *out_info);
uint64_t deque_chunk_count(const struct deque *deque);
bool deque_is_resident(const struct deque *deque);
void deque_check(const struct deque *deque);
/* A deque without elements takes a chunk's over, whose elements the store has counted already. */
void deque_begin_with(struct deque *deque, struct block *chunk);

static inline enum spill_end other_end(enum spill_end end)
{
    return end == SPILL_HEAD ? SPILL_TAIL : SPILL_HEAD;
}

static inline bool deque_has_tree(const struct deque *deque)
{
    return deque->root || deque->sides[SPILL_HEAD] || deque->sides[SPILL_TAIL];
}

static inline bool deque_is_single(const struct deque *deque)
{
    return deque->ends[SPILL_HEAD] == deque->ends[SPILL_TAIL];
}

/* The places that are not empty, in order; a single chunk appears once. The number of them. */
unsigned deque_parts(struct deque *deque, struct block **places[PARTS_MAX]);
/* The part that holds element *index < element_count; *index becomes relative to it. */
struct block **deque_part_at(struct deque *deque, uint64_t *index, uint64_t *out_first);

/* Whether an end chunk is in memory. */
static inline bool deque_has_loaded_end(const struct deque *deque)
{
    for (unsigned end = 0; end < 2; end++)
        if (deque->ends[end] && block_is_loaded(deque->ends[end])) return true;
    return false;
}

/* Brings the ends into order after a change: empty end chunks go, one chunk alone serves both. */
void deque_settle(struct deque *deque);
/* Puts an end chunk, or what takes its place, into the trees. Takes the reference over on success.
 * 0 or -ENOMEM: never needs what is on disk. */
int deque_push_tree(struct deque *deque, enum spill_end end, struct block *subtree);
/* Sets ends[end] to NULL: a single chunk that is loaded stays the other end's, all else goes into
 * the trees. 0 or -ENOMEM. */
int deque_retire_end(struct deque *deque, enum spill_end end);
/* Makes an end chunk exclusive and dirty; it must be loaded. 0 or -ENOMEM. */
int deque_make_end_writable(struct deque *deque, enum spill_end end);
/* To be called when sides were replaced: their nodes must stay in memory. */
void deque_keep_sides(struct deque *deque);
/* Gives back all parts' references. */
void deque_drop_parts(struct deque *deque);
/* Puts a chunk of the trees into the ring of those in memory, at its end. */
void deque_enter_resident(struct deque *deque, enum spill_end end, struct block *chunk);
/* Moves the leaf next to an end out of the trees to be the end chunk; ends[end] must be NULL. The
 * leaf must be loaded. */
int deque_take_end(struct deque *deque, enum spill_end end, struct visit *visit);
/* The tree whose edge lies next to an end; NULL: there is none. */
struct block **deque_tree_next_to(struct deque *deque, enum spill_end end);
/* The leaf next to an end chunk, loaded or not; NULL: none, or a node on the way is on disk. */
struct block *deque_neighbour(struct deque *deque, enum spill_end end, struct visit *visit);
/* One chunk instead of an end chunk and the leaf next to it, if both are loaded and fit. False:
 * nothing has changed. */
bool deque_join_neighbour(struct deque *deque, enum spill_end end);
/* Joins the sides to the root where its edges are loaded. */
void deque_join_sides(struct deque *deque);
/* Makes an exclusive, loaded end chunk with an element ready at that end. 1; 0: the deque is empty.
 */
int deque_prepare_end(struct deque *deque, enum spill_end end, struct visit *visit);
/* Removes [begin, begin + count), which must lie within. */
int deque_cut(struct deque *deque, uint64_t begin, uint64_t count);
/* Edits the leaf at index < element_count. 0 or an error. */
int deque_edit(struct deque *deque, uint64_t index, const struct edit *edit);
/* To be called when parts were replaced. */
void deque_after_change(struct deque *deque);
/* Of what is held by the parts: after parts were replaced. */
void deque_recount(struct deque *deque);
/* Around what says nothing new of the deque (reading, eviction) but changes its blocks, without
 * waiting between: so a running checkpoint that has not seen the deque yet loses sight of none.
 * begin's result is for end. */
bool deque_begin_upkeep(const struct deque *deque);
void deque_end_upkeep(const struct deque *deque, bool before);
/* Takes part in the eviction's rounds while it has something in memory. */
void deque_enter_ring(struct deque *deque);

#endif
