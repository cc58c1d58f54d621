/* Turns, timers, signals, descriptors. */
#include "server/net/loop.h"
#include "modules/base/clock.h"
#include "modules/base/test_suite.h"
#include <check.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct loop_timer *timer;
    unsigned fired, waits, fired_wanted;
    int pipe[2];
    uint64_t last_us;
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    ck_assert_int_eq(loop_create(&fixture.loop), 0);
    ck_assert_int_eq(pipe(fixture.pipe), 0);
}

static void tear_down(void)
{
    loop_timer_destroy(fixture.timer);
    loop_destroy(fixture.loop);
    ck_assert_int_eq(close(fixture.pipe[0]), 0);
    ck_assert_int_eq(close(fixture.pipe[1]), 0);
}

static void count_and_stop(void *context)
{
    (void)context;
    if (++fixture.fired >= fixture.fired_wanted) loop_stop(fixture.loop);
}

static void run_until_fired(unsigned count)
{
    fixture.fired = 0;
    fixture.fired_wanted = count;
    ck_assert_int_eq(loop_run(fixture.loop, NULL, NULL), 0);
    ck_assert_uint_eq(fixture.fired, count);
}

static void count_only(void *context)
{
    (*(unsigned *)context)++;
}

START_TEST(timers_fire_once_in_the_order_of_their_times)
{
    struct loop_timer *sooner;
    unsigned sooner_fired = 0;

    ck_assert_int_eq(loop_timer_create(fixture.loop, count_and_stop, NULL, &fixture.timer), 0);
    ck_assert_int_eq(loop_timer_create(fixture.loop, count_only, &sooner_fired, &sooner), 0);
    loop_timer_arm(fixture.timer, 20000, false);
    loop_timer_arm(sooner, 1000, false);
    run_until_fired(1);
    ck_assert_uint_eq(sooner_fired, 1);
    loop_timer_arm(fixture.timer, 1000, false); /* and again when armed again */
    run_until_fired(1);
    ck_assert_uint_eq(sooner_fired, 1);
    loop_timer_destroy(sooner);
}
END_TEST

START_TEST(a_repeating_timer_fires_until_disarmed)
{
    struct loop_timer *other;

    ck_assert_int_eq(loop_timer_create(fixture.loop, count_and_stop, NULL, &fixture.timer), 0);
    ck_assert_int_eq(loop_timer_create(fixture.loop, count_and_stop, NULL, &other), 0);
    loop_timer_arm(fixture.timer, 1000, true);
    run_until_fired(5);
    loop_timer_disarm(fixture.timer);
    loop_timer_arm(other, 20000, false);
    run_until_fired(1); /* the other one's */
    loop_timer_destroy(other);
}
END_TEST

static void destroy_itself(void *context)
{
    (void)context;
    loop_timer_destroy(fixture.timer);
    fixture.timer = NULL;
    loop_stop(fixture.loop);
}

START_TEST(a_timer_may_destroy_itself)
{
    ck_assert_int_eq(loop_timer_create(fixture.loop, destroy_itself, NULL, &fixture.timer), 0);
    loop_timer_arm(fixture.timer, 1000, true);
    ck_assert_int_eq(loop_run(fixture.loop, NULL, NULL), 0);
    ck_assert_ptr_null(fixture.timer);
}
END_TEST

static int64_t stop_after_ten(void *context)
{
    if (++fixture.waits == 10) loop_stop(fixture.loop);
    return *(int64_t *)context;
}

START_TEST(turns_go_on_without_events_when_no_or_little_sleep_is_allowed)
{
    int64_t waits_us[] = { 0, 1, 1500 };

    ck_assert_int_eq(loop_run(fixture.loop, stop_after_ten, &waits_us[_i]), 0);
    ck_assert_uint_eq(fixture.waits, 10);
}
END_TEST

/* The first wait, of an hour, is ended by a timer; the next ones are short. */
static int64_t long_then_short(void *context)
{
    (void)context;
    if (++fixture.waits == 10) loop_stop(fixture.loop);
    return fixture.waits == 1 ? (int64_t)3600 * 1000000 : 1500;
}

START_TEST(a_short_wait_is_short_after_one_that_might_have_been_long)
{
    unsigned fired = 0;

    ck_assert_int_eq(loop_timer_create(fixture.loop, count_only, &fired, &fixture.timer), 0);
    loop_timer_arm(fixture.timer, 1000, false);
    ck_assert_int_eq(loop_run(fixture.loop, long_then_short, NULL), 0);
    ck_assert_uint_eq(fixture.waits, 10);
    ck_assert_uint_eq(fired, 1);
}
END_TEST

static void disarm(void *timer)
{
    loop_timer_disarm(timer);
    loop_stop(fixture.loop);
}

START_TEST(a_timer_disarmed_when_it_was_due_does_not_fire)
{
    struct loop_timer *timers[2];
    int64_t at_once = 0;
    unsigned fired = 0;

    ck_assert_int_eq(loop_timer_create(fixture.loop, count_only, &fired, &timers[1]), 0);
    ck_assert_int_eq(loop_timer_create(fixture.loop, disarm, timers[1], &timers[0]), 0);
    loop_timer_arm(timers[0], 0, false); /* both ring before the loop looks */
    loop_timer_arm(timers[1], 0, false);
    ck_assert_int_eq(loop_run(fixture.loop, NULL, NULL), 0);
    ck_assert_int_eq(loop_run(fixture.loop, stop_after_ten, &at_once), 0);
    ck_assert_uint_eq(fired, 0);
    loop_timer_destroy(timers[0]);
    loop_timer_destroy(timers[1]);
}
END_TEST

START_TEST(a_stop_before_the_run_ends_it)
{
    int64_t any_time = -1;

    loop_stop(fixture.loop);
    ck_assert_int_eq(loop_run(fixture.loop, stop_after_ten, &any_time), 0);
    ck_assert_uint_eq(fixture.waits, 0);
}
END_TEST

static void read_byte(void *context)
{
    char byte;

    ck_assert_int_eq(read(fixture.pipe[0], &byte, 1), 1);
    if (byte == 'r') loop_remove_readable(fixture.loop, fixture.pipe[0]);
    count_and_stop(context);
}

START_TEST(readable_is_called_until_removed)
{
    ck_assert_int_eq(loop_on_readable(fixture.loop, fixture.pipe[0], read_byte, NULL), 0);
    ck_assert_int_eq(write(fixture.pipe[1], "abr", 3), 3);
    run_until_fired(3);
    ck_assert_int_eq(write(fixture.pipe[1], "c", 1), 1);
    ck_assert_int_eq(loop_timer_create(fixture.loop, count_and_stop, NULL, &fixture.timer), 0);
    loop_timer_arm(fixture.timer, 5000, false);
    run_until_fired(1); /* the timer: the byte is not looked at */
}
END_TEST

static void on_signal(void *context, int number)
{
    *(int *)context = number;
    loop_stop(fixture.loop);
}

START_TEST(a_signal_is_handled_in_a_turn)
{
    int seen = 0;

    ck_assert_int_eq(loop_on_signal(fixture.loop, SIGUSR1, on_signal, &seen), 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(seen, 0); /* not in the signal handler */
    ck_assert_int_eq(loop_run(fixture.loop, NULL, NULL), 0);
    ck_assert_int_eq(seen, SIGUSR1);
}
END_TEST

static int64_t same_clock_twice(void *context)
{
    uint64_t us = loop_now_us(fixture.loop);
    int64_t ms = loop_now_ms(fixture.loop);

    (void)context;
    for (uint64_t begin = clock_monotonic_us(); clock_monotonic_us() < begin + 2000;) {
        ck_assert_uint_eq(loop_now_us(fixture.loop), us);
        ck_assert_int_eq(loop_now_ms(fixture.loop), ms);
    }
    ck_assert_uint_gt(us, fixture.last_us);
    fixture.last_us = us;
    if (++fixture.waits == 3) loop_stop(fixture.loop);
    return 0;
}

START_TEST(the_clock_stands_still_within_a_turn_and_goes_on_between)
{
    ck_assert_int_eq(loop_run(fixture.loop, same_clock_twice, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tcase = test_suite_case(suite, "loop", set_up, tear_down);

    tcase_add_test(tcase, timers_fire_once_in_the_order_of_their_times);
    tcase_add_test(tcase, a_repeating_timer_fires_until_disarmed);
    tcase_add_test(tcase, a_timer_may_destroy_itself);
    tcase_add_loop_test(tcase, turns_go_on_without_events_when_no_or_little_sleep_is_allowed, 0, 3);
    tcase_add_test(tcase, a_short_wait_is_short_after_one_that_might_have_been_long);
    tcase_add_test(tcase, a_timer_disarmed_when_it_was_due_does_not_fire);
    tcase_add_test(tcase, a_stop_before_the_run_ends_it);
    tcase_add_test(tcase, readable_is_called_until_removed);
    tcase_add_test(tcase, a_signal_is_handled_in_a_turn);
    tcase_add_test(tcase, the_clock_stands_still_within_a_turn_and_goes_on_between);
    return test_suite_run(suite);
}
