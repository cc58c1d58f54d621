/* Commands that go through a long stream, and whose client goes in the middle: what was done by
 * then belongs together, and the log has been told of it. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <signal.h>
#include <stdio.h>
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

static void expect_again(long long left)
{
    wire_close(control);
    server_kill(&server);
    server_restart(&server);
    control = wire_open(&server);
    expect_integer(control, left, "XLEN s");
    ck_assert_int_eq(count_pending(), left);
}

START_TEST(what_a_trim_has_made_forgotten_is_trimmed)
{
    expect_again(trim_half_way("XTRIM s MAXLEN 0 DELREF"));
}
END_TEST

START_TEST(so_it_is_when_the_id_tells_where_it_ends)
{
    expect_again(trim_half_way("XTRIM s MINID 9999999999999 DELREF"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams of clients that go");
    TCase *tcase = suite_case(suite, "half-way");

    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, what_a_trim_has_made_forgotten_is_trimmed);
    tcase_add_test(tcase, so_it_is_when_the_id_tells_where_it_ends);
    return suite_run(suite);
}
