/* Large blocks on their way to be freed. That each is freed once, ASan tells. */
#include "modules/base/os.h"
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

/* tear_down has to cope with what nobody waited for. */
START_TEST(what_is_under_way_at_the_end_is_freed)
{
    give(LARGE, 2 * LARGE);
    give(LARGE, 2 * LARGE);
    ck_assert_uint_eq(io_in_flight(io), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disposal");
    TCase *tcase = tcase_create("disposal");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_large_block_is_freed_by_io);
    tcase_add_test(tcase, a_small_one_is_freed_at_once);
    tcase_add_test(tcase, so_is_what_would_be_too_much_on_its_way);
    tcase_add_test(tcase, what_is_under_way_at_the_end_is_freed);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
