/* The data directory's lock, the spill directory and the pid file, when a system call fails: it is
 * told what has failed, nothing stays taken, and the next attempt succeeds. */
#include "modules/base/fault.h"
#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "server/boot_directory.h"
#include "server/durability/backup_target.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 128, TEXT_BYTES = 16384 };

static const int errors[] = { EIO, ENOSPC, ENOMEM, EACCES };

static struct {
    char directory[64], data[80], pid[80], output[80];
    struct fault *fault;
    struct log *log;
    struct boot_directory own;
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "boot");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(fixture.pid, sizeof(fixture.pid), "%s/pid", fixture.directory);
    (void)snprintf(fixture.output, sizeof(fixture.output), "%s/output", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0700), 0);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(log_create(fixture.output, LOG_NOTICE, 'M', &fixture.log), 0);
}

static void tear_down(void)
{
    boot_directory_close(os_real(), &fixture.own);
    log_destroy(fixture.log);
    fault_destroy(fixture.fault);
    test_directory_remove(fixture.directory);
}

/* ---- what is there ----------------------------------------------------------------------------
 */

static void path_in_data(char path[PATH_BYTES], const char *name)
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", fixture.data, name);
}

static void make_file(const char *name)
{
    char path[PATH_BYTES];
    int fd;

    path_in_data(path, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
}

static void read_file(const char *path, char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "r");
    size_t size;

    ck_assert_ptr_nonnull(file);
    size = fread(text, 1, TEXT_BYTES - 1, file);
    text[size] = '\0';
    ck_assert_int_eq(fclose(file), 0);
}

static bool was_told(const char *what)
{
    static char text[TEXT_BYTES];

    read_file(fixture.output, text);
    return strstr(text, what) != NULL;
}

static void forget_output(void)
{
    ck_assert_int_eq(truncate(fixture.output, 0), 0);
}

static int try_to_open(struct boot_directory *out_directory)
{
    *out_directory = (struct boot_directory){ 0 };
    return boot_directory_open(fault_os(fixture.fault), fixture.log, fixture.data, out_directory);
}

/* It may be taken, and then by nobody else. */
static void expect_free(void)
{
    struct boot_directory another;

    ck_assert_int_eq(try_to_open(&fixture.own), 0);
    ck_assert_int_eq(try_to_open(&another), -EWOULDBLOCK);
    ck_assert(was_told("Another server works in the data directory"));
    boot_directory_close(os_real(), &another);
    boot_directory_close(os_real(), &fixture.own);
    forget_output();
}

/* ---- the directory ----------------------------------------------------------------------------
 */

/* One that is new, or one with files in it. */
START_TEST(each_system_call_of_taking_it_may_fail)
{
    int error = errors[_i / 2];
    bool has_fired = true;
    uint64_t nth;

    if (_i % 2) {
        expect_free();
        make_file("spill/foreign");
    }
    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, error, FAULT_ONCE);
        rc = try_to_open(&fixture.own);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert_int_eq(rc, has_fired ? -error : 0);
        if (has_fired) ck_assert(was_told(strerror(error)));
        ck_assert(!was_told("was not completed")); /* there is no such mark */
        boot_directory_close(os_real(), &fixture.own);
        expect_free();
    }
    ck_assert_uint_ge(nth, 5); /* opened, locked, looked for a mark, made */
}
END_TEST

START_TEST(half_a_backup_is_refused_whatever_fails)
{
    bool has_fired = true;
    uint64_t nth;

    make_file(BACKUP_MARK);
    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = try_to_open(&fixture.own);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert(rc == -EUCLEAN || (has_fired && rc == -EIO));
        ck_assert(was_told(rc == -EIO ? strerror(EIO) : "was not completed"));
        boot_directory_close(os_real(), &fixture.own);
        forget_output();
    }
    ck_assert_uint_ge(nth, 5);
}
END_TEST

/* ---- the pid file -----------------------------------------------------------------------------
 */

static int write_pid(void)
{
    return boot_directory_write_pid(fault_os(fixture.fault), fixture.log, fixture.pid);
}

static void expect_pid(void)
{
    char want[32], text[TEXT_BYTES];

    (void)snprintf(want, sizeof(want), "%ld\n", (long)getpid());
    read_file(fixture.pid, text);
    ck_assert_str_eq(text, want);
}

/* A part of a number is another process's number. */
START_TEST(a_pid_file_is_whole_or_not_there)
{
    int error = errors[_i];
    bool has_fired = true;
    uint64_t nth;

    fault_limit_transfer(fixture.fault, 1);
    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, error, FAULT_ONCE);
        rc = write_pid();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        fault_limit_transfer(fixture.fault, 1);
        ck_assert_int_eq(rc, has_fired ? -error : 0);
        if (!has_fired) break;
        ck_assert_int_ne(access(fixture.pid, F_OK), 0);
        ck_assert(was_told("could not be written") && was_told(strerror(error)));
        forget_output();
    }
    ck_assert_uint_ge(nth, 5); /* opened, a byte of at least two, closed */
    expect_pid();
    boot_directory_remove_pid(fault_os(fixture.fault), fixture.pid);
    ck_assert_int_ne(access(fixture.pid, F_OK), 0);
}
END_TEST

START_TEST(one_that_cannot_be_removed_is_written_over_by_the_next)
{
    ck_assert_int_eq(write_pid(), 0);
    fault_fail(fixture.fault, FAULT_UNLINK, 1, EROFS, FAULT_ONCE);
    boot_directory_remove_pid(fault_os(fixture.fault), fixture.pid);
    ck_assert_uint_eq(fault_fired(fixture.fault), 1);
    expect_pid();
    ck_assert_int_eq(write_pid(), 0);
    expect_pid();
}
END_TEST

START_TEST(none_is_made_where_none_is_wanted)
{
    ck_assert_int_eq(boot_directory_write_pid(fault_os(fixture.fault), fixture.log, ""), 0);
    boot_directory_remove_pid(fault_os(fixture.fault), "");
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_ANY), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("the data directory");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, each_system_call_of_taking_it_may_fail, 0, 8);
    tcase_add_test(cases, half_a_backup_is_refused_whatever_fails);
    tcase_add_loop_test(cases, a_pid_file_is_whole_or_not_there, 0, 4);
    tcase_add_test(cases, one_that_cannot_be_removed_is_written_over_by_the_next);
    tcase_add_test(cases, none_is_made_where_none_is_wanted);
    return test_suite_run(suite);
}
