#include "modules/base/record_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *record_realloc(void *memory, size_t size)
{
    void *more = realloc(memory, size);

    if (!more) abort(); /* a test without memory proves nothing */
    return more;
}

/* ---- events -----------------------------------------------------------------------------------
 */

static uint8_t *keep(struct record *record, const void *bytes, size_t size)
{
    struct record_arena *arena = record->arena;
    size_t events_end = sizeof(*arena) + (arena->count + 2) * sizeof(arena->events[0]);
    uint8_t *at;

    assert(size <= arena->bytes_begin && arena->bytes_begin - size > events_end);
    arena->bytes_begin -= size;
    at = (uint8_t *)arena + arena->bytes_begin;
    memcpy(at, bytes, size);
    return at;
}

static const char *keep_name(struct record *record, const char *name)
{
    return name ? (const char *)keep(record, name, strlen(name) + 1) : NULL;
}

size_t record_add(struct record *record, const struct record_event *event)
{
    struct record_arena *arena = record->arena;
    size_t index = atomic_load_explicit(&arena->count, memory_order_relaxed);
    struct record_event kept = *event;

    kept.name = keep_name(record, event->name);
    kept.from_name = keep_name(record, event->from_name);
    if (event->bytes) kept.bytes = keep(record, event->bytes, event->size);
    arena->events[index] = kept;
    atomic_store_explicit(&arena->count, index + 1, memory_order_release);
    return index;
}

size_t record_count(const struct record *record)
{
    return atomic_load_explicit(&record->arena->count, memory_order_acquire);
}

const struct record_event *record_event(const struct record *record, size_t index)
{
    assert(index < record_count(record));
    return &record->arena->events[index];
}

void record_mark(struct record *record, uint32_t number, uint64_t value)
{
    assert(number < RECORD_MARKS_MAX);
    pthread_mutex_lock(&record->mutex);
    record_add(record,
               &(struct record_event){ .kind = RECORD_MARK, .number = number, .value = value });
    pthread_mutex_unlock(&record->mutex);
}

/* ---- who is who -------------------------------------------------------------------------------
 */

uint32_t record_find(const struct record *record, const struct stat *status)
{
    for (uint32_t i = record->file_count; i-- > 0;) {
        const struct record_file *file = &record->files[i];
        if (file->inode == status->st_ino && file->device == status->st_dev) return i;
    }
    return RECORD_NO_FILE;
}

uint32_t record_find_fd(const struct record *record, int fd)
{
    struct stat status;

    return fstat(fd, &status) < 0 ? RECORD_NO_FILE : record_find(record, &status);
}

uint32_t record_find_parent(const struct record *record, const char *path, const char **out_name)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    struct stat status;

    *out_name = slash ? slash + 1 : path;
    if (slash) {
        (void)snprintf(parent, sizeof(parent), "%.*s/", (int)(slash - path), path);
    } else {
        (void)snprintf(parent, sizeof(parent), ".");
    }
    return stat(parent, &status) < 0 ? RECORD_NO_FILE : record_find(record, &status);
}

uint32_t record_number(struct record *record, const struct stat *status)
{
    uint32_t older = record_find(record, status);

    if (older != RECORD_NO_FILE) record->files[older].inode = 0;
    if (record->file_count == record->file_capacity) {
        record->file_capacity = record->file_capacity > 0 ? 2 * record->file_capacity : 64;
        record->files =
            record_realloc(record->files, record->file_capacity * sizeof(*record->files));
    }
    record->files[record->file_count] =
        (struct record_file){ .device = status->st_dev, .inode = status->st_ino, .fd = -1 };
    return record->file_count++;
}

/* ---- what is there at the start ---------------------------------------------------------------
 */

struct scan {
    struct record *record;
    const char *path;
    uint32_t directory;
};

static int scan_directory(struct record *record, const char *path, uint32_t directory);

static int scan_bytes(struct record *record, const char *path, uint32_t number, uint64_t size)
{
    uint8_t bytes[4096];
    int rc = 0, fd = record->below->open(record->below, path, O_RDONLY, 0);

    if (fd < 0) return fd;
    for (uint64_t at = 0; rc == 0 && at < size; at += sizeof(bytes)) {
        size_t piece = size - at < sizeof(bytes) ? (size_t)(size - at) : sizeof(bytes);
        rc = os_read_all(record->below, fd, bytes, piece, at);
        if (rc < 0) break;
        record_add(record, &(struct record_event){ .kind = RECORD_WRITE,
                                                   .file = number,
                                                   .offset = at,
                                                   .size = piece,
                                                   .bytes = bytes });
    }
    (void)record->below->close(record->below, fd); /* read only */
    return rc;
}

static int scan_entry(void *context, const char *name)
{
    const struct scan *scan = context;
    struct stat status;
    char path[4096];
    uint32_t number;

    (void)snprintf(path, sizeof(path), "%s/%s", scan->path, name);
    if (lstat(path, &status) < 0) return -errno;
    number = record_number(scan->record, &status);
    record_add(scan->record, &(struct record_event){ .kind = RECORD_NAME,
                                                     .file = number,
                                                     .directory = scan->directory,
                                                     .name = name,
                                                     .inode = status.st_ino,
                                                     .value = S_ISDIR(status.st_mode) });
    if (S_ISDIR(status.st_mode)) return scan_directory(scan->record, path, number);
    if (!S_ISREG(status.st_mode)) return 0;
    return scan_bytes(scan->record, path, number, (uint64_t)status.st_size);
}

static int scan_directory(struct record *record, const char *path, uint32_t directory)
{
    struct scan scan = { record, path, directory };

    return record->below->list(record->below, path, scan_entry, &scan);
}

static int scan_root(struct record *record, const char *path)
{
    struct stat status;
    int rc;

    if (stat(path, &status) < 0) return -errno;
    record_number(record, &status);
    rc = scan_directory(record, path, 0);
    record_add(record, &(struct record_event){ .kind = RECORD_SYNC_ALL });
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------
 */

int record_create(struct os *below, const char *directory, size_t bytes_max,
                  struct record **out_record)
{
    struct record *record = calloc(1, sizeof(*record));
    int rc;

    if (!record) return -ENOMEM;
    record->below = below;
    record->arena_bytes = bytes_max;
    record->arena = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (record->arena == MAP_FAILED) {
        free(record);
        return -ENOMEM;
    }
    record->arena->bytes_begin = bytes_max;
    pthread_mutex_init(&record->mutex, NULL); /* with default attributes it cannot fail */
    record_fill_table(&record->table);
    rc = scan_root(record, directory);
    if (rc < 0) {
        record_destroy(record);
        return rc;
    }
    *out_record = record;
    return 0;
}

void record_destroy(struct record *record)
{
    if (!record) return;
    while (record->map_count > 0)
        record_unmapped(record, record->maps[0].address);
    pthread_mutex_destroy(&record->mutex);
    (void)munmap(record->arena, record->arena_bytes);
    free(record->files);
    free(record->maps);
    free(record);
}

struct os *record_os(struct record *record)
{
    return &record->table;
}

int record_look(struct record *record)
{
    int rc;

    pthread_mutex_lock(&record->mutex);
    rc = record_look_locked(record);
    pthread_mutex_unlock(&record->mutex);
    return rc;
}

void record_plant(struct record *record, enum record_plant plant)
{
    if (plant == RECORD_DIRECTORY_SYNCS_LEFT_OUT) record->arena->leaves_out_directory_syncs = true;
    if (plant == RECORD_SYNCS_LATE) record->arena->syncs_late = true;
}

void record_set_sync_delay(struct record *record, unsigned delay_us)
{
    record->sync_delay_us = delay_us;
}
