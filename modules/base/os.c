/* The kernel behind struct os. A new call gets a function here, a row in real_table, and one in
 * fault.c. */
#include "modules/base/os.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Makes a system call until no signal interrupts it: its result, or -errno. */
#define RETRIED(result, call)                                                                      \
    do {                                                                                           \
        (result) = (call);                                                                         \
    } while ((result) < 0 && errno == EINTR);                                                      \
    if ((result) < 0) (result) = -errno

static bool offset_fits(uint64_t offset, uint64_t size_bytes)
{
    return offset <= INT64_MAX && size_bytes <= (uint64_t)INT64_MAX - offset;
}

static int real_open(struct os *os, const char *path, int flags, mode_t mode)
{
    int fd;
    (void)os;
    RETRIED(fd, open(path, flags | O_CLOEXEC, mode));
    return fd;
}

static int real_close(struct os *os, int fd)
{
    (void)os;
    /* Linux has released the descriptor even when a signal came: closing again could close another
     * thread's new one. */
    if (close(fd) < 0 && errno != EINTR) return -errno;
    return 0;
}

static ssize_t real_pread(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    ssize_t got;
    (void)os;
    if (!offset_fits(offset, size)) return -EINVAL;
    RETRIED(got, pread(fd, bytes, size, (off_t)offset));
    return got;
}

static ssize_t real_pread_now(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct iovec part = { bytes, size };
    ssize_t got;

    (void)os;
    if (!offset_fits(offset, size)) return -EINVAL;
    RETRIED(got, preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT));
    return got == -EOPNOTSUPP || got == -ENOSYS ? -EAGAIN : got;
}

static int advise(int fd, uint64_t offset, uint64_t size_bytes, int advice)
{
    return -posix_fadvise(fd, (off_t)offset, (off_t)size_bytes, advice);
}

/* The kernel takes no more at once than it would read ahead itself, and forgets the rest. */
static int read_soon(int fd, uint64_t offset, uint64_t size_bytes)
{
    enum { PIECE_BYTES = 128 << 10 };
    int rc = 0;

    for (uint64_t done = 0; rc == 0 && done < size_bytes; done += PIECE_BYTES) {
        uint64_t left = size_bytes - done;
        rc =
            advise(fd, offset + done, left < PIECE_BYTES ? left : PIECE_BYTES, POSIX_FADV_WILLNEED);
    }
    return rc;
}

static int begin_writing(int fd, uint64_t offset, uint64_t size_bytes)
{
    int rc;

    RETRIED(rc, sync_file_range(fd, (off_t)offset, (off_t)size_bytes, SYNC_FILE_RANGE_WRITE));
    return rc;
}

static int real_advise(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                       enum os_advice advice)
{
    (void)os;
    if (advice == OS_ADVICE_RANDOM) return advise(fd, 0, 0, POSIX_FADV_RANDOM);
    if (!offset_fits(offset, size_bytes)) return -EINVAL;
    if (size_bytes == 0) return 0; /* to the kernel it would be all that follows */
    switch (advice) {
    case OS_ADVICE_WRITE:
        return begin_writing(fd, offset, size_bytes);
    case OS_ADVICE_DROP:
        return advise(fd, offset, size_bytes, POSIX_FADV_DONTNEED);
    default:
        return read_soon(fd, offset, size_bytes);
    }
}

static ssize_t real_pwrite(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset)
{
    ssize_t put;
    (void)os;
    if (!offset_fits(offset, size)) return -EFBIG;
    RETRIED(put, pwrite(fd, bytes, size, (off_t)offset));
    return put;
}

static int real_fdatasync(struct os *os, int fd)
{
    int rc;
    (void)os;
    RETRIED(rc, fdatasync(fd));
    return rc;
}

static int real_fsync(struct os *os, int fd)
{
    int rc;
    (void)os;
    RETRIED(rc, fsync(fd));
    return rc;
}

static int real_fsync_directory(struct os *os, const char *path)
{
    int rc;
    int fd = real_open(os, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return fd;
    rc = real_fsync(os, fd);
    (void)real_close(os, fd); /* opened for reading: closing has nothing to lose */
    return rc;
}

/* Before, syncfs says that all went well whatever happened. */
static bool kernel_tells_of_filesystem(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
    return major > 5 || (major == 5 && minor >= 8);
}

static int real_watch_filesystem(struct os *os, const char *directory)
{
    if (!kernel_tells_of_filesystem()) return -EOPNOTSUPP;
    return real_open(os, directory, O_RDONLY | O_DIRECTORY, 0);
}

static int real_sync_filesystem(struct os *os, int fd)
{
    int rc;
    (void)os;
    RETRIED(rc, syncfs(fd));
    return rc;
}

static int real_truncate(struct os *os, int fd, uint64_t size_bytes)
{
    int rc;
    (void)os;
    if (!offset_fits(0, size_bytes)) return -EFBIG;
    RETRIED(rc, ftruncate(fd, (off_t)size_bytes));
    return rc;
}

static int change_blocks(int fd, int mode, uint64_t offset, uint64_t size_bytes)
{
    int rc;
    if (!offset_fits(offset, size_bytes)) return -EFBIG;
    RETRIED(rc, fallocate(fd, mode, (off_t)offset, (off_t)size_bytes));
    return rc;
}

/* These take a new block for every write, whatever was reserved. */
static bool is_copy_on_write(int fd)
{
    const uint32_t zfs = 0x2fc12fc1, bcachefs = 0xca451a4e;
    struct statfs status;
    uint32_t type;

    if (fstatfs(fd, &status) < 0) return false; /* then the call itself will tell */
    type = (uint32_t)status.f_type;
    return type == BTRFS_SUPER_MAGIC || type == zfs || type == bcachefs;
}

static int real_allocate(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    (void)os;
    if (is_copy_on_write(fd)) return -EOPNOTSUPP;
    return change_blocks(fd, 0, offset, size_bytes);
}

static int real_punch(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    (void)os;
    return change_blocks(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size_bytes);
}

/* What file systems answer that have no shared blocks, or not between these two files. */
static bool is_unsupported(int rc)
{
    return rc == -ENOTTY || rc == -EXDEV || rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP;
}

static int real_clone(struct os *os, int from_fd, int to_fd, uint64_t offset, uint64_t size_bytes)
{
    struct file_clone_range range = {
        .src_fd = from_fd, .src_offset = offset, .src_length = size_bytes, .dest_offset = offset
    };
    int rc;

    (void)os;
    RETRIED(rc, ioctl(to_fd, FICLONERANGE, &range));
    return is_unsupported(rc) ? -EOPNOTSUPP : rc;
}

static int real_unlink(struct os *os, const char *path)
{
    (void)os;
    return unlink(path) < 0 ? -errno : 0;
}

static int real_rename(struct os *os, const char *from, const char *to)
{
    (void)os;
    return rename(from, to) < 0 ? -errno : 0;
}

static int real_mkdir(struct os *os, const char *path, mode_t mode)
{
    (void)os;
    return mkdir(path, mode) < 0 ? -errno : 0;
}

static int real_rmdir(struct os *os, const char *path)
{
    (void)os;
    return rmdir(path) < 0 ? -errno : 0;
}

static int real_size(struct os *os, int fd, uint64_t *out_size_bytes)
{
    struct stat status;
    (void)os;
    if (fstat(fd, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return -ESPIPE;
    *out_size_bytes = (uint64_t)status.st_size;
    return 0;
}

static int real_free_bytes(struct os *os, const char *path, uint64_t *out_free_bytes)
{
    struct statvfs status;
    int rc;
    (void)os;
    RETRIED(rc, statvfs(path, &status));
    if (rc < 0) return rc;
    *out_free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

static int real_lock_range(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                           enum os_lock kind, bool waits)
{
    struct flock range = { .l_whence = SEEK_SET };
    int rc;
    (void)os;
    if (!offset_fits(offset, size_bytes)) return -EINVAL;
    range.l_start = (off_t)offset;
    range.l_len = (off_t)size_bytes;
    range.l_type = F_UNLCK;
    if (kind == OS_LOCK_SHARED) range.l_type = F_RDLCK;
    if (kind == OS_LOCK_EXCLUSIVE) range.l_type = F_WRLCK;
    RETRIED(rc, fcntl(fd, waits ? F_OFD_SETLKW : F_OFD_SETLK, &range));
    return rc == -EACCES || rc == -EAGAIN ? -EWOULDBLOCK : rc;
}

static int real_lock(struct os *os, int fd)
{
    const uint64_t whole_file = 0; /* however long it grows */
    return real_lock_range(os, fd, 0, whole_file, OS_LOCK_EXCLUSIVE, false);
}

static int real_list(struct os *os, const char *path, int (*each)(void *context, const char *name),
                     void *context)
{
    int rc = 0;
    DIR *directory = opendir(path);
    (void)os;
    if (!directory) return -errno;
    while (rc == 0) {
        const struct dirent *entry;
        errno = 0; /* readdir tells the end from an error only by this */
        entry = readdir(directory);
        if (!entry) {
            rc = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        rc = each(context, entry->d_name);
    }
    (void)closedir(directory); /* read only */
    return rc;
}

static void *real_map(struct os *os, int fd, size_t size, int protection, uint64_t offset,
                      int *out_rc)
{
    void *address;
    (void)os;
    if (!offset_fits(offset, size)) {
        *out_rc = -EINVAL;
        return NULL;
    }
    address = mmap(NULL, size, protection, MAP_SHARED, fd, (off_t)offset);
    *out_rc = address == MAP_FAILED ? -errno : 0;
    /* cppcheck-suppress memleak ; the caller unmaps it */
    return address == MAP_FAILED ? NULL : address;
}

static int real_unmap(struct os *os, void *address, size_t size)
{
    (void)os;
    return munmap(address, size) < 0 ? -errno : 0;
}

static int real_populate(struct os *os, void *address, size_t size)
{
    int rc;
    (void)os;
    RETRIED(rc, madvise(address, size, MADV_POPULATE_WRITE));
    return rc;
}

static int real_unpopulate(struct os *os, void *address, size_t size)
{
    int rc;
    (void)os;
    RETRIED(rc, madvise(address, size, MADV_DONTNEED));
    return rc;
}

static int real_pin(struct os *os, void *address, size_t size)
{
    int rc;
    (void)os;
    RETRIED(rc, mlock(address, size));
    return rc;
}

static int real_unpin(struct os *os, void *address, size_t size)
{
    (void)os;
    return munlock(address, size) < 0 ? -errno : 0;
}

static int real_resident(struct os *os, void *address, size_t size, size_t *out_size)
{
    enum { PAGE_BYTES = 4096, PAGES = 64 };
    unsigned char is_there[PAGES];
    size_t left = size;

    (void)os;
    while (left > 0) { /* from the last pages on */
        size_t pages = left / PAGE_BYTES < PAGES ? left / PAGE_BYTES : PAGES;
        uint8_t *from = (uint8_t *)address + left - pages * PAGE_BYTES;
        if (mincore(from, pages * PAGE_BYTES, is_there) < 0) return -errno;
        while (pages > 0 && is_there[pages - 1] & 1) {
            pages--;
            left -= PAGE_BYTES;
        }
        if (pages > 0) break;
    }
    *out_size = size - left;
    return 0;
}

static int real_sync_map(struct os *os, void *address, size_t size)
{
    int rc;
    (void)os;
    RETRIED(rc, msync(address, size, MS_SYNC));
    return rc;
}

struct os *os_real(void)
{
    /* Not const because users pass the table on as struct os *; nothing ever writes to it. */
    static struct os real_table = {
        .open = real_open,
        .close = real_close,
        .pread = real_pread,
        .pread_now = real_pread_now,
        .advise = real_advise,
        .pwrite = real_pwrite,
        .fdatasync = real_fdatasync,
        .fsync = real_fsync,
        .fsync_directory = real_fsync_directory,
        .watch_filesystem = real_watch_filesystem,
        .sync_filesystem = real_sync_filesystem,
        .truncate = real_truncate,
        .allocate = real_allocate,
        .punch = real_punch,
        .clone = real_clone,
        .unlink = real_unlink,
        .rename = real_rename,
        .mkdir = real_mkdir,
        .rmdir = real_rmdir,
        .size = real_size,
        .free_bytes = real_free_bytes,
        .lock = real_lock,
        .lock_range = real_lock_range,
        .list = real_list,
        .map = real_map,
        .unmap = real_unmap,
        .populate = real_populate,
        .unpopulate = real_unpopulate,
        .pin = real_pin,
        .unpin = real_unpin,
        .resident = real_resident,
        .sync_map = real_sync_map,
    };
    return &real_table;
}

int os_read_all(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = os->pread(os, fd, (uint8_t *)bytes + done, size - done, offset + done);
        if (got < 0) return (int)got;
        if (got == 0) return -EIO;
        assert((size_t)got <= size - done);
        done += (size_t)got;
    }
    return 0;
}

int os_write_all(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t put = os->pwrite(os, fd, (const uint8_t *)bytes + done, size - done, offset + done);
        if (put < 0) return (int)put;
        if (put == 0) return -EIO;
        assert((size_t)put <= size - done);
        done += (size_t)put;
    }
    return 0;
}
