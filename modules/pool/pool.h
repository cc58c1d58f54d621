/* pool.h - buffers of one size for sockets, from memory with a ceiling.
 *
 * A buffer is 16 KiB. Buffers come from slabs that are mapped as needed and are handed out last in,
 * first out, so that the ones in use are the ones in the processor's caches. At the limit acquire
 * returns NULL and the caller does without: waits, or asks for counted memory from the heap.
 *
 * One thread (the loop's). Nothing here logs. */
#ifndef MODULES_POOL_POOL_H
#define MODULES_POOL_POOL_H
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

enum { POOL_BUFFER_BYTES = 16384 };

/* Fields are for the inline functions below only. */
struct pool {
    void **free;       /* [0, cold_count) hold no pages, [cold_count, free_count) do */
    size_t free_count; /* cold_count <= free_count <= mapped_count */
    size_t cold_count;
    size_t resident_count; /* buffers that hold pages: in use or warm */
    size_t resident_max;   /* the limit; exceeded only right after it was lowered, and then no free
                              buffer is warm */
    size_t mapped_count;
    size_t overflow_bytes; /* handed out by pool_overflow_allocate */
    size_t overflow_max;
    uint64_t dry_total; /* acquires that got NULL */
    struct pool_slab *slabs;
};

/* limit_bytes is rounded down to whole buffers. -ENOMEM. */
int pool_create(size_t limit_bytes, struct pool **out_pool);
/* Every buffer must have been released. Accepts NULL. */
void pool_destroy(struct pool *pool);

void *pool_acquire_slow(struct pool *pool);
void pool_release_slow(struct pool *pool, void *buffer);

/* POOL_BUFFER_BYTES of undefined content, aligned to 4 KiB. NULL: the limit is reached (or the
 * kernel has no memory); one will be there after somebody's release. */
static inline void *pool_acquire(struct pool *pool)
{
    void *buffer;
    if (pool->free_count == pool->cold_count) return pool_acquire_slow(pool);
    buffer = pool->free[--pool->free_count];
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(buffer, POOL_BUFFER_BYTES);
#endif
    return buffer;
}

/* buffer came from this pool's acquire, and is not used afterwards. */
static inline void pool_release(struct pool *pool, void *buffer)
{
    assert(pool->free_count < pool->mapped_count);
    if (pool->resident_count > pool->resident_max) {
        pool_release_slow(pool, buffer);
        return;
    }
    pool->free[pool->free_count++] = buffer;
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(buffer, POOL_BUFFER_BYTES);
#endif
}

/* May be raised and lowered at any time. Lowering gives the pages of free buffers back at once, and
 * those of buffers in use when they are released. */
void pool_set_limit(struct pool *pool, size_t limit_bytes);
/* Gives back the pages of free buffers but the keep_count used last: for quiet times. */
void pool_trim(struct pool *pool, size_t keep_count);

/* Memory from the heap for who must go on when the pool is dry: counted, not limited. NULL: the
 * heap has none. size_bytes must be handed back with it. */
void *pool_overflow_allocate(struct pool *pool, size_t size_bytes);
void pool_overflow_free(struct pool *pool, void *memory, size_t size_bytes);

/* Output that is kept in the heap by somebody else counts as overflow, or no longer does. */
void pool_overflow_count(struct pool *pool, size_t size_bytes);
void pool_overflow_discount(struct pool *pool, size_t size_bytes);

/* SIZE_MAX, the start: no limit. What is out already stays out. */
void pool_set_overflow_limit(struct pool *pool, size_t limit_bytes);

struct pool_info {
    size_t limit_bytes;
    size_t in_use_bytes;   /* handed out */
    size_t resident_bytes; /* in use, or free and still holding pages */
    size_t overflow_bytes; /* on the heap because the pool was dry */
    uint64_t dry_total;    /* how often it was dry */
};
void pool_info(const struct pool *pool, struct pool_info *out_info);
/* Asserts every invariant, and that no buffer is free twice; for tests. */
void pool_check(const struct pool *pool);
#endif
