/* What a checkpoint refers to of a spill file that is at work: every extent, and nothing besides;
 * and what a sync has brought to the device. */
#include "modules/base/test_suite.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/test_file_fixture.h"

enum { CHUNK = 32768 - 32, SMALL = 100, CHUNKS = 64 };

static struct extent extents[2 * CHUNKS];

static void setup(void)
{
    fixture_setup();
    open_file(0, 0); /* what is submitted waits until the test lets it go on */
}

/* Chunks and, in blocks that they share, small ones. */
static void make_extents(void)
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        make_extent(&extents[2 * i], 2 * i + 1, CHUNK);
        make_extent(&extents[2 * i + 1], 2 * i + 2, SMALL);
    }
}

static void expect_deferred(uint64_t bytes)
{
    spill_file_check(file);
    ck_assert_uint_eq(spill_file_deferred_bytes(file), bytes);
}

/* Some of them on their way, most in the queue. */
START_TEST(what_is_being_written_belongs_to_no_checkpoint)
{
    enum { BATCHES = 8, A_BATCH = 2 * CHUNKS / BATCHES };
    struct batch *batches = calloc(BATCHES, sizeof(*batches));
    struct pending pending = { 0 };

    ck_assert_ptr_nonnull(batches);
    make_extents();
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < BATCHES; i++)
        ck_assert_int_eq(batch_start(&batches[i], extents + i * A_BATCH, A_BATCH, &pending), 0);
    ck_assert_int_eq(spill_file_begin(file), 0);
    wait_for(&pending);
    for (unsigned i = 0; i < BATCHES; i++) {
        ck_assert_int_eq(batches[i].write.rc, 0);
        batch_finish(&batches[i]);
    }
    spill_file_complete(file);
    free_extents(extents, 2 * CHUNKS);
    expect_deferred(0);
    ck_assert_uint_eq(file_info().used_bytes, 0);
    free(batches);
}
END_TEST

START_TEST(what_has_been_written_does)
{
    uint64_t used_bytes;

    make_extents();
    ck_assert_int_eq(write_extents(extents, 2 * CHUNKS), 0);
    ck_assert_int_eq(spill_file_begin(file), 0);
    spill_file_complete(file);
    used_bytes = file_info().used_bytes;
    free_extents(extents, 2 * CHUNKS);
    expect_deferred(used_bytes);
    ck_assert_int_eq(spill_file_begin(file), 0);
    spill_file_complete(file);
    expect_deferred(0);
}
END_TEST

/* Room on its way back to the file system is in nobody's hands. */
START_TEST(what_is_being_punched_belongs_to_no_checkpoint)
{
    make_extents();
    ck_assert_int_eq(spill_file_persist(file), 0);
    ck_assert_int_eq(write_extents(extents, 2 * CHUNKS), 0);
    free_extents(extents, 2 * CHUNKS - 2); /* the last ones keep the tail */
    spill_file_give_all(file, true);
    while (io_in_flight(io) == 0) { /* once the file has been at rest for a moment */
        (void)spill_file_tick(file);
        (void)usleep(500);
    }
    ck_assert_int_eq(spill_file_begin(file), 0);
    trim_all();
    ck_assert_uint_gt(fault_count(fault, FAULT_PUNCH), 0);
    spill_file_complete(file);
    expect_deferred(0);
}
END_TEST

static void sync_is_done(void *context, int rc)
{
    ck_assert_int_eq(rc, 0);
    ++*(unsigned *)context;
}

/* What was written since the one that runs began may not be part of it. */
START_TEST(a_sync_that_is_asked_for_while_one_runs_is_another)
{
    unsigned done_count = 0;

    make_extents();
    ck_assert_int_eq(spill_file_persist(file), 0);
    ck_assert_int_eq(write_extents(extents, CHUNKS), 0);
    spill_file_sync(file, sync_is_done, &done_count);
    spill_file_forget_sync(file); /* as an aborted checkpoint does */
    ck_assert_int_eq(io_in_flight(io), 1);
    spill_file_sync(file, sync_is_done, &done_count);
    (void)io_wait(io);
    ck_assert_uint_eq(done_count, 0);
    while (io_in_flight(io) > 0)
        (void)io_wait(io);
    ck_assert_uint_eq(done_count, 1);
    ck_assert_uint_eq(fault_count(fault, FAULT_FDATASYNC), 2);
    free_extents(extents, CHUNKS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kept by a file");
    TCase *tests = test_suite_case(suite, "kept", setup, fixture_teardown);

    tcase_add_test(tests, what_is_being_written_belongs_to_no_checkpoint);
    tcase_add_test(tests, what_has_been_written_does);
    tcase_add_test(tests, what_is_being_punched_belongs_to_no_checkpoint);
    tcase_add_test(tests, a_sync_that_is_asked_for_while_one_runs_is_another);
    return test_suite_run(suite);
}
