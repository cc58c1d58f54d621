/* parking_sync.c - clients that wait for the log to reach the device (WAITAOF). */
#include "server/commands/parking_internal.h"

#include <errno.h>

#include "server/commands/dispatch.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/waitaof.h"
#include "server/net/client.h"
#include "server/net/loop.h"

int parking_wait_for_sync(struct call *call, int64_t deadline_us)
{
    struct parked_call *parked;

    if (!call->session) return -ECANCELED;
    parked = parking_form(call);
    if (!parked) return -ENOMEM;
    parked->deadline_us = deadline_us;
    parked->call.was_counted = true;
    /* It may wait for ever: the end of its input is its end, as of those who wait for keys. */
    client_set_idle_exempt(call->session->client, true);
    parking_enqueue(call->server->parking, parked, PARKED_SYNCING);
    return CALL_BLOCKED;
}

static void leave(struct parked_call *parked)
{
    struct session *session = parked->call.session;

    parking_dequeue(parked->call.server->parking, parked);
    if (session) client_set_idle_exempt(session->client, session->is_monitor);
}

static void end(struct parked_call *parked)
{
    leave(parked);
    waitaof_answer(&parked->call);
    dispatch_count_error(&parked->call);
    parking_finish(parked);
}

static bool is_over(const struct parked_call *parked, int64_t now_us)
{
    return waitaof_is_met(&parked->call) ||
           (parked->deadline_us >= 0 && parked->deadline_us <= now_us);
}

void parking_run_synced(struct server *server)
{
    int64_t now_us = (int64_t)loop_now_us(server->loop);

    list_for_each(link, &server->parking->queues[PARKED_SYNCING])
    {
        struct parked_call *parked = list_container(link, struct parked_call, link);

        if (is_over(parked, now_us)) end(parked);
    }
}

int64_t parking_sync_deadline_us(const struct parking *parking)
{
    int64_t first_us = -1;

    list_for_each(link, &parking->queues[PARKED_SYNCING])
    {
        int64_t deadline_us = list_container(link, struct parked_call, link)->deadline_us;

        if (deadline_us >= 0 && (first_us < 0 || deadline_us < first_us)) first_us = deadline_us;
    }
    return first_us;
}

void parking_end_sync_wait(struct parked_call *parked, bool with_error)
{
    if (!with_error) {
        end(parked);
        return;
    }
    leave(parked);
    (void)call_error(&parked->call, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    dispatch_count_error(&parked->call);
    parking_finish(parked);
}
