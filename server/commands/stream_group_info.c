/* stream_group_info.c - XINFO GROUPS, XINFO CONSUMERS */
#include "server/commands/stream_group_info.h"

#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/draft.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_words.h"
#include "server/types/stream.h"

enum {
    INLINE_CONSUMERS = 1000, /* more are put together in a fiber */
    BREATH_CONSUMERS = 128,
    INLINE_GROUPS = 100, /* likewise: how far each lags is looked for in the stream */
    BREATH_GROUPS = 16,
};

static void reply_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

int stream_group_find_lag(struct stream *stream, const struct stream_group *group,
                          uint64_t *out_lag)
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

void stream_group_reply_progress(struct reply *reply, const struct stream_group *group,
                                 uint64_t lag)
{
    int64_t entries_read = stream_group_entries_read(group);

    reply_bulk_string(reply, "last-delivered-id");
    stream_id_reply(reply, stream_group_last_id(group));
    reply_bulk_string(reply, "entries-read");
    if (entries_read == STREAM_ENTRIES_READ_UNKNOWN)
        reply_null(reply);
    else
        reply_integer(reply, entries_read);
    reply_field(reply, "lag", (int64_t)lag);
}

/* ---- XINFO GROUPS ------------------------------------------------------------------------------
 */

static int reply_group(struct call *call, struct stream *stream, const struct stream_group *group)
{
    uint64_t lag;
    int rc = stream_group_find_lag(stream, group, &lag);

    if (rc < 0) return rc;
    reply_map(call->reply, 6);
    reply_bulk_string(call->reply, "name");
    reply_bulk(call->reply, stream_group_name(group));
    reply_field(call->reply, "consumers", stream_group_consumer_count(group));
    reply_field(call->reply, "pending", (int64_t)stream_group_pending_count(group));
    stream_group_reply_progress(call->reply, group, lag);
    return 0;
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
    if (count > INLINE_GROUPS && !call_can_suspend(call)) return -EAGAIN;
    draft_begin(&draft, call);
    reply_array(call->reply, count);
    rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = reply_group(call, key.stream, stream_groups_at(groups, i));
        if (rc == 0 && (i + 1) % BREATH_GROUPS == 0) rc = parking_breathe(call->server);
    }
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
