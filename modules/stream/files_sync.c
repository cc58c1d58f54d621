/* files_sync.c - what is closed is brought to the device for a checkpoint: all at once.
 *
 *   a checkpoint refers to what is closed and was not synced ─▶ one sync of the file system, by a
 *   job ─▶ all that was closed when it began is on the device
 *
 * A failure says nothing of where it was, and is told once. Then whatever is not known to be on the
 * device is suspect (files_mend.c): of journals that are open, too, for what they had written
 * before they were closed the last time nobody else tells. The next sync of all is told only of
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

static bool is_unsynced(const struct stream_files *files)
{
    uint64_t synced = files->journal ? journal_synced(files->journal) : files->synced;

    return synced < files->end;
}

/* What was closed or written meanwhile may be hit, too: it would not be told again. */
static void take_failure(struct stream_files *files, int error)
{
    if (is_unsynced(files)) stream_files_suspect(files, error);
}

static void take_success(struct stream_files *files)
{
    if (!files->journal && files->sync_end > files->synced) files->synced = files->sync_end;
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

void stream_files_sync_closed(struct stream_files_store *all)
{
    if (all->is_syncing || all->sync_fd < 0) return;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        bool is_meant =
            files->state == FILES_CLOSED && files->sync_error == 0 && is_unsynced(files);
        files->sync_end = is_meant ? files->end : 0;
    }
    all->is_syncing = true;
    all->sync_job = (struct io_job){ .run = run_sync, .done = sync_done };
    io_submit(all->store->io, &all->sync_job);
}
