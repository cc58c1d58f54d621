#include "server/durability/log_frame.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "server/resp/framer.h"

enum {
    LINE_BYTES_MAX = 1 + NUMBER_INT64_BYTES_MAX + 2, /* "$12\r\n" */
    KEPT_BYTES_MAX = 64 * 1024,
};

/* ---- building ---------------------------------------------------------------------------------
 */

void log_frame_finish(struct log_frame *frame)
{
    free(frame->bytes);
    *frame = (struct log_frame){ 0 };
}

void log_frame_clear(struct log_frame *frame)
{
    if (frame->capacity > KEPT_BYTES_MAX) {
        log_frame_finish(frame);
        return;
    }
    frame->size = 0;
    frame->count = 0;
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

static uint8_t *put_line(uint8_t *at, char type, uint64_t number)
{
    *at++ = (uint8_t)type;
    at += number_format_uint64((char *)at, number);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static uint8_t *put_command(uint8_t *at, const struct slice *arguments, uint32_t argument_count)
{
    at = put_line(at, '*', argument_count);
    for (uint32_t i = 0; i < argument_count; i++) {
        at = put_line(at, '$', arguments[i].size);
        if (arguments[i].size > 0) memcpy(at, arguments[i].bytes, arguments[i].size);
        at += arguments[i].size;
        *at++ = '\r';
        *at++ = '\n';
    }
    return at;
}

static int add(struct log_frame *frame, const struct slice *arguments, uint32_t argument_count)
{
    size_t size = LINE_BYTES_MAX;
    int rc;

    for (uint32_t i = 0; i < argument_count; i++)
        size += LINE_BYTES_MAX + arguments[i].size + 2;
    rc = make_room(frame, size);
    if (rc < 0) return rc;
    frame->size =
        (size_t)(put_command(frame->bytes + frame->size, arguments, argument_count) - frame->bytes);
    frame->count++;
    return 0;
}

static int add_select(struct log_frame *frame, unsigned database)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[2] = { SLICE_LITERAL("SELECT") };

    arguments[1] = slice_of(digits, number_format_uint64(digits, database));
    return add(frame, arguments, 2);
}

int log_frame_add(struct log_frame *frame, unsigned database, const struct slice *arguments,
                  uint32_t argument_count)
{
    size_t size = frame->size;
    uint32_t count = frame->count;
    int rc = 0;

    if (count > 0 && frame->last_database != database) rc = add_select(frame, database);
    if (rc == 0) rc = add(frame, arguments, argument_count);
    if (rc < 0) {
        frame->size = size;
        frame->count = count;
        return rc;
    }
    if (count == 0) frame->database = database;
    frame->last_database = database;
    return 0;
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
