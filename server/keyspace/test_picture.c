/* Random commands between the slices of a picture; what it was given must be what the keyspace held
 * when it was begun, key by key, once each. */
#include "server/keyspace/keyspace.h"
#include "server/keyspace/picture.h"
#include "server/keyspace/test_value.h"

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATABASES = 3, NAMES = 4000, NAME_BYTES = 16 };

/* What a key holds; number 0: it is not there. */
struct entry {
    int number;
    int64_t expires_at_ms;
};

static struct keyspace *keyspace;
static int last_number;
static int64_t now_ms;
static struct random prng;
static struct entry model[DATABASES][NAMES], expected[DATABASES][NAMES], seen[DATABASES][NAMES];
static uint64_t save_count;

static struct slice name_of(unsigned index, char text[NAME_BYTES])
{
    return slice_of(text, (size_t)snprintf(text, NAME_BYTES, "name:%u", index));
}

static unsigned index_of(struct slice name)
{
    char text[NAME_BYTES] = { 0 };
    ck_assert_uint_lt(name.size, sizeof(text));
    memcpy(text, name.bytes, name.size);
    return (unsigned)strtoul(text + 5, NULL, 10);
}

/* ---- commands ---- */

static struct entry *entry_of(unsigned database, struct slice name)
{
    return &model[database][index_of(name)];
}

static void on_expire(void *context, unsigned database, struct slice name)
{
    (void)context;
    *entry_of(database, name) = (struct entry){ 0 };
}

static void forget_expired(unsigned database, unsigned index)
{
    struct entry *entry = &model[database][index];
    if (entry->number && entry->expires_at_ms != -1 && entry->expires_at_ms <= now_ms)
        *entry = (struct entry){ 0 };
}

static void add_key(unsigned database, unsigned index)
{
    char text[NAME_BYTES];
    ck_assert_int_eq(
        keyspace_add(keyspace, database, name_of(index, text), value_of(++last_number), NULL), 0);
    model[database][index] = (struct entry){ last_number, -1 };
}

static void expire_key_at(struct key *key, struct entry *entry, int64_t at_ms)
{
    ck_assert_int_eq(keyspace_set_expiry(keyspace, key, at_ms), 0);
    entry->expires_at_ms = at_ms;
}

static void move_key(struct key *key, struct entry *entry)
{
    unsigned database = (unsigned)random_below(&prng, DATABASES);
    unsigned index = (unsigned)random_below(&prng, NAMES);
    char text[NAME_BYTES];
    struct entry moved = *entry;
    if (entry == &model[database][index]) return;
    ck_assert_int_eq(keyspace_move(keyspace, key, database, name_of(index, text)), 0);
    *entry = (struct entry){ 0 };
    model[database][index] = moved;
}

static void change_key(struct key *key, struct entry *entry)
{
    switch (random_below(&prng, 6)) {
    case 0:
        keyspace_remove(keyspace, key);
        *entry = (struct entry){ 0 };
        break;
    case 1:
        keyspace_replace(keyspace, key, value_of(++last_number), false);
        *entry = (struct entry){ last_number, -1 };
        break;
    case 2: /* in place, as lists and strings change */
        *number_in(key_value(key)) = entry->number = ++last_number;
        break;
    case 3:
        expire_key_at(key, entry, now_ms + (int64_t)random_below(&prng, 2000));
        break;
    case 4:
        expire_key_at(key, entry, -1);
        break;
    default:
        move_key(key, entry);
        break;
    }
}

static void flush_or_swap(void)
{
    unsigned a = (unsigned)random_below(&prng, DATABASES);
    unsigned b = (unsigned)random_below(&prng, DATABASES);
    struct entry kept[NAMES];
    if (random_below(&prng, 2) == 0) {
        keyspace_flush(keyspace, a);
        memset(model[a], 0, sizeof(model[a]));
        return;
    }
    keyspace_swap(keyspace, a, b);
    memcpy(kept, model[a], sizeof(kept));
    memcpy(model[a], model[b], sizeof(kept));
    memcpy(model[b], kept, sizeof(kept));
}

static void pass_time(void)
{
    now_ms += (int64_t)random_below(&prng, 20);
    keyspace_set_now(keyspace, now_ms);
    (void)keyspace_expire_due(keyspace, (unsigned)random_below(&prng, 20));
}

/* grows: mostly additions, else mostly removals and what else there is. */
static void run_command(bool grows)
{
    unsigned database = (unsigned)random_below(&prng, DATABASES);
    unsigned index = (unsigned)random_below(&prng, NAMES);
    char text[NAME_BYTES];
    struct key *key;
    if (random_below(&prng, 2000) == 0) flush_or_swap();
    if (random_below(&prng, 50) == 0) pass_time();
    if (random_below(&prng, 20) == 0) (void)keyspace_rehash_step(keyspace, 16);
    forget_expired(database, index);
    key = keyspace_find(keyspace, database, name_of(index, text));
    ck_assert_int_eq(key ? *number_in(key_value(key)) : 0, model[database][index].number);
    if (!key)
        add_key(database, index);
    else if (!grows || random_below(&prng, 10) == 0)
        change_key(key, &model[database][index]);
}

/* ---- pictures ---- */

static void save(void *context, const struct pictured_key *key)
{
    struct entry *entry = &seen[key->database][index_of(key->name)];
    ck_assert_ptr_eq(context, &prng);
    ck_assert_int_eq(entry->number, 0);
    *entry = (struct entry){ *number_in(key->value), key->expires_at_ms };
    save_count++;
}

static void begin_picture(void)
{
    memcpy(expected, model, sizeof(expected));
    memset(seen, 0, sizeof(seen));
    keyspace_picture_begin(keyspace, save, &prng);
}

/* A key whose time had come and that nobody had looked at yet may be in the picture. */
static void expect_picture(int64_t begun_at_ms)
{
    for (unsigned d = 0; d < DATABASES; d++) {
        for (unsigned i = 0; i < NAMES; i++) {
            const struct entry *want = &expected[d][i], *got = &seen[d][i];
            if (want->number == got->number &&
                (want->number == 0 || want->expires_at_ms == got->expires_at_ms))
                continue;
            ck_abort_msg("database %u name %u at %lld: %d (%lld), not %d (%lld)", d, i,
                         (long long)begun_at_ms, got->number, (long long)got->expires_at_ms,
                         want->number, (long long)want->expires_at_ms);
        }
    }
}

static void setup(void)
{
    const struct keyspace_hooks hooks = { .on_expire = on_expire };
    values_alive = last_number = 0;
    save_count = 0;
    now_ms = 1000;
    memset(model, 0, sizeof(model));
    random_init(&prng, 11 + soak_seed());
    ck_assert_int_eq(keyspace_create(DATABASES, &hooks, &keyspace), 0);
    keyspace_set_now(keyspace, now_ms);
}

static void teardown(void)
{
    keyspace_destroy(keyspace);
    ck_assert_int_eq(values_alive, 0);
}

START_TEST(a_picture_is_the_state_at_its_beginning)
{
    for (int round = 0; round < (soak_is_full() ? 400 : 40); round++) {
        bool grows = random_below(&prng, 3) > 0;
        uint64_t commands = 1 + random_below(&prng, 20);
        int64_t begun_at_ms = now_ms;
        for (int i = 0; i < 3000; i++)
            run_command(grows);
        begin_picture();
        ck_assert(keyspace_picture_is_running(keyspace));
        while (keyspace_picture_step(keyspace, 1 + random_below(&prng, 30))) {
            for (uint64_t i = random_below(&prng, commands); i > 0; i--)
                run_command(!grows);
        }
        expect_picture(begun_at_ms);
    }
    ck_assert_uint_gt(save_count, 1000);
}
END_TEST

START_TEST(an_abandoned_picture_saves_nothing_more_and_the_next_is_whole)
{
    uint64_t saved;
    for (int i = 0; i < 5000; i++)
        run_command(true);
    begin_picture();
    ck_assert(keyspace_picture_step(keyspace, 50));
    keyspace_picture_abandon(keyspace);
    saved = save_count;
    for (int i = 0; i < 2000; i++)
        run_command(false);
    while (keyspace_picture_step(keyspace, 100))
        ;
    ck_assert_uint_eq(save_count, saved);
    begin_picture();
    for (int i = 0; i < 2000; i++)
        run_command(false);
    while (keyspace_picture_step(keyspace, 100))
        ;
    expect_picture(now_ms);
}
END_TEST

START_TEST(what_was_flushed_before_is_no_part_of_it)
{
    struct keyspace_picture_progress progress;
    for (unsigned i = 0; i < NAMES; i++)
        add_key(0, i);
    keyspace_flush(keyspace, 0);
    memset(model, 0, sizeof(model));
    add_key(0, 7);
    begin_picture();
    while (keyspace_picture_step(keyspace, 100))
        ;
    expect_picture(now_ms);
    keyspace_picture_progress(keyspace, &progress);
    ck_assert_uint_eq(progress.visited_count, 1);
    ck_assert_uint_eq(progress.total_count, 1);
}
END_TEST

START_TEST(what_is_flushed_meanwhile_is_in_it_and_is_buried)
{
    for (unsigned i = 0; i < NAMES; i++)
        add_key(1, i);
    begin_picture();
    ck_assert(keyspace_picture_step(keyspace, 10));
    keyspace_flush(keyspace, 1);
    memset(model, 0, sizeof(model));
    add_key(1, 1);
    (void)keyspace_rehash_step(keyspace, UINT32_MAX); /* leaves it to the picture */
    while (keyspace_picture_step(keyspace, 10))
        ;
    expect_picture(now_ms);
    ck_assert_int_eq(values_alive, 1);
}
END_TEST

START_TEST(a_keyspace_can_go_while_a_picture_is_taken)
{
    for (unsigned i = 0; i < NAMES; i++)
        add_key(2, i);
    begin_picture();
    ck_assert(keyspace_picture_step(keyspace, 10));
    keyspace_flush(keyspace, 2);
    ck_assert(keyspace_picture_is_running(keyspace));
}
END_TEST

START_TEST(an_empty_keyspace_has_an_empty_picture)
{
    begin_picture();
    ck_assert(!keyspace_picture_step(keyspace, 1000));
    ck_assert(!keyspace_picture_is_running(keyspace));
    ck_assert_uint_eq(save_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keyspace picture");
    TCase *tests = test_suite_case(suite, "picture", setup, teardown);

    tcase_add_test(tests, a_picture_is_the_state_at_its_beginning);
    tcase_add_test(tests, an_abandoned_picture_saves_nothing_more_and_the_next_is_whole);
    tcase_add_test(tests, what_was_flushed_before_is_no_part_of_it);
    tcase_add_test(tests, what_is_flushed_meanwhile_is_in_it_and_is_buried);
    tcase_add_test(tests, a_keyspace_can_go_while_a_picture_is_taken);
    tcase_add_test(tests, an_empty_keyspace_has_an_empty_picture);
    return test_suite_run(suite);
}
