/* While a file is mapped for writing, a copy of what is known of it is compared with what the file
 * holds now; what differs was stored, and becomes an event a page. */
#include "modules/base/record_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, PIECE_BYTES = 16 * PAGE_BYTES };

static int begin_to_know(struct record *record, struct record_file *file, int fd)
{
    char path[64];
    int rc;

    /* A descriptor of the same description would keep the caller's locks alive. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    file->fd = record->below->open(record->below, path, O_RDONLY, 0);
    if (file->fd < 0) return file->fd;
    rc = record->below->size(record->below, file->fd, &file->known_bytes);
    if (rc == 0) {
        file->known = record_realloc(NULL, file->known_bytes + 1);
        rc = os_read_all(record->below, file->fd, file->known, file->known_bytes, 0);
    }
    if (rc < 0) {
        free(file->known);
        file->known = NULL;
        close(file->fd);
        file->fd = -1;
    }
    return rc;
}

int record_mapped(struct record *record, uint32_t number, int fd, void *address, size_t size,
                  uint64_t offset)
{
    struct record_file *file = &record->files[number];

    if (file->map_count == 0) {
        int rc = begin_to_know(record, file, fd);
        if (rc < 0) return rc;
    }
    if (record->map_count == record->map_capacity) {
        record->map_capacity = record->map_capacity > 0 ? 2 * record->map_capacity : 16;
        record->maps = record_realloc(record->maps, record->map_capacity * sizeof(*record->maps));
    }
    record->maps[record->map_count++] = (struct record_map){ address, size, offset, number };
    file->map_count++;
    return 0;
}

const struct record_map *record_map_at(const struct record *record, const void *address)
{
    for (size_t i = 0; i < record->map_count; i++) {
        const struct record_map *map = &record->maps[i];
        const uint8_t *at = address;
        if (at >= map->address && at < map->address + map->size) return map;
    }
    return NULL;
}

void record_unmapped(struct record *record, const void *address)
{
    const struct record_map *map = record_map_at(record, address);
    struct record_file *file;

    if (!map) return;
    file = &record->files[map->file];
    record->maps[map - record->maps] = record->maps[--record->map_count];
    if (--file->map_count > 0) return;
    free(file->known);
    file->known = NULL;
    close(file->fd);
    file->fd = -1;
}

void record_know_size(struct record *record, uint32_t number, uint64_t size)
{
    struct record_file *file = &record->files[number];

    if (file->map_count == 0) return;
    file->known = record_realloc(file->known, size + 1);
    if (size > file->known_bytes) {
        memset(file->known + file->known_bytes, 0, size - file->known_bytes);
    }
    file->known_bytes = size;
}

void record_know(struct record *record, uint32_t number, uint64_t offset, uint64_t size,
                 const uint8_t *bytes)
{
    struct record_file *file = &record->files[number];

    if (file->map_count == 0) return;
    if (offset + size > file->known_bytes) record_know_size(record, number, offset + size);
    if (bytes) {
        memcpy(file->known + offset, bytes, size);
    } else {
        memset(file->known + offset, 0, size);
    }
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static void take_page(struct record *record, uint32_t number, uint64_t offset, const uint8_t *now,
                      size_t size)
{
    uint8_t *known = record->files[number].known + offset;
    size_t begin = 0, end = size;

    if (memcmp(known, now, size) == 0) return;
    while (known[begin] == now[begin])
        begin++;
    while (known[end - 1] == now[end - 1])
        end--;
    memcpy(known + begin, now + begin, end - begin);
    record_add(record, &(struct record_event){ .kind = RECORD_WRITE,
                                               .file = number,
                                               .offset = offset + begin,
                                               .size = end - begin,
                                               .bytes = now + begin });
}

static int look_at(struct record *record, uint32_t number, uint8_t now[PIECE_BYTES])
{
    const struct record_file *file = &record->files[number];

    for (uint64_t at = 0; at < file->known_bytes; at += PIECE_BYTES) {
        uint64_t left = file->known_bytes - at;
        size_t piece = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        int rc = os_read_all(record->below, file->fd, now, piece, at);
        if (rc < 0) return rc;
        if (memcmp(file->known + at, now, piece) == 0) continue;
        for (size_t page = 0; page < piece; page += PAGE_BYTES) {
            size_t size = piece - page < PAGE_BYTES ? piece - page : PAGE_BYTES;
            take_page(record, number, at + page, now + page, size);
        }
    }
    return 0;
}

int record_look_locked(struct record *record)
{
    uint8_t *now = malloc(PIECE_BYTES); /* too large for the stack of a fiber */
    int rc = now ? 0 : -ENOMEM;

    for (uint32_t i = 0; rc == 0 && i < record->file_count; i++) {
        if (record->files[i].map_count > 0) rc = look_at(record, i, now);
    }
    free(now);
    return rc;
}
