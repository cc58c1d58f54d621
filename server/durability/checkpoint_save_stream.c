/* A stream becomes a record: its entries, or where they are. So do its groups and what its
 * producers have added, if they are small; else pictures of them are kept, and become records,
 * piece by piece, turn by turn. */
#include "server/durability/checkpoint_internal.h"

#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

#include <errno.h>
#include <stdlib.h>

/* What producers have added is scattered in memory: reading it takes longer. */
enum {
    PIECES_A_TURN = 8,
    PIECES_OF_PRODUCERS = 4, /* one of theirs is worth so many */
    INLINE_PRODUCERS_BYTES = 8 << 10
};

/* A picture: one of both, or none. */
struct picture {
    struct stream_groups_picture *groups;
    struct stream_producers_picture *producers;
};

/* One that becomes records later. */
struct checkpoint_kept {
    struct checkpoint_kept *next;
    struct picture picture;
    struct checkpoint_piece piece;   /* offset: how far it was written */
    struct checkpoint_record record; /* of the next piece */
    uint8_t name[];
};

/* ---- pictures ---- */

static uint64_t picture_size(const struct picture *picture)
{
    if (picture->producers) return stream_producers_picture_size(picture->producers);
    return picture->groups ? stream_groups_picture_size(picture->groups) : 0;
}

/* The next piece: how many bytes. */
static size_t read_piece(struct checkpoint *checkpoint, const struct picture *picture)
{
    if (picture->producers)
        return stream_producers_picture_read(picture->producers, checkpoint->piece,
                                             sizeof(checkpoint->piece));
    return stream_groups_picture_read(picture->groups, checkpoint->piece,
                                      sizeof(checkpoint->piece));
}

static void put_picture(struct checkpoint *checkpoint, const struct picture *picture)
{
    size_t size;
    if (picture_size(picture) == 0) return;
    while ((size = read_piece(checkpoint, picture)) > 0)
        checkpoint_writer_put(checkpoint->writer, slice_of(checkpoint->piece, size));
}

static void drop_picture(struct picture *picture)
{
    stream_groups_picture_drop(picture->groups);
    stream_producers_picture_drop(picture->producers);
    *picture = (struct picture){ 0 };
}

static int take_groups(const struct stream_groups *groups, struct picture *out_picture)
{
    if (!groups || stream_groups_count(groups) == 0) return 0;
    return stream_groups_picture_take(groups, &out_picture->groups);
}

static int take_producers(struct stream_producers *producers, struct picture *out_picture)
{
    return producers ? stream_producers_picture_take(producers, &out_picture->producers) : 0;
}

/* ---- what is large ---- */

/* Takes the picture over when it is large; *out_follows says whether. */
static int keep_large(struct checkpoint *checkpoint, const struct pictured_key *key,
                      struct picture *picture, bool *out_follows)
{
    struct checkpoint_kept *kept;
    if (picture_size(picture) <= (picture->producers ? INLINE_PRODUCERS_BYTES : CHECKPOINT_PIECE))
        return 0;
    kept = malloc(sizeof(*kept) + key->name.size);
    if (!kept) return -ENOMEM;
    *kept = (struct checkpoint_kept){
        .picture = *picture,
        .piece.total_bytes = picture_size(picture),
        .record = { .kind = picture->producers ? CHECKPOINT_PRODUCERS : CHECKPOINT_GROUPS,
                    .database = key->database,
                    .name_size = (uint32_t)key->name.size,
                    .expires_at_ms = -1 },
    };
    if (key->name.size > 0) memcpy(kept->name, key->name.bytes, key->name.size);
    *checkpoint->kept_end = kept;
    checkpoint->kept_end = &kept->next;
    checkpoint->kept_count++;
    *picture = (struct picture){ 0 };
    *out_follows = true;
    return 0;
}

static void drop_first(struct checkpoint *checkpoint)
{
    struct checkpoint_kept *kept = checkpoint->kept_first;
    checkpoint->kept_first = kept->next;
    if (!kept->next) checkpoint->kept_end = &checkpoint->kept_first;
    checkpoint->kept_count--;
    drop_picture(&kept->picture);
    free(kept);
}

static void write_piece(struct checkpoint *checkpoint)
{
    struct checkpoint_kept *kept = checkpoint->kept_first;
    uint8_t head[CHECKPOINT_PIECE_BYTES];
    size_t size = read_piece(checkpoint, &kept->picture);
    if (size == 0) {
        drop_first(checkpoint);
        return;
    }
    checkpoint_piece_write(&kept->piece, head);
    kept->record.value_size = sizeof(head) + size;
    checkpoint_writer_begin_record(checkpoint->writer, &kept->record,
                                   slice_of(kept->name, kept->record.name_size));
    checkpoint_writer_put(checkpoint->writer, slice_of(head, sizeof(head)));
    checkpoint_writer_put(checkpoint->writer, slice_of(checkpoint->piece, size));
    kept->piece.offset += size;
}

bool checkpoint_save_kept(struct checkpoint *checkpoint)
{
    for (int i = 0; i < PIECES_A_TURN && checkpoint->kept_first;) {
        i += checkpoint->kept_first->picture.producers ? PIECES_OF_PRODUCERS : 1;
        write_piece(checkpoint);
    }
    return checkpoint->kept_first != NULL;
}

void checkpoint_drop_kept(struct checkpoint *checkpoint)
{
    while (checkpoint->kept_first)
        drop_first(checkpoint);
}

/* ---- a stream ---- */

/* Its parts as they go into its record; what follows later is not among them any more. */
struct stream_parts {
    struct checkpoint_stream saved;
    struct picture groups, producers;
};

static void put(void *context, struct slice bytes)
{
    checkpoint_writer_put(context, bytes);
}

/* NULL: there are none. */
static void put_settings(struct checkpoint *checkpoint, const struct stream_settings *settings)
{
    uint8_t image[STREAM_SETTINGS_IMAGE_BYTES];
    if (!settings) return;
    stream_settings_image_write(settings, image);
    checkpoint_writer_put(checkpoint->writer, slice_of(image, sizeof(image)));
}

static void write_stream(struct checkpoint *checkpoint, const struct pictured_key *key,
                         const struct stream_parts *parts)
{
    const struct checkpoint_stream *saved = &parts->saved;
    uint8_t head[CHECKPOINT_STREAM_BYTES];
    struct checkpoint_record record = {
        .kind = CHECKPOINT_STREAM,
        .database = key->database,
        .name_size = (uint32_t)key->name.size,
        .value_size = sizeof(head) + saved->settings_bytes + saved->entries_bytes +
                      saved->producers_bytes + picture_size(&parts->groups),
        .expires_at_ms = key->expires_at_ms,
    };
    checkpoint_stream_write(saved, head);
    checkpoint_writer_begin_record(checkpoint->writer, &record, key->name);
    checkpoint_writer_put(checkpoint->writer, slice_of(head, sizeof(head)));
    put_settings(checkpoint, stream_value_settings(key->value));
    stream_image_write(stream_value_stream(key->value), put, checkpoint->writer);
    put_picture(checkpoint, &parts->producers);
    put_picture(checkpoint, &parts->groups);
}

static int take_parts(struct checkpoint *checkpoint, const struct pictured_key *key,
                      struct stream_parts *parts)
{
    struct checkpoint_stream *saved = &parts->saved;
    int rc = take_groups(stream_value_groups(key->value), &parts->groups);
    if (rc == 0) rc = take_producers(stream_value_producers(key->value), &parts->producers);
    if (rc == 0) rc = keep_large(checkpoint, key, &parts->groups, &saved->groups_follow);
    if (rc == 0) rc = keep_large(checkpoint, key, &parts->producers, &saved->producers_follow);
    saved->settings_bytes = stream_value_settings(key->value) ? STREAM_SETTINGS_IMAGE_BYTES : 0;
    saved->entries_bytes = stream_image_size(stream_value_stream(key->value));
    saved->producers_bytes = picture_size(&parts->producers);
    return rc;
}

void checkpoint_save_stream(struct checkpoint *checkpoint, const struct pictured_key *key)
{
    struct stream_parts parts = { .saved = { .groups_follow = false } };
    int rc = take_parts(checkpoint, key, &parts);
    if (rc < 0)
        checkpoint_spoil(checkpoint, rc, "saving a stream");
    else
        write_stream(checkpoint, key, &parts);
    drop_picture(&parts.groups);
    drop_picture(&parts.producers);
}
