#include "server/durability/backup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/file.h"
#include "modules/spill/persist.h"
#include "modules/stream/copy.h"
#include "server/durability/backup_target.h"
#include "server/durability/checkpoint_copy.h"
#include "server/durability/checkpoint_files.h"

enum {
    PIECE_BYTES = 4 << 20,  /* of one job: other jobs want their turn */
    BUFFER_BYTES = 1 << 20, /* of one transfer */
    SYNC_BYTES = 32 << 20,  /* no more is left to the kernel to be written */
    RANGES_MAX = 256,       /* of one job */
};

enum step {
    STEP_NONE,
    STEP_PREPARE,
    STEP_OPEN,
    STEP_NAME,
    STEP_COPY,
    STEP_STREAMS,
    STEP_END,
    STEP_DISCARD
};

struct backup {
    struct io_job job; /* first */
    enum step step;    /* that the job does; NONE: nothing is under way */
    enum step last;    /* that was begun, but for DISCARD */
    struct io *io;
    struct spill_store *store;
    struct stream_store *streams;
    struct stream_copy *stream_copy;
    bool has_streams; /* all of their journals are copied */
    const char *directory;
    struct backup_target target;
    uint64_t number; /* of the checkpoint; 0: not given yet */
    char *checkpoint_path, *spill_path;
    int checkpoint_fd, spill_fd; /* of the original; -1: not open */
    struct checkpoint_copy *checkpoint;
    uint8_t *buffer;

    struct spill_range ranges[RANGES_MAX]; /* the job's */
    unsigned range_count;
    uint64_t next_byte, end_byte; /* of the spill file: to be given to a job, and the last one */
    uint64_t unsynced_bytes;      /* this and the next are the workers' */
    bool cannot_clone;
    uint64_t job_copied_bytes, job_cloned_bytes; /* the worker's, until its job is done */

    uint64_t total_bytes, copied_bytes, cloned_bytes, checkpoint_bytes;
    bool is_prepared, has_opened, has_checkpoint, is_done, has_ended, is_left;
    int error;
    void (*on_progress)(void *context);
    void *context;
};

/* ---- on an I/O thread --------------------------------------------------------------------------
 */

static int open_original(const char *path, int flags, struct os *os, int *out_fd)
{
    int fd = os->open(os, path, O_RDONLY | flags, 0);

    if (fd == -EINVAL && flags) fd = os->open(os, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    *out_fd = fd;
    return 0;
}

/* The originals first: who waits for them does not wait for the target. */
static int open_all(struct backup *backup, struct os *os)
{
    int rc = open_original(backup->checkpoint_path, 0, os, &backup->checkpoint_fd);

    if (rc == 0) rc = open_original(backup->spill_path, O_DIRECT, os, &backup->spill_fd);
    if (rc == 0) rc = os->size(os, backup->checkpoint_fd, &backup->checkpoint_bytes);
    if (rc == 0) rc = backup_target_open(&backup->target, os);
    if (rc == 0) rc = os->truncate(os, backup->target.file_fd, backup->end_byte);
    if (rc == 0)
        rc = checkpoint_copy_begin(os, backup->checkpoint_fd, backup->target.checkpoint_fd,
                                   backup->number, &backup->checkpoint);
    return rc;
}

static int copy_bytes(struct backup *backup, struct os *os, uint64_t offset, uint64_t size)
{
    int rc = 0;

    while (size > 0 && rc == 0) {
        size_t part = size < BUFFER_BYTES ? (size_t)size : BUFFER_BYTES;
        rc = os_read_all(os, backup->spill_fd, backup->buffer, part, offset);
        if (rc == 0) rc = os_write_all(os, backup->target.file_fd, backup->buffer, part, offset);
        offset += part;
        size -= part;
    }
    return rc;
}

static int copy_range(struct backup *backup, struct os *os, const struct spill_range *range)
{
    uint64_t offset = range->offset_bytes, size = range->size_bytes;
    int rc = -EOPNOTSUPP;

    if (!backup->cannot_clone)
        rc = os->clone(os, backup->spill_fd, backup->target.file_fd, offset, size);
    if (rc == 0) backup->job_cloned_bytes += size;
    if (rc == -EOPNOTSUPP) {
        backup->cannot_clone = true;
        rc = copy_bytes(backup, os, offset, size);
    }
    if (rc < 0) return rc;
    backup->job_copied_bytes += size;
    backup->unsynced_bytes += size;
    return 0;
}

static int copy_ranges(struct backup *backup, struct os *os)
{
    int rc = 0;

    for (unsigned i = 0; i < backup->range_count && rc == 0; i++)
        rc = copy_range(backup, os, &backup->ranges[i]);
    if (rc < 0 || backup->unsynced_bytes < SYNC_BYTES) return rc;
    backup->unsynced_bytes = 0;
    return os->fdatasync(os, backup->target.file_fd);
}

/* 1: there are more. */
static int copy_streams(struct backup *backup, struct os *os)
{
    return stream_copy_step(backup->stream_copy, os, PIECE_BYTES, &backup->job_copied_bytes);
}

static void close_originals(struct backup *backup, struct os *os)
{
    if (backup->checkpoint_fd >= 0) (void)os->close(os, backup->checkpoint_fd);
    if (backup->spill_fd >= 0) (void)os->close(os, backup->spill_fd);
    backup->checkpoint_fd = backup->spill_fd = -1; /* they were read only */
}

static int end(struct backup *backup, struct os *os)
{
    close_originals(backup, os);
    return backup_target_complete(&backup->target, os);
}

static int discard(struct backup *backup, struct os *os)
{
    int rc = backup->stream_copy ? stream_copy_discard(backup->stream_copy, os) : 0, discarded;

    close_originals(backup, os);
    /* The mark stays with what could not be removed. */
    if (rc < 0) backup->target.is_marked = backup->target.was_made = false;
    discarded = backup_target_discard(&backup->target, os);
    return rc < 0 ? rc : discarded;
}

static void run(struct io_job *job, struct os *os)
{
    struct backup *backup = (struct backup *)(void *)job;

    switch (backup->step) {
    case STEP_PREPARE:
        job->rc = backup_target_prepare(&backup->target, os);
        break;
    case STEP_OPEN:
        job->rc = open_all(backup, os);
        break;
    case STEP_NAME:
        job->rc = checkpoint_copy_step(backup->checkpoint, PIECE_BYTES);
        break;
    case STEP_COPY:
        job->rc = copy_ranges(backup, os);
        break;
    case STEP_STREAMS:
        job->rc = copy_streams(backup, os);
        break;
    case STEP_END:
        job->rc = end(backup, os);
        break;
    default:
        job->rc = discard(backup, os);
        break;
    }
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void done(struct io_job *job);

static void submit(struct backup *backup, enum step step)
{
    assert(backup->step == STEP_NONE);
    backup->step = step;
    if (step != STEP_DISCARD) backup->last = step;
    backup->job = (struct io_job){ .run = run, .done = done };
    io_submit(backup->io, &backup->job);
}

/* The ranges of the next job. False: there are no more. */
static bool gather(struct backup *backup)
{
    uint64_t left = PIECE_BYTES;
    struct spill_range *range = backup->ranges;

    backup->range_count = 0;
    while (backup->range_count < RANGES_MAX && left > 0 &&
           spill_checkpoint_pinned(backup->store, backup->next_byte, left, range)) {
        left -= range->size_bytes;
        backup->next_byte = range->offset_bytes + range->size_bytes;
        backup->range_count++;
        range++;
    }
    return backup->range_count > 0;
}

/* What is next when nothing is under way. */
static void go_on(struct backup *backup)
{
    if (backup->step != STEP_NONE || backup->has_ended) return;
    if (backup->error < 0)
        submit(backup, STEP_DISCARD);
    else if (backup->number == 0)
        return; /* READY */
    else if (!backup->has_opened)
        submit(backup, STEP_OPEN);
    else if (!backup->has_checkpoint)
        submit(backup, STEP_NAME);
    else if (gather(backup))
        submit(backup, STEP_COPY);
    else
        submit(backup, backup->has_streams ? STEP_END : STEP_STREAMS);
}

static void opened(struct backup *backup)
{
    backup->has_opened = true;
    backup->total_bytes += backup->checkpoint_bytes;
}

static void count(struct backup *backup)
{
    backup->copied_bytes += backup->job_copied_bytes;
    backup->cloned_bytes += backup->job_cloned_bytes;
    backup->job_copied_bytes = backup->job_cloned_bytes = 0;
}

static void done(struct io_job *job)
{
    struct backup *backup = (struct backup *)(void *)job;
    enum step step = backup->step;

    backup->step = STEP_NONE;
    count(backup);
    if (step == STEP_DISCARD) {
        backup->has_ended = true;
        backup->is_left = job->rc < 0;
    } else if (job->rc < 0 && backup->error == 0) {
        backup->error = job->rc;
    }
    if (step == STEP_PREPARE) backup->is_prepared = job->rc == 0;
    if (step == STEP_OPEN) opened(backup);
    if (step == STEP_NAME && job->rc == 0) {
        backup->has_checkpoint = true;
        backup->copied_bytes += backup->checkpoint_bytes;
    }
    if (step == STEP_STREAMS) backup->has_streams = job->rc == 0;
    if (step == STEP_END && job->rc == 0) {
        backup->has_ended = backup->is_done = true;
        backup->error = 0; /* it was too late to give it up */
    }
    go_on(backup);
    backup->on_progress(backup->context);
}

/* ---- the owner's -------------------------------------------------------------------------------
 */

static void free_backup(struct backup *backup)
{
    checkpoint_copy_end(backup->checkpoint);
    stream_copy_destroy(backup->stream_copy);
    backup_target_finish(&backup->target);
    free(backup->checkpoint_path);
    free(backup->spill_path);
    free(backup->buffer);
    free(backup);
}

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int make(struct backup *backup, const struct backup_options *options)
{
    const char *spill_path = spill_store_path(options->store);

    backup->spill_path = strdup(spill_path);
    backup->buffer = aligned_alloc(SPILL_BLOCK_BYTES, BUFFER_BYTES);
    if (!backup->spill_path || !backup->buffer) return -ENOMEM;
    return backup_target_init(&backup->target, options->target, name_in(spill_path));
}

int backup_create(const struct backup_options *options, struct backup **out_backup)
{
    struct backup *backup = calloc(1, sizeof(*backup));

    if (!backup) return -ENOMEM;
    backup->io = options->io;
    backup->store = options->store;
    backup->streams = options->streams;
    backup->directory = options->directory;
    backup->on_progress = options->on_progress;
    backup->context = options->context;
    backup->checkpoint_fd = backup->spill_fd = -1;
    if (make(backup, options) < 0) {
        free_backup(backup);
        return -ENOMEM;
    }
    submit(backup, STEP_PREPARE);
    *out_backup = backup;
    return 0;
}

bool backup_is_ready(const struct backup *backup)
{
    return backup->is_prepared && backup->number == 0 && backup->error == 0;
}

int backup_copy(struct backup *backup, uint64_t number)
{
    int rc;

    assert(number > 0 && backup_is_ready(backup));
    assert(spill_checkpoint_is_pinned(backup->store));
    backup->checkpoint_path = checkpoint_files_path(backup->directory, number, false);
    if (!backup->checkpoint_path) return -ENOMEM;
    rc = backup_target_number(&backup->target, number);
    if (rc == 0)
        rc = stream_copy_create(backup->streams, backup->target.path, &backup->stream_copy);
    if (rc < 0) return rc;
    backup->number = number;
    spill_checkpoint_pinned_size(backup->store, &backup->total_bytes, &backup->end_byte);
    backup->total_bytes += stream_copy_total_bytes(backup->stream_copy);
    go_on(backup);
    return 0;
}

static void no_progress(void *context)
{
    (void)context;
}

void backup_destroy(struct backup *backup)
{
    if (!backup) return;
    backup->on_progress = no_progress;
    if (!backup->has_ended) backup_cancel(backup, -ECANCELED);
    while (!backup->has_ended)
        (void)io_wait(backup->io);
    free_backup(backup);
}

void backup_cancel(struct backup *backup, int error)
{
    if (backup->error == 0 && !backup->is_done) backup->error = error;
    go_on(backup);
}

bool backup_has_opened(const struct backup *backup)
{
    return backup->has_opened;
}

bool backup_has_ended(const struct backup *backup)
{
    return backup->has_ended;
}

void backup_get_progress(const struct backup *backup, struct backup_progress *out_progress)
{
    static const char *const words[] = {
        [STEP_NONE] = "beginning",         [STEP_PREPARE] = "making the directory",
        [STEP_OPEN] = "opening the files", [STEP_NAME] = "copying the checkpoint",
        [STEP_COPY] = "copying the lists", [STEP_STREAMS] = "copying streams",
        [STEP_END] = "syncing the copy",
    };
    const char *why = backup->target.why;

    *out_progress = (struct backup_progress){
        .total_bytes = backup->has_opened ? backup->total_bytes : 0,
        .copied_bytes = backup->copied_bytes,
        .cloned_bytes = backup->cloned_bytes,
        .error = backup->error,
        .step = words[backup->last],
        .why = why ? why : strerror(-backup->error),
        .is_left = backup->is_left,
    };
}
