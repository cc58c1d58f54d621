/* alarm.h - a timer that is a descriptor of the loop's.
 *
 * libevent's own timers are the timeout of each epoll_wait: the kernel sets up a timer and takes it
 * down again for each sleep, and libevent looks at the clock and its heap before and after. This
 * one costs when it is set and when it rings, nothing in the turns between. Loop thread only. */
#ifndef SERVER_NET_ALARM_H
#define SERVER_NET_ALARM_H
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;

struct alarm {
    struct event event;
    int fd; /* -1: none */
    void (*rang)(void *context);
    void *context;
};

/* It is not set. -errno: no descriptor, or no memory; alarm_close is allowed then. */
int alarm_open(struct alarm *alarm, struct event_base *base, void (*rang)(void *context),
               void *context);
/* Harmless when it was never opened and fd is -1. */
void alarm_close(struct alarm *alarm);

/* Rings at at_us of the monotonic clock, at once if that is past, and then every period_us unless
 * that is 0. In place of what was set before. */
void alarm_set(const struct alarm *alarm, uint64_t at_us, uint64_t period_us);
void alarm_unset(const struct alarm *alarm);
#endif
