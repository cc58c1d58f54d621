/* How the parts of a deque change places: end chunks into the trees and out of them. */
#include "modules/spill/deque_internal.h"

#include <assert.h>
#include <errno.h>

#include "modules/spill/chunk_edit.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/reclaim.h"
#include "modules/spill/store_internal.h"

unsigned deque_parts(struct deque *deque, struct block **places[PARTS_MAX])
{
    unsigned count = 0;

    if (deque->ends[SPILL_HEAD]) places[count++] = &deque->ends[SPILL_HEAD];
    if (deque->sides[SPILL_HEAD]) places[count++] = &deque->sides[SPILL_HEAD];
    if (deque->root) places[count++] = &deque->root;
    if (deque->sides[SPILL_TAIL]) places[count++] = &deque->sides[SPILL_TAIL];
    if (deque->ends[SPILL_TAIL] && !deque_is_single(deque)) {
        places[count++] = &deque->ends[SPILL_TAIL];
    }
    return count;
}

struct block **deque_part_at(struct deque *deque, uint64_t *index, uint64_t *out_first)
{
    struct block **places[PARTS_MAX];
    unsigned count = deque_parts(deque, places);
    uint64_t first = 0;

    assert(*index < deque->element_count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t elements = (*places[i])->element_count;
        if (*index - first < elements) {
            *index -= first;
            *out_first = first;
            return places[i];
        }
        first += elements;
    }
    assert(0 && "the parts' counts add up to the deque's");
    return NULL;
}

void deque_recount(struct deque *deque)
{
    struct block **places[PARTS_MAX];
    unsigned count = deque_parts(deque, places);
    uint64_t elements = 0, bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        elements += (*places[i])->element_count;
        bytes += (*places[i])->element_bytes;
    }
    deque->store->element_count += elements - deque->element_count;
    deque->element_count = elements;
    deque->element_bytes = bytes;
}

void deque_enter_ring(struct deque *deque)
{
    if (list_is_empty(&deque->link)) list_push_back(&deque->store->deques, &deque->link);
}

void deque_drop_parts(struct deque *deque)
{
    struct block **places[PARTS_MAX];
    unsigned count = deque_parts(deque, places);
    bool is_single = deque_is_single(deque);

    for (unsigned i = 0; i < count; i++) {
        block_unref(deque->store, *places[i]);
        *places[i] = NULL;
    }
    if (is_single) deque->ends[SPILL_TAIL] = NULL;
}

void deque_settle(struct deque *deque)
{
    if (!deque_is_single(deque)) {
        for (unsigned end = 0; end < 2; end++) {
            if (!deque->ends[end] || deque->ends[end]->element_count > 0) continue;
            block_unref(deque->store, deque->ends[end]);
            deque->ends[end] = NULL;
        }
    }
    if (deque_has_tree(deque)) return;
    if (!deque->ends[SPILL_HEAD]) deque->ends[SPILL_HEAD] = deque->ends[SPILL_TAIL];
    if (!deque->ends[SPILL_TAIL]) deque->ends[SPILL_TAIL] = deque->ends[SPILL_HEAD];
    deque->is_spilled = false; /* of the trees */
    /* An end chunk that was read for a visit in the middle is found through the deque from now on.
     */
    for (unsigned end = 0; end < 2; end++)
        if (deque->ends[end]) block_unlink(deque->store, deque->ends[end]);
}

bool deque_begin_upkeep(const struct deque *deque)
{
    struct spill_store *store = deque->store;
    bool before = store->acts_before;

    store->acts_before = store->is_picturing && deque->epoch != store->epoch;
    return before;
}

void deque_end_upkeep(const struct deque *deque, bool before)
{
    deque->store->acts_before = before;
}

/* Replaces an end chunk; a single one is both ends. */
static void set_end(struct deque *deque, enum spill_end end, struct block *chunk)
{
    bool is_single = deque_is_single(deque);

    deque->ends[end] = chunk;
    if (is_single) deque->ends[other_end(end)] = chunk;
}

int deque_make_end_writable(struct deque *deque, enum spill_end end)
{
    struct block *chunk = deque->ends[end];
    int rc = block_make_writable(deque->store, &chunk);

    if (rc < 0) return rc;
    /* End chunks stand in no ring: the eviction finds them through their deque. */
    block_unlink(deque->store, chunk);
    set_end(deque, end, chunk);
    deque_enter_ring(deque);
    return 0;
}

/* Nodes of a side stay in memory, so that pushing there never meets one on disk. */
static void keep_nodes(struct block *tree, bool is_kept)
{
    if (!tree || tree->height == 0 || !block_is_loaded(tree)) return;
    tree->is_kept = is_kept;
    for (unsigned i = 0; i < tree->end; i++)
        keep_nodes(tree->slots[i].block, is_kept);
}

void deque_keep_sides(struct deque *deque)
{
    keep_nodes(deque->sides[SPILL_HEAD], true);
    keep_nodes(deque->sides[SPILL_TAIL], true);
}

/* One tree instead of a side and the root, if their edge is loaded. */
static int join_side(struct deque *deque, enum spill_end end)
{
    struct block *side = deque->sides[end];
    struct visit visit;
    int rc;

    if (!side) return 0;
    visit_begin(&visit);
    rc = tree_push(deque->store, &deque->root, end, side, &visit);
    if (rc < 0) return rc;
    deque->sides[end] = NULL;
    keep_nodes(side, false);
    return 0;
}

void deque_join_sides(struct deque *deque)
{
    bool before = deque_begin_upkeep(deque);

    /* What fails now is tried again with the next chunk that moves. */
    (void)join_side(deque, SPILL_HEAD);
    (void)join_side(deque, SPILL_TAIL);
    deque_end_upkeep(deque, before);
}

static int push_side(struct deque *deque, enum spill_end end, struct block *subtree)
{
    struct visit visit;
    struct block *node;
    int rc;

    visit_begin(&visit);
    rc = tree_push(deque->store, &deque->sides[end], end, subtree, &visit);
    assert(rc != -EAGAIN);
    if (rc < 0) return rc;
    for (node = deque->sides[end]; node->height > 0;) {
        node->is_kept = 1;
        node = node->slots[end == SPILL_HEAD ? 0 : node->end - 1].block;
    }
    return 0;
}

int deque_push_tree(struct deque *deque, enum spill_end end, struct block *subtree)
{
    struct visit visit;
    int rc = join_side(deque, end);

    if (rc == 0) {
        visit_begin(&visit);
        rc = tree_push(deque->store, &deque->root, end, subtree, &visit);
    }
    if (rc != -EAGAIN) return rc;
    /* The root's edge is on disk: gather beside it, and have it fetched. */
    rc = push_side(deque, end, subtree);
    if (rc == 0) (void)prefetch_edge(deque, end);
    return rc;
}

/* The ring of the chunks in memory is kept in the order of the elements, as far as that is cheap.
 */
void deque_enter_resident(struct deque *deque, enum spill_end end, struct block *chunk)
{
    block_unlink(deque->store, chunk);
    chunk->gap = deque->gap;
    if (end == SPILL_HEAD)
        list_push_front(&deque->resident, &chunk->link);
    else
        list_push_back(&deque->resident, &chunk->link);
}

/* Gives back what a chunk that stays as it is has too much; failing to is no harm. */
static void trim_capacity(struct spill_store *store, struct block *chunk)
{
    uint32_t fitting = chunk_capacity(store, chunk_used(chunk));

    if (!block_is_exclusive(chunk) || chunk->state != BLOCK_DIRTY) return;
    if (fitting + fitting / 8 < chunk->capacity) (void)chunk_relocate(store, chunk, fitting, 0);
}

struct block **deque_tree_next_to(struct deque *deque, enum spill_end end)
{
    if (deque->sides[end]) return &deque->sides[end];
    if (deque->root) return &deque->root;
    if (deque->sides[other_end(end)]) return &deque->sides[other_end(end)];
    return NULL;
}

struct block *deque_neighbour(struct deque *deque, enum spill_end end, struct visit *visit)
{
    struct block **tree = deque_tree_next_to(deque, end), *leaf;
    uint64_t first;

    visit_begin(visit);
    if (!tree) return NULL;
    if (tree_find(*tree, end == SPILL_HEAD ? 0 : (*tree)->element_count - 1, visit, &leaf, &first) <
        0) {
        return NULL;
    }
    return leaf;
}

bool deque_join_neighbour(struct deque *deque, enum spill_end end)
{
    struct spill_store *store = deque->store;
    struct visit visit;
    struct block *chunk = deque->ends[end], *leaf = deque_neighbour(deque, end, &visit), *one;
    struct block **tree = deque_tree_next_to(deque, end);
    struct slice runs[RUNS_MAX] = { { NULL, 0 } };

    if (!leaf || !block_is_loaded(leaf) || !block_is_loaded(chunk)) return false;
    if ((uint64_t)chunk_used(leaf) + chunk_used(chunk) > store->chunk_bytes) return false;
    runs[end == SPILL_TAIL] = slice_of(chunk->bytes + chunk->begin, chunk_used(chunk));
    runs[end == SPILL_HEAD] = slice_of(leaf->bytes + leaf->begin, chunk_used(leaf));
    if (chunk_of_runs(store, deque->list, runs, &one) < 0) return false;
    visit_begin(&visit);
    if (tree_take(store, tree, end, &visit, &leaf) < 0) {
        block_unref(store, one);
        return false;
    }
    block_unlink(store, one);
    block_replaced(store, leaf);
    block_replaced(store, chunk);
    deque->ends[end] = one;
    return true;
}

int deque_retire_end(struct deque *deque, enum spill_end end)
{
    struct block *chunk = deque->ends[end];
    bool is_single = deque_is_single(deque);
    int rc;

    if (is_single && chunk->element_count > 0 && block_is_loaded(chunk)) {
        deque->ends[end] = NULL; /* it is the other end's from now on */
        return 0;
    }
    if (chunk->element_count == 0) {
        block_unref(deque->store, chunk);
    } else {
        /* A chunk being written, or shared, may leave memory without the deque being told. */
        if (chunk->state != BLOCK_DIRTY || !block_is_exclusive(chunk)) deque->is_spilled = true;
        if (block_is_loaded(chunk)) {
            bool is_small = chunk_used(chunk) <= deque->store->chunk_bytes / 2;
            if (!is_single && is_small && deque_join_neighbour(deque, end))
                chunk = deque->ends[end];
            trim_capacity(deque->store, chunk);
        }
        rc = deque_push_tree(deque, end, chunk);
        if (rc < 0) return rc;
        if (block_is_loaded(chunk)) deque_enter_resident(deque, end, chunk);
    }
    deque->ends[end] = NULL;
    if (is_single) deque->ends[other_end(end)] = NULL;
    return 0;
}

int deque_take_end(struct deque *deque, enum spill_end end, struct visit *visit)
{
    struct block **tree = deque_tree_next_to(deque, end);
    struct block *leaf;
    uint64_t first, index = end == SPILL_HEAD ? 0 : (*tree)->element_count - 1;
    int rc;

    assert(!deque->ends[end]);
    rc = tree_find(*tree, index, visit, &leaf, &first);
    if (rc < 0) return rc;
    if (!visit_block(visit, leaf, first)) return -EAGAIN;
    rc = tree_take(deque->store, tree, end, visit, &leaf);
    if (rc < 0) return rc;
    block_unlink(deque->store, leaf);
    block_set_prefetched(deque->store, leaf, false);
    reclaim_some(deque->store);
    deque->ends[end] = leaf;
    deque_enter_ring(deque);
    deque_settle(deque);
    return 0;
}

static int prepare_end(struct deque *deque, enum spill_end end, struct visit *visit)
{
    struct block *chunk;
    int rc;

    if (deque->element_count == 0) return 0;
    deque_settle(deque);
    if (!deque->ends[end] && deque_tree_next_to(deque, end)) {
        rc = deque_take_end(deque, end, visit);
        if (rc < 0) return rc;
        prefetch_drained(deque, end);
    }
    /* Only the other end's chunk is left: settle made it both. */
    chunk = deque->ends[end];
    assert(chunk && chunk->element_count > 0);
    if (!visit_block(visit, chunk, end == SPILL_HEAD ? 0 : deque->element_count - 1)) {
        return -EAGAIN;
    }
    if (!block_is_exclusive(chunk)) {
        rc = deque_make_end_writable(deque, end);
        if (rc < 0) return rc;
    }
    return 1;
}

int deque_prepare_end(struct deque *deque, enum spill_end end, struct visit *visit)
{
    bool before = deque_begin_upkeep(deque);
    int rc = prepare_end(deque, end, visit);

    deque_end_upkeep(deque, before);
    return rc;
}
