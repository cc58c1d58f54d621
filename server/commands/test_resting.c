/* Calls that rest until checkpoints have brought room: how often another one is made when one has
 * failed, and when that ends. Time and checkpoints are the test's: the program is linked with
 * --wrap for each function here (see the Makefile). */
#include "modules/base/test_suite.h"
#include "modules/spill/persist.h"
#include "server/commands/checkpointing.h"
#include "server/commands/command.h"
#include "server/commands/effect.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/net/loop.h"

#include <check.h>
#include <errno.h>
#include <string.h>

enum { WAKE_US = 10000, MOMENT_US = 100000, PATIENCE_US = 60 * 1000000, REQUESTS_MAX = 1000 };

static struct {
    struct server server;
    struct checkpointing checkpointing;
    struct call call;
    uint64_t now_us;
    uint64_t wakes, canceled; /* parking_wait says -ECANCELED from that wake on; 0: never */
    uint64_t requested_us[REQUESTS_MAX];
    uint64_t requests, ended; /* checkpoints */
    uint64_t failures;        /* so many of them fail */
    int error;                /* of the last one */
    uint64_t deferred_bytes;
    bool has_room;
} fixture;

/* ---- what the rest of the server is ------------------------------------------------------------
 */

uint64_t __wrap_loop_now_us(const struct loop *loop);
int __wrap_parking_wait(struct server *server);
uint64_t __wrap_checkpoint_request(struct checkpoint *checkpoint, enum checkpoint_kind kind);
void __wrap_checkpoint_get_info(const struct checkpoint *checkpoint,
                                struct checkpoint_info *out_info);
void __wrap_spill_persist_info(const struct spill_store *store,
                               struct spill_persist_info *out_info);
bool __wrap_spill_store_may_rewrite(const struct spill_store *store);
int __wrap_effect_reserve_step(struct call *call);

uint64_t __wrap_loop_now_us(const struct loop *loop)
{
    (void)loop;
    return fixture.now_us;
}

/* Others wake everybody up: ten times in a moment. A checkpoint ends at the next wake. */
int __wrap_parking_wait(struct server *server)
{
    ck_assert_ptr_eq(server, &fixture.server);
    ck_assert_uint_eq(fixture.checkpointing.resting_count, 1);
    fixture.now_us += WAKE_US;
    if (++fixture.wakes == fixture.canceled) return -ECANCELED;
    if (fixture.ended == fixture.requests) return 0;
    fixture.error = fixture.ended < fixture.failures ? -ENOSPC : 0;
    fixture.has_room = fixture.error == 0;
    fixture.ended++;
    return 0;
}

uint64_t __wrap_checkpoint_request(struct checkpoint *checkpoint, enum checkpoint_kind kind)
{
    (void)checkpoint;
    ck_assert_int_eq(kind, CHECKPOINT_AS_REWRITE);
    ck_assert_uint_lt(fixture.requests, REQUESTS_MAX);
    fixture.requested_us[fixture.requests++] = fixture.now_us;
    return fixture.requests;
}

void __wrap_checkpoint_get_info(const struct checkpoint *checkpoint,
                                struct checkpoint_info *out_info)
{
    (void)checkpoint;
    *out_info = (struct checkpoint_info){ .ended_count = fixture.ended, .error = fixture.error };
}

void __wrap_spill_persist_info(const struct spill_store *store, struct spill_persist_info *out_info)
{
    (void)store;
    *out_info = (struct spill_persist_info){ .deferred_bytes = fixture.deferred_bytes };
}

bool __wrap_spill_store_may_rewrite(const struct spill_store *store)
{
    (void)store;
    return fixture.has_room;
}

int __wrap_effect_reserve_step(struct call *call)
{
    ck_assert_ptr_eq(call, &fixture.call);
    return 0;
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.server.checkpointing = &fixture.checkpointing;
    fixture.call.server = &fixture.server;
    fixture.now_us = 1000000000;
    fixture.deferred_bytes = 1 << 20;
}

static int rest(void)
{
    int rc = checkpointing_rest(&fixture.call);

    ck_assert_uint_eq(fixture.checkpointing.resting_count, 0);
    return rc;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(one_that_succeeds_is_enough)
{
    ck_assert_int_eq(rest(), 0);
    ck_assert_uint_eq(fixture.requests, 1);
    ck_assert_uint_eq(fixture.wakes, 1);
}
END_TEST

/* Whoever is woken meanwhile, and however often. _i 1: the log's reserve gives way to the next. */
START_TEST(a_moment_passes_before_another_one)
{
    fixture.failures = 2;
    fixture.checkpointing.has_given_way = _i == 1;
    ck_assert_int_eq(rest(), 0);
    ck_assert_uint_eq(fixture.requests, 3);
    for (unsigned i = 1; i < 3; i++)
        ck_assert_uint_ge(fixture.requested_us[i] - fixture.requested_us[i - 1],
                          MOMENT_US + WAKE_US);
    ck_assert_uint_le(fixture.requested_us[2] - fixture.requested_us[0],
                      2 * (MOMENT_US + 2 * WAKE_US));
}
END_TEST

START_TEST(three_that_fail_are_enough)
{
    fixture.failures = UINT64_MAX;
    ck_assert_int_eq(rest(), -ENOSPC);
    ck_assert_uint_eq(fixture.requests, 3);
}
END_TEST

/* They do not count, but time does. */
START_TEST(what_gives_way_to_them_does_so_for_a_while)
{
    uint64_t begin_us = fixture.now_us;

    fixture.failures = UINT64_MAX;
    fixture.checkpointing.has_given_way = true;
    ck_assert_int_eq(rest(), -ENOSPC);
    ck_assert_uint_gt(fixture.requests, 100);
    ck_assert_uint_ge(fixture.now_us - begin_us, PATIENCE_US);
    ck_assert_uint_le(fixture.now_us - begin_us, PATIENCE_US + MOMENT_US + 2 * WAKE_US);
}
END_TEST

/* In each of its waits: for a checkpoint, or in the moment behind it. */
START_TEST(a_client_that_goes_is_waited_for_no_longer)
{
    uint64_t wakes;

    fixture.failures = 2;
    ck_assert_int_eq(rest(), 0);
    wakes = fixture.wakes;
    ck_assert_uint_gt(wakes, 20);
    for (uint64_t nth = 1; nth <= wakes; nth++) {
        set_up();
        fixture.failures = 2;
        fixture.canceled = nth;
        ck_assert_int_eq(rest(), -ECANCELED);
        ck_assert_uint_eq(fixture.wakes, nth);
    }
}
END_TEST

/* It brings the room; a checkpoint would bring nothing. */
START_TEST(where_nothing_is_deferred_eviction_is_waited_for)
{
    fixture.deferred_bytes = 0;
    fixture.has_room = true;
    ck_assert_int_eq(rest(), 0);
    ck_assert_uint_eq(fixture.wakes, 1);
    fixture.has_room = false;
    ck_assert_int_eq(rest(), -ENOSPC);
    ck_assert_uint_eq(fixture.requests, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls that rest");
    TCase *cases = test_suite_case(suite, "all", set_up, NULL);

    tcase_add_test(cases, one_that_succeeds_is_enough);
    tcase_add_loop_test(cases, a_moment_passes_before_another_one, 0, 2);
    tcase_add_test(cases, three_that_fail_are_enough);
    tcase_add_test(cases, what_gives_way_to_them_does_so_for_a_while);
    tcase_add_test(cases, a_client_that_goes_is_waited_for_no_longer);
    tcase_add_test(cases, where_nothing_is_deferred_eviction_is_waited_for);
    return test_suite_run(suite);
}
