/* os.h - the system calls that engines make, as a table.
 *
 * Engines reach files and memory maps only through a struct os, so that faults, full disks and
 * crashes are inputs of a test: os_real() is the kernel, fault.h wraps any table with one that
 * fails on purpose. Every call returns a result >= 0 or a negative errno; EINTR is retried inside,
 * short transfers are not (the caller sees what was transferred).
 *
 * A table may be used by several threads at once. Nothing here logs. */
#ifndef MODULES_BASE_OS_H
#define MODULES_BASE_OS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What will become of what is in a file. RANDOM: it is read here and there, so that the kernel
 * reads no more than what is asked for; of all that is read through the descriptor. SOON: it is
 * read soon, so that it begins now. WRITE: it stays as it is, so that it begins now to go to the
 * device, which nobody can rely on before a sync. DROP: nobody needs it in memory any more; what is
 * on the device and in no mapping's tables leaves it. */
enum os_advice { OS_ADVICE_RANDOM, OS_ADVICE_SOON, OS_ADVICE_WRITE, OS_ADVICE_DROP };
enum os_lock { OS_LOCK_NONE, OS_LOCK_SHARED, OS_LOCK_EXCLUSIVE };

struct os {
    /* flags as open(2); O_CLOEXEC is added. A descriptor or -errno. */
    int (*open)(struct os *os, const char *path, int flags, mode_t mode);
    int (*close)(struct os *os, int fd);
    ssize_t (*pread)(struct os *os, int fd, void *bytes, size_t size, uint64_t offset);
    /* The same, of what is in memory: fewer bytes or -EAGAIN rather than waiting for a device.
     * -EAGAIN also where the file system cannot tell. */
    ssize_t (*pread_now)(struct os *os, int fd, void *bytes, size_t size, uint64_t offset);
    /* A hint, which changes nothing but how long reading and syncing take; waits for no more than
     * its turn at the device. Of RANDOM offset and size_bytes mean nothing. */
    int (*advise)(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                  enum os_advice advice);
    ssize_t (*pwrite)(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset);
    int (*fdatasync)(struct os *os, int fd);
    int (*fsync)(struct os *os, int fd);
    int (*fsync_directory)(struct os *os, const char *path);
    /* A descriptor for sync_filesystem, of the file system that directory lies in; close lets go of
     * it. -EOPNOTSUPP: this kernel would not tell what could not be written (before Linux 5.8). */
    int (*watch_filesystem)(struct os *os, const char *directory);
    /* Brings all that was done to that file system before to the device, by whomever, open or
     * closed, names too. An error: something that was written since the descriptor was made, or
     * since the last error it gave, is not there and will not be; nobody knows what. */
    int (*sync_filesystem)(struct os *os, int fd);
    int (*truncate)(struct os *os, int fd, uint64_t size_bytes);
    /* Reserves blocks so that later writes there cannot meet ENOSPC; the file grows if needed.
     * -EOPNOTSUPP: the file system cannot promise that (copy-on-write). */
    int (*allocate)(struct os *os, int fd, uint64_t offset, uint64_t size_bytes);
    /* Gives the blocks of a range back to the file system; the file keeps its size. */
    int (*punch)(struct os *os, int fd, uint64_t offset, uint64_t size_bytes);
    /* Lets a range of whole blocks of to_fd share those at the same place of from_fd, until one of
     * the two is written. -EOPNOTSUPP: the file systems cannot, and the bytes are to be copied. */
    int (*clone)(struct os *os, int from_fd, int to_fd, uint64_t offset, uint64_t size_bytes);
    int (*unlink)(struct os *os, const char *path);
    int (*rename)(struct os *os, const char *from, const char *to);
    int (*mkdir)(struct os *os, const char *path, mode_t mode);
    int (*rmdir)(struct os *os, const char *path);
    int (*size)(struct os *os, int fd, uint64_t *out_size_bytes); /* -ESPIPE: a pipe, a device */
    /* Bytes that the file system of path still has for an unprivileged writer. */
    int (*free_bytes)(struct os *os, const char *path, uint64_t *out_free_bytes);
    /* Takes an exclusive open-file-description lock on the whole file. -EWOULDBLOCK: somebody has
     * it. */
    int (*lock)(struct os *os, int fd);
    /* The same on a range of bytes, which need not exist: takes, changes or lets go (OS_LOCK_NONE).
     * Who shares the description that fd belongs to shares the lock; it goes with its last
     * descriptor, hence with the process, however that ends. waits: until the others have let go,
     * else -EWOULDBLOCK. */
    int (*lock_range)(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                      enum os_lock kind, bool waits);
    /* Calls each with every entry's name but "." and ".."; stops at the first non-zero result and
     * returns it. */
    int (*list)(struct os *os, const char *path, int (*each)(void *context, const char *name),
                void *context);
    void *(*map)(struct os *os, int fd, size_t size, int protection, uint64_t offset, int *out_rc);
    int (*unmap)(struct os *os, void *address, size_t size);
    /* Faults whole pages of a mapping in, ready for being written: no store there faults until they
     * are written back. -EFAULT: the file ends before the range does. */
    int (*populate)(struct os *os, void *address, size_t size);
    /* The opposite: takes whole pages of a mapping of a file out of the process's tables, all at
     * once, where writing them back takes out each by itself and has every processor told. What was
     * stored there is in the file; who touches one faults. -EINVAL: one is pinned. */
    int (*unpopulate)(struct os *os, void *address, size_t size);
    /* Keeps whole pages of a mapping in memory until they are unpinned or it is unmapped, as far as
     * the system allows it (RLIMIT_MEMLOCK): a hint. They are faulted in. */
    int (*pin)(struct os *os, void *address, size_t size);
    int (*unpin)(struct os *os, void *address, size_t size);
    /* How many of the last bytes of whole pages of a mapping are in memory, all up to its end.
     * Waits for nothing. */
    int (*resident)(struct os *os, void *address, size_t size, size_t *out_size);
    /* Writes whole pages of a mapping back and waits until they, and what is needed to find them,
     * are on the device; the rest of the file is left alone. */
    int (*sync_map)(struct os *os, void *address, size_t size);
};

/* The kernel. One static table, never changed; do not free. */
struct os *os_real(void);

/* Helpers over a table: transfer all of size or fail. -EIO: the file ended (read) or a write made
 * no progress. Partial effects of a failed write are the caller's to undo. */
int os_read_all(struct os *os, int fd, void *bytes, size_t size, uint64_t offset);
int os_write_all(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset);
#endif
