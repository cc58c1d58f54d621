/* parking_turn.c - what is due at the end of a turn: timeouts, grants, resumed fibers, slices,
 * room. */
#include "server/commands/parking_internal.h"

#include "modules/base/clock.h"
#include "modules/spill/store.h"
#include "server/commands/checkpointing.h"
#include "server/commands/effect.h"
#include "server/commands/server.h"
#include "server/net/loop.h"

/* ---- end of a turn
 * ---------------------------------------------------------------------------------- */

static struct parked_call *first_of(const struct parking *parking, enum parked_state state)
{
    struct list_link *link = list_front(&parking->queues[state]);

    return link ? list_container(link, struct parked_call, link) : NULL;
}

void parking_run_granted(struct server *server)
{
    struct claim_ticket *ticket;

    while ((ticket = claims_next_granted(server->claims))) {
        struct parked_call *parked = ticket->owner;

        if (!parked) continue; /* a checkpoint's: it looks for itself */
        parking_dequeue(server->parking, parked);
        parking_attempt(parked, true);
    }
}

/* Resumes who stands in queue now, for about limit_us. True: all of them. */
bool parking_resume_all(struct parking *parking, struct list_link *queue, uint64_t limit_us)
{
    uint64_t began_us = clock_monotonic_us();
    struct list_link due, *link;

    list_init(&due);
    list_append_all(&due, queue);
    while ((link = list_pop_front(&due))) {
        parking_resume(parking, list_container(link, struct parked_call, link));
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
    if (!parking_resume_all(parking, &parking->queues[PARKED_RUNNING], parking_slice_us(parking)))
        parking->disk_answered = true;
    parking_wake_streams(parking);
}

/* One slice a turn: the other clients go between. */
static void run_one_slice(struct parking *parking)
{
    struct list_link *link = list_pop_front(&parking->between_slices);

    if (link) parking_resume(parking, list_container(link, struct parked_call, link));
}

/* Eviction has made room, or came to its end. */
static bool has_room_for_fibers(const struct server *server)
{
    struct spill_store_info info;

    if (list_is_empty(&server->parking->for_eviction)) return false;
    if (spill_store_pressure(server->store) != SPILL_SLOW) return true;
    spill_store_info(server->store, &info);
    return info.writes_in_flight == 0;
}

static void run_throttled(struct server *server)
{
    struct parking *parking = server->parking;
    struct parked_call *parked;

    while ((parked = first_of(parking, PARKED_THROTTLED)) &&
           !parking_must_wait_for_room(&parked->call, true)) {
        parking_dequeue(parking, parked);
        parking_attempt(parked, true);
    }
}

/* Those who were there when the log moved; who must wait again stands behind them. */
static void run_logging(struct server *server)
{
    struct parking *parking = server->parking;
    uint64_t count = parking->counts[PARKED_LOGGING];
    struct parked_call *parked;

    if (!server->effects->has_moved) return;
    server->effects->has_moved = false;
    while (count-- > 0 && (parked = first_of(parking, PARKED_LOGGING))) {
        parking_dequeue(parking, parked);
        parking_attempt(parked, true);
    }
}

static void run_without_fiber(struct server *server)
{
    struct parking *parking = server->parking;
    struct parked_call *parked;

    while ((parked = first_of(parking, PARKED_NO_FIBER))) {
        parking_dequeue(parking, parked);
        if (parking_enter_fiber(parked)) continue;
        parking_enqueue(parking, parked,
                        PARKED_NO_FIBER); /* none is free yet: it stays the first */
        list_remove(&parked->link);
        list_push_front(&parking->queues[PARKED_NO_FIBER], &parked->link);
        return;
    }
}

void parking_end_pause(struct server *server)
{
    server->paused_until_us = 0;
}

static void run_paused(struct server *server)
{
    struct parking *parking = server->parking;
    uint64_t held_back = parking->counts[PARKED_PAUSED];
    struct parked_call *parked;

    if (server->paused_until_us && loop_now_us(server->loop) < server->paused_until_us) return;
    server->paused_until_us = 0;
    /* One of them may begin another pause: then the others stand in line again. */
    while (held_back-- > 0 && (parked = first_of(parking, PARKED_PAUSED))) {
        parking_dequeue(parking, parked);
        parking_attempt(parked, false);
    }
}

static void expire_blocked(struct server *server)
{
    int64_t now_us = (int64_t)loop_now_us(server->loop);
    struct waiter *waiter;

    while ((waiter = blocked_expired(server->blocked, now_us))) {
        struct parked_call *parked = waiter->owner;

        if (parked->deadline_us >= 0 && parked->deadline_us <= now_us)
            parking_give_up(parked, false);
        else
            parking_look_again(parked);
    }
}

static bool has_room_for_throttled(const struct server *server)
{
    const struct parked_call *parked = first_of(server->parking, PARKED_THROTTLED);

    return parked && !parking_must_wait_for_room(&parked->call, true);
}

/* A call's turn has come, and it was not run yet. */
static bool has_granted(const struct server *server)
{
    uint64_t waiting = claims_waiting_count(server->claims);

    return server->parking->counts[PARKED_QUEUED] >
           waiting - checkpointing_waits_for_claims(server);
}

static bool has_work(const struct server *server)
{
    const struct parking *parking = server->parking;

    return parking->disk_answered || parking->has_let_go || has_granted(server) ||
           !list_is_empty(&parking->between_slices) ||
           (parking->counts[PARKED_PAUSED] > 0 && server->paused_until_us == 0) ||
           (parking->counts[PARKED_LOGGING] > 0 && server->effects->has_moved) ||
           has_room_for_throttled(server) || has_room_for_fibers(server) ||
           parking_can_gather(server);
}

/* No call waits for anything, as at the end of most turns. */
static bool is_quiet(const struct server *server)
{
    return server->parking->bytes == 0 && server->paused_until_us == 0;
}

bool parking_run(struct server *server)
{
    struct parking *parking = server->parking;

    parking->has_let_go = false;
    if (is_quiet(server)) {
        parking->disk_answered = false; /* nobody had asked, or who had has gone */
        return false;
    }
    run_paused(server);
    parking_run_gathering(server);
    expire_blocked(server);
    if (parking->counts[PARKED_SYNCING] > 0) parking_run_synced(server);
    resume_suspended(parking);
    run_one_slice(parking);
    if (has_room_for_fibers(server))
        (void)parking_resume_all(parking, &parking->for_eviction, parking_slice_us(parking));
    parking_run_granted(server);
    run_throttled(server);
    run_logging(server);
    parking_serve_blocked(server);
    run_without_fiber(server);
    parking_run_granted(server);
    return has_work(server);
}

int64_t parking_sleep_us(struct server *server)
{
    int64_t deadline, now_us, synced_us, gathering_us, sleep_us = -1;

    if (is_quiet(server)) return -1;
    deadline = blocked_next_deadline(server->blocked);
    now_us = (int64_t)loop_now_us(server->loop);
    if (has_work(server)) return 0; /* it came up after parking_run */
    synced_us = parking_sync_deadline_us(server->parking);
    if (synced_us >= 0 && (deadline < 0 || synced_us < deadline)) deadline = synced_us;
    gathering_us = parking_gathering_deadline_us(server->parking);
    if (gathering_us >= 0 && (deadline < 0 || gathering_us < deadline)) deadline = gathering_us;
    if (deadline >= 0) sleep_us = deadline > now_us ? deadline - now_us : 0;
    if (server->paused_until_us) {
        int64_t pause_us = (int64_t)(server->paused_until_us - loop_now_us(server->loop));

        if (pause_us < 0) pause_us = 0;
        if (sleep_us < 0 || pause_us < sleep_us) sleep_us = pause_us;
    }
    return sleep_us;
}
