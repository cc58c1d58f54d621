/* reload.c - the whole way that a restart goes, without one: the log is synced, the keyspace
 * emptied, the log replayed. For tests, which compare before and after; the server stands still
 * meanwhile. */
#include "server/commands/reload.h"

#include <errno.h>
#include <string.h>

#include "server/commands/handlers.h"
#include "server/commands/loading.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"

bool reload_is_asked(const struct call *call)
{
    return call->command->handler == debug_debug && call->argument_count == 2 &&
           slice_is(call->arguments[1], "LOADAOF");
}

static int reload(struct server *server)
{
    int rc = oplog_sync_now(server->oplog);

    if (rc < 0) return rc;
    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++)
        keyspace_flush(server->keyspace, i);
    rc = loading_begin(server, 0);
    return rc < 0 ? rc : loading_run(server);
}

int reload_log(struct call *call)
{
    struct server *server = call->server;
    int rc;

    if (!server->oplog) return call_error(call, "ERR There is no log to load: appendonly is no");
    if (call->in_transaction)
        return call_error(call, "ERR DEBUG LOADAOF inside a transaction would lose what it did");
    if (!parking_can_suspend(server->parking)) return -EAGAIN; /* claims everything on the way */
    rc = reload(server);
    if (rc < 0)
        return call_errorf(call, "ERR Error trying to load the log, check server logs: %s",
                           strerror(-rc));
    reply_ok(call->reply);
    return 0;
}
