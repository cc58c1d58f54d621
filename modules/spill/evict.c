/* Which blocks leave memory, in this order: what only snapshots of dropped deques hold; chunks far
 * from the end that is popped, of any deque (in a queue: the newest); what random access has left
 * behind and nobody came back to, nodes among it; at last whole deques that nobody has touched
 * since the hand came by, ends included. What is clean is dropped at once, what is dirty goes into
 * batches. */
#include "modules/spill/evict.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/clock.h"
#include "modules/io/io.h"
#include "modules/spill/batch.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/store_internal.h"

enum {
    FAR_VISITS_MAX = 64,
    RANDOM_VISITS_MAX = 512,
    COLD_VISITS_MAX = 512,
    COLD_EVERY_ROUNDS = 8,
    REST_DELAYS_MAX = 4
};

/* One round: what is gathered until `wanted` bytes are on their way out. */
struct round {
    struct spill_store *store;
    struct batch *batch;
    uint64_t wanted, dropped; /* bytes */
    bool is_forced;           /* nothing is spared but what is pinned */
    bool is_full;             /* the batch takes no more */
    bool is_write_held;       /* a write failed a moment ago: only what is clean can go */
};

static bool has_enough(const struct round *round)
{
    return round->is_full || round->dropped + batch_bytes(round->batch) >= round->wanted;
}

/* True: the block is gone or on its way. */
static bool evict_block(struct round *round, struct block *block)
{
    struct spill_store *store = round->store;
    uint64_t before = store->memory_bytes;

    if (!block_can_unload(block)) return false;
    if (!round->is_forced && (int32_t)(block->protected_until - store->turn) > 0) return false;
    if (block->state == BLOCK_CLEAN) {
        block_unload(store, block);
        round->dropped += before - store->memory_bytes;
        return true;
    }
    if (round->is_write_held) return false;
    if (!batch_add(round->batch, block)) {
        round->is_full = true;
        return false;
    }
    return true;
}

static struct block *block_of(struct list_link *link)
{
    return list_container(link, struct block, link);
}

static void evict_orphans(struct round *round)
{
    struct list_link *link;

    while (!has_enough(round) && (link = list_front(&round->store->orphans)) != NULL) {
        if (!evict_block(round, block_of(link))) block_link_random(round->store, block_of(link));
    }
}

/* Least recent first; what was visited since gets another turn. */
static void evict_random(struct round *round)
{
    struct list_link *ring = &round->store->random, *link;

    for (unsigned visits = 0; visits < RANDOM_VISITS_MAX && !has_enough(round); visits++) {
        link = list_back(ring);
        if (!link) return;
        struct block *block = block_of(link);
        bool is_spared = block->is_touched && !round->is_forced;
        block->is_touched = 0;
        if (!is_spared && evict_block(round, block)) continue;
        if (round->is_full) return;
        list_remove(link);
        list_push_front(ring, link);
    }
}

/* The end that will be popped next, as far as one can tell: a list that is only pushed to is taken
 * for a queue. */
static enum spill_end near_end(const struct spill_deque *deque)
{
    if (deque->popped_end != SPILL_NO_END) return (enum spill_end)deque->popped_end;
    if (deque->pushed_end != SPILL_NO_END) return other_end((enum spill_end)deque->pushed_end);
    return SPILL_HEAD;
}

static struct list_link *step(struct list_link *link, enum spill_end towards)
{
    return towards == SPILL_TAIL ? link->next : link->previous;
}

/* Evicts from the far side of the ring until `spared` chunks are left at the near side. */
static void evict_far_chunks(struct round *round, struct spill_deque *deque, unsigned spared)
{
    enum spill_end near = near_end(deque);
    struct list_link *fence = &deque->resident, *link, *next;

    for (unsigned i = 0; i < spared; i++) {
        fence = step(fence, other_end(near));
        if (fence == &deque->resident) return;
    }
    for (link = step(&deque->resident, near); link != fence && !has_enough(round); link = next) {
        next = step(link, near);
        if (evict_block(round, block_of(link))) deque->is_spilled = true;
    }
}

static unsigned window_chunks(const struct spill_store *store)
{
    uint64_t share = store->budget_bytes / 4 / store->chunk_bytes;
    uint64_t window = store->prefetch_bytes / store->chunk_bytes;

    return (unsigned)(window < share ? window : share) + 1;
}

/* Takes the next deque in the ring; it goes to the back. NULL: there is none. */
static struct spill_deque *next_deque(struct spill_store *store)
{
    struct list_link *link = list_pop_front(&store->deques);

    if (!link) return NULL;
    list_push_back(&store->deques, link);
    return list_container(link, struct spill_deque, link);
}

static void evict_far(struct round *round)
{
    struct spill_store *store = round->store;

    for (unsigned visits = 0; visits < FAR_VISITS_MAX && !has_enough(round); visits++) {
        struct spill_deque *deque = next_deque(store);
        if (!deque) return;
        evict_far_chunks(round, deque, window_chunks(store));
    }
}

/* A small end chunk had better be joined with a small neighbour before it goes: a list that gets an
 * element now and then would become a row of crumbs. True: the neighbour is being read first. Since
 * only neighbours up to twice its size are, their sizes double inwards, and there are few. */
static bool waits_for_neighbour(struct spill_deque *deque, enum spill_end end)
{
    struct spill_store *store = deque->store;
    const struct block *chunk = deque->ends[end];
    struct block *leaf;

    if (!block_is_loaded(chunk) || chunk_used(chunk) > store->chunk_bytes / 2) return false;
    if (!deque_has_tree(deque) || deque->rest_delays >= REST_DELAYS_MAX) return false;
    leaf = deque_neighbour(deque, end);
    if (!leaf) {
        prefetch_edge(deque, end);
    } else if (leaf->state == BLOCK_ON_DISK && leaf->ref.size_bytes <= 2 * chunk_used(chunk) &&
               leaf->ref.size_bytes + chunk_used(chunk) <= store->chunk_bytes) {
        if (fetch_start(store, &leaf, 1, false, NULL) == 0) return false;
        leaf->protected_until = store->turn + PROTECTED_TURNS;
    } else if (leaf->state != BLOCK_READING) {
        return false;
    }
    deque->rest_delays++;
    return true;
}

/* The end chunks of a deque at rest: a single chunk stays where it is, others go into the tree so
 * that one descriptor is all that stays in memory. */
static void freeze_ends(struct round *round, struct spill_deque *deque)
{
    struct block *single = deque->ends[SPILL_HEAD];

    if (deque->busy_count > 0 || deque->pins) return;
    if (single && deque_is_single(deque)) {
        if (single->element_count == 0) {
            block_unref(round->store, single);
            deque->ends[SPILL_HEAD] = deque->ends[SPILL_TAIL] = NULL;
        } else if (evict_block(round, single)) {
            deque->is_spilled = true;
        }
        return;
    }
    for (unsigned end = 0; end < 2; end++) {
        if (!deque->ends[end] || waits_for_neighbour(deque, (enum spill_end)end)) continue;
        /* Out of memory: the chunk stays where it is. */
        (void)deque_retire_end(deque, (enum spill_end)end);
    }
    deque_settle(deque);
    if (!deque->ends[SPILL_HEAD] && !deque->ends[SPILL_TAIL]) deque->rest_delays = 0;
}

/* All of one deque, if nobody has used it since the hand came by the last time. */
static void evict_cold_deque(struct round *round, struct spill_deque *deque)
{
    bool is_hot = deque->is_touched && !round->is_forced;

    deque->is_touched = false;
    if (is_hot) return;
    deque->ahead_chunks[SPILL_HEAD] = deque->ahead_chunks[SPILL_TAIL] = 0;
    freeze_ends(round, deque);
    evict_far_chunks(round, deque, 0);
    if (list_is_empty(&deque->resident) && !deque_has_loaded_end(deque)) {
        list_remove(&deque->link);
    }
}

static void evict_cold(struct round *round)
{
    for (unsigned visits = 0; visits < COLD_VISITS_MAX && !has_enough(round); visits++) {
        struct spill_deque *deque = next_deque(round->store);
        if (!deque) return;
        evict_cold_deque(round, deque);
    }
}

/* After a failed write: not before some time has passed, or room has come back. */
static bool may_write(const struct spill_store *store)
{
    if (store->retry_us == 0) return true;
    if (store->is_disk_full && store->freed_extents != store->freed_extents_at_failure) return true;
    return clock_monotonic_us() >= store->retry_us;
}

/* True: something left memory or is on its way. */
static bool evict_round(struct spill_store *store, uint64_t wanted, bool is_forced)
{
    struct round round = { .store = store, .wanted = wanted, .is_forced = is_forced };
    bool has_moved;

    round.is_write_held = !is_forced && !may_write(store);
    round.batch = batch_create(store);
    if (!round.batch) return false;
    evict_orphans(&round);
    if (store->random_bytes > store->budget_bytes / 4) evict_random(&round);
    /* Now and then the hand passes cold deques although there are far chunks: else what nobody uses
     * would stay for as long as one list is busy. */
    if (++store->far_rounds % COLD_EVERY_ROUNDS == 0) evict_cold(&round);
    evict_far(&round);
    evict_random(&round);
    evict_cold(&round);
    has_moved = round.dropped > 0 || batch_bytes(round.batch) > 0;
    batch_start(round.batch);
    return has_moved;
}

bool evict_tick(struct spill_store *store)
{
    uint64_t high = store->budget_bytes - 2 * (uint64_t)store->batch_bytes;

    while (store->memory_bytes - store->writing_bytes > high) {
        if (store->batches_in_flight >= BATCHES_MAX) break;
        if (!evict_round(store, store->batch_bytes, false)) break;
    }
    store_update_pressure(store);
    return store->memory_bytes - store->writing_bytes > high &&
           store->batches_in_flight < BATCHES_MAX && may_write(store);
}

int evict_all(struct spill_store *store)
{
    for (;;) {
        bool has_moved = false;
        store->write_rc = 0;
        if (store->batches_in_flight < BATCHES_MAX) {
            has_moved = evict_round(store, UINT64_MAX, true);
        }
        if (store->write_rc < 0) return store->write_rc;
        if (store->batches_in_flight + store->reads_in_flight > 0) {
            if (io_wait(store->io) == 0) return -EIO;
        } else if (!has_moved) {
            return 0;
        }
        if (store->write_rc < 0) return store->write_rc;
    }
}
