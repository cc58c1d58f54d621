#include "modules/base/test_suite.h"
#include "server/observe/slowlog.h"
#include <check.h>
#include <stdlib.h>

static struct slowlog *slowlog;

static void set_up(void)
{
    ck_assert_int_eq(slowlog_create(4, &slowlog), 0);
}

static void tear_down(void)
{
    slowlog_destroy(slowlog);
}

/* A call of count arguments, each of size bytes. */
static void add(uint32_t count, size_t size)
{
    struct slice *arguments = calloc(count, sizeof(*arguments));
    uint8_t *bytes = malloc(size + 1);
    struct slowlog_entry entry = { .time_s = 1000,
                                   .duration_us = 7,
                                   .arguments = arguments,
                                   .argument_count = count,
                                   .peer = SLICE_LITERAL("127.0.0.1:5"),
                                   .client_name = SLICE_LITERAL("me") };

    ck_assert(arguments && bytes);
    memset(bytes, 'x', size);
    for (uint32_t i = 0; i < count; i++)
        arguments[i] = slice_of(bytes, size);
    ck_assert_int_eq(slowlog_add(slowlog, &entry), 0);
    memset(bytes, 'y', size);
    free(arguments);
    free(bytes);
}

static struct slice latest_argument(uint32_t index)
{
    const struct slowlog_entry *entry = slowlog_latest(slowlog);

    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_lt(index, entry->argument_count);
    return entry->arguments[index];
}

static void expect_slice(struct slice slice, const char *expected)
{
    ck_assert_msg(slice_equal(slice, slice_of_string(expected)), "'%.*s', not '%s'",
                  (int)slice.size, (const char *)slice.bytes, expected);
}

START_TEST(an_entry_is_a_copy)
{
    const struct slowlog_entry *entry;

    add(3, 2);
    entry = slowlog_latest(slowlog);
    ck_assert_uint_eq(entry->id, 0);
    ck_assert_int_eq(entry->time_s, 1000);
    ck_assert_uint_eq(entry->duration_us, 7);
    ck_assert_uint_eq(entry->argument_count, 3);
    expect_slice(entry->arguments[2], "xx");
    expect_slice(entry->peer, "127.0.0.1:5");
    expect_slice(entry->client_name, "me");
    ck_assert_ptr_null(slowlog_before(entry));
}
END_TEST

START_TEST(arguments_above_32_are_counted)
{
    add(32, 1);
    ck_assert_uint_eq(slowlog_latest(slowlog)->argument_count, 32);
    expect_slice(latest_argument(31), "x");
    add(33, 1);
    ck_assert_uint_eq(slowlog_latest(slowlog)->argument_count, 32);
    expect_slice(latest_argument(30), "x");
    expect_slice(latest_argument(31), "... (2 more arguments)");
    add(1000, 1);
    expect_slice(latest_argument(31), "... (969 more arguments)");
}
END_TEST

START_TEST(bytes_above_128_are_counted)
{
    add(1, 128);
    ck_assert_uint_eq(latest_argument(0).size, 128);
    add(1, 129);
    ck_assert_uint_eq(latest_argument(0).size, 128 + strlen("... (1 more bytes)"));
    expect_slice(slice_of(latest_argument(0).bytes + 127, latest_argument(0).size - 127),
                 "x... (1 more bytes)");
    add(2, 100000);
    expect_slice(slice_of(latest_argument(1).bytes + 128, latest_argument(1).size - 128),
                 "... (99872 more bytes)");
    add(1, 0);
    ck_assert_uint_eq(latest_argument(0).size, 0);
}
END_TEST

START_TEST(the_oldest_go_first_and_ids_go_on)
{
    const struct slowlog_entry *entry;

    for (uint32_t i = 0; i < 6; i++)
        add(i + 1, 1);
    ck_assert_uint_eq(slowlog_length(slowlog), 4);
    entry = slowlog_latest(slowlog);
    for (uint32_t id = 5; id >= 2; id--) {
        ck_assert_ptr_nonnull(entry);
        ck_assert_uint_eq(entry->id, id);
        ck_assert_uint_eq(entry->argument_count, id + 1);
        entry = slowlog_before(entry);
    }
    ck_assert_ptr_null(entry);
    slowlog_reset(slowlog);
    ck_assert_uint_eq(slowlog_length(slowlog), 0);
    ck_assert_ptr_null(slowlog_latest(slowlog));
    add(1, 1);
    ck_assert_uint_eq(slowlog_latest(slowlog)->id, 6);
}
END_TEST

START_TEST(the_length_may_change)
{
    for (uint32_t i = 0; i < 4; i++)
        add(1, 1);
    slowlog_set_length(slowlog, 2);
    ck_assert_uint_eq(slowlog_length(slowlog), 2);
    ck_assert_uint_eq(slowlog_latest(slowlog)->id, 3);
    slowlog_set_length(slowlog, 0);
    ck_assert_uint_eq(slowlog_length(slowlog), 0);
    add(1, 1);
    ck_assert_uint_eq(slowlog_length(slowlog), 0);
    ck_assert_uint_eq(slowlog_memory_bytes(slowlog), 0);
}
END_TEST

START_TEST(memory_is_bounded_whatever_the_length)
{
    slowlog_set_length(slowlog, UINT64_MAX);
    for (uint32_t i = 0; i < 5000; i++)
        add(32, 128);
    ck_assert_uint_le(slowlog_memory_bytes(slowlog), SLOWLOG_BYTES_MAX);
    ck_assert_uint_gt(slowlog_memory_bytes(slowlog), SLOWLOG_BYTES_MAX - 6000);
    ck_assert_uint_lt(slowlog_length(slowlog), 5000);
    ck_assert_uint_eq(slowlog_latest(slowlog)->id, 4999);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slowlog");
    TCase *tests = test_suite_case(suite, "slowlog", set_up, tear_down);

    tcase_add_test(tests, an_entry_is_a_copy);
    tcase_add_test(tests, arguments_above_32_are_counted);
    tcase_add_test(tests, bytes_above_128_are_counted);
    tcase_add_test(tests, the_oldest_go_first_and_ids_go_on);
    tcase_add_test(tests, the_length_may_change);
    tcase_add_test(tests, memory_is_bounded_whatever_the_length);
    return test_suite_run(suite);
}
