#include "server/boot_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/log.h"
#include "modules/spill/persist.h"
#include "modules/spill/store.h"
#include "modules/stream/stream.h"
#include "server/commands/checkpointing.h"
#include "server/durability/checkpoint_load.h"
#include "server/commands/disk_limit.h"
#include "server/commands/server.h"
#include "server/commands/slow.h"
#include "server/commands/statistics.h"
#include "server/commands/stream_retention.h"
#include "server/config/config.h"
#include "server/config/limits.h"
#include "server/net/loop.h"
#include "server/observe/latency.h"
#include "server/observe/memory.h"
#include "server/observe/slowlog.h"

/* ---- what parts are made with
 * ---------------------------------------------------------------------- */

uint64_t boot_config_memory_limit(const struct server *server)
{
    return limits_maxmemory(server->config, server->machine_memory_bytes);
}

/* The smaller of proto-max-bulk-len and an eighth of maxmemory. */
static uint32_t element_bytes_max(const struct server *server)
{
    uint64_t bytes = boot_config_memory_limit(server) / 8;

    if (bytes > server->config->proto_max_bulk_len_bytes)
        bytes = server->config->proto_max_bulk_len_bytes;
    return bytes > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)bytes;
}

struct net_limits boot_config_net_limits(const struct server *server)
{
    const struct config *config = server->config;
    uint64_t memory_bytes = boot_config_memory_limit(server);
    struct net_limits limits = {
        .clients_max = (uint32_t)config->maxclients,
        .idle_timeout_s = (uint32_t)config->timeout_s,
        .keepalive_s = (uint32_t)config->tcp_keepalive_s,
        .stall_timeout_s = (uint32_t)config->client_stall_timeout_s,
        .query_buffer_bytes_max = config->client_query_buffer_limit_bytes,
        .bulk_bytes_max = config->proto_max_bulk_len_bytes,
        .buffer_memory_bytes = limits_net_buffer(config, memory_bytes),
        .input_memory_bytes = memory_bytes / 4,
        .clients_memory_bytes = limits_clients(config, memory_bytes),
    };

    for (int i = 0; i < CONFIG_CLASSES; i++) {
        const struct config_output_limit *from = &config->client_output_buffer_limit.classes[i];

        limits.output[i] = (struct net_output_limit){ .hard_bytes = from->hard_bytes,
                                                      .soft_bytes = from->soft_bytes,
                                                      .soft_seconds = from->soft_seconds };
    }
    return limits;
}

/* As the checkpoint says that the server goes on from. */
static int open_store(struct server *server, const struct spill_options *options,
                      const struct spill_hooks *hooks)
{
    char why[SPILL_WHY_BYTES] = "";
    int rc =
        spill_store_open(server->os, server->io, options, hooks,
                         checkpoint_load_state(server->checkpointing->load), &server->store, why);

    if (rc < 0)
        log_write(server->log, LOG_WARNING, "The lists' file in %s cannot be opened: %s",
                  options->directory, why[0] ? why : strerror(-rc));
    else
        server->checkpointing->must_keep_store = true;
    return rc;
}

int boot_config_store(struct server *server, struct os *os, const char *path,
                      const struct spill_hooks *hooks)
{
    const struct config *config = server->config;
    struct spill_options options = {
        .directory = path,
        .memory_bytes = boot_config_memory_limit(server),
        .chunk_bytes = (uint32_t)config->list_chunk_bytes,
        .element_bytes_max = element_bytes_max(server),
        .prefetch_bytes = (uint32_t)config->list_prefetch_bytes,
        .is_persistent = config->appendonly,
    };
    int rc = limits_maxdisk(config, os, 0, &options.disk_bytes_max);

    if (rc < 0) return rc;
    server->os = os;
    server->disk_max_bytes = options.disk_bytes_max; /* until it is known what is there */
    if (server->checkpointing->load) return open_store(server, &options, hooks);
    return spill_store_create(os, server->io, &options, hooks, &server->store);
}

/* 0: no limit. */
static uint32_t node_entries(const struct config *config)
{
    int64_t entries = config->stream_node_max_entries;

    return entries == 0 || entries > UINT32_MAX ? UINT32_MAX : (uint32_t)entries;
}

static void tell_of_stream(void *context, const char *path, int error, const char *text)
{
    const struct server *server = context;

    log_write(server->log, LOG_WARNING, "The journal of a stream, %s, cannot be opened: %s%s%s",
              path, text, *text ? ": " : "", strerror(-error));
}

static void tell_of_rewrite(void *context, const char *path, int error, const char *text)
{
    const struct server *server = context;

    log_write(server->log, LOG_WARNING,
              "The journal of a stream, %s, keeps what is deleted in %s, which cannot be written "
              "anew: %s",
              path, text, strerror(-error));
}

static void tell_of_sync(void *context, const char *path, int error, const char *text)
{
    const struct server *server = context;

    if (error == 0)
        log_write(server->log, LOG_NOTICE,
                  "All that streams in %s had written is on the device now: they go on", path);
    else if (error == -EBADMSG)
        log_write(server->log, LOG_WARNING,
                  "The journal of a stream, %s, is damaged%s%s: what a failed sync had left was "
                  "lost before it could be written once more. The stream takes nothing, and no "
                  "checkpoint with it is complete; the next start takes it from the log",
                  path, *text ? " at " : "", text);
    else
        log_write(server->log, LOG_WARNING,
                  "A sync of streams has failed, of %s first: %s. They take nothing until what "
                  "they had written was written once more",
                  path, strerror(-error));
}

int boot_config_streams(struct server *server, struct os *os, const struct spill_hooks *hooks)
{
    struct stream_hooks stream_hooks = { .wait = hooks->wait,
                                         .on_ready = hooks->on_ready,
                                         .on_failure = tell_of_stream,
                                         .on_sync = tell_of_sync,
                                         .on_rewrite_failure = tell_of_rewrite,
                                         .context = hooks->context };
    struct stream_options options = {
        .directory = server->config->dir,
        .memory_bytes_max = 0, /* 32 KiB; a longer one is a journal */
        .roll_bytes = server->config->stream_segment_bytes & ~(uint64_t)4095,
        .node_entries = node_entries(server->config),
    };

    int rc = stream_store_create(os, server->io, &options, &stream_hooks, &server->streams);

    return rc < 0 ? rc : stream_retention_configure(server, server->config, NULL);
}

int boot_config_observe(struct server *server)
{
    const struct config *config = server->config;
    int rc = slowlog_create((uint64_t)config->slowlog_max_len, &server->slowlog);

    if (rc == 0) rc = latency_create(&server->latency);
    slow_set_thresholds(server, config->slowlog_log_slower_than_us,
                        config->latency_monitor_threshold_ms);
    statistics_track_latency(server->statistics, config->latency_tracking);
    return rc;
}

void boot_config_forget_observe(struct server *server)
{
    slowlog_destroy(server->slowlog);
    latency_destroy(server->latency);
}

/* ---- changes while the server runs
 * -------------------------------------------------------------------- */

static int apply_limits(void *context, const struct config *config, struct config_error *out_error)
{
    struct server *server = context;
    struct net_limits limits = boot_config_net_limits(server);

    (void)out_error;
    net_set_limits(server->net, &limits);
    spill_store_set_element_max(server->store, element_bytes_max(server));
    memory_set_limit(server->memory, boot_config_memory_limit(server),
                     config->list_memory_max_bytes);
    return 0;
}

static int apply_maxdisk(void *context, const struct config *config, struct config_error *out_error)
{
    struct server *server = context;
    int rc = disk_limit_configure(server, config);

    if (rc < 0)
        return config_refuse(out_error, "the free space of the data directory cannot be told: %s",
                             strerror(-rc));
    return 0;
}

static int apply_loglevel(void *context, const struct config *config,
                          struct config_error *out_error)
{
    (void)out_error;
    log_set_level(((struct server *)context)->log, (enum log_level)config->loglevel);
    return 0;
}

static int apply_slow(void *context, const struct config *config, struct config_error *out_error)
{
    struct server *server = context;

    (void)out_error;
    slowlog_set_length(server->slowlog, (uint64_t)config->slowlog_max_len);
    slow_set_thresholds(server, config->slowlog_log_slower_than_us,
                        config->latency_monitor_threshold_ms);
    return 0;
}

static int apply_latency_tracking(void *context, const struct config *config,
                                  struct config_error *out_error)
{
    (void)out_error;
    statistics_track_latency(((struct server *)context)->statistics, config->latency_tracking);
    return 0;
}

static const char *listen_advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return " (another server has it: end that one, or choose another port)";
    case EADDRNOTAVAIL:
        return " (this machine has no such address: see bind)";
    case EACCES:
        return " (ports below 1024 need a privilege: choose a greater one)";
    default:
        return "";
    }
}

/* Listens as configured. Port 0 asks for any free one: one that is in use already is kept. */
static int listen_tcp(struct server *server, struct config_error *out_error)
{
    const struct config *config = server->config;
    uint16_t port = config->port ? (uint16_t)config->port : net_tcp_port(server->net);
    size_t failed = 0;
    int rc = net_exchange_tcp(server->net, config->bind.words, config->bind.count, port,
                              (uint32_t)config->tcp_backlog, &failed);

    if (rc < 0)
        (void)config_refuse(out_error, "cannot listen on %s, port %u: %s%s",
                            failed < config->bind.count ? config->bind.words[failed] : "", port,
                            strerror(-rc), listen_advice(-rc));
    return rc;
}

static int apply_nodes(void *context, const struct config *config, struct config_error *out_error)
{
    struct server *server = context;

    (void)out_error;
    stream_store_set_node_entries(server->streams, node_entries(config));
    return 0;
}

static int apply_listeners(void *context, const struct config *config,
                           struct config_error *out_error)
{
    (void)config;
    return listen_tcp(context, out_error);
}

int boot_config_listen_for_changes(struct server *server)
{
    static const struct {
        const char *name;
        config_changed *changed;
    } listeners[] = {
        { "bind", apply_listeners },
        { "port", apply_listeners },
        { "maxclients", apply_limits },
        { "timeout", apply_limits },
        { "tcp-keepalive", apply_limits },
        { "client-stall-timeout", apply_limits },
        { "client-query-buffer-limit", apply_limits },
        { "client-output-buffer-limit", apply_limits },
        { "proto-max-bulk-len", apply_limits },
        { "net-buffer-memory", apply_limits },
        { "maxmemory-clients", apply_limits },
        { "maxmemory", apply_limits },
        { "list-memory-max", apply_limits },
        { "maxdisk", apply_maxdisk },
        { "stream-node-max-entries", apply_nodes },
        { "loglevel", apply_loglevel },
        { "slowlog-log-slower-than", apply_slow },
        { "slowlog-max-len", apply_slow },
        { "latency-monitor-threshold", apply_slow },
        { "latency-tracking", apply_latency_tracking },
        { "stream-retention-bytes", stream_retention_configure },
        { "stream-retention-age", stream_retention_configure },
        { "stream-retention-length", stream_retention_configure },
        { "stream-compress", stream_retention_configure },
        { "stream-retention-for", stream_retention_configure },
    };

    for (size_t i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
        int rc = config_on_change(server->config, listeners[i].name, listeners[i].changed, server);

        if (rc < 0) return rc;
    }
    return 0;
}

/* ---- at start
 * ------------------------------------------------------------------------------------------ */

int boot_config_open_listeners(struct server *server)
{
    const struct config *config = server->config;
    struct config_error error = { .text = "" };
    int rc = listen_tcp(server, &error);

    if (rc < 0) log_write(server->log, LOG_WARNING, "The server %s", error.text);
    if (rc < 0 || config->unixsocket[0] == '\0') return rc;
    rc = net_listen_unix(server->net, config->unixsocket, config->unixsocketperm,
                         (uint32_t)config->tcp_backlog);
    if (rc < 0)
        log_write(server->log, LOG_WARNING, "The server cannot listen on the unix socket %s: %s%s",
                  config->unixsocket, strerror(-rc),
                  rc == -EADDRINUSE ? " (a server listens there, or it is a file of another kind: "
                                      "choose another path)"
                                    : " (its directory must exist and be writable)");
    return rc;
}

/* Where a directive is 0, the limit comes from the machine: so much the more should it be known. */
static const char *origin(uint64_t directive, const char *derived)
{
    return directive > 0 ? "as configured" : derived;
}

void boot_config_say_remembered(const struct server *server)
{
    char *names = NULL;
    int rc = config_without_effect(server->config, &names);

    if (rc < 0)
        log_write(server->log, LOG_WARNING, "Which directives have no effect cannot be told: %s",
                  strerror(-rc));
    else if (names[0])
        log_write(server->log, LOG_NOTICE,
                  "These directives are remembered for CONFIG GET, but have no effect here: %s",
                  names);
    free(names);
}

void boot_config_say_limits(const struct server *server)
{
    const struct config *config = server->config;
    uint64_t memory_bytes = boot_config_memory_limit(server);

    log_write(server->log, LOG_NOTICE, "maxmemory %llu MiB, %s",
              (unsigned long long)(memory_bytes >> 20),
              origin(config->maxmemory_bytes, "a quarter of the machine's or the cgroup's memory"));
    log_write(server->log, LOG_NOTICE, "maxdisk %llu MiB, %s",
              (unsigned long long)(server->disk_max_bytes >> 20),
              origin(config->maxdisk_bytes, "four fifths of what is free in the data directory, "
                                            "and of what lists take there"));
    log_write(server->log, LOG_NOTICE, "net-buffer-memory %llu KiB, %s",
              (unsigned long long)(limits_net_buffer(config, memory_bytes) >> 10),
              origin(config->net_buffer_memory_bytes, "from maxmemory"));
    log_write(server->log, LOG_NOTICE,
              "Longest element %u KiB: the smaller of proto-max-bulk-len "
              "and an eighth of maxmemory",
              element_bytes_max(server) >> 10);
}
