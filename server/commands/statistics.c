#include "server/commands/statistics.h"

#include <stdio.h>

/* Asking for the thread's processor time is a system call, so short turns share one. */
static void sample_cpu(struct statistics *statistics, uint64_t now_us, uint64_t took_us)
{
    uint64_t cpu_us = clock_thread_cpu_us(), spent_us = cpu_us - statistics->cpu_us;

    statistics->cpu_us = cpu_us;
    statistics->cpu_sampled_us = now_us;
    if (took_us < STATISTICS_LONG_TICK_US) return;
    if (spent_us > took_us) spent_us = took_us;
    if (spent_us > statistics->max_tick_cpu_us) statistics->max_tick_cpu_us = spent_us;
}

void statistics_end_tick(struct statistics *statistics, uint64_t began_us)
{
    uint64_t now_us = clock_monotonic_us(), took_us = now_us - began_us;

    if (took_us > statistics->max_tick_us) statistics->max_tick_us = took_us;
    if (now_us - statistics->cpu_sampled_us >= STATISTICS_LONG_TICK_US)
        sample_cpu(statistics, now_us, took_us);
}

void statistics_count_error(struct statistics *statistics, const char *code)
{
    uint32_t i = 0;

    statistics->error_replies++;
    while (i < statistics->error_count && strcmp(statistics->errors[i].code, code) != 0) {
        i++;
    }
    if (i == ERROR_CODES_MAX) i = ERROR_CODES_MAX - 1;
    if (i == statistics->error_count) {
        (void)snprintf(statistics->errors[i].code, ERROR_CODE_BYTES, "%s", code);
        statistics->error_count++;
    }
    statistics->errors[i].count++;
}

/* Redis counts in units that grow with the time: the border at 2^k ns lies half a percent and more
 * above it, at 2^k * 129 / 128. Here a unit is 129 / 128 ns, so borders are powers of two. */
enum { BORDER_ABOVE = 129, BORDER_BELOW = 128 };

void statistics_track_latency(struct statistics *statistics, bool is_tracking)
{
    statistics->bucket_fraction =
        is_tracking ? statistics->ticks.us_per_tick_fraction * 1000 * BORDER_BELOW / BORDER_ABOVE
                    : 0;
}

uint64_t statistics_border_ns(unsigned bucket)
{
    /* Redis counts what takes longer than a second as one second. */
    if (bucket >= 30) return ((uint64_t)1 << 30) - 1;
    return ((uint64_t)1 << bucket) * BORDER_ABOVE / BORDER_BELOW - (bucket > 7);
}
