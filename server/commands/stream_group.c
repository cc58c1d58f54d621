/* stream_group.c - XGROUP */
#include <assert.h>
#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_group_key.h"
#include "server/commands/stream_words.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/types/stream.h"

enum {
    CREATE_ARGUMENTS_MAX = 8, /* each option once */
    SETID_ARGUMENTS_MAX = 7,
    DROP_STEP = 256,   /* of what a consumer has pending, between two breaths */
    INLINE_DROP = 1024 /* more than this goes in a fiber */
};

/* ---- what all subcommands begin with ------------------------------------------------------------
 */

struct options {
    bool may_make; /* MKSTREAM */
    int64_t entries_read;
};

/* Behind the id. False: an error was answered. */
static bool parse_options(struct call *call, bool takes_mkstream, struct options *options)
{
    *options = (struct options){ .entries_read = STREAM_ENTRIES_READ_UNKNOWN };
    for (uint32_t i = 5; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        if (takes_mkstream && slice_is(word, "MKSTREAM")) {
            options->may_make = true;
            continue;
        }
        if (!slice_is(word, "ENTRIESREAD") || i + 1 == call->argument_count) {
            (void)call_wrong_subcommand_arity(call);
            return false;
        }
        if (!call_integer(call, ++i, &options->entries_read)) return false;
        if (options->entries_read < -1) {
            (void)call_error(call, "ERR value for ENTRIESREAD must be positive or -1");
            return false;
        }
        if (options->entries_read == -1) options->entries_read = STREAM_ENTRIES_READ_UNKNOWN;
    }
    return true;
}

static int answer_no_key(struct call *call)
{
    return call_error(call, "ERR The XGROUP subcommand requires the key to exist. Note that for "
                            "CREATE you may want to use the MKSTREAM option to create an empty "
                            "stream automatically.");
}

/* 1: the key is there, and the group if must_have; 0: answered; negative: as a handler. */
static int find(struct call *call, bool must_have, struct stream_group_key *out_key)
{
    int rc = stream_group_find(call, call->arguments[2], call->arguments[3], out_key);

    if (rc < 0) return rc;
    if (!out_key->stream.key) return answer_no_key(call);
    if (rc == 0 && must_have)
        return stream_group_missing(call, call->arguments[2], call->arguments[3]);
    return 1;
}

/* As it was sent, but for "$", which is said as the id that it was. */
static void say_with_id(struct call *call, struct stream_id id)
{
    struct slice sent = call->arguments[4];
    char text[STREAM_ID_TEXT_BYTES];

    call->arguments[4] = slice_of(text, stream_id_format(text, id));
    effect_say(call, call->arguments, call->argument_count);
    call->arguments[4] = sent;
}

/* ---- CREATE ------------------------------------------------------------------------------------
 */

static int create_in(struct call *call, struct stream_group_key *key, struct stream_id id,
                     const struct options *options)
{
    bool is_new = !key->stream.key;
    int rc = stream_value_get_groups(key->stream.value, call->server->stream_groups, &key->groups);

    if (rc == 0) rc = stream_groups_add(key->groups, call->arguments[3], id, &key->group);
    if (rc == 0 && is_new) rc = stream_key_add(call, call->arguments[2], &key->stream);
    if (rc < 0) {
        if (key->group && !is_new) stream_groups_remove(key->groups, key->group);
        return rc;
    }
    stream_group_set_entries_read(key->group, options->entries_read);
    stream_key_recount(call, &key->stream);
    if (is_new)
        call_changed_signal(call, call->arguments[2]);
    else
        call_changed_unwatched(call);
    reply_ok(call->reply);
    say_with_id(call, id);
    return 0;
}

/* The id, or "$": the last one there is. False: an error was answered. */
static bool parse_id(struct call *call, const struct stream *stream, bool is_strict,
                     struct stream_id *out_id)
{
    struct slice word = call->arguments[4];

    if (slice_equal(word, SLICE_LITERAL("$"))) {
        *out_id = stream ? stream_last_id(stream) : STREAM_ID_MIN;
        return true;
    }
    return is_strict ? stream_word_id(call, 4, out_id) : stream_word_loose_id(call, 4, out_id);
}

/* XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read] */
int stream_xgroup_create(struct call *call)
{
    struct stream_group_key key;
    struct options options;
    struct stream_id id;
    int rc;

    if (!parse_options(call, true, &options)) return 0;
    rc = stream_group_find(call, call->arguments[2], call->arguments[3], &key);
    if (rc < 0) return rc;
    if (!key.stream.key && !options.may_make) return answer_no_key(call);
    if (call->argument_count > CREATE_ARGUMENTS_MAX) return call_wrong_subcommand_arity(call);
    if (!parse_id(call, key.stream.key ? key.stream.stream : NULL, true, &id)) return 0;
    if (rc == 1) return call_error(call, "BUSYGROUP Consumer Group name already exists");
    if (!key.stream.key) {
        rc = stream_key_make(call, &key.stream);
        if (rc < 0) return rc;
    }
    rc = create_in(call, &key, id, &options);
    if (rc < 0 && !key.stream.key) stream_key_drop(&key.stream);
    return rc;
}

/* ---- SETID, DESTROY ----------------------------------------------------------------------------
 */

/* XGROUP SETID key group <id | $> [ENTRIESREAD entries-read] */
int stream_xgroup_setid(struct call *call)
{
    struct stream_group_key key;
    struct options options;
    struct stream_id id;
    int rc;

    if (!parse_options(call, false, &options)) return 0;
    rc = find(call, true, &key);
    if (rc <= 0) return rc;
    if (call->argument_count > SETID_ARGUMENTS_MAX) return call_wrong_subcommand_arity(call);
    if (!parse_id(call, key.stream.stream, false, &id)) return 0;
    stream_group_set_last_id(key.group, id);
    stream_group_set_entries_read(key.group, options.entries_read);
    stream_group_changed(call, &key);
    reply_ok(call->reply);
    say_with_id(call, id);
    return 0;
}

/* XGROUP DESTROY key group */
int stream_xgroup_destroy(struct call *call)
{
    struct stream_group_key key;
    int rc = find(call, false, &key);

    if (rc <= 0) return rc;
    reply_integer(call->reply, key.group != NULL);
    if (!key.group) return 0;
    stream_groups_remove(key.groups, key.group);
    stream_group_changed(call, &key);
    blocked_signal(call->server->blocked, call->database,
                   call->arguments[2]); /* who waits is told */
    return 0;
}

/* ---- consumers ---------------------------------------------------------------------------------
 */

/* XGROUP CREATECONSUMER key group consumer */
int stream_xgroup_createconsumer(struct call *call)
{
    struct stream_consumer *consumer;
    struct stream_group_key key;
    int rc = find(call, true, &key);

    if (rc <= 0) return rc;
    if (stream_group_find_consumer(key.group, call->arguments[4])) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = stream_group_add_consumer(key.group, call->arguments[4], stream_now_ms(call), &consumer);
    if (rc < 0) return rc;
    stream_group_changed(call, &key);
    reply_integer(call->reply, 1);
    return 0;
}

/* Memory was refused half-way, and the consumer stays: of what went the log is told in words of its
 * own, which only a replay takes, as the call itself is answered with an error. */
static void say_dropped(struct call *call, const struct stream_group_key *key,
                        const struct stream_consumer *consumer)
{
    struct stream_pending next;
    char until[STREAM_ID_TEXT_BYTES];
    bool is_there =
        stream_group_next_pending(key->group, consumer, STREAM_ID_MIN, STREAM_ANY_TIME_MS, &next);
    struct slice words[] = { SLICE_LITERAL("XACK"),     call->arguments[2], call->arguments[3],
                             SLICE_LITERAL("CONSUMER"), call->arguments[4], SLICE_LITERAL("UNTIL"),
                             (struct slice){ 0 } };

    assert(is_there);
    words[6] = slice_of(until, stream_id_format(until, next.id));
    stream_group_changed(call, key);
    effect_say(call, words, sizeof(words) / sizeof(words[0]));
    if (!call->frame) effect_log_step(call);
}

/* All that the consumer has pending, some at a time. Once the first of it has gone the rest goes
 * without the client, too, and not faster: the log is told of all of it at the end. */
static int drop_all(struct call *call, const struct stream_group_key *key,
                    struct stream_consumer *consumer)
{
    uint64_t pending = stream_consumer_pending_count(consumer);
    int64_t dropped;

    do {
        dropped = stream_consumer_drop(key->group, consumer, DROP_STEP);
        if (dropped < 0) {
            if (stream_consumer_pending_count(consumer) < pending && !call->is_replay)
                say_dropped(call, key, consumer);
            return (int)dropped;
        }
        parking_must_finish(call->server);
        (void)parking_breathe(
            call->server); /* fails when the server stops, and nobody waits then */
    } while (dropped > 0);
    return 0;
}

/* XGROUP DELCONSUMER key group consumer */
int stream_xgroup_delconsumer(struct call *call)
{
    struct stream_consumer *consumer;
    struct stream_group_key key;
    uint64_t pending = 0;
    int rc = find(call, true, &key);

    if (rc <= 0) return rc;
    consumer = stream_group_find_consumer(key.group, call->arguments[4]);
    if (consumer) {
        pending = stream_consumer_pending_count(consumer);
        if (pending > INLINE_DROP && !call_can_suspend(call)) return -EAGAIN;
        rc = drop_all(call, &key, consumer);
        if (rc < 0) return rc;
        stream_group_remove_consumer(key.group, consumer);
        stream_group_changed(call, &key);
    }
    reply_integer(call->reply, (int64_t)pending);
    return 0;
}

/* ---- the container -----------------------------------------------------------------------------
 */

/* XGROUP HELP */
int stream_xgroup_help(struct call *call)
{
    static const char *const lines[] = {
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* XGROUP */
int stream_xgroup(struct call *call)
{
    return call_unknown_subcommand(call);
}
