/* EXEC of a transaction that walks over what is on disk: others go on, nobody sees its keys
 * half-way, and who goes in the middle leaves all of it or nothing. The walks take long enough that
 * what others send comes between; what shows that it did is asked of INFO, not of a clock. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

enum { ELEMENTS = 3000, PUSHED_AT_ONCE = 100, WALKS = 5, TRIES = 10, LARGE_PUSHES = 1000 };

static const char *const tiny[] = { "--list-chunk-bytes", "4096", "--list-memory-max", "256kb",
                                    NULL };

static struct server server;
static struct wire *control, *client, *other;

static void start_server(void)
{
    struct server_options options = { .own_arguments = tiny };

    server_start(&server, &options);
}

static void stop_server(void)
{
    server_stop(&server);
}

static void fill_big(void)
{
    char padding[300];

    memset(padding, 'x', sizeof(padding) - 1);
    padding[sizeof(padding) - 1] = '\0';
    for (int i = 0; i < ELEMENTS; i += PUSHED_AT_ONCE) {
        for (int j = 0; j < PUSHED_AT_ONCE; j++)
            wire_command(control, "RPUSH big %d:%s", i + j, padding);
        wire_skip(control, PUSHED_AT_ONCE);
    }
}

static void open_clients(void)
{
    control = wire_open(&server);
    client = wire_open(&server);
    other = wire_open(&server);
    expect_ok(control, "FLUSHALL");
    fill_big();
    info_wait(control, "claims", 0);
}

static void start_filled(void)
{
    start_server();
    open_clients();
}

static void close_all(void)
{
    wire_close(client);
    wire_close(other);
    wire_close(control);
}

static void close_clients(void)
{
    server_must_live(&server);
    wire_close(client);
    wire_close(other);
    expect_ok(control, "FLUSHALL");
    info_wait(control, "connected_clients", 1);
    info_wait(control, "blocked_clients", 0);
    info_wait(control, "parked_clients", 0);
    info_wait(control, "claims", 0);
    info_wait(control, "spill_lists", 0);
    info_wait(control, "spill_disk_used_bytes", 0);
    wire_close(control);
}

/* ---- a transaction that takes a while
 * ---------------------------------------------------------------------------------- */

static void queue(struct wire *wire, const char *command)
{
    struct text request = { 0 };

    ck_assert(command_from_line(&request, command));
    (void)wire_send(wire, request.bytes, request.size);
    text_finish(&request);
    expect_text(wire, "QUEUED", "");
}

static void queue_walks(struct wire *wire)
{
    for (int i = 0; i < WALKS; i++)
        queue(wire, "LREM big 0 never");
}

/* Sends EXEC, and returns when it is under way. */
static void begin_exec(struct wire *wire)
{
    wire_command(wire, "EXEC");
    info_wait(control, "claims", 1);
}

/* The reply to EXEC: the integer at place among count. */
static void expect_in_exec(struct wire *wire, unsigned count, unsigned place, const char *text)
{
    struct text reply = { 0 };
    char start[32];
    const char *at;

    ck_assert_int_eq(wire_read(wire, &reply), 1);
    (void)snprintf(start, sizeof(start), "*%u\r\n", count);
    at = text_string(&reply);
    ck_assert_msg(strncmp(at, start, strlen(start)) == 0, "%.40s", at);
    for (unsigned i = 0; i <= place; i++) {
        at = strstr(at, "\r\n");
        ck_assert_ptr_nonnull(at);
        at += 2;
    }
    ck_assert_msg(strncmp(at, text, strlen(text)) == 0, "%.40s", at);
    text_finish(&reply);
}

/* ---- who waits, who goes on
 * ---------------------------------------------------------------------------------- */

START_TEST(clients_of_other_keys_go_on_meanwhile)
{
    expect_ok(control, "SET elsewhere 1");
    expect_ok(client, "MULTI");
    queue_walks(client);
    begin_exec(client);
    expect_string(other, "1", "GET elsewhere");
    expect_integer(other, 2, "INCR elsewhere");
    ck_assert_int_eq(info_number(control, "claims"), 1); /* EXEC goes on */
    expect_in_exec(client, WALKS, WALKS - 1, ":0\r\n");
}
END_TEST

START_TEST(nobody_sees_its_keys_between_its_commands)
{
    expect_ok(client, "MULTI");
    queue(client, "SET a 1");
    queue_walks(client);
    queue(client, "INCR a");
    begin_exec(client);
    wire_command(other, "GET a");
    info_wait(control, "queued_clients", 1);
    expect_in_exec(client, WALKS + 2, WALKS + 1, ":2\r\n");
    expect_string(other, "2", "");
}
END_TEST

START_TEST(a_key_that_only_a_later_command_names_is_held_from_the_start)
{
    expect_ok(control, "SET last 5");
    expect_ok(client, "MULTI");
    queue_walks(client);
    queue(client, "INCR last");
    begin_exec(client);
    wire_command(other, "SET last 0");
    info_wait(control, "queued_clients", 1);
    expect_in_exec(client, WALKS + 1, WALKS, ":6\r\n");
    expect_ok(other, "");
}
END_TEST

START_TEST(a_key_of_a_database_that_it_selects_is_held)
{
    expect_ok(other, "SELECT 1");
    expect_ok(other, "SET there 5");
    expect_ok(client, "MULTI");
    queue_walks(client);
    queue(client, "SELECT 1");
    queue(client, "INCR there");
    begin_exec(client);
    wire_command(other, "SET there 0");
    info_wait(control, "queued_clients", 1);
    expect_in_exec(client, WALKS + 2, WALKS + 1, ":6\r\n");
    expect_ok(other, "");
}
END_TEST

START_TEST(one_that_touches_everything_holds_everything)
{
    expect_ok(client, "MULTI");
    queue(client, "SWAPDB 2 3");
    queue_walks(client);
    queue(client, "SET a 1");
    begin_exec(client);
    expect_text(control, "PONG", "PING");
    wire_command(other, "APPEND a 2");
    info_wait(control, "queued_clients", 1);
    wire_skip(client, 1);
    expect_integer(other, 2, "");
}
END_TEST

START_TEST(watched_keys_are_looked_at_when_all_claims_are_held)
{
    struct wire *third = wire_open(&server);

    expect_ok(client, "MULTI");
    queue_walks(client);
    expect_ok(other, "WATCH watched");
    expect_ok(other, "MULTI");
    queue(other, "RPUSH big more");
    begin_exec(client);
    wire_command(other, "EXEC"); /* behind the first one, on big */
    info_wait(control, "queued_clients", 1);
    expect_ok(third, "SET watched 1");
    expect_in_exec(client, WALKS, 0, ":0\r\n");
    expect_text(other, "(nil)", "");
    expect_integer(control, ELEMENTS, "LLEN big");
    wire_close(third);
}
END_TEST

/* ---- who waits for what it brings
 * ---------------------------------------------------------------------------------- */

START_TEST(who_is_blocked_is_served_after_the_whole)
{
    wire_command(other, "BLPOP q 0");
    info_wait(control, "blocked_clients", 1);
    expect_ok(client, "MULTI");
    queue(client, "RPUSH q first");
    queue_walks(client);
    queue(client, "LPOP q");
    queue(client, "RPUSH q second");
    begin_exec(client);
    expect_integer(control, 1, "RPUSH elsewhere x"); /* after which blocked clients are looked at */
    wire_skip(client, 1);
    expect_text(other, "1) \"q\"\n2) \"second\"", "");
}
END_TEST

START_TEST(who_is_blocked_is_served_after_one_that_held_everything)
{
    wire_command(other, "BLPOP q 0");
    info_wait(control, "blocked_clients", 1);
    expect_ok(client, "MULTI");
    queue(client, "RPUSH q first");
    queue(client, "SWAPDB 2 3");
    queue_walks(client);
    begin_exec(client);
    expect_text(control, "PONG", "PING");
    wire_skip(client, 1);
    expect_text(other, "1) \"q\"\n2) \"first\"", "");
}
END_TEST

/* The transaction behind the first one runs at once when its turn comes; the key it names was
 * brought by the first, and somebody waits for it. */
START_TEST(who_is_blocked_is_served_though_another_transaction_came_between)
{
    struct wire *third = wire_open(&server);

    wire_command(other, "BLPOP q 0");
    info_wait(control, "blocked_clients", 1);
    expect_ok(client, "MULTI");
    queue_walks(client);
    queue(client, "RPUSH q first");
    expect_ok(third, "MULTI");
    queue(third, "EXISTS q");
    begin_exec(client);
    wire_command(third, "EXEC");
    info_wait(control, "queued_clients", 1);
    wire_skip(client, 1);
    wire_skip(third, 1);
    expect_text(other, "1) \"q\"\n2) \"first\"", "");
    wire_close(third);
}
END_TEST

/* ---- time, and who goes ------------------------------------------------------------------------
 */

START_TEST(its_time_stands_still)
{
    expect_ok(client, "MULTI");
    queue(client, "SET short 1 PX 1");
    queue_walks(client);
    queue(client, "PTTL short");
    begin_exec(client);
    expect_in_exec(client, WALKS + 2, WALKS + 1, ":1\r\n");
    info_wait_least(control, "expired_keys", 1);
    expect_integer(control, 0, "EXISTS short");
}
END_TEST

START_TEST(what_expired_while_it_stood_in_line_is_gone_for_it)
{
    struct wire *third = wire_open(&server);

    expect_ok(client, "MULTI");
    queue_walks(client);
    queue_walks(client);
    expect_ok(third, "MULTI");
    queue(third, "LLEN big");
    queue(third, "LREM big 0 never");
    queue(third, "EXISTS short");
    begin_exec(client);
    expect_ok(other, "SET short 1 PX 20");
    wire_command(third, "EXEC");
    info_wait(control, "queued_clients", 1);
    wire_skip(client, 1);
    expect_in_exec(third, 3, 2, ":0\r\n");
    wire_close(third);
}
END_TEST

START_TEST(what_has_changed_something_ends_without_its_client)
{
    for (int i = 0; i < TRIES; i++) {
        struct wire *wire = wire_open(&server);
        long long id = ask_integer(wire, "CLIENT ID");

        expect_ok(control, "SET log begun");
        expect_ok(wire, "MULTI");
        queue(wire, "APPEND log -changed");
        queue(wire, "LPOS big never");
        queue(wire, "LREM big 0 never");
        queue(wire, "CLIENT INFO");
        queue(wire, "LRANGE big 0 1000");
        queue(wire, "SELECT 1");
        queue(wire, "SET ended 1");
        begin_exec(wire);
        if (i % 2) {
            expect_integer(control, 1, "CLIENT KILL ID %lld", id);
            wire_close(wire);
        } else {
            wire_reset(wire);
        }
        info_wait(control, "claims", 0);
        expect_string(control, "begun-changed", "GET log");
        expect_ok(control, "SELECT 1");
        expect_integer(control, 1, "DEL ended");
        expect_ok(control, "SELECT 0");
    }
}
END_TEST

/* Each push waits until lists that were used longer ago are on disk. */
START_TEST(what_waits_for_room_ends_without_its_client)
{
    static const char push[] = "RPUSH pile ";
    char command[sizeof(push) + 4000];

    memset(command, 'x', sizeof(command) - 1);
    memcpy(command, push, sizeof(push) - 1);
    command[sizeof(command) - 1] = '\0';
    for (int i = 1; i <= TRIES; i++) {
        struct wire *wire = wire_open(&server);
        int64_t evicted;

        expect_ok(wire, "MULTI");
        for (int j = 0; j < LARGE_PUSHES; j++)
            queue(wire, command);
        evicted = info_number(control, "spill_evicted_bytes");
        begin_exec(wire);
        wire_reset(wire);
        info_wait(control, "claims", 0);
        expect_integer(control, i * LARGE_PUSHES, "LLEN pile");
        ck_assert_int_gt(info_number(control, "spill_evicted_bytes"), evicted);
    }
}
END_TEST

START_TEST(what_has_changed_nothing_ends_with_its_client)
{
    int gone = 0;

    for (int i = 0; i < TRIES && gone < 3; i++) {
        struct wire *wire = wire_open(&server);

        expect_ok(wire, "MULTI");
        for (int walk = 0; walk < WALKS; walk++)
            queue(wire, "LPOS big never");
        queue(wire, "SET written 1");
        begin_exec(wire);
        wire_reset(wire);
        info_wait(control, "connected_clients", 3);
        info_wait(control, "claims", 0);
        gone += ask_integer(control, "DEL written") == 0;
    }
    ck_assert_int_ge(gone, 3);
}
END_TEST

START_TEST(the_server_may_stop_meanwhile)
{
    expect_ok(client, "MULTI");
    queue(client, "SET a 1");
    queue_walks(client);
    begin_exec(client);
    ck_assert_int_eq(info_number(control, "claims"), 1);
    server_stop(&server); /* in an orderly way, or it fails */
}
END_TEST

/* ---- what it answers ---------------------------------------------------------------------------
 */

START_TEST(it_answers_all_that_its_commands_read)
{
    struct text reply = { 0 };
    const char *at;
    unsigned found = 0;

    expect_ok(client, "MULTI");
    queue(client, "LRANGE big 0 1999");
    queue(client, "LINDEX big 1500");
    queue(client, "LTRIM big 10 -11");
    queue(client, "LINSERT big BEFORE never x");
    queue(client, "LLEN big");
    wire_command(client, "EXEC");
    ck_assert_int_eq(wire_read(client, &reply), 1);
    at = text_string(&reply);
    ck_assert_int_eq(strncmp(at, "*5\r\n*2000\r\n", 11), 0);
    for (size_t i = 0; i + 1 < reply.size; i++)
        found += at[i] == ':' && at[i + 1] == 'x';
    ck_assert_uint_eq(found, 2001);
    ck_assert_ptr_nonnull(strstr(at + reply.size - 100, "+OK\r\n:-1\r\n:2980\r\n"));
    text_finish(&reply);
}
END_TEST

START_TEST(the_places_of_many_matches_are_answered)
{
    struct text reply = { 0 };

    for (int i = 0; i < 100; i++) {
        for (int j = 0; j < 100; j++)
            wire_command(control, "RPUSH many same");
        wire_skip(control, 100);
    }
    fill_big(); /* so that many goes to disk */
    expect_ok(client, "MULTI");
    queue(client, "LPOS many same COUNT 0");
    queue(client, "LREM big 0 never");
    wire_command(client, "EXEC");
    ck_assert_int_eq(wire_read(client, &reply), 1);
    ck_assert_int_eq(strncmp(text_string(&reply), "*2\r\n*10000\r\n:0\r\n:1\r\n", 20), 0);
    ck_assert_ptr_nonnull(strstr(text_string(&reply) + reply.size - 20, ":9999\r\n:0\r\n"));
    text_finish(&reply);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parked EXEC");
    TCase *others = suite_case(suite, "others"), *ends = suite_case(suite, "time and ends"),
          *stop = suite_case(suite, "stop");

    tcase_add_unchecked_fixture(others, start_server, stop_server);
    tcase_add_checked_fixture(others, open_clients, close_clients);
    tcase_add_test(others, clients_of_other_keys_go_on_meanwhile);
    tcase_add_test(others, nobody_sees_its_keys_between_its_commands);
    tcase_add_test(others, a_key_that_only_a_later_command_names_is_held_from_the_start);
    tcase_add_test(others, a_key_of_a_database_that_it_selects_is_held);
    tcase_add_test(others, one_that_touches_everything_holds_everything);
    tcase_add_test(others, watched_keys_are_looked_at_when_all_claims_are_held);
    tcase_add_test(others, who_is_blocked_is_served_after_the_whole);
    tcase_add_test(others, who_is_blocked_is_served_after_one_that_held_everything);
    tcase_add_test(others, who_is_blocked_is_served_though_another_transaction_came_between);
    tcase_add_unchecked_fixture(ends, start_server, stop_server);
    tcase_add_checked_fixture(ends, open_clients, close_clients);
    tcase_add_test(ends, its_time_stands_still);
    tcase_add_test(ends, what_expired_while_it_stood_in_line_is_gone_for_it);
    tcase_add_test(ends, what_has_changed_something_ends_without_its_client);
    tcase_add_test(ends, what_waits_for_room_ends_without_its_client);
    tcase_add_test(ends, what_has_changed_nothing_ends_with_its_client);
    tcase_add_test(ends, it_answers_all_that_its_commands_read);
    tcase_add_test(ends, the_places_of_many_matches_are_answered);
    tcase_add_checked_fixture(stop, start_filled, close_all);
    tcase_add_test(stop, the_server_may_stop_meanwhile);
    return suite_run(suite);
}
