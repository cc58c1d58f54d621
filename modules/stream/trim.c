/* trim.c - what goes from a stream: from its beginning, and single entries.
 *
 * start always stands at an entry that is there, or at end: whatever is deleted before that is
 * trimmed, too. So a stream whose entries are deleted in the order in which they came costs no
 * more than one that is trimmed. */
#include <assert.h>

#include "modules/stream/deleted.h"
#include "modules/stream/stream_internal.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Where the first so many entries that are there end: at the one behind them. */
static uint64_t ordinal_behind(const struct stream *stream, uint64_t count)
{
    if (count >= stream_count(stream)) return stream->end;
    return deleted_select_live(stream->deleted, stream->start, count);
}

static int exact_end(struct stream *stream, const struct stream_trim *trim, uint64_t *out_ordinal)
{
    uint64_t count = stream_count(stream), ordinal;
    int rc;

    if (!trim->by_id) {
        *out_ordinal = ordinal_behind(stream, count > trim->length ? count - trim->length : 0);
        return 0;
    }
    rc = stream_ordinal_of(stream, trim->id, &ordinal);
    if (rc < 0) return rc;
    *out_ordinal = deleted_next_live(stream->deleted, ordinal);
    return 0;
}

/* Groups are ordinals 1 … node_entries, and so on; the last one counts as whole when it goes with
 * all the others. */
static uint64_t whole_groups(const struct stream *stream, uint64_t ordinal)
{
    uint64_t size = stream->store->options.node_entries;

    if (ordinal == stream->end) return ordinal;
    ordinal = (ordinal - 1) / size * size + 1;
    return ordinal > stream->start ? ordinal : stream->start;
}

int stream_trim_end(struct stream *stream, const struct stream_trim *trim, uint64_t *out_ordinal)
{
    uint64_t ordinal;
    int rc = exact_end(stream, trim, &ordinal);

    if (rc < 0) return rc;
    if (trim->limit > 0) ordinal = least(ordinal, ordinal_behind(stream, trim->limit));
    *out_ordinal = trim->is_approximate ? whole_groups(stream, ordinal) : ordinal;
    return 0;
}

uint64_t stream_trim_end_of_bytes(const struct stream *stream, uint64_t bytes)
{
    uint64_t ordinal = stream->backend->end_of_bytes(stream, bytes);

    assert(ordinal >= stream->start && ordinal <= stream->end);
    return ordinal;
}

void stream_move_start(struct stream *stream, uint64_t ordinal)
{
    uint64_t start = least(deleted_next_live(stream->deleted, ordinal), stream->end);
    int64_t before = (int64_t)deleted_memory_bytes(stream->deleted);

    assert(!stream->is_snapshot);
    stream->backend->trim(stream, start);
    deleted_drop_below(&stream->deleted, start);
    stream_charge(stream, (int64_t)deleted_memory_bytes(stream->deleted) - before);
    stream->start = start;
}

uint64_t stream_trim(struct stream *stream, uint64_t ordinal)
{
    uint64_t count = stream_count_between(stream, stream->start, ordinal);

    assert(ordinal <= stream->end);
    if (ordinal > stream->start) stream_move_start(stream, ordinal);
    return count;
}

/* The bit of one behind start. */
static int mark_deleted(struct stream *stream, uint64_t ordinal)
{
    int64_t before = (int64_t)deleted_memory_bytes(stream->deleted);
    int rc = deleted_add(&stream->deleted, ordinal);

    assert(!stream->is_snapshot);
    stream_charge(stream, (int64_t)deleted_memory_bytes(stream->deleted) - before);
    return rc;
}

int stream_delete(struct stream *stream, uint64_t ordinal, struct stream_id id)
{
    if (ordinal < stream->start || ordinal >= stream->end) return 0;
    if (deleted_has(stream->deleted, ordinal)) return 0;
    if (ordinal == stream->start) {
        stream_move_start(stream, ordinal + 1);
    } else {
        int rc = mark_deleted(stream, ordinal);
        if (rc < 0) return rc;
        stream->backend->forget(stream, ordinal);
    }
    if (stream_id_compare(id, stream->max_deleted_id) > 0) stream->max_deleted_id = id;
    return 1;
}
