/* files_rewrite.c - segments most of whose entries are deleted are written anew without them.
 *
 *   a checkpoint is complete, or (where there is none) many entries were deleted
 *     ╰─▶ looking, segment by segment ─▶ one of which more than half is deleted
 *           ▲                                         │
 *           │                                         ▼
 *           ╰── it is over, done or not ◀── its frames are dropped (journal.h)
 *
 * What is dropped is nobody's any more: a start sets the stream back to its last checkpoint and
 * replays the log, which deletes what was deleted since; so only what had been deleted before that
 * checkpoint goes, and it counts by the bits of then. A snapshot, or a copy that is being made, may
 * be older than the checkpoint: they are waited for. Those that are newer see less than it.
 *
 * A segment counts by entries, not by bytes: how large each was is known to who reads it only. What
 * is dropped is half of a file at least, so an entry is copied a few times in its life at most. One
 * segment at a time is written anew, of all streams: that takes a MiB and an I/O thread's time. */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/journal/format.h"
#include "modules/stream/deleted.h"
#include "modules/stream/files_internal.h"

enum {
    LOOK_EVERY = 1024,  /* entries that are deleted, without a checkpoint */
    LOOKED_AT_MAX = 256 /* segments, in a step */
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

/* The next one that is to be written anew, and that may be: 1. 0: none of those looked at. */
static int find(struct stream_files *files, uint32_t *out_index, uint32_t *out_dead)
{
    uint64_t end = journal_segment_of(stream_files_plain_from(files));

    for (unsigned looked = 0; looked < LOOKED_AT_MAX; looked++) {
        uint32_t index = files->look_index;
        if (index + 1 >= files->segment_count ||
            journal_segment_of(files->segments[index].start) >= end) {
            end_looking(files);
            return 0;
        }
        *out_dead = count_to_drop(files, index);
        *out_index = index;
        if (*out_dead > 0) return 1;
        files->look_index++;
    }
    stream_files_touch(files);
    return 0;
}

static void drop(struct stream_files *files, uint32_t index, uint32_t dead)
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
    if (journal_drop_frames(files->journal, &dropping) < 0) {
        stream_files_touch(files);
        return;
    }
    files->dropping_dead = ref(files->saved_dead);
    files->store->files->is_rewriting = true;
}

/* Others may want to. Readers must not go by what has gone, also when it is not known to have: a
 * reader that stands behind it, and another one that seeks what is before it, would send who reads
 * backward to and fro. */
static void end_dropping(struct stream_files *files)
{
    struct stream_files_store *all = files->store->files;

    unref(&files->dropping_dead);
    stream_files_read_anew(files);
    all->is_rewriting = false;
    list_for_each(link, &all->all)
    {
        struct stream_files *other = list_container(link, struct stream_files, link);
        if (other->is_looking) stream_files_touch(other);
    }
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
           !files->store->files->is_rewriting && !files->store->files->is_closing;
}

void stream_files_end_rewrite(struct stream_files *files)
{
    bool is_going_on = files->journal && journal_is_dropping(files->journal);

    /* One whose journal was closed meanwhile has broken off. */
    if (files->dropping_dead && !is_going_on) end_dropping(files);
}

void stream_files_rewrite_step(struct stream_files *files)
{
    uint32_t index, dead;

    look_if_due(files);
    if (!may_rewrite(files) || !find(files, &index, &dead)) return;
    /* What its segments hold is known when it is open. */
    if (files->state == FILES_OPEN && journal_error(files->journal) == 0)
        drop(files, index, dead);
    else if (files->state == FILES_CLOSED && files->error == 0)
        (void)stream_files_need_open(files);
}

void stream_files_forget_dead(struct stream_files *files)
{
    files->is_looking = false;
    unref(&files->saved_dead);
    unref(&files->running_dead);
    /* An I/O thread looks at it. */
    if (files->dropping_dead) uncharge(files->dropping_dead);
}

void stream_files_release_dead(struct stream_files *files)
{
    if (files->dropping_dead) end_dropping(files);
}
