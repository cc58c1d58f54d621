#include "modules/base/test_suite.h"
#include "server/observe/latency.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>

static struct latency *latency;

static void set_up(void)
{
    ck_assert_int_eq(latency_create(&latency), 0);
}

static void tear_down(void)
{
    latency_destroy(latency);
}

static void add(const char *name, int64_t time_s, uint32_t latency_ms)
{
    ck_assert_int_eq(latency_add(latency, name, time_s, latency_ms), 0);
}

static const struct latency_event *find(const char *name)
{
    return latency_event_find(latency, slice_of_string(name));
}

START_TEST(samples_come_in_order)
{
    const struct latency_event *event;

    add("command", 10, 5);
    add("command", 12, 7);
    add("fast-command", 12, 1);
    ck_assert_uint_eq(latency_event_count(latency), 2);
    ck_assert_str_eq(latency_name(latency_event_at(latency, 0)), "command");
    ck_assert_str_eq(latency_name(latency_event_at(latency, 1)), "fast-command");
    event = find("command");
    ck_assert_uint_eq(latency_sample_count(event), 2);
    ck_assert_int_eq(latency_sample_at(event, 0).time_s, 10);
    ck_assert_uint_eq(latency_sample_at(event, 1).latency_ms, 7);
    ck_assert_ptr_null(find("comman"));
}
END_TEST

START_TEST(a_second_keeps_its_longest)
{
    add("command", 10, 5);
    add("command", 10, 9);
    add("command", 10, 7);
    ck_assert_uint_eq(latency_sample_count(find("command")), 1);
    ck_assert_uint_eq(latency_sample_at(find("command"), 0).latency_ms, 9);
}
END_TEST

START_TEST(the_oldest_samples_go_but_the_worst_is_known)
{
    const struct latency_event *event;

    for (int64_t i = 0; i < LATENCY_SAMPLES_MAX + 10; i++)
        add("command", i, (uint32_t)(500 - i));
    event = find("command");
    ck_assert_uint_eq(latency_sample_count(event), LATENCY_SAMPLES_MAX);
    for (uint32_t i = 0; i < LATENCY_SAMPLES_MAX; i++) {
        ck_assert_int_eq(latency_sample_at(event, i).time_s, i + 10);
        ck_assert_uint_eq(latency_sample_at(event, i).latency_ms, 490 - i);
    }
    ck_assert_uint_eq(latency_worst_ms(event), 500);
}
END_TEST

START_TEST(events_are_bounded)
{
    for (int i = 0; i < LATENCY_EVENTS_MAX; i++) {
        char name[24];

        (void)snprintf(name, sizeof(name), "event-%d", i);
        add(name, 1, 1);
    }
    ck_assert_int_eq(latency_add(latency, "another", 1, 1), -ENOSPC);
    add("event-3", 2, 1);
    ck_assert_uint_eq(latency_sample_count(find("event-3")), 2);
}
END_TEST

START_TEST(reset_forgets_one_or_all)
{
    add("a", 1, 1);
    add("b", 1, 1);
    add("c", 1, 1);
    ck_assert_uint_eq(latency_reset(latency, SLICE_LITERAL("b")), 1);
    ck_assert_uint_eq(latency_reset(latency, SLICE_LITERAL("b")), 0);
    ck_assert_ptr_null(find("b"));
    ck_assert_str_eq(latency_name(latency_event_at(latency, 1)), "c");
    ck_assert_uint_eq(latency_reset(latency, slice_of(NULL, 0)), 2);
    ck_assert_uint_eq(latency_event_count(latency), 0);
}
END_TEST

/* ---- texts ---------------------------------------------------------------------------------- */

static char *graph(const char *name, int64_t now_s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ck_assert_ptr_nonnull(out);
    latency_graph(find(name), now_s, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static char *doctor(int64_t threshold_ms, int64_t now_s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ck_assert_ptr_nonnull(out);
    latency_doctor(latency, threshold_ms, now_s, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(a_graph_has_a_column_a_sample)
{
    char *text;

    add("command", 100, 20);
    add("command", 101, 1100);
    add("command", 102, 3);
    text = graph("command", 102);
    ck_assert_str_eq(
        text, "command - high 1100 ms, low 3 ms (all time high 1100 ms)\n"
              "--------------------------------------------------------------------------------\n"
              " # \n | \n | \n_|_\n   \n210\nsss\n");
    free(text);
}
END_TEST

START_TEST(heights_and_ages_of_a_graph)
{
    char *text;

    add("x", 1000, 0);
    for (int i = 1; i < 12; i++)
        add("x", 1000 + i, (uint32_t)i * 10);
    text = graph("x", 1000 + 11 + 7200);
    ck_assert_ptr_nonnull(strstr(text, "\n222222222222\nhhhhhhhhhhhh\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\n         _o#\n      _o#|||\n   _o#||||||\n_o#|||||||||\n"));
    free(text);
}
END_TEST

START_TEST(one_sample_or_equal_ones_are_drawn_high)
{
    char *text;

    add("x", 1000, 5);
    text = graph("x", 1000 + 86400 * 12);
    ck_assert_ptr_nonnull(strstr(text, "\n#\n|\n|\n|\n \n1\n2\nd\n"));
    free(text);
    text = graph("x", 10); /* the clock was set back */
    ck_assert_ptr_nonnull(strstr(text, "\n \n0\ns\n"));
    free(text);
}
END_TEST

START_TEST(the_doctor_reports)
{
    char *text = doctor(0, 5);

    ck_assert_ptr_nonnull(strstr(text, "latency-monitor-threshold"));
    free(text);
    text = doctor(7, 5);
    ck_assert_str_eq(text, "Nothing has taken 7 ms or longer so far.\n");
    free(text);
    add("command", 100, 20);
    add("command", 101, 1100);
    add("command", 102, 3);
    text = doctor(1, 102);
    ck_assert_ptr_nonnull(strstr(text, "1. command: 3 times, 374 ms on average (mean deviation 483 "
                                       "ms), about every 0.67 s; the longest ever took 1100 ms\n"));
    ck_assert_ptr_nonnull(strstr(text, "SLOWLOG GET"));
    ck_assert_ptr_null(strstr(text, "transparent huge pages"));
    free(text);
}
END_TEST

int main(void)
{
    const TTest *const all[] = {
        samples_come_in_order,
        a_second_keeps_its_longest,
        the_oldest_samples_go_but_the_worst_is_known,
        events_are_bounded,
        reset_forgets_one_or_all,
        a_graph_has_a_column_a_sample,
        heights_and_ages_of_a_graph,
        one_sample_or_equal_ones_are_drawn_high,
        the_doctor_reports,
    };
    Suite *suite = suite_create("latency");
    TCase *tests = test_suite_case(suite, "latency", set_up, tear_down);

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        tcase_add_test(tests, all[i]);
    return test_suite_run(suite);
}
