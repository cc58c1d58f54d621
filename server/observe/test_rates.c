#include "modules/base/test_suite.h"
#include "server/observe/rates.h"
#include <check.h>

enum { START_US = 5000000 };

static struct rates rates;
static struct rate_counts counts;

static void set_up(void)
{
    rates = (struct rates){ 0 };
    counts = (struct rate_counts){ 0 };
}

static struct rate_figures figures_at(uint64_t now_us)
{
    struct rate_figures figures;

    rates_get(&rates, now_us, &counts, &figures);
    return figures;
}

/* 1000 commands a second, with 10 bytes in and 20 out. */
static uint64_t work(uint64_t from_us, unsigned milliseconds)
{
    for (unsigned i = 0; i < milliseconds; i++) {
        rates_sample(&rates, from_us + i * 1000, &counts);
        counts.commands++;
        counts.input_bytes += 10;
        counts.output_bytes += 20;
    }
    return from_us + milliseconds * 1000;
}

START_TEST(without_a_sample_there_is_no_rate)
{
    counts.commands = 1000;
    ck_assert_double_eq(figures_at(START_US).commands, 0);
    rates_sample(&rates, START_US, &counts);
    counts.commands++;
    ck_assert_double_eq(figures_at(START_US + 1).commands, 0);
}
END_TEST

START_TEST(steady_work_has_its_rate)
{
    struct rate_figures figures = figures_at(work(START_US, 5000));

    ck_assert_double_eq_tol(figures.commands, 1000, 1);
    ck_assert_double_eq_tol(figures.input_bytes, 10000, 10);
    ck_assert_double_eq_tol(figures.output_bytes, 20000, 20);
}
END_TEST

START_TEST(what_was_long_ago_does_not_count)
{
    uint64_t now_us = work(START_US, 5000);

    ck_assert_double_eq_tol(figures_at(now_us + 800000).commands, 500, 70);
    ck_assert_double_le(figures_at(now_us + 100 * 1000000).commands, 2);
    now_us = work(now_us + 100 * 1000000, 1000);
    ck_assert_double_eq_tol(figures_at(now_us).commands, 1000, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rates");
    TCase *tcase = test_suite_case(suite, "rates", set_up, NULL);

    tcase_add_test(tcase, without_a_sample_there_is_no_rate);
    tcase_add_test(tcase, steady_work_has_its_rate);
    tcase_add_test(tcase, what_was_long_ago_does_not_count);
    return test_suite_run(suite);
}
