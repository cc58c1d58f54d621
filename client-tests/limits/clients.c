/* What one client may cost: connections, buffers, time, and what it may do before it has said who
 * it is. Each server here has the limit that its test is about. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1048576 };

/* ---- connections -------------------------------------------------------------------------------
 */

START_TEST(one_client_too_many_is_told_so)
{
    static const char *const arguments[] = { "--maxclients", "10", NULL };
    struct server server;
    struct wire *wires[10], *late;

    server_start_with(&server, arguments);
    for (int i = 0; i < 10; i++) {
        wires[i] = wire_open(&server);
        expect_text(wires[i], "PONG", "PING");
    }
    late = wire_open(&server);
    expect_error(late, "ERR max number of clients reached", "");
    expect_end(late);
    wire_close(late);
    ck_assert_int_eq(info_number(wires[0], "rejected_connections"), 1);
    wire_close(wires[9]);
    info_wait(wires[0], "connected_clients", 9);
    wires[9] = wire_open(&server);
    expect_text(wires[9], "PONG", "PING");
    for (int i = 0; i < 10; i++)
        wire_close(wires[i]);
    server_stop(&server);
}
END_TEST

START_TEST(a_storm_of_connections_passes)
{
    enum { ROUNDS = 30, AT_ONCE = 100 };
    struct server server;
    struct wire *control, *wires[AT_ONCE];
    int64_t deadline_ms;
    int descriptors;

    server_start(&server, NULL);
    control = wire_open(&server);
    expect_text(control, "PONG", "PING");
    descriptors = server_descriptor_count(&server);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            wires[i] = wire_open(&server);
        for (int i = 0; i < AT_ONCE; i += 3)
            wire_command(wires[i], "PING");
        for (int i = 0; i < AT_ONCE; i++) {
            if (round % 2) {
                wire_reset(wires[i]);
            } else {
                wire_close(wires[i]);
            }
        }
    }
    /* Some may still wait to be accepted when the rest have gone. */
    deadline_ms = clock_ms() + WAIT_MS;
    while (server_descriptor_count(&server) > descriptors)
        ck_assert_msg(clock_probe(deadline_ms), "sockets of clients that have gone stay open");
    info_wait(control, "connected_clients", 1);
    wire_close(control);
    server_stop(&server);
}
END_TEST

START_TEST(running_out_of_descriptors_stops_nobody_who_is_in)
{
    enum { LIMIT = 96, CLIENTS = 200 };
    static const char *const arguments[] = { "--list-chunk-bytes", "512", "--list-memory-max",
                                             "256kb", NULL };
    struct server_options options = { .own_arguments = arguments, .descriptor_limit = LIMIT };
    struct server server;
    struct wire *control, *wires[CLIENTS] = { NULL };
    struct text filler = { 0 };

    server_start(&server, &options);
    control = wire_open(&server);
    expect_text(control, "PONG", "PING");
    for (int i = 0; i < CLIENTS; i++)
        wires[i] = wire_open_to("127.0.0.1", server.port);
    text_add_filler(&filler, 500);
    for (int i = 0; i < 3000; i++) /* spilling opens nothing that could fail now */
        wire_command(control, "RPUSH k %s", filler.bytes);
    wire_skip(control, 3000);
    expect_integer(control, 3000, "LLEN k");
    expect_string(control, filler.bytes, "LINDEX k 1500");
    for (int i = 0; i < CLIENTS; i++)
        wire_close(wires[i]);
    info_wait(control, "connected_clients", 1);
    wires[0] = wire_open(&server);
    expect_text(wires[0], "PONG", "PING");
    wire_close(wires[0]);
    wire_close(control);
    text_finish(&filler);
    server_stop(&server);
}
END_TEST

/* Who is kept from running for longer than the timeout is idle, too, and comes again. */
static void push_somehow(const struct server *server)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text reply = { 0 };
    bool is_done;

    do {
        struct wire *pusher = wire_open(server);
        wire_command(pusher, "RPUSH k x");
        is_done = wire_read(pusher, &reply) == 1;
        wire_close(pusher);
    } while (!is_done && clock_probe(deadline_ms));
    ck_assert_str_eq(text_string(&reply), ":1\r\n");
    text_finish(&reply);
}

START_TEST(idle_clients_are_closed_and_waiting_ones_are_not)
{
    struct server server;
    struct wire *idle, *waiting;

    server_start(&server, NULL);
    waiting = wire_open(&server);
    wire_command(waiting, "BLPOP k 0");
    idle = wire_open(&server);
    info_wait(idle, "blocked_clients", 1);
    expect_ok(idle, "CONFIG SET timeout 1");
    expect_end(idle);
    push_somehow(&server);
    expect_text(waiting, "1) \"k\"\n2) \"x\"", "");
    wire_close(idle);
    wire_close(waiting);
    server_stop(&server);
}
END_TEST

/* ---- before AUTH -------------------------------------------------------------------------------
 */

static const char *const with_password[] = { "--requirepass", "secret", NULL };

START_TEST(nothing_is_answered_before_auth)
{
    static const char *const lines[] = {
        "PING",
        "(error) NOAUTH Authentication required.",
        "LPUSH k a",
        "(error) NOAUTH Authentication required.",
        "NOSUCHCOMMAND",
        "(error) …",
        "HELLO 3",
        "(error) NOAUTH…",
        "AUTH wrong",
        "(error) WRONGPASS invalid username-password pair or user is disabled.",
        "AUTH default wrong",
        "(error) WRONGPASS…",
        "AUTH nobody secret",
        "(error) WRONGPASS…",
        "AUTH a b c",
        "(error) …",
        "AUTH secret",
        "OK",
        "PING",
        "PONG",
        "AUTH default secret",
        "OK",
        "AUTH wrong",
        "(error) WRONGPASS…",
        "PING",
        "PONG",
        "RESET",
        "RESET",
        "PING",
        "(error) NOAUTH Authentication required.",
        "HELLO 2 AUTH default wrong",
        "(error) WRONGPASS…",
        NULL
    };
    struct server server;
    struct wire *wire;

    server_start_with(&server, with_password);
    wire = wire_open(&server);
    expect_lines(wire, lines);
    wire_command(wire, "HELLO 2 AUTH default secret");
    wire_skip(wire, 1);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

static const struct {
    const char *bytes, *error;
} too_much[] = {
    { "*11\r\n", "(error) ERR Protocol error: unauthenticated multibulk length" },
    { "*1000000\r\n", "(error) ERR Protocol error: unauthenticated multibulk length" },
    { "*1\r\n$16385\r\n", "(error) ERR Protocol error: unauthenticated bulk length" },
    { "*2\r\n$4\r\nAUTH\r\n$1000000\r\n",
      "(error) ERR Protocol error: unauthenticated bulk length" },
};
enum { TOO_MUCH = sizeof(too_much) / sizeof(too_much[0]) };

START_TEST(a_stranger_may_say_little)
{
    struct server server;
    struct wire *wire;

    server_start_with(&server, with_password);
    wire = wire_open(&server);
    (void)wire_send(wire, too_much[_i].bytes, strlen(too_much[_i].bytes));
    expect_text(wire, too_much[_i].error, "");
    expect_end(wire);
    wire_close(wire);
    wire = wire_open(&server); /* and one who is known may say more */
    expect_ok(wire, "AUTH secret");
    expect_integer(wire, 12, "RPUSH k 1 2 3 4 5 6 7 8 9 10 11 12");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(strangers_fill_no_buffers)
{
    enum { CLIENTS = 100, REQUESTS = 20000 };
    struct server server;
    struct wire *wires[CLIENTS], *control;
    struct memory_watch *watch;
    struct text requests = { 0 };
    int64_t before_kib;

    server_start_with(&server, with_password);
    control = wire_open(&server);
    expect_ok(control, "AUTH secret");
    before_kib = server_memory_kib(&server);
    watch = memory_watch_start(&server);
    for (int i = 0; i < REQUESTS; i++)
        text_add_string(&requests, "PING\r\n");
    /* They send and never read: what is owed to each stays small, then it is closed. */
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = wire_open(&server);
        wires[i]->takes_nothing = true;
        (void)wire_send_some(wires[i], requests.bytes, requests.size);
    }
    expect_text(control, "PONG", "PING");
    for (int i = 0; i < CLIENTS; i++)
        wire_close(wires[i]);
    info_wait(control, "connected_clients", 1);
    ck_assert_int_le(memory_watch_stop(watch) - before_kib, 32 * 1024);
    wire_close(control);
    text_finish(&requests);
    server_stop(&server);
}
END_TEST

/* An address of this machine that is not the loopback; false: there is none. */
static bool outer_address(char *out, size_t size)
{
    struct ifaddrs *addresses = NULL;
    bool found = false;

    if (getifaddrs(&addresses) != 0) return false;
    for (struct ifaddrs *at = addresses; at && !found; at = at->ifa_next) {
        struct sockaddr_in address;
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || (at->ifa_flags & IFF_LOOPBACK) ||
            !(at->ifa_flags & IFF_UP))
            continue;
        memcpy(&address, at->ifa_addr, sizeof(address));
        found = inet_ntop(AF_INET, &address.sin_addr, out, (socklen_t)size) != NULL;
    }
    freeifaddrs(addresses);
    return found;
}

START_TEST(without_a_password_only_this_host_is_served)
{
    char address[64];
    const char *arguments[] = { "--bind", "127.0.0.1", address, NULL };
    struct server server;
    struct wire *wire;

    if (!outer_address(address, sizeof(address))) {
        suite_skip("protected mode: this machine has only the loopback address");
        return;
    }
    server_start_with(&server, arguments);
    wire = wire_open_to(address, server.port);
    ck_assert_ptr_nonnull(wire);
    expect_error(wire,
                 "DENIED Sluice is running in protected mode because protected mode is enabled and "
                 "no password is set for the default user. In this mode connections are only "
                 "accepted from the loopback interface",
                 "");
    expect_end(wire);
    wire_close(wire);
    wire = wire_open(&server);
    expect_text(wire, "PONG", "PING");
    expect_ok(wire, "CONFIG SET protected-mode no");
    wire_close(wire);
    wire = wire_open_to(address, server.port);
    ck_assert_ptr_nonnull(wire);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    wire = wire_open_unix(&server);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* ---- buffers -----------------------------------------------------------------------------------
 */

START_TEST(a_request_above_the_query_limit_ends_the_client)
{
    static const char *const arguments[] = { "--client-query-buffer-limit", "1mb", NULL };
    struct server server;
    struct wire *wire, *control;
    struct text bytes = { 0 };

    server_start_with(&server, arguments);
    control = wire_open(&server);
    wire = wire_open(&server);
    /* A million small arguments: none is large, all of them together are. */
    text_add_string(&bytes, "*1000000\r\n");
    for (int i = 0; i < 300000; i++)
        text_add_string(&bytes, "$1\r\nx\r\n");
    (void)wire_send(wire, bytes.bytes, bytes.size);
    expect_end(wire);
    wire_close(wire);
    info_wait(control, "client_query_buffer_limit_disconnections", 1);
    /* A line that does not end. */
    wire = wire_open(&server);
    text_clear(&bytes);
    text_add_filler(&bytes, 3 * MIB);
    (void)wire_send(wire, bytes.bytes, bytes.size);
    expect_end(wire);
    wire_close(wire);
    expect_text(control, "PONG", "PING");
    wire_close(control);
    text_finish(&bytes);
    server_stop(&server);
}
END_TEST

START_TEST(who_does_not_read_is_closed_at_the_output_limit)
{
    static const char *const arguments[] = {
        "--client-output-buffer-limit", "normal", "1mb", "0", "0", NULL
    };
    struct server server;
    struct wire *wire, *control;
    struct text value = { 0 }, requests = { 0 };

    server_start_with(&server, arguments);
    control = wire_open(&server);
    text_add_filler(&value, 100000);
    expect_ok(control, "SET k %s", value.bytes);
    for (int i = 0; i < 400; i++) /* 40 MB: more than the kernel buffers for a socket */
        text_add_string(&requests, "GET k\r\n");
    wire = wire_open(&server);
    wire->takes_nothing = true;
    (void)wire_send(wire, requests.bytes, requests.size);
    info_wait(control, "client_output_buffer_limit_disconnections", 1);
    expect_end(wire);
    wire_close(wire);
    wire_close(control);
    text_finish(&value);
    text_finish(&requests);
    server_stop(&server);
}
END_TEST

/* Monitors are not slowed down by not being read, as what they get is not their own doing. */
START_TEST(monitors_that_do_not_read_stop_nobody)
{
    enum { MONITORS = 12, COMMANDS = 50, ROUNDS = 400, VALUE_BYTES = 1000 };
    static const char *const arguments[] = { "--net-buffer-memory", "1mb", NULL };
    struct server server;
    struct wire *monitors[MONITORS], *reader, *control;
    struct text packet = { 0 };

    server_start_with(&server, arguments);
    control = wire_open(&server);
    reader = wire_open(&server);
    expect_ok(reader, "MONITOR");
    for (int i = 0; i < MONITORS; i++) {
        monitors[i] = wire_open(&server);
        expect_ok(monitors[i], "MONITOR");
        monitors[i]->takes_nothing = true;
    }
    for (int i = 0; i < COMMANDS; i++)
        text_format(&packet, "SET k %0*d\r\n", VALUE_BYTES, i);
    for (int round = 0; round < ROUNDS; round++) { /* 20 MB for each */
        (void)wire_send(control, packet.bytes, packet.size);
        wire_skip(control, COMMANDS);
        wire_skip(reader, COMMANDS);
    }
    info_wait(control, "connected_clients", 2);
    ck_assert_int_eq(info_number(control, "client_stall_disconnections"),
                     0); /* nobody had to wait until they were found to stand still */
    for (int i = 0; i < MONITORS; i++)
        wire_close(monitors[i]);
    wire_close(reader);
    wire_close(control);
    server_stop(&server);
    text_finish(&packet);
}
END_TEST

START_TEST(an_element_of_the_largest_size_passes_and_one_byte_more_does_not)
{
    static const char *const arguments[] = { "--proto-max-bulk-len", "2mb", "--maxmemory", "64mb",
                                             NULL };
    struct server server;
    struct wire *wire;
    struct text value = { 0 }, command = { 0 };

    server_start_with(&server, arguments);
    wire = wire_open(&server);
    text_add_filler(&value, 2 * MIB);
    expect_integer(wire, 1, "RPUSH k %b", value.bytes, value.size);
    expect_string(wire, value.bytes, "LINDEX k 0");
    text_add_filler(&value, 1);
    command_begin(&command, 3);
    command_add_string(&command, "RPUSH");
    command_add_string(&command, "k");
    command_add(&command, value.bytes, value.size);
    (void)wire_send(wire, command.bytes, command.size);
    expect_text(wire, "(error) ERR Protocol error: invalid bulk length", "");
    expect_end(wire);
    wire_close(wire);
    wire = wire_open(&server);
    expect_integer(wire, 1, "LLEN k");
    wire_close(wire);
    text_finish(&value);
    text_finish(&command);
    server_stop(&server);
}
END_TEST

/* Nobody reads, so the pool of net-buffer-memory is soon empty; then sockets wait, nothing fails.
 */
START_TEST(an_empty_buffer_pool_slows_down_and_breaks_nothing)
{
    enum { CLIENTS = 64, REQUESTS = 300 };
    static const char *const own[] = { "--net-buffer-memory", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wires[CLIENTS], *control;
    struct text value = { 0 }, command = { 0 };

    server_start(&server, &options);
    control = wire_open(&server);
    text_add_filler(&value, 20000);
    command_begin(&command, 3);
    command_add_string(&command, "RPUSH");
    command_add_string(&command, "k");
    command_add(&command, value.bytes, value.size);
    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = wire_open(&server);
        (void)wire_send(wires[i], command.bytes, 10000); /* half a request each */
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)wire_send(wires[i], command.bytes + 10000, command.size - 10000);
        (void)ask_integer(wires[i], "");
    }
    for (int request = 0; request < REQUESTS / 10; request++) {
        for (int i = 0; i < CLIENTS; i++)
            (void)wire_send(wires[i], command.bytes, command.size);
    }
    for (int i = 0; i < CLIENTS; i++) {
        wire_skip(wires[i], REQUESTS / 10);
        wire_close(wires[i]);
    }
    expect_integer(control, CLIENTS * (1 + REQUESTS / 10), "LLEN k");
    wire_close(control);
    text_finish(&value);
    text_finish(&command);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clients");
    TCase *tcase = suite_case(suite, "clients");

    tcase_add_test(tcase, one_client_too_many_is_told_so);
    tcase_add_test(tcase, a_storm_of_connections_passes);
    tcase_add_test(tcase, running_out_of_descriptors_stops_nobody_who_is_in);
    tcase_add_test(tcase, idle_clients_are_closed_and_waiting_ones_are_not);
    tcase_add_test(tcase, nothing_is_answered_before_auth);
    tcase_add_loop_test(tcase, a_stranger_may_say_little, 0, TOO_MUCH);
    tcase_add_test(tcase, strangers_fill_no_buffers);
    tcase_add_test(tcase, without_a_password_only_this_host_is_served);
    tcase_add_test(tcase, a_request_above_the_query_limit_ends_the_client);
    tcase_add_test(tcase, who_does_not_read_is_closed_at_the_output_limit);
    tcase_add_test(tcase, monitors_that_do_not_read_stop_nobody);
    tcase_add_test(tcase, an_element_of_the_largest_size_passes_and_one_byte_more_does_not);
    tcase_add_test(tcase, an_empty_buffer_pool_slows_down_and_breaks_nothing);
    return suite_run(suite);
}
