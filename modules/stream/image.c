/* image.c - a stream in bytes, for checkpoints, which vouch for them with a checksum of their own.
 * Little-endian:
 *
 *   0       2      4       8       16    24              32                      40
 *   +-------+------+-------+-------+-----+---------------+-----------------------+
 *   | u16   | u16  | u32   | u64   | u64 | u64           | u64                   |
 *   | version kind   zero  | start | end | entries_added | bytes of the deleted  |
 *   +-------+------+-------+-------+-----+---------------+-----------------------+
 *   40                  56                         72
 *   +-------------------+--------------------------+-------------+-------------------------+
 *   | last_id: ms, seq  | max_deleted_id: ms, seq  | deleted     | what the backend has    |
 *   +-------------------+--------------------------+-------------+-------------------------+
 *
 * The deleted: deleted.h. kind says whose the rest is: memory.c, files.c. */
#include <errno.h>

#include "modules/base/endian.h"
#include "modules/stream/deleted.h"
#include "modules/stream/files.h"

enum { IMAGE_VERSION = 1, IMAGE_HEADER_BYTES = 72 };

/* So many are never added; sums of ordinals stay far from wrapping. */
#define ORDINAL_MAX (UINT64_C(1) << 62)

uint64_t stream_image_size(const struct stream *stream)
{
    return IMAGE_HEADER_BYTES + deleted_image_size(stream->deleted) +
           stream->backend->image_size(stream);
}

static void put_id(uint8_t *at, struct stream_id id)
{
    store_u64le(at, id.ms);
    store_u64le(at + 8, id.seq);
}

static struct stream_id get_id(const uint8_t *at)
{
    return (struct stream_id){ load_u64le(at), load_u64le(at + 8) };
}

void stream_image_write(const struct stream *stream, void (*put)(void *context, struct slice piece),
                        void *context)
{
    uint8_t header[IMAGE_HEADER_BYTES];

    store_u16le(header, IMAGE_VERSION);
    store_u16le(header + 2, (uint16_t)stream->backend->kind);
    store_u32le(header + 4, 0);
    store_u64le(header + 8, stream->start);
    store_u64le(header + 16, stream->end);
    store_u64le(header + 24, stream->entries_added);
    store_u64le(header + 32, deleted_image_size(stream->deleted));
    put_id(header + 40, stream->last_id);
    put_id(header + 56, stream->max_deleted_id);
    put(context, slice_of(header, sizeof(header)));
    deleted_image_write(stream->deleted, put, context);
    stream->backend->image_write(stream, put, context);
}

static const struct stream_backend *backend_of(uint16_t kind)
{
    if (kind == STREAM_IMAGE_FILES) return &stream_files_backend;
    return kind == STREAM_IMAGE_MEMORY ? &stream_memory_backend : NULL;
}

/* Whether there can be so many ordinals: each has a frame in the image, or a bit that says that it
 * is deleted. (Of streams on disk nothing is known here.) */
static bool pays_for_ordinals(const struct stream *stream, struct slice image)
{
    return stream->backend != &stream_memory_backend ||
           (stream->end - stream->start) / 8 <= image.size;
}

static int load_deleted(struct stream *stream, struct slice image)
{
    int rc = deleted_image_load(image, stream->start, stream->end, &stream->deleted);

    if (rc < 0) return rc;
    stream_charge(stream, (int64_t)deleted_memory_bytes(stream->deleted));
    /* What is deleted before the first one that is there counts as trimmed. */
    return deleted_has(stream->deleted, stream->start) ? -EBADMSG : 0;
}

static int load(struct stream *stream, struct slice image)
{
    const uint8_t *header = image.bytes;
    const struct stream_backend *backend = backend_of(load_u16le(header + 2));
    uint64_t deleted_bytes = load_u64le(header + 32);
    int rc;

    if (!backend || load_u32le(header + 4) != 0) return -EBADMSG;
    stream->backend = backend;
    stream->start = load_u64le(header + 8);
    stream->end = load_u64le(header + 16);
    stream->entries_added = load_u64le(header + 24);
    stream->last_id = get_id(header + 40);
    stream->max_deleted_id = get_id(header + 56);
    image = slice_of(image.bytes + IMAGE_HEADER_BYTES, image.size - IMAGE_HEADER_BYTES);
    if (stream->start == 0 || stream->start > stream->end) return -EBADMSG;
    if (stream->end > ORDINAL_MAX) return -EBADMSG;
    if (deleted_bytes > image.size || !pays_for_ordinals(stream, image)) return -EBADMSG;
    rc = load_deleted(stream, slice_of(image.bytes, deleted_bytes));
    if (rc < 0) return rc;
    return backend->image_load(stream,
                               slice_of(image.bytes + deleted_bytes, image.size - deleted_bytes));
}

int stream_image_load(struct stream_store *store, struct slice image, struct stream **out_stream)
{
    struct stream *stream = NULL;
    int rc;

    if (image.size < IMAGE_HEADER_BYTES) return -EBADMSG;
    if (load_u16le(image.bytes) != IMAGE_VERSION) return -EPROTONOSUPPORT;
    rc = stream_create(store, &stream);
    if (rc < 0) return rc;
    rc = load(stream, image);
    if (rc < 0)
        stream_destroy(stream);
    else
        *out_stream = stream;
    return rc;
}
