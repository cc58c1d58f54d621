/* test_wrapped_memory.h - memory that a test may refuse. The program is linked with --wrap for the
 * functions here (see the Makefile), and defines which allocations are refused. */
#ifndef MODULES_BASE_TEST_WRAPPED_MEMORY_H
#define MODULES_BASE_TEST_WRAPPED_MEMORY_H
#include <stdbool.h>
#include <stdlib.h>

/* Asked once for each allocation. */
bool memory_is_refused(void);

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
    return memory_is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return memory_is_refused() ? NULL : __real_realloc(block, size);
}
#endif
