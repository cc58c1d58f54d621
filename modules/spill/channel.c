/* A channel's life: opened, its handles cloned and closed, ended with the last of them; figures. */
#include "modules/spill/channel_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/io/io.h"

enum {
    IO_THREADS = 2, /* one may write while the other reads for somebody who waits */
    CHUNK_BYTES_MIN = 512,
    CHUNK_BYTES_MAX = 32768,
    CHUNKS_IN_MEMORY = 24, /* at least so many, if chunks can be that small */
    PREFETCH_BYTES_MAX = 1 << 20,
    DRIVE_BYTES_MAX = 64 << 10,
    MESSAGE_SHARE_DEFAULT = 8,
    MESSAGE_SHARE_MIN = 2,
    DISK_PERCENT_DEFAULT = 80,
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool name_is_valid(const char *name)
{
    size_t size = strlen(name);

    if (size == 0 || size > SPILL_CHANNEL_NAME_BYTES_MAX) return false;
    return name[0] != '.' && !strchr(name, '/');
}

/* Fills in the defaults. */
static int settle_options(struct os *os, struct spill_channel_options *options)
{
    uint64_t free_bytes;
    int rc;

    if (!options->directory || !options->name || !name_is_valid(options->name)) return -EINVAL;
    if (options->memory_bytes == 0) options->memory_bytes = SPILL_CHANNEL_MEMORY_BYTES_DEFAULT;
    if (options->memory_bytes < SPILL_CHANNEL_MEMORY_BYTES_MIN) return -EINVAL;
    if (options->message_bytes_max == 0) {
        options->message_bytes_max = options->memory_bytes / MESSAGE_SHARE_DEFAULT;
        if (options->message_bytes_max > SPILL_CHANNEL_MESSAGE_BYTES_MAX) {
            options->message_bytes_max = SPILL_CHANNEL_MESSAGE_BYTES_MAX;
        }
    }
    if (options->message_bytes_max > options->memory_bytes / MESSAGE_SHARE_MIN) return -EINVAL;
    if (options->message_bytes_max > SPILL_CHANNEL_MESSAGE_BYTES_MAX) return -EINVAL;
    if (options->disk_bytes_max == 0) {
        rc = os->free_bytes(os, options->directory, &free_bytes);
        if (rc < 0) return rc;
        options->disk_bytes_max = free_bytes / 100 * DISK_PERCENT_DEFAULT;
        /* The store takes 0 for no limit. */
        if (options->disk_bytes_max == 0) options->disk_bytes_max = 1;
    }
    return 0;
}

/* How the store tells that a read has ended that somebody waits for. */
static void wake_readers(void *context)
{
    struct spill_channel *channel = context;

    if (channel->progress_waiters > 0) pthread_cond_broadcast(&channel->progress);
}

static uint32_t at_most(uint64_t value, uint32_t most)
{
    return value < most ? (uint32_t)value : most;
}

/* Powers of two fill their blocks on disk. */
static uint32_t chunk_size(uint64_t memory_bytes)
{
    uint32_t bytes = CHUNK_BYTES_MAX;

    while (bytes > CHUNK_BYTES_MIN && bytes > memory_bytes / CHUNKS_IN_MEMORY)
        bytes /= 2;
    return bytes;
}

static int open_store(struct spill_channel *channel, const struct spill_channel_options *options,
                      const char *path)
{
    uint64_t disk = options->disk_bytes_max;
    struct spill_options store_options = {
        .directory = path,
        .memory_bytes = options->memory_bytes,
        .disk_bytes_max = disk == SPILL_CHANNEL_DISK_UNLIMITED ? 0 : disk,
        .chunk_bytes = chunk_size(options->memory_bytes),
        .element_bytes_max = (uint32_t)options->message_bytes_max,
        .prefetch_bytes = at_most(options->memory_bytes / 8, PREFETCH_BYTES_MAX),
    };
    struct spill_hooks hooks = { .on_ready = wake_readers, .context = channel };
    int rc = io_create(channel->os, IO_THREADS, &channel->io);

    if (rc == 0) {
        rc = spill_store_create(channel->os, channel->io, &store_options, &hooks, &channel->store);
    }
    return rc < 0 ? rc : spill_deque_create(channel->store, &channel->deque);
}

/* Waiting is by the monotonic clock: nobody's timeout jumps with the wall's. */
static int init_conditions(struct spill_channel *channel)
{
    pthread_condattr_t monotonic;
    pthread_mutexattr_t adaptive;
    int rc = pthread_condattr_init(&monotonic);

    if (rc == 0) rc = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (rc == 0) rc = pthread_cond_init(&channel->arrived, &monotonic);
    if (rc == 0) rc = pthread_cond_init(&channel->progress, &monotonic);
    if (rc == 0) rc = pthread_mutexattr_init(&adaptive);
    /* It is held for a fraction of a microsecond: to spin is cheaper than to sleep. */
    if (rc == 0) rc = pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (rc == 0) rc = pthread_mutex_init(&channel->mutex, &adaptive);
    return -rc;
}

static struct spill_channel *channel_create(struct os *os,
                                            const struct spill_channel_options *options)
{
    struct spill_channel *channel = calloc(1, sizeof(*channel));

    if (!channel) return NULL;
    channel->os = os;
    channel->lock_fd = -1;
    channel->keeper_fd = -1;
    channel->disk_bytes_max = options->disk_bytes_max;
    channel->message_bytes_max = options->message_bytes_max;
    channel->drive_bytes = at_most(options->memory_bytes / 16, DRIVE_BYTES_MAX);
    (void)snprintf(channel->name, sizeof(channel->name), "%s", options->name);
    if (init_conditions(channel) == 0) return channel;
    /* They need no memory here; there is nothing to give back. */
    free(channel);
    return NULL;
}

/* The keeper has ended or was never started. */
static void channel_destroy(struct spill_channel *channel)
{
    if (!channel) return;
    spill_deque_destroy(channel->deque);
    spill_store_destroy(channel->store);
    io_destroy(channel->io);
    channel_directory_release(channel);
    pthread_cond_destroy(&channel->arrived);
    pthread_cond_destroy(&channel->progress);
    pthread_mutex_destroy(&channel->mutex);
    free(channel);
}

int spill_channel_open(struct os *os, const struct spill_channel_options *options,
                       struct spill_sender **out_sender, struct spill_receiver **out_receiver)
{
    struct spill_channel_options settled = *options;
    struct spill_channel *channel = NULL;
    struct spill_sender *sender = NULL;
    struct spill_receiver *receiver = NULL;
    char *path = NULL;
    int rc = settle_options(os, &settled);

    if (rc < 0) goto out;
    rc = -ENOMEM;
    sender = calloc(1, sizeof(*sender));
    receiver = calloc(1, sizeof(*receiver));
    channel = channel_create(os, &settled);
    if (!sender || !receiver || !channel) goto out;
    rc = channel_directory_take(channel, settled.directory, &path);
    if (rc < 0) goto out;
    rc = open_store(channel, &settled, path);
    if (rc < 0) goto out;
    channel->sender_count = channel->receiver_count = 1;
    rc = channel_keeper_start(channel);
    if (rc < 0) goto out;
    sender->channel = receiver->channel = channel;
    *out_sender = sender;
    *out_receiver = receiver;
    sender = NULL;
    receiver = NULL;
    channel = NULL;
out:
    channel_destroy(channel);
    free(sender);
    free(receiver);
    free(path);
    return rc;
}

/* ---- handles --------------------------------------------------------------------------------- */

int spill_sender_clone(struct spill_sender *sender, struct spill_sender **out_sender)
{
    struct spill_channel *channel = sender->channel;
    struct spill_sender *clone = calloc(1, sizeof(*clone));

    if (!clone) return -ENOMEM;
    clone->channel = channel;
    channel_lock(channel);
    channel->sender_count++;
    channel_unlock(channel);
    *out_sender = clone;
    return 0;
}

int spill_receiver_clone(struct spill_receiver *receiver, struct spill_receiver **out_receiver)
{
    struct spill_channel *channel = receiver->channel;
    struct spill_receiver *clone = calloc(1, sizeof(*clone));

    if (!clone) return -ENOMEM;
    clone->channel = channel;
    channel_lock(channel);
    channel->receiver_count++;
    channel_unlock(channel);
    *out_receiver = clone;
    return 0;
}

/* After a handle was closed. */
static void end_if_unused(struct spill_channel *channel, bool is_unused)
{
    if (!is_unused) return;
    channel_keeper_stop(channel);
    channel_destroy(channel);
}

void spill_sender_close(struct spill_sender *sender)
{
    struct spill_channel *channel;
    bool is_unused;

    if (!sender) return;
    channel = sender->channel;
    free(sender);
    channel_lock(channel);
    assert(channel->sender_count > 0);
    if (--channel->sender_count == 0) pthread_cond_broadcast(&channel->arrived);
    is_unused = channel->sender_count + channel->receiver_count == 0;
    channel_unlock(channel);
    end_if_unused(channel, is_unused);
}

/* Nobody will ask for what is left. The keeper gives its room on disk back. */
static void drop_messages(struct spill_channel *channel)
{
    channel->dropped_count += spill_deque_count(channel->deque);
    spill_deque_destroy(channel->deque);
    channel->deque = NULL;
    channel_keeper_wake(channel);
    pthread_cond_broadcast(&channel->progress);
}

void spill_receiver_close(struct spill_receiver *receiver)
{
    struct spill_channel *channel;
    bool is_unused;

    if (!receiver) return;
    channel = receiver->channel;
    free(receiver);
    channel_lock(channel);
    assert(channel->receiver_count > 0);
    if (--channel->receiver_count == 0) drop_messages(channel);
    is_unused = channel->sender_count + channel->receiver_count == 0;
    channel_unlock(channel);
    end_if_unused(channel, is_unused);
}

struct spill_channel *spill_sender_channel(const struct spill_sender *sender)
{
    return sender->channel;
}

struct spill_channel *spill_receiver_channel(const struct spill_receiver *receiver)
{
    return receiver->channel;
}

/* ---- figures --------------------------------------------------------------------------------- */

const char *spill_channel_name(const struct spill_channel *channel)
{
    return channel->name;
}

const char *spill_channel_foreign_file(const struct spill_channel *channel)
{
    return channel->foreign_file;
}

void spill_channel_info(struct spill_channel *channel, struct spill_channel_info *out_info)
{
    struct spill_store_info store;
    struct spill_deque_info deque = { 0 };

    channel_lock(channel);
    spill_store_info(channel->store, &store);
    /* Without a pause hook it cannot fail. */
    if (channel->deque) (void)spill_deque_info(channel->deque, &deque);
    *out_info = (struct spill_channel_info){
        .message_count = deque.element_count,
        .message_bytes = deque.element_bytes,
        .message_count_in_memory = deque.elements_in_memory,
        .memory_bytes = channel_memory_bytes(channel),
        .memory_bytes_max = store.memory_budget_bytes,
        .disk_bytes = store.disk_used_bytes,
        .disk_bytes_max = channel->disk_bytes_max,
        .file_bytes = store.file_bytes,
        .sent_count = channel->sent_count,
        .sent_bytes = channel->sent_bytes,
        .received_count = channel->received_count,
        .received_bytes = channel->received_bytes,
        .rejected_count = channel->rejected_count,
        .skipped_count = channel->skipped_count,
        .dropped_count = channel->dropped_count,
        .write_errors = store.write_errors,
        .read_errors = store.read_errors,
        .checksum_errors = store.checksum_errors,
        .sender_count = channel->sender_count,
        .receiver_count = channel->receiver_count,
        .foreign_file_count = channel->foreign_file_count,
    };
    channel_unlock(channel);
}

void spill_channel_error(struct spill_channel *channel, char *text, size_t capacity)
{
    assert(capacity > 0);
    channel_lock(channel);
    (void)snprintf(text, capacity, "%s", spill_store_last_error(channel->store));
    channel_unlock(channel);
}
