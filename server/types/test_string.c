#include "server/types/string.h"

#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/pool/packet.h"
#include "modules/pool/pool.h"

#include <check.h>
#include <stdlib.h>

static struct value *value;

static void teardown(void)
{
    if (value) value->type->destroy(value);
    value = NULL;
}

static void make(const char *text)
{
    teardown();
    ck_assert_int_eq(string_value_create(slice_of_string(text), &value), 0);
}

static void expect(const char *text, const char *encoding)
{
    char digits[STRING_DIGITS_MAX];
    struct slice bytes = string_value_view(value, digits);
    ck_assert_msg(slice_equal(bytes, slice_of_string(text)), "got %.*s", (int)bytes.size,
                  (const char *)bytes.bytes);
    ck_assert_uint_eq(string_value_size(value), strlen(text));
    ck_assert_str_eq(value->type->encoding(value), encoding);
    ck_assert_int_eq(value->type->kind, VALUE_STRING);
    ck_assert_str_eq(value->type->name, "string");
}

START_TEST(a_value_takes_the_smallest_encoding_that_gives_its_bytes_back)
{
    static const struct {
        const char *text, *encoding;
    } cases[] = {
        { "", "embstr" },
        { "0", "int" },
        { "-1", "int" },
        { "9223372036854775807", "int" },
        { "-9223372036854775808", "int" },
        { "9223372036854775808", "embstr" },
        { "-0", "embstr" },
        { "007", "embstr" },
        { "+7", "embstr" },
        { "7 ", "embstr" },
        { "1.0", "embstr" },
        { "hello", "embstr" },
        { "12345678901234567890123456789012345678901234", "embstr" },
        { "123456789012345678901234567890123456789012345", "raw" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make(cases[i].text);
        expect(cases[i].text, cases[i].encoding);
    }
}
END_TEST

START_TEST(text_of_digits_stays_text_when_asked_for)
{
    int64_t number;
    ck_assert_int_eq(string_value_create_text(SLICE_LITERAL("12"), &value), 0);
    expect("12", "embstr");
    ck_assert(!string_value_is_integer(value));
    ck_assert(string_value_number(value, &number));
    ck_assert_int_eq(number, 12);
}
END_TEST

START_TEST(numbers_change_in_place)
{
    int64_t number;
    make("41");
    ck_assert(string_value_is_integer(value));
    string_value_set_integer(value, -42);
    expect("-42", "int");
    ck_assert(string_value_number(value, &number));
    ck_assert_int_eq(number, -42);
    make("4x");
    ck_assert(!string_value_number(value, &number));
}
END_TEST

START_TEST(a_small_value_costs_what_its_allocation_costs)
{
    make("1234567");
    ck_assert_uint_eq(value->type->counted_bytes(value), 16);
    make("ten bytes!");
    ck_assert_uint_eq(value->type->counted_bytes(value), 32);
    ck_assert_uint_eq(value->type->counted_bytes(value), 32);
}
END_TEST

START_TEST(a_raw_value_grows_by_appending)
{
    char model[5000];
    size_t size = 0;
    struct random random;
    random_init(&random, 3);
    ck_assert_int_eq(string_value_create_raw((struct slice){ 0 }, (struct slice){ 0 }, &value), 0);
    ck_assert_uint_eq(string_value_size(value), 0);
    for (int i = 0; i < 100; i++) {
        size_t piece = random_below(&random, 50);
        random_fill(&random, model + size, piece);
        ck_assert_int_eq(string_value_append(value, slice_of(model + size, piece)), 0);
        size += piece;
        ck_assert(slice_equal(string_value_view(value, NULL), slice_of(model, size)));
        ck_assert_uint_ge(value->type->counted_bytes(value), size);
    }
    ck_assert(string_value_is_raw(value));
}
END_TEST

START_TEST(two_parts_make_one_raw_value)
{
    ck_assert_int_eq(string_value_create_raw(SLICE_LITERAL("ab"), SLICE_LITERAL("cd"), &value), 0);
    expect("abcd", "raw");
}
END_TEST

START_TEST(overwriting_behind_the_end_fills_with_zeros)
{
    ck_assert_int_eq(string_value_create_raw(SLICE_LITERAL("hello"), (struct slice){ 0 }, &value),
                     0);
    ck_assert_int_eq(string_value_overwrite(value, 1, SLICE_LITERAL("ipp")), 0);
    expect("hippo", "raw");
    ck_assert_int_eq(string_value_overwrite(value, 7, SLICE_LITERAL("x")), 0);
    ck_assert(slice_equal(string_value_view(value, NULL), slice_of("hippo\0\0x", 8)));
}
END_TEST

START_TEST(what_does_not_fit_into_memory_changes_nothing)
{
    ck_assert_int_eq(string_value_create_raw(SLICE_LITERAL("hello"), (struct slice){ 0 }, &value),
                     0);
    ck_assert_int_lt(string_value_overwrite(value, SIZE_MAX - 1, SLICE_LITERAL("abc")), 0);
    ck_assert_int_lt(string_value_overwrite(value, SIZE_MAX - 10, SLICE_LITERAL("abc")), 0);
    expect("hello", "raw");
}
END_TEST

START_TEST(copies_are_of_the_same_kind_and_apart)
{
    static const char *const texts[] = {
        "5", "short", "a text of more bytes than are embedded in one allocation"
    };
    for (int i = 0; i < 3; i++) {
        struct value *copy;
        char digits[STRING_DIGITS_MAX];
        make(texts[i]);
        ck_assert_int_eq(string_value_copy(value, &copy), 0);
        ck_assert_str_eq(copy->type->encoding(copy), value->type->encoding(value));
        teardown();
        ck_assert(slice_equal(string_value_view(copy, digits), slice_of_string(texts[i])));
        copy->type->destroy(copy);
    }
}
END_TEST

/* ---- lending ---- */

enum { LARGE_BYTES = STRING_LENT_BYTES_MIN };
static char large[LARGE_BYTES];
static struct pool *pool;

/* A large value of letters, lent once more than to itself. */
static struct packet *lend_large(void)
{
    struct packet *packet;
    memset(large, 'a', sizeof(large));
    ck_assert_int_eq(pool_create(POOL_BUFFER_BYTES, &pool), 0);
    ck_assert_int_eq(string_value_create(slice_of(large, sizeof(large)), &value), 0);
    packet = string_value_lend(value, pool);
    ck_assert_ptr_nonnull(packet);
    return packet_ref(packet);
}

static void expect_large(struct packet *packet)
{
    ck_assert(slice_equal(packet->payload, slice_of(large, sizeof(large))));
}

static size_t left_bytes(void)
{
    struct pool_info info;
    pool_info(pool, &info);
    return info.overflow_bytes;
}

START_TEST(a_lent_value_stays_what_it_was_to_everybody)
{
    struct packet *packet = lend_large();
    ck_assert_str_eq(value->type->encoding(value), "raw");
    ck_assert(string_value_is_raw(value));
    ck_assert_uint_ge(value->type->counted_bytes(value), LARGE_BYTES);
    ck_assert_ptr_eq(string_value_lend(value, pool), packet);
    expect_large(packet);
    ck_assert_ptr_eq(string_value_view(value, NULL).bytes, packet->payload.bytes);
    packet_unref(packet);
    ck_assert_uint_eq(left_bytes(), 0); /* the value has them */
    teardown();
    pool_destroy(pool);
}
END_TEST

START_TEST(a_change_leaves_the_lent_bytes_to_who_has_them)
{
    struct packet *packet = lend_large();
    ck_assert_int_eq(string_value_overwrite(value, 0, SLICE_LITERAL("b")), 0);
    expect_large(packet);
    ck_assert_uint_ge(left_bytes(), LARGE_BYTES);
    ck_assert_uint_eq(string_value_view(value, NULL).bytes[0], 'b');
    ck_assert_uint_eq(string_value_view(value, NULL).bytes[1], 'a');
    ck_assert_uint_eq(string_value_size(value), LARGE_BYTES);
    packet_unref(packet);
    ck_assert_uint_eq(left_bytes(), 0);
    teardown();
    pool_destroy(pool);
}
END_TEST

START_TEST(a_value_that_goes_leaves_its_bytes_to_who_has_them)
{
    struct packet *packet = lend_large();
    teardown();
    expect_large(packet);
    ck_assert_uint_ge(left_bytes(), LARGE_BYTES);
    packet_unref(packet);
    pool_destroy(pool); /* asserts that nothing is left */
}
END_TEST

START_TEST(bytes_that_came_back_are_changed_where_they_lie)
{
    struct packet *packet = lend_large();
    const uint8_t *bytes = packet->payload.bytes;
    packet_unref(packet);
    ck_assert_int_eq(string_value_overwrite(value, 0, SLICE_LITERAL("b")), 0);
    ck_assert_ptr_eq(string_value_view(value, NULL).bytes, bytes);
    ck_assert_ptr_nonnull(string_value_lend(value, pool)); /* and can be lent again */
    teardown();
    pool_destroy(pool);
}
END_TEST

/* Of lend_large: in pieces of at most so much. */
static unsigned copy_in_pieces(struct string_copy *copy, size_t step_max)
{
    unsigned steps = 0;
    bool has_more;
    do {
        size_t before = copy->size;
        has_more = string_copy_step(copy, value, step_max);
        ck_assert_uint_le(copy->size - before, step_max);
        steps++;
    } while (has_more);
    return steps;
}

START_TEST(lent_bytes_are_copied_in_pieces_before_a_change)
{
    struct packet *packet = lend_large();
    struct string_copy copy;
    const uint8_t *bytes;
    ck_assert_uint_eq(string_value_shared_bytes(value), LARGE_BYTES);
    ck_assert_int_eq(string_copy_begin(value, LARGE_BYTES + 10, &copy), 0);
    ck_assert_uint_ge(copy_in_pieces(&copy, 1000), LARGE_BYTES / 1000);
    expect_large(packet);
    ck_assert_uint_eq(left_bytes(), 0);
    bytes = copy.bytes;
    string_copy_give(&copy, value);
    ck_assert_uint_ge(left_bytes(), LARGE_BYTES);
    ck_assert_uint_eq(string_value_shared_bytes(value), 0);
    ck_assert(slice_equal(string_value_view(value, NULL), slice_of(large, sizeof(large))));
    ck_assert_int_eq(string_value_append(value, SLICE_LITERAL("0123456789")), 0);
    ck_assert_ptr_eq(string_value_view(value, NULL).bytes, bytes); /* there was room for it */
    expect_large(packet);
    packet_unref(packet);
    teardown();
    pool_destroy(pool);
}
END_TEST

START_TEST(bytes_that_come_back_while_they_are_copied_are_kept)
{
    struct packet *packet = lend_large();
    const uint8_t *bytes = packet->payload.bytes;
    struct string_copy copy;
    ck_assert_int_eq(string_copy_begin(value, LARGE_BYTES, &copy), 0);
    ck_assert(string_copy_step(&copy, value, 1000));
    packet_unref(packet);
    ck_assert_uint_eq(string_value_shared_bytes(value), 0);
    ck_assert(!string_copy_step(&copy, value, 1000));
    string_copy_give(&copy, value);
    ck_assert_ptr_null(copy.bytes);
    ck_assert_ptr_eq(string_value_view(value, NULL).bytes, bytes);
    ck_assert_int_eq(string_value_overwrite(value, 0, SLICE_LITERAL("b")), 0);
    ck_assert_ptr_eq(string_value_view(value, NULL).bytes, bytes);
    ck_assert_uint_eq(left_bytes(), 0);
    teardown();
    pool_destroy(pool);
}
END_TEST

START_TEST(a_copy_that_is_dropped_has_changed_nothing)
{
    struct packet *packet = lend_large();
    struct string_copy copy;
    ck_assert_int_eq(string_copy_begin(value, LARGE_BYTES, &copy), 0);
    ck_assert(string_copy_step(&copy, value, 1000));
    string_copy_drop(&copy);
    ck_assert_uint_eq(string_value_shared_bytes(value), LARGE_BYTES);
    expect_large(packet);
    packet_unref(packet);
    teardown();
    pool_destroy(pool);
}
END_TEST

START_TEST(small_values_and_numbers_are_not_lent)
{
    static const char *const texts[] = {
        "5", "short", "a text of more bytes than are embedded in one allocation"
    };
    for (int i = 0; i < 3; i++) {
        make(texts[i]);
        ck_assert_ptr_null(string_value_lend(value, NULL));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("string");
    TCase *tcase = test_suite_case(suite, "string", NULL, teardown);

    tcase_add_test(tcase, a_value_takes_the_smallest_encoding_that_gives_its_bytes_back);
    tcase_add_test(tcase, text_of_digits_stays_text_when_asked_for);
    tcase_add_test(tcase, numbers_change_in_place);
    tcase_add_test(tcase, a_small_value_costs_what_its_allocation_costs);
    tcase_add_test(tcase, a_raw_value_grows_by_appending);
    tcase_add_test(tcase, two_parts_make_one_raw_value);
    tcase_add_test(tcase, overwriting_behind_the_end_fills_with_zeros);
    tcase_add_test(tcase, what_does_not_fit_into_memory_changes_nothing);
    tcase_add_test(tcase, copies_are_of_the_same_kind_and_apart);
    tcase_add_test(tcase, a_lent_value_stays_what_it_was_to_everybody);
    tcase_add_test(tcase, a_change_leaves_the_lent_bytes_to_who_has_them);
    tcase_add_test(tcase, a_value_that_goes_leaves_its_bytes_to_who_has_them);
    tcase_add_test(tcase, bytes_that_came_back_are_changed_where_they_lie);
    tcase_add_test(tcase, lent_bytes_are_copied_in_pieces_before_a_change);
    tcase_add_test(tcase, bytes_that_come_back_while_they_are_copied_are_kept);
    tcase_add_test(tcase, a_copy_that_is_dropped_has_changed_nothing);
    tcase_add_test(tcase, small_values_and_numbers_are_not_lent);
    return test_suite_run(suite);
}
