/* waitaof.c - WAITAOF numlocal numreplicas timeout. Replicas there are none, so who asks for them
 * waits until the time is over. */
#include "server/commands/waitaof.h"

#include "modules/base/number.h"
#include "server/commands/handlers.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/durability/oplog.h"
#include "server/net/loop.h"

static const char without_log[] =
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

static bool is_synced(const struct call *call)
{
    const struct server *server = call->server;

    return server->oplog && call->session &&
           oplog_synced_frame_number(server->oplog) >= call->session->log_frame;
}

/* The arguments were checked when it began to wait. */
static int64_t wanted(const struct call *call, uint32_t index)
{
    int64_t count = 0;

    (void)number_parse_int64(call->arguments[index], &count);
    return count;
}

bool waitaof_is_met(const struct call *call)
{
    if (wanted(call, 1) > 0 && !call->server->oplog) return true;
    return (wanted(call, 1) == 0 || is_synced(call)) && wanted(call, 2) == 0;
}

void waitaof_answer(struct call *call)
{
    if (wanted(call, 1) > 0 && !call->server->oplog) { /* it has ended meanwhile */
        (void)call_error(call, without_log);
        return;
    }
    reply_array(call->reply, 2);
    reply_integer(call->reply, is_synced(call));
    reply_integer(call->reply, 0);
}

static bool parse_deadline(struct call *call, int64_t *out_deadline_us)
{
    int64_t timeout_ms, now_us = (int64_t)loop_now_us(call->server->loop);

    if (!number_parse_int64(call->arguments[3], &timeout_ms)) {
        (void)call_error(call, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (timeout_ms < 0) {
        (void)call_error(call, "ERR timeout is negative");
        return false;
    }
    if (timeout_ms > (INT64_MAX / 2 - now_us) / 1000) {
        (void)call_error(call, "ERR timeout is out of range");
        return false;
    }
    *out_deadline_us = timeout_ms ? now_us + timeout_ms * 1000 : -1;
    return true;
}

/* WAITAOF numlocal numreplicas timeout */
int waitaof_waitaof(struct call *call)
{
    int64_t local, replicas, deadline_us;

    if (!call_integer_between(call, 1, 0, 1, NULL, &local) ||
        !call_integer_between(call, 2, 0, INT64_MAX, "ERR value is out of range, must be positive",
                              &replicas) ||
        !parse_deadline(call, &deadline_us))
        return 0;
    if (local > 0 && !log_switching_counts(call->server)) return call_error(call, without_log);
    if (waitaof_is_met(call) || call->in_transaction) {
        waitaof_answer(call);
        return 0;
    }
    if (call->server->oplog) oplog_hurry(call->server->oplog);
    return parking_wait_for_sync(call, deadline_us);
}
