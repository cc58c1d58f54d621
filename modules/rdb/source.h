/* source.h - all that one path leads to: an RDB file, an append-only file (plain, or with an RDB
 * file in front), one in parts, or a directory that holds one of these.
 *
 * Two passes: rdb_source_check reads everything and says whether it is whole, rdb_source_read hands
 * it over. So a damaged file is refused before anything of it was taken. Files are opened, read and
 * closed one by one; they must not be written meanwhile (what is appended is not seen).
 *
 * Any thread, one at a time; visitors run on it. Nothing here logs. */
#ifndef MODULES_RDB_SOURCE_H
#define MODULES_RDB_SOURCE_H
#include "modules/rdb/aof.h"
#include "modules/rdb/rdb.h"

struct os;

enum { SOURCE_ERROR_BYTES = 512 };

struct rdb_source_file {
    char *path;
    uint64_t size_bytes; /* as rdb_source_check saw it */
    uint64_t end;        /* what is read of it: less when its end is torn */
};

struct rdb_source {
    struct os *os;
    struct rdb_source_file *files; /* in the order in which they are read */
    unsigned file_count;
    /* As of struct rdb_visitor, for a check: the owner's, who reads with the same. */
    uint64_t pending_bytes_max;
    uint64_t size_bytes;    /* of all, as rdb_source_check saw them */
    uint64_t torn_bytes;    /* of the last one: behind its last whole command */
    uint64_t command_count; /* in append-only files */
    char error[SOURCE_ERROR_BYTES];
};

struct rdb_source_visitor {
    struct rdb_visitor rdb; /* other may be NULL */
    struct aof_visitor aof;
    /* Every so often, with the bytes that were read in this pass. Negative: stops. May be NULL. */
    int (*progress)(void *context, uint64_t bytes);
};

/* Finds the files. A directory is looked into: for the one manifest in it or in its
 * "appendonlydir", for "appendonly.aof", for "dump.rdb"; -EEXIST: it holds more than one of these,
 * and nobody said which counts. Other errors: -errno, -EBADMSG for a manifest. The error is in
 * words in out_source->error, also after a failure; rdb_source_finish in any case. */
int rdb_source_find(struct os *os, const char *path, struct rdb_source *out_source);
void rdb_source_finish(struct rdb_source *source);

/* Reads all of it, hands nothing over; progress may be NULL. Errors as input.h, with the file's
 * path in source->error. Only the last file may be torn. */
int rdb_source_check(struct rdb_source *source, int (*progress)(void *context, uint64_t bytes),
                     void *context);
/* After a check. */
int rdb_source_read(struct rdb_source *source, const struct rdb_source_visitor *visitor,
                    void *context);
#endif
