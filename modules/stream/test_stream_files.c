/* Streams in journals: what they hold, what stays on disk and for whom, and how many are open. */
#include "modules/stream/test_stream_files.h"

/* ---- beside an array --------------------------------------------------------------------------
 */

/* In vain: it changes nothing. */
static void step_checkpoint(bool is_complete)
{
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, is_complete);
}

/* The process ends, perhaps long after the checkpoint: what came then is not there any more. */
static void step_restart(void)
{
    struct model saved = model;
    struct stream_info info;

    stream_get_info(stream, &info);
    if (info.is_in_memory) return;
    for (unsigned i = 0; i < KEPT; i++)
        let_go(&kept[i]);
    step_checkpoint(true);
    for (uint64_t more = random_below(&dice, 300); more > 0; more--)
        step_add();
    saved.entries = model.entries;
    model = saved;
    stream_destroy(stream);
    restart();
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &stream), 0);
    stream_checkpoint_loaded(store);
    memset(walks, 0, sizeof(walks));
}

static void play(uint64_t seed, struct mix mix, unsigned steps)
{
    create_store();
    steps_begin(seed);
    for (unsigned i = 0; i < steps; i++) {
        step(mix);
        if (random_below(&dice, 40) == 0) step_lower();
        if (random_below(&dice, 200) == 0) step_checkpoint(random_below(&dice, 2));
        if (random_below(&dice, 500) == 0) step_restart();
        if (random_below(&dice, 50) == 0) (void)stream_store_tick(store, 0, 0);
        if (random_below(&dice, 100) == 0)
            stream_set_codec(stream, (enum journal_codec)random_below(&dice, 3));
        ck_assert_uint_eq(stream_count(stream), model.count);
        if (i % 64 == 0) stream_check(stream);
        if (i % 512 == 0) expect_stream(stream, &model);
    }
    expect_stream(stream, &model);
    steps_end();
}

START_TEST(a_stream_in_a_journal_agrees_with_an_array)
{
    static const struct mix mixes[] = { { 80, 5, 1 }, { 50, 5, 30 }, { 45, 40, 1 } };

    files.options.open_max = 1;
    play((uint64_t)_i + 301, mixes[_i % 3], 4000);
}
END_TEST

START_TEST(with_threads_it_agrees_too)
{
    play((uint64_t)_i + 401, (struct mix){ 60, 10, 2 }, 1500);
}
END_TEST

/* ---- what stays on disk -----------------------------------------------------------------------
 */

START_TEST(what_is_trimmed_goes_at_once_when_nobody_refers_to_it)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    settle();
    ck_assert_uint_gt(count_segments(1), 8);
    trim_to(stream, 100);
    settle();
    ck_assert_uint_le(count_segments(1), 2);
    expect_entries(stream, 2900, 3000, 200);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* The limit is kept by segments as well as within the newest one. */
START_TEST(a_trim_by_bytes_leaves_no_more)
{
    static const uint64_t limits[] = { 400000, 150000, 50000, 10000, 0 };
    enum { PIECES = 3 * 4096 };
    struct stream_info info;
    uint64_t bytes;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    settle();
    stream_get_info(stream, &info);
    bytes = info.disk_bytes / info.count;
    ck_assert_uint_eq(stream_trim_end_of_bytes(stream, info.disk_bytes), 1);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        (void)stream_trim(stream, stream_trim_end_of_bytes(stream, limits[i]));
        ck_assert_uint_gt(stream_count(stream), 0);
        if (limits[i] > 0) ck_assert_uint_le(stream_count(stream) * bytes, limits[i]);
        ck_assert_uint_ge(stream_count(stream) * bytes + PIECES, limits[i]);
    }
    stream_destroy(stream);
}
END_TEST

START_TEST(what_a_checkpoint_refers_to_stays)
{
    unsigned segments;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    checkpoint(stream, true);
    segments = count_segments(1);
    trim_to(stream, 100);
    add_entries(stream, 3000, 3100, 200);
    settle();
    ck_assert_uint_ge(count_segments(1), segments);
    /* One that does not come to its end leaves the one before. */
    stream_checkpoint_begin(store);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, false);
    settle();
    ck_assert_uint_ge(count_segments(1), segments);
    stream_destroy(stream);
    restart();
    load();
    expect_entries(stream, 1, 3000, 200);
    trim_to(stream, 100);
    checkpoint(stream, true);
    ck_assert_uint_le(count_segments(1), 2);
    expect_entries(stream, 2900, 3000, 200);
    stream_destroy(stream);
}
END_TEST

/* One that was not complete, and may come to count. */
START_TEST(what_a_strayed_checkpoint_refers_to_stays)
{
    unsigned segments;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_stray(store);
    segments = count_segments(1);
    trim_to(stream, 100);
    stream_destroy(stream);
    settle();
    /* The one that was made ahead goes. */
    ck_assert_uint_ge(count_segments(1), segments - 1);
    restart();
    load();
    expect_entries(stream, 1, 3000, 200);
    stream_checkpoint_begin(store);
    write_image(stream);
    stream_checkpoint_stray(store);
    stream_destroy(stream);
    checkpoint(NULL, true);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* Of a stream that is destroyed while it is made. */
START_TEST(what_the_running_checkpoint_refers_to_stays)
{
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 1000, 200);
    stream_checkpoint_begin(store);
    write_image(stream);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 1);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, true);
    settle();
    ck_assert_uint_eq(count_directories(), 1);
    restart();
    load();
    expect_entries(stream, 1, 1000, 200);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 1);
    checkpoint(NULL, true);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

START_TEST(what_nothing_refers_to_goes_with_the_next_start)
{
    struct stream *other;
    char path[100];

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    ck_assert_int_eq(stream_create(store, &other), 0);
    add_entries(stream, 1, 100, 200);
    add_entries(other, 1, 100, 200);
    (void)snprintf(path, sizeof(path), "%s/stream-77", files.directory);
    ck_assert_int_eq(mkdir(path, 0755), 0); /* of one that was being made */
    checkpoint(stream, true);
    stream_destroy(stream);
    stream_destroy(other);
    restart();
    load();
    ck_assert_uint_eq(count_directories(), 1);
    expect_entries(stream, 1, 100, 200);
    stream_destroy(stream);
}
END_TEST

START_TEST(who_may_wait_is_told_beforehand)
{
    files.options.memory_bytes_max = 32 << 10;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    ck_assert(!stream_may_wait(store, NULL, 1000));
    ck_assert(!stream_may_wait(store, stream, 0));
    ck_assert(!stream_may_wait(store, stream, 1000));
    ck_assert(stream_may_wait(store, NULL, 20000));
    ck_assert(stream_may_wait(store, stream, UINT64_MAX));
    add_entries(stream, 1, 100, 200);
    ck_assert(!stream_may_wait(store, stream, 0));
    ck_assert(stream_may_wait(store, stream, 5000));
    add_entries(stream, 100, 300, 200);
    ck_assert(stream_may_wait(store, stream, 0));
    stream_destroy(stream);
}
END_TEST

START_TEST(a_snapshot_keeps_what_the_stream_lets_go)
{
    struct stream *snapshot;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 3000, 200);
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    trim_to(stream, 10);
    add_entries(stream, 3000, 3100, 200);
    expect_entries(snapshot, 1, 3000, 200);
    stream_destroy(stream);
    settle();
    expect_entries(snapshot, 1, 3000, 200);
    stream_destroy(snapshot);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

/* ---- loading ----------------------------------------------------------------------------------
 */

START_TEST(an_image_that_does_not_fit_is_refused)
{
    struct stream *loaded;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 1000, 200);
    checkpoint(stream, true);
    /* Its directory has an owner. */
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &loaded),
                     -EBADMSG);
    stream_destroy(stream);
    restart();
    for (size_t size = 0; size < image.size; size++) {
        ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, size), &loaded), -EBADMSG);
    }
    load();
    expect_entries(stream, 1, 1000, 200);
    stream_destroy(stream);
}
END_TEST

START_TEST(a_journal_that_lacks_what_was_saved_is_found_out)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    char path[100];

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 1000, 200);
    checkpoint(stream, true);
    stream_destroy(stream);
    stream_store_destroy(store);
    (void)snprintf(path, sizeof(path), "%s/stream-1/%010u.log", files.directory, 4u);
    ck_assert_int_eq(truncate(path, 5000), 0);
    create_store();
    load();
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), -EBADMSG);
    ck_assert_int_eq(try_add(stream, 1000, 200), -EBADMSG);
    stream_destroy(stream);
}
END_TEST

/* ---- how many are open ------------------------------------------------------------------------
 */

enum { MANY = 200, OPEN_MAX = 5 };

static unsigned count_descriptors(void)
{
    return count_names("/proc/self/fd", "");
}

START_TEST(of_many_streams_few_are_open)
{
    static struct stream *many[MANY];
    unsigned before = count_descriptors();

    files.options.open_max = OPEN_MAX;
    create_store();
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(stream_create(store, &many[i]), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            add_entries(many[i], 1 + round * 20, 21 + round * 20, 100 + i);
            ck_assert_uint_le(count_descriptors(), before + 4 * (OPEN_MAX + 1) + 20);
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        expect_entries(many[i], 1, 61, 100 + i);
        ck_assert_uint_le(count_descriptors(), before + 4 * (OPEN_MAX + 1) + 20);
        stream_destroy(many[i]);
    }
    settle();
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);
    TCase *threads = test_suite_case(suite, "threads", setup_threads, teardown_files);

    tcase_add_loop_test(cases, a_stream_in_a_journal_agrees_with_an_array, 0,
                        soak_is_full() ? 300 : 24);
    tcase_add_test(cases, what_is_trimmed_goes_at_once_when_nobody_refers_to_it);
    tcase_add_test(cases, a_trim_by_bytes_leaves_no_more);
    tcase_add_test(cases, what_a_checkpoint_refers_to_stays);
    tcase_add_test(cases, what_a_strayed_checkpoint_refers_to_stays);
    tcase_add_test(cases, what_the_running_checkpoint_refers_to_stays);
    tcase_add_test(cases, what_nothing_refers_to_goes_with_the_next_start);
    tcase_add_test(cases, who_may_wait_is_told_beforehand);
    tcase_add_test(cases, a_snapshot_keeps_what_the_stream_lets_go);
    tcase_add_test(cases, an_image_that_does_not_fit_is_refused);
    tcase_add_test(cases, a_journal_that_lacks_what_was_saved_is_found_out);
    tcase_add_test(cases, of_many_streams_few_are_open);
    tcase_add_loop_test(threads, with_threads_it_agrees_too, 0, 4);
    return test_suite_run(suite);
}
