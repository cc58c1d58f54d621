/* files_move.c - a stream that grows too large for memory moves to a journal.
 *
 *   must move ─▶ its journal is being made, by a job ─▶ room for all frames ─▶ all are copied, at
 *     ╰─ the stream may change all the while              is being made        once: it has moved
 *
 * What could not be made, or nobody comes back for, is removed, and the stream is as before. */
#include <assert.h>
#include <errno.h>

#include "modules/stream/deleted.h"
#include "modules/stream/files_internal.h"

enum { ABANDONED_MS = 1000 };

bool stream_files_must_move(const struct stream *stream, uint64_t fields_bytes)
{
    uint32_t most = stream->store->options.memory_bytes_max;

    if (!stream->store->files || stream->backend != &stream_memory_backend || most == UINT32_MAX)
        return false;
    return stream->memory_bytes + fields_bytes > most;
}

static struct stream_files *moving_at(struct list_link *link)
{
    return list_container(link, struct stream_files, moving_link);
}

static struct stream_files *find_moving(const struct stream *stream)
{
    list_for_each(link, &stream->store->files->moving)
    {
        if (moving_at(link)->stream == stream) return moving_at(link);
    }
    return NULL;
}

static void give_up(struct stream_files *files)
{
    list_remove(&files->moving_link);
    files->is_moving = files->is_wanted = false;
    files->stream = NULL;
    stream_files_list(files);
    stream_files_step(files);
}

void stream_files_forget(struct stream *stream)
{
    struct stream_files *files;

    if (!stream->store->files || stream->backend != &stream_memory_backend) return;
    files = find_moving(stream);
    if (files) give_up(files);
}

/* Who asked for it may have gone, or may do without: a client that was killed, an entry that was
 * refused. Its journal would stay open for ever, as what is moving is not closed for others. */
static bool is_abandoned(const struct stream_files *files)
{
    if (files->state != FILES_OPEN && files->state != FILES_CLOSED) return false;
    if (files->stream->is_leaving || (files->journal && journal_is_busy(files->journal)))
        return false;
    return files->store->now_ms - files->asked_ms >= ABANDONED_MS;
}

void stream_files_tend_moves(struct stream_files_store *all)
{
    list_for_each(link, &all->moving)
    {
        if (is_abandoned(moving_at(link))) give_up(moving_at(link));
    }
}

/* Room for them is taken at once: of many that move all are counted. */
static int create_files(struct stream_store *store, struct stream_files **out_files)
{
    struct stream_files *files;
    int rc = stream_files_create(store, &files);

    if (rc < 0) return rc;
    rc = stream_files_may_grow(files, STREAM_NEW_FILES_BYTES);
    if (rc < 0)
        stream_files_free(files);
    else
        *out_files = files;
    return rc;
}

static int need_files(struct stream *stream, struct stream_files **out_files)
{
    struct stream_files *files = find_moving(stream);
    int rc = files ? 0 : create_files(stream->store, &files);

    if (rc < 0) return rc;
    if (!files->is_moving) {
        files->is_moving = true;
        files->stream = stream;
        list_push_back(&stream->store->files->moving, &files->moving_link);
    }
    files->asked_ms = stream->store->now_ms;
    *out_files = files;
    return 0;
}

/* Calls each with every entry that is there, in order. */
static void for_each_entry(struct stream *stream,
                           void (*each)(void *context, const struct stream_entry *entry),
                           void *context)
{
    struct stream_place place;
    struct stream_entry entry;
    int rc = stream->backend->seek_ordinal(stream, stream->start, STREAM_FORWARD, &place);

    while (rc == 0 &&
           stream->backend->next(stream, STREAM_FORWARD, STREAM_WANT_ONE, &place, &entry) == 1) {
        if (entry.ordinal >= stream->start && !deleted_has(stream->deleted, entry.ordinal))
            each(context, &entry);
    }
}

static void add_bytes(void *context, const struct stream_entry *entry)
{
    *(uint64_t *)context += stream_files_frame_bytes(entry->fields.size);
}

static void append(void *context, const struct stream_entry *entry)
{
    stream_files_append(context, entry);
}

/* Its journal is there, with room for all. */
static void take_over(struct stream *stream, struct stream_files *files)
{
    stream->is_leaving = false;
    stream_files_begin_empty(files, stream->start);
    for_each_entry(stream, append, files);
    stream->backend->destroy(stream);
    stream->backend = &stream_files_backend;
    list_remove(&files->moving_link);
    stream_files_own(files, stream);
    stream_files_apply_codec(files);
    stream->version++;
    stream_files_tell_ready(stream->store); /* somebody may wait for memory */
}

/* For all frames; those are only looked at once the journal is open. */
static int reserve_all(struct stream *stream, struct stream_files *files)
{
    uint64_t bytes = 0;
    int rc = stream_files_need_open(files);

    if (rc < 0) return rc;
    for_each_entry(stream, add_bytes, &bytes);
    return stream_files_try_reserve(files, bytes);
}

int stream_files_try_move(struct stream *stream)
{
    struct stream_files *files;
    int rc = need_files(stream, &files);

    if (rc < 0) return rc;
    rc = reserve_all(stream, files);
    if (rc == 0) {
        take_over(stream, files);
    } else if (rc != -EAGAIN) {
        give_up(files);
    }
    return rc;
}

/* Waits for what is under way, and for room; asked counts how often for that. */
static int move_and_wait(struct stream *stream, unsigned *asked)
{
    int rc = stream_files_try_move(stream);

    if (rc == 0) return 0;
    return rc == -EAGAIN ? stream_files_wait(stream->store)
                         : stream_files_find_room(stream->store, stream, rc, ++*asked);
}

int stream_files_move(struct stream *stream, uint64_t fields_bytes)
{
    unsigned asked = 0;

    while (stream_files_must_move(stream, fields_bytes)) {
        int rc = move_and_wait(stream, &asked);
        if (rc < 0) return rc;
    }
    return stream->backend->reserve(stream, fields_bytes);
}

int stream_files_leave_memory(struct stream *stream)
{
    const struct stream_store *store = stream->store;
    unsigned asked = 0;

    if (!store->files || store->options.memory_bytes_max == UINT32_MAX) return -ENOMEM;
    while (stream->backend == &stream_memory_backend) {
        int rc = move_and_wait(stream, &asked);
        if (rc < 0) return rc;
    }
    return 0;
}
