/* One turn of the loop: how much of what clients have sent it takes, and that its end is told. */
#include "server/net/testing.h"

START_TEST(a_client_with_a_lot_to_send_lets_others_go_between)
{
    char head[16];
    char *received = malloc(1 << 20);
    uint64_t id;
    int greedy = testing_connect_id(&id), other = testing_connect();

    ck_assert_ptr_nonnull(received);
    for (int i = 0; i < 20; i++)
        testing_send(greedy, "ADD 700000\r\n");
    testing_send(other, "PING\r\n");
    testing_turns(2);
    ck_assert_uint_lt(testing.requests, 12); /* neither turn took all */
    testing_expect(other, "+PONG\r\n");
    for (int i = 0; i < 20; i++) {
        testing_receive(greedy, received, 9 + 700000 + 2);
        memcpy(head, received, 9);
        head[9] = '\0';
        ck_assert_str_eq(head, "$700000\r\n");
    }
    free(received);
    ck_assert_int_eq(close(greedy), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

static uint64_t unparked_at_turn_end;

static void unpark_at_turn_end(void)
{
    struct client *client = net_client_by_id(testing.net, unparked_at_turn_end);

    if (client && client_is_parked(client)) client_unpark(client);
}

START_TEST(input_goes_on_within_the_turn_that_unparks)
{
    int fd = testing_connect_id(&unparked_at_turn_end);

    testing.at_turn_end = unpark_at_turn_end;
    testing_send(fd, "PARK\r\nPARK\r\nPARK\r\nPARK\r\nPARK\r\nPARK\r\nPARK\r\nPING\r\n");
    testing_expect(fd, "+PONG\r\n");
    ck_assert_uint_eq(testing.requests, 8);
    ck_assert_int_eq(close(fd), 0);
    testing_until(testing.closed == 1);
}
END_TEST

/* Who measures turns must see the busy ones too. */
START_TEST(the_end_of_each_turn_is_told_also_when_the_loop_does_not_sleep)
{
    struct net_info before, after;

    net_info(testing.net, &before);
    testing.ended_turns = 0;
    testing.wants_turn = true;
    testing_turns(10);
    net_info(testing.net, &after);
    ck_assert_uint_ge(testing.ended_turns, 10);
    ck_assert_uint_eq(testing.ended_turns, after.turns - before.turns);
}
END_TEST

/* ---- how much a turn takes --------------------------------------------------------------------
 */

/* As net_internal.h has it: what a turn takes is no promise to anybody but to those who wait. */
enum { CLIENTS = 300, ROUNDS = 20, INPUTS_A_TURN = 512, INPUTS_OF_ANSWER = 4 };

/* The most reads of one turn, while each of many clients sends that again and again. The loop is
 * told of more clients at once the more there were before: hence the rounds. */
static uint64_t most_reads_of_a_turn(const char *request, const char *answer)
{
    int clients[CLIENTS];
    uint64_t most = 0;

    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = testing_connect();
    testing_until(testing.opened == CLIENTS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t end = testing_info().reads + CLIENTS;

        for (unsigned i = 0; i < CLIENTS; i++)
            testing_send(clients[i], request);
        while (testing_info().reads < end) {
            uint64_t before = testing_info().reads, reads;

            testing_turns(1);
            reads = testing_info().reads - before;
            if (reads > most) most = reads;
        }
        for (unsigned i = 0; i < CLIENTS; i++)
            testing_expect(clients[i], answer);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(close(clients[i]), 0);
    return most;
}

/* Empty requests, for which nothing is to be sent. */
START_TEST(a_turn_takes_hundreds_of_inputs_that_nobody_answers)
{
    ck_assert_uint_gt(most_reads_of_a_turn("\r\n", ""), INPUTS_A_TURN / INPUTS_OF_ANSWER + 1);
}
END_TEST

START_TEST(a_turn_takes_fewer_inputs_when_answers_are_to_be_sent)
{
    uint64_t most = most_reads_of_a_turn("PING\r\n", "+PONG\r\n");

    ck_assert_uint_le(most, INPUTS_A_TURN / INPUTS_OF_ANSWER + 1);
    ck_assert_uint_gt(most, INPUTS_A_TURN / INPUTS_OF_ANSWER / 2); /* nor one after the other */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net: turns");
    TCase *cases = test_suite_case(suite, "turns", testing_set_up, testing_tear_down);

    tcase_add_test(cases, a_client_with_a_lot_to_send_lets_others_go_between);
    tcase_add_test(cases, input_goes_on_within_the_turn_that_unparks);
    tcase_add_test(cases, the_end_of_each_turn_is_told_also_when_the_loop_does_not_sleep);
    tcase_add_test(cases, a_turn_takes_hundreds_of_inputs_that_nobody_answers);
    tcase_add_test(cases, a_turn_takes_fewer_inputs_when_answers_are_to_be_sent);
    return test_suite_run(suite);
}
