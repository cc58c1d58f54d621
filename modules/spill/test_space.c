/* Blocks against a naive model: an array with a byte a block. */
#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/space.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

enum { MODEL_BLOCKS = 3 * SPILL_REGION_BLOCKS, RUNS_MAX = 4096, NO_LIMIT = 1 << 30 };

struct model {
    struct spill_space *space;
    uint8_t is_used[MODEL_BLOCKS];
    uint8_t is_punched[MODEL_BLOCKS];
    struct spill_run runs[RUNS_MAX];
    unsigned run_count;
};

static struct model model;

static void setup(void)
{
    model = (struct model){ 0 };
    ck_assert_int_eq(spill_space_create(&model.space), 0);
}

static void teardown(void)
{
    spill_space_destroy(model.space);
}

static struct spill_run take(uint64_t wanted, uint64_t minimum, uint64_t end_max)
{
    struct spill_run run = { 0 };
    ck_assert_int_eq(spill_space_take(model.space, wanted, minimum, end_max, &run), 0);
    return run;
}

static void expect_run(struct spill_run run, uint64_t first, uint64_t count)
{
    ck_assert_uint_eq(run.first, first);
    ck_assert_uint_eq(run.count, count);
}

static void give_back(uint64_t first, uint64_t count)
{
    spill_space_free(model.space, (struct spill_run){ .first = first, .count = count });
}

/* ---- the model ------------------------------------------------------------------------------- */

static bool model_has_run(uint64_t count, uint64_t end)
{
    uint64_t run = 0;
    for (uint64_t block = 0; block < end; block++) {
        run = model.is_used[block] ? 0 : run + 1;
        if (run >= count) return true;
    }
    return false;
}

static void model_mark(struct spill_run run, uint8_t used)
{
    ck_assert_uint_le(run.first + run.count, MODEL_BLOCKS);
    for (uint64_t block = run.first; block < run.first + run.count; block++) {
        /* ck_assert notes every success in a file: too slow for each block. */
        if (model.is_used[block] == used) ck_abort_msg("block taken or freed twice");
        model.is_used[block] = used;
        if (used) model.is_punched[block] = 0;
    }
}

static void model_take(struct random *random)
{
    struct spill_run run = { 0 };
    uint64_t wanted = 1 + random_below(random, random_below(random, 8) == 0 ? 40000 : 300);
    uint64_t minimum = 1 + random_below(random, wanted);
    uint64_t end_before = spill_space_end(model.space);
    int rc;

    if (model.run_count == RUNS_MAX) return;
    rc = spill_space_take(model.space, wanted, minimum, MODEL_BLOCKS, &run);
    if (rc == -ENOSPC) {
        ck_assert(!model_has_run(minimum, MODEL_BLOCKS));
        return;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_ge(run.count, minimum);
    ck_assert_uint_le(run.count, wanted);
    if (model_has_run(wanted, end_before)) ck_assert_uint_eq(run.count, wanted);
    model_mark(run, 1);
    model.runs[model.run_count++] = run;
}

static void model_free(struct random *random)
{
    if (model.run_count == 0) return;
    unsigned index = (unsigned)random_below(random, model.run_count);
    struct spill_run *run = &model.runs[index];
    struct spill_run part = *run;

    part.count = 1 + random_below(random, run->count);
    if (random_below(random, 2) == 0) part.count = run->count;
    spill_space_free(model.space, part);
    model_mark(part, 0);
    run->first += part.count;
    run->count -= part.count;
    if (run->count == 0) *run = model.runs[--model.run_count];
}

static bool model_word_is_punchable(uint64_t first)
{
    if (first + SPILL_PUNCH_WORD_BLOCKS > spill_space_end(model.space)) return false;
    bool is_punched = true;
    for (uint64_t i = first; i < first + SPILL_PUNCH_WORD_BLOCKS; i++) {
        if (model.is_used[i]) return false;
        is_punched = is_punched && model.is_punched[i];
    }
    return !is_punched;
}

static bool model_has_punchable(void)
{
    unsigned words = 0;
    for (uint64_t first = 0; first < MODEL_BLOCKS; first += SPILL_PUNCH_WORD_BLOCKS) {
        if (first % SPILL_REGION_BLOCKS == 0) words = 0;
        words = model_word_is_punchable(first) ? words + 1 : 0;
        if (words >= SPILL_PUNCH_WORDS_MIN) return true;
    }
    return false;
}

static void model_punch(void)
{
    struct spill_run run = { 0 };
    if (!spill_space_take_punchable(model.space, 4096, &run)) {
        ck_assert(!spill_space_may_punch(model.space));
        ck_assert(!model_has_punchable());
        return;
    }
    ck_assert_uint_ge(run.count, SPILL_PUNCH_WORDS_MIN * SPILL_PUNCH_WORD_BLOCKS);
    ck_assert_uint_le(run.count, 4096);
    for (uint64_t i = 0; i < run.count; i += SPILL_PUNCH_WORD_BLOCKS) {
        if (!model_word_is_punchable(run.first + i)) ck_abort_msg("not punchable");
        if (!spill_space_is_used(model.space, run.first + i)) ck_abort_msg("not taken");
    }
    spill_space_free_punched(model.space, run);
    for (uint64_t i = run.first; i < run.first + run.count; i++) {
        model.is_punched[i] = 1;
    }
}

static void model_shrink(void)
{
    uint64_t end = MODEL_BLOCKS;
    while (end > 0 && !model.is_used[end - 1]) {
        end--;
    }
    ck_assert_uint_eq(spill_space_shrink(model.space), end);
    for (uint64_t i = end; i < MODEL_BLOCKS; i++) {
        model.is_punched[i] = 0;
    }
}

static void model_compare(void)
{
    uint64_t used = 0, punched = 0;
    for (uint64_t i = 0; i < MODEL_BLOCKS; i++) {
        used += model.is_used[i];
        punched += model.is_punched[i];
        if (model.is_used[i] != spill_space_is_used(model.space, i)) {
            ck_abort_msg("block %llu differs", (unsigned long long)i);
        }
    }
    ck_assert_uint_eq(spill_space_used(model.space), used);
    ck_assert_uint_eq(spill_space_punched(model.space), punched);
    spill_space_check(model.space);
}

START_TEST(random_operations_agree_with_a_naive_model)
{
    struct random random;
    random_init(&random, (uint64_t)_i + 1 + 1000 * soak_seed());
    /* Waves: now more is taken, now more is freed, so that it is nearly full and nearly empty. */
    for (unsigned step = 0; step < 4000; step++) {
        unsigned pressure = step / 500 % 2 == 0 ? 6 : 2;
        uint64_t dice = random_below(&random, 10);
        if (dice < pressure) {
            model_take(&random);
        } else if (dice < 8) {
            model_free(&random);
        } else if (dice == 8) {
            model_punch();
        } else {
            model_shrink();
        }
        /* A region's tail that was punched and cut may not stay punched in the model. */
        if (step % 500 == 499) {
            model_shrink();
            model_compare();
        }
    }
}
END_TEST

/* ---- single properties ------------------------------------------------------------------------
 */

START_TEST(what_is_taken_together_lies_together)
{
    expect_run(take(256, 8, NO_LIMIT), 0, 256);
    expect_run(take(8, 8, NO_LIMIT), 256, 8);
    expect_run(take(256, 8, NO_LIMIT), 264, 256);
}
END_TEST

START_TEST(the_hand_passes_what_was_freed_behind_it_until_it_comes_round)
{
    expect_run(take(100, 100, NO_LIMIT), 0, 100);
    expect_run(take(100, 100, NO_LIMIT), 100, 100);
    expect_run(take(100, 100, NO_LIMIT), 200, 100);
    give_back(0, 100);
    give_back(200, 50);
    expect_run(take(50, 50, NO_LIMIT), 0, 50);
    give_back(0, 50);
    expect_run(take(50, 50, NO_LIMIT), 50, 50);
    expect_run(take(50, 50, NO_LIMIT), 200, 50);
    expect_run(take(50, 50, NO_LIMIT), 0, 50);
}
END_TEST

START_TEST(freed_neighbours_become_one_run)
{
    expect_run(take(96, 96, 96), 0, 96);
    for (uint64_t first = 0; first < 96; first += 16) {
        give_back(first, 8);
    }
    for (uint64_t first = 8; first < 96; first += 16) {
        give_back(first, 8);
    }
    expect_run(take(96, 96, 96), 0, 96);
}
END_TEST

START_TEST(runs_go_across_regions)
{
    uint64_t wanted = 2 * SPILL_REGION_BLOCKS + 10;
    expect_run(take(wanted + 20, wanted, NO_LIMIT), 0, wanted + 20);
    give_back(5, wanted);
    take(30000, 30000, wanted + 20);
    give_back(5, 30000);
    expect_run(take(wanted, wanted, wanted + 20), 5, wanted);
    spill_space_check(model.space);
}
END_TEST

START_TEST(little_free_room_makes_the_file_grow_and_much_of_it_is_used_in_pieces)
{
    expect_run(take(1000, 1000, NO_LIMIT), 0, 1000);
    for (uint64_t first = 0; first < 1000; first += 50) {
        give_back(first, 10);
    }
    expect_run(take(40, 8, NO_LIMIT), 1000, 40); /* 200 of 1000 free: grow */
    for (uint64_t first = 10; first < 1000; first += 50) {
        give_back(first, 10);
    }
    expect_run(take(40, 8, NO_LIMIT), 0, 20); /* 400 of 1040 free: pieces */
    expect_run(take(20, 8, NO_LIMIT), 50, 20);
}
END_TEST

START_TEST(at_the_limit_pieces_are_used_and_then_nothing_is_left)
{
    struct spill_run run = { .first = 1, .count = 2 };
    expect_run(take(100, 100, 100), 0, 100);
    give_back(10, 4);
    give_back(90, 6);
    expect_run(take(8, 2, 100), 10, 4);
    expect_run(take(8, 2, 100), 90, 6);
    ck_assert_int_eq(spill_space_take(model.space, 8, 2, 100, &run), -ENOSPC);
    expect_run(run, 1, 2);
    expect_run(take(8, 2, 103), 100, 3);
}
END_TEST

START_TEST(the_free_tail_goes_and_memory_with_it)
{
    size_t empty = spill_space_memory_bytes(model.space);
    take(4 * SPILL_REGION_BLOCKS, 1, NO_LIMIT);
    ck_assert_uint_gt(spill_space_memory_bytes(model.space), empty + 4 * 4096);
    give_back(100, 4 * SPILL_REGION_BLOCKS - 100);
    ck_assert_uint_eq(spill_space_shrink(model.space), 100);
    ck_assert_uint_lt(spill_space_memory_bytes(model.space), empty + 2 * 4096);
    give_back(0, 100);
    ck_assert_uint_eq(spill_space_shrink(model.space), 0);
    ck_assert_uint_eq(spill_space_end(model.space), 0);
}
END_TEST

START_TEST(a_tebibyte_of_file_needs_33_mebibytes)
{
    uint64_t blocks = UINT64_C(1) << 28;
    expect_run(take(blocks, blocks, blocks), 0, blocks);
    ck_assert_uint_le(spill_space_memory_bytes(model.space), 34 << 20);
    give_back(blocks / 2, 256);
    expect_run(take(256, 256, blocks), blocks / 2, 256);
}
END_TEST

/* Far more blocks than the table starts with, so that it grows and shrinks in between; and so many
 * that a byte a block is less. */
static const unsigned shared_blocks[] = { 300, 6000, SPILL_REGION_BLOCKS + 10 };

START_TEST(a_shared_block_is_free_when_its_last_extent_is)
{
    unsigned count = shared_blocks[_i];

    expect_run(take(count, count, NO_LIMIT), 0, count);
    for (unsigned block = 0; block < count; block++) {
        ck_assert_int_eq(spill_space_share(model.space, block, 1 + block % 5), 0);
    }
    spill_space_check(model.space);
    for (unsigned turn = 0; turn < 5; turn++) {
        for (unsigned block = 0; block < count; block++) {
            bool is_left = turn <= block % 5;
            if (spill_space_is_used(model.space, block) != is_left) ck_abort_msg("at %u", block);
            if (is_left) spill_space_unshare(model.space, block);
        }
        spill_space_check(model.space);
    }
    ck_assert_uint_eq(spill_space_used(model.space), 0);
}
END_TEST

START_TEST(only_long_free_runs_are_punched_and_each_once)
{
    struct spill_run run;
    take(2000, 2000, NO_LIMIT);
    ck_assert(!spill_space_take_punchable(model.space, 4096, &run));
    give_back(65, 190); /* one whole word inside */
    ck_assert(!spill_space_take_punchable(model.space, 4096, &run));
    give_back(1001, 256);
    ck_assert(spill_space_take_punchable(model.space, 4096, &run));
    expect_run(run, 1024, 192);
    ck_assert(spill_space_is_used(model.space, 1024));
    spill_space_free_punched(model.space, run);
    ck_assert_uint_eq(spill_space_punched(model.space), 192);
    ck_assert(!spill_space_take_punchable(model.space, 4096, &run));
    /* The rest of a unit of which some was taken is still a hole. */
    expect_run(take(64, 64, 2000), 65, 64);
    expect_run(take(40, 40, 2000), 129, 40);
    expect_run(take(50, 50, 2000), 169, 50);
    expect_run(take(60, 60, 2000), 1001, 60);
    ck_assert_uint_eq(spill_space_punched(model.space), 192 - 37);
    give_back(1001, 60);
    ck_assert_uint_eq(spill_space_punched(model.space), 192 - 37);
    expect_run(take(256, 256, 2000), 1001, 256);
    ck_assert_uint_eq(spill_space_punched(model.space), 0);
    give_back(1001, 256);
    ck_assert(spill_space_take_punchable(model.space, 4096, &run));
}
END_TEST

START_TEST(looking_for_runs_to_punch_is_done_in_bounded_parts)
{
    enum { REGIONS = 1200 };
    struct spill_run run;
    uint64_t blocks = (uint64_t)REGIONS * SPILL_REGION_BLOCKS;
    unsigned calls = 0;
    take(blocks, blocks, blocks);
    for (uint64_t first = 0; first < blocks; first += SPILL_REGION_BLOCKS) {
        give_back(first, 1);
    }
    give_back(blocks / 3 + 64, 1024); /* the hand is at the end: found in the second part */
    while (!spill_space_take_punchable(model.space, 4096, &run)) {
        ck_assert(spill_space_may_punch(model.space));
        calls++;
    }
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(run.first, blocks / 3 + 64);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("space");
    TCase *tests = test_suite_case(suite, "space", setup, teardown);

    tcase_add_loop_test(tests, random_operations_agree_with_a_naive_model, 0, 4);
    tcase_add_test(tests, what_is_taken_together_lies_together);
    tcase_add_test(tests, the_hand_passes_what_was_freed_behind_it_until_it_comes_round);
    tcase_add_test(tests, freed_neighbours_become_one_run);
    tcase_add_test(tests, runs_go_across_regions);
    tcase_add_test(tests, little_free_room_makes_the_file_grow_and_much_of_it_is_used_in_pieces);
    tcase_add_test(tests, at_the_limit_pieces_are_used_and_then_nothing_is_left);
    tcase_add_test(tests, the_free_tail_goes_and_memory_with_it);
    tcase_add_test(tests, a_tebibyte_of_file_needs_33_mebibytes);
    tcase_add_loop_test(tests, a_shared_block_is_free_when_its_last_extent_is, 0, 3);
    tcase_add_test(tests, only_long_free_runs_are_punched_and_each_once);
    tcase_add_test(tests, looking_for_runs_to_punch_is_done_in_bounded_parts);
    return suite;
}

int main(void)
{
    return test_suite_run(make_suite());
}
