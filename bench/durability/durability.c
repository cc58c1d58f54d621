/* durability - what a write costs when it is kept, beside Redis with its append-only file.
 *
 * For each appendfsync and pipeline depth, in turn and round after round: the floor (the bare
 * responder, which keeps nothing), Redis and ours, the latter two with appendonly yes in the same
 * mode and without rewrites or checkpoints, each under the same redis-benchmark. Printed are
 * medians of the rounds: CPU time of all threads of the server a request, how much of it lies above
 * the floor, and acknowledged requests a second; where answers wait for a sync, how many a sync of
 * ours lets go. "mixed": every other request is a read of what was pushed last (LINDEX), whose
 * answer waits just so. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/argument.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/redis_benchmark.h"
#include "bench/lib/summary.h"

static const char usage[] =
    "usage: durability [--rounds N] [--requests N] [--dir DIRECTORY]\n"
    "  --rounds    runs of each (5)\n"
    "  --requests  of a run at pipeline 64; a quarter of it at 1, half of it at 16, a twentieth\n"
    "              where each answer waits for a sync (1,000,000)\n"
    "  --dir       where the servers get their directories ($TMPDIR or /var/tmp): a real disk\n";

enum { CLIENTS = 50, VALUE_BYTES = 64, REQUEST_GRAIN = 6400 };

/* The limits of the issue. */
static const double above_floor_ns_max = 200, always_ratio_min = 1.5;

struct options {
    int rounds;
    long requests;
    const char *base;
};

struct row {
    const char *mode;
    int pipeline;
    int share; /* of --requests: one in so many */
    bool is_mixed;
};
static const struct row rows[] = {
    { "no", 1, 4, false },       { "no", 16, 2, false },       { "no", 64, 1, false },
    { "everysec", 1, 4, false }, { "everysec", 16, 2, false }, { "everysec", 64, 1, false },
    { "always", 1, 20, false },  { "always", 16, 10, false },  { "always", 1, 20, true },
    { "always", 16, 10, true },
};

struct series {
    double cpu_us[ROUND_MAX], requests_s[ROUND_MAX];
    uint64_t requests, syncs; /* in all; the latter: of ours */
};

static char value[VALUE_BYTES + 1];

static void flush(const struct peer *peer)
{
    struct redis_benchmark run = { "FLUSHALL", value, 1, 1, 1 };

    if (peer->kind != PEER_FLOOR) (void)redis_benchmark_run(peer, &run);
}

/* ---- mixed ------------------------------------------------------------------------------------
 */

static size_t encode_mixed(struct pump *pump, uint64_t index, uint8_t *out)
{
    bool is_read = index % 2;
    size_t at = encode_header(out, 3);

    (void)pump;
    at += encode_bulk(out + at, is_read ? "LINDEX" : "LPUSH", is_read ? 6 : 5);
    at += encode_bulk(out + at, "list", 4);
    return at +
           (is_read ? encode_bulk(out + at, "0", 1) : encode_bulk(out + at, value, VALUE_BYTES));
}

/* As redis_benchmark_run, which knows one command at a time. */
static double run_mixed(const struct peer *peer, const struct row *row, long requests)
{
    struct pump *pumps = calloc(CLIENTS, sizeof(*pumps));
    uint64_t begin_ns;
    double seconds;

    if (!pumps) bench_fail("out of memory");
    for (int i = 0; i < CLIENTS; i++) {
        pumps[i] = (struct pump){ .encode = encode_mixed,
                                  .request_count = (uint64_t)(requests / CLIENTS),
                                  .request_bytes_max = VALUE_BYTES + 100,
                                  .window = (unsigned)row->pipeline };
        connection_open(&pumps[i].connection, peer->port);
    }
    begin_ns = now_ns();
    pump_run(pumps, CLIENTS);
    seconds = (double)(now_ns() - begin_ns) / 1e9;
    for (int i = 0; i < CLIENTS; i++)
        connection_close(&pumps[i].connection);
    free(pumps);
    return (double)requests / seconds;
}

/* ---- a run ------------------------------------------------------------------------------------
 */

static uint64_t sync_count(const struct peer *peer)
{
    struct connection connection;
    uint64_t count = 0;

    if (peer->kind != PEER_SLUICE) return 0;
    connection_open(&connection, peer->port);
    if (!info_number(&connection, "log_syncs", &count)) bench_fail("INFO has no log_syncs");
    connection_close(&connection);
    return count;
}

static void run_once(const struct peer *peer, const struct row *row, const struct options *options,
                     int round, struct series *series)
{
    long requests = (options->requests / row->share / REQUEST_GRAIN + 1) * REQUEST_GRAIN;
    struct redis_benchmark run = { "LPUSH list VALUE", value, CLIENTS, row->pipeline, requests };
    uint64_t before_ns, syncs;

    flush(peer);
    syncs = sync_count(peer);
    before_ns = process_cpu_ns(peer->pid);
    series->requests_s[round] =
        row->is_mixed ? run_mixed(peer, row, requests) : redis_benchmark_run(peer, &run);
    series->cpu_us[round] =
        (double)(process_cpu_ns(peer->pid) - before_ns) / 1e3 / (double)requests;
    series->requests += (uint64_t)requests;
    series->syncs += sync_count(peer) - syncs;
}

static const char *verdict(const struct row *row, double floor_us, double own_us, double redis_s,
                           double own_s)
{
    if (strcmp(row->mode, "always") == 0) {
        if (row->pipeline != 1 || row->is_mixed) return "";
        return own_s >= always_ratio_min * redis_s ? ">= 1.5 x redis a second: met"
                                                   : ">= 1.5 x redis a second: NOT MET";
    }
    if (row->pipeline == 1) return "";
    return (own_us - floor_us) * 1e3 <= above_floor_ns_max ? "<= 200 ns: met"
                                                           : "<= 200 ns: NOT MET";
}

static void print_row(struct table *table, const struct row *row, struct series *series,
                      size_t rounds)
{
    double us[PEER_KIND_COUNT], s[PEER_KIND_COUNT];
    char a_sync[32] = "";

    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        us[kind] = median(series[kind].cpu_us, rounds);
        s[kind] = median(series[kind].requests_s, rounds);
    }
    if (strcmp(row->mode, "always") == 0)
        (void)snprintf(a_sync, sizeof(a_sync), "%.1f",
                       (double)series[PEER_SLUICE].requests / (double)series[PEER_SLUICE].syncs);
    table_row(table, "%s%s|%d|%.3f|%.3f|%.3f|%.0f|%.0f|%.2f|%.1f|%.1f|%.2f|%s|%s", row->mode,
              row->is_mixed ? ", mixed" : "", row->pipeline, us[PEER_FLOOR], us[PEER_REDIS],
              us[PEER_SLUICE], (us[PEER_REDIS] - us[PEER_FLOOR]) * 1e3,
              (us[PEER_SLUICE] - us[PEER_FLOOR]) * 1e3, us[PEER_SLUICE] / us[PEER_REDIS],
              s[PEER_REDIS] / 1e3, s[PEER_SLUICE] / 1e3, s[PEER_SLUICE] / s[PEER_REDIS], a_sync,
              verdict(row, us[PEER_FLOOR], us[PEER_SLUICE], s[PEER_REDIS], s[PEER_SLUICE]));
    fprintf(stderr, "  %s%s, pipeline %d: done\n", row->mode, row->is_mixed ? ", mixed" : "",
            row->pipeline);
}

static void start_peers(struct peer *peers, const char *mode, const char *base)
{
    const char *arguments[] = {
        "--appendonly", "yes", "--appendfsync", mode, "--auto-aof-rewrite-percentage", "0", NULL
    };

    peer_start(&peers[PEER_FLOOR], PEER_FLOOR, NULL, base, NULL);
    peer_start(&peers[PEER_REDIS], PEER_REDIS, arguments, base, NULL);
    peer_start(&peers[PEER_SLUICE], PEER_SLUICE, arguments, base, NULL);
}

/* New servers for each row: a log that has grown for minutes is another matter. */
static void measure_row(struct table *table, const struct row *row, const struct options *options)
{
    struct series series[PEER_KIND_COUNT] = { 0 };
    struct peer peers[PEER_KIND_COUNT];

    start_peers(peers, row->mode, options->base);
    for (int round = 0; round < options->rounds; round++) {
        for (int kind = 0; kind < PEER_KIND_COUNT; kind++)
            run_once(&peers[kind], row, options, round, &series[kind]);
    }
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++)
        peer_stop(&peers[kind]);
    print_row(table, row, series, (size_t)options->rounds);
}

static void parse_options(struct options *options, int argc, char **argv)
{
    const struct argument arguments[] = { { "rounds", .rounds = &options->rounds },
                                          { "requests", .requests = &options->requests },
                                          { "dir", .text = &options->base },
                                          { 0 } };

    *options = (struct options){ .rounds = 5, .requests = 1000000 };
    options->base = argument_base();
    (void)argument_parse(argc, argv, arguments, usage);
}

static int body(int argc, char **argv)
{
    struct options options;
    struct table *table;

    parse_options(&options, argc, argv);
    memset(value, 'x', VALUE_BYTES);
    table = table_create("appendfsync|pipeline|floor us|redis us|sluice us|redis ns above|"
                         "sluice ns above|sluice/redis|redis k/s|sluice k/s|sluice/redis|"
                         "replies a sync|target");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        measure_row(table, &rows[i], &options);
    printf(
        "LPUSH with appendonly yes: server CPU a request (all threads) and acknowledged requests a "
        "second,\n%d clients, %d-byte values, medians of %d rounds:\n",
        CLIENTS, VALUE_BYTES, options.rounds);
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
