/* stream - how long a server takes from its start to the first answer, with one large stream.
 *
 * Entries of 1 KiB, of which a group has read some and acknowledged none. Ours keeps a log; a
 * checkpoint is made, the server killed and started again; then a tenth more is added and read, so
 * that the log has that, and it is killed again. Redis is started on its snapshot, and on its
 * append-only file, of what fits into this machine's memory. After each start it is looked whether
 * the entries and what is pending are there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/connection.h"
#include "bench/lib/element.h"
#include "bench/lib/entry.h"
#include "bench/lib/guard.h"
#include "bench/lib/options.h"
#include "bench/lib/peer.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/summary.h"

enum {
    VALUE_BYTES = 1024,
    WINDOW = 256,
    PENDING = 10000, /* that each filling reads; there are more entries */
    MEMORY_SHARE = 4 /* of what is available: what Redis may hold */
};
static const double seconds_max = 1.0;

static const uint64_t quick_sizes[] = { UINT64_C(100) << 20, UINT64_C(400) << 20, 0 };
static const uint64_t full_sizes[] = { UINT64_C(1) << 30, UINT64_C(10) << 30, 0 };

struct filling {
    struct peer peer;
    uint64_t added, pending;
};

/* ---- filling ----------------------------------------------------------------------------------
 */

static size_t encode_add(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct filling *filling = pump->context;

    return entry_encode(out, filling->added + index + 1, "value", VALUE_BYTES);
}

static void add(struct filling *filling, uint64_t count)
{
    struct pump pump = { .encode = encode_add,
                         .context = filling,
                         .request_count = count,
                         .request_bytes_max = VALUE_BYTES + ENTRY_REQUEST_EXTRA_BYTES,
                         .window = WINDOW };
    struct token token;

    connection_open(&pump.connection, filling->peer.port);
    pump_run(&pump, 1);
    filling->added += count;
    connection_call(&pump.connection, &token,
                    "XREADGROUP GROUP group consumer COUNT %d STREAMS stream >", PENDING);
    filling->pending += PENDING;
    connection_close(&pump.connection);
}

static void call(const struct filling *filling, struct token *token, const char *words)
{
    struct connection connection;

    connection_open(&connection, filling->peer.port);
    connection_call(&connection, token, "%s", words);
    connection_close(&connection);
}

static void begin(struct filling *filling, uint64_t count)
{
    struct token token;

    call(filling, &token, "XGROUP CREATE stream group 0 MKSTREAM");
    add(filling, count);
}

/* ---- what is there ----------------------------------------------------------------------------
 */

static void expect_last_entry(struct connection *connection, uint64_t number)
{
    struct token token;

    connection_call(connection, &token, "XREVRANGE stream + - COUNT 1");
    if (token.type != '$' || !element_is(number, VALUE_BYTES, token.bytes, token.size))
        bench_fail("the last entry is not %" PRIu64, number);
}

/* What XPENDING ends with is how many the only consumer has. */
static void expect_pending(struct connection *connection, uint64_t count)
{
    char text[32];
    struct token token;

    snprintf(text, sizeof(text), "%" PRIu64, count);
    connection_call(connection, &token, "XPENDING stream group");
    if (token.type != '$' || token.size != strlen(text) ||
        memcmp(token.bytes, text, token.size) != 0)
        bench_fail("%s entries should be pending", text);
}

static void expect_all(const struct filling *filling)
{
    struct connection connection;
    struct token token;

    connection_open(&connection, filling->peer.port);
    connection_call(&connection, &token, "XLEN stream");
    if (token.type != ':' || (uint64_t)token.number != filling->added)
        bench_fail("%s: the stream has %" PRId64 " entries, not %" PRIu64,
                   peer_name(filling->peer.kind), token.number, filling->added);
    expect_last_entry(&connection, filling->added);
    expect_pending(&connection, filling->pending);
    connection_close(&connection);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void restart(struct filling *filling, const char *const *arguments, const char *what,
                    struct table *table)
{
    double seconds = (double)peer_restart(&filling->peer, arguments) / 1e9;

    expect_all(filling);
    table_row(table, "%s|%.2f|%.3f|%s", what,
              (double)filling->added * VALUE_BYTES / (double)(UINT64_C(1) << 30), seconds,
              filling->peer.kind != PEER_SLUICE ? ""
              : seconds <= seconds_max          ? "<= 1 s: met"
                                                : "<= 1 s: NOT MET");
}

static void measure_ours(uint64_t count, const struct options *options, struct table *table)
{
    char maxmemory[32];
    const char *arguments[] = { "--appendonly", "yes", "--maxmemory", maxmemory, NULL };
    struct filling filling = { .added = 0 };
    struct token token;

    snprintf(maxmemory, sizeof(maxmemory), "%" PRIu64, options->maxmemory_bytes);
    peer_start(&filling.peer, PEER_SLUICE, arguments, options->base, NULL);
    begin(&filling, count);
    call(&filling, &token, "SAVE");
    restart(&filling, arguments, "sluice, checkpoint", table);
    add(&filling, count / 10);
    restart(&filling, arguments, "sluice, a tenth more in the log", table);
    peer_stop(&filling.peer);
}

static void measure_redis(uint64_t count, const struct options *options, const char *append_only,
                          const char *what, struct table *table)
{
    /* While a sync runs, Redis answers before it writes, and what it was told is lost with it. */
    const char *arguments[] = { "--appendonly", append_only, "--appendfsync", "no", NULL };
    struct filling filling = { .added = 0 };
    struct token token;

    peer_start(&filling.peer, PEER_REDIS, arguments, options->base, NULL);
    begin(&filling, count);
    if (strcmp(append_only, "no") == 0) call(&filling, &token, "SAVE");
    restart(&filling, arguments, what, table);
    peer_stop(&filling.peer);
}

static void measure(uint64_t bytes, const struct options *options, struct table *table)
{
    uint64_t count = bytes / VALUE_BYTES;

    if (count < 2 * PENDING) bench_fail("at least %d entries", 2 * PENDING);
    fprintf(stderr, "  %.2f GiB\n", (double)bytes / (double)(UINT64_C(1) << 30));
    measure_ours(count, options, table);
    if (bytes > memory_available_bytes() / MEMORY_SHARE) return;
    measure_redis(count, options, "no", "redis, snapshot", table);
    measure_redis(count, options, "yes", "redis, append-only file", table);
}

static int body(int argc, char **argv)
{
    struct options options = { .maxmemory_bytes = UINT64_C(64) << 20 };
    struct table *table = table_create("one stream|GiB|seconds to PONG|");

    options_parse(&options, argc, argv, "stream: from the start to the first answer.");
    if (options.bytes > 0) {
        measure(options.bytes, &options, table);
    } else {
        for (const uint64_t *size = options.is_quick ? quick_sizes : full_sizes; *size; size++)
            measure(*size, &options, table);
    }
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
