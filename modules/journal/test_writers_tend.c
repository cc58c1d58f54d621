/* Segments of a journal with several writers are packed and dropped while others append, read,
 * sleep and die. */
#include "modules/base/clock.h"
#include "modules/base/test_suite.h"
#include "modules/journal/test_writers_fixture.h"

#include <signal.h>

enum { WRITERS = 3, FRAMES = 3000 };

static void setup_packed(void)
{
    setup_in_memory();
    settings.codec = JOURNAL_CODEC_LZ4;
    fixture.is_text = true;
}

/* All frames of all writers are there, each writer's in order: NULL, or what is wrong. */
static const char *look_at_all(uint64_t writers, uint64_t frames)
{
    uint64_t last[WRITERS + 1] = { 0 }, count = 0;
    struct journal_entry entry;
    int rc;

    open_reader();
    while ((rc = journal_reader_next(fixture.reader, &entry)) == 1) {
        uint8_t bytes[8192];
        struct slice part = slice_of(bytes, payload_of(entry.time_ms * 100 + entry.seq, bytes));
        if (entry.seq > WRITERS || entry.time_ms != last[entry.seq] + 1) return "order";
        if (!slice_equal(entry.payload, part)) return "bytes";
        last[entry.seq]++;
        count++;
    }
    if (rc < 0) return "damaged";
    return count == writers * frames ? NULL : "count";
}

static void tend_all(struct journal_writer *writer)
{
    int rc;

    ck_assert_int_eq(journal_writer_publish(writer), 0);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    while ((rc = journal_writer_tend(writer, (uint64_t)clock_realtime_ms())) == 1)
        ;
    ck_assert_int_eq(rc, 0);
}

static void expect_packed_below(uint64_t end)
{
    for (uint64_t number = 1; number < end; number++)
        ck_assert(file_exists(number, "pak") && !file_exists(number, "log"));
    ck_assert(file_exists(end, "log") && !file_exists(end, "pak"));
}

static void expect_count(uint64_t expected)
{
    struct journal_entry entry;
    uint64_t count = 0;

    open_reader();
    while (journal_reader_next(fixture.reader, &entry) == 1)
        count++;
    ck_assert_uint_eq(count, expected);
}

/* ---- racing -----------------------------------------------------------------------------------
 */

/* In a process of its own: appends, and now and then syncs and tends, as all do. */
static void write_and_tend(uint64_t who)
{
    struct journal_writer *writer = open_writer();

    if (!writer) _exit(1);
    for (uint64_t number = 1; number <= FRAMES; number++) {
        if (append_as(writer, who, number) != 0) _exit(2);
        if (number % 200 == 100 * who && journal_writer_sync(writer) != 0) _exit(3);
        if (number % 50 == 0 && journal_writer_tend(writer, 1) < 0) _exit(4);
    }
    journal_writer_close(writer);
    _exit(0);
}

START_TEST(processes_pack_what_others_have_written_and_nothing_is_lost)
{
    pid_t children[WRITERS];
    struct journal_writer *writer;
    const char *wrong;

    journal_writer_close(open_writer());
    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) write_and_tend(i);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_msg(status == 0, "writer %u: %x", i, (unsigned)status);
    }
    writer = open_writer();
    tend_all(writer);
    expect_packed_below(journal_segment_of(journal_writer_published(writer)));
    wrong = look_at_all(WRITERS, FRAMES);
    ck_assert_msg(!wrong, "%s", wrong);
    journal_writer_close(writer);
}
END_TEST

/* ---- sleepers ---------------------------------------------------------------------------------
 */

/* At that step, first after so many times, then so many times in a row. */
struct nap {
    enum journal_writer_step step;
    unsigned after, count;
};

static void take_nap(void *context, enum journal_writer_step step)
{
    struct nap *nap = context;

    if (step != nap->step) return;
    if (nap->after > 0) {
        nap->after--;
    } else if (nap->count > 0) {
        nap->count--;
        (void)raise(SIGSTOP);
    }
}

/* A process that appends so many frames as writer 1, stopped in one of them; exits with how often
 * it heard -ESTALE, or with 100 for another error. */
static pid_t start_sleeper(struct nap nap, uint64_t frames)
{
    int stale = 0;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct journal_writer *writer = open_writer();
        if (!writer) _exit(100);
        writer->at_step = take_nap;
        writer->context = &nap;
        for (uint64_t number = 1; number <= frames; number++) {
            int rc = append_as(writer, 1, number);
            if (rc == -ESTALE) rc = ++stale && append_as(writer, 1, number);
            if (rc != 0) _exit(100);
        }
        _exit(stale);
    }
    wait_until_stopped(child);
    return child;
}

static int wake(pid_t child)
{
    int status;

    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void append_segments(struct journal_writer *writer, uint64_t *number, unsigned count)
{
    uint64_t stop;

    ck_assert_int_eq(append_as(writer, 2, ++*number), 0);
    stop = journal_segment_of(atomic_load(&writer->meta.live->tail)) + count;
    while (journal_segment_of(atomic_load(&writer->meta.live->tail)) < stop)
        ck_assert_int_eq(append_as(writer, 2, ++*number), 0);
}

START_TEST(who_slept_before_its_claim_finds_the_segment_packed_and_goes_on)
{
    struct journal_writer *writer = open_writer();
    pid_t child = start_sleeper((struct nap){ JOURNAL_WRITER_LOOKED, 5, 2 }, 10);
    uint64_t number = 0;

    append_segments(writer, &number, 3);
    tend_all(writer);
    expect_packed_below(4);
    /* The first place was in a segment that it has open; the next it has only heard of. */
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    wait_until_stopped(child);
    append_segments(writer, &number, 3);
    tend_all(writer);
    expect_packed_below(7);
    ck_assert_int_eq(wake(child), 0);
    expect_count(number + 10);
    journal_writer_close(writer);
}
END_TEST

START_TEST(who_slept_while_it_rolled_does_not_make_a_packed_segment_anew)
{
    struct journal_writer *writer = open_writer();
    pid_t child = start_sleeper((struct nap){ JOURNAL_WRITER_ROLLS, 0, 1 }, 2000);
    uint64_t number = 0;

    append_segments(writer, &number, 3);
    tend_all(writer);
    expect_packed_below(5);
    ck_assert_int_eq(wake(child), 0);
    expect_count(number + 2000);
    journal_writer_close(writer);
}
END_TEST

START_TEST(a_segment_with_an_open_claim_is_not_packed)
{
    struct journal_writer *writer = open_writer();
    pid_t child = start_sleeper((struct nap){ JOURNAL_WRITER_CLAIMED, 5, 1 }, 10);
    uint64_t number = 0;

    append_segments(writer, &number, 2);
    tend_all(writer);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak"));
    ck_assert_int_eq(journal_writer_seal(writer), 1);
    tend_all(writer);
    expect_packed_below(3);
    ck_assert_int_eq(wake(child), 1); /* it was sealed, and told */
    expect_count(number + 10);
    journal_writer_close(writer);
}
END_TEST

START_TEST(only_one_tends_at_a_time)
{
    struct journal_writer *writer = open_writer(), *other = open_writer();
    uint64_t number = 0;

    append_segments(writer, &number, 2);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    ck_assert_int_eq(journal_meta_take_tending(os_real(), &other->meta), 0);
    ck_assert_int_eq(journal_writer_tend(writer, 1), 0);
    ck_assert_int_eq(journal_writer_trim(writer, journal_segment_start(2)), -EWOULDBLOCK);
    ck_assert(file_exists(1, "log"));
    journal_meta_let_tending(os_real(), &other->meta);
    ck_assert_int_eq(journal_writer_tend(writer, 1), 1);
    ck_assert(file_exists(1, "pak"));
    journal_writer_close(other);
    journal_writer_close(writer);
}
END_TEST

START_TEST(trimming_drops_what_is_synced_and_below)
{
    struct journal_writer *writer = open_writer();
    uint64_t number = 0;

    append_segments(writer, &number, 3);
    ck_assert_int_eq(journal_writer_trim(writer, journal_segment_start(3)), 0);
    ck_assert(file_exists(1, "log")); /* nothing is synced */
    tend_all(writer);
    ck_assert_int_eq(journal_writer_trim(writer, journal_segment_start(3)), 0);
    ck_assert(!file_exists(2, "pak") && file_exists(3, "pak"));
    ck_assert_int_eq(append_as(writer, 2, number + 1), 0);
    journal_writer_close(writer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("several writers and their tending");
    TCase *cases = test_suite_case(suite, "all", setup_packed, teardown);

    tcase_add_test(cases, processes_pack_what_others_have_written_and_nothing_is_lost);
    tcase_add_test(cases, who_slept_before_its_claim_finds_the_segment_packed_and_goes_on);
    tcase_add_test(cases, who_slept_while_it_rolled_does_not_make_a_packed_segment_anew);
    tcase_add_test(cases, a_segment_with_an_open_claim_is_not_packed);
    tcase_add_test(cases, only_one_tends_at_a_time);
    tcase_add_test(cases, trimming_drops_what_is_synced_and_below);
    return test_suite_run(suite);
}
