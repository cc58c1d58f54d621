/* key.c - DEL UNLINK EXISTS TOUCH TYPE OBJECT */
#include <errno.h>

#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/lookup.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/types/string.h"

enum { SHARED_INTEGERS = 10000, SHARED_REFERENCES = INT32_MAX };

static struct key *find(struct call *call, uint32_t index)
{
    return keyspace_find(call->server->keyspace, call->database, call->arguments[index]);
}

static struct key *find_read(struct call *call, uint32_t index)
{
    struct key *key = find(call, index);

    key_count_look(call, key != NULL);
    return key;
}

/* DEL key [key ...], UNLINK key [key ...]: nothing that a value holds is freed by walking through
 * it. */
int key_del(struct call *call)
{
    int64_t count = 0;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct key *key = find(call, i);

        if (!key) continue;
        keyspace_remove(call->server->keyspace, key);
        count++;
    }
    reply_integer(call->reply, count);
    return 0;
}

/* EXISTS key [key ...] */
int key_exists(struct call *call)
{
    int64_t count = 0;

    for (uint32_t i = 1; i < call->argument_count; i++)
        count += find_read(call, i) != NULL;
    reply_integer(call->reply, count);
    return 0;
}

/* TOUCH key [key ...] */
int key_touch(struct call *call)
{
    int64_t count = 0;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct key *key = find_read(call, i);

        if (!key) continue;
        key_touch_access(call->server->keyspace, key);
        count++;
    }
    reply_integer(call->reply, count);
    return 0;
}

/* TYPE key */
int key_type(struct call *call)
{
    struct key *key = find_read(call, 1);

    reply_simple(call->reply, slice_of_string(key ? key_value(key)->type->name : "none"));
    return 0;
}

/* ---- OBJECT ---------------------------------------------------------------------------------- */

/* OBJECT ENCODING key */
int key_object_encoding(struct call *call)
{
    struct key *key = find(call, 2);

    if (key)
        reply_bulk_string(call->reply, key_value(key)->type->encoding(key_value(key)));
    else
        reply_null(call->reply);
    return 0;
}

/* OBJECT IDLETIME key */
int key_object_idletime(struct call *call)
{
    struct key *key = find(call, 2);

    if (key)
        reply_integer(call->reply, key_idle_ms(call->server->keyspace, key) / 1000);
    else
        reply_null(call->reply);
    return 0;
}

/* OBJECT REFCOUNT key: Redis shares small numbers, and clients' tests know it. */
int key_object_refcount(struct call *call)
{
    struct key *key = find(call, 2);
    int64_t number;
    bool is_shared;

    if (!key) {
        reply_null(call->reply);
        return 0;
    }
    is_shared =
        key_value(key)->type->kind == VALUE_STRING && string_value_is_integer(key_value(key)) &&
        string_value_number(key_value(key), &number) && number >= 0 && number < SHARED_INTEGERS;
    reply_integer(call->reply, is_shared ? SHARED_REFERENCES : 1);
    return 0;
}

/* OBJECT FREQ key: nothing is evicted here, so nothing is counted. */
int key_object_freq(struct call *call)
{
    if (find(call, 2))
        return call_error(call, "ERR An LFU maxmemory policy is not selected, access frequency not "
                                "tracked. Please note that when switching between policies at "
                                "runtime LRU and LFU data will take some time to adjust.");
    reply_null(call->reply);
    return 0;
}

/* OBJECT HELP */
int key_object_help(struct call *call)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* OBJECT */
int key_object(struct call *call)
{
    return call_unknown_subcommand(call);
}
