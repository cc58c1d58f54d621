#include "modules/base/test_directory.h"
#include "server/types/list.h"

#include "modules/base/os.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

static char directory[64];
static struct io *io;
static struct spill_store *store;
static struct value *list;

static void setup(void)
{
    struct spill_options options = { .directory = directory, .memory_bytes = 4 << 20 };
    test_directory_make(directory, sizeof(directory), "/tmp", "list");
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(
        spill_store_create(os_real(), io, &options, &(struct spill_hooks){ 0 }, &store), 0);
    ck_assert_int_eq(list_create(store, &list), 0);
}

static void teardown(void)
{
    list->type->destroy(list);
    spill_store_destroy(store);
    io_destroy(io);
    ck_assert_int_eq(rmdir(directory), 0);
}

static void push(size_t size, int count)
{
    static const uint8_t bytes[10000];
    struct slice item = slice_of(bytes, size);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(spill_deque_push(list_deque(list), SPILL_TAIL, &item, 1), 0);
}

START_TEST(a_new_list_is_empty_and_costs_little)
{
    ck_assert_int_eq(list->type->kind, VALUE_LIST);
    ck_assert_str_eq(list->type->name, "list");
    ck_assert_uint_eq(spill_deque_count(list_deque(list)), 0);
    ck_assert_uint_le(list->type->counted_bytes(list), 64);
}
END_TEST

START_TEST(a_list_is_a_listpack_while_it_is_small)
{
    ck_assert_str_eq(list->type->encoding(list), "listpack");
    push(100, 80);
    ck_assert_str_eq(list->type->encoding(list), "listpack");
    push(100, 1);
    ck_assert_str_eq(list->type->encoding(list), "quicklist");
}
END_TEST

START_TEST(many_tiny_elements_are_no_listpack)
{
    push(0, 4000);
    ck_assert_str_eq(list->type->encoding(list), "listpack");
    push(0, 1000);
    ck_assert_str_eq(list->type->encoding(list), "quicklist");
}
END_TEST

START_TEST(one_large_element_is_no_listpack)
{
    push(9000, 1);
    ck_assert_str_eq(list->type->encoding(list), "quicklist");
}
END_TEST

START_TEST(the_keyspace_counts_only_the_root)
{
    uint64_t counted = list->type->counted_bytes(list);
    push(1000, 100);
    ck_assert_uint_eq(list->type->counted_bytes(list), counted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list");
    TCase *tcase = test_suite_case(suite, "list", setup, teardown);

    tcase_add_test(tcase, a_new_list_is_empty_and_costs_little);
    tcase_add_test(tcase, a_list_is_a_listpack_while_it_is_small);
    tcase_add_test(tcase, many_tiny_elements_are_no_listpack);
    tcase_add_test(tcase, one_large_element_is_no_listpack);
    tcase_add_test(tcase, the_keyspace_counts_only_the_root);
    return test_suite_run(suite);
}
