#include "server/transfer/export_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/io/io.h"

enum {
    LEAST_ROOM_BYTES = EXPORT_FILE_WRITE_BYTES / 4,
    KEPT_BYTES_MAX =
        2 * EXPORT_FILE_WRITE_BYTES, /* of a piece's memory, from one write to another */
};

enum step { STEP_NONE, STEP_OPEN, STEP_WRITE, STEP_FINISH, STEP_DISCARD };

struct piece {
    uint8_t *bytes;
    size_t size, capacity;
};

struct export_file {
    struct io_job job;
    enum step step; /* that the job does; NONE: nothing is under way */
    struct io *io;
    char *path, *temporary_path, *directory;
    int fd; /* -1: not open */
    struct piece filling, writing;
    uint64_t written_bytes;
    bool was_made;  /* NAME.tmp is ours, */
    bool was_named; /* or NAME is */
    bool is_finishing, is_done, has_ended;
    int error;
    void (*on_progress)(void *context);
    void *context;
};

/* ---- on an I/O thread --------------------------------------------------------------------------
 */

/* -EEXIST when the name is taken. */
static int check_name(struct export_file *file, struct os *os)
{
    int fd = os->open(os, file->path, O_RDONLY, 0);

    if (fd == -ENOENT) return 0;
    if (fd < 0) return fd;
    (void)os->close(os, fd); /* nothing was done with it */
    return -EEXIST;
}

static int open_file(struct export_file *file, struct os *os)
{
    int rc = check_name(file, os);

    if (rc < 0) return rc;
    rc = os->open(os, file->temporary_path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (rc < 0) return rc;
    file->fd = rc;
    file->was_made = true;
    return 0;
}

static int write_piece(struct export_file *file, struct os *os)
{
    return os_write_all(os, file->fd, file->writing.bytes, file->writing.size, file->written_bytes);
}

static int close_file(struct export_file *file, struct os *os)
{
    int fd = file->fd;

    file->fd = -1;
    return fd < 0 ? 0 : os->close(os, fd);
}

static int finish_file(struct export_file *file, struct os *os)
{
    int rc = os->fsync(os, file->fd);

    if (rc == 0) rc = close_file(file, os);
    if (rc == 0) rc = os->rename(os, file->temporary_path, file->path);
    if (rc < 0) return rc;
    file->was_made = false;
    file->was_named = true;
    return os->fsync_directory(os, file->directory);
}

/* The error that led here counts, not what this may add. */
static int discard_file(struct export_file *file, struct os *os)
{
    (void)close_file(file, os);
    if (file->was_made) (void)os->unlink(os, file->temporary_path);
    if (file->was_named) (void)os->unlink(os, file->path);
    return 0;
}

static void run(struct io_job *job, struct os *os)
{
    struct export_file *file = (struct export_file *)(void *)job;

    switch (file->step) {
    case STEP_OPEN:
        job->rc = open_file(file, os);
        break;
    case STEP_WRITE:
        job->rc = write_piece(file, os);
        break;
    case STEP_FINISH:
        job->rc = finish_file(file, os);
        break;
    default:
        job->rc = discard_file(file, os);
        break;
    }
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void done(struct io_job *job);

static void submit(struct export_file *file, enum step step)
{
    assert(file->step == STEP_NONE);
    file->step = step;
    file->job = (struct io_job){ .run = run, .done = done };
    io_submit(file->io, &file->job);
}

static void submit_write(struct export_file *file)
{
    struct piece piece = file->writing;

    piece.size = 0;
    file->writing = file->filling;
    file->filling = piece;
    submit(file, STEP_WRITE);
}

/* What is next when nothing is under way. */
static void go_on(struct export_file *file)
{
    if (file->step != STEP_NONE || file->has_ended) return;
    if (file->error < 0)
        submit(file, STEP_DISCARD);
    else if (file->filling.size >= EXPORT_FILE_WRITE_BYTES ||
             (file->is_finishing && file->filling.size > 0))
        submit_write(file);
    else if (file->is_finishing)
        submit(file, STEP_FINISH);
}

/* What one long value has asked for is not kept for the rest of the file. */
static void written(struct export_file *file)
{
    struct piece *piece = &file->writing;

    file->written_bytes += piece->size;
    piece->size = 0;
    if (piece->capacity <= KEPT_BYTES_MAX) return;
    free(piece->bytes);
    *piece = (struct piece){ 0 };
}

static void done(struct io_job *job)
{
    struct export_file *file = (struct export_file *)(void *)job;
    enum step step = file->step;

    file->step = STEP_NONE;
    if (job->rc < 0 && file->error == 0) file->error = job->rc;
    if (step == STEP_WRITE) written(file);
    if (step == STEP_DISCARD) file->has_ended = true;
    if (step == STEP_FINISH && job->rc == 0) file->has_ended = file->is_done = true;
    go_on(file);
    file->on_progress(file->context);
}

/* ---- the owner's -------------------------------------------------------------------------------
 */

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static void free_file(struct export_file *file)
{
    free(file->filling.bytes);
    free(file->writing.bytes);
    free(file->path);
    free(file->temporary_path);
    free(file->directory);
    free(file);
}

int export_file_create(struct io *io, const char *path, void (*on_progress)(void *context),
                       void *context, struct export_file **out_file)
{
    struct export_file *file = calloc(1, sizeof(*file));

    if (!file) return -ENOMEM;
    file->io = io;
    file->fd = -1;
    file->on_progress = on_progress;
    file->context = context;
    file->path = strdup(path);
    file->directory = directory_of(path);
    if (asprintf(&file->temporary_path, "%s.tmp", path) < 0) file->temporary_path = NULL;
    if (!file->path || !file->directory || !file->temporary_path) {
        free_file(file);
        return -ENOMEM;
    }
    submit(file, STEP_OPEN);
    *out_file = file;
    return 0;
}

static void no_progress(void *context)
{
    (void)context;
}

void export_file_destroy(struct export_file *file)
{
    if (!file) return;
    file->on_progress = no_progress;
    if (!file->has_ended) export_file_discard(file, -ECANCELED);
    while (!file->has_ended || file->step != STEP_NONE)
        (void)io_wait(file->io);
    free_file(file);
}

uint8_t *export_file_room(struct export_file *file, size_t size)
{
    struct piece *piece = &file->filling;
    size_t capacity = piece->capacity * 2;
    uint8_t *bytes;

    if (size <= piece->capacity - piece->size) return piece->bytes + piece->size;
    /* Doubled as long as it is small; a long value gets what it needs. */
    if (capacity < piece->size + size || capacity > KEPT_BYTES_MAX)
        capacity = piece->size + size + LEAST_ROOM_BYTES;
    bytes = file->error < 0 ? NULL : realloc(piece->bytes, capacity);
    if (!bytes) {
        export_file_discard(file, -ENOMEM);
        return NULL;
    }
    piece->bytes = bytes;
    piece->capacity = capacity;
    return bytes + piece->size;
}

void export_file_put(struct export_file *file, size_t size)
{
    assert(size <= file->filling.capacity - file->filling.size);
    file->filling.size += size;
}

void export_file_write(struct export_file *file)
{
    go_on(file);
}

size_t export_file_waiting_bytes(const struct export_file *file)
{
    return file->filling.size + file->writing.size;
}

uint64_t export_file_written_bytes(const struct export_file *file)
{
    return file->written_bytes;
}

void export_file_finish(struct export_file *file)
{
    file->is_finishing = true;
    go_on(file);
}

void export_file_discard(struct export_file *file, int rc)
{
    if (file->error == 0) file->error = rc;
    go_on(file);
}

bool export_file_has_ended(const struct export_file *file)
{
    return file->has_ended && file->step == STEP_NONE;
}

int export_file_error(const struct export_file *file)
{
    return file->error;
}
