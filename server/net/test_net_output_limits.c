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

/* ---- many producers ---- */

enum { MANY = 60, LONG_BYTES = 4 << 20 };

static void pool_of_1_mib(struct net_limits *limits)
{
    limits->buffer_memory_bytes = 1 << 20;
    limits->stall_timeout_s = 0; /* nobody has to go for others to go on */
}

static uint64_t bytes_for_answers(void)
{
    struct net_info info = testing_info();

    return info.pool_used_bytes + info.heap_output_bytes;
}

static int ask(const char *request)
{
    int fd = testing_adopt();
    unsigned requests = testing.requests;

    testing_send(fd, request);
    testing_until(testing.requests == requests + 1);
    return fd;
}

static void receive_drips(int fd, size_t size)
{
    char *bytes = malloc(size);

    ck_assert_ptr_nonnull(bytes);
    testing_receive(fd, bytes, size);
    ck_assert(bytes[0] == 'd' && bytes[size - 1] == 'd');
    free(bytes);
    ck_assert_int_eq(close(fd), 0);
}

static void receive_a_long_answer(void)
{
    receive_drips(ask("DRIP 4194304\r\n"), LONG_BYTES);
}

START_TEST(who_reads_a_long_answer_goes_on_beside_many_who_do_not_read_theirs)
{
    int slow[MANY];

    testing_change_limits(pool_of_1_mib);
    for (int i = 0; i < MANY; i++)
        slow[i] = ask("DRIP 4194304\r\n");
    testing_turns(200); /* until all their sockets are full */
    receive_a_long_answer();
    ck_assert_uint_eq(testing.closed, 0);
    ck_assert_uint_le(bytes_for_answers(), (1 << 20) / 4 * 3);
    receive_drips(slow[MANY - 1], LONG_BYTES); /* who begins to read goes on as well */
    receive_drips(slow[0], LONG_BYTES);
    for (int i = 1; i < MANY - 1; i++)
        ck_assert_int_eq(close(slow[i]), 0);
}
END_TEST

START_TEST(who_reads_a_long_answer_goes_on_when_others_hold_all_memory)
{
    int hoarder;

    testing_change_limits(pool_of_1_mib);
    hoarder = ask("ADD 1700000\r\n");
    testing_turns(3);
    ck_assert_uint_ge(bytes_for_answers(), 1 << 20);
    receive_a_long_answer();
    ck_assert_int_eq(close(hoarder), 0);
}
END_TEST

START_TEST(long_answers_share_what_little_memory_there_is)
{
    enum { READERS = 20 };
    int hoarder, fds[READERS];
    char byte;

    testing_change_limits(pool_of_1_mib);
    hoarder = ask("ADD 1700000\r\n");
    testing_turns(3);
    for (int i = 0; i < READERS; i++)
        fds[i] = testing_adopt();
    for (int i = 0; i < READERS; i++)
        testing_send(fds[i], "DRIP 150000\r\n"); /* their sockets hold all of it */
    testing_until(testing.requests == 1 + READERS);
    testing_turns(4); /* in which some could have half of theirs */
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(recv(fds[i], &byte, 1, MSG_PEEK), 1);
    for (int i = 0; i < READERS; i++)
        receive_drips(fds[i], 150000);
    ck_assert_int_eq(close(hoarder), 0);
}
END_TEST

static void pool_of_1_mib_and_a_stall_timeout(struct net_limits *limits)
{
    limits->buffer_memory_bytes = 1 << 20;
}

/* The hoarder may stay and keeps it so; who holds little of it goes, soon, but not who began to
 * wait before that and holds nothing. */
START_TEST(who_holds_nothing_is_not_closed_when_memory_is_used_up)
{
    int hoarder, patient, other;

    testing_change_limits(pool_of_1_mib_and_a_stall_timeout);
    hoarder = ask("ADD 1000000\r\n");
    client_set_no_evict(net_client_by_id(testing.net, testing.last_id), true);
    testing_turns(3);
    patient = ask("DRIP 4194304\r\n");
    testing_turns(50); /* its socket is full */
    other = ask("ADD 400000\r\n");
    testing_turns(3);
    testing_send(hoarder, "ADD 3000000\r\n");
    testing_until(testing_info().stall_closes > 0);
    testing_turns(300); /* more than a round of the sweep */
    ck_assert_uint_eq(testing_info().stall_closes, 1);
    (void)testing_drain(other);
    testing_expect_closed(other);
    ck_assert_int_eq(close(hoarder), 0);
    receive_drips(patient, LONG_BYTES);
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
    tcase_add_test(producers, who_reads_a_long_answer_goes_on_beside_many_who_do_not_read_theirs);
    tcase_add_test(producers, who_reads_a_long_answer_goes_on_when_others_hold_all_memory);
    tcase_add_test(producers, long_answers_share_what_little_memory_there_is);
    tcase_add_test(producers, who_holds_nothing_is_not_closed_when_memory_is_used_up);
    return test_suite_run(suite);
}
