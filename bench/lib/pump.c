#include "bench/lib/pump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/guard.h"

enum {
    OUTPUT_BYTES =
        128 * 1024, /* encoded at once: enough for few system calls, stays in the cache */
    EVENTS_AT_ONCE = 256,
    STALL_MS = 120 * 1000,
    READS_A_TURN = 4 /* one connection with much to read does not starve the others */
};

static void pump_reset(struct pump *pump)
{
    pump->encoded = pump->answered = 0;
    pump->output_begin = pump->output_end = 0;
    pump->output_capacity = pump->request_bytes_max > OUTPUT_BYTES ? pump->request_bytes_max
                            : pump->window * pump->request_bytes_max < OUTPUT_BYTES
                                ? pump->window * pump->request_bytes_max
                                : OUTPUT_BYTES;
    pump->output = malloc(pump->output_capacity);
    if (!pump->output) bench_fail("out of memory");
}

/* Requests are encoded only when half of the window is free: the server sees batches, as from a
 * real pipelining client, not one request for each reply. */
static bool may_encode(const struct pump *pump)
{
    uint64_t under_way = pump->encoded - pump->answered;

    return pump->encoded < pump->request_count && under_way <= pump->window / 2;
}

static void encode_more(struct pump *pump)
{
    pump->output_begin = pump->output_end = 0;
    while (pump->encoded < pump->request_count && pump->encoded - pump->answered < pump->window &&
           pump->output_capacity - pump->output_end >= pump->request_bytes_max) {
        pump->output_end += pump->encode(pump, pump->encoded, pump->output + pump->output_end);
        pump->encoded++;
    }
}

/* Sends until the window or the socket is full. True: the socket is full. */
static bool pump_send(struct pump *pump)
{
    for (;;) {
        size_t sent;
        if (pump->output_begin == pump->output_end) {
            if (!may_encode(pump)) return false;
            encode_more(pump);
        }
        sent = connection_send_some(&pump->connection, pump->output + pump->output_begin,
                                    pump->output_end - pump->output_begin);
        pump->output_begin += sent;
        if (pump->output_begin < pump->output_end && sent == 0) return true;
    }
}

static void pump_receive(struct pump *pump)
{
    struct token token;

    for (int reads = 0; reads < READS_A_TURN; reads++) {
        if (!connection_read_some(&pump->connection)) return;
        while (connection_token(&pump->connection, &token)) {
            if (token.type == '-')
                bench_fail("request %llu got: %.*s", (unsigned long long)pump->answered,
                           (int)token.size, token.bytes);
            if (pump->on_token) pump->on_token(pump, pump->answered, &token);
            pump->answered += token.is_reply_end;
        }
    }
}

static void watch(int epoll_fd, int operation, struct pump *pump, bool is_writing)
{
    struct epoll_event event = { .events = EPOLLIN | (is_writing ? EPOLLOUT : 0),
                                 .data.ptr = pump };

    if (epoll_ctl(epoll_fd, operation, pump->connection.fd, &event) < 0)
        bench_fail_errno("epoll_ctl");
    pump->is_watching_room = is_writing;
}

/* True: it has all its replies. */
static bool pump_turn(struct pump *pump, int epoll_fd, uint32_t events)
{
    bool is_full;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) pump_receive(pump);
    if (pump->answered == pump->request_count) {
        watch(epoll_fd, EPOLL_CTL_DEL, pump, false);
        return true;
    }
    is_full = pump_send(pump);
    if (is_full != pump->is_watching_room) watch(epoll_fd, EPOLL_CTL_MOD, pump, is_full);
    return false;
}

void pump_run(struct pump *pumps, size_t count)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    size_t running = 0;

    if (epoll_fd < 0) bench_fail_errno("epoll_create1");
    for (size_t i = 0; i < count; i++) {
        if (pumps[i].request_count == 0) continue;
        pump_reset(&pumps[i]);
        running++;
        watch(epoll_fd, EPOLL_CTL_ADD, &pumps[i], true);
    }
    /* The first turn of each comes with its first writability: send, then watch as it stands. */
    while (running > 0) {
        int ready = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, STALL_MS);
        if (ready < 0 && errno != EINTR) bench_fail_errno("epoll_wait");
        if (ready == 0) bench_fail("nothing moved for %d s", STALL_MS / 1000);
        for (int i = 0; i < ready; i++)
            running -= pump_turn(events[i].data.ptr, epoll_fd, events[i].events);
    }
    close(epoll_fd);
    for (size_t i = 0; i < count; i++) {
        free(pumps[i].output);
        pumps[i].output = NULL;
    }
}
