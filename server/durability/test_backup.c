/* Backups of a keyspace whose lists spill. Each system call of making one fails, each way: what is
 * left in the target is nothing, or marked as not completed, or whole, and the next one succeeds.
 * They have a table of system calls of their own: nothing fails for the original. */
#include "modules/base/test_suite.h"
#include "modules/spill/file.h"
#include "server/durability/backup.h"
#include "server/durability/backup_target.h"
#include "server/durability/test_checkpoint_run.h"

#include <fcntl.h>
#include <limits.h>

static struct {
    struct fault *fault;
    struct io *io;
    struct parts copy; /* the target's directory, by its name */
    struct backup *backup;
    struct backup_progress progress; /* of the last one, when it had ended */
    struct contents contents;        /* of the original */
    uint64_t number;                 /* of its checkpoint */
    unsigned progress_count;
} own;

/* ---- the fixture ------------------------------------------------------------------------------
 */

static bool is_there(const char *name)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s", own.copy.directory, name);
    return access(path, F_OK) == 0;
}

static void fill(void)
{
    struct checkpoint_info info;

    change_much(500);
    begin();
    ck_assert_int_eq(run(0), 0);
    read_contents(&fixture.own, &own.contents);
    checkpoint_get_info(fixture.checkpoint, &info);
    own.number = info.number;
    ck_assert_int_eq(spill_checkpoint_pin(fixture.own.store), 0);
}

static void make_own(struct os *below)
{
    ck_assert_int_eq(fault_create(below, &own.fault), 0);
    ck_assert_int_eq(io_create(fault_os(own.fault), 0, &own.io), 0);
}

static void set_up(void)
{
    memset(&own, 0, sizeof(own));
    name_parts();
    make_parts(os_real());
    make_own(os_real());
    test_directory_make(own.copy.directory, sizeof(own.copy.directory), "/dev/shm", "backup");
    (void)snprintf(own.copy.spill, sizeof(own.copy.spill), "%s/spill", own.copy.directory);
    ck_assert_int_eq(rmdir(own.copy.directory), 0); /* its name is ours */
    fill();
}

static void tear_down(void)
{
    io_destroy(own.io);
    fault_destroy(own.fault);
    spill_checkpoint_unpin(fixture.own.store);
    destroy_parts();
}

/* ---- a backup ---------------------------------------------------------------------------------
 */

static void count_progress(void *context)
{
    (void)context;
    own.progress_count++;
}

static void begin_backup(void)
{
    struct backup_options options = { .io = own.io,
                                      .store = fixture.own.store,
                                      .streams = fixture.own.streams,
                                      .directory = fixture.own.directory,
                                      .target = own.copy.directory,
                                      .on_progress = count_progress };

    ck_assert_int_eq(backup_create(&options, &own.backup), 0);
}

/* 0, or why it has failed. */
static int end_backup(void)
{
    while (!backup_has_ended(own.backup))
        ck_assert_int_gt(io_wait(own.io), 0);
    backup_get_progress(own.backup, &own.progress);
    ck_assert(own.progress.error <= 0);
    ck_assert_ptr_nonnull(own.progress.step);
    backup_destroy(own.backup);
    own.backup = NULL;
    return own.progress.error;
}

static void await_target(void)
{
    while (!backup_is_ready(own.backup) && !backup_has_ended(own.backup))
        ck_assert_int_gt(io_wait(own.io), 0);
}

static int back_up(void)
{
    begin_backup();
    await_target();
    if (backup_is_ready(own.backup)) ck_assert_int_eq(backup_copy(own.backup, own.number), 0);
    return end_backup();
}

/* What is in the target is what the original held, and no log goes on from it. */
static void expect_whole(void)
{
    static struct contents got;
    char why[CHECKPOINT_ERROR_BYTES];
    struct checkpoint_head head;
    unsigned database, index;
    int rc = load(&own.copy, &head, why);

    ck_assert_msg(rc == 1, "%d: %s", rc, rc < 0 ? why : "nothing is there");
    ck_assert(!is_there(BACKUP_MARK));
    ck_assert_uint_eq(head.number, own.number);
    ck_assert_uint_eq(head.log_position, 0);
    read_contents(&own.copy, &got);
    ck_assert(!find_difference(&got, &own.contents, &database, &index));
    unload(&own.copy);
}

static void remove_target(void)
{
    if (access(own.copy.spill, F_OK) == 0) {
        remove_files(own.copy.spill);
        ck_assert_int_eq(rmdir(own.copy.spill), 0);
    }
    remove_files(own.copy.directory);
    ck_assert_int_eq(rmdir(own.copy.directory), 0);
}

/* Of a failed one. */
static void expect_nothing_that_misleads(void)
{
    if (!is_there("")) {
        ck_assert(!own.progress.is_left);
        return;
    }
    ck_assert(own.progress.is_left);
    /* Without a mark it must be what it looks like: the directory that was made, or all of it. */
    if (!is_there(BACKUP_MARK) && is_there("sluice.lock")) expect_whole();
    remove_target();
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(a_backup_holds_what_the_original_held)
{
    ck_assert_int_eq(back_up(), 0);
    ck_assert_uint_eq(own.progress.copied_bytes, own.progress.total_bytes);
    ck_assert_uint_gt(own.progress.total_bytes, 100000);
    ck_assert_uint_eq(own.progress.cloned_bytes, 0);
    ck_assert_uint_gt(own.progress_count, 4);
    expect_whole();
    remove_target();
}
END_TEST

/* EINTR, too, is an error here: the table has tried again by then. */
START_TEST(each_system_call_may_fail)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };
    enum fault_duration duration = _i / 4 ? FAULT_FROM_THEN_ON : FAULT_ONCE;
    int error = errors[_i % 4];
    unsigned passed = 0;
    uint64_t nth;

    for (nth = 1;; nth++) {
        uint64_t fired;
        int rc;

        fault_fail(own.fault, FAULT_ANY, nth, error, duration);
        rc = back_up();
        fired = fault_fired(own.fault);
        fault_clear(own.fault);
        if (fired == 0) break;
        if (rc == 0) {
            passed++;
            expect_whole();
            remove_target();
            continue;
        }
        ck_assert_int_eq(rc, -error);
        expect_nothing_that_misleads();
    }
    ck_assert_uint_gt(nth, 30);
    ck_assert_uint_le(passed, 2); /* closing the two originals, which were only read */
    expect_whole();
    remove_target();
}
END_TEST

START_TEST(what_is_transferred_in_small_parts_is_whole)
{
    fault_limit_transfer(own.fault, 1000);
    ck_assert_int_eq(back_up(), 0);
    expect_whole();
    remove_target();
}
END_TEST

/* ---- more than is left to the kernel to be written --------------------------------------------
 */

enum { MUCH_ELEMENTS = 1100 };

/* Above 32 MiB of elements, so that the copy is synced on its way, too. */
static void fill_much(void)
{
    static uint8_t bytes[LARGE_BYTES];
    struct checkpoint_info info;
    struct value *value;

    spill_checkpoint_unpin(fixture.own.store);
    ck_assert_int_eq(list_create(fixture.own.store, &value), 0);
    for (unsigned i = 0; i < MUCH_ELEMENTS; i++) {
        struct slice item = slice_of(bytes, sizeof(bytes));

        memcpy(bytes, &i, sizeof(i));
        ck_assert_int_eq(spill_deque_push(list_deque(value), SPILL_TAIL, &item, 1), 0);
        (void)spill_store_tick(fixture.own.store, 0);
        (void)io_poll(fixture.own.io);
    }
    if (find(&fixture.own, 0, 0)) keyspace_remove(fixture.own.keyspace, find(&fixture.own, 0, 0));
    add_value(0, 0, value);
    fixture.log_position++;
    begin();
    ck_assert_int_eq(run(0), 0);
    own.contents = fixture.last;
    checkpoint_get_info(fixture.checkpoint, &info);
    own.number = info.number;
    ck_assert_int_eq(spill_checkpoint_pin(fixture.own.store), 0);
}

START_TEST(each_sync_of_a_long_copy_may_fail)
{
    static const int errors[] = { EIO, ENOSPC };
    uint64_t syncs;

    fill_much();
    ck_assert_int_eq(back_up(), 0);
    syncs = fault_count(own.fault, FAULT_FDATASYNC);
    ck_assert_uint_gt(syncs, 0);
    expect_whole();
    remove_target();
    for (uint64_t nth = 1; nth <= syncs; nth++) {
        fault_fail(own.fault, FAULT_FDATASYNC, nth, errors[_i], FAULT_ONCE);
        ck_assert_int_eq(back_up(), -errors[_i]);
        fault_clear(own.fault);
        ck_assert(own.progress.copied_bytes < own.progress.total_bytes);
        ck_assert(!own.progress.is_left && !is_there(""));
    }
    ck_assert_int_eq(back_up(), 0); /* another attempt */
    expect_whole();
    remove_target();
}
END_TEST

/* ---- disks ------------------------------------------------------------------------------------
 */

/* A disk of any size: too small for it, and then large enough. */
START_TEST(a_full_disk_leaves_nothing)
{
    const uint64_t step = 64 << 10;
    uint64_t originals = 0; /* what was read counts as well */
    uint64_t size;
    int rc;

    for (size = 0;; size += step) {
        fault_set_disk(own.fault, size);
        rc = back_up();
        if (rc == 0) break;
        ck_assert_int_eq(rc, -ENOSPC);
        ck_assert(!own.progress.is_left);
        ck_assert(!is_there(""));
        if (size == 0) originals = fault_disk_used(own.fault);
        ck_assert_uint_eq(fault_disk_used(own.fault), originals);
    }
    ck_assert_uint_gt(size, originals + step);
    expect_whole();
    remove_target();
}
END_TEST

/* A checkpoint that has become damaged meanwhile does not get checksums that fit. */
START_TEST(what_is_damaged_is_not_copied)
{
    uint64_t reads, nth;

    ck_assert_int_eq(back_up(), 0);
    reads = fault_count(own.fault, FAULT_PREAD);
    remove_target();
    ck_assert_uint_gt(reads, 3);
    for (nth = 1; nth <= 3; nth++) { /* the head, a block's header, its data */
        fault_flip(own.fault, nth, 20, 0x10, FAULT_ONCE);
        ck_assert_int_eq(back_up(), -EBADMSG);
        fault_clear(own.fault);
        ck_assert(!is_there(""));
    }
}
END_TEST

START_TEST(one_may_be_given_up_at_any_moment)
{
    for (unsigned jobs = 0;; jobs++) {
        bool was_done = false;

        begin_backup();
        for (unsigned i = 0; i < jobs && !was_done; i++) {
            if (backup_is_ready(own.backup))
                ck_assert_int_eq(backup_copy(own.backup, own.number), 0);
            ck_assert_int_gt(io_wait(own.io), 0);
            was_done = backup_has_ended(own.backup);
        }
        backup_cancel(own.backup, -ECANCELED);
        if (end_backup() == 0) {
            ck_assert_uint_gt(jobs, 3);
            break;
        }
        ck_assert_int_eq(own.progress.error, -ECANCELED);
        ck_assert(!own.progress.is_left);
        ck_assert(!is_there(""));
    }
    expect_whole();
    remove_target();
}
END_TEST

/* ---- the target -------------------------------------------------------------------------------
 */

/* Nothing of the original has been looked at by then. */
START_TEST(a_target_that_will_not_do_is_told_at_once)
{
    char path[PATH_BYTES];

    ck_assert_int_eq(mkdir(own.copy.directory, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/file", own.copy.directory);
    ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    begin_backup();
    await_target();
    ck_assert(!backup_is_ready(own.backup));
    ck_assert_int_eq(end_backup(), -ENOTEMPTY);
    ck_assert_str_eq(own.progress.step, "making the directory");
    ck_assert_uint_eq(fault_count(own.fault, FAULT_PREAD), 0);
    ck_assert(is_there("file"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(back_up(), 0); /* into a directory that is there */
    expect_whole();
    remove_target();
}
END_TEST

/* Such a file system refuses the flag: of the original's lists and of the copy's. */
START_TEST(where_the_page_cache_cannot_be_passed_it_is_used)
{
    unsigned passed = 0;
    bool has_fired = true;

    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(own.fault, FAULT_OPEN, nth, EINVAL, FAULT_ONCE);
        rc = back_up();
        has_fired = fault_fired(own.fault) > 0;
        fault_clear(own.fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EINVAL);
            expect_nothing_that_misleads();
            continue;
        }
        passed += has_fired;
        expect_whole();
        remove_target();
    }
    ck_assert_uint_eq(passed, 2);
}
END_TEST

/* Whatever fails on the way to seeing that: the server's directory stays as it is. */
START_TEST(a_directory_in_which_a_server_works_is_left_alone)
{
    char path[PATH_BYTES];
    bool has_fired = true;
    uint64_t nth;
    int fd;

    ck_assert_int_eq(mkdir(own.copy.directory, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/sluice.lock", own.copy.directory);
    fd = os_real()->open(os_real(), path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os_real()->lock(os_real(), fd), 0);
    for (nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(own.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = back_up();
        has_fired = fault_fired(own.fault) > 0;
        fault_clear(own.fault);
        ck_assert(rc == -EWOULDBLOCK || (has_fired && (rc == -EIO || rc == -ENOTEMPTY)));
        ck_assert(is_there("sluice.lock") && !is_there(BACKUP_MARK) && !is_there("spill"));
    }
    ck_assert_uint_ge(nth, 7); /* made, listed, opened, locked, closed */
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(back_up(), -ENOTEMPTY); /* it works there no more */
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(own.copy.directory), 0);
}
END_TEST

/* What is left then is marked, and told. */
START_TEST(each_system_call_of_giving_one_up_may_fail)
{
    bool has_fired = true;
    uint64_t nth;

    for (nth = 1; has_fired; nth++) {
        begin_backup();
        await_target();
        if (_i) ck_assert_int_eq(backup_copy(own.backup, own.number), 0);
        if (_i) ck_assert_int_gt(io_wait(own.io), 0);
        fault_fail(own.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        backup_cancel(own.backup, -ECANCELED);
        ck_assert_int_eq(end_backup(), -ECANCELED);
        has_fired = fault_fired(own.fault) > 0;
        fault_clear(own.fault);
        expect_nothing_that_misleads();
    }
    ck_assert_uint_gt(nth, 7);
    ck_assert_int_eq(back_up(), 0);
    expect_whole();
    remove_target();
}
END_TEST

START_TEST(a_directory_that_was_there_stays)
{
    ck_assert_int_eq(mkdir(own.copy.directory, 0700), 0);
    begin_backup();
    await_target();
    ck_assert(is_there(BACKUP_MARK));
    backup_cancel(own.backup, -ECANCELED);
    ck_assert_int_eq(end_backup(), -ECANCELED);
    ck_assert(is_there(""));
    ck_assert(!is_there(BACKUP_MARK));
    ck_assert(!is_there("sluice.lock"));
    ck_assert_int_eq(rmdir(own.copy.directory), 0);
}
END_TEST

/* ---- shared blocks ----------------------------------------------------------------------------
 */

static unsigned clones_left; /* until the file system can no more */

/* As a file system that can, as far as anybody sees. */
static int clone_by_copying(struct os *os, int from_fd, int to_fd, uint64_t offset,
                            uint64_t size_bytes)
{
    uint8_t *bytes;
    int rc;

    if (clones_left == 0) return -EOPNOTSUPP;
    clones_left--;
    bytes = aligned_alloc(SPILL_BLOCK_BYTES, size_bytes);
    if (!bytes) return -ENOMEM;
    rc = os_read_all(os, from_fd, bytes, size_bytes, offset);
    if (rc == 0) rc = os_write_all(os, to_fd, bytes, size_bytes, offset);
    free(bytes);
    return rc;
}

START_TEST(blocks_are_shared_where_that_is_possible)
{
    struct os cloning = *os_real();

    clones_left = _i ? 1 : UINT_MAX; /* it may end amid the file */
    cloning.clone = clone_by_copying;
    io_destroy(own.io);
    fault_destroy(own.fault);
    make_own(&cloning);
    ck_assert_int_eq(back_up(), 0);
    ck_assert_uint_gt(own.progress.cloned_bytes, 0);
    ck_assert_uint_lt(own.progress.cloned_bytes, own.progress.copied_bytes);
    expect_whole();
    remove_target();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup");
    TCase *tests = test_suite_case(suite, "backup", set_up, tear_down);

    tcase_add_test(tests, a_backup_holds_what_the_original_held);
    tcase_add_loop_test(tests, each_system_call_may_fail, 0, 8);
    tcase_add_test(tests, what_is_transferred_in_small_parts_is_whole);
    tcase_add_loop_test(tests, each_sync_of_a_long_copy_may_fail, 0, 2);
    tcase_add_test(tests, a_full_disk_leaves_nothing);
    tcase_add_test(tests, what_is_damaged_is_not_copied);
    tcase_add_test(tests, one_may_be_given_up_at_any_moment);
    tcase_add_test(tests, a_target_that_will_not_do_is_told_at_once);
    tcase_add_test(tests, where_the_page_cache_cannot_be_passed_it_is_used);
    tcase_add_test(tests, a_directory_in_which_a_server_works_is_left_alone);
    tcase_add_loop_test(tests, each_system_call_of_giving_one_up_may_fail, 0, 2);
    tcase_add_test(tests, a_directory_that_was_there_stays);
    tcase_add_loop_test(tests, blocks_are_shared_where_that_is_possible, 0, 2);
    return test_suite_run(suite);
}
