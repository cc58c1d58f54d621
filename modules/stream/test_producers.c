/* What producers added is known for as long, and as much of it, as was said. */
#include "modules/stream/producers.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct stream_producers *producers;

static void setup(void)
{
    ck_assert_int_eq(stream_producers_create(&producers), 0);
}

static void teardown(void)
{
    stream_producers_destroy(producers);
}

static void add(const char *producer, const char *iid, uint64_t ms, uint64_t now_ms)
{
    ck_assert_int_eq(stream_producers_add(producers, slice_of_string(producer),
                                          slice_of_string(iid), (struct stream_id){ ms, 0 },
                                          now_ms),
                     0);
}

/* The id's milliseconds; 0: not known. */
static uint64_t find(const char *producer, const char *iid, uint64_t now_ms)
{
    struct stream_id id;
    int rc = stream_producers_find(producers, slice_of_string(producer), slice_of_string(iid),
                                   now_ms, &id);

    return rc == 1 ? id.ms : 0;
}

static struct stream_producers_info info(void)
{
    struct stream_producers_info now;

    stream_producers_get_info(producers, &now);
    return now;
}

START_TEST(an_iid_belongs_to_its_producer)
{
    add("a", "x", 1, 1);
    add("b", "x", 2, 1);
    add("", "", 3, 1);
    ck_assert_uint_eq(find("a", "x", 2), 1);
    ck_assert_uint_eq(find("b", "x", 2), 2);
    ck_assert_uint_eq(find("", "", 2), 3);
    ck_assert_uint_eq(find("a", "", 2), 0);
    ck_assert_uint_eq(info().producer_count, 3);
    ck_assert_uint_eq(info().iid_count, 3);
    ck_assert_uint_eq(info().iids_added, 3);
    ck_assert_uint_eq(info().duplicate_count, 3);
}
END_TEST

START_TEST(the_oldest_of_too_many_is_forgotten)
{
    stream_producers_configure(producers, 10, 2);
    add("a", "x", 1, 1);
    add("a", "y", 2, 1);
    add("b", "x", 9, 1);
    add("a", "z", 3, 1);
    ck_assert_uint_eq(find("a", "x", 1), 0);
    ck_assert_uint_eq(find("a", "y", 1), 2);
    ck_assert_uint_eq(find("a", "z", 1), 3);
    ck_assert_uint_eq(find("b", "x", 1), 9);
}
END_TEST

START_TEST(what_is_too_old_is_not_known_any_more)
{
    stream_producers_configure(producers, 10, 100);
    add("a", "x", 999999, 1000);
    add("b", "y", 2, 2000);
    ck_assert_uint_eq(find("a", "x", 10999), 999999);
    ck_assert_uint_eq(find("a", "x", 11000), 0);
    ck_assert_uint_eq(find("a", "x", 3), 999999); /* the clock went back */
    ck_assert_uint_eq(info().producer_count, 2);
    ck_assert(!stream_producers_expire(producers, 11000, 10));
    ck_assert_uint_eq(info().producer_count, 1);
    add("a", "x", 5, 11000);
    ck_assert_uint_eq(find("a", "x", 11000), 5);
}
END_TEST

START_TEST(an_iid_that_is_too_old_can_be_used_again)
{
    stream_producers_configure(producers, 1, 100);
    add("a", "x", 1, 1000);
    add("a", "x", 2, 2000);
    ck_assert_uint_eq(find("a", "x", 2000), 2);
    ck_assert_uint_eq(info().iid_count, 1);
}
END_TEST

START_TEST(other_settings_forget_all)
{
    uint64_t empty_bytes = info().memory_bytes;

    add("a", "x", 1, 1);
    ck_assert_uint_gt(info().memory_bytes, empty_bytes);
    stream_producers_configure(producers, 5, 6);
    ck_assert_uint_eq(find("a", "x", 1), 0);
    ck_assert_uint_eq(info().memory_bytes, empty_bytes);
    ck_assert_uint_eq(info().duration_s, 5);
    ck_assert_uint_eq(info().size_max, 6);
}
END_TEST

/* ---- many ---- */

enum { PRODUCERS = 7, SIZE_MAX_OF_EACH = 50 };

static void add_number(unsigned number)
{
    char producer[16], iid[16];

    snprintf(producer, sizeof(producer), "%u", number % PRODUCERS);
    snprintf(iid, sizeof(iid), "%u", number);
    add(producer, iid, number, number);
}

static bool is_known(unsigned number, uint64_t now_ms)
{
    char producer[16], iid[16];
    uint64_t ms;

    snprintf(producer, sizeof(producer), "%u", number % PRODUCERS);
    snprintf(iid, sizeof(iid), "%u", number);
    ms = find(producer, iid, now_ms);
    ck_assert(ms == 0 || ms == number);
    return ms != 0;
}

START_TEST(of_many_the_newest_are_known)
{
    enum { COUNT = 20000 };

    stream_producers_configure(producers, 86400, SIZE_MAX_OF_EACH);
    for (unsigned i = 1; i <= COUNT; i++)
        add_number(i);
    ck_assert_uint_eq(info().iid_count, PRODUCERS * SIZE_MAX_OF_EACH);
    for (unsigned i = 1; i <= COUNT; i++)
        ck_assert_int_eq(is_known(i, COUNT), i > COUNT - PRODUCERS * SIZE_MAX_OF_EACH);
}
END_TEST

START_TEST(many_come_and_go)
{
    enum { COUNT = 30000 };
    uint64_t empty_bytes = info().memory_bytes;

    stream_producers_configure(producers, 10, STREAM_IDMP_SIZE_MAX);
    for (unsigned i = 1; i <= COUNT; i++)
        add_number(i);
    /* Those of the last ten seconds, and all are found. */
    ck_assert_uint_eq(info().iid_count, 10000);
    for (unsigned i = COUNT - 9999; i <= COUNT; i++)
        ck_assert(is_known(i, COUNT));
    while (stream_producers_expire(producers, COUNT + 20000, 100)) {}
    ck_assert_uint_eq(info().iid_count, 0);
    ck_assert_uint_lt(info().memory_bytes, empty_bytes + 20000);
}
END_TEST

/* ---- images ---- */

struct written {
    uint8_t *bytes;
    size_t size, capacity;
};

static void put(void *context, struct slice piece)
{
    struct written *written = context;

    ck_assert_uint_le(written->size + piece.size, written->capacity);
    if (piece.size > 0) memcpy(written->bytes + written->size, piece.bytes, piece.size);
    written->size += piece.size;
}

static struct written write_image(const struct stream_producers *of)
{
    struct written written = { .capacity = stream_producers_image_size(of) };

    written.bytes = malloc(written.capacity);
    stream_producers_image_write(of, put, &written);
    ck_assert_uint_eq(written.size, written.capacity);
    return written;
}

static struct written example_image(void)
{
    stream_producers_configure(producers, 77, 3);
    add("a", "x", 1, 5);
    add("bb", "", 2, 6);
    add("a", "y", 3, 7);
    ck_assert_uint_eq(find("a", "x", 7), 1);
    return write_image(producers);
}

START_TEST(an_image_is_loaded_as_it_was)
{
    struct written image = example_image(), again;
    struct stream_producers *loaded;

    ck_assert_int_eq(stream_producers_image_load(slice_of(image.bytes, image.size), &loaded), 0);
    again = write_image(loaded);
    ck_assert_uint_eq(image.size, again.size);
    ck_assert_mem_eq(image.bytes, again.bytes, again.size);
    stream_producers_destroy(producers);
    producers = loaded;
    ck_assert_uint_eq(find("bb", "", 8), 2);
    ck_assert_uint_eq(info().duplicate_count, 2);
    ck_assert_uint_eq(info().duration_s, 77);
    free(image.bytes);
    free(again.bytes);
}
END_TEST

START_TEST(damaged_images_are_refused_or_hold_together)
{
    struct written image = example_image();
    struct stream_producers *loaded;

    for (size_t at = 0; at < image.size; at++) {
        ck_assert_int_eq(stream_producers_image_load(slice_of(image.bytes, at), &loaded), -EBADMSG);
        for (int bit = 0; bit < 8; bit++) {
            int rc;

            image.bytes[at] ^= (uint8_t)(1 << bit);
            rc = stream_producers_image_load(slice_of(image.bytes, image.size), &loaded);
            ck_assert(rc == 0 || rc == -EBADMSG);
            if (rc == 0) stream_producers_destroy(loaded);
            image.bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    free(image.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers");
    TCase *tcase = tcase_create("producers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_iid_belongs_to_its_producer);
    tcase_add_test(tcase, the_oldest_of_too_many_is_forgotten);
    tcase_add_test(tcase, what_is_too_old_is_not_known_any_more);
    tcase_add_test(tcase, an_iid_that_is_too_old_can_be_used_again);
    tcase_add_test(tcase, other_settings_forget_all);
    tcase_add_test(tcase, of_many_the_newest_are_known);
    tcase_add_test(tcase, many_come_and_go);
    tcase_add_test(tcase, an_image_is_loaded_as_it_was);
    tcase_add_test(tcase, damaged_images_are_refused_or_hold_together);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
