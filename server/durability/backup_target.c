#include "server/durability/backup_target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "server/durability/checkpoint_files.h"

/* ---- names ------------------------------------------------------------------------------------
 */

static char *join(const char *directory, const char *name)
{
    char *path;

    if (!directory || asprintf(&path, "%s/%s", directory, name) < 0) return NULL;
    return path;
}

/* A slash at the end would make the parent of DIR/ DIR itself. */
static char *without_slashes(const char *path)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        size--;
    return strndup(path, size);
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int backup_target_init(struct backup_target *target, const char *path, const char *file_name)
{
    *target = (struct backup_target){ .lock_fd = -1, .file_fd = -1, .checkpoint_fd = -1 };
    target->path = without_slashes(path);
    if (!target->path) return -ENOMEM;
    target->parent = parent_of(target->path);
    target->mark = join(target->path, BACKUP_MARK);
    target->lock = join(target->path, "sluice.lock");
    target->spill = join(target->path, "spill");
    target->file = join(target->spill, file_name);
    if (target->parent && target->mark && target->lock && target->file) return 0;
    backup_target_finish(target);
    return -ENOMEM;
}

int backup_target_number(struct backup_target *target, uint64_t number)
{
    assert(!target->temporary && !target->checkpoint);
    target->temporary = checkpoint_files_path(target->path, number, true);
    target->checkpoint = checkpoint_files_path(target->path, number, false);
    return target->temporary && target->checkpoint ? 0 : -ENOMEM;
}

static int close_file(struct os *os, int *fd)
{
    int rc = *fd < 0 ? 0 : os->close(os, *fd);

    *fd = -1;
    return rc;
}

void backup_target_finish(struct backup_target *target)
{
    free(target->path);
    free(target->parent);
    free(target->mark);
    free(target->lock);
    free(target->spill);
    free(target->file);
    free(target->temporary);
    free(target->checkpoint);
    *target = (struct backup_target){ .lock_fd = -1, .file_fd = -1, .checkpoint_fd = -1 };
}

/* ---- opening ----------------------------------------------------------------------------------
 */

struct entries {
    bool has_mark, has_lock, has_any;
};

static int see_entry(void *context, const char *name)
{
    struct entries *entries = context;

    if (strcmp(name, "lost+found") == 0) return 0; /* the root of a file system */
    entries->has_any = true;
    if (strcmp(name, BACKUP_MARK) == 0) entries->has_mark = true;
    if (strcmp(name, "sluice.lock") == 0) entries->has_lock = true;
    return 0;
}

/* Locks are per description: our own data directory's is somebody else's here. */
static bool has_server(const struct backup_target *target, struct os *os)
{
    int fd = os->open(os, target->lock, O_RDWR, 0);
    int rc = fd < 0 ? 0 : os->lock(os, fd);

    if (fd >= 0) (void)os->close(os, fd); /* nothing was written */
    return rc == -EWOULDBLOCK;
}

static int expect_empty(struct backup_target *target, struct os *os)
{
    struct entries entries = { 0 };
    int rc = os->list(os, target->path, see_entry, &entries);

    if (rc < 0 || !entries.has_any) return rc;
    if (entries.has_lock && has_server(target, os)) {
        target->why = "a server works in that directory";
        return -EWOULDBLOCK;
    }
    if (entries.has_mark)
        target->why = "the directory holds a backup that was not completed: remove it";
    return -ENOTEMPTY;
}

static int make_directory(struct backup_target *target, struct os *os)
{
    int rc = os->mkdir(os, target->path, 0700);

    target->was_made = rc == 0;
    return rc == -EEXIST ? expect_empty(target, os) : rc;
}

static int make_file(struct os *os, const char *path, int *out_fd)
{
    int fd = os->open(os, path, O_RDWR | O_CREAT | O_EXCL, 0600);

    if (fd < 0) return fd;
    *out_fd = fd;
    return 0;
}

/* On the device before there is anything that it must tell of. */
static int make_mark(struct backup_target *target, struct os *os)
{
    int fd = -1, rc = make_file(os, target->mark, &fd);

    if (rc == 0) target->is_marked = true;
    if (rc == 0) rc = close_file(os, &fd);
    return rc == 0 ? os->fsync_directory(os, target->path) : rc;
}

/* Past the page cache, where the file system lets us: as the original (modules/spill/file.c). */
static int make_spill_file(struct backup_target *target, struct os *os)
{
    int fd = os->open(os, target->file, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);

    /* The name may have come to be before the flag was refused. */
    if (fd == -EINVAL) fd = os->open(os, target->file, O_RDWR | O_CREAT, 0600);
    if (fd < 0) return fd;
    target->file_fd = fd;
    return 0;
}

int backup_target_prepare(struct backup_target *target, struct os *os)
{
    int rc = make_directory(target, os);

    if (rc == 0) rc = make_mark(target, os);
    if (rc == 0) rc = make_file(os, target->lock, &target->lock_fd);
    if (rc == 0) rc = os->lock(os, target->lock_fd);
    return rc;
}

int backup_target_open(struct backup_target *target, struct os *os)
{
    int rc = os->mkdir(os, target->spill, 0700);

    if (rc == 0) rc = make_spill_file(target, os);
    if (rc == 0) rc = make_file(os, target->temporary, &target->checkpoint_fd);
    return rc;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static int sync_file(struct os *os, int *fd)
{
    int rc = os->fsync(os, *fd), closed = close_file(os, fd);

    return rc < 0 ? rc : closed;
}

int backup_target_complete(struct backup_target *target, struct os *os)
{
    int rc = sync_file(os, &target->file_fd);

    if (rc == 0) rc = sync_file(os, &target->checkpoint_fd);
    if (rc == 0) rc = os->fsync_directory(os, target->spill);
    if (rc == 0) rc = os->rename(os, target->temporary, target->checkpoint);
    if (rc == 0) rc = os->fsync_directory(os, target->path);
    if (rc == 0) rc = os->fsync_directory(os, target->parent);
    if (rc == 0) rc = os->unlink(os, target->mark);
    if (rc == 0) rc = os->fsync_directory(os, target->path);
    if (rc == 0) rc = close_file(os, &target->lock_fd);
    return rc;
}

/* rc: the first error; what is not there is gone. */
static int first_error(int rc, int another)
{
    if (another == -ENOENT) another = 0;
    return rc < 0 ? rc : another;
}

/* The mark goes last. It may have gone already, when what followed failed. */
static int remove_all(struct backup_target *target, struct os *os)
{
    int fd = os->open(os, target->mark, O_RDWR | O_CREAT, 0600);
    int rc = fd < 0 ? fd : os->close(os, fd);

    if (target->checkpoint) rc = first_error(rc, os->unlink(os, target->checkpoint));
    if (target->temporary) rc = first_error(rc, os->unlink(os, target->temporary));
    rc = first_error(rc, os->unlink(os, target->file));
    rc = first_error(rc, os->rmdir(os, target->spill));
    rc = first_error(rc, os->unlink(os, target->lock));
    return rc < 0 ? rc : os->unlink(os, target->mark);
}

int backup_target_discard(struct backup_target *target, struct os *os)
{
    int rc = 0;

    (void)close_file(os, &target->file_fd); /* what could not be written goes */
    (void)close_file(os, &target->checkpoint_fd);
    if (target->is_marked) rc = remove_all(target, os);
    (void)close_file(os, &target->lock_fd);
    if (rc == 0 && target->was_made) rc = os->rmdir(os, target->path);
    target->is_marked = target->was_made = false;
    return rc;
}
