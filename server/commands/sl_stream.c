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

/* ---- CONFIG GET -------------------------------------------------------------------------------
 */

static void reply_setting(struct call *call, enum retention_setting setting,
                          const uint64_t settings[RETENTION_SETTINGS])
{
    reply_bulk_string(call->reply, retention_name(setting));
    if (setting == RETENTION_COMPRESS)
        reply_bulk_string(call->reply, retention_codec_name(settings[setting]));
    else
        reply_bulk_unsigned(call->reply, settings[setting]);
}

/* False: one is unknown, which was answered. */
static bool are_known(struct call *call, uint32_t first)
{
    enum retention_setting setting;

    for (uint32_t i = first; i < call->argument_count; i++) {
        if (retention_find(call->arguments[i], &setting)) continue;
        (void)refuse(call, call->arguments[i]);
        return false;
    }
    return true;
}

static void reply_all(struct call *call, const uint64_t settings[RETENTION_SETTINGS])
{
    reply_map(call->reply, RETENTION_SETTINGS);
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++)
        reply_setting(call, (enum retention_setting)i, settings);
}

/* SL.STREAM CONFIG GET key [name ...]: what holds, whoever has said it. */
static int config_get(struct call *call)
{
    enum { FIRST = 4 };
    uint64_t settings[RETENTION_SETTINGS];
    struct stream_key key;
    int rc;

    if (!are_known(call, FIRST)) return 0;
    rc = stream_key_find(call, call->arguments[FIRST - 1], &key);
    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    (void)stream_retention_settings(call->server->retention, call->arguments[FIRST - 1], key.value,
                                    settings);
    if (call->argument_count == FIRST) {
        reply_all(call, settings);
        return 0;
    }
    reply_map(call->reply, call->argument_count - FIRST);
    for (uint32_t i = FIRST; i < call->argument_count; i++) {
        enum retention_setting setting = RETENTION_SETTINGS;

        if (retention_find(call->arguments[i], &setting)) /* it is known */
            reply_setting(call, setting, settings);
    }
    return 0;
}

/* ---- CONFIG SET -------------------------------------------------------------------------------
 */

static bool parse_value(struct call *call, enum retention_setting setting, struct slice text,
                        struct stream_settings *settings)
{
    const char *wrong;

    settings->has[setting] = !slice_is(text, "DEFAULT");
    settings->values[setting] = 0;
    if (!settings->has[setting]) return true;
    wrong = retention_parse(setting, text, &settings->values[setting]);
    if (wrong) (void)call_errorf(call, "ERR %s %s", retention_name(setting), wrong);
    return !wrong;
}

/* name and value at index. *seen: a bit for each setting that was named. */
static bool parse_pair(struct call *call, uint32_t index, unsigned *seen,
                       struct stream_settings *settings)
{
    struct slice name = call->arguments[index], text = call->arguments[index + 1];
    enum retention_setting setting;

    if (!retention_find(name, &setting)) return refuse(call, name), false;
    if (*seen & 1u << setting) {
        (void)call_errorf(call, "ERR duplicate setting '%.*s'", (int)name.size,
                          (const char *)name.bytes);
        return false;
    }
    *seen |= 1u << setting;
    return parse_value(call, setting, text, settings);
}

static bool are_equal(const struct stream_settings *a, const struct stream_settings *b)
{
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (a->has[i] != b->has[i] || a->values[i] != b->values[i]) return false;
    }
    return true;
}

/* At once, for it may not grow any more. */
static void apply_codec(struct call *call, const struct stream_key *key)
{
    uint64_t settings[RETENTION_SETTINGS];

    (void)stream_retention_settings(call->server->retention, call->arguments[3], key->value,
                                    settings);
    stream_set_codec(key->stream, (enum journal_codec)settings[RETENTION_COMPRESS]);
}

static int take(struct call *call, const struct stream_key *key,
                const struct stream_settings *settings)
{
    int rc;

    if (are_equal(settings, settings_of(key))) return 0;
    rc = stream_value_set_settings(key->value, settings);
    if (rc < 0) return rc;
    apply_codec(call, key);
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

    for (unsigned i = 0; i < RETENTION_SETTINGS; i++)
        count += settings->has[i];
    reply_bulk_string(call->reply, "own_settings");
    reply_array(call->reply, count);
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (settings->has[i])
            reply_bulk_string(call->reply, retention_name((enum retention_setting)i));
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
    uint64_t settings[RETENTION_SETTINGS];
    struct stream_info info;
    struct stream_key key;
    int rc = stream_key_find_read(call, call->arguments[2], &key);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    rc = stream_first_id(key.stream, &oldest);
    if (rc >= 0) rc = stream_newest_id(key.stream, &newest);
    if (rc < 0) return rc;
    stream_get_info(key.stream, &info);
    (void)stream_retention_settings(call->server->retention, call->arguments[2], key.value,
                                    settings);
    reply_map(call->reply, FIELDS);
    reply_storage(call, &info);
    reply_time(call, "oldest_ms", rc == 1, oldest);
    reply_time(call, "newest_ms", rc == 1, newest);
    reply_bulk_string(call->reply, "settings");
    reply_all(call, settings);
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
        "    compress none|lz4|zstd: how segments on disk are packed when they have ended",
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
