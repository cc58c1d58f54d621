#include "server/transfer/import.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "modules/rdb/input.h"
#include "server/transfer/import_internal.h"

/* ---- the thread --------------------------------------------------------------------------------
 */

static int tell_progress(void *context, uint64_t bytes)
{
    struct import *import = context;

    atomic_store_explicit(&import->bytes, bytes, memory_order_relaxed);
    return atomic_load_explicit(&import->is_canceled, memory_order_relaxed) ? -ECANCELED : 0;
}

static void begin_phase(struct import *import, enum import_phase phase, uint64_t total_bytes)
{
    atomic_store(&import->bytes, 0);
    atomic_store(&import->total_bytes, total_bytes);
    atomic_store(&import->phase, phase);
}

static int refuse(struct import *import, int rc, const char *text)
{
    (void)snprintf(import->summary.error, sizeof(import->summary.error), "%s", text);
    return rc;
}

static int check(struct import *import)
{
    int rc = rdb_source_find(import->source.os, import->options.path, &import->source);

    begin_phase(import, IMPORT_CHECKING, 0);
    import->source.pending_bytes_max = import->options.command_bytes_max;
    if (rc == 0) rc = rdb_source_check(&import->source, tell_progress, import);
    if (rc < 0) return rc;
    import->summary.torn_bytes = import->source.torn_bytes;
    if (import->source.command_count > 0 && !import->options.is_empty && !import->options.replaces)
        return refuse(import, -EEXIST,
                      "the commands of an append-only file would change keys that are here "
                      "already: import it into an empty server, or with REPLACE");
    return 0;
}

/* What the server said, if it is why the import ended; else what the files are like. */
static void explain(struct import *import, int rc)
{
    const struct replies *replies = feed_replies(import->feed);
    struct import_summary *summary = &import->summary;

    if (summary->error[0] != '\0') return;
    if (rc == -EPERM && replies->refusal[0] != '\0')
        (void)snprintf(summary->error, sizeof(summary->error), "%s", replies->refusal);
    else if (rc == -EPIPE)
        (void)refuse(import, rc, "its connection was closed");
    else if (rc == -ECANCELED)
        (void)refuse(import, rc, "it was canceled");
    else if (import->source.error[0] != '\0')
        (void)snprintf(summary->error, sizeof(summary->error), "%s", import->source.error);
    else
        (void)refuse(import, rc, strerror(-rc));
}

static int send_all(struct import *import)
{
    const struct rdb_source_visitor visitor = {
        .rdb = { .key = import_key,
                 .part = import_part,
                 .value_end = import_value_end,
                 .other = import_other,
                 .stream = { .entry = import_entry,
                             .state = import_stream_state,
                             .group = import_group,
                             .consumer = import_consumer,
                             .pending = import_pending,
                             .producers = import_producers,
                             .produced = import_produced },
                 .name_bytes_max = import->options.value_bytes_max,
                 .pending_bytes_max = import->source.pending_bytes_max },
        .aof = { .command = import_command,
                 .long_command = import_long_command,
                 .command_bytes_max = import->options.command_bytes_max },
        .progress = tell_progress,
    };
    int rc;

    begin_phase(import, IMPORT_SENDING, import->source.size_bytes);
    rc = rdb_source_read(&import->source, &visitor, import);
    if (rc < 0) return rc;
    return import->has_commands ? import_end_overdue(import) : import_end_keys(import);
}

static void *run(void *argument)
{
    struct import *import = argument;
    struct import_summary *summary = &import->summary;
    int rc = check(import);

    if (rc == 0) rc = send_all(import);
    summary->rc = rc;
    summary->bytes = rc == 0 ? import->source.size_bytes : atomic_load(&import->bytes);
    summary->error_count = feed_replies(import->feed)->error_count;
    strcpy(summary->first_error, feed_replies(import->feed)->first_error);
    if (rc < 0) explain(import, rc);
    atomic_store(&import->phase, IMPORT_ENDED);
    (void)eventfd_write(import->event_fd, 1); /* an eventfd takes it */
    return NULL;
}

/* ---- the server's thread -----------------------------------------------------------------------
 */

/* Signals are the server's thread's. */
static int start_thread(struct import *import)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    rc = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc < 0) return rc;
    rc = -pthread_create(&import->thread, NULL, run, import);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* it was valid a moment ago */
    return rc;
}

int import_create(struct os *os, const struct import_options *options, struct import **out_import)
{
    struct import *import = calloc(1, sizeof(*import));
    int rc = -ENOMEM;

    if (!import) {
        (void)close(options->fd);
        return -ENOMEM;
    }
    import->options = *options;
    import->source.os = os;
    import->event_fd = -1;
    import->database = DATABASE_NONE;
    import_overdue_init(&import->overdue);
    rc = feed_create(options->fd, &import->feed);
    if (rc < 0) goto fail;
    rc = -ENOMEM;
    import->path = strdup(options->path);
    if (!import->path) goto fail;
    import->options.path = import->path;
    import->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = import->event_fd < 0 ? -errno : 0;
    if (rc == 0) rc = start_thread(import);
    if (rc < 0) goto fail;
    import->has_thread = true;
    *out_import = import;
    return 0;
fail:
    import_destroy(import);
    return rc;
}

void import_cancel(struct import *import)
{
    atomic_store(&import->is_canceled, true);
    feed_cancel(import->feed);
}

void import_destroy(struct import *import)
{
    if (!import) return;
    if (import->has_thread) {
        import_cancel(import);
        (void)pthread_join(import->thread, NULL);
    }
    feed_destroy(import->feed);
    import_overdue_finish(&import->overdue);
    free(import->entry.bytes);
    rdb_source_finish(&import->source);
    if (import->event_fd >= 0) (void)close(import->event_fd);
    free(import->path);
    free(import);
}

int import_event_fd(const struct import *import)
{
    return import->event_fd;
}

void import_get_progress(const struct import *import, struct import_progress *out_progress)
{
    out_progress->phase = (enum import_phase)atomic_load(&import->phase);
    out_progress->bytes = atomic_load(&import->bytes);
    out_progress->total_bytes = atomic_load(&import->total_bytes);
    out_progress->keys = atomic_load(&import->keys);
}

const struct import_summary *import_get_summary(const struct import *import)
{
    /* The load makes what the thread stored before visible. */
    assert(atomic_load(&import->phase) == IMPORT_ENDED);
    return &import->summary;
}
