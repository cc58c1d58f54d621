#include "bench/lib/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"
#include "bench/lib/redis_benchmark.h"

enum {
    PUSHED_PER_REQUEST = 100,
    STREAM_ENTRIES = 1000,
    WINDOW = 16,
    REQUEST_OVERHEAD = 200,
    ID_BYTES = 32
};

static const char value[LOAD_VALUE_BYTES + 1] =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

static size_t encode_text(uint8_t *out, const char *text)
{
    return encode_bulk(out, text, strlen(text));
}

/* ---- data -------------------------------------------------------------------------------------
 */

static size_t encode_push(struct pump *pump, uint64_t index, uint8_t *out)
{
    size_t at = encode_header(out, PUSHED_PER_REQUEST + 2);

    (void)pump;
    (void)index;
    at += encode_text(out + at, "RPUSH");
    at += encode_text(out + at, "list");
    for (int i = 0; i < PUSHED_PER_REQUEST; i++)
        at += encode_text(out + at, value);
    return at;
}

/* Entry number index has the id index + 1, so that readers know what they will get. */
static size_t encode_id(uint8_t *out, uint64_t index)
{
    char id[ID_BYTES];
    int size = snprintf(id, sizeof(id), "%" PRIu64 "-0", index + 1);

    return encode_bulk(out, id, (size_t)size);
}

static size_t encode_add(struct pump *pump, uint64_t index, uint8_t *out)
{
    size_t at = encode_header(out, 5);

    (void)pump;
    at += encode_text(out + at, "XADD");
    at += encode_text(out + at, "stream");
    at += encode_id(out + at, index);
    at += encode_text(out + at, "field");
    return at + encode_text(out + at, value);
}

static void fill(struct connection *connection,
                 size_t (*encode)(struct pump *pump, uint64_t index, uint8_t *out), uint64_t count)
{
    struct pump pump = { .connection = *connection,
                         .encode = encode,
                         .request_count = count,
                         .request_bytes_max =
                             PUSHED_PER_REQUEST * (LOAD_VALUE_BYTES + 24) + REQUEST_OVERHEAD,
                         .window = WINDOW };

    pump_run(&pump, 1);
    *connection = pump.connection;
}

static uint64_t pairs_of_client(long requests)
{
    return (uint64_t)requests / LOAD_CLIENTS / 2;
}

static void make_groups(struct connection *connection)
{
    struct token token;

    for (int i = 0; i < LOAD_CLIENTS; i++)
        connection_call(connection, &token, "XGROUP CREATE stream group:%d 0", i);
}

void load_prepare(const struct peer *peer, const struct load *load, long requests)
{
    struct connection connection;
    struct token token;

    if (peer->kind == PEER_FLOOR) return;
    connection_open(&connection, peer->port);
    connection_call(&connection, &token, "FLUSHALL");
    switch (load->data) {
    case LOAD_NO_DATA:
        break;
    case LOAD_LIST_OF_HUNDRED:
        fill(&connection, encode_push, 100 / PUSHED_PER_REQUEST);
        break;
    case LOAD_LIST_FOR_EVERYBODY:
        /* A pop more than there are elements would measure something else: some more. */
        fill(&connection, encode_push, (uint64_t)requests / PUSHED_PER_REQUEST + 10);
        break;
    case LOAD_STREAM:
        fill(&connection, encode_add, STREAM_ENTRIES);
        break;
    case LOAD_STREAM_OF_GROUPS:
        fill(&connection, encode_add, pairs_of_client(requests));
        make_groups(&connection);
        break;
    }
    connection_close(&connection);
}

/* ---- pairs ------------------------------------------------------------------------------------
 */

/* One of the clients, which is alone in its group. */
struct reader {
    char group[16];
    bool is_floor;
    bool has_read; /* of the pair under way: the entry came that is acknowledged next */
};

static size_t encode_pair(struct pump *pump, uint64_t index, uint8_t *out)
{
    const struct reader *reader = pump->context;
    bool is_read = index % 2 == 0;
    size_t at = encode_header(out, is_read ? 9 : 4);

    at += encode_text(out + at, is_read ? "XREADGROUP" : "XACK");
    if (is_read) {
        at += encode_text(out + at, "GROUP");
        at += encode_text(out + at, reader->group);
        at += encode_text(out + at, "consumer");
        at += encode_text(out + at, "COUNT");
        at += encode_text(out + at, "1");
        at += encode_text(out + at, "STREAMS");
        at += encode_text(out + at, "stream");
        return at + encode_text(out + at, ">");
    }
    at += encode_text(out + at, "stream");
    at += encode_text(out + at, reader->group);
    return at + encode_id(out + at, index / 2);
}

static void check_pair(struct pump *pump, uint64_t index, const struct token *token)
{
    struct reader *reader = pump->context;

    if (reader->is_floor) return;
    if (index % 2 == 0 && token->type == '$' && token->size == LOAD_VALUE_BYTES)
        reader->has_read = memcmp(token->bytes, value, LOAD_VALUE_BYTES) == 0;
    if (index % 2 == 0) return;
    if (!reader->has_read || token->type != ':' || token->number != 1)
        bench_fail("%s: entry %" PRIu64 " was not read and acknowledged", reader->group, index / 2);
    reader->has_read = false;
}

static double run_pairs(const struct peer *peer, int pipeline, long requests)
{
    struct reader readers[LOAD_CLIENTS];
    struct pump *pumps = calloc(LOAD_CLIENTS, sizeof(*pumps));
    uint64_t begin_ns;
    double seconds;

    if (!pumps) bench_fail("out of memory");
    for (int i = 0; i < LOAD_CLIENTS; i++) {
        readers[i] = (struct reader){ .is_floor = peer->kind == PEER_FLOOR };
        snprintf(readers[i].group, sizeof(readers[i].group), "group:%d", i);
        pumps[i] = (struct pump){ .encode = encode_pair,
                                  .on_token = check_pair,
                                  .context = &readers[i],
                                  .request_count = pairs_of_client(requests) * 2,
                                  .request_bytes_max = REQUEST_OVERHEAD,
                                  .window = (unsigned)pipeline };
        connection_open(&pumps[i].connection, peer->port);
    }
    begin_ns = now_ns();
    pump_run(pumps, LOAD_CLIENTS);
    seconds = (double)(now_ns() - begin_ns) / 1e9;
    for (int i = 0; i < LOAD_CLIENTS; i++)
        connection_close(&pumps[i].connection);
    free(pumps);
    return (double)requests / seconds;
}

double load_run(const struct peer *peer, const struct load *load, int pipeline, long requests)
{
    if (!load->words) return run_pairs(peer, pipeline, requests);
    return redis_benchmark_run(
        peer, &(struct redis_benchmark){ load->words, value, LOAD_CLIENTS, pipeline, requests });
}
