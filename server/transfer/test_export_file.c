/* A file of an export is there as a whole, or nothing of it. */
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "server/transfer/export_file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PIECES = 50, PIECE_BYTES = 100000 };

static struct {
    char directory[64], path[96], temporary_path[104];
    struct fault *fault;
    struct io *io;
    struct export_file *file;
    unsigned steps;
} fixture;

static void setup(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "export");
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/x", fixture.directory);
    (void)snprintf(fixture.temporary_path, sizeof(fixture.temporary_path), "%s.tmp", fixture.path);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
}

static void teardown(void)
{
    export_file_destroy(fixture.file);
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    (void)unlink(fixture.path);
    (void)unlink(fixture.temporary_path);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
}

static void count_step(void *context)
{
    (*(unsigned *)context)++;
}

static void create(void)
{
    ck_assert_int_eq(
        export_file_create(fixture.io, fixture.path, count_step, &fixture.steps, &fixture.file), 0);
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 31 + at / 4093);
}

static void put_pieces(void)
{
    size_t at = 0;

    for (int i = 0; i < PIECES; i++) {
        uint8_t *room = export_file_room(fixture.file, PIECE_BYTES);
        if (!room) return;
        for (size_t k = 0; k < PIECE_BYTES; k++, at++)
            room[k] = byte_at(at);
        export_file_put(fixture.file, PIECE_BYTES);
        export_file_write(fixture.file);
        (void)io_poll(fixture.io);
    }
}

static void wait_for_end(void)
{
    while (!export_file_has_ended(fixture.file))
        ck_assert_uint_gt(io_wait(fixture.io), 0);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void expect_whole(void)
{
    FILE *file = fopen(fixture.path, "r");
    size_t at = 0;
    int byte;

    ck_assert_ptr_nonnull(file);
    while ((byte = fgetc(file)) != EOF)
        ck_assert_int_eq(byte, byte_at(at++));
    ck_assert_uint_eq(at, (size_t)PIECES * PIECE_BYTES);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(what_was_put_is_there_when_it_is_done)
{
    create();
    put_pieces();
    ck_assert(!is_there(fixture.path));
    ck_assert(is_there(fixture.temporary_path));
    export_file_finish(fixture.file);
    wait_for_end();
    ck_assert_int_eq(export_file_error(fixture.file), 0);
    ck_assert_uint_eq(export_file_written_bytes(fixture.file), (uint64_t)PIECES * PIECE_BYTES);
    ck_assert_uint_eq(export_file_waiting_bytes(fixture.file), 0);
    ck_assert_uint_gt(fixture.steps, 3);
    ck_assert(!is_there(fixture.temporary_path));
    expect_whole();
}
END_TEST

START_TEST(nothing_of_a_discarded_one_stays)
{
    create();
    put_pieces();
    if (_i == 0) export_file_discard(fixture.file, -EIO);
    if (_i == 0) wait_for_end();
    if (_i == 0) ck_assert_int_eq(export_file_error(fixture.file), -EIO);
    export_file_destroy(fixture.file);
    fixture.file = NULL;
    ck_assert(!is_there(fixture.path));
    ck_assert(!is_there(fixture.temporary_path));
}
END_TEST

START_TEST(a_name_that_is_taken_is_left_alone)
{
    const char *path = _i == 0 ? fixture.path : fixture.temporary_path;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "mine", 4), 4);
    (void)close(fd);
    create();
    put_pieces();
    export_file_finish(fixture.file);
    wait_for_end();
    ck_assert_int_eq(export_file_error(fixture.file), -EEXIST);
    ck_assert(is_there(path));
    ck_assert_int_eq(is_there(fixture.path) + is_there(fixture.temporary_path), 1);
}
END_TEST

static int export_all(void)
{
    int rc;

    create();
    put_pieces();
    export_file_finish(fixture.file);
    wait_for_end();
    rc = export_file_error(fixture.file);
    export_file_destroy(fixture.file);
    fixture.file = NULL;
    return rc;
}

/* EINTR, too, is an error here: the table has tried again by then. */
START_TEST(each_system_call_that_fails_leaves_nothing)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };
    int error = errors[_i];
    bool has_fired = true;
    uint64_t nth;

    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, error, FAULT_ONCE);
        rc = export_all();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert_int_eq(rc, has_fired ? -error : 0);
        ck_assert(!is_there(fixture.temporary_path));
        ck_assert_int_eq(is_there(fixture.path), !has_fired); /* so the name can be used again */
    }
    ck_assert_uint_gt(nth, 7);
    expect_whole();
}
END_TEST

/* The first error is told, and what stays has a name that says what it is, or is whole. */
START_TEST(what_cannot_be_removed_either_does_not_hide_why)
{
    bool has_fired = true;
    unsigned left = 0, named = 0;
    uint64_t nth;

    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, ENOSPC, FAULT_ONCE);
        fault_fail(fixture.fault, FAULT_UNLINK, 1, EROFS, FAULT_FROM_THEN_ON);
        rc = export_all();
        fault_clear(fixture.fault);
        has_fired = rc < 0;
        ck_assert(rc == 0 || rc == -ENOSPC);
        if (is_there(fixture.path)) expect_whole();
        if (has_fired && is_there(fixture.path)) named++;
        if (is_there(fixture.temporary_path)) left++;
        if (has_fired && (is_there(fixture.path) || is_there(fixture.temporary_path)))
            ck_assert_int_eq(export_all(), -EEXIST);
        (void)unlink(fixture.path);
        (void)unlink(fixture.temporary_path);
    }
    ck_assert_uint_gt(left, 3); /* a write, the sync, closing, renaming */
    ck_assert_uint_eq(named, 1);
    ck_assert_int_eq(export_all(), 0);
    expect_whole();
}
END_TEST

START_TEST(a_full_disk_is_told)
{
    fault_set_disk(fixture.fault, 1000000);
    create();
    put_pieces();
    export_file_finish(fixture.file);
    wait_for_end();
    ck_assert_int_eq(export_file_error(fixture.file), -ENOSPC);
    ck_assert(!is_there(fixture.path));
    ck_assert(!is_there(fixture.temporary_path));
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 0);
}
END_TEST

START_TEST(short_writes_are_gone_on_with)
{
    fault_limit_transfer(fixture.fault, 12345);
    create();
    put_pieces();
    export_file_finish(fixture.file);
    wait_for_end();
    ck_assert_int_eq(export_file_error(fixture.file), 0);
    expect_whole();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export file");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_test(cases, what_was_put_is_there_when_it_is_done);
    tcase_add_loop_test(cases, nothing_of_a_discarded_one_stays, 0, 2);
    tcase_add_loop_test(cases, a_name_that_is_taken_is_left_alone, 0, 2);
    tcase_add_loop_test(cases, each_system_call_that_fails_leaves_nothing, 0, 4);
    tcase_add_test(cases, what_cannot_be_removed_either_does_not_hide_why);
    tcase_add_test(cases, a_full_disk_is_told);
    tcase_add_test(cases, short_writes_are_gone_on_with);
    return test_suite_run(suite);
}
