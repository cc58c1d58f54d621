#include "server/commands/statistics.h"

#include <stdio.h>

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
