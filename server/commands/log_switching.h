/* log_switching.h - CONFIG SET appendonly yes | no: the operation log begins or ends while the
 * server works.
 *
 *   yes   PREPARING ─▶ OPENING ─▶ SAVING ─▶ it counts
 *             ╰──────────┴───────────┴────────▶ LEAVING ─▶ CLOSING ─▶ off, and the reason is logged
 *   no    it counts ─▶ ENDING ─▶ CLOSING ─▶ off
 *
 * yes: another log is made beside the one that may be there from before (oplog_begin), above all
 * positions there were, and a checkpoint is made at a position of it; from the checkpoint's name on
 * a start goes on with both. Until that is complete the log is on **trial**: what writes do goes
 * there, and answers wait for it as they will later, but nothing is refused or closed because of
 * it. A failure ends the trial and leaves the server without a log, as it was.
 *
 * no: nothing is logged from a moment between two commands on, and the log is synced, for which
 * answers wait as before, and closed. A start replays it to its end; a checkpoint that is made
 * later is one at its end, so nothing of it is done to what is newer. A failure leaves it the log,
 * which has failed (log_replacing.h).
 *
 * The directive says what is wanted, and may change at each step. Loop thread only; no call but
 * log_switching_finish waits for the disk. */
#ifndef SERVER_COMMANDS_LOG_SWITCHING_H
#define SERVER_COMMANDS_LOG_SWITCHING_H
#include <stdbool.h>
#include <stdint.h>

#include "modules/io/io.h"
#include "server/durability/oplog.h"

struct config;
struct config_error;
struct server;

enum log_switching_step {
    LOG_SWITCHED,  /* as the directive says, or nothing can be done yet */
    LOG_PREPARING, /* leftovers go, room is kept, by an I/O thread */
    LOG_MAKING,    /* the log's files are made */
    LOG_ON_TRIAL,  /* the checkpoint is */
    LOG_ENDING,    /* nothing is logged any more; what was goes to the device */
    LOG_LEAVING,   /* a trial has ended; I/O threads still work for it */
    LOG_CLOSING,   /* an I/O thread closes the log */
};

struct log_switching {
    struct io_job job; /* first: it gets it */
    struct server *server;
    enum log_switching_step step;
    bool is_at_work; /* the job is under way */
    struct oplog_ground ground;
    struct oplog_past past;   /* of the logs that there were */
    struct oplog *oplog;      /* that is not the server's yet, or not any more */
    uint64_t checkpoint_turn; /* of the trial (checkpoint_request_for_log) */
    int error;                /* why the last attempt to begin one has failed, or 0 */
};

/* config_on_change of appendonly; context is the server. */
int log_switching_asked(void *context, const struct config *config, struct config_error *out_error);
/* At the end of a turn, before checkpoints. True: there is more to do at once. */
bool log_switching_turn(struct server *server);
/* True: there is a log, and what was answered is in it. */
bool log_switching_counts(const struct server *server);
/* True: the log begins or ends now, or will as soon as that is possible. */
bool log_switching_is_under_way(const struct server *server);
/* True: one begins, and does not count yet. */
bool log_switching_begins(const struct server *server);
/* Ends a trial with that error: nothing is logged from now on, and who waits for it goes on. */
void log_switching_give_up(struct server *server, int error);
/* In words, for INFO: "", waiting, preparing, making, saving, ending, closing. */
const char *log_switching_state(const struct server *server);
enum oplog_fsync log_switching_fsync(const struct config *config);
/* For the end of the process: waits until nothing is under way; a trial ends. */
void log_switching_finish(struct server *server);
#endif
