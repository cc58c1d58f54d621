/* loop_internal.h - what net needs of the loop beyond loop.h: libevent's base and the end of a
 * turn. */
#ifndef SERVER_NET_LOOP_INTERNAL_H
#define SERVER_NET_LOOP_INTERNAL_H
#include <stdint.h>

struct event_base;
struct loop;

struct event_base *loop_event_base(struct loop *loop);
/* One function that runs at the end of every turn, ahead of loop_run's before_wait; what it returns
 * means the same, and the shorter wait wins. NULL takes it out. */
void loop_set_turn_end(struct loop *loop, int64_t (*turn_end)(void *context), void *context);
/* From a callback: the turn ends after it. What else is ready stays so, and goes first in the next
 * turn, which comes at once. */
void loop_end_turn(struct loop *loop);
#endif
