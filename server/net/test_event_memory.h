/* test_event_memory.h - for tests that refuse a server memory: where the loop's library takes it
 * from. Before anything else of it is called. */
#ifndef SERVER_NET_TEST_EVENT_MEMORY_H
#define SERVER_NET_TEST_EVENT_MEMORY_H
#include <event2/event.h>
#include <stddef.h>

static inline void test_event_memory(void *(*allocate)(size_t size),
                                     void *(*resize)(void *block, size_t size),
                                     void (*release)(void *block))
{
    event_set_mem_functions(allocate, resize, release);
}
#endif
