/* Bits by ordinal, compared with an array of booleans. */
#include "modules/stream/deleted.h"

#include <check.h>
#include <errno.h>

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/stream/test_image.h"
#include "modules/stream/test_refused_memory.h"

enum { END = 5 * DELETED_LEAF_BITS + 77, STEPS = 3000 };

static struct deleted *deleted;
static bool is_deleted[END];
static uint64_t start; /* what is below was dropped */
static struct random dice;

static void setup(void)
{
    deleted = NULL;
    memset(is_deleted, 0, sizeof(is_deleted));
    start = 1;
}

static void teardown(void)
{
    drop_image();
    deleted_destroy(deleted);
}

static void add(uint64_t ordinal)
{
    ck_assert_int_eq(deleted_add(&deleted, ordinal), 0);
    is_deleted[ordinal] = true;
}

static void add_all(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++)
        add(i);
}

static uint64_t count_between(const bool *bits, uint64_t first, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t i = first; i < end; i++)
        count += bits[i];
    return count;
}

static void drop_below(uint64_t ordinal)
{
    deleted_drop_below(&deleted, ordinal);
    start = ordinal;
}

/* ---- a few bits ---- */

START_TEST(a_set_without_anything_has_nothing)
{
    ck_assert(!deleted_has(NULL, 1));
    ck_assert_uint_eq(deleted_count(NULL), 0);
    ck_assert_uint_eq(deleted_count_between(NULL, 1, 100), 0);
    ck_assert_uint_eq(deleted_next_live(NULL, 7), 7);
    ck_assert_uint_eq(deleted_previous_live(NULL, 7), 7);
    ck_assert_uint_eq(deleted_select_live(NULL, 7, 3), 10);
    ck_assert_uint_eq(deleted_memory_bytes(NULL), 0);
    ck_assert_uint_eq(deleted_image_size(NULL), 0);
}
END_TEST

START_TEST(what_was_added_is_there_and_its_neighbours_are_not)
{
    static const uint64_t ordinals[] = {
        1, 63, 64, 65, DELETED_LEAF_BITS - 1, DELETED_LEAF_BITS, 3 * DELETED_LEAF_BITS + 5
    };

    for (size_t i = 0; i < sizeof(ordinals) / sizeof(ordinals[0]); i++)
        add(ordinals[i]);
    for (uint64_t i = 1; i < END; i++)
        ck_assert_int_eq(deleted_has(deleted, i), is_deleted[i]);
    ck_assert(!deleted_has(deleted, UINT64_MAX));
    deleted_check(deleted);
}
END_TEST

START_TEST(one_before_all_others_may_be_added)
{
    add(4 * DELETED_LEAF_BITS);
    add(2);
    ck_assert(deleted_has(deleted, 2));
    ck_assert(deleted_has(deleted, 4 * DELETED_LEAF_BITS));
    ck_assert_uint_eq(deleted_count(deleted), 2);
    deleted_check(deleted);
}
END_TEST

START_TEST(the_next_one_lies_behind_whole_leaves)
{
    add_all(100, 3 * DELETED_LEAF_BITS + 10);
    ck_assert_uint_eq(deleted_next_live(deleted, 99), 99);
    ck_assert_uint_eq(deleted_next_live(deleted, 100), 3 * DELETED_LEAF_BITS + 10);
    ck_assert_uint_eq(deleted_previous_live(deleted, 3 * DELETED_LEAF_BITS + 9), 99);
    ck_assert_uint_eq(deleted_previous_live(deleted, 3 * DELETED_LEAF_BITS + 10),
                      3 * DELETED_LEAF_BITS + 10);
    ck_assert_uint_eq(deleted_select_live(deleted, 1, 98), 99);
    ck_assert_uint_eq(deleted_select_live(deleted, 1, 99), 3 * DELETED_LEAF_BITS + 10);
}
END_TEST

START_TEST(there_is_none_before_the_first)
{
    add_all(0, DELETED_LEAF_BITS + 3);
    ck_assert_uint_eq(deleted_previous_live(deleted, DELETED_LEAF_BITS + 2), 0);
}
END_TEST

START_TEST(a_set_goes_with_its_last_bit)
{
    add(5);
    add(6);
    drop_below(6);
    ck_assert_uint_eq(deleted_count(deleted), 1);
    deleted_check(deleted);
    drop_below(7);
    ck_assert_ptr_null(deleted);
    add(9);
    ck_assert(deleted_has(deleted, 9));
}
END_TEST

START_TEST(what_is_dropped_gives_its_memory_back)
{
    uint64_t bytes;

    for (uint64_t i = 1; i < END; i += 3)
        add(i);
    bytes = deleted_memory_bytes(deleted);
    drop_below(4 * DELETED_LEAF_BITS);
    deleted_check(deleted);
    ck_assert_uint_lt(deleted_memory_bytes(deleted), bytes / 2);
}
END_TEST

START_TEST(a_few_bits_of_a_short_stream_take_little)
{
    add(3);
    ck_assert_uint_le(deleted_memory_bytes(deleted), 128);
}
END_TEST

/* ---- many ---- */

static uint64_t some_ordinal(void)
{
    return start + random_below(&dice, END - start);
}

/* Of the part that is not dropped. */
static void expect_bits(const struct deleted *got, const bool *bits, uint64_t from)
{
    uint64_t first = from + random_below(&dice, END - from), end = first, ordinal, n;

    deleted_check(got);
    ck_assert_uint_eq(deleted_count(got), count_between(bits, from, END));
    end += random_below(&dice, END - first);
    ck_assert_uint_eq(deleted_count_between(got, first, end), count_between(bits, first, end));
    for (ordinal = first; ordinal < END && bits[ordinal];)
        ordinal++;
    ck_assert_uint_eq(deleted_next_live(got, first), ordinal);
    for (ordinal = first; ordinal > from && bits[ordinal];)
        ordinal--;
    if (!bits[ordinal]) ck_assert_uint_eq(deleted_previous_live(got, first), ordinal);
    n = random_below(&dice, END / 2);
    ordinal = deleted_select_live(got, first, n);
    ck_assert(ordinal >= END || !bits[ordinal]);
    ck_assert_uint_eq(ordinal - first - deleted_count_between(got, first, ordinal), n);
    ck_assert_int_eq(deleted_has(got, first), bits[first]);
}

static void add_some(void)
{
    uint64_t first = some_ordinal(), count = random_below(&dice, 10) ? 1 : 300;
    int rc = 0;

    for (uint64_t i = first; rc == 0 && i < first + count && i < END; i++) {
        if (is_deleted[i]) continue;
        (void)memory_was_refused();
        refuse_every = 1 + (unsigned)random_below(&dice, 8);
        rc = deleted_add(&deleted, i);
        refuse_every = 0;
        ck_assert(rc == 0 || (rc == -ENOMEM && memory_was_refused()));
        is_deleted[i] = rc == 0;
    }
}

static struct {
    struct deleted *bits;
    bool is_deleted[END];
    uint64_t start;
    bool is_there;
} kept;

static void let_go(void)
{
    expect_bits(kept.bits, kept.is_deleted, kept.start);
    deleted_destroy(kept.bits);
    kept.is_there = false;
}

static void keep(void)
{
    if (kept.is_there) let_go();
    refuse_every = 1 + (unsigned)random_below(&dice, 4);
    kept.is_there = deleted_snapshot(deleted, &kept.bits) == 0;
    refuse_every = 0;
    memcpy(kept.is_deleted, is_deleted, sizeof(is_deleted));
    kept.start = start;
}

START_TEST(random_changes_agree_with_an_array)
{
    random_init(&dice, (uint64_t)_i + 1 + 1000 * soak_seed());
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t kind = random_below(&dice, 100);
        if (kind < 60)
            add_some();
        else if (kind < 62 && start < END - 100)
            drop_below(start + random_below(&dice, _i % 2 ? 20 : 600) % (END - start - 1));
        else if (kind < 64)
            keep();
        else
            expect_bits(deleted, is_deleted, start);
    }
    if (kept.is_there) let_go();
}
END_TEST

/* ---- images ---- */

static void write_bits(const struct deleted *from)
{
    begin_image(deleted_image_size(from));
    deleted_image_write(from, put_image, NULL);
    ck_assert_uint_eq(image.size, image.capacity);
}

static void make_some(void)
{
    add_all(10, 15);
    add(DELETED_LEAF_BITS - 1);
    add_all(3 * DELETED_LEAF_BITS + 60, 3 * DELETED_LEAF_BITS + 70);
    drop_below(12);
}

START_TEST(an_image_becomes_the_same_bits)
{
    struct deleted *loaded = NULL;

    random_init(&dice, 1);
    make_some();
    write_bits(deleted);
    ck_assert_int_eq(deleted_image_load(slice_of(image.bytes, image.size), start, END, &loaded), 0);
    for (unsigned i = 0; i < 100; i++)
        expect_bits(loaded, is_deleted, start);
    deleted_destroy(loaded);
}
END_TEST

START_TEST(no_bits_are_no_image)
{
    struct deleted *loaded = (struct deleted *)&image;

    ck_assert_int_eq(deleted_image_load(slice_of(NULL, 0), 1, 1, &loaded), 0);
    ck_assert_ptr_null(loaded);
}
END_TEST

START_TEST(bits_outside_of_the_ordinals_are_refused)
{
    struct deleted *loaded = NULL;
    struct slice bytes;
    uint64_t end = 3 * DELETED_LEAF_BITS + 70;

    make_some();
    write_bits(deleted);
    bytes = slice_of(image.bytes, image.size);
    ck_assert_int_eq(deleted_image_load(bytes, 12, end - 1, &loaded), -EBADMSG);
    ck_assert_int_eq(deleted_image_load(bytes, 13, end, &loaded), -EBADMSG);
    ck_assert_int_eq(deleted_image_load(bytes, 1, DELETED_LEAF_BITS, &loaded), -EBADMSG);
    ck_assert_int_eq(deleted_image_load(bytes, 1, 1, &loaded), -EBADMSG);
    ck_assert_int_eq(deleted_image_load(bytes, 12, end, &loaded), 0);
    deleted_destroy(loaded);
}
END_TEST

/* Refused, or a set that has just these bytes. */
static void load_damaged(struct slice bytes)
{
    struct deleted *loaded = NULL;
    int rc = deleted_image_load(bytes, start, END, &loaded);

    ck_assert(rc == 0 || rc == -EBADMSG);
    if (rc < 0) return;
    deleted_check(loaded);
    write_bits(loaded);
    ck_assert_uint_eq(image.size, bytes.size);
    ck_assert_int_eq(memcmp(image.bytes, bytes.bytes, bytes.size), 0);
    deleted_destroy(loaded);
}

START_TEST(damaged_images_are_refused_or_are_others)
{
    uint8_t *bytes;
    size_t size;

    make_some();
    write_bits(deleted);
    size = image.size;
    bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++) {
        memcpy(bytes, image.bytes, size);
        load_damaged(slice_of(bytes, i));
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            load_damaged(slice_of(bytes, size));
            bytes[i] ^= (uint8_t)(1 << bit);
        }
        write_bits(deleted);
    }
    free(bytes);
}
END_TEST

START_TEST(an_image_whose_memory_is_refused_leaves_nothing)
{
    struct deleted *loaded = NULL;
    int rc = -ENOMEM;

    make_some();
    write_bits(deleted);
    for (unsigned every = 1; rc == -ENOMEM; every++) {
        allocation_count = 0;
        refuse_every = every;
        rc = deleted_image_load(slice_of(image.bytes, image.size), start, END, &loaded);
        refuse_every = 0;
    }
    ck_assert_int_eq(rc, 0);
    deleted_destroy(loaded);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deleted");
    TCase *tcase = test_suite_case(suite, "bits", setup, teardown);

    tcase_add_test(tcase, a_set_without_anything_has_nothing);
    tcase_add_test(tcase, what_was_added_is_there_and_its_neighbours_are_not);
    tcase_add_test(tcase, one_before_all_others_may_be_added);
    tcase_add_test(tcase, the_next_one_lies_behind_whole_leaves);
    tcase_add_test(tcase, there_is_none_before_the_first);
    tcase_add_test(tcase, a_set_goes_with_its_last_bit);
    tcase_add_test(tcase, what_is_dropped_gives_its_memory_back);
    tcase_add_test(tcase, a_few_bits_of_a_short_stream_take_little);
    tcase_add_loop_test(tcase, random_changes_agree_with_an_array, 0, 12);
    tcase_add_test(tcase, an_image_becomes_the_same_bits);
    tcase_add_test(tcase, no_bits_are_no_image);
    tcase_add_test(tcase, bits_outside_of_the_ordinals_are_refused);
    tcase_add_test(tcase, damaged_images_are_refused_or_are_others);
    tcase_add_test(tcase, an_image_whose_memory_is_refused_leaves_nothing);
    return test_suite_run(suite);
}
