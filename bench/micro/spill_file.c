/* spill_file.c - what the spill file makes of the disk: full chunks written and read back in
 * batches of 1 MiB, one after the other, beside fio doing the same on the same disk.
 *
 *   spill_file [DIRECTORY [MEBIBYTES [THREADS]]]     ($TMPDIR or /var/tmp, 1024, 2)
 *
 * MB are 10^6 bytes. "cpu" is that of all threads, kernel included; "owner" that of the thread that
 * must not wait. Two batches are in flight, as when the store evicts and reads ahead. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/lib/disk.h"
#include "bench/lib/guard.h"
#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/file.h"

enum {
    PAYLOAD_BYTES = 32768 - 32, /* with its header eight blocks */
    BATCH_ITEMS = 32,
    IN_FLIGHT = 2,
    ROUNDS = 3,
    FIO_SECONDS_MAX = 60
};

struct bench {
    struct io *io;
    struct spill_file *file;
    uint64_t batch_count, next_batch, done_batches;
    struct spill_ref *refs; /* of all extents */
};

/* A batch that is written, or read; used again until all are done. */
struct lane {
    struct bench *bench;
    uint64_t batch;
    unsigned reads_left;
    uint8_t *bytes[BATCH_ITEMS];
    struct spill_write write;
    struct spill_write_item items[BATCH_ITEMS];
    struct spill_read reads[BATCH_ITEMS];
};

static struct spill_identity identity_of(uint64_t extent)
{
    return (struct spill_identity){
        .list = 1, .generation = extent + 1, .element_count = 1, .kind = 1
    };
}

/* Cheap, and different in each extent. */
static void mark_payload(uint8_t *bytes, uint64_t extent)
{
    memcpy(bytes, &extent, sizeof(extent));
}

static void lane_init(struct lane *lane, struct bench *bench)
{
    *lane = (struct lane){ .bench = bench };
    for (unsigned i = 0; i < BATCH_ITEMS; i++) {
        lane->bytes[i] = malloc(PAYLOAD_BYTES);
        if (!lane->bytes[i]) bench_fail("no memory");
        memset(lane->bytes[i], (int)i + 1, PAYLOAD_BYTES);
    }
}

static void lane_finish(struct lane *lane)
{
    for (unsigned i = 0; i < BATCH_ITEMS; i++) {
        free(lane->bytes[i]);
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void write_next(struct lane *lane);

static void write_is_done(struct spill_write *write)
{
    struct lane *lane = write->context;
    struct bench *bench = lane->bench;
    if (write->rc < 0) bench_fail("write: %s", strerror(-write->rc));
    for (unsigned i = 0; i < BATCH_ITEMS; i++) {
        bench->refs[lane->batch * BATCH_ITEMS + i] = lane->items[i].ref;
    }
    bench->done_batches++;
    write_next(lane);
}

static void write_next(struct lane *lane)
{
    struct bench *bench = lane->bench;
    if (bench->next_batch == bench->batch_count) return;
    lane->batch = bench->next_batch++;
    for (unsigned i = 0; i < BATCH_ITEMS; i++) {
        uint64_t extent = lane->batch * BATCH_ITEMS + i;
        mark_payload(lane->bytes[i], extent);
        lane->items[i] =
            (struct spill_write_item){ .payload = slice_of(lane->bytes[i], PAYLOAD_BYTES),
                                       .identity = identity_of(extent) };
    }
    lane->write = (struct spill_write){
        .items = lane->items, .item_count = BATCH_ITEMS, .done = write_is_done, .context = lane
    };
    int rc = spill_file_write(bench->file, &lane->write);
    if (rc < 0) bench_fail("write: %s", strerror(-rc));
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static void read_next(struct lane *lane);

static void read_is_done(struct spill_read *read)
{
    struct lane *lane = read->context;
    uint64_t extent = 0;
    if (read->rc < 0) bench_fail("read: %s", strerror(-read->rc));
    memcpy(&extent, read->bytes, sizeof(extent));
    if (extent + 1 != read->identity.generation) bench_fail("another extent came back");
    if (--lane->reads_left > 0) return;
    lane->bench->done_batches++;
    read_next(lane);
}

static void read_next(struct lane *lane)
{
    struct bench *bench = lane->bench;
    struct spill_read *reads[BATCH_ITEMS];
    if (bench->next_batch == bench->batch_count) return;
    lane->batch = bench->next_batch++;
    lane->reads_left = BATCH_ITEMS;
    for (unsigned i = 0; i < BATCH_ITEMS; i++) {
        uint64_t extent = lane->batch * BATCH_ITEMS + i;
        lane->reads[i] = (struct spill_read){ .ref = bench->refs[extent],
                                              .identity = identity_of(extent),
                                              .bytes = lane->bytes[i],
                                              .done = read_is_done,
                                              .context = lane };
        reads[i] = &lane->reads[i];
    }
    spill_file_read(bench->file, reads, BATCH_ITEMS);
}

/* ---- measuring ----------------------------------------------------------------------------------
 */

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double process_cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0) bench_fail_errno("getrusage");
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

static double owner_cpu_seconds(void)
{
    struct timespec time;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) < 0) bench_fail_errno("clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void measure(struct bench *bench, struct lane *lanes, const char *what,
                    void (*start)(struct lane *lane))
{
    double cpu = process_cpu_seconds(), owner = owner_cpu_seconds();
    uint64_t started = clock_monotonic_us();

    bench->next_batch = 0;
    bench->done_batches = 0;
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        start(&lanes[i]);
    }
    while (bench->done_batches < bench->batch_count) {
        (void)io_wait(bench->io);
    }
    double seconds = (double)(clock_monotonic_us() - started) / 1e6;
    double megabytes = (double)bench->batch_count * SPILL_BATCH_BYTES / 1e6;
    printf("%-18s %8.0f MB/s   cpu %6.1f us/MB   owner %5.2f us/MB\n", what, megabytes / seconds,
           (process_cpu_seconds() - cpu) * 1e6 / megabytes,
           (owner_cpu_seconds() - owner) * 1e6 / megabytes);
}

static void free_all(struct bench *bench)
{
    uint64_t started = clock_monotonic_us();
    for (uint64_t i = 0; i < bench->batch_count * BATCH_ITEMS; i++) {
        spill_file_free(bench->file, &bench->refs[i]);
    }
    printf("%-18s %8.0f ns an extent\n", "free",
           (double)(clock_monotonic_us() - started) * 1e3 /
               (double)(bench->batch_count * BATCH_ITEMS));
}

static void run_rounds(struct bench *bench)
{
    struct lane *lanes = calloc(IN_FLIGHT, sizeof(*lanes));
    if (!lanes) bench_fail("no memory");
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        lane_init(&lanes[i], bench);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        measure(bench, lanes, round == 0 ? "write, new file" : "write, overwriting", write_next);
        measure(bench, lanes, "read", read_next);
        free_all(bench);
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        lane_finish(&lanes[i]);
    }
    free(lanes);
}

static int run(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    const char *base = argc > 1 ? argv[1] : tmp ? tmp : "/var/tmp";
    uint64_t mebibytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    unsigned threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 2;
    struct bench bench = { .batch_count = mebibytes };
    struct spill_file_info info;
    char directory[400];

    if (mebibytes == 0) bench_fail("nothing to write");
    if (snprintf(directory, sizeof(directory), "%s/sluice-bench-XXXXXX", base) >=
        (int)sizeof(directory)) {
        bench_fail("path too long: %s", base);
    }
    if (!mkdtemp(directory)) bench_fail_errno("%s", directory);
    guard_note_directory(directory);
    bench.refs = calloc(mebibytes * BATCH_ITEMS, sizeof(*bench.refs));
    if (!bench.refs) bench_fail("no memory");
    int rc = io_create(os_real(), threads, &bench.io);
    if (rc == 0) rc = spill_file_create(os_real(), bench.io, directory, 0, &bench.file);
    if (rc < 0) bench_fail("%s: %s", directory, strerror(-rc));
    run_rounds(&bench);
    spill_file_info(bench.file, &info);
    printf("O_DIRECT: %s, %llu KiB of memory\n", info.is_direct ? "yes" : "no",
           (unsigned long long)info.memory_bytes / 1024);
    spill_file_destroy(bench.file);
    io_destroy(bench.io);
    free(bench.refs);
    guard_remove_tree(directory);
    guard_forget_directory(directory);

    struct disk_speed disk = disk_measure(base, mebibytes << 20, FIO_SECONDS_MAX, NULL);
    if (disk.write_mb_s > 0) {
        printf("fio: write %.0f MB/s, read %.0f MB/s\n", disk.write_mb_s, disk.read_mb_s);
    }
    return 0;
}

int main(int argc, char **argv)
{
    return guard_main(argc, argv, run);
}
