/* What a server finds at its start: a torn tail, damage, another version, another server, a long
 * log; and a clock that went back. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const durable[] = { "--appendonly", "yes", "--appendfsync", "always", NULL };
static struct server_options options = { .own_arguments = durable };
static struct server server;
static struct wire *wire;

static void set_up(void)
{
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void tear_down(void)
{
    server_stop(&server);
}

static void kill_server(void)
{
    server_kill(&server);
    wire_close(wire);
}

static void restart(void)
{
    server_restart(&server);
    wire = wire_open(&server);
}

/* ---- the files --------------------------------------------------------------------------------
 */

static int open_log(void)
{
    char path[PATH_MAX + 32];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/log/0000000001.log", server.data_path);
    fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Where text lies in the log. */
static off_t find(int fd, const char *text)
{
    struct stat status;
    char *bytes, *found;
    off_t offset;

    ck_assert_int_eq(fstat(fd, &status), 0);
    bytes = malloc((size_t)status.st_size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    found = memmem(bytes, (size_t)status.st_size, text, strlen(text));
    ck_assert_ptr_nonnull(found);
    offset = found - bytes;
    free(bytes);
    return offset;
}

static void overwrite(const char *text, char byte)
{
    int fd = open_log();

    ck_assert_int_eq(pwrite(fd, &byte, 1, find(fd, text)), 1);
    ck_assert_int_eq(close(fd), 0);
}

/* Where the last frame ends: behind it a log that was closed has some zeros, and frames are as long
 * as a multiple of eight. */
static off_t end_of_frames(int fd)
{
    struct stat status;
    uint8_t *bytes;
    off_t end;

    ck_assert_int_eq(fstat(fd, &status), 0);
    end = status.st_size;
    bytes = malloc((size_t)end);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(pread(fd, bytes, (size_t)end, 0), end);
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    free(bytes);
    return (end + 7) / 8 * 8;
}

/* Behind what was answered. Where it begins in the file. */
static off_t tear_tail(void)
{
    static const char torn[] = "half a frame that was on its way";
    off_t begin;
    int fd;

    expect_integer(wire, 2, "RPUSH l a b");
    server_stop(&server);
    wire_close(wire);
    fd = open_log();
    begin = end_of_frames(fd);
    ck_assert_int_eq(pwrite(fd, torn, sizeof(torn), begin), sizeof(torn));
    ck_assert_int_eq(close(fd), 0);
    return begin;
}

START_TEST(a_torn_tail_is_cut_and_told_of)
{
    (void)tear_tail();
    restart();
    expect_text(wire, "1) \"a\"\n2) \"b\"", "LRANGE l 0 -1");
    ck_assert_int_gt(info_number(wire, "log_cut_bytes"), 0);
    ck_assert(server_log_has(&server, "torn tail"));
    expect_integer(wire, 3, "RPUSH l c");
    kill_server();
    restart();
    expect_text(wire, "1) \"a\"\n2) \"b\"\n3) \"c\"", "LRANGE l 0 -1");
    ck_assert_int_eq(info_number(wire, "log_cut_bytes"), 0);
    wire_close(wire);
}
END_TEST

static void expect_refused_with(const char *aof_load_truncated, const char *first,
                                const char *second)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    char program[PATH_MAX];
    pid_t pid;

    /* In the same directory as before: server_start_refused would make another. */
    (void)snprintf(program, sizeof(program), "%s", server.program);
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int fd = open(server.log_path, O_WRONLY | O_APPEND);

        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) _exit(126);
        (void)execl(program, program, "--port", "0", "--dir", server.data_path, "--appendonly",
                    "yes", "--aof-load-truncated", aof_load_truncated, (char *)NULL);
        _exit(126);
    }
    ck_assert_int_gt(pid, 0);
    for (;;) {
        int status;

        if (waitpid(pid, &status, WNOHANG) == pid) {
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
            break;
        }
        ck_assert_msg(clock_probe(deadline_ms), "it started");
    }
    ck_assert_msg(server_log_has(&server, first), "%s", first);
    ck_assert_msg(server_log_has(&server, second), "%s", second);
}

static void expect_refused(const char *first, const char *second)
{
    expect_refused_with("yes", first, second);
}

START_TEST(a_torn_tail_is_left_alone_if_it_is_not_to_be_cut)
{
    off_t begin = tear_tail();
    char place[64];

    (void)snprintf(place, sizeof(place), "behind 0000000001.log offset %lld lie 32 bytes",
                   (long long)begin);
    expect_refused_with("no", place, "sluice-check --repair");
    expect_refused_with("no", place, "sluice-check --repair"); /* the first has cut nothing */
    restart();
    ck_assert_int_eq(info_number(wire, "log_cut_bytes"), 32);
    expect_text(wire, "1) \"a\"\n2) \"b\"", "LRANGE l 0 -1");
    wire_close(wire);
}
END_TEST

START_TEST(damage_where_it_had_been_synced_is_refused_with_its_place)
{
    expect_ok(wire, "SET k damaged-here");
    expect_ok(wire, "SET k fine");
    kill_server();
    overwrite("damaged-here", 'x');
    expect_refused("is damaged where it had been synced", "0000000001.log");
    overwrite("xamaged-here", 'd');
    restart();
    expect_string(wire, "fine", "GET k");
    wire_close(wire);
}
END_TEST

/* ---- a log that is whole and says what no server of ours does ---- */

/* A frame of one command, as server/durability/log_frame.h draws it. */
static void append_to_log(const char *command)
{
    static const uint8_t header[8] = { [0] = 1, [4] = 1 };
    struct slice parts[] = { slice_of(header, sizeof(header)), slice_of_string(command) };
    struct journal_options options_of_log = { 0 };
    struct journal_report report;
    struct journal *journal;
    char path[PATH_MAX + 32];
    uint64_t position;
    struct io *io;

    (void)snprintf(path, sizeof(path), "%s/log", server.data_path);
    options_of_log.path = path;
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(journal_open(os_real(), io, &options_of_log, &report, &journal), 0);
    while (journal_append(journal, UINT32_MAX * 1000ull, 0, parts, 2, &position) == -EAGAIN)
        ck_assert_int_eq(journal_wait(journal), 0);
    ck_assert_int_eq(journal_close(journal), 0);
    io_destroy(io);
}

START_TEST(what_no_server_has_done_is_refused)
{
    static const struct {
        const char *command, *why;
    } rows[] = {
        { "LPOP\r\n", "'LPOP' has a wrong number of arguments" },
        { "SWAPDB 1\r\n", "'SWAPDB' has a wrong number of arguments" },
        { "PERSIST a b\r\n", "'PERSIST' has a wrong number of arguments" },
        { "BLPOP l 0\r\n", "'BLPOP' is none that changes anything" },
        { "GET k\r\n", "'GET' is none that changes anything" },
        { "NOTHING\r\n", "'NOTHING' is none that changes anything" },
        { "LPUSH s a\r\n", "'LPUSH' meets a value of another type" },
        { "INCRBY s x\r\n", "'INCRBY' answers an error" },
    };

    expect_ok(wire, "SET s 1");
    kill_server();
    append_to_log(rows[_i].command);
    expect_refused("The operation log cannot be replayed", rows[_i].why);
}
END_TEST

START_TEST(another_version_is_refused)
{
    int fd;
    char version;

    expect_ok(wire, "SET k 1");
    kill_server();
    fd = open_log();
    ck_assert_int_eq(pread(fd, &version, 1, 4), 1);
    version++;
    ck_assert_int_eq(pwrite(fd, &version, 1, 4), 1);
    ck_assert_int_eq(close(fd), 0);
    expect_refused("The operation log", "log");
    fd = open_log();
    version--;
    ck_assert_int_eq(pwrite(fd, &version, 1, 4), 1);
    ck_assert_int_eq(close(fd), 0);
    restart();
    expect_string(wire, "1", "GET k");
    wire_close(wire);
}
END_TEST

START_TEST(a_second_server_is_refused)
{
    expect_ok(wire, "SET k 1");
    expect_refused("Another server works in the data directory", "give this one its own");
    expect_ok(wire, "SET k 2");
    wire_close(wire);
}
END_TEST

START_TEST(without_the_log_a_server_shows_what_is_in_it_and_leaves_it_alone)
{
    static const char *const off[] = { "--appendonly", "no", NULL };

    expect_ok(wire, "SET k 1");
    kill_server();
    server.options.own_arguments = off;
    restart();
    expect_string(wire, "1", "GET k");
    expect_ok(wire, "SET k 2"); /* is not logged */
    kill_server();
    server.options.own_arguments = durable;
    restart();
    expect_string(wire, "1", "GET k");
    wire_close(wire);
}
END_TEST

/* ---- a long log -------------------------------------------------------------------------------
 */

struct watcher {
    pthread_t thread;
    bool saw_loading, saw_progress, saw_pong;
};

/* By the unix socket, whose name stays: what a client is told from the first moment on. */
static void *watch(void *context)
{
    struct watcher *watcher = context;
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (!watcher->saw_pong && clock_probe(deadline_ms)) {
        struct text reply = { 0 };
        struct wire *other;

        other = wire_try_unix(&server);
        if (!other) continue; /* the name is there a moment before somebody listens */
        wire_command(other, "PING");
        if (wire_read(other, &reply) == 1) {
            watcher->saw_pong = strncmp(reply.bytes, "+PONG", 5) == 0;
            watcher->saw_loading |= strncmp(reply.bytes, "-LOADING", 8) == 0;
        }
        text_clear(&reply);
        wire_command(other, "INFO persistence");
        if (wire_read(other, &reply) == 1)
            watcher->saw_progress |= strstr(reply.bytes, "loading:1") &&
                                     strstr(reply.bytes, "loading_total_bytes:") &&
                                     strstr(reply.bytes, "loading_loaded_perc:");
        text_finish(&reply);
        wire_close(other);
    }
    return NULL;
}

START_TEST(a_long_log_is_loaded_while_clients_are_told)
{
    enum { BATCH = 1000 };
    struct watcher watcher = { 0 };
    unsigned count = suite_scaled(800) * BATCH;

    expect_ok(wire, "CONFIG SET appendfsync no");
    for (unsigned done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            wire_command(wire, "INCRBY k%u %u", i % 100, i);
        wire_skip(wire, BATCH);
    }
    server_kill(&server);
    wire_close(wire);
    (void)unlink(server.unix_path);
    ck_assert_int_eq(pthread_create(&watcher.thread, NULL, watch, &watcher), 0);
    restart();
    ck_assert_int_eq(pthread_join(watcher.thread, NULL), 0);
    ck_assert(watcher.saw_pong);
    ck_assert(watcher.saw_loading);
    ck_assert(watcher.saw_progress);
    expect_integer(wire, 0, "EXISTS nothing");
    ck_assert_int_eq(info_number(wire, "loading"), 0);
    wire_close(wire);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("start");
    TCase *cases = suite_case(suite, "start");

    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_torn_tail_is_cut_and_told_of);
    tcase_add_test(cases, a_torn_tail_is_left_alone_if_it_is_not_to_be_cut);
    tcase_add_test(cases, damage_where_it_had_been_synced_is_refused_with_its_place);
    tcase_add_loop_test(cases, what_no_server_has_done_is_refused, 0, 8);
    tcase_add_test(cases, another_version_is_refused);
    tcase_add_test(cases, a_second_server_is_refused);
    tcase_add_test(cases, without_the_log_a_server_shows_what_is_in_it_and_leaves_it_alone);
    tcase_add_test(cases, a_long_log_is_loaded_while_clients_are_told);
    return suite_run(suite);
}
