#include "modules/base/number.h"
#include "modules/base/random.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* An exact allocation, so that reading past the end is caught by the sanitizer. */
static struct slice exact(const char *text)
{
    struct slice from = slice_of_string(text);
    uint8_t *bytes = malloc(from.size > 0 ? from.size : 1);
    memcpy(bytes, from.bytes, from.size);
    return slice_of(bytes, from.size);
}

static void release(struct slice slice)
{
    free((void *)(uintptr_t)slice.bytes);
}

static bool parses_int64(const char *text, int64_t *out_value)
{
    struct slice slice = exact(text);
    bool result = number_parse_int64(slice, out_value);
    release(slice);
    return result;
}

static bool parses_double(const char *text, double *out_value)
{
    struct slice slice = exact(text);
    bool result = number_parse_double(slice, out_value);
    release(slice);
    return result;
}

static bool parses_memory(const char *text, uint64_t *out_value)
{
    struct slice slice = exact(text);
    bool result = number_parse_memory(slice, out_value);
    release(slice);
    return result;
}

static bool parses_span(const char *text, uint64_t *out_value)
{
    struct slice slice = exact(text);
    bool result = number_parse_span(slice, out_value);
    release(slice);
    return result;
}

START_TEST(canonical_integers_are_read_and_written_back)
{
    static const char *const texts[] = {
        "0",
        "1",
        "-1",
        "9",
        "10",
        "99",
        "100",
        "12345",
        "-99",
        "-100",
        "9223372036854775807",
        "-9223372036854775808",
        "1000000000000000000",
        "999999999999999999",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[NUMBER_INT64_BYTES_MAX];
        int64_t value;
        ck_assert_msg(parses_int64(texts[i], &value), "%s", texts[i]);
        ck_assert_int_eq(value, strtoll(texts[i], NULL, 10));
        ck_assert_uint_eq(number_format_int64(text, value), strlen(texts[i]));
        ck_assert_mem_eq(text, texts[i], strlen(texts[i]));
    }
}
END_TEST

START_TEST(anything_else_is_no_integer)
{
    static const char *const texts[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-01",
        "-0",
        "00",
        "1.0",
        "1e3",
        "0x10",
        "--1",
        "1-1",
        "a",
        "1a",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000",
        "-99999999999999999999",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value = 4711;
        ck_assert_msg(!parses_int64(texts[i], &value), "%s", texts[i]);
        ck_assert_int_eq(value, 4711);
    }
    ck_assert(!number_parse_int64(SLICE_LITERAL("1\0"), &(int64_t){ 0 }));
}
END_TEST

START_TEST(unsigned_numbers_go_up_to_their_maximum)
{
    uint64_t value = 0;
    char text[NUMBER_INT64_BYTES_MAX];
    ck_assert(number_parse_uint64(SLICE_LITERAL("18446744073709551615"), &value));
    ck_assert(value == UINT64_MAX);
    ck_assert_uint_eq(number_format_uint64(text, UINT64_MAX), 20);
    ck_assert_mem_eq(text, "18446744073709551615", 20);
    ck_assert(!number_parse_uint64(SLICE_LITERAL("18446744073709551616"), &value));
    ck_assert(!number_parse_uint64(SLICE_LITERAL("27446744073709551615"), &value));
    ck_assert(!number_parse_uint64(SLICE_LITERAL("-1"), &value));
}
END_TEST

START_TEST(random_integers_survive_writing_and_reading)
{
    struct random random;
    random_init(&random, 5);
    for (int i = 0; i < 100000; i++) {
        int64_t value = (int64_t)(random_next(&random) >> random_below(&random, 64)), got;
        char text[NUMBER_INT64_BYTES_MAX], expected[32];
        size_t size;
        if (i % 2) value = -value;
        size = number_format_int64(text, value);
        snprintf(expected, sizeof(expected), "%" PRId64, value);
        ck_assert_uint_eq(size, strlen(expected));
        ck_assert_mem_eq(text, expected, size);
        ck_assert(number_parse_int64(slice_of(text, size), &got));
        ck_assert_int_eq(got, value);
    }
}
END_TEST

START_TEST(floats_are_read_as_redis_reads_them)
{
    double value = 0;
    ck_assert(parses_double("3.25", &value) && value == 3.25);
    ck_assert(parses_double("-1e3", &value) && value == -1000);
    ck_assert(parses_double("+5", &value) && value == 5);
    ck_assert(parses_double("05", &value) && value == 5);
    ck_assert(parses_double("0x10", &value) && value == 16);
    ck_assert(parses_double(".5", &value) && value == 0.5);
    ck_assert(parses_double("inf", &value) && value == INFINITY);
    ck_assert(parses_double("-Infinity", &value) && value == -INFINITY);
    ck_assert(parses_double("0", &value) && value == 0);
    ck_assert(parses_double("4.9e-324", &value) && value > 0); /* denormal, but not zero */
}
END_TEST

START_TEST(anything_else_is_no_float)
{
    static const char *const texts[] = { "",       " 1",  "1 ", "nan",   "-nan", "1e400", "-1e400",
                                         "1e-400", "abc", "1x", "1.2.3", "1e",   "--1",   "." };
    long double long_value = 7;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        double value = 4711;
        ck_assert_msg(!parses_double(texts[i], &value), "%s", texts[i]);
        ck_assert_double_eq(value, 4711);
    }
    ck_assert(!number_parse_double(SLICE_LITERAL("1\0"), &(double){ 0 }));
    ck_assert(!number_parse_long_double(SLICE_LITERAL("nan"), &long_value));
    ck_assert(!number_parse_long_double(SLICE_LITERAL("1e5000"), &long_value));
    ck_assert(!number_parse_long_double(SLICE_LITERAL(" 1"), &long_value));
    ck_assert(long_value == 7);
    ck_assert(number_parse_long_double(SLICE_LITERAL("1e400"), &long_value));
    ck_assert(long_value > DBL_MAX && isfinite(long_value));
}
END_TEST

START_TEST(a_float_text_that_is_too_long_is_refused)
{
    enum { SIZE = 6000 };
    uint8_t *text = malloc(SIZE);
    double value;
    memset(text, '1', SIZE);
    text[1] = '.';
    ck_assert(number_parse_double(slice_of(text, 5119), &value));
    ck_assert(!number_parse_double(slice_of(text, 5120), &value));
    free(text);
}
END_TEST

START_TEST(memory_sizes_are_those_of_configuration_files)
{
    uint64_t value;
    ck_assert(parses_memory("0", &value) && value == 0);
    ck_assert(parses_memory("123", &value) && value == 123);
    ck_assert(parses_memory("7b", &value) && value == 7);
    ck_assert(parses_memory("10k", &value) && value == 10000);
    ck_assert(parses_memory("10kb", &value) && value == 10240);
    ck_assert(parses_memory("1m", &value) && value == 1000000);
    ck_assert(parses_memory("64MB", &value) && value == 64 << 20);
    ck_assert(parses_memory("1g", &value) && value == 1000000000);
    ck_assert(parses_memory("2Gb", &value) && value == 2147483648u);
    ck_assert(parses_memory("18446744073709551615", &value) && value == UINT64_MAX);
    value = 1;
    ck_assert(!parses_memory("", &value));
    ck_assert(!parses_memory("k", &value));
    ck_assert(!parses_memory("-1", &value));
    ck_assert(!parses_memory("1 mb", &value));
    ck_assert(!parses_memory("1tb", &value));
    ck_assert(!parses_memory("1mbb", &value));
    ck_assert(!parses_memory("1.5gb", &value));
    ck_assert(!parses_memory("18446744073709551616", &value));
    ck_assert(!parses_memory("17179869184gb", &value));
    ck_assert_uint_eq(value, 1);
}
END_TEST

START_TEST(lengths_of_time_have_units)
{
    uint64_t value;
    ck_assert(parses_span("0", &value) && value == 0);
    ck_assert(parses_span("1500", &value) && value == 1500);
    ck_assert(parses_span("1500ms", &value) && value == 1500);
    ck_assert(parses_span("10s", &value) && value == 10000);
    ck_assert(parses_span("3M", &value) && value == 180000);
    ck_assert(parses_span("12h", &value) && value == 43200000);
    ck_assert(parses_span("30D", &value) && value == 2592000000u);
    ck_assert(parses_span("18446744073709551615ms", &value) && value == UINT64_MAX);
    value = 1;
    ck_assert(!parses_span("", &value));
    ck_assert(!parses_span("d", &value));
    ck_assert(!parses_span("-1s", &value));
    ck_assert(!parses_span("1 d", &value));
    ck_assert(!parses_span("1w", &value));
    ck_assert(!parses_span("1kb", &value));
    ck_assert(!parses_span("18446744073709551616", &value));
    ck_assert(!parses_span("18446744073709551d", &value));
    ck_assert_uint_eq(value, 1);
}
END_TEST

static void expect_double(double value, const char *expected)
{
    char text[NUMBER_DOUBLE_BYTES_MAX + 1];
    size_t size = number_format_double(text, value);
    ck_assert_uint_le(size, NUMBER_DOUBLE_BYTES_MAX);
    text[size] = '\0';
    ck_assert_str_eq(text, expected);
}

START_TEST(doubles_are_written_as_scores)
{
    expect_double(0, "0");
    expect_double(-0.0, "-0");
    expect_double(1, "1");
    expect_double(-17, "-17");
    expect_double(3.25, "3.25");
    expect_double(0.1, "0.10000000000000001");
    expect_double(1e15, "1000000000000000");
    expect_double(1e20, "1e+20");
    expect_double(-DBL_MAX, "-1.7976931348623157e+308");
    expect_double(-4.9406564584124654e-324, "-4.9406564584124654e-324");
    expect_double(INFINITY, "inf");
    expect_double(-INFINITY, "-inf");
    expect_double(NAN, "nan");
}
END_TEST

static void expect_human(long double value, const char *expected)
{
    char text[NUMBER_HUMAN_BYTES_MAX + 1];
    size_t size = number_format_human(text, value);
    text[size] = '\0';
    ck_assert_str_eq(text, expected);
}

START_TEST(long_doubles_are_written_as_incrbyfloat_does)
{
    char text[NUMBER_HUMAN_BYTES_MAX];
    expect_human(3, "3");
    expect_human(3.5L, "3.5");
    expect_human(0, "0");
    expect_human(-0.0L, "0");
    expect_human(-1e-18L, "0");
    expect_human(100, "100");
    expect_human(10.1L, "10.1");
    expect_human(5.0e3L, "5000");
    expect_human(-0.25L, "-0.25");
    ck_assert_uint_gt(number_format_human(text, LDBL_MAX), 4900);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("number");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, canonical_integers_are_read_and_written_back);
    tcase_add_test(cases, anything_else_is_no_integer);
    tcase_add_test(cases, unsigned_numbers_go_up_to_their_maximum);
    tcase_add_test(cases, random_integers_survive_writing_and_reading);
    tcase_add_test(cases, floats_are_read_as_redis_reads_them);
    tcase_add_test(cases, anything_else_is_no_float);
    tcase_add_test(cases, a_float_text_that_is_too_long_is_refused);
    tcase_add_test(cases, memory_sizes_are_those_of_configuration_files);
    tcase_add_test(cases, lengths_of_time_have_units);
    tcase_add_test(cases, doubles_are_written_as_scores);
    tcase_add_test(cases, long_doubles_are_written_as_incrbyfloat_does);
    return test_suite_run(suite);
}
