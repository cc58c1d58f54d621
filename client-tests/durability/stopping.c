/* The end of a server by a signal or SHUTDOWN: what is to be saved first is, or the server goes on;
 * what is under way is left in order; who ended without being able to keep all says so. */
#include "client-tests/durability/one_server.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE_BYTES = 1000000 };

static const char *const saves_at_end[] = { "--appendonly", "no", "--save", "3600 1", NULL };
static const char *const with_log[] = { "--appendonly",
                                        "yes",
                                        "--appendfsync",
                                        "no",
                                        "--list-memory-max",
                                        "256kb",
                                        "--list-chunk-bytes",
                                        "512",
                                        NULL };

static void start_without_log(void)
{
    start(saves_at_end);
}

static void start_with_log(void)
{
    start(with_log);
}

/* Its exit code. */
static int wait_for_end(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    int status = 0;

    while (waitpid(server.pid, &status, WNOHANG) == 0)
        if (!clock_probe(deadline_ms)) ck_abort_msg("the server does not end");
    server.pid = 0;
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_exit(int code)
{
    int got = wait_for_end();

    ck_assert_int_eq(got, code);
}

static void send_signal(int number)
{
    ck_assert_int_eq(kill(server.pid, number), 0);
}

/* ---- what has to be saved first ---------------------------------------------------------------
 */

static char in_the_way[PATH_MAX + 32];

/* A directory where the file of the number-th checkpoint would be: it fails. */
static void plant(int number)
{
    (void)snprintf(in_the_way, sizeof(in_the_way), "%s/checkpoint-%d.tmp", server.data_path,
                   number);
    ck_assert_int_eq(mkdir(in_the_way, 0700), 0);
}

START_TEST(a_signal_does_not_end_a_server_that_cannot_save)
{
    expect_ok(wire, "SET a 1");
    plant(1);
    send_signal(SIGTERM);
    server_wait_log(&server, "The data could not be saved, and the server goes on");
    expect_string(wire, "1", "GET a");
    ck_assert_int_eq(rmdir(in_the_way), 0);
    expect_ok(wire, "SAVE"); /* writes were stopped since it failed */
    expect_ok(wire, "SET a 2");
    send_signal(SIGTERM);
    expect_exit(0);
    restart();
    expect_string(wire, "2", "GET a");
}
END_TEST

START_TEST(a_server_that_cannot_save_ends_when_it_is_told_not_to)
{
    expect_ok(wire, "SET a 1");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET a 2");
    plant(2);
    expect_error(wire, "ERR Errors trying to SHUTDOWN. Check logs.", "SHUTDOWN");
    wire_command(wire, "SHUTDOWN NOSAVE");
    expect_exit(0);
    ck_assert_int_eq(rmdir(in_the_way), 0);
    restart();
    expect_string(wire, "1", "GET a");
}
END_TEST

START_TEST(a_signal_saves_as_it_is_told_to)
{
    static const char *const words[] = {
        "CONFIG SET save '' shutdown-on-sigterm nosave shutdown-on-sigint 'save now'", "OK", NULL
    };

    expect_ok(wire, "SET a 1");
    expect_ok(wire, "CONFIG SET shutdown-on-sigterm nosave");
    send_signal(SIGTERM);
    expect_exit(0);
    restart();
    expect_nil(wire, "GET a");
    expect_ok(wire, "SET a 2");
    expect_lines(wire, words);
    send_signal(SIGINT);
    expect_exit(0);
    restart();
    expect_string(wire, "2", "GET a");
}
END_TEST

START_TEST(a_signal_that_forces_ends_a_server_that_cannot_save)
{
    expect_ok(wire, "SET a 1");
    expect_ok(wire, "CONFIG SET shutdown-on-sigterm force");
    plant(1);
    send_signal(SIGTERM);
    expect_exit(0);
    ck_assert(server_log_has(&server, "Checkpoint 1 failed"));
    ck_assert_int_eq(rmdir(in_the_way), 0);
    restart();
    expect_nil(wire, "GET a");
}
END_TEST

/* Syncs take so long that the end waits for its checkpoint. False: strace may not attach. */
static bool slow_down(struct tracer *tracer)
{
    if (tracer_start(tracer, &server, "fsync,fdatasync", "fsync,fdatasync:delay_enter=1500000"))
        return true;
    suite_skip("strace may not attach on this machine");
    return false;
}

START_TEST(a_shutdown_that_waits_may_be_called_off)
{
    struct wire *other;
    struct tracer tracer;

    if (!slow_down(&tracer)) return;
    other = wire_open(&server);
    wire_command(other, "SHUTDOWN SAVE");
    info_wait(wire, "rdb_bgsave_in_progress", 1);
    expect_ok(wire, "SHUTDOWN ABORT");
    expect_error(other, "ERR Errors trying to SHUTDOWN. Check logs.", "");
    expect_ok(wire, "SET a 1");
    send_signal(SIGTERM);
    server_wait_log(&server, "Received SIGTERM, stopping when the data is saved");
    expect_ok(wire, "SHUTDOWN ABORT");
    expect_error(wire, "ERR No shutdown in progress.", "SHUTDOWN ABORT");
    expect_ok(wire, "SET a 2");
    tracer_stop(&tracer, NULL);
    send_signal(SIGTERM);
    expect_exit(0);
    restart();
    expect_string(wire, "2", "GET a");
    wire_close(other);
}
END_TEST

/* Who goes takes only his own wish along. */
START_TEST(a_shutdown_goes_on_when_another_that_asked_has_gone)
{
    struct wire *other, *third;
    struct tracer tracer;

    if (!slow_down(&tracer)) return;
    other = wire_open(&server);
    third = wire_open(&server);
    wire_command(other, "SHUTDOWN SAVE");
    info_wait(wire, "parked_clients", 1);
    wire_command(third, "SHUTDOWN SAVE");
    info_wait(wire, "parked_clients", 2);
    wire_reset(other);
    info_wait(wire, "parked_clients", 1);
    expect_ok(wire, "SHUTDOWN ABORT");
    expect_error(third, "ERR Errors trying to SHUTDOWN. Check logs.", "");
    expect_ok(wire, "SET a 1");
    tracer_stop(&tracer, NULL);
    wire_close(third);
}
END_TEST

START_TEST(a_second_signal_does_not_wait)
{
    struct tracer tracer;

    expect_ok(wire, "SET a 1");
    if (!slow_down(&tracer)) return;
    send_signal(SIGTERM);
    server_wait_log(&server, "Received SIGTERM, stopping when the data is saved");
    send_signal(SIGINT);
    server_wait_log(&server, "Received SIGINT, stopping");
    tracer_stop(&tracer, NULL);
    expect_exit(0);
    restart();
    expect_string(wire, "1", "GET a");
}
END_TEST

/* ---- with a log -------------------------------------------------------------------------------
 */

static unsigned count_unfinished(void)
{
    struct dirent *entry;
    DIR *dir = opendir(server.data_path);
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL)
        count += strstr(entry->d_name, ".tmp") != NULL;
    (void)closedir(dir);
    return count;
}

START_TEST(a_checkpoint_under_way_is_left_in_order)
{
    for (unsigned round = 0; round < suite_scaled(10); round++) {
        struct text before = { 0 };

        for (unsigned i = 0; i < 2000; i++)
            wire_command(wire, "RPUSH list:%u element-%u-of-round-%u", i % 20, i, round);
        wire_skip(wire, 2000);
        contents_add(&before, wire);
        wire_command(wire, "BGSAVE");
        wire_skip(wire, 1);
        (void)usleep(round * 500); /* somewhere amid it */
        send_signal(SIGTERM);
        expect_exit(0);
        ck_assert_uint_eq(count_unfinished(), 0);
        restart();
        contents_expect(wire, &before, "after an end amid a checkpoint");
        text_finish(&before);
    }
}
END_TEST

/* The checkpoint's writer has it until it is in the file, and it is counted among the answers. */
START_TEST(a_checkpoint_under_way_may_hold_what_is_no_value_any_more)
{
    struct tracer tracer;

    expect_ok(wire, "SET a 1");
    expect_integer(wire, LARGE_BYTES, "SETRANGE large %d x", LARGE_BYTES - 1);
    if (!tracer_start(&tracer, &server, "pwrite64", "pwrite64:delay_enter=1500000")) {
        suite_skip("strace may not attach on this machine");
        return;
    }
    wire_command(wire, "BGSAVE");
    wire_skip(wire, 1);
    info_wait(wire, "rdb_bgsave_in_progress", 1);
    expect_integer(wire, 1, "DEL large");
    ck_assert_int_ge(info_number(wire, "mem_net_output"), LARGE_BYTES);
    send_signal(SIGTERM);
    server_wait_log(&server, "Sluice is now ready to exit");
    tracer_stop(&tracer, NULL);
    expect_exit(0);
    restart();
    expect_string(wire, "1", "GET a");
    expect_integer(wire, 0, "EXISTS large");
}
END_TEST

START_TEST(who_could_not_sync_its_log_ends_with_an_error)
{
    struct tracer tracer;

    if (strstr(suite_build_directory(), "/release/") == NULL) {
        suite_skip("an end that fails: a sanitizer cannot look for leaks while it is traced");
        return;
    }
    expect_ok(wire, "SET a 1");
    if (!tracer_start(&tracer, &server, "msync,fsync,fdatasync",
                      "msync,fsync,fdatasync:error=EIO")) {
        suite_skip("strace may not attach on this machine");
        return;
    }
    send_signal(SIGTERM);
    expect_exit(1);
    tracer_stop(&tracer, NULL);
    ck_assert(server_log_has(&server, "The end of the operation log could not be synced"));
    restart();
    expect_string(wire, "1", "GET a"); /* nothing but the power could have taken it */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stopping");
    TCase *plain = suite_case(suite, "without a log"), *logged = suite_case(suite, "with a log");

    tcase_add_checked_fixture(plain, start_without_log, stop);
    tcase_add_test(plain, a_signal_does_not_end_a_server_that_cannot_save);
    tcase_add_test(plain, a_server_that_cannot_save_ends_when_it_is_told_not_to);
    tcase_add_test(plain, a_signal_saves_as_it_is_told_to);
    tcase_add_test(plain, a_signal_that_forces_ends_a_server_that_cannot_save);
    tcase_add_test(plain, a_shutdown_that_waits_may_be_called_off);
    tcase_add_test(plain, a_shutdown_goes_on_when_another_that_asked_has_gone);
    tcase_add_test(plain, a_second_signal_does_not_wait);
    tcase_add_checked_fixture(logged, start_with_log, stop);
    tcase_add_test(logged, a_checkpoint_under_way_is_left_in_order);
    tcase_add_test(logged, a_checkpoint_under_way_may_hold_what_is_no_value_any_more);
    tcase_add_test(logged, who_could_not_sync_its_log_ends_with_an_error);
    return suite_run(suite);
}
