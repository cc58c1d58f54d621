/* Opening and closing where waiting for the disk hurts nobody: on I/O threads, by jobs. What is
 * left for the thread that owns the journal makes no system call. */
#include "modules/journal/journal_set.h"
#include "modules/journal/test_journal_fixture.h"

struct prepare_job {
    struct io_job job; /* first */
    bool is_done;
};

static void run_prepare(struct io_job *job, struct os *os)
{
    job->rc = journal_prepare(os, &fixture.options, &fixture.report, &fixture.journal);
}

static void run_close(struct io_job *job, struct os *os)
{
    (void)os; /* the journal has the same */
    job->rc = journal_close(fixture.journal);
    fixture.journal = NULL;
}

static void job_done(struct io_job *job)
{
    ((struct prepare_job *)job)->is_done = true;
}

static int do_job(void (*run)(struct io_job *job, struct os *os))
{
    struct prepare_job job = { .job = { .run = run, .done = job_done } };

    io_submit(fixture.io, &job.job);
    while (!job.is_done)
        (void)io_wait(fixture.io);
    return job.job.rc;
}

static uint64_t call_count(void)
{
    uint64_t count = 0;

    for (unsigned call = 0; call < FAULT_CALL_COUNT; call++)
        count += fault_count(fixture.fault, (enum fault_call)call);
    return count;
}

/* Without threads of io, so that a call of a job's is one of io_wait. */
static void attach_without_calls(void)
{
    uint64_t calls = call_count();

    journal_attach(fixture.journal, fixture.io);
    ck_assert_uint_eq(call_count(), calls);
}

static void detach_without_calls(void)
{
    uint64_t calls;

    settle();
    calls = call_count();
    journal_detach(fixture.journal);
    ck_assert_uint_eq(call_count(), calls);
}

/* _i: the way. */
START_TEST(what_jobs_open_and_close_is_a_journal_as_any_other)
{
    struct journal_set *set;

    ck_assert_int_eq(journal_set_create(4, &set), 0);
    fixture.options.set = set;
    fixture.options.way = (enum journal_way)_i;
    for (unsigned round = 0; round < 5; round++) {
        ck_assert_int_eq(do_job(run_prepare), 0);
        ck_assert_uint_eq(journal_set_open_count(set), 0);
        attach_without_calls();
        ck_assert_uint_eq(journal_set_open_count(set), 1);
        append_many(700);
        sync_all();
        expect_all(1, fixture.next);
        detach_without_calls();
        ck_assert_uint_eq(journal_set_open_count(set), 0);
        ck_assert_int_eq(do_job(run_close), 0);
        expect_all(1, fixture.next);
    }
    journal_set_destroy(set);
}
END_TEST

START_TEST(one_that_rests_is_closed_by_a_job)
{
    open_journal();
    append_many(300);
    journal_rest(fixture.journal);
    settle();
    ck_assert(info_now().is_resting);
    detach_without_calls();
    ck_assert_int_eq(do_job(run_close), 0);
    expect_all(1, 301);
}
END_TEST

START_TEST(one_whose_sync_has_failed_is_closed_by_a_job)
{
    open_journal();
    append_many(300);
    sync_all();
    append_many(10);
    fault_fail(fixture.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    journal_sync(fixture.journal);
    settle();
    ck_assert_int_eq(journal_error(fixture.journal), -EIO);
    detach_without_calls();
    ck_assert_int_eq(do_job(run_close), -EIO);
    open_journal();
    expect_all(1, 311);
}
END_TEST

START_TEST(what_nobody_attached_is_closed)
{
    ck_assert_int_eq(do_job(run_prepare), 0);
    ck_assert_int_eq(do_job(run_close), 0);
    ck_assert_int_eq(do_job(run_prepare), 0);
    attach_without_calls();
    append_many(10);
}
END_TEST

/* Each system call of a job that opens fails. */
START_TEST(opening_that_fails_leaves_nothing_open)
{
    bool has_fired = true;
    unsigned failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = do_job(run_prepare);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        failures += rc < 0;
        if (rc < 0) ck_assert_int_eq(do_job(run_prepare), 0);
        attach_without_calls();
        append_many(200);
        sync_all();
        expect_all(1, fixture.next);
        detach_without_calls();
        ck_assert_int_eq(do_job(run_close), 0);
    }
    ck_assert_uint_gt(failures, 10);
}
END_TEST

static uint64_t sync_count(void)
{
    return fault_count(fixture.fault, FAULT_FSYNC) + fault_count(fixture.fault, FAULT_FDATASYNC) +
           fault_count(fixture.fault, FAULT_FSYNC_DIRECTORY) +
           fault_count(fixture.fault, FAULT_SYNC_MAP);
}

/* What it said of itself when it was closed is told to the next who opens it. */
static void open_late(uint64_t ends_at, uint64_t synced)
{
    fixture.options.syncs_late = true;
    fixture.options.ends_at = ends_at;
    fixture.options.synced_position = synced;
    ck_assert_int_eq(do_job(run_prepare), 0);
    journal_attach(fixture.journal, fixture.io);
    ck_assert_uint_eq(journal_synced(fixture.journal), synced);
}

static void close_late(uint64_t *out_end, uint64_t *out_synced)
{
    settle();
    ck_assert(journal_may_close_late(fixture.journal));
    *out_end = journal_appended(fixture.journal);
    *out_synced = journal_synced(fixture.journal);
    journal_detach(fixture.journal);
    ck_assert_int_eq(do_job(run_close), 0);
}

START_TEST(one_that_syncs_late_does_so_when_it_is_asked_to)
{
    uint64_t before = sync_count(), end, synced;

    open_late(0, 0);
    append_many(50);
    close_late(&end, &synced);
    open_late(end, synced);
    append_many(50);
    ck_assert_uint_eq(sync_count(), before);
    sync_all(); /* its frames, meta, and the names in two directories */
    ck_assert_uint_ge(sync_count(), before + 4);
    append_many(50);
    close_late(&end, &synced);
    before = sync_count();
    ck_assert(synced > 0 && synced < end);
    open_late(end, synced);
    ck_assert_uint_eq(sync_count(), before);
    sync_all();
    ck_assert_uint_eq(sync_count(), before + 1); /* the rest is there already */
    expect_all(1, fixture.next);
    close_late(&end, &synced);
}
END_TEST

/* With threads: for the thread sanitizer. */
START_TEST(threads_open_it_and_close_it)
{
    for (unsigned round = 0; round < 10; round++) {
        ck_assert_int_eq(do_job(run_prepare), 0);
        journal_attach(fixture.journal, fixture.io);
        append_many(500);
        sync_all();
        settle();
        journal_detach(fixture.journal);
        ck_assert_int_eq(do_job(run_close), 0);
    }
    expect_all(1, fixture.next);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal: opened and closed by jobs");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);
    TCase *threads = test_suite_case(suite, "threads", setup_with_threads, teardown);

    tcase_add_loop_test(cases, what_jobs_open_and_close_is_a_journal_as_any_other, 0, 2);
    tcase_add_test(cases, one_that_rests_is_closed_by_a_job);
    tcase_add_test(cases, one_whose_sync_has_failed_is_closed_by_a_job);
    tcase_add_test(cases, what_nobody_attached_is_closed);
    tcase_add_test(cases, opening_that_fails_leaves_nothing_open);
    tcase_add_test(cases, one_that_syncs_late_does_so_when_it_is_asked_to);
    tcase_add_test(threads, threads_open_it_and_close_it);
    return test_suite_run(suite);
}
