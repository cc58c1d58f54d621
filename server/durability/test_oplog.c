/* The operation log: what answers wait for, what happens without room, and reading it again. */
#include "modules/base/test_suite.h"
#include "server/durability/test_oplog_fixture.h"

/* ---- always -----------------------------------------------------------------------------------
 */

START_TEST(nothing_appended_nothing_to_wait_for)
{
    open_log(OPLOG_FSYNC_ALWAYS);
    ck_assert_uint_eq(commit(), 0);
    ck_assert_int_eq(oplog_wait_us(fixture.oplog, fixture.now_us), -1);
}
END_TEST

START_TEST(a_ticket_is_released_by_the_sync)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    ticket = commit();
    ck_assert_uint_gt(ticket, 0);
    ck_assert_uint_lt(oplog_released(fixture.oplog), ticket);
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), ticket);
    ck_assert_uint_eq(oplog_synced_position(fixture.oplog), oplog_position(fixture.oplog));
    ck_assert_uint_eq(commit(), 0);
    ck_assert_uint_gt(fixture.progress_count, 0);
}
END_TEST

START_TEST(who_reads_what_is_not_synced_waits_too)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    ticket = commit();
    ck_assert_uint_eq(commit(), ticket); /* a turn in which nothing was written */
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), ticket);
}
END_TEST

START_TEST(one_sync_serves_all_who_came_while_one_ran)
{
    enum { TURNS = 20 };
    uint64_t first, second = 0, syncs;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    first = commit();
    syncs = info_now().sync_count;
    for (int i = 0; i < TURNS; i++) {
        append();
        second = commit();
        ck_assert_uint_eq(second, first + 1);
    }
    while (oplog_released(fixture.oplog) < first)
        (void)io_wait(fixture.io);
    ck_assert_uint_eq(oplog_released(fixture.oplog), first);
    ck_assert_uint_eq(commit(), second);
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), second);
    ck_assert_uint_eq(info_now().sync_count, syncs + 2);
}
END_TEST

/* Many are served by a sync that takes long: the next one waits a moment for them to come again,
 * but not for ever. */
START_TEST(a_sync_is_put_off_for_those_who_are_about_to_come)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_ALWAYS);
    for (int i = 0; i < 10; i++)
        append();
    (void)commit();
    settle();
    fixture.now_us += 10000; /* so long it took */
    ck_assert_uint_eq(commit(), 0);
    append();
    ticket = commit();
    ck_assert_uint_gt(ticket, oplog_released(fixture.oplog));
    ck_assert_uint_eq(io_in_flight(fixture.io), 0);
    ck_assert_int_gt(oplog_wait_us(fixture.oplog, fixture.now_us), 0);
    ck_assert_int_lt(oplog_wait_us(fixture.oplog, fixture.now_us), 1000);
    fixture.now_us += 10;
    append();
    ck_assert_uint_eq(commit(), ticket);
    ck_assert_uint_eq(io_in_flight(fixture.io), 0);
    for (int i = 0; io_in_flight(fixture.io) == 0; i++) { /* somebody always comes */
        ck_assert_int_lt(i, 1000);
        fixture.now_us += 10;
        append();
        ck_assert_uint_eq(commit(), ticket);
    }
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), ticket);
}
END_TEST

START_TEST(a_sync_waits_for_no_more_than_it_has_let_go)
{
    enum { SERVED = 10 };

    open_log(OPLOG_FSYNC_ALWAYS);
    for (int i = 0; i < SERVED; i++)
        append();
    (void)commit();
    settle();
    fixture.now_us += 10000;
    (void)commit();
    for (int i = 0; i < SERVED; i++) {
        ck_assert_uint_eq(io_in_flight(fixture.io), 0);
        append();
        (void)commit();
    }
    ck_assert_uint_gt(io_in_flight(fixture.io), 0); /* and no time has passed */
    settle();
}
END_TEST

START_TEST(a_failed_sync_is_final)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ticket = commit();
    settle();
    ck_assert_int_eq(oplog_error(fixture.oplog), -EIO);
    ck_assert_uint_lt(oplog_released(fixture.oplog), ticket);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, 10, false), -EIO);
    ck_assert_int_eq(append_at(1), -EIO);
    /* Who has read in that turn may have seen what was lost; whom to refuse later, others see to.
     */
    ck_assert_uint_eq(commit(), OPLOG_LOST);
    ck_assert_uint_eq(commit(), 0);
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), -EIO);
    ck_assert_uint_lt(oplog_released(fixture.oplog), ticket);
    ck_assert_int_eq(oplog_close(fixture.oplog), -EIO);
    fixture.oplog = NULL;
}
END_TEST

/* Commands of a turn that were executed when the failure became known: their answers must not
 * leave, those of later turns may. */
START_TEST(what_a_failure_takes_with_it_is_told_once)
{
    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    (void)commit();
    append();
    settle();
    ck_assert_uint_eq(commit(), OPLOG_LOST);
    ck_assert_uint_eq(commit(), 0);
    ck_assert_int_eq(append_at(1), -EIO);
    ck_assert_uint_eq(commit(), 0);
}
END_TEST

/* ---- one frame for many
 * --------------------------------------------------------------------------
 */

static void append_in(unsigned database, int64_t now_ms)
{
    static const char command[] = "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n";

    ck_assert_int_eq(
        oplog_append(fixture.oplog, now_ms, database, slice_of(command, sizeof(command) - 1)), 0);
}

START_TEST(commands_of_one_time_and_database_share_a_frame)
{
    uint64_t number;

    open_log(OPLOG_FSYNC_EVERYSEC);
    number = oplog_frame_number(fixture.oplog);
    for (int i = 0; i < 100; i++)
        append_in(0, 1000);
    ck_assert_uint_eq(oplog_frame_number(fixture.oplog), number + 1);
    (void)commit();
    ck_assert_uint_eq(oplog_frame_number(fixture.oplog), number + 1);
    ck_assert_uint_eq(info_now().frame_count, 1);
    append_in(0, 1000);
    append_in(0, 1001);
    append_in(1, 1001);
    (void)commit();
    ck_assert_uint_eq(info_now().frame_count, 4);
    for (int i = 0; i < 10000; i++) {
        append_in(0, 1002);
        if (i % 1000 == 0) settle();
    }
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), 0);
    ck_assert_uint_gt(info_now().frame_count, 8);
    ck_assert_uint_lt(info_now().frame_count, 100);
    ck_assert_uint_eq(oplog_frame_number(fixture.oplog), number + info_now().frame_count);
    ck_assert_uint_eq(oplog_synced_frame_number(fixture.oplog), oplog_frame_number(fixture.oplog));
}
END_TEST

/* ---- everysec, no -----------------------------------------------------------------------------
 */

START_TEST(each_second_is_synced_once)
{
    open_log(OPLOG_FSYNC_EVERYSEC);
    append();
    ck_assert_uint_eq(commit(), 0);
    settle();
    for (int second = 0; second < 5; second++) {
        uint64_t syncs = info_now().sync_count;

        append();
        ck_assert_uint_eq(commit(), 0);
        settle();
        ck_assert_uint_eq(info_now().sync_count, syncs);
        ck_assert_int_eq(oplog_wait_us(fixture.oplog, fixture.now_us), 1000000);
        fixture.now_us += 1000000;
        ck_assert_uint_eq(commit(), 0);
        settle();
        ck_assert_uint_eq(info_now().sync_count, syncs + 1);
        ck_assert_uint_eq(info_now().unsynced_bytes, 0);
        ck_assert_int_eq(oplog_wait_us(fixture.oplog, fixture.now_us), -1);
    }
}
END_TEST

START_TEST(a_sync_that_takes_long_makes_writes_wait)
{
    open_log(OPLOG_FSYNC_EVERYSEC);
    append();
    fixture.now_us += 1000000;
    (void)commit(); /* its sync is begun, and not run */
    append();
    fixture.now_us += 1500000;
    (void)commit();
    ck_assert_uint_eq(info_now().delayed_sync_count, 1);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, 10, true), 0);
    fixture.now_us += 600000;
    (void)commit();
    ck_assert_uint_eq(info_now().delayed_sync_count, 1);
    ck_assert(info_now().is_late);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, 10, true), -EAGAIN);
    settle();
    ck_assert(!info_now().is_late);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, 10, true), 0);
    ck_assert_uint_gt(fixture.progress_count, 0);
}
END_TEST

START_TEST(without_syncs_nobody_waits)
{
    uint64_t syncs;

    open_log(OPLOG_FSYNC_NO);
    syncs = info_now().sync_count;
    for (int i = 0; i < 100; i++) {
        append();
        ck_assert_uint_eq(commit(), 0);
        fixture.now_us += 100000;
        settle();
    }
    ck_assert_uint_eq(info_now().sync_count, syncs);
    ck_assert_int_eq(oplog_wait_us(fixture.oplog, fixture.now_us), -1);
    oplog_hurry(fixture.oplog);
    settle();
    ck_assert_uint_eq(info_now().unsynced_bytes, 0);
}
END_TEST

/* What was appended while the sync ran that somebody hurried for. */
START_TEST(who_hurries_while_a_sync_runs_is_served_by_the_next)
{
    open_log(OPLOG_FSYNC_NO);
    append();
    (void)commit();
    oplog_hurry(fixture.oplog);
    append();
    (void)commit();
    oplog_hurry(fixture.oplog);
    settle();
    ck_assert_uint_eq(oplog_synced_position(fixture.oplog), oplog_position(fixture.oplog));
    ck_assert_uint_eq(oplog_synced_frame_number(fixture.oplog), oplog_frame_number(fixture.oplog));
}
END_TEST

START_TEST(the_mode_changes_while_answers_wait)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    ticket = commit();
    append();
    ck_assert_uint_eq(commit(), ticket + 1);
    oplog_set_fsync(fixture.oplog, OPLOG_FSYNC_EVERYSEC);
    append();
    (void)commit();
    settle();
    ck_assert_uint_ge(oplog_released(fixture.oplog), ticket + 1);
    append();
    oplog_set_fsync(fixture.oplog, OPLOG_FSYNC_ALWAYS);
    ticket = commit();
    ck_assert_uint_gt(ticket, oplog_released(fixture.oplog));
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), ticket);
}
END_TEST

/* Where the file system cannot reserve space what was appended lies in memory first: a killed
 * process would lose it, so answers wait until it is written. */
START_TEST(without_a_mapping_answers_wait_for_the_write)
{
    uint64_t ticket, syncs;

    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    open_log(OPLOG_FSYNC_NO);
    syncs = info_now().sync_count;
    append();
    ticket = commit();
    ck_assert_uint_gt(ticket, 0);
    settle();
    ck_assert_uint_eq(oplog_released(fixture.oplog), ticket);
    ck_assert_uint_eq(info_now().sync_count, syncs);
    ck_assert_uint_eq(commit(), 0);
}
END_TEST

/* ---- reading it again -------------------------------------------------------------------------
 */

START_TEST(what_was_appended_is_replayed_in_order)
{
    uint64_t middle;

    open_log(OPLOG_FSYNC_EVERYSEC);
    for (int i = 0; i < 1000; i++)
        append();
    middle = oplog_position(fixture.oplog);
    for (int i = 0; i < 5000; i++) {
        append();
        if (i % 100 == 0) settle();
    }
    reopen(OPLOG_FSYNC_ALWAYS);
    expect_replay(0, 0, 6000);
    expect_replay(middle, 1000, 6000);
    append();
    reopen(OPLOG_FSYNC_NO);
    expect_replay(0, 0, 6001);
}
END_TEST

START_TEST(what_was_trimmed_is_not_asked_for)
{
    struct replay_options options = { .apply = replay_one };
    struct replay *replay;
    uint64_t start, position;

    open_log(OPLOG_FSYNC_EVERYSEC);
    append();
    start = info_now().start;
    for (int i = 0; i < 20000; i++) {
        append();
        if (i % 100 == 0) settle();
    }
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), 0);
    position = oplog_position(fixture.oplog);
    oplog_trim(fixture.oplog, position);
    settle();
    append();
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(position, 20001, 20002);
    options.position = start;
    ck_assert_int_eq(replay_open(os_real(), fixture.oplog, &options, &replay), -ESTALE);
}
END_TEST

START_TEST(a_command_that_cannot_be_done_stops_it_and_says_where)
{
    struct replay_options options = { .apply = replay_one };
    struct replay *replay;

    open_log(OPLOG_FSYNC_ALWAYS);
    for (int i = 0; i < 10; i++)
        append();
    reopen(OPLOG_FSYNC_ALWAYS);
    replayed.next = 0;
    replayed.last_ms = 0;
    replayed.refused = 7;
    ck_assert_int_eq(replay_open(os_real(), fixture.oplog, &options, &replay), 0);
    ck_assert_int_eq(replay_step(replay, UINT64_MAX), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(replay_error(replay), "0000000001.log at offset "));
    ck_assert_ptr_nonnull(strstr(replay_error(replay), ": no"));
    replay_close(replay);
}
END_TEST

START_TEST(the_clock_may_go_back)
{
    open_log(OPLOG_FSYNC_ALWAYS);
    ck_assert_int_eq(append_at(5000), 0);
    ck_assert_int_eq(append_at(5000), 0);
    ck_assert_int_eq(append_at(1000), 0);
    ck_assert_int_eq(append_at(-1), 0);
    reopen(OPLOG_FSYNC_ALWAYS);
    ck_assert_int_eq(append_at(2000), 0);
    ck_assert_int_eq(append_at(6000), 0);
    reopen(OPLOG_FSYNC_ALWAYS);
    expect_replay(0, 0, 6);
    ck_assert_int_eq(replayed.last_ms, 6000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operation log");
    TCase *cases = test_suite_case(suite, "operation log", set_up, tear_down);

    tcase_add_test(cases, nothing_appended_nothing_to_wait_for);
    tcase_add_test(cases, a_ticket_is_released_by_the_sync);
    tcase_add_test(cases, who_reads_what_is_not_synced_waits_too);
    tcase_add_test(cases, one_sync_serves_all_who_came_while_one_ran);
    tcase_add_test(cases, a_sync_is_put_off_for_those_who_are_about_to_come);
    tcase_add_test(cases, a_sync_waits_for_no_more_than_it_has_let_go);
    tcase_add_test(cases, a_failed_sync_is_final);
    tcase_add_test(cases, what_a_failure_takes_with_it_is_told_once);
    tcase_add_test(cases, commands_of_one_time_and_database_share_a_frame);
    tcase_add_test(cases, each_second_is_synced_once);
    tcase_add_test(cases, a_sync_that_takes_long_makes_writes_wait);
    tcase_add_test(cases, without_syncs_nobody_waits);
    tcase_add_test(cases, who_hurries_while_a_sync_runs_is_served_by_the_next);
    tcase_add_test(cases, the_mode_changes_while_answers_wait);
    tcase_add_test(cases, without_a_mapping_answers_wait_for_the_write);
    tcase_add_test(cases, what_was_appended_is_replayed_in_order);
    tcase_add_test(cases, what_was_trimmed_is_not_asked_for);
    tcase_add_test(cases, a_command_that_cannot_be_done_stops_it_and_says_where);
    tcase_add_test(cases, the_clock_may_go_back);
    return test_suite_run(suite);
}
