/* pending_node.h - the nodes of pending_tree.h, for its files only. */
#ifndef MODULES_STREAM_PENDING_NODE_H
#define MODULES_STREAM_PENDING_NODE_H
#include "modules/stream/pending_tree.h"

#include <assert.h>

enum {
    PENDING_INNER_MAX = 63,         /* 16 + 63 * 32 bytes */
    PENDING_GROUP_LEAF_MAX = 56,    /* 16 + 56 * 36 bytes */
    PENDING_CONSUMER_LEAF_MAX = 84, /* 16 + 84 * 24 bytes */
    PENDING_LEAF_MIN = 4,           /* a leaf that is the root is as small as it can be */
};

struct pending_node {
    uint32_t ref_count; /* above 1: shared, copy before writing */
    uint16_t count;     /* <= capacity */
    uint16_t capacity;
    uint8_t height; /* 0: a leaf */
    bool has_owners;
    /* Columns follow, each of capacity elements. A buried node has the next one's address there. */
};
static_assert(sizeof(struct pending_node) == 12, "columns begin at 16");
enum { PENDING_NODE_HEADER = 16 };

static inline struct stream_id *pending_ids(const struct pending_node *node)
{
    return (struct stream_id *)(void *)((uint8_t *)(uintptr_t)node + PENDING_NODE_HEADER);
}

/* In a leaf: of each item; in an inner node: the least of each child. */
static inline uint64_t *pending_since(const struct pending_node *node)
{
    return (uint64_t *)(void *)(pending_ids(node) + node->capacity);
}

static inline struct pending_node **pending_children(const struct pending_node *node)
{
    return (struct pending_node **)(void *)(pending_since(node) + node->capacity);
}

static inline uint64_t *pending_counts(const struct pending_node *node)
{
    return pending_since(node) + node->capacity;
}

static inline uint32_t *pending_consumers(const struct pending_node *node)
{
    return (uint32_t *)(void *)(pending_counts(node) + node->capacity);
}

size_t pending_node_size(const struct pending_node *node);
/* With one reference and nothing in it. NULL: no memory. */
struct pending_node *pending_node_create(struct pending_account *account, unsigned height,
                                         bool has_owners, unsigned capacity);
/* Frees this node alone. */
void pending_node_free(struct pending_account *account, struct pending_node *node);
/* One reference less; with the last one it is buried. */
void pending_node_unref(struct pending_account *account, struct pending_node *node);
unsigned pending_leaf_max(bool has_owners);
/* Elements [begin, begin + count) of from become those of to from place on, which may overlap. */
void pending_node_move(struct pending_node *to, unsigned place, const struct pending_node *from,
                       unsigned begin, unsigned count);

/* The first element whose id is not less; count: none. */
unsigned pending_leaf_place(const struct pending_node *leaf, struct stream_id id);
/* The child in which id is, if anywhere. */
unsigned pending_inner_place(const struct pending_node *node, struct stream_id id);
/* The least since in a node. */
uint64_t pending_node_oldest(const struct pending_node *node);
struct pending_item pending_leaf_item(const struct pending_node *leaf, unsigned place);
#endif
