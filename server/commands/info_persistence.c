#include "server/commands/info_persistence.h"

#include <errno.h>
#include <string.h>

#include "modules/base/clock.h"
#include "modules/spill/persist.h"
#include "modules/stream/stream.h"
#include "server/commands/backing_up.h"
#include "server/commands/checkpointing.h"
#include "server/commands/info_constant.h"
#include "server/commands/importing.h"
#include "server/commands/info_text.h"
#include "server/commands/loading.h"
#include "server/commands/log_replacing.h"
#include "server/commands/log_switching.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"
#include "server/net/net.h"

typedef unsigned long long ull;

const char *info_durability(const struct server *server)
{
    if (!log_switching_counts(server)) return "none, data does not survive the end of the process";
    switch (server->config->appendfsync) {
    case CONFIG_FSYNC_ALWAYS:
        return "log, synced before an answer leaves";
    case CONFIG_FSYNC_EVERYSEC:
        return "log, synced each second";
    default:
        return "log, synced by the kernel";
    }
}

static void loading_fields(struct server *server, struct info_text *text)
{
    struct loading_info loading;
    int64_t took_ms, eta_s = 1;
    double share;

    if (!loading_get_info(server, &loading)) return;
    took_ms = clock_realtime_ms() - loading.started_at_ms;
    share = loading.total_bytes ? (double)loading.loaded_bytes / (double)loading.total_bytes : 1;
    if (share > 0) eta_s = (int64_t)((double)took_ms * (1 / share - 1) / 1000);
    info_add(text,
             "loading_start_time:%lld\r\nloading_total_bytes:%llu\r\nloading_rdb_used_mem:0\r\n"
             "loading_loaded_bytes:%llu\r\nloading_loaded_perc:%.2f\r\n"
             "loading_eta_seconds:%lld\r\n",
             (long long)(loading.started_at_ms / 1000), (ull)loading.total_bytes,
             (ull)loading.loaded_bytes, share * 100, (long long)eta_s);
}

static void switching_fields(const struct server *server, struct info_text *text)
{
    int error = server->switching->error;

    info_add(text, "log_switch:%s\r\nlog_switch_last_error:%s\r\n", log_switching_state(server),
             error && error != -ECANCELED ? strerror(-error) : "");
}

/* Redis's fields for its append-only file, of the operation log; then what only ours has. */
static void log_fields(struct server *server, struct info_text *text)
{
    struct oplog_info info;
    struct net_info net;

    if (!server->oplog) return;
    oplog_get_info(server->oplog, &info);
    net_info(server->net, &net);
    info_add(text,
             "aof_current_size:%llu\r\naof_base_size:0\r\naof_pending_rewrite:0\r\n"
             "aof_buffer_length:%llu\r\naof_pending_bio_fsync:%d\r\naof_delayed_fsync:%llu\r\n",
             (ull)info.bytes, (ull)info.kept_bytes, info.is_syncing, (ull)info.delayed_sync_count);
    info_add(text,
             "log_position:%llu\r\nlog_synced_position:%llu\r\nlog_unsynced_bytes:%llu\r\n"
             "log_frames:%llu\r\nlog_syncs:%llu\r\nlog_stalls:%llu\r\nlog_reserve_bytes:%llu\r\n"
             "log_cut_bytes:%llu\r\nlog_clients_waiting:%llu\r\nlog_state:%s\r\n"
             "log_replaced:%llu\r\nlog_replace_attempts:%llu\r\nlog_last_error:%s\r\n",
             (ull)info.appended, (ull)info.synced, (ull)info.unsynced_bytes, (ull)info.frame_count,
             (ull)info.sync_count, (ull)info.stall_count, (ull)info.reserve_bytes,
             (ull)server->log_cut_bytes, (ull)net.held_clients, log_replacing_state(server),
             (ull)info.replaced_count, (ull)server->replacing->attempt_count,
             info.error        ? strerror(-info.error)
             : info.room_error ? strerror(-info.room_error)
                               : "");
}

static long long current_s(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    if (!checkpoint_is_in_progress(info, kind)) return -1;
    if (info->step == CHECKPOINT_IDLE || info->step == CHECKPOINT_WANTED) return 0;
    return (long long)((clock_monotonic_us() - info->began_us) / 1000000);
}

static long long took_s(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    return info->took_ms[kind] < 0 ? -1 : info->took_ms[kind] / 1000;
}

static const char *status(const struct checkpoint_info *info, enum checkpoint_kind kind)
{
    return info->has_failed[kind] ? "err" : "ok";
}

/* Redis's fields for its snapshots and rewritten logs, of checkpoints. */
static void save_fields(const struct server *server, const struct checkpoint_info *info,
                        struct info_text *text)
{
    bool is_saving = info->step >= CHECKPOINT_SAVING;

    info_add(text,
             "rdb_changes_since_last_save:%llu\r\nrdb_last_save_time:%lld\r\n"
             "rdb_bgsave_in_progress:%d\r\nrdb_last_bgsave_status:%s\r\n"
             "rdb_last_bgsave_time_sec:%lld\r\nrdb_current_bgsave_time_sec:%lld\r\n"
             "rdb_saves:%llu\r\nrdb_last_load_keys_loaded:%llu\r\n"
             "current_save_keys_processed:%llu\r\ncurrent_save_keys_total:%llu\r\n",
             (ull)(keyspace_change_count(server->keyspace) - info->changes),
             (long long)((info->completed_ms ? info->completed_ms : server->started_at_ms) / 1000),
             checkpoint_is_in_progress(info, CHECKPOINT_AS_SAVE), status(info, CHECKPOINT_AS_SAVE),
             took_s(info, CHECKPOINT_AS_SAVE), current_s(info, CHECKPOINT_AS_SAVE),
             (ull)info->complete_counts[CHECKPOINT_AS_SAVE],
             (ull)server->checkpointing->loaded_key_count, is_saving ? (ull)info->keys_saved : 0,
             is_saving ? (ull)info->keys_total : 0);
    info_add(text,
             "aof_rewrite_in_progress:%d\r\naof_rewrite_scheduled:%d\r\n"
             "aof_last_rewrite_time_sec:%lld\r\naof_current_rewrite_time_sec:%lld\r\n"
             "aof_last_bgrewrite_status:%s\r\naof_rewrites:%llu\r\n"
             "aof_rewrites_consecutive_failures:%llu\r\n",
             checkpoint_is_in_progress(info, CHECKPOINT_AS_REWRITE) || log_switching_begins(server),
             checkpoint_is_scheduled(info, CHECKPOINT_AS_REWRITE),
             took_s(info, CHECKPOINT_AS_REWRITE), current_s(info, CHECKPOINT_AS_REWRITE),
             status(info, CHECKPOINT_AS_REWRITE), (ull)info->complete_counts[CHECKPOINT_AS_REWRITE],
             (ull)info->failed_in_a_row);
}

static void checkpoint_fields(struct server *server, const struct checkpoint_info *info,
                              struct info_text *text)
{
    static const char *const steps[] = { "idle",    "wanted",   "saving",  "syncing",
                                         "writing", "cleaning", "aborting" };
    struct spill_persist_info store;
    struct stream_trouble streams;

    spill_persist_info(server->store, &store);
    stream_store_get_trouble(server->streams, &streams);
    info_add(text,
             "checkpoint_state:%s\r\ncheckpoint_number:%llu\r\ncheckpoint_position:%llu\r\n"
             "checkpoint_file_bytes:%llu\r\ncheckpoint_log_bytes:%llu\r\n"
             "checkpoint_written_bytes:%llu\r\ncheckpoint_memory:%llu\r\n"
             "checkpoint_lists_pending:%llu\r\ncheckpoint_lists_written_bytes:%llu\r\n"
             "checkpoint_deferred_bytes:%llu\r\ncheckpoint_reserved_bytes:%llu\r\n"
             "checkpoint_suspect_bytes:%llu\r\ncheckpoint_suspect_streams:%llu\r\n"
             "checkpoint_damaged_streams:%llu\r\ncheckpoint_mended_streams:%llu\r\n"
             "stream_rewrite_errors:%llu\r\n"
             "checkpoint_last_error:%s%s%s\r\n",
             steps[info->step], (ull)info->number, (ull)info->position, (ull)info->file_bytes,
             (ull)info->log_bytes, (ull)info->written_bytes, (ull)info->memory_bytes,
             (ull)store.pending_saves, (ull)store.saved_bytes, (ull)store.deferred_bytes,
             (ull)store.reserved_bytes, (ull)store.suspect_bytes, (ull)streams.suspect_count,
             (ull)streams.damaged_count, (ull)streams.mended_count,
             (ull)streams.rewrite_error_count, info->failed_step, info->error ? ": " : "",
             info->error ? strerror(-info->error) : "");
}

static bool is_writable(const struct server *server)
{
    return !log_switching_counts(server) ||
           (!oplog_error(server->oplog) && !oplog_room_error(server->oplog));
}

void info_persistence_section(struct server *server, struct info_text *text)
{
    struct checkpoint_info info;

    checkpoint_get_info(server->checkpointing->checkpoint, &info);
    info_add(text,
             "loading:%d\r\nasync_loading:0\r\n%saof_enabled:%d\r\naof_last_write_status:%s\r\n",
             server->loading != NULL, info_constant_persistence, log_switching_counts(server),
             is_writable(server) ? "ok" : "err");
    save_fields(server, &info, text);
    importing_info(server, text);
    switching_fields(server, text);
    log_fields(server, text);
    checkpoint_fields(server, &info, text);
    backing_up_info(server, text);
    loading_fields(server, text);
}
