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

START_TEST(a_name_beyond_the_end_waits_there)
{
    uint64_t position;

    make_published(100);
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 0);
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 60, 0), 0);
    position = journal_reader_position(fixture.reader);
    expect_frames(60, 100);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, true), 0);
    close_journal();
    flip_byte(1, "log", journal_offset_of(position) + 25); /* a tail is lost */
    open_journal();
    ck_assert_uint_eq(fixture.report.end, position);
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "bills"), 1);
    expect_end();
    fixture.next = 60;
    append_many(1);
    publish();
    expect_frames(60, 61);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names of readers");
    TCase *cases = add_case(suite, "all", setup);

    tcase_add_test(cases, a_name_goes_on_where_it_was_kept);
    tcase_add_test(cases, a_name_belongs_to_one_reader);
    tcase_add_test(cases, a_torn_slot_leaves_the_one_before);
    tcase_add_test(cases, what_was_trimmed_under_a_name_is_told_of);
    tcase_add_test(cases, a_name_beyond_the_end_waits_there);
    return run_suite(suite);
}
