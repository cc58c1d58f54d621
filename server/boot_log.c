#include "server/boot_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/stream/checkpoint.h"
#include "server/commands/checkpointing.h"
#include "server/commands/effect.h"
#include "server/commands/loading.h"
#include "server/commands/log_switching.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/checkpoint.h"
#include "server/durability/checkpoint_load.h"
#include "server/durability/log_directory.h"
#include "server/durability/oplog.h"

static const char *reason(int rc, const struct journal_report *report)
{
    if (report->text[0]) return report->text;
    if (rc == -EPROTONOSUPPORT) return "it was made by another version";
    if (rc == -EWOULDBLOCK) return "another process writes it";
    if (rc == -EBADMSG) return "its meta is damaged or missing";
    return strerror(-rc);
}

static void tell(const struct server *server, const char *path, int rc,
                 const struct journal_report *report)
{
    if (rc == -EBADMSG)
        log_write(
            server->log, LOG_WARNING,
            "The operation log %s is damaged where it had been synced: %s. The server does "
            "not start on it; sluice-check tells what is in it, and can mend it or cut it there",
            path, reason(rc, report));
    else if (rc == -EUCLEAN)
        log_write(server->log, LOG_WARNING,
                  "The operation log %s ends in a torn tail: %s. The server does not start on it, "
                  "as aof-load-truncated is no: make a copy of it, look at it with sluice-check, "
                  "then cut it with sluice-check --repair, or set aof-load-truncated to yes and "
                  "start again",
                  path, reason(rc, report));
    else if (rc < 0)
        log_write(server->log, LOG_WARNING, "The operation log %s cannot be opened: %s", path,
                  reason(rc, report));
    else if (report->cut_bytes > 0 || report->dropped_segment_count > 0)
        log_write(server->log, LOG_WARNING,
                  "The operation log ended in a torn tail, which was cut: %llu bytes behind "
                  "position %llu, %llu segments",
                  (unsigned long long)report->cut_bytes, (unsigned long long)report->end,
                  (unsigned long long)report->dropped_segment_count);
}

/* The log had been synced so far when the checkpoint became complete. */
static uint64_t checkpoint_position(const struct server *server)
{
    const struct checkpoint_load *load = server->checkpointing->load;

    return load ? checkpoint_load_head(load)->log_position : 0;
}

/* The log is shortened at its front only by checkpoints: one that has none is whole. */
static int refuse_without_checkpoint(const struct server *server, const char *path, uint64_t start)
{
    enum { FIRST_SEGMENT = 1 };

    if (server->checkpointing->load || journal_segment_of(start) <= FIRST_SEGMENT) return 0;
    log_write(server->log, LOG_WARNING,
              "The operation log %s begins with segment %llu: the checkpoint that it goes on from "
              "is missing in %s. The server does not start without it",
              path, (unsigned long long)journal_segment_of(start), server->config->dir);
    return -ESTALE;
}

static int open_log(struct server *server, struct os *os, uint64_t first_segment, const char *path)
{
    struct oplog_options options = { .directory = server->config->dir,
                                     .first_segment = first_segment,
                                     .fsync = log_switching_fsync(server->config),
                                     .roll_bytes =
                                         log_directory_roll_bytes(os, server->config->dir),
                                     .synced_position = checkpoint_position(server),
                                     .refuses_tail = !server->config->aof_load_truncated,
                                     .on_progress = effect_log_moved,
                                     .context = server };
    struct journal_report report;
    int rc = oplog_open(os, server->io, &options, &report, &server->oplog);

    tell(server, path, rc, &report);
    if (rc < 0) return rc;
    server->log_cut_bytes = report.cut_bytes;
    return refuse_without_checkpoint(server, path, report.start);
}

static void tell_of_search(const struct server *server, int rc)
{
    log_write(server->log, LOG_WARNING,
              "The operation log in %s cannot be used: %s. The server does not start without it",
              server->config->dir,
              rc == -ESTALE ? "the checkpoint that it goes on from is missing" : strerror(-rc));
}

/* A new one in its place would be without what was answered behind the checkpoint. */
static int refuse_without_log(const struct server *server)
{
    log_write(
        server->log, LOG_WARNING,
        "The operation log that the checkpoint goes on with is missing in %s. The server does "
        "not start without it, as what was answered behind the checkpoint would be lost; "
        "sluice-check tells more",
        server->config->dir);
    return -ESTALE;
}

/* Those before it were superseded by a checkpoint, which is on the device (boot_checkpoint_find);
 * those after it were begun when it had failed, or where none counted, and no checkpoint of their
 * time was completed. */
static void remove_others(const struct server *server, struct os *os, uint64_t first_segment)
{
    const char *dir = server->config->dir;
    int rc = log_directory_remove(os, dir, 0, first_segment);

    if (rc == 0) rc = log_directory_remove(os, dir, first_segment + 1, UINT64_MAX);
    if (rc == 0) rc = log_directory_unmark(os, dir);
    if (rc < 0)
        log_write(server->log, LOG_WARNING,
                  "An operation log in %s that does not count any more cannot be removed: %s", dir,
                  strerror(-rc));
}

/* What was answered while there was a log is not forgotten because appendonly is no by now: it is
 * replayed once more, and then the log is let go (loading.c). */
static int find_and_open(struct server *server, struct os *os)
{
    uint64_t first_segment = 0;
    int rc =
        log_directory_find(os, server->config->dir, checkpoint_position(server), &first_segment);
    char *path;

    if (rc < 0 && rc != -ENOENT) {
        tell_of_search(server, rc);
        return rc;
    }
    if (rc == -ENOENT && checkpoint_position(server) > 0) return refuse_without_log(server);
    remove_others(server, os, first_segment);
    if (rc == -ENOENT && !server->config->appendonly) return 0;
    path = log_directory_path(server->config->dir, first_segment);
    rc = path ? open_log(server, os, first_segment, path) : -ENOMEM;
    free(path);
    return rc;
}

int boot_log_open(struct server *server, struct os *os)
{
    int rc = find_and_open(server, os);

    if (rc == 0 && !server->checkpointing->load) stream_checkpoint_loaded(server->streams);
    if (rc == 0 && (server->oplog || server->checkpointing->load)) rc = loading_begin(server);
    return rc;
}

void boot_log_close(struct server *server)
{
    int rc = oplog_close(server->oplog);

    server->oplog = NULL;
    if (rc >= 0) return;
    server->has_failed = true;
    log_write(server->log, LOG_WARNING, "The end of the operation log could not be synced: %s",
              strerror(-rc));
}

/* ---- what it holds in memory ------------------------------------------------------------------
 */

uint64_t boot_log_bytes(void *context)
{
    const struct server *server = context;
    struct checkpoint_info info = { 0 };

    if (server->checkpointing->checkpoint)
        checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return info.memory_bytes + (server->oplog ? oplog_memory_bytes(server->oplog) : 0);
}

bool boot_log_is_buffered(void *context)
{
    const struct server *server = context;

    return server->oplog && oplog_is_buffered(server->oplog);
}

/* ---- changes while the server runs ----------------------------------------------------------- */

static int apply_fsync(void *context, const struct config *config, struct config_error *out_error)
{
    struct server *server = context;

    (void)out_error;
    if (!server->oplog) return 0;
    oplog_set_fsync(server->oplog, log_switching_fsync(config));
    effect_log_moved(server); /* whom it makes wait, and whom not */
    return 0;
}

int boot_log_listen_for_changes(struct server *server)
{
    int rc = config_on_change(server->config, "appendfsync", apply_fsync, server);

    return rc < 0 ? rc
                  : config_on_change(server->config, "appendonly", log_switching_asked, server);
}
