#include "server/commands/stream_copy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_room.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

enum { INLINE_BYTES = 256 * 1024, BREATH_ENTRIES = 64, PIECE_BYTES = 16 * 1024 };

/* The fields of an entry, while room is made for them. */
struct kept {
    uint8_t *bytes;
    size_t capacity;
};

static int keep(struct kept *kept, struct slice *fields)
{
    if (fields->size > kept->capacity) {
        uint8_t *larger = realloc(kept->bytes, fields->size);
        if (!larger) return -ENOMEM;
        kept->bytes = larger;
        kept->capacity = fields->size;
    }
    memcpy(kept->bytes, fields->bytes, fields->size);
    fields->bytes = kept->bytes;
    return 0;
}

/* Making room for it in the other stream takes the view away. Reading it again then might wait, and
 * meanwhile that stream's journal be closed for another one, or its sync fail: the room is gone. */
static int copy_next(struct server *server, struct stream_cursor *cursor, struct stream *to,
                     struct kept *kept)
{
    struct stream_entry entry;
    int rc = stream_cursor_next(cursor, &entry);

    if (rc <= 0) return rc;
    rc = keep(kept, &entry.fields);
    if (rc == 0) rc = stream_room_insist(server, to, entry.fields.size);
    if (rc < 0) return rc;
    rc = stream_add(to, entry.id, entry.field_count, entry.fields);
    assert(rc == 0); /* ids go up, and there is room */
    return 1;
}

static int copy_each(struct call *call, struct stream *from, struct stream *to)
{
    struct stream_cursor cursor;
    struct kept kept = { NULL, 0 };
    uint64_t steps = 0;
    int rc;

    stream_cursor_begin(&cursor, from, STREAM_ID_MIN, STREAM_FORWARD);
    do {
        rc = copy_next(call->server, &cursor, to, &kept);
        if (rc == 1 && ++steps % BREATH_ENTRIES == 0 && parking_breathe(call->server) < 0)
            rc = -ECANCELED;
    } while (rc == 1);
    free(kept.bytes);
    return rc;
}

static int copy_entries(struct call *call, struct stream *from, struct stream *to)
{
    struct stream_info info;
    int rc = copy_each(call, from, to);

    if (rc < 0) return rc;
    stream_get_info(from, &info);
    stream_set_last_id(to, info.last_id);
    stream_set_added(to, info.entries_added);
    stream_set_max_deleted(to, info.max_deleted_id);
    return 0;
}

/* ---- groups and producers: as a checkpoint would have them, in pieces between which others go on
 */

static int copy_picture(struct call *call, struct stream_groups_picture *picture,
                        struct stream_groups_loader *loader)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    size_t size;
    int rc = piece ? 0 : -ENOMEM;

    while (rc == 0 && (size = stream_groups_picture_read(picture, piece, PIECE_BYTES)) > 0) {
        rc = stream_groups_loader_add(loader, slice_of(piece, size));
        if (rc == 0) rc = parking_breathe(call->server);
    }
    free(piece);
    return rc;
}

static int copy_groups(struct call *call, const struct stream_groups *from, struct value *to)
{
    struct stream_groups_picture *picture = NULL;
    struct stream_groups_loader *loader = NULL;
    struct stream_groups *groups;
    int rc;

    if (!from) return 0;
    rc = stream_groups_picture_take(from, &picture);
    if (rc == 0) rc = stream_groups_loader_create(call->server->stream_groups, &loader);
    if (rc == 0) rc = copy_picture(call, picture, loader);
    if (rc == 0) rc = stream_groups_loader_finish(loader, &groups);
    if (rc == 0) stream_value_set_groups(to, groups);
    stream_groups_loader_destroy(loader);
    stream_groups_picture_drop(picture);
    return rc;
}

static int copy_known(struct call *call, struct stream_producers_picture *picture,
                      struct stream_producers_loader *loader)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    size_t size;
    int rc = piece ? 0 : -ENOMEM;

    while (rc == 0 && (size = stream_producers_picture_read(picture, piece, PIECE_BYTES)) > 0) {
        rc = stream_producers_loader_add(loader, slice_of(piece, size));
        if (rc == 0) rc = parking_breathe(call->server);
    }
    free(piece);
    return rc;
}

static int copy_producers(struct call *call, struct stream_producers *from, struct value *to)
{
    struct stream_producers_picture *picture = NULL;
    struct stream_producers_loader *loader = NULL;
    struct stream_producers *producers;
    int rc;

    if (!from) return 0;
    rc = stream_producers_picture_take(from, &picture);
    if (rc == 0)
        rc = stream_producers_loader_create(stream_store_producers(call->server->streams), &loader);
    if (rc == 0) rc = copy_known(call, picture, loader);
    if (rc == 0) rc = stream_producers_loader_finish(loader, &producers);
    if (rc == 0) stream_value_set_producers(to, producers);
    stream_producers_loader_destroy(loader);
    stream_producers_picture_drop(picture);
    return rc;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static int copy_settings(const struct stream_settings *from, struct value *to)
{
    return from ? stream_value_set_settings(to, from) : 0;
}

static bool is_small(const struct value *value)
{
    struct stream_info info;

    stream_get_info(stream_value_stream(value), &info);
    return info.is_in_memory &&
           info.memory_bytes + value->type->counted_bytes(value) <= INLINE_BYTES;
}

static int copy_all(struct call *call, const struct value *from, struct value *to)
{
    int rc = copy_entries(call, stream_value_stream(from), stream_value_stream(to));

    if (rc == 0) rc = copy_groups(call, stream_value_groups(from), to);
    if (rc == 0) rc = copy_producers(call, stream_value_producers(from), to);
    if (rc == 0) rc = copy_settings(stream_value_settings(from), to);
    (void)stream_value_recount(to); /* the keyspace counts it when it gets it */
    return rc;
}

int stream_copy(struct call *call, const struct value *value, struct value **out_value)
{
    struct value *copy;
    int rc;

    if (!is_small(value) && !call_can_suspend(call)) return -EAGAIN;
    rc = stream_value_create(call->server->streams, &copy);
    if (rc < 0) return rc;
    rc = copy_all(call, value, copy);
    if (rc < 0)
        copy->type->destroy(copy);
    else
        *out_value = copy;
    return rc;
}
