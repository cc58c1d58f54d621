/* What bounds memory and time of input: requests that share the memory for it, and idle clients. */
#include "server/net/testing.h"

/* ---- input ---- */

static void input_of_600_kib(struct net_limits *limits)
{
    limits->input_memory_bytes = 600 * 1024;
}

/* One at a time, the oldest of those for whom there is none, exceeds it. */
START_TEST(large_requests_share_the_memory_for_input_first_come_first_served)
{
    enum { CLIENTS = 4, BYTES_MAX = (600 + 410) * 1024 };
    int fds[CLIENTS];
    size_t size;
    char *request = testing_bulk_request("LEN", 400 * 1024, &size);

    testing_change_limits(input_of_600_kib);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = testing_connect();
        testing_send_bytes(fds[i], request, 20000); /* the size is known from here on */
        testing_turns(3);
    }
    ck_assert_uint_le(testing_info().heap_input_bytes, BYTES_MAX);
    ck_assert_uint_ge(testing_info().reads_deferred, CLIENTS - 1);
    for (int i = 0; i < CLIENTS; i++) {
        testing_send_bytes(fds[i], request + 20000, size - 20000);
        testing_expect(fds[i], ":409600\r\n");
        ck_assert_uint_le(testing_info().heap_input_bytes, BYTES_MAX);
    }
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(close(fds[i]), 0);
    free(request);
}
END_TEST

/* Neither who has the memory and does not go on, nor what waits above. */
START_TEST(the_oldest_goes_on_whoever_holds_the_memory)
{
    enum { HELD_BYTES = 190 * 1024 };
    size_t size;
    char *request = testing_bulk_request("LEN", 400 * 1024, &size);
    int first, second, third;

    testing_change_limits(input_of_600_kib);
    first = testing_connect();
    testing_send_bytes(first, request, 20000);
    testing_turns(3);
    net_hold_input(testing.net, HELD_BYTES);
    second = testing_connect();
    testing_send_bytes(second, request, 20000);
    testing_turns(3);
    third = testing_connect();
    testing_send_bytes(third, request, 20000);
    testing_turns(3);
    testing_send_bytes(second, request + 20000, size - 20000);
    testing_expect(second, ":409600\r\n");
    testing_send_bytes(third, request + 20000, size - 20000);
    testing_expect(third, ":409600\r\n");
    net_hold_input(testing.net, -HELD_BYTES);
    testing_send_bytes(first, request + 20000, size - 20000);
    testing_expect(first, ":409600\r\n");
    ck_assert_int_eq(close(first), 0);
    ck_assert_int_eq(close(second), 0);
    ck_assert_int_eq(close(third), 0);
    free(request);
}
END_TEST

/* With what waits above it would be more than there is. */
START_TEST(nobody_exceeds_the_memory_while_too_much_waits_above)
{
    enum { HELD_BYTES = 300 * 1024 };
    size_t size;
    char *request = testing_bulk_request("LEN", 400 * 1024, &size);
    int fd;

    testing_change_limits(input_of_600_kib);
    net_hold_input(testing.net, HELD_BYTES);
    fd = testing_connect();
    testing_send_bytes(fd, request, size);
    testing_turns(20);
    ck_assert_uint_eq(testing.requests, 0);
    ck_assert_uint_le(testing_info().heap_input_bytes, 100 * 1024);
    net_hold_input(testing.net, -HELD_BYTES);
    testing_expect(fd, ":409600\r\n");
    ck_assert_int_eq(close(fd), 0);
    free(request);
}
END_TEST

START_TEST(a_deferred_client_that_vanishes_is_noticed_and_the_next_goes_on)
{
    size_t size;
    char *request = testing_bulk_request("LEN", 400 * 1024, &size);
    int first, second, third;

    testing_change_limits(input_of_600_kib);
    first = testing_connect();
    testing_send_bytes(first, request, 20000);
    testing_turns(3);
    second = testing_connect();
    testing_send_bytes(second, request, 20000);
    testing_turns(3);
    third = testing_connect();
    testing_send_bytes(third, request, 20000);
    testing_turns(3);
    testing_reset(second);
    testing_until(testing.closed == 1);
    testing_send_bytes(first, request + 20000, size - 20000);
    testing_expect(first, ":409600\r\n");
    testing_send_bytes(third, request + 20000, size - 20000);
    testing_expect(third, ":409600\r\n");
    ck_assert_int_eq(close(first), 0);
    ck_assert_int_eq(close(third), 0);
    free(request);
}
END_TEST

START_TEST(small_requests_are_read_while_there_is_no_memory)
{
    enum { HELD_BYTES = 650 * 1024, PINGS = 2000 };
    size_t size;
    char *request = testing_bulk_request("LEN", 400 * 1024, &size);
    int large = testing_connect(), small = testing_connect();

    testing_change_limits(input_of_600_kib);
    net_hold_input(testing.net, HELD_BYTES);
    testing_send_bytes(large, request, 20000);
    testing_turns(3);
    for (int i = 0; i < PINGS; i++)
        testing_send(small, "*1\r\n$4\r\nPING\r\n");
    for (int i = 0; i < PINGS; i++)
        testing_expect(small, "+PONG\r\n");
    ck_assert_uint_eq(testing.requests, PINGS);
    ck_assert_uint_le(testing_info().heap_input_bytes, 4 * 1024);
    net_hold_input(testing.net, -HELD_BYTES);
    testing_send_bytes(large, request + 20000, size - 20000);
    testing_expect(large, ":409600\r\n");
    ck_assert_int_eq(close(large), 0);
    ck_assert_int_eq(close(small), 0);
    free(request);
}
END_TEST

/* Each holds a piece of a request of many arguments whose size nobody knows, and wants more. */
START_TEST(when_all_wait_for_memory_one_after_the_other_goes_on)
{
    enum { CLIENTS = 4, PIECES = 40 };
    static char piece[10000 + 32];
    int fds[CLIENTS], piece_size = snprintf(piece, 32, "$10000\r\n");
    unsigned answered = 0;

    memset(piece + piece_size, 'z', 10000);
    piece[piece_size + 10000] = '\r';
    piece[piece_size + 10001] = '\n';
    testing_change_limits(input_of_600_kib);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = testing_connect();
        testing_send(fds[i], "*41\r\n$4\r\nPING\r\n");
    }
    for (int sent = 0; sent < PIECES; sent++) {
        for (int i = 0; i < CLIENTS; i++) {
            testing_send_bytes(fds[i], piece, (size_t)piece_size + 10002);
        }
        testing_turns(1);
        ck_assert_uint_le(testing_info().heap_input_bytes, 2 * 600 * 1024);
    }
    testing_until(testing.requests == CLIENTS);
    testing_turns(3);
    for (int i = 0; i < CLIENTS; i++) {
        answered += testing_drain(fds[i]) == 7;
        ck_assert_int_eq(close(fds[i]), 0);
    }
    ck_assert_uint_eq(answered, CLIENTS);
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
}
END_TEST

START_TEST(parked_clients_holding_all_the_memory_do_not_stop_the_others)
{
    enum { PARKED = 12 };
    static char words[60001];
    int fds[PARKED], other;

    (void)snprintf(words, sizeof(words), "BLOCK\r\n%59987s\r\n", "PING");
    ck_assert_uint_eq(strlen(words), 59996);
    testing_change_limits(input_of_600_kib);
    for (int i = 0; i < PARKED; i++) {
        fds[i] = testing_connect();
        testing_send(fds[i], words);
        testing_turns(2);
    }
    other = testing_connect();
    for (int i = 0; i < 10; i++) {
        testing_send(other, "PING\r\n");
        testing_expect(other, "+PONG\r\n");
    }
    ck_assert_uint_le(testing_info().heap_input_bytes, 800 * 1024);
    for (int i = 0; i < PARKED; i++)
        ck_assert_int_eq(close(fds[i]), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(a_request_above_all_the_memory_for_input_is_refused_at_its_size)
{
    int fd = testing_connect();

    testing_change_limits(input_of_600_kib);
    testing_send(fd, "*2\r\n$3\r\nLEN\r\n$700000\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing_info().query_buffer_limit_closes, 1);
}
END_TEST

static void query_buffer_of_1_mib(struct net_limits *limits)
{
    limits->query_buffer_bytes_max = 1 << 20;
}

START_TEST(a_request_above_the_query_buffer_limit_is_closed_without_answer)
{
    int fd = testing_connect();

    testing_change_limits(query_buffer_of_1_mib);
    testing_send(fd, "PING\r\n*2\r\n$3\r\nLEN\r\n$1048576\r\n");
    testing_expect(fd, "+PONG\r\n");
    testing_expect_closed(fd);
    ck_assert_uint_eq(testing_info().query_buffer_limit_closes, 1);
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
}
END_TEST

static void bulks_of_1000(struct net_limits *limits)
{
    limits->bulk_bytes_max = 1000;
}

START_TEST(limits_change_live)
{
    int fd = testing_connect();

    testing_send(fd, "PING\r\n");
    testing_expect(fd, "+PONG\r\n");
    testing_change_limits(bulks_of_1000);
    testing_send(fd, "*2\r\n$3\r\nLEN\r\n$1001\r\n");
    testing_expect(fd, "-ERR Protocol error: invalid bulk length\r\n");
    testing_expect_closed(fd);
}
END_TEST

/* ---- idle ---- */

static void idle_of_1_second(struct net_limits *limits)
{
    limits->idle_timeout_s = 1;
}

START_TEST(the_idle_are_closed_unless_exempt_or_busy)
{
    uint64_t idle_id, exempt_id, blocked_id;
    int idle = testing_connect_id(&idle_id), exempt = testing_connect_id(&exempt_id);
    int blocked = testing_connect_id(&blocked_id), busy = testing_connect();

    testing_change_limits(idle_of_1_second);
    client_set_idle_exempt(net_client_by_id(testing.net, exempt_id), true);
    testing_send(blocked, "BLOCK\r\n");
    for (unsigned closed = testing.closed; testing.closed == closed;) {
        testing_send(busy, "PING\r\n");
        testing_expect(busy, "+PONG\r\n");
        testing_turns(1);
    }
    ck_assert_uint_eq(testing.closed, 1);
    ck_assert_uint_eq(testing_info().idle_closes, 1);
    testing_expect_closed(idle);
    ck_assert_ptr_nonnull(net_client_by_id(testing.net, exempt_id));
    ck_assert_ptr_nonnull(net_client_by_id(testing.net, blocked_id));
    ck_assert_int_eq(close(exempt), 0);
    ck_assert_int_eq(close(blocked), 0);
    ck_assert_int_eq(close(busy), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net limits: input");
    TCase *input = test_suite_case(suite, "input", testing_set_up, testing_tear_down);
    TCase *idle = test_suite_case(suite, "idle", testing_set_up, testing_tear_down);

    tcase_add_test(input, large_requests_share_the_memory_for_input_first_come_first_served);
    tcase_add_test(input, a_deferred_client_that_vanishes_is_noticed_and_the_next_goes_on);
    tcase_add_test(input, small_requests_are_read_while_there_is_no_memory);
    tcase_add_test(input, when_all_wait_for_memory_one_after_the_other_goes_on);
    tcase_add_test(input, the_oldest_goes_on_whoever_holds_the_memory);
    tcase_add_test(input, nobody_exceeds_the_memory_while_too_much_waits_above);
    tcase_add_test(input, parked_clients_holding_all_the_memory_do_not_stop_the_others);
    tcase_add_test(input, a_request_above_all_the_memory_for_input_is_refused_at_its_size);
    tcase_add_test(input, a_request_above_the_query_buffer_limit_is_closed_without_answer);
    tcase_add_test(input, limits_change_live);
    tcase_add_test(idle, the_idle_are_closed_unless_exempt_or_busy);
    return test_suite_run(suite);
}
