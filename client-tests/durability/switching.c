/* CONFIG SET appendonly yes and no while the server works: what was answered while the log counts
 * is there after a kill, what it had is not done to what is newer, and a step that fails or is cut
 * short leaves what there was. strace fails calls, and kills at them. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EITHER = -1 };

static const char *const modes[] = { "always", "everysec", "no" };

static struct server server;
static struct wire *wire;
static struct tracer tracer;
static bool is_traced;

static void start_with(const char *appendonly, const char *fsync, const char *threads)
{
    static const char *arguments[] = { "--appendonly",
                                       NULL,
                                       "--appendfsync",
                                       NULL,
                                       "--enable-debug-command",
                                       "yes",
                                       "--spill-io-threads",
                                       NULL,
                                       NULL };
    struct server_options options = { .own_arguments = arguments };

    arguments[1] = appendonly;
    arguments[3] = fsync;
    arguments[7] = threads;
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void start(const char *appendonly, const char *fsync)
{
    start_with(appendonly, fsync, "1"); /* strace counts the calls of each thread */
}

static void end(void)
{
    if (is_traced) tracer_stop(&tracer, NULL);
    is_traced = false;
    wire_close(wire);
    server_stop(&server);
}

static void kill_and_restart(void)
{
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
}

static void expect_field(const char *field, const char *value)
{
    struct text text = { 0 };

    ck_assert(info_text(wire, field, &text));
    ck_assert_str_eq(text_string(&text), value);
    text_finish(&text);
}

/* What it is at; a switch is a dozen syncs, each of which a busy disk may hold up for seconds. */
static void read_steps(struct text *out)
{
    text_clear(out);
    ck_assert(info_text(wire, "log_switch", out));
    text_format(out, " ");
    ck_assert(info_text(wire, "checkpoint_state", out));
}

/* Until nothing is under way and there is a log that counts, or none, or either; as long as it gets
 * on. */
static void wait_until(int64_t is_enabled)
{
    struct text before = { 0 }, now = { 0 };
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (;;) {
        read_steps(&now);
        if (text_string(&now)[0] == ' ' &&
            (is_enabled == EITHER || info_number(wire, "aof_enabled") == is_enabled))
            break;
        if (strcmp(text_string(&now), text_string(&before)) != 0)
            deadline_ms = clock_ms() + WAIT_MS;
        text_clear(&before);
        text_format(&before, "%s", text_string(&now));
        ck_assert_msg(clock_probe(deadline_ms), "it stays at: %s", text_string(&now));
    }
    text_finish(&before);
    text_finish(&now);
}

static void wait_until_switched(void)
{
    wait_until(EITHER);
}

static void switch_on(void)
{
    expect_ok(wire, "CONFIG SET appendonly yes");
    wait_until(1);
    ck_assert_int_eq(info_number(wire, "aof_rewrite_in_progress"), 0);
}

static void switch_off(void)
{
    expect_ok(wire, "CONFIG SET appendonly no");
    wait_until(0);
}

static void expect_off(void)
{
    wait_until_switched();
    expect_text(wire, "1) \"appendonly\"\n2) \"no\"", "CONFIG GET appendonly");
    expect_field("aof_enabled", "0");
    expect_field("aof_last_write_status", "ok");
}

/* False: this test is skipped. */
static bool trace(const char *calls, const char *inject)
{
    if (strstr(suite_build_directory(), "/asan/")) {
        suite_skip("strace and the leak sanitizer do not go together");
        return false;
    }
    is_traced = tracer_start(&tracer, &server, calls, inject);
    if (!is_traced) suite_skip("strace may not attach on this machine");
    return is_traced;
}

static void mend(void)
{
    tracer_stop(&tracer, NULL);
    is_traced = false;
}

/* ---- what it is for ---------------------------------------------------------------------------
 */

START_TEST(what_was_answered_is_there_once_it_counts)
{
    start("no", modes[_i]);
    expect_ok(wire, "SET before 1");
    expect_integer(wire, 3, "RPUSH list a b c");
    switch_on();
    expect_integer(wire, 2, "INCR before");
    expect_string(wire, "a", "LPOP list");
    kill_and_restart();
    expect_string(wire, "2", "GET before");
    expect_integer(wire, 2, "LLEN list");
    end();
}
END_TEST

START_TEST(what_the_log_had_is_not_done_to_what_is_newer)
{
    start("no", modes[_i]);
    for (int64_t round = 0; round < 4; round++) {
        switch_on();
        expect_integer(wire, 3 * round + 1, "INCR n");
        switch_off();
        expect_integer(wire, 3 * round + 2, "INCR n");
        if (round % 2) expect_ok(wire, "SAVE");
        expect_integer(wire, 3 * round + 3, "INCR n");
        if (round % 2) expect_ok(wire, "DEBUG RELOAD");
    }
    expect_ok(wire, "SAVE");
    expect_integer(wire, 13, "INCR n"); /* lost, as it should be */
    kill_and_restart();
    expect_string(wire, "12", "GET n");
    end();
}
END_TEST

START_TEST(a_start_goes_on_from_where_the_log_ended)
{
    start("yes", modes[_i]);
    expect_integer(wire, 1, "INCR n");
    switch_off();
    expect_integer(wire, 2, "INCR n");
    kill_and_restart(); /* with the log, as it is told */
    expect_string(wire, "1", "GET n");
    expect_integer(wire, 2, "INCR n");
    switch_off();
    switch_on();
    expect_integer(wire, 3, "INCR n");
    kill_and_restart();
    expect_string(wire, "3", "GET n");
    end();
}
END_TEST

START_TEST(it_may_be_asked_for_the_other_before_it_is_there)
{
    start("no", modes[_i]);
    expect_ok(wire, "SET before 1");
    for (unsigned i = 0; i < 30; i++) {
        wire_command(wire, "CONFIG SET appendonly %s", i % 2 ? "no" : "yes");
        wire_command(wire, "RPUSH list %u", i);
        if (i % 3 == 0) wire_command(wire, "BGSAVE");
        wire_skip(wire, i % 3 == 0 ? 3 : 2);
        if (i % 5 == 0) usleep(2000);
    }
    expect_off();
    switch_on();
    expect_integer(wire, 31, "RPUSH list last");
    kill_and_restart();
    expect_integer(wire, 31, "LLEN list");
    end();
}
END_TEST

START_TEST(who_waits_for_a_sync_is_told_that_there_is_no_log)
{
    static const char refusal[] =
        "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    static const char synced[] = "1) (integer) 1\n2) (integer) 0";
    struct wire *waiting;

    start("no", "no");
    expect_error(wire, refusal, "WAITAOF 1 0 0");
    switch_on();
    expect_ok(wire, "SET k 1");
    expect_text(wire, synced, "WAITAOF 1 0 0");
    waiting = wire_open(&server);
    expect_ok(waiting, "SET k 2");
    wire_command(waiting, "WAITAOF 1 1 0"); /* a replica that there is not */
    info_wait(wire, "blocked_clients", 1);
    switch_off();
    expect_error(waiting, refusal, "");
    wire_close(waiting);
    expect_error(wire, refusal, "WAITAOF 1 0 0");
    switch_on();
    expect_ok(wire, "SET k 3");
    expect_text(wire, synced, "WAITAOF 1 0 0");
    end();
}
END_TEST

/* ---- failures ---------------------------------------------------------------------------------
 */

START_TEST(a_failure_leaves_it_off)
{
    struct wire *writer;

    start("no", modes[_i]);
    writer = wire_open(&server);
    expect_ok(wire, "SET before 1");
    if (!trace("fdatasync,fsync,msync", "fdatasync,fsync,msync:error=EIO")) goto out;
    expect_ok(wire, "CONFIG SET appendonly yes");
    for (unsigned i = 1; i <= 50; i++) /* whatever it is at: nobody is refused */
        expect_integer(writer, i, "RPUSH list %u", i);
    server_wait_log(&server, "The operation log could not begin: Input/output error");
    expect_off();
    expect_field("log_switch_last_error", "Input/output error");
    expect_integer(wire, 51, "RPUSH list last");
    mend();
    switch_on();
    expect_field("log_switch_last_error", "");
    expect_integer(wire, 52, "RPUSH list more");
    kill_and_restart();
    expect_integer(wire, 52, "LLEN list");
out:
    wire_close(writer);
    end();
}
END_TEST

/* Each sync of the way fails once: it is off, and all is as it was, or on. */
START_TEST(each_sync_fails_once)
{
    char inject[64];

    start("no", modes[_i]);
    for (unsigned nth = 1, length = 0; nth <= 8; nth++) {
        (void)snprintf(inject, sizeof(inject), "fdatasync,fsync,msync:error=EIO:when=%u", nth);
        if (!trace("fdatasync,fsync,msync", inject)) goto out;
        expect_ok(wire, "CONFIG SET appendonly yes");
        wait_until_switched();
        mend();
        expect_integer(wire, ++length, "RPUSH list x");
        if (nth % 2) expect_ok(wire, "SAVE");
        switch_on();
        expect_integer(wire, ++length, "RPUSH list x");
        kill_and_restart();
        expect_integer(wire, length, "LLEN list");
    }
out:
    end();
}
END_TEST

START_TEST(a_log_that_cannot_be_synced_does_not_end)
{
    start("yes", "no"); /* nothing is synced before it is to end */
    expect_ok(wire, "SET before 1");
    if (!trace("fdatasync,fsync,msync", "fdatasync,fsync,msync:error=EIO")) goto out;
    expect_ok(wire, "SET lost 1");
    expect_ok(wire, "CONFIG SET appendonly no");
    server_wait_log(&server, "The operation log could not be brought to its end");
    expect_text(wire, "1) \"appendonly\"\n2) \"yes\"", "CONFIG GET appendonly");
    expect_error(wire, "MISCONF", "SET k 1");
    expect_error(wire,
                 "ERR CONFIG SET failed (possibly related to argument 'appendonly') - the "
                 "operation log has failed",
                 "CONFIG SET appendonly no");
    mend();
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET after 1");
    kill_and_restart();
    expect_integer(wire, 3, "EXISTS before lost after");
    switch_off();
    expect_ok(wire, "SET off 1");
out:
    end();
}
END_TEST

/* ---- a full disk ------------------------------------------------------------------------------
 */

static char mount_point[512];

/* False: this machine does not let us. */
static bool start_on_a_small_disk(void)
{
    static const char *const arguments[] = { "--appendonly", "no", "--maxmemory", "64mb", NULL };
    struct server_options options = { .own_arguments = arguments, .data_directory = mount_point };

    (void)snprintf(mount_point, sizeof(mount_point), "%s/small", suite_directory());
    ck_assert(mkdir(mount_point, 0700) == 0 || errno == EEXIST);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, "size=24m") != 0) {
        suite_skip("a full disk: mounting a tmpfs needs root");
        return false;
    }
    server_start(&server, &options);
    wire = wire_open(&server);
    return true;
}

/* Leaves so many bytes free. */
static void fill_disk(off_t left_bytes)
{
    char path[600];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/filling", mount_point);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    for (off_t size = (24 << 20) - left_bytes; posix_fallocate(fd, 0, size) != 0; size -= 65536)
        ck_assert_int_gt(size, 65536);
    close(fd);
}

static struct text reply;

static bool ask(const char *command)
{
    text_clear(&reply);
    wire_command(wire, command);
    return wire_read(wire, &reply) == 1;
}

/* Nobody is refused by the log before it counts; the lists, for which a checkpoint keeps room, may
 * refuse what grows them. */
static void count_until_switched(unsigned *n)
{
    while (info_number(wire, "aof_rewrite_in_progress") == 1) {
        ck_assert(ask("INCR n"));
        if (reply.bytes[0] == ':') {
            ++*n;
        } else {
            ck_assert_msg(info_number(wire, "aof_enabled") == 1, "%s", text_string(&reply));
        }
    }
    wait_until_switched();
}

/* At whatever step the disk turns out to be full. */
START_TEST(a_full_disk_leaves_it_off)
{
    unsigned n = 0, failures = 0;
    char path[600];

    if (!start_on_a_small_disk()) return;
    for (off_t left_kib = 0; left_kib <= 8192; left_kib += 512) {
        fill_disk(left_kib << 10);
        expect_ok(wire, "CONFIG SET appendonly yes");
        count_until_switched(&n);
        if (info_number(wire, "aof_enabled") == 0) {
            expect_off();
            expect_field("log_switch_last_error", "No space left on device");
            failures++;
        } else {
            switch_off();
        }
        expect_integer(wire, ++n, "INCR n");
    }
    ck_assert_uint_gt(failures, 4);
    (void)snprintf(path, sizeof(path), "%s/filling", mount_point);
    ck_assert_int_eq(unlink(path), 0);
    switch_on();
    expect_integer(wire, ++n, "INCR n");
    kill_and_restart();
    expect_integer(wire, n + 1, "INCR n");
    end();
}
END_TEST

/* ---- killed between the steps -----------------------------------------------------------------
 */

static const char renames[] = "rename,renameat,renameat2";
static const char steps[] = "fsync,fdatasync,msync,mkdir,rename,unlink,rmdir,ftruncate,fallocate";

enum past { PAST_NOTHING, PAST_CHECKPOINT, PAST_LOG, PAST_COUNT };

/* What there is on the disk before. */
static void make_past(enum past past)
{
    expect_ok(wire, "SET before 1");
    if (past == PAST_CHECKPOINT) expect_ok(wire, "SAVE");
    if (past != PAST_LOG) return;
    switch_on();
    expect_ok(wire, "SET before 2");
    switch_off();
}

/* Pushes until the server is dead, or the log counts. How many were answered; true: it lives. */
static bool switch_and_push(unsigned *out_answered)
{
    *out_answered = 0;
    if (!ask("CONFIG SET appendonly yes")) return false;
    while (ask("RPUSH list x")) {
        (*out_answered)++;
        if (!ask("INFO persistence")) return false;
        if (strstr(text_string(&reply), "aof_enabled:1")) return true;
    }
    return false;
}

/* Its checkpoint has its name: all of it; or not: as it was before. */
static void expect_one_or_the_other(enum past past, unsigned answered)
{
    long long length = ask_integer(wire, "LLEN list");

    if (length > 0) {
        ck_assert_int_ge(length, answered);
        ck_assert_int_le(length, answered + 1);
    }
    if (past == PAST_NOTHING && length == 0) return;
    expect_string(wire, past == PAST_LOG ? "2" : "1", "GET before");
}

START_TEST(a_kill_at_any_step_leaves_one_or_the_other)
{
    enum past past = (enum past)_i;
    char inject[128];
    unsigned answered, kills = 0;

    for (bool lives = false; !lives; kills += !lives) {
        ck_assert_uint_lt(kills, 60);
        start("no", past == PAST_LOG ? "always" : "everysec");
        make_past(past);
        (void)snprintf(inject, sizeof(inject), "%s:signal=KILL:when=%u", steps, kills + 1);
        if (!trace(steps, inject)) {
            end();
            return;
        }
        lives = switch_and_push(&answered);
        server_kill(&server);
        mend();
        wire_close(wire);
        server_restart(&server);
        wire = wire_open(&server);
        expect_one_or_the_other(past, answered);
        switch_on(); /* whatever was left behind */
        expect_integer(wire, 1, "RPUSH other x");
        kill_and_restart();
        expect_integer(wire, 1, "LLEN other");
        end();
    }
    ck_assert_uint_gt(kills, 5);
    (void)printf("killed at %u steps\n", kills);
    text_finish(&reply);
}
END_TEST

/* True: a checkpoint was given up, and has its name all the same. */
static bool give_up_too_late(int64_t number)
{
    struct text state = { 0 };

    expect_ok(wire, "CONFIG SET appendonly yes");
    do {
        text_clear(&state);
        ck_assert(info_text(wire, "checkpoint_state", &state));
    } while (strcmp(text_string(&state), "writing") != 0);
    text_finish(&state);
    expect_ok(wire, "CONFIG SET appendonly no");
    wait_until_switched();
    expect_ok(wire, "CONFIG SET appendonly yes");
    while (info_number(wire, "aof_enabled") == 0) {
        if (info_number(wire, "checkpoint_number") > number) return true;
    }
    return false;
}

/* A start goes on with the log of the trial that it belongs to: the next trial, which is asked for
 * before it is there, must not take that for a leftover. */
START_TEST(a_checkpoint_that_comes_too_late_has_its_log)
{
    unsigned attempts = 0;
    int64_t number;

    start_with("no", "always", "4");
    make_past(PAST_LOG); /* with which a start would go on instead */
    expect_integer(wire, 1, "RPUSH list x");
    number = info_number(wire, "checkpoint_number");
    /* The file is written, and the name is a long time coming. */
    if (!trace(renames, "rename,renameat,renameat2:delay_enter=300000")) goto out;
    while (!give_up_too_late(number)) {
        ck_assert_uint_lt(++attempts, 20);
        switch_off();
        number = info_number(wire, "checkpoint_number");
    }
    server_kill(&server);
    mend();
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, 1, "LLEN list");
out:
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("switching");
    TCase *cases = suite_case(suite, "switching");

    tcase_add_loop_test(cases, what_was_answered_is_there_once_it_counts, 0, 3);
    tcase_add_loop_test(cases, what_the_log_had_is_not_done_to_what_is_newer, 0, 3);
    tcase_add_loop_test(cases, a_start_goes_on_from_where_the_log_ended, 0, 3);
    tcase_add_loop_test(cases, it_may_be_asked_for_the_other_before_it_is_there, 0, 3);
    tcase_add_test(cases, who_waits_for_a_sync_is_told_that_there_is_no_log);
    tcase_add_loop_test(cases, a_failure_leaves_it_off, 0, 3);
    tcase_add_loop_test(cases, each_sync_fails_once, 0, 2);
    tcase_add_test(cases, a_log_that_cannot_be_synced_does_not_end);
    tcase_add_test(cases, a_full_disk_leaves_it_off);
    tcase_add_loop_test(cases, a_kill_at_any_step_leaves_one_or_the_other, 0, PAST_COUNT);
    tcase_add_test(cases, a_checkpoint_that_comes_too_late_has_its_log);
    return suite_run(suite);
}
