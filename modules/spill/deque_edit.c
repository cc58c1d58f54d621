/* Reading and changing at an index, and cutting ranges out. */
#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "modules/spill/chunk.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/store_internal.h"

static struct op *begin(struct op *op, struct deque *deque)
{
    op_begin(op, deque->store);
    deque->is_touched = true;
    deque->busy_count++;
    return op;
}

static int finish(struct op *op, struct deque *deque, int rc)
{
    deque->busy_count--;
    return op_finish(op, rc);
}

static int get_attempt(struct deque *deque, uint64_t index, struct visit *visit, uint64_t *out_base,
                       struct slice *out_item)
{
    uint64_t rest = index, first;
    struct block **part = deque_part_at(deque, &rest, out_base), *leaf;
    uint32_t offset;
    int rc = tree_find(*part, rest, visit, &leaf, &first);

    if (rc < 0) return rc;
    if (!visit_block(visit, leaf, first)) return -EAGAIN;
    offset = chunk_offset(leaf->bytes + leaf->begin, chunk_used(leaf), leaf->element_count,
                          rest - first);
    (void)chunk_first(leaf->bytes + leaf->begin + offset, out_item);
    return 1;
}

int deque_get(struct deque *deque, uint64_t index, struct slice *out_item)
{
    struct op op;
    uint64_t base = 0;
    int rc;

    if (index >= deque->element_count) return 0;
    begin(&op, deque);
    do
        rc = get_attempt(deque, index, &op.visit, &base, out_item);
    while (rc == -EAGAIN && (rc = op_load(&op, base)) == 0);
    return finish(&op, deque, rc);
}

/* At most capacity elements of the chunk from the one at within on. */
static int view_chunk(const struct block *chunk, uint64_t within, enum spill_end towards,
                      struct slice *out_items, unsigned capacity)
{
    const uint8_t *run = chunk->bytes + chunk->begin, *at;
    bool is_forward = towards == SPILL_TAIL;
    uint64_t there = is_forward ? chunk->element_count - within : within + 1;
    unsigned count = there < capacity ? (unsigned)there : capacity;

    at = run + chunk_offset(run, chunk_used(chunk), chunk->element_count,
                            is_forward ? within : within + 1);
    if (is_forward) {
        for (unsigned i = 0; i < count; i++)
            at += chunk_first(at, &out_items[i]);
    } else {
        for (unsigned i = 0; i < count; i++)
            at -= chunk_last(at, &out_items[i]);
    }
    return (int)count;
}

int deque_view(struct deque *deque, uint64_t index, enum spill_end towards, struct slice *out_items,
               unsigned capacity)
{
    uint64_t rest = index, first, base = 0;
    struct visit visit;
    struct block **part, *chunk;
    int rc;

    assert(capacity > 0 && capacity <= INT_MAX);
    if (index >= deque->element_count) return 0;
    deque->is_touched = true;
    visit_begin(&visit);
    part = deque_part_at(deque, &rest, &base);
    rc = tree_find(*part, rest, &visit, &chunk, &first);
    if (rc < 0) return rc;
    if (!visit_block(&visit, chunk, first)) return -EAGAIN;
    return view_chunk(chunk, rest - first, towards, out_items, capacity);
}

void deque_after_change(struct deque *deque)
{
    for (unsigned end = 0; end < 2; end++) {
        if (deque->ends[end]) block_unlink(deque->store, deque->ends[end]);
        tree_collapse(deque->store, &deque->sides[end]);
    }
    tree_collapse(deque->store, &deque->root);
    /* New chunks inside stand in the store's ring, which does not know whose they are. */
    deque->is_spilled = true;
    deque_keep_sides(deque);
    deque_settle(deque);
    deque_recount(deque);
    deque_enter_ring(deque);
}

/* A single chunk became several: the outer ones are the ends, one between is the root. */
static void split_single(struct deque *deque, struct block **pieces, unsigned count)
{
    deque->ends[SPILL_HEAD] = pieces[0];
    deque->ends[SPILL_TAIL] = pieces[count - 1];
    if (count == 3) deque->root = pieces[1];
}

/* An end chunk became several: the outermost is the new end, the others go into the trees. */
static int split_end(struct deque *deque, enum spill_end end, struct block **pieces, unsigned count)
{
    struct block *outer = end == SPILL_HEAD ? pieces[0] : pieces[count - 1], *inner;
    int rc =
        tree_of_pieces(deque->store, end == SPILL_HEAD ? pieces + 1 : pieces, count - 1, &inner);

    if (rc < 0) return rc;
    if (inner) {
        rc = deque_push_tree(deque, end, inner);
        if (rc < 0) {
            /* The pieces inside are given back with it, the caller gives back the outer one. */
            block_unref(deque->store, inner);
            for (unsigned i = 0; i < count; i++)
                if (pieces[i] != outer) pieces[i] = NULL;
            return rc;
        }
    }
    deque->ends[end] = outer;
    return 0;
}

/* Puts the pieces where `part` was. On failure they are given back. */
static int replace_part(struct deque *deque, struct block **part, struct block **pieces,
                        unsigned count)
{
    struct block *old = *part, *tree;
    bool is_end = part == &deque->ends[SPILL_HEAD] || part == &deque->ends[SPILL_TAIL];
    bool is_single = is_end && deque_is_single(deque);
    int rc = 0;

    if (is_single && count > 0) {
        split_single(deque, pieces, count);
    } else if (is_single) {
        deque->ends[SPILL_HEAD] = deque->ends[SPILL_TAIL] = NULL;
    } else if (is_end && count > 0) {
        rc = split_end(deque, part == &deque->ends[SPILL_TAIL], pieces, count);
    } else {
        rc = tree_of_pieces(deque->store, pieces, count, &tree);
        if (rc == 0) *part = tree;
    }
    if (rc < 0) {
        for (unsigned i = 0; i < count; i++)
            block_unref(deque->store, pieces[i]);
        return rc;
    }
    block_unref(deque->store, old);
    deque_after_change(deque);
    return 0;
}

static int edit_attempt(struct deque *deque, uint64_t index, const struct edit *edit,
                        struct visit *visit, uint64_t *out_base)
{
    struct block *pieces[EDIT_PIECES_MAX], **part;
    uint64_t rest = index;
    unsigned count = 0;
    bool is_single = deque_is_single(deque);
    int rc = 0;

    part = deque_part_at(deque, &rest, out_base);
    if (edit->kind != EDIT_LEAF) {
        rc = tree_edit_in_place(deque->store, part, rest, edit, visit);
        if (is_single) deque->ends[SPILL_TAIL] = deque->ends[SPILL_HEAD];
        if (rc > 0) deque_recount(deque);
        if (rc != 0) return rc;
        visit_begin(visit);
    }
    rc = tree_edit(deque->store, *part, rest, edit, visit, pieces, &count);
    if (rc < 0) return rc;
    rc = replace_part(deque, part, pieces, count);
    return rc < 0 ? rc : 1;
}

int deque_edit(struct deque *deque, uint64_t index, const struct edit *edit)
{
    struct op op;
    uint64_t base = 0;
    int rc;

    begin(&op, deque);
    do
        rc = edit_attempt(deque, index, edit, &op.visit, &base);
    while (rc == -EAGAIN && (rc = op_load(&op, base)) == 0);
    rc = finish(&op, deque, rc);
    store_update_pressure(deque->store);
    return rc < 0 ? rc : 0;
}

/* An item that may be a view of this very list must not move while it is copied. */
static int edit_with_copy(struct deque *deque, uint64_t index, enum edit_kind kind,
                          struct slice item)
{
    struct edit edit = { .kind = kind, .item = item };
    uint8_t *copy = store_allocate(deque->store, item.size > 0 ? item.size : 1);
    int rc;

    if (!copy) return -ENOMEM;
    if (item.size > 0) memcpy(copy, item.bytes, item.size);
    edit.item.bytes = copy;
    rc = deque_edit(deque, index, &edit);
    free(copy);
    return rc;
}

int deque_set(struct deque *deque, uint64_t index, struct slice item)
{
    if (index >= deque->element_count) return -ERANGE;
    if (item.size > deque->store->element_bytes_max) return -EMSGSIZE;
    if (deque->store->is_full) return -ENOSPC;
    return edit_with_copy(deque, index, EDIT_REPLACE, item);
}

int deque_insert(struct deque *deque, uint64_t index, struct slice item)
{
    if (index > deque->element_count) return -ERANGE;
    if (index == 0) return deque_push(deque, SPILL_HEAD, &item, 1);
    if (index == deque->element_count) return deque_push(deque, SPILL_TAIL, &item, 1);
    if (item.size > deque->store->element_bytes_max) return -EMSGSIZE;
    if (deque->store->is_full) return -ENOSPC;
    return edit_with_copy(deque, index, EDIT_INSERT, item);
}

/* The parts as they will be without a range; the deque is as it was. */
static int cut_attempt(struct deque *deque, uint64_t begin_index, uint64_t count,
                       struct visit *visit, struct block *out_parts[PARTS_MAX])
{
    struct block **places[PARTS_MAX];
    unsigned part_count = deque_parts(deque, places), made = 0;
    uint64_t first = 0, end_index = begin_index + count;
    int rc = 0;

    for (; made < part_count && rc == 0; made++) {
        struct block *part = *places[made];
        uint64_t last = first + part->element_count;
        uint64_t from = begin_index > first ? begin_index : first;
        uint64_t to = end_index < last ? end_index : last;
        out_parts[made] = NULL;
        if (from >= to)
            out_parts[made] = block_ref(part);
        else
            rc = tree_remove(deque->store, part, from - first, to - from, visit, &out_parts[made]);
        if (rc == -EAGAIN) visit->missing_index += first;
        first = last;
    }
    if (rc == 0) return 0;
    for (unsigned i = 0; i < made; i++)
        block_unref(deque->store, out_parts[i]);
    return rc;
}

int deque_cut(struct deque *deque, uint64_t begin_index, uint64_t count)
{
    struct block *parts[PARTS_MAX] = { NULL }, **places[PARTS_MAX];
    bool is_single = deque_is_single(deque);
    unsigned part_count;
    struct op op;
    int rc;

    if (count == 0) return 0;
    begin(&op, deque);
    do
        rc = cut_attempt(deque, begin_index, count, &op.visit, parts);
    while (rc == -EAGAIN && (rc = op_load(&op, 0)) == 0);
    if (rc == 0) {
        part_count = deque_parts(deque, places);
        for (unsigned i = 0; i < part_count; i++) {
            block_unref(deque->store, *places[i]);
            *places[i] = parts[i];
        }
        if (is_single) deque->ends[SPILL_TAIL] = deque->ends[SPILL_HEAD];
        deque_after_change(deque);
    }
    return finish(&op, deque, rc);
}

int deque_remove(struct deque *deque, uint64_t index, uint64_t count)
{
    if (index >= deque->element_count) return 0;
    if (count > deque->element_count - index) count = deque->element_count - index;
    return deque_cut(deque, index, count);
}

int deque_keep(struct deque *deque, uint64_t index, uint64_t count)
{
    struct spill_snapshot *before;
    uint64_t total = deque->element_count, behind;
    int rc;

    if (index >= total || count == 0) return deque_cut(deque, 0, total);
    if (count > total - index) count = total - index;
    behind = total - index - count;
    if (behind == 0 || index == 0) {
        return deque_cut(deque, behind == 0 ? 0 : count, behind == 0 ? index : behind);
    }
    /* Two cuts: the second one may fail. */
    rc = deque_snapshot(deque, &before);
    if (rc < 0) return rc;
    rc = deque_cut(deque, index + count, behind);
    if (rc == 0) rc = deque_cut(deque, 0, index);
    if (rc < 0)
        deque_restore(deque, before);
    else
        spill_snapshot_release(before);
    return rc;
}
