/* rdb_stream.h - what a stream in an RDB file holds, told in the order in which it lies there.
 *
 *   entry, its names and values as parts · entry · … · state
 *   · group · consumer · pending · pending · … · consumer · … · pending that nobody owns · group ·
 * … · producers · produced · …
 *
 * Entries that were deleted are passed over. Ids of entries are greater than the ones before, or
 * the file is refused. */
#ifndef MODULES_RDB_RDB_STREAM_H
#define MODULES_RDB_RDB_STREAM_H
#include <stdint.h>

#include "modules/base/slice.h"

struct rdb_stream_id {
    uint64_t ms, seq;
};

/* Negative, 0, positive: as memcmp. */
static inline int rdb_stream_id_compare(struct rdb_stream_id a, struct rdb_stream_id b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    if (a.seq != b.seq) return a.seq < b.seq ? -1 : 1;
    return 0;
}

struct rdb_stream_state {
    uint64_t entry_count;
    struct rdb_stream_id last_id, max_deleted_id;
    uint64_t entries_added; /* ever; before Redis 7.0 not known: entry_count */
};

struct rdb_group {
    struct slice name; /* good until the next group */
    struct rdb_stream_id last_id;
    int64_t entries_read; /* -1: not known */
};

struct rdb_consumer {
    struct slice name;          /* good until the next consumer or group */
    int64_t seen_ms, active_ms; /* since 1970; active -1: never, or not told (before Redis 7.2) */
};

struct rdb_pending {
    struct rdb_stream_id id;
    int64_t delivered_ms; /* since 1970 */
    uint64_t delivery_count;
};

/* How producers' ids are remembered (XADD IDMP), since Redis 8.6. */
struct rdb_producers {
    uint64_t duration_s, size_max;
};

struct rdb_produced {
    struct slice producer, id; /* good during the call */
    struct rdb_stream_id entry;
};

/* Results as those of struct rdb_visitor. Any may be NULL: then that is checked and passed over. */
struct rdb_stream_visitor {
    /* part_count names and values follow, a name before each value: an even number above 0. */
    int (*entry)(void *context, struct rdb_stream_id id, uint64_t part_count);
    int (*state)(void *context, const struct rdb_stream_state *state);
    int (*group)(void *context, const struct rdb_group *group);
    int (*consumer)(void *context, const struct rdb_consumer *consumer);
    /* Of the last consumer; behind a group's last consumer once more with owner NULL. */
    int (*pending)(void *context, const struct rdb_consumer *owner,
                   const struct rdb_pending *pending);
    int (*producers)(void *context, const struct rdb_producers *producers);
    int (*produced)(void *context, const struct rdb_produced *produced);
};
#endif
