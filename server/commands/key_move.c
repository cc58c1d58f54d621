/* key_move.c - RENAME RENAMENX MOVE COPY */
#include <errno.h>
#include <stdlib.h>

#include "modules/spill/deque.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/lookup.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_copy.h"
#include "server/commands/string_common.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/string.h"

enum { COPY_BATCH = 64, COPY_BATCH_BYTES = 64 * 1024 };

/* A key has come to stand under name: clients that wait for a list there may be served. */
static void appeared(struct call *call, unsigned database, struct slice name)
{
    blocked_signal(call->server->blocked, database, name);
}

static int rename_key(struct call *call, bool only_if_missing)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct slice from = call->arguments[1], to = call->arguments[2];
    struct key *key = key_access(call, from);
    bool is_same = slice_equal(from, to);
    int rc;

    if (!key) return call_error(call, "ERR no such key");
    if (only_if_missing && (is_same || keyspace_find(keyspace, call->database, to))) {
        reply_integer(call->reply, 0);
        return 0;
    }
    if (!is_same) {
        rc = keyspace_move(keyspace, key, call->database, to);
        if (rc < 0) return rc;
        appeared(call, call->database, to);
    }
    if (only_if_missing)
        reply_integer(call->reply, 1);
    else
        reply_ok(call->reply);
    return 0;
}

/* RENAME key newkey */
int key_rename(struct call *call)
{
    return rename_key(call, false);
}

/* RENAMENX key newkey */
int key_renamenx(struct call *call)
{
    return rename_key(call, true);
}

/* False: answered. */
static bool parse_database(struct call *call, uint32_t index, unsigned *out_database)
{
    int64_t number;

    if (!call_integer_between(call, index, INT32_MIN, INT32_MAX, NULL, &number)) return false;
    if (number < 0 || number >= (int64_t)keyspace_database_count(call->server->keyspace)) {
        (void)call_error(call, "ERR DB index is out of range");
        return false;
    }
    *out_database = (unsigned)number;
    return true;
}

static int same_object(struct call *call)
{
    return call_error(call, "ERR source and destination objects are the same");
}

/* MOVE key db */
int key_move(struct call *call)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct slice name = call->arguments[1];
    unsigned database;
    struct key *key;
    int rc;

    if (!parse_database(call, 2, &database)) return 0;
    if (database == call->database) return same_object(call);
    key = key_access(call, name);
    if (!key || keyspace_find(keyspace, database, name)) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = keyspace_move(keyspace, key, database, name);
    if (rc < 0) return rc;
    appeared(call, database, name);
    reply_integer(call->reply, 1);
    return 0;
}

/* ---- COPY ------------------------------------------------------------------------------------ */

/* Views into a cursor last one step: the batch owns its bytes. */
struct batch {
    struct slice items[COPY_BATCH];
    uint32_t count;
    size_t used_bytes;
    uint8_t bytes[COPY_BATCH_BYTES];
};

static int flush_batch(struct spill_deque *to, struct batch *batch)
{
    int rc = 0;

    if (batch->count > 0) rc = spill_deque_push(to, SPILL_TAIL, batch->items, batch->count);
    batch->count = 0;
    batch->used_bytes = 0;
    return rc;
}

static int add_to_batch(struct spill_deque *to, struct batch *batch, struct slice item)
{
    int rc = 0;

    if (batch->count == COPY_BATCH || item.size > COPY_BATCH_BYTES - batch->used_bytes)
        rc = flush_batch(to, batch);
    if (rc < 0) return rc;
    if (item.size > COPY_BATCH_BYTES) return spill_deque_push(to, SPILL_TAIL, &item, 1);
    if (item.size > 0) memcpy(batch->bytes + batch->used_bytes, item.bytes, item.size);
    batch->items[batch->count++] = slice_of(batch->bytes + batch->used_bytes, item.size);
    batch->used_bytes += item.size;
    return 0;
}

/* Appends all elements of from to an empty list that nobody else sees yet. */
static int copy_elements(struct call *call, struct spill_deque *from, struct spill_deque *to)
{
    struct spill_snapshot *snapshot = NULL;
    struct spill_cursor *cursor = NULL;
    struct batch *batch = malloc(sizeof(*batch));
    uint64_t steps = 0;
    int rc = -ENOMEM;

    if (!batch) return rc;
    batch->count = 0;
    batch->used_bytes = 0;
    rc = spill_deque_snapshot(from, &snapshot);
    if (rc == 0) rc = spill_cursor_create(snapshot, 0, SPILL_TAIL, &cursor);
    while (rc >= 0) {
        struct slice item;

        rc = spill_cursor_next(cursor, &item);
        if (rc <= 0) break;
        rc = add_to_batch(to, batch, item);
        if (rc >= 0 && ++steps % COPY_BATCH == 0) rc = parking_breathe(call->server);
    }
    if (rc >= 0) rc = flush_batch(to, batch);
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
    free(batch);
    return rc;
}

static int copy_list(struct call *call, const struct value *value, struct value **out_value)
{
    struct value *copy;
    int rc = list_may_walk(call, list_deque(value));

    if (rc == 0) rc = list_create(call->server->store, &copy);
    if (rc != 0) return rc;
    rc = copy_elements(call, list_deque(value), list_deque(copy));
    if (rc < 0)
        copy->type->destroy(copy);
    else
        *out_value = copy;
    return rc;
}

static int copy_value(struct call *call, const struct value *value, struct value **out_value)
{
    int rc;

    if (value->type->kind == VALUE_LIST) return copy_list(call, value, out_value);
    if (value->type->kind == VALUE_STREAM) return stream_copy(call, value, out_value);
    rc = string_check_share(call, string_value_size(value)); /* the limit may be lower by now */
    return rc < 0 ? rc : string_value_copy(value, out_value);
}

/* Puts copy, which becomes the keyspace's, under name; what is there goes. */
static int put_copy(struct call *call, unsigned database, struct slice name, struct value *copy,
                    int64_t expires_at_ms)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = keyspace_find(keyspace, database, name);
    bool is_new = key == NULL;
    int rc = 0;

    if (is_new) rc = keyspace_add(keyspace, database, name, copy, &key);
    if (rc < 0) {
        copy->type->destroy(copy);
        return rc;
    }
    rc = keyspace_set_expiry(keyspace, key, expires_at_ms);
    if (rc < 0) {
        if (is_new)
            keyspace_remove(keyspace, key);
        else
            copy->type->destroy(copy);
        return rc;
    }
    if (!is_new) {
        keyspace_replace(keyspace, key, copy, true);
        keyspace_changed(keyspace, database, name);
    }
    return 0;
}

static bool parse_copy(struct call *call, unsigned *out_database, bool *out_replace)
{
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (slice_is(call->arguments[i], "REPLACE")) {
            *out_replace = true;
        } else if (slice_is(call->arguments[i], "DB") && i + 1 < call->argument_count) {
            if (!parse_database(call, ++i, out_database)) return false;
        } else {
            (void)call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* COPY source destination [DB destination-db] [REPLACE] */
int key_copy(struct call *call)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct slice from = call->arguments[1], to = call->arguments[2];
    unsigned database = call->database;
    struct value *copy;
    struct key *source;
    bool replace = false;
    int rc;

    if (!parse_copy(call, &database, &replace)) return 0;
    if (database == call->database && slice_equal(from, to)) return same_object(call);
    source = key_access(call, from);
    if (!source || (!replace && keyspace_find(keyspace, database, to))) {
        reply_integer(call->reply, 0);
        return 0;
    }
    rc = copy_value(call, key_value(source), &copy);
    /* A long copy lets others go between: source is still there, because this call holds it. */
    if (rc == 0) rc = put_copy(call, database, to, copy, key_expires_at(keyspace, source));
    if (rc < 0) return rc;
    appeared(call, database, to);
    reply_integer(call->reply, 1);
    return 0;
}
