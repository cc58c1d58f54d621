/* memory_image.c - the entries of a stream that is in memory, in bytes.
 *
 * Of each block, little-endian:
 *
 *   +-------------+--------------+-------------------+-----------+-----------+----------+
 *   | u64 base.ms | u64 base.seq | u64 first_ordinal | u32 count | u32 bytes | frames … |
 *   +-------------+--------------+-------------------+-----------+-----------+----------+
 *
 * Frames that are deleted, or lie below start, may be among them. Loading believes nothing. */
#include <errno.h>

#include "modules/base/endian.h"
#include "modules/stream/deleted.h"
#include "modules/stream/memory.h"

enum { BLOCK_HEADER_BYTES = 32 };

uint64_t stream_memory_image_size(const struct stream *stream)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < stream->blocks.count; i++)
        size += BLOCK_HEADER_BYTES + entry_block_used(stream_block_at(stream, i));
    return size;
}

void stream_memory_image_write(const struct stream *stream,
                               void (*put)(void *context, struct slice piece), void *context)
{
    uint8_t header[BLOCK_HEADER_BYTES];

    for (uint32_t i = 0; i < stream->blocks.count; i++) {
        const struct entry_block *block = stream_block_at(stream, i);
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
    struct stream_id last_id, last_live_id;
    uint64_t next_ordinal; /* of the next frame at least */
    uint64_t live_count;
};

static bool is_live(const struct stream *stream, uint64_t ordinal)
{
    return ordinal >= stream->start && !deleted_has(stream->deleted, ordinal);
}

/* One frame of the block, which has its bytes; *offset moves behind it. */
static int check_frame(struct loading *loading, struct entry_block *block, uint32_t *offset)
{
    struct stream_entry entry;
    uint64_t ordinal;
    uint32_t gap, bytes;

    bytes =
        frame_validate(block->bytes + *offset, block->end - *offset, block->base.ms, &entry, &gap);
    if (bytes == 0 || entry.fields.size > STREAM_FIELDS_BYTES_MAX) return -EBADMSG;
    ordinal = *offset == 0 ? block->first_ordinal : loading->next_ordinal + gap;
    if (ordinal < loading->next_ordinal || ordinal >= loading->stream->end) return -EBADMSG;
    if (ordinal - block->first_ordinal > MEMORY_SPAN_MAX) return -EBADMSG;
    if (stream_id_compare(entry.id, loading->last_id) <= 0) return -EBADMSG;
    if (stream_id_compare(entry.id, block->base) < 0) return -EBADMSG;
    block->span = (uint32_t)(ordinal - block->first_ordinal);
    loading->last_id = entry.id;
    if (is_live(loading->stream, ordinal)) loading->last_live_id = entry.id;
    loading->next_ordinal = ordinal + 1;
    *offset += bytes;
    return 0;
}

static int check_block(struct loading *loading, struct entry_block *block)
{
    const struct stream *stream = loading->stream;
    uint32_t offset = 0, count = 0, dead_count;
    int rc = 0;

    if (stream_id_compare(block->base, loading->last_id) <= 0) return -EBADMSG;
    for (; rc == 0 && offset < block->end; count++)
        rc = check_frame(loading, block, &offset);
    if (rc < 0) return rc;
    if (count != block->entry_count) return -EBADMSG;
    if (count > 1 && block->end > MEMORY_ROOM_MAX) return -EBADMSG;
    dead_count = entry_block_count_dead(block, stream->start, stream->deleted);
    if (dead_count == count) return -EBADMSG;
    block->dead_count = (uint16_t)dead_count;
    loading->live_count += count - dead_count;
    return 0;
}

/* One block from the front of image, which is cut. */
static int load_block(struct loading *loading, struct slice *image)
{
    const uint8_t *header = image->bytes;
    struct stream *stream = loading->stream;
    struct entry_block *block;
    uint32_t bytes, count;
    int rc;

    if (image->size < BLOCK_HEADER_BYTES) return -EBADMSG;
    count = load_u32le(header + 24);
    bytes = load_u32le(header + 28);
    if (image->size - BLOCK_HEADER_BYTES < bytes || count == 0 || count > UINT16_MAX) {
        return -EBADMSG;
    }
    if (bytes > STREAM_FIELDS_BYTES_MAX + FRAME_OVERHEAD_BYTES_MAX) return -EBADMSG;
    rc = stream_blocks_reserve(stream);
    if (rc < 0) return rc;
    block = entry_block_create(bytes);
    if (!block) return -ENOMEM;
    stream_blocks_add(stream, block);
    block->base = (struct stream_id){ load_u64le(header), load_u64le(header + 8) };
    block->first_ordinal = load_u64le(header + 16);
    block->entry_count = (uint16_t)count;
    block->end = bytes;
    header += BLOCK_HEADER_BYTES;
    memcpy(block->bytes, header, bytes);
    *image = slice_of(header + bytes, image->size - BLOCK_HEADER_BYTES - bytes);
    return check_block(loading, block);
}

int stream_memory_image_load(struct stream *stream, struct slice image)
{
    struct loading loading = { .stream = stream, .next_ordinal = 1 };
    int rc = 0;

    while (rc == 0 && image.size > 0)
        rc = load_block(&loading, &image);
    if (rc < 0) return rc;
    if (loading.live_count != stream_count(stream)) return -EBADMSG;
    stream->has_fallen = stream_id_compare(loading.last_id, stream->last_id) > 0;
    return stream_id_compare(loading.last_live_id, stream->last_id) <= 0 ? 0 : -EBADMSG;
}
