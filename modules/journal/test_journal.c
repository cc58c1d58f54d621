/* What a journal promises its writer and its readers when nothing goes wrong. */
#include "modules/journal/test_journal_fixture.h"

/* Each test runs both ways: _i is the way. */
static void open_way(int way)
{
    fixture.options.way = (enum journal_way)way;
    open_journal();
}

START_TEST(frames_come_back_in_order_and_whole)
{
    open_way(_i);
    ck_assert(fixture.report.is_created);
    append_many(500);
    publish();
    expect_all(1, 501);
}
END_TEST

START_TEST(nothing_is_seen_before_it_is_published)
{
    open_way(_i);
    append_many(3);
    open_reader();
    expect_end();
    publish();
    expect_frames(1, 4);
    append_many(2);
    expect_end();
    publish();
    expect_frames(4, 6);
    expect_end();
}
END_TEST

START_TEST(a_journal_outlives_its_writer)
{
    open_way(_i);
    append_many(700);
    close_journal();
    expect_all(1, 701);
    open_journal();
    ck_assert(!fixture.report.is_created);
    ck_assert_uint_eq(fixture.report.cut_bytes, 0);
    append_many(300);
    publish();
    expect_all(1, 1001);
    expect_frames(1001, 1001);
}
END_TEST

START_TEST(segments_are_rolled_by_size)
{
    open_way(_i);
    append_many(3000);
    sync_all();
    ck_assert_uint_gt(info_now().segment_count, 5);
    ck_assert_uint_eq(info_now().roll_count, info_now().segment_count - 1);
    for (uint64_t number = 1; number <= info_now().segment_count; number++) {
        int fd = open_file(number, "log");
        struct stat status;
        ck_assert_int_eq(fstat(fd, &status), 0);
        ck_assert_int_le(status.st_size, JOURNAL_ROLL_BYTES_MIN);
        close(fd);
    }
    expect_all(1, 3001);
}
END_TEST

START_TEST(a_frame_larger_than_a_segment_has_one_of_its_own)
{
    uint8_t *bytes = calloc(1, PAYLOAD_BYTES_MAX);
    struct slice part = slice_of(bytes, PAYLOAD_BYTES_MAX);
    struct journal_entry entry;

    open_way(_i);
    append_many(10);
    memset(bytes, 0x5a, PAYLOAD_BYTES_MAX);
    ck_assert_int_eq(append_slices(fixture.next++, &part, 1), 0);
    append_many(60);
    publish();
    open_reader();
    expect_frames(1, 11);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    ck_assert(slice_equal(entry.payload, part));
    expect_frames(12, 72);
    ck_assert_uint_eq(info_now().roll_count, 2);
    free(bytes);
}
END_TEST

START_TEST(segments_are_rolled_by_time)
{
    struct slice part = SLICE_LITERAL("x");

    fixture.options.settings.roll_ms = 1000;
    open_way(_i);
    ck_assert_int_eq(append_slices(10500, &part, 1), 0);
    ck_assert_int_eq(append_slices(10999, &part, 1), 0);
    ck_assert_uint_eq(info_now().roll_count, 0);
    ck_assert_int_eq(append_slices(11000, &part, 1), 0); /* begins to make the next segment */
    settle();
    ck_assert_int_eq(append_slices(11001, &part, 1), 0);
    ck_assert_uint_eq(info_now().roll_count, 1);
    ck_assert_int_eq(append_slices(11999, &part, 1), 0);
    ck_assert_uint_eq(info_now().roll_count, 1);
}
END_TEST

START_TEST(ids_grow)
{
    struct slice part = SLICE_LITERAL("x");
    uint64_t position;

    open_way(_i);
    ck_assert_int_eq(journal_append(fixture.journal, 5, 7, &part, 1, &position), 0);
    ck_assert_int_eq(journal_append(fixture.journal, 5, 7, &part, 1, &position), -EINVAL);
    ck_assert_int_eq(journal_append(fixture.journal, 4, 9, &part, 1, &position), -EINVAL);
    ck_assert_int_eq(journal_append(fixture.journal, 5, 8, &part, 1, &position), 0);
    close_journal();
    open_journal();
    ck_assert_int_eq(journal_append(fixture.journal, 5, 8, &part, 1, &position), -EINVAL);
    ck_assert_int_eq(journal_append(fixture.journal, 6, 0, &part, 1, &position), 0);
}
END_TEST

START_TEST(settings_stay_as_the_journal_was_made)
{
    fixture.options.settings.roll_ms = 77;
    open_way(_i);
    close_journal();
    fixture.options.settings = (struct journal_settings){ .roll_bytes = 1 << 20 };
    open_journal();
    ck_assert_uint_eq(info_now().settings.roll_bytes, JOURNAL_ROLL_BYTES_MIN);
    ck_assert_uint_eq(info_now().settings.roll_ms, 77);
}
END_TEST

START_TEST(settings_that_make_no_sense_are_refused)
{
    fixture.options.settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN - 4096;
    ck_assert_int_eq(try_open(), -EINVAL);
    fixture.options.settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN + 1;
    ck_assert_int_eq(try_open(), -EINVAL);
    fixture.options.settings.roll_bytes = (uint64_t)JOURNAL_ROLL_BYTES_MAX + 4096;
    ck_assert_int_eq(try_open(), -EINVAL);
}
END_TEST

/* The directory is made; the one above it is the caller's, and what is in the way is not touched.
 */
START_TEST(a_path_that_cannot_be_is_refused_and_nothing_is_made)
{
    static const char text[] = "somebody else's";
    char path[160], read_back[sizeof(text)] = "";
    int fd;

    (void)snprintf(path, sizeof(path), "%s/missing/j", fixture.directory);
    fixture.options.path = path;
    ck_assert_int_eq(try_open(), -ENOENT);
    (void)snprintf(path, sizeof(path), "%s/missing", fixture.directory);
    ck_assert_int_eq(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s/file", fixture.directory);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(fd, text, sizeof(text)), sizeof(text));
    ck_assert_int_eq(try_open(), -ENOTDIR);
    ck_assert_int_eq(pread(fd, read_back, sizeof(read_back), 0), sizeof(text));
    ck_assert_str_eq(read_back, text);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(unlink(path), 0);
    fixture.options.path = fixture.path;
    open_journal(); /* the fixture removes it */
}
END_TEST

START_TEST(a_second_writer_is_refused)
{
    struct journal *first;

    open_way(_i);
    first = fixture.journal;
    ck_assert_int_eq(try_open(), -EWOULDBLOCK);
    fixture.journal = first;
}
END_TEST

START_TEST(a_payload_above_the_limit_is_refused)
{
    uint8_t byte = 0;
    struct slice parts[2] = { slice_of(&byte, JOURNAL_PAYLOAD_BYTES_MAX), slice_of(&byte, 1) };
    uint64_t position;

    open_way(_i);
    ck_assert_int_eq(journal_append(fixture.journal, 1, 1, parts, 2, &position), -EMSGSIZE);
    parts[1].size = SIZE_MAX;
    ck_assert_int_eq(journal_append(fixture.journal, 1, 1, parts, 2, &position), -EMSGSIZE);
}
END_TEST

START_TEST(what_was_reserved_can_be_appended_without_waiting)
{
    open_way(_i);
    for (unsigned round = 0; round < 200; round++) {
        uint64_t bytes = 0, position;
        uint8_t payload[8192];
        int rc;
        for (uint64_t number = fixture.next; number < fixture.next + 20; number++)
            bytes += journal_frame_bytes(payload_of(number, payload));
        while ((rc = journal_reserve(fixture.journal, bytes)) == -EAGAIN)
            ck_assert_int_eq(journal_wait(fixture.journal), 0);
        ck_assert_int_eq(rc, 0);
        journal_sync(fixture.journal); /* its note must not eat what was promised */
        for (unsigned i = 0; i < 20; i++) {
            struct slice part = slice_of(payload, payload_of(fixture.next, payload));
            rc = journal_append(fixture.journal, fixture.next++, 0, &part, 1, &position);
            ck_assert_int_eq(rc, 0);
        }
    }
    publish();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_sync_covers_what_was_appended_before_it)
{
    open_way(_i);
    append_many(100);
    ck_assert_uint_lt(journal_synced(fixture.journal), journal_appended(fixture.journal));
    sync_all();
    append_many(100);
    sync_all();
    sync_all(); /* nothing to do, and no note for nothing */
    ck_assert_uint_eq(journal_synced(fixture.journal), journal_appended(fixture.journal));
    expect_all(1, 201);
}
END_TEST

START_TEST(with_publish_synced_readers_see_what_is_on_the_device)
{
    fixture.options.publish = JOURNAL_PUBLISH_SYNCED;
    open_way(_i);
    append_many(10);
    publish();
    expect_all(1, 1);
    sync_all();
    expect_all(1, 11);
}
END_TEST

START_TEST(syncs_that_queue_behind_one_are_one)
{
    uint64_t before;

    open_way(_i);
    append_many(10);
    before = info_now().sync_count;
    journal_sync(fixture.journal);
    for (unsigned i = 0; i < 50; i++) {
        append_many(1);
        journal_sync(fixture.journal);
    }
    settle();
    ck_assert_uint_eq(info_now().sync_count - before, 2);
    ck_assert_uint_eq(journal_synced(fixture.journal), journal_appended(fixture.journal));
}
END_TEST

START_TEST(trimming_drops_whole_segments_below)
{
    struct journal_entry entry;
    uint64_t position, start;

    open_way(_i);
    append_many(2000);
    sync_all();
    position = journal_appended(fixture.journal);
    journal_trim(fixture.journal, position);
    settle();
    ck_assert_uint_eq(info_now().segment_count, 1);
    ck_assert(!file_exists(1, "log"));
    ck_assert(!file_exists(1, "idx"));
    start = info_now().start;
    open_reader();
    ck_assert_uint_eq(journal_reader_position(fixture.reader), start);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    expect_frames(entry.time_ms + 1, 2001);
    expect_end();
    close_journal();
    open_journal();
    ck_assert_uint_eq(info_now().start, start);
    append_many(5);
}
END_TEST

START_TEST(a_small_journal_reserves_little)
{
    open_way(_i);
    append_many(5);
    settle();
    ck_assert_uint_le(info_now().reserved_bytes, 160 << 10);
    close_journal();
    {
        int fd = open_file(1, "log");
        struct stat status;
        ck_assert_int_eq(fstat(fd, &status), 0);
        ck_assert_int_lt(status.st_size, 4096);
        close(fd);
    }
    ck_assert(!file_exists(2, "log"));
}
END_TEST

static uint64_t zero_bytes; /* that were written in pieces of nothing else */

static ssize_t pwrite_counting_zeros(struct os *os, int fd, const void *bytes, size_t size,
                                     uint64_t offset)
{
    const uint8_t *b = bytes;

    if (size > 0 && b[0] == 0 && memcmp(b, b + 1, size - 1) == 0) zero_bytes += size;
    return os_real()->pwrite(os, fd, bytes, size, offset);
}

/* Frames of a buffered journal over several windows, and a sync for so many of them at a time. */
static uint64_t zeros_of(uint64_t frames_a_sync)
{
    enum { FRAMES = 8000 };
    struct os os = *os_real();

    os.pwrite = pwrite_counting_zeros;
    io_destroy(fixture.io);
    ck_assert_int_eq(io_create(&os, 0, &fixture.io), 0);
    fixture.options.way = JOURNAL_BUFFERED;
    fixture.options.settings.roll_bytes = 16 << 20;
    ck_assert_int_eq(
        journal_open(&os, fixture.io, &fixture.options, &fixture.report, &fixture.journal), 0);
    append_many(1);
    sync_all();
    zero_bytes = 0;
    for (uint64_t i = 0; i < FRAMES / frames_a_sync; i++) {
        append_many(frames_a_sync);
        sync_all();
    }
    close_journal();
    io_destroy(fixture.io);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
    open_reader();
    expect_frames(1, FRAMES + 1);
    return zero_bytes;
}

START_TEST(room_is_written_ahead_where_little_is_synced_at_a_time)
{
    ck_assert_uint_gt(zeros_of(10), 1 << 20);
}
END_TEST

START_TEST(room_is_not_written_twice_where_much_is_synced_at_a_time)
{
    ck_assert_uint_lt(zeros_of(1000), 512 << 10); /* before it was known that it is much */
}
END_TEST

/* A sync write-protects what it writes, and what the kernel holds in one piece with it. */
START_TEST(room_is_touched_again_behind_a_sync)
{
    uint64_t before;

    open_way(JOURNAL_MAPPED);
    append_many(10);
    settle();
    before = fault_count(fixture.fault, FAULT_POPULATE);
    fault_fail(fixture.fault, FAULT_POPULATE, 1, ENOMEM, FAULT_ONCE); /* it is for speed only */
    sync_all();
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_POPULATE), before + 1);
    append_many(10);
    sync_all();
    close_journal();
    expect_all(1, 21);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);
    TCase *quick = test_suite_case(suite, "without a device", setup_in_memory, teardown);

    tcase_add_loop_test(cases, frames_come_back_in_order_and_whole, 0, 2);
    tcase_add_loop_test(cases, nothing_is_seen_before_it_is_published, 0, 2);
    tcase_add_loop_test(cases, a_journal_outlives_its_writer, 0, 2);
    tcase_add_loop_test(cases, segments_are_rolled_by_size, 0, 2);
    tcase_add_loop_test(cases, a_frame_larger_than_a_segment_has_one_of_its_own, 0, 2);
    tcase_add_loop_test(cases, segments_are_rolled_by_time, 0, 2);
    tcase_add_loop_test(cases, ids_grow, 0, 2);
    tcase_add_loop_test(cases, settings_stay_as_the_journal_was_made, 0, 2);
    tcase_add_test(cases, settings_that_make_no_sense_are_refused);
    tcase_add_test(cases, a_path_that_cannot_be_is_refused_and_nothing_is_made);
    tcase_add_loop_test(cases, a_second_writer_is_refused, 0, 2);
    tcase_add_loop_test(cases, a_payload_above_the_limit_is_refused, 0, 2);
    tcase_add_loop_test(cases, what_was_reserved_can_be_appended_without_waiting, 0, 2);
    tcase_add_loop_test(cases, a_sync_covers_what_was_appended_before_it, 0, 2);
    tcase_add_loop_test(cases, with_publish_synced_readers_see_what_is_on_the_device, 0, 2);
    tcase_add_loop_test(cases, syncs_that_queue_behind_one_are_one, 0, 2);
    tcase_add_loop_test(cases, trimming_drops_whole_segments_below, 0, 2);
    tcase_add_loop_test(cases, a_small_journal_reserves_little, 0, 2);
    tcase_add_test(quick, room_is_touched_again_behind_a_sync);
    tcase_add_test(quick, room_is_written_ahead_where_little_is_synced_at_a_time);
    tcase_add_test(quick, room_is_not_written_twice_where_much_is_synced_at_a_time);
    return test_suite_run(suite);
}
