/* framer.h - bytes from a socket to requests: argv as slices of the buffer they arrived in.
 *
 * RESP arrays of bulk strings and inline commands, as Redis reads them, errors included. The framer
 * remembers how far it came in an incomplete request, so no byte is looked at twice however the input
 * was cut. No sockets, no keys; one thread. */
#ifndef SERVER_RESP_FRAMER_H
#define SERVER_RESP_FRAMER_H
#include "modules/base/slice.h"

struct framer_limits {
    uint64_t bulk_bytes_max;     /* proto-max-bulk-len; before authentication 16384 */
    uint64_t argument_count_max; /* before authentication 10; else 1024 * 1024 */
    uint64_t request_bytes_max;  /* client-query-buffer-limit: one request with all its arguments */
};

struct framer {
    struct slice *arguments; /* of the request found last, and of the one being read */
    uint32_t argument_count, argument_capacity;
    /* The request being read: everything below is relative to its first byte. */
    const uint8_t *base;      /* where that byte was at the last call: the buffer may have moved */
    size_t parsed_bytes;      /* up to here nothing need be looked at again */
    int64_t arguments_expected; /* of a RESP array: in all; 0: between requests; -1: an inline command */
    int64_t bulk_size;        /* of the bulk whose bytes are awaited, or -1 */
};

void framer_init(struct framer *framer);
void framer_finish(struct framer *framer);

enum framer_result {
    FRAMER_INCOMPLETE = 0, /* keep the bytes, call again with more behind them (they may have moved) */
    FRAMER_REQUEST = 1,    /* framer->arguments hold it, views into bytes; there may be 0 of them */
    FRAMER_ERROR = 2,      /* *out_error is Redis's text, without prefix and CR LF; close after it */
};
/* Looks for one request at the start of [bytes, bytes + size). *out_consumed: with FRAMER_REQUEST its
 * whole size, to be dropped from the front before the next call; else 0. *out_wanted: with
 * FRAMER_INCOMPLETE a lower bound of the request's total size, for reserving room before reading on. */
enum framer_result framer_next(struct framer *framer, const struct framer_limits *limits,
                               const uint8_t *bytes, size_t size, size_t *out_consumed,
                               size_t *out_wanted, const char **out_error);
/* Splits one line as redis-cli and Redis's inline commands do ('..', "..\n\xHH.."). Decoded arguments are
 * written into scratch (line.size + 1 bytes of room). -EINVAL: unbalanced quotes; -E2BIG: more
 * than capacity arguments. The number of arguments. */
int framer_split_line(struct slice line, uint8_t *scratch, struct slice *out_arguments,
                      uint32_t capacity);
#endif
