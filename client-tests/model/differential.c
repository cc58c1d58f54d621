/* Ours and redis-server, asked the same, answer the same: byte for byte, in RESP2 and RESP3, with
 * chunks of 512 bytes and a budget of 256 KiB, so that nearly everything is on disk.
 *
 * SLUICE_SEED=N runs the random commands with that seed only. */
#include "client-tests/lib/observe.h"
#include "client-tests/lib/pair.h"
#include "client-tests/lib/script.h"
#include "client-tests/lib/stream.h"
#include "client-tests/lib/suite.h"
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 4,
    STEPS = 1200,            /* of a seed, before scaling */
    LIST_LENGTH = 4000,      /* of about 300 bytes: 5 MB in all, twenty times the budget */
    BURST_CLIENTS = 6,       /* connections 1… of a burst */
    BLOCKING_FIRST = 7,      /* connections that block */
    PARKED_PERCENT_MIN = 30, /* of all commands: below it the test would not test the disk */
    QUEUED_PERCENT_MIN = 1,
};

static const char *const tiny[] = {
    "--list-chunk-bytes", "512", "--list-memory-max", "256kb", "--enable-debug-command", "yes", NULL
};

/* ---- fixed scripts -----------------------------------------------------------------------------
 */

static void run_scripts(int protocol)
{
    static struct pair pair;
    const char *pattern = getenv("SLUICE_SCRIPTS");
    glob_t scripts;

    if (!pattern) pattern = "client-tests/model/scripts/*.txt";
    ck_assert_msg(glob(pattern, 0, NULL, &scripts) == 0, "no %s: run me from the root", pattern);
    pair_start(&pair, tiny);
    for (size_t i = 0; i < scripts.gl_pathc && !pair_is_hopeless(&pair); i++)
        ck_assert_int_eq(script_run(&pair, scripts.gl_pathv[i], protocol), 0);
    globfree(&scripts);
    pair_finish_equal(&pair);
}

START_TEST(scripts_are_answered_as_redis_answers_them)
{
    run_scripts(2);
}
END_TEST

START_TEST(scripts_are_answered_as_redis_answers_them_in_resp3)
{
    run_scripts(3);
}
END_TEST

/* ---- random commands ---------------------------------------------------------------------------
 */

static bool ask(struct pair *pair, int connection, struct text *command)
{
    bool equal = pair_ask(pair, connection, command, PAIR_BYTES, NULL);

    text_clear(command);
    return equal;
}

static bool ask_line(struct pair *pair, int connection, const char *line)
{
    struct text command = { 0 };
    bool equal;

    ck_assert(command_from_line(&command, line));
    equal = ask(pair, connection, &command);
    text_finish(&command);
    return equal;
}

/* Where the reference stands: indexes of the next commands lie inside its lists. */
static void look_at_lengths(struct pair *pair, struct stream *stream)
{
    struct text reply = { 0 };

    for (int i = 0; i < STREAM_KEYS; i++)
        wire_command(pair->control_redis, "LLEN k%d", i);
    for (int i = 0; i < STREAM_KEYS; i++) {
        text_clear(&reply);
        ck_assert_int_eq(wire_read(pair->control_redis, &reply), 1);
        stream->lengths[i] = strtol(text_string(&reply) + 1, NULL, 10);
    }
    text_finish(&reply);
}

static bool fill_lists(struct pair *pair, struct stream *stream)
{
    struct text command = { 0 };
    bool equal = true;

    look_at_lengths(pair, stream);
    for (int i = 0; i < STREAM_KEYS && equal; i++) {
        if (stream->lengths[i] * 2 > stream->length_wanted) continue;
        while (equal && stream_fill(stream, i, &command))
            equal = ask(pair, 0, &command);
    }
    text_finish(&command);
    return equal;
}

/* Several clients at once on one long list, while a walk over it is under way. */
static bool run_burst(struct pair *pair, struct stream *stream)
{
    struct text command = { 0 };
    int key = (int)random_below(&stream->random, STREAM_KEYS);
    unsigned kind = random_below(&stream->random, 1000);
    bool equal = true;

    for (int i = 0; i < BURST_CLIENTS; i++) {
        stream_burst(stream, key, i, kind, &command);
        pair_send(pair, 1 + i, &command);
        text_clear(&command);
    }
    for (int i = 0; i < BURST_CLIENTS; i++)
        equal = pair_read(pair, 1 + i, PAIR_BYTES, NULL) && equal;
    text_finish(&command);
    return equal;
}

static bool run_transaction(struct pair *pair, struct stream *stream)
{
    struct text command = { 0 };
    unsigned count = 1 + random_below(&stream->random, 6);
    bool equal = true;

    if (random_percent(&stream->random, 30)) {
        equal = ask_line(pair, 0, "WATCH k0 k1");
        if (random_percent(&stream->random, 50)) equal = equal && ask_line(pair, 1, "RPUSH k1 w");
    }
    equal = equal && ask_line(pair, 0, "MULTI");
    for (unsigned i = 0; i < count && equal; i++) {
        if (random_percent(&stream->random, 30)) {
            stream_serving(stream, &command);
        } else {
            stream_command(stream, &command);
        }
        equal = ask(pair, 0, &command);
    }
    if (random_percent(&stream->random, 5)) equal = equal && ask_line(pair, 0, "LPUSH k0");
    text_finish(&command);
    return equal && ask_line(pair, 0, random_percent(&stream->random, 90) ? "EXEC" : "DISCARD");
}

/* One more client waits, or those who wait are served, unblocked, or vanish. */
static bool run_blocking(struct pair *pair, struct stream *stream)
{
    struct text command = { 0 };
    int connection =
        BLOCKING_FIRST + (int)random_below(&stream->random, PAIR_CONNECTIONS_MAX - BLOCKING_FIRST);
    struct pair_connection *both = &pair->connections[connection];
    unsigned choice = random_below(&stream->random, 10);
    bool equal = true;

    if (both->is_blocked && choice == 0) { /* vanishes while it waits */
        pair_drop(pair, connection);
    } else if (!both->is_blocked && choice < 7) { /* waits, or finds something */
        stream_blocking(stream, &command);
        equal = ask(pair, connection, &command);
    } else {
        stream_serving(stream, &command);
        equal = ask(pair, 0, &command);
    }
    text_finish(&command);
    return equal;
}

static bool run_step(struct pair *pair, struct stream *stream)
{
    struct text command = { 0 };
    unsigned choice = random_below(&stream->random, 100);
    bool equal;

    /* The blocking form of a pop may have met an empty list: that client gives up. */
    if (pair->connections[0].is_blocked) pair_drop(pair, 0);
    if (choice < 3) return run_burst(pair, stream);
    if (choice < 6) return run_transaction(pair, stream);
    if (choice < 16) return run_blocking(pair, stream);
    stream_command(stream, &command);
    equal = ask(pair, 0, &command);
    text_finish(&command);
    return equal;
}

static bool compare_contents(struct pair *pair)
{
    static const char *const lines[] = { "DBSIZE",         "LRANGE k0 0 -1", "LRANGE k1 0 -1",
                                         "LRANGE k2 0 -1", "LRANGE k3 0 -1", "LRANGE w0 0 -1",
                                         "LRANGE w1 0 -1", "LRANGE w2 0 -1", NULL };
    bool equal = true;

    for (int i = 0; lines[i]; i++)
        equal = ask_line(pair, 0, lines[i]) && equal;
    return equal;
}

struct counters {
    int64_t parked, queued, evicted, fetched;
};

static struct counters read_counters(struct pair *pair)
{
    struct counters counters = { .parked = 0 };

    if (pair->ours.is_redis) return counters;
    counters.parked = info_number(pair->control_ours, "parked_commands");
    counters.queued = info_number(pair->control_ours, "queued_commands");
    counters.evicted = info_number(pair->control_ours, "spill_evicted_chunks");
    counters.fetched = info_number(pair->control_ours, "spill_fetched_chunks");
    return counters;
}

static void run_seed(struct pair *pair, uint64_t seed, struct counters *sums, int64_t *command_sum)
{
    struct stream stream;
    struct counters before, after;
    unsigned steps = suite_scaled(STEPS);
    uint64_t commands_before;
    bool equal;

    stream_init(&stream, seed, LIST_LENGTH);
    pair_reset(pair, seed % 2 == 0 ? 3 : 2);
    (void)snprintf(pair->place, sizeof(pair->place), "seed %llu, filling",
                   (unsigned long long)seed);
    equal = ask_line(pair, 0, "SET \"a string\" value") && fill_lists(pair, &stream);
    before = read_counters(pair);
    commands_before = pair->command_count;
    for (unsigned step = 0; step < steps && equal; step++) {
        (void)snprintf(pair->place, sizeof(pair->place), "seed %llu, step %u",
                       (unsigned long long)seed, step);
        look_at_lengths(pair, &stream);
        if (step % 32 == 0) equal = fill_lists(pair, &stream);
        equal = equal && run_step(pair, &stream);
    }
    if (!equal) return; /* the server may be gone; the report says more than counters would */
    after = read_counters(pair);
    sums->parked += after.parked - before.parked;
    sums->queued += after.queued - before.queued;
    sums->evicted += after.evicted - before.evicted;
    sums->fetched += after.fetched - before.fetched;
    *command_sum += (int64_t)(pair->command_count - commands_before);
    (void)compare_contents(pair);
}

START_TEST(random_commands_are_answered_as_redis_answers_them)
{
    static struct pair pair;
    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;
    struct counters sums = { .parked = 0 };
    int64_t commands = 0;
    bool is_redis;

    pair_start(&pair, tiny);
    is_redis = pair.ours.is_redis; /* redis against itself: a test of this test */
    for (uint64_t seed = first; seed < first + count && pair.difference_count == 0; seed++)
        run_seed(&pair, seed, &sums, &commands);
    pair_finish_equal(&pair);
    if (is_redis) return;
    printf("%lld commands: %lld parked, %lld queued, %lld chunks evicted, %lld fetched\n",
           (long long)commands, (long long)sums.parked, (long long)sums.queued,
           (long long)sums.evicted, (long long)sums.fetched);
    ck_assert_int_ge(sums.parked * 100, commands * PARKED_PERCENT_MIN);
    ck_assert_int_ge(sums.queued * 100, commands * QUEUED_PERCENT_MIN);
    ck_assert_int_gt(sums.evicted, 0);
    ck_assert_int_gt(sums.fetched, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("differential");
    TCase *scripts = suite_case(suite, "scripts"), *random = suite_case(suite, "random");

    tcase_add_test(scripts, scripts_are_answered_as_redis_answers_them);
    tcase_add_test(scripts, scripts_are_answered_as_redis_answers_them_in_resp3);
    tcase_add_test(random, random_commands_are_answered_as_redis_answers_them);
    return suite_run(suite);
}
