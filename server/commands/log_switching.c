#include "server/commands/log_switching.h"

#include <errno.h>
#include <string.h>

#include "modules/base/log.h"
#include "modules/journal/format.h"
#include "server/commands/checkpointing.h"
#include "server/commands/effect.h"
#include "server/commands/log_replacing.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/log_directory.h"

enum oplog_fsync log_switching_fsync(const struct config *config)
{
    switch (config->appendfsync) {
    case CONFIG_FSYNC_ALWAYS:
        return OPLOG_FSYNC_ALWAYS;
    case CONFIG_FSYNC_NO:
        return OPLOG_FSYNC_NO;
    default:
        return OPLOG_FSYNC_EVERYSEC;
    }
}

static struct checkpoint_info checkpoint_now(const struct server *server)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return info;
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

static void job_done(struct io_job *job)
{
    ((struct log_switching *)(void *)job)->is_at_work = false;
}

static void submit(struct log_switching *state, void (*run)(struct io_job *, struct os *))
{
    state->job = (struct io_job){ .run = run, .done = job_done };
    state->is_at_work = true;
    io_submit(state->server->io, &state->job);
}

static void run_preparing(struct io_job *job, struct os *os)
{
    job->rc = oplog_prepare(os, &((struct log_switching *)(void *)job)->ground);
}

static void run_closing(struct io_job *job, struct os *os)
{
    struct log_switching *state = (struct log_switching *)(void *)job;

    job->rc = state->oplog ? oplog_close_idle(state->oplog) : 0;
    state->oplog = NULL;
    oplog_leave_ground(os, &state->ground);
}

/* The checkpoint that the log goes on from has its name: so does a start, mark or none. */
static void run_clearing(struct io_job *job, struct os *os)
{
    struct log_switching *state = (struct log_switching *)(void *)job;

    job->rc = log_directory_unmark(os, state->ground.directory);
    if (job->rc == 0)
        job->rc = log_directory_remove(os, state->ground.directory, 0, state->ground.remove_from);
}

static void clearing_done(struct io_job *job)
{
    struct log_switching *state = (struct log_switching *)(void *)job;

    job_done(job);
    if (job->rc < 0)
        log_write(state->server->log, LOG_WARNING,
                  "An operation log that does not count any more could not be removed: %s",
                  strerror(-job->rc));
}

/* ---- the server's log -------------------------------------------------------------------------
 */

static void take_log(struct server *server)
{
    struct log_switching *state = server->switching;

    server->oplog = state->oplog;
    state->oplog = NULL;
    oplog_set_fsync(server->oplog, log_switching_fsync(server->config));
    effect_begin_log(server, true);
}

static void close_log(struct log_switching *state)
{
    state->step = LOG_CLOSING;
    submit(state, run_closing);
}

/* Who waits for it waits for nothing that was promised. */
void log_switching_give_up(struct server *server, int error)
{
    struct log_switching *state = server->switching;

    if (state->step != LOG_ON_TRIAL) return;
    oplog_get_past(server->oplog, &state->past);
    oplog_give_up(server->oplog);
    effect_end_log(server);
    effect_release(server, state->past.ticket);
    state->oplog = server->oplog;
    server->oplog = NULL;
    if (checkpoint_now(server).begun_count >= state->checkpoint_turn)
        checkpoint_lose_log(server->checkpointing->checkpoint, error);
    state->error = error;
    state->step = LOG_LEAVING;
}

/* ---- yes --------------------------------------------------------------------------------------
 */

static void tell_failure(struct server *server)
{
    if (server->switching->error == -ECANCELED) return; /* it was asked for */
    server->config->appendonly = false;
    log_write(server->log, LOG_WARNING,
              "The operation log could not begin: %s. appendonly stays no",
              strerror(-server->switching->error));
}

static void fail(struct server *server, int error)
{
    struct log_switching *state = server->switching;

    if (state->step == LOG_ON_TRIAL) {
        log_switching_give_up(server, error);
    } else {
        state->error = error;
        state->step = LOG_LEAVING;
        if (state->oplog) oplog_give_up(state->oplog);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What no checkpoint goes on with is of earlier attempts. */
static void prepare(struct server *server)
{
    struct log_switching *state = server->switching;
    struct checkpoint_info info = checkpoint_now(server);
    uint64_t end = larger(info.position, server->checkpointing->log_end);

    state->past.above = larger(state->past.above, end);
    state->ground = (struct oplog_ground){ .directory = server->config->dir, .reserve_fd = -1 };
    state->ground.remove_from = info.has_strayed ? UINT64_MAX : journal_segment_of(end) + 1;
    state->error = 0;
    state->step = LOG_PREPARING;
    submit(state, run_preparing);
}

static bool make(struct server *server)
{
    struct log_switching *state = server->switching;
    struct oplog_options options = { .directory = server->config->dir,
                                     .fsync = log_switching_fsync(server->config),
                                     .on_progress = effect_log_moved,
                                     .context = server };
    int rc = state->job.rc;

    if (rc == 0 && !server->config->appendonly) rc = -ECANCELED;
    if (rc == 0)
        rc = oplog_begin(server->os, server->io, &options, &state->past, &state->ground,
                         &state->oplog);
    if (rc < 0)
        fail(server, rc);
    else
        state->step = LOG_MAKING;
    return true;
}

static bool begin_trial(struct server *server)
{
    struct log_switching *state = server->switching;
    int rc = server->config->appendonly ? oplog_begin_step(state->oplog) : -ECANCELED;

    if (rc > 0) return false;
    if (rc < 0) {
        fail(server, rc);
        return true;
    }
    take_log(server);
    state->step = LOG_ON_TRIAL;
    state->checkpoint_turn = checkpoint_request_for_log(server->checkpointing->checkpoint);
    return true;
}

static void succeed(struct server *server)
{
    struct log_switching *state = server->switching;

    state->step = LOG_SWITCHED;
    state->ground.remove_from = oplog_first_segment(server->oplog);
    state->job = (struct io_job){ .run = run_clearing, .done = clearing_done };
    state->is_at_work = true;
    io_submit(server->io, &state->job);
    effect_begin_log(server, false);
    log_write(server->log, LOG_NOTICE,
              "The operation log has begun, behind a checkpoint: appendonly is yes");
}

static bool end_trial(struct server *server)
{
    struct log_switching *state = server->switching;
    struct checkpoint_info info = checkpoint_now(server);

    if (!server->config->appendonly) {
        fail(server, -ECANCELED);
        return true;
    }
    if (info.ended_count < state->checkpoint_turn) return false;
    if (info.error == 0 && journal_segment_of(info.position) >= oplog_first_segment(server->oplog))
        succeed(server);
    else
        fail(server, info.error ? info.error : -EIO);
    return true;
}

/* ---- no ---------------------------------------------------------------------------------------
 */

/* A log that has failed ends when another one has taken its place: none of its positions is one
 * that a checkpoint could be made at. */
static bool may_end(const struct server *server)
{
    return !oplog_error(server->oplog) && server->replacing->step == LOG_SOUND &&
           oplog_is_settled(server->oplog);
}

static void begin_end(struct server *server)
{
    struct log_switching *state = server->switching;

    state->error = 0;
    oplog_get_past(server->oplog, &state->past);
    effect_end_log(server);
    state->step = LOG_ENDING;
}

/* It is not known what the device holds of it: another one takes its place. */
static void go_back(struct server *server)
{
    server->config->appendonly = true;
    server->switching->step = LOG_SWITCHED;
    effect_begin_log(server, false);
    log_write(server->log, LOG_WARNING,
              "The operation log could not be brought to its end: %s. appendonly stays yes",
              strerror(-oplog_error(server->oplog)));
}

static bool end_log(struct server *server)
{
    struct log_switching *state = server->switching;
    int rc = oplog_end_step(server->oplog);

    effect_release(server, oplog_released(server->oplog));
    if (rc > 0) return false;
    if (rc < 0) {
        go_back(server);
        return true;
    }
    oplog_get_past(server->oplog, &state->past);
    effect_release(server, state->past.ticket);
    server->checkpointing->log_end = state->past.above;
    state->oplog = server->oplog;
    server->oplog = NULL;
    close_log(state);
    return true;
}

/* ---- both -------------------------------------------------------------------------------------
 */

/* The checkpoint of a trial that was given up may have its name all the same, and then a start goes
 * on with the log of that trial: before it is known that must not be taken for a leftover. */
static bool may_prepare(const struct server *server)
{
    return checkpoint_now(server).step <= CHECKPOINT_WANTED;
}

static bool begin(struct server *server)
{
    if (!log_switching_is_under_way(server) || server->loading || server->switching->is_at_work)
        return false;
    if (!server->oplog && may_prepare(server))
        prepare(server);
    else if (server->oplog && may_end(server))
        begin_end(server);
    else
        return false;
    return true;
}

static bool leave(struct server *server)
{
    struct log_switching *state = server->switching;

    if (state->oplog && !oplog_is_idle(state->oplog)) return false;
    close_log(state);
    return true;
}

static bool end_closing(struct server *server)
{
    struct log_switching *state = server->switching;

    state->step = LOG_SWITCHED;
    if (state->error)
        tell_failure(server);
    else
        log_write(
            server->log, LOG_NOTICE,
            "The operation log has ended: appendonly is no. It has what was done until then%s%s",
            state->job.rc < 0 ? ", and could not be closed in order: " : "",
            state->job.rc < 0 ? strerror(-state->job.rc) : "");
    return true;
}

bool log_switching_turn(struct server *server)
{
    struct log_switching *state = server->switching;

    if (server->is_stopping) return false;
    switch (state->step) {
    case LOG_SWITCHED:
        return begin(server);
    case LOG_PREPARING:
        return !state->is_at_work && make(server);
    case LOG_MAKING:
        return begin_trial(server);
    case LOG_ON_TRIAL:
        return end_trial(server);
    case LOG_ENDING:
        return end_log(server);
    case LOG_LEAVING:
        return leave(server);
    case LOG_CLOSING:
        return !state->is_at_work && end_closing(server);
    }
    return false;
}

int log_switching_asked(void *context, const struct config *config, struct config_error *out_error)
{
    const struct server *server = context;

    if (server->loading)
        return config_refuse(out_error, "the data is being loaded: try again when that is done");
    if (!config->appendonly && server->effects->oplog && !server->effects->is_trial &&
        oplog_error(server->effects->oplog))
        return config_refuse(out_error, "the operation log has failed, and can only end when "
                                        "another one has taken its place (INFO: log_state)");
    return 0;
}

void log_switching_finish(struct server *server)
{
    struct log_switching *state = server->switching;

    if (!state->server) return; /* the house is half-made */
    if (state->step == LOG_ON_TRIAL) {
        checkpoint_lose_log(server->checkpointing->checkpoint, -ECANCELED);
        state->oplog = server->oplog;
        server->oplog = NULL;
    }
    while (state->is_at_work)
        (void)io_wait(server->io);
    if (state->oplog) {
        oplog_give_up(state->oplog);
        while (!oplog_is_idle(state->oplog))
            (void)io_wait(server->io);
        (void)oplog_close_idle(state->oplog);
        state->oplog = NULL;
    }
    oplog_leave_ground(server->os, &state->ground);
}

/* ---- telling ----------------------------------------------------------------------------------
 */

bool log_switching_counts(const struct server *server)
{
    return server->oplog && server->switching->step != LOG_ON_TRIAL &&
           server->switching->step != LOG_ENDING;
}

bool log_switching_is_under_way(const struct server *server)
{
    return server->switching->step != LOG_SWITCHED ||
           server->config->appendonly != (server->oplog != NULL);
}

bool log_switching_begins(const struct server *server)
{
    return server->config->appendonly && !log_switching_counts(server);
}

const char *log_switching_state(const struct server *server)
{
    static const char *const words[] = { "waiting", "preparing", "making", "saving",
                                         "ending",  "closing",   "closing" };

    return log_switching_is_under_way(server) ? words[server->switching->step] : "";
}
