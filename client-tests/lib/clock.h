/* clock.h - deadlines. A test waits for a condition until a deadline, never for a duration. */
#ifndef CLIENT_TESTS_LIB_CLOCK_H
#define CLIENT_TESTS_LIB_CLOCK_H
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Long enough for a server with sanitizers on a loaded machine: it decides only how soon a test
 * that has failed anyway says so. */
enum { WAIT_MS = 20000, PROBE_MS = 2 };

static inline int64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Between two looks at a condition. False: deadline_ms has passed, stop looking. */
static inline bool clock_probe(int64_t deadline_ms)
{
    struct timespec pause = { .tv_nsec = PROBE_MS * 1000000 };

    if (clock_ms() >= deadline_ms) return false;
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {}
    return true;
}
#endif
