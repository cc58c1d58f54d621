/* channel_internal.h - what a channel's files share.
 *
 * The deque below is for one thread at a time: whoever holds the mutex is its owner. Operations on
 * it never wait (the store has no wait hook): what is on disk is asked for, and its absence told by
 * -EAGAIN. The caller then sleeps on `progress` without the mutex and tries again. */
#ifndef MODULES_SPILL_CHANNEL_INTERNAL_H
#define MODULES_SPILL_CHANNEL_INTERNAL_H
#include "modules/spill/channel.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"

#include <pthread.h>
#include <stdbool.h>

struct io;

enum {
    CHANNEL_MESSAGE_COST_BYTES = 16, /* of work, beside a message's bytes: decides when to drive */
};

struct spill_channel {
    pthread_mutex_t mutex;  /* guards all below but what is marked constant */
    pthread_cond_t arrived; /* a message has come, or the last sender has gone */
    pthread_cond_t
        progress; /* a transfer has ended, room has come, or the last of a side has gone */
    unsigned arrived_waiters, arrived_signals; /* signals that no waiter has woken to yet */
    unsigned progress_waiters, room_waiters;   /* the latter are among the former */

    struct spill_store *store;
    struct spill_deque *deque; /* NULL after the last receiver has gone */
    struct io *io;
    uint64_t undriven_bytes; /* sent and received since the store had its turn */
    unsigned sender_count, receiver_count;
    bool is_stopping;
    uint64_t sent_count, sent_bytes, received_count, received_bytes;
    uint64_t rejected_count, skipped_count, dropped_count;

    /* Constant from opening to the end. */
    struct os *os;
    pthread_t keeper;
    int keeper_fd;               /* wakes the keeper */
    bool keeper_sleeps_for_good; /* until a completion or keeper_fd */
    int lock_fd;
    uint64_t message_bytes_max, drive_bytes, disk_bytes_max;
    uint64_t foreign_file_count;
    char foreign_file[256];
    char name[SPILL_CHANNEL_NAME_BYTES_MAX + 1];
};

/* ---- channel_keeper.c ---- */

void channel_lock(struct spill_channel *channel);
void channel_unlock(struct spill_channel *channel);
/* Completions and the store's turn, under the mutex. True: the store says that more is to be done.
 */
bool channel_drive(struct spill_channel *channel);
/* Counts what was sent or received and drives now and then; under the mutex. */
void channel_count_bytes(struct spill_channel *channel, uint64_t bytes);
/* Starts the thread that takes completions when nobody else is awake to. 0, -EAGAIN or -EMFILE. */
int channel_keeper_start(struct spill_channel *channel);
void channel_keeper_wake(struct spill_channel *channel);
/* Ends and joins it. No handle is left. */
void channel_keeper_stop(struct spill_channel *channel);

/* What the store holds, without the buffers of transfers; under the mutex. */
uint64_t channel_memory_bytes(const struct spill_channel *channel);

/* A moment of the monotonic clock; timeouts are turned into one at once. */
struct deadline {
    uint64_t us;
    bool is_never;
};
struct deadline deadline_after(int64_t timeout_us);
bool deadline_is_over(const struct deadline *deadline);
/* Waits on one of the channel's conditions, at most until the deadline or, if not 0, for slice_us.
 * Under the mutex, which is let go meanwhile. May return early. */
void channel_wait(struct spill_channel *channel, pthread_cond_t *condition,
                  const struct deadline *deadline, uint64_t slice_us);

/* ---- channel_directory.c ---- */

/* Makes the directory if need be, locks it, and looks for what is not ours. *out_path is the
 * directory's, to be freed. Fills lock_fd and the foreign_ fields. */
int channel_directory_take(struct spill_channel *channel, const char *directory, char **out_path);
void channel_directory_release(struct spill_channel *channel);

/* ---- handles ---- */

struct spill_sender {
    struct spill_channel *channel;
};
struct spill_receiver {
    struct spill_channel *channel;
};
#endif
