/* kill -9 at any moment, with streams and consumer groups: an entry that was answered is there, in
 * order and once; what was acknowledged and answered is never delivered again; what was delivered
 * and not acknowledged is pending, whoever has it.
 *
 * **Producers** add numbered entries to one stream. **Consumers** of a group read them, acknowledge
 * most of them, and delete most of those, so that segments are written anew without them. After
 * each kill all of it is compared with what was answered, then each consumer takes what it has
 * pending. **Keepers** have a stream each that they trim: its state must be one that it had between
 * the last answer and the last command.
 *
 * Checkpoints are made now and then, the directory stays, the mode changes from round to round, and
 * now and then what segments are compressed with.
 * SLUICE_SEED=N runs that seed. */
#include "client-tests/durability/kill_queue.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 15, /* before scaling */
    KEEPERS = 3,
};

static const char *arguments[] = { "--appendonly",
                                   "yes",
                                   "--appendfsync",
                                   "always",
                                   "--maxmemory",
                                   "256mb",
                                   "--auto-aof-rewrite-min-size",
                                   "1",
                                   "--auto-aof-rewrite-percentage",
                                   "1",
                                   "--stream-segment-bytes",
                                   "64kb",
                                   "--stream-compress",
                                   "none",
                                   NULL };
enum { MODE_ARGUMENT = 3, CODEC_ARGUMENT = 13 };
static const char *const codecs[] = { "lz4", "none", "zstd" };

struct range {
    uint32_t head, tail; /* the stream holds [head, tail); tail - 1 were ever added */
};

struct keeper {
    struct life_client client;
    struct range *ranges; /* [0]: when this server began */
    uint32_t sent, answered;
};

static struct keeper keepers[KEEPERS];

/* ---- keepers ----------------------------------------------------------------------------------
 */

static void feed_keeper(struct life_client *client)
{
    struct keeper *keeper = (struct keeper *)client;
    unsigned index = client->index;
    unsigned count = 1 + below(6);

    while (count-- > 0 && keeper->sent - keeper->answered < DUE_MAX) {
        struct range *range = &keeper->ranges[keeper->sent + 1];

        *range = keeper->ranges[keeper->sent];
        if (below(3) > 0 || range->head == range->tail) {
            wire_command(client->wire, "XADD kept%u %u-%u number %u", index, range->tail,
                         range->tail % 7, range->tail);
            range->tail++;
        } else if (below(2) == 0) {
            range->head += below(range->tail - range->head + 1);
            wire_command(client->wire, "XTRIM kept%u MINID = %u", index, range->head);
        } else {
            range->head = range->tail - below(range->tail - range->head + 1);
            wire_command(client->wire, "XTRIM kept%u MAXLEN %u", index, range->tail - range->head);
        }
        keeper->sent++;
    }
}

static void take_keepers_reply(struct life_client *client, const struct text *reply)
{
    expect_no_error(reply);
    ((struct keeper *)client)->answered++;
}

static void check_keeper(struct wire *wire, struct keeper *keeper, unsigned index)
{
    char id[ID_BYTES], word[ID_BYTES], value[ID_BYTES], command[80];
    uint32_t count = 0, first = 0, next = 0, at;
    struct text reply = { 0 };
    const char *text;

    (void)snprintf(command, sizeof(command), "XRANGE kept%u - +", index);
    read_reply(wire, &reply, command);
    text = text_string(&reply);
    for (; next_bulk(&text, id, sizeof(id)); count++) {
        ck_assert(next_bulk(&text, word, sizeof(word)) && next_bulk(&text, value, sizeof(value)));
        if (count == 0) first = next = (uint32_t)strtoul(value, NULL, 10);
        ck_assert_msg(strtoul(value, NULL, 10) == next, "%s: kept%u misses %u", life.place, index,
                      next);
        next++;
    }
    for (at = keeper->answered; at <= keeper->sent; at++) {
        const struct range *range = &keeper->ranges[at];
        if (range->tail - range->head != count) continue;
        if (count == 0 || range->head == first) break;
    }
    ck_assert_msg(at <= keeper->sent,
                  "%s: keeper %u: %u were answered, %u sent; its stream holds %u from %u on",
                  life.place, index, keeper->answered, keeper->sent, count, first);
    text_finish(&reply);
    keeper->ranges[0] = keeper->ranges[at];
    keeper->sent = keeper->answered = 0;
}

/* Behind the last entry that it ever had, whatever was trimmed: an empty stream may be in one of
 * several states, so each goes on from the greatest number that was sent. */
static void go_on(struct keeper *keeper, uint32_t tail)
{
    if (keeper->ranges[0].head == keeper->ranges[0].tail)
        keeper->ranges[0] = (struct range){ tail, tail };
}

static void check_all(struct wire *wire)
{
    for (unsigned i = 0; i < KEEPERS; i++) {
        uint32_t tail = keepers[i].ranges[keepers[i].sent].tail;

        check_keeper(wire, &keepers[i], i);
        go_on(&keepers[i], tail);
    }
    queue_check(wire);
}

static void set_up(void)
{
    queue_set_up();
    for (unsigned i = 0; i < KEEPERS; i++) {
        keepers[i].ranges = calloc(NUMBERS_MAX, sizeof(struct range));
        ck_assert_ptr_nonnull(keepers[i].ranges);
        keepers[i].ranges[0] = (struct range){ 1, 1 };
        life_add_client(&keepers[i].client, i, feed_keeper, take_keepers_reply);
    }
}

static void tear_down(void)
{
    queue_tear_down();
    for (unsigned i = 0; i < KEEPERS; i++)
        free(keepers[i].ranges);
}

START_TEST(what_was_answered_is_there_and_nothing_is_delivered_behind_its_acknowledgement)
{
    struct server_options options = { .own_arguments = arguments };
    const char *seed_text = getenv("SLUICE_SEED");
    unsigned long seed = seed_text ? strtoul(seed_text, NULL, 10) : 1;
    struct wire *wire;

    life.random.state = seed;
    set_up();
    for (unsigned round = 0; round < suite_scaled(ROUNDS); round++) {
        (void)snprintf(life.place, sizeof(life.place), "seed %lu, round %u, %s", seed, round,
                       arguments[MODE_ARGUMENT]);
        arguments[MODE_ARGUMENT] = life_modes[round % 3];
        arguments[CODEC_ARGUMENT] = codecs[round / 3 % 3];
        if (round == 0) {
            server_start(&life.server, &options);
            wire = wire_open(&life.server);
            expect_ok(wire, "XGROUP CREATE queue g $ MKSTREAM");
        } else {
            server_restart(&life.server);
            wire = wire_open(&life.server);
            check_all(wire);
        }
        wire_close(wire);
        life_live_and_die(&keepers[0].answered);
    }
    server_restart(&life.server);
    wire = wire_open(&life.server);
    check_all(wire);
    queue_expect_much_was_done();
    wire_close(wire);
    server_stop(&life.server);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill streams");
    TCase *cases = suite_case(suite, "kill");

    tcase_set_timeout(cases, 600);
    tcase_add_test(cases,
                   what_was_answered_is_there_and_nothing_is_delivered_behind_its_acknowledgement);
    return suite_run(suite);
}
