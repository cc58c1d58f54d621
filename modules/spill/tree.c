#include "modules/spill/tree.h"

#include <assert.h>
#include <errno.h>

#include "modules/spill/chunk.h"
#include "modules/spill/store_internal.h"

bool visit_block(struct visit *visit, struct block *block, uint64_t index)
{
    if (!block_is_loaded(block)) {
        visit->missing = block;
        visit->missing_index = index;
        return false;
    }
    block->is_touched = 1;
    if (visit->seen_count < VISIT_SEEN_MAX) visit->seen[visit->seen_count++] = block;
    return true;
}

/* The child that holds element index, from the nearer end; *index becomes relative to it. */
static unsigned child_at(const struct block *node, uint64_t *index)
{
    unsigned at = 0;

    assert(*index < node->element_count);
    if (*index < node->element_count / 2) {
        while (*index >= node->slots[at].element_count)
            *index -= node->slots[at++].element_count;
        return at;
    }
    uint64_t first = node->element_count;
    for (at = node->end; first > *index;)
        first -= node->slots[--at].element_count;
    *index -= first;
    return at;
}

int tree_find(struct block *tree, uint64_t index, struct visit *visit, struct block **out_leaf,
              uint64_t *out_first)
{
    uint64_t rest = index;

    while (tree->height > 0) {
        if (!visit_block(visit, tree, index - rest)) return -EAGAIN;
        tree = tree->slots[child_at(tree, &rest)].block;
    }
    *out_leaf = tree;
    *out_first = index - rest;
    return 0;
}

struct walk {
    enum spill_end towards;
    struct visit *visit;
    bool (*each)(void *context, struct block *leaf, uint64_t first);
    void *context;
};

/* 1: each wants no more. index counts within tree, whose first element is `first` of the whole. */
static int walk_from(const struct walk *walk, struct block *tree, uint64_t index, uint64_t first)
{
    unsigned at;
    uint64_t rest = index, child_first;
    int rc;

    if (tree->height == 0) return walk->each(walk->context, tree, first) ? 0 : 1;
    if (!visit_block(walk->visit, tree, first)) return -EAGAIN;
    at = child_at(tree, &rest);
    child_first = first + index - rest;
    for (;;) {
        struct block *child = tree->slots[at].block;
        rc = walk_from(walk, child, rest, child_first);
        if (rc != 0) return rc;
        if (walk->towards == SPILL_TAIL) {
            child_first += child->element_count;
            if (++at == tree->end) return 0;
            rest = 0;
        } else {
            if (at-- == 0) return 0;
            rest = tree->slots[at].element_count - 1;
            child_first -= tree->slots[at].element_count;
        }
    }
}

int tree_walk(struct block *tree, uint64_t index, enum spill_end towards, struct visit *visit,
              bool (*each)(void *context, struct block *leaf, uint64_t first), void *context)
{
    struct walk walk = { towards, visit, each, context };
    int rc = walk_from(&walk, tree, index, 0);

    return rc == 1 ? 0 : rc;
}

static unsigned edge_of(const struct block *node, enum spill_end end)
{
    return end == SPILL_HEAD ? 0 : node->end - 1;
}

/* What a block counts, to tell its parent the difference. */
struct totals {
    uint64_t element_count, element_bytes;
    uint32_t chunk_count;
};

static struct totals totals_of(const struct block *block)
{
    return (struct totals){ block->element_count, block->element_bytes, block->chunk_count };
}

static void child_changed(struct block *node, unsigned at, struct totals before)
{
    const struct block *child = node->slots[at].block;

    node->slots[at].element_count = child->element_count;
    node->element_count += child->element_count - before.element_count;
    node->element_bytes += child->element_bytes - before.element_bytes;
    node->chunk_count += child->chunk_count - before.chunk_count;
}

/* A node for what no longer fits beside; takes the child's reference over. */
static struct block *node_above(struct spill_store *store, struct block *child)
{
    struct block *node = block_create_node(store, child->list, child->height + 1, 4);

    if (!node) return NULL;
    node_insert_child(node, 0, child);
    block_link_random(store, node);
    return node;
}

/* Takes the nodes off that push_into put above subtree, which is again the caller's. */
static void unwrap(struct spill_store *store, struct block *carry, const struct block *subtree)
{
    while (carry != subtree) {
        struct block *child = node_remove_child(carry, 0);
        node_discard_shell(store, carry);
        carry = child;
    }
}

/* Adds subtree under *place, or leaves it in *out_carry (in nodes up to the height of *place) for
 * the level above when the nodes of the edge are full; those have not changed then. On the way down
 * nodes only become writable, which says nothing else; after the lowest change nothing can fail. */
static int push_into(struct spill_store *store, struct block **place, enum spill_end end,
                     struct block *subtree, struct visit *visit, struct block **out_carry)
{
    struct block *node = *place, *carry = NULL;
    int rc;

    *out_carry = NULL;
    if (!visit_block(visit, node, 0)) return -EAGAIN;
    rc = block_make_writable(store, place);
    if (rc < 0) return rc;
    node = *place;
    if (node->end < NODE_CHILDREN_MAX) {
        rc = node_reserve(store, node, node->end + 1);
        if (rc < 0) return rc;
    }
    if (node->height == subtree->height + 1) {
        carry = subtree;
    } else {
        unsigned edge = edge_of(node, end);
        struct totals before = totals_of(node->slots[edge].block);
        rc = push_into(store, &node->slots[edge].block, end, subtree, visit, &carry);
        if (rc < 0) return rc;
        child_changed(node, edge, before);
    }
    if (!carry) return 0;
    if (node->end < NODE_CHILDREN_MAX) {
        node_insert_child(node, end == SPILL_HEAD ? 0 : node->end, carry);
        return 0;
    }
    *out_carry = node_above(store, carry);
    if (*out_carry) return 0;
    unwrap(store, carry, subtree);
    return -ENOMEM;
}

/* A root above two trees of equal height, in this order from end inwards. */
static int join_under_root(struct spill_store *store, struct block **tree, enum spill_end end,
                           struct block *carry)
{
    struct block *root = node_above(store, *tree);

    if (!root) return -ENOMEM;
    node_insert_child(root, end == SPILL_HEAD ? 0 : 1, carry);
    *tree = root;
    return 0;
}

int tree_push(struct spill_store *store, struct block **tree, enum spill_end end,
              struct block *subtree, struct visit *visit)
{
    struct block *carry = subtree;
    int rc;

    if (!*tree) {
        *tree = subtree;
        return 0;
    }
    if ((*tree)->height < subtree->height) {
        enum spill_end other = end == SPILL_HEAD ? SPILL_TAIL : SPILL_HEAD;
        rc = tree_push(store, &carry, other, *tree, visit);
        if (rc == 0) *tree = carry;
        return rc;
    }
    if ((*tree)->height > subtree->height) {
        rc = push_into(store, tree, end, subtree, visit, &carry);
        if (rc < 0 || !carry) return rc;
    }
    rc = join_under_root(store, tree, end, carry);
    if (rc < 0) unwrap(store, carry, subtree);
    return rc;
}

/* Puts nodes with one child above *tree until it has that height. */
static int raise_to(struct spill_store *store, struct block **tree, unsigned height)
{
    struct block *raised = *tree, *above;

    while (raised->height < height) {
        above = node_above(store, raised);
        if (!above) {
            unwrap(store, raised, *tree);
            return -ENOMEM;
        }
        raised = above;
    }
    *tree = raised;
    return 0;
}

int tree_join_unseen(struct spill_store *store, struct block **tree, enum spill_end end,
                     struct block *other)
{
    struct block *inner = *tree, *outer = other;
    unsigned height;
    int rc;

    if (!*tree) {
        *tree = other;
        return 0;
    }
    height = inner->height > outer->height ? inner->height : outer->height;
    if (height >= TREE_HEIGHT_MAX) return -EFBIG;
    rc = raise_to(store, &inner, height);
    if (rc == 0) rc = raise_to(store, &outer, height);
    if (rc == 0) rc = join_under_root(store, &inner, end, outer);
    if (rc == 0) {
        *tree = inner;
        return 0;
    }
    unwrap(store, inner, *tree);
    unwrap(store, outer, other);
    return rc;
}

void tree_collapse(struct spill_store *store, struct block **tree)
{
    while (*tree && (*tree)->height > 0 && block_is_loaded(*tree) && (*tree)->end == 1) {
        struct block *child = (*tree)->slots[0].block;
        /* Taken out of a node of our own, so that it is not held twice until that is reclaimed. */
        if (block_is_exclusive(*tree))
            (void)node_remove_child(*tree, 0);
        else
            block_ref(child);
        block_unref(store, *tree);
        *tree = child;
    }
}

static int take_from(struct spill_store *store, struct block **place, enum spill_end end,
                     struct visit *visit, struct block **out_leaf)
{
    struct block *node, **child;
    struct totals before;
    unsigned edge;
    int rc;

    if (!visit_block(visit, *place, 0)) return -EAGAIN;
    rc = block_make_writable(store, place);
    if (rc < 0) return rc;
    node = *place;
    edge = edge_of(node, end);
    if (node->height == 1) {
        *out_leaf = node_remove_child(node, edge);
        return 0;
    }
    child = &node->slots[edge].block;
    before = totals_of(*child);
    rc = take_from(store, child, end, visit, out_leaf);
    if (rc < 0) return rc;
    child_changed(node, edge, before);
    if ((*child)->end == 0) block_unref(store, node_remove_child(node, edge));
    return 0;
}

int tree_take(struct spill_store *store, struct block **tree, enum spill_end end,
              struct visit *visit, struct block **out_leaf)
{
    int rc;

    if ((*tree)->height == 0) {
        *out_leaf = *tree;
        *tree = NULL;
        return 0;
    }
    rc = take_from(store, tree, end, visit, out_leaf);
    if (rc < 0) return rc;
    if ((*tree)->end == 0) {
        block_unref(store, *tree);
        *tree = NULL;
    }
    tree_collapse(store, tree);
    return 0;
}

static void check_chunk(const struct block *chunk)
{
    uint64_t bytes;

    assert(chunk->begin < chunk->end && chunk->end <= chunk->capacity);
    assert(chunk->chunk_count == 1);
    assert(chunk_validate(chunk->bytes + chunk->begin, chunk_used(chunk), chunk->element_count,
                          &bytes) == 0);
    assert(bytes == chunk->element_bytes);
}

void tree_check(const struct spill_store *store, const struct block *tree)
{
    uint64_t elements = 0, bytes = 0;
    uint32_t chunks = 0;

    if (!tree) return;
    assert(tree->ref_count > tree->pin_count && tree->element_count > 0 && tree->chunk_count > 0);
    assert((tree->bytes != NULL) == (tree->state <= BLOCK_WRITING));
    assert((tree->ref.generation != 0) ==
           (tree->state == BLOCK_CLEAN || tree->state >= BLOCK_ON_DISK));
    if (!tree->bytes) return;
    if (tree->height == 0) {
        check_chunk(tree);
        return;
    }
    assert(tree->end > 0 && tree->end <= NODE_CHILDREN_MAX && tree->end <= tree->capacity);
    for (unsigned i = 0; i < tree->end; i++) {
        const struct block *child = tree->slots[i].block;
        assert(child->height + 1 == tree->height && child->list == tree->list);
        assert(child->element_count == tree->slots[i].element_count);
        /* spill I3: what has an image on disk has its children there too. */
        if (tree->state != BLOCK_DIRTY) assert(child->ref.generation != 0);
        tree_check(store, child);
        elements += child->element_count;
        bytes += child->element_bytes;
        chunks += child->chunk_count;
    }
    assert(elements == tree->element_count && bytes == tree->element_bytes);
    assert(chunks == tree->chunk_count);
}
