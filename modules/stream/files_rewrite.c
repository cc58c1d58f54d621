/* files_rewrite.c - segments most of whose entries are deleted are written anew without them.
 *
 *   a checkpoint is complete, or (where there is none) many entries were deleted
 *     ╰─▶ listed ─▶ its turn: looking, segment by segment ─▶ one of which more than half is deleted
 *                               ▲                                         │
 *                               │                 its journal is opened, if it is closed
 *                               │                                         ▼
 *                               ╰── it is over, done or not ◀── its frames are dropped (journal.h)
 *
 * What is dropped is nobody's any more: a start sets the stream back to its last checkpoint and
 * replays the log, which deletes what was deleted since; so only what had been deleted before that
 * checkpoint goes, and it counts by the bits of then. A snapshot, or a copy that is being made, may
 * be older than the checkpoint: they are waited for. Those that are newer see less than it.
 *
 * A segment counts by entries, not by bytes: how large each was is known to who reads it only. What
 * is dropped is half of a file at least, so an entry is copied a few times in its life at most. One
 * segment at a time is written anew, of all streams: that takes a MiB and an I/O thread's time. So
 * one stream at a time has its turn, until it is looked through: no other is opened for it. One
 * that cannot go on gives its turn up, and is listed again by what happens to it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/journal/format.h"
#include "modules/stream/deleted.h"
#include "modules/stream/files_internal.h"

enum {
    LOOK_EVERY = 1024,  /* entries that are deleted, without a checkpoint */
    LOOKED_AT_MAX = 256 /* segments, and streams whose turn comes, in a tick */
};

/* What was deleted at some time: the bits of then, and all before start. Looked at by I/O threads,
 * too, which is right because shared bits are copied before they change. */
struct files_dead {
    uint32_t ref_count;
    uint64_t start;
    struct deleted *deleted;
    uint64_t memory_bytes;
    struct stream_store *store;
};

/* ---- what is deleted --------------------------------------------------------------------------
 */

static void uncharge(struct files_dead *dead)
{
    dead->store->memory_bytes -= dead->memory_bytes;
    dead->memory_bytes = 0;
}

static void unref(struct files_dead **at)
{
    struct files_dead *dead = *at;

    *at = NULL;
    if (!dead || --dead->ref_count > 0) return;
    uncharge(dead);
    deleted_destroy(dead->deleted);
    free(dead);
}

static struct files_dead *ref(struct files_dead *dead)
{
    if (dead) dead->ref_count++;
    return dead;
}

/* As it is now. NULL: nothing is, or there is no memory; then nothing is written anew. */
static struct files_dead *create_dead(const struct stream *stream)
{
    struct files_dead *dead;

    if (stream->files->segment_count < 2 || deleted_count(stream->deleted) == 0) return NULL;
    dead = malloc(sizeof(*dead));
    if (!dead) return NULL;
    *dead = (struct files_dead){ .ref_count = 1, .start = stream->start, .store = stream->store };
    if (deleted_snapshot(stream->deleted, &dead->deleted) < 0) {
        free(dead);
        return NULL;
    }
    dead->memory_bytes = alloc_size(sizeof(*dead)) + deleted_memory_bytes(dead->deleted);
    dead->store->memory_bytes += dead->memory_bytes;
    return dead;
}

/* On an I/O thread. A frame's payload begins with its ordinal. */
static bool is_dropped(const void *context, uint64_t ordinal)
{
    const struct files_dead *dead = context;

    return ordinal > 0 && (ordinal < dead->start || deleted_has(dead->deleted, ordinal));
}

/* Of ordinals from first on, before end. */
static uint64_t count_dead(const struct files_dead *dead, uint64_t first, uint64_t end)
{
    uint64_t middle = dead->start < first ? first : dead->start < end ? dead->start : end;

    return middle - first + deleted_count_between(dead->deleted, middle, end);
}

/* ---- when to look -----------------------------------------------------------------------------
 */

static void begin_looking(struct stream_files *files)
{
    files->is_looking = files->saved_dead != NULL;
    files->look_index = 0;
    files->forgotten_count = 0;
}

static void end_looking(struct stream_files *files)
{
    files->is_looking = false;
    unref(&files->saved_dead);
    if (files->forgotten_count >= LOOK_EVERY) stream_files_touch(files);
}

void stream_files_refer_dead(const struct stream *stream)
{
    struct stream_files *base = stream->files->base;

    unref(&base->running_dead);
    if (base->stream) base->running_dead = create_dead(stream);
}

/* Of one that may come to count, or not, all that is told before it stays right: less was deleted
 * then. */
void stream_files_end_dead(struct stream_files *files, bool is_complete)
{
    if (is_complete) {
        unref(&files->saved_dead);
        files->saved_dead = ref(files->running_dead);
        begin_looking(files);
    }
    unref(&files->running_dead);
}

void stream_files_count_forgotten(struct stream_files *files)
{
    if (!files->saved.is_there && ++files->forgotten_count == LOOK_EVERY) stream_files_touch(files);
}

/* Somebody may see what was deleted already when saved_dead was told. */
static bool is_shared(const struct stream_files *files)
{
    return files->pinned.is_there || !list_is_empty(&files->snapshots) ||
           (!files->saved.is_there && files->running.is_there);
}

/* ---- writing anew -----------------------------------------------------------------------------
 */

/* How many ordinals of a segment are deleted, if it is to be written anew; 0: it is not. */
static uint32_t count_to_drop(const struct stream_files *files, uint32_t index)
{
    const struct files_segment *segment = &files->segments[index];
    uint64_t first = segment->first_ordinal, end = segment[1].first_ordinal;
    uint64_t dead = count_dead(files->saved_dead, first, end);
    uint64_t in_file = end - first - segment->dropped;

    if (dead <= segment->dropped || dead > UINT32_MAX) return 0;
    return 2 * (dead - segment->dropped) > in_file ? (uint32_t)dead : 0;
}

/* False: enough was looked at in this tick. */
static bool may_look(struct stream_files_store *all)
{
    if (all->looked_tick != all->tick) all->looked_count = 0;
    all->looked_tick = all->tick;
    if (all->looked_count == LOOKED_AT_MAX) return false;
    all->looked_count++;
    return true;
}

/* The next one that is to be written anew, and that may be: 1. 0: there is none. -EAGAIN: enough
 * was looked at. */
static int find(struct stream_files *files, uint32_t *out_index, uint32_t *out_dead)
{
    uint64_t end = journal_segment_of(stream_files_plain_from(files));

    while (may_look(files->store->files)) {
        uint32_t index = files->look_index;
        if (index + 1 >= files->segment_count ||
            journal_segment_of(files->segments[index].start) >= end)
            return 0;
        *out_dead = count_to_drop(files, index);
        *out_index = index;
        if (*out_dead > 0) return 1;
        files->look_index++;
    }
    return -EAGAIN;
}

/* False: it cannot be, now. */
static bool drop(struct stream_files *files, uint32_t index, uint32_t dead)
{
    enum journal_codec codec = (enum journal_codec)files->stream->codec;
    struct journal_dropping dropping = {
        .number = journal_segment_of(files->segments[index].start),
        .codec = codec == JOURNAL_CODEC_NONE ? JOURNAL_CODEC_LZ4 : codec,
        .note = dead,
        .is_dropped = is_dropped,
        .context = files->saved_dead,
    };

    files->look_index++; /* whatever comes of it, the others are looked at then */
    if (journal_drop_frames(files->journal, &dropping) < 0) return false;
    files->dropping_dead = ref(files->saved_dead);
    files->dropping_number = dropping.number;
    return true;
}

/* What is damaged, or cannot be read, will not get better: somebody should know. */
static void tell_failure(struct stream_files *files, int error)
{
    const struct stream_hooks *hooks = &files->store->hooks;
    char path[STREAM_PATH_BYTES_MAX], text[JOURNAL_REPORT_TEXT_BYTES];

    files->store->files->trouble.rewrite_error_count++;
    if (files->was_told_rewrite || !hooks->on_rewrite_failure) return;
    files->was_told_rewrite = true;
    stream_files_path(files, path);
    (void)snprintf(text, sizeof(text), "segment %" PRIu64, files->dropping_number);
    hooks->on_rewrite_failure(hooks->context, path, error, text);
}

/* Readers must not go by what has gone, also when it is not known to have: a reader that stands
 * behind it, and another one that seeks what is before it, would send who reads backward to and
 * fro. */
static void end_dropping(struct stream_files *files)
{
    int error = files->journal ? journal_drop_error(files->journal) : 0;

    if (error == -EBADMSG || error == -EIO) tell_failure(files, error);
    unref(&files->dropping_dead);
    stream_files_read_anew(files);
}

/* ---- turns ------------------------------------------------------------------------------------
 */

static void end_turn(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    list_remove(&files->rewrite_link);
    if (all->rewriting == files) all->rewriting = NULL;
}

/* Where no checkpoint says so. */
static void look_if_due(struct stream_files *files)
{
    if (files->is_looking || files->forgotten_count < LOOK_EVERY || !files->stream) return;
    if (files->saved.is_there || is_shared(files)) return;
    unref(&files->saved_dead);
    files->saved_dead = create_dead(files->stream);
    begin_looking(files);
}

static bool may_rewrite(const struct stream_files *files)
{
    return files->is_looking && files->stream && !files->is_moving && !is_shared(files) &&
           !files->store->files->is_closing;
}

void stream_files_end_rewrite(struct stream_files *files)
{
    bool is_going_on = files->journal && journal_is_dropping(files->journal);

    /* One whose journal was closed meanwhile has broken off. */
    if (files->dropping_dead && !is_going_on) end_dropping(files);
}

void stream_files_rewrite_step(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    look_if_due(files);
    if (may_rewrite(files) && all->rewriting != files && list_is_empty(&files->rewrite_link))
        list_push_back(&all->to_rewrite, &files->rewrite_link);
}

/* What its segments hold is known when it is open. True: it is, or will be, or is about to be
 * closed; what follows that is seen by a tick. */
static bool is_opening(struct stream_files *files)
{
    int rc;

    if (files->state != FILES_CLOSED) return files->state != FILES_OPEN;
    if (files->error < 0) return false;
    rc = stream_files_need_open(files);
    return rc == 0 || rc == -EAGAIN;
}

static bool is_writable(const struct stream_files *files)
{
    return files->state == FILES_OPEN && journal_error(files->journal) == 0;
}

/* Goes on with the one whose turn it is. 1: something is under way. 0: its turn is over. -EAGAIN:
 * the next tick goes on. */
static int go_on(struct stream_files *files)
{
    uint32_t index, dead;
    int rc;

    if (files->dropping_dead) return 1;
    if (!may_rewrite(files)) return 0;
    while ((rc = find(files, &index, &dead)) == 1) {
        if (!is_writable(files)) return is_opening(files);
        if (drop(files, index, dead)) return 1;
    }
    if (rc == 0) end_looking(files);
    return rc;
}

static struct stream_files *next_to_rewrite(struct stream_files_store *all)
{
    struct list_link *link = list_pop_front(&all->to_rewrite);

    return link ? list_container(link, struct stream_files, rewrite_link) : NULL;
}

bool stream_files_tend_rewrites(struct stream_files_store *all)
{
    for (;;) {
        int rc;
        if (!all->rewriting) {
            if (list_is_empty(&all->to_rewrite)) return false;
            if (!may_look(all)) return true;
            all->rewriting = next_to_rewrite(all);
        }
        rc = go_on(all->rewriting);
        if (rc != 0) return rc < 0;
        end_turn(all->rewriting);
    }
}

void stream_files_forget_dead(struct stream_files *files)
{
    files->is_looking = false;
    unref(&files->saved_dead);
    unref(&files->running_dead);
    /* An I/O thread looks at it; its turn is over when that is. */
    if (files->dropping_dead)
        uncharge(files->dropping_dead);
    else
        end_turn(files);
}

void stream_files_release_dead(struct stream_files *files)
{
    if (files->dropping_dead) end_dropping(files);
    end_turn(files);
}
