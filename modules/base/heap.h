/* heap.h - a queue by number: the item with the smallest key is at its head.
 *
 * Items know their place: each holds a uint32_t that the heap writes, so that any item can be
 * removed or given another key in O(log n) without searching. Items with equal keys come out in no
 * particular order. Memory comes in segments, so that no call copies or frees much at once however
 * many items there are. One thread at a time. */
#ifndef MODULES_BASE_HEAP_H
#define MODULES_BASE_HEAP_H
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NOT_THERE       UINT32_MAX /* what the index of an item is that is in no heap */
#define HEAP_SEGMENT_ENTRIES 256u

struct heap_entry {
    int64_t key;
    void *item;
};

struct heap {
    struct heap_entry **segments; /* each of HEAP_SEGMENT_ENTRIES */
    uint32_t segment_count, segment_capacity;
    uint32_t count; /* <= segment_count * HEAP_SEGMENT_ENTRIES */
    uint32_t index_offset;
};

/* index_offset: where in an item its uint32_t lies. Needs no memory. */
void heap_init(struct heap *heap, size_t index_offset);
/* Frees the heap's memory; items that are still in it are not touched. */
void heap_finish(struct heap *heap);

/* Makes sure that the next item_count additions cannot fail, as long as nothing is removed before.
 * -ENOMEM. */
int heap_reserve(struct heap *heap, uint32_t item_count);
/* The item must be in no heap. -ENOMEM: it still is in none. */
int heap_add(struct heap *heap, void *item, int64_t key);
/* The item must be in this heap, here and below. */
void heap_remove(struct heap *heap, void *item);
void heap_change(struct heap *heap, void *item, int64_t key);

static inline struct heap_entry *heap_entry_at(const struct heap *heap, uint32_t index)
{
    return &heap->segments[index / HEAP_SEGMENT_ENTRIES][index % HEAP_SEGMENT_ENTRIES];
}

static inline uint32_t heap_index(const struct heap *heap, const void *item)
{
    return *(const uint32_t *)(const void *)((const char *)item + heap->index_offset);
}

static inline int64_t heap_key(const struct heap *heap, const void *item)
{
    uint32_t index = heap_index(heap, item);
    assert(index < heap->count);
    return heap_entry_at(heap, index)->key;
}

/* The item with the smallest key, or NULL when there is none. */
static inline void *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->segments[0][0].item;
}

/* Of the first item; the heap must not be empty. */
static inline int64_t heap_first_key(const struct heap *heap)
{
    assert(heap->count > 0);
    return heap->segments[0][0].key;
}

size_t heap_memory_bytes(const struct heap *heap);
/* Asserts the order and every item's index; for tests. O(n). */
void heap_check(const struct heap *heap);
#endif
