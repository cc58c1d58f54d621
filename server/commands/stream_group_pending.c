/* stream_group_pending.c - XPENDING */
#include <errno.h>
#include <stdlib.h>

#include "server/commands/cut_bulk.h"
#include "server/commands/draft.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/session.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_viewing.h"
#include "server/commands/stream_words.h"
#include "server/net/client.h"

enum {
    BREATH_ENTRIES = 256,
    BREATH_CONSUMERS = 128,
    INLINE_ENTRIES = 1000,    /* more are looked for in a fiber */
    INLINE_BYTES = 64 * 1024, /* are written at once */
    PENDING_BYTES = 64,       /* one takes, about, but for its consumer's name */
};

struct asked {
    struct stream_id start, end;
    uint64_t count;
    uint64_t now_ms;
    uint64_t delivered_max_ms; /* of what has been idle for long enough */
    bool has_consumer;
    struct slice consumer;
};

/* ---- the summary -------------------------------------------------------------------------------
 */

/* 0; -EMSGSIZE: it is too much for one answer; -ECANCELED. */
static int gather_consumers(struct call *call, const struct stream_group *group,
                            struct stream_gathered *gathered)
{
    for (uint32_t i = 0; i < stream_group_consumer_count(group); i++) {
        const struct stream_consumer *consumer = stream_group_consumer_at(group, i);
        uint64_t pending = stream_consumer_pending_count(consumer);

        if ((i + 1) % BREATH_CONSUMERS == 0 && parking_breathe(call->server) < 0) return -ECANCELED;
        if (pending == 0) continue;
        reply_array(&gathered->reply, 2);
        reply_bulk(&gathered->reply, stream_consumer_name(consumer));
        reply_bulk_unsigned(&gathered->reply, pending);
        gathered->count++;
        if (stream_gathered_is_full(call, gathered)) return -EMSGSIZE;
    }
    return 0;
}

static void reply_nothing(struct call *call)
{
    reply_array(call->reply, 4);
    reply_integer(call->reply, 0);
    reply_null(call->reply);
    reply_null(call->reply);
    reply_null_array(call->reply);
}

static int reply_summary(struct call *call, const struct stream_group *group)
{
    struct stream_pending first, last;
    struct stream_gathered consumers;
    int rc;

    if (!stream_group_last_pending(group, &last)) {
        reply_nothing(call);
        return 0;
    }
    if (stream_group_consumer_count(group) > INLINE_ENTRIES && !call_can_suspend(call))
        return -EAGAIN;
    stream_gathered_begin(call, &consumers);
    rc = gather_consumers(call, group, &consumers);
    if (rc == 0) {
        (void)stream_group_next_pending(group, NULL, STREAM_ID_MIN, STREAM_ANY_TIME_MS, &first);
        reply_array(call->reply, 4);
        reply_integer(call->reply, (int64_t)stream_group_pending_count(group));
        stream_id_reply(call->reply, first.id);
        stream_id_reply(call->reply, last.id);
        stream_gathered_reply(call, &consumers);
    }
    stream_gathered_drop(&consumers);
    return rc == -EMSGSIZE ? call_error(call, STREAM_ANSWER_TOO_LONG) : rc;
}

/* ---- what is pending, one by one ---------------------------------------------------------------
 */

/* [IDLE min-idle-time] start end count [consumer]. False: an error was answered. */
static bool parse(struct call *call, struct asked *asked)
{
    int64_t idle_ms = 0, count;
    uint32_t at = 3;

    if (slice_is(call->arguments[at], "IDLE")) {
        if (!call_integer(call, 4, &idle_ms)) return false;
        if (call->argument_count < 8) {
            (void)call_syntax_error(call);
            return false;
        }
        at += 2;
    }
    if (!call_integer(call, at + 2, &count)) return false;
    if (!stream_word_start(call, at, &asked->start)) return false;
    if (!stream_word_end(call, at + 1, &asked->end)) return false;
    asked->count = count > 0 ? (uint64_t)count : 0;
    asked->has_consumer = at + 3 < call->argument_count;
    if (asked->has_consumer) asked->consumer = call->arguments[at + 3];
    asked->now_ms = stream_now_ms(call);
    asked->delivered_max_ms = stream_delivered_max_ms(asked->now_ms, idle_ms);
    return true;
}

static bool next_asked(const struct stream_group *group, const struct stream_consumer *consumer,
                       const struct asked *asked, struct stream_id from,
                       struct stream_pending *out_pending)
{
    return stream_group_next_pending(group, consumer, from, asked->delivered_max_ms, out_pending) &&
           stream_id_compare(out_pending->id, asked->end) <= 0;
}

/* What was given back is nobody's and has no idle time. */
static int64_t idle_ms_of(const struct asked *asked, const struct stream_pending *pending)
{
    if (!pending->consumer) return -1;
    if (asked->now_ms <= pending->delivered_ms) return 0;
    return (int64_t)(asked->now_ms - pending->delivered_ms);
}

static struct slice name_of(const struct stream_pending *pending)
{
    return pending->consumer ? stream_consumer_name(pending->consumer) : SLICE_LITERAL("");
}

static void reply_numbers(const struct asked *asked, struct reply *reply,
                          const struct stream_pending *pending)
{
    reply_integer(reply, idle_ms_of(asked, pending));
    reply_integer(reply, (int64_t)pending->delivery_count);
}

/* ---- as the socket drains ----------------------------------------------------------------------
 *
 * What is left of a long answer is counted, and written from a view of the group as it was.
 */

struct streaming {
    struct stream_group_view *view;
    struct stream_viewing viewing;
    struct parked_call *parked;
    const struct stream_consumer *consumer; /* the view's; NULL: anybody's */
    struct asked asked;                     /* so many, from there on */
    struct stream_pending pending;          /* whose numbers are next */
    bool has_numbers;                       /* they are */
    struct cut_bulk name;
};

/* The next one, up to its numbers, or these. False: there is none. */
static bool write_next(struct streaming *streaming, struct reply *reply, size_t *written)
{
    struct asked *asked = &streaming->asked;
    struct stream_pending *pending = &streaming->pending;

    *written += PENDING_BYTES / 2;
    if (streaming->has_numbers) {
        reply_numbers(asked, reply, pending);
        streaming->has_numbers = false;
        return true;
    }
    if (asked->count == 0) return false;
    (void)next_asked(stream_group_view_group(streaming->view), streaming->consumer, asked,
                     asked->start, pending); /* it was counted */
    asked->count--;
    asked->start = pending->id;
    (void)stream_id_increment(&asked->start);
    reply_array(reply, 4);
    stream_id_reply(reply, pending->id);
    *written += cut_bulk_begin(&streaming->name, reply, name_of(pending));
    streaming->has_numbers = true;
    return true;
}

static enum produce_result produce(void *context, struct client *client, size_t size)
{
    struct streaming *streaming = context;
    struct reply *reply = client_reply(client);
    size_t written = 0;

    stream_viewing_moves(&streaming->viewing);
    while (written < size) {
        if (streaming->name.is_open)
            written += cut_bulk_go_on(&streaming->name, reply, size - written);
        else if (!write_next(streaming, reply, &written))
            return PRODUCE_DONE;
    }
    return PRODUCE_MORE;
}

static void drop(struct streaming *streaming)
{
    stream_viewing_end(&streaming->viewing);
    stream_group_view_drop(streaming->view);
    free(streaming);
}

static void end_streaming(void *context)
{
    struct streaming *streaming = context;

    parking_stream_end(streaming->parked);
    drop(streaming);
}

static int take_view(struct stream_group *group, const struct stream_consumer *consumer,
                     const struct asked *asked, struct streaming **out_streaming)
{
    struct streaming *streaming = calloc(1, sizeof(*streaming));
    int rc;

    if (!streaming) return -ENOMEM;
    rc = stream_group_view_create(group, consumer != NULL, &streaming->view);
    if (rc < 0) {
        free(streaming);
        return rc;
    }
    streaming->asked = *asked;
    if (consumer) streaming->consumer = stream_group_view_add(streaming->view, consumer);
    *out_streaming = streaming;
    return 0;
}

static int begin_streaming(struct call *call, struct stream_group *group,
                           const struct stream_consumer *consumer, const struct asked *left)
{
    struct server *server = call->server;
    struct streaming *streaming;
    int rc;

    if (!parking_may_keep(server, stream_group_store_memory_bytes(server->stream_groups)))
        return -ENOBUFS;
    rc = take_view(group, consumer, left, &streaming);
    if (rc < 0) return rc;
    rc = parking_stream(call, &streaming->parked);
    if (rc < 0) {
        drop(streaming);
        return rc;
    }
    stream_viewing_begin(server, call->session->client, &streaming->viewing);
    client_set_producer(call->session->client, (struct client_producer){ .produce = produce,
                                                                         .destroy = end_streaming,
                                                                         .context = streaming });
    return rc;
}

/* ---- what is asked for -------------------------------------------------------------------------
 */

static int breathe(struct call *call, uint64_t count)
{
    if (count % BREATH_ENTRIES != 0) return 0;
    return parking_breathe(call->server) < 0 ? -ECANCELED : 0;
}

static void reply_pending(const struct asked *asked, struct reply *reply,
                          const struct stream_pending *pending)
{
    reply_array(reply, 4);
    stream_id_reply(reply, pending->id);
    reply_bulk(reply, name_of(pending));
    reply_numbers(asked, reply, pending);
}

/* What is written at once: asked is what is left then. 1: that is something; 0: nothing is;
 * -EMSGSIZE: it is too much for one answer; -ECANCELED. */
static int gather_asked(struct call *call, const struct stream_group *group,
                        const struct stream_consumer *consumer, struct asked *asked,
                        struct stream_gathered *gathered)
{
    struct stream_pending pending;
    int rc = 0;

    while (rc == 0 && asked->count > 0 &&
           next_asked(group, consumer, asked, asked->start, &pending)) {
        reply_pending(asked, &gathered->reply, &pending);
        asked->count--;
        asked->start = pending.id;
        if (!stream_id_increment(&asked->start)) asked->count = 0;
        if (call->in_transaction && stream_gathered_is_full(call, gathered)) return -EMSGSIZE;
        rc = breathe(call, ++gathered->count);
        if (rc == 0 && !call->in_transaction && chain_bytes(&gathered->chain) >= INLINE_BYTES)
            return 1;
    }
    return rc;
}

/* Goes through what is left: its count is the number of those that there are then. */
static int count_asked(struct call *call, const struct stream_group *group,
                       const struct stream_consumer *consumer, struct asked *asked)
{
    struct stream_id from = asked->start;
    struct stream_pending pending;
    uint64_t count = 0;
    int rc = 0;

    while (rc == 0 && count < asked->count && next_asked(group, consumer, asked, from, &pending)) {
        rc = breathe(call, ++count);
        from = pending.id;
        if (!stream_id_increment(&from)) break;
    }
    asked->count = count;
    return rc;
}

static int write_asked(struct call *call, struct stream_group *group,
                       const struct stream_consumer *consumer, struct asked *asked,
                       struct stream_gathered *gathered)
{
    int rc = gather_asked(call, group, consumer, asked, gathered);

    if (rc < 0) return rc;
    if (rc == 0) asked->count = 0;
    rc = count_asked(call, group, consumer, asked);
    if (rc < 0) return rc;
    if (asked->count > 0 && !call->session) return -ECANCELED;
    reply_array(call->reply, gathered->count + asked->count);
    stream_gathered_move(gathered, call->reply);
    return asked->count > 0 ? begin_streaming(call, group, consumer, asked) : 0;
}

static int reply_asked(struct call *call, struct stream_group *group, struct asked *asked)
{
    const struct stream_consumer *consumer = NULL;
    struct stream_gathered gathered;
    struct draft draft;
    int rc;

    if (asked->has_consumer) consumer = stream_group_find_consumer(group, asked->consumer);
    if (asked->has_consumer && !consumer) {
        reply_array(call->reply, 0);
        return 0;
    }
    if (asked->count > INLINE_ENTRIES && stream_group_pending_count(group) > INLINE_ENTRIES &&
        !call_can_suspend(call))
        return -EAGAIN;
    stream_gathered_begin(call, &gathered);
    draft_begin(&draft, call);
    rc = draft_end(&draft, call, write_asked(call, group, consumer, asked, &gathered));
    stream_gathered_drop(&gathered);
    if (rc == -EMSGSIZE) return call_error(call, STREAM_ANSWER_TOO_LONG);
    return rc == -ENOBUFS ? call_error(call, STREAM_ANSWERS_TAKE_TOO_MUCH) : rc;
}

/* XPENDING key group [[IDLE min-idle-time] start end count [consumer]] */
int stream_xpending(struct call *call)
{
    bool is_summary = call->argument_count == 3;
    struct stream_group_key key;
    struct asked asked;
    int rc;

    if (!is_summary && (call->argument_count < 6 || call->argument_count > 9))
        return call_syntax_error(call);
    if (!is_summary && !parse(call, &asked)) return 0;
    rc = stream_group_need(call, call->arguments[1], call->arguments[2], &key);
    if (rc >= 0) stream_group_count_look(call, &key);
    if (rc <= 0) return rc;
    return is_summary ? reply_summary(call, key.group) : reply_asked(call, key.group, &asked);
}
