/* Answers that wait for a ticket: nothing of them leaves before, all of them after. */
#include "server/net/testing.h"

/* One who has sent that, and whose answer waits for ticket 1. */
static int ask(const char *request)
{
    int fd = testing_connect();

    testing.ticket = 1;
    testing_send(fd, request);
    testing_expect_silence(fd);
    return fd;
}

START_TEST(answers_wait_for_their_ticket)
{
    int fd = ask("LEN abc\r\n");

    ck_assert_uint_eq(testing_info().held_clients, 1);
    net_release(testing.net, 1);
    testing_expect(fd, ":3\r\n");
    ck_assert_uint_eq(testing_info().held_clients, 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(of_two_tickets_the_first_lets_only_its_own_answers_go)
{
    int fd = ask("LEN a\r\n");

    testing_send(fd, "LEN ab\r\n");
    testing_expect_silence(fd);
    testing.ticket = 2;
    testing_send(fd, "LEN abc\r\nLEN abcd\r\n");
    testing_expect_silence(fd);
    net_release(testing.net, 1);
    testing_expect(fd, ":1\r\n:2\r\n");
    testing_expect_silence(fd);
    net_release(testing.net, 2);
    testing_expect(fd, ":3\r\n:4\r\n");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(an_answer_does_not_overtake_one_that_waits)
{
    int fd = ask("LEN a\r\n");

    testing.ticket = 0;
    testing_send(fd, "LEN ab\r\n");
    testing_expect_silence(fd);
    net_release(testing.net, 1);
    testing_expect(fd, ":1\r\n:2\r\n");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* The socket is full of what may leave; what waits is behind it. */
START_TEST(a_full_socket_and_a_ticket_do_not_mix)
{
    enum { BYTES = 6 << 20, HEAD = sizeof("$6291456\r\n") - 1 };
    char *bytes = malloc(HEAD + BYTES + 2);
    int fd = testing_connect();

    ck_assert_ptr_nonnull(bytes);
    testing_send(fd, "ADD 6291456\r\n");
    testing_turns(10);
    testing.ticket = 1;
    testing_send(fd, "LEN a\r\n");
    testing_receive(fd, bytes, HEAD + BYTES + 2);
    testing_until(testing.requests == 2);
    testing_expect_silence(fd);
    net_release(testing.net, 1);
    testing_expect(fd, ":1\r\n");
    ck_assert_int_eq(close(fd), 0);
    free(bytes);
}
END_TEST

START_TEST(a_large_answer_waits_whole)
{
    enum { BYTES = 1 << 20, HEAD = sizeof("$1048576\r\n") - 1 };
    char *bytes = malloc(HEAD + BYTES + 2);
    int fd = ask("ADD 1048576\r\n");

    ck_assert_ptr_nonnull(bytes);
    net_release(testing.net, 1);
    testing_receive(fd, bytes, HEAD + BYTES + 2);
    ck_assert_int_eq(bytes[HEAD], 'x');
    ck_assert_int_eq(close(fd), 0);
    free(bytes);
}
END_TEST

START_TEST(a_streamed_answer_goes_on_as_tickets_are_released)
{
    enum { PIECES = 20 };
    char *bytes = malloc((size_t)PIECES * TESTING_PIECE_BYTES);
    int fd = ask("STREAM 20\r\n");

    ck_assert_ptr_nonnull(bytes);
    for (unsigned i = 0; i < PIECES; i++) {
        net_release(testing.net, testing.ticket++);
        testing_receive(fd, bytes, TESTING_PIECE_BYTES);
        ck_assert_int_eq(bytes[0], 'a' + (int)((PIECES - i) % 26));
        testing_turns(3);
    }
    ck_assert_uint_eq(testing.producers_destroyed, 1);
    ck_assert_int_eq(close(fd), 0);
    free(bytes);
}
END_TEST

START_TEST(who_quits_gets_the_answer_first)
{
    int fd = ask("QUIT\r\n");

    net_release(testing.net, 1);
    testing_expect(fd, "+OK\r\n");
    testing_expect_closed(fd);
}
END_TEST

START_TEST(what_will_not_come_true_is_not_told)
{
    int waiting = ask("LEN abc\r\n"), other;

    testing.ticket = 0;
    other = testing_connect();
    net_close_held(testing.net);
    testing_expect_closed(waiting);
    testing_send(other, "PING\r\n");
    testing_expect(other, "+PONG\r\n");
    ck_assert_uint_eq(testing_info().held_clients, 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(a_client_may_go_while_its_answer_waits)
{
    int fd = ask("LEN abc\r\n");

    testing_reset(fd);
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing_info().held_clients, 0);
    net_release(testing.net, 1);
    testing_turns(2);
}
END_TEST

static void no_memory_for_clients(struct net_limits *limits)
{
    limits->clients_memory_bytes = 1;
}

/* What it popped would be lost with its answer. */
START_TEST(who_is_evicted_gets_what_it_was_answered_first)
{
    int fd = ask("LEN abc\r\n");

    testing_change_limits(no_memory_for_clients);
    testing_until(testing_info().evicted_clients == 1);
    testing_send(fd, "LEN abcd\r\n");
    testing_expect_silence(fd);
    ck_assert_uint_eq(testing.closed, 0);
    net_release(testing.net, 1);
    testing_expect(fd, ":3\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing.requests, 1);
    ck_assert_uint_eq(testing_info().evicted_clients, 1);
}
END_TEST

START_TEST(who_has_quit_is_not_evicted_before_its_answers_leave)
{
    int other = testing_connect(), fd = ask("LEN abc\r\nQUIT\r\n");

    testing_change_limits(no_memory_for_clients);
    testing_until(testing_info().evicted_clients == 1);
    testing_expect_closed(other);
    testing_turns(5);
    net_release(testing.net, 1);
    testing_expect(fd, ":3\r\n+OK\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing_info().evicted_clients, 1);
}
END_TEST

START_TEST(who_leaves_and_does_not_read_is_evicted_in_the_end)
{
    int fd = ask("ADD 6291456\r\n");

    testing_change_limits(no_memory_for_clients);
    testing_until(testing_info().evicted_clients == 1);
    net_release(testing.net, 1);
    testing_until(testing.closed == 1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_is_flushed_amid_a_turn_leaves_before_the_rest)
{
    int fd = testing_connect();
    uint64_t writes;

    testing_send(fd, "LEN a\r\n");
    testing_expect(fd, ":1\r\n");
    writes = testing_info().writes;
    testing_send(fd, "LEN ab\r\nLEN abc\r\nFLUSH\r\nLEN abcd\r\n");
    testing_expect(fd, ":2\r\n:3\r\n+OK\r\n:4\r\n");
    ck_assert_uint_eq(testing_info().writes - writes, 2);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_is_flushed_amid_a_turn_waits_for_its_ticket)
{
    int fd = ask("LEN a\r\nFLUSH\r\nLEN ab\r\n");

    ck_assert_uint_eq(testing_info().held_clients, 1);
    net_release(testing.net, 1);
    testing_expect(fd, ":1\r\n+OK\r\n:2\r\n");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(each_turn_asks_once)
{
    unsigned before = testing.flushes;

    testing_turns(5);
    ck_assert_uint_ge(testing.flushes - before, 5);
    ck_assert_uint_le(testing.flushes - before, 7); /* the last turn of a run has no wait */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hold");
    TCase *cases = test_suite_case(suite, "hold", testing_set_up, testing_tear_down);

    tcase_add_test(cases, answers_wait_for_their_ticket);
    tcase_add_test(cases, of_two_tickets_the_first_lets_only_its_own_answers_go);
    tcase_add_test(cases, an_answer_does_not_overtake_one_that_waits);
    tcase_add_test(cases, a_full_socket_and_a_ticket_do_not_mix);
    tcase_add_test(cases, a_large_answer_waits_whole);
    tcase_add_test(cases, a_streamed_answer_goes_on_as_tickets_are_released);
    tcase_add_test(cases, who_quits_gets_the_answer_first);
    tcase_add_test(cases, what_will_not_come_true_is_not_told);
    tcase_add_test(cases, a_client_may_go_while_its_answer_waits);
    tcase_add_test(cases, who_is_evicted_gets_what_it_was_answered_first);
    tcase_add_test(cases, who_has_quit_is_not_evicted_before_its_answers_leave);
    tcase_add_test(cases, who_leaves_and_does_not_read_is_evicted_in_the_end);
    tcase_add_test(cases, what_is_flushed_amid_a_turn_leaves_before_the_rest);
    tcase_add_test(cases, what_is_flushed_amid_a_turn_waits_for_its_ticket);
    tcase_add_test(cases, each_turn_asks_once);
    return test_suite_run(suite);
}
