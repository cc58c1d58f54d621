/* What streams in journals take on the disk: it is counted as it is, whatever becomes of it, and at
 * its limit entries are refused and all else goes on. */
#include <sys/stat.h>

#include "modules/stream/files_internal.h"
#include "modules/stream/test_stream_empty.h"

enum { SIZE = 200, MAX_BYTES = 800 << 10, GRAIN_BYTES = 4096 /* of each segment's file */ };

static struct stream_disk disk_now(void)
{
    struct stream_disk disk;

    stream_store_get_disk(store, &disk);
    return disk;
}

struct found {
    uint64_t bytes, count;
};

static void find_in(const char *path, struct found *found)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) return;
    while ((entry = readdir(dir)) != NULL) {
        const char *suffix = strrchr(entry->d_name, '.');
        char file[400];
        struct stat st;
        if (!suffix || (strcmp(suffix, ".log") != 0 && strcmp(suffix, ".pak") != 0 &&
                        strcmp(suffix, ".idx") != 0))
            continue;
        (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        ck_assert_int_eq(stat(file, &st), 0);
        found->bytes += (uint64_t)st.st_size;
        found->count += strcmp(suffix, ".idx") != 0;
    }
    closedir(dir);
}

/* Segments and indexes that are there. */
static struct found find_files(void)
{
    struct found found = { 0 };
    char path[100];

    for (unsigned number = 1; number <= 40; number++) {
        (void)snprintf(path, sizeof(path), "%s/stream-%u", files.directory, number);
        find_in(path, &found);
    }
    return found;
}

static void expect_counted(void)
{
    struct found found = find_files();
    uint64_t used = disk_now().used_bytes, slack = found.count * GRAIN_BYTES;

    ck_assert_uint_le(found.bytes, used + slack);
    ck_assert_uint_le(used, found.bytes + slack);
}

/* As a server starts; what is found is known before anything is opened. */
static void restart_with_a_look(void)
{
    char text[STREAM_LOOK_TEXT_BYTES];

    stream_destroy(stream);
    restart();
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &stream), 0);
    while (stream_checkpoint_look(store, text) == 0)
        ck_assert_uint_gt(io_wait(files.io), 0);
    stream_checkpoint_loaded(store);
    settle();
}

/* _i: the codec. */
START_TEST(what_streams_take_is_counted_whatever_becomes_of_it)
{
    uint64_t used, deferred;

    begin();
    stream_set_codec(stream, (enum journal_codec)_i);
    ck_assert_uint_eq(disk_now().used_bytes, 0);
    add_entries(stream, 1, 3000, SIZE);
    settle();
    expect_counted();
    checkpoint(stream, true);
    expect_counted();
    used = disk_now().used_bytes;
    ck_assert_uint_eq(disk_now().deferred_bytes, 0);
    trim_to(stream, 1000);
    settle();
    ck_assert_uint_eq(disk_now().used_bytes, used); /* the checkpoint keeps it */
    deferred = disk_now().deferred_bytes;
    ck_assert_uint_gt(deferred, used / 12); /* the others are packed, and room lies ahead */
    expect_counted();
    checkpoint(stream, true);
    ck_assert_uint_le(disk_now().used_bytes, used - deferred);
    ck_assert_uint_eq(disk_now().deferred_bytes, 0);
    expect_counted();
    restart_with_a_look();
    expect_counted();
    expect_entries(stream, 2000, 3000, SIZE);
    stream_set_codec(stream, JOURNAL_CODEC_ZSTD);
    add_entries(stream, 3000, 4000, SIZE);
    settle();
    expect_counted();
    stream_destroy(stream);
    settle();
    expect_counted();
    ck_assert_uint_eq(disk_now().deferred_bytes, disk_now().used_bytes);
    checkpoint(NULL, true);
    ck_assert_uint_eq(count_directories(), 0);
    ck_assert_uint_eq(disk_now().used_bytes, 0);
    ck_assert_uint_eq(disk_now().deferred_bytes, 0);
}
END_TEST

START_TEST(what_cannot_be_removed_counts_and_is_tried_again)
{
    uint64_t used;

    begin();
    add_entries(stream, 1, 1000, SIZE);
    settle();
    used = disk_now().used_bytes;
    fault_fail(files.fault, FAULT_UNLINK, 1, EIO, FAULT_FROM_THEN_ON);
    stream_destroy(stream);
    settle();
    ck_assert_uint_gt(count_directories(), 0);
    ck_assert_uint_gt(disk_now().used_bytes, used / 2);
    settle_at(1000);
    ck_assert_uint_gt(count_directories(), 0);
    fault_clear(files.fault);
    settle_at(1999);
    ck_assert_uint_gt(count_directories(), 0);
    settle_at(2000);
    ck_assert_uint_eq(count_directories(), 0);
    ck_assert_uint_eq(disk_now().used_bytes, 0);
}
END_TEST

/* A snapshot may still read what is trimmed. */
START_TEST(what_a_snapshot_keeps_is_counted_until_it_goes)
{
    struct stream *snapshot;
    uint64_t used;

    begin();
    add_entries(stream, 1, 2000, SIZE);
    settle();
    used = disk_now().used_bytes;
    ck_assert_int_eq(stream_snapshot(stream, &snapshot), 0);
    trim_to(stream, 200);
    settle();
    ck_assert_uint_eq(disk_now().used_bytes, used);
    ck_assert_uint_eq(disk_now().deferred_bytes, 0); /* no checkpoint would help */
    expect_counted();
    expect_entries(snapshot, 1, 2000, SIZE);
    stream_destroy(snapshot);
    settle();
    ck_assert_uint_lt(disk_now().used_bytes, used / 2);
    expect_counted();
    end();
}
END_TEST

START_TEST(a_limit_refuses_what_is_added_and_nothing_else)
{
    struct found found;
    uint64_t number;

    begin();
    stream_store_set_disk_max(store, MAX_BYTES);
    number = add_until(stream, -EDQUOT, 1, SIZE);
    ck_assert(disk_now().is_at_limit);
    found = find_files();
    ck_assert_uint_le(disk_now().used_bytes, MAX_BYTES);
    ck_assert_uint_le(found.bytes, MAX_BYTES + found.count * GRAIN_BYTES);
    ck_assert_uint_gt(number * SIZE, MAX_BYTES / 2); /* what lies ahead did not take it all */
    ck_assert_int_eq(try_add(stream, number, SIZE), -EDQUOT);
    expect_entries(stream, 1, number, SIZE);
    trim_to(stream, 100);
    settle();
    ck_assert(!disk_now().is_at_limit);
    add_entries(stream, number, number + 500, SIZE);
    number = add_until(stream, -EDQUOT, number + 500, SIZE);
    stream_store_set_disk_max(store, 2 * MAX_BYTES);
    add_entries(stream, number, number + 1000, SIZE);
    ck_assert_uint_le(disk_now().used_bytes, 2 * MAX_BYTES);
    stream_store_set_disk_max(store, 1); /* below what is there */
    number = add_until(stream, -EDQUOT, number + 1000, SIZE);
    checkpoint(stream, true);
    restart_with_a_look();
    stream_store_set_disk_max(store, 1);
    number = add_until(stream, -EDQUOT, number, SIZE);
    ck_assert_int_eq(stream_delete(stream, stream->start, (struct stream_id){ number, 0 }), 1);
    stream_destroy(stream);
}
END_TEST

enum { LARGE = 8000, LONG_BYTES = 32 << 20, SHORT_BYTES = 12 << 20, ROW = 50 };

static void begin_with_long_segments(void)
{
    files.options.roll_bytes = 2 * LONG_BYTES;
    begin();
}

START_TEST(a_stream_that_is_kept_short_takes_little)
{
    uint64_t number = 1;

    begin_with_long_segments();
    for (; number * LARGE < LONG_BYTES; number += ROW) {
        add_entries(stream, number, number + ROW, LARGE);
        trim_to(stream, 2 * ROW);
        settle();
        ck_assert_uint_le(disk_now().used_bytes, SHORT_BYTES);
        expect_counted();
    }
    expect_entries(stream, number - 2 * ROW, number, LARGE);
    checkpoint(stream, true);
    add_entries(stream, number, number + ROW, LARGE);
    restart_with_a_look();
    expect_entries(stream, number - 2 * ROW, number, LARGE);
    add_entries(stream, number, number + ROW, LARGE);
    expect_entries(stream, number - 2 * ROW, number + ROW, LARGE);
    stream_destroy(stream);
}
END_TEST

/* Its segment has all of it, and there is no room for another one. */
START_TEST(a_stream_that_is_trimmed_at_the_limit_goes_on)
{
    uint64_t number;

    begin_with_long_segments();
    stream_store_set_disk_max(store, SHORT_BYTES);
    number = add_until(stream, -EDQUOT, 1, LARGE);
    for (unsigned round = 0; round < 5; round++) {
        trim_to(stream, round % 2);
        settle();
        add_entries(stream, number, number + 1, LARGE); /* in another segment */
        trim_to(stream, 1);
        settle();
        add_entries(stream, number + 1, number + ROW, LARGE);
        expect_entries(stream, number, number + ROW, LARGE);
        number = add_until(stream, -EDQUOT, number + ROW, LARGE);
        ck_assert_uint_le(disk_now().used_bytes, SHORT_BYTES + SHORT_BYTES / 8);
    }
    end();
}
END_TEST

/* Nobody is asked for its room, so it counts as soon as it is asked for: once the entries before it
 * are trimmed, and, when there was none then, with an entry. */
START_TEST(the_segment_behind_an_early_end_counts_while_it_is_made)
{
    enum { MANY_ROWS = 16 * ROW, LEAST_BYTES = 64 << 10 };
    uint64_t used;

    begin_with_long_segments();
    add_entries(stream, 1, MANY_ROWS, LARGE);
    settle();
    used = disk_now().used_bytes;
    fault_set_disk(files.fault, fault_disk_used(files.fault));
    trim_to(stream, 1);
    ck_assert_uint_ge(disk_now().used_bytes, used + LEAST_BYTES);
    settle();
    ck_assert_uint_eq(disk_now().used_bytes, used); /* it could not be made */
    fault_set_disk(files.fault, UINT64_MAX);
    add_entries(stream, MANY_ROWS, MANY_ROWS + 1, LARGE);
    ck_assert_uint_ge(disk_now().used_bytes, used + LARGE);
    settle();
    expect_counted();
    end();
}
END_TEST

START_TEST(at_the_limit_no_stream_leaves_memory_and_many_that_do_keep_it)
{
    struct stream *streams[20];
    struct stream_info info;
    uint64_t moved = 0;

    create_store();
    stream_store_set_disk_max(store, MAX_BYTES);
    for (unsigned i = 0; i < 20; i++) {
        int rc = 0;
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        for (uint64_t number = 1; rc == 0 && number < 20; number++)
            rc = try_add(streams[i], number, SIZE);
        stream_get_info(streams[i], &info);
        ck_assert(rc == 0 ? !info.is_in_memory : rc == -EDQUOT && info.is_in_memory);
        moved += !info.is_in_memory;
        ck_assert_uint_le(disk_now().used_bytes, MAX_BYTES);
    }
    ck_assert_uint_gt(moved, 4);
    ck_assert_uint_lt(moved, 14);
    settle();
    ck_assert_uint_eq(count_directories(), moved);
    ck_assert_uint_eq(count_in_stream((unsigned)moved, ".log"), 1);
    for (unsigned i = 0; i < 20; i++)
        stream_destroy(streams[i]);
    settle();
    ck_assert_uint_eq(disk_now().used_bytes, 0);
}
END_TEST

/* ---- room ahead -------------------------------------------------------------------------------
 */

enum {
    HEAVY = 2000, /* letters of a value, here */
    MANY = 3,
    EACH = 1000,            /* entries: their journals have as much ahead as they are long */
    CHANGE_BYTES = 1 << 20, /* what many journals may keep, of their ends and ahead */
};

/* Long segments, of which much lies ahead. */
static void create_long_store(void)
{
    files.options.roll_bytes = 0;
    create_store();
}

static void fill(struct stream **streams)
{
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_int_eq(stream_create(store, &streams[i]), 0);
        add_entries(streams[i], 1, EACH, HEAVY);
    }
    settle();
}

/* Nothing of what is used now may grow. */
static int allow_no_more(bool is_limit)
{
    if (is_limit)
        stream_store_set_disk_max(store, disk_now().used_bytes);
    else
        fault_set_disk(files.fault, fault_disk_used(files.fault));
    return is_limit ? -EDQUOT : -ENOSPC;
}

static void destroy_all(struct stream **streams)
{
    for (unsigned i = 0; i < MANY; i++)
        stream_destroy(streams[i]);
}

/* _i: 1: what is used is limited, 0: the disk is full. The new one must leave memory first. */
START_TEST(what_others_have_ahead_is_given_to_who_needs_it)
{
    struct stream *streams[MANY];
    uint64_t live = (uint64_t)MANY * EACH * HEAVY, most, number, given;
    int refusal;

    create_long_store();
    fill(streams);
    most = disk_now().used_bytes;
    ck_assert_uint_gt(most, live + 4 * CHANGE_BYTES); /* or there is nothing to give */
    refusal = allow_no_more(_i);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    number = add_until(stream, refusal, 1, HEAVY);
    ck_assert_uint_gt(live + number * HEAVY, most - CHANGE_BYTES);
    ck_assert_uint_le(disk_now().used_bytes, most);
    expect_counted();
    /* Now it is really full: it is refused at once, and nobody is closed for that. */
    settle();
    given = store->files->given_count;
    ck_assert_int_eq(try_add(stream, number, HEAVY), refusal);
    ck_assert_int_eq(try_add(stream, number, 20 * HEAVY), refusal);
    ck_assert_uint_eq(store->files->given_count, given);
    expect_entries(stream, 1, number, HEAVY);
    for (unsigned i = 0; i < MANY; i++)
        expect_entries(streams[i], 1, EACH, HEAVY);
    destroy_all(streams);
    end();
}
END_TEST

/* All but one write in turn, and none is refused before there is no room for anybody. */
START_TEST(who_writes_by_turns_shares_what_is_left)
{
    struct stream *streams[MANY];
    uint64_t live = 0, most, given;
    int refusal, rc = 0;

    create_long_store();
    fill(streams);
    refusal = allow_no_more(_i);
    most = disk_now().used_bytes;
    given = store->files->given_count;
    for (unsigned i = 0; rc == 0; i++) {
        rc = try_add(streams[i % (MANY - 1)], EACH + i, HEAVY);
        live = ((uint64_t)MANY * EACH + i) * HEAVY;
    }
    ck_assert_int_eq(rc, refusal);
    ck_assert_uint_gt(live, most - CHANGE_BYTES);
    ck_assert_uint_lt(store->files->given_count - given,
                      100); /* they do not close for each entry */
    destroy_all(streams);
    settle();
    stream = NULL;
}
END_TEST

/* Lists, say, which do not wait. */
START_TEST(what_lies_ahead_is_given_to_others_than_streams)
{
    struct stream *streams[MANY];
    uint64_t used;

    create_long_store();
    fill(streams);
    used = disk_now().used_bytes;
    stream_store_give_room(store);
    settle();
    ck_assert_uint_lt(disk_now().used_bytes, used - 3 * CHANGE_BYTES);
    expect_counted();
    used = disk_now().used_bytes;
    stream_store_give_room(store); /* there is no more */
    settle();
    ck_assert_uint_eq(disk_now().used_bytes, used);
    for (unsigned i = 0; i < MANY; i++)
        add_entries(streams[i], EACH, EACH + 10, HEAVY);
    destroy_all(streams);
    settle();
}
END_TEST

/* A stream that is to leave memory does not wait either: it leaves with the next attempt. */
START_TEST(what_lies_ahead_is_given_to_who_leaves_memory)
{
    enum { SMALL = 10, RETRY_MS = 1000 };
    struct stream *streams[MANY];
    struct stream_info info;

    files.options.memory_bytes_max = 2 * SMALL * HEAVY;
    create_long_store();
    fill(streams);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    add_entries(stream, 1, SMALL, HEAVY);
    (void)allow_no_more(1);
    (void)stream_store_shrink(store, UINT64_MAX, true);
    settle();
    (void)stream_store_tick(store, RETRY_MS, 0);
    (void)stream_store_shrink(store, UINT64_MAX, true);
    settle_at(RETRY_MS);
    stream_get_info(stream, &info);
    ck_assert(!info.is_in_memory);
    expect_entries(stream, 1, SMALL, HEAVY);
    destroy_all(streams);
    stream_destroy(stream);
    settle_at(RETRY_MS);
}
END_TEST

START_TEST(who_cannot_be_closed_for_want_of_memory_is_not_waited_for)
{
    struct stream *streams[MANY];

    create_long_store();
    fill(streams);
    refuse_every = 1;
    ck_assert(!stream_store_free_room(store, NULL));
    refuse_every = 0;
    ck_assert(memory_was_refused());
    ck_assert(stream_store_free_room(store, NULL));
    while (stream_store_free_room(store, NULL))
        ck_assert_int_eq(stream_store_wait(store), 0);
    ck_assert_uint_eq(store->files->open_count, 0);
    for (unsigned i = 0; i < MANY; i++)
        expect_entries(streams[i], 1, EACH, HEAVY);
    destroy_all(streams);
    settle();
}
END_TEST

/* Each entry opens its journal, which had to be closed for another: what opening brings with it is
 * no way around the limit. */
START_TEST(journals_that_open_in_turn_take_no_more_than_the_limit)
{
    enum { ROUNDS = 400 };
    struct stream *streams[MANY];
    unsigned taken = 0;
    uint64_t most;

    files.options.open_max = 1;
    create_long_store();
    fill(streams);
    stream_store_give_room(store);
    settle();
    (void)allow_no_more(1);
    most = disk_now().used_bytes;
    while (taken < ROUNDS && try_add(streams[taken % MANY], EACH + taken / MANY, HEAVY) == 0)
        taken++;
    ck_assert_uint_lt(taken, ROUNDS);
    settle();
    ck_assert_uint_le(disk_now().used_bytes, most + MANY * 2 * GRAIN_BYTES);
    expect_counted();
    for (unsigned i = 0; i < MANY; i++)
        expect_entries(streams[i], 1, EACH + (taken + MANY - 1 - i) / MANY, HEAVY);
    stream_store_set_disk_max(store, most + CHANGE_BYTES);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(try_add(streams[i], EACH + ROUNDS, HEAVY), 0);
    destroy_all(streams);
    settle();
}
END_TEST

START_TEST(little_lies_ahead_where_little_is_left)
{
    enum { LEFT_PART = 8 };
    uint64_t max = 24 << 20;

    create_long_store();
    ck_assert_int_eq(stream_create(store, &stream), 0);
    stream_store_set_disk_max(store, max);
    for (uint64_t number = 1; number < 10000; number += 1000) {
        uint64_t left = max - disk_now().used_bytes;
        add_entries(stream, number, number + 1000, HEAVY);
        settle();
        ck_assert_uint_le(journal_spare_bytes(stream->files->journal), left / LEFT_PART + 8192);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("what streams take on the disk");
    TCase *cases = test_suite_case(suite, "all", setup_files, teardown_files);

    tcase_add_loop_test(cases, what_streams_take_is_counted_whatever_becomes_of_it, 0, 3);
    tcase_add_test(cases, what_cannot_be_removed_counts_and_is_tried_again);
    tcase_add_test(cases, what_a_snapshot_keeps_is_counted_until_it_goes);
    tcase_add_test(cases, a_limit_refuses_what_is_added_and_nothing_else);
    tcase_add_test(cases, a_stream_that_is_kept_short_takes_little);
    tcase_add_test(cases, a_stream_that_is_trimmed_at_the_limit_goes_on);
    tcase_add_test(cases, the_segment_behind_an_early_end_counts_while_it_is_made);
    tcase_add_test(cases, at_the_limit_no_stream_leaves_memory_and_many_that_do_keep_it);
    tcase_add_loop_test(cases, what_others_have_ahead_is_given_to_who_needs_it, 0, 2);
    tcase_add_loop_test(cases, who_writes_by_turns_shares_what_is_left, 0, 2);
    tcase_add_test(cases, what_lies_ahead_is_given_to_others_than_streams);
    tcase_add_test(cases, what_lies_ahead_is_given_to_who_leaves_memory);
    tcase_add_test(cases, who_cannot_be_closed_for_want_of_memory_is_not_waited_for);
    tcase_add_test(cases, journals_that_open_in_turn_take_no_more_than_the_limit);
    tcase_add_test(cases, little_lies_ahead_where_little_is_left);
    return test_suite_run(suite);
}
