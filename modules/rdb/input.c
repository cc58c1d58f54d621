#include "modules/rdb/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/rdb/crc64.h"

int rdb_input_open(struct os *os, const char *path, struct rdb_input *out_input)
{
    struct rdb_input input = { .os = os, .fd = -1 };
    /* Nobody may ever come to write into a pipe. */
    int rc = os->open(os, path, O_RDONLY | O_NONBLOCK, 0);

    if (rc < 0) return rc;
    input.fd = rc;
    rc = os->size(os, input.fd, &input.size_bytes);
    input.buffer = rc < 0 ? NULL : malloc(RDB_PIECE_BYTES);
    if (rc == 0 && !input.buffer) rc = -ENOMEM;
    if (rc < 0) {
        (void)os->close(os, input.fd);
        return rc;
    }
    input.bytes = input.buffer;
    *out_input = input;
    return 0;
}

void rdb_input_of_bytes(struct slice bytes, struct rdb_input *out_input)
{
    *out_input = (struct rdb_input){
        .fd = -1, .bytes = bytes.bytes, .end = bytes.size, .size_bytes = bytes.size
    };
}

void rdb_input_close(struct rdb_input *input)
{
    free(input->buffer);
    if (input->fd >= 0) (void)input->os->close(input->os, input->fd); /* only read from */
    input->buffer = NULL;
    input->fd = -1;
}

void rdb_input_seek(struct rdb_input *input, uint64_t position)
{
    assert(position <= input->size_bytes);
    input->begin = input->fd < 0 ? (size_t)position : 0;
    if (input->fd >= 0) input->end = 0;
    input->position = position;
    input->crc = 0;
    input->error[0] = '\0';
}

void rdb_input_cut(struct rdb_input *input, uint64_t size_bytes)
{
    assert(size_bytes >= input->position && size_bytes <= input->size_bytes);
    input->size_bytes = size_bytes;
    if (input->end - input->begin > rdb_input_left(input))
        input->end = input->begin + (size_t)rdb_input_left(input);
}

int rdb_input_fail(struct rdb_input *input, int rc, const char *format, ...)
{
    va_list list;
    int used;

    if (input->error[0] != '\0') return rc;
    used = snprintf(input->error, sizeof(input->error),
                    "at byte %llu: ", (unsigned long long)input->position);
    va_start(list, format);
    (void)vsnprintf(input->error + used, sizeof(input->error) - (size_t)used, format, list);
    va_end(list);
    return rc;
}

const char *rdb_input_error(const struct rdb_input *input)
{
    return input->error;
}

/* At least one byte is there to be taken. */
static int fill(struct rdb_input *input)
{
    uint64_t left = rdb_input_left(input);
    size_t size = left < RDB_PIECE_BYTES ? (size_t)left : RDB_PIECE_BYTES;
    ssize_t rc;

    if (input->begin < input->end) return 0;
    if (left == 0) return rdb_input_fail(input, -EBADMSG, "the file ends too soon");
    assert(input->fd >= 0);
    rc = input->os->pread(input->os, input->fd, input->buffer, size, input->position);
    if (rc < 0) return rdb_input_fail(input, (int)rc, "cannot be read: %s", strerror((int)-rc));
    if (rc == 0) return rdb_input_fail(input, -EBADMSG, "the file became shorter");
    input->begin = 0;
    input->end = (size_t)rc;
    return input->on_read ? input->on_read(input->context, input) : 0;
}

int rdb_input_take(struct rdb_input *input, uint64_t want, struct slice *out_bytes)
{
    int rc = fill(input);
    size_t size;

    assert(want > 0);
    if (rc < 0) return rc;
    size = input->end - input->begin;
    if (size > want) size = (size_t)want;
    *out_bytes = slice_of(input->bytes + input->begin, size);
    if (input->sums) input->crc = crc64(input->crc, out_bytes->bytes, size);
    input->begin += size;
    input->position += size;
    return 0;
}

int rdb_input_read(struct rdb_input *input, void *bytes, size_t size)
{
    uint8_t *to = bytes;

    if (size > rdb_input_left(input))
        return rdb_input_fail(input, -EBADMSG, "the file ends too soon");
    while (size > 0) {
        struct slice taken;
        int rc = rdb_input_take(input, size, &taken);
        if (rc < 0) return rc;
        memcpy(to, taken.bytes, taken.size);
        to += taken.size;
        size -= taken.size;
    }
    return 0;
}

int rdb_input_skip(struct rdb_input *input, uint64_t size)
{
    if (size > rdb_input_left(input))
        return rdb_input_fail(input, -EBADMSG, "%llu bytes should follow, the file ends sooner",
                              (unsigned long long)size);
    while (size > 0) { /* read, not jumped over: they count in the checksum */
        struct slice taken;
        int rc = rdb_input_take(input, size, &taken);
        if (rc < 0) return rc;
        size -= taken.size;
    }
    return 0;
}

int rdb_input_peek(struct rdb_input *input)
{
    int rc;

    if (rdb_input_left(input) == 0) return -ENODATA;
    rc = fill(input);
    return rc < 0 ? rc : input->bytes[input->begin];
}
