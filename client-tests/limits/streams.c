/* Thousands of streams that are too small for journals of their own, together far above maxmemory:
 * they leave memory for the disk, and whoever adds waits for that and is not refused. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    Suite *suite = suite_create("streams that leave memory");
    TCase *tcase = suite_case(suite, "streams");

    tcase_add_loop_test(tcase, thousands_of_streams_leave_memory_and_nobody_is_refused, 0, 2);
    tcase_add_test(tcase, a_checkpoint_and_kill_find_all_of_them);
    return suite_run(suite);
}
