/* The oldest in a tree of what is pending, in order: nodes and items wait in a heap, the oldest
 * first; a node that comes out is replaced by what is in it. So only nodes are opened that have
 * something to give, and one more a level. */
#include "modules/stream/pending_node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct candidate {
    uint64_t since;
    struct stream_id id;             /* of an item; of a node: not above any in it */
    const struct pending_node *node; /* NULL: an item */
    struct pending_item item;
};

struct queue {
    struct candidate *candidates; /* a heap */
    size_t count, capacity;
};

static bool is_before(const struct candidate *a, const struct candidate *b)
{
    int order;

    if (a->since != b->since) return a->since < b->since;
    order = stream_id_compare(a->id, b->id);
    if (order != 0) return order < 0;
    return a->node && !b->node; /* what is in it may come first */
}

static int add(struct queue *queue, const struct candidate *candidate)
{
    size_t at = queue->count;

    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity ? 2 * queue->capacity : 64;
        struct candidate *grown = realloc(queue->candidates, capacity * sizeof(*grown));
        if (!grown) return -ENOMEM;
        queue->candidates = grown;
        queue->capacity = capacity;
    }
    queue->count++;
    while (at > 0 && is_before(candidate, &queue->candidates[(at - 1) / 2])) {
        queue->candidates[at] = queue->candidates[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->candidates[at] = *candidate;
    return 0;
}

static struct candidate take(struct queue *queue)
{
    struct candidate first = queue->candidates[0], last = queue->candidates[--queue->count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < queue->count) {
        if (child + 1 < queue->count &&
            is_before(&queue->candidates[child + 1], &queue->candidates[child]))
            child++;
        if (!is_before(&queue->candidates[child], &last)) break;
        queue->candidates[at] = queue->candidates[child];
        at = child;
    }
    queue->candidates[at] = last;
    return first;
}

/* What is in node and old enough. least: no id in it is below. */
static int open_node(struct queue *queue, const struct pending_node *node, struct stream_id least,
                     uint64_t since_max)
{
    for (unsigned i = 0; i < node->count; i++) {
        struct candidate candidate = { .since = pending_since(node)[i] };
        int rc;

        if (candidate.since > since_max) continue;
        if (node->height == 0) {
            candidate.item = pending_leaf_item(node, i);
            candidate.id = candidate.item.id;
        } else {
            candidate.node = pending_children(node)[i];
            candidate.id = i == 0 ? least : pending_ids(node)[i];
        }
        rc = add(queue, &candidate);
        if (rc < 0) return rc;
    }
    return 0;
}

int64_t pending_tree_oldest_of(const struct pending_tree *tree, uint64_t since_max,
                               struct pending_item *items, uint64_t item_max)
{
    struct queue queue = { .count = 0 };
    uint64_t count = 0;
    int rc = tree->root ? open_node(&queue, tree->root, STREAM_ID_MIN, since_max) : 0;

    while (rc == 0 && queue.count > 0 && count < item_max) {
        struct candidate candidate = take(&queue);

        if (candidate.node)
            rc = open_node(&queue, candidate.node, candidate.id, since_max);
        else
            items[count++] = candidate.item;
    }
    free(queue.candidates);
    return rc < 0 ? rc : (int64_t)count;
}
