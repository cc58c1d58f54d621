/* A long string that others have too (answers under way, a checkpoint that is being written): who
 * changes it copies it in slices, and nobody else waits for that. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { LARGE_BYTES = 20 * 1024 * 1024 };

static struct server server;
static struct wire *wire;

static void start(void)
{
    static const char *const arguments[] = { "--maxmemory", "256mb", "--slice-us", "10", NULL };
    struct server_options options = { .own_arguments = arguments };

    server_start(&server, &options);
    wire = wire_open(&server);
}

static void stop(void)
{
    wire_close(wire);
    server_stop(&server);
}

/* A reader that does not read: it has the bytes of the string, as a checkpoint would. */
static struct wire *hold_large(void)
{
    int64_t hits = info_number(wire, "keyspace_hits");
    struct wire *reader = wire_open(&server);

    reader->takes_nothing = true;
    wire_command(reader, "GET large");
    info_wait_least(wire, "keyspace_hits", hits + 1);
    return reader;
}

static void expect_held(struct wire *reader, const char *text, size_t size)
{
    struct text reply = { 0 };

    ck_assert_int_eq(wire_read(reader, &reply), 1);
    ck_assert_uint_gt(reply.size, size + 2);
    ck_assert_int_eq(memcmp(reply.bytes + reply.size - 2 - size, text, size), 0);
    text_finish(&reply);
    wire_close(reader);
}

START_TEST(a_long_string_that_others_have_is_copied_in_slices)
{
    enum { LEAST_SLICES = 20 };
    char *large = malloc(LARGE_BYTES + 3);
    struct wire *reader;
    int64_t slices;

    ck_assert_ptr_nonnull(large);
    memset(large, 'x', LARGE_BYTES);
    wire_command(wire, "SET large %b", large, (size_t)LARGE_BYTES);
    wire_skip(wire, 1);
    reader = hold_large();
    slices = info_number(wire, "slices");
    expect_integer(wire, LARGE_BYTES + 3, "APPEND large end");
    ck_assert_int_ge(info_number(wire, "slices"), slices + LEAST_SLICES);
    expect_held(reader, large, LARGE_BYTES);
    large[LARGE_BYTES] = 'e';
    large[LARGE_BYTES + 1] = 'n';
    large[LARGE_BYTES + 2] = 'd';

    reader = hold_large();
    slices = info_number(wire, "slices");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "SETRANGE large 5 other");
    expect_text(wire, "QUEUED", "GETRANGE large 4 10");
    expect_text(wire, "1) (integer) 20971523\n2) \"xotherx\"", "EXEC");
    ck_assert_int_ge(info_number(wire, "slices"), slices + LEAST_SLICES);
    expect_held(reader, large, LARGE_BYTES + 3);
    free(large);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("long strings");
    TCase *tcase = suite_case(suite, "shared");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, a_long_string_that_others_have_is_copied_in_slices);
    return suite_run(suite);
}
