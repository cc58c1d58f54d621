#include "modules/base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_wait(const uint32_t *word, uint32_t expected, int64_t timeout_us)
{
    struct timespec timeout = { .tv_sec = timeout_us / 1000000,
                                .tv_nsec = timeout_us % 1000000 * 1000 };
    const struct timespec *limit = timeout_us == FUTEX_FOREVER ? NULL : &timeout;

    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, limit, NULL, 0) == 0) return 0;
    return errno == EAGAIN ? 0 : -errno;
}

int futex_wake_all(uint32_t *word)
{
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return woken < 0 ? -errno : (int)woken;
}
