/* Checkpoints of a keyspace with strings and lists that spill, made while random changes go on. A
 * crash is a copy of the directory at any moment; what is loaded from the copy must be what there
 * was when the checkpoint in it was begun. */
#include "modules/base/test_suite.h"
#include "server/durability/test_checkpoint_crash.h"

static void setup(void)
{
    name_parts();
    fixture.stream_bytes_max = STREAM_BYTES_MAX;
    make_parts(os_real());
}

static void teardown(void)
{
    destroy_parts();
}

START_TEST(what_is_loaded_is_what_there_was_at_the_beginning)
{
    struct checkpoint_info info;
    for (int round = 0; round < (soak_is_full() ? 100 : 12); round++) {
        change_much(400);
        begin();
        ck_assert_int_eq(run(round % 3 == 0 ? 0 : 20), 0);
        expect_after_crash();
        change_much(200);
        expect_after_crash();
    }
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.number, info.begun_count);
    ck_assert_uint_gt(info.file_bytes, 1000);
    ck_assert_uint_eq(fixture.log_trimmed, info.position);
}
END_TEST

START_TEST(a_crash_at_any_step_leaves_the_older_or_the_newer)
{
    struct checkpoint_info info;
    change_much(600);
    begin();
    ck_assert_int_eq(run(0), 0);
    for (int round = 0; round < (soak_is_full() ? 40 : 6); round++) {
        change_much(100);
        begin();
        for (int i = 0; step_now() != CHECKPOINT_IDLE; i++) {
            turn(3);
            if (step_now() == CHECKPOINT_CLEANING) fixture.last = fixture.next;
            if (i % 8 == 0 || step_now() == CHECKPOINT_CLEANING) expect_after_crash();
        }
        checkpoint_get_info(fixture.checkpoint, &info);
        ck_assert_int_eq(info.error, 0);
    }
}
END_TEST

START_TEST(one_that_is_given_up_changes_nothing)
{
    struct checkpoint_info info;
    change_much(600);
    begin();
    ck_assert_int_eq(run(0), 0);
    change_much(300);
    begin();
    turn(10);
    checkpoint_abort(fixture.checkpoint, -ECANCELED);
    ck_assert_int_eq(run(10), -ECANCELED);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.failed_count, 1);
    ck_assert(info.has_failed[CHECKPOINT_AS_SAVE]);
    change_much(300);
    expect_after_crash();
    begin();
    ck_assert_int_eq(run(10), 0);
    expect_after_crash();
}
END_TEST

START_TEST(a_log_that_cannot_be_synced_lets_none_complete)
{
    change_much(100);
    begin();
    ck_assert_int_eq(run(0), 0);
    change_much(100);
    fixture.log_error = -EIO;
    begin();
    ck_assert_int_eq(run(5), -EIO);
    expect_after_crash();
}
END_TEST

/* What DEL does for a stream whose journal could not be synced: without that, or a start, none is
 * complete any more. */
static void remove_streams(void)
{
    for (unsigned database = 0; database < DATABASES; database++) {
        for (unsigned index = 0; index < NAMES; index++) {
            struct key *key = find(&fixture.own, database, index);
            if (key && key_value(key)->type->kind == VALUE_STREAM)
                keyspace_remove(fixture.own.keyspace, key);
        }
    }
}

/* Whatever fails, and however often: the older one is what a crash leaves, until one is complete.
 */
START_TEST(every_system_call_may_fail)
{
    uint64_t failed = 0, healed = 0;
    change_much(500);
    begin();
    ck_assert_int_eq(run(0), 0);
    for (uint64_t nth = 1;; nth += soak_is_full() ? 1 : 1 + below(3)) {
        uint64_t fired;
        int tries = 0;
        change_much(20);
        read_contents(&fixture.own, &fixture.next);
        fault_fail(fixture.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC,
                   nth % 5 == 0 ? FAULT_FROM_THEN_ON : FAULT_ONCE);
        begin_known();
        if (run(0) < 0) failed++;
        fired = fault_fired(fixture.fault);
        fault_clear(fixture.fault);
        expect_after_crash();
        do { /* a failed sync makes suspect what was written before, which has to be put right */
            if (tries == 5) remove_streams();
            begin();
        } while (run(1) < 0 && ++tries < 10);
        if (tries < 5) healed++;
        ck_assert_int_lt(tries, 10);
        expect_after_crash();
        if (fired == 0) break;
    }
    ck_assert_uint_gt(failed, 5);
    ck_assert_uint_gt(healed, failed / 2);
}
END_TEST

START_TEST(requests_are_told_apart)
{
    struct checkpoint_info info;
    uint64_t turn_of_first = checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_REWRITE);
    uint64_t turn_of_second;
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_int_eq(info.step, CHECKPOINT_WANTED);
    ck_assert(checkpoint_is_in_progress(&info, CHECKPOINT_AS_REWRITE));
    ck_assert(!checkpoint_is_in_progress(&info, CHECKPOINT_AS_SAVE));
    checkpoint_begin(fixture.checkpoint);
    turn_of_second = checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    ck_assert_uint_eq(turn_of_second, turn_of_first + 1);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert(checkpoint_is_scheduled(&info, CHECKPOINT_AS_SAVE));
    ck_assert(!checkpoint_is_in_progress(&info, CHECKPOINT_AS_SAVE));
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.ended_count, turn_of_second);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_SAVE], 1);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_REWRITE], 1);
}
END_TEST

START_TEST(of_two_kinds_that_are_asked_for_the_first_begins_and_the_other_follows)
{
    enum checkpoint_kind first = (enum checkpoint_kind)_i;
    enum checkpoint_kind second = (enum checkpoint_kind)(1 - _i);
    struct checkpoint_info info;

    (void)checkpoint_request(fixture.checkpoint, first);
    (void)checkpoint_request(fixture.checkpoint, second);
    (void)checkpoint_request(fixture.checkpoint, first);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert(checkpoint_is_in_progress(&info, first));
    ck_assert(!checkpoint_is_in_progress(&info, second));
    ck_assert(checkpoint_is_scheduled(&info, second));
    checkpoint_begin(fixture.checkpoint);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_int_eq(info.kind, first);
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.complete_counts[first], 1);
    ck_assert_uint_eq(info.complete_counts[second], 1);
}
END_TEST

static void expect_ended(uint64_t count, bool has_failed, uint64_t complete_count)
{
    struct checkpoint_info info;

    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.ended_count, count);
    for (enum checkpoint_kind kind = 0; kind < CHECKPOINT_KIND_COUNT; kind++) {
        ck_assert(!checkpoint_is_in_progress(&info, kind));
        ck_assert(!checkpoint_is_scheduled(&info, kind));
        ck_assert_int_eq(info.has_failed[kind], has_failed);
        ck_assert_uint_eq(info.complete_counts[kind], complete_count);
    }
}

START_TEST(all_that_are_asked_for_are_refused_at_once)
{
    uint64_t turn = checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);

    ck_assert_uint_eq(checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_REWRITE), turn);
    checkpoint_refuse(fixture.checkpoint, -EIO);
    expect_ended(turn, true, 0);
}
END_TEST

/* Whoever asks first, and whatever had failed before. */
START_TEST(one_that_a_log_waits_for_is_that_of_all_who_asked)
{
    struct checkpoint_info info;

    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_REWRITE);
    checkpoint_refuse(fixture.checkpoint, -EIO);
    if (_i == 0) (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    ck_assert_uint_eq(checkpoint_request_for_log(fixture.checkpoint), 2);
    if (_i == 1) (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    checkpoint_begin(fixture.checkpoint);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert(checkpoint_is_in_progress(&info, CHECKPOINT_AS_SAVE));
    ck_assert(checkpoint_is_in_progress(&info, CHECKPOINT_AS_REWRITE));
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    expect_ended(2, false, 1);
    /* The next one is of its own kind again. */
    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_REWRITE);
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_REWRITE], 2);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_SAVE], 1);
}
END_TEST

/* A large list that was dropped is taken apart in several turns, and only then is P. */
START_TEST(one_begins_when_a_dropped_list_was_taken_apart)
{
    enum { ELEMENTS = 600 * 1000 };
    const struct slice item = SLICE_LITERAL("01234567890123456789");
    struct checkpoint_info info;
    struct spill_deque *list;
    unsigned turns = 0;

    spill_store_set_memory(fixture.own.store, 64 << 20);
    ck_assert_int_eq(spill_deque_create(fixture.own.store, &list), 0);
    for (unsigned i = 0; i < ELEMENTS; i++)
        ck_assert_int_eq(spill_deque_push(list, SPILL_TAIL, &item, 1), 0);
    spill_deque_destroy(list);
    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    for (checkpoint_begin(fixture.checkpoint); step_now() == CHECKPOINT_WANTED; turns++)
        checkpoint_begin(fixture.checkpoint);
    ck_assert_uint_gt(turns, 0);
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.begun_count, 1);
    ck_assert_uint_eq(info.failed_count, 0);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_SAVE], 1);
}
END_TEST

START_TEST(a_key_in_a_database_that_there_is_not_is_refused)
{
    struct checkpoint_load *load;
    struct checkpoint_target target;
    struct parts copy = { 0 };
    struct keyspace *small;
    int rc;
    change_much(300);
    begin();
    ck_assert_int_eq(run(0), 0);
    ck_assert_int_eq(checkpoint_load_open(os_real(), fixture.own.directory, &load), 1);
    ck_assert_int_eq(keyspace_create(1, NULL, &small), 0);
    name_directory(&copy);
    copy_directory(fixture.own.directory, copy.directory);
    ck_assert_int_eq(io_create(os_real(), 0, &copy.io), 0);
    open_streams(&copy, os_real());
    target = (struct checkpoint_target){ small, fixture.own.store, copy.streams, copy.groups };
    while ((rc = checkpoint_load_step(load, &target, 1)) == 1) {}
    ck_assert_int_eq(rc, -EBADMSG);
    ck_assert_ptr_nonnull(strstr(checkpoint_load_error(load), "see databases"));
    checkpoint_load_close(load);
    keyspace_destroy(small);
    close_streams(&copy);
    io_destroy(copy.io);
    remove_directory(&copy);
}
END_TEST

START_TEST(a_directory_without_a_checkpoint_has_none)
{
    struct checkpoint_load *load;
    ck_assert_int_eq(checkpoint_load_open(os_real(), fixture.own.directory, &load), 0);
    ck_assert_ptr_null(load);
    ck_assert_int_eq(checkpoint_load_open(os_real(), "/dev/shm/sluice-none", &load), -ENOENT);
    ck_assert_ptr_nonnull(strstr(checkpoint_load_error(load), "sluice-none"));
    checkpoint_load_close(load);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tests = test_suite_case(suite, "checkpoint", setup, teardown);

    tcase_add_test(tests, what_is_loaded_is_what_there_was_at_the_beginning);
    tcase_add_test(tests, a_crash_at_any_step_leaves_the_older_or_the_newer);
    tcase_add_test(tests, one_that_is_given_up_changes_nothing);
    tcase_add_test(tests, a_log_that_cannot_be_synced_lets_none_complete);
    tcase_add_test(tests, every_system_call_may_fail);
    tcase_add_test(tests, requests_are_told_apart);
    tcase_add_loop_test(tests,
                        of_two_kinds_that_are_asked_for_the_first_begins_and_the_other_follows, 0,
                        CHECKPOINT_KIND_COUNT);
    tcase_add_test(tests, all_that_are_asked_for_are_refused_at_once);
    tcase_add_loop_test(tests, one_that_a_log_waits_for_is_that_of_all_who_asked, 0, 2);
    tcase_add_test(tests, one_begins_when_a_dropped_list_was_taken_apart);
    tcase_add_test(tests, a_key_in_a_database_that_there_is_not_is_refused);
    tcase_add_test(tests, a_directory_without_a_checkpoint_has_none);
    return test_suite_run(suite);
}
