/* What producers added is known for as long, and as much of it, as was said. */
#include "modules/base/test_suite.h"
#include "modules/stream/producers.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct stream_producer_store *store;
static struct stream_producers *producers;

static void setup(void)
{
    ck_assert_int_eq(stream_producer_store_create(&store), 0);
    ck_assert_int_eq(stream_producers_create(store, &producers), 0);
}

static void teardown(void)
{
    stream_producers_destroy(producers);
    stream_producer_store_destroy(store);
}

static void configure(uint32_t duration_s, uint32_t size_max)
{
    ck_assert_int_eq(stream_producers_configure(producers, duration_s, size_max), 0);
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
    configure(10, 2);
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
    configure(10, 100);
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
    configure(1, 100);
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
    configure(5, 6);
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

    configure(86400, SIZE_MAX_OF_EACH);
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

    configure(10, STREAM_IDMP_SIZE_MAX);
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

/* ---- what was buried ---- */

START_TEST(what_is_buried_is_freed_in_slices)
{
    enum { COUNT = 1000, SLICE = 100 };
    uint64_t bytes;
    int ticks = 0;

    configure(86400, STREAM_IDMP_SIZE_MAX);
    for (unsigned i = 1; i <= COUNT; i++)
        add_number(i);
    while (stream_producer_store_tick(store, 1)) {} /* of what was configured away */
    ck_assert_uint_eq(stream_producer_store_memory_bytes(store), 0);
    bytes = info().memory_bytes;
    configure(86400, 7);
    ck_assert_uint_ge(info().memory_bytes + stream_producer_store_memory_bytes(store), bytes);
    while (stream_producer_store_tick(store, SLICE))
        ticks++;
    ck_assert_int_ge(ticks, COUNT / SLICE);
    ck_assert_uint_eq(stream_producer_store_memory_bytes(store), 0);
}
END_TEST

/* ---- pictures ---- */

struct bytes {
    uint8_t *bytes;
    size_t size;
};

static struct bytes read_whole(struct stream_producers_picture *picture, size_t step)
{
    struct bytes read = { .bytes = malloc(stream_producers_picture_size(picture) + step) };
    size_t size;

    ck_assert_ptr_nonnull(read.bytes);
    while ((size = stream_producers_picture_read(picture, read.bytes + read.size, step)) > 0) {
        read.size += size;
        ck_assert_uint_le(read.size, stream_producers_picture_size(picture));
    }
    ck_assert_uint_eq(read.size, stream_producers_picture_size(picture));
    return read;
}

static struct stream_producers_picture *take_picture(void)
{
    struct stream_producers_picture *picture;

    ck_assert_int_eq(stream_producers_picture_take(producers, &picture), 0);
    return picture;
}

static struct bytes picture_now(void)
{
    struct stream_producers_picture *picture = take_picture();
    struct bytes read = read_whole(picture, 1000);

    stream_producers_picture_drop(picture);
    return read;
}

/* In pieces of so many bytes. */
static int load(struct bytes image, size_t step, struct stream_producers **out_producers)
{
    struct stream_producers_loader *loader;
    int rc;

    ck_assert_int_eq(stream_producers_loader_create(store, &loader), 0);
    rc = image.size == 0 ? stream_producers_loader_add(loader, slice_of(NULL, 0)) : 0;
    for (size_t at = 0; rc == 0 && at < image.size; at += step) {
        size_t size = image.size - at < step ? image.size - at : step;
        rc = stream_producers_loader_add(loader, slice_of(image.bytes + at, size));
    }
    if (rc == 0) rc = stream_producers_loader_finish(loader, out_producers);
    stream_producers_loader_destroy(loader);
    return rc;
}

static struct bytes example_picture(void)
{
    configure(77, 3);
    add("a", "x", 1, 5);
    add("bb", "", 2, 6);
    add("a", "y", 3, 7);
    ck_assert_uint_eq(find("a", "x", 7), 1);
    return picture_now();
}

START_TEST(a_picture_is_loaded_as_it_was)
{
    struct bytes image = example_picture(), again;

    for (size_t step = 1; step <= image.size; step++) {
        stream_producers_destroy(producers);
        ck_assert_int_eq(load(image, step, &producers), 0);
        again = picture_now();
        ck_assert_uint_eq(image.size, again.size);
        ck_assert_mem_eq(image.bytes, again.bytes, again.size);
        free(again.bytes);
    }
    ck_assert_uint_eq(find("bb", "", 8), 2);
    ck_assert_uint_eq(info().duplicate_count, 2);
    ck_assert_uint_eq(info().duration_s, 77);
    free(image.bytes);
}
END_TEST

START_TEST(damaged_pictures_are_refused_or_hold_together)
{
    struct bytes image = example_picture();
    struct stream_producers *loaded;

    for (size_t at = 0; at < image.size; at++) {
        ck_assert_int_eq(load((struct bytes){ image.bytes, at }, 7, &loaded), -EBADMSG);
        for (int bit = 0; bit < 8; bit++) {
            int rc;

            image.bytes[at] ^= (uint8_t)(1 << bit);
            rc = load(image, image.size, &loaded);
            ck_assert(rc == 0 || rc == -EBADMSG);
            if (rc == 0) stream_producers_destroy(loaded);
            image.bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    free(image.bytes);
}
END_TEST

/* A picture, and what it has to be. */
struct pictured {
    struct stream_producers_picture *picture;
    struct bytes expected;
    struct bytes read;
};

static struct pictured begin_picture(void)
{
    struct pictured pictured = { .picture = take_picture(), .expected = picture_now() };

    pictured.read.bytes = malloc(pictured.expected.size + 1);
    ck_assert_ptr_nonnull(pictured.read.bytes);
    return pictured;
}

/* Some of it. False: that was all, and it was right. */
static bool read_on(struct pictured *pictured, size_t most)
{
    size_t left = pictured->expected.size + 1 - pictured->read.size;
    size_t size = stream_producers_picture_read(
        pictured->picture, pictured->read.bytes + pictured->read.size, left < most ? left : most);

    pictured->read.size += size;
    if (size > 0) return true;
    ck_assert_uint_eq(pictured->read.size, pictured->expected.size);
    ck_assert_mem_eq(pictured->read.bytes, pictured->expected.bytes, pictured->expected.size);
    return false;
}

static void end_picture(struct pictured *pictured)
{
    while (read_on(pictured, 100)) {}
    stream_producers_picture_drop(pictured->picture);
    free(pictured->expected.bytes);
    free(pictured->read.bytes);
}

START_TEST(a_picture_stays_as_it_was_whatever_is_forgotten)
{
    struct pictured first, second;
    unsigned number = 1;

    configure(1, 20);
    for (; number < 100; number++)
        add_number(number);
    first = begin_picture();
    for (; number < 150; number++) { /* the oldest of each producer go */
        add_number(number);
        (void)read_on(&first, 10);
    }
    second = begin_picture();
    for (; number < 1200; number++) { /* and what is too old */
        add_number(number);
        if (number % 10 == 0) (void)read_on(&second, 3);
    }
    end_picture(&first);
    ck_assert(!stream_producer_store_tick(store, 10)); /* the second still has some of it */
    first = begin_picture();
    end_picture(&second);
    configure(1, 30); /* all */
    end_picture(&first);
    while (stream_producer_store_tick(store, 10)) {}
    ck_assert_uint_eq(stream_producer_store_memory_bytes(store), 0);
}
END_TEST

START_TEST(a_picture_outlives_its_producers)
{
    struct pictured pictured;

    for (unsigned i = 1; i <= 300; i++)
        add_number(i);
    pictured = begin_picture();
    (void)read_on(&pictured, 1000);
    stream_producers_destroy(producers);
    ck_assert_int_eq(stream_producers_create(store, &producers), 0);
    while (stream_producer_store_tick(store, 10)) {}
    end_picture(&pictured);
    while (stream_producer_store_tick(store, 10)) {}
    ck_assert_uint_eq(stream_producer_store_memory_bytes(store), 0);
}
END_TEST

/* What is kept for a picture goes in slices, and what is known stays. */
START_TEST(what_was_kept_is_freed_in_slices)
{
    enum { COUNT = 1000, SLICE = 50 };
    struct pictured pictured;
    int ticks = 0;

    configure(1, STREAM_IDMP_SIZE_MAX);
    for (unsigned i = 1; i <= COUNT; i++)
        add_number(i);
    pictured = begin_picture();
    add("a", "x", 1, 2000);
    while (stream_producers_expire(producers, 2001, 10)) {}
    ck_assert_uint_eq(info().iid_count, 1);
    end_picture(&pictured);
    while (stream_producer_store_tick(store, SLICE))
        ticks++;
    ck_assert_int_ge(ticks, COUNT / SLICE);
    ck_assert_uint_eq(stream_producer_store_memory_bytes(store), 0);
    ck_assert_uint_eq(find("a", "x", 2001), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers");
    TCase *tcase = test_suite_case(suite, "producers", setup, teardown);

    tcase_add_test(tcase, an_iid_belongs_to_its_producer);
    tcase_add_test(tcase, the_oldest_of_too_many_is_forgotten);
    tcase_add_test(tcase, what_is_too_old_is_not_known_any_more);
    tcase_add_test(tcase, an_iid_that_is_too_old_can_be_used_again);
    tcase_add_test(tcase, other_settings_forget_all);
    tcase_add_test(tcase, of_many_the_newest_are_known);
    tcase_add_test(tcase, many_come_and_go);
    tcase_add_test(tcase, what_is_buried_is_freed_in_slices);
    tcase_add_test(tcase, a_picture_is_loaded_as_it_was);
    tcase_add_test(tcase, damaged_pictures_are_refused_or_hold_together);
    tcase_add_test(tcase, a_picture_stays_as_it_was_whatever_is_forgotten);
    tcase_add_test(tcase, a_picture_outlives_its_producers);
    tcase_add_test(tcase, what_was_kept_is_freed_in_slices);
    return test_suite_run(suite);
}
