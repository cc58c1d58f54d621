#include "server/commands/checkpointing.h"

#include <errno.h>

#include "modules/base/number.h"
#include "modules/spill/persist.h"
#include "modules/stream/stream.h"
#include "server/commands/effect.h"
#include "server/commands/log_replacing.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/checkpoint_load.h"
#include "server/durability/oplog.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"

enum {
    SLICE_US = 500,
    PATIENCE_US = 20000, /* for a moment without claims, before a lull is asked for; and for that */
    LULLS_MAX = 4,       /* asked for in vain: then one is waited for */
    SECOND_US = 1000000,
    RETRY_US = 5 * SECOND_US, /* after a failure, as Redis does */
    PAUSE_US = SECOND_US,     /* between two that rules ask for */
    OF_LATE_US = SECOND_US,   /* then clients were refused for want of room, as far as rules go */
    PAUSE_TIMES_TOOK = 4,     /* and so many times what the last one took */
    DEFERRED_SHARE = 4,       /* of what the spill file holds: kept only for the last checkpoint */
    DEFERRED_BYTES_MIN = 64 * 1024 * 1024,
    NEEDED_BYTES_MIN = 1024 * 1024,   /* less than that is not worth one of its own */
    PAUSE_WAITED_US = SECOND_US / 10, /* then, when calls wait for what it gives back */
    REPLAY_READ_BYTES_MAX =
        128 * 1024 * 1024,             /* read by commands: about half a second of a start */
    PAUSE_READING_US = SECOND_US / 4,  /* then, as a drain reads a gigabyte a second */
    ROOM_PATIENCE_US = 60 * SECOND_US, /* of a call between two steps */
    ROOM_FAILURES_MAX = 3, /* of checkpoints that it waits for, when nothing gives way to them */
    ROOM_TRIES_MAX = 8,    /* in a row, of one that is made again as something gives way to it */
};

/* ---- the log ----------------------------------------------------------------------------------
 */

static uint64_t log_position(void *context)
{
    const struct server *server = context;

    return server->oplog ? oplog_position(server->oplog) : server->checkpointing->log_end;
}

static int log_sync(void *context, uint64_t position)
{
    struct server *server = context;
    int rc = server->oplog ? oplog_journal_error(server->oplog) : 0;

    if (rc < 0) return rc;
    if (!server->oplog) return 1;
    if (oplog_synced_position(server->oplog) >= position) return 1;
    oplog_start_sync(server->oplog);
    return 0;
}

static void log_trim(void *context, uint64_t position)
{
    const struct server *server = context;

    if (server->oplog) oplog_trim(server->oplog, position);
}

static uint64_t log_distance(void *context, uint64_t position)
{
    const struct server *server = context;
    struct oplog_info info;

    if (!server->oplog) return 0;
    oplog_get_info(server->oplog, &info);
    return position ? oplog_distance(server->oplog, position, info.appended) : info.bytes;
}

struct checkpoint_log checkpointing_log(struct server *server)
{
    return (struct checkpoint_log){ .position = log_position,
                                    .sync = log_sync,
                                    .trim = log_trim,
                                    .distance = log_distance,
                                    .context = server };
}

/* ---- beginning --------------------------------------------------------------------------------
 */

static uint64_t fetched_bytes(const struct server *server)
{
    struct spill_store_info info;

    spill_store_info(server->store, &info);
    return info.fetched_bytes;
}

static void begin(struct server *server)
{
    struct checkpointing *state = server->checkpointing;

    state->fetched_bytes = fetched_bytes(server);
    state->wanted_since_us = 0;
    state->lulls = 0;
    state->must_keep_store = true;
    checkpoint_begin(state->checkpoint);
}

/* What is not in the log yet has no position: P would lie before it. */
static bool log_is_ready(const struct server *server)
{
    if (!server->oplog) return true;
    return !log_replacing_holds_checkpoints(server) && oplog_is_settled(server->oplog);
}

static void end_lull(struct server *server)
{
    struct checkpointing *state = server->checkpointing;

    if (!state->has_ticket) return;
    state->has_ticket = false;
    claims_release(server->claims, &state->ticket);
}

/* Who holds keys rests between two steps; who waits for keys has not begun. */
static bool nobody_is_half_way(const struct server *server)
{
    return claims_count(server->claims) - claims_waiting_count(server->claims) ==
           server->checkpointing->resting_count;
}

/* True: calls that queued behind our lull may go on. It is not granted while a call rests. */
static bool use_ticket(struct server *server)
{
    struct checkpointing *state = server->checkpointing;

    if (!state->has_ticket) return false;
    if (!state->ticket.is_granted && !nobody_is_half_way(server)) return false;
    if (checkpoint_wants_to_begin(state->checkpoint) && log_is_ready(server)) begin(server);
    end_lull(server);
    blocked_resume(server->blocked); /* who waits for a key that was signalled meanwhile */
    return true;
}

static void start_waiting(struct server *server)
{
    server->checkpointing->wanted_since_us = loop_now_us(server->loop);
    server->checkpointing->waited_for = claims_newest(server->claims);
}

/* A walk over a large list may hold its key for long: who is there is let go first, and nobody else
 * waits for that. Only then nobody more is let in, for a while; if one of those who came between is
 * as long, again. */
static void ask_for_lull(struct server *server)
{
    struct checkpointing *state = server->checkpointing;
    uint64_t waited_us = loop_now_us(server->loop) - state->wanted_since_us;

    if (waited_us < PATIENCE_US) return;
    if (!state->has_ticket) {
        /* Who rests does not go before there is one. */
        if (claims_has_older(server->claims, state->waited_for) && state->resting_count == 0)
            return;
        state->has_ticket = claims_request_lull(server->claims, &state->ticket) >= 0;
        state->wanted_since_us = loop_now_us(server->loop);
    } else if (state->lulls < LULLS_MAX) {
        state->lulls++;
        end_lull(server);
        start_waiting(server);
    }
}

static void try_to_begin(struct server *server)
{
    struct checkpointing *state = server->checkpointing;

    if (!checkpoint_wants_to_begin(state->checkpoint) || !log_is_ready(server)) return;
    if (nobody_is_half_way(server)) {
        begin(server);
        return;
    }
    if (state->wanted_since_us == 0) start_waiting(server);
    ask_for_lull(server);
}

bool checkpointing_waits_for_claims(const struct server *server)
{
    const struct checkpointing *state = server->checkpointing;

    return state->has_ticket && !state->ticket.is_granted;
}

/* ---- room for it ------------------------------------------------------------------------------
 */

/* A stream's journal that found no room has told nobody but its client. */
static bool was_refused_of_late(const struct server *server)
{
    const struct disk_log *refusals = &server->disk_log;

    if (!refusals->refused_us || refusals->refused_by == SPILL_DISK_AT_LIMIT) return false;
    return loop_now_us(server->loop) - refusals->refused_us < OF_LATE_US;
}

/* Something could not be written for want of room, and some of it is taken by what a checkpoint
 * makes superfluous: the log before it, and what only the older one refers to. */
static bool disk_is_full(const struct server *server, const struct checkpoint_info *info)
{
    struct spill_persist_info persist;

    if (!was_refused_of_late(server) && !oplog_room_error(server->oplog) &&
        spill_store_disk(server->store) == SPILL_DISK_HAS_ROOM)
        return false;
    spill_persist_info(server->store, &persist);
    return info->log_bytes > 0 || persist.deferred_bytes > 0;
}

static bool is_want_of_room(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

/* The log's reserve gives way to the next one. False: it failed for another reason, it would bring
 * nobody anything, or there is nothing left. A log on trial has none to give: that ends it. */
static bool give_way(const struct server *server, const struct checkpoint_info *info)
{
    if (!server->effects->oplog || server->effects->is_trial) return false;
    if (!is_want_of_room(info->error)) return false;
    if (server->checkpointing->resting_count == 0 && !disk_is_full(server, info)) return false;
    return oplog_give_way(server->oplog);
}

/* Who waits for the one that has failed waits for another one. */
static bool is_made_again(const struct server *server, const struct checkpoint_info *info)
{
    return server->checkpointing->has_given_way && info->failed_in_a_row <= ROOM_TRIES_MAX;
}

static void note_end(struct server *server, const struct checkpoint_info *info)
{
    struct checkpointing *state = server->checkpointing;

    state->ended_count = info->ended_count;
    state->ended_us = loop_now_us(server->loop);
    if (info->error == 0) state->completed_us = state->ended_us;
    state->has_given_way = give_way(server, info);
    if (info->error == 0 || info->has_failed[CHECKPOINT_AS_SAVE])
        effect_save_ended(server, info->error);
    parking_wake(server);
}

bool checkpointing_turn(struct server *server)
{
    struct checkpointing *state = server->checkpointing;
    struct checkpoint_info info;
    bool has_more = use_ticket(server);

    try_to_begin(server);
    if (checkpoint_step(state->checkpoint, SLICE_US)) has_more = true;
    checkpoint_get_info(state->checkpoint, &info);
    if (info.ended_count != state->ended_count) {
        note_end(server, &info);
        has_more = true;
    }
    return has_more;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

int checkpointing_run(struct server *server, enum checkpoint_kind kind)
{
    struct checkpoint *checkpoint = server->checkpointing->checkpoint;
    uint64_t turn = checkpoint_request(checkpoint, kind);
    struct checkpoint_info info;

    for (;;) {
        int rc = parking_wait(server);

        if (rc < 0) return rc;
        checkpoint_get_info(checkpoint, &info);
        if (info.ended_count >= turn) return info.error;
    }
}

static uint64_t deferred_bytes(const struct server *server)
{
    struct spill_persist_info persist;

    spill_persist_info(server->store, &persist);
    return persist.deferred_bytes;
}

/* The next one would fail as fast: giving way takes a moment. */
static int wait_a_moment(struct server *server)
{
    uint64_t end_us = loop_now_us(server->loop) + PAUSE_WAITED_US;
    int rc = 0;

    while (rc == 0 && loop_now_us(server->loop) < end_us)
        rc = parking_wait(server);
    return rc;
}

/* Until a checkpoint has brought it or, where none is needed, eviction. */
static int wait_for_room(struct server *server)
{
    uint64_t end_us = loop_now_us(server->loop) + ROOM_PATIENCE_US;
    unsigned failures = 0;

    do {
        int rc = deferred_bytes(server) > 0 ? checkpointing_run(server, CHECKPOINT_AS_REWRITE)
                                            : parking_wait(server);

        if (rc == -ECANCELED) return rc;
        if (rc == 0 && spill_store_may_rewrite(server->store)) return 0;
        if (rc == 0) continue;
        failures += !server->checkpointing->has_given_way;
        if (wait_a_moment(server) == -ECANCELED) return -ECANCELED;
    } while (failures < ROOM_FAILURES_MAX && loop_now_us(server->loop) < end_us);
    return -ENOSPC;
}

int checkpointing_rest(struct call *call)
{
    struct server *server = call->server;
    int rc;

    server->checkpointing->resting_count++;
    rc = wait_for_room(server);
    while (rc == 0 && (rc = effect_reserve_step(call)) == -EAGAIN)
        rc = parking_wait(server);
    server->checkpointing->resting_count--;
    return rc;
}

bool checkpointing_saves_at_end(const struct server *server)
{
    return !log_switching_counts(server) && server->config->save.count >= 2;
}

void checkpointing_finish(struct server *server)
{
    struct checkpointing *state = server->checkpointing;

    checkpoint_load_close(state->load);
    state->load = NULL;
    if (!state->checkpoint) return;
    end_lull(server);
    if (checkpointing_saves_at_end(server) && server->is_stopping && !server->has_failed &&
        !server->loading && !state->was_saved_at_end) {
        (void)checkpoint_request(state->checkpoint, CHECKPOINT_AS_SAVE);
        state->must_keep_store = true;
        if (checkpoint_wait(state->checkpoint) < 0) server->has_failed = true; /* and told */
    }
    checkpoint_destroy(state->checkpoint);
    state->checkpoint = NULL;
}

/* ---- rules ------------------------------------------------------------------------------------
 */

/* A pair of seconds and changes for each time that the data is to be saved: as Redis has it, and
 * after a failure not before some seconds have passed. */
static bool save_is_due(const struct config *config, uint64_t changes, uint64_t passed_us)
{
    for (size_t i = 0; i + 1 < config->save.count; i += 2) {
        int64_t seconds, least;

        if (!number_parse_int64(slice_of_string(config->save.words[i]), &seconds) ||
            !number_parse_int64(slice_of_string(config->save.words[i + 1]), &least))
            continue;
        if (changes >= (uint64_t)least && passed_us / SECOND_US > (uint64_t)seconds) return true;
    }
    return false;
}

/* What a start would have to replay, beside what it would have to load. */
static bool log_is_long(const struct config *config, const struct checkpoint_info *info)
{
    uint64_t percentage = (uint64_t)config->auto_aof_rewrite_percentage;

    if (percentage == 0 || info->log_bytes < (uint64_t)config->auto_aof_rewrite_min_size_bytes)
        return false;
    return info->log_bytes / percentage >= info->file_bytes / 100;
}

/* What is deferred is more than what is left of maxdisk: before anybody is refused. */
static bool is_needed_soon(const struct spill_store_info *store,
                           const struct spill_persist_info *persist)
{
    uint64_t taken = store->disk_used_bytes + persist->reserved_bytes;

    if (store->disk_max_bytes == 0 || persist->deferred_bytes < NEEDED_BYTES_MIN) return false;
    return taken + persist->deferred_bytes > store->disk_max_bytes;
}

/* Segments that were trimmed, and streams that were deleted: likewise, or somebody was refused. */
static bool streams_need_it(const struct server *server)
{
    struct stream_disk disk;

    stream_store_get_disk(server->streams, &disk);
    if (disk.deferred_bytes == 0 || spill_checkpoint_is_pinned(server->store)) return false;
    if (disk.is_at_limit) return true;
    return disk.deferred_bytes >= NEEDED_BYTES_MIN &&
           disk.used_bytes + disk.deferred_bytes > disk.max_bytes;
}

/* Room on the disk that would be free if the last checkpoint were newer. */
static bool much_is_deferred(const struct server *server)
{
    struct spill_persist_info persist;
    struct spill_store_info store;

    if (streams_need_it(server)) return true;
    spill_persist_info(server->store, &persist);
    if (persist.deferred_bytes == 0) return false;
    if (spill_store_pressure(server->store) == SPILL_FULL) return true;
    if (spill_checkpoint_is_pinned(server->store)) return false; /* a backup keeps it */
    spill_store_info(server->store, &store);
    if (is_needed_soon(&store, &persist)) return true;
    return persist.deferred_bytes >= DEFERRED_BYTES_MIN &&
           persist.deferred_bytes >= store.disk_used_bytes / DEFERRED_SHARE;
}

uint64_t checkpointing_next_turn(const struct server *server)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return info.begun_count + 1;
}

bool checkpointing_has_ended(const struct server *server, uint64_t turn)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    return info.ended_count >= turn && !is_made_again(server, &info);
}

bool checkpointing_brings_room(const struct server *server)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    if (info.error && !is_made_again(server, &info)) return false;
    if (deferred_bytes(server) > 0 && !spill_checkpoint_is_pinned(server->store)) return true;
    return server->effects->oplog && info.log_bytes > 0 &&
           spill_store_disk(server->store) == SPILL_DISK_FULL;
}

bool checkpointing_is_out_of_room(const struct server *server)
{
    return spill_store_room(server->store) == SPILL_ROOM_NONE && deferred_bytes(server) > 0;
}

/* What commands have read from the disk, a start that replays them reads again, and it waits for
 * each piece: pops are short in the log. */
static bool much_was_read(const struct server *server)
{
    return server->effects->oplog &&
           fetched_bytes(server) - server->checkpointing->fetched_bytes >= REPLAY_READ_BYTES_MAX;
}

/* is_full: clients are refused until there is room, and it may have come back meanwhile. */
static bool may_ask_now(const struct server *server, const struct checkpoint_info *info,
                        bool is_full, uint64_t pause_us)
{
    const struct checkpointing *state = server->checkpointing;
    uint64_t passed_us = loop_now_us(server->loop) - state->ended_us;

    if (info->step != CHECKPOINT_IDLE) return false;
    if (state->ended_us == 0) return true;
    if (info->error && is_made_again(server, info)) return passed_us >= PAUSE_WAITED_US;
    if (info->error) return passed_us >= (is_full ? PAUSE_US : RETRY_US);
    return passed_us >= pause_us &&
           passed_us / PAUSE_TIMES_TOOK >= (uint64_t)info->took_ms[info->kind] * 1000;
}

static uint64_t pause_us(const struct server *server, bool was_read)
{
    if (spill_store_room(server->store) >= SPILL_ROOM_SHORT &&
        parking_count(server->parking, PARKED_THROTTLED) > 0)
        return PAUSE_WAITED_US;
    return was_read ? PAUSE_READING_US : PAUSE_US;
}

void checkpointing_look(struct server *server)
{
    struct checkpointing *state = server->checkpointing;
    uint64_t now_us = loop_now_us(server->loop);
    struct checkpoint_info info;
    bool is_full, was_read;

    if (state->completed_us == 0) state->completed_us = now_us;
    if (state->resting_count > 0) parking_wake(server); /* eviction tells nobody */
    if (server->loading) return;
    /* One is made with the log that takes its place. */
    if (server->effects->oplog && oplog_error(server->oplog)) return;
    checkpoint_get_info(state->checkpoint, &info);
    is_full = server->effects->oplog && disk_is_full(server, &info);
    was_read = much_was_read(server);
    if (!may_ask_now(server, &info, is_full, pause_us(server, was_read))) return;
    /* It would fail again: the disk was found to be full only since. */
    if (is_full && !state->has_given_way) state->has_given_way = give_way(server, &info);
    if (save_is_due(server->config, keyspace_change_count(server->keyspace) - info.changes,
                    now_us - state->completed_us))
        (void)checkpoint_request(state->checkpoint, CHECKPOINT_AS_SAVE);
    else if ((server->effects->oplog && log_is_long(server->config, &info)) || is_full ||
             was_read || much_is_deferred(server) || is_made_again(server, &info))
        (void)checkpoint_request(state->checkpoint, CHECKPOINT_AS_REWRITE);
}
