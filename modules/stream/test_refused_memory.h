/* test_refused_memory.h - memory that is refused now and then (modules/base/test_wrapped_memory.h).
 */
#ifndef MODULES_STREAM_TEST_REFUSED_MEMORY_H
#define MODULES_STREAM_TEST_REFUSED_MEMORY_H
#include "modules/base/test_wrapped_memory.h"

/* Every so many allocations one is refused, of I/O threads, too; 0: none. */
static _Atomic unsigned refuse_every;
static _Atomic unsigned allocation_count, refused_count;

bool memory_is_refused(void)
{
    unsigned every = refuse_every;

    if (every == 0 || ++allocation_count % every != 0) return false;
    refused_count++;
    return true;
}

/* Since this was asked last. */
static inline bool memory_was_refused(void)
{
    bool was_refused = refused_count > 0;

    refused_count = 0;
    return was_refused;
}
#endif
