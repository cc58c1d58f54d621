/* What a failed sync leaves of streams in journals: it is written once more, and they go on; or it
 * is lost, and that is told. */
#include <fcntl.h>

#include "modules/stream/files_internal.h"
#include "modules/stream/test_stream_files.h"

enum {
    STREAMS = 12,
    SIZE = 200,
    FEW = 100,   /* entries that take less than half of a segment */
    FIRST = 200, /* or not all of one */
    END = 210,
    PAUSE_MS = 1000,
};

static struct {
    unsigned failed, mended, damaged;
    char text[200];
    uint64_t now_ms;
} seen;

static void note_sync(void *context, const char *path, int error, const char *text)
{
    (void)context;
    seen.failed += error < 0 && error != -EBADMSG;
    seen.mended += error == 0;
    seen.damaged += error == -EBADMSG;
    if (error == -EBADMSG) (void)snprintf(seen.text, sizeof(seen.text), "%s %s", path, text);
}

static void setup_mend(void)
{
    setup_files();
    files.hooks.on_sync = note_sync;
    memset(&seen, 0, sizeof(seen));
}

static struct stream_trouble trouble(void)
{
    struct stream_trouble now;

    stream_store_get_trouble(store, &now);
    return now;
}

/* Another time has come to mend what could not be. */
static void pass_time(void)
{
    seen.now_ms += PAUSE_MS;
    settle_at(seen.now_ms);
}

static int save(struct stream *of)
{
    int rc;

    stream_checkpoint_begin(store);
    write_image(of);
    rc = sync_checkpoint();
    stream_checkpoint_end(store, rc == 1);
    return rc;
}

/* A checkpoint has [1, FIRST), and what came then could not be brought to the device. */
static void fail_sync(enum fault_duration duration)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FIRST, SIZE);
    ck_assert_int_eq(save(stream), 1);
    add_entries(stream, FIRST, END, SIZE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, duration);
    if (duration == FAULT_FROM_THEN_ON)
        fault_fail(files.fault, FAULT_FDATASYNC, 1, EIO, FAULT_FROM_THEN_ON);
    ck_assert_int_eq(save(stream), -EIO);
    ck_assert_int_eq(try_add(stream, END, SIZE), -EROFS);
}

/* It takes more, and the next start has what a checkpoint of now refers to. */
static void expect_mended(uint64_t end)
{
    add_entries(stream, end, end + 100, SIZE);
    ck_assert_int_eq(save(stream), 1);
    expect_entries(stream, 1, end + 100, SIZE);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, end + 100, SIZE);
    stream_destroy(stream);
}

START_TEST(a_stream_whose_sync_has_failed_is_mended)
{
    uint64_t writes;

    fail_sync(FAULT_ONCE);
    expect_entries(stream, 1, END, SIZE);
    ck_assert_uint_eq(trouble().suspect_count, 1);
    ck_assert_int_eq(trouble().last_error, -EIO);
    writes = fault_count(files.fault, FAULT_PWRITE);
    settle();
    ck_assert_uint_gt(fault_count(files.fault, FAULT_PWRITE), writes); /* not synced only */
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(trouble().mended_count, 1);
    ck_assert_uint_eq(seen.failed, 1);
    ck_assert_uint_eq(seen.mended, 1);
    expect_mended(END);
}
END_TEST

START_TEST(a_disk_that_goes_on_failing_is_tried_again_after_a_pause)
{
    uint64_t syncs;

    fail_sync(FAULT_FROM_THEN_ON);
    for (unsigned i = 0; i < 3; i++) {
        syncs = fault_count(files.fault, FAULT_FDATASYNC);
        pass_time();
        ck_assert_uint_eq(fault_count(files.fault, FAULT_FDATASYNC), syncs + 1);
        settle_at(seen.now_ms + PAUSE_MS - 1); /* not before its time */
        ck_assert_uint_eq(fault_count(files.fault, FAULT_FDATASYNC), syncs + 1);
        ck_assert_int_gt(stream_store_wait_us(store), 0);
        ck_assert_int_eq(try_add(stream, END, SIZE), -EROFS);
        ck_assert_int_eq(save(stream), -EIO);
        expect_entries(stream, 1, END, SIZE);
    }
    fault_clear(files.fault);
    pass_time();
    ck_assert_uint_eq(seen.failed, 1); /* once for all */
    ck_assert_uint_eq(seen.mended, 1);
    ck_assert_int_eq(stream_store_wait_us(store), -1);
    expect_mended(END);
}
END_TEST

/* Of the first sync of a journal: its meta and names are not on the device either. */
START_TEST(a_stream_that_was_never_synced_is_mended)
{
    enum fault_call call = _i == 0 ? FAULT_SYNC_MAP : _i == 1 ? FAULT_FSYNC : FAULT_FSYNC_DIRECTORY;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    settle();
    fault_fail(files.fault, call, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    settle();
    expect_mended(FEW);
}
END_TEST

/* The sync of one that has ended fails, and others have begun since. */
START_TEST(segments_that_have_ended_are_mended)
{
    uint64_t number = 1;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, number, FIRST, SIZE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    for (number = FIRST; try_add(stream, number, SIZE) == 0; number++)
        ck_assert_uint_lt(number, 3000);
    ck_assert_uint_eq(fault_fired(files.fault), 1);
    expect_entries(stream, 1, number, SIZE);
    settle();
    ck_assert_uint_eq(trouble().mended_count, 1);
    expect_mended(number);
}
END_TEST

/* The kernel has let go of a page that was not on the device. */
static void lose_page(void)
{
    static const uint8_t zeros[100];
    char path[120];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/stream-1/0000000001.log", files.directory);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), 52500), sizeof(zeros));
    close(fd);
}

START_TEST(what_was_lost_is_told_and_never_taken_for_right)
{
    struct stream *other;

    fail_sync(FAULT_ONCE);
    lose_page();
    pass_time();
    pass_time(); /* nothing more is tried */
    ck_assert_uint_eq(trouble().damaged_count, 1);
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(seen.damaged, 1);
    ck_assert_uint_eq(seen.mended, 0);
    ck_assert_msg(strstr(seen.text, "stream-1 0000000001.log offset 52") != NULL, "%s", seen.text);
    ck_assert_int_eq(try_add(stream, END, SIZE), -EROFS);
    ck_assert_int_eq(save(stream), -EBADMSG);
    ck_assert_int_eq(stream_create(store, &other), 0); /* and nobody else suffers */
    add_entries(other, 1, FIRST, SIZE);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(trouble().damaged_count, 0);
    ck_assert_int_eq(save(other), 1);
    stream_destroy(other);
}
END_TEST

START_TEST(a_stream_that_is_suspect_may_go)
{
    fail_sync(_i == 0 ? FAULT_ONCE : FAULT_FROM_THEN_ON);
    if (_i == 2) (void)stream_store_tick(store, 0, 0); /* its job is under way */
    stream_destroy(stream);
    settle();
    fault_clear(files.fault);
    checkpoint(NULL, true);
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* ---- many -------------------------------------------------------------------------------------
 */

static struct stream *streams[STREAMS];

static int save_all(struct slice images[STREAMS])
{
    int rc;

    stream_checkpoint_begin(store);
    for (unsigned i = 0; i < STREAMS; i++) {
        write_image(streams[i]);
        if (images) images[i] = slice_of(image.bytes, image.size);
        if (images) image.bytes = NULL;
    }
    rc = sync_checkpoint();
    stream_checkpoint_end(store, rc == 1);
    return rc;
}

static void make_streams(void)
{
    files.options.open_max = 2;
    create_store();
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, FIRST, SIZE);
    }
    settle();
}

static void expect_all_mended(void)
{
    struct slice images[STREAMS];

    for (unsigned i = 0; i < STREAMS; i++)
        add_entries(streams[i], FIRST, END, SIZE);
    ck_assert_int_eq(save_all(images), 1);
    for (unsigned i = 0; i < STREAMS; i++)
        stream_destroy(streams[i]);
    restart();
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_image_load(store, images[i], &streams[i]), 0);
        free((void *)images[i].bytes);
    }
    stream_checkpoint_loaded(store);
    for (unsigned i = 0; i < STREAMS; i++) {
        expect_entries(streams[i], 1, END, SIZE);
        stream_destroy(streams[i]);
    }
}

START_TEST(a_failed_sync_of_all_is_mended_with_few_open)
{
    make_streams();
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save_all(NULL), -EIO);
    ck_assert_uint_ge(trouble().suspect_count, STREAMS - 2);
    /* And the disk goes on failing for a while. */
    fault_fail(files.fault, FAULT_FDATASYNC, 1, EIO, FAULT_FROM_THEN_ON);
    for (unsigned i = 0; i < 5; i++) {
        pass_time();
        ck_assert_uint_le(store->files->open_count, 2 * files.options.open_max);
    }
    ck_assert_uint_ge(trouble().suspect_count, STREAMS - 2);
    fault_clear(files.fault);
    for (unsigned i = 0; i < STREAMS && trouble().suspect_count > 0; i++)
        pass_time();
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(seen.mended, 1);
    expect_all_mended();
}
END_TEST

/* Another sync of all succeeds meanwhile: that says nothing of what an earlier one has left. */
START_TEST(a_sync_that_succeeds_does_not_hide_one_that_has_failed)
{
    struct stream *late;

    make_streams();
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save_all(NULL), -EIO);
    ck_assert_int_eq(stream_create(store, &late), 0);
    add_entries(late, 1, FIRST, SIZE);
    stream_checkpoint_begin(store);
    write_image(late);
    stream_files_sync_closed(store->files);
    while (io_wait(files.io) > 0) {}
    (void)sync_checkpoint();
    stream_checkpoint_end(store, true);
    ck_assert_uint_ge(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), 2);
    ck_assert_int_eq(save_all(NULL), -EIO);
    stream_destroy(late);
    pass_time();
    expect_all_mended();
}
END_TEST

/* Some page of it is as if it had never been written. */
static void lose_page_of(unsigned number, uint64_t offset)
{
    static const uint8_t zeros[100];
    char path[120];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/stream-%u/0000000001.log", files.directory, number);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), (off_t)offset), sizeof(zeros));
    close(fd);
}

/* One that is open is suspect, and its own sync, which was under way, succeeds. */
START_TEST(its_own_sync_does_not_hide_a_failed_sync_of_all)
{
    const struct stream_files *last;

    make_streams();
    last = streams[STREAMS - 1]->files;
    ck_assert_ptr_nonnull(last->journal);
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save_all(NULL), -EIO);
    ck_assert_int_lt(last->sync_error, 0);
    lose_page_of(STREAMS, 20000);
    for (unsigned i = 0; i < STREAMS && trouble().suspect_count > 0; i++)
        pass_time();
    ck_assert_uint_eq(trouble().damaged_count, 1);
    ck_assert_int_eq(save_all(NULL), -EBADMSG);
    for (unsigned i = 0; i < STREAMS; i++)
        stream_destroy(streams[i]);
}
END_TEST

/* ---- each system call -------------------------------------------------------------------------
 */

START_TEST(each_call_of_mending_fails_and_it_is_mended_later)
{
    bool has_fired = true;
    uint64_t failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        fail_sync(FAULT_ONCE);
        fault_clear(files.fault);
        fault_fail(files.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        seen.now_ms = 0;
        settle();
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        failures += trouble().suspect_count;
        pass_time();
        ck_assert_uint_eq(trouble().suspect_count, 0);
        ck_assert_uint_eq(trouble().damaged_count, 0);
        expect_mended(END);
        checkpoint(NULL, true);
        stream_store_destroy(store);
        store = NULL;
    }
    ck_assert_uint_gt(failures, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals: after a failed sync");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup_mend, teardown_files);
    tcase_add_test(cases, a_stream_whose_sync_has_failed_is_mended);
    tcase_add_test(cases, a_disk_that_goes_on_failing_is_tried_again_after_a_pause);
    tcase_add_loop_test(cases, a_stream_that_was_never_synced_is_mended, 0, 3);
    tcase_add_test(cases, segments_that_have_ended_are_mended);
    tcase_add_test(cases, what_was_lost_is_told_and_never_taken_for_right);
    tcase_add_loop_test(cases, a_stream_that_is_suspect_may_go, 0, 3);
    tcase_add_test(cases, a_failed_sync_of_all_is_mended_with_few_open);
    tcase_add_test(cases, a_sync_that_succeeds_does_not_hide_one_that_has_failed);
    tcase_add_test(cases, its_own_sync_does_not_hide_a_failed_sync_of_all);
    tcase_add_test(cases, each_call_of_mending_fails_and_it_is_mended_later);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
