/* channel - what a message costs between threads, and a backlog of small messages on disk.
 *
 *   channel DIRECTORY     a directory on the file system to measure
 *
 * The same work as was measured of hopper 0.4.3-pre on this project's machine, min / median of 5 to
 * 7 runs, stated here as a reference only, in ns a message, on a RAM file system: 4 senders and a
 * receiver, all in memory 38 / 59; the same with memory for 8,192 of 65,536 messages 82 / 283; fill
 * 50,000 messages with memory for 1,000 and then drain: 128 bytes 8,100 and 2,100; 1 KiB 23,700 and
 * 10,000. */
#include "bench/lib/guard.h"
#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/spill/channel.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SENDERS = 4,
    MESSAGES = 65536, /* of all senders, a round */
    BATCH = 64,
    FILL = 50 * 1000,
    FILL_IN_MEMORY = 1000,
    ROUNDS = 7,
};

static const char *directory;

struct channel {
    struct spill_sender *sender;
    struct spill_receiver *receiver;
};

static struct channel open_channel(uint64_t memory_bytes)
{
    struct spill_channel_options options = { .directory = directory,
                                             .name = "bench",
                                             .memory_bytes = memory_bytes };
    struct channel channel;

    bench_require(spill_channel_open(os_real(), &options, &channel.sender, &channel.receiver) == 0,
                  "cannot open a channel");
    return channel;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, uint64_t *ns, uint64_t count)
{
    const size_t middle = ROUNDS / 2;

    qsort(ns, ROUNDS, sizeof(*ns), compare_u64);
    (void)printf("%-62s min %8.1f  median %8.1f ns\n", what, (double)ns[0] / (double)count,
                 (double)ns[middle] / (double)count);
}

/* ---- four senders, one receiver ---------------------------------------------------------------
 */

struct sending {
    struct spill_sender *sender;
    unsigned batch;
};

static void *send_all(void *argument)
{
    const struct sending *sending = argument;
    uint64_t values[BATCH];
    struct slice messages[BATCH];

    for (unsigned i = 0; i < BATCH; i++)
        messages[i] = slice_of(&values[i], sizeof(values[i]));
    for (unsigned i = 0; i < MESSAGES / SENDERS; i += sending->batch) {
        for (unsigned k = 0; k < sending->batch; k++)
            values[k] = i + k;
        if (sending->batch == 1)
            bench_require(spill_sender_send(sending->sender, messages[0]) == 0, "cannot send");
        else
            bench_require(spill_sender_send_many(sending->sender, messages, sending->batch) ==
                              sending->batch,
                          "cannot send");
    }
    return NULL;
}

static void receive_all(struct spill_receiver *receiver, unsigned batch)
{
    uint64_t values[BATCH], sum = 0;
    struct slice views[BATCH];
    size_t size;

    for (unsigned received = 0; received < MESSAGES;) {
        int64_t count = spill_receiver_receive_many(receiver, values, batch * sizeof(values[0]),
                                                    SPILL_CHANNEL_FOREVER, views, batch, &size);
        bench_require(count > 0, "cannot receive");
        for (int64_t i = 0; i < count; i++)
            sum += values[i];
        received += (unsigned)count;
    }
    bench_require(sum == (uint64_t)MESSAGES * (MESSAGES / SENDERS - 1) / 2, "wrong messages");
}

static void measure_threads(const char *what, uint64_t memory_bytes, unsigned batch)
{
    uint64_t ns[ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct channel channel = open_channel(memory_bytes);
        struct sending sending = { channel.sender, batch };
        pthread_t threads[SENDERS];
        uint64_t start = clock_monotonic_ns();
        for (unsigned i = 0; i < SENDERS; i++)
            bench_require(pthread_create(&threads[i], NULL, send_all, &sending) == 0, "no thread");
        receive_all(channel.receiver, batch);
        for (unsigned i = 0; i < SENDERS; i++)
            bench_require(pthread_join(threads[i], NULL) == 0, "cannot join");
        ns[round] = clock_monotonic_ns() - start;
        spill_sender_close(channel.sender);
        spill_receiver_close(channel.receiver);
    }
    print(what, ns, MESSAGES);
}

/* ---- fill, then drain -------------------------------------------------------------------------
 */

static void measure_fill(const char *what_fill, const char *what_drain, size_t message_bytes,
                         uint64_t memory_bytes)
{
    uint64_t fill_ns[ROUNDS], drain_ns[ROUNDS], disk_bytes = 0;
    uint8_t bytes[1024];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 167);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct channel channel = open_channel(memory_bytes);
        struct spill_channel_info info;
        uint64_t start = clock_monotonic_ns();
        size_t size;
        for (uint32_t i = 0; i < FILL; i++) {
            memcpy(bytes, &i, sizeof(i));
            bench_require(spill_sender_send(channel.sender, slice_of(bytes, message_bytes)) == 0,
                          "cannot send");
        }
        fill_ns[round] = clock_monotonic_ns() - start;
        spill_channel_info(spill_sender_channel(channel.sender), &info);
        disk_bytes = info.disk_bytes;
        start = clock_monotonic_ns();
        for (uint32_t i = 0; i < FILL; i++) {
            bench_require(spill_receiver_receive(channel.receiver, bytes, sizeof(bytes),
                                                 SPILL_CHANNEL_FOREVER, &size) == 1 &&
                              size == message_bytes && memcmp(bytes, &i, sizeof(i)) == 0,
                          "wrong message");
        }
        drain_ns[round] = clock_monotonic_ns() - start;
        spill_sender_close(channel.sender);
        spill_receiver_close(channel.receiver);
    }
    print(what_fill, fill_ns, FILL);
    print(what_drain, drain_ns, FILL);
    (void)printf("%-62s     %8.1f bytes\n", "  of disk a message", (double)disk_bytes / FILL);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: channel DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    measure_threads("u64, 4 senders, 1 receiver, all in memory", 16 << 20, 1);
    measure_threads("  in batches of 64", 16 << 20, BATCH);
    measure_threads("u64, 4 senders, 1 receiver, memory for 8,192 of 65,536", 8192 * 10, 1);
    measure_threads("  in batches of 64", 8192 * 10, BATCH);
    measure_fill("128 bytes, all in memory: fill", "  drain", 128, 64 << 20);
    measure_fill("128 bytes, memory for 1,000 of 50,000: fill", "  drain", 128,
                 FILL_IN_MEMORY * 131);
    measure_fill("1 KiB, memory for 1,000 of 50,000: fill", "  drain", 1024, FILL_IN_MEMORY * 1028);
    return 0;
}
