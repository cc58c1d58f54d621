#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char directory[64], path[96], other[96];
    struct fault *fault;
    struct os *os;
    int fd;
} fixture;

static void set_up(void)
{
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "fault");
    snprintf(fixture.path, sizeof(fixture.path), "%s/file", fixture.directory);
    snprintf(fixture.other, sizeof(fixture.other), "%s/other", fixture.directory);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    fixture.os = fault_os(fixture.fault);
    fixture.fd = fixture.os->open(fixture.os, fixture.path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fixture.fd, 0);
}

static void tear_down(void)
{
    fault_clear(fixture.fault);
    ck_assert_int_eq(fixture.os->close(fixture.os, fixture.fd), 0);
    fault_destroy(fixture.fault);
    (void)unlink(fixture.path);
    (void)unlink(fixture.other);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
}

static int ignore_name(void *context, const char *name)
{
    (void)context, (void)name;
    return 0;
}

/* One call of each kind, in an order in which all of them succeed. */
static int call_open(struct os *os)
{
    int fd = os->open(os, fixture.path, O_RDWR, 0);

    if (fd >= 0) ck_assert_int_eq(os_real()->close(os_real(), fd), 0);
    return fd < 0 ? fd : 0;
}

static int call_of_file(struct os *os, enum fault_call call)
{
    char bytes[16] = "0123456789abcde";
    uint64_t size;
    int rc;

    switch (call) {
    case FAULT_CLOSE:
        return os->close(os, dup(fixture.fd));
    case FAULT_PREAD:
        return (int)os->pread(os, fixture.fd, bytes, sizeof(bytes), 0);
    case FAULT_PREAD_NOW:
        rc = (int)os->pread_now(os, fixture.fd, bytes, sizeof(bytes), 0);
        return rc == -EAGAIN ? 0 : rc; /* as this file system likes */
    case FAULT_ADVISE:
        return os->advise(os, fixture.fd, 0, 4096, OS_ADVICE_SOON);
    case FAULT_PWRITE:
        return (int)os->pwrite(os, fixture.fd, bytes, sizeof(bytes), 0);
    case FAULT_FDATASYNC:
        return os->fdatasync(os, fixture.fd);
    case FAULT_FSYNC:
        return os->fsync(os, fixture.fd);
    case FAULT_TRUNCATE:
        return os->truncate(os, fixture.fd, 8192);
    case FAULT_ALLOCATE:
        return os->allocate(os, fixture.fd, 0, 8192);
    case FAULT_PUNCH:
        return os->punch(os, fixture.fd, 0, 4096);
    case FAULT_CLONE:
        rc = os->clone(os, fixture.fd, fixture.fd, 0, 4096);
        return rc == -EOPNOTSUPP ? 0 : rc; /* as this file system likes */
    case FAULT_SIZE:
        return os->size(os, fixture.fd, &size);
    default:
        return os->lock(os, fixture.fd);
    }
}

static int call_of_name(struct os *os, enum fault_call call)
{
    char directory[96];
    int rc;

    (void)snprintf(directory, sizeof(directory), "%s/dir", fixture.directory);
    switch (call) {
    case FAULT_UNLINK:
        close(open(fixture.other, O_CREAT | O_WRONLY, 0600));
        return os->unlink(os, fixture.other);
    case FAULT_RENAME:
        close(open(fixture.other, O_CREAT | O_WRONLY, 0600));
        return os->rename(os, fixture.other, fixture.other);
    case FAULT_MKDIR:
        rc = os->mkdir(os, directory, 0700);
        break;
    default:
        ck_assert_int_eq(mkdir(directory, 0700), 0);
        rc = os->rmdir(os, directory);
    }
    (void)rmdir(directory);
    return rc;
}

static int call_map(struct os *os)
{
    int rc;
    void *address = os->map(os, fixture.fd, 4096, PROT_READ, 0, &rc);

    ck_assert_int_eq(address == NULL, rc < 0);
    if (address) ck_assert_int_eq(munmap(address, 4096), 0);
    return rc;
}

static int call_unmap(struct os *os)
{
    void *address = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc;

    ck_assert_ptr_ne(address, MAP_FAILED);
    rc = os->unmap(os, address, 4096);
    if (rc < 0) ck_assert_int_eq(munmap(address, 4096), 0);
    return rc;
}

static int call_of_mapping(struct os *os, enum fault_call call)
{
    void *address;
    size_t size;
    int rc;

    ck_assert_int_eq(os_real()->truncate(os_real(), fixture.fd, 4096), 0);
    address = os_real()->map(os_real(), fixture.fd, 4096, PROT_READ | PROT_WRITE, 0, &rc);
    ck_assert_ptr_nonnull(address);
    rc = call == FAULT_POPULATE     ? os->populate(os, address, 4096)
         : call == FAULT_UNPOPULATE ? os->unpopulate(os, address, 4096)
         : call == FAULT_PIN        ? os->pin(os, address, 4096)
         : call == FAULT_UNPIN      ? os->unpin(os, address, 4096)
         : call == FAULT_RESIDENT   ? os->resident(os, address, 4096, &size)
                                    : os->sync_map(os, address, 4096);
    ck_assert_int_eq(munmap(address, 4096), 0);
    return rc;
}

static int call_of_filesystem(struct os *os, enum fault_call call)
{
    struct os *real = os_real(), *watching = call == FAULT_WATCH_FILESYSTEM ? os : real;
    int rc, fd = watching->watch_filesystem(watching, fixture.directory);

    if (fd < 0) return fd;
    rc = call == FAULT_SYNC_FILESYSTEM ? os->sync_filesystem(os, fd) : 0;
    ck_assert_int_eq(real->close(real, fd), 0);
    return rc;
}

static int call_each(enum fault_call call)
{
    struct os *os = fixture.os;
    uint64_t size;

    switch (call) {
    case FAULT_OPEN:
        return call_open(os);
    case FAULT_CLOSE:
    case FAULT_PREAD:
    case FAULT_PREAD_NOW:
    case FAULT_ADVISE:
    case FAULT_PWRITE:
    case FAULT_FDATASYNC:
    case FAULT_FSYNC:
    case FAULT_TRUNCATE:
    case FAULT_ALLOCATE:
    case FAULT_PUNCH:
    case FAULT_CLONE:
    case FAULT_SIZE:
    case FAULT_LOCK:
        return call_of_file(os, call);
    case FAULT_UNLINK:
    case FAULT_RENAME:
    case FAULT_MKDIR:
    case FAULT_RMDIR:
        return call_of_name(os, call);
    case FAULT_FSYNC_DIRECTORY:
        return os->fsync_directory(os, fixture.directory);
    case FAULT_WATCH_FILESYSTEM:
    case FAULT_SYNC_FILESYSTEM:
        return call_of_filesystem(os, call);
    case FAULT_FREE_BYTES:
        return os->free_bytes(os, fixture.directory, &size);
    case FAULT_LIST:
        return os->list(os, fixture.directory, ignore_name, NULL);
    case FAULT_MAP:
        return call_map(os);
    case FAULT_UNMAP:
        return call_unmap(os);
    case FAULT_POPULATE:
    case FAULT_UNPOPULATE:
    case FAULT_PIN:
    case FAULT_UNPIN:
    case FAULT_RESIDENT:
    case FAULT_SYNC_MAP:
        return call_of_mapping(os, call);
    case FAULT_CALL_COUNT:
    case FAULT_ANY_CHANGE:
        break;
    }
    ck_abort_msg("no such call");
    return 0;
}

START_TEST(each_kind_of_call_works_is_counted_and_fails_on_demand)
{
    enum fault_call call = (enum fault_call)_i;
    uint64_t before = fault_count(fixture.fault, call);
    uint64_t all_before = fault_count(fixture.fault, FAULT_ANY);
    ck_assert_int_ge(call_each(call), 0);
    ck_assert_uint_eq(fault_count(fixture.fault, call), before + 1);
    fault_fail(fixture.fault, call, 2, EIO, FAULT_ONCE);
    ck_assert_int_ge(call_each(call), 0);
    ck_assert_uint_eq(fault_fired(fixture.fault), 0);
    ck_assert_int_eq(call_each(call), -EIO);
    ck_assert_uint_eq(fault_fired(fixture.fault), 1);
    ck_assert_int_ge(call_each(call), 0);
    ck_assert_uint_eq(fault_count(fixture.fault, call), before + 4);
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_ANY), all_before + 4);
}
END_TEST

START_TEST(a_lasting_failure_lasts_until_it_is_cleared)
{
    fault_fail(fixture.fault, FAULT_FSYNC, 1, ENOSPC, FAULT_FROM_THEN_ON);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(call_each(FAULT_FSYNC), -ENOSPC);
    ck_assert_int_eq(call_each(FAULT_FDATASYNC), 0);
    ck_assert_uint_eq(fault_fired(fixture.fault), 5);
    fault_clear(fixture.fault);
    ck_assert_int_eq(call_each(FAULT_FSYNC), 0);
}
END_TEST

START_TEST(any_call_can_be_the_one_that_fails)
{
    fault_fail(fixture.fault, FAULT_ANY, 3, EIO, FAULT_ONCE);
    ck_assert_int_eq(call_each(FAULT_FSYNC), 0);
    ck_assert_int_eq(call_each(FAULT_SIZE), 0);
    ck_assert_int_eq(call_each(FAULT_LOCK), -EIO);
    ck_assert_int_eq(call_each(FAULT_LOCK), 0);
}
END_TEST

START_TEST(what_was_held_can_be_let_go_when_nothing_can_be_changed_any_more)
{
    fault_fail(fixture.fault, FAULT_ANY_CHANGE, 2, EIO, FAULT_FROM_THEN_ON);
    ck_assert_int_eq(call_each(FAULT_FSYNC), 0);
    ck_assert_int_eq(call_each(FAULT_PWRITE), -EIO);
    ck_assert_int_eq(call_each(FAULT_RENAME), -EIO);
    ck_assert_int_eq(call_each(FAULT_SYNC_MAP), -EIO);
    ck_assert_int_eq(call_each(FAULT_UNMAP), 0);
    ck_assert_int_ge(call_each(FAULT_CLOSE), 0);
    ck_assert_int_ge(call_each(FAULT_PREAD), 0);
    ck_assert_uint_eq(fault_fired(fixture.fault), 3);
}
END_TEST

START_TEST(two_rules_count_calls_independently)
{
    fault_fail(fixture.fault, FAULT_FSYNC, 1, EIO, FAULT_ONCE);
    fault_fail(fixture.fault, FAULT_FSYNC, 2, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(call_each(FAULT_FSYNC), -EIO);
    ck_assert_int_eq(call_each(FAULT_FSYNC), -ENOSPC);
    ck_assert_int_eq(call_each(FAULT_FSYNC), 0);
}
END_TEST

START_TEST(a_failed_close_has_closed_all_the_same)
{
    int fd = dup(fixture.fd);
    fault_fail(fixture.fault, FAULT_CLOSE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), -EIO);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

START_TEST(limited_transfers_are_short_and_the_helpers_make_them_whole)
{
    char written[1000], got[1000] = { 0 };
    memset(written, 'x', sizeof(written));
    fault_limit_transfer(fixture.fault, 7);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, written, 100, 0), 7);
    ck_assert_int_eq(fixture.os->pread(fixture.os, fixture.fd, got, 100, 0), 7);
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, written, sizeof(written), 0), 0);
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, got, sizeof(got), 0), 0);
    ck_assert_mem_eq(got, written, sizeof(got));
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, got, sizeof(got), 1), -EIO);
}
END_TEST

START_TEST(the_helpers_hand_on_an_error_in_the_middle)
{
    char bytes[100] = { 0 };
    fault_limit_transfer(fixture.fault, 10);
    fault_fail(fixture.fault, FAULT_PWRITE, 4, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, bytes, sizeof(bytes), 0), -ENOSPC);
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, bytes, sizeof(bytes), 0), 0);
    fault_fail(fixture.fault, FAULT_PREAD, 4, EIO, FAULT_ONCE);
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, bytes, sizeof(bytes), 0), -EIO);
}
END_TEST

START_TEST(a_flip_changes_one_byte_of_one_read_and_not_the_file)
{
    char written[8] = "abcdefg", got[8];
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, written, 8, 0), 0);
    fault_flip(fixture.fault, 2, 8 + 3, 0x01, FAULT_ONCE);
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, got, 8, 0), 0);
    ck_assert_mem_eq(got, written, 8);
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, got, 8, 0), 0);
    ck_assert_mem_eq(got, "abceefg", 8);
    ck_assert_int_eq(os_read_all(fixture.os, fixture.fd, got, 8, 0), 0);
    ck_assert_mem_eq(got, written, 8);
    ck_assert_uint_eq(fault_fired(fixture.fault), 1);
}
END_TEST

START_TEST(a_full_disk_takes_what_fits_and_then_nothing)
{
    char bytes[3 * 4096] = { 0 };
    fault_set_disk(fixture.fault, 2 * 4096);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, bytes, 100, 0), 100);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 4096);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, bytes, sizeof(bytes), 50),
                     2 * 4096 - 50);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, bytes, 1, 2 * 4096), -ENOSPC);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, bytes, 2 * 4096, 0), 2 * 4096);
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, bytes, sizeof(bytes), 0), -ENOSPC);
    fault_set_disk(fixture.fault, 3 * 4096);
    ck_assert_int_eq(os_write_all(fixture.os, fixture.fd, bytes, sizeof(bytes), 0), 0);
}
END_TEST

START_TEST(allocating_takes_all_or_nothing)
{
    uint64_t size;
    fault_set_disk(fixture.fault, 4 * 4096);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fixture.fd, 0, 5 * 4096), -ENOSPC);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 0);
    ck_assert_int_eq(fixture.os->size(fixture.os, fixture.fd, &size), 0);
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fixture.fd, 0, 4 * 4096), 0);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fixture.fd, "x", 1, 3 * 4096), 1);
    fault_set_disk(fixture.fault, 4096); /* lowered below what is used */
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fixture.fd, 0, 4 * 4096), 0);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fixture.fd, 0, 5 * 4096), -ENOSPC);
    fault_set_disk(fixture.fault, 6 * 4096);
    fault_set_disk_keeps(fixture.fault, true);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fixture.fd, 0, 9 * 4096), -ENOSPC);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 6 * 4096);
    ck_assert_int_eq(fixture.os->size(fixture.os, fixture.fd, &size), 0);
    ck_assert_uint_eq(size, 6 * 4096);
}
END_TEST

START_TEST(punching_truncating_and_removing_give_room_back)
{
    struct os *os = fixture.os;
    uint64_t free_bytes;
    int fd;
    fault_set_disk(fixture.fault, 10 * 4096);
    ck_assert_int_eq(os->allocate(os, fixture.fd, 0, 10 * 4096), 0);
    ck_assert_int_eq(os->free_bytes(os, fixture.directory, &free_bytes), 0);
    ck_assert_uint_eq(free_bytes, 0);
    ck_assert_int_eq(os->punch(os, fixture.fd, 4096 + 1, 3 * 4096), 0); /* two whole blocks */
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 8 * 4096);
    ck_assert_int_eq(os->truncate(os, fixture.fd, 5 * 4096 - 1), 0);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 3 * 4096);
    ck_assert_int_eq(os->free_bytes(os, fixture.directory, &free_bytes), 0);
    ck_assert_uint_eq(free_bytes, 7 * 4096);
    fd = os->open(os, fixture.other, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os->allocate(os, fd, 0, 7 * 4096), 0);
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(os->rename(os, fixture.path, fixture.other), 0); /* replaces it */
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 3 * 4096);
    ck_assert_int_eq(os->unlink(os, fixture.other), 0);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 0);
}
END_TEST

START_TEST(a_file_that_was_there_before_counts_when_it_is_opened)
{
    int fd = open(fixture.other, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(os_write_all(os_real(), fd, fixture.path, 10, 4096), 0);
    close(fd);
    fault_set_disk(fixture.fault, 2 * 4096);
    fd = fixture.os->open(fixture.os, fixture.other, O_RDWR, 0);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 2 * 4096);
    ck_assert_int_eq(fixture.os->pwrite(fixture.os, fd, "x", 1, 8192), -ENOSPC);
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), 0);
    fd = fixture.os->open(fixture.os, fixture.other, O_RDWR | O_TRUNC, 0);
    ck_assert_uint_eq(fault_disk_used(fixture.fault), 0);
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), 0);
}
END_TEST

static void *write_many(void *argument)
{
    long failures = 0;
    char bytes[16] = { 0 };
    (void)argument;
    for (unsigned i = 0; i < 500; i++) {
        if (fixture.os->pwrite(fixture.os, fixture.fd, bytes, sizeof(bytes), i * 64) < 0)
            failures++;
    }
    return (void *)failures;
}

START_TEST(several_threads_meet_one_failure_between_them)
{
    pthread_t threads[4];
    long failures = 0;
    fault_fail(fixture.fault, FAULT_PWRITE, 1000, EIO, FAULT_ONCE);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        failures += (long)result;
    }
    ck_assert_int_eq(failures, 1);
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_PWRITE), 2000);
}
END_TEST

START_TEST(a_second_lock_is_refused_while_the_first_is_held)
{
    int fd = fixture.os->open(fixture.os, fixture.path, O_RDWR, 0);
    ck_assert_int_eq(fixture.os->lock(fixture.os, fixture.fd), 0);
    ck_assert_int_eq(fixture.os->lock(fixture.os, fixture.fd), 0);
    ck_assert_int_eq(fixture.os->lock(fixture.os, fd), -EWOULDBLOCK);
    ck_assert_int_eq(fixture.os->close(fixture.os, fd), 0);
}
END_TEST

START_TEST(ranges_are_locked_each_for_itself_until_their_descriptor_closes)
{
    struct os *os = fixture.os;
    int fd = os->open(os, fixture.path, O_RDWR, 0);
    ck_assert_int_eq(os->lock_range(os, fixture.fd, 7, 1, OS_LOCK_EXCLUSIVE, false), 0);
    ck_assert_int_eq(os->lock_range(os, fd, 8, 1, OS_LOCK_EXCLUSIVE, false), 0);
    ck_assert_int_eq(os->lock_range(os, fd, 7, 1, OS_LOCK_SHARED, false), -EWOULDBLOCK);
    ck_assert_int_eq(os->lock_range(os, fixture.fd, 7, 1, OS_LOCK_SHARED, false), 0);
    ck_assert_int_eq(os->lock_range(os, fd, 7, 1, OS_LOCK_SHARED, true), 0);
    ck_assert_int_eq(os->lock_range(os, fixture.fd, 8, 1, OS_LOCK_EXCLUSIVE, false), -EWOULDBLOCK);
    ck_assert_int_eq(os->close(os, fd), 0);
    ck_assert_int_eq(os->lock_range(os, fixture.fd, 8, 1, OS_LOCK_EXCLUSIVE, true), 0);
    ck_assert_int_eq(os->lock_range(os, fixture.fd, 8, 1, OS_LOCK_NONE, false), 0);
}
END_TEST

START_TEST(pages_beyond_the_end_of_the_file_cannot_be_populated)
{
    int rc;
    uint8_t *map = os_real()->map(os_real(), fixture.fd, 8192, PROT_READ | PROT_WRITE, 0, &rc);
    ck_assert_ptr_nonnull(map);
    ck_assert_int_eq(fixture.os->truncate(fixture.os, fixture.fd, 4096), 0);
    ck_assert_int_eq(fixture.os->populate(fixture.os, map, 4096), 0);
    ck_assert_int_eq(fixture.os->populate(fixture.os, map, 8192), -EFAULT);
    ck_assert_int_eq(munmap(map, 8192), 0);
}
END_TEST

START_TEST(what_is_taken_out_of_a_mapping_or_dropped_is_in_the_file)
{
    struct os *os = fixture.os;
    char bytes[4] = "";
    size_t there = 0;
    int rc;
    uint8_t *map = os_real()->map(os_real(), fixture.fd, 8192, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_ptr_nonnull(map);
    ck_assert_int_eq(os->truncate(os, fixture.fd, 8192), 0);
    ck_assert_int_eq(os->populate(os, map, 8192), 0);
    memcpy(map + 4096, "abc", 4);
    ck_assert_int_eq(os->unpopulate(os, map, 8192), 0);
    ck_assert_int_eq(os->resident(os, map, 8192, &there), 0);
    ck_assert_uint_eq(there, 8192); /* of the file, still */
    ck_assert_int_eq(os->advise(os, fixture.fd, 0, 8192, OS_ADVICE_WRITE), 0);
    ck_assert_int_eq(os->advise(os, fixture.fd, 0, 8192, OS_ADVICE_DROP), 0);
    ck_assert_int_eq(os->fsync(os, fixture.fd), 0);
    ck_assert_int_eq(os->advise(os, fixture.fd, 0, 0, OS_ADVICE_DROP), 0);
    ck_assert_int_eq(os_read_all(os, fixture.fd, bytes, 4, 4096), 0);
    ck_assert_str_eq(bytes, "abc");
    ck_assert_str_eq((char *)map + 4096, "abc");
    ck_assert_int_eq(munmap(map, 8192), 0);
}
END_TEST

static int stop_at_first(void *context, const char *name)
{
    ck_assert_str_eq(name, "file");
    ++*(int *)context;
    return 42;
}

START_TEST(listing_shows_entries_and_stops_when_told)
{
    int count = 0;
    ck_assert_int_eq(fixture.os->list(fixture.os, fixture.directory, stop_at_first, &count), 42);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(fixture.os->list(fixture.os, fixture.path, stop_at_first, &count), -ENOTDIR);
    ck_assert_int_eq(fixture.os->list(fixture.os, fixture.other, stop_at_first, &count), -ENOENT);
}
END_TEST

START_TEST(sizes_that_no_file_can_have_are_refused)
{
    struct os *os = os_real();
    char byte = 0;
    int rc;
    ck_assert_int_eq(os->pwrite(os, fixture.fd, &byte, 0, 0), 0);
    ck_assert_int_eq(os->pwrite(os, fixture.fd, &byte, 1, INT64_MAX), -EFBIG);
    ck_assert_int_eq(os->pread(os, fixture.fd, &byte, 1, UINT64_MAX), -EINVAL);
    ck_assert_int_eq(os->truncate(os, fixture.fd, UINT64_MAX), -EFBIG);
    ck_assert_int_eq(os->allocate(os, fixture.fd, UINT64_MAX, 1), -EFBIG);
    ck_assert_ptr_null(os->map(os, fixture.fd, 4096, PROT_READ, UINT64_MAX, &rc));
    ck_assert_int_eq(rc, -EINVAL);
    ck_assert_int_eq(os->close(os, -1), -EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault and os");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, each_kind_of_call_works_is_counted_and_fails_on_demand, 0,
                        FAULT_CALL_COUNT);
    tcase_add_test(cases, a_lasting_failure_lasts_until_it_is_cleared);
    tcase_add_test(cases, any_call_can_be_the_one_that_fails);
    tcase_add_test(cases, what_was_held_can_be_let_go_when_nothing_can_be_changed_any_more);
    tcase_add_test(cases, two_rules_count_calls_independently);
    tcase_add_test(cases, a_failed_close_has_closed_all_the_same);
    tcase_add_test(cases, limited_transfers_are_short_and_the_helpers_make_them_whole);
    tcase_add_test(cases, the_helpers_hand_on_an_error_in_the_middle);
    tcase_add_test(cases, a_flip_changes_one_byte_of_one_read_and_not_the_file);
    tcase_add_test(cases, a_full_disk_takes_what_fits_and_then_nothing);
    tcase_add_test(cases, allocating_takes_all_or_nothing);
    tcase_add_test(cases, punching_truncating_and_removing_give_room_back);
    tcase_add_test(cases, a_file_that_was_there_before_counts_when_it_is_opened);
    tcase_add_test(cases, several_threads_meet_one_failure_between_them);
    tcase_add_test(cases, a_second_lock_is_refused_while_the_first_is_held);
    tcase_add_test(cases, ranges_are_locked_each_for_itself_until_their_descriptor_closes);
    tcase_add_test(cases, pages_beyond_the_end_of_the_file_cannot_be_populated);
    tcase_add_test(cases, what_is_taken_out_of_a_mapping_or_dropped_is_in_the_file);
    tcase_add_test(cases, listing_shows_entries_and_stops_when_told);
    tcase_add_test(cases, sizes_that_no_file_can_have_are_refused);
    return test_suite_run(suite);
}
