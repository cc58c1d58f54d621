#include "modules/stream/blocks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/stream/files.h"

enum {
    SLOTS_MIN = 4,
    /* So many are freed at once: some 20 us. */
    DROP_MAX = 256,
};

/* What an array lies in. Streams that have one are those that are worth moving to a journal when
 * memory is short, and are listed by it: others pay nothing for that. */
struct slots {
    struct list_link link; /* in the store's list of these, or in none */
    struct stream *stream;
    struct entry_block *at[];
};

/* Blocks that nobody sees any more, some of which have been freed. */
struct stream_grave {
    struct stream_grave *next;
    struct entry_block **blocks;
    uint32_t begin, end;
    uint64_t array_bytes;
};

/* ---- account ---- */

static void charge_block(struct stream *stream, const struct entry_block *block)
{
    stream_charge(stream, (int64_t)entry_block_memory_bytes(block));
}

/* The store counts a block for as long as anybody has it, a stream while it has it itself. */
static void unref_block(struct stream_store *store, struct entry_block *block)
{
    assert(block->ref_count > 0);
    if (--block->ref_count > 0) return;
    store->memory_bytes -= entry_block_memory_bytes(block);
    free(block);
}

static void drop_block(struct stream *stream, struct entry_block *block)
{
    stream->memory_bytes -= entry_block_memory_bytes(block);
    unref_block(stream->store, block);
}

static size_t slots_bytes(uint32_t capacity)
{
    return alloc_size(sizeof(struct slots) + capacity * sizeof(struct entry_block *));
}

static struct slots *slots_of(struct entry_block **many)
{
    return list_container(many, struct slots, at);
}

/* ---- the array ---- */

static struct entry_block **create_slots(struct stream *stream, uint32_t capacity)
{
    struct slots *slots = malloc(slots_bytes(capacity));

    if (!slots) return NULL;
    list_init(&slots->link);
    slots->stream = stream;
    return slots->at;
}

static void free_slots(struct entry_block **many)
{
    list_remove(&slots_of(many)->link);
    free(slots_of(many));
}

/* It is not worth moving any more. */
static void stay(struct stream *stream)
{
    list_remove(&slots_of(stream->blocks.many)->link);
    if (!stream->is_leaving) return;
    stream->is_leaving = false;
    stream_files_forget(stream);
}

/* Where the old ones were in the list, or behind all others. */
static void list_slots(struct stream *stream, struct entry_block **many)
{
    struct list_link *link = &slots_of(many)->link;

    if (stream->is_snapshot) return;
    if (stream->blocks.capacity > 0)
        list_push_front(&slots_of(stream->blocks.many)->link, link);
    else
        list_push_back(&stream->store->movable, link);
}

struct stream *stream_blocks_stream(struct list_link *link)
{
    return list_container(link, struct slots, link)->stream;
}

static void move_slots(struct entry_block **to, struct entry_block **from, uint32_t count)
{
    memmove(to, from, count * sizeof(struct entry_block *));
}

static int resize_slots(struct stream *stream, uint32_t capacity)
{
    struct stream_blocks *blocks = &stream->blocks;
    struct entry_block **many = create_slots(stream, capacity);

    if (!many) return -ENOMEM;
    move_slots(many, stream_block_slot(stream, 0), blocks->count + blocks->has_spare);
    list_slots(stream, many);
    stream_charge(stream, (int64_t)slots_bytes(capacity));
    if (blocks->capacity > 0) {
        stream_charge(stream, -(int64_t)slots_bytes(blocks->capacity));
        free_slots(blocks->many);
    }
    blocks->many = many;
    blocks->begin = 0;
    blocks->capacity = capacity;
    return 0;
}

int stream_blocks_reserve(struct stream *stream)
{
    struct stream_blocks *blocks = &stream->blocks;
    uint32_t wanted = blocks->count + 1;

    assert(!blocks->has_spare);
    if (blocks->capacity == 0 && wanted == 1) return 0;
    if (blocks->begin + wanted <= blocks->capacity) return 0;
    if (blocks->capacity > 0 && blocks->begin >= blocks->capacity / 2) {
        move_slots(blocks->many, blocks->many + blocks->begin, blocks->count);
        blocks->begin = 0;
        return 0;
    }
    return resize_slots(stream, wanted < SLOTS_MIN ? SLOTS_MIN : blocks->count * 2);
}

/* An array that few blocks are left in is given back. */
static void shrink_slots(struct stream *stream)
{
    struct stream_blocks *blocks = &stream->blocks;
    uint32_t used = blocks->count + blocks->has_spare;

    if (blocks->capacity == 0) {
        if (used == 0) blocks->one = NULL;
    } else if (used <= 1) {
        struct entry_block *only = used == 1 ? stream_block_at(stream, 0) : NULL;
        stay(stream);
        stream_charge(stream, -(int64_t)slots_bytes(blocks->capacity));
        free_slots(blocks->many);
        blocks->one = only;
        blocks->begin = blocks->capacity = 0;
    } else if (blocks->capacity > 4 * SLOTS_MIN && used < blocks->capacity / 8) {
        (void)resize_slots(stream, blocks->capacity / 4); /* else it stays as large as it is */
    }
}

void stream_blocks_set_spare(struct stream *stream, struct entry_block *block)
{
    *stream_block_slot(stream, stream->blocks.count) = block;
    stream->blocks.has_spare = true;
    charge_block(stream, block);
}

void stream_blocks_add(struct stream *stream, struct entry_block *block)
{
    *stream_block_slot(stream, stream->blocks.count++) = block;
    charge_block(stream, block);
}

void stream_blocks_take_spare(struct stream *stream)
{
    assert(stream->blocks.has_spare);
    stream->blocks.has_spare = false;
    stream->blocks.count++;
}

void stream_blocks_drop_spare(struct stream *stream)
{
    if (!stream->blocks.has_spare) return;
    drop_block(stream, stream_block_at(stream, stream->blocks.count));
    stream->blocks.has_spare = false;
    shrink_slots(stream);
}

int stream_blocks_resize(struct stream *stream, uint32_t index, uint32_t capacity)
{
    struct entry_block *block = stream_block_at(stream, index), *resized;
    int64_t before = (int64_t)entry_block_memory_bytes(block);

    if (block->ref_count > 1) {
        resized = entry_block_copy(block, capacity);
        if (!resized) return -ENOMEM;
        drop_block(stream, block);
        charge_block(stream, resized);
    } else {
        resized = entry_block_resize(block, capacity);
        if (!resized) return -ENOMEM;
        stream_charge(stream, (int64_t)entry_block_memory_bytes(resized) - before);
    }
    *stream_block_slot(stream, index) = resized;
    return 0;
}

/* ---- dropping ---- */

/* Takes over an array of its own, and the blocks from begin on in it, before end. False: no memory.
 */
static bool bury(struct stream *stream, struct entry_block **array, uint32_t begin, uint32_t end,
                 uint64_t array_bytes)
{
    struct stream_store *store = stream->store;
    struct stream_grave *grave = malloc(sizeof(*grave));

    if (!grave) return false;
    for (uint32_t i = begin; i < end; i++)
        stream->memory_bytes -= entry_block_memory_bytes(array[i]);
    *grave = (struct stream_grave){ store->graves, array, begin, end, array_bytes };
    store->graves = grave;
    return true;
}

/* They go in an array of their own. */
static bool bury_first(struct stream *stream, uint32_t count)
{
    struct entry_block **array = create_slots(stream, count);

    if (!array) return false;
    move_slots(array, stream_block_slot(stream, 0), count);
    if (!bury(stream, array, 0, count, slots_bytes(count))) {
        free_slots(array);
        return false;
    }
    stream->store->memory_bytes += slots_bytes(count);
    stream->blocks.begin += count;
    stream->blocks.count -= count;
    return true;
}

/* With the array they are in; there is no spare. */
static bool bury_all(struct stream *stream)
{
    struct stream_blocks *blocks = &stream->blocks;

    if (!bury(stream, blocks->many, blocks->begin, blocks->begin + blocks->count,
              slots_bytes(blocks->capacity))) {
        return false;
    }
    stay(stream);
    stream->memory_bytes -= slots_bytes(blocks->capacity);
    *blocks = (struct stream_blocks){ 0 };
    return true;
}

static bool bury_many(struct stream *stream, uint32_t count)
{
    if (count <= DROP_MAX) return false;
    if (count == stream->blocks.count && !stream->blocks.has_spare) return bury_all(stream);
    return bury_first(stream, count);
}

bool stream_graves_tick(struct stream_store *store, uint32_t count)
{
    struct stream_grave *grave = store->graves;

    if (!grave) return false;
    for (; count > 0 && grave->begin < grave->end; count--)
        unref_block(store, grave->blocks[grave->begin++]);
    if (grave->begin < grave->end) return true;
    store->graves = grave->next;
    store->memory_bytes -= grave->array_bytes;
    free_slots(grave->blocks);
    free(grave);
    return store->graves != NULL;
}

void stream_blocks_drop_first(struct stream *stream, uint32_t count)
{
    struct stream_blocks *blocks = &stream->blocks;

    if (!bury_many(stream, count)) {
        for (uint32_t i = 0; i < count; i++)
            drop_block(stream, stream_block_at(stream, i));
        if (blocks->capacity > 0) blocks->begin += count;
        blocks->count -= count;
    }
    shrink_slots(stream);
}

/* The blocks on the shorter side close the gap. */
void stream_blocks_drop(struct stream *stream, uint32_t index)
{
    struct stream_blocks *blocks = &stream->blocks;
    struct entry_block **at = stream_block_slot(stream, 0);
    uint32_t behind = blocks->count + blocks->has_spare - index - 1;

    drop_block(stream, at[index]);
    blocks->count--;
    if (behind < index || blocks->capacity == 0) {
        move_slots(at + index, at + index + 1, behind);
    } else {
        move_slots(at + 1, at, index);
        blocks->begin++;
    }
    shrink_slots(stream);
}

void stream_blocks_drop_all(struct stream *stream)
{
    struct stream_blocks *blocks = &stream->blocks;

    stream_blocks_drop_spare(stream);
    stream_blocks_drop_first(stream, blocks->count);
    assert(blocks->capacity == 0 && blocks->count == 0);
}

int stream_blocks_share(const struct stream *stream, struct stream *to)
{
    uint32_t count = stream->blocks.count;

    assert(to->blocks.count == 0 && to->blocks.capacity == 0);
    if (count > 1) {
        int rc = resize_slots(to, count);
        if (rc < 0) return rc;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct entry_block *block = stream_block_at(stream, i);
        block->ref_count++;
        *stream_block_slot(to, i) = block;
        to->memory_bytes += entry_block_memory_bytes(block);
    }
    to->blocks.count = count;
    return 0;
}

/* ---- finding ---- */

uint32_t stream_blocks_find_id(const struct stream *stream, struct stream_id id)
{
    uint32_t low = 0, high = stream->blocks.count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (stream_id_compare(stream_block_at(stream, middle)->base, id) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint32_t stream_blocks_find_ordinal(const struct stream *stream, uint64_t ordinal)
{
    uint32_t low = 0, high = stream->blocks.count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (stream_block_at(stream, middle)->first_ordinal <= ordinal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t stream_blocks_memory_bytes(const struct stream *stream)
{
    const struct stream_blocks *blocks = &stream->blocks;
    uint64_t bytes = blocks->capacity > 0 ? slots_bytes(blocks->capacity) : 0;

    for (uint32_t i = 0; i < blocks->count + blocks->has_spare; i++)
        bytes += entry_block_memory_bytes(stream_block_at(stream, i));
    return bytes;
}
