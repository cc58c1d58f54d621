/* framer.h - bytes from a socket to requests: argv as slices of the buffer they arrived in.
 *
 * RESP arrays of bulk strings and inline commands, as Redis reads them, errors included, but for
 * two things: a zero byte in an inline command is a byte (Redis waits for its end for ever), and a
 * count of arguments above argument_count_max is refused at once (Redis 7 begins at 2^31). The
 * framer remembers how far it came in an incomplete request, so no byte is looked at twice however
 * the input was cut; of one with very many arguments twice, so that these are not kept until it is
 * whole. No sockets, no keys; one thread. */
#ifndef SERVER_RESP_FRAMER_H
#define SERVER_RESP_FRAMER_H
#include "modules/base/slice.h"

#define FRAMER_LINE_BYTES_MAX          (64 * 1024) /* an inline request, or a line with a number */
#define FRAMER_UNTRUSTED_ARGUMENTS_MAX 10
#define FRAMER_UNTRUSTED_BULK_BYTES    16384

struct framer_limits {
    uint64_t bulk_bytes_max;     /* proto-max-bulk-len */
    uint64_t argument_count_max; /* 1024 * 1024 */
    uint64_t request_bytes_max;  /* client-query-buffer-limit: one request with all its arguments */
    bool is_trusted; /* false before authentication: the two limits above hold as well */
};

struct framer {
    struct slice *arguments; /* of the request found last, and of the one being read */
    uint32_t argument_count, argument_capacity;
    bool only_counts; /* argument_count have been passed, and are not in arguments */
    uint8_t *scratch; /* decoded arguments of an inline request */
    size_t scratch_bytes;
    /* The request being read: everything below is relative to its first byte. */
    const uint8_t *base;  /* where that byte was at the last call: the buffer may have moved */
    size_t parsed_bytes;  /* up to here it is understood */
    size_t first_bulk;    /* of a RESP array: where its arguments begin */
    size_t scanned_bytes; /* >= parsed_bytes when the end of a line is searched: not before here */
    /* Of a RESP array: in all. 0: between requests. -1: an inline command. */
    int64_t arguments_expected;
    int64_t bulk_size;    /* of the bulk whose bytes are awaited, or -1 */
    char error_text[40];  /* room for the one error text that quotes a byte */
    size_t request_bytes; /* of the request found last, which began at base */
};

/* The request found last as it came, line or array: framer_next makes the same of it again. Good as
 * long as its arguments. */
static inline struct slice framer_request(const struct framer *framer)
{
    return slice_of(framer->base, framer->request_bytes);
}

void framer_init(struct framer *framer);
/* Gives the memory back. The framer is as after framer_init: what was being read is forgotten. */
void framer_finish(struct framer *framer);
/* Of an incomplete request with very many arguments: how large it will be if those to come are like
 * those that have come; else 0. */
size_t framer_likely_bytes(const struct framer *framer);
/* Of an incomplete request: at least so many bytes it will have, more than size, which have come.
 * None of them belong to the next one. */
size_t framer_least_bytes(const struct framer *framer, size_t size);
/* After a request, when nobody needs its arguments any more: gives their memory back where it is
 * much. */
void framer_rest(struct framer *framer);
/* After a request, instead: the array of its arguments becomes the caller's (free). */
struct slice *framer_take_arguments(struct framer *framer);
/* Finds the arguments of an array once more, which was found before and has so many. */
void framer_find_again(struct slice request, struct slice *out_arguments, uint32_t count);
/* Heap bytes held for arguments: for statistics. Between requests framer_finish gives them back. */
size_t framer_heap_bytes(const struct framer *framer);

enum framer_result {
    /* Keep the bytes, call again with more behind them (they may have moved). */
    FRAMER_INCOMPLETE = 0,
    /* framer->arguments hold it, views into bytes; there may be 0 of them. */
    FRAMER_REQUEST = 1,
    /* *out_error is what Redis says behind "Protocol error: "; close after it. */
    FRAMER_ERROR = 2,
    /* Above request_bytes_max: Redis closes without an answer. */
    FRAMER_TOO_LARGE = 3,
};
/* Looks for one request at the start of [bytes, bytes + size). *out_consumed: with FRAMER_REQUEST
 * its whole size, to be dropped from the front before the next call; else 0. *out_wanted: with
 * FRAMER_INCOMPLETE a lower bound of the request's total size (more than size), for reserving room
 * before reading on. *out_error is good until the next call. The bulks' trailing CR LF are skipped
 * unseen, as Redis does. After FRAMER_ERROR and FRAMER_TOO_LARGE the framer is good for
 * framer_finish only. */
enum framer_result framer_next(struct framer *framer, const struct framer_limits *limits,
                               const uint8_t *bytes, size_t size, size_t *out_consumed,
                               size_t *out_wanted, const char **out_error);
#endif
