/* CONFIG SET appendonly yes whose way is cut short at each of its steps: by a disk that turns out
 * to be full, by kill -9, by being called off too late. There is a log then, or all is as it was.
 */
#include "client-tests/durability/switching.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct text reply;

static bool ask(const char *command)
{
    text_clear(&reply);
    wire_command(wire, command);
    return wire_read(wire, &reply) == 1;
}

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
        start_in("no", past == PAST_LOG ? "always" : "everysec");
        make_past(past);
        (void)snprintf(inject, sizeof(inject), "%s:signal=KILL:when=%u", steps, kills + 1);
        if (!trace(steps, inject)) {
            end();
            return;
        }
        lives = switch_and_push(&answered);
        server_kill(&server);
        mend();
        restart();
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
    restart();
    expect_integer(wire, 1, "LLEN list");
out:
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("switching steps");
    TCase *cases = suite_case(suite, "switching steps");

    tcase_add_test(cases, a_full_disk_leaves_it_off);
    tcase_add_loop_test(cases, a_kill_at_any_step_leaves_one_or_the_other, 0, PAST_COUNT);
    tcase_add_test(cases, a_checkpoint_that_comes_too_late_has_its_log);
    return suite_run(suite);
}
