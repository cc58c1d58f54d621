#include "modules/spill/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/clock.h"
#include "modules/spill/checkpoint.h"
#include "modules/spill/node_image.h"
#include "modules/spill/store_internal.h"

enum { RETRY_US = 100 * 1000 };

struct batch {
    struct spill_write write;
    struct spill_store *store;
    struct list_link link; /* in the store's while the write is under way */
    enum batch_for purpose;
    unsigned count;
    uint64_t freeing_bytes, payload_bytes;
    uint64_t freed_extents; /* the store's count when room was looked for */
    struct block *blocks[BATCH_BLOCKS_MAX];
    struct spill_write_item items[BATCH_BLOCKS_MAX];
    uint8_t *images[BATCH_BLOCKS_MAX]; /* of nodes; NULL for chunks */
};

struct batch *batch_create(struct spill_store *store, enum batch_for purpose)
{
    struct batch *batch = store_allocate_zeroed(store, sizeof(*batch));

    if (!batch) return NULL;
    batch->store = store;
    batch->purpose = purpose;
    list_init(&batch->link);
    store_charge(store, alloc_size(sizeof(*batch)));
    return batch;
}

static void destroy(struct batch *batch)
{
    store_discharge(batch->store, alloc_size(sizeof(*batch)));
    free(batch);
}

bool block_can_unload(const struct block *block)
{
    if (!block_is_loaded(block) || block->pin_count > 0 || block->is_kept) return false;
    if (block->state > BLOCK_CLEAN || block->element_count == 0) return false;
    if (block->height == 0) return true;
    for (unsigned i = 0; i < block->end; i++) {
        const struct block *child = block->slots[i].block;
        if (child->state != BLOCK_ON_DISK || child->ref_count != 1) return false;
    }
    return true;
}

uint64_t batch_bytes(const struct batch *batch)
{
    return batch->freeing_bytes;
}

uint64_t batch_payload(const struct batch *batch)
{
    return batch->payload_bytes;
}

static uint64_t freed_by(const struct block *block)
{
    uint64_t bytes = block_loaded_bytes(block);

    return block->height == 0 ? bytes : bytes + block->end * alloc_size(sizeof(struct block));
}

bool batch_add(struct batch *batch, struct block *block)
{
    struct spill_store *store = batch->store;
    struct spill_write_item *item = &batch->items[batch->count];
    uint8_t *image = NULL;

    assert(block->state == BLOCK_DIRTY);
    if (batch->count == BATCH_BLOCKS_MAX) return false;
    if (block->height > 0) {
        image = store_allocate(store, NODE_IMAGE_BYTES_MAX);
        if (!image) return false;
        store_charge(store, alloc_size(NODE_IMAGE_BYTES_MAX));
        item->payload = slice_of(image, node_image_write(block, image));
        block->disk_bytes =
            block_footprint(block) + spill_file_footprint((uint32_t)item->payload.size);
    } else {
        item->payload = slice_of(block->bytes + block->begin, chunk_used(block));
    }
    item->identity = block_identity(block, ++store->next_generation);
    batch->images[batch->count] = image;
    batch->blocks[batch->count++] = block_ref(block);
    batch->payload_bytes += item->payload.size;
    block->state = BLOCK_WRITING;
    if (batch->purpose == BATCH_SAVE) return true; /* it stays where it is */
    batch->freeing_bytes += freed_by(block);
    store->writing_bytes += freed_by(block);
    block_unlink(store, block);
    block->is_touched = 0;
    return true;
}

/* The write has put the block on disk. */
static void settle_written(const struct batch *batch, struct block *block,
                           const struct spill_ref *ref)
{
    struct spill_store *store = batch->store;

    block->ref = *ref;
    block->state = BLOCK_CLEAN;
    if (store->is_picturing && block->epoch < store->epoch && block->ref_count > 1) {
        checkpoint_keep(store, ref);
    }
    if (batch->purpose == BATCH_SAVE) {
        store->saved_bytes += ref->size_bytes;
        if (block->ref_count > 1)
            block->ref_count--; /* in no ring but the one it stands in */
        else
            block_unref(store, block);
        return;
    }
    store->evicted_chunks += block->height == 0;
    store->evicted_bytes += ref->size_bytes;
    if (block->ref_count > 1 && !block->is_touched && block_can_unload(block)) {
        block_unload(store, block);
    }
    block_unref(store, block); /* nobody's: this gives the extent back */
}

static void settle_failed(struct spill_store *store, struct block *block, bool is_evicted)
{
    block->state = BLOCK_DIRTY;
    /* One that was to be saved is where it was; an end chunk stands in no ring. */
    if (!is_evicted && block->ref_count > 1) {
        block->ref_count--;
        return;
    }
    if (block->ref_count > 1) block_link_random(store, block);
    block_unref(store, block);
}

static void note_failure(struct batch *batch, int rc)
{
    struct spill_store *store = batch->store;
    const struct block *first = batch->blocks[0];
    bool was_tried = batch->write.rc < 0; /* else the file refused to begin: it is at its limit */

    store->disk = rc != -ENOSPC && rc != -EDQUOT ? SPILL_DISK_HAS_ROOM
                  : was_tried                    ? SPILL_DISK_FULL
                                                 : SPILL_DISK_AT_LIMIT;
    store->retry_us = clock_monotonic_us() + RETRY_US;
    store->freed_extents_at_failure = batch->freed_extents;
    store->write_rc = rc;
    if (store->disk == SPILL_DISK_AT_LIMIT) return;
    store_set_error(store, first->list, 0, first->element_count,
                    "a chunk could not be written and stays in memory", rc);
}

static void settle(struct batch *batch, int rc)
{
    struct spill_store *store = batch->store;

    store->writing_bytes -= batch->freeing_bytes;
    store->batches_ended++;
    if (rc < 0) {
        note_failure(batch, rc);
        if (batch->purpose == BATCH_SAVE) checkpoint_fail(store, rc);
    } else {
        store->disk = SPILL_DISK_HAS_ROOM;
        store->retry_us = 0;
    }
    for (unsigned i = 0; i < batch->count; i++) {
        if (rc < 0)
            settle_failed(store, batch->blocks[i], batch->purpose == BATCH_EVICT);
        else
            settle_written(batch, batch->blocks[i], &batch->items[i].ref);
        if (!batch->images[i]) continue;
        free(batch->images[i]);
        store_discharge(store, alloc_size(NODE_IMAGE_BYTES_MAX));
    }
    destroy(batch);
    store_update_pressure(store);
}

static void batch_done(struct spill_write *write)
{
    struct batch *batch = write->context;

    batch->store->batches_in_flight--;
    list_remove(&batch->link);
    settle(batch, write->rc);
}

void batch_start(struct batch *batch)
{
    struct spill_store *store = batch->store;
    int rc;

    if (batch->count == 0) {
        destroy(batch);
        return;
    }
    batch->write = (struct spill_write){
        .items = batch->items, .item_count = batch->count, .done = batch_done, .context = batch
    };
    store->batches_in_flight++;
    list_push_back(&store->batches, &batch->link);
    batch->freed_extents = store->freed_extents;
    rc = spill_file_write(store->file, &batch->write);
    if (rc == 0) return;
    store->batches_in_flight--;
    list_remove(&batch->link);
    settle(batch, rc);
}

void batches_count(const struct spill_store *store, int change)
{
    list_for_each(link, &store->batches)
    {
        struct batch *batch = list_container(link, struct batch, link);
        for (unsigned i = 0; i < batch->count; i++)
            batch->blocks[i]->ref_count += (uint32_t)change;
    }
}

void batches_leave_picture(struct spill_store *store)
{
    list_for_each(link, &store->batches)
    {
        struct batch *batch = list_container(link, struct batch, link);
        for (unsigned i = 0; i < batch->count; i++) {
            struct block *node = batch->blocks[i];
            if (node->height == 0 || node->ref_count > 1) continue;
            /* What is written is the image. */
            while (node->end > 0)
                block_unref(store, node->slots[--node->end].block);
        }
    }
}
