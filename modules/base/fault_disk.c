#include "modules/base/fault_disk_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct disk_file {
    struct disk_file *next;
    dev_t device;
    ino_t inode;
    uint64_t block_count; /* entries of is_used */
    bool *is_used;
};

void disk_init(struct disk *disk)
{
    *disk = (struct disk){ .size_bytes = UINT64_MAX };
}

static void forget(struct disk *disk, struct disk_file **at)
{
    struct disk_file *file = *at;
    for (uint64_t i = 0; i < file->block_count; i++) {
        if (file->is_used[i]) disk->used_blocks--;
    }
    *at = file->next;
    free(file->is_used);
    free(file);
}

void disk_finish(struct disk *disk)
{
    while (disk->files)
        forget(disk, &disk->files);
    assert(disk->used_blocks == 0);
}

static struct disk_file **find(struct disk *disk, const struct stat *status)
{
    struct disk_file **at = &disk->files;
    while (*at && ((*at)->device != status->st_dev || (*at)->inode != status->st_ino)) {
        at = &(*at)->next;
    }
    return at;
}

/* Makes sure that blocks [0, block_count) have an entry. */
static int cover(struct disk_file *file, uint64_t block_count)
{
    uint64_t capacity = file->block_count + file->block_count / 2;
    bool *is_used;
    if (block_count <= file->block_count) return 0;
    if (capacity < block_count) capacity = block_count;
    is_used = realloc(file->is_used, capacity * sizeof(*is_used));
    if (!is_used) return -ENOMEM;
    memset(is_used + file->block_count, 0, (capacity - file->block_count) * sizeof(*is_used));
    file->is_used = is_used;
    file->block_count = capacity;
    return 0;
}

static uint64_t blocks_of(uint64_t size_bytes)
{
    return size_bytes / FAULT_BLOCK_BYTES + (size_bytes % FAULT_BLOCK_BYTES != 0);
}

/* NULL: no memory. */
static struct disk_file *add_file(struct disk *disk, const struct stat *status)
{
    uint64_t block_count = blocks_of((uint64_t)status->st_size);
    struct disk_file *file = calloc(1, sizeof(*file));
    if (!file) return NULL;
    file->device = status->st_dev;
    file->inode = status->st_ino;
    if (cover(file, block_count) < 0) {
        free(file);
        return NULL;
    }
    /* A file with holes counts as if it had none: it was made before we looked. */
    for (uint64_t i = 0; i < block_count; i++)
        file->is_used[i] = true;
    disk->used_blocks += block_count;
    file->next = disk->files;
    disk->files = file;
    return file;
}

/* NULL: *out_rc says why. */
static struct disk_file *file_of(struct disk *disk, int fd, int *out_rc)
{
    struct stat status;
    struct disk_file *file;
    if (fstat(fd, &status) < 0) {
        *out_rc = -errno;
        return NULL;
    }
    file = *find(disk, &status);
    if (!file) file = add_file(disk, &status);
    *out_rc = file ? 0 : -ENOMEM;
    return file;
}

int disk_opened(struct disk *disk, int fd)
{
    struct stat status;
    struct disk_file **at;
    if (fstat(fd, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode)) return 0;
    at = find(disk, &status);
    /* Emptied by O_TRUNC, or the inode of a file that went away behind our back. */
    if (*at && status.st_size == 0 && status.st_blocks == 0) forget(disk, at);
    at = find(disk, &status);
    return *at || add_file(disk, &status) ? 0 : -ENOMEM;
}

int disk_take(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes, uint64_t *out_bytes)
{
    uint64_t end_block = blocks_of(offset + size_bytes);
    int rc;
    struct disk_file *file = file_of(disk, fd, &rc);
    if (!file) return rc;
    rc = cover(file, end_block);
    if (rc < 0) return rc;
    *out_bytes = size_bytes;
    for (uint64_t block = offset / FAULT_BLOCK_BYTES; block < end_block; block++) {
        if (file->is_used[block]) continue;
        if (disk->used_blocks >= disk->size_bytes / FAULT_BLOCK_BYTES) {
            uint64_t begin = block * FAULT_BLOCK_BYTES;
            *out_bytes = begin > offset ? begin - offset : 0;
            return 0;
        }
        file->is_used[block] = true;
        disk->used_blocks++;
    }
    return 0;
}

int disk_take_all(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes)
{
    uint64_t end_block = blocks_of(offset + size_bytes), missing = 0, taken = 0;
    uint64_t disk_blocks = disk->size_bytes / FAULT_BLOCK_BYTES;
    int rc;
    struct disk_file *file = file_of(disk, fd, &rc);
    if (!file) return rc;
    rc = cover(file, end_block);
    if (rc < 0) return rc;
    for (uint64_t block = offset / FAULT_BLOCK_BYTES; block < end_block; block++) {
        if (!file->is_used[block]) missing++;
    }
    if (missing > 0 &&
        (disk->used_blocks > disk_blocks || missing > disk_blocks - disk->used_blocks)) {
        return -ENOSPC;
    }
    rc = disk_take(disk, fd, offset, size_bytes, &taken);
    assert(rc < 0 || taken == size_bytes);
    return rc;
}

int disk_give_back(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes)
{
    int rc;
    struct disk_file *file = file_of(disk, fd, &rc);
    uint64_t end = offset > UINT64_MAX - size_bytes ? UINT64_MAX : offset + size_bytes;
    if (!file) return rc;
    for (uint64_t block = blocks_of(offset); block < file->block_count; block++) {
        if (block >= end / FAULT_BLOCK_BYTES) break;
        if (!file->is_used[block]) continue;
        file->is_used[block] = false;
        disk->used_blocks--;
    }
    return 0;
}

void disk_unlinking(struct disk *disk, const char *path)
{
    struct stat status;
    struct disk_file **at;
    if (lstat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink > 1) return;
    at = find(disk, &status);
    if (*at) forget(disk, at);
}
