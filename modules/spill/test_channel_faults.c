/* Disks that fill up, fail and lie. Whatever happens, what was accepted is delivered or told of. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_channel_fixture.h"

enum { SMALL_MEMORY = SPILL_CHANNEL_MEMORY_BYTES_MIN, BACKLOG = 60 * 1000 };

static void expect_error_text(const char *part)
{
    char text[200];

    spill_channel_error(spill_receiver_channel(receiver), text, sizeof(text));
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part);
}

static uint64_t send_backlog(void)
{
    for (uint64_t i = 0; i < BACKLOG; i++)
        ck_assert_int_eq(send_u64(sender, i), 0);
    return BACKLOG;
}

START_TEST(every_system_call_of_opening_may_fail)
{
    struct spill_channel_options options = { .memory_bytes = SMALL_MEMORY };
    unsigned failures = 0;

    for (uint64_t nth = 1;; nth++) {
        fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        int rc = try_open(&options, &sender, &receiver);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (rc == 0) {
            /* Either nothing failed, or what did does not matter (a close). */
            ck_assert_int_eq(send_u64(sender, nth), 0);
            expect_u64(nth);
            spill_sender_close(sender);
            spill_receiver_close(receiver);
        } else {
            ck_assert_int_eq(rc, -EIO);
            ck_assert_ptr_null(sender);
            ck_assert_ptr_null(receiver);
            failures++;
        }
        sender = NULL;
        receiver = NULL;
        if (!has_fired) break;
    }
    ck_assert_uint_gt(failures, 4);
}
END_TEST

START_TEST(a_full_disk_refuses_and_goes_on_when_there_is_room)
{
    uint64_t sent, more;

    open_channel(SMALL_MEMORY, SPILL_CHANNEL_DISK_UNLIMITED);
    fault_set_disk(fault, fault_disk_used(fault) + (256 << 10));
    sent = fill_u64(0);
    ck_assert_uint_gt(sent, (256 << 10) / 16);
    ck_assert_uint_gt(info_now().write_errors, 0);
    ck_assert_uint_eq(info_now().message_count, sent);
    expect_error_text("No space left");
    /* Half of it goes; there is room for as much again. */
    for (uint64_t i = 0; i < sent / 2; i++)
        expect_u64(i);
    more = fill_u64(sent);
    ck_assert_uint_gt(more, sent / 8);
    fault_set_disk(fault, UINT64_MAX);
    for (uint64_t i = 0; i < BACKLOG; i++) {
        uint64_t value = sent + more + i;
        ck_assert_int_eq(
            spill_sender_send_wait(sender, slice_of(&value, sizeof(value)), SPILL_CHANNEL_FOREVER),
            0);
    }
    for (uint64_t i = sent / 2; i < sent + more + BACKLOG; i++)
        expect_u64(i);
    expect_nothing();
    check_sums();
}
END_TEST

/* Nobody drives the channel any more: the keeper comes back when the file has rested. */
START_TEST(an_idle_channel_gives_the_disk_back)
{
    enum { MESSAGES = 64 << 10, RESERVE = 20 << 20 };
    static uint8_t message[1000];
    uint64_t size;

    open_channel(1 << 20, SPILL_CHANNEL_DISK_UNLIMITED);
    for (unsigned i = 0; i < MESSAGES; i++) {
        ck_assert_int_eq(spill_sender_send_wait(sender, slice_of(message, sizeof(message)),
                                                SPILL_CHANNEL_FOREVER),
                         0);
    }
    ck_assert_uint_gt(fault_disk_used(fault), 2 * RESERVE);
    for (unsigned i = 0; i < MESSAGES * 9 / 10; i++) {
        ck_assert_int_eq(spill_receiver_receive(receiver, message, sizeof(message),
                                                SPILL_CHANNEL_FOREVER, &size),
                         1);
    }
    while (fault_disk_used(fault) > info_now().disk_bytes + RESERVE)
        usleep(1000);
}
END_TEST

START_TEST(a_disk_that_cannot_be_written_is_told_of)
{
    uint64_t sent = 0, value;
    int rc;

    open_channel(SMALL_MEMORY, 0);
    fault_fail(fault, FAULT_PWRITE, 1, EIO, FAULT_FROM_THEN_ON);
    while ((rc = send_u64(sender, sent)) == 0)
        sent++;
    ck_assert_int_eq(rc, -EIO);
    expect_error_text("could not be written");
    ck_assert_uint_eq(info_now().message_count, sent);
    value = sent;
    ck_assert_int_eq(send_patiently(sender, slice_of(&value, 8)), -EIO);
    /* What is in memory can be had. */
    expect_u64(0);
    fault_clear(fault);
    ck_assert_int_eq(spill_sender_send_wait(sender, slice_of(&value, 8), SPILL_CHANNEL_FOREVER), 0);
    for (uint64_t i = 1; i <= sent; i++)
        expect_u64(i);
    expect_nothing();
    check_sums();
}
END_TEST

/* Receives all up to count; the number of times that an error was told. */
static unsigned receive_despite_errors(uint64_t count, int error)
{
    unsigned errors = 0;
    uint64_t value;

    for (uint64_t i = 0; i < count;) {
        int rc = receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value);
        if (rc == 1) {
            ck_assert_uint_eq(value, i);
            i++;
            continue;
        }
        ck_assert_int_eq(rc, error);
        errors++;
        fault_clear(fault);
    }
    return errors;
}

START_TEST(a_failed_read_is_told_of_and_tried_again)
{
    uint64_t sent;

    open_channel(SMALL_MEMORY, 0);
    sent = send_backlog();
    fault_fail(fault, FAULT_PREAD, 1, EIO, FAULT_FROM_THEN_ON);
    ck_assert_uint_ge(receive_despite_errors(sent, -EIO), 1);
    expect_error_text("read failed");
    expect_nothing();
    ck_assert_uint_gt(info_now().read_errors, 0);
    check_sums();
}
END_TEST

START_TEST(a_flipped_bit_is_told_of_and_never_delivered)
{
    uint64_t sent;

    open_channel(SMALL_MEMORY, 0);
    sent = send_backlog();
    fault_flip(fault, 1, 100, 0x10, FAULT_FROM_THEN_ON);
    ck_assert_uint_ge(receive_despite_errors(sent, -EBADMSG), 1);
    expect_error_text("elements");
    expect_nothing();
    ck_assert_uint_gt(info_now().checksum_errors, 0);
    check_sums();
}
END_TEST

/* Damage that stays: the range that the error names is skipped, the rest is delivered. */
START_TEST(what_is_damaged_for_good_can_be_skipped)
{
    unsigned long long list, first, last;
    uint64_t sent, next = 0, value, skipped = 0;
    char text[200];
    int rc;

    open_channel(SMALL_MEMORY, 0);
    sent = send_backlog();
    fault_flip(fault, 1, 100, 0x10, FAULT_FROM_THEN_ON);
    while ((rc = receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value)) == 1)
        ck_assert_uint_eq(value, next++);
    ck_assert_int_eq(rc, -EBADMSG);
    /* Again and again, as long as it is there. */
    ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), -EBADMSG);
    spill_channel_error(spill_receiver_channel(receiver), text, sizeof(text));
    ck_assert_int_eq(sscanf(text, "list %llu, elements %llu to %llu", &list, &first, &last), 3);
    ck_assert_uint_eq(first, 0);
    fault_clear(fault);
    ck_assert_int_eq(spill_receiver_skip(receiver, last + 1), (int64_t)last + 1);
    skipped = last + 1;
    for (next += skipped; next < sent; next++)
        expect_u64(next);
    expect_nothing();
    ck_assert_uint_eq(info_now().skipped_count, skipped);
    check_sums();
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    uint64_t sent;

    open_channel(SMALL_MEMORY, 0);
    fault_limit_transfer(fault, 4096);
    sent = send_backlog();
    for (uint64_t i = 0; i < sent; i++)
        expect_u64(i);
    expect_nothing();
}
END_TEST

/* Closing with the disk failing, in each state of the two sides. */
START_TEST(closing_ends_whatever_the_disk_does)
{
    open_channel(SMALL_MEMORY, 0);
    (void)send_backlog();
    expect_u64(0);
    fault_fail(fault, _i == 0 ? FAULT_PWRITE : FAULT_PREAD, 1, EIO, FAULT_FROM_THEN_ON);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert(send_u64(sender, i) <= 0);
    if (_i % 2 == 0) {
        spill_receiver_close(receiver);
        ck_assert_int_eq(send_u64(sender, 0), -EPIPE);
        spill_sender_close(sender);
    } else {
        spill_sender_close(sender);
        spill_receiver_close(receiver);
    }
    sender = NULL;
    receiver = NULL;
    fault_clear(fault);
    open_channel(SMALL_MEMORY, 0);
    expect_nothing();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel_faults");
    TCase *tcase = test_suite_case(suite, "channel faults", setup, teardown);

    tcase_add_test(tcase, every_system_call_of_opening_may_fail);
    tcase_add_test(tcase, a_full_disk_refuses_and_goes_on_when_there_is_room);
    tcase_add_test(tcase, an_idle_channel_gives_the_disk_back);
    tcase_add_test(tcase, a_disk_that_cannot_be_written_is_told_of);
    tcase_add_test(tcase, a_failed_read_is_told_of_and_tried_again);
    tcase_add_test(tcase, a_flipped_bit_is_told_of_and_never_delivered);
    tcase_add_test(tcase, what_is_damaged_for_good_can_be_skipped);
    tcase_add_test(tcase, short_transfers_do_not_matter);
    tcase_add_loop_test(tcase, closing_ends_whatever_the_disk_does, 0, 2);
    return test_suite_run(suite);
}
