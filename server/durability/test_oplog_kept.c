/* What has happened and finds no room in the log: it is kept in its place, answers wait for it, but
 * not for ever. */
#include "modules/base/test_suite.h"
#include "server/durability/test_oplog_room_fixture.h"

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

int main(void)
{
    Suite *suite = suite_create("operation log, what is kept");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_has_happened_is_kept_until_there_is_room);
    tcase_add_test(cases, what_is_kept_stays_in_its_place);
    tcase_add_test(cases, what_is_kept_goes_to_the_disk_before_the_log_is_closed);
    tcase_add_test(cases, answers_do_not_wait_for_ever_for_what_cannot_be_written);
    tcase_add_test(cases, answers_leave_as_soon_as_there_is_room);
    tcase_add_test(cases, answers_do_not_wait_for_ever_for_what_is_kept);
    return test_suite_run(suite);
}
