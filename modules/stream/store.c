#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/stream/blocks.h"
#include "modules/stream/files.h"
#include "modules/stream/producers.h"

enum {
    MEMORY_BYTES_MAX_DEFAULT = 32 << 10,
    OPEN_MAX_DEFAULT = 64,
    NODE_ENTRIES_DEFAULT = 100,
    /* Freed at once, which takes some 20 us. */
    GRAVES_STEP = 256,
    PRODUCERS_STEP = 512, /* iids; each is a few misses of the cache */
};

static void fill_defaults(struct stream_options *options)
{
    if (options->memory_bytes_max == 0) options->memory_bytes_max = MEMORY_BYTES_MAX_DEFAULT;
    if (options->open_max == 0) options->open_max = OPEN_MAX_DEFAULT;
    if (options->node_entries == 0) options->node_entries = NODE_ENTRIES_DEFAULT;
}

int stream_store_create(struct os *os, struct io *io, const struct stream_options *options,
                        const struct stream_hooks *hooks, struct stream_store **out_store)
{
    struct stream_store *store = calloc(1, sizeof(*store));
    char *directory = strdup(options->directory);
    int rc;

    if (!store || !directory) {
        free(store);
        free(directory);
        return -ENOMEM;
    }
    store->os = os;
    store->io = io;
    if (hooks) store->hooks = *hooks;
    store->options = *options;
    store->options.directory = directory;
    fill_defaults(&store->options);
    list_init(&store->movable);
    list_init(&store->leaving);
    rc = stream_producer_store_create(&store->producers);
    if (rc == 0) rc = stream_files_store_create(store);
    if (rc < 0) {
        stream_producer_store_destroy(store->producers);
        free(directory);
        free(store);
        return rc;
    }
    *out_store = store;
    return 0;
}

void stream_store_set_node_entries(struct stream_store *store, uint32_t node_entries)
{
    store->options.node_entries = node_entries;
    fill_defaults(&store->options);
}

void stream_store_destroy(struct stream_store *store)
{
    if (!store) return;
    while (stream_graves_tick(store, GRAVES_STEP)) {}
    assert(store->stream_count == 0 && store->memory_bytes == 0);
    stream_files_store_destroy(store);
    stream_producer_store_destroy(store->producers);
    free((char *)store->options.directory);
    free(store);
}

bool stream_store_tick(struct stream_store *store, uint64_t now_ms, uint64_t slice_us)
{
    uint64_t end_us;
    bool has_more;

    store->now_ms = now_ms;
    has_more = stream_files_tick(store);
    if (stream_shrink_tick(store)) has_more = true; /* who waits for that goes on */
    if (stream_producer_store_tick(store->producers, PRODUCERS_STEP)) has_more = true;
    if (!stream_graves_tick(store, GRAVES_STEP)) return has_more;
    end_us = clock_monotonic_us() + slice_us;
    while (clock_monotonic_us() < end_us)
        if (!stream_graves_tick(store, GRAVES_STEP)) return has_more;
    return true;
}

uint64_t stream_store_memory_bytes(const struct stream_store *store)
{
    return store->memory_bytes + stream_producer_store_memory_bytes(store->producers);
}

struct stream_producer_store *stream_store_producers(const struct stream_store *store)
{
    return store->producers;
}
