/* Eight clients at once on one list of 50 MB with a budget of 256 KiB: they end, and the list ends
 * as it does in redis-server. What they do commutes (each removes, moves round and inserts elements
 * of its own, or changes nothing), so that their order does not show in the end. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 8, ELEMENTS = 50000, ELEMENT_BYTES = 1000, ROUNDS = 4, BATCH = 500 };

static const char *const tiny[] = { "--list-memory-max", "256kb", NULL };

static void add_element(struct text *command, unsigned number)
{
    char element[ELEMENT_BYTES + 1];
    int head = snprintf(element, sizeof(element), "%06u:", number);

    memset(element + head, 'a' + (int)(number % 26), sizeof(element) - (size_t)head);
    command_add(command, element, ELEMENT_BYTES);
}

/* Every hundredth element is "client N": its own for each client. */
static void fill(struct wire *wire, unsigned elements)
{
    struct text command = { 0 };

    for (unsigned first = 0; first < elements; first += BATCH) {
        text_clear(&command);
        command_begin(&command, 2 + BATCH);
        command_add_string(&command, "RPUSH");
        command_add_string(&command, "k");
        for (unsigned i = first; i < first + BATCH; i++) {
            if (i % 100 == 50) {
                char own[32];
                (void)snprintf(own, sizeof(own), "client %u", i / 100 % CLIENTS);
                command_add_string(&command, own);
            } else {
                add_element(&command, i);
            }
        }
        (void)wire_send(wire, command.bytes, command.size);
        expect_integer(wire, first + BATCH, "");
    }
    text_finish(&command);
}

/* One round of a client, pipelined. Its replies: how often it removes and finds is its own affair.
 */
static unsigned send_round(struct wire *wire, unsigned client, unsigned round, unsigned elements)
{
    wire_command(wire, "LREM k %d %s%u", round % 2 ? -3 : 3, "client ", client);
    wire_command(wire, "LPOS k never");
    wire_command(wire, "LINSERT k BEFORE never x");
    wire_command(wire, "LRANGE k %u %u", elements / 2, elements / 2 + 10);
    wire_command(wire, "LREM k 0 never");
    wire_command(wire, "LSET k %u x", elements * 2);
    wire_command(wire, "LINDEX k %u", elements / 3 * (client % 3));
    return 7;
}

/* The clients at once, then pops; the end of it all in *out_end. */
static void run(struct server *server, unsigned elements, struct text *out_end)
{
    struct wire *wires[CLIENTS], *control = wire_open(server);
    unsigned sent = 0;

    fill(control, elements);
    for (unsigned i = 0; i < CLIENTS; i++)
        wires[i] = wire_open(server);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            sent = send_round(wires[i], i, round, elements);
        for (unsigned i = 0; i < CLIENTS; i++)
            wire_skip(wires[i], sent);
    }
    /* Pops of all at once: whoever gets what, so many are gone from the head. */
    for (unsigned i = 0; i < CLIENTS; i++)
        wire_command(wires[i], "LPOP k 100");
    for (unsigned i = 0; i < CLIENTS; i++) {
        wire_skip(wires[i], 1);
        wire_close(wires[i]);
    }
    wire_command(control, "LRANGE k 0 -1");
    ck_assert_int_eq(wire_read(control, out_end), 1);
    wire_close(control);
}

START_TEST(eight_clients_on_one_list_end_as_in_redis)
{
    struct server_options options = { .own_arguments = tiny };
    unsigned elements = suite_scaled(ELEMENTS) / BATCH * BATCH;
    struct server ours, redis;
    struct text ours_end = { 0 }, redis_end = { 0 };
    struct wire *control;

    if (elements > ELEMENTS) elements = ELEMENTS;
    server_start(&ours, &options);
    server_start_redis(&redis, NULL);
    run(&ours, elements, &ours_end);
    run(&redis, elements, &redis_end);
    ck_assert_uint_eq(ours_end.size, redis_end.size);
    ck_assert_msg(memcmp(ours_end.bytes, redis_end.bytes, redis_end.size) == 0,
                  "the lists have the same size and differ");
    control = wire_open(&ours);
    ck_assert_int_gt(info_number(control, "parked_commands"), 0);
    ck_assert_int_gt(info_number(control, "queued_commands"), 0);
    ck_assert_int_gt(info_number(control, "spill_fetched_chunks"), 0);
    ck_assert_int_le(info_number(control, "spill_memory"), 16 * 1048576);
    wire_close(control);
    text_finish(&ours_end);
    text_finish(&redis_end);
    server_stop(&ours);
    server_stop(&redis);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eight clients");
    TCase *tcase = suite_case(suite, "eight clients");

    tcase_add_test(tcase, eight_clients_on_one_list_end_as_in_redis);
    return suite_run(suite);
}
