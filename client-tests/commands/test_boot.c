/* How the server starts, what it refuses to start with, what it lets change where it listens, and
 * what it leaves behind. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT_TRIES_MAX = 20 };

static struct server server;

/* A name in the data directory. */
static void data_file(char *path, size_t size_bytes, const char *name)
{
    ck_assert_int_lt(snprintf(path, size_bytes, "%s/%s", server.data_path, name), (int)size_bytes);
}

static int count_spill_files(void)
{
    char path[PATH_MAX];
    DIR *directory;
    int count = 0;

    data_file(path, sizeof(path), "spill");
    directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strncmp(entry->d_name, "spill-", 6) == 0;
    ck_assert_int_eq(closedir(directory), 0);
    return count;
}

/* A socket that has this port of 127.0.0.1 to itself; 0: any, and which. */
static int take_port(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*port) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void must_end_well(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    int status = 0;

    while (waitpid(server.pid, &status, WNOHANG) != server.pid)
        ck_assert_msg(clock_probe(deadline_ms), "the server does not end");
    server.pid = 0;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
}

static void start_refused(const char *directive, const char *value, const char *reason)
{
    const char *const arguments[] = { directive, value, NULL };
    struct server_options options = { .arguments = arguments };

    server_start_refused(&server, &options);
    ck_assert_msg(server_log_has(&server, reason), "\"%s\" is not in %s", reason, server.log_path);
}

/* ---- refused ---- */

START_TEST(a_directive_that_cannot_be_is_refused_with_its_reason)
{
    start_refused("--daemonize", "yes", "foreground");
    start_refused("--nosuch", "1", "Bad directive or wrong number of arguments");
    start_refused("--databases", "257", "between 1 and 256");
    start_refused("--dir", "/nonexistent", "No such file or directory");
    start_refused("--logfile", "/nonexistent/log", "log file /nonexistent/log");
    start_refused("--bind", "192.0.2.1", "this machine has no such address");
    start_refused("--unixsocket", "/nonexistent/socket", "its directory must exist");
    start_refused("--pidfile", "/nonexistent/pid", "pid file /nonexistent/pid");
}
END_TEST

START_TEST(a_port_that_another_has_is_refused_with_advice)
{
    int port = 0, fd = take_port(&port);
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", port);
    start_refused("--port", text, "choose another port");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on)
{
    struct server first;
    struct server_options same = { .data_directory = first.data_path };
    struct wire *wire;

    server_start(&first, NULL);
    wire = wire_open(&first);
    expect_integer(wire, 1, "RPUSH l a");
    server_start_refused(&server, &same);
    ck_assert(server_log_has(&server, "Another server works in the data directory"));
    expect_string(wire, "a", "LPOP l");
    wire_close(wire);
    server_kill(&first); /* its lock goes with it */
    server_start(&server, &same);
    server_stop(&server);
}
END_TEST

/* ---- what is left ---- */

static const char *const spilling[] = {
    "--appendonly", "no", "--list-chunk-bytes", "512", "--list-memory-max", "256kb", NULL
};

static void push_until_it_spills(void)
{
    struct wire *wire = wire_open(&server);
    char element[513];
    int64_t evicted = 0;

    memset(element, 'e', sizeof(element) - 1);
    element[sizeof(element) - 1] = '\0';
    for (int64_t deadline_ms = clock_ms() + WAIT_MS; evicted == 0;) {
        for (int i = 0; i < 1000; i++)
            wire_command(wire, "RPUSH backlog %s", element);
        wire_skip(wire, 1000);
        evicted = info_number(wire, "spill_evicted_chunks");
        ck_assert_msg(evicted > 0 || clock_probe(deadline_ms), "nothing goes to disk");
    }
    wire_close(wire);
    ck_assert_int_gt(count_spill_files(), 0);
}

START_TEST(spill_files_of_a_killed_server_go_at_the_next_start_and_foreign_ones_stay)
{
    struct server_options options = { .own_arguments = spilling };
    char foreign[PATH_MAX];
    struct wire *wire;
    int fd;

    server_start(&server, &options);
    push_until_it_spills();
    server_kill(&server);
    ck_assert_int_gt(count_spill_files(), 0);
    data_file(foreign, sizeof(foreign), "spill/holiday.jpg");
    fd = open(foreign, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "smile", 5), 5);
    ck_assert_int_eq(close(fd), 0);

    server_restart(&server);
    server_wait_log(&server, "foreign file, left alone: holiday.jpg");
    wire = wire_open(&server);
    expect_integer(wire, 0, "DBSIZE");
    ck_assert_int_eq(info_number(wire, "spill_disk_used_bytes"), 0);
    wire_close(wire);
    server_stop(&server);
    ck_assert_int_eq(count_spill_files(), 0);
    ck_assert_int_eq(unlink(foreign), 0);
}
END_TEST

START_TEST(signals_end_the_server_well_and_leave_no_spill_files)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct server_options options = { .own_arguments = spilling };

    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        server_start(&server, &options);
        push_until_it_spills();
        ck_assert_int_eq(kill(server.pid, signals[i]), 0);
        must_end_well();
        ck_assert_int_eq(count_spill_files(), 0);
        ck_assert_int_eq(access(server.unix_path, F_OK), -1);
    }
}
END_TEST

START_TEST(shutdown_ends_the_server_well_and_leaves_no_spill_files)
{
    struct server_options options = { .own_arguments = spilling };
    struct wire *wire;

    server_start(&server, &options);
    push_until_it_spills();
    wire = wire_open(&server);
    wire_command(wire, "SHUTDOWN NOSAVE");
    expect_end(wire);
    wire_close(wire);
    must_end_well();
    ck_assert_int_eq(count_spill_files(), 0);
    ck_assert_int_eq(access(server.unix_path, F_OK), -1);
}
END_TEST

START_TEST(the_pid_file_names_the_process_and_goes_with_it)
{
    char path[PATH_MAX], wanted[32];
    const char *const arguments[] = { "--pidfile", path, NULL };
    struct server_options options = { .arguments = arguments };
    struct text pid = { 0 };

    ck_assert_int_lt(snprintf(path, sizeof(path), "%s/pid", suite_directory()), PATH_MAX);
    server_start(&server, &options);
    server_wait_log(&server, "Ready to accept connections");
    ck_assert_int_eq(text_add_file(&pid, path), 0);
    (void)snprintf(wanted, sizeof(wanted), "%d\n", (int)server.pid);
    ck_assert_str_eq(text_string(&pid), wanted);
    text_finish(&pid);
    server_stop(&server);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* ---- what it says ---- */

START_TEST(each_limit_is_logged_with_its_origin)
{
    static const char *const given[] = { "--maxmemory",
                                         "64mb",
                                         "--maxdisk",
                                         "1gb",
                                         "--appendonly",
                                         "yes",
                                         "--dbfilename",
                                         "other.rdb",
                                         "--rdbcompression",
                                         "no",
                                         NULL };
    static const char *const not_kept[] = { "--appendonly", "no", NULL };
    struct server_options options = { .own_arguments = not_kept };

    server_start(&server, &options);
    server_wait_log(&server, "a quarter of the machine's or the cgroup's memory");
    server_wait_log(&server, "four fifths of what is free in the data directory");
    server_wait_log(&server, "KiB, from maxmemory");
    server_wait_log(&server, "Data does not survive the end of this process");
    ck_assert(!server_log_has(&server, "have no effect here"));
    server_stop(&server);
    options.own_arguments = given;
    server_start(&server, &options);
    ck_assert(!server_log_has(&server, "Data does not survive the end of this process"));
    server_wait_log(&server, "maxmemory 64 MiB, as configured");
    server_wait_log(&server, "maxdisk 1024 MiB, as configured");
    server_wait_log(&server, "net-buffer-memory 4096 KiB, from maxmemory");
    server_wait_log(&server, "Longest element 8192 KiB");
    server_wait_log(&server, "have no effect here: dbfilename rdbcompression");
    server_stop(&server);
}
END_TEST

START_TEST(the_log_file_is_opened_anew_on_sighup)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    const char *const arguments[] = { "--logfile", server.log_path, NULL };
    char moved[PATH_MAX];
    struct wire *wire;

    server_start(&server, NULL);
    server_stop(&server);
    server.options.arguments = arguments;
    server_restart(&server);
    ck_assert_int_lt(snprintf(moved, sizeof(moved), "%.4000s.old", server.log_path), PATH_MAX);
    ck_assert_int_eq(rename(server.log_path, moved), 0);
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    while (access(server.log_path, F_OK) < 0)
        ck_assert_msg(clock_probe(deadline_ms), "there is no new log");
    wire = wire_open(&server);
    expect_ok(wire, "CONFIG SET bind %s", "127.0.0.1 127.0.0.2");
    wire_close(wire);
    server_wait_log(&server, "Listening on 127.0.0.2:");
    server_stop(&server);
}
END_TEST

/* ---- where it listens ---- */

START_TEST(bind_changes_live_and_stays_as_it_was_when_it_cannot)
{
    struct wire *wire, *other;

    server_start(&server, NULL);
    wire = wire_open(&server);
    ck_assert_ptr_null(wire_open_to("127.0.0.2", server.port));
    expect_ok(wire, "CONFIG SET bind %s", "127.0.0.2 127.0.0.1");
    other = wire_open_to("127.0.0.2", server.port);
    ck_assert_ptr_nonnull(other);
    expect_text(other, "PONG", "PING");
    expect_error(wire,
                 "ERR CONFIG SET failed (possibly related to argument 'bind') - cannot listen on "
                 "192.0.2.1, port ",
                 "CONFIG SET bind %s", "127.0.0.3 192.0.2.1");
    expect_text(wire, "1) \"bind\"\n2) \"127.0.0.2 127.0.0.1\"", "CONFIG GET bind");
    ck_assert_ptr_null(wire_open_to("127.0.0.3", server.port));
    expect_ok(wire, "CONFIG SET bind 127.0.0.1");
    ck_assert_ptr_null(wire_open_to("127.0.0.2", server.port));
    expect_text(other, "PONG", "PING"); /* who is connected stays */
    wire_close(other);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Sets a port that is free; somebody else may be quicker, and then it is another one. */
static int change_port(struct wire *wire)
{
    struct text reply = { 0 };

    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        int port = 0, fd = take_port(&port);
        bool is_set;

        expect_error(wire,
                     "ERR CONFIG SET failed (possibly related to argument 'port') - cannot listen",
                     "CONFIG SET port %d", port);
        ck_assert_int_eq(close(fd), 0);
        wire_command(wire, "CONFIG SET port %d", port);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        is_set = strcmp(text_string(&reply), "+OK\r\n") == 0;
        text_finish(&reply);
        if (is_set) return port;
    }
    ck_abort_msg("no port stayed free");
}

START_TEST(the_port_changes_live_and_stays_as_it_was_when_it_cannot)
{
    struct wire *wire, *other;
    int port;

    server_start(&server, NULL);
    wire = wire_open(&server);
    port = change_port(wire);
    ck_assert_ptr_null(wire_open_to("127.0.0.1", server.port));
    other = wire_open_to("127.0.0.1", port);
    ck_assert_ptr_nonnull(other);
    expect_text(other, "PONG", "PING");
    expect_text(wire, "PONG", "PING");
    ck_assert_int_eq(info_number(wire, "tcp_port"), port);
    expect_ok(wire, "CONFIG SET port 0"); /* any free one: that which it has */
    ck_assert_int_eq(info_number(other, "tcp_port"), port);
    wire_close(other);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(it_tells_what_it_is_and_ends_well)
{
    static const char *const asked[] = { "-v", "--version", "-h", "--help" };
    const char *said = _i < 2 ? "Sluice server v=" : "Usage: sluice-server";
    const char *program = getenv("SLUICE_SERVER");
    char command[2 * PATH_MAX], line[256] = "";
    FILE *answer;

    ck_assert_int_lt(snprintf(command, sizeof(command), "'%s%s' %s",
                              program ? program : suite_build_directory(),
                              program ? "" : "/sluice-server", asked[_i]),
                     (int)sizeof(command));
    answer = popen(command, "re");
    ck_assert_ptr_nonnull(answer);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), answer));
    ck_assert_msg(strncmp(line, said, strlen(said)) == 0, "it says %s", line);
    while (fgets(line, sizeof(line), answer)) {}
    ck_assert_int_eq(pclose(answer), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("boot");
    TCase *refused = suite_case(suite, "refused"), *left = suite_case(suite, "what is left");
    TCase *said = suite_case(suite, "what it says"), *listen = suite_case(suite, "listening");

    tcase_add_test(refused, a_directive_that_cannot_be_is_refused_with_its_reason);
    tcase_add_test(refused, a_port_that_another_has_is_refused_with_advice);
    tcase_add_test(refused, a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on);
    tcase_add_test(left, spill_files_of_a_killed_server_go_at_the_next_start_and_foreign_ones_stay);
    tcase_add_test(left, signals_end_the_server_well_and_leave_no_spill_files);
    tcase_add_test(left, shutdown_ends_the_server_well_and_leaves_no_spill_files);
    tcase_add_test(left, the_pid_file_names_the_process_and_goes_with_it);
    tcase_add_test(said, each_limit_is_logged_with_its_origin);
    tcase_add_test(said, the_log_file_is_opened_anew_on_sighup);
    tcase_add_test(listen, bind_changes_live_and_stays_as_it_was_when_it_cannot);
    tcase_add_test(listen, the_port_changes_live_and_stays_as_it_was_when_it_cannot);
    tcase_add_loop_test(said, it_tells_what_it_is_and_ends_well, 0, 4);
    return suite_run(suite);
}
