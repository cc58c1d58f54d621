/* clock.h - what time it is, three ways.
 *
 * Time that decides something is handed down as a parameter; only the loop and programs read
 * clocks. Any thread. */
#ifndef MODULES_BASE_CLOCK_H
#define MODULES_BASE_CLOCK_H
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Never goes back; its zero means nothing. For intervals. */
uint64_t clock_monotonic_us(void);
uint64_t clock_monotonic_ns(void);
/* Of the calling thread, what it has had of processors; a system call. For what was spent, where
 * the monotonic clock also counts what others had meanwhile. */
uint64_t clock_thread_cpu_us(void);
/* Since 1970; jumps when somebody sets the clock. For expiry times, stream ids, the log. */
int64_t clock_realtime_ms(void);
int64_t clock_realtime_us(void);

/* A stopwatch for single commands: reads the processor's counter where that runs at one speed, else
 * the monotonic clock. Set up once with ticks_init, then only read. */
struct ticks {
    uint64_t us_per_tick_fraction; /* microseconds a tick, times 2^32 */
    bool is_counter;               /* false: a tick is a nanosecond of the monotonic clock */
};
/* Measures the counter against the monotonic clock, which takes about 2 ms. */
void ticks_init(struct ticks *ticks);

static inline uint64_t clock_ticks(const struct ticks *ticks)
{
#if defined(__x86_64__)
    if (ticks->is_counter) return __rdtsc();
#else
    (void)ticks;
#endif
    return clock_monotonic_ns();
}

/* Rounded down. Of a difference of two readings, up to a day's worth at least. */
static inline uint64_t ticks_to_us(const struct ticks *ticks, uint64_t tick_count)
{
    return (uint64_t)(((unsigned __int128)tick_count * ticks->us_per_tick_fraction) >> 32);
}
#endif
