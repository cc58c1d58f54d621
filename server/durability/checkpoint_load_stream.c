#include "server/durability/checkpoint_load_stream.h"

#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/durability/checkpoint_reader.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What an image said of itself, in words for the operator. */
static int tell(struct checkpoint_reader *reader, int rc, const char *damaged)
{
    if (rc == -EPROTONOSUPPORT)
        return checkpoint_reader_refuse(reader, "a stream was written by another version");
    return rc == -EBADMSG ? checkpoint_reader_refuse(reader, damaged) : rc;
}

/* ---- groups and producers ---- */

static int load_groups(struct stream_group_store *store, struct slice image,
                       struct stream_groups **out_groups)
{
    struct stream_groups_loader *loader;
    int rc = stream_groups_loader_create(store, &loader);
    if (rc < 0) return rc;
    rc = stream_groups_loader_add(loader, image);
    if (rc == 0) rc = stream_groups_loader_finish(loader, out_groups);
    stream_groups_loader_destroy(loader);
    return rc;
}

static int load_producers(struct stream_producer_store *store, struct slice image,
                          struct stream_producers **out_producers)
{
    struct stream_producers_loader *loader;
    int rc = stream_producers_loader_create(store, &loader);
    if (rc < 0) return rc;
    rc = stream_producers_loader_add(loader, image);
    if (rc == 0) rc = stream_producers_loader_finish(loader, out_producers);
    stream_producers_loader_destroy(loader);
    return rc;
}

/* ---- piece by piece ---- */

static void forget_loader(struct checkpoint_stream_load *load)
{
    stream_groups_loader_destroy(load->groups);
    load->groups = NULL;
    stream_producers_loader_destroy(load->producers);
    load->producers = NULL;
    free(load->name);
    load->name = NULL;
}

void checkpoint_load_streams_finish(struct checkpoint_stream_load *load)
{
    forget_loader(load);
}

static bool has_begun(const struct checkpoint_stream_load *load)
{
    return load->groups || load->producers;
}

static int begin_loader(struct checkpoint_stream_load *load, struct stream_store *streams,
                        struct stream_group_store *groups, const struct checkpoint_record *record,
                        struct slice name, uint64_t total)
{
    int rc;
    load->name = malloc(name.size + 1);
    if (!load->name) return -ENOMEM;
    if (name.size > 0) memcpy(load->name, name.bytes, name.size);
    load->name_size = record->name_size;
    load->database = record->database;
    load->loaded_bytes = 0;
    load->total_bytes = total;
    if (record->kind == CHECKPOINT_PRODUCERS)
        rc = stream_producers_loader_create(stream_store_producers(streams), &load->producers);
    else
        rc = stream_groups_loader_create(groups, &load->groups);
    if (rc < 0) forget_loader(load);
    return rc;
}

/* The piece is the next one of what has begun. */
static bool goes_on(const struct checkpoint_stream_load *load,
                    const struct checkpoint_record *record, struct slice name,
                    const struct checkpoint_piece *piece)
{
    return (record->kind == CHECKPOINT_PRODUCERS ? load->producers != NULL
                                                 : load->groups != NULL) &&
           load->database == record->database &&
           slice_equal(slice_of(load->name, load->name_size), name) &&
           load->loaded_bytes == piece->offset && load->total_bytes == piece->total_bytes;
}

static const char *damaged_part(const struct checkpoint_stream_load *load)
{
    return load->producers ? "a stream's producers are damaged" : "a stream's groups are damaged";
}

/* All pieces have come. */
static int end_loader(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                      struct checkpoint_stream_part *out_part)
{
    int rc;
    *out_part = (struct checkpoint_stream_part){ 0 };
    if (load->producers)
        rc = stream_producers_loader_finish(load->producers, &out_part->producers);
    else
        rc = stream_groups_loader_finish(load->groups, &out_part->groups);
    if (rc < 0) return tell(reader, rc, damaged_part(load));
    load->awaited_count--;
    forget_loader(load);
    return 1;
}

static int load_bytes(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                      size_t size)
{
    uint8_t *bytes = malloc(size);
    int rc = bytes ? checkpoint_reader_read(reader, bytes, size) : -ENOMEM;
    if (rc == 0 && load->producers)
        rc = stream_producers_loader_add(load->producers, slice_of(bytes, size));
    else if (rc == 0)
        rc = stream_groups_loader_add(load->groups, slice_of(bytes, size));
    free(bytes);
    load->loaded_bytes += size;
    return tell(reader, rc, damaged_part(load));
}

int checkpoint_load_piece(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                          struct stream_store *streams, struct stream_group_store *groups,
                          const struct checkpoint_record *record, struct slice name,
                          struct checkpoint_stream_part *out_part)
{
    uint8_t head[CHECKPOINT_PIECE_BYTES] = { 0 };
    struct checkpoint_piece piece = { 0 };
    int rc;
    if (record->value_size < sizeof(head))
        return checkpoint_reader_refuse(reader, "a piece of a stream is too short");
    rc = checkpoint_reader_read(reader, head, sizeof(head));
    if (rc < 0) return rc;
    if (checkpoint_piece_read(head, record->value_size, &piece) < 0)
        return checkpoint_reader_refuse(reader, "a piece of a stream is damaged");
    if (!has_begun(load) && piece.offset == 0 && load->awaited_count > 0)
        rc = begin_loader(load, streams, groups, record, name, piece.total_bytes);
    else if (!goes_on(load, record, name, &piece))
        rc = checkpoint_reader_refuse(reader, "a piece of a stream is not the next one");
    if (rc == 0) rc = load_bytes(load, reader, (size_t)record->value_size - sizeof(head));
    if (rc < 0 || load->loaded_bytes < load->total_bytes) return rc;
    return end_loader(load, reader, out_part);
}

int checkpoint_load_streams_end(const struct checkpoint_stream_load *load,
                                struct checkpoint_reader *reader)
{
    if (load->awaited_count == 0) return 0;
    return checkpoint_reader_refuse(reader, "the groups or producers of a stream are missing");
}

/* ---- a stream ---- */

/* The images of a stream, and what is made of each. */
struct stream_parts {
    struct stream *stream;
    struct stream_producers *producers;
    struct stream_groups *groups;
    struct stream_settings settings;
};

static void destroy_parts(struct stream_parts *parts)
{
    stream_groups_destroy(parts->groups);
    stream_producers_destroy(parts->producers);
    stream_destroy(parts->stream);
}

/* The next bytes of the images. */
static struct slice take(struct slice *images, uint64_t size)
{
    struct slice taken = slice_of(images->bytes, (size_t)size);
    *images = slice_of(images->bytes + size, images->size - (size_t)size);
    return taken;
}

static int load_parts(struct checkpoint_reader *reader, struct stream_store *streams,
                      struct stream_group_store *groups, const struct checkpoint_stream *saved,
                      struct slice images, struct stream_parts *out_parts)
{
    struct slice settings = take(&images, saved->settings_bytes);
    struct slice entries = take(&images, saved->entries_bytes);
    struct slice producers = take(&images, saved->producers_bytes);
    int rc = 0;
    if (settings.size > 0)
        rc = tell(reader, stream_settings_image_load(settings, &out_parts->settings),
                  "a stream's settings are damaged");
    if (rc == 0)
        rc = tell(reader, stream_image_load(streams, entries, &out_parts->stream),
                  "a stream's entries are damaged, or not where they should be");
    if (rc == 0 && producers.size > 0)
        rc = tell(reader,
                  load_producers(stream_store_producers(streams), producers, &out_parts->producers),
                  "a stream's producers are damaged");
    if (rc == 0 && images.size > 0)
        rc = tell(reader, load_groups(groups, images, &out_parts->groups),
                  "a stream's groups are damaged");
    return rc;
}

/* On error the value is destroyed. */
static int give_settings(struct value *value, const struct stream_settings *settings)
{
    int rc = stream_value_set_settings(value, settings);
    if (rc < 0)
        value->type->destroy(value);
    else
        (void)stream_value_recount(value); /* the keyspace counts it when it gets it */
    return rc;
}

static int load_value(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                      struct stream_store *streams, struct stream_group_store *groups,
                      struct slice value, struct value **out_value)
{
    struct stream_parts parts = { 0 };
    struct checkpoint_stream saved;
    int rc;
    if (value.size < CHECKPOINT_STREAM_BYTES ||
        checkpoint_stream_read(value.bytes, value.size, &saved) < 0)
        return checkpoint_reader_refuse(reader, "a stream's record is damaged");
    rc = load_parts(
        reader, streams, groups, &saved,
        slice_of(value.bytes + CHECKPOINT_STREAM_BYTES, value.size - CHECKPOINT_STREAM_BYTES),
        &parts);
    if (rc == 0)
        rc = stream_value_create_of(parts.stream, parts.groups, parts.producers, out_value);
    if (rc < 0) {
        destroy_parts(&parts);
        return rc;
    }
    load->awaited_count += (uint64_t)saved.groups_follow + saved.producers_follow;
    return give_settings(*out_value, &parts.settings);
}

int checkpoint_load_stream(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                           struct stream_store *streams, struct stream_group_store *groups,
                           uint64_t value_bytes, struct value **out_value)
{
    uint8_t *bytes = malloc((size_t)value_bytes + 1); /* less than the file is long */
    int rc = bytes ? checkpoint_reader_read(reader, bytes, (size_t)value_bytes) : -ENOMEM;
    if (rc == 0)
        rc = load_value(load, reader, streams, groups, slice_of(bytes, (size_t)value_bytes),
                        out_value);
    free(bytes);
    return rc;
}
