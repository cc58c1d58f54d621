#include "modules/spill/extent_map.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "modules/spill/file.h"
#include "modules/spill/format.h"

enum {
    WORD_BITS = 64,
    UNITS = SPILL_BLOCK_BYTES / SPILL_SHARED_ALIGN, /* of a block that is shared */
    CAPACITY_MIN = 64,
};

/* A block that extents share: which units of it are taken. */
struct shared {
    uint64_t number; /* of the block, and one more; 0: the slot is free */
    uint64_t units[UNITS / WORD_BITS];
};

struct extent_map {
    uint64_t block_count;
    uint64_t *blocks;      /* a bit each: something is there */
    struct shared *shared; /* open addressing; the capacity is a power of two, half of it free */
    size_t capacity, count;
};

/* ---- bits -------------------------------------------------------------------------------------
 */

static bool has_bit(const uint64_t *words, uint64_t at)
{
    return (words[at / WORD_BITS] >> at % WORD_BITS & 1) != 0;
}

static bool has_any(const uint64_t *words, uint64_t first, uint64_t count)
{
    for (uint64_t at = first; at < first + count; at++)
        if (has_bit(words, at)) return true;
    return false;
}

static void set_all(uint64_t *words, uint64_t first, uint64_t count)
{
    for (uint64_t at = first; at < first + count; at++)
        words[at / WORD_BITS] |= UINT64_C(1) << at % WORD_BITS;
}

/* ---- blocks that are shared --------------------------------------------------------------------
 */

/* Its slot, or the one that it would get. */
static struct shared *find(struct shared *slots, size_t capacity, uint64_t block)
{
    size_t at = (size_t)(block * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (capacity - 1);

    while (slots[at].number != 0 && slots[at].number != block + 1)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static int grow(struct extent_map *map)
{
    size_t capacity = map->capacity ? 2 * map->capacity : (size_t)CAPACITY_MIN;
    struct shared *slots = calloc(capacity, sizeof(*slots));

    if (!slots) return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->shared[i].number != 0)
            *find(slots, capacity, map->shared[i].number - 1) = map->shared[i];
    free(map->shared);
    map->shared = slots;
    map->capacity = capacity;
    return 0;
}

static int add_shared(struct extent_map *map, uint64_t position, uint64_t bytes)
{
    uint64_t block = position / SPILL_BLOCK_BYTES;
    uint64_t first = position % SPILL_BLOCK_BYTES / SPILL_SHARED_ALIGN;
    uint64_t count = bytes / SPILL_SHARED_ALIGN;
    struct shared *shared;
    int rc;

    if (2 * map->count >= map->capacity && (rc = grow(map)) < 0) return rc;
    shared = find(map->shared, map->capacity, block);
    if (shared->number == 0) {
        if (has_bit(map->blocks, block)) return 0; /* one that has it all */
        shared->number = block + 1;
        map->count++;
        set_all(map->blocks, block, 1);
    }
    if (has_any(shared->units, first, count)) return 0;
    set_all(shared->units, first, count);
    return 1;
}

/* ---- all --------------------------------------------------------------------------------------
 */

int extent_map_create(uint64_t block_count, struct extent_map **out_map)
{
    struct extent_map *map = calloc(1, sizeof(*map));

    if (!map) return -ENOMEM;
    map->block_count = block_count;
    map->blocks = calloc((size_t)(block_count / WORD_BITS + 1), sizeof(*map->blocks));
    if (!map->blocks) {
        free(map);
        return -ENOMEM;
    }
    *out_map = map;
    return 0;
}

void extent_map_destroy(struct extent_map *map)
{
    if (!map) return;
    free(map->blocks);
    free(map->shared);
    free(map);
}

int extent_map_add(struct extent_map *map, const struct spill_ref *ref)
{
    uint64_t bytes = spill_extent_bytes(ref->size_bytes);
    uint64_t first = ref->position_bytes / SPILL_BLOCK_BYTES;
    uint64_t last = (ref->position_bytes + bytes - 1) / SPILL_BLOCK_BYTES;

    assert(last < map->block_count);
    if (spill_extent_is_shared(ref->size_bytes)) {
        assert(first == last);
        return add_shared(map, ref->position_bytes, bytes);
    }
    if (has_any(map->blocks, first, last - first + 1)) return 0;
    set_all(map->blocks, first, last - first + 1);
    return 1;
}

bool extent_map_has(const struct extent_map *map, uint64_t block)
{
    return block < map->block_count && has_bit(map->blocks, block);
}
