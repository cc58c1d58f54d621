#include "server/commands/dispatch.h"

#include <errno.h>
#include <stdio.h>

#include "modules/base/log.h"
#include "modules/spill/store.h"
#include "server/commands/call_keys.h"
#include "server/commands/effect.h"
#include "server/commands/handlers.h"
#include "server/commands/importing.h"
#include "server/commands/monitor.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/slow.h"
#include "server/commands/statistics.h"
#include "server/commands/table.h"
#include "server/commands/transaction.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/observe/memory.h"

enum { UNKNOWN_ARGUMENT_BYTES = 128 };

struct session *session_of(struct client *client)
{
    return client_session(client);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void count_error(struct server *server, struct reply *reply)
{
    if (!reply->had_error) return;
    statistics_count_error(server->statistics, reply->error_code);
    reply->had_error = false;
}

void dispatch_count_error(struct call *call)
{
    count_error(call->server, call->reply);
}

void dispatch_protocol_error(void *context, struct client *client)
{
    count_error(context, client_reply(client));
}

void dispatch_rejected(struct call *call)
{
    if (call->command) call->command->statistics->rejected_calls++;
    dispatch_count_error(call);
    if (call->session) transaction_spoil(call->session);
}

/* A web page can make a browser send a request here, and its body would be commands: nothing of it
 * is run. As Redis tells it: by the method, or by the header that every request has. */
static bool is_web_request(const struct call *call)
{
    return slice_is(call->arguments[0], "POST") || slice_is(call->arguments[0], "Host:");
}

static void close_web_request(struct call *call)
{
    enum { QUIET_US = 60 * 1000000 };
    struct server *server = call->server;
    uint64_t now_us = loop_now_us(server->loop);

    client_close_after_reply(call->session->client);
    if (server->attack_logged_us && now_us - server->attack_logged_us < QUIET_US) return;
    server->attack_logged_us = now_us;
    log_write(server->log, LOG_WARNING,
              "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: "
              "commands to this server, perhaps by Cross Protocol Scripting from a web page. The "
              "connection from %s was closed.",
              client_peer_text(call->session->client));
}

static void answer_unknown(struct call *call)
{
    char text[2 * UNKNOWN_ARGUMENT_BYTES + 64];
    struct slice name = call->arguments[0];
    int used = 0, room = UNKNOWN_ARGUMENT_BYTES;

    text[0] = '\0';
    for (uint32_t i = 1; i < call->argument_count && used < room; i++) {
        struct slice argument = call->arguments[i];
        int shown = argument.size < (size_t)(room - used) ? (int)argument.size : room - used;

        used += snprintf(text + used, sizeof(text) - (size_t)used, "'%.*s' ", shown,
                         (const char *)argument.bytes);
    }
    (void)call_errorf(call, "ERR unknown command '%.*s', with args beginning with: %s",
                      (int)(name.size < 128 ? name.size : 128), (const char *)name.bytes, text);
}

const struct command *dispatch_resolve(struct call *call)
{
    struct command *command = command_find(call->server->table, call->arguments[0]);

    call->command = command;
    if (!command && is_web_request(call)) {
        close_web_request(call);
        return NULL;
    }
    if (!command) {
        answer_unknown(call);
        return NULL;
    }
    if (command->child_count > 0 && call->argument_count > 1) {
        const struct command *child = command_child(command, call->arguments[1]);

        if (!child) {
            (void)call_unknown_subcommand(call);
            call->command = NULL; /* nobody's statistics */
            return NULL;
        }
        call->command = child;
    }
    if (!command_takes(call->command, call->argument_count)) {
        if (call->command->handler == transaction_exec)
            transaction_abort(call, "wrong number of arguments for 'exec' command");
        else
            (void)call_wrong_arity(call);
        return NULL;
    }
    return call->command;
}

/* Until an import at the start has ended, only its own client is served. */
static bool is_loading(const struct call *call)
{
    const struct server *server = call->server;

    if (server->loading) return true;
    return (server->import_path || server->importing) && !call->session->is_import &&
           importing_is_at_start(server);
}

/* What a call brings, if that is much: the limit is not to be exceeded by one value. What a key and
 * its value take beside their bytes is shared out among the arguments. */
static uint64_t large_bytes(const struct call *call)
{
    enum { LARGE_BYTES = 256 * 1024, ARGUMENT_BYTES = 32 };
    const struct transaction *transaction = call->session->transaction;
    uint64_t bytes = client_request(call->session->client).size +
                     (uint64_t)call->argument_count * ARGUMENT_BYTES;

    if (transaction_is_exec(call) && !transaction->has_spilling) bytes = transaction->bytes;
    return bytes >= LARGE_BYTES ? bytes : 0;
}

/* True when the state of server and client lets it run; else the reason was answered. */
static bool is_allowed(struct call *call)
{
    const struct session *session = call->session;
    bool is_exec = transaction_is_exec(call);

    if (!session->is_authenticated && !(call->command->flags & COMMAND_NO_AUTH)) {
        (void)call_error(call, "NOAUTH Authentication required.");
        return false;
    }
    if (!(call->command->flags & COMMAND_LOADING) && is_loading(call)) {
        (void)call_error(call, "LOADING Redis is loading the dataset in memory");
        return false;
    }
    if (call->server->effects->is_refusing && effect_is_refused(call)) return false;
    if (!call_may_grow(call)) return true;
    if (memory_is_exhausted(call->server->memory, large_bytes(call))) {
        if (is_exec)
            transaction_abort(call, CALL_OUT_OF_MEMORY);
        else
            (void)call_error(call, CALL_OUT_OF_MEMORY);
        return false;
    }
    return true;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* A call that blocks is one call, when it blocks; how long it took, when it was served. */
static void count_call(struct call *call, uint64_t ticks, bool was_counted, bool is_blocked)
{
    struct server *server = call->server;
    struct command_statistics *command = call->command->statistics;

    if (!was_counted) {
        server->statistics->commands_processed++;
        command->calls++;
    }
    command->ticks += ticks;
    command->failed_calls += call->reply->had_error;
    if (!is_blocked) statistics_count_latency(server->statistics, command, ticks);
    dispatch_count_error(call);
    if (ticks >= server->statistics->slow_ticks) slow_call(call, ticks);
}

static uint64_t started_at(const struct call *call)
{
    const struct statistics *statistics = call->server->statistics;

    if (statistics->ended_session == call->session && !call->parked && call->session)
        return statistics->ended_at;
    return clock_ticks(&statistics->ticks);
}

static uint64_t ended_at(const struct call *call)
{
    struct statistics *statistics = call->server->statistics;

    statistics->ended_at = clock_ticks(&statistics->ticks);
    statistics->ended_session = call->session;
    return statistics->ended_at;
}

int dispatch_run(struct call *call)
{
    struct statistics *statistics = call->server->statistics;
    uint64_t begin = started_at(call), away = parking_away_ticks(call);
    uint64_t hits = statistics->keyspace_hits, misses = statistics->keyspace_misses;
    uint64_t changes = keyspace_change_count(call->server->keyspace);
    bool was_counted = call->was_counted;
    int rc;

    if (!call->was_shown) monitors_show(call);
    call->reply->had_error = false;
    rc = call->command->handler(call);
    if (rc == -EAGAIN && !call->in_transaction) {
        if (parking_away_ticks(call) != away) return rc; /* others have counted, too */
        statistics->keyspace_hits = hits;
        statistics->keyspace_misses = misses;
        return rc;
    }
    if ((call->command->flags & COMMAND_WRITE) && call->server->effects->oplog)
        effect_log(call, rc, changes);
    if (call->server->effects->is_refusing) effect_look_at_reader(call);
    if (rc < 0) call_engine_error(call, rc);
    if (rc == CALL_BLOCKED && call->served_key.bytes) return rc; /* counted when it first ran */
    count_call(call, ended_at(call) - begin - (parking_away_ticks(call) - away), was_counted,
               rc == CALL_BLOCKED);
    return rc;
}

/* Runs a request, or parks it until it may run. */
static void start(struct call *call)
{
    int rc;

    if (parking_before(call)) return;
    rc = dispatch_run(call);
    if (rc == -EAGAIN) parking_run_in_fiber(call);
    parking_serve_blocked(call->server);
}

static void apply_reply_mode(struct session *session, struct reply *reply)
{
    reply->is_muted = session->reply_mode != SESSION_REPLY_ON || session->skip_next;
    session->skip_next = false;
}

void dispatch_request(void *context, struct client *client, struct slice *arguments,
                      uint32_t argument_count)
{
    struct server *server = context;
    struct session *session = session_of(client);
    struct call call = {
        .server = server,
        .session = session,
        .arguments = arguments,
        .argument_count = argument_count,
        .database = session->database,
        .reply = client_reply(client),
    };

    if (argument_count == 0) return;
    if (!server->statistics->ended_session) /* the first one of a turn, or nearly so */
        keyspace_set_now(server->keyspace, loop_now_ms(server->loop));
    if (session->reply_mode != SESSION_REPLY_ON || session->skip_next || call.reply->is_muted)
        apply_reply_mode(session, call.reply);
    session->commands_processed++;
    if (!dispatch_resolve(&call) || !is_allowed(&call)) {
        dispatch_rejected(&call);
        return;
    }
    session->last_command = call.command;
    if (transaction_takes(&call)) {
        if (call.command->flags & COMMAND_NO_MULTI) {
            (void)call_error(&call, "ERR Command not allowed inside a transaction");
            dispatch_rejected(&call);
            return;
        }
        if (!parking_before_queueing(&call)) transaction_queue(&call);
        return;
    }
    start(&call);
}
