/* Replies are counted the same however they are cut. */
#include "modules/base/test_suite.h"
#include "server/transfer/replies.h"

#include <check.h>
#include <errno.h>

static struct replies replies;

static int take(const char *text, size_t piece)
{
    size_t size = strlen(text);
    int rc = 0;

    memset(&replies, 0, sizeof(replies));
    for (size_t at = 0; at < size && rc == 0; at += piece)
        rc = replies_take(&replies, slice_of(text + at, size - at < piece ? size - at : piece));
    return rc;
}

START_TEST(each_reply_counts_once)
{
    static const char text[] =
        "+OK\r\n:17\r\n$5\r\nhello\r\n$-1\r\n*0\r\n*-1\r\n$0\r\n\r\n"
        "*3\r\n:1\r\n$-1\r\n*2\r\n+a\r\n-ERR inside\r\n-WRONGTYPE x\r\n:-3\r\n";

    for (size_t piece = 1; piece <= strlen(text); piece++) {
        ck_assert_int_eq(take(text, piece), 0);
        ck_assert_uint_eq(replies.count, 10);
        ck_assert_uint_eq(replies.error_count, 2);
        ck_assert_uint_eq(replies.nil_count, 1);
        ck_assert_int_eq(replies.last_integer, -3);
        ck_assert_str_eq(replies.first_error, "ERR inside");
        ck_assert_str_eq(replies.refusal, "");
    }
}
END_TEST

START_TEST(an_open_array_is_no_reply_yet)
{
    ck_assert_int_eq(take("*2\r\n:1\r\n", 3), 0);
    ck_assert_uint_eq(replies.count, 0);
    ck_assert_int_eq(replies_take(&replies, SLICE_LITERAL("$3\r\nab")), 0);
    ck_assert_uint_eq(replies.count, 0);
    ck_assert_int_eq(replies_take(&replies, SLICE_LITERAL("c\r\n")), 0);
    ck_assert_uint_eq(replies.count, 1);
}
END_TEST

START_TEST(who_refuses_everything_is_told_apart)
{
    ck_assert_int_eq(take("-ERR x\r\n-OOM command not allowed\r\n-MISCONF disk\r\n", 100), 0);
    ck_assert_str_eq(replies.first_error, "ERR x");
    ck_assert_str_eq(replies.refusal, "OOM command not allowed");
    ck_assert_int_eq(take("-OOMPH\r\n", 100), 0);
    ck_assert_str_eq(replies.refusal, "");
}
END_TEST

START_TEST(a_long_line_is_cut)
{
    static char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[0] = '-';
    memcpy(text + 1990, "\r\n+OK\r\n", 8);
    ck_assert_int_eq(take(text, 7), 0);
    ck_assert_uint_eq(replies.count, 2);
    ck_assert_uint_eq(strlen(replies.first_error), REPLIES_LINE_BYTES - 2);
}
END_TEST

START_TEST(what_is_no_reply_is_refused)
{
    static const char *const texts[] = { "HTTP/1.1 400\r\n",
                                         "\r\n",
                                         ":x\r\n",
                                         "$x\r\n",
                                         "*1x\r\n",
                                         "%1\r\n+a\r\n",
                                         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_int_eq(take(texts[i], 1), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replies");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, each_reply_counts_once);
    tcase_add_test(cases, an_open_array_is_no_reply_yet);
    tcase_add_test(cases, who_refuses_everything_is_told_apart);
    tcase_add_test(cases, a_long_line_is_cut);
    tcase_add_test(cases, what_is_no_reply_is_refused);
    return test_suite_run(suite);
}
