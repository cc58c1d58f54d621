/* memory - what an element costs in memory, ours and Redis, all of it resident.
 *
 * Two readings, both as differences to the server before it was filled: own memory as the kernel
 * counts it (RssAnon + RssShmem: what the machine has to have), and used_memory of INFO. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/element.h"
#include "bench/lib/fifo.h"
#include "bench/lib/guard.h"
#include "bench/lib/info.h"
#include "bench/lib/limited.h"
#include "bench/lib/process.h"
#include "bench/lib/pump.h"

enum {
    PER_CALL = 100,
    WINDOW = 8, /* little under way: buffers of requests are not what is measured */
    SMALL_LIST_ELEMENTS = 5,
    SMALL_ELEMENT_BYTES = 10,
    SETTLE_MS = 1500, /* buffers are given back, statistics refreshed */
    QUICK_DIVISOR = 4
};
static const double ten_byte_element_max = 13;

struct shape {
    const char *name;
    uint64_t lists, elements; /* elements of each list */
    size_t element_bytes;
};
static const struct shape shapes[] = {
    { "one list, 10-byte elements", 1, 10000000, 10 },
    { "one list, 100-byte elements", 1, 4000000, 100 },
    { "one list, 1,000-byte elements", 1, 1000000, 1000 },
    { "lists of 5 10-byte elements", 1000000, SMALL_LIST_ELEMENTS, SMALL_ELEMENT_BYTES },
};

struct cost {
    double rss, used; /* bytes an element */
};

static size_t encode_small_list(struct pump *pump, uint64_t index, uint8_t *out)
{
    char key[24];
    uint8_t element[SMALL_ELEMENT_BYTES];
    int length = snprintf(key, sizeof(key), "list:%" PRIu64, index);
    size_t at = encode_header(out, SMALL_LIST_ELEMENTS + 2);

    (void)pump;
    at += encode_bulk(out + at, "RPUSH", 5);
    at += encode_bulk(out + at, key, (size_t)length);
    for (unsigned i = 0; i < SMALL_LIST_ELEMENTS; i++) {
        element_write(index * SMALL_LIST_ELEMENTS + i, element, sizeof(element));
        at += encode_bulk(out + at, element, sizeof(element));
    }
    return at;
}

static void fill_small_lists(uint16_t port, uint64_t lists)
{
    struct pump pump = { .encode = encode_small_list,
                         .request_count = lists,
                         .request_bytes_max = 100 + SMALL_LIST_ELEMENTS * 50,
                         .window = 64 };

    connection_open(&pump.connection, port);
    pump_run(&pump, 1);
    connection_close(&pump.connection);
}

static void fill(uint16_t port, const struct shape *shape, uint64_t divisor)
{
    struct fifo fifo = { .port = port,
                         .key = "list",
                         .count = shape->elements / divisor,
                         .size_min = shape->element_bytes,
                         .size_max = shape->element_bytes,
                         .elements_per_call = PER_CALL,
                         .window = WINDOW };

    if (shape->lists > 1)
        fill_small_lists(port, shape->lists / divisor);
    else
        (void)fifo_push(&fifo);
}

static uint64_t used_memory(uint16_t port)
{
    struct connection connection;
    uint64_t bytes;

    connection_open(&connection, port);
    if (!info_number(&connection, "used_memory", &bytes)) bench_fail("INFO without used_memory");
    connection_close(&connection);
    return bytes;
}

static struct cost measure(const struct options *options, enum peer_kind kind,
                           const struct shape *shape, uint64_t divisor)
{
    struct options own = *options;
    double elements = (double)shape->lists * (double)shape->elements / (double)divisor;
    uint64_t rss_before, used_before;
    struct limited limited;
    struct cost cost;

    own.kind = kind;
    if (!limited_start_roomy(&limited, &own, UINT64_C(1) << 30))
        bench_fail("too little memory for this");
    sleep_ms(SETTLE_MS);
    rss_before = process_memory_bytes(limited.peer.pid);
    used_before = used_memory(limited.peer.port);
    fill(limited.peer.port, shape, divisor);
    sleep_ms(SETTLE_MS);
    cost.rss = ((double)process_memory_bytes(limited.peer.pid) - (double)rss_before) / elements;
    cost.used = ((double)used_memory(limited.peer.port) - (double)used_before) / elements;
    limited_stop(&limited);
    return cost;
}

static int body(int argc, char **argv)
{
    struct options options = { 0 };
    struct table *table = table_create("bytes an element|elements|sluice RssAnon|redis RssAnon|"
                                       "ratio|sluice used_memory|redis used_memory|");
    uint64_t divisor;

    options_parse(&options, argc, argv, "memory: bytes of memory an element, ours and Redis.");
    divisor = options.is_quick ? QUICK_DIVISOR : 1;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape *shape = &shapes[i];
        struct cost redis = measure(&options, PEER_REDIS, shape, divisor), own = redis;
        const char *verdict = "";
        if (options.kind == PEER_SLUICE) own = measure(&options, PEER_SLUICE, shape, divisor);
        if (options.kind == PEER_SLUICE && shape->lists == 1 && shape->element_bytes == 10)
            verdict = own.rss <= ten_byte_element_max ? "<= 13: met" : "<= 13: NOT MET";
        table_row(table, "%s|%" PRIu64 "|%.1f|%.1f|%.2f|%.1f|%.1f|%s", shape->name,
                  shape->lists * shape->elements / divisor, own.rss, redis.rss, own.rss / redis.rss,
                  own.used, redis.used, verdict);
    }
    table_finish(table);
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, body);
}
