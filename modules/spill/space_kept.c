#include "modules/spill/space_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int region_add_kept(struct region *region)
{
    region->kept = calloc(1, sizeof(*region->kept));
    return region->kept ? 0 : -ENOMEM;
}

void region_finish_kept(struct spill_space *space, struct region *region)
{
    if (!region->kept) return;
    for (unsigned word = 0; word < REGION_WORDS; word++)
        space->deferred_count -= (unsigned)__builtin_popcountll(region->kept->deferred[word]);
    spill_shared_finish(&region->kept->next_shared);
    if (region->kept->pinned) space->pinned_tables--;
    free(region->kept->pinned);
    free(region->kept);
    region->kept = NULL;
}

static uint64_t kept_blocks(const struct region_kept *kept, unsigned word)
{
    uint64_t blocks = kept->saved[word] | kept->next[word] | kept->suspect[word];

    return kept->pinned ? blocks | kept->pinned[word] : blocks;
}

uint64_t region_defer(struct spill_space *space, struct region *region, unsigned word,
                      uint64_t mask)
{
    uint64_t deferred = kept_blocks(region->kept, word) & mask;

    assert((region->kept->deferred[word] & mask) == 0);
    region->kept->deferred[word] |= deferred;
    space->deferred_count += (unsigned)__builtin_popcountll(deferred);
    return deferred;
}

void space_release_word(struct spill_space *space, size_t index, unsigned word)
{
    struct region *region = &space->regions[index];
    struct region_kept *kept = region->kept;
    uint64_t gone = kept->deferred[word] & ~kept_blocks(kept, word);
    unsigned count = (unsigned)__builtin_popcountll(gone);

    if (gone == 0) return;
    assert((region->bits->free[word] & gone) == 0);
    kept->deferred[word] &= ~gone;
    region->bits->free[word] |= gone;
    region->free_count = (uint16_t)(region->free_count + count);
    region->is_stale = true;
    space->deferred_count -= count;
    space->free_count += count;
    if (!region->may_punch) space->may_punch_count++;
    region->may_punch = true;
}

int spill_space_keep_books(struct spill_space *space)
{
    if (space->has_kept) return 0;
    for (size_t i = 0; i < space->region_count; i++) {
        /* Those of an attempt that failed are still there. */
        if (!space->regions[i].kept && region_add_kept(&space->regions[i]) < 0) return -ENOMEM;
    }
    space->has_kept = true;
    return 0;
}

/* The blocks of a word that lie below the end of the file. */
static uint64_t word_below_end(const struct spill_space *space, size_t index, unsigned word)
{
    uint64_t first = (uint64_t)index * SPILL_REGION_BLOCKS + (uint64_t)word * WORD_BLOCKS;

    if (first >= space->end) return 0;
    return space->end - first >= WORD_BLOCKS ? UINT64_MAX
                                             : (UINT64_C(1) << (space->end - first)) - 1;
}

static void drop_next(struct spill_space *space)
{
    for (size_t i = 0; i < space->region_count; i++) {
        struct region_kept *kept = space->regions[i].kept;
        memset(kept->next, 0, sizeof(kept->next));
        spill_shared_finish(&kept->next_shared);
    }
}

int spill_space_begin(struct spill_space *space)
{
    int rc = spill_space_keep_books(space);

    assert(!space->is_settling);
    for (size_t i = 0; i < space->region_count && rc == 0; i++) {
        const struct region_bits *bits = space->regions[i].bits;
        struct region_kept *kept = space->regions[i].kept;
        for (unsigned word = 0; word < REGION_WORDS; word++) {
            kept->next[word] =
                ~bits->free[word] & ~kept->deferred[word] & word_below_end(space, i, word);
        }
        assert(kept->next_shared.entry_count == 0);
        rc = spill_shared_copy(&kept->next_shared, &bits->shared);
    }
    if (rc < 0 && space->has_kept) drop_next(space);
    return rc;
}

void spill_space_keep(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        assert((piece.region->bits->free[piece.word] & piece.mask) == 0);
        piece.region->kept->next[piece.word] |= piece.mask;
        run.first += piece.count;
        run.count -= piece.count;
    }
}

int spill_space_keep_shared(struct spill_space *space, uint64_t block)
{
    struct space_piece piece = space_piece_at(space, block, 1);
    struct region_kept *kept = piece.region->kept;

    assert((piece.region->bits->free[piece.word] & piece.mask) == 0);
    if (kept->next[piece.word] & piece.mask) {
        return spill_shared_raise(&kept->next_shared, (uint32_t)(block % SPILL_REGION_BLOCKS));
    }
    kept->next[piece.word] |= piece.mask;
    return 0;
}

void spill_space_unkeep(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        piece.region->kept->next[piece.word] &= ~piece.mask;
        run.first += piece.count;
        run.count -= piece.count;
    }
}

void spill_space_unkeep_shared(struct spill_space *space, uint64_t block)
{
    struct space_piece piece = space_piece_at(space, block, 1);
    struct region_kept *kept = piece.region->kept;
    uint32_t at = (uint32_t)(block % SPILL_REGION_BLOCKS);

    assert(kept->next[piece.word] & piece.mask);
    if (spill_shared_drop(&kept->next_shared, at) > 0) return;
    kept->next[piece.word] &= ~piece.mask;
}

void space_release_all(struct spill_space *space)
{
    for (size_t i = 0; i < space->region_count; i++) {
        for (unsigned word = 0; word < REGION_WORDS; word++)
            space_release_word(space, i, word);
    }
}

/* ---- the end of a checkpoint -------------------------------------------------------------------
 *
 * A region that does not know yet has both: what the older one refers to and what the running one
 * did, so all that either needs is kept there, whatever comes between. Regions that are added
 * meanwhile have nothing of either, and those that go have nothing kept. */

static void settle_region(struct spill_space *space, size_t index)
{
    struct region_kept *kept = space->regions[index].kept;

    for (unsigned word = 0; word < REGION_WORDS; word++) {
        if (space->how == SPACE_COMPLETED) kept->saved[word] = 0;
        if (space->how != SPACE_ABORTED) kept->saved[word] |= kept->next[word];
        kept->next[word] = 0;
        space_release_word(space, index, word);
    }
    spill_shared_finish(&kept->next_shared);
}

bool spill_space_settle(struct spill_space *space)
{
    for (unsigned count = 0; space->is_settling && count < SPILL_SETTLE_REGIONS; count++) {
        if (space->settled_count < space->region_count) settle_region(space, space->settled_count);
        space->settled_count++;
        space->is_settling = space->settled_count < space->region_count;
    }
    return space->is_settling;
}

bool spill_space_is_settling(const struct spill_space *space)
{
    return space->is_settling;
}

static void end_checkpoint(struct spill_space *space, enum space_end how)
{
    assert(!space->is_settling);
    space->is_settling = true;
    space->how = how;
    space->settled_count = 0;
    (void)spill_space_settle(space);
}

void spill_space_complete(struct spill_space *space)
{
    end_checkpoint(space, SPACE_COMPLETED);
}

void spill_space_abort(struct spill_space *space, bool may_exist)
{
    end_checkpoint(space, may_exist ? SPACE_LEFT_OPEN : SPACE_ABORTED);
}

void spill_space_suspect(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        piece.region->kept->suspect[piece.word] |=
            piece.mask & ~piece.region->bits->free[piece.word];
        run.first += piece.count;
        run.count -= piece.count;
    }
}

void spill_space_repaired(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        piece.region->kept->suspect[piece.word] &= ~piece.mask;
        space_release_word(space, (size_t)(run.first / SPILL_REGION_BLOCKS), piece.word);
        run.first += piece.count;
        run.count -= piece.count;
    }
}

bool spill_space_is_suspect(const struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        if (piece.region->kept->suspect[piece.word] & piece.mask) return true;
        run.first += piece.count;
        run.count -= piece.count;
    }
    return false;
}

bool spill_space_is_deferred(const struct spill_space *space, uint64_t block)
{
    struct space_piece piece;

    if (!space->has_kept || block >= space->end) return false;
    piece = space_piece_at(space, block, 1);
    return (piece.region->kept->deferred[piece.word] & piece.mask) != 0;
}

uint64_t spill_space_deferred(const struct spill_space *space)
{
    return space->deferred_count;
}

void space_check_kept(const struct spill_space *space)
{
    uint64_t deferred_count = 0;

    for (size_t i = 0; i < space->region_count && space->has_kept; i++) {
        const struct region *region = &space->regions[i];
        assert(region->kept);
        for (unsigned word = 0; word < REGION_WORDS; word++) {
            uint64_t kept = kept_blocks(region->kept, word);
            uint64_t deferred = region->kept->deferred[word];
            assert((kept & region->bits->free[word]) == 0);
            assert((kept & ~word_below_end(space, i, word)) == 0);
            assert((deferred & ~kept) == 0);
            deferred_count += (unsigned)__builtin_popcountll(deferred);
        }
    }
    assert(deferred_count == space->deferred_count);
}
