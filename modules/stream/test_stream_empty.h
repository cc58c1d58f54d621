/* test_stream_empty.h - a store with one stream, which begins empty and leaves nothing behind. */
#ifndef MODULES_STREAM_TEST_STREAM_EMPTY_H
#define MODULES_STREAM_TEST_STREAM_EMPTY_H
#include "modules/stream/test_stream_files.h"

static inline void begin(void)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
}

static inline void end(void)
{
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
#endif
