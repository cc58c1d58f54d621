/* store.h - the spill file, the memory budget and the cache shared by many deques.
 *
 * The store counts every byte its deques hold in memory. Above the budget it evicts: chunks far
 * from both ends first, then cold ends and tree nodes, in writes of about 1 MiB made by an I/O
 * thread. Freed extents are reused first; the freed tail of the file is truncated, long free runs
 * inside are punched.
 *
 * One thread (the owner of io) only. Nothing here logs. */
#ifndef MODULES_SPILL_STORE_H
#define MODULES_SPILL_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os;
struct io;
struct spill_store;

/* How the caller of an operation waits. Both may be called only from inside a deque, cursor or
 * snapshot operation. */
struct spill_hooks {
    /* Something that the current operation needs is being read. Returns 0 when it should look again
     * (any completion may have come), or an error to give up with: -EAGAIN. The hook must let io
     * completions run (io_poll or io_wait) or suspend the caller until they have. NULL: every
     * operation that would wait returns -EAGAIN. */
    int (*wait)(void *context);
    /* A long operation has done a slice of its work. Returns 0 to go on, or an error to stop with.
     * NULL: go on. */
    int (*pause)(void *context);
    /* Runs once when a read that somebody waits for has ended (successfully or not), before
     * io_poll returns: the moment to resume suspended callers. NULL: nobody is suspended. */
    void (*on_ready)(void *context);
    void *context;
};

struct spill_options {
    const char *directory; /* exists; the store's files in it are named spill-*.dat */
    uint64_t
        memory_bytes;        /* budget of chunks, nodes and descriptors; what is pinned or being
                              * written   may exceed it for a while. The file's transfer buffers (at
                              * most 6 MiB)   and 16 spare chunks come on top; info counts them too. */
    uint64_t disk_bytes_max; /* 0: no limit but the disk's */
    uint32_t chunk_bytes;    /* full chunk with its header, as allocated: 512 to 32768; 0: 32768 */
    uint32_t element_bytes_max; /* larger elements are refused; 0: 512 MiB */
    uint32_t prefetch_bytes;    /* kept loaded ahead of a draining end; 0: 1 MiB */
    bool is_persistent; /* checkpoints will be made (persist.h): room on disk is kept for what is in
                         * memory only, and growing is refused when there is none */
};

/* Files of an earlier life (spill-*.dat) are removed. os and io must outlive the store. */
int spill_store_create(struct os *os, struct io *io, const struct spill_options *options,
                       const struct spill_hooks *hooks, struct spill_store **out_store);
/* All deques, snapshots and cursors must be gone. Waits for what is in flight. Accepts NULL.
 * Removes the files. */
void spill_store_destroy(struct spill_store *store);

/* Evicts, frees dropped trees, prefetches, returns disk space: what is due, for at most slice_us
 * (0: 500). To be called once a turn of the loop. True: call again soon, there is more to do. */
bool spill_store_tick(struct spill_store *store, uint64_t slice_us);
/* In how many microseconds it is to be called although nothing happens until then, or -1: disk
 * space is given back when there is little else to do. As of the last tick. */
int64_t spill_store_wait_us(const struct spill_store *store);

/* Changes take effect at once, as eviction can. */
void spill_store_set_memory(struct spill_store *store, uint64_t memory_bytes);
void spill_store_set_disk_max(struct spill_store *store, uint64_t disk_bytes_max);
void spill_store_set_element_max(struct spill_store *store, uint64_t element_bytes_max);

/* While on, elements are taken although memory is at its limit and the disk full, or they are
 * longer than what is accepted by now: for moves between deques, which end with what they began
 * with. Off again before the caller may be suspended. */
void spill_store_use_reserve(struct spill_store *store, bool is_used);

/* While on, what is free inside the file is given back to the file system at once: others need room
 * on the disk. Else some of it is kept, as it is cheaper to write again. */
void spill_store_give_all(struct spill_store *store, bool is_on);

/* The producers' signal. OK: go on. SLOW: memory is above the budget and eviction is under way:
 * whoever grows deques should stop until it says OK again. FULL: memory is at its limit and the
 * disk cannot take more: what grows is refused with -ENOSPC. A few loads; meant to be asked before
 * each command that grows. */
enum spill_pressure { SPILL_OK, SPILL_SLOW, SPILL_FULL };
enum spill_pressure spill_store_pressure(const struct spill_store *store);

/* Who changes what is there without adding (moves between deques, removals inside) is never FULL,
 * but makes chunks dirty, and a checkpoint keeps what they were on disk until the next one.
 *   HAS_ROOM     go on
 *   COMING       more room is being allocated: wait for it
 *   SHORT        wait for a checkpoint that gives deferred extents free, if there are any
 *   NONE         not even what is dirty now is sure to find room: refuse
 * A store without checkpoints always has room. */
enum spill_room { SPILL_HAS_ROOM, SPILL_ROOM_COMING, SPILL_ROOM_SHORT, SPILL_ROOM_NONE };
enum spill_room spill_store_room(const struct spill_store *store);
/* True: what rewrites a chunk now, of spill_store_room or after it has waited, takes none of the
 * room that the next checkpoint needs, and memory has some. */
bool spill_store_may_rewrite(const struct spill_store *store);
/* So many bytes of elements were moved (removals tell themselves). */
void spill_store_rewrote(struct spill_store *store, uint64_t bytes);

/* What the last write was stopped by, and so why a store is FULL. */
enum spill_disk { SPILL_DISK_HAS_ROOM, SPILL_DISK_AT_LIMIT /* disk_bytes_max */, SPILL_DISK_FULL };
enum spill_disk spill_store_disk(const struct spill_store *store);

struct spill_store_info {
    uint64_t memory_bytes; /* held now: chunks, nodes, descriptors, buffers of writes */
    uint64_t memory_budget_bytes;
    uint64_t index_memory_bytes; /* the nodes' and descriptors' part of memory_bytes */
    uint64_t element_count;      /* in all deques */
    uint64_t deque_count, chunk_count, chunks_in_memory;
    uint64_t file_bytes;                    /* size of the spill file */
    uint64_t disk_used_bytes;               /* extents in use, in whole blocks */
    uint64_t disk_max_bytes;                /* 0: no limit */
    uint64_t evicted_chunks, evicted_bytes; /* since start: written to disk and dropped */
    uint64_t fetched_chunks, fetched_bytes; /* since start: read back because asked for */
    uint64_t prefetched_chunks;             /* of which ahead of need */
    uint64_t writes, write_errors, reads, read_errors, checksum_errors;
    uint64_t punched_bytes, truncated_bytes;
    uint64_t reads_in_flight, writes_in_flight;
    uint64_t waits;               /* times that an operation needed something that was not there */
    uint64_t pending_free_deques; /* dropped trees not yet walked */
};
void spill_store_info(const struct spill_store *store, struct spill_store_info *out_info);

/* The last read, checksum or write error in words, naming list and range, however long ago; "" when
 * there was none. To be at disk_bytes_max is no error.
 * Good until the next call on the store. */
const char *spill_store_last_error(const struct spill_store *store);

/* The same without the list, whose spill_deque_number is in *out_list. */
const char *spill_store_last_error_in(const struct spill_store *store, uint64_t *out_list);

/* Evicts all that can be, waiting for the writes: for tests and benches. */
int spill_store_evict_all(struct spill_store *store);
/* Asserts every invariant of allocator and cache; for tests. */
void spill_store_check(const struct spill_store *store);
#endif
