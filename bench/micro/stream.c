/* stream - what an entry costs in a stream in memory: adding, also to one of constant length,
 * reading on, seeking both ways (ns of this thread), and what small streams take of memory.
 *
 *   stream */
#include "bench/lib/cost.h"
#include "bench/lib/guard.h"
#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/stream/stream.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ENTRIES = 200 * 1000,
    LENGTH = 1000,
    ROUNDS = 9,
    LOOKUPS = 100 * 1000,
    RANGE = 10,
    STREAMS = 200 * 1000,
    STREAM_ENTRIES = 5,
};

#define THREE_FIELDS                                                                               \
    SLICE_LITERAL("$6\r\nsensor\r\n$4\r\n1234\r\n$11\r\ntemperature\r\n$4\r\n19.8\r\n"             \
                  "$4\r\nunit\r\n$7\r\ncelsius\r\n")
#define ONE_FIELD SLICE_LITERAL("$1\r\nf\r\n$5\r\nvalue\r\n")

static struct stream_store *store;

static struct stream *make(void)
{
    struct stream *stream = NULL;

    bench_require(stream_create(store, &stream) == 0, "no memory");
    return stream;
}

static void drop(struct stream *stream)
{
    stream_destroy(stream);
    while (stream_store_tick(store, 0, 1000)) {}
}

static void add(struct stream *stream, uint64_t ms, uint32_t field_count, struct slice fields)
{
    bench_require(stream_reserve(stream, fields.size) == 0, "no memory");
    bench_require(stream_add(stream, (struct stream_id){ ms, 0 }, field_count, fields) == 0,
                  "cannot add");
}

static void measure_add(uint64_t length, const char *what)
{
    uint64_t ns[ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct stream *stream = make();
        struct stream_trim trim = { .length = length };
        uint64_t start = thread_ns(), ordinal;
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            add(stream, 1700000000000 + i, 6, THREE_FIELDS);
            if (length == 0) continue;
            bench_require(stream_trim_end(stream, &trim, &ordinal) == 0, "cannot trim");
            (void)stream_trim(stream, ordinal);
        }
        ns[round] = thread_ns() - start;
        drop(stream);
    }
    cost_print(what, ns, ROUNDS, ENTRIES);
}

static uint64_t read_on(struct stream_cursor *cursor, uint64_t count)
{
    struct stream_entry entry;
    uint64_t bytes = 0;

    while (count-- > 0 && stream_cursor_next(cursor, &entry) == 1)
        bytes += entry.fields.size;
    return bytes;
}

static void measure_walk(struct stream *stream, enum stream_direction direction, const char *what)
{
    uint64_t ns[ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct stream_cursor cursor;
        struct stream_id from = direction == STREAM_FORWARD ? STREAM_ID_MIN : STREAM_ID_MAX;
        uint64_t start = thread_ns();
        stream_cursor_begin(&cursor, stream, from, direction);
        bench_require(read_on(&cursor, UINT64_MAX) > ENTRIES, "entries are missing");
        ns[round] = thread_ns() - start;
    }
    cost_print(what, ns, ROUNDS, ENTRIES);
}

static void measure_ranges(struct stream *stream, enum stream_direction direction, uint64_t last,
                           const char *what)
{
    uint64_t ns[ROUNDS];
    struct random random;

    random_init(&random, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = thread_ns();
        for (unsigned i = 0; i < LOOKUPS; i++) {
            uint64_t ms = 1700000000000 + ENTRIES - random_below(&random, last) - RANGE;
            struct stream_cursor cursor;
            stream_cursor_begin(&cursor, stream, (struct stream_id){ ms, 0 }, direction);
            bench_require(read_on(&cursor, RANGE) > RANGE, "entries are missing");
        }
        ns[round] = thread_ns() - start;
    }
    cost_print(what, ns, ROUNDS, LOOKUPS);
}

static void measure_reading(void)
{
    struct stream *stream = make();

    for (uint64_t i = 1; i <= ENTRIES; i++)
        add(stream, 1700000000000 + i, 6, THREE_FIELDS);
    measure_walk(stream, STREAM_FORWARD, "next entry, forward");
    measure_walk(stream, STREAM_BACKWARD, "next entry, backward");
    measure_ranges(stream, STREAM_FORWARD, ENTRIES - RANGE, "10 entries from a random id on");
    measure_ranges(stream, STREAM_BACKWARD, ENTRIES - 2 * RANGE, "10 entries before a random id");
    measure_ranges(stream, STREAM_FORWARD, 20, "10 of the last 30 entries");
    drop(stream);
}

static void measure_small(void)
{
    static struct stream *streams[STREAMS];

    for (uint64_t i = 0; i < STREAMS; i++) {
        streams[i] = make();
        for (uint64_t entry = 0; entry < STREAM_ENTRIES; entry++)
            add(streams[i], 1700000000000 + 1000 * entry + i, 2, ONE_FIELD);
    }
    (void)printf("%-44s %7.1f bytes\n", "memory of a stream of 5 entries",
                 (double)stream_store_memory_bytes(store) / STREAMS);
    for (uint64_t i = 0; i < STREAMS; i++)
        stream_destroy(streams[i]);
}

int main(void)
{
    struct stream_options options = { .directory = ".", .memory_bytes_max = UINT32_MAX };

    bench_require(stream_store_create(os_real(), NULL, &options, NULL, &store) == 0, "no memory");
    measure_add(0, "add an entry of 3 fields");
    measure_add(LENGTH, "add one, and trim to 1000");
    measure_reading();
    measure_small();
    stream_store_destroy(store);
    return 0;
}
