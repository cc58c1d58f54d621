/* reader_internal.h - what the files that read RDB share: rdb.c (the file, strings, lists),
 * stream.c and stream_node.c (streams) and skip.c (the rest). */
#ifndef MODULES_RDB_READER_INTERNAL_H
#define MODULES_RDB_READER_INTERNAL_H
#include "modules/rdb/blob.h"
#include "modules/rdb/packed.h"
#include "modules/rdb/rdb.h"

enum rdb_type {
    TYPE_STRING = 0,
    TYPE_LIST = 1,
    TYPE_SET = 2,
    TYPE_ZSET = 3, /* scores as text */
    TYPE_HASH = 4,
    TYPE_ZSET_2 = 5,        /* scores as doubles */
    TYPE_MODULE_PRE_GA = 6, /* nobody but its module knows where it ends */
    TYPE_MODULE_2 = 7,
    TYPE_HASH_ZIPMAP = 9,
    TYPE_LIST_ZIPLIST = 10,
    TYPE_SET_INTSET = 11,
    TYPE_ZSET_ZIPLIST = 12,
    TYPE_HASH_ZIPLIST = 13,
    TYPE_LIST_QUICKLIST = 14, /* of ziplists */
    TYPE_STREAM = 15,
    TYPE_HASH_LISTPACK = 16,
    TYPE_ZSET_LISTPACK = 17,
    TYPE_LIST_QUICKLIST_2 = 18, /* of listpacks and of large elements alone */
    TYPE_STREAM_2 = 19,         /* with the first id, deletions and what a group has read */
    TYPE_SET_LISTPACK = 20,
    TYPE_STREAM_3 = 21, /* with when a consumer was active */
    TYPE_HASH_METADATA_PRE_GA = 22,
    TYPE_HASH_LISTPACK_EX_PRE_GA = 23,
    TYPE_HASH_METADATA = 24, /* fields with a time to live, the soonest of them before */
    TYPE_HASH_LISTPACK_EX = 25,
    TYPE_STREAM_4 = 26, /* with what producers have added */
    TYPE_STREAM_5 = 27, /* with pending entries that nobody owns */
    TYPE_ARRAY = 28,    /* Redis 8.8 */
};

enum rdb_opcode {
    OPCODE_FIRST = 243,
    OPCODE_KEY_METADATA = 243, /* modules' data of the key that follows */
    OPCODE_SLOT_INFO = 244,
    OPCODE_FUNCTION = 245,
    OPCODE_FUNCTION_PRE_GA = 246,
    OPCODE_MODULE_AUX = 247,
    OPCODE_IDLE = 248,
    OPCODE_FREQUENCY = 249,
    OPCODE_AUX = 250,
    OPCODE_RESIZE = 251,
    OPCODE_EXPIRY_MS = 252,
    OPCODE_EXPIRY_S = 253,
    OPCODE_SELECT = 254,
    OPCODE_END = 255,
};

enum { NODE_PLAIN = 1, NODE_PACKED = 2 };
enum {
    TEXT_FIRST_BYTES = 256,
    RDB_NAME_BYTES_MAX = 512 << 20,
    OTHER_BYTES_MAX = 256,
    PENDING_BYTES_MAX = 64 << 20
};

enum { STREAM_ID_BYTES = 16, TIME_BYTES = 8 }; /* as they stand in streams */

static inline bool stream_has_activity(uint8_t type)
{
    return type >= TYPE_STREAM_3;
}

static inline bool stream_has_producers(uint8_t type)
{
    return type >= TYPE_STREAM_4;
}

/* A string that is in memory as a whole. */
struct rdb_text {
    uint8_t *bytes;
    size_t size, capacity;
};

/* What is kept while a stream is read. */
struct stream_reader {
    uint8_t type;                     /* enum rdb_type */
    struct rdb_stream_id first, last; /* of its entries, deleted ones too but for first */
    uint64_t entry_count;             /* that are there */
    struct rdb_text field_names;      /* of a node: u64 size and bytes of each */
    struct rdb_text group, consumer, producer, id;
    struct rdb_pending *pending; /* of the group, in the order of their ids */
    uint64_t pending_count, pending_capacity;
    bool has_too_many; /* pending entries: they are not kept */
};

struct rdb_reader {
    struct rdb_input *input;
    const struct rdb_visitor *visitor;
    void *context;
    int version;
    struct rdb_key key; /* what was told of the next one so far; its database stays */
    uint64_t name_bytes_max, pending_bytes_max;
    struct rdb_text name;
    struct blob blob;
    struct packed_sink sink;
    struct stream_reader stream;
};

/* Appends bytes: memory grows with what has come, never with what the file says will. */
int rdb_text_append(struct rdb_text *text, struct slice bytes);
static inline struct slice rdb_text_slice(const struct rdb_text *text)
{
    return slice_of(text->bytes, text->size);
}
/* The string that is open becomes the text. */
int rdb_text_take(struct rdb_reader *reader, struct rdb_text *text);

/* The visitor's other(), if there is one. */
int rdb_tell(struct rdb_reader *reader, enum rdb_other what, struct slice name, struct slice value);

/* The value of a key that is a stream. */
int rdb_read_stream(struct rdb_reader *reader, uint8_t type);
void rdb_finish_stream(struct rdb_reader *reader);
/* The entries of one node, whose first id is master. The blob is open. */
int rdb_read_stream_node(struct rdb_reader *reader, struct rdb_stream_id master);

/* What follows the name of a stream's group. */
int rdb_skip_group_rest(struct rdb_reader *reader, uint8_t type);
/* Likewise of a producer's ids. */
int rdb_skip_producer_rest(struct rdb_reader *reader);

/* The value of a key of any type. */
int rdb_skip_value(struct rdb_reader *reader, uint8_t type);
/* The next string is the name of a key that is skipped. */
int rdb_skip_long_name(struct rdb_reader *reader, uint8_t type);
/* AUX, RESIZEDB, FUNCTION2, MODULE_AUX and their like. */
int rdb_read_other(struct rdb_reader *reader, uint8_t opcode);
/* What was told of a key holds for that one only. */
void rdb_forget_key(struct rdb_reader *reader);
#endif
