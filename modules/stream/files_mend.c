/* files_mend.c - after a failed sync: what may not be on the device is written once more.
 *
 *   a sync has failed: of a journal, or of the file system, which tells of all that is not on the
 *   device ─▶ SUSPECT: it is read, takes nothing more, and no checkpoint refers to it
 *
 *   suspect ──▶ opened if it is closed ──▶ renewed (journal_renew) ──▶ it goes on
 *      ╰◀─ a second later, if that fails again ─╯    ╰─▶ damaged: what was to be written is lost
 *
 * It is renewed from where it was known to be on the device when it became suspect, whatever syncs
 * of its own have said since, and before, of what was late (files_sync.c).
 *
 * What is damaged stays so while its stream lives or until the next start, which takes it from the
 * log: no checkpoint was complete meanwhile. Few are mended at a time, by a job of some MiB after
 * the other, so that I/O threads are left for who waits. */
#include <errno.h>

#include "modules/journal/check.h"
#include "modules/stream/files_internal.h"

enum { MENDS_AT_ONCE = 2, PAUSE_MS = 1000 };

static struct stream_files *suspect_at(struct list_link *link)
{
    return list_container(link, struct stream_files, suspect_link);
}

/* ---- telling ---- */

static void tell(const struct stream_files_store *all, const char *path, int error,
                 const char *text)
{
    const struct stream_hooks *hooks = &all->store->hooks;

    if (hooks->on_sync) hooks->on_sync(hooks->context, path, error, text);
}

static void tell_of(const struct stream_files *files, int error, const char *text)
{
    char path[STREAM_PATH_BYTES_MAX];

    stream_files_path(files, path);
    tell(files->store->files, path, error, text);
}

/* ---- suspect ---- */

static uint64_t known_end(const struct stream_files *files)
{
    uint64_t synced = files->journal ? journal_synced(files->journal) : files->synced;

    return files->late_end > 0 && files->late_from < synced ? files->late_from : synced;
}

void stream_files_suspect(struct stream_files *files, int error)
{
    struct stream_files_store *all = files->store->files;

    if (files->sync_error < 0) return;
    if (!all->has_told_suspects) tell_of(files, error, "");
    all->has_told_suspects = true;
    files->sync_error = error;
    files->renew_from = known_end(files);
    files->sync_end = 0; /* a sync that is under way says nothing of it any more */
    files->mend_ms = 0;
    all->trouble.suspect_count++;
    all->trouble.last_error = error;
    list_push_front(&all->suspect, &files->suspect_link);
}

static void leave(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    if (files->is_mending) all->mending_count--;
    files->is_mending = files->is_renewing = false;
    list_remove(&files->suspect_link);
}

void stream_files_forget_suspect(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    if (files->sync_error == 0) return;
    if (files->is_damaged)
        all->trouble.damaged_count--;
    else
        all->trouble.suspect_count--;
    files->is_damaged = false;
    files->sync_error = 0;
    leave(files);
}

/* Nobody adds to it, and no checkpoint that may become complete refers to it. */
static bool is_done_with(const struct stream_files *files)
{
    return !files->stream && list_is_empty(&files->snapshots) && !files->running.is_there;
}

void stream_files_review_suspect(struct stream_files *files)
{
    if (is_done_with(files)) stream_files_forget_suspect(files);
}

/* ---- mending ---- */

/* Where it is known; what could not be opened was told of by who opened it. */
static void name_damage(const struct stream_files *files, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    struct journal_info info = { 0 };

    text[0] = '\0';
    if (files->journal) journal_get_info(files->journal, &info);
    if (info.damage > 0) journal_check_place(info.damage, text);
}

static void note_damage(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;
    char text[JOURNAL_REPORT_TEXT_BYTES];

    leave(files);
    files->is_damaged = true;
    all->trouble.suspect_count--;
    all->trouble.damaged_count++;
    name_damage(files, text);
    tell_of(files, -EBADMSG, text);
}

static void try_later(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    leave(files);
    files->mend_ms = files->store->now_ms + PAUSE_MS;
    list_push_back(&all->suspect, &files->suspect_link);
}

static void end_mend(struct stream_files *files, int rc)
{
    struct stream_files_store *all = files->store->files;

    if (rc == 0) {
        stream_files_forget_suspect(files);
        stream_files_forget_late(files);
        all->trouble.mended_count++;
    } else {
        files->sync_error = all->trouble.last_error = rc;
        if (rc == -EBADMSG)
            note_damage(files);
        else
            try_later(files);
    }
    stream_files_touch(files);
    stream_files_tell_ready(all->store);
}

static void step_mend(struct stream_files *files)
{
    if (!files->is_renewing) {
        int rc = stream_files_need_open(files);
        if (rc == -EAGAIN) return;
        if (rc < 0) {
            end_mend(files, rc);
            return;
        }
        files->is_renewing = true;
        journal_renew(files->journal, files->renew_from);
    }
    if (!journal_is_renewing(files->journal)) end_mend(files, journal_error(files->journal));
}

static void begin_mend(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    list_remove(&files->suspect_link);
    list_push_back(&all->mending, &files->suspect_link);
    files->is_mending = true;
    all->mending_count++;
    step_mend(files);
}

/* The clock may have been set back since. */
static bool is_due(const struct stream_files *files)
{
    uint64_t now_ms = files->store->now_ms;

    return files->mend_ms <= now_ms || files->mend_ms - now_ms > PAUSE_MS;
}

void stream_files_tend_suspects(struct stream_files_store *all)
{
    if (!all->has_told_suspects) return;
    list_for_each(link, &all->mending) step_mend(suspect_at(link));
    while (all->mending_count < MENDS_AT_ONCE && !list_is_empty(&all->suspect)) {
        struct stream_files *files = suspect_at(all->suspect.next);
        if (!is_due(files)) break;
        begin_mend(files);
    }
    if (all->trouble.suspect_count > 0) return;
    all->has_told_suspects = false;
    if (all->trouble.damaged_count == 0) tell(all, all->store->options.directory, 0, "");
}

/* ---- asking ---- */

void stream_store_get_trouble(const struct stream_store *store, struct stream_trouble *out_trouble)
{
    *out_trouble = store->files ? store->files->trouble : (struct stream_trouble){ 0 };
}

int64_t stream_store_wait_us(const struct stream_store *store)
{
    const struct stream_files_store *all = store->files;
    uint64_t due_ms;

    if (!all || list_is_empty(&all->suspect)) return -1;
    if (all->mending_count == MENDS_AT_ONCE) return -1; /* on_ready comes first */
    due_ms = suspect_at(all->suspect.next)->mend_ms;
    if (due_ms <= store->now_ms) return 1000;
    return due_ms - store->now_ms < PAUSE_MS ? (int64_t)(due_ms - store->now_ms) * 1000
                                             : PAUSE_MS * 1000;
}
