/* What a record tells of a directory, and what power.h makes of it. */
#include "modules/base/fault.h"
#include "modules/base/test_power_fixture.h"
#include "modules/base/test_suite.h"

#include <errno.h>
#include <sys/mman.h>

/* ---- content ----------------------------------------------------------------------------------
 */

START_TEST(what_was_synced_is_there_and_what_was_not_may_be)
{
    int fd = settled_file("a", 'x', 1);

    from_here();
    put(fd, 0, 'y', PAGE);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("y|-"));
    ck_assert(!was_found("-|-") && !was_found("|-") && !was_found(".|-"));
}
END_TEST

START_TEST(pages_reach_the_disk_in_any_order)
{
    int fd = settled_file("a", 'x', 2);

    from_here();
    put(fd, 0, 'y', PAGE);
    put(fd, PAGE, 'z', PAGE);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("yx|-") && was_found("xz|-") && was_found("yz|-"));
}
END_TEST

START_TEST(a_page_may_be_torn_between_sectors_and_not_inside)
{
    int fd = settled_file("a", 'x', 1);
    bool is_torn = false;

    from_here();
    put(fd, 0, 'y', PAGE);
    put(fd, 0, 'z', PAGE);
    close_file(fd);
    walk();
    for (unsigned i = 0; i < fixture.outcome_count; i++) {
        if (strstr(fixture.outcomes[i], "yz") || strstr(fixture.outcomes[i], "zy")) is_torn = true;
        ck_assert_ptr_null(strchr(fixture.outcomes[i], '?'));
    }
    ck_assert(is_torn);
}
END_TEST

START_TEST(an_older_write_of_a_page_does_not_come_after_a_newer_one)
{
    int fd = settled_file("a", 'x', 1);

    put(fd, 0, 'y', PAGE);
    sync_file(fd);
    from_here();
    put(fd, 0, 'z', 512);
    close_file(fd);
    walk();
    expect_outcomes("y|- zy|-");
}
END_TEST

START_TEST(a_file_that_grew_may_have_its_size_without_its_content)
{
    int fd = settled_file("a", 'x', 1);

    from_here();
    put(fd, PAGE, 'y', 512);
    close_file(fd);
    walk();
    expect_outcomes("x|- x.|- xy|-");
}
END_TEST

START_TEST(blocks_that_were_given_back_do_not_return_with_their_content)
{
    int fd = settled_file("a", 'x', 2);

    from_here();
    ck_assert_int_eq(fixture.os->truncate(fixture.os, fd, PAGE), 0);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fd, 0, 2 * PAGE), 0);
    walk();
    expect_outcomes("x|- x.|-"); /* "x" is one page or two */
    fixture.outcome_count = 0;
    sync_file(fd);
    from_here();
    put(fd, 0, 'y', PAGE);
    ck_assert_int_eq(fixture.os->punch(fixture.os, fd, 0, PAGE), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("x.|-") && was_found("y.|-") && was_found(".|-"));
}
END_TEST

/* Of two pages the second one is written again; and then, if it helps, the first. */
START_TEST(after_a_failed_sync_only_what_is_written_again_comes)
{
    struct fault *fault;
    int fd;

    record_destroy(fixture.record);
    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    ck_assert_int_eq(record_create(fault_os(fault), fixture.work, RECORD_BYTES, &fixture.record),
                     0);
    fixture.os = record_os(fixture.record);
    fd = settled_file("a", 'x', 2);
    put(fd, 0, 'y', 2 * PAGE);
    fault_fail(fault, _i == 0 ? FAULT_FDATASYNC : FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    if (_i == 0)
        ck_assert_int_eq(fixture.os->fdatasync(fixture.os, fd), -EIO);
    else
        ck_assert_int_eq(fixture.os->sync_filesystem(fixture.os, fd), -EIO);
    put(fd, PAGE, 'z', 512);
    sync_file(fd);
    from_here();
    close_file(make_file("b"));
    walk();
    ck_assert(was_found("xzy|-") && was_found("yzy|-"));
    ck_assert(!was_found("xy|-") && !was_found("x|-") && !was_found("yx|-"));
    fixture.outcome_count = 0;
    put(fd, 0, 'y', PAGE);
    sync_file(fd);
    sync_names();
    from_here();
    close_file(make_file("c"));
    walk();
    expect_outcomes("yzy|");
    close_file(fd);
    record_destroy(fixture.record);
    fixture.record = NULL;
    fault_destroy(fault);
}
END_TEST

/* ---- mappings ---------------------------------------------------------------------------------
 */

START_TEST(stores_into_a_mapping_are_seen_page_by_page)
{
    int rc, fd = settled_file("a", 'x', 3);
    char *map = fixture.os->map(fixture.os, fd, 3 * PAGE, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_ptr_nonnull(map);
    memset(map, 'y', PAGE);
    memset(map + 2 * PAGE, 'z', PAGE);
    from_here();
    ck_assert_int_eq(record_look(fixture.record), 0);
    walk();
    ck_assert(was_found("yxz|-") && was_found("xz|-") && was_found("yx|-"));
    fixture.outcome_count = 0;
    ck_assert_int_eq(fixture.os->sync_map(fixture.os, map + 2 * PAGE, PAGE), 0);
    from_here();
    memset(map + PAGE, 'w', PAGE);
    ck_assert_int_eq(fixture.os->unmap(fixture.os, map, 3 * PAGE), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("ywz|-") && was_found("xz|-") && was_found("xwz|-") && was_found("yxz|-"));
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        ck_assert_msg(strstr(fixture.outcomes[i], "z|") != NULL, "%s", fixture.outcomes[i]);
}
END_TEST

START_TEST(what_is_written_beside_a_mapping_is_no_store)
{
    int rc, fd = settled_file("a", 'x', 2);
    char *map = fixture.os->map(fixture.os, fd, 8 * PAGE, PROT_READ | PROT_WRITE, 0, &rc);
    size_t count;

    put(fd, PAGE, 'y', 2 * PAGE);
    ck_assert_int_eq(fixture.os->allocate(fixture.os, fd, 0, 6 * PAGE), 0);
    ck_assert_int_eq(fixture.os->punch(fixture.os, fd, 0, PAGE), 0);
    ck_assert_int_eq(fixture.os->truncate(fixture.os, fd, PAGE + 1), 0);
    count = record_count(fixture.record);
    ck_assert_int_eq(record_look(fixture.record), 0);
    ck_assert_uint_eq(record_count(fixture.record), count);
    map[PAGE] = 'q';
    ck_assert_int_eq(fixture.os->unmap(fixture.os, map, 8 * PAGE), 0);
    ck_assert_uint_eq(record_count(fixture.record), count + 1);
    ck_assert_uint_eq(record_event(fixture.record, count)->offset, PAGE);
    ck_assert_uint_eq(record_event(fixture.record, count)->size, 1);
    close_file(fd);
}
END_TEST

START_TEST(a_mapping_keeps_no_lock_alive)
{
    int rc, other, fd = settled_file("a", 'x', 1);
    char *map = fixture.os->map(fixture.os, fd, PAGE, PROT_READ | PROT_WRITE, 0, &rc);

    ck_assert_int_eq(fixture.os->lock(fixture.os, fd), 0);
    /* Another of the same file stays mapped. */
    other = fixture.os->open(fixture.os, path_of("a"), O_RDWR, 0);
    ck_assert_int_eq(fixture.os->lock(fixture.os, other), -EWOULDBLOCK);
    ck_assert_int_eq(munmap(map, PAGE), 0); /* behind the record's back */
    close_file(fd);
    ck_assert_int_eq(fixture.os->lock(fixture.os, other), 0);
    close_file(other);
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------
 */

START_TEST(a_new_name_counts_with_its_directory)
{
    int fd = make_file("a");

    put(fd, 0, 'x', PAGE);
    sync_file(fd);
    walk();
    ck_assert(was_found("-|-") && was_found("x|-"));
    fixture.outcome_count = 0;
    sync_names();
    from_here();
    put(make_file("b"), 0, 'y', 1);
    close_file(fd);
    walk();
    ck_assert(was_found("x|-") && was_found("x|y"));
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        ck_assert_int_eq(fixture.outcomes[i][0], 'x');
}
END_TEST

START_TEST(renaming_shows_the_old_or_the_new_and_nothing_else)
{
    int old = settled_file("a", 'x', 1), new = settled_file("b", 'y', 1);

    from_here();
    ck_assert_int_eq(fixture.os->rename(fixture.os, path_of("b"), path_of("a")), 0);
    walk();
    expect_outcomes("x|y y|-");
    close_file(old);
    close_file(new);
}
END_TEST

START_TEST(renaming_before_a_sync_finds_an_empty_file)
{
    int fd = settled_file("a", 'x', 1);

    close_file(fd);
    fd = make_file("b");
    put(fd, 0, 'y', PAGE);
    ck_assert_int_eq(fixture.os->rename(fixture.os, path_of("b"), path_of("a")), 0);
    close_file(fd);
    walk();
    ck_assert(was_found("|-") && was_found("y|-") && was_found("x|-"));
}
END_TEST

START_TEST(a_removed_file_may_come_back_and_a_new_one_of_its_name_is_another)
{
    int fd = settled_file("a", 'x', 1);

    close_file(fd);
    from_here();
    ck_assert_int_eq(fixture.os->unlink(fixture.os, path_of("a")), 0);
    fd = make_file("a");
    put(fd, 0, 'y', 512);
    walk();
    expect_outcomes("x|- -|- |- y|- .|-");
    fixture.outcome_count = 0;
    sync_names();
    sync_file(fd);
    from_here();
    walk();
    expect_outcomes("y|-");
    close_file(fd);
}
END_TEST

START_TEST(a_new_directory_counts_with_the_one_above_it)
{
    int fd;

    ck_assert_int_eq(fixture.os->mkdir(fixture.os, path_of("d"), 0755), 0);
    fd = make_file("d/a");
    sync_file(fd);
    ck_assert_int_eq(fixture.os->fsync_directory(fixture.os, path_of("d")), 0);
    close_file(fd);
    from_here();
    put(make_file("b"), 0, 'y', 1);
    walk();
    ck_assert_uint_ge(fixture.figures.checked_count, 6);
    ck_assert(was_found("-|-") && was_found("-|y"));
}
END_TEST

START_TEST(a_sync_of_all_brings_what_is_closed_and_its_name)
{
    int fd, all = fixture.os->watch_filesystem(fixture.os, fixture.work);

    ck_assert_int_ge(all, 0);
    ck_assert_int_eq(fixture.os->mkdir(fixture.os, path_of("d"), 0755), 0);
    fd = make_file("a");
    put(fd, 0, 'x', PAGE);
    close_file(fd);
    ck_assert_int_eq(fixture.os->sync_filesystem(fixture.os, all), 0);
    from_here();
    fd = make_file("b");
    put(fd, 0, 'y', PAGE);
    walk();
    ck_assert(was_found("x|-") && was_found("x|y"));
    for (unsigned i = 0; i < fixture.outcome_count; i++)
        ck_assert_msg(strncmp(fixture.outcomes[i], "x|", 2) == 0, "%s", fixture.outcomes[i]);
    close_file(fd);
    close_file(all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record and power");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_was_synced_is_there_and_what_was_not_may_be);
    tcase_add_test(cases, pages_reach_the_disk_in_any_order);
    tcase_add_test(cases, a_page_may_be_torn_between_sectors_and_not_inside);
    tcase_add_test(cases, an_older_write_of_a_page_does_not_come_after_a_newer_one);
    tcase_add_test(cases, a_file_that_grew_may_have_its_size_without_its_content);
    tcase_add_test(cases, blocks_that_were_given_back_do_not_return_with_their_content);
    tcase_add_loop_test(cases, after_a_failed_sync_only_what_is_written_again_comes, 0, 2);
    tcase_add_test(cases, stores_into_a_mapping_are_seen_page_by_page);
    tcase_add_test(cases, what_is_written_beside_a_mapping_is_no_store);
    tcase_add_test(cases, a_mapping_keeps_no_lock_alive);
    tcase_add_test(cases, a_new_name_counts_with_its_directory);
    tcase_add_test(cases, renaming_shows_the_old_or_the_new_and_nothing_else);
    tcase_add_test(cases, renaming_before_a_sync_finds_an_empty_file);
    tcase_add_test(cases, a_removed_file_may_come_back_and_a_new_one_of_its_name_is_another);
    tcase_add_test(cases, a_new_directory_counts_with_the_one_above_it);
    tcase_add_test(cases, a_sync_of_all_brings_what_is_closed_and_its_name);
    return test_suite_run(suite);
}
