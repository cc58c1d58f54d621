/* Calls that wait, one situation a test: served by a streamed reply, held back by a pause that a
 * transaction ends, of clients that go meanwhile, with replies larger than memory. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum {
    MANY = 2000,
    PUSHED_AT_ONCE = 500,
    MATCHES = 1000000,
    ASKED = 4,
    SOCKETS_HOLD_KIB = 12 * 1024
};

static const char *const small[] = {
    "--list-memory-max", "1mb", "--list-chunk-bytes", "4096", "--maxmemory", "128mb", NULL
};

static struct server server;          /* of the case; started before its tests fork */
static struct wire *control, *client; /* of the test */

static void start_server(void)
{
    struct server_options options = { .own_arguments = small };

    server_start(&server, &options);
}

static void stop_server(void)
{
    server_stop(&server);
}

static void open_clients(void)
{
    control = wire_open(&server);
    client = wire_open(&server);
    expect_ok(control, "FLUSHALL");
    info_wait(control, "connected_clients", 2);
}

static void close_clients(void)
{
    wire_close(control);
    wire_close(client);
    server_must_live(&server);
}

/* A push of count elements of size bytes; its reply is still to come. */
static void send_push(struct wire *wire, const char *key, unsigned count, unsigned size)
{
    struct text command = { 0 };
    char *element = malloc(size + 1);

    ck_assert_ptr_nonnull(element);
    memset(element, 'x', size);
    element[size] = '\0';
    command_begin(&command, 2 + (int)count);
    command_add_string(&command, "RPUSH");
    command_add_string(&command, key);
    for (unsigned i = 0; i < count; i++)
        command_add(&command, element, size);
    (void)wire_send(wire, command.bytes, command.size);
    text_finish(&command);
    free(element);
}

static void fill(const char *key, unsigned count, unsigned size)
{
    for (unsigned at = 0; at < count; at += PUSHED_AT_ONCE) {
        unsigned piece = count - at < PUSHED_AT_ONCE ? count - at : PUSHED_AT_ONCE;

        send_push(control, key, piece, size);
        (void)ask_integer(control, "");
    }
}

/* By hand: sanitizers measure the whole text at each call of strstr. */
static unsigned count_of(const struct text *reply, const char *what)
{
    size_t size = strlen(what);
    unsigned count = 0;

    for (size_t at = 0; at + size <= reply->size; at++) {
        if (reply->bytes[at] == what[0] && memcmp(reply->bytes + at, what, size) == 0) count++;
    }
    return count;
}

/* ---- served ------------------------------------------------------------------------------------
 */

START_TEST(a_waiter_is_served_with_more_than_one_buffer_holds)
{
    struct text reply = { 0 };

    for (int round = 0; round < 3; round++) {
        wire_command(client, "BLMPOP 0 2 a b LEFT COUNT 100000");
        info_wait(control, "blocked_clients", 1);
        send_push(control, "b", 400, 1000);
        expect_integer(control, 400, "");
        text_clear(&reply);
        ck_assert_int_eq(wire_read(client, &reply), 1);
        ck_assert_uint_eq(count_of(&reply, "\r\n$1000\r\n"), 400);
        expect_integer(control, 0, "EXISTS b");
        info_wait(control, "blocked_clients", 0);
        info_wait(control, "streaming_clients", 0);
        expect_text(client, "PONG", "PING");
    }
    text_finish(&reply);
}
END_TEST

START_TEST(a_block_of_many_is_moved_to_a_waiter)
{
    struct text reply = { 0 };

    wire_command(client, "BLMOVEM a b LEFT RIGHT 0 EXACTLY 400 BULK");
    info_wait(control, "blocked_clients", 1);
    send_push(control, "a", 200, 1000);
    expect_integer(control, 200, "");
    expect_silence(client, control);
    send_push(control, "a", 200, 1000);
    expect_integer(control, 400, "");
    ck_assert_int_eq(wire_read(client, &reply), 1);
    ck_assert_uint_eq(count_of(&reply, "$1000\r\n"), 400);
    expect_integer(control, 400, "LLEN b");
    info_wait(control, "streaming_clients", 0);
    text_finish(&reply);
}
END_TEST

START_TEST(a_client_that_streams_to_a_waiter_may_go)
{
    for (int round = 0; round < 5; round++) {
        struct wire *other = wire_open(&server);

        wire_command(other, "BLMPOP 0 1 k LEFT COUNT 100000");
        info_wait(control, "blocked_clients", 1);
        fill("k", MANY, 1000);
        wire_reset(other);
        info_wait(control, "connected_clients", 2);
        info_wait(control, "streaming_clients", 0);
        expect_ok(control, "FLUSHALL");
    }
    info_wait(control, "mem_parked", 0);
}
END_TEST

/* ---- served while keys are held
 * ------------------------------------------------------------------
 */

enum { HOLDERS = 4, HELD_ELEMENTS = 30000 };

/* Calls that work on the list at key, on disk, one after the other: none has ended when this
 * returns, or the list is too short. */
static void hold(struct wire *wire, const char *key)
{
    for (int i = 0; i < HOLDERS; i++)
        wire_command(wire, "LREM %s 0 nothing", key);
    info_wait(control, "claims", 1);
}

/* Two that wait for more than there is, with the same destination: each one's attempt lets the
 * other go on, and must not wake it. */
START_TEST(waiters_with_a_common_destination_do_not_wake_each_other_for_ever)
{
    struct wire *first = wire_open(&server), *second = wire_open(&server);
    int64_t queued;

    fill("d", HELD_ELEMENTS, 1000);
    wire_command(first, "BLMOVEM a d LEFT RIGHT 0 EXACTLY 2 BULK");
    info_wait(control, "blocked_clients", 1);
    wire_command(second, "BLMOVEM b d LEFT RIGHT 0 EXACTLY 2 BULK");
    info_wait(control, "blocked_clients", 2);
    queued = info_number(control, "queued_commands");
    hold(client, "d");
    expect_integer(control, 1, "RPUSH a a1");
    expect_integer(control, 1, "RPUSH b b1");
    ck_assert_int_ge(info_number(control, "queued_commands"), queued + 2);
    for (int i = 0; i < HOLDERS; i++)
        expect_integer(client, 0, "");
    info_wait(control, "claims", 0);
    info_wait(control, "blocked_clients", 2);
    expect_integer(control, 2, "RPUSH b b2");
    expect_text(second, "1) \"b1\"\n2) \"b2\"", "");
    expect_integer(control, 2, "RPUSH a a2");
    expect_text(first, "1) \"a1\"\n2) \"a2\"", "");
    wire_close(first);
    wire_close(second);
}
END_TEST

START_TEST(who_leaves_while_it_waits_for_its_other_key_is_not_served)
{
    struct wire *waiter = wire_open(&server);
    int64_t queued = info_number(control, "queued_commands");

    fill("d", HELD_ELEMENTS, 1000);
    wire_command(waiter, "BLMOVE a d LEFT RIGHT 0");
    info_wait(control, "blocked_clients", 1);
    hold(client, "d");
    expect_integer(control, 1, "RPUSH a a1");
    ck_assert_int_gt(info_number(control, "queued_commands"), queued);
    wire_half_close(waiter);
    for (int i = 0; i < HOLDERS; i++)
        expect_integer(client, 0, "");
    expect_end(waiter);
    info_wait(control, "connected_clients", 2);
    expect_integer(control, 1, "LLEN a");
    expect_integer(control, HELD_ELEMENTS, "LLEN d");
    wire_close(waiter);
}
END_TEST

/* What came into a key while it was held is offered when all have let go, also when the last one
 * had claimed everything. */
START_TEST(a_waiter_is_served_after_a_call_that_claimed_all_keys)
{
    struct wire *swapper = wire_open(&server), *waiter = wire_open(&server);
    int64_t queued = info_number(control, "queued_commands");

    fill("s", HELD_ELEMENTS, 1000);
    wire_command(waiter, "BLPOP k 0");
    info_wait(control, "blocked_clients", 1);
    wire_command(client, "LMOVEM s k LEFT RIGHT COUNT %d OBO", HELD_ELEMENTS);
    info_wait(control, "claims", 1);
    wire_command(swapper, "SWAPDB 5 6");
    expect_ok(swapper, "");
    ck_assert_int_gt(info_number(control, "queued_commands"), queued);
    wire_skip(waiter, 1);
    wire_skip(client, 1);
    expect_integer(control, HELD_ELEMENTS - 1, "LLEN k");
    wire_close(swapper);
    wire_close(waiter);
}
END_TEST

/* What writes is run to the end, and answers nobody. */
START_TEST(a_transaction_whose_client_goes_is_finished)
{
    int caught = 0;

    fill("walked", 20000, 300);
    for (int round = 0; round < 20; round++) {
        struct wire *other = wire_open(&server);
        bool is_running = false;

        expect_integer(control, 4, "RPUSH a 1 2 3 4");
        expect_ok(control, "SET s %b", "text", (size_t)4);
        wire_command(other, "MULTI");
        wire_command(other, "RPUSH a 5");
        wire_command(other, "LREM walked 0 never");
        wire_command(other, "LMOVEM a b LEFT RIGHT COUNT 2 BULK");
        wire_command(other, "LPOP a 2");
        wire_command(other, "GETSET s other");
        wire_skip(other, 6);
        wire_command(other, "EXEC");
        do {
            is_running = info_number(control, "claims") > 0;
        } while (!is_running && !wire_wait(other, 0));
        caught += is_running;
        wire_reset(other);
        info_wait(control, "claims", 0);
        expect_integer(control, 2, "LLEN b");
        expect_text(control, "1) \"5\"", "LRANGE a 0 -1");
        expect_string(control, "other", "GET s");
        expect_integer(control, 3, "DEL a b s");
    }
    ck_assert_int_gt(caught, 0);
}
END_TEST

/* ---- pauses ------------------------------------------------------------------------------------
 */

START_TEST(what_a_pause_held_back_does_not_come_into_a_transaction_that_ends_it)
{
    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    wire_command(client, "RPUSH k a");
    expect_silence(client, control);
    expect_ok(control, "MULTI");
    expect_text(control, "QUEUED", "CLIENT UNPAUSE");
    expect_text(control, "QUEUED", "LLEN k");
    expect_text(control, "1) OK\n2) (integer) 0", "EXEC");
    expect_integer(client, 1, "");
}
END_TEST

START_TEST(a_transaction_that_was_held_back_may_end_a_pause_itself)
{
    struct wire *other = wire_open(&server);

    expect_ok(client, "MULTI");
    expect_text(client, "QUEUED", "RPUSH k a");
    expect_text(client, "QUEUED", "CLIENT UNPAUSE");
    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    wire_command(client, "EXEC");
    expect_silence(client, control);
    wire_command(other, "RPUSH k b");
    expect_silence(other, control);
    expect_ok(control, "CLIENT UNPAUSE");
    expect_text(client, "1) (integer) 1\n2) OK", "");
    expect_integer(other, 2, "");
    wire_close(other);
}
END_TEST

START_TEST(a_pause_of_writes_holds_back_their_queueing_too)
{
    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    expect_ok(client, "MULTI");
    expect_text(client, "QUEUED", "LLEN k");
    wire_command(client, "RPUSH k a");
    expect_silence(client, control);
    expect_integer(control, 0, "LLEN k");
    expect_ok(control, "CLIENT UNPAUSE");
    expect_text(client, "QUEUED", "");
    expect_text(client, "1) (integer) 0\n2) (integer) 1", "EXEC");
}
END_TEST

START_TEST(who_ends_its_input_while_paused_is_not_blocked_for_ever)
{
    struct wire *other = wire_open(&server);

    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    wire_command(other, "BLPOP k 0");
    wire_command(client, "BLPOP k 0");
    expect_silence(other, control);
    wire_half_close(other);
    expect_silence(other, control);
    expect_ok(control, "CLIENT UNPAUSE");
    expect_end(other);
    expect_integer(control, 1, "RPUSH k a");
    expect_text(client, "1) \"k\"\n2) \"a\"", "");
    wire_close(other);
}
END_TEST

START_TEST(who_is_killed_while_paused_does_not_run)
{
    struct wire *other = wire_open(&server);
    long long id = ask_integer(other, "CLIENT ID");

    expect_integer(control, 2, "RPUSH k a b");
    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    wire_command(other, "LPOP k");
    expect_silence(other, control);
    /* One packet: what was held back would run in the same turn as the kill. */
    wire_command(control, "CLIENT UNPAUSE");
    expect_ok(control, "");
    expect_ok(control, "CLIENT PAUSE 100000 WRITE");
    expect_string(other, "a", "");
    wire_command(other, "LPOP k");
    expect_silence(other, control);
    expect_ok(control, "MULTI");
    expect_text(control, "QUEUED", "CLIENT KILL ID %lld", id);
    expect_text(control, "QUEUED", "CLIENT UNPAUSE");
    expect_text(control, "1) (integer) 1\n2) OK", "EXEC");
    expect_end(other);
    expect_integer(control, 1, "LLEN k");
    wire_close(other);
}
END_TEST

/* ---- large replies -----------------------------------------------------------------------------
 */

START_TEST(the_places_of_many_matches_wait_for_the_socket)
{
    struct text reply = { 0 };
    int64_t before_kib;

    fill("k", MATCHES, 1);
    before_kib = server_memory_kib(&server);
    client->takes_nothing = true;
    for (int i = 0; i < ASKED; i++)
        wire_command(client, "LPOS k x COUNT 0");
    info_wait(control, "streaming_clients", 1); /* all matches are counted, and it writes */
    expect_integer(control, MATCHES, "LLEN k");
    ck_assert_int_lt(server_memory_kib(&server) - before_kib, SOCKETS_HOLD_KIB);
    client->takes_nothing = false;
    for (int i = 0; i < ASKED; i++) {
        text_clear(&reply);
        ck_assert_int_eq(wire_read(client, &reply), 1);
        ck_assert_uint_eq(count_of(&reply, "\r\n:"), MATCHES);
        ck_assert_str_eq(text_string(&reply) + reply.size - 9, ":999999\r\n");
    }
    info_wait(control, "streaming_clients", 0);
    text_finish(&reply);
}
END_TEST

START_TEST(places_are_counted_from_the_end_as_well)
{
    struct text reply = { 0 };

    fill("k", MATCHES / 100, 1);
    wire_command(client, "LPOS k x COUNT 0 RANK -2 MAXLEN 9000");
    ck_assert_int_eq(wire_read(client, &reply), 1);
    ck_assert_uint_eq(count_of(&reply, "\r\n:"), 8999);
    ck_assert_int_eq(strncmp(text_string(&reply), "*8999\r\n:9998\r\n:9997\r\n", 21), 0);
    ck_assert_str_eq(text_string(&reply) + reply.size - 7, ":1000\r\n");
    expect_ok(client, "MULTI");
    expect_text(client, "QUEUED", "LPOS k x COUNT 5000");
    wire_command(client, "EXEC");
    text_clear(&reply);
    ck_assert_int_eq(wire_read(client, &reply), 1);
    ck_assert_uint_eq(count_of(&reply, "\r\n:"), 5000);
    text_finish(&reply);
}
END_TEST

/* A block that cannot be answered inside EXEC stays where it is. */
START_TEST(a_block_that_cannot_be_answered_is_not_moved)
{
    fill("a", 20000, 1000); /* an eighth of maxmemory is 16 MiB */
    expect_ok(client, "MULTI");
    expect_text(client, "QUEUED", "LMOVEM a b LEFT RIGHT COUNT 20000 BULK");
    wire_command(client, "EXEC");
    expect_text(client,
                "1) (error) OOM a reply inside a transaction may hold at most an eighth of "
                "'maxmemory'",
                "");
    expect_integer(control, 20000, "LLEN a");
    expect_integer(control, 0, "LLEN b");
}
END_TEST

START_TEST(a_monitor_that_reads_a_large_list_sees_it_whole)
{
    struct text reply = { 0 };

    fill("k", MANY, 1000);
    expect_ok(client, "MONITOR");
    client->takes_nothing = true;
    wire_command(client, "LRANGE k 0 -1");
    info_wait(control, "streaming_clients", 1);
    for (int i = 0; i < 100; i++)
        expect_integer(control, MANY, "LLEN k");
    client->takes_nothing = false;
    do {
        text_clear(&reply);
        ck_assert_int_eq(wire_read(client, &reply), 1);
    } while (text_string(&reply)[0] != '*');
    ck_assert_uint_eq(count_of(&reply, "$1000\r\n"), MANY);
    ck_assert_uint_eq(count_of(&reply, "LLEN"), 0);
    text_finish(&reply);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls that wait");
    TCase *served = suite_case(suite, "served"), *held = suite_case(suite, "held"),
          *paused = suite_case(suite, "paused"), *large = suite_case(suite, "large replies");

    tcase_add_unchecked_fixture(served, start_server, stop_server);
    tcase_add_checked_fixture(served, open_clients, close_clients);
    tcase_add_test(served, a_waiter_is_served_with_more_than_one_buffer_holds);
    tcase_add_test(served, a_block_of_many_is_moved_to_a_waiter);
    tcase_add_test(served, a_client_that_streams_to_a_waiter_may_go);
    tcase_add_test(served, a_transaction_whose_client_goes_is_finished);
    tcase_add_unchecked_fixture(held, start_server, stop_server);
    tcase_add_checked_fixture(held, open_clients, close_clients);
    tcase_add_test(held, waiters_with_a_common_destination_do_not_wake_each_other_for_ever);
    tcase_add_test(held, who_leaves_while_it_waits_for_its_other_key_is_not_served);
    tcase_add_test(held, a_waiter_is_served_after_a_call_that_claimed_all_keys);
    tcase_add_unchecked_fixture(paused, start_server, stop_server);
    tcase_add_checked_fixture(paused, open_clients, close_clients);
    tcase_add_test(paused, what_a_pause_held_back_does_not_come_into_a_transaction_that_ends_it);
    tcase_add_test(paused, a_transaction_that_was_held_back_may_end_a_pause_itself);
    tcase_add_test(paused, a_pause_of_writes_holds_back_their_queueing_too);
    tcase_add_test(paused, who_ends_its_input_while_paused_is_not_blocked_for_ever);
    tcase_add_test(paused, who_is_killed_while_paused_does_not_run);
    tcase_add_unchecked_fixture(large, start_server, stop_server);
    tcase_add_checked_fixture(large, open_clients, close_clients);
    tcase_add_test(large, the_places_of_many_matches_wait_for_the_socket);
    tcase_add_test(large, places_are_counted_from_the_end_as_well);
    tcase_add_test(large, a_block_that_cannot_be_answered_is_not_moved);
    tcase_add_test(large, a_monitor_that_reads_a_large_list_sees_it_whole);
    return suite_run(suite);
}
