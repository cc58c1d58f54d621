#include "server/commands/transaction.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/number.h"
#include "server/commands/dispatch.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/table.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"
#include "server/net/client.h"
#include "server/observe/memory.h"

enum {
    SMALL_BYTES = 64 * 1024, /* of a transaction that does not strain memory */
    LIMIT_PART = 4,          /* of maxmemory: what one may hold */
    ALL_PART = 8,            /* and all together, but for the one that exceeds it */
};

/* ---- queueing -------------------------------------------------------------------------------- */

/* Of a folded one a little more. */
static size_t bytes_of(const struct call *call)
{
    size_t bytes = call->argument_count * sizeof(struct slice);

    if (!call->arguments) return bytes + call->parked->request.bytes.size;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        bytes += call->arguments[i].size;
    }
    return bytes;
}

static bool copy_into(struct queued_command *queued, const struct call *call, size_t bytes)
{
    uint8_t *at;

    queued->command = call->command;
    queued->argument_count = call->argument_count;
    queued->arguments = malloc(bytes);
    if (!queued->arguments) return false;
    at = (uint8_t *)(queued->arguments + call->argument_count);
    for (uint32_t i = 0; i < call->argument_count; i++) {
        struct slice from = call->arguments[i];

        if (from.size) memcpy(at, from.bytes, from.size);
        queued->arguments[i] = slice_of(at, from.size);
        at += from.size;
    }
    return true;
}

static bool has_room(struct transaction *transaction)
{
    uint32_t capacity = transaction->capacity ? transaction->capacity * 2 : 8;
    struct queued_command *commands;

    if (transaction->count < transaction->capacity) return true;
    commands = realloc(transaction->commands, capacity * sizeof(*commands));
    if (!commands) return false;
    transaction->commands = commands;
    transaction->capacity = capacity;
    return true;
}

/* A quarter of maxmemory for one; and when many of them use up what cannot be spilled, only small
 * ones may still grow. */
static bool is_too_large(const struct transaction *transaction, const struct memory *memory)
{
    if (transaction->bytes > memory_limit(memory) / LIMIT_PART) return true;
    return transaction->bytes > SMALL_BYTES && memory_is_exhausted(memory, 0);
}

static bool exceeds_all(const struct server *server, size_t bytes)
{
    return server->queued_bytes + bytes > memory_limit(server->memory) / ALL_PART;
}

bool transaction_must_wait(const struct call *call, bool is_behind)
{
    const struct server *server = call->server;
    const struct transaction *transaction = call->session->transaction;
    size_t bytes = bytes_of(call);

    if (transaction->bytes + bytes <= SMALL_BYTES || transaction == server->large_transaction)
        return false;
    if (is_too_large(transaction, server->memory)) return false; /* it is refused at once */
    if (is_behind) return true;
    return server->large_transaction && exceeds_all(server, bytes);
}

static void refuse(struct call *call, const char *text)
{
    (void)call_error(call, text);
    dispatch_rejected(call);
}

static void count(struct call *call, struct transaction *transaction, size_t bytes)
{
    struct server *server = call->server;

    if (exceeds_all(server, bytes) && transaction->bytes + bytes > SMALL_BYTES)
        server->large_transaction = transaction;
    transaction->count++;
    transaction->bytes += bytes + sizeof(struct queued_command);
    transaction->allocated_bytes += alloc_size(bytes);
    server->queued_bytes += bytes + sizeof(struct queued_command);
    memory_add_clients(server->memory, (int64_t)alloc_size(bytes));
}

void transaction_queue(struct call *call)
{
    struct transaction *transaction = call->session->transaction;
    size_t bytes = bytes_of(call);

    if (is_too_large(transaction, call->server->memory)) {
        refuse(call, "OOM the queued commands hold more than a quarter of 'maxmemory'");
        return;
    }
    if (transaction_must_wait(call, false)) {
        refuse(call, "OOM the queued commands of another client hold too much of 'maxmemory'");
        return;
    }
    if (!has_room(transaction) ||
        !copy_into(&transaction->commands[transaction->count], call, bytes)) {
        call_engine_error(call, -ENOMEM);
        dispatch_rejected(call);
        return;
    }
    count(call, transaction, bytes);
    transaction->flags |= call->command->flags;
    if (call->command->flags & COMMAND_SPILLS)
        transaction->has_spilling = true;
    else if (call->command->flags & COMMAND_MAY_GROW)
        transaction->has_growing = true;
    reply_simple(call->reply, SLICE_LITERAL("QUEUED"));
}

void transaction_spoil(struct session *session)
{
    if (session->transaction) session->transaction->must_abort = true;
}

void transaction_destroy(struct server *server, struct transaction *transaction)
{
    if (!transaction) return;
    for (uint32_t i = 0; i < transaction->count; i++) {
        free(transaction->commands[i].arguments);
    }
    memory_add_clients(server->memory, -(int64_t)transaction->allocated_bytes);
    server->queued_bytes -= transaction->bytes;
    if (server->large_transaction == transaction) server->large_transaction = NULL;
    free(transaction->commands);
    free(transaction);
}

void transaction_discard(struct session *session)
{
    struct transaction *transaction = session->transaction;

    session->transaction = NULL;
    /* An EXEC that is suspended goes on with it, and destroys it. */
    if (transaction && !transaction->is_running) transaction_destroy(session->server, transaction);
    watch_clear(session->server->watch, &session->watcher);
}

void transaction_abort_because(struct call *exec, const char *reason, const char *detail)
{
    transaction_discard(exec->session);
    (void)call_errorf(exec, "EXECABORT Transaction discarded because of: %s%s", reason, detail);
}

void transaction_abort(struct call *exec, const char *reason)
{
    transaction_abort_because(exec, reason, "");
}

/* ---- what others ask ----------------------------------------------------------------------------
 */

bool transaction_is_exec(const struct call *call)
{
    return call->command->handler == transaction_exec && call->session &&
           call->session->transaction;
}

struct call transaction_call(const struct transaction *transaction, uint32_t index,
                             const struct call *exec)
{
    const struct queued_command *queued = &transaction->commands[index];
    struct call call = *exec;

    call.command = queued->command;
    call.arguments = queued->arguments;
    call.argument_count = queued->argument_count;
    call.parked = NULL;
    call.in_transaction = true;
    return call;
}

void transaction_follow_select(const struct call *queued, unsigned *database)
{
    int64_t value;

    if (queued->command->handler != connection_select || queued->argument_count != 2) return;
    if (!number_parse_int64(queued->arguments[1], &value)) return;
    if (value >= 0 && value < (int64_t)keyspace_database_count(queued->server->keyspace))
        *database = (unsigned)value;
}

uint64_t transaction_bytes(const struct session *session)
{
    return session->transaction ? session->transaction->bytes : 0;
}

/* ---- the commands
 * ---------------------------------------------------------------------------------- */

/* MULTI */
int transaction_multi(struct call *call)
{
    if (call->session->transaction) return call_error(call, "ERR MULTI calls can not be nested");
    call->session->transaction = calloc(1, sizeof(struct transaction));
    if (!call->session->transaction) {
        /* What was sent behind it would be done one by one, and nobody asked for that. */
        client_close_after_reply(call->session->client);
        return -ENOMEM;
    }
    reply_ok(call->reply);
    return 0;
}

/* DISCARD */
int transaction_discard_command(struct call *call)
{
    if (!call->session->transaction) return call_error(call, "ERR DISCARD without MULTI");
    transaction_discard(call->session);
    reply_ok(call->reply);
    return 0;
}

/* WATCH key [key ...] */
int transaction_watch(struct call *call)
{
    struct keyspace *keyspace = call->server->keyspace;

    if (call->session->transaction)
        return call_error(call, "ERR WATCH inside MULTI is not allowed");
    if (call_names_exceed_memory(call, call->argument_count)) return -ENOMEM;
    for (uint32_t i = 1; i < call->argument_count; i++) {
        int rc;

        (void)keyspace_find(keyspace, call->database,
                            call->arguments[i]); /* drops an expired one */
        rc = watch_add(call->server->watch, &call->session->watcher, call->database,
                       call->arguments[i], false);
        if (rc < 0) return rc;
    }
    reply_ok(call->reply);
    return 0;
}

/* UNWATCH */
int transaction_unwatch(struct call *call)
{
    watch_clear(call->server->watch, &call->session->watcher);
    reply_ok(call->reply);
    return 0;
}
