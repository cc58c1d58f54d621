/* The operation log on a full disk: what adds is refused, what removes goes on, nothing that has
 * happened is lost. */
#include "modules/base/test_suite.h"
#include "server/durability/test_oplog_room_fixture.h"

START_TEST(what_adds_is_refused_and_what_removes_goes_on)
{
    uint64_t count, reserve;

    open_log(OPLOG_FSYNC_EVERYSEC);
    reserve = info_now().reserve_bytes;
    ck_assert_uint_gt(reserve, 0);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    ck_assert_uint_gt(count, 0);
    ck_assert_int_eq(oplog_room_error(fixture.oplog), -ENOSPC);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), -ENOSPC);
    ck_assert_int_eq(fill(false, &count), -ENOSPC); /* and has an end, too */
    ck_assert_uint_ge(count * 100, reserve / 2);
    ck_assert_uint_eq(info_now().reserve_bytes, 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, fixture.next);
}
END_TEST

START_TEST(adding_goes_on_when_there_is_room_again)
{
    uint64_t count, used;

    open_log(OPLOG_FSYNC_EVERYSEC);
    used = fault_disk_used(fixture.fault) + (1 << 20);
    fault_set_disk(fixture.fault, used);
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_command(false), 0);
    for (int i = 0; i < 100; i++)
        turn();
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), -ENOSPC);
    fault_set_disk(fixture.fault, used + (16 << 20));
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_int_eq(oplog_room_error(fixture.oplog), 0);
    ck_assert_int_eq(write_command(true), 0);
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, fixture.next);
}
END_TEST

/* Until the answer is another one, or for a while. */
static int reserve_again(uint64_t bytes, int answer)
{
    int rc = answer;

    for (int i = 0; i < 10 && rc == answer; i++) {
        rc = oplog_reserve(fixture.oplog, bytes, true);
        settle();
    }
    return rc;
}

/* The journal may still tell of an attempt that was made before. Nothing was removed meanwhile. */
START_TEST(what_adds_is_not_refused_for_an_attempt_of_before)
{
    enum { MUCH = 200 << 10 };

    open_log(OPLOG_FSYNC_EVERYSEC);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault));
    ck_assert_int_eq(reserve_again(MUCH, -EAGAIN), -ENOSPC);
    fault_set_disk(fixture.fault, UINT64_MAX);
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_int_eq(oplog_room_error(fixture.oplog), 0);
    ck_assert_int_eq(reserve_again(MUCH, -EAGAIN), 0);
}
END_TEST

/* The log and the lists' file ask for as much at once: the first push would be the last. */
START_TEST(adding_does_not_go_on_for_what_is_taken_at_once)
{
    enum { LISTS_STEP = 1 << 20 };
    uint64_t count, log_step;

    open_log(OPLOG_FSYNC_EVERYSEC);
    log_step = fixture.options.roll_bytes;
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    turn();
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + LISTS_STEP);
    for (int i = 0; i < 100; i++)
        turn();
    ck_assert_int_eq(oplog_room_error(fixture.oplog), -ENOSPC);
    /* Of which it may have taken one meanwhile. */
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + LISTS_STEP + 2 * log_step);
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_int_eq(oplog_room_error(fixture.oplog), 0);
}
END_TEST

START_TEST(a_full_disk_at_the_start_is_no_end)
{
    fault_set_disk(fixture.fault, 1 << 20);
    open_log(OPLOG_FSYNC_EVERYSEC);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), -ENOSPC);
    ck_assert_int_eq(write_command(false), 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_int_eq(write_command(true), 0);
}
END_TEST

START_TEST(a_log_on_a_full_disk_is_opened_with_the_help_of_the_reserve)
{
    uint64_t count;

    open_log(OPLOG_FSYNC_EVERYSEC);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    close_log();
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault));
    open_log(OPLOG_FSYNC_EVERYSEC);
    ck_assert_int_eq(write_command(true), -ENOSPC);
    ck_assert_int_eq(write_command(false), 0);
    expect_replay(0, 0, count);
}
END_TEST

START_TEST(a_command_longer_than_a_frame_is_refused)
{
    open_log(OPLOG_FSYNC_EVERYSEC);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, UINT64_C(1) << 40, true), -EMSGSIZE);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), 0);
}
END_TEST

/* Each system call of opening, appending, syncing fails once. Either it is told, or what was
 * released is there. */
START_TEST(each_call_may_fail)
{
    uint64_t had_fired = 0;

    for (uint64_t nth = 1;; nth++) {
        uint64_t ticket = 0, released = 0, acknowledged = 0;
        bool has_fired;
        int rc;

        fixture.next = 0;
        fault_fail(fixture.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC, FAULT_ONCE);
        fixture.options.fsync = OPLOG_FSYNC_ALWAYS;
        rc = try_open();
        for (int i = 0; rc == 0 && i < 50; i++) {
            if (write_command(true) < 0) break;
            ticket = commit();
            settle();
            released = oplog_released(fixture.oplog);
            if (ticket && released >= ticket) acknowledged = fixture.next;
            fixture.now_us += TURN_US;
        }
        has_fired = fault_fired(fixture.fault) > 0;
        had_fired += has_fired;
        fault_clear(fixture.fault);
        if (rc == 0) (void)oplog_close(fixture.oplog); /* may tell of the failure */
        fixture.oplog = NULL;
        open_log(OPLOG_FSYNC_ALWAYS);
        {
            struct replay_options options = { .apply = replay_one };
            struct replay *replay;

            replayed.next = 0;
            replayed.last_ms = 0;
            replayed.refused = UINT64_MAX;
            ck_assert_int_eq(replay_open(os_real(), fixture.oplog, &options, &replay), 0);
            ck_assert_int_eq(replay_step(replay, UINT64_MAX), 0);
            ck_assert_msg(replayed.next >= acknowledged, "call %llu: %llu of %llu",
                          (unsigned long long)nth, (unsigned long long)replayed.next,
                          (unsigned long long)acknowledged);
            replay_close(replay);
        }
        close_log();
        test_directory_remove(fixture.directory);
        ck_assert_int_eq(mkdir(fixture.directory, 0700), 0);
        if (!has_fired) break;
    }
    ck_assert_uint_gt(had_fired, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operation log, room");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_adds_is_refused_and_what_removes_goes_on);
    tcase_add_test(cases, adding_goes_on_when_there_is_room_again);
    tcase_add_test(cases, what_adds_is_not_refused_for_an_attempt_of_before);
    tcase_add_test(cases, adding_does_not_go_on_for_what_is_taken_at_once);
    tcase_add_test(cases, a_full_disk_at_the_start_is_no_end);
    tcase_add_test(cases, a_log_on_a_full_disk_is_opened_with_the_help_of_the_reserve);
    tcase_add_test(cases, a_command_longer_than_a_frame_is_refused);
    tcase_add_test(cases, each_call_may_fail);
    return test_suite_run(suite);
}
