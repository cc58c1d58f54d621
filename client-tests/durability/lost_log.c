/* The log that a checkpoint goes on with is not there any more: no server starts on the checkpoint
 * alone, whatever it is told of appendonly, until somebody gives the log up. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 5 * PATH_MAX };

static struct server server;
static struct wire *wire;

/* A checkpoint of two keys, one of them on disk in part, and writes behind it. */
static void set_up(void)
{
    static const char *const own[] = { "--appendonly",
                                       "yes",
                                       "--appendfsync",
                                       "always",
                                       "--list-memory-max",
                                       "256kb",
                                       "--list-chunk-bytes",
                                       "512",
                                       NULL };
    static const struct server_options options = { .own_arguments = own };

    server_start(&server, &options);
    wire = wire_open(&server);
    for (int i = 0; i < 3000; i++)
        wire_command(wire, "RPUSH list element-number-%d-of-the-list", i);
    wire_skip(wire, 3000);
    expect_ok(wire, "SET k saved");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET k later");
    wire_close(wire);
    server_kill(&server);
}

static void tear_down(void)
{
    server_stop(&server);
}

/* In the data directory. */
static void shell(const char *command)
{
    char line[LINE_BYTES];

    (void)snprintf(line, sizeof(line), "cd %s && %s", server.data_path, command);
    ck_assert_int_eq(system(line), 0); /* NOLINT(cert-env33-c): a test's own words */
}

static void expect_check(const char *option, int code, const char *words)
{
    char line[LINE_BYTES];
    int status;

    (void)snprintf(line, sizeof(line), "%s/sluice-check %s %s > %s/said 2>&1",
                   suite_build_directory(), option, server.data_path, server.directory);
    status = system(line); /* NOLINT(cert-env33-c): as above */
    ck_assert(WIFEXITED(status));
    (void)snprintf(line, sizeof(line), "grep -qF '%s' %s/said || { cat %s/said; false; }", words,
                   server.directory, server.directory);
    ck_assert_int_eq(system(line), 0); /* NOLINT(cert-env33-c): as above */
    ck_assert_int_eq(WEXITSTATUS(status), code);
}

/* Its data directory as it is: server_start_refused would make another. */
static void expect_refused(const char *appendonly, const char *words)
{
    char line[LINE_BYTES];

    (void)snprintf(
        line, sizeof(line),
        "timeout 60 %s --port 0 --dir %s --list-chunk-bytes 512 --appendonly %s >> %s 2>&1",
        server.program, server.data_path, appendonly, server.log_path);
    ck_assert_int_eq(WEXITSTATUS(system(line)), 1); /* NOLINT(cert-env33-c): as above */
    ck_assert_msg(server_log_has(&server, words), "%s", words);
}

static const char *const losses[] = { "rm -r log", "rm log/0000000001.log",
                                      "truncate -s 0 log/0000000001.log" };
enum { LOSSES = 3, ALL_OF_IT = 0 };

START_TEST(no_server_starts_without_it)
{
    const char *words = _i == ALL_OF_IT ? "that the checkpoint goes on with is missing in"
                                        : "is damaged where it had been synced: ";

    shell(losses[_i]);
    for (int round = 0; round < 2; round++) { /* the first leaves it as it is */
        expect_refused("yes", words);
        expect_refused("no", words);
    }
    expect_check("", 1, "by --cut-damage");
    expect_check("--repair", 1, "by --cut-damage"); /* that gives up nothing */
}
END_TEST

START_TEST(who_gives_it_up_has_what_the_checkpoint_holds)
{
    shell(losses[_i]);
    expect_check("--cut-damage", 0, "REPAIR log: all of it behind ");
    expect_check("", 0, "log: there is none");
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "saved", "GET k");
    expect_integer(wire, 3000, "LLEN list");
    expect_string(wire, "element-number-0-of-the-list", "LPOP list");
    expect_ok(wire, "SET k new");
    wire_close(wire);
    server_kill(&server);
    expect_check("", 0, "log: 2 frames with 2 commands are whole");
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "new", "GET k");
    expect_string(wire, "element-number-1-of-the-list", "LINDEX list 0");
    wire_close(wire);
}
END_TEST

/* Its frames are there: they are not given up with it. */
static const char *const lost_metas[] = {
    "rm log/meta", "printf damaged | dd of=log/meta bs=1 seek=100 conv=notrunc status=none"
};
enum { LOST_METAS = 2 };

START_TEST(a_log_without_its_meta_is_kept_and_can_be_mended)
{
    shell(lost_metas[_i]);
    expect_refused("yes", "its meta is damaged or missing");
    expect_check("", 1, ": --repair makes it anew");
    expect_check("--repair", 0, "/meta was made anew from the segments");
    expect_check("", 0, "are whole, up to 0000000001.log");
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "later", "GET k");
    expect_integer(wire, 3000, "LLEN list");
    expect_ok(wire, "SET k last");
    wire_close(wire);
    server_kill(&server);
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "last", "GET k");
    wire_close(wire);
}
END_TEST

START_TEST(segments_that_are_damaged_too_make_no_meta)
{
    shell("rm log/meta && printf damaged | "
          "dd of=log/0000000001.log bs=1 seek=8 conv=notrunc status=none");
    expect_check("--repair", 1, "segment 1 is not whole");
    expect_check("--cut-damage", 1, "/meta cannot be made anew");
    shell("test -s log/0000000001.log && test ! -e log/meta");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost_log");
    TCase *cases = suite_case(suite, "lost_log");

    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, no_server_starts_without_it, 0, LOSSES);
    tcase_add_loop_test(cases, who_gives_it_up_has_what_the_checkpoint_holds, 0, LOSSES);
    tcase_add_loop_test(cases, a_log_without_its_meta_is_kept_and_can_be_mended, 0, LOST_METAS);
    tcase_add_test(cases, segments_that_are_damaged_too_make_no_meta);
    return suite_run(suite);
}
