#include "modules/stream/block.h"

#include <assert.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/stream/deleted.h"

struct entry_block *entry_block_create(uint32_t room)
{
    size_t bytes = alloc_size(sizeof(struct entry_block) + room);
    struct entry_block *block = malloc(bytes);

    if (!block) return NULL;
    *block = (struct entry_block){ .capacity = (uint32_t)(bytes - sizeof(*block)), .ref_count = 1 };
    return block;
}

uint64_t entry_block_memory_bytes(const struct entry_block *block)
{
    return alloc_size(sizeof(*block) + block->capacity);
}

void entry_block_close_up(struct entry_block *block)
{
    uint32_t used = entry_block_used(block);

    if (block->begin == 0) return;
    memmove(block->bytes, block->bytes + block->begin, used);
    block->begin = 0;
    block->end = used;
}

struct entry_block *entry_block_resize(struct entry_block *block, uint32_t capacity)
{
    size_t bytes = alloc_size(sizeof(*block) + capacity);
    struct entry_block *resized;

    assert(capacity >= entry_block_used(block) && block->ref_count == 1);
    entry_block_close_up(block);
    resized = realloc(block, bytes);
    if (resized) resized->capacity = (uint32_t)(bytes - sizeof(*block));
    return resized;
}

struct entry_block *entry_block_copy(const struct entry_block *block, uint32_t capacity)
{
    struct entry_block *copy = entry_block_create(capacity);

    if (!copy) return NULL;
    capacity = copy->capacity;
    *copy = *block;
    copy->capacity = capacity;
    copy->ref_count = 1;
    copy->begin = 0;
    copy->end = entry_block_used(block);
    memcpy(copy->bytes, block->bytes + block->begin, copy->end);
    return copy;
}

void entry_block_append(struct entry_block *block, const struct stream_entry *entry)
{
    uint32_t gap = 0;

    if (block->entry_count == 0) {
        block->base = entry->id;
        block->first_ordinal = entry->ordinal;
    } else {
        /* Those between were deleted while they were the last, and packed away. */
        gap = (uint32_t)(entry->ordinal - entry_block_last_ordinal(block) - 1);
    }
    block->span = (uint32_t)(entry->ordinal - block->first_ordinal);
    block->entry_count++;
    block->end += frame_encode(block->bytes + block->end, block->base.ms, entry, gap);
    assert(block->end <= block->capacity);
}

struct entry_spot entry_block_begin(const struct entry_block *block)
{
    return (struct entry_spot){ block->begin, 0 };
}

struct entry_spot entry_block_end(const struct entry_block *block)
{
    return (struct entry_spot){ block->end, entry_block_last_ordinal(block) };
}

static uint64_t ordinal_behind(const struct entry_block *block, const struct entry_spot *spot,
                               uint32_t gap)
{
    if (spot->offset == block->begin) return block->first_ordinal;
    return spot->ordinal + 1 + gap;
}

bool entry_block_next(const struct entry_block *block, struct entry_spot *spot,
                      struct stream_entry *out_entry)
{
    uint32_t bytes, gap;

    if (spot->offset == block->end) return false;
    bytes = frame_decode(block->bytes + spot->offset, block->base.ms, out_entry, &gap);
    out_entry->ordinal = spot->ordinal = ordinal_behind(block, spot, gap);
    spot->offset += bytes;
    return true;
}

bool entry_block_previous(const struct entry_block *block, struct entry_spot *spot,
                          struct stream_entry *out_entry)
{
    uint32_t gap;

    if (spot->offset == block->begin) return false;
    spot->offset -= frame_bytes_before(block->bytes + spot->offset);
    (void)frame_decode(block->bytes + spot->offset, block->base.ms, out_entry, &gap);
    out_entry->ordinal = spot->ordinal;
    spot->ordinal -= 1 + (uint64_t)gap;
    return true;
}

/* Moves over one frame, whose id it is. There is one. */
static void step_over(const struct entry_block *block, struct entry_spot *spot,
                      struct stream_id *out_id)
{
    uint32_t gap;
    uint32_t bytes = frame_decode_id(block->bytes + spot->offset, block->base.ms, out_id, &gap);

    spot->ordinal = ordinal_behind(block, spot, gap);
    spot->offset += bytes;
}

struct entry_spot entry_block_seek_id(const struct entry_block *block, struct stream_id id)
{
    struct entry_spot spot = entry_block_begin(block), found = spot;
    struct stream_id there;

    while (spot.offset < block->end) {
        step_over(block, &spot, &there);
        if (stream_id_compare(there, id) >= 0) break;
        found = spot;
    }
    return found;
}

struct entry_spot entry_block_seek_ordinal(const struct entry_block *block, uint64_t ordinal)
{
    struct entry_spot spot = entry_block_begin(block), found = spot;
    struct stream_id there;

    while (spot.offset < block->end) {
        step_over(block, &spot, &there);
        if (spot.ordinal >= ordinal) break;
        found = spot;
    }
    return found;
}

void entry_block_trim(struct entry_block *block, uint64_t ordinal)
{
    struct entry_spot spot = entry_block_begin(block), before = spot;
    struct stream_entry entry = { 0 };
    uint64_t last = entry_block_last_ordinal(block);

    assert(ordinal <= last);
    while (entry_block_next(block, &spot, &entry) && entry.ordinal < ordinal) {
        block->entry_count--;
        before = spot;
    }
    block->begin = before.offset;
    block->first_ordinal = entry.ordinal;
    block->span = (uint32_t)(last - entry.ordinal);
}

static bool is_dead(const struct stream_entry *entry, uint64_t start, const struct deleted *deleted)
{
    return entry->ordinal < start || deleted_has(deleted, entry->ordinal);
}

uint32_t entry_block_count_dead(const struct entry_block *block, uint64_t start,
                                const struct deleted *deleted)
{
    struct entry_spot spot = entry_block_begin(block);
    struct stream_entry entry;
    uint32_t count = 0;

    while (entry_block_next(block, &spot, &entry))
        count += is_dead(&entry, start, deleted);
    return count;
}

/* Each frame that stays goes to where the ones before it end: what went before it was longer than
 * its own numbers can grow by, so nothing is written over that is still to be read. */
void entry_block_pack(struct entry_block *block, uint64_t start, const struct deleted *deleted)
{
    struct entry_spot spot = entry_block_begin(block);
    struct stream_entry entry;
    uint64_t first = 0, last = 0;
    uint32_t to = block->begin, kept = 0;

    while (entry_block_next(block, &spot, &entry)) {
        uint32_t gap = 0;
        if (is_dead(&entry, start, deleted)) continue;
        if (kept++ == 0)
            first = entry.ordinal;
        else
            gap = (uint32_t)(entry.ordinal - last - 1);
        last = entry.ordinal;
        to += frame_encode(block->bytes + to, block->base.ms, &entry, gap);
    }
    assert(kept > 0);
    block->end = to;
    block->first_ordinal = first;
    block->span = (uint32_t)(last - first);
    block->entry_count = (uint16_t)kept;
    block->dead_count = 0;
}
