/* import_internal.h - what the files of an import share: import.c (the thread), import_keys.c and
 * import_stream.c (RDB files), import_commands.c, import_overdue.c and import_replaced.c
 * (append-only files). All but import.c runs on the thread. */
#ifndef SERVER_TRANSFER_IMPORT_INTERNAL_H
#define SERVER_TRANSFER_IMPORT_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>

#include "server/transfer/feed.h"
#include "server/transfer/import.h"

enum {
    BATCH_BYTES = 32768, /* of the elements of one RPUSH */
    BATCH_ELEMENTS = 512,
    DATABASE_NONE = -1,
    IMPORT_RECENT = 4096,
};

/* Elements that go together. */
struct import_batch {
    uint8_t bytes[BATCH_BYTES];
    uint32_t ends[BATCH_ELEMENTS]; /* of each element, in bytes */
    uint32_t count;
};

/* An entry of a stream, gathered. */
struct import_entry {
    struct rdb_stream_id id;
    uint64_t part_count, parts_left; /* names and values; of these have not come */
    uint8_t *bytes;                  /* those that have, as arguments of a command */
    size_t size, capacity;
};

/* Keys whose expiry is past, in an append-only file (import_overdue.c). */
struct import_overdue {
    int64_t marker_ms; /* the moment to which they are put off */
    char ms_text[24], s_text[24];
    size_t ms_size, s_size;
    uint8_t *notes; /* of these keys */
    size_t size, capacity;
    uint64_t recent[IMPORT_RECENT]; /* hashes of keys that were noted */
};

struct import {
    struct import_options options; /* path is our own copy */
    char *path;
    struct rdb_source source;
    struct feed *feed;
    pthread_t thread;
    bool has_thread;
    int event_fd;
    _Atomic uint64_t bytes, total_bytes, keys;
    _Atomic int phase; /* enum import_phase; IMPORT_ENDED is stored last: the summary is complete */
    atomic_bool is_canceled;
    struct import_summary summary;

    int64_t database; /* that the connection has selected */
    /* of the key whose value is being read */
    struct rdb_key key;
    bool is_dropped; /* what is left of its value or element is not sent */
    bool has_rest;   /* the string is being sent part by part */
    uint64_t elements;
    struct import_batch batch;
    struct import_entry entry;
    struct slice group_name; /* the reader's */

    struct import_overdue overdue;
    bool skips_database; /* an append-only file has selected one that is not here */
    bool is_in_multi;    /* its commands are answered by EXEC */
    bool has_commands;   /* it came to the first command of one */
};

/* The visitors. */
int import_key(void *context, const struct rdb_key *key);
int import_part(void *context, struct slice part, uint64_t offset, uint64_t size);
int import_value_end(void *context);
int import_other(void *context, enum rdb_other what, struct slice name, struct slice value);
int import_entry(void *context, struct rdb_stream_id id, uint64_t part_count);
int import_stream_state(void *context, const struct rdb_stream_state *state);
int import_group(void *context, const struct rdb_group *group);
int import_consumer(void *context, const struct rdb_consumer *consumer);
int import_pending(void *context, const struct rdb_consumer *owner,
                   const struct rdb_pending *pending);
int import_producers(void *context, const struct rdb_producers *producers);
int import_produced(void *context, const struct rdb_produced *produced);
int import_command(void *context, struct slice *arguments, uint32_t argument_count);
int import_long_command(void *context, struct slice name);

/* The next bytes of a name or value of the stream's entry. */
int import_entry_part(struct import *import, struct slice part, uint64_t offset, uint64_t size);
/* All of a stream was sent but its expiry. */
void import_end_stream(struct import *import);

void import_overdue_init(struct import_overdue *overdue);
void import_overdue_finish(struct import_overdue *overdue);
/* If the command sets an expiry that is past, changes it to one that is not, and notes the key. */
int import_put_off(struct import *import, struct slice *arguments, uint32_t count);
/* Removes the keys that are overdue after the last command, and waits for the answers. */
int import_end_overdue(struct import *import);

/* Removes what a command that is left out, or that is too long, would have replaced. */
int import_drop_replaced(struct import *import, const struct slice *arguments, uint32_t count);
int import_drop_too_long(struct import *import, const struct slice *arguments, uint32_t count);
/* Before RENAME or COPY: removes what would stay if the source is not here. */
int import_drop_target(struct import *import, const struct slice *arguments, uint32_t count);
/* After a COPY: counts one whose source was not here. */
int import_look_at_copy(struct import *import, const struct slice *arguments);

/* Selects a database if the connection is in another one. */
int import_select(struct import *import, uint64_t database);
/* All of the RDB files was sent: waits for the answers, and counts the strings that were there
 * already. */
int import_end_keys(struct import *import);
/* One more key or command was sent. */
void import_count(struct import *import);
#endif
