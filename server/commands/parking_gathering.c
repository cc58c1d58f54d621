/* parking_gathering.c - transactions that wait for the memory of others.
 *
 * What MULTI has queued cannot go to disk, and becomes elements and a frame of the log before it is
 * let go. So all transactions together hold an eighth of maxmemory; one at a time may go up to its
 * own limit, and who would exceed waits, first come, first served, until that one has run. A client
 * that never comes to its EXEC must not keep others for ever: they are refused then. */
#include "server/commands/parking_internal.h"

#include "server/commands/server.h"
#include "server/commands/transaction.h"
#include "server/net/loop.h"

enum { PATIENCE_US = 5 * 1000000 };

static struct parked_call *first(const struct parking *parking)
{
    struct list_link *link = list_front(&parking->queues[PARKED_GATHERING]);

    return link ? list_container(link, struct parked_call, link) : NULL;
}

static bool is_patient(const struct parked_call *parked)
{
    return loop_now_us(parked->call.server->loop) - parked->gathering_us < PATIENCE_US;
}

bool parking_must_gather(struct call *call)
{
    struct parking *parking = call->server->parking;
    bool has_waited = call->parked && call->parked->gathering_us > 0;

    if (has_waited && !is_patient(call->parked)) return false; /* it is refused */
    if (!transaction_must_wait(call, !has_waited && parking->counts[PARKED_GATHERING] > 0))
        return false;
    parking_wait_in(call, PARKED_GATHERING);
    if (call->session->parked && call->session->parked->gathering_us == 0)
        call->session->parked->gathering_us = loop_now_us(call->server->loop);
    return true;
}

static bool can_go_on(const struct parked_call *parked)
{
    return !is_patient(parked) || !transaction_must_wait(&parked->call, false);
}

void parking_run_gathering(struct server *server)
{
    struct parking *parking = server->parking;
    struct parked_call *parked;

    while ((parked = first(parking)) && can_go_on(parked)) {
        parking_dequeue(parking, parked);
        parking_attempt(parked, true);
    }
}

bool parking_can_gather(const struct server *server)
{
    const struct parked_call *parked = first(server->parking);

    return parked && can_go_on(parked);
}

int64_t parking_gathering_deadline_us(const struct parking *parking)
{
    const struct parked_call *parked = first(parking);

    return parked ? (int64_t)(parked->gathering_us + PATIENCE_US) : -1;
}
