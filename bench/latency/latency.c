/* latency - what another client feels while a long list is spilled, drained, deleted and flushed.
 *
 * A pinger (lib/pinger.h) runs beside the load. The same load on a server that holds everything in
 * memory tells what the machine itself costs. */
#include <inttypes.h>
#include <stdio.h>

#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/limited.h"
#include "bench/lib/pinger.h"
#include "bench/lib/process.h"

enum { ELEMENT_BYTES = 1024, IDLE_MS = 2000, AFTER_MS = 3000 };
enum phase { PHASE_IDLE, PHASE_PUSH, PHASE_POP, PHASE_DEL, PHASE_FLUSHALL, PHASE_COUNT };
static const char *const phase_names[PHASE_COUNT] = { "idle", "push", "pop", "DEL", "FLUSHALL" };
static const double limit_us_min = 2000, limit_ratio = 2;

/* The call itself may answer at once and leave the work to later ticks: look on for a while. */
static void measure_call(struct pinger *pinger, struct connection *connection, enum phase phase,
                         const char *request)
{
    struct token token;
    uint64_t start_ns;

    pinger_set_phase(pinger, phase);
    start_ns = now_ns();
    connection_call(connection, &token, "%s", request);
    fprintf(stderr, "  %s answered after %.1f ms\n", request, (double)(now_ns() - start_ns) / 1e6);
    sleep_ms(AFTER_MS);
    pinger_set_phase(pinger, PHASE_IDLE);
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
    pinger_set_phase(pinger, PHASE_PUSH);
    note_speed("pushed", fifo_push(&fifo));
    pinger_set_phase(pinger, PHASE_POP);
    note_speed("popped", fifo_pop(&fifo));
    pinger_set_phase(pinger, PHASE_PUSH);
    (void)fifo_push(&fifo);
    measure_call(pinger, &connection, PHASE_DEL, "DEL backlog");
    pinger_set_phase(pinger, PHASE_PUSH);
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
        print_phase(table, phase, pinger_times_us(spilled, phase),
                    held ? pinger_times_us(held, phase) : NULL);
    printf("%.2f GiB, a PING every %.1f ms\n", (double)options.bytes / 1073741824,
           PINGER_INTERVAL_NS / 1e6);
    table_finish(table);
    table_finish(memory);
    pinger_destroy(spilled);
    pinger_destroy(held);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
