/* A meta that is lost takes with it what was settled when the journal was made: segments tell some
 * of it, the rest is as usual, and where that would be wrong the journal is refused. */
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/journal/mend.h"
#include "modules/journal/test_key_fixture.h"
#include "modules/journal/test_writers_fixture.h"

static char *file_in(const char *directory, const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static int mend(void)
{
    return journal_mend_meta(fault_os(fixture.fault), fixture.path, 0, &fixture.report);
}

static void lose_meta(void)
{
    ck_assert_int_eq(unlink(file_in(fixture.path, "meta")), 0);
}

static void close_and_lose_meta(void)
{
    close_journal();
    lose_meta();
}

static void expect_settings(uint64_t roll_bytes)
{
    struct journal_settings now = info_now().settings;

    ck_assert_uint_eq(now.roll_bytes, roll_bytes);
    ck_assert_uint_eq(now.roll_ms, 0);
    ck_assert(!now.has_several_writers);
    ck_assert_int_eq(now.codec, JOURNAL_CODEC_NONE);
    ck_assert(!now.cool_path && !now.cold_path && !now.key_path);
    ck_assert_uint_eq(now.cool_after_ms + now.cold_after_ms, 0);
}

/* It is mended, opens whatever the caller would have it made like, holds [first, next), goes on. */
static void expect_mended(uint64_t first, uint64_t roll_bytes)
{
    ck_assert_int_eq(mend(), 0);
    fixture.options.verifies_all = true;
    fixture.options.refuses_tail = true;
    open_journal();
    expect_settings(roll_bytes);
    expect_all(first, fixture.next);
    fill_segments(2);
    close_journal();
    open_journal();
    expect_all(first, fixture.next);
}

/* Nothing has been changed. */
static void expect_refused(const char *text)
{
    ck_assert_int_eq(mend(), -EBADMSG);
    ck_assert_msg(strstr(fixture.report.text, text) != NULL, "%s", fixture.report.text);
    ck_assert_int_eq(access(file_in(fixture.path, "meta"), F_OK), -1);
    ck_assert_int_eq(access(file_in(fixture.path, "meta.new"), F_OK), -1);
}

/* ---- what segments tell -----------------------------------------------------------------------
 */

START_TEST(segments_tell_how_large_they_may_grow)
{
    fixture.options.settings.roll_bytes = 4 * JOURNAL_ROLL_BYTES_MIN;
    open_journal();
    append_many(3000);
    close_and_lose_meta();
    expect_mended(1, 4 * JOURNAL_ROLL_BYTES_MIN);
}
END_TEST

/* ---- what they do not -------------------------------------------------------------------------
 */

enum { LARGE_ROLL_BYTES = 16 << 20 };

/* The next segment is made meanwhile. */
static void append_slowly(uint64_t count)
{
    for (uint64_t i = 0; i < count; i += 100) {
        append_many(100);
        settle();
    }
}

START_TEST(rolling_by_time_ends)
{
    fixture.options.settings.roll_bytes = LARGE_ROLL_BYTES;
    fixture.options.settings.roll_ms = 1000;
    open_journal();
    append_slowly(2500);
    ck_assert_uint_eq(active_number(), 3); /* times are numbers */
    close_and_lose_meta();
    ck_assert_int_eq(mend(), 0);
    open_journal();
    expect_settings(LARGE_ROLL_BYTES);
    append_slowly(2000);
    sync_all();
    ck_assert_uint_eq(active_number(), 3);
    expect_all(1, 4501);
}
END_TEST

/* Bits of _i: compressed, encrypted. Segments that end from now on are neither. */
START_TEST(packing_ends_if_nothing_was_packed)
{
    if (_i & 1) fixture.options.settings.codec = JOURNAL_CODEC_ZSTD;
    if (_i & 2) use_key(SOME_KEY);
    open_journal();
    append_many(100);
    close_and_lose_meta();
    expect_mended(1, JOURNAL_ROLL_BYTES_MIN);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak"));
    if (_i & 2) remove_key();
}
END_TEST

/* How, and with which key, nobody knows any more. */
START_TEST(what_was_packed_is_refused)
{
    fixture.is_text = true;
    if (_i & 1) fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    if (_i & 2) use_key(SOME_KEY);
    open_journal();
    fill_segments(2);
    ck_assert(file_exists(1, "pak"));
    close_and_lose_meta();
    expect_refused("segment 1 is not whole, or packed, or not of this journal");
    if (_i & 2) remove_key();
}
END_TEST

/* ---- moved ------------------------------------------------------------------------------------
 */

static void remove_tier(const char *path)
{
    char name[500];
    struct dirent *entry;
    DIR *dir = opendir(path);

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') remove_files(name);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(path), 0);
}

/* As if what was moved had been trimmed: there is nothing left that tells the two apart. */
START_TEST(the_journal_begins_behind_what_was_moved)
{
    struct journal_entry entry = { 0 };
    char cool[160];
    uint64_t start;

    (void)snprintf(cool, sizeof(cool), "%s/cool", fixture.directory);
    ck_assert_int_eq(mkdir(cool, 0700), 0);
    fixture.options.settings.cool_path = cool;
    fixture.options.settings.cool_after_ms = 1000;
    open_journal();
    fill_segments(3);
    journal_tend(fixture.journal, UINT64_MAX / 2);
    settle();
    ck_assert(!file_exists(1, "log"));
    expect_all(1, fixture.next);
    for (start = 1; !file_exists(start, "log"); start++) {}
    open_reader();
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, journal_segment_start(start)), 0);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    close_and_lose_meta();
    expect_mended(entry.time_ms, JOURNAL_ROLL_BYTES_MIN);
    ck_assert_uint_eq(fixture.report.start, journal_segment_start(start));
    remove_tier(cool);
}
END_TEST

/* ---- several writers --------------------------------------------------------------------------
 */

static uint64_t write_as_several(void)
{
    struct journal_writer *writer = open_writer();
    uint64_t end;

    ck_assert_ptr_nonnull(writer);
    for (uint64_t number = 1; number <= 50; number++)
        ck_assert_int_eq(append_as(writer, 1, number), 0);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    end = journal_writer_published(writer);
    journal_writer_close(writer);
    lose_meta();
    return end;
}

/* One may go on writing it; those who were several are told. */
START_TEST(what_several_wrote_is_of_one_from_then_on)
{
    struct journal_report report;
    struct journal_writer *writer;
    struct journal_entry entry;

    (void)write_as_several();
    ck_assert_int_eq(mend(), 0);
    ck_assert_int_eq(journal_writer_open(os_real(), fixture.path, &settings, &report, &writer),
                     -EINVAL);
    open_journal();
    expect_settings(JOURNAL_ROLL_BYTES_MIN);
    open_reader();
    for (uint64_t number = 1; number <= 50; number++) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        ck_assert_uint_eq(entry.time_ms, number);
    }
    expect_end();
}
END_TEST

/* Somebody died before he had filled it: what lies behind it may count. */
START_TEST(what_was_claimed_is_no_tail)
{
    uint64_t end = write_as_several();
    uint8_t word[4];
    int fd = open_file(journal_segment_of(end), "log");

    store_u32le(word, journal_word(JOURNAL_CLAIMED, 100));
    ck_assert_int_eq(pwrite(fd, word, sizeof(word), (off_t)journal_offset_of(end)), sizeof(word));
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(mend(), 0);
    ck_assert_uint_eq(fixture.report.end, end);
    ck_assert_uint_gt(fixture.report.synced_position, end);
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert_int_eq(journal_mend_cut(fault_os(fixture.fault), fixture.path, 0, &fixture.report),
                     0);
    open_journal();
    ck_assert_uint_eq(journal_appended(fixture.journal), end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings of journals whose meta is lost");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_test(cases, segments_tell_how_large_they_may_grow);
    tcase_add_test(cases, rolling_by_time_ends);
    tcase_add_loop_test(cases, packing_ends_if_nothing_was_packed, 0, 4);
    tcase_add_loop_test(cases, what_was_packed_is_refused, 1, 4);
    tcase_add_test(cases, the_journal_begins_behind_what_was_moved);
    tcase_add_test(cases, what_several_wrote_is_of_one_from_then_on);
    tcase_add_test(cases, what_was_claimed_is_no_tail);
    return test_suite_run(suite);
}
