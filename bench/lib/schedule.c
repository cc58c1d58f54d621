#include "bench/lib/schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "bench/lib/process.h"

void schedule_begin(struct schedule *schedule, uint64_t interval_ns)
{
    *schedule = (struct schedule){ .interval_ns = interval_ns, .due_ns = now_ns() };
}

void schedule_send(struct schedule *schedule)
{
    uint64_t sent_ns = now_ns();
    bool is_late = sent_ns > schedule->due_ns + schedule->interval_ns;

    schedule->from_ns = is_late ? schedule->due_ns : sent_ns;
}

uint64_t schedule_taken_us(const struct schedule *schedule)
{
    return (now_ns() - schedule->from_ns) / 1000;
}

static void sleep_until(uint64_t time_ns)
{
    struct timespec until = { .tv_sec = (time_t)(time_ns / 1000000000u),
                              .tv_nsec = (long)(time_ns % 1000000000u) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

void schedule_wait(struct schedule *schedule)
{
    schedule->due_ns = schedule->from_ns + schedule->interval_ns;
    if (now_ns() < schedule->due_ns) sleep_until(schedule->due_ns);
}
