/* stream_info.c - XINFO STREAM, HELP */
#include <errno.h>

#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "server/commands/draft.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_answer.h"
#include "server/commands/stream_gathered.h"
#include "server/commands/stream_group_full.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_words.h"
#include "server/config/config.h"
#include "server/types/stream.h"

enum {
    FULL_COUNT_DEFAULT = 10,
    INLINE_COUNT = 1000, /* more are put together in a fiber */
    PIECE_BYTES = 16 * 1024,
};

static void reply_field(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, (int64_t)value);
}

static void reply_id_field(struct reply *reply, const char *name, struct stream_id id)
{
    reply_bulk_string(reply, name);
    stream_id_reply(reply, id);
}

/* There is no radix tree here: as many keys as Redis has for entries that are not long. */
static uint64_t node_count(const struct call *call, const struct stream_info *info)
{
    uint64_t entries = (uint64_t)call->server->config->stream_node_max_entries;

    if (entries == 0) return info->count > 0;
    return (info->end - info->start + entries - 1) / entries;
}

/* Its length, ids and counts: HEAD_FIELDS. */
static int reply_head(struct call *call, struct reply *reply, struct stream *stream)
{
    struct stream_id first = STREAM_ID_MIN;
    struct stream_info info;
    uint64_t nodes;
    int rc = stream_first_id(stream, &first);

    if (rc < 0) return rc;
    stream_get_info(stream, &info);
    nodes = node_count(call, &info);
    reply_field(reply, "length", info.count);
    reply_field(reply, "radix-tree-keys", nodes);
    reply_field(reply, "radix-tree-nodes", nodes + 1);
    reply_id_field(reply, "last-generated-id", info.last_id);
    reply_id_field(reply, "max-deleted-entry-id", info.max_deleted_id);
    reply_field(reply, "entries-added", info.entries_added);
    reply_id_field(reply, "recorded-first-entry-id", first);
    return 0;
}

/* The entry at an end, or nil. */
static int reply_end(struct call *call, const char *name, struct stream *stream,
                     enum stream_direction direction)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc;

    stream_cursor_begin(&cursor, stream,
                        direction == STREAM_FORWARD ? STREAM_ID_MIN : STREAM_ID_MAX, direction);
    rc = stream_cursor_next(&cursor, &entry);
    if (rc < 0) return rc;
    reply_bulk_string(call->reply, name);
    if (rc == 1)
        (void)stream_entry_reply(call->reply, &entry);
    else
        reply_null(call->reply);
    return 0;
}

static uint64_t group_count(const struct stream_key *key)
{
    const struct stream_groups *groups = stream_value_groups(key->value);

    return groups ? stream_groups_count(groups) : 0;
}

enum { HEAD_FIELDS = 7, IDMP_FIELDS = 6 };

/* Of a stream whose producers name what they add. */
static void reply_idmp(struct reply *reply, const struct stream_producers *producers)
{
    struct stream_producers_info info;

    if (!producers) return;
    stream_producers_get_info(producers, &info);
    reply_field(reply, "idmp-duration", info.duration_s);
    reply_field(reply, "idmp-maxsize", info.size_max);
    reply_field(reply, "pids-tracked", info.producer_count);
    reply_field(reply, "iids-tracked", info.iid_count);
    reply_field(reply, "iids-added", info.iids_added);
    reply_field(reply, "iids-duplicates", info.duplicate_count);
}

/* What both forms begin with, in a map of more fields behind that. */
static int reply_begin(struct call *call, struct reply *reply, const struct stream_key *key,
                       uint32_t more)
{
    const struct stream_producers *producers = stream_value_producers(key->value);
    int rc;

    reply_map(reply, HEAD_FIELDS + more + (producers ? IDMP_FIELDS : 0u));
    rc = reply_head(call, reply, key->stream);
    if (rc == 0) reply_idmp(reply, producers);
    return rc;
}

static int reply_short(struct call *call, const struct stream_key *key)
{
    int rc = reply_begin(call, call->reply, key, 3);

    if (rc < 0) return rc;
    reply_field(call->reply, "groups", group_count(key));
    rc = reply_end(call, "first-entry", key->stream, STREAM_FORWARD);
    return rc < 0 ? rc : reply_end(call, "last-entry", key->stream, STREAM_BACKWARD);
}

/* Of a transaction: nothing can be sent before all is there. */
static int gather_groups(struct call *call, struct stream_full *full,
                         struct stream_gathered *groups)
{
    while (stream_full_write(full, &groups->reply, PIECE_BYTES) > 0) {
        if (stream_gathered_is_full(call, groups)) return -EMSGSIZE;
        if (parking_breathe(call->server) < 0) return -ECANCELED;
    }
    return 0;
}

/* What comes before the entries; what comes behind them is written while it is sent. */
static int answer_full(struct call *call, const struct stream_key *key, uint64_t count_max,
                       struct stream_gathered *head, struct stream_full **full)
{
    struct stream_gathered groups;
    struct stream_range range;
    int rc = reply_begin(call, &head->reply, key, 2);

    if (rc < 0) return rc;
    reply_bulk_string(&head->reply, "entries");
    stream_gathered_begin(call, &groups);
    if (call->in_transaction) rc = gather_groups(call, *full, &groups);
    if (rc == 0)
        rc = stream_range_find(key->stream, STREAM_ID_MIN, STREAM_ID_MAX, STREAM_FORWARD, count_max,
                               &range);
    if (rc == 0)
        rc = stream_answer_between(call, head, &range, call->in_transaction ? &groups : NULL, full);
    stream_gathered_drop(&groups);
    return rc;
}

static int reply_full(struct call *call, const struct stream_key *key, uint64_t count_max)
{
    struct stream_full *full = NULL;
    struct stream_gathered head;
    int rc = stream_full_create(call, key, count_max, &full);

    if (rc < 0) return rc;
    stream_gathered_begin(call, &head);
    rc = answer_full(call, key, count_max, &head, &full);
    stream_gathered_drop(&head);
    stream_full_destroy(full);
    return rc;
}

static int reply_short_drafted(struct call *call, const struct stream_key *key)
{
    struct draft draft;

    draft_begin(&draft, call);
    return draft_end(&draft, call, reply_short(call, key));
}

/* It is put together in a fiber. */
static bool is_much(const struct stream_key *key, uint64_t count_max)
{
    const struct stream_groups *groups = stream_value_groups(key->value);
    uint64_t count = groups ? stream_groups_count(groups) : 0;

    if (count > INLINE_COUNT || count_max > INLINE_COUNT) return true;
    for (uint32_t i = 0; groups && i < stream_groups_count(groups); i++)
        count += stream_group_consumer_count(stream_groups_at(groups, i));
    return count > INLINE_COUNT;
}

/* FULL [COUNT count]. False: an error was answered. */
static bool parse_full(struct call *call, bool *out_is_full, int64_t *out_count)
{
    enum { FIRST = 3 };
    uint32_t count = call->argument_count - FIRST;

    *out_is_full = count > 0;
    *out_count = FULL_COUNT_DEFAULT;
    if (count == 0) return true;
    if ((count != 1 && count != 3) || !slice_is(call->arguments[FIRST], "FULL") ||
        (count == 3 && !slice_is(call->arguments[FIRST + 1], "COUNT"))) {
        (void)call_wrong_subcommand_arity(call);
        return false;
    }
    if (count == 3 && !call_integer(call, FIRST + 2, out_count)) return false;
    if (*out_count < 0) *out_count = FULL_COUNT_DEFAULT;
    return true;
}

/* XINFO STREAM key [FULL [COUNT count]] */
int stream_xinfo_stream(struct call *call)
{
    struct stream_key key;
    bool is_full;
    int64_t count;
    int rc = stream_key_find_read(call, call->arguments[2], &key);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    if (!parse_full(call, &is_full, &count)) return 0;
    if (count == 0) count = INT64_MAX;
    if (!is_full) return reply_short_drafted(call, &key);
    if (is_much(&key, (uint64_t)count) && !call_can_suspend(call)) return -EAGAIN;
    rc = reply_full(call, &key, (uint64_t)count);
    if (rc == -EMSGSIZE) return call_error(call, STREAM_ANSWER_TOO_LONG);
    return rc == -ENOBUFS ? call_error(call, STREAM_ANSWERS_TAKE_TOO_MUCH) : rc;
}

/* XINFO HELP */
int stream_xinfo_help(struct call *call)
{
    static const char *const lines[] = {
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* XINFO */
int stream_xinfo(struct call *call)
{
    return call_unknown_subcommand(call);
}
