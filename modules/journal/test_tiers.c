/* Segments that have ended move to other directories by age, and are read wherever they are. */
#include "modules/base/clock.h"
#include "modules/base/test_directory.h"
#include "modules/journal/places.h"
#include "modules/journal/test_journal_fixture.h"

#include <inttypes.h>

enum { COOL_AFTER_MS = 1000 * 1000, COLD_AFTER_MS = 2000 * 1000 };

static struct {
    char cool[160], cold[160];
} tiers;

/* Cold is in another file system. */
static void setup_tiers(void)
{
    setup_in_memory();
    (void)snprintf(tiers.cool, sizeof(tiers.cool), "%s/cool", fixture.directory);
    ck_assert_int_eq(mkdir(tiers.cool, 0700), 0);
    test_directory_make(tiers.cold, sizeof(tiers.cold), "/tmp", "cold");
    fixture.options.settings.cool_path = tiers.cool;
    fixture.options.settings.cool_after_ms = COOL_AFTER_MS;
    fixture.options.settings.cold_path = tiers.cold;
    fixture.options.settings.cold_after_ms = COLD_AFTER_MS;
    fixture.is_text = true;
}

static void remove_tier(const char *path)
{
    char name[500];
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir) return;
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') remove_files(name);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void teardown_tiers(void)
{
    fault_clear(fixture.fault);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    (void)journal_close(fixture.journal);
    fixture.journal = NULL;
    remove_tier(tiers.cool);
    remove_tier(tiers.cold);
    teardown();
}

static bool is_in_tier(const char *tier, uint64_t number, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES], file[300];

    journal_file_name(name, number, suffix);
    (void)snprintf(file, sizeof(file), "%s/%016" PRIx64 "/%s", tier, info_now().id, name);
    return access(file, F_OK) == 0;
}

/* As if so much time had passed. */
static void tend_after(uint64_t ms)
{
    journal_tend(fixture.journal, (uint64_t)clock_realtime_ms() + ms);
    settle();
}

static const char *suffix_of(int codec)
{
    return codec == JOURNAL_CODEC_NONE ? "log" : "pak";
}

/* _i is the codec. */
START_TEST(segments_move_by_age_and_are_read_wherever_they_are)
{
    const char *suffix = suffix_of(_i);

    fixture.options.settings.codec = (enum journal_codec)_i;
    open_journal();
    fill_segments(3);
    tend_after(0);
    ck_assert(file_exists(1, suffix) && !is_in_tier(tiers.cool, 1, suffix));
    tend_after(COOL_AFTER_MS + 1);
    for (uint64_t number = 1; number <= 3; number++)
        ck_assert(!file_exists(number, suffix) && is_in_tier(tiers.cool, number, suffix));
    ck_assert(file_exists(4, "log"));
    ck_assert_uint_eq(info_now().moved_count, 3);
    expect_all(1, fixture.next);
    fill_segments(2);
    tend_after(COLD_AFTER_MS + 1);
    for (uint64_t number = 1; number <= 5; number++) {
        ck_assert(!file_exists(number, suffix) && !is_in_tier(tiers.cool, number, suffix));
        ck_assert(is_in_tier(tiers.cold, number, suffix));
    }
    expect_all(1, fixture.next);
    close_journal();
    forget_boot();
    expect_all(1, fixture.next);
    fixture.options.verifies_all = true;
    open_journal();
    ck_assert_uint_eq(fixture.report.start, journal_segment_start(1));
    append_many(10);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(one_tier_alone_will_do)
{
    fixture.options.settings.cool_path = NULL;
    fixture.options.settings.cool_after_ms = 0;
    open_journal();
    fill_segments(2);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert(file_exists(1, "log"));
    tend_after(COLD_AFTER_MS + 1);
    ck_assert(is_in_tier(tiers.cold, 1, "log") && is_in_tier(tiers.cold, 2, "log"));
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_path_may_begin_at_the_journal)
{
    fixture.options.settings.cool_path = "../cool";
    open_journal();
    fill_segments(1);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert(is_in_tier(tiers.cool, 1, "log"));
    close_journal();
    fixture.options.settings.cool_path = "/nowhere"; /* it stays as it was made */
    open_journal();
    expect_all(1, fixture.next);
    ck_assert_str_eq(info_now().settings.cool_path, "../cool");
}
END_TEST

START_TEST(seeking_finds_frames_in_all_tiers)
{
    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    open_journal();
    fill_segments(2);
    tend_after(COLD_AFTER_MS + 1);
    fill_segments(2);
    tend_after(COOL_AFTER_MS + 1);
    fill_segments(2);
    ck_assert(is_in_tier(tiers.cold, 1, "pak") && is_in_tier(tiers.cool, 4, "pak"));
    open_reader();
    for (uint64_t number = fixture.next - 1; number > 0; number -= number > 97 ? 97 : number) {
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
        expect_frames(number, number + 1);
    }
}
END_TEST

/* _i is the codec. */
START_TEST(a_reader_stays_where_it_is_while_its_segment_moves)
{
    fixture.options.settings.codec = (enum journal_codec)_i;
    open_journal();
    fill_segments(2);
    open_reader();
    expect_frames(1, 101);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert(is_in_tier(tiers.cool, 1, suffix_of(_i)));
    expect_frames(101, 201);
    tend_after(COLD_AFTER_MS + 1);
    expect_frames(201, fixture.next);
    expect_end();
}
END_TEST

START_TEST(trimming_removes_from_all_tiers)
{
    open_journal();
    fill_segments(2);
    tend_after(COLD_AFTER_MS + 1);
    fill_segments(2);
    tend_after(COOL_AFTER_MS + 1);
    fill_segments(1);
    journal_trim(fixture.journal, journal_segment_start(4));
    settle();
    ck_assert(!is_in_tier(tiers.cold, 1, "log") && !is_in_tier(tiers.cold, 2, "log"));
    ck_assert(!is_in_tier(tiers.cool, 3, "log") && is_in_tier(tiers.cool, 4, "log"));
    ck_assert_uint_eq(info_now().start, journal_segment_start(4));
    tend_after(COLD_AFTER_MS + 1);
    ck_assert(is_in_tier(tiers.cold, 4, "log") && is_in_tier(tiers.cold, 5, "log"));
}
END_TEST

START_TEST(settings_that_make_no_sense_are_refused)
{
    struct journal_settings good = fixture.options.settings, *settings = &fixture.options.settings;

    settings->cool_after_ms = COLD_AFTER_MS; /* not before cold */
    ck_assert_int_eq(try_open(), -EINVAL);
    *settings = good;
    settings->cool_path = NULL; /* and an age */
    ck_assert_int_eq(try_open(), -EINVAL);
    *settings = good;
    settings->cold_after_ms = 0;
    ck_assert_int_eq(try_open(), -EINVAL);
    *settings = good;
    settings->cold_path = "";
    ck_assert_int_eq(try_open(), -EINVAL);
    *settings = good;
    settings->codec = (enum journal_codec)7;
    ck_assert_int_eq(try_open(), -EINVAL);
    *settings = good;
    open_journal();
}
END_TEST

/* ---- crashes and failures ---------------------------------------------------------------------
 */

/* Of the oldest frame that is there; or the next, if there is none. */
static uint64_t first_number(void)
{
    struct journal_entry entry;
    int rc = journal_reader_next(fixture.reader, &entry);

    ck_assert_int_ge(rc, 0);
    return rc == 1 ? entry.time_ms : fixture.next;
}

static void open_and_tend(void)
{
    if (try_open() == 0) tend_after(COOL_AFTER_MS + 1);
}

/* _i is the codec. */
START_TEST(a_crash_at_any_step_leaves_the_segment_in_one_place_at_least)
{
    const char *suffix = suffix_of(_i);
    unsigned crashes = 0;
    bool has_crashed = true;

    fixture.options.settings.codec = (enum journal_codec)_i;
    for (uint64_t nth = 1; has_crashed; nth++) {
        uint64_t number, first;
        open_journal();
        number = active_number();
        open_reader();
        first = first_number();
        fill_segments(1);
        close_journal();
        has_crashed = crashes_at(nth, open_and_tend);
        crashes += has_crashed;
        open_journal();
        ck_assert_uint_eq(info_now().last_time_ms + 1, fixture.next);
        tend_after(COOL_AFTER_MS + 1);
        ck_assert(is_in_tier(tiers.cool, number, suffix) && !file_exists(number, suffix));
        ck_assert(!is_in_tier(tiers.cool, number, "log.new"));
        ck_assert(!is_in_tier(tiers.cool, number, "pak.new"));
        expect_all(first, fixture.next);
        journal_trim(fixture.journal, journal_segment_start(number + 1));
        settle();
        close_journal();
    }
    ck_assert_uint_gt(crashes, 20);
}
END_TEST

/* _i is the error. Each call of writing, packing and moving fails once; what is synced stays, and
 * afterwards all is done that was to be done. */
START_TEST(every_system_call_may_fail_once_each_way)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM };
    unsigned failures = 0;
    bool has_fired = true;

    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    for (uint64_t nth = 1; has_fired; nth++) {
        uint64_t number, first;
        open_journal();
        number = active_number();
        open_reader();
        first = first_number();
        fault_fail(fixture.fault, FAULT_ANY, nth, errors[_i], FAULT_ONCE);
        while (active_number() == number && journal_error(fixture.journal) == 0) {
            int rc = append_next();
            ck_assert(rc == 0 || rc == -errors[_i]);
        }
        journal_sync(fixture.journal);
        settle();
        tend_after(COOL_AFTER_MS + 1);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        failures += info_now().tend_error < 0;
        (void)journal_close(fixture.journal);
        fixture.journal = NULL;
        open_journal();
        fixture.next = info_now().last_time_ms + 1; /* a failed sync may have cost the last */
        fill_segments(1);
        tend_after(COOL_AFTER_MS + 2);
        ck_assert_int_eq(info_now().tend_error, 0);
        ck_assert(is_in_tier(tiers.cool, number, "pak") && !file_exists(number, "log"));
        expect_all(first, fixture.next);
        journal_trim(fixture.journal, journal_segment_start(number + 1));
        settle();
        close_journal();
    }
    ck_assert_uint_gt(failures, 20);
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    fault_limit_transfer(fixture.fault, 1000);
    fixture.options.settings.codec = JOURNAL_CODEC_ZSTD;
    open_journal();
    fill_segments(2);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert(is_in_tier(tiers.cool, 1, "pak") && is_in_tier(tiers.cool, 2, "pak"));
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_full_tier_keeps_segments_where_they_are)
{
    open_journal();
    fill_segments(2);
    fault_fail(fixture.fault, FAULT_PWRITE, 1, ENOSPC, FAULT_FROM_THEN_ON);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert_int_eq(info_now().tend_error, -ENOSPC);
    ck_assert(file_exists(1, "log") && !is_in_tier(tiers.cool, 1, "log.new"));
    expect_all(1, fixture.next);
    fault_clear(fixture.fault);
    tend_after(COOL_AFTER_MS + 2);
    ck_assert_int_eq(info_now().tend_error, 0);
    ck_assert(is_in_tier(tiers.cool, 1, "log") && is_in_tier(tiers.cool, 2, "log"));
}
END_TEST

START_TEST(a_copy_that_went_wrong_is_not_used)
{
    open_journal();
    fill_segments(1);
    fault_flip(fixture.fault, 3, 5000, 4, FAULT_ONCE); /* after two headers, for its age */
    tend_after(COOL_AFTER_MS + 1);
    ck_assert_int_eq(info_now().tend_error, -EIO);
    ck_assert(file_exists(1, "log") && !is_in_tier(tiers.cool, 1, "log"));
    expect_all(1, fixture.next);
    tend_after(COOL_AFTER_MS + 2);
    ck_assert(is_in_tier(tiers.cool, 1, "log"));
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_tier_that_is_not_there_keeps_segments_where_they_are)
{
    fixture.options.settings.cool_path = "/nowhere/at/all";
    open_journal();
    fill_segments(1);
    tend_after(COOL_AFTER_MS + 1);
    ck_assert_int_eq(info_now().tend_error, -ENOENT);
    ck_assert(file_exists(1, "log"));
    expect_all(1, fixture.next);
    fill_segments(1);
    expect_all(1, fixture.next);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tiers");
    TCase *cases = test_suite_case(suite, "all", setup_tiers, teardown_tiers);

    tcase_add_loop_test(cases, segments_move_by_age_and_are_read_wherever_they_are, 0, 3);
    tcase_add_test(cases, one_tier_alone_will_do);
    tcase_add_test(cases, a_path_may_begin_at_the_journal);
    tcase_add_test(cases, seeking_finds_frames_in_all_tiers);
    tcase_add_loop_test(cases, a_reader_stays_where_it_is_while_its_segment_moves, 0, 2);
    tcase_add_test(cases, trimming_removes_from_all_tiers);
    tcase_add_test(cases, settings_that_make_no_sense_are_refused);
    tcase_add_loop_test(cases, a_crash_at_any_step_leaves_the_segment_in_one_place_at_least, 0, 2);
    tcase_add_loop_test(cases, every_system_call_may_fail_once_each_way, 0, 3);
    tcase_add_test(cases, short_transfers_do_not_matter);
    tcase_add_test(cases, a_full_tier_keeps_segments_where_they_are);
    tcase_add_test(cases, a_copy_that_went_wrong_is_not_used);
    tcase_add_test(cases, a_tier_that_is_not_there_keeps_segments_where_they_are);
    return test_suite_run(suite);
}
