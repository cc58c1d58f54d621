/* Journals that give their files back while nobody appends to them, a bound on how many have theirs
 * open, and what gives its memory back behind the writer. */
#include "modules/journal/journal_set.h"
#include "modules/journal/segment.h"
#include "modules/journal/test_journal_fixture.h"

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static unsigned descriptor_count(void)
{
    return count_entries("/proc/self/fd");
}

/* Of files in the fixture's directory. */
static unsigned mapping_count(void)
{
    char line[1000];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, fixture.directory) != NULL;
    (void)fclose(maps);
    return count;
}

/* _i is the way. */
START_TEST(a_journal_rests_and_wakes_with_nothing_lost)
{
    unsigned descriptors;

    fixture.options.way = (enum journal_way)_i;
    open_journal();
    for (unsigned round = 0; round < 5; round++) {
        append_many(700);
        journal_publish(fixture.journal);
        descriptors = descriptor_count();
        journal_rest(fixture.journal);
        settle();
        ck_assert(info_now().is_resting);
        ck_assert_uint_eq(mapping_count(), 0);
        ck_assert_uint_lt(descriptor_count(), descriptors);
        ck_assert_uint_eq(journal_synced(fixture.journal), journal_appended(fixture.journal));
        ck_assert_uint_eq(info_now().reserved_bytes, 0);
        expect_all(1, fixture.next);
        journal_reader_close(fixture.reader); /* which has mappings of its own */
        fixture.reader = NULL;
    }
    append_many(1);
    ck_assert(!info_now().is_resting);
    publish();
    expect_all(1, fixture.next);
    journal_rest(fixture.journal);
    settle();
    close_journal();
    expect_all(1, fixture.next);
    open_journal();
    ck_assert_uint_eq(fixture.report.cut_bytes, 0);
}
END_TEST

START_TEST(who_is_used_does_not_rest)
{
    open_journal();
    append_many(10);
    journal_rest(fixture.journal); /* which begins with a sync */
    append_many(1);
    settle();
    ck_assert(!info_now().is_resting);
    publish();
    expect_all(1, 12);
}
END_TEST

START_TEST(what_is_asked_of_one_that_rests_does_no_harm)
{
    open_journal();
    append_many(2000);
    journal_rest(fixture.journal);
    settle();
    ck_assert(info_now().is_resting);
    publish();
    sync_all();
    journal_rest(fixture.journal);
    journal_tend(fixture.journal, 1);
    journal_trim(fixture.journal, journal_appended(fixture.journal));
    settle();
    ck_assert(info_now().is_resting);
    ck_assert_uint_gt(info_now().start, journal_segment_start(1));
    ck_assert_int_eq(journal_reserve(fixture.journal, 1000), -EAGAIN);
    settle();
    ck_assert_int_eq(journal_reserve(fixture.journal, 1000), 0);
    append_many(2000);
    sync_all();
}
END_TEST

START_TEST(a_period_that_ended_meanwhile_ends_the_segment)
{
    fixture.options.settings.roll_ms = 100;
    open_journal();
    append_many(50);
    journal_rest(fixture.journal);
    settle();
    fixture.next = 1050;
    append_many(1);
    settle();
    append_many(1);
    publish();
    ck_assert_uint_eq(journal_segment_of(journal_appended(fixture.journal)), 2);
    open_reader();
    expect_frames(1, 51);
    expect_frames(1050, 1052);
}
END_TEST

START_TEST(waking_that_fails_is_told_and_tried_again)
{
    unsigned failures = 0;
    bool has_fired = true;

    open_journal();
    append_many(10);
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;
        journal_rest(fixture.journal);
        settle();
        ck_assert(info_now().is_resting);
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = append_next();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EIO);
            ck_assert(info_now().is_resting);
            failures++;
            append_many(1);
        }
    }
    ck_assert_uint_gt(failures, 8);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

/* ---- many -------------------------------------------------------------------------------------
 */

enum { JOURNALS = 20, OPEN_MAX = 4 };

static struct {
    struct journal *journals[JOURNALS];
    char paths[JOURNALS][120];
    uint64_t counts[JOURNALS];
} many;

static void append_to(unsigned which)
{
    uint64_t position, number = ++many.counts[which];
    uint8_t bytes[8192];
    struct slice part = slice_of(bytes, payload_of(number, bytes));
    int rc;

    while ((rc = journal_append(many.journals[which], number, 0, &part, 1, &position)) == -EAGAIN)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
    ck_assert_int_eq(rc, 0);
    journal_publish(many.journals[which]);
}

START_TEST(a_set_keeps_few_of_many_journals_open)
{
    struct journal_set *set;
    uint64_t state = 1;

    ck_assert_int_eq(journal_set_create(OPEN_MAX, &set), 0);
    fixture.options.set = set;
    for (unsigned i = 0; i < JOURNALS; i++) {
        (void)snprintf(many.paths[i], sizeof(many.paths[i]), "%s-%u", fixture.path, i);
        fixture.options.path = many.paths[i];
        open_journal();
        many.journals[i] = fixture.journal;
        append_to(i);
    }
    fixture.journal = NULL;
    for (unsigned i = 0; i < 3000; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        append_to((unsigned)(state >> 33) % JOURNALS);
        while (io_in_flight(fixture.io) > 0)
            (void)io_wait(fixture.io);
        /* One more while the hand goes round. */
        ck_assert_uint_le(journal_set_open_count(set), OPEN_MAX + 1);
    }
    ck_assert_uint_le(mapping_count(), 4 * (OPEN_MAX + 1));
    for (unsigned i = 0; i < JOURNALS; i++) {
        ck_assert_int_eq(journal_close(many.journals[i]), 0);
        (void)snprintf(fixture.path, sizeof(fixture.path), "%.90s", many.paths[i]);
        expect_all(1, many.counts[i] + 1);
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        if (i + 1 < JOURNALS) remove_files(fixture.path);
    }
    ck_assert_uint_eq(journal_set_open_count(set), 0);
    journal_set_destroy(set);
}
END_TEST

/* What was written before is not made dirty again, neither by waking nor by opening. */
START_TEST(only_the_end_of_a_segment_is_touched_when_it_is_opened)
{
    enum { SEGMENT_BYTES = 16 << 20, PIECES_MAX = (JOURNAL_WARM_BYTES >> 18) + 2 };
    uint64_t before;

    fixture.options.settings.roll_bytes = SEGMENT_BYTES;
    open_journal();
    while (journal_offset_of(journal_appended(fixture.journal)) < SEGMENT_BYTES / 2)
        append_many(100);
    journal_rest(fixture.journal);
    settle();
    ck_assert(info_now().is_resting);
    before = fault_count(fixture.fault, FAULT_POPULATE);
    ck_assert_int_eq(append_next(), 0);
    ck_assert_uint_le(fault_count(fixture.fault, FAULT_POPULATE) - before, PIECES_MAX);
    close_journal();
    before = fault_count(fixture.fault, FAULT_POPULATE);
    open_journal();
    ck_assert_uint_le(fault_count(fixture.fault, FAULT_POPULATE) - before, PIECES_MAX);
    expect_all(1, fixture.next);
}
END_TEST

/* ---- what lies behind the writer ----------------------------------------------------------------
 */

enum {
    ENDED_BYTES = 1 << 20,
    FAR_FRAMES = 40000,
    FAR_BYTES = 8 << 20 /* that these take, at least */
};

/* What the kernel was told of the one segment there is. */
static struct {
    uint64_t taken_end, written_end, dropped_end;
    unsigned drop_count;
} told;

/* What is stored next, and what readers on the writer's thread want to find, is left alone. */
static void expect_behind(uint64_t end)
{
    ck_assert_uint_le(end + JOURNAL_WARM_BYTES,
                      journal_offset_of(journal_appended(fixture.journal)));
}

static int watch_taken(struct os *os, void *address, size_t size)
{
    (void)os;
    ck_assert_uint_eq(size % JOURNAL_TOUCH_BYTES, 0); /* what the kernel holds in one piece */
    told.taken_end += size;
    expect_behind(told.taken_end);
    ck_assert_int_eq(os_real()->unpopulate(os_real(), address, size), 0); /* no page is pinned */
    return 0;
}

static int watch_advice(struct os *os, int fd, uint64_t offset, uint64_t size,
                        enum os_advice advice)
{
    (void)os;
    if (advice == OS_ADVICE_WRITE) {
        ck_assert_uint_eq(offset, told.written_end);
        ck_assert_uint_eq(offset + size, told.taken_end); /* before it is written */
        told.written_end = offset + size;
    }
    if (advice == OS_ADVICE_DROP) {
        ck_assert_uint_eq(offset, 0);
        ck_assert_uint_le(size, told.taken_end);
        told.dropped_end = size;
        told.drop_count++;
    }
    return os_real()->advise(os_real(), fd, offset, size, advice);
}

static void open_far(enum journal_way way)
{
    memset(&told, 0, sizeof(told));
    fixture.options.settings.roll_bytes = 32 << 20;
    fixture.options.way = way;
    open_journal();
    fault_os(fixture.fault)->unpopulate = watch_taken;
    fault_os(fixture.fault)->advise = watch_advice;
}

START_TEST(what_lies_behind_the_writer_goes_to_the_device_unasked)
{
    open_far(JOURNAL_MAPPED);
    append_many(FAR_FRAMES);
    settle();
    ck_assert_uint_ge(journal_offset_of(journal_appended(fixture.journal)), FAR_BYTES);
    ck_assert_uint_ge(told.written_end, FAR_BYTES / 2);
    ck_assert_uint_eq(told.drop_count, 0);
    ck_assert_uint_eq(info_now().sync_count, 0);
    sync_all();
    append_many(10);
    publish();
    close_journal();
    expect_all(1, FAR_FRAMES + 11);
}
END_TEST

/* _i 1: and what is ahead of the writer stays there. */
START_TEST(what_nobody_reads_leaves_memory_once_it_is_written)
{
    fixture.options.pins_room = _i == 1;
    fixture.options.drops_written = true;
    open_far(JOURNAL_MAPPED);
    append_many(FAR_FRAMES);
    settle();
    ck_assert_uint_gt(told.dropped_end, 0);
    ck_assert_uint_lt(told.dropped_end, told.written_end);
    sync_all();
    ck_assert_uint_eq(told.dropped_end, told.taken_end);
    close_journal();
    expect_all(1, FAR_FRAMES + 1);
}
END_TEST

/* A segment that has ended is taken out whole, with its last page. */
START_TEST(a_segment_that_has_ended_leaves_memory_whole)
{
    fixture.options.pins_room = _i == 1;
    fixture.options.drops_written = true;
    fixture.options.settings.roll_bytes = ENDED_BYTES;
    open_journal();
    memset(&told, 0, sizeof(told));
    told.taken_end = ENDED_BYTES;
    fault_os(fixture.fault)->advise = watch_advice;
    fill_segments(1);
    ck_assert_uint_gt(told.dropped_end, ENDED_BYTES - 10000);
    fill_segments(2);
    ck_assert_uint_eq(told.drop_count, 3);
    close_journal();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(buffers_are_in_no_mapping)
{
    fixture.options.drops_written = true;
    open_far(JOURNAL_BUFFERED);
    append_many(FAR_FRAMES);
    sync_all();
    ck_assert_uint_eq(told.taken_end, 0);
    ck_assert_uint_eq(told.drop_count, 0);
    close_journal();
    expect_all(1, FAR_FRAMES + 1);
}
END_TEST

/* It is for speed only. */
START_TEST(what_cannot_be_written_early_is_written_by_a_sync)
{
    fixture.options.drops_written = true;
    fixture.options.settings.roll_bytes = 4 << 20;
    open_journal();
    fault_fail(fixture.fault, FAULT_UNPOPULATE, 1, ENOMEM, FAULT_FROM_THEN_ON);
    fault_fail(fixture.fault, FAULT_ADVISE, 1, EIO, FAULT_FROM_THEN_ON);
    append_many(FAR_FRAMES);
    sync_all();
    ck_assert_uint_gt(fault_count(fixture.fault, FAULT_UNPOPULATE), 0);
    ck_assert_uint_gt(fault_count(fixture.fault, FAULT_ADVISE), 0);
    ck_assert_int_eq(journal_error(fixture.journal), 0);
    close_journal();
    expect_all(1, FAR_FRAMES + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resting journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, a_journal_rests_and_wakes_with_nothing_lost, 0, 2);
    tcase_add_test(cases, who_is_used_does_not_rest);
    tcase_add_test(cases, what_is_asked_of_one_that_rests_does_no_harm);
    tcase_add_test(cases, a_period_that_ended_meanwhile_ends_the_segment);
    tcase_add_test(cases, waking_that_fails_is_told_and_tried_again);
    tcase_add_test(cases, a_set_keeps_few_of_many_journals_open);
    tcase_add_test(cases, only_the_end_of_a_segment_is_touched_when_it_is_opened);
    tcase_add_test(cases, what_lies_behind_the_writer_goes_to_the_device_unasked);
    tcase_add_loop_test(cases, what_nobody_reads_leaves_memory_once_it_is_written, 0, 2);
    tcase_add_loop_test(cases, a_segment_that_has_ended_leaves_memory_whole, 0, 2);
    tcase_add_test(cases, buffers_are_in_no_mapping);
    tcase_add_test(cases, what_cannot_be_written_early_is_written_by_a_sync);
    return test_suite_run(suite);
}
