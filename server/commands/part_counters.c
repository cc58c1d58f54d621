#include "server/commands/part_counters.h"

#include <string.h>

#include "modules/spill/store.h"
#include "server/commands/server.h"
#include "server/commands/statistics.h"
#include "server/keyspace/keyspace.h"

void part_counters_since_start(const struct server *server, struct part_counters *out_counters)
{
    struct keyspace_info keyspace;
    struct spill_store_info spill;

    keyspace_info(server->keyspace, &keyspace);
    spill_store_info(server->store, &spill);
    *out_counters = (struct part_counters){
        .expired_keys = keyspace.expired_keys,
        .evicted_chunks = spill.evicted_chunks,
        .evicted_bytes = spill.evicted_bytes,
        .fetched_chunks = spill.fetched_chunks,
        .fetched_bytes = spill.fetched_bytes,
        .prefetched_chunks = spill.prefetched_chunks,
        .writes = spill.writes,
        .write_errors = spill.write_errors,
        .reads = spill.reads,
        .read_errors = spill.read_errors,
        .checksum_errors = spill.checksum_errors,
        .punched_bytes = spill.punched_bytes,
        .truncated_bytes = spill.truncated_bytes,
        .waits = spill.waits,
    };
}

void part_counters_since_reset(const struct server *server, struct part_counters *out_counters)
{
    const struct part_counters then = server->statistics->at_reset;
    struct part_counters now;

    part_counters_since_start(server, &now);
    *out_counters = (struct part_counters){
        .expired_keys = now.expired_keys - then.expired_keys,
        .evicted_chunks = now.evicted_chunks - then.evicted_chunks,
        .evicted_bytes = now.evicted_bytes - then.evicted_bytes,
        .fetched_chunks = now.fetched_chunks - then.fetched_chunks,
        .fetched_bytes = now.fetched_bytes - then.fetched_bytes,
        .prefetched_chunks = now.prefetched_chunks - then.prefetched_chunks,
        .writes = now.writes - then.writes,
        .write_errors = now.write_errors - then.write_errors,
        .reads = now.reads - then.reads,
        .read_errors = now.read_errors - then.read_errors,
        .checksum_errors = now.checksum_errors - then.checksum_errors,
        .punched_bytes = now.punched_bytes - then.punched_bytes,
        .truncated_bytes = now.truncated_bytes - then.truncated_bytes,
        .waits = now.waits - then.waits,
    };
}

void part_counters_reset(struct server *server)
{
    part_counters_since_start(server, &server->statistics->at_reset);
}

/* Counts may have fallen; differences wrap, and come out right all the same. */
void part_counters_carry(struct server *server, const struct part_counters *before)
{
    enum { COUNTS = sizeof(*before) / sizeof(uint64_t) };
    uint64_t old[COUNTS], new[COUNTS], reset[COUNTS];
    struct part_counters now;

    part_counters_since_start(server, &now);
    memcpy(old, before, sizeof(old));
    memcpy(new, &now, sizeof(new));
    memcpy(reset, &server->statistics->at_reset, sizeof(reset));
    for (size_t i = 0; i < COUNTS; i++)
        reset[i] += new[i] - old[i];
    memcpy(&server->statistics->at_reset, reset, sizeof(reset));
}
