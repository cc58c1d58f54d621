/* stream_group_info.c - XINFO GROUPS, XINFO CONSUMERS, and the groups in XINFO STREAM FULL */
#include "server/commands/draft.h"
#include "server/commands/stream_group_info.h"

#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_words.h"
#include "server/types/stream.h"

enum {
    INLINE_CONSUMERS = 1000, /* more are put together in a fiber */
    BREATH_CONSUMERS = 128,
};

static void reply_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

/* How many entries it has yet to deliver: those behind the last one that it has, as they are. */
static int find_lag(struct stream *stream, const struct stream_group *group, uint64_t *out_lag)
{
    struct stream_id next = stream_group_last_id(group);
    struct stream_info info;
    uint64_t first;
    int rc;

    *out_lag = 0;
    if (!stream_id_increment(&next)) return 0;
    rc = stream_ordinal_of(stream, next, &first);
    if (rc < 0) return rc;
    stream_get_info(stream, &info);
    *out_lag = stream_count_between(stream, first, info.end);
    return 0;
}

/* last-delivered-id, entries-read, lag */
static int reply_progress(struct reply *reply, struct stream *stream,
                          const struct stream_group *group)
{
    int64_t entries_read = stream_group_entries_read(group);
    uint64_t lag;
    int rc = find_lag(stream, group, &lag);

    if (rc < 0) return rc;
    reply_bulk_string(reply, "last-delivered-id");
    stream_id_reply(reply, stream_group_last_id(group));
    reply_bulk_string(reply, "entries-read");
    if (entries_read == STREAM_ENTRIES_READ_UNKNOWN)
        reply_null(reply);
    else
        reply_integer(reply, entries_read);
    reply_field(reply, "lag", (int64_t)lag);
    return 0;
}

/* ---- XINFO GROUPS ------------------------------------------------------------------------------
 */

static int reply_group(struct call *call, struct stream *stream, const struct stream_group *group)
{
    reply_map(call->reply, 6);
    reply_bulk_string(call->reply, "name");
    reply_bulk(call->reply, stream_group_name(group));
    reply_field(call->reply, "consumers", stream_group_consumer_count(group));
    reply_field(call->reply, "pending", (int64_t)stream_group_pending_count(group));
    return reply_progress(call->reply, stream, group);
}

/* XINFO GROUPS key */
int stream_xinfo_groups(struct call *call)
{
    const struct stream_groups *groups;
    struct stream_key key;
    struct draft draft;
    uint32_t count;
    int rc = stream_key_find_read(call, call->arguments[2], &key);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    groups = stream_value_groups(key.value);
    count = groups ? stream_groups_count(groups) : 0;
    draft_begin(&draft, call);
    reply_array(call->reply, count);
    rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = reply_group(call, key.stream, stream_groups_at(groups, i));
    return draft_end(&draft, call, rc);
}

/* ---- XINFO CONSUMERS ---------------------------------------------------------------------------
 */

static int64_t since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? (int64_t)(now_ms - then_ms) : 0;
}

static void reply_consumer(struct call *call, struct reply *reply,
                           const struct stream_consumer *consumer)
{
    uint64_t now_ms = stream_now_ms(call), active_ms = stream_consumer_active_ms(consumer);

    reply_map(reply, 4);
    reply_bulk_string(reply, "name");
    reply_bulk(reply, stream_consumer_name(consumer));
    reply_field(reply, "pending", (int64_t)stream_consumer_pending_count(consumer));
    reply_field(reply, "idle", since(now_ms, stream_consumer_seen_ms(consumer)));
    reply_field(reply, "inactive",
                active_ms == STREAM_NEVER_ACTIVE ? -1 : since(now_ms, active_ms));
}

static int reply_all_consumers(struct call *call, const struct stream_group *group)
{
    struct stream_gathered gathered;
    int rc = 0;

    stream_gathered_begin(call, &gathered);
    while (rc == 0 && gathered.count < stream_group_consumer_count(group)) {
        reply_consumer(call, &gathered.reply,
                       stream_group_consumer_at(group, (uint32_t)gathered.count));
        if (stream_gathered_is_full(call, &gathered)) rc = -EMSGSIZE;
        if (rc == 0 && ++gathered.count % BREATH_CONSUMERS == 0) rc = parking_breathe(call->server);
    }
    if (rc == 0) stream_gathered_reply(call, &gathered);
    stream_gathered_drop(&gathered);
    return rc == -EMSGSIZE ? call_error(call, STREAM_ANSWER_TOO_LONG) : rc;
}

/* XINFO CONSUMERS key group */
int stream_xinfo_consumers(struct call *call)
{
    struct stream_group_key key;
    int rc = stream_group_find(call, call->arguments[2], call->arguments[3], &key);

    if (rc < 0) return rc;
    stream_group_count_look(call, &key);
    if (!key.stream.key) return call_error(call, "ERR no such key");
    if (rc == 0) return stream_group_missing(call, call->arguments[2], call->arguments[3]);
    if (stream_group_consumer_count(key.group) > INLINE_CONSUMERS && !call_can_suspend(call))
        return -EAGAIN;
    return reply_all_consumers(call, key.group);
}

/* ---- XINFO STREAM FULL -------------------------------------------------------------------------
 */

static void reply_pending(struct reply *reply, const struct stream_pending *pending,
                          bool with_consumer)
{
    reply_array(reply, with_consumer ? 4 : 3);
    stream_id_reply(reply, pending->id);
    if (with_consumer)
        reply_bulk(reply,
                   pending->consumer ? stream_consumer_name(pending->consumer) : SLICE_LITERAL(""));
    reply_integer(reply, (int64_t)pending->delivered_ms);
    reply_integer(reply, (int64_t)pending->delivery_count);
}

/* Of the group, or of one of its consumers. */
static int reply_all_pending(struct call *call, const struct stream_group *group,
                             const struct stream_consumer *consumer, struct stream_full *full)
{
    uint64_t count =
        consumer ? stream_consumer_pending_count(consumer) : stream_group_pending_count(group);
    struct reply *reply = &full->gathered.reply;
    struct stream_id from = STREAM_ID_MIN;
    struct stream_pending pending;

    reply_field(reply, "pel-count", (int64_t)count);
    reply_bulk_string(reply, "pending");
    count = count < full->count_max ? count : full->count_max;
    reply_array(reply, count);
    while (count-- > 0) {
        int rc = stream_full_rest(call, full, count);

        if (rc < 0) return rc;
        (void)stream_group_next_pending(group, consumer, from, STREAM_ANY_TIME_MS, &pending);
        reply_pending(reply, &pending, consumer == NULL);
        from = pending.id;
        (void)stream_id_increment(&from);
    }
    return 0;
}

static int reply_full_consumer(struct call *call, const struct stream_group *group,
                               const struct stream_consumer *consumer, struct stream_full *full)
{
    struct reply *reply = &full->gathered.reply;
    uint64_t active_ms = stream_consumer_active_ms(consumer);

    reply_map(reply, 5);
    reply_bulk_string(reply, "name");
    reply_bulk(reply, stream_consumer_name(consumer));
    reply_field(reply, "seen-time", (int64_t)stream_consumer_seen_ms(consumer));
    reply_field(reply, "active-time", active_ms == STREAM_NEVER_ACTIVE ? -1 : (int64_t)active_ms);
    return reply_all_pending(call, group, consumer, full);
}

uint64_t stream_groups_consumer_count(const struct stream_groups *groups)
{
    uint64_t count = 0;

    for (uint32_t i = 0; groups && i < stream_groups_count(groups); i++)
        count += stream_group_consumer_count(stream_groups_at(groups, i));
    return count;
}

static int reply_full_group(struct call *call, struct stream *stream,
                            const struct stream_group *group, struct stream_full *full)
{
    struct reply *reply = &full->gathered.reply;
    uint32_t count = stream_group_consumer_count(group);
    int rc;

    reply_map(reply, 8);
    reply_bulk_string(reply, "name");
    reply_bulk(reply, stream_group_name(group));
    rc = reply_progress(reply, stream, group);
    if (rc < 0) return rc;
    rc = reply_all_pending(call, group, NULL, full);
    if (rc < 0) return rc;
    reply_bulk_string(reply, "consumers");
    reply_array(reply, count);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = stream_full_rest(call, full, i + 1);
        if (rc == 0)
            rc = reply_full_consumer(call, group, stream_group_consumer_at(group, i), full);
    }
    if (rc < 0) return rc;
    reply_field(reply, "nacked-count", (int64_t)stream_group_released_count(group));
    return 0;
}

int stream_groups_reply_full(struct call *call, const struct stream_key *key,
                             struct stream_full *full)
{
    const struct stream_groups *groups = stream_value_groups(key->value);
    uint32_t count = groups ? stream_groups_count(groups) : 0;
    int rc = 0;

    reply_array(&full->gathered.reply, count);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = reply_full_group(call, key->stream, stream_groups_at(groups, i), full);
    return rc;
}
