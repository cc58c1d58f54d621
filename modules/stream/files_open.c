/* files_open.c - journals opened and closed, and removed, by jobs on I/O threads.
 *
 * So many at a time have files open. Who needs another one makes a hand go round for one that was
 * not used since it was there last: that is closed, and its place is free. As many are on their way
 * as there are places wanted. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

enum { REMOVE_AGAIN_MS = 1000 };

struct files_job {
    struct io_job job; /* first */
    struct stream_files *files;
    struct journal_options options;
    struct journal *journal; /* prepared; or to be closed, if it is not NULL */
    bool is_removing;
    char path[STREAM_PATH_BYTES_MAX];
    char text[JOURNAL_REPORT_TEXT_BYTES]; /* why it could not be opened */
};

int stream_files_wait(struct stream_store *store)
{
    int rc = -EAGAIN;

    stream_files_step_due(store->files);
    if (store->hooks.wait) rc = store->hooks.wait(store->hooks.context);
    if (rc == 0) stream_files_step_due(store->files);
    return rc;
}

void stream_files_tell_ready(const struct stream_store *store)
{
    if (store->hooks.on_ready) store->hooks.on_ready(store->hooks.context);
}

/* ---- jobs ---- */

static void run_open(struct io_job *job, struct os *os)
{
    struct files_job *open = (struct files_job *)job;
    struct journal_report report;

    job->rc = journal_prepare(os, &open->options, &report, &open->journal);
    memcpy(open->text, report.text, sizeof(open->text));
}

static void run_close(struct io_job *job, struct os *os)
{
    struct files_job *closing = (struct files_job *)job;
    int rc = 0;

    job->rc = closing->journal ? journal_close(closing->journal) : 0;
    if (closing->is_removing) rc = journal_remove(os, closing->path);
    if (closing->is_removing) job->rc = rc == -ENOENT ? 0 : rc;
}

static struct files_job *create_job(struct stream_files *files)
{
    struct files_job *job = malloc(sizeof(*job));

    if (!job) return NULL;
    *job = (struct files_job){ .files = files };
    stream_files_path(files, job->path);
    return job;
}

static void submit(struct files_job *job, void (*run)(struct io_job *job, struct os *os),
                   void (*done)(struct io_job *job), bool is_urgent)
{
    job->job.run = run;
    job->job.done = done;
    job->job.is_urgent = is_urgent;
    io_submit(job->files->store->io, &job->job);
}

/* ---- who is active ---- */

void stream_files_list(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;
    bool is_active = files->state != FILES_CLOSED || files->is_wanted;

    if (is_active == !list_is_empty(&files->active_link)) return;
    if (is_active) {
        list_push_back(&all->active, &files->active_link);
        return;
    }
    if (all->hand == &files->active_link) all->hand = NULL;
    list_remove(&files->active_link);
}

static void set_state(struct stream_files *files, enum files_state state)
{
    files->state = state;
    stream_files_list(files);
}

/* ---- opening ---- */

static void on_progress(void *context)
{
    struct stream_files *files = context;
    int rc = journal_error(files->journal);

    if (rc < 0 && rc != -ECANCELED) stream_files_suspect(files, rc); /* it was not given up */
    files->asked_ms = files->store->now_ms;
    stream_files_recount(files);
    stream_files_touch(files);
    stream_files_tell_ready(files->store);
}

/* Once, until it can be opened again. */
static void tell_failure(struct stream_files *files, const struct files_job *open)
{
    const struct stream_hooks *hooks = &files->store->hooks;

    if (hooks->on_failure && !files->was_told)
        hooks->on_failure(hooks->context, open->path, open->job.rc, open->text);
    files->was_told = true;
}

static void open_done(struct io_job *job)
{
    struct files_job *open = (struct files_job *)job;
    struct stream_files *files = open->files;
    struct stream_store *store = files->store;

    if (job->rc == 0) {
        set_state(files, FILES_OPEN);
        files->was_told = false;
        files->journal = open->journal;
        journal_attach(files->journal, store->io);
        files->knows_packed = true;
        files->end = journal_appended(files->journal);
        stream_files_trim_journal(files);
        stream_files_apply_codec(files);
    } else {
        set_state(files, FILES_CLOSED);
        files->error = job->rc;
        store->files->open_count--;
        tell_failure(files, open);
    }
    stream_files_recount(files);
    free(open);
    files->asked_ms = store->now_ms;
    stream_files_touch(files);
    stream_files_tell_ready(store);
}

static int start_open(struct stream_files *files)
{
    struct files_job *job = create_job(files);

    if (!job) return -ENOMEM;
    job->options =
        (struct journal_options){ .path = job->path,
                                  .settings.roll_bytes = files->store->options.roll_bytes,
                                  .way = JOURNAL_MAPPED,
                                  .ends_at = files->end,
                                  .synced_position = files->synced,
                                  .syncs_late = true,
                                  .ids_may_fall = true,
                                  .opens_short =
                                      stream_files_room_left(files) < STREAM_NEW_FILES_BYTES,
                                  .on_progress = on_progress,
                                  .on_packed = stream_files_note_packed,
                                  .tells_packed = !files->knows_packed,
                                  .may_grow = stream_files_may_grow,
                                  .room_left = stream_files_room_left,
                                  .context = files };
    files->is_wanted = false;
    set_state(files, FILES_OPENING);
    files->store->files->open_count++;
    submit(job, run_open, open_done, true);
    return -EAGAIN;
}

/* ---- making room for another ---- */

static struct stream_files *files_at(struct list_link *link)
{
    return list_container(link, struct stream_files, active_link);
}

/* The next one round. */
static struct stream_files *move_hand(struct stream_files_store *all)
{
    all->hand = all->hand ? all->hand->next : all->active.next;
    if (all->hand == &all->active) all->hand = all->active.next;
    return files_at(all->hand);
}

/* By a stream, or by a snapshot of one. */
static bool is_used(const struct stream_files *files)
{
    return files->stream || !list_is_empty(&files->snapshots);
}

/* What a failed sync has left is mended while it is open, and some of it may be nowhere else. */
static bool is_bound(const struct stream_files *files)
{
    return files->sync_error < 0 && (files->is_mending || !journal_may_close_late(files->journal));
}

static bool may_close(const struct stream_files *files)
{
    return files->state == FILES_OPEN && is_used(files) && !files->is_moving && !is_bound(files);
}

static void keep_open(struct stream_files *files)
{
    set_state(files, FILES_OPEN);
    journal_pause_tending(files->journal, false);
}

void stream_files_begin_closing(struct stream_files *files)
{
    if (files->state != FILES_LEAVING && !may_close(files)) return;
    set_state(files, FILES_LEAVING);
    stream_files_step(files);
}

/* Whether a place will be free for each one that is wanted. */
static bool enough_leave(const struct stream_files_store *all)
{
    unsigned wanted = 0, leaving = 0;

    list_for_each(link, &all->active)
    {
        const struct stream_files *files = files_at(link);
        wanted += files->is_wanted;
        leaving += files->state == FILES_LEAVING || files->state == FILES_CLOSING;
    }
    return leaving >= wanted;
}

/* One that was not used of late, is not read and has nothing that is being packed; else one that is
 * not read; else any. False: none can be closed. */
static bool close_some(struct stream_files_store *all)
{
    struct stream_files *unread = NULL, *any = NULL;
    unsigned count = 0;

    if (enough_leave(all)) return true;
    list_for_each(link, &all->active) count++;
    while (count-- > 0) {
        struct stream_files *files = move_hand(all);
        bool was_used = files->is_used;
        if (!may_close(files)) continue;
        any = files;
        if (stream_files_is_read(files)) continue;
        unread = files;
        if (journal_is_tending(files->journal)) continue;
        files->is_used = false;
        if (was_used) continue;
        stream_files_begin_closing(files);
        return true;
    }
    if (unread || any) stream_files_begin_closing(unread ? unread : any);
    return unread || any;
}

int stream_files_need_open(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;
    int rc = files->error;

    files->is_used = true;
    files->error = 0;
    if (rc < 0) return rc;
    if (files->state == FILES_LEAVING) keep_open(files);
    if (files->state == FILES_OPEN) return 0;
    if (files->state != FILES_CLOSED) return -EAGAIN;
    if (all->open_count >= files->store->options.open_max) {
        files->is_wanted = true;
        stream_files_list(files);
        /* If nothing can be closed, one more is better than waiting for nothing. */
        if (close_some(all)) return -EAGAIN;
    }
    return start_open(files);
}

/* ---- closing ---- */

static bool is_needed(const struct stream_files *files)
{
    return files->stream || files->saved.is_there || files->running.is_there ||
           files->pinned.is_there || !list_is_empty(&files->snapshots);
}

/* It counts until it is gone. */
static void try_later(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    files->remove_ms = files->store->now_ms + REMOVE_AGAIN_MS;
    list_remove(&files->unremoved_link);
    list_push_back(&all->unremoved, &files->unremoved_link);
}

/* The clock may have been set back since. */
static bool is_due(const struct stream_files *files)
{
    uint64_t now_ms = files->store->now_ms;

    return files->remove_ms <= now_ms || files->remove_ms - now_ms > REMOVE_AGAIN_MS;
}

void stream_files_tend_removals(struct stream_files_store *all)
{
    while (!list_is_empty(&all->unremoved)) {
        struct stream_files *files =
            list_container(all->unremoved.next, struct stream_files, unremoved_link);
        if (!is_due(files)) return;
        list_remove(&files->unremoved_link);
        stream_files_step(files);
    }
}

static void close_done(struct io_job *job)
{
    struct files_job *closing = (struct files_job *)job;
    struct stream_files *files = closing->files;
    struct stream_store *store = files->store;

    if (closing->journal) store->files->open_count--;
    store->files->given_count += files->gives_room;
    set_state(files, FILES_CLOSED);
    if (closing->is_removing && (job->rc == 0 || store->files->is_closing)) {
        stream_files_free(files); /* if it is there, the next start removes it */
    } else if (closing->is_removing) {
        try_later(files);
    } else {
        stream_files_recount(files);
        stream_files_touch(files);
    }
    free(closing);
    stream_files_tell_ready(store);
}

/* The store's end must come without memory, too, and may wait for the disk. */
static void close_here(struct stream_files *files)
{
    (void)journal_close(files->journal); /* what it has is on the device, or in the log */
    files->journal = NULL;
    files->store->files->open_count--;
    set_state(files, FILES_CLOSED);
}

/* There is nobody to wait for, so what cannot be done for want of memory is tried with the next
 * step. */
static void start_close(struct stream_files *files)
{
    bool is_removing = !is_needed(files) && !files->store->files->is_closing;
    struct files_job *job = create_job(files);

    if (!job) {
        if (files->store->files->is_closing && files->journal) close_here(files);
        return;
    }
    job->journal = files->journal;
    job->is_removing = is_removing;
    files->gives_room = files->journal && stream_files_has_spare(files);
    if (files->journal) files->synced = journal_synced(files->journal);
    if (files->journal) stream_files_note_late(files);
    if (files->journal) journal_detach(files->journal);
    files->journal = NULL;
    set_state(files, FILES_CLOSING);
    submit(job, run_close, close_done, false);
}

/* Somebody counts on what a failed sync has left. */
static bool must_stay(const struct stream_files *files)
{
    return is_bound(files) && (is_used(files) || files->running.is_there) &&
           !files->store->files->is_closing;
}

static void step_open(struct stream_files *files)
{
    if (files->state == FILES_OPEN && is_used(files)) {
        stream_files_trim_journal(files);
        stream_files_rewrite_step(files);
        return;
    }
    if (must_stay(files)) {
        keep_open(files);
        return;
    }
    journal_pause_tending(files->journal, true);
    if (!stream_files_close_readers(files)) return;
    if (!is_needed(files)) {
        journal_give_up(files->journal);
    } else if (!stream_files_may_close(files)) {
        journal_sync(files->journal);
    }
    if (journal_is_busy(files->journal) || !stream_files_may_close(files)) return;
    start_close(files);
}

void stream_files_step(struct stream_files *files)
{
    stream_files_recount(files); /* who refers to what may have changed */
    stream_files_end_rewrite(files);
    stream_files_review_suspect(files);
    if (files->state == FILES_OPEN || files->state == FILES_LEAVING) {
        step_open(files);
    } else if (files->state == FILES_CLOSED && !is_needed(files)) {
        if (files->number == 0 || files->store->files->is_closing) {
            stream_files_free(files);
        } else {
            start_close(files);
        }
    } else if (files->state == FILES_CLOSED && !is_used(files) && files->store->files->is_closing) {
        stream_files_free(files);
    } else if (files->state == FILES_CLOSED) {
        stream_files_rewrite_step(files);
    }
}

void stream_files_touch(struct stream_files *files)
{
    if (list_is_empty(&files->due_link))
        list_push_back(&files->store->files->due, &files->due_link);
}

void stream_files_step_due(struct stream_files_store *all)
{
    struct list_link *link;

    while ((link = list_pop_front(&all->due)) != NULL)
        stream_files_step(list_container(link, struct stream_files, due_link));
}

/* ---- trimming ---- */

/* Where the first segment begins that anybody refers to. */
static uint64_t first_needed(const struct stream_files *files)
{
    uint64_t first = UINT64_MAX;

    if (files->stream && files->segment_count > 0) first = files->segments[0].start;
    if (files->saved.is_there && files->saved.start < first) first = files->saved.start;
    if (files->running.is_there && files->running.start < first) first = files->running.start;
    if (files->pinned.is_there && files->pinned.start < first) first = files->pinned.start;
    list_for_each(link, &files->snapshots)
    {
        const struct stream_files *snapshot = list_container(link, struct stream_files, snapshots);
        if (snapshot->segments[0].start < first) first = snapshot->segments[0].start;
    }
    return first;
}

void stream_files_trim_journal(struct stream_files *files)
{
    uint64_t first = first_needed(files);

    if (first == UINT64_MAX || first <= files->trimmed) return;
    if (files->journal) {
        journal_trim(files->journal, first);
        files->trimmed = first;
        stream_files_drop_kept(files, first);
    } else if (files->state == FILES_CLOSED && is_used(files) && files->error == 0) {
        (void)stream_files_need_open(files); /* which trims; or the next time */
    }
}
