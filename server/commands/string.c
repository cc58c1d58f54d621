/* string.c - GET GETDEL GETEX GETSET GETRANGE SUBSTR STRLEN MGET APPEND SETRANGE */
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/commands/string_common.h"
#include "server/commands/string_options.h"
#include "server/keyspace/keyspace.h"
#include "server/types/string.h"

enum { COPY_PIECE_BYTES = 64 * 1024 }; /* between two looks at whether others are to go first */

/* GET key */
int string_get(struct call *call)
{
    struct key *key;
    int rc = string_find_read(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0)
        reply_null(call->reply);
    else
        string_reply(call, key);
    return 0;
}

/* GETDEL key */
int string_getdel(struct call *call)
{
    struct key *key;
    int rc = string_find_read(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        reply_null(call->reply);
        return 0;
    }
    string_reply(call, key);
    keyspace_remove(call->server->keyspace, key);
    effect_say_key(call, "DEL", call->arguments[1]);
    return 0;
}

/* GETSET key value */
int string_getset(struct call *call)
{
    struct value *value;
    struct key *key = NULL;
    int rc = string_find_read(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        rc = string_add(call, call->arguments[1], call->arguments[2], NULL);
        if (rc == 0) reply_null(call->reply);
        if (rc == 0) string_say_set(call, call->arguments[1], call->arguments[2], -1, false);
        return rc;
    }
    rc = string_make(call, call->arguments[2], &value);
    if (rc < 0) return rc;
    string_reply(call, key);
    rc = string_store(call, call->arguments[1], key, value, false);
    if (rc == 0) string_say_set(call, call->arguments[1], call->arguments[2], -1, false);
    return rc;
}

/* GETEX key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST] */
int string_getex(struct call *call)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct string_options options;
    struct key *key;
    int64_t at_ms = -1;
    bool is_absolute;
    int rc;

    if (!string_options_parse(call, 2, STRING_OPTIONS_GETEX, &options)) return 0;
    rc = string_find_read(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_null(call->reply);
        return 0;
    }
    if (options.expiry != EXPIRY_NONE &&
        !expiry_parse(call, options.expiry, options.expiry_argument, &at_ms))
        return 0;
    is_absolute = options.expiry == EXPIRY_EXAT || options.expiry == EXPIRY_PXAT;
    if (options.expiry == EXPIRY_NONE) {
        string_reply(call, key);
        if (!options.persist || key_expires_at(keyspace, key) == -1) return 0;
        rc = keyspace_set_expiry(keyspace, key, -1);
        if (rc < 0) return rc;
        call_changed(call, call->arguments[1]);
        effect_say_key(call, "PERSIST", call->arguments[1]);
        return 0;
    }
    if (is_absolute && at_ms <= keyspace_now(keyspace)) {
        string_reply(call, key);
        keyspace_remove(keyspace, key);
        effect_say_key(call, "DEL", call->arguments[1]);
        return 0;
    }
    rc = keyspace_set_expiry(keyspace, key, at_ms);
    if (rc < 0) return rc;
    string_reply(call, key);
    call_changed(call, call->arguments[1]);
    effect_say_number(call, "PEXPIREAT", call->arguments[1], at_ms);
    return 0;
}

/* STRLEN key */
int string_strlen(struct call *call)
{
    struct key *key;
    int rc = string_find_read(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    reply_integer(call->reply, rc ? (int64_t)string_value_size(key_value(key)) : 0);
    return 0;
}

/* What lies between two indexes, the last one included; negative ones count from the end. */
static struct slice range_of(struct slice bytes, int64_t first, int64_t last)
{
    int64_t size = (int64_t)bytes.size;

    if (first < 0 && last < 0 && first > last) return (struct slice){ 0 };
    if (first < 0) first = first + size < 0 ? 0 : first + size;
    if (last < 0) last = last + size < 0 ? 0 : last + size;
    if (last >= size) last = size - 1;
    if (first > last || size == 0) return (struct slice){ 0 };
    return slice_of(bytes.bytes + first, (size_t)(last - first + 1));
}

/* GETRANGE key start end */
int string_getrange(struct call *call)
{
    char digits[STRING_DIGITS_MAX];
    struct key *key;
    int64_t first, last;
    int rc;

    if (!call_integer(call, 2, &first) || !call_integer(call, 3, &last)) return 0;
    rc = string_find_read(call, call->arguments[1], &key);
    if (rc < 0) return rc;
    if (rc == 0)
        reply_bulk(call->reply, (struct slice){ 0 });
    else
        string_reply_part(call, key,
                          range_of(string_value_view(key_value(key), digits), first, last));
    return 0;
}

/* MGET key [key ...] */
int string_mget(struct call *call)
{
    reply_array(call->reply, call->argument_count - 1);
    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct key *key;

        if (string_find_read(call, call->arguments[i], &key) == 1)
            string_reply(call, key);
        else
            reply_null(call->reply);
    }
    return 0;
}

/* The value of key, which will be changed in place, as one that can: a raw one. */
static int make_raw(struct call *call, struct key *key)
{
    char digits[STRING_DIGITS_MAX];
    struct value *raw, *value = key_value(key);
    int rc;

    if (string_value_is_raw(value)) return 0;
    rc = string_value_create_raw(string_value_view(value, digits), (struct slice){ 0 }, &raw);
    if (rc < 0) return rc;
    keyspace_replace(call->server->keyspace, key, raw, true);
    return 0;
}

/* Where others have its bytes too (a checkpoint that is being written, answers under way), a change
 * needs a copy: a long one is made in slices, while this call holds the key. *out_copy: nothing,
 * unless there is one to be given to value. */
static int copy_shared(struct call *call, const struct value *value, uint64_t end,
                       struct string_copy *out_copy)
{
    int rc;

    *out_copy = (struct string_copy){ 0 };
    if (string_value_shared_bytes(value) <= STRING_COPY_INLINE_BYTES) return 0;
    if (!call_can_suspend(call)) return -EAGAIN;
    rc = string_copy_begin(value, end, out_copy);
    while (rc == 0 && string_copy_step(out_copy, value, COPY_PIECE_BYTES))
        rc = parking_breathe(call->server);
    if (rc < 0) string_copy_drop(out_copy);
    return rc;
}

/* Writes bytes at offset of a string that is there; *out_size is its size then. */
static int write_at(struct call *call, struct key *key, uint64_t offset, struct slice bytes,
                    uint64_t *out_size)
{
    struct string_copy copy;
    struct value *value;
    uint64_t before;
    int rc = make_raw(call, key);

    if (rc < 0) return rc;
    value = key_value(key);
    rc = copy_shared(call, value, offset + bytes.size, &copy);
    if (rc < 0) return rc;
    before = value->type->counted_bytes(value);
    if (copy.bytes) string_copy_give(&copy, value);
    rc = string_value_overwrite(value, offset, bytes);
    keyspace_account(call->server->keyspace, (int64_t)(value->type->counted_bytes(value) - before));
    if (rc < 0) return rc;
    call_changed(call, call->arguments[1]);
    *out_size = string_value_size(value);
    return 0;
}

/* APPEND key value */
int string_append(struct call *call)
{
    struct slice bytes = call->arguments[2];
    struct key *key;
    uint64_t size;
    int rc = string_find(call, call->arguments[1], &key);

    if (rc < 0) return rc;
    if (rc == 0) {
        rc = string_add(call, call->arguments[1], bytes, NULL);
        if (rc == 0) reply_integer(call->reply, (int64_t)bytes.size);
        return rc;
    }
    size = string_value_size(key_value(key));
    rc = string_check_size(call, size, bytes.size);
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = write_at(call, key, size, bytes, &size);
    if (rc == 0) reply_integer(call->reply, (int64_t)size);
    return rc;
}

/* A new string of zeros with bytes behind them. */
static int make_padded(struct call *call, uint64_t offset, struct slice bytes)
{
    struct value *value;
    int rc = string_value_create_raw((struct slice){ 0 }, (struct slice){ 0 }, &value);

    if (rc < 0) return rc;
    rc = string_value_overwrite(value, offset, bytes);
    if (rc < 0) {
        value->type->destroy(value);
        return rc;
    }
    return string_store(call, call->arguments[1], NULL, value, false);
}

/* SETRANGE key offset value */
int string_setrange(struct call *call)
{
    struct slice bytes = call->arguments[3];
    struct key *key;
    int64_t offset;
    uint64_t size = 0;
    int found, rc;

    if (!call_integer(call, 2, &offset)) return 0;
    if (offset < 0) return call_error(call, "ERR offset is out of range");
    found = string_find(call, call->arguments[1], &key);
    if (found < 0) return found;
    if (found) size = string_value_size(key_value(key));
    if (bytes.size == 0) {
        reply_integer(call->reply, (int64_t)size);
        return 0;
    }
    rc = string_check_size(call, (uint64_t)offset, bytes.size);
    if (rc != 0) return rc < 0 ? rc : 0;
    if (found) {
        rc = write_at(call, key, (uint64_t)offset, bytes, &size);
    } else {
        rc = make_padded(call, (uint64_t)offset, bytes);
        size = (uint64_t)offset + bytes.size;
    }
    if (rc == 0) reply_integer(call->reply, (int64_t)size);
    return rc;
}
