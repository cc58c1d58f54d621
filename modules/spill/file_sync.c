/* file_sync.c - what was written is brought to the device, and the file's name with it. */
#include <assert.h>

#include "modules/spill/file_internal.h"
#include "modules/spill/file_kept.h"

static struct file_sync *sync_of(struct io_job *job)
{
    return (struct file_sync *)(void *)((char *)job - offsetof(struct file_sync, job));
}

static void run_sync(struct io_job *job, struct os *os)
{
    const struct spill_file *file = sync_of(job)->file;

    job->rc = os->fdatasync(os, file->fd);
    if (job->rc == 0 && !file->is_directory_synced) {
        job->rc = os->fsync_directory(os, file->directory);
    }
}

static void start(struct file_sync *sync);

static void finish_sync(struct io_job *job)
{
    struct file_sync *sync = sync_of(job);
    void (*done)(void *context, int rc) = sync->done;

    sync->is_running = false;
    if (job->rc == 0) sync->file->is_directory_synced = true;
    if (sync->is_asked) {
        sync->is_asked = false;
        start(sync);
        return;
    }
    sync->done = NULL;
    if (done) done(sync->context, job->rc);
}

static void start(struct file_sync *sync)
{
    sync->is_running = true;
    sync->job = (struct io_job){ .run = run_sync, .done = finish_sync };
    io_submit(sync->file->io, &sync->job);
}

void spill_file_sync(struct spill_file *file, void (*done)(void *context, int rc), void *context)
{
    struct file_sync *sync = &file->sync;

    assert(!sync->done);
    sync->done = done;
    sync->context = context;
    if (sync->is_running)
        sync->is_asked = true; /* what was written since it began may not be part of it */
    else
        start(sync);
}

void spill_file_forget_sync(struct spill_file *file)
{
    file->sync.done = NULL;
    file->sync.is_asked = false;
}
