/* Removing what matches: chunk by chunk, each replaced by one without its matches. The way back
 * from an error is a snapshot, which also keeps what was removed on disk until the end. */
#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/spill/chunk.h"
#include "modules/spill/chunk_edit.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/store_internal.h"

struct filter {
    struct deque *deque;
    enum spill_end from;
    bool in_steps; /* it stops where room runs short */
    struct prefetch_pace ahead;
    uint64_t limit;      /* still to be removed at most */
    uint64_t made_bytes; /* of chunks that took the place of others */
    bool (*accepts)(void *context, struct slice item);
    void *context;
};

/* Finds and pins the leaf that holds index. */
static int load_leaf(struct filter *filter, uint64_t index, struct block **out_leaf,
                     uint64_t *out_first)
{
    struct deque *deque = filter->deque;
    uint64_t rest = index, base = 0, first = 0;
    struct block **part, *leaf = NULL;
    struct op op;
    int rc;

    op_begin(&op, deque->store);
    part = deque_part_at(deque, &rest, &base);
    prefetch_walked(deque->store, *part, rest, other_end(filter->from), &filter->ahead);
    do {
        rest = index;
        part = deque_part_at(deque, &rest, &base);
        rc = tree_find(*part, rest, &op.visit, &leaf, &first);
        if (rc == 0 && !visit_block(&op.visit, leaf, first)) rc = -EAGAIN;
    } while (rc == -EAGAIN && (rc = op_load(&op, base)) == 0);
    if (rc == 0) {
        block_pin(leaf);
        block_set_prefetched(deque->store, leaf, false);
        *out_leaf = leaf;
        *out_first = base + first;
    }
    return op_finish(&op, rc);
}

/* What is left of the leaf, as a new chunk: written from the side the walk comes from, since that
 * is the order in which accepts is to be asked and limit counts. The first `passed` elements were
 * asked for already: their chunk was joined with this one. NULL: nothing is left, or nothing
 * removed. */
static int filter_leaf(struct filter *filter, const struct block *leaf, uint64_t passed,
                       struct block **out_kept, uint64_t *out_removed)
{
    struct spill_store *store = filter->deque->store;
    bool is_forward = filter->from == SPILL_HEAD;
    uint32_t used = chunk_used(leaf), size;
    struct block *kept = block_create_chunk(store, leaf->list, used);
    struct slice item;

    if (!kept) return -ENOMEM;
    kept->begin = kept->end = is_forward ? 0 : kept->capacity;
    *out_removed = 0;
    for (uint32_t walked = 0; walked < used; walked += size) {
        const uint8_t *at =
            is_forward ? leaf->bytes + leaf->begin + walked : leaf->bytes + leaf->end - walked;
        size = is_forward ? chunk_first(at, &item) : chunk_last(at, &item);
        if (passed > 0) {
            passed--;
        } else if (*out_removed < filter->limit && filter->accepts(filter->context, item)) {
            ++*out_removed;
            continue;
        }
        if (is_forward) {
            memcpy(kept->bytes + kept->end, at, size);
            kept->end += size;
        } else {
            kept->begin -= size;
            memcpy(kept->bytes + kept->begin, at - size, size);
        }
        kept->element_count++;
        kept->element_bytes += item.size;
    }
    *out_kept = kept->element_count > 0 && *out_removed > 0 ? kept : NULL;
    if (*out_kept)
        block_link_random(store, kept);
    else
        block_unref(store, kept);
    return 0;
}

/* Filters the leaf that comes after *passed elements, and goes on behind it. The number removed. */
static int64_t filter_next(struct filter *filter, uint64_t *passed)
{
    struct deque *deque = filter->deque;
    bool is_forward = filter->from == SPILL_HEAD;
    uint64_t index = is_forward ? *passed : deque->element_count - 1 - *passed;
    struct edit edit = { .kind = EDIT_LEAF };
    struct block *leaf = NULL;
    uint64_t first, elements, again, removed;
    int rc = load_leaf(filter, index, &leaf, &first);

    if (rc < 0) return rc;
    assert(leaf); /* the analyzer does not see it */
    elements = leaf->element_count;
    again = is_forward ? index - first : first + elements - 1 - index;
    rc = filter_leaf(filter, leaf, again, &edit.leaf, &removed);
    block_unpin(deque->store, leaf);
    if (rc < 0) return rc;
    if (edit.leaf) filter->made_bytes += block_loaded_bytes(edit.leaf);
    if (removed > 0) rc = deque_edit(deque, first, &edit);
    block_unref(deque->store, edit.leaf);
    if (rc < 0) return rc;
    *passed += elements - again - removed;
    return (int64_t)removed;
}

/* It stops before the end: what was read for it nobody waits for any more. */
static void give_up_ahead(struct filter *filter, uint64_t passed)
{
    struct deque *deque = filter->deque;
    uint64_t index, first;
    struct block **part;

    if (passed == deque->element_count) return;
    index = filter->from == SPILL_HEAD ? passed : deque->element_count - 1 - passed;
    part = deque_part_at(deque, &index, &first);
    prefetch_given_up(deque->store, *part, index, other_end(filter->from), &filter->ahead);
}

/* What is removed keeps its place on disk until the end of the step, or the next checkpoint, beside
 * what takes its place. A step stops while there is room for one more chunk. */
static bool has_no_room(const struct filter *filter)
{
    const struct spill_store *store = filter->deque->store;

    return store_is_overfull(store,
                             filter->made_bytes + (filter->in_steps ? store->chunk_bytes : 0));
}

static int64_t filter_all(struct filter *filter, uint64_t *passed)
{
    struct deque *deque = filter->deque;
    struct spill_store *store = deque->store;
    uint64_t removed_sum = 0;

    while (*passed < deque->element_count && filter->limit > 0) {
        int64_t removed = filter_next(filter, passed);
        if (removed < 0) return removed;
        removed_sum += (uint64_t)removed;
        filter->limit -= (uint64_t)removed;
        if (removed > 0 && has_no_room(filter)) {
            if (!filter->in_steps) return -ENOSPC;
            break;
        }
        if (store->hooks.pause) {
            int rc = store->hooks.pause(store->hooks.context);
            if (rc < 0) return rc;
        }
    }
    give_up_ahead(filter, *passed);
    return (int64_t)removed_sum;
}

/* All that filter says behind *passed, or nothing. */
static int64_t remove_behind(struct filter *filter, uint64_t *passed)
{
    struct deque *deque = filter->deque;
    uint64_t walked = *passed;
    struct spill_snapshot *before;
    int64_t removed;
    int rc;

    if (walked >= deque->element_count) return 0;
    rc = deque_snapshot(deque, &before);
    if (rc < 0) return rc;
    deque->is_touched = true;
    deque->busy_count++;
    removed = filter_all(filter, &walked);
    deque->busy_count--;
    if (removed < 0) {
        deque_restore(deque, before);
        return removed;
    }
    *passed = walked;
    spill_snapshot_release(before);
    spill_store_rewrote(deque->store, filter->made_bytes);
    return removed;
}

int64_t deque_remove_matching(struct deque *deque, enum spill_end from, uint64_t limit,
                              bool (*accepts)(void *context, struct slice item), void *context)
{
    struct filter filter = { .deque = deque,
                             .from = from,
                             .limit = limit == 0 ? UINT64_MAX : limit,
                             .accepts = accepts,
                             .context = context };
    uint64_t passed = 0;

    return remove_behind(&filter, &passed);
}

int64_t deque_remove_some(struct deque *deque, enum spill_end from, uint64_t limit,
                          bool (*accepts)(void *context, struct slice item), void *context,
                          uint64_t *passed)
{
    struct filter filter = { .deque = deque,
                             .from = from,
                             .in_steps = true,
                             .limit = limit == 0 ? UINT64_MAX : limit,
                             .accepts = accepts,
                             .context = context };

    return remove_behind(&filter, passed);
}
