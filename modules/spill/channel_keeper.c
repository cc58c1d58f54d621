/* How a channel's transfers go on: the mutex, waiting, and the keeper.
 *
 * Whoever holds the mutex may take completions, and senders and receivers do so every few KiB. But
 * they may all be asleep, waiting for just those completions, or gone elsewhere: the keeper is a
 * thread that sleeps on io's descriptor and takes completions then. It also goes on with what the
 * store has to do (freeing dropped trees, returning disk space) for as long as that changes
 * something, and when the store has asked for another look after some rest. */
#include "modules/spill/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "modules/base/clock.h"
#include "modules/io/io.h"

void channel_lock(struct spill_channel *channel)
{
    int rc = pthread_mutex_lock(&channel->mutex);
    assert(rc == 0);
    (void)rc;
}

void channel_unlock(struct spill_channel *channel)
{
    int rc = pthread_mutex_unlock(&channel->mutex);
    assert(rc == 0);
    (void)rc;
}

bool channel_drive(struct spill_channel *channel)
{
    bool has_ended = io_poll(channel->io) > 0;
    bool has_more = spill_store_tick(channel->store, 0);

    channel->undriven_bytes = 0;
    if (channel->keeper_sleeps_for_good && spill_store_wait_us(channel->store) >= 0) {
        channel->keeper_sleeps_for_good = false;
        channel_keeper_wake(channel);
    }
    if (channel->progress_waiters > 0 &&
        (has_ended ||
         (channel->room_waiters > 0 && spill_store_pressure(channel->store) == SPILL_OK))) {
        pthread_cond_broadcast(&channel->progress);
    }
    return has_more;
}

void channel_count_bytes(struct spill_channel *channel, uint64_t bytes)
{
    channel->undriven_bytes += bytes;
    if (channel->undriven_bytes >= channel->drive_bytes) (void)channel_drive(channel);
}

/* ---- waiting --------------------------------------------------------------------------------- */

struct deadline deadline_after(int64_t timeout_us)
{
    uint64_t now;

    if (timeout_us < 0) return (struct deadline){ .is_never = true };
    if (timeout_us == 0) return (struct deadline){ 0 };
    now = clock_monotonic_us();
    if ((uint64_t)timeout_us > INT64_MAX - now) return (struct deadline){ .is_never = true };
    return (struct deadline){ .us = now + (uint64_t)timeout_us };
}

bool deadline_is_over(const struct deadline *deadline)
{
    if (deadline->is_never) return false;
    return deadline->us == 0 || clock_monotonic_us() >= deadline->us;
}

void channel_wait(struct spill_channel *channel, pthread_cond_t *condition,
                  const struct deadline *deadline, uint64_t slice_us)
{
    uint64_t until_us = deadline->is_never ? UINT64_MAX : deadline->us;
    int rc;

    if (slice_us > 0) {
        uint64_t end_us = clock_monotonic_us() + slice_us;
        if (end_us < until_us) until_us = end_us;
    }
    if (until_us == UINT64_MAX) {
        rc = pthread_cond_wait(condition, &channel->mutex);
    } else {
        struct timespec until = { .tv_sec = (time_t)(until_us / 1000000),
                                  .tv_nsec = (long)(until_us % 1000000) * 1000 };
        rc = pthread_cond_timedwait(condition, &channel->mutex, &until);
    }
    assert(rc == 0 || rc == ETIMEDOUT);
    (void)rc;
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static void clear_wake(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR) {}
}

void channel_keeper_wake(struct spill_channel *channel)
{
    const uint64_t one = 1;

    /* The counter is read often enough never to be full: only a signal can come between. */
    while (write(channel->keeper_fd, &one, sizeof(one)) < 0)
        assert(errno == EINTR);
}

/* What changes when the store gets on with its work while nobody else does anything. */
static uint64_t work_done(const struct spill_channel *channel)
{
    struct spill_store_info info;

    spill_store_info(channel->store, &info);
    return info.evicted_bytes + info.punched_bytes + info.truncated_bytes + info.writes +
           info.reads - info.pending_free_deques - info.chunks_in_memory;
}

/* Until nothing is to be done but by completions, or what there is cannot go on for now: a full
 * disk, all that is in memory in use. Then whoever changes that drives the store too. */
static void keep(struct spill_channel *channel)
{
    bool has_moved, has_more;

    do {
        uint64_t before = work_done(channel);
        has_more = channel_drive(channel);
        has_moved = work_done(channel) != before;
        /* Let others in. */
        channel_unlock(channel);
        channel_lock(channel);
    } while (has_more && has_moved && !channel->is_stopping);
}

/* For poll: -1 is for ever. */
static int sleep_ms(const struct spill_channel *channel)
{
    int64_t wait_us = spill_store_wait_us(channel->store);

    return wait_us < 0 ? -1 : (int)((wait_us + 999) / 1000);
}

static void *keeper_main(void *argument)
{
    struct spill_channel *channel = argument;
    struct pollfd events[] = { { .fd = io_event_fd(channel->io), .events = POLLIN },
                               { .fd = channel->keeper_fd, .events = POLLIN } };

    channel_lock(channel);
    while (!channel->is_stopping) {
        int timeout_ms = sleep_ms(channel);
        channel->keeper_sleeps_for_good = timeout_ms < 0;
        channel_unlock(channel);
        /* ENOMEM only makes us look in vain. */
        if (poll(events, 2, timeout_ms) < 0) assert(errno == EINTR || errno == ENOMEM);
        if (events[1].revents != 0) clear_wake(channel->keeper_fd);
        channel_lock(channel);
        channel->keeper_sleeps_for_good = false;
        keep(channel);
    }
    channel_unlock(channel);
    return NULL;
}

int channel_keeper_start(struct spill_channel *channel)
{
    sigset_t all, before;
    int rc;

    channel->keeper_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channel->keeper_fd < 0) return -errno;
    /* Signals are the program's business. */
    sigfillset(&all);
    rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(&channel->keeper, NULL, keeper_main, channel);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* it was valid a moment ago */
    }
    if (rc == 0) return 0;
    close(channel->keeper_fd);
    channel->keeper_fd = -1;
    return -rc;
}

void channel_keeper_stop(struct spill_channel *channel)
{
    int rc;

    channel_lock(channel);
    channel->is_stopping = true;
    channel_unlock(channel);
    channel_keeper_wake(channel);
    rc = pthread_join(channel->keeper, NULL);
    assert(rc == 0);
    (void)rc;
    close(channel->keeper_fd);
}
