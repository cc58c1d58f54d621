#include "modules/spill/space_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int spill_space_create(struct spill_space **out_space)
{
    struct spill_space *space = calloc(1, sizeof(*space));
    if (!space) return -ENOMEM;
    space->cut_holes = UINT64_MAX;
    *out_space = space;
    return 0;
}

static void region_finish(struct spill_space *space, struct region *region)
{
    space->shared_bytes -= spill_shared_memory_bytes(&region->bits->shared);
    spill_shared_finish(&region->bits->shared);
    if (region->bits->holes) space->hole_tables--;
    free(region->bits->holes);
    free(region->bits);
    region_finish_kept(space, region);
    if (region->may_punch) space->may_punch_count--;
    *region = (struct region){ 0 };
}

void spill_space_destroy(struct spill_space *space)
{
    if (!space) return;
    for (size_t i = 0; i < space->region_count; i++) {
        region_finish(space, &space->regions[i]);
    }
    free(space->regions);
    free(space);
}

/* ---- bits ----------------------------------------------------------------------------------- */

static struct region *region_of(const struct spill_space *space, uint64_t block)
{
    assert(block < space->end);
    return &space->regions[block / SPILL_REGION_BLOCKS];
}

struct space_piece space_piece_at(const struct spill_space *space, uint64_t first, uint64_t count)
{
    struct space_piece piece = { .region = region_of(space, first) };
    unsigned bit = (unsigned)(first % WORD_BLOCKS);
    uint64_t rest = WORD_BLOCKS - bit;

    piece.count = (unsigned)(count < rest ? count : rest);
    assert(piece.count >= 1 && piece.count <= WORD_BLOCKS);
    piece.word = (unsigned)(first % SPILL_REGION_BLOCKS / WORD_BLOCKS);
    piece.mask = UINT64_MAX >> (WORD_BLOCKS - piece.count) << bit;
    return piece;
}

static void forget_holes(struct spill_space *space, const struct space_piece *piece)
{
    uint64_t gone = region_holes(piece->region, piece->word) & piece->mask;

    if (gone == 0) return;
    piece->region->bits->holes[piece->word] &= ~gone;
    space->punched_count -= (unsigned)__builtin_popcountll(gone);
}

/* Free blocks become used, or leave the file. */
static void clear_free(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        uint64_t *word = &piece.region->bits->free[piece.word];
        assert((*word & piece.mask) == piece.mask);
        forget_holes(space, &piece);
        *word &= ~piece.mask;
        piece.region->free_count = (uint16_t)(piece.region->free_count - piece.count);
        piece.region->is_stale = true;
        space->free_count -= piece.count;
        run.first += piece.count;
        run.count -= piece.count;
    }
}

void space_set_free(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        uint64_t *word = &piece.region->bits->free[piece.word];
        assert((*word & piece.mask) == 0);
        *word |= piece.mask;
        piece.region->free_count = (uint16_t)(piece.region->free_count + piece.count);
        piece.region->is_stale = true;
        space->free_count += piece.count;
        run.first += piece.count;
        run.count -= piece.count;
    }
}

/* ---- the end of the file -------------------------------------------------------------------- */

int space_add_region(struct spill_space *space)
{
    if (space->region_count == space->region_capacity) {
        size_t capacity = space->region_capacity ? space->region_capacity * 2 : 8;
        struct region *regions = realloc(space->regions, capacity * sizeof(*regions));
        if (!regions) return -ENOMEM;
        space->regions = regions;
        space->region_capacity = capacity;
    }
    struct region_bits *bits = calloc(1, sizeof(*bits));
    if (!bits) return -ENOMEM;
    struct region region = { .bits = bits, .is_stale = true };
    if (space->has_kept && region_add_kept(&region) < 0) {
        free(bits);
        return -ENOMEM;
    }
    space->regions[space->region_count++] = region;
    return 0;
}

static void drop_regions(struct spill_space *space, size_t count)
{
    while (space->region_count > count) {
        region_finish(space, &space->regions[--space->region_count]);
    }
}

/* Behind the last used block, or hole while these are left alone. */
static uint64_t used_end(const struct spill_space *space)
{
    uint64_t end = space->end;
    while (end > 0) {
        const struct region *region = region_of(space, end - 1);
        unsigned bit = (unsigned)((end - 1) % WORD_BLOCKS);
        uint64_t word = region->bits->free[(end - 1) % SPILL_REGION_BLOCKS / WORD_BLOCKS];
        if (space->avoids_holes)
            word &=
                ~region_holes(region, (unsigned)((end - 1) % SPILL_REGION_BLOCKS / WORD_BLOCKS));
        uint64_t used = ~word & (~UINT64_C(0) >> (63 - bit));
        if (used != 0) return end - bit + 63 - (unsigned)__builtin_clzll(used);
        end -= bit + 1;
    }
    return 0;
}

uint64_t spill_space_shrink(struct spill_space *space)
{
    uint64_t end = used_end(space), holes = space->punched_count;
    clear_free(space, (struct spill_run){ .first = end, .count = space->end - end });
    space->end = end;
    if (space->punched_count < holes && end < space->cut_holes) space->cut_holes = end;
    if (space->hand > end) space->hand = 0;
    drop_regions(space, space_regions_for(end));
    return end;
}

/* Takes count blocks from behind the last used one. */
static int take_behind(struct spill_space *space, uint64_t count, struct spill_run *out_run)
{
    uint64_t first = spill_space_shrink(space);
    while (space->region_count < space_regions_for(first + count)) {
        int rc = space_add_region(space);
        if (rc < 0) {
            drop_regions(space, space_regions_for(first));
            return rc;
        }
    }
    space->end = first + count;
    *out_run = (struct spill_run){ .first = first, .count = count };
    return 0;
}

/* ---- taking and giving back ------------------------------------------------------------------ */

static bool take_inside(struct spill_space *space, uint64_t wanted, uint64_t count_max,
                        struct spill_run *out_run)
{
    struct spill_run run;
    if (space->free_count < wanted) return false;
    if (!space_find_run(space, space->hand, space->end, wanted, &run) &&
        !space_find_run(space, 0, space->end, wanted, &run)) {
        return false;
    }
    if (count_max > wanted && !space->avoids_holes) {
        run.count = space_run_length(space, run.first, count_max);
    }
    clear_free(space, run);
    *out_run = run;
    return true;
}

int spill_space_take(struct spill_space *space, uint64_t wanted, uint64_t minimum, uint64_t end_max,
                     struct spill_run *out_run)
{
    int rc = 0;
    struct spill_run run;

    assert(minimum >= 1 && minimum <= wanted);
    if (take_inside(space, wanted, wanted, &run)) goto taken;
    /* Small pieces make slow writes: while little is free the file grows instead. */
    uint64_t behind = spill_space_shrink(space);
    bool may_grow = behind <= end_max && wanted <= end_max - behind;
    bool is_mostly_used = space->free_count < space->end / 4;
    if (!may_grow || !is_mostly_used) {
        for (uint64_t least = wanted / 2; least > minimum; least /= 2) {
            if (take_inside(space, least, wanted, &run)) goto taken;
        }
        if (take_inside(space, minimum, wanted, &run)) goto taken;
        if (!may_grow) {
            if (behind > end_max || minimum > end_max - behind) return -ENOSPC;
            wanted = end_max - behind;
        }
    }
    rc = take_behind(space, wanted, &run);
    if (rc < 0) return rc;
taken:
    space->hand = run.first + run.count;
    *out_run = run;
    return 0;
}

void space_note_punchable(struct spill_space *space, struct spill_run run)
{
    uint64_t last = (run.first + run.count - 1) / SPILL_REGION_BLOCKS;
    for (uint64_t i = run.first / SPILL_REGION_BLOCKS; i <= last; i++) {
        struct region *region = &space->regions[i];
        if (!region->may_punch) space->may_punch_count++;
        region->may_punch = true;
    }
}

/* As space_set_free, but what checkpoints refer to is deferred. */
static void give_back(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        uint64_t *word = &piece.region->bits->free[piece.word];
        assert((*word & piece.mask) == 0);
        uint64_t freed = piece.mask & ~region_defer(space, piece.region, piece.word, piece.mask);
        unsigned count = (unsigned)__builtin_popcountll(freed);
        *word |= freed;
        piece.region->free_count = (uint16_t)(piece.region->free_count + count);
        piece.region->is_stale = true;
        space->free_count += count;
        run.first += piece.count;
        run.count -= piece.count;
    }
}

void spill_space_free(struct spill_space *space, struct spill_run run)
{
    assert(run.count > 0 && run.count <= space->end && run.first <= space->end - run.count);
    if (space->has_kept)
        give_back(space, run);
    else
        space_set_free(space, run);
    space_note_punchable(space, run);
}

int spill_space_share(struct spill_space *space, uint64_t block, unsigned count)
{
    assert(spill_space_is_used(space, block) && count >= 1 && count <= 255);
    if (count == 1) return 0;
    struct spill_shared *shared = &region_of(space, block)->bits->shared;
    size_t before = spill_shared_memory_bytes(shared);
    int rc = spill_shared_add(shared, (uint32_t)(block % SPILL_REGION_BLOCKS), count);
    space->shared_bytes += spill_shared_memory_bytes(shared) - before;
    return rc;
}

void spill_space_unshare(struct spill_space *space, uint64_t block)
{
    assert(spill_space_is_used(space, block));
    struct spill_shared *shared = &region_of(space, block)->bits->shared;
    size_t before = spill_shared_memory_bytes(shared);
    unsigned left = spill_shared_drop(shared, (uint32_t)(block % SPILL_REGION_BLOCKS));
    space->shared_bytes -= before - spill_shared_memory_bytes(shared);
    if (left == 0) spill_space_free(space, (struct spill_run){ .first = block, .count = 1 });
}

/* ---- punching -------------------------------------------------------------------------------- */

/* So many regions are looked into for a run to punch, a call: well below a millisecond. */
enum { LOOKS_MAX = 512 };

static bool word_is_punchable(const struct region *region, unsigned word)
{
    return region->bits->free[word] == UINT64_MAX && region_holes(region, word) != UINT64_MAX;
}

/* The first run of punchable words in a region, in words. */
static bool find_punchable(const struct region *region, unsigned count_max, unsigned *out_first,
                           unsigned *out_count)
{
    unsigned count = 0;
    for (unsigned word = 0; word < REGION_WORDS; word++) {
        if (word_is_punchable(region, word)) {
            count++;
            if (count < count_max && word + 1 < REGION_WORDS) continue;
            word++; /* behind the run, as if it had ended here */
        }
        if (count >= SPILL_PUNCH_WORDS_MIN) {
            *out_first = word - count;
            *out_count = count;
            return true;
        }
        count = 0;
    }
    return false;
}

bool spill_space_take_punchable(struct spill_space *space, uint64_t count_max,
                                struct spill_run *out_run)
{
    unsigned words_max = (unsigned)(count_max / WORD_BLOCKS);
    size_t hand_region = (size_t)(space->hand / SPILL_REGION_BLOCKS);
    unsigned looks = 0;

    assert(count_max >= SPILL_PUNCH_WORDS_MIN * WORD_BLOCKS && count_max <= SPILL_REGION_BLOCKS);
    /* Downwards from the hand, which moves upwards: what it reaches last comes first. */
    for (size_t i = 0; i < space->region_count && looks < LOOKS_MAX; i++) {
        size_t index = (hand_region + 2 * space->region_count - 1 - i) % space->region_count;
        struct region *region = &space->regions[index];
        unsigned first = 0, count = 0;
        if (!region->may_punch) continue;
        looks++;
        if (!find_punchable(region, words_max, &first, &count)) {
            region->may_punch = false;
            space->may_punch_count--;
            continue;
        }
        out_run->first = (uint64_t)index * SPILL_REGION_BLOCKS + first * WORD_BLOCKS;
        out_run->count = (uint64_t)count * WORD_BLOCKS;
        clear_free(space, *out_run);
        return true;
    }
    return false;
}

bool spill_space_take_piece(struct spill_space *space, uint64_t from, uint64_t to,
                            uint64_t count_max, struct spill_run *out_run)
{
    bool avoids_holes = space->avoids_holes, was_found;
    struct space_piece piece;
    uint64_t bits;

    if (to > space->end) to = space->end;
    if (from >= to) return false;
    space->avoids_holes = true;
    was_found = space_find_run(space, from, to, 1, out_run);
    space->avoids_holes = avoids_holes;
    if (!was_found) return false;
    if (count_max > to - out_run->first) count_max = to - out_run->first;
    piece = space_piece_at(space, out_run->first, count_max);
    bits = piece.region->bits->free[piece.word] & ~region_holes(piece.region, piece.word);
    bits = (bits & piece.mask) >> out_run->first % WORD_BLOCKS;
    out_run->count = ~bits ? (unsigned)__builtin_ctzll(~bits) : WORD_BLOCKS;
    clear_free(space, *out_run);
    return true;
}

bool spill_space_may_punch(const struct spill_space *space)
{
    return space->may_punch_count > 0;
}

/* NULL: out of memory. */
static uint64_t *hole_table(struct spill_space *space, struct region *region)
{
    struct region_bits *bits = region->bits;

    if (bits->holes) return bits->holes;
    bits->holes = calloc(REGION_WORDS, sizeof(*bits->holes));
    if (bits->holes) space->hole_tables++;
    return bits->holes;
}

/* Of a run that is free, or may be in part: what is free are holes. */
static void note_holes(struct spill_space *space, struct spill_run run)
{
    while (run.count > 0) {
        struct space_piece piece = space_piece_at(space, run.first, run.count);
        uint64_t *holes = hole_table(space, piece.region);
        if (!holes) return; /* they pass for room, and for worth punching */
        uint64_t added = piece.region->bits->free[piece.word] & piece.mask & ~holes[piece.word];
        holes[piece.word] |= added;
        space->punched_count += (unsigned)__builtin_popcountll(added);
        run.first += piece.count;
        run.count -= piece.count;
    }
}

void spill_space_free_punched(struct spill_space *space, struct spill_run run)
{
    space_set_free(space, run);
    note_holes(space, run);
}

uint64_t spill_space_cut_holes(struct spill_space *space)
{
    uint64_t first = space->cut_holes;

    space->cut_holes = UINT64_MAX;
    return first;
}

void spill_space_avoid_holes(struct spill_space *space, bool is_on)
{
    space->avoids_holes = is_on;
}

void spill_space_note_holes(struct spill_space *space, struct spill_run run)
{
    if (run.first >= space->end) return;
    if (run.count > space->end - run.first) run.count = space->end - run.first;
    note_holes(space, run);
}

/* ---- figures --------------------------------------------------------------------------------- */

uint64_t spill_space_end(const struct spill_space *space)
{
    return space->end;
}

uint64_t spill_space_used(const struct spill_space *space)
{
    return space->end - space->free_count;
}

uint64_t spill_space_punched(const struct spill_space *space)
{
    return space->punched_count;
}

bool spill_space_is_used(const struct spill_space *space, uint64_t block)
{
    if (block >= space->end) return false;
    struct space_piece piece = space_piece_at(space, block, 1);
    return (piece.region->bits->free[piece.word] & piece.mask) == 0;
}

size_t spill_space_memory_bytes(const struct spill_space *space)
{
    return sizeof(*space) + space->region_capacity * sizeof(*space->regions) +
           space->region_count * sizeof(struct region_bits) + space->shared_bytes +
           space->hole_tables * SPILL_REGION_BLOCKS / 8 +
           (space->has_kept ? space->region_count * sizeof(struct region_kept) : 0) +
           space->pinned_tables * SPILL_REGION_BLOCKS / 8;
}

static void check_region(const struct spill_space *space, size_t index, uint64_t *punched_count)
{
    const struct region *region = &space->regions[index];
    uint64_t free_count = 0;
    uint32_t cursor = 0, block;
    unsigned count;

    for (unsigned word = 0; word < REGION_WORDS; word++) {
        free_count += (unsigned)__builtin_popcountll(region->bits->free[word]);
        assert((region_holes(region, word) & ~region->bits->free[word]) == 0);
        *punched_count += (unsigned)__builtin_popcountll(region_holes(region, word));
    }
    assert(free_count == region->free_count);
    if (!region->is_stale) {
        struct region measured = *region;
        region_measure(&measured);
        assert(measured.longest == region->longest && measured.prefix == region->prefix &&
               measured.suffix == region->suffix);
    }
    while (spill_shared_next(&region->bits->shared, &cursor, &block, &count)) {
        assert(count >= 2);
        assert(spill_space_is_used(space, (uint64_t)index * SPILL_REGION_BLOCKS + block));
    }
}

void spill_space_check(const struct spill_space *space)
{
    uint64_t free_count = 0, punched_count = 0;
    size_t may_punch_count = 0, shared_bytes = 0;

    assert(space->region_count == space_regions_for(space->end) && space->hand <= space->end);
    for (size_t i = 0; i < space->region_count; i++) {
        check_region(space, i, &punched_count);
        free_count += space->regions[i].free_count;
        may_punch_count += space->regions[i].may_punch;
        shared_bytes += spill_shared_memory_bytes(&space->regions[i].bits->shared);
    }
    for (uint64_t block = space->end; block < space->region_count * SPILL_REGION_BLOCKS; block++) {
        const struct region *region = &space->regions[block / SPILL_REGION_BLOCKS];
        unsigned word = (unsigned)(block % SPILL_REGION_BLOCKS / WORD_BLOCKS);
        assert((region->bits->free[word] >> block % 64 & 1) == 0);
    }
    assert(free_count == space->free_count && punched_count == space->punched_count);
    assert(may_punch_count == space->may_punch_count && shared_bytes == space->shared_bytes);
    space_check_kept(space);
}
