/* Room for the next checkpoint, as the file keeps it, and what the file takes at its limit. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_file_fixture.h"

#include "modules/spill/file_kept.h"

enum {
    BATCH = 32,
    BATCH_BYTES = SPILL_BATCH_BYTES,
    WAIT_TURNS = 1000,
    CHUNK = 32768 - 32,
    SINGLE = 4000 /* has a block to itself */
};

static struct extent extents[4 * BATCH], more[BATCH], singles[BATCH_BYTES / SPILL_BLOCK_BYTES];

static void setup(void)
{
    fixture_setup();
    for (unsigned i = 0; i < 4 * BATCH; i++)
        make_extent(&extents[i], i, CHUNK);
    for (unsigned i = 0; i < BATCH; i++)
        make_extent(&more[i], 500 + i, CHUNK);
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

/* Told as refused, and had a moment later. */
START_TEST(an_allocation_that_fails_is_tried_again)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };

    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    ck_assert_int_eq(write_extents(extents, BATCH), 0);
    spill_file_reserve(file, 3 * BATCH_BYTES);
    fault_fail(fault, FAULT_ALLOCATE, 1, errors[_i], FAULT_ONCE);
    turn();
    ck_assert_uint_eq(fault_fired(fault), 1);
    ck_assert(!spill_file_has_reserved(file, SPILL_BLOCK_BYTES));
    ck_assert_int_eq(spill_file_reserve_state(file), SPILL_RESERVE_NOT_ON_DISK);
    ck_assert_int_ge(spill_file_wait_us(file), 0); /* somebody comes back to it */
    wait_until_reserved(3 * BATCH_BYTES);
    ck_assert_int_eq(spill_file_reserve_state(file), SPILL_RESERVED);
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

/* Two batches; the first one's room was punched, and others have taken it. */
static void fill_disk_but_for_a_hole(void)
{
    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    spill_file_give_all(file, true);
    free_extents(extents, BATCH);
    trim_all();
    spill_file_give_all(file, false);
    ck_assert_uint_eq(fault_disk_used(fault), 2 * BATCH_BYTES);
    fault_set_disk(fault, 2 * BATCH_BYTES);
}

START_TEST(what_a_failed_write_was_to_fill_in_a_hole_is_no_room)
{
    fill_disk_but_for_a_hole();
    ck_assert(!spill_file_has_reserved(file, SPILL_BLOCK_BYTES));
    ck_assert_int_eq(write_extents(more, BATCH), -ENOSPC);
    ck_assert(!spill_file_has_reserved(file, SPILL_BLOCK_BYTES));
}
END_TEST

/* A batch fits into what was freed; next-fit would begin with the hole. */
START_TEST(on_a_full_disk_holes_are_left_alone_while_there_is_room_elsewhere)
{
    fill_disk_but_for_a_hole();
    ck_assert_int_eq(write_extents(more, 1), -ENOSPC);
    free_extents(extents + 2 * BATCH, BATCH / 2);
    ck_assert(spill_file_has_reserved(file, BATCH_BYTES / 2));
    ck_assert_int_eq(write_extents(more, BATCH / 2), 0);
}
END_TEST

START_TEST(at_the_limit_no_more_is_allocated_than_may_be_written)
{
    open_file(0, 4 * BATCH_BYTES);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    ck_assert_int_eq(write_extents(extents + 3 * BATCH, BATCH / 2), 0);
    spill_file_reserve(file, 2 * BATCH_BYTES);
    for (unsigned i = 0; i < 3; i++)
        turn();
    ck_assert_int_eq(spill_file_reserve_state(file), SPILL_RESERVE_ABOVE_LIMIT);
    ck_assert(spill_file_has_reserved(file, BATCH_BYTES / 2));
    ck_assert_uint_eq(fault_disk_used(fault), 4 * BATCH_BYTES);
    free_extents(extents, 3 * BATCH + BATCH / 2);
}
END_TEST

/* ---- how long the file becomes at its limit ----------------------------------------------------
 */

START_TEST(at_the_limit_small_pieces_are_used_before_the_file_grows)
{
    enum { PIECES = 8 };
    open_file(0, 4 * BATCH_BYTES);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    for (unsigned i = 0; i < PIECES; i++)
        free_extents(&extents[16 * i], 1);
    ck_assert_int_eq(write_extents(more, PIECES), 0);
    ck_assert_uint_eq(file_info().file_bytes, 4 * BATCH_BYTES);
    ck_assert_uint_eq(fault_disk_used(fault), 4 * BATCH_BYTES);
}
END_TEST

/* Every second block of the last quarter is free, and a chunk needs eight together. */
START_TEST(what_finds_no_piece_takes_more_until_it_can_be_given_back)
{
    enum { SINGLES = BATCH_BYTES / SPILL_BLOCK_BYTES, MORE = SINGLES / 2 / 8 };
    open_file(0, 4 * BATCH_BYTES);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    for (unsigned i = 0; i < SINGLES; i++)
        make_extent(&singles[i], 1000 + i, SINGLE);
    ck_assert_int_eq(write_extents(singles, SINGLES), 0);
    for (unsigned i = 0; i < SINGLES; i += 2)
        free_extents(&singles[i], 1);
    ck_assert_int_eq(write_extents(more, MORE), 0);
    ck_assert_uint_eq(fault_disk_used(fault), 4 * BATCH_BYTES + BATCH_BYTES / 2);
    ck_assert_int_eq(write_extents(more + MORE, 1), -ENOSPC);
    free_extents(extents, BATCH);
    trim_all();
    ck_assert_uint_le(fault_disk_used(fault), 4 * BATCH_BYTES);
    expect_all_readable(more, MORE);
}
END_TEST

/* ---- room in pieces on a full disk -------------------------------------------------------------
 */

enum { SINGLES_ON_DISK = BATCH_BYTES / SPILL_BLOCK_BYTES };

/* The disk has three batches and singles, of which every second one is free. */
static void fill_disk_with_singles(void)
{
    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    for (unsigned i = 0; i < SINGLES_ON_DISK; i++)
        make_extent(&singles[i], 1000 + i, SINGLE);
    ck_assert_int_eq(write_extents(singles, SINGLES_ON_DISK), 0);
    fault_set_disk(fault, 4 * BATCH_BYTES);
    for (unsigned i = 0; i < SINGLES_ON_DISK; i += 2)
        free_extents(&singles[i], 1);
}

/* What counts as reserved can be had, by extents too that fit into no piece. */
START_TEST(on_a_full_disk_pieces_make_room_for_what_fits_into_none)
{
    enum { MORE = SINGLES_ON_DISK / 2 / 8 };
    fill_disk_with_singles();
    ck_assert(spill_file_has_reserved(file, BATCH_BYTES / 2));
    for (unsigned i = 0; i < MORE; i += MORE / 2)
        ck_assert_int_eq(write_extents(more + i, MORE / 2), 0);
    ck_assert_uint_eq(fault_disk_used(fault), 4 * BATCH_BYTES);
    ck_assert(!spill_file_has_reserved(file, SPILL_BLOCK_BYTES));
    ck_assert_int_eq(write_extents(more + MORE, 1), -ENOSPC);
    ck_assert_uint_eq(file_info().used_bytes, 4 * BATCH_BYTES);
    expect_all_readable(more, MORE);
    for (unsigned i = 1; i < SINGLES_ON_DISK; i += 2)
        expect_all_readable(&singles[i], 1);
}
END_TEST

/* With no room known yet the first attempt goes behind the end, the second punches. */
START_TEST(pieces_that_cannot_be_punched_stay_as_they_were)
{
    static const int errors[] = { EIO, EOPNOTSUPP };
    for (unsigned nth = 1; nth <= 8; nth += 7) {
        for (unsigned i = 0; i < 2; i++) {
            fill_disk_with_singles();
            fault_fail(fault, FAULT_PUNCH, nth, errors[i], FAULT_ONCE);
            ck_assert_int_eq(write_extents(more, 1), errors[i] == EIO ? -EIO : -ENOSPC);
            ck_assert_uint_eq(fault_count(fault, FAULT_PUNCH), nth);
            ck_assert_uint_eq(file_info().used_bytes, 4 * BATCH_BYTES - BATCH_BYTES / 2);
            ck_assert_uint_eq(file_info().punched_bytes, (nth - 1) * SPILL_BLOCK_BYTES);
            fault_clear(fault);
            ck_assert_int_eq(write_extents(more, 1), errors[i] == EIO ? 0 : -ENOSPC);
            spill_file_check(file);
            fixture_teardown();
            setup();
        }
    }
}
END_TEST

/* The last two batches are free; the first of them is a hole. */
START_TEST(room_behind_holes_at_the_end_is_found)
{
    open_file(0, 0);
    ck_assert_int_eq(spill_file_persist(file), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write_extents(extents + i * BATCH, BATCH), 0);
    spill_file_give_all(file, true);
    free_extents(extents + BATCH, BATCH);
    trim_all();
    spill_file_give_all(file, false);
    fault_set_disk(fault, 2 * BATCH_BYTES);
    spill_file_reserve(file, 2 * BATCH_BYTES);
    free_extents(extents + 2 * BATCH, BATCH);
    ck_assert_int_eq(write_extents(more, BATCH / 8), 0);
    turn();
    ck_assert_int_eq(write_extents(more + BATCH / 8, BATCH - BATCH / 8), 0);
    ck_assert(!spill_file_has_reserved(file, SPILL_BLOCK_BYTES));
    turn();
    ck_assert_int_eq(spill_file_reserve_state(file), SPILL_RESERVE_NOT_ON_DISK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("room reserved in a file");
    TCase *tests = test_suite_case(suite, "reserve", setup, fixture_teardown);

    tcase_add_test(tests, what_is_wanted_is_allocated);
    tcase_add_loop_test(tests, an_allocation_that_fails_is_tried_again, 0, 4);
    tcase_add_test(tests, what_a_failed_write_was_to_fill_is_no_room);
    tcase_add_test(tests, what_a_failed_write_was_to_fill_in_a_hole_is_no_room);
    tcase_add_test(tests, on_a_full_disk_holes_are_left_alone_while_there_is_room_elsewhere);
    tcase_add_test(tests, at_the_limit_no_more_is_allocated_than_may_be_written);
    tcase_add_test(tests, at_the_limit_small_pieces_are_used_before_the_file_grows);
    tcase_add_test(tests, what_finds_no_piece_takes_more_until_it_can_be_given_back);
    tcase_add_test(tests, on_a_full_disk_pieces_make_room_for_what_fits_into_none);
    tcase_add_test(tests, pieces_that_cannot_be_punched_stay_as_they_were);
    tcase_add_test(tests, room_behind_holes_at_the_end_is_found);
    return test_suite_run(suite);
}
