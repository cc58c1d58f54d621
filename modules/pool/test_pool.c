#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/pool/pool.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = POOL_BUFFER_BYTES };

static struct pool *make_pool(size_t buffer_count)
{
    struct pool *pool = NULL;
    ck_assert_int_eq(pool_create(buffer_count * BUFFER + BUFFER / 2, &pool), 0);
    return pool;
}

static struct pool_info info_of(const struct pool *pool)
{
    struct pool_info info;
    pool_info(pool, &info);
    return info;
}

START_TEST(the_limit_is_met_exactly_and_release_makes_room)
{
    enum { COUNT = 130 }; /* more than two slabs */
    struct pool *pool = make_pool(COUNT);
    uint8_t *buffers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        buffers[i] = pool_acquire(pool);
        ck_assert_ptr_nonnull(buffers[i]);
        ck_assert_uint_eq((uintptr_t)buffers[i] % 4096, 0);
        memset(buffers[i], i, BUFFER);
    }
    ck_assert_ptr_null(pool_acquire(pool));
    ck_assert_uint_eq(info_of(pool).in_use_bytes, COUNT * (size_t)BUFFER);
    ck_assert_uint_eq(info_of(pool).resident_bytes, info_of(pool).limit_bytes);
    ck_assert_uint_eq(info_of(pool).dry_total, 1);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(buffers[i][0], i);
        ck_assert_int_eq(buffers[i][BUFFER - 1], i);
    }
    pool_release(pool, buffers[0]);
    buffers[0] = pool_acquire(pool);
    ck_assert_ptr_nonnull(buffers[0]);
    for (int i = 0; i < COUNT; i++)
        pool_release(pool, buffers[i]);
    pool_check(pool);
    pool_destroy(pool);
}
END_TEST

START_TEST(a_pool_of_nothing_is_always_dry)
{
    struct pool *pool = make_pool(0);
    ck_assert_ptr_null(pool_acquire(pool));
    ck_assert_uint_eq(info_of(pool).resident_bytes, 0);
    pool_destroy(pool);
    pool_destroy(NULL);
}
END_TEST

START_TEST(the_last_released_buffer_comes_first)
{
    struct pool *pool = make_pool(10);
    void *a = pool_acquire(pool), *b = pool_acquire(pool), *c = pool_acquire(pool);
    pool_release(pool, a);
    pool_release(pool, c);
    pool_release(pool, b);
    ck_assert_ptr_eq(pool_acquire(pool), b);
    ck_assert_ptr_eq(pool_acquire(pool), c);
    ck_assert_ptr_eq(pool_acquire(pool), a);
    pool_release(pool, a);
    pool_release(pool, b);
    pool_release(pool, c);
    pool_destroy(pool);
}
END_TEST

START_TEST(trimmed_buffers_have_lost_their_pages)
{
    struct pool *pool = make_pool(10);
    uint8_t *a = pool_acquire(pool), *b = pool_acquire(pool);
    memset(a, 0xaa, BUFFER);
    memset(b, 0xbb, BUFFER);
    pool_release(pool, a);
    pool_release(pool, b);
    pool_trim(pool, 1); /* keeps b, the last used */
    ck_assert_uint_eq(info_of(pool).resident_bytes, BUFFER);
    pool_check(pool);
    ck_assert_ptr_eq(pool_acquire(pool), b);
    ck_assert_int_eq(b[100], 0xbb);
    ck_assert_ptr_eq(pool_acquire(pool), a);
    ck_assert_int_eq(a[100], 0);
    pool_release(pool, a);
    pool_release(pool, b);
    pool_destroy(pool);
}
END_TEST

START_TEST(a_lowered_limit_holds_for_free_buffers_at_once_and_for_others_when_they_come_back)
{
    struct pool *pool = make_pool(4);
    uint8_t *buffers[4];
    for (int i = 0; i < 4; i++) {
        buffers[i] = pool_acquire(pool);
        memset(buffers[i], 0xcc, BUFFER);
    }
    pool_release(pool, buffers[3]);
    pool_set_limit(pool, BUFFER);
    pool_check(pool);
    ck_assert_uint_eq(info_of(pool).resident_bytes, 3 * BUFFER);
    ck_assert_ptr_null(pool_acquire(pool));
    pool_release(pool, buffers[2]);
    pool_release(pool, buffers[1]);
    pool_check(pool);
    ck_assert_uint_eq(info_of(pool).resident_bytes, BUFFER);
    ck_assert_ptr_null(pool_acquire(pool)); /* buffers[0] is the one that may be resident */
    pool_set_limit(pool, 4 * BUFFER);
    for (int i = 1; i < 4; i++) {
        buffers[i] = pool_acquire(pool);
        ck_assert_ptr_nonnull(buffers[i]);
        ck_assert_int_eq(buffers[i][0], 0);
    }
    ck_assert_ptr_null(pool_acquire(pool));
    for (int i = 0; i < 4; i++)
        pool_release(pool, buffers[i]);
    pool_check(pool);
    pool_destroy(pool);
}
END_TEST

START_TEST(any_order_of_calls_keeps_the_invariants)
{
    enum { MAX = 200 };
    struct pool *pool = make_pool(MAX);
    uint8_t *held[MAX];
    size_t count = 0, limit = MAX;
    struct random random;
    random_init(&random, 11);
    for (int step = 0; step < 20000; step++) {
        uint64_t choice = random_below(&random, 1000);
        if (choice < 500) {
            uint8_t *buffer = pool_acquire(pool);
            if (buffer) {
                ck_assert_uint_lt(count, limit);
                held[count++] = buffer;
                memset(buffer, (int)(count % 251), 64);
            } else {
                ck_assert_uint_ge(count, limit);
            }
        } else if (choice < 980 && count > 0) {
            size_t at = random_below(&random, count);
            pool_release(pool, held[at]);
            held[at] = held[--count];
        } else if (choice < 990) {
            limit = random_below(&random, MAX + 1);
            pool_set_limit(pool, limit * BUFFER);
        } else {
            pool_trim(pool, random_below(&random, 20));
        }
        ck_assert_uint_eq(info_of(pool).in_use_bytes, count * BUFFER);
        if (count <= limit) ck_assert_uint_le(info_of(pool).resident_bytes, limit * BUFFER);
        if (step % 200 == 0) pool_check(pool);
    }
    while (count > 0)
        pool_release(pool, held[--count]);
    pool_check(pool);
    pool_destroy(pool);
}
END_TEST

START_TEST(overflow_is_counted_and_can_be_limited)
{
    struct pool *pool = make_pool(0);
    void *a = pool_overflow_allocate(pool, 1000), *b;
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq(info_of(pool).overflow_bytes, 1000);
    pool_set_overflow_limit(pool, 1500);
    ck_assert_ptr_null(pool_overflow_allocate(pool, 501));
    ck_assert_ptr_null(pool_overflow_allocate(pool, SIZE_MAX));
    b = pool_overflow_allocate(pool, 500);
    ck_assert_ptr_nonnull(b);
    pool_set_overflow_limit(pool, 10);
    ck_assert_ptr_null(pool_overflow_allocate(pool, 1));
    pool_overflow_free(pool, a, 1000);
    pool_overflow_free(pool, b, 500);
    ck_assert_uint_eq(info_of(pool).overflow_bytes, 0);
    pool_destroy(pool);
}
END_TEST

START_TEST(releasing_twice_is_noticed)
{
    struct pool *pool = make_pool(70);
    void *first = NULL, *buffer = NULL;
    for (int i = 0; i < 64; i++) { /* the whole slab, so that one release too many overflows it */
        buffer = pool_acquire(pool);
        if (i == 0) first = buffer;
    }
    for (int i = 0; i < 64; i++)
        pool_release(pool, buffer);
    pool_release(pool, first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, the_limit_is_met_exactly_and_release_makes_room);
    tcase_add_test(cases, a_pool_of_nothing_is_always_dry);
    tcase_add_test(cases, the_last_released_buffer_comes_first);
    tcase_add_test(cases, trimmed_buffers_have_lost_their_pages);
    tcase_add_test(
        cases, a_lowered_limit_holds_for_free_buffers_at_once_and_for_others_when_they_come_back);
    tcase_add_test(cases, any_order_of_calls_keeps_the_invariants);
    tcase_add_test(cases, overflow_is_counted_and_can_be_limited);
    tcase_add_test_raise_signal(cases, releasing_twice_is_noticed, SIGABRT);
    return test_suite_run(suite);
}
