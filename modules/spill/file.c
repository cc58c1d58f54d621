/* file.c - the spill file is made, locked and removed; room is given back; figures. */
#include "modules/spill/file_internal.h"
#include "modules/spill/format.h"
#include "modules/spill/space_kept.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "spill-00000001.dat"
enum { NAME_DIGITS = 8 };

static bool is_our_name(const char *name)
{
    static const char prefix[] = "spill-";
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0) return false;
    name += sizeof(prefix) - 1;
    for (unsigned i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
    }
    return strcmp(name + NAME_DIGITS, ".dat") == 0;
}

static char *join_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + 1 + strlen(name) + 1;
    char *path = malloc(size);
    if (path) (void)snprintf(path, size, "%s/%s", directory, name);
    return path;
}

struct cleaning {
    struct os *os;
    const char *directory;
};

/* What cannot be opened for writing as a regular file is not ours, whatever its name. */
static int remove_dead_file(void *context, const char *name)
{
    const struct cleaning *cleaning = context;
    struct os *os = cleaning->os;
    char *path = NULL;
    int fd = -1, rc = 0;

    if (!is_our_name(name)) return 0;
    path = join_path(cleaning->directory, name);
    rc = -ENOMEM;
    if (!path) goto out;
    fd = os->open(os, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
    rc = fd == -EISDIR || fd == -ELOOP || fd == -ENXIO || fd == -ENOENT ? 0 : fd;
    if (fd < 0) goto out;
    rc = os->lock(os, fd);
    if (rc < 0) goto out;
    rc = os->unlink(os, path);
out:
    if (fd >= 0) (void)os->close(os, fd);
    free(path);
    return rc;
}

/* Makes the file anew, or opens the one that was made. A descriptor or -errno. */
static int open_and_lock(struct os *os, const char *path, int flags)
{
    int fd = os->open(os, path, O_RDWR | O_NOFOLLOW | flags, 0600);
    if (fd < 0) return fd;
    int rc = os->lock(os, fd);
    if (rc < 0) {
        (void)os->close(os, fd);
        return rc;
    }
    return fd;
}

/* Some file systems refuse O_DIRECT when the file is opened, others when a transfer is tried. A
 * full disk is no reason not to start: the file may never be needed. */
static int try_transfer(struct os *os, int fd)
{
    void *block = aligned_alloc(SPILL_BLOCK_BYTES, SPILL_BLOCK_BYTES);
    if (!block) return -ENOMEM;
    memset(block, 0, SPILL_BLOCK_BYTES);
    int rc = os_write_all(os, fd, block, SPILL_BLOCK_BYTES, 0);
    if (rc == 0) rc = os_read_all(os, fd, block, SPILL_BLOCK_BYTES, 0);
    if (rc == -ENOSPC || rc == -EDQUOT) rc = 0;
    free(block);
    if (rc < 0) return rc;
    return os->truncate(os, fd, 0);
}

static int make_file(struct spill_file *file)
{
    struct os *os = file->os;
    int rc, fd = open_and_lock(os, file->path, O_CREAT | O_EXCL | O_DIRECT);
    bool was_made = fd >= 0;

    if (fd == -EINVAL) {
        /* The name may have come to be before the flag was refused. */
        fd = open_and_lock(os, file->path, O_CREAT);
        was_made = fd >= 0;
    } else if (fd >= 0) {
        file->is_direct = true;
    }
    if (fd < 0) return fd;
    rc = try_transfer(os, fd);
    if (rc == -EINVAL && file->is_direct) {
        file->is_direct = false;
        (void)os->close(os, fd);
        fd = open_and_lock(os, file->path, 0);
        rc = fd < 0 ? fd : try_transfer(os, fd);
    }
    if (rc < 0) {
        if (was_made) (void)os->unlink(os, file->path);
        if (fd >= 0) (void)os->close(os, fd);
        return rc;
    }
    file->fd = fd;
    return 0;
}

/* One without a file. NULL: no memory. */
static struct spill_file *new_file(struct os *os, struct io *io, const char *directory,
                                   uint64_t disk_bytes_max)
{
    struct spill_file *file = calloc(1, sizeof(*file));

    assert(os && io && directory);
    if (!file) return NULL;
    *file = (struct spill_file){
        .os = os, .io = io, .fd = -1, .disk_bytes_max = disk_bytes_max, .sure_bytes = UINT64_MAX
    };
    file->trim.file = file;
    file->sync.file = file;
    file->reserve.file = file;
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        file->slots[i].file = file;
    }
    file->directory = strdup(directory);
    file->path = join_path(directory, FILE_NAME);
    if (file->directory && file->path && spill_space_create(&file->space) == 0) return file;
    spill_file_destroy(file);
    return NULL;
}

int spill_file_create(struct os *os, struct io *io, const char *directory, uint64_t disk_bytes_max,
                      struct spill_file **out_file)
{
    struct cleaning cleaning = { .os = os, .directory = directory };
    struct spill_file *file = new_file(os, io, directory, disk_bytes_max);
    int rc = -ENOMEM;

    if (!file) goto out;
    rc = os->list(os, directory, remove_dead_file, &cleaning);
    if (rc < 0) goto out;
    rc = make_file(file);
    if (rc < 0) goto out;
    *out_file = file;
    file = NULL;
out:
    spill_file_destroy(file);
    return rc;
}

/* Reading shows whether the file system takes transfers around its cache. */
static int try_reading(struct os *os, int fd)
{
    void *block = aligned_alloc(SPILL_BLOCK_BYTES, SPILL_BLOCK_BYTES);
    if (!block) return -ENOMEM;
    ssize_t count = os->pread(os, fd, block, SPILL_BLOCK_BYTES, 0);
    free(block);
    return count < 0 ? (int)count : 0;
}

static int find_file(struct spill_file *file)
{
    struct os *os = file->os;
    int rc = 0, fd = open_and_lock(os, file->path, O_DIRECT);

    file->is_direct = fd >= 0;
    if (fd >= 0) rc = try_reading(os, fd);
    if (fd == -EINVAL || rc == -EINVAL) {
        if (fd >= 0) (void)os->close(os, fd);
        file->is_direct = false;
        fd = open_and_lock(os, file->path, 0);
        rc = fd < 0 ? fd : try_reading(os, fd);
    }
    if (fd < 0) return fd;
    if (rc == 0) rc = os->size(os, fd, &file->file_bytes);
    if (rc < 0) {
        (void)os->close(os, fd);
        return rc;
    }
    file->fd = fd;
    return 0;
}

int spill_file_open(struct os *os, struct io *io, const char *directory, uint64_t disk_bytes_max,
                    uint64_t end_blocks, struct slice *state, struct spill_file **out_file)
{
    struct spill_file *file = new_file(os, io, directory, disk_bytes_max);
    int rc = -ENOMEM;

    if (!file) return rc;
    file->is_directory_synced = true;
    file->is_persistent = file->is_reopened = true;
    rc = find_file(file);
    if (rc == 0 && file->file_bytes / SPILL_BLOCK_BYTES < end_blocks) rc = -ENODATA;
    if (rc == 0) rc = spill_space_load(file->space, end_blocks, state);
    if (rc < 0) {
        spill_file_close(file);
        return rc;
    }
    /* Whole blocks: what is behind is of no extent. */
    file->file_bytes =
        (file->file_bytes + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES * SPILL_BLOCK_BYTES;
    *out_file = file;
    return 0;
}

static void finish(struct spill_file *file, bool keeps_file)
{
    if (!file) return;
    while (file->trim.kind != TRIM_NONE || file->sync.is_running || file->reserve.is_running) {
        (void)io_wait(file->io);
    }
    assert(!file_has_transfers(file));
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        free(file->slots[i].buffer);
    }
    if (file->fd >= 0) {
        /* Nobody is left to tell; the next start tries again. */
        if (!keeps_file) (void)file->os->unlink(file->os, file->path);
        (void)file->os->close(file->os, file->fd);
    }
    spill_space_destroy(file->space);
    written_finish(&file->written);
    free(file->directory);
    free(file->path);
    free(file);
}

void spill_file_destroy(struct spill_file *file)
{
    finish(file, false);
}

void spill_file_close(struct spill_file *file)
{
    finish(file, true);
}

void spill_file_free(struct spill_file *file, const struct spill_ref *ref)
{
    uint64_t first = ref->position_bytes / SPILL_BLOCK_BYTES;
    if (spill_extent_is_shared(ref->size_bytes)) {
        spill_space_unshare(file->space, first);
        return;
    }
    assert(ref->position_bytes % SPILL_BLOCK_BYTES == 0);
    uint64_t count = spill_extent_bytes(ref->size_bytes) / SPILL_BLOCK_BYTES;
    spill_space_free(file->space, (struct spill_run){ .first = first, .count = count });
}

bool spill_file_tick(struct spill_file *file)
{
    file_free_idle_buffers(file);
    if (file->is_persistent) {
        file_reserve_tick(file);
        file_sync_tick(file);
    }
    return file_trim_tick(file);
}

int64_t spill_file_wait_us(const struct spill_file *file)
{
    int64_t trim_us = file_trim_wait_us(file), reserve_us = file_reserve_wait_us(file);

    if (trim_us < 0 || reserve_us < 0) return trim_us < 0 ? reserve_us : trim_us;
    return trim_us < reserve_us ? trim_us : reserve_us;
}

void spill_file_set_disk_max(struct spill_file *file, uint64_t disk_bytes_max)
{
    file->disk_bytes_max = disk_bytes_max;
}

void spill_file_info(const struct spill_file *file, struct spill_file_info *out_info)
{
    *out_info = file->figures;
    out_info->file_bytes = file->file_bytes;
    out_info->used_bytes =
        (spill_space_used(file->space) - file_trim_blocks(file)) * SPILL_BLOCK_BYTES;
    out_info->disk_bytes_max = file->disk_bytes_max;
    out_info->memory_bytes = sizeof(*file) + spill_space_memory_bytes(file->space) +
                             file_buffer_bytes(file) +
                             file->written.capacity * sizeof(*file->written.entries);
    out_info->is_direct = file->is_direct;
}

uint64_t spill_file_footprint(uint32_t payload_bytes)
{
    return spill_extent_bytes(payload_bytes);
}

void spill_file_check(const struct spill_file *file)
{
    unsigned busy_reads = 0, busy_urgent_reads = 0, busy_writes = 0;

    spill_space_check(file->space);
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        const struct file_slot *slot = &file->slots[i];
        if (!slot->is_busy) continue;
        assert(slot->buffer && (slot->write != NULL) != (slot->reads != NULL));
        busy_writes += slot->write != NULL;
        busy_reads += slot->reads != NULL;
        busy_urgent_reads += slot->reads && slot->reads->is_urgent;
    }
    assert(busy_urgent_reads == file->busy_urgent_reads);
    assert(busy_reads == file->busy_reads && busy_reads <= FILE_READS_MAX);
    assert(busy_writes == file->busy_writes && busy_writes <= FILE_WRITES_MAX);
}
