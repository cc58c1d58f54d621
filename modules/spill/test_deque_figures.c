/* What a deque tells of itself, and what it takes; and the store, of a turn. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_deque_fixture.h"

enum { ELEMENT_BYTES = 100, MANY = 20000 }; /* 2 MB against a budget of 256 KiB */

static struct spill_deque *deque;

static void open_tiny(void)
{
    store_open_tiny(0);
    deque = deque_open();
}

static void close_all(void)
{
    spill_deque_destroy(deque);
    deque = NULL;
    store_close();
}

START_TEST(figures_add_up)
{
    struct spill_deque_info info;
    struct spill_store_info all;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    settle();
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    all = store_info();
    ck_assert_uint_eq(info.element_count, MANY);
    ck_assert_uint_eq(info.element_bytes, (uint64_t)MANY * ELEMENT_BYTES);
    ck_assert_uint_eq(info.chunk_count, all.chunk_count);
    ck_assert_uint_eq(info.chunks_in_memory, all.chunks_in_memory);
    ck_assert_uint_lt(info.elements_in_memory, MANY / 4);
    ck_assert_uint_gt(info.elements_in_memory, 0);
    ck_assert_uint_gt(info.bytes_on_disk, (uint64_t)MANY * ELEMENT_BYTES * 3 / 4);
    ck_assert_uint_le(info.bytes_on_disk, all.disk_used_bytes);
    ck_assert_uint_le(info.bytes_in_memory, all.memory_bytes);
    ck_assert_uint_eq(all.element_count, MANY);
    ck_assert_uint_eq(all.deque_count, 1);
}
END_TEST

/* 5,000 chunks under three levels of nodes, all in memory. */
static void fill_without_spilling(void)
{
    spill_store_set_memory(store, 64 << 20);
    push_numbers(deque, 0, 200000, 10);
    ck_assert(spill_deque_is_resident(deque));
}

/* A turn has more to do: what is above the budget goes in several. */
START_TEST(a_tick_writes_no_more_than_fits_its_slice)
{
    struct spill_store_info all;

    fill_without_spilling();
    spill_store_set_memory(store, 256 << 10);
    ck_assert(spill_store_tick(store, 1));
    all = store_info();
    ck_assert_uint_eq(all.writes_in_flight + all.writes, 1);
    settle();
}
END_TEST

START_TEST(figures_of_a_long_list_are_gathered_in_pieces)
{
    struct spill_deque_info info;

    fill_without_spilling();
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    ck_assert_uint_ge(pause_count, info.chunk_count / 256 - 1);
    ck_assert_uint_gt(pause_count, 10);
    ck_assert_uint_ge(info.tree_height, 3);
    ck_assert_uint_eq(info.chunk_count, store_info().chunk_count);
    ck_assert_uint_eq(info.chunks_in_memory, info.chunk_count);
    ck_assert_uint_eq(info.elements_in_memory, 200000);
    /* The store counts the deque and these blocks, and nothing else. */
    ck_assert_uint_eq(info.bytes_in_memory, store->memory_bytes);
    ck_assert_uint_eq(spill_deque_chunk_count(deque), info.chunk_count);
}
END_TEST

START_TEST(figures_count_nothing_twice_when_the_list_leaves_memory_meanwhile)
{
    struct spill_deque_info info, after;

    fill_without_spilling();
    pause_evicts = true;
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    ck_assert_uint_gt(pause_count, 0);
    ck_assert_uint_eq(info.chunk_count, store_info().chunk_count);
    ck_assert_uint_le(info.chunks_in_memory, 256 + 2); /* the first piece and the ends */
    ck_assert_int_eq(spill_deque_info(deque, &after), 0);
    ck_assert_uint_le(info.bytes_on_disk, after.bytes_on_disk);
    spill_deque_check(deque);
}
END_TEST

START_TEST(gathering_figures_stops_when_it_is_told_to)
{
    struct spill_deque_info info = { .chunk_count = 7 };

    fill_without_spilling();
    pause_rc = -EINTR;
    ck_assert_int_eq(spill_deque_info(deque, &info), -EINTR);
    ck_assert_uint_eq(pause_count, 1);
    ck_assert_uint_eq(info.chunk_count, 7);
    spill_deque_check(deque);
}
END_TEST

/* Real chunks from here on. */
static void open_real(uint64_t memory_bytes)
{
    store_open_with(2, &(struct spill_options){ .memory_bytes = memory_bytes });
}

START_TEST(an_element_of_10_bytes_takes_at_most_13_in_memory)
{
    open_real(64 << 20);
    deque = deque_open();
    push_numbers(deque, 0, 1000000, 10);
    ck_assert_uint_le(store_info().memory_bytes, 13 * 1000000);
    expect_numbers(deque, 0, 1000000, 10);
    close_all();
}
END_TEST

START_TEST(a_cold_list_costs_its_root)
{
    enum { LISTS = 300 };
    struct spill_deque *deques[LISTS];

    open_real(8 << 20);
    for (unsigned i = 0; i < LISTS; i++) {
        deques[i] = deque_open();
        push_numbers(deques[i], i, 100, 1024);
    }
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert_uint_le(blocks_memory(), LISTS * 400);
    for (unsigned i = 0; i < LISTS; i++) {
        ck_assert(!spill_deque_is_resident(deques[i]));
        spill_deque_check(deques[i]);
        expect_numbers(deques[i], i, 100, 1024);
        spill_deque_destroy(deques[i]);
    }
    store_close();
}
END_TEST

START_TEST(large_elements_have_chunks_to_themselves)
{
    struct model model = { 0 };

    open_real(4 << 20);
    deque = deque_open();
    for (uint32_t i = 0; i < 60; i++) {
        struct element element = { i, i % 3 == 0 ? 500000 : i * 1000 };
        ck_assert_int_eq(push_element(deque, i % 2 ? SPILL_HEAD : SPILL_TAIL, element), 0);
        model_insert(&model, i % 2 ? 0 : model.count, element);
        turn();
    }
    expect_model(deque, &model);
    for (; model.count > 0; model_remove(&model, 0, 1))
        expect_pop(deque, SPILL_HEAD, model.elements[0]);
    free(model.elements);
    close_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill deque figures");
    TCase *tiny = test_suite_case(suite, "tiny chunks", open_tiny, close_all);
    TCase *real = test_suite_case(suite, "real chunks", NULL, NULL);

    tcase_add_test(tiny, figures_add_up);
    tcase_add_test(tiny, a_tick_writes_no_more_than_fits_its_slice);
    tcase_add_test(tiny, figures_of_a_long_list_are_gathered_in_pieces);
    tcase_add_test(tiny, figures_count_nothing_twice_when_the_list_leaves_memory_meanwhile);
    tcase_add_test(tiny, gathering_figures_stops_when_it_is_told_to);
    tcase_add_test(real, an_element_of_10_bytes_takes_at_most_13_in_memory);
    tcase_add_test(real, a_cold_list_costs_its_root);
    tcase_add_test(real, large_elements_have_chunks_to_themselves);
    return test_suite_run(suite);
}
