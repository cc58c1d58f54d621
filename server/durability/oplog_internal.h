/* oplog_internal.h - what the files of the operation log share.
 *
 *   oplog.c        opening and closing, appending, room
 *   commit.c       tickets and syncs
 *   oplog_replace.c  another journal after a failure
 *   oplog_begin.c  one that begins, or ends, while the server works
 *   log_reserve.c  the room on the disk that is kept for what removes */
#ifndef SERVER_DURABILITY_OPLOG_INTERNAL_H
#define SERVER_DURABILITY_OPLOG_INTERNAL_H
#include "modules/io/io.h"
#include "server/durability/log_frame.h"
#include "server/durability/oplog.h"

/* A frame for which there was no room when it had to be appended. */
struct kept_frame {
    struct kept_frame *next;
    int64_t now_ms;
    unsigned database;
    uint32_t count;
    size_t size;
    uint8_t bytes[];
};

enum reserve_work { RESERVE_IDLE, RESERVE_MAKING, RESERVE_GIVING };

struct log_reserve {
    struct io_job job; /* first */
    struct oplog *oplog;
    char *path;
    int fd; /* -1: not made yet */
    enum reserve_work work;
    uint64_t bytes;      /* that it has */
    uint64_t made_bytes; /* that it has after the job under way */
    bool all_at_once;    /* of the job under way: not the part that there is room for */
    bool has_given_way;  /* since it was whole: to a checkpoint, which may need more yet */
    uint64_t wanted, left_over_bytes; /* of the job under way; the latter is to stay free */
    uint64_t tried_us;
};

struct oplog {
    struct os *os;
    struct io *io;
    char *directory, *path;
    uint64_t first_segment;
    struct journal *journal;
    /* journal is another one than that which has failed, and no checkpoint goes on from it yet:
     * error is still the other's. */
    bool is_being_replaced;
    uint64_t replaced_count;
    uint64_t replaced_frame_number; /* frame_number when it began */
    enum oplog_fsync fsync;
    void (*on_progress)(void *context);
    void *context;
    uint64_t last_ms, last_seq; /* of the last frame */
    bool is_buffered;           /* what is appended is not in the file before it was written */
    uint64_t roll_bytes;

    /* Commands of the frame that is being filled; count 0: none is. */
    uint8_t *batch;
    size_t batch_size;
    uint32_t batch_count;
    unsigned batch_database;
    int64_t batch_ms;
    uint64_t frame_number; /* of the last frame that was appended or kept */
    uint64_t synced_frame_number, sync_frame_number; /* the latter: of the sync under way */

    struct kept_frame *kept_head, **kept_tail;
    uint64_t kept_bytes;
    int kept_error; /* why the first of them found no room; 0: not tried, or it is being made */
    int error;      /* our own: a frame could not even be kept */
    bool is_lost;   /* and the next commit has to say so */

    uint64_t ticket;         /* the last one given out */
    uint64_t released;       /* up to this they are through */
    uint64_t command_count;  /* appended or kept, in all */
    uint64_t begun_count;    /* of these, when the last ticket was begun */
    uint64_t group_commands; /* that the last ticket was begun for */
    uint64_t expected_count; /* command_count when all whom it let go have written again */
    uint64_t begun_us, appended_us, waiting_us; /* when that was; of the last command; of the first
                                                   one since */
    uint64_t sync_us;                           /* how long the last ticket took */
    uint64_t goal;       /* of the ticket under way: the position that releases it */
    bool is_under_way;   /* a ticket is */
    bool has_waiting;    /* and answers wait for the one after it */
    bool has_settled;    /* one was released since the last commit */
    uint64_t seen_count; /* command_count at the last commit */
    uint64_t sync_goal;  /* of the sync under way, for everysec; 0: none is */
    uint64_t synced_us;  /* when the last sync was begun */
    uint64_t now_us;     /* at the last commit */
    uint64_t retried_us; /* when what failed for want of room was last tried again */
    uint64_t starved_us; /* since when answers wait for room in vain; 0: none do */
    uint64_t delayed_sync_count;
    bool was_delayed; /* this sync has been counted as delayed */
    bool is_late;
    bool is_hurried; /* another sync is asked for behind the one under way */

    bool is_told_full; /* by the journal, when room was last asked for */
    int room_error;    /* what adds is refused until there is room for the reserve again */
    struct log_reserve reserve;
};

enum { OPLOG_BATCH_BYTES = 32 << 10 };

/* oplog.c: one without a journal and a reserve, and the end of it, whatever it has. */
int oplog_create(struct os *os, struct io *io, const struct oplog_options *options,
                 struct oplog **out_oplog);
void oplog_destroy(struct oplog *oplog);
/* oplog.c: a log's journal, in memory until journal_move_to_file. */
int oplog_open_journal(struct oplog *oplog, const struct journal_options *options,
                       struct journal_report *out_report, struct journal **out_journal);
void oplog_drop_kept(struct oplog *oplog);
/* What the journal turned out to be. */
void oplog_take_way(struct oplog *oplog);
/* frames that were kept go first. 0: none is left. */
int oplog_append_kept(struct oplog *oplog);
/* Appends the frame that is being filled. Negative: the log has failed, and it is lost. */
int oplog_end_batch(struct oplog *oplog);

/* commit.c: the journal has moved. */
void oplog_commit_progress(struct oplog *oplog);

/* log_reserve.c */
int log_reserve_open(struct oplog *oplog);
/* The file of one that is about to begin, made by an I/O thread; oplog takes it from there. */
int log_reserve_prepare(struct os *os, struct oplog_ground *ground);
void log_reserve_take(struct oplog *oplog, struct oplog_ground *ground);
void log_reserve_close(struct oplog *oplog);
/* Gives a piece of it back to the file system, for the log. False: nothing is left. */
bool log_reserve_give(struct oplog *oplog);
/* The same for somebody else. False: what is left is the log's. */
bool log_reserve_give_way(struct oplog *oplog);
/* All of it, at once and waiting for the disk: for opening the log. -ENOSPC: there was nothing. */
int log_reserve_give_all(struct oplog *oplog);
/* Makes it whole again, if it is not; looked at now and then. */
void log_reserve_mend(struct oplog *oplog, uint64_t now_us);
#endif
