/* The spill file when calls fail, the disk is full, and what it gives back is not what was written.
 */
#include "modules/base/test_suite.h"
#include "modules/spill/test_file_fixture.h"

#include <stdlib.h>

enum { BLOCK = SPILL_BLOCK_BYTES, CHUNK = 32768 - 32 };

static struct extent extents[EXTENTS_MAX];

/* The allocator of buffers, for this program only: no memory on demand. */
static bool has_no_memory;

void *aligned_alloc(size_t alignment, size_t size)
{
    void *bytes = NULL;
    if (has_no_memory || posix_memalign(&bytes, alignment, size) != 0) return NULL;
    return bytes;
}

static void setup(void)
{
    has_no_memory = false;
    fixture_setup();
}

static void make_mixed(struct extent *mixed, unsigned count, uint64_t first_number)
{
    static const uint32_t sizes[] = { CHUNK, 100, 9000, 1500, CHUNK, 64, 2 << 20 };
    for (unsigned i = 0; i < count; i++) {
        make_extent(&mixed[i], first_number + i, sizes[i % 7]);
    }
}

/* ---- calls fail ---------------------------------------------------------------------------------
 */

static void make_old_file(void)
{
    char path[256];
    path_in_directory(path, sizeof(path), "spill-00000009.dat");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(making_the_file_survives_each_failing_call)
{
    int error = _i == 0 ? EIO : EINVAL;
    unsigned refused = 0;
    ck_assert_int_eq(io_create(fault_os(fault), 0, &io), 0);
    for (uint64_t nth = 1;; nth++) {
        make_old_file();
        fault_fail(fault, FAULT_ANY, nth, error, FAULT_ONCE);
        int rc = spill_file_create(fault_os(fault), io, directory, 0, &file);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (!has_fired) break;
        if (rc < 0) {
            ck_assert_int_eq(rc, -error);
            ck_assert_ptr_null(file);
            refused++;
            ck_assert_int_eq(spill_file_create(fault_os(fault), io, directory, 0, &file), 0);
        }
        make_extent(&extents[0], nth, CHUNK);
        ck_assert_int_eq(write_extents(extents, 1), 0);
        ck_assert_int_eq(read_extent(&extents[0]), 0);
        spill_file_destroy(file);
        file = NULL;
    }
    ck_assert_uint_ge(refused, 4);
}
END_TEST

START_TEST(a_write_with_a_failing_call_gives_its_room_back)
{
    enum { KEPT = 10, TRIED = 10 };
    int error = _i % 2 == 0 ? EIO : ENOSPC;
    unsigned failed = 0;
    open_file(_i < 2 ? 0 : 2, 0);
    make_mixed(extents, KEPT, 1);
    ck_assert_int_eq(write_extents(extents, KEPT), 0);
    uint64_t used = file_info().used_bytes;
    for (uint64_t nth = 1;; nth++) {
        struct extent *tried = extents + KEPT;
        make_mixed(tried, TRIED, 100 * nth);
        fault_fail(fault, FAULT_ANY, nth, error, FAULT_ONCE);
        int rc = write_extents(tried, TRIED);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        spill_file_check(file);
        expect_all_readable(extents, KEPT);
        if (!has_fired) {
            ck_assert_int_eq(rc, 0);
            expect_all_readable(tried, TRIED);
            break;
        }
        ck_assert_int_eq(rc, -error);
        ck_assert_uint_eq(file_info().used_bytes, used);
        failed++;
    }
    ck_assert_uint_ge(failed, 3);
    ck_assert_uint_eq(file_info().write_errors, failed);
}
END_TEST

START_TEST(a_read_with_a_failing_call_fails_or_succeeds_but_never_lies)
{
    enum { COUNT = 14 };
    int rcs[COUNT];
    unsigned failed = 0;
    open_file((unsigned)_i, 0);
    make_mixed(extents, COUNT, 1);
    ck_assert_int_eq(write_extents(extents, COUNT), 0);
    for (uint64_t nth = 1;; nth++) {
        fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        read_extents(extents, COUNT, rcs);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        for (unsigned i = 0; i < COUNT; i++) {
            if (rcs[i] == 0) continue;
            ck_assert(has_fired);
            ck_assert_int_eq(rcs[i], -EIO);
            failed++;
        }
        if (!has_fired) break;
        expect_all_readable(extents, COUNT);
    }
    /* Those that were read with others are read again alone. */
    ck_assert_uint_ge(failed, 2);
    ck_assert_uint_eq(file_info().read_errors, failed);
}
END_TEST

START_TEST(a_bad_place_costs_only_the_extent_that_lies_there)
{
    enum { COUNT = 16, BAD = 7 };
    int rcs[COUNT];
    open_file(0, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        make_extent(&extents[i], i, CHUNK);
    }
    ck_assert_int_eq(write_extents(extents, COUNT), 0);
    trick.bad_byte = extents[BAD].ref.position_bytes + 5000;
    read_extents(extents, COUNT, rcs);
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert_int_eq(rcs[i], i == BAD ? -EIO : 0);
    }
}
END_TEST

START_TEST(short_transfers_are_completed)
{
    enum { COUNT = 14 };
    /* Steps that O_DIRECT would refuse are for the page cache. */
    trick.refuse_direct = _i == 0 ? 0 : 1;
    open_file(0, 0);
    fault_limit_transfer(fault, _i == 0 ? 3 * BLOCK : 1777);
    make_mixed(extents, COUNT, 1);
    ck_assert_int_eq(write_extents(extents, COUNT), 0);
    expect_all_readable(extents, COUNT);
    ck_assert_uint_gt(fault_count(fault, FAULT_PWRITE), (4 << 20) / (3 * BLOCK));
}
END_TEST

START_TEST(a_full_disk_refuses_writes_until_there_is_room_again)
{
    enum { BATCH = 32, DISK = 4 << 20 };
    unsigned written = 0;
    int rc = 0;
    open_file(_i == 0 ? 0 : 2, 0);
    fault_set_disk(fault, DISK);
    for (unsigned i = 0; i < 6 * BATCH; i++) {
        make_extent(&extents[i], i, CHUNK);
    }
    while (rc == 0 && written < 6 * BATCH) {
        rc = write_extents(extents + written, BATCH);
        if (rc == 0) written += BATCH;
    }
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_uint_eq(written, DISK / SPILL_BATCH_BYTES * BATCH);
    ck_assert_uint_eq(file_info().used_bytes, DISK);
    expect_all_readable(extents, written);
    free_extents(extents, BATCH);
    ck_assert_int_eq(write_extents(extents, BATCH), 0);
    expect_all_readable(extents, written);
    trim_all();
    fault_set_disk(fault, UINT64_MAX);
    ck_assert_int_eq(write_extents(extents + written, BATCH), 0);
    expect_all_readable(extents, written + BATCH);
}
END_TEST

/* The file had better grow than be written in small pieces, but on a full disk it cannot. */
START_TEST(on_a_full_disk_small_pieces_that_were_freed_are_written_again)
{
    enum { COUNT = 128, PIECES = 8 };
    struct extent more;
    open_file(_i == 0 ? 0 : 2, 0);
    fault_set_disk(fault, COUNT * SPILL_BATCH_BYTES / 32);
    for (unsigned i = 0; i < COUNT + PIECES; i++) {
        make_extent(&extents[i], i, CHUNK);
    }
    make_extent(&more, COUNT + PIECES, CHUNK);
    for (unsigned i = 0; i < COUNT; i += 32) {
        ck_assert_int_eq(write_extents(extents + i, 32), 0);
    }
    ck_assert_int_eq(write_extents(&more, 1), -ENOSPC);
    for (unsigned i = 0; i < PIECES; i++) {
        free_extents(&extents[16 * i], 1);
    }
    ck_assert_int_eq(write_extents(extents + COUNT, PIECES), 0);
    expect_all_readable(extents + COUNT, PIECES);
    ck_assert_int_eq(write_extents(&more, 1), -ENOSPC);
    fault_set_disk(fault, UINT64_MAX);
    ck_assert_int_eq(write_extents(&more, 1), 0);
}
END_TEST

/* Nobody has met that the disk is full, and so the write goes behind the end first. */
START_TEST(a_write_that_finds_no_room_behind_the_end_goes_inside)
{
    enum { COUNT = 128, PIECES = 8 };
    open_file(_i == 0 ? 0 : 2, 0);
    fault_set_disk(fault, COUNT * SPILL_BATCH_BYTES / 32);
    for (unsigned i = 0; i < COUNT + PIECES + 1; i++) {
        make_extent(&extents[i], i, CHUNK);
    }
    for (unsigned i = 0; i < COUNT; i += 32) {
        ck_assert_int_eq(write_extents(extents + i, 32), 0);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        free_extents(&extents[16 * i], 1);
    }
    ck_assert_int_eq(write_extents(extents + COUNT, PIECES), 0);
    ck_assert_uint_eq(file_info().write_errors, 1);
    expect_all_readable(extents + COUNT, PIECES);
    ck_assert_int_eq(write_extents(extents + COUNT + PIECES, 1), -ENOSPC);
}
END_TEST

START_TEST(without_memory_for_a_buffer_all_who_wait_are_told)
{
    struct pending pending = { 0 };
    struct batch *batch = calloc(1, sizeof(*batch));
    ck_assert_ptr_nonnull(batch);
    open_file((unsigned)_i, 0);
    make_mixed(extents, 8, 1);
    ck_assert_int_eq(write_extents(extents, 4), 0);
    uint64_t used = file_info().used_bytes;
    for (unsigned i = 0; i < 100; i++) {
        (void)spill_file_tick(file); /* gives the idle buffer back */
    }
    has_no_memory = true;
    ck_assert_int_eq(read_extent(&extents[0]), -ENOMEM);
    ck_assert_int_eq(batch_start(batch, extents + 4, 4, &pending), 0);
    ck_assert_int_eq(read_extent(&extents[1]), -ENOMEM);
    wait_for(&pending);
    ck_assert_int_eq(batch->write.rc, -ENOMEM);
    batch_finish(batch);
    free(batch);
    ck_assert_uint_eq(file_info().used_bytes, used);
    has_no_memory = false;
    ck_assert_int_eq(write_extents(extents + 4, 4), 0);
    expect_all_readable(extents, 8);
}
END_TEST

/* ---- trimming fails
 * ------------------------------------------------------------------------------ */

START_TEST(a_failed_truncation_is_tried_again_after_the_next_write)
{
    open_file(0, 0);
    make_mixed(extents, 14, 1);
    ck_assert_int_eq(write_extents(extents, 14), 0);
    free_extents(extents + 1, 13);
    fault_fail(fault, FAULT_TRUNCATE, 1, EIO, FAULT_ONCE);
    trim_all();
    ck_assert_uint_eq(fault_fired(fault), 1);
    ck_assert_uint_eq(file_info().truncated_bytes, 0);
    ck_assert_int_ge(file_status().st_size, 4 << 20);
    ck_assert_int_eq(write_extents(extents + 1, 1), 0);
    trim_all();
    ck_assert_uint_gt(file_info().truncated_bytes, 0);
    ck_assert_int_lt(file_status().st_size, 1 << 20);
    expect_all_readable(extents, 2);
}
END_TEST

static void punch_with_error(int error)
{
    enum { CHUNKS = 1024 };
    open_file(0, 0);
    for (unsigned i = 0; i < CHUNKS; i++) {
        make_extent(&extents[i], i, CHUNK);
    }
    for (unsigned i = 0; i < CHUNKS; i += 32) {
        ck_assert_int_eq(write_extents(extents + i, 32), 0);
    }
    free_extents(extents, CHUNKS - 1);
    fault_fail(fault, FAULT_PUNCH, 1, error, FAULT_ONCE);
    trim_all();
    spill_file_check(file);
    ck_assert_uint_eq(fault_fired(fault), 1);
    ck_assert_uint_eq(fault_count(fault, FAULT_PUNCH), 1);
    ck_assert_uint_eq(file_info().used_bytes, 8 * BLOCK);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    trim_all();
}

START_TEST(a_failed_punch_is_tried_again_after_the_next_write)
{
    punch_with_error(ENOSPC);
    ck_assert_uint_gt(fault_count(fault, FAULT_PUNCH), 1);
    ck_assert_uint_gt(file_info().punched_bytes, 0);
}
END_TEST

START_TEST(a_file_system_without_holes_is_asked_once)
{
    punch_with_error(EOPNOTSUPP);
    ck_assert_uint_eq(fault_count(fault, FAULT_PUNCH), 1);
}
END_TEST

/* ---- the disk gives back something else
 * ------------------------------------------------------------ */

static int open_behind_its_back(void)
{
    char path[256];
    path_in_directory(path, sizeof(path), "spill-00000001.dat");
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void flip(int fd, uint64_t at, uint8_t mask)
{
    uint8_t byte;
    if (pread(fd, &byte, 1, (off_t)at) != 1) ck_abort_msg("pread");
    byte ^= mask;
    if (pwrite(fd, &byte, 1, (off_t)at) != 1) ck_abort_msg("pwrite");
}

START_TEST(each_flipped_byte_of_an_extent_is_found)
{
    static const uint32_t sizes[] = { 700, 2500 }; /* in a shared block, and not */
    open_file(0, 0);
    make_extent(&extents[0], 1, 300);
    make_extent(&extents[1], 2, sizes[_i]);
    ck_assert_int_eq(write_extents(extents, 2), 0);
    int fd = open_behind_its_back();
    uint64_t errors = 0;
    for (uint64_t i = 0; i < 32 + sizes[_i]; i++) {
        uint64_t at = extents[1].ref.position_bytes + i;
        uint8_t mask = (uint8_t)(1 << i % 8);
        flip(fd, at, mask);
        int rc = read_extent(&extents[1]);
        if (rc != -EBADMSG) ck_abort_msg("byte %llu: %d", (unsigned long long)i, rc);
        flip(fd, at, mask);
        errors++;
    }
    close(fd);
    ck_assert_uint_eq(file_info().checksum_errors, errors);
    expect_all_readable(extents, 2);
}
END_TEST

START_TEST(a_flip_anywhere_in_an_extent_of_many_transfers_is_found)
{
    enum { SIZE = (3 << 20) + 12345 };
    struct random random;
    random_init(&random, 1);
    open_file(0, 0);
    make_extent(&extents[0], 1, SIZE);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    int fd = open_behind_its_back();
    for (unsigned i = 0; i < 40; i++) {
        uint64_t at = extents[0].ref.position_bytes + random_below(&random, SIZE + 32);
        flip(fd, at, 0x10);
        ck_assert_int_eq(read_extent(&extents[0]), -EBADMSG);
        flip(fd, at, 0x10);
    }
    close(fd);
    ck_assert_int_eq(read_extent(&extents[0]), 0);
}
END_TEST

START_TEST(a_block_of_another_generation_is_refused)
{
    struct extent newer;
    open_file(0, 8 * BLOCK); /* room for one: the second takes the first one's place */
    make_extent(&extents[0], 1, CHUNK);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    spill_file_free(file, &extents[0].ref);
    newer = extents[0];
    newer.identity.generation++;
    newer.seed++;
    ck_assert_int_eq(write_extents(&newer, 1), 0);
    ck_assert_uint_eq(newer.ref.position_bytes, extents[0].ref.position_bytes);
    ck_assert_int_eq(read_extent(&extents[0]), -EBADMSG);
    ck_assert_int_eq(read_extent(&newer), 0);
}
END_TEST

START_TEST(an_extent_of_somebody_else_is_refused)
{
    struct extent wrong[7];
    int rcs[7];
    open_file(0, 0);
    make_extent(&extents[0], 1, CHUNK);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    for (unsigned i = 0; i < 7; i++) {
        wrong[i] = extents[0];
    }
    wrong[0].identity.list++;
    wrong[1].identity.generation++;
    wrong[2].identity.element_count++;
    wrong[3].identity.kind++;
    wrong[4].ref.crc32c ^= 1;
    wrong[5].ref.size_bytes--;
    wrong[6].ref.generation++;
    read_extents(wrong, 7, rcs);
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_int_eq(rcs[i], -EBADMSG);
    }
    ck_assert_int_eq(read_extent(&extents[0]), 0);
}
END_TEST

START_TEST(a_file_that_somebody_cut_is_an_error)
{
    open_file(0, 0);
    make_mixed(extents, 7, 1);
    ck_assert_int_eq(write_extents(extents, 7), 0);
    int fd = open_behind_its_back();
    for (off_t size = file_status().st_size; size > 0; size -= 300 * BLOCK + 1000) {
        int rcs[7];
        ck_assert_int_eq(ftruncate(fd, size - 1), 0);
        read_extents(extents, 7, rcs); /* compares whatever comes with 0 */
        bool is_found = false;
        for (unsigned i = 0; i < 7; i++) {
            is_found = is_found || rcs[i] == -EIO || rcs[i] == -EBADMSG;
        }
        ck_assert(is_found);
    }
    close(fd);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("file faults");
    TCase *tests = test_suite_case(suite, "file faults", setup, fixture_teardown);

    tcase_add_loop_test(tests, making_the_file_survives_each_failing_call, 0, 2);
    tcase_add_loop_test(tests, a_write_with_a_failing_call_gives_its_room_back, 0, 4);
    tcase_add_loop_test(tests, a_read_with_a_failing_call_fails_or_succeeds_but_never_lies, 0, 3);
    tcase_add_test(tests, a_bad_place_costs_only_the_extent_that_lies_there);
    tcase_add_loop_test(tests, short_transfers_are_completed, 0, 2);
    tcase_add_loop_test(tests, a_full_disk_refuses_writes_until_there_is_room_again, 0, 2);
    tcase_add_loop_test(tests, on_a_full_disk_small_pieces_that_were_freed_are_written_again, 0, 2);
    tcase_add_loop_test(tests, a_write_that_finds_no_room_behind_the_end_goes_inside, 0, 2);
    tcase_add_loop_test(tests, without_memory_for_a_buffer_all_who_wait_are_told, 0, 3);
    tcase_add_test(tests, a_failed_truncation_is_tried_again_after_the_next_write);
    tcase_add_test(tests, a_failed_punch_is_tried_again_after_the_next_write);
    tcase_add_test(tests, a_file_system_without_holes_is_asked_once);
    tcase_add_loop_test(tests, each_flipped_byte_of_an_extent_is_found, 0, 2);
    tcase_add_test(tests, a_flip_anywhere_in_an_extent_of_many_transfers_is_found);
    tcase_add_test(tests, a_block_of_another_generation_is_refused);
    tcase_add_test(tests, an_extent_of_somebody_else_is_refused);
    tcase_add_test(tests, a_file_that_somebody_cut_is_an_error);
    return suite;
}

int main(void)
{
    return test_suite_run(make_suite());
}
