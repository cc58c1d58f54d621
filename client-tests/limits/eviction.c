/* maxmemory-clients: above it the clients that hold most are closed, and nobody who was closed
 * swallows an element. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

static const char *const arguments[] = { "--maxmemory", "64mb", NULL };
static struct server server;
static struct wire *control;

static void start_server(void)
{
    server_start_with(&server, arguments);
    control = wire_open(&server);
    expect_ok(control, "CLIENT NO-EVICT ON");
}

static void stop_server(void)
{
    wire_close(control);
    server_stop(&server);
}

static void send_filler(struct wire *wire, size_t size)
{
    struct text filler = { 0 };

    text_add_filler(&filler, size);
    ck_assert_int_eq(wire_send(wire, filler.bytes, size), 0);
    text_finish(&filler);
}

/* A client that holds most of an ECHO of 900000 bytes; finish_echo() sends the rest. */
static struct wire *begin_echo(bool is_exempt)
{
    static const char head[] = "*2\r\n$4\r\nECHO\r\n$900000\r\n";
    struct wire *wire = wire_open(&server);
    int64_t held_bytes = info_number(control, "mem_net_input");

    if (is_exempt) expect_ok(wire, "CLIENT NO-EVICT ON");
    ck_assert_int_eq(wire_send(wire, head, sizeof(head) - 1), 0);
    send_filler(wire, 800000);
    info_wait_least(control, "mem_net_input", held_bytes + 800000);
    return wire;
}

static void finish_echo(struct wire *wire)
{
    struct text reply = { 0 };

    send_filler(wire, 100000);
    ck_assert_int_eq(wire_send(wire, "\r\n", 2), 0);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_uint_eq(reply.size, strlen("$900000\r\n") + 900000 + 2);
    text_finish(&reply);
}

START_TEST(who_holds_most_is_evicted_and_who_is_exempt_is_not)
{
    struct wire *small = wire_open(&server), *exempt = begin_echo(true), *large = begin_echo(false);

    expect_text(small, "PONG", "PING");
    expect_ok(control, "CONFIG SET maxmemory-clients 1200kb");
    expect_end(large);
    info_wait(control, "evicted_clients", 1);
    expect_text(small, "PONG", "PING");
    expect_ok(control, "CONFIG SET maxmemory-clients 0");
    finish_echo(exempt);
    ck_assert_int_eq(info_number(control, "evicted_clients"), 1);
    expect_ok(control, "CONFIG RESETSTAT");
    ck_assert_int_eq(info_number(control, "evicted_clients"), 0);
    wire_close(small);
    wire_close(exempt);
    wire_close(large);
}
END_TEST

START_TEST(below_the_limit_nobody_is_evicted)
{
    struct wire *first, *second;

    expect_ok(control, "CONFIG SET maxmemory-clients 6mb");
    first = begin_echo(false);
    second = begin_echo(false);
    finish_echo(first);
    finish_echo(second);
    ck_assert_int_eq(info_number(control, "evicted_clients"), 0);
    wire_close(first);
    wire_close(second);
}
END_TEST

START_TEST(the_limit_may_be_a_share_of_maxmemory)
{
    struct wire *large = begin_echo(false);

    expect_ok(control, "CONFIG SET maxmemory-clients 1%"); /* 655 KiB */
    expect_end(large);
    info_wait(control, "evicted_clients", 1);
    wire_close(large);
}
END_TEST

/* Elements in the list and in the replies: what was pushed. */
static int elements_given(struct wire *const *wires, int count)
{
    struct text reply = { 0 };
    int given = 0;

    for (int i = 0; i < count; i++)
        given += wire_wait(wires[i], 0) && wire_read(wires[i], &reply) == 1;
    text_finish(&reply);
    return given;
}

START_TEST(a_waiting_client_that_was_evicted_takes_no_element)
{
    enum { WAITING = 4, ROUNDS = 20 };
    struct wire *wires[WAITING];
    struct text request = { 0 };

    text_add_string(&request, "BLPOP list 0\r\n*2\r\n$4\r\nECHO\r\n$900000\r\n");
    text_add_filler(&request, 60000); /* read with the first request, and waits behind it */
    for (int round = 0; round < ROUNDS; round++) {
        int64_t evicted = info_number(control, "evicted_clients");

        for (int i = 0; i < WAITING; i++) {
            wires[i] = wire_open(&server);
            ck_assert_int_eq(wire_send(wires[i], request.bytes, request.size), 0);
        }
        info_wait(control, "blocked_clients", WAITING);
        expect_ok(control, "CONFIG SET maxmemory-clients 1"); /* 128 KiB */
        for (int i = 0; i < WAITING; i++) /* who is served, and was not evicted, takes one */
            (void)ask_integer(control, "RPUSH list x");
        info_wait_least(control, "evicted_clients", evicted + 1);
        expect_ok(control, "CONFIG SET maxmemory-clients 0");
        ck_assert_int_eq(ask_integer(control, "LLEN list") + elements_given(wires, WAITING),
                         WAITING);
        for (int i = 0; i < WAITING; i++)
            wire_close(wires[i]);
        info_wait(control, "connected_clients", 1);
        (void)ask_integer(control, "DEL list");
    }
    text_finish(&request);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eviction");
    TCase *tcase = suite_case(suite, "eviction");

    tcase_add_checked_fixture(tcase, start_server, stop_server);
    tcase_add_test(tcase, who_holds_most_is_evicted_and_who_is_exempt_is_not);
    tcase_add_test(tcase, below_the_limit_nobody_is_evicted);
    tcase_add_test(tcase, the_limit_may_be_a_share_of_maxmemory);
    tcase_add_test(tcase, a_waiting_client_that_was_evicted_takes_no_element);
    return suite_run(suite);
}
