/* cursor.c - reading on from a place, whatever was done to the stream since.
 *
 * What a cursor has to do next is said by an id alone. Where that is to be found is kept beside it
 * (place: three words of the backend's, and the stream's version that they belong to), and sought
 * anew when the stream has another version. */
#include <assert.h>

#include "modules/stream/deleted.h"
#include "modules/stream/stream_internal.h"

enum { PLACE_VERSION = 3 /* index in place */ };

static_assert(sizeof(((struct stream_cursor *)0)->place) ==
                  sizeof(struct stream_place) + sizeof(uint64_t),
              "a place and its version");

void stream_cursor_begin(struct stream_cursor *cursor, struct stream *stream, struct stream_id from,
                         enum stream_direction direction)
{
    *cursor = (struct stream_cursor){ .stream = stream, .direction = direction, .next = from };
}

static void get_place(const struct stream_cursor *cursor, struct stream_place *out_place)
{
    memcpy(out_place, cursor->place, sizeof(*out_place));
}

static void set_place(struct stream_cursor *cursor, const struct stream_place *place)
{
    memcpy(cursor->place, place, sizeof(*place));
    cursor->place[PLACE_VERSION] = cursor->stream->version;
}

static int find_place(struct stream_cursor *cursor, struct stream_place *out_place)
{
    struct stream *stream = cursor->stream;

    get_place(cursor, out_place);
    if (cursor->place[PLACE_VERSION] == stream->version) return 0;
    return stream->backend->seek_id(stream, cursor->next, cursor->direction, out_place);
}

/* Of frames that nobody is shown: whether the cursor has come to the end of all that are. */
static bool is_beyond(const struct stream_cursor *cursor, const struct stream_entry *entry)
{
    return cursor->direction == STREAM_BACKWARD && entry->ordinal < cursor->stream->start;
}

static bool is_shown(const struct stream *stream, const struct stream_entry *entry)
{
    return entry->ordinal >= stream->start && !deleted_has(stream->deleted, entry->ordinal);
}

/* Over what is trimmed or deleted, to the next frame that is there: it may be far away. */
static int skip(const struct stream_cursor *cursor, const struct stream_entry *entry,
                struct stream_place *place)
{
    struct stream *stream = cursor->stream;
    bool is_forward = cursor->direction == STREAM_FORWARD;
    uint64_t ordinal = entry->ordinal < stream->start ? stream->start : entry->ordinal, next;

    next = is_forward ? deleted_next_live(stream->deleted, ordinal)
                      : deleted_previous_live(stream->deleted, ordinal);
    if (next == (is_forward ? entry->ordinal + 1 : entry->ordinal - 1)) return 0;
    return stream->backend->seek_ordinal(stream, next, cursor->direction, place);
}

static void move_behind(struct stream_cursor *cursor, const struct stream_entry *entry,
                        const struct stream_place *place)
{
    cursor->next = entry->id;
    cursor->is_at_end = cursor->direction == STREAM_FORWARD ? !stream_id_increment(&cursor->next)
                                                            : !stream_id_decrement(&cursor->next);
    set_place(cursor, place);
}

int stream_cursor_next(struct stream_cursor *cursor, struct stream_entry *out_entry)
{
    struct stream *stream = cursor->stream;
    struct stream_place place;
    int rc;

    if (cursor->is_at_end) return 0;
    rc = find_place(cursor, &place);
    while (rc == 0) {
        rc = stream->backend->next(stream, cursor->direction, &place, out_entry);
        if (rc <= 0) return rc;
        if (is_beyond(cursor, out_entry)) return 0;
        if (is_shown(stream, out_entry)) {
            move_behind(cursor, out_entry, &place);
            return 1;
        }
        rc = skip(cursor, out_entry, &place);
    }
    return rc;
}
