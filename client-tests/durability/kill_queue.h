/* kill_queue.h - for kill_streams.c: one stream with a group, whose producers and consumers meet
 * servers that are killed.
 *
 * Each entry has a number, and it is known of each what was sent and what was answered: added,
 * delivered to whom, acknowledged, deleted. After a kill all of it is compared with what is there.
 */
#ifndef CLIENT_TESTS_DURABILITY_KILL_QUEUE_H
#define CLIENT_TESTS_DURABILITY_KILL_QUEUE_H
#include "client-tests/durability/lives.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PRODUCERS = 3,
    CONSUMERS = 3,
    DUE_MAX = 24,         /* commands of a client, not yet answered */
    NUMBERS_MAX = 200000, /* of a producer */
    ID_BYTES = 44,
};

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

static struct {
    struct producer producers[PRODUCERS];
    struct consumer consumers[CONSUMERS];
} queue;

/* ---- replies ----------------------------------------------------------------------------------
 */

/* The next bulk string of a raw reply, cut at size; false: there is none. */
static inline bool next_bulk(const char **at, char *out, size_t size)
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

static inline void expect_no_error(const struct text *reply)
{
    ck_assert_msg(reply->bytes[0] != '-', "%s: %s", life.place, reply->bytes);
}

static inline struct entry *entry_of(const char *value)
{
    unsigned producer, number;

    ck_assert_msg(sscanf(value, "%u:%u:", &producer, &number) == 2, "%s: %s", life.place, value);
    ck_assert_uint_lt(producer, PRODUCERS);
    ck_assert_uint_lt(number, queue.producers[producer].sent);
    return &queue.producers[producer].entries[number];
}

static inline void learn_id(struct entry *entry, const char *id)
{
    if (entry->id[0] == '\0') strcpy(entry->id, id);
    ck_assert_msg(strcmp(entry->id, id) == 0, "%s: one entry is both %s and %s", life.place,
                  entry->id, id);
}

/* ---- producers --------------------------------------------------------------------------------
 */

static inline void feed_producer(struct life_client *client)
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

static inline void take_id(struct life_client *client, const struct text *reply)
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

static inline void ask(struct consumer *consumer, enum ask what, struct entry *entry)
{
    unsigned at = (consumer->first + consumer->due++) % DUE_MAX;

    ck_assert_uint_le(consumer->due, DUE_MAX);
    consumer->asks[at] = what;
    consumer->entries[at] = entry;
}

/* An entry that was delivered: it may be acknowledged, and deleted. */
static inline void take(struct consumer *consumer, const char *id, const char *value)
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
    if (below(8) == 0) return;
    entry->delete_sent = true;
    wire_command(consumer->client.wire, "XDEL queue %s", id);
    ask(consumer, ASK_DELETE, entry);
}

static inline void take_all(struct consumer *consumer, const struct text *reply)
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

static inline void take_answer(struct life_client *client, const struct text *reply)
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

static inline void feed_consumer(struct life_client *client)
{
    struct consumer *consumer = (struct consumer *)client;

    if (consumer->due > DUE_MAX / 3) return;
    wire_command(client->wire, "XREADGROUP GROUP g c%u COUNT %u STREAMS queue >", client->index,
                 1 + below(8));
    ask(consumer, ASK_READ, NULL);
}

/* ---- what is there afterwards -----------------------------------------------------------------
 */

static inline void read_reply(struct wire *wire, struct text *reply, const char *command)
{
    text_clear(reply);
    wire_command(wire, command);
    ck_assert_int_eq(wire_read(wire, reply), 1);
    expect_no_error(reply);
}

static inline bool is_less(const char *a, const char *b)
{
    unsigned long long a_ms, a_seq, b_ms, b_seq;

    ck_assert_int_eq(sscanf(a, "%llu-%llu", &a_ms, &a_seq), 2);
    ck_assert_int_eq(sscanf(b, "%llu-%llu", &b_ms, &b_seq), 2);
    return a_ms != b_ms ? a_ms < b_ms : a_seq < b_seq;
}

/* Marks what is there; in order, none twice, none that was deleted. */
static inline void look_at_entries(struct wire *wire)
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

static inline int compare_ids(const void *a, const void *b)
{
    return strcmp((*(struct entry *const *)a)->id, (*(struct entry *const *)b)->id);
}

static inline struct entry **sort_by_id(size_t *out_count)
{
    struct entry **sorted = calloc((size_t)PRODUCERS * NUMBERS_MAX, sizeof(struct entry *));
    size_t count = 0;

    ck_assert_ptr_nonnull(sorted);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < queue.producers[i].sent; k++) {
            if (queue.producers[i].entries[k].id[0] != '\0')
                sorted[count++] = &queue.producers[i].entries[k];
        }
    }
    qsort(sorted, count, sizeof(struct entry *), compare_ids);
    *out_count = count;
    return sorted;
}

/* Marks what is pending; whose it is fits to what was delivered. */
static inline void look_at_pending(struct wire *wire)
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

static inline void check_entry(unsigned producer, uint32_t number, struct entry *entry)
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
static inline void forget_what_is_due(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        queue.producers[i].answered = queue.producers[i].sent;
    for (unsigned i = 0; i < CONSUMERS; i++)
        queue.consumers[i].due = 0;
}

static inline void mark_and_check(struct wire *wire)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < queue.producers[i].sent; k++)
            queue.producers[i].entries[k].is_there = queue.producers[i].entries[k].is_pending =
                false;
    }
    look_at_entries(wire);
    look_at_pending(wire);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < queue.producers[i].sent; k++)
            check_entry(i, k, &queue.producers[i].entries[k]);
    }
}

/* Each consumer takes its own again: what it had got, and what was on its way to it. */
static inline void take_pending(struct wire *wire)
{
    struct text reply = { 0 };

    for (unsigned i = 0; i < CONSUMERS; i++) {
        struct consumer *consumer = &queue.consumers[i];
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

/* ---- as a whole -------------------------------------------------------------------------------
 */

static inline void queue_set_up(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        queue.producers[i].entries = calloc(NUMBERS_MAX, sizeof(struct entry));
        ck_assert_ptr_nonnull(queue.producers[i].entries);
        life_add_client(&queue.producers[i].client, i, feed_producer, take_id);
    }
    for (unsigned i = 0; i < CONSUMERS; i++)
        life_add_client(&queue.consumers[i].client, i, feed_consumer, take_answer);
}

static inline void queue_tear_down(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        free(queue.producers[i].entries);
}

/* What is there is what may be; then each consumer has taken what it has pending. */
static inline void queue_check(struct wire *wire)
{
    forget_what_is_due();
    mark_and_check(wire);
    take_pending(wire);
}

/* Else nothing was shown. */
static inline void queue_expect_much_was_done(void)
{
    unsigned long added = 0, acknowledged = 0, deleted = 0;

    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t k = 0; k < queue.producers[i].sent; k++) {
            const struct entry *entry = &queue.producers[i].entries[k];
            added += entry->was_added;
            acknowledged += entry->ack_answered;
            deleted += entry->delete_answered;
        }
    }
    ck_assert_msg(acknowledged >= 10 && deleted >= 5 && added > acknowledged,
                  "%lu entries were added, %lu acknowledged, %lu deleted", added, acknowledged,
                  deleted);
}
#endif
