/* alloc_size.h - what an allocation really takes.
 *
 * Owners count their memory as the allocator does, so that the sum stands beside what the kernel
 * says. These are jemalloc's size classes: multiples of 16 up to 128, then four to each doubling.
 * Asking the allocator itself (malloc_usable_size) costs a cache miss an allocation. Pure; any
 * thread. */
#ifndef MODULES_BASE_ALLOC_SIZE_H
#define MODULES_BASE_ALLOC_SIZE_H
#include <stddef.h>

static inline size_t alloc_size(size_t requested_bytes)
{
    size_t spacing = 16;
    if (requested_bytes <= 8) return 8;
    if (requested_bytes > 128) {
        int doubling = 63 - __builtin_clzll((unsigned long long)requested_bytes - 1);
        spacing = (size_t)1 << (doubling - 2);
    }
    return (requested_bytes + spacing - 1) & ~(spacing - 1);
}
#endif
