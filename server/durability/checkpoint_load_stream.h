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
struct stream_producers;
struct stream_producers_loader;
struct stream_store;
struct value;

/* Zero: nothing was loaded. */
struct checkpoint_stream_load {
    uint64_t awaited_count; /* groups and producers of streams that have not all come */
    /* Of those that have begun; NULL: the others, or none. */
    struct stream_groups_loader *groups;
    struct stream_producers_loader *producers;
    uint64_t loaded_bytes, total_bytes; /* of these */
    uint8_t *name;                      /* of their stream */
    uint32_t name_size;
    unsigned database;
};

/* What pieces have become, for the stream of their name: one of both. */
struct checkpoint_stream_part {
    struct stream_groups *groups;
    struct stream_producers *producers;
};

/* The value of a stream whose record's name was read. */
int checkpoint_load_stream(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                           struct stream_store *streams, struct stream_group_store *groups,
                           uint64_t value_bytes, struct value **out_value);
/* A piece of groups or producers, whose record's name was read. 1: it was the last one, and what is
 * in *out_part is the caller's. 0: there are more. */
int checkpoint_load_piece(struct checkpoint_stream_load *load, struct checkpoint_reader *reader,
                          struct stream_store *streams, struct stream_group_store *groups,
                          const struct checkpoint_record *record, struct slice name,
                          struct checkpoint_stream_part *out_part);
/* That was all: 0, or -EBADMSG, something is missing. */
int checkpoint_load_streams_end(const struct checkpoint_stream_load *load,
                                struct checkpoint_reader *reader);
/* Frees what is held. */
void checkpoint_load_streams_finish(struct checkpoint_stream_load *load);
#endif
