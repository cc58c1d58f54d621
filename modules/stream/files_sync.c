/* files_sync.c - what is closed is brought to the device for a checkpoint: all at once.
 *
 *   a checkpoint refers to what is closed and was not synced ─▶ one sync of the file system, by a
 *   job ─▶ all that was closed when it began is on the device
 *
 * What is open again is asked about, too, before its own sync: when pages of a file that nobody has
 * open could not be written, and the file has left the kernel's memory since, its own sync knows
 * nothing of that (**late**: it was closed before it was synced). Only the file system does.
 *
 * A failure says nothing of where it was, and is told once. Then whatever is not known to be on the
 * device is suspect (files_mend.c): of journals that are open, too, for what they have now and
 * cannot bring there nobody will tell once they are closed. The next sync of all is told only of
 * what fails from the first one's end on. */
#include "modules/base/os.h"
#include "modules/stream/files_internal.h"

bool stream_files_may_close(const struct stream_files *files)
{
    const struct journal *journal = files->journal;

    /* Another sync would answer with a lie; what must stay is not asked about. */
    if (files->sync_error < 0 || journal_error(journal) < 0) return true;
    if (journal_synced(journal) == journal_appended(journal)) return true;
    return files->store->files->sync_fd >= 0 && journal_may_close_late(journal);
}

static struct stream_files_store *all_of(struct io_job *job)
{
    return list_container(job, struct stream_files_store, sync_job);
}

/* Each descriptor is told of what has failed since it was opened, once. */
static void run_sync(struct io_job *job, struct os *os)
{
    struct stream_files_store *all = all_of(job);

    job->rc = os->sync_filesystem(os, all->sync_fd);
    if (job->rc == 0) return;
    (void)os->close(os, all->sync_fd); /* nothing was written through it */
    all->next_sync_fd = os->watch_filesystem(os, all->store->options.directory);
    if (all->next_sync_fd < 0) all->next_sync_fd = -1; /* then one by one */
}

void stream_files_note_late(struct stream_files *files)
{
    if (files->synced >= files->end) return;
    if (files->late_end == 0 || files->synced < files->late_from) files->late_from = files->synced;
    files->late_end = files->end;
}

void stream_files_forget_late(struct stream_files *files)
{
    files->late_from = files->late_end = 0;
}

static bool is_unsynced(const struct stream_files *files)
{
    uint64_t synced = files->journal ? journal_synced(files->journal) : files->synced;

    return synced < files->end || files->late_end > 0;
}

/* What was closed or written meanwhile may be hit, too: it would not be told again. */
static void take_failure(struct stream_files *files, int error)
{
    if (is_unsynced(files)) stream_files_suspect(files, error);
}

/* It may have been opened meanwhile, and closed once more. */
static void take_success(struct stream_files *files)
{
    if (!files->journal && files->sync_end > files->synced) files->synced = files->sync_end;
    if (files->late_end <= files->sync_end)
        stream_files_forget_late(files);
    else if (files->late_from < files->sync_end)
        files->late_from = files->sync_end;
}

static void sync_done(struct io_job *job)
{
    struct stream_files_store *all = all_of(job);

    all->is_syncing = false;
    if (job->rc < 0) all->sync_fd = all->next_sync_fd;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        if (job->rc < 0)
            take_failure(files, job->rc);
        else
            take_success(files);
        files->sync_end = 0;
    }
    stream_files_tell_ready(all->store);
}

/* What a sync that begins now brings to the device. One that is being closed is still written to.
 */
static uint64_t end_meant(const struct stream_files *files)
{
    if (files->sync_error < 0 || files->state == FILES_CLOSING) return 0;
    if (files->state != FILES_CLOSED) return files->late_end;
    return is_unsynced(files) ? files->end : 0;
}

void stream_files_sync_closed(struct stream_files_store *all)
{
    if (all->is_syncing || all->sync_fd < 0) return;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        files->sync_end = end_meant(files);
    }
    all->is_syncing = true;
    all->sync_job = (struct io_job){ .run = run_sync, .done = sync_done };
    io_submit(all->store->io, &all->sync_job);
}
