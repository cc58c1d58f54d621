/* log_reserve.c - room on the disk that is kept for what removes.
 *
 * A file beside the log has a few megabytes. When the disk is full, pieces of it are given back to
 * the file system as commands that remove need room in the log; commands that add are refused from
 * then on, until the file could be made whole again with something left over.
 *
 * Checkpoints that find no room get most of it, too: not the last, as without that nothing could be
 * removed any more. What went to them is not taken back before there is room for all: one may need
 * several pieces, and each has yet to begin when its piece is there. */
#include "server/durability/oplog_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/journal.h"

enum {
    RESERVE_BYTES = 4 << 20,
    PIECE_BYTES = 512 << 10,
    LISTS_BYTES = 1 << 20, /* what the lists' file asks for next, at least */
    LOG_BYTES = 1 << 20,   /* of it that only the log gets */
    MEND_US = 200000,
};

/* Free beside it before adding goes on: what the log and the lists' file ask for at a time, or it
 * would be over with the first push. */
static uint64_t left_over_bytes(uint64_t roll_bytes)
{
    bool is_small = roll_bytes > 0 && roll_bytes < JOURNAL_AHEAD_BYTES_MAX;

    return LISTS_BYTES + (is_small ? roll_bytes : JOURNAL_AHEAD_BYTES_MAX);
}

/* Whether all that is missing is there, and something beside it. */
static int look_for_room(const struct log_reserve *reserve, struct os *os, uint64_t missing_bytes)
{
    uint64_t free_bytes = 0;
    int rc = os->free_bytes(os, reserve->path, &free_bytes);

    return rc == 0 && free_bytes < missing_bytes + reserve->left_over_bytes ? -ENOSPC : rc;
}

/* Some file systems keep what they found. What cannot be given back counts, or it would be out of
 * reach of what removes. */
static void give_back_part(struct log_reserve *reserve, struct os *os)
{
    uint64_t size;

    if (os->truncate(os, reserve->fd, reserve->bytes) == 0) return;
    if (os->size(os, reserve->fd, &size) == 0) reserve->made_bytes = size; /* else: next time */
}

static void run_make(struct io_job *job, struct os *os)
{
    struct log_reserve *reserve = (struct log_reserve *)job;
    uint64_t bytes = reserve->bytes, wanted = reserve->wanted;

    job->rc = 0;
    if (reserve->all_at_once)
        job->rc = look_for_room(reserve, os, bytes < wanted ? wanted - bytes : 0);
    if (job->rc < 0) return;
    job->rc = os->allocate(os, reserve->fd, 0, wanted);
    if (job->rc < 0) {
        give_back_part(reserve, os);
        return;
    }
    reserve->made_bytes = wanted;
    job->rc = look_for_room(reserve, os, 0);
}

static void run_give(struct io_job *job, struct os *os)
{
    struct log_reserve *reserve = (struct log_reserve *)job;

    job->rc = os->truncate(os, reserve->fd, reserve->wanted);
}

/* A file system that cannot reserve has none. */
static bool is_whole(int rc)
{
    return rc == 0 || rc == -EOPNOTSUPP;
}

/* What the journal tells next is of an attempt before this. */
static void forget_attempt(struct oplog *oplog)
{
    oplog->is_told_full = false;
}

static void work_done(struct io_job *job)
{
    struct log_reserve *reserve = (struct log_reserve *)job;
    struct oplog *oplog = reserve->oplog;

    if (reserve->work == RESERVE_GIVING) {
        if (job->rc == 0) {
            reserve->bytes = reserve->wanted;
            forget_attempt(oplog);
        }
    } else {
        reserve->bytes = reserve->made_bytes;
        if (job->rc == -EOPNOTSUPP) reserve->bytes = 0;
        if (is_whole(job->rc)) {
            oplog->room_error = 0;
            forget_attempt(oplog);
            reserve->has_given_way = false;
        }
    }
    reserve->work = RESERVE_IDLE;
    (void)oplog_append_kept(oplog); /* what is left is tried again */
    oplog->on_progress(oplog->context);
}

static void submit(struct oplog *oplog, enum reserve_work work, uint64_t wanted)
{
    struct log_reserve *reserve = &oplog->reserve;

    reserve->oplog = oplog;
    reserve->work = work;
    reserve->wanted = wanted;
    reserve->made_bytes = reserve->bytes;
    reserve->all_at_once = reserve->has_given_way;
    reserve->left_over_bytes = left_over_bytes(oplog->roll_bytes);
    reserve->job.run = work == RESERVE_MAKING ? run_make : run_give;
    reserve->job.done = work_done;
    reserve->job.is_urgent = work == RESERVE_GIVING;
    io_submit(oplog->io, &reserve->job);
}

static bool give_down_to(struct oplog *oplog, uint64_t least_bytes)
{
    struct log_reserve *reserve = &oplog->reserve;
    uint64_t above;

    if (reserve->work != RESERVE_IDLE) return true;
    if (reserve->bytes <= least_bytes) return false;
    above = reserve->bytes - least_bytes;
    submit(oplog, RESERVE_GIVING, reserve->bytes - (above > PIECE_BYTES ? PIECE_BYTES : above));
    return true;
}

bool log_reserve_give(struct oplog *oplog)
{
    return give_down_to(oplog, 0);
}

bool log_reserve_give_way(struct oplog *oplog)
{
    bool gives = give_down_to(oplog, LOG_BYTES);

    if (gives) oplog->reserve.has_given_way = true;
    return gives;
}

int log_reserve_give_all(struct oplog *oplog)
{
    struct log_reserve *reserve = &oplog->reserve;

    if (reserve->bytes == 0) return -ENOSPC;
    reserve->bytes = 0;
    oplog->room_error = -ENOSPC;
    return oplog->os->truncate(oplog->os, reserve->fd, 0);
}

void log_reserve_mend(struct oplog *oplog, uint64_t now_us)
{
    struct log_reserve *reserve = &oplog->reserve;

    if (reserve->work != RESERVE_IDLE || now_us - reserve->tried_us < MEND_US) return;
    reserve->tried_us = now_us;
    submit(oplog, RESERVE_MAKING, RESERVE_BYTES);
}

static char *path_in(const char *directory)
{
    static const char name[] = "/log.reserve";
    size_t size = strlen(directory) + sizeof(name);
    char *path = malloc(size);

    if (path) (void)snprintf(path, size, "%s%s", directory, name);
    return path;
}

int log_reserve_open(struct oplog *oplog)
{
    struct log_reserve *reserve = &oplog->reserve;
    int rc;

    reserve->path = path_in(oplog->directory);
    if (!reserve->path) return -ENOMEM;
    reserve->fd = oplog->os->open(oplog->os, reserve->path, O_RDWR | O_CREAT, 0600);
    if (reserve->fd < 0) return reserve->fd;
    rc = oplog->os->allocate(oplog->os, reserve->fd, 0, RESERVE_BYTES);
    if (rc == 0) reserve->bytes = RESERVE_BYTES;
    if (is_whole(rc)) return 0;
    if (rc != -ENOSPC && rc != -EDQUOT) return rc;
    /* What removes goes on with what is left of it. */
    oplog->room_error = rc;
    return oplog->os->size(oplog->os, reserve->fd, &reserve->bytes);
}

int oplog_give_reserve(struct os *os, const char *directory)
{
    char *path = path_in(directory);
    uint64_t bytes = 0;
    int fd, rc;

    if (!path) return -ENOMEM;
    fd = os->open(os, path, O_RDWR, 0);
    free(path);
    if (fd < 0) return fd;
    rc = os->size(os, fd, &bytes);
    if (rc == 0) rc = bytes > 0 ? os->truncate(os, fd, 0) : -ENOSPC;
    (void)os->close(os, fd); /* nothing was written */
    return rc;
}

/* A log that begins on a full disk would be refused the first write. */
static int find_room(struct os *os, struct oplog_ground *ground)
{
    uint64_t free_bytes = 0;
    int rc = os->allocate(os, ground->reserve_fd, 0, RESERVE_BYTES);

    if (!is_whole(rc)) return rc;
    ground->reserve_bytes = rc == 0 ? RESERVE_BYTES : 0;
    rc = os->free_bytes(os, ground->reserve_path, &free_bytes);
    return rc == 0 && free_bytes < left_over_bytes(ground->roll_bytes) ? -ENOSPC : rc;
}

int log_reserve_prepare(struct os *os, struct oplog_ground *ground)
{
    int rc = -ENOMEM;

    ground->reserve_fd = -1;
    ground->reserve_path = path_in(ground->directory);
    if (ground->reserve_path)
        rc = ground->reserve_fd = os->open(os, ground->reserve_path, O_RDWR | O_CREAT, 0600);
    if (rc >= 0) {
        rc = find_room(os, ground);
        if (rc < 0) (void)os->truncate(os, ground->reserve_fd, 0); /* others need it */
    }
    if (rc < 0) oplog_leave_ground(os, ground);
    return rc;
}

void log_reserve_take(struct oplog *oplog, struct oplog_ground *ground)
{
    oplog->reserve.path = ground->reserve_path;
    oplog->reserve.fd = ground->reserve_fd;
    oplog->reserve.bytes = ground->reserve_bytes;
    ground->reserve_path = NULL;
    ground->reserve_fd = -1;
}

void log_reserve_close(struct oplog *oplog)
{
    struct log_reserve *reserve = &oplog->reserve;

    while (reserve->work != RESERVE_IDLE)
        (void)io_wait(oplog->io);
    if (reserve->fd >= 0) (void)oplog->os->close(oplog->os, reserve->fd); /* nothing was written */
    free(reserve->path);
}
