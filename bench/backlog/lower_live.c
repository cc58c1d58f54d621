/* lower_live - maxmemory lowered with CONFIG SET while a producer pushes: how long until memory is
 * within the new limit, and does it stay there.
 *
 * The server starts with four times --maxmemory and gets down to it in one step. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"

enum { ELEMENT_BYTES = 1024, FACTOR = 4, POLL_MS = 2, SETTLE_WAIT_MS = 60 * 1000 };

static void *push_in_thread(void *context)
{
    struct fifo *fifo = context;

    (void)fifo_push(fifo);
    return NULL;
}

/* The list's length, so that the step comes in the middle of the pushing. */
static void wait_for_length(struct connection *connection, uint64_t length)
{
    struct token token;

    do {
        sleep_ms(POLL_MS);
        connection_call(connection, &token, "LLEN lowered");
    } while (token.number < (int64_t)length);
}

/* Milliseconds from the step until memory is within the new limit. */
static double lower(struct limited *limited, struct connection *connection, uint64_t maxmemory)
{
    uint64_t start_ns = now_ns(), limit = maxmemory + LIMITED_MEMORY_EXTRA_BYTES;
    struct token token;

    if (limited->peer.kind == PEER_SLUICE)
        connection_call(connection, &token, "CONFIG SET maxmemory %" PRIu64, maxmemory);
    limited->maxmemory_bytes = maxmemory;
    while (limited->peer.kind == PEER_SLUICE && process_memory_bytes(limited->peer.pid) > limit) {
        if (now_ns() - start_ns > (uint64_t)SETTLE_WAIT_MS * 1000000)
            bench_fail("memory is not within the new limit after %d s", SETTLE_WAIT_MS / 1000);
        sleep_ms(POLL_MS);
    }
    return (double)(now_ns() - start_ns) / 1e6;
}

static int body(int argc, char **argv)
{
    struct options options = { .bytes = UINT64_C(2) << 30 };
    struct fifo fifo = { .key = "lowered", .size_min = ELEMENT_BYTES, .size_max = ELEMENT_BYTES };
    struct table *memory = limited_memory_table();
    struct connection connection;
    struct limited limited;
    uint64_t lowered_bytes;
    pthread_t producer;

    options_parse(&options, argc, argv, "lower_live: maxmemory lowered under a producer.");
    if (options.is_quick) options.bytes = UINT64_C(1) << 30;
    lowered_bytes = options.maxmemory_bytes;
    if (options.bytes < 2 * FACTOR * lowered_bytes)
        bench_fail("--bytes: at least %d times maxmemory", 2 * FACTOR);
    options.maxmemory_bytes *= FACTOR;
    fifo.count = options.bytes / ELEMENT_BYTES;
    limited_start(&limited, &options);
    limited_describe(&limited, &options);
    fifo.port = limited.peer.port;
    connection_open(&connection, fifo.port);
    errno = pthread_create(&producer, NULL, push_in_thread, &fifo);
    if (errno) bench_fail_errno("pthread_create");
    wait_for_length(&connection, fifo.count / 2);
    limited_memory_row(&limited, memory, "pushing, before");
    printf("lowered to %" PRIu64 " MiB: within the new limit after %.0f ms\n", lowered_bytes >> 20,
           lower(&limited, &connection, lowered_bytes));
    sampler_reset(limited.sampler);
    pthread_join(producer, NULL);
    limited_memory_row(&limited, memory, "pushing, after");
    connection_close(&connection);
    (void)fifo_pop(&fifo);
    limited_memory_row(&limited, memory, "popping and verifying");
    limited_stop(&limited);
    table_finish(memory);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
