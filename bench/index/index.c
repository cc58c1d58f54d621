/* index - LINDEX and LINSERT at random places of lists that are mostly on disk, and how they grow.
 *
 * For lengths from 10^4 to 10^7 (10^8 with --large): ours with --maxmemory in a cgroup, beside
 * Redis with all of it in memory. One request at a time, so the figures are whole round trips.
 * LINSERT has to find its pivot by walking from the head: on long lists it is called few times, and
 * its time is the walk. Every element that LINDEX answers is verified. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"

enum {
    ELEMENT_BYTES = 128,
    PER_CALL = 50,
    LINDEX_CALLS = 5000,
    LINSERT_CALLS_MAX = 1000,
    LINSERT_CALLS_MIN = 20
};
static const uint64_t linsert_elements_max = 200 * 1000 * 1000; /* walked in all, about twice */
static const uint64_t lengths[] = { 10000, 100000, 1000000, 10000000, 100000000 };
enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]), LENGTHS_QUICK = 3, LENGTHS_USUAL = 4 };

struct times {
    struct histogram lindex_us, linsert_us;
    unsigned lindex_calls, linsert_calls;
    double on_disk; /* share of the bytes that do not fit into memory; 0 for Redis */
    double reads;   /* chunks and nodes read a LINDEX; negative: not told */
};

static void fill(uint16_t port, uint64_t length)
{
    struct fifo fifo = { .port = port,
                         .key = "list",
                         .count = length,
                         .size_min = ELEMENT_BYTES,
                         .size_max = ELEMENT_BYTES,
                         .elements_per_call = PER_CALL };

    (void)fifo_push(&fifo);
}

static void measure_lindex(struct connection *connection, uint64_t length, struct times *times)
{
    uint64_t random = length, reads_before = 0, reads_after = 0;
    bool has_reads = info_number(connection, "spill_reads", &reads_before);
    struct token token;

    times->lindex_calls = LINDEX_CALLS;
    for (unsigned i = 0; i < times->lindex_calls; i++) {
        uint64_t place = random_next(&random) % length, start_ns = now_ns();
        connection_call(connection, &token, "LINDEX list %" PRIu64, place);
        histogram_add(&times->lindex_us, (now_ns() - start_ns) / 1000);
        if (token.is_null || !element_is(place, ELEMENT_BYTES, token.bytes, token.size))
            bench_fail("LINDEX %" PRIu64 " answers another element", place);
    }
    times->reads = -1;
    if (has_reads && info_number(connection, "spill_reads", &reads_after))
        times->reads = (double)(reads_after - reads_before) / times->lindex_calls;
}

static void measure_linsert(struct connection *connection, uint64_t length, struct times *times)
{
    uint8_t request[2 * ELEMENT_BYTES + 200], element[ELEMENT_BYTES];
    uint64_t random = length + 1, calls = linsert_elements_max / length;
    struct token token;

    if (calls > LINSERT_CALLS_MAX) calls = LINSERT_CALLS_MAX;
    if (calls < LINSERT_CALLS_MIN) calls = LINSERT_CALLS_MIN;
    times->linsert_calls = (unsigned)calls;
    for (uint64_t i = 0; i < calls; i++) {
        size_t size = encode_header(request, 5);
        uint64_t start_ns;
        size += encode_bulk(request + size, "LINSERT", 7);
        size += encode_bulk(request + size, "list", 4);
        size += encode_bulk(request + size, "BEFORE", 6);
        element_write(random_next(&random) % length, element, ELEMENT_BYTES);
        size += encode_bulk(request + size, element, ELEMENT_BYTES);
        element_write(length + i, element, ELEMENT_BYTES);
        size += encode_bulk(request + size, element, ELEMENT_BYTES);
        start_ns = now_ns();
        connection_call_encoded(connection, request, size, &token);
        histogram_add(&times->linsert_us, (now_ns() - start_ns) / 1000);
        if (token.number != (int64_t)(length + i + 1))
            bench_fail("LINSERT answers length %" PRId64 ", %" PRIu64 " is expected", token.number,
                       length + i + 1);
    }
}

static struct times *measure(const struct options *options, struct limited *limited,
                             uint64_t length)
{
    struct times *times = calloc(1, sizeof(*times));
    double bytes = (double)length * ELEMENT_BYTES;
    struct connection connection;

    if (!times) bench_fail("out of memory");
    if (options->kind == PEER_SLUICE && bytes > (double)options->maxmemory_bytes)
        times->on_disk = 1 - (double)options->maxmemory_bytes / bytes;
    connection_open(&connection, limited->peer.port);
    fill(limited->peer.port, length);
    measure_lindex(&connection, length, times);
    measure_linsert(&connection, length, times);
    connection_close(&connection);
    return times;
}

static void print_times(struct table *table, const char *name, uint64_t length,
                        const struct times *times)
{
    char reads[16] = "";

    if (times->reads >= 0) snprintf(reads, sizeof(reads), "%.2f", times->reads);
    table_row(table, "%s|%" PRIu64 "|%.0f%%|%u|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%s|%u|%.2f|%.2f",
              name, length, times->on_disk * 100, times->lindex_calls,
              histogram_quantile(&times->lindex_us, 0.5),
              histogram_quantile(&times->lindex_us, 0.99), times->lindex_us.max, reads,
              times->linsert_calls, (double)histogram_quantile(&times->linsert_us, 0.5) / 1e3,
              (double)histogram_quantile(&times->linsert_us, 0.99) / 1e3);
    fprintf(stderr, "  %s, %" PRIu64 " elements: done\n", name, length);
}

static void run_length(const struct options *options, struct table *table, struct table *memory,
                       uint64_t length)
{
    struct options peer = *options;
    struct limited limited;
    struct times *times;
    char phase[64];

    peer.kind = PEER_REDIS;
    if (limited_start_roomy(&limited, &peer, length * ELEMENT_BYTES)) {
        times = measure(&peer, &limited, length);
        print_times(table, "redis", length, times);
        free(times);
        limited_stop(&limited);
    }
    if (options->kind != PEER_SLUICE) return;
    limited_start(&limited, options);
    times = measure(options, &limited, length);
    print_times(table, "sluice", length, times);
    free(times);
    snprintf(phase, sizeof(phase), "%" PRIu64 " elements", length);
    limited_memory_row(&limited, memory, phase);
    limited_stop(&limited);
}

static int body(int argc, char **argv)
{
    struct options options = { 0 };
    struct table *memory = limited_memory_table();
    struct table *table = table_create("|elements|on disk|LINDEX|p50 us|p99 us|max us|"
                                       "reads a call|LINSERT|p50 ms|p99 ms");
    size_t count;

    options_parse(&options, argc, argv, "index: random places of lists that are mostly on disk.");
    count = options.is_large ? LENGTHS : options.is_quick ? LENGTHS_QUICK : LENGTHS_USUAL;
    for (size_t i = 0; i < count; i++)
        run_length(&options, table, memory, lengths[i]);
    printf("%d-byte elements, one request at a time; ours with maxmemory %" PRIu64 " MiB\n",
           ELEMENT_BYTES, options.maxmemory_bytes >> 20);
    table_finish(table);
    table_finish(memory);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
