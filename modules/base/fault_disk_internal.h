/* fault_disk_internal.h - the disk that fault.h plays: which blocks of which file are in use.
 *
 * Files are known by device and inode. Not thread-safe: fault.c holds its mutex. */
#ifndef MODULES_BASE_FAULT_DISK_INTERNAL_H
#define MODULES_BASE_FAULT_DISK_INTERNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULT_BLOCK_BYTES = 4096 };

struct disk_file;
struct disk {
    struct disk_file *files; /* a list: tests have few */
    uint64_t size_bytes;
    uint64_t used_blocks;
};

void disk_init(struct disk *disk);
void disk_finish(struct disk *disk);

/* fd was just opened: what the file holds already counts as used. 0 or -errno. */
int disk_opened(struct disk *disk, int fd);
/* Takes the blocks of [offset, offset + size_bytes) that are not in use yet, from the front, as far
 * as the disk has room. *out_bytes: how much of the range is in use now. 0 or -errno. */
int disk_take(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes, uint64_t *out_bytes);
/* Takes all of a range, or nothing and returns -ENOSPC. */
int disk_take_all(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes);
/* Gives back the blocks that lie wholly inside the range. */
int disk_give_back(struct disk *disk, int fd, uint64_t offset, uint64_t size_bytes);
/* The file is about to lose its last name: forgets it. A path that is no file is none of our
 * business. */
void disk_unlinking(struct disk *disk, const char *path);
#endif
