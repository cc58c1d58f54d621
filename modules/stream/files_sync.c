/* files_sync.c - what is closed is brought to the device for a checkpoint: all at once.
 *
 *   a checkpoint refers to what is closed and was not synced ─▶ one sync of the file system, by a
 *   job ─▶ all that was closed when it began is on the device
 *
 * A failure says nothing of where it was. Then nothing that was not synced is trusted any more:
 * each such journal takes no more entries, and no checkpoint that refers to it is complete. What is
 * open is told of its own failures by its own sync, but only while it is open: from then on none is
 * closed before that. */
#include "modules/base/os.h"
#include "modules/stream/files_internal.h"

bool stream_files_may_close(const struct stream_files *files)
{
    const struct journal *journal = files->journal;

    if (files->sync_error < 0) return true; /* another sync would answer with a lie */
    if (journal_error(journal) < 0 || journal_synced(journal) == journal_appended(journal))
        return true;
    return files->store->files->sync_fd >= 0 && journal_may_close_late(journal);
}

static struct stream_files_store *all_of(struct io_job *job)
{
    return list_container(job, struct stream_files_store, sync_job);
}

static void run_sync(struct io_job *job, struct os *os)
{
    job->rc = os->sync_filesystem(os, all_of(job)->sync_fd);
}

static bool is_unsynced(const struct stream_files *files)
{
    return !files->journal && files->synced < files->end;
}

/* What was closed meanwhile may be hit, too: it would not be told again. */
static void take_failure(struct stream_files *files, int error)
{
    if (files->sync_end > 0 || is_unsynced(files)) files->sync_error = error;
}

static void take_success(struct stream_files *files)
{
    if (!files->journal && files->sync_end > files->synced) files->synced = files->sync_end;
}

static void sync_done(struct io_job *job)
{
    struct stream_files_store *all = all_of(job);
    struct os *os = all->store->os;

    all->is_syncing = false;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        if (job->rc < 0)
            take_failure(files, job->rc);
        else
            take_success(files);
        files->sync_end = 0;
    }
    if (job->rc < 0) {
        (void)os->close(os, all->sync_fd); /* nothing was written through it */
        all->sync_fd = -1;
    }
    stream_files_tell_ready(all->store);
}

void stream_files_sync_closed(struct stream_files_store *all)
{
    if (all->is_syncing || all->sync_fd < 0) return;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        bool is_closed = files->state == FILES_CLOSED && is_unsynced(files);
        files->sync_end = is_closed ? files->end : 0;
    }
    all->is_syncing = true;
    all->sync_job = (struct io_job){ .run = run_sync, .done = sync_done };
    io_submit(all->store->io, &all->sync_job);
}
