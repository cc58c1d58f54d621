/* Streams in journals when something fails: what is refused has changed nothing, and what was
 * promised is there after the next start. */
#include "modules/stream/files_internal.h"
#include "modules/stream/test_stream_empty.h"
#include "modules/stream/test_stream_mend.h"

enum { SIZE = 200 };

/* ---- a full disk ------------------------------------------------------------------------------
 */

START_TEST(a_full_disk_refuses_what_is_added_and_nothing_else)
{
    uint64_t number;

    begin();
    fault_set_disk(files.fault, 600 << 10);
    number = add_until(stream, -ENOSPC, 1, SIZE);
    ck_assert_uint_gt(number, 500);
    expect_entries(stream, 1, number, SIZE);
    ck_assert_int_eq(try_add(stream, number, SIZE), -ENOSPC);
    fault_set_disk(files.fault, UINT64_MAX);
    add_entries(stream, number, number + 1000, SIZE);
    expect_entries(stream, 1, number + 1000, SIZE);
    end();
}
END_TEST

START_TEST(a_stream_that_finds_no_room_to_move_to_stays_in_memory)
{
    struct stream_info info;
    uint64_t number;

    begin();
    fault_set_disk(files.fault, 0);
    number = add_until(stream, -ENOSPC, 1, SIZE);
    stream_get_info(stream, &info);
    ck_assert(info.is_in_memory);
    expect_entries(stream, 1, number, SIZE);
    settle();
    ck_assert_uint_eq(count_directories(), 0); /* what was begun is gone */
    fault_set_disk(files.fault, UINT64_MAX);
    add_entries(stream, number, 1000, SIZE);
    stream_get_info(stream, &info);
    ck_assert(!info.is_in_memory);
    expect_entries(stream, 1, 1000, SIZE);
    end();
}
END_TEST

START_TEST(a_stream_that_goes_while_it_moves_leaves_nothing)
{
    files.hooks.wait = NULL;
    begin();
    ck_assert_int_eq(try_add(stream, 1, SIZE), 0);
    ck_assert_int_eq(try_add(stream, 2, 60000), -EAGAIN);
    if (_i > 0) ck_assert_uint_gt(io_wait(files.io), 0);
    end();
}
END_TEST

/* ---- a failed sync ----------------------------------------------------------------------------
 */

START_TEST(a_failed_sync_is_no_checkpoint_and_refuses_what_is_added)
{
    uint8_t *bytes;
    size_t size;

    begin();
    add_entries(stream, 1, 1000, SIZE);
    ck_assert_int_eq(save(stream), 1);
    bytes = image.bytes;
    size = image.size;
    image.bytes = NULL;
    add_entries(stream, 1000, 1010, SIZE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    ck_assert_int_eq(try_add(stream, 1010, SIZE), -EROFS);
    expect_entries(stream, 1, 1010, SIZE);
    ck_assert_int_eq(save(stream), -EIO); /* and no later one: nobody has mended it */
    expect_entries(stream, 1, 1010, SIZE);
    stream_destroy(stream);
    restart();
    /* The log that is replayed adds the others again. */
    ck_assert_int_eq(stream_image_load(store, slice_of(bytes, size), &stream), 0);
    stream_checkpoint_loaded(store);
    expect_entries(stream, 1, 1000, SIZE);
    add_entries(stream, 1000, 1020, SIZE);
    ck_assert_int_eq(save(stream), 1);
    expect_entries(stream, 1, 1020, SIZE);
    stream_destroy(stream);
    free(bytes);
}
END_TEST

/* When the stream goes, checkpoints are made again. */
START_TEST(a_stream_that_has_failed_goes_like_any_other)
{
    begin();
    add_entries(stream, 1, 300, SIZE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    end();
    stream_checkpoint_begin(store);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, true);
}
END_TEST

/* ---- each system call -------------------------------------------------------------------------
 */

/* As much as comes without an error: whatever fails, what was added is there. */
static uint64_t work(uint64_t number)
{
    for (unsigned i = 0; i < 1500; i++)
        if (try_add(stream, number, SIZE) == 0) number++;
    return number;
}

static uint64_t count_readable(uint64_t from)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    unsigned failures = 0;
    uint64_t number = from;

    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    for (;;) {
        int rc = stream_cursor_next(&cursor, &entry);
        if (rc == 0) return number;
        if (rc < 0) ck_assert_uint_le(++failures, 2); /* told, and tried again */
        if (rc == 1) {
            ck_assert_uint_eq(entry.id.ms, number);
            ck_assert(slice_equal(entry.fields, value_of(number, SIZE)));
            number++;
        }
    }
}

START_TEST(each_call_fails_and_nothing_is_lost)
{
    bool has_fired = true;
    unsigned step = soak_is_full() ? 1 : 7;

    for (uint64_t nth = 1; has_fired; nth += step) {
        uint64_t number;
        begin();
        fault_fail(files.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        number = work(1);
        ck_assert_uint_eq(count_readable(1), number);
        trim_to(stream, 100);
        number = work(number);
        ck_assert_uint_eq(
            count_readable(stream_count(stream) < number ? number - stream_count(stream) : 1),
            number);
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        stream_destroy(stream);
        stream_store_destroy(store);
        /* What could not be removed goes with the next start. */
        create_store();
        stream_checkpoint_loaded(store);
        settle();
        ck_assert_uint_eq(count_directories(), 0);
        stream_store_destroy(store);
        store = NULL;
    }
}
END_TEST

/* What has failed before may be told once more. */
static void add_nevertheless(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++)
        if (try_add(stream, number, SIZE) < 0) ck_assert_int_eq(try_add(stream, number, SIZE), 0);
}

/* Loading, opening and setting back. */
START_TEST(each_call_of_a_start_fails_and_the_next_one_is_right)
{
    bool has_fired = true;

    begin();
    add_entries(stream, 1, 1000, SIZE);
    ck_assert_int_eq(save(stream), 1);
    for (uint64_t nth = 1; has_fired; nth++) {
        add_nevertheless(1000, 1400);
        stream_destroy(stream);
        stream_store_destroy(store);
        store = NULL;
        create_store();
        ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &stream), 0);
        fault_fail(files.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        stream_checkpoint_loaded(store);
        ck_assert_uint_eq(count_readable(1), 1000);
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        expect_entries(stream, 1, 1000, SIZE);
    }
    stream_destroy(stream);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals: failures");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);

    tcase_add_test(cases, a_full_disk_refuses_what_is_added_and_nothing_else);
    tcase_add_test(cases, a_stream_that_finds_no_room_to_move_to_stays_in_memory);
    tcase_add_loop_test(cases, a_stream_that_goes_while_it_moves_leaves_nothing, 0, 2);
    tcase_add_test(cases, a_failed_sync_is_no_checkpoint_and_refuses_what_is_added);
    tcase_add_test(cases, a_stream_that_has_failed_goes_like_any_other);
    tcase_add_test(cases, each_call_fails_and_nothing_is_lost);
    tcase_add_test(cases, each_call_of_a_start_fails_and_the_next_one_is_right);
    return test_suite_run(suite);
}
