/* Groups of a stream. What all of them take is counted as it changes: nodes of trees by the trees,
 * the rest here. */
#include "modules/base/alloc_size.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- what the groups of all streams share ---- */

int stream_group_store_create(struct stream_group_store **out_store)
{
    struct stream_group_store *store = calloc(1, sizeof(*store));

    if (!store) return -ENOMEM;
    *out_store = store;
    return 0;
}

void stream_group_store_destroy(struct stream_group_store *store)
{
    if (!store) return;
    while (stream_group_store_tick(store, UINT32_MAX)) {}
    assert(store->account.node_bytes == 0 && store->picture_bytes == 0);
    assert(store->buried_bytes == 0);
    free(store);
}

uint64_t stream_group_store_memory_bytes(const struct stream_group_store *store)
{
    return alloc_size(sizeof(*store)) + store->picture_bytes + store->buried_bytes +
           store->account.node_bytes - store->tree_bytes;
}

void group_count_bytes(struct stream_group *group, const struct stream_consumer *consumer,
                       uint64_t before)
{
    uint64_t after = group_bytes_before(group, consumer);

    group->tree_bytes += after - before;
    group->groups->tree_bytes += after - before;
    group->groups->store->tree_bytes += after - before;
}

/* ---- the groups of a stream ---- */

int stream_groups_create(struct stream_group_store *store, struct stream_groups **out_groups)
{
    struct stream_groups *groups = malloc(sizeof(*groups));

    if (!groups) return -ENOMEM;
    *groups = (struct stream_groups){ .store = store, .other_bytes = alloc_size(sizeof(*groups)) };
    *out_groups = groups;
    return 0;
}

uint64_t stream_groups_memory_bytes(const struct stream_groups *groups)
{
    return groups->tree_bytes + groups->other_bytes;
}

uint32_t stream_groups_count(const struct stream_groups *groups)
{
    return groups->order.count;
}

struct stream_group *stream_groups_at(const struct stream_groups *groups, uint32_t index)
{
    assert(index < groups->order.count);
    return groups->order.items[index];
}

struct stream_group *stream_groups_find(const struct stream_groups *groups, struct slice name)
{
    bool is_there;
    uint32_t place = name_order_place(&groups->order, name, &is_there);

    return is_there ? groups->order.items[place] : NULL;
}

int stream_groups_add(struct stream_groups *groups, struct slice name, struct stream_id last_id,
                      struct stream_group **out_group)
{
    struct stream_group *group;
    uint64_t bytes = 0;
    bool is_there;
    uint32_t place = name_order_place(&groups->order, name, &is_there);
    int rc = name_order_reserve(&groups->order, &groups->other_bytes);

    assert(!is_there);
    if (rc < 0) return rc;
    group = named_create(sizeof(*group), name, &bytes);
    if (!group) return -ENOMEM;
    group->groups = groups;
    group->other_bytes = bytes;
    groups->other_bytes += bytes;
    group->last_id = last_id;
    group->entries_read = STREAM_ENTRIES_READ_UNKNOWN;
    group->pending.has_owners = true;
    group->first_free = CONSUMER_NONE;
    name_order_insert(&groups->order, place, group);
    *out_group = group;
    return 0;
}

void stream_groups_remove(struct stream_groups *groups, struct stream_group *group)
{
    bool is_there;
    uint32_t place = name_order_place(&groups->order, group->name, &is_there);

    assert(is_there && groups->order.items[place] == group);
    name_order_remove(&groups->order, place);
    group_bury(group);
}

bool stream_groups_refer_to(const struct stream_groups *groups, struct stream_id id)
{
    for (uint32_t i = 0; i < groups->order.count; i++) {
        const struct stream_group *group = groups->order.items[i];
        if (stream_id_compare(id, group->last_id) > 0) return true;
        if (stream_group_find_pending(group, id, NULL)) return true;
    }
    return false;
}

int stream_groups_prepare_forgetting(struct stream_groups *groups, struct stream_id id)
{
    int rc = 0;

    for (uint32_t i = 0; i < groups->order.count && rc == 0; i++)
        rc = group_prepare_acknowledging(groups->order.items[i], id);
    return rc;
}

int stream_groups_forget(struct stream_groups *groups, struct stream_id id)
{
    int count = 0, rc = stream_groups_prepare_forgetting(groups, id);

    if (rc < 0) return rc;
    for (uint32_t i = 0; i < groups->order.count; i++) {
        rc = stream_group_acknowledge(groups->order.items[i], id);
        assert(rc >= 0); /* it was prepared */
        count += rc;
    }
    return count;
}

/* ---- a group ---- */

struct slice stream_group_name(const struct stream_group *group)
{
    return group->name;
}

struct stream_id stream_group_last_id(const struct stream_group *group)
{
    return group->last_id;
}

void stream_group_set_last_id(struct stream_group *group, struct stream_id id)
{
    group->last_id = id;
}

int64_t stream_group_entries_read(const struct stream_group *group)
{
    return group->entries_read;
}

void stream_group_set_entries_read(struct stream_group *group, int64_t entries_read)
{
    group->entries_read = entries_read;
}

bool stream_group_is_marked(const struct stream_group *group)
{
    return group->is_marked;
}

void stream_group_mark(struct stream_group *group, bool is_marked)
{
    group->is_marked = is_marked;
}

/* ---- checking ---- */

static uint64_t check_consumers(const struct stream_group *group, uint64_t *count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < group->order.count; i++) {
        const struct stream_consumer *consumer = group->order.items[i];
        bool is_there;

        assert(name_order_place(&group->order, consumer->name, &is_there) == i && is_there);
        assert(consumer_of(group, consumer->number) == consumer);
        pending_tree_check(&consumer->pending);
        *count += consumer->pending.count;
        bytes += consumer->pending.node_bytes;
    }
    return bytes;
}

static void check_owners(const struct stream_group *group)
{
    struct pending_item item, own;
    struct stream_id from = STREAM_ID_MIN;
    uint64_t released = 0;

    while (pending_tree_read(&group->pending, from, UINT64_MAX, &item, 1)) {
        const struct stream_consumer *consumer = consumer_of(group, item.consumer);

        assert((item.since & SINCE_OWNED) == (consumer ? SINCE_OWNED : 0));
        if (!consumer) assert(item.since <= group->release_number);
        if (consumer)
            assert(pending_tree_find(&consumer->pending, item.id, &own) && own.since == item.since);
        released += consumer == NULL;
        from = item.id;
        if (!stream_id_increment(&from)) break;
    }
    assert(released == group->released_count);
}

void stream_groups_check(const struct stream_groups *groups)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < groups->order.count; i++) {
        const struct stream_group *group = groups->order.items[i];
        uint64_t count = group->released_count;
        bool is_there;

        assert(name_order_place(&groups->order, group->name, &is_there) == i && is_there);
        pending_tree_check(&group->pending);
        bytes += group->pending.node_bytes + check_consumers(group, &count);
        assert(count == group->pending.count);
        check_owners(group);
    }
    assert(bytes == groups->tree_bytes);
}
