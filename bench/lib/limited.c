#include "bench/lib/limited.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"

static const uint64_t roomy_extra_bytes = UINT64_C(1) << 30;

static void start(struct limited *limited, const struct options *options, uint64_t maxmemory_bytes)
{
    const char *arguments[PEER_ARGUMENT_MAX + 1] = { NULL };
    char maxmemory[24];
    int count = 0;

    if (options->kind == PEER_SLUICE) {
        snprintf(maxmemory, sizeof(maxmemory), "%" PRIu64, maxmemory_bytes);
        arguments[count++] = "--maxmemory";
        arguments[count++] = maxmemory;
        if (options->log_mode) {
            arguments[count++] = "--appendonly";
            arguments[count++] = "yes";
            arguments[count++] = "--appendfsync";
            arguments[count++] = options->log_mode;
        }
        for (int i = 0; options->own_arguments[i]; i++) {
            if (count == PEER_ARGUMENT_MAX) bench_fail("too many arguments");
            arguments[count++] = options->own_arguments[i];
        }
    }
    limited->maxmemory_bytes = maxmemory_bytes;
    peer_start(&limited->peer, options->kind, arguments, options->base, &limited->cgroup);
    limited->sampler = sampler_start(limited->peer.pid, LIMITED_SAMPLE_MS);
}

void limited_start(struct limited *limited, const struct options *options)
{
    uint64_t cgroup_bytes = options->maxmemory_bytes + LIMITED_CGROUP_EXTRA_BYTES;

    *limited = (struct limited){ .maxmemory_bytes = options->maxmemory_bytes };
    (void)cgroup_create(&limited->cgroup, options->kind == PEER_SLUICE ? cgroup_bytes : 0,
                        options->throttle_bytes, options->base);
    start(limited, options, options->maxmemory_bytes);
}

bool limited_start_roomy(struct limited *limited, const struct options *options,
                         uint64_t data_bytes)
{
    uint64_t wanted_bytes = data_bytes + data_bytes / 2 + roomy_extra_bytes;

    *limited = (struct limited){ .maxmemory_bytes = wanted_bytes };
    if (memory_available_bytes() < wanted_bytes) {
        printf("held in memory: not measured here, %" PRIu64 " MiB of memory are not free\n",
               wanted_bytes >> 20);
        return false;
    }
    start(limited, options, wanted_bytes);
    return true;
}

void limited_stop(struct limited *limited)
{
    sampler_stop(limited->sampler);
    peer_stop(&limited->peer);
    cgroup_remove(&limited->cgroup);
}

struct disk_speed limited_measure_disk(const struct options *options, unsigned seconds_max)
{
    uint64_t bytes = options->bytes, throttled_bytes = options->throttle_bytes * seconds_max / 2;
    struct disk_speed speed;
    struct cgroup cgroup;

    /* Throttled, a whole backlog would only wait: what the disk does in the time shows the same. */
    if (options->throttle_bytes > 0 && bytes > throttled_bytes) bytes = throttled_bytes;
    (void)cgroup_create(&cgroup, options->maxmemory_bytes + LIMITED_CGROUP_EXTRA_BYTES,
                        options->throttle_bytes, options->base);
    speed = disk_measure(options->base, bytes, seconds_max, &cgroup);
    cgroup_remove(&cgroup);
    return speed;
}

struct table *limited_memory_table(void)
{
    return table_create("own memory (RssAnon + RssShmem)|most MiB|limit MiB|samples|");
}

void limited_memory_row(struct limited *limited, struct table *table, const char *phase)
{
    uint64_t most = sampler_max_bytes(limited->sampler);
    uint64_t now =
        process_memory_bytes(limited->peer.pid); /* a phase may be shorter than a sample */
    uint64_t limit = limited->maxmemory_bytes + LIMITED_MEMORY_EXTRA_BYTES;

    if (now > most) most = now;
    table_row(table, "%s|%.1f|%.1f|%lu|%s", phase, (double)most / 1048576, (double)limit / 1048576,
              sampler_count(limited->sampler) + 1,
              limited->peer.kind != PEER_SLUICE ? ""
              : most <= limit                   ? "met"
                                                : "NOT MET");
    sampler_reset(limited->sampler);
}

void limited_describe(const struct limited *limited, const struct options *options)
{
    printf("%s, maxmemory %" PRIu64 " MiB, ", peer_name(limited->peer.kind),
           limited->maxmemory_bytes >> 20);
    if (limited->cgroup.memory[0])
        printf("in a memory cgroup of %" PRIu64 " MiB, ",
               (limited->maxmemory_bytes + LIMITED_CGROUP_EXTRA_BYTES) >> 20);
    else
        printf("in no memory cgroup, ");
    if (limited->cgroup.block[0])
        printf("disk throttled to %.1f MB/s\n", (double)options->throttle_bytes / 1e6);
    else
        printf("disk not throttled\n");
}
