#include "server/commands/log_replacing.h"

#include <errno.h>
#include <string.h>

#include "modules/base/log.h"
#include "server/commands/checkpointing.h"
#include "server/commands/effect.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/log_directory.h"
#include "server/durability/oplog.h"
#include "server/net/loop.h"

enum {
    SECOND_US = 1000000,
    PAUSE_US_MAX = 60 * SECOND_US,
    PAUSE_US_FULL = 2 * SECOND_US, /* room on a disk comes back at any time */
};

static struct checkpoint_info checkpoint_now(const struct server *server)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return info;
}

/* ---- removing what does not count -------------------------------------------------------------
 */

static void run_removal(struct io_job *job, struct os *os)
{
    struct log_replacing *state = (struct log_replacing *)(void *)job;

    job->rc =
        log_directory_remove(os, state->server->config->dir, state->remove_from, state->remove_to);
}

static void removed(struct io_job *job)
{
    struct log_replacing *state = (struct log_replacing *)(void *)job;

    state->is_removing = false;
    if (job->rc < 0)
        log_write(state->server->log, LOG_WARNING,
                  "An operation log that does not count any more could not be removed: %s",
                  strerror(-job->rc));
}

static void start_removal(struct log_replacing *state, uint64_t from, uint64_t to)
{
    state->remove_from = from;
    state->remove_to = to;
    state->is_removing = true;
    state->removal = (struct io_job){ .run = run_removal, .done = removed };
    io_submit(state->server->io, &state->removal);
}

/* ---- an attempt, from its end to its beginning ------------------------------------------------
 */

static uint64_t next_pause_us(uint64_t pause_us, int rc)
{
    uint64_t max_us = rc == -ENOSPC || rc == -EDQUOT ? PAUSE_US_FULL : PAUSE_US_MAX;

    if (pause_us == 0) return SECOND_US;
    return 2 * pause_us < max_us ? 2 * pause_us : max_us;
}

static void log_attempt(struct server *server, int rc)
{
    struct log_replacing *state = server->replacing;

    if (state->failed_rc == rc && state->was_pause_us == state->pause_us) return; /* was said */
    state->failed_rc = rc;
    state->was_pause_us = state->pause_us;
    log_write(server->log, LOG_WARNING,
              "No other operation log could take the place of the failed one: %s. Tried again in "
              "%llu seconds, or when a checkpoint is asked for",
              strerror(-rc), (unsigned long long)(state->pause_us / SECOND_US));
}

static void attempt_failed(struct server *server, int rc)
{
    struct log_replacing *state = server->replacing;

    state->step = LOG_FAILED;
    state->has_attempt_failed = true;
    state->pause_us = next_pause_us(state->pause_us, rc);
    state->next_us = loop_now_us(server->loop) + state->pause_us;
    checkpoint_refuse(server->checkpointing->checkpoint, rc);
    log_attempt(server, rc);
    effect_log_moved(server); /* who waited for this attempt */
}

static void succeed(struct server *server)
{
    struct log_replacing *state = server->replacing;

    state->step = LOG_SOUND;
    state->has_attempt_failed = false;
    state->pause_us = state->was_pause_us = 0;
    state->failed_rc = 0;
    start_removal(state, 0, state->kept_segment);
    server->effects->failure_was_logged = false;
    effect_log_moved(server);
    log_write(server->log, LOG_NOTICE,
              "Another operation log has taken the place of the failed one, behind a checkpoint of "
              "what is in memory: writes are taken again");
}

static bool end_saving(struct server *server)
{
    struct log_replacing *state = server->replacing;
    struct checkpoint_info info = checkpoint_now(server);

    if (info.ended_count < state->checkpoint_turn) return false;
    if (info.error == 0) state->kept_segment = oplog_first_segment(server->oplog);
    if (info.error == 0 && oplog_replace_end(server->oplog, info.position))
        succeed(server);
    else
        attempt_failed(server, info.error ? info.error : oplog_error(server->oplog));
    return true;
}

static bool end_opening(struct server *server)
{
    struct checkpointing *checkpointing = server->checkpointing;
    struct log_replacing *state = server->replacing;
    int rc = oplog_replace_step(server->oplog);

    if (rc > 0) return false;
    if (rc < 0) {
        attempt_failed(server, rc);
        return true;
    }
    state->step = LOG_SAVING;
    state->checkpoint_turn = checkpoint_request_for_log(checkpointing->checkpoint);
    return true;
}

static bool end_clearing(struct server *server)
{
    struct log_replacing *state = server->replacing;
    int rc = state->removal.rc;

    if (state->is_removing) return false;
    if (rc == 0) rc = oplog_replace_begin(server->oplog);
    if (rc == -EAGAIN) return false;
    if (rc < 0)
        attempt_failed(server, rc);
    else
        state->step = LOG_OPENING;
    return true;
}

/* What earlier attempts made goes, unless a start may find a checkpoint that goes on with it. */
static void begin(struct server *server)
{
    struct log_replacing *state = server->replacing;
    struct checkpoint_info info = checkpoint_now(server);

    state->step = LOG_CLEARING;
    state->attempt_count++;
    state->removal.rc = 0;
    if (!info.has_strayed && oplog_first_segment(server->oplog) > state->kept_segment)
        start_removal(state, state->kept_segment + 1, oplog_first_segment(server->oplog));
}

static bool is_due(const struct server *server)
{
    return loop_now_us(server->loop) >= server->replacing->next_us ||
           checkpoint_wants_to_begin(server->checkpointing->checkpoint);
}

/* One that is under way would go on with the log that has failed. */
static bool try_to_begin(struct server *server)
{
    struct checkpoint *checkpoint = server->checkpointing->checkpoint;

    if (server->replacing->is_removing || !is_due(server)) return false;
    checkpoint_lose_log(checkpoint, oplog_error(server->oplog));
    if (checkpoint_now(server).step > CHECKPOINT_WANTED) return false;
    begin(server);
    return true;
}

bool log_replacing_turn(struct server *server)
{
    struct log_replacing *state = server->replacing;
    const struct effects *effects = server->effects;

    /* Who waits for the old one is told first. */
    if (!effects->oplog || !effects->failure_was_logged || server->is_stopping) return false;
    switch (state->step) {
    case LOG_SOUND:
        state->step = LOG_FAILED;
        state->next_us = 0;
        state->kept_segment = oplog_first_segment(server->oplog);
        return true;
    case LOG_FAILED:
        return try_to_begin(server);
    case LOG_CLEARING:
        return end_clearing(server);
    case LOG_OPENING:
        return end_opening(server);
    case LOG_SAVING:
        return end_saving(server);
    }
    return false;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

int64_t log_replacing_wait_us(const struct server *server)
{
    const struct log_replacing *state = server->replacing;
    uint64_t now_us = loop_now_us(server->loop);

    if (state->step != LOG_FAILED || !server->effects->oplog || state->is_removing) return -1;
    return state->next_us > now_us ? (int64_t)(state->next_us - now_us) : -1;
}

bool log_replacing_holds_checkpoints(const struct server *server)
{
    if (!server->effects->oplog || !oplog_error(server->oplog)) return false;
    return server->replacing->step != LOG_SAVING;
}

const char *log_replacing_state(const struct server *server)
{
    if (oplog_error(server->oplog))
        return server->replacing->step > LOG_FAILED ? "replacing" : "failed";
    return oplog_room_error(server->oplog) ? "full" : "ok";
}

void log_replacing_finish(struct server *server)
{
    while (server->replacing->is_removing)
        (void)io_wait(server->io);
}
