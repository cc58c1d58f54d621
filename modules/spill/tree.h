/* tree.h - a counted B+tree of chunks: nodes of at most 64 children, all leaves at the same depth.
 *
 * A tree is a block: NULL (empty), one chunk (height 0) or a node. Nodes may hold fewer children
 * than a textbook's; removing merges neighbours that fit into one where they meet. Functions never
 * wait and never start a read: what they miss they name in *visit and return -EAGAIN, with nothing
 * changed; the caller loads it and calls again (fetch.h). On -ENOMEM nothing has changed either.
 *
 * One thread. Trees of a store only. */
#ifndef MODULES_SPILL_TREE_H
#define MODULES_SPILL_TREE_H
#include "modules/spill/block.h"
#include "modules/spill/deque.h"

enum { VISIT_SEEN_MAX = 64, EDIT_PIECES_MAX = 3 };

/* What an attempt saw and what it missed. */
struct visit {
    struct block *missing;  /* set with -EAGAIN */
    uint64_t missing_index; /* of its first element, in the tree or deque it was looked for in */
    unsigned seen_count;    /* the first so many blocks that it needed and found */
    struct block *seen[VISIT_SEEN_MAX];
};

static inline void visit_begin(struct visit *visit)
{
    visit->missing = NULL;
    visit->seen_count = 0;
}

/* True when block is loaded; else it is what the attempt misses. */
bool visit_block(struct visit *visit, struct block *block, uint64_t index);

/* The leaf that holds element index < element_count, and the index of its first element. The leaf
 * itself need not be loaded. */
int tree_find(struct block *tree, uint64_t index, struct visit *visit, struct block **out_leaf,
              uint64_t *out_first);
/* Calls each for leaves (loaded or not) from the one that holds index on, towards an end, until it
 * returns false. -EAGAIN: a node on the way is not loaded. */
int tree_walk(struct block *tree, uint64_t index, enum spill_end towards, struct visit *visit,
              bool (*each)(void *context, struct block *leaf, uint64_t first), void *context);

/* Adds a subtree (a chunk or a tree) at an end, in place; takes its reference over. The path to the
 * edge where they meet must be loaded. */
int tree_push(struct spill_store *store, struct block **tree, enum spill_end end,
              struct block *subtree, struct visit *visit);
/* One tree of *tree and, at an end, another one, without looking into either: above the lower one
 * come nodes with one child. Takes the reference over. -ENOMEM; -EFBIG: it would be too high. */
int tree_join_unseen(struct spill_store *store, struct block **tree, enum spill_end end,
                     struct block *other);
/* Removes the leaf at an end, in place; its reference goes to the caller. It need not be loaded. */
int tree_take(struct spill_store *store, struct block **tree, enum spill_end end,
              struct visit *visit, struct block **out_leaf);

/* A tree without elements [begin, begin + count), which must lie within; NULL when none is left.
 * The given tree is as it was; the new one shares what it can. Subtrees wholly inside are not
 * visited. */
int tree_remove(struct spill_store *store, struct block *tree, uint64_t begin, uint64_t count,
                struct visit *visit, struct block **out_tree);

/* What is to happen at an index. */
enum edit_kind {
    EDIT_INSERT,  /* item before the element at index (== element count: after the last) */
    EDIT_REPLACE, /* item instead of the element at index */
    EDIT_LEAF,    /* leaf instead of the leaf that holds index */
};
struct edit {
    enum edit_kind kind;
    struct slice item;
    struct block
        *leaf; /* EDIT_LEAF: a chunk, or NULL: without it. The caller keeps its reference */
};
/* The same with one leaf edited: the new blocks (at most EDIT_PIECES_MAX, all of the tree's height;
 * none when nothing is left) take the place of tree, which is as it was. */
int tree_edit(struct spill_store *store, struct block *tree, uint64_t index,
              const struct edit *edit, struct visit *visit, struct block **out_pieces,
              unsigned *out_count);
/* The same in place, when the leaf has room: 1: done, 0: use tree_edit. */
int tree_edit_in_place(struct spill_store *store, struct block **tree, uint64_t index,
                       const struct edit *edit, struct visit *visit);
/* One tree of up to EDIT_PIECES_MAX blocks of equal height; takes the references over. */
int tree_of_pieces(struct spill_store *store, struct block **pieces, unsigned count,
                   struct block **out_tree);

/* While the root is a node with one child, that child is the tree. */
void tree_collapse(struct spill_store *store, struct block **tree);
/* Asserts the invariants of all that is loaded below. */
void tree_check(const struct spill_store *store, const struct block *tree);
#endif
