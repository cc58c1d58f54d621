/* latency - what another client feels while a long list is spilled, drained, deleted and flushed.
 *
 * A second connection, on a thread of its own, sends a PING every half millisecond and measures its
 * round trip. When one took longer than that, the next counts from when it should have been sent: a
 * server that stands still for a second has delayed two thousand PINGs, not one. The same load on a
 * server that holds everything in memory tells what the machine itself costs. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"

enum { ELEMENT_BYTES = 1024, IDLE_MS = 2000, AFTER_MS = 3000, PING_INTERVAL_NS = 500 * 1000 };
enum phase { PHASE_IDLE, PHASE_PUSH, PHASE_POP, PHASE_DEL, PHASE_FLUSHALL, PHASE_COUNT };
static const char *const phase_names[PHASE_COUNT] = { "idle", "push", "pop", "DEL", "FLUSHALL" };
static const double limit_us_min = 2000, limit_ratio = 2;

struct pinger {
    pthread_t thread;
    uint16_t port;
    atomic_int phase;
    atomic_bool is_stopping;
    struct histogram times_us[PHASE_COUNT];
};

static void sleep_until(uint64_t time_ns)
{
    struct timespec until = { .tv_sec = (time_t)(time_ns / 1000000000u),
                              .tv_nsec = (long)(time_ns % 1000000000u) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void *ping_in_thread(void *context)
{
    struct pinger *pinger = context;
    uint64_t due_ns = now_ns();
    struct connection connection;
    struct token token;

    connection_open(&connection, pinger->port);
    while (!atomic_load(&pinger->is_stopping)) {
        int phase = atomic_load(&pinger->phase);
        uint64_t sent_ns = now_ns();
        /* On time: our own late waking is not the server's. Late: the server made us so. */
        uint64_t from_ns = sent_ns > due_ns + PING_INTERVAL_NS ? due_ns : sent_ns;
        connection_call(&connection, &token, "PING");
        histogram_add(&pinger->times_us[phase], (now_ns() - from_ns) / 1000);
        due_ns = from_ns + PING_INTERVAL_NS;
        if (now_ns() < due_ns) sleep_until(due_ns);
    }
    connection_close(&connection);
    return NULL;
}

static struct pinger *pinger_start(uint16_t port)
{
    struct pinger *pinger = calloc(1, sizeof(*pinger));

    if (!pinger) bench_fail("out of memory");
    pinger->port = port;
    errno = pthread_create(&pinger->thread, NULL, ping_in_thread, pinger);
    if (errno) bench_fail_errno("pthread_create");
    return pinger;
}

static void pinger_stop(struct pinger *pinger)
{
    atomic_store(&pinger->is_stopping, true);
    pthread_join(pinger->thread, NULL);
}

/* The call itself may answer at once and leave the work to later ticks: look on for a while. */
static void measure_call(struct pinger *pinger, struct connection *connection, enum phase phase,
                         const char *request)
{
    struct token token;
    uint64_t start_ns;

    atomic_store(&pinger->phase, phase);
    start_ns = now_ns();
    connection_call(connection, &token, "%s", request);
    fprintf(stderr, "  %s answered after %.1f ms\n", request, (double)(now_ns() - start_ns) / 1e6);
    sleep_ms(AFTER_MS);
    atomic_store(&pinger->phase, PHASE_IDLE);
}

static void note_speed(const char *what, struct fifo_result result)
{
    fprintf(stderr, "  %s: %.0f MB/s\n", what, fifo_mb_s(result));
}

static struct pinger *run_load(struct limited *limited, uint64_t bytes)
{
    struct fifo fifo = { .port = limited->peer.port,
                         .key = "backlog",
                         .count = bytes / ELEMENT_BYTES,
                         .size_min = ELEMENT_BYTES,
                         .size_max = ELEMENT_BYTES };
    struct pinger *pinger = pinger_start(limited->peer.port);
    struct connection connection;

    connection_open(&connection, limited->peer.port);
    sleep_ms(IDLE_MS);
    atomic_store(&pinger->phase, PHASE_PUSH);
    note_speed("pushed", fifo_push(&fifo));
    atomic_store(&pinger->phase, PHASE_POP);
    note_speed("popped", fifo_pop(&fifo));
    atomic_store(&pinger->phase, PHASE_PUSH);
    (void)fifo_push(&fifo);
    measure_call(pinger, &connection, PHASE_DEL, "DEL backlog");
    atomic_store(&pinger->phase, PHASE_PUSH);
    (void)fifo_push(&fifo);
    measure_call(pinger, &connection, PHASE_FLUSHALL, "FLUSHALL");
    pinger_stop(pinger);
    connection_close(&connection);
    return pinger;
}

static void print_phase(struct table *table, int phase, const struct histogram *spilled,
                        const struct histogram *held)
{
    double p999 = (double)histogram_quantile(spilled, 0.999), limit = limit_us_min;
    char held_cells[64] = "||";

    if (held) {
        double held_p999 = (double)histogram_quantile(held, 0.999);
        if (held_p999 * limit_ratio > limit) limit = held_p999 * limit_ratio;
        snprintf(held_cells, sizeof(held_cells), "%" PRIu64 "|%" PRIu64 "|%.0f",
                 histogram_quantile(held, 0.5), histogram_quantile(held, 0.99), held_p999);
    }
    table_row(table, "%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%.0f|%" PRIu64 "|%s|%.0f|%s",
              phase_names[phase], spilled->count, histogram_quantile(spilled, 0.5),
              histogram_quantile(spilled, 0.99), p999, spilled->max, held_cells, limit,
              p999 <= limit ? "met" : "NOT MET");
}

static int body(int argc, char **argv)
{
    struct options options = { .bytes = UINT64_C(4) << 30 };
    struct table *table = table_create("PING us while|PINGs|p50|p99|p99.9|max|in memory p50|p99|"
                                       "p99.9|limit of p99.9|");
    struct table *memory = limited_memory_table();
    struct pinger *spilled, *held = NULL;
    struct limited limited;

    options_parse(&options, argc, argv,
                  "latency: another client's PING while a long list is spilled and drained.");
    if (options.is_quick) options.bytes = UINT64_C(512) << 20;
    limited_start(&limited, &options);
    limited_describe(&limited, &options);
    spilled = run_load(&limited, options.bytes);
    limited_memory_row(&limited, memory, "all phases");
    limited_stop(&limited);
    if (limited_start_roomy(&limited, &options, options.bytes)) {
        held = run_load(&limited, options.bytes);
        limited_stop(&limited);
    }
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        print_phase(table, phase, &spilled->times_us[phase], held ? &held->times_us[phase] : NULL);
    printf("%.2f GiB, a PING every %.1f ms\n", (double)options.bytes / 1073741824,
           PING_INTERVAL_NS / 1e6);
    table_finish(table);
    table_finish(memory);
    free(spilled);
    free(held);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
