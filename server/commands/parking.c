#include "server/commands/parking.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/io/fiber.h"
#include "modules/io/io.h"
#include "modules/spill/store.h"
#include "server/commands/call_keys.h"
#include "server/commands/dispatch.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include "server/observe/memory.h"

/* A suspended call's fiber goes on from parking_run, never from inside a completion: so the state
 * that a handler sees after a wait changes only between commands, as on any turn of the loop. */

/* Of maxmemory: what all parked calls may hold together. A call that would exceed it is refused. */
enum { PARKED_SHARE = 4 };

struct parking {
    struct server *server;
    struct list_link queues[PARKED_STATE_COUNT];
    uint64_t counts[PARKED_STATE_COUNT];
    struct list_link between_slices; /* RUNNING calls that let others go first */
    struct parked_call *running;     /* whose fiber is executing */
    struct reply no_reply;           /* where calls write whose client has gone */
    uint64_t slice_started_us;
    uint64_t bytes;
    bool disk_answered; /* a read ended since suspended calls were last resumed */
    bool has_let_go;    /* a client went: what it held may be somebody's turn */
    bool is_serving;    /* parking_serve_blocked goes on: its caller's inner calls need not */
};

/* ---- parking and letting go ---------------------------------------------------------------- */

static void enqueue(struct parking *parking, struct parked_call *parked, enum parked_state state)
{
    parked->state = state;
    list_push_back(&parking->queues[state], &parked->link);
    parking->counts[state]++;
    /* Producers are slowed down by not reading further ones. */
    if (state == PARKED_THROTTLED) net_hold_input(parking->server->net, (int64_t)parked->bytes);
}

static void dequeue(struct parking *parking, struct parked_call *parked)
{
    list_remove(&parked->link);
    parking->counts[parked->state]--;
    if (parked->state == PARKED_THROTTLED)
        net_hold_input(parking->server->net, -(int64_t)parked->bytes);
    parked->state = PARKED_IDLE;
}

/* A call in a fiber that goes over into another state is no longer counted as running. */
static void leave_running(struct parking *parking, struct parked_call *parked)
{
    if (parked->state != PARKED_RUNNING) return;
    parking->counts[PARKED_RUNNING]--;
    parked->state = PARKED_IDLE;
}

static size_t argument_bytes(const struct call *call)
{
    size_t bytes = call->argument_count * sizeof(struct slice);

    for (uint32_t i = 0; i < call->argument_count; i++) {
        bytes += call->arguments[i].size;
    }
    return bytes;
}

static void copy_arguments(struct parked_call *parked, const struct call *call)
{
    struct slice *slices = (struct slice *)(void *)(parked + 1);
    uint8_t *bytes = (uint8_t *)(slices + call->argument_count);

    for (uint32_t i = 0; i < call->argument_count; i++) {
        struct slice from = call->arguments[i];

        if (from.size) memcpy(bytes, from.bytes, from.size);
        slices[i] = slice_of(bytes, from.size);
        bytes += from.size;
    }
    parked->call.arguments = slices;
}

/* One call always has room, and a producer, which is never refused for what others wait with: net
 * reads no more of them instead. */
static bool has_room(const struct parking *parking, const struct call *call, size_t bytes)
{
    return parking->bytes == 0 || call_spills(call) ||
           parking->bytes + bytes <= memory_limit(parking->server->memory) / PARKED_SHARE;
}

/* The parked form of a call: its own when it was parked before, else a new one. NULL: no memory. */
static struct parked_call *parked_form(struct call *call)
{
    struct parking *parking = call->server->parking;
    struct parked_call *parked = call->parked;
    size_t bytes = sizeof(*parked) + argument_bytes(call);

    if (parked) return parked;
    parked = has_room(parking, call, bytes) ? malloc(bytes) : NULL;
    if (!parked) return NULL;
    *parked = (struct parked_call){ .call = *call, .client_id = call->session->id, .bytes = bytes };
    copy_arguments(parked, call);
    parked->call.parked = parked;
    list_init(&parked->link);
    parked->ticket.owner = parked;
    parked->waiter.owner = parked;
    parking->bytes += bytes;
    call->session->parked = parked;
    client_park(call->session->client);
    return parked;
}

/* Clients that wait for keys it held look again. */
static void release_ticket(struct parked_call *parked)
{
    struct server *server = parked->call.server;
    struct call_names names;

    if (!parked->has_ticket) return;
    parked->has_ticket = false;
    claims_release(server->claims, &parked->ticket);
    if (blocked_waiter_count(server->blocked) == 0) return;
    if (call_names_collect(&parked->call, &names) < 0) return; /* it asked for everything */
    for (uint32_t i = 0; i < names.count; i++) {
        blocked_signal(server->blocked, names.items[i].database, names.items[i].name);
    }
    call_names_finish(&names);
}

/* Asking for the reply tells net that there is output: what a call wrote in an earlier turn is
 * sent. */
static void announce_output(const struct parked_call *parked)
{
    if (parked->call.session) (void)client_reply(parked->call.session->client);
}

/* The call is over: its client goes on with what it sent meanwhile. */
static void finish(struct parked_call *parked)
{
    struct parking *parking = parked->call.server->parking;
    struct session *session = parked->call.session;

    release_ticket(parked);
    parking->bytes -= parked->bytes;
    if (session) {
        announce_output(parked);
        session->parked = NULL;
        client_unpark(session->client);
    }
    free(parked);
}

/* ---- fibers -------------------------------------------------------------------------------- */

static void fiber_body(void *argument)
{
    struct parked_call *parked = argument;

    parked->fiber = fiber_current(parked->call.server->fibers);
    parked->rc = dispatch_run(&parked->call);
    parked->is_done = true;
}

static void settle(struct parked_call *parked, int rc);

static void begin_slice(struct parking *parking, struct parked_call *parked)
{
    parking->running = parked;
    parking->slice_started_us = clock_monotonic_us();
}

static void after_slice(struct parking *parking, struct parked_call *parked)
{
    parking->running = NULL;
    announce_output(parked);
    if (!parked->is_done) return; /* it suspended itself, and is in a queue */
    leave_running(parking, parked);
    settle(parked, parked->rc);
}

/* False: all fibers are in use. */
static bool enter_fiber(struct parked_call *parked)
{
    struct server *server = parked->call.server;
    struct parking *parking = server->parking;
    int rc;

    parked->state = PARKED_RUNNING;
    parked->is_done = false;
    parking->counts[PARKED_RUNNING]++;
    begin_slice(parking, parked);
    rc = fiber_start(server->fibers, fiber_body, parked);
    if (rc < 0) {
        parking->running = NULL;
        leave_running(parking, parked);
        if (rc == -EAGAIN) return false;
        call_engine_error(&parked->call, rc);
        finish(parked);
        return true;
    }
    server->statistics->parked_commands++;
    after_slice(parking, parked);
    return true;
}

static void start_fiber(struct parked_call *parked)
{
    struct parking *parking = parked->call.server->parking;

    /* Those that wait for a fiber already come first. */
    if (parking->counts[PARKED_NO_FIBER] > 0 || !enter_fiber(parked))
        enqueue(parking, parked, PARKED_NO_FIBER);
}

/* Suspends the running call into queue; returns when parking_run resumes it. */
static int suspend_running(struct parking *parking, struct list_link *queue)
{
    struct parked_call *parked = parking->running;
    const struct ticks *ticks = &parking->server->statistics->ticks;

    if (parked->is_canceled) return -ECANCELED;
    list_push_back(queue, &parked->link);
    parked->left_ticks = clock_ticks(ticks);
    fiber_suspend(parking->server->fibers);
    parked->away_ticks += clock_ticks(ticks) - parked->left_ticks;
    return parked->is_canceled ? -ECANCELED : 0;
}

static void resume(struct parking *parking, struct parked_call *parked)
{
    begin_slice(parking, parked);
    fiber_resume(parking->server->fibers, parked->fiber);
    after_slice(parking, parked);
}

bool parking_can_suspend(const struct parking *parking)
{
    return parking->running && !parking->server->must_not_suspend;
}

uint64_t parking_away_ticks(const struct call *call)
{
    return call->parked ? call->parked->away_ticks : 0;
}

/* ---- spill's hooks --------------------------------------------------------------------------- */

static int wait_for_disk(void *context)
{
    struct server *server = context;

    if (server->must_not_suspend) {
        server->sync_reads++;
        (void)io_wait(server->io);
        return 0;
    }
    if (!server->parking->running) return -EAGAIN;
    return suspend_running(server->parking, &server->parking->queues[PARKED_RUNNING]);
}

static uint64_t slice_us(const struct parking *parking)
{
    return (uint64_t)parking->server->config->slice_us;
}

static int pause_between_slices(void *context)
{
    struct server *server = context;
    struct parking *parking = server->parking;

    if (!parking_can_suspend(parking)) return 0;
    if (parking->running->is_canceled) return -ECANCELED;
    if (clock_monotonic_us() - parking->slice_started_us < slice_us(parking)) return 0;
    server->statistics->slices++;
    return suspend_running(parking, &parking->between_slices);
}

int parking_breathe(struct server *server)
{
    return pause_between_slices(server);
}

static void disk_answered(void *context)
{
    struct server *server = context;

    server->parking->disk_answered = true;
}

struct spill_hooks parking_hooks(struct server *server)
{
    return (struct spill_hooks){
        .wait = wait_for_disk,
        .pause = pause_between_slices,
        .on_ready = disk_answered,
        .context = server,
    };
}

/* ---- before a call runs ------------------------------------------------------------------------
 */

static bool must_wait_for_pause(const struct call *call)
{
    const struct server *server = call->server;

    if (server->paused_until_ms == 0 || loop_now_ms(server->loop) >= server->paused_until_ms)
        return false;
    if (call->command->flags & COMMAND_ADMIN) return false;
    return !server->pause_is_for_writes_only || call_writes(call);
}

/* Producers stop here when eviction cannot keep pace; first come, first served. */
static bool must_wait_for_room(const struct call *call, bool is_first)
{
    const struct server *server = call->server;

    if (!call_spills(call)) return false;
    /* Whose turn has come on its keys holds them: it must not keep those waiting who take away. */
    if (call->parked && call->parked->has_ticket) return false;
    if (!is_first && server->parking->counts[PARKED_THROTTLED] > 0) return true;
    return spill_store_pressure(server->store) == SPILL_SLOW;
}

/* 1: the claims are this call's; 0: it was parked until they are; negative: answered. */
static int take_claims(struct call *call)
{
    struct call_names names;
    struct parked_call *parked;
    int rc, wants_all = call_names_collect(call, &names) < 0;

    parked = parked_form(call);
    if (!parked) {
        call_names_finish(&names);
        call_engine_error(call, -ENOMEM);
        return -ENOMEM;
    }
    if (wants_all)
        rc = claims_request_all(call->server->claims, &parked->ticket);
    else
        rc = claims_request(call->server->claims, &parked->ticket, names.items, names.count);
    call_names_finish(&names);
    if (rc < 0) {
        call_engine_error(call, rc);
        finish(parked);
        return rc;
    }
    parked->has_ticket = true;
    if (rc == 1) return 1;
    call->server->statistics->queued_commands++;
    enqueue(call->server->parking, parked, PARKED_QUEUED);
    return 0;
}

static bool must_wait_for_claims(const struct call *call)
{
    struct call_names names;
    bool waits;

    if (claims_count(call->server->claims) == 0) return false;
    if (call->parked && call->parked->has_ticket) return false;
    if (call_names_collect(call, &names) < 0) return claims_all_would_wait(call->server->claims);
    waits = names.count > 0 && claims_would_wait(call->server->claims, names.items, names.count);
    call_names_finish(&names);
    return waits;
}

static bool wait_in(struct call *call, enum parked_state state)
{
    struct parked_call *parked = parked_form(call);

    if (parked) {
        release_ticket(parked); /* others need not wait for what is not going on */
        enqueue(call->server->parking, parked, state);
    } else {
        call_engine_error(call, -ENOMEM);
    }
    return true;
}

static bool before(struct call *call, bool is_first)
{
    if (must_wait_for_pause(call)) return wait_in(call, PARKED_PAUSED);
    if (must_wait_for_room(call, is_first)) {
        call->server->statistics->throttled_commands++;
        return wait_in(call, PARKED_THROTTLED);
    }
    if (must_wait_for_claims(call)) return take_claims(call) <= 0;
    return false;
}

bool parking_before(struct call *call)
{
    return before(call, false);
}

/* What follows from the result of a parked call's handler. */
static void settle(struct parked_call *parked, int rc)
{
    struct server *server = parked->call.server;

    if (rc == -EAGAIN) {
        parking_run_in_fiber(&parked->call);
        return;
    }
    if (rc == CALL_BLOCKED || rc == CALL_STREAMING)
        release_ticket(parked);
    else
        finish(parked);
    parking_serve_blocked(server);
}

void parking_run_in_fiber(struct call *call)
{
    struct call_names names;
    struct parked_call *parked;

    if (!call->parked || !call->parked->has_ticket) {
        if (call_names_collect(call, &names) == 0 && names.count == 0) {
            if (!parked_form(call)) { /* it names no key: nothing to hold */
                call_engine_error(call, -ENOMEM);
                return;
            }
        } else if (take_claims(call) <= 0) {
            call_names_finish(&names);
            return;
        }
        call_names_finish(&names);
    }
    parked = call->parked ? call->parked : call->session->parked;
    start_fiber(parked);
}

/* Its turn has come. Of a client that is being closed nothing is run any more: what it would take
 * out would be lost. */
static void attempt(struct parked_call *parked, bool is_first)
{
    if (client_is_closing(parked->call.session->client)) {
        finish(parked);
        return;
    }
    if (before(&parked->call, is_first)) return;
    settle(parked, dispatch_run(&parked->call));
}

/* ---- blocked clients ---------------------------------------------------------------------------
 */

int parking_block(struct call *call, const struct slice *names, uint32_t name_count,
                  int64_t deadline_us)
{
    struct server *server = call->server;
    struct parked_call *parked;
    int rc;

    if (call->parked && call->parked->state == PARKED_BLOCKED) return CALL_BLOCKED; /* still */
    if (!call->session) return -ECANCELED;
    parked = parked_form(call);
    if (!parked) return -ENOMEM;
    if (!parked->has_deadline) parked->deadline_us = deadline_us;
    parked->has_deadline = true;
    parked->waiter.client_id = parked->client_id;
    parked->waiter.database = call->database;
    parked->waiter.deadline_us = parked->deadline_us;
    rc = blocked_add(server->blocked, &parked->waiter, names, name_count);
    if (rc < 0) {
        if (!call->parked) finish(parked); /* else settle() does */
        return rc;
    }
    client_set_idle_exempt(call->session->client, true);
    /* While it was parked for our sake, the end of its input did not matter yet; it will not be
     * told again. */
    if (call->parked) (void)client_has_vanished(call->session->client);
    leave_running(server->parking, parked);
    enqueue(server->parking, parked, PARKED_BLOCKED);
    return CALL_BLOCKED;
}

static void leave_queues(struct parked_call *parked)
{
    struct server *server = parked->call.server;

    blocked_remove(server->blocked, &parked->waiter);
    dequeue(server->parking, parked);
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
    if (must_wait_for_claims(
            &parked->call)) { /* another of its keys is held: wait in line for both */
        leave_queues(parked);
        if (take_claims(&parked->call) == 1) settle(parked, dispatch_run(&parked->call));
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
    leave_queues(parked);
    if (rc == -EAGAIN) {
        parking_run_in_fiber(&parked->call);
        return;
    }
    server->statistics->unblocked_clients++;
    finish(parked);
}

static void serve_key(struct server *server, unsigned database, struct slice name)
{
    struct waiter *waiter = blocked_first(server->blocked, database, name);

    while (waiter) {
        struct waiter *next = blocked_next(server->blocked, waiter, database, name);
        struct parked_call *parked = waiter->owner;
        struct key *key = keyspace_find(server->keyspace, database, name);

        if (!key || key_value(key)->type->kind != VALUE_LIST) return;
        if (claims_is_held(server->claims, database, name)) return; /* its release signals again */
        /* Who was killed or has gone stays in line until it is closed; an element it was given
         * would be lost. */
        if (!parked->call.session || !client_has_vanished(parked->call.session->client))
            serve(parked, name);
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
    if (parking->is_serving) return;
    parking->is_serving = true;
    while (blocked_next_ready(server->blocked, &database, &name)) {
        uint8_t small[128], *copy = name.size <= sizeof(small) ? small : malloc(name.size);

        if (!copy) { /* they stay blocked; the next push tries again */
            continue;
        }
        if (name.size) memcpy(copy, name.bytes, name.size);
        serve_key(server, database, slice_of(copy, name.size));
        if (copy != small) free(copy);
    }
    parking->is_serving = false;
}

static void give_up(struct parked_call *parked, bool with_error)
{
    leave_queues(parked);
    if (with_error)
        (void)call_error(&parked->call, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    else
        reply_null_array(parked->call.reply);
    finish(parked);
}

bool parking_unblock(struct server *server, struct session *session, bool with_error)
{
    struct parked_call *parked = session->parked;

    (void)server;
    if (!parked || parked->state != PARKED_BLOCKED) return false;
    give_up(parked, with_error);
    return true;
}

/* ---- streamed replies
 * ---------------------------------------------------------------------------- */

int parking_stream(struct call *call, struct parked_call **out_parked)
{
    struct parking *parking = call->server->parking;
    struct parked_call *parked;

    if (!call->session) return -ECANCELED;
    parked = parked_form(call);
    if (!parked) return -ENOMEM;
    leave_running(parking, parked);
    if (parked->state == PARKED_BLOCKED) leave_queues(parked); /* it is being served */
    enqueue(parking, parked, PARKED_STREAMING);
    *out_parked = parked;
    return CALL_STREAMING;
}

void parking_stream_end(struct parked_call *parked)
{
    dequeue(parked->call.server->parking, parked);
    finish(parked);
}

void parking_stream_wait(struct parked_call *parked)
{
    parked->waits_for_disk = true;
}

static void wake_streams(struct parking *parking)
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
    parked->call.reply = &parking->no_reply;
    parking->has_let_go = true;
    if (parked->state == PARKED_RUNNING) {
        parked->is_canceled = true;
        parking->disk_answered = true; /* so that it is resumed, and sees it */
        return;
    }
    if (parked->state == PARKED_STREAMING) return; /* its producer's destroy ends it */
    if (parked->state == PARKED_BLOCKED) blocked_remove(session->server->blocked, &parked->waiter);
    dequeue(parking, parked);
    finish(parked);
}

/* ---- end of a turn
 * ---------------------------------------------------------------------------------- */

static struct parked_call *first_of(struct parking *parking, enum parked_state state)
{
    struct list_link *link = list_front(&parking->queues[state]);

    return link ? list_container(link, struct parked_call, link) : NULL;
}

static void run_granted(struct server *server)
{
    struct claim_ticket *ticket;

    while ((ticket = claims_next_granted(server->claims))) {
        struct parked_call *parked = ticket->owner;

        dequeue(server->parking, parked);
        attempt(parked, true);
    }
}

/* Resumes who stands in queue now, for about limit_us. True: all of them. */
static bool resume_all(struct parking *parking, struct list_link *queue, uint64_t limit_us)
{
    uint64_t began_us = clock_monotonic_us();
    struct list_link due, *link;

    list_init(&due);
    list_append_all(&due, queue);
    while ((link = list_pop_front(&due))) {
        resume(parking, list_container(link, struct parked_call, link));
        if (list_is_empty(&due) || clock_monotonic_us() - began_us < limit_us) continue;
        list_append_all(&due, queue); /* who was left comes first next time */
        list_append_all(queue, &due);
        return false;
    }
    return true;
}

static void resume_suspended(struct parking *parking)
{
    if (!parking->disk_answered) return;
    parking->disk_answered = false;
    /* One answer resumes all, as nobody knows whose it was; together they get a slice. */
    if (!resume_all(parking, &parking->queues[PARKED_RUNNING], slice_us(parking)))
        parking->disk_answered = true;
    wake_streams(parking);
}

/* One slice a turn: the other clients go between. */
static void run_one_slice(struct parking *parking)
{
    struct list_link *link = list_pop_front(&parking->between_slices);

    if (link) resume(parking, list_container(link, struct parked_call, link));
}

static void run_throttled(struct server *server)
{
    struct parking *parking = server->parking;
    struct parked_call *parked;

    while ((parked = first_of(parking, PARKED_THROTTLED)) &&
           spill_store_pressure(server->store) != SPILL_SLOW) {
        dequeue(parking, parked);
        attempt(parked, true);
    }
}

static void run_without_fiber(struct server *server)
{
    struct parking *parking = server->parking;
    struct parked_call *parked;

    while ((parked = first_of(parking, PARKED_NO_FIBER))) {
        dequeue(parking, parked);
        if (enter_fiber(parked)) continue;
        enqueue(parking, parked, PARKED_NO_FIBER); /* none is free yet: it stays the first */
        list_remove(&parked->link);
        list_push_front(&parking->queues[PARKED_NO_FIBER], &parked->link);
        return;
    }
}

void parking_end_pause(struct server *server)
{
    server->paused_until_ms = 0;
}

static void run_paused(struct server *server)
{
    struct parking *parking = server->parking;
    uint64_t held_back = parking->counts[PARKED_PAUSED];
    struct parked_call *parked;

    if (server->paused_until_ms && loop_now_ms(server->loop) < server->paused_until_ms) return;
    server->paused_until_ms = 0;
    /* One of them may begin another pause: then the others stand in line again. */
    while (held_back-- > 0 && (parked = first_of(parking, PARKED_PAUSED))) {
        dequeue(parking, parked);
        attempt(parked, false);
    }
}

static void expire_blocked(struct server *server)
{
    int64_t now_us = (int64_t)loop_now_us(server->loop);
    struct waiter *waiter;

    while ((waiter = blocked_expired(server->blocked, now_us))) {
        give_up(waiter->owner, false);
    }
}

/* A call's turn has come, and it was not run yet. */
static bool has_granted(const struct server *server)
{
    return server->parking->counts[PARKED_QUEUED] > claims_waiting_count(server->claims);
}

static bool has_work(const struct server *server)
{
    const struct parking *parking = server->parking;

    return parking->disk_answered || parking->has_let_go || has_granted(server) ||
           !list_is_empty(&parking->between_slices) ||
           (parking->counts[PARKED_PAUSED] > 0 && server->paused_until_ms == 0) ||
           (parking->counts[PARKED_THROTTLED] > 0 &&
            spill_store_pressure(server->store) != SPILL_SLOW);
}

bool parking_run(struct server *server)
{
    struct parking *parking = server->parking;

    parking->has_let_go = false;
    run_paused(server);
    expire_blocked(server);
    resume_suspended(parking);
    run_one_slice(parking);
    run_granted(server);
    run_throttled(server);
    parking_serve_blocked(server);
    run_without_fiber(server);
    run_granted(server);
    return has_work(server);
}

int64_t parking_sleep_us(struct server *server)
{
    int64_t deadline = blocked_next_deadline(server->blocked), sleep_us = -1;
    int64_t now_us = (int64_t)loop_now_us(server->loop);

    if (has_work(server)) return 0; /* it came up after parking_run */
    if (deadline >= 0) sleep_us = deadline > now_us ? deadline - now_us : 0;
    if (server->paused_until_ms) {
        int64_t pause_us = (server->paused_until_ms - loop_now_ms(server->loop)) * 1000;

        if (pause_us < 0) pause_us = 0;
        if (sleep_us < 0 || pause_us < sleep_us) sleep_us = pause_us;
    }
    return sleep_us;
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
    parking->no_reply.is_muted = true;
    parking->no_reply.protocol = 2;
    *out_parking = parking;
    return 0;
}

void parking_destroy(struct parking *parking)
{
    if (!parking) return;
    /* The clients are gone, so all that is left are canceled calls: they end at their next wait. */
    while (parking->counts[PARKED_RUNNING] > 0) {
        (void)resume_all(parking, &parking->queues[PARKED_RUNNING], UINT64_MAX);
        (void)resume_all(parking, &parking->between_slices, UINT64_MAX);
        run_granted(parking->server);
    }
    for (int i = 0; i < PARKED_STATE_COUNT; i++) {
        assert(parking->counts[i] == 0 && list_is_empty(&parking->queues[i]));
    }
    assert(parking->bytes == 0);
    free(parking);
}

uint64_t parking_count(const struct parking *parking, enum parked_state state)
{
    return parking->counts[state];
}

uint64_t parking_memory_bytes(const struct parking *parking)
{
    return parking->bytes;
}
