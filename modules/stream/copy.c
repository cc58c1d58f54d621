/* Directory by directory: meta, then the segments from the first that is needed to the one in which
 * the checkpoint saw it end. */
#include "modules/stream/copy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

enum { BUFFER_BYTES = 1 << 20, META_BYTES = 8192 };

/* Of segments: plain, packed. */
static const char *const forms[] = { "log", "pak" };

struct copied_journal {
    uint64_t number, start, end;
};

struct stream_copy {
    struct stream_store *store;
    char *source, *target; /* directories */
    struct copied_journal *journals;
    size_t count, at; /* at: which is being copied */
    uint64_t total_bytes;
    uint8_t *buffer;

    uint64_t segment; /* of that journal; 0: its directory is to be made */
    int from_fd, to_fd;
    uint64_t offset, size; /* of the segment's file */
};

/* ---- what there is ---- */

static uint64_t bytes_of(const struct stream_files *files)
{
    uint64_t bytes = META_BYTES;

    for (uint32_t i = 0; i < files->segment_count; i++) {
        const struct files_segment *segment = &files->segments[i];
        if (journal_segment_of(segment->start) == journal_segment_of(files->saved.end))
            bytes += journal_offset_of(files->saved.end);
        else if (segment->start < files->saved.end)
            bytes += stream_segment_disk_bytes(segment);
    }
    return bytes;
}

static int note_journals(struct stream_copy *copy, struct stream_files_store *all)
{
    size_t capacity = 0;

    list_for_each(link, &all->all)
    {
        const struct stream_files *files = list_container(link, struct stream_files, link);
        struct copied_journal *grown;
        if (!files->saved.is_there) continue;
        if (copy->count == capacity) {
            capacity = capacity > 0 ? 2 * capacity : 16;
            grown = realloc(copy->journals, capacity * sizeof(*grown));
            if (!grown) return -ENOMEM;
            copy->journals = grown;
        }
        copy->journals[copy->count++] =
            (struct copied_journal){ files->number, files->saved.start, files->saved.end };
        copy->total_bytes += bytes_of(files);
    }
    return 0;
}

/* From now on it stays, whatever other checkpoints refer to. */
static void pin(struct stream_files_store *all)
{
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        files->pinned = files->saved;
    }
}

static void unpin(struct stream_files_store *all)
{
    list_for_each(link, &all->all)
    {
        struct stream_files *files = list_container(link, struct stream_files, link);
        files->pinned = (struct files_reference){ 0 };
        stream_files_trim_journal(files);
        stream_files_plan_packing(files);
        stream_files_step(files); /* it may be gone then */
    }
}

static void free_copy(struct stream_copy *copy)
{
    free(copy->source);
    free(copy->target);
    free(copy->journals);
    free(copy->buffer);
    free(copy);
}

int stream_copy_create(struct stream_store *store, const char *target,
                       struct stream_copy **out_copy)
{
    struct stream_copy *copy = calloc(1, sizeof(*copy));
    int rc = 0;

    if (!copy) return -ENOMEM;
    copy->store = store;
    copy->from_fd = copy->to_fd = -1;
    copy->source = strdup(store->options.directory);
    copy->target = strdup(target);
    copy->buffer = malloc(BUFFER_BYTES);
    if (!copy->source || !copy->target || !copy->buffer) rc = -ENOMEM;
    if (rc == 0 && store->files) rc = note_journals(copy, store->files);
    if (rc < 0) {
        free_copy(copy);
        return rc;
    }
    if (store->files) pin(store->files);
    *out_copy = copy;
    return 0;
}

void stream_copy_destroy(struct stream_copy *copy)
{
    if (!copy) return;
    assert(copy->from_fd < 0 && copy->to_fd < 0);
    if (copy->store->files) unpin(copy->store->files);
    free_copy(copy);
}

uint64_t stream_copy_total_bytes(const struct stream_copy *copy)
{
    return copy->total_bytes;
}

/* ---- steps ---- */

static const struct copied_journal *journal_of(const struct stream_copy *copy)
{
    return &copy->journals[copy->at];
}

static void path_of(const char *directory, uint64_t number, const char *name,
                    char path[STREAM_PATH_BYTES_MAX])
{
    (void)snprintf(path, STREAM_PATH_BYTES_MAX, "%s/stream-%" PRIu64 "%s%s", directory, number,
                   *name ? "/" : "", name);
}

static int open_both(struct stream_copy *copy, struct os *os, const char *name)
{
    char path[STREAM_PATH_BYTES_MAX];

    path_of(copy->source, journal_of(copy)->number, name, path);
    copy->from_fd = os->open(os, path, O_RDONLY | O_NOFOLLOW, 0);
    if (copy->from_fd < 0) return copy->from_fd;
    path_of(copy->target, journal_of(copy)->number, name, path);
    copy->to_fd = os->open(os, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    return copy->to_fd < 0 ? copy->to_fd : 0;
}

/* rc, or why what was written is not there. */
static int close_both(struct stream_copy *copy, struct os *os, int rc)
{
    if (copy->from_fd >= 0) (void)os->close(os, copy->from_fd); /* read only */
    if (copy->to_fd >= 0 && rc == 0) rc = os->fsync(os, copy->to_fd);
    if (copy->to_fd >= 0) {
        int closed = os->close(os, copy->to_fd);
        if (rc == 0) rc = closed;
    }
    copy->from_fd = copy->to_fd = -1;
    return rc;
}

static int copy_bytes(struct stream_copy *copy, struct os *os, uint64_t size)
{
    while (size > 0) {
        size_t part = size < BUFFER_BYTES ? (size_t)size : BUFFER_BYTES;
        int rc = os_read_all(os, copy->from_fd, copy->buffer, part, copy->offset);
        if (rc == 0) rc = os_write_all(os, copy->to_fd, copy->buffer, part, copy->offset);
        if (rc < 0) return rc;
        copy->offset += part;
        size -= part;
    }
    return 0;
}

static int begin_journal(struct stream_copy *copy, struct os *os, uint64_t *out_bytes)
{
    char path[STREAM_PATH_BYTES_MAX];
    int rc;

    path_of(copy->target, journal_of(copy)->number, "", path);
    rc = os->mkdir(os, path, 0755);
    if (rc == 0) rc = open_both(copy, os, "meta");
    copy->offset = 0;
    if (rc == 0) rc = copy_bytes(copy, os, META_BYTES);
    rc = close_both(copy, os, rc);
    copy->segment = journal_segment_of(journal_of(copy)->start);
    *out_bytes += META_BYTES;
    return rc;
}

/* As it is: it is packed before its plain file goes. */
static int open_segment(struct stream_copy *copy, struct os *os)
{
    char name[JOURNAL_FILE_NAME_BYTES];
    int rc;

    journal_file_name(name, copy->segment, forms[0]);
    rc = open_both(copy, os, name);
    if (rc != -ENOENT || copy->from_fd >= 0) return rc;
    journal_file_name(name, copy->segment, forms[1]);
    return open_both(copy, os, name);
}

static int begin_segment(struct stream_copy *copy, struct os *os)
{
    int rc = open_segment(copy, os);

    if (rc == 0) rc = os->size(os, copy->from_fd, &copy->size);
    copy->offset = 0;
    /* Of the last one only what counts; it is written at the same time. */
    if (copy->segment == journal_segment_of(journal_of(copy)->end))
        copy->size = journal_offset_of(journal_of(copy)->end);
    return rc < 0 ? close_both(copy, os, rc) : 0;
}

static int end_journal(struct stream_copy *copy, struct os *os)
{
    char path[STREAM_PATH_BYTES_MAX];

    path_of(copy->target, journal_of(copy)->number, "", path);
    copy->segment = 0;
    copy->at++;
    return os->fsync_directory(os, path);
}

static int copy_piece(struct stream_copy *copy, struct os *os, uint64_t bytes, uint64_t *out_bytes)
{
    uint64_t left = copy->size - copy->offset;
    int rc;

    if (bytes > left) bytes = left;
    rc = copy_bytes(copy, os, bytes);
    if (rc < 0) return close_both(copy, os, rc);
    *out_bytes += bytes;
    if (copy->offset < copy->size) return 0;
    rc = close_both(copy, os, 0);
    if (rc == 0 && copy->segment++ == journal_segment_of(journal_of(copy)->end))
        rc = end_journal(copy, os);
    return rc;
}

int stream_copy_step(struct stream_copy *copy, struct os *os, uint64_t bytes_max,
                     uint64_t *out_bytes)
{
    *out_bytes = 0;
    while (*out_bytes < bytes_max) {
        int rc;
        if (copy->at == copy->count) return *out_bytes > 0;
        if (copy->segment == 0)
            rc = begin_journal(copy, os, out_bytes);
        else if (copy->to_fd < 0)
            rc = begin_segment(copy, os);
        else
            rc = copy_piece(copy, os, bytes_max - *out_bytes, out_bytes);
        if (rc < 0) return rc;
    }
    return 1;
}

static int remove_file(struct os *os, const struct stream_copy *copy, uint64_t number,
                       const char *name)
{
    char path[STREAM_PATH_BYTES_MAX];
    int rc;

    path_of(copy->target, number, name, path);
    rc = os->unlink(os, path);
    return rc == -ENOENT ? 0 : rc;
}

static int discard_journal(const struct stream_copy *copy, struct os *os,
                           const struct copied_journal *journal)
{
    char name[JOURNAL_FILE_NAME_BYTES], path[STREAM_PATH_BYTES_MAX];
    int rc = remove_file(os, copy, journal->number, "meta");

    for (uint64_t number = journal_segment_of(journal->start);
         rc == 0 && number <= journal_segment_of(journal->end); number++) {
        for (unsigned i = 0; rc == 0 && i < sizeof(forms) / sizeof(*forms); i++) {
            journal_file_name(name, number, forms[i]);
            rc = remove_file(os, copy, journal->number, name);
        }
    }
    if (rc < 0) return rc;
    path_of(copy->target, journal->number, "", path);
    rc = os->rmdir(os, path);
    return rc == -ENOENT ? 0 : rc;
}

int stream_copy_discard(struct stream_copy *copy, struct os *os)
{
    int rc = 0;

    (void)close_both(copy, os, -ECANCELED); /* what could not be written goes */
    for (size_t i = 0; i < copy->count && i <= copy->at; i++) {
        int removed = discard_journal(copy, os, &copy->journals[i]);
        if (rc == 0) rc = removed;
    }
    return rc;
}
