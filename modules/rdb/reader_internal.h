/* reader_internal.h - what the files that read RDB share: rdb.c (the file, strings, lists) and
 * skip.c (the rest). */
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
};

enum rdb_opcode {
    OPCODE_FIRST = 244,
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
enum { NAME_FIRST_BYTES = 256, RDB_NAME_BYTES_MAX = 512 << 20, OTHER_BYTES_MAX = 256 };

struct rdb_reader {
    struct rdb_input *input;
    const struct rdb_visitor *visitor;
    void *context;
    int version;
    struct rdb_key key; /* what was told of the next one so far; its database stays */
    uint64_t name_bytes_max;
    uint8_t *name;
    size_t name_bytes, name_capacity;
    struct blob blob;
    struct packed_sink sink;
};

/* The value of a key of any type. */
int rdb_skip_value(struct rdb_reader *reader, uint8_t type);
/* The next string is the name of a key that is skipped. */
int rdb_skip_long_name(struct rdb_reader *reader, uint8_t type);
/* AUX, RESIZEDB, FUNCTION2, MODULE_AUX and their like. */
int rdb_read_other(struct rdb_reader *reader, uint8_t opcode);
/* What was told of a key holds for that one only. */
void rdb_forget_key(struct rdb_reader *reader);
#endif
