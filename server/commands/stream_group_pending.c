/* stream_group_pending.c - XPENDING */
#include <errno.h>

#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_words.h"

enum {
    BREATH_ENTRIES = 256,
    BREATH_CONSUMERS = 128,
    INLINE_ENTRIES = 1000, /* more are looked for in a fiber */
};

struct asked {
    struct stream_id start, end;
    uint64_t count;
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
    uint64_t now_ms = stream_now_ms(call);
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
    asked->delivered_max_ms = stream_delivered_max_ms(now_ms, idle_ms);
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
static void reply_pending(const struct call *call, struct reply *reply,
                          const struct stream_pending *pending)
{
    uint64_t now_ms = stream_now_ms(call);
    int64_t idle_ms = -1;

    if (pending->consumer)
        idle_ms = now_ms > pending->delivered_ms ? (int64_t)(now_ms - pending->delivered_ms) : 0;
    reply_array(reply, 4);
    stream_id_reply(reply, pending->id);
    reply_bulk(reply,
               pending->consumer ? stream_consumer_name(pending->consumer) : SLICE_LITERAL(""));
    reply_integer(reply, idle_ms);
    reply_integer(reply, (int64_t)pending->delivery_count);
}

/* 0; -EMSGSIZE: it is too much for one answer; -ECANCELED. */
static int gather_asked(struct call *call, const struct stream_group *group,
                        const struct stream_consumer *consumer, const struct asked *asked,
                        struct stream_gathered *gathered)
{
    struct stream_id from = asked->start;
    struct stream_pending pending;

    while (gathered->count < asked->count && next_asked(group, consumer, asked, from, &pending)) {
        reply_pending(call, &gathered->reply, &pending);
        if (stream_gathered_is_full(call, gathered)) return -EMSGSIZE;
        if (++gathered->count % BREATH_ENTRIES == 0 && parking_breathe(call->server) < 0)
            return -ECANCELED;
        from = pending.id;
        if (!stream_id_increment(&from)) break;
    }
    return 0;
}

static int reply_asked(struct call *call, const struct stream_group *group,
                       const struct asked *asked)
{
    const struct stream_consumer *consumer = NULL;
    struct stream_gathered gathered;
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
    rc = gather_asked(call, group, consumer, asked, &gathered);
    if (rc == 0) stream_gathered_reply(call, &gathered);
    stream_gathered_drop(&gathered);
    return rc == -EMSGSIZE ? call_error(call, STREAM_ANSWER_TOO_LONG) : rc;
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
