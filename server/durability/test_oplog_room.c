/* The operation log on a full disk: what adds is refused, what removes goes on, nothing that has
 * happened is lost. */
#include "server/durability/test_oplog_fixture.h"

enum { MANY = 200000, BYTES = 1000, TURN_US = 10000 };

/* As a command does: room first, waiting for it, then the frame. */
static int write_command(bool adds)
{
    for (int tries = 0; tries < 1000; tries++) {
        int rc = oplog_reserve(fixture.oplog, BYTES, adds);

        if (rc == 0) {
            append();
            return 0;
        }
        if (rc != -EAGAIN) return rc;
        (void)commit();
        settle();
        fixture.now_us += TURN_US;
    }
    ck_abort_msg("room neither came nor was refused");
    return -EIO;
}

static int fill(bool adds, uint64_t *out_count)
{
    int rc = 0;

    for (*out_count = 0; *out_count < MANY; ++*out_count) {
        rc = write_command(adds);
        if (rc < 0) break;
    }
    return rc;
}

static void turn(void)
{
    (void)commit();
    settle();
    fixture.now_us += TURN_US;
}

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

/* The one that it is for may not have begun yet. */
START_TEST(what_gave_way_is_not_taken_back_before_there_is_more)
{
    uint64_t limit, reserve;

    open_log(OPLOG_FSYNC_EVERYSEC);
    reserve = info_now().reserve_bytes;
    limit = fault_disk_used(fixture.fault);
    fault_set_disk(fixture.fault, limit);
    ck_assert(oplog_give_way(fixture.oplog));
    for (int i = 0; i < 100; i++)
        turn();
    ck_assert_uint_lt(info_now().reserve_bytes, reserve);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), limit - reserve + info_now().reserve_bytes);
}
END_TEST

/* A checkpoint that finds no room however often it is tried: what gave way to it stays free, as
 * several pieces may be what it needs; and the log's own part stays. */
START_TEST(what_gives_way_to_checkpoints_leaves_enough_for_what_removes)
{
    enum { SEGMENT_BYTES = 256 << 10 }; /* the log may take some for its next one */
    uint64_t count, limit, reserve, given;

    open_log(OPLOG_FSYNC_EVERYSEC);
    reserve = info_now().reserve_bytes;
    limit = fault_disk_used(fixture.fault) + (1 << 20);
    fault_set_disk(fixture.fault, limit);
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    for (unsigned tries = 1; oplog_give_way(fixture.oplog); tries++) {
        ck_assert_uint_lt(tries, 20);
        for (int i = 0; i < 100; i++)
            turn();
        ck_assert_uint_lt(info_now().reserve_bytes, reserve);
        given = reserve - info_now().reserve_bytes;
        ck_assert_uint_le(fault_disk_used(fixture.fault) + given, limit + SEGMENT_BYTES);
    }
    ck_assert_uint_gt(info_now().reserve_bytes, 0);
    ck_assert_uint_le(info_now().reserve_bytes, reserve / 4);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault)); /* others were quicker */
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write_command(false), 0);
    fault_set_disk(fixture.fault, limit + (2 << 20)); /* for all of it, and something beside it */
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_uint_eq(info_now().reserve_bytes, reserve);
    ck_assert_int_eq(write_command(true), 0);
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, fixture.next);
}
END_TEST

/* Nobody asked for room: an EXEC in a fiber at its end, or what has expired. */
START_TEST(what_has_happened_is_kept_until_there_is_room)
{
    uint64_t ticket;

    open_log(OPLOG_FSYNC_EVERYSEC);
    for (int i = 0; i < 5000; i++)
        append();
    ck_assert_uint_gt(info_now().kept_bytes, 0);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, false), -EAGAIN);
    ticket = commit();
    ck_assert_uint_gt(ticket, 0);                /* it is not in the file: answers wait */
    ck_assert(!oplog_is_settled(fixture.oplog)); /* and so do checkpoints */
    for (int i = 0; i < 100 && info_now().kept_bytes > 0; i++)
        turn();
    ck_assert_uint_eq(info_now().kept_bytes, 0);
    ck_assert(oplog_is_settled(fixture.oplog));
    turn();
    ck_assert_uint_ge(oplog_released(fixture.oplog), ticket);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, false), 0);
    append();
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, 5001);
}
END_TEST

/* What comes behind it would find room, and is kept all the same. */
START_TEST(what_is_kept_stays_in_its_place)
{
    struct log_frame frame = { 0 };

    open_log(OPLOG_FSYNC_EVERYSEC);
    for (; fixture.next < 5000; fixture.next++) {
        char digits[32];
        struct slice arguments[2] = { SLICE_LITERAL("SET") };

        (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)fixture.next);
        arguments[1] = slice_of_string(digits);
        ck_assert_int_eq(log_frame_add(&frame, (unsigned)(fixture.next % 3), arguments, 2), 0);
    }
    ck_assert_int_eq(oplog_append_frame(fixture.oplog, (int64_t)(fixture.now_us / 1000), &frame),
                     0);
    ck_assert_uint_eq(info_now().kept_bytes, frame.size);
    append();
    (void)commit();
    ck_assert_uint_gt(info_now().kept_bytes, frame.size);
    log_frame_finish(&frame);
    for (int i = 0; i < 100 && info_now().kept_bytes > 0; i++)
        turn();
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, 5001);
}
END_TEST

START_TEST(what_is_kept_goes_to_the_disk_before_the_log_is_closed)
{
    open_log(OPLOG_FSYNC_ALWAYS);
    for (int i = 0; i < 5000; i++)
        append();
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, 5000);
}
END_TEST

/* True: who waits was told that the log has failed. */
static bool is_told_within(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        uint64_t ticket = commit();

        settle();
        fixture.now_us += TURN_US;
        if (ticket == OPLOG_LOST) return true;
    }
    return false;
}

static void expect_failed_for_want_of_room(void)
{
    ck_assert_int_eq(oplog_error(fixture.oplog), -ENOSPC);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), -ENOSPC);
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, false), -ENOSPC);
}

static void replace_log(void)
{
    ck_assert_int_eq(oplog_replace_begin(fixture.oplog), 0);
    settle();
    ck_assert_int_eq(oplog_replace_step(fixture.oplog), 0);
    ck_assert(oplog_replace_end(fixture.oplog, oplog_position(fixture.oplog)));
}

/* As where a file system cannot reserve. */
START_TEST(answers_do_not_wait_for_ever_for_what_cannot_be_written)
{
    uint64_t ticket, pwrites;

    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    turn();
    fault_fail(fixture.fault, FAULT_PWRITE, 1, ENOSPC, FAULT_FROM_THEN_ON);
    append();
    ticket = commit();
    ck_assert(!is_told_within(100)); /* room may come */
    ck_assert(is_told_within(200));
    ck_assert_uint_lt(oplog_released(fixture.oplog), ticket);
    expect_failed_for_want_of_room();
    fault_clear(fixture.fault);
    pwrites = fault_count(fixture.fault, FAULT_PWRITE);
    ck_assert(!is_told_within(100)); /* once is enough, and it is not written after all */
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_PWRITE), pwrites);
    replace_log();
    ck_assert_int_eq(write_command(true), 0);
}
END_TEST

/* The journal's room behind that is another matter, and is made meanwhile. */
START_TEST(answers_leave_as_soon_as_there_is_room)
{
    uint64_t ticket;

    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    open_log(OPLOG_FSYNC_ALWAYS);
    append();
    turn();
    fault_fail(fixture.fault, FAULT_PWRITE, 1, ENOSPC, FAULT_FROM_THEN_ON);
    append();
    ticket = commit();
    settle();
    for (int i = 0; i < 3; i++) {
        (void)oplog_reserve(fixture.oplog, 100 << 10, false);
        settle();
    }
    ck_assert(!is_told_within(100));
    fault_clear(fixture.fault);
    ck_assert(!is_told_within(20));
    ck_assert_uint_ge(oplog_released(fixture.oplog), ticket);
    reopen(OPLOG_FSYNC_ALWAYS);
    expect_replay(0, 0, 2);
}
END_TEST

START_TEST(answers_do_not_wait_for_ever_for_what_is_kept)
{
    uint64_t count, appended;

    open_log(OPLOG_FSYNC_EVERYSEC);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    ck_assert_int_eq(fill(false, &count), -ENOSPC);
    appended = fixture.next;
    for (unsigned i = 0; i < 100000 && info_now().kept_bytes == 0; i++) {
        append();
        (void)commit();
    }
    ck_assert(is_told_within(300));
    expect_failed_for_want_of_room();
    fault_set_disk(fixture.fault, UINT64_MAX);
    replace_log();
    ck_assert_uint_eq(info_now().kept_bytes, 0); /* the checkpoint has it */
    ck_assert_int_eq(write_command(false), 0);
    ck_assert_uint_gt(fixture.next, appended);
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
    ck_assert_int_eq(oplog_reserve(fixture.oplog, BYTES, true), -ENOSPC);
    ck_assert_int_eq(write_command(false), 0);
    expect_replay(0, 0, count);
}
END_TEST

START_TEST(a_reserve_that_cannot_be_made_is_tried_again)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };
    uint64_t count, reserve;

    open_log(OPLOG_FSYNC_EVERYSEC);
    reserve = info_now().reserve_bytes;
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    ck_assert_int_eq(fill(false, &count), -ENOSPC);
    ck_assert_uint_lt(info_now().reserve_bytes, reserve);
    fault_set_disk(fixture.fault, UINT64_MAX);
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, errors[_i], FAULT_FROM_THEN_ON);
    fault_fail(fixture.fault, FAULT_TRUNCATE, 1, errors[_i], FAULT_FROM_THEN_ON);
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_uint_ge(fault_fired(fixture.fault), 2);
    fault_clear(fixture.fault);
    ck_assert_int_eq(oplog_error(fixture.oplog), 0);
    ck_assert_uint_lt(info_now().reserve_bytes, reserve);
    ck_assert_int_lt(oplog_room_error(fixture.oplog), 0);
    for (int i = 0; i < 50 && oplog_room_error(fixture.oplog); i++)
        turn();
    ck_assert_uint_eq(info_now().reserve_bytes, reserve);
    for (int i = 0; i < 50 && write_command(true) < 0; i++) /* may tell of the last attempt */
        turn();
    ck_assert_int_eq(write_command(true), 0);
    reopen(OPLOG_FSYNC_EVERYSEC);
    expect_replay(0, 0, fixture.next);
}
END_TEST

/* Where the reserve is not whole, it is asked how much is there: what that meets is no end. */
START_TEST(each_look_at_a_reserve_that_is_short_may_fail)
{
    unsigned failures = 0;
    bool has_fired = true;

    open_log(OPLOG_FSYNC_EVERYSEC);
    append();
    close_log();
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
        fault_fail(fixture.fault, FAULT_SIZE, nth, EIO, FAULT_ONCE);
        rc = try_open();
        has_fired = fault_fired(fixture.fault) > 1;
        fault_clear(fixture.fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EIO);
            failures++;
            open_log(OPLOG_FSYNC_EVERYSEC);
        }
        expect_replay(0, 0, 1);
        close_log();
    }
    ck_assert_uint_gt(failures, 0);
}
END_TEST

/* For sluice-check on a disk that is full. */
START_TEST(giving_the_reserve_may_fail_and_is_tried_again)
{
    bool has_fired = true;
    uint64_t nth;

    for (nth = 1; has_fired; nth++) {
        int rc;

        open_log(OPLOG_FSYNC_EVERYSEC); /* makes it whole */
        close_log();
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = oplog_give_reserve(fault_os(fixture.fault), fixture.directory);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert(rc == 0 || (has_fired && rc == -EIO));
        if (rc < 0) ck_assert_int_eq(oplog_give_reserve(os_real(), fixture.directory), 0);
        ck_assert_int_eq(oplog_give_reserve(os_real(), fixture.directory), -ENOSPC);
    }
    ck_assert_uint_ge(nth, 5); /* opened, looked at, cut, closed, and once more */
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
    TCase *cases = tcase_create("room");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 240);
    tcase_add_test(cases, what_adds_is_refused_and_what_removes_goes_on);
    tcase_add_test(cases, adding_goes_on_when_there_is_room_again);
    tcase_add_test(cases, what_adds_is_not_refused_for_an_attempt_of_before);
    tcase_add_test(cases, adding_does_not_go_on_for_what_is_taken_at_once);
    tcase_add_test(cases, what_has_happened_is_kept_until_there_is_room);
    tcase_add_test(cases, what_is_kept_stays_in_its_place);
    tcase_add_test(cases, what_gave_way_is_not_taken_back_before_there_is_more);
    tcase_add_test(cases, what_gives_way_to_checkpoints_leaves_enough_for_what_removes);
    tcase_add_test(cases, what_is_kept_goes_to_the_disk_before_the_log_is_closed);
    tcase_add_test(cases, answers_do_not_wait_for_ever_for_what_cannot_be_written);
    tcase_add_test(cases, answers_leave_as_soon_as_there_is_room);
    tcase_add_test(cases, answers_do_not_wait_for_ever_for_what_is_kept);
    tcase_add_test(cases, a_full_disk_at_the_start_is_no_end);
    tcase_add_test(cases, a_log_on_a_full_disk_is_opened_with_the_help_of_the_reserve);
    tcase_add_loop_test(cases, a_reserve_that_cannot_be_made_is_tried_again, 0, 4);
    tcase_add_test(cases, each_look_at_a_reserve_that_is_short_may_fail);
    tcase_add_test(cases, giving_the_reserve_may_fail_and_is_tried_again);
    tcase_add_test(cases, a_command_longer_than_a_frame_is_refused);
    tcase_add_test(cases, each_call_may_fail);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
