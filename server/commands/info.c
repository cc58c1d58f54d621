/* info.c - INFO: sections and fields as Redis names them, and a section of our own, spill. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "modules/base/clock.h"
#include "modules/spill/store.h"
#include "server/commands/command.h"
#include "server/commands/disk_limit.h"
#include "server/commands/handlers.h"
#include "server/commands/info_constant.h"
#include "server/commands/info_memory.h"
#include "server/commands/info_persistence.h"
#include "server/commands/info_text.h"
#include "server/commands/parking.h"
#include "server/commands/part_counters.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/commands/stream_viewing.h"
#include "server/commands/table.h"
#include "server/config/config.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/claims.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include "server/observe/info_version.h"

typedef unsigned long long ull;

enum { LRU_CLOCK_MASK = 0xffffff }; /* Redis keeps 24 bits of a key's last access */

/* ---- the text
 * ------------------------------------------------------------------------------------ */

void info_add(struct info_text *text, const char *format, ...)
{
    va_list list;
    int size;

    for (;;) {
        size_t room = text->capacity - text->size;
        size_t capacity;
        char *grown;

        va_start(list, format);
        size = vsnprintf(text->bytes ? text->bytes + text->size : NULL, room, format, list);
        va_end(list);
        if (size < 0 || text->is_out_of_memory) return;
        if ((size_t)size < room) break;
        capacity = text->capacity * 2 + (size_t)size + 1;
        grown = realloc(text->bytes, capacity);
        if (!grown) {
            text->is_out_of_memory = true;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    text->size += (size_t)size;
}

void info_human(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    int unit = 0;

    while (value >= 1024 && unit < 5) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(text, size, "%lluB", (ull)bytes);
    else
        (void)snprintf(text, size, "%.2f%c", value, units[unit]);
}

/* ---- sections
 * ---------------------------------------------------------------------------------------- */

static void server_section(struct server *server, struct info_text *text)
{
    struct utsname name;
    uint64_t up_s = (clock_monotonic_us() - server->started_us) / 1000000;
    const char *file = config_file(server->config);

    (void)uname(&name);
    info_add(
        text,
        "redis_version:%s\r\nsluice_version:%s\r\nredis_git_sha1:00000000\r\n"
        "redis_git_dirty:0\r\nredis_build_id:0\r\nredis_mode:standalone\r\nos:%s %s %s\r\n"
        "arch_bits:%d\r\nmonotonic_clock:%s\r\nmultiplexing_api:epoll\r\n"
        "atomicvar_api:c11-builtin\r\ngcc_version:%d.%d.%d\r\nprocess_id:%ld\r\nprocess_supervised:"
        "no\r\nrun_id:%s\r\n"
        "tcp_port:%u\r\nserver_time_usec:%lld\r\nuptime_in_seconds:%lld\r\n"
        "uptime_in_days:%lld\r\nhz:10\r\nconfigured_hz:%lld\r\nlru_clock:%lld\r\nexecutable:%s\r\n"
        "config_file:%s\r\nio_threads_active:0\r\ndurability:%s\r\n",
        REDIS_VERSION, SLUICE_VERSION, name.sysname, name.release, name.machine,
        (int)sizeof(void *) * 8, server->statistics->ticks.is_counter ? "TSC" : "POSIX", __GNUC__,
        __GNUC_MINOR__, __GNUC_PATCHLEVEL__, (long)getpid(), server->run_id,
        net_tcp_port(server->net), (long long)clock_realtime_us(), (long long)up_s,
        (long long)(up_s / 86400), (long long)server->config->hz,
        (long long)((clock_realtime_ms() / 1000) & LRU_CLOCK_MASK), server->executable,
        file ? file : "", info_durability(server));
}

static void clients_section(struct server *server, struct info_text *text)
{
    struct net_info net;
    uint64_t blocked =
        blocked_waiter_count(server->blocked) + parking_count(server->parking, PARKED_SYNCING);

    net_info(server->net, &net);
    info_add(text,
             "connected_clients:%llu\r\ncluster_connections:0\r\nmaxclients:%lld\r\n"
             "client_recent_max_input_buffer:%llu\r\nclient_recent_max_output_buffer:%llu\r\n"
             "blocked_clients:%llu\r\ntracking_clients:0\r\nclients_in_timeout_table:%llu\r\n"
             "total_blocking_keys:%llu\r\nwatching_clients:%llu\r\nparked_clients:%llu\r\n"
             "queued_clients:%llu\r\nthrottled_clients:%llu\r\nstreaming_clients:%llu\r\n",
             (ull)net.clients_connected, (long long)server->config->maxclients,
             (ull)net.input_buffer_max_bytes, (ull)net.output_buffer_max_bytes, (ull)blocked,
             (ull)blocked, (ull)blocked_key_count(server->blocked),
             (ull)watch_client_count(server->watch),
             (ull)(parking_count(server->parking, PARKED_RUNNING) +
                   parking_count(server->parking, PARKED_NO_FIBER)),
             (ull)parking_count(server->parking, PARKED_QUEUED),
             (ull)parking_count(server->parking, PARKED_THROTTLED),
             (ull)parking_count(server->parking, PARKED_STREAMING));
}

static void add_rates(struct server *server, const struct net_info *net, struct info_text *text)
{
    const struct statistics *statistics = server->statistics;
    struct rate_counts counts = { .commands = statistics->commands_processed,
                                  .input_bytes = net->input_bytes,
                                  .output_bytes = net->output_bytes };
    struct rate_figures rates;

    rates_get(&statistics->rates, loop_now_us(server->loop), &counts, &rates);
    info_add(text,
             "instantaneous_ops_per_sec:%.0f\r\ninstantaneous_input_kbps:%.2f\r\n"
             "instantaneous_output_kbps:%.2f\r\n",
             rates.commands, rates.input_bytes / 1024, rates.output_bytes / 1024);
}

static void stats_section(struct server *server, struct info_text *text)
{
    const struct statistics *statistics = server->statistics;
    struct net_info net;
    struct part_counters parts;

    net_info(server->net, &net);
    part_counters_since_reset(server, &parts);
    info_add(
        text,
        "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
        "total_net_input_bytes:%llu\r\ntotal_net_output_bytes:%llu\r\n"
        "total_reads_processed:%llu\r\ntotal_writes_processed:%llu\r\n"
        "rejected_connections:%llu\r\nexpired_keys:%llu\r\n"
        "expired_time_cap_reached_count:%llu\r\n"
        "evicted_clients:%llu\r\nkeyspace_hits:%llu\r\nkeyspace_misses:%llu\r\n"
        "total_error_replies:%llu\r\n"
        "client_query_buffer_limit_disconnections:%llu\r\n"
        "client_output_buffer_limit_disconnections:%llu\r\nclient_stall_disconnections:%llu\r\n"
        "client_view_disconnections:%llu\r\n"
        "client_idle_disconnections:%llu\r\naccept_errors:%llu\r\nreads_deferred:%llu\r\n",
        (ull)net.clients_accepted, (ull)statistics->commands_processed, (ull)net.input_bytes,
        (ull)net.output_bytes, (ull)net.reads, (ull)net.writes, (ull)net.clients_rejected,
        (ull)parts.expired_keys, (ull)statistics->expiry_caps, (ull)net.evicted_clients,
        (ull)statistics->keyspace_hits, (ull)statistics->keyspace_misses,
        (ull)statistics->error_replies, (ull)net.query_buffer_limit_closes,
        (ull)net.output_buffer_limit_closes, (ull)net.stall_closes,
        (ull)server->viewings->closed_count, (ull)net.idle_closes, (ull)net.accept_errors,
        (ull)net.reads_deferred);
    info_add(text,
             "turns:%llu\r\nmax_tick_us:%llu\r\nmax_tick_cpu_us:%llu\r\nparked_commands:%"
             "llu\r\nqueued_commands:%llu\r\n"
             "throttled_commands:%llu\r\nslices:%llu\r\nunblocked_clients:%llu\r\n"
             "claims:%llu\r\n",
             (ull)net.turns, (ull)statistics->max_tick_us, (ull)statistics->max_tick_cpu_us,
             (ull)statistics->parked_commands, (ull)statistics->queued_commands,
             (ull)statistics->throttled_commands, (ull)statistics->slices,
             (ull)statistics->unblocked_clients, (ull)claims_count(server->claims));
    add_rates(server, &net, text);
    info_add(text, "%s", info_constant_stats);
}

static void spill_section(struct server *server, struct info_text *text)
{
    static const char *const pressures[] = { "ok", "slow", "full" };
    struct spill_store_info info;
    struct disk_limit_info disk;
    struct part_counters counts;

    disk_limit_info(server, &disk);
    spill_store_info(server->store, &info);
    part_counters_since_reset(server, &counts);
    info_add(
        text,
        "spill_memory:%llu\r\nspill_memory_budget:%llu\r\nspill_index_memory:%llu\r\n"
        "spill_pressure:%s\r\nspill_elements:%llu\r\nspill_lists:%llu\r\nspill_chunks:%llu\r\n"
        "spill_chunks_in_memory:%llu\r\nspill_file_bytes:%llu\r\nspill_disk_used_bytes:%llu\r\n"
        "spill_disk_max_bytes:%llu\r\nspill_evicted_chunks:%llu\r\nspill_evicted_bytes:%llu\r\n"
        "spill_fetched_chunks:%llu\r\nspill_fetched_bytes:%llu\r\n"
        "spill_prefetched_chunks:%llu\r\n",
        (ull)info.memory_bytes, (ull)info.memory_budget_bytes, (ull)info.index_memory_bytes,
        pressures[spill_store_pressure(server->store)], (ull)info.element_count,
        (ull)info.deque_count, (ull)info.chunk_count, (ull)info.chunks_in_memory,
        (ull)info.file_bytes, (ull)info.disk_used_bytes, (ull)info.disk_max_bytes,
        (ull)counts.evicted_chunks, (ull)counts.evicted_bytes, (ull)counts.fetched_chunks,
        (ull)counts.fetched_bytes, (ull)counts.prefetched_chunks);
    info_add(text,
             "disk_max_bytes:%llu\r\ndisk_used_bytes:%llu\r\nstreams_disk_used_bytes:%llu\r\n",
             (ull)disk.max_bytes, (ull)disk.used_bytes, (ull)disk.streams_bytes);
    info_add(text,
             "spill_writes:%llu\r\nspill_write_errors:%llu\r\nspill_reads:%llu\r\n"
             "spill_read_errors:%llu\r\nspill_checksum_errors:%llu\r\nspill_punched_bytes:%llu\r\n"
             "spill_truncated_bytes:%llu\r\nspill_reads_in_flight:%llu\r\n"
             "spill_writes_in_flight:%llu\r\nspill_waits:%llu\r\nspill_lists_being_freed:%llu\r\n"
             "spill_last_error:%s\r\n",
             (ull)counts.writes, (ull)counts.write_errors, (ull)counts.reads,
             (ull)counts.read_errors, (ull)counts.checksum_errors, (ull)counts.punched_bytes,
             (ull)counts.truncated_bytes, (ull)info.reads_in_flight, (ull)info.writes_in_flight,
             (ull)counts.waits, (ull)info.pending_free_deques,
             spill_store_last_error(server->store));
}

static void replication_section(struct server *server, struct info_text *text)
{
    info_add(text,
             "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n"
             "master_replid:%s\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n"
             "master_repl_offset:0\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:0\r\n"
             "repl_backlog_size:1048576\r\nrepl_backlog_first_byte_offset:0\r\n"
             "repl_backlog_histlen:0\r\n",
             server->run_id);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void cpu_section(struct server *server, struct info_text *text)
{
    struct rusage self, children, thread;

    (void)server;
    (void)getrusage(RUSAGE_SELF, &self);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    (void)getrusage(RUSAGE_THREAD, &thread);
    info_add(text,
             "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\nused_cpu_sys_children:%.6f\r\n"
             "used_cpu_user_children:%.6f\r\nused_cpu_sys_main_thread:%.6f\r\n"
             "used_cpu_user_main_thread:%.6f\r\n",
             seconds(self.ru_stime), seconds(self.ru_utime), seconds(children.ru_stime),
             seconds(children.ru_utime), seconds(thread.ru_stime), seconds(thread.ru_utime));
}

static void modules_section(struct server *server, struct info_text *text)
{
    (void)server;
    (void)text;
}

static void add_command_statistics(struct server *server, struct info_text *text,
                                   const struct command *command)
{
    const struct command_statistics *counts = command->statistics;
    uint64_t us;

    if (counts->calls + counts->rejected_calls == 0) return;
    us = ticks_to_us(&server->statistics->ticks, counts->ticks);
    info_add(text,
             "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
             "failed_calls=%llu\r\n",
             command->full_name, (ull)counts->calls, (ull)us,
             counts->calls ? (double)us / (double)counts->calls : 0.0, (ull)counts->rejected_calls,
             (ull)counts->failed_calls);
}

static void each_command(struct server *server, struct info_text *text,
                         void (*add)(struct server *server, struct info_text *text,
                                     const struct command *command))
{
    for (uint32_t i = 0; i < command_count(server->table); i++) {
        const struct command *command = command_at(server->table, i);

        add(server, text, command);
        for (uint32_t k = 0; k < command->child_count; k++) {
            add(server, text, command->children[k]);
        }
    }
}

static void commandstats_section(struct server *server, struct info_text *text)
{
    each_command(server, text, add_command_statistics);
}

static uint64_t calls_in_histogram(const struct command_statistics *counts)
{
    uint64_t calls = 0;

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        calls += counts->histogram[i];
    return calls;
}

/* The upper border of the bucket in which the share lies, in microseconds. */
static double percentile_us(const struct command_statistics *counts, double percent)
{
    uint64_t calls = calls_in_histogram(counts), seen = 0;
    uint64_t wanted = (uint64_t)((double)calls * percent / 100.0);

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += counts->histogram[i];
        if (seen > wanted || seen == calls) return (double)statistics_border_ns(i) / 1000.0;
    }
    return 0;
}

static void add_latency(struct server *server, struct info_text *text,
                        const struct command *command)
{
    const struct config_percentiles *percentiles =
        &server->config->latency_tracking_info_percentiles;

    if (calls_in_histogram(command->statistics) == 0) return;
    info_add(text, "latency_percentiles_usec_%s:", command->full_name);
    for (size_t i = 0; i < percentiles->count; i++) {
        info_add(text, "%sp%g=%.3f", i ? "," : "", percentiles->values[i],
                 percentile_us(command->statistics, percentiles->values[i]));
    }
    info_add(text, "\r\n");
}

static void latencystats_section(struct server *server, struct info_text *text)
{
    if (server->config->latency_tracking) each_command(server, text, add_latency);
}

static int compare_codes(const void *a, const void *b)
{
    return strcmp(((const struct error_statistics *)a)->code,
                  ((const struct error_statistics *)b)->code);
}

/* In order of their codes. */
static void errorstats_section(struct server *server, struct info_text *text)
{
    struct error_statistics errors[ERROR_CODES_MAX];
    uint32_t count = server->statistics->error_count;

    memcpy(errors, server->statistics->errors, count * sizeof(errors[0]));
    qsort(errors, count, sizeof(errors[0]), compare_codes);
    for (uint32_t i = 0; i < count; i++)
        info_add(text, "errorstat_%s:count=%llu\r\n", errors[i].code, (ull)errors[i].count);
}

static void cluster_section(struct server *server, struct info_text *text)
{
    (void)server;
    info_add(text, "cluster_enabled:0\r\n");
}

static void keyspace_section(struct server *server, struct info_text *text)
{
    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++) {
        uint64_t count = keyspace_count(server->keyspace, i);

        if (count == 0) continue;
        info_add(text, "db%u:keys=%llu,expires=%llu,avg_ttl=%lld\r\n", i, (ull)count,
                 (ull)keyspace_expiring_count(server->keyspace, i),
                 (long long)keyspace_average_ttl(server->keyspace, i));
    }
}

/* ---- the command
 * --------------------------------------------------------------------------------------- */

static const struct section {
    const char *name, *title;
    void (*add)(struct server *server, struct info_text *text);
    bool is_default;
} sections[] = {
    { "server", "Server", server_section, true },
    { "clients", "Clients", clients_section, true },
    { "memory", "Memory", info_memory_section, true },
    { "persistence", "Persistence", info_persistence_section, true },
    { "stats", "Stats", stats_section, true },
    { "spill", "Spill", spill_section, true },
    { "replication", "Replication", replication_section, true },
    { "cpu", "CPU", cpu_section, true },
    { "modules", "Modules", modules_section, true },
    { "commandstats", "Commandstats", commandstats_section, false },
    { "errorstats", "Errorstats", errorstats_section, true },
    { "latencystats", "Latencystats", latencystats_section, false },
    { "cluster", "Cluster", cluster_section, true },
    { "keyspace", "Keyspace", keyspace_section, true },
};

static bool is_wanted(const struct call *call, const struct section *section)
{
    if (call->argument_count == 1) return section->is_default;
    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        if (slice_is(word, "all") || slice_is(word, "everything")) return true;
        if (slice_is(word, "default") && section->is_default) return true;
        if (slice_equal_nocase(word, slice_of_string(section->name))) return true;
    }
    return false;
}

/* INFO [section [section ...]] */
int info_info(struct call *call)
{
    struct info_text text = { 0 };
    bool failed;

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (!is_wanted(call, &sections[i])) continue;
        info_add(&text, "%s# %s\r\n", text.size ? "\r\n" : "", sections[i].title);
        sections[i].add(call->server, &text);
    }
    failed = text.is_out_of_memory;
    if (!failed) reply_verbatim(call->reply, "txt", slice_of(text.bytes, text.size));
    free(text.bytes);
    return failed ? -ENOMEM : 0;
}
