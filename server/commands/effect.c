#include "server/commands/effect.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "modules/base/log.h"
#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "server/commands/call_keys.h"
#include "server/commands/checkpointing.h"
#include "server/commands/dispatch.h"
#include "server/commands/log_replacing.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/transaction.h"
#include "server/config/config.h"
#include "server/durability/effects.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"

enum {
    /* What a command may leave beside its own bytes: for each argument a line and, when it is the
     * name of what has expired, a frame with a DEL; and once what rewriting adds. */
    ARGUMENT_BYTES = 96,
    REWRITE_BYTES = 512,
    NAME_BYTES = 4096,
    GRANT_BYTES = 16 * 1024, /* of room at a time */
};

/* ---- what a handler says ----------------------------------------------------------------------
 */

static struct effects *effects_of(const struct call *call)
{
    return call->server->effects;
}

/* A frame could not be built: the log cannot tell what has happened, and that is its end. */
static void fail_log(struct effects *effects)
{
    oplog_fail(effects->oplog, -ENOMEM);
}

void effect_say_raw(struct call *call, const struct slice *arguments, uint32_t argument_count,
                    struct slice raw, uint32_t raw_count)
{
    struct effects *effects = effects_of(call);
    struct log_frame *frame = call->frame ? call->frame : &effects->said;

    if (!effects->oplog || call->reply->had_error) return; /* who answers an error did nothing */
    assert(!call->has_said);
    if (log_frame_lend_raw(frame, call->database, arguments, argument_count, raw, raw_count) < 0)
        fail_log(effects);
    call->has_said = true;
}

void effect_say_first(struct call *call, const struct slice *arguments, uint32_t argument_count)
{
    struct effects *effects = effects_of(call);
    struct log_frame *frame = call->frame ? call->frame : &effects->said;

    if (!effects->oplog || call->reply->had_error) return;
    assert(!call->has_said);
    if (log_frame_add(frame, call->database, arguments, argument_count) < 0) fail_log(effects);
}

void effect_say(struct call *call, const struct slice *arguments, uint32_t argument_count)
{
    effect_say_raw(call, arguments, argument_count, (struct slice){ 0 }, 0);
}

void effect_say_key(struct call *call, const char *name, struct slice key)
{
    struct slice arguments[2] = { slice_of_string(name), key };

    effect_say(call, arguments, 2);
}

void effect_say_number(struct call *call, const char *name, struct slice key, int64_t number)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[3] = { slice_of_string(name), key };

    arguments[2] = slice_of(digits, number_format_int64(digits, number));
    effect_say(call, arguments, 3);
}

/* ---- appending --------------------------------------------------------------------------------
 */

/* Whoever asked for what is not in the log must not be told that all is well. */
static void take_result(struct call *call, int rc)
{
    const struct effects *effects = effects_of(call);

    if (!call->session) return;
    if (rc == 0 && !oplog_error(effects->oplog))
        call->session->log_frame = oplog_frame_number(effects->oplog);
    else if (!effects->is_trial) /* the checkpoint that counts may not come */
        client_close(call->session->client);
}

static void append(struct call *call, struct slice command)
{
    struct oplog *oplog = effects_of(call)->oplog;
    int64_t now_ms = keyspace_now(call->server->keyspace);

    take_result(call, oplog_append(oplog, now_ms, call->database, command));
}

static void append_frame(struct call *call, struct log_frame *frame)
{
    int64_t now_ms = keyspace_now(call->server->keyspace);

    take_result(call, oplog_append_frame(effects_of(call)->oplog, now_ms, frame));
}

/* What a handler has said: one command, or one behind another. */
static void append_said(struct call *call)
{
    struct log_frame *said = &effects_of(call)->said;

    if (said->loan_count > 0 || said->count > 1)
        append_frame(call, said);
    else
        append(call, slice_of(said->bytes, said->size));
    log_frame_clear(said);
}

/* What net has read, where that is still there; else nothing. */
static struct slice as_it_came(const struct call *call)
{
    if (call->in_transaction) return (struct slice){ 0 };
    if (call->parked) return call->parked->request.bytes;
    return call->session ? client_request(call->session->client) : (struct slice){ 0 };
}

static void append_as_sent(struct call *call)
{
    struct effects *effects = effects_of(call);
    struct log_frame *frame = call->frame ? call->frame : &effects->said;
    struct slice request = as_it_came(call);

    if (request.size > 0) {
        append(call, request);
        return;
    }
    if (log_frame_lend(frame, call->database, call->arguments, call->argument_count) < 0)
        fail_log(effects);
    else if (frame == &effects->said)
        append_said(call);
}

void effect_log(struct call *call, int rc, uint64_t changes)
{
    bool has_said = call->has_said;

    call->has_said = false;
    if (rc < 0 || rc == CALL_BLOCKED || call->reply->had_error) return;
    if (has_said) {
        if (!call->frame) append_said(call);
    } else if (call->command->effect != EFFECT_REWRITTEN &&
               keyspace_change_count(call->server->keyspace) != changes) {
        append_as_sent(call);
    }
    if (effects_of(call)->trimmed.is_said) effect_log_trimmed(call);
}

void effect_log_step(struct call *call)
{
    assert(!call->frame); /* a transaction is one step */
    if (call->has_said) append_said(call);
    call->has_said = false;
}

void effect_log_exec(struct call *exec, struct log_frame *frame)
{
    if (frame->count > 0 && effects_of(exec)->oplog) append_frame(exec, frame);
    log_frame_finish(frame);
}

/* ---- room -------------------------------------------------------------------------------------
 */

/* A move adds nothing in all. */
static bool adds(const struct call *call)
{
    const struct command *command = call->command;

    if (transaction_is_exec(call))
        return call->session->transaction->has_growing || call->session->transaction->has_spilling;
    return (command->flags & COMMAND_MAY_GROW) && !(command->key_flags & KEY_DELETE);
}

static void answer_refusal(struct call *call, int rc)
{
    const char *text = rc == -EMSGSIZE ? "ERR the command is longer than the log takes"
                                       : "MISCONF Errors writing to the AOF file: ";

    if (transaction_is_exec(call)) {
        transaction_abort_because(call, text, rc == -EMSGSIZE ? "" : strerror(-rc));
        return;
    }
    (void)call_errorf(call, "%s%s", text, rc == -EMSGSIZE ? "" : strerror(-rc));
}

/* What is in a transaction is looked at when it is executed. */
static bool reads_data(const struct call *call)
{
    return (call->command->flags & COMMAND_READONLY) || transaction_is_exec(call);
}

static bool reads_uncertain(const struct call *call)
{
    const struct oplog *oplog = effects_of(call)->oplog;

    return oplog && oplog_is_uncertain(oplog) && reads_data(call);
}

int effect_settle_reader(struct call *call)
{
    int rc;

    if (!reads_uncertain(call)) return 0;
    if (!call->server->replacing->has_attempt_failed) return -EAGAIN;
    rc = oplog_error(effects_of(call)->oplog);
    answer_refusal(call, rc);
    return rc == -EAGAIN ? -EIO : rc;
}

void effect_look_at_reader(struct call *call)
{
    if (call->session && reads_uncertain(call)) client_close(call->session->client);
}

static const char saves_fail[] =
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
    "disk. Commands that may modify the data set are disabled, because this instance is configured "
    "to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error "
    "option). Please check the Redis logs for details about the RDB error.";

static bool is_for_want_of_room(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

/* As in Redis, but where there is a log: it has what could not be saved. On a full disk what
 * removes goes on, as room would come from nowhere else. */
static bool is_refused_for_saves(struct call *call)
{
    const struct config *config = call->server->config;
    int rc = effects_of(call)->save_error;

    if (rc == 0 || !config->stop_writes_on_bgsave_error || config->save.count < 2) return false;
    if (!call_writes(call) || (is_for_want_of_room(rc) && !adds(call))) return false;
    if (transaction_is_exec(call))
        transaction_abort_because(call, saves_fail, "");
    else
        (void)call_error(call, saves_fail);
    return true;
}

bool effect_is_refused(struct call *call)
{
    const struct oplog *oplog = effects_of(call)->oplog;
    int rc;

    if (!oplog || effects_of(call)->is_trial) return is_refused_for_saves(call);
    if (!call_writes(call)) return false;
    rc = oplog_error(oplog);
    if (rc == 0 && adds(call)) rc = oplog_room_error(oplog);
    if (rc == 0) return false;
    answer_refusal(call, rc);
    return true;
}

/* Beside so many bytes of a call's own; what is longer than that can be no usual name of a key. */
static uint64_t spare_bytes(uint64_t bytes, uint64_t argument_count)
{
    return (bytes < NAME_BYTES ? bytes : NAME_BYTES) + argument_count * ARGUMENT_BYTES +
           REWRITE_BYTES;
}

static uint64_t bytes_of_exec(const struct transaction *transaction)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->commands[i];
        uint64_t own_bytes = 0;

        for (uint32_t k = 0; k < queued->argument_count; k++)
            own_bytes += queued->arguments[k].size;
        bytes += own_bytes + spare_bytes(own_bytes, queued->argument_count);
    }
    return bytes;
}

static uint64_t bytes_of(const struct call *call)
{
    uint64_t bytes = as_it_came(call).size;

    if (bytes == 0) {
        for (uint32_t i = 0; i < call->argument_count; i++)
            bytes += call->arguments[i].size;
    }
    return bytes + spare_bytes(bytes, call->argument_count);
}

/* Asks for more than the one call needs, so that those behind it need not ask. What adds does not
 * take the last bytes of a log that may have met a full disk: it waits until there are more. */
static int reserve_some(struct call *call, uint64_t bytes)
{
    struct effects *effects = effects_of(call);
    uint64_t wanted = bytes > GRANT_BYTES ? bytes : GRANT_BYTES;
    int rc = oplog_reserve(effects->oplog, wanted, adds(call));

    if (rc == -EAGAIN && wanted > bytes && !adds(call)) {
        wanted = bytes;
        rc = oplog_reserve(effects->oplog, wanted, false);
    }
    effects->granted_bytes = rc == 0 ? wanted - bytes : 0;
    return rc;
}

int effect_reserve(struct call *call)
{
    struct effects *effects = effects_of(call);
    uint64_t bytes;
    int rc;

    if (call->command->flags & COMMAND_WRITE) {
        bytes = bytes_of(call);
        if (bytes <= effects->granted_bytes) {
            effects->granted_bytes -= bytes;
            return 0;
        }
        rc = reserve_some(call, bytes);
    } else {
        if (!transaction_is_exec(call) || !call_writes(call)) return 0;
        rc = oplog_reserve(effects->oplog, bytes_of_exec(call->session->transaction), adds(call));
        effects->granted_bytes = 0; /* room that is asked for does not add up */
    }
    if (rc < 0 && rc != -EAGAIN && rc != -EMSGSIZE && effects->is_trial) {
        log_switching_give_up(call->server, rc);
        return 0;
    }
    if (rc < 0 && rc != -EAGAIN) answer_refusal(call, rc);
    return rc;
}

int effect_reserve_step(struct call *call)
{
    return effects_of(call)->oplog ? reserve_some(call, bytes_of(call)) : 0;
}

/* ---- the log and the net ----------------------------------------------------------------------
 */

static void tell_failure(struct server *server)
{
    struct effects *effects = server->effects;
    int rc = oplog_error(effects->oplog);

    if (rc == 0 || effects->failure_was_logged) return;
    effects->failure_was_logged = true;
    effects->has_moved = true; /* who waits for room in it is refused */
    log_write(server->log, LOG_WARNING,
              "The operation log cannot be written any more: %s. Writes are refused until another "
              "one has taken its place, reads go on; %s",
              strerror(-rc), "what was answered before is in the log, up to its appendfsync");
    net_close_held(server->net);
}

void effect_release(struct server *server, uint64_t ticket)
{
    struct effects *effects = server->effects;

    if (ticket == effects->released) return;
    effects->released = ticket;
    net_release(server->net, ticket);
}

static void refuse_for_saves(struct effects *effects)
{
    effects->is_refusing = effects->save_error != 0;
}

/* Whom a log that counts would refuse, the end of one on trial lets go. */
static void look_at_trial(struct server *server)
{
    const struct oplog *oplog = server->effects->oplog;
    int rc = oplog_error(oplog) ? oplog_error(oplog) : oplog_room_error(oplog);

    if (rc < 0)
        log_switching_give_up(server, rc);
    else
        effect_release(server, oplog_released(oplog));
}

static void look_at_log(struct server *server)
{
    struct effects *effects = server->effects;

    if (effects->is_trial) {
        look_at_trial(server);
        return;
    }
    effects->is_refusing = oplog_error(effects->oplog) || oplog_room_error(effects->oplog);
    spill_store_give_all(server->store, oplog_room_error(effects->oplog) != 0);
    tell_failure(server);
    effect_release(server, oplog_released(effects->oplog));
}

void effect_begin_log(struct server *server, bool is_trial)
{
    struct effects *effects = server->effects;

    effects->oplog = server->oplog;
    effects->is_trial = is_trial;
    effects->granted_bytes = 0;
    look_at_log(server);
}

void effect_end_log(struct server *server)
{
    struct effects *effects = server->effects;

    effects->oplog = NULL;
    effects->is_trial = false;
    effects->granted_bytes = 0;
    effects->has_lost = false;
    effects->has_moved = true; /* who waits for room in it goes on */
    log_frame_clear(&effects->said);
    refuse_for_saves(effects);
    spill_store_give_all(server->store, false);
}

void effect_save_ended(struct server *server, int error)
{
    struct effects *effects = server->effects;

    if (effects->oplog && !effects->is_trial) return;
    effects->save_error = error;
    refuse_for_saves(effects);
}

void effect_log_moved(void *context)
{
    struct server *server = context;

    server->effects->has_moved = true;
    if (server->checkpointing->resting_count > 0) parking_wake(server);
    if (server->effects->oplog) look_at_log(server);
}

/* What is computed while the log ends may rest on what goes to the device only now. */
static uint64_t flush_ending(struct server *server)
{
    uint64_t ticket;

    if (server->switching->step != LOG_ENDING) return 0;
    ticket = oplog_commit(server->oplog, loop_now_us(server->loop));
    if (ticket == OPLOG_LOST) server->effects->has_lost = true; /* it goes on, and has failed */
    return ticket;
}

uint64_t effect_flush(void *context)
{
    struct server *server = context;
    struct effects *effects = server->effects;
    uint64_t ticket;

    if (!effects->oplog) return flush_ending(server);
    if (effects->has_lost) net_close_held(server->net);
    effects->has_lost = false;
    if (server->is_stopping) (void)oplog_sync_now(effects->oplog); /* a failure is told below */
    ticket = oplog_commit(effects->oplog, loop_now_us(server->loop));
    effects->granted_bytes = 0;
    effects->has_lost = ticket == OPLOG_LOST && !effects->is_trial;
    look_at_log(server);
    return effects->oplog ? ticket : 0; /* a trial may have ended */
}

void effects_finish(struct effects *effects)
{
    log_frame_finish(&effects->said);
    log_frame_finish(&effects->unasked);
}
