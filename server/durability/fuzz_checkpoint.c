/* Reading a checkpoint file that holds anything. The first byte of the input says whether the rest
 * is a file as it is, or records in blocks that are put right around them, so that what is behind
 * the checksums is reached. Whatever comes: it is refused, or reads the same twice. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/base/crc32c.h"
#include "modules/base/os.h"
#include "server/durability/checkpoint_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW = 1, SMALL_BLOCKS = 2, READ_BYTES = 100 };

static struct {
    char path[64];
    uint8_t bytes[4 * CHECKPOINT_BLOCK_DATA_MAX];
    size_t size;
} file;

static void remove_file(void)
{
    (void)unlink(file.path);
}

static void set_up(void)
{
    int fd;
    strcpy(file.path, "/dev/shm/sluice-fuzz-checkpoint-XXXXXX");
    fd = mkstemp(file.path);
    if (fd < 0) abort();
    (void)close(fd);
    (void)atexit(remove_file);
}

static void write_file(const uint8_t *bytes, size_t size)
{
    int fd = open(file.path, O_WRONLY | O_TRUNC);
    assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
}

static void add_block(const uint8_t *data, uint32_t size, enum checkpoint_block_kind kind,
                      uint32_t seed)
{
    uint8_t *block = file.bytes + file.size;
    memcpy(block + CHECKPOINT_BLOCK_HEADER_BYTES, data, size);
    checkpoint_block_seal(block, size, kind, file.size, seed);
    file.size += CHECKPOINT_BLOCK_HEADER_BYTES + (size_t)size;
}

static void wrap(const uint8_t *data, size_t size, size_t block_max, uint64_t count)
{
    const struct checkpoint_head head = { .number = 1, .log_position = 2, .time_ms = 3 };
    const struct checkpoint_end end = { size, count & 15, count >> 4 };
    uint8_t end_bytes[CHECKPOINT_END_BYTES];
    uint32_t seed;
    checkpoint_head_write(&head, file.bytes);
    seed = checkpoint_head_seed(file.bytes);
    file.size = CHECKPOINT_HEAD_BYTES;
    while (size > 0) {
        size_t part = size < block_max ? size : block_max;
        add_block(data, (uint32_t)part, CHECKPOINT_BLOCK_RECORDS, seed);
        data += part;
        size -= part;
    }
    checkpoint_end_write(&end, end_bytes);
    add_block(end_bytes, sizeof(end_bytes), CHECKPOINT_BLOCK_END, seed);
    write_file(file.bytes, file.size);
}

/* 0: *out_sum is a number for all that was read. */
static int read_through(struct checkpoint_reader *reader, uint32_t *out_sum)
{
    struct checkpoint_record record;
    uint8_t bytes[READ_BYTES];
    int rc;
    *out_sum = 0;
    while ((rc = checkpoint_reader_next(reader, &record)) == 1) {
        uint64_t size = record.name_size + record.value_size;
        if (size > sizeof(bytes)) size = sizeof(bytes); /* the rest is passed over */
        rc = checkpoint_reader_read(reader, bytes, size);
        if (rc < 0) break;
        *out_sum = crc32c(*out_sum, bytes, size);
        *out_sum = crc32c(*out_sum, &record.expires_at_ms, sizeof(record.expires_at_ms));
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[CHECKPOINT_ERROR_BYTES];
    struct checkpoint_reader *reader;
    uint32_t first, second;
    int rc;

    if (!file.path[0]) set_up();
    if (size < 2 || size > CHECKPOINT_BLOCK_DATA_MAX) return 0;
    if (data[0] & RAW)
        write_file(data + 2, size - 2);
    else
        wrap(data + 2, size - 2, data[0] & SMALL_BLOCKS ? 50 : CHECKPOINT_BLOCK_DATA_MAX, data[1]);
    rc = checkpoint_reader_open(os_real(), file.path, error, &reader);
    if (rc == 0) {
        rc = read_through(reader, &first);
        if (rc == 0) {
            checkpoint_reader_rewind(reader);
            rc = read_through(reader, &second);
            assert(rc == 0 && first == second);
        }
        checkpoint_reader_close(reader);
    }
    assert(rc == 0 || ((rc == -EBADMSG || rc == -EPROTONOSUPPORT) && error[0] != '\0'));
    return 0;
}
