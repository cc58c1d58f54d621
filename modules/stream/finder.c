#include "modules/stream/finder.h"

enum { FRAME_BYTES = 32 /* of a frame beside its fields, about */ };

void stream_finder_begin(struct stream_finder *finder, struct stream *stream)
{
    *finder = (struct stream_finder){ .cursor = { .stream = stream } };
}

/* Over what was read and is less. */
static void pass(struct stream_finder *finder, struct stream_id id)
{
    for (; finder->at < finder->count; finder->at++) {
        const struct stream_entry *entry = &finder->entries[finder->at];

        if (stream_id_compare(entry->id, id) >= 0) return;
        finder->walked_bytes += entry->fields.size + FRAME_BYTES;
    }
}

/* How many come next; 0: none do. */
static int read_on(struct stream_finder *finder, struct stream_id id)
{
    struct stream_want want = { .count = STREAM_FIND_AT_ONCE, .bytes = STREAM_FIND_WALK_BYTES };
    int rc;

    if (!finder->has_begun || finder->walked_bytes > STREAM_FIND_WALK_BYTES) {
        stream_cursor_begin(&finder->cursor, finder->cursor.stream, id, STREAM_FORWARD);
        finder->walked_bytes = 0;
        finder->has_begun = true;
    }
    finder->count = finder->at = 0;
    rc = stream_cursor_next_some(&finder->cursor, want, finder->entries);
    if (rc > 0) finder->count = rc;
    return rc;
}

int stream_finder_next(struct stream_finder *finder, struct stream_id id, uint64_t *out_ordinal)
{
    finder->walked_bytes = 0;
    for (;;) {
        const struct stream_entry *entry;
        int rc;

        pass(finder, id);
        if (finder->at == finder->count) {
            rc = read_on(finder, id);
            if (rc <= 0) return rc;
            continue;
        }
        entry = &finder->entries[finder->at];
        if (stream_id_compare(entry->id, id) != 0) return 0;
        *out_ordinal = entry->ordinal;
        return 1;
    }
}

/* ---- with what they hold ---- */

void stream_seeker_begin(struct stream_seeker *seeker, struct stream *stream)
{
    *seeker = (struct stream_seeker){ .cursor = { .stream = stream } };
}

static void search(struct stream_seeker *seeker, struct stream_id id)
{
    stream_cursor_begin(&seeker->cursor, seeker->cursor.stream, id, STREAM_FORWARD);
    seeker->has_begun = true;
    seeker->has_place = false;
}

/* That one was read from where before stood: there it goes on, if that costs no search. */
static void stop_before(struct stream_seeker *seeker, const struct stream_cursor *before,
                        struct stream_id id)
{
    if (seeker->has_place)
        seeker->cursor = *before;
    else
        seeker->has_begun = false;
    seeker->greater = id;
    seeker->has_greater = true;
}

static int seek(struct stream_seeker *seeker, struct stream_id id, struct stream_entry *out_entry)
{
    uint64_t walked_bytes = 0;

    if (seeker->has_greater && stream_id_compare(id, seeker->greater) < 0) return 0;
    seeker->has_greater = false;
    for (;;) {
        struct stream_cursor before;
        struct stream_entry entry;
        int rc;

        if (!seeker->has_begun || walked_bytes > STREAM_FIND_WALK_BYTES) {
            search(seeker, id);
            walked_bytes = 0;
        }
        before = seeker->cursor;
        rc = stream_cursor_next(&seeker->cursor, &entry);
        if (rc <= 0) return rc;
        rc = stream_id_compare(entry.id, id);
        if (rc > 0) {
            stop_before(seeker, &before, entry.id);
            return 0;
        }
        seeker->has_place = true;
        if (rc == 0) {
            *out_entry = entry;
            return 1;
        }
        walked_bytes += entry.fields.size + FRAME_BYTES;
    }
}

int stream_seeker_next(struct stream_seeker *seeker, struct stream_id id,
                       struct stream_entry *out_entry)
{
    int rc;

    if (seeker->has_sought && stream_id_compare(id, seeker->sought) <= 0)
        seeker->has_begun = seeker->has_greater = seeker->has_sought = false;
    rc = seek(seeker, id, out_entry);
    if (rc < 0) return rc;
    seeker->sought = id;
    seeker->has_sought = true;
    return rc;
}
