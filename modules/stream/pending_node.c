/* Nodes are counted as the allocator rounds them, in the account of all trees. */
#include "modules/stream/pending_node.h"

#include "modules/base/alloc_size.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

unsigned pending_leaf_max(bool has_owners)
{
    return has_owners ? PENDING_GROUP_LEAF_MAX : PENDING_CONSUMER_LEAF_MAX;
}

static size_t element_size(unsigned height, bool has_owners)
{
    size_t size = sizeof(struct stream_id) + sizeof(uint64_t);
    if (height > 0) return size + sizeof(struct pending_node *);
    return has_owners ? size + sizeof(uint64_t) + sizeof(uint32_t) : size;
}

static size_t node_size(unsigned height, bool has_owners, unsigned capacity)
{
    return alloc_size(PENDING_NODE_HEADER + capacity * element_size(height, has_owners));
}

size_t pending_node_size(const struct pending_node *node)
{
    return node_size(node->height, node->has_owners, node->capacity);
}

struct pending_node *pending_node_create(struct pending_account *account, unsigned height,
                                         bool has_owners, unsigned capacity)
{
    size_t size = node_size(height, has_owners, capacity);
    struct pending_node *node = malloc(size);

    assert(height <= PENDING_HEIGHT_MAX && size <= PENDING_NODE_BYTES);
    if (!node) return NULL;
    *node = (struct pending_node){ .ref_count = 1,
                                   .capacity = (uint16_t)capacity,
                                   .height = (uint8_t)height,
                                   .has_owners = has_owners };
    account->node_bytes += size;
    return node;
}

void pending_node_free(struct pending_account *account, struct pending_node *node)
{
    account->node_bytes -= pending_node_size(node);
    free(node);
}

/* ---- burying ---- */

static struct pending_node **next_buried(struct pending_node *node)
{
    return (struct pending_node **)(void *)pending_ids(node);
}

void pending_node_unref(struct pending_account *account, struct pending_node *node)
{
    assert(node->ref_count > 0);
    if (--node->ref_count > 0) return;
    *next_buried(node) = account->buried;
    account->buried = node;
}

bool pending_account_tick(struct pending_account *account, unsigned node_max)
{
    while (account->buried && node_max-- > 0) {
        struct pending_node *node = account->buried;

        account->buried = *next_buried(node);
        for (unsigned i = 0; node->height > 0 && i < node->count; i++)
            pending_node_unref(account, pending_children(node)[i]);
        pending_node_free(account, node);
    }
    return account->buried != NULL;
}

/* ---- elements ---- */

void pending_node_move(struct pending_node *to, unsigned place, const struct pending_node *from,
                       unsigned begin, unsigned count)
{
    memmove(pending_ids(to) + place, pending_ids(from) + begin, count * sizeof(struct stream_id));
    memmove(pending_since(to) + place, pending_since(from) + begin, count * sizeof(uint64_t));
    if (to->height > 0) {
        memmove(pending_children(to) + place, pending_children(from) + begin,
                count * sizeof(struct pending_node *));
    } else if (to->has_owners) {
        memmove(pending_counts(to) + place, pending_counts(from) + begin, count * sizeof(uint64_t));
        memmove(pending_consumers(to) + place, pending_consumers(from) + begin,
                count * sizeof(uint32_t));
    }
}

/* The first of ids[begin, end) that is above id, or not below it. */
static unsigned place_of(const struct stream_id *ids, unsigned begin, unsigned end,
                         struct stream_id id, bool above)
{
    while (begin < end) {
        unsigned middle = (begin + end) / 2;
        int order = stream_id_compare(ids[middle], id);

        if (order < 0 || (above && order == 0))
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

unsigned pending_leaf_place(const struct pending_node *leaf, struct stream_id id)
{
    return place_of(pending_ids(leaf), 0, leaf->count, id, false);
}

unsigned pending_inner_place(const struct pending_node *node, struct stream_id id)
{
    return place_of(pending_ids(node), 1, node->count, id, true) - 1;
}

uint64_t pending_node_oldest(const struct pending_node *node)
{
    const uint64_t *since = pending_since(node);
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < node->count; i++)
        oldest = since[i] < oldest ? since[i] : oldest;
    return oldest;
}

struct pending_item pending_leaf_item(const struct pending_node *leaf, unsigned place)
{
    struct pending_item item = { .id = pending_ids(leaf)[place],
                                 .since = pending_since(leaf)[place] };
    assert(leaf->height == 0 && place < leaf->count);
    if (leaf->has_owners) {
        item.delivery_count = pending_counts(leaf)[place];
        item.consumer = pending_consumers(leaf)[place];
    }
    return item;
}
