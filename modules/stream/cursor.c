/* cursor.c - reading on from a place, whatever was done to the stream since.
 *
 * What a cursor has to do next is said by an id alone. Where that is to be found is kept beside it
 * (place: three words of the backend's, and the stream's version that they belong to), and sought
 * anew when the stream has another version. */
#include <assert.h>
#include <errno.h>

#include "modules/stream/deleted.h"
#include "modules/stream/stream_internal.h"

enum {
    PLACE_VERSION = 3, /* index in place */
    NEAR = 16          /* ordinals: reading over so many costs less than to seek what is behind */
};

static_assert(sizeof(((struct stream_cursor *)0)->place) ==
                  sizeof(struct stream_place) + sizeof(uint64_t),
              "a place and its version");

void stream_cursor_begin(struct stream_cursor *cursor, struct stream *stream, struct stream_id from,
                         enum stream_direction direction)
{
    *cursor = (struct stream_cursor){ .stream = stream, .direction = direction, .next = from };
}

/* All frames stand in it where they stood: so does the place, if it is worth anything. */
void stream_cursor_enter(struct stream_cursor *cursor, struct stream *snapshot)
{
    bool has_place = cursor->place[PLACE_VERSION] == cursor->stream->version;

    assert(snapshot->is_snapshot && snapshot->backend == cursor->stream->backend);
    cursor->stream = snapshot;
    cursor->place[PLACE_VERSION] = has_place ? snapshot->version : 0;
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

/* Of a frame that nobody is shown: whether the cursor has come to the end of all that are. */
static bool is_beyond(const struct stream_cursor *cursor, uint64_t ordinal)
{
    return cursor->direction == STREAM_BACKWARD && ordinal < cursor->stream->start;
}

static bool is_shown(const struct stream *stream, const struct stream_entry *entry)
{
    return entry->ordinal >= stream->start && !deleted_has(stream->deleted, entry->ordinal);
}

/* Those that are shown, closed up; how many. */
static uint32_t keep_shown(const struct stream *stream, struct stream_entry *entries,
                           uint32_t count)
{
    uint32_t kept = 0;

    if (!stream->deleted && entries[0].ordinal >= stream->start &&
        entries[count - 1].ordinal >= stream->start) {
        return count;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_shown(stream, &entries[i])) entries[kept++] = entries[i];
    }
    return kept;
}

/* Over what is trimmed or deleted, from that frame to the next one that is there, if it is far
 * away: among entries that were deleted here and there, who sought each would have a job search for
 * each. */
static int skip(const struct stream_cursor *cursor, uint64_t ordinal, struct stream_place *place)
{
    struct stream *stream = cursor->stream;
    bool is_forward = cursor->direction == STREAM_FORWARD;
    uint64_t from = ordinal < stream->start ? stream->start : ordinal, next, distance;

    next = is_forward ? deleted_next_live(stream->deleted, from)
                      : deleted_previous_live(stream->deleted, from);
    distance = is_forward ? next - ordinal : ordinal - next;
    if (distance <= NEAR) return 0;
    return stream->backend->seek_ordinal(stream, next, cursor->direction, place);
}

/* entry: the last one that was shown. */
static void move_behind(struct stream_cursor *cursor, const struct stream_entry *entry,
                        const struct stream_place *place)
{
    cursor->next = entry->id;
    cursor->is_at_end = cursor->direction == STREAM_FORWARD ? !stream_id_increment(&cursor->next)
                                                            : !stream_id_decrement(&cursor->next);
    set_place(cursor, place);
}

int stream_cursor_next_some(struct stream_cursor *cursor, struct stream_want want,
                            struct stream_entry *out_entries)
{
    struct stream *stream = cursor->stream;
    struct stream_place place;
    int rc;

    if (cursor->is_at_end) return 0;
    rc = find_place(cursor, &place);
    while (rc == 0) {
        uint64_t last_ordinal;
        uint32_t shown;

        rc = stream->backend->next(stream, cursor->direction, want, &place, out_entries);
        /* Sought again by who asks again, it would let go of what is read meanwhile, and so on. */
        if (rc == -EAGAIN) set_place(cursor, &place);
        if (rc <= 0) return rc;
        last_ordinal = out_entries[rc - 1].ordinal;
        shown = keep_shown(stream, out_entries, (uint32_t)rc);
        if (shown > 0) {
            move_behind(cursor, &out_entries[shown - 1], &place);
            return (int)shown;
        }
        if (is_beyond(cursor, last_ordinal)) return 0;
        rc = skip(cursor, last_ordinal, &place);
    }
    return rc;
}

int stream_cursor_next(struct stream_cursor *cursor, struct stream_entry *out_entry)
{
    return stream_cursor_next_some(cursor, STREAM_WANT_ONE, out_entry);
}

int stream_cursor_ordinal(struct stream_cursor *cursor, uint64_t *out_ordinal)
{
    struct stream *stream = cursor->stream;
    struct stream_place place;
    struct stream_entry entry;
    int rc;

    assert(cursor->direction == STREAM_FORWARD);
    *out_ordinal = stream->end;
    if (cursor->is_at_end || stream->start == stream->end ||
        stream_id_compare(cursor->next, stream->last_id) > 0) {
        return 0;
    }
    rc = find_place(cursor, &place);
    if (rc < 0) return rc;
    set_place(cursor, &place);
    rc = stream->backend->next(stream, STREAM_FORWARD, STREAM_WANT_ONE, &place, &entry);
    if (rc <= 0) return rc;
    *out_ordinal = entry.ordinal > stream->start ? entry.ordinal : stream->start;
    return 0;
}
