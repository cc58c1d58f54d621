/* memory.c - the backend of small streams: blocks of frames, in order.
 *
 * reserve makes room in the last block, or a spare one behind it, so that append only copies. A
 * place is {block, offset, ordinal of the frame before}; it is good for as long as the stream has
 * the version under which it was found, which all but appending moves on. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"
#include "modules/stream/block.h"
#include "modules/stream/deleted.h"
#include "modules/stream/stream_internal.h"

enum {
    ROOM_MAX = ENTRY_BLOCK_BYTES - sizeof(struct entry_block),
    SLOTS_MIN = 4,
    PACK_ENTRIES_MIN = 4,
    /* Ordinals between the first and the last frame of one block. */
    SPAN_MAX = 1 << 30,
};

/* ---- the array of blocks ---- */

static struct entry_block **slot(const struct stream *stream, uint32_t index)
{
    const struct stream_memory *memory = &stream->memory;

    if (memory->capacity == 0) return (struct entry_block **)&memory->one;
    return &memory->many[memory->begin + index];
}

static struct entry_block *block_at(const struct stream *stream, uint32_t index)
{
    return *slot(stream, index);
}

static size_t slots_bytes(uint32_t capacity)
{
    return alloc_size(capacity * sizeof(struct entry_block *));
}

/* Slots move into another array. */
static int resize_slots(struct stream *stream, uint32_t capacity)
{
    struct stream_memory *memory = &stream->memory;
    uint32_t used = memory->count + memory->has_spare;
    struct entry_block **many = malloc(slots_bytes(capacity));

    if (!many) return -ENOMEM;
    if (used > 0) memcpy(many, slot(stream, 0), used * sizeof(*many));
    stream_charge(stream, (int64_t)slots_bytes(capacity));
    if (memory->capacity > 0) {
        stream_charge(stream, -(int64_t)slots_bytes(memory->capacity));
        free(memory->many);
    }
    memory->many = many;
    memory->begin = 0;
    memory->capacity = capacity;
    return 0;
}

/* One more block than there are has a slot. */
static int reserve_slot(struct stream *stream)
{
    struct stream_memory *memory = &stream->memory;
    uint32_t wanted = memory->count + 1;

    if (memory->capacity == 0 && wanted == 1) return 0;
    if (memory->begin + wanted <= memory->capacity) return 0;
    if (memory->capacity > 0 && memory->begin >= memory->capacity / 2) {
        memmove(memory->many, memory->many + memory->begin, memory->count * sizeof(*memory->many));
        memory->begin = 0;
        return 0;
    }
    return resize_slots(stream, wanted < SLOTS_MIN ? SLOTS_MIN : memory->count * 2);
}

/* An array that few blocks are left in is given back. */
static void shrink_slots(struct stream *stream)
{
    struct stream_memory *memory = &stream->memory;
    uint32_t used = memory->count + memory->has_spare;
    struct entry_block *only;

    if (memory->capacity == 0) return;
    if (used <= 1) {
        only = used == 1 ? block_at(stream, 0) : NULL;
        stream_charge(stream, -(int64_t)slots_bytes(memory->capacity));
        free(memory->many);
        memory->one = only;
        memory->begin = memory->capacity = 0;
    } else if (memory->capacity > 4 * SLOTS_MIN && used < memory->capacity / 8) {
        (void)resize_slots(stream, memory->capacity / 4); /* else it stays as large as it is */
    }
}

static void charge_block(struct stream *stream, const struct entry_block *block)
{
    stream_charge(stream, (int64_t)entry_block_memory_bytes(block));
}

static void discharge_block(struct stream *stream, const struct entry_block *block)
{
    stream_charge(stream, -(int64_t)entry_block_memory_bytes(block));
}

static void free_block(struct stream *stream, struct entry_block *block)
{
    discharge_block(stream, block);
    free(block);
}

static int resize_block(struct stream *stream, uint32_t index, uint32_t capacity)
{
    struct entry_block *block = block_at(stream, index), *resized;

    discharge_block(stream, block);
    resized = entry_block_resize(block, capacity);
    if (resized) *slot(stream, index) = resized;
    charge_block(stream, block_at(stream, index));
    return resized ? 0 : -ENOMEM;
}

static void drop_spare(struct stream *stream)
{
    if (!stream->memory.has_spare) return;
    free_block(stream, block_at(stream, stream->memory.count));
    stream->memory.has_spare = false;
    if (stream->memory.capacity == 0) stream->memory.one = NULL;
}

/* ---- adding ---- */

/* A block with so much in it is to get so much more: small streams grow in small steps. */
static uint32_t grown_capacity(uint32_t used, uint32_t more)
{
    uint32_t wanted = used + more, room = wanted < 512 ? wanted / 8 : wanted / 2;

    if (wanted >= ROOM_MAX) return wanted;
    return wanted + room < ROOM_MAX ? wanted + room : ROOM_MAX;
}

/* Whether the last block takes so much more, closed up or grown if need be. A full one whose
 * beginning was trimmed is closed up only once that is a good part of it: else a stream of constant
 * length would be moved with every entry. */
static bool last_takes_more(const struct stream *stream, uint32_t bytes)
{
    const struct entry_block *last = block_at(stream, stream->memory.count - 1);
    uint32_t used = entry_block_used(last);

    if (stream->end - last->first_ordinal >= SPAN_MAX) return false;
    if (entry_block_room(last) >= bytes) return true;
    return used + bytes <= ROOM_MAX && (last->capacity < ROOM_MAX || last->begin >= used / 4);
}

static int widen_last(struct stream *stream, uint32_t bytes)
{
    uint32_t index = stream->memory.count - 1;
    struct entry_block *last = block_at(stream, index);
    uint32_t used = entry_block_used(last);

    stream->version++;
    if (used + bytes <= last->capacity && last->begin >= used / 4) {
        entry_block_close_up(last);
        return 0;
    }
    return resize_block(stream, index, grown_capacity(used, bytes));
}

/* What a block has too much when no more is added to it. */
static void give_back_room(struct stream *stream, uint32_t index)
{
    const struct entry_block *block = block_at(stream, index);
    uint32_t used = entry_block_used(block);

    if (block->capacity - used <= block->capacity / 8) return;
    stream->version++;
    (void)resize_block(stream, index, used); /* else it stays as large as it is */
}

static int make_spare(struct stream *stream, uint32_t bytes)
{
    struct stream_memory *memory = &stream->memory;
    bool is_first = memory->count == 0;
    struct entry_block *spare;
    int rc;

    if (memory->has_spare) {
        if (entry_block_room(block_at(stream, memory->count)) >= bytes) return 0;
        drop_spare(stream);
    }
    rc = reserve_slot(stream);
    if (rc < 0) return rc;
    spare = entry_block_create(is_first ? bytes : grown_capacity(ROOM_MAX / 4, bytes));
    if (!spare) return -ENOMEM;
    *slot(stream, memory->count) = spare;
    memory->has_spare = true;
    charge_block(stream, spare);
    return 0;
}

static int memory_reserve(struct stream *stream, uint64_t fields_bytes)
{
    uint32_t bytes, count = stream->memory.count;

    if (fields_bytes > STREAM_FIELDS_BYTES_MAX) return -EMSGSIZE;
    bytes = (uint32_t)fields_bytes + FRAME_OVERHEAD_BYTES_MAX;
    if (count > 0 && last_takes_more(stream, bytes)) {
        if (entry_block_room(block_at(stream, count - 1)) >= bytes) return 0;
        return widen_last(stream, bytes);
    }
    return make_spare(stream, bytes);
}

static void memory_append(struct stream *stream, const struct stream_entry *entry)
{
    struct stream_memory *memory = &stream->memory;
    uint32_t bytes = (uint32_t)entry->fields.size + FRAME_OVERHEAD_BYTES_MAX;
    bool is_spare = memory->count == 0 || !last_takes_more(stream, bytes) ||
                    entry_block_room(block_at(stream, memory->count - 1)) < bytes;

    if (is_spare) {
        assert(memory->has_spare);
        memory->has_spare = false;
        memory->count++;
        if (memory->count > 1) give_back_room(stream, memory->count - 2);
    }
    entry_block_append(block_at(stream, memory->count - 1), entry);
}

/* ---- reading ---- */

static struct stream_place place_of(uint32_t index, struct entry_spot spot)
{
    return (struct stream_place){ { index, spot.offset, spot.ordinal } };
}

/* The last block that begins with something not greater than id (ordinal): what is sought lies in
 * it or at the beginning of the next one. The first one, if there is none. */
static uint32_t block_of_id(const struct stream *stream, struct stream_id id)
{
    uint32_t low = 0, high = stream->memory.count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (stream_id_compare(block_at(stream, middle)->base, id) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static uint32_t block_of_ordinal(const struct stream *stream, uint64_t ordinal)
{
    uint32_t low = 0, high = stream->memory.count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (block_at(stream, middle)->first_ordinal <= ordinal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct stream_place place_at_end(const struct stream *stream)
{
    uint32_t last = stream->memory.count - 1;

    return place_of(last, entry_block_end(block_at(stream, last)));
}

static int memory_seek_id(struct stream *stream, struct stream_id id,
                          enum stream_direction direction, struct stream_place *out_place)
{
    uint32_t index;

    *out_place = (struct stream_place){ 0 };
    if (stream->memory.count == 0) return 0;
    /* A place has no direction: behind what is not greater is before what is not less than the
     * next id. */
    if ((direction == STREAM_BACKWARD && !stream_id_increment(&id)) ||
        stream_id_compare(id, stream->last_id) > 0) {
        *out_place = place_at_end(stream);
        return 0;
    }
    index = block_of_id(stream, id);
    *out_place = place_of(index, entry_block_seek_id(block_at(stream, index), id));
    return 0;
}

static int memory_seek_ordinal(struct stream *stream, uint64_t ordinal,
                               enum stream_direction direction, struct stream_place *out_place)
{
    uint32_t index;

    *out_place = (struct stream_place){ 0 };
    if (stream->memory.count == 0) return 0;
    if (direction == STREAM_BACKWARD) ordinal++;
    if (ordinal >= stream->end) {
        *out_place = place_at_end(stream);
        return 0;
    }
    index = block_of_ordinal(stream, ordinal);
    *out_place = place_of(index, entry_block_seek_ordinal(block_at(stream, index), ordinal));
    return 0;
}

static bool next_forward(const struct stream *stream, uint32_t *index, struct entry_spot *spot,
                         struct stream_entry *out_entry)
{
    while (!entry_block_next(block_at(stream, *index), spot, out_entry)) {
        if (*index + 1 == stream->memory.count) return false;
        *spot = entry_block_begin(block_at(stream, ++*index));
    }
    return true;
}

static bool next_backward(const struct stream *stream, uint32_t *index, struct entry_spot *spot,
                          struct stream_entry *out_entry)
{
    while (!entry_block_previous(block_at(stream, *index), spot, out_entry)) {
        if (*index == 0) return false;
        *spot = entry_block_end(block_at(stream, --*index));
    }
    return true;
}

static int memory_next(struct stream *stream, enum stream_direction direction,
                       struct stream_place *place, struct stream_entry *out_entry)
{
    uint32_t index = (uint32_t)place->words[0];
    struct entry_spot spot = { (uint32_t)place->words[1], place->words[2] };
    bool is_there;

    if (index >= stream->memory.count) return 0;
    is_there = direction == STREAM_FORWARD ? next_forward(stream, &index, &spot, out_entry)
                                           : next_backward(stream, &index, &spot, out_entry);
    if (!is_there) return 0;
    *place = place_of(index, spot);
    return 1;
}

/* ---- removing ---- */

static void drop_first_blocks(struct stream *stream, uint32_t count)
{
    struct stream_memory *memory = &stream->memory;

    for (uint32_t i = 0; i < count; i++)
        free_block(stream, block_at(stream, i));
    if (memory->capacity == 0) {
        memory->one = NULL;
    } else {
        memory->begin += count;
    }
    memory->count -= count;
    shrink_slots(stream);
}

static void memory_trim(struct stream *stream, uint64_t ordinal)
{
    uint32_t count = 0;

    stream->version++;
    /* A spare is for a place behind what is here; it is cheaper to make it anew than to move. */
    if (ordinal == stream->end) drop_spare(stream);
    while (count < stream->memory.count &&
           entry_block_last_ordinal(block_at(stream, count)) < ordinal)
        count++;
    if (count > 0) drop_first_blocks(stream, count);
    if (stream->memory.count > 0) {
        struct entry_block *first = block_at(stream, 0);
        if (first->first_ordinal < ordinal) entry_block_trim(first, ordinal, stream->deleted);
    }
}

/* The blocks on the shorter side close the gap. */
static void drop_block(struct stream *stream, uint32_t index)
{
    struct stream_memory *memory = &stream->memory;
    struct entry_block **blocks = slot(stream, 0);
    uint32_t behind;

    drop_spare(stream);
    behind = memory->count - index - 1;
    free_block(stream, blocks[index]);
    memory->count--;
    if (memory->capacity == 0) {
        memory->one = NULL;
    } else if (behind < index) {
        memmove(blocks + index, blocks + index + 1, behind * sizeof(*blocks));
    } else {
        memmove(blocks + 1, blocks, index * sizeof(*blocks));
        memory->begin++;
    }
    shrink_slots(stream);
}

static void memory_forget(struct stream *stream, uint64_t ordinal)
{
    uint32_t index = block_of_ordinal(stream, ordinal);
    struct entry_block *block = block_at(stream, index);

    block->dead_count++;
    if (block->dead_count == block->entry_count) {
        stream->version++;
        drop_block(stream, index);
    } else if (block->entry_count >= PACK_ENTRIES_MIN &&
               block->dead_count > block->entry_count / 2) {
        stream->version++;
        entry_block_pack(block, stream->deleted);
        if (index + 1 < stream->memory.count) give_back_room(stream, index);
    }
}

static void memory_destroy(struct stream *stream)
{
    drop_spare(stream);
    drop_first_blocks(stream, stream->memory.count);
}

static void memory_get_info(const struct stream *stream, struct stream_info *out_info)
{
    (void)stream;
    out_info->is_in_memory = true;
}

/* ---- images ---- */

/* Of each block, little-endian:
 *
 *   +-------------+--------------+-------------------+-----------+-----------+----------+
 *   | u64 base.ms | u64 base.seq | u64 first_ordinal | u32 count | u32 bytes | frames … |
 *   +-------------+--------------+-------------------+-----------+-----------+----------+
 */
enum { BLOCK_HEADER_BYTES = 32 };

static uint64_t memory_image_size(const struct stream *stream)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < stream->memory.count; i++)
        size += BLOCK_HEADER_BYTES + entry_block_used(block_at(stream, i));
    return size;
}

static void memory_image_write(const struct stream *stream,
                               void (*put)(void *context, struct slice piece), void *context)
{
    uint8_t header[BLOCK_HEADER_BYTES];

    for (uint32_t i = 0; i < stream->memory.count; i++) {
        const struct entry_block *block = block_at(stream, i);
        store_u64le(header, block->base.ms);
        store_u64le(header + 8, block->base.seq);
        store_u64le(header + 16, block->first_ordinal);
        store_u32le(header + 24, block->entry_count);
        store_u32le(header + 28, entry_block_used(block));
        put(context, slice_of(header, sizeof(header)));
        put(context, slice_of(block->bytes + block->begin, entry_block_used(block)));
    }
}

/* What has been loaded of a stream so far. */
struct loading {
    struct stream *stream;
    struct stream_id last_id;
    uint64_t next_ordinal; /* of the next frame at least */
    uint64_t live_count;
};

/* One frame of the block, which has its bytes; *offset moves behind it. */
static int check_frame(struct loading *loading, struct entry_block *block, uint32_t *offset)
{
    struct frame frame;
    uint64_t ordinal;
    uint32_t bytes =
        frame_validate(block->bytes + *offset, block->end - *offset, block->base.ms, &frame);

    if (bytes == 0 || frame.fields.size > STREAM_FIELDS_BYTES_MAX) return -EBADMSG;
    ordinal = *offset == 0 ? block->first_ordinal : loading->next_ordinal + frame.gap;
    if (ordinal < loading->next_ordinal || ordinal >= loading->stream->end) return -EBADMSG;
    if (ordinal - block->first_ordinal > SPAN_MAX) return -EBADMSG;
    if (stream_id_compare(frame.id, loading->last_id) <= 0) return -EBADMSG;
    if (stream_id_compare(frame.id, block->base) < 0) return -EBADMSG;
    if (deleted_has(loading->stream->deleted, ordinal))
        block->dead_count++;
    else
        loading->live_count++;
    block->span = (uint32_t)(ordinal - block->first_ordinal);
    loading->last_id = frame.id;
    loading->next_ordinal = ordinal + 1;
    *offset += bytes;
    return 0;
}

static int check_block(struct loading *loading, struct entry_block *block)
{
    uint32_t offset = 0, count = 0;
    int rc = 0;

    if (stream_id_compare(block->base, loading->last_id) <= 0) return -EBADMSG;
    for (; rc == 0 && offset < block->end; count++)
        rc = check_frame(loading, block, &offset);
    if (rc < 0) return rc;
    if (count == 0 || count != block->entry_count) return -EBADMSG;
    return block->dead_count < count ? 0 : -EBADMSG;
}

/* One block from the front of image, which is cut. */
static int load_block(struct loading *loading, struct slice *image)
{
    const uint8_t *header = image->bytes;
    struct stream *stream = loading->stream;
    struct entry_block *block;
    uint32_t bytes;
    int rc;

    if (image->size < BLOCK_HEADER_BYTES) return -EBADMSG;
    bytes = load_u32le(header + 28);
    if (image->size - BLOCK_HEADER_BYTES < bytes) return -EBADMSG;
    if (bytes > STREAM_FIELDS_BYTES_MAX + FRAME_OVERHEAD_BYTES_MAX) return -EBADMSG;
    rc = reserve_slot(stream);
    if (rc < 0) return rc;
    block = entry_block_create(bytes);
    if (!block) return -ENOMEM;
    *slot(stream, stream->memory.count++) = block;
    charge_block(stream, block);
    block->base = (struct stream_id){ load_u64le(header), load_u64le(header + 8) };
    block->first_ordinal = load_u64le(header + 16);
    block->entry_count = load_u32le(header + 24);
    block->end = bytes;
    memcpy(block->bytes, header + BLOCK_HEADER_BYTES, bytes);
    *image =
        slice_of(header + BLOCK_HEADER_BYTES + bytes, image->size - BLOCK_HEADER_BYTES - bytes);
    return check_block(loading, block);
}

static int memory_image_load(struct stream *stream, struct slice image)
{
    struct loading loading = { .stream = stream, .next_ordinal = stream->start };
    int rc = 0;

    while (rc == 0 && image.size > 0)
        rc = load_block(&loading, &image);
    if (rc < 0) return rc;
    if (loading.live_count != stream_count(stream)) return -EBADMSG;
    return stream_id_compare(loading.last_id, stream->last_id) <= 0 ? 0 : -EBADMSG;
}

static void check_entries(const struct stream *stream, const struct entry_block *block,
                          uint64_t *next_ordinal, uint64_t *live_count)
{
    struct entry_spot spot = entry_block_begin(block);
    struct stream_entry entry;
    uint32_t count = 0, dead_count = 0;

    for (; entry_block_next(block, &spot, &entry); count++) {
        assert(entry.ordinal >= *next_ordinal);
        dead_count += deleted_has(stream->deleted, entry.ordinal);
        *next_ordinal = entry.ordinal + 1;
    }
    assert(spot.offset == block->end && spot.ordinal == entry_block_last_ordinal(block));
    assert(count == block->entry_count && dead_count == block->dead_count);
    assert(dead_count < count);
    *live_count += count - dead_count;
}

static void memory_check(const struct stream *stream)
{
    const struct stream_memory *memory = &stream->memory;
    uint64_t next_ordinal = stream->start, live_count = 0;
    uint64_t bytes = alloc_size(sizeof(*stream)) + deleted_memory_bytes(stream->deleted);

    if (memory->capacity > 0) bytes += slots_bytes(memory->capacity);
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct entry_block *block = block_at(stream, i);
        if (i > 0) assert(stream_id_compare(block_at(stream, i - 1)->base, block->base) < 0);
        check_entries(stream, block, &next_ordinal, &live_count);
        bytes += entry_block_memory_bytes(block);
    }
    if (memory->has_spare) bytes += entry_block_memory_bytes(block_at(stream, memory->count));
    assert(live_count == stream_count(stream));
    assert(next_ordinal <= stream->end);
    assert(bytes == stream->memory_bytes);
}

const struct stream_backend stream_memory_backend = {
    .kind = STREAM_IMAGE_MEMORY,
    .reserve = memory_reserve,
    .append = memory_append,
    .seek_id = memory_seek_id,
    .seek_ordinal = memory_seek_ordinal,
    .next = memory_next,
    .trim = memory_trim,
    .forget = memory_forget,
    .image_size = memory_image_size,
    .image_write = memory_image_write,
    .image_load = memory_image_load,
    .get_info = memory_get_info,
    .check = memory_check,
    .destroy = memory_destroy,
};
