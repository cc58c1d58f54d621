/* A journal that is told where to end: what follows is cut, however right and however synced, and
 * whatever was noted of it is not missed afterwards. */
#include "modules/base/test_suite.h"
#include "modules/journal/index.h"
#include "modules/journal/segment.h"
#include "modules/journal/test_power_fixture.h"

/* ---- frames -----------------------------------------------------------------------------------
 */

enum { FRAMES = 2000 };

/* Where frame n begins: positions[n]; of the next one, where it would. */
static uint64_t positions[FRAMES + 2];

static void append_noting(uint64_t end)
{
    while (fixture.next < end) {
        uint64_t number = fixture.next;
        append_many(1);
        positions[number] = journal_appended(fixture.journal);
        if (number % 37 == 0) sync_all();
    }
}

/* positions[n] was the end behind frame n; a frame that rolled begins elsewhere than that. */
static void make_frames(void)
{
    fixture.next = 1;
    append_noting(FRAMES + 1);
    sync_all();
}

static void reopen_until(uint64_t position)
{
    if (fixture.journal) close_journal();
    fixture.options.ends_at = position;
    open_journal();
    fixture.options.ends_at = 0;
    ck_assert_uint_eq(journal_appended(fixture.journal), position);
    ck_assert_uint_eq(journal_synced(fixture.journal), position);
}

static void go_on_to(uint64_t from, uint64_t to)
{
    fixture.next = from;
    append_many(to - from);
    sync_all();
    expect_all(1, to);
}

START_TEST(it_ends_where_it_is_told_and_goes_on)
{
    fixture.options.way = (enum journal_way)(_i % 2);
    fixture.options.verifies_all = _i / 2;
    open_journal();
    make_frames();
    for (uint64_t last = FRAMES; last > 0; last -= last > 97 ? 97 : last) {
        reopen_until(positions[last]);
        expect_all(1, last + 1);
        go_on_to(last + 1, last + 20);
        close_journal();
        open_journal(); /* and nobody misses what was cut */
        expect_all(1, last + 20);
        ck_assert_uint_eq(fixture.report.cut_bytes, 0);
    }
}
END_TEST

START_TEST(it_is_set_back_to_before_its_first_frame)
{
    uint64_t start;

    open_journal();
    start = journal_appended(fixture.journal);
    make_frames();
    reopen_until(start);
    expect_all(1, 1);
    go_on_to(1, 30);
}
END_TEST

/* A segment has ended: where its END is, and where the next one begins. */
START_TEST(it_ends_at_either_side_of_a_segments_end)
{
    uint64_t last = 1, start;

    open_journal();
    make_frames();
    while (journal_segment_of(positions[last + 1]) == 1)
        last++;
    start = journal_segment_start(2);
    reopen_until(start);
    expect_all(1, last + 1);
    go_on_to(last + 1, last + 300);
    reopen_until(start);
    ck_assert_int_eq(journal_close(fixture.journal), 0);
    fixture.journal = NULL;
    fixture.options.ends_at = start; /* its file has gone: it is made anew */
    ck_assert_int_eq(journal_segment_remove(os_real(), fixture.path, 2), 0);
    open_journal();
    expect_all(1, last + 1);
    go_on_to(last + 1, last + 300);
    reopen_until(positions[last]);
    expect_all(1, last + 1);
    go_on_to(last + 1, last + 300);
}
END_TEST

START_TEST(where_no_frame_begins_it_does_not_end)
{
    static const int64_t strays[] = { 8, 16, -8, 4096 };

    open_journal();
    make_frames();
    close_journal();
    for (size_t i = 0; i < sizeof(strays) / sizeof(*strays); i++) {
        fixture.options.ends_at = positions[500] + (uint64_t)strays[i];
        if (fixture.options.ends_at == positions[501]) continue;
        ck_assert_int_eq(try_open(), -EBADMSG);
        ck_assert_msg(strstr(fixture.report.text, "to end at ") != NULL, "%s", fixture.report.text);
    }
    fixture.options.ends_at = 0;
    open_journal();
    expect_all(1, FRAMES + 1);
}
END_TEST

START_TEST(one_that_ends_before_is_refused_and_left_alone)
{
    uint64_t end;

    open_journal();
    make_frames();
    end = journal_appended(fixture.journal);
    close_journal();
    fixture.options.ends_at = end + 64;
    ck_assert_int_eq(try_open(), -EBADMSG);
    fixture.options.ends_at = journal_segment_start(journal_segment_of(end) + 1);
    ck_assert_int_eq(try_open(), -EBADMSG);
    fixture.options.ends_at = journal_segment_start(journal_segment_of(end) + 5);
    ck_assert_int_eq(try_open(), -EBADMSG);
    fixture.options.ends_at = positions[1800];
    damage(positions[1790], 30);
    ck_assert_int_eq(try_open(), -EBADMSG);
    damage(positions[1790], 30);
    fixture.options.ends_at = end;
    open_journal();
    expect_all(1, FRAMES + 1);
}
END_TEST

START_TEST(one_that_is_not_there_is_not_made)
{
    fixture.options.ends_at = journal_segment_start(1);
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert_str_eq(fixture.report.text, "it is not there");
    ck_assert_int_ne(access(fixture.path, F_OK), 0);
    fixture.options.ends_at = 0;
    open_journal(); /* for the teardown */
}
END_TEST

START_TEST(what_contradicts_itself_is_refused)
{
    open_journal();
    make_frames();
    close_journal();
    fixture.options.ends_at = positions[100];
    fixture.options.refuses_tail = true;
    ck_assert_int_eq(try_open(), -EINVAL);
    fixture.options.refuses_tail = false;
    fixture.options.synced_position = positions[200];
    ck_assert_int_eq(try_open(), -EINVAL);
}
END_TEST

/* Segments from there on stay as they are, and one that was packed before is no place to end. */
START_TEST(what_it_may_be_told_to_end_in_stays_plain)
{
    uint64_t number;

    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    fixture.is_text = true;
    open_journal();
    fill_segments(2);
    number = active_number();
    journal_keep_plain(fixture.journal, journal_appended(fixture.journal));
    fill_segments(3);
    ck_assert(file_exists(number - 1, "pak"));
    for (uint64_t n = number; n < active_number(); n++)
        ck_assert(file_exists(n, "log") && !file_exists(n, "pak"));
    journal_keep_plain(fixture.journal, UINT64_MAX);
    settle();
    ck_assert(file_exists(number, "pak"));
    close_journal();
    fixture.options.ends_at = journal_segment_start(number);
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

static uint64_t read_count(void)
{
    return fault_count(fixture.fault, FAULT_PREAD);
}

/* _i: the index is whole; is missing; leads where no frame begins. */
START_TEST(it_is_opened_from_an_index_point_on)
{
    static const uint64_t wrong[] = { 70008, 140016, 210024 };
    struct journal_index index = { 0 };
    uint64_t before, position;
    uint32_t seed;

    fixture.options.settings.roll_bytes = 4 << 20;
    open_journal();
    append_many(6000);
    sync_all();
    position = journal_appended(fixture.journal);
    ck_assert_uint_eq(active_number(), 1);
    append_many(5);
    sync_all();
    for (size_t i = 0; i < 3; i++)
        journal_index_add(&index, wrong[i], i, 0);
    if (_i == 1) index.count = 0;
    seed = journal_seed(info_now().id, 1);
    close_journal();
    if (_i > 0) {
        ck_assert_int_eq(journal_index_write(os_real(), fixture.path, 1, seed, &index, 0), 0);
    }
    journal_index_finish(&index);
    before = read_count();
    reopen_until(position);
    /* In windows of 256 KiB. */
    if (_i == 0) ck_assert_uint_le(read_count() - before, 8);
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, _i > 0);
    expect_all(1, 6001);
    go_on_to(6001, 6100);
    close_journal();
    open_journal();
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, 0);
}
END_TEST

/* ---- loss of power ----------------------------------------------------------------------------
 */

static uint64_t kept_end, kept_next; /* where it is set back to */

/* Who is told where it ends finds what is to be found, and then everybody does. */
static const char *check_directory(const char *directory, bool is_done)
{
    const char *path = path_below(directory, "j");
    struct journal_options options = fixture.options;
    struct journal_report report;
    struct journal *journal;
    struct found found;

    if (is_done && !read_all(path, &found)) return "reading fails when it was done";
    if (is_done && found.next != kept_next) return "it ends elsewhere when it was done";
    options.path = path;
    options.verifies_all = true;
    options.ends_at = kept_end;
    if (journal_open(os_real(), power.after_io, &options, &report, &journal) < 0) {
        return "setting it back fails";
    }
    if (journal_close(journal) < 0) return "closing fails";
    forget_boot_of(directory);
    if (!read_all(path, &found)) return "reading fails";
    return found.first == 1 && found.next == kept_next ? NULL : "it ends elsewhere";
}

static int check_state(void *context, const struct power_state *state)
{
    const char *why;

    (void)context;
    forget_boot_of(state->directory);
    why = check_directory(state->directory, state->marks[MARK_SYNCED] > 0);
    return why ? states_wrong(state, why) : 0;
}

/* _i: the way, and how far it goes back. */
START_TEST(the_power_goes_while_it_is_set_back)
{
    static const uint64_t kept[] = { 1990, 1500, 700, 20 };
    struct power_figures figures;

    fixture.options.way = (enum journal_way)(_i % 2);
    kept_next = kept[_i / 2];
    open_journal();
    make_frames();
    close_journal();
    /* The record begins with what is on the device by now. */
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    record_destroy(power.record);
    ck_assert_int_eq(record_create(os_real(), power.work, RECORD_BYTES, &power.record), 0);
    ck_assert_int_eq(fault_create(record_os(power.record), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
    kept_end = positions[kept_next - 1];
    reopen_until(kept_end);
    record_mark(power.record, MARK_SYNCED, kept_next);
    close_journal();
    ck_assert_int_eq(walk(soak_seed(), check_state, &figures), 0);
    ck_assert_uint_gt(figures.checked_count, 5);
}
END_TEST

/* ---- failures ---------------------------------------------------------------------------------
 */

/* Each system call fails: it is not open then, and the next attempt makes it right. */
START_TEST(each_call_of_setting_it_back_fails)
{
    bool has_fired = true;
    uint64_t failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        open_journal();
        if (fixture.next == 1) make_frames();
        close_journal();
        fixture.options.ends_at = positions[300];
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        if (try_open() < 0) {
            failures++;
            fault_clear(fixture.fault);
            open_journal();
            has_fired = true;
        } else {
            has_fired = fault_fired(fixture.fault) > 0;
            fault_clear(fixture.fault);
        }
        fixture.options.ends_at = 0;
        ck_assert_uint_eq(journal_appended(fixture.journal), positions[300]);
        expect_all(1, 301);
        fixture.next = 301;
        append_many(700);
        sync_all();
        close_journal();
    }
    ck_assert_uint_gt(failures, 10);
    open_journal();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal: set back");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);
    TCase *power_cases = test_suite_case(suite, "power", setup_power, teardown_power);

    tcase_add_loop_test(cases, it_ends_where_it_is_told_and_goes_on, 0, 4);
    tcase_add_test(cases, it_is_set_back_to_before_its_first_frame);
    tcase_add_test(cases, it_ends_at_either_side_of_a_segments_end);
    tcase_add_test(cases, where_no_frame_begins_it_does_not_end);
    tcase_add_test(cases, one_that_ends_before_is_refused_and_left_alone);
    tcase_add_test(cases, one_that_is_not_there_is_not_made);
    tcase_add_test(cases, what_contradicts_itself_is_refused);
    tcase_add_test(cases, what_it_may_be_told_to_end_in_stays_plain);
    tcase_add_loop_test(cases, it_is_opened_from_an_index_point_on, 0, 3);
    tcase_add_test(cases, each_call_of_setting_it_back_fails);
    tcase_add_loop_test(power_cases, the_power_goes_while_it_is_set_back, 0, 8);
    return test_suite_run(suite);
}
