/* The room that is kept for what removes: given away piece by piece, made whole again, and what is
 * in its way. */
#include "modules/base/test_suite.h"
#include "server/durability/test_oplog_room_fixture.h"

#include <fcntl.h>

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

/* What a file system leaves of an attempt that failed. */
static void leave_part(uint64_t bytes)
{
    struct os *os = fault_os(fixture.fault);
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/log.reserve", fixture.directory);
    fd = os->open(os, path, O_RDWR, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->allocate(os, fd, 0, bytes), 0);
    ck_assert_int_eq(os->close(os, fd), 0);
}

/* It is no smaller than it counts, and no larger either: the rest would be of no use to anybody. */
START_TEST(a_part_that_was_made_and_cannot_be_given_back_is_used)
{
    enum { PART_BYTES = 1 << 20 };
    uint64_t count, used;

    open_log(OPLOG_FSYNC_EVERYSEC);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + (1 << 20));
    ck_assert_int_eq(fill(true, &count), -ENOSPC);
    ck_assert_int_eq(fill(false, &count), -ENOSPC);
    ck_assert_uint_eq(info_now().reserve_bytes, 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
    leave_part(PART_BYTES);
    used = fault_disk_used(fixture.fault);
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_FROM_THEN_ON);
    fault_fail(fixture.fault, FAULT_TRUNCATE, 1, EIO, FAULT_FROM_THEN_ON);
    if (_i == 1) fault_fail(fixture.fault, FAULT_SIZE, 1, EIO, FAULT_ONCE);
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_uint_eq(info_now().reserve_bytes, PART_BYTES);
    fault_clear(fixture.fault);
    fault_set_disk(fixture.fault, used);
    ck_assert_int_eq(fill(false, &count), -ENOSPC);
    ck_assert_uint_ge(count * 100, PART_BYTES / 2);
    ck_assert_uint_eq(info_now().reserve_bytes, 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
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

int main(void)
{
    Suite *suite = suite_create("operation log, reserve");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_gave_way_is_not_taken_back_before_there_is_more);
    tcase_add_test(cases, what_gives_way_to_checkpoints_leaves_enough_for_what_removes);
    tcase_add_loop_test(cases, a_reserve_that_cannot_be_made_is_tried_again, 0, 4);
    tcase_add_loop_test(cases, a_part_that_was_made_and_cannot_be_given_back_is_used, 0, 2);
    tcase_add_test(cases, each_look_at_a_reserve_that_is_short_may_fail);
    tcase_add_test(cases, giving_the_reserve_may_fail_and_is_tried_again);
    return test_suite_run(suite);
}
