/* Frames that nobody needs any more are dropped, and the others stay, where they are. */
#include "modules/base/test_suite.h"
#include "modules/journal/index.h"
#include "modules/journal/test_drop_fixture.h"

static void load_index(struct journal_index *index)
{
    *index = (struct journal_index){ 0 };
    ck_assert_int_eq(
        journal_index_load(os_real(), fixture.path, 1, journal_seed(info_now().id, 1), index), 0);
}

static uint64_t packed_bytes(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < 64; i++)
        bytes += drop.told[i].file_bytes;
    return bytes;
}

/* _i: what the journal is packed with otherwise. */
START_TEST(what_is_dropped_has_gone_and_all_else_is_there)
{
    uint64_t limit;

    open_with((enum journal_codec)_i);
    fill(5);
    limit = fixture.next;
    fill(1);
    drop_below(limit);
    for (uint64_t number = 1; number <= 6; number++)
        ck_assert(file_exists(number, "pak") && !file_exists(number, "log"));
    ck_assert_uint_lt(packed_bytes(), 6 * JOURNAL_ROLL_BYTES_MIN / 6);
    expect_kept(limit);
    close_journal();
    forget_boot();
    expect_kept(limit);
    fixture.options.verifies_all = true;
    fixture.options.tells_packed = true;
    memset(drop.told, 0, sizeof(drop.told));
    open_journal();
    ck_assert_uint_eq(drop.told[1].note, NOTE);
    ck_assert_uint_gt(drop.told[1].file_bytes, 0);
    expect_kept(limit);
    fill(1);
    expect_kept(limit);
}
END_TEST

/* More goes of a segment that was written anew before. */
START_TEST(what_is_left_can_be_dropped_later)
{
    uint64_t limit;

    open_with(JOURNAL_CODEC_ZSTD);
    fill(3);
    limit = fixture.next;
    fill(1); /* so that the last one of them, too, is in a segment that has ended */
    drop_below(limit / 3);
    expect_kept(limit / 3);
    drop_below(limit);
    expect_kept(limit);
}
END_TEST

/* Who knows where a frame is, or was, goes there. _i: more went later, of what had been left. */
START_TEST(places_stay_where_they_are)
{
    static uint64_t positions[5000];
    struct journal_entry entry;
    uint64_t limit;

    open_with(JOURNAL_CODEC_NONE);
    fill(4);
    limit = fixture.next;
    ck_assert_uint_lt(limit, 5000);
    open_reader();
    for (uint64_t number = 1; number < limit; number++) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        positions[number] = entry.position;
    }
    drop_below(limit);
    if (_i == 1) drop.kept_every *= KEPT_EVERY;
    if (_i == 1) drop_below(limit);
    open_reader();
    for (uint64_t number = 1; number < limit; number++) {
        uint64_t kept = next_kept(number, limit);
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, positions[number]), 0);
        if (kept == limit) continue;
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_numbered(&entry, kept);
        ck_assert_uint_eq(entry.position, positions[kept]);
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_numbered(&entry, kept);
    }
}
END_TEST

/* The index leads to frames that are left, so that none of the others are gone through. */
START_TEST(the_index_tells_of_what_is_left)
{
    struct journal_index index = { 0 };
    struct journal_entry entry;
    uint64_t limit;

    fixture.options.settings.roll_bytes = 16 * JOURNAL_ROLL_BYTES_MIN;
    open_with(JOURNAL_CODEC_NONE);
    while (active_number() < 3)
        ck_assert_int_eq(append_numbered(7), 0);
    sync_all();
    limit = fixture.next;
    drop_below(limit);
    ck_assert_int_eq(
        journal_index_load(os_real(), fixture.path, 1, journal_seed(info_now().id, 1), &index), 0);
    ck_assert_uint_ge(index.count, 10);
    for (size_t i = 0; i < index.count; i++) {
        ck_assert_uint_eq(index.entries[i].time_ms % KEPT_EVERY, 0);
        open_reader();
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader,
                                                      journal_position(1, index.entries[i].offset)),
                         0);
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        ck_assert_uint_eq(entry.time_ms, index.entries[i].time_ms);
    }
    journal_index_finish(&index);
}
END_TEST

/* Three segments of 2 MiB, of which little is left (kept_every), and a few frames behind them. */
static void drop_large(uint64_t kept_every)
{
    fixture.options.settings.roll_bytes = 32 * JOURNAL_ROLL_BYTES_MIN;
    open_with(JOURNAL_CODEC_NONE);
    while (active_number() < 4)
        ck_assert_int_eq(append_numbered(200), 0);
    sync_all();
    drop.kept_every = kept_every;
    drop_below(fixture.next);
}

/* What nothing is left of need not be gone through to know that its index is whole. _i: but it is
 * made anew by who verifies all, and where it is missing. */
START_TEST(who_opens_it_again_does_not_go_through_what_was_dropped)
{
    enum { FEW = 25 };
    struct journal_index index;
    char file[160];
    uint64_t before;

    drop_large(2000);
    close_journal();
    fixture.options.verifies_all = _i == 1;
    (void)snprintf(file, sizeof(file), "%s/0000000001.idx", fixture.path);
    if (_i == 1) ck_assert_int_eq(truncate(file, 0), 0);
    if (_i == 2) ck_assert_int_eq(unlink(file), 0);
    before = fault_count(fixture.fault, FAULT_PREAD);
    open_journal();
    settle();
    if (_i == 0) ck_assert_uint_lt(fault_count(fixture.fault, FAULT_PREAD) - before, FEW);
    load_index(&index);
    ck_assert_uint_gt(index.count, 0);
    journal_index_finish(&index);
}
END_TEST

/* Nor by who reads, either way: all that lies side by side is passed over at once. */
START_TEST(who_reads_passes_over_what_was_dropped_at_once)
{
    enum { FEW = 40 };
    struct journal_entry entry;
    uint64_t before, last;

    drop_large(UINT64_MAX);
    last = fixture.next;
    ck_assert_int_eq(append_numbered(200), 0);
    sync_all();
    ck_assert_int_eq(journal_reader_open(fault_os(fixture.fault), fixture.path, &fixture.reader),
                     0);
    before = fault_count(fixture.fault, FAULT_PREAD);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    ck_assert_uint_eq(journal_segment_of(entry.position), active_number());
    while (entry.time_ms < last)
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    ck_assert_uint_gt(fault_count(fixture.fault, FAULT_PREAD), before);
    ck_assert_uint_lt(fault_count(fixture.fault, FAULT_PREAD) - before, FEW);
    before = fault_count(fixture.fault, FAULT_PREAD);
    while (journal_reader_previous(fixture.reader, &entry) == 1) {}
    ck_assert_uint_lt(fault_count(fixture.fault, FAULT_PREAD) - before, FEW);
}
END_TEST

START_TEST(what_has_not_ended_or_must_stay_plain_is_refused)
{
    open_with(JOURNAL_CODEC_NONE);
    fill(3);
    ck_assert_int_eq(try_drop(active_number(), 100), -EINVAL);
    journal_keep_plain(fixture.journal, journal_segment_start(3));
    ck_assert_int_eq(try_drop(3, 100), -EINVAL);
    ck_assert_int_eq(try_drop(2, 100), 0);
    ck_assert_int_eq(try_drop(1, 100), -EBUSY);
    settle();
    journal_trim(fixture.journal, journal_segment_start(2));
    settle();
    ck_assert_int_eq(try_drop(1, 100), -EINVAL);
    ck_assert(!file_exists(3, "pak"));
}
END_TEST

/* It is over then: who waits for that does not wait for ever. */
START_TEST(a_segment_that_is_trimmed_meanwhile_has_gone)
{
    open_with(JOURNAL_CODEC_NONE);
    fill(3);
    ck_assert_int_eq(try_drop(1, fixture.next), 0);
    for (int i = 0; i < _i && journal_is_busy(fixture.journal); i++)
        ck_assert_int_eq(journal_wait(fixture.journal), 0);
    journal_trim(fixture.journal, journal_segment_start(2));
    settle();
    ck_assert(!journal_is_dropping(fixture.journal));
    ck_assert(!file_exists(1, "log") && !file_exists(1, "pak") && !file_exists(1, "pak.new"));
}
END_TEST

START_TEST(closing_breaks_it_off)
{
    open_with(JOURNAL_CODEC_NONE);
    fill(2);
    ck_assert_int_eq(try_drop(1, fixture.next), 0);
    journal_pause_tending(fixture.journal, true);
    settle();
    ck_assert(!journal_is_tending(fixture.journal));
    close_journal();
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak.new"));
    open_journal();
    expect_kept(0);
}
END_TEST

/* ---- crashes and failures ---------------------------------------------------------------------
 */

static void drop_first(void)
{
    (void)try_drop(1, fixture.next);
    settle();
}

/* All is there but what can go of the first segment, of which all has gone or nothing. True: it
 * has. */
static bool expect_whole_or_dropped(void)
{
    uint64_t number = 1, gone = 0, stayed = 0, segment = 1;
    struct journal_entry entry;

    open_reader();
    while (journal_reader_next(fixture.reader, &entry) == 1) {
        for (; number < entry.time_ms; number++, gone++) {
            ck_assert_uint_ne(number % KEPT_EVERY, 0);
            ck_assert_uint_eq(segment, 1);
        }
        expect_numbered(&entry, number++);
        segment = journal_segment_of(entry.position);
        stayed += segment == 1 && entry.time_ms % KEPT_EVERY != 0;
    }
    ck_assert_uint_eq(number, fixture.next);
    ck_assert(gone == 0 || stayed == 0);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    return gone > 0;
}

/* _i: it is plain, or packed. */
START_TEST(a_crash_at_any_step_leaves_the_segment_whole)
{
    bool has_crashed = true;
    unsigned crashes = 0;

    fixture.options.verifies_all = true;
    for (uint64_t nth = 1; has_crashed; nth++) {
        bool is_new;
        open_with(_i ? JOURNAL_CODEC_LZ4 : JOURNAL_CODEC_NONE);
        fill(2);
        has_crashed = crashes_at(nth, drop_first);
        crashes += has_crashed;
        close_journal();
        is_new = expect_whole_or_dropped();
        ck_assert(has_crashed || is_new);
        open_journal();
        settle();
        ck_assert_int_eq(expect_whole_or_dropped(), is_new);
        ck_assert(!file_exists(1, "pak.new"));
        /* And it can be done again. */
        ck_assert_int_eq(try_drop(1, fixture.next), 0);
        settle();
        ck_assert(expect_whole_or_dropped());
        close_journal();
        remove_files(fixture.path);
        fixture.next = 1;
    }
    open_journal(); /* for the fixture */
    ck_assert_uint_gt(crashes, 10);
}
END_TEST

/* It tells of all that is there, as it did before, or of what is left only. */
static void expect_index(const struct journal_index *before, bool is_dropped_now)
{
    struct journal_index index;

    load_index(&index);
    ck_assert_uint_gt(index.count, 0);
    if (!is_dropped_now) ck_assert(journal_index_equal(&index, before));
    for (size_t i = 0; is_dropped_now && i < index.count; i++)
        ck_assert_uint_eq(index.entries[i].time_ms % KEPT_EVERY, 0);
    journal_index_finish(&index);
    ck_assert(!file_exists(1, "idx.new"));
}

START_TEST(what_fails_leaves_the_segment_as_it_was)
{
    struct journal_index before;
    bool has_fired = true;
    unsigned failures = 0;

    fixture.options.settings.roll_bytes = 4 * JOURNAL_ROLL_BYTES_MIN;
    open_with(_i ? JOURNAL_CODEC_LZ4 : JOURNAL_CODEC_NONE);
    fill(2);
    settle();
    load_index(&before);
    for (uint64_t nth = 1; has_fired; nth++) {
        fault_fail(fixture.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC, FAULT_ONCE);
        drop_first();
        has_fired = fault_fired(fixture.fault) > 0;
        failures += has_fired;
        fault_clear(fixture.fault);
        ck_assert(!journal_is_dropping(fixture.journal));
        ck_assert_int_eq(journal_error(fixture.journal), 0);
        expect_index(&before, expect_whole_or_dropped());
    }
    journal_index_finish(&before);
    ck_assert_uint_gt(failures, 10);
    ck_assert_uint_eq(drop.told[1].note, NOTE);
    ck_assert(expect_whole_or_dropped());
}
END_TEST

/* What is to be left is read once to be verified, and then to be written. _i: a frame that stays
 * has changed meanwhile, or the size of one that goes. */
START_TEST(a_segment_that_does_not_read_twice_alike_stays)
{
    struct journal_entry entry;

    open_with(JOURNAL_CODEC_NONE);
    fill(2);
    open_reader();
    do
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    while (_i == 0 && entry.time_ms % KEPT_EVERY != 0);
    ck_assert_int_eq(try_drop(1, fixture.next), 0);
    for (int i = 0; i < 2; i++) /* it is opened, and verified */
        ck_assert_int_eq(journal_wait(fixture.journal), 0);
    damage(entry.position, _i == 0 ? JOURNAL_FRAME_HEADER_BYTES : 0);
    settle();
    ck_assert(!journal_is_dropping(fixture.journal));
    ck_assert_int_eq(journal_drop_error(fixture.journal), -EIO);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak") && !file_exists(1, "pak.new"));
    damage(entry.position, _i == 0 ? JOURNAL_FRAME_HEADER_BYTES : 0);
    drop_first();
    ck_assert_int_eq(journal_drop_error(fixture.journal), 0);
    ck_assert(expect_whole_or_dropped());
}
END_TEST

START_TEST(a_damaged_segment_stays_and_is_told_of)
{
    open_with(JOURNAL_CODEC_NONE);
    fill(2);
    damage(journal_segment_start(1), 20);
    drop_first();
    ck_assert(!journal_is_dropping(fixture.journal));
    ck_assert_int_eq(journal_drop_error(fixture.journal), -EBADMSG);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak"));
}
END_TEST

/* Who makes room must not take the last of it. */
START_TEST(a_disk_without_room_for_a_copy_is_left_alone)
{
    open_with(JOURNAL_CODEC_NONE);
    fill(2);
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + 8192);
    drop_first();
    ck_assert(!journal_is_dropping(fixture.journal));
    ck_assert(!expect_whole_or_dropped());
    ck_assert(!file_exists(1, "pak.new"));
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + 16 * JOURNAL_ROLL_BYTES_MIN);
    drop_first();
    ck_assert(expect_whole_or_dropped());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frames that are dropped");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, what_is_dropped_has_gone_and_all_else_is_there, 0, 3);
    tcase_add_test(cases, what_is_left_can_be_dropped_later);
    tcase_add_loop_test(cases, places_stay_where_they_are, 0, 2);
    tcase_add_test(cases, the_index_tells_of_what_is_left);
    tcase_add_loop_test(cases, who_opens_it_again_does_not_go_through_what_was_dropped, 0, 3);
    tcase_add_test(cases, who_reads_passes_over_what_was_dropped_at_once);
    tcase_add_test(cases, what_has_not_ended_or_must_stay_plain_is_refused);
    tcase_add_loop_test(cases, a_segment_that_is_trimmed_meanwhile_has_gone, 0, 5);
    tcase_add_test(cases, closing_breaks_it_off);
    tcase_add_loop_test(cases, a_crash_at_any_step_leaves_the_segment_whole, 0, 2);
    tcase_add_loop_test(cases, what_fails_leaves_the_segment_as_it_was, 0, 2);
    tcase_add_loop_test(cases, a_segment_that_does_not_read_twice_alike_stays, 0, 2);
    tcase_add_test(cases, a_damaged_segment_stays_and_is_told_of);
    tcase_add_test(cases, a_disk_without_room_for_a_copy_is_left_alone);
    return test_suite_run(suite);
}
