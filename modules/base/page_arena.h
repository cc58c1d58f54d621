/* page_arena.h - room for many blocks of one size, each of whole pages.
 *
 * jemalloc takes a page more than asked for with every block of 16 KiB and above (so that it could
 * begin anywhere in one; the option that turns this off is not heeded in 5.3.0). The page is not
 * touched, so it costs nothing, until a block takes the place of something else. Blocks of one size
 * in an arena of their own only take each other's place. Without jemalloc it is aligned_alloc.
 *
 * One thread at a time an arena. */
#ifndef MODULES_BASE_PAGE_ARENA_H
#define MODULES_BASE_PAGE_ARENA_H
#include <stdbool.h>
#include <stddef.h>

enum { PAGE_ARENA_PAGE_BYTES = 4096 };

struct page_arena {
    unsigned number; /* jemalloc's */
    bool is_own;     /* false: it is served by the general allocator */
};

/* Never fails: when no arena is to be had the general allocator serves. */
void page_arena_init(struct page_arena *arena);
/* All blocks must have been freed. */
void page_arena_finish(struct page_arena *arena);

/* size_bytes: a multiple of the page's, always the same. NULL: out of memory. */
void *page_arena_allocate(struct page_arena *arena, size_t size_bytes);
/* A block of this arena, or NULL. */
void page_arena_free(struct page_arena *arena, void *block);
#endif
