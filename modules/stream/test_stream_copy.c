/* Copies of streams in journals, as the checkpoint saw them. */
#include "modules/stream/copy.h"
#include "modules/stream/test_stream_files.h"

static struct slice saved_image; /* what the checkpoint held */

static int copy_all(struct stream_copy *copy)
{
    uint64_t bytes, total = 0;
    int rc;

    while ((rc = stream_copy_step(copy, fault_os(files.fault), 50000, &bytes)) == 1)
        total += bytes;
    if (rc == 0) ck_assert_uint_gt(2 * total, stream_copy_total_bytes(copy));
    if (rc == 0) ck_assert_uint_lt(total, 2 * stream_copy_total_bytes(copy));
    return rc;
}

/* A stream of several segments, saved, then trimmed and destroyed; and where it is to be copied. */
static struct stream_copy *begin_copy(char target[80])
{
    struct stream_copy *copy;

    (void)snprintf(target, 80, "%s/copy", files.directory);
    ck_assert_int_eq(mkdir(target, 0755), 0);
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    trim_to(stream, 2000);
    checkpoint(stream, true);
    add_entries(stream, 3000, 3100, 200);
    ck_assert_int_eq(stream_copy_create(store, target, &copy), 0);
    stream_destroy(stream);
    free((void *)saved_image.bytes);
    saved_image = slice_of(image.bytes, image.size);
    image.bytes = NULL;
    checkpoint(NULL, true);
    return copy;
}

START_TEST(a_copy_is_as_the_checkpoint_saw_it)
{
    char target[80];
    struct stream_copy *copy = begin_copy(target);

    ck_assert_int_eq(copy_all(copy), 0);
    stream_copy_destroy(copy);
    settle();
    ck_assert_uint_eq(count_directories(), 1); /* the copy's own */
    stream_store_destroy(store);
    files.options.directory = target;
    create_store();
    ck_assert_int_eq(stream_image_load(store, saved_image, &stream), 0);
    stream_checkpoint_loaded(store);
    expect_entries(stream, 1000, 3000, 200);
    add_entries(stream, 3000, 3500, 200);
    expect_entries(stream, 1000, 3500, 200);
    stream_destroy(stream);
}
END_TEST

START_TEST(a_copy_that_fails_is_discarded)
{
    char target[80];
    struct stream_copy *copy = begin_copy(target);
    bool has_fired = true;

    stream_copy_destroy(copy);
    ck_assert_int_eq(rmdir(target), 0);
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;
        stream_store_destroy(store);
        copy = begin_copy(target);
        fault_fail(files.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = copy_all(copy);
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        /* Closing what was only read may fail. */
        ck_assert(rc == 0 || rc == -EIO);
        ck_assert_int_eq(stream_copy_discard(copy, os_real()), 0);
        ck_assert_uint_eq(count_names(target, ""), 0);
        ck_assert_int_eq(rmdir(target), 0);
        stream_copy_destroy(copy);
        settle();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copies of streams");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);

    tcase_add_test(cases, a_copy_is_as_the_checkpoint_saw_it);
    tcase_add_test(cases, a_copy_that_fails_is_discarded);
    return test_suite_run(suite);
}
