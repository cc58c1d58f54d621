/* The table of a record. A call that changes something takes the mutex, looks what was stored
 * before it, is made, and becomes an event if it succeeded. A sync begins with an event under the
 * mutex, is made without it, and ends with another: what others do meanwhile is not covered. */
#include "modules/base/record_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct record *enter(struct os *os)
{
    struct record *record = (struct record *)(void *)os;
    int rc = pthread_mutex_lock(&record->mutex);

    assert(rc == 0);
    rc = record_look_locked(record);
    assert(rc == 0); /* what cannot be seen cannot be proved */
    (void)rc;
    return record;
}

static void leave(struct record *record)
{
    pthread_mutex_unlock(&record->mutex);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void add_name(struct record *record, const char *path, bool is_directory)
{
    struct record_event event = { .kind = RECORD_NAME, .value = is_directory };
    struct stat status;

    event.directory = record_find_parent(record, path, &event.name);
    if (event.directory == RECORD_NO_FILE || lstat(path, &status) < 0) return;
    event.file = record_number(record, &status);
    event.inode = status.st_ino;
    record_add(record, &event);
}

static int recorded_open(struct os *os, const char *path, int flags, mode_t mode)
{
    struct record *record;
    struct stat status;
    bool was_there;
    uint32_t number;
    int fd;

    if ((flags & (O_CREAT | O_TRUNC)) == 0) {
        record = (struct record *)(void *)os;
        return record->below->open(record->below, path, flags, mode);
    }
    record = enter(os);
    was_there = lstat(path, &status) == 0;
    fd = record->below->open(record->below, path, flags, mode);
    if (fd >= 0 && !was_there) add_name(record, path, false);
    if (fd >= 0 && was_there && (flags & O_TRUNC) && status.st_size > 0) {
        number = record_find_fd(record, fd);
        if (number != RECORD_NO_FILE) {
            record_add(record, &(struct record_event){ .kind = RECORD_RESIZE, .file = number });
            record_know_size(record, number, 0);
        }
    }
    leave(record);
    return fd;
}

static int recorded_close(struct os *os, int fd)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->close(record->below, fd);
}

static ssize_t recorded_pread(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->pread(record->below, fd, bytes, size, offset);
}

static ssize_t recorded_pread_now(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->pread_now(record->below, fd, bytes, size, offset);
}

static int recorded_advise(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                           enum os_advice advice)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->advise(record->below, fd, offset, size_bytes, advice);
}

static ssize_t recorded_pwrite(struct os *os, int fd, const void *bytes, size_t size,
                               uint64_t offset)
{
    struct record *record = enter(os);
    ssize_t put = record->below->pwrite(record->below, fd, bytes, size, offset);
    uint32_t number = record_find_fd(record, fd);

    if (put > 0 && number != RECORD_NO_FILE) {
        record_add(record, &(struct record_event){ .kind = RECORD_WRITE,
                                                   .file = number,
                                                   .offset = offset,
                                                   .size = (uint64_t)put,
                                                   .bytes = bytes });
        record_know(record, number, offset, (uint64_t)put, bytes);
    }
    leave(record);
    return put;
}

static int recorded_truncate(struct os *os, int fd, uint64_t size_bytes)
{
    struct record *record = enter(os);
    int rc = record->below->truncate(record->below, fd, size_bytes);
    uint32_t number = record_find_fd(record, fd);

    if (rc == 0 && number != RECORD_NO_FILE) {
        record_add(record, &(struct record_event){
                               .kind = RECORD_RESIZE, .file = number, .size = size_bytes });
        record_know_size(record, number, size_bytes);
    }
    leave(record);
    return rc;
}

static int recorded_allocate(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    struct record *record = enter(os);
    int rc = record->below->allocate(record->below, fd, offset, size_bytes);
    uint32_t number = record_find_fd(record, fd);

    if (rc == 0 && number != RECORD_NO_FILE) {
        record_add(record, &(struct record_event){ .kind = RECORD_ALLOCATE,
                                                   .file = number,
                                                   .offset = offset,
                                                   .size = size_bytes });
        record_know(record, number, offset + size_bytes, 0, NULL);
    }
    leave(record);
    return rc;
}

static int recorded_punch(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    struct record *record = enter(os);
    int rc = record->below->punch(record->below, fd, offset, size_bytes);
    uint32_t number = record_find_fd(record, fd);
    struct stat status;

    if (rc == 0 && number != RECORD_NO_FILE && fstat(fd, &status) == 0 &&
        offset < (uint64_t)status.st_size) {
        uint64_t left = (uint64_t)status.st_size - offset;
        if (size_bytes > left) size_bytes = left;
        record_add(record, &(struct record_event){ .kind = RECORD_PUNCH,
                                                   .file = number,
                                                   .offset = offset,
                                                   .size = size_bytes });
        record_know(record, number, offset, size_bytes, NULL);
    }
    leave(record);
    return rc;
}

/* What two files share would be in neither's record: the bytes are written instead. */
static int refused_clone(struct os *os, int from_fd, int to_fd, uint64_t offset,
                         uint64_t size_bytes)
{
    (void)os;
    (void)from_fd;
    (void)to_fd;
    (void)offset;
    (void)size_bytes;
    return -EOPNOTSUPP;
}

static int recorded_size(struct os *os, int fd, uint64_t *out_size_bytes)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->size(record->below, fd, out_size_bytes);
}

/* ---- syncs ------------------------------------------------------------------------------------
 */

static void add_end(struct record *record, uint32_t number, size_t begun, uint64_t offset,
                    uint64_t size)
{
    record_add(record, &(struct record_event){ .kind = RECORD_SYNC_END,
                                               .file = number,
                                               .begun = begun,
                                               .offset = offset,
                                               .size = size });
}

/* True: the planted bug answers the sync now, and it comes later. */
static bool is_put_off(struct record *record, uint32_t number, size_t begun)
{
    struct record_file *file = &record->files[number];

    if (!record->arena->syncs_late) return false;
    if (file->is_late) add_end(record, number, file->late_begun, 0, UINT64_MAX);
    file->is_late = true;
    file->late_begun = begun;
    return true;
}

struct sync {
    struct record *record;
    uint32_t number;
    uint64_t offset, size;
    size_t begun;
    bool is_late;
};

static void begin_sync(struct os *os, uint32_t number, struct sync *sync)
{
    struct record *record = sync->record = (struct record *)(void *)os;

    sync->number = number;
    sync->is_late = false;
    if (number == RECORD_NO_FILE) return;
    sync->begun = record_add(record, &(struct record_event){ .kind = RECORD_SYNC_BEGIN,
                                                             .file = number,
                                                             .offset = sync->offset,
                                                             .size = sync->size });
    sync->is_late = is_put_off(record, number, sync->begun);
}

static void delay(const struct sync *sync)
{
    if (sync->record->sync_delay_us > 0 && !sync->is_late) usleep(sync->record->sync_delay_us);
}

static void add_failure(const struct sync *sync)
{
    record_add(sync->record, &(struct record_event){ .kind = RECORD_SYNC_FAILED,
                                                     .file = sync->number,
                                                     .offset = sync->offset,
                                                     .size = sync->size });
}

static int end_sync(const struct sync *sync, int rc)
{
    if (sync->number == RECORD_NO_FILE || sync->is_late) return rc;
    pthread_mutex_lock(&sync->record->mutex);
    if (rc < 0)
        add_failure(sync);
    else
        add_end(sync->record, sync->number, sync->begun, sync->offset, sync->size);
    pthread_mutex_unlock(&sync->record->mutex);
    return rc;
}

static int recorded_fsync(struct os *os, int fd)
{
    struct record *record = enter(os);
    struct sync sync = { .size = UINT64_MAX };

    begin_sync(os, record_find_fd(record, fd), &sync);
    leave(record);
    delay(&sync);
    return end_sync(&sync, record->below->fsync(record->below, fd));
}

static int recorded_fdatasync(struct os *os, int fd)
{
    struct record *record = enter(os);
    struct sync sync = { .size = UINT64_MAX };

    begin_sync(os, record_find_fd(record, fd), &sync);
    leave(record);
    delay(&sync);
    return end_sync(&sync, record->below->fdatasync(record->below, fd));
}

static int recorded_fsync_directory(struct os *os, const char *path)
{
    struct record *record = enter(os);
    struct sync sync = { .size = UINT64_MAX };
    struct stat status;

    if (record->arena->leaves_out_directory_syncs) {
        leave(record);
        return 0;
    }
    begin_sync(os, stat(path, &status) < 0 ? RECORD_NO_FILE : record_find(record, &status), &sync);
    leave(record);
    delay(&sync);
    return end_sync(&sync, record->below->fsync_directory(record->below, path));
}

static int recorded_watch_filesystem(struct os *os, const char *directory)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->watch_filesystem(record->below, directory);
}

/* Of all files there are, late or not; a planted bug that answers too early never does it. */
static int recorded_sync_filesystem(struct os *os, int fd)
{
    struct record *record = enter(os);
    size_t begun = record_add(record, &(struct record_event){ .kind = RECORD_SYNC_BEGIN });
    int rc;

    leave(record);
    if (record->sync_delay_us > 0) usleep(record->sync_delay_us);
    rc = record->below->sync_filesystem(record->below, fd);
    if (record->arena->syncs_late) return rc;
    pthread_mutex_lock(&record->mutex);
    record_add(record,
               &(struct record_event){ .kind = rc < 0 ? RECORD_SYNC_ALL_FAILED : RECORD_SYNC_ALL,
                                       .begun = begun });
    pthread_mutex_unlock(&record->mutex);
    return rc;
}

static int recorded_sync_map(struct os *os, void *address, size_t size)
{
    struct record *record = enter(os);
    const struct record_map *map = record_map_at(record, address);
    struct sync sync = { .size = size };

    if (map) sync.offset = map->offset + (uint64_t)((uint8_t *)address - map->address);
    begin_sync(os, map ? map->file : RECORD_NO_FILE, &sync);
    leave(record);
    delay(&sync);
    return end_sync(&sync, record->below->sync_map(record->below, address, size));
}

/* ---- names ------------------------------------------------------------------------------------
 */

static int recorded_unlink(struct os *os, const char *path)
{
    struct record *record = enter(os);
    struct record_event event = { .kind = RECORD_UNNAME };
    int rc;

    event.directory = record_find_parent(record, path, &event.name);
    rc = record->below->unlink(record->below, path);
    if (rc == 0 && event.directory != RECORD_NO_FILE) record_add(record, &event);
    leave(record);
    return rc;
}

static int recorded_rename(struct os *os, const char *from, const char *to)
{
    struct record *record = enter(os);
    struct record_event event = { .kind = RECORD_RENAME, .file = RECORD_NO_FILE };
    struct stat status;
    int rc;

    if (lstat(from, &status) == 0) event.file = record_find(record, &status);
    event.from_directory = record_find_parent(record, from, &event.from_name);
    event.directory = record_find_parent(record, to, &event.name);
    rc = record->below->rename(record->below, from, to);
    if (rc == 0 && event.file != RECORD_NO_FILE) {
        assert(event.directory != RECORD_NO_FILE); /* nothing is moved out of sight */
        record_add(record, &event);
    }
    leave(record);
    return rc;
}

static int recorded_mkdir(struct os *os, const char *path, mode_t mode)
{
    struct record *record = enter(os);
    int rc = record->below->mkdir(record->below, path, mode);

    if (rc == 0) add_name(record, path, true);
    leave(record);
    return rc;
}

static int recorded_rmdir(struct os *os, const char *path)
{
    struct record *record = enter(os);
    struct record_event event = { .kind = RECORD_UNNAME };
    int rc;

    event.directory = record_find_parent(record, path, &event.name);
    rc = record->below->rmdir(record->below, path);
    if (rc == 0 && event.directory != RECORD_NO_FILE) record_add(record, &event);
    leave(record);
    return rc;
}

static int recorded_list(struct os *os, const char *path,
                         int (*each)(void *context, const char *name), void *context)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->list(record->below, path, each, context);
}

static int recorded_free_bytes(struct os *os, const char *path, uint64_t *out_free_bytes)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->free_bytes(record->below, path, out_free_bytes);
}

/* ---- locks and mappings -----------------------------------------------------------------------
 */

static int recorded_lock(struct os *os, int fd)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->lock(record->below, fd);
}

static int recorded_lock_range(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                               enum os_lock kind, bool waits)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->lock_range(record->below, fd, offset, size_bytes, kind, waits);
}

static void *recorded_map(struct os *os, int fd, size_t size, int protection, uint64_t offset,
                          int *out_rc)
{
    struct record *record = enter(os);
    void *address = record->below->map(record->below, fd, size, protection, offset, out_rc);
    uint32_t number = record_find_fd(record, fd);

    if (address && (protection & PROT_WRITE) && number != RECORD_NO_FILE) {
        *out_rc = record_mapped(record, number, fd, address, size, offset);
        if (*out_rc < 0) {
            (void)record->below->unmap(record->below, address, size);
            address = NULL;
        }
    }
    leave(record);
    return address;
}

static int recorded_unmap(struct os *os, void *address, size_t size)
{
    struct record *record = enter(os);
    int rc;

    record_unmapped(record, address);
    rc = record->below->unmap(record->below, address, size);
    leave(record);
    return rc;
}

static int recorded_populate(struct os *os, void *address, size_t size)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->populate(record->below, address, size);
}

static int recorded_unpopulate(struct os *os, void *address, size_t size)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->unpopulate(record->below, address, size);
}

static int recorded_pin(struct os *os, void *address, size_t size)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->pin(record->below, address, size);
}

static int recorded_unpin(struct os *os, void *address, size_t size)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->unpin(record->below, address, size);
}

static int recorded_resident(struct os *os, void *address, size_t size, size_t *out_size)
{
    struct record *record = (struct record *)(void *)os;

    return record->below->resident(record->below, address, size, out_size);
}

void record_fill_table(struct os *table)
{
    *table = (struct os){
        .open = recorded_open,
        .close = recorded_close,
        .pread = recorded_pread,
        .pread_now = recorded_pread_now,
        .advise = recorded_advise,
        .pwrite = recorded_pwrite,
        .fdatasync = recorded_fdatasync,
        .fsync = recorded_fsync,
        .fsync_directory = recorded_fsync_directory,
        .watch_filesystem = recorded_watch_filesystem,
        .sync_filesystem = recorded_sync_filesystem,
        .truncate = recorded_truncate,
        .allocate = recorded_allocate,
        .punch = recorded_punch,
        .clone = refused_clone,
        .unlink = recorded_unlink,
        .rename = recorded_rename,
        .mkdir = recorded_mkdir,
        .rmdir = recorded_rmdir,
        .size = recorded_size,
        .free_bytes = recorded_free_bytes,
        .lock = recorded_lock,
        .lock_range = recorded_lock_range,
        .list = recorded_list,
        .map = recorded_map,
        .unmap = recorded_unmap,
        .populate = recorded_populate,
        .unpopulate = recorded_unpopulate,
        .pin = recorded_pin,
        .unpin = recorded_unpin,
        .resident = recorded_resident,
        .sync_map = recorded_sync_map,
    };
}
