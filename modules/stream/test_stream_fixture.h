/* test_stream_fixture.h - a stream in memory, alone in its store. */
#ifndef MODULES_STREAM_TEST_STREAM_FIXTURE_H
#define MODULES_STREAM_TEST_STREAM_FIXTURE_H
#include "modules/base/os.h"
#include "modules/stream/test_image.h"
#include "modules/stream/test_refused_memory.h"

enum { NODE_ENTRIES = 10 };

#define ONE_FIELD SLICE_LITERAL("$1\r\nf\r\n$1\r\nv\r\n")

static struct stream_store *store;
static struct stream *stream;

static inline void setup(void)
{
    struct stream_options options = { .directory = ".",
                                      .memory_bytes_max = UINT32_MAX,
                                      .node_entries = NODE_ENTRIES };

    ck_assert_int_eq(stream_store_create(os_real(), NULL, &options, NULL, &store), 0);
    ck_assert_int_eq(stream_create(store, &stream), 0);
}

static inline void teardown(void)
{
    drop_image();
    stream_destroy(stream);
    stream_store_destroy(store);
}

static inline struct stream_id id_of(uint64_t ms, uint64_t seq)
{
    return (struct stream_id){ ms, seq };
}

static inline void add(uint64_t ms, uint64_t seq)
{
    ck_assert_int_eq(stream_reserve(stream, ONE_FIELD.size), 0);
    ck_assert_int_eq(stream_add(stream, id_of(ms, seq), 2, ONE_FIELD), 0);
}

/* Ids 1-0 … count-0, ordinals 1 … count. */
static inline void add_many(uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++)
        add(i, 0);
}

static inline void delete_one(uint64_t ordinal)
{
    ck_assert_int_eq(stream_delete(stream, ordinal, id_of(ordinal, 0)), 1);
}

static inline struct stream_info info(void)
{
    struct stream_info got;

    stream_check(stream);
    stream_get_info(stream, &got);
    return got;
}

static inline void expect_id(struct stream_id id, uint64_t ms, uint64_t seq)
{
    ck_assert_uint_eq(id.ms, ms);
    ck_assert_uint_eq(id.seq, seq);
}
#endif
