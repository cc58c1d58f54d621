#include "modules/base/glob.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdlib.h>

struct example {
    const char *pattern, *text;
    bool is_match;
};

/* An exact allocation, so that reading past its end is caught by the sanitizer. */
static struct slice copy_of(const char *text)
{
    struct slice from = slice_of_string(text);
    uint8_t *bytes = malloc(from.size > 0 ? from.size : 1);
    memcpy(bytes, from.bytes, from.size);
    return slice_of(bytes, from.size);
}

static bool matches(const char *pattern, const char *text, enum glob_case letter_case)
{
    struct slice pattern_copy = copy_of(pattern), text_copy = copy_of(text);
    bool result = glob_match(pattern_copy, text_copy, letter_case);
    free((void *)(uintptr_t)pattern_copy.bytes);
    free((void *)(uintptr_t)text_copy.bytes);
    return result;
}

/* All checked against a Redis 7.0.15, by KEYS and PSUBSCRIBE. */
static const struct example examples[] = {
    { "abc", "abc", true },
    { "abc", "abd", false },
    { "abc", "ab", false },
    { "abc", "abcd", false },
    { "", "", true },
    { "", "a", false },
    { "*", "", false },
    { "**", "", false },
    { "*", "a", true },
    { "***", "abc", true },
    { "a*", "a", true },
    { "a***", "a", true },
    { "*a", "a", true },
    { "*a", "ba", true },
    { "*a", "ab", false },
    { "a*b*c", "aXbYc", true },
    { "a*b*c", "abc", true },
    { "a*b*c", "acb", false },
    { "*ab*ab", "abab", true },
    { "*ab*ab", "aab", false },
    { "?", "", false },
    { "?", "a", true },
    { "??", "a", false },
    { "*?", "a", true },
    { "?*?", "a", false },
    { "[abc]", "b", true },
    { "[abc]", "d", false },
    { "[^abc]", "b", false },
    { "[^abc]", "d", true },
    { "[a-c]x", "bx", true },
    { "[c-a]x", "bx", true },
    { "[a-c]", "d", false },
    { "[abc", "b", true },
    { "[abc", "d", false },
    { "[", "[", false },
    { "[", "a", false },
    { "[^", "a", true },
    { "[]", "a", false },
    { "[]", "]", false },
    { "[^]", "a", true },
    { "[]a]", "a", false },
    { "[a-", "-", true },
    { "[a-", "a", true },
    { "[a-]", "b", false },
    { "[a-]", "^", true },
    { "[\\]]", "]", true },
    { "[\\", "\\", true },
    { "[a\\-c]", "-", true },
    { "[a\\-c]", "b", false },
    { "[*]", "*", true },
    { "[*]", "a", false },
    { "\\*", "*", true },
    { "\\*", "a", false },
    { "\\", "\\", true },
    { "a\\", "a\\", true },
    { "\\a", "a", true },
    { "\\\\", "\\", true },
    { "*[ab]c", "xxbc", true },
    { "*[ab", "xxb", true },
    { "*\\?", "a?", true },
    { "*\\?", "ab", false },
    { "[!a]", "!", true },
    { "[!a]", "b", false },
    { "h[ae]llo", "hello", true },
    { "h[ae]llo", "hillo", false },
    { "h*llo", "heeeello", true },
};

START_TEST(examples_match_as_in_redis)
{
    const struct example *example = &examples[_i];
    ck_assert_msg(matches(example->pattern, example->text, GLOB_MATCH_CASE) == example->is_match,
                  "%s on %s should be %d", example->pattern, example->text, example->is_match);
}
END_TEST

START_TEST(case_is_ignored_only_when_asked)
{
    ck_assert(!matches("HeL*", "hello", GLOB_MATCH_CASE));
    ck_assert(matches("HeL*", "hello", GLOB_IGNORE_CASE));
    ck_assert(matches("[A-C]", "b", GLOB_IGNORE_CASE));
    ck_assert(matches("[xYz]", "y", GLOB_IGNORE_CASE));
    ck_assert(!matches("[\\Y]", "y", GLOB_IGNORE_CASE)); /* Redis compares escaped ones exactly */
    ck_assert(matches("\\H", "h", GLOB_IGNORE_CASE));
}
END_TEST

START_TEST(bytes_above_127_and_zeros_are_bytes_like_others)
{
    ck_assert(glob_match(SLICE_LITERAL("a\0*"), SLICE_LITERAL("a\0b\0c"), GLOB_MATCH_CASE));
    ck_assert(!glob_match(SLICE_LITERAL("a\0*"), SLICE_LITERAL("ab"), GLOB_MATCH_CASE));
    ck_assert(glob_match(SLICE_LITERAL("[\0]"), SLICE_LITERAL("\0"), GLOB_MATCH_CASE));
    ck_assert(matches("[\x80-\x90]", "\x85", GLOB_MATCH_CASE));
    ck_assert(matches("[\x01-\xff]", "\x01", GLOB_MATCH_CASE)); /* signed: -1 to 1 */
    ck_assert(!matches("[\x01-\xff]", "a", GLOB_MATCH_CASE));
}
END_TEST

START_TEST(many_stars_cost_no_more_than_one)
{
    enum { SIZE = 20000 };
    uint8_t *text = malloc(SIZE), *pattern = malloc(SIZE);
    uint64_t steps = GLOB_STEPS_MAX;
    memset(text, 'a', SIZE);
    for (size_t i = 0; i < SIZE; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[SIZE - 1] = 'b';
    ck_assert(!glob_match_budgeted(slice_of(pattern, SIZE), slice_of(text, SIZE), GLOB_MATCH_CASE,
                                   &steps));
    ck_assert_uint_gt(steps, GLOB_STEPS_MAX / 2);
    free(text);
    free(pattern);
}
END_TEST

START_TEST(a_pattern_that_would_take_forever_is_given_up)
{
    enum { SIZE = 20000 };
    uint8_t *text = malloc(SIZE), *pattern = malloc(SIZE);
    uint64_t steps = GLOB_STEPS_MAX;
    memset(text, 'a', SIZE);
    memset(pattern, 'a', SIZE);
    pattern[0] = '*';
    pattern[SIZE / 2 - 1] = 'b';
    ck_assert(!glob_match_budgeted(slice_of(pattern, SIZE / 2), slice_of(text, SIZE),
                                   GLOB_MATCH_CASE, &steps));
    ck_assert_uint_eq(steps, 0);
    free(text);
    free(pattern);
}
END_TEST

START_TEST(long_classes_count_as_long)
{
    enum { SIZE = 100000 };
    uint8_t *pattern = malloc(SIZE), *text = malloc(SIZE);
    uint64_t steps = GLOB_STEPS_MAX;
    memset(pattern, 'x', SIZE);
    memset(text, 'a', SIZE);
    pattern[0] = '*';
    pattern[1] = '[';
    ck_assert(!glob_match_budgeted(slice_of(pattern, SIZE), slice_of(text, SIZE), GLOB_MATCH_CASE,
                                   &steps));
    ck_assert_uint_eq(steps, 0);
    free(pattern);
    free(text);
}
END_TEST

START_TEST(a_budget_is_shared_by_several_matches)
{
    uint64_t steps = 7;
    ck_assert(
        glob_match_budgeted(SLICE_LITERAL("abc"), SLICE_LITERAL("abc"), GLOB_MATCH_CASE, &steps));
    ck_assert_uint_eq(steps, 4);
    ck_assert(
        glob_match_budgeted(SLICE_LITERAL("abc"), SLICE_LITERAL("abc"), GLOB_MATCH_CASE, &steps));
    ck_assert(
        !glob_match_budgeted(SLICE_LITERAL("abc"), SLICE_LITERAL("abc"), GLOB_MATCH_CASE, &steps));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("glob");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_loop_test(cases, examples_match_as_in_redis, 0,
                        sizeof(examples) / sizeof(examples[0]));
    tcase_add_test(cases, case_is_ignored_only_when_asked);
    tcase_add_test(cases, bytes_above_127_and_zeros_are_bytes_like_others);
    tcase_add_test(cases, many_stars_cost_no_more_than_one);
    tcase_add_test(cases, a_pattern_that_would_take_forever_is_given_up);
    tcase_add_test(cases, long_classes_count_as_long);
    tcase_add_test(cases, a_budget_is_shared_by_several_matches);
    return test_suite_run(suite);
}
