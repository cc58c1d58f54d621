/* parking_fiber.c - calls that run in fibers: a wait for the disk suspends them, a slice that is
 * used up lets others go first. */
#include "server/commands/parking_internal.h"

#include <errno.h>

#include "modules/base/clock.h"
#include "modules/io/fiber.h"
#include "modules/io/io.h"
#include "modules/spill/store.h"
#include "server/commands/dispatch.h"
#include "server/commands/loading.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/config/config.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"

/* A suspended call's fiber goes on from parking_run, never from inside a completion: so the state
 * that a handler sees after a wait changes only between commands, as on any turn of the loop. */

/* ---- fibers -------------------------------------------------------------------------------- */

static void fiber_body(void *argument)
{
    struct parked_call *parked = argument;

    parked->fiber = fiber_current(parked->call.server->fibers);
    parked->rc = dispatch_run(&parked->call);
    parked->is_done = true;
}

static void begin_slice(struct parking *parking, struct parked_call *parked)
{
    parking->running = parked;
    parking->slice_started_us = clock_monotonic_us();
    if (parked->now_ms) keyspace_set_now(parking->server->keyspace, parked->now_ms);
}

static void after_slice(struct parking *parking, struct parked_call *parked)
{
    struct server *server = parking->server;

    parking->running = NULL;
    if (parked->now_ms) keyspace_set_now(server->keyspace, loop_now_ms(server->loop));
    parking_announce_output(parked);
    if (!parked->is_done) return; /* it suspended itself, and is in a queue */
    parking_leave_running(parking, parked);
    parking_settle(parked, parked->rc);
}

/* False: all fibers are in use. */
bool parking_enter_fiber(struct parked_call *parked)
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
        parking_leave_running(parking, parked);
        if (rc == -EAGAIN) return false;
        parking_answer_refusal(&parked->call, rc);
        parking_finish(parked);
        return true;
    }
    server->statistics->parked_commands++;
    after_slice(parking, parked);
    return true;
}

void parking_start_fiber(struct parked_call *parked)
{
    struct parking *parking = parked->call.server->parking;

    /* Those that wait for a fiber already come first. */
    if (parking->counts[PARKED_NO_FIBER] > 0 || !parking_enter_fiber(parked))
        parking_enqueue(parking, parked, PARKED_NO_FIBER);
}

/* Whether a call is to end because its client has gone: what changes nothing any more, or has not
 * yet. */
static bool must_end(const struct parking *parking, const struct parked_call *parked)
{
    if (!parked->is_canceled) return false;
    if (!parked->must_finish || parking->is_ending) return true;
    return parked->inner && !(parked->inner->command->flags & COMMAND_WRITE);
}

/* Suspends the running call into queue; returns when parking_run resumes it. */
static int suspend_running(struct parking *parking, struct list_link *queue)
{
    struct parked_call *parked = parking->running;
    const struct ticks *ticks = &parking->server->statistics->ticks;

    if (must_end(parking, parked)) return -ECANCELED;
    list_push_back(queue, &parked->link);
    parked->left_ticks = clock_ticks(ticks);
    fiber_suspend(parking->server->fibers);
    parked->away_ticks += clock_ticks(ticks) - parked->left_ticks;
    return must_end(parking, parked) ? -ECANCELED : 0;
}

void parking_resume(struct parking *parking, struct parked_call *parked)
{
    begin_slice(parking, parked);
    fiber_resume(parking->server->fibers, parked->fiber);
    after_slice(parking, parked);
}

bool parking_can_suspend(const struct parking *parking)
{
    return parking->running != NULL;
}

/* A queued command has no parked form of its own: its EXEC's fiber runs it. */
uint64_t parking_away_ticks(const struct call *call)
{
    const struct parked_call *running = call->server->parking->running;

    if (call->in_transaction && running) return running->away_ticks;
    return call->parked ? call->parked->away_ticks : 0;
}

/* ---- spill's hooks --------------------------------------------------------------------------- */

static int wait_for_disk(void *context)
{
    struct server *server = context;

    if (server->loading) { /* one read at a time: nothing else can go on with the data */
        (void)io_wait(server->io);
        return loading_breathe(server);
    }
    if (!server->parking->running) return -EAGAIN;
    return suspend_running(server->parking, &server->parking->queues[PARKED_RUNNING]);
}

int parking_wait(struct server *server)
{
    return suspend_running(server->parking, &server->parking->queues[PARKED_RUNNING]);
}

void parking_wake(struct server *server)
{
    server->parking->disk_answered = true;
}

uint64_t parking_slice_us(const struct parking *parking)
{
    return (uint64_t)parking->server->config->slice_us;
}

static int pause_between_slices(void *context)
{
    struct server *server = context;
    struct parking *parking = server->parking;

    if (server->loading) return loading_breathe(server);
    if (!parking_can_suspend(parking)) return 0;
    if (must_end(parking, parking->running)) return -ECANCELED;
    if (clock_monotonic_us() - parking->slice_started_us < parking_slice_us(parking)) return 0;
    server->statistics->slices++;
    return suspend_running(parking, &parking->between_slices);
}

int parking_breathe(struct server *server)
{
    return pause_between_slices(server);
}

void parking_must_finish(struct server *server)
{
    if (server->parking->running) server->parking->running->must_finish = true;
}

/* Each round of eviction ends with a look: when nothing went, whatever else is wrong (the disk is
 * full, all is in use) is for the command itself to meet. */
int parking_wait_for_eviction(struct server *server)
{
    struct spill_store_info info;
    uint64_t evicted_bytes;
    int rc;

    do {
        if (spill_store_pressure(server->store) != SPILL_SLOW) return 0;
        spill_store_info(server->store, &info);
        evicted_bytes = info.evicted_bytes;
        rc = suspend_running(server->parking, &server->parking->for_eviction);
        spill_store_info(server->store, &info);
    } while (rc == 0 && info.evicted_bytes != evicted_bytes);
    return rc;
}

static void disk_answered(void *context)
{
    struct server *server = context;

    if (server->parking) server->parking->disk_answered = true;
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
