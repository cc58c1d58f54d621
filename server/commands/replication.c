/* replication.c - ROLE WAIT REPLICAOF SLAVEOF: what a server answers that has neither a master nor
 * replicas. */
#include "modules/base/number.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"

/* ROLE */
int replication_role(struct call *call)
{
    reply_array(call->reply, 3);
    reply_bulk_string(call->reply, "master");
    reply_integer(call->reply, 0);
    reply_array(call->reply, 0);
    return 0;
}

/* WAIT numreplicas timeout: Redis waits for replicas until timeout. None can ever come here, so the
 * answer is known at once. */
int replication_wait(struct call *call)
{
    int64_t replica_count, timeout_ms;

    if (!call_integer(call, 1, &replica_count)) return 0;
    if (!number_parse_int64(call->arguments[2], &timeout_ms))
        return call_error(call, "ERR timeout is not an integer or out of range");
    if (timeout_ms < 0) return call_error(call, "ERR timeout is negative");
    reply_integer(call->reply, 0);
    return 0;
}

/* REPLICAOF NO ONE, SLAVEOF NO ONE; and host and port, which is refused. */
int replication_replicaof(struct call *call)
{
    if (slice_is(call->arguments[1], "NO") && slice_is(call->arguments[2], "ONE")) {
        reply_ok(call->reply);
        return 0;
    }
    return call_error(call, "ERR This server replicates no other server, nor can it be replicated");
}
