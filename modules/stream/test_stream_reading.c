/* What a stream in memory promises its readers, of its snapshots and of its images, one by one. */
#include "modules/base/test_suite.h"
#include "modules/stream/test_stream_fixture.h"

#include <errno.h>

/* ---- reading ---- */

static uint64_t next_ms(struct stream_cursor *cursor)
{
    struct stream_entry entry;
    int rc = stream_cursor_next(cursor, &entry);

    ck_assert_int_ge(rc, 0);
    return rc == 0 ? 0 : entry.id.ms;
}

START_TEST(a_cursor_passes_over_what_is_deleted)
{
    struct stream_cursor forward, backward;

    add_many(6);
    delete_one(1);
    delete_one(3);
    delete_one(4);
    delete_one(6);
    stream_cursor_begin(&forward, stream, STREAM_ID_MIN, STREAM_FORWARD);
    stream_cursor_begin(&backward, stream, STREAM_ID_MAX, STREAM_BACKWARD);
    ck_assert_uint_eq(next_ms(&forward), 2);
    ck_assert_uint_eq(next_ms(&forward), 5);
    ck_assert_uint_eq(next_ms(&forward), 0);
    ck_assert_uint_eq(next_ms(&backward), 5);
    ck_assert_uint_eq(next_ms(&backward), 2);
    ck_assert_uint_eq(next_ms(&backward), 0);
}
END_TEST

START_TEST(a_cursor_meets_what_was_added_behind_it)
{
    struct stream_cursor cursor;

    stream_cursor_begin(&cursor, stream, id_of(1, 0), STREAM_FORWARD);
    ck_assert_uint_eq(next_ms(&cursor), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        add(i, 0);
        ck_assert_uint_eq(next_ms(&cursor), i);
        ck_assert_uint_eq(next_ms(&cursor), 0);
    }
}
END_TEST

START_TEST(a_cursor_goes_on_where_what_it_stood_at_has_gone)
{
    struct stream_cursor cursor;

    add_many(1000);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    ck_assert_uint_eq(next_ms(&cursor), 1);
    ck_assert_uint_eq(stream_trim(stream, 501), 500);
    ck_assert_uint_eq(next_ms(&cursor), 501);
    delete_one(502);
    ck_assert_uint_eq(next_ms(&cursor), 503);
    stream_trim(stream, 1001);
    ck_assert_uint_eq(next_ms(&cursor), 0);
}
END_TEST

START_TEST(the_last_id_there_can_be_is_the_end_of_a_cursor)
{
    struct stream_cursor cursor;

    ck_assert_int_eq(stream_reserve(stream, ONE_FIELD.size), 0);
    ck_assert_int_eq(stream_add(stream, STREAM_ID_MAX, 2, ONE_FIELD), 0);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MAX, STREAM_FORWARD);
    ck_assert_uint_eq(next_ms(&cursor), UINT64_MAX);
    ck_assert_uint_eq(next_ms(&cursor), 0);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MAX, STREAM_BACKWARD);
    ck_assert_uint_eq(next_ms(&cursor), UINT64_MAX);
    ck_assert_uint_eq(next_ms(&cursor), 0);
}
END_TEST

START_TEST(a_snapshot_stays_as_it_was)
{
    struct stream *snapshot = NULL;
    struct stream_cursor cursor;

    add_many(2000);
    delete_one(7);
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    delete_one(8);
    ck_assert_uint_eq(stream_trim(stream, 1501), 1498);
    for (uint64_t i = 2001; i <= 3000; i++)
        add(i, 0);
    stream_destroy(stream);
    stream_cursor_begin(&cursor, snapshot, STREAM_ID_MIN, STREAM_FORWARD);
    for (uint64_t i = 1; i <= 2000; i++)
        if (i != 7) ck_assert_uint_eq(next_ms(&cursor), i);
    ck_assert_uint_eq(next_ms(&cursor), 0);
    stream_destroy(snapshot);
    ck_assert_uint_eq(stream_store_memory_bytes(store), 0);
    ck_assert_int_eq(stream_create(store, &stream), 0);
}
END_TEST

START_TEST(a_cursor_goes_on_in_a_snapshot_whatever_was_changed_before)
{
    struct stream *snapshot = NULL;
    struct stream_cursor cursor, moved;

    add_many(2000);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    for (uint64_t i = 1; i <= 700; i++)
        ck_assert_uint_eq(next_ms(&cursor), i);
    moved = cursor;
    ck_assert_uint_eq(next_ms(&moved), 701); /* its place is of the stream as it is now */
    ck_assert_uint_eq(stream_trim(stream, 501), 500);
    delete_one(702);
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    stream_cursor_enter(&cursor, snapshot);
    stream_cursor_enter(&moved, snapshot);
    stream_trim(stream, 2001);
    ck_assert_uint_eq(next_ms(&cursor), 701);
    for (uint64_t i = 703; i <= 2000; i++) {
        ck_assert_uint_eq(next_ms(&cursor), i);
        ck_assert_uint_eq(next_ms(&moved), i);
    }
    ck_assert_uint_eq(next_ms(&cursor), 0);
    stream_destroy(snapshot);
}
END_TEST

/* ---- images ---- */

START_TEST(an_image_of_an_empty_stream_keeps_its_ids)
{
    struct stream *loaded = NULL;
    struct stream_info got;

    add_many(3);
    delete_one(2);
    ck_assert_uint_eq(stream_trim(stream, 4), 2);
    write_image(stream);
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &loaded), 0);
    stream_get_info(loaded, &got);
    ck_assert_uint_eq(got.start, 4);
    ck_assert_uint_eq(got.end, 4);
    ck_assert_uint_eq(got.entries_added, 3);
    expect_id(got.last_id, 3, 0);
    expect_id(got.max_deleted_id, 2, 0);
    stream_destroy(loaded);
}
END_TEST

START_TEST(an_image_of_another_version_is_told_from_a_damaged_one)
{
    struct stream *loaded = NULL;

    add_many(3);
    write_image(stream);
    image.bytes[0]++;
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &loaded),
                     -EPROTONOSUPPORT);
    image.bytes[0]--;
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, 71), &loaded), -EBADMSG);
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, 0), &loaded), -EBADMSG);
}
END_TEST

/* Refused, or a stream that holds together; in neither case anything is left. */
static void load_damaged(struct slice bytes)
{
    struct stream *loaded = NULL;
    int rc = stream_image_load(store, bytes, &loaded);

    if (rc == 0) {
        stream_check(loaded);
        stream_destroy(loaded);
    }
    ck_assert(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
    ck_assert_uint_eq(stream_store_memory_bytes(store), info().memory_bytes);
}

START_TEST(damaged_images_are_refused_or_hold_together)
{
    add_many(20);
    delete_one(4);
    delete_one(11);
    delete_one(12);
    write_image(stream);
    for (size_t i = 0; i < image.size; i++) {
        struct stream *loaded = NULL;
        ck_assert_int_lt(stream_image_load(store, slice_of(image.bytes, i), &loaded), 0);
        for (unsigned bit = 0; bit < 8; bit++) {
            image.bytes[i] ^= (uint8_t)(1 << bit);
            load_damaged(slice_of(image.bytes, image.size));
            image.bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    load_damaged(slice_of(image.bytes, image.size));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reading streams");
    TCase *tcase = test_suite_case(suite, "in memory", setup, teardown);

    tcase_add_test(tcase, a_cursor_passes_over_what_is_deleted);
    tcase_add_test(tcase, a_cursor_meets_what_was_added_behind_it);
    tcase_add_test(tcase, a_cursor_goes_on_where_what_it_stood_at_has_gone);
    tcase_add_test(tcase, the_last_id_there_can_be_is_the_end_of_a_cursor);
    tcase_add_test(tcase, a_snapshot_stays_as_it_was);
    tcase_add_test(tcase, a_cursor_goes_on_in_a_snapshot_whatever_was_changed_before);
    tcase_add_test(tcase, an_image_of_an_empty_stream_keeps_its_ids);
    tcase_add_test(tcase, an_image_of_another_version_is_told_from_a_damaged_one);
    tcase_add_test(tcase, damaged_images_are_refused_or_hold_together);
    return test_suite_run(suite);
}
