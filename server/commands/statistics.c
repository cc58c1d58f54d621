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

void statistics_count_call(struct command_statistics *command, uint64_t ticks, bool failed)
{
    unsigned bucket = ticks ? 64u - (unsigned)__builtin_clzll(ticks) : 0;

    if (bucket >= LATENCY_BUCKETS) bucket = LATENCY_BUCKETS - 1;
    command->calls++;
    command->ticks += ticks;
    command->failed_calls += failed;
    command->histogram[bucket]++;
}
