/* A journal is looked through without being changed; of a tail it is told what is in it. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/journal/check.h"
#include "modules/journal/test_journal_fixture.h"

static struct {
    struct journal_check check;
    uint64_t next; /* number that the next frame must have */
    uint64_t positions[4000];
    uint64_t behind[4000]; /* numbers of the frames behind the end */
    unsigned behind_count;
} seen;

static int see(void *context, uint64_t position, uint64_t time_ms, struct slice payload,
               bool is_behind_end)
{
    uint8_t bytes[8192];

    (void)context;
    ck_assert(slice_equal(payload, slice_of(bytes, payload_of(time_ms, bytes))));
    if (is_behind_end) {
        seen.behind[seen.behind_count++] = time_ms;
        return 1;
    }
    ck_assert_uint_eq(time_ms, seen.next);
    seen.positions[seen.next++] = position;
    return 1; /* goes on */
}

static int check_synced(uint64_t synced)
{
    memset(&seen, 0, sizeof(seen));
    seen.next = 1;
    return journal_check(fault_os(fixture.fault), fixture.path, synced, see, NULL, &seen.check);
}

static void check(void)
{
    int rc = check_synced(0);

    ck_assert_msg(rc == 0, "%d %s", rc, seen.check.text);
    ck_assert_uint_eq(seen.check.frame_count, seen.next - 1);
    ck_assert_uint_eq(seen.check.tail_frame_count, seen.behind_count);
}

/* Frames [1, synced) are synced, [synced, next) are not; closed. */
static void make_journal(uint64_t synced, uint64_t next)
{
    open_journal();
    append_many(synced - 1);
    sync_all();
    append_many(next - synced);
    publish();
    close_journal();
}

START_TEST(a_whole_journal_is_told_frame_by_frame)
{
    fixture.options.settings.codec = (enum journal_codec)_i;
    make_journal(3000, 3500);
    check();
    ck_assert_uint_eq(seen.next, 3500);
    ck_assert_uint_eq(seen.check.tail_bytes, 0);
    ck_assert(!seen.check.is_corrupt);
    ck_assert_uint_eq(seen.check.first_segment, 1);
    ck_assert_uint_gt(seen.check.last_segment, 3);
}
END_TEST

START_TEST(of_a_tail_the_whole_frames_are_told)
{
    uint64_t end;

    make_journal(50, 80);
    check();
    ck_assert_uint_eq(seen.next, 80);
    end = seen.positions[60];
    damage(end, 4);
    damage(seen.positions[62], 4);
    check();
    ck_assert(!seen.check.is_corrupt);
    ck_assert_uint_eq(seen.next, 60);
    ck_assert_uint_eq(seen.check.end, end);
    ck_assert_uint_gt(seen.check.tail_bytes, 0);
    ck_assert_uint_eq(seen.behind_count, 18);
    ck_assert_uint_eq(seen.behind[0], 61);
    ck_assert_uint_eq(seen.behind[1], 63);
    ck_assert_uint_eq(seen.behind[17], 79);
}
END_TEST

START_TEST(damage_of_what_was_synced_is_told_with_its_place)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    make_journal(50, 80);
    check();
    damage(seen.positions[40], 4);
    journal_check_place(seen.positions[40], place);
    check();
    ck_assert(seen.check.is_corrupt);
    ck_assert_ptr_nonnull(strstr(seen.check.text, place));
    ck_assert_uint_eq(seen.next, 40);
    ck_assert_uint_eq(seen.behind_count, 39);
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

START_TEST(what_the_caller_knows_counts)
{
    make_journal(50, 80);
    check();
    damage(seen.positions[60], 4);
    ck_assert_int_eq(check_synced(seen.positions[70]), 0);
    ck_assert(seen.check.is_corrupt);
}
END_TEST

START_TEST(whether_a_frame_begins_where_the_caller_knows_is_told)
{
    uint64_t end, inside;

    make_journal(3000, 3100);
    check();
    ck_assert(!seen.check.has_synced_place);
    end = seen.check.end;
    inside = seen.positions[30] + JOURNAL_FRAME_ALIGN;
    ck_assert_int_eq(check_synced(seen.positions[30]), 0);
    ck_assert(seen.check.has_synced_place);
    ck_assert_int_eq(check_synced(inside), 0);
    ck_assert(!seen.check.has_synced_place);
    ck_assert_int_eq(check_synced(end), 0);
    ck_assert(seen.check.has_synced_place);
    ck_assert_int_eq(check_synced(journal_segment_start(2)), 0);
    ck_assert(seen.check.has_synced_place);
    ck_assert(!seen.check.is_corrupt);
}
END_TEST

/* Gives a frame another time and a checksum that fits to it. */
static void redate(uint64_t position, uint64_t time_ms)
{
    uint64_t number = journal_segment_of(position), offset = journal_offset_of(position);
    uint8_t bytes[8192];
    struct journal_segment_header header;
    struct journal_frame frame;
    int fd = open_file(number, "log");

    ck_assert_int_gt(pread(fd, bytes, sizeof(bytes), 0), JOURNAL_SEGMENT_HEADER_BYTES);
    ck_assert_int_eq(journal_segment_header_load(bytes, &header), 0);
    ck_assert_int_gt(pread(fd, bytes, sizeof(bytes), (off_t)offset), JOURNAL_FRAME_HEADER_BYTES);
    ck_assert_int_eq(journal_frame_load(bytes, &frame), 0);
    frame.time_ms = time_ms;
    frame.crc32c = crc32c(journal_frame_crc(journal_seed(header.journal, number), offset, &frame),
                          bytes + JOURNAL_FRAME_HEADER_BYTES, frame.payload_bytes);
    store_u32le(bytes + 4, frame.crc32c);
    store_u64le(bytes + 8, frame.time_ms);
    ck_assert_int_eq(pwrite(fd, bytes, JOURNAL_FRAME_HEADER_BYTES, (off_t)offset),
                     JOURNAL_FRAME_HEADER_BYTES);
    close(fd);
}

START_TEST(frames_that_are_not_in_order_are_told)
{
    uint64_t position;

    make_journal(3000, 3100);
    check();
    ck_assert_uint_eq(seen.check.unordered_position, 0);
    position = seen.positions[40];
    redate(position, 39); /* as the one before it */
    ck_assert_int_eq(
        journal_check(fault_os(fixture.fault), fixture.path, 0, NULL, NULL, &seen.check), 0);
    ck_assert(!seen.check.is_corrupt);
    ck_assert_uint_eq(seen.check.frame_count, 3099);
    ck_assert_uint_eq(seen.check.unordered_position, position);
}
END_TEST

START_TEST(a_damaged_header_hides_nothing_of_the_other_segments)
{
    make_journal(3000, 3001);
    flip_byte(2, "log", 16);
    check();
    ck_assert(seen.check.is_corrupt);
    ck_assert_uint_eq(journal_segment_of(seen.check.end), 2);
    ck_assert_uint_gt(seen.next, 100);
    ck_assert_uint_gt(seen.behind_count, 1000);
    ck_assert_uint_eq(seen.behind[seen.behind_count - 1], 3000);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_told)
{
    char path[160];

    make_journal(3000, 3001);
    (void)snprintf(path, sizeof(path), "%s/0000000002.log", fixture.path);
    ck_assert_int_eq(unlink(path), 0);
    check();
    ck_assert(seen.check.is_corrupt);
    ck_assert_uint_eq(seen.check.end, journal_segment_start(2));
    ck_assert_uint_gt(seen.behind_count, 1000);
}
END_TEST

START_TEST(a_stray_file_far_away_is_come_to)
{
    make_journal(3000, 3001);
    make_stray();
    check();
    ck_assert_uint_eq(seen.next, 3001);
    ck_assert_uint_eq(seen.check.last_segment, STRAY_NUMBER);
    ck_assert(!seen.check.is_corrupt);
}
END_TEST

/* Any garbage behind the end: it is a tail, and is gone through in no time. */
START_TEST(garbage_is_gone_through)
{
    static uint8_t garbage[1 << 20];
    uint64_t state = (uint64_t)_i + 1;
    int fd;

    make_journal(50, 51);
    check();
    for (size_t i = 0; i < sizeof(garbage); i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        garbage[i] = (uint8_t)(state >> 56);
    }
    fd = open_file(1, "log");
    ck_assert_int_eq(pwrite(fd, garbage, 20000, (off_t)journal_offset_of(seen.check.end)), 20000);
    close(fd);
    check();
    ck_assert_uint_eq(seen.next, 51);
    ck_assert_uint_ge(seen.check.tail_bytes, 19000);
    ck_assert_uint_eq(seen.behind_count, 0);
}
END_TEST

START_TEST(nothing_is_changed_and_errors_are_told)
{
    uint64_t nth;
    bool has_fired = true;

    make_journal(300, 400);
    for (nth = 1; has_fired; nth++) {
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = check_synced(0);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (!has_fired) ck_assert_int_eq(rc, 0);
        if (rc < 0) ck_assert(rc == -EIO || rc == -EBADMSG);
    }
    ck_assert_uint_gt(nth, 8);
    ck_assert_uint_eq(seen.next, 400);
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_UNLINK), 0);
}
END_TEST

START_TEST(where_there_is_none_that_is_told)
{
    ck_assert_int_eq(check_synced(0), -ENOENT);
    open_journal();
    close_journal();
    check();
    ck_assert_uint_eq(seen.check.frame_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal check");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, a_whole_journal_is_told_frame_by_frame, JOURNAL_CODEC_NONE,
                        JOURNAL_CODEC_ZSTD + 1);
    tcase_add_test(cases, of_a_tail_the_whole_frames_are_told);
    tcase_add_test(cases, damage_of_what_was_synced_is_told_with_its_place);
    tcase_add_test(cases, what_the_caller_knows_counts);
    tcase_add_test(cases, whether_a_frame_begins_where_the_caller_knows_is_told);
    tcase_add_test(cases, frames_that_are_not_in_order_are_told);
    tcase_add_test(cases, a_damaged_header_hides_nothing_of_the_other_segments);
    tcase_add_test(cases, a_segment_that_is_gone_is_told);
    tcase_add_test(cases, a_stray_file_far_away_is_come_to);
    tcase_add_loop_test(cases, garbage_is_gone_through, 0, 4);
    tcase_add_test(cases, nothing_is_changed_and_errors_are_told);
    tcase_add_test(cases, where_there_is_none_that_is_told);
    return test_suite_run(suite);
}
