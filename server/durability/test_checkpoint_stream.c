/* Streams in checkpoints: large groups become records of their own while they go on changing, and
 * whatever stands in such records is loaded or refused in words. */
#include "server/durability/test_checkpoint_crash.h"

#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/stream/producers.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_writer.h"

static char why[CHECKPOINT_ERROR_BYTES];
static uint64_t last_number; /* of the files that tests put together */

static void setup(void)
{
    name_parts();
    fixture.stream_bytes_max = STREAM_BYTES_MAX;
    make_parts(os_real());
    last_number = 0;
}

static void teardown(void)
{
    destroy_parts();
}

/* ---- large groups ---- */

static struct value *add_stream(unsigned index, uint64_t pending_count)
{
    struct stream_groups *groups;
    struct stream_group *group;
    struct stream_consumer *consumer;
    struct value *value;

    ck_assert_int_eq(stream_value_create(fixture.own.streams, &value), 0);
    add_entries(&fixture.random, stream_value_stream(value));
    ck_assert_int_eq(stream_value_get_groups(value, fixture.own.groups, &groups), 0);
    ck_assert_int_eq(stream_groups_add(groups, SLICE_LITERAL("g"), STREAM_ID_MIN, &group), 0);
    consumer = some_consumer(&fixture.random, group);
    for (uint64_t i = 0; i < pending_count; i++) {
        struct stream_pending pending = { { i, i }, consumer, i, 1 };

        ck_assert_int_eq(stream_group_set_pending(group, &pending), 0);
    }
    (void)stream_value_recount(value);
    add_value(0, index, value);
    return value;
}

/* With a producer of so many iids. */
static struct value *add_produced(unsigned index, unsigned iid_count)
{
    struct stream_producers *producers;
    struct value *value = add_stream(index, 10);
    char text[TEST_NAME_BYTES];

    ck_assert_int_eq(
        stream_producers_create(stream_store_producers(fixture.own.streams), &producers), 0);
    stream_value_set_producers(value, producers);
    ck_assert_int_eq(stream_producers_configure(producers, 1, STREAM_IDMP_SIZE_MAX), 0);
    for (unsigned i = 0; i < iid_count; i++)
        ck_assert_int_eq(stream_producers_add(producers, SLICE_LITERAL("p"),
                                              numbered(text, "iid", i), (struct stream_id){ i, 0 },
                                              1000),
                         0);
    keyspace_account(fixture.own.keyspace, stream_value_recount(value));
    return value;
}

static struct stream_group *group_of(struct value *value)
{
    return stream_groups_find(stream_value_groups(value), SLICE_LITERAL("g"));
}

/* Records of that kind in the newest file. */
static unsigned count_records(enum checkpoint_record_kind kind)
{
    struct checkpoint_reader *reader;
    struct checkpoint_record record;
    struct checkpoint_info info;
    unsigned count = 0;
    char *path;

    checkpoint_get_info(fixture.checkpoint, &info);
    path = checkpoint_files_path(fixture.own.directory, info.number, false);
    ck_assert_int_eq(checkpoint_reader_open(os_real(), path, why, &reader), 0);
    while (checkpoint_reader_next(reader, &record) == 1)
        count += record.kind == kind;
    checkpoint_reader_close(reader);
    free(path);
    return count;
}

START_TEST(small_groups_and_producers_are_part_of_their_streams_record)
{
    (void)add_produced(0, 10);
    begin();
    ck_assert_int_eq(run(0), 0);
    ck_assert_uint_eq(count_records(CHECKPOINT_STREAM), 1);
    ck_assert_uint_eq(count_records(CHECKPOINT_GROUPS), 0);
    ck_assert_uint_eq(count_records(CHECKPOINT_PRODUCERS), 0);
    expect_after_crash();
}
END_TEST

/* More streams than may wait at a time; each loses pending entries, gets others and goes while its
 * groups are being written. */
START_TEST(large_groups_are_written_while_they_change)
{
    enum { STREAMS = 20, PENDING = 6000 };
    struct stream_pending pending;
    struct value *values[STREAMS];
    unsigned turns = 0;

    for (unsigned i = 0; i < STREAMS; i++)
        values[i] = add_stream(i, PENDING);
    begin();
    for (; step_now() == CHECKPOINT_SAVING; turns++) {
        unsigned index = turns % STREAMS;
        struct key *key = find(&fixture.own, 0, index);

        if (key && turns < 5 * STREAMS) {
            struct stream_group *group = group_of(values[index]);
            struct stream_id from = { below(PENDING), 0 };

            for (int i = 0; i < 100; i++)
                if (stream_group_next_pending(group, NULL, from, UINT64_MAX, &pending) == 1)
                    ck_assert_int_eq(stream_group_acknowledge(group, pending.id), 1);
            add_pending(&fixture.random, group);
        }
        if (key && turns % 7 == 0) keyspace_remove(fixture.own.keyspace, key);
        turn(0);
    }
    ck_assert_uint_gt(turns, 5);
    ck_assert_int_eq(run(0), 0);
    ck_assert_uint_eq(count_records(CHECKPOINT_STREAM), STREAMS);
    ck_assert_uint_gt(count_records(CHECKPOINT_GROUPS), 2 * STREAMS);
    expect_after_crash();
}
END_TEST

/* What they have known is too old and goes, all at once or by and by; new ones come; streams go. */
START_TEST(large_producers_are_written_while_they_change)
{
    enum { STREAMS = 8, IIDS = 9000 };
    struct value *values[STREAMS];
    unsigned turns = 0;

    for (unsigned i = 0; i < STREAMS; i++)
        values[i] = add_produced(i, IIDS);
    begin();
    for (; step_now() == CHECKPOINT_SAVING; turns++) {
        unsigned index = turns % STREAMS;
        struct key *key = find(&fixture.own, 0, index);
        struct stream_producers *producers = key ? stream_value_producers(values[index]) : NULL;
        char text[TEST_NAME_BYTES];

        if (producers) {
            ck_assert_int_eq(stream_producers_add(producers, SLICE_LITERAL("p"),
                                                  numbered(text, "new", turns),
                                                  (struct stream_id){ turns, 0 }, 3000),
                             0);
            (void)stream_producers_expire(producers, 3000, 1000);
        }
        if (producers && index == 3)
            ck_assert_int_eq(stream_producers_configure(producers, 9, 9), 0);
        if (key && turns % 7 == 0) keyspace_remove(fixture.own.keyspace, key);
        turn(0);
    }
    ck_assert_uint_gt(turns, 5);
    ck_assert_int_eq(run(0), 0);
    ck_assert_uint_eq(count_records(CHECKPOINT_STREAM), STREAMS);
    ck_assert_uint_gt(count_records(CHECKPOINT_PRODUCERS), 2 * STREAMS);
    expect_after_crash();
}
END_TEST

START_TEST(groups_that_wait_go_with_a_checkpoint_that_is_given_up)
{
    for (unsigned i = 0; i < 20; i++)
        (void)add_stream(i, 6000);
    begin();
    for (int i = 0; i < 5; i++)
        turn(0);
    checkpoint_abort(fixture.checkpoint, -ECANCELED);
    ck_assert_int_eq(run(0), -ECANCELED);
    while (stream_group_store_tick(fixture.own.groups, 100)) {}
    ck_assert_uint_lt(stream_group_store_memory_bytes(fixture.own.groups), 1000);
    begin();
    ck_assert_int_eq(run(0), 0);
    expect_after_crash();
}
END_TEST

/* ---- records that are not what they should be ---- */

static struct checkpoint_writer *writer;

static void put_record(enum checkpoint_record_kind kind, struct slice name, uint64_t value_size)
{
    const struct checkpoint_record record = { .kind = kind,
                                              .name_size = (uint32_t)name.size,
                                              .value_size = value_size,
                                              .expires_at_ms = -1 };

    checkpoint_writer_begin_record(writer, &record, name);
}

/* As a checkpoint without keys has it. */
static void put_store(void)
{
    struct checkpoint_load *load;
    struct slice state;

    ck_assert_int_eq(checkpoint_load_open(os_real(), fixture.own.directory, &load), 1);
    state = checkpoint_load_state(load);
    put_record(CHECKPOINT_STORE, (struct slice){ 0 }, state.size);
    checkpoint_writer_put(writer, state);
    checkpoint_load_close(load);
}

static void begin_file(void)
{
    struct checkpoint_head head = { 0 };

    if (last_number == 0) {
        begin();
        ck_assert_int_eq(run(0), 0);
        last_number = 1;
    }
    head.number = ++last_number;
    ck_assert_int_eq(checkpoint_writer_create(os_real(), fixture.own.io, fixture.own.directory,
                                              &head, NULL, NULL, &writer),
                     0);
    put_store();
}

static void put(void *context, struct slice bytes)
{
    (void)context;
    checkpoint_writer_put(writer, bytes);
}

/* An empty stream whose groups or producers are to follow, or not. */
static void put_stream_of(struct slice name, bool groups_follow, bool producers_follow)
{
    struct checkpoint_stream saved = { .groups_follow = groups_follow,
                                       .producers_follow = producers_follow };
    uint8_t head[CHECKPOINT_STREAM_BYTES];
    struct stream *stream;

    ck_assert_int_eq(stream_create(fixture.own.streams, &stream), 0);
    saved.entries_bytes = stream_image_size(stream);
    checkpoint_stream_write(&saved, head);
    put_record(CHECKPOINT_STREAM, name, sizeof(head) + saved.entries_bytes);
    put(NULL, slice_of(head, sizeof(head)));
    stream_image_write(stream, put, NULL);
    stream_destroy(stream);
}

static void put_stream(struct slice name, bool groups_follow)
{
    put_stream_of(name, groups_follow, false);
}

/* A picture of groups without any pending entry. */
static struct slice groups_image(void)
{
    static uint8_t bytes[1000];
    struct stream_groups_picture *picture;
    struct stream_groups *groups;
    struct stream_group *group;
    size_t size;

    ck_assert_int_eq(stream_groups_create(fixture.own.groups, &groups), 0);
    ck_assert_int_eq(stream_groups_add(groups, SLICE_LITERAL("g"), STREAM_ID_MIN, &group), 0);
    ck_assert_int_eq(stream_groups_picture_take(groups, &picture), 0);
    size = stream_groups_picture_read(picture, bytes, sizeof(bytes));
    ck_assert_uint_eq(size, stream_groups_picture_size(picture));
    stream_groups_picture_drop(picture);
    stream_groups_destroy(groups);
    return slice_of(bytes, size);
}

/* A picture of producers who have added one. */
static struct slice producers_image(void)
{
    static uint8_t bytes[1000];
    struct stream_producers_picture *picture;
    struct stream_producers *producers;
    size_t size;

    ck_assert_int_eq(
        stream_producers_create(stream_store_producers(fixture.own.streams), &producers), 0);
    ck_assert_int_eq(stream_producers_add(producers, SLICE_LITERAL("p"), SLICE_LITERAL("i"),
                                          (struct stream_id){ 1, 2 }, 3),
                     0);
    ck_assert_int_eq(stream_producers_picture_take(producers, &picture), 0);
    size = stream_producers_picture_read(picture, bytes, sizeof(bytes));
    ck_assert_uint_eq(size, stream_producers_picture_size(picture));
    stream_producers_picture_drop(picture);
    stream_producers_destroy(producers);
    return slice_of(bytes, size);
}

/* From offset on, so many bytes of the image. */
static void put_piece_of(enum checkpoint_record_kind kind, struct slice image, struct slice name,
                         uint64_t offset, size_t size)
{
    const struct checkpoint_piece piece = { offset, image.size };
    uint8_t head[CHECKPOINT_PIECE_BYTES];

    checkpoint_piece_write(&piece, head);
    put_record(kind, name, sizeof(head) + size);
    put(NULL, slice_of(head, sizeof(head)));
    put(NULL, slice_of(image.bytes + offset, size));
}

static void put_piece(struct slice name, uint64_t offset, size_t size)
{
    put_piece_of(CHECKPOINT_GROUPS, groups_image(), name, offset, size);
}

static void put_produced(struct slice name, uint64_t offset, size_t size)
{
    put_piece_of(CHECKPOINT_PRODUCERS, producers_image(), name, offset, size);
}

static int load_file(void)
{
    struct checkpoint_head head;
    struct parts copy;
    int rc;

    checkpoint_writer_finish(writer);
    while (checkpoint_writer_state(writer) == CHECKPOINT_WRITER_FINISHING)
        ck_assert_uint_gt(io_wait(fixture.own.io), 0);
    ck_assert_int_eq(checkpoint_writer_state(writer), CHECKPOINT_WRITER_DONE);
    checkpoint_writer_destroy(writer);
    rc = load_copy(&copy, &head, why);
    drop_copy(&copy);
    return rc;
}

static void expect_refused(const char *words)
{
    int rc = load_file();

    ck_assert_msg(rc == -EBADMSG && strstr(why, words), "%d: %s", rc, why);
    ck_assert_ptr_nonnull(strstr(why, "checkpoint-"));
}

#define A SLICE_LITERAL("a")
#define B SLICE_LITERAL("b")

START_TEST(pieces_that_are_all_there_in_order_are_taken)
{
    size_t size = groups_image().size;

    begin_file();
    put_stream(A, true);
    put_stream(B, true);
    for (size_t i = 0; i < size; i++)
        put_piece(B, i, 1);
    put_piece(A, 0, 10);
    put_piece(A, 10, size - 10);
    ck_assert_msg(load_file() == 1, "%s", why);
}
END_TEST

START_TEST(so_are_pieces_of_producers)
{
    size_t size = producers_image().size;

    begin_file();
    put_stream_of(A, true, true);
    put_stream_of(B, false, true);
    for (size_t i = 0; i < size; i++)
        put_produced(B, i, 1);
    put_piece(A, 0, groups_image().size);
    put_produced(A, 0, 10);
    put_produced(A, 10, size - 10);
    ck_assert_msg(load_file() == 1, "%s", why);
}
END_TEST

START_TEST(wrong_pieces_of_producers_are_noticed)
{
    size_t size = producers_image().size;

    begin_file();
    put_stream_of(A, true, true);
    put_produced(A, 0, size);
    expect_refused("groups or producers of a stream are missing");
    begin_file();
    put_stream_of(A, false, true);
    put_produced(A, 0, size - 1);
    expect_refused("groups or producers of a stream are missing");
    begin_file();
    put_stream_of(A, true, true);
    put_produced(A, 0, 5);
    put_piece_of(CHECKPOINT_GROUPS, producers_image(), A, 5, size - 5);
    expect_refused("not the next one");
    begin_file();
    put_stream_of(A, true, true);
    put_produced(A, 0, size);
    put_produced(A, 0, size);
    expect_refused("producers belong to no stream");
    begin_file();
    put_stream_of(A, false, true);
    put_piece_of(CHECKPOINT_PRODUCERS, groups_image(), A, 0, groups_image().size);
    expect_refused("producers are damaged");
}
END_TEST

START_TEST(pieces_that_are_missing_are_noticed)
{
    size_t size = groups_image().size;

    begin_file();
    put_stream(A, true);
    expect_refused("groups or producers of a stream are missing");
    begin_file();
    put_stream(A, true);
    put_piece(A, 0, size - 1);
    expect_refused("groups or producers of a stream are missing");
    begin_file();
    put_stream(A, true);
    put_piece(A, 1, size - 1);
    expect_refused("not the next one");
    begin_file();
    put_stream(A, true);
    put_piece(A, 0, 5);
    put_piece(A, 6, size - 6);
    expect_refused("not the next one");
}
END_TEST

START_TEST(pieces_of_nothing_are_noticed)
{
    size_t size = groups_image().size;

    begin_file();
    put_piece(A, 0, size);
    expect_refused("not the next one");
    begin_file();
    put_stream(A, false);
    put_piece(A, 0, size);
    expect_refused("not the next one");
    begin_file();
    put_stream(A, true);
    put_piece(B, 0, size);
    expect_refused("groups or producers belong to no stream");
    begin_file();
    put_stream(A, true);
    put_record(CHECKPOINT_STRING, B, 0);
    put_piece(B, 0, size);
    expect_refused("groups or producers belong to no stream");
    begin_file();
    put_stream(A, true);
    put_stream(B, true);
    put_piece(A, 0, 5);
    put_piece(B, 5, size - 5);
    expect_refused("not the next one");
    begin_file();
    put_stream(A, true);
    put_stream(B, true);
    put_piece(A, 0, size);
    put_piece(A, 0, size);
    expect_refused("groups or producers belong to no stream");
}
END_TEST

START_TEST(records_that_do_not_add_up_are_refused)
{
    static const uint8_t zeros[100];
    static const struct {
        enum checkpoint_record_kind kind;
        uint32_t flags, settings_bytes;
        uint64_t first, second; /* behind the flags */
        size_t size;
        const char *words;
    } rows[] = {
        { CHECKPOINT_STREAM, 0, 0, 0, 0, 10, "record is damaged" },
        { CHECKPOINT_STREAM, 4, 0, 0, 0, 80, "record is damaged" },
        { CHECKPOINT_STREAM, 2, 0, 10, 10, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 0, 0, 77, 0, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 0, 0, 60, 17, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 0, 0, UINT64_MAX, 2, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 1, 0, 10, 10, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 0, 0, 10, 0, 100, "entries are damaged" },
        { CHECKPOINT_STREAM, 0, 32, 77 - 32, 0, 100, "record is damaged" },
        { CHECKPOINT_STREAM, 0, 32, 10, 0, 100, "another version" },
        { CHECKPOINT_STREAM, 0, 1, 10, 0, 100, "settings are damaged" },
        { CHECKPOINT_STREAM, 0, 0, 76, 0, 100, "another version" },
        { CHECKPOINT_GROUPS, 0, 0, 0, 0, 10, "too short" },
        { CHECKPOINT_PRODUCERS, 0, 0, 0, 0, 10, "too short" },
        { CHECKPOINT_GROUPS, 0, 0, 0, 0, 16, "piece of a stream is damaged" },
        { CHECKPOINT_GROUPS, 0, 0, 0, 0, 20, "piece of a stream is damaged" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t head[CHECKPOINT_STREAM_BYTES] = { 0 };
        size_t size = rows[i].size < sizeof(head) ? rows[i].size : sizeof(head);

        store_u32le(head, rows[i].flags);
        store_u32le(head + 4, rows[i].settings_bytes);
        store_u64le(head + 8, rows[i].first);
        store_u64le(head + 16, rows[i].second);
        begin_file();
        put_stream(B, true);
        put_record(rows[i].kind, A, rows[i].size);
        put(NULL, slice_of(head, size));
        put(NULL, slice_of(zeros, rows[i].size - size));
        expect_refused(rows[i].words);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint of streams");
    TCase *tests = test_suite_case(suite, "groups", setup, teardown);
    TCase *records = test_suite_case(suite, "records", setup, teardown);

    tcase_add_test(tests, small_groups_and_producers_are_part_of_their_streams_record);
    tcase_add_test(tests, large_groups_are_written_while_they_change);
    tcase_add_test(tests, large_producers_are_written_while_they_change);
    tcase_add_test(tests, groups_that_wait_go_with_a_checkpoint_that_is_given_up);
    tcase_add_test(records, pieces_that_are_all_there_in_order_are_taken);
    tcase_add_test(records, so_are_pieces_of_producers);
    tcase_add_test(records, wrong_pieces_of_producers_are_noticed);
    tcase_add_test(records, pieces_that_are_missing_are_noticed);
    tcase_add_test(records, pieces_of_nothing_are_noticed);
    tcase_add_test(records, records_that_do_not_add_up_are_refused);
    return test_suite_run(suite);
}
