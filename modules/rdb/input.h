/* input.h - a file that is read once, from its first byte to its last, through a small buffer.
 *
 * Sizes that a file claims are compared with what is left of it before anything is made of them.
 * Every function that reads returns 0 or a negative errno, and leaves in rdb_input_error what went
 * wrong, where:
 *   -EBADMSG  the bytes are not what the format says, or the file ends too soon
 *   -ENOTSUP  a format that is newer than this, or that nobody could skip
 *   -ENOMEM   and what the system calls return
 * One thread at a time; nothing here logs. */
#ifndef MODULES_RDB_INPUT_H
#define MODULES_RDB_INPUT_H
#include <stdbool.h>

#include "modules/base/slice.h"

struct os;

enum { RDB_PIECE_BYTES = 65536, RDB_ERROR_BYTES = 200 };

struct rdb_input {
    struct os *os;
    int fd; /* -1: all bytes are in memory */
    const uint8_t *bytes;
    uint8_t *buffer;     /* NULL: bytes are the caller's */
    size_t begin, end;   /* bytes[begin, end) are not taken yet */
    uint64_t position;   /* in the file, of bytes[begin] */
    uint64_t size_bytes; /* of the file when it was opened: what is appended later is not seen */
    uint64_t crc;        /* crc64 of all that was taken since it was last set to 0 */
    bool sums;           /* crc is kept */
    /* Whenever the file was read: negative ends the reading with that result. NULL: nobody looks.
     */
    int (*on_read)(void *context, const struct rdb_input *input);
    void *context;
    char error[RDB_ERROR_BYTES];
};

/* os must outlive the input; on_read can be set afterwards. -errno of opening, -EISDIR, or -ESPIPE:
 * a pipe or a device; then there is nothing to close. */
int rdb_input_open(struct os *os, const char *path, struct rdb_input *out_input);
/* The same over bytes that must outlive the input. */
void rdb_input_of_bytes(struct slice bytes, struct rdb_input *out_input);
void rdb_input_close(struct rdb_input *input);
/* Starts again at a position. */
void rdb_input_seek(struct rdb_input *input, uint64_t position);
/* From now on the file ends there, which is not before where it is read. */
void rdb_input_cut(struct rdb_input *input, uint64_t size_bytes);

static inline uint64_t rdb_input_left(const struct rdb_input *input)
{
    return input->size_bytes - input->position;
}

/* Takes at least one byte and at most want of them (> 0): a view, good until the next call. */
int rdb_input_take(struct rdb_input *input, uint64_t want, struct slice *out_bytes);
/* Takes exactly size bytes. */
int rdb_input_read(struct rdb_input *input, void *bytes, size_t size);
int rdb_input_skip(struct rdb_input *input, uint64_t size);
/* The next byte, which is not taken; -ENODATA: the end; errors as above. */
int rdb_input_peek(struct rdb_input *input);

/* In words, with the offset: "at byte 123: …"; "" when nothing failed. */
const char *rdb_input_error(const struct rdb_input *input);
/* Says what is wrong at the position where the input stands; returns rc. The first error stays. */
int rdb_input_fail(struct rdb_input *input, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
