#include "server/keyspace/keyspace.h"
#include "server/keyspace/test_value.h"

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { DATABASES = 4, NAMES = 300 };

static struct keyspace *keyspace;
static uint64_t changes, expirations;
static bool holds_all;

static int number_of(const struct key *key)
{
    return *number_in(key_value(key));
}

static void on_change(void *context, unsigned database, struct slice name)
{
    (void)context;
    (void)name;
    changes++;
    if (database >= DATABASES) ck_abort_msg("no such database");
}

static void on_expire(void *context, unsigned database, struct slice name)
{
    (void)context;
    expirations++;
    /* It must still be what it was: a look at it would remove it again. */
    if (database >= DATABASES || name.size == 0) ck_abort_msg("no such key");
}

static bool is_held(void *context, unsigned database, struct slice name)
{
    (void)context;
    (void)database;
    return holds_all || slice_is(name, "held");
}

static void setup(void)
{
    const struct keyspace_hooks hooks = { .on_change = on_change,
                                          .on_expire = on_expire,
                                          .is_held = is_held };
    values_alive = 0;
    changes = expirations = 0;
    holds_all = false;
    ck_assert_int_eq(keyspace_create(DATABASES, &hooks, &keyspace), 0);
    keyspace_set_now(keyspace, 1000);
}

static void teardown(void)
{
    keyspace_destroy(keyspace);
    ck_assert_int_eq(values_alive, 0);
}

static struct key *find(unsigned database, const char *name)
{
    return keyspace_find(keyspace, database, slice_of_string(name));
}

static struct key *add(unsigned database, const char *name, int number)
{
    struct key *key;
    ck_assert_int_eq(
        keyspace_add(keyspace, database, slice_of_string(name), value_of(number), &key), 0);
    return key;
}

static struct key *add_expiring(unsigned database, const char *name, int number, int64_t at_ms)
{
    struct key *key = add(database, name, number);
    ck_assert_int_eq(keyspace_set_expiry(keyspace, key, at_ms), 0);
    return key;
}

START_TEST(databases_are_limited_in_number)
{
    struct keyspace *none = NULL;
    ck_assert_int_lt(keyspace_create(0, NULL, &none), 0);
    ck_assert_int_lt(keyspace_create(KEYSPACE_DATABASES_MAX + 1, NULL, &none), 0);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(keyspace_create(KEYSPACE_DATABASES_MAX, NULL, &none), 0);
    keyspace_destroy(none);
    keyspace_destroy(NULL);
}
END_TEST

START_TEST(a_key_knows_its_name_database_and_value)
{
    struct key *key = add(2, "k", 7);
    ck_assert_ptr_eq(find(2, "k"), key);
    ck_assert_ptr_null(find(1, "k"));
    ck_assert(slice_is(key_name(key), "k"));
    ck_assert_uint_eq(key_database(keyspace, key), 2);
    ck_assert_int_eq(number_of(key), 7);
    ck_assert_int_eq(key_expires_at(keyspace, key), -1);
    ck_assert_uint_ge(key_memory_bytes(key), 33);
    keyspace_remove(keyspace, key);
    ck_assert_ptr_null(find(2, "k"));
    ck_assert_uint_eq(changes, 2);
}
END_TEST

START_TEST(names_may_be_empty_or_hold_any_byte)
{
    struct key *key;
    ck_assert_int_eq(keyspace_add(keyspace, 0, (struct slice){ 0 }, value_of(1), &key), 0);
    ck_assert_ptr_eq(keyspace_find(keyspace, 0, (struct slice){ 0 }), key);
    ck_assert_int_eq(keyspace_add(keyspace, 0, slice_of("a\0b", 3), value_of(2), &key), 0);
    ck_assert_ptr_eq(keyspace_find(keyspace, 0, slice_of("a\0b", 3)), key);
    ck_assert_ptr_null(keyspace_find(keyspace, 0, slice_of("a\0c", 3)));
}
END_TEST

START_TEST(replacing_keeps_or_drops_the_time_to_live)
{
    struct key *key = add_expiring(0, "k", 1, 5000);
    keyspace_replace(keyspace, key, value_of(2), true);
    ck_assert_int_eq(number_of(key), 2);
    ck_assert_int_eq(key_expires_at(keyspace, key), 5000);
    keyspace_replace(keyspace, key, value_of(3), false);
    ck_assert_int_eq(key_expires_at(keyspace, key), -1);
    ck_assert_int_eq(values_alive, 1);
    ck_assert_uint_eq(keyspace_expiring_count(keyspace, 0), 0);
}
END_TEST

START_TEST(a_key_that_is_looked_for_after_its_time_is_gone)
{
    add_expiring(0, "k", 1, 2000);
    keyspace_set_now(keyspace, 1999);
    ck_assert_ptr_nonnull(find(0, "k"));
    keyspace_set_now(keyspace, 2000);
    ck_assert_ptr_null(find(0, "k"));
    ck_assert_uint_eq(expirations, 1);
    ck_assert_int_eq(values_alive, 0);
}
END_TEST

START_TEST(a_held_key_stays_after_its_time_until_it_is_let_go)
{
    add_expiring(0, "held", 1, 1500);
    add_expiring(1, "other", 2, 1600);
    keyspace_set_now(keyspace, 2000);
    ck_assert_ptr_nonnull(find(0, "held"));
    ck_assert_ptr_nonnull(keyspace_random(keyspace, 0));
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 10), 1);
    ck_assert_ptr_nonnull(find(0, "held"));
    ck_assert_int_gt(keyspace_next_expiry(keyspace), 2000); /* or the loop would spin */
    ck_assert_int_eq(key_expires_at(keyspace, find(0, "held")), 1500);
    keyspace_remove(keyspace, find(0, "held"));
    ck_assert_int_eq(keyspace_next_expiry(keyspace), -1);
}
END_TEST

START_TEST(more_held_keys_than_one_round_steps_over_do_no_harm)
{
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        add_expiring(0, name, i, 1001 + i);
    }
    holds_all = true;
    keyspace_set_now(keyspace, 5000);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 1000), 0);
    ck_assert_uint_eq(keyspace_expiring_count(keyspace, 0), NAMES);
    holds_all = false;
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 1000), NAMES);
}
END_TEST

START_TEST(active_expiry_removes_what_is_due_and_nothing_else)
{
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        add_expiring((unsigned)i % DATABASES, name, i, 2000 + i);
    }
    add(0, "immortal", 1);
    ck_assert_int_eq(keyspace_next_expiry(keyspace), 2000);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 1000), 0);
    keyspace_set_now(keyspace, 2099);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 30), 30);
    keyspace_set_active_expiry(keyspace, false);
    ck_assert_int_eq(keyspace_next_expiry(keyspace), -1);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 30), 0);
    keyspace_set_active_expiry(keyspace, true);
    ck_assert_int_eq(keyspace_next_expiry(keyspace), 2030);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 1000), 70);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 1000), 0);
    ck_assert_int_eq(values_alive, NAMES - 100 + 1);
    ck_assert_int_eq(keyspace_next_expiry(keyspace), 2100);
}
END_TEST

START_TEST(the_average_time_to_live_is_exact)
{
    ck_assert_int_eq(keyspace_average_ttl(keyspace, 0), 0);
    add_expiring(0, "a", 1, 2000);
    add_expiring(0, "b", 2, 5000);
    ck_assert_int_eq(keyspace_average_ttl(keyspace, 0), 2500);
    add_expiring(0, "c", 3, INT64_MAX);
    ck_assert_int_gt(keyspace_average_ttl(keyspace, 0), INT64_MAX / 4);
    ck_assert_int_eq(keyspace_set_expiry(keyspace, find(0, "c"), -1), 0);
    keyspace_remove(keyspace, find(0, "a"));
    ck_assert_int_eq(keyspace_average_ttl(keyspace, 0), 4000);
}
END_TEST

START_TEST(moving_takes_value_and_time_to_live_along)
{
    add_expiring(0, "from", 1, 5000);
    add_expiring(2, "to", 2, 9000);
    ck_assert_int_eq(keyspace_move(keyspace, find(0, "from"), 2, slice_of_string("to")), 0);
    ck_assert_ptr_null(find(0, "from"));
    ck_assert_int_eq(number_of(find(2, "to")), 1);
    ck_assert_int_eq(key_expires_at(keyspace, find(2, "to")), 5000);
    ck_assert_uint_eq(keyspace_count(keyspace, 2), 1);
    ck_assert_uint_eq(keyspace_expiring_count(keyspace, 0), 0);
    ck_assert_uint_eq(keyspace_expiring_count(keyspace, 2), 1);
    ck_assert_int_eq(values_alive, 1);
    ck_assert_int_eq(keyspace_move(keyspace, find(2, "to"), 2, slice_of_string("to")), 0);
    ck_assert_int_eq(number_of(find(2, "to")), 1);
    /* Within one database, by the key's own bytes. */
    add(2, "x", 3);
    ck_assert_int_eq(keyspace_move(keyspace, find(2, "x"), 3, key_name(find(2, "x"))), 0);
    ck_assert_int_eq(number_of(find(3, "x")), 3);
}
END_TEST

START_TEST(swapping_exchanges_databases_with_their_times_to_live)
{
    struct key *key = add_expiring(0, "a", 1, 2000);
    add(1, "b", 2);
    keyspace_swap(keyspace, 0, 1);
    ck_assert_ptr_eq(find(1, "a"), key);
    ck_assert_uint_eq(key_database(keyspace, key), 1);
    ck_assert_ptr_null(find(0, "a"));
    ck_assert_int_eq(number_of(find(0, "b")), 2);
    keyspace_set_now(keyspace, 2000);
    ck_assert_uint_eq(keyspace_expire_due(keyspace, 5), 1);
    ck_assert_uint_eq(keyspace_count(keyspace, 1), 0);
}
END_TEST

static void add_numbered(unsigned database, int count)
{
    for (int i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        if (i % 3 == 0)
            add_expiring(database, name, i, 100000 + i);
        else
            add(database, name, i);
    }
}

START_TEST(flushing_a_large_database_is_done_in_small_steps)
{
    struct keyspace_info before, info;
    int steps = 0;
    keyspace_info(keyspace, &before);
    add_numbered(0, 5000);
    add_numbered(1, 10);
    keyspace_flush(keyspace, 0);
    keyspace_flush(keyspace, 1);
    ck_assert_uint_eq(keyspace_count(keyspace, 0), 0);
    ck_assert_uint_eq(keyspace_count(keyspace, 1), 0);
    ck_assert_int_eq(keyspace_next_expiry(keyspace), -1);
    ck_assert_int_eq(values_alive, 5000);
    keyspace_info(keyspace, &info);
    ck_assert_uint_gt(info.value_memory_bytes, 5000 * 100);
    add(0, "k1", 1); /* the same name again */
    ck_assert_int_lt(values_alive, 5001);
    keyspace_remove(keyspace, find(0, "k1"));
    while (keyspace_rehash_step(keyspace, 100))
        steps++;
    ck_assert_int_ge(steps, 49);
    ck_assert_int_eq(values_alive, 0);
    keyspace_info(keyspace, &info);
    ck_assert_uint_eq(info.value_memory_bytes, 0);
    ck_assert_uint_le(info.memory_bytes, before.memory_bytes + 200);
}
END_TEST

START_TEST(a_keyspace_can_be_destroyed_in_the_middle_of_everything)
{
    add_numbered(0, 3000);
    keyspace_flush(keyspace, 0);
    add_numbered(0, 1100);
    keyspace_flush(keyspace, 0);
    add_numbered(0, 1030); /* and the table is growing */
}
END_TEST

START_TEST(accounting_follows_what_owners_tell)
{
    struct keyspace_info info;
    add(0, "k", 0);
    keyspace_account(keyspace, 50);
    keyspace_account(keyspace, -30);
    keyspace_info(keyspace, &info);
    ck_assert_uint_eq(info.value_memory_bytes, 120);
    keyspace_account(keyspace, -20);
}
END_TEST

START_TEST(idle_time_counts_from_the_last_access)
{
    struct key *key = add(0, "k", 1);
    keyspace_set_now(keyspace, 61000);
    ck_assert_int_eq(key_idle_ms(keyspace, key), 60000);
    key_touch_access(keyspace, key);
    ck_assert_int_eq(key_idle_ms(keyspace, key), 0);
}
END_TEST

START_TEST(a_random_key_is_never_an_expired_one)
{
    ck_assert_ptr_null(keyspace_random(keyspace, 0));
    for (int i = 0; i < 50; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        add_expiring(0, name, i, 1100);
    }
    add(0, "stays", 99);
    keyspace_set_now(keyspace, 1200);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(number_of(keyspace_random(keyspace, 0)), 99);
    keyspace_remove(keyspace, find(0, "stays"));
    ck_assert_ptr_null(keyspace_random(keyspace, 0));
}
END_TEST

static void count_key(void *context, struct key *key)
{
    int *seen = context;
    seen[number_of(key)]++;
}

START_TEST(a_scan_shows_every_key_that_has_not_expired)
{
    int seen[NAMES] = { 0 }, wrong = 0;
    uint64_t cursor = 0;
    add_numbered(1, NAMES);
    keyspace_set_now(keyspace, 100000 + NAMES);
    do {
        cursor = keyspace_scan(keyspace, 1, cursor, 7, count_key, seen);
    } while (cursor != 0);
    for (int i = 0; i < NAMES; i++)
        wrong += (seen[i] > 0) != (i % 3 != 0);
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(keyspace_count(keyspace, 1), NAMES); /* it removed nothing */
    ck_assert_uint_eq(keyspace_scan(keyspace, 1, 0, UINT64_MAX, count_key, seen), 0);
}
END_TEST

/* The model: for each database and name whether it is there, its number and its time. */
struct modelled {
    bool is_there;
    int number;
    int64_t expires_at;
};

static struct modelled model[DATABASES][NAMES];

static struct slice name_at(int name, char *text)
{
    (void)snprintf(text, 16, "name-%d", name);
    return slice_of_string(text);
}

static void expire_model(int64_t now)
{
    for (int d = 0; d < DATABASES; d++) {
        for (int n = 0; n < NAMES; n++) {
            struct modelled *one = &model[d][n];
            if (one->is_there && one->expires_at != -1 && one->expires_at <= now)
                one->is_there = false;
        }
    }
}

static void expect_as_in_model(void)
{
    int alive = 0, wrong = 0;
    for (int d = 0; d < DATABASES; d++) {
        uint64_t count = 0, expiring = 0;
        for (int n = 0; n < NAMES; n++) {
            char text[16];
            const struct modelled *one = &model[d][n];
            struct key *key = keyspace_find(keyspace, (unsigned)d, name_at(n, text));
            wrong += (key != NULL) != one->is_there;
            if (!key || !one->is_there) continue;
            wrong += number_of(key) != one->number;
            wrong += key_expires_at(keyspace, key) != one->expires_at;
            count++;
            expiring += one->expires_at != -1;
        }
        ck_assert_int_eq(wrong, 0);
        ck_assert_uint_eq(keyspace_count(keyspace, (unsigned)d), count);
        ck_assert_uint_eq(keyspace_expiring_count(keyspace, (unsigned)d), expiring);
        alive += (int)count;
    }
    while (keyspace_rehash_step(keyspace, 1000))
        ;
    ck_assert_int_eq(values_alive, alive);
}

static void change_key(struct random *random, int64_t now)
{
    int d = (int)random_below(random, DATABASES), n = (int)random_below(random, NAMES);
    int to_d = (int)random_below(random, DATABASES), to_n = (int)random_below(random, NAMES);
    struct modelled *one = &model[d][n];
    char text[16], to_text[16];
    struct slice name = name_at(n, text);
    struct key *key = keyspace_find(keyspace, (unsigned)d, name);

    ck_assert_int_eq(key != NULL, one->is_there);
    if (!key) {
        *one = (struct modelled){ true, (int)random_below(random, 1000), -1 };
        ck_assert_int_eq(keyspace_add(keyspace, (unsigned)d, name, value_of(one->number), &key), 0);
        return;
    }
    switch (random_below(random, 5)) {
    case 0:
        keyspace_remove(keyspace, key);
        one->is_there = false;
        break;
    case 1:
        one->expires_at = now + 1 + (int64_t)random_below(random, 500);
        ck_assert_int_eq(keyspace_set_expiry(keyspace, key, one->expires_at), 0);
        break;
    case 2:
        one->expires_at = -1;
        ck_assert_int_eq(keyspace_set_expiry(keyspace, key, -1), 0);
        break;
    case 3:
        one->number++;
        keyspace_replace(keyspace, key, value_of(one->number), true);
        break;
    default:
        ck_assert_int_eq(keyspace_move(keyspace, key, (unsigned)to_d, name_at(to_n, to_text)), 0);
        if (d == to_d && n == to_n) break;
        model[to_d][to_n] = *one;
        one->is_there = false;
    }
}

static void change_databases(struct random *random)
{
    unsigned a = (unsigned)random_below(random, DATABASES);
    unsigned b = (unsigned)random_below(random, DATABASES);
    static struct modelled kept[NAMES];
    if (random_below(random, 4) == 0) {
        keyspace_flush(keyspace, a);
        memset(model[a], 0, sizeof(model[a]));
    } else {
        keyspace_swap(keyspace, a, b);
        memcpy(kept, model[a], sizeof(kept));
        memmove(model[a], model[b], sizeof(kept));
        memcpy(model[b], kept, sizeof(kept));
    }
}

START_TEST(random_operations_leave_what_the_model_says)
{
    struct random random;
    int64_t now = 1000;
    random_init(&random, (uint64_t)_i + 1000 * soak_seed());
    memset(model, 0, sizeof(model));
    for (int step = 1; step <= 12000; step++) {
        if (random_below(&random, 300) == 0) change_databases(&random);
        if (random_below(&random, 10) == 0) {
            now += (int64_t)random_below(&random, 20);
            keyspace_set_now(keyspace, now);
            expire_model(now);
            if (random_below(&random, 2))
                (void)keyspace_expire_due(keyspace, (unsigned)random_below(&random, 20));
        }
        change_key(&random, now);
        if (step % 2000 == 0) expect_as_in_model();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keyspace");
    TCase *tcase = test_suite_case(suite, "keyspace", setup, teardown);

    tcase_add_test(tcase, databases_are_limited_in_number);
    tcase_add_test(tcase, a_key_knows_its_name_database_and_value);
    tcase_add_test(tcase, names_may_be_empty_or_hold_any_byte);
    tcase_add_test(tcase, replacing_keeps_or_drops_the_time_to_live);
    tcase_add_test(tcase, a_key_that_is_looked_for_after_its_time_is_gone);
    tcase_add_test(tcase, a_held_key_stays_after_its_time_until_it_is_let_go);
    tcase_add_test(tcase, more_held_keys_than_one_round_steps_over_do_no_harm);
    tcase_add_test(tcase, active_expiry_removes_what_is_due_and_nothing_else);
    tcase_add_test(tcase, the_average_time_to_live_is_exact);
    tcase_add_test(tcase, moving_takes_value_and_time_to_live_along);
    tcase_add_test(tcase, swapping_exchanges_databases_with_their_times_to_live);
    tcase_add_test(tcase, flushing_a_large_database_is_done_in_small_steps);
    tcase_add_test(tcase, a_keyspace_can_be_destroyed_in_the_middle_of_everything);
    tcase_add_test(tcase, accounting_follows_what_owners_tell);
    tcase_add_test(tcase, idle_time_counts_from_the_last_access);
    tcase_add_test(tcase, a_random_key_is_never_an_expired_one);
    tcase_add_test(tcase, a_scan_shows_every_key_that_has_not_expired);
    tcase_add_loop_test(tcase, random_operations_leave_what_the_model_says, 0, 10);
    return test_suite_run(suite);
}
