#include "bench/lib/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/lib/guard.h"

enum {
    INPUT_BYTES = 256 * 1024,
    CALL_TEXT_BYTES = 4001,
    CALL_WAIT_MS = 600 * 1000,
    LINE_BYTES_MAX = 4096
};

void connection_open(struct connection *connection, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;

    *connection = (struct connection){ .capacity = INPUT_BYTES };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->input = malloc(INPUT_BYTES);
    if (!connection->input) bench_fail("out of memory");
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        bench_fail_errno("cannot connect to port %u", (unsigned)port);
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
        bench_fail_errno("TCP_NODELAY");
}

void connection_close(struct connection *connection)
{
    close(connection->fd);
    free(connection->input);
}

size_t connection_send_some(struct connection *connection, const void *bytes, size_t size)
{
    ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent >= 0) return (size_t)sent;
    if (errno != EAGAIN && errno != EINTR) bench_fail_errno("send");
    return 0;
}

/* Moves what is left to the front, and grows when one piece fills all of the buffer. */
static void make_room(struct connection *connection)
{
    size_t left = connection->end - connection->begin;

    if (connection->begin > 0) {
        memmove(connection->input, connection->input + connection->begin, left);
        connection->begin = 0;
        connection->end = left;
    }
    if (left < connection->capacity / 2) return;
    connection->capacity *= 2;
    connection->input = realloc(connection->input, connection->capacity);
    if (!connection->input) bench_fail("out of memory");
}

bool connection_read_some(struct connection *connection)
{
    ssize_t got;

    if (connection->begin == connection->end) connection->begin = connection->end = 0;
    if (connection->capacity - connection->end < connection->capacity / 2) make_room(connection);
    got = recv(connection->fd, connection->input + connection->end,
               connection->capacity - connection->end, MSG_DONTWAIT);
    if (got > 0) {
        connection->end += (size_t)got;
        return true;
    }
    if (got == 0) bench_fail("the server closed the connection");
    if (errno != EAGAIN && errno != EINTR) bench_fail_errno("recv");
    return false;
}

bool connection_has_input(const struct connection *connection)
{
    return connection->begin < connection->end;
}

static int64_t line_number(const uint8_t *digits, const uint8_t *end)
{
    int64_t number = 0;
    bool is_negative = digits < end && *digits == '-';

    for (digits += is_negative; digits < end; digits++) {
        if (*digits < '0' || *digits > '9') bench_fail("a malformed number in a reply");
        number = number * 10 + (*digits - '0');
    }
    return is_negative ? -number : number;
}

/* What one more token does to the array under way. */
static void count_token(struct connection *connection, struct token *token)
{
    if (connection->elements_left > 0) connection->elements_left--;
    if (token->type == '*' && !token->is_null) connection->elements_left += (uint64_t)token->number;
    token->is_reply_end = connection->elements_left == 0;
}

bool connection_token(struct connection *connection, struct token *out_token)
{
    const uint8_t *start = connection->input + connection->begin;
    size_t size = connection->end - connection->begin;
    const uint8_t *newline = size > 0 ? memchr(start, '\n', size) : NULL;
    struct token token = { 0 };
    size_t taken;

    if (!newline) {
        if (size > LINE_BYTES_MAX) bench_fail("a reply line without end");
        return false;
    }
    taken = (size_t)(newline - start) + 1;
    token.type = (char)start[0];
    token.bytes = start + 1;
    token.size = taken - 3;
    switch (token.type) {
    case '+':
    case '-':
        break;
    case ':':
        token.number = line_number(start + 1, newline - 1);
        break;
    case '*':
        token.number = line_number(start + 1, newline - 1);
        token.is_null = token.number < 0;
        break;
    case '$':
        token.number = line_number(start + 1, newline - 1);
        token.is_null = token.number < 0;
        if (token.is_null) break;
        if (size - taken < (size_t)token.number + 2) return false;
        token.bytes = newline + 1;
        token.size = (size_t)token.number;
        taken += token.size + 2;
        break;
    default:
        bench_fail("a reply of unknown type 0x%02x", (unsigned)start[0]);
    }
    connection->begin += taken;
    count_token(connection, &token);
    *out_token = token;
    return true;
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static size_t encode_count(uint8_t *out, char type, uint64_t number)
{
    char digits[20];
    size_t length = 0, size = 0;

    do {
        digits[length++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    out[size++] = (uint8_t)type;
    while (length > 0)
        out[size++] = (uint8_t)digits[--length];
    out[size++] = '\r';
    out[size++] = '\n';
    return size;
}

size_t encode_header(uint8_t *out, unsigned argument_count)
{
    return encode_count(out, '*', argument_count);
}

size_t encode_bulk(uint8_t *out, const void *bytes, size_t size)
{
    size_t at = encode_count(out, '$', size);

    memcpy(out + at, bytes, size);
    at += size;
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

size_t encode_words(uint8_t *out, const char *text)
{
    unsigned words = 1;
    size_t at;

    for (const char *c = text; *c; c++)
        words += *c == ' ';
    at = encode_header(out, words);
    for (;;) {
        size_t length = strcspn(text, " ");
        at += encode_bulk(out + at, text, length);
        if (!text[length]) return at;
        text += length + 1;
    }
}

static void wait_for(struct connection *connection, short events)
{
    struct pollfd poll_fd = { .fd = connection->fd, .events = events };
    int ready = poll(&poll_fd, 1, CALL_WAIT_MS);

    if (ready < 0 && errno != EINTR) bench_fail_errno("poll");
    if (ready == 0) bench_fail("no reply within %d s", CALL_WAIT_MS / 1000);
}

static void send_all(struct connection *connection, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t sent = connection_send_some(connection, bytes, size);
        bytes += sent;
        size -= sent;
        if (sent == 0) wait_for(connection, POLLOUT);
    }
}

void connection_call_each(struct connection *connection, const void *bytes, size_t size,
                          void (*on_token)(void *context, const struct token *token), void *context)
{
    struct token token;

    send_all(connection, bytes, size);
    for (;;) {
        while (connection_token(connection, &token)) {
            if (token.type == '-') bench_fail("error reply: %.*s", (int)token.size, token.bytes);
            on_token(context, &token);
            if (token.is_reply_end) return;
        }
        if (!connection_read_some(connection)) wait_for(connection, POLLIN);
    }
}

static void keep_token(void *context, const struct token *token)
{
    *(struct token *)context = *token;
}

void connection_call_encoded(struct connection *connection, const void *bytes, size_t size,
                             struct token *out_token)
{
    connection_call_each(connection, bytes, size, keep_token, out_token);
}

void connection_call(struct connection *connection, struct token *out_token, const char *format,
                     ...)
{
    char text[CALL_TEXT_BYTES];
    static _Thread_local uint8_t encoded[16 * CALL_TEXT_BYTES + 32];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(text)) bench_fail("a request too long for a call");
    connection_call_encoded(connection, encoded, encode_words(encoded, text), out_token);
}
