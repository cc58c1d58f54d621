#include "modules/spill/small.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/chunk.h"
#include "modules/spill/store_internal.h"

static uint32_t used(const struct spill_deque *deque)
{
    return (uint32_t)(deque->end - deque->begin);
}

static uint64_t run_bytes(const struct spill_deque *deque)
{
    return deque->capacity > 0 ? alloc_size(deque->capacity) : 0;
}

static void charge_run(struct spill_deque *deque)
{
    store_charge(deque->store, run_bytes(deque));
    deque->store->index_bytes += run_bytes(deque);
}

static void discharge_run(struct spill_deque *deque)
{
    store_discharge(deque->store, run_bytes(deque));
    deque->store->index_bytes -= run_bytes(deque);
}

void small_forget_run(struct spill_deque *deque)
{
    discharge_run(deque);
    deque->run = NULL;
    deque->begin = deque->end = deque->capacity = 0;
    deque->element_count = deque->element_bytes = 0;
}

void small_clear(struct spill_deque *deque)
{
    uint8_t *run = deque->run;

    deque->store->element_count -= deque->element_count;
    small_forget_run(deque);
    free(run);
}

/* The largest a small list of this store may be: less than a chunk, of whatever size these are. */
static uint32_t small_max(const struct spill_store *store)
{
    return store->chunk_bytes / 4 < SMALL_BYTES_MAX ? store->chunk_bytes / 4 : SMALL_BYTES_MAX;
}

static void count_elements(struct spill_deque *deque, uint64_t elements, uint64_t bytes)
{
    deque->store->element_count += elements - deque->element_count;
    deque->element_count = (uint8_t)elements;
    deque->element_bytes = (uint8_t)bytes;
}

/* Where elements that take `size` begin in a run of that capacity, so that `end` can grow. */
static uint32_t begin_for(enum spill_end end, uint32_t capacity, uint32_t size)
{
    return end == SPILL_TAIL ? 0 : capacity - size;
}

/* A run of its own for what a list will hold: the first fits, later ones leave room to grow. */
static uint32_t capacity_for(const struct spill_deque *deque, uint32_t wanted)
{
    uint32_t roomy = deque->run ? wanted + wanted / 2 : wanted;
    uint32_t most = small_max(deque->store);

    return (uint32_t)alloc_size(roomy < most ? roomy : most);
}

/* Makes room for `bytes` more at an end in another run; *out_old is to be freed when nobody looks
 * at it any more: what is pushed may lie in it. */
static int move_run(struct spill_deque *deque, enum spill_end end, uint32_t bytes,
                    uint8_t **out_old)
{
    uint32_t size = used(deque), capacity = capacity_for(deque, size + bytes);
    uint32_t begin = begin_for(end, capacity, size);
    uint8_t *run = store_allocate(deque->store, capacity);

    if (!run) return -ENOMEM;
    if (size > 0) memcpy(run + begin, deque->run + deque->begin, size);
    discharge_run(deque);
    *out_old = deque->run;
    deque->run = run;
    deque->begin = (uint8_t)begin;
    deque->end = (uint8_t)(begin + size);
    deque->capacity = (uint8_t)capacity;
    charge_run(deque);
    return 0;
}

static uint32_t room_at(const struct spill_deque *deque, enum spill_end end)
{
    return end == SPILL_TAIL ? (uint32_t)(deque->capacity - deque->end) : deque->begin;
}

static void put(struct spill_deque *deque, enum spill_end end, struct slice item)
{
    uint32_t bytes = chunk_encoded_bytes(item.size);

    if (end == SPILL_TAIL) {
        chunk_encode(deque->run + deque->end, item);
        deque->end = (uint8_t)(deque->end + bytes);
    } else {
        deque->begin = (uint8_t)(deque->begin - bytes);
        chunk_encode(deque->run + deque->begin, item);
    }
    count_elements(deque, deque->element_count + 1u, deque->element_bytes + item.size);
}

int small_push(struct spill_deque *deque, enum spill_end end, const struct slice *items,
               size_t item_count)
{
    uint32_t most = small_max(deque->store), bytes = used(deque), added;
    uint8_t *old = NULL;
    int rc;

    for (size_t i = 0; i < item_count; i++) {
        if (items[i].size > most) return 0;
        bytes += chunk_encoded_bytes(items[i].size);
        if (bytes > most) return 0;
    }
    added = bytes - used(deque);
    if (room_at(deque, end) < added) {
        rc = move_run(deque, end, added, &old);
        if (rc < 0) return rc;
    }
    for (size_t i = 0; i < item_count; i++)
        put(deque, end, items[i]);
    free(old);
    return 1;
}

static void view_end(const struct spill_deque *deque, enum spill_end end, struct slice *out_item)
{
    if (end == SPILL_HEAD)
        (void)chunk_first(deque->run + deque->begin, out_item);
    else
        (void)chunk_last(deque->run + deque->end, out_item);
}

int small_peek(const struct spill_deque *deque, enum spill_end end, struct slice *out_item)
{
    if (deque->element_count == 0) return 0;
    view_end(deque, end, out_item);
    return 1;
}

void small_drop_one(struct spill_deque *deque, enum spill_end end)
{
    struct slice item;

    assert(deque->element_count > 0);
    view_end(deque, end, &item);
    uint32_t bytes = chunk_encoded_bytes(item.size);
    if (end == SPILL_HEAD)
        deque->begin = (uint8_t)(deque->begin + bytes);
    else
        deque->end = (uint8_t)(deque->end - bytes);
    count_elements(deque, deque->element_count - 1u, deque->element_bytes - item.size);
}

static uint32_t offset_of(const struct spill_deque *deque, uint64_t index)
{
    return deque->begin +
           chunk_offset(deque->run + deque->begin, used(deque), deque->element_count, index);
}

int small_get(const struct spill_deque *deque, uint64_t index, struct slice *out_item)
{
    if (index >= deque->element_count) return 0;
    (void)chunk_first(deque->run + offset_of(deque, index), out_item);
    return 1;
}

int small_view(const struct spill_deque *deque, uint64_t index, enum spill_end towards,
               struct slice *out_items, unsigned capacity)
{
    bool is_forward = towards == SPILL_TAIL;
    uint64_t there;

    if (index >= deque->element_count) return 0;
    there = is_forward ? deque->element_count - index : index + 1;
    if (there > capacity) there = capacity;
    for (uint64_t i = 0; i < there; i++)
        (void)small_get(deque, is_forward ? index + i : index - i, &out_items[i]);
    return (int)there;
}

bool small_overwrite(struct spill_deque *deque, uint64_t index, struct slice item)
{
    uint8_t *at = deque->run + offset_of(deque, index);
    struct slice old;

    (void)chunk_first(at, &old);
    if (old.size != item.size) return false;
    /* It may be the old one itself. */
    if (item.size > 0) memmove(at + chunk_length_bytes(item.size), item.bytes, item.size);
    return true;
}

/* What is behind the elements moves up. */
void small_remove(struct spill_deque *deque, uint64_t index, uint64_t count)
{
    uint32_t from = offset_of(deque, index), to = offset_of(deque, index + count);
    uint64_t elements, bytes;

    memmove(deque->run + from, deque->run + to, deque->end - to);
    deque->end = (uint8_t)(deque->end - (to - from));
    chunk_measure(deque->run + deque->begin, used(deque), &elements, &bytes);
    count_elements(deque, elements, bytes);
}

int64_t small_remove_matching(struct spill_deque *deque, enum spill_end from, uint64_t limit,
                              bool (*accepts)(void *context, struct slice item), void *context)
{
    struct slice item;
    int64_t removed = 0;

    for (uint64_t left = deque->element_count; left > 0; left--) {
        uint64_t index = from == SPILL_HEAD ? deque->element_count - left : left - 1;
        (void)chunk_first(deque->run + offset_of(deque, index), &item);
        if (!accepts(context, item)) continue;
        small_remove(deque, index, 1);
        if ((uint64_t)++removed == limit) break;
    }
    return removed;
}

void small_info(const struct spill_deque *deque, struct spill_deque_info *out_info)
{
    *out_info = (struct spill_deque_info){
        .element_count = deque->element_count,
        .elements_in_memory = deque->element_count,
        .element_bytes = deque->element_bytes,
        .chunk_count = deque->element_count > 0,
        .chunks_in_memory = deque->element_count > 0,
        .bytes_in_memory = run_bytes(deque),
    };
}

void small_check(const struct spill_deque *deque)
{
    uint64_t bytes = 0;

    assert(deque->begin <= deque->end && deque->end <= deque->capacity);
    assert(used(deque) <= small_max(deque->store));
    assert((deque->run != NULL) == (deque->capacity > 0));
    assert(chunk_validate(deque->run + deque->begin, used(deque), deque->element_count, &bytes) ==
           0);
    assert(bytes == deque->element_bytes);
}
