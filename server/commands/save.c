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

/* BGSAVE [SCHEDULE] */
int save_bgsave(struct call *call)
{
    bool is_scheduled = call->argument_count == 2 && slice_is(call->arguments[1], "SCHEDULE");

    if (call->argument_count > 1 && !is_scheduled) return call_syntax_error(call);
    if (is_in_progress(call, CHECKPOINT_AS_SAVE))
        return call_error(call, "ERR Background save already in progress");
    if (is_in_progress(call, CHECKPOINT_AS_REWRITE)) {
        if (!is_scheduled && !call->in_transaction)
            return call_error(call,
                              "ERR Another child process is active (AOF?): can't BGSAVE right "
                              "now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever "
                              "possible.");
        (void)checkpoint_request(call->server->checkpointing->checkpoint, CHECKPOINT_AS_SAVE);
        reply_simple(call->reply, SLICE_LITERAL("Background saving scheduled"));
        return 0;
    }
    (void)checkpoint_request(call->server->checkpointing->checkpoint, CHECKPOINT_AS_SAVE);
    reply_simple(call->reply, SLICE_LITERAL("Background saving started"));
    return 0;
}

/* BGREWRITEAOF */
int save_bgrewriteaof(struct call *call)
{
    bool has_to_wait = is_in_progress(call, CHECKPOINT_AS_SAVE);

    if (is_in_progress(call, CHECKPOINT_AS_REWRITE))
        return call_error(call, "ERR Background append only file rewriting already in progress");
    (void)checkpoint_request(call->server->checkpointing->checkpoint, CHECKPOINT_AS_REWRITE);
    reply_simple(call->reply, has_to_wait
                                  ? SLICE_LITERAL("Background append only file rewriting scheduled")
                                  : SLICE_LITERAL("Background append only file rewriting started"));
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
