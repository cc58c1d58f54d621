/* test_refused_memory.h - memory that is refused now and then. The program is linked with --wrap
 * for the functions here (see the Makefile). */
#ifndef MODULES_STREAM_TEST_REFUSED_MEMORY_H
#define MODULES_STREAM_TEST_REFUSED_MEMORY_H
#include <stdbool.h>
#include <stdlib.h>

/* Every so many allocations one is refused; 0: none. */
static unsigned refuse_every;
static unsigned allocation_count, refused_count;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool is_refused(void)
{
    if (refuse_every == 0 || ++allocation_count % refuse_every != 0) return false;
    refused_count++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return is_refused() ? NULL : __real_realloc(block, size);
}

/* Since this was asked last. */
static inline bool memory_was_refused(void)
{
    bool was_refused = refused_count > 0;

    refused_count = 0;
    return was_refused;
}
#endif
