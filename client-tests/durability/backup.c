/* SL.BACKUP: a directory that a server starts on, with all that was answered before the command,
 * whatever went on meanwhile; what is not whole is not taken for a backup.
 *
 * Under load each client has keys of its own and does one unit after the other, so that what a
 * backup holds of them must be what they held after one of its units: not before the last one that
 * was answered when the command was sent, not behind the last one that was sent when its answer
 * came. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OWNERS = 4,
    FIRST_ELEMENTS = 3000, /* that an owner's list begins with */
    PUSHED = 10,           /* by a unit */
    POPPED = 25,           /* by each third one */
    DUE_MAX = 8,           /* units of an owner that are not answered */
    ROUNDS = 4,
    FIXED_LISTS = 16,
    ATTEMPTS_MAX = 20,
};

#define TINY                                                                                       \
    "--enable-debug-command", "yes", "--list-chunk-bytes", "512", "--list-memory-max", "256kb",    \
        "--maxmemory", "128mb", "--enable-transfer-commands", "local"

static const char *const with_log[] = { "--appendonly", "yes", TINY, NULL };
static const char *const without_log[] = { "--appendonly", "no", TINY, NULL };
static const char *const *const ways[] = { with_log, without_log };
enum { WAYS = 2 };

struct owner {
    struct wire *wire;
    unsigned sent, answered; /* units */
};

static struct server server, other;
static struct wire *wire, *backer;
static struct owner owners[OWNERS];
static char target[PATH_MAX + 64];

static void start(const char *const *arguments)
{
    struct server_options options = { .own_arguments = arguments };

    server_start(&server, &options);
    wire = wire_open(&server);
    backer = wire_open(&server);
}

static void stop(void)
{
    wire_close(wire);
    wire_close(backer);
    server_stop(&server);
}

static const char *name_target(const char *name)
{
    int size = snprintf(target, sizeof(target), "%s/%s", server.directory, name);

    ck_assert_int_lt(size, (int)sizeof(target));
    return target;
}

static bool is_in_target(const char *name)
{
    char path[2 * PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", target, name);
    return access(path, F_OK) == 0;
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static const char *element_of(unsigned number)
{
    static char element[201];
    int head = snprintf(element, sizeof(element), "%09u:", number);

    memset(element + head, 'a' + (int)(number % 26), sizeof(element) - 1 - (size_t)head);
    return element;
}

static void push_many(struct wire *to, const char *kind, unsigned list, unsigned first,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        wire_command(to, "RPUSH %s:%u %s", kind, list, element_of(first + i));
}

static void fill(void)
{
    unsigned count = 2000;

    for (unsigned i = 0; i < FIXED_LISTS; i++) {
        push_many(wire, "fixed", i, i, count);
        wire_command(wire, "SET string:%u %s", i, element_of(i));
        wire_skip(wire, count + 1);
    }
    wire_command(wire, "SET expiring soon PXAT 4000000000000");
    wire_command(wire, "SELECT 7");
    wire_command(wire, "RPUSH short a b c");
    wire_command(wire, "SELECT 0");
    wire_skip(wire, 4);
}

/* ---- a backup ---------------------------------------------------------------------------------
 */

static void start_on_target(void)
{
    static struct server_options options;

    options = (struct server_options){ .own_arguments = with_log, .data_directory = target };
    server_start(&other, &options);
}

static void expect_refused_start(const char *why)
{
    static struct server_options options;

    options = (struct server_options){ .own_arguments = with_log, .data_directory = target };
    server_start_refused(&other, &options);
    if (!server_log_has(&other, why)) ck_abort_msg("its log does not say '%s'", why);
}

static int check_target(void)
{
    char command[2 * PATH_MAX];

    (void)snprintf(command, sizeof(command), "%s/sluice-check %s", suite_build_directory(), target);
    return system(command);
}

START_TEST(a_server_starts_on_a_backup_with_the_same_data)
{
    struct text before = { 0 };
    struct wire *copy;

    start(ways[_i]);
    fill();
    contents_add(&before, wire);
    expect_ok(wire, "SL.BACKUP %s", name_target("backup"));
    /* What happens to the original is nothing to the copy. */
    expect_ok(wire, "FLUSHALL");
    expect_ok(wire, "SAVE");
    push_many(wire, "fixed", 0, 1000, 2000);
    wire_skip(wire, 2000);
    expect_ok(wire, "SAVE");
    ck_assert_int_eq(check_target(), 0);
    start_on_target();
    copy = wire_open(&other);
    contents_expect(copy, &before, "in the backup");
    /* It is a server as any other. */
    expect_integer(copy, 1, "RPUSH own a");
    wire_close(copy);
    server_kill(&other);
    server_restart(&other);
    copy = wire_open(&other);
    expect_string(copy, "a", "LPOP own");
    contents_expect(copy, &before, "in the backup that was killed");
    wire_close(copy);
    server_stop(&other);
    text_finish(&before);
    stop();
}
END_TEST

/* ---- under load -------------------------------------------------------------------------------
 */

/* After so many units: its list holds the numbers [*head, *tail). */
static void state_after(unsigned units, unsigned *head, unsigned *tail)
{
    *head = units / 3 * POPPED;
    *tail = FIRST_ELEMENTS + units * PUSHED;
}

static void send_unit(unsigned index)
{
    struct owner *owner = &owners[index];
    unsigned head, tail;

    state_after(owner->sent++, &head, &tail);
    wire_command(owner->wire, "MULTI");
    push_many(owner->wire, "own", index, tail, PUSHED);
    if (owner->sent % 3 == 0) wire_command(owner->wire, "LPOP own:%u %d", index, POPPED);
    wire_command(owner->wire, "INCR count:%u", index);
    wire_command(owner->wire, "EXEC");
}

static unsigned replies_of(unsigned unit)
{
    return PUSHED + 3 + ((unit + 1) % 3 == 0);
}

static void open_owners(void)
{
    for (unsigned i = 0; i < OWNERS; i++) {
        owners[i] = (struct owner){ .wire = wire_open(&server) };
        push_many(owners[i].wire, "own", i, 0, FIRST_ELEMENTS);
        wire_skip(owners[i].wire, FIRST_ELEMENTS);
    }
}

static void close_owners(void)
{
    for (unsigned i = 0; i < OWNERS; i++) {
        while (owners[i].answered < owners[i].sent)
            wire_skip(owners[i].wire, replies_of(owners[i].answered++));
        wire_close(owners[i].wire);
    }
}

/* A unit more of each, and at most DUE_MAX without an answer; and checkpoints, which would give
 * back the room of what the owners have popped. */
static void work(unsigned round)
{
    for (unsigned i = 0; i < OWNERS; i++) {
        send_unit(i);
        while (owners[i].sent - owners[i].answered > DUE_MAX)
            wire_skip(owners[i].wire, replies_of(owners[i].answered++));
    }
    if (round % 8 != 0) return;
    wire_command(wire, "BGREWRITEAOF"); /* or one is under way */
    wire_skip(wire, 1);
}

static void expect_numbers(struct wire *copy, unsigned owner, unsigned head, unsigned tail)
{
    struct text got = { 0 }, expected = { 0 };
    char line[256];

    for (unsigned number = head; number < tail; number += 100) {
        unsigned end = number + 100 < tail ? number + 100 : tail;

        text_clear(&got);
        text_clear(&expected);
        wire_command(copy, "LRANGE own:%u %u %u", owner, number - head, end - head - 1);
        ck_assert_int_eq(wire_read(copy, &got), 1);
        (void)snprintf(line, sizeof(line), "*%u\r\n", end - number);
        text_add_string(&expected, line);
        for (unsigned k = number; k < end; k++) {
            (void)snprintf(line, sizeof(line), "$200\r\n%s\r\n", element_of(k));
            text_add_string(&expected, line);
        }
        ck_assert_str_eq(text_string(&got), text_string(&expected));
    }
    text_finish(&got);
    text_finish(&expected);
}

static void expect_owner(struct wire *copy, unsigned index, unsigned least, unsigned most)
{
    unsigned units = (unsigned)ask_integer(copy, "INCR count:%u", index) - 1, head, tail;

    ck_assert_msg(least <= units && units <= most, "owner %u: %u units, not %u to %u", index, units,
                  least, most);
    state_after(units, &head, &tail);
    expect_integer(copy, tail - head, "LLEN own:%u", index);
    expect_numbers(copy, index, head, tail);
}

static void expect_load(const unsigned least[OWNERS])
{
    struct wire *copy;

    start_on_target();
    copy = wire_open(&other);
    for (unsigned i = 0; i < OWNERS; i++)
        expect_owner(copy, i, least[i], owners[i].sent);
    wire_close(copy);
    server_stop(&other);
}

START_TEST(a_backup_under_load_has_what_was_answered_before_it)
{
    unsigned least[OWNERS];
    char name[32];

    start(ways[_i]);
    fill();
    open_owners();
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct text reply = { 0 };

        (void)snprintf(name, sizeof(name), "backup-%u", round);
        for (unsigned i = 0; i < 50; i++)
            work(i);
        for (unsigned i = 0; i < OWNERS; i++)
            least[i] = owners[i].answered;
        wire_command(backer, "SL.BACKUP %s", name_target(name));
        for (unsigned i = 0; !wire_wait(backer, 0); i++)
            work(i);
        ck_assert_int_eq(wire_read(backer, &reply), 1);
        ck_assert_str_eq(text_string(&reply), "+OK\r\n");
        text_finish(&reply);
        ck_assert_int_eq(check_target(), 0);
        expect_load(least);
    }
    ck_assert_int_eq(info_number(wire, "backups"), ROUNDS);
    close_owners();
    stop();
}
END_TEST

/* ---- what is not whole ------------------------------------------------------------------------
 */

START_TEST(what_a_kill_has_left_is_no_backup)
{
    bool was_hit = false;
    char name[32];

    start(with_log);
    fill();
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX && !was_hit; attempt++) {
        (void)snprintf(name, sizeof(name), "half-%u", attempt);
        wire_command(backer, "SL.BACKUP %s", name_target(name));
        while (!is_in_target("backup.incomplete") && !wire_wait(backer, 1)) {}
        server_kill(&server);
        wire_close(wire);
        wire_close(backer);
        if (is_in_target("backup.incomplete")) {
            was_hit = true;
            expect_refused_start("holds a backup that was not completed");
            ck_assert_int_ne(check_target(), 0);
        }
        server_restart(&server);
        wire = wire_open(&server);
        backer = wire_open(&server);
    }
    ck_assert(was_hit);
    expect_error(wire,
                 "ERR Backup failed while making the directory: the directory holds a backup "
                 "that was not completed: remove it",
                 "SL.BACKUP %s", target);
    expect_ok(wire, "SL.BACKUP %s", name_target("whole"));
    ck_assert_int_eq(check_target(), 0);
    stop();
}
END_TEST

/* False: this machine does not let us. */
static bool mount_small_disk(void)
{
    name_target("small");
    ck_assert_int_eq(mkdir(target, 0700), 0);
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", target, "tmpfs", 0, "size=1m") == 0)
        return true;
    suite_skip("a full disk: mounting a tmpfs needs root");
    return false;
}

static unsigned entries_in(const char *path)
{
    struct dirent *entry;
    unsigned count = 0;
    DIR *directory = opendir(path);

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    (void)closedir(directory);
    return count;
}

START_TEST(a_full_target_is_told_and_left_empty)
{
    struct text before = { 0 };
    struct wire *copy;

    /* The server is to see the mount: it is started behind it. */
    (void)snprintf(server.directory, sizeof(server.directory), "%s", suite_directory());
    if (!mount_small_disk()) return;
    start(with_log);
    (void)snprintf(target, sizeof(target), "%s/small", suite_directory());
    fill();
    contents_add(&before, wire);
    expect_error(wire, "ERR Backup failed while copying the lists: No space left on device",
                 "SL.BACKUP %s", target);
    ck_assert_uint_eq(entries_in(target), 0);
    ck_assert_int_eq(info_number(wire, "backup_in_progress"), 0);
    ck_assert(server_log_has(&server, "failed while copying the lists"));
    contents_expect(wire, &before, "after a backup that failed");
    ck_assert_int_eq(mount("tmpfs", target, "tmpfs", MS_REMOUNT, "size=256m"), 0);
    expect_ok(wire, "SL.BACKUP %s",
              target); /* the root of a file system, which has no other name */
    start_on_target();
    copy = wire_open(&other);
    contents_expect(copy, &before, "in the backup");
    wire_close(copy);
    server_stop(&other);
    text_finish(&before);
    stop();
}
END_TEST

START_TEST(a_client_that_goes_takes_its_backup_with_it)
{
    start(with_log);
    fill();
    wire_command(backer, "SL.BACKUP %s", name_target("gone"));
    wire_close(backer);
    backer = wire_open(&server);
    info_wait(wire, "backups_failed", 1);
    info_wait(wire, "backup_in_progress", 0);
    ck_assert(access(target, F_OK) < 0 && errno == ENOENT);
    ck_assert(server_log_has(&server, "its client has gone"));
    expect_ok(wire, "SL.BACKUP %s", target);
    stop();
}
END_TEST

/* Before any work is done for it. */
START_TEST(where_a_backup_cannot_be_is_told)
{
    int64_t saved;

    start(with_log);
    expect_integer(wire, 1, "RPUSH list a");
    expect_ok(wire, "SAVE");
    saved = info_number(wire, "checkpoint_number");
    expect_error(wire, "ERR wrong number of arguments for 'sl.backup' command", "SL.BACKUP");
    expect_error(wire, "ERR wrong number of arguments for 'sl.backup' command", "SL.BACKUP a b");
    expect_error(wire, "ERR that is no path", "SL.BACKUP %s", "");
    expect_error(wire, "ERR Backup failed while making the directory: a server works in that",
                 "SL.BACKUP %s", server.data_path);
    expect_error(wire, "ERR Backup failed while making the directory: a server works in that",
                 "SL.BACKUP %s/../data//", server.data_path);
    expect_error(wire, "ERR Backup failed while making the directory: Directory not empty",
                 "SL.BACKUP %s", server.directory);
    expect_error(wire, "ERR Backup failed while making the directory: No such file or directory",
                 "SL.BACKUP %s/no/where", server.directory);
    expect_error(wire, "ERR Backup failed while making the directory: Not a directory",
                 "SL.BACKUP %s", server.log_path);
    ck_assert_int_eq(info_number(wire, "backups"), 0);
    ck_assert_int_eq(info_number(wire, "checkpoint_number"), saved);
    expect_ok(wire, "SL.BACKUP below"); /* the data directory */
    (void)snprintf(target, sizeof(target), "%s/below", server.data_path);
    ck_assert_int_eq(check_target(), 0);
    stop();
}
END_TEST

START_TEST(a_second_one_is_refused_while_one_runs)
{
    struct text reply = { 0 };

    start(with_log);
    fill();
    wire_command(backer, "SL.BACKUP %s", name_target("first"));
    info_wait(wire, "backup_in_progress", 1);
    expect_error(wire, "ERR A backup is in progress already", "SL.BACKUP second");
    expect_error(wire, "ERR A backup is in progress: try again", "DEBUG RELOAD");
    ck_assert_int_eq(wire_read(backer, &reply), 1);
    ck_assert_str_eq(text_string(&reply), "+OK\r\n");
    text_finish(&reply);
    stop();
}
END_TEST

START_TEST(who_may_not_is_refused)
{
    start((const char *const[]){ "--appendonly", "no", NULL });
    expect_error(wire, "ERR sl.backup command not allowed", "SL.BACKUP %s", name_target("no"));
    ck_assert(access(target, F_OK) < 0 && errno == ENOENT);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup");
    TCase *tcase = suite_case(suite, "backup");

    tcase_add_loop_test(tcase, a_server_starts_on_a_backup_with_the_same_data, 0, WAYS);
    tcase_add_loop_test(tcase, a_backup_under_load_has_what_was_answered_before_it, 0, WAYS);
    tcase_add_test(tcase, what_a_kill_has_left_is_no_backup);
    tcase_add_test(tcase, a_full_target_is_told_and_left_empty);
    tcase_add_test(tcase, a_client_that_goes_takes_its_backup_with_it);
    tcase_add_test(tcase, where_a_backup_cannot_be_is_told);
    tcase_add_test(tcase, a_second_one_is_refused_while_one_runs);
    tcase_add_test(tcase, who_may_not_is_refused);
    return suite_run(suite);
}
