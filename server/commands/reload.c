/* reload.c - the whole way that a restart goes, without one: the log is synced, the keyspace
 * emptied, the newest checkpoint loaded, the log replayed; for DEBUG RELOAD after a checkpoint of
 * what there is now. For tests, which compare before and after; the server stands still
 * meanwhile. */
#include "server/commands/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/base/log.h"
#include "modules/stream/checkpoint.h"
#include "server/commands/backing_up.h"
#include "server/commands/checkpointing.h"
#include "server/commands/handlers.h"
#include "server/commands/loading.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/checkpoint_load.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"

bool reload_is_asked(const struct call *call)
{
    return call->command->handler == debug_debug && call->argument_count >= 2 &&
           (slice_is(call->arguments[1], "LOADAOF") || slice_is(call->arguments[1], "RELOAD"));
}

static void drop_keys(struct server *server)
{
    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++)
        keyspace_flush(server->keyspace, i);
    while (keyspace_rehash_step(server->keyspace, UINT32_MAX))
        ;
}

/* Not even the rest of the turn can do without it. The log was synced a moment ago. */
static void end_without_store(struct server *server)
{
    log_write(server->log, LOG_WARNING,
              "There are no lists without their file: the server ends. What was answered is in the "
              "checkpoint and the log");
    _exit(EXIT_FAILURE); /* the house cannot be taken apart from within a fiber */
}

/* From here on an error leaves nothing to go on with. */
static int start_anew(struct server *server)
{
    struct checkpointing *state = server->checkpointing;
    int rc;

    drop_keys(server);
    rc = checkpoint_load_open(server->os, server->config->dir, &state->load);
    if (rc >= 0) rc = state->reopen_store(server);
    if (!server->store || !server->streams) end_without_store(server);
    if (rc == 0 && !state->load) stream_checkpoint_loaded(server->streams);
    if (rc == 0 && (server->oplog || state->load)) {
        rc = loading_begin(server);
        if (rc == 0) rc = loading_run(server);
    }
    if (rc == 0) return 0;
    server->has_failed = true;
    server->is_stopping = true;
    loop_stop(server->loop);
    return rc;
}

/* Nothing else is under way: all keys are claimed. */
static int reload(struct server *server, bool saves)
{
    struct checkpoint *checkpoint = server->checkpointing->checkpoint;
    int rc;

    rc = server->oplog ? oplog_sync_now(server->oplog) : 0;
    if (rc < 0) return rc;
    if (saves) {
        (void)checkpoint_request(checkpoint, CHECKPOINT_AS_SAVE);
        server->checkpointing->must_keep_store = true;
    }
    rc = checkpoint_wait(checkpoint);
    return rc < 0 && saves ? rc : start_anew(server);
}

/* Answers under way hold parts of lists. */
static bool may_reload(struct call *call)
{
    if (call->in_transaction)
        (void)call_errorf(call, "ERR DEBUG %.*s inside a transaction would lose what it did",
                          (int)call->arguments[1].size, (const char *)call->arguments[1].bytes);
    else if (call->server->loading)
        (void)call_error(call, "LOADING Redis is loading the dataset in memory");
    else if (parking_count(call->server->parking, PARKED_STREAMING) > 0)
        (void)call_error(call, "ERR Large answers are being sent: try again");
    else if (call->server->is_exporting)
        (void)call_error(call, "ERR An export is in progress: try again");
    else if (log_switching_is_under_way(call->server))
        (void)call_error(call, "ERR The log is beginning or ending: try again");
    else if (call->server->backing_up->is_running)
        (void)call_error(call, "ERR A backup is in progress: try again");
    else
        return true;
    return false;
}

static int run(struct call *call, bool saves)
{
    int rc;

    if (!may_reload(call)) return 0;
    if (!parking_can_suspend(call->server->parking)) return -EAGAIN; /* claims everything */
    rc = reload(call->server, saves);
    if (rc < 0)
        return call_errorf(call, "ERR Error trying to load the %s, check server logs: %s",
                           saves ? "checkpoint" : "log", strerror(-rc));
    reply_ok(call->reply);
    return 0;
}

int reload_log(struct call *call)
{
    if (!call->server->oplog)
        return call_error(call, "ERR There is no log to load: appendonly is no");
    return run(call, false);
}

/* False: it was refused. */
static bool takes_options(struct call *call, bool *out_saves)
{
    *out_saves = true;
    for (uint32_t i = 2; i < call->argument_count; i++) {
        if (slice_is(call->arguments[i], "NOSAVE")) {
            *out_saves = false;
        } else if (slice_is(call->arguments[i], "MERGE") ||
                   slice_is(call->arguments[i], "NOFLUSH")) {
            (void)call_error(call, "ERR DEBUG RELOAD keeps no keys here: lists are opened anew");
            return false;
        } else {
            (void)call_error(call, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE "
                                   "options.");
            return false;
        }
    }
    return true;
}

static bool has_something_to_load(const struct server *server)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return server->oplog || info.number > 0;
}

/* DEBUG RELOAD [NOSAVE]: without a log, what came after the last checkpoint goes with NOSAVE. */
int reload_checkpoint(struct call *call)
{
    bool saves;

    if (!takes_options(call, &saves)) return 0;
    if (!saves && !has_something_to_load(call->server))
        return call_error(call, "ERR There is no checkpoint to load");
    return run(call, saves);
}
