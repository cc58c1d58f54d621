/* What goes into a frame comes out of it, and what is no frame is refused. */
#include "modules/base/test_suite.h"
#include "server/durability/log_frame.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    struct log_frame frame;
    struct log_frame_reader *reader;
    uint8_t payload[4096];
    size_t size;
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    ck_assert_int_eq(log_frame_reader_create(&fixture.reader), 0);
}

static void tear_down(void)
{
    log_frame_finish(&fixture.frame);
    log_frame_reader_destroy(fixture.reader);
}

static void add(unsigned database, const char *name, const char *argument)
{
    struct slice arguments[2] = { slice_of_string(name), slice_of_string(argument) };

    ck_assert_int_eq(log_frame_add(&fixture.frame, database, arguments, 2), 0);
}

/* Header and commands as the log holds them. */
static struct slice payload(void)
{
    log_frame_header(fixture.payload, fixture.frame.database, fixture.frame.count);
    memcpy(fixture.payload + LOG_FRAME_HEADER_BYTES, fixture.frame.bytes, fixture.frame.size);
    fixture.size = LOG_FRAME_HEADER_BYTES + fixture.frame.size;
    return slice_of(fixture.payload, fixture.size);
}

static void expect_command(unsigned database, const char *name, const char *argument)
{
    struct slice *arguments;
    uint32_t count;
    unsigned found;

    ck_assert_int_eq(log_frame_reader_next(fixture.reader, &found, &arguments, &count), 1);
    ck_assert_uint_eq(found, database);
    ck_assert_uint_eq(count, 2);
    ck_assert(slice_equal(arguments[0], slice_of_string(name)));
    ck_assert(slice_equal(arguments[1], slice_of_string(argument)));
}

static int next(void)
{
    struct slice *arguments;
    uint32_t count;
    unsigned database;

    return log_frame_reader_next(fixture.reader, &database, &arguments, &count);
}

START_TEST(commands_come_back_in_order_and_in_their_databases)
{
    add(3, "INCR", "a");
    add(3, "INCR", "b\r\nc");
    add(0, "DEL", "");
    add(3, "INCR", "d");
    ck_assert_int_eq(log_frame_reader_begin(fixture.reader, payload()), 0);
    expect_command(3, "INCR", "a");
    expect_command(3, "INCR", "b\r\nc");
    expect_command(0, "DEL", "");
    expect_command(3, "INCR", "d");
    ck_assert_int_eq(next(), 0);
}
END_TEST

START_TEST(a_line_is_a_command_too)
{
    static const char line[] = "INCR 'a b'\r\n";

    log_frame_header(fixture.payload, 7, 1);
    memcpy(fixture.payload + LOG_FRAME_HEADER_BYTES, line, sizeof(line) - 1);
    ck_assert_int_eq(
        log_frame_reader_begin(
            fixture.reader, slice_of(fixture.payload, LOG_FRAME_HEADER_BYTES + sizeof(line) - 1)),
        0);
    expect_command(7, "INCR", "a b");
    ck_assert_int_eq(next(), 0);
}
END_TEST

/* What is long stays where it is, and the parts are the same as one piece. */
START_TEST(what_is_lent_comes_in_its_place)
{
    static uint8_t lent[LOG_FRAME_LENT_BYTES_MIN], copied[LOG_FRAME_LENT_BYTES_MIN - 1];
    struct slice arguments[] = { SLICE_LITERAL("RPUSH"), slice_of(copied, sizeof(copied)),
                                 slice_of(lent, sizeof(lent)), SLICE_LITERAL("x"),
                                 slice_of(lent, sizeof(lent)) };
    struct log_frame copy = { 0 };
    size_t part_count, at = 0, lent_count = 0;
    struct slice *parts;

    memset(lent, 'l', sizeof(lent));
    memset(copied, 'c', sizeof(copied));
    for (unsigned i = 0; i < 3; i++) { /* the frame's own bytes move as they grow */
        ck_assert_int_eq(log_frame_lend(&fixture.frame, i % 2, arguments, 5), 0);
        ck_assert_int_eq(log_frame_add(&copy, i % 2, arguments, 5), 0);
    }
    ck_assert_uint_eq(fixture.frame.count, copy.count);
    parts = log_frame_parts(&fixture.frame, &part_count);
    ck_assert_uint_eq(parts[0].size, 0);
    for (size_t i = 1; i < part_count; i++) {
        ck_assert_uint_le(parts[i].size, copy.size - at);
        ck_assert_int_eq(memcmp(parts[i].bytes, copy.bytes + at, parts[i].size), 0);
        at += parts[i].size;
        lent_count += parts[i].bytes == lent;
    }
    ck_assert_uint_eq(at, copy.size);
    ck_assert_uint_eq(lent_count, 6);
    log_frame_clear(&fixture.frame);
    add(1, "INCR", "a");
    (void)log_frame_parts(&fixture.frame, &part_count);
    ck_assert_uint_eq(part_count, 2);
    log_frame_finish(&copy);
}
END_TEST

START_TEST(arguments_that_are_bulks_already_come_behind_the_others)
{
    struct slice words[2] = { SLICE_LITERAL("XADD"), SLICE_LITERAL("key") }, *arguments;
    static uint8_t raw[LOG_FRAME_LENT_BYTES_MIN];
    struct slice first = SLICE_LITERAL("$1\r\na\r\n$0\r\n\r\n");
    size_t part_count;
    uint32_t count;
    unsigned database;

    ck_assert_int_eq(log_frame_lend_raw(&fixture.frame, 3, words, 2, first, 2), 0);
    ck_assert_int_eq(log_frame_reader_begin(fixture.reader, payload()), 0);
    ck_assert_int_eq(log_frame_reader_next(fixture.reader, &database, &arguments, &count), 1);
    ck_assert_uint_eq(count, 4);
    ck_assert(slice_equal(arguments[1], SLICE_LITERAL("key")));
    ck_assert(slice_equal(arguments[2], SLICE_LITERAL("a")));
    ck_assert_uint_eq(arguments[3].size, 0);
    ck_assert_int_eq(next(), 0);
    ck_assert_int_eq(log_frame_lend_raw(&fixture.frame, 3, words, 2, slice_of(raw, sizeof(raw)), 1),
                     0);
    ck_assert_ptr_eq(log_frame_parts(&fixture.frame, &part_count)[2].bytes, raw); /* lent */
    ck_assert_uint_eq(part_count, 4);
}
END_TEST

START_TEST(a_cleared_frame_begins_anew)
{
    add(1, "INCR", "a");
    log_frame_clear(&fixture.frame);
    add(2, "INCR", "b");
    ck_assert_int_eq(log_frame_reader_begin(fixture.reader, payload()), 0);
    expect_command(2, "INCR", "b");
    ck_assert_int_eq(next(), 0);
}
END_TEST

/* Whatever is cut off, and whatever count is claimed: never another command, never beyond the end.
 */
START_TEST(a_frame_that_is_cut_is_noticed)
{
    struct slice whole;

    add(0, "INCR", "a");
    add(0, "INCR", "b");
    whole = payload();
    for (size_t size = 0; size < whole.size; size++) {
        int rc = log_frame_reader_begin(fixture.reader, slice_of(whole.bytes, size));

        while (rc >= 0 && (rc = next()) == 1) {}
        ck_assert_int_eq(rc, -EBADMSG);
    }
}
END_TEST

START_TEST(a_count_that_is_wrong_is_noticed)
{
    static const uint32_t counts[] = { 0, 1, 3, UINT32_MAX };

    add(0, "INCR", "a");
    add(0, "INCR", "b");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct slice bytes = payload();
        int rc;

        log_frame_header(fixture.payload, 0, counts[i]);
        ck_assert_int_eq(log_frame_reader_begin(fixture.reader, bytes), 0);
        while ((rc = next()) == 1) {}
        ck_assert_int_eq(rc, -EBADMSG);
    }
}
END_TEST

START_TEST(another_kind_is_refused)
{
    add(0, "INCR", "a");
    (void)payload();
    fixture.payload[0] = 2;
    ck_assert_int_eq(
        log_frame_reader_begin(fixture.reader, slice_of(fixture.payload, fixture.size)),
        -EPROTONOSUPPORT);
}
END_TEST

START_TEST(long_arguments_and_many_of_them)
{
    enum { COUNT = 1000, BYTES = 100000 };
    struct slice arguments[COUNT], *found;
    uint8_t *bytes = malloc(BYTES), *whole;
    uint32_t count;
    unsigned database;

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', BYTES);
    for (unsigned i = 0; i < COUNT; i++)
        arguments[i] = slice_of(bytes, i == 500 ? BYTES : i);
    ck_assert_int_eq(log_frame_add(&fixture.frame, 0, arguments, COUNT), 0);
    whole = malloc(LOG_FRAME_HEADER_BYTES + fixture.frame.size);
    ck_assert_ptr_nonnull(whole);
    log_frame_header(whole, 0, 1);
    memcpy(whole + LOG_FRAME_HEADER_BYTES, fixture.frame.bytes, fixture.frame.size);
    ck_assert_int_eq(
        log_frame_reader_begin(fixture.reader,
                               slice_of(whole, LOG_FRAME_HEADER_BYTES + fixture.frame.size)),
        0);
    ck_assert_int_eq(log_frame_reader_next(fixture.reader, &database, &found, &count), 1);
    ck_assert_uint_eq(count, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        ck_assert(slice_equal(found[i], arguments[i]));
    ck_assert_int_eq(next(), 0);
    free(whole);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log frame");
    TCase *cases = test_suite_case(suite, "log frame", set_up, tear_down);

    tcase_add_test(cases, commands_come_back_in_order_and_in_their_databases);
    tcase_add_test(cases, a_line_is_a_command_too);
    tcase_add_test(cases, what_is_lent_comes_in_its_place);
    tcase_add_test(cases, arguments_that_are_bulks_already_come_behind_the_others);
    tcase_add_test(cases, a_cleared_frame_begins_anew);
    tcase_add_test(cases, a_frame_that_is_cut_is_noticed);
    tcase_add_test(cases, a_count_that_is_wrong_is_noticed);
    tcase_add_test(cases, another_kind_is_refused);
    tcase_add_test(cases, long_arguments_and_many_of_them);
    return test_suite_run(suite);
}
