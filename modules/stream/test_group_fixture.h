/* test_group_fixture.h - groups of one stream, and memory that is refused now and then. */
#ifndef MODULES_STREAM_TEST_GROUP_FIXTURE_H
#define MODULES_STREAM_TEST_GROUP_FIXTURE_H
#include "modules/stream/group.h"
#include "modules/stream/test_refused_memory.h"

#include <check.h>
#include <stdlib.h>

static struct stream_group_store *store;
static struct stream_groups *groups;

/* ---- groups ---- */

static inline void open_groups(void)
{
    refuse_every = 0;
    ck_assert_int_eq(stream_group_store_create(&store), 0);
    ck_assert_int_eq(stream_groups_create(store, &groups), 0);
}

/* Everything goes, and the store has nothing left. */
static inline void close_groups(void)
{
    refuse_every = 0;
    stream_groups_destroy(groups);
    while (stream_group_store_tick(store, 10)) {}
    ck_assert_uint_le(stream_group_store_memory_bytes(store), 256);
    stream_group_store_destroy(store);
}

static inline struct stream_group *add_group(const char *name)
{
    struct stream_group *added;

    ck_assert_int_eq(stream_groups_add(groups, slice_of_string(name), STREAM_ID_MIN, &added), 0);
    return added;
}

static inline struct stream_consumer *add_consumer(struct stream_group *to, const char *name)
{
    struct stream_consumer *added;

    ck_assert_int_eq(stream_group_add_consumer(to, slice_of_string(name), 5, &added), 0);
    return added;
}

static inline void deliver(struct stream_group *to, struct stream_consumer *consumer, uint64_t ms,
                           uint64_t delivered_ms)
{
    struct stream_pending pending = { { ms, 0 }, consumer, delivered_ms, 1 };

    ck_assert_int_eq(stream_group_set_pending(to, &pending), 0);
}

/* ---- pictures ---- */

static inline struct stream_groups_picture *take_picture(void)
{
    struct stream_groups_picture *picture;

    ck_assert_int_eq(stream_groups_picture_take(groups, &picture), 0);
    return picture;
}

/* All of its bytes, read step_bytes at a time; the caller's to free. */
static inline uint8_t *read_picture(struct stream_groups_picture *picture, size_t step_bytes,
                                    size_t *out_size)
{
    uint64_t size = stream_groups_picture_size(picture);
    uint8_t *bytes = malloc(size + step_bytes);
    size_t at = 0, step;

    while ((step = stream_groups_picture_read(picture, bytes + at, step_bytes)) > 0) {
        at += step;
        ck_assert_uint_le(at, size);
    }
    ck_assert_uint_eq(at, size);
    *out_size = at;
    return bytes;
}

static inline int load_groups(struct slice bytes, size_t step_bytes,
                              struct stream_groups **out_groups)
{
    struct stream_groups_loader *loader;
    int rc = stream_groups_loader_create(store, &loader);

    if (rc < 0) return rc;
    for (size_t at = 0; rc == 0 && at < bytes.size; at += step_bytes) {
        size_t left = bytes.size - at;
        rc = stream_groups_loader_add(
            loader, slice_of(bytes.bytes + at, left < step_bytes ? left : step_bytes));
    }
    if (rc == 0) rc = stream_groups_loader_finish(loader, out_groups);
    stream_groups_loader_destroy(loader);
    return rc;
}
#endif
