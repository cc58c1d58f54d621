/* pinned.c - the last complete checkpoint, while somebody copies it. */
#include <errno.h>

#include "modules/spill/file_kept.h"
#include "modules/spill/persist.h"
#include "modules/spill/space_kept.h"
#include "modules/spill/store_internal.h"

int spill_checkpoint_pin(struct spill_store *store)
{
    int rc;

    if (store->is_pinned) return -EALREADY;
    if (store->checkpoints == 0 && !store->was_opened) return -EINVAL;
    rc = spill_file_pin(store->file);
    store->is_pinned = rc == 0;
    return rc;
}

void spill_checkpoint_unpin(struct spill_store *store)
{
    if (!store->is_pinned) return;
    store->is_pinned = false;
    spill_file_unpin(store->file);
    /* What only it has kept may be written now. */
    store->freed_extents++;
    store_update_pressure(store);
}

bool spill_checkpoint_is_pinned(const struct spill_store *store)
{
    return store->is_pinned;
}

bool spill_checkpoint_pinned(const struct spill_store *store, uint64_t from_bytes,
                             uint64_t size_max, struct spill_range *out_range)
{
    struct spill_run run;

    if (!spill_space_pinned_run(spill_file_space(store->file), from_bytes / SPILL_BLOCK_BYTES,
                                size_max / SPILL_BLOCK_BYTES, &run))
        return false;
    *out_range =
        (struct spill_range){ run.first * SPILL_BLOCK_BYTES, run.count * SPILL_BLOCK_BYTES };
    return true;
}

void spill_checkpoint_pinned_size(const struct spill_store *store, uint64_t *out_bytes,
                                  uint64_t *out_end)
{
    const struct spill_space *space = spill_file_space(store->file);

    *out_bytes = spill_space_pinned(space) * SPILL_BLOCK_BYTES;
    *out_end = spill_space_pinned_end(space) * SPILL_BLOCK_BYTES;
}

const char *spill_store_path(const struct spill_store *store)
{
    return spill_file_path(store->file);
}
