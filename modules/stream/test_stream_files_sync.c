/* When streams in journals are brought to the device, and what a start finds out of what is not as
 * it was. */
#include <fcntl.h>

#include "modules/stream/test_stream_files.h"

enum { STREAMS = 12, ENTRIES = 100, SIZE = 200 };

static struct stream *streams[STREAMS];
static struct slice images[STREAMS];

static void setup_streams(void)
{
    setup_files();
    memset(streams, 0, sizeof(streams));
    memset(images, 0, sizeof(images));
    files.options.open_max = 2;
}

static void teardown_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        stream_destroy(streams[i]);
        free((void *)images[i].bytes);
    }
    teardown_files();
}

/* Most of them are closed. */
static void make_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, ENTRIES, SIZE);
    }
    settle();
}

static void add_to_all(uint64_t from, uint64_t end)
{
    for (unsigned i = 0; i < STREAMS; i++)
        add_entries(streams[i], from, end, SIZE);
}

static void expect_all(uint64_t end)
{
    for (unsigned i = 0; i < STREAMS; i++)
        expect_entries(streams[i], 1, end, SIZE);
}

/* 1, or why it is not complete. */
static int save_all(void)
{
    int rc;

    stream_checkpoint_begin(store);
    for (unsigned i = 0; i < STREAMS; i++) {
        if (!streams[i]) continue;
        write_image(streams[i]);
        free((void *)images[i].bytes);
        images[i] = slice_of(image.bytes, image.size);
        image.bytes = NULL;
    }
    rc = sync_checkpoint();
    stream_checkpoint_end(store, rc == 1);
    return rc;
}

/* All closed, and the next start. */
static void load_all(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        stream_destroy(streams[i]);
    restart();
    for (unsigned i = 0; i < STREAMS; i++)
        ck_assert_int_eq(stream_image_load(store, images[i], &streams[i]), 0);
}

static uint64_t count_syncs(void)
{
    return fault_count(files.fault, FAULT_FSYNC) + fault_count(files.fault, FAULT_FDATASYNC) +
           fault_count(files.fault, FAULT_FSYNC_DIRECTORY) +
           fault_count(files.fault, FAULT_SYNC_MAP);
}

/* ---- when -------------------------------------------------------------------------------------
 */

START_TEST(making_opening_and_closing_wait_for_no_device)
{
    uint64_t before = count_syncs();

    create_store();
    make_streams();
    add_to_all(ENTRIES, ENTRIES + 10);
    expect_all(ENTRIES + 10);
    ck_assert_uint_eq(count_syncs(), before);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), 0);
}
END_TEST

START_TEST(a_checkpoint_brings_what_is_closed_at_once)
{
    uint64_t before = count_syncs();

    create_store();
    make_streams();
    ck_assert_int_eq(save_all(), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), 1);
    ck_assert_uint_le(count_syncs() - before, 5 * files.options.open_max);
    before = count_syncs();
    ck_assert_int_eq(save_all(), 1); /* nothing has come since */
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), 1);
    ck_assert_uint_eq(count_syncs(), before);
    load_all();
    stream_checkpoint_loaded(store);
    expect_all(ENTRIES);
}
END_TEST

/* Where a kernel does not tell what could not be written. */
START_TEST(where_all_cannot_be_synced_at_once_each_is_before_it_is_closed)
{
    uint64_t before = count_syncs();

    fault_fail(files.fault, FAULT_WATCH_FILESYSTEM, 1, EOPNOTSUPP, FAULT_ONCE);
    create_store();
    make_streams();
    ck_assert_uint_ge(count_syncs() - before, 4 * (STREAMS - files.options.open_max));
    ck_assert_int_eq(save_all(), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), 0);
    load_all();
    stream_checkpoint_loaded(store);
    expect_all(ENTRIES);
}
END_TEST

START_TEST(a_failed_sync_of_all_is_no_checkpoint_and_what_was_closed_takes_no_more)
{
    unsigned refused = 0;

    create_store();
    make_streams();
    ck_assert_int_eq(save_all(), 1);
    add_to_all(ENTRIES, ENTRIES + 10);
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(save_all(), -EIO);
    ck_assert_int_eq(save_all(), -EIO); /* and no later one */
    for (unsigned i = 0; i < STREAMS; i++) {
        int rc = try_add(streams[i], ENTRIES + 10, SIZE);
        ck_assert(rc == 0 || rc == -EROFS);
        refused += rc < 0;
    }
    ck_assert_uint_ge(refused, STREAMS - files.options.open_max - 1);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream_info info;
        stream_get_info(streams[i], &info);
        expect_entries(streams[i], 1, info.end, SIZE);
    }
}
END_TEST

/* Of what fails from then on the next one is told; where it cannot be, nothing is closed before it
 * was synced by itself. */
START_TEST(after_a_failed_sync_of_all_there_is_another_one)
{
    bool can_watch = _i == 0;
    uint64_t before;

    create_store();
    make_streams();
    fault_fail(files.fault, FAULT_SYNC_FILESYSTEM, 1, EIO, FAULT_ONCE);
    if (!can_watch) fault_fail(files.fault, FAULT_WATCH_FILESYSTEM, 1, EOPNOTSUPP, FAULT_ONCE);
    ck_assert_int_eq(save_all(), -EIO);
    for (unsigned i = 0; i < STREAMS; i++) {
        stream_destroy(streams[i]);
        streams[i] = NULL;
    }
    settle();
    before = fault_count(files.fault, FAULT_SYNC_MAP);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, ENTRIES, SIZE);
    }
    if (can_watch)
        ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_MAP), before);
    else
        ck_assert_uint_ge(fault_count(files.fault, FAULT_SYNC_MAP) - before, 2);
    ck_assert_int_eq(save_all(), 1);
    ck_assert_uint_eq(fault_count(files.fault, FAULT_SYNC_FILESYSTEM), can_watch ? 2 : 1);
}
END_TEST

/* ---- what a start finds -----------------------------------------------------------------------
 */

static int look(char text[STREAM_LOOK_TEXT_BYTES])
{
    int rc;

    while ((rc = stream_checkpoint_look(store, text)) == 0)
        ck_assert_uint_gt(io_wait(files.io), 0);
    return rc;
}

static void path_in(char path[120], const char *name)
{
    (void)snprintf(path, 120, "%s/stream-5/%s", files.directory, name);
}

static void put_byte(const char *name, off_t offset, uint8_t byte)
{
    char path[120];
    int fd;

    path_in(path, name);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void remove_one(const char *name)
{
    char path[120];

    path_in(path, name);
    ck_assert_int_eq(unlink(path), 0);
}

static void cut(const char *name, off_t size)
{
    char path[120];

    path_in(path, name);
    ck_assert_int_eq(truncate(path, size), 0);
}

static void save_and_load(void)
{
    create_store();
    make_streams();
    ck_assert_int_eq(save_all(), 1);
    load_all();
}

START_TEST(a_start_finds_all_as_it_was)
{
    char text[STREAM_LOOK_TEXT_BYTES];

    save_and_load();
    ck_assert_int_eq(look(text), 1);
    ck_assert_int_eq(look(text), 1);
    stream_checkpoint_loaded(store);
    expect_all(ENTRIES);
}
END_TEST

static const char segment[] = "0000000001.log";

static void damage(int kind)
{
    switch (kind) {
    case 0:
        put_byte("meta", 100, 'x');
        break;
    case 1:
        put_byte("meta", 4, 99);
        break;
    case 2:
        remove_one("meta");
        break;
    case 3:
        put_byte(segment, 9, 'x');
        break;
    case 4:
        remove_one(segment);
        break;
    default:
        cut(segment, 5000);
    }
}

START_TEST(a_start_says_which_journal_is_not_as_it_was)
{
    static const struct {
        int rc;
        const char *text;
    } told[] = { { -EBADMSG, "meta is damaged" },
                 { -EPROTONOSUPPORT, "meta was made by another version" },
                 { -ENOENT, "meta is missing" },
                 { -EBADMSG, "0000000001.log is damaged" },
                 { -ENOENT, "0000000001.log is missing" },
                 { -EBADMSG, "0000000001.log ends at 5000" } };
    char text[STREAM_LOOK_TEXT_BYTES], expected[120];

    save_and_load();
    damage(_i);
    ck_assert_int_eq(look(text), told[_i].rc);
    (void)snprintf(expected, sizeof(expected), "%s/stream-5: %s", files.directory, told[_i].text);
    ck_assert_msg(strstr(text, expected) != NULL, "%s", text);
}
END_TEST

START_TEST(looking_may_be_given_up)
{
    char text[STREAM_LOOK_TEXT_BYTES];

    save_and_load();
    ck_assert_int_eq(stream_checkpoint_look(store, text), 0);
}
END_TEST

static unsigned told_count;
static char told_text[300];

static void note_failure(void *context, const char *path, int error, const char *text)
{
    (void)context;
    told_count++;
    (void)snprintf(told_text, sizeof(told_text), "%s %d %s", path, error, text);
}

START_TEST(why_one_cannot_be_opened_is_told_once)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    told_count = 0;
    files.hooks.on_failure = note_failure;
    save_and_load();
    stream_checkpoint_loaded(store);
    cut(segment, 5000);
    for (unsigned i = 0; i < 3; i++) {
        stream_cursor_begin(&cursor, streams[4], STREAM_ID_MIN, STREAM_FORWARD);
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), -EBADMSG);
    }
    ck_assert_uint_eq(told_count, 1);
    ck_assert_msg(strstr(told_text, "stream-5 ") && strstr(told_text, segment), "%s", told_text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams in journals: syncs and starts");
    TCase *cases = test_suite_case(suite, "all", setup_streams, teardown_streams);

    tcase_add_test(cases, making_opening_and_closing_wait_for_no_device);
    tcase_add_test(cases, a_checkpoint_brings_what_is_closed_at_once);
    tcase_add_test(cases, where_all_cannot_be_synced_at_once_each_is_before_it_is_closed);
    tcase_add_test(cases, a_failed_sync_of_all_is_no_checkpoint_and_what_was_closed_takes_no_more);
    tcase_add_loop_test(cases, after_a_failed_sync_of_all_there_is_another_one, 0, 2);
    tcase_add_test(cases, a_start_finds_all_as_it_was);
    tcase_add_loop_test(cases, a_start_says_which_journal_is_not_as_it_was, 0, 6);
    tcase_add_test(cases, looking_may_be_given_up);
    tcase_add_test(cases, why_one_cannot_be_opened_is_told_once);
    return test_suite_run(suite);
}
