#include "modules/base/page_arena.h"

#include <assert.h>
#include <jemalloc/jemalloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Weak: programs that are linked without jemalloc see NULL. */
#pragma weak mallctl
#pragma weak mallocx
#pragma weak dallocx

/* Past the thread's cache too, from which anybody's block of that size could be served. */
static int flags_of(const struct page_arena *arena)
{
    return MALLOCX_ARENA(arena->number) | MALLOCX_TCACHE_NONE |
           MALLOCX_ALIGN(PAGE_ARENA_PAGE_BYTES);
}

/* Free blocks that lie side by side make long runs, and jemalloc gives a run of 8 MiB back to the
 * kernel at once, in the thread that freed the last of them: milliseconds. It can wait for the
 * allocator's own threads, like shorter ones. Where that cannot be said it stays as it is. */
static void leave_long_runs(const struct page_arena *arena)
{
    size_t never_bytes = SIZE_MAX;
    char name[40];

    (void)snprintf(name, sizeof(name), "arena.%u.oversize_threshold", arena->number);
    (void)mallctl(name, NULL, NULL, &never_bytes, sizeof(never_bytes));
}

void page_arena_init(struct page_arena *arena)
{
    size_t size = sizeof(arena->number);

    *arena = (struct page_arena){ 0 };
    if (!mallctl || !mallocx || !dallocx) return;
    arena->is_own = mallctl("arenas.create", &arena->number, &size, NULL, 0) == 0;
    if (arena->is_own) leave_long_runs(arena);
}

void page_arena_finish(struct page_arena *arena)
{
    char name[40];

    if (!arena->is_own) return;
    (void)snprintf(name, sizeof(name), "arena.%u.destroy", arena->number);
    (void)mallctl(name, NULL, NULL, NULL, 0); /* an arena that stays is empty */
    arena->is_own = false;
}

void *page_arena_allocate(struct page_arena *arena, size_t size_bytes)
{
    assert(size_bytes > 0 && size_bytes % PAGE_ARENA_PAGE_BYTES == 0);
    if (arena->is_own) return mallocx(size_bytes, flags_of(arena));
    return aligned_alloc(PAGE_ARENA_PAGE_BYTES, size_bytes);
}

void page_arena_free(struct page_arena *arena, void *block)
{
    if (!block) return;
    if (arena->is_own)
        dallocx(block, MALLOCX_TCACHE_NONE);
    else
        free(block);
}
