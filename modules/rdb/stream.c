/* stream.c - the value of a key that is a stream.
 *
 *   type  15 … 27                   since
 *         nodes                             each: first id (a string of 16 bytes) · listpack
 *         entries that are there
 *         last id                           ids here: ms, seq as lengths
 *         first id                  19      (Redis 7.0)
 *         greatest deleted id       19
 *         entries ever added        19
 *         groups                            each:
 *           name · last id
 *           entries read            19      all bits set: not known
 *           pending entries                 each: id (16 bytes) · when (8 bytes) · how often
 *           consumers                       each:
 *             name · seen (8 bytes)
 *             active (8 bytes)      21      (7.2)
 *             ids of pending entries        16 bytes each
 *           ids that nobody owns    27      (8.8) 16 bytes each
 *         how long and how many ids of producers are kept    26 (8.6)
 *         producers                 26      each: name · ids, each: text · id of its entry
 *         ids added, met again      26
 *
 * Ids of 16 bytes are big-endian, times little-endian. What was delivered stands before who got it:
 * so a group's pending entries are kept until its consumers have come. */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/rdb/reader_internal.h"

static int damaged(struct rdb_reader *reader, const char *what)
{
    return rdb_input_fail(reader->input, -EBADMSG, "%s", what);
}

static int read_id(struct rdb_reader *reader, struct rdb_stream_id *out_id)
{
    int rc = rdb_read_length(reader->input, &out_id->ms, NULL);

    return rc < 0 ? rc : rdb_read_length(reader->input, &out_id->seq, NULL);
}

static struct rdb_stream_id load_id(const uint8_t bytes[STREAM_ID_BYTES])
{
    return (struct rdb_stream_id){ __builtin_bswap64(load_u64le(bytes)),
                                   __builtin_bswap64(load_u64le(bytes + 8)) };
}

static int read_raw_id(struct rdb_reader *reader, struct rdb_stream_id *out_id)
{
    uint8_t bytes[STREAM_ID_BYTES];
    int rc = rdb_input_read(reader->input, bytes, sizeof(bytes));

    if (rc == 0) *out_id = load_id(bytes);
    return rc;
}

static int read_time(struct rdb_reader *reader, int64_t *out_ms)
{
    uint8_t bytes[TIME_BYTES];
    int rc = rdb_input_read(reader->input, bytes, sizeof(bytes));

    if (rc == 0) *out_ms = (int64_t)load_u64le(bytes);
    return rc;
}

/* 1: it is in text. 0: it is too long, which the visitor was told. */
static int read_name(struct rdb_reader *reader, struct rdb_text *text)
{
    int rc = blob_open(reader->input, &reader->blob);

    if (rc < 0) return rc;
    if (reader->blob.size <= reader->name_bytes_max) {
        rc = rdb_text_take(reader, text);
        return rc < 0 ? rc : 1;
    }
    rc = blob_skip(&reader->blob);
    if (rc == 0) rc = rdb_tell(reader, RDB_LONG_NAME_INSIDE, reader->key.name, slice_of(NULL, 0));
    return rc < 0 ? rc : 0;
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static int read_node(struct rdb_reader *reader)
{
    uint8_t bytes[STREAM_ID_BYTES] = { 0 };
    int rc = blob_open(reader->input, &reader->blob);

    if (rc == 0 && reader->blob.size != sizeof(bytes))
        rc = damaged(reader, "a stream's node has no id");
    if (rc == 0) rc = blob_read(&reader->blob, bytes, sizeof(bytes));
    if (rc == 0) rc = blob_open(reader->input, &reader->blob);
    return rc < 0 ? rc : rdb_read_stream_node(reader, load_id(bytes));
}

static int read_nodes(struct rdb_reader *reader)
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc == 0 && count > 0; count--)
        rc = read_node(reader);
    return rc;
}

static int check_state(struct rdb_reader *reader, const struct rdb_stream_state *state)
{
    const struct stream_reader *stream = &reader->stream;

    if (state->entry_count != stream->entry_count)
        return damaged(reader, "a stream holds another number of entries than it says");
    if (rdb_stream_id_compare(state->last_id, stream->last) < 0)
        return damaged(reader, "a stream's last id is before one of its entries");
    return 0;
}

static int read_state(struct rdb_reader *reader, struct rdb_stream_state *out_state)
{
    struct rdb_stream_id first;
    int rc = rdb_read_length(reader->input, &out_state->entry_count, NULL);

    if (rc == 0) rc = read_id(reader, &out_state->last_id);
    out_state->entries_added = out_state->entry_count;
    if (rc == 0 && reader->stream.type != TYPE_STREAM) {
        rc = read_id(reader, &first);
        if (rc == 0) rc = read_id(reader, &out_state->max_deleted_id);
        if (rc == 0) rc = rdb_read_length(reader->input, &out_state->entries_added, NULL);
    }
    if (rc == 0) rc = check_state(reader, out_state);
    if (rc < 0 || !reader->visitor->stream.state) return rc;
    return reader->visitor->stream.state(reader->context, out_state);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

/* As Redis 7.0 makes it of a file that does not tell: what can be said without counting. */
static int64_t estimate_read(const struct stream_reader *stream, struct rdb_stream_id last_id,
                             const struct rdb_stream_state *state)
{
    int to_last = rdb_stream_id_compare(last_id, state->last_id);
    int to_first = rdb_stream_id_compare(last_id, stream->first);

    if (state->entry_count == 0) return 0;
    if (to_last == 0) return (int64_t)state->entry_count;
    if (to_last > 0 || to_first > 0) return -1;
    return to_first == 0 ? 1 : 0;
}

static int keep_pending(struct rdb_reader *reader, const struct rdb_pending *pending)
{
    struct stream_reader *stream = &reader->stream;
    uint64_t limit = reader->pending_bytes_max / sizeof(*pending);

    if (stream->has_too_many) return 0;
    if (stream->pending_count >= limit) {
        stream->has_too_many = true;
        return rdb_tell(reader, RDB_PENDING_TOO_MANY, rdb_text_slice(&stream->group),
                        slice_of(NULL, 0));
    }
    if (stream->pending_count == stream->pending_capacity) {
        uint64_t capacity = stream->pending_capacity ? stream->pending_capacity * 2 : 64;
        struct rdb_pending *grown = realloc(stream->pending, capacity * sizeof(*grown));
        if (!grown) return -ENOMEM;
        stream->pending = grown;
        stream->pending_capacity = capacity;
    }
    stream->pending[stream->pending_count++] = *pending;
    return 0;
}

static int read_pending(struct rdb_reader *reader)
{
    struct stream_reader *stream = &reader->stream;
    struct rdb_stream_id before = { 0, 0 };
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    stream->pending_count = 0;
    stream->has_too_many = false;
    for (uint64_t i = 0; rc >= 0 && i < count; i++) {
        struct rdb_pending pending = { 0 };

        rc = read_raw_id(reader, &pending.id);
        if (rc == 0) rc = read_time(reader, &pending.delivered_ms);
        if (rc == 0) rc = rdb_read_length(reader->input, &pending.delivery_count, NULL);
        if (rc == 0 && i > 0 && rdb_stream_id_compare(pending.id, before) <= 0)
            rc = damaged(reader, "the pending entries of a group are not in order");
        before = pending.id;
        if (rc == 0) rc = keep_pending(reader, &pending);
    }
    return rc;
}

static const struct rdb_pending *find_pending(const struct stream_reader *stream,
                                              struct rdb_stream_id id)
{
    uint64_t low = 0, high = stream->pending_count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = rdb_stream_id_compare(stream->pending[middle].id, id);

        if (order == 0) return &stream->pending[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* owner NULL: nobody's. is_told false: the owner is not. */
static int read_owned(struct rdb_reader *reader, const struct rdb_consumer *owner, bool is_told)
{
    const struct rdb_stream_visitor *visitor = &reader->visitor->stream;
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc >= 0 && count > 0; count--) {
        const struct rdb_pending *pending;
        struct rdb_stream_id id = { 0, 0 };

        rc = read_raw_id(reader, &id);
        if (rc < 0 || reader->stream.has_too_many) continue;
        pending = find_pending(&reader->stream, id);
        if (!pending)
            return damaged(reader, "a consumer has a pending entry that its group has not");
        if (is_told && visitor->pending) rc = visitor->pending(reader->context, owner, pending);
    }
    return rc;
}

static int read_consumer(struct rdb_reader *reader)
{
    const struct rdb_stream_visitor *visitor = &reader->visitor->stream;
    struct rdb_consumer consumer = { 0 };
    int named = read_name(reader, &reader->stream.consumer);
    int rc = named < 0 ? named : read_time(reader, &consumer.seen_ms);

    consumer.active_ms = -1;
    if (rc == 0 && stream_has_activity(reader->stream.type))
        rc = read_time(reader, &consumer.active_ms);
    consumer.name = rdb_text_slice(&reader->stream.consumer);
    if (rc == 0 && named == 1 && visitor->consumer)
        rc = visitor->consumer(reader->context, &consumer);
    return rc < 0 ? rc : read_owned(reader, &consumer, named == 1);
}

static int read_consumers(struct rdb_reader *reader)
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc >= 0 && count > 0; count--)
        rc = read_consumer(reader);
    if (rc < 0 || reader->stream.type < TYPE_STREAM_5) return rc;
    return read_owned(reader, NULL, true);
}

static int read_entries_read(struct rdb_reader *reader, int64_t *out_count)
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    *out_count = count > INT64_MAX ? -1 : (int64_t)count;
    return rc;
}

static int read_group(struct rdb_reader *reader, const struct rdb_stream_state *state)
{
    struct stream_reader *stream = &reader->stream;
    struct rdb_group group = { 0 };
    int rc = read_name(reader, &stream->group);

    if (rc <= 0) return rc < 0 ? rc : rdb_skip_group_rest(reader, stream->type);
    rc = read_id(reader, &group.last_id);
    if (rc < 0) return rc;
    if (stream->type == TYPE_STREAM)
        group.entries_read = estimate_read(stream, group.last_id, state);
    else
        rc = read_entries_read(reader, &group.entries_read);
    group.name = rdb_text_slice(&stream->group);
    if (rc == 0 && reader->visitor->stream.group)
        rc = reader->visitor->stream.group(reader->context, &group);
    if (rc >= 0) rc = read_pending(reader);
    return rc < 0 ? rc : read_consumers(reader);
}

static int read_groups(struct rdb_reader *reader, const struct rdb_stream_state *state)
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc >= 0 && count > 0; count--)
        rc = read_group(reader, state);
    return rc;
}

/* ---- producers ---------------------------------------------------------------------------------
 */

static int read_produced(struct rdb_reader *reader)
{
    struct stream_reader *stream = &reader->stream;
    struct rdb_produced produced = { 0 };
    int named = read_name(reader, &stream->id);
    int rc = named < 0 ? named : read_id(reader, &produced.entry);

    if (rc < 0 || named == 0 || !reader->visitor->stream.produced) return rc;
    produced.producer = rdb_text_slice(&stream->producer);
    produced.id = rdb_text_slice(&stream->id);
    return reader->visitor->stream.produced(reader->context, &produced);
}

static int read_producer(struct rdb_reader *reader)
{
    uint64_t count;
    int rc = read_name(reader, &reader->stream.producer);

    if (rc <= 0) return rc < 0 ? rc : rdb_skip_producer_rest(reader);
    rc = rdb_read_length(reader->input, &count, NULL);
    for (; rc >= 0 && count > 0; count--)
        rc = read_produced(reader);
    return rc;
}

static int read_producers(struct rdb_reader *reader)
{
    struct rdb_producers producers = { 0 };
    uint64_t count = 0, ids_added, ids_met;
    int rc = rdb_read_length(reader->input, &producers.duration_s, NULL);

    if (rc == 0) rc = rdb_read_length(reader->input, &producers.size_max, NULL);
    if (rc == 0) rc = rdb_read_length(reader->input, &count, NULL);
    if (rc == 0 && reader->visitor->stream.producers)
        rc = reader->visitor->stream.producers(reader->context, &producers);
    for (; rc >= 0 && count > 0; count--)
        rc = read_producer(reader);
    if (rc >= 0) rc = rdb_read_length(reader->input, &ids_added, NULL);
    return rc < 0 ? rc : rdb_read_length(reader->input, &ids_met, NULL);
}

/* ---- the value ---------------------------------------------------------------------------------
 */

int rdb_read_stream(struct rdb_reader *reader, uint8_t type)
{
    struct stream_reader *stream = &reader->stream;
    struct rdb_stream_state state = { 0 };
    int rc;

    stream->type = type;
    stream->first = stream->last = (struct rdb_stream_id){ 0, 0 };
    stream->entry_count = 0;
    rc = read_nodes(reader);
    if (rc >= 0) rc = read_state(reader, &state);
    if (rc >= 0) rc = read_groups(reader, &state);
    if (rc < 0 || !stream_has_producers(type)) return rc;
    return read_producers(reader);
}

void rdb_finish_stream(struct rdb_reader *reader)
{
    struct stream_reader *stream = &reader->stream;

    free(stream->field_names.bytes);
    free(stream->group.bytes);
    free(stream->consumer.bytes);
    free(stream->producer.bytes);
    free(stream->id.bytes);
    free(stream->pending);
}
