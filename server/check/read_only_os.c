#include "server/check/read_only_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "modules/base/os.h"

static int open_to_read(struct os *os, const char *path, int flags, mode_t mode)
{
    (void)os;
    flags &= ~(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND);
    return os_real()->open(os_real(), path, flags | O_RDONLY, mode);
}

static ssize_t refuse_pwrite(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset)
{
    (void)os;
    (void)fd;
    (void)bytes;
    (void)size;
    (void)offset;
    return -EROFS;
}

static int refuse_truncate(struct os *os, int fd, uint64_t size_bytes)
{
    (void)os;
    (void)fd;
    (void)size_bytes;
    return -EROFS;
}

static int refuse_range(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    (void)os;
    (void)fd;
    (void)offset;
    (void)size_bytes;
    return -EROFS;
}

static int refuse_clone(struct os *os, int from_fd, int to_fd, uint64_t offset, uint64_t size_bytes)
{
    (void)os;
    (void)from_fd;
    (void)to_fd;
    (void)offset;
    (void)size_bytes;
    return -EROFS;
}

static int refuse_path(struct os *os, const char *path)
{
    (void)os;
    (void)path;
    return -EROFS;
}

static int watch_nothing(struct os *os, const char *directory)
{
    (void)os;
    (void)directory;
    return -EOPNOTSUPP;
}

static int refuse_rename(struct os *os, const char *from, const char *to)
{
    (void)os;
    (void)from;
    (void)to;
    return -EROFS;
}

static int refuse_mkdir(struct os *os, const char *path, mode_t mode)
{
    (void)os;
    (void)path;
    (void)mode;
    return -EROFS;
}

/* Nobody else is there: who checks has the lock of the directory. */
static int take_no_lock(struct os *os, int fd)
{
    (void)os;
    (void)fd;
    return 0;
}

static void *map_to_read(struct os *os, int fd, size_t size, int protection, uint64_t offset,
                         int *out_rc)
{
    (void)os;
    return os_real()->map(os_real(), fd, size, protection & ~PROT_WRITE, offset, out_rc);
}

struct os *os_read_only(void)
{
    static struct os os;

    os = *os_real();
    os.open = open_to_read;
    os.pwrite = refuse_pwrite;
    os.truncate = refuse_truncate;
    os.allocate = refuse_range;
    os.punch = refuse_range;
    os.clone = refuse_clone;
    os.watch_filesystem = watch_nothing;
    os.unlink = refuse_path;
    os.rmdir = refuse_path;
    os.rename = refuse_rename;
    os.mkdir = refuse_mkdir;
    os.lock = take_no_lock;
    os.map = map_to_read;
    return &os;
}
