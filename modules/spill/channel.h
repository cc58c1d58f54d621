/* channel.h - a named queue of messages between threads that may be longer than memory.
 *
 * Any number of senders and receivers, in any threads of one process, share a channel. Messages are
 * byte strings of any length, zero included. They stay in memory while they fit into memory_bytes
 * and go to a file in the channel's own directory beyond that, at most disk_bytes_max of it. When
 * both are full a message is refused, not dropped, and the caller still has it. What was accepted
 * is delivered exactly once, in one order: the order in which the channel took it in, so each
 * sender's messages come out as they were sent. Every accepted message can be received at once;
 * there is nothing to flush.
 *
 * A channel does not outlive its process: what was not received is gone when it is closed or the
 * process ends, and files of an earlier life are removed on opening.
 *
 * Handles. spill_channel_open gives one sender and one receiver; more are made by cloning. The
 * channel ends with its last handle. One handle may be used by several threads at once, but not
 * while, or after, it is closed. After fork only one of the processes may use the handles.
 *
 * Threads. A channel has two threads for its disk and one that looks after them; all sleep while
 * nothing is to be done. A sender or receiver waits for the disk without keeping others out.
 *
 * Errors are negative errno values; after one nothing has changed. Nothing here logs. */
#ifndef MODULES_SPILL_CHANNEL_H
#define MODULES_SPILL_CHANNEL_H
#include "modules/base/slice.h"

struct os;
struct spill_channel; /* what the handles share */
struct spill_sender;
struct spill_receiver;

enum {
    SPILL_CHANNEL_NAME_BYTES_MAX = 200,
    SPILL_CHANNEL_MEMORY_BYTES_MIN = 64 << 10,
    SPILL_CHANNEL_MEMORY_BYTES_DEFAULT = 1 << 20,
    SPILL_CHANNEL_MESSAGE_BYTES_MAX = 1 << 30,
};
/* As disk_bytes_max: until the disk is full. */
#define SPILL_CHANNEL_DISK_UNLIMITED UINT64_MAX
/* As a timeout. 0 does not wait. */
#define SPILL_CHANNEL_FOREVER INT64_C(-1)

struct spill_channel_options {
    const char *directory; /* exists */
    /* The channel's directory in it, made when missing. Not empty, at most
     * SPILL_CHANNEL_NAME_BYTES_MAX, without '/', not beginning with '.'. */
    const char *name;
    /* For messages and the index of what is on disk, as the allocator counts it; one message and
     * 128 KiB of descriptors of writes under way may exceed it for a moment. Buffers of transfers,
     * at most 6 MiB, exist only while the disk is in use and are not counted. 0: the default. */
    uint64_t memory_bytes;
    uint64_t disk_bytes_max;    /* in whole blocks of 4 KiB; 0: 80% of what is free on opening */
    uint64_t message_bytes_max; /* at most half of memory_bytes; 0: an eighth of memory_bytes */
};

/* Takes the directory for this process and this channel alone, by a lock on the file `channel.lock`
 * in it, which stays there. Files named spill-*.dat of an earlier life are removed; what else is
 * found is left alone and reported (foreign_file_count). May wait for the disk. os must outlive the
 * channel. -EINVAL: the options contradict the above. -EWOULDBLOCK: another channel, here or in
 * another process, has the directory. -EEXIST: something foreign has the name of our file. -ENOENT,
 * -ENOTDIR, -EACCES, -EROFS, …: of the directory. -EAGAIN: no thread could be started. -ENOMEM. */
int spill_channel_open(struct os *os, const struct spill_channel_options *options,
                       struct spill_sender **out_sender, struct spill_receiver **out_receiver);

/* Another handle of the same channel. -ENOMEM. */
int spill_sender_clone(struct spill_sender *sender, struct spill_sender **out_sender);
int spill_receiver_clone(struct spill_receiver *receiver, struct spill_receiver **out_receiver);
/* Accept NULL. With the last sender, receivers are given what is left and then -EPIPE. With the
 * last receiver, what is left is dropped and senders are given -EPIPE. With the last of both, the
 * file is removed (this may wait for the disk) and the lock let go. */
void spill_sender_close(struct spill_sender *sender);
void spill_receiver_close(struct spill_receiver *receiver);

/* Copies the message. Never waits for a receiver: when there is no room the answer comes at once.
 * While messages go to disk it may wait for writes that are under way, never longer than those.
 * 0: taken. -ENOSPC: memory and disk are full. -EPIPE: no receiver is left. -EMSGSIZE: larger than
 * message_bytes_max. -EIO: memory is full and the disk refuses to be written
 * (spill_channel_error says why); try again. -ENOMEM. */
int spill_sender_send(struct spill_sender *sender, struct slice message);
/* As spill_sender_send, but when there is no room waits until there is, for at most timeout_us
 * microseconds or SPILL_CHANNEL_FOREVER. When the time is over: -ENOSPC or -EIO as above, or
 * -ETIMEDOUT when only writes under way were waited for. */
int spill_sender_send_wait(struct spill_sender *sender, struct slice message, int64_t timeout_us);
/* As spill_sender_send for the first of the messages, the second, …, which nobody else's come
 * between unless writes have to be waited for. The number that was taken, from the front on; an
 * error only if that is none. 0: there were none to send. */
int64_t spill_sender_send_many(struct spill_sender *sender, const struct slice *messages,
                               size_t message_count);

/* A message in memory of its own. */
struct spill_message {
    size_t size;
    uint8_t bytes[];
};

/* Takes the oldest message, waiting for at most timeout_us microseconds or SPILL_CHANNEL_FOREVER
 * until there is one and, if need be, until it has been read from disk. The message goes to
 * bytes[0, *out_size). 1: taken. 0: the time is over (a read that was begun goes on). -EMSGSIZE:
 * *out_size, which is the only thing that has changed, is above capacity. -EPIPE: no sender is left
 * and all was received. -EIO: the message could not be read; it stays, and the next call tries
 * again. -EBADMSG: what was read is not what was written; it stays (see spill_receiver_skip).
 * -ENOMEM. */
int spill_receiver_receive(struct spill_receiver *receiver, void *bytes, size_t capacity,
                           int64_t timeout_us, size_t *out_size);
/* The same into memory made for it, which the caller frees with free(). */
int spill_receiver_receive_copy(struct spill_receiver *receiver, int64_t timeout_us,
                                struct spill_message **out_message);
/* Waits as spill_receiver_receive for the first message and takes, with it, those after it that
 * are in memory and fit: at most capacity bytes in all and message_count_max messages, one behind
 * the other in bytes; out_messages[i] are views of them. The number taken; 0 when the time is
 * over; errors as above, -EMSGSIZE when not even the first fits (*out_size is what it needs, else
 * the sum of those taken). message_count_max is above 0. */
int64_t spill_receiver_receive_many(struct spill_receiver *receiver, void *bytes, size_t capacity,
                                    int64_t timeout_us, struct slice *out_messages,
                                    size_t message_count_max, size_t *out_size);
/* Drops up to count of the oldest messages, the way past damage that -EBADMSG tells of:
 * spill_channel_error names the range ("elements 0 to 61": skip 62). Whole chunks go unread; waits
 * for reads without limit. The number dropped; 0: there are none. Errors as of receive but -EPIPE.
 */
int64_t spill_receiver_skip(struct spill_receiver *receiver, uint64_t count);

/* The channel of a handle; good while the handle is open. */
struct spill_channel *spill_sender_channel(const struct spill_sender *sender);
struct spill_channel *spill_receiver_channel(const struct spill_receiver *receiver);

/* As given on opening; lives as long as the channel. */
const char *spill_channel_name(const struct spill_channel *channel);

struct spill_channel_info {
    uint64_t message_count, message_bytes; /* accepted and not received yet */
    uint64_t message_count_in_memory;      /* of these; the rest is on disk only */
    uint64_t memory_bytes;                 /* held now: messages and index */
    uint64_t memory_bytes_max;
    uint64_t disk_bytes; /* in use now, in whole blocks */
    uint64_t disk_bytes_max;
    uint64_t file_bytes; /* size of the file, free room inside included */
    uint64_t sent_count, sent_bytes, received_count, received_bytes; /* since opening */
    uint64_t rejected_count;               /* refused because memory and disk were full */
    uint64_t skipped_count, dropped_count; /* by skip; left when the last receiver went */
    uint64_t write_errors, read_errors, checksum_errors;
    uint64_t sender_count, receiver_count; /* open handles */
    uint64_t foreign_file_count;           /* found on opening and left alone */
};
void spill_channel_info(struct spill_channel *channel, struct spill_channel_info *out_info);
/* One of the foreign files' names, "" when there was none; lives as long as the channel. */
const char *spill_channel_foreign_file(const struct spill_channel *channel);
/* The last error of the disk in words, cut to capacity with its zero; "" when there was none.
 * capacity is above 0. */
void spill_channel_error(struct spill_channel *channel, char *text, size_t capacity);
#endif
