/* What one of several writers brings to the device: all that is published, whoever wrote it. */
#include "modules/base/test_suite.h"
#include "modules/journal/test_writers_fixture.h"

enum { LONG_ROLL_BYTES = 512 << 10 };

/* The kernel, but for a note of what is brought to the device by mappings. */
static struct {
    struct os os;
    uint64_t bytes;
} watch;

static int watched_sync_map(struct os *os, void *address, size_t size)
{
    struct os *real = os_real();

    (void)os;
    watch.bytes += size;
    return real->sync_map(real, address, size);
}

static void setup_long(void)
{
    setup_in_memory();
    settings.roll_bytes = LONG_ROLL_BYTES;
    watch.os = *os_real();
    watch.os.sync_map = watched_sync_map;
    watch.bytes = 0;
}

/* Until the tail is at least there. */
static void append_up_to(struct journal_writer *writer, uint64_t *number, uint64_t position)
{
    while (atomic_load(&writer->meta.live->tail) < position)
        ck_assert_int_eq(append_as(writer, 2, ++*number), 0);
}

/* The file was short when the writer mapped it, and has grown since. */
START_TEST(what_others_have_written_since_is_synced_too)
{
    struct journal_writer *idle = open_writer_through(&watch.os), *busy = open_writer();
    uint64_t number = 0;

    append_up_to(busy, &number, journal_segment_start(2) + 5000);
    ck_assert_int_eq(journal_writer_sync(idle), 0);
    ck_assert_uint_eq(journal_writer_synced(busy), journal_writer_published(busy));
    ck_assert_uint_ge(watch.bytes, LONG_ROLL_BYTES - 8192); /* no frame is longer */
    journal_writer_close(idle);
    journal_writer_close(busy);
}
END_TEST

START_TEST(what_others_have_synced_may_lie_behind_what_was_mapped)
{
    struct journal_writer *idle = open_writer(), *busy = open_writer();
    uint64_t number = 0;

    append_up_to(busy, &number, journal_position(1, LONG_ROLL_BYTES / 2));
    ck_assert_int_eq(journal_writer_sync(busy), 0);
    append_up_to(busy, &number, journal_segment_start(2) + 5000);
    ck_assert_int_eq(journal_writer_sync(idle), 0);
    ck_assert_uint_eq(journal_writer_synced(busy), journal_writer_published(busy));
    journal_writer_close(idle);
    journal_writer_close(busy);
}
END_TEST

START_TEST(a_sync_that_failed_is_final_for_all)
{
    struct journal_writer *writer = open_writer_through(fault_os(fixture.fault));
    struct journal_writer *other = open_writer();
    uint64_t synced = journal_writer_synced(writer);

    ck_assert_int_eq(append_as(writer, 1, 1), 0);
    fault_fail(fixture.fault, FAULT_SYNC_MAP, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(journal_writer_sync(writer), -EIO);
    ck_assert_int_eq(journal_writer_sync(writer), -EIO);
    ck_assert_int_eq(journal_writer_sync(other), -EIO);
    ck_assert_uint_eq(journal_writer_synced(other), synced);
    journal_writer_close(writer);
    journal_writer_close(other);
}
END_TEST

/* The device was not asked, so it has refused nothing. */
START_TEST(a_sync_that_could_not_begin_is_tried_again)
{
    struct journal_writer *writer = open_writer_through(fault_os(fixture.fault));
    struct journal_writer *other = open_writer();
    uint64_t number = 0;

    append_up_to(other, &number, journal_segment_start(2) + 5000);
    fault_fail(fixture.fault, FAULT_OPEN, 1, EMFILE, FAULT_ONCE);
    ck_assert_int_eq(journal_writer_sync(writer), -EMFILE);
    ck_assert_int_eq(journal_writer_sync(writer), 0);
    ck_assert_uint_eq(journal_writer_synced(other), journal_writer_published(other));
    journal_writer_close(writer);
    journal_writer_close(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("syncs of several writers");
    TCase *cases = test_suite_case(suite, "all", setup_long, teardown);

    tcase_add_test(cases, what_others_have_written_since_is_synced_too);
    tcase_add_test(cases, what_others_have_synced_may_lie_behind_what_was_mapped);
    tcase_add_test(cases, a_sync_that_failed_is_final_for_all);
    tcase_add_test(cases, a_sync_that_could_not_begin_is_tried_again);
    return test_suite_run(suite);
}
