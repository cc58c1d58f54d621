/* What a failed sync leaves of streams in journals: it is written once more, and they go on; or it
 * is lost, and that is told. */
#include "modules/base/test_suite.h"
#include "modules/stream/test_stream_mend.h"

enum {
    STREAMS = 12,
    SIZE = 200,
    FEW = 100,   /* entries that take less than half of a segment */
    FIRST = 200, /* or not all of one */
    END = 210,
    LARGE = 60000, /* bytes */
    LARGE_COUNT = 200,
};

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
static void expect_mended_of(uint64_t end, size_t size)
{
    add_entries(stream, end, end + 100, size);
    ck_assert_int_eq(save(stream), 1);
    expect_entries(stream, 1, end + 100, size);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, end + 100, size);
    stream_destroy(stream);
}

static void expect_mended(uint64_t end)
{
    expect_mended_of(end, SIZE);
}

/* Some steps of mending in one segment, most of which is taken. */
static void add_large(void)
{
    files.options.roll_bytes = 16 << 20;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, LARGE_COUNT, LARGE);
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

START_TEST(what_was_lost_is_told_and_never_taken_for_right)
{
    struct stream *other;

    fail_sync(FAULT_ONCE);
    lose_page_of(1, 52500);
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

/* Where blocks cannot be reserved frames wait in buffers: what was not written yet is not renewed,
 * it follows. */
START_TEST(one_that_is_written_from_buffers_is_mended)
{
    enum fault_call call = _i == 0 ? FAULT_FDATASYNC : FAULT_PWRITE;

    fault_fail(files.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    settle();
    fault_fail(files.fault, call, 1, EIO, FAULT_ONCE);
    add_entries(stream, FEW, FEW + 5, SIZE);
    ck_assert_int_eq(save(stream), -EIO);
    pass_time();
    ck_assert_uint_eq(trouble().mended_count, 1);
    expect_mended(FEW + 5);
}
END_TEST

/* Whoever waits for a thread meanwhile gets it soon. */
START_TEST(a_large_segment_is_mended_in_steps)
{
    unsigned steps = 0;

    add_large();
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    for (; trouble().suspect_count > 0; steps++) {
        uint64_t writes = fault_count(files.fault, FAULT_PWRITE);
        (void)stream_store_tick(store, 0, 1000);
        (void)io_wait(files.io);
        ck_assert_uint_le(fault_count(files.fault, FAULT_PWRITE) - writes, 16);
    }
    ck_assert_uint_ge(steps, 2 * (LARGE_COUNT * LARGE / (4 << 20)));
    ck_assert_uint_eq(trouble().mended_count, 1);
    expect_mended_of(LARGE_COUNT, LARGE);
}
END_TEST

/* In the middle of that, too. */
START_TEST(a_start_while_it_is_mended_has_what_the_checkpoint_had)
{
    uint8_t *bytes;
    size_t size;

    add_large();
    ck_assert_int_eq(save(stream), 1);
    bytes = image.bytes;
    size = image.size;
    image.bytes = NULL;
    add_entries(stream, LARGE_COUNT, LARGE_COUNT + 20, LARGE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    for (int i = 0; i < _i; i++) {
        (void)stream_store_tick(store, 0, 1000);
        (void)io_wait(files.io);
    }
    ck_assert_uint_eq(trouble().suspect_count, 1);
    stream_destroy(stream);
    restart();
    ck_assert_int_eq(stream_image_load(store, slice_of(bytes, size), &stream), 0);
    stream_checkpoint_loaded(store);
    free(bytes);
    expect_mended_of(LARGE_COUNT, LARGE);
}
END_TEST

/* It has gone, and the checkpoint that is being made refers to it nevertheless. */
START_TEST(a_checkpoint_waits_for_a_suspect_stream_that_has_gone)
{
    bool is_mended = _i > 0;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    settle();
    stream_checkpoint_begin(store);
    write_image(stream);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(sync_checkpoint(), -EIO);
    stream_destroy(stream);
    ck_assert_uint_eq(trouble().suspect_count, 1);
    ck_assert_int_eq(stream_checkpoint_sync(store), -EIO);
    if (is_mended) settle();
    ck_assert_int_eq(sync_checkpoint(), is_mended ? 1 : -EIO);
    stream_checkpoint_end(store, is_mended);
    settle();
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(count_directories(), is_mended);
    if (!is_mended) return;
    restart();
    load();
    expect_mended(FEW);
}
END_TEST

/* What nobody needs any more of it is not written once more, and what stays is whole. */
START_TEST(a_suspect_stream_may_be_trimmed)
{
    uint64_t number = 1;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    while (try_add(stream, number, SIZE) == 0)
        ck_assert_uint_lt(number++, 3000);
    trim_to(stream, 10);
    settle();
    ck_assert_uint_eq(trouble().mended_count, 1);
    ck_assert_uint_eq(count_in_stream(1, "0000000001.log"), 0);
    add_entries(stream, number, number + 10, SIZE);
    ck_assert_int_eq(save(stream), 1);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, number - 10, number + 10, SIZE);
    stream_destroy(stream);
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
    (void)stream_store_tick(store, 0, 1000);
    ck_assert_uint_eq(store->files->mending_count, 2);
    ck_assert_int_eq(stream_store_wait_us(store), -1); /* others wait for these, not for time */
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
    TCase *cases = test_suite_case(suite, "all", setup_mend, teardown_files);

    tcase_add_test(cases, a_stream_whose_sync_has_failed_is_mended);
    tcase_add_test(cases, a_disk_that_goes_on_failing_is_tried_again_after_a_pause);
    tcase_add_loop_test(cases, a_stream_that_was_never_synced_is_mended, 0, 3);
    tcase_add_test(cases, segments_that_have_ended_are_mended);
    tcase_add_test(cases, what_was_lost_is_told_and_never_taken_for_right);
    tcase_add_loop_test(cases, a_stream_that_is_suspect_may_go, 0, 3);
    tcase_add_loop_test(cases, one_that_is_written_from_buffers_is_mended, 0, 2);
    tcase_add_test(cases, a_large_segment_is_mended_in_steps);
    tcase_add_loop_test(cases, a_start_while_it_is_mended_has_what_the_checkpoint_had, 0, 5);
    tcase_add_loop_test(cases, a_checkpoint_waits_for_a_suspect_stream_that_has_gone, 0, 2);
    tcase_add_test(cases, a_suspect_stream_may_be_trimmed);
    tcase_add_test(cases, a_failed_sync_of_all_is_mended_with_few_open);
    tcase_add_test(cases, a_sync_that_succeeds_does_not_hide_one_that_has_failed);
    tcase_add_test(cases, its_own_sync_does_not_hide_a_failed_sync_of_all);
    tcase_add_test(cases, each_call_of_mending_fails_and_it_is_mended_later);
    return test_suite_run(suite);
}
