/* pending_tree.h - what is pending, by id: a B+tree whose nodes know the oldest that is below them.
 *
 * The tree of a group keeps for each id since when it is pending, how often it was delivered, and
 * to whom; a consumer's tree keeps ids and since, so that what is oldest is found there, too. Nodes
 * are blocks of up to 2 KiB, their columns one behind the other:
 *
 *   leaf of a group      header | ids | since | delivery counts | consumers
 *   leaf of a consumer   header | ids | since
 *   inner node           header | least ids | oldest since | children
 *
 * All leaves are at the same depth. least[0] of a node is not looked at; least[i] is above all ids
 * of child i-1, and not above any of child i. Ids are often appended and often removed at the
 * front: a node that is split at its end stays full, and one that is empty goes; those that are
 * less than half full are put together where they fit.
 *
 * Nodes have reference counts: whoever keeps a root has the tree as it was. A change copies the
 * shared nodes on its way. Changes are prepared first, which may fail and leaves what the tree
 * holds as it was, and then done, which does not fail. One thread. */
#ifndef MODULES_STREAM_PENDING_TREE_H
#define MODULES_STREAM_PENDING_TREE_H
#include "modules/stream/stream_id.h"

#include <stddef.h>

enum {
    PENDING_NODE_BYTES = 2048,
    PENDING_HEIGHT_MAX = 12, /* a half-full tree of that height would hold 31^12 leaves */
};

struct pending_node;

/* Of all trees that share it. */
struct pending_account {
    uint64_t node_bytes;         /* of all nodes that there are */
    struct pending_node *buried; /* to be freed, each with what only it refers to */
};

struct pending_tree {
    struct pending_node *root; /* NULL: nothing is pending */
    uint64_t count;
    uint64_t node_bytes; /* of its nodes, shared or not */
    bool has_owners;     /* a group's */
};

struct pending_item {
    struct stream_id id;
    uint64_t since;
    uint64_t delivery_count; /* this and consumer: of a group's */
    uint32_t consumer;
};

/* The way to an id, from the root down. Good until the tree is changed. */
struct pending_path {
    struct pending_node *nodes[PENDING_HEIGHT_MAX + 1];
    uint16_t at[PENDING_HEIGHT_MAX + 1];
    unsigned leaf; /* the index of the last one */
    bool is_there; /* the leaf has that id, at that place */
};

/* ---- looking ---- */

bool pending_tree_find(const struct pending_tree *tree, struct stream_id id,
                       struct pending_item *out_item);
/* The first from that id on with since <= since_max, and what follows it in its leaf with any
 * since: so many items, 0: there is none. item_max is at least 1. */
unsigned pending_tree_read(const struct pending_tree *tree, struct stream_id from,
                           uint64_t since_max, struct pending_item *items, unsigned item_max);
/* The one with the least since; of several, with the least id. False: the tree is empty. */
bool pending_tree_oldest(const struct pending_tree *tree, struct pending_item *out_item);
/* Those with since <= since_max, as pending_tree_oldest would give them one after the other. The
 * tree is not changed until finish. Fields are for pending_oldest.c only. */
struct pending_search {
    struct pending_candidate *candidates; /* a heap */
    size_t count, capacity;
    uint64_t since_max;
};
/* -ENOMEM; finish follows in any case. */
int pending_search_begin(struct pending_search *search, const struct pending_tree *tree,
                         uint64_t since_max);
/* At most item_max: how many; 0: that was all. -ENOMEM: only finish may follow. */
int pending_search_next(struct pending_search *search, struct pending_item *items,
                        unsigned item_max);
void pending_search_finish(struct pending_search *search);
/* The one with the greatest id. */
bool pending_tree_last(const struct pending_tree *tree, struct pending_item *out_item);

/* ---- changing ---- */

/* adds: there will be room for id. -ENOMEM. Other trees may be prepared, too, before this one is
 * changed. */
int pending_tree_prepare(struct pending_tree *tree, struct pending_account *account,
                         struct stream_id id, bool adds, struct pending_path *path);
/* path was prepared: with adds, and it is not there; or it is there. */
void pending_tree_insert(struct pending_tree *tree, const struct pending_path *path,
                         const struct pending_item *item);
void pending_tree_replace(struct pending_tree *tree, const struct pending_path *path,
                          const struct pending_item *item);
void pending_tree_remove(struct pending_tree *tree, struct pending_account *account,
                         const struct pending_path *path);

/* ---- sharing and freeing ---- */

/* Another tree with the same contents, which is only read. */
void pending_tree_share(const struct pending_tree *tree, struct pending_tree *out_copy);
/* Gives up all of it; what nobody else refers to is buried. The tree is empty then. */
void pending_tree_drop(struct pending_tree *tree, struct pending_account *account);
/* Frees so many nodes of what is buried. True: there is more. */
bool pending_account_tick(struct pending_account *account, unsigned node_max);

/* Asserts the invariants. */
void pending_tree_check(const struct pending_tree *tree);
#endif
