/* What readers are promised, in this process and in others, while a writer goes on. */
#include "modules/base/clock.h"
#include "modules/journal/journal_internal.h"
#include "modules/journal/test_journal_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

static void make_published(uint64_t next)
{
    open_journal();
    append_many(next - 1);
    publish();
    open_reader();
}

START_TEST(an_id_is_found_wherever_it_is)
{
    make_published(4001);
    sync_all();
    for (uint64_t number = 1; number <= 4000; number += 61) {
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
        expect_frames(number, number + 2 < 4001 ? number + 2 : 4001);
    }
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 0, 0), 0);
    expect_frames(1, 3);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 1999, 1), 0); /* between two */
    expect_frames(2000, 2002);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 4000, 1), 0);
    expect_end();
}
END_TEST

START_TEST(an_id_is_found_in_a_large_segment_by_its_index)
{
    fixture.options.settings.roll_bytes = 16 << 20;
    make_published(9001);
    sync_all();
    ck_assert(file_exists(1, "idx"));
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t number = 5; number <= 9000; number += 1000) {
            ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
            expect_frames(number, number + 1);
        }
        flip_byte(1, "idx",
                  24 + 3); /* again, with an index that is wrong from its second entry on */
    }
}
END_TEST

START_TEST(a_position_leads_back_to_its_frame)
{
    uint64_t positions[100];
    struct journal_entry entry;

    make_published(2001);
    for (unsigned i = 0; i < 2000; i++) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        if (i % 20 == 0) positions[i / 20] = entry.position;
    }
    for (unsigned i = 100; i-- > 0;) {
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, positions[i]), 0);
        expect_frames(i * 20 + 1, i * 20 + 2);
    }
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, positions[3] + 8), -EINVAL);
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, positions[3] + 1), -EINVAL);
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, UINT64_MAX & ~7ull), -EINVAL);
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, 0), -EINVAL);
    expect_frames(2, 3); /* still where it was */
}
END_TEST

START_TEST(the_end_is_where_new_frames_come)
{
    make_published(100);
    ck_assert_int_eq(journal_reader_seek_end(fixture.reader), 0);
    expect_end();
    append_many(3);
    publish();
    expect_frames(100, 103);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    expect_frames(1, 103);
}
END_TEST

START_TEST(what_was_trimmed_is_stale_and_not_wrong)
{
    struct journal_entry entry;

    make_published(2001);
    sync_all();
    journal_trim(fixture.journal, journal_appended(fixture.journal));
    settle();
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -ESTALE);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
}
END_TEST

START_TEST(damage_is_told_of_and_never_delivered)
{
    struct journal_entry entry;
    uint64_t position;

    make_published(100);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 50, 0), 0);
    position = journal_reader_position(fixture.reader);
    flip_byte(1, "log", journal_offset_of(position) + 25);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -EBADMSG);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -EBADMSG);
    flip_byte(1, "log", journal_offset_of(position) + 25);
    expect_frames(50, 100);
}
END_TEST

START_TEST(a_file_that_is_too_short_is_an_error_and_not_a_signal)
{
    struct journal_entry entry;
    int fd;

    make_published(300);
    close_journal();
    open_reader();
    fd = open_file(1, "log");
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    close(fd);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    for (;;) {
        int rc = journal_reader_next(fixture.reader, &entry);
        if (rc == 1) continue;
        ck_assert_int_eq(rc, -EBADMSG);
        break;
    }
}
END_TEST

START_TEST(waiting_ends_with_time_and_takes_nothing)
{
    make_published(10);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, 0), 1);
    expect_frames(1, 10);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, 0), 0);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, 2000), 0);
    append_many(1);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, 0), 0);
    publish();
    ck_assert_int_eq(journal_reader_wait(fixture.reader, JOURNAL_FOREVER), 1);
    expect_frames(10, 11);
}
END_TEST

/* A thread that waits for as long as it takes. */
static struct {
    _Atomic pid_t id;
    int rc;
} sleeper;

static void *sleep_in_thread(void *reader)
{
    sleeper.id = gettid();
    sleeper.rc = journal_reader_wait(reader, JOURNAL_FOREVER);
    return NULL;
}

static bool is_asleep(pid_t thread)
{
    char file[64], state = '?';
    FILE *stat;

    (void)snprintf(file, sizeof(file), "/proc/self/task/%d/stat", (int)thread);
    stat = fopen(file, "r");
    if (stat) {
        if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1) state = '?';
        (void)fclose(stat);
    }
    return state == 'S';
}

/* As by a writer that is killed between taking the sleepers' flag and waking them. */
START_TEST(a_writer_that_dies_before_it_wakes_leaves_nobody_asleep)
{
    struct journal_meta *meta;
    pthread_t thread;

    open_journal();
    open_reader();
    meta = &fixture.journal->meta;
    ck_assert_int_eq(pthread_create(&thread, NULL, sleep_in_thread, fixture.reader), 0);
    while (atomic_load(&meta->waiters->is_waiting) == 0 || !is_asleep(sleeper.id))
        (void)sched_yield();
    append_many(1);
    atomic_store(&meta->waiters->is_waiting, 0);
    atomic_store(&meta->live->published, journal_appended(fixture.journal));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(sleeper.rc, 1);
    expect_frames(1, 2);
}
END_TEST

START_TEST(there_is_no_reader_without_a_journal)
{
    ck_assert_int_eq(journal_reader_open(os_real(), fixture.path, &fixture.reader), -ENOENT);
    open_journal();
    expect_all(1, 1);
}
END_TEST

/* ---- at the same time -------------------------------------------------------------------------
 */

enum { READERS = 3, RACED = 20000 };

/* Reads all frames as they come, sleeping when there is none; NULL when all were right. */
static void *read_along(void *path)
{
    struct journal_reader *reader;
    uint64_t number = 1;
    int rc = journal_reader_open(os_real(), path, &reader);

    if (rc < 0) return "open";
    while (number <= RACED) {
        struct journal_entry entry;
        uint8_t bytes[8192];
        rc = journal_reader_next(reader, &entry);
        if (rc < 0) return "next";
        if (rc == 0) {
            if (journal_reader_wait(reader, JOURNAL_FOREVER) != 1) return "wait";
            continue;
        }
        if (entry.time_ms != number) return "order";
        if (!slice_equal(entry.payload, slice_of(bytes, payload_of(number, bytes)))) return "bytes";
        number++;
    }
    journal_reader_close(reader);
    return NULL;
}

static void write_all(int way)
{
    for (uint64_t i = 0; i < RACED; i++) {
        append_many(1);
        if (i % 7 == 0) journal_publish(fixture.journal);
        if (i % 1000 == 0 && way == JOURNAL_MAPPED) journal_sync(fixture.journal);
        (void)io_poll(fixture.io);
    }
    publish();
}

START_TEST(threads_read_along)
{
    pthread_t threads[READERS];

    fixture.options.way = (enum journal_way)_i;
    open_journal();
    for (unsigned i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_along, fixture.path), 0);
    write_all(_i);
    for (unsigned i = 0; i < READERS; i++) {
        void *wrong;
        ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
        ck_assert_msg(wrong == NULL, "%s", (char *)wrong);
    }
}
END_TEST

START_TEST(processes_read_along)
{
    pid_t children[READERS];
    int status;

    fixture.options.way = (enum journal_way)_i;
    open_journal();
    for (unsigned i = 0; i < READERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) _exit(read_along(fixture.path) == NULL ? 0 : 1);
    }
    write_all(_i);
    for (unsigned i = 0; i < READERS; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readers of journals");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);
    TCase *raced = test_suite_case(suite, "raced", setup_with_threads, teardown);

    tcase_add_test(cases, an_id_is_found_wherever_it_is);
    tcase_add_test(cases, an_id_is_found_in_a_large_segment_by_its_index);
    tcase_add_test(cases, a_position_leads_back_to_its_frame);
    tcase_add_test(cases, the_end_is_where_new_frames_come);
    tcase_add_test(cases, what_was_trimmed_is_stale_and_not_wrong);
    tcase_add_test(cases, damage_is_told_of_and_never_delivered);
    tcase_add_test(cases, a_file_that_is_too_short_is_an_error_and_not_a_signal);
    tcase_add_test(cases, waiting_ends_with_time_and_takes_nothing);
    tcase_add_test(cases, a_writer_that_dies_before_it_wakes_leaves_nobody_asleep);
    tcase_add_test(cases, there_is_no_reader_without_a_journal);
    tcase_add_loop_test(raced, threads_read_along, 0, 2);
    tcase_add_loop_test(raced, processes_read_along, 0, 2);
    return test_suite_run(suite);
}
