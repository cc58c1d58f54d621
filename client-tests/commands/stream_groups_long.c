/* Answers of groups that would not fit into memory: entries are sent as the socket drains; what is
 * claimed, and what EXEC answers, ends early, or is refused where it only tells. And what was
 * answered is what was done, after kill -9, too. */
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
static const char *const short_segments[] = { "--appendonly", "yes", "--stream-segment-bytes",
                                              "64kb", NULL };
static struct server server;
static struct wire *wire;
static struct text reply;

static void start_with_short_segments(void)
{
    server_start(&server, &(struct server_options){ .own_arguments = short_segments });
    wire = wire_open(&server);
}

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

static bool begins_with(const char *word)
{
    return strncmp(text_string(&reply), word, strlen(word)) == 0;
}

/* How often the last answer has that; by hand, as strstr of the sanitizer looks at all of it each
 * time. */
static int count_of(const char *word)
{
    const char *end = text_string(&reply) + reply.size;
    size_t size = strlen(word);
    int count = 0;

    for (const char *at = text_string(&reply); (size_t)(end - at) >= size; at++)
        count += *at == *word && memcmp(at, word, size) == 0;
    return count;
}

/* How many entries it has, by their only field's name. */
static int count_entries(void)
{
    return count_of("\r\n$1\r\nf\r\n");
}

/* How many ids without an entry. */
static int count_gone(void)
{
    return count_of("-0\r\n*-1\r\n");
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

/* Half of it is another consumer's, in turns, and some of the rest has gone. */
START_TEST(a_long_history_is_sent_as_the_socket_drains)
{
    enum { DELETED = 40 };
    struct memory_watch *watch;

    for (int i = 0; i < ENTRIES; i += BATCH) {
        wire_command(wire, "XREADGROUP GROUP g %s COUNT %d STREAMS s >", i / BATCH % 2 ? "d" : "c",
                     BATCH);
        wire_skip(wire, 1);
    }
    for (int i = 0; i < DELETED; i++)
        expect_integer(wire, 1, "XDEL s %d-0",
                       1 + i / 2 % 10 * 2 * BATCH + i % 2 * 7 + i / 20 * 30);
    watch = memory_watch_start(&server);
    (void)ask("XREADGROUP GROUP g c STREAMS s 0");
    ck_assert_int_eq(count_gone(), DELETED);
    ck_assert_int_eq(count_entries(), ENTRIES / 2 - DELETED);
    ck_assert_int_lt(memory_watch_stop(watch), LIMIT_KIB);
    expect_the_same_after_a_kill();
    (void)ask("XREADGROUP GROUP g c COUNT 4000 STREAMS s 600-0");
    ck_assert_int_eq(count_entries() + count_gone(), 4000);
}
END_TEST

/* Behind the names of s and t; entries of t are longer than the pieces in which answers are sent.
 */
START_TEST(what_is_new_and_what_is_given_again_are_sent_together)
{
    enum { LONG_ENTRIES = 5, LONG_BYTES = 300000 };
    struct text value = { 0 };

    text_add_filler(&value, LONG_BYTES);
    for (int i = 1; i <= LONG_ENTRIES; i++) {
        wire_command(wire, "XADD t %d-0 f %b", i, text_string(&value), value.size);
        wire_skip(wire, 1);
    }
    expect_ok(wire, "XGROUP CREATE t g 0");
    (void)ask("XREADGROUP GROUP g c STREAMS t >");
    expect_ok(wire, "XGROUP CREATE s h 0");
    expect_ok(wire, "XGROUP CREATE t h 0");
    (void)ask("HELLO 3");
    (void)ask("XREADGROUP GROUP g c STREAMS t s 0 >");
    ck_assert_int_eq(strncmp(text_string(&reply), "%2\r\n$1\r\nt\r\n*5\r\n", 15), 0);
    ck_assert_int_eq(count_entries(), LONG_ENTRIES + ENTRIES);
    ck_assert_uint_gt(reply.size, LONG_ENTRIES * LONG_BYTES + ENTRIES * FIELD_BYTES);
    expect_text(wire, "PONG", "PING");
    text_finish(&value);
}
END_TEST

/* Of what is answered nothing is asked of the group any more. */
START_TEST(a_history_that_is_being_sent_stays_whole_when_all_goes)
{
    struct wire *other = wire_open(&server);
    struct text pending = { 0 };

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS s 0");
    do { /* until all of it has been delivered again */
        text_clear(&pending);
        wire_command(other, "XPENDING s g %d-0 + 1", ENTRIES);
        ck_assert_int_eq(wire_read(other, &pending), 1);
    } while (!strstr(text_string(&pending), "\r\n:2\r\n"));
    expect_integer(other, ENTRIES, "XGROUP DELCONSUMER s g c");
    expect_integer(other, 1, "XGROUP DESTROY s g");
    expect_integer(other, 1, "DEL s");
    text_clear(&reply);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_int_eq(count_entries(), ENTRIES);
    text_finish(&pending);
    wire_close(other);
}
END_TEST

START_TEST(a_long_history_of_a_transaction_comes_in_parts)
{
    int from = 0, rounds = 0, count;

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    do {
        expect_ok(wire, "MULTI");
        expect_text(wire, "QUEUED", "XREADGROUP GROUP g c STREAMS s %d-0", from);
        (void)ask("EXEC");
        count = count_entries();
        from += count;
        rounds++;
    } while (count > 0 && from < ENTRIES);
    ck_assert_int_eq(from, ENTRIES);
    ck_assert_int_gt(rounds, 1);
    expect_the_same_after_a_kill();
}
END_TEST

START_TEST(all_that_there_is_to_tell_is_sent_as_the_socket_drains)
{
    struct memory_watch *watch = memory_watch_start(&server);
    const char *groups;

    (void)ask("XREADGROUP GROUP g c COUNT 100 STREAMS s >");
    (void)ask("XINFO STREAM s FULL COUNT 0");
    ck_assert_int_eq(count_entries(), ENTRIES);
    groups = strstr(text_string(&reply), "$6\r\ngroups\r\n*1\r\n");
    ck_assert_ptr_nonnull(groups);
    ck_assert_ptr_nonnull(strstr(groups, "$9\r\npel-count\r\n:100\r\n"));
    ck_assert_int_lt(memory_watch_stop(watch), LIMIT_KIB);
    expect_text(wire, "PONG", "PING"); /* that was all of it */
}
END_TEST

/* In segments that are not open: the second part goes back to what the first one has read. */
START_TEST(a_stream_that_is_named_twice_is_answered_twice)
{
    enum { LONG_ENTRIES = 15, LONG_BYTES = 4000 };
    struct text value = { 0 };

    text_add_filler(&value, LONG_BYTES);
    for (int i = 1; i <= 40 * LONG_ENTRIES; i++) {
        wire_command(wire, "XADD t %d-0 f %b", i, text_string(&value), value.size);
        wire_skip(wire, 1);
    }
    text_finish(&value);
    expect_ok(wire, "XGROUP CREATE t g 0");
    wire_close(wire);
    server_kill(&server);
    server_restart(&server);
    wire = wire_open(&server);
    for (int i = 0; i < 40; i++) {
        wire_command(wire, "XREADGROUP GROUP g new%d COUNT %d STREAMS t t > 0", i, LONG_ENTRIES);
        text_clear(&reply);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_int_eq(count_entries(), 2 * LONG_ENTRIES);
    }
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

/* A consumer's name is in each line of what is told. */
static void deliver_to_a_long_name(int count)
{
    struct text name = { 0 };

    text_add_filler(&name, 100000);
    wire_command(wire, "XREADGROUP GROUP g %b COUNT %d STREAMS s >", text_string(&name), name.size,
                 count);
    wire_skip(wire, 1);
    text_finish(&name);
}

START_TEST(what_tells_of_pending_is_sent_as_the_socket_drains)
{
    enum { PENDING = 200 };
    struct memory_watch *watch;

    deliver_to_a_long_name(PENDING);
    watch = memory_watch_start(&server);
    (void)ask("XPENDING s g - + 1000000");
    ck_assert(begins_with("*200\r\n*4\r\n$3\r\n1-0\r\n"));
    ck_assert_int_eq(count_of("\r\n$100000\r\n"), PENDING);
    ck_assert_uint_gt(reply.size, PENDING * 100000);
    (void)ask("XPENDING s g 11-0 + 150");
    ck_assert_int_eq(count_of("\r\n$100000\r\n"), 150);
    (void)ask("XINFO STREAM s FULL COUNT 0");
    ck_assert_int_eq(count_of("\r\n$100000\r\n"), PENDING + 1); /* and whose they are */
    ck_assert_int_lt(memory_watch_stop(watch), LIMIT_KIB);
    expect_text(wire, "PONG", "PING"); /* that was all of it */
}
END_TEST

START_TEST(what_tells_inside_exec_is_refused_when_it_is_too_long)
{
    static const char *const asked[] = { "XPENDING s g - + 1000000",
                                         "XINFO STREAM s FULL COUNT 0" };

    deliver_to_a_long_name(200);
    for (int i = 0; i < 2; i++) {
        expect_ok(wire, "MULTI");
        expect_text(wire, "QUEUED", asked[i]);
        (void)ask("EXEC");
        ck_assert(begins_with("*1\r\n-OOM "));
    }
    (void)ask("XPENDING s g - + 3");
    ck_assert(begins_with("*3\r\n"));
}
END_TEST

/* Asks, takes nothing of the answer, and returns when it has begun. */
static struct wire *ask_without_reading(struct wire *control, const char *line)
{
    struct wire *slow = wire_open_unix(&server);

    slow->takes_nothing = true;
    wire_command_line(slow, line);
    info_wait_least(control, "mem_parked", 1);
    info_wait(control, "claims", 0);
    return slow;
}

static void read_slowly(struct wire *slow)
{
    text_clear(&reply);
    slow->takes_nothing = false;
    ck_assert_int_eq(wire_read(slow, &reply), 1);
    expect_text(slow, "PONG", "PING");
    wire_close(slow);
}

/* _i 0: each entry becomes somebody else's, and the consumer's name another's number. 1: the group
 * goes. 2: all goes. */
static void change_all(struct wire *control, int how)
{
    if (how == 0) {
        expect_integer(control, ENTRIES, "XGROUP DELCONSUMER s g c");
        expect_integer(control, 1, "XGROUP CREATECONSUMER s g other");
        expect_ok(control, "XGROUP SETID s g 0");
        wire_command(control, "XREADGROUP GROUP g other COUNT 1000 STREAMS s >");
        wire_skip(control, 1);
    } else if (how == 1) {
        expect_integer(control, 1, "XGROUP DESTROY s g");
    } else {
        expect_integer(control, 1, "DEL s");
    }
}

START_TEST(what_is_told_is_as_it_was_when_it_was_asked)
{
    static const char *const lines[] = { "XPENDING s g - + 100000", "XPENDING s g - + 100000 c" };
    struct wire *control = wire_open(&server), *slow[3];
    struct text before = { 0 };

    (void)ask("XREADGROUP GROUP g c STREAMS s >");
    expect_integer(wire, ENTRIES, "XTRIM s MAXLEN 0"); /* and groups are all that is told */
    text_add_string(&before, ask("XINFO STREAM s FULL COUNT 0"));
    for (int i = 0; i < 2; i++)
        slow[i] = ask_without_reading(control, lines[i]);
    slow[2] = ask_without_reading(control, "XINFO STREAM s FULL COUNT 0");
    change_all(control, _i);
    for (int i = 0; i < 2; i++) {
        read_slowly(slow[i]);
        ck_assert(begins_with("*10000\r\n"));
        ck_assert_int_eq(count_of("-0\r\n$1\r\nc\r\n:"), ENTRIES);
    }
    read_slowly(slow[2]);
    ck_assert_uint_eq(reply.size, before.size);
    ck_assert(memcmp(reply.bytes, before.bytes, before.size) == 0);
    info_wait(control, "mem_parked", 0);
    text_finish(&before);
    wire_close(control);
}
END_TEST

/* In pieces: groups that have nothing pending, and consumers that have one each. */
START_TEST(many_groups_and_consumers_are_told)
{
    enum { GROUPS = 300, CONSUMERS = 3000 };

    for (int i = 0; i < GROUPS; i++)
        expect_ok(wire, "XGROUP CREATE s group%d $", i);
    for (int i = 1; i <= CONSUMERS; i++)
        wire_command(wire, "XREADGROUP GROUP g c%d COUNT 1 STREAMS s >", i);
    wire_skip(wire, CONSUMERS);
    (void)ask("HELLO 3");
    (void)ask("XINFO STREAM s FULL COUNT 3");
    ck_assert_int_eq(count_of("$12\r\nnacked-count\r\n:0\r\n"), GROUPS + 1);
    ck_assert_int_eq(count_of("$9\r\npel-count\r\n:1\r\n$7\r\npending\r\n*1\r\n*3\r\n"), CONSUMERS);
    ck_assert_int_eq(count_of("$9\r\npel-count\r\n:3000\r\n$7\r\npending\r\n*3\r\n*4\r\n"), 1);
    expect_text(wire, "PONG", "PING");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_groups_long");
    TCase *tcase = suite_case(suite, "long"), *segments = suite_case(suite, "segments");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, what_is_new_is_delivered_whole_and_sent_as_the_socket_drains);
    tcase_add_test(tcase, without_acknowledging_it_is_sent_as_the_socket_drains_too);
    tcase_add_test(tcase, inside_exec_no_more_is_delivered_than_answered);
    tcase_add_test(tcase, a_long_history_is_sent_as_the_socket_drains);
    tcase_add_test(tcase, what_is_new_and_what_is_given_again_are_sent_together);
    tcase_add_test(tcase, a_history_that_is_being_sent_stays_whole_when_all_goes);
    tcase_add_test(tcase, a_long_history_of_a_transaction_comes_in_parts);
    tcase_add_test(tcase, all_that_there_is_to_tell_is_sent_as_the_socket_drains);
    tcase_add_test(tcase, what_is_claimed_comes_in_parts);
    tcase_add_test(tcase, what_tells_of_pending_is_sent_as_the_socket_drains);
    tcase_add_test(tcase, what_tells_inside_exec_is_refused_when_it_is_too_long);
    tcase_add_loop_test(tcase, what_is_told_is_as_it_was_when_it_was_asked, 0, 3);
    tcase_add_test(tcase, many_groups_and_consumers_are_told);
    tcase_add_checked_fixture(segments, start_with_short_segments, stop);
    tcase_add_test(segments, a_stream_that_is_named_twice_is_answered_twice);
    return suite_run(suite);
}
