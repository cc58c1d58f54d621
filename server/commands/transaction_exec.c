/* transaction_exec.c - EXEC: the queued commands run one after the other, and nobody sees their
 * keys between.
 *
 *   what it names is in memory and small      at once, in the turn in which EXEC came
 *   else, and FLUSHALL, CONFIG and such       in a fiber, which holds the claims on all keys of all
 *                                             its commands (on everything, where they cannot be
 *                                             known) from before WATCH is checked until the end
 *
 * A command in the fiber waits for the disk and lets others go first as it would alone. Its time
 * stands still. A client that goes before anything was changed takes the rest with it; after that
 * the commands that write are run to the end, and those that only answer are left out. */
#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/call_keys.h"
#include "server/commands/dispatch.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/string_common.h"
#include "server/commands/transaction.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"
#include "server/observe/memory.h"
#include "server/types/list.h"
#include "server/types/stream.h"
#include "server/types/string.h"

enum { INLINE_COMMANDS = 1024, INLINE_BYTES = 1 << 20 };

/* True when a watched key expired since: nobody may have touched it, so nobody told. */
static bool has_expired_since(void *context, unsigned database, struct slice name, bool had_expired)
{
    struct keyspace *keyspace = context;

    (void)had_expired;
    /* Finding removes what has expired, and that tells the watchers. */
    (void)keyspace_find(keyspace, database, name);
    return false;
}

static bool watch_is_broken(struct call *call)
{
    struct watcher *watcher = &call->session->watcher;

    (void)watch_any(watcher, has_expired_since, call->server->keyspace);
    return watcher->is_dirty;
}

/* ---- at once, or in a fiber
 * ---------------------------------------------------------------------------------- */

/* LPUSH and LLEN take as long as what they are given, whatever the list holds; LPOP with a count,
 * and what Redis does not call fast, may walk all of it. */
static bool may_walk(const struct queued_command *queued)
{
    uint32_t flags = queued->command->flags;

    if (!(flags & COMMAND_FAST)) return true;
    return !(flags & COMMAND_SPILLS) && queued->argument_count > 2;
}

/* One of its commands may lend it, and a later one change it. */
static bool is_long_string(const struct value *value)
{
    return value->type->kind == VALUE_STRING && string_value_is_raw(value) &&
           string_value_size(value) > STRING_COPY_INLINE_BYTES;
}

/* False: it may have to be read from the disk, or goes there with what is added. */
static bool add_stream_bytes(const struct call *exec, const struct value *value, uint64_t *bytes)
{
    const struct stream *stream = stream_value_stream(value);
    struct stream_info info;

    stream_get_info(stream, &info);
    *bytes += info.memory_bytes + value->type->counted_bytes(value); /* of groups, too */
    return !stream_may_wait(exec->server->streams, stream, exec->session->transaction->bytes);
}

/* What it brings may make a stream that is not there yet so long that it goes to disk; when memory
 * is used up, any stream does. */
static bool may_make_long_stream(const struct call *exec, const struct queued_command *queued)
{
    const struct transaction *transaction = exec->session->transaction;
    const struct server *server = exec->server;

    return queued->command->handler == stream_xadd &&
           (memory_is_exhausted(server->memory, 0) ||
            stream_may_wait(server->streams, NULL, transaction->bytes));
}

/* Of the lists and streams that the names lead to: their bytes; UINT64_MAX: some of it may be on
 * disk, or there is a string so long that it is copied in slices. */
static uint64_t list_bytes(const struct call *exec, const struct call_names *names)
{
    struct keyspace *keyspace = exec->server->keyspace;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < names->count; i++) {
        const struct claim_name *name = &names->items[i];
        struct key *key = keyspace_find(keyspace, name->database, name->name);
        const struct spill_deque *deque;

        if (!key) continue;
        if (is_long_string(key_value(key))) return UINT64_MAX;
        if (key_value(key)->type->kind == VALUE_STREAM) {
            if (!add_stream_bytes(exec, key_value(key), &bytes)) return UINT64_MAX;
        }
        if (key_value(key)->type->kind != VALUE_LIST) continue;
        deque = list_deque(key_value(key));
        if (!spill_deque_is_resident(deque)) return UINT64_MAX;
        bytes += spill_deque_bytes(deque);
    }
    return bytes;
}

/* Nothing is evicted within a turn: what is in memory now stays there while EXEC runs at once. */
static bool needs_fiber(const struct call *exec)
{
    const struct transaction *transaction = exec->session->transaction;
    uint64_t walks = 0, bytes;
    struct call_names names;

    if (transaction->count > INLINE_COMMANDS) return true;
    /* While it runs at once nothing is evicted. */
    if (transaction->has_spilling && transaction->bytes > INLINE_BYTES) return true;
    if (call_names_collect(exec, &names) < 0) return true;
    bytes = list_bytes(exec, &names);
    call_names_finish(&names);
    if (bytes == UINT64_MAX) return true;
    if (transaction->has_spilling) bytes += transaction->bytes; /* which lists may grow by */
    for (uint32_t i = 0; i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->commands[i];

        /* Some of these wait: CONFIG REWRITE until its file is written. */
        if (queued->command->flags & COMMAND_ADMIN) return true;
        if (may_make_long_stream(exec, queued)) return true;
        if (may_walk(queued)) walks++;
    }
    return bytes > 0 && walks > LIST_INLINE_WALK_BYTES / bytes;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* Of a client that has gone, only what writes is still run. */
static bool is_left_out(const struct call *exec, const struct queued_command *queued)
{
    return !exec->session && !(queued->command->flags & COMMAND_WRITE);
}

/* 0, or -ECANCELED: the client has gone, and nothing was changed. */
static int run_one(struct call *exec, struct call *queued)
{
    struct server *server = exec->server;
    struct parked_call *fiber = parking_can_suspend(server->parking) ? exec->parked : NULL;
    int rc;

    if (!fiber) {
        (void)dispatch_run(queued);
        return 0;
    }
    fiber->inner = queued; /* before any wait: who goes meanwhile takes his reply with him */
    rc = queued->command->flags & COMMAND_SPILLS ? parking_wait_for_eviction(server) : 0;
    if (rc == 0 || fiber->must_finish) rc = dispatch_run(queued);
    fiber->inner = NULL;
    if (rc != -ECANCELED && (queued->command->flags & COMMAND_WRITE)) fiber->must_finish = true;
    rc = parking_breathe(server);
    return fiber->must_finish ? 0 : rc;
}

static void run_queued(struct call *exec, const struct transaction *transaction)
{
    unsigned database = exec->database;
    int rc = 0;

    reply_array(exec->reply, transaction->count);
    for (uint32_t i = 0; i < transaction->count && rc == 0; i++) {
        struct call queued = transaction_call(transaction, i, exec);

        queued.database = database;
        if (!is_left_out(exec, &transaction->commands[i])) rc = run_one(exec, &queued);
        transaction_follow_select(&queued, &database);
    }
}

static void run(struct call *exec)
{
    struct transaction *transaction = exec->session->transaction;
    struct server *server = exec->server;
    struct log_frame frame = { 0 };

    exec->frame = &frame;
    if (parking_can_suspend(server->parking))
        exec->parked->now_ms = keyspace_now(server->keyspace);
    else
        server->effects->exec = &frame;
    transaction->is_running = true;
    run_queued(exec, transaction);
    server->effects->exec = NULL;
    exec->frame = NULL;
    effect_log_exec(exec, &frame);
    if (exec->session) transaction_discard(exec->session);
    transaction_destroy(server, transaction);
}

/* EXEC */
int transaction_exec(struct call *call)
{
    struct session *session = call->session;
    struct server *server = call->server;

    if (!session) return -ECANCELED;
    if (!session->transaction) return call_error(call, "ERR EXEC without MULTI");
    if (session->transaction->must_abort) {
        transaction_discard(session);
        return call_error(call, "EXECABORT Transaction discarded because of previous errors.");
    }
    if (watch_is_broken(call)) {
        transaction_discard(session);
        reply_null_array(call->reply);
        return 0;
    }
    if (!parking_can_suspend(server->parking) && needs_fiber(call)) return -EAGAIN;
    watch_clear(server->watch, &session->watcher);
    run(call);
    return 0;
}
