#include "server/durability/log_frame.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "server/resp/framer.h"

enum {
    LINE_BYTES_MAX = 1 + NUMBER_INT64_BYTES_MAX + 2, /* "$12\r\n" */
    KEPT_BYTES_MAX = 64 * 1024,
    KEPT_LOANS_MAX = 1024,
};

/* ---- building ---------------------------------------------------------------------------------
 */

struct log_frame_loan {
    size_t at; /* of the frame's own bytes, so many lie before it */
    struct slice bytes;
};

void log_frame_finish(struct log_frame *frame)
{
    free(frame->bytes);
    free(frame->loans);
    free(frame->parts);
    *frame = (struct log_frame){ 0 };
}

void log_frame_clear(struct log_frame *frame)
{
    if (frame->capacity > KEPT_BYTES_MAX || frame->loan_capacity > KEPT_LOANS_MAX) {
        log_frame_finish(frame);
        return;
    }
    frame->size = 0;
    frame->count = 0;
    frame->loan_count = 0;
    frame->lent_bytes = 0;
}

static int make_room(struct log_frame *frame, size_t size)
{
    size_t capacity = 2 * frame->capacity;
    uint8_t *bytes;

    if (frame->capacity - frame->size >= size) return 0;
    if (capacity < frame->size + size) capacity = frame->size + size;
    bytes = realloc(frame->bytes, capacity);
    if (!bytes) return -ENOMEM;
    frame->bytes = bytes;
    frame->capacity = capacity;
    return 0;
}

/* Room for so many loans more, and for the parts that they make. */
static int make_room_for_loans(struct log_frame *frame, size_t count)
{
    size_t capacity = 2 * (frame->loan_count + count) + 1;
    struct log_frame_loan *loans;
    struct slice *parts;

    if (frame->parts && frame->loan_capacity - frame->loan_count >= count) return 0;
    loans = realloc(frame->loans, capacity * sizeof(*loans));
    if (!loans) return -ENOMEM;
    frame->loans = loans;
    parts = realloc(frame->parts, (2 * capacity + 2) * sizeof(*parts));
    if (!parts) return -ENOMEM;
    frame->parts = parts;
    frame->loan_capacity = capacity;
    return 0;
}

static uint8_t *put_line(uint8_t *at, char type, uint64_t number)
{
    *at++ = (uint8_t)type;
    if (number <= 9) /* as most lengths are, or nearly so */
        *at++ = (uint8_t)('0' + number);
    else
        at += number_format_uint64((char *)at, number);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static bool is_lent(struct slice argument, bool lends)
{
    return lends && argument.size >= LOG_FRAME_LENT_BYTES_MIN;
}

static void lend(struct log_frame *frame, struct slice argument, const uint8_t *at)
{
    frame->loans[frame->loan_count++] =
        (struct log_frame_loan){ (size_t)(at - frame->bytes), argument };
    frame->lent_bytes += argument.size;
}

/* A command on its way into a frame. */
struct command_words {
    const struct slice *arguments;
    uint32_t argument_count, raw_count;
    struct slice raw; /* raw_count bulk strings behind the arguments */
    bool lends;
};

static uint8_t *put_bytes(struct log_frame *frame, uint8_t *at, struct slice bytes, bool lends)
{
    if (is_lent(bytes, lends)) {
        lend(frame, bytes, at);
        return at;
    }
    if (bytes.size > 0) memcpy(at, bytes.bytes, bytes.size);
    return at + bytes.size;
}

/* There is room for all of it. */
static void put_command(struct log_frame *frame, const struct command_words *words)
{
    uint8_t *at =
        put_line(frame->bytes + frame->size, '*', words->argument_count + words->raw_count);

    for (uint32_t i = 0; i < words->argument_count; i++) {
        at = put_line(at, '$', words->arguments[i].size);
        at = put_bytes(frame, at, words->arguments[i], words->lends);
        *at++ = '\r';
        *at++ = '\n';
    }
    at = put_bytes(frame, at, words->raw, words->lends);
    frame->size = (size_t)(at - frame->bytes);
    frame->count++;
}

static int add(struct log_frame *frame, const struct command_words *words)
{
    bool lends_raw = is_lent(words->raw, words->lends);
    size_t size = LINE_BYTES_MAX + (lends_raw ? 0 : words->raw.size), loans = lends_raw;
    int rc;

    for (uint32_t i = 0; i < words->argument_count; i++) {
        bool stays = is_lent(words->arguments[i], words->lends);

        size += LINE_BYTES_MAX + 2 + (stays ? 0 : words->arguments[i].size);
        loans += stays;
    }
    rc = make_room(frame, size);
    if (rc == 0) rc = make_room_for_loans(frame, loans);
    if (rc == 0) put_command(frame, words);
    return rc;
}

static int add_select(struct log_frame *frame, unsigned database)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[2] = { SLICE_LITERAL("SELECT") };

    arguments[1] = slice_of(digits, number_format_uint64(digits, database));
    return add(frame, &(struct command_words){ .arguments = arguments, .argument_count = 2 });
}

static int add_in(struct log_frame *frame, unsigned database, const struct command_words *words)
{
    size_t size = frame->size;
    uint32_t count = frame->count;
    int rc = 0;

    if (count > 0 && frame->last_database != database) rc = add_select(frame, database);
    if (rc == 0) rc = add(frame, words);
    if (rc < 0) {
        frame->size = size;
        frame->count = count;
        return rc;
    }
    if (count == 0) frame->database = database;
    frame->last_database = database;
    return 0;
}

int log_frame_add(struct log_frame *frame, unsigned database, const struct slice *arguments,
                  uint32_t argument_count)
{
    struct command_words words = { .arguments = arguments, .argument_count = argument_count };

    return add_in(frame, database, &words);
}

int log_frame_lend(struct log_frame *frame, unsigned database, const struct slice *arguments,
                   uint32_t argument_count)
{
    struct command_words words = { .arguments = arguments,
                                   .argument_count = argument_count,
                                   .lends = true };

    return add_in(frame, database, &words);
}

int log_frame_lend_raw(struct log_frame *frame, unsigned database, const struct slice *arguments,
                       uint32_t argument_count, struct slice raw, uint32_t raw_count)
{
    struct command_words words = { .arguments = arguments,
                                   .argument_count = argument_count,
                                   .raw_count = raw_count,
                                   .raw = raw,
                                   .lends = true };

    return add_in(frame, database, &words);
}

struct slice *log_frame_parts(struct log_frame *frame, size_t *out_count)
{
    struct slice *part = frame->parts;
    size_t at = 0;

    assert(frame->count > 0);
    *part++ = (struct slice){ 0 };
    for (size_t i = 0; i < frame->loan_count; i++) {
        const struct log_frame_loan *loan = &frame->loans[i];

        *part++ = slice_of(frame->bytes + at, loan->at - at);
        *part++ = loan->bytes;
        at = loan->at;
    }
    *part++ = slice_of(frame->bytes + at, frame->size - at);
    *out_count = (size_t)(part - frame->parts);
    return frame->parts;
}

void log_frame_header(uint8_t bytes[LOG_FRAME_HEADER_BYTES], unsigned database, uint32_t count)
{
    bytes[0] = LOG_FRAME_COMMANDS;
    bytes[1] = (uint8_t)database;
    bytes[2] = bytes[3] = 0;
    store_u32le(bytes + 4, count);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct log_frame_reader {
    struct framer framer;
    struct slice rest;
    uint32_t left;
    unsigned database;
};

int log_frame_reader_create(struct log_frame_reader **out_reader)
{
    struct log_frame_reader *reader = calloc(1, sizeof(*reader));

    if (!reader) return -ENOMEM;
    framer_init(&reader->framer);
    *out_reader = reader;
    return 0;
}

void log_frame_reader_destroy(struct log_frame_reader *reader)
{
    if (!reader) return;
    framer_finish(&reader->framer);
    free(reader);
}

int log_frame_reader_begin(struct log_frame_reader *reader, struct slice payload)
{
    if (payload.size < LOG_FRAME_HEADER_BYTES) return -EBADMSG;
    if (payload.bytes[0] != LOG_FRAME_COMMANDS || payload.bytes[2] || payload.bytes[3])
        return -EPROTONOSUPPORT;
    reader->database = payload.bytes[1];
    reader->left = load_u32le(payload.bytes + 4);
    reader->rest =
        slice_of(payload.bytes + LOG_FRAME_HEADER_BYTES, payload.size - LOG_FRAME_HEADER_BYTES);
    return 0;
}

/* What was accepted once is accepted: limits that clients have do not hold here. */
static int take_request(struct log_frame_reader *reader)
{
    static const struct framer_limits limits = { .bulk_bytes_max = INT64_MAX,
                                                 .argument_count_max = UINT32_MAX,
                                                 .request_bytes_max = UINT64_MAX,
                                                 .is_trusted = true };
    const char *error;
    size_t consumed, wanted;

    if (framer_next(&reader->framer, &limits, reader->rest.bytes, reader->rest.size, &consumed,
                    &wanted, &error) != FRAMER_REQUEST) {
        framer_finish(&reader->framer);
        return -EBADMSG;
    }
    reader->rest = slice_of(reader->rest.bytes + consumed, reader->rest.size - consumed);
    reader->left--;
    return reader->framer.argument_count > 0 ? 0 : -EBADMSG;
}

/* 1: it led to another database. */
static int follow_select(struct log_frame_reader *reader)
{
    const struct framer *framer = &reader->framer;
    int64_t number;

    if (framer->argument_count != 2 || !slice_is(framer->arguments[0], "SELECT")) return 0;
    if (!number_parse_int64(framer->arguments[1], &number) || number < 0 || number > UINT8_MAX)
        return -EBADMSG;
    reader->database = (unsigned)number;
    return 1;
}

int log_frame_reader_next(struct log_frame_reader *reader, unsigned *out_database,
                          struct slice **out_arguments, uint32_t *out_argument_count)
{
    int rc;

    do {
        if (reader->left == 0) return reader->rest.size == 0 ? 0 : -EBADMSG;
        rc = take_request(reader);
        if (rc == 0) rc = follow_select(reader);
    } while (rc == 1);
    if (rc < 0) return rc;
    *out_database = reader->database;
    *out_arguments = reader->framer.arguments;
    *out_argument_count = reader->framer.argument_count;
    return 1;
}
