#include "bench/lib/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"

enum {
    PATH_BYTES = 400,
    /* Of fio's terse output, version 3, counted from 0: bandwidth in KiB/s. */
    FIELD_READ_KIB_S = 6,
    FIELD_WRITE_KIB_S = 47
};

static double field(const char *line, int index)
{
    for (; index > 0; index--) {
        line = strchr(line, ';');
        if (!line) bench_fail("fio printed something unexpected");
        line++;
    }
    return strtod(line, NULL);
}

static double measure(const char *directory, const char *direction, uint64_t size_bytes,
                      unsigned seconds_max, const struct cgroup *cgroup)
{
    char output[PATH_BYTES], file[PATH_BYTES], rw[32], size[40], runtime[32];
    char *const argv[] = { "fio",
                           "--name=bench",
                           file,
                           rw,
                           size,
                           runtime,
                           "--bs=1M",
                           "--direct=1",
                           "--ioengine=psync",
                           "--numjobs=1",
                           "--minimal",
                           "--terse-version=3",
                           NULL };
    bool is_write = strcmp(direction, "write") == 0;
    double kib_s;
    char *text, *line;

    snprintf(output, sizeof(output), "%s/out", directory);
    snprintf(file, sizeof(file), "--filename=%s/data", directory);
    snprintf(rw, sizeof(rw), "--rw=%s", direction);
    snprintf(size, sizeof(size), "--size=%" PRIu64, size_bytes);
    snprintf(runtime, sizeof(runtime), "--runtime=%u", seconds_max);
    process_wait(process_start(argv, output, cgroup), "fio", output);
    text = file_text(output);
    line = text ? strstr(text, "3;fio-") : NULL;
    if (!line) bench_fail("fio printed something unexpected: %s", text ? text : "");
    kib_s = field(line, is_write ? FIELD_WRITE_KIB_S : FIELD_READ_KIB_S);
    free(text);
    return kib_s * 1024 / 1e6;
}

struct disk_speed disk_measure(const char *base, uint64_t size_bytes, unsigned seconds_max,
                               const struct cgroup *cgroup)
{
    struct disk_speed speed = { 0 };
    char directory[PATH_BYTES];

    if (access("/usr/bin/fio", X_OK) != 0) {
        printf("fio: not available here; the disk is not measured\n");
        return speed;
    }
    if ((size_t)snprintf(directory, sizeof(directory), "%s/sluice-bench-fio-XXXXXX", base) >=
        sizeof(directory) - 20)
        bench_fail("path too long: %s", base);
    if (!mkdtemp(directory)) bench_fail_errno("%s", directory);
    guard_note_directory(directory);
    speed.write_mb_s = measure(directory, "write", size_bytes, seconds_max, cgroup);
    speed.read_mb_s = measure(directory, "read", size_bytes, seconds_max, cgroup);
    guard_remove_tree(directory);
    guard_forget_directory(directory);
    return speed;
}
