/* Small journals that have no file, and what happens when they get one. */
#include "modules/journal/test_journal_fixture.h"

/* Both ways: _i is the way. */
static void open_in_memory(int way)
{
    fixture.options.starts_in_memory = true;
    fixture.options.way = (enum journal_way)way;
    open_journal();
    ck_assert(journal_is_in_memory(fixture.journal));
    ck_assert(fixture.report.is_created);
}

static bool has_directory(void)
{
    return access(fixture.path, F_OK) == 0;
}

static void open_here(void)
{
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    ck_assert_int_eq(journal_reader_open_here(fixture.journal, &fixture.reader), 0);
}

START_TEST(a_small_journal_has_no_file_and_little_memory)
{
    uint64_t opens = fault_count(fixture.fault, FAULT_ANY);

    open_in_memory(_i);
    append_many(5);
    journal_publish(fixture.journal);
    open_here();
    expect_frames(1, 6);
    expect_end();
    ck_assert(!has_directory());
    ck_assert_uint_le(info_now().memory_bytes, 2048);
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_ANY), opens + 1); /* it looked once */
    close_journal();
    ck_assert(!has_directory());
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}
END_TEST

START_TEST(in_memory_frames_are_seen_when_published_and_found_by_id)
{
    open_in_memory(_i);
    append_many(10);
    open_here();
    expect_end();
    journal_publish(fixture.journal);
    expect_frames(1, 11);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 7, 0), 0);
    expect_frames(7, 9);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    expect_frames(1, 2);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, JOURNAL_FOREVER), 1);
    ck_assert_int_eq(journal_reader_seek_end(fixture.reader), 0);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, JOURNAL_FOREVER), 0);
}
END_TEST

START_TEST(a_growing_journal_moves_to_a_file_and_readers_follow)
{
    open_in_memory(_i);
    append_many(10);
    journal_publish(fixture.journal);
    open_here();
    expect_frames(1, 6);
    append_many(1990);
    publish();
    ck_assert(!journal_is_in_memory(fixture.journal));
    expect_frames(6, 2001);
    expect_all(1, 2001); /* others */
    close_journal();
    open_journal();
    ck_assert(!journal_is_in_memory(fixture.journal));
    append_many(5);
    publish();
    expect_all(1, 2006);
}
END_TEST

START_TEST(appending_goes_on_while_it_moves)
{
    open_in_memory(_i);
    append_many(10);
    journal_move_to_file(fixture.journal);
    append_many(20);
    ck_assert(journal_is_in_memory(fixture.journal));
    settle();
    ck_assert(!journal_is_in_memory(fixture.journal));
    append_many(10);
    publish();
    expect_all(1, 41);
}
END_TEST

START_TEST(a_sync_moves_it)
{
    open_in_memory(_i);
    append_many(10);
    sync_all();
    ck_assert(!journal_is_in_memory(fixture.journal));
    expect_all(1, 11);
}
END_TEST

START_TEST(every_system_call_of_moving_may_fail)
{
    unsigned failures = 0;

    fixture.options.starts_in_memory = true;
    fixture.options.way = (enum journal_way)_i;
    open_journal();
    append_many(30);
    for (uint64_t nth = 1; journal_is_in_memory(fixture.journal); nth++) {
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        journal_move_to_file(fixture.journal);
        ck_assert_int_eq(journal_wait(fixture.journal), 0);
        fault_clear(fixture.fault);
        if (!journal_is_in_memory(fixture.journal)) break;
        ck_assert_int_eq(info_now().room_error, -EIO);
        failures++;
        append_many(1); /* still as it was */
    }
    ck_assert_uint_gt(failures, 8);
    settle();
    append_many(100);
    sync_all();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_full_disk_stops_it_at_the_limit_and_not_before)
{
    int rc;

    open_in_memory(_i);
    fault_set_disk(fixture.fault, 0);
    do {
        rc = append_next();
    } while (rc == 0);
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_uint_gt(info_now().memory_bytes, JOURNAL_MEMORY_BYTES_MAX / 2);
    journal_publish(fixture.journal);
    open_here();
    expect_frames(1, fixture.next);
    fault_set_disk(fixture.fault, UINT64_MAX);
    while ((rc = append_next()) == -ENOSPC)
        settle();
    ck_assert_int_eq(rc, 0);
    append_many(500);
    publish();
    expect_frames(fixture.next - 501, fixture.next);
}
END_TEST

START_TEST(without_reserve_it_moves_into_buffers)
{
    open_in_memory(_i);
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    append_many(1000);
    publish();
    ck_assert(info_now().is_without_reserve);
    expect_all(1, 1001);
}
END_TEST

/* Stores into a mapping without reserved blocks could meet a full disk there: a signal. */
START_TEST(without_reserve_it_is_buffered_though_it_moves_empty)
{
    open_in_memory(JOURNAL_MAPPED);
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    journal_move_to_file(fixture.journal);
    settle();
    ck_assert(!journal_is_in_memory(fixture.journal));
    ck_assert_int_eq(info_now().way, JOURNAL_BUFFERED);
    append_many(10);
    publish();
    expect_all(1, 11);
}
END_TEST

START_TEST(another_journal_in_its_place_is_not_touched)
{
    struct journal *ours;

    open_in_memory(_i);
    append_many(3);
    ours = fixture.journal;
    fixture.options.starts_in_memory = false;
    fixture.next = 1;
    open_journal();
    append_many(50);
    close_journal();
    fixture.journal = ours;
    journal_move_to_file(ours);
    settle();
    ck_assert_int_eq(info_now().room_error, -EEXIST);
    ck_assert(journal_is_in_memory(ours));
    expect_all(1, 51);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journals in memory");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_loop_test(cases, a_small_journal_has_no_file_and_little_memory, 0, 2);
    tcase_add_loop_test(cases, in_memory_frames_are_seen_when_published_and_found_by_id, 0, 2);
    tcase_add_loop_test(cases, a_growing_journal_moves_to_a_file_and_readers_follow, 0, 2);
    tcase_add_loop_test(cases, appending_goes_on_while_it_moves, 0, 2);
    tcase_add_loop_test(cases, a_sync_moves_it, 0, 2);
    tcase_add_loop_test(cases, every_system_call_of_moving_may_fail, 0, 2);
    tcase_add_loop_test(cases, a_full_disk_stops_it_at_the_limit_and_not_before, 0, 2);
    tcase_add_loop_test(cases, without_reserve_it_moves_into_buffers, 0, 2);
    tcase_add_test(cases, without_reserve_it_is_buffered_though_it_moves_empty);
    tcase_add_loop_test(cases, another_journal_in_its_place_is_not_touched, 0, 2);
    return test_suite_run(suite);
}
