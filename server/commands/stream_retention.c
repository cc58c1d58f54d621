#include "server/commands/stream_retention.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/clock.h"
#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/server.h"
#include "server/commands/stream_key.h"
#include "server/config/config.h"
#include "server/keyspace/claims.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

enum {
    WALK_US = 1000000, /* from the beginning of one walk to that of the next */
    SLICE_US = 500,
    PAUSE_US = 10000, /* between two slices: a walk takes a twentieth of the loop's time at most */
    RETRY_US = 1000,  /* what is on disk is being read */
};

/* ---- what holds -------------------------------------------------------------------------------
 */

/* Behind those whose prefixes are not longer: of two that fit the later one holds. */
static void add_rule(struct stream_retention *retention, const struct retention_rule *rule)
{
    uint32_t at = retention->rule_count++;

    for (; at > 0 && retention->rules[at - 1].prefix.size > rule->prefix.size; at--)
        retention->rules[at] = retention->rules[at - 1];
    retention->rules[at] = *rule;
}

static void take_rules(struct stream_retention *retention, const struct config_words *words)
{
    retention->rule_count = 0;
    for (size_t i = 0; i + RETENTION_RULE_WORDS <= words->count; i += RETENTION_RULE_WORDS) {
        struct retention_rule rule = { .prefix = slice_of_string(words->words[i]) };
        bool is_name = retention_find(slice_of_string(words->words[i + 1]), &rule.setting);
        const char *wrong =
            retention_parse(rule.setting, slice_of_string(words->words[i + 2]), &rule.value);

        assert(is_name && !wrong); /* the directive's check has seen to it */
        add_rule(retention, &rule);
    }
}

int stream_retention_configure(void *context, const struct config *config,
                               struct config_error *out_error)
{
    struct stream_retention *retention = ((struct server *)context)->retention;

    (void)out_error;
    retention->settings[RETENTION_BYTES] = config->stream_retention_bytes;
    retention->settings[RETENTION_AGE] = config->stream_retention_age_ms;
    retention->settings[RETENTION_LENGTH] = (uint64_t)config->stream_retention_length;
    retention->settings[RETENTION_COMPRESS] = (uint64_t)config->stream_compress;
    take_rules(retention, &config->stream_retention_for);
    retention->is_set = retention->rule_count > 0;
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++)
        retention->is_set |= retention->settings[i] > 0;
    stream_retention_begin(retention);
    return 0;
}

static bool fits(const struct retention_rule *rule, struct slice name)
{
    return name.size >= rule->prefix.size &&
           memcmp(name.bytes, rule->prefix.bytes, rule->prefix.size) == 0;
}

bool stream_retention_settings(const struct stream_retention *retention, struct slice name,
                               const struct value *value, uint64_t out_settings[RETENTION_SETTINGS])
{
    const struct stream_settings *own = stream_value_settings(value);
    bool has_limit = false;

    memcpy(out_settings, retention->settings, sizeof(retention->settings));
    for (uint32_t i = 0; i < retention->rule_count; i++) {
        const struct retention_rule *rule = &retention->rules[i];
        if (fits(rule, name)) out_settings[rule->setting] = rule->value;
    }
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (own && own->has[i]) out_settings[i] = own->values[i];
        if (i < RETENTION_LIMITS) has_limit |= out_settings[i] > 0;
    }
    return has_limit;
}

/* ---- trimming ---------------------------------------------------------------------------------
 */

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The end of what bytes and length let go. Neither reads entries. */
static uint64_t end_by_size(struct stream *stream, const uint64_t settings[RETENTION_SETTINGS])
{
    struct stream_trim trim = { .length = settings[RETENTION_LENGTH] };
    uint64_t end = 0, end_of_bytes = 0;

    /* On an error the walk will come by. */
    if (trim.length > 0 && stream_trim_end(stream, &trim, &end) < 0) end = 0;
    if (settings[RETENTION_BYTES] > 0)
        end_of_bytes = stream_trim_end_of_bytes(stream, settings[RETENTION_BYTES]);
    return greater(end, end_of_bytes);
}

static int end_by_age(struct stream *stream, uint64_t age_ms, int64_t now_ms, uint64_t *out_end)
{
    struct stream_trim trim = { .by_id = true };

    *out_end = 0;
    if (age_ms == 0 || (uint64_t)now_ms <= age_ms) return 0;
    trim.id.ms = (uint64_t)now_ms - age_ms;
    return stream_trim_end(stream, &trim, out_end);
}

void stream_retention_grown(struct call *call, struct slice name, const struct stream_key *key)
{
    const struct stream_retention *retention = call->server->retention;
    uint64_t settings[RETENTION_SETTINGS], end;
    bool has_limit;

    if (call->is_replay) return;
    if (!retention->is_set && !stream_value_settings(key->value)) { /* mostly */
        stream_set_codec(key->stream, JOURNAL_CODEC_NONE);
        return;
    }
    has_limit = stream_retention_settings(retention, name, key->value, settings);
    stream_set_codec(key->stream, (enum journal_codec)settings[RETENTION_COMPRESS]);
    if (!has_limit) return;
    end = end_by_size(key->stream, settings);
    if (end == 0 || stream_trim(key->stream, end) == 0) return;
    effect_say_trimmed(call, name, stream_count(key->stream));
}

/* ---- the walk ---------------------------------------------------------------------------------
 */

static void forget_candidates(struct stream_retention *retention)
{
    for (uint32_t i = retention->candidate_index; i < retention->candidate_count; i++)
        free((void *)(uintptr_t)retention->candidates[i].name.bytes);
    retention->candidate_index = retention->candidate_count = 0;
}

void stream_retention_finish(struct stream_retention *retention)
{
    forget_candidates(retention);
    free(retention->candidates);
    retention->candidates = NULL;
    retention->candidate_capacity = 0;
}

/* One that is under way may have passed that stream: then the next one finds it. */
void stream_retention_begin(struct stream_retention *retention)
{
    retention->has_found = true;
    if (retention->is_due) return;
    retention->is_due = true;
    retention->next_us = 0;
}

static bool reserve_candidate(struct stream_retention *retention)
{
    uint32_t capacity = retention->candidate_capacity ? retention->candidate_capacity * 2 : 16;
    struct retention_candidate *candidates;

    if (retention->candidate_count < retention->candidate_capacity) return true;
    candidates = realloc(retention->candidates, capacity * sizeof(*candidates));
    if (!candidates) return false;
    retention->candidates = candidates;
    retention->candidate_capacity = capacity;
    return true;
}

/* Of keyspace_scan, which allows no change: those with a limit are looked at when it has returned.
 * What there is no memory for the next walk will find. */
static void note(void *context, struct key *key)
{
    struct server *server = context;
    struct stream_retention *retention = server->retention;
    struct slice name = key_name(key);
    uint64_t settings[RETENTION_SETTINGS];
    uint8_t *copy;

    if (key_value(key)->type->kind != VALUE_STREAM) return;
    if (!stream_retention_settings(retention, name, key_value(key), settings)) return;
    retention->has_found = true;
    if (!reserve_candidate(retention)) return;
    copy = malloc(name.size + 1);
    if (!copy) return;
    if (name.size > 0) memcpy(copy, name.bytes, name.size);
    retention->candidates[retention->candidate_count++] =
        (struct retention_candidate){ .database = key_database(server->keyspace, key),
                                      .name = slice_of(copy, name.size) };
}

/* Notes the streams of a few keys more. False: the walk is through. */
static bool go_on(struct server *server)
{
    struct stream_retention *retention = server->retention;

    if (retention->database == keyspace_database_count(server->keyspace)) return false;
    if (keyspace_count(server->keyspace, retention->database) > 0)
        retention->cursor = keyspace_scan(server->keyspace, retention->database, retention->cursor,
                                          1, note, server);
    else
        retention->cursor = 0;
    if (retention->cursor == 0) retention->database++;
    return true;
}

static void trim(struct server *server, const struct retention_candidate *candidate,
                 struct stream *stream, uint64_t end)
{
    if (end == 0 || stream_trim(stream, end) == 0) return;
    keyspace_changed(server->keyspace, candidate->database, candidate->name);
    effect_trimmed(server, candidate->database, candidate->name, stream_count(stream));
}

/* -EAGAIN: what it needs is being read, or there is no room in the log yet. Otherwise it was dealt
 * with, or is left for the next walk: as long as a call holds the key, or the log is refusing. */
static int look_at(struct server *server, const struct retention_candidate *candidate)
{
    struct keyspace *keyspace = server->keyspace;
    uint64_t settings[RETENTION_SETTINGS], end_of_age, end;
    struct stream *stream;
    struct key *key;
    int rc;

    if (claims_is_held(server->claims, candidate->database, candidate->name)) return 0;
    rc = effect_reserve_trimmed(server, candidate->name);
    if (rc < 0) return rc;
    key = keyspace_find(keyspace, candidate->database, candidate->name);
    if (!key || key_value(key)->type->kind != VALUE_STREAM) return 0;
    if (!stream_retention_settings(server->retention, candidate->name, key_value(key), settings))
        return 0;
    stream = stream_value_stream(key_value(key));
    rc = end_by_age(stream, settings[RETENTION_AGE], keyspace_now(keyspace), &end_of_age);
    if (rc == -EAGAIN) return rc;
    end = end_by_size(stream, settings);
    trim(server, candidate, stream, rc < 0 ? end : greater(end, end_of_age));
    return rc;
}

/* False: it has to wait. */
static bool look_at_candidates(struct server *server, uint64_t now_us, uint64_t until_us)
{
    struct stream_retention *retention = server->retention;

    while (retention->candidate_index < retention->candidate_count) {
        struct retention_candidate *candidate = &retention->candidates[retention->candidate_index];

        if (clock_monotonic_us() >= until_us) return false;
        if (look_at(server, candidate) == -EAGAIN) {
            retention->next_us = now_us + RETRY_US;
            return false;
        }
        free((void *)(uintptr_t)candidate->name.bytes);
        retention->candidate_index++;
    }
    retention->candidate_index = retention->candidate_count = 0;
    return true;
}

/* Without streams that have limits, the next one begins when one gets any: by a command, or with a
 * key that a directive is for. */
static bool is_needed(const struct stream_retention *retention)
{
    bool is_needed = retention->has_found || retention->rule_count > 0;

    for (unsigned i = 0; i < RETENTION_LIMITS; i++)
        is_needed |= retention->settings[i] > 0;
    return is_needed;
}

static void end_walk(struct stream_retention *retention, uint64_t now_us)
{
    retention->is_due = is_needed(retention);
    retention->next_us = greater(retention->began_us + WALK_US, now_us + PAUSE_US);
    retention->has_begun = false;
}

static void begin_walk(struct stream_retention *retention, uint64_t now_us)
{
    retention->has_begun = true;
    retention->has_found = false;
    retention->began_us = now_us;
    retention->database = 0;
    retention->cursor = 0;
}

void stream_retention_turn(struct server *server)
{
    struct stream_retention *retention = server->retention;
    uint64_t now_us = loop_now_us(server->loop), until_us;

    if (!retention->is_due || server->is_stopping || now_us < retention->next_us) return;
    if (!retention->has_begun) begin_walk(retention, now_us);
    retention->next_us = now_us + PAUSE_US;
    until_us = clock_monotonic_us() + SLICE_US;
    while (look_at_candidates(server, now_us, until_us) && clock_monotonic_us() < until_us) {
        if (go_on(server)) continue;
        end_walk(retention, now_us);
        return;
    }
}

int64_t stream_retention_wait_us(const struct server *server)
{
    const struct stream_retention *retention = server->retention;
    uint64_t now_us = loop_now_us(server->loop);

    if (!retention->is_due || server->is_stopping) return -1;
    return now_us >= retention->next_us ? 0 : (int64_t)(retention->next_us - now_us);
}
