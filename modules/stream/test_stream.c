/* What a stream in memory promises of what is added and removed, one by one. */
#include "modules/base/test_suite.h"
#include "modules/stream/test_stream_fixture.h"

#include <errno.h>
#include <stdio.h>

enum { GRAVE_ENTRIES = 200000 };

/* ---- adding ---- */

START_TEST(a_new_stream_is_empty)
{
    struct stream_info got = info();
    struct stream_id id;
    uint64_t ordinal;

    ck_assert_uint_eq(got.count, 0);
    ck_assert_uint_eq(got.start, 1);
    ck_assert_uint_eq(got.end, 1);
    ck_assert(got.is_in_memory);
    ck_assert_int_eq(stream_first_id(stream, &id), 0);
    ck_assert_int_eq(stream_ordinal_of(stream, STREAM_ID_MIN, &ordinal), 0);
    ck_assert_uint_eq(ordinal, 1);
}
END_TEST

START_TEST(an_entry_is_found_as_it_was_added)
{
    struct slice fields = SLICE_LITERAL("$1\r\na\r\n$0\r\n\r\n$2\r\nbc\r\n$3\r\nd\r\n\r\n");
    struct stream_entry entry;

    ck_assert_int_eq(stream_reserve(stream, fields.size), 0);
    ck_assert_int_eq(stream_add(stream, id_of(5, 7), 4, fields), 0);
    ck_assert_int_eq(stream_find(stream, id_of(5, 7), &entry), 1);
    expect_id(entry.id, 5, 7);
    ck_assert_uint_eq(entry.ordinal, 1);
    ck_assert_uint_eq(entry.field_count, 4);
    ck_assert(slice_equal(entry.fields, fields));
    ck_assert_int_eq(stream_find(stream, id_of(5, 6), &entry), 0);
    ck_assert_int_eq(stream_find(stream, id_of(5, 8), &entry), 0);
}
END_TEST

START_TEST(ids_only_grow)
{
    add(5, 5);
    ck_assert_int_eq(stream_reserve(stream, ONE_FIELD.size), 0);
    ck_assert_int_eq(stream_add(stream, id_of(5, 5), 2, ONE_FIELD), -EINVAL);
    ck_assert_int_eq(stream_add(stream, id_of(5, 4), 2, ONE_FIELD), -EINVAL);
    ck_assert_int_eq(stream_add(stream, id_of(4, 9), 2, ONE_FIELD), -EINVAL);
    ck_assert_int_eq(stream_add(stream, STREAM_ID_MIN, 2, ONE_FIELD), -EINVAL);
    ck_assert_uint_eq(stream_count(stream), 1);
    ck_assert_int_eq(stream_add(stream, STREAM_ID_MAX, 2, ONE_FIELD), 0);
    expect_id(stream_last_id(stream), UINT64_MAX, UINT64_MAX);
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    ck_assert_int_eq(stream_reserve(stream, STREAM_FIELDS_BYTES_MAX + 1), -EMSGSIZE);
    ck_assert_int_eq(stream_reserve(stream, UINT64_MAX), -EMSGSIZE);
    ck_assert_uint_eq(info().count, 0);
}
END_TEST

START_TEST(a_long_entry_may_stand_among_short_ones)
{
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = malloc(SIZE + 100);
    size_t size = (size_t)snprintf((char *)bytes, 100, "$1\r\nf\r\n$%d\r\n", SIZE);
    struct stream_entry entry;

    memset(bytes + size, 'x', SIZE);
    memcpy(bytes + size + SIZE, "\r\n", 3);
    size += SIZE + 2;
    add_many(300);
    ck_assert_int_eq(stream_reserve(stream, size), 0);
    ck_assert_int_eq(stream_add(stream, id_of(301, 0), 2, slice_of(bytes, size)), 0);
    for (uint64_t i = 302; i <= 600; i++)
        add(i, 0);
    ck_assert_int_eq(stream_find(stream, id_of(301, 0), &entry), 1);
    ck_assert(slice_equal(entry.fields, slice_of(bytes, size)));
    ck_assert_int_eq(stream_find(stream, id_of(302, 0), &entry), 1);
    ck_assert_uint_eq(entry.ordinal, 302);
    ck_assert_uint_eq(info().count, 600);
    free(bytes);
}
END_TEST

START_TEST(room_that_was_reserved_in_vain_goes_with_the_stream)
{
    add(1, 0);
    ck_assert_int_eq(stream_reserve(stream, 100000), 0);
    ck_assert_int_eq(stream_reserve(stream, 200000), 0);
    ck_assert_uint_gt(info().memory_bytes, 200000);
    add(2, 0);
    ck_assert_uint_eq(stream_trim(stream, 3), 2);
    ck_assert_uint_lt(info().memory_bytes, 300);
}
END_TEST

START_TEST(what_is_set_is_told)
{
    add(1, 0);
    stream_set_last_id(stream, id_of(9, 9));
    stream_set_added(stream, 77);
    stream_set_max_deleted(stream, id_of(8, 8));
    add(10, 0);
    struct stream_info got = info();
    expect_id(got.last_id, 10, 0);
    expect_id(got.max_deleted_id, 8, 8);
    ck_assert_uint_eq(got.entries_added, 78);
    ck_assert_uint_eq(got.end, 3);
}
END_TEST

/* ---- removing ---- */

START_TEST(start_moves_over_what_is_deleted)
{
    add_many(10);
    delete_one(2);
    delete_one(3);
    ck_assert_uint_eq(info().start, 1);
    ck_assert_uint_eq(info().deleted_count, 2);
    delete_one(1);
    ck_assert_uint_eq(info().start, 4);
    ck_assert_uint_eq(info().deleted_count, 0);
    for (uint64_t i = 4; i <= 10; i++)
        delete_one(i);
    ck_assert_uint_eq(info().start, 11);
    ck_assert_uint_eq(info().count, 0);
    expect_id(info().last_id, 10, 0);
    expect_id(info().max_deleted_id, 10, 0);
}
END_TEST

START_TEST(what_has_gone_is_deleted_no_more)
{
    add_many(5);
    delete_one(3);
    ck_assert_int_eq(stream_delete(stream, 3, id_of(3, 0)), 0);
    ck_assert_uint_eq(stream_trim(stream, 3), 2);
    ck_assert_int_eq(stream_delete(stream, 1, id_of(1, 0)), 0);
    ck_assert_int_eq(stream_delete(stream, 6, id_of(6, 0)), 0);
    ck_assert_uint_eq(info().count, 2);
    ck_assert_uint_eq(info().start, 4);
}
END_TEST

/* A trim is no deletion: the greatest deleted id stays, as in Redis. */
START_TEST(a_trim_deletes_no_id)
{
    add_many(5);
    ck_assert_uint_eq(stream_trim(stream, 4), 3);
    expect_id(info().max_deleted_id, 0, 0);
    delete_one(5);
    expect_id(info().max_deleted_id, 5, 0);
    delete_one(4);
    expect_id(info().max_deleted_id, 5, 0);
}
END_TEST

static uint64_t trim_end(struct stream_trim trim)
{
    uint64_t ordinal;

    ck_assert_int_eq(stream_trim_end(stream, &trim, &ordinal), 0);
    return ordinal;
}

START_TEST(a_trim_by_length_counts_what_is_there)
{
    add_many(20);
    delete_one(5);
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 19 }), 1);
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 50 }), 1);
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 16 }), 4);
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 15 }), 6); /* over the 5th */
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 0 }), 21);
    ck_assert_uint_eq(trim_end((struct stream_trim){ .length = 0, .limit = 5 }), 7);
}
END_TEST

START_TEST(a_trim_by_id_ends_at_the_first_that_is_not_less)
{
    struct stream_trim trim = { .by_id = true, .id = { 7, 0 } };

    add_many(20);
    ck_assert_uint_eq(trim_end(trim), 7);
    trim.id = id_of(6, 1);
    ck_assert_uint_eq(trim_end(trim), 7);
    trim.id = STREAM_ID_MAX;
    ck_assert_uint_eq(trim_end(trim), 21);
    trim.id = STREAM_ID_MIN;
    ck_assert_uint_eq(trim_end(trim), 1);
    trim = (struct stream_trim){ .by_id = true, .id = { 15, 0 }, .limit = 4 };
    ck_assert_uint_eq(trim_end(trim), 5);
}
END_TEST

START_TEST(an_approximate_trim_takes_whole_groups)
{
    struct stream_trim trim = { .length = 15, .is_approximate = true };

    add_many(35);
    ck_assert_uint_eq(trim_end(trim), 21);
    trim.limit = 19;
    ck_assert_uint_eq(trim_end(trim), 11);
    trim.limit = 9;
    ck_assert_uint_eq(trim_end(trim), 1);
    trim = (struct stream_trim){ .length = 0, .is_approximate = true };
    ck_assert_uint_eq(trim_end(trim), 36); /* the last one goes with all others */
    trim = (struct stream_trim){ .by_id = true, .id = { 29, 0 }, .is_approximate = true };
    ck_assert_uint_eq(trim_end(trim), 21);
}
END_TEST

START_TEST(a_trim_by_bytes_leaves_no_more)
{
    enum { BYTES = 20000, PIECE = 4096 };
    uint64_t end;

    add_many(5000);
    ck_assert_uint_eq(stream_trim_end_of_bytes(stream, info().memory_bytes), 1);
    end = stream_trim_end_of_bytes(stream, BYTES);
    ck_assert_uint_eq(stream_trim(stream, end), end - 1);
    ck_assert_uint_le(info().memory_bytes, BYTES);
    ck_assert_uint_ge(info().memory_bytes, BYTES - PIECE);
    ck_assert_uint_eq(stream_trim_end_of_bytes(stream, BYTES), end);
}
END_TEST

START_TEST(a_trim_by_bytes_leaves_the_newest_piece)
{
    ck_assert_uint_eq(stream_trim_end_of_bytes(stream, 0), 1);
    add_many(5000);
    (void)stream_trim(stream, stream_trim_end_of_bytes(stream, 0));
    ck_assert_uint_gt(info().count, 0);
    ck_assert_uint_lt(info().count, 5000);
    ck_assert_uint_eq(info().end, 5001);
}
END_TEST

START_TEST(what_is_trimmed_gives_its_memory_back)
{
    add_many(10000);
    ck_assert_uint_gt(info().memory_bytes, 150000);
    ck_assert_uint_eq(stream_trim(stream, 9991), 9990);
    ck_assert_uint_lt(info().memory_bytes, 5000);
    ck_assert_uint_eq(stream_store_memory_bytes(store), info().memory_bytes);
}
END_TEST

START_TEST(what_is_deleted_gives_its_memory_back)
{
    add_many(10000);
    for (uint64_t i = 2; i <= 10000; i++)
        if (i % 100 != 0) delete_one(i);
    ck_assert_uint_lt(info().memory_bytes, 20000);
    ck_assert_uint_eq(info().count, 101);
}
END_TEST

/* As many as a stream of constant length sees. */
START_TEST(a_stream_of_constant_length_takes_constant_memory)
{
    for (uint64_t i = 1; i <= 100000; i++) {
        add(i, 0);
        if (i > 500) ck_assert_uint_eq(stream_trim(stream, i - 499), 1);
    }
    ck_assert_uint_lt(info().memory_bytes, 20000);
    ck_assert_uint_eq(info().count, 500);
}
END_TEST

START_TEST(many_blocks_are_freed_in_slices)
{
    uint64_t bytes;

    add_many(GRAVE_ENTRIES);
    bytes = stream_store_memory_bytes(store);
    ck_assert_uint_eq(stream_trim(stream, GRAVE_ENTRIES / 2), GRAVE_ENTRIES / 2 - 1);
    ck_assert_uint_lt(info().memory_bytes, bytes / 2 + 10000);
    ck_assert_uint_ge(stream_store_memory_bytes(store), bytes);
    while (stream_store_tick(store, 0, 0)) {}
    ck_assert_uint_eq(stream_store_memory_bytes(store), info().memory_bytes);
    stream_destroy(stream);
    ck_assert_uint_ge(stream_store_memory_bytes(store), bytes / 3);
    while (stream_store_tick(store, 0, 1000)) {}
    ck_assert_uint_eq(stream_store_memory_bytes(store), 0);
    ck_assert_int_eq(stream_create(store, &stream), 0);
}
END_TEST

/* ---- memory ---- */

START_TEST(what_is_refused_memory_changes_nothing)
{
    struct stream *other = NULL;
    struct stream_options options = { .directory = "." };
    struct stream_store *second = NULL;

    add_many(200);
    refuse_every = 1;
    ck_assert_int_eq(stream_create(store, &other), -ENOMEM);
    ck_assert_int_eq(stream_store_create(os_real(), NULL, &options, NULL, &second), -ENOMEM);
    ck_assert_int_eq(stream_reserve(stream, 5000), -ENOMEM);
    ck_assert_int_eq(stream_delete(stream, 100, id_of(100, 0)), -ENOMEM);
    ck_assert_int_eq(stream_snapshot(stream, &other), -ENOMEM);
    /* What needs none goes on. */
    ck_assert_int_eq(stream_delete(stream, 1, id_of(1, 0)), 1);
    ck_assert_uint_eq(stream_trim(stream, 100), 98);
    refuse_every = 0;
    ck_assert_uint_eq(info().count, 101);
    ck_assert_uint_eq(info().deleted_count, 0);
    add(201, 0);
}
END_TEST

START_TEST(a_small_stream_takes_little)
{
    for (uint64_t i = 1; i <= 5; i++)
        add(1700000000000 + i * 1000, 0);
    ck_assert_uint_le(info().memory_bytes, 400);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tcase = test_suite_case(suite, "in memory", setup, teardown);

    tcase_add_test(tcase, a_new_stream_is_empty);
    tcase_add_test(tcase, an_entry_is_found_as_it_was_added);
    tcase_add_test(tcase, ids_only_grow);
    tcase_add_test(tcase, what_is_too_long_is_refused);
    tcase_add_test(tcase, a_long_entry_may_stand_among_short_ones);
    tcase_add_test(tcase, room_that_was_reserved_in_vain_goes_with_the_stream);
    tcase_add_test(tcase, what_is_set_is_told);
    tcase_add_test(tcase, start_moves_over_what_is_deleted);
    tcase_add_test(tcase, what_has_gone_is_deleted_no_more);
    tcase_add_test(tcase, a_trim_deletes_no_id);
    tcase_add_test(tcase, a_trim_by_length_counts_what_is_there);
    tcase_add_test(tcase, a_trim_by_id_ends_at_the_first_that_is_not_less);
    tcase_add_test(tcase, an_approximate_trim_takes_whole_groups);
    tcase_add_test(tcase, a_trim_by_bytes_leaves_no_more);
    tcase_add_test(tcase, a_trim_by_bytes_leaves_the_newest_piece);
    tcase_add_test(tcase, what_is_trimmed_gives_its_memory_back);
    tcase_add_test(tcase, what_is_deleted_gives_its_memory_back);
    tcase_add_test(tcase, a_stream_of_constant_length_takes_constant_memory);
    tcase_add_test(tcase, many_blocks_are_freed_in_slices);
    tcase_add_test(tcase, what_is_refused_memory_changes_nothing);
    tcase_add_test(tcase, a_small_stream_takes_little);
    return test_suite_run(suite);
}
