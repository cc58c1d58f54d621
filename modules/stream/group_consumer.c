/* Consumers of a group: by name in order, and by the number that what is pending has of them. A
 * number is used again when its consumer has gone, as nothing has it any more then. */
#include "modules/base/alloc_size.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

uint32_t stream_group_consumer_count(const struct stream_group *group)
{
    return group->order.count;
}

struct stream_consumer *stream_group_consumer_at(const struct stream_group *group, uint32_t index)
{
    assert(index < group->order.count);
    return group->order.items[index];
}

struct stream_consumer *stream_group_find_consumer(const struct stream_group *group,
                                                   struct slice name)
{
    bool is_there;
    uint32_t place = name_order_place(&group->order, name, &is_there);

    return is_there ? group->order.items[place] : NULL;
}

/* ---- numbers ---- */

static int reserve_slot(struct stream_group *group)
{
    uint64_t *bytes = &group->other_bytes;
    uint32_t capacity = grown_capacity(group->slot_capacity);
    union consumer_slot *slots;

    if (group->first_free != CONSUMER_NONE || group->slot_count < group->slot_capacity) return 0;
    slots = realloc(group->slots, capacity * sizeof(*slots));
    if (!slots) return -ENOMEM;
    if (group->slots) *bytes -= alloc_size(group->slot_capacity * sizeof(*slots));
    *bytes += alloc_size(capacity * sizeof(*slots));
    group->slots = slots;
    group->slot_capacity = capacity;
    return 0;
}

static uint32_t take_slot(struct stream_group *group, struct stream_consumer *consumer)
{
    uint32_t number = group->first_free;

    if (number == CONSUMER_NONE)
        number = group->slot_count++;
    else
        group->first_free = (uint32_t)(group->slots[number].next_free >> 1);
    group->slots[number].consumer = consumer;
    return number;
}

static void free_slot(struct stream_group *group, uint32_t number)
{
    group->slots[number].next_free = (uintptr_t)group->first_free << 1 | 1;
    group->first_free = number;
}

/* ---- coming and going ---- */

/* What it takes is counted in the group; arrays that grew before it failed, too. */
static int create_consumer(struct stream_group *group, struct slice name,
                           struct stream_consumer **out_consumer)
{
    int rc = name_order_reserve(&group->order, &group->other_bytes);

    if (rc == 0) rc = reserve_slot(group);
    if (rc < 0) return rc;
    *out_consumer = named_create(sizeof(**out_consumer), name, &group->other_bytes);
    return *out_consumer ? 0 : -ENOMEM;
}

int stream_group_add_consumer(struct stream_group *group, struct slice name, uint64_t seen_ms,
                              struct stream_consumer **out_consumer)
{
    struct stream_consumer *consumer;
    uint64_t before = group->other_bytes;
    bool is_there;
    uint32_t place = name_order_place(&group->order, name, &is_there);
    int rc = create_consumer(group, name, &consumer);

    assert(!is_there);
    group->groups->other_bytes += group->other_bytes - before;
    if (rc < 0) return rc;
    consumer->seen_ms = seen_ms;
    consumer->active_ms = STREAM_NEVER_ACTIVE;
    consumer->number = take_slot(group, consumer);
    name_order_insert(&group->order, place, consumer);
    group->name_bytes += name.size;
    *out_consumer = consumer;
    return 0;
}

void stream_group_remove_consumer(struct stream_group *group, struct stream_consumer *consumer)
{
    bool is_there;
    uint32_t place = name_order_place(&group->order, consumer->name, &is_there);

    assert(is_there && consumer->pending.count == 0);
    name_order_remove(&group->order, place);
    free_slot(group, consumer->number);
    group->name_bytes -= consumer->name.size;
    group_bury_consumer(group, consumer);
}

/* ---- what it says of itself ---- */

struct slice stream_consumer_name(const struct stream_consumer *consumer)
{
    return consumer->name;
}

uint64_t stream_consumer_pending_count(const struct stream_consumer *consumer)
{
    return consumer->pending.count;
}

uint64_t stream_consumer_seen_ms(const struct stream_consumer *consumer)
{
    return consumer->seen_ms;
}

void stream_consumer_set_seen(struct stream_consumer *consumer, uint64_t seen_ms)
{
    consumer->seen_ms = seen_ms;
}

uint64_t stream_consumer_active_ms(const struct stream_consumer *consumer)
{
    return consumer->active_ms;
}

void stream_consumer_set_active(struct stream_consumer *consumer, uint64_t active_ms)
{
    consumer->active_ms = active_ms;
}
