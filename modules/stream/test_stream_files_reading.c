/* Streams in journals: reading on from wherever one is, and that nobody waits for a disk who must
 * not. */
#include "modules/stream/test_stream_files.h"

/* ---- reading on -------------------------------------------------------------------------------
 */

/* Of entries [from, end), each is asked for by whoever has got the one before. */
static void read_on(uint64_t from, uint64_t end)
{
    for (uint64_t number = from; number < end; number++) {
        struct stream_id id = { number - 1, 0 };
        struct stream_cursor cursor;
        struct stream_entry entry;

        (void)stream_id_increment(&id);
        stream_cursor_begin(&cursor, stream, id, STREAM_FORWARD);
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
    }
}

/* Larger than a segment: the one that the journal began with stays empty, and goes. */
START_TEST(whoever_reads_from_the_beginning_meets_a_first_entry_that_is_long)
{
    enum { LONG_BYTES = 66000 };
    struct stream_entry entry;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 4, LONG_BYTES);
    settle();
    ck_assert_int_eq(stream_find(stream, (struct stream_id){ 0, 1 }, &entry), 0);
    read_on(1, 4);
    expect_entries(stream, 1, 4, LONG_BYTES);
    stream_destroy(stream);
    settle();
}
END_TEST

START_TEST(who_reads_on_gets_what_follows_whatever_has_gone)
{
    struct stream_entry entry;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 1500, 200);
    read_on(1, 1500);
    read_on(1, 1500);
    ck_assert_int_eq(stream_find(stream, (struct stream_id){ 1000, 0 }, &entry), 1);
    ck_assert_int_eq(stream_delete(stream, entry.ordinal, entry.id), 1);
    read_on(1, 1000);
    read_on(1001, 1500);
    trim_to(stream, 400);
    add_entries(stream, 1500, 1600, 200);
    read_on(1110, 1600);
    for (uint64_t number = 1550; number < 1600; number++) { /* and the same ids come again */
        ck_assert_int_eq(stream_find(stream, (struct stream_id){ number, 0 }, &entry), 1);
        ck_assert_int_eq(stream_delete(stream, entry.ordinal, entry.id), 1);
    }
    stream_set_last_id(stream, (struct stream_id){ 1549, 0 });
    add_entries(stream, 1550, 1700, 200);
    read_on(1110, 1700);
    stream_destroy(stream);
    settle();
}
END_TEST

/* ---- never waiting ----------------------------------------------------------------------------
 */

static uint64_t call_count(void)
{
    uint64_t count = 0;

    for (unsigned call = 0; call < FAULT_CALL_COUNT; call++) {
        /* Reading what is in memory does not wait, and closing what was read does not. */
        if (call != FAULT_PREAD_NOW && call != FAULT_RESIDENT && call != FAULT_CLOSE)
            count += fault_count(files.fault, (enum fault_call)call);
    }
    return count;
}

/* One call, without a hook that would wait for it. It makes no system call that waits. */
static int without_waiting(int rc, uint64_t before)
{
    ck_assert_uint_eq(call_count(), before);
    if (rc != -EAGAIN) return rc;
    ck_assert_uint_gt(io_wait(files.io), 0);
    (void)stream_store_tick(store, 0, 0);
    return -EAGAIN;
}

static void add_without_waiting(uint64_t number)
{
    uint64_t before;
    int rc;

    do {
        before = call_count();
        rc = without_waiting(try_add(stream, number, 300), before);
    } while (rc == -EAGAIN);
    ck_assert_int_eq(rc, 0);
}

START_TEST(no_call_waits_for_a_disk)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    uint64_t before;
    int rc;

    files.hooks.wait = NULL;
    create_store();
    fault_fail(files.fault, FAULT_PREAD_NOW, 1, EAGAIN, FAULT_FROM_THEN_ON);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    stream_set_codec(stream, (enum journal_codec)_i);
    for (uint64_t number = 1; number < 2000; number++)
        add_without_waiting(number);
    for (unsigned direction = STREAM_FORWARD; direction <= STREAM_BACKWARD; direction++) {
        uint64_t count = 0;
        stream_cursor_begin(&cursor, stream, (struct stream_id){ 1000, 0 },
                            (enum stream_direction)direction);
        do {
            before = call_count();
            rc = without_waiting(stream_cursor_next(&cursor, &entry), before);
            count += rc == 1;
        } while (rc != 0);
        ck_assert_uint_eq(count, 1000);
    }
    before = call_count();
    stream_destroy(stream);
    ck_assert_uint_eq(call_count(), before);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* 1: the next entry; the cursor is asked again whenever something was read. 0: there is none. */
static int next_without_waiting(struct stream_cursor *cursor, struct stream_entry *out_entry)
{
    int rc;

    for (unsigned i = 0; (rc = stream_cursor_next(cursor, out_entry)) == -EAGAIN; i++) {
        ck_assert_uint_lt(i, 100);
        settle();
    }
    return rc;
}

/* From every 100th entry on, some. */
static void read_without_waiting(enum stream_direction direction, uint64_t end)
{
    enum { SOME = 50 };

    for (uint64_t from = 100; from + SOME < end; from += 100) {
        struct stream_cursor cursor;
        struct stream_entry entry;

        stream_cursor_begin(&cursor, stream, (struct stream_id){ from, 0 }, direction);
        for (uint64_t i = 0; i < SOME; i++) {
            ck_assert_int_eq(next_without_waiting(&cursor, &entry), 1);
            ck_assert_uint_eq(entry.id.ms, direction == STREAM_FORWARD ? from + i : from - i);
        }
    }
}

/* Entries [1, end); each long_every-th is longer than a window. */
static void add_without_hook(uint64_t end, size_t size, uint64_t long_every)
{
    for (uint64_t number = 1; number < end; number++) {
        int rc;
        while ((rc = try_add(stream, number, number % long_every == 0 ? 60000 : size)) == -EAGAIN)
            settle();
        ck_assert_int_eq(rc, 0);
    }
}

START_TEST(who_does_not_wait_gets_on_both_ways)
{
    enum { END = 2000 };

    files.hooks.wait = NULL;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_without_hook(END, 200, 70);
    read_without_waiting(STREAM_FORWARD, END);
    read_without_waiting(STREAM_BACKWARD, END);
    stream_destroy(stream);
    settle();
}
END_TEST

static void delete_without_waiting(uint64_t number)
{
    struct stream_id id = { number, 0 };
    struct stream_entry entry;
    int rc;

    while ((rc = stream_find(stream, id, &entry)) == -EAGAIN)
        settle();
    ck_assert_int_eq(rc, 1);
    ck_assert_int_eq(stream_delete(stream, entry.ordinal, id), 1);
}

static void expect_next_to_deleted(uint64_t number, enum stream_direction direction)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, stream, (struct stream_id){ number, 0 }, direction);
    ck_assert_int_eq(next_without_waiting(&cursor, &entry), 1);
    ck_assert_uint_eq(entry.id.ms, direction == STREAM_FORWARD ? number + 1 : number - 1);
}

/* Every other entry that is asked from was deleted: the frames at the place that is sought are
 * passed over, to another place that is to be fetched. Whoever sought the first one again each time
 * would take what was fetched there for the second. */
START_TEST(who_asks_again_gets_on_over_what_was_deleted)
{
    enum { END = 1000, VALUE_BYTES = 5000 };

    files.hooks.wait = NULL;
    create_store();
    fault_fail(files.fault, FAULT_PREAD_NOW, 1, EAGAIN, FAULT_FROM_THEN_ON);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_without_hook(END, VALUE_BYTES, END);
    ck_assert_uint_gt(count_segments(1), 50);
    for (uint64_t number = 50; number < END; number += 2)
        delete_without_waiting(number);
    for (uint64_t from = 50; from < END; from += 46) {
        expect_next_to_deleted(from, STREAM_FORWARD);
        expect_next_to_deleted(from, STREAM_BACKWARD);
    }
    stream_destroy(stream);
    settle();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals: reading");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);

    tcase_add_test(cases, whoever_reads_from_the_beginning_meets_a_first_entry_that_is_long);
    tcase_add_test(cases, who_reads_on_gets_what_follows_whatever_has_gone);
    tcase_add_loop_test(cases, no_call_waits_for_a_disk, 0, 3);
    tcase_add_test(cases, who_does_not_wait_gets_on_both_ways);
    tcase_add_test(cases, who_asks_again_gets_on_over_what_was_deleted);
    return test_suite_run(suite);
}
