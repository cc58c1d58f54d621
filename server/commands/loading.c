#include "server/commands/loading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/clock.h"
#include "modules/base/log.h"
#include "modules/io/fiber.h"
#include "modules/io/io.h"
#include "modules/pool/chain.h"
#include "modules/pool/pool.h"
#include "modules/spill/store.h"
#include "modules/stream/checkpoint.h"
#include "modules/stream/stream.h"
#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/disk_limit.h"
#include "server/commands/effect.h"
#include "server/commands/replay_pops.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/commands/table.h"
#include "server/config/config.h"
#include "server/durability/checkpoint_load.h"
#include "server/durability/oplog.h"
#include "server/durability/replay.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"
#include "server/observe/memory.h"

enum {
    SLICE_US = 2000, /* of a turn, which has more to do */
    TICK_US = 500,
    FRAMES_BETWEEN_TICKS = 256,
    COMMANDS_BETWEEN_BREATHS = 64,
    LARGE_BYTES = 128 * 1024,     /* of a command that finds its room before it runs */
    REPLY_POOL_BYTES = 64 * 1024, /* of answers that nobody gets */
};

struct loading {
    struct server *server;
    struct checkpoint_load *load;         /* goes first; NULL when it is done */
    struct replay *replay;                /* NULL: there is no log */
    uint64_t checkpoint_number, position; /* 0: none */
    struct replay_pops pops; /* of which replay is through, and which have yet to be done */
    struct pool *pool;
    struct chain output;
    struct reply reply;
    int64_t started_at_ms;
    uint64_t frames_since_tick;
    char text[REPLAY_TEXT_BYTES]; /* why what was kept back could not be done */
    bool has_keys;                /* all of the checkpoint's; what they lead to is looked at */
    char streams_text[STREAM_LOOK_TEXT_BYTES]; /* which journal is not right */
    struct fiber *fiber; /* that replays; NULL: none does, or DEBUG LOADAOF in its call's */
    uint64_t slice_began_us, commands_since_breath;
    int64_t now_ms;    /* of the frame that is replayed */
    bool uses_reserve; /* of the store, as long as a command runs */
    bool is_abandoned, has_ended;
    int rc; /* with which it has ended */
};

/* ---- in slices --------------------------------------------------------------------------------
 */

static void let_clients_go_first(struct loading *loading)
{
    struct server *server = loading->server;

    if (loading->uses_reserve) spill_store_use_reserve(server->store, false);
    server->statistics->slices++;
    fiber_suspend(server->fibers);
    if (loading->uses_reserve) spill_store_use_reserve(server->store, true);
    keyspace_set_now(server->keyspace, loading->now_ms); /* clients have asked for theirs */
}

/* 0, or -ECANCELED: the server stops. */
static int breathe(struct loading *loading, uint64_t slice_us)
{
    struct server *server = loading->server;

    if (!loading->fiber || fiber_current(server->fibers) != loading->fiber) return 0;
    if (!loading->is_abandoned && clock_monotonic_us() - loading->slice_began_us >= slice_us)
        let_clients_go_first(loading);
    return loading->is_abandoned ? -ECANCELED : 0;
}

/* Between commands. */
static int breathe_now_and_then(struct loading *loading)
{
    if (++loading->commands_since_breath < COMMANDS_BETWEEN_BREATHS && !loading->is_abandoned)
        return 0;
    loading->commands_since_breath = 0;
    return breathe(loading, SLICE_US);
}

int loading_breathe(struct server *server)
{
    return breathe(server->loading, (uint64_t)server->config->slice_us);
}

bool loading_find_room(struct server *server, const struct stream *stream)
{
    bool is_coming;

    if (!server->loading) return false;
    is_coming = stream_store_free_room(server->streams, stream);
    if (!is_coming && server->oplog) is_coming = oplog_give_way(server->oplog);
    return is_coming && stream_store_wait(server->streams) == 0;
}

/* ---- one command ------------------------------------------------------------------------------
 */

static int refuse(char text[REPLAY_TEXT_BYTES], struct slice name, const char *why)
{
    (void)snprintf(text, REPLAY_TEXT_BYTES, "the command '%.*s' %s",
                   (int)(name.size < 64 ? name.size : 64), (const char *)name.bytes, why);
    return -EBADMSG;
}

/* Until lists are within their memory again, or eviction does not get on. */
static void evict(struct server *server)
{
    bool is_slow;

    do {
        (void)spill_store_tick(server->store, TICK_US);
        is_slow = spill_store_pressure(server->store) == SPILL_SLOW;
    } while (is_slow && io_wait(server->io) > 0 && loading_breathe(server) == 0);
}

/* Within a frame, too: it may be a transaction of a quarter of maxmemory. */
static void make_room(struct server *server, const struct call *call)
{
    uint64_t bytes = 0;

    if (!(call->command->flags & COMMAND_SPILLS)) return;
    for (uint32_t i = 0; i < call->argument_count; i++)
        bytes += call->arguments[i].size;
    memory_expect(server->memory, bytes >= LARGE_BYTES ? bytes : 0);
    if (spill_store_pressure(server->store) == SPILL_SLOW) evict(server);
}

static int run(struct loading *loading, struct call *call, char text[REPLAY_TEXT_BYTES])
{
    struct spill_store *store = loading->server->store;
    int rc;

    make_room(loading->server, call);

    call->reply->had_error = false;
    loading->uses_reserve = true;
    spill_store_use_reserve(store, true);
    rc = call->command->handler(call);
    spill_store_use_reserve(store, false);
    loading->uses_reserve = false;
    if (rc == -EPROTOTYPE) return refuse(text, call->arguments[0], "meets a value of another type");
    if (rc < 0) {
        const char *why =
            rc == -EBADMSG || rc == -EIO ? spill_store_last_error(store) : strerror(-rc);

        (void)snprintf(text, REPLAY_TEXT_BYTES, "the command '%s' failed: %s",
                       call->command->full_name, why);
        return rc;
    }
    if (!call->reply->had_error) return 0;
    return refuse(text, call->arguments[0], "answers an error, which it did not do before");
}

struct attempt {
    struct loading *loading;
    char *text;
};

static int run_kept(void *context, struct call *call)
{
    const struct attempt *attempt = context;

    return run(attempt->loading, call, attempt->text);
}

/* Pops of what call touches come before it; call NULL: all there are. */
static int settle(struct loading *loading, const struct call *call, char text[REPLAY_TEXT_BYTES])
{
    struct call pattern = { .server = loading->server,
                            .reply = &loading->reply,
                            .is_replay = true };
    struct attempt attempt = { loading, text };

    return replay_pops_settle(&loading->pops, call, &pattern, run_kept, &attempt);
}

static int apply(void *context, int64_t time_ms, unsigned database, struct slice *arguments,
                 uint32_t argument_count, char text[REPLAY_TEXT_BYTES])
{
    struct loading *loading = context;
    struct server *server = loading->server;
    struct call call = { .server = server,
                         .arguments = arguments,
                         .argument_count = argument_count,
                         .database = database,
                         .reply = &loading->reply,
                         .is_replay = true };
    int rc = breathe_now_and_then(loading);

    if (rc < 0) return rc;
    if (database >= keyspace_database_count(server->keyspace))
        return refuse(text, arguments[0], "is in a database that there is not (see databases)");
    call.command = command_of(server->table, arguments, argument_count);
    if (!call.command || !command_changes_at_once(call.command))
        return refuse(text, arguments[0], "is none that changes anything at once");
    if (!command_takes(call.command, argument_count))
        return refuse(text, arguments[0], "has a wrong number of arguments");
    loading->now_ms = time_ms;
    keyspace_set_now(server->keyspace, time_ms);
    if (replay_pops_keep(&loading->pops, &call)) return 0;
    rc = settle(loading, &call, text);
    if (rc < 0) return rc;
    return replay_pops_keep(&loading->pops, &call) ? 0 : run(loading, &call, text);
}

/* Lists are evicted as they grow. */
static void between_frames(void *context)
{
    struct loading *loading = context;
    struct server *server = loading->server;
    bool is_slow = spill_store_pressure(server->store) == SPILL_SLOW;

    if (++loading->frames_since_tick < FRAMES_BETWEEN_TICKS && !is_slow) return;
    loading->frames_since_tick = 0;
    evict(server);
    (void)io_poll(server->io);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static int make(struct loading *loading)
{
    struct replay_options options = {
        .position = loading->position, .apply = apply, .between = between_frames, .context = loading
    };
    int rc;

    if (!loading->server->oplog) return 0;
    rc = pool_create(REPLY_POOL_BYTES, &loading->pool);

    if (rc < 0) return rc;
    chain_init(&loading->output, loading->pool);
    loading->reply = (struct reply){ .chain = &loading->output, .protocol = 2, .is_muted = true };
    return replay_open(loading->server->os, loading->server->oplog, &options, &loading->replay);
}

static void destroy(struct loading *loading)
{
    checkpoint_load_close(loading->load);
    replay_close(loading->replay);
    if (loading->pool) chain_clear(&loading->output);
    pool_destroy(loading->pool);
    free(loading);
}

static void take_checkpoint(struct loading *loading)
{
    struct checkpointing *state = loading->server->checkpointing;

    if (!state->load) return;
    loading->load = state->load;
    state->load = NULL;
    loading->checkpoint_number = checkpoint_load_head(loading->load)->number;
    loading->position = checkpoint_load_head(loading->load)->log_position;
}

int loading_begin(struct server *server)
{
    struct loading *loading = calloc(1, sizeof(*loading));
    int rc = -ENOMEM;

    if (loading) {
        loading->server = server;
        loading->started_at_ms = clock_realtime_ms();
        take_checkpoint(loading);
        rc = make(loading);
    }
    if (rc < 0) {
        log_write(server->log, LOG_WARNING,
                  "The operation log cannot be read from position %llu on%s: %s",
                  (unsigned long long)(loading ? loading->position : 0),
                  loading && loading->load ? ", where the checkpoint ends" : "",
                  rc == -EPROTONOSUPPORT ? "it was made by another version" : strerror(-rc));
        if (loading) destroy(loading);
        return rc;
    }
    server->effects->oplog = NULL;
    server->loading = loading;
    return 0;
}

static void tell_of_replay(const struct loading *loading)
{
    int64_t took_ms = clock_realtime_ms() - loading->started_at_ms;
    struct replay_progress progress;

    if (!loading->replay) return;
    replay_get_progress(loading->replay, &progress);
    log_write(loading->server->log, LOG_NOTICE,
              "DB loaded from the operation log: %llu commands, %llu bytes, %lld.%03lld seconds",
              (unsigned long long)progress.command_count, (unsigned long long)progress.loaded_bytes,
              (long long)(took_ms / 1000), (long long)(took_ms % 1000));
}

static void tell_of_failure(const struct loading *loading)
{
    log_write(loading->server->log, LOG_WARNING,
              "The %s cannot be %s, and the server does not start on what is not complete: %s",
              loading->load ? "checkpoint" : "operation log", loading->load ? "loaded" : "replayed",
              loading->streams_text[0] ? loading->streams_text
              : loading->load          ? checkpoint_load_error(loading->load)
              : loading->text[0]       ? loading->text
                                       : replay_error(loading->replay));
}

/* appendonly is no, but there was a log: it ends here. A checkpoint made from now on goes on from
 * its end, so that nothing of it is done twice, should it be written again some day. */
static void let_go_of_log(struct server *server)
{
    int rc;

    server->checkpointing->log_end = oplog_position(server->oplog);
    rc = oplog_close(server->oplog);
    server->oplog = NULL;
    log_write(server->log, LOG_NOTICE,
              "The operation log was read, and is not written any more: appendonly is no%s%s",
              rc < 0 ? ". It could not be closed in order: " : "", rc < 0 ? strerror(-rc) : "");
}

static void end(struct server *server, int rc)
{
    struct loading *loading = server->loading;
    uint64_t position = loading->position;

    if (rc < 0)
        tell_of_failure(loading);
    else
        tell_of_replay(loading);
    destroy(loading);
    server->loading = NULL;
    keyspace_set_now(server->keyspace, loop_now_ms(server->loop));
    if (rc < 0) {
        server->has_failed = true;
        server->is_stopping = true;
        loop_stop(server->loop);
        return;
    }
    if (server->oplog && position > 0) oplog_trim(server->oplog, position);
    if (server->oplog && !server->config->appendonly) let_go_of_log(server);
    server->effects->oplog = server->oplog;
    disk_limit_loaded(server);
}

/* The checkpoint is loaded; the log goes on from it. */
static void end_checkpoint(struct loading *loading)
{
    int64_t took_ms = clock_realtime_ms() - loading->started_at_ms;
    struct checkpoint_load_progress progress;
    struct server *server = loading->server;

    checkpoint_load_get_progress(loading->load, &progress);
    log_write(server->log, LOG_NOTICE,
              "DB loaded from checkpoint %llu: %llu keys, %llu bytes, %lld.%03lld seconds",
              (unsigned long long)loading->checkpoint_number,
              (unsigned long long)progress.key_count, (unsigned long long)progress.total_bytes,
              (long long)(took_ms / 1000), (long long)(took_ms % 1000));
    server->checkpointing->loaded_key_count = progress.key_count;
    checkpoint_loaded(server->checkpointing->checkpoint, loading->checkpoint_number,
                      loading->position, progress.total_bytes);
    checkpoint_load_close(loading->load);
    loading->load = NULL;
}

/* As replay_step, for the log and then what was kept back of it. */
static int replay_log(struct loading *loading)
{
    int rc = loading->replay ? replay_step(loading->replay, UINT64_MAX) : 0;

    return rc == 0 ? settle(loading, NULL, loading->text) : rc;
}

/* As replay_step. There is nothing to do but wait for what looks. */
static int look_at_streams(struct loading *loading)
{
    struct server *server = loading->server;
    int rc = stream_checkpoint_look(server->streams, loading->streams_text);

    if (rc == 0) (void)io_wait(server->io);
    return rc < 0 ? rc : !rc;
}

/* As replay_step. */
static int load_checkpoint(struct loading *loading, uint64_t limit_us)
{
    struct server *server = loading->server;
    const struct checkpoint_target target = { server->keyspace, server->store, server->streams,
                                              server->stream_groups };
    int rc = loading->has_keys ? 0 : checkpoint_load_step(loading->load, &target, limit_us);

    if (rc != 0) return rc;
    loading->has_keys = true;
    rc = look_at_streams(loading);
    if (rc != 0) return rc;
    end_checkpoint(loading);
    stream_checkpoint_loaded(server->streams);
    return 0;
}

static void replay_in_fiber(void *argument)
{
    struct loading *loading = argument;

    loading->fiber = fiber_current(loading->server->fibers);
    loading->rc = replay_log(loading);
    loading->has_ended = true;
    loading->fiber = NULL;
}

/* The log for a slice, as replay_step. */
static int go_on_in_fiber(struct loading *loading)
{
    struct server *server = loading->server;
    int rc = 0;

    loading->slice_began_us = clock_monotonic_us();
    if (loading->fiber)
        fiber_resume(server->fibers, loading->fiber);
    else
        rc = fiber_start(server->fibers, replay_in_fiber, loading);
    if (rc < 0) (void)snprintf(loading->text, sizeof(loading->text), "%s", strerror(-rc));
    if (rc < 0 || loading->has_ended) return rc < 0 ? rc : loading->rc;
    (void)spill_store_tick(server->store, TICK_US); /* what a long command brings in has to go */
    return 1;
}

bool loading_step(struct server *server)
{
    struct loading *loading = server->loading;
    int rc;

    rc = loading->load ? load_checkpoint(loading, SLICE_US) : go_on_in_fiber(loading);
    if (rc == 1 || (rc == 0 && !loading->has_ended)) return true;
    end(server, rc);
    if (rc == 0 && !server->import_path)
        log_write(server->log, LOG_NOTICE, "Ready to accept connections");
    return false;
}

int loading_run(struct server *server)
{
    struct loading *loading = server->loading;
    int rc = 0;

    while (loading->load && rc >= 0)
        rc = load_checkpoint(loading, UINT64_MAX);
    if (rc >= 0) rc = replay_log(loading);
    end(server, rc);
    return rc;
}

void loading_abandon(struct server *server)
{
    struct loading *loading = server->loading;

    if (!loading) return;
    loading->is_abandoned = true; /* it ends at its next breath */
    while (loading->fiber)
        fiber_resume(server->fibers, loading->fiber);
    server->checkpointing->was_saved_at_end = true;
    destroy(loading);
    server->loading = NULL;
}

bool loading_get_info(const struct server *server, struct loading_info *out_info)
{
    const struct loading *loading = server->loading;
    struct checkpoint_load_progress load = { 0 };
    struct replay_progress replay = { 0 };

    if (!loading) return false;
    if (loading->load) checkpoint_load_get_progress(loading->load, &load);
    if (loading->replay) replay_get_progress(loading->replay, &replay);
    *out_info = (struct loading_info){ .started_at_ms = loading->started_at_ms,
                                       .total_bytes = load.total_bytes + replay.total_bytes,
                                       .loaded_bytes = load.loaded_bytes + replay.loaded_bytes,
                                       .command_count = replay.command_count };
    return true;
}
