/* Readers of consumer groups that wait, beside redis-server 7.0, byte for byte: who is served, in
 * which order, with what; what ends a wait, and what is pending afterwards. The lines are those of
 * lib/script.h: "@1&" is a command that waits, and after each line those that were served in
 * redis-server are those that were served in ours. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/pair.h"
#include "client-tests/lib/script.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>

enum { PROTOCOL_FIRST = 2, PROTOCOL_END = 4 };

static struct pair pair; /* of the case; started before its tests fork */

static void start_servers(void)
{
    pair_start(&pair, NULL);
}

static void stop_servers(void)
{
    pair_finish(&pair);
}

static void begin(int protocol)
{
    pair_reset(&pair, protocol);
    (void)snprintf(pair.place, sizeof(pair.place), "RESP%d", protocol);
}

static void run(const char *const *lines)
{
    for (int i = 0; lines[i] && !pair_is_hopeless(&pair); i++)
        script_line(&pair, lines[i]);
}

static void expect_no_difference(void)
{
    if (pair.difference_count > 0) printf("%s\n", text_string(&pair.report));
    (void)fflush(stdout);
    ck_assert_msg(pair.difference_count == 0, "%u differences, printed above",
                  pair.difference_count);
    server_must_live(&pair.ours);
}

static void compare(int protocol, const char *const *lines)
{
    begin(protocol);
    run(lines);
    expect_no_difference();
}

/* ---- who is served ---------------------------------------------------------------------------
 */

START_TEST(an_entry_goes_to_who_has_waited_longest)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "@3& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XADD s 1-1 f 1",
        "XADD s 1-2 f 2",
        "@1& XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "XADD s 1-3 f 3",
        "XADD s 1-4 f 4",
        "~idle XPENDING s g - + 10",
        "XPENDING s g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(entries_of_one_transaction_are_shared_out_as_counts_say)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "@1& XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >",
        "@2& XREADGROUP GROUP g b COUNT 2 BLOCK 0 STREAMS s >",
        "@3& XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "@4& XREADGROUP GROUP g d BLOCK 0 STREAMS s >",
        "MULTI",
        "XADD s 1-1 f 1",
        "XADD s 1-2 f 2",
        "XADD s 1-3 f 3",
        "XADD s 1-4 f 4",
        "XADD s 1-5 f 5",
        "EXEC",
        "~idle XPENDING s g - + 10",
        "XADD s 1-6 f 6",
        "~idle XPENDING s g - + 10",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(each_group_gets_the_entry_and_plain_readers_do_too)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "XGROUP CREATE s h $",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "@2& XREAD BLOCK 0 STREAMS s $",
        "@3& XREADGROUP GROUP h a BLOCK 0 STREAMS s >",
        "@4& XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "@5& XREAD BLOCK 0 STREAMS s $",
        "XADD s 1-1 f 1",
        "XPENDING s g",
        "XPENDING s h",
        "XADD s 1-2 f 2",
        "XPENDING s g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(who_waits_on_several_streams_gets_that_which_comes)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "XGROUP CREATE t g $ MKSTREAM",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s t > >",
        "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS t s > >",
        "XADD t 1-1 f 1",
        "XADD s 1-1 f 2",
        "XPENDING s g",
        "XPENDING t g",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s t > >",
        "MULTI",
        "XADD t 1-2 f 1",
        "XADD s 1-2 f 2",
        "EXEC",
        "XPENDING s g",
        "XPENDING t g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(what_noack_reads_is_pending_nowhere)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "@1& XREADGROUP GROUP g a NOACK BLOCK 0 STREAMS s >",
        "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "XADD s 1-1 f 1",
        "XPENDING s g",
        "XADD s 1-2 f 2",
        "XPENDING s g",
        "XREADGROUP GROUP g a STREAMS s 0",
        "XREADGROUP GROUP g b STREAMS s 0",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* ---- what serves nobody ----------------------------------------------------------------------
 */

START_TEST(only_what_is_new_ends_a_wait)
{
    static const char *const lines[] = {
        "XADD s 1-1 f 1",
        "XADD s 1-2 f 2",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g a STREAMS s >",
        "@1& XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "XCLAIM s g c 0 1-1",
        "XAUTOCLAIM s g d 0 0",
        "XACK s g 1-1",
        "XDEL s 1-2",
        "XTRIM s MAXLEN 0",
        "XGROUP CREATE s h 0",
        "XGROUP CREATECONSUMER s g e",
        "XGROUP DELCONSUMER s g d",
        "XGROUP DESTROY s h",
        "EXPIRE s 1000",
        "PERSIST s",
        "XADD s 1-3 f 3",
        "~idle XPENDING s g - + 10",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* What lies behind the last id by then was there before, and nobody is told. */
START_TEST(a_group_that_is_set_back_gives_it_with_the_next_entry)
{
    static const char *const lines[] = {
        "XADD s 1-1 f 1",
        "XADD s 1-2 f 2",
        "XGROUP CREATE s g $",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XGROUP SETID s g 1-1",
        "XADD s 1-3 f 3",
        "~idle XPENDING s g - + 10",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XGROUP SETID s g 9-9",
        "XADD s 2-1 f 4",
        "XADD s 9-9 f 5",
        "XADD s 9-10 f 6",
        "~idle XPENDING s g - + 10",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(nobody_waits_for_the_history_or_in_a_transaction)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s 0",
        "XGROUP CREATE t g $ MKSTREAM",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s t 5-5 >",
        "MULTI",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XADD s 1-1 f 1",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "EXEC",
        "XREADGROUP GROUP none a BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS none >",
        "XREADGROUP GROUP g a BLOCK 0 STREAMS s none > >",
        "XPENDING s g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* ---- what becomes of the consumer, the group and the key -------------------------------------
 */

START_TEST(a_consumer_that_is_deleted_while_it_waits_is_made_by_what_it_gets)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "XGROUP CREATECONSUMER s g a",
        "XADD s 1-1 f 1",
        "XREADGROUP GROUP g a STREAMS s >",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "XGROUP DELCONSUMER s g a",
        "XINFO CONSUMERS s g",
        "XADD s 1-2 f 2",
        "~idle XPENDING s g - + 10",
        "XGROUP DELCONSUMER s g a",
        "XINFO CONSUMERS s g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(readers_of_a_group_that_is_destroyed_are_told_and_others_wait_on)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "XGROUP CREATE s h $",
        "XGROUP CREATE t g $ MKSTREAM",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "@2& XREADGROUP GROUP h a BLOCK 0 STREAMS s >",
        "@3& XREAD BLOCK 0 STREAMS s $",
        "@4& XREADGROUP GROUP g b BLOCK 0 STREAMS t s > >",
        "@5& XREADGROUP GROUP g c BLOCK 0 STREAMS t >",
        "XGROUP DESTROY s g",
        "XADD s 1-1 f 1",
        "XADD t 1-1 f 1",
        "XGROUP CREATE s g $",
        "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
        "MULTI",
        "XGROUP DESTROY s g",
        "XGROUP CREATE s g $",
        "EXEC",
        "XADD s 1-2 f 2",
        "XPENDING s g",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

#define WAIT_IN_S                                                                                  \
    "XGROUP CREATE s g $ MKSTREAM", "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",                \
        "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS s >"

START_TEST(who_waits_in_a_key_that_goes_is_told)
{
    static const char *const lines[] = {
        WAIT_IN_S, "DEL s",          WAIT_IN_S, "UNLINK s",      WAIT_IN_S,  "FLUSHDB",
        WAIT_IN_S, "FLUSHALL",       WAIT_IN_S, "RENAME s gone", "DEL gone", WAIT_IN_S,
        "MULTI",   "XADD s 1-1 f 1", "DEL s",   "EXEC",          "EXISTS s", NULL,
    };

    compare(_i, lines);
}
END_TEST

START_TEST(who_waits_in_a_key_that_becomes_something_else_is_told)
{
    static const char *const lines[] = {
        WAIT_IN_S,        "SET s string", "DEL s",
        WAIT_IN_S,        "RPUSH list x", "RENAME list s",
        "DEL s",          WAIT_IN_S,      "XADD other 1-1 f v",
        "RENAME other s", "DEL s",        WAIT_IN_S,
        "MULTI",          "DEL s",        "XADD s 1-1 f v",
        "EXEC",           "DEL s",        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* The group counts by its name. */
START_TEST(who_waits_goes_on_in_another_stream_that_has_such_a_group)
{
    static const char *const lines[] = {
        WAIT_IN_S,
        "XGROUP CREATE other g $ MKSTREAM",
        "RENAME other s",
        "XADD s 1-1 f v",
        "XADD s 1-2 f v",
        WAIT_IN_S,
        "MULTI",
        "DEL s",
        "XGROUP CREATE s g $ MKSTREAM",
        "EXEC",
        "XADD s 1-1 f v",
        "~idle XPENDING s g - + 10",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* ---- what becomes of who waits ---------------------------------------------------------------
 */

START_TEST(a_wait_that_has_ended_takes_nothing)
{
    static const char *const lines[] = {
        "XGROUP CREATE s g $ MKSTREAM",
        "@1? XREADGROUP GROUP g a BLOCK 1 STREAMS s >",
        "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS s >",
        "@3& XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "@2-",
        "XADD s 1-1 f 1",
        "XADD s 1-2 f 2",
        "~idle XPENDING s g - + 10",
        "@1 XREADGROUP GROUP g a BLOCK 1 STREAMS s >",
        "~idle XPENDING s g - + 10",
        NULL,
    };

    compare(_i, lines);
}
END_TEST

/* Two wait, and connection 1 is the first. */
struct first {
    long long ours, redis; /* ids */
};

static struct first wait_in_line(int protocol)
{
    static const char *const lines[] = { "XGROUP CREATE s g $ MKSTREAM", "@1 PING", NULL };
    static const char *const waits[] = { "@1& XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
                                         "@2& XREADGROUP GROUP g b BLOCK 0 STREAMS s >", NULL };
    struct first first;

    begin(protocol);
    run(lines);
    first.ours = ask_integer(pair.connections[1].ours, "CLIENT ID");
    first.redis = ask_integer(pair.connections[1].redis, "CLIENT ID");
    run(waits);
    return first;
}

static void expect_entry_of_second(void)
{
    static const char *const lines[] = { "XADD s 1-1 f v", "~idle XPENDING s g - + 10",
                                         "XADD s 1-2 f v", "XPENDING s g", NULL };

    run(lines);
    expect_no_difference();
}

START_TEST(who_is_unblocked_takes_nothing)
{
    static const char *const ends[] = { "TIMEOUT", "ERROR" };
    struct first first = wait_in_line(_i / 2 + PROTOCOL_FIRST);

    expect_integer(pair.control_redis, 1, "CLIENT UNBLOCK %lld %s", first.redis, ends[_i % 2]);
    expect_integer(pair.control_ours, 1, "CLIENT UNBLOCK %lld %s", first.ours, ends[_i % 2]);
    ck_assert(pair_settle(&pair));
    ck_assert(!pair.connections[1].is_blocked);
    expect_entry_of_second();
}
END_TEST

START_TEST(who_is_killed_takes_nothing)
{
    struct first first = wait_in_line(_i);

    expect_integer(pair.control_redis, 1, "CLIENT KILL ID %lld", first.redis);
    expect_integer(pair.control_ours, 1, "CLIENT KILL ID %lld", first.ours);
    ck_assert(pair_expect_end(&pair, 1));
    expect_entry_of_second();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_readers");
    TCase *readers = suite_case(suite, "readers");
    const TTest *const tests[] = {
        an_entry_goes_to_who_has_waited_longest,
        entries_of_one_transaction_are_shared_out_as_counts_say,
        each_group_gets_the_entry_and_plain_readers_do_too,
        who_waits_on_several_streams_gets_that_which_comes,
        what_noack_reads_is_pending_nowhere,
        only_what_is_new_ends_a_wait,
        a_group_that_is_set_back_gives_it_with_the_next_entry,
        nobody_waits_for_the_history_or_in_a_transaction,
        a_consumer_that_is_deleted_while_it_waits_is_made_by_what_it_gets,
        readers_of_a_group_that_is_destroyed_are_told_and_others_wait_on,
        who_waits_in_a_key_that_goes_is_told,
        who_waits_in_a_key_that_becomes_something_else_is_told,
        who_waits_goes_on_in_another_stream_that_has_such_a_group,
        a_wait_that_has_ended_takes_nothing,
        who_is_killed_takes_nothing,
    };

    tcase_add_unchecked_fixture(readers, start_servers, stop_servers);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_loop_test(readers, tests[i], PROTOCOL_FIRST, PROTOCOL_END);
    tcase_add_loop_test(readers, who_is_unblocked_takes_nothing, 0,
                        2 * (PROTOCOL_END - PROTOCOL_FIRST));
    return suite_run(suite);
}
