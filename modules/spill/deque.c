/* Pushing, peeking and dropping at the ends. The common case needs the deque, the end chunk's
 * descriptor and its bytes; all else goes to the shape of the deque (deque_shape.c). */
#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/chunk.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/store_internal.h"

int deque_create(struct spill_store *store, struct deque **out_deque)
{
    struct deque *deque = store_allocate_zeroed(store, sizeof(*deque));

    if (!deque) return -ENOMEM;
    deque->store = store;
    deque->list = ++store->next_list;
    deque->epoch = store->epoch;
    store->grown_count++;
    deque->popped_end = SPILL_NO_END;
    deque->pushed_end = SPILL_NO_END;
    list_init(&deque->resident);
    list_init(&deque->link);
    store_charge(store, alloc_size(sizeof(*deque)));
    store->index_bytes += alloc_size(sizeof(*deque));
    *out_deque = deque;
    return 0;
}

void deque_begin_with(struct deque *deque, struct block *chunk)
{
    deque->ends[SPILL_HEAD] = deque->ends[SPILL_TAIL] = chunk;
    deque->element_count = chunk->element_count;
    deque->element_bytes = chunk->element_bytes;
    deque_enter_ring(deque);
}

void deque_destroy(struct deque *deque)
{
    struct spill_store *store;

    if (!deque) return;
    store = deque->store;
    assert(deque->busy_count == 0);
    deque_unpin(deque);
    prefetch_forget(deque);
    list_remove(&deque->link);
    /* What a snapshot keeps alive must stay within the reach of the eviction. */
    list_append_all(&store->orphans, &deque->resident);
    deque_drop_parts(deque);
    store->element_count -= deque->element_count;
    store->grown_count--;
    store_discharge(store, alloc_size(sizeof(*deque)));
    store->index_bytes -= alloc_size(sizeof(*deque));
    free(deque);
}

/* The chunk has room for `bytes` more at that end; it must be exclusive and dirty. */
static void put(struct deque *deque, struct block *chunk, enum spill_end end, struct slice item,
                uint32_t bytes)
{
    if (end == SPILL_TAIL) {
        chunk_encode(chunk->bytes + chunk->end, item);
        chunk->end += bytes;
    } else {
        chunk->begin -= bytes;
        chunk_encode(chunk->bytes + chunk->begin, item);
    }
    chunk->element_count++;
    chunk->element_bytes += item.size;
    deque->element_count++;
    deque->element_bytes += item.size;
    deque->store->element_count++;
}

static uint32_t room_at(const struct block *chunk, enum spill_end end)
{
    return end == SPILL_TAIL ? chunk->capacity - chunk->end : chunk->begin;
}

/* Where elements begin in an allocation of capacity bytes, so that `end` can grow: a quarter of the
 * room stays on the other side if that was used before, so that pushing at both ends in turn does
 * not move the chunk each time. */
static uint32_t begin_for(const struct block *chunk, enum spill_end end, uint32_t capacity)
{
    uint32_t room = capacity - chunk_used(chunk);
    uint32_t other = room_at(chunk, other_end(end)) > 0 ? room / 4 : 0;

    return end == SPILL_TAIL ? other : room - other;
}

/* Makes room for `bytes` at an end of an exclusive, dirty chunk. 1; 0: the chunk is full. */
static int make_room(struct deque *deque, struct block *chunk, enum spill_end end, uint32_t bytes)
{
    struct spill_store *store = deque->store;
    uint64_t wanted = (uint64_t)chunk_used(chunk) + bytes;
    uint32_t capacity, used = chunk_used(chunk);
    int rc;

    if (room_at(chunk, end) >= bytes) return 1;
    if (wanted > store->chunk_bytes) return 0;
    /* Moving pays when at least a quarter of the chunk is gained, and as often as that. */
    if (wanted <= chunk->capacity && chunk->capacity - used >= chunk->capacity / 4) {
        uint32_t begin = begin_for(chunk, end, chunk->capacity);
        uint32_t room = end == SPILL_TAIL ? chunk->capacity - begin - used : begin;
        if (room < bytes) begin = end == SPILL_TAIL ? 0 : chunk->capacity - used;
        return chunk_relocate(store, chunk, chunk->capacity, begin) < 0 ? -ENOMEM : 1;
    }
    if (chunk->capacity >= store->chunk_bytes) {
        if (wanted > chunk->capacity) return 0;
        return chunk_relocate(store, chunk, chunk->capacity,
                              end == SPILL_TAIL ? 0 : chunk->capacity - used) < 0
                   ? -ENOMEM
                   : 1;
    }
    capacity = chunk_capacity(store, (uint32_t)(wanted + wanted / 2));
    if (capacity < 64) capacity = 64;
    if (capacity > store->chunk_bytes) capacity = store->chunk_bytes;
    uint32_t begin = begin_for(chunk, end, capacity);
    if ((end == SPILL_TAIL ? capacity - begin - used : begin) < bytes) {
        begin = end == SPILL_TAIL ? 0 : capacity - used;
    }
    rc = chunk_relocate(store, chunk, capacity, begin);
    return rc < 0 ? rc : 1;
}

/* A new, empty end chunk with room for `bytes`. A long list gets a whole one at once. */
static int start_chunk(struct deque *deque, enum spill_end end, uint32_t bytes)
{
    struct spill_store *store = deque->store;
    bool is_long = deque->element_bytes >= 4 * (uint64_t)store->chunk_bytes;
    uint32_t capacity = is_long ? store->chunk_bytes : 64;
    bool is_first = !deque->ends[SPILL_HEAD] && !deque->ends[SPILL_TAIL] && !deque_has_tree(deque);
    struct block *chunk;

    if (capacity < bytes) capacity = bytes;
    chunk = block_create_chunk(store, deque->list, capacity);
    if (!chunk) return -ENOMEM;
    chunk->begin = chunk->end = end == SPILL_HEAD ? chunk->capacity : 0;
    deque->ends[end] = chunk;
    if (is_first) deque->ends[other_end(end)] = chunk;
    deque_enter_ring(deque);
    store_update_pressure(store);
    return 0;
}

/* Whether more can be put into the end chunk, made writable if need be. 1, 0: retire it. */
static int use_end_chunk(struct deque *deque, enum spill_end end, uint32_t bytes)
{
    struct block *chunk = deque->ends[end];

    if (!block_is_loaded(chunk)) return 0;
    if ((uint64_t)chunk_used(chunk) + bytes > deque->store->chunk_bytes) return 0;
    /* One that a snapshot or a write shares is copied only while that is cheap. */
    if (!block_is_exclusive(chunk) && chunk_used(chunk) > deque->store->chunk_bytes / 2) return 0;
    if (!block_is_exclusive(chunk) || chunk->state != BLOCK_DIRTY) {
        int rc = deque_make_end_writable(deque, end);
        if (rc < 0) return rc;
    }
    return make_room(deque, deque->ends[end], end, bytes);
}

static int push_one(struct deque *deque, enum spill_end end, struct slice item)
{
    uint32_t bytes = chunk_encoded_bytes(item.size);
    int rc = deque->ends[end] ? use_end_chunk(deque, end, bytes) : 0;

    if (rc == 0) {
        if (deque->ends[end]) rc = deque_retire_end(deque, end);
        if (rc == 0) rc = start_chunk(deque, end, bytes);
    }
    if (rc < 0) {
        deque_settle(deque);
        return rc;
    }
    put(deque, deque->ends[end], end, item, bytes);
    return 0;
}

/* True when item lies in the end chunk, whose bytes may move while it is pushed. */
static bool lies_within(const struct deque *deque, enum spill_end end, struct slice item)
{
    const struct block *chunk = deque->ends[end];

    return chunk && chunk->bytes && item.bytes >= chunk->bytes &&
           item.bytes < chunk->bytes + chunk->capacity;
}

static int push_slowly(struct deque *deque, enum spill_end end, struct slice item)
{
    uint8_t *copy;
    int rc;

    if (item.size == 0 || !lies_within(deque, end, item)) return push_one(deque, end, item);
    copy = store_allocate(deque->store, item.size);
    if (!copy) return -ENOMEM;
    memcpy(copy, item.bytes, item.size);
    rc = push_one(deque, end, slice_of(copy, item.size));
    free(copy);
    return rc;
}

/* Takes back what an unfinished push has added: it is all in memory, in exclusive chunks. */
static void take_back(struct deque *deque, enum spill_end end, uint64_t count)
{
    struct slice item;

    for (; count > 0; count--) {
        int rc = deque_peek(deque, end, &item);
        assert(rc == 1);
        deque_drop_peeked(deque, end);
    }
}

int deque_may_push(const struct spill_store *store, const struct slice *items, size_t item_count)
{
    for (size_t i = 0; i < item_count; i++) {
        if (items[i].size > store->element_bytes_max && !store->uses_reserve) return -EMSGSIZE;
    }
    return item_count > 0 && store->is_full && !store->uses_reserve ? -ENOSPC : 0;
}

static int push_many(struct deque *deque, enum spill_end end, const struct slice *items,
                     size_t item_count)
{
    size_t pushed = 0;
    int rc = deque_may_push(deque->store, items, item_count);

    if (rc < 0) return rc;
    deque->pushed_end = (uint8_t)end;
    for (; pushed < item_count && rc == 0; pushed++)
        rc = push_slowly(deque, end, items[pushed]);
    if (rc < 0) take_back(deque, end, pushed - 1);
    return rc;
}

int deque_push(struct deque *deque, enum spill_end end, const struct slice *items,
               size_t item_count)
{
    struct spill_store *store = deque->store;
    struct block *chunk = deque->ends[end];

    deque->is_touched = true;
    if (item_count == 1 && chunk && chunk->ref_count == 1 && chunk->state == BLOCK_DIRTY &&
        items->size <= store->element_bytes_max && !store->is_full) {
        uint32_t bytes = chunk_encoded_bytes(items->size);
        if (room_at(chunk, end) >= bytes) {
            deque->pushed_end = (uint8_t)end;
            put(deque, chunk, end, *items, bytes);
            return 0;
        }
    }
    return push_many(deque, end, items, item_count);
}

static void view_end(const struct block *chunk, enum spill_end end, struct slice *out_item)
{
    if (end == SPILL_HEAD)
        (void)chunk_first(chunk->bytes + chunk->begin, out_item);
    else
        (void)chunk_last(chunk->bytes + chunk->end, out_item);
}

int deque_peek(struct deque *deque, enum spill_end end, struct slice *out_item)
{
    struct block *chunk = deque->ends[end];
    struct op op;
    int rc;

    deque->is_touched = true;
    if (chunk && chunk->ref_count == 1 && chunk->state <= BLOCK_CLEAN && chunk->element_count > 0) {
        view_end(chunk, end, out_item);
        return 1;
    }
    if (deque->element_count == 0) return 0;
    op_begin(&op, deque->store);
    deque->busy_count++;
    do
        rc = deque_prepare_end(deque, end, &op.visit);
    while (rc == -EAGAIN && (rc = op_load(&op, 0)) == 0);
    deque->busy_count--;
    if (rc == 1) view_end(deque->ends[end], end, out_item);
    return op_finish(&op, rc);
}

/* The outermost element of an exclusive, loaded end chunk goes. */
static void drop_one(struct deque *deque, struct block *chunk, enum spill_end end)
{
    struct slice item;

    if (chunk->state != BLOCK_DIRTY) {
        block_dirty(deque->store, chunk);
        block_unlink(deque->store, chunk); /* a snapshot may have left it in a ring */
    }
    if (end == SPILL_HEAD)
        chunk->begin += chunk_first(chunk->bytes + chunk->begin, &item);
    else
        chunk->end -= chunk_last(chunk->bytes + chunk->end, &item);
    chunk->element_count--;
    chunk->element_bytes -= item.size;
    deque->element_count--;
    deque->element_bytes -= item.size;
    deque->store->element_count--;
}

void deque_drop_peeked(struct deque *deque, enum spill_end end)
{
    struct block *chunk = deque->ends[end];

    assert(chunk && block_is_exclusive(chunk) && chunk->element_count > 0);
    drop_one(deque, chunk, end);
    deque->popped_end = (uint8_t)end;
    if (chunk->element_count == 0) deque_settle(deque);
}

int64_t deque_drop(struct deque *deque, enum spill_end end, uint64_t count)
{
    struct block *chunk = deque->ends[end];
    int rc;

    deque->is_touched = true;
    if (count > deque->element_count) count = deque->element_count;
    if (count == 0) return 0;
    deque->popped_end = (uint8_t)end;
    if (chunk && block_is_loaded(chunk) && block_is_exclusive(chunk) &&
        count < chunk->element_count) {
        for (uint64_t i = 0; i < count; i++)
            drop_one(deque, chunk, end);
        return (int64_t)count;
    }
    rc = deque_cut(deque, end == SPILL_HEAD ? 0 : deque->element_count - count, count);
    return rc < 0 ? rc : (int64_t)count;
}
