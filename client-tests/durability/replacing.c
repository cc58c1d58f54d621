/* The log fails, and writes come back without a restart: another log behind a checkpoint. strace
 * fails the calls. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char syncs[] = "fdatasync,fsync,msync";
static const char *const modes[] = { "always", "everysec", "no" };

static struct server server;
static struct wire *wire;
static struct tracer tracer;
static bool is_traced;

static void start(const char *fsync)
{
    static const char *arguments[] = { "--appendonly", "yes", "--appendfsync", NULL, NULL };
    struct server_options options = { .own_arguments = arguments };

    arguments[3] = fsync;
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void end(void)
{
    if (is_traced) tracer_stop(&tracer, NULL);
    is_traced = false;
    wire_close(wire);
    server_stop(&server);
}

/* From now on every sync fails. False: this test is skipped. */
static bool fail_syncs(void)
{
    if (strstr(suite_build_directory(), "/asan/")) {
        suite_skip("strace and the leak sanitizer do not go together");
        return false;
    }
    is_traced = tracer_start(&tracer, &server, syncs, "fdatasync,fsync,msync:error=EIO");
    if (!is_traced) suite_skip("strace may not attach on this machine");
    return is_traced;
}

static void mend_syncs(void)
{
    tracer_stop(&tracer, NULL);
    is_traced = false;
}

static void reconnect(void)
{
    wire_close(wire);
    wire = wire_open(&server);
}

static void wait_for_state(const char *field, const char *value)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    bool is_there;

    do {
        struct text text = { 0 };

        is_there = info_text(wire, field, &text) && strcmp(text_string(&text), value) == 0;
        text_finish(&text);
        if (!is_there) ck_assert_msg(clock_probe(deadline_ms), "%s is never %s", field, value);
    } while (!is_there);
}

/* A write meets the failed sync, whose client is closed where it had to wait for that; the first
 * attempt at another log fails as well. */
static void break_log(const char *fsync)
{
    int64_t attempts = info_number(wire, "log_replace_attempts");

    wire_command(wire, "SET k lost");
    if (strcmp(fsync, "always") == 0) {
        expect_no_answer(wire);
        reconnect();
    } else {
        wire_skip(wire, 1);
        if (strcmp(fsync, "no") == 0) wire_command(wire, "WAITAOF 1 0 0"); /* syncs */
        if (strcmp(fsync, "no") == 0) reconnect();
    }
    info_wait_least(wire, "log_replace_attempts", attempts + 1);
    wait_for_state("log_state", "failed");
}

static void expect_state(const char *field, const char *value)
{
    struct text text = { 0 };

    ck_assert(info_text(wire, field, &text));
    ck_assert_str_eq(text_string(&text), value);
    text_finish(&text);
}

static unsigned count_logs(void)
{
    DIR *directory = opendir(server.data_path);
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, "log", 3) == 0 && strcmp(entry->d_name, "log.reserve") != 0;
    closedir(directory);
    return count;
}

/* A moment after it counts. */
static void expect_one_log(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (count_logs() != 1)
        ck_assert(clock_probe(deadline_ms));
}

static void expect_writable(void)
{
    expect_state("log_state", "ok");
    expect_state("aof_last_write_status", "ok");
    expect_state("aof_last_bgrewrite_status", "ok");
    expect_ok(wire, "SET after value");
    expect_integer(wire, 1, "RPUSH queue new");
    expect_string(wire, "new", "LPOP queue");
}

static void expect_whole_on_disk(void)
{
    char command[2 * PATH_MAX];

    (void)snprintf(command, sizeof(command), "%s/sluice-check %s", suite_build_directory(),
                   server.data_path);
    ck_assert_int_eq(system(command), 0);
}

static void expect_all_after_kill(const char *k)
{
    server_kill(&server);
    wire_close(wire);
    expect_whole_on_disk();
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "value", "GET before");
    expect_string(wire, "value", "GET after");
    expect_text(wire, k, "GET k");
    expect_integer(wire, 0, "EXISTS queue");
    ck_assert_uint_eq(count_logs(), 1);
}

START_TEST(writes_come_back_by_themselves)
{
    start(modes[_i]);
    expect_ok(wire, "SET before value");
    if (!fail_syncs()) goto out;
    break_log(modes[_i]);
    expect_error(wire, "MISCONF Errors writing to the AOF file: Input/output error", "SET k 2");
    expect_error(wire, "MISCONF", "LPOP queue");
    expect_text(wire, "PONG", "PING");
    expect_state("aof_last_write_status", "err");
    mend_syncs();
    info_wait(wire, "log_replaced", 1);
    expect_writable();
    expect_string(wire, "lost", "GET k"); /* it is in memory, and so in the checkpoint */
    expect_one_log();
    expect_all_after_kill("\"lost\"");
    expect_ok(wire, "SET after value");
out:
    end();
}
END_TEST

START_TEST(who_asks_for_a_checkpoint_need_not_wait)
{
    start("always");
    expect_ok(wire, "SET before value");
    if (!fail_syncs()) goto out;
    break_log("always");
    expect_error(wire, "ERR The checkpoint failed while", "SAVE");
    expect_error(wire, "MISCONF", "SET k 2");
    mend_syncs();
    expect_ok(wire, "SAVE");
    expect_writable();
    ck_assert_int_eq(info_number(wire, "log_replaced"), 1);
out:
    end();
}
END_TEST

/* The rewrite that fails is no rewrite that failed once a log stands on what SAVE has made. */
START_TEST(a_save_that_waits_is_the_checkpoint_of_the_other_log)
{
    start(modes[_i]);
    expect_ok(wire, "SET before value");
    if (!fail_syncs()) goto out;
    break_log(modes[_i]);
    expect_text(wire, "Background append only file rewriting started", "BGREWRITEAOF");
    wait_for_state("aof_last_bgrewrite_status", "err");
    mend_syncs();
    expect_ok(wire, "SAVE");
    expect_writable();
    expect_state("rdb_last_bgsave_status", "ok");
    ck_assert_int_eq(info_number(wire, "aof_rewrites"), 1);
    ck_assert_int_eq(info_number(wire, "rdb_saves"), 1);
out:
    end();
}
END_TEST

/* What a reader has seen with `always`, no loss of power takes back; this would. */
START_TEST(readers_are_not_shown_what_may_be_lost)
{
    start("always");
    expect_ok(wire, "SET before value");
    if (!fail_syncs()) goto out;
    break_log("always");
    expect_error(wire, "MISCONF", "GET k");
    expect_error(wire, "MISCONF", "KEYS *");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "GET k");
    expect_error(wire, "EXECABORT Transaction discarded because of: MISCONF", "EXEC");
    expect_ok(wire, "CONFIG SET appendfsync everysec"); /* then it may */
    expect_string(wire, "lost", "GET k");
    expect_ok(wire, "CONFIG SET appendfsync always");
    expect_error(wire, "MISCONF", "GET before");
    mend_syncs();
    expect_ok(wire, "SAVE");
    expect_string(wire, "lost", "GET k");
out:
    end();
}
END_TEST

START_TEST(it_may_fail_again_and_again)
{
    enum { TIMES = 3, ELEMENTS = 3000 };

    start(modes[_i]);
    for (unsigned time = 1; time <= TIMES; time++) {
        expect_ok(wire, "SET before value");
        expect_integer(wire, time, "RPUSH times %u", time);
        if (!fail_syncs()) goto out;
        break_log(modes[_i]);
        mend_syncs();
        expect_ok(wire, "SAVE");
        expect_writable();
        ck_assert_int_eq(info_number(wire, "log_replaced"), time);
    }
    expect_one_log();
    for (unsigned i = 0; i < ELEMENTS; i++)
        wire_command(wire, "RPUSH long %u", i);
    wire_skip(wire, ELEMENTS);
    expect_all_after_kill("\"lost\"");
    expect_integer(wire, TIMES, "LLEN times");
    expect_integer(wire, ELEMENTS, "LLEN long");
out:
    end();
}
END_TEST

START_TEST(a_kill_before_it_is_replaced_leaves_the_old_one)
{
    start(modes[_i]);
    expect_ok(wire, "SET before value");
    expect_ok(wire, "SET after value");
    if (!fail_syncs()) goto out;
    break_log(modes[_i]);
    server_kill(&server);
    tracer_stop(&tracer, NULL);
    is_traced = false;
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "value", "GET before");
    expect_string(wire, "value", "GET after");
    ck_assert_uint_eq(count_logs(), 1);
    expect_ok(wire, "SET k 3");
out:
    end();
}
END_TEST

/* What expires meanwhile was not logged anywhere, and what is written then is new. */
START_TEST(what_expires_meanwhile_does_not_come_back)
{
    start("everysec");
    expect_ok(wire, "SET before value");
    expect_integer(wire, 2, "RPUSH queue a b");
    if (!fail_syncs()) goto out;
    expect_integer(wire, 1, "PEXPIRE queue 1000");
    break_log("everysec");
    info_wait(wire, "expired_keys", 1);
    mend_syncs();
    expect_ok(wire, "SAVE");
    expect_writable();
    expect_integer(wire, 1, "RPUSH other a");
    expect_all_after_kill("\"lost\"");
out:
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replacing");
    TCase *cases = suite_case(suite, "replacing");

    tcase_add_loop_test(cases, writes_come_back_by_themselves, 0, 3);
    tcase_add_test(cases, who_asks_for_a_checkpoint_need_not_wait);
    tcase_add_loop_test(cases, a_save_that_waits_is_the_checkpoint_of_the_other_log, 0, 2);
    tcase_add_test(cases, readers_are_not_shown_what_may_be_lost);
    tcase_add_loop_test(cases, it_may_fail_again_and_again, 0, 2);
    tcase_add_loop_test(cases, a_kill_before_it_is_replaced_leaves_the_old_one, 0, 2);
    tcase_add_test(cases, what_expires_meanwhile_does_not_come_back);
    return suite_run(suite);
}
