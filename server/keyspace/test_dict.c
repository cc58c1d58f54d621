#include "server/keyspace/dict.h"

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
    struct dict_node link;
    uint32_t number;
    uint32_t seen; /* by the scan that goes on */
    bool is_there, was_there_all_along;
    char name[16];
};

enum { NODES = 60000 };

static struct node *nodes;
static struct dict dict;
static struct random prng;

static void setup(void)
{
    nodes = calloc(NODES, sizeof(*nodes));
    ck_assert_ptr_nonnull(nodes);
    dict_init(&dict, offsetof(struct node, name), 42);
    random_init(&prng, 7);
    for (uint32_t i = 0; i < NODES; i++) {
        struct node *node = &nodes[i];
        node->number = i;
        node->link.name_size =
            (uint32_t)snprintf(node->name, sizeof(node->name), "name:%u", i) & 15u;
        node->link.hash = dict_hash(&dict, slice_of(node->name, node->link.name_size));
    }
}

static void teardown(void)
{
    dict_finish(&dict);
    free(nodes);
}

static void add(struct node *node)
{
    if (dict_add(&dict, &node->link) < 0) ck_abort_msg("no memory");
    node->is_there = true;
}

static void drop(struct node *node)
{
    dict_remove(&dict, &node->link);
    node->is_there = false;
    node->was_there_all_along = false;
}

static void add_all(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add(&nodes[i]);
}

static const struct dict_node *find(const struct node *node)
{
    return dict_find(&dict, slice_of(node->name, node->link.name_size), node->link.hash);
}

static void expect_all_as_in_model(void)
{
    uint64_t count = 0, wrong = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        wrong += find(&nodes[i]) != (nodes[i].is_there ? &nodes[i].link : NULL);
        count += nodes[i].is_there;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(dict.count, count);
    dict_check(&dict);
}

START_TEST(an_empty_dict_answers_everything)
{
    ck_assert_ptr_null(find(&nodes[0]));
    ck_assert_ptr_null(dict_random(&dict, &prng));
    ck_assert_uint_eq(dict_scan(&dict, 0, NULL, NULL), 0);
    ck_assert_uint_eq(dict_memory_bytes(&dict), 0);
    ck_assert(!dict_rehash(&dict, 10));
}
END_TEST

START_TEST(what_was_added_is_found_until_it_is_removed)
{
    for (int step = 0; step < 150000; step++) {
        /* Waves of mostly adding and mostly removing, through many sizes. */
        bool is_adding = random_below(&prng, 10) < ((step / 30000) % 2 == 0 ? 9 : 2);
        struct node *node = &nodes[random_below(&prng, NODES)];
        if (node->is_there && !is_adding)
            drop(node);
        else if (!node->is_there && is_adding)
            add(node);
        if (step % 10000 == 0) expect_all_as_in_model();
    }
    expect_all_as_in_model();
}
END_TEST

START_TEST(memory_follows_the_count_both_ways)
{
    uint64_t full;
    add_all(NODES);
    while (dict_rehash(&dict, 100))
        ;
    full = dict_memory_bytes(&dict);
    ck_assert_uint_ge(full, 65536 * 8);
    for (uint32_t i = 0; i < NODES - 10; i++)
        drop(&nodes[i]);
    while (dict_rehash(&dict, 100))
        ;
    ck_assert_uint_le(dict_memory_bytes(&dict), 1024);
    expect_all_as_in_model();
}
END_TEST

START_TEST(growth_ends_before_the_next_one_is_due)
{
    uint64_t late = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        add(&nodes[i]);
        late += dict.count > dict.tables[0].size * 2;
    }
    ck_assert_uint_eq(late, 0);
}
END_TEST

static void see(void *context, struct dict_node *node)
{
    (void)context;
    ((struct node *)(void *)node)->seen++;
}

static void begin_scan(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        nodes[i].seen = 0;
        nodes[i].was_there_all_along = nodes[i].is_there;
    }
}

static void expect_seen(void)
{
    uint64_t missed = 0;
    for (uint32_t i = 0; i < NODES; i++)
        missed += nodes[i].was_there_all_along && nodes[i].seen == 0;
    ck_assert_uint_eq(missed, 0);
}

START_TEST(a_scan_of_a_quiet_dict_sees_each_node_once)
{
    uint64_t cursor = 0, wrong = 0;
    add_all(5000);
    while (dict_rehash(&dict, 100))
        ;
    begin_scan();
    do {
        cursor = dict_scan(&dict, cursor, see, NULL);
    } while (cursor != 0);
    for (uint32_t i = 0; i < NODES; i++)
        wrong += nodes[i].seen != nodes[i].is_there;
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* Between two steps of a scan, up to `most` random additions or removals. */
static void scan_while(uint64_t adding_of_ten, uint64_t most)
{
    uint64_t cursor = 0;
    begin_scan();
    do {
        cursor = dict_scan(&dict, cursor, see, NULL);
        for (uint64_t i = random_below(&prng, most + 1); i > 0; i--) {
            struct node *node = &nodes[random_below(&prng, NODES)];
            bool is_adding = random_below(&prng, 10) < adding_of_ten;
            if (node->is_there && !is_adding)
                drop(node);
            else if (!node->is_there && is_adding)
                add(node);
        }
    } while (cursor != 0);
    expect_seen();
}

START_TEST(a_scan_misses_nothing_while_the_dict_grows)
{
    random_init(&prng, (uint64_t)_i + 1000 * soak_seed());
    add_all(100 + (uint32_t)_i * 37);
    scan_while(10, 200);
    ck_assert_uint_gt(dict.count, 1000);
}
END_TEST

START_TEST(a_scan_misses_nothing_while_the_dict_shrinks)
{
    random_init(&prng, (uint64_t)_i + 1000 * soak_seed());
    add_all(20000 + (uint32_t)_i * 977);
    scan_while(0, 20);
    ck_assert_uint_lt(dict.count, 10000);
}
END_TEST

START_TEST(a_scan_misses_nothing_while_the_dict_changes_at_random)
{
    random_init(&prng, (uint64_t)_i + 1000 * soak_seed());
    add_all(1000);
    scan_while(9, 50);
    scan_while(1, 20);
    scan_while(5, 5);
    expect_all_as_in_model();
}
END_TEST

START_TEST(any_cursor_at_all_leads_to_an_end)
{
    add_all(3000);
    for (int i = 0; i < 100; i++) {
        uint64_t cursor = random_next(&prng);
        int steps = 0;
        do {
            cursor = dict_scan(&dict, cursor, see, NULL);
        } while (cursor != 0 && ++steps < 10000);
        ck_assert_uint_eq(cursor, 0);
    }
}
END_TEST

START_TEST(random_nodes_are_spread_over_all)
{
    uint32_t missing = 0;
    add_all(100);
    for (int i = 0; i < 10000; i++)
        see(NULL, dict_random(&dict, &prng));
    for (uint32_t i = 0; i < 100; i++)
        missing += nodes[i].seen < 10;
    ck_assert_uint_eq(missing, 0);
}
END_TEST

START_TEST(a_random_node_is_found_among_few_in_a_large_table)
{
    add_all(NODES);
    while (dict_rehash(&dict, 100))
        ;
    /* As if nothing had shrunk the table yet. */
    for (uint32_t i = 0; i < NODES; i++) {
        struct dict_node **bucket =
            &dict.tables[0].buckets[nodes[i].link.hash & (dict.tables[0].size - 1)];
        *bucket = NULL;
    }
    nodes[5].link.next = NULL;
    dict.tables[0].buckets[nodes[5].link.hash & (dict.tables[0].size - 1)] = &nodes[5].link;
    dict.count = 1;
    ck_assert_ptr_eq(dict_random(&dict, &prng), &nodes[5].link);
}
END_TEST

static void take(void *context, struct dict_node *node)
{
    (void)context;
    ((struct node *)(void *)node)->is_there = false;
}

START_TEST(draining_takes_each_node_once_in_bounded_steps)
{
    int calls = 1, left = 0;
    add_all((uint32_t)_i);
    while (dict_drain(&dict, 100, take, NULL))
        calls++;
    ck_assert_uint_eq(dict.count, 0);
    ck_assert_int_ge(calls, _i / 100);
    for (uint32_t i = 0; i < NODES; i++)
        left += nodes[i].is_there;
    ck_assert_int_eq(left, 0);
}
END_TEST

START_TEST(the_empty_name_is_a_name)
{
    nodes[0].link.name_size = 0;
    nodes[0].link.hash = dict_hash(&dict, (struct slice){ 0 });
    add(&nodes[0]);
    ck_assert_ptr_eq(dict_find(&dict, (struct slice){ 0 }, nodes[0].link.hash), &nodes[0].link);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dict");
    TCase *tcase = test_suite_case(suite, "dict", setup, teardown);

    tcase_add_test(tcase, an_empty_dict_answers_everything);
    tcase_add_test(tcase, what_was_added_is_found_until_it_is_removed);
    tcase_add_test(tcase, memory_follows_the_count_both_ways);
    tcase_add_test(tcase, growth_ends_before_the_next_one_is_due);
    tcase_add_test(tcase, a_scan_of_a_quiet_dict_sees_each_node_once);
    tcase_add_loop_test(tcase, a_scan_misses_nothing_while_the_dict_grows, 0, 10);
    tcase_add_loop_test(tcase, a_scan_misses_nothing_while_the_dict_shrinks, 0, 10);
    tcase_add_loop_test(tcase, a_scan_misses_nothing_while_the_dict_changes_at_random, 0, 10);
    tcase_add_test(tcase, any_cursor_at_all_leads_to_an_end);
    tcase_add_test(tcase, random_nodes_are_spread_over_all);
    tcase_add_test(tcase, a_random_node_is_found_among_few_in_a_large_table);
    tcase_add_loop_test(tcase, draining_takes_each_node_once_in_bounded_steps, 32765, 32771);
    tcase_add_test(tcase, the_empty_name_is_a_name);
    return test_suite_run(suite);
}
