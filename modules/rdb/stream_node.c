/* stream_node.c - the entries of one node of a stream: a listpack.
 *
 *   master:  entries that are there · deleted ones · names · name … · 0
 *   entry:   flags · ms and seq beyond the node's first id
 *            · value …                      with the master's names, as flags say
 *            · fields · name · value …      with names of its own
 *            · elements of the entry, this one not counted
 *
 * The listpack comes element by element, so this knows which of them is next, and keeps only the
 * master's names. */
#include <errno.h>

#include "modules/base/endian.h"
#include "modules/base/number.h"
#include "modules/rdb/reader_internal.h"

enum { ENTRY_IS_DELETED = 1 << 0, ENTRY_HAS_MASTERS_NAMES = 1 << 1 };
enum { NUMBERS_OF_ENTRY = 3 }; /* flags, ms, seq */

enum node_step {
    MASTER_COUNT,
    MASTER_DELETED,
    MASTER_NAMES,
    MASTER_NAME,
    MASTER_END,
    ENTRY_FLAGS, /* here a node may end */
    ENTRY_MS,
    ENTRY_SEQ,
    ENTRY_FIELDS,
    ENTRY_PART,
    ENTRY_ELEMENTS,
};

struct node {
    struct rdb_reader *reader;
    struct rdb_stream_id master;
    enum node_step step;
    int64_t told_count, told_deleted; /* by the master */
    int64_t count, deleted;           /* seen */
    uint64_t name_count, names_left;
    bool has_long_names; /* too long to be kept */

    /* the entry */
    int64_t flags;
    struct rdb_stream_id id;
    uint64_t field_count, parts_left;
    size_t name_at;  /* the next of the master's names, in field_names */
    bool is_dropped; /* nothing of it is handed over */
};

static int damaged(const struct node *node, const char *what)
{
    return rdb_input_fail(node->reader->input, -EBADMSG, "%s", what);
}

/* ---- handing over ------------------------------------------------------------------------------
 */

static int hand_part(const struct node *node, struct slice part, uint64_t offset, uint64_t size)
{
    const struct rdb_reader *reader = node->reader;
    int rc;

    if (node->is_dropped) return 0;
    rc = reader->visitor->part(reader->context, part, offset, size);
    return rc < 0 ? rc : 0;
}

/* The next of the master's names, in pieces as a blob would give it. */
static int hand_masters_name(struct node *node)
{
    const uint8_t *at = node->reader->stream.field_names.bytes + node->name_at;
    uint64_t size, offset = 0;
    int rc;

    if (node->is_dropped) return 0;
    size = load_u64le(at);
    at += sizeof(size);
    do {
        uint64_t left = size - offset;
        size_t here = left < RDB_PIECE_BYTES ? (size_t)left : (size_t)RDB_PIECE_BYTES;

        rc = hand_part(node, slice_of(at + offset, here), offset, size);
        offset += here;
    } while (rc == 0 && offset < size);
    node->name_at += sizeof(size) + (size_t)size;
    return rc;
}

/* All but its parts is known. */
static int begin_entry(struct node *node)
{
    struct rdb_reader *reader = node->reader;
    bool has_masters_names = node->flags & ENTRY_HAS_MASTERS_NAMES;
    int rc = 0;

    if (node->field_count == 0) return damaged(node, "a stream's entry has no fields");
    if (node->field_count > INT64_MAX / 4)
        return damaged(node, "a stream's entry has too many fields");
    node->parts_left = has_masters_names ? node->field_count : 2 * node->field_count;
    node->name_at = 0;
    node->step = ENTRY_PART;
    node->is_dropped = true;
    if (node->flags & ENTRY_IS_DELETED) return 0;
    reader->stream.entry_count++;
    if (reader->stream.entry_count == 1) reader->stream.first = node->id;
    if (!reader->visitor->stream.entry) return 0;
    if (has_masters_names && node->has_long_names)
        return rdb_tell(reader, RDB_LONG_NAME_INSIDE, reader->key.name, slice_of(NULL, 0));
    node->is_dropped = false;
    rc = reader->visitor->stream.entry(reader->context, node->id, 2 * node->field_count);
    return rc < 0 ? rc : 0;
}

/* ---- the master --------------------------------------------------------------------------------
 */

/* A name's size stands before it, so that an empty one is one, too. */
static int keep_name(struct node *node, struct slice part, uint64_t offset, uint64_t size)
{
    struct rdb_text *names = &node->reader->stream.field_names;
    uint64_t limit = node->reader->name_bytes_max;
    uint8_t head[sizeof(size)];
    int rc = 0;

    if (offset == 0 && (names->size > limit || size > limit - names->size))
        node->has_long_names = true;
    if (!node->has_long_names) {
        store_u64le(head, size);
        if (offset == 0) rc = rdb_text_append(names, slice_of(head, sizeof(head)));
        if (rc == 0) rc = rdb_text_append(names, part);
    }
    if (rc < 0 || offset + part.size < size) return rc;
    if (--node->names_left == 0) node->step = MASTER_END;
    return 0;
}

static int take_master_number(struct node *node, int64_t number)
{
    if (number < 0) return damaged(node, "a stream's node begins with a negative number");
    switch (node->step) {
    case MASTER_COUNT:
        node->told_count = number;
        break;
    case MASTER_DELETED:
        node->told_deleted = number;
        break;
    case MASTER_NAMES:
        node->name_count = node->names_left = (uint64_t)number;
        if (number == 0) return damaged(node, "a stream's node has no names of fields");
        break;
    default: /* MASTER_END */
        if (number != 0) return damaged(node, "the first entry of a stream's node has no end");
        break;
    }
    node->step++;
    return 0;
}

/* ---- entries -----------------------------------------------------------------------------------
 */

/* Differences may be negative, and count as Redis adds them: round the edge of 64 bits. */
static int take_id(struct node *node, int64_t seq)
{
    struct stream_reader *stream = &node->reader->stream;

    node->id.seq = node->master.seq + (uint64_t)seq;
    if (rdb_stream_id_compare(node->id, stream->last) <= 0)
        return damaged(node, "the ids of a stream do not grow");
    stream->last = node->id;
    if (!(node->flags & ENTRY_HAS_MASTERS_NAMES)) {
        node->step = ENTRY_FIELDS;
        return 0;
    }
    node->field_count = node->name_count;
    return begin_entry(node);
}

static int end_entry(struct node *node, int64_t told)
{
    uint64_t elements = NUMBERS_OF_ENTRY + node->field_count;

    if (!(node->flags & ENTRY_HAS_MASTERS_NAMES)) elements += node->field_count + 1;
    if (told < 0 || (uint64_t)told != elements)
        return damaged(node, "a stream's entry has another number of elements than it says");
    if (node->flags & ENTRY_IS_DELETED)
        node->deleted++;
    else
        node->count++;
    node->step = ENTRY_FLAGS;
    return 0;
}

static int take_flags(struct node *node, int64_t flags)
{
    if (flags & ~(int64_t)(ENTRY_IS_DELETED | ENTRY_HAS_MASTERS_NAMES))
        return damaged(node, "a stream's entry is of no known kind");
    node->flags = flags;
    node->step = ENTRY_MS;
    return 0;
}

static int take_number(struct node *node, int64_t number)
{
    switch (node->step) {
    case ENTRY_FLAGS:
        return take_flags(node, number);
    case ENTRY_MS:
        node->id.ms = node->master.ms + (uint64_t)number;
        node->step = ENTRY_SEQ;
        return 0;
    case ENTRY_SEQ:
        return take_id(node, number);
    case ENTRY_FIELDS:
        node->field_count = number < 0 ? 0 : (uint64_t)number;
        return begin_entry(node);
    case ENTRY_ELEMENTS:
        return end_entry(node, number);
    default:
        return take_master_number(node, number);
    }
}

static int take_part(struct node *node, struct slice part, uint64_t offset, uint64_t size)
{
    int rc = 0;

    if (offset == 0 && (node->flags & ENTRY_HAS_MASTERS_NAMES)) rc = hand_masters_name(node);
    if (rc == 0) rc = hand_part(node, part, offset, size);
    if (rc == 0 && offset + part.size == size && --node->parts_left == 0)
        node->step = ENTRY_ELEMENTS;
    return rc;
}

/* Of a packed_sink. */
static int take_element(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    struct node *node = context;
    int64_t number;

    if (node->step == MASTER_NAME) return keep_name(node, part, offset, size);
    if (node->step == ENTRY_PART) return take_part(node, part, offset, size);
    if (part.size != size || !number_parse_int64(part, &number))
        return damaged(node, "a stream's node has something else where a number should be");
    return take_number(node, number);
}

int rdb_read_stream_node(struct rdb_reader *reader, struct rdb_stream_id master)
{
    struct node node = { .reader = reader, .master = master, .id = master };
    const struct packed_sink sink = { .part = take_element, .context = &node };
    int rc;

    reader->stream.field_names.size = 0;
    rc = packed_read_listpack(&reader->blob, &sink);
    if (rc < 0) return rc;
    if (node.step != ENTRY_FLAGS || node.count + node.deleted == 0)
        return damaged(&node, "a stream's node ends within an entry");
    if (node.count != node.told_count || node.deleted != node.told_deleted)
        return damaged(&node, "a stream's node holds another number of entries than it says");
    return 0;
}
