#include "modules/base/test_suite.h"
#include "server/config/parse.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>

/* The words of line, each in brackets. */
static void expect_words(const char *line, const char *expected)
{
    struct parse_words words = { 0 };
    char text[256] = "";
    size_t used = 0;

    ck_assert_int_eq(parse_line(slice_of_string(line), &words), 0);
    for (size_t i = 0; i < words.count; i++) {
        ck_assert_uint_eq(words.words[i].bytes[words.words[i].size], 0);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "[%.*s]",
                                 (int)words.words[i].size, (const char *)words.words[i].bytes);
    }
    parse_words_finish(&words);
    ck_assert_str_eq(text, expected);
}

static void expect_unbalanced(const char *line)
{
    struct parse_words words = { 0 };

    ck_assert_int_eq(parse_line(slice_of_string(line), &words), -EINVAL);
    ck_assert_ptr_null(words.words);
}

START_TEST(words_are_what_white_space_parts)
{
    expect_words("", "");
    expect_words(" \t\r ", "");
    expect_words("port 6379", "[port][6379]");
    expect_words("  bind\t127.0.0.1   -::1 ", "[bind][127.0.0.1][-::1]");
    expect_words("a#b #c", "[a#b][#c]");
}
END_TEST

START_TEST(double_quotes_read_escapes)
{
    expect_words("x \"a b\"", "[x][a b]");
    expect_words("\"\" x", "[][x]");
    expect_words("\"\\x41\\x4a\\x4B\"", "[AJK]");
    expect_words("\"a\\nb\\tc\\rd\\\"e\\\\f\"", "[a\nb\tc\rd\"e\\f]");
    expect_words("\"\\xZZ\\x4\"", "[xZZx4]");
    expect_words("pre\"fix ed\"", "[prefix ed]");
    expect_words("\\n", "[\\n]");
}
END_TEST

START_TEST(single_quotes_read_only_the_quote_itself)
{
    expect_words("'a \"b\" \\n \\'c'", "[a \"b\" \\n 'c]");
    expect_words("'' ''", "[][]");
}
END_TEST

START_TEST(a_quote_that_is_open_or_glued_is_refused)
{
    expect_unbalanced("\"abc");
    expect_unbalanced("'abc");
    expect_unbalanced("\"abc\"d");
    expect_unbalanced("'abc'd");
    expect_unbalanced("\"abc\\\"");
    expect_unbalanced("a b\"");
    expect_unbalanced("\"abc\\");
}
END_TEST

START_TEST(every_byte_comes_back_from_quotes)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            const uint8_t bytes[] = { (uint8_t)a, (uint8_t)b };
            struct parse_words words = { 0 };
            char *text = NULL;
            size_t size = 0;
            FILE *out = open_memstream(&text, &size);

            ck_assert_ptr_nonnull(out);
            parse_write_quoted(slice_of(bytes, 2), out);
            ck_assert_int_eq(fclose(out), 0);
            ck_assert_int_eq(parse_line(slice_of(text, size), &words), 0);
            ck_assert_uint_eq(words.count, 1);
            ck_assert(slice_equal(words.words[0], slice_of(bytes, 2)));
            parse_words_finish(&words);
            free(text);
        }
    }
}
END_TEST

START_TEST(a_word_that_needs_no_quotes_comes_back_without)
{
    for (unsigned a = 0; a < 256; a++) {
        const uint8_t bytes[] = { (uint8_t)a, 'x' };
        struct parse_words words = { 0 };
        int rc;

        if (parse_needs_quotes(slice_of(bytes, 2))) continue;
        rc = parse_line(slice_of(bytes, 2), &words);
        ck_assert_int_eq(rc, 0);
        ck_assert_uint_eq(words.count, 1);
        ck_assert(slice_equal(words.words[0], slice_of(bytes, 2)));
        parse_words_finish(&words);
    }
    ck_assert(parse_needs_quotes(SLICE_LITERAL("")));
    ck_assert(!parse_needs_quotes(SLICE_LITERAL("-::1")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config parse");
    TCase *tests = test_suite_case(suite, "parse", NULL, NULL);

    tcase_add_test(tests, words_are_what_white_space_parts);
    tcase_add_test(tests, double_quotes_read_escapes);
    tcase_add_test(tests, single_quotes_read_only_the_quote_itself);
    tcase_add_test(tests, a_quote_that_is_open_or_glued_is_refused);
    tcase_add_test(tests, every_byte_comes_back_from_quotes);
    tcase_add_test(tests, a_word_that_needs_no_quotes_comes_back_without);
    return test_suite_run(suite);
}
