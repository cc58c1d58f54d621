/* A whole server after the power went at any moment: clients work with it while its system calls
 * are recorded (test_power_work.h); then servers are started on what the disk may hold behind each
 * of them (test_power_walk.h). */
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "server/test_power_walk.h"

#include "modules/io/io.h"
#include "modules/journal/journal.h"

START_TEST(whatever_the_disk_holds_a_server_finds_what_it_had_promised)
{
    struct power_figures figures;

    fixture.seed = soak_seed() + (uint64_t)_i;
    record_a_server(policies[_i % 2]);
    ck_assert_msg(walk_scaled(&figures) == 0, "%s, seed %llu", fixture.fsync,
                  (unsigned long long)soak_seed());
    (void)printf("%s: %llu states of %llu events\n", fixture.fsync,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
    ck_assert_uint_gt(figures.checked_count, 50);
}
END_TEST

static unsigned count_in_log(const char *words)
{
    static char line[1024];
    FILE *file = fopen(fixture.server.log_path, "r");
    unsigned count = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, words) != NULL;
    (void)fclose(file);
    return count;
}

START_TEST(a_log_that_is_replaced_loses_nothing_at_any_moment)
{
    struct power_figures figures;
    unsigned replaced;

    fixture.seed = soak_seed() + 7000 + (uint64_t)_i;
    ck_assert_int_eq(fault_create(record_os(fixture.record), &fixture.fault), 0);
    record_a_server("always");
    replaced = count_in_log("Another operation log has taken the place");
    ck_assert_uint_gt(replaced, 0);
    ck_assert_msg(walk_scaled(&figures) == 0, "seed %llu", (unsigned long long)soak_seed());
    (void)printf("replaced %u times: %llu states of %llu events\n", replaced,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
}
END_TEST

/* The server goes on with a log that is there, and with how that was made: its segments are so
 * small that they end all the time, and go with each checkpoint. */
static void make_log_of_small_segments(void)
{
    struct journal_options options = { .settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN };
    struct journal_report report;
    struct journal *journal;
    struct io *io;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/log", fixture.data);
    options.path = path;
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(journal_open(os_real(), io, &options, &report, &journal), 0);
    ck_assert_int_eq(journal_close(journal), 0);
    io_destroy(io);
    record_destroy(fixture.record);
    ck_assert_int_eq(record_create(os_real(), fixture.data, RECORD_BYTES, &fixture.record), 0);
}

START_TEST(a_log_of_many_segments_loses_nothing_at_any_moment)
{
    struct power_figures figures;

    fixture.seed = soak_seed() + 9000 + (uint64_t)_i;
    fixture.pause_us = 20000; /* a segment that has ended is synced at once */
    make_log_of_small_segments();
    record_a_server(policies[_i % 2]);
    ck_assert_msg(walk_scaled(&figures) == 0, "%s, seed %llu", fixture.fsync,
                  (unsigned long long)soak_seed());
    (void)printf("%s, %u segments, %u removed: %llu states of %llu events\n", fixture.fsync,
                 fixture.segments.count, fixture.segments.removed_count,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
    ck_assert_uint_gt(fixture.segments.count, 5);
    ck_assert_uint_gt(fixture.segments.removed_count, 2);
    ck_assert_uint_gt(fixture.synced_at[figures.event_count], figures.event_count / 2);
}
END_TEST

/* The test would find a server that answers too early, or forgets a directory. */
START_TEST(a_planted_bug_is_found)
{
    struct power_figures figures;

    fixture.seed = 1;
    fixture.plant = _i;
    record_a_server("always");
    ck_assert_int_ne(walk(100, 4, &figures), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server and the loss of power");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_loop_test(cases, whatever_the_disk_holds_a_server_finds_what_it_had_promised, 0,
                        soak_is_full() ? 10 : 2);
    tcase_add_loop_test(cases, a_log_that_is_replaced_loses_nothing_at_any_moment, 0,
                        soak_is_full() ? 10 : 1);
    tcase_add_loop_test(cases, a_log_of_many_segments_loses_nothing_at_any_moment, 0,
                        soak_is_full() ? 10 : 2);
    tcase_add_loop_test(cases, a_planted_bug_is_found, RECORD_DIRECTORY_SYNCS_LEFT_OUT,
                        RECORD_SYNCS_LATE + 1);
    return test_suite_run(suite);
}
