/* shutdown.c - SHUTDOWN. The log is synced, or, where the data is to be saved, a checkpoint is
 * made; when that fails the server goes on, unless it is forced. */
#include <errno.h>

#include "modules/base/log.h"
#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/durability/oplog.h"
#include "server/net/client.h"
#include "server/net/loop.h"

/* As CLIENT PAUSE WRITE for ever: what is written after the checkpoint has begun would be lost. The
 * rest of the pause that there was before is forgotten. */
static void pause_writes(struct server *server, bool is_on)
{
    server->pause_is_for_writes_only = is_on;
    server->paused_until_us = is_on ? INT64_MAX : 0;
}

/* 0, or an error: the server goes on. Suspends the call. */
static int save_first(struct server *server)
{
    int rc;

    pause_writes(server, true);
    rc = checkpointing_run(server, CHECKPOINT_AS_SAVE);
    if (rc < 0) pause_writes(server, false);
    return rc;
}

/* SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] */
int shutdown_shutdown(struct call *call)
{
    struct server *server = call->server;
    bool nosave = false, save = false, abort_ = false, force = false, has_others = false;
    int rc;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        has_others |= !slice_is(word, "ABORT");
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
    if ((abort_ && has_others) || (nosave && save)) return call_syntax_error(call);
    if (abort_) return call_error(call, "ERR No shutdown in progress.");
    if (server->oplog && !nosave && !force && oplog_sync_now(server->oplog) < 0)
        return call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
    if (!server->loading && !nosave && (save || checkpointing_saves_at_end(server))) {
        if (!parking_can_suspend(server->parking)) return -EAGAIN;
        rc = save_first(server);
        if (rc == -ECANCELED) return rc;
        if (rc < 0 && !force) return call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
    }
    log_write(server->log, LOG_WARNING, "User requested shutdown...");
    server->is_stopping = true;
    server->checkpointing->was_saved_at_end = true; /* as far as it was asked for */
    client_close(call->session->client);
    loop_stop(server->loop);
    return 0;
}
