#include "server/commands/importing.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "modules/base/log.h"
#include "server/commands/checkpointing.h"
#include "server/commands/info_text.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/table.h"
#include "server/config/config.h"
#include "server/config/limits.h"
#include "server/keyspace/keyspace.h"
#include "server/net/client.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include "server/transfer/import.h"

typedef unsigned long long ull;

struct importing {
    struct server *server;
    struct import *import;
    bool has_ended;
    bool is_forgotten; /* who waited has gone */
    bool is_at_start;
};

/* ---- beginning ---------------------------------------------------------------------------------
 */

static bool writes(const struct command *command)
{
    return (command->flags & COMMAND_WRITE) && !(command->flags & COMMAND_BLOCKING);
}

/* XGROUP: what stands in a file are those that write. */
static bool has_writing_child(const struct command *container)
{
    for (uint32_t i = 0; i < container->child_count; i++) {
        if (writes(container->children[i])) return true;
    }
    return false;
}

/* On the import's thread; the table does not change while the server runs. */
static bool is_run(void *context, struct slice name)
{
    struct server *server = context;
    const struct command *command = command_find(server->table, name);

    return command && (writes(command) || has_writing_child(command));
}

static bool is_empty(const struct server *server)
{
    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++) {
        if (keyspace_count(server->keyspace, i) > 0) return false;
    }
    return true;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The other end is a client like any other, but that it needs no password and is not closed for
 * what it holds. */
static int adopt(struct server *server, int fd)
{
    struct client *client;
    struct session *session;
    int rc = net_adopt(server->net, fd, "import:0", &client);

    if (rc < 0) return rc;
    session = client_session(client);
    session->is_authenticated = true;
    session->is_import = true;
    client_set_trusted(client, true);
    client_set_no_evict(client, true);
    client_set_idle_exempt(client, true);
    return 0;
}

static void end_at_start(struct importing *importing);

static void log_reason(void *context, const char *what, uint64_t count)
{
    const struct server *server = context;

    log_write(server->log, LOG_WARNING, "Import left out: %llu %s", (ull)count, what);
}

/* The client is told, too; but it may have gone, or there is none. */
static void log_skipped(struct server *server, const struct import_summary *summary)
{
    import_each_skipped(summary, log_reason, server);
    if (summary->error_count == 0) return;
    log_write(server->log, LOG_WARNING, "Import: %llu commands failed, the first: %s",
              (ull)summary->error_count, summary->first_error);
}

static void ended(void *context)
{
    struct importing *importing = context;
    struct server *server = importing->server;
    const struct import_summary *summary = import_get_summary(importing->import);

    loop_remove_readable(server->loop, import_event_fd(importing->import));
    importing->has_ended = true;
    log_write(
        server->log, summary->rc < 0 ? LOG_WARNING : LOG_NOTICE,
        "Import %s: %llu strings, %llu lists with %llu elements, %llu streams with %llu entries, "
        "%llu commands%s%s",
        summary->rc < 0 ? "failed" : "ended", (ull)summary->strings, (ull)summary->lists,
        (ull)summary->elements, (ull)summary->streams, (ull)summary->entries,
        (ull)summary->commands, summary->rc < 0 ? ": " : "", summary->error);
    log_skipped(server, summary);
    if (importing->is_at_start)
        end_at_start(importing);
    else if (importing->is_forgotten)
        importing_forget(server);
    else
        parking_wake(server);
}

static int create(struct importing *importing, const char *path, bool replaces)
{
    struct server *server = importing->server;
    uint64_t memory = limits_maxmemory(server->config, server->machine_memory_bytes);
    struct import_options options = {
        .path = path,
        .database_count = keyspace_database_count(server->keyspace),
        .value_bytes_max = smaller(server->config->proto_max_bulk_len_bytes, memory / 8),
        .command_bytes_max = smaller(server->config->client_query_buffer_limit_bytes, memory / 8),
        .replaces = replaces,
        .is_alone = importing->is_at_start,
        .is_empty = is_empty(server),
        .is_run = is_run,
        .context = server,
    };
    int fds[2], rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) return -errno;
    options.fd = fds[0];
    rc = import_create(server->os, &options, &importing->import);
    if (rc < 0) {
        (void)close(fds[1]);
        return rc;
    }
    rc = adopt(server, fds[1]); /* its client goes with the socket, when the import does */
    if (rc == 0)
        rc = loop_on_readable(server->loop, import_event_fd(importing->import), ended, importing);
    return rc;
}

static int begin(struct server *server, const char *path, bool replaces, bool is_at_start)
{
    struct importing *importing = calloc(1, sizeof(*importing));
    int rc;

    assert(!server->importing);
    if (!importing) return -ENOMEM;
    importing->server = server;
    importing->is_at_start = is_at_start;
    rc = create(importing, path, replaces);
    if (rc < 0) {
        import_destroy(importing->import);
        free(importing);
        return rc;
    }
    log_write(server->log, LOG_NOTICE, "Import of %s begins", path);
    server->importing = importing;
    return 0;
}

int importing_begin(struct server *server, const char *path, bool replaces)
{
    return begin(server, path, replaces, false);
}

/* ---- ending ------------------------------------------------------------------------------------
 */

bool importing_has_ended(const struct server *server)
{
    return server->importing->has_ended;
}

const struct import_summary *importing_summary(const struct server *server)
{
    assert(importing_has_ended(server));
    return import_get_summary(server->importing->import);
}

static void destroy(struct server *server)
{
    import_destroy(server->importing->import);
    free(server->importing);
    server->importing = NULL;
}

void importing_forget(struct server *server)
{
    struct importing *importing = server->importing;

    if (importing->has_ended) {
        destroy(server);
        return;
    }
    importing->is_forgotten = true;
    import_cancel(importing->import);
}

void importing_abandon(struct server *server)
{
    if (!server->importing) return;
    /* A part of it must not be what the next start, which imports again, finds. */
    if (server->importing->is_at_start) server->checkpointing->was_saved_at_end = true;
    if (!server->importing->has_ended)
        loop_remove_readable(server->loop, import_event_fd(server->importing->import));
    destroy(server);
}

/* ---- at the start ------------------------------------------------------------------------------
 */

static void fail_at_start(struct server *server)
{
    server->has_failed = true;
    server->is_stopping = true;
    loop_stop(server->loop);
}

void importing_at_start(struct server *server)
{
    const char *path = server->import_path;
    int rc;

    server->import_path = NULL;
    rc = begin(server, path, false, true);
    if (rc < 0) {
        log_write(server->log, LOG_WARNING, "The import of %s cannot begin: %s", path,
                  strerror(-rc));
        fail_at_start(server);
    }
}

static void end_at_start(struct importing *importing)
{
    struct server *server = importing->server;
    const struct import_summary *summary = import_get_summary(importing->import);
    int rc = summary->rc;

    destroy(server);
    if (rc < 0)
        fail_at_start(server);
    else
        log_write(server->log, LOG_NOTICE, "Ready to accept connections");
}

bool importing_is_at_start(const struct server *server)
{
    return server->import_path || (server->importing && server->importing->is_at_start);
}

/* ---- INFO --------------------------------------------------------------------------------------
 */

void importing_info(const struct server *server, struct info_text *text)
{
    static const char *const phases[] = { "checking", "sending", "ended" };
    struct import_progress progress = { 0 };

    info_add(text, "import_in_progress:%d\r\nexport_in_progress:%d\r\n", server->importing != NULL,
             server->is_exporting);
    if (!server->importing) return;
    import_get_progress(server->importing->import, &progress);
    info_add(text,
             "import_phase:%s\r\nimport_bytes:%llu\r\nimport_total_bytes:%llu\r\n"
             "import_keys:%llu\r\n",
             phases[progress.phase], (ull)progress.bytes, (ull)progress.total_bytes,
             (ull)progress.keys);
}
