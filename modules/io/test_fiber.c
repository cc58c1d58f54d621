#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/io/fiber.h"
#include "modules/io/fiber_internal.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 65536 };

static struct fiber_pool *make_pool(unsigned fiber_max)
{
    struct fiber_pool *pool = NULL;
    ck_assert_int_eq(fiber_pool_create(fiber_max, STACK_BYTES, &pool), 0);
    return pool;
}

struct walk {
    struct fiber_pool *pool;
    struct fiber *self;
    int steps, suspend_times;
    double sum;
};

/* Fills a part of the stack so that a mixed-up stack shows. */
static int deep(struct walk *walk, int depth)
{
    volatile uint8_t local[64];
    int below = 0;
    memset((void *)local, depth, sizeof(local));
    if (depth > 0) {
        below = deep(walk, depth - 1);
    } else {
        fiber_suspend(walk->pool);
    }
    for (size_t i = 0; i < sizeof(local); i++)
        ck_assert_int_eq(local[i], depth);
    return below + 1;
}

static void walk_body(void *argument)
{
    struct walk *walk = argument;
    walk->self = fiber_current(walk->pool);
    ck_assert_ptr_nonnull(walk->self);
    for (int i = 0; i < walk->suspend_times; i++) {
        double kept = walk->sum + 0.5;
        walk->steps++;
        ck_assert_int_eq(deep(walk, 20), 21);
        walk->sum = kept;
        ck_assert_ptr_eq(fiber_current(walk->pool), walk->self);
    }
}

START_TEST(a_body_that_never_suspends_has_ended_when_start_returns)
{
    struct fiber_pool *pool = make_pool(1);
    struct walk walk = { .pool = pool };
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(fiber_start(pool, walk_body, &walk), 0);
        ck_assert_uint_eq(fiber_alive(pool), 0);
        ck_assert_ptr_null(fiber_current(pool));
    }
    ck_assert_uint_eq(fiber_memory_bytes(pool), STACK_BYTES);
    fiber_pool_destroy(pool);
}
END_TEST

START_TEST(fibers_keep_their_stacks_while_others_run)
{
    enum { COUNT = 50, STEPS = 200 };
    struct fiber_pool *pool = make_pool(COUNT);
    struct walk walks[COUNT];
    struct random random;
    int alive = COUNT;
    random_init(&random, 7);
    for (int i = 0; i < COUNT; i++) {
        walks[i] = (struct walk){ .pool = pool, .suspend_times = STEPS };
        ck_assert_int_eq(fiber_start(pool, walk_body, &walks[i]), 0);
    }
    ck_assert_uint_eq(fiber_alive(pool), COUNT);
    while (alive > 0) {
        struct walk *walk = &walks[random_below(&random, COUNT)];
        if (walk->steps == STEPS && walk->sum >= STEPS / 2.0) continue;
        fiber_resume(pool, walk->self);
        if (walk->sum >= STEPS / 2.0) alive--;
    }
    ck_assert_uint_eq(fiber_alive(pool), 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(walks[i].steps, STEPS);
    fiber_pool_destroy(pool);
}
END_TEST

START_TEST(one_more_than_the_maximum_is_refused_until_one_ends)
{
    struct fiber_pool *pool = make_pool(2);
    struct walk walks[3];
    for (int i = 0; i < 3; i++)
        walks[i] = (struct walk){ .pool = pool, .suspend_times = 1 };
    ck_assert_int_eq(fiber_start(pool, walk_body, &walks[0]), 0);
    ck_assert_int_eq(fiber_start(pool, walk_body, &walks[1]), 0);
    ck_assert_int_eq(fiber_start(pool, walk_body, &walks[2]), -EAGAIN);
    ck_assert_int_eq(walks[2].steps, 0);
    fiber_resume(pool, walks[0].self);
    ck_assert_int_eq(fiber_start(pool, walk_body, &walks[2]), 0);
    fiber_resume(pool, walks[1].self);
    fiber_resume(pool, walks[2].self);
    ck_assert_uint_eq(fiber_alive(pool), 0);
    fiber_pool_destroy(pool);
}
END_TEST

static void start_inside(void *argument)
{
    struct walk *walk = argument;
    walk->steps = fiber_start(walk->pool, walk_body, walk);
}

START_TEST(a_fiber_cannot_start_another)
{
    struct fiber_pool *pool = make_pool(2);
    struct walk walk = { .pool = pool };
    ck_assert_int_eq(fiber_start(pool, start_inside, &walk), 0);
    ck_assert_int_eq(walk.steps, -EDEADLK);
    ck_assert_uint_eq(fiber_alive(pool), 0);
    fiber_pool_destroy(pool);
}
END_TEST

START_TEST(free_stacks_beyond_a_few_give_their_pages_back)
{
    enum { COUNT = 30 };
    struct fiber_pool *pool = make_pool(COUNT);
    struct walk walks[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            walks[i] = (struct walk){ .pool = pool, .suspend_times = 1 };
            ck_assert_int_eq(fiber_start(pool, walk_body, &walks[i]), 0);
        }
        ck_assert_uint_eq(fiber_memory_bytes(pool), COUNT * STACK_BYTES);
        for (int i = 0; i < COUNT; i++)
            fiber_resume(pool, walks[i].self);
        ck_assert_uint_eq(fiber_memory_bytes(pool), 8 * STACK_BYTES);
    }
    fiber_pool_destroy(pool);
}
END_TEST

START_TEST(the_last_used_stack_is_used_first)
{
    struct fiber_pool *pool = make_pool(3);
    struct walk walks[3];
    struct fiber *last_ended;
    for (int i = 0; i < 3; i++) {
        walks[i] = (struct walk){ .pool = pool, .suspend_times = 1 };
        ck_assert_int_eq(fiber_start(pool, walk_body, &walks[i]), 0);
    }
    last_ended = walks[0].self;
    fiber_resume(pool, walks[2].self);
    fiber_resume(pool, walks[1].self);
    fiber_resume(pool, walks[0].self);
    walks[1].suspend_times = 1;
    ck_assert_int_eq(fiber_start(pool, walk_body, &walks[1]), 0);
    ck_assert_ptr_eq(walks[1].self, last_ended);
    fiber_resume(pool, walks[1].self);
    fiber_pool_destroy(pool);
}
END_TEST

/* Floating point and large frames use what a careless switch forgets: vector registers and the
 * stack's alignment. */
static void format_body(void *argument)
{
    struct walk *walk = argument;
    char text[64];
    walk->self = fiber_current(walk->pool);
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof(text), "%.3f %Lg", 1.0 / (i + 3), 2.5L * i);
        walk->sum += strtod(text, NULL);
        fiber_suspend(walk->pool);
    }
}

START_TEST(floating_point_works_inside)
{
    struct fiber_pool *pool = make_pool(1);
    struct walk walk = { .pool = pool };
    ck_assert_int_eq(fiber_start(pool, format_body, &walk), 0);
    while (fiber_alive(pool) > 0)
        fiber_resume(pool, walk.self);
    ck_assert_double_eq_tol(walk.sum, 0.333 + 0.25 + 0.2, 1e-9);
    fiber_pool_destroy(pool);
}
END_TEST

static int overflow(int depth, volatile uint8_t *above)
{
    volatile uint8_t local[4096];
    local[0] = above[0];
    local[4095] = (uint8_t)depth;
    return depth > 1000 ? local[0] : overflow(depth + 1, local) + local[4095];
}

static void overflow_body(void *argument)
{
    volatile uint8_t first[1] = { 1 };
    *(int *)argument = overflow(0, first);
}

START_TEST(a_stack_that_overflows_meets_the_guard_page)
{
    struct fiber_pool *pool = make_pool(1);
    int result = 0;
    ck_assert_int_eq(fiber_start(pool, overflow_body, &result), 0);
    ck_abort_msg("it went on below its stack");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fiber");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, a_body_that_never_suspends_has_ended_when_start_returns);
    tcase_add_test(cases, fibers_keep_their_stacks_while_others_run);
    tcase_add_test(cases, one_more_than_the_maximum_is_refused_until_one_ends);
    tcase_add_test(cases, a_fiber_cannot_start_another);
    tcase_add_test(cases, free_stacks_beyond_a_few_give_their_pages_back);
    tcase_add_test(cases, the_last_used_stack_is_used_first);
    tcase_add_test(cases, floating_point_works_inside);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test_raise_signal(cases, a_stack_that_overflows_meets_the_guard_page, SIGSEGV);
#elif defined(__SANITIZE_ADDRESS__)
    /* Sanitizers catch the signal and exit with a code of their own. */
    tcase_add_exit_test(cases, a_stack_that_overflows_meets_the_guard_page, 1);
#else
    tcase_add_exit_test(cases, a_stack_that_overflows_meets_the_guard_page, 66);
#endif
    return test_suite_run(suite);
}
