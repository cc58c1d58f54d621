/* test_wrapped_clock.h - for programs that are linked with --wrap=clock_gettime (see the Makefile):
 * a process, and its children, read a wall clock that is ahead of the machine's. */
#ifndef SERVER_TEST_WRAPPED_CLOCK_H
#define SERVER_TEST_WRAPPED_CLOCK_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* How far, in whole seconds; may change while it is read. NULL: it is the machine's. */
static const _Atomic int64_t *clock_ahead_ms;

int __real_clock_gettime(clockid_t id, struct timespec *out_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *out_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *out_time)
{
    int rc = __real_clock_gettime(id, out_time);

    if (id == CLOCK_REALTIME && clock_ahead_ms)
        out_time->tv_sec += atomic_load(clock_ahead_ms) / 1000;
    return rc;
}
#endif
