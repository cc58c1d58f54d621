/* list_range.c - replies with many elements. Four ways, by where the elements are and how many:
 *
 *   in memory, at most INLINE_BYTES     written at once from where they lie
 *   on disk, at most VERIFIED_BYTES     in a fiber: walked once so that damage becomes an error
 *                                       reply, then walked again and written
 *   more, to a client of its own        a producer writes pieces from a snapshot as the socket
 *                                       drains
 *   more, inside EXEC                   refused: a transaction's reply must fit into memory
 *
 * A producer that meets damage half-way has promised a number of elements: it closes the
 * connection. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/pool/chain.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/durability/effects.h"
#include "server/net/client.h"
#include "server/observe/memory.h"

enum {
    INLINE_BYTES = 64 * 1024,
    VERIFIED_BYTES = 1024 * 1024,
    LONG_ELEMENT_BYTES = 64 * 1024, /* longer ones are sent as the socket drains */
    WHOLE_ELEMENT_BYTES = 1024,     /* up to here not cut, wherever a piece ends */
    ELEMENT_OVERHEAD_BYTES = 16,    /* "$64\r\n" and "\r\n" */
    BREATH_ELEMENTS = 1024,
    VIEW_ITEMS = 128,
};

static uint64_t reply_bytes(const struct spill_deque *deque, uint64_t count)
{
    uint64_t total = spill_deque_count(deque);

    if (total == 0) return 0;
    return (uint64_t)((double)spill_deque_bytes(deque) / (double)total * (double)count) +
           count * ELEMENT_OVERHEAD_BYTES;
}

struct range {
    struct spill_snapshot *snapshot;
    uint64_t index, count, bytes; /* bytes: about what the reply will take */
    enum spill_end towards;
    bool is_resident;
    bool is_single; /* one element, not an array of it */
};

/* Nothing can fail any more that an error reply could tell. */
static void begin_reply(struct call *call, const struct range *range,
                        void (*before_items)(struct call *call))
{
    if (before_items) before_items(call);
    if (!range->is_single) reply_array(call->reply, range->count);
}

/* ---- at once, from where they lie --------------------------------------------------------------
 */

/* Nothing is shared and nothing copied but the bytes of the reply: a snapshot would make the list's
 * next change copy a chunk. -EAGAIN: not all is in memory; what was written is taken back. */
static int write_in_place(struct call *call, struct spill_deque *deque, const struct range *range,
                          void (*before_array)(struct call *call))
{
    struct chain_mark mark = chain_mark(call->reply->chain);
    uint64_t index = range->index, left = range->count;

    if (before_array) before_array(call);
    reply_array(call->reply, range->count);
    while (left > 0) {
        struct slice items[VIEW_ITEMS];
        int count = spill_deque_view(deque, index, range->towards, items,
                                     left < VIEW_ITEMS ? (unsigned)left : VIEW_ITEMS);
        if (count < 0) {
            chain_cut(call->reply->chain, mark);
            return count;
        }
        assert(count > 0); /* the range lies within the list */
        reply_bulks(call->reply, items, (size_t)count);
        left -= (uint64_t)count;
        index = range->towards == SPILL_TAIL ? index + (uint64_t)count : index - (uint64_t)count;
    }
    return 0;
}

/* ---- at once, from a snapshot ------------------------------------------------------------------
 */

/* Walks the elements; writes them when call is given. */
static int walk(const struct range *range, struct server *server, struct call *call)
{
    struct spill_cursor *cursor;
    int rc = spill_cursor_create(range->snapshot, range->index, range->towards, &cursor);

    if (rc < 0) return rc;
    for (uint64_t i = 0; i < range->count && rc >= 0; i++) {
        struct slice item;

        rc = spill_cursor_next(cursor, &item);
        if (rc == 1 && call) reply_bulk(call->reply, item);
        if (rc == 1 && (i + 1) % BREATH_ELEMENTS == 0) rc = parking_breathe(server);
    }
    spill_cursor_destroy(cursor);
    return rc < 0 ? rc : 0;
}

/* Where the call cannot be suspended nothing is sent meanwhile, so a reply that fails is taken
 * back. In a fiber a first walk finds damage before anything is written. */
static int write_now(struct call *call, const struct range *range,
                     void (*before_array)(struct call *call))
{
    bool can_take_back = !parking_can_suspend(call->server->parking);
    struct chain_mark mark = { 0 };
    int rc = 0;

    if (can_take_back)
        mark = chain_mark(call->reply->chain);
    else
        rc = walk(range, call->server, NULL);
    if (rc < 0) return rc;
    begin_reply(call, range, before_array);
    rc = walk(range, call->server, call);
    if (rc >= 0) return 0;
    if (can_take_back) {
        chain_cut(call->reply->chain, mark);
        return rc;
    }
    call_break_off(call); /* see the top */
    return 0;
}

/* ---- piece by piece
 * -------------------------------------------------------------------------------- */

struct stream {
    struct parked_call *parked;
    struct spill_cursor *cursor;
    uint64_t remaining;
    size_t sent_bytes; /* of the next element, a long one */
};

/* At most what is wanted, or the whole of a short element: copies of long ones for slow readers
 * would use up the memory for replies. True: the element is complete. */
static bool write_element(struct stream *stream, struct reply *reply, struct slice item,
                          size_t wanted, size_t *written)
{
    size_t rest = item.size - stream->sent_bytes, part = rest < wanted ? rest : wanted;

    if (stream->sent_bytes == 0 && (item.size <= wanted || item.size <= WHOLE_ELEMENT_BYTES)) {
        reply_bulk(reply, item);
        *written += item.size + ELEMENT_OVERHEAD_BYTES;
        return true;
    }
    if (stream->sent_bytes == 0) reply_bulk_begin(reply, item.size);
    reply_raw(reply, slice_of(item.bytes + stream->sent_bytes, part));
    *written += part;
    stream->sent_bytes += part;
    if (part < rest) return false;
    reply_raw(reply, slice_of("\r\n", 2));
    stream->sent_bytes = 0;
    return true;
}

static enum produce_result produce(void *context, struct client *client, size_t size)
{
    struct stream *stream = context;
    struct reply *reply = client_reply(client);
    size_t written = 0;

    while (stream->remaining > 0 && written < size) {
        struct slice item;
        int rc = spill_cursor_peek(stream->cursor, &item);

        if (rc == -EAGAIN) {
            parking_stream_wait(stream->parked);
            return PRODUCE_WAIT;
        }
        if (rc != 1) {
            call_break_off(&stream->parked->call);
            return PRODUCE_DONE;
        }
        if (!write_element(stream, reply, item, size - written, &written)) continue;
        rc = spill_cursor_next(stream->cursor, &item);
        assert(rc == 1); /* what was peeked is there */
        stream->remaining--;
    }
    if (stream->remaining == 0) return PRODUCE_DONE;
    spill_cursor_rest(stream->cursor); /* the reader may be slow */
    return PRODUCE_MORE;
}

static void end_stream(void *context)
{
    struct stream *stream = context;

    spill_cursor_destroy(stream->cursor);
    parking_stream_end(stream->parked);
    free(stream);
}

static int begin_stream(struct call *call, const struct range *range,
                        void (*before_array)(struct call *call))
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct slice first;
    int rc;

    if (!stream) return -ENOMEM;
    stream->remaining = range->count;
    rc = spill_cursor_create(range->snapshot, range->index, range->towards, &stream->cursor);
    if (rc < 0) goto fail;
    rc = spill_cursor_peek(stream->cursor, &first); /* early damage becomes an error reply */
    if (rc < 0) goto fail;
    rc = parking_stream(call, &stream->parked);
    if (rc < 0) goto fail;
    begin_reply(call, range, before_array);
    spill_cursor_rest(stream->cursor);
    client_set_producer(
        call->session->client,
        (struct client_producer){ .produce = produce, .destroy = end_stream, .context = stream });
    return CALL_STREAMING;
fail:
    spill_cursor_destroy(stream->cursor);
    free(stream);
    return rc;
}

/* ---- which way ------------------------------------------------------------------------------- */

static int reply_snapshot(struct call *call, const struct range *range,
                          void (*before_array)(struct call *call))
{
    if (range->is_single) return begin_stream(call, range, before_array);
    if (call->in_transaction) {
        if (range->bytes > memory_limit(call->server->memory) / 8)
            return call_error(call, "OOM a reply inside a transaction may hold at most an eighth "
                                    "of 'maxmemory'");
        return write_now(call, range, before_array);
    }
    if (range->bytes > VERIFIED_BYTES || range->is_resident)
        return begin_stream(call, range, before_array);
    if (!call_can_suspend(call)) return -EAGAIN;
    return write_now(call, range, before_array);
}

int list_reply_range(struct call *call, struct spill_deque *deque, uint64_t index, uint64_t count,
                     enum spill_end towards, void (*before_array)(struct call *call))
{
    struct range range = { .index = index,
                           .count = count,
                           .bytes = reply_bytes(deque, count),
                           .towards = towards,
                           .is_resident = spill_deque_is_resident(deque) };
    int rc;

    if (range.bytes <= INLINE_BYTES) {
        rc = write_in_place(call, deque, &range, before_array);
        if (rc != -EAGAIN) return rc;
    }
    rc = spill_deque_snapshot(deque, &range.snapshot);
    if (rc < 0) return rc;
    rc = reply_snapshot(call, &range, before_array);
    spill_snapshot_release(range.snapshot);
    return rc;
}

/* ---- removing what is replied
 * -------------------------------------------------------------------------- */

/* How many elements were taken, where the call itself does not say it. */
static void say_taken(struct call *call, enum spill_end end, uint64_t taken, uint64_t count)
{
    struct slice name = call->popped_key.bytes ? call->popped_key : call->arguments[1];

    if (taken == count && call->command->effect != EFFECT_REWRITTEN) return;
    effect_say_number(call, end == SPILL_HEAD ? "LPOP" : "RPOP", name, (int64_t)taken);
}

/* What is on disk is fetched in a fiber, where a peek may wait at any element; pinned first, so
 * that it seldom does. */
static int fetch_few(struct call *call, struct spill_deque *deque, enum spill_end end,
                     uint64_t count)
{
    int64_t ready;

    if (spill_deque_is_resident(deque)) return 0;
    if (!call_can_suspend(call)) return -EAGAIN;
    ready = spill_deque_pin_end(deque, end, count, UINT64_MAX);
    return ready < 0 ? (int)ready : 0;
}

static int take_few(struct call *call, struct list_at *list, enum spill_end end, uint64_t count,
                    void (*before_array)(struct call *call))
{
    struct slice item;
    uint64_t taken = 0;
    int rc = fetch_few(call, list->deque, end, count);

    if (rc == 0) rc = spill_deque_peek(list->deque, end, &item);
    if (rc < 0) goto out;
    if (before_array) before_array(call);
    reply_array(call->reply, count);
    for (; taken < count && rc == 1; taken++) {
        if (taken > 0) rc = spill_deque_peek(list->deque, end, &item);
        if (rc != 1) break;
        reply_bulk(call->reply, item);
        spill_deque_drop_peeked(list->deque, end);
    }
    if (rc != 1) call_break_off(call); /* see the top */
    rc = 0;
out:
    spill_deque_unpin(list->deque);
    if (rc == 0) list_removed_some(call, list);
    if (rc == 0) say_taken(call, end, taken, count);
    return rc;
}

static int take_many(struct call *call, struct list_at *list, enum spill_end end, uint64_t count,
                     bool is_single, void (*before_array)(struct call *call))
{
    uint64_t total = spill_deque_count(list->deque);
    struct range range = { .index = end == SPILL_HEAD ? 0 : total - 1,
                           .count = count,
                           .bytes = reply_bytes(list->deque, count),
                           .towards = end == SPILL_HEAD ? SPILL_TAIL : SPILL_HEAD,
                           .is_resident = spill_deque_is_resident(list->deque),
                           .is_single = is_single };
    int64_t dropped;
    int rc = spill_deque_snapshot(list->deque, &range.snapshot);

    if (rc < 0) return rc;
    dropped = spill_deque_drop(list->deque, end, count);
    if (dropped < 0) {
        spill_snapshot_release(range.snapshot);
        return (int)dropped;
    }
    call->reply->had_error = false;
    rc = reply_snapshot(call, &range, before_array);
    if (rc < 0 || call->reply->had_error) {
        spill_deque_restore(list->deque, range.snapshot);
        return rc;
    }
    spill_snapshot_release(range.snapshot);
    list_removed_some(call, list);
    if (!is_single) say_taken(call, end, count, count); /* of one the handler tells */
    return rc;
}

/* Nobody is told what they were: whole chunks go unread. */
static int drop_taken(struct call *call, struct list_at *list, enum spill_end end, uint64_t count)
{
    int64_t dropped = spill_deque_drop(list->deque, end, count);

    if (dropped < 0) return (int)dropped;
    list_removed_some(call, list);
    return 0;
}

int list_reply_taken(struct call *call, struct list_at *list, enum spill_end end, uint64_t count,
                     void (*before_array)(struct call *call))
{
    if (call->is_replay) return drop_taken(call, list, end, count);
    if (reply_bytes(list->deque, count) <= INLINE_BYTES)
        return take_few(call, list, end, count, before_array);
    return take_many(call, list, end, count, false, before_array);
}

/* ---- one element ---- */

/* Inside EXEC a reply has no client of its own to wait for, and what is replayed has none at all.
 */
static bool is_streamed(const struct call *call, struct slice item)
{
    return item.size > LONG_ELEMENT_BYTES && !call->in_transaction && !call->is_replay;
}

int list_reply_element(struct call *call, struct spill_deque *deque, uint64_t index,
                       struct slice item)
{
    struct range range = {
        .index = index, .count = 1, .bytes = item.size, .towards = SPILL_TAIL, .is_single = true
    };
    int rc;

    if (!is_streamed(call, item)) {
        reply_bulk(call->reply, item);
        return 0;
    }
    rc = spill_deque_snapshot(deque, &range.snapshot);
    if (rc < 0) return rc;
    rc = reply_snapshot(call, &range, NULL);
    spill_snapshot_release(range.snapshot);
    return rc;
}

int list_reply_pop(struct call *call, struct list_at *list, enum spill_end end,
                   void (*before_item)(struct call *call))
{
    struct slice item;
    int rc = spill_deque_peek(list->deque, end, &item);

    if (rc < 0) return rc;
    if (is_streamed(call, item)) return take_many(call, list, end, 1, true, before_item);
    if (before_item) before_item(call);
    reply_bulk(call->reply, item);
    spill_deque_drop_peeked(list->deque, end);
    list_removed_some(call, list);
    return 0;
}

/* LRANGE key start stop */
int list_lrange(struct call *call)
{
    struct list_at list;
    int64_t first, last, count;
    int rc;

    if (!call_integer(call, 2, &first) || !call_integer(call, 3, &last)) return 0;
    rc = list_find_read(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    count = rc ? (int64_t)spill_deque_count(list.deque) : 0;
    if (first < 0) first = first + count < 0 ? 0 : first + count;
    if (last < 0) last += count;
    if (last >= count) last = count - 1;
    if (first > last || first >= count) {
        reply_array(call->reply, 0);
        return 0;
    }
    return list_reply_range(call, list.deque, (uint64_t)first, (uint64_t)(last - first + 1),
                            SPILL_TAIL, NULL);
}
