/* When memory is short, streams in memory that nobody uses move to journals. */
#include "modules/stream/test_stream_files.h"

enum { STREAMS = 20, ENTRIES = 100, VALUE_BYTES = 100 };

static struct stream *streams[STREAMS];

/* Each takes some 12 KiB. */
static void setup(void)
{
    setup_threads();
    files.options.memory_bytes_max = 32 << 10;
    create_store();
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, ENTRIES + 1, VALUE_BYTES);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        stream_destroy(streams[i]);
    teardown_files();
}

static bool is_in_memory(struct stream *stream_at)
{
    struct stream_info info;

    stream_get_info(stream_at, &info);
    return info.is_in_memory;
}

static unsigned count_in_memory(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < STREAMS; i++)
        count += is_in_memory(streams[i]);
    return count;
}

static void expect_all_entries(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        expect_entries(streams[i], 1, ENTRIES + 1, VALUE_BYTES);
}

/* Until nothing more moves. */
static void shrink_all(void)
{
    while (stream_store_shrink(store, UINT64_MAX, false) > 0)
        settle();
}

/* All look as if nobody had used them: what was is spared once. */
static void look_once(void)
{
    ck_assert_uint_eq(stream_store_shrink(store, UINT64_MAX, false), 0);
}

/* One is on its way. */
static void begin_one(void)
{
    ck_assert_uint_gt(stream_store_shrink(store, 1, false), 0);
    ck_assert_uint_eq(count_in_memory(), STREAMS);
}

START_TEST(what_nobody_uses_moves_and_is_as_it_was)
{
    uint64_t before = stream_store_memory_bytes(store);

    look_once();
    shrink_all();
    ck_assert_uint_eq(count_in_memory(), 0);
    ck_assert_uint_lt(stream_store_memory_bytes(store), before / 4);
    expect_all_entries();
    for (unsigned i = 0; i < STREAMS; i++)
        add_entries(streams[i], ENTRIES + 1, ENTRIES + 2, VALUE_BYTES);
}
END_TEST

START_TEST(what_was_used_is_spared_once)
{
    struct stream_entry entry;

    look_once();
    for (unsigned i = 0; i < STREAMS; i += 2)
        ck_assert_int_eq(stream_find(streams[i], (struct stream_id){ 1, 0 }, &entry), 1);
    ck_assert_uint_gt(stream_store_shrink(store, 1, false), 0);
    settle();
    ck_assert_uint_eq(count_in_memory(), STREAMS - 1);
    ck_assert(is_in_memory(streams[0]));
    ck_assert(!is_in_memory(streams[1]));
}
END_TEST

START_TEST(what_was_used_goes_too_when_it_is_urgent)
{
    ck_assert_uint_gt(stream_store_shrink(store, 1, true), 0);
    settle();
    ck_assert_uint_eq(count_in_memory(), STREAMS - 1);
    expect_all_entries();
}
END_TEST

START_TEST(no_more_moves_than_is_asked_for)
{
    look_once();
    ck_assert_uint_ge(stream_store_shrink(store, 30000, false), 30000);
    ck_assert_uint_ge(stream_store_shrink(store, 30000, false), 30000);
    settle();
    ck_assert_uint_ge(count_in_memory(), STREAMS - 3);
    ck_assert_uint_le(count_in_memory(), STREAMS - 2);
    expect_all_entries();
}
END_TEST

START_TEST(small_ones_stay)
{
    look_once();
    for (unsigned i = 0; i < STREAMS; i++)
        trim_to(streams[i], 5);
    shrink_all();
    ck_assert_uint_eq(count_in_memory(), STREAMS);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

START_TEST(one_that_becomes_small_on_its_way_stays)
{
    look_once();
    begin_one();
    trim_to(streams[0], 5);
    settle();
    ck_assert_uint_eq(count_in_memory(), STREAMS);
    expect_entries(streams[0], ENTRIES - 4, ENTRIES + 1, VALUE_BYTES);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

START_TEST(one_that_becomes_empty_on_its_way_stays)
{
    look_once();
    begin_one();
    trim_to(streams[0], 0);
    settle();
    ck_assert_uint_eq(count_in_memory(), STREAMS);
    ck_assert_uint_eq(count_directories(), 0);
}
END_TEST

START_TEST(one_that_goes_on_its_way_leaves_nothing)
{
    look_once();
    begin_one();
    stream_destroy(streams[0]);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
    ck_assert_int_eq(stream_create(store, &streams[0]), 0);
}
END_TEST

START_TEST(one_that_changes_on_its_way_moves_as_it_is)
{
    look_once();
    begin_one();
    add_entries(streams[0], ENTRIES + 1, ENTRIES + 40, VALUE_BYTES);
    trim_to(streams[0], 100);
    settle();
    ck_assert(!is_in_memory(streams[0]));
    expect_entries(streams[0], 40, ENTRIES + 40, VALUE_BYTES);
}
END_TEST

START_TEST(one_that_outgrows_memory_on_its_way_moves_at_once)
{
    look_once();
    begin_one();
    add_entries(streams[0], ENTRIES + 1, 400, VALUE_BYTES);
    ck_assert(!is_in_memory(streams[0]));
    settle();
    expect_entries(streams[0], 1, 400, VALUE_BYTES);
    ck_assert_uint_eq(count_directories(), 1);
}
END_TEST

START_TEST(snapshots_keep_what_has_moved)
{
    struct stream *snapshot = NULL;

    look_once();
    ck_assert_int_eq(stream_snapshot(streams[0], &snapshot), 0);
    begin_one();
    settle();
    ck_assert(!is_in_memory(streams[0]));
    trim_to(streams[0], 5);
    expect_entries(snapshot, 1, ENTRIES + 1, VALUE_BYTES);
    stream_destroy(snapshot);
}
END_TEST

START_TEST(what_cannot_be_moved_stays_and_is_tried_again)
{
    look_once();
    fault_fail(files.fault, FAULT_MKDIR, 1, ENOSPC, FAULT_FROM_THEN_ON);
    (void)stream_store_shrink(store, UINT64_MAX, false);
    settle();
    ck_assert_uint_eq(count_in_memory(), STREAMS);
    expect_all_entries();
    fault_clear(files.fault);
    (void)stream_store_tick(store, 999, 0);
    ck_assert_uint_eq(stream_store_shrink(store, UINT64_MAX, false), 0);
    (void)stream_store_tick(store, 1000, 0);
    (void)stream_store_shrink(store, UINT64_MAX, false); /* they were read just now */
    while (stream_store_shrink(store, UINT64_MAX, false) > 0)
        settle_at(1000);
    expect_all_entries();
    ck_assert_uint_eq(count_in_memory(), 0);
}
END_TEST

START_TEST(a_store_whose_streams_stay_in_memory_moves_none)
{
    struct stream_store *moving = store;
    struct stream *alone = NULL;

    files.options.memory_bytes_max = UINT32_MAX;
    create_store();
    ck_assert_int_eq(stream_create(store, &alone), 0);
    add_entries(alone, 1, 1000, VALUE_BYTES);
    ck_assert_uint_eq(stream_store_shrink(store, UINT64_MAX, false), 0);
    ck_assert_uint_eq(stream_store_shrink(store, UINT64_MAX, false), 0);
    stream_destroy(alone);
    stream_store_destroy(store);
    store = moving;
}
END_TEST

/* ---- those that grow too large for it, for a client that goes meanwhile ------------------------
 */

enum { LONG_BYTES = 30000 };

START_TEST(a_move_that_nobody_goes_on_with_is_given_up)
{
    struct stream *alone = NULL;
    int rc;

    files.hooks.wait = NULL;
    files.options.memory_bytes_max = 32 << 10;
    create_store();
    settle_at(1000);
    ck_assert_int_eq(stream_create(store, &alone), 0);
    add_entries(alone, 1, ENTRIES + 1, VALUE_BYTES);
    ck_assert_int_eq(stream_reserve(alone, LONG_BYTES), -EAGAIN);
    settle_at(1500);
    ck_assert_uint_eq(count_directories(), 1); /* who has asked may still come back */
    settle_at(3000);
    settle_at(3000);
    ck_assert_uint_eq(count_directories(), 0);
    ck_assert(is_in_memory(alone));
    expect_entries(alone, 1, ENTRIES + 1, VALUE_BYTES);
    while ((rc = stream_reserve(alone, LONG_BYTES)) == -EAGAIN)
        settle_at(4000);
    ck_assert_int_eq(rc, 0);
    ck_assert(!is_in_memory(alone));
    stream_destroy(alone);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams that leave memory");
    TCase *tcase = test_suite_case(suite, "all", setup, teardown);
    TCase *grown = test_suite_case(suite, "grown", setup_threads, teardown_files);

    tcase_add_test(tcase, what_nobody_uses_moves_and_is_as_it_was);
    tcase_add_test(tcase, what_was_used_is_spared_once);
    tcase_add_test(tcase, what_was_used_goes_too_when_it_is_urgent);
    tcase_add_test(tcase, no_more_moves_than_is_asked_for);
    tcase_add_test(tcase, small_ones_stay);
    tcase_add_test(tcase, one_that_becomes_small_on_its_way_stays);
    tcase_add_test(tcase, one_that_becomes_empty_on_its_way_stays);
    tcase_add_test(tcase, one_that_goes_on_its_way_leaves_nothing);
    tcase_add_test(tcase, one_that_changes_on_its_way_moves_as_it_is);
    tcase_add_test(tcase, one_that_outgrows_memory_on_its_way_moves_at_once);
    tcase_add_test(tcase, snapshots_keep_what_has_moved);
    tcase_add_test(tcase, what_cannot_be_moved_stays_and_is_tried_again);
    tcase_add_test(tcase, a_store_whose_streams_stay_in_memory_moves_none);
    tcase_add_test(grown, a_move_that_nobody_goes_on_with_is_given_up);
    return test_suite_run(suite);
}
