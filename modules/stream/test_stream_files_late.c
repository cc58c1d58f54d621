/* Syncs that succeed and say nothing: of what was closed before it was synced, and lost since, and
 * of what was under way when another one failed. */
#include "modules/base/test_suite.h"
#include "modules/stream/test_stream_mend.h"

enum { SIZE = 200, FEW = 100, LATE_END = 2000, LOST = 20000 };

/* ---- closed before it was synced --------------------------------------------------------------
 */

static struct stream *others[2];

/* [1, LATE_END) are in a journal that was closed before it was synced, as another one was. */
static void close_late(void)
{
    files.options.open_max = 1;
    files.options.roll_bytes = 1 << 20;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, LATE_END, SIZE);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(stream_create(store, &others[i]), 0);
        add_entries(others[i], 1, 20, SIZE);
    }
    settle();
    ck_assert_ptr_null(stream->files->journal);
    ck_assert_uint_lt(stream->files->synced, stream->files->end);
}

static void drop_others(void)
{
    stream_destroy(others[0]);
    stream_destroy(others[1]);
}

/* Now, and after the next start. */
static void expect_saved(uint64_t end)
{
    expect_entries(stream, 1, end, SIZE);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, end, SIZE);
}

static void mend_all(void)
{
    for (unsigned i = 0; i < 5 && trouble().suspect_count > 0; i++)
        pass_time();
    ck_assert_uint_eq(trouble().suspect_count, 0);
}

/* Its first life's failure is told to the file system's sync only; its own, of what came since it
 * was opened again, says that all is well. A page that was lost then lies where opening does not
 * look; and the segment may have ended since, its own sync, too, and been closed. */
START_TEST(what_was_closed_unsynced_is_told_of_when_it_is_open_again)
{
    bool is_lost = _i % 2 != 0, has_ended = _i / 2 != 0;
    uint64_t end = has_ended ? LATE_END + 4000 : LATE_END + 1;

    close_late();
    if (is_lost) lose_page_of(1, LOST);
    add_entries(stream, LATE_END, end, SIZE);
    settle();
    ck_assert_ptr_nonnull(stream->files->journal);
    ck_assert_int_eq(journal_synced(stream->files->journal) > stream->files->late_end, has_ended);
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO); /* it may only be complete if all were asked */
    mend_all();
    ck_assert_uint_eq(trouble().damaged_count, is_lost);
    ck_assert_int_eq(save(stream), is_lost ? -EBADMSG : 1);
    drop_others();
    if (is_lost)
        ck_assert_msg(strstr(seen.text, "stream-1 0000000001.log offset 1") ||
                          strstr(seen.text, "stream-1 0000000001.log offset 2"),
                      "%s", seen.text);
    else
        expect_saved(end);
    stream_destroy(stream);
}
END_TEST

START_TEST(what_was_closed_unsynced_is_asked_about_once)
{
    uint64_t before = fault_count(files.fault, FAULT_SYNC_FILESYSTEM);

    close_late();
    add_entries(stream, LATE_END, LATE_END + 1, SIZE);
    ck_assert_int_eq(save(stream), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), before + 1);
    add_entries(stream, LATE_END + 1, LATE_END + 2, SIZE);
    ck_assert_int_eq(save(stream), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), before + 1);
    drop_others();
    stream_destroy(stream);
}
END_TEST

/* Of what came between, and was closed unsynced, that sync says nothing. */
START_TEST(what_is_closed_again_while_all_is_synced_is_asked_about_anew)
{
    uint64_t before = fault_count(files.fault, FAULT_SYNC_FILESYSTEM), end;

    close_late();
    add_entries(stream, LATE_END, LATE_END + 1, SIZE);
    settle();
    end = stream->files->late_end;
    stream_files_sync_closed(store->files);
    add_entries(others[0], 20, 21, SIZE);
    settle();
    ck_assert_ptr_null(stream->files->journal);
    ck_assert_uint_eq(stream->files->late_from, end);
    ck_assert_uint_eq(stream->files->late_end, stream->files->end);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), before + 1);
    add_entries(stream, LATE_END + 1, LATE_END + 2, SIZE);
    ck_assert_int_eq(save(stream), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), before + 2);
    drop_others();
    stream_destroy(stream);
}
END_TEST

/* Segments that were closed are opened for it. */
START_TEST(each_call_of_mending_what_has_ended_fails_and_it_is_mended_later)
{
    bool has_fired = true;
    uint64_t failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        seen.now_ms = 0;
        close_late();
        add_entries(stream, LATE_END, 2 * LATE_END + 200, SIZE);
        drop_others();
        settle();
        ck_assert_uint_gt(journal_synced(stream->files->journal), stream->files->late_end);
        fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
        ck_assert_int_eq(save(stream), -EIO);
        fault_clear(files.fault);
        fault_fail(files.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        settle();
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        failures += trouble().suspect_count;
        mend_all();
        ck_assert_uint_eq(trouble().damaged_count, 0);
        ck_assert_int_eq(save(stream), 1);
        expect_saved(2 * LATE_END + 200);
        stream_destroy(stream);
        checkpoint(NULL, true);
        stream_store_destroy(store);
        store = NULL;
    }
    ck_assert_uint_gt(failures, 5);
}
END_TEST

/* Its own sync had brought meta there, it says: that is in memory and written once more, too. */
START_TEST(meta_is_mended_whatever_was_said_of_it)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    ck_assert_int_eq(save(stream), 1);
    add_entries(stream, FEW, FEW + 10, SIZE);
    fault_fail(files.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save(stream), -EIO);
    lose(1, "meta", 0);
    pass_time();
    ck_assert_uint_eq(trouble().mended_count, 1);
    ck_assert_int_eq(save(stream), 1);
    expect_saved(FEW + 10);
    stream_destroy(stream);
}
END_TEST

/* ---- under way when another one fails ---------------------------------------------------------
 */

/* It takes pages for written that another sync has told to be lost, or would have. */
START_TEST(a_sync_that_was_under_way_does_not_mend_it)
{
    bool is_lost = _i > 0;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    settle();
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(stream_checkpoint_sync(store), 0);
    if (is_lost) lose_page_of(1, 10000);
    stream_files_suspect(stream->files, -EIO);
    (void)stream_store_tick(store, 0, 1000);
    ck_assert(journal_is_renewing(stream->files->journal));
    ck_assert_uint_eq(io_in_flight(files.io), 1); /* it begins when that has ended */
    settle();
    ck_assert_uint_eq(trouble().damaged_count, is_lost);
    ck_assert_uint_eq(trouble().mended_count, !is_lost);
    stream_checkpoint_end(store, false);
    ck_assert_int_eq(save(stream), is_lost ? -EBADMSG : 1);
    stream_destroy(stream);
}
END_TEST

/* The same, and it has ended before anything is begun. */
START_TEST(a_sync_that_has_ended_since_does_not_mend_it)
{
    struct stream *other;

    files.options.open_max = 1;
    create_store();
    ck_assert_int_eq(stream_create(store, &other), 0);
    add_entries(other, 1, FEW, SIZE);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, FEW, SIZE);
    settle();
    ck_assert_ptr_null(other->files->journal);
    stream_checkpoint_begin(store);
    write_image(other);
    write_image(stream);
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(stream_checkpoint_sync(store), 0); /* of all, then of this one */
    lose_page_of(2, 10000);
    while (io_wait(files.io) > 0) {}
    ck_assert_uint_ge(journal_synced(stream->files->journal), stream->files->end);
    ck_assert_int_eq(stream_checkpoint_sync(store), -EIO);
    stream_checkpoint_end(store, false);
    pass_time();
    pass_time();
    ck_assert_uint_eq(trouble().suspect_count, 0);
    ck_assert_uint_eq(trouble().damaged_count, 1);
    stream_destroy(other);
    stream_destroy(stream);
}
END_TEST

/* ---- on threads -------------------------------------------------------------------------------
 */

static void setup_mend_threads(void)
{
    setup_threads();
    files.hooks.on_sync = note_sync;
    memset(&seen, 0, sizeof(seen));
}

/* Readers, the packer and what mends it go through the same files. */
START_TEST(a_stream_is_read_and_packed_while_it_is_mended)
{
    files.options.roll_bytes = 1 << 20;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3 * LATE_END, SIZE);
    ck_assert_int_eq(save(stream), 1);
    add_entries(stream, 3 * LATE_END, 9 * LATE_END, SIZE);
    settle();
    stream_set_codec(stream, JOURNAL_CODEC_LZ4);
    stream_files_suspect(stream->files, -EIO);
    stream->files->renew_from = 0;
    for (unsigned i = 0; trouble().suspect_count > 0; i++) {
        (void)stream_store_tick(store, 0, 1000);
        if (i % 8 == 0) expect_entries(stream, 1, 9 * LATE_END, SIZE);
        (void)io_wait(files.io);
    }
    ck_assert_uint_eq(trouble().mended_count, 1);
    add_entries(stream, 9 * LATE_END, 10 * LATE_END, SIZE);
    ck_assert_int_eq(save(stream), 1);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, 10 * LATE_END, SIZE);
    stream_destroy(stream);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals: syncs that say nothing");
    TCase *cases = test_suite_case(suite, "all", setup_mend, teardown_files);

    tcase_add_loop_test(cases, what_was_closed_unsynced_is_told_of_when_it_is_open_again, 0, 4);
    tcase_add_test(cases, what_was_closed_unsynced_is_asked_about_once);
    tcase_add_test(cases, what_is_closed_again_while_all_is_synced_is_asked_about_anew);
    tcase_add_test(cases, each_call_of_mending_what_has_ended_fails_and_it_is_mended_later);
    tcase_add_test(cases, meta_is_mended_whatever_was_said_of_it);
    tcase_add_loop_test(cases, a_sync_that_was_under_way_does_not_mend_it, 0, 2);
    tcase_add_test(cases, a_sync_that_has_ended_since_does_not_mend_it);
    cases = test_suite_case(suite, "threads", setup_mend_threads, teardown_files);

    tcase_add_loop_test(cases, what_was_closed_unsynced_is_told_of_when_it_is_open_again, 0, 4);
    tcase_add_test(cases, a_stream_is_read_and_packed_while_it_is_mended);
    return test_suite_run(suite);
}
