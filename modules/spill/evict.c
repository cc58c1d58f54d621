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
    BEHIND_GAP_MAX = 256, /* chunks to look at to find where the gap goes on */
    REST_DELAYS_MAX = 16,
    GATHERING_READS_MAX = 1024 /* of crumbs, under way: so many keep the I/O threads busy */
};

/* One round: what is gathered until `wanted` bytes are on their way out. */
struct round {
    struct spill_store *store;
    struct batch *batch;
    uint64_t wanted, dropped; /* bytes */
    uint64_t end_us;          /* then whatever there is goes */
    bool is_forced;           /* what is in use is not spared, only what is pinned */
    bool spares_protected;
    bool has_spared;    /* something that is protected, and else could go */
    bool is_full;       /* the batch takes no more */
    bool is_write_held; /* a write failed a moment ago: only what is clean can go */
};

/* Many small lists take their time. Without anything the round goes on, as visits are bounded. */
static bool has_enough(const struct round *round)
{
    uint64_t bytes = round->dropped + batch_bytes(round->batch);

    if (round->is_full || bytes >= round->wanted) return true;
    return bytes > 0 && clock_monotonic_us() >= round->end_us;
}

/* True: the block is gone or on its way. */
static bool evict_block(struct round *round, struct block *block)
{
    struct spill_store *store = round->store;
    uint64_t before = store->memory_bytes;

    if (!block_can_unload(block)) return false;
    if (round->spares_protected && (int32_t)(block->protected_until - store->turn) > 0) {
        round->has_spared = true;
        return false;
    }
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
static enum spill_end near_end(const struct deque *deque)
{
    if (deque->popped_end != SPILL_NO_END) return (enum spill_end)deque->popped_end;
    if (deque->pushed_end != SPILL_NO_END) return other_end((enum spill_end)deque->pushed_end);
    return SPILL_HEAD;
}

static struct list_link *step(struct list_link *link, enum spill_end towards)
{
    return towards == SPILL_TAIL ? link->next : link->previous;
}

/* The chunks of the ring from link to before fence, as long as more is wanted. */
static void evict_run(struct round *round, struct deque *deque, struct list_link *link,
                      const struct list_link *fence, enum spill_end towards)
{
    struct list_link *next;

    for (; link != fence && !has_enough(round); link = next) {
        next = step(link, towards);
        if (evict_block(round, block_of(link))) deque->is_spilled = true;
    }
}

/* Of the chunks that came since the gap began, all of them at the far side, the one beside the gap.
 * NULL: none came, or there is nothing else or so much that another gap had better begin. */
static struct list_link *beside_gap(struct deque *deque, enum spill_end near,
                                    const struct list_link *fence)
{
    struct list_link *link = step(&deque->resident, near), *beside = NULL;

    for (unsigned i = 0; link != fence && block_of(link)->gap == deque->gap; i++) {
        if (i == BEHIND_GAP_MAX) break;
        beside = link;
        link = step(link, near);
    }
    if (link != fence && block_of(link)->gap != deque->gap) return beside;
    deque->gap++;
    return NULL;
}

/* Evicts from the far side of the ring until `spared` chunks are left at the near side. What is
 * needed last goes first, but in a queue always next to what went before, or single chunks would
 * be left between the batches and make reads short:
 *
 *     near  [ older: stay ] ( gap: on disk  ---> ) [ came since: oldest first ]  far
 *
 * As long as there are older ones the gap only grows. When they are used up, what came since takes
 * their place, and another gap begins at the far side. */
static void evict_far_chunks(struct round *round, struct deque *deque, unsigned spared)
{
    enum spill_end near = near_end(deque), far = other_end(near);
    struct list_link *fence = &deque->resident, *beside;

    for (unsigned i = 0; i < spared; i++) {
        fence = step(fence, far);
        if (fence == &deque->resident) return;
    }
    if (has_enough(round)) return;
    beside = beside_gap(deque, near, fence);
    if (beside) evict_run(round, deque, beside, &deque->resident, far);
    evict_run(round, deque, step(&deque->resident, near), fence, near);
}

/* The next deque in the ring, which goes to the back; once each in a pass. NULL: that was all. */
static struct deque *next_deque(struct spill_store *store)
{
    struct list_link *link = list_front(&store->deques);
    struct deque *deque = link ? list_container(link, struct deque, link) : NULL;

    if (!deque || deque->pass == store->pass) return NULL;
    deque->pass = store->pass;
    list_remove(link);
    list_push_back(&store->deques, link);
    return deque;
}

static void evict_far(struct round *round)
{
    struct spill_store *store = round->store;
    struct deque *deque;

    store->pass++;
    for (unsigned visits = 0; visits < FAR_VISITS_MAX && !has_enough(round); visits++) {
        deque = next_deque(store);
        if (!deque) return;
        evict_far_chunks(round, deque, prefetch_window_chunks(store) + 1);
    }
}

/* The leaf that a small end chunk had better be joined with before it goes: a list that gets an
 * element now and then would become a row of crumbs. Since only neighbours up to twice its size
 * are, and what was joined looks at the next one, sizes double inwards and there are few. */
static struct block *small_neighbour(struct deque *deque, enum spill_end end, struct visit *visit)
{
    const struct block *chunk = deque->ends[end];
    struct block *leaf = deque_neighbour(deque, end, visit);
    uint32_t size;

    if (!leaf) return NULL;
    size = block_is_loaded(leaf) ? chunk_used(leaf) : leaf->ref.size_bytes;
    if (size > 2 * chunk_used(chunk)) return NULL;
    return size + chunk_used(chunk) <= deque->store->chunk_bytes ? leaf : NULL;
}

/* The next look at the deque must find the leaf and the path to it. */
static void protect(struct spill_store *store, const struct visit *visit, struct block *leaf)
{
    for (unsigned i = 0; i < visit->seen_count; i++)
        visit->seen[i]->protected_until = store->turn + PROTECTED_TURNS;
    if (leaf) leaf->protected_until = store->turn + PROTECTED_TURNS;
}

/* NULL: it is on its way already, or there is no memory. */
static struct fetch *read_crumb(struct spill_store *store, struct block *leaf)
{
    struct fetch *fetch = NULL;

    if (leaf->state == BLOCK_ON_DISK) (void)fetch_start(store, &leaf, 1, FETCH_UPKEEP, &fetch);
    return fetch;
}

static void note_gathering(struct spill_store *store, struct fetch *fetch)
{
    if (!fetch) return;
    fetch->is_gathering = true;
    store->gathering_reads++;
}

/* There may be as many lists that want a read as there are lists: what is on its way takes an
 * eighth of the budget at most. */
static bool gathers_enough(const struct spill_store *store)
{
    uint64_t share = store->budget_bytes / 8 / store->chunk_bytes + 1;

    return store->gathering_reads >= (share < GATHERING_READS_MAX ? share : GATHERING_READS_MAX);
}

/* Joins an end chunk with its small neighbours. False: the next one is being read first. */
static bool gather_crumbs(struct deque *deque, enum spill_end end)
{
    struct spill_store *store = deque->store;
    struct visit visit;
    struct block *leaf;

    if (!block_is_loaded(deque->ends[end]) || !deque_has_tree(deque)) return true;
    while ((leaf = small_neighbour(deque, end, &visit)) != NULL && block_is_loaded(leaf)) {
        if (!deque_join_neighbour(deque, end)) return true;
    }
    /* What it misses now: the small leaf, a node on the way to it, or nothing. */
    if ((!leaf && !visit.missing) || deque->rest_delays >= REST_DELAYS_MAX) return true;
    if (gathers_enough(store)) return false; /* later: the hand comes back */
    note_gathering(store, leaf ? read_crumb(store, leaf) : prefetch_edge(deque, end));
    protect(store, &visit, leaf ? leaf : visit.missing);
    deque->rest_delays++;
    return false;
}

/* The end chunks of a deque at rest: a single chunk stays where it is, others go into the tree so
 * that one descriptor is all that stays in memory. */
static void put_to_rest(struct round *round, struct deque *deque)
{
    struct block *single = deque->ends[SPILL_HEAD];

    if (single && deque_is_single(deque)) {
        if (single->element_count == 0) {
            block_unref(round->store, single);
            deque->ends[SPILL_HEAD] = deque->ends[SPILL_TAIL] = NULL;
        } else {
            (void)evict_block(round, single);
        }
        return;
    }
    for (unsigned end = 0; end < 2; end++) {
        if (!deque->ends[end] || !gather_crumbs(deque, (enum spill_end)end)) continue;
        /* Out of memory: the chunk stays where it is. */
        (void)deque_retire_end(deque, (enum spill_end)end);
    }
    deque_settle(deque);
    if (!deque->ends[SPILL_HEAD] && !deque->ends[SPILL_TAIL]) deque->rest_delays = 0;
}

static void freeze_ends(struct round *round, struct deque *deque)
{
    bool before;

    if (deque->busy_count > 0 || deque->pins) return;
    before = deque_begin_upkeep(deque);
    put_to_rest(round, deque);
    deque_end_upkeep(deque, before);
}

/* All of one deque, if nobody has used it since the hand came by the last time, or no matter. */
static void evict_cold_deque(struct round *round, struct deque *deque, bool spares_hot)
{
    bool is_hot = deque->is_touched && spares_hot;

    deque->is_touched = false;
    if (is_hot) return;
    deque->ahead[SPILL_HEAD] = deque->ahead[SPILL_TAIL] = (struct prefetch_pace){ 0 };
    freeze_ends(round, deque);
    evict_far_chunks(round, deque, 0);
    if (list_is_empty(&deque->resident) && !deque_has_loaded_end(deque)) {
        list_remove(&deque->link);
    }
}

static void evict_cold(struct round *round, bool spares_hot)
{
    struct deque *deque;

    round->store->pass++;
    for (unsigned visits = 0; visits < COLD_VISITS_MAX && !has_enough(round); visits++) {
        deque = next_deque(round->store);
        if (!deque) return;
        evict_cold_deque(round, deque, spares_hot);
    }
}

/* After a failed write: not before some time has passed, or room has come back. */
static bool may_write(const struct spill_store *store)
{
    if (store->retry_us == 0) return true;
    if (store->disk != SPILL_DISK_HAS_ROOM &&
        store->freed_extents != store->freed_extents_at_failure)
        return true;
    return clock_monotonic_us() >= store->retry_us;
}

/* With small chunks the descriptors weigh as much as the contents. A node's slot stands for its
 * child's descriptor, which is seven times as large. */
static bool has_much_index(const struct spill_store *store)
{
    return store->slot_bytes > store->budget_bytes / 64;
}

static bool is_above(const struct spill_store *store, uint64_t bytes)
{
    return store->memory_bytes - store->writing_bytes > bytes;
}

/* Until so many bytes are on their way, or end_us. True: something left memory or is on its way. */
static bool evict_round(struct spill_store *store, uint64_t wanted, uint64_t end_us, bool is_forced,
                        bool spares_protected, bool *out_has_spared)
{
    struct round round = { .store = store,
                           .wanted = wanted,
                           .end_us = end_us,
                           .is_forced = is_forced,
                           .spares_protected = spares_protected };
    bool has_moved;

    round.is_write_held = !is_forced && !may_write(store);
    round.batch = batch_create(store, BATCH_EVICT);
    *out_has_spared = false;
    if (!round.batch) return false;
    evict_orphans(&round);
    if (store->random_bytes > store->budget_bytes / 4 || has_much_index(store)) {
        evict_random(&round);
    }
    /* Now and then the hand passes cold deques although there are far chunks: else what nobody uses
     * would stay for as long as one list is busy. */
    if (is_forced || ++store->rounds % COLD_EVERY_ROUNDS == 0) evict_cold(&round, !is_forced);
    evict_far(&round);
    evict_random(&round);
    evict_cold(&round, !is_forced);
    /* All in memory is in use: the budget holds nevertheless. */
    if (is_above(store, store->budget_bytes)) {
        evict_cold(&round, false);
    }
    has_moved = round.dropped > 0 || batch_bytes(round.batch) > 0;
    *out_has_spared = round.has_spared;
    batch_start(round.batch);
    return has_moved;
}

bool evict_tick(struct spill_store *store, uint64_t slice_us)
{
    uint64_t high = store->budget_bytes - 2 * (uint64_t)store->batch_bytes;
    bool has_moved = true, has_spared = false;

    if (is_above(store, high)) { /* else the clock need not be read */
        uint64_t end_us = clock_monotonic_us() + slice_us;

        do {
            if (store->batches_in_flight >= BATCHES_MAX) break;
            has_moved = evict_round(store, store->batch_bytes, end_us, false, true, &has_spared);
        } while (has_moved && is_above(store, high) && clock_monotonic_us() < end_us);
    }
    store_update_pressure(store);
    /* What is pinned cannot go now: asking again at once would only spin. What is protected can
     * soon: who comes next for it may be waiting for just this, and then nothing else makes turns
     * pass. */
    if (has_spared && store->is_slow) has_moved = true;
    return has_moved && is_above(store, high) && store->batches_in_flight < BATCHES_MAX &&
           may_write(store);
}

int evict_all(struct spill_store *store)
{
    /* What is protected goes last: gathering crumbs needs it. */
    bool spares_protected = true, has_spared;

    for (;;) {
        bool has_moved = false;
        store->write_rc = 0;
        if (store->batches_in_flight < BATCHES_MAX) {
            has_moved =
                evict_round(store, UINT64_MAX, UINT64_MAX, true, spares_protected, &has_spared);
        }
        if (store->write_rc < 0) return store->write_rc;
        if (store->batches_in_flight + store->reads_in_flight > 0) {
            if (io_wait(store->io) == 0) return -EIO;
        } else if (!has_moved) {
            if (!spares_protected) return 0;
            spares_protected = false;
        }
        if (store->write_rc < 0) return store->write_rc;
    }
}
