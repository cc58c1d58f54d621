/* cgroup.h - a version 1 cgroup for a program and the disk beside which it is measured.
 *
 * In a memory cgroup the page cache of its members counts too, so that it cannot pass for a disk.
 * The block throttle holds for direct transfers and for reads; version 1 does not throttle what the
 * kernel writes back later for somebody. Everything but cgroup_create() fails the benchmark. */
#ifndef BENCH_LIB_CGROUP_H
#define BENCH_LIB_CGROUP_H
#include <stdbool.h>
#include <stdint.h>

struct cgroup {
    char memory[200]; /* directory; empty: not limited */
    char block[200];  /* directory; empty: not throttled */
};

/* memory_bytes 0: no limit. throttle_bytes: reads and writes a second, each, of the disk that holds
 * directory; 0: none. False: not available here (no root, no version 1 controller), why is printed,
 * and the cgroup has nothing; members may enter it all the same. Removed by cgroup_remove() or, at
 * the latest, by the guard. */
bool cgroup_create(struct cgroup *cgroup, uint64_t memory_bytes, uint64_t throttle_bytes,
                   const char *directory);
/* The calling process becomes a member (called between fork and exec). */
void cgroup_enter(const struct cgroup *cgroup);
/* All members must have ended. */
void cgroup_remove(struct cgroup *cgroup);
#endif
