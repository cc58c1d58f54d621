/* save.c - lists on their way into a checkpoint.
 *
 * A save holds a snapshot, so that what it shows does not change. It goes through the snapshot's
 * trees level by level from the chunks up, for a node can be written only when all its children are
 * on disk: each dirty block of the level goes into a batch, and when the batches have ended the
 * level is looked at again. A level in which nothing is dirty or being written is done; when the
 * roots are, so is the save. What is clean has all below it on disk (spill I3) and is passed over.
 *
 * Where it is in a level it remembers by element, because nodes may leave memory between two steps.
 * A failed write ends all saves: the checkpoint is to be aborted. */
#include "modules/spill/save.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/clock.h"
#include "modules/spill/batch.h"
#include "modules/spill/checkpoint.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/handle.h"
#include "modules/spill/root.h"
#include "modules/spill/snapshot_internal.h"
#include "modules/spill/store_internal.h"

enum {
    SAVE_BATCHES_MAX = 2, /* in flight, of all kinds, to begin another: eviction has the rest */
    LOOKS_A_CLOCK = 64,   /* blocks between two looks at the clock */
    WOKEN_A_BATCH = 2 * BATCH_BLOCKS_MAX /* saves that the end of a batch can concern */
};

struct save {
    struct list_link link; /* in the checkpoint's ready or waiting */
    struct spill_snapshot *snapshot;
    spill_saved done;
    void *context;
    unsigned level;     /* height of the blocks that are looked at */
    unsigned part;      /* of the snapshot, */
    uint64_t index;     /* the element of it before which nothing is dirty in this pass */
    bool is_unfinished; /* something of the level was dirty or being written in this pass */
};

/* One step for all saves. */
struct step {
    struct spill_store *store;
    struct batch *batch;
    uint64_t end_us;
    unsigned looks;
    bool is_full; /* the batch takes no more, or the time is over */
};

/* ---- the levels of one save -------------------------------------------------------------------
 */

static bool is_on_disk(const struct block *block)
{
    return block->state != BLOCK_DIRTY && block->state != BLOCK_WRITING;
}

/* A block of the picture that changed since the checkpoint began: a list that grew out of its
 * handle because it was read. All of it belongs to the picture after all. */
static int adopt(struct spill_store *store, struct block *block)
{
    int rc = 0;

    if (block->epoch != store->epoch) return 0;
    if (block->height > 0 && !block_is_loaded(block)) return -ESTALE;
    for (unsigned i = 0; block->height > 0 && i < block->end && rc == 0; i++)
        rc = adopt(store, block->slots[i].block);
    if (rc < 0) return rc;
    block->epoch--;
    return block->ref.generation != 0 ? spill_file_keep(store->file, &block->ref) : 0;
}

static bool is_over(struct step *step)
{
    if (++step->looks % LOOKS_A_CLOCK == 0 && clock_monotonic_us() >= step->end_us)
        step->is_full = true;
    return step->is_full;
}

static void add_to_batch(struct save *save, struct step *step, struct block *block)
{
    struct spill_store *store = step->store;

    if (!step->batch) step->batch = batch_create(store, BATCH_SAVE);
    if (!step->batch) {
        checkpoint_fail(store, -ENOMEM);
        step->is_full = true;
        return;
    }
    step->is_full = !batch_add(step->batch, block);
    if (step->is_full) return;
    save->is_unfinished = true;
    step->is_full = batch_payload(step->batch) >= store->batch_bytes;
}

/* Looks at what of the level lies below block, whose first element is `first` of its part, from the
 * save's index on; moves that. False: the step is over. */
static bool scan(struct save *save, struct step *step, struct block *block, uint64_t first)
{
    uint64_t end = first + block->element_count;
    int rc = adopt(step->store, block);

    if (rc < 0) checkpoint_fail(step->store, rc);
    if (is_over(step)) return false;
    if (is_on_disk(block)) {
        save->index = end;
        return true;
    }
    if (block->state == BLOCK_WRITING) save->is_unfinished = true;
    if (block->state == BLOCK_DIRTY && block->height == save->level) {
        add_to_batch(save, step, block);
        if (block->state == BLOCK_DIRTY) return false;
    } else if (block->height > save->level && block->state == BLOCK_DIRTY) {
        for (unsigned i = 0; i < block->end; i++) {
            uint64_t child_end = first + block->slots[i].element_count;
            if (child_end > save->index && !scan(save, step, block->slots[i].block, first))
                return false;
            first = child_end;
        }
    }
    save->index = end;
    return !step->is_full;
}

static unsigned highest(const struct spill_snapshot *snapshot)
{
    unsigned height = 0;

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        const struct block *part = snapshot->parts[i];
        if (part && part->height > height) height = part->height;
    }
    return height;
}

enum progress { SAVE_DONE, SAVE_WAITS, SAVE_INTERRUPTED };

/* True: the pass over the level has come to its end. */
static bool scan_level(struct save *save, struct step *step)
{
    for (; save->part < PARTS_MAX; save->part++, save->index = 0) {
        struct block *part = save->snapshot->parts[save->part];
        if (!part || save->index >= part->element_count) continue;
        if (!scan(save, step, part, 0) && save->index < part->element_count) return false;
        if (step->is_full) return false;
    }
    return true;
}

static enum progress advance(struct save *save, struct step *step)
{
    unsigned height = highest(save->snapshot);

    for (;;) {
        if (!scan_level(save, step)) return SAVE_INTERRUPTED;
        bool is_unfinished = save->is_unfinished;
        save->part = 0;
        save->index = 0;
        save->is_unfinished = false;
        if (is_unfinished) return SAVE_WAITS;
        if (save->level++ == height) return SAVE_DONE;
    }
}

/* ---- all saves --------------------------------------------------------------------------------
 */

static void destroy(struct spill_store *store, struct save *save)
{
    list_remove(&save->link);
    store->checkpoint->pending--;
    store_discharge(store, alloc_size(sizeof(*save)));
    store->index_bytes -= alloc_size(sizeof(*save));
    spill_snapshot_release(save->snapshot);
    free(save);
}

static void end_save(struct spill_store *store, struct save *save, int rc)
{
    uint8_t root[SPILL_ROOT_BYTES_MAX];
    struct slice bytes = { NULL, 0 };
    spill_saved done = save->done;
    void *context = save->context;

    if (rc == 0) bytes = slice_of(root, root_write_parts(save->snapshot->parts, root));
    destroy(store, save);
    done(context, rc, bytes);
}

static struct save *first_of(struct list_link *list)
{
    struct list_link *link = list_front(list);

    return link ? list_container(link, struct save, link) : NULL;
}

void saves_cancel(struct spill_store *store, int rc)
{
    struct checkpoint *checkpoint = store->checkpoint;
    struct save *save;

    while ((save = first_of(&checkpoint->ready)) || (save = first_of(&checkpoint->waiting)))
        end_save(store, save, rc);
}

/* The ends of batches concern those that have waited longest; when nothing is under way, who waits
 * does so for nothing. */
static void wake(struct spill_store *store, struct checkpoint *checkpoint)
{
    uint64_t ended = store->batches_ended - checkpoint->seen_batches;
    uint64_t count = ended * WOKEN_A_BATCH;
    struct list_link *link;

    checkpoint->seen_batches = store->batches_ended;
    if (store->batches_in_flight == 0) count = UINT64_MAX;
    for (; count > 0 && (link = list_pop_front(&checkpoint->waiting)); count--)
        list_push_back(&checkpoint->ready, link);
}

/* Fills a batch from those that are ready. */
static void fill(struct step *step)
{
    struct checkpoint *checkpoint = step->store->checkpoint;
    struct save *save;

    while (!step->is_full && checkpoint->rc == 0 && (save = first_of(&checkpoint->ready))) {
        enum progress progress = advance(save, step);
        if (checkpoint->rc < 0 || progress == SAVE_INTERRUPTED) continue;
        if (progress == SAVE_DONE) {
            end_save(step->store, save, 0);
            continue;
        }
        list_remove(&save->link);
        list_push_back(&checkpoint->waiting, &save->link);
    }
}

bool save_tick(struct spill_store *store, uint64_t slice_us)
{
    struct checkpoint *checkpoint = store->checkpoint;
    uint64_t end_us;

    if (checkpoint->pending == 0) return false;
    end_us = clock_monotonic_us() + slice_us;
    do {
        struct step step = { .store = store, .end_us = end_us };
        if (checkpoint->rc < 0) {
            saves_cancel(store, checkpoint->rc);
            return false;
        }
        wake(store, checkpoint);
        if (list_is_empty(&checkpoint->ready) || store->batches_in_flight >= SAVE_BATCHES_MAX)
            return false;
        fill(&step);
        if (step.batch) batch_start(step.batch);
    } while (clock_monotonic_us() < end_us);
    return !list_is_empty(&checkpoint->ready) && store->batches_in_flight < SAVE_BATCHES_MAX;
}

/* ---- a list is taken ---------------------------------------------------------------------------
 */

/* What changes from now on is none of the picture's. */
static void see(struct spill_deque *handle)
{
    handle->epoch = (uint8_t)handle->store->epoch;
    if (handle->grown) handle->grown->epoch = handle->store->epoch;
}

/* A deque that is one small chunk in memory: cheaper as its elements than as an extent. */
static struct block *small_chunk(const struct deque *deque)
{
    struct block *chunk = deque->ends[SPILL_HEAD];

    if (!chunk || !deque_is_single(deque) || deque_has_tree(deque)) return NULL;
    if (!block_is_loaded(chunk) || chunk_used(chunk) > ROOT_RUN_BYTES_MAX) return NULL;
    return chunk->state == BLOCK_DIRTY && block_is_exclusive(chunk) ? chunk : NULL;
}

static void save_run(struct spill_deque *handle, spill_saved done, void *context)
{
    uint8_t root[SPILL_ROOT_BYTES_MAX];
    struct slice run = { NULL, 0 };
    uint64_t count = spill_deque_count(handle);
    struct block *chunk = handle->grown ? handle->grown->ends[SPILL_HEAD] : NULL;

    if (chunk) {
        if (count > 0) run = slice_of(chunk->bytes + chunk->begin, chunk_used(chunk));
        /* The extent that it will have is none of the picture's. */
        chunk->epoch = handle->store->epoch;
    } else if (count > 0) {
        run = slice_of(handle->run + handle->begin, (size_t)(handle->end - handle->begin));
    }
    see(handle);
    done(context, 0, slice_of(root, root_write_run(run, count, root)));
}

static int start_save(struct spill_deque *handle, spill_saved done, void *context)
{
    struct spill_store *store = handle->store;
    struct save *save = store_allocate_zeroed(store, sizeof(*save));
    bool is_spilled;
    int rc;

    if (!save) return -ENOMEM;
    is_spilled = handle->grown->is_spilled;
    rc = deque_snapshot(handle->grown, &save->snapshot);
    handle->grown->is_spilled = is_spilled; /* a save drops nothing from memory unseen */
    if (rc < 0) {
        free(save);
        return rc;
    }
    see(handle);
    save->done = done;
    save->context = context;
    list_init(&save->link);
    list_push_back(&store->checkpoint->ready, &save->link);
    store->checkpoint->pending++;
    store_charge(store, alloc_size(sizeof(*save)));
    store->index_bytes += alloc_size(sizeof(*save));
    return 0;
}

/* All is on disk, as after the last checkpoint: there is nothing to wait for. */
static bool save_unchanged(struct spill_deque *handle, spill_saved done, void *context)
{
    struct deque *deque = handle->grown;
    struct block *parts[PARTS_MAX] = { deque->ends[SPILL_HEAD], deque->sides[SPILL_HEAD],
                                       deque->root, deque->sides[SPILL_TAIL],
                                       deque_is_single(deque) ? NULL : deque->ends[SPILL_TAIL] };
    uint8_t root[SPILL_ROOT_BYTES_MAX];

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        if (!parts[i]) continue;
        if (!is_on_disk(parts[i]) || parts[i]->epoch == deque->store->epoch) return false;
    }
    see(handle);
    done(context, 0, slice_of(root, root_write_parts(parts, root)));
    return true;
}

int spill_checkpoint_save(struct spill_deque *deque, spill_saved done, void *context)
{
    struct spill_store *store = deque->store;

    if (!store->is_picturing) return -EINVAL;
    if (!deque->grown || deque->grown->element_count == 0 || small_chunk(deque->grown)) {
        save_run(deque, done, context);
        return 0;
    }
    if (save_unchanged(deque, done, context)) return 0;
    return start_save(deque, done, context);
}
