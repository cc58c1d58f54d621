#include "server/boot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/base/clock.h"
#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/io/fiber.h"
#include "modules/io/disposal.h"
#include "modules/io/io.h"
#include "modules/spill/store.h"
#include "modules/stream/group.h"
#include "modules/stream/stream.h"
#include "server/boot_arguments.h"
#include "server/boot_checkpoint.h"
#include "server/boot_config.h"
#include "server/boot_directory.h"
#include "server/boot_limits.h"
#include "server/boot_log.h"
#include "server/commands/backing_up.h"
#include "server/commands/checkpointing.h"
#include "server/commands/disk_limit.h"
#include "server/commands/dispatch.h"
#include "server/commands/effect.h"
#include "server/commands/importing.h"
#include "server/commands/loading.h"
#include "server/commands/log_replacing.h"
#include "server/commands/log_switching.h"
#include "server/commands/memory_command_allocator.h"
#include "server/commands/monitor.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/shutdown.h"
#include "server/commands/session_life.h"
#include "server/commands/statistics.h"
#include "server/commands/stream_retention.h"
#include "server/commands/stream_sharing.h"
#include "server/commands/stream_viewing.h"
#include "server/commands/table.h"
#include "server/commands/turn.h"
#include "server/config/config.h"
#include "server/durability/oplog.h"
#include "server/config/limits.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/claims.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include "server/observe/info_version.h"
#include "server/observe/memory.h"

enum {
    FIBERS_MAX = 256,          /* commands that wait for the disk at one time; more queue */
    FIBER_STACK_BYTES = 65536, /* of which a few pages are touched */
    SAMPLE_US = 100000,        /* how often the kernel is asked for RssAnon */
};

/* All parts of one server, in the order in which they are made. */
struct house {
    struct os *os;
    struct server server;
    struct statistics statistics;
    struct monitors monitors;
    struct effects effects;
    struct checkpointing checkpointing;
    struct log_replacing replacing;
    struct stream_retention retention;
    struct shutting_down shutting_down;
    struct log_switching switching;
    struct backing_up backing_up;
    struct stream_sharing sharing;
    struct stream_viewings viewings;
    struct boot_directory directory;
    struct loop_timer *sample_timer;
    struct io_job purge;
    bool is_purging;
};

/* ---- what parts call upwards -------------------------------------------------------------------
 */

static void key_changed(void *context, unsigned database, struct slice name)
{
    watch_changed(((struct server *)context)->watch, database, name);
}

/* Some of those that wait for a key want to know that it has gone. */
static void key_gone(void *context, unsigned database, struct slice name)
{
    blocked_signal(((struct server *)context)->blocked, database, name);
}

static bool key_is_held(void *context, unsigned database, struct slice name)
{
    const struct server *server = context;

    if (server->loading) return true; /* what expired is in the log */
    if ((server->import_path || server->importing) && importing_is_at_start(server)) return true;
    return claims_count(server->claims) > 0 && parking_protects(server, database, name);
}

static uint64_t parked_bytes(void *context)
{
    return parking_memory_bytes(((struct server *)context)->parking);
}

static void run_purge(struct io_job *job, struct os *os)
{
    (void)os;
    job->rc = allocator_purge() ? 0 : -EIO; /* without jemalloc there is nothing to purge */
}

static void purge_ended(struct io_job *job)
{
    struct house *house = (struct house *)((char *)job - offsetof(struct house, purge));

    house->is_purging = false;
}

/* Giving pages back takes the kernel milliseconds: an I/O thread does it, one purge at a time. */
static void purge_free_pages(void *context)
{
    struct house *house = context;

    if (house->is_purging) return;
    house->is_purging = true;
    house->purge = (struct io_job){ .run = run_purge, .done = purge_ended };
    io_submit(house->server.io, &house->purge);
}

static bool is_protected(void *context)
{
    const struct config *config = ((struct server *)context)->config;

    return config->protected_mode && config->requirepass[0] == '\0';
}

static void disk_completions(void *context)
{
    (void)io_poll(((struct server *)context)->io);
}

static void sample_memory(void *context)
{
    memory_sample(((struct server *)context)->memory);
    checkpointing_look(context);
}

static void stop_on_signal(void *context, int number)
{
    struct server *server = context;

    shutdown_by_signal(server, number == SIGINT);
}

static void reopen_log(void *context, int number)
{
    struct server *server = context;

    (void)number;
    if (log_reopen(server->log, server->config->logfile) < 0)
        log_write(server->log, LOG_WARNING, "The log file could not be opened anew");
}

/* ---- making the parts
 * ------------------------------------------------------------------------------ */

static int fail(struct server *server, const char *what, int rc)
{
    log_write(server->log, LOG_WARNING, "%s: %s", what, strerror(-rc));
    return rc;
}

/* What is on its way still takes memory: so much of the limit at most (there always is one, see
 * limits_maxmemory). */
enum { DISPOSAL_PART = 8 };

static void free_block(void *context, void *block, size_t bytes)
{
    struct server *server = context;
    uint64_t limit = server->memory ? memory_limit(server->memory) : 0; /* else the server ends */

    disposal_free(server->disposal, block, bytes, limit / DISPOSAL_PART);
}

static int make_keys(struct house *house)
{
    struct server *server = &house->server;
    struct keyspace_hooks hooks = { .on_change = key_changed,
                                    .on_gone = key_gone,
                                    .on_expire = effect_expired,
                                    .is_held = key_is_held,
                                    .free_block = free_block,
                                    .context = server };
    int rc = watch_create(&server->watch);

    if (rc == 0) rc = claims_create(&server->claims);
    if (rc == 0) rc = blocked_create(&server->blocked);
    if (rc == 0)
        rc = keyspace_create((unsigned)server->config->databases, &hooks, &server->keyspace);
    return rc < 0 ? fail(server, "The keyspace could not be made", rc) : 0;
}

static int make_engine(struct house *house)
{
    struct server *server = &house->server;
    struct spill_hooks hooks;
    int rc = io_create(house->os, (unsigned)server->config->spill_io_threads, &server->io);

    if (rc == 0) rc = disposal_create(server->io, &server->disposal);
    if (rc == 0) rc = fiber_pool_create(FIBERS_MAX, FIBER_STACK_BYTES, &server->fibers);
    if (rc == 0) rc = parking_create(server, &server->parking);
    if (rc < 0) return fail(server, "I/O threads could not be started", rc);
    hooks = parking_hooks(server);
    rc = boot_config_store(server, house->os, house->directory.spill_path, &hooks);
    if (rc < 0) return fail(server, "The spill store could not be made", rc);
    rc = boot_config_streams(server, house->os, &hooks);
    if (rc == 0) rc = disk_limit_configure(server, server->config);
    if (rc == 0) rc = stream_group_store_create(&server->stream_groups);
    return rc < 0 ? fail(server, "The store of streams could not be made", rc) : 0;
}

static int make_net(struct house *house)
{
    struct server *server = &house->server;
    struct net_handlers handlers = { .on_request = dispatch_request,
                                     .on_protocol_error = dispatch_protocol_error,
                                     .on_open = session_open,
                                     .on_close = session_close,
                                     .on_turn_end = turn_end,
                                     .on_flush = effect_flush,
                                     .on_before_wait = turn_before_wait,
                                     .context = server };
    struct net_options options = { .session_bytes = sizeof(struct session),
                                   .is_protected = is_protected };
    int rc;

    options.limits = boot_config_net_limits(server);
    rc = net_create(server->loop, server->log, &options, &handlers, &server->net);
    return rc < 0 ? fail(server, "The network part could not be made", rc) : 0;
}

static int make_memory(struct house *house)
{
    struct server *server = &house->server;
    struct memory_owners owners = { .net = server->net,
                                    .keyspace = server->keyspace,
                                    .blocked = server->blocked,
                                    .watch = server->watch,
                                    .store = server->store,
                                    .streams = server->streams,
                                    .stream_groups = server->stream_groups,
                                    .fibers = server->fibers,
                                    .disposal = server->disposal,
                                    .parked_bytes = parked_bytes,
                                    .log_bytes = boot_log_bytes,
                                    .log_is_buffered = boot_log_is_buffered,
                                    .purge = purge_free_pages,
                                    .context = server,
                                    .purge_context = house };
    int rc = memory_create(&owners, boot_config_memory_limit(server),
                           server->config->list_memory_max_bytes, &server->memory);

    return rc < 0 ? fail(server, "Memory cannot be measured", rc) : 0;
}

static int make_loop(struct house *house)
{
    struct server *server = &house->server;
    int rc = loop_create(&server->loop);

    if (rc == 0) rc = loop_on_signal(server->loop, SIGTERM, stop_on_signal, server);
    if (rc == 0) rc = loop_on_signal(server->loop, SIGINT, stop_on_signal, server);
    if (rc == 0) rc = loop_on_signal(server->loop, SIGHUP, reopen_log, server);
    return rc < 0 ? fail(server, "The event loop could not be made", rc) : 0;
}

static int make_timers(struct house *house)
{
    struct server *server = &house->server;
    int rc = loop_on_readable(server->loop, io_event_fd(server->io), disk_completions, server);

    if (rc == 0) rc = loop_timer_create(server->loop, sample_memory, server, &house->sample_timer);
    if (rc < 0) return fail(server, "The timers could not be made", rc);
    loop_timer_arm(house->sample_timer, SAMPLE_US, true);
    return 0;
}

/* A run has a name of its own, by which clients notice a restart. */
static int name_this_run(struct server *server)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[20];
    ssize_t size = readlink("/proc/self/exe", server->executable, sizeof(server->executable) - 1);
    int rc = random_entropy(bytes, sizeof(bytes));

    if (rc < 0) return fail(server, "There is no entropy", rc);
    server->executable[size > 0 ? size : 0] = '\0';
    for (size_t i = 0; i < sizeof(bytes); i++) {
        server->run_id[2 * i] = hex[bytes[i] >> 4];
        server->run_id[2 * i + 1] = hex[bytes[i] & 15];
    }
    return 0;
}

static int make_house(struct house *house)
{
    struct server *server = &house->server;
    int rc = boot_directory_open(house->os, server->log, server->config->dir, &house->directory);

    server->statistics = &house->statistics;
    server->monitors = &house->monitors;
    server->effects = &house->effects;
    server->checkpointing = &house->checkpointing;
    server->replacing = &house->replacing;
    server->replacing->server = server;
    server->retention = &house->retention;
    server->shutting_down = &house->shutting_down;
    server->switching = &house->switching;
    server->switching->server = server;
    server->switching->ground.reserve_fd = -1;
    server->backing_up = &house->backing_up;
    server->sharing = &house->sharing;
    server->viewings = &house->viewings;
    stream_viewings_init(server->viewings);
    house->backing_up.took_ms = -1;
    server->spill_path = house->directory.spill_path;
    list_init(&house->monitors.sessions);
    ticks_init(&house->statistics.ticks);
    server->started_at_ms = clock_realtime_ms();
    server->started_us = clock_monotonic_us();
    server->machine_memory_bytes = limits_machine_memory(house->os, "");
    if (rc == 0) rc = name_this_run(server);
    if (rc == 0) rc = make_loop(house);
    if (rc == 0) rc = command_table_create(&server->table);
    if (rc == 0) rc = make_keys(house);
    if (rc == 0) rc = boot_checkpoint_find(server, house->os);
    if (rc == 0) rc = make_engine(house);
    if (rc == 0) rc = make_net(house);
    if (rc == 0) rc = make_memory(house);
    if (rc == 0) rc = make_timers(house);
    if (rc == 0) rc = boot_config_observe(server);
    if (rc == 0) rc = boot_config_listen_for_changes(server);
    if (rc == 0) rc = boot_log_listen_for_changes(server);
    if (rc == 0) rc = boot_log_open(server, house->os);
    if (rc == 0) rc = boot_checkpoint_create(server, house->os);
    if (rc == 0) rc = boot_config_open_listeners(server);
    return rc;
}

/* Accepts a half-made house. Clients go first: what they wait for is canceled and runs to its end.
 * What they were answered with may be in a checkpoint's hands yet, which counts there: net goes
 * last of those who have values. */
static void take_apart(struct house *house)
{
    struct server *server = &house->server;

    net_close(server->net);
    server->effects->oplog = NULL; /* what is cut short from here on did not happen */
    loading_abandon(server);
    parking_destroy(server->parking);
    importing_abandon(server);
    server->parking = NULL; /* a read may still end, and tell nobody */
    stream_retention_finish(server->retention);
    log_replacing_finish(server);
    log_switching_finish(server);
    checkpointing_finish(server);
    boot_log_close(server);
    effects_finish(server->effects);
    loop_timer_destroy(house->sample_timer);
    memory_destroy(server->memory);
    server->memory = NULL;
    keyspace_destroy(server->keyspace);
    blocked_destroy(server->blocked);
    claims_destroy(server->claims);
    watch_destroy(server->watch);
    boot_checkpoint_close_store(server);
    stream_store_destroy(server->streams);
    stream_group_store_destroy(server->stream_groups);
    fiber_pool_destroy(server->fibers);
    net_destroy(server->net);
    boot_config_forget_observe(server);
    command_table_destroy(server->table);
    loop_destroy(server->loop);
    io_destroy(server->io);
    disposal_destroy(server->disposal);
    boot_directory_close(house->os, &house->directory);
}

/* ---- the process
 * ---------------------------------------------------------------------------------------- */

static void say_what_holds(const struct server *server)
{
    log_write(server->log, LOG_NOTICE, "Sluice %s (as Redis %s), pid %ld, data directory %s",
              SLUICE_VERSION, REDIS_VERSION, (long)getpid(), server->config->dir);
    boot_config_say_limits(server);
    boot_config_say_remembered(server);
    if (!server->config->appendonly)
        log_write(
            server->log, LOG_WARNING,
            "Data does not survive the end of this process, but what was saved (SAVE, BGSAVE, "
            "save): appendonly is no. The spill files in the data directory are no backup.");
    if (!server->loading && !server->import_path)
        log_write(server->log, LOG_NOTICE, "Ready to accept connections");
}

static int run(struct house *house)
{
    struct server *server = &house->server;
    int rc;

    boot_limits_locked_memory(house->os, server->log);
    rc = make_house(house);
    if (rc == 0) {
        boot_limits_descriptors(server->log, (uint64_t)server->config->maxclients);
        rc = boot_directory_write_pid(house->os, server->log, server->config->pidfile);
    }
    if (rc == 0) {
        say_what_holds(server);
        log_set_role(server->log, 'M');
        rc = loop_run(server->loop, NULL, NULL);
        log_write(server->log, LOG_NOTICE, "Sluice is now ready to exit, bye bye...");
        boot_directory_remove_pid(house->os, server->config->pidfile);
    }
    take_apart(house);
    return server->has_failed ? -EIO : rc; /* what was to be kept may not be, too */
}

static int open_log(struct server *server, struct config_error *out_error)
{
    const struct config *config = server->config;
    int rc = log_create(config->logfile, (enum log_level)config->loglevel, 'C', &server->log);

    if (rc < 0)
        (void)config_refuse(out_error, "The log file %s cannot be opened: %s (see logfile)",
                            config->logfile, strerror(-rc));
    return rc;
}

int boot_and_run(struct os *os, int argument_count, char *const *arguments)
{
    struct house *house = calloc(1, sizeof(*house));
    struct config_error error = { .text = "" };
    char *const *directives = NULL;
    int rc = -ENOMEM;

    if (!house) return EXIT_FAILURE;
    if (boot_arguments_tell(argument_count, arguments)) {
        free(house);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    house->os = os;
    directives =
        boot_arguments_take_import(&argument_count, arguments, &house->server.import_path, &error);
    if (directives) rc = config_create(house->os, &house->server.config, &error);
    if (rc == 0)
        rc = config_load_arguments(house->server.config, argument_count, directives, STDIN_FILENO,
                                   &error);
    if (rc == 0) rc = open_log(&house->server, &error);
    if (rc < 0)
        (void)fprintf(stderr, "\n*** FATAL CONFIG FILE ERROR (Sluice %s) ***\n%s\n", SLUICE_VERSION,
                      error.text[0] ? error.text : strerror(-rc));
    else
        rc = run(house);
    log_destroy(house->server.log);
    config_destroy(house->server.config);
    free((void *)directives);
    free(house);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
