#include "modules/base/test_suite.h"
#include "modules/base/words.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 16 };

/* The words of line, each in brackets, or an error's number. Room is as much as the header asks
 * for, so that the sanitizer sees what goes beyond. */
static void expect_words(struct slice line, const char *expected)
{
    struct slice words[WORDS_MAX];
    uint8_t *scratch = malloc(line.size + 1);
    char text[256] = "";
    size_t used = 0;
    int count;

    ck_assert_ptr_nonnull(scratch);
    count = words_split(line, scratch, words, WORDS_MAX);
    if (count < 0) (void)snprintf(text, sizeof(text), "%d", count);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(words[i].bytes[words[i].size], 0);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "[%.*s]", (int)words[i].size,
                                 (const char *)words[i].bytes);
    }
    ck_assert_str_eq(text, expected);
    free(scratch);
}

static const struct example {
    const char *line, *words; /* words NULL: refused */
} examples[] = {
    { "", "" },
    { " \t\r\n\v\f ", "" },
    { "a", "[a]" },
    { "a b", "[a][b]" },
    { "  SET\tk   v\r", "[SET][k][v]" },
    { "a\vb \vc", "[a\vb][c]" }, /* parts words only in front of one, as in Redis */
    { "\"\" ''", "[][]" },
    { "\"a b\" 'c d'", "[a b][c d]" },
    { "pre\"fix ed\"", "[prefix ed]" },
    { "\"\\x41\\x4a\\x4B\\xZZ\\x4\"", "[AJKxZZx4]" },
    { "\"\\n\\r\\t\\a\\b\\q\\\"\\\\\"", "[\n\r\t\a\bq\"\\]" },
    { "'\\n\\'\"'", "[\\n'\"]" },
    { "\\n", "[\\n]" },
    { "\"a\"\t'b'", "[a][b]" },
    { "\"abc", NULL },
    { "'abc", NULL },
    { "\"abc\\\"", NULL },
    { "'abc\\'", NULL },
    { "\"abc\\", NULL },
    { "\"abc\"d", NULL },
    { "'abc''d'", NULL },
    { "a b\"", NULL },
};

START_TEST(words_are_read_as_redis_reads_them)
{
    const struct example *example = &examples[_i];
    char error[16];

    (void)snprintf(error, sizeof(error), "%d", -EINVAL);
    expect_words(slice_of_string(example->line), example->words ? example->words : error);
}
END_TEST

START_TEST(a_zero_byte_is_a_byte_like_others)
{
    struct slice words[1];
    uint8_t scratch[4];

    ck_assert_int_eq(words_split(slice_of("a\0b", 3), scratch, words, 1), 1);
    ck_assert(slice_equal(words[0], slice_of("a\0b", 3)));
}
END_TEST

START_TEST(a_line_with_more_words_than_room_says_so)
{
    struct slice words[2];
    uint8_t scratch[16];

    ck_assert_int_eq(words_split(SLICE_LITERAL("a b"), scratch, words, 2), 2);
    ck_assert_int_eq(words_split(SLICE_LITERAL("a b c"), scratch, words, 2), -E2BIG);
    ck_assert_int_eq(words_split(SLICE_LITERAL("a 'b"), scratch, words, 2), -EINVAL);
    ck_assert_int_eq(words_split(SLICE_LITERAL(""), scratch, words, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("words");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_loop_test(cases, words_are_read_as_redis_reads_them, 0,
                        sizeof(examples) / sizeof(examples[0]));
    tcase_add_test(cases, a_zero_byte_is_a_byte_like_others);
    tcase_add_test(cases, a_line_with_more_words_than_room_says_so);
    return test_suite_run(suite);
}
