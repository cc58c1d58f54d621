/* oplog.h - the operation log: what writes did, in the order in which they did it.
 *
 * A journal (modules/journal) of frames (log_frame.h). Before a write acts, room for it is reserved
 * (oplog_reserve); what it did is appended, which does not fail for want of room any more. Once a
 * turn, before answers leave, oplog_commit says what they wait for: a **ticket**, released when the
 * log has reached the device (`always`), or the file, where it is not mapped.
 *
 *   always     a sync follows the turn; one sync serves all that queued while the one before it ran
 *   everysec   a sync each second while there is something new; when one takes longer than two
 *              seconds writes wait (oplog_reserve)
 *   no         the kernel decides
 *
 * Failure. No room: what adds is refused (-ENOSPC), what removes uses a reserve that is kept on the
 * disk for it; when there is room again the reserve is made again, and then adding goes on. What
 * was done and finds no room all the same is tried again, but when somebody waits for it in vain
 * for two seconds the log has failed. A failed write or sync is final for its journal
 * (oplog_error): nothing is appended after it, and the answers that waited are neither true nor
 * false. Another journal may go on beside it (oplog_replace_begin), and takes its place when a
 * checkpoint of its time is complete. Loop thread only; no call but open, sync_now and close waits.
 */
#ifndef SERVER_DURABILITY_OPLOG_H
#define SERVER_DURABILITY_OPLOG_H
#include "modules/base/slice.h"
#include "modules/journal/journal.h"

struct io;
struct log_frame;
struct os;
struct oplog;

enum oplog_fsync { OPLOG_FSYNC_NO, OPLOG_FSYNC_EVERYSEC, OPLOG_FSYNC_ALWAYS };

struct oplog_options {
    const char *directory;  /* the data directory */
    uint64_t first_segment; /* which log in it (log_directory.h) */
    enum oplog_fsync fsync;
    uint64_t synced_position; /* known by a checkpoint; 0: none */
    uint64_t roll_bytes;      /* of a log that is not there yet; 0: the journal's default */
    bool refuses_tail;        /* -EUCLEAN instead of cutting a torn tail */
    /* Something has moved: room came, a ticket was released, an error. */
    void (*on_progress)(void *context);
    void *context;
};

/* Opens or makes the log and recovers it: a torn tail is cut, unless it is refused. os and io must
 * outlive it. out_report is filled also on error. Errors as journal_open. */
int oplog_open(struct os *os, struct io *io, const struct oplog_options *options,
               struct journal_report *out_report, struct oplog **out_oplog);
/* The room beside the log of that directory, which nobody has open, goes to the file system: it is
 * made again by who opens the log when there is some. -ENOSPC: there is none; or another error. */
int oplog_give_reserve(struct os *os, const char *directory);
/* Syncs what there is, then closes. Accepts NULL. 0, or why not all of it is on the device. */
int oplog_close(struct oplog *oplog);

/* Before a write acts: room for so many bytes of commands. adds: it may make the data larger; what
 * does not may use the reserve. 0: go on. -EAGAIN: later (on_progress follows). -ENOSPC, -EDQUOT,
 * …: no room. -EMSGSIZE: longer than a frame may be. Another error: oplog_error. */
int oplog_reserve(struct oplog *oplog, uint64_t bytes, bool adds);
/* Appends a command that took effect at now_ms. It goes into a frame with those before and after it
 * of the same time and database, which is appended by oplog_commit at the latest: before that no
 * answer leaves. Where there is no room after all it is kept in memory until there is. Negative
 * only when the log has failed: the effect is not in it, and whoever asked for it must not be told
 * that all is well. */
int oplog_append(struct oplog *oplog, int64_t now_ms, unsigned database, struct slice command);
/* Appends several as a frame of their own: all of them are replayed, or none. */
int oplog_append_frame(struct oplog *oplog, int64_t now_ms, struct log_frame *frame);

/* A checkpoint could not be written for want of room, and without it no room comes back: a piece of
 * the reserve goes to the file system, and what adds is refused until the reserve is whole again.
 * False: what is left of it is for what removes. */
bool oplog_give_way(struct oplog *oplog);
/* What has happened cannot be told to the log: it ends here, as if a write had failed. */
void oplog_fail(struct oplog *oplog, int error);

#define OPLOG_LOST UINT64_MAX
/* Commits what was appended. The ticket that every answer computed until now waits for; 0: they may
 * leave. OPLOG_LOST: the log has just failed, and what was done since the last time is not in it:
 * no such answer may leave any more. */
uint64_t oplog_commit(struct oplog *oplog, uint64_t now_us);
/* Answers with this ticket or an earlier one may leave. */
uint64_t oplog_released(const struct oplog *oplog);
/* In how many microseconds oplog_commit is to be called although nothing happens; -1: never. */
int64_t oplog_wait_us(const struct oplog *oplog, uint64_t now_us);
/* Somebody waits for what there is to be synced: with `no` that begins now, else it does anyway. */
void oplog_hurry(struct oplog *oplog);
/* The same whatever appendfsync is: begins now, unless one is under way. */
void oplog_start_sync(struct oplog *oplog);
/* True: all that took effect has its place in the log; false: some of it is kept in memory until
 * there is room. */
bool oplog_is_settled(struct oplog *oplog);
/* Waits until all that was appended is on the device: 0, or oplog_error. */
int oplog_sync_now(struct oplog *oplog);

void oplog_set_fsync(struct oplog *oplog, enum oplog_fsync fsync);

/* The number of the frame that the next command goes to, or that the last one went to; and of the
 * last one that is on the device. */
uint64_t oplog_frame_number(const struct oplog *oplog);
uint64_t oplog_synced_frame_number(const struct oplog *oplog);
/* Behind all that was appended: what a checkpoint begins at. */
uint64_t oplog_position(struct oplog *oplog);
uint64_t oplog_synced_position(const struct oplog *oplog);
/* A checkpoint holds all that lies before position: it goes. */
void oplog_trim(struct oplog *oplog, uint64_t position);
/* 0, or why writes are refused: the log has failed, and no other has taken its place. */
int oplog_error(const struct oplog *oplog);
/* 0, or why what is appended does not reach the device: of the journal that there is now. */
int oplog_journal_error(const struct oplog *oplog);
/* True: with `always`, memory holds what a loss of power may take back, and nobody knows whether.
 */
bool oplog_is_uncertain(const struct oplog *oplog);
/* Why what adds is refused now: 0, -ENOSPC, … */
int oplog_room_error(const struct oplog *oplog);
const char *oplog_path(const struct oplog *oplog);

/* ---- going on after a failure (oplog_replace.c) ---- */

/* The log has failed: its journal is given up, and another one is made beside it by I/O threads,
 * unless one is there that has not failed itself. What happens without being asked for is appended
 * to it (expired keys, the end of an EXEC); oplog_error stays. Who waited for answers was told. No
 * checkpoint at a position of the old one is under way. 0: see oplog_replace_step. -EAGAIN: I/O
 * threads still work for the old one; on_progress follows. -ENOMEM, …: nothing has changed. */
int oplog_replace_begin(struct oplog *oplog);
/* 0: the other journal is on the device, and a checkpoint may begin. 1: not yet; on_progress
 * follows. Negative: that has failed; it may be begun again. */
int oplog_replace_step(struct oplog *oplog);
/* A checkpoint at that position is complete: if it is one of the other journal, that is the log
 * from now on, and all is as if nothing had failed. False: it is not, or has failed as well. */
bool oplog_replace_end(struct oplog *oplog, uint64_t position);
/* ---- beginning and ending while the server works (oplog_begin.c) ---- */

/* What an I/O thread makes for a log. */
struct oplog_ground {
    const char *directory; /* the data directory; outlives it */
    uint64_t remove_from;  /* logs from that number on are of no use; UINT64_MAX: none is removed */
    uint64_t roll_bytes, reserve_bytes;
    char *reserve_path; /* NULL: none, or oplog_begin has taken it */
    int reserve_fd;     /* likewise -1 */
};
/* By an I/O thread, which may wait for the disk. -ENOSPC, -EDQUOT: not even the reserve finds room.
 * On error there is nothing to leave but perhaps the mark (log_directory.h). */
int oplog_prepare(struct os *os, struct oplog_ground *ground);
/* What no log has taken. */
void oplog_leave_ground(struct os *os, struct oplog_ground *ground);

/* Of the logs that there were in this process and directory: what comes after them goes on. */
struct oplog_past {
    uint64_t above; /* no position is as great as those of the log to be */
    uint64_t ticket, frame_number;
};
/* Makes a log as DIR/log-N, above all there was: in memory at first, its files by I/O threads.
 * first_segment, roll_bytes and synced_position of options are not looked at. 0: see
 * oplog_begin_step. Negative: nothing has changed. */
int oplog_begin(struct os *os, struct io *io, const struct oplog_options *options,
                const struct oplog_past *past, struct oplog_ground *ground,
                struct oplog **out_oplog);
/* 0: it is on the device, and may be appended to. 1: not yet; on_progress follows. Negative: that
 * has failed. */
int oplog_begin_step(struct oplog *oplog);
/* What a log that begins after this one has to know. */
void oplog_get_past(struct oplog *oplog, struct oplog_past *out_past);
/* Nothing is appended any more. 0: all of it is on the device, and oplog_close_idle may follow. 1:
 * not yet; to be called each turn, as is oplog_commit. Negative: oplog_error. */
int oplog_end_step(struct oplog *oplog);
/* It is of no use: what has not been written never will be. When it is idle it may be closed. */
void oplog_give_up(struct oplog *oplog);
bool oplog_is_idle(const struct oplog *oplog);
/* Closes one that is idle, by whichever thread; waits for the disk. 0 or why not. */
int oplog_close_idle(struct oplog *oplog);

/* Which log in the data directory there is now. */
uint64_t oplog_first_segment(const struct oplog *oplog);

struct oplog_info {
    uint64_t start, appended, synced; /* positions */
    uint64_t bytes, unsynced_bytes;   /* from start to appended; from synced to appended */
    uint64_t frame_count, sync_count, stall_count; /* since opening */
    uint64_t delayed_sync_count; /* a second was over, and the sync before was still running */
    uint64_t kept_bytes;         /* frames in memory for which there was no room */
    uint64_t reserve_bytes;      /* kept on the disk for what removes */
    uint64_t replaced_count;     /* since opening, oplog_replace_end */
    bool is_syncing, is_late;    /* late: writes wait for a sync that takes long */
    bool is_being_replaced;      /* from oplog_replace_begin to _end */
    int error, room_error;
};
void oplog_get_info(const struct oplog *oplog, struct oplog_info *out_info);
/* Memory held for what was appended and is not in the file yet. */
uint64_t oplog_memory_bytes(const struct oplog *oplog);
/* True: what is appended waits there; else it is stored in the file's pages at once. */
bool oplog_is_buffered(const struct oplog *oplog);
/* How many bytes of log lie between two positions. */
uint64_t oplog_distance(const struct oplog *oplog, uint64_t from, uint64_t to);
#endif
