/* Clients that ask for much and do not read it, or send on and on behind that: whoever does read
 * goes on beside them. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MIB = 1048576 };

/* Who does not read is read in the end, which may be late on a busy machine. */
static const char *const large[] = { "--maxmemory", "64mb", "--client-stall-timeout", "0", NULL };
static const char *const small[] = { "--maxmemory", "16mb", "--client-stall-timeout", "0", NULL };

/* A client whose socket holds little, and which does not read. The server knows it before it asks:
 * what it asks for is read in the turn of the next command of others, or before. */
static struct wire *ask_and_take_nothing(const struct server *server, const char *requests)
{
    struct wire *wire = wire_open_unix(server);

    expect_text(wire, "PONG", "PING");
    wire->takes_nothing = true;
    (void)wire_send(wire, requests, strlen(requests));
    return wire;
}

/* What each of them asks for, many times, and what it is about: values and elements of 1 MiB, and
 * smaller values. */
static const struct {
    const char *commands[3];
    int command_count, replies;
} greedy[] = {
    { { "GET large" }, 1, 20 },
    { { "GETRANGE large 10 900000" }, 1, 20 },
    { { "MGET large large" }, 1, 20 },
    { { "MULTI", "GET large", "EXEC" }, 3, 60 },
    { { "GET middling" }, 1, 200 },
    { { "GET small" }, 1, 400 },
    { { "LINDEX list -1" }, 1, 20 },
    { { "LRANGE list 0 1" }, 1, 20 },
    { { "RPOP list" }, 1, 2 },
    { { "BLPOP list 0" }, 1, 2 },
    { { "LMOVE list list LEFT RIGHT", "BLMOVE list other LEFT LEFT 0", "RPOPLPUSH list list" },
      3,
      3 },
};
enum { GREEDY = sizeof(greedy) / sizeof(greedy[0]) };

START_TEST(who_does_not_read_large_values_stops_nobody)
{
    enum { CLIENTS = 20, ELEMENTS = 2 * CLIENTS };
    struct server server;
    struct wire *control, *wires[CLIENTS];
    struct text value = { 0 }, requests = { 0 };

    for (int sent = 0; sent < greedy[_i].replies; sent++)
        text_format(&requests, "%s\r\n", greedy[_i].commands[sent % greedy[_i].command_count]);
    server_start_with(&server, large);
    control = wire_open(&server);
    text_add_filler(&value, MIB);
    expect_ok(control, "SET large %s", value.bytes);
    for (int i = 0; i < ELEMENTS; i++)
        expect_integer(control, i + 1, "RPUSH list %s", value.bytes);
    value.bytes[30 * 1024] = '\0';
    expect_ok(control, "SET middling %s", value.bytes);
    value.bytes[10 * 1024] = '\0';
    expect_ok(control, "SET small %s", value.bytes);
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = ask_and_take_nothing(&server, requests.bytes);
    }
    for (int i = 0; i < 200; i++) /* turns: the sockets have long been full */
        expect_text(control, "PONG", "PING");
    expect_ok(control, "SET large other"); /* what they were promised stays as it was */
    expect_text(control, "PONG", "PING");
    ck_assert_int_eq(info_number(control, "connected_clients"), CLIENTS + 1);
    for (int i = 0; i < CLIENTS; i++) {
        wires[i]->takes_nothing = false;
        wire_skip(wires[i], (size_t)greedy[_i].replies);
        wire_close(wires[i]);
    }
    ck_assert(!server_log_has(&server, "it makes no progress"));
    wire_close(control);
    text_finish(&requests);
    text_finish(&value);
    server_stop(&server);
}
END_TEST

/* Copies of elements, which an EXEC answers with, are not sent in parts: when all memory for
 * answers is held by who does not read, it is soon closed, and the others go on. */
START_TEST(who_does_not_read_what_exec_copied_is_closed)
{
    enum { CLIENTS = 20, REQUESTS = 4 };
    struct server server;
    struct wire *control, *wires[CLIENTS];
    struct text value = { 0 }, requests = { 0 };

    for (int i = 0; i < REQUESTS; i++)
        text_format(&requests, "MULTI\r\nLINDEX list 0\r\nEXEC\r\n");
    server_start_with(&server, large);
    control = wire_open(&server);
    text_add_filler(&value, MIB);
    expect_integer(control, 1, "RPUSH list %s", value.bytes);
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = ask_and_take_nothing(&server, requests.bytes);
    }
    for (int i = 0; i < 200; i++)
        expect_text(control, "PONG", "PING");
    expect_integer(control, 1, "LLEN list");
    ck_assert(server_log_has(&server, "it makes no progress"));
    for (int i = 0; i < CLIENTS; i++)
        wire_close(wires[i]);
    wire_close(control);
    text_finish(&requests);
    text_finish(&value);
    server_stop(&server);
}
END_TEST

/* ---- who sends on ------------------------------------------------------------------------------
 */

enum { SENT_BYTES_MAX = 16 * MIB /* what sockets may take, and more */, PING_BYTES = 6 };

/* Answers of 12 MiB, each piece of which waits for the socket. */
static const char *const long_answers[] = { "LRANGE list 0 -1\r\n", "XRANGE stream - +\r\n",
                                            "XREVRANGE stream + -\r\n",
                                            "XREAD STREAMS stream 0\r\n" };
enum { LONG_ANSWERS = sizeof(long_answers) / sizeof(long_answers[0]), SENDERS = 3 };
enum { LONG_BYTES = 12 * MIB };

static void make_long(struct wire *wire, int element_bytes)
{
    struct text value = { 0 };

    text_add_filler(&value, (size_t)element_bytes);
    for (int i = 0; i < LONG_BYTES / element_bytes; i++) {
        wire_command(wire, "RPUSH list %s", value.bytes);
        wire_command(wire, "XADD stream %d-0 f %s", i + 1, value.bytes);
        wire_skip(wire, 2);
    }
    text_finish(&value);
}

/* Inputs that wait behind an answer stay in their sockets, beside the read that was under way. */
START_TEST(who_sends_on_behind_a_long_answer_stops_nobody)
{
    size_t sent[SENDERS] = { 0 };
    struct server server;
    struct memory_watch *watch;
    struct wire *control, *wires[SENDERS];
    struct text pings = { 0 };
    int64_t largest_kib;

    for (unsigned i = 0; i < 10000; i++)
        text_format(&pings, "PING\r\n");
    server_start_with(&server, large);
    control = wire_open(&server);
    make_long(control, MIB);
    watch = memory_watch_start(&server);
    for (int i = 0; i < SENDERS; i++) {
        wires[i] = ask_and_take_nothing(&server, long_answers[_i]);
    }
    for (int turn = 0; turn < 100; turn++) { /* until nobody takes more */
        for (int i = 0; i < SENDERS; i++) {
            size_t from = sent[i] % pings.size;
            sent[i] += wire_send_some(wires[i], pings.bytes + from, pings.size - from);
        }
        expect_text(control, "PONG", "PING");
    }
    largest_kib = memory_watch_stop(watch);
    if (strstr(suite_build_directory(), "/release/"))
        ck_assert_int_le(largest_kib, (64 + 16) * 1024);
    for (int i = 0; i < SENDERS; i++) {
        size_t rest = (PING_BYTES - sent[i] % PING_BYTES) % PING_BYTES;

        ck_assert_uint_lt(sent[i], SENT_BYTES_MAX);
        wires[i]->takes_nothing = false;
        wire_skip(wires[i], 1); /* as long as it takes: until then nothing more is taken */
        ck_assert_int_eq(wire_send(wires[i], pings.bytes + PING_BYTES - rest, rest), 0);
        wire_skip(wires[i], (sent[i] + rest) / PING_BYTES);
        wire_close(wires[i]);
    }
    wire_close(control);
    text_finish(&pings);
    server_stop(&server);
}
END_TEST

/* ---- who reads ---------------------------------------------------------------------------------
 */

static void read_long(const struct server *server, const char *request)
{
    struct wire *wire = wire_open(server);

    ck_assert_int_eq(wire_send(wire, request, strlen(request)), 0);
    wire_skip(wire, 1);
    wire_close(wire);
}

/* Far more than there is memory for, and none of them has to go for others to go on. */
START_TEST(who_reads_a_long_answer_goes_on_beside_many_who_do_not)
{
    enum { SILENT = 60 };
    struct wire *control, *wires[SILENT];
    struct server server;

    server_start_with(&server, small);
    control = wire_open(&server);
    make_long(control, 10 * 1024);
    for (int i = 0; i < SILENT; i++)
        wires[i] = ask_and_take_nothing(&server, long_answers[_i]);
    info_wait(control, "streaming_clients", SILENT);
    read_long(&server, long_answers[_i]);
    wire_skip(wires[SILENT - 1], 1); /* nor has it lost its turn who begins to read */
    ck_assert_int_eq(info_number(control, "client_stall_disconnections"), 0);
    for (int i = 0; i < SILENT; i++)
        wire_close(wires[i]);
    wire_close(control);
    server_stop(&server);
}
END_TEST

/* Short answers, which are not made as the socket drains, may fill all of the memory. */
START_TEST(who_reads_a_long_answer_goes_on_when_short_ones_fill_the_memory)
{
    enum { SILENT = 8, REPLIES = 60 };
    struct wire *control, *wires[SILENT];
    struct text value = { 0 }, requests = { 0 };
    struct server server;

    for (int i = 0; i < REPLIES; i++)
        text_format(&requests, "GET small\r\n");
    server_start_with(&server, small);
    control = wire_open(&server);
    make_long(control, 10 * 1024);
    text_add_filler(&value, 10 * 1024);
    expect_ok(control, "SET small %s", value.bytes);
    for (int i = 0; i < SILENT; i++)
        wires[i] = ask_and_take_nothing(&server, requests.bytes);
    info_wait_least(control, "reads_deferred", 1); /* there is no more of it */
    read_long(&server, long_answers[_i]);
    ck_assert_int_eq(info_number(control, "client_stall_disconnections"), 0);
    for (int i = 0; i < SILENT; i++) {
        wire_skip(wires[i], REPLIES);
        wire_close(wires[i]);
    }
    wire_close(control);
    text_finish(&requests);
    text_finish(&value);
    server_stop(&server);
}
END_TEST

/* ---- what comes behind entries -----------------------------------------------------------------
 */

enum { TOLD = 14000, TOLD_AT_ONCE = 500, TELLERS = 12, TELLERS_LEAST = 3 };

/* Of which XINFO STREAM FULL tells 1 MiB behind the entries, and which takes nearly as much. */
static void make_pending(struct wire *wire)
{
    struct text value = { 0 };

    text_add_filler(&value, 100);
    expect_ok(wire, "XGROUP CREATE stream g 0 MKSTREAM");
    for (int i = 0; i < TOLD; i += TOLD_AT_ONCE) {
        for (int k = 1; k <= TOLD_AT_ONCE; k++)
            wire_command(wire, "XADD stream %d-0 f %s", i + k, value.bytes);
        wire_command(wire, "XREADGROUP GROUP g c COUNT %d STREAMS stream >", TOLD_AT_ONCE);
        wire_skip(wire, TOLD_AT_ONCE + 1);
    }
    text_finish(&value);
}

/* False: it was refused. */
static bool was_told(struct wire *wire)
{
    struct text reply = { 0 };
    bool is_told;

    wire->takes_nothing = false;
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    is_told = text_string(&reply)[0] == '*';
    if (is_told)
        ck_assert_ptr_nonnull(strstr(text_string(&reply), "\r\n$9\r\npel-count\r\n:14000\r\n"));
    else
        ck_assert_str_eq(text_string(&reply), "-OOM answers that are being sent keep a quarter of "
                                              "'maxmemory', try again later\r\n");
    expect_text(wire, "PONG", "PING"); /* that was all of it */
    text_finish(&reply);
    return is_told;
}

/* All of it is delivered again: nothing is where it was. */
static void change_what_is_pending(struct wire *control)
{
    static const char all[] = "*3\r\n$3\r\n0-0\r\n*14000\r\n";
    struct text reply = { 0 };

    wire_command(control, "XAUTOCLAIM stream g c 0 0 COUNT %d JUSTID", TOLD);
    ck_assert_int_eq(wire_read(control, &reply), 1);
    ck_assert_int_eq(strncmp(text_string(&reply), all, strlen(all)), 0);
    text_finish(&reply);
}

/* It is the group's while nothing changes. _i 1: each is told of another state of the group, and
 * all of these keep a quarter of maxmemory. */
START_TEST(who_does_not_read_what_groups_have_pending_stops_nobody)
{
    struct server server;
    struct wire *control, *wires[TELLERS];
    int told = 0;

    server_start_with(&server, small);
    control = wire_open(&server);
    make_pending(control);
    for (int i = 0; i < TELLERS; i++) {
        wires[i] = ask_and_take_nothing(&server, "XINFO STREAM stream FULL COUNT 0\r\n");
        info_wait_least(control, "mem_parked", 1);
        info_wait(control, "claims", 0); /* it has begun, or was refused */
        if (_i == 1) change_what_is_pending(control);
    }
    for (int i = 0; i < 200; i++)
        expect_text(control, "PONG", "PING");
    for (int i = 0; i < TELLERS; i++) {
        told += was_told(wires[i]);
        wire_close(wires[i]);
    }
    ck_assert_int_ge(told, _i == 0 ? TELLERS : TELLERS_LEAST);
    ck_assert_int_le(told, _i == 0 ? TELLERS : TELLERS - TELLERS_LEAST);
    info_wait(control, "mem_parked", 0);
    wires[0] = ask_and_take_nothing(&server, "XINFO STREAM stream FULL COUNT 0\r\n");
    info_wait_least(control, "mem_parked", 1);
    wire_close(wires[0]); /* who goes gives it back */
    info_wait(control, "mem_parked", 0);
    wire_close(control);
    server_stop(&server);
}
END_TEST

/* A view of many consumers takes 88 bytes for each: of those who ask for it at a time some are
 * told, and others take none. */
START_TEST(who_asks_for_many_consumers_at_a_time_keeps_a_share)
{
    enum { CONSUMERS = 20000, AT_ONCE = 1000, ASKERS = 40, LEAST = 8 };
    static const char *const arguments[] = { "--maxmemory", "64mb", NULL };
    struct wire *control, *wires[ASKERS];
    struct memory_watch *watch;
    struct text reply = { 0 };
    struct server server;
    long before_kib, largest_kib;
    int told = 0;

    server_start_with(&server, arguments);
    control = wire_open(&server);
    expect_ok(control, "XGROUP CREATE stream g 0 MKSTREAM");
    for (int i = 0; i < CONSUMERS; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            wire_command(control, "XGROUP CREATECONSUMER stream g c%d", i + k);
        wire_skip(control, AT_ONCE);
    }
    watch = memory_watch_start(&server);
    before_kib = memory_watch_stop(watch);
    watch = memory_watch_start(&server);
    for (int i = 0; i < ASKERS; i++) {
        wires[i] = wire_open_unix(&server);
        wires[i]->takes_nothing = true;
        wire_command(wires[i], "XINFO STREAM stream FULL");
    }
    for (int i = 0; i < ASKERS; i++) {
        text_clear(&reply);
        wires[i]->takes_nothing = false;
        ck_assert_int_eq(wire_read(wires[i], &reply), 1);
        told += text_string(&reply)[0] == '*';
        wire_close(wires[i]);
    }
    largest_kib = memory_watch_stop(watch);
    ck_assert_int_ge(told, LEAST);
    if (strstr(suite_build_directory(), "/release/"))
        ck_assert_int_le(largest_kib - before_kib, 40 * 1024);
    text_finish(&reply);
    wire_close(control);
    server_stop(&server);
}
END_TEST

/* A history that is sent keeps 16 bytes an id. Where that is a quarter of maxmemory in all, those
 * that come then are given less of it. */
START_TEST(who_does_not_read_a_history_keeps_no_more_than_a_share)
{
    enum { READERS = 24 };
    struct wire *control, *wires[READERS];
    struct server server;

    server_start_with(&server, small);
    control = wire_open(&server);
    make_pending(control);
    for (int i = 0; i < READERS; i++) {
        wires[i] = ask_and_take_nothing(&server, "XREADGROUP GROUP g c STREAMS stream 0\r\n");
    }
    expect_text(control, "PONG", "PING");
    info_wait_least(control, "mem_parked", 3 * MIB);
    info_wait(control, "claims", 0);
    ck_assert_int_le(info_number(control, "mem_parked"), 4 * MIB + MIB / 4);
    for (int i = 0; i < READERS; i++) {
        wires[i]->takes_nothing = false;
        wire_skip(wires[i], 1);
        expect_text(wires[i], "PONG", "PING");
        wire_close(wires[i]);
    }
    info_wait(control, "mem_parked", 0);
    wire_close(control);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slow_readers");
    TCase *tcase = suite_case(suite, "slow_readers");

    tcase_add_loop_test(tcase, who_does_not_read_large_values_stops_nobody, 0, GREEDY);
    tcase_add_test(tcase, who_does_not_read_what_exec_copied_is_closed);
    tcase = suite_case(suite, "senders");
    tcase_add_loop_test(tcase, who_sends_on_behind_a_long_answer_stops_nobody, 0, LONG_ANSWERS);
    tcase = suite_case(suite, "readers");
    tcase_add_loop_test(tcase, who_reads_a_long_answer_goes_on_beside_many_who_do_not, 0,
                        LONG_ANSWERS);
    tcase_add_loop_test(tcase, who_reads_a_long_answer_goes_on_when_short_ones_fill_the_memory, 0,
                        LONG_ANSWERS);
    tcase = suite_case(suite, "tails");
    tcase_add_loop_test(tcase, who_does_not_read_what_groups_have_pending_stops_nobody, 0, 2);
    tcase_add_test(tcase, who_asks_for_many_consumers_at_a_time_keeps_a_share);
    tcase_add_test(tcase, who_does_not_read_a_history_keeps_no_more_than_a_share);
    return suite_run(suite);
}
