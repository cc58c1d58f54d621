#include "server/boot_checkpoint.h"

#include <errno.h>
#include <string.h>

#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/spill/persist.h"
#include "modules/stream/stream.h"
#include "server/boot_config.h"
#include "server/commands/checkpointing.h"
#include "server/commands/loading.h"
#include "server/commands/parking.h"
#include "server/commands/part_counters.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_load.h"
#include "server/net/net.h"
#include "server/observe/memory.h"

int boot_checkpoint_find(struct server *server, struct os *os)
{
    struct checkpointing *state = server->checkpointing;
    const char *dir = server->config->dir;
    uint64_t number = 0;
    int rc = checkpoint_load_open(os, dir, &state->load);

    if (rc < 0) {
        log_write(server->log, LOG_WARNING,
                  "The newest checkpoint cannot be used, and the server does not start without "
                  "it: %s",
                  state->load ? checkpoint_load_error(state->load) : strerror(-rc));
        return rc;
    }
    if (rc == 1) number = checkpoint_load_head(state->load)->number;
    /* Who made it may have been killed before its name was durable: what it replaces, files and
     * extents, must not go before that. */
    rc = number > 0 ? os->fsync_directory(os, dir) : 0;
    if (rc < 0) {
        log_write(server->log, LOG_WARNING, "The data directory %s cannot be synced: %s", dir,
                  strerror(-rc));
        return rc;
    }
    rc = checkpoint_files_remove(os, dir, number);
    if (rc < 0)
        log_write(server->log, LOG_WARNING, "Older checkpoints in %s cannot be removed: %s", dir,
                  strerror(-rc));
    return rc;
}

int boot_checkpoint_create(struct server *server, struct os *os)
{
    struct checkpoint_options options = {
        .os = os,
        .io = server->io,
        .log_file = server->log,
        .directory = server->config->dir,
        .keyspace = server->keyspace,
        .store = server->store,
        .streams = server->streams,
        .pool = net_output_pool(server->net),
        .log = checkpointing_log(server),
    };
    int rc;

    server->checkpointing->reopen_store = boot_checkpoint_reopen_store;
    rc = checkpoint_create(&options, &server->checkpointing->checkpoint);
    if (rc < 0)
        log_write(server->log, LOG_WARNING, "Checkpoints cannot be made: %s", strerror(-rc));
    return rc;
}

void boot_checkpoint_close_store(struct server *server)
{
    if (server->checkpointing->must_keep_store)
        spill_store_close(server->store);
    else
        spill_store_destroy(server->store);
    server->store = NULL;
}

/* There are none now. The directories of journals are looked at anew. */
static int reopen_streams(struct server *server, const struct spill_hooks *hooks)
{
    int rc;

    stream_store_destroy(server->streams);
    server->streams = NULL;
    rc = boot_config_streams(server, server->os, hooks);
    if (rc < 0) return rc;
    memory_set_streams(server->memory, server->streams);
    checkpoint_set_streams(server->checkpointing->checkpoint, server->streams);
    return 0;
}

int boot_checkpoint_reopen_store(struct server *server)
{
    struct spill_hooks hooks = parking_hooks(server);
    struct part_counters before;
    int rc;

    part_counters_since_start(server, &before);
    boot_checkpoint_close_store(server);
    rc = boot_config_store(server, server->os, server->spill_path, &hooks);
    if (rc < 0) return rc;
    rc = reopen_streams(server, &hooks);
    if (rc < 0) return rc;
    part_counters_carry(server, &before);
    memory_set_store(server->memory, server->store);
    checkpoint_set_store(server->checkpointing->checkpoint, server->store);
    return 0;
}
