/* test_value.h - a value that is only a number, and how many of them there are. */
#ifndef SERVER_KEYSPACE_TEST_VALUE_H
#define SERVER_KEYSPACE_TEST_VALUE_H
#include "server/types/value.h"

#include <check.h>
#include <stdlib.h>

struct test_value {
    struct value value;
    int number;
};

static int values_alive;

static void test_value_destroy(struct value *value)
{
    values_alive--;
    free(value);
}

static const char *test_value_encoding(const struct value *value)
{
    (void)value;
    return "test";
}

static uint64_t test_value_bytes(const struct value *value)
{
    return 100 + (uint64_t)((const struct test_value *)(const void *)value)->number % 7;
}

static const struct value_type test_type = {
    .kind = VALUE_STRING,
    .name = "test",
    .destroy = test_value_destroy,
    .encoding = test_value_encoding,
    .counted_bytes = test_value_bytes,
};

static struct value *value_of(int number)
{
    struct test_value *value = malloc(sizeof(*value));

    ck_assert_ptr_nonnull(value);
    *value = (struct test_value){ { &test_type }, number };
    values_alive++;
    return &value->value;
}

static int *number_in(struct value *value)
{
    return &((struct test_value *)(void *)value)->number;
}
#endif
