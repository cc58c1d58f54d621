/* Several writers that race, stop, are sealed, wake up and die at every step: all readers see the
 * same frames, each writer's in its order, and none that was answered is missing. */
#include "modules/base/crc32c.h"
#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/journal/test_writers_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WRITERS = 4, FRAMES = 3000, LIVES = 60 };

/* What a reader of all frames has seen so far. */
struct seen {
    uint64_t last[LIVES + WRITERS + 1]; /* of each writer */
    uint64_t count;
    uint32_t order; /* a checksum of all positions and ids, in order */
};

/* Reads all that is there: NULL, or what is wrong. */
static const char *read_frames(struct journal_reader *reader, struct seen *seen)
{
    struct journal_entry entry;
    int rc;

    while ((rc = journal_reader_next(reader, &entry)) == 1) {
        uint8_t bytes[8192];
        uint64_t words[3] = { entry.position, entry.time_ms, entry.seq };
        if (entry.seq > LIVES + WRITERS) return "nobody's";
        if (entry.time_ms <= seen->last[entry.seq]) return "order";
        if (!slice_equal(entry.payload,
                         slice_of(bytes, payload_of(entry.time_ms * 100 + entry.seq, bytes)))) {
            return "bytes";
        }
        seen->last[entry.seq] = entry.time_ms;
        seen->order = crc32c(seen->order, words, sizeof(words));
        seen->count++;
    }
    return rc < 0 ? "damaged" : NULL;
}

static struct seen read_everything(void)
{
    struct seen seen = { .count = 0 };
    const char *wrong;

    open_reader();
    wrong = read_frames(fixture.reader, &seen);
    ck_assert_msg(!wrong, "%s", wrong);
    return seen;
}

/* ---- racing -----------------------------------------------------------------------------------
 */

static const char *write_frames(uint64_t who)
{
    struct journal_writer *writer = open_writer();

    if (!writer) return "open";
    for (uint64_t number = 1; number <= FRAMES; number++) {
        if (append_as(writer, who, number) != 0) return "append";
        if (number % 1000 == 0 && journal_writer_sync(writer) != 0) return "sync";
    }
    if (journal_writer_publish(writer) != 0) return "publish";
    journal_writer_close(writer);
    return NULL;
}

/* Reads along until all frames of all writers are there. */
static const char *read_along(struct seen *seen)
{
    struct journal_reader *reader;
    const char *wrong = NULL;

    if (journal_reader_open(os_real(), fixture.path, &reader) < 0) return "open";
    while (!wrong && seen->count < WRITERS * FRAMES) {
        wrong = read_frames(reader, seen);
        if (!wrong && journal_reader_wait(reader, 100000) < 0) wrong = "wait";
    }
    journal_reader_close(reader);
    return wrong;
}

static void *write_in_thread(void *who)
{
    return (void *)(uintptr_t)write_frames((uint64_t)(uintptr_t)who);
}

static void *read_in_thread(void *seen)
{
    return (void *)(uintptr_t)read_along(seen);
}

START_TEST(threads_write_and_all_readers_agree)
{
    pthread_t writers[WRITERS], readers[2];
    struct seen seen[2] = { { .count = 0 } };
    void *wrong;

    journal_writer_close(open_writer()); /* so that there is something to read */
    for (uintptr_t i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_in_thread, &seen[i]), 0);
    for (uintptr_t i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, write_in_thread, (void *)i), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_join(writers[i], &wrong), 0);
        ck_assert_msg(!wrong, "%s", (char *)wrong);
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(readers[i], &wrong), 0);
        ck_assert_msg(!wrong, "%s", (char *)wrong);
    }
    ck_assert_uint_eq(seen[0].order, seen[1].order);
    ck_assert_uint_eq(read_everything().order, seen[0].order);
}
END_TEST

START_TEST(processes_write_and_all_readers_agree)
{
    pid_t children[WRITERS];
    struct seen seen = { .count = 0 };
    const char *wrong;
    int status;

    journal_writer_close(open_writer());
    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) _exit(write_frames(i) == NULL ? 0 : 1);
    }
    wrong = read_along(&seen);
    ck_assert_msg(!wrong, "%s", wrong);
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(read_everything().order, seen.order);
}
END_TEST

START_TEST(they_meet_where_there_is_no_journal_yet)
{
    pid_t children[WRITERS];
    int status;

    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) _exit(write_frames(i) == NULL ? 0 : 1);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(read_everything().count, WRITERS * FRAMES);
}
END_TEST

/* ---- dying ------------------------------------------------------------------------------------
 */

struct plan {
    enum journal_writer_step step;
    unsigned after; /* so many times at that step */
    int signal;
};

static void follow_plan(void *context, enum journal_writer_step step)
{
    struct plan *plan = context;

    if (step == plan->step && plan->after-- == 0) (void)raise(plan->signal);
}

/* A process that appends as who and tells each answered frame in *answered, until its plan ends it.
 */
static pid_t start_writer(uint64_t who, struct plan plan, _Atomic uint64_t *answered)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct journal_writer *writer = open_writer();
        if (!writer) _exit(1);
        writer->at_step = follow_plan;
        writer->context = &plan;
        for (uint64_t number = 1; number <= FRAMES; number++) {
            if (append_as(writer, who, number) != 0) _exit(2);
            atomic_store(answered, number);
        }
        _exit(0);
    }
    return child;
}

static _Atomic uint64_t *shared_counters(void)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    return map;
}

static void expect_killed(pid_t child)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%x", (unsigned)status);
}

/* _i is the step. */
START_TEST(a_writer_that_dies_at_any_step_keeps_nobody_waiting)
{
    bool is_roll = _i >= JOURNAL_WRITER_ROLLS;
    struct plan plan = { (enum journal_writer_step)_i, is_roll ? 2 : 700, SIGKILL };
    _Atomic uint64_t *answered = shared_counters();
    struct journal_writer *other = open_writer();
    struct seen seen;

    expect_killed(start_writer(1, plan, answered));
    ck_assert_uint_gt(*answered, is_roll ? 500 : 690);
    ck_assert_int_eq(append_as(other, 2, 1), 0);
    ck_assert_int_eq(append_as(other, 2, 2), 0); /* meets the same place a second time */
    seen = read_everything();
    ck_assert_uint_eq(seen.last[2], 2);
    /* What was answered is there; at most the one after it, which was committed, too. */
    ck_assert_uint_ge(seen.last[1], *answered);
    ck_assert_uint_le(seen.last[1], *answered + (_i == JOURNAL_WRITER_COMMITTED));
    ck_assert_uint_eq(seen.count, seen.last[1] + 2);
    journal_writer_close(other);
    ck_assert_int_eq(munmap(answered, 4096), 0);
}
END_TEST

START_TEST(the_next_holder_of_a_dead_writers_slot_seals_its_claims)
{
    struct plan plan = { JOURNAL_WRITER_CLAIMED, 10, SIGKILL };
    _Atomic uint64_t *answered = shared_counters();
    struct journal_writer *next;

    journal_writer_close(open_writer());
    expect_killed(start_writer(1, plan, answered));
    next = open_writer(); /* takes the same slot */
    ck_assert_uint_eq(next->slot, 0);
    ck_assert_int_eq(append_as(next, 2, 1), 0);
    ck_assert_uint_eq(read_everything().count, 11);
    journal_writer_close(next);
    ck_assert_int_eq(munmap(answered, 4096), 0);
}
END_TEST

/* ---- stopping ---------------------------------------------------------------------------------
 */

/* Stopped with a claim, it lives: nobody goes past it. Then it wakes and all goes on. */
START_TEST(a_writer_that_is_stopped_is_waited_for)
{
    struct plan plan = { (enum journal_writer_step)_i, 10, SIGSTOP };
    _Atomic uint64_t *answered = shared_counters();
    struct journal_writer *other = open_writer();
    pid_t child = start_writer(1, plan, answered);
    int status;

    wait_until_stopped(child);
    for (uint64_t number = 1; number <= 100; number++)
        ck_assert_int_eq(append_as(other, 2, number), 0);
    ck_assert_int_eq(journal_writer_publish(other), 0);
    ck_assert_uint_eq(read_everything().count, 10);
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(journal_writer_publish(other), 0);
    ck_assert_uint_eq(read_everything().count, FRAMES + 100);
    journal_writer_close(other);
    ck_assert_int_eq(munmap(answered, 4096), 0);
}
END_TEST

/* Stopped, sealed by decision, woken: its frame does not count, and it is told. */
START_TEST(a_writer_that_was_sealed_loses_cleanly)
{
    struct plan plan = { (enum journal_writer_step)_i, 10, SIGSTOP };
    _Atomic uint64_t *answered = shared_counters();
    struct journal_writer *other = open_writer();
    pid_t child = start_writer(1, plan, answered);
    struct seen before;
    int status;

    wait_until_stopped(child);
    for (uint64_t number = 1; number <= 100; number++)
        ck_assert_int_eq(append_as(other, 2, number), 0);
    ck_assert_int_eq(journal_writer_seal(other), 1);
    ck_assert_int_eq(journal_writer_seal(other), 0);
    before = read_everything();
    ck_assert_uint_eq(before.count, 110);
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%x", (unsigned)status);
    ck_assert_uint_eq(*answered, 10);
    ck_assert_uint_eq(read_everything().order, before.order);
    journal_writer_close(other);
    ck_assert_int_eq(munmap(answered, 4096), 0);
}
END_TEST

/* ---- dying at random --------------------------------------------------------------------------
 */

START_TEST(writers_that_die_at_random_lose_nothing_that_was_answered)
{
    _Atomic uint64_t *answered = shared_counters();
    struct journal_writer *last;
    struct random random;
    pid_t children[LIVES];
    struct seen seen;

    random_init(&random, 20261121);
    for (unsigned life = 0; life < LIVES; life++) {
        struct plan plan = { (enum journal_writer_step)random_below(&random, 4),
                             (unsigned)random_below(&random, 200), SIGKILL };
        children[life] = start_writer(life, plan, &answered[life]);
        if (life >= WRITERS) expect_killed(children[life - WRITERS]);
    }
    for (unsigned life = LIVES - WRITERS; life < LIVES; life++)
        expect_killed(children[life]);
    last = open_writer();
    ck_assert_int_eq(append_as(last, LIVES, 1), 0);
    ck_assert_int_eq(journal_writer_publish(last), 0);
    seen = read_everything();
    ck_assert_uint_eq(seen.last[LIVES], 1);
    for (unsigned life = 0; life < LIVES; life++) {
        ck_assert_uint_ge(seen.last[life], answered[life]);
        ck_assert_uint_le(seen.last[life], answered[life] + 1);
    }
    journal_writer_close(last);
    ck_assert_int_eq(munmap(answered, 4096), 0);
}
END_TEST

/* ---- boots and settings -----------------------------------------------------------------------
 */

START_TEST(after_a_boot_the_first_writer_recovers)
{
    struct journal_writer *writer = open_writer();
    struct journal_report report;
    uint64_t position;

    for (uint64_t number = 1; number <= 100; number++)
        ck_assert_int_eq(append_as(writer, 1, number), 0);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    position = journal_writer_published(writer);
    ck_assert_uint_eq(journal_writer_synced(writer), position);
    for (uint64_t number = 101; number <= 110; number++)
        ck_assert_int_eq(append_as(writer, 1, number), 0);
    journal_writer_close(writer);
    flip_byte(1, "log", journal_offset_of(position) + 12);
    forget_boot();
    ck_assert_int_eq(journal_writer_open(os_real(), fixture.path, &settings, &report, &writer), 0);
    ck_assert_uint_eq(report.end, position);
    ck_assert_uint_gt(report.cut_bytes, 0);
    ck_assert_int_eq(append_as(writer, 1, 101), 0);
    ck_assert_uint_eq(read_everything().count, 101);
    journal_writer_close(writer);
    flip_byte(1, "log", 64 + 12);
    forget_boot();
    ck_assert_int_eq(journal_writer_open(os_real(), fixture.path, &settings, &report, &writer),
                     -EBADMSG);
}
END_TEST

START_TEST(one_writer_and_several_do_not_mix)
{
    struct journal_report report;
    struct journal_writer *writer;

    open_journal();
    close_journal();
    ck_assert_int_eq(journal_writer_open(os_real(), fixture.path, &settings, &report, &writer),
                     -EINVAL);
    remove_files(fixture.path);
    journal_writer_close(open_writer());
    ck_assert_int_eq(try_open(), -EINVAL);
}
END_TEST

START_TEST(every_system_call_may_fail_and_nothing_is_lost)
{
    struct os *os = fault_os(fixture.fault);
    uint64_t number = 1;
    unsigned failures = 0, clean = 0;

    for (uint64_t nth = 1; clean < 2; nth++) {
        struct journal_report report;
        struct journal_writer *writer = NULL;
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = journal_writer_open(os, fixture.path, &settings, &report, &writer);
        for (unsigned i = 0; rc == 0 && i < 1000; i++) {
            rc = append_as(writer, 1, number);
            if (rc == 0) number++;
        }
        clean += fault_fired(fixture.fault) == 0;
        fault_clear(fixture.fault);
        failures += rc < 0;
        /* The last: the boot could not be read. */
        ck_assert_msg(rc == 0 || rc == -EIO || rc == -EOPNOTSUPP, "%d", rc);
        journal_writer_close(writer);
    }
    ck_assert_uint_gt(failures, 20);
    journal_writer_close(open_writer());
    ck_assert_uint_eq(read_everything().last[1], number - 1);
    ck_assert_uint_eq(read_everything().count, number - 1);
}
END_TEST

/* Each makes room for more than it needs itself, a megabyte at a time, and so the other's frames
 * lie where it has made none yet. */
START_TEST(room_that_one_makes_leaves_the_frames_of_others_alone)
{
    enum { TURNS = 100, FRAMES_OF_A_TURN = 200 };
    uint64_t small = settings.roll_bytes, number[2] = { 1, 1 };
    struct journal_writer *writers[2];

    settings.roll_bytes = 64 << 20;
    for (unsigned i = 0; i < 2; i++)
        ck_assert_ptr_nonnull(writers[i] = open_writer());
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < FRAMES_OF_A_TURN; i++)
            ck_assert_int_eq(append_as(writers[turn % 2], turn % 2, number[turn % 2]++), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(journal_writer_publish(writers[i]), 0);
        journal_writer_close(writers[i]);
    }
    settings.roll_bytes = small;
    ck_assert_uint_eq(read_everything().count, TURNS * FRAMES_OF_A_TURN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("several writers of a journal");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_test(cases, threads_write_and_all_readers_agree);
    tcase_add_test(cases, processes_write_and_all_readers_agree);
    tcase_add_test(cases, room_that_one_makes_leaves_the_frames_of_others_alone);
    tcase_add_test(cases, they_meet_where_there_is_no_journal_yet);
    tcase_add_loop_test(cases, a_writer_that_dies_at_any_step_keeps_nobody_waiting, 0,
                        JOURNAL_WRITER_STEP_COUNT);
    tcase_add_test(cases, the_next_holder_of_a_dead_writers_slot_seals_its_claims);
    tcase_add_loop_test(cases, a_writer_that_is_stopped_is_waited_for, JOURNAL_WRITER_CLAIMED,
                        JOURNAL_WRITER_FILLED + 1);
    tcase_add_loop_test(cases, a_writer_that_was_sealed_loses_cleanly, JOURNAL_WRITER_CLAIMED,
                        JOURNAL_WRITER_FILLED + 1);
    tcase_add_test(cases, writers_that_die_at_random_lose_nothing_that_was_answered);
    tcase_add_test(cases, after_a_boot_the_first_writer_recovers);
    tcase_add_test(cases, one_writer_and_several_do_not_mix);
    tcase_add_test(cases, every_system_call_may_fail_and_nothing_is_lost);
    return test_suite_run(suite);
}
