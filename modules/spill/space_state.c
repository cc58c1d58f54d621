/* space_state.c - which blocks of a region a checkpoint refers to, as bytes.
 *
 *   kind: 0 none, and nothing follows
 *         1 runs:  u16 count, and as often: u16 first block, u16 blocks less one
 *         2 bits:  4096 bytes, the lowest bit of the first one for the first block
 *   u32 count of shared blocks, and as often: u16 block, u8 extents in it (2 to 255)
 *
 * Little-endian; blocks count from the region's first. What is shorter is written, runs or bits. */
#include "modules/spill/space_internal.h"

#include <errno.h>
#include <string.h>

#include "modules/base/endian.h"

enum {
    KIND_NONE,
    KIND_RUNS,
    KIND_BITS,
    BITS_BYTES = SPILL_REGION_BLOCKS / 8,
    RUN_BYTES = 4,
    RUNS_MAX = BITS_BYTES / RUN_BYTES - 1,
    SHARED_BYTES = 3
};
static_assert(BITS_BYTES == 4096, "as space_kept.h counts");

static bool bit_at(const uint64_t *words, uint32_t block)
{
    return (words[block / WORD_BLOCKS] >> block % WORD_BLOCKS & 1) != 0;
}

uint32_t region_next_block(const uint64_t *words, uint32_t from, bool wanted)
{
    while (from < SPILL_REGION_BLOCKS) {
        uint64_t word = words[from / WORD_BLOCKS];
        if (!wanted) word = ~word;
        word &= UINT64_MAX << from % WORD_BLOCKS;
        if (word != 0) return from - from % WORD_BLOCKS + (uint32_t)__builtin_ctzll(word);
        from += WORD_BLOCKS - from % WORD_BLOCKS;
    }
    return SPILL_REGION_BLOCKS;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* 0: there are too many runs. */
static size_t write_runs(const uint64_t *words, uint8_t *bytes)
{
    uint8_t *at = bytes + 2;
    unsigned count = 0;

    for (uint32_t first = region_next_block(words, 0, true); first < SPILL_REGION_BLOCKS;) {
        uint32_t end = region_next_block(words, first, false);
        if (count++ == RUNS_MAX) return 0;
        store_u16le(at, (uint16_t)first);
        store_u16le(at + 2, (uint16_t)(end - first - 1));
        at += RUN_BYTES;
        first = region_next_block(words, end, true);
    }
    store_u16le(bytes, (uint16_t)count);
    return (size_t)(at - bytes);
}

static size_t write_bits(const uint64_t *words, uint8_t *bytes)
{
    for (unsigned word = 0; word < REGION_WORDS; word++)
        store_u64le(bytes + word * sizeof(uint64_t), words[word]);
    return BITS_BYTES;
}

static size_t write_shared(const struct spill_shared *shared, uint8_t *bytes)
{
    uint8_t *at = bytes + 4;
    uint32_t cursor = 0, block;
    unsigned count;

    while (spill_shared_next(shared, &cursor, &block, &count)) {
        store_u16le(at, (uint16_t)block);
        at[2] = (uint8_t)count;
        at += SHARED_BYTES;
    }
    store_u32le(bytes, shared->entry_count);
    return (size_t)(at - bytes);
}

uint64_t region_end(const uint64_t *words, size_t index)
{
    for (unsigned word = REGION_WORDS; words && word-- > 0;) {
        if (words[word] == 0) continue;
        return (uint64_t)index * SPILL_REGION_BLOCKS + word * WORD_BLOCKS + WORD_BLOCKS -
               (unsigned)__builtin_clzll(words[word]);
    }
    return 0;
}

uint64_t spill_space_kept_end(const struct spill_space *space)
{
    uint64_t end = 0;

    for (size_t i = space->region_count; i-- > 0 && end == 0;)
        end = region_end(space->regions[i].kept->next, i);
    return end;
}

size_t spill_space_region_state(const struct spill_space *space, size_t index, uint8_t *bytes)
{
    const struct region_kept *kept;
    size_t size;

    bytes[0] = KIND_NONE;
    if (index >= space->region_count) return 1;
    kept = space->regions[index].kept;
    if (region_next_block(kept->next, 0, true) == SPILL_REGION_BLOCKS) return 1;
    bytes[0] = KIND_RUNS;
    size = write_runs(kept->next, bytes + 1);
    if (size == 0) {
        bytes[0] = KIND_BITS;
        size = write_bits(kept->next, bytes + 1);
    }
    size++;
    return size + write_shared(&kept->next_shared, bytes + size);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The next size bytes of state, or NULL: it ends before. */
static const uint8_t *take(struct slice *state, size_t size)
{
    const uint8_t *at = state->bytes;

    if (state->size < size) return NULL;
    *state = slice_of(state->bytes + size, state->size - size);
    return at;
}

static int read_runs(struct slice *state, uint64_t words[REGION_WORDS])
{
    const uint8_t *at = take(state, 2);
    unsigned count = at ? load_u16le(at) : 0;
    uint32_t behind = 0; /* the last run and a block that is not in use */

    if (!at || count == 0 || count > RUNS_MAX) return -EBADMSG;
    at = take(state, (size_t)count * RUN_BYTES);
    if (!at) return -EBADMSG;
    for (; count > 0; count--, at += RUN_BYTES) {
        uint32_t first = load_u16le(at), end = first + load_u16le(at + 2) + 1u;
        if (first < behind || end > SPILL_REGION_BLOCKS) return -EBADMSG;
        for (uint32_t block = first; block < end; block++)
            words[block / WORD_BLOCKS] |= UINT64_C(1) << block % WORD_BLOCKS;
        behind = end + 1;
    }
    return 0;
}

static int read_bits(struct slice *state, uint64_t words[REGION_WORDS])
{
    const uint8_t *at = take(state, BITS_BYTES);

    if (!at) return -EBADMSG;
    for (unsigned word = 0; word < REGION_WORDS; word++)
        words[word] = load_u64le(at + word * sizeof(uint64_t));
    return 0;
}

static int read_shared(struct slice *state, struct region_bits *bits, const uint64_t *used)
{
    const uint8_t *at = take(state, 4);
    uint32_t count = at ? load_u32le(at) : 0;
    int rc = 0;

    if (!at || count > SPILL_REGION_BLOCKS) return -EBADMSG;
    at = take(state, (size_t)count * SHARED_BYTES);
    if (!at) return -EBADMSG;
    for (; count > 0 && rc == 0; count--, at += SHARED_BYTES) {
        uint32_t block = load_u16le(at);
        if (block >= SPILL_REGION_BLOCKS || !bit_at(used, block) || at[2] < 2) return -EBADMSG;
        if (spill_shared_count(&bits->shared, block) != 1) return -EBADMSG;
        rc = spill_shared_add(&bits->shared, block, at[2]);
    }
    return rc;
}

static int read_region(struct spill_space *space, struct region *region, uint64_t blocks,
                       struct slice *state)
{
    const uint8_t *kind = take(state, 1);
    uint64_t *used = region->kept->saved;
    uint32_t behind;
    int rc = 0;

    if (!kind || *kind > KIND_BITS) return -EBADMSG;
    if (*kind != KIND_NONE) {
        rc = *kind == KIND_RUNS ? read_runs(state, used) : read_bits(state, used);
        if (rc == 0) rc = read_shared(state, region->bits, used);
        space->shared_bytes += spill_shared_memory_bytes(&region->bits->shared);
        if (rc < 0) return rc;
    }
    behind = blocks < SPILL_REGION_BLOCKS ? (uint32_t)blocks : SPILL_REGION_BLOCKS;
    if (region_next_block(used, behind, true) < SPILL_REGION_BLOCKS) return -EBADMSG;
    for (uint32_t block = 0; block < behind; block++) {
        if (bit_at(used, block)) continue;
        region->bits->free[block / WORD_BLOCKS] |= UINT64_C(1) << block % WORD_BLOCKS;
        region->free_count++;
    }
    space->free_count += region->free_count;
    if (region->free_count > 0) {
        region->may_punch = true;
        space->may_punch_count++;
    }
    return 0;
}

int spill_space_load(struct spill_space *space, uint64_t end, struct slice *state)
{
    uint64_t left = end;
    int rc = 0;

    assert(space->end == 0 && !space->has_kept);
    if (space_regions_for(end) > state->size) return -EBADMSG; /* a byte each, at least */
    space->has_kept = true;
    while (rc == 0 && left > 0) {
        uint64_t blocks = left < SPILL_REGION_BLOCKS ? left : SPILL_REGION_BLOCKS;
        rc = space_add_region(space);
        if (rc < 0) break;
        space->end += blocks;
        rc = read_region(space, &space->regions[space->region_count - 1], blocks, state);
        left -= blocks;
    }
    return rc;
}
