/* Figures of a deque, in pieces: a list of gigabytes in memory has hundreds of thousands of blocks.
 *
 * The walk remembers by element how far it has come and goes down again after each pause, because
 * nodes that were loaded may have gone from memory meanwhile. The block it was at last is pinned:
 * so the path to it stays loaded, and what was counted in part is never met again as a whole. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/node_image.h"
#include "modules/spill/store_internal.h"

enum {
    PIECE_BLOCKS = 256,    /* between two calls of the pause hook */
    ASKED_CHUNKS_MAX = 32, /* by deque_is_resident: their descriptors */
};

struct survey {
    struct spill_deque_info *info;
    uint64_t from;      /* elements before it have been counted */
    unsigned left;      /* blocks that the piece may still count */
    struct block *last; /* counted, a leaf or not loaded */
};

static bool is_counted(const struct survey *survey, uint64_t first, uint64_t element_count)
{
    return survey->from > first && survey->from >= first + element_count;
}

static void count_leaf(struct survey *survey, struct block *block)
{
    struct spill_deque_info *info = survey->info;

    info->chunk_count += block->chunk_count;
    info->bytes_on_disk += block_footprint(block);
    if (block->height > 0) return;
    if (block_is_loaded(block)) {
        info->chunks_in_memory++;
        info->elements_in_memory += block->element_count;
    }
    if (block->state == BLOCK_READING && block->is_prefetched) info->chunks_prefetching++;
}

/* False: the piece is done. */
static bool survey_block(struct survey *survey, struct block *block, uint64_t first)
{
    struct spill_deque_info *info = survey->info;
    bool is_new = survey->from <= first;

    if (is_new) info->bytes_in_memory += alloc_size(sizeof(*block)) + block_loaded_bytes(block);
    if (block->height == 0 || !block_is_loaded(block)) {
        count_leaf(survey, block);
        survey->from = first + block->element_count;
        survey->last = block;
        return --survey->left > 0;
    }
    if (is_new && block->ref.generation)
        info->bytes_on_disk += spill_file_footprint(block->ref.size_bytes);
    for (unsigned i = 0; i < block->end; i++) {
        const struct slot *slot = &block->slots[i];

        if (!is_counted(survey, first, slot->element_count) &&
            !survey_block(survey, slot->block, first))
            return false;
        first += slot->element_count;
    }
    return true;
}

/* True: all has been counted. */
static bool survey_piece(struct survey *survey, struct deque *deque)
{
    struct block **places[PARTS_MAX];
    unsigned part_count = deque_parts(deque, places);
    uint64_t first = 0;

    survey->left = PIECE_BLOCKS;
    for (unsigned i = 0; i < part_count; i++) {
        struct block *part = *places[i];

        if (!is_counted(survey, first, part->element_count) && !survey_block(survey, part, first))
            return survey->from == deque->element_count;
        first += part->element_count;
    }
    return true;
}

static int pause_survey(struct spill_store *store, struct block *last)
{
    int rc;

    if (!store->hooks.pause) return 0;
    block_pin(last);
    rc = store->hooks.pause(store->hooks.context);
    block_unpin(store, last);
    return rc;
}

int deque_info(struct deque *deque, struct spill_deque_info *out_info)
{
    struct spill_deque_info info = { .element_count = deque->element_count,
                                     .element_bytes = deque->element_bytes,
                                     .bytes_in_memory = alloc_size(sizeof(*deque)) };
    struct survey survey = { .info = &info };
    int rc = 0;

    deque->busy_count++;
    while (rc == 0 && !survey_piece(&survey, deque))
        rc = pause_survey(deque->store, survey.last);
    deque->busy_count--;
    if (rc < 0) return rc;
    if (deque->root) info.tree_height = deque->root->height + 1u;
    *out_info = info;
    return 0;
}

uint64_t deque_chunk_count(const struct deque *deque)
{
    const struct block *const parts[PARTS_MAX] = {
        deque->ends[SPILL_HEAD],
        deque->sides[SPILL_HEAD],
        deque->root,
        deque->sides[SPILL_TAIL],
        deque_is_single(deque) ? NULL : deque->ends[SPILL_TAIL],
    };
    uint64_t count = 0;

    for (unsigned i = 0; i < PARTS_MAX; i++)
        if (parts[i]) count += parts[i]->chunk_count;
    return count;
}

static bool is_all_loaded(const struct block *block)
{
    if (!block_is_loaded(block)) return false;
    for (unsigned i = 0; block->height > 0 && i < block->end; i++)
        if (!is_all_loaded(block->slots[i].block)) return false;
    return true;
}

/* The flag stays once it is set, as what left memory unseen may come back unseen: of a short list
 * the blocks themselves are asked. */
bool deque_is_resident(const struct deque *deque)
{
    const struct block *parts[] = { deque->ends[SPILL_HEAD], deque->ends[SPILL_TAIL],
                                    deque->sides[SPILL_HEAD], deque->root,
                                    deque->sides[SPILL_TAIL] };
    unsigned count = deque->is_spilled ? PARTS_MAX : 2;

    if (deque->is_spilled && deque_chunk_count(deque) > ASKED_CHUNKS_MAX) return false;
    for (unsigned i = 0; i < count; i++)
        if (parts[i] && !is_all_loaded(parts[i])) return false;
    return true;
}

static void check_end(const struct deque *deque, enum spill_end end)
{
    const struct block *chunk = deque->ends[end];

    if (!chunk) {
        assert(deque_has_tree(deque) || deque->element_count == 0);
        return;
    }
    assert(chunk->height == 0);
    if (chunk->element_count == 0) {
        /* spill I6: only the one chunk of an empty list is empty. */
        assert(deque_is_single(deque) && deque->element_count == 0 && !deque_has_tree(deque));
    } else {
        tree_check(deque->store, chunk);
    }
}

void deque_check(const struct deque *deque)
{
    struct block *parts[PARTS_MAX] = { deque->ends[SPILL_HEAD], deque->sides[SPILL_HEAD],
                                       deque->root, deque->sides[SPILL_TAIL],
                                       deque_is_single(deque) ? NULL : deque->ends[SPILL_TAIL] };
    uint64_t elements = 0, bytes = 0;

    check_end(deque, SPILL_HEAD);
    check_end(deque, SPILL_TAIL);
    if (deque_is_single(deque) && deque->ends[SPILL_HEAD]) assert(!deque_has_tree(deque));
    for (unsigned i = 0; i < PARTS_MAX; i++) {
        if (!parts[i]) continue;
        assert(parts[i]->list == deque->list);
        if (i > 0 && i < PARTS_MAX - 1) {
            assert(deque->is_spilled || is_all_loaded(parts[i]));
            tree_check(deque->store, parts[i]);
        }
        elements += parts[i]->element_count;
        bytes += parts[i]->element_bytes;
    }
    assert(elements == deque->element_count && bytes == deque->element_bytes);
}
