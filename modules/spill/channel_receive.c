/* Receiving: the head of the deque is copied out and dropped.
 *
 * When it is on disk, looking at it has started the read; the receiver sleeps on `progress` and
 * looks again. When there is none it sleeps on `arrived`. Before either it takes completions and
 * lets the store do what is due: nobody else may be awake to. */
#include "modules/spill/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void wait_for_message(struct spill_channel *channel, const struct deadline *deadline)
{
    channel->arrived_waiters++;
    channel_wait(channel, &channel->arrived, deadline, 0);
    channel->arrived_waiters--;
    if (channel->arrived_signals > 0) channel->arrived_signals--;
}

static void wait_for_read(struct spill_channel *channel, const struct deadline *deadline)
{
    channel->progress_waiters++;
    channel_wait(channel, &channel->progress, deadline, 0);
    channel->progress_waiters--;
}

/* 1 and a view that is good under the mutex; 0: the time is over; or an error. */
static int await_message(struct spill_channel *channel, const struct deadline *deadline,
                         struct slice *out_view)
{
    bool has_driven = false;

    for (;;) {
        int rc = spill_deque_peek(channel->deque, SPILL_HEAD, out_view);
        if (rc == 1) return 1;
        if (rc < 0 && rc != -EAGAIN) return rc;
        if (rc == 0 && channel->sender_count == 0) return -EPIPE;
        if (!has_driven) {
            (void)channel_drive(channel);
            has_driven = true;
            continue;
        }
        if (deadline_is_over(deadline)) return 0;
        if (rc == 0)
            wait_for_message(channel, deadline);
        else
            wait_for_read(channel, deadline);
        has_driven = false;
    }
}

/* The message that was just looked at has been copied. */
static void take_peeked(struct spill_channel *channel, size_t size)
{
    spill_deque_drop_peeked(channel->deque, SPILL_HEAD);
    channel->received_count++;
    channel->received_bytes += size;
    channel->undriven_bytes += size + CHANNEL_MESSAGE_COST_BYTES;
}

static void copy_out(void *bytes, struct slice view)
{
    if (view.size > 0) memcpy(bytes, view.bytes, view.size);
}

int spill_receiver_receive(struct spill_receiver *receiver, void *bytes, size_t capacity,
                           int64_t timeout_us, size_t *out_size)
{
    struct slice message;
    int64_t count =
        spill_receiver_receive_many(receiver, bytes, capacity, timeout_us, &message, 1, out_size);

    return (int)count;
}

int spill_receiver_receive_copy(struct spill_receiver *receiver, int64_t timeout_us,
                                struct spill_message **out_message)
{
    struct spill_channel *channel = receiver->channel;
    struct deadline deadline = deadline_after(timeout_us);
    struct spill_message *message;
    struct slice view;
    int rc;

    channel_lock(channel);
    rc = await_message(channel, &deadline, &view);
    if (rc == 1) {
        message = malloc(sizeof(*message) + view.size);
        if (message) {
            message->size = view.size;
            copy_out(message->bytes, view);
            take_peeked(channel, view.size);
            channel_count_bytes(channel, 0);
            *out_message = message;
        } else {
            rc = -ENOMEM;
        }
    }
    channel_unlock(channel);
    return rc;
}

int64_t spill_receiver_receive_many(struct spill_receiver *receiver, void *bytes, size_t capacity,
                                    int64_t timeout_us, struct slice *out_messages,
                                    size_t message_count_max, size_t *out_size)
{
    struct spill_channel *channel = receiver->channel;
    struct deadline deadline = deadline_after(timeout_us);
    uint8_t *to = bytes;
    struct slice view;
    size_t count = 0, used = 0;
    int rc;

    assert(message_count_max > 0);
    channel_lock(channel);
    rc = await_message(channel, &deadline, &view);
    if (rc == 1 && view.size > capacity) {
        *out_size = view.size;
        rc = -EMSGSIZE;
    }
    while (rc == 1 && view.size <= capacity - used) {
        copy_out(to + used, view);
        out_messages[count++] = slice_of(to + used, view.size);
        used += view.size;
        take_peeked(channel, view.size);
        if (count == message_count_max) break;
        rc = spill_deque_peek(channel->deque, SPILL_HEAD, &view);
    }
    if (count > 0) {
        *out_size = used;
        channel_count_bytes(channel, 0);
    }
    channel_unlock(channel);
    return count > 0 ? (int64_t)count : rc;
}

int64_t spill_receiver_skip(struct spill_receiver *receiver, uint64_t count)
{
    const struct deadline never = { .is_never = true };
    struct spill_channel *channel = receiver->channel;
    bool has_driven = false;
    int64_t dropped;

    channel_lock(channel);
    while ((dropped = spill_deque_drop(channel->deque, SPILL_HEAD, count)) == -EAGAIN) {
        if (has_driven) wait_for_read(channel, &never);
        if (!has_driven) (void)channel_drive(channel);
        has_driven = !has_driven;
    }
    if (dropped > 0) channel->skipped_count += (uint64_t)dropped;
    (void)channel_drive(channel);
    channel_unlock(channel);
    return dropped;
}
