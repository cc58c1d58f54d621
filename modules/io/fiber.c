/* Fibers of one pool and the stacks they run on.
 *
 * When all goes well: fiber_start takes a free fiber (or maps a new stack), switches to it, and
 * run_body calls the body; fiber_suspend switches back to whoever started or resumed it; when the
 * body returns, the fiber marks itself as ended and switches back for the last time; enter(), which
 * gets control then, puts it on the free list.
 *
 * Free fibers are used last in, first out, so that the few stacks that are really used stay in the
 * processor's caches. Of free ones beyond KEPT_WARM the pages go back to the kernel; the mapping
 * stays. Sanitizers must be told of every switch: that is what the hook functions are for. */
#include "modules/io/fiber.h"
#include "modules/io/fiber_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { KEPT_WARM = 8 };

/* One side of a switch: a fiber, or the pool's thread outside of any. */
struct side {
    struct fiber_context context;
    const void *stack_bottom; /* lowest usable address; the thread's own is learned at a switch */
    size_t stack_bytes;
    void *asan_fake_stack;
    void *tsan_fiber;
};

enum fiber_state { FIBER_FREE, FIBER_RUNNING, FIBER_SUSPENDED, FIBER_ENDED };

struct fiber {
    struct side side;
    struct fiber_pool *pool;
    void *mapping; /* guard page, then the stack */
    struct fiber *next_mapped, *next_free;
    void (*body)(void *argument);
    void *argument;
    enum fiber_state state;
};

struct fiber_pool {
    struct side outside;
    struct fiber *current;   /* NULL: outside */
    struct fiber *free_warm; /* at most KEPT_WARM, last used first */
    struct fiber *free_cold; /* their pages were given back */
    size_t stack_bytes, page_bytes;
    unsigned fiber_max, alive_count;
    unsigned mapped_count, free_warm_count, free_cold_count;
    struct fiber *mapped; /* all there are, to unmap in the end */
};

/* ---- telling the sanitizers --------------------------------------------------------------------
 */

/* Before leaving `from`. is_last: `from` is never entered again. */
static void hook_before(struct side *from, struct side *to, bool is_last)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->asan_fake_stack, to->stack_bottom,
                                   to->stack_bytes);
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    (void)from, (void)to, (void)is_last;
}

/* After arriving on `self`; `left` is where we come from, whose stack's place is learned if asked.
 */
static void hook_after(struct side *self, struct side *left)
{
#ifdef WITH_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->asan_fake_stack, &bottom, &bytes);
    if (left) {
        left->stack_bottom = bottom;
        left->stack_bytes = bytes;
    }
#endif
    (void)self, (void)left;
}

static void hook_created(struct side *side)
{
#ifdef WITH_TSAN
    side->tsan_fiber = __tsan_create_fiber(0);
#endif
    (void)side;
}

static void hook_destroyed(struct side *side)
{
#ifdef WITH_TSAN
    __tsan_destroy_fiber(side->tsan_fiber);
#endif
    (void)side;
}

static void hook_entering_from_outside(struct side *outside)
{
#ifdef WITH_TSAN
    outside->tsan_fiber = __tsan_get_current_fiber();
#endif
    (void)outside;
}

/* What lay on a stack that is about to be used anew is no error to touch. */
static void hook_stack_reused(const struct side *side)
{
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(side->stack_bottom, side->stack_bytes);
#endif
    (void)side;
}

/* ---- stacks
 * --------------------------------------------------------------------------------------- */

static int map_fiber(struct fiber_pool *pool, struct fiber **out_fiber)
{
    struct fiber *fiber = calloc(1, sizeof(*fiber));
    size_t mapping_bytes = pool->page_bytes + pool->stack_bytes;
    if (!fiber) return -ENOMEM;
    fiber->mapping = mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (fiber->mapping == MAP_FAILED) {
        free(fiber);
        return -ENOMEM;
    }
    /* Stacks grow down: whoever needs more than there is must meet the guard, not a neighbour. */
    if (mprotect(fiber->mapping, pool->page_bytes, PROT_NONE) < 0) {
        munmap(fiber->mapping, mapping_bytes);
        free(fiber);
        return -ENOMEM;
    }
    fiber->pool = pool;
    fiber->side.stack_bottom = (char *)fiber->mapping + pool->page_bytes;
    fiber->side.stack_bytes = pool->stack_bytes;
    fiber->next_mapped = pool->mapped;
    pool->mapped = fiber;
    pool->mapped_count++;
    *out_fiber = fiber;
    return 0;
}

static int take_fiber(struct fiber_pool *pool, struct fiber **out_fiber)
{
    struct fiber *fiber;
    if (pool->free_warm) {
        fiber = pool->free_warm;
        pool->free_warm = fiber->next_free;
        pool->free_warm_count--;
    } else if (pool->free_cold) {
        fiber = pool->free_cold;
        pool->free_cold = fiber->next_free;
        pool->free_cold_count--;
    } else {
        return map_fiber(pool, out_fiber);
    }
    fiber->next_free = NULL;
    *out_fiber = fiber;
    return 0;
}

/* When enough are warm, the one that is put back pays: it is the one at hand. */
static void put_fiber(struct fiber_pool *pool, struct fiber *fiber)
{
    fiber->state = FIBER_FREE;
    fiber->body = NULL;
    fiber->argument = NULL;
    /* Failure keeps the pages, and then the stack counts as warm. */
    if (pool->free_warm_count >= KEPT_WARM &&
        madvise((char *)fiber->mapping + pool->page_bytes, pool->stack_bytes, MADV_DONTNEED) == 0) {
        fiber->next_free = pool->free_cold;
        pool->free_cold = fiber;
        pool->free_cold_count++;
        return;
    }
    fiber->next_free = pool->free_warm;
    pool->free_warm = fiber;
    pool->free_warm_count++;
}

int fiber_pool_create(unsigned fiber_max, size_t stack_bytes, struct fiber_pool **out_pool)
{
    struct fiber_pool *pool;
    long page_bytes = sysconf(_SC_PAGESIZE);
    assert(fiber_max > 0 && stack_bytes > 0 && stack_bytes <= (size_t)1 << 30);
    assert(page_bytes > 0);
    pool = calloc(1, sizeof(*pool));
    if (!pool) return -ENOMEM;
    pool->page_bytes = (size_t)page_bytes;
    pool->stack_bytes = (stack_bytes + pool->page_bytes - 1) / pool->page_bytes * pool->page_bytes;
    pool->fiber_max = fiber_max;
    *out_pool = pool;
    return 0;
}

void fiber_pool_destroy(struct fiber_pool *pool)
{
    if (!pool) return;
    assert(pool->alive_count == 0 && !pool->current);
    while (pool->mapped) {
        struct fiber *fiber = pool->mapped;
        pool->mapped = fiber->next_mapped;
        hook_stack_reused(&fiber->side);
        (void)munmap(fiber->mapping, pool->page_bytes + pool->stack_bytes);
        free(fiber);
    }
    free(pool);
}

/* ---- switching
 * ------------------------------------------------------------------------------------ */

static void leave(struct fiber *fiber, bool is_last)
{
    struct fiber_pool *pool = fiber->pool;
    hook_before(&fiber->side, &pool->outside, is_last);
    fiber_context_switch(&fiber->side.context, &pool->outside.context);
    hook_after(&fiber->side, &pool->outside);
}

static void run_body(void *argument)
{
    struct fiber *fiber = argument;
    hook_after(&fiber->side, &fiber->pool->outside);
    fiber->body(fiber->argument);
    fiber->state = FIBER_ENDED;
    leave(fiber, true);
    abort(); /* nobody resumes what has ended: fiber_resume asserts it */
}

/* Runs the fiber until it suspends or ends. */
static void enter(struct fiber_pool *pool, struct fiber *fiber)
{
    pool->current = fiber;
    fiber->state = FIBER_RUNNING;
    hook_entering_from_outside(&pool->outside);
    hook_before(&pool->outside, &fiber->side, false);
    fiber_context_switch(&pool->outside.context, &fiber->side.context);
    hook_after(&pool->outside, NULL);
    pool->current = NULL;
    if (fiber->state != FIBER_ENDED) return;
    hook_destroyed(&fiber->side);
    pool->alive_count--;
    put_fiber(pool, fiber);
}

int fiber_start(struct fiber_pool *pool, void (*body)(void *argument), void *argument)
{
    struct fiber *fiber;
    int rc;
    assert(body);
    if (pool->current) return -EDEADLK;
    if (pool->alive_count == pool->fiber_max) return -EAGAIN;
    rc = take_fiber(pool, &fiber);
    if (rc < 0) return rc;
    fiber->body = body;
    fiber->argument = argument;
    hook_stack_reused(&fiber->side);
    fiber->side.asan_fake_stack = NULL;
    hook_created(&fiber->side);
    fiber_context_prepare(&fiber->side.context, (char *)fiber->mapping + pool->page_bytes,
                          pool->stack_bytes, run_body, fiber);
    pool->alive_count++;
    enter(pool, fiber);
    return 0;
}

struct fiber *fiber_current(const struct fiber_pool *pool)
{
    return pool->current;
}

void fiber_suspend(struct fiber_pool *pool)
{
    struct fiber *fiber = pool->current;
    assert(fiber);
    fiber->state = FIBER_SUSPENDED;
    leave(fiber, false);
}

void fiber_resume(struct fiber_pool *pool, struct fiber *fiber)
{
    assert(!pool->current);
    assert(fiber->pool == pool && fiber->state == FIBER_SUSPENDED);
    enter(pool, fiber);
}

unsigned fiber_alive(const struct fiber_pool *pool)
{
    return pool->alive_count;
}

size_t fiber_memory_bytes(const struct fiber_pool *pool)
{
    return (pool->mapped_count - pool->free_cold_count) * pool->stack_bytes;
}
