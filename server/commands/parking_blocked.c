/* parking_blocked.c - clients in the queues of empty keys: who waits, who is served, who gives up.
 */
#include "server/commands/parking_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "server/commands/dispatch.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/commands/stream_sharing.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"

enum { SERVED_AT_ONCE = 16 }; /* before their answers are sent */

/* ---- blocked clients ---------------------------------------------------------------------------
 */

/* When it gives up, or looks again. */
static int64_t next_time_us(const struct parked_call *parked, const struct blocking *blocking)
{
    int64_t look_us = blocking->look_again_us;

    if (look_us < 0) return parked->deadline_us;
    return parked->deadline_us >= 0 && parked->deadline_us < look_us ? parked->deadline_us
                                                                     : look_us;
}

/* It looked at one of its keys only: what it knew of the others stays. */
static void look_earlier(struct server *server, struct parked_call *parked,
                         const struct blocking *blocking)
{
    int64_t time_us = next_time_us(parked, blocking);

    if (blocking->look_again_us >= 0 && time_us < parked->waiter.deadline_us)
        blocked_move_deadline(server->blocked, &parked->waiter, time_us);
}

int parking_block(struct call *call, const struct blocking *blocking)
{
    struct server *server = call->server;
    struct parked_call *parked;
    int rc;

    if (call->parked && call->parked->state == PARKED_BLOCKED) { /* still */
        look_earlier(server, call->parked, blocking);
        return CALL_BLOCKED;
    }
    if (!call->session) return -ECANCELED;
    if (!(call->parked && call->parked->has_deadline) &&
        call_names_exceed_memory(call, blocking->name_count))
        return -ENOMEM;
    parked = parking_form(call);
    if (!parked) return -ENOMEM;
    if (!parked->has_deadline) parked->deadline_us = blocking->deadline_us;
    parked->has_deadline = true;
    parked->waiter.client_id = parked->client_id;
    parked->waiter.database = call->database;
    parked->waiter.kind = blocking->kind;
    parked->waiter.minds_going = blocking->minds_going;
    parked->waiter.deadline_us = next_time_us(parked, blocking);
    parked->looks_again = blocking->look_again_us >= 0;
    rc = parking_keep(parked, blocking->kept);
    if (rc == 0)
        rc = blocked_add(server->blocked, &parked->waiter, blocking->names, blocking->name_count);
    if (rc < 0) {
        if (!call->parked) parking_finish(parked); /* else parking_settle() does */
        return rc;
    }
    parked->call.was_counted = true; /* by the run that ends here */
    client_set_idle_exempt(call->session->client, true);
    /* While it was parked for our sake, the end of its input did not matter yet; it will not be
     * told again. */
    if (call->parked) (void)client_has_vanished(call->session->client);
    parking_leave_running(server->parking, parked);
    parking_enqueue(server->parking, parked, PARKED_BLOCKED);
    return CALL_BLOCKED;
}

void parking_leave_queues(struct parked_call *parked)
{
    struct server *server = parked->call.server;

    blocked_remove(server->blocked, &parked->waiter);
    parking_dequeue(server->parking, parked);
    parked->call.served_key = (struct slice){ 0 };
    if (parked->call.session)
        client_set_idle_exempt(parked->call.session->client, parked->call.session->is_monitor);
}

/* Tries a blocked client's call again because name may have something for it. */
static void serve(struct parked_call *parked, struct slice name)
{
    struct server *server = parked->call.server;
    int rc;

    parked->call.served_key = name;
    if (parking_must_wait_for_claims(
            &parked->call)) { /* another of its keys is held: wait in line for both */
        parking_leave_queues(parked);
        if (parking_take_claims(&parked->call) == 1)
            parking_settle(parked, dispatch_run(&parked->call));
        return;
    }
    rc = dispatch_run(&parked->call);
    if (rc == CALL_BLOCKED) {
        parked->call.served_key = (struct slice){ 0 };
        return;
    }
    if (rc == CALL_STREAMING) { /* it has left the queues, and ends with its last piece */
        server->statistics->unblocked_clients++;
        return;
    }
    parking_leave_queues(parked);
    if (rc == -EAGAIN) {
        parking_run_in_fiber(&parked->call);
        return;
    }
    server->statistics->unblocked_clients++;
    parking_finish(parked);
}

/* Who was killed or has gone stays in line until it is closed. An element that it was given would
 * be lost, so who takes something is asked; what readers are given stays where it is. */
static bool is_there(const struct call *call)
{
    if (!call->session) return true;
    if (call->command->flags & COMMAND_READONLY) return !client_is_closing(call->session->client);
    return !client_has_vanished(call->session->client);
}

/* It holds what the waiter waits for, or does no more and the waiter minds that. */
static bool concerns(const struct key *key, const struct waiter *waiter)
{
    bool fits = key && key_value(key)->type->kind == waiter->kind;

    return fits || waiter->minds_going;
}

static void serve_key(struct server *server, unsigned database, struct slice name)
{
    struct waiter *waiter = blocked_first(server->blocked, database, name);
    unsigned served_count = 0;

    while (waiter) {
        struct waiter *next = blocked_next(server->blocked, waiter, database, name);
        struct parked_call *parked = waiter->owner;
        const struct key *key = keyspace_find(server->keyspace, database, name);

        if (claims_is_held(server->claims, database, name)) {
            blocked_hold_back(server->blocked); /* until a ticket is released */
            return;
        }
        if (concerns(key, waiter) && is_there(&parked->call)) {
            serve(parked, name);
            if (++served_count % SERVED_AT_ONCE == 0) net_flush(server->net);
        }
        waiter = next;
    }
}

void parking_serve_blocked(struct server *server)
{
    struct parking *parking = server->parking;
    unsigned database;
    struct slice name;

    /* A call that is served may end at once and come here again: the outer loop sees what it
     * signalled, and nobody else takes away the waiter that it holds on to. */
    if (parking->is_serving || blocked_waiter_count(server->blocked) == 0) return;
    parking->is_serving = true;
    /* The name stays good while its waiters go: nobody else asks for the next one meanwhile. */
    while (blocked_next_ready(server->blocked, &database, &name))
        serve_key(server, database, name);
    stream_sharing_end(server->sharing);
    parking->is_serving = false;
}

void parking_hasten(struct server *server, unsigned database, struct slice name)
{
    int64_t now_us = (int64_t)loop_now_us(server->loop);
    struct waiter *waiter;

    if (blocked_waiter_count(server->blocked) == 0) return;
    waiter = blocked_first(server->blocked, database, name);
    for (; waiter; waiter = blocked_next(server->blocked, waiter, database, name)) {
        const struct parked_call *parked = waiter->owner;

        if (parked->looks_again && waiter->deadline_us > now_us)
            blocked_move_deadline(server->blocked, waiter, now_us);
    }
}

void parking_look_again(struct parked_call *parked)
{
    parking_leave_queues(parked);
    parking_attempt(parked, false);
}

void parking_give_up(struct parked_call *parked, bool with_error)
{
    parking_leave_queues(parked);
    if (with_error)
        (void)call_error(&parked->call, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    else
        reply_null_array(parked->call.reply);
    dispatch_count_error(&parked->call);
    parking_finish(parked);
}

bool parking_unblock(struct server *server, struct session *session, bool with_error)
{
    struct parked_call *parked = session->parked;

    (void)server;
    if (parked && parked->state == PARKED_SYNCING) {
        parking_end_sync_wait(parked, with_error);
        return true;
    }
    if (!parked || parked->state != PARKED_BLOCKED) return false;
    parked->call.command->statistics->failed_calls++; /* in Redis it fails either way */
    parking_give_up(parked, with_error);
    return true;
}
