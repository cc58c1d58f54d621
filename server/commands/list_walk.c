/* list_walk.c - LPOS LINSERT: commands that look at elements one after the other. Above a small
 * size they run in a fiber, in slices, and hold their key: commands on it queue behind them. (LREM:
 * list_remove.c.) */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/pool/chain.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/net/client.h"
#include "server/observe/memory.h"

enum {
    BREATH_ELEMENTS = 256,
    MATCHES_HELD = 4096,
    PIECE_BYTES_AN_ELEMENT = 8, /* of a streamed reply's piece, for each one looked at */
    INDEX_REPLY_BYTES = 12,     /* ":1234567\r\n": about what an index takes in a reply */
};

/* ---- searching
 * ------------------------------------------------------------------------------------ */

struct search {
    struct slice element;
    enum spill_end towards;
    uint64_t skip;    /* matches to pass over first */
    uint64_t wanted;  /* matches; 0: all */
    uint64_t look_at; /* elements at most; 0: all */
    /* Called for each match with its index from the head. */
    void (*found)(void *context, uint64_t index);
    void *context;
};

/* A search under way: it goes on from element `seen`, as counted in its direction. */
struct searching {
    const struct search *search;
    struct spill_cursor *cursor;
    uint64_t total, limit, seen, skipped, told;
};

static int search_begin(struct spill_snapshot *snapshot, const struct search *search,
                        struct searching *out_searching)
{
    uint64_t total = spill_snapshot_count(snapshot);

    *out_searching = (struct searching){
        .search = search,
        .total = total,
        .limit = search->look_at && search->look_at < total ? search->look_at : total,
    };
    return spill_cursor_create(snapshot, search->towards == SPILL_TAIL ? 0 : total - 1,
                               search->towards, &out_searching->cursor);
}

static void search_finish(struct searching *searching)
{
    spill_cursor_destroy(searching->cursor);
    searching->cursor = NULL;
}

/* 1: looked at the next element, 0: there is nothing more to find; or a negative errno. */
static int search_step(struct searching *searching)
{
    const struct search *search = searching->search;
    struct slice item;
    uint64_t index = searching->seen;
    int rc;

    if (searching->seen == searching->limit) return 0;
    if (search->wanted && searching->told == search->wanted) return 0;
    rc = spill_cursor_next(searching->cursor, &item);
    if (rc <= 0) return rc;
    searching->seen++;
    if (!slice_equal(item, search->element) || searching->skipped++ < search->skip) return 1;
    searching->told++;
    search->found(search->context,
                  search->towards == SPILL_TAIL ? index : searching->total - 1 - index);
    return 1;
}

/* The number of matches told, or a negative errno. */
static int64_t search_all(struct call *call, struct spill_snapshot *snapshot,
                          const struct search *search)
{
    struct searching searching;
    int rc = search_begin(snapshot, search, &searching);

    if (rc < 0) return rc;
    while ((rc = search_step(&searching)) == 1) {
        if (searching.seen % BREATH_ELEMENTS != 0) continue;
        rc = parking_breathe(call->server);
        if (rc < 0) break;
    }
    search_finish(&searching);
    return rc < 0 ? rc : (int64_t)searching.told;
}

static int64_t search(struct call *call, struct spill_deque *deque, const struct search *search)
{
    struct spill_snapshot *snapshot;
    int64_t rc = spill_deque_snapshot(deque, &snapshot);

    if (rc < 0) return rc;
    rc = search_all(call, snapshot, search);
    spill_snapshot_release(snapshot);
    return rc;
}

static void keep_index(void *context, uint64_t index)
{
    *(uint64_t *)context = index;
}

/* LINSERT key BEFORE|AFTER pivot element */
int list_linsert(struct call *call)
{
    struct list_at list;
    struct search pivot = { .element = call->arguments[3], .towards = SPILL_TAIL, .wanted = 1 };
    uint64_t index = 0;
    int64_t found;
    bool after = slice_is(call->arguments[2], "AFTER");
    int rc;

    if (!after && !slice_is(call->arguments[2], "BEFORE")) return call_syntax_error(call);
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    pivot.found = keep_index;
    pivot.context = &index;
    found = search(call, list.deque, &pivot);
    if (found < 0) return (int)found;
    if (found == 0) {
        reply_integer(call->reply, -1);
        return 0;
    }
    rc = spill_deque_insert(list.deque, index + (after ? 1 : 0), call->arguments[4]);
    if (rc < 0) return rc;
    call_changed_signal(call, call->arguments[1]);
    reply_integer(call->reply, (int64_t)spill_deque_count(list.deque));
    return 0;
}

/* ---- LPOS
 * ------------------------------------------------------------------------------------------- */

struct lpos {
    int64_t rank, count, maxlen;
    bool has_count;
};

static bool parse_lpos(struct call *call, struct lpos *out_lpos)
{
    *out_lpos = (struct lpos){ .rank = 1, .count = 1 };
    for (uint32_t i = 3; i < call->argument_count; i += 2) {
        struct slice option = call->arguments[i];

        if (i + 1 >= call->argument_count) {
            (void)call_syntax_error(call);
            return false;
        }
        if (slice_is(option, "RANK")) {
            if (!call_integer_between(call, i + 1, -INT64_MAX, INT64_MAX, NULL, &out_lpos->rank))
                return false;
            if (out_lpos->rank == 0) {
                (void)call_error(call,
                                 "ERR RANK can't be zero: use 1 to start from the first match, "
                                 "2 from the second ... or use negative to start from the end "
                                 "of the list");
                return false;
            }
        } else if (slice_is(option, "COUNT")) {
            if (!call_integer_between(call, i + 1, 0, INT64_MAX, "ERR COUNT can't be negative",
                                      &out_lpos->count))
                return false;
            out_lpos->has_count = true;
        } else if (slice_is(option, "MAXLEN")) {
            if (!call_integer_between(call, i + 1, 0, INT64_MAX, "ERR MAXLEN can't be negative",
                                      &out_lpos->maxlen))
                return false;
        } else {
            (void)call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The first matches are remembered, so that the usual reply takes one walk; with more, a second one
 * writes, as the socket drains: there may be as many as elements. */
struct matches {
    uint64_t indexes[MATCHES_HELD];
    uint64_t count;
};

static void remember(void *context, uint64_t index)
{
    struct matches *matches = context;

    if (matches->count < MATCHES_HELD) matches->indexes[matches->count] = index;
    matches->count++;
}

static void write_index(void *context, uint64_t index)
{
    reply_integer(context, (int64_t)index);
}

/* Of a call that may be suspended: its reply is another one when its client has gone. */
static void write_index_of_call(void *context, uint64_t index)
{
    reply_integer(((struct call *)context)->reply, (int64_t)index);
}

struct match_stream {
    struct parked_call *parked;
    struct spill_snapshot *snapshot;
    struct search query;
    struct searching searching;
};

static enum produce_result produce_matches(void *context, struct client *client, size_t size)
{
    struct match_stream *stream = context;

    stream->query.context = client_reply(client);
    for (size_t i = 0; i < size / PIECE_BYTES_AN_ELEMENT; i++) {
        int rc = search_step(&stream->searching);

        if (rc == -EAGAIN) {
            parking_stream_wait(stream->parked);
            return PRODUCE_WAIT;
        }
        if (rc < 0) {
            call_break_off(&stream->parked->call);
        }
        if (rc != 1) return PRODUCE_DONE;
    }
    spill_cursor_rest(stream->searching.cursor); /* the reader may be slow */
    return PRODUCE_MORE;
}

static void end_match_stream(void *context)
{
    struct match_stream *stream = context;

    search_finish(&stream->searching);
    spill_snapshot_release(stream->snapshot);
    parking_stream_end(stream->parked);
    free(stream);
}

/* Takes the snapshot over when it returns CALL_STREAMING. */
static int stream_matches(struct call *call, struct spill_snapshot *snapshot,
                          const struct search *query, uint64_t count)
{
    struct match_stream *stream = calloc(1, sizeof(*stream));
    int rc;

    if (!stream) return -ENOMEM;
    stream->query = *query;
    stream->query.found = write_index;
    rc = search_begin(snapshot, &stream->query, &stream->searching);
    if (rc == 0) rc = parking_stream(call, &stream->parked);
    if (rc < 0) {
        search_finish(&stream->searching);
        free(stream);
        return rc;
    }
    stream->snapshot = snapshot;
    /* The arguments that call came with may be views into what was read. */
    stream->query.element = stream->parked->call.arguments[2];
    reply_array(call->reply, count);
    client_set_producer(call->session->client,
                        (struct client_producer){ .produce = produce_matches,
                                                  .destroy = end_match_stream,
                                                  .context = stream });
    return CALL_STREAMING;
}

/* Inside EXEC. The first walk has found that all is well; where the call may be suspended, what was
 * written may have been sent since. */
static int write_matches(struct call *call, struct spill_snapshot *snapshot, struct search *query,
                         uint64_t count)
{
    bool can_take_back = !parking_can_suspend(call->server->parking);
    struct chain_mark mark = { 0 };
    int64_t rc;

    if (count > memory_limit(call->server->memory) / 8 / INDEX_REPLY_BYTES)
        return call_error(call, "OOM a reply inside a transaction may hold at most an eighth "
                                "of 'maxmemory'");
    if (can_take_back) mark = chain_mark(call->reply->chain);
    query->found = write_index_of_call;
    query->context = call;
    reply_array(call->reply, count);
    rc = search_all(call, snapshot, query);
    if (rc >= 0) return 0;
    if (can_take_back) {
        chain_cut(call->reply->chain, mark);
        return (int)rc;
    }
    call_break_off(call);
    return 0;
}

static void write_remembered(struct call *call, const struct matches *matches)
{
    reply_array(call->reply, matches->count);
    for (uint64_t i = 0; i < matches->count; i++) {
        reply_integer(call->reply, (int64_t)matches->indexes[i]);
    }
}

static int reply_all_matches(struct call *call, struct spill_deque *deque, struct search *query)
{
    struct matches *matches = malloc(sizeof(*matches));
    struct spill_snapshot *snapshot = NULL;
    int64_t rc = -ENOMEM;

    if (!matches) return -ENOMEM;
    matches->count = 0;
    query->found = remember;
    query->context = matches;
    rc = spill_deque_snapshot(deque, &snapshot);
    if (rc == 0) rc = search_all(call, snapshot, query);
    if (rc < 0) goto out;
    rc = 0;
    if (matches->count <= MATCHES_HELD)
        write_remembered(call, matches);
    else if (call->in_transaction)
        rc = write_matches(call, snapshot, query, matches->count);
    else
        rc = stream_matches(call, snapshot, query, matches->count);
    if (rc == CALL_STREAMING) snapshot = NULL;
out:
    spill_snapshot_release(snapshot);
    free(matches);
    return (int)rc;
}

/* LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len] */
int list_lpos(struct call *call)
{
    struct list_at list;
    struct lpos lpos;
    struct search query;
    uint64_t index = 0;
    int64_t found;
    int rc;

    if (!parse_lpos(call, &lpos)) return 0;
    rc = list_find_read(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        if (lpos.has_count)
            reply_array(call->reply, 0);
        else
            reply_null(call->reply);
        return 0;
    }
    rc = list_may_walk(call, list.deque);
    if (rc < 0) return rc;
    query = (struct search){
        .element = call->arguments[2],
        .towards = lpos.rank < 0 ? SPILL_HEAD : SPILL_TAIL,
        .skip = (lpos.rank < 0 ? 0 - (uint64_t)lpos.rank : (uint64_t)lpos.rank) - 1,
        .wanted = (uint64_t)lpos.count,
        .look_at = (uint64_t)lpos.maxlen,
        .found = keep_index,
        .context = &index,
    };
    if (lpos.has_count) return reply_all_matches(call, list.deque, &query);
    query.wanted = 1;
    found = search(call, list.deque, &query);
    if (found < 0) return (int)found;
    if (found == 0)
        reply_null(call->reply);
    else
        reply_integer(call->reply, (int64_t)index);
    return 0;
}
