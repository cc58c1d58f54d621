#include "modules/spill/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/alloc_size.h"
#include "modules/base/clock.h"
#include "modules/io/io.h"
#include "modules/spill/checkpoint.h"
#include "modules/spill/chunk.h"
#include "modules/spill/evict.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/format.h"
#include "modules/spill/persist.h"
#include "modules/spill/reclaim.h"
#include "modules/spill/save.h"
#include "modules/spill/store_internal.h"

enum {
    CHUNK_BYTES_MIN = 512,
    CHUNK_BYTES_MAX = 32768,
    ELEMENT_BYTES_DEFAULT = 512 << 20,
    PREFETCH_BYTES_DEFAULT = 1 << 20,
    SLICE_US_DEFAULT = 500,
    RECLAIM_STEP_NODES = 8, /* between two looks at the clock */
    RESERVE_SHARE = 8,      /* an eighth at most, of the budget and of the disk */
    RESERVE_BYTES_MIN = 64 << 10,
    RESERVE_CHUNKS = 8,
    OVERFULL_BYTES_MIN = 256 << 10, /* what removals may take above the budget, at least */
};

/* The largest of the allocator's classes that is not above what was asked for. */
uint32_t store_chunk_class(uint32_t wanted)
{
    uint32_t bytes = CHUNK_BYTES_MIN;

    if (wanted == 0) return CHUNK_BYTES_MAX;
    while (bytes < CHUNK_BYTES_MAX && alloc_size(bytes + 1) <= wanted)
        bytes = (uint32_t)alloc_size(bytes + 1);
    return bytes;
}

static uint32_t element_limit(uint64_t wanted)
{
    if (wanted == 0) return ELEMENT_BYTES_DEFAULT;
    return wanted > CHUNK_ELEMENT_BYTES_MAX ? CHUNK_ELEMENT_BYTES_MAX : (uint32_t)wanted;
}

static void set_budget(struct spill_store *store, uint64_t memory_bytes)
{
    uint64_t batch = memory_bytes / 8;

    if (batch > SPILL_BATCH_BYTES) batch = SPILL_BATCH_BYTES;
    store->budget_bytes = memory_bytes;
    store->batch_bytes = (uint32_t)batch;
}

struct spill_store *store_of_file(struct io *io, const struct spill_options *options,
                                  const struct spill_hooks *hooks, struct spill_file *file)
{
    struct spill_store *store = calloc(1, sizeof(*store));

    if (!store) return NULL;
    store->io = io;
    store->file = file;
    store->is_persistent = options->is_persistent;
    if (hooks) store->hooks = *hooks;
    /* With its header a full chunk is a whole number of blocks, and an allocator's class too. */
    store->chunk_bytes = store_chunk_class(options->chunk_bytes) - SPILL_HEADER_BYTES;
    store->element_bytes_max = element_limit(options->element_bytes_max);
    store->prefetch_bytes =
        options->prefetch_bytes > 0 ? options->prefetch_bytes : PREFETCH_BYTES_DEFAULT;
    set_budget(store, options->memory_bytes);
    page_arena_init(&store->whole_chunks);
    list_init(&store->random);
    list_init(&store->orphans);
    list_init(&store->deques);
    list_init(&store->dead);
    list_init(&store->reclaiming);
    list_init(&store->fetches);
    list_init(&store->batches);
    list_init(&store->snapshots);
    return store;
}

int spill_store_create(struct os *os, struct io *io, const struct spill_options *options,
                       const struct spill_hooks *hooks, struct spill_store **out_store)
{
    struct spill_file *file;
    int rc = spill_file_create(os, io, options->directory, options->disk_bytes_max, &file);

    if (rc < 0) return rc;
    rc = options->is_persistent ? spill_file_persist(file) : 0;
    if (rc == 0) *out_store = store_of_file(io, options, hooks, file);
    if (rc == 0 && *out_store) return 0;
    spill_file_destroy(file);
    return -ENOMEM;
}

static void finish(struct spill_store *store, bool keeps_file)
{
    if (!store) return;
    if (store->checkpoint) spill_checkpoint_abort(store, false);
    assert(store->deque_count == 0 && store->snapshot_count == 0);
    store->is_closing = true;
    while (io_in_flight(store->io) > 0)
        (void)io_wait(store->io);
    assert(store->batches_in_flight == 0 && store->reads_in_flight == 0);
    reclaim_all(store);
    assert(store->block_count == 0 && store->memory_bytes == 0);
    if (keeps_file)
        spill_file_close(store->file);
    else
        spill_file_destroy(store->file);
    chunk_bytes_free_spares(store);
    page_arena_finish(&store->whole_chunks);
    free(store);
}

void spill_store_destroy(struct spill_store *store)
{
    finish(store, false);
}

void spill_store_close(struct spill_store *store)
{
    finish(store, true);
}

bool spill_store_tick(struct spill_store *store, uint64_t slice_us)
{
    uint64_t end_us;
    bool has_more = reclaim_nodes(store, RECLAIM_STEP_NODES);

    if (slice_us == 0) slice_us = SLICE_US_DEFAULT;
    store->turn++;
    if (has_more) { /* else the clock need not be read */
        end_us = clock_monotonic_us() + slice_us;
        while (has_more && clock_monotonic_us() < end_us)
            has_more = reclaim_nodes(store, RECLAIM_STEP_NODES);
    }
    if (store->checkpoint && checkpoint_tick(store)) has_more = true;
    if (store->is_persistent && checkpoint_settle(store)) has_more = true;
    if (store->checkpoint && save_tick(store, slice_us)) has_more = true;
    if (evict_tick(store, slice_us)) has_more = true;
    if (spill_file_tick(store->file)) has_more = true;
    if (store->reserve != SPILL_DISK_HAS_ROOM) store_update_pressure(store);
    return has_more;
}

int64_t spill_store_wait_us(const struct spill_store *store)
{
    return spill_file_wait_us(store->file);
}

void spill_store_set_memory(struct spill_store *store, uint64_t memory_bytes)
{
    set_budget(store, memory_bytes);
    store_update_pressure(store);
}

void spill_store_set_disk_max(struct spill_store *store, uint64_t disk_bytes_max)
{
    struct spill_file_info file;
    bool is_raised;

    spill_file_info(store->file, &file);
    is_raised =
        file.disk_bytes_max > 0 && (disk_bytes_max == 0 || disk_bytes_max > file.disk_bytes_max);
    spill_file_set_disk_max(store->file, disk_bytes_max);
    store->retry_us = 0; /* there may be room now */
    if (!is_raised || store->disk != SPILL_DISK_AT_LIMIT) return;
    /* Who pushes waits for the next write, which tells, and is not refused for the last one. */
    store->disk = SPILL_DISK_HAS_ROOM;
    store_update_pressure(store);
}

void spill_store_set_element_max(struct spill_store *store, uint64_t element_bytes_max)
{
    store->element_bytes_max = element_limit(element_bytes_max);
}

void spill_store_use_reserve(struct spill_store *store, bool is_used)
{
    store->uses_reserve = is_used;
}

void spill_store_give_all(struct spill_store *store, bool is_on)
{
    spill_file_give_all(store->file, is_on);
}

/* What pops may make dirty besides: they take the chunk at the end of a list from disk, and its old
 * extent is kept until the next checkpoint. At most a chunk a list, and no more than there is on
 * disk; of a small disk no more than a part. */
static uint64_t pops_may_need(const struct spill_store *store)
{
    struct spill_file_info file;
    uint64_t bytes = store->grown_count * (store->chunk_bytes + SPILL_BLOCK_BYTES), most;

    spill_file_info(store->file, &file);
    most = file.disk_bytes_max > 0 ? file.disk_bytes_max / RESERVE_SHARE
                                   : file.used_bytes / RESERVE_SHARE;
    if (most > file.used_bytes) most = file.used_bytes;
    return bytes < most ? bytes : most;
}

/* All that is in memory may have to be written by the next checkpoint, or a full disk could not be
 * drained. On disk a chunk takes a block more at most, and small ones, which share blocks, half as
 * much again. */
static uint64_t unsaved_may_need(const struct spill_store *store)
{
    uint64_t memory = store->memory_bytes, more = store->chunks_loaded * SPILL_BLOCK_BYTES;

    return memory + (more < memory / 2 ? more : memory / 2);
}

static uint64_t reserve_margin(const struct spill_store *store)
{
    uint64_t margin = store->budget_bytes / RESERVE_SHARE;

    if (margin > store->memory_bytes / 4) margin = store->memory_bytes / 4;
    return margin + RESERVE_BYTES_MIN + RESERVE_CHUNKS * (uint64_t)store->chunk_bytes;
}

static void update_reserve(struct spill_store *store)
{
    static const enum spill_disk causes[] = { [SPILL_RESERVED] = SPILL_DISK_HAS_ROOM,
                                              [SPILL_RESERVE_ABOVE_LIMIT] = SPILL_DISK_AT_LIMIT,
                                              [SPILL_RESERVE_NOT_ON_DISK] = SPILL_DISK_FULL };
    uint64_t wanted = unsaved_may_need(store) + reserve_margin(store) + pops_may_need(store);

    spill_file_reserve(store->file, wanted);
    store->reserve = causes[spill_file_reserve_state(store->file)];
    if (store->reserve != SPILL_DISK_HAS_ROOM) store->is_full = true;
    if (spill_file_has_reserved(store->file, wanted)) store->rewritten_bytes = 0;
}

void store_update_pressure(struct spill_store *store)
{
    if (store->memory_bytes > store->budget_bytes)
        store->is_slow = true;
    else if (store->memory_bytes + store->batch_bytes <= store->budget_bytes)
        store->is_slow = false;
    /* While it is slow it would wait for evictions, and with a full disk none comes. When room has
     * come back since and is being written into, what comes of that decides. */
    bool may_find_room =
        store->batches_in_flight > 0 && store->freed_extents != store->freed_extents_at_failure;
    store->is_full = store->disk != SPILL_DISK_HAS_ROOM && store->is_slow && !may_find_room;
    if (store->is_persistent) update_reserve(store);
}

enum spill_disk spill_store_disk(const struct spill_store *store)
{
    return store->disk != SPILL_DISK_HAS_ROOM ? store->disk : store->reserve;
}

enum spill_pressure spill_store_pressure(const struct spill_store *store)
{
    if (store->is_full) return SPILL_FULL;
    if (store->memory_bytes > store->budget_bytes) return SPILL_SLOW;
    if (store->is_slow && store->memory_bytes + store->batch_bytes > store->budget_bytes) {
        return SPILL_SLOW;
    }
    return SPILL_OK;
}

/* What is there now may be more than what the reserve was made for: some of it clean, as nobody
 * counts that, but what was rewritten is not. */
static bool is_beyond_reserve(const struct spill_store *store)
{
    return store->is_persistent && store->reserve != SPILL_DISK_HAS_ROOM &&
           !spill_file_has_reserved(store->file, unsaved_may_need(store));
}

enum spill_room spill_store_room(const struct spill_store *store)
{
    uint64_t margin = reserve_margin(store);

    if (!store->is_persistent) return SPILL_HAS_ROOM;
    if (store->reserve == SPILL_DISK_HAS_ROOM)
        return spill_file_has_reserved(store->file, unsaved_may_need(store)) ? SPILL_HAS_ROOM
                                                                             : SPILL_ROOM_COMING;
    if (store->rewritten_bytes <= margin / 2) return SPILL_HAS_ROOM;
    return store->rewritten_bytes > margin && is_beyond_reserve(store) ? SPILL_ROOM_NONE
                                                                       : SPILL_ROOM_SHORT;
}

/* Where nothing is kept for a checkpoint, as much is freed at once. */
void spill_store_rewrote(struct spill_store *store, uint64_t bytes)
{
    if (!store->is_persistent) return;
    if (store->checkpoint || spill_file_deferred_bytes(store->file) > 0)
        store->rewritten_bytes += bytes;
}

bool store_is_overfull(const struct spill_store *store, uint64_t made_bytes)
{
    uint64_t most = store->budget_bytes + store->budget_bytes / RESERVE_SHARE + OVERFULL_BYTES_MIN;

    if (store->uses_reserve) return false;
    if (store->rewritten_bytes + made_bytes > reserve_margin(store) && is_beyond_reserve(store))
        return true;
    return store->disk != SPILL_DISK_HAS_ROOM && store->memory_bytes - store->writing_bytes > most;
}

bool spill_store_may_rewrite(const struct spill_store *store)
{
    return !store_is_overfull(store, store->chunk_bytes);
}

void store_set_error(struct spill_store *store, uint64_t list, uint64_t first_index,
                     uint64_t element_count, const char *what, int rc)
{
    int place = snprintf(store->last_error, sizeof(store->last_error), "list %llu, ",
                         (unsigned long long)list);

    store->error_list = list;
    store->error_place = (size_t)place;
    (void)snprintf(store->last_error + place, sizeof(store->last_error) - (size_t)place,
                   "elements %llu to %llu: %s (%s)", (unsigned long long)first_index,
                   (unsigned long long)(first_index + element_count - 1), what, strerror(-rc));
}

const char *spill_store_last_error(const struct spill_store *store)
{
    return store->last_error;
}

const char *spill_store_last_error_in(const struct spill_store *store, uint64_t *out_list)
{
    *out_list = store->error_list;
    return store->last_error + store->error_place;
}

void spill_store_info(const struct spill_store *store, struct spill_store_info *out_info)
{
    struct spill_file_info file;

    spill_file_info(store->file, &file);
    *out_info = (struct spill_store_info){
        .memory_bytes = store->memory_bytes + file.memory_bytes +
                        store->spare_count * alloc_size(store->chunk_bytes),
        .memory_budget_bytes = store->budget_bytes,
        .index_memory_bytes = store->index_bytes,
        .element_count = store->element_count,
        .deque_count = store->deque_count,
        .chunk_count = store->chunk_count,
        .chunks_in_memory = store->chunks_loaded,
        .file_bytes = file.file_bytes,
        .disk_used_bytes = file.used_bytes,
        .disk_max_bytes = file.disk_bytes_max,
        .evicted_chunks = store->evicted_chunks,
        .evicted_bytes = store->evicted_bytes,
        .fetched_chunks = store->fetched_chunks,
        .fetched_bytes = store->fetched_bytes,
        .prefetched_chunks = store->prefetched_chunks,
        .writes = file.writes,
        .write_errors = file.write_errors,
        .reads = file.reads,
        .read_errors = file.read_errors,
        .checksum_errors = file.checksum_errors,
        .punched_bytes = file.punched_bytes,
        .truncated_bytes = file.truncated_bytes,
        .reads_in_flight = store->reads_in_flight,
        .writes_in_flight = store->batches_in_flight,
        .waits = store->waits,
        .pending_free_deques = store->dead_count,
    };
}

int spill_store_evict_all(struct spill_store *store)
{
    return evict_all(store);
}

void spill_store_check(const struct spill_store *store)
{
    uint64_t random_bytes = 0, dead = 0;

    spill_file_check(store->file);
    list_for_each(link, &store->random)
    {
        const struct block *block = list_container(link, struct block, link);
        assert(block->is_random && block->ref_count > 0);
        random_bytes += block_loaded_bytes(block);
    }
    list_for_each(link, &store->dead)
    {
        const struct block *block = list_container(link, struct block, link);
        assert(block->is_discarded && block->ref_count == 0 && block->height > 0);
        dead++;
    }
    assert(random_bytes == store->random_bytes && dead == store->dead_count);
    assert(store->index_bytes <= store->memory_bytes);
    assert(store->writing_bytes <= store->memory_bytes);
    assert(store->batches_in_flight <= BATCHES_MAX);
}
