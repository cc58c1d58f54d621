/* files_image.c - what an image of a stream in a journal says of it.
 *
 * In an image, behind what image.c writes, little-endian:
 *
 *   0        8     16              32              36          40
 *   +--------+-----+---------------+---------------+-----------+----------------+------------+
 *   | number | end | last frame's  | segment count | fall      | segments …     | falls …    |
 *   |        |     | id: ms, seq   |               | count     |                |            |
 *   +--------+-----+---------------+---------------+-----------+----------------+------------+
 *
 *   a segment:  | start | first ordinal | first id: ms, seq | bytes |      all u64
 *   a fall:     | ordinal | id: ms, seq |
 *
 * end: the position in the journal up to which frames count. */
#include <errno.h>

#include "modules/base/endian.h"
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

enum {
    IMAGE_FIXED_BYTES = 40,
    IMAGE_SEGMENT_BYTES = 40,
    IMAGE_FALL_BYTES = 24,
};

uint64_t stream_files_image_size(const struct stream *stream)
{
    const struct stream_files *files = stream->files;

    return IMAGE_FIXED_BYTES + (uint64_t)files->segment_count * IMAGE_SEGMENT_BYTES +
           (uint64_t)files->falls.count * IMAGE_FALL_BYTES;
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

static void put_segment(uint8_t *at, const struct files_segment *segment)
{
    store_u64le(at, segment->start);
    store_u64le(at + 8, segment->first_ordinal);
    put_id(at + 16, segment->first_id);
    store_u64le(at + 32, segment->bytes);
}

static void get_segment(const uint8_t *at, struct files_segment *out_segment)
{
    *out_segment = (struct files_segment){ .start = load_u64le(at),
                                           .first_ordinal = load_u64le(at + 8),
                                           .first_id = get_id(at + 16),
                                           .bytes = load_u64le(at + 32) };
}

/* A checkpoint that is being made refers to it from now on. */
static void refer(const struct stream *stream)
{
    const struct stream_files *files = stream->files;

    if (!files->store->files->is_checkpointing) return;
    files->base->running = (struct files_reference){ .is_there = true,
                                                     .start = files->segments[0].start,
                                                     .end = files->end };
    stream_files_plan_packing(files->base);
    stream_files_refer_dead(stream);
}

void stream_files_image_write(const struct stream *stream,
                              void (*put)(void *context, struct slice piece), void *context)
{
    const struct stream_files *files = stream->files;
    uint8_t bytes[IMAGE_FIXED_BYTES];

    refer(stream);
    store_u64le(bytes, files->base->number);
    store_u64le(bytes + 8, files->end);
    put_id(bytes + 16, files->last_id);
    store_u32le(bytes + 32, files->segment_count);
    store_u32le(bytes + 36, files->falls.count);
    put(context, slice_of(bytes, sizeof(bytes)));
    for (uint32_t i = 0; i < files->segment_count; i++) {
        put_segment(bytes, &files->segments[i]);
        put(context, slice_of(bytes, IMAGE_SEGMENT_BYTES));
    }
    for (uint32_t i = 0; i < files->falls.count; i++) {
        store_u64le(bytes, files->falls.falls[i].ordinal);
        put_id(bytes + 8, files->falls.falls[i].id);
        put(context, slice_of(bytes, IMAGE_FALL_BYTES));
    }
}

static int load_segments(struct stream_files *files, const uint8_t *at, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, at += IMAGE_SEGMENT_BYTES) {
        struct files_segment segment;
        int rc = stream_files_need_slots(files);
        if (rc < 0) return rc;
        get_segment(at, &segment);
        if (journal_offset_of(segment.start) != JOURNAL_SEGMENT_HEADER_BYTES) return -EBADMSG;
        if (i > 0 && (segment.start <= files->segments[i - 1].start ||
                      segment.first_ordinal <= files->segments[i - 1].first_ordinal)) {
            return -EBADMSG;
        }
        files->segments[files->segment_count++] = segment;
    }
    return 0;
}

static int load_falls(struct stream_files *files, const uint8_t *at, uint32_t count)
{
    struct files_falls *falls = &files->falls;

    for (uint32_t i = 0; i < count; i++, at += IMAGE_FALL_BYTES) {
        struct files_fall fall = { load_u64le(at), get_id(at + 8) };
        int rc = stream_files_need_slots(files);
        if (rc < 0) return rc;
        if (i > 0 && (fall.ordinal <= falls->falls[i - 1].ordinal ||
                      stream_id_compare(fall.id, falls->falls[i - 1].id) <= 0)) {
            return -EBADMSG;
        }
        falls->falls[falls->count++] = fall;
    }
    return 0;
}

static int load_image(struct stream *stream, struct stream_files *files, struct slice image)
{
    uint32_t segment_count = load_u32le(image.bytes + 32),
             fall_count = load_u32le(image.bytes + 36);
    uint64_t segments_bytes = (uint64_t)segment_count * IMAGE_SEGMENT_BYTES;
    int rc;

    if (image.size != IMAGE_FIXED_BYTES + segments_bytes + (uint64_t)fall_count * IMAGE_FALL_BYTES)
        return -EBADMSG;
    if (segment_count == 0) return -EBADMSG;
    files->end = load_u64le(image.bytes + 8);
    files->last_id = get_id(image.bytes + 16);
    rc = load_segments(files, image.bytes + IMAGE_FIXED_BYTES, segment_count);
    if (rc == 0)
        rc = load_falls(files, image.bytes + IMAGE_FIXED_BYTES + segments_bytes, fall_count);
    if (rc < 0) return rc;
    stream_files_count_segments(files);
    return stream_files_fit(stream, files) ? 0 : -EBADMSG;
}

int stream_files_image_load(struct stream *stream, struct slice image)
{
    struct stream_files_store *all = stream->store->files;
    struct stream_files *files;
    uint64_t kept;
    int rc;

    if (!all || image.size < IMAGE_FIXED_BYTES) return -EBADMSG;
    kept = all->last_number;
    rc = stream_files_create(stream->store, &files);
    all->last_number = kept;
    if (rc < 0) return rc;
    files->number = load_u64le(image.bytes);
    stream_files_own(files, stream);
    rc = load_image(stream, files, image);
    if (rc == 0 && !stream_files_claim(all, files->number)) rc = -EBADMSG;
    if (rc < 0) {
        files->number = 0; /* it is not ours */
        return rc;
    }
    files->synced = files->end; /* it would not be in a checkpoint else */
    files->saved = (struct files_reference){ .is_there = true,
                                             .start = files->segments[0].start,
                                             .end = files->end };
    return 0;
}
