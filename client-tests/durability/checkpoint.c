/* Checkpoints: what was saved is there after kill -9, whatever went on while it was saved; a start
 * goes on from the newest one and from the log behind it; what cannot be saved changes nothing. */
#include "client-tests/durability/one_server.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELEMENT_BYTES = 100, LARGE_BYTES = 20 * 1024 * 1024 };

/* Nearly all of every list is on disk. */
#define TINY                                                                                       \
    "--enable-debug-command", "yes", "--list-chunk-bytes", "512", "--list-memory-max", "256kb",    \
        "--maxmemory", "256mb"

static const char *const with_log[] = { "--appendonly", "yes", TINY, NULL };
static const char *const without_log[] = { "--appendonly", "no", TINY, NULL };

static void start_with_log(void)
{
    start(with_log);
}

static void start_without_log(void)
{
    start(without_log);
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static const char *element_of(unsigned number)
{
    static char element[ELEMENT_BYTES + 1];

    element_make(element, sizeof(element), number);
    return element;
}

static void push_many(unsigned list, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        wire_command(wire, "RPUSH list:%u %s", list, element_of(first + i));
    wire_skip(wire, count);
}

static void fill(void)
{
    for (unsigned i = 0; i < 20; i++)
        push_many(i, 0, 20 + i * 40);
    for (unsigned i = 0; i < 300; i++) {
        wire_command(wire, "SET string:%u value:%u", i, i);
        wire_command(wire, "SET expiring:%u %u PXAT %lld", i, i, 4000000000000LL + i);
    }
    wire_skip(wire, 600);
    expect_ok(wire, "SELECT 7");
    expect_integer(wire, 3, "RPUSH other a b c");
    expect_integer(wire, 5, "APPEND text %s", "hello");
    expect_ok(wire, "SELECT 0");
}

/* Of every kind that a checkpoint has to save before it happens. */
static void change(unsigned round)
{
    unsigned list = round % 20;

    push_many(list, round * 7, 30);
    expect_ok(wire, "SET string:%u changed:%u", round % 300, round);
    (void)ask_integer(wire, "APPEND string:%u %s", (round + 1) % 300, "more");
    (void)ask_integer(wire, "DEL expiring:%u list:%u", round % 300, (round + 5) % 20);
    (void)ask_integer(wire, "PEXPIREAT expiring:%u %lld", (round + 2) % 300, 4100000000000LL);
    wire_command(wire, "LPOP list:%u 10", (list + 1) % 20);
    wire_command(wire, "RENAME string:%u renamed:%u", (round + 3) % 300, round);
    wire_command(wire, "LREM list:%u 2 %s", list, element_of(round * 7));
    wire_command(wire, "LMOVE list:%u list:%u LEFT RIGHT", (list + 2) % 20, (list + 3) % 20);
    wire_skip(wire, 4);
    if (round % 16 == 3) expect_ok(wire, "SWAPDB 0 7");
    if (round % 64 == 33) expect_ok(wire, "FLUSHDB");
}

static void expect_same(const struct text *before, const char *when)
{
    contents_expect(wire, before, when);
}

static void wait_until_saved(void)
{
    info_wait(wire, "rdb_bgsave_in_progress", 0);
    info_wait(wire, "aof_rewrite_in_progress", 0);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(what_was_saved_is_there_after_a_kill)
{
    struct text before = { 0 };

    fill();
    for (unsigned round = 0; round < 3; round++) {
        change(round);
        text_clear(&before);
        contents_add(&before, wire);
        expect_ok(wire, "SAVE");
        expect_ok(wire, "SET later than"); /* is lost: there is no log */
        kill_and_restart();
        expect_same(&before, "after SAVE and kill -9");
        ck_assert_int_gt(info_number(wire, "rdb_last_load_keys_loaded"), 0);
    }
    text_finish(&before);
}
END_TEST

START_TEST(the_log_goes_on_from_the_checkpoint)
{
    struct text before = { 0 };

    fill();
    for (unsigned round = 0; round < suite_scaled(10); round++) {
        change(3 * round);
        if (round % 2 == 0)
            expect_ok(wire, "SAVE");
        else
            expect_text(wire, "Background append only file rewriting started", "BGREWRITEAOF");
        change(3 * round + 1);
        change(3 * round + 2);
        text_clear(&before);
        contents_add(&before, wire);
        if (round % 3 == 0) wait_until_saved();
        kill_and_restart();
        expect_same(&before, "after a checkpoint, changes and kill -9");
    }
    text_finish(&before);
}
END_TEST

START_TEST(changes_go_on_while_it_is_made)
{
    struct text before = { 0 };
    unsigned round = 0;

    fill();
    for (int i = 0; i < (int)suite_scaled(20); i++) {
        expect_text(wire, "Background saving started", "BGSAVE");
        do {
            change(round++);
        } while (info_number(wire, "rdb_bgsave_in_progress") == 1);
    }
    ck_assert_int_eq(info_number(wire, "rdb_saves"), (int)suite_scaled(20));
    contents_add(&before, wire);
    expect_ok(wire, "DEBUG RELOAD");
    expect_same(&before, "after DEBUG RELOAD");
    expect_ok(wire, "DEBUG LOADAOF");
    expect_same(&before, "after DEBUG LOADAOF");
    kill_and_restart();
    expect_same(&before, "after kill -9");
    text_finish(&before);
}
END_TEST

/* The checkpoint has what was there when it began, and that only. */
START_TEST(a_large_string_is_saved_as_it_was)
{
    char *large = malloc(LARGE_BYTES);

    ck_assert_ptr_nonnull(large);
    memset(large, 'x', LARGE_BYTES);
    wire_command(wire, "SET large %b", large, (size_t)LARGE_BYTES);
    wire_skip(wire, 1);
    expect_text(wire, "Background saving started", "BGSAVE");
    expect_integer(wire, LARGE_BYTES, "SETRANGE large 0 new");
    expect_integer(wire, LARGE_BYTES + 3, "APPEND large end");
    wait_until_saved();
    expect_string(wire, "newx", "GETRANGE large 0 3");
    kill_and_restart();
    expect_string(wire, "xxxx", "GETRANGE large 0 3");
    expect_integer(wire, LARGE_BYTES, "STRLEN large");
    free(large);
}
END_TEST

START_TEST(times_to_live_go_on_while_nobody_serves)
{
    int64_t now_ms;

    expect_ok(wire, "SET soon 1 PX 300");
    expect_ok(wire, "SET later 1 PX 100000");
    expect_integer(wire, 1, "RPUSH list a");
    now_ms = clock_ms();
    expect_integer(wire, 1, "PEXPIRE list 300");
    expect_ok(wire, "SAVE");
    server_kill(&server);
    wire_close(wire);
    while (clock_ms() < now_ms + 400)
        (void)usleep(10000);
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, 0, "EXISTS soon list");
    ck_assert_int_gt(ask_integer(wire, "PTTL later"), 1000);
    ck_assert_int_le(ask_integer(wire, "PTTL later"), 100000);
}
END_TEST

START_TEST(lists_are_not_read_by_a_start)
{
    for (unsigned i = 0; i < 4; i++)
        push_many(i, 0, 5000);
    expect_ok(wire, "SAVE");
    kill_and_restart();
    ck_assert_int_eq(info_number(wire, "spill_fetched_chunks"), 0);
    expect_integer(wire, 5000, "LLEN list:3");
    ck_assert_int_eq(info_number(wire, "spill_fetched_chunks"), 0);
    expect_string(wire, element_of(2500), "LINDEX list:3 2500");
    ck_assert_int_gt(info_number(wire, "spill_fetched_chunks"), 0);
    expect_string(wire, element_of(0), "LPOP list:0");
}
END_TEST

/* What was drained is dropped unread, whatever came between the pops. */
START_TEST(pops_of_the_log_are_done_together)
{
    struct text before = { 0 };

    for (unsigned i = 0; i < 3; i++)
        push_many(i, 0, 5000);
    expect_ok(wire, "SAVE");
    for (unsigned i = 0; i < 1000; i++) {
        wire_command(wire, "LPOP list:%u 3", i % 2);
        wire_command(wire, "RPOP list:2");
        wire_command(wire, "SET other:%u 1", i % 10);
    }
    wire_skip(wire, 3000);
    contents_add(&before, wire);
    kill_and_restart();
    /* A chunk has four elements: some 1,000 were emptied. */
    ck_assert_int_lt(info_number(wire, "spill_fetched_chunks"), 100);
    expect_same(&before, "after pops");
    /* Each of these has to see what the pops before it have left. */
    for (unsigned i = 0; i < 100; i++) {
        wire_command(wire, "LPOP list:0 7");
        wire_command(wire, "RPOP list:0");
        wire_command(wire, "LPUSH list:0 new:%u", i);
        wire_command(wire, "LPOP list:1");
        wire_command(wire, "LMOVE list:1 list:2 LEFT RIGHT");
        wire_command(wire, "LPOP short 9");
        wire_command(wire, "RPUSH short a b");
        if (i % 10 == 0) wire_command(wire, "SWAPDB 0 1");
        if (i % 10 == 0) wire_command(wire, "SWAPDB 1 0");
    }
    wire_skip(wire, 720);
    text_clear(&before);
    contents_add(&before, wire);
    kill_and_restart();
    expect_same(&before, "after pops and what goes between them");
    text_finish(&before);
}
END_TEST

static void count_checkpoints(unsigned *out_complete, unsigned *out_others)
{
    struct dirent *entry;
    DIR *dir = opendir(server.data_path);

    ck_assert_ptr_nonnull(dir);
    *out_complete = *out_others = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "checkpoint-", 11) != 0) continue;
        if (strstr(entry->d_name, ".tmp"))
            ++*out_others;
        else
            ++*out_complete;
    }
    (void)closedir(dir);
}

START_TEST(kills_in_the_middle_leave_nothing_behind)
{
    unsigned complete, others;
    struct text before = { 0 };

    fill();
    for (unsigned round = 0; round < suite_scaled(10); round++) {
        contents_add(&before, wire);
        wire_command(wire, "BGSAVE"); /* killed somewhere behind it */
        wire_skip(wire, 1);
        (void)usleep(round * 700);
        kill_and_restart();
        expect_same(&before, "after a kill in the middle of a checkpoint");
        count_checkpoints(&complete, &others);
        ck_assert_uint_le(complete, 1);
        ck_assert_uint_eq(others, 0);
        change(round);
        text_clear(&before);
    }
    text_finish(&before);
}
END_TEST

/* Something in the way of the next file: the older one and the log stay good. */
START_TEST(what_cannot_be_saved_is_told_and_changes_nothing)
{
    char path[PATH_MAX + 32];
    struct text before = { 0 }, status = { 0 };

    fill();
    expect_ok(wire, "SAVE");
    change(1);
    (void)snprintf(path, sizeof(path), "%s/checkpoint-2.tmp", server.data_path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_error(wire, "ERR The checkpoint failed while creating the file: Is a directory", "SAVE");
    ck_assert(info_text(wire, "rdb_last_bgsave_status", &status));
    ck_assert_str_eq(text_string(&status), "err");
    server_wait_log(&server, "Checkpoint 2 failed while creating the file");
    change(2);
    contents_add(&before, wire);
    ck_assert_int_eq(rmdir(path), 0);
    kill_and_restart();
    expect_same(&before, "after a checkpoint that failed");
    expect_ok(wire, "SAVE");
    text_clear(&status);
    ck_assert(info_text(wire, "rdb_last_bgsave_status", &status));
    ck_assert_str_eq(text_string(&status), "ok");
    text_finish(&status);
    text_finish(&before);
}
END_TEST

/* As Redis does; but where there is a log, which has it all. */
START_TEST(writes_stop_while_saves_fail)
{
    static const char *const saving[] = { "--save", "3600 1", "--appendonly", "no", NULL };
    struct server_options options = { .own_arguments = saving };
    char path[PATH_MAX + 32];

    server_start(&server, &options);
    wire = wire_open(&server);
    (void)snprintf(path, sizeof(path), "%s/checkpoint-1.tmp", server.data_path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_ok(wire, "SET k 1");
    expect_error(wire, "ERR The checkpoint failed while creating the file", "SAVE");
    expect_error(wire,
                 "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
                 "persist to disk. Commands that may modify the data set are disabled,",
                 "SET k 2");
    expect_error(wire, "MISCONF", "DEL k");
    expect_string(wire, "1", "GET k");
    expect_ok(wire, "MULTI");
    expect_error(wire, "MISCONF", "SET k 2");
    expect_error(wire, "EXECABORT", "EXEC");
    expect_ok(wire, "CONFIG SET stop-writes-on-bgsave-error no");
    expect_ok(wire, "SET k 2");
    expect_ok(wire, "CONFIG SET stop-writes-on-bgsave-error yes");
    expect_error(wire, "MISCONF", "SET k 3");
    expect_ok(wire, "CONFIG SET save %s", "");
    expect_ok(wire, "SET k 3");
    expect_ok(wire, "CONFIG SET save %s", "3600 1");
    expect_error(wire, "MISCONF", "SET k 4");
    expect_ok(wire, "SAVE"); /* into checkpoint-2 */
    expect_ok(wire, "SET k 4");
    ck_assert_int_eq(rmdir(path), 0);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* It ends by itself, and says why. */
START_TEST(a_reload_that_finds_no_file_of_lists_ends_the_server)
{
    char path[PATH_MAX + 32], away[PATH_MAX + 32];
    struct text before = { 0 };

    fill();
    expect_ok(wire, "SAVE");
    contents_add(&before, wire);
    (void)snprintf(path, sizeof(path), "%s/spill", server.data_path);
    (void)snprintf(away, sizeof(away), "%s/away", server.data_path);
    ck_assert_int_eq(rename(path, away), 0);
    wire_command(wire, "DEBUG RELOAD");
    wire_wait_end(wire);
    server_wait_log(&server, "There are no lists without their file");
    ck_assert_int_eq(rename(away, path), 0);
    kill_and_restart();
    expect_same(&before, "after a reload without the file");
    text_finish(&before);
}
END_TEST

START_TEST(a_damaged_checkpoint_is_refused_by_name_and_place)
{
    char path[PATH_MAX + 32], data[PATH_MAX];
    int fd;

    start_with_log();
    fill();
    expect_ok(wire, "SAVE");
    server_kill(&server);
    wire_close(wire);
    (void)snprintf(path, sizeof(path), "%s/checkpoint-1", server.data_path);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "?", 1, 200), 1);
    (void)close(fd);
    memcpy(data, server.data_path, sizeof(data));
    server_start_refused(
        &server, &(struct server_options){ .own_arguments = with_log, .data_directory = data });
    ck_assert(server_log_has(&server, "checkpoint-1 at offset 64"));
}
END_TEST

START_TEST(the_log_is_shortened_by_itself)
{
    static const char *const arguments[] = { "--appendonly", "yes", "--auto-aof-rewrite-min-size",
                                             "256kb",        TINY,  NULL };

    start(arguments);
    push_many(0, 0, 4000);
    info_wait_least(wire, "aof_rewrites", 1);
    info_wait_least(wire, "checkpoint_number", 1);
    kill_and_restart();
    expect_integer(wire, 4000, "LLEN list:0");
    expect_ok(wire, "CONFIG SET auto-aof-rewrite-percentage 0");
    stop();
}
END_TEST

START_TEST(the_save_rule_saves)
{
    static const char *const arguments[] = { "--appendonly", "no", "--save", "1 5", TINY, NULL };

    start(arguments);
    for (int i = 0; i < 4; i++)
        expect_ok(wire, "SET few:%d 1", i);
    push_many(0, 0, 10);
    info_wait_least(wire, "rdb_saves", 1);
    kill_and_restart();
    expect_integer(wire, 10, "LLEN list:0");
    expect_integer(wire, 2, "EXISTS few:0 few:3");
    stop();
}
END_TEST

static void restart_with(const char *const *arguments)
{
    server_kill(&server);
    wire_close(wire);
    server.options.own_arguments = arguments;
    server_restart(&server);
    wire = wire_open(&server);
}

/* From yes to no and back: nothing is forgotten, nothing is done twice. */
START_TEST(the_log_may_be_switched_off_and_on_again)
{
    start(with_log);
    push_many(0, 0, 100);
    expect_ok(wire, "SAVE");
    push_many(0, 100, 100);
    restart_with(without_log);
    expect_integer(wire, 200, "LLEN list:0");
    ck_assert_int_eq(info_number(wire, "aof_enabled"), 0);
    push_many(0, 200, 100);
    expect_ok(wire, "SAVE");
    push_many(0, 300, 100); /* neither saved nor logged */
    restart_with(without_log);
    expect_integer(wire, 300, "LLEN list:0");
    expect_ok(wire, "DEBUG RELOAD");
    restart_with(with_log);
    expect_integer(wire, 300, "LLEN list:0");
    push_many(0, 300, 100);
    restart_with(with_log);
    for (unsigned i = 0; i < 400; i++)
        expect_string(wire, element_of(i), "LPOP list:0");
    expect_integer(wire, 0, "EXISTS list:0");
    stop();
}
END_TEST

static void wait_for_end(void)
{
    int status;

    ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    server.pid = 0;
    wire_close(wire);
}

START_TEST(the_end_of_the_process_saves_when_it_is_to)
{
    static const char *const arguments[] = { "--appendonly", "no", "--save", "3600 1", TINY, NULL };

    start(arguments);
    expect_ok(wire, "SET a 1");
    wire_command(wire, "SHUTDOWN");
    wait_for_end();
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "1", "GET a");
    expect_ok(wire, "SET a 2");
    ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
    wait_for_end();
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "2", "GET a");
    expect_ok(wire, "SET a 3");
    wire_command(wire, "SHUTDOWN NOSAVE");
    wait_for_end();
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "2", "GET a");
    expect_ok(wire, "CONFIG SET save %s", "");
    expect_ok(wire, "SET a 4");
    wire_command(wire, "SHUTDOWN SAVE");
    wait_for_end();
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "4", "GET a");
    stop();
}
END_TEST

/* What is there by then is less than what was saved, and must not take its place. */
START_TEST(a_server_that_is_stopped_while_it_loads_saves_nothing)
{
    static const char *const arguments[] = { "--appendonly", "no", "--save", "3600 1", NULL };
    enum { BATCH = 1000 };
    unsigned count = suite_scaled(400) * BATCH;

    start(arguments);
    for (unsigned done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            wire_command(wire, "SET key:%u %u", done + i, i);
        wire_skip(wire, BATCH);
    }
    server_stop(&server);
    wire_close(wire);
    for (int i = 0; i < 3; i++) {
        server_restart_unready(&server);
        server_stop(&server);
    }
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, count, "DBSIZE");
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *plain = suite_case(suite, "without a log"), *logged = suite_case(suite, "with a log");
    TCase *others = suite_case(suite, "others");

    tcase_add_checked_fixture(plain, start_without_log, stop);
    tcase_add_test(plain, what_was_saved_is_there_after_a_kill);
    tcase_add_test(plain, a_large_string_is_saved_as_it_was);
    tcase_add_test(plain, times_to_live_go_on_while_nobody_serves);
    tcase_add_test(plain, lists_are_not_read_by_a_start);
    tcase_add_checked_fixture(logged, start_with_log, stop);
    tcase_add_test(logged, the_log_goes_on_from_the_checkpoint);
    tcase_add_test(logged, changes_go_on_while_it_is_made);
    tcase_add_test(logged, pops_of_the_log_are_done_together);
    tcase_add_test(logged, kills_in_the_middle_leave_nothing_behind);
    tcase_add_test(logged, what_cannot_be_saved_is_told_and_changes_nothing);
    tcase_add_test(others, writes_stop_while_saves_fail);
    tcase_add_test(logged, a_reload_that_finds_no_file_of_lists_ends_the_server);
    tcase_add_test(others, a_damaged_checkpoint_is_refused_by_name_and_place);
    tcase_add_test(others, the_log_is_shortened_by_itself);
    tcase_add_test(others, the_save_rule_saves);
    tcase_add_test(others, the_log_may_be_switched_off_and_on_again);
    tcase_add_test(others, the_end_of_the_process_saves_when_it_is_to);
    tcase_add_test(others, a_server_that_is_stopped_while_it_loads_saves_nothing);
    return suite_run(suite);
}
