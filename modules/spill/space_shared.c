#include "modules/spill/space_shared.h"
#include "modules/spill/space.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_MIN = 16,
    CAPACITY_MAX = SPILL_REGION_BLOCKS / sizeof(uint32_t) /* beyond it a byte a block is less */
};

static uint32_t slot_block(uint32_t slot)
{
    return slot & 0xffff;
}

static uint32_t home_of(const struct spill_shared *shared, uint32_t block)
{
    /* Neighbouring blocks are shared together; the multiplication spreads them. */
    return (block * UINT32_C(2654435769) >> 12) & (shared->capacity - 1);
}

/* The slot that holds block, or the free one where it would go. The table is never full. */
static uint32_t find_slot(const struct spill_shared *shared, uint32_t block)
{
    uint32_t index = home_of(shared, block);
    while (shared->slots[index] != 0 && slot_block(shared->slots[index]) != block) {
        index = (index + 1) & (shared->capacity - 1);
    }
    return index;
}

static int resize(struct spill_shared *shared, uint32_t capacity)
{
    struct spill_shared larger = { .capacity = capacity, .entry_count = shared->entry_count };
    larger.slots = calloc(capacity, sizeof(*larger.slots));
    if (!larger.slots) return -ENOMEM;
    for (uint32_t i = 0; i < shared->capacity; i++) {
        uint32_t slot = shared->slots[i];
        if (slot != 0) larger.slots[find_slot(&larger, slot_block(slot))] = slot;
    }
    free(shared->slots);
    *shared = larger;
    return 0;
}

static int make_dense(struct spill_shared *shared)
{
    uint8_t *counts = calloc(SPILL_REGION_BLOCKS, 1);

    if (!counts) return -ENOMEM;
    for (uint32_t i = 0; i < shared->capacity; i++) {
        uint32_t slot = shared->slots[i];
        if (slot != 0) counts[slot_block(slot)] = (uint8_t)(slot >> 16);
    }
    free(shared->slots);
    *shared = (struct spill_shared){ .counts = counts, .entry_count = shared->entry_count };
    return 0;
}

static int grow(struct spill_shared *shared)
{
    if (shared->capacity == CAPACITY_MAX) return make_dense(shared);
    return resize(shared, shared->capacity ? shared->capacity * 2 : CAPACITY_MIN);
}

void spill_shared_finish(struct spill_shared *shared)
{
    free(shared->slots);
    free(shared->counts);
    *shared = (struct spill_shared){ 0 };
}

int spill_shared_add(struct spill_shared *shared, uint32_t block, unsigned count)
{
    uint32_t index;

    assert(block < SPILL_REGION_BLOCKS && count >= 2 && count <= 255);
    if (!shared->counts && shared->entry_count >= shared->capacity / 2) {
        int rc = grow(shared);
        if (rc < 0) return rc;
    }
    shared->entry_count++;
    if (shared->counts) {
        assert(shared->counts[block] == 0);
        shared->counts[block] = (uint8_t)count;
        return 0;
    }
    index = find_slot(shared, block);
    assert(shared->slots[index] == 0);
    shared->slots[index] = count << 16 | block;
    return 0;
}

int spill_shared_raise(struct spill_shared *shared, uint32_t block)
{
    unsigned count = spill_shared_count(shared, block);

    assert(count < 255);
    if (count == 1) return spill_shared_add(shared, block, 2);
    if (shared->counts)
        shared->counts[block]++;
    else
        shared->slots[find_slot(shared, block)] += 1u << 16;
    return 0;
}

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size);

    return copy ? memcpy(copy, bytes, size) : NULL;
}

int spill_shared_copy(struct spill_shared *to, const struct spill_shared *from)
{
    size_t size = spill_shared_memory_bytes(from);
    void *copy;

    if (from->entry_count == 0) return 0;
    copy = copy_of(from->counts ? (const void *)from->counts : from->slots, size);
    if (!copy) return -ENOMEM;
    *to = *from;
    if (from->counts)
        to->counts = copy;
    else
        to->slots = copy;
    return 0;
}

/* Entries behind a hole move into it when their way from home leads through it. */
static void remove_slot(struct spill_shared *shared, uint32_t hole)
{
    uint32_t mask = shared->capacity - 1;
    uint32_t index = hole;
    shared->slots[hole] = 0;
    for (;;) {
        index = (index + 1) & mask;
        uint32_t slot = shared->slots[index];
        if (slot == 0) break;
        uint32_t way = (index - home_of(shared, slot_block(slot))) & mask;
        if (way < ((index - hole) & mask)) continue;
        shared->slots[hole] = slot;
        shared->slots[index] = 0;
        hole = index;
    }
}

unsigned spill_shared_drop(struct spill_shared *shared, uint32_t block)
{
    unsigned left = spill_shared_count(shared, block) - 1;
    uint32_t index;

    if (left == 0) return 0;
    if (shared->counts) {
        shared->counts[block] = left == 1 ? 0 : (uint8_t)left;
    } else {
        index = find_slot(shared, block);
        if (left == 1)
            remove_slot(shared, index);
        else
            shared->slots[index] = left << 16 | block;
    }
    if (left == 1 && --shared->entry_count == 0) spill_shared_finish(shared);
    return left;
}

unsigned spill_shared_count(const struct spill_shared *shared, uint32_t block)
{
    uint32_t slot;

    if (shared->entry_count == 0) return 1;
    if (shared->counts) return shared->counts[block] == 0 ? 1 : shared->counts[block];
    slot = shared->slots[find_slot(shared, block)];
    return slot == 0 ? 1 : slot >> 16;
}

bool spill_shared_next(const struct spill_shared *shared, uint32_t *cursor, uint32_t *out_block,
                       unsigned *out_count)
{
    uint32_t end = shared->counts ? SPILL_REGION_BLOCKS : shared->capacity;

    while (*cursor < end) {
        uint32_t at = (*cursor)++;
        unsigned count = shared->counts ? shared->counts[at] : shared->slots[at] >> 16;
        if (count == 0) continue;
        *out_block = shared->counts ? at : slot_block(shared->slots[at]);
        *out_count = count;
        return true;
    }
    return false;
}

size_t spill_shared_memory_bytes(const struct spill_shared *shared)
{
    if (shared->counts) return SPILL_REGION_BLOCKS;
    return shared->capacity * sizeof(*shared->slots);
}
