#include "modules/base/clock.h"

#include <assert.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static struct timespec now(clockid_t id)
{
    struct timespec time;
    int rc = clock_gettime(id, &time);
    assert(rc == 0); /* these clocks always exist */
    (void)rc;
    return time;
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t clock_monotonic_us(void)
{
    return clock_monotonic_ns() / 1000;
}

uint64_t clock_thread_cpu_us(void)
{
    struct timespec time = now(CLOCK_THREAD_CPUTIME_ID);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000;
}

int64_t clock_realtime_us(void)
{
    struct timespec time = now(CLOCK_REALTIME);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t clock_realtime_ms(void)
{
    return clock_realtime_us() / 1000;
}

#if defined(__x86_64__)
enum { CALIBRATION_NS = 2000000, CALIBRATION_TRIES = 8 };

struct reading {
    uint64_t counter, ns;
};

/* One instant on both clocks. We may lose the processor between two reads, so the pair that lay
 * closest together of several is taken. */
static struct reading read_both(void)
{
    struct reading best = { 0, 0 };
    uint64_t best_gap = UINT64_MAX;
    for (int i = 0; i < CALIBRATION_TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t ns = clock_monotonic_ns();
        uint64_t gap = __rdtsc() - before;
        if (gap >= best_gap) continue;
        best_gap = gap;
        best = (struct reading){ .counter = before + gap / 2, .ns = ns };
    }
    return best;
}

/* The counter runs at one speed, asleep or not, and in step on all processors. */
static bool counter_is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & 1u << 8) != 0;
}

static bool measure_counter(struct ticks *ticks)
{
    struct reading start, end;
    if (!counter_is_invariant()) return false;
    start = read_both();
    while (clock_monotonic_ns() < start.ns + CALIBRATION_NS) {}
    end = read_both();
    if (end.counter <= start.counter || end.ns <= start.ns) return false;
    ticks->us_per_tick_fraction = (uint64_t)((double)(end.ns - start.ns) /
                                             (double)(end.counter - start.counter) * 4294967.296);
    return ticks->us_per_tick_fraction > 0;
}
#endif

void ticks_init(struct ticks *ticks)
{
    *ticks = (struct ticks){ .us_per_tick_fraction = (1ull << 32) / 1000, .is_counter = false };
#if defined(__x86_64__)
    if (measure_counter(ticks)) {
        ticks->is_counter = true;
    } else {
        ticks->us_per_tick_fraction = (1ull << 32) / 1000;
    }
#endif
}
