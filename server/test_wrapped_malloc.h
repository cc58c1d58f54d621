/* test_wrapped_malloc.h - for tests of a server that is refused memory.
 *
 * The program is linked with --wrap for each function here (see the Makefile), so that what the
 * server and its modules allocate comes by; libevent is handed the same functions
 * (server/net/test_event_memory.h). What the C library allocates for itself does not: it is asked
 * for memory streams, threads and the like. Counts and rules are those of a process; any thread
 * allocates. */
#ifndef SERVER_TEST_WRAPPED_MALLOC_H
#define SERVER_TEST_WRAPPED_MALLOC_H
#include "modules/base/test_wrapped_memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Those with a number of first or above, below end, are refused; UINT64_MAX: none. */
struct memory_rule {
    atomic_uint_fast64_t count, refused, first, end;
};
static struct memory_rule own_memory_rule = { .first = UINT64_MAX, .end = UINT64_MAX };
/* The one that holds; a test may put one into memory that it shares with the server. */
static struct memory_rule *memory_rule = &own_memory_rule;

bool memory_is_refused(void)
{
    uint64_t number = atomic_fetch_add(&memory_rule->count, 1) + 1;

    if (number < atomic_load(&memory_rule->first) || number >= atomic_load(&memory_rule->end))
        return false;
    atomic_fetch_add(&memory_rule->refused, 1);
    errno = ENOMEM;
    return true;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_asprintf(char **out_text, const char *format, ...);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return memory_is_refused() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_is_refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return memory_is_refused() ? NULL : __real_strndup(text, size);
}

int __wrap_asprintf(char **out_text, const char *format, ...)
{
    va_list values;
    int size;

    if (memory_is_refused()) return -1; /* *out_text is undefined then, and stays as it was */
    va_start(values, format);
    size = vasprintf(out_text, format, values);
    va_end(values);
    return size;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return memory_is_refused() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}
#endif
