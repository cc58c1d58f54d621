#include "server/commands/disk_limit.h"

#include <string.h>

#include "modules/base/log.h"
#include "modules/spill/persist.h"
#include "modules/stream/stream.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/config/limits.h"

enum { LEAST_BYTES = 4096 }; /* lists cannot be told 0, which is no limit */

/* Extents in use, and room for what a checkpoint has to write yet. */
static uint64_t lists_bytes(const struct server *server)
{
    struct spill_persist_info persist;
    struct spill_store_info info;

    spill_store_info(server->store, &info);
    spill_persist_info(server->store, &persist);
    return info.disk_used_bytes + persist.reserved_bytes;
}

static uint64_t streams_bytes(const struct server *server)
{
    struct stream_disk disk;

    stream_store_get_disk(server->streams, &disk);
    return disk.used_bytes;
}

static uint64_t rest_of(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

static void tell_lists(struct server *server, uint64_t max_bytes)
{
    struct spill_store_info info;

    if (max_bytes < LEAST_BYTES) max_bytes = LEAST_BYTES;
    spill_store_info(server->store, &info);
    if (info.disk_max_bytes != max_bytes) spill_store_set_disk_max(server->store, max_bytes);
}

void disk_limit_update(struct server *server)
{
    uint64_t max = server->disk_max_bytes;

    if (server->loading) {
        tell_lists(server, max);
        stream_store_set_disk_max(server->streams, UINT64_MAX);
        return;
    }
    tell_lists(server, rest_of(max, streams_bytes(server)));
    stream_store_set_disk_max(server->streams, rest_of(max, lists_bytes(server)));
}

int disk_limit_configure(struct server *server, const struct config *config)
{
    uint64_t taken = lists_bytes(server) + streams_bytes(server);
    int rc = limits_maxdisk(config, server->os, taken, &server->disk_max_bytes);

    if (rc == 0) disk_limit_update(server);
    return rc;
}

void disk_limit_loaded(struct server *server)
{
    int rc;

    if (server->config->maxdisk_bytes > 0 || streams_bytes(server) == 0) return;
    rc = disk_limit_configure(server, server->config);
    if (rc < 0)
        log_write(server->log, LOG_WARNING,
                  "The free space of the data directory cannot be told, so maxdisk counts nothing "
                  "of what streams took there before: %s",
                  strerror(-rc));
    else
        log_write(server->log, LOG_NOTICE, "maxdisk %llu MiB, with what streams take already",
                  (unsigned long long)(server->disk_max_bytes >> 20));
}

void disk_limit_info(const struct server *server, struct disk_limit_info *out_info)
{
    out_info->max_bytes = server->disk_max_bytes;
    out_info->streams_bytes = streams_bytes(server);
    out_info->used_bytes = lists_bytes(server) + out_info->streams_bytes;
}
