/* Everything at once, at random: list commands of all kinds on lists far above memory, blocking
 * ones, transactions with and without WATCH, times to live, FLUSHDB, SWAPDB, renames, CLIENT KILL,
 * UNBLOCK and PAUSE, readers that fall asleep, a monitor, and clients that vanish at any moment.
 *
 * What must hold: the server lives; an element that was pushed and acknowledged, and that no reply
 * took out, is there once at the end; none comes twice; one of a transaction that did not run never
 * comes; every client that stays is answered; when all have gone nothing is left of them; and the
 * log of all this leads to the same again.
 *
 * chaos_work.h has what is sent, chaos_elements.h the account of the elements; here is the course
 * of it: clients come, work and go, and at the end all is looked through.
 *
 * SLUICE_SEED=N runs that seed only, SLUICE_TEST_CLIENTS=2000 with so many clients. */
#include "client-tests/core/chaos_work.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 28, /* at once, unless $SLUICE_TEST_CLIENTS says otherwise */
    SEEDS = 4,
    STEPS = 12000, /* of a seed, before scaling */
    PHASE_STEPS = 1500,
};

static const char *const tiny[] = { "--enable-debug-command",
                                    "yes",
                                    "--list-chunk-bytes",
                                    "512",
                                    "--list-memory-max",
                                    "256kb",
                                    "--slice-us",
                                    "10",
                                    "--maxmemory",
                                    "128mb",
                                    NULL };

/* ---- clients ----------------------------------------------------------------------------------
 */

static void open_peer(struct chaos *chaos, struct peer *peer)
{
    *peer = (struct peer){ .wire = wire_open(&chaos->server) };
    peer->id = ask_integer(peer->wire, "CLIENT ID");
}

static void close_peer(struct peer *peer)
{
    wire_close(peer->wire);
    *peer = (struct peer){ 0 };
}

/* Takes in what has come. False: the server has closed the connection. */
static bool read_peer(struct chaos *chaos, struct peer *peer)
{
    struct text reply = { 0 };
    int rc = -EAGAIN;

    while (peer->wire && (peer->replies_due > 0 || peer->is_doomed || peer->is_monitor) &&
           (rc = wire_read_now(peer->wire, &reply)) == 1) {
        if (peer->is_monitor) {
            text_clear(&reply);
            continue;
        }
        ck_assert_msg(peer->replies_due > 0, "%s: a reply too many: %s", chaos->elements.place,
                      text_string(&reply));
        peer->replies_due--;
        judge_reply(chaos, peer, &reply);
        text_clear(&reply);
    }
    text_finish(&reply);
    if (rc != 0) return true;
    ck_assert_msg(peer->is_doomed, "%s: client %lld was closed", chaos->elements.place, peer->id);
    return false;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void vanish(struct chaos *chaos, struct peer *peer)
{
    if (below(chaos, 2))
        wire_reset(peer->wire);
    else
        wire_close(peer->wire);
    *peer = (struct peer){ 0 };
}

static void run_step(struct chaos *chaos)
{
    struct peer *peer = &chaos->peers[below(chaos, chaos->client_count)];

    for (unsigned i = 0; i < chaos->client_count; i++) {
        struct peer *reader = &chaos->peers[i];

        if (reader->is_asleep && below(chaos, 100)) continue;
        reader->is_asleep = false;
        if (reader->wire && !read_peer(chaos, reader)) close_peer(reader);
    }
    if (!peer->wire) {
        open_peer(chaos, peer);
        if (below(chaos, 40) == 0) {
            peer->is_monitor = true;
            wire_command(peer->wire, "MONITOR");
        }
    } else if (below(chaos, 25) == 0 && (peer->kind != UNIT_TAKE || peer->replies_due == 0)) {
        vanish(chaos, peer);
    } else if (peer->replies_due == 0 && !peer->is_doomed && !peer->is_monitor) {
        start_unit(chaos, peer);
    }
}

/* ---- the end -----------------------------------------------------------------------------------
 */

/* Who is killed or quits goes, whoever else stays is answered. */
static void end_units(struct chaos *chaos)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    bool is_waiting = true;

    while (is_waiting) {
        is_waiting = false;
        for (unsigned i = 0; i < chaos->client_count; i++) {
            struct peer *peer = &chaos->peers[i];

            if (!peer->wire) continue;
            if (!read_peer(chaos, peer) || peer->is_monitor ||
                (peer->is_doomed && peer->kind != UNIT_TAKE)) {
                close_peer(peer);
            } else if (peer->replies_due > 0) {
                is_waiting = true;
                (void)ask_integer(chaos->control, "CLIENT UNBLOCK %lld", peer->id);
            }
        }
        if (is_waiting && !clock_probe(deadline_ms)) break;
    }
    for (unsigned i = 0; i < chaos->client_count; i++) {
        struct peer *peer = &chaos->peers[i];

        ck_assert_msg(peer->replies_due == 0, "%s: client %lld is owed %u replies to %s",
                      chaos->elements.place, peer->id, peer->replies_due,
                      peer->wire ? peer->wire->last_sent : "");
        if (peer->wire) close_peer(peer);
    }
}

static void expect_nothing_left(struct chaos *chaos)
{
    static const char *const fields[] = {
        "blocked_clients", "total_blocking_keys", "watching_clients",  "parked_clients",
        "queued_clients",  "throttled_clients",   "streaming_clients", "claims",
        "mem_parked",      "mem_sessions",
    };

    info_wait(chaos->control, "connected_clients", 1);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        info_wait(chaos->control, fields[i], 0);
}

/* Some key is to expire yet, or did while it was asked for. */
static bool has_passing_keys(struct text *contents)
{
    return strstr(text_string(contents), " :1") || strstr(text_string(contents), " :-2");
}

/* What the log, if there is one, says of all this leads to the same, once nothing is to expire any
 * more. */
static void expect_same_from_the_log(struct chaos *chaos)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text contents = { 0 };

    if (info_number(chaos->control, "aof_enabled") == 0) return;
    do {
        text_clear(&contents);
        contents_add(&contents, chaos->control);
    } while (has_passing_keys(&contents) && clock_probe(deadline_ms));
    expect_ok(chaos->control, "DEBUG LOADAOF");
    contents_expect(chaos->control, &contents, chaos->elements.place);
    text_finish(&contents);
}

static void drain(struct chaos *chaos)
{
    struct text reply = { 0 };

    for (int i = 0; i < KEYS; i++) {
        while (ask_integer(chaos->control, "LLEN s%d", i) > 0) {
            text_clear(&reply);
            wire_command(chaos->control, "LPOP s%d 500", i);
            ck_assert_int_eq(wire_read(chaos->control, &reply), 1);
            elements_take(&chaos->elements, &reply);
        }
    }
    text_finish(&reply);
}

static void run_seed(struct chaos *chaos, uint64_t seed)
{
    unsigned steps = suite_scaled(STEPS);

    chaos->random = (struct random){ seed };
    elements_forget(&chaos->elements);
    for (unsigned step = 0; step < steps; step++) {
        (void)snprintf(chaos->elements.place, sizeof(chaos->elements.place), "seed %llu, step %u",
                       (unsigned long long)seed, step);
        chaos->is_scarce = step / PHASE_STEPS % 2 == 1;
        run_step(chaos);
    }
    expect_ok(chaos->control, "CLIENT UNPAUSE");
    end_units(chaos);
    server_must_live(&chaos->server);
    expect_nothing_left(chaos);
    expect_same_from_the_log(chaos);
    drain(chaos);
    elements_expect_all_came(&chaos->elements);
    expect_ok(chaos->control, "FLUSHALL");
    info_wait(chaos->control, "spill_lists_being_freed", 0);
    info_wait(chaos->control, "spill_lists", 0);
    info_wait(chaos->control, "spill_elements", 0);
}

static unsigned wanted_clients(void)
{
    const char *text = getenv("SLUICE_TEST_CLIENTS");
    unsigned long count = text ? strtoul(text, NULL, 10) : CLIENTS;

    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, CLIENTS_MAX);
    return (unsigned)count;
}

START_TEST(nothing_is_lost_and_nothing_stays_behind)
{
    struct server_options options = { .own_arguments = tiny };
    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;
    static struct chaos chaos;

    elements_create(&chaos.elements);
    chaos.client_count = wanted_clients();
    server_start(&chaos.server, &options);
    chaos.control = wire_open(&chaos.server);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(&chaos, seed);
    wire_close(chaos.control);
    server_stop(&chaos.server);
    elements_destroy(&chaos.elements);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chaos");
    TCase *tcase = suite_case(suite, "chaos");

    tcase_add_test(tcase, nothing_is_lost_and_nothing_stays_behind);
    return suite_run(suite);
}
