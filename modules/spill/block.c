#include "modules/spill/block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/node_image.h"
#include "modules/spill/store_internal.h"

static struct block *create(struct spill_store *store, uint64_t list, unsigned height)
{
    struct block *block = store_allocate_zeroed(store, sizeof(*block));

    if (!block) return NULL;
    block->ref_count = 1;
    block->state = BLOCK_DIRTY;
    block->height = (uint8_t)height;
    block->list = list;
    block->epoch = store_acting_epoch(store);
    list_init(&block->link);
    store_charge(store, alloc_size(sizeof(*block)));
    store->index_bytes += alloc_size(sizeof(*block));
    store->block_count++;
    return block;
}

static void destroy(struct spill_store *store, struct block *block)
{
    assert(list_is_empty(&block->link) && !block->bytes && block->pin_count == 0);
    store_discharge(store, alloc_size(sizeof(*block)));
    store->index_bytes -= alloc_size(sizeof(*block));
    store->block_count--;
    free(block);
}

uint64_t block_loaded_bytes(const struct block *block)
{
    if (!block->bytes) return 0;
    return alloc_size(block->height == 0 ? block->capacity : block->capacity * sizeof(struct slot));
}

/* Counts contents that appear (sign 1) or go away (-1). */
static void count_loaded(struct spill_store *store, const struct block *block, bool appears)
{
    uint64_t bytes = block_loaded_bytes(block);
    uint64_t change = appears ? bytes : 0 - bytes;

    store->memory_bytes += change;
    if (block->is_random) store->random_bytes += change;
    if (block->height > 0) {
        store->index_bytes += change;
        store->slot_bytes += change;
    } else {
        store->chunks_loaded += appears ? 1 : 0 - (uint64_t)1;
    }
}

void block_adopt_bytes(struct spill_store *store, struct block *block, void *bytes,
                       uint32_t capacity)
{
    assert(!block->bytes);
    block->bytes = bytes;
    block->capacity = capacity;
    count_loaded(store, block, true);
}

uint32_t chunk_capacity(const struct spill_store *store, uint32_t wanted)
{
    size_t bytes = alloc_size(wanted);

    if (bytes <= store->chunk_bytes) return (uint32_t)bytes;
    return wanted > store->chunk_bytes ? wanted : store->chunk_bytes;
}

/* Whole chunks come and go with each one that is filled, drained, written or read: a few are kept,
 * so that neither the allocator nor the kernel, which clears each page, is asked every time. */
static bool is_whole(const struct spill_store *store, uint32_t capacity)
{
    return alloc_size(capacity) == alloc_size(store->chunk_bytes);
}

static bool is_in_arena(const struct spill_store *store, uint32_t capacity)
{
    return is_whole(store, capacity) && alloc_size(capacity) >= WHOLE_PAGES_FROM_BYTES;
}

void *chunk_bytes_get(struct spill_store *store, uint32_t capacity)
{
    size_t bytes = alloc_size(capacity);

    if (is_whole(store, capacity) && store->spare_count > 0) {
        return store->spares[--store->spare_count];
    }
    if (!is_in_arena(store, capacity)) return store_allocate(store, bytes);
    return store_may_allocate(store) ? page_arena_allocate(&store->whole_chunks, bytes) : NULL;
}

void chunk_bytes_put(struct spill_store *store, void *bytes, uint32_t capacity)
{
    if (bytes && is_whole(store, capacity) && store->spare_count < SPARE_CHUNKS_MAX)
        store->spares[store->spare_count++] = bytes;
    else if (is_in_arena(store, capacity))
        page_arena_free(&store->whole_chunks, bytes);
    else
        free(bytes);
}

void chunk_bytes_free_spares(struct spill_store *store)
{
    while (store->spare_count > 0) {
        void *bytes = store->spares[--store->spare_count];
        if (is_in_arena(store, store->chunk_bytes))
            page_arena_free(&store->whole_chunks, bytes);
        else
            free(bytes);
    }
}

/* Frees the contents, if there are any. */
static void drop_bytes(struct spill_store *store, struct block *block)
{
    if (!block->bytes) return;
    count_loaded(store, block, false);
    if (block->height == 0)
        chunk_bytes_put(store, block->bytes, block->capacity);
    else
        free(block->slots);
    block->bytes = NULL;
    block->capacity = 0;
}

struct block *block_create_around(struct spill_store *store, uint64_t list, uint8_t *bytes,
                                  uint32_t capacity)
{
    struct block *block = create(store, list, 0);

    if (!block) return NULL;
    block->chunk_count = 1;
    store->chunk_count++;
    block_adopt_bytes(store, block, bytes, capacity);
    return block;
}

struct block *block_create_chunk(struct spill_store *store, uint64_t list, uint32_t capacity)
{
    struct block *block;
    uint8_t *bytes;

    capacity = chunk_capacity(store, capacity);
    bytes = chunk_bytes_get(store, capacity);
    if (!bytes) return NULL;
    block = block_create_around(store, list, bytes, capacity);
    if (!block) chunk_bytes_put(store, bytes, capacity);
    return block;
}

struct block *block_create_node(struct spill_store *store, uint64_t list, unsigned height,
                                unsigned capacity)
{
    struct block *block;
    struct slot *slots;

    assert(height > 0 && height <= TREE_HEIGHT_MAX && capacity <= NODE_CHILDREN_MAX);
    slots = store_allocate(store, capacity * sizeof(*slots));
    if (!slots) return NULL;
    block = create(store, list, height);
    if (!block) {
        free(slots);
        return NULL;
    }
    block_adopt_bytes(store, block, slots, capacity);
    return block;
}

struct block *block_create_on_disk(struct spill_store *store, uint64_t list, unsigned height,
                                   const struct spill_ref *ref)
{
    struct block *block = create(store, list, height);

    if (!block) return NULL;
    block->state = BLOCK_ON_DISK;
    block->ref = *ref;
    return block;
}

void block_set_prefetched(struct spill_store *store, struct block *block, bool is_prefetched)
{
    if (block->is_prefetched == is_prefetched) return;
    assert(block->ref.generation != 0);
    block->is_prefetched = is_prefetched;
    store->ahead_bytes +=
        is_prefetched ? block->ref.size_bytes : 0 - (uint64_t)block->ref.size_bytes;
}

static void free_extent(struct spill_store *store, struct block *block)
{
    if (block->ref.generation == 0) return;
    block_set_prefetched(store, block, false);
    /* What the running checkpoint has not seen yet changes before it does. */
    if (store->acts_before && block->epoch < store->epoch)
        spill_file_unkeep(store->file, &block->ref);
    spill_file_free(store->file, &block->ref);
    block->ref = (struct spill_ref){ 0 };
    store->freed_extents++;
}

static void discard_chunk(struct spill_store *store, struct block *block)
{
    block_unlink(store, block);
    free_extent(store, block);
    drop_bytes(store, block);
    store->chunk_count--;
    destroy(store, block);
}

void block_unref(struct spill_store *store, struct block *block)
{
    if (!block) return;
    assert(block->ref_count > block->pin_count);
    if (--block->ref_count > 0) {
        /* What only a snapshot or a transfer still holds must stay within reach of the eviction. */
        if (block->bytes && list_is_empty(&block->link)) block_link_random(store, block);
        return;
    }
    if (block->height == 0) {
        discard_chunk(store, block);
        return;
    }
    block_unlink(store, block);
    if (!block->is_garbage) block->epoch = store_acting_epoch(store);
    /* Of a loaded one the image is not needed to find its children. */
    if (block_is_loaded(block) && !block->is_garbage) free_extent(store, block);
    block->is_discarded = 1;
    if (block_is_loaded(block))
        list_push_front(&store->dead, &block->link);
    else
        list_push_back(&store->dead, &block->link);
    store->dead_count++;
}

void block_pin(struct block *block)
{
    block->ref_count++;
    block->pin_count++;
}

void block_unpin(struct spill_store *store, struct block *block)
{
    assert(block->pin_count > 0);
    block->pin_count--;
    block_unref(store, block);
}

void block_dirty(struct spill_store *store, struct block *block)
{
    assert(block->bytes && block_is_exclusive(block));
    assert(block->state == BLOCK_DIRTY || block->state == BLOCK_CLEAN);
    free_extent(store, block);
    block->state = BLOCK_DIRTY;
    block->epoch = store_acting_epoch(store);
}

static struct block *copy_node(struct spill_store *store, const struct block *node)
{
    struct block *copy = block_create_node(store, node->list, node->height, node->capacity);

    if (!copy) return NULL;
    memcpy(copy->slots, node->slots, node->end * sizeof(*node->slots));
    for (uint32_t i = 0; i < node->end; i++)
        block_ref(copy->slots[i].block);
    copy->end = node->end;
    copy->element_count = node->element_count;
    copy->element_bytes = node->element_bytes;
    copy->chunk_count = node->chunk_count;
    return copy;
}

static struct block *copy_chunk(struct spill_store *store, const struct block *chunk)
{
    struct block *copy = block_create_chunk(store, chunk->list, chunk->capacity);

    if (!copy) return NULL;
    memcpy(copy->bytes + chunk->begin, chunk->bytes + chunk->begin, chunk_used(chunk));
    copy->begin = chunk->begin;
    copy->end = chunk->end;
    copy->element_count = chunk->element_count;
    copy->element_bytes = chunk->element_bytes;
    return copy;
}

/* The deque, which the running checkpoint has not seen yet, goes on with a copy: what is left is
 * others' (snapshots', a transfer's) and none of the picture's. */
static void leave_picture(struct spill_store *store, struct block *block)
{
    if (!store->acts_before || block->epoch >= store->epoch) return;
    if (block->ref.generation != 0) spill_file_unkeep(store->file, &block->ref);
    block->epoch = store->epoch;
}

void block_replaced(struct spill_store *store, struct block *block)
{
    if (block->ref_count > 1) leave_picture(store, block);
    block_unref(store, block);
}

int block_make_writable(struct spill_store *store, struct block **place)
{
    struct block *block = *place, *copy;

    assert(block->bytes);
    if (block_is_exclusive(block)) {
        block_dirty(store, block);
        return 0;
    }
    copy = block->height > 0 ? copy_node(store, block) : copy_chunk(store, block);
    if (!copy) return -ENOMEM;
    copy->is_touched = 1;
    /* The copy takes the place in the ring too, the original is needed less from now on. */
    if (!list_is_empty(&block->link) && !block->is_random) {
        list_push_front(&block->link, &copy->link);
    } else if (block->height > 0 || !list_is_empty(&block->link)) {
        block_link_random(store, copy);
    }
    *place = copy;
    block_replaced(store, block);
    return 0;
}

int chunk_relocate(struct spill_store *store, struct block *chunk, uint32_t capacity,
                   uint32_t new_begin)
{
    uint32_t used = chunk_used(chunk);
    uint8_t *bytes;

    assert(chunk->state == BLOCK_DIRTY && new_begin + used <= capacity);
    if (capacity == chunk->capacity) {
        memmove(chunk->bytes + new_begin, chunk->bytes + chunk->begin, used);
    } else {
        bytes = chunk_bytes_get(store, capacity);
        if (!bytes) return -ENOMEM;
        memcpy(bytes + new_begin, chunk->bytes + chunk->begin, used);
        drop_bytes(store, chunk);
        block_adopt_bytes(store, chunk, bytes, capacity);
    }
    chunk->begin = new_begin;
    chunk->end = new_begin + used;
    return 0;
}

int node_reserve(struct spill_store *store, struct block *node, unsigned child_count)
{
    unsigned capacity = node->capacity;
    struct slot *slots;

    assert(child_count <= NODE_CHILDREN_MAX);
    if (child_count <= capacity) return 0;
    while (capacity < child_count)
        capacity = capacity < 4 ? 4 : 2 * capacity;
    if (capacity > NODE_CHILDREN_MAX) capacity = NODE_CHILDREN_MAX;
    slots = store_allocate(store, capacity * sizeof(*slots));
    if (!slots) return -ENOMEM;
    memcpy(slots, node->slots, node->end * sizeof(*slots));
    drop_bytes(store, node);
    block_adopt_bytes(store, node, slots, capacity);
    return 0;
}

void node_insert_child(struct block *node, unsigned at, struct block *child)
{
    assert(node->end < node->capacity && at <= node->end);
    assert(node->height == child->height + 1 && child->element_count > 0);
    memmove(&node->slots[at + 1], &node->slots[at], (node->end - at) * sizeof(*node->slots));
    node->slots[at] = (struct slot){ child, child->element_count };
    node->end++;
    node->element_count += child->element_count;
    node->element_bytes += child->element_bytes;
    node->chunk_count += child->chunk_count;
}

struct block *node_remove_child(struct block *node, unsigned at)
{
    struct block *child = node->slots[at].block;

    assert(at < node->end);
    node->end--;
    memmove(&node->slots[at], &node->slots[at + 1], (node->end - at) * sizeof(*node->slots));
    node->element_count -= child->element_count;
    node->element_bytes -= child->element_bytes;
    node->chunk_count -= child->chunk_count;
    return child;
}

void node_discard_shell(struct spill_store *store, struct block *node)
{
    assert(node->height > 0);
    block_unlink(store, node);
    free_extent(store, node);
    drop_bytes(store, node);
    destroy(store, node);
}

void block_forget(struct spill_store *store, struct block *block)
{
    assert(block->ref_count == 1 && block->state == BLOCK_ON_DISK);
    destroy(store, block);
}

void block_unload(struct spill_store *store, struct block *block)
{
    assert(block->state == BLOCK_CLEAN && block->ref.generation != 0 && block->pin_count == 0);
    block_unlink(store, block);
    block_set_prefetched(store, block, false);
    if (block->height > 0) {
        for (uint32_t i = 0; i < block->end; i++) {
            struct block *child = block->slots[i].block;
            assert(child->ref_count == 1 && child->state == BLOCK_ON_DISK);
            block_forget(store, child);
        }
    }
    drop_bytes(store, block);
    block->begin = block->end = 0;
    block->state = BLOCK_ON_DISK;
}

void block_link_random(struct spill_store *store, struct block *block)
{
    block_unlink(store, block);
    list_push_front(&store->random, &block->link);
    block->is_random = 1;
    store->random_bytes += block_loaded_bytes(block);
}

void block_unlink(struct spill_store *store, struct block *block)
{
    if (block->is_discarded) {
        block->is_discarded = 0;
        store->dead_count--;
    }
    if (block->is_random) {
        block->is_random = 0;
        store->random_bytes -= block_loaded_bytes(block);
    }
    list_remove(&block->link);
}
