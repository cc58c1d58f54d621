/* Indexes that are made anew, journals that go on beside one that has failed, removing them, and
 * room that stays in memory. */
#include "modules/base/clock.h"
#include "modules/journal/index.h"
#include "modules/journal/test_journal_fixture.h"

enum { ROLL_BYTES = 1 << 20 }; /* several index entries */

/* ---- indexes ----------------------------------------------------------------------------------
 */

static void load_index(uint64_t number, struct journal_index *index)
{
    uint32_t seed = journal_seed(info_now().id, number);

    *index = (struct journal_index){ 0 };
    ck_assert_int_eq(journal_index_load(os_real(), fixture.path, number, seed, index), 0);
}

static void cut_file(uint64_t number, const char *suffix, uint64_t size)
{
    int fd = open_file(number, suffix);

    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

/* Closed, with something done to the first segment's index, and opened: as it was. _i is what. */
START_TEST(an_index_that_is_not_whole_is_made_anew)
{
    struct journal_index before, after;

    fixture.options.settings.roll_bytes = ROLL_BYTES;
    fixture.options.settings.codec = _i / 4 ? JOURNAL_CODEC_LZ4 : JOURNAL_CODEC_NONE;
    open_journal();
    fill_segments(2);
    load_index(1, &before);
    ck_assert_uint_gt(before.count, 10);
    close_journal();
    switch (_i % 4) {
    case 0:
        cut_file(1, "idx", 3 * JOURNAL_INDEX_ENTRY_BYTES);
        break;
    case 1:
        cut_file(1, "idx", 0);
        break;
    case 2:
        flip_byte(1, "idx", 5 * JOURNAL_INDEX_ENTRY_BYTES + 9);
        break;
    default: /* of the last entry: only the frames behind it tell that it is missing */
        flip_byte(1, "idx", before.count * JOURNAL_INDEX_ENTRY_BYTES - 1);
        break;
    }
    open_journal();
    settle();
    ck_assert_uint_eq(info_now().reindexed_count, 1);
    load_index(1, &after);
    ck_assert(journal_index_equal(&before, &after));
    journal_index_finish(&before);
    journal_index_finish(&after);
    close_journal();
    open_journal();
    settle();
    ck_assert_uint_eq(info_now().reindexed_count, 0);
}
END_TEST

START_TEST(an_index_that_could_not_be_written_is_made_up_for)
{
    struct journal_index index;

    fixture.options.settings.roll_bytes = ROLL_BYTES;
    open_journal();
    while (active_number() == 1)
        append_many(1);
    fault_fail(fixture.fault, FAULT_PWRITE, 1, EIO, FAULT_ONCE); /* when the segment is synced */
    settle();
    ck_assert_uint_eq(info_now().index_error_count, 1);
    ck_assert_uint_eq(info_now().reindexed_count, 1);
    ck_assert_int_eq(journal_error(fixture.journal), 0);
    load_index(1, &index);
    ck_assert_uint_gt(index.count, 10);
    journal_index_finish(&index);
}
END_TEST

/* ---- going on beside --------------------------------------------------------------------------
 */

START_TEST(after_a_failed_sync_another_journal_goes_on_with_greater_positions)
{
    struct journal *failed;
    char path[120];
    uint64_t last, position;
    struct slice part = SLICE_LITERAL("first of the other");

    open_journal();
    fill_segments(3);
    fault_fail(fixture.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    append_many(1);
    journal_sync(fixture.journal);
    settle();
    ck_assert_int_eq(journal_error(fixture.journal), -EIO);
    last = journal_appended(fixture.journal);
    failed = fixture.journal;
    (void)snprintf(path, sizeof(path), "%s-2", fixture.path);
    fixture.options.path = path;
    fixture.options.starts_above = last;
    open_journal();
    ck_assert_uint_gt(fixture.report.start, last);
    ck_assert_int_eq(journal_append(fixture.journal, 1, 0, &part, 1, &position), 0);
    ck_assert_uint_gt(position, last);
    fixture.next = 2;
    fill_segments(2);
    close_journal();
    fixture.options.starts_above = 0; /* it is what it is */
    open_journal();
    ck_assert_uint_gt(fixture.report.start, last);
    ck_assert_uint_eq(info_now().start, fixture.report.start);
    close_journal();
    ck_assert_int_eq(journal_close(failed), -EIO);
    ck_assert_int_eq(journal_remove(os_real(), path), 0);
    ck_assert_int_eq(access(path, F_OK), -1);
    fixture.options.path = fixture.path;
}
END_TEST

START_TEST(what_begins_in_memory_may_begin_above_a_position_too)
{
    const uint64_t above = journal_segment_start(7) + 100;

    fixture.options.starts_in_memory = true;
    fixture.options.starts_above = above;
    open_journal();
    ck_assert_uint_eq(info_now().start, journal_segment_start(8));
    append_many(3);
    journal_move_to_file(fixture.journal);
    settle();
    ck_assert(!journal_is_in_memory(fixture.journal));
    ck_assert(!journal_is_busy(fixture.journal));
    fill_segments(2);
    close_journal();
    fixture.options.starts_above = 0;
    open_journal();
    ck_assert_uint_eq(fixture.report.start, journal_segment_start(8));
    expect_all(1, fixture.next);
    close_journal();
}
END_TEST

/* ---- removing ---------------------------------------------------------------------------------
 */

static void make_tiers(void)
{
    char cold[160];

    (void)snprintf(cold, sizeof(cold), "%s/cold", fixture.directory);
    ck_assert_int_eq(mkdir(cold, 0700), 0);
    fixture.options.settings.cold_path = "../cold";
    fixture.options.settings.cold_after_ms = 1000;
    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    fixture.is_text = true;
}

/* As teardown needs it: the journal's directory is there. */
static void end_tiers(void)
{
    char cold[160];

    (void)snprintf(cold, sizeof(cold), "%s/cold", fixture.directory);
    ck_assert_int_eq(rmdir(cold), 0); /* nothing of the journal is left in it */
    ck_assert_int_eq(mkdir(fixture.path, 0700), 0);
}

static void fill_tiers(void)
{
    open_journal();
    fill_segments(3);
    journal_tend(fixture.journal, (uint64_t)clock_realtime_ms() + 2000);
    settle();
    fill_segments(2);
    open_reader();
    ck_assert_int_eq(journal_reader_take_name(fixture.reader, "somebody"), 0);
    ck_assert_int_eq(journal_reader_keep(fixture.reader, false), 0);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}

START_TEST(removing_leaves_nothing)
{
    make_tiers();
    fill_tiers();
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), -EWOULDBLOCK);
    close_journal();
    expect_all(1, fixture.next);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), 0);
    ck_assert_int_eq(access(fixture.path, F_OK), -1);
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), -ENOENT);
    end_tiers();
}
END_TEST

static void remove_it(void)
{
    (void)journal_remove(fault_os(fixture.fault), fixture.path);
}

START_TEST(removing_that_was_broken_off_is_ended_by_the_next)
{
    bool has_crashed = true;
    unsigned crashes = 0;

    make_tiers();
    for (uint64_t nth = 1; has_crashed; nth++) {
        int rc;
        fill_tiers();
        close_journal();
        has_crashed = crashes_at(nth, remove_it);
        crashes += has_crashed;
        rc = journal_remove(os_real(), fixture.path);
        ck_assert_msg(rc == 0 || rc == -ENOENT, "%d", rc);
        ck_assert_int_eq(access(fixture.path, F_OK), -1);
        fixture.next = 1;
    }
    ck_assert_uint_gt(crashes, 30);
    end_tiers();
}
END_TEST

/* A crash while the journal was made: its settings have no name yet. */
START_TEST(what_was_not_made_to_its_end_is_removed)
{
    char path[160];
    FILE *file;

    ck_assert_int_eq(mkdir(fixture.path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/meta.new", fixture.path);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), 0);
    ck_assert_int_eq(access(fixture.path, F_OK), -1);
}
END_TEST

/* The power went before a journal was synced for the first time: its names are there, or not, and
 * what is in its files. */
START_TEST(what_was_never_synced_is_removed)
{
    char path[160];

    ck_assert_int_eq(try_open(), 0);
    append_many(100);
    close_journal();
    (void)snprintf(path, sizeof(path), "%s/meta", fixture.path);
    ck_assert_int_eq(_i == 0 ? unlink(path) : truncate(path, _i == 1 ? 0 : 8000), 0);
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), 0);
    ck_assert_int_eq(access(fixture.path, F_OK), -1);
}
END_TEST

/* ---- room that stays in memory ----------------------------------------------------------------
 */

enum { WATCHED_BYTES = 16 << 20, PAGE_BYTES = 4096, WATCHED_PAGES = WATCHED_BYTES / PAGE_BYTES };

/* Which pages of the segment are kept in memory, as far as the journal has said. */
static struct {
    const uint8_t *map; /* of the segment */
    bool is_pinned[WATCHED_PAGES];
    bool is_refused;
} watch;

static void *map_watched(struct os *os, int fd, size_t size, int protection, uint64_t offset,
                         int *out_rc)
{
    void *address = os_real()->map(os, fd, size, protection, offset, out_rc);

    if (size == WATCHED_BYTES && !watch.map) watch.map = address;
    return address;
}

static void note_pages(const void *address, size_t size, bool is_pinned)
{
    const uint8_t *bytes = address;
    size_t from, end;

    if (!watch.map || bytes < watch.map || bytes >= watch.map + WATCHED_BYTES) return; /* meta */
    from = (size_t)(bytes - watch.map) / PAGE_BYTES;
    end = from + size / PAGE_BYTES;
    ck_assert_uint_le(end, WATCHED_PAGES);
    for (size_t page = from; page < end; page++) {
        ck_assert(watch.is_pinned[page] != is_pinned); /* once each */
        watch.is_pinned[page] = is_pinned;
    }
}

static int pin_watched(struct os *os, void *address, size_t size)
{
    (void)os;
    if (watch.is_refused) return -ENOMEM;
    note_pages(address, size, true);
    return 0;
}

static int unpin_watched(struct os *os, void *address, size_t size)
{
    (void)os;
    note_pages(address, size, false);
    return 0;
}

/* Where the next frames go is kept, if anything is; and little of where they went. */
static void expect_pinned(bool is_pinned)
{
    uint64_t page = journal_offset_of(journal_appended(fixture.journal)) / PAGE_BYTES, count = 0;

    ck_assert(watch.is_pinned[page] == is_pinned);
    ck_assert(watch.is_pinned[page + 1] == is_pinned);
    for (size_t i = 0; i < WATCHED_PAGES; i++)
        count += watch.is_pinned[i];
    ck_assert_uint_le(count * PAGE_BYTES, 2 * (uint64_t)JOURNAL_AHEAD_BYTES_MAX);
}

/* Most of a segment; the pages that it goes into are pinned, or not, all the time. */
static void append_watched(bool is_pinned)
{
    struct os os = *os_real();

    os.map = map_watched;
    os.pin = pin_watched;
    os.unpin = unpin_watched;
    io_destroy(fixture.io);
    ck_assert_int_eq(io_create(&os, 0, &fixture.io), 0);
    fixture.options.settings.roll_bytes = WATCHED_BYTES;
    ck_assert_int_eq(
        journal_open(&os, fixture.io, &fixture.options, &fixture.report, &fixture.journal), 0);
    while (journal_offset_of(journal_appended(fixture.journal)) < WATCHED_BYTES / 4 * 3) {
        append_many(500);
        settle();
        expect_pinned(is_pinned);
    }
    sync_all();
    close_journal();
    io_destroy(fixture.io);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
    expect_all(1, fixture.next);
}

START_TEST(room_ahead_stays_in_memory_if_that_is_wanted)
{
    memset(&watch, 0, sizeof(watch));
    fixture.options.pins_room = _i == 1;
    append_watched(_i == 1);
}
END_TEST

START_TEST(a_journal_goes_on_where_no_room_may_be_kept_in_memory)
{
    memset(&watch, 0, sizeof(watch));
    watch.is_refused = true;
    fixture.options.pins_room = true;
    append_watched(false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upkeep of journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, an_index_that_is_not_whole_is_made_anew, 0, 8);
    tcase_add_test(cases, an_index_that_could_not_be_written_is_made_up_for);
    tcase_add_test(cases, after_a_failed_sync_another_journal_goes_on_with_greater_positions);
    tcase_add_test(cases, what_begins_in_memory_may_begin_above_a_position_too);
    tcase_add_test(cases, removing_leaves_nothing);
    tcase_add_test(cases, removing_that_was_broken_off_is_ended_by_the_next);
    tcase_add_test(cases, what_was_not_made_to_its_end_is_removed);
    tcase_add_loop_test(cases, what_was_never_synced_is_removed, 0, 3);
    tcase_add_loop_test(cases, room_ahead_stays_in_memory_if_that_is_wanted, 0, 2);
    tcase_add_test(cases, a_journal_goes_on_where_no_room_may_be_kept_in_memory);
    return test_suite_run(suite);
}
