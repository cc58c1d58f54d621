#include "modules/base/crc32c.h"
#include "modules/base/random.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Bit by bit from the definition: shares nothing with the code under test. */
static uint32_t crc_by_definition(uint32_t seed, const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

START_TEST(the_published_examples_come_out)
{
    uint8_t zeros[32] = { 0 }, ones[32];
    memset(ones, 0xff, sizeof(ones));
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aau);
    ck_assert_uint_eq(crc32c(0, ones, sizeof(ones)), 0x62a8ab43u);
    ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
    ck_assert_uint_eq(crc32c(77, NULL, 0), 77);
}
END_TEST

START_TEST(both_ways_agree_with_the_definition_at_every_size_and_alignment)
{
    enum { SIZE_MAX_TESTED = 7000 };
    uint8_t *bytes = malloc(SIZE_MAX_TESTED + 8);
    struct random random;
    random_init(&random, 1);
    random_fill(&random, bytes, SIZE_MAX_TESTED + 8);
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size += size < 900 ? 1 : 61) {
        const uint8_t *from = bytes + size % 8;
        uint32_t seed = (uint32_t)random_next(&random);
        uint32_t expected = crc_by_definition(seed, from, size);
        ck_assert_uint_eq(crc32c(seed, from, size), expected);
        ck_assert_uint_eq(crc32c_portable(seed, from, size), expected);
    }
    free(bytes);
}
END_TEST

START_TEST(a_checksum_goes_on_over_any_cut)
{
    uint8_t bytes[4000];
    struct random random;
    uint32_t whole;
    random_init(&random, 2);
    random_fill(&random, bytes, sizeof(bytes));
    whole = crc32c(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut += 37) {
        ck_assert_uint_eq(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
    }
}
END_TEST

START_TEST(any_flipped_bit_is_noticed)
{
    uint8_t bytes[256];
    uint32_t whole;
    memset(bytes, 0x5a, sizeof(bytes));
    whole = crc32c(0, bytes, sizeof(bytes));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_ne(crc32c(0, bytes, sizeof(bytes)), whole);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, the_published_examples_come_out);
    tcase_add_test(cases, both_ways_agree_with_the_definition_at_every_size_and_alignment);
    tcase_add_test(cases, a_checksum_goes_on_over_any_cut);
    tcase_add_test(cases, any_flipped_bit_is_noticed);
    return test_suite_run(suite);
}
