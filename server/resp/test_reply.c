/* Exact bytes of every item in RESP2 and RESP3. */
#include "modules/base/test_suite.h"
#include "server/resp/reply.h"
#include "modules/pool/chain.h"
#include "modules/pool/pool.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

static struct {
    struct pool *pool;
    struct chain chain;
    struct reply reply;
} fixture;

static void set_up(void)
{
    ck_assert_int_eq(pool_create(1 << 20, &fixture.pool), 0);
    chain_init(&fixture.chain, fixture.pool);
    fixture.reply = (struct reply){ .chain = &fixture.chain, .protocol = 2 };
}

static void tear_down(void)
{
    chain_clear(&fixture.chain);
    pool_destroy(fixture.pool);
}

/* Takes all that was written out of the chain. */
static size_t take(char *bytes, size_t capacity)
{
    size_t size = 0;

    while (chain_bytes(&fixture.chain) > 0) {
        struct iovec piece;
        ck_assert_uint_eq(chain_fill(&fixture.chain, &piece, 1), 1);
        ck_assert_uint_le(size + piece.iov_len, capacity);
        memcpy(bytes + size, piece.iov_base, piece.iov_len);
        size += piece.iov_len;
        chain_consume(&fixture.chain, piece.iov_len);
    }
    return size;
}

static void expect_bytes(const char *expected, size_t expected_size)
{
    char bytes[4096];
    size_t size = take(bytes, sizeof(bytes));

    ck_assert_uint_eq(size, expected_size);
    ck_assert_mem_eq(bytes, expected, size);
}

#define expect(text) expect_bytes(text, sizeof(text) - 1)

/* Runs write once in each protocol. */
#define expect_each(write, in_resp2, in_resp3)                                                     \
    do {                                                                                           \
        fixture.reply.protocol = 2;                                                                \
        write;                                                                                     \
        expect(in_resp2);                                                                          \
        fixture.reply.protocol = 3;                                                                \
        write;                                                                                     \
        expect(in_resp3);                                                                          \
    } while (0)

START_TEST(simple_strings_and_integers_are_alike_in_both_protocols)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_ok(reply), "+OK\r\n", "+OK\r\n");
    expect_each(reply_simple(reply, SLICE_LITERAL("PONG")), "+PONG\r\n", "+PONG\r\n");
    expect_each(reply_integer(reply, 0), ":0\r\n", ":0\r\n");
    expect_each(reply_integer(reply, 9), ":9\r\n", ":9\r\n");
    expect_each(reply_integer(reply, 10), ":10\r\n", ":10\r\n");
    expect_each(reply_integer(reply, -1), ":-1\r\n", ":-1\r\n");
    expect_each(reply_integer(reply, INT64_MAX), ":9223372036854775807\r\n",
                ":9223372036854775807\r\n");
    expect_each(reply_integer(reply, INT64_MIN), ":-9223372036854775808\r\n",
                ":-9223372036854775808\r\n");
    expect_each(reply_raw(reply, SLICE_LITERAL("+a\r\n+b\r\n")), "+a\r\n+b\r\n", "+a\r\n+b\r\n");
}
END_TEST

START_TEST(bulks_carry_any_bytes)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_bulk(reply, SLICE_LITERAL("")), "$0\r\n\r\n", "$0\r\n\r\n");
    expect_each(reply_bulk(reply, slice_of(NULL, 0)), "$0\r\n\r\n", "$0\r\n\r\n");
    expect_each(reply_bulk(reply, SLICE_LITERAL("a\r\n\0b")), "$5\r\na\r\n\0b\r\n",
                "$5\r\na\r\n\0b\r\n");
    expect_each(reply_bulk_string(reply, "hello world"), "$11\r\nhello world\r\n",
                "$11\r\nhello world\r\n");
    expect_each(reply_bulk_integer(reply, -12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
    expect_each(reply_bulk_unsigned(reply, UINT64_MAX), "$20\r\n18446744073709551615\r\n",
                "$20\r\n18446744073709551615\r\n");
}
END_TEST

START_TEST(bulks_of_all_sizes_are_whole)
{
    enum { SIZE_MAX_TRIED = 40000 };
    char *sent = malloc(SIZE_MAX_TRIED), *received = malloc(SIZE_MAX_TRIED + 64), header[32];

    ck_assert(sent && received);
    for (size_t i = 0; i < SIZE_MAX_TRIED; i++)
        sent[i] = (char)(i * 7);
    for (size_t size = 1; size <= SIZE_MAX_TRIED; size += 1 + size / 3) {
        size_t header_size = (size_t)snprintf(header, sizeof(header), "$%zu\r\n", size);
        reply_integer(&fixture.reply, 1); /* so that the bulk starts somewhere in a buffer */
        reply_bulk(&fixture.reply, slice_of(sent, size));
        ck_assert_uint_eq(take(received, SIZE_MAX_TRIED + 64), 4 + header_size + size + 2);
        ck_assert_mem_eq(received + 4, header, header_size);
        ck_assert_mem_eq(received + 4 + header_size, sent, size);
        ck_assert_mem_eq(received + 4 + header_size + size, "\r\n", 2);
    }
    free(sent);
    free(received);
}
END_TEST

/* So many that buffers end between and within them; sizes on both sides of every limit. */
START_TEST(bulks_written_together_are_as_if_written_alone)
{
    enum { COUNT = 200, BYTES_MAX = 1 << 20 };
    static const size_t sizes[] = { 0, 9, 10, 64, 64, 64, 99, 100, 511, 512, 513, 3000, 20000 };
    static char content[20000], alone[BYTES_MAX], together[BYTES_MAX];
    struct slice items[COUNT];
    size_t alone_size, together_size;

    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < COUNT; i++)
        items[i] = slice_of(content, sizes[i % (sizeof(sizes) / sizeof(sizes[0]))]);
    for (size_t i = 0; i < COUNT; i++)
        reply_bulk(&fixture.reply, items[i]);
    alone_size = take(alone, sizeof(alone));
    reply_bulks(&fixture.reply, items, COUNT);
    chain_check(&fixture.chain);
    together_size = take(together, sizeof(together));
    ck_assert_uint_eq(together_size, alone_size);
    ck_assert_mem_eq(together, alone, alone_size);
    fixture.reply.is_muted = true;
    reply_bulks(&fixture.reply, items, COUNT);
    fixture.reply.is_muted = false;
    reply_bulks(&fixture.reply, items, 0);
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 0);
}
END_TEST

START_TEST(nulls_and_booleans_follow_the_protocol)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_null(reply), "$-1\r\n", "_\r\n");
    expect_each(reply_null_array(reply), "*-1\r\n", "_\r\n");
    expect_each(reply_bool(reply, true), ":1\r\n", "#t\r\n");
    expect_each(reply_bool(reply, false), ":0\r\n", "#f\r\n");
}
END_TEST

START_TEST(aggregates_follow_the_protocol)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_array(reply, 0), "*0\r\n", "*0\r\n");
    expect_each(reply_array(reply, 12), "*12\r\n", "*12\r\n");
    expect_each(reply_map(reply, 7), "*14\r\n", "%7\r\n");
    expect_each(reply_set(reply, 3), "*3\r\n", "~3\r\n");
    expect_each(reply_push(reply, 3), "*3\r\n", ">3\r\n");
    fixture.reply.protocol = 3;
    reply_attribute(reply, 1);
    expect("|1\r\n");
}
END_TEST

START_TEST(doubles_are_written_as_redis_7_writes_them)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_double(reply, 0.1), "$19\r\n0.10000000000000001\r\n",
                ",0.10000000000000001\r\n");
    expect_each(reply_double(reply, 3), "$1\r\n3\r\n", ",3\r\n");
    expect_each(reply_double(reply, -3.5), "$4\r\n-3.5\r\n", ",-3.5\r\n");
    expect_each(reply_double(reply, 1e17), "$5\r\n1e+17\r\n", ",1e+17\r\n");
    expect_each(reply_double(reply, 123456789012345678.0), "$22\r\n1.2345678901234568e+17\r\n",
                ",1.2345678901234568e+17\r\n");
    expect_each(reply_double(reply, 1e-7), "$22\r\n9.9999999999999995e-08\r\n",
                ",9.9999999999999995e-08\r\n");
    expect_each(reply_double(reply, (double)INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    expect_each(reply_double(reply, -(double)INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    expect_each(reply_double(reply, -(double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
}
END_TEST

START_TEST(verbatim_and_big_numbers_are_bulks_in_resp2)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_verbatim(reply, "txt", SLICE_LITERAL("a\r\nb")), "$4\r\na\r\nb\r\n",
                "=8\r\ntxt:a\r\nb\r\n");
    expect_each(reply_big_number(reply, SLICE_LITERAL("123456789012345678901234567890")),
                "$30\r\n123456789012345678901234567890\r\n", "(123456789012345678901234567890\r\n");
}
END_TEST

START_TEST(line_ends_cannot_be_smuggled_into_simple_strings_and_errors)
{
    struct reply *reply = &fixture.reply;

    expect_each(reply_simple(reply, SLICE_LITERAL("a\r\n+b\n")), "+a  +b \r\n", "+a  +b \r\n");
    expect_each(reply_error(reply, SLICE_LITERAL("ERR '\r\n$5\r\n'")), "-ERR '  $5  '\r\n",
                "-ERR '  $5  '\r\n");
    expect_each(reply_errorf(reply, "ERR unknown '%s'", "x\ny"), "-ERR unknown 'x y'\r\n",
                "-ERR unknown 'x y'\r\n");
}
END_TEST

START_TEST(an_error_leaves_its_code_for_statistics)
{
    ck_assert(!fixture.reply.had_error);
    reply_errorf(&fixture.reply, "WRONGTYPE %s", "no");
    ck_assert(fixture.reply.had_error);
    ck_assert_str_eq(fixture.reply.error_code, "WRONGTYPE");
    reply_error(&fixture.reply, SLICE_LITERAL("ABCDEFGHIJKLMNOPQRSTUVWXYZ text"));
    ck_assert_str_eq(fixture.reply.error_code, "ABCDEFGHIJKLMNO");
    expect("-WRONGTYPE no\r\n-ABCDEFGHIJKLMNOPQRSTUVWXYZ text\r\n");
}
END_TEST

START_TEST(a_formatted_error_is_cut_not_overrun)
{
    char long_text[3000], bytes[4096];

    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    reply_errorf(&fixture.reply, "ERR %s", long_text);
    ck_assert_uint_eq(take(bytes, sizeof(bytes)), 1 + 1023 + 2);
}
END_TEST

START_TEST(what_is_filled_in_place_stands_behind_what_came_before)
{
    struct reply *reply = &fixture.reply;
    char *room;

    reply_ok(reply);
    room = reply_reserve(reply, 100);
    ck_assert_ptr_nonnull(room);
    memcpy(room, "+in place\r\n", 11);
    reply_commit(reply, 11);
    reply_integer(reply, 5);
    expect("+OK\r\n+in place\r\n:5\r\n");
}
END_TEST

START_TEST(a_muted_client_hears_nothing_but_its_errors_are_known)
{
    struct reply *reply = &fixture.reply;

    reply->is_muted = true;
    reply_ok(reply);
    reply_simple(reply, SLICE_LITERAL("a"));
    reply_integer(reply, 5);
    reply_integer(reply, -5);
    reply_bulk_string(reply, "a");
    reply_array(reply, 3);
    reply_null(reply);
    reply_bool(reply, true);
    reply->protocol = 3;
    reply_null(reply);
    reply_bool(reply, true);
    reply_double(reply, 1);
    reply_verbatim(reply, "txt", SLICE_LITERAL("a"));
    reply_big_number(reply, SLICE_LITERAL("1"));
    reply_raw(reply, SLICE_LITERAL("+a\r\n"));
    ck_assert_ptr_null(reply_reserve(reply, 10));
    reply_error(reply, SLICE_LITERAL("ERR a"));
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 0);
    ck_assert(reply->had_error);
}
END_TEST

START_TEST(a_dry_pool_loses_no_output)
{
    static char received[400000];

    pool_set_limit(fixture.pool, 0);
    for (int i = 0; i < 100000; i++)
        reply_integer(&fixture.reply, 7);
    ck_assert(!fixture.reply.has_hole);
    ck_assert_uint_eq(take(received, sizeof(received)), 400000);
    for (int i = 0; i < 100000; i++)
        ck_assert_mem_eq(received + 4 * i, ":7\r\n", 4);
}
END_TEST

static Suite *reply_suite(void)
{
    Suite *suite = suite_create("reply");
    TCase *tcase = test_suite_case(suite, "reply", set_up, tear_down);

    tcase_add_test(tcase, simple_strings_and_integers_are_alike_in_both_protocols);
    tcase_add_test(tcase, bulks_carry_any_bytes);
    tcase_add_test(tcase, bulks_of_all_sizes_are_whole);
    tcase_add_test(tcase, bulks_written_together_are_as_if_written_alone);
    tcase_add_test(tcase, nulls_and_booleans_follow_the_protocol);
    tcase_add_test(tcase, aggregates_follow_the_protocol);
    tcase_add_test(tcase, doubles_are_written_as_redis_7_writes_them);
    tcase_add_test(tcase, verbatim_and_big_numbers_are_bulks_in_resp2);
    tcase_add_test(tcase, line_ends_cannot_be_smuggled_into_simple_strings_and_errors);
    tcase_add_test(tcase, an_error_leaves_its_code_for_statistics);
    tcase_add_test(tcase, a_formatted_error_is_cut_not_overrun);
    tcase_add_test(tcase, what_is_filled_in_place_stands_behind_what_came_before);
    tcase_add_test(tcase, a_muted_client_hears_nothing_but_its_errors_are_known);
    tcase_add_test(tcase, a_dry_pool_loses_no_output);
    return suite;
}

int main(void)
{
    return test_suite_run(reply_suite());
}
