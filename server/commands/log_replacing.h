/* log_replacing.h - writes come back after the log has failed, without a restart.
 *
 * A write or sync of the log that has failed is not tried again: what the device holds of it is
 * unknown. Another log is begun beside it (oplog_replace_begin) and a checkpoint made of what is in
 * memory; when that is complete the other log is the log, writes are taken again, and the failed
 * one is removed. That is tried at once, when somebody asks for a checkpoint (BGSAVE), and after a
 * pause that doubles from one second to a minute (to two seconds, when it was a full disk that
 * kept it from succeeding). Until then
 *
 *   writes    are refused (-MISCONF)
 *   reads     go on; with `always` memory holds what power loss might take back, so they wait for
 *             the first attempt, and are refused from its failure on
 *
 * Loop thread only. */
#ifndef SERVER_COMMANDS_LOG_REPLACING_H
#define SERVER_COMMANDS_LOG_REPLACING_H
#include <stdbool.h>
#include <stdint.h>

#include "modules/io/io.h"

struct server;

enum log_replacing_step {
    LOG_SOUND,    /* nothing is to be replaced */
    LOG_FAILED,   /* until the next attempt */
    LOG_CLEARING, /* what earlier attempts left is removed */
    LOG_OPENING,  /* the other log is being made */
    LOG_SAVING,   /* the checkpoint is */
};

struct log_replacing {
    struct io_job removal; /* first: its jobs get it */
    struct server *server;
    enum log_replacing_step step;
    uint64_t next_us, pause_us; /* when the next attempt begins; how long after the one before */
    uint64_t was_pause_us;      /* of the attempt that was logged last; 0: none was */
    int failed_rc;              /* and why it failed */
    uint64_t checkpoint_turn;   /* that of the attempt (checkpoint_request_for_log) */
    uint64_t kept_segment;      /* the log that a start goes on from meanwhile */
    uint64_t remove_from, remove_to; /* of the removal */
    bool is_removing;
    bool has_attempt_failed; /* since the log has */
    uint64_t attempt_count;  /* since the start */
};

/* At the end of a turn, before checkpoints. True: there is more to do at once. */
bool log_replacing_turn(struct server *server);
/* In how many microseconds a turn is needed although nothing happens; -1: never. */
int64_t log_replacing_wait_us(const struct server *server);
/* True: no checkpoint may begin now, as there is no log that could go on from it. */
bool log_replacing_holds_checkpoints(const struct server *server);
/* In words, for INFO: ok, full, failed, replacing. */
const char *log_replacing_state(const struct server *server);
/* For the end of the process: waits for the job. */
void log_replacing_finish(struct server *server);
#endif
