#include "server/keyspace/claims.h"

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"

#include <check.h>
#include <stdlib.h>

static struct claims *claims;

static void setup(void)
{
    ck_assert_int_eq(claims_create(&claims), 0);
}

static void teardown(void)
{
    claims_destroy(claims);
}

static struct claim_name named(const char *name)
{
    return (struct claim_name){ 0, slice_of_string(name) };
}

static int request(struct claim_ticket *ticket, const char *name)
{
    struct claim_name claim = named(name);
    return claims_request(claims, ticket, &claim, 1);
}

static bool is_held(const char *name)
{
    return claims_is_held(claims, 0, slice_of_string(name));
}

START_TEST(a_free_key_is_granted_at_once)
{
    struct claim_ticket ticket;
    struct claim_name name = named("a");
    ck_assert(!claims_would_wait(claims, &name, 1));
    ck_assert_int_eq(request(&ticket, "a"), 1);
    ck_assert(ticket.is_granted);
    ck_assert(is_held("a"));
    ck_assert(!is_held("b"));
    ck_assert(!claims_is_held(claims, 1, slice_of_string("a")));
    ck_assert(claims_would_wait(claims, &name, 1));
    ck_assert_uint_eq(claims_count(claims), 1);
    ck_assert_uint_eq(claims_waiting_count(claims), 0);
    claims_release(claims, &ticket);
    ck_assert(!is_held("a"));
    ck_assert_ptr_null(claims_next_granted(claims));
    ck_assert_uint_eq(claims_count(claims), 0);
}
END_TEST

START_TEST(the_holder_of_a_key_is_the_ticket_that_was_granted)
{
    struct claim_ticket first, second, all;

    ck_assert_ptr_null(claims_holder(claims, 0, slice_of_string("a")));
    (void)request(&first, "a");
    (void)request(&second, "a");
    (void)claims_request_all(claims, &all);
    ck_assert_ptr_eq(claims_holder(claims, 0, slice_of_string("a")), &first);
    ck_assert_ptr_null(claims_holder(claims, 0, slice_of_string("b")));
    claims_release(claims, &first);
    ck_assert_ptr_eq(claims_holder(claims, 0, slice_of_string("a")), &second);
    claims_release(claims, &second);
    ck_assert_ptr_eq(claims_holder(claims, 0, slice_of_string("b")), &all);
    claims_release(claims, &all);
}
END_TEST

START_TEST(tickets_for_one_key_are_granted_in_order_of_arrival)
{
    struct claim_ticket tickets[3];
    ck_assert_int_eq(request(&tickets[0], "a"), 1);
    ck_assert_int_eq(request(&tickets[1], "a"), 0);
    ck_assert_int_eq(request(&tickets[2], "a"), 0);
    ck_assert_uint_eq(claims_waiting_count(claims), 2);
    claims_release(claims, &tickets[0]);
    ck_assert_ptr_eq(claims_next_granted(claims), &tickets[1]);
    ck_assert_ptr_null(claims_next_granted(claims));
    claims_release(claims, &tickets[1]);
    ck_assert_ptr_eq(claims_next_granted(claims), &tickets[2]);
    claims_release(claims, &tickets[2]);
}
END_TEST

START_TEST(nobody_overtakes_a_waiting_ticket_on_any_of_its_keys)
{
    struct claim_name both[] = { named("a"), named("b") };
    struct claim_ticket first, second, third;
    ck_assert_int_eq(request(&first, "a"), 1);
    ck_assert_int_eq(claims_request(claims, &second, both, 2), 0);
    ck_assert_int_eq(request(&third, "b"), 0);
    ck_assert(!is_held("b")); /* wanted, but not held */
    claims_release(claims, &first);
    ck_assert_ptr_eq(claims_next_granted(claims), &second);
    ck_assert_ptr_null(claims_next_granted(claims));
    claims_release(claims, &second);
    ck_assert_ptr_eq(claims_next_granted(claims), &third);
    claims_release(claims, &third);
}
END_TEST

START_TEST(a_name_that_is_claimed_twice_counts_once)
{
    struct claim_name twice[] = { named("a"), named("b"), named("a") };
    struct claim_ticket ticket, after;
    ck_assert_int_eq(claims_request(claims, &ticket, twice, 3), 1);
    ck_assert_int_eq(request(&after, "a"), 0);
    claims_release(claims, &ticket);
    ck_assert_ptr_eq(claims_next_granted(claims), &after);
    claims_release(claims, &after);
}
END_TEST

START_TEST(a_claim_on_everything_waits_for_older_tickets_and_holds_younger_ones)
{
    struct claim_ticket older, all, younger, last;
    ck_assert(!claims_all_would_wait(claims));
    ck_assert_int_eq(request(&older, "a"), 1);
    ck_assert(claims_all_would_wait(claims));
    ck_assert_int_eq(claims_request_all(claims, &all), 0);
    ck_assert_int_eq(request(&younger, "b"), 0);
    ck_assert_int_eq(claims_request_all(claims, &last), 0);
    ck_assert(!is_held("b"));
    claims_release(claims, &older);
    ck_assert_ptr_eq(claims_next_granted(claims), &all);
    ck_assert_ptr_null(claims_next_granted(claims));
    ck_assert(is_held("whatever"));
    claims_release(claims, &all);
    ck_assert_ptr_eq(claims_next_granted(claims), &younger);
    claims_release(claims, &younger);
    ck_assert_ptr_eq(claims_next_granted(claims), &last);
    claims_release(claims, &last);
}
END_TEST

START_TEST(a_waiting_claim_on_everything_that_withdraws_lets_others_go)
{
    struct claim_ticket older, all, younger;
    ck_assert_int_eq(request(&older, "a"), 1);
    ck_assert_int_eq(claims_request_all(claims, &all), 0);
    ck_assert_int_eq(request(&younger, "b"), 0);
    claims_release(claims, &all);
    ck_assert_ptr_eq(claims_next_granted(claims), &younger);
    claims_release(claims, &younger);
    claims_release(claims, &older);
}
END_TEST

START_TEST(a_ticket_released_before_its_grant_was_asked_for_is_not_returned)
{
    struct claim_ticket first, second, third;
    ck_assert_int_eq(request(&first, "a"), 1);
    ck_assert_int_eq(request(&second, "a"), 0);
    ck_assert_int_eq(request(&third, "a"), 0);
    claims_release(claims, &first);
    claims_release(claims, &second);
    ck_assert_ptr_eq(claims_next_granted(claims), &third);
    ck_assert_ptr_null(claims_next_granted(claims));
    claims_release(claims, &third);
}
END_TEST

START_TEST(a_ticket_without_names_waits_only_for_claims_on_everything)
{
    struct claim_ticket ticket, all, later;
    ck_assert_int_eq(claims_request(claims, &ticket, NULL, 0), 1);
    ck_assert_int_eq(claims_request_all(claims, &all), 0);
    ck_assert_int_eq(claims_request(claims, &later, NULL, 0), 0);
    claims_release(claims, &ticket);
    ck_assert_ptr_eq(claims_next_granted(claims), &all);
    claims_release(claims, &all);
    ck_assert_ptr_eq(claims_next_granted(claims), &later);
    claims_release(claims, &later);
}
END_TEST

START_TEST(a_lull_holds_up_tickets_but_not_who_needs_none)
{
    struct claim_name a = named("a"), b = named("b");
    struct claim_ticket holder, lull, later, all;
    ck_assert_int_eq(request(&holder, "a"), 1);
    ck_assert_int_eq(claims_request_lull(claims, &lull), 0);
    ck_assert(claims_would_wait(claims, &a, 1)); /* as it is held */
    ck_assert(!claims_would_wait(claims, &b, 1));
    ck_assert_int_eq(request(&later, "b"), 0);
    ck_assert(claims_would_wait(claims, &b, 1)); /* nobody overtakes who waits for it */
    claims_release(claims, &holder);
    ck_assert_ptr_eq(claims_next_granted(claims), &lull);
    ck_assert_ptr_null(claims_next_granted(claims));
    ck_assert(!claims_would_wait(claims, &a, 1));
    ck_assert(!is_held("a"));
    ck_assert_int_eq(claims_request_all(claims, &all), 0);
    ck_assert(claims_would_wait(claims, &a, 1));
    claims_release(claims, &lull);
    ck_assert_ptr_eq(claims_next_granted(claims), &later);
    claims_release(claims, &later);
    ck_assert_ptr_eq(claims_next_granted(claims), &all);
    claims_release(claims, &all);
    ck_assert(!claims_would_wait(claims, &a, 1));
}
END_TEST

START_TEST(a_lull_that_withdraws_lets_others_go)
{
    struct claim_ticket holder, lull, later;
    ck_assert_int_eq(request(&holder, "a"), 1);
    ck_assert_int_eq(claims_request_lull(claims, &lull), 0);
    ck_assert_int_eq(request(&later, "b"), 0);
    claims_release(claims, &lull);
    ck_assert_ptr_eq(claims_next_granted(claims), &later);
    claims_release(claims, &later);
    claims_release(claims, &holder);
}
END_TEST

START_TEST(those_that_were_there_are_told_from_those_that_came_later)
{
    struct claim_ticket first, second, third;
    uint64_t newest;
    ck_assert_uint_eq(claims_newest(claims), 0);
    (void)request(&first, "a");
    (void)request(&second, "b");
    newest = claims_newest(claims);
    (void)request(&third, "c");
    ck_assert(claims_has_older(claims, newest));
    claims_release(claims, &first);
    ck_assert(claims_has_older(claims, newest));
    claims_release(claims, &second);
    ck_assert(!claims_has_older(claims, newest));
    claims_release(claims, &third);
    ck_assert(!claims_has_older(claims, newest));
}
END_TEST

/* The model: live tickets in order of arrival; one is granted exactly when no older live ticket
 * shares a key with it. */
enum { TICKETS = 40, KEYS = 6 };

struct modelled {
    struct claim_ticket ticket;
    bool is_live, is_known_granted;
    bool is_global, is_lull;
    bool wants[KEYS];
    uint64_t number;
};

static struct modelled modelled[TICKETS];

static bool must_wait(const struct modelled *one)
{
    for (int i = 0; i < TICKETS; i++) {
        const struct modelled *other = &modelled[i];
        if (!other->is_live || other->number >= one->number) continue;
        if (one->is_global || other->is_global) return true;
        for (int key = 0; key < KEYS; key++) {
            if (one->wants[key] && other->wants[key]) return true;
        }
    }
    return false;
}

/* Lulls are nothing to a command that needs no ticket, but those who wait for one are. */
static bool must_wait_without_ticket(const struct modelled *one)
{
    bool waits = false, is_lulled[TICKETS];
    for (int i = 0; i < TICKETS; i++) {
        is_lulled[i] = modelled[i].is_live && modelled[i].is_lull && !one->is_global;
        if (is_lulled[i]) modelled[i].is_live = false;
    }
    waits = must_wait(one);
    for (int i = 0; i < TICKETS; i++)
        modelled[i].is_live |= is_lulled[i];
    return waits;
}

static void ask(struct modelled *one, struct random *random, uint64_t number)
{
    static const char *const names[KEYS] = { "a", "b", "c", "d", "e", "f" };
    struct claim_name wanted[8];
    uint32_t count = (uint32_t)random_below(random, 4);
    bool would_wait;
    int rc;
    *one = (struct modelled){ .is_live = true, .number = number };
    one->is_global = random_below(random, 12) == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key = random_below(random, KEYS);
        wanted[i] = (struct claim_name){ (unsigned)key % 2, slice_of_string(names[key]) };
        one->wants[key] = true;
    }
    one->is_lull = one->is_global && random_below(random, 2) == 0;
    if (one->is_lull) {
        would_wait = claims_all_would_wait(claims);
        rc = claims_request_lull(claims, &one->ticket);
    } else if (one->is_global) {
        would_wait = claims_all_would_wait(claims);
        rc = claims_request_all(claims, &one->ticket);
    } else {
        would_wait = claims_would_wait(claims, wanted, count);
        rc = claims_request(claims, &one->ticket, wanted, count);
    }
    ck_assert_int_eq(rc, must_wait(one) ? 0 : 1);
    ck_assert_int_eq(would_wait, must_wait_without_ticket(one));
    one->is_known_granted = rc == 1;
}

static void collect_grants(void)
{
    struct claim_ticket *ticket;
    uint64_t last = 0;
    while ((ticket = claims_next_granted(claims))) {
        struct modelled *one = (struct modelled *)(void *)ticket;
        ck_assert(one->is_live && !one->is_known_granted);
        ck_assert_uint_gt(one->number, last);
        last = one->number;
        one->is_known_granted = true;
    }
}

static void expect_as_in_model(void)
{
    uint64_t live = 0, waiting = 0, wrong = 0;
    for (int i = 0; i < TICKETS; i++) {
        if (!modelled[i].is_live) continue;
        live++;
        waiting += must_wait(&modelled[i]);
        wrong += modelled[i].ticket.is_granted == must_wait(&modelled[i]);
        wrong += modelled[i].is_known_granted != modelled[i].ticket.is_granted;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(claims_count(claims), live);
    ck_assert_uint_eq(claims_waiting_count(claims), waiting);
}

START_TEST(a_ticket_is_granted_exactly_when_it_is_the_oldest_on_all_its_keys)
{
    struct random random;
    random_init(&random, (uint64_t)_i + 1000 * soak_seed());
    memset(modelled, 0, sizeof(modelled));
    for (uint64_t step = 1; step <= 3000; step++) {
        struct modelled *one = &modelled[random_below(&random, TICKETS)];
        if (!one->is_live) {
            ask(one, &random, step);
        } else {
            claims_release(claims, &one->ticket); /* granted or still waiting */
            one->is_live = false;
            if (random_below(&random, 3) > 0)
                collect_grants();
            else
                continue; /* several releases before anybody asks */
        }
        collect_grants();
        expect_as_in_model();
    }
    for (int i = 0; i < TICKETS; i++) {
        if (modelled[i].is_live) claims_release(claims, &modelled[i].ticket);
    }
    ck_assert_ptr_null(claims_next_granted(claims));
    ck_assert_uint_eq(claims_waiting_count(claims), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("claims");
    TCase *tcase = test_suite_case(suite, "claims", setup, teardown);

    tcase_add_test(tcase, a_free_key_is_granted_at_once);
    tcase_add_test(tcase, tickets_for_one_key_are_granted_in_order_of_arrival);
    tcase_add_test(tcase, nobody_overtakes_a_waiting_ticket_on_any_of_its_keys);
    tcase_add_test(tcase, the_holder_of_a_key_is_the_ticket_that_was_granted);
    tcase_add_test(tcase, a_name_that_is_claimed_twice_counts_once);
    tcase_add_test(tcase, a_claim_on_everything_waits_for_older_tickets_and_holds_younger_ones);
    tcase_add_test(tcase, a_waiting_claim_on_everything_that_withdraws_lets_others_go);
    tcase_add_test(tcase, a_ticket_released_before_its_grant_was_asked_for_is_not_returned);
    tcase_add_test(tcase, a_lull_holds_up_tickets_but_not_who_needs_none);
    tcase_add_test(tcase, a_lull_that_withdraws_lets_others_go);
    tcase_add_test(tcase, those_that_were_there_are_told_from_those_that_came_later);
    tcase_add_test(tcase, a_ticket_without_names_waits_only_for_claims_on_everything);
    tcase_add_loop_test(tcase, a_ticket_is_granted_exactly_when_it_is_the_oldest_on_all_its_keys, 0,
                        10);
    return test_suite_run(suite);
}
