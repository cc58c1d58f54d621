/* Removing and editing make new nodes along the path and share the rest with the old tree, so that
 * whatever fails half-way is dropped and the old tree is still whole. */
#include "modules/spill/tree.h"

#include <assert.h>
#include <errno.h>

#include "modules/spill/chunk_edit.h"
#include "modules/spill/store_internal.h"

enum { LINE_MAX_CHILDREN = NODE_CHILDREN_MAX + EDIT_PIECES_MAX - 1 };

/* The children of a node to be; holds a reference to each. */
struct line {
    struct block *blocks[LINE_MAX_CHILDREN];
    unsigned count;
};

static void line_add(struct line *line, struct block *owned)
{
    assert(line->count < LINE_MAX_CHILDREN);
    line->blocks[line->count++] = owned;
}

static void line_drop(struct spill_store *store, struct line *line)
{
    for (unsigned i = 0; i < line->count; i++)
        block_unref(store, line->blocks[i]);
    line->count = 0;
}

static unsigned capacity_for(unsigned count)
{
    unsigned capacity = 4;
    while (capacity < count)
        capacity *= 2;
    return capacity;
}

/* A node over blocks[0, count), which stay the caller's too. */
static int node_of(struct spill_store *store, struct block *const *blocks, unsigned count,
                   struct block **out_node)
{
    struct block *node =
        block_create_node(store, blocks[0]->list, blocks[0]->height + 1, capacity_for(count));

    if (!node) return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        node_insert_child(node, i, block_ref(blocks[i]));
    block_link_random(store, node);
    *out_node = node;
    return 0;
}

/* One block instead of two neighbours that fit into one, or NULL in *out_one. */
static int join_small(struct spill_store *store, const struct block *a, const struct block *b,
                      struct block **out_one)
{
    int rc;

    *out_one = NULL;
    if (!block_is_loaded(a) || !block_is_loaded(b)) return 0;
    if (a->height == 0) {
        if ((uint64_t)chunk_used(a) + chunk_used(b) > store->chunk_bytes) return 0;
        return chunk_of_runs(store, a->list,
                             (struct slice[RUNS_MAX]){ { a->bytes + a->begin, chunk_used(a) },
                                                       { b->bytes + b->begin, chunk_used(b) },
                                                       { 0 } },
                             out_one);
    }
    if (a->end + b->end > NODE_CHILDREN_MAX) return 0;
    struct line line = { .count = 0 };
    for (unsigned i = 0; i < a->end; i++)
        line_add(&line, a->slots[i].block);
    for (unsigned i = 0; i < b->end; i++)
        line_add(&line, b->slots[i].block);
    rc = node_of(store, line.blocks, line.count, out_one);
    return rc;
}

/* Joins what is small and next to each other in [first, last] of the line. */
static int line_join(struct spill_store *store, struct line *line, unsigned first, unsigned last)
{
    for (unsigned i = first; i < last && i + 1 < line->count;) {
        struct block *one;
        int rc = join_small(store, line->blocks[i], line->blocks[i + 1], &one);
        if (rc < 0) return rc;
        if (!one) {
            i++;
            continue;
        }
        block_unref(store, line->blocks[i]);
        block_unref(store, line->blocks[i + 1]);
        line->blocks[i] = one;
        line->count--;
        memmove(&line->blocks[i + 1], &line->blocks[i + 2],
                (line->count - i - 1) * sizeof(struct block *));
        last--;
    }
    return 0;
}

int tree_remove(struct spill_store *store, struct block *tree, uint64_t begin, uint64_t count,
                struct visit *visit, struct block **out_tree)
{
    struct line line = { .count = 0 };
    uint64_t first = 0, end = begin + count;
    unsigned seam = 0;
    int rc = 0;

    assert(count > 0 && end <= tree->element_count);
    *out_tree = NULL;
    if (count == tree->element_count) return 0;
    if (!visit_block(visit, tree, 0)) return -EAGAIN;
    if (tree->height == 0) return chunk_without(store, tree, begin, count, out_tree);
    for (unsigned i = 0; i < tree->end && rc == 0; i++) {
        uint64_t elements = tree->slots[i].element_count, last = first + elements;
        uint64_t from = begin > first ? begin : first, to = end < last ? end : last;
        struct block *rest = NULL;
        if (from >= to) {
            rest = block_ref(tree->slots[i].block);
        } else if (to - from < elements) {
            rc = tree_remove(store, tree->slots[i].block, from - first, to - from, visit, &rest);
            if (rc == -EAGAIN) visit->missing_index += first;
        }
        if (rest) line_add(&line, rest);
        if (last <= begin) seam = line.count;
        first = last;
    }
    /* Neighbours may fit together now: those beside the cut, and what is left of those cut. */
    if (rc == 0) rc = line_join(store, &line, seam > 0 ? seam - 1 : 0, seam + 2);
    if (rc == 0) rc = node_of(store, line.blocks, line.count, out_tree);
    line_drop(store, &line);
    return rc;
}

/* Nodes for the line: one, or two when it is too long for one. */
static int nodes_of(struct spill_store *store, const struct line *line, struct block **out_pieces,
                    unsigned *out_count)
{
    unsigned half = line->count / 2;
    int rc;

    if (line->count == 0) {
        *out_count = 0;
        return 0;
    }
    if (line->count <= NODE_CHILDREN_MAX) half = line->count;
    rc = node_of(store, line->blocks, half, &out_pieces[0]);
    if (rc < 0) return rc;
    *out_count = 1;
    if (half == line->count) return 0;
    rc = node_of(store, line->blocks + half, line->count - half, &out_pieces[1]);
    if (rc < 0)
        block_unref(store, out_pieces[0]);
    else
        *out_count = 2;
    return rc;
}

/* The child whose leaf an edit at *index concerns; *index becomes relative to it. */
static unsigned child_for_edit(const struct block *node, uint64_t *index)
{
    unsigned at = 0;

    /* Inserting after the last element is a matter of the last leaf. */
    while (at + 1 < node->end && *index >= node->slots[at].element_count)
        *index -= node->slots[at++].element_count;
    return at;
}

int tree_edit(struct spill_store *store, struct block *tree, uint64_t index,
              const struct edit *edit, struct visit *visit, struct block **out_pieces,
              unsigned *out_count)
{
    struct block *pieces[EDIT_PIECES_MAX];
    struct line line = { .count = 0 };
    uint64_t rest = index;
    unsigned at, count = 0;
    int rc;

    if (tree->height == 0 && edit->kind == EDIT_LEAF) {
        *out_count = edit->leaf ? 1 : 0;
        if (edit->leaf) out_pieces[0] = block_ref(edit->leaf);
        return 0;
    }
    if (!visit_block(visit, tree, 0)) return -EAGAIN;
    if (tree->height == 0) return chunk_edited(store, tree, index, edit, out_pieces, out_count);
    at = child_for_edit(tree, &rest);
    rc = tree_edit(store, tree->slots[at].block, rest, edit, visit, pieces, &count);
    if (rc == -EAGAIN) visit->missing_index += index - rest;
    if (rc < 0) return rc;
    for (unsigned i = 0; i < at; i++)
        line_add(&line, block_ref(tree->slots[i].block));
    for (unsigned i = 0; i < count; i++)
        line_add(&line, pieces[i]);
    for (unsigned i = at + 1; i < tree->end; i++)
        line_add(&line, block_ref(tree->slots[i].block));
    if (count <= 1) rc = line_join(store, &line, at > 0 ? at - 1 : 0, at + 1);
    if (rc == 0) rc = nodes_of(store, &line, out_pieces, out_count);
    line_drop(store, &line);
    return rc;
}

int tree_of_pieces(struct spill_store *store, struct block **pieces, unsigned count,
                   struct block **out_tree)
{
    int rc;

    *out_tree = count == 0 ? NULL : pieces[0];
    if (count <= 1) return 0;
    rc = node_of(store, pieces, count, out_tree);
    if (rc < 0) return rc;
    for (unsigned i = 0; i < count; i++)
        block_unref(store, pieces[i]);
    return 0;
}

int tree_edit_in_place(struct spill_store *store, struct block **tree, uint64_t index,
                       const struct edit *edit, struct visit *visit)
{
    struct block *block = *tree;
    int rc;

    if (!visit_block(visit, block, 0)) return -EAGAIN;
    rc = block_make_writable(store, tree);
    if (rc < 0) return rc;
    block = *tree;
    if (block->height == 0) return chunk_edit_in_place(store, block, index, edit);

    uint64_t rest = index;
    unsigned at = child_for_edit(block, &rest);
    uint64_t elements = block->slots[at].element_count;
    uint64_t bytes = block->slots[at].block->element_bytes;
    rc = tree_edit_in_place(store, &block->slots[at].block, rest, edit, visit);
    if (rc == -EAGAIN) visit->missing_index += index - rest;
    if (rc <= 0) return rc;
    const struct block *child = block->slots[at].block;
    block->slots[at].element_count = child->element_count;
    block->element_count += child->element_count - elements;
    block->element_bytes += child->element_bytes - bytes;
    return 1;
}
