#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/stream/block.h"
#include "modules/stream/deleted.h"
#include "modules/stream/files.h"

int stream_create(struct stream_store *store, struct stream **out_stream)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream) return -ENOMEM;
    stream->store = store;
    stream->backend = &stream_memory_backend;
    stream->start = stream->end = 1;
    stream->version = 1;
    store->stream_count++;
    stream_charge(stream, (int64_t)alloc_size(sizeof(*stream)));
    *out_stream = stream;
    return 0;
}

void stream_destroy(struct stream *stream)
{
    if (!stream) return;
    stream_files_forget(stream);
    stream->backend->destroy(stream);
    deleted_destroy(stream->deleted);
    stream->store->memory_bytes -= stream->memory_bytes;
    stream->store->stream_count--;
    free(stream);
}

uint64_t stream_count(const struct stream *stream)
{
    return stream->end - stream->start - deleted_count(stream->deleted);
}

struct stream_store *stream_store_of(const struct stream *stream)
{
    return stream->store;
}

struct stream_id stream_last_id(const struct stream *stream)
{
    return stream->last_id;
}

void stream_get_info(const struct stream *stream, struct stream_info *out_info)
{
    *out_info = (struct stream_info){
        .count = stream_count(stream),
        .start = stream->start,
        .end = stream->end,
        .deleted_count = deleted_count(stream->deleted),
        .entries_added = stream->entries_added,
        .last_id = stream->last_id,
        .max_deleted_id = stream->max_deleted_id,
        .memory_bytes = stream->memory_bytes,
    };
    stream->backend->get_info(stream, out_info);
}

void stream_set_codec(struct stream *stream, enum journal_codec codec)
{
    if (stream->codec == codec) return;
    stream->codec = (uint8_t)codec;
    if (stream->backend->codec_changed) stream->backend->codec_changed(stream);
}

/* ---- adding ---- */

int stream_reserve(struct stream *stream, uint64_t fields_bytes)
{
    assert(!stream->is_snapshot);
    if (fields_bytes > STREAM_FIELDS_BYTES_MAX) return -EMSGSIZE;
    if (stream_files_must_move(stream, fields_bytes))
        return stream_files_move(stream, fields_bytes);
    return stream->backend->reserve(stream, fields_bytes);
}

int stream_reserve_on_disk(struct stream *stream, uint64_t fields_bytes)
{
    if (stream->backend == &stream_memory_backend) {
        int rc = stream_files_leave_memory(stream);
        if (rc < 0) return rc;
    }
    return stream_reserve(stream, fields_bytes);
}

/* Blocks have room for more than what is in them. */
bool stream_may_wait(const struct stream_store *store, const struct stream *stream, uint64_t bytes)
{
    uint64_t most = store->options.memory_bytes_max, there = stream ? stream->memory_bytes : 0;

    if (stream && stream->backend != &stream_memory_backend) return true;
    if (!store->files || most == UINT32_MAX || bytes == 0) return false;
    return bytes > most || there + 2 * bytes + 2 * ENTRY_BLOCK_BYTES > most;
}

int stream_add(struct stream *stream, struct stream_id id, uint32_t field_count,
               struct slice fields)
{
    struct stream_entry entry = { id, stream->end, field_count, fields };

    assert(field_count > 0 && field_count % 2 == 0);
    if (stream_id_compare(id, stream->last_id) <= 0) return -EINVAL;
    stream->backend->append(stream, &entry);
    stream->last_id = id;
    stream->end++;
    stream->entries_added++;
    return 0;
}

void stream_set_last_id(struct stream *stream, struct stream_id last_id)
{
    /* What is added next does not come behind a cursor that has passed greater ids. */
    if (stream_id_compare(last_id, stream->last_id) < 0) {
        stream->has_fallen = true;
        stream->version++;
    }
    stream->last_id = last_id;
}

void stream_set_added(struct stream *stream, uint64_t entries_added)
{
    stream->entries_added = entries_added;
}

void stream_set_max_deleted(struct stream *stream, struct stream_id id)
{
    stream->max_deleted_id = id;
}

/* ---- keeping ---- */

static int share_deleted(const struct stream *stream, struct stream *snapshot)
{
    int rc = deleted_snapshot(stream->deleted, &snapshot->deleted);

    if (rc == 0) stream_charge(snapshot, (int64_t)deleted_memory_bytes(snapshot->deleted));
    return rc;
}

int stream_snapshot(struct stream *stream, struct stream **out_snapshot)
{
    struct stream *snapshot = NULL;
    int rc = stream_create(stream->store, &snapshot);

    if (rc < 0) return rc;
    snapshot->backend = stream->backend;
    snapshot->start = stream->start;
    snapshot->end = stream->end;
    snapshot->entries_added = stream->entries_added;
    snapshot->last_id = stream->last_id;
    snapshot->max_deleted_id = stream->max_deleted_id;
    snapshot->is_snapshot = true;
    rc = share_deleted(stream, snapshot);
    if (rc == 0) rc = stream->backend->snapshot(stream, snapshot);
    if (rc < 0)
        stream_destroy(snapshot);
    else
        *out_snapshot = snapshot;
    return rc;
}

/* ---- looking up ---- */

/* 1: the first frame whose id is not less. 0: there is none. */
static int first_from(struct stream *stream, struct stream_id id, struct stream_entry *out_entry)
{
    struct stream_place place;
    int rc;

    if (stream->start == stream->end || stream_id_compare(id, stream->last_id) > 0) return 0;
    rc = stream->backend->seek_id(stream, id, STREAM_FORWARD, &place);
    if (rc < 0) return rc;
    return stream->backend->next(stream, STREAM_FORWARD, STREAM_WANT_ONE, &place, out_entry);
}

int stream_find(struct stream *stream, struct stream_id id, struct stream_entry *out_entry)
{
    struct stream_entry entry;
    int rc = first_from(stream, id, &entry);

    if (rc <= 0) return rc;
    if (stream_id_compare(entry.id, id) != 0) return 0;
    if (entry.ordinal < stream->start || deleted_has(stream->deleted, entry.ordinal)) return 0;
    *out_entry = entry;
    return 1;
}

int stream_ordinal_of(struct stream *stream, struct stream_id id, uint64_t *out_ordinal)
{
    struct stream_entry entry;
    int rc = first_from(stream, id, &entry);

    if (rc < 0) return rc;
    if (rc == 0)
        *out_ordinal = stream->end;
    else
        *out_ordinal = entry.ordinal > stream->start ? entry.ordinal : stream->start;
    return 0;
}

int stream_first_id(struct stream *stream, struct stream_id *out_id)
{
    struct stream_place place;
    struct stream_entry entry = { 0 };
    int rc;

    if (stream->start == stream->end) return 0;
    rc = stream->backend->seek_ordinal(stream, stream->start, STREAM_FORWARD, &place);
    if (rc == 0)
        rc = stream->backend->next(stream, STREAM_FORWARD, STREAM_WANT_ONE, &place, &entry);
    if (rc <= 0) return rc;
    assert(entry.ordinal == stream->start);
    *out_id = entry.id;
    return 1;
}

uint64_t stream_count_between(const struct stream *stream, uint64_t first, uint64_t end)
{
    if (first < stream->start) first = stream->start;
    if (end > stream->end) end = stream->end;
    if (first >= end) return 0;
    return end - first - deleted_count_between(stream->deleted, first, end);
}

void stream_check(const struct stream *stream)
{
    deleted_check(stream->deleted);
    assert(stream->start >= 1 && stream->start <= stream->end);
    assert(stream->start == stream->end || !deleted_has(stream->deleted, stream->start));
    assert(deleted_count(stream->deleted) ==
           deleted_count_between(stream->deleted, stream->start, stream->end));
    assert(stream->version > 0);
    stream->backend->check(stream);
}
