/* Random operations on streams in memory, compared with an array. */
#include "modules/base/os.h"
#include "modules/base/test_suite.h"
#include "modules/stream/test_stream_steps.h"

enum { STEPS = 6000 };

static void play(uint64_t seed, struct mix mix)
{
    struct stream_options options = { .directory = ".",
                                      .memory_bytes_max = UINT32_MAX,
                                      .node_entries = NODE_ENTRIES };

    ck_assert_int_eq(stream_store_create(os_real(), NULL, &options, NULL, &store), 0);
    steps_begin(seed);
    steps_play(mix, STEPS);
    steps_end();
    ck_assert_uint_eq(stream_store_memory_bytes(store), 0);
    stream_store_destroy(store);
}

START_TEST(a_stream_that_grows_agrees_with_an_array)
{
    play((uint64_t)_i + 1, (struct mix){ 80, 5, 1 });
}
END_TEST

START_TEST(a_stream_that_is_trimmed_as_it_grows_agrees_with_an_array)
{
    play((uint64_t)_i + 101, (struct mix){ 50, 5, 30 });
}
END_TEST

START_TEST(a_stream_of_which_most_is_deleted_agrees_with_an_array)
{
    play((uint64_t)_i + 201, (struct mix){ 45, 40, 1 });
}
END_TEST

START_TEST(what_is_refused_memory_changes_nothing)
{
    refuses_memory = true;
    play((uint64_t)_i + 301, (struct mix){ 60, 20 + 10 * ((unsigned)_i % 2), 3 });
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream model");
    TCase *tcase = test_suite_case(suite, "model", NULL, NULL);

    tcase_add_loop_test(tcase, a_stream_that_grows_agrees_with_an_array, 0, 10);
    tcase_add_loop_test(tcase, a_stream_that_is_trimmed_as_it_grows_agrees_with_an_array, 0, 10);
    tcase_add_loop_test(tcase, a_stream_of_which_most_is_deleted_agrees_with_an_array, 0, 10);
    tcase_add_loop_test(tcase, what_is_refused_memory_changes_nothing, 0, 10);
    return test_suite_run(suite);
}
