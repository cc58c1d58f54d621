/* Frames are dropped while somebody reads: he misses none of the others, and is not told of those
 * that have gone. */
#include "modules/base/test_suite.h"
#include "modules/journal/check.h"
#include "modules/journal/index.h"
#include "modules/journal/packed.h"
#include "modules/journal/test_drop_fixture.h"

enum { LARGE_BYTES = 8 * JOURNAL_ROLL_BYTES_MIN, WAITS_MAX = 1000 };

static unsigned ready_count, wait_count;

static void note_ready(void *context)
{
    (void)context;
    ready_count++;
}

enum kind { FILES, ASYNC, KIND_COUNT };

static void open_kind(enum kind kind)
{
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    if (kind == FILES)
        open_reader();
    else
        ck_assert_int_eq(
            journal_reader_open_async(fixture.journal, note_ready, NULL, &fixture.reader), 0);
}

/* A job has ended; who needs more of them than that does not get on. */
static void await(unsigned before)
{
    ck_assert_uint_lt(wait_count++, WAITS_MAX);
    while (ready_count == before)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
}

static int move(int (*call)(struct journal_reader *reader, struct journal_entry *entry),
                struct journal_entry *entry)
{
    for (;;) {
        unsigned before = ready_count;
        int rc = call(fixture.reader, entry);
        if (rc != -EAGAIN) return rc;
        await(before);
    }
}

static int next(struct journal_entry *entry)
{
    return move(journal_reader_next, entry);
}

static int previous(struct journal_entry *entry)
{
    return move(journal_reader_previous, entry);
}

static void go_to(uint64_t position)
{
    for (;;) {
        unsigned before = ready_count;
        int rc = journal_reader_seek_position(fixture.reader, position);
        if (rc == 0) return;
        ck_assert_int_eq(rc, -EAGAIN);
        await(before);
    }
}

static uint64_t kept_below(uint64_t number)
{
    do
        number--;
    while (number > 0 && number < drop.limit && number % drop.kept_every != 0);
    return number;
}

static void expect_kept_backward(uint64_t number)
{
    struct journal_entry entry;

    for (number = kept_below(number); number > 0; number = kept_below(number)) {
        ck_assert_int_eq(previous(&entry), 1);
        expect_numbered(&entry, number);
    }
    ck_assert_int_eq(previous(&entry), 0);
}

static void expect_kept_forward(uint64_t number)
{
    struct journal_entry entry;

    while ((number = next_kept(number + 1, drop.limit)) < fixture.next) {
        ck_assert_int_eq(next(&entry), 1);
        expect_numbered(&entry, number);
    }
    ck_assert_int_eq(next(&entry), 0);
}

/* Backward to the middle of segment 3. */
static void go_back(struct journal_entry *entry)
{
    ck_assert_int_eq(journal_reader_seek_end(fixture.reader), 0);
    do
        ck_assert_int_eq(previous(entry), 1);
    while (journal_segment_of(entry->position) > 3 ||
           journal_offset_of(entry->position) > LARGE_BYTES / 2);
}

/* He knows where frames are that have gone since, and has the segment no more that had them. */
START_TEST(who_reads_backward_passes_over_what_went_meanwhile)
{
    struct journal_entry entry, other;

    fixture.options.settings.roll_bytes = LARGE_BYTES;
    open_with(JOURNAL_CODEC_NONE);
    fill(5);
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        go_back(&entry);
        go_to(journal_segment_start(1));
        ck_assert_int_eq(next(&other), 1);
        drop_below(kind == FILES ? fixture.next / 2 : fixture.next);
        go_to(entry.position);
        expect_kept_backward(entry.time_ms);
    }
}
END_TEST

START_TEST(who_reads_forward_passes_over_what_went_meanwhile)
{
    struct journal_entry entry;
    uint64_t limit;

    fixture.options.settings.roll_bytes = LARGE_BYTES;
    open_with(JOURNAL_CODEC_NONE);
    fill(5);
    limit = fixture.next;
    fill(1); /* so that the last one of them, too, is in a segment that has ended */
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        do
            ck_assert_int_eq(next(&entry), 1);
        while (journal_segment_of(entry.position) < 2);
        drop_below(limit / 2 + (limit / 2) * kind);
        go_to(journal_reader_position(fixture.reader));
        /* What he had in his window may be as it was. */
        while (entry.time_ms + 1 < fixture.next && journal_segment_of(entry.position) < 3) {
            uint64_t before = entry.time_ms;
            ck_assert_int_eq(next(&entry), 1);
            ck_assert_uint_gt(entry.time_ms, before);
            ck_assert_uint_le(entry.time_ms, next_kept(before + 1, drop.limit));
            expect_numbered(&entry, entry.time_ms);
        }
        expect_kept_forward(entry.time_ms);
    }
}
END_TEST

/* Of many segments nothing is left: who comes from behind gets past them, with one index and one
 * window at a time. */
START_TEST(segments_of_which_all_went_are_passed)
{
    open_with(JOURNAL_CODEC_NONE);
    drop.kept_every = UINT64_MAX;
    fill(12);
    drop_below(fixture.next - 50);
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        expect_kept_forward(0);
        expect_kept_backward(fixture.next);
        expect_kept_forward(0);
        wait_count = 0;
    }
}
END_TEST

START_TEST(from_any_frame_it_goes_both_ways)
{
    struct journal_entry entry;
    uint64_t limit;

    open_with(JOURNAL_CODEC_ZSTD);
    fill(5);
    limit = fixture.next;
    fill(1);
    drop_below(limit);
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        for (uint64_t number = KEPT_EVERY; number + KEPT_EVERY < limit; number += 5 * KEPT_EVERY) {
            unsigned before = ready_count;
            int rc;
            while ((rc = journal_reader_seek_id(fixture.reader, number - 3, 0)) == -EAGAIN) {
                await(before);
                before = ready_count;
            }
            ck_assert_int_eq(rc, 0);
            ck_assert_int_eq(next(&entry), 1);
            expect_numbered(&entry, number);
            ck_assert_int_eq(previous(&entry), 1);
            expect_numbered(&entry, number);
            ck_assert_int_eq(previous(&entry), number > KEPT_EVERY);
            if (number > KEPT_EVERY) expect_numbered(&entry, number - KEPT_EVERY);
            wait_count = 0;
        }
    }
}
END_TEST

/* ---- from outside -----------------------------------------------------------------------------
 */

static int see(void *context, uint64_t position, uint64_t time_ms, struct slice payload,
               bool is_behind_end)
{
    uint64_t *last = context;

    (void)position;
    (void)payload;
    ck_assert(!is_behind_end);
    ck_assert_uint_eq(time_ms, next_kept(*last + 1, drop.limit));
    *last = time_ms;
    return 1;
}

START_TEST(who_checks_the_files_finds_them_whole)
{
    struct journal_check check;
    uint64_t last = 0;

    open_with((enum journal_codec)_i);
    fill(5);
    drop_below(fixture.next - 20);
    close_journal();
    ck_assert_int_eq(journal_check(os_real(), fixture.path, 0, see, &last, &check), 0);
    ck_assert(!check.is_corrupt);
    ck_assert_uint_eq(last, fixture.next - 1);
    ck_assert_uint_eq(check.tail_bytes, 0);
    flip_byte(2, "pak", JOURNAL_PACKED_HEADER_BYTES + 200);
    ck_assert_int_eq(journal_check(os_real(), fixture.path, 0, NULL, NULL, &check), 0);
    ck_assert(check.is_corrupt);
}
END_TEST

/* The size it had before it was cut. */
static int size_before(struct os *os, int fd, uint64_t *out_size_bytes)
{
    int rc = os_real()->size(os, fd, out_size_bytes);

    *out_size_bytes += 10 * JOURNAL_INDEX_ENTRY_BYTES;
    return rc;
}

START_TEST(an_index_that_is_cut_meanwhile_counts_as_far_as_it_is_there)
{
    struct journal_index index = { 0 }, cut = { 0 };
    struct os os = *os_real();
    uint32_t seed;

    os.size = size_before;
    fixture.options.settings.roll_bytes = LARGE_BYTES;
    open_with(JOURNAL_CODEC_NONE);
    fill(1);
    seed = journal_seed(info_now().id, 1);
    ck_assert_int_eq(journal_index_load(os_real(), fixture.path, 1, seed, &index), 0);
    ck_assert_int_eq(journal_index_load(&os, fixture.path, 1, seed, &cut), 0);
    ck_assert_uint_gt(index.count, 3);
    ck_assert(journal_index_equal(&index, &cut));
    journal_index_finish(&index);
    journal_index_finish(&cut);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frames that are dropped while somebody reads");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_test(cases, who_reads_backward_passes_over_what_went_meanwhile);
    tcase_add_test(cases, who_reads_forward_passes_over_what_went_meanwhile);
    tcase_add_test(cases, segments_of_which_all_went_are_passed);
    tcase_add_test(cases, from_any_frame_it_goes_both_ways);
    tcase_add_test(cases, an_index_that_is_cut_meanwhile_counts_as_far_as_it_is_there);
    tcase_add_loop_test(cases, who_checks_the_files_finds_them_whole, 0, 3);
    return test_suite_run(suite);
}
