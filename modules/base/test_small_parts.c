/* The parts of base that are too small for a file of tests each. */
#include "modules/base/checked.h"
#include "modules/base/clock.h"
#include "modules/base/endian.h"
#include "modules/base/list.h"
#include "modules/base/page_arena.h"
#include "modules/base/random.h"
#include "modules/base/slice.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdlib.h>

START_TEST(sums_and_products_that_do_not_fit_are_refused)
{
    size_t size = 7;
    int64_t number = 7;
    uint32_t small = 7;
    ck_assert(!checked_add_size(SIZE_MAX, 1, &size));
    ck_assert(!checked_mul_size(SIZE_MAX / 2 + 1, 2, &size));
    ck_assert(!checked_sub_size(1, 2, &size));
    ck_assert(!checked_add_i64(INT64_MAX, 1, &number));
    ck_assert(!checked_sub_i64(INT64_MIN, 1, &number));
    ck_assert(!checked_mul_i64(INT64_MIN, -1, &number));
    ck_assert(!checked_mul_u32(65536, 65536, &small));
    ck_assert_uint_eq(size, 7);
    ck_assert_int_eq(number, 7);
    ck_assert_uint_eq(small, 7);
    ck_assert(checked_add_size(SIZE_MAX - 1, 1, &size) && size == SIZE_MAX);
    ck_assert(checked_mul_i64(INT64_MIN / 2, 2, &number) && number == INT64_MIN);
    ck_assert(checked_mul_u32(65536, 65535, &small) && small == 4294901760u);
}
END_TEST

START_TEST(stored_numbers_are_little_endian_at_any_address)
{
    uint8_t bytes[16] = { 0 };
    store_u64le(bytes + 1, 0x0102030405060708u);
    ck_assert_int_eq(bytes[1], 8);
    ck_assert_int_eq(bytes[8], 1);
    ck_assert(load_u64le(bytes + 1) == 0x0102030405060708u);
    ck_assert_uint_eq(load_u32le(bytes + 1), 0x05060708u);
    ck_assert_uint_eq(load_u16le(bytes + 1), 0x0708u);
    store_u32le(bytes + 3, 0xaabbccddu);
    store_u16le(bytes + 9, 0xeeff);
    ck_assert_int_eq(bytes[3], 0xdd);
    ck_assert_int_eq(bytes[6], 0xaa);
    ck_assert_int_eq(bytes[9], 0xff);
}
END_TEST

struct thing {
    int number;
    struct list_link link;
};

static void expect_order(struct list_link *head, const char *expected)
{
    char seen[16] = { 0 };
    size_t count = 0;
    list_for_each(link, head)
    {
        seen[count++] = (char)('0' + list_container(link, struct thing, link)->number);
    }
    ck_assert_str_eq(seen, expected);
    count = strlen(expected); /* and the same from behind */
    for (struct list_link *link = head->previous; link != head; link = link->previous) {
        ck_assert_int_eq('0' + list_container(link, struct thing, link)->number, expected[--count]);
    }
    ck_assert_uint_eq(count, 0);
}

START_TEST(a_list_keeps_its_order_from_both_ends)
{
    struct list_link head, other;
    struct thing things[6];
    list_init(&head);
    list_init(&other);
    ck_assert(list_is_empty(&head));
    ck_assert_ptr_null(list_front(&head));
    ck_assert_ptr_null(list_back(&head));
    ck_assert_ptr_null(list_pop_front(&head));
    for (int i = 0; i < 6; i++) {
        things[i].number = i;
        list_init(&things[i].link);
    }
    list_push_back(&head, &things[1].link);
    list_push_back(&head, &things[2].link);
    list_push_front(&head, &things[0].link);
    expect_order(&head, "012");
    list_remove(&things[1].link);
    list_remove(&things[1].link); /* harmless */
    expect_order(&head, "02");
    ck_assert(list_is_empty(&things[1].link));
    list_push_back(&other, &things[3].link);
    list_push_back(&other, &things[4].link);
    list_append_all(&head, &other);
    list_append_all(&head, &other);
    expect_order(&head, "0234");
    ck_assert(list_is_empty(&other));
    list_append_all(&other, &head);
    expect_order(&other, "0234");
    ck_assert_ptr_eq(list_back(&other), &things[4].link);
    ck_assert_ptr_eq(list_pop_front(&other), &things[0].link);
    expect_order(&other, "234");
}
END_TEST

START_TEST(a_walk_may_remove_what_it_visits)
{
    struct list_link head;
    struct thing things[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        things[i].number = i;
        list_push_back(&head, &things[i].link);
    }
    list_for_each(link, &head)
    {
        if (list_container(link, struct thing, link)->number % 2) list_remove(link);
    }
    expect_order(&head, "024");
    list_for_each(link, &head) list_remove(link);
    ck_assert(list_is_empty(&head));
}
END_TEST

START_TEST(the_same_seed_gives_the_same_numbers_as_ever)
{
    struct random a, b;
    random_init(&a, 42);
    random_init(&b, 42);
    for (int i = 0; i < 100; i++)
        ck_assert(random_next(&a) == random_next(&b));
    random_init(&b, 43);
    ck_assert(random_next(&a) != random_next(&b));
    /* xoshiro256** from state 1, 2, 3, 4: the published reference outputs. */
    a = (struct random){ { 1, 2, 3, 4 } };
    ck_assert(random_next(&a) == 11520);
    ck_assert(random_next(&a) == 0);
    ck_assert(random_next(&a) == 1509978240);
    ck_assert(random_next(&a) == 1215971899390074240);
}
END_TEST

START_TEST(numbers_below_a_limit_are_even_and_below_it)
{
    enum { LIMIT = 7, ROUNDS = 70000 };
    struct random random;
    int counts[LIMIT] = { 0 };
    random_init(&random, 9);
    for (int i = 0; i < ROUNDS; i++)
        counts[random_below(&random, LIMIT)]++;
    for (int i = 0; i < LIMIT; i++) {
        ck_assert_int_gt(counts[i], ROUNDS / LIMIT - 600); /* six standard deviations */
        ck_assert_int_lt(counts[i], ROUNDS / LIMIT + 600);
    }
    for (int i = 0; i < 100; i++)
        ck_assert(random_below(&random, 1) == 0);
    for (int i = 0; i < 100; i++) {
        ck_assert(random_below(&random, UINT64_MAX / 2 + 2) <= UINT64_MAX / 2 + 1);
    }
}
END_TEST

START_TEST(filling_touches_exactly_what_it_should)
{
    uint8_t bytes[21] = { 0 }, zeros[21] = { 0 };
    struct random random;
    random_init(&random, 1);
    random_fill(&random, bytes, 19);
    ck_assert_mem_eq(bytes + 19, zeros, 2);
    ck_assert_mem_ne(bytes, zeros, 19);
    ck_assert_int_eq(random_entropy(bytes, 19), 0);
    ck_assert_mem_eq(bytes + 19, zeros, 2);
    ck_assert_int_eq(random_entropy(NULL, 0), 0);
}
END_TEST

START_TEST(clocks_go_forward_and_agree)
{
    struct ticks ticks;
    uint64_t outer_begin, inner_begin, outer_end, inner_end, begin_ticks, ticked_us, real_ms;
    ticks_init(&ticks);
    outer_begin = clock_monotonic_us();
    begin_ticks = clock_ticks(&ticks);
    inner_begin = clock_monotonic_us();
    do {
        inner_end = clock_monotonic_us();
    } while (inner_end < inner_begin + 20000);
    ticked_us = ticks_to_us(&ticks, clock_ticks(&ticks) - begin_ticks);
    outer_end = clock_monotonic_us();
    /* However often we lose the processor: the stopwatch ran longer than the inner readings are
     * apart and shorter than the outer ones, but for the error of its calibration. */
    ck_assert_uint_ge(ticked_us, (inner_end - inner_begin) / 20 * 19);
    ck_assert_uint_le(ticked_us, (outer_end - outer_begin) / 20 * 21 + 1);
    real_ms = (uint64_t)clock_realtime_ms();
    ck_assert_uint_ge((uint64_t)clock_realtime_us() / 1000, real_ms);
    ck_assert_uint_gt(real_ms, 1600000000000u); /* after 2020 */
}
END_TEST

START_TEST(a_long_time_in_ticks_does_not_overflow)
{
    struct ticks counter = { .us_per_tick_fraction = (1ull << 32) / 3000, .is_counter = true };
    uint64_t year_ticks = 3000000000u * 86400ull * 365;
    uint64_t year_us = 1000000ull * 86400 * 365;
    uint64_t got = ticks_to_us(&counter, year_ticks);
    ck_assert_uint_le(got, year_us);
    ck_assert_uint_ge(got, year_us - year_us / 100000);
}
END_TEST

START_TEST(slices_compare_by_content)
{
    ck_assert(slice_equal(SLICE_LITERAL("abc"), slice_of("abcd", 3)));
    ck_assert(!slice_equal(SLICE_LITERAL("abc"), SLICE_LITERAL("abd")));
    ck_assert(!slice_equal(SLICE_LITERAL("abc"), SLICE_LITERAL("ab")));
    ck_assert(slice_equal(slice_of(NULL, 0), SLICE_LITERAL("")));
    ck_assert(slice_is(SLICE_LITERAL("MaxLen"), "MAXLEN"));
    ck_assert(!slice_is(SLICE_LITERAL("MaxLe\xce"), "MAXLEN"));
    ck_assert(!slice_is(SLICE_LITERAL("{"), "["));
}
END_TEST

START_TEST(blocks_of_an_arena_begin_at_a_page_and_are_apart)
{
    enum { BLOCKS = 50, BLOCK_BYTES = 8 * PAGE_ARENA_PAGE_BYTES };
    struct page_arena arena;
    char *blocks[BLOCKS];

    page_arena_init(&arena);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = page_arena_allocate(&arena, BLOCK_BYTES);
        ck_assert_ptr_nonnull(blocks[i]);
        ck_assert_uint_eq((uintptr_t)blocks[i] % PAGE_ARENA_PAGE_BYTES, 0);
        memset(blocks[i], i, BLOCK_BYTES);
    }
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_int_eq(blocks[i][0], i);
        ck_assert_int_eq(blocks[i][BLOCK_BYTES - 1], i);
        page_arena_free(&arena, blocks[i]);
    }
    page_arena_free(&arena, NULL);
    page_arena_finish(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("small parts of base");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, sums_and_products_that_do_not_fit_are_refused);
    tcase_add_test(cases, stored_numbers_are_little_endian_at_any_address);
    tcase_add_test(cases, a_list_keeps_its_order_from_both_ends);
    tcase_add_test(cases, a_walk_may_remove_what_it_visits);
    tcase_add_test(cases, the_same_seed_gives_the_same_numbers_as_ever);
    tcase_add_test(cases, numbers_below_a_limit_are_even_and_below_it);
    tcase_add_test(cases, filling_touches_exactly_what_it_should);
    tcase_add_test(cases, clocks_go_forward_and_agree);
    tcase_add_test(cases, a_long_time_in_ticks_does_not_overflow);
    tcase_add_test(cases, slices_compare_by_content);
    tcase_add_test(cases, blocks_of_an_arena_begin_at_a_page_and_are_apart);
    return test_suite_run(suite);
}
