/* Large blocks on their way to be freed. That each is freed once, ASan tells. */
#include "modules/base/os.h"
#include "modules/base/test_suite.h"
#include "modules/io/disposal.h"
#include "modules/io/io.h"

#include <check.h>
#include <stdlib.h>

enum { LARGE = DISPOSAL_BYTES_MIN };

static struct io *io;
static struct disposal *disposal;

static void set_up(void)
{
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(disposal_create(io, &disposal), 0);
}

static void tear_down(void)
{
    io_destroy(io);
    disposal_destroy(disposal);
}

static void give(size_t bytes, uint64_t pending_max)
{
    void *block = malloc(bytes);

    ck_assert_ptr_nonnull(block);
    disposal_free(disposal, block, bytes, pending_max);
}

START_TEST(a_large_block_is_freed_by_io)
{
    give(LARGE, 2 * LARGE);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), LARGE);
    ck_assert_uint_eq(io_in_flight(io), 1);
    (void)io_wait(io);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), 0);
}
END_TEST

START_TEST(a_small_one_is_freed_at_once)
{
    give(LARGE - 1, UINT64_MAX);
    disposal_free(disposal, NULL, 0, UINT64_MAX);
    ck_assert_uint_eq(io_in_flight(io), 0);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), 0);
}
END_TEST

START_TEST(so_is_what_would_be_too_much_on_its_way)
{
    give(LARGE, LARGE - 1);
    ck_assert_uint_eq(io_in_flight(io), 0);
    give(LARGE, 2 * LARGE);
    give(LARGE, 2 * LARGE);
    give(LARGE, 2 * LARGE);
    ck_assert_uint_eq(io_in_flight(io), 2);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), 2 * LARGE);
    (void)io_wait(io);
    give(LARGE, LARGE);
    ck_assert_uint_eq(io_in_flight(io), 1);
}
END_TEST

START_TEST(without_a_limit_all_go_that_way)
{
    enum { MANY = 5 };

    for (unsigned i = 1; i <= MANY; i++) {
        give(LARGE, UINT64_MAX);
        ck_assert_uint_eq(disposal_pending_bytes(disposal), i * (uint64_t)LARGE);
    }
    ck_assert_uint_eq(io_in_flight(io), MANY);
    while (io_wait(io) > 0) {}
    ck_assert_uint_eq(disposal_pending_bytes(disposal), 0);
}
END_TEST

/* What is counted would be more than there are numbers. */
START_TEST(a_size_that_nothing_could_have_is_freed_at_once)
{
    void *block = malloc(1);

    give(LARGE, UINT64_MAX);
    ck_assert_ptr_nonnull(block);
    disposal_free(disposal, block, SIZE_MAX, UINT64_MAX);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), LARGE);
}
END_TEST

/* tear_down has to cope with what nobody waited for. */
START_TEST(what_is_under_way_at_the_end_is_freed)
{
    give(LARGE, 2 * LARGE);
    give(LARGE, 2 * LARGE);
    ck_assert_uint_eq(io_in_flight(io), 2);
}
END_TEST

/* ---- with threads -----------------------------------------------------------------------------
 */

static void set_up_threads(void)
{
    ck_assert_int_eq(io_create(os_real(), 2, &io), 0);
    ck_assert_int_eq(disposal_create(io, &disposal), 0);
}

static void give_many(void)
{
    for (unsigned i = 0; i < 20; i++)
        give(LARGE, UINT64_MAX);
}

START_TEST(threads_free_what_they_are_given)
{
    give_many();
    while (io_wait(io) > 0) {}
    ck_assert_uint_eq(io_in_flight(io), 0);
    ck_assert_uint_eq(disposal_pending_bytes(disposal), 0);
}
END_TEST

/* Some have been freed and nobody was told, some are being freed, some wait. */
START_TEST(what_is_under_way_at_the_end_is_freed_by_whoever_comes_first)
{
    give_many();
    (void)io_poll(io);
    give_many();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disposal");
    TCase *tcase = test_suite_case(suite, "disposal", set_up, tear_down);
    TCase *threaded = test_suite_case(suite, "threads", set_up_threads, tear_down);

    tcase_add_test(tcase, a_large_block_is_freed_by_io);
    tcase_add_test(tcase, a_small_one_is_freed_at_once);
    tcase_add_test(tcase, so_is_what_would_be_too_much_on_its_way);
    tcase_add_test(tcase, without_a_limit_all_go_that_way);
    tcase_add_test(tcase, a_size_that_nothing_could_have_is_freed_at_once);
    tcase_add_test(tcase, what_is_under_way_at_the_end_is_freed);
    tcase_add_test(threaded, threads_free_what_they_are_given);
    tcase_add_test(threaded, what_is_under_way_at_the_end_is_freed_by_whoever_comes_first);
    return test_suite_run(suite);
}
