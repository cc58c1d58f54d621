/* Streams in journals whose segments are packed when they have ended: nobody who reads notices, and
 * whatever a start may set back into stays plain. */
#include "modules/stream/copy.h"
#include "modules/stream/files_internal.h"
#include "modules/stream/test_stream_files.h"

enum { SIZE = 200, PLAIN_MAX = 2 /* the one that is written, and the one made ahead */ };

static unsigned count_packed(void)
{
    return count_in_stream(1, ".pak");
}

static struct stream_info info_now(void)
{
    struct stream_info info;

    stream_get_info(stream, &info);
    return info;
}

/* Entries [1, end), packed so. */
static void begin(enum journal_codec codec, uint64_t end)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    stream_set_codec(stream, codec);
    add_entries(stream, 1, end, SIZE);
    settle();
}

/* _i: LZ4, Zstandard. */
START_TEST(segments_that_have_ended_are_packed_and_read_as_before)
{
    struct stream_info info;
    uint64_t raw;

    begin(JOURNAL_CODEC_NONE, 3000);
    raw = info_now().disk_bytes;
    ck_assert_uint_eq(info_now().compressed_bytes, 0);
    stream_set_codec(stream, (enum journal_codec)_i);
    settle();
    ck_assert_uint_gt(count_packed(), 8);
    ck_assert_uint_le(count_segments(1), PLAIN_MAX);
    info = info_now();
    ck_assert_uint_gt(info.compressed_bytes, 0);
    ck_assert_uint_lt(info.compressed_bytes, info.disk_bytes);
    ck_assert_uint_lt(info.disk_bytes, raw / 3);
    expect_entries(stream, 1, 3000, SIZE);
    add_entries(stream, 3000, 6000, SIZE);
    settle();
    ck_assert_uint_le(count_segments(1), PLAIN_MAX);
    expect_entries(stream, 1, 6000, SIZE);
    trim_to(stream, 100);
    settle();
    ck_assert_uint_le(count_packed(), 1);
    expect_entries(stream, 5900, 6000, SIZE);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* What is told of bytes on disk is what is there. */
START_TEST(what_is_told_is_what_the_files_take)
{
    uint64_t bytes = 0;
    char path[120];
    struct stat st;

    begin(JOURNAL_CODEC_ZSTD, 3000);
    for (unsigned number = 1; number <= count_packed(); number++) {
        (void)snprintf(path, sizeof(path), "%s/stream-1/%010u.pak", files.directory, number);
        ck_assert_int_eq(stat(path, &st), 0);
        bytes += (uint64_t)st.st_size;
    }
    ck_assert_uint_eq(info_now().compressed_bytes, bytes);
    checkpoint(stream, true);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, 3000, SIZE); /* it was opened */
    ck_assert_uint_eq(info_now().compressed_bytes, bytes);
    stream_destroy(stream);
}
END_TEST

/* ---- what readers hold ------------------------------------------------------------------------
 */

enum {
    READ_ENTRIES = 10000,
    READ_STEP = 250,          /* about a segment */
    READER_BYTES = 300 << 10, /* of what is packed: its window, and blocks */
    WINDOWS_BYTES = 1 << 20,
};

static void find_entry(uint64_t number)
{
    struct stream_entry entry;

    ck_assert_int_eq(stream_find(stream, (struct stream_id){ number, 0 }, &entry), 1);
    ck_assert(slice_equal(entry.fields, value_of(number, SIZE)));
}

/* _i: with a tick behind each, or all in one turn. */
START_TEST(what_readers_hold_is_counted_and_bounded)
{
    uint64_t last, most = WINDOWS_BYTES + (_i == 0 ? 0 : READER_BYTES);

    begin(JOURNAL_CODEC_LZ4, READ_ENTRIES);
    for (uint64_t number = 1; number < READ_ENTRIES; number += READ_STEP)
        find_entry(number);
    ck_assert_uint_gt(stream_store_window_bytes(store), 2 * WINDOWS_BYTES);
    stream_store_set_windows_max(store, WINDOWS_BYTES);
    settle();
    ck_assert_uint_le(stream_store_window_bytes(store), WINDOWS_BYTES);
    ck_assert_uint_gt(stream_store_window_bytes(store), WINDOWS_BYTES - 2 * READER_BYTES);
    for (uint64_t number = 2; number < READ_ENTRIES; number += READ_STEP) {
        find_entry(number);
        if (_i == 0) settle();
        ck_assert_uint_le(stream_store_window_bytes(store), most);
    }
    expect_entries(stream, 1, READ_ENTRIES, SIZE);
    stream_store_set_windows_max(store, 1); /* the one that was used last stays */
    settle();
    last = stream_store_window_bytes(store);
    ck_assert_uint_gt(last, 0);
    ck_assert_uint_le(last, READER_BYTES);
    expect_entries(stream, 1, READ_ENTRIES, SIZE);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(stream_store_window_bytes(store), 0);
}
END_TEST

/* Readers that could not read for somebody who never came back serve others. */
START_TEST(what_could_not_be_read_for_who_has_gone_is_told_to_nobody_else)
{
    enum { GONE = STREAM_READERS_MAX, STEP = READ_ENTRIES / (2 * GONE) };
    struct stream_cursor cursor;
    struct stream_entry entry;

    begin(JOURNAL_CODEC_LZ4, READ_ENTRIES);
    store->hooks.wait = NULL;
    fault_fail(files.fault, FAULT_PREAD, 1, EIO, FAULT_FROM_THEN_ON);
    for (unsigned i = 0; i < GONE; i++) {
        struct stream_id id = { 10 + i * STEP, 0 };
        stream_cursor_begin(&cursor, stream, id, STREAM_FORWARD);
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), -EAGAIN);
    }
    while (io_wait(files.io) > 0) {}
    ck_assert_uint_ge(fault_fired(files.fault), GONE);
    fault_clear(files.fault);
    for (unsigned i = 0; i < GONE; i++) {
        struct stream_id id = { 11 + i * STEP, 0 };
        int rc;
        stream_cursor_begin(&cursor, stream, id, STREAM_FORWARD);
        while ((rc = stream_cursor_next(&cursor, &entry)) == -EAGAIN)
            ck_assert_uint_gt(io_wait(files.io), 0);
        ck_assert_int_eq(rc, 1);
        ck_assert_uint_eq(entry.id.ms, id.ms);
    }
    stream_destroy(stream);
    settle();
}
END_TEST

/* Who has to wait for a reader gets one, and only a few are fetched for at a time. */
START_TEST(with_no_memory_for_more_readers_all_are_served_in_turn)
{
    enum { CURSORS = READ_ENTRIES / READ_STEP };
    struct stream_cursor cursors[CURSORS];
    bool is_done[CURSORS] = { false };
    unsigned done = 0, rounds = 0;

    begin(JOURNAL_CODEC_LZ4, READ_ENTRIES);
    find_entry(1);
    store->hooks.wait = NULL;
    stream_store_set_windows_max(store, 1);
    for (unsigned i = 0; i < CURSORS; i++)
        stream_cursor_begin(&cursors[i], stream, (struct stream_id){ 1 + i * READ_STEP, 0 },
                            STREAM_FORWARD);
    while (done < CURSORS) {
        for (unsigned i = 0; i < CURSORS; i++) {
            struct stream_entry entry;
            int rc = is_done[i] ? 0 : stream_cursor_next(&cursors[i], &entry);
            ck_assert(rc == 1 || is_done[i] || rc == -EAGAIN);
            if (rc != 1) continue;
            ck_assert_uint_eq(entry.id.ms, 1 + i * READ_STEP);
            is_done[i] = true;
            done++;
        }
        ck_assert_uint_le(io_in_flight(files.io), 8 + 1);
        ck_assert_uint_lt(++rounds, 100 * CURSORS);
        if (done < CURSORS && io_in_flight(files.io) > 0) (void)io_wait(files.io);
        (void)stream_store_tick(store, 0, 1000);
    }
    stream_destroy(stream);
}
END_TEST

START_TEST(another_codec_is_for_what_is_plain_yet)
{
    unsigned packed;

    begin(JOURNAL_CODEC_LZ4, 1000);
    packed = count_packed();
    ck_assert_uint_gt(packed, 2);
    stream_set_codec(stream, JOURNAL_CODEC_NONE);
    add_entries(stream, 1000, 3000, SIZE);
    settle();
    ck_assert_uint_eq(count_packed(), packed);
    ck_assert_uint_gt(count_segments(1), 4);
    stream_set_codec(stream, JOURNAL_CODEC_ZSTD);
    settle();
    ck_assert_uint_le(count_segments(1), PLAIN_MAX);
    expect_entries(stream, 1, 3000, SIZE);
    stream_destroy(stream);
}
END_TEST

START_TEST(what_a_checkpoint_may_set_back_into_stays_plain)
{
    unsigned packed;

    begin(JOURNAL_CODEC_LZ4, 1500);
    checkpoint(stream, true);
    packed = count_packed();
    ck_assert_uint_gt(packed, 3);
    add_entries(stream, 1500, 3000, SIZE);
    settle();
    ck_assert_uint_eq(count_packed(), packed);
    expect_entries(stream, 1, 3000, SIZE);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, 1500, SIZE);
    stream_set_codec(stream, JOURNAL_CODEC_LZ4);
    add_entries(stream, 1500, 3000, SIZE);
    checkpoint(stream, true); /* which ends further on */
    ck_assert_uint_gt(count_packed(), packed + 3);
    ck_assert_uint_le(count_segments(1), PLAIN_MAX);
    expect_entries(stream, 1, 3000, SIZE);
    stream_destroy(stream);
}
END_TEST

/* A checkpoint holds snapshots: the stream is further on when their images are written. */
START_TEST(what_a_snapshot_ends_in_stays_plain)
{
    struct stream *snapshot;
    unsigned packed;

    begin(JOURNAL_CODEC_ZSTD, 1500);
    packed = count_packed();
    stream_checkpoint_begin(store);
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    add_entries(stream, 1500, 3000, SIZE);
    settle();
    ck_assert_uint_eq(count_packed(), packed);
    write_image(snapshot);
    stream_destroy(snapshot);
    settle();
    ck_assert_uint_eq(count_packed(), packed);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, _i == 0);
    settle();
    if (_i == 0) {
        ck_assert_uint_eq(count_packed(), packed);
        stream_destroy(stream);
        restart();
        load();
        expect_entries(stream, 1, 1500, SIZE);
    } else { /* nobody may load it */
        ck_assert_uint_gt(count_packed(), packed + 3);
        expect_entries(stream, 1, 3000, SIZE);
    }
    stream_destroy(stream);
}
END_TEST

START_TEST(a_stream_that_moves_to_files_is_packed_there)
{
    files.options.memory_bytes_max = 300 << 10;
    begin(JOURNAL_CODEC_LZ4, 1000);
    ck_assert(info_now().is_in_memory);
    add_entries(stream, 1000, 3000, SIZE);
    settle();
    ck_assert(!info_now().is_in_memory);
    ck_assert_uint_gt(count_packed(), 5);
    expect_entries(stream, 1, 3000, SIZE);
    stream_destroy(stream);
}
END_TEST

START_TEST(a_copy_has_packed_segments_as_they_are)
{
    struct stream_copy *copy;
    char target[80];
    uint64_t bytes;
    int rc;

    (void)snprintf(target, sizeof(target), "%s/copy", files.directory);
    ck_assert_int_eq(mkdir(target, 0755), 0);
    begin(JOURNAL_CODEC_ZSTD, 3000);
    checkpoint(stream, true);
    ck_assert_int_eq(stream_copy_create(store, target, &copy), 0);
    ck_assert_uint_lt(stream_copy_total_bytes(copy), 300000);
    while ((rc = stream_copy_step(copy, fault_os(files.fault), 50000, &bytes)) == 1)
        ;
    ck_assert_int_eq(rc, 0);
    stream_copy_destroy(copy);
    stream_destroy(stream);
    stream_store_destroy(store);
    files.options.directory = target;
    create_store();
    load();
    expect_entries(stream, 1, 3000, SIZE);
    add_entries(stream, 3000, 3500, SIZE);
    expect_entries(stream, 1, 3500, SIZE);
    stream_destroy(stream);
}
END_TEST

START_TEST(of_a_copy_that_is_discarded_nothing_stays)
{
    struct stream_copy *copy;
    char target[80];
    uint64_t bytes;

    (void)snprintf(target, sizeof(target), "%s/copy", files.directory);
    begin(JOURNAL_CODEC_ZSTD, 3000);
    checkpoint(stream, true);
    for (unsigned steps = 1; steps < 12; steps++) {
        ck_assert_int_eq(mkdir(target, 0755), 0);
        ck_assert_int_eq(stream_copy_create(store, target, &copy), 0);
        for (unsigned i = 0; i < steps; i++)
            ck_assert_int_ge(stream_copy_step(copy, fault_os(files.fault), 10000, &bytes), 0);
        ck_assert_int_eq(stream_copy_discard(copy, os_real()), 0);
        ck_assert_int_eq(rmdir(target), 0);
        stream_copy_destroy(copy);
    }
    stream_destroy(stream);
}
END_TEST

/* Whatever fails while segments are packed: the stream is as it was, and takes entries. */
START_TEST(what_cannot_be_packed_stays_plain)
{
    static const enum fault_call calls[] = { FAULT_PWRITE, FAULT_RENAME, FAULT_UNLINK };

    begin(JOURNAL_CODEC_NONE, 2000);
    fault_fail(files.fault, calls[_i], 1, _i == 0 ? ENOSPC : EIO, FAULT_FROM_THEN_ON);
    stream_set_codec(stream, JOURNAL_CODEC_LZ4);
    settle();
    ck_assert_uint_gt(fault_fired(files.fault), 0);
    ck_assert_uint_gt(count_segments(1), 4);
    fault_clear(files.fault);
    expect_entries(stream, 1, 2000, SIZE);
    add_entries(stream, 2000, 3000, SIZE); /* segments that end then try again */
    settle();
    ck_assert_uint_le(count_segments(1), PLAIN_MAX);
    expect_entries(stream, 1, 3000, SIZE);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* Streams take turns with the only one that may be open, while they are packed. */
START_TEST(closing_does_not_wait_until_all_is_packed)
{
    enum { STREAMS = 6, ROUNDS = 20, ADDED = 150 };
    struct stream *some[STREAMS];

    files.options.open_max = 1;
    create_store();
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_create(store, &some[i]), 0);
        stream_set_codec(some[i], (enum journal_codec)(i % 3));
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < STREAMS; i++)
            add_entries(some[i], 1 + round * ADDED, 1 + (round + 1) * ADDED, SIZE);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        expect_entries(some[i], 1, 1 + ROUNDS * ADDED, SIZE);
        stream_destroy(some[i]);
    }
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

START_TEST(a_stream_that_goes_while_it_is_packed_leaves_nothing)
{
    begin(JOURNAL_CODEC_NONE, 3000);
    stream_set_codec(stream, JOURNAL_CODEC_ZSTD);
    for (int i = 0; i < _i; i++)
        ck_assert_uint_gt(io_wait(files.io), 0);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams that are packed");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);
    TCase *threads = test_suite_case(suite, "threads", setup_threads, teardown_files);

    tcase_add_loop_test(cases, segments_that_have_ended_are_packed_and_read_as_before,
                        JOURNAL_CODEC_LZ4, JOURNAL_CODEC_ZSTD + 1);
    tcase_add_test(cases, what_is_told_is_what_the_files_take);
    tcase_add_loop_test(cases, what_readers_hold_is_counted_and_bounded, 0, 2);
    tcase_add_test(cases, what_could_not_be_read_for_who_has_gone_is_told_to_nobody_else);
    tcase_add_test(cases, with_no_memory_for_more_readers_all_are_served_in_turn);
    tcase_add_test(cases, another_codec_is_for_what_is_plain_yet);
    tcase_add_test(cases, what_a_checkpoint_may_set_back_into_stays_plain);
    tcase_add_loop_test(cases, what_a_snapshot_ends_in_stays_plain, 0, 2);
    tcase_add_test(cases, a_stream_that_moves_to_files_is_packed_there);
    tcase_add_test(cases, a_copy_has_packed_segments_as_they_are);
    tcase_add_test(cases, of_a_copy_that_is_discarded_nothing_stays);
    tcase_add_loop_test(cases, what_cannot_be_packed_stays_plain, 0, 3);
    tcase_add_loop_test(cases, a_stream_that_goes_while_it_is_packed_leaves_nothing, 0, 6);
    tcase_add_test(threads, closing_does_not_wait_until_all_is_packed);
    return test_suite_run(suite);
}
