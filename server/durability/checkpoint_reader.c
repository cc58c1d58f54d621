#include "server/durability/checkpoint_reader.h"

#include "modules/base/os.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES_MAX = CHECKPOINT_BLOCK_HEADER_BYTES + CHECKPOINT_BLOCK_DATA_MAX };

struct checkpoint_reader {
    struct os *os;
    char *path, *error;
    int fd;
    uint64_t size_bytes;
    struct checkpoint_head head;
    uint32_t seed;

    uint64_t offset;                  /* in the file, of the block behind the one that is held */
    uint64_t block_offset;            /* of the one that is held */
    uint32_t begin, end;              /* of what is left of it in bytes */
    uint64_t left;                    /* of the record's name and value */
    struct checkpoint_end seen, told; /* counts */
    bool has_ended;
    uint8_t bytes[BLOCK_BYTES_MAX];
};

static int refuse(const struct checkpoint_reader *reader, uint64_t offset, int rc,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

static int refuse(const struct checkpoint_reader *reader, uint64_t offset, int rc,
                  const char *format, ...)
{
    char why[CHECKPOINT_ERROR_BYTES / 2];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(why, sizeof(why), format, list);
    va_end(list);
    (void)snprintf(reader->error, CHECKPOINT_ERROR_BYTES, "%s at offset %llu: %s", reader->path,
                   (unsigned long long)offset, why);
    return rc;
}

int checkpoint_reader_refuse(struct checkpoint_reader *reader, const char *why)
{
    return refuse(reader, reader->block_offset, -EBADMSG, "%s", why);
}

/* ---- opening ---- */

static int read_head(struct checkpoint_reader *reader)
{
    uint8_t bytes[CHECKPOINT_HEAD_BYTES];
    uint32_t version = 0;
    int rc;
    if (reader->size_bytes < sizeof(bytes))
        return refuse(reader, reader->size_bytes, -EBADMSG, "the file ends within its head");
    rc = os_read_all(reader->os, reader->fd, bytes, sizeof(bytes), 0);
    if (rc < 0) return refuse(reader, 0, rc, "%s", strerror(-rc));
    rc = checkpoint_head_read(bytes, &reader->head, &version);
    if (rc == -EPROTONOSUPPORT)
        return refuse(reader, 8, rc, "its format is version %u, this server knows version %d",
                      version, (int)CHECKPOINT_VERSION);
    if (rc < 0) return refuse(reader, 0, rc, "the head is damaged");
    reader->seed = checkpoint_head_seed(bytes);
    return 0;
}

static int open_file(struct checkpoint_reader *reader)
{
    int rc = reader->os->open(reader->os, reader->path, O_RDONLY, 0);
    if (rc >= 0) {
        reader->fd = rc;
        rc = reader->os->size(reader->os, reader->fd, &reader->size_bytes);
    }
    if (rc < 0) return refuse(reader, 0, rc, "it cannot be read: %s", strerror(-rc));
    return read_head(reader);
}

int checkpoint_reader_open(struct os *os, const char *path, char *error,
                           struct checkpoint_reader **out_reader)
{
    struct checkpoint_reader *reader = calloc(1, sizeof(*reader));
    int rc = -ENOMEM;
    error[0] = '\0';
    if (!reader) goto out;
    reader->os = os;
    reader->fd = -1;
    reader->error = error;
    reader->path = strdup(path);
    if (!reader->path) goto out;
    rc = open_file(reader);
    if (rc < 0) goto out;
    checkpoint_reader_rewind(reader);
    *out_reader = reader;
    reader = NULL;
out:
    checkpoint_reader_close(reader);
    return rc;
}

void checkpoint_reader_close(struct checkpoint_reader *reader)
{
    if (!reader) return;
    if (reader->fd >= 0) (void)reader->os->close(reader->os, reader->fd);
    free(reader->path);
    free(reader);
}

const struct checkpoint_head *checkpoint_reader_head(const struct checkpoint_reader *reader)
{
    return &reader->head;
}

void checkpoint_reader_rewind(struct checkpoint_reader *reader)
{
    reader->offset = CHECKPOINT_HEAD_BYTES;
    reader->block_offset = CHECKPOINT_HEAD_BYTES;
    reader->begin = reader->end = 0;
    reader->left = 0;
    reader->seen = (struct checkpoint_end){ 0 };
    reader->has_ended = false;
}

/* ---- blocks ---- */

/* Reads what may be a whole block, and checks that it is one. */
static int read_block(struct checkpoint_reader *reader, struct checkpoint_block *out_block)
{
    uint64_t offset = reader->offset, room = reader->size_bytes - offset;
    size_t size = room < BLOCK_BYTES_MAX ? (size_t)room : (size_t)BLOCK_BYTES_MAX;
    int rc;
    if (size < CHECKPOINT_BLOCK_HEADER_BYTES)
        return refuse(reader, reader->size_bytes, -EBADMSG, "the file ends before its end record");
    rc = os_read_all(reader->os, reader->fd, reader->bytes, size, offset);
    if (rc < 0) return refuse(reader, offset, rc, "it cannot be read: %s", strerror(-rc));
    if (checkpoint_block_read(reader->bytes, offset, out_block) < 0)
        return refuse(reader, offset, -EBADMSG, "no block begins here");
    if (CHECKPOINT_BLOCK_HEADER_BYTES + (size_t)out_block->size > size)
        return refuse(reader, offset, -EBADMSG, "the file ends within this block");
    if (!checkpoint_block_is_whole(reader->bytes, reader->seed))
        return refuse(reader, offset, -EBADMSG, "the checksum of this block is wrong");
    return 0;
}

static int take_end(struct checkpoint_reader *reader)
{
    checkpoint_end_read(reader->bytes + CHECKPOINT_BLOCK_HEADER_BYTES, &reader->told);
    if (reader->offset != reader->size_bytes)
        return refuse(reader, reader->offset, -EBADMSG, "something follows the end record");
    reader->has_ended = true;
    return 0;
}

/* The next block takes the place of the one that is held, of which nothing is left. */
static int load_block(struct checkpoint_reader *reader)
{
    struct checkpoint_block block = { 0 };
    int rc;
    assert(reader->begin == reader->end && !reader->has_ended);
    rc = read_block(reader, &block);
    if (rc < 0) return rc;
    reader->block_offset = reader->offset;
    reader->offset += CHECKPOINT_BLOCK_HEADER_BYTES + (uint64_t)block.size;
    if (block.kind == CHECKPOINT_BLOCK_END) return take_end(reader);
    reader->begin = CHECKPOINT_BLOCK_HEADER_BYTES;
    reader->end = CHECKPOINT_BLOCK_HEADER_BYTES + block.size;
    return 0;
}

/* bytes NULL: passes over them. */
static int take_bytes(struct checkpoint_reader *reader, uint8_t *bytes, uint64_t size)
{
    while (size > 0) {
        uint32_t here = reader->end - reader->begin;
        int rc;
        if (here > size) here = (uint32_t)size;
        if (bytes && here > 0) {
            memcpy(bytes, reader->bytes + reader->begin, here);
            bytes += here;
        }
        reader->begin += here;
        reader->seen.record_bytes += here;
        size -= here;
        if (size == 0) break;
        rc = load_block(reader);
        if (rc < 0) return rc;
        if (reader->has_ended)
            return refuse(reader, reader->block_offset, -EBADMSG, "the file ends within a record");
    }
    return 0;
}

/* ---- records ---- */

static int check_counts(const struct checkpoint_reader *reader)
{
    if (reader->seen.record_bytes == reader->told.record_bytes &&
        reader->seen.key_count == reader->told.key_count &&
        reader->seen.record_count == reader->told.record_count)
        return 0;
    return refuse(
        reader, reader->block_offset, -EBADMSG, "the end record tells of %llu keys, %llu are here",
        (unsigned long long)reader->told.key_count, (unsigned long long)reader->seen.key_count);
}

static int read_fields(struct checkpoint_reader *reader, struct checkpoint_record *out_record)
{
    uint8_t fields[CHECKPOINT_RECORD_BYTES_MAX];
    int rc = take_bytes(reader, fields, CHECKPOINT_RECORD_BYTES_MIN);
    if (rc == 0)
        rc = take_bytes(reader, fields + CHECKPOINT_RECORD_BYTES_MIN,
                        checkpoint_record_size(fields) - CHECKPOINT_RECORD_BYTES_MIN);
    if (rc < 0) return rc;
    if (checkpoint_record_read(fields, out_record) < 0)
        return checkpoint_reader_refuse(reader, "this block holds something that is no record");
    if (out_record->value_size >= reader->size_bytes || out_record->name_size >= reader->size_bytes)
        return checkpoint_reader_refuse(reader, "a record is larger than the file");
    return 0;
}

int checkpoint_reader_next(struct checkpoint_reader *reader, struct checkpoint_record *out_record)
{
    int rc = take_bytes(reader, NULL, reader->left);
    if (rc < 0) return rc;
    reader->left = 0;
    if (reader->begin == reader->end && !reader->has_ended) rc = load_block(reader);
    if (rc < 0) return rc;
    if (reader->has_ended) return check_counts(reader);
    rc = read_fields(reader, out_record);
    if (rc < 0) return rc;
    reader->left = out_record->name_size + out_record->value_size;
    reader->seen.record_count++;
    reader->seen.key_count += checkpoint_record_is_key(out_record->kind);
    return 1;
}

int checkpoint_reader_read(struct checkpoint_reader *reader, void *bytes, size_t size)
{
    assert(size <= reader->left);
    reader->left -= size;
    return take_bytes(reader, bytes, size);
}

uint64_t checkpoint_reader_position(const struct checkpoint_reader *reader)
{
    return reader->block_offset;
}

uint64_t checkpoint_reader_size(const struct checkpoint_reader *reader)
{
    return reader->size_bytes;
}
