/* Commands that wait for the disk, disturbed in every way: their clients are killed or vanish,
 * their keys are deleted, renamed, flushed and expire, other commands queue behind them. Nothing of
 * it may leave a trace: no half-done change, no client that waits for ever, no memory and no disk
 * in use.
 *
 * SLUICE_SEED=N runs the random part with that seed only. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/stream.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 10,
    SEEDS = 2,
    STEPS = 2000, /* of a seed, before scaling */
    LIST_LENGTH = 3000,
    BIG_ELEMENTS = 30000,
    TRIES = 50
};

static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };

static struct server server;
static struct wire *control;

static void start_server(void)
{
    struct server_options options = { .own_arguments = tiny };

    server_start(&server, &options);
}

static void stop_server(void)
{
    server_stop(&server);
}

static void open_control(void)
{
    control = wire_open(&server);
    expect_ok(control, "FLUSHALL");
}

/* With a log, the last checkpoint still refers to what was there: the next one, and no later one,
 * gives all of it back. */
static void wait_for_disk(void)
{
    if (info_number(control, "spill_disk_used_bytes") > 0 &&
        info_number(control, "checkpoint_number") > 0) {
        info_wait(control, "aof_rewrite_in_progress", 0);
        expect_ok(control, "SAVE");
    }
    info_wait(control, "spill_disk_used_bytes", 0);
}

/* Nothing is left of what a test did. */
static void close_control(void)
{
    server_must_live(&server);
    expect_ok(control, "FLUSHALL");
    info_wait(control, "connected_clients", 1);
    info_wait(control, "blocked_clients", 0);
    info_wait(control, "parked_clients", 0);
    info_wait(control, "queued_clients", 0);
    info_wait(control, "spill_lists_being_freed", 0);
    info_wait(control, "spill_lists", 0);
    info_wait(control, "spill_chunks", 0);
    wait_for_disk();
    wire_close(control);
}

static void fill_big(const char *key)
{
    char padding[300];

    memset(padding, 'x', sizeof(padding) - 1);
    padding[sizeof(padding) - 1] = '\0';
    for (int i = 0; i < BIG_ELEMENTS; i += 100) {
        for (int j = 0; j < 100; j++)
            wire_command(control, "RPUSH %s %d:%s", key, i + j, padding);
        wire_skip(control, 100);
    }
}

/* ---- others go on ------------------------------------------------------------------------------
 */

/* A walk over 9 MB on disk takes a while: in some of the tries PING overtakes it. */
START_TEST(other_clients_go_on_while_a_walk_is_under_way)
{
    struct wire *walker = wire_open(&server);
    int overtaken = 0;

    fill_big("k");
    for (int i = 0; i < TRIES && overtaken < 3; i++) {
        wire_command(walker, "LREM k 0 never");
        expect_text(control, "PONG", "PING");
        overtaken += wire_wait(walker, 0) ? 0 : 1;
        expect_integer(walker, 0, "");
    }
    ck_assert_int_ge(overtaken, 3);
    wire_close(walker);
}
END_TEST

/* False: the walk was over before the command came to wait behind it. */
static bool wait_queued(struct wire *walker, int64_t count)
{
    do {
        if (info_number(control, "queued_clients") == count) return true;
    } while (!wire_wait(walker, 0));
    return false;
}

START_TEST(commands_behind_a_walk_run_in_the_order_of_their_arrival)
{
    struct wire *walker = wire_open(&server), *first = wire_open(&server),
                *second = wire_open(&server);
    int staged = 0;

    fill_big("k");
    for (int i = 0; i < TRIES && staged < 3; i++) {
        bool queued;
        wire_command(walker, "LREM k 0 never");
        wire_command(first, "RPUSH k first");
        queued = wait_queued(walker, 1);
        wire_command(second, "RPUSH k second");
        queued = queued && wait_queued(walker, 2);
        expect_integer(walker, 0, "");
        wire_skip(first, 1);
        wire_skip(second, 1);
        if (queued) {
            staged++;
            expect_text(control, "1) \"first\"\n2) \"second\"", "LRANGE k -2 -1");
        }
        expect_integer(control, BIG_ELEMENTS + 2, "LLEN k");
        expect_ok(control, "LTRIM k 0 -3");
    }
    ck_assert_int_ge(staged, 1);
    wire_close(walker);
    wire_close(first);
    wire_close(second);
}
END_TEST

START_TEST(a_walk_whose_client_was_killed_changes_all_or_nothing)
{
    char matching[300];

    memset(matching, 'y', sizeof(matching) - 1);
    matching[sizeof(matching) - 1] = '\0';
    for (int i = 0; i < 3000; i++) { /* every tenth is to be removed */
        wire_command(control, "RPUSH k %d:%s", i, matching);
        if (i % 10 == 0) wire_command(control, "RPUSH k gone");
    }
    wire_skip(control, 3300);
    for (int i = 0; i < TRIES; i++) {
        struct wire *walker = wire_open(&server);
        long long id = ask_integer(walker, "CLIENT ID"), length;
        expect_integer(control, 1, "COPY k copy REPLACE");
        wire_command(walker, "LREM copy 0 gone");
        if (i % 2) {
            (void)ask_integer(control, "CLIENT KILL ID %lld", id);
            wire_close(walker);
        } else {
            wire_reset(walker);
        }
        info_wait(control, "connected_clients", 1);
        length = ask_integer(control, "LLEN copy");
        ck_assert_msg(length == 3000 || length == 3300, "the list has %lld elements", length);
        expect_integer(control, length == 3000 ? 0 : 300, "LREM copy 0 gone");
    }
}
END_TEST

/* ---- at random ---------------------------------------------------------------------------------
 */

struct client {
    struct wire *wire;
    long long id;
    unsigned unread; /* commands whose replies have not come */
};

static void open_client(struct client *client)
{
    client->wire = wire_open(&server);
    client->id = ask_integer(client->wire, "CLIENT ID");
    client->unread = 0;
}

static void read_some(struct client *client)
{
    while (client->unread > 0) {
        int rc = wire_read_now(client->wire, NULL);
        if (rc == -EAGAIN) return;
        if (rc == 0) { /* killed */
            wire_close(client->wire);
            open_client(client);
            return;
        }
        client->unread--;
    }
}

static void send_to(struct client *client, struct text *command)
{
    (void)wire_send(client->wire, command->bytes, command->size);
    client->unread++;
    text_clear(command);
}

static void disturb_key(struct stream *stream)
{
    unsigned key = random_below(&stream->random, STREAM_KEYS);

    switch (random_below(&stream->random, 6)) {
    case 0:
        wire_command(control, "DEL k%u", key);
        break;
    case 1:
        wire_command(control, "RENAME k%u k%u", key, (key + 1) % STREAM_KEYS);
        break;
    case 2:
        wire_command(control, "PEXPIRE k%u 1", key);
        break;
    case 3:
        wire_command(control, "COPY k%u k%u REPLACE", key, (key + 1) % STREAM_KEYS);
        break;
    case 4:
        wire_command(control, random_percent(&stream->random, 20) ? "FLUSHALL" : "PING");
        break;
    default:
        wire_command(control, "SWAPDB 0 1");
        break;
    }
    wire_skip(control, 1);
}

static void disturb_client(struct stream *stream, struct client *client)
{
    switch (random_below(&stream->random, 3)) {
    case 0:
        (void)ask_integer(control, "CLIENT KILL ID %lld", client->id);
        break;
    case 1:
        wire_reset(client->wire);
        open_client(client);
        break;
    default:
        wire_close(client->wire);
        open_client(client);
        break;
    }
}

static void step(struct stream *stream, struct client *clients)
{
    struct client *client = &clients[random_below(&stream->random, CLIENTS)];
    struct text command = { 0 };
    unsigned choice = random_below(&stream->random, 100);
    int key = (int)random_below(&stream->random, STREAM_KEYS);

    for (int i = 0; i < CLIENTS; i++)
        read_some(&clients[i]);
    if (choice < 5) {
        disturb_client(stream, client);
    } else if (choice < 9) {
        disturb_key(stream);
    } else if (choice < 20) {
        stream->lengths[key] = ask_integer(control, "LLEN k%d", key);
        while (stream_fill(stream, key, &command)) {
            (void)wire_send(control, command.bytes, command.size);
            (void)ask_integer(control, "");
            text_clear(&command);
        }
    } else if (client->unread < 4) {
        stream_command(stream, &command);
        send_to(client, &command);
    }
    text_finish(&command);
}

/* What LLEN says is what LRANGE gives, from either end. */
static void check_lists(void)
{
    for (int database = 0; database < 2; database++) {
        expect_ok(control, "SELECT %d", database);
        for (int key = 0; key < STREAM_KEYS; key++) {
            long long length = ask_integer(control, "LLEN k%d", key);
            struct text reply = { 0 };
            wire_command(control, "LRANGE k%d 0 -1", key);
            ck_assert_int_eq(wire_read(control, &reply), 1);
            ck_assert_int_eq(strtoll(reply.bytes + 1, NULL, 10), length);
            text_finish(&reply);
        }
    }
    expect_ok(control, "SELECT 0");
}

START_TEST(disturbed_commands_leave_no_trace)
{
    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;
    struct client clients[CLIENTS];

    for (uint64_t seed = first; seed < first + count; seed++) {
        struct stream stream;
        stream_init(&stream, seed, LIST_LENGTH);
        for (int i = 0; i < CLIENTS; i++)
            open_client(&clients[i]);
        for (unsigned i = 0; i < suite_scaled(STEPS); i++)
            step(&stream, clients);
        for (int i = 0; i < CLIENTS; i++)
            wire_close(clients[i].wire);
        info_wait(control, "connected_clients", 1);
        check_lists();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disturbed");
    TCase *tcase = suite_case(suite, "disturbed");

    tcase_add_unchecked_fixture(tcase, start_server, stop_server);
    tcase_add_checked_fixture(tcase, open_control, close_control);
    tcase_add_test(tcase, other_clients_go_on_while_a_walk_is_under_way);
    tcase_add_test(tcase, commands_behind_a_walk_run_in_the_order_of_their_arrival);
    tcase_add_test(tcase, a_walk_whose_client_was_killed_changes_all_or_nothing);
    tcase_add_test(tcase, disturbed_commands_leave_no_trace);
    return suite_run(suite);
}
