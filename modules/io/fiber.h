/* fiber.h - code that can stop in the middle and go on later, on the same thread.
 *
 * A fiber runs on a stack of its own until it suspends; whoever resumes it goes on after that
 * point. Commands that need what is on disk run in fibers, so that they read as straight code while
 * the event loop serves others. Stacks are mapped once, with a guard page, and used again.
 *
 * One thread only. Fibers do not nest: a fiber may not resume another. */
#ifndef MODULES_IO_FIBER_H
#define MODULES_IO_FIBER_H
#include <stdbool.h>
#include <stddef.h>

struct fiber;
struct fiber_pool;

/* At most fiber_max fibers exist at once; stack_bytes each (rounded up to pages, 64 KiB is plenty).
 */
int fiber_pool_create(unsigned fiber_max, size_t stack_bytes, struct fiber_pool **out_pool);
/* No fiber may be alive. Accepts NULL. */
void fiber_pool_destroy(struct fiber_pool *pool);

/* Runs body(argument) in a fiber until it first suspends or ends. -EAGAIN: fiber_max are alive
 * (wait for one to end); -ENOMEM; -EDEADLK: called inside a fiber. 0: it ran, and may have ended
 * already. */
int fiber_start(struct fiber_pool *pool, void (*body)(void *argument), void *argument);
/* The running fiber, or NULL outside of any. */
struct fiber *fiber_current(const struct fiber_pool *pool);
/* Inside a fiber: returns to who started or resumed it; returns here when it is resumed. */
void fiber_suspend(struct fiber_pool *pool);
/* Outside any fiber: goes on where that fiber suspended. It may have ended when this returns. */
void fiber_resume(struct fiber_pool *pool, struct fiber *fiber);

unsigned fiber_alive(const struct fiber_pool *pool);
/* Bytes of stacks that may hold pages: what the pool can have of RssAnon at most. */
size_t fiber_memory_bytes(const struct fiber_pool *pool);
#endif
