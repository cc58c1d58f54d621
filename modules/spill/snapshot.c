#include "modules/spill/snapshot_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/reclaim.h"
#include "modules/spill/store_internal.h"

int deque_snapshot(struct deque *deque, struct spill_snapshot **out_snapshot)
{
    struct spill_store *store = deque->store;
    struct spill_snapshot *snapshot = store_allocate_zeroed(store, sizeof(*snapshot));
    struct block **parts;

    if (!snapshot) return -ENOMEM;
    snapshot->store = store;
    snapshot->list = deque->list;
    snapshot->element_count = deque->element_count;
    snapshot->element_bytes = deque->element_bytes;
    snapshot->ref_count = 1;
    snapshot->is_single = deque_is_single(deque);
    parts = snapshot->parts;
    parts[0] = deque->ends[SPILL_HEAD];
    parts[1] = deque->sides[SPILL_HEAD];
    parts[2] = deque->root;
    parts[3] = deque->sides[SPILL_TAIL];
    parts[4] = snapshot->is_single ? NULL : deque->ends[SPILL_TAIL];
    for (unsigned i = 0; i < PARTS_MAX; i++)
        if (parts[i]) block_ref(parts[i]);
    /* What is shared may be evicted without the deque being told. */
    deque->is_spilled = true;
    list_init(&snapshot->link);
    list_push_back(&store->snapshots, &snapshot->link);
    store->snapshot_count++;
    store_charge(store, alloc_size(sizeof(*snapshot)));
    store->index_bytes += alloc_size(sizeof(*snapshot));
    *out_snapshot = snapshot;
    return 0;
}

void snapshot_unref(struct spill_snapshot *snapshot)
{
    struct spill_store *store = snapshot->store;

    assert(snapshot->ref_count > 0);
    if (--snapshot->ref_count > 0) return;
    for (unsigned i = 0; i < PARTS_MAX; i++)
        block_unref(store, snapshot->parts[i]);
    reclaim_some(store);
    list_remove(&snapshot->link);
    store->snapshot_count--;
    store_discharge(store, alloc_size(sizeof(*snapshot)));
    store->index_bytes -= alloc_size(sizeof(*snapshot));
    free(snapshot);
}

void spill_snapshot_release(struct spill_snapshot *snapshot)
{
    if (snapshot) snapshot_unref(snapshot);
}

uint64_t spill_snapshot_count(const struct spill_snapshot *snapshot)
{
    return snapshot->element_count;
}

void deque_restore(struct deque *deque, struct spill_snapshot *snapshot)
{
    struct block **parts = snapshot->parts;

    assert(deque->list == snapshot->list);
    deque_drop_parts(deque);
    for (unsigned i = 0; i < PARTS_MAX; i++)
        if (parts[i]) block_ref(parts[i]);
    deque->ends[SPILL_HEAD] = parts[0];
    deque->sides[SPILL_HEAD] = parts[1];
    deque->root = parts[2];
    deque->sides[SPILL_TAIL] = parts[3];
    deque->ends[SPILL_TAIL] = snapshot->is_single ? parts[0] : parts[4];
    deque_after_change(deque);
    snapshot_unref(snapshot);
}
