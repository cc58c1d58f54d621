/* Groups that were removed are freed some at a time: consumers one by one, whose nodes are buried
 * (pending_node.c), then the group; of a stream that has gone, one group after the other. What is
 * held waits until it is not. */
#include "modules/base/alloc_size.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <stdlib.h>

/* ---- burying ---- */

static void push_grave(struct stream_group_store *store, struct stream_group *group)
{
    group->next_buried = store->graves;
    store->graves = group;
}

/* What it takes is the store's. */
static void bury(struct stream_group_store *store, struct stream_group *group)
{
    group->groups = NULL;
    if (group->holder_count == 0) push_grave(store, group);
}

void group_bury(struct stream_group *group)
{
    struct stream_groups *groups = group->groups;
    struct stream_group_store *store = groups->store;

    groups->tree_bytes -= group->tree_bytes;
    groups->other_bytes -= group->other_bytes;
    store->tree_bytes -= group->tree_bytes;
    store->buried_bytes += group->other_bytes;
    bury(store, group);
}

void stream_groups_destroy(struct stream_groups *groups)
{
    struct stream_group_store *store;

    if (!groups) return;
    store = groups->store;
    store->tree_bytes -= groups->tree_bytes;
    store->buried_bytes += groups->other_bytes;
    groups->next_buried = store->sets;
    store->sets = groups;
}

/* ---- holding ---- */

void group_bury_consumer(struct stream_group *group, struct stream_consumer *consumer)
{
    uint64_t bytes = alloc_size(sizeof(*consumer) + consumer->name.size);

    group->other_bytes -= bytes;
    group->groups->other_bytes -= bytes;
    if (group->holder_count == 0) {
        free(consumer);
        return;
    }
    group->groups->store->buried_bytes += bytes;
    consumer->next_gone = NULL;
    if (group->last_gone)
        group->last_gone->next_gone = consumer;
    else
        group->first_gone = consumer;
    group->last_gone = consumer;
}

void group_hold(struct stream_group *group)
{
    group->holder_count++;
}

void group_unhold(struct stream_group_store *store, struct stream_group *group)
{
    assert(group->holder_count > 0);
    if (--group->holder_count > 0) return;
    if (group->last_gone) {
        group->last_gone->next_gone = store->gone;
        store->gone = group->first_gone;
        group->first_gone = group->last_gone = NULL;
    }
    if (!group->groups) push_grave(store, group);
}

/* ---- freeing ---- */

static void free_array(struct stream_group_store *store, void *array, size_t bytes)
{
    if (array) store->buried_bytes -= alloc_size(bytes);
    free(array);
}

static void free_consumer(struct stream_group_store *store, struct stream_consumer *consumer)
{
    pending_tree_drop(&consumer->pending, &store->account);
    named_free(consumer, sizeof(*consumer), &store->buried_bytes);
}

/* It has no consumers any more. */
static void free_group(struct stream_group_store *store, struct stream_group *group)
{
    pending_tree_drop(&group->pending, &store->account);
    free_array(store, (void *)group->order.items, group->order.capacity * sizeof(void *));
    free_array(store, group->slots, group->slot_capacity * sizeof(*group->slots));
    named_free(group, sizeof(*group), &store->buried_bytes);
}

static void free_set(struct stream_group_store *store, struct stream_groups *groups)
{
    free_array(store, (void *)groups->order.items, groups->order.capacity * sizeof(void *));
    store->buried_bytes -= alloc_size(sizeof(*groups));
    free(groups);
}

static void free_gone(struct stream_group_store *store)
{
    struct stream_consumer *consumer = store->gone;

    store->gone = consumer->next_gone;
    named_free(consumer, sizeof(*consumer), &store->buried_bytes);
}

static bool has_more(const struct stream_group_store *store)
{
    return store->views || store->gone || store->graves || store->sets;
}

/* Some of a view, a consumer, or a group without any, or the next group of a set. */
static void free_next(struct stream_group_store *store)
{
    struct stream_group *group = store->graves;
    struct stream_groups *set = store->sets;

    if (store->views) {
        group_view_free_next(store);
    } else if (store->gone) {
        free_gone(store);
    } else if (group && group->order.count > 0) {
        free_consumer(store, group->order.items[--group->order.count]);
    } else if (group) {
        store->graves = group->next_buried;
        free_group(store, group);
    } else if (set->order.count > 0) {
        bury(store, set->order.items[--set->order.count]);
    } else {
        store->sets = set->next_buried;
        free_set(store, set);
    }
}

bool stream_group_store_tick(struct stream_group_store *store, unsigned node_max)
{
    for (; node_max > 0 && has_more(store); node_max--)
        free_next(store);
    return pending_account_tick(&store->account, node_max) || has_more(store);
}
