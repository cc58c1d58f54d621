/* checkpoint - what other clients feel, and what it takes, while all data is written anew.
 *
 * Many elements in a thousand lists. Four connections work on lists of their own all the time
 * (LPUSH, LINDEX, RPOP, one after the other, each on a schedule: one that is late counts from when
 * it was due), first while nothing else happens, then during BGREWRITEAOF: a checkpoint of ours,
 * a fork and a new append-only file of Redis. Both keep a log in the same mode, and nothing else
 * starts a rewrite. Memory is RssAnon + RssShmem, of Redis with what its child had to copy.
 *
 * Then, of ours, what a checkpoint writes after one push to a list much larger than memory. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/options.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/schedule.h"
#include "bench/lib/summary.h"

enum {
    ELEMENT_BYTES = 64,
    LISTS = 1000,
    PER_CALL = 100,
    WINDOW = 16,
    WORKERS = 4,
    IDLE_MS = 3000,
    SETTLE_MS = 1500, /* what the last phase left to be synced */
    POLL_MS = 20,
    SAMPLE_MS = 10,
    LARGE_ELEMENT_BYTES = 1024,
};
enum phase { PHASE_NONE, PHASE_IDLE, PHASE_SAVING, PHASE_COUNT };
static const uint64_t elements_full = 10000000, elements_quick = 1000000;
static const uint64_t large_bytes_full = UINT64_C(10) << 30, large_bytes_quick = UINT64_C(1) << 29;

/* The limits of the issue. */
static const double tick_us_max = 5000, memory_ratio_max = 1.01;
static const uint64_t one_push_bytes_max = 1 << 20;

/* ---- clients at work --------------------------------------------------------------------------
 */

struct worker {
    pthread_t thread;
    struct work *work;
    unsigned number;
    struct histogram times_us[PHASE_COUNT];
};

struct work {
    uint16_t port;
    uint64_t interval_ns;
    atomic_int phase;
    atomic_bool is_stopping;
    struct worker workers[WORKERS];
};

static void work_once(struct connection *connection, unsigned worker, uint64_t turn)
{
    static const char *const requests[] = { "LPUSH work:%u element", "LINDEX work:%u 0",
                                            "RPOP work:%u" };
    struct token token;
    char words[64];

    (void)snprintf(words, sizeof(words), requests[turn % 3], worker);
    connection_call(connection, &token, "%s", words);
}

static void *work_in_thread(void *context)
{
    struct worker *worker = context;
    struct work *work = worker->work;
    struct connection connection;
    struct schedule schedule;

    schedule_begin(&schedule, work->interval_ns);
    connection_open(&connection, work->port);
    for (uint64_t turn = 0; !atomic_load(&work->is_stopping); turn++) {
        int phase = atomic_load(&work->phase);

        schedule_send(&schedule);
        work_once(&connection, worker->number, turn);
        histogram_add(&worker->times_us[phase], schedule_taken_us(&schedule));
        schedule_wait(&schedule);
    }
    connection_close(&connection);
    return NULL;
}

static struct work *work_start(uint16_t port, uint64_t interval_ns)
{
    struct work *work = calloc(1, sizeof(*work));

    if (!work) bench_fail("out of memory");
    work->port = port;
    work->interval_ns = interval_ns;
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &work->workers[i];

        worker->work = work;
        worker->number = i;
        errno = pthread_create(&worker->thread, NULL, work_in_thread, worker);
        if (errno) bench_fail_errno("pthread_create");
    }
    return work;
}

static void work_stop(struct work *work, struct histogram times_us[PHASE_COUNT])
{
    atomic_store(&work->is_stopping, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(work->workers[i].thread, NULL);
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            histogram_merge(&times_us[phase], &work->workers[i].times_us[phase]);
    }
    free(work);
}

/* ---- rewriting --------------------------------------------------------------------------------
 */

struct result {
    struct histogram times_us[PHASE_COUNT];
    double seconds;
    uint64_t memory_before, memory_max, max_tick_us;
};

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    uint8_t element[ELEMENT_BYTES];
    char key[32];
    int length = snprintf(key, sizeof(key), "list:%" PRIu64, index % LISTS);
    size_t at = encode_header(out, PER_CALL + 2);

    (void)pump;
    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_bulk(out + at, key, (size_t)length);
    for (uint64_t i = 0; i < PER_CALL; i++) {
        element_write(index * PER_CALL + i, element, ELEMENT_BYTES);
        at += encode_bulk(out + at, element, ELEMENT_BYTES);
    }
    return at;
}

static void fill(const struct peer *peer, uint64_t elements)
{
    struct pump pump = { .encode = encode_push,
                         .request_count = elements / PER_CALL,
                         .request_bytes_max = PER_CALL * (ELEMENT_BYTES + 24) + 100,
                         .window = WINDOW };

    connection_open(&pump.connection, peer->port);
    pump_run(&pump, 1);
    connection_close(&pump.connection);
}

static uint64_t number_of(struct connection *connection, const char *field)
{
    uint64_t number;

    if (!info_number(connection, field, &number)) bench_fail("INFO has no %s", field);
    return number;
}

static void rewrite(struct connection *connection)
{
    struct token token;

    connection_call(connection, &token, "BGREWRITEAOF");
    do
        sleep_ms(POLL_MS);
    while (number_of(connection, "aof_rewrite_in_progress") ||
           number_of(connection, "aof_rewrite_scheduled"));
}

static void measure_rewrite(const struct peer *peer, struct connection *connection,
                            struct work *work, struct result *result)
{
    struct sampler *sampler = sampler_start(peer->pid, SAMPLE_MS);
    struct token token;
    uint64_t begin_ns;

    atomic_store(&work->phase, PHASE_IDLE);
    sleep_ms(IDLE_MS);
    result->memory_before = sampler_max_bytes(sampler);
    sampler_reset(sampler);
    connection_call(connection, &token, "CONFIG RESETSTAT");
    atomic_store(&work->phase, PHASE_SAVING);
    begin_ns = now_ns();
    rewrite(connection);
    result->seconds = (double)(now_ns() - begin_ns) / 1e9;
    atomic_store(&work->phase, PHASE_NONE);
    result->memory_max = sampler_max_bytes(sampler);
    sampler_stop(sampler);
    if (peer->kind == PEER_SLUICE)
        result->max_tick_us = number_of(connection, "max_tick_us");
    else
        result->memory_max += number_of(connection, "aof_last_cow_size");
}

static void measure(enum peer_kind kind, const char *mode, uint64_t elements,
                    const struct options *options, struct result *result)
{
    const char *arguments[] = {
        "--appendonly", "yes", "--appendfsync", mode, "--auto-aof-rewrite-percentage", "0", NULL
    };
    uint64_t interval_ns = strcmp(mode, "always") == 0 ? 5000000 : 1000000;
    struct connection connection;
    struct work *work;
    struct peer peer;

    fprintf(stderr, "  %s, %s\n", mode, peer_name(kind));
    memset(result, 0, sizeof(*result));
    peer_start(&peer, kind, arguments, options->base, NULL);
    fill(&peer, elements);
    sleep_ms(SETTLE_MS);
    connection_open(&connection, peer.port);
    work = work_start(peer.port, interval_ns);
    measure_rewrite(&peer, &connection, work, result);
    work_stop(work, result->times_us);
    connection_close(&connection);
    peer_stop(&peer);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_result(struct table *table, const char *mode, enum peer_kind kind,
                         const struct result *result, const char *verdict)
{
    const struct histogram *saving = &result->times_us[PHASE_SAVING];
    char tick[32] = "";

    if (kind == PEER_SLUICE) (void)snprintf(tick, sizeof(tick), "%" PRIu64, result->max_tick_us);
    table_row(table,
              "%s|%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64
              "|%.2f|%.0f|%.0f|%s|%s",
              mode, peer_name(kind), histogram_quantile(&result->times_us[PHASE_IDLE], 0.999),
              saving->count, histogram_quantile(saving, 0.5), histogram_quantile(saving, 0.999),
              saving->max, result->seconds, mib(result->memory_before), mib(result->memory_max),
              tick, verdict);
}

static void compare(struct table *table, const char *mode, uint64_t elements,
                    const struct options *options)
{
    static struct result redis, own;
    uint64_t redis_us, own_us;
    char verdict[160];

    measure(PEER_REDIS, mode, elements, options, &redis);
    measure(PEER_SLUICE, mode, elements, options, &own);
    redis_us = histogram_quantile(&redis.times_us[PHASE_SAVING], 0.999);
    own_us = histogram_quantile(&own.times_us[PHASE_SAVING], 0.999);
    (void)snprintf(
        verdict, sizeof(verdict), "p99.9 %.2f x redis: %s; memory <= before: %s; tick <= 5 ms: %s",
        (double)own_us / (double)redis_us, own_us <= redis_us ? "met" : "NOT MET",
        (double)own.memory_max <= memory_ratio_max * (double)own.memory_before ? "met" : "NOT MET",
        (double)own.max_tick_us <= tick_us_max ? "met" : "NOT MET");
    print_result(table, mode, PEER_REDIS, &redis, "");
    print_result(table, mode, PEER_SLUICE, &own, verdict);
}

/* ---- one push to a large list -----------------------------------------------------------------
 */

/* What the kernel counts as written by all threads, to the page cache or past it. */
static uint64_t written_bytes(pid_t pid)
{
    static const char field[] = "\nwrite_bytes: ";
    char path[64], *text, *line;
    uint64_t bytes;

    (void)snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
    text = file_text(path);
    line = text ? strstr(text, field) : NULL;
    if (!line) bench_fail("%s: no write_bytes", path);
    bytes = strtoull(line + sizeof(field) - 1, NULL, 10);
    free(text);
    return bytes;
}

static void print_large(uint64_t bytes, uint64_t written, uint64_t file_bytes, uint64_t tick_us)
{
    struct table *table =
        table_create("list GiB|written by it, KiB|of it its file, KiB|longest tick us|target");

    printf("one push to a large list, then a checkpoint (the write of its log frame included)\n");
    table_row(table, "%.1f|%.0f|%.1f|%" PRIu64 "|<= 1 MiB: %s; tick <= 5 ms: %s", mib(bytes) / 1024,
              (double)written / 1024, (double)file_bytes / 1024, tick_us,
              written <= one_push_bytes_max ? "met" : "NOT MET",
              (double)tick_us <= tick_us_max ? "met" : "NOT MET");
    table_finish(table);
}

static void measure_large(uint64_t bytes, const struct options *options)
{
    char maxmemory[32];
    const char *arguments[] = { "--appendonly", "yes", "--maxmemory", maxmemory, NULL };
    struct fifo fifo = { .key = "large",
                         .count = bytes / LARGE_ELEMENT_BYTES,
                         .size_min = LARGE_ELEMENT_BYTES,
                         .size_max = LARGE_ELEMENT_BYTES };
    struct connection connection;
    struct token token;
    struct peer peer;
    uint64_t before;

    fprintf(stderr, "  one push to %.1f GiB\n", mib(bytes) / 1024);
    (void)snprintf(maxmemory, sizeof(maxmemory), "%" PRIu64, options->maxmemory_bytes);
    peer_start(&peer, PEER_SLUICE, arguments, options->base, NULL);
    fifo.port = peer.port;
    (void)fifo_push(&fifo);
    connection_open(&connection, peer.port);
    connection_call(&connection, &token, "SAVE");
    sleep_ms(SETTLE_MS);
    connection_call(&connection, &token, "SAVE");
    sleep_ms(SETTLE_MS);
    connection_call(&connection, &token, "CONFIG RESETSTAT");
    before = written_bytes(peer.pid);
    connection_call(&connection, &token, "LPUSH large element");
    connection_call(&connection, &token, "SAVE");
    print_large(bytes, written_bytes(peer.pid) - before,
                number_of(&connection, "checkpoint_file_bytes"),
                number_of(&connection, "max_tick_us"));
    connection_close(&connection);
    peer_stop(&peer);
}

static int body(int argc, char **argv)
{
    struct options options = { .maxmemory_bytes = UINT64_C(64) << 20 };
    struct table *table =
        table_create("appendfsync|server|before, p99.9 us|requests while|p50|p99.9|max|seconds|"
                     "MiB before|at most while|longest tick us|target");
    uint64_t elements;

    options_parse(&options, argc, argv,
                  "checkpoint: other clients and memory while all data is written anew.");
    elements = options.is_quick ? elements_quick : elements_full;
    if (options.bytes == 0) options.bytes = options.is_quick ? large_bytes_quick : large_bytes_full;
    compare(table, "everysec", elements, &options);
    compare(table, "always", elements, &options);
    printf(
        "BGREWRITEAOF of %.1f million elements of %d bytes, %d clients at work (a third reads)\n",
        (double)elements / 1e6, ELEMENT_BYTES, WORKERS);
    table_finish(table);
    measure_large(options.bytes, &options);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
