/* What redis-server 7.0 cannot be asked about of streams: options that are newer, memory, and
 * replies that are larger than the buffers. */
#include "client-tests/commands/two_clients.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/observe.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 20000, PAD_BYTES = 200 };

static const char *const own[] = { "--enable-debug-command", "yes", "--maxmemory", "64mb", NULL };

static void expect_reply(const char *text, const char *line)
{
    struct text reply = { 0 };

    wire_command_line(wire, line);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_str_eq(text_string(&reply), text);
    text_finish(&reply);
}

/* The id that a command adds an entry with. */
static struct text ask_id(const char *line)
{
    struct text reply = { 0 };

    wire_command_line(wire, line);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_int_eq(text_string(&reply)[0], '$');
    return reply;
}

static void expect_same_id(const char *line, const struct text *id, bool is_same)
{
    struct text reply = ask_id(line);

    ck_assert_int_eq(strcmp(text_string(&reply), text_string(id)) == 0, is_same);
    text_finish(&reply);
}

/* Entries "1-1" to "N-1" with a number and PAD_BYTES of filler. */
static void fill(const char *key, int count)
{
    char pad[PAD_BYTES + 1];

    memset(pad, 'x', PAD_BYTES);
    pad[PAD_BYTES] = '\0';
    for (int i = 1; i <= count; i++)
        wire_command(wire, "XADD %s %d-1 n %d pad %s", key, i, i, pad);
    wire_skip(wire, (size_t)count);
}

/* ---- XADD IDMP --------------------------------------------------------------------------------
 */

START_TEST(what_a_producer_sends_twice_is_added_once)
{
    struct text first = ask_id("XADD s IDMP p1 order-7 * amount 100"), second;

    expect_same_id("XADD s IDMP p1 order-7 * amount 200", &first, true);
    expect_same_id("XADD s MAXLEN 1000 IDMP p1 order-7 KEEPREF * amount 200", &first, true);
    expect_same_id("XADD s IDMP p2 order-7 * amount 100", &first, false);
    expect_same_id("XADD s IDMP p1 order-8 * amount 100", &first, false);
    expect_integer(wire, 3, "XLEN s");
    second = ask_id("XADD s IDMPAUTO p1 * a 1 b 2");
    expect_same_id("XADD s IDMPAUTO p1 * b 2 a 1", &second, true);
    expect_same_id("XADD s IDMPAUTO p1 * a 2 b 1", &second, false);
    expect_same_id("XADD s IDMPAUTO p1 * a1 \"\" b 2", &second, false);
    expect_same_id("XADD s IDMPAUTO p2 * a 1 b 2", &second, false);
    text_finish(&first);
    text_finish(&second);
}
END_TEST

START_TEST(producers_are_known_after_a_reload)
{
    struct text first = ask_id("XADD s IDMP p1 i1 * f v"), second, gone;

    second = ask_id("XADD s IDMPAUTO p1 * f v");
    gone = ask_id("XADD s MAXLEN 1 IDMP p1 i2 * f v");
    expect_integer(wire, 1, "XLEN s");
    expect_ok(wire, "DEBUG RELOAD");
    expect_same_id("XADD s IDMP p1 i1 * f v", &first, true);
    expect_same_id("XADD s IDMPAUTO p1 * f v", &second, true);
    expect_same_id("XADD s IDMP p1 i2 * f v", &gone, true);
    expect_integer(wire, 1, "XLEN s");
    text_finish(&first);
    text_finish(&second);
    text_finish(&gone);
}
END_TEST

START_TEST(bad_idmp_options_are_refused)
{
    expect_error(wire, "ERR Invalid stream ID specified as stream command argument",
                 "XADD s IDMP p1 * f v");
    expect_error(wire, "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs",
                 "XADD s IDMP p1 i 1-1 f v");
    expect_error(wire, "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs",
                 "XADD s IDMPAUTO p1 1-* f v");
    expect_error(wire, "ERR IDMP/IDMPAUTO specified multiple times",
                 "XADD s IDMP p1 i IDMPAUTO p2 * f v");
    expect_error(wire, "ERR IDMP requires a non-empty producer ID", "XADD s IDMP %s i * f v", "");
    expect_error(wire, "ERR IDMP requires a non-empty idempotent ID", "XADD s IDMP p %s * f v", "");
    expect_error(wire, "ERR IDMPAUTO requires a non-empty producer ID", "XADD s IDMPAUTO %s * f v",
                 "");
    expect_nil(wire, "XADD s NOMKSTREAM IDMP p i * f v");
    expect_integer(wire, 0, "EXISTS s");
}
END_TEST

START_TEST(bounds_of_what_producers_are_known_for)
{
    struct text first, second;

    expect_error(wire, "ERR no such key", "XCFGSET s IDMP-DURATION 5");
    first = ask_id("XADD s IDMP p 1 * f v");
    expect_ok(wire, "XCFGSET s IDMP-DURATION 100 IDMP-MAXSIZE 100"); /* as it is */
    expect_same_id("XADD s IDMP p 1 * f v", &first, true);
    expect_ok(wire, "XCFGSET s IDMP-MAXSIZE 2"); /* forgets */
    expect_same_id("XADD s IDMP p 1 * f v", &first, false);
    second = ask_id("XADD s IDMP p 2 * f v");
    expect_same_id("XADD s IDMP p 3 * f v", &second, false);
    expect_same_id("XADD s IDMP p 2 * f v", &second, true);
    expect_same_id("XADD s IDMP p 1 * f v", &first, false); /* the oldest had gone */
    expect_error(wire, "ERR At least one parameter", "XCFGSET s");
    expect_error(wire, "ERR syntax error", "XCFGSET s IDMP-DURATION");
    expect_error(wire, "ERR syntax error", "XCFGSET s NOSUCH 1");
    expect_error(wire, "ERR value is not an integer", "XCFGSET s IDMP-DURATION 1.5 IDMP-MAXSIZE");
    expect_error(wire, "ERR IDMP-DURATION must be between 1 and", "XCFGSET s IDMP-DURATION 86401");
    expect_error(wire, "ERR IDMP-DURATION must be between 1 and", "XCFGSET s IDMP-DURATION 0");
    expect_error(wire, "ERR IDMP-MAXSIZE must be between 1 and", "XCFGSET s IDMP-MAXSIZE 10001");
    text_finish(&first);
    text_finish(&second);
}
END_TEST

static void expect_bounds(const char *key, int duration_s, int size_max)
{
    char text[100];
    struct text reply = { 0 };

    (void)snprintf(text, sizeof(text),
                   "$13\r\nidmp-duration\r\n:%d\r\n$12\r\nidmp-maxsize\r\n:%d\r\n", duration_s,
                   size_max);
    wire_command(wire, "XINFO STREAM %s", key);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_msg(strstr(text_string(&reply), text) != NULL, "%s", text_string(&reply));
    text_finish(&reply);
}

START_TEST(streams_begin_with_the_bounds_that_are_configured)
{
    struct text first = ask_id("XADD old IDMP p 1 * f v");

    expect_ok(wire, "CONFIG SET stream-idmp-duration 86400 stream-idmp-maxsize 1");
    expect_bounds("old", 100, 100);
    expect_same_id("XADD old IDMP p 2 * f v", &first, false);
    expect_same_id("XADD old IDMP p 1 * f v", &first, true);
    text_finish(&first);
    first = ask_id("XADD s IDMP p 1 * f v");
    expect_bounds("s", 86400, 1);
    expect_same_id("XADD s IDMP p 1 * f v", &first, true);
    expect_same_id("XADD s IDMP p 2 * f v", &first, false);
    expect_same_id("XADD s IDMP p 1 * f v", &first, false); /* one is known, the last one */
    expect_ok(wire, "XCFGSET s IDMP-MAXSIZE 7");
    expect_bounds("s", 86400, 7);
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-idmp-duration 86401");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-idmp-maxsize 0");
    expect_ok(wire, "DEBUG RELOAD");
    expect_bounds("s", 86400, 7);
    expect_ok(wire, "CONFIG SET stream-idmp-duration 100 stream-idmp-maxsize 100");
    text_finish(&first);
}
END_TEST

/* ---- XREAD + MAXCOUNT MAXSIZE ------------------------------------------------------------------
 */

START_TEST(the_last_entry_can_be_read)
{
    expect_nil(wire, "XREAD STREAMS s +");
    fill("s", 3);
    expect_integer(wire, 1, "XDEL s 3-1");
    expect_string(wire, "9-1", "XADD t 9-1 a b");
    expect_text(wire,
                "1) 1) \"t\"\n   2) 1) 1) \"9-1\"\n         2) 1) \"a\"\n            2) \"b\"",
                "XREAD COUNT 5 STREAMS t +");
    expect_integer(wire, 1, "XTRIM s MAXLEN 1");
    expect_integer(wire, 1, "XDEL s 2-1");
    expect_nil(wire, "XREAD STREAMS s +");
}
END_TEST

#define ENTRY(id) "*2\r\n$3\r\n" id "\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"

START_TEST(a_read_of_several_streams_can_be_bounded_as_a_whole)
{
    static const char two_and_one[] = "*2\r\n*2\r\n$1\r\ns\r\n*2\r\n" ENTRY("1-1")
        ENTRY("1-2") "*2\r\n$1\r\nt\r\n*1\r\n" ENTRY("2-1");
    static const char one[] = "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n" ENTRY("1-1");
    static const char two[] = "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n" ENTRY("1-1") ENTRY("1-2");

    for (int i = 1; i <= 3; i++) {
        wire_command(wire, "XADD s 1-%d a b", i);
        wire_command(wire, "XADD t 2-%d a b", i);
    }
    wire_skip(wire, 6);
    expect_reply(two_and_one, "XREAD COUNT 2 MAXCOUNT 3 STREAMS s t u 0 0 0");
    expect_reply(two, "XREAD MAXCOUNT 2 STREAMS s t 0 0");
    expect_reply(one, "XREAD MAXSIZE 1 STREAMS s t 0 0"); /* one is taken whatever its length */
    expect_reply(two, "XREAD MAXSIZE 70 STREAMS s t 0 0");
    expect_reply(one, "XREAD MAXSIZE 1000 MAXCOUNT 1 STREAMS nokey s t 0 0 0");
    expect_error(wire, "ERR MAXCOUNT must be greater than or equal to COUNT",
                 "XREAD COUNT 2 MAXCOUNT 1 STREAMS s 0");
    expect_error(wire, "ERR MAXCOUNT must be a positive integer", "XREAD MAXCOUNT 0 STREAMS s 0");
    expect_error(wire, "ERR MAXSIZE must be a positive integer", "XREAD MAXSIZE a STREAMS s 0");
}
END_TEST

START_TEST(a_read_of_a_group_can_be_bounded_as_a_whole)
{
    static const char three[] =
        "1) 1) \"s\"\n   2) 1) 1) \"1-0\"\n         2) 1) \"f\"\n            2) \"1\"\n"
        "      2) 1) \"2-0\"\n         2) 1) \"f\"\n            2) \"2\"\n"
        "2) 1) \"t\"\n   2) 1) 1) \"1-0\"\n         2) 1) \"f\"\n            2) \"1\"";
    static const char *const lines[] = {
        "XADD s 1-0 f 1",
        "\"1-0\"",
        "XADD s 2-0 f 2",
        "\"2-0\"",
        "XADD t 1-0 f 1",
        "\"1-0\"",
        "XADD t 2-0 f 2",
        "\"2-0\"",
        "XGROUP CREATE s g 0",
        "OK",
        "XGROUP CREATE t g 0",
        "OK",
        "XREADGROUP GROUP g c MAXCOUNT 3 STREAMS s t > >",
        three,
        "XGROUP SETID s g 0",
        "OK",
        "XREADGROUP GROUP g c MAXSIZE 1 STREAMS s t > >",
        "1) 1) \"s\"\n   2) 1) 1) \"1-0\"\n         2) 1) \"f\"\n            2) \"1\"",
        "XREADGROUP GROUP g c MAXCOUNT 1 STREAMS s t > >",
        "1) 1) \"s\"\n   2) 1) 1) \"2-0\"\n         2) 1) \"f\"\n            2) \"2\"",
        "XREADGROUP GROUP g c MAXCOUNT 0 STREAMS s >",
        "(error) ERR MAXCOUNT must be a positive integer",
        "XREADGROUP GROUP g c MAXSIZE x STREAMS s >",
        "(error) ERR MAXSIZE must be a positive integer",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

/* ---- large replies ----------------------------------------------------------------------------
 */

/* A reader that takes its time sees the stream as it was. */
START_TEST(a_long_range_is_what_there_was_however_slowly_it_is_read)
{
    struct text reply = { 0 };
    const char *at;

    struct pollfd begun = { .events = POLLIN };

    fill("s", MANY);
    wire_command(other, "XRANGE s - +");
    begun.fd = other->fd;
    ck_assert_int_eq(poll(&begun, 1, WAIT_MS), 1);
    expect_integer(wire, MANY - 10, "XTRIM s MAXLEN 10");
    expect_integer(wire, 1, "DEL s");
    ck_assert_int_eq(wire_read(other, &reply), 1);
    at = text_string(&reply);
    ck_assert_int_eq(strncmp(at, "*20000\r\n", 8), 0);
    for (int i = 1; i <= MANY; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "\r\n%d-1\r\n", i);
        at = strstr(at, id);
        ck_assert_ptr_nonnull(at);
    }
    text_finish(&reply);
}
END_TEST

START_TEST(both_directions_and_several_streams_have_long_replies)
{
    struct text forward = { 0 }, backward = { 0 }, read = { 0 };

    fill("s", MANY);
    wire_command(other, "XRANGE s - +");
    wire_command(other, "XREVRANGE s + -");
    wire_command(other, "XREAD STREAMS s s 0 0");
    ck_assert_int_eq(wire_read(other, &forward), 1);
    ck_assert_int_eq(wire_read(other, &backward), 1);
    ck_assert_int_eq(wire_read(other, &read), 1);
    ck_assert_uint_eq(forward.size, backward.size);
    ck_assert_uint_eq(read.size,
                      2 * (forward.size + strlen("*2\r\n$1\r\ns\r\n")) + strlen("*2\r\n"));
    ck_assert_ptr_nonnull(strstr(text_string(&backward), "*20000\r\n*2\r\n$7\r\n20000-1\r\n"));
    text_finish(&forward);
    text_finish(&backward);
    text_finish(&read);
}
END_TEST

START_TEST(an_entry_longer_than_a_piece_arrives_whole)
{
    enum { LONG_BYTES = 3000000 };
    char *value = malloc(LONG_BYTES);
    struct text reply = { 0 };

    memset(value, 'v', LONG_BYTES);
    wire_command(wire, "XADD s 1-1 short x");
    wire_command(wire, "XADD s 1-2 long %b", value, (size_t)LONG_BYTES);
    wire_command(wire, "XADD s 1-3 short y");
    wire_skip(wire, 3);
    wire_command(wire, "XRANGE s - +");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_uint_gt(reply.size, LONG_BYTES);
    ck_assert_str_eq(reply.bytes + reply.size - 7, "$1\r\ny\r\n");
    text_finish(&reply);
    free(value);
}
END_TEST

START_TEST(a_transaction_refuses_a_reply_above_its_part_of_memory)
{
    fill("s", 50000); /* 11 MB, an eighth of the limit is 8 */
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XRANGE s - +");
    expect_text(wire, "QUEUED", "XLEN s");
    expect_text(wire,
                "1) (error) OOM a reply inside a transaction may hold at most an eighth of "
                "'maxmemory'\n2) (integer) 50000",
                "EXEC");
}
END_TEST

/* ---- memory -----------------------------------------------------------------------------------
 */

START_TEST(memory_is_counted_and_comes_back)
{
    enum { STREAMS = 200, ENTRIES = 20 }; /* so short that they stay in memory */
    int64_t before = info_number(wire, "mem_streams");
    char key[16];

    for (int i = 0; i < STREAMS; i++) {
        (void)snprintf(key, sizeof(key), "s%d", i);
        fill(key, ENTRIES);
    }
    ck_assert_int_gt(info_number(wire, "mem_streams"), before + STREAMS * ENTRIES * PAD_BYTES);
    ck_assert_int_gt(ask_integer(wire, "MEMORY USAGE s0"), (long long)ENTRIES * PAD_BYTES);
    expect_ok(wire, "FLUSHALL");
    info_wait(wire, "mem_streams", before);
}
END_TEST

START_TEST(a_long_stream_takes_little_memory)
{
    int64_t before = info_number(wire, "mem_streams");

    fill("s", MANY);
    ck_assert_int_lt(info_number(wire, "mem_streams"), before + 32 * 1024);
    ck_assert_int_lt(ask_integer(wire, "MEMORY USAGE s"), 32 * 1024);
    expect_ok(wire, "FLUSHALL");
    info_wait(wire, "mem_streams", before);
}
END_TEST

START_TEST(a_long_stream_is_copied_entry_by_entry)
{
    fill("s", MANY);
    expect_integer(wire, 1, "XDEL s 5-1");
    expect_integer(wire, 1, "COPY s t");
    expect_integer(wire, 0, "COPY s t");
    expect_integer(wire, MANY - 1, "XLEN t");
    expect_integer(wire, 10, "XTRIM s MAXLEN %d", MANY - 11);
    expect_integer(wire, MANY - 1, "XLEN t");
    expect_error(wire, "ERR The ID specified in XADD is equal or smaller", "XADD t %d-1 a b", MANY);
    expect_text(wire, "stream", "TYPE t");
    expect_text(wire, "1) \"0\"\n2) 1) \"t\"", "SCAN 0 TYPE stream MATCH t");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams");
    TCase *newer = two_clients_case(suite, "newer", own);
    TCase *large = two_clients_case(suite, "large", own);

    tcase_add_test(newer, what_a_producer_sends_twice_is_added_once);
    tcase_add_test(newer, producers_are_known_after_a_reload);
    tcase_add_test(newer, bad_idmp_options_are_refused);
    tcase_add_test(newer, bounds_of_what_producers_are_known_for);
    tcase_add_test(newer, streams_begin_with_the_bounds_that_are_configured);
    tcase_add_test(newer, the_last_entry_can_be_read);
    tcase_add_test(newer, a_read_of_several_streams_can_be_bounded_as_a_whole);
    tcase_add_test(newer, a_read_of_a_group_can_be_bounded_as_a_whole);
    tcase_add_test(large, a_long_range_is_what_there_was_however_slowly_it_is_read);
    tcase_add_test(large, both_directions_and_several_streams_have_long_replies);
    tcase_add_test(large, an_entry_longer_than_a_piece_arrives_whole);
    tcase_add_test(large, a_transaction_refuses_a_reply_above_its_part_of_memory);
    tcase_add_test(large, memory_is_counted_and_comes_back);
    tcase_add_test(large, a_long_stream_takes_little_memory);
    tcase_add_test(large, a_long_stream_is_copied_entry_by_entry);
    return suite_run(suite);
}
