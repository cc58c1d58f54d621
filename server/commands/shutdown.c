/* shutdown.c - SHUTDOWN. The log is synced, or, where the data is to be saved, a checkpoint is
 * made; when that fails the server goes on, unless it is forced. */
#include "server/commands/shutdown.h"

#include <errno.h>

#include "modules/base/log.h"
#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/importing.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/config/config.h"
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

static void stop(struct server *server)
{
    server->is_stopping = true;
    loop_stop(server->loop);
}

/* ---- by a signal ------------------------------------------------------------------------------
 */

static bool is_under_way(const struct server *server)
{
    return server->shutting_down->signal_turn > 0 || server->shutting_down->saving_count > 0;
}

static bool saves_first(const struct server *server)
{
    return !server->loading && !importing_is_at_start(server) && checkpointing_saves_at_end(server);
}

/* words: of shutdown-on-* for it. */
static bool signal_saves(const struct server *server, int words)
{
    if (server->loading || importing_is_at_start(server)) return false;
    if (words & CONFIG_SHUTDOWN_NOSAVE) return false;
    return (words & CONFIG_SHUTDOWN_SAVE) || saves_first(server);
}

void shutdown_by_signal(struct server *server, bool is_sigint)
{
    struct shutting_down *state = server->shutting_down;
    int words =
        is_sigint ? server->config->shutdown_on_sigint : server->config->shutdown_on_sigterm;
    bool waits = signal_saves(server, words) && !is_under_way(server);

    log_write(server->log, LOG_WARNING, "Received %s, %s", is_sigint ? "SIGINT" : "SIGTERM",
              waits ? "stopping when the data is saved" : "stopping");
    if (!waits) {
        /* as far as it was asked for */
        if (words & CONFIG_SHUTDOWN_NOSAVE) server->checkpointing->was_saved_at_end = true;
        stop(server);
        return;
    }
    pause_writes(server, true);
    state->signal_forces = (words & CONFIG_SHUTDOWN_FORCE) != 0;
    state->signal_turn = checkpoint_request(server->checkpointing->checkpoint, CHECKPOINT_AS_SAVE);
}

static void write_again(struct server *server)
{
    if (!is_under_way(server)) pause_writes(server, false);
}

static void call_off_signal(struct server *server)
{
    server->shutting_down->signal_turn = 0;
    write_again(server);
}

void shutdown_turn(struct server *server)
{
    struct shutting_down *state = server->shutting_down;
    struct checkpoint_info info;

    if (state->signal_turn == 0 || server->is_stopping) return;
    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    if (info.ended_count < state->signal_turn) return;
    if (info.error == 0 || state->signal_forces) {
        server->checkpointing->was_saved_at_end = true; /* as far as it was asked for */
        stop(server);
        return;
    }
    log_write(server->log, LOG_WARNING,
              "The data could not be saved, and the server goes on: see above why. SHUTDOWN NOSAVE "
              "ends it without");
    call_off_signal(server);
}

/* ---- by a command -----------------------------------------------------------------------------
 */

static int wait_for_save(struct server *server)
{
    struct checkpoint *checkpoint = server->checkpointing->checkpoint;
    uint64_t turn = checkpoint_request(checkpoint, CHECKPOINT_AS_SAVE);
    uint64_t aborted_count = server->shutting_down->aborted_count;
    struct checkpoint_info info;

    for (;;) {
        int rc = parking_wait(server);

        if (rc < 0) return rc;
        if (server->shutting_down->aborted_count != aborted_count) return -EINTR;
        checkpoint_get_info(checkpoint, &info);
        if (info.ended_count >= turn) return info.error;
    }
}

/* 0, or an error: the server goes on. Suspends the call. */
static int save_first(struct server *server)
{
    struct shutting_down *state = server->shutting_down;
    int rc;

    pause_writes(server, true);
    state->saving_count++;
    rc = wait_for_save(server);
    state->saving_count--;
    if (rc < 0) write_again(server);
    return rc;
}

/* SHUTDOWN ABORT: what is waited for is saved all the same. */
static int abort_shutdown(struct call *call)
{
    struct server *server = call->server;

    if (!is_under_way(server)) return call_error(call, "ERR No shutdown in progress.");
    if (server->shutting_down->signal_turn > 0) call_off_signal(server);
    server->shutting_down->aborted_count++;
    parking_wake(server);
    log_write(server->log, LOG_NOTICE, "The shutdown was called off");
    reply_ok(call->reply);
    return 0;
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
    if (abort_) return abort_shutdown(call);
    if (log_switching_counts(server) && !nosave && !force && oplog_sync_now(server->oplog) < 0)
        return call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
    if (!server->loading && !nosave && (save || saves_first(server))) {
        if (!parking_can_suspend(server->parking)) return -EAGAIN;
        rc = save_first(server);
        if (rc == -ECANCELED) return rc;
        if (rc < 0 && (!force || rc == -EINTR))
            return call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
    }
    log_write(server->log, LOG_WARNING, "User requested shutdown...");
    server->checkpointing->was_saved_at_end = true; /* as far as it was asked for */
    client_close(call->session->client);
    stop(server);
    return 0;
}
