/* Segments most of whose entries are deleted are written anew without them; and what anybody may
 * come to see again stays. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "modules/stream/copy.h"
#include "modules/stream/files_internal.h"
#include "modules/stream/stream_internal.h"
#include "modules/stream/test_stream_thinned.h"

/* ---- what goes --------------------------------------------------------------------------------
 */

START_TEST(what_is_mostly_deleted_is_written_anew)
{
    uint64_t raw;

    begin();
    stream_set_codec(stream, (enum journal_codec)_i);
    settle();
    raw = info_now().segment_count * (uint64_t)JOURNAL_ROLL_BYTES_MIN;
    thin_out(1, ENTRIES);
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 8);
    ck_assert_uint_lt(info_now().compressed_bytes, raw / 8);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    add_entries(stream, ENTRIES, ENTRIES + 500, SIZE);
    expect_thinned(stream, 1, ENTRIES, ENTRIES + 500);
    stream_destroy(stream);
    settle();
    ck_assert_uint_eq(count_directories(), 0);
    ck_assert_uint_eq(stream_store_memory_bytes(store), 0);
}
END_TEST

/* One of which less is deleted stays as it is. */
START_TEST(what_is_mostly_there_stays)
{
    begin();
    for (uint64_t number = 2; number < ENTRIES; number++)
        if (number % 5 < 2) delete_one(number);
    settle();
    ck_assert_uint_eq(count_in_stream(1, ".pak"), 0);
    stream_destroy(stream);
}
END_TEST

START_TEST(a_segment_without_anything_that_is_left_takes_next_to_nothing)
{
    begin();
    for (uint64_t number = 500; number < 2500; number++)
        delete_one(number);
    settle();
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 4);
    ck_assert_uint_lt(info_now().compressed_bytes, 8 * 10000);
    ck_assert_uint_eq(stream_count(stream), ENTRIES - 1 - 2000);
    trim_to(stream, 300);
    expect_entries(stream, ENTRIES - 300, ENTRIES, SIZE);
    stream_destroy(stream);
}
END_TEST

/* Of a long stream a tick looks at some, and the next one goes on. */
START_TEST(a_tick_looks_at_so_many_segments_and_no_more)
{
    enum { LOOKED_AT_MAX = 256 };
    uint32_t before = 0, ticks = 0;

    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 2000, 20000);
    settle();
    ck_assert_uint_gt(info_now().segment_count, 2 * LOOKED_AT_MAX);
    delete_one(1000); /* so that there is something to look for */
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, true);
    ck_assert(stream->files->is_looking);
    for (; stream->files->is_looking; ticks++) {
        bool has_more = stream_store_tick(store, 0, 0);
        ck_assert(has_more == stream->files->is_looking);
        ck_assert_uint_le(stream->files->look_index - before, LOOKED_AT_MAX);
        before = stream->files->look_index;
    }
    ck_assert_uint_ge(ticks, 3);
    stream_destroy(stream);
}
END_TEST

static unsigned count_opening(void)
{
    unsigned count = 0;

    list_for_each(link, &store->files->all)
    {
        count += list_container(link, struct stream_files, link)->state == FILES_OPENING;
    }
    return count;
}

/* Many have something to be written anew, and nearly all are closed. */
START_TEST(one_stream_at_a_time_is_opened_to_be_written_anew)
{
    enum { STREAMS = 12 };
    struct stream *streams[STREAMS];
    unsigned opened_count = 0;

    files.options.open_max = 1;
    create_store();
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, ENTRIES, SIZE);
    }
    settle();
    store->options.open_max = 64;
    for (unsigned i = 0; i < STREAMS; i++) {
        stream = streams[i];
        for (uint64_t number = 2; number < ENTRIES; number++)
            delete_one(number);
    }
    do {
        while (stream_store_tick(store, 0, 1000)) {}
        ck_assert_uint_le(count_opening(), 1);
        opened_count += count_opening();
    } while (io_wait(files.io) > 0);
    ck_assert_uint_ge(opened_count, STREAMS - 1);
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_uint_gt(count_in_stream(i + 1, ".pak"), 8);
        stream_destroy(streams[i]);
    }
}
END_TEST

/* Each checkpoint looks, and finds nothing new; so does one after a restart. */
START_TEST(what_was_written_anew_is_not_again)
{
    uint64_t renames;

    begin();
    thin_out(1, 1500);
    checkpoint(stream, true);
    settle();
    renames = fault_count(files.fault, FAULT_RENAME);
    checkpoint(stream, true);
    checkpoint(stream, true);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_RENAME), renames);
    stream_destroy(stream);
    restart();
    load();
    expect_thinned(stream, 1, 1500, ENTRIES);
    checkpoint(stream, true);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_RENAME), renames);
    thin_out(1500, ENTRIES);
    checkpoint(stream, true);
    ck_assert_uint_gt(fault_count(files.fault, FAULT_RENAME), renames);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    stream_destroy(stream);
}
END_TEST

/* Entries that were deleted before the stream moved there have no frames. */
START_TEST(of_what_was_never_written_nothing_is_dropped)
{
    uint64_t renames;

    files.options.memory_bytes_max = 200 << 10;
    create_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, 700, SIZE);
    thin_out(1, 600);
    add_entries(stream, 700, ENTRIES, SIZE);
    checkpoint(stream, true);
    ck_assert(!info_now().is_in_memory);
    renames = fault_count(files.fault, FAULT_RENAME);
    checkpoint(stream, true);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_RENAME), renames);
    expect_thinned(stream, 1, 600, ENTRIES);
    stream_destroy(stream);
}
END_TEST

START_TEST(streams_take_turns)
{
    struct stream *other;
    uint64_t bytes;

    begin();
    ck_assert_int_eq(stream_create(store, &other), 0);
    add_entries(other, 1, ENTRIES, SIZE);
    thin_out(1, 1020); /* not enough yet to look */
    bytes = info_now().disk_bytes;
    for (uint64_t number = 1020; number < ENTRIES; number++) {
        struct stream *mine = stream;
        if (number % KEPT_EVERY != 0) delete_one(number);
        stream = other;
        delete_one(number);
        stream = mine;
    }
    settle();
    ck_assert_uint_lt(info_now().disk_bytes, bytes / 2);
    ck_assert_uint_gt(count_in_stream(2, ".pak"), 4);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    expect_entries(other, 1, 1020, SIZE);
    stream_destroy(other);
    stream_destroy(stream);
}
END_TEST

/* ---- what stays -------------------------------------------------------------------------------
 */

/* A start sets back to the checkpoint, and replays what deleted it. */
START_TEST(what_was_deleted_since_the_checkpoint_stays)
{
    unsigned packed;

    begin();
    thin_out(1, 500);
    checkpoint(stream, true);
    thin_out(500, ENTRIES);
    add_entries(stream, ENTRIES, ENTRIES + 1000, SIZE);
    settle();
    expect_thinned(stream, 1, ENTRIES, ENTRIES + 1000);
    stream_destroy(stream);
    restart();
    load();
    expect_thinned(stream, 1, 500, ENTRIES);
    thin_out(500, ENTRIES);
    packed = count_in_stream(1, ".pak");
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(sync_checkpoint(), 1);
    if (_i == 0)
        stream_checkpoint_end(store, false);
    else
        stream_checkpoint_stray(store); /* it may come to count, or not */
    settle();
    ck_assert_uint_eq(count_in_stream(1, ".pak"), packed);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    checkpoint(stream, true);
    ck_assert_uint_gt(count_in_stream(1, ".pak"), packed + 4);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    stream_destroy(stream);
}
END_TEST

START_TEST(what_a_snapshot_sees_stays)
{
    struct stream *snapshot;

    begin();
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    thin_out(1, ENTRIES);
    ck_assert_uint_eq(count_in_stream(1, ".pak"), 0);
    expect_thinned(snapshot, 1, 1, ENTRIES);
    stream_destroy(snapshot);
    settle();
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 8);
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    /* One that is newer sees less. */
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    expect_thinned(snapshot, 1, ENTRIES, ENTRIES);
    stream_destroy(snapshot);
    stream_destroy(stream);
}
END_TEST

START_TEST(what_is_being_copied_stays)
{
    struct stream_copy *copy;
    struct slice first;
    char target[80];
    uint64_t bytes;

    (void)snprintf(target, sizeof(target), "%s/copy", files.directory);
    ck_assert_int_eq(mkdir(target, 0755), 0);
    begin();
    checkpoint(stream, true);
    ck_assert_int_eq(stream_copy_create(store, target, &copy), 0);
    first = slice_of(image.bytes, image.size);
    image.bytes = NULL;
    thin_out(1, ENTRIES);
    checkpoint(stream, true);
    ck_assert_uint_eq(count_in_stream(1, ".pak"), 0);
    while (stream_copy_step(copy, fault_os(files.fault), 50000, &bytes) == 1) {}
    stream_copy_destroy(copy);
    settle();
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 8); /* now it may */
    stream_destroy(stream);
    stream_store_destroy(store);
    files.options.directory = target;
    create_store();
    ck_assert_int_eq(stream_image_load(store, first, &stream), 0);
    stream_checkpoint_loaded(store);
    expect_entries(stream, 1, ENTRIES, SIZE);
    stream_destroy(stream);
    free((void *)(uintptr_t)first.bytes);
}
END_TEST

/* ---- what fails -------------------------------------------------------------------------------
 */

START_TEST(whatever_fails_the_entries_are_there)
{
    bool has_fired = true;
    uint64_t nth = (uint64_t)_i;

    for (; has_fired; nth += 20) {
        begin();
        checkpoint(stream, true);
        thin_out(1, ENTRIES);
        stream_checkpoint_begin(store);
        write_image(stream);
        ck_assert_int_eq(sync_checkpoint(), 1);
        fault_fail(files.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC, FAULT_ONCE);
        stream_checkpoint_end(store, true);
        settle();
        has_fired = fault_fired(files.fault) > 0;
        fault_clear(files.fault);
        expect_thinned(stream, 1, ENTRIES, ENTRIES);
        stream_destroy(stream);
        restart();
        load();
        expect_thinned(stream, 1, ENTRIES, ENTRIES);
        checkpoint(stream, true);
        ck_assert_uint_gt(count_in_stream(1, ".pak"), 8);
        expect_thinned(stream, 1, ENTRIES, ENTRIES);
        stream_destroy(stream);
        checkpoint(NULL, true);
        stream_store_destroy(store);
    }
    create_store(); /* for the fixture */
    ck_assert_uint_gt(nth, 50);
}
END_TEST

static struct {
    unsigned count;
    int error;
    char path[STREAM_PATH_BYTES_MAX], text[100];
} told;

static void note_told(void *context, const char *path, int error, const char *text)
{
    (void)context;
    told.count++;
    told.error = error;
    (void)snprintf(told.path, sizeof(told.path), "%s", path);
    (void)snprintf(told.text, sizeof(told.text), "%s", text);
}

static uint64_t rewrite_errors(void)
{
    struct stream_trouble trouble;

    stream_store_get_trouble(store, &trouble);
    return trouble.rewrite_error_count;
}

/* It is told of once, counted each time, and keeps no other from being written anew. */
START_TEST(a_segment_that_is_damaged_is_told_of)
{
    char path[200];
    int fd;

    memset(&told, 0, sizeof(told));
    files.hooks.on_rewrite_failure = note_told;
    begin();
    checkpoint(stream, true);
    (void)snprintf(path, sizeof(path), "%s/stream-1/0000000003.log", files.directory);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "what", 4, 3000), 4);
    ck_assert_int_eq(close(fd), 0);
    thin_out(1, ENTRIES);
    checkpoint(stream, true);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_int_eq(told.error, -EBADMSG);
    ck_assert_str_eq(told.text, "segment 3");
    ck_assert_ptr_nonnull(strstr(told.path, "/stream-1"));
    ck_assert_uint_eq(rewrite_errors(), 1);
    ck_assert_uint_gt(count_in_stream(1, ".pak"), 7);
    checkpoint(stream, true);
    ck_assert_uint_eq(rewrite_errors(), 2);
    ck_assert_uint_eq(told.count, 1);
    stream_destroy(stream);
}
END_TEST

/* A stream that goes, and one that is closed, while it is written anew. */
START_TEST(whoever_goes_meanwhile_leaves_nothing)
{
    begin();
    checkpoint(stream, true);
    thin_out(1, ENTRIES);
    stream_checkpoint_begin(store);
    write_image(stream);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, true);
    for (int i = 0; i < _i; i++) {
        (void)stream_store_tick(store, 0, 0);
        (void)io_wait(files.io);
    }
    if (_i % 2 == 0) {
        stream_destroy(stream);
        checkpoint(NULL, true);
        settle();
        ck_assert_uint_eq(count_directories(), 0);
        ck_assert_uint_eq(stream_store_memory_bytes(store), 0);
        return;
    }
    stream_destroy(stream);
    restart();
    load();
    expect_thinned(stream, 1, ENTRIES, ENTRIES);
    stream_destroy(stream);
}
END_TEST

/* ---- beside an array --------------------------------------------------------------------------
 */

/* The process ends after a checkpoint, and after more that is not there any more then. */
static void step_restart(struct mix mix)
{
    struct model saved = model;

    if (info_now().is_in_memory) return;
    for (unsigned i = 0; i < KEPT; i++)
        let_go(&kept[i]);
    saved.entries = malloc(MODEL_MAX * sizeof(*saved.entries));
    ck_assert_ptr_nonnull(saved.entries);
    memcpy(saved.entries, model.entries, MODEL_MAX * sizeof(*saved.entries));
    checkpoint(stream, true);
    for (uint64_t more = random_below(&dice, 300); more > 0; more--)
        step(mix);
    for (unsigned i = 0; i < KEPT; i++)
        let_go(&kept[i]);
    free(model.entries);
    model = saved;
    stream_destroy(stream);
    restart();
    load();
    memset(walks, 0, sizeof(walks));
}

START_TEST(a_stream_that_is_written_anew_agrees_with_an_array)
{
    static const struct mix mixes[] = { { 45, 42, 0 }, { 50, 40, 1 } };
    struct mix mix = mixes[_i % 2];
    uint64_t renames = fault_count(files.fault, FAULT_RENAME);

    create_store();
    steps_begin((uint64_t)_i + 501);
    for (unsigned i = 0; i < 6000; i++) {
        step(mix);
        if (random_below(&dice, 300) == 0) {
            checkpoint(stream, random_below(&dice, 4) > 0);
        }
        if (random_below(&dice, 900) == 0) step_restart(mix);
        if (random_below(&dice, 50) == 0) (void)stream_store_tick(store, 0, 0);
        if (random_below(&dice, 300) == 0)
            stream_set_codec(stream, (enum journal_codec)random_below(&dice, 3));
        if (i % 512 == 0) expect_stream(stream, &model);
    }
    expect_stream(stream, &model);
    ck_assert_uint_gt(fault_count(files.fault, FAULT_RENAME), renames);
    steps_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments that are written anew");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);
    TCase *threads = test_suite_case(suite, "threads", setup_threads, teardown_files);

    tcase_add_loop_test(cases, what_is_mostly_deleted_is_written_anew, 0, 3);
    tcase_add_test(cases, what_is_mostly_there_stays);
    tcase_add_test(cases, a_segment_without_anything_that_is_left_takes_next_to_nothing);
    tcase_add_test(cases, a_tick_looks_at_so_many_segments_and_no_more);
    tcase_add_test(cases, one_stream_at_a_time_is_opened_to_be_written_anew);
    tcase_add_test(cases, what_was_written_anew_is_not_again);
    tcase_add_test(cases, of_what_was_never_written_nothing_is_dropped);
    tcase_add_test(cases, streams_take_turns);
    tcase_add_loop_test(cases, what_was_deleted_since_the_checkpoint_stays, 0, 2);
    tcase_add_test(cases, what_a_snapshot_sees_stays);
    tcase_add_test(cases, what_is_being_copied_stays);
    tcase_add_loop_test(cases, whatever_fails_the_entries_are_there, 1, 6);
    tcase_add_test(cases, a_segment_that_is_damaged_is_told_of);
    tcase_add_loop_test(cases, whoever_goes_meanwhile_leaves_nothing, 0, 8);
    tcase_add_loop_test(cases, a_stream_that_is_written_anew_agrees_with_an_array, 0,
                        soak_is_full() ? 200 : 8);
    tcase_add_loop_test(threads, a_stream_that_is_written_anew_agrees_with_an_array, 0, 2);
    return test_suite_run(suite);
}
