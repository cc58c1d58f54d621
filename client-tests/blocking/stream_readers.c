/* Readers that wait for entries of a stream: nobody takes anything away from another, so all that
 * wait are served, however many they are and whatever the entries' size. */
#include "client-tests/blocking/one_waiter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS = 100, LONG_BYTES = 20000 };

static struct wire *readers[READERS];

static void open_readers(const char *line)
{
    for (int i = 0; i < READERS; i++) {
        readers[i] = wire_open(&server);
        wire_command_line(readers[i], line);
    }
    info_wait(control, "blocked_clients", READERS);
}

static void expect_same_of_all(const char *text)
{
    for (int i = 0; i < READERS; i++) {
        expect_text(readers[i], text, "");
        wire_close(readers[i]);
    }
    info_wait(control, "blocked_clients", 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

START_TEST(all_that_wait_get_the_entry)
{
    open_readers("XREAD BLOCK 0 STREAMS s $");
    expect_string(control, "1-1", "XADD s 1-1 a b");
    expect_same_of_all(
        "1) 1) \"s\"\n   2) 1) 1) \"1-1\"\n         2) 1) \"a\"\n            2) \"b\"");
}
END_TEST

START_TEST(all_that_wait_get_all_entries_of_a_transaction)
{
    open_readers("XREAD COUNT 2 BLOCK 0 STREAMS s $");
    expect_ok(control, "MULTI");
    for (int i = 1; i <= 3; i++)
        expect_text(control, "QUEUED", "XADD s 1-%d a %d", i, i);
    expect_text(control, "1) \"1-1\"\n2) \"1-2\"\n3) \"1-3\"", "EXEC");
    expect_same_of_all(
        "1) 1) \"s\"\n   2) 1) 1) \"1-1\"\n         2) 1) \"a\"\n            2) \"1\"\n"
        "      2) 1) \"1-2\"\n         2) 1) \"a\"\n            2) \"2\"");
}
END_TEST

/* Long ones are lent, and read when the stream is no more. */
START_TEST(a_long_entry_is_whole_for_each_though_it_has_gone)
{
    char *value = malloc(LONG_BYTES + 1);
    struct text first = { 0 };

    memset(value, 'v', LONG_BYTES);
    value[LONG_BYTES] = '\0';
    open_readers("XREAD BLOCK 0 STREAMS s $");
    expect_string(control, "1-1", "XADD s 1-1 a %s", value);
    expect_integer(control, 1, "DEL s");
    free(value);
    ck_assert_int_eq(wire_read(readers[0], &first), 1);
    ck_assert_uint_gt(first.size, LONG_BYTES);
    for (int i = 1; i < READERS; i++) {
        struct text reply = { 0 };

        ck_assert_int_eq(wire_read(readers[i], &reply), 1);
        ck_assert_uint_eq(reply.size, first.size);
        ck_assert_mem_eq(reply.bytes, first.bytes, first.size);
        text_finish(&reply);
        wire_close(readers[i]);
    }
    wire_close(readers[0]);
    text_finish(&first);
}
END_TEST

START_TEST(each_gets_what_lies_behind_its_own_id)
{
    struct wire *others[3];
    static const char *const lines[3] = { "XREAD BLOCK 0 STREAMS s 1-1",
                                          "XREAD BLOCK 0 STREAMS s $",
                                          "XREAD BLOCK 0 STREAMS s 3" };

    expect_string(control, "1-1", "XADD s 1-1 a 1");
    for (int i = 0; i < 3; i++) {
        others[i] = wire_open(&server);
        block(others[i], lines[i]);
    }
    expect_string(control, "2-1", "XADD s 2-1 a 2");
    for (int i = 0; i < 2; i++)
        expect_text(others[i],
                    "1) 1) \"s\"\n   2) 1) 1) \"2-1\"\n         2) 1) \"a\"\n            2) \"2\"",
                    "");
    expect_silence(others[2], control);
    expect_string(control, "3-0", "XADD s 3-0 a 3");
    expect_silence(others[2], control);
    expect_string(control, "3-1", "XADD s 3-1 a 4");
    expect_text(others[2],
                "1) 1) \"s\"\n   2) 1) 1) \"3-1\"\n         2) 1) \"a\"\n            2) \"4\"", "");
    for (int i = 0; i < 3; i++)
        wire_close(others[i]);
}
END_TEST

/* ---- what wakes nobody ------------------------------------------------------------------------
 */

/* As in Redis since 7.2. */
START_TEST(an_entry_that_has_gone_when_readers_are_served_wakes_nobody)
{
    block(waiter, "XREAD BLOCK 0 STREAMS s $");
    expect_string(control, "1-1", "XADD s MAXLEN 0 1-1 a b");
    expect_silence(waiter, control);
    expect_ok(control, "MULTI");
    expect_text(control, "QUEUED", "XADD s 1-2 a b");
    expect_text(control, "QUEUED", "XDEL s 1-2");
    expect_text(control, "1) \"1-2\"\n2) (integer) 1", "EXEC");
    expect_silence(waiter, control);
    expect_string(control, "1-3", "XADD s 1-3 a b");
    expect_text(waiter,
                "1) 1) \"s\"\n   2) 1) 1) \"1-3\"\n         2) 1) \"a\"\n            2) \"b\"", "");
}
END_TEST

START_TEST(a_list_wakes_no_reader_and_a_stream_no_popper)
{
    struct wire *popper = wire_open(&server);

    block(waiter, "XREAD BLOCK 0 STREAMS k 0");
    block(popper, "BLPOP k 0");
    expect_integer(control, 1, "RPUSH k x");
    expect_text(popper, "1) \"k\"\n2) \"x\"", "");
    expect_silence(waiter, control);
    block(popper, "BLPOP k 0");
    expect_string(control, "1-1", "XADD k 1-1 a b");
    expect_text(waiter,
                "1) 1) \"k\"\n   2) 1) 1) \"1-1\"\n         2) 1) \"a\"\n            2) \"b\"", "");
    expect_silence(popper, control);
    wire_close(popper);
}
END_TEST

/* ---- the end of a wait ------------------------------------------------------------------------
 */

START_TEST(a_timeout_ends_with_nothing)
{
    expect_text(waiter, "(nil)", "XREAD BLOCK 1 STREAMS s $");
    expect_text(waiter, "(nil)", "XREAD BLOCK 5 STREAMS a b c $ 0 7-7");
    expect_integer(control, 0, "EXISTS s a b c");
    info_wait(control, "blocked_clients", 0);
}
END_TEST

START_TEST(unblock_ends_the_wait)
{
    long long id = ask_integer(waiter, "CLIENT ID");

    block(waiter, "XREAD BLOCK 0 STREAMS s $");
    expect_integer(control, 1, "CLIENT UNBLOCK %lld", id);
    expect_text(waiter, "(nil)", "");
    block(waiter, "XREAD BLOCK 0 STREAMS s $");
    expect_integer(control, 1, "CLIENT UNBLOCK %lld ERROR", id);
    expect_error(waiter, "UNBLOCKED client unblocked via CLIENT UNBLOCK", "");
    expect_string(control, "1-1", "XADD s 1-1 a b");
    expect_silence(waiter, control);
}
END_TEST

START_TEST(who_has_gone_leaves_the_others_in_line)
{
    struct wire *other = wire_open(&server);

    block(other, "XREAD BLOCK 0 STREAMS s $");
    block(waiter, "XREAD BLOCK 0 STREAMS s $");
    wire_reset(other);
    expect_string(control, "1-1", "XADD s 1-1 a b");
    expect_text(waiter,
                "1) 1) \"s\"\n   2) 1) 1) \"1-1\"\n         2) 1) \"a\"\n            2) \"b\"", "");
    info_wait(control, "blocked_clients", 0);
}
END_TEST

/* "+" is the last entry, or the first one to come. */
START_TEST(the_last_entry_is_waited_for_when_there_is_none)
{
    block(waiter, "XREAD BLOCK 0 STREAMS s +");
    expect_string(control, "1-1", "XADD s 1-1 a b");
    expect_text(waiter,
                "1) 1) \"s\"\n   2) 1) 1) \"1-1\"\n         2) 1) \"a\"\n            2) \"b\"", "");
    expect_string(control, "1-2", "XADD s 1-2 a c");
    expect_text(waiter,
                "1) 1) \"s\"\n   2) 1) 1) \"1-2\"\n         2) 1) \"a\"\n            2) \"c\"",
                "XREAD BLOCK 0 STREAMS s +");
    expect_integer(control, 2, "XDEL s 1-1 1-2");
    block(waiter, "XREAD BLOCK 0 STREAMS s +");
    expect_string(control, "1-3", "XADD s 1-3 a d");
    expect_text(waiter,
                "1) 1) \"s\"\n   2) 1) 1) \"1-3\"\n         2) 1) \"a\"\n            2) \"d\"", "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_readers");
    TCase *readers_case = one_waiter_case(suite, "readers");

    tcase_add_test(readers_case, all_that_wait_get_the_entry);
    tcase_add_test(readers_case, all_that_wait_get_all_entries_of_a_transaction);
    tcase_add_test(readers_case, a_long_entry_is_whole_for_each_though_it_has_gone);
    tcase_add_test(readers_case, each_gets_what_lies_behind_its_own_id);
    tcase_add_test(readers_case, an_entry_that_has_gone_when_readers_are_served_wakes_nobody);
    tcase_add_test(readers_case, a_list_wakes_no_reader_and_a_stream_no_popper);
    tcase_add_test(readers_case, a_timeout_ends_with_nothing);
    tcase_add_test(readers_case, unblock_ends_the_wait);
    tcase_add_test(readers_case, who_has_gone_leaves_the_others_in_line);
    tcase_add_test(readers_case, the_last_entry_is_waited_for_when_there_is_none);
    return suite_run(suite);
}
