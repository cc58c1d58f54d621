/* A disk that is full, a disk that lies, a directory that is not ours: what adds is refused with
 * the cause, what is there stays as it is, what removes goes on and space comes back. Mostly
 * without the log, so that only lists and streams take room; durability/full.c has both. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIB = 1024, ELEMENT_BYTES = 1000, PUSHES_MAX = 200000 };

static const char *element_of(unsigned number)
{
    static char element[ELEMENT_BYTES + 1];

    element_make(element, sizeof(element), number);
    return element;
}

/* Pushes until it is refused; how many elements went in. The error is in *out_error. */
static unsigned push_until_refused(struct wire *wire, const char *key, struct text *out_error)
{
    for (unsigned i = 0; i < PUSHES_MAX; i++) {
        text_clear(out_error);
        wire_command(wire, "RPUSH %s %s", key, element_of(i));
        ck_assert_int_eq(wire_read(wire, out_error), 1);
        if (out_error->bytes[0] == '-') return i;
    }
    ck_abort_msg("%d pushes, and none was refused", (int)PUSHES_MAX);
}

static void expect_all(struct wire *wire, const char *key, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        expect_string(wire, element_of(first + i), "LPOP %s", key);
}

/* Refused, untouched, drained, and good for as much again. */
static void fill_and_drain(struct server *server, const char *cause)
{
    struct wire *wire = wire_open(server);
    struct text error = { 0 };
    unsigned count = push_until_refused(wire, "k", &error);

    ck_assert_msg(strstr(text_string(&error), cause), "the refusal does not name its cause: %s",
                  text_string(&error));
    server_wait_log(server, cause);
    ck_assert(!server_log_has(server, "There is room on the disk again"));
    expect_integer(wire, count, "LLEN k");
    expect_text(wire, "PONG", "PING");
    expect_string(wire, element_of(count / 2), "LINDEX k %u", count / 2);
    expect_all(wire, "k", 0, count / 2);
    /* Space has come back: pushing works again. */
    expect_integer(wire, count - count / 2 + 1, "RPUSH k %s", element_of(count));
    expect_all(wire, "k", count / 2, count - count / 2 + 1);
    server_wait_log(server, "There is room on the disk again");
    expect_integer(wire, 0, "EXISTS k");
    ck_assert_uint_gt(push_until_refused(wire, "again", &error), count / 2);
    expect_integer(wire, 1, "DEL again");
    info_wait(wire, "spill_disk_used_bytes", 0);
    text_finish(&error);
    wire_close(wire);
}

START_TEST(maxdisk_refuses_pushes_and_names_itself)
{
    static const char *const own[] = { "--appendonly",      "no",  "--maxdisk", "8mb",
                                       "--list-memory-max", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;

    server_start(&server, &options);
    fill_and_drain(&server, "maxdisk is reached");
    server_stop(&server);
}
END_TEST

START_TEST(a_full_file_system_refuses_pushes_and_names_itself)
{
    static const char *const own[] = { "--appendonly",      "no",  "--maxdisk", "1gb",
                                       "--list-memory-max", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    char mount_point[512];

    (void)snprintf(mount_point, sizeof(mount_point), "%s/full", suite_directory());
    ck_assert_int_eq(mkdir(mount_point, 0700), 0);
    /* In a mount namespace of this test's own, so that nothing stays mounted however it ends. */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, "size=8m") != 0) {
        suite_skip("full file system: mounting a tmpfs needs root");
        return;
    }
    options.data_directory = mount_point;
    server_start(&server, &options);
    fill_and_drain(&server, "No space left on device");
    server_stop(&server);
}
END_TEST

/* ---- streams -----------------------------------------------------------------------------------
 */

/* Entries <n>-0 from that number on, until one is refused, for maxdisk; the number of that one. */
static unsigned add_until_refused(struct wire *wire, const char *key, unsigned number)
{
    struct text reply = { 0 };

    for (unsigned last = number + PUSHES_MAX; number < last; number++) {
        text_clear(&reply);
        wire_command(wire, "XADD %s %u-0 f %s", key, number, element_of(number));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == '-') break;
    }
    ck_assert_str_eq(text_string(&reply), "-MISCONF maxdisk is reached: nothing was changed. Reads "
                                          "and commands that remove go on.\r\n");
    text_finish(&reply);
    return number;
}

/* Refusals go on until a checkpoint, or an I/O thread, has brought room. */
static void add_when_there_is_room(struct wire *wire, const char *key, unsigned number)
{
    struct text reply = { 0 };
    int64_t deadline_ms = clock_ms() + 60000;

    do {
        text_clear(&reply);
        wire_command(wire, "XADD %s %u-0 f %s", key, number, element_of(number));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_msg(clock_ms() < deadline_ms, "no room came back: %s", text_string(&reply));
    } while (reply.bytes[0] == '-');
    text_finish(&reply);
}

static void expect_within(struct wire *wire, int64_t bytes)
{
    int64_t streams = info_number(wire, "streams_disk_used_bytes");
    int64_t all = info_number(wire, "disk_used_bytes");

    ck_assert_int_gt(streams, 0);
    ck_assert_int_le(streams, all);
    ck_assert_int_le(all, bytes);
}

START_TEST(maxdisk_is_of_lists_and_streams_together)
{
    static const char *const own[] = { "--appendonly",
                                       "no",
                                       "--save",
                                       "",
                                       "--maxdisk",
                                       "8mb",
                                       "--list-memory-max",
                                       "1mb",
                                       "--stream-segment-bytes",
                                       "1mb",
                                       NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire;
    struct text error = { 0 };
    unsigned end, alone;

    server_start(&server, &options);
    wire = wire_open(&server);
    expect_ok(wire, "XGROUP CREATE s g 0 MKSTREAM");
    ck_assert_int_eq(info_number(wire, "disk_max_bytes"), 8 << 20);
    end = alone = add_until_refused(wire, "s", 1);
    ck_assert_uint_gt(alone, 6000); /* of 1,050 bytes: nearly all of it */
    expect_within(wire, 8 << 20);
    server_wait_log(&server, "maxdisk is reached");
    /* Lists find no room, either, but memory. */
    ck_assert_uint_lt(push_until_refused(wire, "k", &error), 2000);
    ck_assert_ptr_nonnull(strstr(text_string(&error), "maxdisk is reached"));
    expect_integer(wire, 1, "DEL k");
    /* What adds nothing goes on. */
    expect_integer(wire, end - 1, "XLEN s");
    wire_command(wire, "XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    wire_skip(wire, 1);
    expect_integer(wire, 1, "XACK s g 1-0");
    expect_integer(wire, 1, "XDEL s 2-0");
    end = add_until_refused(wire, "s", end);
    expect_integer(wire, end - 2 - 3000, "XTRIM s MAXLEN 3000");
    add_when_there_is_room(wire, "s", end);
    end = add_until_refused(wire, "s", end + 1);
    /* The limit is changed while the server runs. */
    expect_ok(wire, "CONFIG SET maxdisk 16mb");
    end = add_until_refused(wire, "s", end);
    ck_assert_uint_gt(end, alone + alone / 2);
    expect_within(wire, 16 << 20);
    expect_ok(wire, "CONFIG SET maxdisk 4mb");
    (void)add_until_refused(wire, "s", end);
    expect_integer(wire, 1, "DEL s");
    info_wait(wire, "disk_used_bytes", 0);
    /* And what lists take, streams have not. */
    ck_assert_uint_gt(push_until_refused(wire, "k", &error), 4000);
    ck_assert_uint_lt(add_until_refused(wire, "t", 1), 2000);
    text_finish(&error);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Entries <n>-0 with these numbers, in one go. */
static void add_entries(struct wire *wire, const char *key, unsigned from, unsigned end)
{
    for (unsigned number = from; number < end; number++)
        wire_command(wire, "XADD %s %u-0 f %s", key, number, element_of(number));
    wire_skip(wire, end - from);
}

/* Journals have room ahead of their ends: whoever is at the limit gets it, another stream at once
 * and a list soon. */
START_TEST(what_idle_streams_have_ahead_is_for_who_needs_it)
{
    static const char *const own[] = {
        "--appendonly", "no", "--save", "", "--maxdisk", "24mb", "--list-memory-max", "1mb", NULL
    };
    enum { EACH = 5000, LIVE_LEAST = 22500 /* of 1,090 bytes, of all there are */, MORE = 500 };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire;
    struct text reply = { 0 };
    unsigned end, count;
    int64_t deadline_ms;

    server_start(&server, &options);
    wire = wire_open(&server);
    add_entries(wire, "s0", 1, EACH);
    add_entries(wire, "s1", 1, EACH);
    end = add_until_refused(wire, "s2", 1);
    ck_assert_uint_gt(2 * EACH + end, LIVE_LEAST);
    expect_within(wire, 24 << 20);
    expect_integer(wire, EACH - 1, "XLEN s0");
    wire_command(wire, "XADD s0 %u-0 f %s", EACH, element_of(EACH));
    wire_skip(wire, 1); /* it may find room, or not */
    expect_integer(wire, 1, "DEL s2");
    expect_integer(wire, 1, "DEL s1");
    info_wait_most(wire, "streams_disk_used_bytes", 8 << 20); /* they have gone */
    add_entries(wire, "s0", EACH + 1, 2 * EACH);
    /* A list is refused while s0 has room ahead; then that has come. */
    count = push_until_refused(wire, "k", &reply);
    deadline_ms = clock_ms() + 60000;
    for (unsigned more = 0; more < MORE;) {
        text_clear(&reply);
        wire_command(wire, "RPUSH k %s", element_of(count + more));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        more += reply.bytes[0] == ':';
        ck_assert_msg(clock_ms() < deadline_ms, "no room came back: %s", text_string(&reply));
    }
    expect_integer(wire, count + MORE, "LLEN k");
    text_finish(&reply);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* With the log, what is trimmed is kept for the last checkpoint: who is refused has one made. And a
 * start that finds more than it may have had goes well, and takes nothing until there is less. */
START_TEST(maxdisk_is_found_again_by_a_start)
{
    static const char *own[] = { "--appendonly",           "yes", "--maxdisk", "8mb",
                                 "--stream-segment-bytes", "1mb", NULL };
    enum { MAXDISK = 3 };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire;
    unsigned end;

    own[MAXDISK] = "8mb";
    server_start(&server, &options);
    wire = wire_open(&server);
    end = add_until_refused(wire, "s", 1);
    expect_ok(wire, "SAVE");
    end = add_until_refused(wire, "s", end);
    expect_integer(wire, 2000, "XTRIM s MAXLEN %u", end - 1 - 2000);
    add_when_there_is_room(wire, "s", end);
    end = add_until_refused(wire, "s", end + 1);
    expect_integer(wire, end - 1 - 2000, "XLEN s");
    wire_close(wire);
    server_kill(&server);
    own[MAXDISK] = "2mb";
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, end - 1 - 2000, "XLEN s");
    ck_assert_int_gt(info_number(wire, "streams_disk_used_bytes"), 2 << 20);
    ck_assert_int_eq(info_number(wire, "disk_max_bytes"), 2 << 20);
    end = add_until_refused(wire, "s", end);
    expect_integer(wire, end - 1 - 2000 - 500, "XTRIM s MAXLEN 500");
    add_when_there_is_room(wire, "s", end);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Others, whose lists are in memory, notice nothing. */
START_TEST(a_full_disk_stops_no_other_work)
{
    static const char *const own[] = { "--appendonly",      "no",  "--maxdisk", "4mb",
                                       "--list-memory-max", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire, *waiting;
    struct text error = { 0 };
    unsigned count;

    server_start(&server, &options);
    wire = wire_open(&server);
    waiting = wire_open(&server);
    count = push_until_refused(wire, "k", &error);
    expect_ok(wire, "SET s value");
    expect_string(wire, "value", "GET s");
    expect_error(wire, "", "LPUSH k %s", element_of(0));
    expect_error(wire, "", "LINSERT k BEFORE %s %s", element_of(0), element_of(1));
    expect_integer(wire, count, "LLEN k");
    /* What adds nothing goes on: moves between lists, removals, expiry, trims. */
    expect_string(wire, element_of(0), "LMOVE k k LEFT RIGHT");
    expect_string(wire, element_of(0), "LMOVE k k RIGHT LEFT");
    expect_integer(wire, 1, "LREM k 1 %s", element_of(5));
    expect_integer(wire, 1, "EXPIRE k 1000");
    expect_ok(wire, "LTRIM k 1 -2");
    wire_command(waiting, "BLPOP other 0");
    info_wait(wire, "blocked_clients", 1);
    expect_string(wire, element_of(1), "LMOVE k other LEFT RIGHT");
    wire_skip(waiting, 1);
    expect_integer(wire, 1, "DEL k");
    wire_close(wire);
    wire_close(waiting);
    text_finish(&error);
    server_stop(&server);
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------------
 */

/* Overwrites every regular file below path with noise, from its second block on. */
static void damage(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        char inner[1024];
        struct stat status;
        int fd;
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        ck_assert_int_eq(stat(inner, &status), 0);
        if (S_ISDIR(status.st_mode)) {
            damage(inner);
            continue;
        }
        fd = open(inner, O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        for (off_t at = 0; at + 64 < status.st_size; at += 4 * KIB)
            ck_assert_int_eq(pwrite(fd, "noise, where elements were stored", 33, at + 40), 33);
        ck_assert_int_eq(close(fd), 0);
    }
    (void)closedir(directory);
}

START_TEST(damage_on_disk_is_an_error_that_names_it_and_never_wrong_data)
{
    static const char *const own[] = { "--appendonly", "no", "--list-memory-max", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire;
    struct text reply = { 0 };
    unsigned errors = 0, right = 0;

    server_start(&server, &options);
    wire = wire_open(&server);
    for (unsigned i = 0; i < 20000; i++)
        wire_command(wire, "RPUSH k %s", element_of(i));
    wire_skip(wire, 20000);
    info_wait(wire, "spill_writes_in_flight", 0);
    damage(server.data_path);
    for (unsigned i = 0; i < 20000; i += 97) {
        text_clear(&reply);
        wire_command(wire, "LINDEX k %u", i);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == '-') {
            ck_assert_msg(strstr(reply.bytes, "key 'k' of database 0, elements ") != NULL,
                          "the error does not name the list: %s", reply.bytes);
            errors++;
        } else {
            ck_assert_msg(strstr(reply.bytes, element_of(i)) != NULL, "wrong data at %u: %.80s", i,
                          reply.bytes);
            right++;
        }
    }
    ck_assert_uint_gt(errors, 0);
    ck_assert_uint_gt(right, 0); /* the ends are in memory */
    ck_assert_int_gt(info_number(wire, "spill_checksum_errors"), 0);
    server_wait_log(&server, "failed: key 'k' of database 0, elements ");
    expect_error(wire, "ERR data on disk is damaged: key 'k' of", "LSET k 10000 x");
    expect_error(wire, "ERR data on disk is damaged: key 'k' of", "LPOP k 15000");
    expect_integer(wire, 20000, "LLEN k"); /* nothing of it was taken */
    expect_string(wire, element_of(0), "LINDEX k 0");
    text_clear(&reply);
    ck_assert(info_text(wire, "spill_last_error", &reply));
    ck_assert_msg(reply.size > 0, "spill_last_error says nothing");
    /* The server lives on, and so do other lists; the damaged one can be thrown away. */
    expect_integer(wire, 1, "RPUSH other x");
    expect_integer(wire, 1, "DEL k");
    expect_integer(wire, 1, "RPUSH k fresh");
    wire_close(wire);
    text_finish(&reply);
    server_stop(&server);
}
END_TEST

/* ---- the directory -----------------------------------------------------------------------------
 */

START_TEST(a_second_server_on_the_same_directory_is_refused)
{
    struct server first, second;
    struct server_options options = { .own_arguments = NULL };
    struct wire *wire;

    server_start(&first, NULL);
    options.data_directory = first.data_path;
    server_start_refused(&second, &options);
    ck_assert(server_log_has(&second, first.data_path));
    wire = wire_open(&first);
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
    server_stop(&first);
}
END_TEST

START_TEST(what_a_killed_server_left_is_cleaned_and_foreign_files_stay)
{
    static const char *const own[] = { "--appendonly", "no", "--list-memory-max", "1mb", NULL };
    struct server_options options = { .own_arguments = own };
    struct server server;
    struct wire *wire;
    char foreign[2][PATH_MAX + 32];
    struct stat status;

    server_start(&server, &options);
    wire = wire_open(&server);
    for (unsigned i = 0; i < 20000; i++)
        wire_command(wire, "RPUSH k %s", element_of(i));
    wire_skip(wire, 20000);
    info_wait_least(wire, "spill_evicted_chunks", 1);
    wire_close(wire);
    server_kill(&server);
    (void)snprintf(foreign[0], sizeof(foreign[0]), "%s/letter.txt", server.data_path);
    (void)snprintf(foreign[1], sizeof(foreign[1]), "%s/spill/letter.txt", server.data_path);
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(foreign[i], "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs("not yours\n", file), 0);
        ck_assert_int_eq(fclose(file), 0);
    }
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, 0, "EXISTS k");
    ck_assert_int_eq(info_number(wire, "spill_file_bytes"), 0);
    ck_assert(server_log_has(&server, "letter.txt"));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(stat(foreign[i], &status), 0);
        ck_assert_int_eq(status.st_size, 10);
    }
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(a_start_that_cannot_work_says_why)
{
    static const char *const unknown[] = { "--no-such-directive", "1", NULL };
    static const char *const daemon[] = { "--daemonize", "yes", NULL };
    static const char *const bad[] = { "--maxmemory", "much", NULL };
    const struct {
        const char *const *arguments;
        const char *said;
    } starts[] = { { unknown, "no-such-directive" },
                   { daemon, "daemonize" },
                   { bad, "maxmemory" } };

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct server_options options = { .own_arguments = starts[i].arguments };
        struct server server;
        server_start_refused(&server, &options);
        ck_assert_msg(server_log_has(&server, starts[i].said), "\"%s\" is not in the log",
                      starts[i].said);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk");
    TCase *tcase = suite_case(suite, "disk");

    tcase_add_test(tcase, maxdisk_refuses_pushes_and_names_itself);
    tcase_add_test(tcase, a_full_file_system_refuses_pushes_and_names_itself);
    tcase_add_test(tcase, maxdisk_is_of_lists_and_streams_together);
    tcase_add_test(tcase, what_idle_streams_have_ahead_is_for_who_needs_it);
    tcase_add_test(tcase, maxdisk_is_found_again_by_a_start);
    tcase_add_test(tcase, a_full_disk_stops_no_other_work);
    tcase_add_test(tcase, damage_on_disk_is_an_error_that_names_it_and_never_wrong_data);
    tcase_add_test(tcase, a_second_server_on_the_same_directory_is_refused);
    tcase_add_test(tcase, what_a_killed_server_left_is_cleaned_and_foreign_files_stay);
    tcase_add_test(tcase, a_start_that_cannot_work_says_why);
    return suite_run(suite);
}
