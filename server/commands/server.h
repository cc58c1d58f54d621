/* server.h - the parts that command handlers work with, connected by boot.c. Only pointers: a file
 * includes the headers of the parts that it uses, not this one's. Loop thread only. */
#ifndef SERVER_COMMANDS_SERVER_H
#define SERVER_COMMANDS_SERVER_H
#include <stdbool.h>
#include <stdint.h>

#include "server/commands/disk_log.h"

struct server {
    struct loop *loop;
    struct net *net;
    struct os *os;
    const char *spill_path; /* DIR/spill */
    struct io *io;
    struct disposal *disposal; /* of large blocks */
    struct log *log;
    struct config *config;
    struct keyspace *keyspace;
    struct blocked *blocked;
    struct claims *claims;
    struct watch *watch;
    struct spill_store *store;
    struct stream_store *streams;
    struct stream_group_store *stream_groups;
    struct fiber_pool *fibers;

    struct command_table *table;         /* table.h */
    struct parking *parking;             /* parking.h: calls that wait */
    struct memory *memory;               /* observe/memory.h: who holds how much, and the budget */
    struct monitors *monitors;           /* monitor.h */
    struct statistics *statistics;       /* statistics.h: what dispatch counts */
    struct slowlog *slowlog;             /* observe/slowlog.h */
    struct latency *latency;             /* observe/latency.h */
    struct effects *effects;             /* effect.h: what calls leave in the operation log */
    struct oplog *oplog;                 /* durability/oplog.h; NULL: there is none */
    struct checkpointing *checkpointing; /* checkpointing.h */
    struct log_replacing *replacing;     /* log_replacing.h */
    struct shutting_down *shutting_down; /* shutdown.h */
    struct log_switching *switching;     /* log_switching.h */
    struct loading *loading;             /* loading.h; NULL: nothing is being loaded */
    struct importing *importing;         /* importing.h; NULL: no import is under way */
    struct backing_up *backing_up;       /* backing_up.h */
    struct stream_retention *retention;  /* stream_retention.h */
    struct stream_sharing *sharing;      /* stream_sharing.h */
    struct stream_viewings *viewings;    /* stream_viewing.h */
    /* MULTI: what all that is queued holds, and the one that may hold more than its part of it. */
    uint64_t queued_bytes;
    const struct transaction *large_transaction;
    bool is_exporting;       /* sl_export.c: snapshots of lists are held */
    const char *import_path; /* --import, until it begins; NULL: none */

    /* CLIENT PAUSE: until when (loop_now_us), 0: no pause. */
    uint64_t paused_until_us;
    bool pause_is_for_writes_only;
    struct disk_log disk_log;
    uint64_t disk_max_bytes;       /* maxdisk, or what stands for it: disk_limit.h */
    uint64_t memory_updated_us;    /* likewise memory_update */
    uint64_t memory_sampled_us;    /* loop_now_us when memory_sample last ran in a turn */
    uint64_t attack_logged_us;     /* loop_now_us when a web request was last logged; 0: never */
    uint64_t read_error_logged_us; /* likewise a failed read */
    int64_t started_at_ms;
    uint64_t started_us; /* the same by the monotonic clock, which nobody sets */
    bool is_stopping;
    bool has_failed;               /* it stops because it cannot go on */
    uint64_t log_cut_bytes;        /* of a torn tail, when the log was opened */
    uint64_t machine_memory_bytes; /* what this process may use: 0: unknown */
    char run_id[41];               /* 40 hexadecimal digits, new at each start */
    char executable[256];          /* path of the program */
};
#endif
