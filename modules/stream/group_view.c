/* A view is a group whose trees are shared with the one that it was taken of, with consumers of its
 * own: it has their names and what is pending for them. What it does not own is held. */
#include "modules/base/alloc_size.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Who makes one pays for those that were dropped, or who asks for many in a turn would have them
 * all in memory: the ticks alone free a few hundred pieces a turn, and each consumer is one. */
enum { FREED_A_VIEW = 32, FREED_A_CONSUMER = 2 };

struct stream_group_view {
    struct stream_group_store *store;
    struct stream_group *held;
    struct stream_group_view *next_dropped;
    struct stream_group shown; /* its slots have consumers of held, or of the view */
    struct stream_consumer *consumers;
    uint32_t capacity; /* of them */
};

/* ---- taking ---- */

static uint64_t own_bytes(const struct stream_group_view *view)
{
    const struct stream_group *shown = &view->shown;
    uint64_t bytes = alloc_size(sizeof(*view));

    if (shown->slots) bytes += alloc_size(shown->slot_count * sizeof(*shown->slots));
    if (view->consumers) bytes += alloc_size(view->capacity * sizeof(*view->consumers));
    if (shown->order.items) bytes += alloc_size(view->capacity * sizeof(*shown->order.items));
    return bytes;
}

static void free_view(struct stream_group_view *view)
{
    free(view->shown.slots);
    free((void *)view->shown.order.items);
    free(view->consumers);
    free(view);
}

static int make_room(struct stream_group_view *view, const struct stream_group *group,
                     uint32_t capacity)
{
    struct stream_group *shown = &view->shown;

    if (group->slot_count > 0) {
        shown->slots = malloc(group->slot_count * sizeof(*shown->slots));
        if (!shown->slots) return -ENOMEM;
        memcpy(shown->slots, group->slots, group->slot_count * sizeof(*shown->slots));
    }
    if (capacity == 0) return 0;
    view->consumers = malloc(capacity * sizeof(*view->consumers));
    shown->order.items = malloc(capacity * sizeof(*shown->order.items));
    shown->order.capacity = view->capacity = capacity;
    return view->consumers && shown->order.items ? 0 : -ENOMEM;
}

int stream_group_view_create(struct stream_group *group, uint32_t consumer_capacity,
                             struct stream_group_view **out_view)
{
    struct stream_group_view *view;

    (void)stream_group_store_tick(group->groups->store, FREED_A_VIEW);
    view = calloc(1, sizeof(*view));
    if (!view) return -ENOMEM;
    view->shown = *group;
    view->shown.slots = NULL;
    view->shown.order = (struct name_order){ .items = NULL };
    if (make_room(view, group, consumer_capacity) < 0) {
        free_view(view);
        return -ENOMEM;
    }
    view->store = group->groups->store;
    view->held = group;
    group_hold(group);
    pending_tree_share(&group->pending, &view->shown.pending);
    view->store->picture_bytes += own_bytes(view);
    *out_view = view;
    return 0;
}

const struct stream_consumer *stream_group_view_add(struct stream_group_view *view,
                                                    const struct stream_consumer *consumer)
{
    struct name_order *order = &view->shown.order;
    struct stream_consumer *own = &view->consumers[order->count];

    (void)stream_group_store_tick(view->store, FREED_A_CONSUMER);
    assert(order->count < view->capacity);
    assert(view->shown.slots[consumer->number].consumer == consumer);
    *own = *consumer;
    pending_tree_share(&consumer->pending, &own->pending);
    view->shown.slots[consumer->number].consumer = own;
    order->items[order->count++] = own;
    return own;
}

const struct stream_group *stream_group_view_group(const struct stream_group_view *view)
{
    return &view->shown;
}

/* ---- giving up ---- */

void stream_group_view_drop(struct stream_group_view *view)
{
    if (!view) return;
    view->next_dropped = view->store->views;
    view->store->views = view;
}

void group_view_free_next(struct stream_group_store *store)
{
    struct stream_group_view *view = store->views;
    struct name_order *order = &view->shown.order;

    if (order->count > 0) {
        pending_tree_drop(&view->consumers[--order->count].pending, &store->account);
        return;
    }
    store->views = view->next_dropped;
    pending_tree_drop(&view->shown.pending, &store->account);
    group_unhold(store, view->held);
    store->picture_bytes -= own_bytes(view);
    free_view(view);
}
