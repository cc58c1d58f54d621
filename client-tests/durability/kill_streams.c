/* kill -9 at any moment, with streams and consumer groups: an entry that was answered is there, in
 * order and once; what was acknowledged and answered is never delivered again; what was delivered
 * and not acknowledged is pending, whoever has it.
 *
 * **Producers** add numbered entries to one stream. **Consumers** of a group read them, acknowledge
 * some of them, and delete some of those. After each kill all of it is compared with what was
 * answered, then each consumer takes what it has pending. **Keepers** have a stream each that they
 * trim: its state must be one that it had between the last answer and the last command.
 *
 * Checkpoints are made now and then, the directory stays, the mode changes from round to round.
 * SLUICE_SEED=N runs that seed. */
#include "client-tests/durability/lives.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 15, /* before scaling */
    PRODUCERS = 3,
    CONSUMERS = 3,
    KEEPERS = 3,
    DUE_MAX = 24,         /* commands of a client, not yet answered */
    NUMBERS_MAX = 200000, /* of a producer */
    ID_BYTES = 44,
    NOBODY = CONSUMERS,
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
                                   NULL };
enum { MODE_ARGUMENT = 3 };

struct entry {
    char id[ID_BYTES]; /* "": not known yet */
    bool was_added;    /* answered */
    bool was_taken;    /* a consumer has got it */
    unsigned owner;    /* the last consumer that got it */
    bool ack_sent, ack_answered, delete_sent, delete_answered;
    bool is_there, is_pending; /* as the last look found it */
};

struct producer {
    struct life_client client;
    uint32_t sent, answered;
    struct entry *entries; /* NUMBERS_MAX */
};

enum ask { ASK_READ, ASK_ACK, ASK_DELETE };

struct consumer {
    struct life_client client;
    unsigned due; /* in the order in which they were sent */
    enum ask asks[DUE_MAX];
    struct entry *entries[DUE_MAX]; /* of ASK_ACK and ASK_DELETE */
    unsigned first;
};

struct range {
    uint32_t head, tail; /* the stream holds [head, tail); tail - 1 were ever added */
};

struct keeper {
    struct life_client client;
    struct range *ranges; /* [0]: when this server began */
    uint32_t sent, answered;
};

static struct {
    struct producer producers[PRODUCERS];
    struct consumer consumers[CONSUMERS];
    struct keeper keepers[KEEPERS];
} test;

/* ---- replies ----------------------------------------------------------------------------------
 */

/* The next bulk string of a raw reply, cut at size; false: there is none. */
static bool next_bulk(const char **at, char *out, size_t size)
{
    while (**at) {
        const char *line = *at, *end = strchr(line, '\n') + 1;
        long length = strtol(line + 1, NULL, 10);

        *at = end;
        if (*line != '$' || length < 0) continue;
        (void)snprintf(out, size, "%.*s", (int)length, end);
        *at = end + length + 2;
        return true;
    }
    return false;
}

static void expect_no_error(const struct text *reply)
{
    ck_assert_msg(reply->bytes[0] != '-', "%s: %s", life.place, reply->bytes);
}

static struct entry *entry_of(const char *value)
{
    unsigned producer, number;

    ck_assert_msg(sscanf(value, "%u:%u:", &producer, &number) == 2, "%s: %s", life.place, value);
    ck_assert_uint_lt(producer, PRODUCERS);
    ck_assert_uint_lt(number, test.producers[producer].sent);
    return &test.producers[producer].entries[number];
}

static void learn_id(struct entry *entry, const char *id)
{
    if (entry->id[0] == '\0') strcpy(entry->id, id);
    ck_assert_msg(strcmp(entry->id, id) == 0, "%s: one entry is both %s and %s", life.place,
                  entry->id, id);
}

/* ---- producers --------------------------------------------------------------------------------
 */

static void feed_producer(struct life_client *client)
{
    struct producer *producer = (struct producer *)client;
    unsigned count = 1 + below(6);
    char value[100];

    while (count-- > 0 && producer->sent - producer->answered < DUE_MAX) {
        ck_assert_uint_lt(producer->sent, NUMBERS_MAX);
        (void)snprintf(value, sizeof(value), "%u:%u:%0*d", client->index, producer->sent,
                       1 + (int)below(60), 0);
        wire_command(client->wire, "XADD queue * e %s", value);
        producer->sent++;
    }
}

static void take_id(struct life_client *client, const struct text *reply)
{
    struct producer *producer = (struct producer *)client;
    struct entry *entry = &producer->entries[producer->answered++];
    const char *at = text_string(reply);
    char id[ID_BYTES];

    expect_no_error(reply);
    ck_assert(next_bulk(&at, id, sizeof(id)));
    learn_id(entry, id);
    entry->was_added = true;
}

/* ---- consumers --------------------------------------------------------------------------------
 */

static void ask(struct consumer *consumer, enum ask what, struct entry *entry)
{
    unsigned at = (consumer->first + consumer->due++) % DUE_MAX;

    ck_assert_uint_le(consumer->due, DUE_MAX);
    consumer->asks[at] = what;
    consumer->entries[at] = entry;
}

/* An entry that was delivered: it may be acknowledged, and deleted. */
static void take(struct consumer *consumer, const char *id, const char *value)
{
    struct entry *entry = entry_of(value);
    unsigned index = consumer->client.index;

    learn_id(entry, id);
    ck_assert_msg(!entry->ack_answered, "%s: %s was acknowledged, and is delivered to %u again",
                  life.place, id, index);
    ck_assert_msg(!entry->delete_answered, "%s: %s was deleted, and is delivered", life.place, id);
    entry->was_taken = true;
    entry->owner = index;
    if (life.is_over || below(10) < 3 || consumer->due + 2 > DUE_MAX || entry->ack_sent) return;
    entry->ack_sent = true;
    wire_command(consumer->client.wire, "XACK queue g %s", id);
    ask(consumer, ASK_ACK, entry);
    if (below(4) > 0) return;
    entry->delete_sent = true;
    wire_command(consumer->client.wire, "XDEL queue %s", id);
    ask(consumer, ASK_DELETE, entry);
}

static void take_all(struct consumer *consumer, const struct text *reply)
{
    const char *at = text_string(reply);
    char id[ID_BYTES], word[ID_BYTES], value[ID_BYTES];

    if (!next_bulk(&at, id, sizeof(id))) return; /* nothing: nil */
    ck_assert_str_eq(id, "queue");
    while (next_bulk(&at, id, sizeof(id))) {
        ck_assert(next_bulk(&at, word, sizeof(word)) && strcmp(word, "e") == 0);
        ck_assert(next_bulk(&at, value, sizeof(value)));
        take(consumer, id, value);
    }
}

static void take_answer(struct life_client *client, const struct text *reply)
{
    struct consumer *consumer = (struct consumer *)client;
    struct entry *entry = consumer->entries[consumer->first];
    enum ask what = consumer->asks[consumer->first];

    expect_no_error(reply);
    consumer->first = (consumer->first + 1) % DUE_MAX;
    consumer->due--;
    if (what == ASK_READ)
        take_all(consumer, reply);
    else if (what == ASK_ACK)
        entry->ack_answered = true;
    else
        entry->delete_answered = true;
}

static void feed_consumer(struct life_client *client)
{
    struct consumer *consumer = (struct consumer *)client;

    if (consumer->due > DUE_MAX / 3) return;
    wire_command(client->wire, "XREADGROUP GROUP g c%u COUNT %u STREAMS queue >", client->index,
                 1 + below(8));
    ask(consumer, ASK_READ, NULL);
}

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

/* ---- what is there afterwards -----------------------------------------------------------------
 */

static void read_reply(struct wire *wire, struct text *reply, const char *command)
{
    text_clear(reply);
    wire_command(wire, command);
    ck_assert_int_eq(wire_read(wire, reply), 1);
    expect_no_error(reply);
}

static bool is_less(const char *a, const char *b)
{
    unsigned long long a_ms, a_seq, b_ms, b_seq;

    ck_assert_int_eq(sscanf(a, "%llu-%llu", &a_ms, &a_seq), 2);
    ck_assert_int_eq(sscanf(b, "%llu-%llu", &b_ms, &b_seq), 2);
    return a_ms != b_ms ? a_ms < b_ms : a_seq < b_seq;
}

/* Marks what is there; in order, none twice, none that was deleted. */
static void look_at_entries(struct wire *wire)
{
    struct entry *last[PRODUCERS] = { NULL };
    char id[ID_BYTES], word[ID_BYTES], value[ID_BYTES], before[ID_BYTES] = "0-0";
    struct text reply = { 0 };
    const char *at;

    read_reply(wire, &reply, "XRANGE queue - +");
    at = text_string(&reply);
    while (next_bulk(&at, id, sizeof(id))) {
        struct entry *entry;
        unsigned producer;

        ck_assert(next_bulk(&at, word, sizeof(word)) && next_bulk(&at, value, sizeof(value)));
        entry = entry_of(value);
        producer = (unsigned)strtoul(value, NULL, 10);
        learn_id(entry, id);
        ck_assert_msg(is_less(before, id), "%s: %s comes behind %s", life.place, id, before);
        ck_assert_msg(!last[producer] || last[producer] < entry, "%s: %s is out of order",
                      life.place, value);
        ck_assert_msg(!entry->delete_answered, "%s: %s was deleted, and is there", life.place, id);
        entry->is_there = true;
        last[producer] = entry;
        strcpy(before, id);
    }
    text_finish(&reply);
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(struct entry *const *)a)->id, (*(struct entry *const *)b)->id);
}

static struct entry **sort_by_id(size_t *out_count)
{
    struct entry **sorted = calloc((size_t)PRODUCERS * NUMBERS_MAX, sizeof(struct entry *));
    size_t count = 0;

    ck_assert_ptr_nonnull(sorted);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < test.producers[i].sent; k++) {
            if (test.producers[i].entries[k].id[0] != '\0')
                sorted[count++] = &test.producers[i].entries[k];
        }
    }
    qsort(sorted, count, sizeof(struct entry *), compare_ids);
    *out_count = count;
    return sorted;
}

/* Marks what is pending; whose it is fits to what was delivered. */
static void look_at_pending(struct wire *wire)
{
    char consumer[ID_BYTES];
    struct entry key, *key_at = &key;
    struct text reply = { 0 };
    const char *at;
    size_t count;
    struct entry **sorted = sort_by_id(&count);

    read_reply(wire, &reply, "XPENDING queue g - + 10000000");
    at = text_string(&reply);
    while (next_bulk(&at, key.id, sizeof(key.id))) {
        struct entry **found = bsearch(&key_at, sorted, count, sizeof(struct entry *), compare_ids);

        ck_assert(next_bulk(&at, consumer, sizeof(consumer)));
        ck_assert_msg(found, "%s: %s is pending, and no entry that ever was", life.place, key.id);
        ck_assert_msg(!(*found)->ack_answered, "%s: %s was acknowledged, and is pending of %s",
                      life.place, key.id, consumer);
        ck_assert_msg(!(*found)->was_taken || consumer[1] == (char)('0' + (*found)->owner),
                      "%s: %s was delivered to c%u, and is pending of %s", life.place, key.id,
                      (*found)->owner, consumer);
        (*found)->is_pending = true;
    }
    text_finish(&reply);
    free(sorted);
}

static void check_entry(unsigned producer, uint32_t number, struct entry *entry)
{
    if (entry->was_added && !entry->delete_sent)
        ck_assert_msg(entry->is_there, "%s: entry %u:%u (%s) was added and answered, and is lost",
                      life.place, producer, number, entry->id);
    if (entry->was_taken && !entry->ack_sent)
        ck_assert_msg(entry->is_pending,
                      "%s: entry %u:%u (%s) was delivered to c%u, not acknowledged, and is not "
                      "pending",
                      life.place, producer, number, entry->id, entry->owner);
    /* What was sent and never answered has happened or not; from here on it is known. */
    if (entry->ack_sent && !entry->is_pending) entry->ack_answered = true;
    if (entry->delete_sent && !entry->is_there) entry->delete_answered = true;
    entry->ack_sent = entry->ack_answered;
    entry->delete_sent = entry->delete_answered;
    if (entry->is_there) entry->was_added = true;
}

/* Nobody knows what became of what was under way when the server died: it is looked at now. */
static void forget_what_is_due(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        test.producers[i].answered = test.producers[i].sent;
    for (unsigned i = 0; i < CONSUMERS; i++)
        test.consumers[i].due = 0;
}

static void check_queue(struct wire *wire)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < test.producers[i].sent; k++)
            test.producers[i].entries[k].is_there = test.producers[i].entries[k].is_pending = false;
    }
    look_at_entries(wire);
    look_at_pending(wire);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < test.producers[i].sent; k++)
            check_entry(i, k, &test.producers[i].entries[k]);
    }
}

/* Each consumer takes its own again: what it had got, and what was on its way to it. */
static void take_pending(struct wire *wire)
{
    struct text reply = { 0 };

    for (unsigned i = 0; i < CONSUMERS; i++) {
        struct consumer *consumer = &test.consumers[i];
        char command[80];

        (void)snprintf(command, sizeof(command), "XREADGROUP GROUP g c%u COUNT 8 STREAMS queue 0",
                       i);
        read_reply(wire, &reply, command);
        consumer->client.wire = wire;
        take_all(consumer, &reply);
        while (consumer->due > 0) {
            text_clear(&reply);
            ck_assert_int_eq(wire_read(wire, &reply), 1);
            take_answer(&consumer->client, &reply);
        }
    }
    text_finish(&reply);
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
    forget_what_is_due();
    for (unsigned i = 0; i < KEEPERS; i++) {
        uint32_t tail = test.keepers[i].ranges[test.keepers[i].sent].tail;

        check_keeper(wire, &test.keepers[i], i);
        go_on(&test.keepers[i], tail);
    }
    check_queue(wire);
    take_pending(wire);
}

static void set_up(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        test.producers[i].entries = calloc(NUMBERS_MAX, sizeof(struct entry));
        ck_assert_ptr_nonnull(test.producers[i].entries);
        life_add_client(&test.producers[i].client, i, feed_producer, take_id);
    }
    for (unsigned i = 0; i < CONSUMERS; i++)
        life_add_client(&test.consumers[i].client, i, feed_consumer, take_answer);
    for (unsigned i = 0; i < KEEPERS; i++) {
        test.keepers[i].ranges = calloc(NUMBERS_MAX, sizeof(struct range));
        ck_assert_ptr_nonnull(test.keepers[i].ranges);
        test.keepers[i].ranges[0] = (struct range){ 1, 1 };
        life_add_client(&test.keepers[i].client, i, feed_keeper, take_keepers_reply);
    }
}

/* Else nothing was shown. */
static void expect_much_was_done(void)
{
    unsigned long added = 0, acknowledged = 0, deleted = 0;

    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < test.producers[i].sent; k++) {
            const struct entry *entry = &test.producers[i].entries[k];
            added += entry->was_added;
            acknowledged += entry->ack_answered;
            deleted += entry->delete_answered;
        }
    }
    ck_assert_msg(acknowledged >= 10 && deleted >= 5 && added > acknowledged,
                  "%lu entries were added, %lu acknowledged, %lu deleted", added, acknowledged,
                  deleted);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        free(test.producers[i].entries);
    for (unsigned i = 0; i < KEEPERS; i++)
        free(test.keepers[i].ranges);
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
        life_live_and_die(&test.keepers[0].answered);
    }
    server_restart(&life.server);
    wire = wire_open(&life.server);
    check_all(wire);
    expect_much_was_done();
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
