/* The loss of power while a server is told to promise less, and more again: its log ends and
 * begins, or is synced later and at once. What was answered while it promised all is there. */
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "server/test_power_walk.h"

/* INFO says less when there is no log: behind it lay an older one, and aof_enabled:1. */
START_TEST(an_answer_is_not_read_on_into_an_older_one)
{
    static const char older[] = "+before\r\n$13\r\naof_enabled:1\r\n", now[] = "$1\r\n0\r\n";
    struct connection connection = { 0 };
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    connection.fd = ends[0];
    ck_assert_int_eq(send(ends[1], older, sizeof(older) - 1, 0), sizeof(older) - 1);
    ck_assert(connection_receive(&connection, WAIT_MS));
    ck_assert_ptr_nonnull(connection_next(&connection));
    ck_assert_str_eq(connection_next(&connection), older + 9);
    ck_assert_int_eq(send(ends[1], now, sizeof(now) - 1, 0), sizeof(now) - 1);
    ck_assert_str_eq(connection_ask(&connection, "INFO persistence"), now);
    connection_close(&connection);
    close(ends[1]);
}
END_TEST

static void record_switches_and_walk(struct offs_words words, const char *fsync)
{
    struct power_figures figures;

    fixture.offs.words = words;
    record_a_server(fsync);
    ck_assert_uint_gt(fixture.offs.count, 2);
    ck_assert_msg(walk_scaled(&figures) == 0, "seed %llu", (unsigned long long)soak_seed());
    (void)printf("%s, %u times: %llu states of %llu events\n", words.off, fixture.offs.count,
                 (unsigned long long)figures.checked_count,
                 (unsigned long long)figures.event_count);
}

START_TEST(a_log_that_ends_and_begins_loses_nothing_while_it_counts)
{
    const struct offs_words words = { "CONFIG SET appendonly no", "CONFIG SET appendonly yes",
                                      "aof_enabled:1" };

    fixture.seed = soak_seed() + 11000 + (uint64_t)_i;
    record_switches_and_walk(words, "always");
}
END_TEST

/* In turn on a log that was opened for one mode, and for another, which go other ways. */
START_TEST(a_mode_that_changes_loses_nothing_while_it_is_always)
{
    const struct offs_words words = { _i % 4 < 2 ? "CONFIG SET appendfsync everysec"
                                                 : "CONFIG SET appendfsync no",
                                      "CONFIG SET appendfsync always", NULL };

    fixture.seed = soak_seed() + 13000 + (uint64_t)_i;
    fixture.begins_off = _i % 2 == 1;
    record_switches_and_walk(words, policies[_i % 2]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server that promises less and more, and the loss of power");
    TCase *plain = test_suite_case(suite, "answers", NULL, NULL);
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(plain, an_answer_is_not_read_on_into_an_older_one);
    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_loop_test(cases, a_log_that_ends_and_begins_loses_nothing_while_it_counts, 0,
                        soak_is_full() ? 10 : 1);
    tcase_add_loop_test(cases, a_mode_that_changes_loses_nothing_while_it_is_always, 0,
                        soak_is_full() ? 12 : 2);
    return test_suite_run(suite);
}
