/* stream_idmp.c - XADD IDMP, XCFGSET, XIDMPRECORD */
#include "server/commands/stream_idmp.h"

#include <errno.h>
#include <xxhash.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/stream_key.h"
#include "server/commands/stream_words.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/types/stream.h"

/* ---- XADD -------------------------------------------------------------------------------------
 */

static int refuse(struct call *call, const char *text)
{
    (void)call_error(call, text);
    return -1;
}

int stream_idmp_parse(struct call *call, uint32_t *index, struct stream_idmp *idmp)
{
    const struct slice *words = call->arguments + *index;
    uint32_t more = call->argument_count - *index - 1;
    bool is_automatic = slice_is(words[0], "IDMPAUTO");

    if (!is_automatic && !slice_is(words[0], "IDMP")) return 0;
    if (more < (is_automatic ? 1u : 2u)) return 0; /* it is taken for an id, as in Redis */
    if (idmp->producer.bytes) return refuse(call, "ERR IDMP/IDMPAUTO specified multiple times");
    if (words[1].size == 0)
        return refuse(call, is_automatic ? "ERR IDMPAUTO requires a non-empty producer ID"
                                         : "ERR IDMP requires a non-empty producer ID");
    if (!is_automatic && words[2].size == 0)
        return refuse(call, "ERR IDMP requires a non-empty idempotent ID");
    idmp->producer = words[1];
    if (!is_automatic) idmp->iid = words[2];
    idmp->is_automatic = is_automatic;
    idmp->word_index = *index;
    idmp->word_count = is_automatic ? 2 : 3;
    *index += idmp->word_count - 1;
    return 1;
}

/* Of a name and its value; their lengths tell "ab","c" from "a","bc". */
static XXH128_hash_t hash_pair(struct slice name, struct slice value)
{
    uint64_t seed = XXH3_64bits_withSeed(name.bytes, name.size, name.size);

    return XXH3_128bits_withSeed(value.bytes, value.size, seed);
}

/* The sum of all pairs' hashes: it does not matter which comes first. It is in the log's hands, as
 * a replay makes it again. */
void stream_idmp_settle(const struct call *call, uint32_t first, struct stream_idmp *idmp)
{
    uint64_t low = 0, high = 0;

    if (!idmp->is_automatic) return;
    for (uint32_t i = first; i + 1 < call->argument_count; i += 2) {
        XXH128_hash_t hash = hash_pair(call->arguments[i], call->arguments[i + 1]);

        low += hash.low64;
        high += hash.high64;
    }
    store_u64le(idmp->hash, low);
    store_u64le(idmp->hash + 8, high);
    idmp->iid = slice_of(idmp->hash, sizeof(idmp->hash));
}

int stream_idmp_find(struct call *call, struct value *value, const struct stream_idmp *idmp,
                     struct stream_id *out_id)
{
    struct stream_producers *producers = stream_value_producers(value);
    uint64_t now_ms = (uint64_t)keyspace_now(call->server->keyspace);

    if (!idmp->producer.bytes || !producers) return 0;
    return stream_producers_find(producers, idmp->producer, idmp->iid, now_ms, out_id);
}

/* Bounds are the configuration's when a client's call makes them: what that says at a restart is
 * another matter. */
static int create_producers(const struct call *call, struct value *value,
                            struct stream_producers **out_producers)
{
    struct stream_store *store = call->server->streams;
    const struct config *config = call->server->config;
    int rc = stream_producers_create(stream_store_producers(store), out_producers);

    if (rc < 0) return rc;
    if (!call->is_replay)
        rc = stream_producers_configure(*out_producers, (uint32_t)config->stream_idmp_duration_s,
                                        (uint32_t)config->stream_idmp_maxsize);
    if (rc < 0)
        stream_producers_destroy(*out_producers);
    else
        stream_value_set_producers(value, *out_producers);
    return rc;
}

static int get_producers(const struct call *call, struct value *value,
                         struct stream_producers **out_producers)
{
    *out_producers = stream_value_producers(value);
    return *out_producers ? 0 : create_producers(call, value, out_producers);
}

int stream_idmp_add(struct call *call, struct value *value, const struct stream_idmp *idmp,
                    struct stream_id id)
{
    uint64_t now_ms = (uint64_t)keyspace_now(call->server->keyspace);
    struct stream_producers *producers = NULL;
    struct stream_id known;
    int rc;

    if (!idmp->producer.bytes || stream_idmp_find(call, value, idmp, &known) == 1) return 0;
    rc = get_producers(call, value, &producers);
    return rc < 0 ? rc : stream_producers_add(producers, idmp->producer, idmp->iid, id, now_ms);
}

/* ---- what the log gets ---- */

/* XCFGSET key IDMP-DURATION seconds IDMP-MAXSIZE entries */
enum { BOUNDS_WORDS = 6 };

static void say_bounds(struct call *call, const struct stream_producers_info *info,
                       void (*say)(struct call *, const struct slice *, uint32_t))
{
    char duration[NUMBER_INT64_BYTES_MAX], size[NUMBER_INT64_BYTES_MAX];
    struct slice words[BOUNDS_WORDS] = { SLICE_LITERAL("XCFGSET"), call->arguments[1],
                                         SLICE_LITERAL("IDMP-DURATION") };

    words[3] = slice_of(duration, number_format_uint64(duration, info->duration_s));
    words[4] = SLICE_LITERAL("IDMP-MAXSIZE");
    words[5] = slice_of(size, number_format_uint64(size, info->size_max));
    say(call, words, BOUNDS_WORDS);
}

/* The first is told by their number, not by who made the producers: that may have failed behind it,
 * and left no trace in the log. Said once more, bounds change nothing. */
void stream_idmp_say_bounds(struct call *call, const struct value *value)
{
    struct stream_producers_info info;

    stream_producers_get_info(stream_value_producers(value), &info);
    if (info.iids_added == 1 && (info.duration_s != STREAM_IDMP_DURATION_S_DEFAULT ||
                                 info.size_max != STREAM_IDMP_SIZE_DEFAULT))
        say_bounds(call, &info, effect_say_first);
}

/* ---- XCFGSET ----------------------------------------------------------------------------------
 */

struct bounds {
    int64_t duration_s, size_max; /* 0: not given */
};

/* The option at *index and its value. False: an error was answered. */
static bool parse_bound(struct call *call, uint32_t *index, struct bounds *bounds)
{
    struct slice word = call->arguments[*index];
    bool is_duration = slice_is(word, "IDMP-DURATION");
    int64_t value;

    if ((!is_duration && !slice_is(word, "IDMP-MAXSIZE")) || ++*index == call->argument_count) {
        (void)call_syntax_error(call);
        return false;
    }
    if (!call_integer(call, *index, &value)) return false;
    if (value < 1 ||
        value > (is_duration ? STREAM_IDMP_DURATION_S_MAX : (int64_t)STREAM_IDMP_SIZE_MAX)) {
        (void)call_error(call, is_duration
                                   ? "ERR IDMP-DURATION must be between 1 and 86400 seconds"
                                   : "ERR IDMP-MAXSIZE must be between 1 and 10000 entries");
        return false;
    }
    *(is_duration ? &bounds->duration_s : &bounds->size_max) = value;
    return true;
}

static bool parse_bounds(struct call *call, struct bounds *bounds)
{
    for (uint32_t i = 2; i < call->argument_count; i++) {
        if (!parse_bound(call, &i, bounds)) return false;
    }
    if (call->argument_count > 2) return true;
    (void)call_error(call, "ERR At least one parameter must be specified");
    return false;
}

/* Other bounds forget all that was known; the same ones leave it. */
static int configure(struct call *call, struct stream_key *key, const struct bounds *bounds)
{
    struct stream_producers *producers = NULL;
    struct stream_producers_info info;
    uint32_t duration_s, size_max;
    int rc = get_producers(call, key->value, &producers);

    if (rc < 0) return rc;
    stream_producers_get_info(producers, &info);
    duration_s = bounds->duration_s ? (uint32_t)bounds->duration_s : info.duration_s;
    size_max = bounds->size_max ? (uint32_t)bounds->size_max : info.size_max;
    if (duration_s != info.duration_s || size_max != info.size_max)
        rc = stream_producers_configure(producers, duration_s, size_max);
    if (rc == 0 && !key->key) rc = stream_key_add(call, call->arguments[1], key);
    if (rc < 0) return rc;
    stream_key_recount(call, key);
    call_changed(call, call->arguments[1]);
    stream_producers_get_info(producers, &info);
    say_bounds(call, &info, effect_say);
    return 0;
}

/* XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE entries] */
int stream_xcfgset(struct call *call)
{
    struct bounds bounds = { .duration_s = 0 };
    struct stream_key key;
    int rc;

    if (!parse_bounds(call, &bounds)) return 0;
    rc = stream_key_find(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0 && !call->is_replay) return call_error(call, "ERR no such key");
    if (rc == 0) rc = stream_key_make(call, &key); /* an XADD follows: stream_idmp_say_bounds */
    if (rc < 0) return rc;
    rc = configure(call, &key, &bounds);
    if (rc < 0 && !key.key) stream_key_drop(&key);
    if (rc == 0) reply_ok(call->reply);
    return rc;
}

/* ---- XIDMPRECORD ------------------------------------------------------------------------------
 */

/* That entry was added as that. 0: it is known now; 1: an error was answered; negative: as a
 * handler. */
static int record(struct call *call, struct stream_key *key, struct stream_id id)
{
    struct stream_idmp idmp = { .producer = call->arguments[2], .iid = call->arguments[3] };
    struct stream_entry entry;
    struct stream_id known;
    int rc = stream_find(key->stream, id, &entry);

    if (rc < 0) return rc;
    if (rc == 0) {
        (void)call_error(call, "ERR no such entry in the stream");
        return 1;
    }
    if (stream_idmp_find(call, key->value, &idmp, &known) == 0) {
        rc = stream_idmp_add(call, key->value, &idmp, id);
        if (rc < 0) return rc;
        stream_key_recount(call, key);
        call_changed(call, call->arguments[1]);
        stream_idmp_say_bounds(call, key->value);
        effect_say(call, call->arguments, call->argument_count);
        return 0;
    }
    if (stream_id_compare(known, id) == 0) return 0;
    (void)call_error(call, "ERR the idempotent ID belongs to another entry of the stream");
    return 1;
}

/* XIDMPRECORD key producer-id idempotent-id stream-id: what an append-only file of Redis says of an
 * entry behind its XADD. */
int stream_xidmprecord(struct call *call)
{
    struct stream_id id;
    struct stream_key key;
    int rc;

    if (call->arguments[2].size == 0 || call->arguments[3].size == 0)
        return call_error(call, "ERR producer ID and idempotent ID must not be empty");
    if (!stream_word_id(call, 4, &id)) return 0;
    rc = stream_key_find(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    rc = record(call, &key, id);
    if (rc == 0) reply_ok(call->reply);
    return rc < 0 ? rc : 0;
}
