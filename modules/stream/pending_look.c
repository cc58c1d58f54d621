/* Looking into a tree of what is pending, and checking it. */
#include "modules/stream/pending_node.h"

#include <assert.h>

bool pending_tree_find(const struct pending_tree *tree, struct stream_id id,
                       struct pending_item *out_item)
{
    const struct pending_node *node = tree->root;
    unsigned place;

    if (!node) return false;
    while (node->height > 0)
        node = pending_children(node)[pending_inner_place(node, id)];
    place = pending_leaf_place(node, id);
    if (place == node->count || stream_id_compare(pending_ids(node)[place], id) != 0) return false;
    *out_item = pending_leaf_item(node, place);
    return true;
}

/* The first element from place on with since <= since_max; count: none. */
static unsigned next_old(const struct pending_node *node, unsigned place, uint64_t since_max)
{
    const uint64_t *since = pending_since(node);
    while (place < node->count && since[place] > since_max)
        place++;
    return place;
}

/* Only on the way to from can a child that has something old enough have it before from: so at most
 * one child a level is looked into in vain. */
static const struct pending_node *look_below(const struct pending_node *node, struct stream_id from,
                                             uint64_t since_max, unsigned *out_place)
{
    unsigned place;

    if (node->height == 0) {
        *out_place = next_old(node, pending_leaf_place(node, from), since_max);
        return *out_place < node->count ? node : NULL;
    }
    place = pending_inner_place(node, from);
    while ((place = next_old(node, place, since_max)) < node->count) {
        const struct pending_node *leaf =
            look_below(pending_children(node)[place], from, since_max, out_place);
        if (leaf) return leaf;
        place++;
    }
    return NULL;
}

unsigned pending_tree_read(const struct pending_tree *tree, struct stream_id from,
                           uint64_t since_max, struct pending_item *items, unsigned item_max)
{
    const struct pending_node *leaf;
    unsigned place, count = 0;

    assert(item_max > 0);
    leaf = tree->root ? look_below(tree->root, from, since_max, &place) : NULL;
    if (!leaf) return 0;
    while (count < item_max && place < leaf->count)
        items[count++] = pending_leaf_item(leaf, place++);
    return count;
}

static unsigned oldest_place(const struct pending_node *node)
{
    const uint64_t *since = pending_since(node);
    unsigned place = 0;

    for (unsigned i = 1; i < node->count; i++)
        if (since[i] < since[place]) place = i;
    return place;
}

bool pending_tree_oldest(const struct pending_tree *tree, struct pending_item *out_item)
{
    const struct pending_node *node = tree->root;

    if (!node || node->count == 0) return false;
    while (node->height > 0)
        node = pending_children(node)[oldest_place(node)];
    *out_item = pending_leaf_item(node, oldest_place(node));
    return true;
}

bool pending_tree_last(const struct pending_tree *tree, struct pending_item *out_item)
{
    const struct pending_node *node = tree->root;

    if (!node || node->count == 0) return false;
    while (node->height > 0)
        node = pending_children(node)[node->count - 1];
    *out_item = pending_leaf_item(node, node->count - 1u);
    return true;
}

/* ---- checking ---- */

struct walk {
    uint64_t count, bytes;
    struct stream_id last;
    bool has_last, has_owners;
};

static void check_leaf(const struct pending_node *leaf, struct walk *walk)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        struct stream_id id = pending_ids(leaf)[i];
        assert(!walk->has_last || stream_id_compare(walk->last, id) < 0);
        walk->last = id;
        walk->has_last = true;
    }
    walk->count += leaf->count;
}

static void check_node(const struct pending_node *node, struct walk *walk)
{
    assert(node->ref_count > 0 && node->count <= node->capacity);
    assert(node->has_owners == walk->has_owners);
    walk->bytes += pending_node_size(node);
    if (node->height == 0) {
        check_leaf(node, walk);
        return;
    }
    for (unsigned i = 0; i < node->count; i++) {
        const struct pending_node *child = pending_children(node)[i];
        struct stream_id least = pending_ids(node)[i];

        assert(child->height + 1 == node->height && child->count > 0);
        assert(pending_since(node)[i] == pending_node_oldest(child));
        /* What came before is below least, and what comes is not. */
        if (i > 0) assert(stream_id_compare(walk->last, least) < 0);
        check_node(child, walk);
        if (i > 0) {
            const struct pending_node *first = child;
            while (first->height > 0)
                first = pending_children(first)[0];
            assert(stream_id_compare(least, pending_ids(first)[0]) <= 0);
        }
    }
}

void pending_tree_check(const struct pending_tree *tree)
{
    struct walk walk = { .has_owners = tree->has_owners };

    if (tree->root) check_node(tree->root, &walk);
    assert(walk.count == tree->count && walk.bytes == tree->node_bytes);
    if (tree->root && tree->root->height > 0) assert(tree->root->count > 1);
}
