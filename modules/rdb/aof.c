#include "modules/rdb/aof.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"

enum {
    LINE_BYTES_MAX = 64,         /* "*1048576" */
    ANNOTATION_BYTES_MAX = 1024, /* as Redis */
    ARGUMENTS_FIRST = 16,
    BYTES_FIRST = 4096,
    TORN = 1, /* a result: the file ends here, in the middle of something */
};

/* A command as it is gathered. Memory grows with what the file has, not with what it claims. */
struct gathering {
    struct rdb_input *input;
    uint8_t *bytes;
    size_t used, capacity;
    struct slice *arguments; /* until all are there, bytes are offsets: the memory may move */
    uint32_t count, argument_capacity;
    uint64_t bytes_max;
    bool is_long; /* more than that: what follows is passed over */
};

/* The byte, or TORN above 255. */
enum { BYTE_TORN = 256 };

static int next_byte(struct gathering *gathering, int *out_byte)
{
    struct rdb_input *input = gathering->input;
    uint8_t byte;
    int rc;

    if (input->begin < input->end) {
        *out_byte = input->bytes[input->begin++];
        input->position++;
        return 0;
    }
    *out_byte = BYTE_TORN;
    if (rdb_input_left(input) == 0) return 0;
    rc = rdb_input_read(input, &byte, 1);
    *out_byte = byte;
    return rc;
}

/* A number between a mark that was read already and the end of its line. */
static int read_number(struct gathering *gathering, uint64_t *out_value)
{
    char line[LINE_BYTES_MAX];
    size_t size = 0;
    int byte, rc;

    while ((rc = next_byte(gathering, &byte)) == 0 && byte != '\n') {
        if (byte == BYTE_TORN) return TORN;
        if (size == sizeof(line)) break;
        line[size++] = (char)byte;
    }
    if (rc < 0) return rc;
    if (size > 0 && size < sizeof(line) && line[size - 1] == '\r' &&
        number_parse_uint64(slice_of(line, size - 1), out_value))
        return 0;
    return rdb_input_fail(gathering->input, -EBADMSG, "no number stands where a command has one");
}

static int skip_annotation(struct gathering *gathering)
{
    size_t size = 0;
    int byte, rc;

    while ((rc = next_byte(gathering, &byte)) == 0 && byte != '\n') {
        if (byte == BYTE_TORN) return TORN;
        if (++size > ANNOTATION_BYTES_MAX)
            return rdb_input_fail(gathering->input, -EBADMSG, "an annotation does not end");
    }
    return rc;
}

/* An error is told at the byte that is wrong. */
static void unread_byte(struct rdb_input *input)
{
    input->begin--;
    input->position--;
}

static int expect_byte(struct gathering *gathering, int expected)
{
    int byte, rc = next_byte(gathering, &byte);

    if (rc < 0) return rc;
    if (byte == BYTE_TORN) return TORN;
    if (byte == expected) return 0;
    unread_byte(gathering->input);
    return rdb_input_fail(gathering->input, -EBADMSG,
                          "byte 0x%02x stands where a command has 0x%02x", (unsigned)byte,
                          (unsigned)expected);
}

static bool make_room(struct gathering *gathering, size_t size)
{
    size_t capacity = gathering->capacity * 2;
    uint8_t *bytes;

    if (gathering->bytes && size <= gathering->capacity - gathering->used) return true;
    if (capacity < gathering->used + size) capacity = gathering->used + size;
    if (capacity < BYTES_FIRST) capacity = BYTES_FIRST;
    bytes = realloc(gathering->bytes, capacity);
    if (!bytes) return false;
    gathering->bytes = bytes;
    gathering->capacity = capacity;
    return true;
}

static bool make_argument_room(struct gathering *gathering)
{
    uint32_t capacity = gathering->argument_capacity * 2;
    struct slice *arguments;

    if (gathering->count < gathering->argument_capacity) return true;
    if (capacity < ARGUMENTS_FIRST) capacity = ARGUMENTS_FIRST;
    arguments = realloc(gathering->arguments, capacity * sizeof(*arguments));
    if (!arguments) return false;
    gathering->arguments = arguments;
    gathering->argument_capacity = capacity;
    return true;
}

/* The name is kept in any case, as far as a page. */
static bool is_passed_over(struct gathering *gathering, uint64_t size)
{
    uint64_t bytes = gathering->used + size + gathering->count * sizeof(struct slice);

    if (bytes > gathering->bytes_max) gathering->is_long = true;
    return gathering->is_long && (gathering->count > 0 || size > BYTES_FIRST);
}

static int keep_argument(struct gathering *gathering, size_t size)
{
    int rc;

    if (!make_argument_room(gathering) || !make_room(gathering, size)) return -ENOMEM;
    rc = rdb_input_read(gathering->input, gathering->bytes + gathering->used, size);
    if (rc < 0) return rc;
    gathering->arguments[gathering->count++] = slice_of(NULL, size);
    gathering->used += size;
    return 0;
}

static int read_argument(struct gathering *gathering)
{
    uint64_t size = 0;
    int rc = expect_byte(gathering, '$');

    if (rc == 0) rc = read_number(gathering, &size);
    if (rc != 0) return rc;
    if (size > rdb_input_left(gathering->input)) {
        rdb_input_seek(gathering->input, gathering->input->size_bytes);
        return TORN;
    }
    rc = is_passed_over(gathering, size) ? rdb_input_skip(gathering->input, size)
                                         : keep_argument(gathering, (size_t)size);
    if (rc < 0) return rc;
    rc = expect_byte(gathering, '\r');
    return rc == 0 ? expect_byte(gathering, '\n') : rc;
}

static void place_arguments(struct gathering *gathering)
{
    uint8_t *at = gathering->bytes;

    for (uint32_t i = 0; i < gathering->count; i++) {
        gathering->arguments[i].bytes = at;
        at += gathering->arguments[i].size;
    }
}

/* 0: a command, or none (an annotation, an empty array): count tells. TORN. Errors. */
static int read_command(struct gathering *gathering)
{
    uint64_t count = 0;
    int byte, rc = next_byte(gathering, &byte);

    gathering->used = 0;
    gathering->count = 0;
    gathering->is_long = false;
    if (rc < 0) return rc;
    if (byte == '#') return skip_annotation(gathering);
    if (byte != '*') {
        unread_byte(gathering->input);
        return rdb_input_fail(gathering->input, -EBADMSG,
                              "no command begins here (byte 0x%02x instead of '*')",
                              (unsigned)byte);
    }
    rc = read_number(gathering, &count);
    if (rc == 0 && (count < 1 || count > UINT32_MAX / sizeof(struct slice)))
        rc = rdb_input_fail(gathering->input, -EBADMSG, "a command of %llu arguments",
                            (unsigned long long)count);
    for (; count > 0 && rc == 0; count--)
        rc = read_argument(gathering);
    if (rc == 0) place_arguments(gathering);
    return rc;
}

static void follow_transaction(const struct gathering *gathering, bool *is_open)
{
    if (gathering->count == 0) return;
    if (slice_is(gathering->arguments[0], "MULTI")) *is_open = true;
    if (slice_is(gathering->arguments[0], "EXEC")) *is_open = false;
}

static int hand_over(struct gathering *gathering, const struct aof_visitor *visitor, void *context)
{
    static const struct slice nameless = { NULL, 0 };

    if (!gathering->is_long)
        return visitor->command(context, gathering->arguments, gathering->count);
    return visitor->long_command(context,
                                 gathering->count > 0 ? gathering->arguments[0] : nameless);
}

int aof_read(struct rdb_input *input, const struct aof_visitor *visitor, void *context,
             struct aof_end *out_end)
{
    struct gathering gathering = {
        .input = input,
        .bytes_max = visitor->command_bytes_max ? visitor->command_bytes_max : UINT64_MAX,
    };
    struct aof_end end = { .position = input->position };
    bool is_open = false;
    int rc = 0;

    while (rc >= 0 && rdb_input_left(input) > 0) {
        rc = read_command(&gathering);
        if (rc != 0) break; /* torn, or an error */
        follow_transaction(&gathering, &is_open);
        if (!is_open) end.position = input->position;
        if (gathering.count == 0 && !gathering.is_long) continue;
        end.command_count++;
        rc = hand_over(&gathering, visitor, context);
    }
    free(gathering.bytes);
    free(gathering.arguments);
    if (rc < 0) return rc;
    end.is_torn = end.position < input->size_bytes;
    *out_end = end;
    return 0;
}
