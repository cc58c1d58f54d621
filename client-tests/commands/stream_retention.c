/* How much of a stream is kept: SL.STREAM, and the directives stream-retention-*. */
#include "client-tests/durability/one_server.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

static const char *const durable[] = { "--appendonly", "yes", "--enable-debug-command", "yes",
                                       NULL };

static void start_durable(void)
{
    start(durable);
}

/* What holds for all streams is as at the start. */
static void open_client(void)
{
    wire = wire_open(&server);
    expect_ok(wire,
              "CONFIG SET stream-retention-bytes 0 stream-retention-age 0 "
              "stream-retention-length 0 stream-compress none stream-retention-for %s",
              "");
    expect_ok(wire, "FLUSHALL");
}

static void close_client(void)
{
    wire_close(wire);
    server_must_live(&server);
}

static void start_for_all(void)
{
    start_durable();
    wire_close(wire);
}

static void stop_for_all(void)
{
    server_stop(&server);
}

/* Ids 1-0 … count-0, which is long ago. */
static void add_old(const char *key, int count)
{
    for (int i = 1; i <= count; i++)
        wire_command(wire, "XADD %s %d-0 field value", key, i);
    wire_skip(wire, (size_t)count);
}

static void add_new(const char *key, int count)
{
    for (int i = 0; i < count; i++)
        wire_command(wire, "XADD %s * field value", key);
    wire_skip(wire, (size_t)count);
}

static void wait_length(const char *key, long long length)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    long long found;

    do {
        found = ask_integer(wire, "XLEN %s", key);
    } while (found != length && clock_probe(deadline_ms));
    ck_assert_int_eq(found, length);
}

/* ---- SL.STREAM -------------------------------------------------------------------------------
 */

START_TEST(settings_are_told_and_set)
{
    static const char all[] = "1) \"retention-bytes\"\n2) \"0\"\n3) \"retention-age\"\n4) \"0\"\n"
                              "5) \"retention-length\"\n6) \"0\"\n7) \"compress\"\n8) \"none\"";
    static const char three[] = "1) \"retention-bytes\"\n2) \"1048576\"\n"
                                "3) \"retention-length\"\n4) \"10\"\n"
                                "5) \"compress\"\n6) \"none\"";
    static const char *const lines[] = {
        "XADD s 1-0 f v",
        "\"1-0\"",
        "SL.STREAM CONFIG GET s",
        all,
        "SL.STREAM CONFIG SET s retention-length 10 Retention-Bytes 1mb",
        "OK",
        "SL.STREAM CONFIG GET s retention-bytes RETENTION-LENGTH compress",
        three,
        "SL.STREAM CONFIG SET s compress LZ4",
        "OK",
        "SL.STREAM CONFIG GET s compress",
        "1) \"compress\"\n2) \"lz4\"",
        "SL.STREAM CONFIG SET s compress default",
        "OK",
        "SL.STREAM CONFIG GET s compress",
        "1) \"compress\"\n2) \"none\"",
        "SL.STREAM CONFIG SET s retention-length default retention-age 2h",
        "OK",
        "SL.STREAM CONFIG GET s retention-length retention-age",
        "1) \"retention-length\"\n2) \"0\"\n3) \"retention-age\"\n4) \"7200000\"",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_whole)
{
    static const char *const lines[] = {
        "XADD s 1-0 f v", "\"1-0\"", "SL.STREAM",
        "(error) ERR wrong number of arguments for 'sl.stream' command", "SL.STREAM NOTHING",
        "(error) ERR unknown subcommand 'NOTHING'. Try SL.STREAM HELP.", "SL.STREAM CONFIG GET",
        "(error) ERR wrong number of arguments for 'sl.stream|config' command",
        "SL.STREAM CONFIG FORGET s", "(error) ERR syntax error", "SL.STREAM CONFIG SET s",
        "(error) ERR wrong number of arguments for 'sl.stream|config' command",
        "SL.STREAM CONFIG SET s retention-age",
        "(error) ERR wrong number of arguments for 'sl.stream|config' command",
        "SL.STREAM CONFIG SET s retention-length 5 retention-age 7x",
        "(error) ERR retention-age must be a time: a number with ms, s, m, h or d",
        "SL.STREAM CONFIG SET s retention-length 5 retention-bytes -1",
        "(error) ERR retention-bytes must be a memory value",
        "SL.STREAM CONFIG SET s retention-length 9223372036854775808",
        "(error) ERR retention-length must be a number of entries",
        "SL.STREAM CONFIG SET s retention-length 5 retention-width 7",
        "(error) ERR unknown setting 'retention-width'. Try SL.STREAM HELP.",
        "SL.STREAM CONFIG SET s retention-length 5 retention-LENGTH 6",
        "(error) ERR duplicate setting 'retention-LENGTH'",
        "SL.STREAM CONFIG SET s retention-length 5 compress zip",
        "(error) ERR compress must be none, lz4 or zstd", "SL.STREAM CONFIG GET s width",
        "(error) ERR unknown setting 'width'. Try SL.STREAM HELP.", "SL.STREAM CONFIG GET none",
        "(error) ERR no such key", "SL.STREAM CONFIG SET none retention-length 5",
        "(error) ERR no such key", "SL.STREAM INFO none", "(error) ERR no such key", "SET string x",
        "OK", "SL.STREAM CONFIG GET string", "(error) WRONGTYPE…",
        "SL.STREAM CONFIG SET string retention-length 5", "(error) WRONGTYPE…",
        "SL.STREAM INFO string", "(error) WRONGTYPE…",
        /* Nothing of what was refused has come to hold. */
        "SL.STREAM CONFIG GET s retention-length", "1) \"retention-length\"\n2) \"0\"", NULL
    };

    expect_lines(wire, lines);
}
END_TEST

/* The fields of SL.STREAM INFO behind those of its storage. */
START_TEST(info_tells_times_and_settings)
{
    struct text reply = { 0 }, shown = { 0 };
    static const char *const parts[] = {
        "1) \"entries\"\n",
        "2) (integer) 3\n",
        "\"entries_deleted\"\n",
        "\"segments\"\n",
        "\"bytes_in_memory\"\n",
        "\"bytes_mapped\"\n",
        "\"bytes_compressed\"\n",
        "\"bytes_on_disk\"\n",
        "\"oldest_ms\"\n16) (integer) 1\n",
        "\"newest_ms\"\n18) (integer) 3\n",
        "\"own_settings\"\n22) 1) \"retention-length\"",
    };

    add_old("s", 3);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length 5");
    wire_command(wire, "SL.STREAM INFO s");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    resp_render(&shown, reply.bytes, reply.size);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        ck_assert_msg(strstr(text_string(&shown), parts[i]), "no %s in\n%s", parts[i],
                      text_string(&shown));
    text_finish(&reply);
    text_finish(&shown);
}
END_TEST

/* ---- as it grows -----------------------------------------------------------------------------
 */

START_TEST(a_length_is_never_exceeded)
{
    add_old("s", 1);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length 3");
    for (int i = 2; i < 20; i++) {
        wire_command(wire, "XADD s %d-0 f v", i);
        wire_skip(wire, 1);
        expect_integer(wire, i < 3 ? i : 3, "XLEN s");
    }
    expect_text(wire, "1) 1) \"17-0\"\n   2) 1) \"f\"\n      2) \"v\"", "XRANGE s - + COUNT 1");
}
END_TEST

/* However an entry is kept, it takes what its fields take, and not half as much again. */
START_TEST(bytes_are_never_exceeded)
{
    enum { ENTRIES = 3000, BYTES = 65536, FIELDS_BYTES = 119, PIECE = 8192 };
    long long count = 0;

    add_old("s", 1);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-bytes %d", BYTES);
    for (int i = 2; i < ENTRIES; i++) {
        wire_command(wire, "XADD s %d-0 field %0100d", i, i);
        wire_skip(wire, 1);
        if (i % 100 == 0) {
            count = ask_integer(wire, "XLEN s");
            ck_assert_int_le(count, BYTES / FIELDS_BYTES);
        }
    }
    ck_assert_int_ge(count, (BYTES - PIECE) / (FIELDS_BYTES * 3 / 2));
}
END_TEST

START_TEST(a_transaction_trims_as_it_goes)
{
    add_old("s", 3);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length 3");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XADD s 4-0 f v");
    expect_text(wire, "QUEUED", "XLEN s");
    expect_text(wire, "QUEUED", "XADD s 5-0 f v");
    expect_text(wire, "QUEUED", "XLEN s");
    expect_text(wire, "1) \"4-0\"\n2) (integer) 3\n3) \"5-0\"\n4) (integer) 3", "EXEC");
    expect_ok(wire, "DEBUG LOADAOF");
    expect_text(wire, "1) 1) \"3-0\"\n   2) 1) \"field\"\n      2) \"value\"",
                "XRANGE s - + COUNT 1");
    expect_integer(wire, 3, "XLEN s");
}
END_TEST

/* ---- as time passes --------------------------------------------------------------------------
 */

START_TEST(what_is_too_old_goes_by_itself)
{
    add_old("s", 5);
    add_new("s", 7);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-age 1h");
    wait_length("s", 7);
    add_old("t", 5);
    expect_integer(wire, 5, "XLEN t");
}
END_TEST

START_TEST(a_limit_that_is_lowered_holds_for_what_is_there)
{
    add_old("s", 500);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length 20");
    wait_length("s", 20);
    expect_ok(wire, "CONFIG SET stream-retention-length 10");
    add_old("t", 15);
    expect_integer(wire, 10, "XLEN t");
    expect_integer(wire, 20, "XLEN s"); /* which has its own */
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length default");
    wait_length("s", 10);
}
END_TEST

START_TEST(who_watches_is_told)
{
    add_old("s", 5);
    expect_ok(wire, "WATCH s");
    expect_ok(wire, "CONFIG SET stream-retention-age 1h");
    wait_length("s", 0);
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XLEN s");
    expect_nil(wire, "EXEC");
}
END_TEST

/* ---- which streams ---------------------------------------------------------------------------
 */

START_TEST(the_longest_prefix_holds)
{
    expect_ok(wire, "CONFIG SET stream-retention-length 9");
    expect_ok(wire, "CONFIG SET stream-retention-for %s",
              "a:b: retention-length 0 a: retention-length 4 a:c retention-bytes 1gb "
              "a:b:c retention-length 7 a:b:c retention-length 2");
    add_old("x", 12);
    expect_integer(wire, 9, "XLEN x");
    add_old("a:", 12);
    expect_integer(wire, 4, "XLEN a:");
    add_old("a:b:", 12);
    expect_integer(wire, 12, "XLEN a:b:");
    add_old("a:c:d", 12); /* a rule of another limit is none of this one */
    expect_integer(wire, 4, "XLEN a:c:d");
    add_old("a:b:cd", 12); /* of two rules of one prefix the last */
    expect_integer(wire, 2, "XLEN a:b:cd");
    expect_text(wire, "1) \"retention-bytes\"\n2) \"1073741824\"",
                "SL.STREAM CONFIG GET a:c:d retention-bytes");
}
END_TEST

START_TEST(directives_are_checked)
{
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-age 7x");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-bytes x");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-length -1");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-compress zip");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-for %s",
                 "a compress zip");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-for %s",
                 "a retention-age");
    expect_error(wire, "ERR CONFIG SET failed", "CONFIG SET stream-retention-for %s",
                 "a retention-ago 7d");
}
END_TEST

START_TEST(settings_go_with_the_stream)
{
    add_old("s", 5);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-length 5");
    expect_integer(wire, 1, "COPY s copy");
    expect_ok(wire, "RENAME s t");
    add_old("s", 9);
    expect_integer(wire, 9, "XLEN s"); /* another stream of that name */
    expect_text(wire, "\"9-0\"", "XADD t 9-0 f v");
    expect_integer(wire, 5, "XLEN t");
    expect_text(wire, "\"9-0\"", "XADD copy 9-0 f v");
    expect_integer(wire, 5, "XLEN copy");
    expect_ok(wire, "SL.STREAM CONFIG SET copy retention-length 2");
    wait_length("copy", 2);
    expect_text(wire, "1) \"retention-length\"\n2) \"5\"",
                "SL.STREAM CONFIG GET t retention-length");
}
END_TEST

/* ---- what is compressed ----------------------------------------------------------------------
 */

static const char *const small_segments[] = { "--appendonly",
                                              "yes",
                                              "--stream-segment-bytes",
                                              "64kb",
                                              "--auto-aof-rewrite-percentage",
                                              "0",
                                              NULL };

static void start_small(void)
{
    start(small_segments);
}

/* A number that SL.STREAM INFO tells. */
static long long told(const char *key, const char *field)
{
    struct text reply = { 0 }, shown = { 0 };
    char name[64];
    const char *at;
    long long number;

    wire_command(wire, "SL.STREAM INFO %s", key);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    resp_render(&shown, reply.bytes, reply.size);
    (void)snprintf(name, sizeof(name), "\"%s\"\n", field);
    at = strstr(text_string(&shown), name);
    ck_assert_msg(at && sscanf(at + strlen(name), "%*d) (integer) %lld", &number) == 1,
                  "no number %s in\n%s", field, text_string(&shown));
    text_finish(&reply);
    text_finish(&shown);
    return number;
}

/* Entries that take about 120 bytes each. */
static void add_long(const char *key, int from, int to)
{
    for (int i = from; i < to; i++)
        wire_command(wire, "XADD %s %d-0 field %0100d", key, i, i);
    wire_skip(wire, (size_t)(to - from));
}

/* Of all its segments but the last one or two. */
static void wait_compressed(const char *key, long long raw_bytes)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    long long disk, compressed;

    do {
        disk = told(key, "bytes_on_disk");
        compressed = told(key, "bytes_compressed");
    } while (disk - compressed > 140000 && clock_probe(deadline_ms));
    ck_assert_int_gt(compressed, 0);
    ck_assert_int_le(disk - compressed, 140000);
    ck_assert_int_lt(compressed, raw_bytes / 3);
}

START_TEST(what_is_told_to_be_compressed_is_smaller_and_the_same)
{
    struct text before = { 0 };
    long long raw;

    add_long("s", 1, 6000);
    raw = told("s", "bytes_on_disk");
    ck_assert_int_eq(told("s", "bytes_compressed"), 0);
    contents_add(&before, wire);
    expect_ok(wire, "SL.STREAM CONFIG SET s compress %s", _i ? "zstd" : "lz4");
    wait_compressed("s", raw);
    contents_expect(wire, &before, "compressed");
    ck_assert_int_gt(told("s", "bytes_mapped"), 0);
    kill_and_restart(); /* all is replayed, and packed again */
    contents_expect(wire, &before, "after kill -9");
    wait_compressed("s", raw);
    expect_ok(wire, "SAVE");
    kill_and_restart();
    contents_expect(wire, &before, "after SAVE and kill -9");
    wait_compressed("s", raw);
    add_long("s", 6000, 9000);
    expect_integer(wire, 8999, "XLEN s");
    text_finish(&before);
}
END_TEST

START_TEST(what_holds_for_streams_compresses_them_as_they_grow)
{
    expect_ok(wire, "CONFIG SET stream-compress lz4 stream-retention-for %s", "raw compress none");
    add_long("s", 1, 4000);
    add_long("raw:", 1, 4000);
    wait_compressed("s", told("raw:", "bytes_on_disk"));
    ck_assert_int_eq(told("raw:", "bytes_compressed"), 0);
    expect_ok(wire, "SL.STREAM CONFIG SET s compress none");
    add_long("s", 4000, 8000);
    ck_assert_int_gt(told("s", "bytes_on_disk") - told("s", "bytes_compressed"), 200000);
    expect_text(wire, "1) \"compress\"\n2) \"none\"", "SL.STREAM CONFIG GET s compress");
    expect_text(wire, "1) \"compress\"\n2) \"none\"", "SL.STREAM CONFIG GET raw: compress");
}
END_TEST

static const char *const readings[] = { "XRANGE s - +", "XREVRANGE s + -",
                                        "XREAD COUNT 300 STREAMS s 2000-0",
                                        "XREVRANGE s 5003-0 3000-0 COUNT 100" };
enum { READINGS = sizeof(readings) / sizeof(readings[0]) };

static void read_all(struct wire *reader, struct text answers[READINGS])
{
    for (unsigned i = 0; i < READINGS; i++) {
        wire_command(reader, readings[i]);
        ck_assert_int_eq(wire_read(reader, &answers[i]), 1);
    }
}

/* Every reader is answered as before. */
static void expect_same(struct wire *reader, const struct text before[READINGS])
{
    struct text now[READINGS] = { 0 };

    read_all(reader, now);
    for (unsigned i = 0; i < READINGS; i++) {
        ck_assert_msg(now[i].size == before[i].size &&
                          memcmp(now[i].bytes, before[i].bytes, now[i].size) == 0,
                      "%s says otherwise", readings[i]);
        text_finish(&now[i]);
    }
}

/* Whatever segments are packed with: what is left of those that are mostly deleted is. */
START_TEST(room_of_what_is_deleted_comes_back)
{
    enum { ENTRIES = 8000 };
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text before = { 0 }, answers[READINGS] = { 0 };
    struct wire *reader = wire_open(&server);
    long long raw, disk;

    if (_i > 0)
        expect_ok(wire, "CONFIG SET stream-compress zstd stream-retention-for %s",
                  "raw compress none");
    add_long("raw", 1, ENTRIES);
    add_long("s", 1, ENTRIES);
    raw = told("raw", "bytes_on_disk");
    for (int i = 2; i < ENTRIES; i++)
        if (i % 10 != 0) wire_command(wire, "XDEL s %d-0", i);
    for (int i = 2; i < ENTRIES; i++)
        if (i % 10 != 0) wire_skip(wire, 1);
    contents_add(&before, wire);
    read_all(reader, answers);
    expect_ok(wire, "SAVE"); /* what was deleted before it goes */
    do {
        expect_same(reader, answers);
        disk = told("s", "bytes_on_disk");
    } while (disk > raw / 3 && clock_probe(deadline_ms));
    ck_assert_int_le(disk, raw / 3);
    ck_assert_int_gt(told("s", "bytes_compressed"), 0);
    contents_expect(wire, &before, "written anew");
    expect_same(reader, answers);
    wire_close(reader);
    kill_and_restart();
    contents_expect(wire, &before, "after kill -9");
    ck_assert_int_le(told("s", "bytes_on_disk"), raw / 3);
    expect_same(wire, answers);
    text_finish(&before);
    for (unsigned i = 0; i < READINGS; i++)
        text_finish(&answers[i]);
}
END_TEST

/* ---- restarts --------------------------------------------------------------------------------
 */

/* Streams that were trimmed by each of the limits, in a database of their own, too. */
static void fill(void)
{
    expect_ok(wire, "CONFIG SET stream-retention-for %s", "short retention-length 3");
    add_old("short", 8);
    add_old("own", 5);
    add_new("own", 4);
    expect_ok(wire, "SL.STREAM CONFIG SET own retention-age 1h retention-length 7");
    wait_length("own", 4);
    expect_ok(wire, "SELECT 5");
    add_old("there", 1);
    expect_ok(wire, "SL.STREAM CONFIG SET there retention-bytes 16kb");
    for (int i = 2; i < 500; i++)
        wire_command(wire, "XADD there %d-0 field %0100d", i, i);
    wire_skip(wire, 498);
    ck_assert_int_lt(ask_integer(wire, "XLEN there"), 300);
    expect_ok(wire, "SELECT 0");
}

static void expect_settings(void)
{
    expect_text(wire, "1) \"retention-age\"\n2) \"3600000\"\n3) \"retention-length\"\n4) \"7\"",
                "SL.STREAM CONFIG GET own retention-age retention-length");
}

START_TEST(a_replay_trims_the_same)
{
    struct text before = { 0 };

    fill();
    contents_add(&before, wire);
    expect_ok(wire, "DEBUG LOADAOF");
    contents_expect(wire, &before, "after DEBUG LOADAOF");
    expect_settings();
    text_finish(&before);
}
END_TEST

static void start_alone(void)
{
    start_durable();
}

START_TEST(all_is_there_again_after_kill_9)
{
    struct text before = { 0 };

    fill();
    contents_add(&before, wire);
    kill_and_restart(); /* stream-retention-for is not in a file, and so no more */
    contents_expect(wire, &before, "after kill -9");
    expect_settings();
    add_new("own", 9);
    expect_integer(wire, 7, "XLEN own");
    text_finish(&before);
}
END_TEST

START_TEST(a_checkpoint_keeps_the_settings)
{
    struct text before = { 0 };

    fill();
    expect_ok(wire, "SAVE");
    contents_add(&before, wire);
    kill_and_restart();
    contents_expect(wire, &before, "after SAVE and kill -9");
    expect_settings();
    text_finish(&before);
}
END_TEST

/* The walk looks at streams of a checkpoint, too. */
START_TEST(what_gets_too_old_after_a_restart_goes_as_well)
{
    add_new("s", 5);
    expect_ok(wire, "SL.STREAM CONFIG SET s retention-age 100ms");
    expect_ok(wire, "SAVE");
    kill_and_restart();
    wait_length("s", 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream retention");
    TCase *tcase = suite_case(suite, "retention"), *alone = suite_case(suite, "restarts");
    TCase *compressed = suite_case(suite, "compressed");

    tcase_add_unchecked_fixture(tcase, start_for_all, stop_for_all);
    tcase_add_checked_fixture(tcase, open_client, close_client);
    tcase_add_test(tcase, settings_are_told_and_set);
    tcase_add_test(tcase, what_makes_no_sense_is_refused_whole);
    tcase_add_test(tcase, info_tells_times_and_settings);
    tcase_add_test(tcase, a_length_is_never_exceeded);
    tcase_add_test(tcase, bytes_are_never_exceeded);
    tcase_add_test(tcase, a_transaction_trims_as_it_goes);
    tcase_add_test(tcase, what_is_too_old_goes_by_itself);
    tcase_add_test(tcase, a_limit_that_is_lowered_holds_for_what_is_there);
    tcase_add_test(tcase, who_watches_is_told);
    tcase_add_test(tcase, the_longest_prefix_holds);
    tcase_add_test(tcase, directives_are_checked);
    tcase_add_test(tcase, settings_go_with_the_stream);
    tcase_add_test(tcase, a_replay_trims_the_same);
    tcase_add_checked_fixture(alone, start_alone, stop);
    tcase_add_test(alone, all_is_there_again_after_kill_9);
    tcase_add_test(alone, a_checkpoint_keeps_the_settings);
    tcase_add_test(alone, what_gets_too_old_after_a_restart_goes_as_well);
    tcase_add_checked_fixture(compressed, start_small, stop);
    tcase_add_loop_test(compressed, what_is_told_to_be_compressed_is_smaller_and_the_same, 0, 2);
    tcase_add_test(compressed, what_holds_for_streams_compresses_them_as_they_grow);
    tcase_add_loop_test(compressed, room_of_what_is_deleted_comes_back, 0, 2);
    return suite_run(suite);
}
