/* sl_stream.c - SL.STREAM CONFIG, INFO, HELP */
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_reply.h"
#include "server/commands/stream_retention.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

enum { SETTINGS = RETENTION_LIMITS + 1 }; /* and compress */

static const struct stream_settings no_settings;

static const struct stream_settings *settings_of(const struct stream_key *key)
{
    const struct stream_settings *settings = stream_value_settings(key->value);

    return settings ? settings : &no_settings;
}

static int refuse(struct call *call, struct slice name)
{
    return call_errorf(call, "ERR unknown setting '%.*s'. Try SL.STREAM HELP.",
                       (int)(name.size < 128 ? name.size : 128), (const char *)name.bytes);
}

static bool is_compress(struct slice name)
{
    return slice_is(name, "COMPRESS");
}

/* ---- CONFIG GET -------------------------------------------------------------------------------
 */

static void reply_limit(struct call *call, enum retention_limit limit,
                        const uint64_t limits[RETENTION_LIMITS])
{
    reply_bulk_string(call->reply, retention_name(limit));
    reply_bulk_unsigned(call->reply, limits[limit]);
}

static void reply_compress(struct call *call)
{
    reply_bulk_string(call->reply, "compress");
    reply_bulk_string(call->reply, "none");
}

/* False: one is unknown, which was answered. */
static bool are_known(struct call *call, uint32_t first)
{
    enum retention_limit limit;

    for (uint32_t i = first; i < call->argument_count; i++) {
        struct slice name = call->arguments[i];

        if (retention_find(name, &limit) || is_compress(name)) continue;
        (void)refuse(call, name);
        return false;
    }
    return true;
}

static void reply_all(struct call *call, const uint64_t limits[RETENTION_LIMITS])
{
    reply_map(call->reply, SETTINGS);
    for (unsigned i = 0; i < RETENTION_LIMITS; i++)
        reply_limit(call, (enum retention_limit)i, limits);
    reply_compress(call);
}

/* SL.STREAM CONFIG GET key [name ...]: what holds, whoever has said it. */
static int config_get(struct call *call)
{
    enum { FIRST = 4 };
    uint64_t limits[RETENTION_LIMITS];
    struct stream_key key;
    int rc;

    if (!are_known(call, FIRST)) return 0;
    rc = stream_key_find(call, call->arguments[FIRST - 1], &key);
    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    (void)stream_retention_limits(call->server->retention, call->arguments[FIRST - 1], key.value,
                                  limits);
    if (call->argument_count == FIRST) {
        reply_all(call, limits);
        return 0;
    }
    reply_map(call->reply, call->argument_count - FIRST);
    for (uint32_t i = FIRST; i < call->argument_count; i++) {
        enum retention_limit limit;

        if (retention_find(call->arguments[i], &limit))
            reply_limit(call, limit, limits);
        else
            reply_compress(call);
    }
    return 0;
}

/* ---- CONFIG SET -------------------------------------------------------------------------------
 */

/* Streams' journals are not packed yet, so nothing but none can be promised. */
static bool parse_compress(struct call *call, struct slice text)
{
    if (slice_is(text, "NONE") || slice_is(text, "DEFAULT")) return true;
    if (slice_is(text, "LZ4") || slice_is(text, "ZSTD"))
        (void)call_error(call, "ERR compress can only be none: the journals of streams are not "
                               "compressed yet");
    else
        (void)call_error(call, "ERR compress must be none, lz4 or zstd");
    return false;
}

static bool parse_limit(struct call *call, enum retention_limit limit, struct slice text,
                        struct stream_settings *settings)
{
    const char *wrong;

    settings->has[limit] = !slice_is(text, "DEFAULT");
    settings->limits[limit] = 0;
    if (!settings->has[limit]) return true;
    wrong = retention_parse(limit, text, &settings->limits[limit]);
    if (wrong) (void)call_errorf(call, "ERR %s %s", retention_name(limit), wrong);
    return !wrong;
}

/* name and value at index. *seen: a bit for each setting that was named. */
static bool parse_pair(struct call *call, uint32_t index, unsigned *seen,
                       struct stream_settings *settings)
{
    struct slice name = call->arguments[index], text = call->arguments[index + 1];
    unsigned bit = 1u << RETENTION_LIMITS;
    enum retention_limit limit = RETENTION_LIMITS;

    if (retention_find(name, &limit))
        bit = 1u << limit;
    else if (!is_compress(name))
        return refuse(call, name), false;
    if (*seen & bit) {
        (void)call_errorf(call, "ERR duplicate setting '%.*s'", (int)name.size,
                          (const char *)name.bytes);
        return false;
    }
    *seen |= bit;
    return limit == RETENTION_LIMITS ? parse_compress(call, text)
                                     : parse_limit(call, limit, text, settings);
}

static bool are_equal(const struct stream_settings *a, const struct stream_settings *b)
{
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        if (a->has[i] != b->has[i] || a->limits[i] != b->limits[i]) return false;
    }
    return true;
}

static int take(struct call *call, const struct stream_key *key,
                const struct stream_settings *settings)
{
    int rc;

    if (are_equal(settings, settings_of(key))) return 0;
    rc = stream_value_set_settings(key->value, settings);
    if (rc < 0) return rc;
    stream_key_recount(call, key);
    call_changed(call, call->arguments[3]);
    stream_retention_begin(call->server->retention);
    return 0;
}

/* SL.STREAM CONFIG SET key name value [name value ...]: all of them, or none. */
static int config_set(struct call *call)
{
    enum { FIRST = 4 };
    struct stream_settings settings;
    struct stream_key key;
    unsigned seen = 0;
    int rc;

    if (call->argument_count == FIRST || (call->argument_count - FIRST) % 2 != 0)
        return call_wrong_arity(call);
    rc = stream_key_find(call, call->arguments[FIRST - 1], &key);
    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    settings = *settings_of(&key);
    for (uint32_t i = FIRST; i < call->argument_count; i += 2) {
        if (!parse_pair(call, i, &seen, &settings)) return 0;
    }
    rc = take(call, &key, &settings);
    if (rc == 0) reply_ok(call->reply);
    return rc;
}

/* SL.STREAM CONFIG */
int stream_sl_config(struct call *call)
{
    struct slice operation = call->arguments[2];

    if (slice_is(operation, "GET")) return config_get(call);
    if (slice_is(operation, "SET")) return config_set(call);
    return call_syntax_error(call);
}

/* ---- INFO ------------------------------------------------------------------------------------
 */

static void reply_field(struct call *call, const char *name, uint64_t value)
{
    reply_bulk_string(call->reply, name);
    reply_integer(call->reply, (int64_t)value);
}

/* Ids may be beyond what an integer can tell: then it is the greatest there is. */
static void reply_time(struct call *call, const char *name, bool is_there, struct stream_id id)
{
    reply_bulk_string(call->reply, name);
    if (is_there)
        reply_integer(call->reply, id.ms > INT64_MAX ? INT64_MAX : (int64_t)id.ms);
    else
        reply_null(call->reply);
}

/* Which of the settings are the stream's own. */
static void reply_own(struct call *call, const struct stream_settings *settings)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < RETENTION_LIMITS; i++)
        count += settings->has[i];
    reply_bulk_string(call->reply, "own_settings");
    reply_array(call->reply, count);
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        if (settings->has[i])
            reply_bulk_string(call->reply, retention_name((enum retention_limit)i));
    }
}

static void reply_storage(struct call *call, const struct stream_info *info)
{
    reply_field(call, "entries", info->count);
    reply_field(call, "entries_deleted", info->deleted_count);
    reply_field(call, "segments", info->segment_count);
    reply_field(call, "bytes_in_memory", info->memory_bytes);
    reply_field(call, "bytes_mapped", info->mapped_bytes);
    reply_field(call, "bytes_compressed", info->compressed_bytes);
    reply_field(call, "bytes_on_disk", info->disk_bytes);
}

/* SL.STREAM INFO key */
int stream_sl_info(struct call *call)
{
    enum { FIELDS = 11 };
    struct stream_id oldest = STREAM_ID_MIN, newest = STREAM_ID_MIN;
    uint64_t limits[RETENTION_LIMITS];
    struct stream_info info;
    struct stream_key key;
    int rc = stream_key_find_read(call, call->arguments[2], &key);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    rc = stream_first_id(key.stream, &oldest);
    if (rc >= 0) rc = stream_newest_id(key.stream, &newest);
    if (rc < 0) return rc;
    stream_get_info(key.stream, &info);
    (void)stream_retention_limits(call->server->retention, call->arguments[2], key.value, limits);
    reply_map(call->reply, FIELDS);
    reply_storage(call, &info);
    reply_time(call, "oldest_ms", rc == 1, oldest);
    reply_time(call, "newest_ms", rc == 1, newest);
    reply_bulk_string(call->reply, "settings");
    reply_all(call, limits);
    reply_own(call, settings_of(&key));
    return 0;
}

/* ---- the rest --------------------------------------------------------------------------------
 */

/* SL.STREAM HELP */
int stream_sl_help(struct call *call)
{
    static const char *const lines[] = {
        "CONFIG GET <key> [<name> ...]",
        "    The settings that hold for a stream: its own, or else the server's.",
        "CONFIG SET <key> <name> <value> [<name> <value> ...]",
        "    Settings of its own. The value 'default' leaves one to the server again.",
        "    retention-bytes <bytes>: what the entries take at most, as 64mb; 0: no limit",
        "    retention-age <time>: how old they get, as 500ms, 90s, 15m, 12h, 7d; 0: no limit",
        "    retention-length <count>: how many there are at most; 0: no limit",
        "    compress none|lz4|zstd: how segments on disk are packed; only none for now",
        "INFO <key>",
        "    Entries, segments and bytes of a stream, the times of its oldest and newest entry,",
        "    the settings that hold, and which of them are its own.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* SL.STREAM */
int stream_sl_stream(struct call *call)
{
    return call_unknown_subcommand(call);
}
