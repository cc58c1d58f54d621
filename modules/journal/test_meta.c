/* Who opens a journal's meta at the same time as others. */
#include "modules/base/test_suite.h"
#include "modules/journal/meta.h"
#include "modules/journal/test_writers_fixture.h"

/* ---- made twice -------------------------------------------------------------------------------
 */

/* The kernel's table, but that work is done before the first lock is asked for. */
static struct {
    struct os os;
    void (*work)(void);
} late;

static int lock_late(struct os *os, int fd, uint64_t offset, uint64_t size_bytes, enum os_lock kind,
                     bool waits)
{
    void (*work)(void) = late.work;

    (void)os;
    late.work = NULL;
    if (work) work();
    return os_real()->lock_range(os_real(), fd, offset, size_bytes, kind, waits);
}

static void make_journal(void)
{
    open_journal();
    append_many(10);
    sync_all();
    close_journal();
}

/* It had looked for the journal before: there was none. */
START_TEST(who_was_slower_takes_the_journal_that_is_there)
{
    struct journal_report report;
    struct journal *journal;

    late.os = *os_real();
    late.os.lock_range = lock_late;
    late.work = make_journal;
    ck_assert_int_eq(journal_open(&late.os, fixture.io, &fixture.options, &report, &journal), 0);
    ck_assert_ptr_null(late.work);
    ck_assert(!report.is_created);
    fixture.journal = journal;
    append_many(10);
    sync_all();
    expect_all(1, 21);
}
END_TEST

/* ---- slots ------------------------------------------------------------------------------------
 */

static int open_shared(struct os *os, struct journal_meta *out_meta, uint32_t *out_slot)
{
    struct journal_settings all = settings;

    all.has_several_writers = true;
    return journal_meta_open_shared(os, fixture.path, &all, 7, 1000, out_meta, out_slot);
}

static void close_shared(struct journal_meta *meta)
{
    journal_meta_unlock(os_real(), meta);
    journal_meta_close(os_real(), meta);
}

/* Slots but those of the last are taken by one who is many: the tests' processes have no
 * descriptors for so many. */
START_TEST(no_more_writers_than_slots)
{
    struct journal_meta many, last, none;
    struct journal_report report;
    struct journal_writer *writer;
    uint32_t slot;

    ck_assert_int_eq(open_shared(os_real(), &many, &slot), 0);
    ck_assert_uint_eq(slot, 0);
    for (slot = 1; slot < JOURNAL_WRITERS_MAX - 1; slot++)
        ck_assert_int_eq(journal_meta_take_slot(os_real(), &many, slot), 0);
    journal_meta_unlock(os_real(), &many);
    ck_assert_int_eq(open_shared(os_real(), &last, &slot), 0);
    ck_assert_uint_eq(slot, JOURNAL_WRITERS_MAX - 1);
    journal_meta_unlock(os_real(), &last);
    ck_assert_int_eq(open_shared(os_real(), &none, &slot), -EUSERS);
    ck_assert_int_eq(journal_writer_open(os_real(), fixture.path, &settings, &report, &writer),
                     -EUSERS);
    journal_meta_let_slot(os_real(), &many, 17);
    ck_assert_int_eq(open_shared(os_real(), &none, &slot), 0);
    ck_assert_uint_eq(slot, 17);
    close_shared(&none);
    close_shared(&last);
    close_shared(&many);
}
END_TEST

/* What is in the way of a lock is told, and is not taken for somebody who has it. */
START_TEST(each_lock_may_fail)
{
    unsigned failures = 0;
    bool has_fired = true;

    for (uint64_t nth = 1; has_fired; nth++) {
        struct journal_meta meta;
        uint32_t slot;
        int rc;

        fault_fail(fixture.fault, FAULT_LOCK, nth, ENOLCK, FAULT_ONCE);
        rc = open_shared(fault_os(fixture.fault), &meta, &slot);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc == 0) {
            ck_assert(!has_fired);
            ck_assert_uint_eq(slot, 0);
            close_shared(&meta);
        } else {
            ck_assert_int_eq(rc, -ENOLCK);
            failures++;
            remove_files(fixture.path); /* made or not */
        }
    }
    ck_assert_uint_eq(failures, 3); /* of who makes it, of several writers, of the slot */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metas of journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_test(cases, who_was_slower_takes_the_journal_that_is_there);
    tcase_add_test(cases, no_more_writers_than_slots);
    tcase_add_test(cases, each_lock_may_fail);
    return test_suite_run(suite);
}
