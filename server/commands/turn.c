#include "server/commands/disk_log.h"
#include "server/commands/turn.h"

#include "modules/spill/store.h"
#include "modules/stream/group.h"
#include "modules/stream/stream.h"
#include "server/commands/checkpointing.h"
#include "server/commands/disk_limit.h"
#include "server/commands/effect.h"
#include "server/commands/importing.h"
#include "server/commands/loading.h"
#include "server/commands/log_replacing.h"
#include "server/commands/log_switching.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/shutdown.h"
#include "server/commands/statistics.h"
#include "server/commands/stream_retention.h"
#include "server/commands/stream_viewing.h"
#include "server/durability/oplog.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"
#include "server/net/net.h"
#include "server/observe/memory.h"

enum {
    EXPIRE_KEYS_A_TURN = 64, /* each may free a list; the rest is due next turn, at once */
    REHASH_BUCKETS_A_TURN = 64,
    SPILL_SLICE_US = 500,
    STREAM_SLICE_US = 500,
    GROUP_NODES_A_TURN = 256, /* of 2 KiB */
    HELD_RETRY_US = 1000,
    MEMORY_UPDATE_US = 500, /* asking the owners costs as much as a command */
    MEMORY_SAMPLE_US = 10000,
    SLEEP_MAX_MS = 3600000,
};

static void sample_rates(struct server *server)
{
    struct net_info net;
    struct rate_counts counts = { .commands = server->statistics->commands_processed };

    net_info(server->net, &net);
    counts.input_bytes = net.input_bytes;
    counts.output_bytes = net.output_bytes;
    rates_sample(&server->statistics->rates, loop_now_us(server->loop), &counts);
}

static void shrink_streams(struct server *server)
{
    uint64_t excess_bytes = memory_excess_bytes(server->memory);

    /* What is on its way is told by the tick's next turns; what could not be is tried again. */
    if (excess_bytes > 0) (void)stream_store_shrink(server->streams, excess_bytes, false);
}

/* The kernel's figure is asked for often while there is work: between two looks memory can grow by
 * what the clients send in that time. */
static void look_at_memory(struct server *server)
{
    uint64_t now_us = loop_now_us(server->loop);

    if (now_us - server->memory_updated_us < MEMORY_UPDATE_US) return;
    server->memory_updated_us = now_us;
    if (now_us - server->memory_sampled_us >= MEMORY_SAMPLE_US) {
        server->memory_sampled_us = now_us;
        memory_sample(server->memory);
        sample_rates(server);
        disk_log_look(server);
    }
    if (parking_count(server->parking, PARKED_THROTTLED) == 0) memory_expect(server->memory, 0);
    memory_update(server->memory);
    disk_limit_update(server);
    shrink_streams(server);
    stream_viewings_look(server);
}

bool turn_end(void *context)
{
    struct server *server = context;
    bool has_more;

    server->statistics->ended_session = NULL; /* the next turn's calls begin later */
    if (server->loading && loading_step(server)) {
        look_at_memory(server);
        return true;
    }
    if (server->import_path) importing_at_start(server);
    keyspace_set_now(server->keyspace, loop_now_ms(server->loop));
    has_more = keyspace_expire_due(server->keyspace, EXPIRE_KEYS_A_TURN) == EXPIRE_KEYS_A_TURN;
    server->statistics->expiry_caps += has_more;
    if (parking_run(server)) has_more = true;
    if (log_replacing_turn(server)) has_more = true;
    if (log_switching_turn(server)) has_more = true;
    if (checkpointing_turn(server)) has_more = true;
    shutdown_turn(server);
    if (spill_store_tick(server->store, SPILL_SLICE_US)) has_more = true;
    if (stream_store_tick(server->streams, (uint64_t)loop_now_ms(server->loop), STREAM_SLICE_US))
        has_more = true;
    if (stream_group_store_tick(server->stream_groups, GROUP_NODES_A_TURN)) has_more = true;
    stream_retention_turn(server);
    if (keyspace_rehash_step(server->keyspace, REHASH_BUCKETS_A_TURN)) has_more = true;
    look_at_memory(server);
    return has_more;
}

static int64_t until_next_expiry_us(const struct server *server)
{
    int64_t next_ms = keyspace_next_expiry(server->keyspace), now_ms = loop_now_ms(server->loop);

    if (next_ms < 0) return -1;
    /* What is due and still there is held by a call in operation: its end is waited for in small
     * steps. */
    if (next_ms <= now_ms) return HELD_RETRY_US;
    return next_ms - now_ms > SLEEP_MAX_MS ? (int64_t)SLEEP_MAX_MS * 1000
                                           : (next_ms - now_ms) * 1000;
}

/* -1: never. */
static int64_t sooner(int64_t a_us, int64_t b_us)
{
    if (a_us < 0) return b_us;
    return b_us >= 0 && b_us < a_us ? b_us : a_us;
}

int64_t turn_before_wait(void *context)
{
    struct server *server = context;
    int64_t expiry_us = until_next_expiry_us(server), sleep_us = parking_sleep_us(server);
    int64_t spill_us = spill_store_wait_us(server->store);

    statistics_end_tick(server->statistics, loop_now_us(server->loop));
    if (server->effects->has_lost) return 0; /* the next turn closes whom it must */
    if (server->oplog)
        sleep_us = sooner(sleep_us, oplog_wait_us(server->oplog, loop_now_us(server->loop)));
    sleep_us = sooner(sleep_us, log_replacing_wait_us(server));
    sleep_us = sooner(sleep_us, stream_retention_wait_us(server));
    sleep_us = sooner(sleep_us, stream_store_wait_us(server->streams));
    return sooner(sooner(sleep_us, expiry_us), spill_us);
}
