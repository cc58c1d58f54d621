#include "modules/rdb/rdb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/endian.h"
#include "modules/rdb/blob.h"
#include "modules/rdb/packed.h"
#include "modules/rdb/reader_internal.h"

enum { MAGIC_BYTES = 5, HEADER_BYTES = 9, VERSION_WITH_CHECKSUM = 5 };

static const char magic[] = "REDIS";

const char *rdb_kind_name(enum rdb_kind kind)
{
    static const char *const names[RDB_KIND_COUNT] = { "string", "list",   "set",   "hash",
                                                       "zset",   "stream", "module" };

    assert(kind < RDB_KIND_COUNT);
    return names[kind];
}

int rdb_looks_like(struct rdb_input *input)
{
    int byte = rdb_input_peek(input);

    return byte == -ENODATA ? 0 : byte < 0 ? byte : byte == magic[0];
}

/* ---- keys --------------------------------------------------------------------------------------
 */

int rdb_text_append(struct rdb_text *text, struct slice bytes)
{
    size_t size = text->size + bytes.size;

    if (size > text->capacity) {
        size_t capacity = size * 2 < TEXT_FIRST_BYTES ? TEXT_FIRST_BYTES : size * 2;
        uint8_t *grown = realloc(text->bytes, capacity);
        if (!grown) return -ENOMEM;
        text->bytes = grown;
        text->capacity = capacity;
    }
    if (bytes.size > 0) memcpy(text->bytes + text->size, bytes.bytes, bytes.size);
    text->size = size;
    return 0;
}

int rdb_text_take(struct rdb_reader *reader, struct rdb_text *text)
{
    struct blob *blob = &reader->blob;
    int rc = 0;

    text->size = 0;
    while (rc == 0 && blob->left > 0) {
        struct slice part;
        rc = blob_take(blob, blob->left, &part);
        if (rc == 0) rc = rdb_text_append(text, part);
    }
    return rc;
}

static int kind_of(uint8_t type)
{
    switch (type) {
    case TYPE_STRING:
        return RDB_STRING;
    case TYPE_LIST:
    case TYPE_LIST_ZIPLIST:
    case TYPE_LIST_QUICKLIST:
    case TYPE_LIST_QUICKLIST_2:
        return RDB_LIST;
    case TYPE_SET:
    case TYPE_SET_INTSET:
    case TYPE_SET_LISTPACK:
        return RDB_SET;
    case TYPE_ZSET:
    case TYPE_ZSET_2:
    case TYPE_ZSET_ZIPLIST:
    case TYPE_ZSET_LISTPACK:
        return RDB_ZSET;
    case TYPE_HASH:
    case TYPE_HASH_ZIPMAP:
    case TYPE_HASH_ZIPLIST:
    case TYPE_HASH_LISTPACK:
    case TYPE_HASH_METADATA_PRE_GA:
    case TYPE_HASH_LISTPACK_EX_PRE_GA:
    case TYPE_HASH_METADATA:
    case TYPE_HASH_LISTPACK_EX:
        return RDB_HASH;
    case TYPE_STREAM:
    case TYPE_STREAM_2:
    case TYPE_STREAM_3:
    case TYPE_STREAM_4:
    case TYPE_STREAM_5:
        return RDB_STREAM;
    case TYPE_MODULE_PRE_GA:
    case TYPE_MODULE_2:
        return RDB_MODULE;
    default:
        return -1;
    }
}

/* ---- strings and lists -------------------------------------------------------------------------
 */

static int read_plain(struct rdb_reader *reader)
{
    int rc = blob_open(reader->input, &reader->blob);

    return rc < 0 ? rc : packed_read_plain(&reader->blob, reader->blob.size, &reader->sink);
}

static int read_ziplist(struct rdb_reader *reader)
{
    int rc = blob_open(reader->input, &reader->blob);

    return rc < 0 ? rc : packed_read_ziplist(&reader->blob, &reader->sink);
}

/* A node is one element alone or a listpack, as the number before it says. */
static int read_node(struct rdb_reader *reader)
{
    uint64_t container;
    int rc = rdb_read_length(reader->input, &container, NULL);

    if (rc < 0) return rc;
    if (container == NODE_PLAIN) return read_plain(reader);
    if (container != NODE_PACKED)
        return rdb_input_fail(reader->input, -EBADMSG, "a list's node is of no known kind (%llu)",
                              (unsigned long long)container);
    rc = blob_open(reader->input, &reader->blob);
    return rc < 0 ? rc : packed_read_listpack(&reader->blob, &reader->sink);
}

static int read_each(struct rdb_reader *reader, int (*read_one)(struct rdb_reader *reader))
{
    uint64_t count;
    int rc = rdb_read_length(reader->input, &count, NULL);

    for (; count > 0 && rc >= 0; count--)
        rc = read_one(reader);
    return rc;
}

static int read_value(struct rdb_reader *reader, uint8_t type)
{
    switch (type) {
    case TYPE_STRING:
        return read_plain(reader);
    case TYPE_LIST:
        return read_each(reader, read_plain);
    case TYPE_LIST_ZIPLIST:
        return read_ziplist(reader);
    case TYPE_LIST_QUICKLIST:
        return read_each(reader, read_ziplist);
    case TYPE_LIST_QUICKLIST_2:
        return read_each(reader, read_node);
    default:
        return rdb_read_stream(reader, type);
    }
}

static int hand_over(struct rdb_reader *reader, uint8_t type)
{
    int rc = read_value(reader, type);

    if (rc < 0) return rc;
    return reader->visitor->value_end(reader->context);
}

static bool is_readable(int kind)
{
    return kind == RDB_STRING || kind == RDB_LIST || kind == RDB_STREAM;
}

static int read_key(struct rdb_reader *reader, uint8_t type)
{
    int kind = kind_of(type), rc;

    if (type == TYPE_ARRAY)
        return rdb_input_fail(reader->input, -ENOTSUP, "arrays (Redis 8.8) are not known here");
    if (kind < 0) return rdb_input_fail(reader->input, -EBADMSG, "no value is of type %u", type);
    rc = blob_open(reader->input, &reader->blob);
    if (rc < 0) return rc;
    if (reader->blob.size > reader->name_bytes_max) return rdb_skip_long_name(reader, type);
    rc = rdb_text_take(reader, &reader->name);
    if (rc < 0) return rc;
    reader->key.kind = (enum rdb_kind)kind;
    reader->key.name = rdb_text_slice(&reader->name);
    rc = reader->visitor->key(reader->context, &reader->key);
    if (rc < 0) return rc;
    rc = rc == 1 && is_readable(kind) ? hand_over(reader, type) : rdb_skip_value(reader, type);
    rdb_forget_key(reader);
    return rc;
}

/* ---- what stands between keys ------------------------------------------------------------------
 */

void rdb_forget_key(struct rdb_reader *reader)
{
    reader->key.expires_at_ms = -1;
    reader->key.idle_s = -1;
    reader->key.frequency = -1;
}

/* A negative one is long past, as 0 is: -1 would mean never. */
static void set_expiry(struct rdb_reader *reader, int64_t at_ms)
{
    reader->key.expires_at_ms = at_ms < 0 ? 0 : at_ms;
}

static int read_expiry_s(struct rdb_reader *reader)
{
    uint8_t bytes[4];
    int rc = rdb_input_read(reader->input, bytes, sizeof(bytes));

    if (rc == 0) set_expiry(reader, (int64_t)(int32_t)load_u32le(bytes) * 1000);
    return rc;
}

/* Before version 9 in the byte order of the machine, which was this one nearly always. */
static int read_expiry_ms(struct rdb_reader *reader)
{
    uint8_t bytes[8];
    int rc = rdb_input_read(reader->input, bytes, sizeof(bytes));

    if (rc == 0) set_expiry(reader, (int64_t)load_u64le(bytes));
    return rc;
}

static int read_use(struct rdb_reader *reader, uint8_t opcode)
{
    uint8_t frequency;
    uint64_t idle_s;
    int rc;

    if (opcode == OPCODE_FREQUENCY) {
        rc = rdb_input_read(reader->input, &frequency, 1);
        if (rc == 0) reader->key.frequency = frequency;
        return rc;
    }
    rc = rdb_read_length(reader->input, &idle_s, NULL);
    if (rc == 0) reader->key.idle_s = idle_s > INT64_MAX ? INT64_MAX : (int64_t)idle_s;
    return rc;
}

static int read_opcode(struct rdb_reader *reader, uint8_t opcode)
{
    switch (opcode) {
    case OPCODE_SELECT:
        return rdb_read_length(reader->input, &reader->key.database, NULL);
    case OPCODE_EXPIRY_S:
        return read_expiry_s(reader);
    case OPCODE_EXPIRY_MS:
        return read_expiry_ms(reader);
    case OPCODE_FREQUENCY:
    case OPCODE_IDLE:
        return read_use(reader, opcode);
    default:
        return opcode >= OPCODE_FIRST ? rdb_read_other(reader, opcode) : read_key(reader, opcode);
    }
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static int read_header(struct rdb_reader *reader)
{
    struct rdb_input *input = reader->input;
    char header[HEADER_BYTES];
    int rc = rdb_input_read(input, header, sizeof(header)), version = 0;

    if (rc < 0) return rc;
    if (memcmp(header, "VALKEY", 6) == 0)
        return rdb_input_fail(input, -ENOTSUP, "an RDB file of a Valkey that is newer than this");
    if (memcmp(header, magic, MAGIC_BYTES) != 0)
        return rdb_input_fail(input, -EBADMSG, "this is no RDB file");
    for (int i = MAGIC_BYTES; i < HEADER_BYTES; i++) {
        if (header[i] < '0' || header[i] > '9')
            return rdb_input_fail(input, -EBADMSG, "the RDB file has no version");
        version = version * 10 + (header[i] - '0');
    }
    if (version < 1 || version > RDB_VERSION_MAX)
        return rdb_input_fail(input, -ENOTSUP, "RDB version %d is not known: 1 to %d are read here",
                              version, RDB_VERSION_MAX);
    reader->version = version;
    return 0;
}

/* 0 stands for a file that was written without a checksum (rdbchecksum no). */
static int check_sum(struct rdb_reader *reader)
{
    uint64_t sum = reader->input->crc, stored;
    uint8_t bytes[8];
    int rc;

    if (reader->version < VERSION_WITH_CHECKSUM) return 0;
    rc = rdb_input_read(reader->input, bytes, sizeof(bytes));
    if (rc < 0) return rc;
    stored = load_u64le(bytes);
    if (stored == 0 || stored == sum) return 0;
    return rdb_input_fail(reader->input, -EBADMSG,
                          "the file is damaged: its checksum is %016llx, not %016llx",
                          (unsigned long long)sum, (unsigned long long)stored);
}

static int read_all(struct rdb_reader *reader)
{
    int rc = read_header(reader);

    while (rc >= 0) {
        uint8_t opcode;
        rc = rdb_input_read(reader->input, &opcode, 1);
        if (rc == 0 && opcode == OPCODE_END) return check_sum(reader);
        if (rc == 0) rc = read_opcode(reader, opcode);
    }
    return rc;
}

int rdb_read(struct rdb_input *input, const struct rdb_visitor *visitor, void *context)
{
    struct rdb_reader reader = { .input = input, .visitor = visitor, .context = context };
    int rc;

    reader.name_bytes_max = visitor->name_bytes_max ? visitor->name_bytes_max : RDB_NAME_BYTES_MAX;
    reader.pending_bytes_max =
        visitor->pending_bytes_max ? visitor->pending_bytes_max : PENDING_BYTES_MAX;
    reader.sink = (struct packed_sink){ .part = visitor->part, .context = context };
    rdb_forget_key(&reader);
    input->crc = 0;
    input->sums = true;
    rc = read_all(&reader); /* a visitor's results above 0 mean nothing */
    input->sums = false;
    blob_finish(&reader.blob);
    rdb_finish_stream(&reader);
    free(reader.name.bytes);
    return rc;
}
