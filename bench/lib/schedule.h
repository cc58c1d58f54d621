/* schedule.h - requests that are sent one after the other, each when it is due, and how long each
 * took.
 *
 * One that is sent on time counts from when it is sent: that we woke late is not the server's
 * fault. When the one before took longer than the interval it counts from when it should have been
 * sent: a server that stands still for a second has delayed all that were due in it, not one. A
 * schedule belongs to one thread. */
#ifndef BENCH_LIB_SCHEDULE_H
#define BENCH_LIB_SCHEDULE_H
#include <stdint.h>

struct schedule {
    uint64_t interval_ns;
    uint64_t due_ns;  /* when the next one is */
    uint64_t from_ns; /* when the one under way counts from */
};

/* The first one is due now. */
void schedule_begin(struct schedule *schedule, uint64_t interval_ns);
/* A request is about to be sent. */
void schedule_send(struct schedule *schedule);
/* It has been answered: the microseconds that it took. */
uint64_t schedule_taken_us(const struct schedule *schedule);
/* Returns when the next one is due. */
void schedule_wait(struct schedule *schedule);
#endif
