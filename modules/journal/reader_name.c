/* A name is a file NAME.reader of two slots that are written in turn, so that one is whole whenever
 * the process or the power goes:
 *
 *   0          8       16       20       32
 *   +----------+-------+--------+--------+---
 *   | position | count | crc32c | zeros  | …     the slot with the greater count is the newer one
 *   +----------+-------+--------+--------+---
 *
 * Who has the name holds a lock on the file. */
#include "modules/journal/reader_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"

enum { SLOT_BYTES = 32, SLOT_CRC = 16 };

struct slot {
    uint64_t position, count;
};

static void encode(uint8_t bytes[SLOT_BYTES], const struct slot *slot)
{
    memset(bytes, 0, SLOT_BYTES);
    store_u64le(bytes, slot->position);
    store_u64le(bytes + 8, slot->count);
    store_u32le(bytes + SLOT_CRC, crc32c(0, bytes, SLOT_CRC));
}

/* The newer of the slots that are whole; count 0: none is. */
static struct slot decode(const uint8_t bytes[2 * SLOT_BYTES])
{
    struct slot newest = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *at = bytes + i * SLOT_BYTES;
        struct slot slot = { load_u64le(at), load_u64le(at + 8) };
        if (load_u32le(at + SLOT_CRC) != crc32c(0, at, SLOT_CRC)) continue;
        if (slot.count > newest.count) newest = slot;
    }
    return newest;
}

static bool name_is_good(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= JOURNAL_READER_NAME_BYTES_MAX && name[0] != '.' &&
           strchr(name, '/') == NULL;
}

static int open_name(struct journal_reader *reader, const char *name)
{
    char file[JOURNAL_READER_NAME_BYTES_MAX + sizeof(".reader")];
    struct os *os = reader->os;
    char *path;
    int fd, rc;

    (void)snprintf(file, sizeof(file), "%s.reader", name);
    path = journal_join_path(reader->path, file);
    fd = path ? os->open(os, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644) : -ENOMEM;
    free(path);
    if (fd < 0) return fd;
    rc = os->lock(os, fd);
    if (rc == 0) return fd;
    (void)os->close(os, fd); /* nothing was written */
    return rc;
}

static int read_slot(struct os *os, int fd, struct slot *out_slot)
{
    uint8_t bytes[2 * SLOT_BYTES] = { 0 };
    uint64_t size;
    int rc = os->size(os, fd, &size);

    if (rc < 0) return rc;
    if (size > sizeof(bytes)) size = sizeof(bytes);
    rc = os_read_all(os, fd, bytes, size, 0);
    if (rc < 0) return rc;
    *out_slot = decode(bytes);
    return 0;
}

/* 1, or -ESTALE at the start, or an error. */
static int go_to(struct journal_reader *reader, uint64_t position)
{
    int rc;

    /* The journal lost a tail that the reader had seen: what comes next comes at its end. */
    if (position > journal_reader_end(reader)) position = journal_reader_end(reader);
    rc = journal_reader_seek_position(reader, position);
    if (rc == 0) return 1;
    if (rc != -ESTALE && rc != -EINVAL) return rc;
    rc = journal_reader_seek_start(reader);
    return rc < 0 ? rc : -ESTALE;
}

int journal_reader_take_name(struct journal_reader *reader, const char *name)
{
    struct slot slot = { 0 };
    int rc, fd;

    if (reader->name_fd >= 0 || reader->home || reader->async || !name_is_good(name))
        return -EINVAL;
    fd = open_name(reader, name);
    if (fd < 0) return fd;
    rc = read_slot(reader->os, fd, &slot);
    if (rc == 0 && slot.count > 0) rc = go_to(reader, slot.position);
    if (rc < 0 && rc != -ESTALE) {
        (void)reader->os->close(reader->os, fd); /* nothing was written */
        return rc;
    }
    reader->name_fd = fd;
    reader->name_count = slot.count;
    return rc;
}

int journal_reader_keep(struct journal_reader *reader, bool is_durable)
{
    struct slot slot = { reader->position, reader->name_count + 1 };
    uint8_t bytes[SLOT_BYTES];
    struct os *os = reader->os;
    int rc;

    if (reader->name_fd < 0) return -EINVAL;
    encode(bytes, &slot);
    rc = os_write_all(os, reader->name_fd, bytes, sizeof(bytes), slot.count % 2 * SLOT_BYTES);
    if (rc < 0) return rc;
    reader->name_count++;
    if (!is_durable) return 0;
    rc = os->fdatasync(os, reader->name_fd);
    return rc < 0 ? rc : os->fsync_directory(os, reader->path);
}
