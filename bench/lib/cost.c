#include "bench/lib/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/lib/guard.h"

uint64_t thread_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) < 0) bench_fail_errno("clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void cost_print(const char *what, uint64_t *round_ns, size_t rounds, uint64_t count)
{
    qsort(round_ns, rounds, sizeof(*round_ns), compare_u64);
    (void)printf("%-44s %7.1f ns\n", what, (double)round_ns[rounds / 2] / (double)count);
}
