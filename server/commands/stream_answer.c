/* stream_answer.c - how entries get into an answer.
 *
 *   at most INLINE_BYTES             written at once from where they lie
 *   more, to a client of its own     the rest by a producer, in pieces, from snapshots; of what
 *                                    was delivered before the ids are kept, 16 bytes each
 *   more, inside EXEC                at once, up to an eighth of maxmemory
 *
 * One writer does all of it: it can stop anywhere, within an entry too, and go on. What cannot be
 * read becomes an error reply while nothing was sent; a reply that breaks off later closes the
 * connection. */
#include "server/commands/stream_answer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/pool/packet.h"
#include "modules/stream/finder.h"
#include "server/commands/draft.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_full.h"
#include "server/commands/stream_id_list.h"
#include "server/commands/stream_sharing.h"
#include "server/commands/stream_viewing.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/observe/memory.h"

enum {
    INLINE_BYTES = 64 * 1024,
    WHOLE_ENTRY_BYTES = 1024, /* up to here not cut, wherever a piece ends */
    ENTRIES_AT_ONCE = 16,     /* are read together */
    BREATH_ENTRIES = 1024,
    LENT_BYTES_MIN = 4096, /* what is shared and shorter is copied: a loan would not be cheaper */
};

/* ---- writing, as much as is wanted -------------------------------------------------------------
 */

struct writer {
    const struct slice *arguments; /* not NULL: of a map, the parts have names */
    const struct stream_part *parts;
    struct stream_gathered *head;   /* before the parts, or NULL */
    struct stream_gathered *behind; /* them, or NULL */
    struct stream_full *full;       /* and behind that, or NULL */
    uint32_t part_count, part;      /* part: the one that is being written */
    bool has_begun;                 /* that one's header is written */
    uint64_t left;                  /* of its entries */
    struct stream_cursor cursor;    /* before the next one */
    struct stream_seeker seeker;    /* of what is listed */
    size_t sent_bytes;              /* of the next one's fields, when it is long */
};

static void begin_name(const struct writer *writer, struct reply *reply,
                       const struct stream_part *part)
{
    if (reply->protocol != 3) reply_array(reply, 2);
    reply_bulk(reply, writer->arguments[part->name_index]);
}

static void begin_part(struct writer *writer, struct reply *reply)
{
    const struct stream_part *part = &writer->parts[writer->part];

    if (writer->arguments) begin_name(writer, reply, part);
    reply_array(reply, part->range.count);
    writer->cursor = part->range.cursor;
    if (part->listed) stream_seeker_begin(&writer->seeker, part->range.cursor.stream);
    writer->left = part->range.count;
    writer->has_begun = true;
}

/* At most what is wanted of a long entry. True: it is complete. */
static bool write_part(struct writer *writer, struct reply *reply, const struct stream_entry *entry,
                       size_t wanted, size_t *written)
{
    size_t rest = entry->fields.size - writer->sent_bytes, part = rest < wanted ? rest : wanted;

    if (writer->sent_bytes == 0) {
        char header[STREAM_ENTRY_HEADER_BYTES];
        size_t size = stream_entry_header(header, entry);

        reply_raw(reply, slice_of(header, size));
        *written += size;
    }
    reply_raw(reply, slice_of(entry->fields.bytes + writer->sent_bytes, part));
    *written += part;
    writer->sent_bytes = part < rest ? writer->sent_bytes + part : 0;
    return part == rest;
}

/* True: all of it. */
static bool write_entry(struct writer *writer, struct reply *reply,
                        const struct stream_entry *entry, size_t wanted, size_t *written)
{
    bool is_short = entry->fields.size <= wanted || entry->fields.size <= WHOLE_ENTRY_BYTES;

    if (writer->sent_bytes > 0 || !is_short)
        return write_part(writer, reply, entry, wanted, written);
    *written += stream_entry_reply(reply, entry);
    return true;
}

/* 1: the next entries were written, or a part of one: about what is wanted, or less. */
static int write_next(struct writer *writer, struct reply *reply, size_t wanted, size_t *written)
{
    struct stream_cursor before = writer->cursor;
    struct stream_entry entries[ENTRIES_AT_ONCE];
    struct stream_want want = { .count = ENTRIES_AT_ONCE, .bytes = wanted };
    int count;

    if (want.count > writer->left) want.count = (uint32_t)writer->left;
    count = stream_cursor_next_some(&writer->cursor, want, entries);
    if (count <= 0) return count < 0 ? count : -EBADMSG; /* fewer than were counted */
    for (int i = 0; i < count; i++) {
        if (write_entry(writer, reply, &entries[i], wanted, written)) {
            writer->left--;
        } else {
            assert(count == 1); /* who is longer than all that is wanted is alone */
            writer->cursor = before;
        }
    }
    return 1;
}

/* The next one of ids. */
static int write_listed(struct writer *writer, struct reply *reply, size_t wanted, size_t *written)
{
    const struct stream_part *part = &writer->parts[writer->part];
    struct stream_id id = part->listed->ids[part->listed->count - writer->left];
    struct stream_seeker before = writer->seeker;
    struct stream_entry entry;
    int rc = stream_seeker_next(&writer->seeker, id, &entry);

    if (rc < 0) return rc;
    if (rc == 0) *written += stream_gone_reply(reply, id);
    if (rc == 0 || write_entry(writer, reply, &entry, wanted, written))
        writer->left--;
    else
        writer->seeker = before;
    return 1;
}

/* True: all of it. */
static bool write_full(struct stream_full *full, struct reply *reply, size_t wanted, size_t written)
{
    while (written < wanted) {
        size_t size = stream_full_write(full, reply, wanted - written);

        if (size == 0) return true;
        written += size;
    }
    return false; /* or it is, and the next call finds that */
}

/* About so many bytes. 1: that was the last of them; 0: there may be more. */
static int write_some(struct writer *writer, struct reply *reply, size_t wanted)
{
    size_t written = 0;

    while (writer->part < writer->part_count) {
        if (!writer->has_begun) begin_part(writer, reply);
        while (writer->left > 0) {
            int rc;

            if (written >= wanted) return 0;
            if (writer->parts[writer->part].listed)
                rc = write_listed(writer, reply, wanted - written, &written);
            else
                rc = write_next(writer, reply, wanted - written, &written);
            if (rc < 0) return rc;
        }
        writer->has_begun = false;
        writer->part++;
    }
    if (writer->behind) stream_gathered_move(writer->behind, reply);
    writer->behind = NULL;
    return !writer->full || write_full(writer->full, reply, wanted, written);
}

/* ---- piece by piece ----------------------------------------------------------------------------
 */

struct streaming {
    struct parked_call *parked;
    struct writer writer;
    struct stream_viewing viewing; /* while the writer has groups to tell of */
    struct stream_part parts[];    /* of snapshots */
};

static enum produce_result produce(void *context, struct client *client, size_t size)
{
    struct streaming *streaming = context;
    struct reply *reply = client_reply(client);
    int rc = write_some(&streaming->writer, reply, size);

    stream_viewing_moves(&streaming->viewing);
    if (rc >= 0) return rc == 1 ? PRODUCE_DONE : PRODUCE_MORE;
    if (rc == -EAGAIN) {
        parking_stream_wait(streaming->parked);
        return PRODUCE_WAIT;
    }
    call_break_off(&streaming->parked->call);
    return PRODUCE_DONE;
}

static void drop_snapshots(struct streaming *streaming)
{
    for (uint32_t i = 0; i < streaming->writer.part_count; i++) {
        stream_destroy(streaming->parts[i].range.cursor.stream);
        stream_id_list_unref(streaming->parts[i].listed);
    }
    stream_viewing_end(&streaming->viewing);
    stream_full_destroy(streaming->writer.full);
    free(streaming);
}

static void end_streaming(void *context)
{
    struct streaming *streaming = context;

    parking_stream_end(streaming->parked);
    drop_snapshots(streaming);
}

static int take_snapshot(const struct stream_part *part, struct stream_part *out_part)
{
    struct stream *snapshot;
    int rc = stream_snapshot(part->range.cursor.stream, &snapshot);

    if (rc < 0) return rc;
    *out_part = *part;
    if (part->listed) (void)stream_id_list_ref(part->listed);
    stream_cursor_enter(&out_part->range.cursor, snapshot);
    return 0;
}

/* The parts that are left, of snapshots; the first one from where the writer stands. */
static int take_snapshots(const struct writer *writer, struct streaming **out_streaming)
{
    uint32_t count = writer->part_count - writer->part;
    struct streaming *streaming =
        calloc(1, sizeof(*streaming) + count * sizeof(struct stream_part));
    int rc = 0;

    if (!streaming) return -ENOMEM;
    streaming->writer = *writer;
    streaming->writer.parts = streaming->parts;
    streaming->writer.part = 0;
    streaming->writer.part_count = 0;
    streaming->writer.head = NULL;
    streaming->writer.behind = NULL;
    streaming->writer.full = NULL;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = take_snapshot(&writer->parts[writer->part + i], &streaming->parts[i]);
        if (rc == 0) streaming->writer.part_count++;
    }
    if (rc < 0) {
        drop_snapshots(streaming);
        return rc;
    }
    if (writer->has_begun) {
        struct stream *snapshot = streaming->parts[0].range.cursor.stream;

        stream_cursor_enter(&streaming->writer.cursor, snapshot);
        stream_seeker_begin(&streaming->writer.seeker, snapshot);
    }
    *out_streaming = streaming;
    return 0;
}

/* What is left is written as the socket drains. */
static int begin_streaming(struct call *call, struct writer *writer)
{
    struct streaming *streaming;
    int rc;

    assert(!writer->behind); /* that is of a transaction, or it was written */
    if (writer->full && !stream_full_may_stay(writer->full)) return -ENOBUFS;
    rc = take_snapshots(writer, &streaming);
    if (rc < 0) return rc;
    rc = parking_stream(call, &streaming->parked);
    if (rc < 0) {
        drop_snapshots(streaming);
        return rc;
    }
    streaming->writer.full = writer->full;
    writer->full = NULL;
    if (streaming->writer.full)
        stream_viewing_begin(call->server, call->session->client, &streaming->viewing);
    if (writer->arguments) streaming->writer.arguments = streaming->parked->call.arguments;
    client_set_producer(call->session->client, (struct client_producer){ .produce = produce,
                                                                         .destroy = end_streaming,
                                                                         .context = streaming });
    return CALL_STREAMING;
}

/* ---- at once ----------------------------------------------------------------------------------
 */

/* Reads up to so many bytes of it, and tells how many there are. */
static int measure(struct call *call, const struct writer *writer, uint64_t bytes_max,
                   uint64_t *out_bytes)
{
    uint64_t bytes = 0;
    int rc = 0;

    for (uint32_t i = 0; i < writer->part_count && rc >= 0; i++) {
        const struct stream_range *range = &writer->parts[i].range;
        struct stream_cursor cursor = range->cursor;

        for (uint64_t k = 1; k <= range->count && bytes <= bytes_max && rc >= 0; k++) {
            struct stream_entry entry;

            rc = stream_cursor_next(&cursor, &entry);
            if (rc == 1) bytes += STREAM_ENTRY_HEADER_BYTES + entry.fields.size;
            if (rc == 1 && k % BREATH_ENTRIES == 0) rc = parking_breathe(call->server);
        }
    }
    *out_bytes = bytes;
    return rc < 0 ? rc : 0;
}

static void begin_map(struct call *call, const struct writer *writer)
{
    if (call->reply->protocol == 3)
        reply_map(call->reply, writer->part_count);
    else
        reply_array(call->reply, writer->part_count);
}

/* What is left of a long one comes from snapshots, as soon as the first of it is on its way. */
static int write_answer(struct call *call, struct writer *writer)
{
    int rc;

    if (writer->head) stream_gathered_move(writer->head, call->reply);
    if (writer->arguments) begin_map(call, writer);
    rc = write_some(writer, call->reply, call->in_transaction ? SIZE_MAX : INLINE_BYTES);
    if (rc != 0) return rc == 1 ? 0 : rc;
    return call->session ? begin_streaming(call, writer) : -ECANCELED;
}

/* One of many who have waited for it. False: it is not shared. */
static bool answer_shared(struct call *call, const struct writer *writer)
{
    uint64_t changes = keyspace_change_count(call->server->keyspace);
    struct packet *packet =
        stream_sharing_find(call->server->sharing, changes, &writer->parts->range);

    if (!packet) return false;
    begin_map(call, writer);
    begin_name(writer, call->reply, writer->parts);
    if (packet->payload.size < LENT_BYTES_MIN)
        reply_raw(call->reply, packet->payload);
    else
        reply_raw_packet(call->reply, packet);
    return true;
}

/* Inside EXEC nothing can be sent before all is there: it is read first, to see how long it is. */
static int refuse_long(struct call *call, const struct writer *writer, bool *out_is_refused)
{
    uint64_t bytes_max = memory_limit(call->server->memory) / 8, bytes;
    int rc = measure(call, writer, bytes_max, &bytes);

    *out_is_refused = rc == 0 && bytes > bytes_max;
    if (*out_is_refused)
        (void)call_error(call, "OOM a reply inside a transaction may hold at most an eighth of "
                               "'maxmemory'");
    return rc;
}

static int answer(struct call *call, struct writer *writer)
{
    bool is_refused = false;
    struct draft draft;
    int rc = 0;

    if (call->in_transaction) rc = refuse_long(call, writer, &is_refused);
    if (rc < 0 || is_refused) return rc;
    if (call->served_key.bytes && writer->arguments && !writer->parts->listed &&
        answer_shared(call, writer))
        return 0;
    draft_begin(&draft, call);
    return draft_end(&draft, call, write_answer(call, writer));
}

int stream_answer_range(struct call *call, const struct stream_range *range)
{
    struct stream_part part = { .name_index = 0, .range = *range };
    struct writer writer = { .parts = &part, .part_count = 1 };

    return answer(call, &writer);
}

int stream_answer_between(struct call *call, struct stream_gathered *head,
                          const struct stream_range *range, struct stream_gathered *behind,
                          struct stream_full **full)
{
    struct stream_part part = { .range = *range };
    struct writer writer = {
        .parts = &part, .part_count = 1, .head = head, .behind = behind, .full = *full
    };
    int rc = answer(call, &writer);

    *full = writer.full;
    return rc;
}

int stream_answer_parts(struct call *call, const struct stream_part *parts, uint32_t part_count)
{
    struct writer writer = { .arguments = call->arguments,
                             .parts = parts,
                             .part_count = part_count };

    return answer(call, &writer);
}
