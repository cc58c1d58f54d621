/* Positions that are kept under a name. */
#include "modules/journal/test_journal_fixture.h"

static void make_published(uint64_t next)
{
    open_journal();
    append_many(next - 1);
    publish();
    open_reader();
}

START_TEST(a_name_goes_on_where_it_was_kept)
{
    make_published(100);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    for (uint64_t number = 1; number < 90; number += 3) {
        expect_frames(number, number + 3);
        ck_assert_int_eq(journal_reader_keep(fixture.reader, number % 2 == 0), 0);
        open_reader();
        ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    }
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "letters"), 0);
    expect_frames(1, 2);
}
END_TEST

START_TEST(a_name_belongs_to_one_reader)
{
    struct journal_reader *other;

    make_published(10);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "more"), -EINVAL);
    ck_assert_int_eq(journal_reader_open(os_real(), fixture.path, &other), 0);
    ck_assert_int_eq(journal_reader_keep(other, false), -EINVAL);
    ck_assert_int_eq(journal_reader_take_name(other, "bills"), -EWOULDBLOCK);
    ck_assert_int_eq(journal_reader_take_name(other, "../bills"), -EINVAL);
    ck_assert_int_eq(journal_reader_take_name(other, ""), -EINVAL);
    ck_assert_int_eq(journal_reader_take_name(other, ".bills"), -EINVAL);
    ck_assert_int_eq(journal_reader_take_name(other, "letters"), 0);
    journal_reader_close(other);
}
END_TEST

static void flip_in_name(off_t offset)
{
    char file[160];
    uint8_t byte;
    int fd;

    (void)snprintf(file, sizeof(file), "%s/bills.reader", fixture.path);
    fd = open(file, O_RDWR);
    ck_assert_int_eq(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

START_TEST(a_torn_slot_leaves_the_one_before)
{
    make_published(100);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    expect_frames(1, 11);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0); /* the second slot */
    expect_frames(11, 21);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0); /* the first */
    flip_in_name(3);
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    expect_frames(11, 12);
}
END_TEST

START_TEST(what_was_trimmed_under_a_name_is_told_of)
{
    struct journal_entry entry;

    make_published(2001);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    expect_frames(1, 3);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0);
    sync_all();
    journal_trim(fixture.journal, journal_appended(fixture.journal));
    settle();
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), -ESTALE);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0);
}
END_TEST

/* Frames up to 39 are synced, those up to 99 were seen, and from 60 on they are lost. */
static void lose_what_was_seen(void)
{
    uint64_t position;

    make_published(40);
    sync_all();
    append_many(60);
    publish();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    expect_frames(1, 60);
    position = journal_reader_position(fixture.reader);
    expect_frames(60, 100);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, true), 0);
    close_journal();
    flip_byte(1, "log", journal_offset_of(position) + 25);
    open_journal();
    ck_assert_uint_eq(fixture.report.end, position);
    fixture.next = 1060;
}

/* _i frames come instead: none, fewer than were lost, or more. */
START_TEST(frames_that_come_after_a_loss_are_not_missed)
{
    static const uint64_t counts[] = { 0, 10, 90 };

    lose_what_was_seen();
    append_many(counts[_i]);
    publish();
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    expect_frames(40, 60); /* again: nobody knows where the loss began */
    expect_frames(1060, 1060 + counts[_i]);
    expect_end();
    ck_assert_int_eq(journal_reader_keep(fixture.reader, true), 0);
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    expect_end();
}
END_TEST

/* The new frames are as long as the lost ones, so one begins where the reader was. */
START_TEST(a_frame_in_the_place_of_a_lost_one_is_another)
{
    uint64_t position;

    lose_what_was_seen();
    open_reader();
    position = journal_appended(fixture.journal);
    for (uint64_t number = 60; number < 120; number++) {
        uint8_t bytes[8192];
        struct slice part = slice_of(bytes, payload_of(number, bytes));
        ck_assert_int_eq(append_slices(1000 + number, &part, 1), 0);
    }
    publish();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    ck_assert_uint_lt(journal_reader_position(fixture.reader), position);
    expect_frames(40, 60);
}
END_TEST

START_TEST(a_position_that_was_sought_is_kept_too)
{
    make_published(100);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    expect_frames(1, 100);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 50, 0), 0);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0);
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    expect_frames(50, 51);
}
END_TEST

static void expect_next(struct journal_reader *reader, uint64_t number)
{
    struct journal_entry entry;
    int rc = journal_reader_next(reader, &entry);

    if (rc == -EIO) rc = journal_reader_next(reader, &entry);
    ck_assert_int_eq(rc, 1);
    ck_assert_uint_eq(entry.time_ms, number);
}

/* What fails is told, and the same call made again goes on where the name was kept. */
START_TEST(each_system_call_may_fail)
{
    uint64_t number = 1, failures = 0;
    bool has_fired = true;

    make_published(400);
    for (uint64_t nth = 1; has_fired; nth++) {
        struct journal_reader *reader;
        int rc;

        ck_assert_int_eq(journal_reader_open(fault_os(fixture.fault), fixture.path, &reader), 0);
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = journal_reader_take_name(reader, "bills");
        failures += rc == -EIO;
        if (rc == -EIO) rc = journal_reader_take_name(reader, "bills");
        ck_assert_int_eq(rc, number > 1);
        for (unsigned i = 0; i < 3; i++)
            expect_next(reader, number++);
        rc = journal_reader_keep(reader, true);
        failures += rc == -EIO;
        if (rc == -EIO) rc = journal_reader_keep(reader, true);
        ck_assert_int_eq(rc, 0);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        journal_reader_close(reader);
    }
    ck_assert_uint_ge(failures, 7); /* open, lock, size, read; write and two syncs */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names of readers");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_test(cases, a_name_goes_on_where_it_was_kept);
    tcase_add_test(cases, a_name_belongs_to_one_reader);
    tcase_add_test(cases, a_torn_slot_leaves_the_one_before);
    tcase_add_test(cases, what_was_trimmed_under_a_name_is_told_of);
    tcase_add_loop_test(cases, frames_that_come_after_a_loss_are_not_missed, 0, 3);
    tcase_add_test(cases, a_frame_in_the_place_of_a_lost_one_is_another);
    tcase_add_test(cases, a_position_that_was_sought_is_kept_too);
    tcase_add_test(cases, each_system_call_may_fail);
    return test_suite_run(suite);
}
