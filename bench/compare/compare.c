/* compare - what a request costs the server, beside Redis and beside the bare responder.
 *
 * For each command and pipeline depth, in turn and round after round: the floor, Redis and ours,
 * each under the same redis-benchmark. Printed are medians of the rounds: CPU time of all threads
 * of the server a request, how much of it lies above the floor, the ratio to Redis, and throughput.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/argument.h"
#include "bench/lib/guard.h"
#include "bench/lib/load.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/summary.h"

static const char usage[] =
    "usage: compare [--rounds N] [--requests N] [--pipelines 1,16,64] [--commands LPUSH,RPOP,...]\n"
    "               [--peers floor,redis,sluice] [--log MODE] [--dir DIRECTORY]\n"
    "               [-- argument of ours ...]\n"
    "  --rounds    runs of each (5)\n"
    "  --requests  of a run at pipeline 64; a quarter of it at 1, half of it at 16 (1,000,000)\n"
    "  --log       ours with its log, Redis with its append-only file, appendfsync MODE; none\n"
    "  --dir       where the servers get their directories ($TMPDIR or /var/tmp)\n";

enum { PIPELINE_MAX = 8 };

/* Which limit of the issues counts. */
enum target { TARGET_NONE, TARGET_LIST, TARGET_LIST_RANGE, TARGET_STREAM, TARGET_STREAM_ADD };

struct workload {
    const char *name;
    struct load load;
    enum target target;
};
static const struct workload workloads[] = {
    { "PING", { "PING", LOAD_NO_DATA }, TARGET_NONE },
    { "LPUSH", { "LPUSH list VALUE", LOAD_NO_DATA }, TARGET_LIST },
    { "RPUSH", { "RPUSH list VALUE", LOAD_NO_DATA }, TARGET_LIST },
    { "LPOP", { "LPOP list", LOAD_LIST_FOR_EVERYBODY }, TARGET_LIST },
    { "RPOP", { "RPOP list", LOAD_LIST_FOR_EVERYBODY }, TARGET_LIST },
    { "LRANGE", { "LRANGE list 0 99", LOAD_LIST_OF_HUNDRED }, TARGET_LIST_RANGE },
    { "LMOVE", { "LMOVE list other LEFT RIGHT", LOAD_LIST_FOR_EVERYBODY }, TARGET_NONE },
    { "SET", { "SET key:__rand_int__ VALUE", LOAD_NO_DATA }, TARGET_NONE },
    { "GET", { "GET key:__rand_int__", LOAD_NO_DATA }, TARGET_NONE },
    { "XADD", { "XADD stream * field VALUE", LOAD_NO_DATA }, TARGET_STREAM_ADD },
    { "XREAD-10", { "XREAD COUNT 10 STREAMS stream 0", LOAD_STREAM }, TARGET_STREAM },
    { "XRANGE-10", { "XRANGE stream - + COUNT 10", LOAD_STREAM }, TARGET_STREAM },
    { "XRANGE-100", { "XRANGE stream - + COUNT 100", LOAD_STREAM }, TARGET_STREAM },
    { "XREADGROUP+XACK", { NULL, LOAD_STREAM_OF_GROUPS }, TARGET_STREAM },
};
enum { WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

/* The limits of the issues. */
static const double list_above_floor_ns_max = 150, list_pipeline_one_ratio_max = 1.1,
                    list_range_ratio_max = 0.6, stream_ratio_max = 0.5,
                    stream_logged_ratio_max = 0.4, stream_add_above_floor_ns_max = 200;

struct options {
    int rounds, pipelines[PIPELINE_MAX], pipeline_count;
    long requests;
    bool is_wanted[WORKLOADS], has_peer[PEER_KIND_COUNT];
    const char *base, *log_mode; /* NULL: no log */
    const char *const *own_arguments;
};

struct result {
    double cpu_us, requests_s;
};
struct series {
    double cpu_us[ROUND_MAX], requests_s[ROUND_MAX];
};

/* ---- one run -----------------------------------------------------------------------------------
 */

static long requests_at(const struct options *options, int pipeline)
{
    long requests = pipeline == 1   ? options->requests / 4
                    : pipeline < 64 ? options->requests / 2
                                    : options->requests;

    return (requests / LOAD_GRAIN + 1) * LOAD_GRAIN;
}

static struct result run_once(const struct peer *peer, const struct workload *workload,
                              int pipeline, long requests)
{
    struct result result;
    uint64_t before_ns;

    load_prepare(peer, &workload->load, requests);
    before_ns = process_cpu_ns(peer->pid);
    result.requests_s = load_run(peer, &workload->load, pipeline, requests);
    result.cpu_us = (double)(process_cpu_ns(peer->pid) - before_ns) / 1e3 / (double)requests;
    return result;
}

/* ---- results -----------------------------------------------------------------------------------
 */

/* "what: met". value 0: one of those it is made of was not measured. */
static void say_verdict(char *text, size_t size, double value, double limit, const char *format)
{
    size_t length = strlen(text);

    if (value == 0 || length >= size) return;
    if (length > 0) length += (size_t)snprintf(text + length, size - length, ", ");
    length += (size_t)snprintf(text + length, size - length, format, limit);
    (void)snprintf(text + length, size - length, value <= limit ? ": met" : ": NOT MET");
}

static void verdict(const struct options *options, enum target target, int pipeline,
                    double floor_us, double redis_us, double own_us, char *text, size_t size)
{
    double above_floor_ns = floor_us > 0 && own_us > 0 ? (own_us - floor_us) * 1e3 : 0;
    double to_floor = floor_us > 0 ? own_us / floor_us : 0;
    double to_redis = redis_us > 0 ? own_us / redis_us : 0;
    bool is_stream = target == TARGET_STREAM || target == TARGET_STREAM_ADD;

    text[0] = '\0';
    if (is_stream && pipeline == 1) return;
    if (is_stream && options->log_mode)
        say_verdict(text, size, to_redis, stream_logged_ratio_max, "<= %.1f x redis");
    else if (is_stream)
        say_verdict(text, size, to_redis, stream_ratio_max, "<= %.1f x redis");
    if (options->log_mode) return;
    if (target == TARGET_STREAM_ADD)
        say_verdict(text, size, above_floor_ns, stream_add_above_floor_ns_max, "<= %.0f ns");
    if (target == TARGET_LIST_RANGE)
        say_verdict(text, size, to_redis, list_range_ratio_max, "<= %.1f x redis");
    if (target == TARGET_LIST && pipeline == 1)
        say_verdict(text, size, to_floor, list_pipeline_one_ratio_max, "<= %.1f x floor");
    if (target == TARGET_LIST && pipeline > 1)
        say_verdict(text, size, above_floor_ns, list_above_floor_ns_max, "<= %.0f ns");
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
    char ratio[16] = "", target[80];

    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        if (options->has_peer[kind])
            fill_cells(&cells[kind], &series[kind], (size_t)options->rounds, floor->cpu_us);
    }
    if (redis->cpu_us > 0 && own->cpu_us > 0)
        snprintf(ratio, sizeof(ratio), "%.2f", own->cpu_us / redis->cpu_us);
    verdict(options, workload->target, pipeline, floor->cpu_us, redis->cpu_us, own->cpu_us, target,
            sizeof(target));
    table_row(table, "%s|%d|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", workload->name, pipeline, floor->us,
              redis->us, own->us, redis->above_ns, own->above_ns, ratio, floor->kilo_s,
              redis->kilo_s, own->kilo_s, target);
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
    printf("Server CPU a request (all threads), %d clients, %d-byte values, log %s, medians of %d "
           "rounds:\n",
           LOAD_CLIENTS, LOAD_VALUE_BYTES, options->log_mode ? options->log_mode : "none",
           options->rounds);
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
    const char *pipelines = "1,16,64", *commands = NULL, *peers = "floor,redis,sluice";
    const struct argument arguments[] = { { "rounds", .rounds = &options->rounds },
                                          { "requests", .requests = &options->requests },
                                          { "pipelines", .text = &pipelines },
                                          { "commands", .text = &commands },
                                          { "peers", .text = &peers },
                                          { "log", .text = &options->log_mode },
                                          { "dir", .text = &options->base },
                                          { 0 } };

    *options = (struct options){ .rounds = 5, .requests = 1000000 };
    options->base = argument_base();
    options->own_arguments = argument_parse(argc, argv, arguments, usage);
    parse_pipelines(options, pipelines);
    for (int w = 0; w < WORKLOADS; w++)
        options->is_wanted[w] = !commands || list_has(commands, workloads[w].name);
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++)
        options->has_peer[kind] = list_has(peers, peer_name((enum peer_kind)kind));
}

/* The floor keeps nothing; a log that is rewritten meanwhile would be another measurement. */
static void start_peer(struct peer *peer, enum peer_kind kind, const struct options *options)
{
    const char *arguments[PEER_ARGUMENT_MAX + 1] = {
        "--appendonly",   "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync",
        options->log_mode
    };
    int count = kind == PEER_FLOOR || !options->log_mode ? 0 : 6;

    arguments[count] = NULL;
    for (int i = 0; kind == PEER_SLUICE && options->own_arguments[i]; i++) {
        if (count == PEER_ARGUMENT_MAX) bench_fail("too many arguments");
        arguments[count++] = options->own_arguments[i];
        arguments[count] = NULL;
    }
    peer_start(peer, kind, arguments, options->base, NULL);
}

static int body(int argc, char **argv)
{
    struct options options;
    struct peer peers[PEER_KIND_COUNT];

    parse_options(&options, argc, argv);
    for (int kind = 0; kind < PEER_KIND_COUNT; kind++) {
        if (options.has_peer[kind]) start_peer(&peers[kind], (enum peer_kind)kind, &options);
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
