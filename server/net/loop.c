/* loop.c - libevent's base, driven turn by turn.
 *
 * A turn: wait for readiness (no longer than the end of the last turn allowed), run the callbacks
 * of what is ready, then turn_end (net) and before_wait (the program), which say how long the next
 * wait may be. The clocks are read at most once a turn, when somebody first asks. */
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include "modules/base/clock.h"
#include "modules/base/list.h"
#include "server/net/alarm.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

enum {
    REAL_GOOD_US = 1000,  /* for so long two clocks are taken to go alike */
    CLOCKS_APART_US = 50, /* between looks at both */
};

struct loop {
    struct event_base *base;
    struct alarm wake; /* ends a wait whose length before_wait bounded */
    uint64_t wake_us;  /* when it rings; 0: it is not set */
    int64_t (*turn_end)(void *context);
    void *turn_end_context;
    struct list_link watches; /* signals and descriptors: struct watch */
    uint64_t now_us;          /* valid while has_now_us */
    bool has_now_us, is_stopping;
    int64_t real_ahead_us;  /* of the monotonic clock */
    uint64_t real_until_us; /* up to then real_ahead_us is good */
};

struct loop_timer {
    struct alarm alarm;
    struct loop *loop;
};

struct watch {
    struct list_link link; /* in loop->watches */
    struct event event;
    int fd_or_signal;
    bool is_signal;
    void (*readable)(void *context);
    void (*signalled)(void *context, int number);
    void *context;
};

static void on_wake(void *context)
{
    struct loop *loop = context;

    loop->wake_us = 0; /* that the wait ended is all there is to do */
}

static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (!config) return NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0 &&
        event_config_require_features(config, EV_FEATURE_O1 | EV_FEATURE_EARLY_CLOSE |
                                                  EV_FEATURE_ET) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

int loop_create(struct loop **out_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int rc = -ENOMEM;

    if (!loop) return -ENOMEM;
    list_init(&loop->watches);
    loop->wake.fd = -1;
    loop->base = make_base();
    if (loop->base) rc = alarm_open(&loop->wake, loop->base, on_wake, loop);
    if (rc < 0) {
        loop_destroy(loop);
        return rc;
    }
    *out_loop = loop;
    return 0;
}

static void free_watch(struct watch *watch)
{
    (void)event_del(&watch->event); /* fails only for events that were never set up */
    list_remove(&watch->link);
    free(watch);
}

void loop_destroy(struct loop *loop)
{
    if (!loop) return;
    list_for_each(link, &loop->watches) free_watch(list_container(link, struct watch, link));
    alarm_close(&loop->wake);
    if (loop->base) event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

void loop_set_turn_end(struct loop *loop, int64_t (*turn_end)(void *context), void *context)
{
    loop->turn_end = turn_end;
    loop->turn_end_context = context;
}

static int64_t shorter_wait(int64_t a_us, int64_t b_us)
{
    if (a_us < 0) return b_us;
    if (b_us < 0) return a_us;
    return a_us < b_us ? a_us : b_us;
}

/* One that is set already and rings earlier stays: an idle turn now and then costs less than a
 * system call in each. */
static void limit_wait(struct loop *loop, uint64_t wait_us)
{
    uint64_t until_us = loop_now_us(loop) + wait_us;

    if (loop->wake_us > 0 && loop->wake_us <= until_us) return;
    loop->wake_us = until_us;
    alarm_set(&loop->wake, until_us, 0);
}

static void wait_and_dispatch(struct loop *loop, int64_t wait_us)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

    if (wait_us == 0) flags |= EVLOOP_NONBLOCK;
    if (wait_us > 0) limit_wait(loop, (uint64_t)wait_us);
    loop->has_now_us = false;
    /* Fails when epoll_wait does, which it does on a broken epoll descriptor only. */
    if (event_base_loop(loop->base, flags) < 0) loop->is_stopping = true;
}

void loop_end_turn(struct loop *loop)
{
    (void)event_base_loopbreak(loop->base); /* fails without a base only */
}

int loop_run(struct loop *loop, int64_t (*before_wait)(void *context), void *context)
{
    loop->has_now_us = false; /* what was done before is no part of the first turn */
    while (!loop->is_stopping) {
        int64_t wait_us = -1;
        if (loop->turn_end) wait_us = loop->turn_end(loop->turn_end_context);
        if (before_wait) wait_us = shorter_wait(wait_us, before_wait(context));
        if (!loop->is_stopping) wait_and_dispatch(loop, wait_us);
    }
    if (loop->turn_end) (void)loop->turn_end(loop->turn_end_context); /* the last turn's answers */
    loop->is_stopping = false;
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
}

uint64_t loop_now_us(const struct loop *loop)
{
    struct loop *cache = (struct loop *)loop; /* every loop came from calloc: none is const */

    if (!cache->has_now_us) {
        cache->now_us = clock_monotonic_us();
        cache->has_now_us = true;
    }
    return cache->now_us;
}

/* How far the two clocks lie apart, so that a turn reads one of them. The other is looked at again
 * when REAL_GOOD_US are over: somebody may set it. */
static void compare_clocks(struct loop *loop)
{
    int64_t real_us = clock_realtime_us();
    uint64_t then_us = clock_monotonic_us();

    loop->real_ahead_us = real_us - (int64_t)loop->now_us;
    /* Where we lost the processor between the two, or are late in the turn, it is good for this
     * turn only. */
    loop->real_until_us =
        then_us - loop->now_us > CLOCKS_APART_US ? loop->now_us : loop->now_us + REAL_GOOD_US;
}

int64_t loop_now_ms(const struct loop *loop)
{
    struct loop *cache = (struct loop *)loop;
    uint64_t now_us = loop_now_us(loop);

    if (now_us > cache->real_until_us) compare_clocks(cache);
    return ((int64_t)now_us + cache->real_ahead_us) / 1000;
}

/* ---- timers ---- */

int loop_timer_create(struct loop *loop, void (*fired)(void *context), void *context,
                      struct loop_timer **out_timer)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    int rc;

    if (!timer) return -ENOMEM;
    timer->loop = loop;
    rc = alarm_open(&timer->alarm, loop->base, fired, context);
    if (rc < 0) {
        free(timer);
        return rc;
    }
    *out_timer = timer;
    return 0;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t after_us, bool repeats)
{
    assert(after_us > 0 || !repeats); /* it would fire in every turn, for ever */
    alarm_set(&timer->alarm, loop_now_us(timer->loop) + after_us, repeats ? after_us : 0);
}

void loop_timer_disarm(struct loop_timer *timer)
{
    alarm_unset(&timer->alarm);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (!timer) return;
    alarm_close(&timer->alarm);
    free(timer);
}

/* ---- signals and descriptors ---- */

static void on_watch(evutil_socket_t fd, short what, void *context)
{
    struct watch *watch = context;

    (void)fd, (void)what;
    if (watch->is_signal) {
        watch->signalled(watch->context, watch->fd_or_signal);
    } else {
        watch->readable(watch->context); /* may remove the watch */
    }
}

static int add_watch(struct loop *loop, const struct watch *wanted)
{
    short what = (short)(EV_PERSIST | (wanted->is_signal ? EV_SIGNAL : EV_READ));
    struct watch *watch = malloc(sizeof(*watch));

    if (!watch) return -ENOMEM;
    *watch = *wanted;
    list_init(&watch->link);
    if (event_assign(&watch->event, loop->base, watch->fd_or_signal, what, on_watch, watch) < 0 ||
        event_add(&watch->event, NULL) < 0) {
        free(watch);
        return -EINVAL;
    }
    list_push_back(&loop->watches, &watch->link);
    return 0;
}

int loop_on_signal(struct loop *loop, int signal_number, void (*fired)(void *context, int number),
                   void *context)
{
    return add_watch(loop, &(struct watch){ .fd_or_signal = signal_number,
                                            .is_signal = true,
                                            .signalled = fired,
                                            .context = context });
}

int loop_on_readable(struct loop *loop, int fd, void (*readable)(void *context), void *context)
{
    return add_watch(
        loop, &(struct watch){ .fd_or_signal = fd, .readable = readable, .context = context });
}

void loop_remove_readable(struct loop *loop, int fd)
{
    list_for_each(link, &loop->watches)
    {
        struct watch *watch = list_container(link, struct watch, link);
        if (!watch->is_signal && watch->fd_or_signal == fd) free_watch(watch);
    }
}
