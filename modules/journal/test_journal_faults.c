/* Disks that fill up, fail and cannot reserve. Refused means untouched; a failed sync is final. */
#include "modules/journal/test_journal_fixture.h"

enum { LITTLE_BYTES = 32 << 10 /* indexes and notes of a small journal */ };

/* Both ways: _i is the way. */
static void open_way(int way)
{
    fixture.options.way = (enum journal_way)way;
    open_journal();
}

START_TEST(every_system_call_of_opening_may_fail)
{
    unsigned failures = 0;

    fixture.options.way = (enum journal_way)_i;
    for (uint64_t nth = 1;; nth++) {
        bool has_fired;
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = try_open();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc == 0) {
            /* Either nothing failed, or what did does not matter (a close). */
            append_many(2);
            close_journal();
        } else {
            ck_assert_int_eq(rc, -EIO);
            ck_assert_ptr_null(fixture.journal);
            failures++;
        }
        /* Nobody counts what it takes then: no room stays ahead. */
        ck_assert_uint_le(fault_disk_used(fixture.fault), LITTLE_BYTES);
        if (!has_fired) break;
    }
    ck_assert_uint_gt(failures, 10);
    expect_all(1, fixture.next);
}
END_TEST

/* With each call failing once, ever further on: what was taken is there, what was not is not. */
START_TEST(every_system_call_of_writing_may_fail)
{
    unsigned finals = 0, clean = 0;

    fixture.options.way = (enum journal_way)_i;
    for (uint64_t nth = 1; clean < 2; nth++) {
        uint64_t first = fixture.next, safe;
        open_journal();
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        while (fixture.next < first + 900 && journal_error(fixture.journal) == 0) {
            int rc = append_next();
            ck_assert(rc == 0 || rc == -EIO);
            if (fixture.next % 300 == 0) journal_sync(fixture.journal);
        }
        settle();
        clean += fault_fired(fixture.fault) == 0;
        fault_clear(fixture.fault);
        safe = journal_synced(fixture.journal);
        if (journal_error(fixture.journal) < 0) {
            struct slice part = SLICE_LITERAL("x");
            finals++;
            ck_assert_int_eq(append_slices(fixture.next, &part, 1), -EIO);
            journal_sync(fixture.journal);
            ck_assert_uint_eq(journal_synced(fixture.journal), safe);
            ck_assert_int_eq(journal_close(fixture.journal), -EIO);
            fixture.journal = NULL;
        } else {
            close_journal();
        }
        open_journal(); /* it recovers, and nothing that was synced is missing */
        ck_assert_uint_ge(fixture.report.end, safe);
        fixture.next = info_now().last_time_ms + 1;
        close_journal();
    }
    ck_assert_uint_gt(finals, 2);
    expect_all(1, fixture.next);
}
END_TEST

/* ---- two that make it at once -------------------------------------------------------------------
 */

static bool was_made_meanwhile;

/* Before the first lock somebody else has made the journal and written to it. */
static int lock_late(struct os *os, int fd, uint64_t offset, uint64_t size_bytes, enum os_lock kind,
                     bool waits)
{
    if (!was_made_meanwhile) {
        was_made_meanwhile = true;
        ck_assert_int_eq(journal_open(os_real(), fixture.io, &fixture.options, &fixture.report,
                                      &fixture.journal),
                         0);
        append_many(1);
        close_journal();
    }
    return os_real()->lock_range(os, fd, offset, size_bytes, kind, waits);
}

START_TEST(a_journal_that_somebody_else_makes_meanwhile_is_theirs)
{
    struct os slow = *os_real();
    struct fault *fault;
    bool has_fired = true;
    unsigned failures = 0;

    slow.lock_range = lock_late;
    ck_assert_int_eq(fault_create(&slow, &fault), 0);
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        was_made_meanwhile = false;
        fixture.next = 1;
        fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = journal_open(fault_os(fault), fixture.io, &fixture.options, &fixture.report,
                          &fixture.journal);
        has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EIO);
            failures++;
            open_journal();
        }
        expect_all(1, fixture.next);
        append_many(1);
        close_journal(); /* its calls are the fault's, too */
        expect_all(1, fixture.next);
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        remove_files(fixture.path);
    }
    ck_assert(was_made_meanwhile);
    ck_assert_uint_gt(failures, 10);
    fault_destroy(fault);
    open_journal(); /* the fixture removes one */
}
END_TEST

START_TEST(a_full_disk_refuses_and_goes_on_when_there_is_room)
{
    uint64_t first_refused;
    int rc;

    open_way(_i);
    append_many(100);
    settle();
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault));
    do {
        rc = append_next();
    } while (rc == 0);
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_int_eq(append_next(), -ENOSPC);
    first_refused = fixture.next;
    publish();
    sync_all(); /* what was taken had its room before */
    expect_all(1, first_refused);
    ck_assert_int_eq(journal_error(fixture.journal), 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
    rc = append_next(); /* may still tell of the last attempt */
    ck_assert(rc == 0 || rc == -ENOSPC);
    append_many(2000);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

/* What would lie ahead has no room long before, and nobody is refused for that. */
START_TEST(the_last_of_a_disk_is_used_up)
{
    enum { DISK_BYTES = 3 << 20 };
    int rc;

    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault) + DISK_BYTES);
    fault_set_disk_keeps(fixture.fault, _i % 2);
    fixture.options.settings.roll_bytes = 2 * DISK_BYTES;
    open_way(_i / 2);
    do {
        rc = append_next();
        settle();
        ck_assert_uint_le(fault_disk_used(fixture.fault),
                          journal_growing_bytes(fixture.journal) + 2 * LITTLE_BYTES);
    } while (rc == 0);
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_uint_gt(info_now().append_bytes, DISK_BYTES / 2);
    ck_assert_uint_gt(fault_disk_used(fixture.fault), DISK_BYTES - 2 * LITTLE_BYTES);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

/* What an owner grants of the disk, in all. */
static struct {
    uint64_t most, granted;
} grants;

static int grant(void *context, uint64_t bytes)
{
    (void)context;
    if (bytes > grants.most - grants.granted) return -EDQUOT;
    grants.granted += bytes;
    return 0;
}

/* Wherever in a page it ends: closing leaves what opening needs. */
START_TEST(a_journal_that_was_closed_opens_on_a_full_disk)
{
    enum { FRAMES = 4096 / (JOURNAL_FRAME_HEADER_BYTES + 8) /* a page of them */ };
    struct slice part = SLICE_LITERAL("x");
    struct journal_entry entry;

    fixture.options.way = (enum journal_way)_i;
    for (uint64_t number = 1; number <= FRAMES; number++) {
        open_journal();
        ck_assert_int_eq(append_slices(number, &part, 1), 0);
        close_journal();
        fault_set_disk(fixture.fault, fault_disk_used(fixture.fault));
        open_journal();
        close_journal();
        fault_set_disk(fixture.fault, UINT64_MAX);
    }
    open_reader();
    for (uint64_t number = 1; number <= FRAMES; number++) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        ck_assert_uint_eq(entry.time_ms, number);
    }
    expect_end();
}
END_TEST

START_TEST(what_its_owner_does_not_grant_is_not_taken)
{
    uint64_t used, growing;

    grants.most = 300 << 10;
    grants.granted = 0;
    fixture.options.may_grow = grant;
    open_way(_i);
    used = fault_disk_used(fixture.fault) + LITTLE_BYTES;
    growing = journal_growing_bytes(fixture.journal);
    while (append_next() == 0) {
        ck_assert_uint_le(fault_disk_used(fixture.fault), used + grants.granted);
        ck_assert_uint_lt(fixture.next, 100000);
    }
    ck_assert_int_eq(append_next(), -EDQUOT);
    settle();
    ck_assert_uint_ge(fixture.next, 200);
    ck_assert_uint_gt(grants.granted, grants.most - JOURNAL_ROLL_BYTES_MIN);
    ck_assert_uint_le(fault_disk_used(fixture.fault), used + grants.granted);
    ck_assert_uint_le(journal_growing_bytes(fixture.journal), growing + grants.granted);
    publish();
    sync_all();
    expect_all(1, fixture.next);
    grants.most = UINT64_MAX;
    append_many(2000);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(without_reserve_it_is_buffered_and_says_so)
{
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    open_way(_i);
    ck_assert(info_now().is_without_reserve);
    ck_assert_int_eq(info_now().way, JOURNAL_BUFFERED);
    append_many(1000);
    publish();
    expect_all(1, 1001);
    sync_all();
    close_journal();
    open_journal();
    append_many(1000);
    close_journal();
    expect_all(1, 2001);
}
END_TEST

/* As on Linux before 5.14. */
START_TEST(pages_that_cannot_be_made_ready_at_once_are_touched_one_by_one)
{
    fault_fail(fixture.fault, FAULT_POPULATE, 1, EINVAL, FAULT_FROM_THEN_ON);
    open_way(JOURNAL_MAPPED);
    append_many(3000);
    sync_all();
    append_many(1000);
    publish();
    ck_assert_uint_gt(fault_fired(fixture.fault), 4);
    ck_assert_int_eq(info_now().way, JOURNAL_MAPPED);
    ck_assert_int_eq(info_now().room_error, 0);
    expect_all(1, 4001);
}
END_TEST

START_TEST(without_reserve_a_full_disk_delays_what_was_taken_and_loses_nothing)
{
    fault_fail(fixture.fault, FAULT_ALLOCATE, 1, EOPNOTSUPP, FAULT_FROM_THEN_ON);
    open_journal();
    append_many(100);
    publish();
    fault_set_disk(fixture.fault, fault_disk_used(fixture.fault));
    append_many(200);
    publish();
    ck_assert_int_eq(info_now().room_error, -ENOSPC);
    ck_assert_int_eq(info_now().write_error, -ENOSPC);
    ck_assert_uint_lt(journal_published(fixture.journal), journal_appended(fixture.journal));
    ck_assert_int_eq(journal_error(fixture.journal), 0);
    fault_set_disk(fixture.fault, UINT64_MAX);
    publish();
    ck_assert_int_eq(info_now().write_error, 0);
    expect_all(1, 301);
}
END_TEST

START_TEST(a_failed_sync_is_final)
{
    uint64_t synced;

    open_way(_i);
    append_many(100);
    sync_all();
    synced = journal_synced(fixture.journal);
    append_many(100);
    fault_fail(fixture.fault, _i == JOURNAL_MAPPED ? FAULT_SYNC_MAP : FAULT_FDATASYNC, 1, EIO,
               FAULT_ONCE);
    journal_sync(fixture.journal);
    settle();
    ck_assert_int_eq(journal_error(fixture.journal), -EIO);
    ck_assert_int_eq(append_next(), -EIO);
    journal_sync(fixture.journal); /* not asked again */
    settle();
    ck_assert_uint_eq(journal_synced(fixture.journal), synced);
    ck_assert_int_eq(journal_close(fixture.journal), -EIO);
    fixture.journal = NULL;
    open_journal();
    append_many(1);
    ck_assert_int_eq(journal_error(fixture.journal), 0);
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    fault_limit_transfer(fixture.fault, 1000);
    open_way(_i);
    append_many(500);
    sync_all();
    close_journal();
    open_journal();
    expect_all(1, 501);
}
END_TEST

START_TEST(only_new_pages_are_synced_and_nothing_else)
{
    uint64_t syncs;

    open_way(JOURNAL_MAPPED);
    append_many(100);
    sync_all();
    syncs = fault_count(fixture.fault, FAULT_FDATASYNC) + fault_count(fixture.fault, FAULT_FSYNC);
    for (unsigned i = 0; i < 20; i++) {
        append_many(3);
        sync_all();
    }
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_FDATASYNC) +
                          fault_count(fixture.fault, FAULT_FSYNC),
                      syncs);
    ck_assert_uint_ge(fault_count(fixture.fault, FAULT_SYNC_MAP), 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journals on bad disks");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);
    TCase *many = test_suite_case(suite, "many", setup_in_memory, teardown);

    tcase_add_loop_test(many, every_system_call_of_opening_may_fail, 0, 2);
    tcase_add_loop_test(many, every_system_call_of_writing_may_fail, 0, 2);
    tcase_add_test(many, a_journal_that_somebody_else_makes_meanwhile_is_theirs);
    tcase_add_loop_test(cases, a_full_disk_refuses_and_goes_on_when_there_is_room, 0, 2);
    tcase_add_loop_test(cases, the_last_of_a_disk_is_used_up, 0, 4);
    tcase_add_loop_test(many, a_journal_that_was_closed_opens_on_a_full_disk, 0, 2);
    tcase_add_loop_test(cases, what_its_owner_does_not_grant_is_not_taken, 0, 2);
    tcase_add_loop_test(cases, without_reserve_it_is_buffered_and_says_so, 0, 2);
    tcase_add_test(cases, pages_that_cannot_be_made_ready_at_once_are_touched_one_by_one);
    tcase_add_test(cases, without_reserve_a_full_disk_delays_what_was_taken_and_loses_nothing);
    tcase_add_loop_test(cases, a_failed_sync_is_final, 0, 2);
    tcase_add_loop_test(cases, short_transfers_do_not_matter, 0, 2);
    tcase_add_test(cases, only_new_pages_are_synced_and_nothing_else);
    return test_suite_run(suite);
}
