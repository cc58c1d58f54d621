/* snapshot_picture.c - what only snapshots hold is none of a checkpoint's picture.
 *
 * A streamed reply goes on with a list that was dropped or changed meanwhile. At the begin of a
 * checkpoint such blocks are in the file like all others, but no root will lead to them: were they
 * kept, their room would be lost if the process died before the next checkpoint. So they leave the
 * picture: what is in memory at once; a node that is on disk has all below it to itself, which the
 * state tells the next life to take apart.
 *
 * Which blocks those are the counts of references tell: those of the snapshots are let go, one
 * after the other, and those of a block's children once nobody is left who has the block; what
 * comes to zero is the snapshots' alone. Then all are taken back. No block is freed or changed
 * between. Bounded, as a block in memory costs two looks, and there may be as many snapshots as
 * lists: what is beyond the bound stays in the picture. */
#include "modules/spill/snapshot_internal.h"

#include <assert.h>

#include "modules/spill/batch.h"
#include "modules/spill/checkpoint.h"
#include "modules/spill/fetch.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/store_internal.h"

enum { LOOKS_MAX = 2048 }; /* at blocks, a checkpoint: a millisecond or two where none is cached */

/* Besides pins, which are those of cursors here. */
static uint32_t owners(const struct block *block)
{
    return block->ref_count - block->pin_count;
}

/* A block that nobody but snapshots has, and whether its children are to be looked at. */
static bool leave(struct spill_store *store, struct block *block)
{
    bool is_on_disk = block->height > 0 && !block_is_loaded(block);

    /* Kept for the next life, which frees it; all is as if it had changed since. */
    if (is_on_disk && state_add_dead(store, block) < 0) return false;
    if (!is_on_disk && block->ref.generation != 0) spill_file_unkeep(store->file, &block->ref);
    block->epoch = store->epoch;
    return block->height > 0 && !is_on_disk;
}

static void let_go(struct spill_store *store, struct block *block, unsigned *left)
{
    assert(owners(block) > 0);
    block->ref_count--;
    if (*left > 0) --*left;
    if (owners(block) > 0 || *left == 0) return;
    if (!leave(store, block)) return;
    for (uint32_t i = 0; i < block->end; i++)
        let_go(store, block->slots[i].block, left);
}

/* Those that have left bear the new epoch, which no block had before. */
static void take_back(struct spill_store *store, struct block *block)
{
    bool was_nobodys = owners(block) == 0;

    block->ref_count++;
    if (!was_nobodys || block->epoch < store->epoch) return;
    if (block->height == 0 || !block_is_loaded(block)) return;
    for (uint32_t i = 0; i < block->end; i++)
        take_back(store, block->slots[i].block);
}

/* A reader's chunk may just be on its way: who reads or writes owns nothing. */
static void count_transfers(const struct spill_store *store, int change)
{
    fetches_count(store, change);
    batches_count(store, change);
}

void snapshots_leave_picture(struct spill_store *store)
{
    unsigned left = LOOKS_MAX;
    const struct list_link *last = NULL; /* that was let go */

    if (list_is_empty(&store->snapshots)) return;
    count_transfers(store, -1);
    list_for_each(link, &store->snapshots)
    {
        struct spill_snapshot *snapshot = list_container(link, struct spill_snapshot, link);
        for (unsigned i = 0; i < PARTS_MAX; i++)
            if (snapshot->parts[i]) let_go(store, snapshot->parts[i], &left);
        last = link;
        if (left == 0) break;
    }
    list_for_each(link, &store->snapshots)
    {
        struct spill_snapshot *snapshot = list_container(link, struct spill_snapshot, link);
        for (unsigned i = 0; i < PARTS_MAX; i++)
            if (snapshot->parts[i]) take_back(store, snapshot->parts[i]);
        if (link == last) break;
    }
    count_transfers(store, 1);
}
