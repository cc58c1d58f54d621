/* checkpoint_load_stream.h - records of streams become values again. Loop thread; waits for the
 * disk. Errors are in the reader's words. */
#ifndef SERVER_DURABILITY_CHECKPOINT_LOAD_STREAM_H
#define SERVER_DURABILITY_CHECKPOINT_LOAD_STREAM_H
#include "modules/base/slice.h"
#include "server/durability/checkpoint_format.h"

struct checkpoint_reader;
struct stream_group_store;
struct stream_groups;
struct stream_groups_loader;
struct stream_store;
struct value;

/* Zero: nothing was loaded. */
struct checkpoint_stream_load {
    uint64_t awaited_count;              /* streams whose groups have not all come */
    struct stream_groups_loader *loader; /* of the one whose groups have begun; NULL: none */
    uint64_t loaded_bytes, total_bytes;  /* of these */
    uint8_t *name;                       /* its name */
    uint32_t name_size;
    unsigned database;
};

/* The value of a stream whose record's name was read. */
int checkpoint_load_stream(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                           struct stream_store *streams, struct stream_group_store *groups,
                           uint64_t value_bytes, struct value **out_value);
/* A piece of groups, whose record's name was read. 1: it was the last one, and *out_groups are the
 * caller's, for the stream of that name. 0: there are more. */
int checkpoint_load_groups(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                           struct stream_group_store *groups,
                           const struct checkpoint_record *record, struct slice name,
                           struct stream_groups **out_groups);
/* That was all: 0, or -EBADMSG, groups are missing. */
int checkpoint_load_streams_end(const struct checkpoint_stream_load *load,
                                struct checkpoint_reader *reader);
/* Frees what is held. */
void checkpoint_load_streams_finish(struct checkpoint_stream_load *load);
#endif
