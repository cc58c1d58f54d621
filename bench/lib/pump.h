/* pump.h - many requests through one or more connections, pipelined, their replies looked at in
 * order.
 *
 * A pump keeps up to window requests on the way over one connection; pump_run() drives any number
 * of pumps from one thread until each has all its replies. An error reply fails the benchmark, and
 * so do two minutes in which nothing moves. */
#ifndef BENCH_LIB_PUMP_H
#define BENCH_LIB_PUMP_H
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/connection.h"

struct pump {
    struct connection connection; /* opened and closed by the caller */
    /* Encodes request number index to out, which has request_bytes_max of room; its size. */
    size_t (*encode)(struct pump *pump, uint64_t index, uint8_t *out);
    /* A piece of the reply to request number index. NULL: nobody looks. */
    void (*on_token)(struct pump *pump, uint64_t index, const struct token *token);
    void *context;            /* the caller's */
    uint64_t request_count;   /* in all */
    size_t request_bytes_max; /* of one encoded request */
    unsigned window;          /* requests on the way at once */

    /* The pump's own; zero at first. */
    uint64_t encoded, answered;
    uint8_t *output;
    size_t output_begin, output_end, output_capacity;
    bool is_watching_room; /* epoll tells when the socket takes more */
};

/* Runs all of them to their ends. They start at their beginning each time it is called. */
void pump_run(struct pump *pumps, size_t count);
#endif
