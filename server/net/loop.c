/* loop.c - libevent's base, driven turn by turn.
 *
 * A turn: wait for readiness (no longer than the end of the last turn allowed), run the callbacks
 * of what is ready, then turn_end (net) and before_wait (the program), which say how long the next
 * wait may be. The clocks are read at most once a turn, when somebody first asks. */
#include "server/net/loop.h"
#include "server/net/loop_internal.h"
#include "modules/base/clock.h"
#include "modules/base/list.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>

struct loop {
    struct event_base *base;
    struct event *wake; /* ends a wait whose length before_wait bounded */
    int64_t (*turn_end)(void *context);
    void *turn_end_context;
    struct list_link watches; /* signals and descriptors: struct watch */
    uint64_t now_us;          /* valid while has_now_us */
    int64_t now_ms;           /* valid while has_now_ms */
    bool has_now_us, has_now_ms, is_stopping;
};

struct loop_timer {
    struct event event;
    struct loop *loop;
    void (*fired)(void *context);
    void *context;
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

/* Out of memory here would lose a timer for good; there is no caller that could do anything about
 * it. */
static void add_or_die(struct event *event, const struct timeval *after)
{
    if (event_add(event, after) == 0) return;
    (void)fprintf(stderr, "Out of memory for a timer of the event loop\n");
    abort();
}

static struct timeval timeval_of_us(uint64_t us)
{
    return (struct timeval){ .tv_sec = (time_t)(us / 1000000),
                             .tv_usec = (suseconds_t)(us % 1000000) };
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context; /* that the wait ended is all there is to do */
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

    if (!loop) return -ENOMEM;
    list_init(&loop->watches);
    loop->base = make_base();
    if (loop->base) loop->wake = evtimer_new(loop->base, on_wake, NULL);
    if (!loop->wake) {
        loop_destroy(loop);
        return -ENOMEM;
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
    if (loop->wake) event_free(loop->wake);
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

static void wait_and_dispatch(struct loop *loop, int64_t wait_us)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

    if (wait_us == 0) {
        flags |= EVLOOP_NONBLOCK;
    } else if (wait_us > 0) {
        struct timeval wait = timeval_of_us((uint64_t)wait_us);
        add_or_die(loop->wake, &wait);
    }
    loop->has_now_us = false;
    loop->has_now_ms = false;
    /* Fails when epoll_wait does, which it does on a broken epoll descriptor only. */
    if (event_base_loop(loop->base, flags) < 0) loop->is_stopping = true;
    if (wait_us > 0) (void)event_del(loop->wake);
}

void loop_end_turn(struct loop *loop)
{
    (void)event_base_loopbreak(loop->base); /* fails without a base only */
}

int loop_run(struct loop *loop, int64_t (*before_wait)(void *context), void *context)
{
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

int64_t loop_now_ms(const struct loop *loop)
{
    struct loop *cache = (struct loop *)loop;

    if (!cache->has_now_ms) {
        cache->now_ms = clock_realtime_ms();
        cache->has_now_ms = true;
    }
    return cache->now_ms;
}

/* ---- timers ---- */

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    struct loop_timer *timer = context;

    (void)fd, (void)what;
    timer->fired(timer->context); /* may destroy the timer */
}

int loop_timer_create(struct loop *loop, void (*fired)(void *context), void *context,
                      struct loop_timer **out_timer)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));

    if (!timer) return -ENOMEM;
    *timer = (struct loop_timer){ .loop = loop, .fired = fired, .context = context };
    if (event_assign(&timer->event, loop->base, -1, 0, on_timer, timer) < 0) {
        free(timer);
        return -EINVAL;
    }
    *out_timer = timer;
    return 0;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t after_us, bool repeats)
{
    struct timeval after = timeval_of_us(after_us);
    int rc;

    assert(after_us > 0 || !repeats); /* it would fire in every turn, for ever */
    (void)event_del(&timer->event);
    rc = event_assign(&timer->event, timer->loop->base, -1, repeats ? EV_PERSIST : 0, on_timer,
                      timer);
    assert(rc == 0);
    add_or_die(&timer->event, &after);
}

void loop_timer_disarm(struct loop_timer *timer)
{
    (void)event_del(&timer->event);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (!timer) return;
    (void)event_del(&timer->event);
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
