#include "modules/spill/fetch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/chunk.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/node_image.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/store_internal.h"

int pins_add(struct spill_store *store, struct pins *pins, struct block *block)
{
    if (pins->count == pins->capacity) {
        unsigned capacity = pins->capacity < 8 ? 8 : 2 * pins->capacity;
        struct block **blocks = store_allocate(store, capacity * sizeof(struct block *));
        if (!blocks) return -ENOMEM;
        if (pins->count > 0) memcpy(blocks, pins->blocks, pins->count * sizeof(struct block *));
        free(pins->blocks);
        pins->blocks = blocks;
        pins->capacity = capacity;
    }
    pins->blocks[pins->count++] = block;
    block_pin(block);
    return 0;
}

void pins_release(struct spill_store *store, struct pins *pins)
{
    for (unsigned i = 0; i < pins->count; i++)
        block_unpin(store, pins->blocks[i]);
    free(pins->blocks);
    *pins = (struct pins){ 0 };
}

void op_begin(struct op *op, struct spill_store *store)
{
    op->store = store;
    op->pins = (struct pins){ 0 };
    visit_begin(&op->visit);
}

static int pins_add_once(struct spill_store *store, struct pins *pins, struct block *block)
{
    for (unsigned i = 0; i < pins->count; i++) {
        if (pins->blocks[i] == block) return 0;
    }
    return pins_add(store, pins, block);
}

static int report_read_error(struct op *op, struct block *block, uint64_t first_index)
{
    int rc = -(int)block->read_error;

    block->read_error = 0;
    store_set_error(op->store, block->list, first_index, block->element_count,
                    rc == -EBADMSG ? "checksum or identity does not match" : "read failed", rc);
    return rc;
}

int op_load(struct op *op, uint64_t base_index)
{
    struct spill_store *store = op->store;
    struct block *block = op->visit.missing;
    uint64_t first_index = base_index + op->visit.missing_index;
    bool has_waited = false;
    int rc = 0;

    for (unsigned i = 0; i < op->visit.seen_count && rc == 0; i++)
        rc = pins_add_once(store, &op->pins, op->visit.seen[i]);
    if (rc == 0) rc = pins_add_once(store, &op->pins, block);
    while (rc == 0 && !block_is_loaded(block)) {
        if (block->state == BLOCK_ON_DISK) {
            if (block->read_error != 0) return report_read_error(op, block, first_index);
            if (fetch_start(store, &block, 1, FETCH_WAITED, NULL) == 0) return -ENOMEM;
        }
        block->is_wanted = 1;
        if (!has_waited) store->waits++;
        has_waited = true;
        rc = store->hooks.wait ? store->hooks.wait(store->hooks.context) : -EAGAIN;
    }
    if (rc == 0) visit_begin(&op->visit);
    return rc;
}

int op_finish(struct op *op, int rc)
{
    uint32_t until = rc == -EAGAIN ? op->store->turn + PROTECTED_TURNS : op->store->turn;

    for (unsigned i = 0; i < op->pins.count; i++)
        op->pins.blocks[i]->protected_until = until;
    pins_release(op->store, &op->pins);
    return rc;
}

/* Takes what was read into the block, or says why not. */
static int adopt(struct fetch *fetch)
{
    struct spill_store *store = fetch->store;
    struct block *block = fetch->block;
    struct slice image = slice_of(fetch->read.bytes, fetch->read.ref.size_bytes);
    struct slot *slots;
    uint64_t element_bytes;
    unsigned count;
    int rc;

    if (fetch->read.rc < 0) return fetch->read.rc;
    if (block->height > 0) {
        rc = node_image_read(store, block, image, &slots, &count);
        if (rc < 0) return rc;
        block->end = count;
        block_adopt_bytes(store, block, slots, NODE_CHILDREN_MAX);
        return 0;
    }
    rc = chunk_validate(image.bytes, image.size, block->element_count, &element_bytes);
    if (rc == 0 && element_bytes != block->element_bytes) rc = -EBADMSG;
    if (rc < 0) return rc;
    block->begin = 0;
    block->end = fetch->read.ref.size_bytes;
    block_adopt_bytes(store, block, fetch->read.bytes, chunk_capacity(store, block->end));
    fetch->read.bytes = NULL;
    store->fetched_chunks++;
    store->fetched_bytes += block->end;
    if (fetch->is_ahead) store->prefetched_chunks++;
    return 0;
}

static void fetch_done(struct spill_read *read)
{
    struct fetch *fetch = read->context;
    struct spill_store *store = fetch->store;
    struct block *block = fetch->block;
    bool is_wanted = block->is_wanted;
    int rc;

    store_discharge(store, fetch->buffer_bytes);
    list_remove(&fetch->link);
    store->reads_in_flight--;
    store->gathering_reads -= fetch->is_gathering;
    block->is_wanted = 0;
    block->is_touched = 1;
    rc = adopt(fetch);
    if (rc == 0) {
        block->state = BLOCK_CLEAN;
        if (list_is_empty(&block->link)) block_link_random(store, block);
    } else {
        block->state = BLOCK_ON_DISK;
        block_set_prefetched(store, block, false);
        block_unlink(store, block);
        /* Who did not ask is not told; who asks next tries again. A dropped node's reader (reclaim)
         * looks here too. */
        if (is_wanted || block->ref_count == 1) block->read_error = (uint8_t)-rc;
    }
    /* Last: what follows may run operations on any deque. */
    struct deque *walker = fetch->walker;
    enum spill_end walker_end = fetch->walker_end;
    if (walker) walker->walks[walker_end] = NULL;
    chunk_bytes_put(store, fetch->read.bytes, fetch->buffer_bytes);
    free(fetch);
    block_unref(store, block);
    store_update_pressure(store);
    if (walker && rc == 0) prefetch_continue(walker, walker_end);
    if (is_wanted && store->hooks.on_ready) store->hooks.on_ready(store->hooks.context);
}

static struct fetch *fetch_create(struct spill_store *store, struct block *block,
                                  enum fetch_for purpose)
{
    struct fetch *fetch = store_allocate_zeroed(store, sizeof(*fetch));
    uint32_t size = block->ref.size_bytes;

    if (!fetch) return NULL;
    fetch->buffer_bytes = (uint32_t)alloc_size(size);
    fetch->read.bytes = chunk_bytes_get(store, size);
    if (!fetch->read.bytes) {
        free(fetch);
        return NULL;
    }
    fetch->read.ref = block->ref;
    fetch->read.identity = block_identity(block, block->ref.generation);
    fetch->read.is_urgent = purpose == FETCH_WAITED;
    fetch->read.done = fetch_done;
    fetch->read.context = fetch;
    fetch->store = store;
    fetch->block = block_ref(block);
    fetch->is_ahead = purpose == FETCH_AHEAD;
    block->state = BLOCK_READING;
    block->read_error = 0;
    store_charge(store, fetch->buffer_bytes);
    list_push_back(&store->fetches, &fetch->link);
    store->reads_in_flight++;
    return fetch;
}

void fetches_count(const struct spill_store *store, int change)
{
    list_for_each(link, &store->fetches) list_container(link, struct fetch, link)
        ->block->ref_count += (uint32_t)change;
}

/* Of a node the rest follows when it is taken apart. */
void fetches_leave_picture(struct spill_store *store)
{
    list_for_each(link, &store->fetches)
    {
        struct block *block = list_container(link, struct fetch, link)->block;
        if (block->ref_count > 1 || block->is_garbage) continue;
        if (block->height == 0) {
            spill_file_unkeep(store->file, &block->ref);
            continue;
        }
        block->is_garbage = 1;
        block_unlink(store, block);
        list_push_back(&store->reclaiming, &block->link);
    }
}

unsigned fetch_start(struct spill_store *store, struct block *const *blocks, unsigned count,
                     enum fetch_for purpose, struct fetch **out_last)
{
    struct spill_read *reads[FETCH_GROUP_MAX];
    struct fetch *fetch = NULL;
    unsigned started = 0;

    assert(count <= FETCH_GROUP_MAX);
    for (unsigned i = 0; i < count; i++) {
        assert(blocks[i]->state == BLOCK_ON_DISK && blocks[i]->ref.generation != 0);
        fetch = fetch_create(store, blocks[i], purpose);
        if (!fetch) break;
        reads[started++] = &fetch->read;
        if (purpose == FETCH_AHEAD && blocks[i]->height == 0)
            block_set_prefetched(store, blocks[i], true);
    }
    if (out_last && started > 0) *out_last = reads[started - 1]->context;
    if (started > 0) spill_file_read(store->file, reads, started);
    return started;
}
