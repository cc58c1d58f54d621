#include "modules/base/test_suite.h"
#include "server/keyspace/watch.h"

#include <check.h>

static struct watch *watch;

static void setup(void)
{
    ck_assert_int_eq(watch_create(&watch), 0);
}

static void teardown(void)
{
    watch_destroy(watch);
}

static void watch_key(struct watcher *watcher, unsigned database, const char *name)
{
    ck_assert_int_eq(watch_add(watch, watcher, database, slice_of_string(name), false), 0);
}

static void change(unsigned database, const char *name)
{
    watch_changed(watch, database, slice_of_string(name));
}

START_TEST(a_change_marks_those_who_watch_that_key_and_no_others)
{
    struct watcher first = { 0 }, second = { 0 }, third = { 0 };
    watch_key(&first, 0, "a");
    watch_key(&second, 0, "a");
    watch_key(&second, 0, "b");
    watch_key(&third, 1, "a");
    ck_assert_uint_eq(watch_client_count(watch), 3);
    change(0, "c");
    change(2, "a");
    ck_assert(!first.is_dirty && !second.is_dirty && !third.is_dirty);
    change(0, "b");
    ck_assert(!first.is_dirty && second.is_dirty && !third.is_dirty);
    change(0, "a");
    ck_assert(first.is_dirty && second.is_dirty && !third.is_dirty);
    watch_clear(watch, &first);
    watch_clear(watch, &second);
    watch_clear(watch, &third);
    ck_assert_uint_eq(watch_client_count(watch), 0);
}
END_TEST

START_TEST(unwatching_forgets_all_and_the_mark)
{
    struct watcher watcher = { 0 };
    watch_key(&watcher, 0, "a");
    change(0, "a");
    watch_clear(watch, &watcher);
    ck_assert(!watcher.is_dirty);
    change(0, "a");
    ck_assert(!watcher.is_dirty);
    watch_clear(watch, &watcher); /* nothing to forget */
}
END_TEST

START_TEST(watching_a_key_twice_is_once)
{
    struct watcher watcher = { 0 }, other = { 0 };
    watch_key(&watcher, 0, "a");
    watch_key(&watcher, 0, "b");
    watch_key(&watcher, 0, "a"); /* found among the key's watchers */
    watch_key(&other, 0, "b");
    watch_key(&other, 0, "b"); /* found among the watcher's keys */
    ck_assert_uint_eq(watcher.place_count, 2);
    ck_assert_uint_eq(other.place_count, 1);
    watch_clear(watch, &watcher);
    watch_clear(watch, &other);
}
END_TEST

START_TEST(the_removal_of_a_key_that_had_expired_is_no_change)
{
    struct watcher watcher = { 0 };
    ck_assert_int_eq(watch_add(watch, &watcher, 0, slice_of_string("a"), true), 0);
    change(0, "a");
    ck_assert(!watcher.is_dirty);
    change(0, "a");
    ck_assert(watcher.is_dirty);
    watch_clear(watch, &watcher);
}
END_TEST

static bool is_named_b(void *context, unsigned database, struct slice name)
{
    (*(int *)context)++;
    ck_assert_uint_eq(database, 0);
    return slice_is(name, "b");
}

START_TEST(a_change_of_a_database_marks_who_watches_what_exists)
{
    struct watcher first = { 0 }, second = { 0 }, third = { 0 };
    int asked = 0;
    watch_key(&first, 0, "a");
    watch_key(&second, 0, "b");
    watch_key(&third, 1, "b");
    watch_changed_database(watch, 0, is_named_b, &asked);
    ck_assert_int_eq(asked, 2);
    ck_assert(!first.is_dirty && second.is_dirty && !third.is_dirty);
    watch_changed_database(watch, 0, NULL, NULL);
    ck_assert(first.is_dirty && !third.is_dirty);
    watch_clear(watch, &first);
    watch_clear(watch, &second);
    watch_clear(watch, &third);
}
END_TEST

static bool collect(void *context, unsigned database, struct slice name, bool had_expired)
{
    int *sum = context;
    *sum += (int)database * 100 + name.bytes[0] + had_expired * 1000;
    return slice_is(name, "z");
}

START_TEST(what_is_watched_can_be_walked)
{
    struct watcher watcher = { 0 };
    int sum = 0;
    ck_assert(!watch_any(&watcher, collect, &sum));
    watch_key(&watcher, 0, "a");
    ck_assert_int_eq(watch_add(watch, &watcher, 2, slice_of_string("b"), true), 0);
    ck_assert(!watch_any(&watcher, collect, &sum));
    ck_assert_int_eq(sum, 'a' + 'b' + 200 + 1000);
    watch_key(&watcher, 0, "z");
    ck_assert(watch_any(&watcher, collect, &sum));
    watch_clear(watch, &watcher);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *tcase = test_suite_case(suite, "watch", setup, teardown);

    tcase_add_test(tcase, a_change_marks_those_who_watch_that_key_and_no_others);
    tcase_add_test(tcase, unwatching_forgets_all_and_the_mark);
    tcase_add_test(tcase, watching_a_key_twice_is_once);
    tcase_add_test(tcase, the_removal_of_a_key_that_had_expired_is_no_change);
    tcase_add_test(tcase, a_change_of_a_database_marks_who_watches_what_exists);
    tcase_add_test(tcase, what_is_watched_can_be_walked);
    return test_suite_run(suite);
}
