#include "server/observe/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "modules/io/disposal.h"
#include "modules/io/fiber.h"
#include "modules/spill/store.h"
#include "modules/stream/group.h"
#include "modules/stream/stream.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/watch.h"
#include "server/net/net.h"

enum {
    /* Lists work with this little, slowly; below it nothing else may take more. */
    SPILL_SHARE_LEAST = 16,     /* of the limit: a sixteenth */
    FIXED_QUARTERS = 3,         /* of the limit may be what cannot be spilled without shrinking */
    BUDGET_GRAIN_BYTES = 65536, /* smaller changes of the budget are not worth a call */
    LIST_ROOT_BYTES = 320, /* what a list on disk keeps in memory; a small one less, but may grow */
    /* Aimed at is a little less than the limit, so that what grows between two looks at RssAnon
     * stays within the promise: a tenth, and not more than this. */
    RESERVE_PART = 10,
    RESERVE_BYTES_MAX = 16 << 20,
    INPUT_PART = 4, /* of the limit: what net lets requests under way hold */
    INPUT_A_CLIENT_BYTES = 65536,
    WINDOWS_PART = 8, /* of the limit: what readers of streams may hold */
};

struct memory {
    struct memory_owners owners;
    uint64_t limit_bytes, list_bytes_max;
    int64_t session_bytes;
    int statm_fd;
    uint64_t page_bytes;
    uint64_t rss_bytes, rss_anon_bytes, peak_rss_anon_bytes, startup_bytes;
    uint64_t used_bytes, peak_used_bytes;
    uint64_t unspillable_bytes; /* estimate of now */
    uint64_t to_come_bytes;     /* room kept for what clients may send at any moment */
    uint64_t expected_bytes;    /* of a command that is about to run */
    uint64_t fixed_bytes;       /* counted now: what goes only when clients remove it */
    /* At the last sample: RssAnon less spill's, and what the owners counted. Between samples the
     * owners' growth is added to it. */
    uint64_t sampled_unspillable_bytes, sampled_counted_bytes;
    uint64_t budget_bytes;
};

int memory_create(const struct memory_owners *owners, uint64_t limit_bytes, uint64_t list_bytes_max,
                  struct memory **out_memory)
{
    struct memory *memory = calloc(1, sizeof(*memory));

    if (!memory) return -ENOMEM;
    memory->owners = *owners;
    memory->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    memory->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (memory->statm_fd < 0) {
        int rc = -errno;

        free(memory);
        return rc;
    }
    memory_sample(memory);
    memory->startup_bytes = memory->rss_anon_bytes;
    memory_set_limit(memory, limit_bytes, list_bytes_max);
    *out_memory = memory;
    return 0;
}

void memory_destroy(struct memory *memory)
{
    if (!memory) return;
    (void)close(memory->statm_fd);
    free(memory);
}

uint64_t memory_limit(const struct memory *memory)
{
    return memory->limit_bytes;
}

void memory_add_clients(struct memory *memory, int64_t delta_bytes)
{
    memory->session_bytes += delta_bytes;
}

/* Fields of statm are pages: size resident shared …; shared is what files and shared memory back.
 */
static void read_rss(struct memory *memory)
{
    char text[128];
    unsigned long long size, resident, shared;
    ssize_t got = pread(memory->statm_fd, text, sizeof(text) - 1, 0);

    if (got <= 0) return; /* the last figure stands */
    text[got] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3) return;
    memory->rss_bytes = resident * memory->page_bytes;
    memory->rss_anon_bytes = (resident - shared) * memory->page_bytes;
    if (memory->rss_anon_bytes > memory->peak_rss_anon_bytes)
        memory->peak_rss_anon_bytes = memory->rss_anon_bytes;
}

/* What the owners tell, asked once for all sums. */
struct counts {
    uint64_t beside_spill; /* everything but spill's */
    uint64_t spill;
    /* Keys, values, list roots and clients: what eviction, flushing and purging cannot make less.
     */
    uint64_t for_good;
    /* What clients may send at any moment and is not there yet, and what becomes of what is queued:
     * it comes faster than eviction makes room. */
    uint64_t to_come;
};

static uint64_t freeing_bytes(const struct memory_owners *owners)
{
    return owners->disposal ? disposal_pending_bytes(owners->disposal) : 0;
}

/* EXEC makes elements of what a transaction has queued, and the log's buffers take it once more,
 * all of that before it is let go. */
static uint64_t queued_to_come(const struct memory_owners *owners, uint64_t session_bytes)
{
    return owners->log_is_buffered(owners->context) ? 2 * session_bytes : session_bytes;
}

/* Of entries; what groups have beside that is the keyspace's, or goes soon. */
static uint64_t streams_bytes(const struct memory_owners *owners)
{
    return stream_store_memory_bytes(owners->streams) +
           stream_group_store_memory_bytes(owners->stream_groups);
}

static struct counts count(const struct memory *memory)
{
    const struct memory_owners *owners = &memory->owners;
    uint64_t sessions = (uint64_t)(memory->session_bytes > 0 ? memory->session_bytes : 0);
    struct net_info net;
    struct keyspace_info keyspace;
    struct spill_store_info spill;
    struct counts counts;
    uint64_t both;

    net_info(owners->net, &net);
    keyspace_info(owners->keyspace, &keyspace);
    spill_store_info(owners->store, &spill);
    both = net.clients_bytes + keyspace.memory_bytes + streams_bytes(owners) +
           blocked_memory_bytes(owners->blocked) + watch_memory_bytes(owners->watch) + sessions;
    counts.for_good = both + spill.deque_count * LIST_ROOT_BYTES;
    counts.beside_spill = both + net.pool_bytes + net.heap_output_bytes + net.heap_input_bytes +
                          fiber_memory_bytes(owners->fibers) + freeing_bytes(owners) +
                          stream_store_window_bytes(owners->streams) +
                          owners->parked_bytes(owners->context) +
                          owners->log_bytes(owners->context);
    counts.spill = spill.memory_bytes;
    counts.to_come = net.clients_connected * INPUT_A_CLIENT_BYTES;
    if (counts.to_come > memory->limit_bytes / INPUT_PART)
        counts.to_come = memory->limit_bytes / INPUT_PART;
    counts.to_come -= net.heap_input_bytes < counts.to_come ? net.heap_input_bytes : counts.to_come;
    counts.to_come += queued_to_come(owners, sessions) + memory->expected_bytes;
    return counts;
}

static uint64_t target_bytes(const struct memory *memory)
{
    uint64_t reserve = memory->limit_bytes / RESERVE_PART;

    return memory->limit_bytes - (reserve < RESERVE_BYTES_MAX ? reserve : RESERVE_BYTES_MAX);
}

void memory_sample(struct memory *memory)
{
    struct counts counts = count(memory);

    read_rss(memory);
    if (memory->limit_bytes > 0 && memory->rss_anon_bytes > target_bytes(memory))
        memory->owners.purge(memory->owners.purge_context);
    memory->sampled_counted_bytes = counts.beside_spill;
    memory->sampled_unspillable_bytes =
        memory->rss_anon_bytes > counts.spill ? memory->rss_anon_bytes - counts.spill : 0;
}

static uint64_t least_spill_bytes(const struct memory *memory)
{
    return memory->limit_bytes / SPILL_SHARE_LEAST;
}

static uint64_t budget_of(const struct memory *memory)
{
    uint64_t least = least_spill_bytes(memory), target = target_bytes(memory), budget = least;

    uint64_t others = memory->unspillable_bytes + memory->to_come_bytes;

    if (target > others + least) budget = target - others;
    if (memory->list_bytes_max && budget > memory->list_bytes_max) budget = memory->list_bytes_max;
    return budget;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

void memory_update(struct memory *memory)
{
    struct counts counts = count(memory);
    uint64_t estimate = memory->sampled_unspillable_bytes, budget;

    if (counts.beside_spill > memory->sampled_counted_bytes)
        estimate += counts.beside_spill - memory->sampled_counted_bytes;
    memory->unspillable_bytes = estimate > counts.beside_spill ? estimate : counts.beside_spill;
    memory->fixed_bytes = counts.for_good;
    memory->to_come_bytes = counts.to_come;
    memory->used_bytes = counts.beside_spill + counts.spill;
    if (memory->used_bytes > memory->peak_used_bytes) memory->peak_used_bytes = memory->used_bytes;
    budget = budget_of(memory);
    if (difference(budget, memory->budget_bytes) < BUDGET_GRAIN_BYTES &&
        budget != memory->list_bytes_max)
        return;
    if (budget == memory->budget_bytes) return;
    memory->budget_bytes = budget;
    spill_store_set_memory(memory->owners.store, budget);
}

void memory_expect(struct memory *memory, uint64_t bytes)
{
    if (bytes == 0 && memory->expected_bytes == 0) return;
    memory->expected_bytes = bytes;
    memory_sample(memory); /* what is free but not given back yet counts, too */
    memory_update(memory);
}

void memory_set_store(struct memory *memory, struct spill_store *store)
{
    memory->owners.store = store;
    spill_store_set_memory(store, memory->budget_bytes);
}

void memory_set_streams(struct memory *memory, struct stream_store *streams)
{
    memory->owners.streams = streams;
    stream_store_set_windows_max(streams, memory->limit_bytes / WINDOWS_PART);
}

void memory_set_limit(struct memory *memory, uint64_t limit_bytes, uint64_t list_bytes_max)
{
    memory->limit_bytes = limit_bytes;
    memory->list_bytes_max = list_bytes_max;
    stream_store_set_windows_max(memory->owners.streams, limit_bytes / WINDOWS_PART);
    memory_update(memory);
}

bool memory_is_exhausted(const struct memory *memory, uint64_t bytes)
{
    return memory->fixed_bytes + bytes + least_spill_bytes(memory) > memory->limit_bytes;
}

uint64_t memory_excess_bytes(const struct memory *memory)
{
    uint64_t high = memory->limit_bytes / 4 * FIXED_QUARTERS;

    return memory->fixed_bytes > high ? memory->fixed_bytes - high : 0;
}

void memory_info(const struct memory *memory, struct memory_info *out_info)
{
    const struct memory_owners *owners = &memory->owners;
    struct net_info net;
    struct keyspace_info keyspace;
    struct spill_store_info spill;

    net_info(owners->net, &net);
    keyspace_info(owners->keyspace, &keyspace);
    spill_store_info(owners->store, &spill);
    *out_info = (struct memory_info){
        .limit_bytes = memory->limit_bytes,
        .used_bytes = memory->used_bytes,
        .peak_used_bytes = memory->peak_used_bytes,
        .rss_anon_bytes = memory->rss_anon_bytes,
        .rss_bytes = memory->rss_bytes,
        .peak_rss_anon_bytes = memory->peak_rss_anon_bytes,
        .startup_bytes = memory->startup_bytes,
        .keyspace_bytes = keyspace.memory_bytes,
        .values_bytes = keyspace.value_memory_bytes,
        .streams_bytes = streams_bytes(owners),
        .stream_windows_bytes = stream_store_window_bytes(owners->streams),
        .clients_bytes = net.clients_bytes,
        .buffers_bytes = net.pool_bytes + net.heap_output_bytes + net.heap_input_bytes,
        .parked_bytes = owners->parked_bytes(owners->context),
        .log_bytes = owners->log_bytes(owners->context),
        .fibers_bytes = fiber_memory_bytes(owners->fibers),
        .freeing_bytes = freeing_bytes(owners),
        .blocked_bytes = blocked_memory_bytes(owners->blocked),
        .sessions_bytes = (uint64_t)(memory->session_bytes > 0 ? memory->session_bytes : 0),
        .spill_bytes = spill.memory_bytes,
        .spill_budget_bytes = memory->budget_bytes,
        .spill_index_bytes = spill.index_memory_bytes,
        .unspillable_bytes = memory->unspillable_bytes,
    };
}
