/* files_move.c - a stream that grows too large for memory moves to a journal.
 *
 *   must move ─▶ its journal is being made, by a job ─▶ room for all frames ─▶ all are copied, at
 *     ╰─ the stream may change all the while              is being made        once: it has moved
 *
 * What could not be made is removed, and the stream is as before. */
#include <assert.h>
#include <errno.h>

#include "modules/stream/deleted.h"
#include "modules/stream/files_internal.h"

bool stream_files_must_move(const struct stream *stream, uint64_t fields_bytes)
{
    uint32_t most = stream->store->options.memory_bytes_max;

    if (!stream->store->files || stream->backend != &stream_memory_backend || most == UINT32_MAX)
        return false;
    return stream->memory_bytes + fields_bytes > most;
}

static struct stream_files *find_moving(const struct stream *stream)
{
    list_for_each(link, &stream->store->files->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        if (files->stream == stream && files->is_moving) return files;
    }
    return NULL;
}

static void give_up(struct stream_files *files)
{
    files->is_moving = false;
    files->stream = NULL;
    stream_files_step(files);
}

void stream_files_forget(struct stream *stream)
{
    struct stream_files *files;

    if (!stream->store->files || stream->backend != &stream_memory_backend) return;
    if (stream->store->files->moving_count == 0) return;
    files = find_moving(stream);
    if (!files) return;
    stream->store->files->moving_count--;
    give_up(files);
}

static int need_files(struct stream *stream, struct stream_files **out_files)
{
    struct stream_files *files = find_moving(stream);
    int rc = files ? 0 : stream_files_create(stream->store, &files);

    if (rc < 0) return rc;
    if (!files->is_moving) {
        files->is_moving = true;
        files->stream = stream;
        stream->store->files->moving_count++;
    }
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

    while (rc == 0 && stream->backend->next(stream, STREAM_FORWARD, &place, &entry) == 1) {
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
    stream_files_own(files, stream);
    stream->store->files->moving_count--;
    stream->version++;
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
        stream->store->files->moving_count--;
        give_up(files);
    }
    return rc;
}

/* Waits for what is under way. */
static int move_and_wait(struct stream *stream)
{
    int rc = stream_files_try_move(stream);

    return rc == -EAGAIN ? stream_files_wait(stream->store) : rc;
}

int stream_files_move(struct stream *stream, uint64_t fields_bytes)
{
    while (stream_files_must_move(stream, fields_bytes)) {
        int rc = move_and_wait(stream);
        if (rc < 0) return rc;
    }
    return stream->backend->reserve(stream, fields_bytes);
}

int stream_files_leave_memory(struct stream *stream)
{
    const struct stream_store *store = stream->store;

    if (!store->files || store->options.memory_bytes_max == UINT32_MAX) return -ENOMEM;
    while (stream->backend == &stream_memory_backend) {
        int rc = move_and_wait(stream);
        if (rc < 0) return rc;
    }
    return 0;
}
