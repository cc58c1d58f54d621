/* Segments that have ended are packed, and nobody who reads notices. */
#include "modules/journal/packer.h"
#include "modules/journal/test_journal_fixture.h"

enum { SEGMENT_FRAMES = 600 }; /* more than fit into one */

static void open_packing(enum journal_codec codec)
{
    fixture.options.settings.codec = codec;
    fixture.is_text = true;
    open_journal();
}

/* Another journal comes in its place. */
static void remove_journal(void)
{
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    remove_files(fixture.path);
    fixture.next = 1;
}

static uint64_t file_bytes(uint64_t number, const char *suffix)
{
    int fd = open_file(number, suffix);
    off_t size = lseek(fd, 0, SEEK_END);

    close(fd);
    return (uint64_t)size;
}

START_TEST(segments_that_have_ended_are_packed_and_read_as_before)
{
    fixture.options.way = (enum journal_way)(_i / 2);
    open_packing(_i % 2 ? JOURNAL_CODEC_ZSTD : JOURNAL_CODEC_LZ4);
    fill_segments(4);
    for (uint64_t number = 1; number <= 4; number++) {
        ck_assert(file_exists(number, "pak") && !file_exists(number, "log"));
        ck_assert_uint_lt(file_bytes(number, "pak"), JOURNAL_ROLL_BYTES_MIN / 2);
    }
    ck_assert(file_exists(5, "log") && !file_exists(5, "pak"));
    ck_assert_uint_eq(info_now().packed_count, 4);
    expect_all(1, fixture.next);
    close_journal();
    expect_all(1, fixture.next);
    forget_boot();
    expect_all(1, fixture.next);
    fixture.options.verifies_all = true;
    open_journal();
    ck_assert_uint_eq(fixture.report.start, journal_segment_start(1));
    append_many(SEGMENT_FRAMES);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(what_cannot_be_made_smaller_is_kept_as_it_is)
{
    open_packing(_i ? JOURNAL_CODEC_ZSTD : JOURNAL_CODEC_LZ4);
    fixture.is_text = false;
    fill_segments(2);
    ck_assert(file_exists(1, "pak"));
    ck_assert_uint_lt(file_bytes(1, "pak"), JOURNAL_ROLL_BYTES_MIN + 1024);
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(seeking_finds_frames_in_packed_segments)
{
    open_packing(JOURNAL_CODEC_ZSTD);
    fill_segments(4);
    open_reader();
    for (uint64_t number = fixture.next - 1; number > 0; number -= number > 37 ? 37 : number) {
        uint64_t position;
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
        position = journal_reader_position(fixture.reader);
        expect_frames(number, number + 1);
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, position), 0);
        expect_frames(number, number + 1);
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, position + 8), -EINVAL);
    }
}
END_TEST

/* A frame of many blocks, and a segment that is larger than others for it. */
START_TEST(a_frame_may_be_longer_than_blocks)
{
    static uint8_t bytes[1000 * 1000];
    struct slice part = slice_of(bytes, sizeof(bytes));
    struct journal_entry entry;

    open_packing(JOURNAL_CODEC_LZ4);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i / 1000);
    append_many(10);
    ck_assert_int_eq(append_slices(fixture.next++, &part, 1), 0);
    fill_segments(2);
    ck_assert(file_exists(2, "pak"));
    open_reader();
    expect_frames(1, 11);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    ck_assert(slice_equal(entry.payload, part));
    expect_frames(12, fixture.next);
}
END_TEST

START_TEST(a_reader_stays_where_it_is_while_its_segment_is_packed)
{
    open_packing(JOURNAL_CODEC_LZ4);
    append_many(20);
    publish();
    open_reader();
    expect_frames(1, 11);
    fill_segments(2);
    ck_assert(!file_exists(1, "log"));
    expect_frames(11, fixture.next);
    expect_end();
}
END_TEST

/* ---- processes --------------------------------------------------------------------------------
 */

/* In a process of its own: reads until the frame last has come. */
static void read_up_to(uint64_t last)
{
    struct journal_reader *reader;
    struct journal_entry entry;
    uint64_t number = 0;

    if (journal_reader_open(os_real(), fixture.path, &reader) < 0) _exit(2);
    while (number < last) {
        uint8_t bytes[8192];
        int rc = journal_reader_next(reader, &entry);
        if (rc == 0) rc = journal_reader_wait(reader, JOURNAL_FOREVER) == 1 ? 0 : -1;
        if (rc < 0) _exit(3);
        if (rc == 0) continue;
        if (entry.time_ms != ++number) _exit(4);
        if (!slice_equal(entry.payload, slice_of(bytes, payload_of(number, bytes)))) _exit(5);
    }
    _exit(0);
}

START_TEST(processes_read_along_while_segments_are_packed)
{
    enum { FRAMES = 20000, READERS = 3 };
    pid_t children[READERS];

    open_packing(JOURNAL_CODEC_LZ4);
    for (unsigned i = 0; i < READERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) read_up_to(FRAMES);
    }
    for (unsigned i = 0; i < FRAMES / 100; i++) {
        append_many(100);
        journal_publish(fixture.journal);
    }
    sync_all();
    ck_assert_uint_gt(info_now().packed_count, 20);
    for (unsigned i = 0; i < READERS; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    }
}
END_TEST

/* ---- crashes and failures ---------------------------------------------------------------------
 */

/* The first segment ends, and nothing has been made of it yet. */
static void end_first_segment(void)
{
    open_packing(JOURNAL_CODEC_LZ4);
    while (active_number() == 1)
        append_many(1);
    journal_publish(fixture.journal);
}

static void open_and_settle(void)
{
    if (try_open() == 0) sync_all();
}

START_TEST(a_crash_at_any_step_leaves_one_form_of_the_segment)
{
    unsigned crashes = 0;
    bool has_crashed = true;

    for (uint64_t nth = 1; has_crashed; nth++) {
        remove_journal();
        fault_fail(fixture.fault, FAULT_RENAME, 2, ENOSPC, FAULT_ONCE); /* the first is meta's */
        end_first_segment();
        settle();
        close_journal();
        fault_clear(fixture.fault);
        ck_assert(file_exists(1, "log") && !file_exists(1, "pak"));
        has_crashed = crashes_at(nth, open_and_settle);
        crashes += has_crashed;
        ck_assert(file_exists(1, "log") || file_exists(1, "pak"));
        expect_all(1, fixture.next);
        fixture.options.verifies_all = true;
        open_journal();
        ck_assert_uint_eq(info_now().last_time_ms + 1, fixture.next);
        settle();
        ck_assert(file_exists(1, "pak") && !file_exists(1, "log") && !file_exists(1, "pak.new"));
        expect_all(1, fixture.next);
        close_journal();
    }
    ck_assert_uint_gt(crashes, 40);
}
END_TEST

/* _i: giving the packed file its name, or removing the plain one. */
START_TEST(what_fails_once_is_packed_the_next_time)
{
    open_packing(JOURNAL_CODEC_ZSTD);
    fault_fail(fixture.fault, _i ? FAULT_UNLINK : FAULT_RENAME, 1, ENOSPC, FAULT_ONCE);
    fill_segments(1);
    ck_assert_uint_eq(fault_fired(fixture.fault), 1);
    ck_assert_int_eq(info_now().tend_error, -ENOSPC);
    ck_assert_uint_eq(info_now().packed_count, 0);
    expect_all(1, fixture.next);
    journal_tend(fixture.journal, 1);
    settle();
    ck_assert_int_eq(info_now().tend_error, 0);
    ck_assert_uint_eq(info_now().packed_count, 1);
    ck_assert(!file_exists(1, "log"));
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_full_disk_keeps_segments_plain_until_there_is_room)
{
    end_first_segment();
    fault_fail(fixture.fault, FAULT_PWRITE, 1, ENOSPC, FAULT_FROM_THEN_ON);
    sync_all();
    ck_assert_int_eq(info_now().tend_error, -ENOSPC);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak.new"));
    ck_assert_int_eq(journal_error(fixture.journal), 0);
    publish();
    expect_all(1, fixture.next);
    fault_clear(fixture.fault);
    journal_tend(fixture.journal, 1);
    settle();
    ck_assert_int_eq(info_now().tend_error, 0);
    ck_assert(!file_exists(1, "log") && file_exists(1, "pak"));
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(trimming_removes_packed_segments_too)
{
    open_packing(JOURNAL_CODEC_LZ4);
    fill_segments(5);
    journal_trim(fixture.journal, journal_segment_start(4) + 100);
    settle();
    ck_assert(!file_exists(3, "pak") && !file_exists(3, "idx") && file_exists(4, "pak"));
    ck_assert_uint_eq(info_now().start, journal_segment_start(4));
    fill_segments(2);
    close_journal();
    open_journal();
    ck_assert_uint_eq(fixture.report.start, journal_segment_start(4));
}
END_TEST

/* ---- damage -----------------------------------------------------------------------------------
 */

START_TEST(what_is_damaged_is_not_packed)
{
    struct journal_packer *packer;
    struct journal_settings none = { 0 };
    struct journal_places places;
    uint64_t id;
    int rc;

    open_journal();
    fill_segments(1);
    id = info_now().id;
    close_journal();
    flip_byte(1, "log", 30000);
    ck_assert_int_eq(journal_places_init(&places, fixture.path, id, &none), 0);
    ck_assert_int_eq(journal_packer_create(os_real(), &places, 1, JOURNAL_CODEC_LZ4, &packer), 0);
    do {
        rc = journal_packer_step(packer);
    } while (rc == 1);
    ck_assert_int_eq(rc, -EBADMSG);
    journal_packer_destroy(packer);
    journal_places_finish(&places);
    ck_assert(file_exists(1, "log") && !file_exists(1, "pak") && !file_exists(1, "pak.new"));
}
END_TEST

/* The frames that a reader gives before it says that there is damage, or all. */
static void expect_prefix_or_all(void)
{
    struct journal_entry entry;
    uint64_t number = 1;
    int rc = journal_reader_open(os_real(), fixture.path, &fixture.reader);

    ck_assert_int_eq(rc, 0);
    while ((rc = journal_reader_next(fixture.reader, &entry)) == 1)
        expect_frame(&entry, number++);
    if (rc == 0) ck_assert_uint_eq(number, fixture.next);
    if (rc < 0) ck_assert(rc == -EBADMSG || rc == -EPROTONOSUPPORT);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}

/* As expect_prefix_or_all, and opening refuses what readers refuse. */
static void expect_refusal(void)
{
    int rc;

    expect_prefix_or_all();
    rc = try_open();
    ck_assert_msg(rc == -EBADMSG, "%d", rc);
    ck_assert_ptr_nonnull(strstr(fixture.report.text, "0000000001.pak"));
}

static void make_packed(int codec)
{
    open_packing((enum journal_codec)codec);
    fill_segments(1);
    append_many(3);
    close_journal();
    fixture.options.verifies_all = true;
}

START_TEST(a_flipped_byte_never_gives_wrong_frames)
{
    make_packed(1 + _i % 2);
    for (uint64_t at = (uint64_t)_i; at < file_bytes(1, "pak"); at += at < 200 ? 2 : 22) {
        if (at >= 4 && at < 8) continue; /* says that it is of another version, which it would be */
        flip_byte(1, "pak", at);
        expect_refusal();
        flip_byte(1, "pak", at);
    }
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(another_version_is_refused_as_such)
{
    make_packed(JOURNAL_CODEC_LZ4);
    flip_byte(1, "pak", 4);
    ck_assert_int_eq(try_open(), -EPROTONOSUPPORT);
}
END_TEST

static void write_at(uint64_t offset, const uint8_t *bytes, size_t size)
{
    int fd = open_file(1, "pak");

    ck_assert_int_eq(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

START_TEST(zeros_and_cuts_never_give_wrong_frames)
{
    static uint8_t all[JOURNAL_ROLL_BYTES_MIN * 2], zeros[512];
    uint64_t size;
    int fd;

    make_packed(_i ? JOURNAL_CODEC_ZSTD : JOURNAL_CODEC_LZ4);
    size = file_bytes(1, "pak");
    ck_assert_uint_lt(size, sizeof(all));
    fd = open_file(1, "pak");
    ck_assert_int_eq(pread(fd, all, size, 0), (ssize_t)size);
    for (uint64_t at = 0; at < size; at += sizeof(zeros)) {
        uint64_t part = size - at < sizeof(zeros) ? size - at : sizeof(zeros);
        write_at(at, zeros, part);
        expect_refusal();
        write_at(at, all + at, part);
    }
    for (uint64_t at = 0; at < size; at += 1 + size / 97) {
        ck_assert_int_eq(ftruncate(fd, (off_t)at), 0);
        expect_refusal();
        write_at(0, all, size);
    }
    write_at(size, zeros, 1);
    expect_refusal();
    close(fd);
}
END_TEST

START_TEST(a_missing_packed_segment_is_told_of)
{
    char file[160];

    open_packing(JOURNAL_CODEC_LZ4);
    fill_segments(3);
    close_journal();
    (void)snprintf(file, sizeof(file), "%s/0000000002.pak", fixture.path);
    ck_assert_int_eq(unlink(file), 0);
    fixture.options.verifies_all = true;
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packed segments");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);
    TCase *threads = test_suite_case(suite, "threads", setup_with_threads, teardown);
    TCase *many = test_suite_case(suite, "many", setup_in_memory, teardown);

    tcase_add_loop_test(cases, segments_that_have_ended_are_packed_and_read_as_before, 0, 4);
    tcase_add_loop_test(cases, what_cannot_be_made_smaller_is_kept_as_it_is, 0, 2);
    tcase_add_test(cases, seeking_finds_frames_in_packed_segments);
    tcase_add_test(cases, a_frame_may_be_longer_than_blocks);
    tcase_add_test(cases, a_reader_stays_where_it_is_while_its_segment_is_packed);
    tcase_add_test(threads, processes_read_along_while_segments_are_packed);
    tcase_add_test(many, a_crash_at_any_step_leaves_one_form_of_the_segment);
    tcase_add_loop_test(cases, what_fails_once_is_packed_the_next_time, 0, 2);
    tcase_add_test(cases, a_full_disk_keeps_segments_plain_until_there_is_room);
    tcase_add_test(cases, trimming_removes_packed_segments_too);
    tcase_add_test(cases, what_is_damaged_is_not_packed);
    tcase_add_loop_test(many, a_flipped_byte_never_gives_wrong_frames, 0, 4);
    tcase_add_test(cases, another_version_is_refused_as_such);
    tcase_add_loop_test(many, zeros_and_cuts_never_give_wrong_frames, 0, 2);
    tcase_add_test(cases, a_missing_packed_segment_is_told_of);
    return test_suite_run(suite);
}
