#include "server/boot_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/base/log.h"
#include "modules/base/os.h"
#include "server/durability/backup_target.h"

static char *join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);

    if (path) (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* The lock is the file description's: it is gone when the process is, however it ended. */
static int take_lock(struct os *os, struct log *log, const char *dir, int *out_fd)
{
    char *path = join(dir, "sluice.lock");
    int rc, fd;

    if (!path) return -ENOMEM;
    fd = os->open(os, path, O_RDWR | O_CREAT, 0600);
    rc = fd < 0 ? fd : os->lock(os, fd);
    if (rc == -EWOULDBLOCK)
        log_write(log, LOG_WARNING,
                  "Another server works in the data directory %s: give this one its own (dir)",
                  dir);
    else if (rc < 0)
        log_write(log, LOG_WARNING,
                  "The lock %s could not be taken: %s (the data directory must be writable)", path,
                  strerror(-rc));
    if (rc < 0 && fd >= 0) (void)os->close(os, fd);
    if (rc >= 0) *out_fd = fd;
    free(path);
    return rc < 0 ? rc : 0;
}

static int name_foreign(void *context, const char *name)
{
    static const char prefix[] = "spill-";

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        log_write(context, LOG_WARNING, "The spill directory holds a foreign file, left alone: %s",
                  name);
    return 0;
}

static int make_spill_directory(struct os *os, struct log *log, const char *path)
{
    int rc = os->mkdir(os, path, 0700);

    if (rc == -EEXIST) rc = os->list(os, path, name_foreign, log);
    if (rc < 0)
        log_write(log, LOG_WARNING, "The spill directory %s cannot be used: %s", path,
                  strerror(-rc));
    return rc < 0 ? rc : 0;
}

/* Nobody knows what is missing. */
static int refuse_incomplete(struct os *os, struct log *log, const char *dir)
{
    char *path = join(dir, BACKUP_MARK);
    int fd;

    if (!path) return -ENOMEM;
    fd = os->open(os, path, O_RDONLY, 0);
    if (fd < 0 && fd != -ENOENT)
        log_write(log, LOG_WARNING, "Whether %s is there could not be seen: %s", path,
                  strerror(-fd));
    free(path);
    if (fd < 0) return fd == -ENOENT ? 0 : fd;
    (void)os->close(os, fd); /* nothing was done with it */
    log_write(log, LOG_WARNING,
              "The data directory %s holds a backup that was not completed (%s is there): make it "
              "again, elsewhere",
              dir, BACKUP_MARK);
    return -EUCLEAN;
}

int boot_directory_open(struct os *os, struct log *log, const char *dir,
                        struct boot_directory *out_directory)
{
    int rc = take_lock(os, log, dir, &out_directory->lock_fd);

    if (rc == 0) rc = refuse_incomplete(os, log, dir);
    if (rc < 0) return rc;
    out_directory->spill_path = join(dir, "spill");
    if (!out_directory->spill_path) return -ENOMEM;
    return make_spill_directory(os, log, out_directory->spill_path);
}

void boot_directory_close(struct os *os, struct boot_directory *directory)
{
    free(directory->spill_path);
    if (directory->lock_fd > 0) (void)os->close(os, directory->lock_fd);
    *directory = (struct boot_directory){ 0 };
}

/* Whole or not at all: a part of our number would be another process's. */
static int write_pid(struct os *os, const char *path)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int rc, closed, fd = os->open(os, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0) return fd;
    rc = os_write_all(os, fd, text, (size_t)size, 0);
    closed = os->close(os, fd);
    if (rc == 0) rc = closed;
    if (rc < 0) (void)os->unlink(os, path);
    return rc;
}

int boot_directory_write_pid(struct os *os, struct log *log, const char *path)
{
    int rc;

    if (path[0] == '\0') return 0;
    rc = write_pid(os, path);
    if (rc < 0)
        log_write(log, LOG_WARNING, "The pid file %s could not be written: %s", path,
                  strerror(-rc));
    return rc;
}

void boot_directory_remove_pid(struct os *os, const char *path)
{
    if (path[0] != '\0') (void)os->unlink(os, path);
}
