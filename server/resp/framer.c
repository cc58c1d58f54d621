/* framer.c - one pass over the bytes, and a short way for what clients really send.
 *
 * A request is an array ("*COUNT" and COUNT bulks) or a line of words. frame_bulks takes the bulks
 * of an array whose lines are plain ("$" and one to nine digits) without leaving its loop. Whatever
 * is odd about a line (cut, signed, too long, not a number) goes through read_number_line, which
 * alone knows the errors.
 *
 * Between calls only an incomplete request leaves something behind: how many arguments are there,
 * how far the bytes were understood (parsed_bytes) and searched (scanned_bytes), all relative to
 * its start. Arguments found so far are moved along when the buffer moved (rebase). Where these are
 * many they take more memory than the request itself, and many clients may be sending such a one:
 * they are only counted then, and found when it is whole (find_counted). */
#include "server/resp/framer.h"
#include "modules/base/number.h"
#include "modules/base/words.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_KEPT_MAX 1024 /* of an incomplete request, and between two */
#define BULK_DIGITS_MAX    9    /* of the short way: no overflow possible */
#define SHORT_LINE_BYTES   5    /* "$99\r\n" */
#define LEAST_BULK_BYTES   6    /* "$0\r\n\r\n" */
#define INLINE_REQUEST     (-1)

void framer_init(struct framer *framer)
{
    memset(framer, 0, sizeof(*framer));
    framer->bulk_size = -1;
}

void framer_finish(struct framer *framer)
{
    free(framer->arguments);
    free(framer->scratch);
    framer_init(framer);
}

size_t framer_likely_bytes(const struct framer *framer)
{
    uint64_t bytes = framer->parsed_bytes, count = framer->argument_count;

    if (!framer->only_counts) return 0;
    /* Both are below 2^32 and 2^20: request_bytes_max and argument_count_max see to it, nearly. */
    return (size_t)(bytes + (bytes / count + 1) * ((uint64_t)framer->arguments_expected - count));
}

size_t framer_least_bytes(const struct framer *framer, size_t size)
{
    uint64_t bytes = framer->parsed_bytes, missing;

    if (framer->arguments_expected > 0) {
        missing = (uint64_t)framer->arguments_expected - framer->argument_count;
        if (framer->bulk_size >= 0) {
            bytes += (uint64_t)framer->bulk_size + 2;
            missing--;
        }
        bytes += missing * LEAST_BULK_BYTES;
    }
    return bytes > size ? (size_t)bytes : size + 1;
}

struct slice *framer_take_arguments(struct framer *framer)
{
    struct slice *arguments = framer->arguments;

    framer->arguments = NULL;
    framer->argument_count = framer->argument_capacity = 0;
    return arguments;
}

void framer_rest(struct framer *framer)
{
    if (framer->arguments_expected == 0 && framer->argument_capacity > ARGUMENTS_KEPT_MAX)
        framer_finish(framer);
}

size_t framer_heap_bytes(const struct framer *framer)
{
    return framer->argument_capacity * sizeof(struct slice) + framer->scratch_bytes;
}

static bool grow_arguments(struct framer *framer, uint64_t expected)
{
    /* Twice what is there, never what the client announced: it has to send what it makes us keep.
     */
    uint64_t capacity = framer->argument_capacity ? (uint64_t)framer->argument_capacity * 2 : 8;
    struct slice *arguments;

    if (capacity > expected) capacity = expected;
    if (capacity <= framer->argument_count) capacity = (uint64_t)framer->argument_count + 1;
    assert(capacity <= UINT32_MAX);
    arguments = realloc(framer->arguments, capacity * sizeof(*arguments));
    if (!arguments) return false;
    framer->arguments = arguments;
    framer->argument_capacity = (uint32_t)capacity;
    return true;
}

/* The bytes lie elsewhere than at the last call: so do the arguments found until then. */
static void rebase(struct framer *framer, const uint8_t *bytes)
{
    uintptr_t from = (uintptr_t)framer->base;

    for (uint32_t i = 0; i < framer->argument_count && !framer->only_counts; i++) {
        framer->arguments[i].bytes = bytes + ((uintptr_t)framer->arguments[i].bytes - from);
    }
    framer->base = bytes;
}

enum line_result { LINE_READ, LINE_CUT, LINE_ERROR };

/* Reads the line at parsed_bytes up to its CR, behind its first byte. Like Redis it looks for the
 * CR alone and skips the byte after it. */
static enum line_result read_number_line(struct framer *framer, const uint8_t *bytes, size_t size,
                                         struct slice *out_digits)
{
    size_t start = framer->parsed_bytes, from = framer->scanned_bytes;
    const uint8_t *end;

    if (from < start) from = start;
    end = from < size ? memchr(bytes + from, '\r', size - from) : NULL;
    if (!end) {
        framer->scanned_bytes = size;
        return size - start > FRAMER_LINE_BYTES_MAX ? LINE_ERROR : LINE_CUT;
    }
    framer->scanned_bytes = (size_t)(end - bytes);
    if (size - framer->scanned_bytes < 2) return LINE_CUT;
    *out_digits = slice_of(bytes + start, framer->scanned_bytes - start);
    if (out_digits->size > 0) *out_digits = slice_of(bytes + start + 1, out_digits->size - 1);
    framer->parsed_bytes = framer->scanned_bytes + 2;
    framer->scanned_bytes = framer->parsed_bytes;
    return LINE_READ;
}

/* "*COUNT": sets arguments_expected; 0 stays 0 and is a request without arguments. */
static enum line_result read_count(struct framer *framer, const struct framer_limits *limits,
                                   const uint8_t *bytes, size_t size, const char **out_error)
{
    struct slice digits;
    int64_t count;
    enum line_result result = read_number_line(framer, bytes, size, &digits);

    if (result == LINE_ERROR) *out_error = "too big mbulk count string";
    if (result != LINE_READ) return result;
    if (!number_parse_int64(digits, &count) ||
        (count > 0 && (uint64_t)count > limits->argument_count_max)) {
        *out_error = "invalid multibulk length";
        return LINE_ERROR;
    }
    if (count > FRAMER_UNTRUSTED_ARGUMENTS_MAX && !limits->is_trusted) {
        *out_error = "unauthenticated multibulk length";
        return LINE_ERROR;
    }
    framer->arguments_expected = count > 0 ? count : 0;
    framer->first_bulk = framer->parsed_bytes;
    return LINE_READ;
}

/* "$SIZE": sets bulk_size. */
static enum line_result read_bulk_size(struct framer *framer, const struct framer_limits *limits,
                                       const uint8_t *bytes, size_t size, const char **out_error)
{
    uint8_t first = framer->parsed_bytes < size ? bytes[framer->parsed_bytes] : '$';
    struct slice digits;
    int64_t bulk;
    enum line_result result = read_number_line(framer, bytes, size, &digits);

    if (result == LINE_ERROR) *out_error = "too big bulk count string";
    if (result != LINE_READ) return result;
    if (first != '$') {
        (void)snprintf(framer->error_text, sizeof(framer->error_text), "expected '$', got '%c'",
                       first == '\0' ? ' ' : first);
        *out_error = framer->error_text;
        return LINE_ERROR;
    }
    if (!number_parse_int64(digits, &bulk) || bulk < 0 || (uint64_t)bulk > limits->bulk_bytes_max) {
        *out_error = "invalid bulk length";
        return LINE_ERROR;
    }
    if (bulk > FRAMER_UNTRUSTED_BULK_BYTES && !limits->is_trusted) {
        *out_error = "unauthenticated bulk length";
        return LINE_ERROR;
    }
    framer->bulk_size = bulk;
    return LINE_READ;
}

/* The line of a bulk of less than 100 bytes, as nearly all are, without a loop: how many bytes it
 * has, 0 for any other. At least SHORT_LINE_BYTES can be read. */
static inline uint32_t read_short_line(const uint8_t *at, uint64_t *out_bulk)
{
    uint32_t tens = (uint32_t)(at[1] - '0'), units = (uint32_t)(at[2] - '0');

    if (at[0] != '$' || tens > 9) return 0;
    if (at[2] == '\r') {
        *out_bulk = tens;
        return 4;
    }
    if (at[3] != '\r' || units > 9 || tens == 0) return 0;
    *out_bulk = tens * 10 + units;
    return 5;
}

/* Takes bulks for as long as they are whole and their lines plain; otherwise leaves parsed_bytes
 * and bulk_size at what needs a closer look. keeps: else they are only counted. */
static inline __attribute__((always_inline)) void take_bulks(struct framer *framer,
                                                             uint64_t bulk_bytes_max,
                                                             const uint8_t *bytes, size_t size,
                                                             bool keeps)
{
    const uint8_t *at = bytes + framer->parsed_bytes, *end = bytes + size;
    const uint8_t *line_end = end - 2; /* a CR further on has no byte behind it */
    struct slice *arguments = framer->arguments;
    uint32_t count = framer->argument_count, last = (uint32_t)framer->arguments_expected;
    uint64_t bulk = (uint64_t)framer->bulk_size;

    if (keeps && last > framer->argument_capacity) last = framer->argument_capacity;
    if (framer->bulk_size >= 0) goto contents;
    while (count < last) {
        const uint8_t *digit = at + 1, *stop = at + 1 + BULK_DIGITS_MAX;
        uint32_t value, line_bytes;

        if (end - at >= SHORT_LINE_BYTES && (line_bytes = read_short_line(at, &bulk)) > 0 &&
            bulk <= bulk_bytes_max) {
            at += line_bytes;
            goto contents;
        }
        if (end - at < 4 || *at != '$') break;
        if (stop > line_end) stop = line_end;
        bulk = (uint32_t)(*digit - '0');
        if (bulk > 9 || (bulk == 0 && digit[1] != '\r')) break;
        while ((value = (uint32_t)(*++digit - '0')) <= 9 && digit < stop) {
            bulk = bulk * 10 + value;
        }
        if (*digit != '\r' || bulk > bulk_bytes_max) break;
        at = digit + 2;
    contents:
        if ((uint64_t)(end - at) < bulk + 2) {
            framer->bulk_size = (int64_t)bulk;
            goto out;
        }
        if (keeps) arguments[count] = (struct slice){ at, (size_t)bulk };
        count++;
        at += bulk + 2;
    }
    framer->bulk_size = -1;
out:
    framer->argument_count = count;
    framer->parsed_bytes = (size_t)(at - bytes);
}

static void frame_bulks(struct framer *framer, uint64_t bulk_bytes_max, const uint8_t *bytes,
                        size_t size)
{
    if (framer->only_counts)
        take_bulks(framer, bulk_bytes_max, bytes, size, false);
    else
        take_bulks(framer, bulk_bytes_max, bytes, size, true);
}

static uint64_t effective_bulk_max(const struct framer_limits *limits)
{
    uint64_t max = limits->bulk_bytes_max;

    if (!limits->is_trusted && max > FRAMER_UNTRUSTED_BULK_BYTES) max = FRAMER_UNTRUSTED_BULK_BYTES;
    return max;
}

static enum framer_result request_found(struct framer *framer, size_t *out_consumed)
{
    *out_consumed = framer->parsed_bytes;
    framer->request_bytes = framer->parsed_bytes;
    framer->arguments_expected = 0;
    framer->parsed_bytes = 0;
    framer->scanned_bytes = 0;
    return FRAMER_REQUEST;
}

static enum framer_result request_cut(const struct framer *framer,
                                      const struct framer_limits *limits, size_t size,
                                      size_t *out_wanted)
{
    uint64_t wanted = (uint64_t)size + 1;

    if (framer->bulk_size >= 0) {
        wanted = framer->parsed_bytes + (uint64_t)framer->bulk_size + 2; /* below 2^63 + size */
    }
    if (wanted > limits->request_bytes_max) return FRAMER_TOO_LARGE;
    *out_wanted = (size_t)wanted;
    return FRAMER_INCOMPLETE;
}

/* What was found of a long request is given up: from here on it is counted. */
static void count_from_here(struct framer *framer)
{
    if (framer->only_counts || framer->argument_count < ARGUMENTS_KEPT_MAX) return;
    free(framer->arguments);
    framer->arguments = NULL;
    framer->argument_capacity = 0;
    framer->only_counts = true;
}

/* All are there: back to the first one, with room for as many as there are. */
static bool find_counted(struct framer *framer)
{
    framer->arguments = malloc((size_t)framer->arguments_expected * sizeof(*framer->arguments));
    if (!framer->arguments) return false;
    framer->argument_capacity = (uint32_t)framer->arguments_expected;
    framer->argument_count = 0;
    framer->only_counts = false;
    framer->parsed_bytes = framer->scanned_bytes = framer->first_bulk;
    return true;
}

static bool has_room_for_argument(struct framer *framer)
{
    return framer->only_counts || framer->argument_count < framer->argument_capacity ||
           grow_arguments(framer, (uint64_t)framer->arguments_expected);
}

/* Up to the request's end, or as far as the bytes reach. */
static enum line_result read_bulks(struct framer *framer, const struct framer_limits *limits,
                                   const uint8_t *bytes, size_t size, const char **out_error)
{
    uint64_t bulk_bytes_max = effective_bulk_max(limits);

    while (framer->argument_count < framer->arguments_expected) {
        enum line_result result;
        size_t before = framer->parsed_bytes;

        if (!has_room_for_argument(framer)) {
            *out_error = "out of memory";
            return LINE_ERROR;
        }
        frame_bulks(framer, bulk_bytes_max, bytes, size);
        if (framer->bulk_size >= 0) return LINE_CUT;
        if (framer->parsed_bytes != before) continue; /* done, or no room, or an odd line is next */
        result = read_bulk_size(framer, limits, bytes, size, out_error);
        if (result != LINE_READ) return result;
    }
    return LINE_READ;
}

static enum framer_result frame_array(struct framer *framer, const struct framer_limits *limits,
                                      const uint8_t *bytes, size_t size, size_t *out_consumed,
                                      size_t *out_wanted, const char **out_error)
{
    enum line_result result = read_bulks(framer, limits, bytes, size, out_error);

    if (result == LINE_READ && framer->only_counts) {
        if (!find_counted(framer)) {
            *out_error = "out of memory";
            return FRAMER_ERROR;
        }
        result = read_bulks(framer, limits, bytes, size, out_error);
        assert(result != LINE_CUT); /* a limit may have been lowered since it was counted */
    }
    if (result == LINE_ERROR) return FRAMER_ERROR;
    if (result == LINE_READ) return request_found(framer, out_consumed);
    count_from_here(framer);
    return request_cut(framer, limits, size, out_wanted);
}

/* ---- inline requests ---- */

static int split_request(struct framer *framer, struct slice line)
{
    int count;

    if (framer->scratch_bytes < line.size + 1) {
        uint8_t *scratch = realloc(framer->scratch, line.size + 1);
        if (!scratch) return -ENOMEM;
        framer->scratch = scratch;
        framer->scratch_bytes = line.size + 1;
    }
    while ((count = words_split(line, framer->scratch, framer->arguments,
                                framer->argument_capacity)) == -E2BIG) {
        framer->argument_count = framer->argument_capacity;
        if (!grow_arguments(framer, UINT32_MAX)) return -ENOMEM;
    }
    return count;
}

static enum framer_result frame_inline(struct framer *framer, const struct framer_limits *limits,
                                       const uint8_t *bytes, size_t size, size_t *out_consumed,
                                       size_t *out_wanted, const char **out_error)
{
    size_t from = framer->scanned_bytes;
    const uint8_t *newline = from < size ? memchr(bytes + from, '\n', size - from) : NULL;
    size_t line_size;
    int count;

    framer->arguments_expected = INLINE_REQUEST;
    if (!newline) {
        framer->scanned_bytes = size;
        if (size > FRAMER_LINE_BYTES_MAX) {
            *out_error = "too big inline request";
            return FRAMER_ERROR;
        }
        return request_cut(framer, limits, size, out_wanted);
    }
    framer->parsed_bytes = (size_t)(newline - bytes) + 1;
    line_size = framer->parsed_bytes - 1;
    if (line_size > 0 && bytes[line_size - 1] == '\r') line_size--;
    count = split_request(framer, slice_of(bytes, line_size));
    if (count < 0) {
        *out_error = count == -ENOMEM ? "out of memory" : "unbalanced quotes in request";
        return FRAMER_ERROR;
    }
    framer->argument_count = (uint32_t)count;
    return request_found(framer, out_consumed);
}

/* Begins a request: its array line when there is one. */
static enum line_result begin(struct framer *framer, const struct framer_limits *limits,
                              const uint8_t *bytes, size_t size, const char **out_error)
{
    if (framer->argument_capacity > ARGUMENTS_KEPT_MAX) framer_finish(framer);
    framer->base = bytes;
    framer->argument_count = 0;
    if (bytes[0] != '*') return LINE_READ;
    /* "*3\r\n" and the like, which is nearly every request. */
    if (size >= 4 && bytes[1] >= '1' && bytes[1] <= '9' && bytes[2] == '\r') {
        framer->arguments_expected = bytes[1] - '0';
        framer->parsed_bytes = framer->first_bulk = 4;
        if ((uint64_t)framer->arguments_expected <= limits->argument_count_max) return LINE_READ;
        framer->parsed_bytes = 0;
    }
    return read_count(framer, limits, bytes, size, out_error);
}

void framer_find_again(struct slice request, struct slice *out_arguments, uint32_t count)
{
    const struct framer_limits none = { UINT64_MAX, UINT32_MAX, UINT64_MAX, true };
    struct framer framer;
    const char *error;

    framer_init(&framer);
    if (begin(&framer, &none, request.bytes, request.size, &error) != LINE_READ) abort();
    assert(framer.arguments_expected == count);
    framer.arguments = out_arguments;
    framer.argument_capacity = count;
    if (read_bulks(&framer, &none, request.bytes, request.size, &error) != LINE_READ) abort();
    assert(framer.parsed_bytes == request.size);
}

enum framer_result framer_next(struct framer *framer, const struct framer_limits *limits,
                               const uint8_t *bytes, size_t size, size_t *out_consumed,
                               size_t *out_wanted, const char **out_error)
{
    *out_consumed = 0;
    *out_wanted = 1;
    if (size == 0) return FRAMER_INCOMPLETE;
    if (framer->arguments_expected == 0) {
        enum line_result result = begin(framer, limits, bytes, size, out_error);
        if (result == LINE_CUT) return request_cut(framer, limits, size, out_wanted);
        if (result == LINE_ERROR) return FRAMER_ERROR;
    } else if (framer->base != bytes) {
        rebase(framer, bytes);
    }
    if (bytes[0] != '*') {
        return frame_inline(framer, limits, bytes, size, out_consumed, out_wanted, out_error);
    }
    return frame_array(framer, limits, bytes, size, out_consumed, out_wanted, out_error);
}
