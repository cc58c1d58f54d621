#include "modules/spill/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/spill/batch.h"
#include "modules/spill/fetch.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/reclaim.h"
#include "modules/spill/save.h"
#include "modules/spill/snapshot_internal.h"
#include "modules/spill/store_internal.h"

int spill_checkpoint_begin(struct spill_store *store)
{
    struct checkpoint *checkpoint;
    int rc;

    if (store->checkpoint) return -EALREADY;
    if (checkpoint_settle(store)) return -EAGAIN;
    batches_leave_picture(store);
    /* Who opens the picture would never find what is below them. */
    if (reclaim_loaded(store)) return -EAGAIN;
    checkpoint = store_allocate_zeroed(store, sizeof(*checkpoint));
    if (!checkpoint) return -ENOMEM;
    rc = spill_file_begin(store->file);
    if (rc < 0) {
        free(checkpoint);
        return rc;
    }
    list_init(&checkpoint->ready);
    list_init(&checkpoint->waiting);
    store->checkpoint = checkpoint;
    store->is_persistent = true;
    store->is_picturing = true;
    store->epoch++;
    store->checkpoint_rewritten_bytes = store->rewritten_bytes;
    fetches_leave_picture(store);
    snapshots_leave_picture(store);
    return 0;
}

bool spill_checkpoint_is_running(const struct spill_store *store)
{
    return store->checkpoint != NULL;
}

uint64_t spill_checkpoint_pending(const struct spill_store *store)
{
    return store->checkpoint ? store->checkpoint->pending : 0;
}

void checkpoint_keep(struct spill_store *store, const struct spill_ref *ref)
{
    int rc = spill_file_keep(store->file, ref);

    if (rc < 0) checkpoint_fail(store, rc);
}

void checkpoint_fail(struct spill_store *store, int rc)
{
    if (store->checkpoint && store->checkpoint->rc == 0) store->checkpoint->rc = rc;
}

static bool is_gathering(const struct spill_store *store)
{
    return store->counts_dead;
}

static void end_sync(struct spill_store *store)
{
    struct checkpoint *checkpoint = store->checkpoint;
    int rc = checkpoint->sync_rc == 0 ? checkpoint->rc : checkpoint->sync_rc;

    checkpoint->stage = rc < 0 ? CHECKPOINT_FAILED : CHECKPOINT_SYNCED;
    checkpoint->synced(checkpoint->context, rc);
}

static void synced(void *context, int rc)
{
    struct spill_store *store = context;

    store->checkpoint->has_synced = true;
    store->checkpoint->sync_rc = rc;
    if (!is_gathering(store)) end_sync(store);
}

bool checkpoint_tick(struct spill_store *store)
{
    struct checkpoint *checkpoint = store->checkpoint;

    if (!is_gathering(store)) return false;
    if (state_writer_gather(store, checkpoint->writer)) return true;
    if (checkpoint->has_synced) end_sync(store);
    return false;
}

void spill_checkpoint_sync(struct spill_store *store, void (*done)(void *context, int rc),
                           void *context)
{
    struct checkpoint *checkpoint = store->checkpoint;
    int rc;

    assert(checkpoint && checkpoint->stage == CHECKPOINT_BEGUN && checkpoint->pending == 0);
    checkpoint->stage = CHECKPOINT_SYNCING;
    checkpoint->synced = done;
    checkpoint->context = context;
    /* What is taken apart later is still there for who opens the picture. */
    rc = state_writer_create(store, &checkpoint->writer);
    if (rc < 0) checkpoint_fail(store, rc);
    store->is_picturing = false;
    spill_file_sync(store->file, synced, store);
}

int spill_checkpoint_state(struct spill_store *store, struct slice *out_piece)
{
    struct checkpoint *checkpoint = store->checkpoint;
    int rc;

    if (!checkpoint || checkpoint->stage != CHECKPOINT_SYNCED) return -EINVAL;
    if (checkpoint->rc < 0) return checkpoint->rc;
    rc = state_writer_next(store, checkpoint->writer, out_piece);
    if (rc == 0) checkpoint->stage = CHECKPOINT_STATED;
    return rc;
}

bool checkpoint_settle(struct spill_store *store)
{
    if (!spill_file_is_settling(store->file)) return false;
    (void)spill_file_settle(store->file);
    /* What only the one before has kept may be written now. */
    store->freed_extents++;
    store_update_pressure(store);
    return spill_file_is_settling(store->file);
}

static void finish(struct spill_store *store)
{
    struct checkpoint *checkpoint = store->checkpoint;

    assert(list_is_empty(&checkpoint->ready) && list_is_empty(&checkpoint->waiting));
    store->is_picturing = false;
    store->checkpoint = NULL;
    state_writer_destroy(store, checkpoint->writer);
    free(checkpoint->dead_bytes);
    free(checkpoint);
    /* What only it has kept may be written now. */
    store->freed_extents++;
    store_update_pressure(store);
}

void spill_checkpoint_complete(struct spill_store *store)
{
    assert(store->checkpoint && store->checkpoint->stage == CHECKPOINT_STATED);
    spill_file_complete(store->file);
    finish(store);
    store->rewritten_bytes -= store->rewritten_bytes < store->checkpoint_rewritten_bytes
                                  ? store->rewritten_bytes
                                  : store->checkpoint_rewritten_bytes;
    store->checkpoints++;
}

void spill_checkpoint_abort(struct spill_store *store, bool may_exist)
{
    assert(store->checkpoint);
    assert(!may_exist || store->checkpoint->stage == CHECKPOINT_STATED);
    store->is_picturing = false;
    spill_file_forget_sync(store->file);
    saves_cancel(store, -ECANCELED);
    spill_file_abort(store->file, may_exist);
    finish(store);
}

void spill_persist_info(const struct spill_store *store, struct spill_persist_info *out_info)
{
    struct spill_file_info file;

    spill_file_info(store->file, &file);
    *out_info = (struct spill_persist_info){
        .checkpoints = store->checkpoints,
        .pending_saves = spill_checkpoint_pending(store),
        .saved_bytes = store->saved_bytes,
        .deferred_bytes = spill_file_deferred_bytes(store->file),
        .unsynced_bytes = spill_file_unsynced_bytes(store->file),
        .suspect_bytes = spill_file_suspect_bytes(store->file),
        .sync_errors = file.sync_errors,
        .reserved_bytes = spill_file_reserved_bytes(store->file),
    };
}
