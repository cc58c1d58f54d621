#include "server/commands/info_persistence.h"

#include <string.h>

#include "modules/base/clock.h"
#include "server/commands/info_constant.h"
#include "server/commands/importing.h"
#include "server/commands/info_text.h"
#include "server/commands/loading.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"
#include "server/net/net.h"

typedef unsigned long long ull;

const char *info_durability(const struct server *server)
{
    if (!server->oplog) return "none, data does not survive the end of the process";
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
             "log_cut_bytes:%llu\r\nlog_clients_waiting:%llu\r\nlog_last_error:%s\r\n",
             (ull)info.appended, (ull)info.synced, (ull)info.unsynced_bytes, (ull)info.frame_count,
             (ull)info.sync_count, (ull)info.stall_count, (ull)info.reserve_bytes,
             (ull)server->log_cut_bytes, (ull)net.held_clients,
             info.error        ? strerror(-info.error)
             : info.room_error ? strerror(-info.room_error)
                               : "");
}

static bool is_writable(const struct server *server)
{
    return !server->oplog || (!oplog_error(server->oplog) && !oplog_room_error(server->oplog));
}

void info_persistence_section(struct server *server, struct info_text *text)
{
    info_add(text,
             "loading:%d\r\nasync_loading:0\r\nrdb_changes_since_last_save:%llu\r\n"
             "rdb_last_save_time:%lld\r\n%saof_enabled:%d\r\naof_last_write_status:%s\r\n",
             server->loading != NULL, (ull)keyspace_change_count(server->keyspace),
             (long long)(server->started_at_ms / 1000), info_constant_persistence,
             server->oplog != NULL, is_writable(server) ? "ok" : "err");
    importing_info(server, text);
    log_fields(server, text);
    loading_fields(server, text);
}
