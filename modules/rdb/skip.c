/* skip.c - where values end that nobody here wants, and what a file holds beside keys. */
#include <errno.h>
#include <string.h>

#include "modules/rdb/reader_internal.h"

static int skip_length(struct rdb_reader *reader)
{
    uint64_t length;

    return rdb_read_length(reader->input, &length, NULL);
}

static int skip_lengths(struct rdb_reader *reader, unsigned count)
{
    int rc = 0;

    for (; count > 0 && rc == 0; count--)
        rc = skip_length(reader);
    return rc;
}

static int skip_string(struct rdb_reader *reader)
{
    int rc = blob_open(reader->input, &reader->blob);

    return rc < 0 ? rc : blob_skip(&reader->blob);
}

static int skip_each(struct rdb_reader *reader, int (*skip_one)(struct rdb_reader *reader))
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc == 0 && count > 0; count--)
        rc = skip_one(reader);
    return rc;
}

/* ---- sorted sets and hashes -------------------------------------------------------------------
 */

/* A score as text behind its length; the three greatest lengths are NaN and the infinities. */
static int skip_text_score(struct rdb_reader *reader)
{
    uint8_t size;
    int rc = rdb_input_read(reader->input, &size, 1);

    return rc < 0 || size >= 253 ? rc : rdb_input_skip(reader->input, size);
}

static int skip_member(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : skip_text_score(reader);
}

static int skip_member_2(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : rdb_input_skip(reader->input, sizeof(double));
}

static int skip_field(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : skip_string(reader);
}

static int skip_expiring_field(struct rdb_reader *reader)
{
    int rc = skip_length(reader);

    return rc < 0 ? rc : skip_field(reader);
}

/* ---- streams -----------------------------------------------------------------------------------
 * Drawn in stream.c. */

/* An entry that was delivered: id, when, how often. */
static int skip_pending(struct rdb_reader *reader)
{
    int rc = rdb_input_skip(reader->input, STREAM_ID_BYTES + TIME_BYTES);

    return rc < 0 ? rc : skip_length(reader);
}

static int skip_pending_id(struct rdb_reader *reader)
{
    return rdb_input_skip(reader->input, STREAM_ID_BYTES);
}

static int skip_consumer(struct rdb_reader *reader, unsigned time_count)
{
    int rc = skip_string(reader);

    if (rc == 0) rc = rdb_input_skip(reader->input, (uint64_t)time_count * TIME_BYTES);
    return rc < 0 ? rc : skip_each(reader, skip_pending_id);
}

static int skip_consumer_1(struct rdb_reader *reader)
{
    return skip_consumer(reader, 1);
}

static int skip_consumer_3(struct rdb_reader *reader)
{
    return skip_consumer(reader, 2);
}

int rdb_skip_group_rest(struct rdb_reader *reader, uint8_t type)
{
    int rc = skip_lengths(reader, type == TYPE_STREAM ? 2 : 3);

    if (rc == 0) rc = skip_each(reader, skip_pending);
    if (rc == 0)
        rc = skip_each(reader, stream_has_activity(type) ? skip_consumer_3 : skip_consumer_1);
    return rc < 0 || type != TYPE_STREAM_5 ? rc : skip_each(reader, skip_pending_id);
}

static int skip_group(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : rdb_skip_group_rest(reader, reader->stream.type);
}

static int skip_produced(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : skip_lengths(reader, 2);
}

int rdb_skip_producer_rest(struct rdb_reader *reader)
{
    return skip_each(reader, skip_produced);
}

static int skip_producer(struct rdb_reader *reader)
{
    int rc = skip_string(reader);

    return rc < 0 ? rc : rdb_skip_producer_rest(reader);
}

static int skip_producers(struct rdb_reader *reader)
{
    int rc = skip_lengths(reader, 2);

    if (rc == 0) rc = skip_each(reader, skip_producer);
    return rc < 0 ? rc : skip_lengths(reader, 2);
}

static int skip_stream(struct rdb_reader *reader, uint8_t type)
{
    int rc = skip_each(reader, skip_field); /* nodes: a first id and a listpack each */

    reader->stream.type = type;
    if (rc == 0) rc = skip_lengths(reader, type == TYPE_STREAM ? 3 : 8);
    if (rc == 0) rc = skip_each(reader, skip_group);
    return rc < 0 || !stream_has_producers(type) ? rc : skip_producers(reader);
}

/* ---- modules -----------------------------------------------------------------------------------
 */

enum module_part {
    MODULE_END = 0,
    MODULE_SIGNED = 1,
    MODULE_UNSIGNED = 2,
    MODULE_FLOAT = 3,
    MODULE_DOUBLE = 4,
    MODULE_STRING = 5,
};

static int skip_module_part(struct rdb_reader *reader, uint64_t part)
{
    switch (part) {
    case MODULE_SIGNED:
    case MODULE_UNSIGNED:
        return skip_length(reader);
    case MODULE_FLOAT:
        return rdb_input_skip(reader->input, sizeof(float));
    case MODULE_DOUBLE:
        return rdb_input_skip(reader->input, sizeof(double));
    case MODULE_STRING:
        return skip_string(reader);
    default:
        return rdb_input_fail(reader->input, -EBADMSG, "a module wrote a part of no known kind");
    }
}

static int skip_module_parts(struct rdb_reader *reader)
{
    uint64_t part;
    int rc;

    while ((rc = rdb_read_length(reader->input, &part, NULL)) == 0 && part != MODULE_END) {
        rc = skip_module_part(reader, part);
        if (rc < 0) return rc;
    }
    return rc;
}

static int skip_module(struct rdb_reader *reader)
{
    int rc = skip_length(reader); /* the module's id */

    return rc < 0 ? rc : skip_module_parts(reader);
}

/* ---- values ------------------------------------------------------------------------------------
 */

static int skip_with_soonest(struct rdb_reader *reader, int (*skip)(struct rdb_reader *reader))
{
    int rc = rdb_input_skip(reader->input, TIME_BYTES);

    return rc < 0 ? rc : skip(reader);
}

static int skip_expiring_fields(struct rdb_reader *reader)
{
    return skip_each(reader, skip_expiring_field);
}

static int skip_node_2(struct rdb_reader *reader)
{
    int rc = skip_length(reader);

    return rc < 0 ? rc : skip_string(reader);
}

int rdb_skip_value(struct rdb_reader *reader, uint8_t type)
{
    switch (type) {
    case TYPE_LIST:
    case TYPE_SET:
    case TYPE_LIST_QUICKLIST:
        return skip_each(reader, skip_string);
    case TYPE_LIST_QUICKLIST_2:
        return skip_each(reader, skip_node_2);
    case TYPE_ZSET:
        return skip_each(reader, skip_member);
    case TYPE_ZSET_2:
        return skip_each(reader, skip_member_2);
    case TYPE_HASH:
        return skip_each(reader, skip_field);
    case TYPE_HASH_METADATA_PRE_GA:
        return skip_expiring_fields(reader);
    case TYPE_HASH_METADATA:
        return skip_with_soonest(reader, skip_expiring_fields);
    case TYPE_HASH_LISTPACK_EX:
        return skip_with_soonest(reader, skip_string);
    case TYPE_STREAM:
    case TYPE_STREAM_2:
    case TYPE_STREAM_3:
    case TYPE_STREAM_4:
    case TYPE_STREAM_5:
        return skip_stream(reader, type);
    case TYPE_MODULE_PRE_GA:
        return rdb_input_fail(reader->input, -ENOTSUP,
                              "the value of a module of a Redis 4.0 release candidate, whose end "
                              "only that module knows");
    case TYPE_MODULE_2:
        return skip_module(reader);
    default:
        return skip_string(reader); /* plain, or packed into one */
    }
}

/* ---- beside the keys ---------------------------------------------------------------------------
 */

int rdb_tell(struct rdb_reader *reader, enum rdb_other what, struct slice name, struct slice value)
{
    if (!reader->visitor->other) return 0;
    return reader->visitor->other(reader->context, what, name, value);
}

/* The begin of the string that is open; the rest is skipped. */
static int take_begin(struct rdb_reader *reader, uint8_t *bytes, struct slice *out_begin)
{
    struct blob *blob = &reader->blob;
    size_t size;
    int rc;

    size = blob->size < OTHER_BYTES_MAX ? (size_t)blob->size : OTHER_BYTES_MAX;
    rc = blob_read(blob, bytes, size);
    *out_begin = slice_of(bytes, size);
    return rc < 0 ? rc : blob_skip(blob);
}

static int read_begin(struct rdb_reader *reader, uint8_t *bytes, struct slice *out_begin)
{
    int rc = blob_open(reader->input, &reader->blob);

    return rc < 0 ? rc : take_begin(reader, bytes, out_begin);
}

int rdb_skip_long_name(struct rdb_reader *reader, uint8_t type)
{
    uint8_t bytes[OTHER_BYTES_MAX];
    struct slice name = { 0 };
    int rc = take_begin(reader, bytes, &name);

    if (rc == 0) rc = rdb_skip_value(reader, type);
    rdb_forget_key(reader);
    return rc < 0 ? rc : rdb_tell(reader, RDB_LONG_NAME, name, slice_of(NULL, 0));
}

static int read_aux(struct rdb_reader *reader)
{
    uint8_t bytes[2][OTHER_BYTES_MAX];
    struct slice name = { 0 }, value = { 0 };
    int rc = read_begin(reader, bytes[0], &name);

    if (rc == 0) rc = read_begin(reader, bytes[1], &value);
    return rc < 0 ? rc : rdb_tell(reader, RDB_AUX, name, value);
}

static int read_function(struct rdb_reader *reader)
{
    uint8_t bytes[OTHER_BYTES_MAX];
    struct slice code;
    int rc = read_begin(reader, bytes, &code);

    return rc < 0 ? rc : rdb_tell(reader, RDB_FUNCTION, slice_of(NULL, 0), code);
}

/* Name, engine, perhaps a description, code: release candidates of 7.0 wrote that. */
static int read_old_function(struct rdb_reader *reader)
{
    uint64_t has_description;
    int rc = skip_field(reader);

    if (rc == 0) rc = rdb_read_length(reader->input, &has_description, NULL);
    if (rc == 0 && has_description) rc = skip_string(reader);
    return rc < 0 ? rc : read_function(reader);
}

/* A module's id is its name, nine characters of six bits, above ten bits of version. */
static void module_name(uint64_t id, uint8_t name[9])
{
    static const char characters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    id >>= 10;
    for (int i = 8; i >= 0; i--) {
        name[i] = (uint8_t)characters[id & 63];
        id >>= 6;
    }
}

static int read_module_aux(struct rdb_reader *reader)
{
    uint8_t name[9];
    uint64_t id;
    int rc = rdb_read_length(reader->input, &id, NULL);

    if (rc == 0) rc = skip_module_parts(reader); /* when to load it is its first part */
    if (rc < 0) return rc;
    module_name(id, name);
    return rdb_tell(reader, RDB_MODULE_AUX, slice_of(name, sizeof(name)), slice_of(NULL, 0));
}

/* Of each class: u32 which one, and what its module wrote. */
static int skip_key_metadata(struct rdb_reader *reader)
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; rc == 0 && count > 0; count--) {
        rc = rdb_input_skip(reader->input, sizeof(uint32_t));
        if (rc == 0) rc = skip_module_parts(reader);
    }
    return rc;
}

int rdb_read_other(struct rdb_reader *reader, uint8_t opcode)
{
    switch (opcode) {
    case OPCODE_KEY_METADATA:
        return skip_key_metadata(reader);
    case OPCODE_AUX:
        return read_aux(reader);
    case OPCODE_RESIZE:
        return skip_lengths(reader, 2);
    case OPCODE_SLOT_INFO:
        return skip_lengths(reader, 3);
    case OPCODE_FUNCTION:
        return read_function(reader);
    case OPCODE_FUNCTION_PRE_GA:
        return read_old_function(reader);
    default: /* OPCODE_MODULE_AUX: all others are rdb.c's */
        return read_module_aux(reader);
    }
}
