/* The oldest in a tree of what is pending, in order: nodes and items wait in a heap, the oldest
 * first; a node that comes out is replaced by what is in it. So only nodes are opened that have
 * something to give, and one more a level. */
#include "modules/stream/pending_node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct pending_candidate {
    uint64_t since;
    struct stream_id id;             /* of an item; of a node: not above any in it */
    const struct pending_node *node; /* NULL: an item */
    struct pending_item item;
};

static bool is_before(const struct pending_candidate *a, const struct pending_candidate *b)
{
    int order;

    if (a->since != b->since) return a->since < b->since;
    order = stream_id_compare(a->id, b->id);
    if (order != 0) return order < 0;
    return a->node && !b->node; /* what is in it may come first */
}

static int add(struct pending_search *search, const struct pending_candidate *candidate)
{
    size_t at = search->count;

    if (search->count == search->capacity) {
        size_t capacity = search->capacity ? 2 * search->capacity : 64;
        struct pending_candidate *grown = realloc(search->candidates, capacity * sizeof(*grown));
        if (!grown) return -ENOMEM;
        search->candidates = grown;
        search->capacity = capacity;
    }
    search->count++;
    while (at > 0 && is_before(candidate, &search->candidates[(at - 1) / 2])) {
        search->candidates[at] = search->candidates[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    search->candidates[at] = *candidate;
    return 0;
}

static struct pending_candidate take(struct pending_search *search)
{
    struct pending_candidate first = search->candidates[0],
                             last = search->candidates[--search->count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < search->count) {
        if (child + 1 < search->count &&
            is_before(&search->candidates[child + 1], &search->candidates[child]))
            child++;
        if (!is_before(&search->candidates[child], &last)) break;
        search->candidates[at] = search->candidates[child];
        at = child;
    }
    search->candidates[at] = last;
    return first;
}

/* What is in node and old enough. least: no id in it is below. */
static int open_node(struct pending_search *search, const struct pending_node *node,
                     struct stream_id least)
{
    for (unsigned i = 0; i < node->count; i++) {
        struct pending_candidate candidate = { .since = pending_since(node)[i] };
        int rc;

        if (candidate.since > search->since_max) continue;
        if (node->height == 0) {
            candidate.item = pending_leaf_item(node, i);
            candidate.id = candidate.item.id;
        } else {
            candidate.node = pending_children(node)[i];
            candidate.id = i == 0 ? least : pending_ids(node)[i];
        }
        rc = add(search, &candidate);
        if (rc < 0) return rc;
    }
    return 0;
}

int pending_search_begin(struct pending_search *search, const struct pending_tree *tree,
                         uint64_t since_max)
{
    *search = (struct pending_search){ .since_max = since_max };
    return tree->root ? open_node(search, tree->root, STREAM_ID_MIN) : 0;
}

int pending_search_next(struct pending_search *search, struct pending_item *items,
                        unsigned item_max)
{
    unsigned count = 0;

    while (search->count > 0 && count < item_max) {
        struct pending_candidate candidate = take(search);
        int rc = 0;

        if (candidate.node)
            rc = open_node(search, candidate.node, candidate.id);
        else
            items[count++] = candidate.item;
        if (rc < 0) return rc;
    }
    return (int)count;
}

void pending_search_finish(struct pending_search *search)
{
    free(search->candidates);
    search->candidates = NULL;
}
