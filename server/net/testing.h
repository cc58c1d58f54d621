/* testing.h - a net with a few commands, and sockets that talk to it from the same thread. For
 * tests.
 *
 * ADD n          a bulk that is n bytes of 'x'            LEN x       the size of x
 * PARK / BLOCK   parks the client (BLOCK: idle-exempt)    WAKE id     +WOKEN to it, and unparks it
 * KILL id        closes it                                QUIT        closes after the reply
 * STREAM n       n pieces of 64 KiB by a producer         DRIP n      n bytes in pieces as asked
 * for TRUST 0|1      what client_set_trusted says             FLUSH       what was answered before
 * anything else  +PONG */
#ifndef SERVER_NET_TESTING_H
#define SERVER_NET_TESTING_H
#include "modules/base/clock.h"
#include "modules/base/number.h"
#include "modules/base/test_suite.h"
#include "modules/pool/pool.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TESTING_PIECE_BYTES = 64 * 1024,
    TESTING_TURN_US = 2000,  /* a turn in which nothing happens ends after this */
    TESTING_PATIENCE_S = 60, /* after this what was waited for is not coming */
};

struct testing_session {
    uint64_t magic; /* set by on_open, checked everywhere */
    uint32_t pieces_left;
    uint64_t drip_bytes_left;
    bool producer_waits_each_time;
};

static struct testing {
    struct loop *loop;
    struct net *net;
    struct net_options options;
    unsigned opened, closed, requests, producers_destroyed;
    unsigned turns_left, ended_turns;
    uint64_t last_id; /* of the client opened last */
    uint64_t waiting_producer;
    bool wants_turn;
    uint64_t ticket; /* what on_flush answers */
    unsigned flushes;
    void (*at_turn_end)(void);
} testing;

enum { TESTING_MAGIC = 0x5e55107 };

static inline struct testing_session *testing_session(struct client *client)
{
    struct testing_session *session = client_session(client);

    ck_assert_uint_eq(session->magic, TESTING_MAGIC);
    return session;
}

static inline enum produce_result testing_produce(void *context, struct client *client, size_t size)
{
    static uint8_t piece[TESTING_PIECE_BYTES];
    struct testing_session *session = context;

    (void)size; /* whoever writes more than asked for disturbs nobody but memory */
    memset(piece, 'a' + (int)(session->pieces_left % 26), sizeof(piece));
    reply_raw(client_reply(client), slice_of(piece, sizeof(piece)));
    session->pieces_left--;
    if (session->pieces_left == 0) return PRODUCE_DONE;
    if (!session->producer_waits_each_time) return PRODUCE_MORE;
    testing.waiting_producer = client_id(client);
    return PRODUCE_WAIT;
}

static inline void testing_producer_destroyed(void *context)
{
    ck_assert_uint_eq(((struct testing_session *)context)->magic, TESTING_MAGIC);
    testing.producers_destroyed++;
}

static inline uint64_t testing_number(struct slice text)
{
    uint64_t value = 0;

    ck_assert(number_parse_uint64(text, &value));
    return value;
}

static inline void testing_stream(struct client *client, struct slice count)
{
    struct testing_session *session = testing_session(client);

    session->pieces_left = (uint32_t)testing_number(count);
    client_park(client);
    client_set_producer(client, (struct client_producer){ .produce = testing_produce,
                                                          .destroy = testing_producer_destroyed,
                                                          .context = session });
}

/* So many bytes of 'd', and no more at once than is asked for. */
static inline enum produce_result testing_drip_on(void *context, struct client *client, size_t size)
{
    static uint8_t piece[TESTING_PIECE_BYTES];
    struct testing_session *session = context;

    ck_assert_uint_le(size, sizeof(piece));
    if (size > session->drip_bytes_left) size = (size_t)session->drip_bytes_left;
    memset(piece, 'd', size);
    reply_raw(client_reply(client), slice_of(piece, size));
    session->drip_bytes_left -= size;
    return session->drip_bytes_left > 0 ? PRODUCE_MORE : PRODUCE_DONE;
}

static inline void testing_drip(struct client *client, struct slice count)
{
    struct testing_session *session = testing_session(client);

    session->drip_bytes_left = testing_number(count);
    client_park(client);
    client_set_producer(client, (struct client_producer){ .produce = testing_drip_on,
                                                          .destroy = testing_producer_destroyed,
                                                          .context = session });
}

static inline void testing_add(struct client *client, size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', size);
    reply_bulk(client_reply(client), slice_of(bytes, size));
    free(bytes);
}

static inline void testing_wake(struct client *client, uint64_t id)
{
    struct client *sleeper = net_client_by_id(testing.net, id);

    if (!sleeper || !client_is_parked(sleeper)) {
        reply_null(client_reply(client));
        return;
    }
    reply_simple(client_reply(sleeper), SLICE_LITERAL("WOKEN"));
    client_set_idle_exempt(sleeper, false);
    client_unpark(sleeper);
    reply_ok(client_reply(client));
}

static inline void testing_on_request(void *context, struct client *client, struct slice *arguments,
                                      uint32_t count)
{
    struct slice word = arguments[0], argument = count > 1 ? arguments[1] : SLICE_LITERAL("0");

    (void)context;
    testing.requests++;
    (void)testing_session(client);
    ck_assert(!client_is_parked(client) && !client_is_closing(client));
    if (slice_is(word, "ADD")) {
        testing_add(client, testing_number(argument));
    } else if (slice_is(word, "LEN")) {
        reply_integer(client_reply(client), (int64_t)argument.size);
    } else if (slice_is(word, "PARK") || slice_is(word, "BLOCK")) {
        client_set_idle_exempt(client, slice_is(word, "BLOCK"));
        client_park(client);
    } else if (slice_is(word, "WAKE")) {
        testing_wake(client, testing_number(argument));
    } else if (slice_is(word, "KILL")) {
        struct client *victim = net_client_by_id(testing.net, testing_number(argument));
        if (victim) client_close(victim);
        reply_ok(client_reply(client));
    } else if (slice_is(word, "STREAM")) {
        testing_stream(client, argument);
    } else if (slice_is(word, "DRIP")) {
        testing_drip(client, argument);
    } else if (slice_is(word, "TRUST")) {
        client_set_trusted(client, testing_number(argument) == 1);
        reply_ok(client_reply(client));
    } else if (slice_is(word, "FLUSH")) {
        net_flush(testing.net);
        reply_ok(client_reply(client));
    } else if (slice_is(word, "QUIT")) {
        reply_ok(client_reply(client));
        client_close_after_reply(client);
    } else {
        reply_simple(client_reply(client), SLICE_LITERAL("PONG"));
    }
}

static inline void testing_on_open(void *context, struct client *client)
{
    struct testing_session *session = client_session(client);

    (void)context;
    ck_assert_uint_eq(session->magic, 0);
    session->magic = TESTING_MAGIC;
    testing.opened++;
    testing.last_id = client_id(client);
}

static inline void testing_on_close(void *context, struct client *client)
{
    (void)context;
    testing_session(client)->magic = 0; /* so that a second on_close would be noticed */
    testing.closed++;
}

static inline bool testing_on_turn_end(void *context)
{
    (void)context;
    if (testing.at_turn_end) testing.at_turn_end();
    return testing.wants_turn;
}

static inline uint64_t testing_on_flush(void *context)
{
    (void)context;
    testing.flushes++;
    return testing.ticket;
}

static inline int64_t testing_on_before_wait(void *context)
{
    (void)context;
    testing.ended_turns++;
    return -1;
}

static inline void testing_start(void)
{
    struct net_handlers handlers = { .on_request = testing_on_request,
                                     .on_open = testing_on_open,
                                     .on_close = testing_on_close,
                                     .on_turn_end = testing_on_turn_end,
                                     .on_flush = testing_on_flush,
                                     .on_before_wait = testing_on_before_wait };

    ck_assert_int_eq(loop_create(&testing.loop), 0);
    ck_assert_int_eq(net_create(testing.loop, NULL, &testing.options, &handlers, &testing.net), 0);
    ck_assert_int_eq(net_listen_tcp(testing.net, "127.0.0.1", 0, 511), 0);
}

/* What a test may change before testing_start. */
static inline void testing_defaults(void)
{
    testing = (struct testing){ 0 };
    testing.options.session_bytes = sizeof(struct testing_session);
    testing.options.limits = (struct net_limits){ .clients_max = 1000,
                                                  .stall_timeout_s = 60,
                                                  .query_buffer_bytes_max = 64 << 20,
                                                  .bulk_bytes_max = 16 << 20,
                                                  .buffer_memory_bytes = 4 << 20,
                                                  .input_memory_bytes = 32 << 20 };
}

static inline void testing_set_up(void)
{
    testing_defaults();
    testing_start();
}

static inline void testing_tear_down(void)
{
    net_destroy(testing.net);
    loop_destroy(testing.loop);
    ck_assert_uint_eq(testing.opened, testing.closed);
}

/* While clients are there. */
static inline void testing_change_limits(void (*change)(struct net_limits *limits))
{
    change(&testing.options.limits);
    net_set_limits(testing.net, &testing.options.limits);
}

/* ---- turns ---- */

static inline int64_t testing_before_wait(void *context)
{
    (void)context;
    if (testing.turns_left == 0) {
        loop_stop(testing.loop);
        return 0;
    }
    testing.turns_left--;
    return TESTING_TURN_US;
}

static inline void testing_turns(unsigned count)
{
    testing.turns_left = count;
    ck_assert_int_eq(loop_run(testing.loop, testing_before_wait, NULL), 0);
}

/* Turns until condition holds. */
#define testing_until(condition)                                                                   \
    for (uint64_t testing_deadline = clock_monotonic_us() + TESTING_PATIENCE_S * 1000000ull;       \
         !(condition);) {                                                                          \
        ck_assert_msg(clock_monotonic_us() < testing_deadline, "waited in vain for: " #condition); \
        testing_turns(1);                                                                          \
    }

static inline struct net_info testing_info(void)
{
    struct net_info info;

    net_info(testing.net, &info);
    return info;
}

/* ---- a peer ---- */

static inline int testing_connect_socket(int fd)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(net_tcp_port(testing.net)),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Connected, not necessarily accepted yet. */
static inline int testing_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    return testing_connect_socket(fd);
}

/* Connected and accepted; its id. */
static inline int testing_connect_id(uint64_t *out_id)
{
    unsigned opened = testing.opened;
    int fd = testing_connect();

    testing_until(testing.opened > opened);
    *out_id = testing.last_id;
    return fd;
}

/* The other end of a client whose socket holds little: some 200 KB. */
static inline int testing_adopt(void)
{
    struct client *client;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    ck_assert_int_eq(net_adopt(testing.net, fds[1], "pair", &client), 0);
    return fds[0];
}

static inline void testing_send_bytes(int fd, const void *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t part = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
        ck_assert(part > 0 || errno == EAGAIN);
        if (part > 0) {
            sent += (size_t)part;
        } else {
            testing_turns(1);
        }
    }
}

static inline void testing_send(int fd, const char *text)
{
    testing_send_bytes(fd, text, strlen(text));
}

/* A request of two words, the second a bulk of size bytes of 'y'. */
static inline char *testing_bulk_request(const char *word, size_t size, size_t *out_size)
{
    char *request = malloc(size + 64);
    int head;

    ck_assert_ptr_nonnull(request);
    head = snprintf(request, 64, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(word), word, size);
    memset(request + head, 'y', size);
    request[(size_t)head + size] = '\r';
    request[(size_t)head + size + 1] = '\n';
    *out_size = (size_t)head + size + 2;
    return request;
}

/* Reads exactly size bytes, turning meanwhile. */
static inline void testing_receive(int fd, char *bytes, size_t size)
{
    uint64_t deadline = clock_monotonic_us() + TESTING_PATIENCE_S * 1000000ull;

    for (size_t received = 0; received < size;) {
        ssize_t part = recv(fd, bytes + received, size - received, 0);
        ck_assert_msg(part != 0, "closed after %zu of %zu bytes", received, size);
        ck_assert(part > 0 || errno == EAGAIN);
        if (part > 0) received += (size_t)part;
        if (part < 0) testing_turns(1);
        ck_assert_msg(clock_monotonic_us() < deadline, "%zu of %zu bytes came", received, size);
    }
}

static inline void testing_expect(int fd, const char *expected)
{
    size_t size = strlen(expected);
    char *received = malloc(size + 1);

    ck_assert_ptr_nonnull(received);
    testing_receive(fd, received, size);
    received[size] = '\0';
    ck_assert_str_eq(received, expected);
    free(received);
}

static inline bool testing_is_closed(int fd)
{
    char byte;
    ssize_t size = recv(fd, &byte, 1, 0);

    ck_assert_msg(size <= 0, "got a byte where the end was expected: %c", byte);
    return size == 0 || errno == ECONNRESET;
}

/* Nothing but the end comes. */
static inline void testing_expect_closed(int fd)
{
    testing_until(testing_is_closed(fd));
    ck_assert_int_eq(close(fd), 0);
}

/* A few turns bring nothing. */
static inline void testing_expect_silence(int fd)
{
    char byte;

    testing_turns(10);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

/* Takes what is there away, without turning. */
static inline size_t testing_drain(int fd)
{
    static char bytes[1 << 16];
    size_t total = 0;
    ssize_t size;

    while ((size = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        total += (size_t)size;
    return total;
}

/* Closes with a reset instead of an end. */
static inline void testing_reset(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    ck_assert_int_eq(close(fd), 0);
}
#endif
