/* Clients that wait for elements: how a wait ends, and that nobody who has gone takes one along. */
#include "client-tests/blocking/one_waiter.h"
#include "client-tests/lib/command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VANISHING_ROUNDS = 40 };

/* ---- timeouts ----------------------------------------------------------------------------------
 */

START_TEST(a_wait_with_a_timeout_ends_with_nothing)
{
    expect_text(waiter, "(nil)", "BLPOP k 0.05");
    expect_text(waiter, "(nil)", "BRPOP a b c 0.01");
    expect_text(waiter, "(nil)", "BLMOVE a b LEFT RIGHT 0.01");
    expect_text(waiter, "(nil)", "BRPOPLPUSH a b 0.01");
    expect_text(waiter, "(nil)", "BLMPOP 0.01 2 a b LEFT");
    expect_integer(control, 0, "EXISTS a b c k");
    info_wait(control, "blocked_clients", 0);
}
END_TEST

START_TEST(a_wait_without_timeout_outlasts_one_with)
{
    struct wire *other = wire_open(&server);

    block(waiter, "BLPOP k 0");
    expect_text(other, "(nil)", "BLPOP k 0.05");
    expect_silence(waiter, control);
    expect_integer(control, 1, "RPUSH k x");
    expect_text(waiter, "1) \"k\"\n2) \"x\"", "");
    wire_close(other);
}
END_TEST

START_TEST(whoever_timed_out_is_not_served_later)
{
    expect_text(waiter, "(nil)", "BLPOP k 0.01");
    expect_integer(control, 1, "RPUSH k x");
    expect_silence(waiter, control);
    expect_string(waiter, "x", "LPOP k");
}
END_TEST

/* ---- CLIENT UNBLOCK, CLIENT KILL ---------------------------------------------------------------
 */

START_TEST(unblock_ends_the_wait_as_if_by_timeout)
{
    long long id = ask_integer(waiter, "CLIENT ID");

    expect_integer(control, 0, "CLIENT UNBLOCK %lld", id);
    block(waiter, "BLPOP k 0");
    expect_integer(control, 1, "CLIENT UNBLOCK %lld", id);
    expect_text(waiter, "(nil)", "");
    block(waiter, "BLMOVE k l LEFT RIGHT 0");
    expect_integer(control, 1, "CLIENT UNBLOCK %lld TIMEOUT", id);
    expect_text(waiter, "(nil)", "");
    expect_integer(control, 0, "CLIENT UNBLOCK %lld TIMEOUT", id);
    expect_integer(control, 1, "RPUSH k x");
    expect_integer(control, 1, "LLEN k");
}
END_TEST

START_TEST(unblock_with_error_says_so)
{
    long long id = ask_integer(waiter, "CLIENT ID");

    block(waiter, "BLPOP k 0");
    expect_integer(control, 1, "CLIENT UNBLOCK %lld ERROR", id);
    expect_error(waiter, "UNBLOCKED client unblocked via CLIENT UNBLOCK", "");
    expect_text(waiter, "PONG", "PING");
}
END_TEST

/* Three commands in one packet: no turn of the server's loop lies between them. */
START_TEST(an_element_pushed_right_after_unblock_stays)
{
    char packet[256];
    long long id = ask_integer(waiter, "CLIENT ID");
    int size;

    block(waiter, "BLPOP k 0");
    size = snprintf(packet, sizeof(packet), "CLIENT UNBLOCK %lld\r\nRPUSH k x\r\nLLEN k\r\n", id);
    (void)wire_send(control, packet, (size_t)size);
    expect_integer(control, 1, "");
    expect_integer(control, 1, "");
    expect_integer(control, 1, "");
    expect_text(waiter, "(nil)", "");
}
END_TEST

START_TEST(an_element_pushed_right_after_kill_goes_to_the_next)
{
    struct wire *next = wire_open(&server);
    char packet[256];
    long long id = ask_integer(waiter, "CLIENT ID");
    int size;

    block(waiter, "BLPOP k 0");
    block(next, "BLPOP k 0");
    size = snprintf(packet, sizeof(packet), "CLIENT KILL ID %lld\r\nRPUSH k x\r\nLLEN k\r\n", id);
    (void)wire_send(control, packet, (size_t)size);
    expect_integer(control, 1, "");
    expect_integer(control, 1, "");
    expect_integer(control, 0, "");
    expect_text(next, "1) \"k\"\n2) \"x\"", "");
    expect_end(waiter);
    wire_close(next);
}
END_TEST

START_TEST(a_kill_inside_a_transaction_that_pushes_takes_nothing)
{
    long long id = ask_integer(waiter, "CLIENT ID");

    block(waiter, "BLMOVE k l LEFT RIGHT 0");
    expect_ok(control, "MULTI");
    expect_text(control, "QUEUED", "RPUSH k x");
    expect_text(control, "QUEUED", "CLIENT KILL ID %lld", id);
    expect_text(control, "QUEUED", "RPUSH k y");
    expect_text(control, "1) (integer) 1\n2) (integer) 1\n3) (integer) 2", "EXEC");
    expect_end(waiter);
    expect_text(control, "1) \"x\"\n2) \"y\"", "LRANGE k 0 -1");
    expect_integer(control, 0, "EXISTS l");
}
END_TEST

START_TEST(a_client_that_kills_itself_gets_its_reply_first)
{
    long long id = ask_integer(waiter, "CLIENT ID");

    expect_integer(waiter, 1, "CLIENT KILL ID %lld SKIPME no", id);
    expect_end(waiter);
}
END_TEST

START_TEST(kill_by_type_and_age_of_waiting_clients_frees_them_all)
{
    enum { CLIENTS = 20 };
    struct wire *wires[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = wire_open(&server);
        block(wires[i], i % 2 ? "BLPOP k a 0" : "BLMPOP 0 2 k b LEFT COUNT 2");
    }
    expect_integer(control, CLIENTS + 1, "CLIENT KILL TYPE normal");
    for (int i = 0; i < CLIENTS; i++) {
        expect_end(wires[i]);
        wire_close(wires[i]);
    }
    info_wait(control, "blocked_clients", 0);
    expect_integer(control, 2, "RPUSH k x y");
    expect_integer(control, 2, "LLEN k");
}
END_TEST

/* ---- clients that vanish ------------------------------------------------------------------------
 */

enum vanishing { POLITELY, WITH_RESET, HALF_CLOSED, VANISHINGS };

static struct wire *vanish(struct wire *wire, enum vanishing how)
{
    if (how == HALF_CLOSED) {
        wire_half_close(wire);
        return wire; /* still open on our side */
    }
    if (how == WITH_RESET) {
        wire_reset(wire);
    } else {
        wire_close(wire);
    }
    return NULL;
}

/* The push may well reach the server in the same turn of its loop as the news that the waiting
 * client has gone: on this host the end of a connection is there before the push is sent. */
START_TEST(a_client_that_has_vanished_swallows_no_element)
{
    for (int i = 0; i < VANISHING_ROUNDS; i++) {
        struct wire *gone = wire_open(&server);
        block(gone, "BLPOP k 0");
        gone = vanish(gone, (enum vanishing)_i);
        expect_integer(control, 1, "RPUSH k x");
        info_wait(control, "blocked_clients", 0);
        expect_integer(control, 1, "LLEN k");
        expect_string(control, "x", "LPOP k");
        if (gone) expect_end(gone);
        wire_close(gone);
    }
}
END_TEST

START_TEST(the_next_in_line_gets_what_a_vanished_client_would_have)
{
    for (int i = 0; i < VANISHING_ROUNDS; i++) {
        struct wire *gone = wire_open(&server);
        block(gone, "BLMPOP 0 1 k LEFT COUNT 5");
        block(waiter, "BLPOP k 0");
        gone = vanish(gone, (enum vanishing)_i);
        expect_integer(control, 1, "RPUSH k x");
        expect_text(waiter, "1) \"k\"\n2) \"x\"", "");
        expect_integer(control, 0, "EXISTS k");
        wire_close(gone);
        info_wait(control, "blocked_clients", 0);
    }
}
END_TEST

START_TEST(a_client_that_vanishes_mid_command_changes_nothing)
{
    static const char request[] = "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$5\r\nabcde\r\n";

    for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
        struct wire *gone = wire_open(&server);
        (void)wire_send(gone, request, cut);
        (void)wire_close(vanish(gone, (enum vanishing)_i));
    }
    info_wait(control, "connected_clients", 2);
    expect_integer(control, 0, "EXISTS k");
}
END_TEST

START_TEST(a_half_closed_client_gets_the_replies_to_what_it_sent)
{
    struct text request = { 0 };

    for (int i = 0; i < 1000; i++)
        text_add_string(&request, "RPUSH k x\r\n");
    (void)wire_send(waiter, request.bytes, request.size);
    wire_half_close(waiter);
    for (int i = 1; i <= 1000; i++)
        expect_integer(waiter, i, "");
    expect_end(waiter);
    expect_integer(control, 1000, "LLEN k");
    text_finish(&request);
}
END_TEST

/* ---- many --------------------------------------------------------------------------------------
 */

START_TEST(many_waiting_clients_are_served_in_their_order)
{
    enum { CLIENTS = 300 };
    static struct wire *wires[CLIENTS];
    struct text reply = { 0 };

    for (int i = 0; i < CLIENTS; i++) {
        wires[i] = wire_open(&server);
        block(wires[i], i % 3 ? "BLPOP other k 0" : "BLMOVE k served LEFT RIGHT 0");
    }
    for (int i = 0; i < CLIENTS; i += 100) {
        struct text push = { 0 };
        command_begin(&push, 102);
        command_add_string(&push, "RPUSH");
        command_add_string(&push, "k");
        for (int element = i; element < i + 100; element++)
            command_add_number(&push, element);
        (void)wire_send(control, push.bytes, push.size);
        expect_integer(control, 100, "");
        text_finish(&push);
    }
    for (int i = 0; i < CLIENTS; i++) {
        struct text expected = { 0 };
        text_clear(&reply);
        ck_assert_int_eq(wire_read(wires[i], &reply), 1);
        text_format(&expected, "\r\n%d\r\n", i);
        ck_assert_msg(strstr(text_string(&reply), text_string(&expected)) != NULL,
                      "client %d got %s", i, text_string(&reply));
        text_finish(&expected);
        wire_close(wires[i]);
    }
    expect_integer(control, 0, "EXISTS k");
    expect_integer(control, CLIENTS / 3, "LLEN served");
    info_wait(control, "blocked_clients", 0);
    text_finish(&reply);
}
END_TEST

START_TEST(a_client_may_wait_for_many_keys)
{
    enum { KEYS = 5000 };
    struct text command = { 0 };

    command_begin(&command, KEYS + 2);
    command_add_string(&command, "BLPOP");
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%d", i);
        command_add_string(&command, key);
    }
    command_add_string(&command, "0");
    (void)wire_send(waiter, command.bytes, command.size);
    info_wait(control, "total_blocking_keys", KEYS);
    expect_integer(control, 1, "RPUSH key4999 x");
    expect_text(waiter, "1) \"key4999\"\n2) \"x\"", "");
    info_wait(control, "total_blocking_keys", 0);
    text_finish(&command);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting");
    TCase *tcase = one_waiter_case(suite, "waiting");

    tcase_add_test(tcase, a_wait_with_a_timeout_ends_with_nothing);
    tcase_add_test(tcase, a_wait_without_timeout_outlasts_one_with);
    tcase_add_test(tcase, whoever_timed_out_is_not_served_later);
    tcase_add_test(tcase, unblock_ends_the_wait_as_if_by_timeout);
    tcase_add_test(tcase, unblock_with_error_says_so);
    tcase_add_test(tcase, an_element_pushed_right_after_unblock_stays);
    tcase_add_test(tcase, an_element_pushed_right_after_kill_goes_to_the_next);
    tcase_add_test(tcase, a_kill_inside_a_transaction_that_pushes_takes_nothing);
    tcase_add_test(tcase, a_client_that_kills_itself_gets_its_reply_first);
    tcase_add_test(tcase, kill_by_type_and_age_of_waiting_clients_frees_them_all);
    tcase_add_loop_test(tcase, a_client_that_has_vanished_swallows_no_element, 0, VANISHINGS);
    tcase_add_loop_test(tcase, the_next_in_line_gets_what_a_vanished_client_would_have, 0,
                        VANISHINGS);
    tcase_add_loop_test(tcase, a_client_that_vanishes_mid_command_changes_nothing, 0, VANISHINGS);
    tcase_add_test(tcase, a_half_closed_client_gets_the_replies_to_what_it_sent);
    tcase_add_test(tcase, many_waiting_clients_are_served_in_their_order);
    tcase_add_test(tcase, a_client_may_wait_for_many_keys);
    return suite_run(suite);
}
