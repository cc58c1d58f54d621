#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/spill/chunk.h"
#include "modules/spill/prefetch.h"
#include "modules/spill/snapshot_internal.h"
#include "modules/spill/store_internal.h"

struct spill_cursor {
    struct spill_snapshot *snapshot; /* a reference */
    enum spill_end towards;
    bool is_done;
    uint64_t index;      /* of the next element; meaningless when is_done */
    struct block *chunk; /* pinned; NULL: to be found */
    uint32_t offset;     /* in chunk->bytes, where the next element begins, or ends (SPILL_HEAD) */
    uint64_t rest;       /* elements of the chunk not given yet */
    struct prefetch_pace ahead;
};

int spill_cursor_create(struct spill_snapshot *snapshot, uint64_t index, enum spill_end towards,
                        struct spill_cursor **out_cursor)
{
    struct spill_cursor *cursor = store_allocate_zeroed(snapshot->store, sizeof(*cursor));

    if (!cursor) return -ENOMEM;
    snapshot->ref_count++;
    cursor->snapshot = snapshot;
    cursor->towards = towards;
    cursor->index = index;
    cursor->is_done = index >= snapshot->element_count;
    *out_cursor = cursor;
    return 0;
}

/* The part that holds the next element, and that element's index in it. */
static struct block *part_of(const struct spill_cursor *cursor, uint64_t *out_rest,
                             uint64_t *out_first)
{
    uint64_t first = 0;

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        struct block *part = cursor->snapshot->parts[i];
        if (!part) continue;
        if (cursor->index - first < part->element_count) {
            *out_rest = cursor->index - first;
            *out_first = first;
            return part;
        }
        first += part->element_count;
    }
    assert(0 && "the parts' counts add up to the snapshot's");
    return NULL;
}

/* What was read for it nobody waits for any more. */
static void give_up_ahead(const struct spill_cursor *cursor)
{
    uint64_t rest, first;
    struct block *part = part_of(cursor, &rest, &first);

    prefetch_given_up(cursor->snapshot->store, part, rest, cursor->towards, &cursor->ahead);
}

void spill_cursor_destroy(struct spill_cursor *cursor)
{
    if (!cursor) return;
    if (cursor->chunk) block_unpin(cursor->snapshot->store, cursor->chunk);
    if (!cursor->is_done) give_up_ahead(cursor);
    snapshot_unref(cursor->snapshot);
    free(cursor);
}

static int find_chunk(const struct spill_cursor *cursor, struct visit *visit, uint64_t *out_base,
                      struct block **out_chunk, uint64_t *out_within)
{
    uint64_t rest, first;
    struct block *part = part_of(cursor, &rest, out_base);
    int rc = tree_find(part, rest, visit, out_chunk, &first);

    if (rc < 0) return rc;
    if (!visit_block(visit, *out_chunk, first)) return -EAGAIN;
    *out_within = rest - first;
    return 0;
}

static void enter_chunk(struct spill_cursor *cursor, struct block *chunk, uint64_t within)
{
    const uint8_t *run = chunk->bytes + chunk->begin;
    bool is_forward = cursor->towards == SPILL_TAIL;

    block_pin(chunk);
    block_set_prefetched(cursor->snapshot->store, chunk, false);
    cursor->chunk = chunk;
    cursor->offset = chunk->begin + chunk_offset(run, chunk_used(chunk), chunk->element_count,
                                                 is_forward ? within : within + 1);
    cursor->rest = is_forward ? chunk->element_count - within : within + 1;
}

static void read_ahead(struct spill_cursor *cursor)
{
    struct spill_store *store = cursor->snapshot->store;
    uint64_t rest, first;
    struct block *part = part_of(cursor, &rest, &first);

    prefetch_walked(store, part, rest, cursor->towards, &cursor->ahead);
}

static int load_chunk(struct spill_cursor *cursor)
{
    struct block *chunk = NULL;
    uint64_t within = 0, base = 0;
    struct op op;
    int rc;

    op_begin(&op, cursor->snapshot->store);
    read_ahead(cursor);
    do
        rc = find_chunk(cursor, &op.visit, &base, &chunk, &within);
    while (rc == -EAGAIN && (rc = op_load(&op, base)) == 0);
    if (rc == 0) enter_chunk(cursor, chunk, within);
    return op_finish(&op, rc);
}

static void leave_chunk(struct spill_cursor *cursor)
{
    block_unpin(cursor->snapshot->store, cursor->chunk);
    cursor->chunk = NULL;
}

void spill_cursor_rest(struct spill_cursor *cursor)
{
    if (cursor->chunk) leave_chunk(cursor);
}

int spill_cursor_peek(struct spill_cursor *cursor, struct slice *out_item)
{
    int rc;

    /* The view of the last call was good until now. */
    if (cursor->chunk && cursor->rest == 0) leave_chunk(cursor);
    if (cursor->is_done) return 0;
    if (!cursor->chunk) {
        rc = load_chunk(cursor);
        if (rc < 0) return rc;
        assert(cursor->chunk); /* the analyzer does not see it */
    }
    if (cursor->towards == SPILL_TAIL)
        (void)chunk_first(cursor->chunk->bytes + cursor->offset, out_item);
    else
        (void)chunk_last(cursor->chunk->bytes + cursor->offset, out_item);
    return 1;
}

int spill_cursor_next(struct spill_cursor *cursor, struct slice *out_item)
{
    int rc = spill_cursor_peek(cursor, out_item);

    if (rc != 1) return rc;
    if (cursor->towards == SPILL_TAIL) {
        cursor->offset += chunk_encoded_bytes(out_item->size);
        cursor->is_done = ++cursor->index == cursor->snapshot->element_count;
    } else {
        cursor->offset -= chunk_encoded_bytes(out_item->size);
        cursor->is_done = cursor->index-- == 0;
    }
    cursor->rest--;
    return 1;
}

bool spill_cursor_ready(const struct spill_cursor *cursor)
{
    struct block *chunk;
    struct visit visit;
    uint64_t within, base;

    if (cursor->is_done || (cursor->chunk && cursor->rest > 0)) return true;
    visit_begin(&visit);
    return find_chunk(cursor, &visit, &base, &chunk, &within) == 0;
}
