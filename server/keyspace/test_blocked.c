#include "server/keyspace/blocked.h"

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct blocked *blocked;

static void setup(void)
{
    ck_assert_int_eq(blocked_create(&blocked), 0);
}

static void teardown(void)
{
    blocked_destroy(blocked);
}

static struct slice named(const char *name)
{
    return slice_of_string(name);
}

static void wait_for(struct waiter *waiter, const char *name, int64_t deadline_us)
{
    struct slice names[] = { named(name) };
    *waiter = (struct waiter){ .deadline_us = deadline_us };
    ck_assert_int_eq(blocked_add(blocked, waiter, names, 1), 0);
}

static void expect_ready(const char *name)
{
    unsigned database;
    struct slice ready;
    ck_assert(blocked_next_ready(blocked, &database, &ready));
    ck_assert_uint_eq(database, 0);
    ck_assert(slice_equal(ready, named(name)));
}

static void expect_none_ready(void)
{
    unsigned database;
    struct slice ready;
    ck_assert(!blocked_next_ready(blocked, &database, &ready));
}

START_TEST(who_comes_back_takes_the_place_it_had)
{
    enum { COUNT = 4 };
    struct waiter waiters[COUNT];
    struct slice names[] = { named("k"), named("other"), named("k") };
    for (int i = 0; i < COUNT; i++)
        wait_for(&waiters[i], "k", -1);
    for (int back = 0; back < COUNT; back++) {
        const struct waiter *at;
        blocked_remove(blocked, &waiters[back]);
        ck_assert_int_eq(blocked_add(blocked, &waiters[back], names, 3), 0);
        at = blocked_first(blocked, 0, names[0]);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_ptr_eq(at, &waiters[i]);
            at = blocked_next(blocked, at, 0, names[0]);
        }
        ck_assert_ptr_null(at);
    }
    for (int i = 0; i < COUNT; i++)
        blocked_remove(blocked, &waiters[i]);
    ck_assert_uint_eq(blocked_key_count(blocked), 0);
}
END_TEST

START_TEST(waiters_of_a_key_stand_in_order_of_arrival)
{
    struct waiter waiters[3];
    struct slice name = named("k");
    for (int i = 0; i < 3; i++)
        wait_for(&waiters[i], "k", -1);
    ck_assert_uint_eq(blocked_waiter_count(blocked), 3);
    ck_assert_uint_eq(blocked_key_count(blocked), 1);
    ck_assert_ptr_eq(blocked_first(blocked, 0, name), &waiters[0]);
    ck_assert_ptr_eq(blocked_next(blocked, &waiters[0], 0, name), &waiters[1]);
    ck_assert_ptr_eq(blocked_next(blocked, &waiters[1], 0, name), &waiters[2]);
    ck_assert_ptr_null(blocked_next(blocked, &waiters[2], 0, name));
    blocked_remove(blocked, &waiters[0]);
    ck_assert_ptr_eq(blocked_first(blocked, 0, name), &waiters[1]);
    ck_assert_ptr_null(blocked_first(blocked, 1, name));
    blocked_remove(blocked, &waiters[1]);
    blocked_remove(blocked, &waiters[2]);
    ck_assert_uint_eq(blocked_key_count(blocked), 0);
}
END_TEST

START_TEST(a_signal_without_waiters_is_forgotten)
{
    struct waiter waiter;
    blocked_signal(blocked, 0, named("k"));
    expect_none_ready();
    wait_for(&waiter, "k", -1);
    blocked_signal(blocked, 0, named("other"));
    blocked_signal(blocked, 1, named("k"));
    expect_none_ready();
    blocked_remove(blocked, &waiter);
}
END_TEST

START_TEST(signalled_keys_come_once_each_in_order_of_first_signal)
{
    struct waiter waiters[3];
    wait_for(&waiters[0], "a", -1);
    wait_for(&waiters[1], "b", -1);
    wait_for(&waiters[2], "c", -1);
    blocked_signal(blocked, 0, named("c"));
    blocked_signal(blocked, 0, named("a"));
    blocked_signal(blocked, 0, named("c"));
    expect_ready("c");
    blocked_signal(blocked, 0, named("c")); /* while it is being served: again, behind */
    expect_ready("a");
    expect_ready("c");
    expect_none_ready();
    for (int i = 0; i < 3; i++)
        blocked_remove(blocked, &waiters[i]);
}
END_TEST

START_TEST(a_signalled_key_whose_last_waiter_left_is_not_ready)
{
    struct waiter waiters[2];
    wait_for(&waiters[0], "a", -1);
    wait_for(&waiters[1], "b", -1);
    blocked_signal(blocked, 0, named("a"));
    blocked_signal(blocked, 0, named("b"));
    blocked_remove(blocked, &waiters[0]);
    expect_ready("b");
    expect_none_ready();
    blocked_remove(blocked, &waiters[1]);
}
END_TEST

START_TEST(a_key_that_is_held_back_comes_out_once_after_resume_only)
{
    struct waiter waiter;
    wait_for(&waiter, "k", -1);
    blocked_signal(blocked, 0, named("k"));
    expect_ready("k");
    blocked_hold_back(blocked);
    expect_none_ready();
    blocked_signal(blocked, 0, named("k")); /* it is still held */
    expect_none_ready();
    blocked_resume(blocked);
    expect_ready("k");
    expect_none_ready();
    blocked_resume(blocked); /* nobody was held back again */
    expect_none_ready();
    blocked_remove(blocked, &waiter);
}
END_TEST

START_TEST(a_key_that_is_held_back_is_forgotten_with_its_last_waiter)
{
    struct waiter before, during;
    wait_for(&before, "a", -1);
    wait_for(&during, "b", -1);
    blocked_signal(blocked, 0, named("a"));
    blocked_signal(blocked, 0, named("b"));
    expect_ready("a");
    blocked_hold_back(blocked);
    blocked_remove(blocked, &before);
    expect_ready("b");
    blocked_remove(blocked, &during); /* while it is looked at: nobody is left to come back for */
    blocked_hold_back(blocked);
    blocked_resume(blocked);
    expect_none_ready();
}
END_TEST

START_TEST(the_name_of_a_ready_key_outlives_its_waiters)
{
    struct waiter waiters[2];
    struct waiter *waiter;
    unsigned database;
    struct slice name;
    wait_for(&waiters[0], "k", -1);
    wait_for(&waiters[1], "k", -1);
    blocked_signal(blocked, 0, named("k"));
    ck_assert(blocked_next_ready(blocked, &database, &name));
    while ((waiter = blocked_first(blocked, database, name)))
        blocked_remove(blocked, waiter);
    ck_assert(slice_equal(name, named("k")));
    wait_for(&waiters[0], "k", -1);
    ck_assert_ptr_eq(blocked_first(blocked, database, name), &waiters[0]);
    expect_none_ready();
    blocked_remove(blocked, &waiters[0]);
}
END_TEST

START_TEST(a_waiter_leaves_all_its_queues_at_once)
{
    struct slice names[] = { named("a"), named("b"), named("a"), named("c") };
    struct waiter waiter = { .deadline_us = -1 }, other;
    ck_assert(!blocked_is_waiting(&waiter));
    ck_assert_int_eq(blocked_add(blocked, &waiter, names, 4), 0);
    ck_assert(blocked_is_waiting(&waiter));
    wait_for(&other, "a", -1);
    ck_assert_uint_eq(blocked_key_count(blocked), 3);
    ck_assert_ptr_eq(blocked_next(blocked, &waiter, 0, named("a")), &other); /* once, not twice */
    ck_assert_ptr_null(blocked_next(blocked, &waiter, 0, named("b")));
    blocked_remove(blocked, &waiter);
    ck_assert(!blocked_is_waiting(&waiter));
    ck_assert_uint_eq(blocked_key_count(blocked), 1);
    ck_assert_ptr_eq(blocked_first(blocked, 0, named("a")), &other);
    blocked_remove(blocked, &waiter); /* harmless */
    blocked_remove(blocked, &other);
}
END_TEST

START_TEST(deadlines_come_in_order_and_only_when_due)
{
    struct waiter waiters[4];
    wait_for(&waiters[0], "a", 300);
    wait_for(&waiters[1], "a", -1);
    wait_for(&waiters[2], "b", 100);
    wait_for(&waiters[3], "c", 200);
    ck_assert_int_eq(blocked_next_deadline(blocked), 100);
    ck_assert_ptr_null(blocked_expired(blocked, 99));
    ck_assert_ptr_eq(blocked_expired(blocked, 250), &waiters[2]);
    blocked_remove(blocked, &waiters[2]);
    ck_assert_ptr_eq(blocked_expired(blocked, 250), &waiters[3]);
    blocked_remove(blocked, &waiters[3]);
    ck_assert_ptr_null(blocked_expired(blocked, 250));
    blocked_remove(blocked, &waiters[0]);
    ck_assert_int_eq(blocked_next_deadline(blocked), -1);
    blocked_remove(blocked, &waiters[1]);
}
END_TEST

START_TEST(signalling_a_database_makes_all_its_waited_keys_ready)
{
    struct waiter waiters[20], elsewhere = { .deadline_us = -1, .database = 3 };
    struct slice name = named("x");
    unsigned database;
    int ready = 0;
    for (int i = 0; i < 20; i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "k%d", i % 10);
        wait_for(&waiters[i], text, -1);
    }
    ck_assert_int_eq(blocked_add(blocked, &elsewhere, &name, 1), 0);
    blocked_signal_database(blocked, 0);
    blocked_signal_database(blocked, 17); /* nobody has ever waited there */
    while (blocked_next_ready(blocked, &database, &name)) {
        ck_assert_uint_eq(database, 0);
        ready++;
    }
    ck_assert_int_eq(ready, 10);
    for (int i = 0; i < 20; i++)
        blocked_remove(blocked, &waiters[i]);
    blocked_remove(blocked, &elsewhere);
}
END_TEST

/* The model: waiters with their arrival and keys; signalled keys in order. */
enum { WAITERS = 60, KEYS = 8 };

struct modelled {
    struct waiter waiter;
    bool wants[KEYS];
    uint64_t number;
};

static struct modelled modelled[WAITERS];
static int signalled[KEYS], signalled_count;

static struct slice key_named(int key)
{
    static const char *const names[KEYS] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    return slice_of_string(names[key]);
}

static struct modelled *first_after(int key, uint64_t number)
{
    struct modelled *first = NULL;
    for (int i = 0; i < WAITERS; i++) {
        struct modelled *one = &modelled[i];
        if (!blocked_is_waiting(&one->waiter) || !one->wants[key] || one->number <= number)
            continue;
        if (!first || one->number < first->number) first = one;
    }
    return first;
}

static void forget_signals_nobody_waits_for(void)
{
    int kept = 0;
    for (int i = 0; i < signalled_count; i++) {
        if (first_after(signalled[i], 0)) signalled[kept++] = signalled[i];
    }
    signalled_count = kept;
}

static void enter(struct modelled *one, struct random *random, uint64_t number)
{
    struct slice names[5];
    uint32_t count = 1 + (uint32_t)random_below(random, 5);
    int64_t deadline = random_below(random, 2) ? -1 : (int64_t)random_below(random, 1000);
    *one = (struct modelled){ .waiter = { .deadline_us = deadline }, .number = number };
    for (uint32_t i = 0; i < count; i++) {
        int key = (int)random_below(random, KEYS);
        names[i] = key_named(key);
        one->wants[key] = true;
    }
    ck_assert_int_eq(blocked_add(blocked, &one->waiter, names, count), 0);
}

static void signal_key(int key)
{
    blocked_signal(blocked, 0, key_named(key));
    for (int i = 0; i < signalled_count; i++) {
        if (signalled[i] == key) return;
    }
    if (first_after(key, 0)) signalled[signalled_count++] = key;
}

static void expect_next_ready(void)
{
    unsigned database;
    struct slice name;
    bool has_one = blocked_next_ready(blocked, &database, &name);
    ck_assert_int_eq(has_one, signalled_count > 0);
    if (!has_one) return;
    ck_assert(slice_equal(name, key_named(signalled[0])));
    memmove(signalled, signalled + 1, (size_t)--signalled_count * sizeof(signalled[0]));
}

static void expect_queue(int key)
{
    const struct modelled *expected = first_after(key, 0);
    struct waiter *waiter = blocked_first(blocked, 0, key_named(key));
    while (expected) {
        ck_assert_ptr_eq(waiter, &expected->waiter);
        expected = first_after(key, expected->number);
        waiter = blocked_next(blocked, waiter, 0, key_named(key));
    }
    ck_assert_ptr_null(waiter);
}

START_TEST(queues_signals_and_deadlines_are_as_in_the_model_at_every_moment)
{
    struct random random;
    random_init(&random, (uint64_t)_i + 1000 * soak_seed());
    memset(modelled, 0, sizeof(modelled));
    signalled_count = 0;
    for (uint64_t step = 1; step <= 4000; step++) {
        struct modelled *one = &modelled[random_below(&random, WAITERS)];
        struct waiter *expired;
        switch (random_below(&random, 5)) {
        case 0:
            signal_key((int)random_below(&random, KEYS));
            break;
        case 1:
            expect_next_ready();
            break;
        case 2:
            expired = blocked_expired(blocked, 200);
            if (expired) ck_assert_int_le(expired->deadline_us, 200);
            for (int i = 0; i < WAITERS && !expired; i++)
                ck_assert(!blocked_is_waiting(&modelled[i].waiter) ||
                          modelled[i].waiter.deadline_us == -1 ||
                          modelled[i].waiter.deadline_us > 200);
            if (expired) blocked_remove(blocked, expired);
            break;
        default:
            if (blocked_is_waiting(&one->waiter))
                blocked_remove(blocked, &one->waiter);
            else
                enter(one, &random, step);
        }
        forget_signals_nobody_waits_for();
        expect_queue((int)random_below(&random, KEYS));
    }
    for (int i = 0; i < WAITERS; i++)
        blocked_remove(blocked, &modelled[i].waiter);
    ck_assert_uint_eq(blocked_waiter_count(blocked), 0);
    ck_assert_uint_eq(blocked_key_count(blocked), 0);
    ck_assert_int_eq(blocked_next_deadline(blocked), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocked");
    TCase *tcase = test_suite_case(suite, "blocked", setup, teardown);

    tcase_add_test(tcase, who_comes_back_takes_the_place_it_had);
    tcase_add_test(tcase, waiters_of_a_key_stand_in_order_of_arrival);
    tcase_add_test(tcase, a_signal_without_waiters_is_forgotten);
    tcase_add_test(tcase, signalled_keys_come_once_each_in_order_of_first_signal);
    tcase_add_test(tcase, a_signalled_key_whose_last_waiter_left_is_not_ready);
    tcase_add_test(tcase, a_key_that_is_held_back_comes_out_once_after_resume_only);
    tcase_add_test(tcase, a_key_that_is_held_back_is_forgotten_with_its_last_waiter);
    tcase_add_test(tcase, the_name_of_a_ready_key_outlives_its_waiters);
    tcase_add_test(tcase, a_waiter_leaves_all_its_queues_at_once);
    tcase_add_test(tcase, deadlines_come_in_order_and_only_when_due);
    tcase_add_test(tcase, signalling_a_database_makes_all_its_waited_keys_ready);
    tcase_add_loop_test(tcase, queues_signals_and_deadlines_are_as_in_the_model_at_every_moment, 0,
                        10);
    return test_suite_run(suite);
}
