/* Changing a tree of what is pending: from the root down nodes that are shared are copied, and full
 * ones split, which may find no memory and changes nothing that the tree holds; then the change is
 * made in the leaf, and the oldest of each node is told upward. */
#include "modules/stream/pending_node.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct pending_node *make_node(struct pending_tree *tree, struct pending_account *account,
                                      unsigned height, unsigned capacity)
{
    struct pending_node *node = pending_node_create(account, height, tree->has_owners, capacity);
    if (node) tree->node_bytes += pending_node_size(node);
    return node;
}

static void free_node(struct pending_tree *tree, struct pending_account *account,
                      struct pending_node *node)
{
    tree->node_bytes -= pending_node_size(node);
    pending_node_free(account, node);
}

/* ---- on the way down ---- */

/* *slot is this tree's alone. What it was a copy of stays in the account. */
static int own(struct pending_account *account, struct pending_node **slot)
{
    struct pending_node *shared = *slot, *node;

    if (shared->ref_count == 1) return 0;
    node = pending_node_create(account, shared->height, shared->has_owners, shared->capacity);
    if (!node) return -ENOMEM;
    node->count = shared->count;
    pending_node_move(node, 0, shared, 0, shared->count);
    for (unsigned i = 0; node->height > 0 && i < node->count; i++)
        pending_children(node)[i]->ref_count++;
    shared->ref_count--;
    *slot = node;
    return 0;
}

static void insert_child(struct pending_node *parent, unsigned at, struct stream_id least,
                         struct pending_node *child)
{
    assert(parent->count < parent->capacity);
    pending_node_move(parent, at + 1, parent, at, parent->count - at);
    parent->count++;
    pending_ids(parent)[at] = least;
    pending_since(parent)[at] = pending_node_oldest(child);
    pending_children(parent)[at] = child;
}

static void remove_child(struct pending_node *parent, unsigned at)
{
    parent->count--;
    pending_node_move(parent, at, parent, at + 1, parent->count - at);
}

/* What is appended leaves a full node behind it. */
static unsigned split_place(const struct pending_node *node, struct stream_id id)
{
    bool at_end = node->height == 0 ? pending_leaf_place(node, id) == node->count
                                    : pending_inner_place(node, id) == node->count - 1u;
    return at_end ? node->count - 1u : node->count / 2u;
}

static int split_child(struct pending_tree *tree, struct pending_account *account,
                       struct pending_node *parent, unsigned at, struct stream_id id)
{
    struct pending_node *child = pending_children(parent)[at];
    struct pending_node *right = make_node(tree, account, child->height, child->capacity);
    unsigned keep;

    if (!right) return -ENOMEM;
    keep = split_place(child, id);
    right->count = (uint16_t)(child->count - keep);
    pending_node_move(right, 0, child, keep, right->count);
    child->count = (uint16_t)keep;
    pending_since(parent)[at] = pending_node_oldest(child);
    insert_child(parent, at + 1, pending_ids(right)[0], right);
    return 0;
}

/* The root is a leaf of another capacity, for which it is not too small. */
static int resize_leaf(struct pending_tree *tree, struct pending_account *account,
                       unsigned capacity)
{
    struct pending_node *old = tree->root, *leaf = make_node(tree, account, 0, capacity);

    if (!leaf) return -ENOMEM;
    leaf->count = old->count;
    pending_node_move(leaf, 0, old, 0, old->count);
    tree->root = leaf;
    free_node(tree, account, old);
    return 0;
}

static int split_root(struct pending_tree *tree, struct pending_account *account,
                      struct stream_id id)
{
    struct pending_node *root =
        make_node(tree, account, tree->root->height + 1u, PENDING_INNER_MAX);
    int rc;

    if (!root) return -ENOMEM;
    insert_child(root, 0, STREAM_ID_MIN, tree->root);
    rc = split_child(tree, account, root, 0, id);
    if (rc < 0)
        free_node(tree, account, root);
    else
        tree->root = root;
    return rc;
}

static int prepare_root(struct pending_tree *tree, struct pending_account *account,
                        struct stream_id id, bool adds)
{
    unsigned leaf_max = pending_leaf_max(tree->has_owners), capacity;
    int rc;

    if (!tree->root) {
        assert(adds);
        tree->root = make_node(tree, account, 0, PENDING_LEAF_MIN);
        return tree->root ? 0 : -ENOMEM;
    }
    rc = own(account, &tree->root);
    if (rc < 0 || !adds || tree->root->count < tree->root->capacity) return rc;
    if (tree->root->height > 0 || tree->root->capacity == leaf_max)
        return split_root(tree, account, id);
    capacity = 2u * tree->root->capacity;
    return resize_leaf(tree, account, capacity < leaf_max ? capacity : leaf_max);
}

static int prepare_child(struct pending_tree *tree, struct pending_account *account,
                         struct pending_node *node, struct stream_id id, bool adds,
                         uint16_t *out_at)
{
    unsigned at = pending_inner_place(node, id);
    struct pending_node **child = &pending_children(node)[at];
    int rc = own(account, child);

    if (rc == 0 && adds && (*child)->count == (*child)->capacity) {
        rc = split_child(tree, account, node, at, id);
        at = pending_inner_place(node, id);
    }
    *out_at = (uint16_t)at;
    return rc;
}

int pending_tree_prepare(struct pending_tree *tree, struct pending_account *account,
                         struct stream_id id, bool adds, struct pending_path *path)
{
    struct pending_node *node;
    unsigned level = 0, place;
    int rc = prepare_root(tree, account, id, adds);

    if (rc < 0) return rc;
    for (node = tree->root; node->height > 0; node = pending_children(node)[path->at[level++]]) {
        path->nodes[level] = node;
        rc = prepare_child(tree, account, node, id, adds, &path->at[level]);
        if (rc < 0) return rc;
    }
    place = pending_leaf_place(node, id);
    path->nodes[level] = node;
    path->at[level] = (uint16_t)place;
    path->leaf = level;
    path->is_there = place < node->count && stream_id_compare(pending_ids(node)[place], id) == 0;
    return 0;
}

/* ---- in the leaf, and up again ---- */

static void set_item(struct pending_node *leaf, unsigned place, const struct pending_item *item)
{
    pending_ids(leaf)[place] = item->id;
    pending_since(leaf)[place] = item->since;
    if (!leaf->has_owners) return;
    pending_counts(leaf)[place] = item->delivery_count;
    pending_consumers(leaf)[place] = item->consumer;
}

/* Something came into the leaf with that since: it may be the oldest. To be called first, while no
 * node knows of it. */
static void tell_older(const struct pending_path *path, uint64_t since)
{
    for (unsigned level = path->leaf; level > 0; level--) {
        uint64_t *oldest = &pending_since(path->nodes[level - 1])[path->at[level - 1]];
        if (*oldest <= since) return;
        *oldest = since;
    }
}

/* What had that since has left the node at level. */
static void tell_gone(const struct pending_path *path, unsigned level, uint64_t since)
{
    uint64_t *oldest = &pending_since(path->nodes[level - 1])[path->at[level - 1]];
    if (*oldest == since) *oldest = pending_node_oldest(path->nodes[level]);
}

void pending_tree_insert(struct pending_tree *tree, const struct pending_path *path,
                         const struct pending_item *item)
{
    struct pending_node *leaf = path->nodes[path->leaf];
    unsigned place = path->at[path->leaf];

    assert(!path->is_there && leaf->count < leaf->capacity);
    pending_node_move(leaf, place + 1, leaf, place, leaf->count - place);
    leaf->count++;
    set_item(leaf, place, item);
    tree->count++;
    tell_older(path, item->since);
}

void pending_tree_replace(struct pending_tree *tree, const struct pending_path *path,
                          const struct pending_item *item)
{
    struct pending_node *leaf = path->nodes[path->leaf];
    unsigned place = path->at[path->leaf];
    uint64_t old = pending_since(leaf)[place];

    (void)tree;
    assert(path->is_there && stream_id_compare(pending_ids(leaf)[place], item->id) == 0);
    set_item(leaf, place, item);
    if (item->since == old) return;
    tell_older(path, item->since);
    for (unsigned level = path->leaf; level > 0; level--)
        tell_gone(path, level, old);
}

/* The child at + 1 of parent comes into the one at. */
static void merge_children(struct pending_tree *tree, struct pending_account *account,
                           struct pending_node *parent, unsigned at)
{
    struct pending_node *left = pending_children(parent)[at];
    struct pending_node *right = pending_children(parent)[at + 1];

    pending_node_move(left, left->count, right, 0, right->count);
    if (left->height > 0) pending_ids(left)[left->count] = pending_ids(parent)[at + 1];
    left->count = (uint16_t)(left->count + right->count);
    pending_since(parent)[at] = pending_node_oldest(left);
    remove_child(parent, at + 1);
    free_node(tree, account, right);
}

static bool fit_into_one(const struct pending_node *parent, unsigned at)
{
    const struct pending_node *left = pending_children(parent)[at];
    const struct pending_node *right = pending_children(parent)[at + 1];

    return left->ref_count == 1 && right->ref_count == 1 &&
           left->count + right->count <= left->capacity * 3 / 4;
}

/* Shared neighbours are left alone, as a copy of one might find no memory. */
static void mend_child(struct pending_tree *tree, struct pending_account *account,
                       struct pending_node *parent, unsigned at)
{
    struct pending_node *child = pending_children(parent)[at];

    if (child->count == 0) {
        remove_child(parent, at);
        free_node(tree, account, child);
    } else if (child->count >= child->capacity / 2) {
        return;
    } else if (at > 0 && fit_into_one(parent, at - 1)) {
        merge_children(tree, account, parent, at - 1);
    } else if (at + 1u < parent->count && fit_into_one(parent, at)) {
        merge_children(tree, account, parent, at);
    }
}

static void mend_root(struct pending_tree *tree, struct pending_account *account)
{
    struct pending_node *root = tree->root;

    while (root->height > 0 && root->count == 1) {
        tree->root = pending_children(root)[0];
        free_node(tree, account, root);
        root = tree->root;
    }
    if (tree->count == 0) {
        tree->root = NULL;
        free_node(tree, account, root);
    } else if (root->height == 0 && root->ref_count == 1 && root->count <= root->capacity / 4 &&
               root->capacity > PENDING_LEAF_MIN) {
        unsigned half = root->capacity / 2u;
        /* Without memory for it, it stays too large. */
        (void)resize_leaf(tree, account, half > PENDING_LEAF_MIN ? half : PENDING_LEAF_MIN);
    }
}

void pending_tree_remove(struct pending_tree *tree, struct pending_account *account,
                         const struct pending_path *path)
{
    struct pending_node *leaf = path->nodes[path->leaf];
    unsigned place = path->at[path->leaf];
    uint64_t since = pending_since(leaf)[place];

    assert(path->is_there);
    leaf->count--;
    pending_node_move(leaf, place, leaf, place + 1, leaf->count - place);
    tree->count--;
    for (unsigned level = path->leaf; level > 0; level--) {
        tell_gone(path, level, since);
        mend_child(tree, account, path->nodes[level - 1], path->at[level - 1]);
    }
    mend_root(tree, account);
}

/* ---- sharing ---- */

void pending_tree_share(const struct pending_tree *tree, struct pending_tree *out_copy)
{
    *out_copy = *tree;
    if (tree->root) tree->root->ref_count++;
}

void pending_tree_drop(struct pending_tree *tree, struct pending_account *account)
{
    if (tree->root) pending_node_unref(account, tree->root);
    *tree = (struct pending_tree){ .has_owners = tree->has_owners };
}
