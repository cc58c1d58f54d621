#include "modules/spill/chunk_edit.h"

#include <assert.h>
#include <errno.h>

#include "modules/spill/chunk.h"
#include "modules/spill/store_internal.h"

int chunk_of_runs(struct spill_store *store, uint64_t list, const struct slice runs[RUNS_MAX],
                  struct block **out_chunk)
{
    size_t size = 0;
    struct block *chunk;

    for (unsigned i = 0; i < RUNS_MAX; i++)
        size += runs[i].size;
    assert(size > 0 && size <= UINT32_MAX / 2);
    chunk = block_create_chunk(store, list, (uint32_t)size);
    if (!chunk) return -ENOMEM;
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (runs[i].size == 0) continue;
        memcpy(chunk->bytes + chunk->end, runs[i].bytes, runs[i].size);
        chunk->end += (uint32_t)runs[i].size;
    }
    chunk_measure(chunk->bytes, chunk->end, &chunk->element_count, &chunk->element_bytes);
    block_link_random(store, chunk);
    *out_chunk = chunk;
    return 0;
}

static uint32_t offset_of(const struct block *chunk, uint64_t index)
{
    return chunk_offset(chunk->bytes + chunk->begin, chunk_used(chunk), chunk->element_count,
                        index);
}

int chunk_without(struct spill_store *store, const struct block *chunk, uint64_t begin,
                  uint64_t count, struct block **out_chunk)
{
    const uint8_t *run = chunk->bytes + chunk->begin;
    uint32_t from, to;

    assert(begin + count <= chunk->element_count);
    *out_chunk = NULL;
    if (count == chunk->element_count) return 0;
    from = offset_of(chunk, begin);
    to = offset_of(chunk, begin + count);
    return chunk_of_runs(
        store, chunk->list,
        (struct slice[RUNS_MAX]){ { run, from }, { run + to, chunk_used(chunk) - to }, { 0 } },
        out_chunk);
}

/* The chunk as it will be: left, the item's packed form, right. */
struct plan {
    struct slice left, right;
    uint32_t item_bytes, replaced_bytes;
    uint64_t total_bytes;
};

static struct plan plan_edit(const struct block *chunk, uint64_t index, const struct edit *edit)
{
    const uint8_t *run = chunk->bytes + chunk->begin;
    uint32_t at = offset_of(chunk, index);
    struct plan plan = { .left = { run, at }, .item_bytes = chunk_encoded_bytes(edit->item.size) };
    struct slice replaced;

    if (edit->kind == EDIT_REPLACE) plan.replaced_bytes = chunk_first(run + at, &replaced);
    plan.right =
        slice_of(run + at + plan.replaced_bytes, chunk_used(chunk) - at - plan.replaced_bytes);
    plan.total_bytes = (uint64_t)plan.left.size + plan.item_bytes + plan.right.size;
    return plan;
}

/* The first boundary between elements of run at or after offset. */
static size_t boundary_after(struct slice run, size_t offset)
{
    size_t at = 0;
    struct slice item;

    while (at < offset && at < run.size)
        at += chunk_first(run.bytes + at, &item);
    return at;
}

/* Where to cut the planned chunk in two, as near to the middle as an element's boundary is. */
static uint64_t middle_of(const struct plan *plan)
{
    uint64_t half = plan->total_bytes / 2;
    uint64_t after_item = plan->left.size + plan->item_bytes;

    if (half <= plan->left.size) return boundary_after(plan->left, (size_t)half);
    if (half >= after_item) {
        return after_item + boundary_after(plan->right, (size_t)(half - after_item));
    }
    return half - plan->left.size < after_item - half ? plan->left.size : after_item;
}

/* Bytes [from, to) of the planned chunk as runs; boundaries of elements. item is its packed form.
 */
static void runs_between(const struct plan *plan, struct slice item, uint64_t from, uint64_t to,
                         struct slice runs[RUNS_MAX])
{
    struct slice parts[RUNS_MAX] = { plan->left, item, plan->right };
    uint64_t base = 0;

    for (unsigned i = 0; i < RUNS_MAX; i++) {
        uint64_t first = from > base ? from - base : 0;
        uint64_t last = to > base ? to - base : 0;
        if (first > parts[i].size) first = parts[i].size;
        if (last > parts[i].size) last = parts[i].size;
        runs[i] = first < last ? slice_of(parts[i].bytes + first, (size_t)(last - first))
                               : (struct slice){ 0 };
        base += parts[i].size;
    }
}

/* Fills cuts with the ends of the pieces, the number of them. */
static unsigned choose_cuts(const struct plan *plan, uint32_t chunk_bytes,
                            uint64_t cuts[EDIT_PIECES_MAX])
{
    uint64_t middle;
    unsigned count = 0;

    if (plan->total_bytes <= chunk_bytes || plan->total_bytes == plan->item_bytes) {
        cuts[0] = plan->total_bytes;
        return 1;
    }
    middle = middle_of(plan);
    if (middle <= chunk_bytes && plan->total_bytes - middle <= chunk_bytes) {
        cuts[0] = middle;
        cuts[1] = plan->total_bytes;
        return 2;
    }
    /* The item is large: it gets a chunk of its own. */
    if (plan->left.size > 0) cuts[count++] = plan->left.size;
    cuts[count++] = plan->left.size + plan->item_bytes;
    if (plan->right.size > 0) cuts[count++] = plan->total_bytes;
    return count;
}

int chunk_edited(struct spill_store *store, const struct block *chunk, uint64_t index,
                 const struct edit *edit, struct block **out_pieces, unsigned *out_count)
{
    struct plan plan = plan_edit(chunk, index, edit);
    struct block *packed, *pieces[EDIT_PIECES_MAX] = { NULL };
    struct slice runs[RUNS_MAX];
    uint64_t cuts[EDIT_PIECES_MAX], from = 0;
    unsigned count, made = 0;
    int rc = 0;

    /* The item is packed in a chunk of its own first: often that is a piece already. */
    packed = block_create_chunk(store, chunk->list, plan.item_bytes);
    if (!packed) return -ENOMEM;
    chunk_encode(packed->bytes, edit->item);
    packed->end = plan.item_bytes;
    packed->element_count = 1;
    packed->element_bytes = edit->item.size;
    count = choose_cuts(&plan, store->chunk_bytes, cuts);
    for (; made < count && rc == 0; made++) {
        runs_between(&plan, slice_of(packed->bytes, plan.item_bytes), from, cuts[made], runs);
        from = cuts[made];
        if (runs[0].size == 0 && runs[2].size == 0)
            pieces[made] = block_ref(packed);
        else
            rc = chunk_of_runs(store, chunk->list, runs, &pieces[made]);
    }
    for (unsigned i = 0; i < made; i++) {
        if (rc == 0)
            out_pieces[i] = pieces[i];
        else
            block_unref(store, pieces[i]);
    }
    if (rc == 0) *out_count = count;
    block_unref(store, packed);
    return rc;
}

/* Makes room for `more` bytes between the runs, at offset `at` from the chunk's begin; `gone` bytes
 * from there on are given up. The smaller side moves when it can. */
static int open_gap(struct spill_store *store, struct block *chunk, uint32_t at, uint32_t gone,
                    uint32_t more)
{
    uint32_t right_bytes = chunk_used(chunk) - at - gone;
    uint32_t total = at + more + right_bytes;
    uint32_t growth = more > gone ? more - gone : 0;
    uint32_t capacity;
    int rc;

    if (more <= gone || chunk->capacity - chunk->end >= growth) {
        if (more <= gone || right_bytes <= at || chunk->begin < growth) {
            uint8_t *right = chunk->bytes + chunk->begin + at + gone;
            memmove(right + more - gone, right, right_bytes);
            chunk->end = chunk->end - gone + more;
            return 0;
        }
    }
    if (chunk->begin >= growth) {
        uint8_t *left = chunk->bytes + chunk->begin;
        memmove(left - growth, left, at);
        chunk->begin -= growth;
        return 0;
    }
    capacity = chunk->capacity;
    if (total > capacity) {
        capacity = chunk_capacity(store, total + total / 2);
        if (capacity > store->chunk_bytes) capacity = store->chunk_bytes;
    }
    rc = chunk_relocate(store, chunk, capacity, 0);
    if (rc < 0) return rc;
    return open_gap(store, chunk, at, gone, more);
}

int chunk_edit_in_place(struct spill_store *store, struct block *chunk, uint64_t index,
                        const struct edit *edit)
{
    struct plan plan = plan_edit(chunk, index, edit);
    uint32_t at = (uint32_t)plan.left.size;
    struct slice replaced = { 0 };
    int rc;

    if (plan.total_bytes > store->chunk_bytes) return 0;
    if (edit->kind == EDIT_REPLACE) (void)chunk_first(plan.left.bytes + at, &replaced);
    rc = open_gap(store, chunk, at, plan.replaced_bytes, plan.item_bytes);
    if (rc < 0) return rc;
    chunk_encode(chunk->bytes + chunk->begin + at, edit->item);
    chunk->element_bytes = chunk->element_bytes + edit->item.size - replaced.size;
    if (edit->kind == EDIT_INSERT) chunk->element_count++;
    return 1;
}
