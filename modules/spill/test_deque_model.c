/* Random operations of every kind on a deque that is nearly all on disk, compared with an array. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/test_deque_steps.h"

enum { STEPS = 3000, COUNT_MAX = 6000, LISTS = 60, LIST_STEPS = 8000 };

static void play(uint64_t seed, unsigned threads, enum waiting how)
{
    random_init(&dice, seed + 1000 * soak_seed());
    store_open_tiny(threads);
    waiting = how;
    model = (struct model){ 0 };
    next_number = 1;
    count_max = COUNT_MAX;
    deque = deque_open();
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        ck_assert_uint_eq(spill_deque_count(deque), model.count);
        if (i % 64 == 0) {
            spill_deque_check(deque);
            spill_store_check(store);
        }
        if (i % 512 == 0) expect_model(deque, &model);
    }
    expect_model(deque, &model);
    struct spill_store_info info = store_info();
    /* Else this was no test of a deque on disk. */
    ck_assert_uint_gt(info.evicted_chunks, 100);
    ck_assert_uint_gt(info.fetched_chunks, 100);
    if (snapshot) drop_snapshot();
    spill_deque_destroy(deque);
    free(model.elements);
    store_close();
}

START_TEST(random_operations_agree_with_an_array_on_one_thread)
{
    play((uint64_t)_i + 1, 0, WAIT_BLOCKING);
}
END_TEST

START_TEST(random_operations_agree_with_an_array_with_io_threads)
{
    play((uint64_t)_i + 101, 2, WAIT_BLOCKING);
}
END_TEST

START_TEST(operations_that_are_retried_get_further_each_time)
{
    play((uint64_t)_i + 201, 0, WAIT_AGAIN);
}
END_TEST

/* Many lists that come and go, each touched now and then: the eviction's hand puts them to rest and
 * operations wake them up. */
static void play_many(uint64_t seed, unsigned threads, enum waiting how)
{
    static struct spill_deque *deques[LISTS];
    static struct model models[LISTS];

    random_init(&dice, seed + 1000 * soak_seed());
    store_open_tiny(threads);
    waiting = how;
    next_number = 1;
    count_max = 400;
    for (unsigned i = 0; i < LISTS; i++) {
        deques[i] = deque_open();
        models[i] = (struct model){ 0 };
    }
    for (unsigned i = 0; i < LIST_STEPS; i++) {
        unsigned which = (unsigned)random_below(&dice, LISTS);
        deque = deques[which];
        model = models[which];
        step();
        if (snapshot) drop_snapshot();
        if (i % 16 == 0) spill_deque_check(deque);
        if (i % 256 == 0) spill_store_check(store);
        if (random_below(&dice, 200) == 0) {
            spill_deque_destroy(deque);
            free(model.elements);
            deque = deque_open();
            model = (struct model){ 0 };
        }
        deques[which] = deque;
        models[which] = model;
    }
    ck_assert_uint_gt(store_info().evicted_chunks, 100);
    ck_assert_uint_gt(store_info().fetched_chunks, 100);
    for (unsigned i = 0; i < LISTS; i++) {
        expect_model(deques[i], &models[i]);
        spill_deque_destroy(deques[i]);
        free(models[i].elements);
    }
    store_close();
}

START_TEST(many_lists_agree_with_arrays)
{
    play_many((uint64_t)_i + 301, _i % 2 ? 2 : 0, _i % 3 ? WAIT_BLOCKING : WAIT_AGAIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill deque model");
    TCase *tcase = test_suite_case(suite, "model", NULL, NULL);

    tcase_add_loop_test(tcase, random_operations_agree_with_an_array_on_one_thread, 0, 8);
    tcase_add_loop_test(tcase, random_operations_agree_with_an_array_with_io_threads, 0, 4);
    tcase_add_loop_test(tcase, operations_that_are_retried_get_further_each_time, 0, 8);
    tcase_add_loop_test(tcase, many_lists_agree_with_arrays, 0, 6);
    return test_suite_run(suite);
}
