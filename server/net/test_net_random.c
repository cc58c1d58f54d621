/* Many clients that do what they like, under small limits: requests whole, cut and endless, parked,
 * woken, killed by others, half-closed, reset, never reading. In the end nothing is left of them,
 * and a client that behaves is served all the while. */
#include "server/net/testing.h"

enum { PEERS = 24, STEPS = 3000 };

struct peer {
    int fd; /* -1: not connected */
    bool is_shut;
};

static uint64_t seed;
static struct peer peers[PEERS];

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % limit;
}

/* Of somebody who is or was there, but the first, who behaves. */
static uint64_t random_id(void)
{
    return 2 + random_below((uint32_t)testing.last_id + 1);
}

/* As much as the socket takes: what is cut stays cut, and what follows continues it. */
static void send_what_fits(struct peer *peer, const void *bytes, size_t size)
{
    if (peer->fd < 0 || peer->is_shut) return;
    (void)send(peer->fd, bytes, size, MSG_NOSIGNAL);
}

static void send_request(struct peer *peer)
{
    static const char *const plain[] = {
        "PING\r\n", "*1\r\n$4\r\nPING\r\n", "LEN 'a b'\r\n", "PARK\r\n", "BLOCK\r\n",
        "*0\r\n",   "ADD 100000\r\n",       "STREAM 5\r\n",  "QUIT\r\n", "*1\r\nPING\r\n"
    };
    char text[64];
    uint32_t kind = random_below(24);

    if (kind < 16) {
        /* The last two end the connection: rarer than the others. */
        const char *request = plain[kind < 10 ? random_below(8) : random_below(10)];
        send_what_fits(peer, request, strlen(request));
    } else if (kind < 20) {
        (void)snprintf(text, sizeof(text), "%s %llu\r\n", kind < 19 ? "WAKE" : "KILL",
                       (unsigned long long)random_id());
        send_what_fits(peer, text, strlen(text));
    } else {
        size_t size;
        char *request = testing_bulk_request("LEN", random_below(300000), &size);
        send_what_fits(peer, request, kind < 22 ? size : random_below((uint32_t)size));
        free(request);
    }
}

static void wake_some_parked(void)
{
    struct client *client = net_client_by_id(testing.net, random_id());

    if (client && client_is_parked(client) && !client_has_producer(client)) client_unpark(client);
}

static void close_peer(struct peer *peer)
{
    if (peer->fd < 0) return;
    if (random_below(2)) {
        testing_reset(peer->fd);
    } else {
        ck_assert_int_eq(close(peer->fd), 0);
    }
    *peer = (struct peer){ .fd = -1 };
}

static void step(struct peer *peer)
{
    uint32_t action = random_below(100);

    if (peer->fd < 0) {
        *peer = (struct peer){ .fd = testing_connect() };
    } else if (action < 55) {
        send_request(peer);
    } else if (action < 80) {
        (void)testing_drain(peer->fd);
    } else if (action < 84) {
        close_peer(peer);
    } else if (action < 86 && !peer->is_shut) {
        peer->is_shut = true;
        (void)shutdown(peer->fd, SHUT_WR); /* it may be reset by now */
    }
    if (random_below(3) == 0) testing_turns(1);
}

static void set_up(void)
{
    testing_defaults();
    testing.options.limits.clients_max = PEERS / 2 + 2; /* so that some are turned away */
    testing.options.limits.buffer_memory_bytes = 1 << 20;
    testing.options.limits.input_memory_bytes = 1 << 20;
    testing.options.limits.bulk_bytes_max = 250000;
    testing.options.limits.output[CLIENT_NORMAL].hard_bytes = 4 << 20;
    testing.options.limits.stall_timeout_s = 1;
    testing.at_turn_end = wake_some_parked;
    testing_start();
}

START_TEST(whatever_clients_do_nothing_is_left_of_them)
{
    int good = testing_connect();

    seed = (uint64_t)_i * 7919 + 1;
    for (int i = 0; i < PEERS; i++)
        peers[i] = (struct peer){ .fd = -1 };
    testing_until(testing.opened == 1);
    for (int i = 0; i < STEPS; i++) {
        step(&peers[random_below(PEERS)]);
        if (i % 500 != 0) continue;
        testing_send(good, "PING\r\n");
        testing_expect(good, "+PONG\r\n");
    }
    ck_assert_uint_ge(testing.opened, 20);
    ck_assert_uint_ge(testing.closed, 10);
    for (int i = 0; i < PEERS; i++)
        close_peer(&peers[i]);
    testing_until(testing.closed >= testing.opened - 1); /* all but the good one */
    ck_assert_uint_eq(testing_info().clients_connected, testing.opened - testing.closed);
    ck_assert_uint_eq(testing_info().heap_input_bytes, 0);
    ck_assert_uint_eq(testing_info().pool_used_bytes, 0);
    ck_assert_uint_eq(testing_info().heap_output_bytes, 0);
    ck_assert_int_eq(close(good), 0);
    testing_until(testing.closed == testing.opened);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net random");
    TCase *tcase = test_suite_case(suite, "random", set_up, testing_tear_down);

    tcase_add_loop_test(tcase, whatever_clients_do_nothing_is_left_of_them, 0, 6);
    return test_suite_run(suite);
}
