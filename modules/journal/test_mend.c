/* A journal that is damaged where it had been synced opens again, without what was given up. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/journal/mend.h"
#include "modules/journal/test_journal_fixture.h"

/* Frames [1, next) are synced; closed. */
static void make_journal(uint64_t next)
{
    open_journal();
    append_many(next - 1);
    sync_all();
    close_journal();
}

static int cut(uint64_t position)
{
    return journal_mend_cut(fault_os(fixture.fault), fixture.path, position, &fixture.report);
}

static int pass_over(uint64_t position, uint64_t *out_bytes)
{
    return journal_mend_before(fault_os(fixture.fault), fixture.path, position, out_bytes);
}

/* It opens, holds [1, next), and goes on. */
static void expect_mended(uint64_t next)
{
    open_journal();
    expect_all(1, next);
    fixture.next = next;
    append_many(100);
    close_journal();
    expect_all(1, next + 100);
    forget_boot();
    open_journal();
    close_journal();
    expect_all(1, next + 100);
}

static void expect_refused(void)
{
    ck_assert_int_eq(try_open(), -EBADMSG);
}

START_TEST(it_ends_before_the_damage)
{
    static const uint64_t damaged[] = { 1, 2, 40, 79, 1500, 2990 };
    uint64_t position, number = damaged[_i];

    make_journal(3000);
    position = position_of(number);
    damage(position, 4);
    fixture.options.verifies_all = true;
    expect_refused();
    ck_assert_int_eq(cut(0), 0);
    ck_assert_uint_eq(fixture.report.end, position);
    expect_mended(number);
}
END_TEST

START_TEST(the_first_frame_of_a_segment_may_be_the_damaged_one)
{
    uint64_t number, position;

    make_journal(3000);
    for (number = 2; journal_segment_of(position_of(number)) == 1; number++) {}
    position = position_of(number);
    ck_assert_uint_eq(position, journal_segment_start(2));
    damage(position, 4);
    fixture.options.verifies_all = true;
    expect_refused();
    ck_assert_int_eq(cut(0), 0);
    expect_mended(number);
}
END_TEST

START_TEST(what_the_owner_goes_on_from_is_never_cut)
{
    uint64_t from, bytes;

    make_journal(80);
    from = position_of(60);
    damage(position_of(40), 4);
    ck_assert_int_eq(cut(from), -EBADMSG);
    expect_refused();
    ck_assert_int_eq(pass_over(from, &bytes), 0);
    ck_assert_uint_gt(bytes, 20 * JOURNAL_FRAME_HEADER_BYTES);
    fixture.options.synced_position = from;
    open_journal();
    fixture.next = 80;
    append_many(20);
    close_journal();
    open_reader();
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, from), 0);
    for (uint64_t number = 60; number < 100; number++) {
        struct journal_entry entry;
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        ck_assert_uint_eq(entry.time_ms, number);
    }
}
END_TEST

/* It is refused as before, or done; and tried again. */
START_TEST(each_change_of_passing_over_may_fail)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM, EINTR };
    bool has_fired = true;
    unsigned failures = 0;

    for (uint64_t nth = 1; has_fired; nth++) {
        uint64_t from, bytes;
        int rc;

        fixture.next = 1;
        fixture.options.synced_position = 0;
        make_journal(80);
        from = position_of(60);
        damage(position_of(40), 4);
        fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, errors[_i], FAULT_ONCE);
        rc = pass_over(from, &bytes);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -errors[_i]);
            failures++;
            ck_assert_int_eq(pass_over(from, &bytes), 0);
        }
        fixture.options.synced_position = from;
        open_journal();
        close_journal();
        open_reader();
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, from), 0);
        expect_frames(60, 80);
        expect_end();
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        remove_files(fixture.path);
    }
    ck_assert_uint_ge(failures, 3); /* opened, written, synced */
    fixture.options.synced_position = 0;
    open_journal(); /* the fixture removes one */
}
END_TEST

START_TEST(damage_before_and_behind_are_mended_one_after_the_other)
{
    uint64_t first, last, from, behind, bytes;

    make_journal(80);
    first = position_of(10);
    last = position_of(59);
    from = position_of(60);
    behind = position_of(70);
    damage(first, 4);
    damage(last, 4);
    damage(behind, 4);
    ck_assert_int_eq(pass_over(from, &bytes), 0);
    ck_assert_int_eq(cut(from), 0);
    ck_assert_uint_eq(fixture.report.end, behind);
    fixture.options.synced_position = from;
    open_journal();
    ck_assert_uint_eq(fixture.report.end, behind);
}
END_TEST

/* As the segment of one frame that is longer than others are. */
static void make_longest(int fd)
{
    struct journal_segment_header header;
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];

    ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    ck_assert_int_eq(journal_segment_header_load(bytes, &header), 0);
    header.capacity = JOURNAL_SEGMENT_BYTES_MAX - 4096;
    journal_segment_header_store(bytes, &header);
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
}

/* What is passed over takes two frames; behind the longest there would be no room for a header. */
START_TEST(a_gap_that_one_frame_cannot_span_is_passed_over_to_its_very_end)
{
    static const uint64_t beyond[] = { 0, 8, 16, 24, 32 };
    uint64_t longest = journal_frame_bytes((1 << JOURNAL_SIZE_BITS) - JOURNAL_FRAME_ALIGN);
    uint64_t first, from, bytes;
    uint8_t behind[64];
    int fd;

    make_journal(2);
    first = position_of(1);
    damage(first, 4);
    from = first + longest + beyond[_i];
    fd = open_file(1, "log");
    make_longest(fd);
    ck_assert_int_eq(ftruncate(fd, (off_t)(journal_offset_of(from) + sizeof(behind))), 0);
    ck_assert_int_eq(pass_over(from, &bytes), 0);
    ck_assert_uint_eq(bytes, from - first);
    ck_assert_int_eq(pread(fd, behind, sizeof(behind), (off_t)journal_offset_of(from)),
                     sizeof(behind));
    for (size_t i = 0; i < sizeof(behind); i++)
        ck_assert_uint_eq(behind[i], 0); /* the owner's is not touched */
    close(fd);
    fixture.options.synced_position = from;
    open_journal();
    ck_assert_uint_eq(fixture.report.end, from);
}
END_TEST

START_TEST(segments_before_the_one_to_go_on_in_are_removed)
{
    uint64_t from, bytes;

    make_journal(3000);
    from = position_of(2900);
    ck_assert_uint_gt(journal_segment_of(from), 2);
    damage(position_of(10), 4);
    ck_assert_int_eq(pass_over(from, &bytes), 0);
    ck_assert(!file_exists(1, "log"));
    fixture.options.synced_position = from;
    fixture.options.verifies_all = true;
    open_journal();
    ck_assert_uint_eq(journal_segment_of(fixture.report.start), journal_segment_of(from));
}
END_TEST

START_TEST(what_is_not_damaged_is_left_alone)
{
    uint64_t bytes;

    make_journal(80);
    ck_assert_int_eq(cut(0), -EINVAL);
    ck_assert_int_eq(pass_over(position_of(60), &bytes), 0);
    ck_assert_uint_eq(bytes, 0);
    expect_mended(80);
}
END_TEST

START_TEST(a_damaged_header_is_not_cut_off)
{
    make_journal(3000);
    flip_byte(2, "log", 20);
    fixture.options.verifies_all = true;
    expect_refused();
    ck_assert_int_eq(cut(0), -EBADMSG);
    expect_refused();
    flip_byte(2, "log", 20); /* back: nothing was changed */
    expect_mended(3000);
}
END_TEST

START_TEST(it_is_for_journals_that_nobody_writes)
{
    uint64_t bytes;

    open_journal();
    ck_assert_int_eq(cut(0), -EWOULDBLOCK);
    ck_assert_int_eq(pass_over(0, &bytes), -EWOULDBLOCK);
}
END_TEST

/* Each call that changes something fails in turn; then it is done again. _i 1: the first frame of
 * all is damaged. */
START_TEST(it_may_be_interrupted_anywhere)
{
    uint64_t number = _i == 1 ? 1 : 40;
    bool has_fired = true;

    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;
        fixture.next = 1;
        make_journal(80);
        damage(position_of(number), 4);
        fault_fail(fixture.fault, FAULT_ANY_CHANGE, nth, EIO, FAULT_ONCE);
        rc = cut(0);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc < 0) {
            ck_assert(rc == -EIO || rc == -EBADMSG);
            rc = cut(0);
            ck_assert(rc == 0 || rc == -EINVAL); /* a tail was left of it */
        }
        open_journal();
        close_journal();
        expect_all(1, number);
        remove_files(fixture.path);
    }
    open_journal(); /* the fixture removes one */
}
END_TEST

/* ---- headers ----------------------------------------------------------------------------------
 */

static unsigned mend_headers(void)
{
    unsigned count;

    ck_assert_int_eq(journal_mend_headers(fault_os(fixture.fault), fixture.path, &count), 0);
    return count;
}

/* The first 64 bytes of segment 2. */
static void read_header(uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES])
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/0000000002.log", fixture.path);
    fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, bytes, JOURNAL_SEGMENT_HEADER_BYTES, 0),
                     JOURNAL_SEGMENT_HEADER_BYTES);
    ck_assert_int_eq(close(fd), 0);
}

static void write_header(const uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES])
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/0000000002.log", fixture.path);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, JOURNAL_SEGMENT_HEADER_BYTES, 0),
                     JOURNAL_SEGMENT_HEADER_BYTES);
    ck_assert_int_eq(close(fd), 0);
}

/* Any of its bytes, of any segment: the first one, one between, the last one. */
START_TEST(a_header_is_made_anew_where_the_first_frame_proves_whose_it_is)
{
    uint64_t last;

    fixture.options.verifies_all = true;
    make_journal(3000);
    last = journal_segment_of(position_of(2999));
    ck_assert_uint_gt(last, 3);
    ck_assert_uint_eq(mend_headers(), 0);
    for (uint64_t byte = 0; byte < JOURNAL_SEGMENT_HEADER_BYTES; byte++) {
        flip_byte(1, "log", byte);
        flip_byte(3, "log", byte);
        flip_byte(last, "log", byte);
        ck_assert_int_lt(try_open(), 0);
        ck_assert_uint_eq(mend_headers(), 3);
        ck_assert_uint_eq(mend_headers(), 0);
        expect_all(1, 3000);
    }
    expect_mended(3000);
}
END_TEST

START_TEST(a_header_stays_where_nothing_proves_whose_it_is)
{
    uint8_t before[JOURNAL_SEGMENT_HEADER_BYTES], after[JOURNAL_SEGMENT_HEADER_BYTES];

    fixture.options.verifies_all = true;
    make_journal(3000);
    flip_byte(2, "log", 20);
    flip_byte(2, "log", JOURNAL_SEGMENT_HEADER_BYTES + JOURNAL_FRAME_HEADER_BYTES);
    read_header(before);
    ck_assert_uint_eq(mend_headers(), 0);
    read_header(after);
    ck_assert_mem_eq(after, before, sizeof(after));
    expect_refused();
    flip_byte(2, "log", JOURNAL_SEGMENT_HEADER_BYTES + JOURNAL_FRAME_HEADER_BYTES);
    ck_assert_uint_eq(mend_headers(), 1);
    expect_mended(3000);
}
END_TEST

/* A whole header says what it says, also of a version that is not known here. */
START_TEST(a_header_that_is_whole_stays)
{
    uint8_t before[JOURNAL_SEGMENT_HEADER_BYTES], after[JOURNAL_SEGMENT_HEADER_BYTES];

    make_journal(3000);
    read_header(before);
    before[4]++;
    store_u32le(before + 60, crc32c(0, before, 60));
    write_header(before);
    ck_assert_uint_eq(mend_headers(), 0);
    read_header(after);
    ck_assert_mem_eq(after, before, sizeof(after));
}
END_TEST

START_TEST(making_a_header_anew_may_be_interrupted_anywhere)
{
    static const enum fault_call calls[] = { FAULT_ANY_CHANGE, FAULT_OPEN, FAULT_PREAD };
    bool has_fired = true;
    unsigned count;

    fixture.options.verifies_all = true;
    make_journal(1000);
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        flip_byte(2, "log", 20);
        fault_fail(fixture.fault, calls[_i], nth, EIO, FAULT_ONCE);
        rc = journal_mend_headers(fault_os(fixture.fault), fixture.path, &count);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert_msg(rc == 0 || rc == -EIO, "%d", rc);
        if (rc < 0) (void)mend_headers();
        expect_all(1, 1000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mending journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, it_ends_before_the_damage, 0, 6);
    tcase_add_test(cases, the_first_frame_of_a_segment_may_be_the_damaged_one);
    tcase_add_test(cases, what_the_owner_goes_on_from_is_never_cut);
    tcase_add_loop_test(cases, each_change_of_passing_over_may_fail, 0, 4);
    tcase_add_test(cases, damage_before_and_behind_are_mended_one_after_the_other);
    tcase_add_loop_test(cases, a_gap_that_one_frame_cannot_span_is_passed_over_to_its_very_end, 0,
                        5);
    tcase_add_test(cases, segments_before_the_one_to_go_on_in_are_removed);
    tcase_add_test(cases, what_is_not_damaged_is_left_alone);
    tcase_add_test(cases, a_damaged_header_is_not_cut_off);
    tcase_add_test(cases, it_is_for_journals_that_nobody_writes);
    tcase_add_loop_test(cases, it_may_be_interrupted_anywhere, 0, 2);
    tcase_add_test(cases, a_header_is_made_anew_where_the_first_frame_proves_whose_it_is);
    tcase_add_test(cases, a_header_stays_where_nothing_proves_whose_it_is);
    tcase_add_test(cases, a_header_that_is_whole_stays);
    tcase_add_loop_test(cases, making_a_header_anew_may_be_interrupted_anywhere, 0, 3);
    return test_suite_run(suite);
}
