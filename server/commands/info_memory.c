#include "server/commands/info_memory.h"

#include <stdint.h>

#include "modules/spill/store.h"
#include "server/commands/info_constant.h"
#include "server/commands/info_text.h"
#include "server/commands/memory_command_allocator.h"
#include "server/commands/server.h"
#include "server/net/net.h"
#include "server/observe/memory.h"

typedef unsigned long long ull;

static void add_human(struct info_text *text, const char *field, uint64_t bytes)
{
    char human[32];

    info_human(bytes, human, sizeof(human));
    info_add(text, "%s:%llu\r\n%s_human:%s\r\n", field, (ull)bytes, field, human);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 100.0;
}

static uint64_t above(uint64_t bytes, uint64_t base)
{
    return bytes > base ? bytes - base : 0;
}

static void add_used(struct info_text *text, const struct memory_info *memory)
{
    uint64_t dataset_bytes = memory->keyspace_bytes + memory->spill_bytes;

    add_human(text, "used_memory", memory->used_bytes);
    add_human(text, "used_memory_rss", memory->rss_bytes);
    add_human(text, "used_memory_peak", memory->peak_used_bytes);
    info_add(text,
             "used_memory_peak_perc:%.2f%%\r\nused_memory_overhead:%llu\r\n"
             "used_memory_startup:%llu\r\nused_memory_dataset:%llu\r\n"
             "used_memory_dataset_perc:%.2f%%\r\n",
             percent(memory->used_bytes, memory->peak_used_bytes),
             (ull)(memory->clients_bytes + memory->buffers_bytes + memory->sessions_bytes +
                   memory->parked_bytes + memory->blocked_bytes + memory->fibers_bytes +
                   memory->stream_windows_bytes + memory->freeing_bytes + memory->log_bytes),
             (ull)memory->startup_bytes, (ull)dataset_bytes,
             percent(dataset_bytes, memory->used_bytes));
}

static void add_owners(struct info_text *text, const struct memory_info *memory)
{
    info_add(text,
             "rss_anon:%llu\r\nrss_anon_peak:%llu\r\nunspillable_memory:%llu\r\n"
             "mem_keyspace:%llu\r\nmem_values:%llu\r\nmem_streams:%llu\r\nmem_stream_windows:%"
             "llu\r\nmem_spill:%llu\r\nmem_"
             "spill_budget:%llu\r\n"
             "mem_spill_index:%llu\r\nmem_net_buffers:%llu\r\nmem_clients_normal:%llu\r\n"
             "mem_sessions:%llu\r\nmem_parked:%llu\r\nmem_blocked:%llu\r\nmem_fibers:%llu\r\n"
             "mem_freeing:%llu\r\nmem_aof_buffer:%llu\r\n",
             (ull)memory->rss_anon_bytes, (ull)memory->peak_rss_anon_bytes,
             (ull)memory->unspillable_bytes, (ull)memory->keyspace_bytes, (ull)memory->values_bytes,
             (ull)memory->streams_bytes, (ull)memory->stream_windows_bytes,
             (ull)memory->spill_bytes, (ull)memory->spill_budget_bytes,
             (ull)memory->spill_index_bytes, (ull)memory->buffers_bytes, (ull)memory->clients_bytes,
             (ull)memory->sessions_bytes, (ull)memory->parked_bytes, (ull)memory->blocked_bytes,
             (ull)memory->fibers_bytes, (ull)memory->freeing_bytes, (ull)memory->log_bytes);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 1;
}

/* As Redis tells what memory is lost to what: within pages, in pages that are kept, and outside. */
static void add_allocator(struct info_text *text, const struct memory_info *memory)
{
    struct allocator_figures figures;

    if (!allocator_figures(&figures)) { /* nothing is known: all counts as handed out */
        figures = (struct allocator_figures){ memory->used_bytes, memory->used_bytes,
                                              memory->used_bytes };
    }
    info_add(text,
             "allocator_allocated:%llu\r\nallocator_active:%llu\r\nallocator_resident:%llu\r\n"
             "allocator_frag_ratio:%.2f\r\nallocator_frag_bytes:%llu\r\n"
             "allocator_rss_ratio:%.2f\r\nallocator_rss_bytes:%lld\r\n"
             "rss_overhead_ratio:%.2f\r\nrss_overhead_bytes:%lld\r\n"
             "mem_fragmentation_ratio:%.2f\r\nmem_fragmentation_bytes:%lld\r\n"
             "mem_allocator:%s\r\n",
             (ull)figures.allocated_bytes, (ull)figures.active_bytes, (ull)figures.resident_bytes,
             ratio(figures.active_bytes, figures.allocated_bytes),
             (ull)above(figures.active_bytes, figures.allocated_bytes),
             ratio(figures.resident_bytes, figures.active_bytes),
             (long long)figures.resident_bytes - (long long)figures.active_bytes,
             ratio(memory->rss_bytes, figures.resident_bytes),
             (long long)memory->rss_bytes - (long long)figures.resident_bytes,
             ratio(memory->rss_bytes, memory->used_bytes),
             (long long)memory->rss_bytes - (long long)memory->used_bytes, allocator_name());
}

void info_memory_section(struct server *server, struct info_text *text)
{
    struct spill_store_info spill;
    struct memory_info memory;
    struct net_info net;

    net_info(server->net, &net);
    memory_info(server->memory, &memory);
    spill_store_info(server->store, &spill);
    add_used(text, &memory);
    add_human(text, "total_system_memory", server->machine_memory_bytes);
    add_owners(text, &memory);
    add_human(text, "maxmemory", memory.limit_bytes);
    info_add(text, "mem_net_pool:%llu\r\nmem_net_input:%llu\r\nmem_net_output:%llu\r\n",
             (ull)net.pool_bytes, (ull)net.heap_input_bytes, (ull)net.heap_output_bytes);
    info_add(text, "maxmemory_policy:noeviction\r\nlazyfree_pending_objects:%llu\r\n",
             (ull)spill.pending_free_deques);
    add_allocator(text, &memory);
    info_add(text, "%s", info_constant_memory);
}
