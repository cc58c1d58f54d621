/* Room for the next checkpoint, as the file keeps it. */
#include "modules/spill/test_file_fixture.h"

#include "modules/spill/file_kept.h"

enum { BATCH = 32, BATCH_BYTES = SPILL_BATCH_BYTES, WAIT_TURNS = 1000, CHUNK = 32768 - 32 };

static struct extent extents[4 * BATCH];

static void setup(void)
{
    fixture_setup();
    for (unsigned i = 0; i < 4 * BATCH; i++)
        make_extent(&extents[i], i, CHUNK);
}

static void turn(void)
{
    (void)spill_file_tick(file);
    while (io_in_flight(io) > 0)
        (void)io_wait(io);
}

static void wait_until_reserved(uint64_t bytes)
{
    for (unsigned turns = 0; !spill_file_has_reserved(file, bytes); turns++) {
        ck_assert_uint_lt(turns, WAIT_TURNS);
        (void)usleep(1000);
        turn();
    }
}

START_TEST(what_is_wanted_is_allocated)
{
    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    ck_assert_int_eq(write_extents(extents, BATCH), 0);
    spill_file_reserve(file, 3 * BATCH_BYTES);
    turn();
    ck_assert(spill_file_has_reserved(file, 3 * BATCH_BYTES));
    ck_assert_uint_eq(fault_disk_used(fault), 4 * BATCH_BYTES);
    free_extents(extents, BATCH);
}
END_TEST

/* The file was to be longer by it, but the disk has nothing there. */
START_TEST(what_a_failed_write_was_to_fill_is_no_room)
{
    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    fault_set_disk(fault, 2 * BATCH_BYTES);
    ck_assert_int_eq(write_extents(extents, BATCH), 0);
    ck_assert_int_eq(write_extents(extents + BATCH, BATCH), 0);
    ck_assert_int_eq(write_extents(extents + 2 * BATCH, BATCH), -ENOSPC);
    spill_file_reserve(file, BATCH_BYTES);
    ck_assert(!spill_file_has_reserved(file, BATCH_BYTES));
    turn();
    ck_assert(!spill_file_has_reserved(file, BATCH_BYTES));
    ck_assert_int_eq(spill_file_reserve_state(file), SPILL_RESERVE_NOT_ON_DISK);
    fault_set_disk(fault, 4 * BATCH_BYTES);
    wait_until_reserved(BATCH_BYTES);
    /* It is indeed there. */
    fault_set_disk(fault, 3 * BATCH_BYTES);
    ck_assert_int_eq(write_extents(extents + 2 * BATCH, BATCH), 0);
    free_extents(extents, 3 * BATCH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("room reserved in a file");
    TCase *tests = tcase_create("reserve");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, setup, fixture_teardown);
    tcase_add_test(tests, what_is_wanted_is_allocated);
    tcase_add_test(tests, what_a_failed_write_was_to_fill_is_no_room);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
