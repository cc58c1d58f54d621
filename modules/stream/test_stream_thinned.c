/* Readers of streams most of whose entries are deleted: they come past what is gone without reading
 * it, and get on while segments are written anew. */
#include "modules/stream/test_stream_thinned.h"

/* What two entries cost, from one of them on, of which all between is deleted. */
static uint64_t reads_between(uint64_t first, uint64_t second, enum stream_direction direction)
{
    uint64_t before = fault_count(files.fault, FAULT_PREAD);
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, stream, (struct stream_id){ first, 0 }, direction);
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
    ck_assert_uint_eq(entry.id.ms, first);
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
    ck_assert_uint_eq(entry.id.ms, second);
    return fault_count(files.fault, FAULT_PREAD) - before;
}

/* The same for one who begins amid what is deleted. */
static uint64_t reads_from(uint64_t from, uint64_t number, enum stream_direction direction)
{
    uint64_t before = fault_count(files.fault, FAULT_PREAD);
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, stream, (struct stream_id){ from, 0 }, direction);
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
    ck_assert_uint_eq(entry.id.ms, number);
    return fault_count(files.fault, FAULT_PREAD) - before;
}

/* Both ways, with a hundred and fifty segments between. */
START_TEST(who_comes_past_what_was_dropped_reads_no_more_than_before)
{
    enum { FIRST = 519, LAST = 39000, WAYS = 6, AMID = 2, MORE = 5 };
    uint64_t reads[2][WAYS];
    struct stream *snapshot;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 40000, SIZE);
    settle();
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    for (uint64_t number = FIRST + 1; number < LAST; number++)
        delete_one(number);
    for (unsigned i = 0; i < 2; i++) {
        reads[i][0] = reads_between(FIRST, LAST, STREAM_FORWARD);
        reads[i][1] = reads_between(LAST, FIRST, STREAM_BACKWARD);
        reads[i][2] = reads_from(20000, LAST, STREAM_FORWARD);
        reads[i][3] = reads_from(20000, FIRST, STREAM_BACKWARD);
        reads[i][4] = reads_from(FIRST + 2, LAST, STREAM_FORWARD);
        reads[i][5] = reads_from(LAST - 2, FIRST, STREAM_BACKWARD);
        if (i == 0) stream_destroy(snapshot);
        settle();
    }
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 100);
    for (unsigned way = 0; way < WAYS; way++)
        ck_assert_uint_le(reads[1][way], reads[0][way] + MORE);
    ck_assert_uint_le(reads[1][AMID], reads[0][AMID]);
    stream_destroy(stream);
}
END_TEST

/* Some of each ten are there, and nothing was written anew. */
START_TEST(who_reads_what_was_thinned_out_does_not_seek_each_entry)
{
    enum stream_direction direction = _i % 2 ? STREAM_BACKWARD : STREAM_FORWARD;
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t before, count = 0;

    begin();
    checkpoint(stream, true);
    thin_out(1, ENTRIES);
    ck_assert_uint_eq(count_in_stream(1, ".pak"), 0);
    before = fault_count(files.fault, FAULT_PREAD);
    stream_cursor_begin(&cursor, stream,
                        direction == STREAM_FORWARD ? STREAM_ID_MIN : STREAM_ID_MAX, direction);
    while (stream_cursor_next(&cursor, &entry) == 1)
        count++;
    ck_assert_uint_eq(count, stream_count(stream));
    ck_assert_uint_lt(fault_count(files.fault, FAULT_PREAD) - before, count / 2);
    stream_destroy(stream);
}
END_TEST

/* The index of the segment that is being written is in no file yet. */
START_TEST(who_comes_past_what_is_deleted_of_the_last_segment_does_not_walk_it)
{
    enum { FIRST = 100, LAST = 20000, FEW = 25 };

    files.options.roll_bytes = 128 * JOURNAL_ROLL_BYTES_MIN;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 26000, SIZE);
    settle();
    ck_assert_uint_eq(info_now().segment_count, 1);
    for (uint64_t number = FIRST + 1; number < LAST; number++)
        delete_one(number);
    ck_assert_uint_lt(reads_between(FIRST, LAST, STREAM_FORWARD), FEW);
    ck_assert_uint_lt(reads_between(LAST, FIRST, STREAM_BACKWARD), FEW);
    stream_destroy(stream);
}
END_TEST

/* Who reads while segments are written anew has some of them as they were. */
START_TEST(who_reads_meanwhile_gets_on)
{
    enum stream_direction direction = _i % 2 ? STREAM_BACKWARD : STREAM_FORWARD;
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t number = direction == STREAM_FORWARD ? 0 : ENTRIES, step = 0;

    begin();
    checkpoint(stream, true); /* what is deleted behind it stays until the next one */
    thin_out(1, ENTRIES);
    stream_cursor_begin(&cursor, stream,
                        direction == STREAM_FORWARD ? STREAM_ID_MIN : STREAM_ID_MAX, direction);
    for (;; step++) {
        number = direction == STREAM_FORWARD ? number + KEPT_EVERY : number - KEPT_EVERY;
        if (step == ENTRIES / KEPT_EVERY / 2) {
            ck_assert_uint_eq(count_in_stream(1, ".pak"), 0);
            checkpoint(stream, true);
            settle();
            ck_assert_uint_gt(count_in_stream(1, ".pak"), 8);
        }
        if (number == 0 || number >= ENTRIES) break;
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
        ck_assert(slice_equal(entry.fields, value_of(number, SIZE)));
    }
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 0);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    stream_destroy(stream);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readers of what was thinned out");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);

    tcase_add_test(cases, who_comes_past_what_was_dropped_reads_no_more_than_before);
    tcase_add_test(cases, who_comes_past_what_is_deleted_of_the_last_segment_does_not_walk_it);
    tcase_add_loop_test(cases, who_reads_what_was_thinned_out_does_not_seek_each_entry, 0, 2);
    tcase_add_loop_test(cases, who_reads_meanwhile_gets_on, 0, 2);
    return test_suite_run(suite);
}
