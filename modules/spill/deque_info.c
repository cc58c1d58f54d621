/* Figures of a deque, its invariants, and pinning an end. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/node_image.h"
#include "modules/spill/store_internal.h"

static void add_block(const struct block *block, struct spill_deque_info *info)
{
    info->bytes_in_memory += alloc_size(sizeof(*block)) + block_loaded_bytes(block);
    if (block->height > 0 && block_is_loaded(block)) {
        if (block->ref.generation)
            info->bytes_on_disk += spill_file_footprint(block->ref.size_bytes);
        for (unsigned i = 0; i < block->end; i++)
            add_block(block->slots[i].block, info);
        return;
    }
    info->chunk_count += block->chunk_count;
    info->bytes_on_disk += block_footprint(block);
    if (block->height > 0) return;
    if (block_is_loaded(block)) {
        info->chunks_in_memory++;
        info->elements_in_memory += block->element_count;
    }
    if (block->state == BLOCK_READING && block->is_prefetched) info->chunks_prefetching++;
}

void spill_deque_info(const struct spill_deque *deque, struct spill_deque_info *out_info)
{
    struct block *parts[PARTS_MAX] = { deque->ends[SPILL_HEAD], deque->sides[SPILL_HEAD],
                                       deque->root, deque->sides[SPILL_TAIL],
                                       deque_is_single(deque) ? NULL : deque->ends[SPILL_TAIL] };

    *out_info = (struct spill_deque_info){ .element_count = deque->element_count,
                                           .element_bytes = deque->element_bytes,
                                           .bytes_in_memory = alloc_size(sizeof(*deque)) };
    for (unsigned i = 0; i < PARTS_MAX; i++)
        if (parts[i]) add_block(parts[i], out_info);
    if (deque->root) out_info->tree_height = deque->root->height + 1u;
}

bool spill_deque_is_resident(const struct spill_deque *deque)
{
    for (unsigned end = 0; end < 2; end++)
        if (deque->ends[end] && !block_is_loaded(deque->ends[end])) return false;
    return !deque->is_spilled;
}

static void check_end(const struct spill_deque *deque, enum spill_end end)
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

static void check_loaded(const struct block *block)
{
    assert(block_is_loaded(block));
    for (unsigned i = 0; block->height > 0 && i < block->end; i++)
        check_loaded(block->slots[i].block);
}

void spill_deque_check(const struct spill_deque *deque)
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
        if (spill_deque_is_resident(deque)) check_loaded(parts[i]);
        if (i > 0 && i < PARTS_MAX - 1) tree_check(deque->store, parts[i]);
        elements += parts[i]->element_count;
        bytes += parts[i]->element_bytes;
    }
    assert(elements == deque->element_count && bytes == deque->element_bytes);
}
