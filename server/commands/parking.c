#include "server/commands/parking_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/commands/call_keys.h"
#include "server/commands/dispatch.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/transaction.h"
#include "server/net/client.h"

/* ---- parking and letting go ---------------------------------------------------------------- */

void parking_enqueue(struct parking *parking, struct parked_call *parked, enum parked_state state)
{
    parked->state = state;
    list_push_back(&parking->queues[state], &parked->link);
    parking->counts[state]++;
    parking_fold(parked, state);
}

void parking_dequeue(struct parking *parking, struct parked_call *parked)
{
    list_remove(&parked->link);
    parking->counts[parked->state]--;
    parked->state = PARKED_IDLE;
}

/* A call in a fiber that goes over into another state is no longer counted as running. */
void parking_leave_running(struct parking *parking, struct parked_call *parked)
{
    if (parked->state != PARKED_RUNNING) return;
    parking->counts[PARKED_RUNNING]--;
    parked->state = PARKED_IDLE;
}

/* Clients that wait for keys that something came into while they were held look again. Only these:
 * calls that wait for each other's other keys would wake each other for ever. */
void parking_release_ticket(struct parked_call *parked)
{
    struct server *server = parked->call.server;

    if (!parked->has_ticket) return;
    parked->has_ticket = false;
    claims_release(server->claims, &parked->ticket);
    blocked_resume(server->blocked);
}

bool parking_protects(const struct server *server, unsigned database, struct slice name)
{
    const struct parked_call *running = server->parking->running;
    const struct claim_ticket *holder = claims_holder(server->claims, database, name);

    if (running && running->now_ms && holder == &running->ticket) return false;
    return holder != NULL;
}

struct log_frame *parking_frame_holding(const struct parking *parking, unsigned database,
                                        struct slice name)
{
    const struct parked_call *running = parking->running;

    if (!running || !running->call.frame) return NULL;
    return claims_holder(parking->server->claims, database, name) == &running->ticket
               ? running->call.frame
               : NULL;
}

/* Asking for the reply tells net that there is output: what a call wrote in an earlier turn is
 * sent. */
void parking_announce_output(const struct parked_call *parked)
{
    if (parked->call.session) (void)client_reply(parked->call.session->client);
}

/* The call is over: its client goes on with what it sent meanwhile. */
void parking_finish(struct parked_call *parked)
{
    struct session *session = parked->call.session;

    parking_release_ticket(parked);
    if (session) {
        parking_announce_output(parked);
        session->parked = NULL;
        client_unpark(session->client);
    }
    parking_free_form(parked);
}

/* ---- its turn ----------------------------------------------------------------------------------
 */

/* What follows from the result of a parked call's handler. */
void parking_settle(struct parked_call *parked, int rc)
{
    struct server *server = parked->call.server;

    if (rc == -EAGAIN) {
        parking_run_in_fiber(&parked->call);
        return;
    }
    if (rc == CALL_BLOCKED || rc == CALL_STREAMING)
        parking_release_ticket(parked);
    else
        parking_finish(parked);
    parking_serve_blocked(server);
}

void parking_run_in_fiber(struct call *call)
{
    struct call_names names;
    struct parked_call *parked;

    if (!call->parked || !call->parked->has_ticket) {
        if (call_names_collect(call, &names) == 0 && names.count == 0) {
            if (!parking_form_taking(call)) { /* it names no key: nothing to hold */
                parking_answer_refusal(call, -ENOMEM);
                return;
            }
        } else if (parking_take_claims(call) <= 0) {
            call_names_finish(&names);
            return;
        }
        call_names_finish(&names);
    }
    parked = call->parked ? call->parked : call->session->parked;
    parking_start_fiber(parked);
}

/* Of a client that is being closed nothing is run any more: what it would take out would be lost.
 * Who was blocked is asked for once more, as for who is: the end of its input is its end. */
static bool has_gone(const struct parked_call *parked)
{
    struct client *client = parked->call.session->client;

    return parked->has_deadline ? client_has_vanished(client) : client_is_closing(client);
}

/* Its turn has come. */
void parking_attempt(struct parked_call *parked, bool is_first)
{
    if (has_gone(parked)) {
        parking_finish(parked);
        return;
    }
    if (!parking_unfold(parked)) {
        parking_answer_refusal(&parked->call, -ENOMEM);
        parking_finish(parked);
        return;
    }
    if (transaction_takes(&parked->call)) { /* a pause held it back, or others' transactions */
        if (parking_before_queueing(&parked->call)) return;
        transaction_queue(&parked->call);
        parking_finish(parked);
        return;
    }
    if (parking_must_wait(&parked->call, is_first)) return;
    parking_settle(parked, dispatch_run(&parked->call));
}

/* ---- streamed replies
 * ---------------------------------------------------------------------------- */

int parking_stream(struct call *call, struct parked_call **out_parked)
{
    struct parking *parking = call->server->parking;
    struct parked_call *parked;

    if (!call->session) return -ECANCELED;
    parked = parking_form(call);
    if (!parked) return -ENOMEM;
    parking_leave_running(parking, parked);
    if (parked->state == PARKED_BLOCKED) parking_leave_queues(parked); /* it is being served */
    parking_enqueue(parking, parked, PARKED_STREAMING);
    *out_parked = parked;
    return CALL_STREAMING;
}

void parking_stream_end(struct parked_call *parked)
{
    parking_dequeue(parked->call.server->parking, parked);
    parking_finish(parked);
}

void parking_stream_wait(struct parked_call *parked)
{
    parked->waits_for_disk = true;
}

void parking_wake_streams(struct parking *parking)
{
    list_for_each(link, &parking->queues[PARKED_STREAMING])
    {
        struct parked_call *parked = list_container(link, struct parked_call, link);

        if (!parked->waits_for_disk) continue;
        parked->waits_for_disk = false;
        if (parked->call.session) client_producer_ready(parked->call.session->client);
    }
}

/* ---- clients that go
 * -------------------------------------------------------------------------------- */

void parking_forget(struct session *session)
{
    struct parked_call *parked = session->parked;
    struct parking *parking = session->server->parking;

    if (!parked) return;
    session->parked = NULL;
    parked->call.session = NULL;
    chain_init(&parking->no_output, chain_pool(parked->call.reply->chain));
    parked->no_reply = parking->no_reply; /* its own: what it answers tells what it did */
    parked->call.reply = &parked->no_reply;
    parking->has_let_go = true;
    if (parked->state == PARKED_RUNNING) {
        parked->is_canceled = true;
        if (parked->inner) {
            parked->inner->session = NULL;
            parked->inner->reply = &parked->no_reply;
        }
        parking->disk_answered = true; /* so that it is resumed, and sees it */
        return;
    }
    if (parked->state == PARKED_STREAMING) return; /* its producer's destroy ends it */
    if (parked->state == PARKED_BLOCKED) blocked_remove(session->server->blocked, &parked->waiter);
    parking_dequeue(parking, parked);
    parking_finish(parked);
}

/* ---- life
 * --------------------------------------------------------------------------------------------- */

int parking_create(struct server *server, struct parking **out_parking)
{
    struct parking *parking = calloc(1, sizeof(*parking));

    if (!parking) return -ENOMEM;
    parking->server = server;
    for (int i = 0; i < PARKED_STATE_COUNT; i++) {
        list_init(&parking->queues[i]);
    }
    list_init(&parking->between_slices);
    list_init(&parking->for_eviction);
    parking->no_reply.is_muted = true;
    parking->no_reply.protocol = 2;
    parking->no_reply.chain = &parking->no_output;
    *out_parking = parking;
    return 0;
}

void parking_destroy(struct parking *parking)
{
    if (!parking) return;
    /* The clients are gone, so all that is left are canceled calls: they end at their next wait. */
    parking->is_ending = true;
    while (parking->counts[PARKED_RUNNING] > 0) {
        (void)parking_resume_all(parking, &parking->queues[PARKED_RUNNING], UINT64_MAX);
        (void)parking_resume_all(parking, &parking->between_slices, UINT64_MAX);
        (void)parking_resume_all(parking, &parking->for_eviction, UINT64_MAX);
        parking_run_granted(parking->server);
    }
    for (int i = 0; i < PARKED_STATE_COUNT; i++) {
        assert(parking->counts[i] == 0 && list_is_empty(&parking->queues[i]));
    }
    assert(parking->bytes == 0 && parking->kept_bytes == 0);
    free(parking);
}

uint64_t parking_count(const struct parking *parking, enum parked_state state)
{
    return parking->counts[state];
}

uint64_t parking_memory_bytes(const struct parking *parking)
{
    return parking->bytes + parking->kept_bytes;
}
