/* The free buffers are one array: those without pages at the bottom, those with pages above, the
 * last used on top. So acquire and release move one index, and never touch the memory of a free
 * buffer.
 *
 * A buffer is "warm" when it may hold pages. Mapping a slab adds cold buffers; taking a cold one
 * makes it resident; chilling gives its pages back. While resident_count <= resident_max nothing is
 * chilled; above it (the limit was lowered) every release chills until it fits. */
#include "modules/pool/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLAB_BUFFERS = 64 }; /* 1 MiB a mapping */

struct pool_slab {
    struct pool_slab *next;
    uint8_t *memory;
};

int pool_create(size_t limit_bytes, struct pool **out_pool)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool) return -ENOMEM;
    pool->resident_max = limit_bytes / POOL_BUFFER_BYTES;
    pool->overflow_max = SIZE_MAX;
    *out_pool = pool;
    return 0;
}

void pool_destroy(struct pool *pool)
{
    if (!pool) return;
    assert(pool->free_count == pool->mapped_count);
    assert(pool->overflow_bytes == 0);
    while (pool->slabs) {
        struct pool_slab *slab = pool->slabs;
        pool->slabs = slab->next;
#if defined(__SANITIZE_ADDRESS__)
        __asan_unpoison_memory_region(slab->memory, SLAB_BUFFERS * POOL_BUFFER_BYTES);
#endif
        (void)munmap(slab->memory, SLAB_BUFFERS * POOL_BUFFER_BYTES);
        free(slab);
    }
    free(pool->free);
    free(pool);
}

/* Only called when no buffer is free, so the new ones are all there is in the array. */
static bool map_slab(struct pool *pool)
{
    const size_t slab_bytes = (size_t)SLAB_BUFFERS * POOL_BUFFER_BYTES;
    struct pool_slab *slab;
    void **bigger = realloc(pool->free, (pool->mapped_count + SLAB_BUFFERS) * sizeof(*bigger));
    if (!bigger) return false;
    pool->free = bigger;
    slab = malloc(sizeof(*slab));
    if (!slab) return false;
    slab->memory =
        mmap(NULL, slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->memory == MAP_FAILED) {
        free(slab);
        return false;
    }
    /* A huge page would hold memory for buffers that nobody uses. Where there are none, this fails.
     */
    (void)madvise(slab->memory, slab_bytes, MADV_NOHUGEPAGE);
    slab->next = pool->slabs;
    pool->slabs = slab;
    assert(pool->free_count == 0 && pool->cold_count == 0);
    for (size_t i = SLAB_BUFFERS; i-- > 0;) { /* the lowest on top */
        pool->free[pool->free_count++] = slab->memory + i * POOL_BUFFER_BYTES;
    }
    pool->cold_count = pool->free_count;
    pool->mapped_count += SLAB_BUFFERS;
    return true;
}

void *pool_acquire_slow(struct pool *pool)
{
    void *buffer;
    assert(pool->free_count == pool->cold_count);
    if (pool->resident_count >= pool->resident_max || (pool->free_count == 0 && !map_slab(pool))) {
        pool->dry_total++;
        return NULL;
    }
    buffer = pool->free[--pool->free_count];
    pool->cold_count--;
    pool->resident_count++;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(buffer, POOL_BUFFER_BYTES);
#endif
    return buffer;
}

/* Gives the pages of the warm buffer back that was not used for longest. */
static void chill_one(struct pool *pool)
{
    void *buffer = pool->free[pool->cold_count];
    assert(pool->cold_count < pool->free_count);
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(buffer, POOL_BUFFER_BYTES);
#endif
    /* On private anonymous memory that is mapped this cannot fail. */
    (void)madvise(buffer, POOL_BUFFER_BYTES, MADV_DONTNEED);
    pool->cold_count++;
    pool->resident_count--;
}

void pool_release_slow(struct pool *pool, void *buffer)
{
    pool->free[pool->free_count++] = buffer;
    chill_one(pool);
}

void pool_set_limit(struct pool *pool, size_t limit_bytes)
{
    pool->resident_max = limit_bytes / POOL_BUFFER_BYTES;
    while (pool->resident_count > pool->resident_max && pool->free_count > pool->cold_count) {
        chill_one(pool);
    }
}

void pool_trim(struct pool *pool, size_t keep_count)
{
    while (pool->free_count - pool->cold_count > keep_count)
        chill_one(pool);
}

void *pool_overflow_allocate(struct pool *pool, size_t size_bytes)
{
    void *memory;
    if (size_bytes > pool->overflow_max || pool->overflow_bytes > pool->overflow_max - size_bytes) {
        return NULL;
    }
    memory = malloc(size_bytes);
    if (memory) pool->overflow_bytes += size_bytes;
    return memory;
}

void pool_overflow_free(struct pool *pool, void *memory, size_t size_bytes)
{
    assert(memory && pool->overflow_bytes >= size_bytes);
    pool->overflow_bytes -= size_bytes;
    free(memory);
}

void pool_overflow_count(struct pool *pool, size_t size_bytes)
{
    pool->overflow_bytes += size_bytes;
}

void pool_overflow_discount(struct pool *pool, size_t size_bytes)
{
    assert(pool->overflow_bytes >= size_bytes);
    pool->overflow_bytes -= size_bytes;
}

void pool_set_overflow_limit(struct pool *pool, size_t limit_bytes)
{
    pool->overflow_max = limit_bytes;
}

void pool_info(const struct pool *pool, struct pool_info *out_info)
{
    *out_info = (struct pool_info){
        .limit_bytes = pool->resident_max * POOL_BUFFER_BYTES,
        .in_use_bytes = (pool->mapped_count - pool->free_count) * POOL_BUFFER_BYTES,
        .resident_bytes = pool->resident_count * POOL_BUFFER_BYTES,
        .overflow_bytes = pool->overflow_bytes,
        .dry_total = pool->dry_total,
    };
}

static bool is_in_a_slab(const struct pool *pool, const void *buffer)
{
    for (const struct pool_slab *slab = pool->slabs; slab; slab = slab->next) {
        uintptr_t begin = (uintptr_t)slab->memory, at = (uintptr_t)buffer;
        if (at < begin || at >= begin + (uintptr_t)SLAB_BUFFERS * POOL_BUFFER_BYTES) continue;
        return (at - begin) % POOL_BUFFER_BYTES == 0;
    }
    return false;
}

void pool_check(const struct pool *pool)
{
    size_t in_use = pool->mapped_count - pool->free_count;
    size_t warm = pool->free_count - pool->cold_count;
    assert(pool->cold_count <= pool->free_count && pool->free_count <= pool->mapped_count);
    assert(pool->resident_count == in_use + warm);
    assert(pool->resident_count <= pool->resident_max || warm == 0);
    for (size_t i = 0; i < pool->free_count; i++) {
        assert(is_in_a_slab(pool, pool->free[i]));
        for (size_t j = 0; j < i; j++)
            assert(pool->free[i] != pool->free[j]);
    }
    (void)in_use, (void)warm;
}
