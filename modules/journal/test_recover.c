/* What opening makes of a journal whose writer was killed, or whose device lost or changed bytes.
 */
#include "modules/journal/test_journal_fixture.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- writers that die -------------------------------------------------------------------------
 */

/* Runs work in a process that kills itself afterwards. */
static void in_killed_process(void (*work)(void))
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        work();
        (void)raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void append_and_publish(void)
{
    open_journal();
    append_many(2000);
    publish();
}

START_TEST(what_was_published_survives_a_killed_writer)
{
    fixture.options.way = (enum journal_way)_i;
    in_killed_process(append_and_publish);
    expect_all(1, 2001); /* also before anybody has recovered it */
    open_journal();
    ck_assert_uint_eq(fixture.report.cut_bytes, 0);
    fixture.next = 2001;
    append_many(100);
    publish();
    expect_all(1, 2101);
}
END_TEST

static void append_and_half_a_frame(void)
{
    append_and_publish();
    {
        /* All of a frame but its first word. */
        int fd = open_file(journal_segment_of(journal_appended(fixture.journal)), "log");
        uint64_t offset = journal_offset_of(journal_appended(fixture.journal));
        char bytes[60];
        memset(bytes, 'x', sizeof(bytes));
        ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), (off_t)offset + 4), sizeof(bytes));
    }
}

START_TEST(a_frame_that_was_being_written_is_cut)
{
    in_killed_process(append_and_half_a_frame);
    expect_all(1, 2001);
    open_journal();
    ck_assert_uint_eq(fixture.report.cut_bytes, 64);
    fixture.next = 2001;
    append_many(100);
    publish();
    expect_all(1, 2101);
}
END_TEST

/* ---- tails and corruption ---------------------------------------------------------------------
 */

START_TEST(damage_above_what_was_synced_is_a_tail_even_if_good_frames_follow)
{
    uint64_t position;

    make_synced_up_to(50, 80);
    position = position_of(60);
    damage(position, 30);
    forget_boot();
    expect_all(1, 60); /* a reader finds the same end */
    open_journal();
    ck_assert_uint_eq(fixture.report.end, position);
    ck_assert_uint_gt(fixture.report.cut_bytes, 1000);
    expect_all(1, 60);
    fixture.next = 60;
    append_many(1);
    close_journal();
    expect_all(1, 61); /* what was cut does not come back behind a new frame */
    open_journal();
    ck_assert_uint_eq(fixture.report.cut_bytes, 0);
    expect_all(1, 61);
}
END_TEST

START_TEST(a_tail_is_left_alone_if_that_is_asked_for)
{
    uint64_t position;
    char place[128];

    fixture.options.refuses_tail = true;
    make_synced_up_to(50, 80);
    position = position_of(60);
    damage(position, 30);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(try_open(), -EUCLEAN);
        ck_assert_uint_eq(fixture.report.cut_bytes, 0);
        (void)snprintf(place, sizeof(place), "behind 0000000001.log offset %llu lie ",
                       (unsigned long long)journal_offset_of(position));
        ck_assert_msg(strstr(fixture.report.text, place) != NULL, "%s", fixture.report.text);
    }
    damage(position, 30); /* back: nothing has been cut */
    open_journal();
    expect_all(1, 80);
}
END_TEST

START_TEST(damage_below_what_was_synced_is_refused_with_its_place)
{
    uint64_t position;
    char place[64];

    make_synced_up_to(50, 80);
    position = position_of(40);
    damage(position, 30);
    ck_assert_int_eq(try_open(), -EBADMSG);
    (void)snprintf(place, sizeof(place), "0000000001.log offset %llu",
                   (unsigned long long)journal_offset_of(position));
    ck_assert_msg(strstr(fixture.report.text, place) != NULL, "%s", fixture.report.text);
    damage(position, 30); /* back */
    open_journal();
    ck_assert_uint_eq(fixture.report.cut_bytes, 0);
}
END_TEST

/* Zeroes the live page, as if the device had never got it. */
static void lose_live_page(void)
{
    char file[160], zeros[4096] = { 0 };
    int fd;

    (void)snprintf(file, sizeof(file), "%s/meta", fixture.path);
    fd = open(file, O_RDWR);
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), 4096), sizeof(zeros));
    close(fd);
}

START_TEST(a_note_behind_the_damage_tells_of_the_sync)
{
    uint64_t position;

    open_journal();
    append_many(50);
    sync_all();
    append_many(10);
    sync_all(); /* notes the sync before it */
    close_journal();
    position = position_of(40);
    damage(position, 30);
    lose_live_page();
    ck_assert_int_eq(try_open(), -EBADMSG);
    damage(position, 30);
    damage(position_of(52), 30); /* behind the sync that is noted */
    open_journal();
    ck_assert_uint_gt(fixture.report.cut_bytes, 0);
    expect_all(1, 52);
}
END_TEST

START_TEST(a_segment_that_has_ended_was_synced)
{
    make_synced_up_to(2, 3000);
    damage(position_of(60), 30);
    forget_boot();
    fixture.options.verifies_all = true;
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert_ptr_null(fixture.journal);
}
END_TEST

/* Position of frame 60, from which on a tail goes over two segments. */
static uint64_t make_long_tail(void)
{
    uint64_t position;

    open_journal();
    append_many(50);
    sync_all();
    while (info_now().roll_count == 0)
        append_many(1);
    append_many(20);
    close_journal();
    position = position_of(60);
    damage(position, 30);
    lose_live_page(); /* as if the power had gone before the segment's last sync */
    return position;
}

START_TEST(a_tail_over_several_segments_is_cut)
{
    uint64_t position = make_long_tail();

    expect_all(1, 60);
    open_journal();
    ck_assert_uint_eq(fixture.report.end, position);
    ck_assert_uint_eq(fixture.report.dropped_segment_count, 1);
    ck_assert(!file_exists(2, "log"));
    fixture.next = 60;
    append_many(2000);
    publish();
    expect_all(1, 2060);
}
END_TEST

/* Segments go from the last on, and the cut is tried again. */
START_TEST(each_system_call_of_cutting_a_long_tail_may_fail)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };
    bool has_fired = true;
    unsigned failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        fixture.next = 1;
        (void)make_long_tail();
        fault_fail(fixture.fault, FAULT_ANY, nth, errors[_i], FAULT_ONCE);
        rc = try_open();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -errors[_i]);
            ck_assert_ptr_null(fixture.journal);
            failures++;
            open_journal();
        }
        ck_assert(!file_exists(2, "log"));
        fixture.next = 60;
        append_many(10);
        close_journal();
        expect_all(1, 70);
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        remove_files(fixture.path);
    }
    ck_assert_uint_gt(failures, 20);
    open_journal(); /* the fixture removes one */
}
END_TEST

START_TEST(a_refused_tail_is_told_of_with_all_its_bytes)
{
    const char *lie;

    (void)make_long_tail();
    fixture.options.refuses_tail = true;
    ck_assert_int_eq(try_open(), -EUCLEAN);
    lie = strstr(fixture.report.text, " lie ");
    ck_assert_msg(lie != NULL, "%s", fixture.report.text);
    ck_assert(file_exists(2, "log"));
    {
        unsigned long long bytes = strtoull(lie + strlen(" lie "), NULL, 10);

        fixture.options.refuses_tail = false;
        open_journal();
        ck_assert_uint_eq(fixture.report.cut_bytes, bytes);
    }
}
END_TEST

START_TEST(the_caller_may_know_of_a_sync)
{
    uint64_t position;

    make_synced_up_to(2, 80);
    position = position_of(60);
    damage(position, 30);
    fixture.options.synced_position = position;
    open_journal(); /* up to there, not beyond */
    close_journal();
    fixture.options.synced_position = position + 8;
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_corruption)
{
    char file[160];

    make_synced_up_to(3000, 3001);
    (void)snprintf(file, sizeof(file), "%s/0000000003.log", fixture.path);
    ck_assert_int_eq(unlink(file), 0);
    fixture.options.verifies_all = true;
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert_msg(strstr(fixture.report.text, "0000000003.log offset 64") != NULL, "%s",
                  fixture.report.text);
}
END_TEST

/* _i 1: behind a torn tail. */
START_TEST(a_stray_file_far_away_is_cut_off)
{
    uint64_t end = _i == 1 ? 60 : 80;

    make_synced_up_to(50, 80);
    if (_i == 1) damage(position_of(60), 30);
    make_stray();
    forget_boot();
    expect_all(1, end);
    open_journal();
    ck_assert_uint_eq(fixture.report.dropped_segment_count, 1);
    ck_assert(!file_exists(STRAY_NUMBER, "log"));
    fixture.next = end;
    append_many(1000);
    close_journal();
    expect_all(1, end + 1000);
}
END_TEST

START_TEST(a_segment_that_is_gone_before_a_stray_file_is_corruption)
{
    char file[160];

    make_synced_up_to(3000, 3001);
    make_stray();
    (void)snprintf(file, sizeof(file), "%s/0000000003.log", fixture.path);
    ck_assert_int_eq(unlink(file), 0);
    fixture.options.verifies_all = true;
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert(file_exists(STRAY_NUMBER, "log"));
}
END_TEST

START_TEST(a_journal_without_its_meta_is_not_made_anew)
{
    char file[160];

    make_synced_up_to(50, 60);
    (void)snprintf(file, sizeof(file), "%s/meta", fixture.path);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(try_open(), -EBADMSG);
    ck_assert(file_exists(1, "log"));
}
END_TEST

START_TEST(files_of_another_journal_do_not_fit)
{
    char other[160], file[160];

    make_synced_up_to(50, 60);
    (void)snprintf(other, sizeof(other), "%s/0000000001.log", fixture.path);
    (void)snprintf(file, sizeof(file), "%s/kept", fixture.directory);
    ck_assert_int_eq(rename(other, file), 0);
    remove_files(fixture.path);
    fixture.next = 1;
    make_synced_up_to(50, 60);
    ck_assert_int_eq(rename(file, other), 0);
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

/* ---- indexes ----------------------------------------------------------------------------------
 */

START_TEST(an_index_that_is_missing_or_wrong_is_made_anew)
{
    uint64_t last;
    char file[160];

    fixture.options.settings.roll_bytes = 4 << 20;
    make_synced_up_to(3000, 5000);
    last = journal_segment_of(position_of(4999));
    ck_assert_uint_eq(last, 1);
    open_journal();
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, 0);
    close_journal();
    flip_byte(last, "idx", 30);
    open_journal();
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, 1);
    close_journal();
    (void)snprintf(file, sizeof(file), "%s/0000000001.idx", fixture.path);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_uint_gt(position_of(4000), position_of(3999)); /* readers do without */
    open_journal();
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, 1);
    close_journal();
    open_journal();
    ck_assert_uint_eq(fixture.report.index_rebuilt_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovery of journals");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);
    TCase *often = test_suite_case(suite, "often", setup_in_memory, teardown);

    tcase_add_loop_test(cases, what_was_published_survives_a_killed_writer, 0, 2);
    tcase_add_test(cases, a_frame_that_was_being_written_is_cut);
    tcase_add_test(cases, damage_above_what_was_synced_is_a_tail_even_if_good_frames_follow);
    tcase_add_test(cases, a_segment_that_has_ended_was_synced);
    tcase_add_test(cases, a_tail_over_several_segments_is_cut);
    tcase_add_test(cases, a_tail_is_left_alone_if_that_is_asked_for);
    tcase_add_test(cases, a_refused_tail_is_told_of_with_all_its_bytes);
    tcase_add_test(cases, damage_below_what_was_synced_is_refused_with_its_place);
    tcase_add_test(cases, a_note_behind_the_damage_tells_of_the_sync);
    tcase_add_test(cases, the_caller_may_know_of_a_sync);
    tcase_add_test(cases, a_segment_that_is_gone_is_corruption);
    tcase_add_loop_test(cases, a_stray_file_far_away_is_cut_off, 0, 2);
    tcase_add_test(cases, a_segment_that_is_gone_before_a_stray_file_is_corruption);
    tcase_add_test(cases, a_journal_without_its_meta_is_not_made_anew);
    tcase_add_test(cases, files_of_another_journal_do_not_fit);
    tcase_add_test(cases, an_index_that_is_missing_or_wrong_is_made_anew);
    tcase_add_loop_test(often, each_system_call_of_cutting_a_long_tail_may_fail, 0, 4);
    return test_suite_run(suite);
}
