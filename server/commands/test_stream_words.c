/* Ids as clients write them: what Redis takes, strtoull's tolerance included, and nothing else. */
#include "modules/base/test_suite.h"
#include "server/commands/stream_words.h"

#include <check.h>
#include <string.h>

static void expect_id(const char *text, uint64_t ms, uint64_t seq)
{
    struct stream_id id;
    bool has_seq;

    ck_assert_msg(stream_id_parse(slice_of_string(text), 7, &has_seq, &id), "%s", text);
    ck_assert_uint_eq(id.ms, ms);
    ck_assert_uint_eq(id.seq, seq);
    ck_assert(has_seq);
}

static void expect_none(struct slice text)
{
    struct stream_id id;

    ck_assert(!stream_id_parse(text, 0, NULL, &id));
}

START_TEST(ids_are_two_numbers_or_one)
{
    expect_id("0-0", 0, 0);
    expect_id("1-2", 1, 2);
    expect_id("1526919030474-55", 1526919030474u, 55);
    expect_id("5", 5, 7); /* what is missing */
    expect_id("18446744073709551615-18446744073709551615", UINT64_MAX, UINT64_MAX);
    expect_id("9999999999999999999-0", 9999999999999999999u, 0); /* 19 digits */
}
END_TEST

START_TEST(what_strtoull_takes_is_taken)
{
    expect_id("007-08", 7, 8);
    expect_id(" 7- 8", 7, 8);
    expect_id("+7-+8", 7, 8);
    expect_id("1--01", 1, UINT64_MAX); /* a minus that is not written plainly */
}
END_TEST

START_TEST(what_is_no_id_is_refused)
{
    static const char *const wrong[] = { "",
                                         "-",
                                         "+",
                                         "-1",
                                         "1-",
                                         "1--1",
                                         "a",
                                         "1-a",
                                         "a-1",
                                         "1-1-1",
                                         "1.5",
                                         "1-1 ",
                                         "1-*",
                                         "*",
                                         "18446744073709551616-0",
                                         "0-18446744073709551616" };
    static char much[200];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_none(slice_of_string(wrong[i]));
    memset(much, '0', sizeof(much));
    expect_none(slice_of(much, sizeof(much)));
    expect_none((struct slice){ 0 });
}
END_TEST

START_TEST(a_sequence_may_be_left_to_the_stream)
{
    struct stream_id id;
    bool has_seq = true;

    ck_assert(stream_id_parse(SLICE_LITERAL("5-*"), 0, &has_seq, &id));
    ck_assert(!has_seq);
    ck_assert_uint_eq(id.ms, 5);
    ck_assert_uint_eq(id.seq, 0);
    expect_none(SLICE_LITERAL("5-*"));
}
END_TEST

START_TEST(ids_read_back_as_they_were_written)
{
    static const struct stream_id ids[] = {
        { 0, 0 }, { 0, 1 }, { 1526919030474u, 9 }, { UINT64_MAX, 10 }, { UINT64_MAX, UINT64_MAX }
    };

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char text[STREAM_ID_TEXT_BYTES];
        size_t size = stream_id_format(text, ids[i]);
        struct stream_id id;

        ck_assert_uint_le(size, sizeof(text));
        ck_assert(stream_id_parse(slice_of(text, size), 0, NULL, &id));
        ck_assert_int_eq(stream_id_compare(id, ids[i]), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_words");
    TCase *cases = test_suite_case(suite, "ids", NULL, NULL);

    tcase_add_test(cases, ids_are_two_numbers_or_one);
    tcase_add_test(cases, what_strtoull_takes_is_taken);
    tcase_add_test(cases, what_is_no_id_is_refused);
    tcase_add_test(cases, a_sequence_may_be_left_to_the_stream);
    tcase_add_test(cases, ids_read_back_as_they_were_written);
    return test_suite_run(suite);
}
