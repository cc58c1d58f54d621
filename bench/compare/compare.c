/* compare - what a request costs the server, beside Redis and beside the bare responder.
 *
 * For each command and pipeline depth, in turn and round after round: the floor, Redis and ours,
 * each under the same redis-benchmark. Printed are medians of the rounds: CPU time of all threads
 * of the server a request, how much of it lies above the floor, the ratio to Redis, and throughput.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/lib/argument.h"
#include "bench/lib/guard.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/redis_benchmark.h"
#include "bench/lib/summary.h"

static const char usage[] =
    "usage: compare [--rounds N] [--requests N] [--pipelines 1,16,64] [--commands LPUSH,RPOP,...]\n"
    "               [--peers floor,redis,sluice] [--dir DIRECTORY] [-- argument of ours ...]\n"
    "  --rounds    runs of each (5)\n"
    "  --requests  of a run at pipeline 64; a quarter of it at 1, half of it at 16 (1,000,000)\n"
    "  --dir       where the servers get their directories ($TMPDIR or /var/tmp)\n";

enum {
    PIPELINE_MAX = 8,
    CLIENTS = 50,
    VALUE_BYTES = 64,
    RANGE_LENGTH = 100,
    FILL_PER_REQUEST = 100,
    REQUEST_GRAIN = 6400 /* a multiple of every usual depth: redis-benchmark sends whole batches */
};

/* What a list has to hold before the run. */
enum fill { FILL_NONE, FILL_RANGE, FILL_ALL };
/* Which limit of the issue counts. */
enum target { TARGET_NONE, TARGET_ABOVE_FLOOR, TARGET_REDIS };

struct workload {
    const char *name;
    const char *words; /* the request; VALUE stands for the value */
    enum fill fill;
    enum target target;
};
static const struct workload workloads[] = {
    { "PING", "PING", FILL_NONE, TARGET_NONE },
    { "LPUSH", "LPUSH list VALUE", FILL_NONE, TARGET_ABOVE_FLOOR },
    { "RPUSH", "RPUSH list VALUE", FILL_NONE, TARGET_ABOVE_FLOOR },
    { "LPOP", "LPOP list", FILL_ALL, TARGET_ABOVE_FLOOR },
    { "RPOP", "RPOP list", FILL_ALL, TARGET_ABOVE_FLOOR },
    { "LRANGE", "LRANGE list 0 99", FILL_RANGE, TARGET_REDIS },
    { "LMOVE", "LMOVE list other LEFT RIGHT", FILL_ALL, TARGET_NONE },
    { "SET", "SET key:__rand_int__ VALUE", FILL_NONE, TARGET_NONE },
    { "GET", "GET key:__rand_int__", FILL_NONE, TARGET_NONE },
};
enum { WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

/* The limits of the issue. */
static const double above_floor_ns_max = 150, pipeline_one_ratio_max = 1.1, range_ratio_max = 0.6;

struct options {
    int rounds, pipelines[PIPELINE_MAX], pipeline_count;
    long requests;
    bool is_wanted[WORKLOADS], has_peer[PEER_KIND_COUNT];
    const char *base;
    const char *const *own_arguments;
};

struct result {
    double cpu_us, requests_s;
};
struct series {
    double cpu_us[ROUND_MAX], requests_s[ROUND_MAX];
};

static char value[VALUE_BYTES + 1];

/* ---- one run -----------------------------------------------------------------------------------
 */

static size_t encode_fill(struct pump *pump, uint64_t index, uint8_t *out)
{
    size_t at = encode_header(out, FILL_PER_REQUEST + 2);

    (void)pump;
    (void)index;
    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_bulk(out + at, "list", 4);
    for (int i = 0; i < FILL_PER_REQUEST; i++)
        at += encode_bulk(out + at, value, VALUE_BYTES);
    return at;
}

/* Every run begins with the same data: nothing but what its workload needs. */
static void prepare(const struct peer *peer, enum fill fill, long requests)
{
    struct pump pump = { .encode = encode_fill,
                         .request_bytes_max = (FILL_PER_REQUEST + 2) * (VALUE_BYTES + 24),
                         .window = 16 };
    struct token token;

    if (peer->kind == PEER_FLOOR) return;
    connection_open(&pump.connection, peer->port);
    connection_call(&pump.connection, &token, "FLUSHALL");
    if (fill == FILL_RANGE) pump.request_count = RANGE_LENGTH / FILL_PER_REQUEST;
    /* A pop more than there are elements would measure something else: fill some more. */
    if (fill == FILL_ALL) pump.request_count = (uint64_t)requests / FILL_PER_REQUEST + 10;
    if (pump.request_count > 0) pump_run(&pump, 1);
    connection_close(&pump.connection);
}

static long requests_at(const struct options *options, int pipeline)
{
    long requests = pipeline == 1   ? options->requests / 4
                    : pipeline < 64 ? options->requests / 2
                                    : options->requests;

    return (requests / REQUEST_GRAIN + 1) * REQUEST_GRAIN;
}

static struct result run_once(const struct peer *peer, const struct workload *workload,
                              int pipeline, long requests)
{
    struct result result;
    uint64_t before_ns;

    prepare(peer, workload->fill, requests);
    before_ns = process_cpu_ns(peer->pid);
    result.requests_s = redis_benchmark_run(
        peer, &(struct redis_benchmark){ workload->words, value, CLIENTS, pipeline, requests });
    result.cpu_us = (double)(process_cpu_ns(peer->pid) - before_ns) / 1e3 / (double)requests;
    return result;
}

/* ---- results -----------------------------------------------------------------------------------
 */

static const char *verdict(enum target target, int pipeline, const bool *has_peer, double floor_us,
                           double redis_us, double own_us)
{
    bool is_met;

    if (target == TARGET_NONE || !has_peer[PEER_SLUICE]) return "";
    if (target == TARGET_REDIS) {
        if (!has_peer[PEER_REDIS]) return "";
        is_met = own_us <= range_ratio_max * redis_us;
        return is_met ? "<= 0.6 x redis: met" : "<= 0.6 x redis: NOT MET";
    }
    if (!has_peer[PEER_FLOOR]) return "";
    if (pipeline == 1) {
        is_met = own_us <= pipeline_one_ratio_max * floor_us;
        return is_met ? "<= 1.1 x floor: met" : "<= 1.1 x floor: NOT MET";
    }
    is_met = (own_us - floor_us) * 1e3 <= above_floor_ns_max;
    return is_met ? "<= 150 ns: met" : "<= 150 ns: NOT MET";
}

/* The cells of one peer; all empty when it does not take part. */
struct cells {
    double cpu_us, requests_s;
    char us[16], above_ns[16], kilo_s[16];
};

static void fill_cells(struct cells *cells, struct series *series, size_t rounds, double floor_us)
{
    cells->cpu_us = median(series->cpu_us, rounds);
    cells->requests_s = median(series->requests_s, rounds);
    snprintf(cells->us, sizeof(cells->us), "%.3f", cells->cpu_us);
    snprintf(cells->kilo_s, sizeof(cells->kilo_s), "%.0f", cells->requests_s / 1e3);
    if (floor_us > 0)
        snprintf(cells->above_ns, sizeof(cells->above_ns), "%.0f",
                 (cells->cpu_us - floor_us) * 1e3);
}

static void print_result(struct table *table, const struct options *options,
                         const struct workload *workload, int pipeline, struct series *series)
{
    struct cells cells[PEER_KIND_COUNT] = { 0 };
    const struct cells *floor = &cells[PEER_FLOOR], *redis = &cells[PEER_REDIS],
                       *own = &cells[PEER_SLUICE];
    char ratio[16] = "";

    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        if (options->has_peer[kind])
            fill_cells(&cells[kind], &series[kind], (size_t)options->rounds, floor->cpu_us);
    }
    if (redis->cpu_us > 0 && own->cpu_us > 0)
        snprintf(ratio, sizeof(ratio), "%.2f", own->cpu_us / redis->cpu_us);
    table_row(table, "%s|%d|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", workload->name, pipeline, floor->us,
              redis->us, own->us, redis->above_ns, own->above_ns, ratio, floor->kilo_s,
              redis->kilo_s, own->kilo_s,
              verdict(workload->target, pipeline, options->has_peer, floor->cpu_us, redis->cpu_us,
                      own->cpu_us));
    fprintf(stderr, "  %s, pipeline %d: done\n", workload->name, pipeline);
}

static void compare_all(const struct options *options, const struct peer *peers)
{
    struct table *table = table_create("command|pipeline|floor us|redis us|sluice us|"
                                       "redis ns above|sluice ns above|sluice/redis|"
                                       "floor k/s|redis k/s|sluice k/s|target");

    for (int i = 0; i < options->pipeline_count; i++) {
        int pipeline = options->pipelines[i];
        long requests = requests_at(options, pipeline);
        for (int w = 0; w < WORKLOADS; w++) {
            struct series series[PEER_KIND_COUNT];
            if (!options->is_wanted[w]) continue;
            for (int round = 0; round < options->rounds; round++) {
                for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
                    struct result result;
                    if (!options->has_peer[kind]) continue;
                    result = run_once(&peers[kind], &workloads[w], pipeline, requests);
                    series[kind].cpu_us[round] = result.cpu_us;
                    series[kind].requests_s[round] = result.requests_s;
                }
            }
            print_result(table, options, &workloads[w], pipeline, series);
        }
    }
    printf(
        "Server CPU a request (all threads), %d clients, %d-byte values, medians of %d rounds:\n",
        CLIENTS, VALUE_BYTES, options->rounds);
    table_finish(table);
}

/* ---- arguments ---------------------------------------------------------------------------------
 */

static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; (at = strcasestr(at, word)); at += length) {
        if ((at == list || at[-1] == ',') && (at[length] == '\0' || at[length] == ',')) return true;
    }
    return false;
}

static void parse_pipelines(struct options *options, const char *text)
{
    char *end;

    options->pipeline_count = 0;
    for (;; text = end + 1) {
        long depth = strtol(text, &end, 10);
        if (depth < 1 || depth > 1000 || options->pipeline_count == PIPELINE_MAX)
            bench_fail("--pipelines wants depths of 1 to 1000, at most %d", PIPELINE_MAX);
        options->pipelines[options->pipeline_count++] = (int)depth;
        if (*end != ',') return;
    }
}

static void parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = { { "rounds", required_argument, NULL, 'r' },
                                           { "requests", required_argument, NULL, 'n' },
                                           { "pipelines", required_argument, NULL, 'P' },
                                           { "commands", required_argument, NULL, 'c' },
                                           { "peers", required_argument, NULL, 'p' },
                                           { "dir", required_argument, NULL, 'd' },
                                           { 0 } };
    const char *commands = NULL, *peers = "floor,redis,sluice";
    int option;

    *options = (struct options){ .rounds = 5, .requests = 1000000 };
    parse_pipelines(options, "1,16,64");
    options->base = argument_base();
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'r':
            options->rounds = argument_rounds(optarg);
            break;
        case 'n':
            options->requests = argument_requests(optarg);
            break;
        case 'P':
            parse_pipelines(options, optarg);
            break;
        case 'c':
            commands = optarg;
            break;
        case 'p':
            peers = optarg;
            break;
        case 'd':
            options->base = optarg;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    for (int w = 0; w < WORKLOADS; w++)
        options->is_wanted[w] = !commands || list_has(commands, workloads[w].name);
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++)
        options->has_peer[kind] = list_has(peers, peer_name((enum peer_kind)kind));
    options->own_arguments = (const char *const *)argv + optind;
}

static int body(int argc, char **argv)
{
    struct options options;
    struct peer peers[PEER_KIND_COUNT];

    parse_options(&options, argc, argv);
    memset(value, 'x', VALUE_BYTES);
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        if (!options.has_peer[kind]) continue;
        peer_start(&peers[kind], (enum peer_kind)kind,
                   kind == PEER_SLUICE ? options.own_arguments : NULL, options.base, NULL);
    }
    compare_all(&options, peers);
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        if (options.has_peer[kind]) peer_stop(&peers[kind]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
