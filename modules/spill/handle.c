#include "modules/spill/handle.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/small.h"
#include "modules/spill/store_internal.h"

/* The run becomes the first chunk: where its bytes lie does not change. */
static int grow(struct spill_deque *deque)
{
    struct deque *grown;
    struct block *chunk;
    int rc;

    if (deque->grown) return 0;
    rc = deque_create(deque->store, &grown);
    if (rc < 0) return rc;
    if (deque->epoch != (uint8_t)grown->epoch) grown->epoch--; /* not seen yet: it only reads */
    if (deque->element_count == 0) {
        small_clear(deque);
    } else {
        bool before = deque_begin_upkeep(grown);
        chunk = block_create_around(deque->store, grown->list, deque->run, deque->capacity);
        deque_end_upkeep(grown, before);
        if (!chunk) {
            deque_destroy(grown);
            return -ENOMEM;
        }
        chunk->begin = deque->begin;
        chunk->end = deque->end;
        chunk->element_count = deque->element_count;
        chunk->element_bytes = deque->element_bytes;
        deque_begin_with(grown, chunk);
        small_forget_run(deque);
    }
    deque->grown = grown;
    store_update_pressure(deque->store);
    return 0;
}

int spill_deque_create(struct spill_store *store, struct spill_deque **out_deque)
{
    struct spill_deque *deque = store_allocate_zeroed(store, sizeof(*deque));

    if (!deque) return -ENOMEM;
    deque->store = store;
    deque->epoch = (uint8_t)store->epoch;
    store_charge(store, alloc_size(sizeof(*deque)));
    store->index_bytes += alloc_size(sizeof(*deque));
    store->deque_count++;
    *out_deque = deque;
    return 0;
}

void spill_deque_destroy(struct spill_deque *deque)
{
    struct spill_store *store;

    if (!deque) return;
    store = deque->store;
    deque_destroy(deque->grown);
    small_clear(deque);
    store_discharge(store, alloc_size(sizeof(*deque)));
    store->index_bytes -= alloc_size(sizeof(*deque));
    store->deque_count--;
    free(deque);
}

uint64_t spill_deque_count(const struct spill_deque *deque)
{
    return deque->grown ? deque->grown->element_count : deque->element_count;
}

uint64_t spill_deque_bytes(const struct spill_deque *deque)
{
    return deque->grown ? deque->grown->element_bytes : deque->element_bytes;
}

/* Not inlined, so that pushing to a long list saves no registers for it. */
__attribute__((noinline)) static int push_ungrown(struct spill_deque *deque, enum spill_end end,
                                                  const struct slice *items, size_t item_count)
{
    int rc = deque_may_push(deque->store, items, item_count);

    if (rc < 0) return rc;
    rc = small_push(deque, end, items, item_count);
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = grow(deque);
    return rc < 0 ? rc : deque_push(deque->grown, end, items, item_count);
}

int spill_deque_push(struct spill_deque *deque, enum spill_end end, const struct slice *items,
                     size_t item_count)
{
    if (deque->grown) return deque_push(deque->grown, end, items, item_count);
    return push_ungrown(deque, end, items, item_count);
}

int spill_deque_peek(struct spill_deque *deque, enum spill_end end, struct slice *out_item)
{
    if (deque->grown) return deque_peek(deque->grown, end, out_item);
    return small_peek(deque, end, out_item);
}

void spill_deque_drop_peeked(struct spill_deque *deque, enum spill_end end)
{
    if (deque->grown)
        deque_drop_peeked(deque->grown, end);
    else
        small_drop_one(deque, end);
}

int64_t spill_deque_drop(struct spill_deque *deque, enum spill_end end, uint64_t count)
{
    if (deque->grown) return deque_drop(deque->grown, end, count);
    if (count > deque->element_count) count = deque->element_count;
    for (uint64_t i = 0; i < count; i++)
        small_drop_one(deque, end);
    return (int64_t)count;
}

int64_t spill_deque_pin_end(struct spill_deque *deque, enum spill_end end, uint64_t count,
                            uint64_t bytes_max)
{
    if (deque->grown) return deque_pin_end(deque->grown, end, count, bytes_max);
    return (int64_t)(count < deque->element_count ? count : deque->element_count);
}

void spill_deque_unpin(struct spill_deque *deque)
{
    if (deque->grown) deque_unpin(deque->grown);
}

int spill_deque_get(struct spill_deque *deque, uint64_t index, struct slice *out_item)
{
    if (deque->grown) return deque_get(deque->grown, index, out_item);
    return small_get(deque, index, out_item);
}

int spill_deque_view(struct spill_deque *deque, uint64_t index, enum spill_end towards,
                     struct slice *out_items, unsigned capacity)
{
    assert(capacity > 0 && capacity <= INT_MAX);
    if (deque->grown) return deque_view(deque->grown, index, towards, out_items, capacity);
    return small_view(deque, index, towards, out_items, capacity);
}

/* Whether one element may be changed or added in the middle: what is refused grows no list. */
static int may_edit(const struct spill_store *store, struct slice item)
{
    if (item.size > store->element_bytes_max) return -EMSGSIZE;
    return store->is_full ? -ENOSPC : 0;
}

int spill_deque_set(struct spill_deque *deque, uint64_t index, struct slice item)
{
    int rc;

    if (deque->grown) return deque_set(deque->grown, index, item);
    if (index >= deque->element_count) return -ERANGE;
    rc = may_edit(deque->store, item);
    if (rc < 0) return rc;
    if (small_overwrite(deque, index, item)) return 0;
    rc = grow(deque);
    return rc < 0 ? rc : deque_set(deque->grown, index, item);
}

int spill_deque_insert(struct spill_deque *deque, uint64_t index, struct slice item)
{
    int rc;

    if (deque->grown) return deque_insert(deque->grown, index, item);
    if (index > deque->element_count) return -ERANGE;
    if (index == 0) return spill_deque_push(deque, SPILL_HEAD, &item, 1);
    if (index == deque->element_count) return spill_deque_push(deque, SPILL_TAIL, &item, 1);
    rc = may_edit(deque->store, item);
    if (rc < 0) return rc;
    rc = grow(deque);
    return rc < 0 ? rc : deque_insert(deque->grown, index, item);
}

int spill_deque_remove(struct spill_deque *deque, uint64_t index, uint64_t count)
{
    if (deque->grown) return deque_remove(deque->grown, index, count);
    if (index >= deque->element_count) return 0;
    if (count > deque->element_count - index) count = deque->element_count - index;
    small_remove(deque, index, count);
    return 0;
}

int spill_deque_keep(struct spill_deque *deque, uint64_t index, uint64_t count)
{
    uint64_t total = deque->element_count;

    if (deque->grown) return deque_keep(deque->grown, index, count);
    if (index >= total || count == 0) return spill_deque_remove(deque, 0, total);
    if (count > total - index) count = total - index;
    small_remove(deque, index + count, total - index - count);
    small_remove(deque, 0, index);
    return 0;
}

int spill_deque_snapshot(struct spill_deque *deque, struct spill_snapshot **out_snapshot)
{
    int rc = grow(deque);

    return rc < 0 ? rc : deque_snapshot(deque->grown, out_snapshot);
}

void spill_deque_restore(struct spill_deque *deque, struct spill_snapshot *snapshot)
{
    assert(deque->grown); /* since the snapshot */
    deque_restore(deque->grown, snapshot);
}

int64_t spill_deque_remove_matching(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                                    bool (*accepts)(void *context, struct slice item),
                                    void *context)
{
    if (deque->grown) return deque_remove_matching(deque->grown, from, limit, accepts, context);
    return small_remove_matching(deque, from, limit, accepts, context);
}

int64_t spill_deque_remove_some(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                                bool (*accepts)(void *context, struct slice item), void *context,
                                uint64_t *passed)
{
    int64_t removed;

    if (deque->grown) return deque_remove_some(deque->grown, from, limit, accepts, context, passed);
    assert(*passed == 0); /* what takes several steps is large, and stays a deque */
    removed = small_remove_matching(deque, from, limit, accepts, context);
    *passed = deque->element_count;
    return removed;
}

int spill_deque_info(struct spill_deque *deque, struct spill_deque_info *out_info)
{
    int rc = 0;

    if (deque->grown)
        rc = deque_info(deque->grown, out_info);
    else
        small_info(deque, out_info);
    if (rc == 0) out_info->bytes_in_memory += alloc_size(sizeof(*deque));
    return rc;
}

uint64_t spill_deque_chunk_count(const struct spill_deque *deque)
{
    return deque->grown ? deque_chunk_count(deque->grown) : deque->element_count > 0;
}

uint64_t spill_deque_number(const struct spill_deque *deque)
{
    return deque->grown ? deque->grown->list : 0;
}

bool spill_deque_is_resident(const struct spill_deque *deque)
{
    return !deque->grown || deque_is_resident(deque->grown);
}

void spill_deque_check(const struct spill_deque *deque)
{
    if (deque->grown) {
        assert(!deque->run && deque->capacity == 0 && deque->element_count == 0);
        deque_check(deque->grown);
    } else {
        small_check(deque);
    }
}
