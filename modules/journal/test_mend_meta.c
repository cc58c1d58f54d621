/* A meta that is lost or damaged is made anew from segments that are whole. */
#include "modules/journal/mend.h"
#include "modules/journal/test_journal_fixture.h"

static char *meta_path(void)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/meta", fixture.path);
    return path;
}

static void lose_meta(void)
{
    ck_assert_int_eq(unlink(meta_path()), 0);
}

static void write_meta(const void *bytes, size_t size, off_t offset)
{
    int fd = open(meta_path(), O_RDWR);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

/* The settings, not what is behind them. */
static void damage_meta(void)
{
    write_meta("damaged", 7, 100);
}

static int mend(void)
{
    return journal_mend_meta(fault_os(fixture.fault), fixture.path, 0, &fixture.report);
}

/* It opens, holds [1, next), and goes on. */
static void expect_mended(uint64_t next)
{
    fixture.options.verifies_all = true;
    fixture.options.refuses_tail = true;
    open_journal();
    ck_assert_uint_eq(info_now().settings.roll_bytes, JOURNAL_ROLL_BYTES_MIN);
    expect_all(1, next);
    fixture.next = next;
    append_many(100);
    sync_all();
    close_journal();
    expect_all(1, next + 100);
}

static void (*const spoil[])(void) = { lose_meta, damage_meta };

START_TEST(it_is_made_anew_and_nothing_is_lost)
{
    make_synced_up_to(2000, 3000);
    spoil[_i]();
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert_int_eq(mend(), 0);
    expect_mended(3000);
    ck_assert_int_eq(mend(), -EEXIST);
}
END_TEST

/* One frame is longer than a segment may be: its own is larger, as the others are not. */
START_TEST(a_long_frame_does_not_change_the_settings)
{
    static const uint8_t bytes[3 * JOURNAL_ROLL_BYTES_MIN];
    struct slice part = slice_of(bytes, sizeof(bytes));

    open_journal();
    append_many(1);
    ck_assert_int_eq(append_slices(2, &part, 1), 0);
    fixture.next = 3;
    append_many(1);
    close_journal();
    lose_meta();
    ck_assert_int_eq(mend(), 0);
    open_journal();
    ck_assert_uint_eq(info_now().settings.roll_bytes, JOURNAL_ROLL_BYTES_MIN);
}
END_TEST

/* Nobody knows any more whether it had been synced, so it is no tail. */
START_TEST(what_may_have_been_synced_is_not_cut_by_the_way)
{
    struct journal_report cut;
    uint64_t position;

    make_synced_up_to(50, 80);
    position = position_of(60);
    damage(position, 30);
    lose_meta();
    ck_assert_int_eq(mend(), 0);
    ck_assert_uint_eq(fixture.report.end, position);
    ck_assert_int_eq(try_open(), -EBADMSG);
    damage(position, 30); /* back */
    open_journal();
    close_journal();
    expect_all(1, 80);
    damage(position, 30);
    lose_meta();
    ck_assert_int_eq(mend(), 0);
    ck_assert_int_eq(journal_mend_cut(fault_os(fixture.fault), fixture.path, 0, &cut), 0);
    expect_mended(60);
}
END_TEST

START_TEST(a_live_page_that_is_left_says_how_far_it_was_synced)
{
    uint64_t position;

    make_synced_up_to(50, 80);
    position = position_of(60);
    damage(position, 30);
    damage_meta();
    ck_assert_int_eq(mend(), 0);
    open_journal(); /* a tail */
    ck_assert_uint_eq(fixture.report.end, position);
    close_journal();
    damage(position_of(40), 30);
    damage_meta();
    ck_assert_int_eq(mend(), 0);
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

START_TEST(segments_that_are_not_whole_are_told_of)
{
    make_synced_up_to(3000, 3000);
    lose_meta();
    flip_byte(2, "log", 20);
    ck_assert_int_eq(mend(), -EBADMSG);
    ck_assert_msg(strstr(fixture.report.text, "segment 2 is not whole") != NULL, "%s",
                  fixture.report.text);
    ck_assert_int_eq(access(meta_path(), F_OK), -1);
    flip_byte(2, "log", 20);
    ck_assert_int_eq(mend(), 0);
    expect_mended(3000);
}
END_TEST

START_TEST(where_there_is_nothing_none_is_made)
{
    ck_assert_int_eq(mend(), -ENOENT);
    ck_assert_int_eq(mkdir(fixture.path, 0700), 0);
    ck_assert_int_eq(mend(), -ENOENT);
}
END_TEST

START_TEST(nobody_writes_meanwhile)
{
    open_journal();
    append_many(10);
    damage_meta();
    ck_assert_int_eq(mend(), -EWOULDBLOCK);
}
END_TEST

/* Each system call fails in turn; then it is done again. */
START_TEST(it_may_be_interrupted_anywhere)
{
    bool has_fired = true;

    make_synced_up_to(50, 80);
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        lose_meta();
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = mend();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert(rc == 0 || rc == -EIO);
        if (rc < 0) {
            rc = mend();
            ck_assert(rc == 0 || rc == -EEXIST);
        }
        open_journal();
        close_journal();
        expect_all(1, 80);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost metas of journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, it_is_made_anew_and_nothing_is_lost, 0, 2);
    tcase_add_test(cases, a_long_frame_does_not_change_the_settings);
    tcase_add_test(cases, what_may_have_been_synced_is_not_cut_by_the_way);
    tcase_add_test(cases, a_live_page_that_is_left_says_how_far_it_was_synced);
    tcase_add_test(cases, segments_that_are_not_whole_are_told_of);
    tcase_add_test(cases, where_there_is_nothing_none_is_made);
    tcase_add_test(cases, nobody_writes_meanwhile);
    tcase_add_test(cases, it_may_be_interrupted_anywhere);
    return test_suite_run(suite);
}
