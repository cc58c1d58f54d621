/* journal - what an append costs the thread that makes it, and how soon it is safe and read back,
 * beside write() of the same bytes to a file.
 *
 *   journal [--quick] [DIRECTORY]      ($TMPDIR or /var/tmp; memory is measured in /dev/shm)
 *
 * Appends come as a server's do: batches, published each, at most 100 MB/s, a sync every second
 * where it says so. "ns" is the CPU time that the appending thread takes, by frame; "p99.9" and
 * "max" are the time that passes in whole batches, waits for room included (they are counted as
 * "stalls"); "faults" are that thread's page faults. MB are 10^6 bytes. Targets are the project's
 * own, for 40 bytes. */
#include "bench/lib/summary.h"
#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include "modules/journal/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD_BYTES_MAX = 32 << 10,
    BATCH_MAX = 64,
    BYTES_PER_MS = 100 * 1000,
};

enum { TARGET_BYTES = 40 };
static const double single_ns_max = 100, batched_ns_max = 30, everysec_us_max = 30,
                    always_us_max = 10;

static struct {
    const char *directory;
    char path[400];
    struct ticks ticks;
    double ns_per_tick;
    unsigned run_ms, synced_rounds;
    struct io *io;
    struct journal *journal;
    int fd; /* of the file that write() fills */
    uint64_t seq, file_offset;
    uint8_t payload[PAYLOAD_BYTES_MAX * BATCH_MAX];
} bench;

static void require(bool is_true, const char *what)
{
    if (is_true) return;
    (void)fprintf(stderr, "journal: %s\n", what);
    exit(1);
}

static void measure_ticks(void)
{
    uint64_t ns, begin_ns = clock_monotonic_ns(), begin;

    ticks_init(&bench.ticks);
    begin = clock_ticks(&bench.ticks);
    do {
        ns = clock_monotonic_ns() - begin_ns;
    } while (ns < 20 * 1000 * 1000);
    bench.ns_per_tick = (double)ns / (double)(clock_ticks(&bench.ticks) - begin);
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;
    require(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0, "clock_gettime");
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t thread_faults(void)
{
    struct rusage usage;
    require(getrusage(RUSAGE_THREAD, &usage) == 0, "getrusage");
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* ---- the two that are compared ----------------------------------------------------------------
 */

static void append_batch(size_t size, unsigned batch)
{
    struct slice part = slice_of(bench.payload, size);
    uint64_t position;

    for (unsigned i = 0; i < batch; i++) {
        int rc;
        while ((rc = journal_append(bench.journal, 1, ++bench.seq, &part, 1, &position)) == -EAGAIN)
            require(journal_wait(bench.journal) == 0, "nothing to wait for");
        require(rc == 0, "append");
    }
    journal_publish(bench.journal);
}

static void write_batch(size_t size, unsigned batch)
{
    require(write(bench.fd, bench.payload, size * batch) == (ssize_t)(size * batch), "write");
    bench.file_offset += size * batch;
}

static void sync_journal(void)
{
    journal_sync(bench.journal);
    journal_trim(bench.journal, journal_synced(bench.journal));
}

struct sync_file {
    struct io_job job; /* first */
    bool is_running;
};
static struct sync_file sync_file;

static void run_sync_file(struct io_job *job, struct os *os)
{
    job->rc = os->fdatasync(os, bench.fd);
}

static void sync_file_done(struct io_job *job)
{
    require(job->rc == 0, "fdatasync");
    sync_file.is_running = false;
}

static void sync_written(void)
{
    if (sync_file.is_running) return;
    sync_file.is_running = true;
    sync_file.job.run = run_sync_file;
    sync_file.job.done = sync_file_done;
    io_submit(bench.io, &sync_file.job);
}

struct subject {
    void (*append)(size_t size, unsigned batch);
    void (*sync)(void);
};
static const struct subject journal_subject = { append_batch, sync_journal };
static const struct subject file_subject = { write_batch, sync_written };

static void open_subjects(const char *directory, enum journal_way way)
{
    struct journal_options options = { .path = bench.path, .way = way };
    struct journal_report report;
    char file[450];

    (void)snprintf(bench.path, sizeof(bench.path), "%s/sluice-bench-journal-%d", directory,
                   (int)getpid());
    (void)snprintf(file, sizeof(file), "%s.file", bench.path);
    require(io_create(os_real(), 2, &bench.io) == 0, "io");
    require(journal_open(os_real(), bench.io, &options, &report, &bench.journal) == 0, "open");
    bench.fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    require(bench.fd >= 0, "file");
    require(unlink(file) == 0, "unlink");
}

static int remove_name(void *context, const char *name)
{
    char file[700];
    (void)context;
    (void)snprintf(file, sizeof(file), "%s/%s", bench.path, name);
    return unlink(file);
}

static void close_subjects(void)
{
    while (io_in_flight(bench.io) > 0)
        (void)io_wait(bench.io);
    require(journal_close(bench.journal) == 0, "close");
    io_destroy(bench.io);
    require(close(bench.fd) == 0, "close");
    require(os_real()->list(os_real(), bench.path, remove_name, NULL) == 0, "remove");
    require(rmdir(bench.path) == 0, "rmdir");
}

/* ---- appending --------------------------------------------------------------------------------
 */

struct result {
    struct histogram batches; /* ns */
    uint64_t frames, cpu_ns, faults;
};

/* Batches at the pace of a server, for run_ms; in slices of a millisecond. */
static void append_paced(const struct subject *subject, size_t size, unsigned batch, bool syncs,
                         struct result *result)
{
    uint64_t begin = clock_monotonic_us(), next_sync = begin + 200 * 1000, now = begin;
    uint64_t batches = (BYTES_PER_MS + size * batch - 1) / (size * batch);
    uint64_t faults = thread_faults();

    if (batches > 1000) batches = 1000;
    memset(result, 0, sizeof(*result));
    while (now - begin < bench.run_ms * UINT64_C(1000)) {
        struct timespec pause = { .tv_nsec = 1000 * 1000 };
        uint64_t cpu_ns = thread_cpu_ns();
        for (uint64_t i = 0; i < batches; i++) {
            uint64_t ticks = clock_ticks(&bench.ticks);
            subject->append(size, batch);
            ticks = clock_ticks(&bench.ticks) - ticks;
            result->frames += batch;
            histogram_add(&result->batches, (uint64_t)((double)ticks * bench.ns_per_tick));
        }
        result->cpu_ns += thread_cpu_ns() - cpu_ns;
        (void)io_poll(bench.io);
        (void)nanosleep(&pause, NULL);
        now = clock_monotonic_us();
        if (!syncs || now < next_sync) continue;
        subject->sync();
        next_sync += 1000 * 1000;
    }
    result->faults = thread_faults() - faults;
    if (bench.file_offset > UINT64_C(1) << 30) {
        require(ftruncate(bench.fd, 0) == 0 && lseek(bench.fd, 0, SEEK_SET) == 0, "truncate");
        bench.file_offset = 0;
    }
}

static double ns_of(const struct result *result)
{
    return (double)result->cpu_ns / (double)result->frames;
}

static double us_of(const struct result *result, double quantile)
{
    return (double)histogram_quantile(&result->batches, quantile) / 1000;
}

static const char *met(double value, double limit)
{
    return value <= limit ? "met" : "NOT MET";
}

/* What is aimed at while a sync runs each second. */
static void verdict(size_t size, unsigned batch, const struct result *ours, char *out,
                    size_t out_bytes)
{
    double limit = batch == 1 ? single_ns_max : batched_ns_max;

    out[0] = '\0';
    if (size != TARGET_BYTES || batch > 16) return;
    (void)snprintf(out, out_bytes, "<= %.0f ns: %s; p99.9 <= %.0f us: %s", limit,
                   met(ns_of(ours), limit), everysec_us_max,
                   met(us_of(ours, 0.999), everysec_us_max));
}

static void compare_appends(const char *title, const char *directory, bool syncs)
{
    static const size_t sizes[] = { 40, 128, 512, 1024, 4096, 16384, 32768 };
    static const unsigned batches[] = { 1, 16, 64 };
    static struct result ours, theirs;
    struct table *table;

    open_subjects(directory, JOURNAL_MAPPED);
    (void)printf("%s\n", title);
    table = table_create("bytes|batch|ns|p99.9 us|max us|faults|stalls|write() ns|p99.9 us|max us|"
                         "target");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (size_t k = 0; k < sizeof(batches) / sizeof(*batches); k++) {
            struct journal_info before, after;
            char target[80] = "";

            journal_get_info(bench.journal, &before);
            append_paced(&journal_subject, sizes[i], batches[k], syncs, &ours);
            journal_get_info(bench.journal, &after);
            if (!syncs) sync_journal(); /* lets segments be trimmed */
            append_paced(&file_subject, sizes[i], batches[k], syncs, &theirs);
            if (syncs) verdict(sizes[i], batches[k], &ours, target, sizeof(target));
            table_row(table, "%zu|%u|%.1f|%.1f|%.0f|%" PRIu64 "|%" PRIu64 "|%.1f|%.1f|%.0f|%s",
                      sizes[i], batches[k], ns_of(&ours), us_of(&ours, 0.999), us_of(&ours, 1),
                      ours.faults, after.stall_count - before.stall_count, ns_of(&theirs),
                      us_of(&theirs, 0.999), us_of(&theirs, 1), target);
        }
    }
    table_finish(table);
    close_subjects();
}

/* ---- synced, and read back --------------------------------------------------------------------
 */

static void compare_synced(void)
{
    static const size_t sizes[] = { 40, 1024, 32768 };
    static struct histogram ours, calls, calls_cpu, theirs;
    struct table *table;
    char target[80];
    double calls_us;

    open_subjects(bench.directory, JOURNAL_BUFFERED);
    (void)printf("a batch of 16 and a sync, one after the other: us until it is on the device\n");
    table = table_create("bytes|p50 us|p99 us|in calls p50|p99.9|CPU in calls p50|p99.9|"
                         "write()+fdatasync p50|p99|target");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        memset(&ours, 0, sizeof(ours));
        memset(&calls, 0, sizeof(calls));
        memset(&calls_cpu, 0, sizeof(calls_cpu));
        memset(&theirs, 0, sizeof(theirs));
        for (unsigned round = 0; round < bench.synced_rounds; round++) {
            uint64_t begin_cpu = thread_cpu_ns(), begin = clock_monotonic_ns();
            append_batch(sizes[i], 16);
            journal_sync(bench.journal);
            histogram_add(&calls, clock_monotonic_ns() - begin);
            histogram_add(&calls_cpu, thread_cpu_ns() - begin_cpu);
            while (journal_synced(bench.journal) < journal_appended(bench.journal))
                (void)journal_wait(bench.journal);
            histogram_add(&ours, clock_monotonic_ns() - begin);
            begin = clock_monotonic_ns();
            write_batch(sizes[i], 16);
            require(fdatasync(bench.fd) == 0, "fdatasync");
            histogram_add(&theirs, clock_monotonic_ns() - begin);
        }
        calls_us = (double)histogram_quantile(&calls_cpu, 0.999) / 1000;
        target[0] = '\0';
        if (sizes[i] == TARGET_BYTES)
            (void)snprintf(target, sizeof(target), "CPU in calls <= %.0f us: %s", always_us_max,
                           met(calls_us, always_us_max));
        table_row(table, "%zu|%.0f|%.0f|%.1f|%.1f|%.1f|%.1f|%.0f|%.0f|%s", sizes[i],
                  (double)histogram_quantile(&ours, 0.5) / 1000,
                  (double)histogram_quantile(&ours, 0.99) / 1000,
                  (double)histogram_quantile(&calls, 0.5) / 1000,
                  (double)histogram_quantile(&calls, 0.999) / 1000,
                  (double)histogram_quantile(&calls_cpu, 0.5) / 1000, calls_us,
                  (double)histogram_quantile(&theirs, 0.5) / 1000,
                  (double)histogram_quantile(&theirs, 0.99) / 1000, target);
    }
    table_finish(table);
    close_subjects();
}

static void measure_reading(void)
{
    static const size_t sizes[] = { 40, 1024, 32768 };
    struct table *table = table_create("bytes|frames|ns|MB/s");

    (void)printf("read back, each frame verified\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint64_t frames = 0, bytes = 0, ns;
        struct journal_reader *reader;
        struct journal_entry entry;
        open_subjects(bench.directory, JOURNAL_MAPPED);
        for (uint64_t k = 0; k < (UINT64_C(64) << 20) / (sizes[i] + 24) / 16; k++)
            append_batch(sizes[i], 16);
        require(journal_reader_open(os_real(), bench.path, &reader) == 0, "reader");
        ns = clock_monotonic_ns();
        while (journal_reader_next(reader, &entry) == 1) {
            frames++;
            bytes += entry.payload.size;
        }
        ns = clock_monotonic_ns() - ns;
        journal_reader_close(reader);
        table_row(table, "%zu|%" PRIu64 "|%.1f|%.0f", sizes[i], frames, (double)ns / (double)frames,
                  (double)bytes * 1000 / (double)ns);
        close_subjects();
    }
    table_finish(table);
}

/* One thread appends, publishes and reads each frame, as the reference's only bench does; its
 * figures, from its page, are of another machine. */
static void measure_round_trips(void)
{
    static const struct {
        size_t size;
        double claimed_us;
    } sizes[] = { { 40, 5.5 },   { 160, 5.8 },    { 220, 6.3 },   { 512, 7.1 },
                  { 1024, 7.7 }, { 16384, 60.0 }, { 32768, 99.0 } };
    struct table *table = table_create("bytes|us|MB/s|claimed there, us");

    (void)printf("append, publish and read back one by one, on one thread\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint64_t frames = (UINT64_C(64) << 20) / (sizes[i].size + 1000), ns;
        struct journal_reader *reader;
        struct journal_entry entry;
        open_subjects(bench.directory, JOURNAL_MAPPED);
        require(journal_reader_open(os_real(), bench.path, &reader) == 0, "reader");
        ns = clock_monotonic_ns();
        for (uint64_t k = 0; k < frames; k++) {
            append_batch(sizes[i].size, 1);
            require(journal_reader_next(reader, &entry) == 1, "read");
            require(entry.payload.size == sizes[i].size, "read");
        }
        ns = clock_monotonic_ns() - ns;
        journal_reader_close(reader);
        table_row(table, "%zu|%.2f|%.0f|%.1f", sizes[i].size, (double)ns / 1000 / (double)frames,
                  (double)(frames * sizes[i].size) * 1000 / (double)ns, sizes[i].claimed_us);
        close_subjects();
    }
    table_finish(table);
}

static void wait_until_packed(void)
{
    struct journal_info info;

    do {
        journal_get_info(bench.journal, &info);
    } while (info.packed_count < 4 && journal_wait(bench.journal) == 0);
    require(info.packed_count == 4, "packed");
}

/* Payloads as commands have them: words that come again, numbers that grow. */
static void fill_commands(void)
{
    size_t at = 0;

    for (unsigned number = 0; at + 100 < sizeof(bench.payload); number++) {
        at += (size_t)snprintf((char *)bench.payload + at, 100,
                               "*3\r\n$5\r\nLPUSH\r\n$9\r\norders:%02u\r\n$24\r\n"
                               "{\"id\":%09u,\"n\":%04u}\r\n",
                               number % 100, number * 7919, number % 9973);
    }
}

/* Counts the bytes of the packed segments. */
static int count_packed(void *context, const char *name)
{
    uint64_t *bytes = context, size = 0;
    char file[700];
    int fd;

    if (!strstr(name, ".pak")) return 0;
    (void)snprintf(file, sizeof(file), "%s/%s", bench.path, name);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    require(fd >= 0 && os_real()->size(os_real(), fd, &size) == 0, "packed");
    (void)close(fd);
    *bytes += size;
    return 0;
}

static void measure_packed(void)
{
    static const char *const names[] = { "none", "lz4", "zstd" };
    struct table *table = table_create("codec|appended and packed, MB/s|to %|read back, MB/s");

    (void)printf("segments that have ended: frames of 1 KiB of commands\n");
    for (unsigned codec = JOURNAL_CODEC_LZ4; codec <= JOURNAL_CODEC_ZSTD; codec++) {
        struct journal_options options = { .path = bench.path,
                                           .settings = { .roll_bytes = 16 << 20,
                                                         .codec = (enum journal_codec)codec } };
        uint64_t ns, read_ns, bytes = 0, packed = 0, position;
        struct journal_report report;
        struct journal_reader *reader;
        struct journal_entry entry;

        open_subjects(bench.directory, JOURNAL_MAPPED);
        require(journal_close(bench.journal) == 0, "close");
        require(journal_remove(os_real(), bench.path) == 0, "remove");
        require(journal_open(os_real(), bench.io, &options, &report, &bench.journal) == 0, "open");
        ns = clock_monotonic_ns();
        for (unsigned i = 0; i < 66 * 1024; i++) { /* more than four segments */
            struct slice part = slice_of(bench.payload + i % 1900 * 1024, 1024);
            int rc;
            while ((rc = journal_append(bench.journal, 1, ++bench.seq, &part, 1, &position)) ==
                   -EAGAIN)
                require(journal_wait(bench.journal) == 0, "nothing to wait for");
            require(rc == 0, "append");
        }
        wait_until_packed();
        ns = clock_monotonic_ns() - ns;
        require(os_real()->list(os_real(), bench.path, count_packed, &packed) == 0, "list");
        require(journal_reader_open(os_real(), bench.path, &reader) == 0, "reader");
        read_ns = clock_monotonic_ns();
        while (bytes < UINT64_C(60) << 20 && journal_reader_next(reader, &entry) == 1)
            bytes += entry.payload.size;
        read_ns = clock_monotonic_ns() - read_ns;
        journal_reader_close(reader);
        table_row(table, "%s|%.0f|%.0f|%.0f", names[codec], (64.0 * 1048576) * 1000 / (double)ns,
                  (double)packed * 100 / (64.0 * 1048576), (double)bytes * 1000 / (double)read_ns);
        close_subjects();
    }
    table_finish(table);
}

int main(int argc, char **argv)
{
    const char *temporary = getenv("TMPDIR");

    bench.directory = temporary ? temporary : "/var/tmp";
    bench.run_ms = 2500;
    bench.synced_rounds = 2000; /* p99.9 of fewer would be the longest */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            bench.run_ms = 400;
            bench.synced_rounds = 200;
        } else {
            bench.directory = argv[i];
        }
    }
    memset(bench.payload, 'x', sizeof(bench.payload));
    measure_ticks();
    compare_appends("appends in memory", "/dev/shm", false);
    compare_appends("appends, a sync every second (everysec)", bench.directory, true);
    compare_synced();
    measure_reading();
    measure_round_trips();
    fill_commands();
    measure_packed();
    return 0;
}
