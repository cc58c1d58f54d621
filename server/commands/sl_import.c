/* sl_import.c - SL.IMPORT path [REPLACE]: the data of a Redis file, through ordinary commands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/importing.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/transfer.h"
#include "server/net/client.h"
#include "server/transfer/import.h"

/* ---- the summary -------------------------------------------------------------------------------
 */

struct field {
    const char *name;
    uint64_t count;
};

static void count_reason(void *context, const char *what, uint64_t count)
{
    (void)what;
    (void)count;
    ++*(uint32_t *)context;
}

static void reply_reason(void *context, const char *what, uint64_t count)
{
    reply_bulk_string(context, what);
    reply_integer(context, (int64_t)count);
}

/* What was left out, and why: only what there is. */
static void reply_skipped(struct reply *reply, const struct import_summary *summary)
{
    uint32_t count = 0;

    import_each_skipped(summary, count_reason, &count);
    reply_map(reply, count);
    import_each_skipped(summary, reply_reason, reply);
}

static void reply_summary(struct reply *reply, const struct import_summary *summary)
{
    const struct field taken[] = {
        { "strings", summary->strings },   { "lists", summary->lists },
        { "elements", summary->elements }, { "streams", summary->streams },
        { "entries", summary->entries },   { "groups", summary->groups },
        { "commands", summary->commands }, { "bytes", summary->bytes },
    };
    enum { COUNT = sizeof(taken) / sizeof(taken[0]) };

    reply_map(reply, COUNT + 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        reply_bulk_string(reply, taken[i].name);
        reply_integer(reply, (int64_t)taken[i].count);
    }
    reply_bulk_string(reply, "skipped");
    reply_skipped(reply, summary);
    reply_bulk_string(reply, "failed commands");
    reply_integer(reply, (int64_t)summary->error_count);
    reply_bulk_string(reply, "first failure");
    reply_bulk_string(reply, summary->first_error);
}

/* ---- SL.IMPORT ---------------------------------------------------------------------------------
 */

static int begin(struct call *call)
{
    char *path = transfer_path(call, 1);
    int rc;

    if (!path) return 1; /* answered */
    rc = importing_begin(call->server, path, call->argument_count == 3);
    free(path);
    return rc;
}

/* In a fiber, which stops until the thread has ended. A client that goes ends the import: so it is
 * waited for as one that is blocked, whose end of input is its end. */
static int wait_for_end(struct call *call)
{
    struct server *server = call->server;
    int rc = 0;

    client_set_idle_exempt(call->session->client, true);
    while (rc == 0 && !importing_has_ended(server))
        rc = parking_wait(server);
    if (rc == 0)
        client_set_idle_exempt(call->session->client, false);
    else
        importing_forget(server);
    return rc;
}

/* SL.IMPORT path [REPLACE] */
int sl_import(struct call *call)
{
    struct server *server = call->server;
    const struct import_summary *summary;
    int rc;

    if (call->argument_count > 3 ||
        (call->argument_count == 3 && !slice_is(call->arguments[2], "REPLACE")))
        return call_syntax_error(call);
    if (!transfer_is_allowed(call)) return 0;
    if (server->importing) return call_error(call, "ERR An import is in progress already");
    if (!call_can_suspend(call)) return -EAGAIN;
    rc = begin(call);
    if (rc == 0) rc = wait_for_end(call);
    if (rc != 0) return rc < 0 ? rc : 0;
    summary = importing_summary(server);
    if (summary->rc < 0)
        (void)call_errorf(
            call, "ERR Import failed after %llu keys and %llu commands: %s",
            (unsigned long long)(summary->strings + summary->lists + summary->streams),
            (unsigned long long)summary->commands, summary->error);
    else
        reply_summary(call->reply, summary);
    importing_forget(server);
    return 0;
}
