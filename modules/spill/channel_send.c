/* Sending: room is found, the message goes to the tail of the deque, a waiting receiver is woken.
 *
 * There is room while the store holds no more than its budget. Above that it writes: a sender waits
 * for writes under way, so that what is accepted never outruns the disk. When nothing is under way
 * and nothing can be, the disk is full or broken, and the message is refused. */
#include "modules/spill/channel_internal.h"

#include <errno.h>

#include "modules/base/clock.h"
#include "modules/io/io.h"
#include "modules/spill/store_internal.h"

enum {
    /* Nobody tells us when another program's files go, or when a broken disk may be tried again. */
    RETRY_SLICE_US = 50 * 1000,
    /* What a receiver has just been told to wait for is spared by the eviction for so many turns;
     * there may be a moment when nothing else is in memory. */
    SPARED_TURNS_MAX = 2 * PROTECTED_TURNS,
};

uint64_t channel_memory_bytes(const struct spill_channel *channel)
{
    return channel->store->memory_bytes;
}

/* The store is above its budget and has nothing under way that would change that. */
static int find_room_by_force(struct spill_channel *channel)
{
    const struct spill_store *store = channel->store;

    for (unsigned turn = 0; turn < SPARED_TURNS_MAX; turn++) {
        if (store->memory_bytes <= store->budget_bytes) return 0;
        /* The descriptors of what is on disk fill the memory. */
        if (store->index_bytes > store->budget_bytes / 2) return -ENOSPC;
        (void)channel_drive(channel);
        if (spill_store_pressure(store) == SPILL_FULL) return -ENOSPC;
        if (store->batches_in_flight > 0 || store->reads_in_flight > 0) return -EAGAIN;
    }
    return -ENOSPC;
}

/* Nothing has changed since the disk was found full, so that to look once more is of no use: a
 * sender that tries again and again must not keep the receivers from the mutex. */
static bool is_known_to_be_full(struct spill_channel *channel)
{
    struct spill_store *store = channel->store;

    (void)io_poll(channel->io);
    store_update_pressure(store);
    return store->is_full && store->freed_extents == store->freed_extents_at_failure &&
           clock_monotonic_us() < store->retry_us;
}

/* 0: a message can be taken. -EAGAIN: writes are under way. Else why not. */
static int find_room(struct spill_channel *channel)
{
    struct spill_store *store = channel->store;

    if (channel->receiver_count == 0) return -EPIPE;
    if (spill_store_pressure(store) == SPILL_OK) return 0;
    if (is_known_to_be_full(channel)) return -ENOSPC;
    (void)channel_drive(channel);
    switch (spill_store_pressure(store)) {
    case SPILL_OK:
        return 0;
    case SPILL_FULL:
        return -ENOSPC;
    case SPILL_SLOW:
        break;
    }
    if (store->batches_in_flight > 0) return -EAGAIN;
    /* No write since the last one failed. */
    if (store->retry_us != 0 && store->memory_bytes > store->budget_bytes) {
        return store->write_rc == -ENOMEM ? -ENOMEM : -EIO;
    }
    return find_room_by_force(channel);
}

static int await_room(struct spill_channel *channel, const struct deadline *patience)
{
    const struct deadline never = { .is_never = true };
    int rc;

    while ((rc = find_room(channel)) != 0 && rc != -EPIPE) {
        if (!patience && rc != -EAGAIN) return rc;
        if (patience && deadline_is_over(patience)) return rc == -EAGAIN ? -ETIMEDOUT : rc;
        channel->progress_waiters++;
        channel->room_waiters++;
        channel_wait(channel, &channel->progress, patience ? patience : &never, RETRY_SLICE_US);
        channel->room_waiters--;
        channel->progress_waiters--;
    }
    return rc;
}

/* How many waiting receivers should be woken for so many new messages: those that have been, but
 * have not come to it yet, will take what there is. */
static unsigned receivers_to_wake(struct spill_channel *channel, uint64_t message_count)
{
    unsigned asleep = channel->arrived_waiters - channel->arrived_signals;
    unsigned count = message_count < asleep ? (unsigned)message_count : asleep;

    channel->arrived_signals += count;
    return count;
}

static void wake_receivers(struct spill_channel *channel, unsigned count)
{
    for (; count > 0; count--)
        pthread_cond_signal(&channel->arrived);
}

/* Under the mutex. */
static int push(struct spill_channel *channel, const struct slice *messages, size_t count)
{
    uint64_t bytes = 0;
    int rc = spill_deque_push(channel->deque, SPILL_TAIL, messages, count);

    if (rc < 0) return rc;
    for (size_t i = 0; i < count; i++)
        bytes += messages[i].size;
    channel->sent_count += count;
    channel->sent_bytes += bytes;
    channel_count_bytes(channel, bytes + count * CHANNEL_MESSAGE_COST_BYTES);
    return 0;
}

static int send_one(struct spill_channel *channel, struct slice message,
                    const struct deadline *patience)
{
    unsigned wakes = 0;
    int rc;

    if (message.size > channel->message_bytes_max) return -EMSGSIZE;
    channel_lock(channel);
    rc = await_room(channel, patience);
    if (rc == 0) rc = push(channel, &message, 1);
    if (rc == 0) wakes = receivers_to_wake(channel, 1);
    if (rc == -ENOSPC) channel->rejected_count++;
    channel_unlock(channel);
    wake_receivers(channel, wakes);
    return rc;
}

int spill_sender_send(struct spill_sender *sender, struct slice message)
{
    return send_one(sender->channel, message, NULL);
}

int spill_sender_send_wait(struct spill_sender *sender, struct slice message, int64_t timeout_us)
{
    struct deadline deadline = deadline_after(timeout_us);

    return send_one(sender->channel, message, &deadline);
}

/* How many of the messages are pushed before room is looked for again: not many bytes, at least
 * one message. 0: the first is too large. */
static size_t group_size(const struct spill_channel *channel, const struct slice *messages,
                         size_t message_count)
{
    uint64_t bytes = 0;
    size_t count = 0;

    while (count < message_count && messages[count].size <= channel->message_bytes_max) {
        bytes += messages[count].size + CHANNEL_MESSAGE_COST_BYTES;
        if (count > 0 && bytes > channel->drive_bytes) break;
        count++;
    }
    return count;
}

int64_t spill_sender_send_many(struct spill_sender *sender, const struct slice *messages,
                               size_t message_count)
{
    struct spill_channel *channel = sender->channel;
    size_t sent = 0;
    int rc = 0;

    channel_lock(channel);
    while (sent < message_count) {
        size_t count = group_size(channel, messages + sent, message_count - sent);
        rc = count > 0 ? await_room(channel, NULL) : -EMSGSIZE;
        if (rc == 0) rc = push(channel, messages + sent, count);
        if (rc < 0) break;
        sent += count;
        /* At once: more may have to wait for the disk. */
        wake_receivers(channel, receivers_to_wake(channel, count));
    }
    if (rc == -ENOSPC) channel->rejected_count++;
    channel_unlock(channel);
    return sent > 0 ? (int64_t)sent : rc;
}
