/* sl_backup.c - SL.BACKUP directory: what there is now, in a directory that a server starts on.
 *
 *   the target is made and marked               one that will not do is refused at once
 *   a checkpoint is asked for, made, and held   it has all that was answered before the command
 *   its extents are pinned                      later checkpoints do not give their room back
 *   its files are opened                        let go: others may follow it
 *   they are copied, on I/O threads             others go on; INFO tells how far it is
 *   the copy is synced and named                +OK
 *
 * In a fiber. A client that goes takes its backup with it: nobody would know whether there is one.
 */
#include "server/commands/backing_up.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/clock.h"
#include "modules/base/log.h"
#include "modules/spill/persist.h"
#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/info_text.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/transfer.h"
#include "server/config/config.h"
#include "server/durability/backup.h"
#include "server/net/client.h"

static void backup_moved(void *context)
{
    struct server *server = context;

    if (server->parking) parking_wake(server);
}

/* Says in state->error what went wrong. */
static int fail(struct server *server, int rc, const char *step, const char *why)
{
    (void)snprintf(server->backing_up->error, BACKUP_ERROR_BYTES, "while %s: %s", step, why);
    return rc;
}

/* ---- the checkpoint ----------------------------------------------------------------------------
 */

/* Waits for one that is begun from now on, and keeps it the last one. */
static int make_checkpoint(struct server *server, struct checkpoint_info *out_info)
{
    struct checkpoint *checkpoint = server->checkpointing->checkpoint;
    uint64_t turn = checkpoint_request_held(checkpoint, CHECKPOINT_AS_SAVE);
    int rc;

    do {
        rc = parking_wait(server);
        if (rc < 0) return fail(server, rc, "making a checkpoint", "its client has gone");
        checkpoint_get_info(checkpoint, out_info);
    } while (out_info->ended_count < turn);
    if (out_info->error == 0) return 0;
    return fail(server, out_info->error, out_info->failed_step, strerror(-out_info->error));
}

/* ---- the copy ----------------------------------------------------------------------------------
 */

/* False: the server stops, and nothing is waited for any more. Whoever goes meanwhile, what was
 * begun comes to its end: of a failed one nothing stays. */
static bool wait_for_backup(struct call *call, struct backup *backup)
{
    if (parking_wait(call->server) == 0) return true;
    backup_cancel(backup, -ECANCELED);
    if (call->parked->must_finish) return false; /* backup_destroy waits */
    call->parked->must_finish = true;
    return true;
}

/* False: the target will not do, or nobody waits for it any more. */
static bool wait_until_ready(struct call *call, struct backup *backup)
{
    while (!backup_is_ready(backup) && !backup_has_ended(backup))
        if (!wait_for_backup(call, backup)) return false;
    return backup_is_ready(backup);
}

static void wait_for_end(struct call *call, struct backup *backup)
{
    while (!backup_has_ended(backup)) {
        if (backup_has_opened(backup)) checkpoint_let_go(call->server->checkpointing->checkpoint);
        if (!wait_for_backup(call, backup)) return;
    }
}

static int tell_end(struct server *server, struct backup *backup)
{
    struct backing_up *state = server->backing_up;
    struct backup_progress progress;

    backup_get_progress(backup, &progress);
    state->copied_bytes = progress.copied_bytes;
    state->cloned_bytes = progress.cloned_bytes;
    if (progress.error == 0) return 0;
    if (progress.is_left)
        log_write(server->log, LOG_WARNING,
                  "What is left of a failed backup could not be removed; no server starts on it");
    if (state->error[0]) return progress.error; /* it was told where it happened */
    if (progress.error == -ECANCELED) progress.why = "its client has gone";
    return fail(server, progress.error, progress.step, progress.why);
}

/* Of what is there now, to a target that is ready. */
static int begin_copy(struct call *call, struct backup *backup)
{
    struct server *server = call->server;
    struct checkpoint_info info;
    int rc = make_checkpoint(server, &info);

    if (rc < 0) return rc;
    rc = spill_checkpoint_pin(server->store);
    if (rc == 0) rc = backup_copy(backup, info.number);
    return rc < 0 ? fail(server, rc, "beginning", strerror(-rc)) : 0;
}

static int back_up(struct call *call, const char *path)
{
    struct server *server = call->server;
    struct backup_options options = { .io = server->io,
                                      .store = server->store,
                                      .streams = server->streams,
                                      .directory = server->config->dir,
                                      .target = path,
                                      .on_progress = backup_moved,
                                      .context = server };
    struct backing_up *state = server->backing_up;
    int rc = backup_create(&options, &state->backup);

    if (rc < 0) return fail(server, rc, "beginning", strerror(-rc));
    if (wait_until_ready(call, state->backup)) {
        rc = begin_copy(call, state->backup);
        if (rc < 0) backup_cancel(state->backup, rc);
    }
    wait_for_end(call, state->backup);
    rc = tell_end(server, state->backup);
    backup_destroy(state->backup);
    state->backup = NULL;
    spill_checkpoint_unpin(server->store); /* if it is */
    return rc;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static void end(struct server *server, int rc, const char *path)
{
    struct backing_up *state = server->backing_up;
    int64_t now_ms = clock_realtime_ms();

    state->is_running = false;
    state->has_failed = rc < 0;
    state->took_ms = now_ms - state->began_ms;
    if (rc < 0) {
        state->failed_count++;
        log_write(server->log, LOG_WARNING, "Backup to %s failed %s", path, state->error);
        return;
    }
    state->complete_count++;
    state->completed_ms = now_ms;
    log_write(server->log, LOG_NOTICE,
              "Backup to %s is complete: %llu bytes, of which %llu are shared with the original, "
              "after %lld ms",
              path, (unsigned long long)state->copied_bytes,
              (unsigned long long)state->cloned_bytes, (long long)state->took_ms);
}

/* Its client is waited for as one that is blocked, whose end of input is its end. */
static void note_wait(const struct call *call, bool waits)
{
    if (call->session)
        client_set_idle_exempt(call->session->client, waits || call->session->is_monitor);
}

static int run(struct call *call, const char *path)
{
    struct server *server = call->server;
    struct backing_up *state = server->backing_up;
    int rc;

    state->is_running = true;
    state->began_ms = clock_realtime_ms();
    state->error[0] = '\0';
    log_write(server->log, LOG_NOTICE, "Backup to %s begins", path);
    note_wait(call, true);
    rc = back_up(call, path);
    note_wait(call, false);
    checkpoint_let_go(server->checkpointing->checkpoint);
    end(server, rc, path);
    return rc;
}

/* SL.BACKUP directory */
int sl_backup(struct call *call)
{
    struct server *server = call->server;
    char *path;

    if (!transfer_is_allowed(call)) return 0;
    if (!parking_can_suspend(server->parking)) return -EAGAIN;
    if (server->backing_up->is_running)
        return call_error(call, "ERR A backup is in progress already");
    path = transfer_path(call, 1);
    if (!path) return 0;
    if (run(call, path) == 0)
        reply_ok(call->reply);
    else
        (void)call_errorf(call, "ERR Backup failed %s", server->backing_up->error);
    free(path);
    return 0;
}

/* ---- telling -----------------------------------------------------------------------------------
 */

void backing_up_info(const struct server *server, struct info_text *text)
{
    const struct backing_up *state = server->backing_up;
    struct backup_progress progress = { .total_bytes = 0 };

    if (state->backup) backup_get_progress(state->backup, &progress);
    info_add(
        text,
        "backup_in_progress:%d\r\nbackup_copied_bytes:%llu\r\nbackup_total_bytes:%llu\r\n"
        "backups:%llu\r\nbackups_failed:%llu\r\nbackup_last_status:%s\r\nbackup_last_error:%s\r\n"
        "backup_last_time_sec:%lld\r\nbackup_last_completed:%lld\r\n",
        state->is_running, (unsigned long long)progress.copied_bytes,
        (unsigned long long)progress.total_bytes, (unsigned long long)state->complete_count,
        (unsigned long long)state->failed_count, state->has_failed ? "err" : "ok",
        state->has_failed ? state->error : "",
        state->took_ms < 0 ? -1 : (long long)(state->took_ms / 1000),
        (long long)(state->completed_ms / 1000));
}
