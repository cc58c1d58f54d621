/* memory.c - the backend of small streams: blocks of frames, in order.
 *
 * reserve makes room in the last block, or a spare one behind it, so that append only copies. A
 * place is {block, offset, ordinal of the frame before}; it is good for as long as the stream has
 * the version under which it was found, which all but appending moves on. */
#include "modules/stream/memory.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/alloc_size.h"
#include "modules/stream/deleted.h"

enum { PACK_ENTRIES_MIN = 4 };

/* ---- adding ---- */

/* A block with so much in it is to get so much more: small streams grow in small steps. */
static uint32_t grown_capacity(uint32_t used, uint32_t more)
{
    uint32_t wanted = used + more, room = wanted < 512 ? wanted / 8 : wanted / 2;

    if (wanted >= MEMORY_ROOM_MAX) return wanted;
    return wanted + room < MEMORY_ROOM_MAX ? wanted + room : MEMORY_ROOM_MAX;
}

/* Nothing needs to be done before so much more is written to it. A long entry stays alone. */
static bool has_room(const struct stream *stream, const struct entry_block *block, uint32_t bytes)
{
    return block->ref_count == 1 && entry_block_room(block) >= bytes &&
           block->end + bytes <= MEMORY_ROOM_MAX &&
           stream->end - block->first_ordinal < MEMORY_SPAN_MAX;
}

/* Whether the last block may be closed up or grown for so much more. A full one whose beginning was
 * trimmed is closed up only once that is a good part of it: else a stream of constant length would
 * be moved with every entry. */
static bool can_widen(const struct stream *stream, const struct entry_block *block, uint32_t bytes)
{
    uint32_t used = entry_block_used(block);

    return used + bytes <= MEMORY_ROOM_MAX &&
           (block->capacity < MEMORY_ROOM_MAX || block->begin >= used / 4) &&
           stream->end - block->first_ordinal < MEMORY_SPAN_MAX;
}

static int widen_last(struct stream *stream, uint32_t bytes)
{
    uint32_t index = stream->blocks.count - 1;
    struct entry_block *last = stream_block_at(stream, index);
    uint32_t used = entry_block_used(last);

    stream->version++;
    if (last->ref_count == 1 && used + bytes <= last->capacity && last->begin >= used / 4) {
        entry_block_close_up(last);
        return 0;
    }
    return stream_blocks_resize(stream, index, grown_capacity(used, bytes));
}

/* What a block has too much when no more is added to it. */
static void give_back_room(struct stream *stream, uint32_t index)
{
    const struct entry_block *block = stream_block_at(stream, index);
    uint32_t used = entry_block_used(block);

    if (block->ref_count > 1 || block->capacity - used <= block->capacity / 8) return;
    stream->version++;
    (void)stream_blocks_resize(stream, index, used); /* else it stays as large as it is */
}

static int make_spare(struct stream *stream, uint32_t bytes)
{
    uint32_t count = stream->blocks.count;
    struct entry_block *spare;
    int rc;

    if (stream->blocks.has_spare) {
        if (entry_block_room(stream_block_at(stream, count)) >= bytes) return 0;
        stream_blocks_drop_spare(stream);
    }
    rc = stream_blocks_reserve(stream);
    if (rc < 0) return rc;
    /* A stream of several blocks is not small any more, and will fill this one, too. */
    spare = entry_block_create(count == 0 ? bytes : grown_capacity(MEMORY_ROOM_MAX / 4, bytes));
    if (!spare) return -ENOMEM;
    stream_blocks_set_spare(stream, spare);
    return 0;
}

/* XSETID has lowered the last id: entries behind the newest one that is there are deleted, and have
 * greater ids than what comes next. All are in the last block, which has one that is there. */
static int drop_fallen(struct stream *stream)
{
    uint32_t index = stream->blocks.count - 1;
    struct entry_block *last;

    stream->has_fallen = false;
    if (stream->blocks.count == 0) return 0;
    last = stream_block_at(stream, index);
    if (entry_block_count_dead(last, stream->start, stream->deleted) == 0) return 0;
    stream->version++;
    if (last->ref_count > 1 && stream_blocks_resize(stream, index, last->capacity) < 0) {
        stream->has_fallen = true;
        return -ENOMEM;
    }
    entry_block_pack(stream_block_at(stream, index), stream->start, stream->deleted);
    return 0;
}

static uint32_t frame_bytes_max(uint64_t fields_bytes)
{
    return (uint32_t)fields_bytes + FRAME_OVERHEAD_BYTES_MAX;
}

static int memory_reserve(struct stream *stream, uint64_t fields_bytes)
{
    uint32_t bytes = frame_bytes_max(fields_bytes), count = stream->blocks.count;

    stream->was_used = true;
    if (stream->has_fallen && drop_fallen(stream) < 0) return -ENOMEM;
    if (count > 0) {
        const struct entry_block *last = stream_block_at(stream, count - 1);
        if (has_room(stream, last, bytes)) return 0;
        if (can_widen(stream, last, bytes)) return widen_last(stream, bytes);
    }
    return make_spare(stream, bytes);
}

static void memory_append(struct stream *stream, const struct stream_entry *entry)
{
    struct stream_blocks *blocks = &stream->blocks;
    uint32_t bytes = frame_bytes_max(entry->fields.size);

    if (blocks->count == 0 ||
        !has_room(stream, stream_block_at(stream, blocks->count - 1), bytes)) {
        stream_blocks_take_spare(stream);
        if (blocks->count > 1) give_back_room(stream, blocks->count - 2);
    }
    entry_block_append(stream_block_at(stream, blocks->count - 1), entry);
}

/* ---- reading ---- */

static struct stream_place place_of(uint32_t index, struct entry_spot spot)
{
    return (struct stream_place){ { index, spot.offset, spot.ordinal } };
}

static struct stream_place place_at_end(const struct stream *stream)
{
    uint32_t last = stream->blocks.count - 1;

    return place_of(last, entry_block_end(stream_block_at(stream, last)));
}

/* A place has no direction: behind what is not greater is before what is not less than the next. */
static int memory_seek_id(struct stream *stream, struct stream_id id,
                          enum stream_direction direction, struct stream_place *out_place)
{
    uint32_t index;

    *out_place = (struct stream_place){ 0 };
    stream->was_used = true;
    if (stream->blocks.count == 0) return 0;
    if ((direction == STREAM_BACKWARD && !stream_id_increment(&id)) ||
        stream_id_compare(id, stream->last_id) > 0) {
        *out_place = place_at_end(stream);
        return 0;
    }
    index = stream_blocks_find_id(stream, id);
    *out_place = place_of(index, entry_block_seek_id(stream_block_at(stream, index), id));
    return 0;
}

static int memory_seek_ordinal(struct stream *stream, uint64_t ordinal,
                               enum stream_direction direction, struct stream_place *out_place)
{
    uint32_t index;

    *out_place = (struct stream_place){ 0 };
    stream->was_used = true;
    if (stream->blocks.count == 0) return 0;
    if (direction == STREAM_BACKWARD) ordinal++;
    if (ordinal >= stream->end) {
        *out_place = place_at_end(stream);
        return 0;
    }
    index = stream_blocks_find_ordinal(stream, ordinal);
    *out_place = place_of(index, entry_block_seek_ordinal(stream_block_at(stream, index), ordinal));
    return 0;
}

static bool next_forward(const struct stream *stream, uint32_t *index, struct entry_spot *spot,
                         struct stream_entry *out_entry)
{
    while (!entry_block_next(stream_block_at(stream, *index), spot, out_entry)) {
        if (*index + 1 == stream->blocks.count) return false;
        *spot = entry_block_begin(stream_block_at(stream, ++*index));
    }
    return true;
}

static bool next_backward(const struct stream *stream, uint32_t *index, struct entry_spot *spot,
                          struct stream_entry *out_entry)
{
    while (!entry_block_previous(stream_block_at(stream, *index), spot, out_entry)) {
        if (*index == 0) return false;
        *spot = entry_block_end(stream_block_at(stream, --*index));
    }
    return true;
}

static int memory_next(struct stream *stream, enum stream_direction direction,
                       struct stream_want want, struct stream_place *place,
                       struct stream_entry *out_entries)
{
    uint32_t index = (uint32_t)place->words[0], count = 0;
    struct entry_spot spot = { (uint32_t)place->words[1], place->words[2] };
    uint64_t bytes = 0;

    if (index >= stream->blocks.count) return 0;
    for (; count < want.count; count++) {
        struct stream_entry *entry = &out_entries[count];
        bool is_there = direction == STREAM_FORWARD ? next_forward(stream, &index, &spot, entry)
                                                    : next_backward(stream, &index, &spot, entry);

        if (!is_there) break;
        bytes += entry->fields.size;
        if (count > 0 && bytes > want.bytes) break;
        *place = place_of(index, spot);
    }
    return (int)count;
}

/* ---- removing ---- */

static uint64_t memory_end_of_bytes(const struct stream *stream, uint64_t bytes)
{
    uint64_t taken = stream->memory_bytes, ordinal = stream->start;

    for (uint32_t i = 0; taken > bytes && i + 1 < stream->blocks.count; i++) {
        taken -= entry_block_memory_bytes(stream_block_at(stream, i));
        ordinal = stream_block_at(stream, i + 1)->first_ordinal;
    }
    return ordinal;
}

/* Blocks all of whose frames are below ordinal. */
static uint32_t blocks_below(const struct stream *stream, uint64_t ordinal)
{
    uint32_t index;

    if (stream->blocks.count == 0 || ordinal >= stream->end) return stream->blocks.count;
    index = stream_blocks_find_ordinal(stream, ordinal);
    return entry_block_last_ordinal(stream_block_at(stream, index)) < ordinal ? index + 1 : index;
}

/* Nothing is added to the first block any more, and most of it is empty. */
static void shrink_first(struct stream *stream)
{
    const struct entry_block *first = stream_block_at(stream, 0);
    uint32_t used = entry_block_used(first);

    if (stream->blocks.count == 1 || used > first->capacity / 4) return;
    (void)stream_blocks_resize(stream, 0, used); /* else it stays as large as it is */
}

/* In a block that a snapshot has, too, they stay: readers pass over them. */
static void memory_trim(struct stream *stream, uint64_t ordinal)
{
    uint32_t count = blocks_below(stream, ordinal);
    struct entry_block *first;

    stream->version++;
    if (ordinal == stream->end) stream_blocks_drop_spare(stream);
    if (count > 0) stream_blocks_drop_first(stream, count);
    if (stream->blocks.count == 0) return;
    first = stream_block_at(stream, 0);
    if (first->first_ordinal >= ordinal || first->ref_count > 1) return;
    entry_block_trim(first, ordinal);
    shrink_first(stream);
}

static void pack(struct stream *stream, uint32_t index)
{
    stream->version++;
    entry_block_pack(stream_block_at(stream, index), stream->start, stream->deleted);
    if (index + 1 < stream->blocks.count) give_back_room(stream, index);
}

static void memory_forget(struct stream *stream, uint64_t ordinal)
{
    uint32_t index = stream_blocks_find_ordinal(stream, ordinal);
    struct entry_block *block = stream_block_at(stream, index);

    if (++block->dead_count <= block->entry_count / 2) return;
    block->dead_count = (uint16_t)entry_block_count_dead(block, stream->start, stream->deleted);
    if (block->dead_count == block->entry_count) {
        stream->version++;
        stream_blocks_drop(stream, index);
    } else if (block->ref_count == 1 && block->entry_count >= PACK_ENTRIES_MIN &&
               block->dead_count > block->entry_count / 2) {
        pack(stream, index);
    }
}

/* ---- the rest ---- */

static int memory_snapshot(struct stream *stream, struct stream *snapshot)
{
    return stream_blocks_share(stream, snapshot);
}

static void memory_get_info(const struct stream *stream, struct stream_info *out_info)
{
    (void)stream;
    out_info->is_in_memory = true;
}

/* Adds the entries that are there to *live_count. */
static void check_block(const struct stream *stream, const struct entry_block *block,
                        uint64_t *next_ordinal, uint64_t *live_count)
{
    struct entry_spot spot = entry_block_begin(block);
    struct stream_entry entry;
    uint32_t count = 0, dead_count;

    for (; entry_block_next(block, &spot, &entry); count++) {
        assert(entry.ordinal >= *next_ordinal);
        *next_ordinal = entry.ordinal + 1;
    }
    assert(spot.offset == block->end && spot.ordinal == entry_block_last_ordinal(block));
    assert(block->end <= block->capacity && block->ref_count > 0);
    assert(count == block->entry_count);
    dead_count = entry_block_count_dead(block, stream->start, stream->deleted);
    assert(dead_count < count || stream->is_snapshot);
    *live_count += count - dead_count;
}

static void memory_check(const struct stream *stream)
{
    uint64_t next_ordinal = 1, live_count = 0;

    for (uint32_t i = 0; i < stream->blocks.count; i++) {
        const struct entry_block *block = stream_block_at(stream, i);
        if (i > 0) {
            assert(stream_id_compare(stream_block_at(stream, i - 1)->base, block->base) < 0);
        }
        check_block(stream, block, &next_ordinal, &live_count);
    }
    assert(live_count == stream_count(stream));
    assert(next_ordinal <= stream->end);
    assert(stream->memory_bytes == alloc_size(sizeof(*stream)) +
                                       deleted_memory_bytes(stream->deleted) +
                                       stream_blocks_memory_bytes(stream));
}

const struct stream_backend stream_memory_backend = {
    .kind = STREAM_IMAGE_MEMORY,
    .reserve = memory_reserve,
    .append = memory_append,
    .seek_id = memory_seek_id,
    .seek_ordinal = memory_seek_ordinal,
    .next = memory_next,
    .end_of_bytes = memory_end_of_bytes,
    .trim = memory_trim,
    .forget = memory_forget,
    .image_size = stream_memory_image_size,
    .image_write = stream_memory_image_write,
    .image_load = stream_memory_image_load,
    .get_info = memory_get_info,
    .check = memory_check,
    .snapshot = memory_snapshot,
    .destroy = stream_blocks_drop_all,
};
