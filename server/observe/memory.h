/* memory.h - who holds how much memory, and what follows for the spill budget and for growing
 * commands.
 *
 * Owners tell their sums (keyspace, clients, buffers, parked calls, fibers, log, spill); the kernel
 * tells RssAnon. The larger of the two, less what spill holds, is what cannot be spilled; spill's
 * budget is what maxmemory leaves beside it. When keys, values, list roots and clients, as counted,
 * leave too little, commands that need memory that cannot spill are refused: never because of pages
 * that the allocator has not given back yet, or of producers that wait. Loop thread only. */
#ifndef SERVER_OBSERVE_MEMORY_H
#define SERVER_OBSERVE_MEMORY_H
#include <stdbool.h>
#include <stdint.h>

struct memory;
struct net;
struct keyspace;
struct blocked;
struct watch;
struct spill_store;
struct stream_group_store;
struct stream_store;
struct fiber_pool;
struct disposal;

struct memory_owners {
    struct net *net;
    struct keyspace *keyspace;
    struct blocked *blocked;
    struct watch *watch;
    struct spill_store *store;
    struct stream_store *streams;
    struct stream_group_store *stream_groups;
    struct fiber_pool *fibers;
    const struct disposal *disposal;         /* NULL: none */
    uint64_t (*parked_bytes)(void *context); /* parked calls and their arguments */
    /* Of the log and a checkpoint, on their way to the disk. */
    uint64_t (*log_bytes)(void *context);
    /* True: what is written is copied once more before it is in the log's file. */
    bool (*log_is_buffered)(void *context);
    /* Starts giving the allocator's free pages back to the kernel; must not wait for it. */
    void (*purge)(void *purge_context);
    void *context, *purge_context;
};

int memory_create(const struct memory_owners *owners, uint64_t limit_bytes, uint64_t list_bytes_max,
                  struct memory **out_memory);
void memory_destroy(struct memory *memory); /* accepts NULL */

/* list_bytes_max: a cap on spill's memory below what the limit leaves; 0: none. */
void memory_set_limit(struct memory *memory, uint64_t limit_bytes, uint64_t list_bytes_max);
uint64_t memory_limit(const struct memory *memory);

/* Another store has taken the place of the one there was. */
void memory_set_store(struct memory *memory, struct spill_store *store);
void memory_set_streams(struct memory *memory, struct stream_store *streams);

/* A command is about to add so many bytes at once: lists make room for them (spill_store_pressure
 * tells when they have) until the next call, with 0 when nothing is about to come. */
void memory_expect(struct memory *memory, uint64_t bytes);

/* What sessions hold beside net's own: transactions, names. */
void memory_add_clients(struct memory *memory, int64_t delta_bytes);

/* Once a turn: adds up the owners and sets the store's budget when it changed. */
void memory_update(struct memory *memory);
/* Asks the kernel, every 10 ms while there is work, else every 100 ms. */
void memory_sample(struct memory *memory);

/* True: a command that needs memory that cannot spill gets -OOM; one that brings so many bytes. */
bool memory_is_exhausted(const struct memory *memory, uint64_t bytes);

/* By how much what cannot be spilled, as counted, is above what leaves others room: streams that
 * nobody uses should leave memory (stream_store_shrink) before commands are refused. */
uint64_t memory_excess_bytes(const struct memory *memory);

struct memory_info {
    uint64_t limit_bytes, used_bytes /* the owners' sum */, peak_used_bytes;
    uint64_t rss_anon_bytes, rss_bytes, peak_rss_anon_bytes;
    uint64_t startup_bytes; /* RssAnon before the first client */
    uint64_t keyspace_bytes, values_bytes, streams_bytes, clients_bytes, buffers_bytes,
        parked_bytes, fibers_bytes;
    uint64_t stream_windows_bytes; /* what readers of streams have fetched or unpacked */
    uint64_t freeing_bytes; /* of large values that have gone, on their way back to the kernel */
    uint64_t blocked_bytes, sessions_bytes, log_bytes;
    uint64_t spill_bytes, spill_budget_bytes, spill_index_bytes;
    uint64_t unspillable_bytes;
};
void memory_info(const struct memory *memory, struct memory_info *out_info);
#endif
