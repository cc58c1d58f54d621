#include "modules/base/test_suite.h"
#include "modules/spill/chunk.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

enum { RUN_BYTES_MAX = 1 << 18 };

/* Sizes around each change of the length's form. */
static const size_t sizes[] = { 0, 1, 2, 10, 126, 127, 128, 129, 1000, 16383, 16384, 16385 };
enum { SIZE_COUNT = sizeof(sizes) / sizeof(sizes[0]) };

static uint8_t run[RUN_BYTES_MAX];
static uint8_t content[1 << 15];
static uint32_t run_bytes;
static uint64_t run_count, run_sum;

static void append(size_t size)
{
    chunk_encode(run + run_bytes, slice_of(content, size));
    run_bytes += chunk_encoded_bytes(size);
    run_count++;
    run_sum += size;
}

static void fill(void)
{
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 7 + 128);
    run_bytes = 0;
    run_count = run_sum = 0;
    for (unsigned i = 0; i < SIZE_COUNT; i++)
        append(sizes[i]);
}

START_TEST(an_element_of_10_bytes_takes_12)
{
    ck_assert_uint_eq(chunk_encoded_bytes(10), 12);
    ck_assert_uint_eq(chunk_encoded_bytes(127), 129);
    ck_assert_uint_eq(chunk_encoded_bytes(128), 132);
    ck_assert_uint_eq(chunk_encoded_bytes(CHUNK_ELEMENT_BYTES_MAX), CHUNK_ELEMENT_BYTES_MAX + 10u);
}
END_TEST

START_TEST(a_run_is_walked_from_both_ends)
{
    struct slice item;
    uint32_t offset = 0;

    fill();
    for (unsigned i = 0; i < SIZE_COUNT; i++) {
        offset += chunk_first(run + offset, &item);
        ck_assert(slice_equal(item, slice_of(content, sizes[i])));
    }
    ck_assert_uint_eq(offset, run_bytes);
    for (unsigned i = SIZE_COUNT; i-- > 0;) {
        offset -= chunk_last(run + offset, &item);
        ck_assert(slice_equal(item, slice_of(content, sizes[i])));
    }
    ck_assert_uint_eq(offset, 0);
}
END_TEST

START_TEST(an_index_is_found_from_either_side)
{
    uint32_t offset = 0;

    fill();
    for (unsigned i = 0; i <= SIZE_COUNT; i++) {
        ck_assert_uint_eq(chunk_offset(run, run_bytes, run_count, i), offset);
        if (i < SIZE_COUNT) offset += chunk_encoded_bytes(sizes[i]);
    }
}
END_TEST

START_TEST(measuring_and_validating_agree)
{
    uint64_t count, sum, validated = 0;

    fill();
    chunk_measure(run, run_bytes, &count, &sum);
    ck_assert_uint_eq(count, run_count);
    ck_assert_uint_eq(sum, run_sum);
    ck_assert_int_eq(chunk_validate(run, run_bytes, run_count, &validated), 0);
    ck_assert_uint_eq(validated, run_sum);
}
END_TEST

/* Whether one of the lengths around an element, or their forms, may be there. */
static bool is_near_border(uint32_t offset)
{
    enum { NEAR_BYTES = 16 };
    uint32_t border = 0;

    for (unsigned i = 0; i <= SIZE_COUNT; i++) {
        if (offset + NEAR_BYTES > border && offset < border + NEAR_BYTES) return true;
        if (i < SIZE_COUNT) border += chunk_encoded_bytes(sizes[i]);
    }
    return false;
}

/* At each near an element's border, and at some of those within one, which are all alike. */
START_TEST(a_run_that_was_cut_is_refused_at_every_length)
{
    uint64_t sum;

    fill();
    for (uint32_t size = 0; size < run_bytes; size += is_near_border(size) ? 1 : 7) {
        /* A copy of just that size: the sanitizer sees a read behind it. */
        uint8_t *cut = malloc(size + !size);
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, run, size);
        ck_assert_int_eq(chunk_validate(cut, size, run_count, &sum), -EBADMSG);
        free(cut);
    }
}
END_TEST

START_TEST(a_wrong_count_is_refused)
{
    uint64_t sum;

    fill();
    ck_assert_int_eq(chunk_validate(run, run_bytes, run_count + 1, &sum), -EBADMSG);
    ck_assert_int_eq(chunk_validate(run, run_bytes, run_count - 1, &sum), -EBADMSG);
}
END_TEST

START_TEST(a_flipped_bit_in_a_length_is_refused_or_reads_within_the_run)
{
    uint64_t sum;
    uint8_t *copy;

    run_bytes = 0;
    run_count = run_sum = 0;
    for (unsigned i = 0; i < 20; i++)
        append(i * 17);
    copy = malloc(run_bytes);
    ck_assert_ptr_nonnull(copy);
    for (uint32_t at = 0; at < run_bytes; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, run, run_bytes);
            copy[at] ^= (uint8_t)(1u << bit);
            int rc = chunk_validate(copy, run_bytes, run_count, &sum);
            /* Bytes of an element may be anything; its lengths may not. */
            if (rc == 0)
                ck_assert_uint_eq(sum, run_sum);
            else
                ck_assert_int_eq(rc, -EBADMSG);
        }
    }
    /* The very first byte is a length: each of its bits matters. */
    for (unsigned bit = 0; bit < 8; bit++) {
        memcpy(copy, run, run_bytes);
        copy[0] ^= (uint8_t)(1u << bit);
        ck_assert_int_eq(chunk_validate(copy, run_bytes, run_count, &sum), -EBADMSG);
    }
    free(copy);
}
END_TEST

START_TEST(a_length_in_a_longer_form_than_needed_is_refused)
{
    static const uint8_t padded[] = { 0x81, 0x00, 'x', 0x00, 0x81 };
    static const uint8_t endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint64_t sum;

    ck_assert_int_eq(chunk_validate(padded, sizeof(padded), 1, &sum), -EBADMSG);
    ck_assert_int_eq(chunk_validate(endless, sizeof(endless), 1, &sum), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill chunk");
    TCase *tcase = test_suite_case(suite, "chunk", NULL, NULL);

    tcase_add_test(tcase, an_element_of_10_bytes_takes_12);
    tcase_add_test(tcase, a_run_is_walked_from_both_ends);
    tcase_add_test(tcase, an_index_is_found_from_either_side);
    tcase_add_test(tcase, measuring_and_validating_agree);
    tcase_add_test(tcase, a_run_that_was_cut_is_refused_at_every_length);
    tcase_add_test(tcase, a_wrong_count_is_refused);
    tcase_add_test(tcase, a_flipped_bit_in_a_length_is_refused_or_reads_within_the_run);
    tcase_add_test(tcase, a_length_in_a_longer_form_than_needed_is_refused);
    return test_suite_run(suite);
}
