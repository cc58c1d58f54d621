/* A log that begins beside one from before, and ends, while nobody waits; each system call of that
 * fails once. */
#include "modules/base/test_suite.h"
#include "modules/journal/format.h"
#include "server/durability/log_directory.h"
#include "server/durability/test_oplog_fixture.h"

enum { BEFORE = 10, TICKET = 7, FRAMES = 20 };

static struct oplog_past past;
static struct oplog_ground ground;

/* A log that was written, and ended. */
static void make_old(enum oplog_fsync fsync)
{
    open_log(fsync);
    for (unsigned i = 0; i < BEFORE; i++)
        append();
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), 0);
    past = (struct oplog_past){ .above = oplog_position(fixture.oplog),
                                .ticket = TICKET,
                                .frame_number = FRAMES };
    close_log();
}

static void leave(void)
{
    if (fixture.oplog) {
        oplog_get_past(fixture.oplog, &past);
        oplog_give_up(fixture.oplog);
        settle();
        ck_assert(oplog_is_idle(fixture.oplog));
        (void)oplog_close_idle(fixture.oplog); /* that it was given up is known */
        fixture.oplog = NULL;
    }
    oplog_leave_ground(fault_os(fixture.fault), &ground);
}

static int attempt(void)
{
    int rc;

    ground = (struct oplog_ground){ .directory = fixture.directory,
                                    .remove_from = 1 + (past.above > 0),
                                    .reserve_fd = -1 };
    rc = oplog_prepare(fault_os(fixture.fault), &ground);
    if (rc == 0)
        rc = oplog_begin(fault_os(fixture.fault), fixture.io, &fixture.options, &past, &ground,
                         &fixture.oplog);
    if (rc < 0) return rc;
    settle();
    return oplog_begin_step(fixture.oplog);
}

static int find(uint64_t position, uint64_t *out_first_segment)
{
    return log_directory_find(os_real(), fixture.directory, position, out_first_segment);
}

static const enum oplog_fsync modes[] = { OPLOG_FSYNC_ALWAYS, OPLOG_FSYNC_EVERYSEC,
                                          OPLOG_FSYNC_NO };

START_TEST(it_goes_on_where_the_one_before_has_ended)
{
    uint64_t position, found;

    make_old(modes[_i]);
    fixture.options.fsync = modes[_i];
    ck_assert_int_eq(attempt(), 0);
    position = oplog_position(fixture.oplog);
    ck_assert_uint_gt(position, past.above);
    ck_assert_uint_eq(oplog_released(fixture.oplog), TICKET);
    ck_assert_uint_eq(oplog_frame_number(fixture.oplog), FRAMES);
    ck_assert_uint_eq(oplog_synced_frame_number(fixture.oplog), FRAMES);
    fixture.next = 0;
    append();
    ck_assert(modes[_i] != OPLOG_FSYNC_ALWAYS || commit() == TICKET + 1);
    settle();
    ck_assert_int_eq(oplog_error(fixture.oplog), 0);
    while (oplog_end_step(fixture.oplog) == 1)
        settle();
    ck_assert_int_eq(oplog_end_step(fixture.oplog), 0);
    oplog_get_past(fixture.oplog, &past);
    ck_assert_uint_eq(past.above, oplog_synced_position(fixture.oplog));
    ck_assert_uint_eq(past.frame_number, FRAMES + 1);
    ck_assert_uint_eq(past.ticket, oplog_released(fixture.oplog));
    ck_assert_int_eq(oplog_close_idle(fixture.oplog), 0);
    fixture.oplog = NULL;
    ck_assert_int_eq(find(position, &found), 0);
    fixture.options.first_segment = found;
    fixture.options.synced_position = past.above;
    open_log(modes[_i]);
    expect_replay(position, 0, 1);
}
END_TEST

/* What a start finds is what there was, whatever has failed; and it may be tried again. */
START_TEST(an_attempt_that_fails_leaves_what_there_was)
{
    for (uint64_t nth = 1;; nth++) {
        uint64_t found;
        int rc;

        make_old(modes[_i]);
        fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, EIO, FAULT_ONCE);
        rc = attempt();
        if (fault_fired(fixture.fault) == 0) break;
        fault_clear(fixture.fault);
        leave();
        ck_assert_int_eq(find(0, &found), 0);
        ck_assert_uint_eq(found, 0);
        ck_assert_int_eq(attempt(), 0);
        leave();
        fixture.options.first_segment = 0;
        open_log(modes[_i]);
        expect_replay(0, 0, BEFORE);
        ck_assert_uint_lt(nth, 100);
        ck_assert(rc <= 0);
        tear_down();
        set_up();
    }
    leave();
}
END_TEST

START_TEST(without_one_before_a_start_needs_none)
{
    uint64_t found;

    past = (struct oplog_past){ 0 };
    ck_assert_int_eq(attempt(), 0);
    leave();
    ck_assert_int_eq(find(0, &found), -ENOENT);
    ck_assert_int_eq(find(past.above, &found), 0); /* when the checkpoint has its name */
    ck_assert_int_eq(log_directory_unmark(os_real(), fixture.directory), 0);
    ck_assert_int_eq(log_directory_unmark(os_real(), fixture.directory), 0);
    ck_assert_int_eq(find(0, &found), -ESTALE); /* then it is the checkpoint that is missing */
}
END_TEST

START_TEST(a_full_disk_is_told_at_once)
{
    ground = (struct oplog_ground){ .directory = fixture.directory, .reserve_fd = -1 };
    past = (struct oplog_past){ 0 };
    fault_set_disk(fixture.fault, 1 << 20);
    ck_assert_int_eq(attempt(), -ENOSPC);
    ck_assert_int_eq(ground.reserve_fd, -1);
    ck_assert_ptr_null(ground.reserve_path);
    fault_set_disk(fixture.fault, UINT64_MAX);
    ck_assert_int_eq(attempt(), 0);
    leave();
}
END_TEST

/* How much is free cannot be told, and the reserve's room cannot be given back at once. */
START_TEST(ground_that_cannot_be_looked_at_is_left)
{
    ground = (struct oplog_ground){ .directory = fixture.directory, .reserve_fd = -1 };
    past = (struct oplog_past){ 0 };
    /* It is asked first for how long segments may be. */
    fault_fail(fixture.fault, FAULT_FREE_BYTES, 2, EIO, FAULT_ONCE);
    fault_fail(fixture.fault, FAULT_TRUNCATE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(attempt(), -EIO);
    ck_assert_uint_eq(fault_fired(fixture.fault), 2);
    ck_assert_int_eq(ground.reserve_fd, -1);
    ck_assert_ptr_null(ground.reserve_path);
    fault_clear(fixture.fault);
    ck_assert_int_eq(attempt(), 0);
    leave();
}
END_TEST

/* What has happened while it ends stays undone, but what failed is no end. */
START_TEST(a_sync_that_fails_is_no_end)
{
    past = (struct oplog_past){ 0 };
    fixture.options.fsync = modes[_i];
    ck_assert_int_eq(attempt(), 0);
    append();
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    fault_fail(fixture.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(oplog_end_step(fixture.oplog), 1);
    settle();
    ck_assert_int_eq(oplog_end_step(fixture.oplog), -EIO);
    leave();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operation log, begun and ended");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, it_goes_on_where_the_one_before_has_ended, 0, 3);
    tcase_add_loop_test(cases, an_attempt_that_fails_leaves_what_there_was, 0, 2);
    tcase_add_test(cases, without_one_before_a_start_needs_none);
    tcase_add_test(cases, a_full_disk_is_told_at_once);
    tcase_add_test(cases, ground_that_cannot_be_looked_at_is_left);
    tcase_add_loop_test(cases, a_sync_that_fails_is_no_end, 0, 2);
    return test_suite_run(suite);
}
