/* sl_export.c - SL.EXPORT path: all keys as a file of commands, for redis-cli --pipe.
 *
 *   a checkpoint's picture has ended     there is one at a time
 *   claims on everything are granted     nothing is half-way
 *   a picture is begun                   what is here now is what the file will hold; the claims
 *                                        are given back, others go on
 *   the picture's steps                  strings and small lists go to the file, of the other lists
 *                                        a snapshot is kept
 *   list after list                      from its snapshot
 *   the file is synced and named
 *
 * In a fiber, which gives way after each slice and waits for the file when it does not keep pace. A
 * client that goes does not end it before the picture's end, as nobody else would walk the rest of
 * it; after that it does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/log.h"
#include "server/commands/command.h"
#include "server/commands/exporting.h"
#include "server/commands/handlers.h"
#include "server/commands/parking.h"
#include "server/commands/parking_internal.h"
#include "server/commands/server.h"
#include "server/commands/transfer.h"
#include "server/keyspace/keyspace.h"
#include "server/transfer/export_file.h"

enum { PICTURE_STEPS = 8 }; /* between two looks at the clock */

static void file_moved(void *context)
{
    struct server *server = context;

    if (server->parking) parking_wake(server);
}

/* ---- the picture -------------------------------------------------------------------------------
 */

/* Not beyond a key with which the file has enough to write: those behind it may be as long. */
static bool step_picture(const struct exporting *exporting)
{
    struct keyspace *keyspace = exporting->server->keyspace;
    unsigned steps = 0;
    bool has_more;

    do {
        has_more = keyspace_picture_step(keyspace, 1);
    } while (has_more && ++steps < PICTURE_STEPS && !export_is_ahead(exporting));
    return has_more;
}

/* Whatever happens, the picture is walked to its end: else no other one could begin. */
static int take_picture(struct call *call, struct exporting *exporting)
{
    struct server *server = exporting->server;
    struct keyspace *keyspace = server->keyspace;
    int rc = 0;

    exporting->now_ms = keyspace_now(keyspace);
    call->parked->must_finish = true;
    keyspace_picture_begin(keyspace, export_save, exporting);
    parking_release_ticket(call->parked);
    while (step_picture(exporting)) {
        if (rc == 0) rc = export_wait(exporting);
        if (rc == 0) rc = exporting->error;
        if (rc < 0) keyspace_picture_abandon(keyspace);
        if (parking_breathe(server) == -ECANCELED) { /* the server stops */
            keyspace_picture_abandon(keyspace);
            return -ECANCELED;
        }
    }
    call->parked->must_finish = false;
    return rc == 0 ? exporting->error : rc;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static int end_file(struct exporting *exporting)
{
    int rc = 0;

    export_file_finish(exporting->file);
    while (rc == 0 && !export_file_has_ended(exporting->file))
        rc = parking_wait(exporting->server);
    return rc < 0 ? rc : export_file_error(exporting->file);
}

static int export_to(struct call *call, struct exporting *exporting, const char *path)
{
    struct server *server = exporting->server;
    int rc = export_file_create(server->io, path, file_moved, server, &exporting->file);

    if (rc == 0) rc = take_picture(call, exporting);
    if (rc == 0) {
        rc = export_lists(exporting);
        if (rc == 0) rc = export_streams(exporting);
        if (rc < 0 && export_file_error(exporting->file) == 0) exporting->list_error = rc;
    }
    if (rc == 0) rc = end_file(exporting);
    export_forget_lists(exporting);
    export_forget_streams(exporting);
    return rc;
}

/* Of a file that is not whole nothing stays; that waits for the disk, whoever has gone. */
static void discard_file(struct call *call, struct exporting *exporting, int error)
{
    struct export_file *file = exporting->file;
    int rc = 0;

    if (!file) return;
    call->parked->must_finish = true;
    export_file_discard(file, error);
    while (rc == 0 && !export_file_has_ended(file))
        rc = parking_wait(exporting->server);
}

static void answer(struct call *call, const struct exporting *exporting, int rc)
{
    const char *why = strerror(-rc);

    if (exporting->list_error < 0) { /* a list could not be read */
        call_engine_error(call, rc);
        return;
    }
    if (rc == -EEXIST) why = "there is such a file already, or one with .tmp behind its name";
    if (rc < 0) {
        (void)call_errorf(call, "ERR Export failed: %s", why);
        return;
    }
    reply_map(call->reply, 4);
    reply_bulk_string(call->reply, "keys");
    reply_integer(call->reply, (int64_t)exporting->keys);
    reply_bulk_string(call->reply, "elements");
    reply_integer(call->reply, (int64_t)exporting->elements);
    reply_bulk_string(call->reply, "entries");
    reply_integer(call->reply, (int64_t)exporting->entries);
    reply_bulk_string(call->reply, "bytes");
    reply_integer(call->reply, (int64_t)export_file_written_bytes(exporting->file));
}

static int run(struct call *call, const char *path)
{
    struct server *server = call->server;
    struct exporting exporting = { .server = server, .database = -1 };
    int rc;

    list_init(&exporting.lists);
    list_init(&exporting.streams);
    server->is_exporting = true;
    log_write(server->log, LOG_NOTICE, "Export to %s begins", path);
    rc = export_to(call, &exporting, path);
    if (rc < 0) discard_file(call, &exporting, rc);
    log_write(server->log, rc < 0 ? LOG_WARNING : LOG_NOTICE,
              "Export %s: %llu keys, %llu elements of lists, %llu entries of streams%s%s",
              rc < 0 ? "failed" : "ended", (unsigned long long)exporting.keys,
              (unsigned long long)exporting.elements, (unsigned long long)exporting.entries,
              rc < 0 ? ": " : "", rc < 0 ? strerror(-rc) : "");
    answer(call, &exporting, rc);
    export_file_destroy(exporting.file);
    server->is_exporting = false;
    return 0;
}

/* A checkpoint's picture: there can be one at a time. Others need not wait meanwhile, so the claims
 * are given back; afterwards the call takes them, and comes here, once more. */
static int wait_for_picture(struct call *call)
{
    struct server *server = call->server;
    int rc = 0;

    parking_release_ticket(call->parked);
    while (rc == 0 && keyspace_picture_is_running(server->keyspace))
        rc = parking_wait(server);
    return rc == 0 ? -EAGAIN : rc;
}

/* SL.EXPORT path */
int sl_export(struct call *call)
{
    char *path;
    int rc;

    if (!transfer_is_allowed(call)) return 0;
    if (!parking_can_suspend(call->server->parking)) return -EAGAIN;
    if (call->server->is_exporting) return call_error(call, "ERR An export is in progress already");
    if (keyspace_picture_is_running(call->server->keyspace)) return wait_for_picture(call);
    path = transfer_path(call, 1);
    if (!path) return 0;
    rc = run(call, path);
    free(path);
    return rc;
}
