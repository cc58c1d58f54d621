/* reply.c - each item is built in place when it is small: one reservation in the chain, a few bytes
 * written, one commit. Long texts and bulks are appended behind their header. */
#include "server/resp/reply.h"
#include "modules/base/number.h"
#include "modules/pool/chain.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEADER_BYTES_MAX = 1 + NUMBER_INT64_BYTES_MAX + 2, /* type, number, CR LF */
    IN_PLACE_BYTES_MAX = 512, /* a bulk up to this is copied in one piece */
    ERROR_BYTES_MAX = 1024,   /* of a formatted error; longer ones are cut */
};

static bool is_silent(const struct reply *reply)
{
    return reply->is_muted | reply->has_hole;
}

static void append(struct reply *reply, const void *bytes, size_t size)
{
    if (reply->has_hole || size == 0) return; /* nothing may be NULL, which memcpy must not see */
    if (chain_append(reply->chain, bytes, size) < 0) reply->has_hole = true;
}

char *reply_reserve(struct reply *reply, size_t size)
{
    uint8_t *room;

    if (is_silent(reply)) return NULL;
    room = chain_reserve(reply->chain, size);
    if (!room) reply->has_hole = true;
    return (char *)room;
}

void reply_commit(struct reply *reply, size_t size)
{
    chain_commit(reply->chain, size);
}

#define APPEND_LITERAL(reply, text)                                                                \
    do {                                                                                           \
        if (!(reply)->is_muted) append((reply), (text), sizeof(text) - 1);                         \
    } while (0)

static size_t write_header(char *to, char type, uint64_t count)
{
    size_t size = 1;

    to[0] = type;
    /* Most bulks have few digits: they are written without counting them. */
    if (count <= 9) {
        to[size++] = (char)('0' + count);
    } else if (count <= 99) {
        to[size++] = (char)('0' + count / 10);
        to[size++] = (char)('0' + count % 10);
    } else {
        size += number_format_uint64(to + 1, count);
    }
    to[size] = '\r';
    to[size + 1] = '\n';
    return size + 2;
}

static void append_header(struct reply *reply, char type, uint64_t count)
{
    char *to = reply_reserve(reply, HEADER_BYTES_MAX);

    if (to) chain_commit(reply->chain, write_header(to, type, count));
}

/* CR and LF become spaces: they would let whoever chose the text begin an answer of his own. */
static void copy_line(char *to, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.bytes[i];
        to[i] = c == '\r' || c == '\n' ? ' ' : c;
    }
}

/* type '\0': none is written. */
static void append_line_end(struct reply *reply, char type, struct slice text)
{
    char *to = reply_reserve(reply, 1 + text.size + 2);
    size_t at = 0;

    if (!to) return;
    if (type) to[at++] = type;
    copy_line(to + at, text);
    at += text.size;
    to[at] = '\r';
    to[at + 1] = '\n';
    chain_commit(reply->chain, at + 2);
}

static void append_line(struct reply *reply, char type, struct slice text)
{
    while (text.size > IN_PLACE_BYTES_MAX) { /* all but the last piece, which has the end */
        char *to = reply_reserve(reply, 1 + IN_PLACE_BYTES_MAX);
        size_t at = 0;
        if (!to) return;
        if (type) to[at++] = type;
        copy_line(to + at, slice_of(text.bytes, IN_PLACE_BYTES_MAX));
        chain_commit(reply->chain, at + IN_PLACE_BYTES_MAX);
        text = slice_of(text.bytes + IN_PLACE_BYTES_MAX, text.size - IN_PLACE_BYTES_MAX);
        type = '\0';
    }
    append_line_end(reply, type, text);
}

void reply_ok(struct reply *reply)
{
    APPEND_LITERAL(reply, "+OK\r\n");
}

void reply_simple(struct reply *reply, struct slice text)
{
    append_line(reply, '+', text);
}

void reply_error(struct reply *reply, struct slice text)
{
    size_t size = 0;

    while (size < text.size && size < sizeof(reply->error_code) - 1 && text.bytes[size] != ' ') {
        reply->error_code[size] = (char)text.bytes[size];
        size++;
    }
    reply->error_code[size] = '\0';
    reply->had_error = true;
    append_line(reply, '-', text);
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
    char text[ERROR_BYTES_MAX];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size < 0) { /* a wide character that cannot be written: none is in our formats */
        reply_error(reply, SLICE_LITERAL("ERR an error whose text cannot be shown"));
        return;
    }
    if ((size_t)size >= sizeof(text)) size = sizeof(text) - 1;
    reply_error(reply, slice_of(text, (size_t)size));
}

void reply_integer(struct reply *reply, int64_t value)
{
    char *to;
    size_t size;

    if (value >= 0) {
        append_header(reply, ':', (uint64_t)value);
        return;
    }
    to = reply_reserve(reply, HEADER_BYTES_MAX);
    if (!to) return;
    to[0] = ':';
    size = 1 + number_format_int64(to + 1, value);
    to[size] = '\r';
    to[size + 1] = '\n';
    chain_commit(reply->chain, size + 2);
}

void reply_bulk(struct reply *reply, struct slice bytes)
{
    char *to;
    size_t size;

    if (reply->is_muted) return;
    if (bytes.size > IN_PLACE_BYTES_MAX) {
        append_header(reply, '$', bytes.size);
        append(reply, bytes.bytes, bytes.size);
        append(reply, "\r\n", 2);
        return;
    }
    to = reply_reserve(reply, HEADER_BYTES_MAX + bytes.size + 2);
    if (!to) return;
    size = write_header(to, '$', bytes.size);
    if (bytes.size > 0) memcpy(to + size, bytes.bytes, bytes.size);
    size += bytes.size;
    to[size] = '\r';
    to[size + 1] = '\n';
    chain_commit(reply->chain, size + 2);
}

void reply_bulk_begin(struct reply *reply, uint64_t size)
{
    append_header(reply, '$', size);
}

/* Writes what fits into the room of the open buffer, at most up to the first that is not short; the
 * number written. Neighbours mostly have the same size, so that their headers are copies. */
static size_t write_short_bulks(struct chain *chain, const struct slice *items, size_t item_count)
{
    char header[HEADER_BYTES_MAX], *to = (char *)chain->write;
    size_t header_size = 0, header_of = SIZE_MAX, room = chain_room(chain), i;

    for (i = 0; i < item_count; i++) {
        size_t size = items[i].size;
        char *end;

        if (size > IN_PLACE_BYTES_MAX || HEADER_BYTES_MAX + size + 2 > room) break;
        if (size != header_of) {
            header_size = write_header(header, '$', size);
            header_of = size;
        }
        memcpy(to, header, sizeof(header)); /* of a fixed size: no loop; the rest is written over */
        end = to + header_size;
        if (size > 0) memcpy(end, items[i].bytes, size);
        end[size] = '\r';
        end[size + 1] = '\n';
        room -= header_size + size + 2;
        to = end + size + 2;
    }
    if (i > 0) chain_commit(chain, (size_t)(to - (char *)chain->write));
    return i;
}

void reply_bulks(struct reply *reply, const struct slice *items, size_t item_count)
{
    while (item_count > 0 && !is_silent(reply)) {
        size_t written = write_short_bulks(reply->chain, items, item_count);

        items += written;
        item_count -= written;
        if (item_count == 0) return;
        reply_bulk(reply, *items++); /* long, or it opens a buffer */
        item_count--;
    }
}

void reply_bulk_packet(struct reply *reply, struct packet *packet, size_t offset, size_t size)
{
    if (is_silent(reply)) return;
    append_header(reply, '$', size);
    if (!reply->has_hole && chain_append_packet_part(reply->chain, packet, offset, size) < 0)
        reply->has_hole = true;
    append(reply, "\r\n", 2);
}

void reply_bulk_string(struct reply *reply, const char *text)
{
    reply_bulk(reply, slice_of_string(text));
}

void reply_bulk_integer(struct reply *reply, int64_t value)
{
    char digits[NUMBER_INT64_BYTES_MAX];

    reply_bulk(reply, slice_of(digits, number_format_int64(digits, value)));
}

void reply_bulk_unsigned(struct reply *reply, uint64_t value)
{
    char digits[NUMBER_INT64_BYTES_MAX];

    reply_bulk(reply, slice_of(digits, number_format_uint64(digits, value)));
}

void reply_null(struct reply *reply)
{
    if (reply->protocol >= 3) {
        APPEND_LITERAL(reply, "_\r\n");
    } else {
        APPEND_LITERAL(reply, "$-1\r\n");
    }
}

void reply_null_array(struct reply *reply)
{
    if (reply->protocol >= 3) {
        APPEND_LITERAL(reply, "_\r\n");
    } else {
        APPEND_LITERAL(reply, "*-1\r\n");
    }
}

void reply_bool(struct reply *reply, bool value)
{
    if (reply->protocol < 3) {
        append_header(reply, ':', value);
    } else if (value) {
        APPEND_LITERAL(reply, "#t\r\n");
    } else {
        APPEND_LITERAL(reply, "#f\r\n");
    }
}

/* As Redis 7.0: 17 significant digits, which always read back; 0.1 is 0.10000000000000001. */
void reply_double(struct reply *reply, double value)
{
    char text[NUMBER_DOUBLE_BYTES_MAX];
    int size;

    if (isinf(value)) {
        size = snprintf(text, sizeof(text), value > 0 ? "inf" : "-inf");
    } else if (isnan(value)) {
        size = snprintf(text, sizeof(text), "nan"); /* whatever its sign */
    } else {
        size = snprintf(text, sizeof(text), "%.17g", value);
    }
    if (reply->protocol < 3) {
        reply_bulk(reply, slice_of(text, (size_t)size));
    } else {
        append_line(reply, ',', slice_of(text, (size_t)size));
    }
}

void reply_verbatim(struct reply *reply, const char *extension, struct slice text)
{
    if (reply->protocol < 3) {
        reply_bulk(reply, text);
        return;
    }
    if (reply->is_muted) return;
    append_header(reply, '=', text.size + 4);
    append(reply, extension, 3);
    append(reply, ":", 1);
    append(reply, text.bytes, text.size);
    append(reply, "\r\n", 2);
}

void reply_big_number(struct reply *reply, struct slice digits)
{
    if (reply->protocol < 3) {
        reply_bulk(reply, digits);
    } else {
        append_line(reply, '(', digits);
    }
}

void reply_array(struct reply *reply, uint64_t count)
{
    append_header(reply, '*', count);
}

void reply_map(struct reply *reply, uint64_t pair_count)
{
    if (reply->protocol < 3) {
        append_header(reply, '*', pair_count * 2);
    } else {
        append_header(reply, '%', pair_count);
    }
}

void reply_set(struct reply *reply, uint64_t count)
{
    append_header(reply, reply->protocol < 3 ? '*' : '~', count);
}

void reply_push(struct reply *reply, uint64_t count)
{
    append_header(reply, reply->protocol < 3 ? '*' : '>', count);
}

void reply_attribute(struct reply *reply, uint64_t pair_count)
{
    append_header(reply, '|', pair_count);
}

void reply_raw(struct reply *reply, struct slice bytes)
{
    if (!reply->is_muted) append(reply, bytes.bytes, bytes.size);
}

void reply_raw_packet(struct reply *reply, struct packet *packet)
{
    if (is_silent(reply)) return;
    if (chain_append_packet(reply->chain, packet) < 0) reply->has_hole = true;
}
