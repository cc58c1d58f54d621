/* A stream becomes a record: its entries, or where they are, and what its producers have added. So
 * do its groups, if they are small; else a picture of them is kept, and becomes records, piece by
 * piece, turn by turn. */
#include "server/durability/checkpoint_internal.h"

#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

#include <errno.h>
#include <stdlib.h>

enum { PIECES_A_TURN = 8 };

/* Groups that become records later. */
struct checkpoint_groups_kept {
    struct checkpoint_groups_kept *next;
    struct stream_groups_picture *picture;
    struct checkpoint_groups groups; /* offset: how far it was written */
    struct checkpoint_record record; /* of the next piece */
    uint8_t name[];
};

static void put(void *context, struct slice bytes)
{
    checkpoint_writer_put(context, bytes);
}

/* The next piece of groups: how many bytes. */
static size_t read_piece(struct checkpoint *checkpoint, struct stream_groups_picture *picture)
{
    return stream_groups_picture_read(picture, checkpoint->groups_piece,
                                      sizeof(checkpoint->groups_piece));
}

static void put_groups(struct checkpoint *checkpoint, struct stream_groups_picture *picture)
{
    size_t size;
    while ((size = read_piece(checkpoint, picture)) > 0)
        checkpoint_writer_put(checkpoint->writer, slice_of(checkpoint->groups_piece, size));
}

/* ---- large groups ---- */

/* Takes picture over. */
static int keep_groups(struct checkpoint *checkpoint, const struct pictured_key *key,
                       struct stream_groups_picture *picture)
{
    struct checkpoint_groups_kept *kept = malloc(sizeof(*kept) + key->name.size);
    if (!kept) return -ENOMEM;
    *kept = (struct checkpoint_groups_kept){
        .picture = picture,
        .groups.total_bytes = stream_groups_picture_size(picture),
        .record = { .kind = CHECKPOINT_GROUPS,
                    .database = key->database,
                    .name_size = (uint32_t)key->name.size,
                    .expires_at_ms = -1 },
    };
    if (key->name.size > 0) memcpy(kept->name, key->name.bytes, key->name.size);
    *checkpoint->groups_end = kept;
    checkpoint->groups_end = &kept->next;
    checkpoint->groups_count++;
    return 0;
}

static void drop_first(struct checkpoint *checkpoint)
{
    struct checkpoint_groups_kept *kept = checkpoint->groups_first;
    checkpoint->groups_first = kept->next;
    if (!kept->next) checkpoint->groups_end = &checkpoint->groups_first;
    checkpoint->groups_count--;
    stream_groups_picture_drop(kept->picture);
    free(kept);
}

static void write_piece(struct checkpoint *checkpoint)
{
    struct checkpoint_groups_kept *kept = checkpoint->groups_first;
    uint8_t head[CHECKPOINT_GROUPS_BYTES];
    size_t size = read_piece(checkpoint, kept->picture);
    if (size == 0) {
        drop_first(checkpoint);
        return;
    }
    checkpoint_groups_write(&kept->groups, head);
    kept->record.value_size = sizeof(head) + size;
    checkpoint_writer_begin_record(checkpoint->writer, &kept->record,
                                   slice_of(kept->name, kept->record.name_size));
    checkpoint_writer_put(checkpoint->writer, slice_of(head, sizeof(head)));
    checkpoint_writer_put(checkpoint->writer, slice_of(checkpoint->groups_piece, size));
    kept->groups.offset += size;
}

bool checkpoint_save_groups(struct checkpoint *checkpoint)
{
    for (int i = 0; i < PIECES_A_TURN && checkpoint->groups_first; i++)
        write_piece(checkpoint);
    return checkpoint->groups_first != NULL;
}

void checkpoint_drop_groups(struct checkpoint *checkpoint)
{
    while (checkpoint->groups_first)
        drop_first(checkpoint);
}

/* ---- a stream ---- */

static int take_picture(const struct stream_groups *groups,
                        struct stream_groups_picture **out_picture)
{
    *out_picture = NULL;
    if (!groups || stream_groups_count(groups) == 0) return 0;
    return stream_groups_picture_take(groups, out_picture);
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
                         const struct checkpoint_stream *saved,
                         struct stream_groups_picture *picture)
{
    const struct stream *stream = stream_value_stream(key->value);
    const struct stream_producers *producers = stream_value_producers(key->value);
    uint8_t head[CHECKPOINT_STREAM_BYTES];
    struct checkpoint_record record = {
        .kind = CHECKPOINT_STREAM,
        .database = key->database,
        .name_size = (uint32_t)key->name.size,
        .value_size = sizeof(head) + saved->settings_bytes + saved->entries_bytes +
                      saved->producers_bytes + (picture ? stream_groups_picture_size(picture) : 0),
        .expires_at_ms = key->expires_at_ms,
    };
    checkpoint_stream_write(saved, head);
    checkpoint_writer_begin_record(checkpoint->writer, &record, key->name);
    checkpoint_writer_put(checkpoint->writer, slice_of(head, sizeof(head)));
    put_settings(checkpoint, stream_value_settings(key->value));
    stream_image_write(stream, put, checkpoint->writer);
    if (producers) stream_producers_image_write(producers, put, checkpoint->writer);
    if (picture) put_groups(checkpoint, picture);
}

void checkpoint_save_stream(struct checkpoint *checkpoint, const struct pictured_key *key)
{
    const struct stream_producers *producers = stream_value_producers(key->value);
    struct checkpoint_stream saved = {
        .settings_bytes = stream_value_settings(key->value) ? STREAM_SETTINGS_IMAGE_BYTES : 0,
        .entries_bytes = stream_image_size(stream_value_stream(key->value)),
        .producers_bytes = producers ? stream_producers_image_size(producers) : 0,
    };
    struct stream_groups_picture *picture;
    int rc = take_picture(stream_value_groups(key->value), &picture);
    if (rc == 0 && picture && stream_groups_picture_size(picture) > CHECKPOINT_GROUPS_PIECE) {
        rc = keep_groups(checkpoint, key, picture);
        if (rc == 0) {
            saved.groups_follow = true;
            picture = NULL;
        }
    }
    if (rc < 0)
        checkpoint_spoil(checkpoint, rc, "saving a stream");
    else
        write_stream(checkpoint, key, &saved, picture);
    stream_groups_picture_drop(picture);
}
