/* One thread at a time: what a channel takes, gives, refuses and tells. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_channel_fixture.h"

#include <sys/wait.h>

enum { SMALL_MEMORY = SPILL_CHANNEL_MEMORY_BYTES_MIN, BACKLOG = 100 * 1000 };

static void expect_text(const char *expected)
{
    struct spill_message *message;

    ck_assert_int_eq(spill_receiver_receive_copy(receiver, SPILL_CHANNEL_FOREVER, &message), 1);
    ck_assert_uint_eq(message->size, strlen(expected));
    ck_assert_int_eq(memcmp(message->bytes, expected, message->size), 0);
    free(message);
}

/* ---- order ----------------------------------------------------------------------------------- */

START_TEST(messages_come_out_as_they_went_in)
{
    open_channel(0, 0);
    ck_assert_int_eq(spill_sender_send(sender, SLICE_LITERAL("one")), 0);
    ck_assert_int_eq(spill_sender_send(sender, SLICE_LITERAL("")), 0);
    ck_assert_int_eq(spill_sender_send(sender, SLICE_LITERAL("three")), 0);
    expect_text("one");
    expect_text("");
    expect_text("three");
    expect_nothing();
    check_sums();
}
END_TEST

START_TEST(order_is_kept_across_memory_and_disk)
{
    struct spill_channel_info info;

    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    info = info_now();
    ck_assert_uint_eq(info.message_count, BACKLOG);
    ck_assert_uint_lt(info.message_count_in_memory, BACKLOG / 4);
    ck_assert_uint_gt(info.disk_bytes, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        expect_u64(i);
    expect_nothing();
    check_sums();
}
END_TEST

/* The backlog swings between memory and disk. */
START_TEST(order_is_kept_while_the_backlog_grows_and_shrinks)
{
    uint64_t sent = 0, received = 0;

    open_channel(SMALL_MEMORY, 0);
    for (unsigned swing = 0; swing < 12; swing++) {
        for (unsigned i = 0; i < 20000; i++)
            ck_assert_int_eq(send_u64(sender, sent++), 0);
        for (uint64_t keep = swing % 3 * 5000; sent - received > keep;)
            expect_u64(received++);
    }
    check_sums();
}
END_TEST

START_TEST(memory_is_bounded_while_the_backlog_grows)
{
    const uint64_t memory_bytes = _i == 0 ? SMALL_MEMORY : SMALL_MEMORY * 16;
    uint8_t bytes[1000] = { 0 };
    uint64_t most = 0;

    open_channel(memory_bytes, 0);
    for (unsigned i = 0; i < 20000; i++) {
        ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, i % sizeof(bytes))), 0);
        struct spill_channel_info info = info_now();
        if (info.memory_bytes > most) most = info.memory_bytes;
    }
    ck_assert_uint_le(most, memory_bytes + (128 << 10) + sizeof(bytes));
}
END_TEST

START_TEST(a_drained_channel_gives_its_disk_back)
{
    struct spill_channel_info info;

    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        expect_u64(i);
    do {
        expect_nothing();
        info = info_now();
    } while (info.disk_bytes > 0 || info.file_bytes > 0);
    ck_assert_uint_eq(info.message_count, 0);
}
END_TEST

/* ---- sizes ----------------------------------------------------------------------------------- */

START_TEST(a_message_above_the_limit_is_refused_unread)
{
    struct spill_channel_options options = { .memory_bytes = 1 << 20, .message_bytes_max = 1000 };
    static const uint8_t bytes[1001];

    ck_assert_int_eq(try_open(&options, &sender, &receiver), 0);
    ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, 1001)), -EMSGSIZE);
    /* Sizes beyond 32 bits, which a truncated comparison would let pass. */
    ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, (UINT64_C(1) << 32) + 4)),
                     -EMSGSIZE);
    ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, SIZE_MAX)), -EMSGSIZE);
    ck_assert_uint_eq(info_now().message_count, 0);
    ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, 1000)), 0);
    ck_assert_uint_eq(info_now().message_bytes, 1000);
}
END_TEST

START_TEST(a_message_that_does_not_fit_the_buffer_stays)
{
    uint8_t bytes[16];
    size_t size = 0;

    open_channel(0, 0);
    ck_assert_int_eq(spill_sender_send(sender, SLICE_LITERAL("seventeen letters")), 0);
    ck_assert_int_eq(spill_receiver_receive(receiver, bytes, 16, 0, &size), -EMSGSIZE);
    ck_assert_uint_eq(size, 17);
    ck_assert_uint_eq(info_now().message_count, 1);
    expect_text("seventeen letters");
}
END_TEST

START_TEST(empty_messages_are_messages)
{
    size_t size = 1;

    open_channel(SMALL_MEMORY, 0);
    for (unsigned i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(spill_sender_send(sender, slice_of(NULL, 0)), 0);
    ck_assert_uint_eq(info_now().message_count, BACKLOG);
    ck_assert_uint_eq(info_now().message_bytes, 0);
    for (unsigned i = 0; i < BACKLOG; i++) {
        ck_assert_int_eq(spill_receiver_receive(receiver, NULL, 0, SPILL_CHANNEL_FOREVER, &size),
                         1);
        ck_assert_uint_eq(size, 0);
    }
    expect_nothing();
}
END_TEST

START_TEST(large_messages_come_back_whole)
{
    const uint32_t size_max = SMALL_MEMORY / 2;
    struct spill_channel_options options = { .memory_bytes = SMALL_MEMORY,
                                             .message_bytes_max = size_max };
    uint8_t *bytes = malloc(size_max);

    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(try_open(&options, &sender, &receiver), 0);
    for (uint32_t i = 0; i < 200; i++) {
        memset(bytes, (int)i, size_max);
        ck_assert_int_eq(spill_sender_send(sender, slice_of(bytes, size_max - i)), 0);
    }
    for (uint32_t i = 0; i < 200; i++) {
        struct spill_message *message;
        memset(bytes, (int)i, size_max);
        ck_assert_int_eq(spill_receiver_receive_copy(receiver, SPILL_CHANNEL_FOREVER, &message), 1);
        ck_assert_uint_eq(message->size, size_max - i);
        ck_assert_int_eq(memcmp(message->bytes, bytes, message->size), 0);
        free(message);
    }
    free(bytes);
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------- */

START_TEST(many_are_sent_and_received_in_order)
{
    enum { COUNT = 5000, BATCH = 100 };
    static uint64_t values[COUNT], got[BATCH];
    static struct slice messages[COUNT];
    struct slice views[BATCH];
    uint64_t next = 0;
    size_t size;

    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        values[i] = i;
        messages[i] = slice_of(&values[i], 8);
    }
    ck_assert_int_eq(spill_sender_send_many(sender, messages, 0), 0);
    for (unsigned round = 0; round < 10; round++)
        ck_assert_int_eq(spill_sender_send_many(sender, messages, COUNT), COUNT);
    while (next < 10 * COUNT) {
        int64_t count = spill_receiver_receive_many(receiver, got, sizeof(got),
                                                    SPILL_CHANNEL_FOREVER, views, BATCH, &size);
        ck_assert_int_ge(count, 1);
        ck_assert_uint_eq(size, 8 * (uint64_t)count);
        for (int64_t i = 0; i < count; i++) {
            ck_assert_uint_eq(views[i].size, 8);
            ck_assert_ptr_eq(views[i].bytes, (uint8_t *)&got[i]);
            ck_assert_uint_eq(got[i], next++ % COUNT);
        }
    }
    expect_nothing();
    check_sums();
}
END_TEST

START_TEST(many_stop_before_the_first_that_is_refused)
{
    struct spill_channel_options options = { .message_bytes_max = 3 };
    struct slice messages[] = { SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("long"),
                                SLICE_LITERAL("c") };

    ck_assert_int_eq(try_open(&options, &sender, &receiver), 0);
    ck_assert_int_eq(spill_sender_send_many(sender, messages, 4), 2);
    ck_assert_int_eq(spill_sender_send_many(sender, messages + 2, 2), -EMSGSIZE);
    expect_text("a");
    expect_text("b");
    expect_nothing();
}
END_TEST

START_TEST(a_batch_ends_where_the_buffer_does)
{
    struct slice views[4];
    uint8_t bytes[5];
    size_t size;

    open_channel(0, 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(spill_sender_send(sender, SLICE_LITERAL("xy")), 0);
    ck_assert_int_eq(spill_receiver_receive_many(receiver, bytes, 5, 0, views, 4, &size), 2);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(spill_receiver_receive_many(receiver, bytes, 1, 0, views, 4, &size),
                     -EMSGSIZE);
    ck_assert_uint_eq(size, 2);
    ck_assert_int_eq(spill_receiver_receive_many(receiver, bytes, 5, 0, views, 4, &size), 1);
    ck_assert_int_eq(spill_receiver_receive_many(receiver, bytes, 5, 0, views, 4, &size), 0);
}
END_TEST

/* ---- full ------------------------------------------------------------------------------------ */

START_TEST(a_full_channel_refuses_and_keeps_what_it_took)
{
    uint64_t count, value, refused = 1;

    open_channel(SMALL_MEMORY, 256 << 10);
    count = fill_u64(0);
    ck_assert_uint_gt(count, (256 << 10) / 16);
    /* What does not fit as one large write may fit as a small one later: then it was taken. */
    while (refused <= 100) {
        if (send_u64(sender, count) == 0)
            count++;
        else
            refused++;
    }
    ck_assert_uint_eq(info_now().rejected_count, refused);
    ck_assert_uint_le(info_now().disk_bytes, 256 << 10);
    ck_assert_uint_eq(info_now().message_count, count);
    spill_sender_close(sender);
    sender = NULL;
    for (uint64_t i = 0; i < count; i++)
        expect_u64(i);
    ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), -EPIPE);
}
END_TEST

START_TEST(room_comes_back_while_a_full_channel_is_drained)
{
    uint64_t sent, received = 0, refused = 0;

    open_channel(SMALL_MEMORY, 128 << 10);
    sent = fill_u64(0);
    /* One thread: what is refused is tried again after each message received. */
    while (sent < BACKLOG) {
        expect_u64(received++);
        while (sent < BACKLOG && send_u64(sender, sent) == 0)
            sent++;
        refused++;
    }
    ck_assert_uint_gt(refused, 1000);
    while (received < sent)
        expect_u64(received++);
    expect_nothing();
    check_sums();
}
END_TEST

START_TEST(waiting_for_room_ends_with_its_time)
{
    int rc;

    open_channel(SMALL_MEMORY, 128 << 10);
    (void)fill_u64(0);
    /* What does not fit as one large write may fit as a small one later. */
    do
        rc = send_patiently(sender, SLICE_LITERAL("x"));
    while (rc == 0);
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_int_eq(spill_sender_send_wait(sender, SLICE_LITERAL("x"), 0), -ENOSPC);
    check_sums();
}
END_TEST

/* ---- closing --------------------------------------------------------------------------------- */

START_TEST(receivers_drain_what_gone_senders_left)
{
    struct spill_sender *clone;
    uint64_t value;

    open_channel(0, 0);
    ck_assert_int_eq(spill_sender_clone(sender, &clone), 0);
    ck_assert_int_eq(send_u64(clone, 1), 0);
    spill_sender_close(clone);
    ck_assert_int_eq(send_u64(sender, 2), 0);
    spill_sender_close(sender);
    sender = NULL;
    expect_u64(1);
    expect_u64(2);
    ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), -EPIPE);
    ck_assert_int_eq(receive_u64(receiver, 0, &value), -EPIPE);
}
END_TEST

START_TEST(senders_learn_that_no_receiver_is_left)
{
    struct spill_receiver *clone;
    struct slice message = SLICE_LITERAL("x");

    open_channel(SMALL_MEMORY, 0);
    ck_assert_int_eq(spill_receiver_clone(receiver, &clone), 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    spill_receiver_close(receiver);
    receiver = clone;
    expect_u64(0);
    spill_receiver_close(receiver);
    receiver = NULL;
    ck_assert_int_eq(send_u64(sender, 0), -EPIPE);
    ck_assert_int_eq(spill_sender_send_wait(sender, message, SPILL_CHANNEL_FOREVER), -EPIPE);
    ck_assert_int_eq(spill_sender_send_many(sender, &message, 1), -EPIPE);
    ck_assert_uint_eq(info_now().dropped_count, BACKLOG - 1);
    check_sums();
    /* Nobody calls any more, and yet the room on disk is given back. */
    while (info_now().disk_bytes > 0)
        (void)sched_yield();
}
END_TEST

START_TEST(a_channel_is_closed_with_messages_on_disk)
{
    struct spill_channel_options options = { .memory_bytes = SMALL_MEMORY };
    char path[200];

    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    spill_sender_close(sender);
    spill_receiver_close(receiver);
    sender = NULL;
    receiver = NULL;
    (void)snprintf(path, sizeof(path), "%s/orders/spill-00000001.dat", directory);
    ck_assert_int_eq(access(path, F_OK), -1);
    /* Nothing of it is there the next time. */
    ck_assert_int_eq(try_open(&options, &sender, &receiver), 0);
    expect_nothing();
    ck_assert_uint_eq(info_now().foreign_file_count, 0);
}
END_TEST

/* ---- directory and options ------------------------------------------------------------------- */

static void make_file(const char *name, const char *text)
{
    char path[300];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/orders", directory);
    ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    (void)snprintf(path, sizeof(path), "%s/orders/%s", directory, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static bool file_exists(const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof(path), "%s/orders/%s", directory, name);
    return access(path, F_OK) == 0;
}

START_TEST(foreign_files_are_reported_and_left_alone)
{
    make_file("notes.txt", "mine");
    make_file("spill-old.dat", "mine too");
    make_file("spill-00000007.dat", "of an earlier life");
    open_channel(0, 0);
    ck_assert_uint_eq(info_now().foreign_file_count, 2);
    ck_assert(strcmp(spill_channel_foreign_file(spill_sender_channel(sender)), "notes.txt") == 0 ||
              strcmp(spill_channel_foreign_file(spill_sender_channel(sender)), "spill-old.dat") ==
                  0);
    ck_assert(!file_exists("spill-00000007.dat"));
    spill_sender_close(sender);
    spill_receiver_close(receiver);
    sender = NULL;
    receiver = NULL;
    ck_assert(file_exists("notes.txt"));
    ck_assert(file_exists("spill-old.dat"));
}
END_TEST

START_TEST(something_foreign_in_our_place_is_refused)
{
    struct spill_channel_options options = { 0 };
    char path[300];

    make_file("notes.txt", "");
    (void)snprintf(path, sizeof(path), "%s/orders/spill-00000001.dat", directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(try_open(&options, &sender, &receiver), -EEXIST);
    ck_assert(file_exists("spill-00000001.dat"));
}
END_TEST

START_TEST(a_directory_belongs_to_one_channel)
{
    struct spill_channel_options options = { .name = "other" };
    struct spill_sender *s = NULL;
    struct spill_receiver *r = NULL;

    open_channel(0, 0);
    ck_assert_int_eq(try_open(&(struct spill_channel_options){ 0 }, &s, &r), -EWOULDBLOCK);
    ck_assert_ptr_null(s);
    ck_assert_int_eq(try_open(&options, &s, &r), 0);
    ck_assert_str_eq(spill_channel_name(spill_sender_channel(s)), "other");
    ck_assert_ptr_eq(spill_sender_channel(s), spill_receiver_channel(r));
    spill_sender_close(s);
    spill_receiver_close(r);
    /* The first one is as it was. */
    ck_assert_int_eq(send_u64(sender, 7), 0);
    expect_u64(7);
}
END_TEST

/* The second process starts from nothing: after fork it has no handle of the first. */
START_TEST(a_second_process_is_refused)
{
    int to_child[2], status;
    char go = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(to_child), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct spill_channel_options options = { .directory = directory, .name = "orders" };
        struct spill_sender *s;
        struct spill_receiver *r;
        if (read(to_child[0], &go, 1) != 1) _exit(2);
        int rc = spill_channel_open(os_real(), &options, &s, &r);
        _exit(rc == -EWOULDBLOCK ? 0 : 1);
    }
    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    ck_assert_int_eq(write(to_child[1], &go, 1), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(to_child[0]);
    close(to_child[1]);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        expect_u64(i);
}
END_TEST

START_TEST(options_that_contradict_are_refused)
{
    char long_name[SPILL_CHANNEL_NAME_BYTES_MAX + 2];
    const struct spill_channel_options wrong[] = {
        { .name = "" },
        { .name = "." },
        { .name = ".." },
        { .name = "a/b" },
        { .name = long_name },
        { .memory_bytes = 1 },
        { .memory_bytes = SMALL_MEMORY - 1 },
        { .memory_bytes = SMALL_MEMORY, .message_bytes_max = SMALL_MEMORY / 2 + 1 },
        { .memory_bytes = UINT64_C(1) << 40, .message_bytes_max = (UINT64_C(1) << 30) + 1 },
        { .message_bytes_max = UINT64_C(1) << 32 },
    };
    struct spill_channel_options nowhere = { .directory = "/nonexistent/place", .name = "a" };

    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = 0;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_int_eq(try_open(&wrong[i], &sender, &receiver), -EINVAL);
    ck_assert_int_eq(spill_channel_open(os_real(), &nowhere, &sender, &receiver), -ENOENT);
    long_name[SPILL_CHANNEL_NAME_BYTES_MAX] = 0;
    ck_assert_int_eq(
        try_open(&(struct spill_channel_options){ .name = long_name }, &sender, &receiver), 0);
}
END_TEST

START_TEST(defaults_are_bounded)
{
    struct spill_channel_info info;

    open_channel(0, 0);
    info = info_now();
    ck_assert_uint_eq(info.memory_bytes_max, 1 << 20);
    ck_assert_uint_gt(info.disk_bytes_max, 0);
    ck_assert_uint_lt(info.disk_bytes_max, UINT64_C(1) << 60);
    ck_assert_uint_eq(info.sender_count, 1);
    ck_assert_uint_eq(info.receiver_count, 1);
}
END_TEST

START_TEST(messages_can_be_skipped_unread)
{
    open_channel(SMALL_MEMORY, 0);
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    ck_assert_int_eq(spill_receiver_skip(receiver, BACKLOG / 2 + 1), BACKLOG / 2 + 1);
    for (uint64_t i = BACKLOG / 2 + 1; i < BACKLOG; i++)
        expect_u64(i);
    ck_assert_int_eq(spill_receiver_skip(receiver, 1), 0);
    check_sums();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel");
    TCase *tcase = test_suite_case(suite, "channel", setup, teardown);

    tcase_add_test(tcase, messages_come_out_as_they_went_in);
    tcase_add_test(tcase, order_is_kept_across_memory_and_disk);
    tcase_add_test(tcase, order_is_kept_while_the_backlog_grows_and_shrinks);
    tcase_add_loop_test(tcase, memory_is_bounded_while_the_backlog_grows, 0, 2);
    tcase_add_test(tcase, a_drained_channel_gives_its_disk_back);
    tcase_add_test(tcase, a_message_above_the_limit_is_refused_unread);
    tcase_add_test(tcase, a_message_that_does_not_fit_the_buffer_stays);
    tcase_add_test(tcase, empty_messages_are_messages);
    tcase_add_test(tcase, large_messages_come_back_whole);
    tcase_add_test(tcase, many_are_sent_and_received_in_order);
    tcase_add_test(tcase, many_stop_before_the_first_that_is_refused);
    tcase_add_test(tcase, a_batch_ends_where_the_buffer_does);
    tcase_add_test(tcase, a_full_channel_refuses_and_keeps_what_it_took);
    tcase_add_test(tcase, room_comes_back_while_a_full_channel_is_drained);
    tcase_add_test(tcase, waiting_for_room_ends_with_its_time);
    tcase_add_test(tcase, receivers_drain_what_gone_senders_left);
    tcase_add_test(tcase, senders_learn_that_no_receiver_is_left);
    tcase_add_test(tcase, a_channel_is_closed_with_messages_on_disk);
    tcase_add_test(tcase, foreign_files_are_reported_and_left_alone);
    tcase_add_test(tcase, something_foreign_in_our_place_is_refused);
    tcase_add_test(tcase, a_directory_belongs_to_one_channel);
    tcase_add_test(tcase, a_second_process_is_refused);
    tcase_add_test(tcase, options_that_contradict_are_refused);
    tcase_add_test(tcase, defaults_are_bounded);
    tcase_add_test(tcase, messages_can_be_skipped_unread);
    return test_suite_run(suite);
}
