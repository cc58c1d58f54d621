/* test_stream_thinned.h - a stream in a journal most of whose entries are deleted, and what is
 * left. */
#ifndef MODULES_STREAM_TEST_STREAM_THINNED_H
#define MODULES_STREAM_TEST_STREAM_THINNED_H
#include "modules/stream/test_stream_files.h"

enum { SIZE = 200, ENTRIES = 3000, KEPT_EVERY = 10 };

static inline struct stream_info info_now(void)
{
    struct stream_info info;

    stream_get_info(stream, &info);
    return info;
}

static inline void begin(void)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, ENTRIES, SIZE);
    settle();
}

/* Entry n has the ordinal n. */
static inline void delete_one(uint64_t number)
{
    ck_assert_int_eq(stream_delete(stream, number, (struct stream_id){ number, 0 }), 1);
}

/* Of [from, end) those stay whose numbers can be divided so. */
static inline void thin_out(uint64_t from, uint64_t end)
{
    for (uint64_t number = from; number < end; number++)
        if (number % KEPT_EVERY != 0) delete_one(number);
    settle();
}

static inline uint64_t next_kept(uint64_t number, uint64_t from, uint64_t end)
{
    while (number >= from && number < end && number % KEPT_EVERY != 0)
        number++;
    return number;
}

/* Of [1, last) those of [from, end) have been thinned out; read both ways, and one by one. */
static inline void expect_thinned(struct stream *of, uint64_t from, uint64_t end, uint64_t last)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t number, count = 0;

    stream_check(of);
    stream_cursor_begin(&cursor, of, STREAM_ID_MIN, STREAM_FORWARD);
    for (number = next_kept(1, from, end); number < last;
         number = next_kept(number + 1, from, end)) {
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
        ck_assert_uint_eq(entry.ordinal, number);
        ck_assert(slice_equal(entry.fields, value_of(number, SIZE)));
        count++;
    }
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 0);
    ck_assert_uint_eq(stream_count(of), count);
    stream_cursor_begin(&cursor, of, STREAM_ID_MAX, STREAM_BACKWARD);
    for (number = last - 1; number > 0; number--) {
        if (next_kept(number, from, end) != number) continue;
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
    }
    for (number = 1; number < last; number += 97) {
        int is_there = next_kept(number, from, end) == number;
        ck_assert_int_eq(stream_find(of, (struct stream_id){ number, 0 }, &entry), is_there);
    }
}
#endif
