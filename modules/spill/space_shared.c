#include "modules/spill/space_shared.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 16 };

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

void spill_shared_finish(struct spill_shared *shared)
{
    free(shared->slots);
    *shared = (struct spill_shared){ 0 };
}

int spill_shared_add(struct spill_shared *shared, uint32_t block, unsigned count)
{
    assert(block <= 0xffff && count >= 2 && count <= 255);
    if (shared->entry_count >= shared->capacity / 2) {
        int rc = resize(shared, shared->capacity ? shared->capacity * 2 : CAPACITY_MIN);
        if (rc < 0) return rc;
    }
    uint32_t index = find_slot(shared, block);
    assert(shared->slots[index] == 0);
    shared->slots[index] = count << 16 | block;
    shared->entry_count++;
    return 0;
}

int spill_shared_raise(struct spill_shared *shared, uint32_t block)
{
    uint32_t index;

    if (shared->entry_count == 0) return spill_shared_add(shared, block, 2);
    index = find_slot(shared, block);
    if (shared->slots[index] == 0) return spill_shared_add(shared, block, 2);
    assert(shared->slots[index] >> 16 < 255);
    shared->slots[index] += 1u << 16;
    return 0;
}

int spill_shared_copy(struct spill_shared *to, const struct spill_shared *from)
{
    if (from->entry_count == 0) return 0;
    uint32_t *slots = malloc(from->capacity * sizeof(*slots));
    if (!slots) return -ENOMEM;
    memcpy(slots, from->slots, from->capacity * sizeof(*slots));
    *to = *from;
    to->slots = slots;
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
    shared->entry_count--;
    if (shared->entry_count == 0) spill_shared_finish(shared);
}

unsigned spill_shared_drop(struct spill_shared *shared, uint32_t block)
{
    if (shared->entry_count == 0) return 0;
    uint32_t index = find_slot(shared, block);
    if (shared->slots[index] == 0) return 0;
    unsigned left = (shared->slots[index] >> 16) - 1;
    if (left == 1) {
        remove_slot(shared, index);
    } else {
        shared->slots[index] = left << 16 | block;
    }
    return left;
}

unsigned spill_shared_count(const struct spill_shared *shared, uint32_t block)
{
    if (shared->entry_count == 0) return 1;
    uint32_t slot = shared->slots[find_slot(shared, block)];
    return slot == 0 ? 1 : slot >> 16;
}

size_t spill_shared_memory_bytes(const struct spill_shared *shared)
{
    return shared->capacity * sizeof(*shared->slots);
}
