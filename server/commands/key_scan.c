/* key_scan.c - KEYS SCAN RANDOMKEY DBSIZE */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/glob.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/types/value.h"

/* Patterns are somebody's: one with many stars must not hold the server up for each of many keys.
 */
enum { GLOB_STEPS_A_CALL = 64 * 1000 * 1000, SCAN_COUNT = 10, KEYS_FIRST = 64 };

/* The keys that a walk has found; they stay where they are until the reply is written. */
struct found {
    struct key **keys;
    uint64_t count, capacity;
    bool has_failed; /* no memory */

    bool has_pattern;
    struct slice pattern, type; /* type.bytes NULL: any */
    uint64_t glob_steps;        /* left */
};

static void add_key(struct found *found, struct key *key)
{
    if (found->count == found->capacity) {
        uint64_t capacity = found->capacity ? found->capacity * 2 : KEYS_FIRST;
        struct key **keys = realloc(found->keys, capacity * sizeof(struct key *));

        if (!keys) {
            found->has_failed = true;
            return;
        }
        found->keys = keys;
        found->capacity = capacity;
    }
    found->keys[found->count++] = key;
}

static void look_at(void *context, struct key *key)
{
    struct found *found = context;

    if (found->has_failed) return;
    if (found->type.bytes &&
        !slice_equal_nocase(found->type, slice_of_string(key_value(key)->type->name)))
        return;
    if (found->has_pattern &&
        !glob_match_budgeted(found->pattern, key_name(key), GLOB_MATCH_CASE, &found->glob_steps))
        return;
    add_key(found, key);
}

static int reply_found(struct call *call, struct found *found)
{
    int rc = found->has_failed ? -ENOMEM : 0;

    if (rc == 0) reply_array(call->reply, found->count);
    for (uint64_t i = 0; i < found->count && rc == 0; i++)
        reply_bulk(call->reply, key_name(found->keys[i]));
    free(found->keys);
    return rc;
}

static void take_pattern(struct found *found, struct slice pattern)
{
    found->has_pattern = !(pattern.size == 1 && pattern.bytes[0] == '*');
    found->pattern = pattern;
    found->glob_steps = GLOB_STEPS_A_CALL;
}

/* KEYS pattern */
int key_keys(struct call *call)
{
    struct found found = { 0 };

    take_pattern(&found, call->arguments[1]);
    (void)keyspace_scan(call->server->keyspace, call->database, 0, UINT64_MAX, look_at, &found);
    return reply_found(call, &found);
}

/* [MATCH pattern] [COUNT count] [TYPE type]. False: answered. */
static bool parse_scan(struct call *call, struct found *found, int64_t *out_count)
{
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        struct slice word = call->arguments[i];
        bool has_argument = i + 1 < call->argument_count;

        if (slice_is(word, "COUNT") && has_argument) {
            if (!call_integer(call, i + 1, out_count)) return false;
            if (*out_count < 1) {
                (void)call_syntax_error(call);
                return false;
            }
        } else if (slice_is(word, "MATCH") && has_argument) {
            take_pattern(found, call->arguments[i + 1]);
        } else if (slice_is(word, "TYPE") && has_argument) {
            found->type = call->arguments[i + 1];
        } else {
            (void)call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* As Redis takes it: a sign is allowed, and nothing at all is 0. */
static bool parse_cursor(struct slice text, uint64_t *out_cursor)
{
    bool has_sign = text.size > 0 && (text.bytes[0] == '-' || text.bytes[0] == '+');
    uint64_t cursor = 0;

    if (has_sign && text.size == 1) return false;
    for (size_t i = has_sign; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.bytes[i] - '0');

        if (digit > 9 || __builtin_mul_overflow(cursor, 10u, &cursor) ||
            __builtin_add_overflow(cursor, digit, &cursor))
            return false;
    }
    *out_cursor = has_sign && text.bytes[0] == '-' ? 0 - cursor : cursor;
    return true;
}

/* SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] */
int key_scan(struct call *call)
{
    struct found found = { 0 };
    uint64_t cursor;
    int64_t count = SCAN_COUNT;

    if (!parse_cursor(call->arguments[1], &cursor)) return call_error(call, "ERR invalid cursor");
    if (!parse_scan(call, &found, &count)) return 0;
    cursor = keyspace_scan(call->server->keyspace, call->database, cursor, (uint64_t)count, look_at,
                           &found);
    if (found.has_failed) return reply_found(call, &found);
    reply_array(call->reply, 2);
    reply_bulk_unsigned(call->reply, cursor);
    return reply_found(call, &found);
}

/* RANDOMKEY */
int key_randomkey(struct call *call)
{
    struct key *key = keyspace_random(call->server->keyspace, call->database);

    if (key)
        reply_bulk(call->reply, key_name(key));
    else
        reply_null(call->reply);
    return 0;
}

/* DBSIZE */
int key_dbsize(struct call *call)
{
    reply_integer(call->reply, (int64_t)keyspace_count(call->server->keyspace, call->database));
    return 0;
}
