#include "modules/spill/prefetch.h"

#include <assert.h>

#include "modules/spill/deque_internal.h"
#include "modules/spill/store_internal.h"

/* The next chunks in a direction: how many there are in memory or on their way, and which are not.
 */
struct ahead {
    unsigned wanted, seen, missing_count;
    struct block *last_there; /* the last one seen that is in memory or on its way */
    struct block *missing[FETCH_GROUP_MAX];
};

static bool look_at(void *context, struct block *leaf, uint64_t first)
{
    struct ahead *ahead = context;

    (void)first;
    ahead->seen++;
    if (leaf->state == BLOCK_ON_DISK)
        ahead->missing[ahead->missing_count++] = leaf;
    else if (ahead->missing_count == 0)
        ahead->last_there = leaf;
    return ahead->seen < ahead->wanted && ahead->missing_count < FETCH_GROUP_MAX;
}

/* Reads are started for a quarter of the window at a time: neighbours are read together, and while
 * one quarter is being used the others are there or on their way, so that the disk always has more
 * than one transfer to do. */
static bool is_worth_reading(const struct ahead *ahead)
{
    return ahead->missing_count * 4 >= ahead->wanted || ahead->missing_count == ahead->seen;
}

/* All that is loaded ahead by anybody stays within a share of the budget; one chunk each is always
 * allowed. */
static unsigned window(const struct spill_store *store, unsigned chunk_count)
{
    /* prefetch_bytes are to be there already while as much again is being read. */
    unsigned most = 2 * (store->prefetch_bytes / store->chunk_bytes);

    if (store->ahead_bytes > store->budget_bytes / 4) return 1;
    if (chunk_count > most) chunk_count = most;
    if (chunk_count > FETCH_GROUP_MAX) chunk_count = FETCH_GROUP_MAX;
    return chunk_count > 0 ? chunk_count : 1;
}

/* Reads a node that a walk has missed; the walk goes on when it is there. */
static void read_node(struct spill_deque *deque, enum spill_end end, struct block *node)
{
    struct fetch *fetch;

    if (deque->walks[end] || node->state != BLOCK_ON_DISK) return;
    if (fetch_start(deque->store, &node, 1, true, &fetch) == 0) return;
    fetch->walker = deque;
    fetch->walker_end = end;
    deque->walks[end] = fetch;
}

/* Enters the chunks about to be read into the ring, behind those that will be used before them. */
static void enter_ring(struct spill_deque *deque, enum spill_end end, const struct ahead *ahead)
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

static void advance(struct spill_deque *deque, enum spill_end end)
{
    struct block **tree = deque_tree_next_to(deque, end);
    struct ahead ahead = { .wanted = window(deque->store, deque->ahead_chunks[end]) };
    struct visit visit;
    uint64_t index;
    int rc;

    if (!tree) return;
    index = end == SPILL_HEAD ? 0 : (*tree)->element_count - 1;
    visit_begin(&visit);
    rc = tree_walk(*tree, index, other_end(end), &visit, look_at, &ahead);
    if (rc < 0) read_node(deque, end, visit.missing);
    if (ahead.missing_count == 0 || !is_worth_reading(&ahead)) return;
    ahead.missing_count = fetch_start(deque->store, ahead.missing, ahead.missing_count, true, NULL);
    enter_ring(deque, end, &ahead);
}

void prefetch_drained(struct spill_deque *deque, enum spill_end end)
{
    unsigned chunks = 2u * deque->ahead_chunks[end];

    if (chunks == 0) chunks = 1;
    if (chunks > FETCH_GROUP_MAX) chunks = FETCH_GROUP_MAX;
    deque->ahead_chunks[end] = (uint8_t)chunks;
    advance(deque, end);
}

void prefetch_edge(struct spill_deque *deque, enum spill_end end)
{
    struct block *leaf;
    struct visit visit;
    uint64_t first;

    if (!deque->root) return;
    visit_begin(&visit);
    if (tree_find(deque->root, end == SPILL_HEAD ? 0 : deque->root->element_count - 1, &visit,
                  &leaf, &first) < 0) {
        read_node(deque, end, visit.missing);
    }
}

void prefetch_continue(struct spill_deque *deque, enum spill_end end)
{
    if (deque->sides[end]) {
        deque_join_sides(deque);
        if (deque->sides[end]) prefetch_edge(deque, end);
    }
    if (deque->ahead_chunks[end] > 0) advance(deque, end);
}

void prefetch_forget(struct spill_deque *deque)
{
    for (unsigned end = 0; end < 2; end++) {
        if (deque->walks[end]) deque->walks[end]->walker = NULL;
        deque->walks[end] = NULL;
    }
}

void prefetch_tree(struct spill_store *store, struct block *tree, uint64_t index,
                   enum spill_end towards, unsigned chunk_count)
{
    struct ahead ahead = { .wanted = window(store, chunk_count) };
    struct visit visit;

    if (chunk_count == 0) return;
    visit_begin(&visit);
    if (tree_walk(tree, index, towards, &visit, look_at, &ahead) < 0 &&
        visit.missing->state == BLOCK_ON_DISK) {
        (void)fetch_start(store, &visit.missing, 1, true, NULL);
    }
    if (ahead.missing_count > 0 && is_worth_reading(&ahead)) {
        (void)fetch_start(store, ahead.missing, ahead.missing_count, true, NULL);
    }
}
