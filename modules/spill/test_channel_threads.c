/* Many threads on one channel: nothing lost, nothing doubled, each sender's order kept, nobody left
 * asleep. Run under TSan too. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_channel_fixture.h"

#include <stdatomic.h>

enum {
    SMALL_MEMORY = SPILL_CHANNEL_MEMORY_BYTES_MIN,
    SENDERS = 4,
    EACH = 20 * 1000, /* messages of a sender */
};

/* A message tells its sender and its place among that sender's. */
static uint64_t stamp(uint64_t number, uint64_t index)
{
    return number << 32 | index;
}

struct sending {
    struct spill_sender *sender;
    uint64_t number, count;
    uint64_t refused;
    bool waits; /* for room; else it tries again */
};

/* Sends its messages, whatever it takes, and closes its handle. */
static void *send_stamped(void *argument)
{
    struct sending *sending = argument;

    for (uint64_t i = 0; i < sending->count; i++) {
        uint64_t value = stamp(sending->number, i);
        struct slice message = slice_of(&value, sizeof(value));
        int rc;
        if (sending->waits) {
            rc = spill_sender_send_wait(sending->sender, message, SPILL_CHANNEL_FOREVER);
        } else {
            while ((rc = spill_sender_send(sending->sender, message)) == -ENOSPC)
                sending->refused++;
        }
        ck_assert_int_eq(rc, 0);
    }
    spill_sender_close(sending->sender);
    return NULL;
}

static void start_senders(struct sending *sendings, pthread_t *threads, unsigned count, bool waits)
{
    for (unsigned i = 0; i < count; i++) {
        sendings[i] = (struct sending){ .number = i, .count = EACH, .waits = waits };
        ck_assert_int_eq(spill_sender_clone(sender, &sendings[i].sender), 0);
        start_thread(&threads[i], send_stamped, &sendings[i]);
    }
    spill_sender_close(sender);
    sender = NULL;
}

/* The next of that sender has come. */
static void expect_next(uint64_t *next, uint64_t value)
{
    uint64_t number = value >> 32, index = value & UINT32_MAX;

    ck_assert_uint_lt(number, SENDERS);
    ck_assert_uint_eq(index, next[number]);
    next[number]++;
}

/* Until the senders have gone. */
static void receive_stamped(uint64_t *next)
{
    uint64_t value;
    int rc;

    while ((rc = receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value)) == 1)
        expect_next(next, value);
    ck_assert_int_eq(rc, -EPIPE);
}

static void run_senders_and_one_receiver(bool waits)
{
    struct sending sendings[SENDERS];
    pthread_t threads[SENDERS];
    uint64_t next[SENDERS] = { 0 };

    start_senders(sendings, threads, SENDERS, waits);
    receive_stamped(next);
    for (unsigned i = 0; i < SENDERS; i++) {
        join_thread(threads[i]);
        ck_assert_uint_eq(next[i], EACH);
    }
    check_sums();
}

START_TEST(each_senders_order_is_kept_with_little_memory)
{
    open_channel(SMALL_MEMORY, 0);
    run_senders_and_one_receiver(false);
}
END_TEST

START_TEST(each_senders_order_is_kept_while_the_channel_is_full_again_and_again)
{
    open_channel(SMALL_MEMORY, 96 << 10);
    run_senders_and_one_receiver(_i != 0);
}
END_TEST

/* ---- the schedule that loses messages in the reference ----------------------------------------
 */

/* Fill to Full; then the receiver drains while the sender tries again at Full. */
START_TEST(a_sender_that_retries_at_full_loses_nothing)
{
    enum { TOTAL = 230325 }; /* as many as there */
    struct sending sending;
    struct spill_channel_info info;
    pthread_t thread;
    uint64_t filled, value, received = 0;
    int rc;

    open_channel(SMALL_MEMORY, 1 << 20);
    filled = fill_u64(0);
    ck_assert_uint_gt(filled, (1 << 20) / 16);
    ck_assert_uint_lt(filled, TOTAL / 2);
    /* All of it can be received, without anything being flushed. */
    ck_assert_uint_eq(info_now().message_count, filled);
    sending = (struct sending){ .sender = sender, .count = TOTAL - filled, .number = 1 };
    sender = NULL;
    start_thread(&thread, send_stamped, &sending);
    while (info_now().rejected_count < 2) /* the one that ended filling, and its first */
        (void)sched_yield();
    while ((rc = receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value)) == 1) {
        ck_assert_uint_eq(value, received < filled ? received : stamp(1, received - filled));
        received++;
    }
    ck_assert_int_eq(rc, -EPIPE);
    join_thread(thread);
    ck_assert_uint_eq(received, TOTAL);
    ck_assert_uint_gt(sending.refused, 0);
    info = info_now();
    ck_assert_uint_eq(info.rejected_count, sending.refused + 1);
    ck_assert_uint_eq(info.message_count, 0);
    ck_assert_uint_eq(info.write_errors + info.read_errors + info.checksum_errors, 0);
}
END_TEST

/* ---- several receivers ------------------------------------------------------------------------
 */

struct receiving {
    struct spill_receiver *receiver;
    uint64_t *counts; /* by sender and index: how often received */
    uint64_t total;
};

/* Of one sender a receiver sees a part, in order. */
static void *receive_some(void *argument)
{
    struct receiving *receiving = argument;
    uint64_t last[SENDERS] = { 0 }, values[16];
    struct slice views[16];
    int64_t count;
    size_t size;

    while ((count = spill_receiver_receive_many(receiving->receiver, values, sizeof(values),
                                                SPILL_CHANNEL_FOREVER, views, 16, &size)) > 0) {
        for (int64_t i = 0; i < count; i++) {
            uint64_t number = values[i] >> 32, index = values[i] & UINT32_MAX;
            ck_assert_uint_lt(number, SENDERS);
            ck_assert_uint_lt(index, EACH);
            ck_assert_uint_ge(index, last[number]);
            last[number] = index + 1;
            receiving->counts[number * EACH + index]++;
        }
        receiving->total += (uint64_t)count;
    }
    ck_assert_int_eq(count, -EPIPE);
    spill_receiver_close(receiving->receiver);
    return NULL;
}

START_TEST(several_receivers_share_the_messages)
{
    enum { RECEIVERS = 3 };
    struct sending sendings[SENDERS];
    struct receiving receivings[RECEIVERS];
    pthread_t senders[SENDERS], receivers[RECEIVERS];
    uint64_t total = 0;

    open_channel(SMALL_MEMORY, 0);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        receivings[i].counts = calloc(SENDERS * EACH, sizeof(uint64_t));
        receivings[i].total = 0;
        ck_assert_ptr_nonnull(receivings[i].counts);
        ck_assert_int_eq(spill_receiver_clone(receiver, &receivings[i].receiver), 0);
        start_thread(&receivers[i], receive_some, &receivings[i]);
    }
    start_senders(sendings, senders, SENDERS, false);
    for (unsigned i = 0; i < SENDERS; i++)
        join_thread(senders[i]);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        join_thread(receivers[i]);
        total += receivings[i].total;
    }
    ck_assert_uint_eq(total, SENDERS * EACH);
    for (unsigned k = 0; k < SENDERS * EACH; k++) {
        uint64_t times = 0;
        for (unsigned i = 0; i < RECEIVERS; i++)
            times += receivings[i].counts[k];
        ck_assert_uint_eq(times, 1);
    }
    for (unsigned i = 0; i < RECEIVERS; i++)
        free(receivings[i].counts);
}
END_TEST

/* ---- whoever sleeps is woken ------------------------------------------------------------------
 */

struct waiting {
    struct spill_receiver *receiver;
    struct spill_sender *sender;
    atomic_bool has_begun;
    int rc;
    uint64_t value;
};

static void *wait_for_message(void *argument)
{
    struct waiting *waiting = argument;

    atomic_store(&waiting->has_begun, true);
    waiting->rc = receive_u64(waiting->receiver, SPILL_CHANNEL_FOREVER, &waiting->value);
    return NULL;
}

static void *wait_for_room(void *argument)
{
    struct waiting *waiting = argument;
    struct slice message = slice_of(&waiting->value, sizeof(waiting->value));

    atomic_store(&waiting->has_begun, true);
    waiting->rc = spill_sender_send_wait(waiting->sender, message, SPILL_CHANNEL_FOREVER);
    return NULL;
}

/* It is about to sleep, if it does not already; both must end well. */
static void start_waiting(pthread_t *thread, void *(*run)(void *), struct waiting *waiting)
{
    start_thread(thread, run, waiting);
    while (!atomic_load(&waiting->has_begun))
        (void)sched_yield();
    usleep(1000); /* only makes the sleep likely */
}

START_TEST(a_message_wakes_a_receiver)
{
    struct waiting waiting = { 0 };
    pthread_t thread;

    open_channel(0, 0);
    waiting.receiver = receiver;
    start_waiting(&thread, wait_for_message, &waiting);
    ck_assert_int_eq(send_u64(sender, 5), 0);
    join_thread(thread);
    ck_assert_int_eq(waiting.rc, 1);
    ck_assert_uint_eq(waiting.value, 5);
}
END_TEST

START_TEST(the_last_sender_wakes_all_receivers)
{
    struct waiting waiting[2] = { 0 };
    pthread_t threads[2];

    open_channel(0, 0);
    for (unsigned i = 0; i < 2; i++) {
        waiting[i].receiver = receiver;
        start_waiting(&threads[i], wait_for_message, &waiting[i]);
    }
    spill_sender_close(sender);
    sender = NULL;
    for (unsigned i = 0; i < 2; i++) {
        join_thread(threads[i]);
        ck_assert_int_eq(waiting[i].rc, -EPIPE);
    }
}
END_TEST

/* Until nothing more is taken, however long one waits: it is full beyond doubt. */
static void fill_to_the_brim(void)
{
    int rc;

    (void)fill_u64(0);
    do
        rc = send_patiently(sender, SLICE_LITERAL("12345678"));
    while (rc == 0);
    ck_assert_int_eq(rc, -ENOSPC);
}

START_TEST(room_wakes_a_sender)
{
    struct waiting waiting = { .value = UINT64_MAX };
    pthread_t thread;
    uint64_t value;

    open_channel(SMALL_MEMORY, 96 << 10);
    fill_to_the_brim();
    waiting.sender = sender;
    start_waiting(&thread, wait_for_room, &waiting);
    do
        ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), 1);
    while (value != UINT64_MAX);
    join_thread(thread);
    ck_assert_int_eq(waiting.rc, 0);
}
END_TEST

START_TEST(the_last_receiver_wakes_senders_that_wait_for_room)
{
    struct waiting waiting[2] = { 0 };
    pthread_t threads[2];

    open_channel(SMALL_MEMORY, 96 << 10);
    fill_to_the_brim();
    for (unsigned i = 0; i < 2; i++) {
        waiting[i].sender = sender;
        start_waiting(&threads[i], wait_for_room, &waiting[i]);
    }
    spill_receiver_close(receiver);
    receiver = NULL;
    for (unsigned i = 0; i < 2; i++) {
        join_thread(threads[i]);
        /* A last one may have found room before the receiver went. */
        ck_assert(waiting[i].rc == -EPIPE || waiting[i].rc == 0);
    }
    ck_assert_int_eq(send_u64(sender, 1), -EPIPE);
}
END_TEST

/* All that was accepted reaches a receiver that was waiting from the start, though the channel
 * fills up behind it: what is accepted is visible at once. */
START_TEST(a_receiver_that_waits_sees_what_a_full_channel_holds)
{
    struct waiting waiting = { 0 };
    pthread_t thread;
    uint64_t filled;

    open_channel(SMALL_MEMORY, 96 << 10);
    waiting.receiver = receiver;
    start_waiting(&thread, wait_for_message, &waiting);
    filled = fill_u64(0);
    join_thread(thread);
    ck_assert_int_eq(waiting.rc, 1);
    ck_assert_uint_eq(waiting.value, 0);
    /* The sender is silent from now on. */
    for (uint64_t i = 1; i < filled; i++)
        expect_u64(i);
    expect_nothing();
}
END_TEST

START_TEST(handles_come_and_go_while_messages_flow)
{
    struct sending sending;
    pthread_t thread;
    uint64_t value, next = 0;

    open_channel(SMALL_MEMORY, 0);
    sending = (struct sending){ .sender = sender, .count = EACH };
    sender = NULL;
    start_thread(&thread, send_stamped, &sending);
    while (next < EACH) {
        struct spill_receiver *clone;
        struct spill_channel_info info;
        ck_assert_int_eq(spill_receiver_clone(receiver, &clone), 0);
        for (unsigned i = 0; i < 50 && next < EACH; i++) {
            ck_assert_int_eq(receive_u64(clone, SPILL_CHANNEL_FOREVER, &value), 1);
            ck_assert_uint_eq(value, next++);
        }
        info = info_now();
        ck_assert_uint_eq(info.receiver_count, 2);
        ck_assert_uint_eq(info.received_count, next);
        spill_receiver_close(receiver);
        receiver = clone;
    }
    join_thread(thread);
    ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), -EPIPE);
}
END_TEST

START_TEST(timeouts_end_and_take_nothing)
{
    uint64_t value;

    open_channel(0, 0);
    ck_assert_int_eq(receive_u64(receiver, 1000, &value), 0);
    ck_assert_int_eq(receive_u64(receiver, 0, &value), 0);
    ck_assert_int_eq(send_u64(sender, 9), 0);
    /* So far ahead that it would overflow. */
    ck_assert_int_eq(receive_u64(receiver, INT64_MAX, &value), 1);
    ck_assert_uint_eq(value, 9);
    ck_assert_int_eq(spill_sender_send_wait(sender, SLICE_LITERAL("12345678"), INT64_MAX), 0);
    ck_assert_int_eq(receive_u64(receiver, 1000, &value), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel_threads");
    TCase *tcase = test_suite_case(suite, "channel threads", setup, teardown);

    tcase_add_test(tcase, each_senders_order_is_kept_with_little_memory);
    tcase_add_loop_test(tcase, each_senders_order_is_kept_while_the_channel_is_full_again_and_again,
                        0, 2);
    tcase_add_test(tcase, a_sender_that_retries_at_full_loses_nothing);
    tcase_add_test(tcase, several_receivers_share_the_messages);
    tcase_add_test(tcase, a_message_wakes_a_receiver);
    tcase_add_test(tcase, the_last_sender_wakes_all_receivers);
    tcase_add_test(tcase, room_wakes_a_sender);
    tcase_add_test(tcase, the_last_receiver_wakes_senders_that_wait_for_room);
    tcase_add_test(tcase, a_receiver_that_waits_sees_what_a_full_channel_holds);
    tcase_add_test(tcase, handles_come_and_go_while_messages_flow);
    tcase_add_test(tcase, timeouts_end_and_take_nothing);
    return test_suite_run(suite);
}
