#include "modules/stream/checkpoint.h"

#include <assert.h>
#include <stdio.h>

#include "modules/stream/files_internal.h"

static struct stream_files *files_at(struct list_link *link)
{
    return list_container(link, struct stream_files, link);
}

void stream_checkpoint_begin(struct stream_store *store)
{
    if (!store->files) return;
    assert(!store->files->is_checkpointing);
    store->files->is_checkpointing = true;
}

/* 1: what the running one refers to is on the device. */
static int sync_one(struct stream_files *files)
{
    uint64_t synced = files->journal ? journal_synced(files->journal) : files->synced;
    bool is_late = files->late_end > 0 && files->late_from < files->running.end;

    if (!files->running.is_there) return 1;
    /* First: a sync that was under way when another one failed says that all is well. */
    if (files->sync_error < 0) return files->sync_error;
    if (synced >= files->running.end && !is_late) return 1;
    if (files->journal && !is_late) {
        journal_sync(files->journal);
    } else if (files->state != FILES_CLOSING) {
        stream_files_sync_closed(files->store->files);
    }
    return 0;
}

int stream_checkpoint_sync(struct stream_store *store)
{
    int result = 1;

    if (!store->files) return 1;
    stream_files_step_due(store->files);
    list_for_each(link, &store->files->all)
    {
        int rc = sync_one(files_at(link));
        if (rc < 0) return rc;
        if (rc == 0) result = 0;
    }
    return result;
}

/* What both refer to. */
static struct files_reference join(struct files_reference a, struct files_reference b)
{
    if (!a.is_there) return b;
    if (!b.is_there) return a;
    return (struct files_reference){
        .is_there = true,
        .start = a.start < b.start ? a.start : b.start,
        .end = a.end < b.end ? a.end : b.end,
    };
}

enum outcome { IS_COMPLETE, IS_GONE, IS_STRAY };

static void end(struct stream_store *store, enum outcome outcome)
{
    struct stream_files_store *all = store->files;

    if (!all || !all->is_checkpointing) return;
    all->is_checkpointing = false;
    list_for_each(link, &all->all)
    {
        struct stream_files *files = files_at(link);
        if (outcome == IS_COMPLETE) files->saved = files->running;
        if (outcome == IS_STRAY) files->saved = join(files->saved, files->running);
        stream_files_end_dead(files, outcome == IS_COMPLETE);
        files->running = (struct files_reference){ 0 };
        stream_files_trim_journal(files);
        stream_files_plan_packing(files);
        stream_files_step(files); /* it may be gone then */
    }
}

void stream_checkpoint_end(struct stream_store *store, bool is_complete)
{
    end(store, is_complete ? IS_COMPLETE : IS_GONE);
}

void stream_checkpoint_stray(struct stream_store *store)
{
    end(store, IS_STRAY);
}

bool stream_checkpoint_journal(const struct stream *stream, char *path, size_t size,
                               uint64_t *out_end)
{
    char whole[STREAM_PATH_BYTES_MAX];

    if (stream->backend != &stream_files_backend) return false;
    stream_files_path(stream->files->base, whole);
    (void)snprintf(path, size, "%s", whole);
    *out_end = stream->files->end;
    return true;
}
