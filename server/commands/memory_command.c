/* memory_command.c - MEMORY USAGE DOCTOR STATS MALLOC-STATS PURGE. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "modules/stream/stream.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/info_text.h"
#include "server/commands/list_common.h"
#include "server/commands/memory_command_allocator.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/net/net.h"
#include "server/observe/memory.h"
#include "server/types/list.h"
#include "server/types/stream.h"

typedef unsigned long long ull;

static int reply_text(struct call *call, struct info_text *text)
{
    bool failed = text->is_out_of_memory;

    if (!failed) reply_verbatim(call->reply, "txt", slice_of(text->bytes, text->size));
    free(text->bytes);
    return failed ? -ENOMEM : 0;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0.0;
}

/* ---- MEMORY USAGE --------------------------------------------------------------------------- */

static int survey_list(struct call *call, struct spill_deque *deque, uint64_t *out_bytes)
{
    struct spill_deque_info info;
    int rc = list_may_survey(call, deque);

    if (rc == 0) rc = spill_deque_info(deque, &info);
    if (rc == 0) *out_bytes = info.bytes_in_memory;
    return rc;
}

/* MEMORY USAGE key [SAMPLES count]: what the key holds in memory now, and no disk. Everything is
 * counted, so there is nothing to sample; the option is checked all the same. A long list is walked
 * in a fiber. */
int memory_command_usage(struct call *call)
{
    struct key *key;
    const struct value *value;
    struct stream_info stream;
    uint64_t content_bytes = 0;
    int rc = 0;

    for (uint32_t i = 3; i < call->argument_count; i += 2) {
        int64_t count;

        if (!slice_is(call->arguments[i], "SAMPLES") || i + 1 == call->argument_count)
            return call_syntax_error(call);
        if (!call_integer(call, i + 1, &count)) return 0;
        if (count < 0) return call_syntax_error(call);
    }
    key = keyspace_find(call->server->keyspace, call->database, call->arguments[2]);
    if (!key) {
        reply_null(call->reply);
        return 0;
    }
    value = key_value(key);
    if (value->type->kind == VALUE_LIST) rc = survey_list(call, list_deque(value), &content_bytes);
    if (value->type->kind == VALUE_STREAM) {
        stream_get_info(stream_value_stream(value), &stream);
        content_bytes = stream.memory_bytes;
    }
    if (rc < 0) return rc;
    reply_integer(call->reply, (int64_t)(key_memory_bytes(key) + value->type->counted_bytes(value) +
                                         content_bytes));
    return 0;
}

/* ---- MEMORY STATS --------------------------------------------------------------------------- */

/* Counts first with reply NULL, then writes: a map tells its size before its fields. */
struct fields {
    struct reply *reply;
    uint64_t count;
};

static bool begin_field(struct fields *fields, const char *name)
{
    fields->count++;
    if (fields->reply) reply_bulk_string(fields->reply, name);
    return fields->reply != NULL;
}

static void add_bytes(struct fields *fields, const char *name, uint64_t bytes)
{
    if (begin_field(fields, name)) reply_integer(fields->reply, (int64_t)bytes);
}

static void add_difference(struct fields *fields, const char *name, uint64_t more, uint64_t less)
{
    if (begin_field(fields, name)) reply_integer(fields->reply, (int64_t)(more - less));
}

static void add_ratio(struct fields *fields, const char *name, double value)
{
    if (begin_field(fields, name)) reply_double(fields->reply, value);
}

struct figures {
    struct memory_info memory;
    struct keyspace_info keyspace;
    struct spill_store_info spill;
    struct allocator_figures allocator;
    uint64_t key_count, overhead_bytes, dataset_bytes;
};

static void collect(struct server *server, struct figures *out_figures)
{
    struct memory_info *memory = &out_figures->memory;
    struct keyspace_info *keyspace = &out_figures->keyspace;
    uint64_t rest;

    *out_figures = (struct figures){ 0 };
    memory_info(server->memory, memory);
    keyspace_info(server->keyspace, keyspace);
    spill_store_info(server->store, &out_figures->spill);
    (void)allocator_figures(&out_figures->allocator); /* else they are 0 */
    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++) {
        out_figures->key_count += keyspace_count(server->keyspace, i);
    }
    out_figures->dataset_bytes =
        keyspace->value_memory_bytes + memory->streams_bytes + memory->spill_bytes;
    rest = memory->used_bytes > out_figures->dataset_bytes
               ? memory->used_bytes - out_figures->dataset_bytes
               : 0;
    out_figures->overhead_bytes = rest;
}

/* The tables of all databases are counted as one: a database's part is that of its keys. */
static void add_databases(struct fields *fields, const struct server *server,
                          const struct figures *figures)
{
    uint64_t tables = figures->keyspace.memory_bytes > figures->keyspace.value_memory_bytes
                          ? figures->keyspace.memory_bytes - figures->keyspace.value_memory_bytes
                          : 0;

    for (unsigned i = 0; i < keyspace_database_count(server->keyspace); i++) {
        uint64_t keys = keyspace_count(server->keyspace, i);
        char name[16];

        if (keys == 0) continue;
        (void)snprintf(name, sizeof(name), "db.%u", i);
        if (!begin_field(fields, name)) continue;
        reply_map(fields->reply, 3);
        reply_bulk_string(fields->reply, "overhead.hashtable.main");
        reply_integer(fields->reply, (int64_t)((double)tables * ratio(keys, figures->key_count)));
        reply_bulk_string(fields->reply, "overhead.hashtable.expires"); /* in the one before */
        reply_integer(fields->reply, 0);
        reply_bulk_string(fields->reply, "overhead.hashtable.slot-to-keys");
        reply_integer(fields->reply, 0);
    }
}

static void add_allocator(struct fields *fields, const struct figures *figures)
{
    const struct allocator_figures *allocator = &figures->allocator;
    const struct memory_info *memory = &figures->memory;

    add_bytes(fields, "allocator.allocated", allocator->allocated_bytes);
    add_bytes(fields, "allocator.active", allocator->active_bytes);
    add_bytes(fields, "allocator.resident", allocator->resident_bytes);
    add_ratio(fields, "allocator-fragmentation.ratio",
              ratio(allocator->active_bytes, allocator->allocated_bytes));
    add_difference(fields, "allocator-fragmentation.bytes", allocator->active_bytes,
                   allocator->allocated_bytes);
    add_ratio(fields, "allocator-rss.ratio",
              ratio(allocator->resident_bytes, allocator->active_bytes));
    add_difference(fields, "allocator-rss.bytes", allocator->resident_bytes,
                   allocator->active_bytes);
    add_ratio(fields, "rss-overhead.ratio", ratio(memory->rss_bytes, allocator->resident_bytes));
    add_difference(fields, "rss-overhead.bytes", memory->rss_bytes, allocator->resident_bytes);
    add_ratio(fields, "fragmentation", ratio(memory->rss_bytes, memory->used_bytes));
    add_difference(fields, "fragmentation.bytes", memory->rss_bytes, memory->used_bytes);
}

/* Owners that Redis does not have. */
static void add_own(struct fields *fields, const struct figures *figures)
{
    const struct memory_info *memory = &figures->memory;

    add_bytes(fields, "limit", memory->limit_bytes);
    add_bytes(fields, "unspillable", memory->unspillable_bytes);
    add_bytes(fields, "spill.memory", memory->spill_bytes);
    add_bytes(fields, "spill.budget", memory->spill_budget_bytes);
    add_bytes(fields, "spill.index", memory->spill_index_bytes);
    add_bytes(fields, "spill.disk", figures->spill.disk_used_bytes);
    add_bytes(fields, "stream.windows", memory->stream_windows_bytes);
    add_bytes(fields, "net.buffers", memory->buffers_bytes);
    add_bytes(fields, "sessions", memory->sessions_bytes);
    add_bytes(fields, "parked", memory->parked_bytes);
    add_bytes(fields, "blocked", memory->blocked_bytes);
    add_bytes(fields, "fibers", memory->fibers_bytes);
    add_bytes(fields, "freeing", memory->freeing_bytes);
}

static void add_all(struct fields *fields, const struct server *server,
                    const struct figures *figures)
{
    const struct memory_info *memory = &figures->memory;
    uint64_t net = memory->used_bytes > memory->startup_bytes
                       ? memory->used_bytes - memory->startup_bytes
                       : memory->used_bytes;

    add_bytes(fields, "peak.allocated", memory->peak_used_bytes);
    add_bytes(fields, "total.allocated", memory->used_bytes);
    add_bytes(fields, "startup.allocated", memory->startup_bytes);
    add_bytes(fields, "replication.backlog", 0);
    add_bytes(fields, "clients.slaves", 0);
    add_bytes(fields, "clients.normal", memory->clients_bytes);
    add_bytes(fields, "cluster.links", 0);
    add_bytes(fields, "aof.buffer", 0);
    add_bytes(fields, "lua.caches", 0);
    add_bytes(fields, "functions.caches", 0);
    add_databases(fields, server, figures);
    add_bytes(fields, "overhead.total", figures->overhead_bytes);
    add_bytes(fields, "keys.count", figures->key_count);
    add_bytes(fields, "keys.bytes-per-key", figures->key_count ? net / figures->key_count : 0);
    add_bytes(fields, "dataset.bytes", figures->dataset_bytes);
    add_ratio(fields, "dataset.percentage", 100 * ratio(figures->dataset_bytes, net));
    add_ratio(fields, "peak.percentage", 100 * ratio(memory->used_bytes, memory->peak_used_bytes));
    add_allocator(fields, figures);
    add_own(fields, figures);
}

/* MEMORY STATS: Redis's fields, then ours. */
int memory_command_stats(struct call *call)
{
    struct figures figures;
    struct fields fields = { 0 };

    collect(call->server, &figures);
    add_all(&fields, call->server, &figures);
    reply_map(call->reply, fields.count);
    fields.reply = call->reply;
    add_all(&fields, call->server, &figures);
    return 0;
}

/* ---- MEMORY DOCTOR -------------------------------------------------------------------------- */

enum {
    SMALL_BYTES = 5 << 20, /* below it ratios say nothing */
    WASTED_BYTES_MIN = 10 << 20,
    CLIENT_BYTES_MANY = 200 << 10
};

/* One finding a line; the number of findings. */
static unsigned examine(struct server *server, const struct figures *figures,
                        struct info_text *text)
{
    const struct memory_info *memory = &figures->memory;
    enum spill_pressure pressure = spill_store_pressure(server->store);
    struct net_info net;
    unsigned findings = 0;

    net_info(server->net, &net);
    if (memory->used_bytes > SMALL_BYTES && memory->peak_used_bytes > memory->used_bytes * 3 / 2) {
        findings++;
        info_add(text,
                 "* Peak: at some time %llu bytes were used, now %llu. The process may stay larger "
                 "than it needs to be; MEMORY PURGE gives unused pages back.\n",
                 (ull)memory->peak_used_bytes, (ull)memory->used_bytes);
    }
    if (memory->rss_bytes > memory->used_bytes + WASTED_BYTES_MIN &&
        ratio(memory->rss_bytes, memory->used_bytes) > 1.4) {
        findings++;
        info_add(text,
                 "* Fragmentation: the process takes %llu bytes, its parts count %llu. Freed "
                 "memory has not gone back to the system; MEMORY PURGE tries that.\n",
                 (ull)memory->rss_bytes, (ull)memory->used_bytes);
    }
    if (pressure != SPILL_OK) {
        findings++;
        info_add(text, pressure == SPILL_SLOW
                           ? "* Slow disk: lists grow faster than they can be written out, so "
                             "clients that push are slowed down.\n"
                           : "* Full disk: lists can neither grow in memory nor on disk; see "
                             "maxdisk and the disk's free space. Pushes are refused.\n");
    }
    if (memory->limit_bytes > 0 && memory->unspillable_bytes > memory->limit_bytes / 2) {
        findings++;
        info_add(text,
                 "* Little left for lists: %llu of maxmemory's %llu bytes are held by what cannot "
                 "go to disk (keys, strings, clients).\n",
                 (ull)memory->unspillable_bytes, (ull)memory->limit_bytes);
    }
    if (net.clients_connected > 0 &&
        memory->clients_bytes / net.clients_connected > CLIENT_BYTES_MANY) {
        findings++;
        info_add(text,
                 "* Big clients: a connection holds %llu bytes on average; some client may "
                 "not read its replies. See tot-mem in CLIENT LIST.\n",
                 (ull)(memory->clients_bytes / net.clients_connected));
    }
    return findings;
}

/* MEMORY DOCTOR */
int memory_command_doctor(struct call *call)
{
    struct info_text findings = { 0 };
    struct figures figures;

    collect(call->server, &figures);
    if (examine(call->server, &figures, &findings) == 0 && !findings.is_out_of_memory) {
        free(findings.bytes);
        reply_verbatim(call->reply, "txt",
                       SLICE_LITERAL("Nothing about this server's memory looks wrong.\n"));
        return 0;
    }
    return reply_text(call, &findings);
}

/* ---- the allocator -------------------------------------------------------------------------- */

static void add_piece(void *context, const char *piece)
{
    info_add(context, "%s", piece);
}

/* MEMORY MALLOC-STATS */
int memory_command_malloc_stats(struct call *call)
{
    struct info_text text = { 0 };

    if (!allocator_report(add_piece, &text)) {
        reply_bulk_string(call->reply, "Stats not supported for the current allocator");
        return 0;
    }
    return reply_text(call, &text);
}

/* MEMORY PURGE */
int memory_command_purge(struct call *call)
{
    if (!allocator_purge()) return call_error(call, "ERR Error purging dirty pages");
    reply_ok(call->reply);
    return 0;
}

/* MEMORY HELP */
int memory_command_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What looks wrong about memory, in sentences.",
        "MALLOC-STATS",
        "    The allocator's own report.",
        "PURGE",
        "    Gives memory that the allocator keeps unused back to the system.",
        "STATS",
        "    Who holds how much.",
        "USAGE <key> [SAMPLES <count>]",
        "    Bytes of memory that a key and its value take; what is on disk does not count.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* MEMORY */
int memory_command_memory(struct call *call)
{
    return call_unknown_subcommand(call);
}
