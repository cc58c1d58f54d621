/* backup.h - the last complete checkpoint copied to another directory, on which a server starts.
 *
 *   PREPARING ─▶ the target is made and marked (backup_target.h)
 *   READY      backup_copy begins the rest, when there is a checkpoint for it: a target that will
 *              not do is told before one is made
 *   OPENING ─▶ the checkpoint's files are opened, and the target's are made
 *   NAMING  ─▶ the checkpoint file is copied, a few blocks a job
 *   COPYING ─▶ the extents that it refers to, a few megabytes a job: shared blocks where the file
 *              systems have them (reflinks), else read and written
 *   STREAMS ─▶ and the journals of streams (modules/stream/copy.h)
 *   ENDING  ─▶ all of it is synced, then it is a backup                              DONE
 *      an error, or backup_cancel:  DISCARDING, nothing of it stays                  FAILED
 *
 * From backup_copy on the store's checkpoint is pinned by the caller, and no other one begins
 * before backup_has_opened. One job is under way at a time, and what waits for disks is in jobs.
 * One thread, io's owner. */
#ifndef SERVER_DURABILITY_BACKUP_H
#define SERVER_DURABILITY_BACKUP_H
#include <stdbool.h>
#include <stdint.h>

struct backup;
struct io;
struct spill_store;
struct stream_store;

struct backup_options {
    struct io *io;
    struct spill_store *store;
    struct stream_store *streams;
    const char *directory; /* of the server's data; stays good meanwhile */
    const char *target;
    void (*on_progress)(void *context); /* from io_poll, after each job */
    void *context;
};

/* Begins with the target. -ENOMEM. */
int backup_create(const struct backup_options *options, struct backup **out_backup);
/* READY, and not cancelled. */
bool backup_is_ready(const struct backup *backup);
/* Goes on with the store's checkpoint, which is pinned, and its number. It is ready. -ENOMEM: it is
 * to be cancelled. */
int backup_copy(struct backup *backup, uint64_t number);
/* Waits for what is under way; of what is not DONE nothing stays. Accepts NULL. */
void backup_destroy(struct backup *backup);
/* Ends as FAILED, unless it is DONE by then. */
void backup_cancel(struct backup *backup, int error);

/* The checkpoint's files are open, or will not be. */
bool backup_has_opened(const struct backup *backup);
/* DONE or FAILED. */
bool backup_has_ended(const struct backup *backup);

struct backup_progress {
    uint64_t total_bytes, copied_bytes; /* total 0: not known yet */
    uint64_t cloned_bytes;              /* of copied_bytes: shared with the original */
    int error;                          /* 0, or why it has failed or is about to */
    const char *step;                   /* in words: what is being done, or has failed */
    const char *why;                    /* error in words */
    bool is_left; /* it has failed, and what is left of it in the target could not be removed */
};
void backup_get_progress(const struct backup *backup, struct backup_progress *out_progress);
#endif
