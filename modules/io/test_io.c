#include "modules/base/os.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct test_job {
    struct io_job job;
    int number;
    struct io *io;
    struct io_job *to_submit_when_done;
    atomic_int *gate; /* run() waits until it is not 0 */
};

static struct {
    int ran[4096], done[4096]; /* numbers in order; ran only read when nothing runs */
    atomic_int ran_count;
    int done_count;
} seen;

static void record_run(struct io_job *job, struct os *os)
{
    struct test_job *test_job = (struct test_job *)job;
    ck_assert_ptr_eq(os, os_real());
    while (test_job->gate && atomic_load(test_job->gate) == 0)
        usleep(100);
    seen.ran[atomic_fetch_add(&seen.ran_count, 1)] = test_job->number;
    job->rc = -test_job->number;
}

static void record_done(struct io_job *job)
{
    struct test_job *test_job = (struct test_job *)job;
    ck_assert_int_eq(job->rc, -test_job->number);
    seen.done[seen.done_count++] = test_job->number;
    if (test_job->to_submit_when_done) io_submit(test_job->io, test_job->to_submit_when_done);
}

static struct test_job make_job(struct io *io, int number)
{
    return (struct test_job){ .job = { .run = record_run, .done = record_done },
                              .number = number,
                              .io = io };
}

static struct io *make_io(unsigned thread_count)
{
    struct io *io = NULL;
    memset(&seen, 0, sizeof(seen));
    ck_assert_int_eq(io_create(os_real(), thread_count, &io), 0);
    return io;
}

static bool is_readable(const struct io *io)
{
    struct pollfd event = { .fd = io_event_fd(io), .events = POLLIN };
    return poll(&event, 1, 0) == 1;
}

/* All was taken. A worker may tell of what it has ended when that is taken already: once more each
 * at most, and a look that finds nothing makes it unreadable. */
static void expect_unreadable(struct io *io)
{
    enum { WORKERS_MAX = 8 };

    for (unsigned i = 0; is_readable(io); i++) {
        ck_assert_uint_lt(i, WORKERS_MAX);
        ck_assert_uint_eq(io_poll(io), 0);
    }
}

static void wait_for_all(struct io *io)
{
    while (io_in_flight(io) > 0)
        ck_assert_uint_gt(io_wait(io), 0);
}

START_TEST(without_threads_jobs_run_in_order_and_only_when_polled)
{
    struct io *io = make_io(0);
    struct test_job jobs[3];
    ck_assert(!is_readable(io));
    for (int i = 0; i < 3; i++) {
        jobs[i] = make_job(io, i + 1);
        io_submit(io, &jobs[i].job);
    }
    ck_assert_int_eq(atomic_load(&seen.ran_count), 0);
    ck_assert(is_readable(io));
    ck_assert_uint_eq(io_in_flight(io), 3);
    ck_assert_uint_eq(io_poll(io), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(seen.ran[i], i + 1);
        ck_assert_int_eq(seen.done[i], i + 1);
    }
    ck_assert(!is_readable(io));
    ck_assert_uint_eq(io_in_flight(io), 0);
    ck_assert_uint_eq(io_poll(io), 0);
    io_destroy(io);
}
END_TEST

START_TEST(urgent_jobs_go_first_but_not_for_ever)
{
    enum { COUNT = 12, ORDINARY = 2 };
    struct io *io = make_io(0);
    struct test_job jobs[COUNT];
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = make_job(io, i);
        jobs[i].job.is_urgent = i >= ORDINARY;
        io_submit(io, &jobs[i].job);
    }
    wait_for_all(io);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(seen.ran[i], ORDINARY + i);
    ck_assert_int_eq(seen.ran[8], 0);
    ck_assert_int_eq(seen.ran[9], ORDINARY + 8);
    ck_assert_int_eq(seen.ran[COUNT - 1], 1);
    io_destroy(io);
}
END_TEST
START_TEST(a_job_submitted_by_done_runs_in_a_later_poll)
{
    struct io *io = make_io((unsigned)_i);
    struct test_job first = make_job(io, 1), second = make_job(io, 2);
    first.to_submit_when_done = &second.job;
    io_submit(io, &first.job);
    ck_assert_uint_eq(io_wait(io), 1);
    ck_assert_uint_eq(io_in_flight(io), 1);
    ck_assert_uint_eq(io_wait(io), 1);
    ck_assert_int_eq(seen.done[1], 2);
    io_destroy(io);
}
END_TEST

START_TEST(waiting_for_nothing_returns_at_once)
{
    struct io *io = make_io((unsigned)_i);
    ck_assert_uint_eq(io_wait(io), 0);
    ck_assert_uint_eq(io_poll(io), 0);
    io_destroy(io);
    io_destroy(NULL);
}
END_TEST

START_TEST(every_job_is_run_and_done_exactly_once)
{
    enum { COUNT = 4000 };
    struct io *io = make_io((unsigned)_i);
    struct test_job *jobs = calloc(COUNT, sizeof(*jobs));
    char seen_numbers[COUNT] = { 0 };
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = make_job(io, i);
        io_submit(io, &jobs[i].job);
        if (i % 7 == 0) io_poll(io);
    }
    wait_for_all(io);
    ck_assert_int_eq(seen.done_count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen_numbers[seen.done[i]], 0);
        seen_numbers[seen.done[i]] = 1;
    }
    expect_unreadable(io);
    io_destroy(io);
    free(jobs);
}
END_TEST

START_TEST(one_thread_keeps_the_order)
{
    enum { COUNT = 1000 };
    struct io *io = make_io(1);
    struct test_job *jobs = calloc(COUNT, sizeof(*jobs));
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = make_job(io, i);
        io_submit(io, &jobs[i].job);
    }
    wait_for_all(io);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(seen.ran[i], i);
        ck_assert_int_eq(seen.done[i], i);
    }
    io_destroy(io);
    free(jobs);
}
END_TEST

START_TEST(a_slow_job_does_not_hold_up_the_others)
{
    struct io *io = make_io(2);
    atomic_int gate = 0;
    struct test_job slow = make_job(io, 1), quick = make_job(io, 2);
    slow.gate = &gate;
    io_submit(io, &slow.job);
    io_submit(io, &quick.job);
    ck_assert_uint_eq(io_wait(io), 1);
    ck_assert_int_eq(seen.done[0], 2);
    expect_unreadable(io);
    atomic_store(&gate, 1);
    ck_assert_uint_eq(io_wait(io), 1);
    ck_assert_int_eq(seen.done[1], 1);
    io_destroy(io);
}
END_TEST

START_TEST(the_event_is_readable_until_completions_are_taken)
{
    struct io *io = make_io(2);
    struct test_job first = make_job(io, 1), second = make_job(io, 2);
    struct pollfd event = { .fd = io_event_fd(io), .events = POLLIN };
    io_submit(io, &first.job);
    io_submit(io, &second.job);
    while (io_in_flight(io) > 0) {
        ck_assert_int_eq(poll(&event, 1, 60000), 1);
        ck_assert_uint_gt(io_poll(io), 0);
    }
    expect_unreadable(io);
    io_destroy(io);
}
END_TEST

/* Two have ended before the first done() runs, and that one waits for the second inside. */
static struct test_job nested[2];

static void wait_for_the_other_inside_done(struct io_job *job)
{
    struct io *io = ((struct test_job *)job)->io;
    seen.done[seen.done_count++] = ((struct test_job *)job)->number;
    if (seen.done_count > 1) return;
    while (io_in_flight(io) > 0)
        ck_assert_uint_gt(io_wait(io), 0);
    ck_assert_int_eq(seen.done_count, 2);
}

START_TEST(done_may_wait_for_a_job_whose_end_was_taken_by_the_outer_poll)
{
    struct io *io = make_io((unsigned)_i);
    for (int i = 0; i < 2; i++) {
        nested[i] = make_job(io, i + 1);
        nested[i].job.done = wait_for_the_other_inside_done;
        io_submit(io, &nested[i].job);
    }
    while (_i > 0 && atomic_load(&seen.ran_count) < 2)
        usleep(100);
    ck_assert_uint_ge(io_wait(io), 1);
    ck_assert_int_eq(seen.done_count, 2);
    ck_assert_uint_eq(io_in_flight(io), 0);
    io_destroy(io);
}
END_TEST

START_TEST(destroying_runs_what_was_submitted_and_delivers_nothing)
{
    enum { COUNT = 200 };
    struct io *io = make_io((unsigned)_i);
    struct test_job *jobs = calloc(COUNT, sizeof(*jobs));
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = make_job(io, i);
        io_submit(io, &jobs[i].job);
    }
    io_destroy(io);
    ck_assert_int_eq(atomic_load(&seen.ran_count), COUNT);
    ck_assert_int_eq(seen.done_count, 0);
    free(jobs);
}
END_TEST

START_TEST(thread_ids_are_those_of_threads_of_this_process)
{
    struct io *io = make_io(3);
    int ids[8] = { 0 };
    ck_assert_uint_eq(io_thread_ids(io, ids, 2), 2);
    ck_assert_uint_eq(io_thread_ids(io, ids, 8), 3);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/task/%d", ids[i]);
        ck_assert_int_eq(access(path, F_OK), 0);
        ck_assert_int_ne(ids[i], (int)getpid());
    }
    io_destroy(io);
}
END_TEST

static int count_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

START_TEST(creating_fails_cleanly_when_descriptors_run_out)
{
    struct rlimit before, none;
    struct io *io = NULL;
    int descriptors = count_descriptors();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(io_create(os_real(), 1, &io), -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_ptr_null(io);
    ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, without_threads_jobs_run_in_order_and_only_when_polled);
    tcase_add_test(cases, urgent_jobs_go_first_but_not_for_ever);
    tcase_add_loop_test(cases, a_job_submitted_by_done_runs_in_a_later_poll, 0, 3);
    tcase_add_loop_test(cases, waiting_for_nothing_returns_at_once, 0, 3);
    tcase_add_loop_test(cases, every_job_is_run_and_done_exactly_once, 0, 5);
    tcase_add_test(cases, one_thread_keeps_the_order);
    tcase_add_test(cases, a_slow_job_does_not_hold_up_the_others);
    tcase_add_test(cases, the_event_is_readable_until_completions_are_taken);
    tcase_add_loop_test(cases, done_may_wait_for_a_job_whose_end_was_taken_by_the_outer_poll, 0, 3);
    tcase_add_loop_test(cases, destroying_runs_what_was_submitted_and_delivers_nothing, 0, 4);
    tcase_add_test(cases, thread_ids_are_those_of_threads_of_this_process);
    tcase_add_test(cases, creating_fails_cleanly_when_descriptors_run_out);
    return test_suite_run(suite);
}
