/* Any bytes as a picture of groups: refused, or groups that hold together, give back the same
 * bytes, and still hold together when half of what is pending is acknowledged and a consumer has
 * gone. */
#include "modules/stream/group.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect_same(const struct stream_groups *groups, const uint8_t *bytes, size_t size)
{
    struct stream_groups_picture *picture;
    uint8_t *again = malloc(size + 1);

    assert(again && stream_groups_picture_take(groups, &picture) == 0);
    assert(stream_groups_picture_size(picture) == size);
    assert(stream_groups_picture_read(picture, again, size + 1) == size);
    assert(memcmp(again, bytes, size) == 0);
    stream_groups_picture_drop(picture);
    free(again);
}

static void acknowledge_half(struct stream_group *group)
{
    uint64_t left = stream_group_pending_count(group);
    struct stream_pending pending;
    struct stream_id from = STREAM_ID_MIN;

    for (bool is_odd = false;
         stream_group_next_pending(group, NULL, from, STREAM_ANY_TIME_MS, &pending);
         is_odd = !is_odd) {
        assert(left > 0);
        left--;
        if (is_odd && stream_group_acknowledge(group, pending.id) != 1) abort();
        from = pending.id;
        if (!stream_id_increment(&from)) break;
    }
    assert(left == 0);
}

static void remove_first_consumer(struct stream_group *group)
{
    struct stream_consumer *consumer;
    uint64_t pending_count = stream_group_pending_count(group);

    if (stream_group_consumer_count(group) == 0) return;
    consumer = stream_group_consumer_at(group, 0);
    pending_count -= stream_consumer_pending_count(consumer);
    while (stream_consumer_drop(group, consumer, 3) > 0) {}
    stream_group_remove_consumer(group, consumer);
    assert(stream_group_pending_count(group) == pending_count);
}

static void use(struct stream_groups *groups)
{
    for (uint32_t i = 0; i < stream_groups_count(groups); i++) {
        acknowledge_half(stream_groups_at(groups, i));
        remove_first_consumer(stream_groups_at(groups, i));
    }
    stream_groups_check(groups);
}

/* The first byte says where the rest is cut in two. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream_group_store *store;
    struct stream_groups_loader *loader;
    struct stream_groups *groups;
    size_t cut;

    if (size == 0) return 0;
    cut = bytes[0] < size ? bytes[0] : size - 1;
    bytes++, size--;
    if (stream_group_store_create(&store) < 0) return 0;
    if (stream_groups_loader_create(store, &loader) < 0) abort();
    if (stream_groups_loader_add(loader, slice_of(bytes, cut)) == 0 &&
        stream_groups_loader_add(loader, slice_of(bytes + cut, size - cut)) == 0 &&
        stream_groups_loader_finish(loader, &groups) == 0) {
        stream_groups_check(groups);
        expect_same(groups, bytes, size);
        use(groups);
        stream_groups_destroy(groups);
    }
    stream_groups_loader_destroy(loader);
    stream_group_store_destroy(store);
    return 0;
}
