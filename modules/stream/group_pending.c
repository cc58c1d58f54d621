/* What is pending in a group: each is in the group's tree and, unless it was given back, in its
 * consumer's. All trees that a change concerns are prepared before the first is changed. */
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

uint64_t stream_group_pending_count(const struct stream_group *group)
{
    return group->pending.count;
}

uint64_t stream_group_released_count(const struct stream_group *group)
{
    return group->released_count;
}

/* ---- looking ---- */

static struct stream_pending pending_of(const struct stream_group *group,
                                        const struct pending_item *item)
{
    return (struct stream_pending){
        .id = item->id,
        .consumer = consumer_of(group, item->consumer),
        .delivered_ms = item->since & SINCE_OWNED ? item->since & ~SINCE_OWNED : 0,
        .delivery_count = item->delivery_count,
    };
}

int stream_group_find_pending(const struct stream_group *group, struct stream_id id,
                              struct stream_pending *out_pending)
{
    struct pending_item item;

    if (!pending_tree_find(&group->pending, id, &item)) return 0;
    if (out_pending) *out_pending = pending_of(group, &item);
    return 1;
}

int stream_group_next_pending(const struct stream_group *group,
                              const struct stream_consumer *consumer, struct stream_id from,
                              uint64_t delivered_max_ms, struct stream_pending *out_pending)
{
    const struct pending_tree *tree = consumer ? &consumer->pending : &group->pending;
    struct pending_item item;

    if (!pending_tree_read(tree, from, since_of(delivered_max_ms), &item, 1)) return 0;
    if (consumer) {
        bool is_there = pending_tree_find(&group->pending, item.id, &item);
        assert(is_there && consumer_of(group, item.consumer) == consumer);
    }
    *out_pending = pending_of(group, &item);
    return 1;
}

int stream_group_oldest_pending(const struct stream_group *group,
                                struct stream_pending *out_pending)
{
    struct pending_item item;

    if (!pending_tree_oldest(&group->pending, &item)) return 0;
    *out_pending = pending_of(group, &item);
    return 1;
}

struct stream_oldest {
    const struct stream_group *group;
    struct pending_search search;
};

int stream_oldest_begin(const struct stream_group *group, uint64_t delivered_max_ms,
                        struct stream_oldest **out_oldest)
{
    struct stream_oldest *oldest = malloc(sizeof(*oldest));
    int rc;

    if (!oldest) return -ENOMEM;
    oldest->group = group;
    rc = pending_search_begin(&oldest->search, &group->pending, since_of(delivered_max_ms));
    if (rc < 0) {
        stream_oldest_end(oldest);
        return rc;
    }
    *out_oldest = oldest;
    return 0;
}

int stream_oldest_next(struct stream_oldest *oldest, struct stream_pending *pending,
                       unsigned pending_max)
{
    enum { AT_ONCE = 16 };
    struct pending_item items[AT_ONCE];
    unsigned count = 0;

    while (count < pending_max) {
        unsigned left = pending_max - count;
        int found = pending_search_next(&oldest->search, items, left < AT_ONCE ? left : AT_ONCE);

        if (found < 0) return found;
        if (found == 0) break;
        for (int i = 0; i < found; i++)
            pending[count++] = pending_of(oldest->group, &items[i]);
    }
    return (int)count;
}

void stream_oldest_end(struct stream_oldest *oldest)
{
    if (!oldest) return;
    pending_search_finish(&oldest->search);
    free(oldest);
}

int stream_group_last_pending(const struct stream_group *group, struct stream_pending *out_pending)
{
    struct pending_item item;

    if (!pending_tree_last(&group->pending, &item)) return 0;
    *out_pending = pending_of(group, &item);
    return 1;
}

/* ---- changing ---- */

static struct pending_account *account_of(struct stream_group *group)
{
    return &group->groups->store->account;
}

/* Whose it was; NULL: nobody's. */
static int prepare_disowning(struct stream_group *group, struct stream_consumer *consumer,
                             struct stream_id id, struct pending_path *path)
{
    if (!consumer) return 0;
    return pending_tree_prepare(&consumer->pending, account_of(group), id, false, path);
}

/* Takes what was prepared out of its consumer's tree. */
static void disown(struct stream_group *group, struct stream_consumer *consumer,
                   const struct pending_path *path)
{
    uint64_t before = group_bytes_before(group, consumer);

    pending_tree_remove(&consumer->pending, account_of(group), path);
    group_count_bytes(group, consumer, before);
}

static void put(struct pending_tree *tree, const struct pending_path *path,
                const struct pending_item *item)
{
    if (path->is_there)
        pending_tree_replace(tree, path, item);
    else
        pending_tree_insert(tree, path, item);
}

int group_put_item(struct stream_group *group, struct stream_consumer *owner, bool is_new,
                   const struct pending_item *item)
{
    uint64_t before = group_bytes_before(group, owner);
    struct pending_path path, owner_path;
    int rc = pending_tree_prepare(&group->pending, account_of(group), item->id, is_new, &path);

    if (rc == 0 && owner)
        rc = pending_tree_prepare(&owner->pending, account_of(group), item->id, true, &owner_path);
    if (rc == 0) {
        put(&group->pending, &path, item);
        if (owner) put(&owner->pending, &owner_path, item);
    }
    group_count_bytes(group, owner, before);
    return rc;
}

int stream_group_set_pending(struct stream_group *group, const struct stream_pending *pending)
{
    struct stream_consumer *owner = pending->consumer, *old_owner = NULL;
    struct pending_item old, item = {
        .id = pending->id,
        .since = owner ? since_of(pending->delivered_ms) : group->release_number + 1,
        .delivery_count = pending->delivery_count,
        .consumer = owner ? owner->number : CONSUMER_NONE,
    };
    bool was_there = pending_tree_find(&group->pending, item.id, &old), was_nobodys = false;
    struct pending_path old_path;
    int rc;

    assert(pending->delivered_ms < SINCE_OWNED);
    if (was_there) old_owner = consumer_of(group, old.consumer);
    was_nobodys = was_there && !old_owner;
    if (old_owner == owner) old_owner = NULL;
    rc = prepare_disowning(group, old_owner, item.id, &old_path);
    if (rc == 0) rc = group_put_item(group, owner, !was_there, &item);
    if (rc < 0) return rc;
    if (old_owner) disown(group, old_owner, &old_path);
    if (was_nobodys) group->released_count--;
    if (!owner) {
        group->released_count++;
        group->release_number++;
    }
    return 0;
}

int group_prepare_acknowledging(struct stream_group *group, struct stream_id id)
{
    struct pending_path path;
    struct pending_item item;
    int rc;

    if (!pending_tree_find(&group->pending, id, &item)) return 0;
    rc = pending_tree_prepare(&group->pending, account_of(group), id, false, &path);
    if (rc < 0) return rc;
    return prepare_disowning(group, consumer_of(group, item.consumer), id, &path);
}

int stream_group_acknowledge(struct stream_group *group, struct stream_id id)
{
    uint64_t before = group_bytes_before(group, NULL);
    struct pending_path path, own_path;
    struct pending_item item;
    struct stream_consumer *consumer;
    int rc;

    if (!pending_tree_find(&group->pending, id, &item)) return 0;
    consumer = consumer_of(group, item.consumer);
    rc = prepare_disowning(group, consumer, id, &own_path);
    if (rc == 0) rc = pending_tree_prepare(&group->pending, account_of(group), id, false, &path);
    if (rc == 0) pending_tree_remove(&group->pending, account_of(group), &path);
    group_count_bytes(group, NULL, before);
    if (rc < 0) return rc;
    if (consumer)
        disown(group, consumer, &own_path);
    else
        group->released_count--;
    return 1;
}

int64_t stream_consumer_drop(struct stream_group *group, struct stream_consumer *consumer,
                             uint64_t entry_max)
{
    struct pending_item item;
    int64_t count = 0;

    while ((uint64_t)count < entry_max &&
           pending_tree_read(&consumer->pending, STREAM_ID_MIN, UINT64_MAX, &item, 1)) {
        int rc = stream_group_acknowledge(group, item.id);
        if (rc < 0) return count > 0 ? count : rc;
        count++;
    }
    return count;
}
