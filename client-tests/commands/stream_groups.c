/* Consumer groups as redis-server 7.0 cannot be asked about them: options and commands that are
 * newer, exact lags, restarts. Replies are as Redis documents them. */
#include "client-tests/commands/two_clients.h"
#include "client-tests/lib/observe.h"
#include <string.h>

static const char *const own[] = { "--enable-debug-command", "yes", "--maxmemory", "64mb", NULL };
static const char *const logged[] = { "--appendonly", "yes", NULL };

/* s has entries 1-0 … count-0, and group g has given all of them to c. */
static void deliver(int count)
{
    for (int i = 1; i <= count; i++) {
        wire_command(wire, "XADD s %d-0 f %d", i, i);
        wire_skip(wire, 1);
    }
    expect_ok(wire, "XGROUP CREATE s g 0");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS s >");
    wire_skip(wire, 1);
}

/* ---- removing what groups refer to -----------------------------------------------------------
 */

START_TEST(xdelex_heeds_what_groups_refer_to)
{
    static const char *const lines[] = { "XDELEX s ACKED IDS 3 1-0 2-0 9-0",
                                         "1) (integer) 2\n2) (integer) 2\n3) (integer) -1",
                                         "XACK s g 1-0",
                                         "(integer) 1",
                                         "XDELEX s ACKED IDS 1 1-0",
                                         "1) (integer) 1",
                                         "XDELEX s IDS 1 2-0",
                                         "1) (integer) 1",
                                         "XPENDING s g - + 10 c",
                                         "1) 1) \"2-0\"…",
                                         "XDELEX s DELREF IDS 2 2-0 3-0",
                                         "1) (integer) -1\n2) (integer) 1",
                                         "XPENDING s g",
                                         "1) (integer) 0\n2) (nil)\n3) (nil)\n4) (nil)",
                                         "XDELEX none KEEPREF IDS 2 1-0 2-0",
                                         "1) (integer) -1\n2) (integer) -1",
                                         "XLEN s",
                                         "(integer) 0",
                                         NULL };

    deliver(3);
    expect_lines(wire, lines);
}
END_TEST

START_TEST(xdelex_of_what_is_not_delivered_yet_waits)
{
    static const char *const lines[] = {
        "XADD s 1-0 f v",
        "\"1-0\"",
        "XDELEX s ACKED IDS 1 1-0",
        "1) (integer) 1",
        "XADD s 2-0 f v",
        "\"2-0\"",
        "XGROUP CREATE s g 0",
        "OK",
        "XDELEX s ACKED IDS 1 2-0",
        "1) (integer) 2",
        "XDELEX s IDS 0 2-0",
        "(error) ERR Number of IDs must be a positive integer",
        "XDELEX s IDS 2 2-0",
        "(error) ERR The `numids` parameter must match the number of arguments",
        "XDELEX s IDS 1 x",
        "(error) ERR Invalid stream ID specified as stream command argument",
        "XDELEX s FOO IDS 1 2-0",
        "(error) ERR syntax error",
        "XDELEX s IDS 1 2-0 KEEPREF",
        "1) (integer) 1",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(xackdel_acknowledges_and_deletes)
{
    static const char *const lines[] = { "XGROUP CREATE s other 0",
                                         "OK",
                                         "XACKDEL s g ACKED IDS 2 1-0 9-0",
                                         "1) (integer) 2\n2) (integer) -1",
                                         "XACKDEL s g ACKED IDS 1 1-0",
                                         "1) (integer) -1",
                                         "XACKDEL s g IDS 1 2-0",
                                         "1) (integer) 1",
                                         "XLEN s",
                                         "(integer) 2",
                                         "XREADGROUP GROUP other x STREAMS s >",
                                         "1) 1) \"s\"\n   2) 1) 1) \"1-0\"…",
                                         "XACKDEL s g DELREF IDS 1 3-0",
                                         "1) (integer) 1",
                                         "XPENDING s other - + 10 x",
                                         "1) 1) \"1-0\"…",
                                         "XACKDEL s other ACKED IDS 1 1-0",
                                         "1) (integer) 1",
                                         "XLEN s",
                                         "(integer) 0",
                                         "XACKDEL s none IDS 1 1-0",
                                         "1) (integer) -1",
                                         "XACKDEL none g IDS 1 1-0",
                                         "1) (integer) -1",
                                         NULL };

    deliver(3);
    expect_lines(wire, lines);
}
END_TEST

START_TEST(trims_heed_what_groups_refer_to)
{
    static const char first_and_third[] =
        "1) 1) \"1-0\"\n   2) 1) \"f\"\n      2) \"1\"\n2) 1) \"3-0\"\n   2) 1) \"f\"\n"
        "      2) \"3\"";
    static const char *const lines[] = {
        "XACK s g 2-0 4-0",
        "(integer) 2",
        "XTRIM s MAXLEN 1 ACKED",
        "(integer) 2",
        "XRANGE s - + COUNT 2",
        first_and_third,
        "XADD s ACKED MAXLEN 1 6-0 f v",
        "\"6-0\"",
        "XLEN s",
        "(integer) 4",
        "XTRIM s MINID 3 DELREF",
        "(integer) 1",
        "XPENDING s g",
        "1) (integer) 2\n2) \"3-0\"\n3) \"5-0\"\n4) 1) 1) \"c\"\n      2) \"2\"",
        "XADD s DELREF MAXLEN 2 7-0 f v",
        "\"7-0\"",
        "XPENDING s g",
        "1) (integer) 0\n2) (nil)\n3) (nil)\n4) (nil)",
        "XLEN s",
        "(integer) 2",
        NULL
    };

    deliver(5);
    expect_lines(wire, lines);
}
END_TEST

/* ---- XNACK -----------------------------------------------------------------------------------
 */

START_TEST(what_is_given_back_is_nobodys_and_comes_first)
{
    static const char *const lines[] = {
        "XNACK s g FAIL IDS 1 3-0",
        "(integer) 1",
        "XNACK s g SILENT IDS 2 2-0 9-0",
        "(integer) 1",
        "XPENDING s g 2 2 10",
        "1) 1) \"2-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 0",
        "XPENDING s g 3 3 10",
        "1) 1) \"3-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 1",
        "XPENDING s g",
        "1) (integer) 4\n2) \"1-0\"\n3) \"4-0\"\n4) 1) 1) \"c\"\n      2) \"2\"",
        "XNACK s g FATAL IDS 1 4-0",
        "(integer) 1",
        "XPENDING s g 4 4 10",
        "1) 1) \"4-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 9223372036854775807",
        "XCLAIM s g d 1000000 4-0 JUSTID",
        "1) \"4-0\"",
        "XAUTOCLAIM s g e 1000000 0 JUSTID",
        "1) \"0-0\"\n2) 1) \"2-0\"\n   2) \"3-0\"\n3) (empty array)",
        "XNACK s g FAIL IDS 1 2-0 RETRYCOUNT 7",
        "(integer) 1",
        "XPENDING s g 2 2 10",
        "1) 1) \"2-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 7",
        NULL
    };

    deliver(4);
    expect_lines(wire, lines);
}
END_TEST

START_TEST(xnack_force_makes_pending_what_has_an_entry)
{
    static const char *const lines[] = {
        "XADD s 1-0 f v",
        "\"1-0\"",
        "XGROUP CREATE s g $",
        "OK",
        "XNACK s g FAIL IDS 1 1-0",
        "(integer) 0",
        "XNACK s g FAIL IDS 2 1-0 5-0 FORCE",
        "(integer) 1",
        "XPENDING s g - + 10",
        "1) 1) \"1-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 0",
        "XACK s g 1-0",
        "(integer) 1",
        "XNACK s none FAIL IDS 1 1-0",
        "(error) NOGROUP …",
        "XNACK s g FAIL FORCE RETRYCOUNT 5 IDS 1 1-0",
        "(integer) 1",
        "XNACK s g SILENT RETRYCOUNT 6 IDS 1 1-0 FORCE",
        "(integer) 1",
        "XPENDING s g - + 10",
        "1) 1) \"1-0\"\n   2) \"\"\n   3) (integer) -1\n   4) (integer) 6",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(xnack_says_what_it_does_not_take)
{
    static const char *const lines[] = {
        "XNACK s g BAD IDS 1 1-0",
        "(error) ERR mode must be SILENT, FAIL, or FATAL",
        "XNACK s g FAIL FATAL IDS 1 1-0",
        "(error) ERR Unrecognized XNACK option 'FATAL'",
        "XNACK s g FAIL 1 1-0 x",
        "(error) ERR Unrecognized XNACK option '1'",
        "XNACK s g FAIL IDS 1 1-0 2-0",
        "(error) ERR Unrecognized XNACK option '2-0'",
        "XNACK s g FAIL IDS 1 1-0 RETRYCOUNT",
        "(error) ERR Unrecognized XNACK option 'RETRYCOUNT'",
        "XNACK s g FAIL FORCE RETRYCOUNT 5",
        "(error) ERR syntax error, expected IDS keyword",
        "XNACK s g FAIL IDS x 1-0",
        "(error) ERR numids must be a positive integer",
        "XNACK s g FAIL IDS 0 1-0",
        "(error) ERR numids must be a positive integer",
        "XNACK s g FAIL IDS 2 1-0",
        "(error) ERR number of IDs doesn't match numids",
        "XNACK s g FAIL IDS 1 x",
        "(error) ERR Invalid stream ID specified as stream command argument",
        "XNACK s g FAIL IDS 1 1-0 RETRYCOUNT x",
        "(error) ERR value is not an integer or out of range",
        "XNACK s g FAIL IDS 1 1-0 RETRYCOUNT -1",
        "(error) ERR Invalid RETRYCOUNT value, must be >= 0",
        "XPENDING s g",
        "1) (integer) 2\n2) \"1-0\"\n3) \"2-0\"\n4) 1) 1) \"c\"\n      2) \"2\"",
        NULL
    };

    deliver(2);
    expect_lines(wire, lines);
}
END_TEST

/* ---- XREADGROUP ------------------------------------------------------------------------------
 */

START_TEST(claim_gives_what_was_given_back_then_the_idle_then_what_is_new)
{
    static const char *const lines[] = { "XCLAIM s g c 0 2-0 IDLE 500000 JUSTID",
                                         "1) \"2-0\"",
                                         "XCLAIM s g c 0 1-0 IDLE 400000 JUSTID",
                                         "1) \"1-0\"",
                                         "XNACK s g FAIL IDS 1 3-0",
                                         "(integer) 1",
                                         "XADD s 9-0 f new",
                                         "\"9-0\"",
                                         NULL };
    struct text reply = { 0 };
    const char *at;

    deliver(4);
    expect_lines(wire, lines);
    wire_command(wire, "XREADGROUP GROUP g d COUNT 4 CLAIM 300000 STREAMS s >");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    /* In that order, with times and counts; 4-0 was delivered just now. */
    at = strstr(text_string(&reply), "$3\r\n3-0\r\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "$3\r\n2-0\r\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "$3\r\n1-0\r\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "*4\r\n$3\r\n9-0\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n:0\r\n:0\r\n");
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_null(strstr(text_string(&reply), "4-0"));
    text_finish(&reply);
    expect_nil(wire, "XREADGROUP GROUP g d COUNT 4 CLAIM 300000 STREAMS s >");
    expect_text(wire,
                "1) (integer) 5\n2) \"1-0\"\n3) \"9-0\"\n4) 1) 1) \"c\"\n      2) \"1\"\n"
                "   2) 1) \"d\"\n      2) \"4\"",
                "XPENDING s g");
}
END_TEST

START_TEST(claim_takes_a_time_and_only_of_groups)
{
    static const char *const lines[] = {
        "XREADGROUP GROUP g d CLAIM x STREAMS s >",
        "(error) ERR min-idle-time is not an integer",
        "XREADGROUP GROUP g d CLAIM +1 STREAMS s >",
        "(error) ERR min-idle-time is not an integer",
        "XREADGROUP GROUP g d CLAIM -1 STREAMS s >",
        "(error) ERR min-idle-time must be a positive integer",
        "XREADGROUP GROUP g d CLAIM STREAMS s >",
        "(error) ERR min-idle-time is not an integer",
        "XREADGROUP CLAIM 9223372036854775807 GROUP g d STREAMS s >",
        "(nil)",
        "XREAD CLAIM 0 STREAMS s 0",
        "(error) ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
        NULL
    };

    deliver(1);
    expect_lines(wire, lines);
}
END_TEST

START_TEST(claim_drops_what_has_no_entry_any_more)
{
    static const char *const lines[] = {
        "XDEL s 1-0",
        "(integer) 1",
        "XREADGROUP GROUP g d CLAIM 0 COUNT 1 STREAMS s >",
        "1) 1) \"s\"\n   2) (empty array)",
        "XPENDING s g",
        "1) (integer) 1\n2) \"2-0\"\n3) \"2-0\"\n4) 1) 1) \"c\"\n      2) \"1\"",
        NULL
    };

    deliver(2);
    expect_lines(wire, lines);
}
END_TEST

static void begin_to_wait(const char *line)
{
    wire_command_line(other, line);
    info_wait(wire, "blocked_clients", 1);
}

/* The answer that it was waiting for. */
static void expect_entry(const char *id)
{
    struct text answer = { 0 };

    ck_assert_int_eq(wire_read(other, &answer), 1);
    ck_assert_ptr_nonnull(strstr(text_string(&answer), id));
    text_finish(&answer);
}

START_TEST(who_claims_is_woken_when_something_was_idle_for_long_enough)
{
    deliver(1);
    begin_to_wait("XREADGROUP GROUP g d BLOCK 0 CLAIM 1000 STREAMS s >");
    expect_entry("1-0");
    expect_text(wire, "1) (integer) 1\n2) \"1-0\"\n3) \"1-0\"\n4) 1) 1) \"d\"\n      2) \"1\"",
                "XPENDING s g");
}
END_TEST

START_TEST(what_others_are_given_while_it_waits_wakes_who_claims_too)
{
    deliver(1);
    expect_integer(wire, 1, "XACK s g 1-0");
    begin_to_wait("XREADGROUP GROUP g d BLOCK 0 CLAIM 300 STREAMS s >");
    expect_ok(wire, "XGROUP SETID s g 0");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS s >");
    wire_skip(wire, 1);
    expect_entry("1-0");
}
END_TEST

START_TEST(what_is_given_back_or_made_idle_wakes_who_claims)
{
    deliver(2);
    begin_to_wait("XREADGROUP GROUP g d BLOCK 0 CLAIM 100000000 STREAMS s >");
    expect_integer(wire, 1, "XNACK s g FAIL IDS 1 2-0");
    expect_entry("2-0");
    begin_to_wait("XREADGROUP GROUP g d BLOCK 0 CLAIM 100000000 STREAMS s >");
    expect_text(wire, "1) \"1-0\"", "XCLAIM s g c 0 1-0 IDLE 200000000 JUSTID");
    expect_entry("1-0");
}
END_TEST

START_TEST(who_claims_gives_up_at_its_time_all_the_same)
{
    deliver(1);
    expect_nil(wire, "XREADGROUP GROUP g d BLOCK 50 CLAIM 100000000 STREAMS s >");
    expect_integer(wire, 1, "XACK s g 1-0");
    expect_nil(wire,
               "XREADGROUP GROUP g d BLOCK 250 CLAIM 0 STREAMS s >"); /* looks several times */
}
END_TEST

/* ---- what XINFO tells ------------------------------------------------------------------------
 */

static void expect_progress(const char *entries_read, const char *lag)
{
    struct text expected = { 0 };

    text_format(&expected,
                "1)  1) \"name\"\n    2) \"g\"\n    3) \"consumers\"\n    4) (integer) 1\n"
                "    5) \"pending\"\n    6) (integer) 2\n    7) \"last-delivered-id\"\n"
                "    8) \"3-0\"\n    9) \"entries-read\"\n   10) %s\n   11) \"lag\"\n   12) %s",
                entries_read, lag);
    expect_text(wire, text_string(&expected), "XINFO GROUPS s");
    text_finish(&expected);
}

START_TEST(lag_is_exact_whatever_was_deleted)
{
    for (int i = 1; i <= 9; i++) {
        wire_command(wire, "XADD s %d-0 f v", i);
        wire_skip(wire, 1);
    }
    expect_ok(wire, "XGROUP CREATE s g 0");
    expect_integer(wire, 2, "XDEL s 2-0 5-0");
    wire_command(wire, "XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    wire_skip(wire, 1);
    expect_progress("(integer) 3", "(integer) 5");
    expect_integer(wire, 1, "XDEL s 9-0");
    expect_progress("(integer) 3", "(integer) 4");
    expect_integer(wire, 4, "XTRIM s MAXLEN 2");
    expect_progress("(integer) 3", "(integer) 2");
}
END_TEST

START_TEST(consumers_tell_when_they_asked_and_when_they_got_something)
{
    static const char *const lines[] = {
        "XINFO CONSUMERS s g",
        "1) 1) \"name\"\n   2) \"c\"\n   3) \"pending\"\n   4) (integer) 0\n   5) \"idle\"\n…", NULL
    };
    struct text reply = { 0 };

    expect_ok(wire, "XGROUP CREATE s g 0 MKSTREAM");
    expect_integer(wire, 1, "XGROUP CREATECONSUMER s g c");
    expect_lines(wire, lines);
    wire_command(wire, "XINFO CONSUMERS s g");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_ptr_nonnull(strstr(text_string(&reply), "$8\r\ninactive\r\n:-1\r\n"));
    text_clear(&reply);
    expect_string(wire, "1-0", "XADD s 1-0 f v");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS s >");
    wire_skip(wire, 1);
    wire_command(wire, "XINFO CONSUMERS s g");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_ptr_null(strstr(text_string(&reply), "inactive\r\n:-1\r\n"));
    text_finish(&reply);
}
END_TEST

/* ---- after a restart -------------------------------------------------------------------------
 */

static struct text ask(const char *line)
{
    struct text reply = { 0 };

    wire_command_line(wire, line);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    return reply;
}

START_TEST(the_log_brings_back_groups_as_they_were)
{
    static const char *const lines[] = {
        "XGROUP CREATE s h $",
        "OK",
        "XCLAIM s g d 0 1-0 2-0 TIME 1000 JUSTID",
        "1) \"1-0\"\n2) \"2-0\"",
        "XNACK s g FAIL IDS 2 5-0 3-0",
        "(integer) 2",
        "XACK s g 4-0",
        "(integer) 1",
        "XDEL s 6-0",
        "(integer) 1",
        "XAUTOCLAIM s g e 1000 0 COUNT 3 JUSTID",
        "1) \"5-0\"\n2) 1) \"1-0\"\n   2) \"2-0\"\n   3) \"3-0\"\n3) (empty array)",
        "XREADGROUP GROUP g f CLAIM 1000 COUNT 1 STREAMS s >",
        "1) 1) \"s\"\n…",
        "XREADGROUP GROUP g c COUNT 2 STREAMS s 7-0",
        "1) 1) \"s\"\n…",
        "XADD s 20-0 f v",
        "\"20-0\"",
        "XREADGROUP GROUP h z NOACK STREAMS s >",
        "1) 1) \"s\"\n…",
        "XCLAIM s h z 0 20-0 FORCE JUSTID LASTID 21-0",
        "1) \"20-0\"",
        "XACKDEL s g IDS 1 9-0",
        "1) (integer) 1",
        NULL
    };
    struct server_options options = { .own_arguments = logged };
    struct server killed;
    struct text before, after;

    server_start(&killed, &options);
    wire_close(wire);
    wire = wire_open(&killed);
    deliver(10);
    expect_lines(wire, lines);
    before = ask("XINFO STREAM s FULL");
    wire_close(wire);
    server_kill(&killed);
    server_restart(&killed);
    wire = wire_open(&killed);
    after = ask("XINFO STREAM s FULL");
    ck_assert_str_eq(text_string(&before), text_string(&after));
    text_finish(&before);
    text_finish(&after);
    server_stop(&killed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_groups");
    TCase *tcase = two_clients_case(suite, "groups", own);

    tcase_add_test(tcase, xdelex_heeds_what_groups_refer_to);
    tcase_add_test(tcase, xdelex_of_what_is_not_delivered_yet_waits);
    tcase_add_test(tcase, xackdel_acknowledges_and_deletes);
    tcase_add_test(tcase, trims_heed_what_groups_refer_to);
    tcase_add_test(tcase, what_is_given_back_is_nobodys_and_comes_first);
    tcase_add_test(tcase, xnack_force_makes_pending_what_has_an_entry);
    tcase_add_test(tcase, xnack_says_what_it_does_not_take);
    tcase_add_test(tcase, claim_gives_what_was_given_back_then_the_idle_then_what_is_new);
    tcase_add_test(tcase, claim_takes_a_time_and_only_of_groups);
    tcase_add_test(tcase, claim_drops_what_has_no_entry_any_more);
    tcase_add_test(tcase, who_claims_is_woken_when_something_was_idle_for_long_enough);
    tcase_add_test(tcase, what_others_are_given_while_it_waits_wakes_who_claims_too);
    tcase_add_test(tcase, what_is_given_back_or_made_idle_wakes_who_claims);
    tcase_add_test(tcase, who_claims_gives_up_at_its_time_all_the_same);
    tcase_add_test(tcase, lag_is_exact_whatever_was_deleted);
    tcase_add_test(tcase, consumers_tell_when_they_asked_and_when_they_got_something);
    tcase_add_test(tcase, the_log_brings_back_groups_as_they_were);
    return suite_run(suite);
}
