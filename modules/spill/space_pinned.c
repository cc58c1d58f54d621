/* space_pinned.c - what a complete checkpoint refers to, kept while somebody copies it. */
#include "modules/spill/space_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_BYTES = REGION_WORDS * sizeof(uint64_t) };

static int pin_region(struct spill_space *space, struct region_kept *kept)
{
    assert(!kept->pinned);
    if (region_next_block(kept->saved, 0, true) == SPILL_REGION_BLOCKS) return 0;
    kept->pinned = malloc(WORDS_BYTES);
    if (!kept->pinned) return -ENOMEM;
    memcpy(kept->pinned, kept->saved, WORDS_BYTES);
    space->pinned_tables++;
    return 0;
}

int spill_space_pin(struct spill_space *space)
{
    int rc = spill_space_keep_books(space);

    while (spill_space_settle(space)) {}
    for (size_t i = 0; i < space->region_count && rc == 0; i++)
        rc = pin_region(space, space->regions[i].kept);
    if (rc < 0) spill_space_unpin(space);
    return rc;
}

void spill_space_unpin(struct spill_space *space)
{
    for (size_t i = 0; i < space->region_count; i++) {
        struct region_kept *kept = space->regions[i].kept;
        if (!kept || !kept->pinned) continue;
        free(kept->pinned);
        kept->pinned = NULL;
        space->pinned_tables--;
    }
    if (space->has_kept) space_release_all(space);
}

bool spill_space_pinned_run(const struct spill_space *space, uint64_t from, uint64_t count_max,
                            struct spill_run *out_run)
{
    uint32_t block = (uint32_t)(from % SPILL_REGION_BLOCKS), end;

    for (size_t i = (size_t)(from / SPILL_REGION_BLOCKS); i < space->region_count; i++, block = 0) {
        const struct region_kept *kept = space->regions[i].kept;
        if (!kept || !kept->pinned) continue;
        block = region_next_block(kept->pinned, block, true);
        if (block == SPILL_REGION_BLOCKS) continue;
        end = region_next_block(kept->pinned, block, false);
        out_run->first = (uint64_t)i * SPILL_REGION_BLOCKS + block;
        out_run->count = end - block < count_max ? end - block : count_max;
        return true;
    }
    return false;
}

uint64_t spill_space_pinned(const struct spill_space *space)
{
    uint64_t count = 0;

    for (size_t i = 0; i < space->region_count; i++) {
        const struct region_kept *kept = space->regions[i].kept;
        for (unsigned word = 0; kept && kept->pinned && word < REGION_WORDS; word++)
            count += (unsigned)__builtin_popcountll(kept->pinned[word]);
    }
    return count;
}

uint64_t spill_space_pinned_end(const struct spill_space *space)
{
    uint64_t end = 0;

    for (size_t i = space->region_count; i-- > 0 && end == 0;) {
        const struct region_kept *kept = space->regions[i].kept;
        if (kept) end = region_end(kept->pinned, i);
    }
    return end;
}
