/* rdb.h - what an RDB file of Redis holds, told in the order in which it lies there.
 *
 * Versions 1 to 14 (Redis 1.x to 8.8, and what Valkey writes as "REDIS"). Strings, lists and
 * streams are handed over whatever their encoding, elements and values of any length in parts;
 * sets, hashes, sorted sets and modules' values are told by key and kind, and skipped.
 *
 * Nothing is held in memory but a window, the names of a key and of what is in it, a group's
 * pending entries, and the visitor's own. What is handed over was checked for itself; the file's
 * checksum stands at its end, so whoever must not take a part of a damaged file reads it twice,
 * first with a visitor that wants nothing.
 *
 * Any thread, one at a time for an input; a visitor runs on the caller's. Nothing here logs. */
#ifndef MODULES_RDB_RDB_H
#define MODULES_RDB_RDB_H
#include <stdbool.h>
#include <stdint.h>

#include "modules/base/slice.h"
#include "modules/rdb/rdb_stream.h"

struct rdb_input;

enum { RDB_VERSION_MAX = 14 };

enum rdb_kind {
    RDB_STRING,
    RDB_LIST,
    RDB_SET,
    RDB_HASH,
    RDB_ZSET,
    RDB_STREAM,
    RDB_MODULE,
    RDB_KIND_COUNT
};

/* "string", "list", …: as TYPE tells them. */
const char *rdb_kind_name(enum rdb_kind kind);

struct rdb_key {
    uint64_t database;
    struct slice name; /* good until the value has ended */
    enum rdb_kind kind;
    int64_t expires_at_ms; /* since 1970; -1: never */
    int64_t idle_s;        /* since it was last used, -1: not told */
    int frequency;         /* of use, as OBJECT FREQ tells it; -1: not told */
};

/* What a file holds beside keys. */
enum rdb_other {
    RDB_AUX,        /* name and value, as "redis-ver" "7.0.15"; each cut at 256 bytes */
    RDB_FUNCTION,   /* a library of functions: its code's begin as value */
    RDB_MODULE_AUX, /* data of a module beside the keys: the module's name */
    RDB_LONG_NAME,  /* a key whose name is longer than name_bytes_max: its begin; it was skipped */
    RDB_LONG_NAME_INSIDE, /* likewise of a group, a consumer, a producer, or fields' names */
    RDB_PENDING_TOO_MANY, /* pending entries of a group (its name), above pending_bytes_max */
};

/* Each returns a result >= 0, or a negative one that rdb_read stops with and returns. */
struct rdb_visitor {
    /* 1: hand its value over (strings, lists and streams only); 0: skip it. */
    int (*key)(void *context, const struct rdb_key *key);
    /* The next bytes of the string, of the list's next element, or of the next name or value of a
     * stream's entry: from offset on, size in all. An empty one comes as one empty part. Up to
     * RDB_PIECE_BYTES a part. */
    int (*part)(void *context, struct slice part, uint64_t offset, uint64_t size);
    /* The value that was handed over is complete. */
    int (*value_end)(void *context);
    /* May be NULL. */
    int (*other)(void *context, enum rdb_other what, struct slice name, struct slice value);
    struct rdb_stream_visitor stream; /* all NULL: key() wants no stream */
    uint64_t name_bytes_max; /* of a key's name, which is in memory as a whole; 0: 512 MiB. Of the
                              * names in a stream, too */
    uint64_t pending_bytes_max; /* in memory for the pending entries of a group, 32 bytes each;
                                 * 0: 64 MiB */
};

/* 1: the file goes on as an RDB file begins, by its next byte: no command of an append-only file
 * begins with a letter. 0: it does not, or is at its end. Errors as input.h. Takes nothing. */
int rdb_looks_like(struct rdb_input *input);
/* Reads from the header to the checksum behind the end; what follows (an AOF has commands there) is
 * not taken. 0; errors as input.h, and the visitor's. */
int rdb_read(struct rdb_input *input, const struct rdb_visitor *visitor, void *context);
#endif
