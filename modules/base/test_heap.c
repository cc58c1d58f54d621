#include "modules/base/heap.h"

#include "modules/base/alloc_size.h"
#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdlib.h>

struct item {
    int64_t key;
    uint32_t index;
};

enum { ITEMS = 3000 };

static struct item items[ITEMS];
static struct heap heap;

static void setup(void)
{
    heap_init(&heap, offsetof(struct item, index));
    for (int i = 0; i < ITEMS; i++)
        items[i] = (struct item){ .index = HEAP_NOT_THERE };
}

static void teardown(void)
{
    heap_finish(&heap);
}

static void add(struct item *item, int64_t key)
{
    item->key = key;
    ck_assert_int_eq(heap_add(&heap, item, key), 0);
}

START_TEST(an_empty_heap_has_no_first_item_and_no_memory)
{
    ck_assert_ptr_null(heap_first(&heap));
    ck_assert_uint_eq(heap_memory_bytes(&heap), 0);
}
END_TEST

START_TEST(items_come_out_in_the_order_of_their_keys)
{
    struct random random;
    int64_t last = INT64_MIN;
    random_init(&random, 1);
    for (int i = 0; i < ITEMS; i++)
        add(&items[i], (int64_t)random_next(&random));
    heap_check(&heap);
    for (int i = 0; i < ITEMS; i++) {
        struct item *first = heap_first(&heap);
        ck_assert_int_eq(heap_first_key(&heap), first->key);
        ck_assert_int_ge(first->key, last);
        last = first->key;
        heap_remove(&heap, first);
        ck_assert_uint_eq(first->index, HEAP_NOT_THERE);
    }
    ck_assert_ptr_null(heap_first(&heap));
}
END_TEST

static const struct item *least_of_model(void)
{
    const struct item *least = NULL;
    for (int i = 0; i < ITEMS; i++) {
        if (items[i].index == HEAP_NOT_THERE) continue;
        if (!least || items[i].key < least->key) least = &items[i];
    }
    return least;
}

START_TEST(any_item_can_be_removed_or_changed_at_any_time)
{
    struct random random;
    random_init(&random, (uint64_t)_i + 1000 * soak_seed());
    for (int step = 0; step < 6000; step++) {
        struct item *item = &items[random_below(&random, ITEMS)];
        int64_t key = (int64_t)random_below(&random, 500) - 250;
        if (item->index == HEAP_NOT_THERE) {
            add(item, key);
        } else if (random_below(&random, 3) == 0) {
            item->key = key;
            heap_change(&heap, item, key);
        } else {
            heap_remove(&heap, item);
        }
        if (item->index != HEAP_NOT_THERE) ck_assert_int_eq(heap_key(&heap, item), item->key);
        if (step % 100 != 0) continue;
        heap_check(&heap);
        if (least_of_model())
            ck_assert_int_eq(heap_first_key(&heap), least_of_model()->key);
        else
            ck_assert_ptr_null(heap_first(&heap));
    }
}
END_TEST

START_TEST(memory_goes_back_when_items_go)
{
    size_t full;
    for (int i = 0; i < ITEMS; i++)
        add(&items[i], i);
    full = heap_memory_bytes(&heap);
    for (int i = ITEMS - 1; i > 0; i--)
        heap_remove(&heap, &items[i]);
    ck_assert_uint_lt(heap_memory_bytes(&heap), full / 3);
}
END_TEST

START_TEST(what_was_reserved_is_there)
{
    ck_assert_int_eq(heap_reserve(&heap, ITEMS), 0);
    ck_assert_uint_ge(heap.segment_count * HEAP_SEGMENT_ENTRIES, ITEMS);
    ck_assert_uint_eq(heap.count, 0);
    ck_assert_int_lt(heap_reserve(&heap, UINT32_MAX), 0);
}
END_TEST

START_TEST(sizes_are_rounded_to_the_classes_of_the_allocator)
{
    ck_assert_uint_eq(alloc_size(1), 8);
    ck_assert_uint_eq(alloc_size(9), 16);
    ck_assert_uint_eq(alloc_size(42), 48);
    ck_assert_uint_eq(alloc_size(128), 128);
    ck_assert_uint_eq(alloc_size(129), 160);
    ck_assert_uint_eq(alloc_size(256), 256);
    ck_assert_uint_eq(alloc_size(257), 320);
    ck_assert_uint_eq(alloc_size(4096), 4096);
    ck_assert_uint_eq(alloc_size(4097), 5120);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tcase = test_suite_case(suite, "heap", setup, teardown);

    tcase_add_test(tcase, an_empty_heap_has_no_first_item_and_no_memory);
    tcase_add_test(tcase, items_come_out_in_the_order_of_their_keys);
    tcase_add_loop_test(tcase, any_item_can_be_removed_or_changed_at_any_time, 1, 5);
    tcase_add_test(tcase, memory_goes_back_when_items_go);
    tcase_add_test(tcase, what_was_reserved_is_there);
    tcase_add_test(tcase, sizes_are_rounded_to_the_classes_of_the_allocator);
    return test_suite_run(suite);
}
