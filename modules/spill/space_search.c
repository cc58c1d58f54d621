/* space_search.c - finding runs of free blocks.
 *
 * A search goes region by region and looks into the bits of a region only where its run lies: each
 * region knows its longest run and those at its edges, which together with the run that comes in
 * from the left say whether the wanted one ends here. These three are computed when a search first
 * needs them after a change. */
#include "modules/spill/space_internal.h"

#include <assert.h>

static unsigned ones_from_bottom(uint64_t word)
{
    return word == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~word);
}

static unsigned ones_from_top(uint64_t word)
{
    return word == UINT64_MAX ? 64 : (unsigned)__builtin_clzll(~word);
}

/* The bits at which a run of count ones starts, 1 <= count <= 64. */
static uint64_t run_starts(uint64_t word, unsigned count)
{
    for (unsigned have = 1; have < count;) {
        unsigned step = have < count - have ? have : count - have;
        word &= word >> step;
        have += step;
    }
    return word;
}

static unsigned longest_ones(uint64_t word)
{
    unsigned length = 0;
    for (; word != 0; word &= word << 1) {
        length++;
    }
    return length;
}

void region_measure(struct region *region)
{
    const uint64_t *words = region->bits->free;
    unsigned longest = 0, run = 0, prefix = 0;
    bool all_ones = true; /* so far */

    for (unsigned i = 0; i < REGION_WORDS; i++) {
        uint64_t word = words[i];
        if (word == UINT64_MAX) {
            run += 64;
            continue;
        }
        run += ones_from_bottom(word);
        if (all_ones) prefix = run;
        all_ones = false;
        if (run > longest) longest = run;
        if ((unsigned)__builtin_popcountll(word) > longest) {
            unsigned inside = longest_ones(word);
            if (inside > longest) longest = inside;
        }
        run = ones_from_top(word);
    }
    if (all_ones) prefix = run;
    if (run > longest) longest = run;
    region->longest = (uint16_t)longest;
    region->prefix = (uint16_t)prefix;
    region->suffix = (uint16_t)run;
    region->is_stale = false;
}

/* A run of free blocks that ends where the search stands; count 0: none. */
struct search {
    struct spill_run run;
    uint64_t wanted;
    bool avoids_holes;
};

static bool search_is_done(const struct search *search)
{
    return search->run.count >= search->wanted;
}

static void extend_run(struct search *search, uint64_t first, uint64_t count)
{
    if (search->run.count == 0) search->run.first = first;
    search->run.count += count;
}

/* Goes on through blocks [first, first + 64), of which word says the free ones. */
static void search_word(struct search *search, uint64_t word, uint64_t first)
{
    extend_run(search, first, ones_from_bottom(word));
    if (search_is_done(search) || word == UINT64_MAX) return;
    uint64_t starts = search->wanted <= 64 ? run_starts(word, (unsigned)search->wanted) : 0;
    if (starts != 0) {
        search->run.first = first + (unsigned)__builtin_ctzll(starts);
        search->run.count = search->wanted;
        return;
    }
    unsigned top = ones_from_top(word);
    search->run = (struct spill_run){ .first = first + 64 - top, .count = top };
}

/* Goes on through [from, to), which lies in one region. */
static void search_bits(struct search *search, const struct region *region, uint64_t from,
                        uint64_t to)
{
    uint64_t base = from - from % SPILL_REGION_BLOCKS;
    for (uint64_t first = from - from % 64; first < to && !search_is_done(search); first += 64) {
        unsigned index = (unsigned)((first - base) / 64);
        uint64_t word = region->bits->free[index];
        if (search->avoids_holes) word &= ~region_holes(region, index);
        if (first < from) word &= ~UINT64_C(0) << (from - first);
        if (to - first < 64) word &= (UINT64_C(1) << (to - first)) - 1;
        search_word(search, word, first);
    }
}

static void search_region(struct search *search, struct region *region, uint64_t from, uint64_t to)
{
    bool is_whole = to - from == SPILL_REGION_BLOCKS;
    if (region->free_count == 0) {
        search->run.count = 0;
        return;
    }
    if (search->avoids_holes) { /* what is known of the region does not tell them */
        search_bits(search, region, from, to);
        return;
    }
    if (is_whole && region->free_count == SPILL_REGION_BLOCKS) {
        extend_run(search, from, SPILL_REGION_BLOCKS);
        return;
    }
    if (region->is_stale) region_measure(region);
    bool may_end_here =
        search->run.count + region->prefix >= search->wanted || region->longest >= search->wanted;
    if (!is_whole || may_end_here) {
        search_bits(search, region, from, to);
        return;
    }
    search->run = (struct spill_run){ .first = to - region->suffix, .count = region->suffix };
}

bool space_find_run(struct spill_space *space, uint64_t from, uint64_t to, uint64_t wanted,
                    struct spill_run *out_run)
{
    struct search search = { .wanted = wanted, .avoids_holes = space->avoids_holes };

    assert(wanted > 0 && to <= space->end);
    for (uint64_t at = from; at < to && !search_is_done(&search);) {
        uint64_t next = at - at % SPILL_REGION_BLOCKS + SPILL_REGION_BLOCKS;
        if (next > to) next = to;
        search_region(&search, &space->regions[at / SPILL_REGION_BLOCKS], at, next);
        at = next;
    }
    if (!search_is_done(&search)) return false;
    out_run->first = search.run.first;
    out_run->count = wanted;
    return true;
}

uint64_t space_run_length(const struct spill_space *space, uint64_t first, uint64_t count_max)
{
    uint64_t count = 0;
    if (count_max > space->end - first) count_max = space->end - first;
    while (count < count_max) {
        uint64_t block = first + count;
        const struct region *region = &space->regions[block / SPILL_REGION_BLOCKS];
        uint64_t word = region->bits->free[block % SPILL_REGION_BLOCKS / 64] >> block % 64;
        unsigned ones = ones_from_bottom(word);
        count += ones;
        if (ones < 64 - block % 64) break;
    }
    return count < count_max ? count : count_max;
}
