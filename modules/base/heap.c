/* Four children a node: half the depth of a binary heap, and the children lie in one cache line. */
#include "modules/base/heap.h"

#include "modules/base/alloc_size.h"

#include <errno.h>
#include <stdlib.h>

enum { CHILDREN = 4 };

void heap_init(struct heap *heap, size_t index_offset)
{
    assert(index_offset <= UINT32_MAX);
    *heap = (struct heap){ .index_offset = (uint32_t)index_offset };
}

void heap_finish(struct heap *heap)
{
    for (uint32_t i = 0; i < heap->segment_count; i++)
        free(heap->segments[i]);
    free(heap->segments);
    heap_init(heap, heap->index_offset);
}

static int add_segment(struct heap *heap)
{
    struct heap_entry *segment;
    if (heap->segment_count == heap->segment_capacity) {
        uint32_t capacity = heap->segment_capacity ? heap->segment_capacity * 2 : 4;
        struct heap_entry **segments =
            realloc(heap->segments, capacity * sizeof(struct heap_entry *));
        if (!segments) return -ENOMEM;
        heap->segments = segments;
        heap->segment_capacity = capacity;
    }
    segment = malloc(HEAP_SEGMENT_ENTRIES * sizeof(*segment));
    if (!segment) return -ENOMEM;
    heap->segments[heap->segment_count++] = segment;
    return 0;
}

int heap_reserve(struct heap *heap, uint32_t item_count)
{
    uint64_t needed = (uint64_t)heap->count + item_count;
    if (needed >= HEAP_NOT_THERE) return -ENOMEM;
    while ((uint64_t)heap->segment_count * HEAP_SEGMENT_ENTRIES < needed) {
        int rc = add_segment(heap);
        if (rc < 0) return rc;
    }
    return 0;
}

static void put(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    *heap_entry_at(heap, index) = entry;
    *(uint32_t *)(void *)((char *)entry.item + heap->index_offset) = index;
}

/* Moves a hole at index towards the root until entry fits into it. */
static void rise(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / CHILDREN;
        struct heap_entry above = *heap_entry_at(heap, parent);
        if (above.key <= entry.key) break;
        put(heap, index, above);
        index = parent;
    }
    put(heap, index, entry);
}

/* Moves a hole at index towards the leaves until entry fits into it. */
static void sink(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    for (;;) {
        uint64_t child = (uint64_t)index * CHILDREN + 1;
        uint64_t end = child + CHILDREN < heap->count ? child + CHILDREN : heap->count;
        uint32_t least = index;
        int64_t least_key = entry.key;
        for (; child < end; child++) {
            int64_t key = heap_entry_at(heap, (uint32_t)child)->key;
            if (key >= least_key) continue;
            least = (uint32_t)child;
            least_key = key;
        }
        if (least == index) break;
        put(heap, index, *heap_entry_at(heap, least));
        index = least;
    }
    put(heap, index, entry);
}

/* Entry goes to the hole at index or wherever its key belongs. */
static void settle(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    if (index > 0 && heap_entry_at(heap, (index - 1) / CHILDREN)->key > entry.key)
        rise(heap, index, entry);
    else
        sink(heap, index, entry);
}

int heap_add(struct heap *heap, void *item, int64_t key)
{
    int rc = heap_reserve(heap, 1);
    if (rc < 0) return rc;
    assert(heap_index(heap, item) == HEAP_NOT_THERE);
    heap->count++;
    rise(heap, heap->count - 1, (struct heap_entry){ key, item });
    return 0;
}

void heap_remove(struct heap *heap, void *item)
{
    uint32_t index = heap_index(heap, item);
    struct heap_entry last;
    assert(index < heap->count && heap_entry_at(heap, index)->item == item);
    last = *heap_entry_at(heap, --heap->count);
    if (last.item != item) settle(heap, index, last);
    *(uint32_t *)(void *)((char *)item + heap->index_offset) = HEAP_NOT_THERE;
    /* One empty segment stays, so that a heap that swings about a border does not allocate. */
    if ((uint64_t)heap->segment_count * HEAP_SEGMENT_ENTRIES - heap->count >
        2 * HEAP_SEGMENT_ENTRIES)
        free(heap->segments[--heap->segment_count]);
}

void heap_change(struct heap *heap, void *item, int64_t key)
{
    uint32_t index = heap_index(heap, item);
    assert(index < heap->count && heap_entry_at(heap, index)->item == item);
    settle(heap, index, (struct heap_entry){ key, item });
}

size_t heap_memory_bytes(const struct heap *heap)
{
    size_t segment_bytes = alloc_size(HEAP_SEGMENT_ENTRIES * sizeof(struct heap_entry));
    if (heap->segment_capacity == 0) return 0;
    return heap->segment_count * segment_bytes +
           alloc_size(heap->segment_capacity * sizeof(struct heap_entry *));
}

void heap_check(const struct heap *heap)
{
    assert(heap->count <= (uint64_t)heap->segment_count * HEAP_SEGMENT_ENTRIES);
    assert(heap->segment_count <= heap->segment_capacity);
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct heap_entry *entry = heap_entry_at(heap, i);
        assert(heap_index(heap, entry->item) == i);
        assert(i == 0 || heap_entry_at(heap, (i - 1) / CHILDREN)->key <= entry->key);
    }
}
