/* futex.h - sleeping until a word of shared memory changes.
 *
 * The word may lie in any shared mapping, one that is only readable included (for waiting); threads
 * and processes that map the same memory share the sleep. Any thread. */
#ifndef MODULES_BASE_FUTEX_H
#define MODULES_BASE_FUTEX_H
#include <stdint.h>

/* As a timeout. */
#define FUTEX_FOREVER INT64_C(-1)

/* Sleeps while *word is expected, at most timeout_us microseconds. 0: the word was something else,
 * or somebody woke us; that may be for no reason, so look again. -ETIMEDOUT. -EINTR: a signal came.
 */
int futex_wait(const uint32_t *word, uint32_t expected, int64_t timeout_us);
/* Wakes everybody who sleeps on the word. The number of them, or -errno. */
int futex_wake_all(uint32_t *word);
#endif
