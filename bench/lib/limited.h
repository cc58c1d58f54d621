/* limited.h - a server with a limit on its memory, watched, in a cgroup that keeps the page cache
 * from passing for a disk. Fails the benchmark (bench_fail) on any error. Main thread only. */
#ifndef BENCH_LIB_LIMITED_H
#define BENCH_LIB_LIMITED_H
#include <stdbool.h>
#include <stdint.h>

#include "bench/lib/cgroup.h"
#include "bench/lib/connection.h"
#include "bench/lib/disk.h"
#include "bench/lib/options.h"
#include "bench/lib/peer.h"
#include "bench/lib/summary.h"

struct sampler;

enum {
    LIMITED_CGROUP_EXTRA_BYTES = 192
                                 << 20,    /* above maxmemory: code, sockets, a little page cache */
    LIMITED_MEMORY_EXTRA_BYTES = 16 << 20, /* above maxmemory: what the process may have at most */
    LIMITED_SAMPLE_MS = 50
};

struct limited {
    struct peer peer;
    struct cgroup cgroup;
    struct sampler *sampler;
    uint64_t maxmemory_bytes;
};

/* With options' maxmemory, throttle, arguments. A Redis in the place of ours is not limited. */
void limited_start(struct limited *limited, const struct options *options);
/* Ours with room for data_bytes and more, without a cgroup: "the same held in memory". False: this
 * machine has not enough memory free, which is printed. */
bool limited_start_roomy(struct limited *limited, const struct options *options,
                         uint64_t data_bytes);
void limited_stop(struct limited *limited);

/* What fio makes of options' disk under the same limits, with a file of options' bytes; each
 * direction takes seconds_max at most. */
struct disk_speed limited_measure_disk(const struct options *options, unsigned seconds_max);

/* Prints the largest memory sampled since the start or the last such line, and whether that is
 * within maxmemory and 16 MiB; a row of a table with columns: phase, MiB, limit, samples, verdict.
 */
struct table *limited_memory_table(void);
void limited_memory_row(struct limited *limited, struct table *table, const char *phase);

/* Prints what limits there are: maxmemory, cgroup, throttle. */
void limited_describe(const struct limited *limited, const struct options *options);
#endif
