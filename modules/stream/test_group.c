/* Groups: what they take, names and numbers, what refers to what, and going in slices. */
#include "modules/base/test_suite.h"
#include "modules/stream/group.h"
#include "modules/stream/test_group_fixture.h"

#include <stdio.h>

static struct stream_group *group;

START_TEST(a_queue_of_deliveries_stays_small)
{
    enum { COUNT = 200000 };
    struct stream_consumer *consumer;

    open_groups();
    group = add_group("g");
    consumer = add_consumer(group, "c");
    for (unsigned i = 1; i <= COUNT; i++)
        deliver(group, consumer, i, i);
    ck_assert_uint_lt(stream_groups_memory_bytes(groups), (uint64_t)64 * COUNT);
    stream_groups_check(groups);
    for (unsigned i = 1; i <= COUNT; i++)
        ck_assert_int_eq(stream_group_acknowledge(group, (struct stream_id){ i, 0 }), 1);
    ck_assert_uint_lt(stream_groups_memory_bytes(groups), 1024);
    close_groups();
}
END_TEST

START_TEST(one_that_is_made_old_is_found_among_many)
{
    enum { COUNT = 20000 };
    struct stream_consumer *consumer;
    struct stream_pending pending;

    open_groups();
    group = add_group("g");
    consumer = add_consumer(group, "c");
    for (unsigned i = 1; i <= COUNT; i++)
        deliver(group, consumer, i, 1000 + i / 500);
    for (unsigned i = COUNT - 250; i > 1000; i -= 1000) { /* where all in a leaf are equally old */
        deliver(group, consumer, i, 500);
        ck_assert_int_eq(stream_group_next_pending(group, NULL, STREAM_ID_MIN, 500, &pending), 1);
        ck_assert_uint_eq(pending.id.ms, i);
        ck_assert_int_eq(stream_group_oldest_pending(group, &pending), 1);
        ck_assert_uint_eq(pending.id.ms, i);
    }
    stream_groups_check(groups);
    close_groups();
}
END_TEST

START_TEST(a_sparse_rest_is_put_together)
{
    enum { COUNT = 50000 };
    struct stream_consumer *consumer;

    open_groups();
    group = add_group("g");
    consumer = add_consumer(group, "c");
    for (unsigned i = 1; i <= COUNT; i++)
        deliver(group, consumer, i, i);
    for (unsigned i = 1; i <= COUNT; i++)
        if (i % 20 != 0) stream_group_acknowledge(group, (struct stream_id){ i, 0 });
    stream_groups_check(groups);
    ck_assert_uint_lt(stream_groups_memory_bytes(groups), (uint64_t)160 * COUNT / 20);
    close_groups();
}
END_TEST

START_TEST(what_was_given_back_first_is_the_oldest)
{
    struct stream_pending pending;
    struct stream_consumer *consumer;

    open_groups();
    group = add_group("g");
    consumer = add_consumer(group, "c");
    deliver(group, consumer, 1, 0);
    deliver(group, consumer, 2, 700);
    deliver(group, consumer, 3, 600);
    deliver(group, NULL, 3, 0);
    deliver(group, NULL, 2, 0);
    ck_assert_int_eq(stream_group_oldest_pending(group, &pending), 1);
    ck_assert_uint_eq(pending.id.ms, 3);
    ck_assert_ptr_null(pending.consumer);
    ck_assert_uint_eq(pending.delivered_ms, 0);
    ck_assert_uint_eq(stream_group_released_count(group), 2);
    ck_assert_uint_eq(stream_consumer_pending_count(consumer), 1);
    ck_assert_int_eq(stream_group_acknowledge(group, (struct stream_id){ 3, 0 }), 1);
    ck_assert_int_eq(stream_group_oldest_pending(group, &pending), 1);
    ck_assert_uint_eq(pending.id.ms, 2);
    deliver(group, consumer, 2, 800);
    ck_assert_uint_eq(stream_group_released_count(group), 0);
    ck_assert_int_eq(stream_group_oldest_pending(group, &pending), 1);
    ck_assert_uint_eq(pending.id.ms, 1);
    close_groups();
}
END_TEST

START_TEST(names_are_in_order_and_numbers_are_used_again)
{
    struct stream_consumer *b;

    open_groups();
    add_group("b");
    group = add_group("");
    add_group("ab");
    ck_assert_ptr_eq(stream_groups_at(groups, 0), group);
    ck_assert(slice_is(stream_group_name(stream_groups_at(groups, 1)), "ab"));
    ck_assert(slice_is(stream_group_name(stream_groups_at(groups, 2)), "b"));
    for (int round = 0; round < 100; round++) {
        uint64_t before = stream_groups_memory_bytes(groups);
        b = add_consumer(group, "b");
        add_consumer(group, "a");
        deliver(group, b, 7, 7);
        ck_assert_int_eq(stream_consumer_drop(group, b, 10), 1);
        stream_group_remove_consumer(group, b);
        ck_assert_ptr_null(stream_group_find_consumer(group, SLICE_LITERAL("b")));
        stream_group_remove_consumer(group, stream_group_find_consumer(group, SLICE_LITERAL("a")));
        if (round > 0) ck_assert_uint_eq(stream_groups_memory_bytes(groups), before);
    }
    stream_groups_remove(groups, stream_groups_find(groups, SLICE_LITERAL("ab")));
    ck_assert_uint_eq(stream_groups_count(groups), 2);
    ck_assert_ptr_null(stream_groups_find(groups, SLICE_LITERAL("ab")));
    close_groups();
}
END_TEST

START_TEST(a_consumer_goes_in_steps)
{
    struct stream_consumer *consumer, *other;

    open_groups();
    group = add_group("g");
    consumer = add_consumer(group, "c");
    other = add_consumer(group, "d");
    for (unsigned i = 1; i <= 1000; i++)
        deliver(group, i % 4 == 0 ? other : consumer, i, i);
    ck_assert_int_eq(stream_consumer_drop(group, consumer, 700), 700);
    ck_assert_int_eq(stream_consumer_drop(group, consumer, 700), 50);
    ck_assert_int_eq(stream_consumer_drop(group, consumer, 700), 0);
    stream_groups_check(groups);
    ck_assert_uint_eq(stream_group_pending_count(group), 250);
    close_groups();
}
END_TEST

START_TEST(groups_refer_to_what_is_pending_or_not_yet_delivered)
{
    struct stream_group *other;

    open_groups();
    ck_assert(!stream_groups_refer_to(groups, (struct stream_id){ 5, 0 }));
    group = add_group("g");
    other = add_group("h");
    stream_group_set_last_id(group, (struct stream_id){ 9, 0 });
    stream_group_set_last_id(other, (struct stream_id){ 6, 0 });
    deliver(group, add_consumer(group, "c"), 4, 1);
    deliver(other, add_consumer(other, "c"), 4, 1);
    ck_assert(!stream_groups_refer_to(groups, (struct stream_id){ 5, 0 }));
    ck_assert(stream_groups_refer_to(groups, (struct stream_id){ 4, 0 }));
    ck_assert(stream_groups_refer_to(groups, (struct stream_id){ 6, 1 }));
    ck_assert_int_eq(stream_groups_forget(groups, (struct stream_id){ 4, 0 }), 2);
    ck_assert(!stream_groups_refer_to(groups, (struct stream_id){ 4, 0 }));
    close_groups();
}
END_TEST

START_TEST(a_large_group_is_freed_in_slices)
{
    struct stream_consumer *consumer;
    uint64_t before, slices = 0;

    open_groups();
    before = stream_group_store_memory_bytes(store);
    group = add_group("g");
    consumer = add_consumer(group, "c");
    for (unsigned i = 1; i <= 20000; i++)
        deliver(group, consumer, i, i);
    ck_assert_uint_eq(stream_group_store_memory_bytes(store), before);
    stream_groups_remove(groups, group);
    ck_assert_uint_lt(stream_groups_memory_bytes(groups), 256);
    ck_assert_uint_gt(stream_group_store_memory_bytes(store), 20000 * 60);
    while (stream_group_store_tick(store, 16))
        slices++;
    ck_assert_uint_gt(slices, 20);
    ck_assert_uint_eq(stream_group_store_memory_bytes(store), before);
    close_groups();
}
END_TEST

/* How many slices of so many pieces it takes until all of what is buried is freed. */
static unsigned count_slices(unsigned piece_max)
{
    unsigned slices = 1;

    while (stream_group_store_tick(store, piece_max))
        slices++;
    return slices;
}

START_TEST(many_consumers_are_freed_in_slices)
{
    enum { COUNT = 3000, SLICE = 100 };
    struct stream_group *other, *large;
    uint64_t before, bytes;
    char name[16];

    open_groups();
    before = stream_group_store_memory_bytes(store);
    other = add_group("other");
    large = add_group("large");
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "c%u", i);
        deliver(large, add_consumer(large, name), i, i);
    }
    deliver(other, add_consumer(other, "c"), 1, 1);
    bytes = stream_groups_memory_bytes(groups);
    stream_groups_remove(groups, large);
    stream_groups_check(groups);
    ck_assert_uint_lt(stream_groups_memory_bytes(groups), 1024);
    ck_assert_uint_eq(stream_groups_memory_bytes(groups) + stream_group_store_memory_bytes(store),
                      bytes + before);
    ck_assert_uint_ge(count_slices(SLICE), COUNT / SLICE);
    ck_assert_uint_eq(stream_group_store_memory_bytes(store), before);
    close_groups();
}
END_TEST

START_TEST(many_groups_are_freed_in_slices)
{
    enum { COUNT = 1000, SLICE = 50 };
    uint64_t before, bytes;
    char name[16];

    open_groups();
    before = stream_group_store_memory_bytes(store);
    for (unsigned i = 0; i < COUNT; i++) {
        struct stream_group *added;

        (void)snprintf(name, sizeof(name), "g%u", i);
        added = add_group(name);
        deliver(added, add_consumer(added, "c"), i, i);
    }
    bytes = stream_groups_memory_bytes(groups);
    stream_groups_destroy(groups);
    ck_assert_uint_eq(stream_group_store_memory_bytes(store), bytes + before);
    ck_assert_uint_ge(count_slices(SLICE), COUNT / SLICE);
    ck_assert_uint_eq(stream_group_store_memory_bytes(store), before);
    stream_group_store_destroy(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tcase = test_suite_case(suite, "group", NULL, NULL);

    tcase_add_test(tcase, a_queue_of_deliveries_stays_small);
    tcase_add_test(tcase, one_that_is_made_old_is_found_among_many);
    tcase_add_test(tcase, a_sparse_rest_is_put_together);
    tcase_add_test(tcase, what_was_given_back_first_is_the_oldest);
    tcase_add_test(tcase, names_are_in_order_and_numbers_are_used_again);
    tcase_add_test(tcase, a_consumer_goes_in_steps);
    tcase_add_test(tcase, groups_refer_to_what_is_pending_or_not_yet_delivered);
    tcase_add_test(tcase, a_large_group_is_freed_in_slices);
    tcase_add_test(tcase, many_consumers_are_freed_in_slices);
    tcase_add_test(tcase, many_groups_are_freed_in_slices);
    return test_suite_run(suite);
}
