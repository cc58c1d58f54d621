/* The log has failed, and another one takes its place; each system call of that fails once. */
#include "modules/base/test_suite.h"
#include "modules/journal/format.h"
#include "server/durability/log_directory.h"
#include "server/durability/test_oplog_fixture.h"

enum { BEFORE = 10 };

/* A log that has failed with an answer waiting. */
static void open_failed(enum oplog_fsync fsync)
{
    open_log(fsync);
    for (unsigned i = 0; i < BEFORE; i++)
        append();
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), 0);
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    fault_fail(fixture.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    append();
    (void)commit();
    oplog_start_sync(fixture.oplog);
    settle();
    fault_clear(fixture.fault);
    ck_assert_int_eq(oplog_error(fixture.oplog), -EIO);
    (void)commit(); /* who waited is told */
}

/* 0: another journal is there. */
static int attempt(void)
{
    int rc = oplog_replace_begin(fixture.oplog);

    if (rc < 0) return rc;
    settle();
    return oplog_replace_step(fixture.oplog);
}

static uint64_t find(uint64_t position)
{
    uint64_t first_segment;

    ck_assert_int_eq(log_directory_find(os_real(), fixture.directory, position, &first_segment), 0);
    return first_segment;
}

static const enum oplog_fsync modes[] = { OPLOG_FSYNC_ALWAYS, OPLOG_FSYNC_EVERYSEC,
                                          OPLOG_FSYNC_NO };

START_TEST(another_takes_its_place_behind_a_checkpoint)
{
    uint64_t old_end, position;

    open_failed(modes[_i]);
    old_end = oplog_position(fixture.oplog);
    ck_assert_int_eq(attempt(), 0);
    position = oplog_position(fixture.oplog);
    ck_assert_uint_gt(position, old_end);
    ck_assert_int_eq(oplog_error(fixture.oplog), -EIO); /* writes are refused until the end */
    ck_assert_int_eq(oplog_reserve(fixture.oplog, 10, false), -EIO);
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), -EIO);
    ck_assert(!oplog_replace_end(fixture.oplog, old_end)); /* one of the old log is none of ours */
    ck_assert(oplog_replace_end(fixture.oplog, position));
    ck_assert_int_eq(oplog_error(fixture.oplog), 0);
    ck_assert_uint_eq(info_now().replaced_count, 1);
    fixture.next = 0;
    for (unsigned i = 0; i < 2000; i++) {
        append();
        if (i % 100 == 0) settle();
    }
    (void)commit();
    settle();
    /* What was appended before is in the checkpoint. */
    ck_assert_int_eq(oplog_sync_now(fixture.oplog), 0);
    ck_assert_uint_eq(oplog_synced_frame_number(fixture.oplog), oplog_frame_number(fixture.oplog));
    close_log();
    fixture.options.first_segment = find(position);
    fixture.options.synced_position = position;
    open_log(modes[_i]);
    expect_replay(position, 0, 2000);
}
END_TEST

/* What happens without being asked for goes to the new one, and stays in order. */
START_TEST(what_happens_meanwhile_is_in_the_other_log)
{
    uint64_t position;

    open_failed(modes[_i]);
    ck_assert_int_eq(append_at(1), -EIO);
    ck_assert_int_eq(attempt(), 0);
    position = oplog_position(fixture.oplog);
    fixture.next = 0;
    append();
    append();
    ck_assert_uint_eq(commit(), 0);
    ck_assert(oplog_replace_end(fixture.oplog, position));
    append();
    close_log();
    fixture.options.first_segment = find(position);
    open_log(modes[_i]);
    expect_replay(position, 0, 3);
}
END_TEST

/* Everything fails once that an attempt does to files: the next one succeeds, and the old log is as
 * it was for a start that finds no newer checkpoint. */
START_TEST(an_attempt_that_fails_is_followed_by_another)
{
    for (uint64_t nth = 1;; nth++) {
        uint64_t failures, position;

        open_failed(modes[_i]);
        fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, EIO, FAULT_ONCE);
        for (failures = 0; attempt() < 0; failures++)
            ck_assert_uint_lt(failures, 2);
        if (fault_fired(fixture.fault) == 0) break;
        fault_clear(fixture.fault);
        position = oplog_position(fixture.oplog);
        ck_assert_uint_eq(find(position), oplog_first_segment(fixture.oplog));
        ck_assert_uint_eq(find(0), 0);
        ck_assert(oplog_replace_end(fixture.oplog, position));
        (void)oplog_close(fixture.oplog); /* the rest goes on where nothing is needed from there */
        fixture.oplog = NULL;
        /* As if the checkpoint had never been completed. */
        fixture.options.first_segment = 0;
        open_log(modes[_i]);
        replayed.refused = UINT64_MAX;
        expect_replay(0, 0, info_now().frame_count + fixture.next);
        close_log();
        tear_down();
        set_up();
    }
}
END_TEST

START_TEST(a_replacement_that_fails_itself_is_replaced)
{
    uint64_t first, position;

    open_failed(OPLOG_FSYNC_ALWAYS);
    ck_assert_int_eq(attempt(), 0);
    first = oplog_first_segment(fixture.oplog);
    ck_assert_int_eq(attempt(), 0); /* that one is good enough */
    ck_assert_uint_eq(oplog_first_segment(fixture.oplog), first);
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    append();
    (void)commit();
    oplog_start_sync(fixture.oplog);
    settle();
    ck_assert_int_eq(oplog_journal_error(fixture.oplog), -EIO);
    ck_assert(!oplog_replace_end(fixture.oplog, oplog_position(fixture.oplog)));
    ck_assert_int_eq(attempt(), 0);
    position = oplog_position(fixture.oplog);
    ck_assert_uint_gt(oplog_first_segment(fixture.oplog), first);
    ck_assert(oplog_replace_end(fixture.oplog, position));
    ck_assert_int_eq(
        log_directory_remove(os_real(), fixture.directory, 0, oplog_first_segment(fixture.oplog)),
        0);
    ck_assert_uint_eq(find(position), oplog_first_segment(fixture.oplog));
}
END_TEST

/* ---- which one counts -------------------------------------------------------------------------
 */

static void make_directory(const char *name)
{
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, name);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

START_TEST(the_last_that_begins_before_the_checkpoint_counts)
{
    uint64_t found;

    ck_assert_int_eq(log_directory_find(os_real(), fixture.directory, 0, &found), -ENOENT);
    make_directory("log-7");
    make_directory("logs");
    make_directory("log-x");
    make_directory("log.reserve");
    ck_assert_int_eq(log_directory_find(os_real(), fixture.directory, 0, &found), -ESTALE);
    make_directory("log");
    make_directory("log-12");
    ck_assert_uint_eq(find(0), 0);
    ck_assert_uint_eq(find(journal_segment_start(6)), 0);
    ck_assert_uint_eq(find(journal_segment_start(7)), 7);
    ck_assert_uint_eq(find(journal_segment_start(11) + 99), 7);
    ck_assert_uint_eq(find(journal_segment_start(12) + 4096), 12);
    ck_assert_uint_eq(find(journal_segment_start(100)), 12);
    ck_assert_int_eq(log_directory_remove(os_real(), fixture.directory, 1, 12), 0);
    ck_assert_uint_eq(find(journal_segment_start(11)), 0);
    ck_assert_uint_eq(find(journal_segment_start(12)), 12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operation log, replaced");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, another_takes_its_place_behind_a_checkpoint, 0, 3);
    tcase_add_loop_test(cases, what_happens_meanwhile_is_in_the_other_log, 0, 3);
    tcase_add_loop_test(cases, an_attempt_that_fails_is_followed_by_another, 0, 2);
    tcase_add_test(cases, a_replacement_that_fails_itself_is_replaced);
    tcase_add_test(cases, the_last_that_begins_before_the_checkpoint_counts);
    return test_suite_run(suite);
}
