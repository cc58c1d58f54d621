/* connection.h - a raw socket to a server, and replies as tokens, cheaper than a client library.
 *
 * Everything fails the benchmark (bench_fail) instead of returning an error, the end of the
 * connection included. A connection belongs to one thread. RESP2 only. */
#ifndef BENCH_LIB_CONNECTION_H
#define BENCH_LIB_CONNECTION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection {
    int fd;
    uint8_t *input; /* bytes[begin, end) were read and not yet taken */
    size_t begin, end, capacity;
    uint64_t elements_left; /* of the array reply under way; arrays in arrays are counted in */
};

/* One piece of a reply: a line, a bulk, or the header of an array, whose elements follow. */
struct token {
    char type;            /* '+', '-', ':', '$', '*' */
    bool is_null;         /* $-1 or *-1 */
    bool is_reply_end;    /* with it a whole reply is complete */
    int64_t number;       /* of ':'; elements of '*' */
    const uint8_t *bytes; /* of '+', '-', '$': good until the next call on the connection */
    size_t size;
};

/* To 127.0.0.1, TCP_NODELAY, non-blocking. */
void connection_open(struct connection *connection, uint16_t port);
void connection_close(struct connection *connection);
/* Sends what the socket takes now; the number of bytes, 0 when none. */
size_t connection_send_some(struct connection *connection, const void *bytes, size_t size);
/* Reads once what has arrived. False: nothing has. */
bool connection_read_some(struct connection *connection);
/* True: *out_token is the next piece of what was read. */
bool connection_token(struct connection *connection, struct token *out_token);
/* Bytes that were read but not taken yet do not show in poll(). */
bool connection_has_input(const struct connection *connection);

/* One request, its whole reply waited for: *out_token is its last token (a '*' only of an empty or
 * null array). An error reply fails the benchmark. format: the words of the request, separated by
 * single spaces, after printf. At most 4,000 bytes. */
void connection_call(struct connection *connection, struct token *out_token, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
/* The same for what is already encoded. Waits at most 600 s. */
void connection_call_encoded(struct connection *connection, const void *bytes, size_t size,
                             struct token *out_token);

/* The same, and each token of the reply is shown. */
void connection_call_each(struct connection *connection, const void *bytes, size_t size,
                          void (*on_token)(void *context, const struct token *token),
                          void *context);

/* Writes one argument ("$5\r\nhello\r\n") or the header of a request ("*3\r\n") to out, which has
 * the room (size + 24); the number of bytes. */
size_t encode_bulk(uint8_t *out, const void *bytes, size_t size);
size_t encode_header(uint8_t *out, unsigned argument_count);
/* Encodes text, words separated by single spaces, into out of at least 16 times its size + 32. */
size_t encode_words(uint8_t *out, const char *text);
#endif
