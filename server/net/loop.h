/* loop.h - the event loop seen by parts that must not know libevent: timers, signals, descriptors.
 *
 * All callbacks run on the loop's thread, inside a turn (tick) of the loop. */
#ifndef SERVER_NET_LOOP_H
#define SERVER_NET_LOOP_H
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_timer;

int loop_create(struct loop **out_loop);
void loop_destroy(struct loop *loop); /* accepts NULL */

/* Runs turns until loop_stop (a stop asked for before the run ends it at once). before_wait, which
 * may be NULL, runs at the end of every turn, before the loop sleeps: it returns how long it may
 * sleep in microseconds (0: not at all; -1: until something happens). Net's end of the turn comes
 * first. 0. */
int loop_run(struct loop *loop, int64_t (*before_wait)(void *context), void *context);
void loop_stop(struct loop *loop);

/* A timer made once and armed any number of times; arming again replaces what was armed. repeats:
 * every after_us (> 0) from then on. Counted from the turn's loop_now_us. A callback may arm,
 * disarm or destroy its own timer. -errno: no memory, or no descriptor for it. */
int loop_timer_create(struct loop *loop, void (*fired)(void *context), void *context,
                      struct loop_timer **out_timer);
void loop_timer_arm(struct loop_timer *timer, uint64_t after_us, bool repeats);
void loop_timer_disarm(struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer); /* accepts NULL */

int loop_on_signal(struct loop *loop, int signal_number, void (*fired)(void *context, int number),
                   void *context);
/* Calls readable whenever fd is; fd stays the caller's and must outlive the loop or the removal,
 * which readable itself may ask for. */
int loop_on_readable(struct loop *loop, int fd, void (*readable)(void *context), void *context);
void loop_remove_readable(struct loop *loop, int fd);

/* Microseconds of the monotonic clock and milliseconds since 1970, read at most once a turn: when
 * first asked for, or ms up to a millisecond before. */
uint64_t loop_now_us(const struct loop *loop);
int64_t loop_now_ms(const struct loop *loop);
#endif
