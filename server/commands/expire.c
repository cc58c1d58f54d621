/* expire.c - EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST */
#include <errno.h>

#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/lookup.h"
#include "server/commands/server.h"
#include "server/commands/string_common.h"
#include "server/keyspace/keyspace.h"

enum { MS_PER_SECOND = 1000 };

struct condition {
    bool if_none, if_any, if_later, if_earlier; /* NX XX GT LT */
};

/* False: answered. */
static bool parse_condition(struct call *call, struct condition *condition)
{
    for (uint32_t i = 3; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        if (slice_is(word, "NX")) {
            condition->if_none = true;
        } else if (slice_is(word, "XX")) {
            condition->if_any = true;
        } else if (slice_is(word, "GT")) {
            condition->if_later = true;
        } else if (slice_is(word, "LT")) {
            condition->if_earlier = true;
        } else {
            (void)call_errorf(call, "ERR Unsupported option %.*s",
                              (int)(word.size < 512 ? word.size : 512), (const char *)word.bytes);
            return false;
        }
    }
    if (condition->if_none && (condition->if_any || condition->if_later || condition->if_earlier)) {
        (void)call_error(call,
                         "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (condition->if_later && condition->if_earlier) {
        (void)call_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* No time to live counts as one without end. */
static bool is_met(const struct condition *condition, int64_t at_ms, int64_t current_ms)
{
    bool has_one = current_ms != -1;

    if (condition->if_none && has_one) return false;
    if (condition->if_any && !has_one) return false;
    if (condition->if_later && (!has_one || at_ms <= current_ms)) return false;
    if (condition->if_earlier && has_one && at_ms >= current_ms) return false;
    return true;
}

/* base_ms: what the argument counts from; unit_ms: what it counts in. */
static int expire(struct call *call, int64_t base_ms, int64_t unit_ms)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct condition condition = { 0 };
    struct key *key;
    int64_t at_ms;
    int rc;

    if (!parse_condition(call, &condition) || !call_integer(call, 2, &at_ms)) return 0;
    if (__builtin_mul_overflow(at_ms, unit_ms, &at_ms) ||
        __builtin_add_overflow(at_ms, base_ms, &at_ms))
        return expiry_error(call);
    key = key_access(call, call->arguments[1]);
    if (!key || !is_met(&condition, at_ms, key_expires_at(keyspace, key))) {
        reply_integer(call->reply, 0);
        return 0;
    }
    /* What was in the future then may lie in the past of a clock that was set back. */
    if (at_ms <= keyspace_now(keyspace) && !call->is_replay) {
        keyspace_remove(keyspace, key);
        effect_say_key(call, "DEL", call->arguments[1]);
    } else {
        rc = keyspace_set_expiry(keyspace, key, at_ms);
        if (rc < 0) return rc;
        call_changed(call, call->arguments[1]);
        effect_say_number(call, "PEXPIREAT", call->arguments[1], at_ms);
    }
    reply_integer(call->reply, 1);
    return 0;
}

/* EXPIRE key seconds [NX | XX | GT | LT] */
int expire_expire(struct call *call)
{
    return expire(call, keyspace_now(call->server->keyspace), MS_PER_SECOND);
}

/* PEXPIRE key milliseconds [NX | XX | GT | LT] */
int expire_pexpire(struct call *call)
{
    return expire(call, keyspace_now(call->server->keyspace), 1);
}

/* EXPIREAT key unix-time-seconds [NX | XX | GT | LT] */
int expire_expireat(struct call *call)
{
    return expire(call, 0, MS_PER_SECOND);
}

/* PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] */
int expire_pexpireat(struct call *call)
{
    return expire(call, 0, 1);
}

/* The time of expiry, from base_ms on, in units, rounded to the nearest; -1: never, -2: no such
 * key. */
static int tell(struct call *call, int64_t base_ms, int64_t unit_ms)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = keyspace_find(keyspace, call->database, call->arguments[1]);
    int64_t at_ms, left_ms;

    key_count_look(call, key != NULL);
    if (!key) {
        reply_integer(call->reply, -2);
        return 0;
    }
    at_ms = key_expires_at(keyspace, key);
    if (at_ms == -1) {
        reply_integer(call->reply, -1);
        return 0;
    }
    left_ms = at_ms > base_ms ? at_ms - base_ms : 0;
    reply_integer(call->reply,
                  unit_ms == 1 ? left_ms
                               : left_ms / unit_ms + (left_ms % unit_ms >= unit_ms / 2 ? 1 : 0));
    return 0;
}

/* TTL key */
int expire_ttl(struct call *call)
{
    return tell(call, keyspace_now(call->server->keyspace), MS_PER_SECOND);
}

/* PTTL key */
int expire_pttl(struct call *call)
{
    return tell(call, keyspace_now(call->server->keyspace), 1);
}

/* EXPIRETIME key */
int expire_expiretime(struct call *call)
{
    return tell(call, 0, MS_PER_SECOND);
}

/* PEXPIRETIME key */
int expire_pexpiretime(struct call *call)
{
    return tell(call, 0, 1);
}

/* PERSIST key */
int expire_persist(struct call *call)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = key_access(call, call->arguments[1]);
    bool has_one = key && key_expires_at(keyspace, key) != -1;

    if (has_one) {
        int rc = keyspace_set_expiry(keyspace, key, -1);

        if (rc < 0) return rc;
        call_changed(call, call->arguments[1]);
    }
    reply_integer(call->reply, has_one);
    return 0;
}
