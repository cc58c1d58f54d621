/* restart - how long a server takes from its start to the first answer, with a backlog in lists.
 *
 * Elements of 1 KiB in ten lists. Ours keeps a log; after the backlog was pushed a checkpoint is
 * made, the server killed and started again; then half of it is popped, so that the log has that,
 * and it is killed. Redis is started on its snapshot, and on its append-only file, of what fits
 * into this machine's memory.
 *
 * At last, both on a log alone: of short pushes, and as long as it gets before a checkpoint is made
 * (auto-aof-rewrite-min-size). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/options.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/summary.h"

enum {
    ELEMENT_BYTES = 1024,
    PER_CALL = 10,
    LISTS = 10,
    WINDOW = 64,
    KEY_BYTES = 32,
    SHORT_BYTES = 16,
    LOG_PUSHES = 50000, /* between looks at how long the log is */
    MEMORY_SHARE = 4,   /* of what is available: what Redis may hold */
};
static const double seconds_max = 1.0;
static const uint64_t log_bytes_max = UINT64_C(64) << 20;

static const uint64_t quick_sizes[] = { UINT64_C(100) << 20, UINT64_C(400) << 20, 0 };
static const uint64_t full_sizes[] = { UINT64_C(100) << 20, UINT64_C(1) << 30, UINT64_C(10) << 30,
                                       0 };

/* ---- filling and draining ---------------------------------------------------------------------
 */

static size_t encode_key(uint8_t *out, uint64_t list)
{
    char key[KEY_BYTES];
    int length = snprintf(key, sizeof(key), "list:%" PRIu64, list);

    return encode_bulk(out, key, (size_t)length);
}

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    uint8_t element[ELEMENT_BYTES];
    size_t at = encode_header(out, PER_CALL + 2);

    (void)pump;
    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_key(out + at, index % LISTS);
    for (int i = 0; i < PER_CALL; i++) {
        element_write(index * PER_CALL + (uint64_t)i, element, ELEMENT_BYTES);
        at += encode_bulk(out + at, element, ELEMENT_BYTES);
    }
    return at;
}

static size_t encode_short_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    uint8_t element[SHORT_BYTES];
    size_t at = encode_header(out, 3);

    (void)pump;
    element_write(index, element, SHORT_BYTES);
    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_key(out + at, index % LISTS);
    return at + encode_bulk(out + at, element, SHORT_BYTES);
}

static size_t encode_pop(struct pump *pump, uint64_t index, uint8_t *out)
{
    size_t at = encode_header(out, 3);

    (void)pump;
    at += encode_bulk(out + at, "LPOP", 4);
    at += encode_key(out + at, index % LISTS);
    return at + encode_bulk(out + at, "10", 2);
}

static void run_pump(const struct peer *peer,
                     size_t (*encode)(struct pump *pump, uint64_t index, uint8_t *out),
                     uint64_t count)
{
    struct pump pump = { .encode = encode,
                         .request_count = count,
                         .request_bytes_max = PER_CALL * (ELEMENT_BYTES + 24) + 200,
                         .window = WINDOW };

    connection_open(&pump.connection, peer->port);
    pump_run(&pump, 1);
    connection_close(&pump.connection);
}

static void call(const struct peer *peer, const char *words)
{
    struct connection connection;
    struct token token;

    connection_open(&connection, peer->port);
    connection_call(&connection, &token, "%s", words);
    connection_close(&connection);
}

static void expect_length(const struct peer *peer, uint64_t length)
{
    struct connection connection;
    struct token token;

    connection_open(&connection, peer->port);
    connection_call(&connection, &token, "LLEN list:0");
    connection_close(&connection);
    if ((uint64_t)token.number != length)
        bench_fail("%s: list:0 has %" PRId64 " elements, not %" PRIu64, peer_name(peer->kind),
                   token.number, length);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

struct backlog {
    uint64_t calls; /* of PER_CALL elements each */
    double gib;
    struct table *table;
};

static void row(const struct backlog *backlog, const char *what, uint64_t took_ns, bool is_ours)
{
    double seconds = (double)took_ns / 1e9;

    table_row(backlog->table, "%s|%.2f|%.3f|%s", what, backlog->gib, seconds,
              !is_ours                 ? ""
              : seconds <= seconds_max ? "<= 1 s: met"
                                       : "<= 1 s: NOT MET");
}

static void measure_ours(const struct backlog *backlog, const struct options *options)
{
    char maxmemory[32];
    const char *arguments[] = { "--appendonly", "yes", "--maxmemory", maxmemory, NULL };
    struct peer peer;

    snprintf(maxmemory, sizeof(maxmemory), "%" PRIu64, options->maxmemory_bytes);
    peer_start(&peer, PEER_SLUICE, arguments, options->base, NULL);
    run_pump(&peer, encode_push, backlog->calls);
    call(&peer, "SAVE");
    row(backlog, "sluice, checkpoint", peer_restart(&peer, arguments), true);
    expect_length(&peer, backlog->calls / LISTS * PER_CALL);
    run_pump(&peer, encode_pop, backlog->calls / 2);
    row(backlog, "sluice, half drained", peer_restart(&peer, arguments), true);
    expect_length(&peer, (backlog->calls / LISTS - backlog->calls / 2 / LISTS) * PER_CALL);
    peer_stop(&peer);
}

static void measure_redis(const struct backlog *backlog, const struct options *options,
                          const char *append_only, const char *what)
{
    /* While a sync runs, Redis answers before it writes, and what it was told is lost with it. */
    const char *arguments[] = { "--appendonly", append_only, "--appendfsync", "no", NULL };
    struct peer peer;

    peer_start(&peer, PEER_REDIS, arguments, options->base, NULL);
    run_pump(&peer, encode_push, backlog->calls);
    if (strcmp(append_only, "no") == 0) call(&peer, "SAVE");
    row(backlog, what, peer_restart(&peer, arguments), false);
    expect_length(&peer, backlog->calls / LISTS * PER_CALL);
    peer_stop(&peer);
}

static uint64_t log_bytes(const struct peer *peer)
{
    struct connection connection;
    uint64_t bytes;

    connection_open(&connection, peer->port);
    if (!info_number(&connection, "aof_current_size", &bytes))
        bench_fail("%s: INFO has no aof_current_size", peer_name(peer->kind));
    connection_close(&connection);
    return bytes;
}

static void measure_log(enum peer_kind kind, const struct options *options, struct table *table)
{
    const char *arguments[] = {
        "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync", "no", NULL
    };
    struct backlog log = { .table = table };
    struct peer peer;
    uint64_t bytes;

    peer_start(&peer, kind, arguments, options->base, NULL);
    while ((bytes = log_bytes(&peer)) < log_bytes_max) {
        run_pump(&peer, encode_short_push, LOG_PUSHES);
        log.calls += LOG_PUSHES;
    }
    log.gib = (double)bytes / (double)(UINT64_C(1) << 30);
    row(&log, kind == PEER_REDIS ? "redis, a log of short pushes" : "sluice, a log of short pushes",
        peer_restart(&peer, arguments), kind == PEER_SLUICE);
    expect_length(&peer, log.calls / LISTS);
    peer_stop(&peer);
}

static void measure(uint64_t bytes, const struct options *options, struct table *table)
{
    struct backlog backlog = { .calls = bytes / ELEMENT_BYTES / PER_CALL / (2 * LISTS) * 2 * LISTS,
                               .gib = (double)bytes / (double)(UINT64_C(1) << 30),
                               .table = table };

    fprintf(stderr, "a backlog of %.1f GiB\n", backlog.gib);
    measure_ours(&backlog, options);
    if (bytes > memory_available_bytes() / MEMORY_SHARE) return;
    measure_redis(&backlog, options, "no", "redis, snapshot");
    measure_redis(&backlog, options, "yes", "redis, append-only file");
}

static int body(int argc, char **argv)
{
    struct options options = { .maxmemory_bytes = UINT64_C(64) << 20 };
    struct table *table = table_create("|backlog GiB|seconds to PONG|");

    options_parse(&options, argc, argv, "restart: from the start to the first answer.");
    if (options.bytes > 0) {
        measure(options.bytes, &options, table);
    } else {
        for (const uint64_t *size = options.is_quick ? quick_sizes : full_sizes; *size; size++)
            measure(*size, &options, table);
    }
    measure_log(PEER_SLUICE, &options, table);
    measure_log(PEER_REDIS, &options, table);
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
