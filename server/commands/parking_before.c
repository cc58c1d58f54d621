/* parking_before.c - what a call has to wait for before it may run: a pause, room in the log and in
 * memory, who holds its keys. */
#include "server/commands/parking_internal.h"

#include <errno.h>

#include "modules/spill/store.h"
#include "server/commands/call_keys.h"
#include "server/commands/checkpointing.h"
#include "server/commands/dispatch.h"
#include "server/commands/effect.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/commands/transaction.h"
#include "server/durability/oplog.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/observe/memory.h"

/* Of maxmemory, and at least so many bytes: a command that brings more finds its room before it
 * runs, as nothing can be evicted while it does. */
enum { LARGE_SHARE = 64, LARGE_BYTES_MIN = 128 * 1024 };

/* As what is refused before it runs: the MULTI that it was for is spoilt, and an EXEC is the end of
 * its own. */
void parking_answer_refusal(struct call *call, int rc)
{
    if (transaction_is_exec(call))
        transaction_abort(call, CALL_OUT_OF_MEMORY);
    else
        call_engine_error(call, rc);
    dispatch_rejected(call);
}

static inline bool must_wait_for_pause(const struct call *call)
{
    const struct server *server = call->server;

    if (server->paused_until_us == 0 || loop_now_us(server->loop) >= server->paused_until_us)
        return false;
    if (call->command->flags & COMMAND_ADMIN) return false;
    return !server->pause_is_for_writes_only || call_writes(call);
}

/* The bytes that a call came with, about. */
static uint64_t bytes_of(const struct call *call)
{
    if (!call->parked) return client_request(call->session->client).size;
    return call->parked->request.block ? call->parked->request.bytes.size : call->parked->bytes;
}

/* What a call adds at once, beside what is counted already: its elements and, where that is in
 * memory first, their copy in the log. What EXEC adds is counted since it was queued. */
static uint64_t bytes_to_expect(const struct call *call)
{
    const struct server *server = call->server;
    uint64_t bytes = bytes_of(call);

    if (bytes < LARGE_BYTES_MIN || transaction_is_exec(call)) return 0;
    if (bytes < memory_limit(server->memory) / LARGE_SHARE) return 0;
    if (server->oplog && oplog_is_buffered(server->oplog)) bytes *= 2;
    if (!call->arguments) bytes += call->argument_count * sizeof(struct slice); /* folded */
    return bytes;
}

/* Producers stop here when eviction cannot keep pace; first come, first served. */
static bool must_wait_for_eviction(const struct call *call, bool is_first)
{
    const struct server *server = call->server;
    uint64_t bytes;

    if (!call_spills(call)) return false;
    if (!is_first && server->parking->counts[PARKED_THROTTLED] > 0) return true;
    bytes = bytes_to_expect(call);
    if (bytes > 0 || call->parked) memory_expect(server->memory, bytes);
    return spill_store_pressure(server->store) == SPILL_SLOW;
}

/* What moves and removes is not refused on a full disk: it waits for the checkpoint that gives room
 * back, as long as one may come. */
static bool must_wait_for_checkpoint(const struct call *call)
{
    const struct server *server = call->server;
    enum spill_room room;

    if (!call_rewrites(call)) return false;
    room = spill_store_room(server->store);
    if (room == SPILL_HAS_ROOM || room == SPILL_ROOM_COMING) return room == SPILL_ROOM_COMING;
    if (call->parked && call->parked->checkpoint_turn > 0 &&
        checkpointing_has_ended(server, call->parked->checkpoint_turn))
        return false; /* others have taken what came, or there was none */
    return checkpointing_brings_room(server);
}

bool parking_must_wait_for_room(const struct call *call, bool is_first)
{
    /* Whose turn has come on its keys holds them: it must not keep those waiting who take away. */
    if (call->parked && call->parked->has_ticket) return false;
    return must_wait_for_eviction(call, is_first) || must_wait_for_checkpoint(call);
}

/* 1: the claims are this call's; 0: it was parked until they are; negative: answered. */
int parking_take_claims(struct call *call)
{
    struct call_names names;
    struct parked_call *parked;
    int rc, wants_all = call_names_collect(call, &names) < 0;

    parked = parking_form_taking(call);
    if (!parked) {
        call_names_finish(&names);
        parking_answer_refusal(call, -ENOMEM);
        return -ENOMEM;
    }
    if (wants_all)
        rc = claims_request_all(call->server->claims, &parked->ticket);
    else
        rc = claims_request(call->server->claims, &parked->ticket, names.items, names.count);
    call_names_finish(&names);
    if (rc < 0) {
        parking_answer_refusal(call, rc);
        parking_finish(parked);
        return rc;
    }
    parked->has_ticket = true;
    if (rc == 1) return 1;
    call->server->statistics->queued_commands++;
    parking_enqueue(call->server->parking, parked, PARKED_QUEUED);
    return 0;
}

/* Apart from the common case, which needs no room for names. */
static bool would_wait_for_claims(const struct call *call)
{
    struct call_names names;
    bool waits;

    if (call->parked && call->parked->has_ticket) return false;
    if (call_names_collect(call, &names) < 0) return claims_all_would_wait(call->server->claims);
    waits = names.count > 0 && claims_would_wait(call->server->claims, names.items, names.count);
    call_names_finish(&names);
    return waits;
}

bool parking_must_wait_for_claims(const struct call *call)
{
    return claims_count(call->server->claims) > 0 && would_wait_for_claims(call);
}

void parking_wait_in(struct call *call, enum parked_state state)
{
    struct parked_call *parked = parking_form_taking(call);

    if (parked) {
        parking_release_ticket(parked); /* others need not wait for what is not going on */
        parking_enqueue(call->server->parking, parked, state);
    } else {
        parking_answer_refusal(call, -ENOMEM);
    }
}

static bool wait_in(struct call *call, enum parked_state state)
{
    parking_wait_in(call, state);
    return true;
}

/* True: it was parked until the log has moved, or refused. */
static bool must_wait_for_log(struct call *call)
{
    int rc;

    rc = call->server->effects->is_refusing ? effect_settle_reader(call) : 0;
    /* EXEC is among those that run at once. */
    if (rc == 0 && (call->command->flags & (COMMAND_WRITE | COMMAND_IMMEDIATE)))
        rc = effect_reserve(call);
    if (rc == 0) return false;
    if (rc == -EAGAIN) return wait_in(call, PARKED_LOGGING);
    dispatch_rejected(call);
    if (call->parked) parking_finish(call->parked);
    return true;
}

/* The next one to begin is the one that gives free what was deferred until now. */
static void note_checkpoint(const struct call *call)
{
    struct parked_call *parked = call->session->parked;

    if (parked && parked->checkpoint_turn == 0 && call_rewrites(call))
        parked->checkpoint_turn = checkpointing_next_turn(call->server);
}

static bool must_wait_for_claims(struct call *call)
{
    struct parked_call *parked;

    if (!parking_must_wait_for_claims(call)) return false;
    if (parking_take_claims(call) <= 0) return true;
    if (call->parked) return false;
    /* Nobody had them: without memory for its names it had to be taken for one that names all. The
     * claims are its parked form's, so that is what runs. */
    parked = call->session->parked;
    parking_settle(parked, dispatch_run(&parked->call));
    return true;
}

bool parking_must_wait(struct call *call, bool is_first)
{
    if (must_wait_for_pause(call)) return wait_in(call, PARKED_PAUSED);
    if (call->server->effects->oplog && must_wait_for_log(call)) return true;
    if (parking_must_wait_for_room(call, is_first)) {
        call->server->statistics->throttled_commands++;
        (void)wait_in(call, PARKED_THROTTLED);
        note_checkpoint(call);
        return true;
    }
    return must_wait_for_claims(call);
}

bool parking_before_queueing(struct call *call)
{
    if (must_wait_for_pause(call)) return wait_in(call, PARKED_PAUSED);
    return parking_must_gather(call);
}

bool parking_before(struct call *call)
{
    return parking_must_wait(call, false);
}
