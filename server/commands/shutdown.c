/* shutdown.c - SHUTDOWN. The log is synced, and when that fails the server goes on, unless it is
 * forced. Without a log asking for a save is refused, as it could not be done. */
#include "modules/base/log.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/durability/oplog.h"
#include "server/net/client.h"
#include "server/net/loop.h"

/* SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] */
int shutdown_shutdown(struct call *call)
{
    struct server *server = call->server;
    bool nosave = false, save = false, abort_ = false, force = false;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        if (slice_is(word, "NOSAVE"))
            nosave = true;
        else if (slice_is(word, "SAVE"))
            save = true;
        else if (slice_is(word, "ABORT"))
            abort_ = true;
        else if (slice_is(word, "FORCE"))
            force = true;
        else if (!slice_is(word, "NOW"))
            return call_syntax_error(call);
    }
    if ((abort_ && call->argument_count > 2) || (nosave && save)) return call_syntax_error(call);
    if (abort_) return call_error(call, "ERR No shutdown in progress.");
    if (server->oplog && !nosave && !force && oplog_sync_now(server->oplog) < 0)
        return call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
    if (save && !server->oplog)
        return call_error(call,
                          "ERR Errors trying to SHUTDOWN. Nothing can be saved: appendonly is "
                          "no. Use SHUTDOWN NOSAVE.");
    log_write(server->log, LOG_WARNING, "User requested shutdown...");
    server->is_stopping = true;
    client_close(call->session->client);
    loop_stop(server->loop);
    return 0;
}
