/* What checkpoints refer to: deferral, and the state of regions as bytes. */
#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/spill/space_internal.h"
#include "modules/spill/space_kept.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

enum { NO_LIMIT = 1 << 30 };

static struct spill_space *space;

static void open_space(void)
{
    ck_assert_int_eq(spill_space_create(&space), 0);
    ck_assert_int_eq(spill_space_keep_books(space), 0);
}

static void close_space(void)
{
    spill_space_check(space);
    spill_space_destroy(space);
}

static struct spill_run take(uint64_t count)
{
    struct spill_run run;

    ck_assert_int_eq(spill_space_take(space, count, count, NO_LIMIT, &run), 0);
    return run;
}

static void begin(void)
{
    ck_assert_int_eq(spill_space_begin(space), 0);
}

START_TEST(what_is_freed_of_a_complete_checkpoint_is_deferred)
{
    open_space();
    struct spill_run run = take(100);
    begin();
    spill_space_complete(space);
    spill_space_free(space, (struct spill_run){ run.first + 10, 50 });
    ck_assert_uint_eq(spill_space_deferred(space), 50);
    ck_assert_uint_eq(spill_space_used(space), 100);
    ck_assert(spill_space_is_deferred(space, run.first + 10));
    ck_assert(!spill_space_is_deferred(space, run.first + 9));
    /* Nothing of it is given out. */
    struct spill_run other = take(50);
    ck_assert_uint_ge(other.first, run.first + 100);
    begin();
    spill_space_complete(space);
    ck_assert_uint_eq(spill_space_deferred(space), 0);
    ck_assert_uint_eq(spill_space_used(space), 100);
    close_space();
}
END_TEST

START_TEST(what_no_checkpoint_refers_to_is_free_at_once)
{
    open_space();
    (void)take(10);
    begin();
    spill_space_complete(space);
    struct spill_run run = take(20);
    spill_space_free(space, run);
    ck_assert_uint_eq(spill_space_deferred(space), 0);
    ck_assert_uint_eq(spill_space_used(space), 10);
    close_space();
}
END_TEST

START_TEST(an_aborted_checkpoint_defers_no_longer)
{
    for (unsigned may_exist = 0; may_exist < 2; may_exist++) {
        open_space();
        struct spill_run run = take(10);
        begin();
        spill_space_free(space, run);
        ck_assert_uint_eq(spill_space_deferred(space), 10);
        spill_space_abort(space, may_exist);
        ck_assert_uint_eq(spill_space_deferred(space), may_exist ? 10 : 0);
        begin();
        spill_space_complete(space);
        ck_assert_uint_eq(spill_space_used(space), 0);
        close_space();
    }
}
END_TEST

/* So many that they lie in a table of bytes, and so few that they do not. */
static const unsigned shared_blocks[] = { 1, 20000 };

START_TEST(a_shared_block_is_kept_while_the_checkpoint_has_an_extent_in_it)
{
    unsigned count = shared_blocks[_i];

    open_space();
    struct spill_run run = take(count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_int_eq(spill_space_share(space, run.first + i, 3), 0);
    begin();
    for (unsigned i = 0; i < count; i++) {
        /* Two of them turn out to be none of its picture's. */
        spill_space_unkeep_shared(space, run.first + i);
        spill_space_unkeep_shared(space, run.first + i);
        for (unsigned extent = 0; extent < 3; extent++)
            spill_space_unshare(space, run.first + i);
    }
    ck_assert_uint_eq(spill_space_deferred(space), count);
    for (unsigned i = 0; i < count; i++)
        spill_space_unkeep_shared(space, run.first + i);
    spill_space_complete(space);
    ck_assert_uint_eq(spill_space_used(space), 0);
    close_space();
}
END_TEST

START_TEST(suspect_blocks_are_kept_until_they_are_repaired)
{
    open_space();
    struct spill_run run = take(8);
    spill_space_suspect(space, run);
    ck_assert(spill_space_is_suspect(space, run));
    spill_space_free(space, run);
    begin();
    spill_space_complete(space);
    ck_assert_uint_eq(spill_space_deferred(space), 8);
    spill_space_repaired(space, (struct spill_run){ run.first, 3 });
    ck_assert_uint_eq(spill_space_deferred(space), 5);
    spill_space_repaired(space, (struct spill_run){ run.first + 3, 5 });
    ck_assert_uint_eq(spill_space_used(space), 0);
    close_space();
}
END_TEST

/* ---- as bytes ---------------------------------------------------------------------------------
 */

struct bytes {
    uint8_t *at;
    size_t size;
    uint64_t end;
};

static struct bytes write_state(void)
{
    struct bytes bytes = { .end = spill_space_kept_end(space) };
    size_t regions = (size_t)((bytes.end + SPILL_REGION_BLOCKS - 1) / SPILL_REGION_BLOCKS);

    bytes.at = malloc((regions + 1) * (size_t)SPILL_REGION_STATE_MAX);
    ck_assert_ptr_nonnull(bytes.at);
    for (size_t i = 0; i < regions; i++)
        bytes.size += spill_space_region_state(space, i, bytes.at + bytes.size);
    return bytes;
}

/* In memory of exactly that size, so that reading beyond it is seen. */
static int load_exactly(const uint8_t *bytes, size_t size, uint64_t end, struct spill_space **out)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct slice state = slice_of(copy, size);
    int rc;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, size);
    ck_assert_int_eq(spill_space_create(out), 0);
    rc = spill_space_load(*out, end, &state);
    if (rc == 0 && state.size > 0) rc = -EBADMSG;
    free(copy);
    return rc;
}

static void expect_same_after_loading(void)
{
    struct bytes bytes = write_state();
    struct spill_space *loaded;

    ck_assert_int_eq(load_exactly(bytes.at, bytes.size, bytes.end, &loaded), 0);
    spill_space_check(loaded);
    ck_assert_uint_eq(spill_space_end(loaded), bytes.end);
    for (uint64_t block = 0; block < bytes.end; block++) {
        ck_assert(spill_space_is_used(loaded, block) == spill_space_is_used(space, block));
        const struct region *was = &space->regions[block / SPILL_REGION_BLOCKS];
        const struct region *is = &loaded->regions[block / SPILL_REGION_BLOCKS];
        uint32_t at = (uint32_t)(block % SPILL_REGION_BLOCKS);
        ck_assert_uint_eq(spill_shared_count(&is->bits->shared, at),
                          spill_shared_count(&was->bits->shared, at));
    }
    spill_space_destroy(loaded);
    free(bytes.at);
}

/* One block in `of` is used, in runs of up to that many, some of them shared. */
static void fill(uint64_t blocks, uint64_t of, uint64_t seed)
{
    struct random dice;

    random_init(&dice, seed);
    (void)take(blocks);
    for (uint64_t at = 0; at < blocks;) {
        uint64_t run = 1 + random_below(&dice, of);
        if (run > blocks - at) run = blocks - at;
        if (random_below(&dice, of) > 0)
            spill_space_free(space, (struct spill_run){ at, run });
        else if (random_below(&dice, 3) == 0)
            ck_assert_int_eq(spill_space_share(space, at, 2 + (unsigned)random_below(&dice, 50)),
                             0);
        at += run;
    }
}

START_TEST(what_is_pinned_is_kept_until_it_is_unpinned)
{
    struct spill_run found;

    open_space();
    struct spill_run run = take(100);
    begin();
    spill_space_complete(space);
    ck_assert_int_eq(spill_space_pin(space), 0);
    ck_assert_uint_eq(spill_space_pinned(space), 100);
    ck_assert_uint_eq(spill_space_pinned_end(space), run.first + 100);
    spill_space_free(space, (struct spill_run){ run.first + 10, 50 });
    for (unsigned i = 0; i < 2; i++) { /* neither refers to them any more */
        begin();
        spill_space_complete(space);
        ck_assert_uint_eq(spill_space_deferred(space), 50);
    }
    struct spill_run other = take(50);
    ck_assert_uint_ge(other.first, run.first + 100);
    /* What was taken since is none of it. */
    ck_assert(spill_space_pinned_run(space, 0, 70, &found));
    ck_assert(found.first == run.first && found.count == 70);
    ck_assert(spill_space_pinned_run(space, run.first + 70, 1000, &found));
    ck_assert(found.first == run.first + 70 && found.count == 30);
    ck_assert(!spill_space_pinned_run(space, run.first + 100, 1000, &found));
    spill_space_check(space);
    spill_space_unpin(space);
    ck_assert_uint_eq(spill_space_deferred(space), 0);
    ck_assert(!spill_space_pinned_run(space, 0, 1000, &found));
    close_space();
}
END_TEST

START_TEST(pinned_runs_of_several_regions_are_found)
{
    struct spill_run found = { 0 };
    uint64_t count = 0;

    open_space();
    struct spill_run low = take(SPILL_REGION_BLOCKS + 7);
    struct spill_run high = take(3 * SPILL_REGION_BLOCKS);
    spill_space_free(space, (struct spill_run){ low.first + 100, 5 });
    begin();
    spill_space_complete(space);
    ck_assert_int_eq(spill_space_pin(space), 0);
    while (spill_space_pinned_run(space, found.first + found.count, UINT64_MAX, &found)) {
        ck_assert(found.first + found.count <= low.first + 100 || found.first >= low.first + 105);
        count += found.count;
    }
    ck_assert_uint_eq(count, low.count + high.count - 5);
    ck_assert_uint_eq(spill_space_pinned(space), count);
    ck_assert_uint_eq(spill_space_pinned_end(space), high.first + high.count);
    close_space(); /* with its tables */
}
END_TEST

START_TEST(regions_are_the_same_after_loading)
{
    static const struct {
        uint64_t blocks, of;
    } shapes[] = {
        { 1, 1 },
        { 100, 2 },
        { SPILL_REGION_BLOCKS, 1 },                  /* all of it */
        { SPILL_REGION_BLOCKS, 2 },                  /* bits are shorter than runs */
        { 2 * SPILL_REGION_BLOCKS + 77, 3 },         /* several, the last in part */
        { 3 * (uint64_t)SPILL_REGION_BLOCKS, 5000 }, /* few runs, some regions perhaps empty */
    };

    for (unsigned i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        open_space();
        fill(shapes[i].blocks, shapes[i].of, i + 1);
        begin();
        expect_same_after_loading();
        close_space();
    }
}
END_TEST

START_TEST(an_empty_space_is_nothing)
{
    open_space();
    begin();
    ck_assert_uint_eq(spill_space_kept_end(space), 0);
    expect_same_after_loading();
    close_space();
}
END_TEST

START_TEST(a_state_that_was_cut_is_refused_at_every_length)
{
    struct spill_space *loaded;

    open_space();
    fill(2000, 3, 7);
    begin();
    struct bytes bytes = write_state();
    for (size_t size = 0; size < bytes.size; size++) {
        ck_assert_int_eq(load_exactly(bytes.at, size, bytes.end, &loaded), -EBADMSG);
        spill_space_destroy(loaded);
    }
    free(bytes.at);
    close_space();
}
END_TEST

START_TEST(whatever_loads_is_a_space)
{
    struct spill_space *loaded;
    struct random dice;
    unsigned refused = 0;

    open_space();
    fill(3000, 3, 9);
    begin();
    struct bytes bytes = write_state();
    random_init(&dice, 10);
    for (unsigned i = 0; i < 3000; i++) {
        size_t at = random_below(&dice, bytes.size);
        uint8_t before = bytes.at[at];
        bytes.at[at] = (uint8_t)random_next(&dice);
        if (load_exactly(bytes.at, bytes.size, bytes.end, &loaded) == 0)
            spill_space_check(loaded);
        else
            refused++;
        spill_space_destroy(loaded);
        bytes.at[at] = before;
    }
    ck_assert_uint_gt(refused, 0);
    free(bytes.at);
    close_space();
}
END_TEST

/* ---- the end of a checkpoint of a large file, in slices -----------------------------------------
 */

enum { MANY_REGIONS = 2 * SPILL_SETTLE_REGIONS + 5 };

static struct spill_run in_region(size_t index, uint64_t count)
{
    return (struct spill_run){ .first = (uint64_t)index * SPILL_REGION_BLOCKS + 7, .count = count };
}

/* A complete checkpoint refers to the whole file, of which some of each region was given back
 * then; of the rest a running one refers to half, and another part is given back again. */
static void fill_many_regions(void)
{
    open_space();
    (void)take((uint64_t)MANY_REGIONS * SPILL_REGION_BLOCKS);
    begin();
    spill_space_complete(space);
    while (spill_space_settle(space)) {}
    for (size_t i = 0; i < MANY_REGIONS; i++)
        spill_space_free(space, in_region(i, 100));
    begin();
    for (size_t i = 0; i < MANY_REGIONS; i++) {
        struct spill_run run = in_region(i, 20);
        run.first += 100;
        spill_space_free(space, run);
    }
    ck_assert_uint_eq(spill_space_deferred(space), MANY_REGIONS * 120);
}

/* How many blocks of each region are deferred when it has been settled. */
static const struct {
    enum space_end how;
    unsigned deferred;
} ends[] = {
    { SPACE_COMPLETED, 20 },  /* the first hundred were the older one's */
    { SPACE_ABORTED, 120 },   /* which still counts */
    { SPACE_LEFT_OPEN, 120 }, /* both do */
};

START_TEST(a_checkpoint_of_many_regions_ends_in_slices)
{
    unsigned slices = 1;
    uint64_t settled = SPILL_SETTLE_REGIONS;

    fill_many_regions();
    if (ends[_i].how == SPACE_COMPLETED)
        spill_space_complete(space);
    else
        spill_space_abort(space, ends[_i].how == SPACE_LEFT_OPEN);
    ck_assert(spill_space_is_settling(space));
    for (;; slices++) {
        spill_space_check(space);
        if (settled > MANY_REGIONS) settled = MANY_REGIONS;
        ck_assert_uint_eq(spill_space_deferred(space),
                          MANY_REGIONS * 120 - settled * (120 - ends[_i].deferred));
        if (!spill_space_settle(space) && settled == MANY_REGIONS) break;
        settled += SPILL_SETTLE_REGIONS;
    }
    ck_assert_uint_eq(slices, 3);
    ck_assert(!spill_space_is_settling(space));
    /* The next one gives free what is left, whichever this was. */
    begin();
    spill_space_complete(space);
    while (spill_space_settle(space)) {}
    ck_assert_uint_eq(spill_space_deferred(space), 0);
    ck_assert_uint_eq(spill_space_used(space),
                      (uint64_t)MANY_REGIONS * SPILL_REGION_BLOCKS - MANY_REGIONS * 120);
    close_space();
}
END_TEST

START_TEST(between_slices_what_either_checkpoint_has_stays_its_own)
{
    enum { LAST = MANY_REGIONS - 1 };

    fill_many_regions();
    spill_space_complete(space);
    /* Given back where it is settled already, and where it is not: kept in both, as the new one
     * refers to it. */
    struct spill_run early = in_region(0, 3), late = in_region(LAST, 3);
    early.first += 200;
    late.first += 200;
    spill_space_free(space, early);
    spill_space_free(space, late);
    ck_assert(spill_space_is_deferred(space, early.first));
    ck_assert(spill_space_is_deferred(space, late.first));
    /* Only what is settled is given out. */
    ck_assert_uint_lt(take(100).first, (uint64_t)SPILL_SETTLE_REGIONS * SPILL_REGION_BLOCKS);
    ck_assert(spill_space_is_deferred(space, in_region(LAST, 1).first));
    spill_space_check(space);
    while (spill_space_settle(space)) {
        spill_space_check(space);
    }
    ck_assert(!spill_space_is_deferred(space, in_region(LAST, 1).first));
    ck_assert(spill_space_is_deferred(space, early.first));
    ck_assert(spill_space_is_deferred(space, late.first));
    close_space();
}
END_TEST

START_TEST(what_the_file_gets_and_loses_between_slices_is_settled_too)
{
    uint64_t blocks = (uint64_t)MANY_REGIONS * SPILL_REGION_BLOCKS;
    struct spill_run behind;

    fill_many_regions();
    spill_space_complete(space);
    behind = take(10 * SPILL_REGION_BLOCKS); /* fits nowhere inside */
    ck_assert_uint_eq(behind.first, blocks);
    spill_space_free(space, behind);
    ck_assert_uint_eq(spill_space_shrink(space), blocks);
    ck_assert(spill_space_settle(space));
    ck_assert(!spill_space_settle(space));
    ck_assert_uint_eq(spill_space_deferred(space), MANY_REGIONS * 20);
    close_space();
}
END_TEST

START_TEST(a_pin_is_of_the_one_that_has_ended_though_it_is_not_settled)
{
    enum { LAST = MANY_REGIONS - 1 };

    fill_many_regions();
    spill_space_complete(space);
    ck_assert_int_eq(spill_space_pin(space), 0);
    ck_assert(!spill_space_is_settling(space));
    /* The older one's are not pinned; what was given back since is, as long as it is pinned. */
    ck_assert_uint_eq(spill_space_pinned(space),
                      (uint64_t)MANY_REGIONS * (SPILL_REGION_BLOCKS - 100));
    begin();
    spill_space_complete(space);
    while (spill_space_settle(space)) {}
    ck_assert_uint_eq(spill_space_deferred(space), MANY_REGIONS * 20);
    spill_space_unpin(space);
    ck_assert_uint_eq(spill_space_deferred(space), 0);
    close_space();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("space kept");
    TCase *tcase = test_suite_case(suite, "kept", NULL, NULL);

    tcase_add_test(tcase, what_is_freed_of_a_complete_checkpoint_is_deferred);
    tcase_add_test(tcase, what_no_checkpoint_refers_to_is_free_at_once);
    tcase_add_test(tcase, an_aborted_checkpoint_defers_no_longer);
    tcase_add_loop_test(tcase, a_shared_block_is_kept_while_the_checkpoint_has_an_extent_in_it, 0,
                        2);
    tcase_add_test(tcase, suspect_blocks_are_kept_until_they_are_repaired);
    tcase_add_test(tcase, what_is_pinned_is_kept_until_it_is_unpinned);
    tcase_add_test(tcase, pinned_runs_of_several_regions_are_found);
    tcase_add_test(tcase, regions_are_the_same_after_loading);
    tcase_add_test(tcase, an_empty_space_is_nothing);
    tcase_add_test(tcase, a_state_that_was_cut_is_refused_at_every_length);
    tcase_add_test(tcase, whatever_loads_is_a_space);
    tcase_add_loop_test(tcase, a_checkpoint_of_many_regions_ends_in_slices, 0,
                        sizeof(ends) / sizeof(ends[0]));
    tcase_add_test(tcase, between_slices_what_either_checkpoint_has_stays_its_own);
    tcase_add_test(tcase, what_the_file_gets_and_loses_between_slices_is_settled_too);
    tcase_add_test(tcase, a_pin_is_of_the_one_that_has_ended_though_it_is_not_settled);
    return test_suite_run(suite);
}
