#include "modules/spill/prefetch.h"

#include <assert.h>

#include "modules/spill/deque_internal.h"
#include "modules/spill/store_internal.h"

enum {
    WINDOW_CHUNKS_MAX = 128, /* 4 MiB: two transfers of 1 MiB under way, two to be used */
    PARTS = 4,               /* of a window; one is read at a time */
};

/* The next chunks in a direction: how many there are in memory or on their way, and which are not.
 */
struct ahead {
    unsigned wanted, seen, missing_count;
    uint64_t wanted_bytes, seen_bytes, missing_bytes; /* large elements: fewer chunks */
    uint64_t last_first;      /* of the last one seen: the index of its first element */
    struct block *last_there; /* the last one seen that is in memory or on its way */
    struct block *missing[FETCH_GROUP_MAX];
};

static bool look_at(void *context, struct block *leaf, uint64_t first)
{
    struct ahead *ahead = context;
    uint32_t bytes = block_is_loaded(leaf) ? chunk_used(leaf) : leaf->ref.size_bytes;

    ahead->last_first = first;
    ahead->seen++;
    ahead->seen_bytes += bytes;
    if (leaf->state == BLOCK_ON_DISK) {
        ahead->missing[ahead->missing_count++] = leaf;
        ahead->missing_bytes += bytes;
    } else if (ahead->missing_count == 0) {
        ahead->last_there = leaf;
    }
    return ahead->seen < ahead->wanted && ahead->seen_bytes < ahead->wanted_bytes &&
           ahead->missing_count < FETCH_GROUP_MAX;
}

/* Reads are started for a part of the window at a time: neighbours are read together, and while one
 * part is being used the others are there or on their way, so that the disk always has more than
 * one transfer to do. */
static bool is_worth_reading(const struct ahead *ahead)
{
    if (ahead->missing_count == 0) return false;
    return ahead->missing_count * PARTS >= ahead->wanted ||
           ahead->missing_bytes * PARTS >= ahead->wanted_bytes ||
           ahead->missing_count == ahead->seen;
}

unsigned prefetch_window_chunks(const struct spill_store *store)
{
    /* prefetch_bytes are to be there already while as much again is being read. */
    uint64_t chunks = 2 * (uint64_t)store->prefetch_bytes / store->chunk_bytes;
    uint64_t share = store->budget_bytes / 4 / store->chunk_bytes;

    if (chunks > WINDOW_CHUNKS_MAX) chunks = WINDOW_CHUNKS_MAX;
    if (chunks > share) chunks = share;
    return chunks > 0 ? (unsigned)chunks : 1;
}

/* All that is loaded ahead by anybody stays within a share of the budget; one chunk each is always
 * allowed. */
static struct ahead ahead_of(const struct spill_store *store, const struct prefetch_pace *pace)
{
    unsigned chunks = prefetch_window_chunks(store);

    if (store->ahead_bytes > store->budget_bytes / 4) chunks = 1;
    if (chunks > pace->chunks) chunks = pace->chunks;
    return (struct ahead){ .wanted = chunks,
                           .wanted_bytes = (uint64_t)chunks * store->chunk_bytes };
}

/* The node on the way to what will be looked at when half a window more was used, if it is on disk:
 * it can be read before it holds anything up. */
static struct block *node_beyond(struct block *tree, enum spill_end towards,
                                 const struct ahead *ahead, struct visit *visit)
{
    uint64_t distance = tree->element_count / tree->chunk_count * (ahead->wanted / 2 + 1);
    uint64_t index = ahead->last_first, first;
    struct block *leaf;

    if (towards == SPILL_HEAD)
        index = index > distance ? index - distance : 0;
    else
        index = tree->element_count - index > distance ? index + distance : tree->element_count - 1;
    visit_begin(visit);
    return tree_find(tree, index, visit, &leaf, &first) < 0 ? visit->missing : NULL;
}

/* Looks at the chunks from the one that holds index on. The node that is missed, or NULL. */
static struct block *look_ahead(struct block *tree, uint64_t index, enum spill_end towards,
                                struct ahead *ahead)
{
    struct visit visit;

    visit_begin(&visit);
    if (tree_walk(tree, index, towards, &visit, look_at, ahead) < 0) return visit.missing;
    return node_beyond(tree, towards, ahead, &visit);
}

/* With each chunk that is used one more of the window may be missing, and nothing is read before a
 * part of it is. */
static uint8_t steps_to_skip(const struct ahead *ahead, const struct block *node)
{
    unsigned part = ahead->seen / PARTS;

    if (node || part <= ahead->missing_count + 1) return 0;
    return (uint8_t)(part - ahead->missing_count - 1);
}

/* True: this step must look. */
static bool pace_step(struct prefetch_pace *pace)
{
    unsigned chunks = pace->chunks == 0 ? 1 : 2u * pace->chunks;

    if (chunks > WINDOW_CHUNKS_MAX) chunks = WINDOW_CHUNKS_MAX;
    if (chunks == pace->chunks && pace->skips > 0) {
        pace->skips--;
        return false;
    }
    pace->chunks = (uint8_t)chunks;
    return true;
}

/* Reads a node that a walk has missed; the walk goes on when it is there. */
static struct fetch *read_node(struct deque *deque, enum spill_end end, struct block *node)
{
    struct fetch *fetch;

    if (deque->walks[end] || node->state != BLOCK_ON_DISK) return NULL;
    if (fetch_start(deque->store, &node, 1, FETCH_AHEAD, &fetch) == 0) return NULL;
    fetch->walker = deque;
    fetch->walker_end = end;
    deque->walks[end] = fetch;
    return fetch;
}

/* Enters the chunks about to be read into the ring, behind those that will be used before them. */
static void enter_ring(struct deque *deque, enum spill_end end, const struct ahead *ahead)
{
    struct block *before = ahead->last_there;

    for (unsigned i = 0; i < ahead->missing_count; i++) {
        struct block *chunk = ahead->missing[i];
        if (!before || before->is_random || list_is_empty(&before->link)) {
            deque_enter_resident(deque, end, chunk);
        } else {
            block_unlink(deque->store, chunk);
            if (end == SPILL_HEAD)
                list_push_front(&before->link, &chunk->link);
            else
                list_push_back(&before->link, &chunk->link);
        }
        before = chunk;
    }
}

static void advance(struct deque *deque, enum spill_end end)
{
    struct block **tree = deque_tree_next_to(deque, end), *node;
    struct prefetch_pace *pace = &deque->ahead[end];
    struct ahead ahead = ahead_of(deque->store, pace);

    if (!tree) return;
    node = look_ahead(*tree, end == SPILL_HEAD ? 0 : (*tree)->element_count - 1, other_end(end),
                      &ahead);
    if (is_worth_reading(&ahead)) {
        ahead.missing_count =
            fetch_start(deque->store, ahead.missing, ahead.missing_count, FETCH_AHEAD, NULL);
        enter_ring(deque, end, &ahead);
        ahead.missing_count = 0;
    }
    if (node) (void)read_node(deque, end, node);
    pace->skips = steps_to_skip(&ahead, node);
}

void prefetch_drained(struct deque *deque, enum spill_end end)
{
    if (pace_step(&deque->ahead[end])) advance(deque, end);
}

struct fetch *prefetch_edge(struct deque *deque, enum spill_end end)
{
    struct block *leaf;
    struct visit visit;
    uint64_t first;

    if (!deque->root) return NULL;
    visit_begin(&visit);
    if (tree_find(deque->root, end == SPILL_HEAD ? 0 : deque->root->element_count - 1, &visit,
                  &leaf, &first) >= 0)
        return NULL;
    return read_node(deque, end, visit.missing);
}

void prefetch_continue(struct deque *deque, enum spill_end end)
{
    if (deque->sides[end]) {
        deque_join_sides(deque);
        if (deque->sides[end]) (void)prefetch_edge(deque, end);
    }
    if (deque->ahead[end].chunks > 0) advance(deque, end);
}

void prefetch_forget(struct deque *deque)
{
    for (unsigned end = 0; end < 2; end++) {
        if (deque->walks[end]) deque->walks[end]->walker = NULL;
        deque->walks[end] = NULL;
    }
}

void prefetch_walked(struct spill_store *store, struct block *tree, uint64_t index,
                     enum spill_end towards, struct prefetch_pace *pace)
{
    bool is_first = pace->chunks == 0;
    struct ahead ahead;
    struct block *node;

    /* Who looks at one place reads nothing else. */
    if (!pace_step(pace) || is_first) return;
    ahead = ahead_of(store, pace);
    node = look_ahead(tree, index, towards, &ahead);
    if (is_worth_reading(&ahead)) {
        (void)fetch_start(store, ahead.missing, ahead.missing_count, FETCH_AHEAD, NULL);
        ahead.missing_count = 0;
    }
    if (node && node->state == BLOCK_ON_DISK) (void)fetch_start(store, &node, 1, FETCH_AHEAD, NULL);
    pace->skips = steps_to_skip(&ahead, node);
}

struct given_up {
    struct spill_store *store;
    unsigned rest; /* of the window */
};

static bool give_up(void *context, struct block *leaf, uint64_t first)
{
    struct given_up *given_up = context;

    (void)first;
    block_set_prefetched(given_up->store, leaf, false);
    return --given_up->rest > 0;
}

void prefetch_given_up(struct spill_store *store, struct block *tree, uint64_t index,
                       enum spill_end towards, const struct prefetch_pace *pace)
{
    struct given_up given_up = { .store = store, .rest = prefetch_window_chunks(store) };
    struct visit visit;

    if (pace->chunks <= 1) return;
    visit_begin(&visit);
    /* Behind a node that is not there nothing was read. */
    (void)tree_walk(tree, index, towards, &visit, give_up, &given_up);
}
