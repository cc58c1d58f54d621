/* database.c - FLUSHDB FLUSHALL SWAPDB */
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"

static bool exists(void *context, unsigned database, struct slice name)
{
    return keyspace_find(context, database, name) != NULL;
}

static void flush(struct call *call, unsigned database)
{
    struct server *server = call->server;

    watch_changed_database(server->watch, database, exists, server->keyspace);
    keyspace_flush(server->keyspace, database);
    blocked_signal_database(server->blocked, database); /* some mind that a key has gone */
}

/* [ASYNC | SYNC]: large databases are always freed in small steps. False: answered. */
static bool parse_flush(struct call *call)
{
    if (call->argument_count == 1) return true;
    if (call->argument_count == 2 &&
        (slice_is(call->arguments[1], "ASYNC") || slice_is(call->arguments[1], "SYNC")))
        return true;
    (void)call_syntax_error(call);
    return false;
}

/* FLUSHDB [ASYNC | SYNC] */
int database_flushdb(struct call *call)
{
    if (!parse_flush(call)) return 0;
    flush(call, call->database);
    reply_ok(call->reply);
    return 0;
}

/* FLUSHALL [ASYNC | SYNC] */
int database_flushall(struct call *call)
{
    if (!parse_flush(call)) return 0;
    for (unsigned i = 0; i < keyspace_database_count(call->server->keyspace); i++)
        flush(call, i);
    reply_ok(call->reply);
    return 0;
}

static bool parse_index(struct call *call, uint32_t index, const char *error, int64_t *out_number)
{
    if (number_parse_int64(call->arguments[index], out_number) && *out_number >= INT32_MIN &&
        *out_number <= INT32_MAX)
        return true;
    (void)call_error(call, error);
    return false;
}

/* Watchers of names that are there before or after the swap see a change. */
struct swap {
    struct keyspace *keyspace;
    unsigned first, second;
};

static bool exists_in_either(void *context, unsigned database, struct slice name)
{
    const struct swap *swap = context;

    (void)database;
    return keyspace_find(swap->keyspace, swap->first, name) ||
           keyspace_find(swap->keyspace, swap->second, name);
}

/* SWAPDB index1 index2 */
int database_swapdb(struct call *call)
{
    struct server *server = call->server;
    int64_t count = keyspace_database_count(server->keyspace), first, second;
    struct swap swap = { .keyspace = server->keyspace };

    if (!parse_index(call, 1, "ERR invalid first DB index", &first) ||
        !parse_index(call, 2, "ERR invalid second DB index", &second))
        return 0;
    if (first < 0 || first >= count || second < 0 || second >= count)
        return call_error(call, "ERR DB index is out of range");
    if (first != second) {
        swap.first = (unsigned)first;
        swap.second = (unsigned)second;
        watch_changed_database(server->watch, swap.first, exists_in_either, &swap);
        watch_changed_database(server->watch, swap.second, exists_in_either, &swap);
        keyspace_swap(server->keyspace, swap.first, swap.second);
        blocked_signal_database(server->blocked, swap.first);
        blocked_signal_database(server->blocked, swap.second);
    }
    reply_ok(call->reply);
    return 0;
}
