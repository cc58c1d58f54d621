/* What bounds memory and time of answers: limits, a dry pool, producers, stalled clients. */
#include "server/net/testing.h"

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

    testing_change_limits(hard_limit_of_8_mib);
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

    testing_change_limits(soft_limit_of_1_mib_for_1_second);
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

    testing_change_limits(pool_of_256_kib);
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

    testing_change_limits(short_stall);
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

    testing_change_limits(short_stall);
    testing_send(fd, "STREAM 300\r\n");
    testing_until(testing.closed == 1);
    ck_assert_uint_eq(testing_info().stall_closes, 1);
    ck_assert_uint_eq(testing.producers_destroyed, 1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net limits: output");
    TCase *output = test_suite_case(suite, "output", testing_set_up, testing_tear_down);
    TCase *producers = test_suite_case(suite, "producers", testing_set_up, testing_tear_down);

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
    return test_suite_run(suite);
}
