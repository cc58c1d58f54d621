#include "server/net/alarm.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    struct alarm *alarm = context;
    uint64_t count;

    (void)what;
    /* EAGAIN: it was set anew or unset by a callback of this turn, after it had rung. */
    if (read(fd, &count, sizeof(count)) != (ssize_t)sizeof(count)) return;
    alarm->rang(alarm->context); /* may close the alarm and free it */
}

int alarm_open(struct alarm *alarm, struct event_base *base, void (*rang)(void *context),
               void *context)
{
    *alarm = (struct alarm){ .rang = rang, .context = context };
    alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (alarm->fd < 0) return -errno;
    if (event_assign(&alarm->event, base, alarm->fd, EV_READ | EV_PERSIST, on_alarm, alarm) < 0 ||
        event_add(&alarm->event, NULL) < 0) {
        (void)close(alarm->fd); /* a timer has nothing to report */
        alarm->fd = -1;
        return -ENOMEM;
    }
    return 0;
}

void alarm_close(struct alarm *alarm)
{
    if (alarm->fd < 0) return;
    (void)event_del(&alarm->event); /* fails only for events that were never set up */
    (void)close(alarm->fd);
    alarm->fd = -1;
}

static struct timespec timespec_of_us(uint64_t us)
{
    return (struct timespec){ .tv_sec = (time_t)(us / 1000000),
                              .tv_nsec = (long)(us % 1000000) * 1000 };
}

static void set(const struct alarm *alarm, uint64_t at_us, uint64_t period_us)
{
    struct itimerspec times = { .it_value = timespec_of_us(at_us),
                                .it_interval = timespec_of_us(period_us) };
    int rc = timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &times, NULL);

    assert(rc == 0); /* fails for bad arguments only */
    (void)rc;
}

void alarm_set(const struct alarm *alarm, uint64_t at_us, uint64_t period_us)
{
    set(alarm, at_us > 0 ? at_us : 1, period_us); /* 0 would unset it */
}

void alarm_unset(const struct alarm *alarm)
{
    set(alarm, 0, 0);
}
