/* What bounds memory and time: input and output limits, a dry pool, producers, idle and stalled
 * clients. */
#include "server/net/testing.h"

static void change_limits(void (*change)(struct net_limits *limits))
{
    change(&testing.options.limits);
    net_set_limits(testing.net, &testing.options.limits);
}

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

    change_limits(input_of_600_kib);
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

    change_limits(input_of_600_kib);
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

    change_limits(input_of_600_kib);
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

    change_limits(input_of_600_kib);
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

    change_limits(input_of_600_kib);
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
    change_limits(input_of_600_kib);
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
    change_limits(input_of_600_kib);
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

    change_limits(input_of_600_kib);
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

    change_limits(query_buffer_of_1_mib);
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
    change_limits(bulks_of_1000);
    testing_send(fd, "*2\r\n$3\r\nLEN\r\n$1001\r\n");
    testing_expect(fd, "-ERR Protocol error: invalid bulk length\r\n");
    testing_expect_closed(fd);
}
END_TEST

/* ---- output ---- */

static void hard_limit_of_8_mib(struct net_limits *limits)
{
    limits->output[CLIENT_PUBSUB].hard_bytes = 8 << 20;
    limits->buffer_memory_bytes = 64 << 20;
}

START_TEST(a_reader_too_slow_for_the_hard_limit_of_its_class_is_closed)
{
    uint64_t id;
    int fd = testing_connect_id(&id);

    change_limits(hard_limit_of_8_mib);
    for (int i = 0; i < 20; i++)
        testing_send(fd, "ADD 1000000\r\n");
    testing_until(testing.requests == 20);
    testing_turns(2);
    ck_assert_uint_eq(testing_info().output_buffer_limit_closes, 0); /* its class has no limit */
    testing_until(testing_info().output_buffer_max_bytes > 8 << 20);
    client_set_class(net_client_by_id(testing.net, id), CLIENT_PUBSUB);
    testing_send(fd, "PING\r\n");
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing_info().output_buffer_limit_closes, 1);
    ck_assert_uint_eq(testing_info().pool_used_bytes, 0);
    ck_assert_uint_eq(testing_info().heap_output_bytes, 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_stranger_that_reads_nothing_is_closed_soon)
{
    static char pings[60000];
    int fd = testing_connect();

    for (size_t i = 0; i + 6 <= sizeof(pings); i += 6)
        memcpy(pings + i, "PING\r\n", 6);
    testing_send(fd, "TRUST 0\r\n");
    for (bool is_open = true; is_open; testing_turns(1)) {
        is_open = send(fd, pings, sizeof(pings), MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
    }
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing_info().output_buffer_limit_closes, 1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static void soft_limit_of_1_mib_for_1_second(struct net_limits *limits)
{
    limits->output[CLIENT_NORMAL].soft_bytes = 1 << 20;
    limits->output[CLIENT_NORMAL].soft_seconds = 1;
}

START_TEST(a_reader_too_long_above_the_soft_limit_is_closed)
{
    uint64_t slow_id, quick_id;
    int slow = testing_connect_id(&slow_id), quick = testing_connect_id(&quick_id);

    change_limits(soft_limit_of_1_mib_for_1_second);
    testing_send(slow, "ADD 10000000\r\n");
    testing_send(quick, "ADD 10000000\r\n");
    testing_until(testing.requests == 2);
    while (testing_drain(quick) > 0)
        testing_turns(1);
    testing_until(testing.closed == 1);
    ck_assert_ptr_null(net_client_by_id(testing.net, slow_id));
    ck_assert_ptr_nonnull(net_client_by_id(testing.net, quick_id));
    ck_assert_uint_eq(testing_info().output_buffer_limit_closes, 1);
    ck_assert_int_eq(close(slow), 0);
    ck_assert_int_eq(close(quick), 0);
}
END_TEST

static void pool_of_256_kib(struct net_limits *limits)
{
    limits->buffer_memory_bytes = 256 * 1024;
}

START_TEST(while_the_pool_is_dry_nobody_is_read_and_nothing_is_lost)
{
    enum { PINGS = 50 };
    int slow, others[PINGS];

    change_limits(pool_of_256_kib);
    slow = testing_connect();
    testing_send(slow, "ADD 12000000\r\n");
    testing_until(testing.requests == 1);
    testing_turns(3);
    for (int i = 0; i < PINGS; i++)
        others[i] = testing_connect();
    for (int i = 0; i < PINGS; i++)
        testing_send(others[i], "PING\r\n");
    testing_turns(10);
    ck_assert_uint_eq(testing.requests, 1);
    ck_assert_uint_ge(testing_info().reads_deferred, PINGS);
    for (size_t received = 0; received < 11 + 12000000 + 2;) {
        received += testing_drain(slow);
        testing_turns(1);
    }
    for (int i = 0; i < PINGS; i++) {
        testing_expect(others[i], "+PONG\r\n");
        ck_assert_int_eq(close(others[i]), 0);
    }
    ck_assert_int_eq(close(slow), 0);
}
END_TEST

static void short_stall(struct net_limits *limits)
{
    limits->buffer_memory_bytes = 256 * 1024;
    limits->stall_timeout_s = 1;
}

START_TEST(who_holds_the_dry_pool_and_reads_nothing_is_closed)
{
    int slow = testing_connect(), other = testing_connect();

    change_limits(short_stall);
    testing_send(slow, "ADD 12000000\r\n");
    testing_until(testing.requests == 1);
    testing_turns(3);
    testing_send(other, "PING\r\n");
    testing_expect(other, "+PONG\r\n");
    ck_assert_uint_eq(testing_info().stall_closes, 1);
    ck_assert_uint_eq(testing.closed, 1);
    ck_assert_int_eq(close(slow), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

/* ---- producers ---- */

static void wake_producer(void)
{
    struct client *client = net_client_by_id(testing.net, testing.waiting_producer);

    if (!client || !client_has_producer(client)) return;
    testing.waiting_producer = 0;
    client_producer_ready(client);
}

START_TEST(a_producer_makes_an_answer_of_any_size_within_little_memory)
{
    enum { PIECES = 300 };
    char *piece = malloc(TESTING_PIECE_BYTES);
    uint64_t id;
    int fd = testing_connect_id(&id);
    struct client *client = net_client_by_id(testing.net, id);

    ck_assert_ptr_nonnull(piece);
    if (_i == 1) { /* each piece is waited for */
        testing_session(client)->producer_waits_each_time = true;
        testing.at_turn_end = wake_producer;
    }
    testing_send(fd, "STREAM 300\r\nPING\r\n");
    testing_until(testing.requests == 1);
    testing_turns(20);
    ck_assert(client_has_producer(client));
    for (unsigned left = PIECES; left > 0; left--) {
        testing_receive(fd, piece, TESTING_PIECE_BYTES);
        for (int i = 0; i < TESTING_PIECE_BYTES; i += 997) {
            ck_assert_int_eq(piece[i], (char)('a' + (int)(left % 26)));
        }
        ck_assert_uint_le(testing_info().pool_used_bytes, 160 * 1024);
        ck_assert_uint_eq(testing_info().heap_output_bytes, 0);
    }
    testing_until(testing.producers_destroyed == 1);
    testing_expect_silence(fd); /* parked by whoever set the producer */
    client_unpark(client);
    testing_expect(fd, "+PONG\r\n");
    free(piece);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_was_written_late_is_sent_when_a_producer_follows_it)
{
    enum { LATE_BYTES = 64 * 1024 };
    char *late = malloc(LATE_BYTES), *piece = malloc(TESTING_PIECE_BYTES);
    uint64_t id;
    int fd = testing_connect_id(&id);
    struct client *client = net_client_by_id(testing.net, id);
    struct reply *reply;

    ck_assert(late && piece);
    memset(late, 'x', LATE_BYTES);
    testing_send(fd, "PARK\r\n");
    testing_until(testing.requests == 1);
    reply = client_reply(client); /* as a call keeps it that waits before it answers */
    testing_turns(3);
    reply_raw(reply, slice_of(late, LATE_BYTES));
    testing_session(client)->pieces_left = 1;
    client_set_producer(client,
                        (struct client_producer){ testing_produce, testing_producer_destroyed,
                                                  testing_session(client) });
    testing_receive(fd, late, LATE_BYTES);
    testing_receive(fd, piece, TESTING_PIECE_BYTES);
    ck_assert(late[LATE_BYTES - 1] == 'x' && piece[0] == 'b');
    ck_assert_uint_eq(testing.producers_destroyed, 1);
    free(late);
    free(piece);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_producer_is_destroyed_once_when_its_client_vanishes)
{
    int fd = testing_connect();

    testing_send(fd, "STREAM 300\r\n");
    testing_until(testing.requests == 1);
    testing_turns(10);
    testing_reset(fd);
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing.producers_destroyed, 1);
}
END_TEST

START_TEST(a_reader_of_a_produced_answer_without_progress_is_closed)
{
    int fd = testing_connect();

    change_limits(short_stall);
    testing_send(fd, "STREAM 300\r\n");
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing_info().stall_closes, 1);
    ck_assert_uint_eq(testing.producers_destroyed, 1);
    ck_assert_int_eq(close(fd), 0);
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

    change_limits(idle_of_1_second);
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

static Suite *limits_suite(void)
{
    Suite *suite = suite_create("net limits");
    TCase *input = tcase_create("input"), *output = tcase_create("output");
    TCase *producers = tcase_create("producers"), *idle = tcase_create("idle");
    TCase *all[] = { input, output, producers, idle };

    for (int i = 0; i < 4; i++) {
        tcase_add_checked_fixture(all[i], testing_set_up, testing_tear_down);
        tcase_set_timeout(all[i], 120);
        suite_add_tcase(suite, all[i]);
    }
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
    tcase_add_test(output, a_reader_too_slow_for_the_hard_limit_of_its_class_is_closed);
    tcase_add_test(output, a_stranger_that_reads_nothing_is_closed_soon);
    tcase_add_test(output, a_reader_too_long_above_the_soft_limit_is_closed);
    tcase_add_test(output, while_the_pool_is_dry_nobody_is_read_and_nothing_is_lost);
    tcase_add_test(output, who_holds_the_dry_pool_and_reads_nothing_is_closed);
    tcase_add_loop_test(producers, a_producer_makes_an_answer_of_any_size_within_little_memory, 0,
                        2);
    tcase_add_test(producers, what_was_written_late_is_sent_when_a_producer_follows_it);
    tcase_add_test(producers, a_producer_is_destroyed_once_when_its_client_vanishes);
    tcase_add_test(producers, a_reader_of_a_produced_answer_without_progress_is_closed);
    tcase_add_test(idle, the_idle_are_closed_unless_exempt_or_busy);
    return suite;
}

int main(void)
{
    return testing_run(limits_suite());
}
