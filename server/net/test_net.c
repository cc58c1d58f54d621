/* One connection's life: requests in, answers out, parked, half-closed, killed. */
#include "server/net/testing.h"

/* ---- requests and answers ---- */

START_TEST(a_request_is_answered)
{
    int fd = testing_connect();

    testing_send(fd, "*1\r\n$4\r\nPING\r\n");
    testing_expect(fd, "+PONG\r\n");
    testing_send(fd, "LEN abc\r\n");
    testing_expect(fd, ":3\r\n");
    ck_assert_int_eq(close(fd), 0);
    testing_until(testing.closed == 1);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order_with_few_system_calls)
{
    enum { COUNT = 2000 };
    static char requests[COUNT * 16], replies[COUNT * 16];
    size_t sent = 0, expected = 0;
    int fd = testing_connect();

    for (unsigned i = 0; i < COUNT; i++) {
        sent += (size_t)snprintf(requests + sent, 16, "LEN %.*s\r\n", (int)(i % 8), "abcdefgh");
        expected += (size_t)snprintf(replies + expected, 16, ":%u\r\n", i % 8 ? i % 8 : 1);
    }
    testing_send(fd, requests);
    testing_expect(fd, replies);
    ck_assert_uint_eq(testing.requests, COUNT);
    ck_assert_uint_le(testing_info().reads, 20);
    ck_assert_uint_le(testing_info().writes, 20);
    ck_assert_uint_eq(testing_info().input_bytes, sent);
    ck_assert_uint_eq(testing_info().output_bytes, expected);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = "*2\r\n$3\r\nLEN\r\n$11\r\nhello\r\nworl\r\nLEN 'a b'\r\n";
    int fd = testing_connect();

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        testing_send_bytes(fd, request + i, 1);
        testing_turns(2);
    }
    testing_expect(fd, ":11\r\n:3\r\n");
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(requests_cut_anywhere_by_reads_come_out_whole)
{
    /* Sizes around the read buffer's, the headroom's and a large request's. */
    static const size_t sizes[] = { 0,     1,     100,   16000, 16383, 16384,
                                    16385, 40000, 65536, 65537, 200000 };
    int fd = testing_connect();

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            char reply[32];
            size_t size;
            char *request = testing_bulk_request("LEN", sizes[i], &size);
            testing_send_bytes(fd, request, size);
            testing_send(fd, "PING\r\n");
            free(request);
            (void)snprintf(reply, sizeof(reply), ":%zu\r\n+PONG\r\n", sizes[i]);
            if (round == 0) testing_expect(fd, reply);
        }
    }
    testing_until(testing.requests == 3 * 2 * sizeof(sizes) / sizeof(*sizes));
    testing_turns(2);
    ck_assert_uint_gt(testing_drain(fd), 0);
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(empty_requests_are_ignored)
{
    int fd = testing_connect();

    testing_send(fd, "*0\r\n\r\n*-1\r\n   \r\nPING\r\n");
    testing_expect(fd, "+PONG\r\n");
    testing_expect_silence(fd);
    ck_assert_uint_eq(testing.requests, 1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_protocol_error_is_told_after_the_answers_before_it_and_closes)
{
    int fd = testing_connect();

    testing_send(fd, "PING\r\n*1\r\nPING\r\nPING\r\n");
    testing_expect(fd, "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing.requests, 1);
}
END_TEST

START_TEST(trust_changes_between_two_requests_of_one_read)
{
    int fd = testing_connect();

    testing_send(fd, "*11\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
                     "$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
                     "TRUST 0\r\n*11\r\n");
    testing_expect(fd, "+PONG\r\n+OK\r\n-ERR Protocol error: unauthenticated multibulk length\r\n");
    testing_expect_closed(fd);
}
END_TEST

START_TEST(an_answer_of_many_megabytes_arrives_however_late_it_is_read)
{
    enum { BYTES = 20 << 20 };
    char *received = malloc(BYTES + 64);
    int fd = testing_connect();

    ck_assert_ptr_nonnull(received);
    testing_send(fd, "ADD 20971520\r\nPING\r\n");
    testing_turns(20);
    testing_receive(fd, received, 11 + BYTES + 2 + 7);
    ck_assert_mem_eq(received, "$20971520\r\nxxx", 14);
    ck_assert_mem_eq(received + 11 + BYTES, "\r\n+PONG\r\n", 9);
    testing_turns(2);
    ck_assert_uint_eq(testing_info().pool_used_bytes, 0);
    ck_assert_uint_eq(testing_info().heap_output_bytes, 0);
    free(received);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* ---- parked ---- */

static void wake(int fd, uint64_t id)
{
    char request[64];

    (void)snprintf(request, sizeof(request), "WAKE %llu\r\n", (unsigned long long)id);
    testing_send(fd, request);
    testing_expect(fd, "+OK\r\n");
}

START_TEST(what_a_parked_client_sent_waits_until_it_is_unparked)
{
    uint64_t id;
    int parked = testing_connect_id(&id), other = testing_connect();

    testing_send(parked, "PING\r\nPARK\r\nLEN ab\r\nPARK\r\nLEN abc\r\n");
    testing_expect(parked, "+PONG\r\n");
    testing_expect_silence(parked);
    testing_send(parked, "LEN abcd\r\n");
    testing_expect_silence(parked);
    wake(other, id);
    testing_expect(parked, "+WOKEN\r\n:2\r\n");
    testing_expect_silence(parked);
    wake(other, id);
    testing_expect(parked, "+WOKEN\r\n:3\r\n:4\r\n");
    ck_assert_int_eq(close(parked), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(a_parked_client_sends_much_and_the_loop_still_sleeps)
{
    enum { BYTES = 3 << 20 };
    uint64_t id, turns;
    size_t size;
    char *request = testing_bulk_request("LEN", BYTES, &size);
    int parked = testing_connect_id(&id), other = testing_connect();
    ssize_t sent;

    testing_send(parked, "BLOCK\r\n");
    testing_turns(5);
    sent = send(parked, request, size, MSG_NOSIGNAL); /* as much as the socket takes */
    ck_assert_int_gt(sent, 100000);
    testing_turns(5);
    ck_assert_uint_le(testing_info().heap_input_bytes, 65536);
    turns = testing_info().turns;
    testing_turns(10); /* each is one wait, if nobody wakes the loop for nothing */
    ck_assert_uint_le(testing_info().turns - turns, 12);
    ck_assert_uint_le(testing_info().reads, 2);
    wake(other, id);
    testing_expect(parked, "+WOKEN\r\n");
    testing_send_bytes(parked, request + sent, size - (size_t)sent);
    testing_expect(parked, ":3145728\r\n");
    free(request);
    ck_assert_int_eq(close(parked), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

/* How the peer of a blocked client goes: [data before][reset instead of end]. */
START_TEST(a_blocked_client_that_vanishes_is_noticed)
{
    bool sends_more = _i & 1, resets = _i & 2, is_quiet_before = _i & 4;
    int fd = testing_connect();

    testing_send(fd, "BLOCK\r\n");
    testing_until(testing.requests == 1);
    if (sends_more) testing_send(fd, "PING\r\nPING\r\n");
    if (is_quiet_before) testing_turns(5);
    if (resets) {
        testing_reset(fd);
    } else {
        ck_assert_int_eq(close(fd), 0);
    }
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing.requests, 1);
}
END_TEST

START_TEST(a_blocked_client_that_only_ends_its_input_is_gone_as_in_redis)
{
    int fd = testing_connect();

    testing_send(fd, "BLOCK\r\n");
    testing_until(testing.requests == 1);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    testing_expect_closed(fd);
}
END_TEST

START_TEST(who_is_parked_for_our_sake_and_ends_its_input_gets_its_answers)
{
    uint64_t id;
    int fd = testing_connect_id(&id), other = testing_connect();

    testing_send(fd, "PARK\r\nLEN ab\r\n");
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    testing_expect_silence(fd);
    wake(other, id);
    testing_expect(fd, "+WOKEN\r\n:2\r\n");
    testing_expect_closed(fd);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(requests_before_the_end_of_input_are_answered)
{
    int fd = testing_connect();

    testing_send(fd, "PING\r\nLEN ab\r\nPI");
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    testing_expect(fd, "+PONG\r\n:2\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing.closed, 1);
}
END_TEST

START_TEST(a_large_answer_is_sent_whole_after_the_end_of_input)
{
    char *received = malloc(9 << 20);
    int fd = testing_connect();

    ck_assert_ptr_nonnull(received);
    testing_send(fd, "ADD 8388608\r\n");
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    testing_turns(10);
    testing_receive(fd, received, 10 + 8388608 + 2);
    testing_expect_closed(fd);
    free(received);
}
END_TEST

START_TEST(quit_answers_and_takes_nothing_more)
{
    int fd = testing_connect();

    testing_send(fd, "QUIT\r\nPING\r\n");
    testing_expect(fd, "+OK\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing.requests, 1);
}
END_TEST

static void kill_client(int fd, uint64_t id)
{
    char request[64];

    (void)snprintf(request, sizeof(request), "KILL %llu\r\n", (unsigned long long)id);
    testing_send(fd, request);
}

START_TEST(a_client_killed_by_another_is_closed_whatever_it_does)
{
    static const char *const states[] = { "PING\r\n",
                                          "PARK\r\n",
                                          "BLOCK\r\nPING\r\n",
                                          "PIN",
                                          "STREAM 1000\r\n",
                                          "ADD 9000000\r\n",
                                          "*2\r\n$3\r\nLEN\r\n$9000000\r\n" };
    uint64_t id;
    int victim = testing_connect_id(&id), other = testing_connect();

    testing_send(victim, states[_i]);
    testing_turns(5);
    kill_client(other, id);
    testing_expect(other, "+OK\r\n");
    testing_until(testing.closed == 1);
    ck_assert_ptr_null(net_client_by_id(testing.net, id));
    ck_assert_uint_eq(testing_info().clients_connected, 1);
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
    ck_assert_uint_eq(testing_info().pool_used_bytes, 0);
    (void)testing_drain(victim);
    testing_expect_closed(victim);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(a_client_may_kill_itself_amid_its_requests)
{
    uint64_t id;
    int fd = testing_connect_id(&id);

    kill_client(fd, id);
    testing_send(fd, "PING\r\nPING\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing.requests, 1);
}
END_TEST

START_TEST(a_client_killed_before_its_requests_of_the_same_turn_does_none_of_them)
{
    uint64_t first_id, second_id;
    int first = testing_connect_id(&first_id), second = testing_connect_id(&second_id);

    /* Both are readable in one turn; whoever comes first kills the other. */
    kill_client(first, second_id);
    kill_client(second, first_id);
    testing_turns(3);
    ck_assert_uint_eq(testing.requests, 1);
    ck_assert_uint_eq(testing.closed, 1);
    ck_assert_int_eq(close(first), 0);
    ck_assert_int_eq(close(second), 0);
}
END_TEST

START_TEST(ids_are_never_used_twice_and_all_are_found)
{
    enum { COUNT = 200 };
    int fds[COUNT];
    uint64_t ids[COUNT];

    for (int i = 0; i < COUNT; i++) {
        fds[i] = testing_connect_id(&ids[i]);
        ck_assert(i == 0 || ids[i] > ids[i - 1]);
    }
    for (int i = 0; i < COUNT; i += 2)
        ck_assert_int_eq(close(fds[i]), 0);
    testing_until(testing.closed == COUNT / 2);
    for (int i = 0; i < COUNT; i++) {
        struct client *client = net_client_by_id(testing.net, ids[i]);
        ck_assert((client != NULL) == (i % 2 == 1));
        if (!client) continue;
        ck_assert_uint_eq(client_id(client), ids[i]);
        ck_assert_int_eq(close(fds[i]), 0);
    }
    testing_until(testing.closed == COUNT);
}
END_TEST

static bool count_two(void *context, struct client *client)
{
    client_close(client);
    return ++*(unsigned *)context == 2;
}

START_TEST(a_walk_over_clients_may_close_them_and_stop)
{
    unsigned visited = 0;
    uint64_t ids[3];
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = testing_connect_id(&ids[i]);
    net_each_client(testing.net, count_two, &visited);
    ck_assert_uint_eq(visited, 2);
    testing_until(testing.closed == 2);
    ck_assert_ptr_nonnull(net_client_by_id(testing.net, ids[2]));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(close(fds[i]), 0);
}
END_TEST

START_TEST(what_client_list_shows_is_there)
{
    struct client_buffers buffers;
    struct client *client;
    struct sockaddr_in address = { 0 };
    socklen_t size = sizeof(address);
    char text[64];
    uint64_t id;
    int fd = testing_connect_id(&id);

    client = net_client_by_id(testing.net, id);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    ck_assert_str_eq(client_peer_text(client), text);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)net_tcp_port(testing.net));
    ck_assert_str_eq(client_local_text(client), text);
    ck_assert(!client_is_unix(client));
    ck_assert_ptr_eq(client_net(client), testing.net);
    testing_send(fd, "ADD 9000000\r\nPI");
    testing_turns(5);
    client_buffers(client, &buffers);
    ck_assert_uint_gt(buffers.output_list_bytes, 0);
    ck_assert_uint_gt(buffers.total_bytes, buffers.output_list_bytes);
    ck_assert_uint_eq(buffers.input_used_bytes, 2);
    ck_assert(buffers.wants_write);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(destroying_the_net_closes_everybody)
{
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = testing_connect();
    testing_until(testing.opened == 3);
    testing_send(fds[0], "STREAM 100\r\n");
    testing_send(fds[1], "PARK\r\nPING\r\n");
    testing_send(fds[2], "*2\r\n$3\r\nLEN\r\n$1000000\r\nabc");
    testing_turns(5);
    testing_tear_down();
    ck_assert_uint_eq(testing.closed, 3);
    ck_assert_uint_eq(testing.producers_destroyed, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(close(fds[i]), 0);
    testing_set_up(); /* for the tear-down */
}
END_TEST

static Suite *net_suite(void)
{
    Suite *suite = suite_create("net");
    TCase *requests = test_suite_case(suite, "requests", testing_set_up, testing_tear_down);
    TCase *parked = test_suite_case(suite, "parked", testing_set_up, testing_tear_down);
    TCase *end = test_suite_case(suite, "end", testing_set_up, testing_tear_down);

    tcase_add_test(requests, a_request_is_answered);
    tcase_add_test(requests, pipelined_requests_are_answered_in_order_with_few_system_calls);
    tcase_add_test(requests, a_request_may_come_byte_by_byte);
    tcase_add_test(requests, requests_cut_anywhere_by_reads_come_out_whole);
    tcase_add_test(requests, empty_requests_are_ignored);
    tcase_add_test(requests, a_protocol_error_is_told_after_the_answers_before_it_and_closes);
    tcase_add_test(requests, trust_changes_between_two_requests_of_one_read);
    tcase_add_test(requests, an_answer_of_many_megabytes_arrives_however_late_it_is_read);
    tcase_add_test(requests, what_client_list_shows_is_there);
    tcase_add_test(parked, what_a_parked_client_sent_waits_until_it_is_unparked);
    tcase_add_test(parked, a_parked_client_sends_much_and_the_loop_still_sleeps);
    tcase_add_loop_test(parked, a_blocked_client_that_vanishes_is_noticed, 0, 8);
    tcase_add_test(parked, a_blocked_client_that_only_ends_its_input_is_gone_as_in_redis);
    tcase_add_test(parked, who_is_parked_for_our_sake_and_ends_its_input_gets_its_answers);
    tcase_add_test(end, requests_before_the_end_of_input_are_answered);
    tcase_add_test(end, a_large_answer_is_sent_whole_after_the_end_of_input);
    tcase_add_test(end, quit_answers_and_takes_nothing_more);
    tcase_add_loop_test(end, a_client_killed_by_another_is_closed_whatever_it_does, 0, 7);
    tcase_add_test(end, a_client_may_kill_itself_amid_its_requests);
    tcase_add_test(end, a_client_killed_before_its_requests_of_the_same_turn_does_none_of_them);
    tcase_add_test(end, ids_are_never_used_twice_and_all_are_found);
    tcase_add_test(end, a_walk_over_clients_may_close_them_and_stop);
    tcase_add_test(end, destroying_the_net_closes_everybody);
    return suite;
}

int main(void)
{
    return test_suite_run(net_suite());
}
