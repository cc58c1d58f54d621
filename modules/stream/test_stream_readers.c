/* Many who read one stream in a journal, each from his own place on: what they cost. The page cache
 * has all, so that what is counted does not depend on the machine. */
#include "modules/stream/finder.h"
#include "modules/stream/test_stream_files.h"

enum { READERS = 100, ROUNDS = 20, PER_READ = 10, ENTRIES = READERS * ROUNDS * PER_READ };

static unsigned windows; /* that were filled */

static ssize_t read_now(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    (void)os;
    windows++;
    return os_real()->pread(os_real(), fd, bytes, size, offset);
}

static void setup_readers(void)
{
    setup_files();
    files.options.roll_bytes = 64 << 20;
    fault_os(files.fault)->pread_now = read_now;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, ENTRIES + 1, 300);
}

static void teardown_readers(void)
{
    stream_destroy(stream);
    settle();
    teardown_files();
}

/* What is greater than the entry before: so those who read on ask. */
static struct stream_id behind(uint64_t number)
{
    return (struct stream_id){ number, 1 };
}

/* As XREAD does it: how many there are is looked up; the first half is answered at once, the rest
 * from a snapshot. */
static void read_half(struct stream *from, uint64_t number, uint64_t end)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, from, behind(number - 1), STREAM_FORWARD);
    for (; number < end; number++) {
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
        ck_assert(slice_equal(entry.fields, value_of(number, 300)));
        (void)io_poll(files.io);
    }
}

static void read_page(uint64_t number)
{
    uint64_t ordinal, half = number + PER_READ / 2;
    struct stream *snapshot;

    ck_assert_int_eq(stream_ordinal_of(stream, behind(number - 1), &ordinal), 0);
    ck_assert_uint_eq(ordinal, number);
    read_half(stream, number, half);
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    read_half(snapshot, half, number + PER_READ);
    stream_destroy(snapshot);
}

/* System calls that may wait, of jobs: each means that somebody has waited, but of what reads
 * ahead. */
static uint64_t waits(void)
{
    return fault_count(files.fault, FAULT_OPEN) + fault_count(files.fault, FAULT_PREAD) +
           fault_count(files.fault, FAULT_MAP);
}

/* All pages but a few: two places may fall on the same line of the table (files_places.c), and then
 * one of them is searched for, which takes up to eight calls. */
static void expect_few_waits(uint64_t before, uint64_t pages)
{
    ck_assert_uint_le(waits() - before, pages / 100 * 8);
}

START_TEST(each_of_many_readers_reads_on_without_waiting)
{
    uint64_t before = 0;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (uint64_t reader = 0; reader < READERS; reader++)
            read_page(reader * ROUNDS * PER_READ + round * PER_READ + 1);
        if (round == 0) before = waits();
    }
    expect_few_waits(before, (ROUNDS - 1) * READERS);
}
END_TEST

/* Each knows where he was, although others have used his reader since. */
START_TEST(readers_of_the_same_entries_share_what_was_fetched)
{
    uint64_t before;

    read_page(1);
    before = waits();
    for (uint64_t number = 1; number < ENTRIES / 10; number += PER_READ) {
        for (int reader = 0; reader < 10; reader++)
            read_page(number);
    }
    expect_few_waits(before, ENTRIES / 10 / PER_READ * 10);
}
END_TEST

/* An entry that had no room is read again, from a snapshot: the place before it is known to the
 * cursor alone. */
START_TEST(a_cursor_that_enters_a_snapshot_keeps_its_place)
{
    for (uint64_t number = 1; number < ENTRIES / 10; number += 2 * PER_READ) {
        struct stream_cursor cursor, before;
        struct stream_entry entry;
        struct stream *snapshot;
        uint64_t waited;

        stream_cursor_begin(&cursor, stream, behind(number - 1), STREAM_FORWARD);
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        before = cursor;
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        waited = waits();
        ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
        stream_cursor_enter(&before, snapshot);
        ck_assert_int_eq(stream_cursor_next(&before, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number + 1);
        ck_assert_uint_eq(waits(), waited);
        stream_destroy(snapshot);
    }
}
END_TEST

/* Deleting moves places on: they are searched for again, and found. */
START_TEST(readers_find_their_places_again_behind_what_was_deleted)
{
    for (uint64_t number = 1; number < ENTRIES / 10; number += 2 * PER_READ) {
        struct stream_id id = { number + PER_READ, 0 };
        struct stream_cursor cursor;
        struct stream_entry entry;

        read_page(number);
        ck_assert_int_eq(stream_delete(stream, id.ms, id), 1);
        stream_cursor_begin(&cursor, stream, id, STREAM_FORWARD);
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, id.ms + 1);
    }
}
END_TEST

static void expect_found(struct stream_finder *finder, uint64_t number, uint64_t seq, int is_there)
{
    uint64_t ordinal = 0;

    ck_assert_int_eq(stream_finder_next(finder, (struct stream_id){ number, seq }, &ordinal),
                     is_there);
    ck_assert_uint_eq(ordinal, is_there ? number : 0);
}

START_TEST(many_that_are_asked_for_are_met_by_reading_on)
{
    enum { STEP = 10 };
    struct stream_finder finder;
    uint64_t before;

    for (uint64_t number = STEP; number < ENTRIES; number += 100 * STEP)
        ck_assert_int_eq(stream_delete(stream, number, (struct stream_id){ number, 0 }), 1);
    before = waits();
    stream_finder_begin(&finder, stream);
    expect_found(&finder, 0, 7, 0);
    for (uint64_t number = STEP; number < ENTRIES; number += STEP) {
        int is_there = number % (100 * STEP) != STEP;

        expect_found(&finder, number, 0, is_there);
        expect_found(&finder, number, 0, is_there);
        expect_found(&finder, number, 5, 0);
    }
    expect_found(&finder, ENTRIES, 0, 1);
    expect_found(&finder, ENTRIES, 1, 0);
    expect_found(&finder, ENTRIES + 1, 0, 0);
    expect_few_waits(before, ENTRIES / STEP);
}
END_TEST

static void expect_sought(struct stream_seeker *seeker, uint64_t number, uint64_t seq,
                          bool is_there)
{
    struct stream_entry entry = { .ordinal = 0 };

    ck_assert_int_eq(stream_seeker_next(seeker, (struct stream_id){ number, seq }, &entry),
                     is_there);
    ck_assert_uint_eq(entry.ordinal, is_there ? number : 0);
    if (is_there) ck_assert(slice_equal(entry.fields, value_of(number, 300)));
}

START_TEST(entries_that_are_asked_for_are_met_by_reading_on)
{
    enum { STEP = 3 };
    struct stream_seeker seeker;
    uint64_t before = waits();

    stream_seeker_begin(&seeker, stream);
    for (uint64_t number = 1; number <= ENTRIES; number += number % 500 < 250 ? 1 : STEP)
        expect_sought(&seeker, number, 0, true);
    expect_sought(&seeker, ENTRIES, 1, false);
    expect_sought(&seeker, ENTRIES + 1, 0, false);
    expect_few_waits(before, ENTRIES / STEP);
}
END_TEST

START_TEST(entries_that_have_gone_are_told_from_those_behind_them)
{
    enum { ROW = 50, EVERY = 1000 };
    struct stream_seeker seeker;

    for (uint64_t number = 1; number < ENTRIES; number += EVERY)
        for (uint64_t i = number; i < number + ROW; i++)
            ck_assert_int_eq(stream_delete(stream, i, (struct stream_id){ i, 0 }), 1);
    stream_seeker_begin(&seeker, stream);
    for (uint64_t number = 1; number <= ENTRIES; number += number % 7 == 0 ? 20 : 1) {
        expect_sought(&seeker, number, 0, (number - 1) % EVERY >= ROW);
        if (number % 401 == 0) expect_sought(&seeker, number, 5, false);
    }
    expect_sought(&seeker, ENTRIES + 1, 0, false);
}
END_TEST

START_TEST(entries_may_be_asked_for_in_any_order)
{
    struct stream_seeker seeker;
    uint64_t number = ENTRIES / 2;

    ck_assert_int_eq(stream_delete(stream, 77, (struct stream_id){ 77, 0 }), 1);
    stream_seeker_begin(&seeker, stream);
    for (unsigned i = 0; i < 300; i++) {
        expect_sought(&seeker, number, 0, true);
        if (i % 3 == 0) expect_sought(&seeker, number, 0, true);
        if (i % 5 == 0) expect_sought(&seeker, 77, 0, false);
        if (i % 10 == 0) expect_sought(&seeker, 76, 0, true);
        number = i % 2 ? number - 7 : number + 5;
    }
}
END_TEST

START_TEST(who_is_far_behind_is_searched_for)
{
    struct stream_finder finder;
    unsigned before = windows;

    stream_finder_begin(&finder, stream);
    expect_found(&finder, 1, 0, 1);
    expect_found(&finder, ENTRIES / 2, 0, 1);
    expect_found(&finder, ENTRIES - 10, 0, 1);
    ck_assert_uint_le(windows - before, 3 * 4); /* of about a hundred */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readers of streams in journals");
    TCase *cases = test_suite_case(suite, "all", setup_readers, teardown_readers);

    tcase_add_test(cases, each_of_many_readers_reads_on_without_waiting);
    tcase_add_test(cases, readers_of_the_same_entries_share_what_was_fetched);
    tcase_add_test(cases, a_cursor_that_enters_a_snapshot_keeps_its_place);
    tcase_add_test(cases, readers_find_their_places_again_behind_what_was_deleted);
    tcase_add_test(cases, many_that_are_asked_for_are_met_by_reading_on);
    tcase_add_test(cases, entries_that_are_asked_for_are_met_by_reading_on);
    tcase_add_test(cases, entries_that_have_gone_are_told_from_those_behind_them);
    tcase_add_test(cases, entries_may_be_asked_for_in_any_order);
    tcase_add_test(cases, who_is_far_behind_is_searched_for);
    return test_suite_run(suite);
}
