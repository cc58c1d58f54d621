/* deque - what an element costs in a list: pushing, popping and reading one in memory (ns), a
 * backlog written and read back (MB/s), and random access to a list that is nearly all on disk.
 *
 *   deque DIRECTORY [BACKLOG_MB]     a directory on the disk to measure; 512 MB without */
#include "bench/lib/cost.h"
#include "bench/lib/guard.h"
#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/io/io.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL_BYTES = 64,
    SMALL_COUNT = 200 * 1000,
    ROUNDS = 9,
    LARGE_BYTES = 1024,
    TICK_EVERY = 64, /* elements, as a server's loop would */
    LOOKUPS = 20 * 1000,
};

static struct io *io;
static struct spill_store *store;
static uint64_t longest_tick_us;

static int wait_for_disk(void *context)
{
    (void)context;
    (void)io_wait(io);
    return 0;
}

static void tick(void)
{
    uint64_t start = thread_ns(), taken;

    (void)io_poll(io);
    (void)spill_store_tick(store, 0);
    taken = (thread_ns() - start) / 1000;
    if (taken > longest_tick_us) longest_tick_us = taken;
}

static void open_store(const char *directory, uint64_t memory_bytes)
{
    struct spill_options options = { .directory = directory, .memory_bytes = memory_bytes };
    struct spill_hooks hooks = { .wait = wait_for_disk };

    bench_require(io_create(os_real(), 2, &io) == 0, "cannot start threads");
    bench_require(spill_store_create(os_real(), io, &options, &hooks, &store) == 0,
                  "cannot make the store");
    longest_tick_us = 0;
}

static void close_store(void)
{
    spill_store_destroy(store);
    io_destroy(io);
}

static void measure_ends(struct spill_deque *deque, enum spill_end push_end, const char *what_push,
                         const char *what_pop)
{
    uint8_t bytes[SMALL_BYTES] = { 1 };
    struct slice item = { bytes, sizeof(bytes) };
    uint64_t push_ns[ROUNDS], pop_ns[ROUNDS], sum = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = thread_ns();
        for (unsigned i = 0; i < SMALL_COUNT; i++)
            bench_require(spill_deque_push(deque, push_end, &item, 1) == 0, "cannot push");
        push_ns[round] = thread_ns() - start;
        start = thread_ns();
        for (unsigned i = 0; i < SMALL_COUNT; i++) {
            struct slice view;
            bench_require(spill_deque_peek(deque, SPILL_HEAD, &view) == 1, "cannot peek");
            sum += view.bytes[0];
            spill_deque_drop_peeked(deque, SPILL_HEAD);
        }
        pop_ns[round] = thread_ns() - start;
    }
    bench_require(sum == (uint64_t)ROUNDS * SMALL_COUNT, "wrong elements");
    cost_print(what_push, push_ns, ROUNDS, SMALL_COUNT);
    cost_print(what_pop, pop_ns, ROUNDS, SMALL_COUNT);
}

static void measure_memory(const char *directory)
{
    struct spill_deque *deque;
    struct spill_store_info info;
    uint8_t bytes[SMALL_BYTES] = { 1 };
    uint64_t get_ns[ROUNDS], ns[1] = { 0 };
    struct random random;

    open_store(directory, (uint64_t)1 << 30);
    bench_require(spill_deque_create(store, &deque) == 0, "no memory");
    measure_ends(deque, SPILL_TAIL, "push 64 bytes at the tail", "peek and drop at the head");
    measure_ends(deque, SPILL_HEAD, "push 64 bytes at the head", "peek and drop there");

    struct slice one = { bytes, SMALL_BYTES }, ten = { bytes, 10 };
    uint64_t start = thread_ns();
    for (unsigned i = 0; i < SMALL_COUNT; i++) {
        struct slice view;
        bench_require(spill_deque_push(deque, SPILL_TAIL, &one, 1) == 0, "cannot push");
        bench_require(spill_deque_peek(deque, SPILL_HEAD, &view) == 1, "cannot peek");
        spill_deque_drop_peeked(deque, SPILL_HEAD);
    }
    ns[0] = thread_ns() - start;
    (void)printf("%-44s %7.1f ns\n", "push and pop of an empty list", (double)ns[0] / SMALL_COUNT);

    for (unsigned i = 0; i < 1000 * 1000; i++)
        bench_require(spill_deque_push(deque, SPILL_TAIL, &ten, 1) == 0, "cannot push");
    spill_store_info(store, &info);
    (void)printf("%-44s %7.2f bytes\n", "memory an element of 10 bytes",
                 (double)info.memory_bytes / 1e6);
    random_init(&random, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        start = thread_ns();
        for (unsigned i = 0; i < LOOKUPS; i++) {
            struct slice view;
            bench_require(spill_deque_get(deque, random_below(&random, 1000 * 1000), &view) == 1,
                          "cannot get");
        }
        get_ns[round] = thread_ns() - start;
    }
    cost_print("get at a random index of 1,000,000", get_ns, ROUNDS, LOOKUPS);
    spill_deque_destroy(deque);
    close_store();
}

static double mb_per_second(uint64_t bytes, uint64_t us)
{
    return (double)bytes / (double)(us > 0 ? us : 1);
}

static void measure_backlog(const char *directory, uint64_t backlog_mb)
{
    uint64_t count = backlog_mb * 1024, memory_max = 0, start, cpu_start, waits;
    struct spill_deque *deque;
    struct spill_store_info info;
    uint8_t bytes[LARGE_BYTES];

    open_store(directory, 64 << 20);
    bench_require(spill_deque_create(store, &deque) == 0, "no memory");
    memset(bytes, 'x', sizeof(bytes));
    start = clock_monotonic_us();
    cpu_start = thread_ns();
    for (uint64_t i = 0; i < count; i++) {
        struct slice item = { bytes, sizeof(bytes) };
        memcpy(bytes, &i, sizeof(i));
        bench_require(spill_deque_push(deque, SPILL_TAIL, &item, 1) == 0, "cannot push");
        if (i % TICK_EVERY == 0) {
            tick();
            while (spill_store_pressure(store) == SPILL_SLOW) {
                (void)io_wait(io);
                tick();
            }
            spill_store_info(store, &info);
            if (info.memory_bytes > memory_max) memory_max = info.memory_bytes;
        }
    }
    uint64_t us = clock_monotonic_us() - start;
    (void)printf("%-44s %7.0f MB/s (%" PRIu64 " ns each, longest tick %" PRIu64
                 " us, at most %.1f MiB)\n",
                 "backlog of 1 KiB elements pushed, 64 MiB", mb_per_second(count * LARGE_BYTES, us),
                 (thread_ns() - cpu_start) / count, longest_tick_us, (double)memory_max / 1048576);
    spill_store_info(store, &info);
    waits = info.waits;
    longest_tick_us = 0;
    start = clock_monotonic_us();
    cpu_start = thread_ns();
    for (uint64_t i = 0; i < count; i++) {
        struct slice view;
        uint64_t number;
        bench_require(spill_deque_peek(deque, SPILL_HEAD, &view) == 1, "cannot peek");
        memcpy(&number, view.bytes, sizeof(number));
        bench_require(number == i, "out of order");
        spill_deque_drop_peeked(deque, SPILL_HEAD);
        if (i % TICK_EVERY == 0) tick();
    }
    us = clock_monotonic_us() - start;
    spill_store_info(store, &info);
    (void)printf("%-44s %7.0f MB/s (%" PRIu64 " ns each, longest tick %" PRIu64 " us, %" PRIu64
                 " waits, %" PRIu64 " of %" PRIu64 " chunks read ahead)\n",
                 "popped again", mb_per_second(count * LARGE_BYTES, us),
                 (thread_ns() - cpu_start) / count, longest_tick_us, info.waits - waits,
                 info.prefetched_chunks, info.fetched_chunks);
    spill_deque_destroy(deque);
    close_store();
}

static void measure_lookups(const char *directory)
{
    uint64_t count = 10 * 1000 * 1000, start;
    struct spill_deque *deque;
    struct spill_store_info info;
    struct random random;
    uint8_t bytes[10] = { 1 };
    struct slice ten = { bytes, 10 }, view;

    open_store(directory, 8 << 20);
    bench_require(spill_deque_create(store, &deque) == 0, "no memory");
    for (uint64_t i = 0; i < count; i++) {
        bench_require(spill_deque_push(deque, SPILL_TAIL, &ten, 1) == 0, "cannot push");
        if (i % 4096 == 0) tick();
        while (i % 4096 == 0 && spill_store_pressure(store) == SPILL_SLOW) {
            (void)io_wait(io);
            tick();
        }
    }
    spill_store_info(store, &info);
    (void)printf("%-44s %7.2f MiB of index, %.1f MiB in all\n", "10,000,000 elements in 8 MiB",
                 (double)info.index_memory_bytes / 1048576, (double)info.memory_bytes / 1048576);
    random_init(&random, 2);
    start = clock_monotonic_us();
    for (unsigned i = 0; i < LOOKUPS; i++) {
        bench_require(spill_deque_get(deque, random_below(&random, count), &view) == 1,
                      "cannot get");
        tick();
    }
    (void)printf("%-44s %7.1f us\n", "get at a random index, 95% on disk",
                 (double)(clock_monotonic_us() - start) / LOOKUPS);
    start = clock_monotonic_us();
    for (unsigned i = 0; i < LOOKUPS; i++) {
        bench_require(spill_deque_insert(deque, random_below(&random, count), ten) == 0,
                      "cannot insert");
        tick();
    }
    spill_store_info(store, &info);
    (void)printf("%-44s %7.1f us\n", "insert at a random index",
                 (double)(clock_monotonic_us() - start) / LOOKUPS);
    spill_deque_destroy(deque);
    close_store();
}

int main(int argc, char **argv)
{
    uint64_t backlog_mb = argc > 2 ? strtoull(argv[2], NULL, 10) : 512;

    if (argc < 2 || backlog_mb == 0) {
        (void)fprintf(stderr, "usage: deque DIRECTORY [BACKLOG_MB]\n");
        return 2;
    }
    measure_memory(argv[1]);
    measure_backlog(argv[1], backlog_mb);
    measure_lookups(argv[1]);
    return 0;
}
