/* Thousands of streams that are too small for journals of their own, together far above maxmemory:
 * they leave memory for the disk, and whoever adds waits for that and is not refused. And what is
 * read of compressed ones, and what groups keep for who does not read. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ENTRIES = 20, ENTRY_BYTES = 1000, BATCH = 256, SLACK_MIB = 16 };

/* Sanitizers keep freed memory and shadow it; what they measure says nothing about the server. */
static bool memory_counts(void)
{
    return strstr(suite_build_directory(), "/release/") != NULL;
}

static void start(struct server *server, const char *maxmemory, const char *appendonly)
{
    /* Nothing is saved on the way, or at the end. Static: a restart reads them again. */
    static const char *arguments[] = {
        "--maxmemory", NULL, "--appendonly", NULL, "--save", "", NULL
    };

    arguments[1] = maxmemory;
    arguments[3] = appendonly;
    server_start(server, &(struct server_options){ .own_arguments = arguments });
}

/* XADD s<stream> <id>-1 f <element> */
static void put_add(struct text *commands, unsigned stream, unsigned id)
{
    char element[ENTRY_BYTES + 1], word[32];

    element_make(element, sizeof(element), stream * ENTRIES + id);
    command_begin(commands, 5);
    command_add_string(commands, "XADD");
    (void)snprintf(word, sizeof(word), "s%u", stream);
    command_add_string(commands, word);
    (void)snprintf(word, sizeof(word), "%u-1", id);
    command_add_string(commands, word);
    command_add_string(commands, "f");
    command_add(commands, element, ENTRY_BYTES);
}

static void expect_added(struct wire *wire, unsigned id)
{
    char expected[64], word[32];
    struct text reply = { 0 };
    int size = snprintf(word, sizeof(word), "%u-1", id);

    (void)snprintf(expected, sizeof(expected), "$%d\r\n%s\r\n", size, word);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_str_eq(text_string(&reply), expected);
    text_finish(&reply);
}

/* Entries [first, first + count) of each stream, one stream after the other. */
static void add_to_all(struct wire *wire, unsigned streams, unsigned first, unsigned count)
{
    unsigned total = streams * count;
    struct text commands = { 0 };

    for (unsigned done = 0; done < total;) {
        unsigned batch = total - done < BATCH ? total - done : BATCH;
        text_clear(&commands);
        for (unsigned i = done; i < done + batch; i++)
            put_add(&commands, i / count, first + i % count);
        ck_assert_int_eq(wire_send(wire, commands.bytes, commands.size), 0);
        for (unsigned i = done; i < done + batch; i++)
            expect_added(wire, first + i % count);
        done += batch;
    }
    text_finish(&commands);
}

static void expect_entry(struct wire *wire, unsigned stream, unsigned id)
{
    char element[ENTRY_BYTES + 1], head[128];
    struct text reply = { 0 };
    char *expected;

    element_make(element, sizeof(element), stream * ENTRIES + id);
    wire_command(wire, "XRANGE s%u %u-1 %u-1", stream, id, id);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    (void)snprintf(head, sizeof(head), "%u-1", id);
    expected = strstr(text_string(&reply), head);
    ck_assert_ptr_nonnull(expected);
    expected = strstr(expected, "$1000\r\n");
    ck_assert_ptr_nonnull(expected);
    ck_assert_mem_eq(expected + 7, element, ENTRY_BYTES);
    text_finish(&reply);
}

static void expect_all(struct wire *wire, unsigned streams, unsigned count)
{
    for (unsigned stream = 0; stream < streams; stream += 7) {
        expect_integer(wire, count, "XLEN s%u", stream);
        expect_entry(wire, stream, 1);
        expect_entry(wire, stream, count);
    }
}

static int64_t info_of_s0(struct wire *wire, const char *name)
{
    struct text reply = { 0 };
    const char *field;
    int64_t value;

    wire_command(wire, "SL.STREAM INFO s0");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    field = strstr(text_string(&reply), name);
    ck_assert_msg(field, "no %s in %s", name, text_string(&reply));
    value = strtoll(strchr(field, ':') + 1, NULL, 10);
    text_finish(&reply);
    return value;
}

/* Until no more of s0 is plain. */
static void expect_packed(struct wire *wire, int64_t plain_bytes)
{
    int64_t deadline_ms = clock_ms() + 60000;

    while (info_of_s0(wire, "bytes_on_disk") - info_of_s0(wire, "bytes_compressed") > plain_bytes)
        ck_assert_msg(clock_probe(deadline_ms), "it is not packed");
}

START_TEST(thousands_of_streams_leave_memory_and_nobody_is_refused)
{
    static const char *const modes[] = { "yes", "no" };
    unsigned streams = suite_scaled(4500);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire;
    int64_t largest_kib;

    start(&server, "64mb", modes[_i]);
    wire = wire_open(&server);
    watch = memory_watch_start(&server);
    add_to_all(wire, streams, 1, ENTRIES);
    expect_all(wire, streams, ENTRIES);
    largest_kib = memory_watch_stop(watch);
    if (memory_counts()) ck_assert_int_le(largest_kib, (64 + SLACK_MIB) * 1024);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* What was closed before it was on the device is brought there by the checkpoint that names it. */
START_TEST(a_checkpoint_and_kill_find_all_of_them)
{
    unsigned streams = suite_scaled(2400);
    struct server server;
    struct wire *wire;

    start(&server, "32mb", "yes");
    wire = wire_open(&server);
    add_to_all(wire, streams, 1, ENTRIES);
    expect_ok(wire, "SAVE");
    add_to_all(wire, 200, ENTRIES + 1, 1);
    wire_close(wire);
    server_kill(&server);
    server_restart(&server);
    wire = wire_open(&server);
    expect_all(wire, 200, ENTRIES + 1);
    for (unsigned stream = 200; stream < streams; stream += 7) {
        expect_integer(wire, ENTRIES, "XLEN s%u", stream);
        expect_entry(wire, stream, ENTRIES);
    }
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* What is packed is unpacked into windows of the readers that all streams share. */
START_TEST(windows_of_packed_segments_are_counted_and_bounded)
{
    enum { SEGMENT_BYTES = 1 << 20, LONG = 24000, STEP = 150, WINDOWS_BYTES = (32 << 20) / 8 };
    enum { READER_BYTES = 300 << 10 };
    static const char *const own[] = { "--maxmemory",
                                       "32mb",
                                       "--appendonly",
                                       "no",
                                       "--stream-compress",
                                       "lz4",
                                       "--stream-segment-bytes",
                                       "1mb",
                                       "--save",
                                       "",
                                       NULL };
    struct server server;
    struct wire *wire;
    int64_t most = 0;

    server_start(&server, &(struct server_options){ .own_arguments = own });
    wire = wire_open(&server);
    add_to_all(wire, 1, 1, LONG);
    expect_packed(wire, 2 * SEGMENT_BYTES);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned id = 1 + round; id <= LONG; id += STEP) {
            int64_t windows;
            expect_entry(wire, 0, id);
            windows = info_number(wire, "mem_stream_windows");
            if (windows > most) most = windows;
        }
    }
    ck_assert_int_gt(most, WINDOWS_BYTES / 2);
    ck_assert_int_le(most, WINDOWS_BYTES + READER_BYTES);
    expect_ok(wire, "CONFIG SET maxmemory 16mb");
    expect_entry(wire, 0, 1);
    ck_assert_int_le(info_number(wire, "mem_stream_windows"), WINDOWS_BYTES / 2 + READER_BYTES);
    expect_integer(wire, 1, "DEL s0");
    info_wait(wire, "mem_stream_windows", 0);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* ---- groups ------------------------------------------------------------------------------------
 *
 * What is pending takes 60 bytes, which are there twice when it changes while somebody is told of
 * it as it was.
 */

enum { PENDING = 60000, AT_ONCE = 500, LEAF = 40, CHANGED = 12000 };

static const char *const small[] = { "--maxmemory", "16mb", "--appendonly",           "no",
                                     "--save",      "",     "--client-stall-timeout", "0",
                                     NULL };

static const char *const telling[] = { "XPENDING s g - + 100000 c", "XINFO STREAM s FULL COUNT 0" };
enum { TELLING = sizeof(telling) / sizeof(telling[0]) };

/* And what was delivered is gone, so that no entries can leave memory. */
static void make_pending(struct wire *wire, const char *key, int count)
{
    expect_ok(wire, "XGROUP CREATE %s g 0 MKSTREAM", key);
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int k = 1; k <= AT_ONCE; k++)
            wire_command(wire, "XADD %s %d-1 f v", key, i + k);
        wire_command(wire, "XREADGROUP GROUP g c COUNT %d STREAMS %s >", AT_ONCE, key);
        wire_skip(wire, AT_ONCE + 1);
    }
    expect_integer(wire, count, "XTRIM %s MAXLEN 0", key);
}

/* All of the memory that cannot spill. */
static void fill_memory(struct wire *wire)
{
    struct text value = { 0 }, reply = { 0 };

    text_add_filler(&value, 64 << 10);
    for (int i = 0; text_string(&reply)[0] != '-'; i++) {
        ck_assert_int_lt(i, 16 * 16);
        text_clear(&reply);
        wire_command(wire, "SET filler%d %s", i, value.bytes);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
    }
    ck_assert_ptr_nonnull(strstr(text_string(&reply), "-OOM "));
    text_finish(&reply);
    text_finish(&value);
}

static void acknowledge(struct wire *wire, int first)
{
    expect_integer(wire, 1, "XACK s g %d-1", first + 1);
}

/* Of two who are told. */
static void acknowledge_until_one_is_closed(struct wire *wire, int first)
{
    for (int id = first; info_number(wire, "client_view_disconnections") == 0; id += LEAF) {
        ck_assert_int_lt(id, 2 * CHANGED);
        acknowledge(wire, id);
    }
    info_wait(wire, "streaming_clients", 1);
}

static struct wire *ask_and_take_nothing(struct server *server, const char *line)
{
    struct wire *wire = wire_open_unix(server);

    wire->takes_nothing = true;
    wire_command_line(wire, line);
    return wire;
}

/* The first one is told of all that changes, and soon that is more than a sixteenth of maxmemory;
 * the second one is told of half of that. */
START_TEST(who_does_not_read_what_is_pending_is_closed_when_memory_is_used_up)
{
    struct wire *wire, *first, *second;
    struct text reply = { 0 };
    struct server server;
    int id = 0;

    server_start(&server, &(struct server_options){ .own_arguments = small });
    wire = wire_open(&server);
    make_pending(wire, "s", PENDING);
    fill_memory(wire);
    first = ask_and_take_nothing(&server, telling[_i]);
    info_wait(wire, "streaming_clients", 1);
    for (; id < CHANGED; id += LEAF)
        acknowledge(wire, id);
    second = ask_and_take_nothing(&server, telling[_i]);
    info_wait(wire, "streaming_clients", 2);
    acknowledge_until_one_is_closed(wire, id);
    first->takes_nothing = second->takes_nothing = false;
    ck_assert_int_eq(wire_read(first, &reply), 0);
    text_clear(&reply);
    ck_assert_int_eq(wire_read(second, &reply), 1);
    expect_text(second, "PONG", "PING");
    ck_assert_int_eq(info_number(wire, "client_view_disconnections"), 1);
    wire_close(second);
    wire_close(first);
    wire_close(wire);
    text_finish(&reply);
    server_stop(&server);
}
END_TEST

/* More than its socket holds, and less than there is: the server has written more. */
static void take_some(struct wire *wire)
{
    enum { TAKEN_BYTES = 600 << 10 };
    int64_t deadline_ms = clock_ms() + 60000;
    static char bytes[1 << 16];

    while (wire->in.size < TAKEN_BYTES) {
        ssize_t size = recv(wire->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (size > 0) text_add(&wire->in, bytes, (size_t)size);
        ck_assert_int_ne(size, 0);
        ck_assert_msg(clock_probe(deadline_ms), "nothing comes");
    }
}

/* What it is told of is little, and it has asked before the other one. */
START_TEST(who_reads_is_not_closed_before_who_does_not)
{
    enum { READ = 40000 };
    struct wire *wire, *reader, *silent;
    struct text reply = { 0 };
    struct server server;

    server_start(&server, &(struct server_options){ .own_arguments = small });
    wire = wire_open(&server);
    make_pending(wire, "s", PENDING);
    make_pending(wire, "t", READ);
    fill_memory(wire);
    reader = ask_and_take_nothing(&server, "XPENDING t g - + 100000");
    info_wait(wire, "streaming_clients", 1);
    silent = ask_and_take_nothing(&server, telling[0]);
    info_wait(wire, "streaming_clients", 2);
    take_some(reader);
    expect_text(wire, "PONG", "PING");
    acknowledge_until_one_is_closed(wire, 0);
    reader->takes_nothing = silent->takes_nothing = false;
    ck_assert_int_eq(wire_read(reader, &reply), 1);
    expect_text(reader, "PONG", "PING");
    ck_assert_int_eq(wire_read(silent, &reply), 0);
    wire_close(silent);
    wire_close(reader);
    wire_close(wire);
    text_finish(&reply);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams that leave memory");
    TCase *tcase = suite_case(suite, "streams");

    tcase_add_loop_test(tcase, thousands_of_streams_leave_memory_and_nobody_is_refused, 0, 2);
    tcase_add_test(tcase, a_checkpoint_and_kill_find_all_of_them);
    tcase_add_test(tcase, windows_of_packed_segments_are_counted_and_bounded);
    tcase = suite_case(suite, "groups");
    tcase_add_loop_test(tcase, who_does_not_read_what_is_pending_is_closed_when_memory_is_used_up,
                        0, TELLING);
    tcase_add_test(tcase, who_reads_is_not_closed_before_who_does_not);
    return suite_run(suite);
}
