/* A name is a file NAME.reader of two slots that are written in turn, so that one is whole whenever
 * the process or the power goes:
 *
 *   0          8       16              24      32         36       40      64
 *   +----------+-------+---------------+-------+----------+--------+-------+
 *   | position | count | last position | floor | last crc | crc32c | zeros |
 *   +----------+-------+---------------+-------+----------+--------+-------+
 *
 * The slot with the greater count is the newer one. A reader may have seen frames that a loss of
 * power takes back, and what is appended then may fill the journal beyond its position again. So
 * the slot names the last frame that was seen, whose checksum must stand there, and as floor what
 * was synced then: where the reader goes when it does not.
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

enum { SLOT_BYTES = 64, SLOT_CRC = 36 };

struct slot {
    uint64_t position, count;
    uint64_t last_position; /* 0: no frame is told of */
    uint64_t floor;
    uint32_t last_crc;
};

static void encode(uint8_t bytes[SLOT_BYTES], const struct slot *slot)
{
    memset(bytes, 0, SLOT_BYTES);
    store_u64le(bytes, slot->position);
    store_u64le(bytes + 8, slot->count);
    store_u64le(bytes + 16, slot->last_position);
    store_u64le(bytes + 24, slot->floor);
    store_u32le(bytes + 32, slot->last_crc);
    store_u32le(bytes + SLOT_CRC, crc32c(0, bytes, SLOT_CRC));
}

/* The newer of the slots that are whole; count 0: none is. */
static struct slot decode(const uint8_t bytes[2 * SLOT_BYTES])
{
    struct slot newest = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *at = bytes + i * SLOT_BYTES;
        struct slot slot = { load_u64le(at), load_u64le(at + 8), load_u64le(at + 16),
                             load_u64le(at + 24), load_u32le(at + 32) };
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

/* 1: the last frame that was seen is where it was, and the reader behind it. 0: it is lost, or none
 * was told of. -ESTALE: it has been trimmed away, so it was not lost. */
static int find_last(struct journal_reader *reader, const struct slot *slot)
{
    struct journal_entry entry;
    int rc;

    if (slot->last_position == 0) return 0;
    rc = journal_reader_seek_position(reader, slot->last_position);
    if (rc == 0) rc = journal_reader_next(reader, &entry);
    if (rc < 0) return rc == -EINVAL || rc == -EBADMSG ? 0 : rc;
    return reader->last_position == slot->last_position && reader->last_crc == slot->last_crc;
}

/* Where nothing is missed that the journal has now. */
static uint64_t safe_position(const struct journal_reader *reader, const struct slot *slot,
                              int found)
{
    bool is_told = slot->last_position > 0 && found != -ESTALE;

    if (found == 1 && slot->position > journal_reader_end(reader)) return reader->position;
    if (found == 1) return slot->position;
    return is_told || slot->position > journal_reader_end(reader) ? slot->floor : slot->position;
}

/* 1, or -ESTALE at the start, or an error. */
static int go_to(struct journal_reader *reader, const struct slot *slot)
{
    int rc = find_last(reader, slot);
    uint32_t crc = reader->last_crc;
    bool has_last = rc == 1;

    if (rc < 0 && rc != -ESTALE) return rc;
    rc = journal_reader_seek_position(reader, safe_position(reader, slot, rc));
    if (rc == 0) {
        reader->last_position = has_last ? slot->last_position : 0;
        reader->last_crc = crc;
        return 1;
    }
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
    if (rc == 0 && slot.count > 0) rc = go_to(reader, &slot);
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
    struct slot slot = { reader->position, reader->name_count + 1, reader->last_position, 0,
                         reader->last_crc };
    uint8_t bytes[SLOT_BYTES];
    struct os *os = reader->os;
    int rc;

    if (reader->name_fd < 0) return -EINVAL;
    slot.floor = journal_live_synced(reader->meta.live, reader->meta.journal);
    if (slot.floor == 0) slot.floor = journal_segment_start(1);
    if (slot.floor > slot.position) slot.floor = slot.position;
    encode(bytes, &slot);
    rc = os_write_all(os, reader->name_fd, bytes, sizeof(bytes), slot.count % 2 * SLOT_BYTES);
    if (rc < 0) return rc;
    reader->name_count++;
    if (!is_durable) return 0;
    rc = os->fdatasync(os, reader->name_fd);
    return rc < 0 ? rc : os->fsync_directory(os, reader->path);
}
