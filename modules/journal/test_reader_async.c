/* A reader on the thread that must not wait. Jobs run only inside io_poll and io_wait here, so what
 * a call does itself can be counted. */
#include "modules/journal/test_journal_fixture.h"

enum { SOME_MAX = 30 };

static unsigned ready_count;

static void note_ready(void *context)
{
    ck_assert_ptr_eq(context, &ready_count);
    ready_count++;
}

static void open_async(void)
{
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    ck_assert_int_eq(
        journal_reader_open_async(fixture.journal, note_ready, &ready_count, &fixture.reader), 0);
}

/* System calls so far but the one that does not wait. */
static uint64_t waiting_calls(void)
{
    uint64_t count = 0;

    for (unsigned call = 0; call < FAULT_CALL_COUNT; call++) {
        if (call != FAULT_PREAD_NOW && call != FAULT_RESIDENT)
            count += fault_count(fixture.fault, (enum fault_call)call);
    }
    return count;
}

/* As journal_reader_next, with the waits for jobs; the call itself makes no call that waits. */
static int next_async(struct journal_entry *entry)
{
    for (;;) {
        uint64_t calls = waiting_calls();
        unsigned before = ready_count;
        int rc = journal_reader_next(fixture.reader, entry);
        ck_assert_uint_eq(waiting_calls(), calls);
        if (rc != -EAGAIN) return rc;
        while (ready_count == before)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
    }
}

static void expect_async(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++) {
        struct journal_entry entry;
        ck_assert_int_eq(next_async(&entry), 1);
        expect_frame(&entry, number);
    }
}

/* The same of several at a time, of which all views are good together: how many came at most. */
static int expect_some(uint64_t from, uint64_t to, uint32_t count_max, uint64_t bytes_max)
{
    struct journal_entry entries[SOME_MAX];
    int most = 0;

    while (from < to) {
        unsigned before = ready_count;
        int rc =
            journal_reader_next_some(fixture.reader, UINT64_MAX, count_max, bytes_max, entries);
        uint64_t bytes = 0;

        if (rc == -EAGAIN) {
            while (ready_count == before)
                ck_assert_uint_gt(io_wait(fixture.io), 0);
            continue;
        }
        ck_assert_int_gt(rc, 0);
        ck_assert_int_le(rc, (int)count_max);
        for (int i = 0; i < rc; i++) {
            expect_frame(&entries[i], from++);
            bytes += entries[i].payload.size;
            ck_assert(i == 0 || bytes <= bytes_max);
        }
        ck_assert_uint_gt(journal_reader_position(fixture.reader), entries[rc - 1].position);
        if (rc > most) most = rc;
    }
    ck_assert_uint_eq(from, to);
    return most;
}

static void expect_async_end(void)
{
    struct journal_entry entry;
    ck_assert_int_eq(next_async(&entry), 0);
}

/* kind: codec, way, and whether the page cache tells what it has. */
static void open_3000(int kind)
{
    fixture.options.settings.codec = (enum journal_codec)(kind % 3);
    fixture.options.way = (enum journal_way)(kind / 3 % 2);
    fixture.is_text = true;
    open_journal();
    append_many(3000);
    publish();
    if (kind / 6) fault_fail(fixture.fault, FAULT_PREAD_NOW, 1, EAGAIN, FAULT_FROM_THEN_ON);
    open_async();
}

START_TEST(all_is_read_and_no_call_waits)
{
    open_3000(_i);
    expect_async(1, 3001);
    expect_async_end();
    append_many(1000);
    publish();
    expect_async(3001, 4001);
    expect_async_end();
    ck_assert_uint_eq(journal_reader_position(fixture.reader), journal_published(fixture.journal));
}
END_TEST

START_TEST(what_was_just_appended_is_read_without_a_job)
{
    struct journal_entry entry;

    fixture.options.settings.roll_bytes = 1 << 20;
    open_journal();
    append_many(500);
    publish();
    open_async();
    for (uint64_t number = 1; number <= 500; number++) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_frame(&entry, number);
    }
    ck_assert_uint_eq(ready_count, 0);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 0);
    ck_assert_int_eq(journal_reader_wait(fixture.reader, JOURNAL_FOREVER), 0);
}
END_TEST

static int (*resident_now)(struct os *os, void *address, size_t size, size_t *out_size);

static int find_nothing(struct os *os, void *address, size_t size, size_t *out_size)
{
    (void)os;
    (void)address;
    (void)size;
    *out_size = 0;
    return 0;
}

START_TEST(what_the_kernel_took_from_the_mapping_is_read_from_the_file)
{
    struct os *os = fault_os(fixture.fault);
    unsigned before;

    fixture.options.settings.roll_bytes = 1 << 20;
    open_journal();
    append_many(500);
    publish();
    resident_now = os->resident;
    os->resident = find_nothing;
    open_async();
    expect_async(1, 501);
    before = ready_count;
    ck_assert_uint_gt(before, 0);
    os->resident = resident_now;
    journal_reader_look_again(fixture.reader);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    expect_async(1, 501);
    ck_assert_uint_eq(ready_count, before);
}
END_TEST

START_TEST(what_is_in_the_page_cache_needs_one_job_a_segment)
{
    uint64_t segments;

    fixture.options.settings.roll_bytes = 1 << 20;
    open_journal();
    append_many(60000);
    publish();
    segments = journal_segment_of(journal_appended(fixture.journal));
    ck_assert_uint_gt(segments, 3);
    open_async();
    expect_async(1, 60001);
    if (fault_count(fixture.fault, FAULT_PREAD_NOW) > 0)
        ck_assert_uint_le(ready_count, 5 * segments);
    ck_assert_uint_ge(ready_count, segments - 1);
}
END_TEST

/* ---- reading ahead ----------------------------------------------------------------------------
 */

/* A page cache that has what was asked for, of the file that was opened last. */
static struct {
    uint64_t asked_end, read_end; /* up to there it was asked for, and read */
    uint64_t ahead_bytes_max;     /* between them */
} cache;

static int ask_cache(struct os *os, int fd, uint64_t offset, uint64_t size, enum os_advice advice)
{
    (void)os;
    (void)fd;
    if (advice == OS_ADVICE_RANDOM) cache.asked_end = cache.read_end = 0;
    if (advice == OS_ADVICE_SOON && offset + size > cache.asked_end)
        cache.asked_end = offset + size;
    if (cache.asked_end > cache.read_end + cache.ahead_bytes_max && cache.read_end > 0)
        cache.ahead_bytes_max = cache.asked_end - cache.read_end;
    return 0;
}

static ssize_t read_cache(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    (void)os;
    if (offset >= cache.asked_end) return -EAGAIN;
    if (size > cache.asked_end - offset) size = cache.asked_end - offset;
    cache.read_end = offset + size;
    return os_real()->pread(os_real(), fd, bytes, size, offset);
}

/* Frames that take some MiB, in segments of 4 MiB. */
static void open_large_journal(void)
{
    memset(&cache, 0, sizeof(cache));
    fixture.options.settings.roll_bytes = 4 << 20;
    open_journal();
    append_many(50000);
    publish();
    ck_assert_uint_gt(active_number(), 2);
    fault_os(fixture.fault)->advise = ask_cache;
    fault_os(fixture.fault)->pread_now = read_cache;
    open_async();
}

START_TEST(who_reads_on_waits_once_a_segment)
{
    uint64_t segments;
    unsigned waits = 0;

    open_large_journal();
    segments = active_number();
    for (uint64_t number = 1; number <= 50000; waits++) {
        struct journal_entry entry;
        int rc = journal_reader_next(fixture.reader, &entry);
        for (; rc == 1; rc = journal_reader_next(fixture.reader, &entry)) {
            expect_frame(&entry, number++);
            (void)io_poll(fixture.io); /* what reads ahead runs beside */
        }
        if (rc == 0) break;
        ck_assert_int_eq(rc, -EAGAIN);
        while (journal_reader_is_busy(fixture.reader))
            ck_assert_uint_gt(io_wait(fixture.io), 0);
    }
    expect_async_end();
    ck_assert_uint_le(waits, segments);
    ck_assert_uint_gt(cache.ahead_bytes_max, 1 << 20);
    ck_assert_uint_le(cache.ahead_bytes_max, (2 << 20) + (128 << 10));
}
END_TEST

/* Who looks here and there has no more read than he may look at. */
START_TEST(who_does_not_read_on_has_little_read)
{
    struct journal_entry entry;

    open_large_journal();
    for (uint64_t offset = 0; offset < 3; offset++) {
        uint64_t position = journal_segment_start(1 + offset % 2);
        int rc;
        while ((rc = journal_reader_seek_position(fixture.reader, position)) == -EAGAIN)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(next_async(&entry), 1);
        ck_assert_uint_le(cache.asked_end, (128 << 10) + JOURNAL_SEGMENT_HEADER_BYTES);
    }
}
END_TEST

/* ---- searching --------------------------------------------------------------------------------
 */

static bool is_before_number(const void *context, const struct journal_entry *entry)
{
    return entry->time_ms < *(const uint64_t *)context;
}

static void search_number(uint64_t number, bool has_id)
{
    struct journal_search search = { .is_before = is_before_number,
                                     .context = &number,
                                     .from = journal_segment_start(1),
                                     .last = journal_segment_start(1),
                                     .key = number + 1,
                                     .has_id = has_id,
                                     .time_ms = number };
    int rc;

    while ((rc = journal_reader_search(fixture.reader, &search)) == -EAGAIN)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
    ck_assert_int_eq(rc, 0);
}

/* _i: by the id, or by what frames hold. */
START_TEST(a_search_leaves_what_it_found_at_hand)
{
    open_large_journal();
    for (uint64_t number = 50; number < 12000; number += 797) {
        uint64_t maps = fault_count(fixture.fault, FAULT_MAP);
        uint64_t reads = fault_count(fixture.fault, FAULT_PREAD);
        struct journal_entry entry;

        search_number(number, _i);
        ck_assert_uint_eq(fault_count(fixture.fault, FAULT_MAP), maps);
        if (_i) ck_assert_uint_le(fault_count(fixture.fault, FAULT_PREAD), reads + 4);
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_frame(&entry, number);
    }
}
END_TEST

START_TEST(a_search_with_a_wrong_id_finds_its_place)
{
    open_large_journal();
    for (uint64_t number = 50; number < 40000; number += 3797) {
        uint64_t wanted = number;
        struct journal_search search = { .is_before = is_before_number,
                                         .context = &wanted,
                                         .key = number,
                                         .has_id = true,
                                         .time_ms = 40000 - number };
        struct journal_entry entry;
        int rc;

        while ((rc = journal_reader_search(fixture.reader, &search)) == -EAGAIN)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_frame(&entry, number);
    }
}
END_TEST

/* What is published while a job searches is searched, too. */
START_TEST(a_search_sees_what_was_published_meanwhile)
{
    uint64_t number = 3500;
    struct journal_search search = {
        .is_before = is_before_number, .context = &number, .key = 1, .has_id = true, .time_ms = 3500
    };
    struct journal_entry entry;
    int rc;

    fixture.options.way = JOURNAL_BUFFERED; /* or the writer's pages would be looked at */
    open_journal();
    append_many(3000);
    publish();
    open_async();
    ck_assert_int_eq(journal_reader_search(fixture.reader, &search), -EAGAIN);
    append_many(1000);
    journal_publish(fixture.journal);
    while ((rc = journal_reader_search(fixture.reader, &search)) == -EAGAIN)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(next_async(&entry), 1);
    expect_frame(&entry, number);
}
END_TEST

START_TEST(several_frames_are_read_together)
{
    open_3000(_i);
    ck_assert_int_eq(expect_some(1, 1001, 1, UINT64_MAX), 1);
    ck_assert_int_eq(expect_some(1001, 2001, 20, 0), 1);
    ck_assert_int_eq(expect_some(2001, 3001, 20, UINT64_MAX), 20);
    expect_async_end();
    append_many(1000);
    publish();
    ck_assert_int_gt(expect_some(3001, 4001, SOME_MAX, 1000), 2);
    expect_async_end();
}
END_TEST

START_TEST(seeking_is_done_by_a_job)
{
    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    open_journal();
    append_many(3000);
    publish();
    open_async();
    for (uint64_t number = 2999; number > 0; number -= number > 371 ? 371 : number) {
        uint64_t calls = waiting_calls(), position;
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), -EAGAIN);
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), -EAGAIN);
        ck_assert_uint_eq(waiting_calls(), calls);
        settle();
        while (io_wait(fixture.io) > 0)
            ;
        ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
        position = journal_reader_position(fixture.reader);
        expect_async(number, number + 1);
        ck_assert_int_eq(journal_reader_seek_position(fixture.reader, position), 0);
        expect_async(number, number + 2);
    }
    ck_assert_int_eq(journal_reader_seek_end(fixture.reader), 0);
    expect_async_end();
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    expect_async(1, 10);
}
END_TEST

START_TEST(it_follows_from_memory_to_files)
{
    fixture.options.starts_in_memory = true;
    open_journal();
    open_async();
    expect_async_end();
    append_many(100);
    journal_publish(fixture.journal);
    expect_async(1, 51);
    ck_assert(journal_is_in_memory(fixture.journal));
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, 20, 0), 0);
    expect_async(20, 51);
    append_many(3000);
    publish();
    ck_assert(!journal_is_in_memory(fixture.journal));
    expect_async(51, 3101);
    expect_async_end();
}
END_TEST

START_TEST(what_was_trimmed_away_is_told)
{
    struct journal_entry entry;

    open_journal();
    append_many(2000);
    sync_all();
    open_async();
    journal_trim(fixture.journal, journal_appended(fixture.journal));
    settle();
    ck_assert_int_eq(next_async(&entry), -ESTALE);
    ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
    ck_assert_int_eq(next_async(&entry), 1);
}
END_TEST

START_TEST(damage_is_told_where_it_is)
{
    struct journal_entry entry;
    uint64_t number = 1;
    int rc;

    fixture.options.settings.codec = (enum journal_codec)_i;
    open_journal();
    append_many(2000);
    sync_all();
    flip_byte(2, _i ? "pak" : "log", 30000);
    open_async();
    while ((rc = next_async(&entry)) == 1)
        expect_frame(&entry, number++);
    ck_assert_int_eq(rc, -EBADMSG);
    ck_assert_uint_gt(journal_reader_position(fixture.reader), journal_segment_start(2) - 1);
    ck_assert_int_eq(next_async(&entry), -EBADMSG); /* it stays */
}
END_TEST

START_TEST(damage_behind_good_frames_is_told_after_them)
{
    struct journal_entry entries[SOME_MAX];
    uint64_t number = 1;
    int rc;

    open_journal();
    append_many(2000);
    sync_all();
    flip_byte(2, "log", 30000);
    open_async();
    do {
        rc = journal_reader_next_some(fixture.reader, UINT64_MAX, SOME_MAX, UINT64_MAX, entries);
        for (int i = 0; i < rc; i++)
            expect_frame(&entries[i], number++);
        while (rc == -EAGAIN && io_wait(fixture.io) > 0) {}
    } while (rc > 0 || rc == -EAGAIN);
    ck_assert_int_eq(rc, -EBADMSG);
    ck_assert_uint_eq(journal_segment_of(journal_reader_position(fixture.reader)), 2);
    ck_assert_uint_lt(journal_offset_of(journal_reader_position(fixture.reader)), 30000);
    ck_assert_uint_gt(journal_offset_of(journal_reader_position(fixture.reader)), 22000);
    ck_assert_int_eq(next_async(entries), -EBADMSG); /* it stays */
}
END_TEST

static int (*size_now)(struct os *os, int fd, uint64_t *out_size);

/* As long as the file was before its segment ended and its room was given back. */
static int size_before_the_cut(struct os *os, int fd, uint64_t *out_size)
{
    int rc = size_now(os, fd, out_size);

    *out_size += 100000;
    return rc;
}

START_TEST(a_segment_that_is_cut_while_it_is_read_is_read)
{
    struct os *os = fault_os(fixture.fault);

    open_journal();
    append_many(3000);
    publish();
    settle();
    size_now = os->size;
    os->size = size_before_the_cut;
    fault_fail(fixture.fault, FAULT_PREAD_NOW, 1, EAGAIN, FAULT_FROM_THEN_ON);
    open_async();
    expect_async(1, 3001);
    expect_async_end();
    os->size = size_now;
}
END_TEST

START_TEST(what_fails_is_told_once_and_tried_again)
{
    unsigned failures = 0;
    bool has_fired = true;

    open_journal();
    append_many(1500);
    sync_all();
    for (uint64_t nth = 1; has_fired; nth++) {
        struct journal_entry entry;
        uint64_t number = 1;
        open_async();
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        while (number <= 1500) {
            int rc = next_async(&entry);
            ck_assert(rc == 1 || rc == -EIO);
            failures += rc < 0;
            if (rc == 1) expect_frame(&entry, number++);
        }
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
    }
    ck_assert_uint_gt(failures, 5);
}
END_TEST

START_TEST(closing_waits_for_the_job)
{
    struct journal_entry entry;

    open_journal();
    append_many(2000);
    publish();
    open_async();
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -EAGAIN);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    ck_assert_uint_eq(ready_count, 0);
    ck_assert_uint_eq(io_in_flight(fixture.io), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readers that never wait");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_loop_test(cases, all_is_read_and_no_call_waits, 0, 12);
    tcase_add_test(cases, what_was_just_appended_is_read_without_a_job);
    tcase_add_test(cases, what_the_kernel_took_from_the_mapping_is_read_from_the_file);
    tcase_add_test(cases, what_is_in_the_page_cache_needs_one_job_a_segment);
    tcase_add_test(cases, who_reads_on_waits_once_a_segment);
    tcase_add_test(cases, who_does_not_read_on_has_little_read);
    tcase_add_loop_test(cases, a_search_leaves_what_it_found_at_hand, 0, 2);
    tcase_add_test(cases, a_search_with_a_wrong_id_finds_its_place);
    tcase_add_test(cases, a_search_sees_what_was_published_meanwhile);
    tcase_add_loop_test(cases, several_frames_are_read_together, 0, 12);
    tcase_add_test(cases, seeking_is_done_by_a_job);
    tcase_add_test(cases, it_follows_from_memory_to_files);
    tcase_add_test(cases, what_was_trimmed_away_is_told);
    tcase_add_loop_test(cases, damage_is_told_where_it_is, 0, 2);
    tcase_add_test(cases, damage_behind_good_frames_is_told_after_them);
    tcase_add_test(cases, a_segment_that_is_cut_while_it_is_read_is_read);
    tcase_add_test(cases, what_fails_is_told_once_and_tried_again);
    tcase_add_test(cases, closing_waits_for_the_job);
    return test_suite_run(suite);
}
