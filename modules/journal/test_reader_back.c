/* Reading backward, and going to a place that frames tell, by every kind of reader. */
#include "modules/journal/index.h"
#include "modules/journal/test_journal_fixture.h"

#include "modules/base/random.h"

enum { FRAMES = 3000 };

static unsigned ready_count;

static void note_ready(void *context)
{
    (void)context;
    ready_count++;
}

/* ---- kinds of readers -------------------------------------------------------------------------
 */

enum kind { FILES, HERE, ASYNC, KIND_COUNT };

static void open_kind(enum kind kind)
{
    int rc = 0;

    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    if (kind == FILES) rc = journal_reader_open(os_real(), fixture.path, &fixture.reader);
    if (kind == HERE) rc = journal_reader_open_here(fixture.journal, &fixture.reader);
    if (kind == ASYNC)
        rc = journal_reader_open_async(fixture.journal, note_ready, NULL, &fixture.reader);
    ck_assert_int_eq(rc, 0);
}

/* Until it has not to be called again. */
static int move(int (*call)(struct journal_reader *reader, struct journal_entry *entry),
                struct journal_entry *entry)
{
    for (;;) {
        unsigned before = ready_count;
        int rc = call(fixture.reader, entry);
        if (rc != -EAGAIN) return rc;
        while (ready_count == before)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
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

static void go_to_end(void)
{
    ck_assert_int_eq(journal_reader_seek_end(fixture.reader), 0);
}

/* Frames [from, to), the last first, and nothing before. */
static void expect_backward(uint64_t from, uint64_t to)
{
    struct journal_entry entry;

    for (uint64_t number = to; number > from; number--) {
        ck_assert_int_eq(previous(&entry), 1);
        expect_frame(&entry, number - 1);
        ck_assert_uint_eq(journal_reader_position(fixture.reader), entry.position);
    }
    ck_assert_int_eq(previous(&entry), 0);
    ck_assert_int_eq(previous(&entry), 0);
}

/* ---- backward ---------------------------------------------------------------------------------
 */

/* With notes between: frames that are nobody's. */
static void append_frames(void)
{
    open_journal();
    while (fixture.next <= FRAMES) {
        append_many(1);
        if (fixture.next % 61 == 0) sync_all();
    }
    publish();
}

static void set_variant(int variant)
{
    fixture.options.settings.codec = variant & 1 ? JOURNAL_CODEC_LZ4 : JOURNAL_CODEC_NONE;
    fixture.options.way = variant & 2 ? JOURNAL_BUFFERED : JOURNAL_MAPPED;
    fixture.options.settings.roll_bytes =
        variant & 4 ? JOURNAL_ROLL_BYTES_DEFAULT : JOURNAL_ROLL_BYTES_MIN;
    fixture.is_text = true;
    if (variant & 8) fault_fail(fixture.fault, FAULT_PREAD_NOW, 1, EAGAIN, FAULT_FROM_THEN_ON);
}

START_TEST(frames_come_back_the_other_way)
{
    set_variant(_i);
    append_frames();
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        go_to_end();
        expect_backward(1, FRAMES + 1);
        go_to_end();
        append_many(1);
        publish();
        expect_backward(1, fixture.next - 1);
        fixture.next--; /* its number again; the journal is made anew */
        close_journal();
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        remove_files(fixture.path);
        fixture.next = 1;
        append_frames();
    }
}
END_TEST

START_TEST(there_and_back_at_random)
{
    struct random random;
    uint64_t at = 1;

    random_init(&random, (uint64_t)_i);
    set_variant(_i);
    append_frames();
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        at = 1;
        for (unsigned i = 0; i < 600; i++) {
            bool is_back = random_below(&random, 2);
            struct journal_entry entry;
            for (uint64_t count = random_below(&random, 80); count > 0; count--) {
                uint64_t expected = is_back ? at - 1 : at;
                bool is_there = expected >= 1 && expected <= FRAMES;
                ck_assert_int_eq(is_back ? previous(&entry) : next(&entry), is_there);
                if (!is_there) break;
                expect_frame(&entry, expected);
                at = is_back ? at - 1 : at + 1;
            }
        }
    }
}
END_TEST

START_TEST(what_is_in_memory_is_read_backward)
{
    fixture.options.starts_in_memory = true;
    open_journal();
    open_kind(_i ? ASYNC : HERE);
    expect_backward(1, 1);
    append_many(100);
    journal_publish(fixture.journal);
    ck_assert(journal_is_in_memory(fixture.journal));
    go_to_end();
    expect_backward(1, fixture.next);
    append_many(FRAMES);
    publish();
    ck_assert(!journal_is_in_memory(fixture.journal));
    go_to_end();
    expect_backward(1, fixture.next);
}
END_TEST

START_TEST(what_was_trimmed_is_not_before)
{
    for (enum kind kind = FILES; kind < KIND_COUNT; kind += 2) {
        struct journal_entry entry;
        uint64_t first;
        fixture.next = 1;
        append_frames();
        sync_all();
        open_kind(kind);
        go_to_end();
        journal_trim(fixture.journal, journal_appended(fixture.journal));
        settle();
        ck_assert_int_eq(journal_reader_seek_start(fixture.reader), 0);
        ck_assert_int_eq(next(&entry), 1);
        first = entry.time_ms;
        ck_assert_uint_gt(first, 1);
        go_to_end();
        expect_backward(first, FRAMES + 1);
        close_journal();
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        remove_files(fixture.path);
    }
}
END_TEST

static void write_index(uint64_t number, const uint64_t *offsets, size_t count)
{
    struct journal_index index = { 0 };
    uint32_t seed = journal_seed(info_now().id, number);

    for (size_t i = 0; i < count; i++)
        journal_index_add(&index, offsets[i], 1 + i, 0);
    ck_assert_uint_eq(index.count, count);
    ck_assert_int_eq(journal_index_write(os_real(), fixture.path, number, seed, &index, 0), 0);
    journal_index_finish(&index);
}

/* _i: points where no frame begins; none at all. */
START_TEST(an_index_that_is_wrong_misleads_nobody)
{
    static const uint64_t wrong[] = { 70008, 140016, 300000, 400024 };
    fixture.options.settings.roll_bytes = 1 << 20;
    append_frames();
    fill_segments(2);
    write_index(1, wrong, _i ? 0 : sizeof(wrong) / sizeof(*wrong));
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        go_to_end();
        expect_backward(1, fixture.next);
    }
}
END_TEST

START_TEST(damage_is_told_where_it_is)
{
    uint64_t number, position;
    struct journal_entry entry;

    append_frames();
    sync_all();
    position = position_of(700);
    damage(position, 30);
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        int rc;
        open_kind(kind);
        go_to_end();
        for (number = FRAMES; (rc = previous(&entry)) == 1; number--)
            expect_frame(&entry, number);
        ck_assert_int_eq(rc, -EBADMSG);
        ck_assert_uint_ge(number, 700);
        ck_assert_int_eq(previous(&entry), -EBADMSG);
        ck_assert_int_eq(next(&entry), 1); /* it stays where it was */
        expect_frame(&entry, number + 1);
    }
}
END_TEST

START_TEST(what_fails_is_tried_again)
{
    bool has_fired = true;
    unsigned failures = 0;

    append_frames();
    sync_all();
    for (uint64_t nth = 1; has_fired && nth < 400; nth++) {
        uint64_t number = FRAMES;
        struct journal_entry entry;
        open_kind(ASYNC);
        go_to_end();
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        while (number >= 1) {
            int rc = previous(&entry);
            ck_assert(rc == 1 || rc == -EIO);
            failures += rc < 0;
            if (rc == 1) expect_frame(&entry, number--);
        }
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
    }
    ck_assert(!has_fired);
    ck_assert_uint_gt(failures, 5);
}
END_TEST

START_TEST(a_piece_costs_a_job_or_two)
{
    set_variant(8); /* small segments, nothing from the page cache */
    append_frames();
    sync_all();
    open_kind(ASYNC);
    go_to_end();
    ready_count = 0;
    expect_backward(1, FRAMES + 1);
    ck_assert_uint_le(ready_count, 3 * active_number());
}
END_TEST

/* ---- searching --------------------------------------------------------------------------------
 */

static bool is_below_number(const void *context, const struct journal_entry *entry)
{
    expect_frame(entry, entry->time_ms);
    return entry->time_ms < *(const uint64_t *)context;
}

static int search(uint64_t *number, uint64_t from, uint64_t last)
{
    struct journal_search search = {
        .is_before = is_below_number, .context = number, .from = from, .last = last, .key = *number
    };

    for (;;) {
        unsigned before = ready_count;
        int rc = journal_reader_search(fixture.reader, &search);
        if (rc != -EAGAIN) return rc;
        while (ready_count == before)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
    }
}

static void expect_found(uint64_t number)
{
    struct journal_entry entry;
    uint64_t first = number < 1 ? 1 : number;

    ck_assert_int_eq(next(&entry), first < fixture.next);
    if (first < fixture.next) expect_frame(&entry, first);
}

START_TEST(a_place_is_found_by_what_frames_hold)
{
    set_variant(_i);
    append_frames();
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        for (uint64_t number = 0; number <= FRAMES + 2; number += number < 2 ? 1 : 97) {
            uint64_t segment, wanted = number;
            ck_assert_int_eq(search(&wanted, 0, 0), 0);
            expect_found(number);
            segment = journal_segment_start(
                journal_segment_of(journal_reader_position(fixture.reader) - 1));
            ck_assert_int_eq(search(&wanted, 0, segment), 0);
            expect_found(number);
        }
    }
}
END_TEST

START_TEST(what_was_just_appended_is_found_without_a_job)
{
    fixture.options.settings.roll_bytes = JOURNAL_ROLL_BYTES_DEFAULT;
    append_frames();
    open_kind(ASYNC);
    ready_count = 0;
    for (uint64_t number = FRAMES; number > FRAMES / 2; number -= 111) {
        uint64_t wanted = number;
        ck_assert_int_eq(search(&wanted, 0, 0), 0);
        expect_found(number);
    }
    ck_assert_uint_eq(ready_count, 0);
}
END_TEST

START_TEST(a_search_with_a_wrong_index_takes_longer)
{
    static const uint64_t wrong[] = { 70008, 140016, 300000, 400024 };

    fixture.options.settings.roll_bytes = 1 << 20;
    append_frames();
    fill_segments(2);
    write_index(1, wrong, sizeof(wrong) / sizeof(*wrong));
    for (enum kind kind = FILES; kind < KIND_COUNT; kind++) {
        open_kind(kind);
        for (uint64_t number = 1; number < fixture.next; number += 397) {
            uint64_t wanted = number;
            ck_assert_int_eq(search(&wanted, 0, 0), 0);
            expect_found(number);
        }
    }
}
END_TEST

START_TEST(a_search_that_fails_is_told_and_made_again)
{
    bool has_fired = true;
    unsigned failures = 0;

    append_frames();
    sync_all();
    open_kind(ASYNC);
    for (uint64_t nth = 1; has_fired; nth++) {
        uint64_t wanted = 700;
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = search(&wanted, 0, 0);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        failures += rc < 0;
        if (rc < 0) ck_assert_int_eq(search(&wanted, 0, 0), 0);
        expect_found(700);
    }
    ck_assert_uint_gt(failures, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readers: backward, and by content");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_loop_test(cases, frames_come_back_the_other_way, 0, 16);
    tcase_add_loop_test(cases, there_and_back_at_random, 0, 16);
    tcase_add_loop_test(cases, what_is_in_memory_is_read_backward, 0, 2);
    tcase_add_test(cases, what_was_trimmed_is_not_before);
    tcase_add_loop_test(cases, an_index_that_is_wrong_misleads_nobody, 0, 2);
    tcase_add_test(cases, damage_is_told_where_it_is);
    tcase_add_test(cases, what_fails_is_tried_again);
    tcase_add_test(cases, a_piece_costs_a_job_or_two);
    tcase_add_loop_test(cases, a_place_is_found_by_what_frames_hold, 0, 16);
    tcase_add_test(cases, what_was_just_appended_is_found_without_a_job);
    tcase_add_test(cases, a_search_with_a_wrong_index_takes_longer);
    tcase_add_test(cases, a_search_that_fails_is_told_and_made_again);
    return test_suite_run(suite);
}
