/* save.c - SAVE BGSAVE BGREWRITEAOF LASTSAVE: each of the first three makes a checkpoint, which is
 * what Redis's snapshot and Redis's rewritten log are at once. */
#include <errno.h>

#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"

static bool is_in_progress(const struct call *call, enum checkpoint_kind kind)
{
    struct checkpoint_info info;

    checkpoint_get_info(call->server->checkpointing->checkpoint, &info);
    return checkpoint_is_in_progress(&info, kind);
}

static int answer_failure(struct call *call)
{
    struct checkpoint_info info;

    checkpoint_get_info(call->server->checkpointing->checkpoint, &info);
    return call_errorf(call, "ERR The checkpoint failed while %s: %s", info.failed_step,
                       strerror(-info.error));
}

/* SAVE: answers when it is done. Its client waits for that, nobody else does. */
int save_save(struct call *call)
{
    int rc;

    if (!parking_can_suspend(call->server->parking)) {
        if (is_in_progress(call, CHECKPOINT_AS_SAVE))
            return call_error(call, "ERR Background save already in progress");
        return -EAGAIN;
    }
    rc = checkpointing_run(call->server, CHECKPOINT_AS_SAVE);
    if (rc == -ECANCELED) return rc;
    if (rc < 0) return answer_failure(call);
    reply_ok(call->reply);
    return 0;
}

/* What Redis asks of its children. In an EXEC it starts none, so nothing is in progress that one
 * has asked for, until it has begun. */
static bool is_started(const struct call *call, enum checkpoint_kind kind)
{
    const struct checkpointing *state = call->server->checkpointing;
    struct checkpoint_info info;

    checkpoint_get_info(state->checkpoint, &info);
    if (info.step <= CHECKPOINT_WANTED && state->is_for_exec) return false;
    return checkpoint_is_in_progress(&info, kind);
}

/* True: it begins; false: it follows what is in progress. */
static bool request(struct call *call, enum checkpoint_kind kind)
{
    struct checkpointing *state = call->server->checkpointing;
    bool has_to_wait =
        is_started(call, CHECKPOINT_AS_SAVE) || is_started(call, CHECKPOINT_AS_REWRITE);

    if (!has_to_wait) state->is_for_exec = call->in_transaction;
    (void)checkpoint_request(state->checkpoint, kind);
    return !has_to_wait && !call->in_transaction;
}

/* BGSAVE [SCHEDULE] */
int save_bgsave(struct call *call)
{
    bool is_scheduled = call->argument_count == 2 && slice_is(call->arguments[1], "SCHEDULE");

    if (call->argument_count > 1 && !is_scheduled) return call_syntax_error(call);
    if (is_started(call, CHECKPOINT_AS_SAVE))
        return call_error(call, "ERR Background save already in progress");
    if (is_started(call, CHECKPOINT_AS_REWRITE) && !is_scheduled && !call->in_transaction)
        return call_error(call, "ERR Another child process is active (AOF?): can't BGSAVE right "
                                "now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever "
                                "possible.");
    reply_simple(call->reply, request(call, CHECKPOINT_AS_SAVE)
                                  ? SLICE_LITERAL("Background saving started")
                                  : SLICE_LITERAL("Background saving scheduled"));
    return 0;
}

/* BGREWRITEAOF */
int save_bgrewriteaof(struct call *call)
{
    if (is_started(call, CHECKPOINT_AS_REWRITE))
        return call_error(call, "ERR Background append only file rewriting already in progress");
    reply_simple(call->reply,
                 request(call, CHECKPOINT_AS_REWRITE)
                     ? SLICE_LITERAL("Background append only file rewriting started")
                     : SLICE_LITERAL("Background append only file rewriting scheduled"));
    return 0;
}

/* LASTSAVE: when the data was last saved, or the server was started. */
int save_lastsave(struct call *call)
{
    struct checkpoint_info info;

    checkpoint_get_info(call->server->checkpointing->checkpoint, &info);
    reply_integer(call->reply,
                  (info.completed_ms ? info.completed_ms : call->server->started_at_ms) / 1000);
    return 0;
}
