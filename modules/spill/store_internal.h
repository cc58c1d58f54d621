/* store_internal.h - the store as its own files see it: counters, rings, what is in flight.
 *
 * One thread (the store's owner). */
#ifndef MODULES_SPILL_STORE_INTERNAL_H
#define MODULES_SPILL_STORE_INTERNAL_H
#include <stdlib.h>
#include <string.h>

#include "modules/base/list.h"
#include "modules/base/page_arena.h"
#include "modules/spill/block.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"

enum {
    BATCHES_MAX = 4,        /* writes in flight */
    RECLAIM_READS_MAX = 16, /* nodes of dropped trees being read */
    PROTECTED_TURNS = 256,  /* how long what a failed attempt had fetched waits for the next */
    LAST_ERROR_BYTES = 200,
    SPARE_CHUNKS_MAX = 16, /* 512 KiB of full chunks */
};

struct spill_store {
    /* What pushing and popping touch. */
    uint64_t memory_bytes; /* blocks, deques, buffers of transfers; the file's own are not in it */
    uint64_t element_count;
    uint32_t element_bytes_max, chunk_bytes;
    bool is_full;      /* pushes are refused, */
    bool uses_reserve; /* unless this is set */

    bool is_slow;            /* was above the budget and has not come down a batch yet */
    enum spill_disk disk;    /* what the last write found */
    bool is_persistent;      /* checkpoints are made, and room is kept for them */
    enum spill_disk reserve; /* what keeps that room from being there */
    /* Made dirty by what adds nothing, since there was room for all, or the last checkpoint. */
    uint64_t rewritten_bytes;
    uint64_t checkpoint_rewritten_bytes; /* of which the running one saves */
    bool is_closing;                     /* dropped trees on disk need not be read any more */
    uint32_t turn;                       /* counts ticks */
    uint32_t prefetch_bytes;
    uint32_t batch_bytes; /* of one write: about 1 MiB, less for small budgets */
    uint64_t budget_bytes;
    uint64_t index_bytes;   /* of memory_bytes: nodes and descriptors */
    uint64_t slot_bytes;    /* of index_bytes: the nodes' slots */
    uint64_t writing_bytes; /* of memory_bytes: what is dropped when the writes in flight end */
    uint64_t random_bytes;  /* of memory_bytes: contents of blocks in `random` */
    uint64_t ahead_bytes;   /* prefetched or being so, and not used yet */
    uint64_t retry_us;      /* no write before that moment, after one failed */
    uint64_t freed_extents; /* counts; a full disk is tried again when it has moved */
    uint64_t freed_extents_at_failure;

    uint64_t allocations_to_failure; /* of tests: 1: the next one fails; 0: none does */

    uint32_t epoch;                /* checkpoints begun */
    bool is_picturing;             /* the running one does not have all of its picture yet */
    bool counts_dead;              /* the ring of the dead is being looked through, in slices */
    bool acts_before;              /* what changes now is of a deque that it has not seen yet */
    struct checkpoint *checkpoint; /* the running one, or NULL: checkpoint.h */
    uint64_t checkpoints, saved_bytes;
    bool was_opened; /* from an earlier life's checkpoint */
    bool is_pinned;  /* the last complete checkpoint is being copied */

    struct io *io;
    struct spill_file *file;
    struct spill_hooks hooks;
    struct list_link random;  /* blocks in memory that no deque's ring holds; most recent first */
    struct list_link orphans; /* the same of deques that are gone */
    struct list_link
        deques; /* those with something in memory; the eviction's hand is at its head */
    /* Nodes without references, those in memory first: their children are to be released. */
    struct list_link dead;
    struct list_link reclaiming;       /* the same while they are read */
    struct list_link fetches, batches; /* reads and writes under way */
    struct list_link snapshots;
    uint64_t batches_ended;
    unsigned batches_in_flight, reads_in_flight;
    unsigned gathering_reads; /* of reads_in_flight: of crumbs, by the eviction */
    unsigned rounds;          /* of eviction, to take cold deques every few */
    uint32_t pass;            /* of the eviction's hand over the deques */
    int write_rc;             /* of the last write that failed */
    uint64_t next_list, next_generation;
    uint64_t block_count, deque_count, grown_count, snapshot_count;
    uint64_t chunk_count;
    uint64_t chunks_loaded, dead_count;
    unsigned reclaim_turns; /* in which a checkpoint could not begin for dropped trees in memory */
    uint64_t evicted_chunks, evicted_bytes, fetched_chunks, fetched_bytes, prefetched_chunks, waits;
    void *spares[SPARE_CHUNKS_MAX]; /* rooms for full chunks, not counted in memory_bytes */
    unsigned spare_count;
    struct page_arena whole_chunks; /* where rooms for full chunks come from, if they are pages */
    char last_error[LAST_ERROR_BYTES];
    uint64_t error_list;
    size_t error_place; /* where last_error goes on behind the list's number */
};

/* jemalloc as Debian builds it lets blocks of this size and more begin anywhere in a page, for
 * which it takes one page more; what is aligned takes none. */
enum { WHOLE_PAGES_FROM_BYTES = 16384, PAGE_BYTES = 4096 };

/* All memory comes through here, so that tests can let any allocation fail. */
static inline bool store_may_allocate(struct spill_store *store)
{
    return store->allocations_to_failure == 0 || --store->allocations_to_failure > 0;
}

/* NULL: there is none. */
static inline void *store_allocate(struct spill_store *store, size_t size)
{
    if (!store_may_allocate(store)) return NULL;
    if (size < WHOLE_PAGES_FROM_BYTES) return malloc(size);
    return aligned_alloc(PAGE_BYTES, (size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
}

static inline void *store_allocate_zeroed(struct spill_store *store, size_t size)
{
    void *bytes = store_allocate(store, size);

    return bytes ? memset(bytes, 0, size) : NULL;
}

static inline void store_charge(struct spill_store *store, uint64_t bytes)
{
    store->memory_bytes += bytes;
}

static inline void store_discharge(struct spill_store *store, uint64_t bytes)
{
    store->memory_bytes -= bytes;
}

/* Of what changes now. Before the running checkpoint has seen a deque, its upkeep belongs to the
 * picture: it only says otherwise what was there. */
static inline uint32_t store_acting_epoch(const struct spill_store *store)
{
    return store->epoch - store->acts_before;
}

/* A store around its file, which becomes the store's. NULL: out of memory, and the file stays the
 * caller's. */
struct spill_store *store_of_file(struct io *io, const struct spill_options *options,
                                  const struct spill_hooks *hooks, struct spill_file *file);
/* A full chunk with its header, of a store with such options. */
uint32_t store_chunk_class(uint32_t wanted);
/* Brings is_slow and is_full up to date: after anything that moves memory by a chunk or more. */
void store_update_pressure(struct spill_store *store);
/* What an operation holds until its end finds room neither on disk nor in memory: it had better
 * give up. made_bytes: of chunks that it has made. */
bool store_is_overfull(const struct spill_store *store, uint64_t made_bytes);
/* Remembers an error in words: "list 7, elements 100 to 199: text". */
void store_set_error(struct spill_store *store, uint64_t list, uint64_t first_index,
                     uint64_t element_count, const char *what, int rc);
#endif
