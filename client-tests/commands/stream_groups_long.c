/* Answers of groups that would not fit into memory: what is new is sent as the socket drains, the
 * rest ends early, or is refused; and what was answered is what was done, after kill -9, too. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRIES = 10000,
    FIELD_BYTES = 1000, /* together more than an answer from memory may hold: an eighth of 64 MiB */
    BATCH = 500,
    LIMIT_KIB = 80 * 1024,
};

static const char *const logged[] = { "--appendonly", "yes", "--maxmemory", "64mb", NULL };
static struct server server;
static struct wire *wire;
static struct text reply;

/* s has entries 1-0 … with long fields, and group g has given none of them yet. */
static void start(void)
{
    struct server_options options = { .own_arguments = logged };
    struct text value = { 0 };

    server_start(&server, &options);
    wire = wire_open(&server);
    text_add_filler(&value, FIELD_BYTES);
    for (int i = 0; i < ENTRIES; i += BATCH) {
        for (int k = 1; k <= BATCH; k++)
            wire_command(wire, "XADD s %d-0 f %b", i + k, text_string(&value), value.size);
        wire_skip(wire, BATCH);
    }
    expect_ok(wire, "XGROUP CREATE s g 0");
    text_finish(&value);
}

static void stop(void)
{
    wire_close(wire);
    server_stop(&server);
    text_finish(&reply);
}

static const char *ask(const char *line)
{
    text_clear(&reply);
    wire_command_line(wire, line);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    return text_string(&reply);
}

/* How many entries the last answer has, by their only field's name. */
static int count_entries(void)
{
    const char *at = text_string(&reply);
    int count = 0;

    while ((at = strstr(at, "\r\n$1\r\nf\r\n"))) {
        count++;
        at++;
    }
    return count;
}

static int pending_count(const char *group)
{
    char line[64];
    int count = -1;

    (void)snprintf(line, sizeof(line), "XPENDING s %s", group);
    ck_assert_int_eq(sscanf(ask(line), "*4\r\n:%d\r\n", &count), 1);
    return count;
}

/* All that the log has to bring back, after the answer that was just counted. */
static void expect_the_same_after_a_kill(void)
{
    static const char *const asked[] = { "XINFO STREAM s FULL COUNT 500", "XPENDING s g",
                                         "XINFO GROUPS s" };
    struct text before[3] = { { 0 } };

    for (int i = 0; i < 3; i++)
        text_add_string(&before[i], ask(asked[i]));
    wire_close(wire);
    server_kill(&server);
    server_restart(&server);
    wire = wire_open(&server);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(strcmp(ask(asked[i]), text_string(&before[i])) == 0, "%s differs", asked[i]);
        text_finish(&before[i]);
    }
}

START_TEST(what_is_new_is_delivered_whole_and_sent_as_the_socket_drains)
{
    struct memory_watch *watch = memory_watch_start(&server);

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    ck_assert_int_eq(count_entries(), ENTRIES);
    ck_assert_int_lt(memory_watch_stop(watch), LIMIT_KIB);
    ck_assert_int_eq(pending_count("g"), ENTRIES);
    expect_the_same_after_a_kill();
    expect_nil(wire, "XREADGROUP GROUP g c STREAMS s >");
}
END_TEST

START_TEST(without_acknowledging_it_is_sent_as_the_socket_drains_too)
{
    (void)ask("XREADGROUP GROUP g c NOACK STREAMS s >");
    ck_assert_int_eq(count_entries(), ENTRIES);
    ck_assert_int_eq(pending_count("g"), 0);
    expect_the_same_after_a_kill();
}
END_TEST

START_TEST(inside_exec_no_more_is_delivered_than_answered)
{
    int count;

    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XREADGROUP GROUP g c STREAMS s >");
    (void)ask("EXEC");
    count = count_entries();
    ck_assert_int_gt(count, 0);
    ck_assert_int_lt(count, ENTRIES);
    ck_assert_int_eq(pending_count("g"), count);
    expect_the_same_after_a_kill();
}
END_TEST

START_TEST(a_long_history_comes_in_parts)
{
    int from = 0, rounds = 0, count;
    char line[80];

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    do {
        (void)snprintf(line, sizeof(line), "XREADGROUP GROUP g c STREAMS s %d-0", from);
        (void)ask(line);
        count = count_entries();
        from += count;
        rounds++;
    } while (count > 0 && from < ENTRIES);
    ck_assert_int_eq(from, ENTRIES);
    ck_assert_int_gt(rounds, 1);
    expect_the_same_after_a_kill();
}
END_TEST

START_TEST(what_is_claimed_comes_in_parts)
{
    int count, all = 0;

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    (void)ask("XAUTOCLAIM s g d 0 0 COUNT 1000000");
    count = count_entries();
    ck_assert_int_gt(count, 0);
    ck_assert_int_lt(count, ENTRIES);
    ck_assert_ptr_eq(strstr(text_string(&reply), "$3\r\n0-0\r\n"), NULL); /* there is more */
    expect_the_same_after_a_kill();
    do {
        (void)ask("XREADGROUP GROUP g e CLAIM 0 COUNT 3000 STREAMS s >");
        ck_assert_int_gt(count_entries(), 0);
        all += count_entries();
    } while (all < ENTRIES);
    expect_the_same_after_a_kill();
}
END_TEST

START_TEST(what_only_tells_is_refused_when_it_is_too_long)
{
    struct text name = { 0 };

    text_add_filler(&name, 100000);
    wire_command(wire, "XREADGROUP GROUP g %b COUNT 200 STREAMS s >", text_string(&name),
                 name.size);
    wire_skip(wire, 1);
    expect_error(wire, "OOM the answer would be longer", "XPENDING s g - + 1000000");
    expect_error(wire, "OOM the answer would be longer", "XINFO STREAM s FULL COUNT 0");
    (void)ask("XPENDING s g - + 3");
    ck_assert_int_eq(text_string(&reply)[0], '*');
    text_finish(&name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_groups_long");
    TCase *tcase = suite_case(suite, "long");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, what_is_new_is_delivered_whole_and_sent_as_the_socket_drains);
    tcase_add_test(tcase, without_acknowledging_it_is_sent_as_the_socket_drains_too);
    tcase_add_test(tcase, inside_exec_no_more_is_delivered_than_answered);
    tcase_add_test(tcase, a_long_history_comes_in_parts);
    tcase_add_test(tcase, what_is_claimed_comes_in_parts);
    tcase_add_test(tcase, what_only_tells_is_refused_when_it_is_too_long);
    return suite_run(suite);
}
