/* disk.h - what the disk itself can do, asked of fio: the mark for spilling and draining.
 *
 * Fails the benchmark (bench_fail) instead of returning an error. Main thread only. */
#ifndef BENCH_LIB_DISK_H
#define BENCH_LIB_DISK_H
#include <stdbool.h>
#include <stdint.h>

struct cgroup;

struct disk_speed {
    double write_mb_s, read_mb_s; /* 10^6 bytes a second; 0: fio is not installed */
};

/* One job, sequential, 1 MiB, direct, synchronous, a file of size_bytes in base that is removed
 * again; each direction ends after seconds_max. cgroup may be NULL. */
struct disk_speed disk_measure(const char *base, uint64_t size_bytes, unsigned seconds_max,
                               const struct cgroup *cgroup);
#endif
