/* Commands that go through a long stream, or have much to do in its groups, take many turns; when
 * the client goes in the middle, what was done by then belongs together, and the log has been told
 * of it. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 20000, AT_ONCE = 200, TRIES = 20 };

static struct server server;
static struct wire *control;

static void start(void)
{
    static const char *const short_slices[] = { "--slice-us", "10", "--appendonly", "yes", NULL };

    server_start(&server, &(struct server_options){ .own_arguments = short_slices });
    control = wire_open(&server);
}

static void stop(void)
{
    wire_close(control);
    server_stop(&server);
}

/* In a journal, all of it pending. */
static void fill(void)
{
    char value[300];

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    (void)ask_integer(control, "DEL s");
    expect_ok(control, "XGROUP CREATE s g 0 MKSTREAM");
    for (int i = 0; i < ENTRIES; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            wire_command(control, "XADD s * f %s", value);
        wire_command(control, "XREADGROUP GROUP g c COUNT %d STREAMS s >", AT_ONCE);
        wire_skip(control, AT_ONCE + 1);
    }
}

static long long count_pending(void)
{
    struct text reply = { 0 };
    long long count = -1;

    wire_command(control, "XPENDING s g");
    ck_assert_int_eq(wire_read(control, &reply), 1);
    ck_assert_int_eq(sscanf(text_string(&reply), "*4\r\n:%lld", &count), 1);
    text_finish(&reply);
    return count;
}

/* The command lies before the server when it is let go on; after so many more questions its client
 * is ended. Returns when nothing of it is under way any more. */
static void send_and_go(const char *command, int questions)
{
    struct wire *client = wire_open(&server);
    long long id = ask_integer(client, "CLIENT ID");

    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    wire_command(client, command);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    for (int i = 0; i < questions; i++)
        expect_text(control, "PONG", "PING");
    expect_integer(control, 1, "CLIENT KILL ID %lld", id);
    wire_close(client);
    info_wait(control, "connected_clients", 1);
    info_wait(control, "claims", 0);
}

/* How many are left of a stream, when it was cut in the middle. */
static long long trim_half_way(const char *command)
{
    for (int i = 0; i < TRIES; i++) {
        long long left;

        fill();
        send_and_go(command, i);
        left = ask_integer(control, "XLEN s");
        ck_assert_int_eq(count_pending(), left);
        if (left > 1 && left < ENTRIES) return left;
    }
    ck_abort_msg("%s always came to its end", command);
}

static void expect_again(long long left, long long pending)
{
    wire_close(control);
    server_kill(&server);
    server_restart(&server);
    control = wire_open(&server);
    expect_integer(control, left, "XLEN s");
    ck_assert_int_eq(count_pending(), pending);
}

static void expect_trimmed(const char *command)
{
    long long left = trim_half_way(command);

    expect_again(left, left);
}

START_TEST(what_a_trim_has_made_forgotten_is_trimmed)
{
    expect_trimmed("XTRIM s MAXLEN 0 DELREF");
}
END_TEST

START_TEST(so_it_is_when_the_id_tells_where_it_ends)
{
    expect_trimmed("XTRIM s MINID 9999999999999 DELREF");
}
END_TEST

/* ---- what goes on without its client
 * ------------------------------------------------------------ */

enum {
    DROPPED_AT_ONCE = 256, /* of what a consumer has pending */
    LEAST_SLICES = 20      /* of less work */
};

START_TEST(a_consumer_goes_in_as_many_turns_when_its_client_has_gone)
{
    long long slices, pending = ENTRIES;

    for (int i = 0; i < TRIES && pending == ENTRIES; i++) { /* who goes at once is not served */
        fill();
        slices = info_number(control, "slices");
        send_and_go("XGROUP DELCONSUMER s g c", i);
        pending = count_pending();
    }
    ck_assert_int_eq(pending, 0);
    ck_assert_int_ge(info_number(control, "slices"), slices + ENTRIES / DROPPED_AT_ONCE);
    expect_again(ENTRIES, 0);
}
END_TEST

enum { MANY = 10000 };

/* A short stream, and much of it that has gone is pending. */
static void fill_short(void)
{
    expect_ok(control, "XGROUP CREATE t g 0 MKSTREAM");
    for (int i = 0; i < MANY; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            wire_command(control, "XADD t MAXLEN %d %d-0 f v", AT_ONCE, i + k + 1);
        wire_command(control, "XREADGROUP GROUP g c STREAMS t >");
        wire_skip(control, AT_ONCE + 1);
    }
}

START_TEST(a_consumer_in_a_transaction_goes_in_many_turns)
{
    long long slices;

    fill_short();
    slices = info_number(control, "slices");
    expect_ok(control, "MULTI");
    expect_text(control, "QUEUED", "XGROUP DELCONSUMER t g c");
    expect_text(control, "1) (integer) 10000", "EXEC");
    ck_assert_int_ge(info_number(control, "slices"), slices + MANY / DROPPED_AT_ONCE);
}
END_TEST

/* ---- producers
 * ---------------------------------------------------------------------------------- */

START_TEST(what_producers_have_added_is_copied_in_many_turns)
{
    enum { OF_EACH = 10000 };
    long long slices;

    expect_string(control, "1-0", "XADD p 1-0 f v");
    expect_ok(control, "XCFGSET p IDMP-MAXSIZE %d", OF_EACH);
    for (int i = 0; i < ENTRIES; i += AT_ONCE) {
        for (int k = i; k < i + AT_ONCE; k++)
            wire_command(control, "XIDMPRECORD p name%d %d 1-0", k / OF_EACH, k);
        wire_skip(control, AT_ONCE);
    }
    slices = info_number(control, "slices");
    expect_integer(control, 1, "COPY p q");
    ck_assert_int_ge(info_number(control, "slices"), slices + LEAST_SLICES);
    expect_integer(control, 1, "DEL p");
    expect_string(control, "1-0", "XADD q IDMP name0 5 * f v");
    expect_string(control, "1-0", "XADD q IDMP name1 19999 * f v");
    expect_integer(control, 1, "XLEN q");
}
END_TEST

/* ---- many ids
 * ----------------------------------------------------------------------------------- */

enum {
    LEFT = ENTRIES / 100,
    NAMED = ENTRIES - LEFT,
    NAMED_AGAIN = ENTRIES / 10 - LEFT,
    NOT_THERE = ENTRIES / 10,
};

/* Entry n has the id n-0; all are pending. */
static void fill_numbered(void)
{
    char value[300];

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    expect_ok(control, "XGROUP CREATE s g 0 MKSTREAM");
    for (int i = 1; i <= ENTRIES; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            wire_command(control, "XADD s %d-0 f %s", i + k, value);
        wire_command(control, "XREADGROUP GROUP g c COUNT %d STREAMS s >", AT_ONCE);
        wire_skip(control, AT_ONCE + 1);
    }
}

/* Behind the words: all entries but every hundredth, in no order, every tenth of them twice, and
 * ids that no entry has. The answer is added to reply. */
static void ask_of_many(const char *const *words, int word_count, struct text *reply)
{
    enum { STRIDE = 7919, TEXT_BYTES = 16, MOST = 2 * ENTRIES };
    const char **items = calloc(MOST, sizeof(*items));
    char(*texts)[TEXT_BYTES] = calloc(MOST, TEXT_BYTES);
    int count = word_count;

    ck_assert(items && texts);
    memcpy((void *)items, (const void *)words, (size_t)word_count * sizeof(*words));
    for (int i = 0; i < ENTRIES; i++) {
        int number = (int)((long long)i * STRIDE % ENTRIES) + 1;

        for (int again = 0; number % 100 != 0 && again < 1 + (number % 10 < 2); again++) {
            (void)snprintf(texts[count], TEXT_BYTES, "%d-%d", number, again * (number % 10));
            items[count] = texts[count];
            count++;
        }
    }
    ck_assert_int_eq(count - word_count, NAMED + NAMED_AGAIN + NOT_THERE);
    wire_command_argv(control, count, items, NULL);
    ck_assert_int_eq(wire_read(control, reply), 1);
    free((void *)items);
    free((void *)texts);
}

static int count_in(const struct text *reply, const char *word)
{
    int count = 0;

    for (const char *at = text_string(reply); (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

START_TEST(many_ids_are_deleted_in_many_turns)
{
    static const char *const words[] = { "XDEL", "s" };
    struct text reply = { 0 };
    long long slices;

    fill_numbered();
    slices = info_number(control, "slices");
    ask_of_many(words, 2, &reply);
    ck_assert_str_eq(text_string(&reply), ":19800\r\n");
    ck_assert_int_ge(info_number(control, "slices"), slices + LEAST_SLICES);
    expect_integer(control, LEFT, "XLEN s");
    expect_integer(control, 1, "XDEL s 99-0 100-0 101-0");
    text_finish(&reply);
}
END_TEST

START_TEST(so_are_many_that_groups_refer_to)
{
    static const char *const words[] = { "XDELEX", "s", "DELREF", "IDS", "23600" };
    struct text reply = { 0 };
    long long slices;

    fill_numbered();
    slices = info_number(control, "slices");
    ask_of_many(words, 5, &reply);
    ck_assert_int_eq(count_in(&reply, ":1\r\n"), NAMED);
    ck_assert_int_eq(count_in(&reply, ":-1\r\n"), NAMED_AGAIN + NOT_THERE);
    ck_assert_int_ge(info_number(control, "slices"), slices + LEAST_SLICES);
    expect_integer(control, LEFT, "XLEN s");
    ck_assert_int_eq(count_pending(), LEFT);
    text_finish(&reply);
}
END_TEST

START_TEST(many_ids_are_acknowledged_in_many_turns)
{
    static const char *const words[] = { "XACK", "s", "g" };
    struct text reply = { 0 };
    long long slices;

    fill_numbered();
    slices = info_number(control, "slices");
    ask_of_many(words, 3, &reply);
    ck_assert_str_eq(text_string(&reply), ":19800\r\n");
    ck_assert_int_ge(info_number(control, "slices"), slices + LEAST_SLICES);
    ck_assert_int_eq(count_pending(), LEFT);
    text_finish(&reply);
}
END_TEST

/* ---- how much fits
 * ------------------------------------------------------------------------------ */

static void expect_some_slices(const char *command, int64_t least)
{
    int64_t before = info_number(control, "slices");

    wire_command(control, command);
    wire_skip(control, 1);
    before = info_number(control, "slices") - before;
    ck_assert_msg(before >= least, "%.40s: %d", command, (int)before);
}

static void expect_slices(const char *command)
{
    expect_some_slices(command, LEAST_SLICES);
}

/* How often the answer has that. */
static int count_told(const char *command, const char *word)
{
    struct text reply = { 0 };
    size_t size = strlen(word);
    int count = 0;

    wire_command(control, command);
    ck_assert_int_eq(wire_read(control, &reply), 1);
    for (size_t at = 0; at + size <= reply.size; at++)
        count += memcmp(reply.bytes + at, word, size) == 0;
    text_finish(&reply);
    return count;
}

START_TEST(others_have_a_turn_while_it_is_looked_how_much_fits)
{
    fill_numbered();
    expect_ok(control, "XGROUP CREATE s h 0");
    expect_slices("XREAD MAXSIZE 1000000000 STREAMS s 0");
    expect_slices("XREADGROUP GROUP h c MAXSIZE 1000000000 STREAMS s >");
}
END_TEST

START_TEST(others_have_a_turn_while_much_is_given_again_or_told)
{
    fill_short();
    expect_slices("XREADGROUP GROUP g c STREAMS t 0");
    expect_slices("XPENDING t g - + 1000000");
    expect_slices("XPENDING t g - + 1000000 c");
    /* All of it is looked for, and one is taken. */
    expect_some_slices("XREADGROUP GROUP g e CLAIM 0 COUNT 1000000 MAXSIZE 1 STREAMS t >", 4);
    expect_slices("XREADGROUP GROUP g d CLAIM 0 STREAMS t >");
}
END_TEST

/* Each has one entry. */
START_TEST(others_have_a_turn_while_many_consumers_are_told)
{
    expect_ok(control, "XGROUP CREATE t g 0 MKSTREAM");
    for (int i = 0; i < MANY; i += AT_ONCE) {
        for (int k = 1; k <= AT_ONCE; k++) {
            wire_command(control, "XADD t %d-0 f v", i + k);
            wire_command(control, "XREADGROUP GROUP g c%d STREAMS t >", i + k);
        }
        wire_skip(control, 2 * AT_ONCE);
    }
    expect_slices("XPENDING t g");
    expect_slices("XINFO CONSUMERS t g");
    expect_slices("XINFO STREAM t FULL COUNT 1");
    ck_assert_int_eq(count_told("XPENDING t g", "\r\n$1\r\n1\r\n"), MANY);
    ck_assert_int_eq(count_told("XINFO CONSUMERS t g", "\r\npending\r\n:1\r\n"), MANY);
}
END_TEST

START_TEST(others_have_a_turn_while_many_groups_are_told)
{
    enum { GROUPS = 4000 };

    fill_numbered();
    for (int i = 0; i < GROUPS; i++)
        wire_command(control, "XGROUP CREATE s group%d %d", i, i * (ENTRIES / GROUPS));
    wire_skip(control, GROUPS);
    expect_some_slices("XINFO GROUPS s", 4);
    expect_some_slices("XINFO STREAM s FULL", 4);
    ck_assert_int_eq(count_told("XINFO GROUPS s", "$3\r\nlag\r\n"), GROUPS + 1);
}
END_TEST

START_TEST(others_have_a_turn_while_much_is_claimed)
{
    struct text claim = { 0 };

    fill_short();
    text_add_string(&claim, "XCLAIM t g d 0");
    for (int i = 1; i <= MANY; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), " %d-0", i);
        text_add_string(&claim, id);
    }
    expect_slices(text_string(&claim));
    text_finish(&claim);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("long streams in fibers");
    TCase *tcase = suite_case(suite, "half-way");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, what_a_trim_has_made_forgotten_is_trimmed);
    tcase_add_test(tcase, so_it_is_when_the_id_tells_where_it_ends);
    tcase_add_test(tcase, a_consumer_goes_in_as_many_turns_when_its_client_has_gone);
    tcase_add_test(tcase, a_consumer_in_a_transaction_goes_in_many_turns);
    tcase_add_test(tcase, what_producers_have_added_is_copied_in_many_turns);
    tcase_add_test(tcase, many_ids_are_deleted_in_many_turns);
    tcase_add_test(tcase, so_are_many_that_groups_refer_to);
    tcase_add_test(tcase, many_ids_are_acknowledged_in_many_turns);
    tcase_add_test(tcase, others_have_a_turn_while_it_is_looked_how_much_fits);
    tcase_add_test(tcase, others_have_a_turn_while_much_is_given_again_or_told);
    tcase_add_test(tcase, others_have_a_turn_while_many_groups_are_told);
    tcase_add_test(tcase, others_have_a_turn_while_much_is_claimed);
    tcase_add_test(tcase, others_have_a_turn_while_many_consumers_are_told);
    return suite_run(suite);
}
