/* kill -9 at any moment: what was answered is there, nothing is there twice, order is kept.
 *
 * Two kinds of clients, all pipelining. An **owner** has keys of its own, so what they hold after
 * the kill must be what they held after one of its commands: not before the last one that was
 * answered, not behind the last one that was sent. **Producers** push numbered elements to one list
 * from which
 * **consumers** take them with BLPOP: each that was pushed and answered is still in the list, or a
 * consumer has it; only one that was on its way to a consumer may be neither; none is both.
 *
 * Checkpoints are made now and then. The directory stays from round to round, the mode changes:
 * always, everysec, no. A killed process loses nothing in any of them. SLUICE_SEED=N runs that
 * seed. */
#include "client-tests/durability/lives.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 20, /* before scaling */
    OWNERS = 6,
    PRODUCERS = 3,
    CONSUMERS = 3,
    UNITS_DUE_MAX = 24, /* of a client, not yet answered */
    ELEMENTS_MAX = 1 << 20,
    PADDING = 60,
};

static const char *arguments[] = {
    "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "64mb", "--list-memory-max",
    "256kb", "--list-chunk-bytes", "512",
    /* Checkpoints as often as a rule may ask for them: kills come amid these, too. */
    "--auto-aof-rewrite-min-size", "1", "--auto-aof-rewrite-percentage", "1", NULL
};
enum { MODE_ARGUMENT = 3 };

/* What an owner's keys hold after so many of its units. */
struct state {
    uint32_t head, tail; /* its list holds the numbers [head, tail) */
    uint32_t moved;      /* its second list the first so many of those it ever moved */
    uint32_t counter;
};

struct owner {
    struct life_client client;
    struct state *states; /* [0]: when this server began */
    uint32_t sent, answered;
    uint32_t *moved;                     /* numbers, in the order of moving */
    unsigned replies_due[UNITS_DUE_MAX]; /* of the units sent and not answered, in order */
};

struct worker {
    struct life_client client;
    uint32_t sent, answered; /* producers: elements */
    unsigned due;
};

enum fate { UNSENT, SENT, THERE, TAKEN };

static struct {
    struct owner owners[OWNERS];
    struct worker producers[PRODUCERS], consumers[CONSUMERS];
    uint8_t *fates; /* of elements, number * PRODUCERS + producer */
} test;

/* ---- owners -----------------------------------------------------------------------------------
 */

/* Elements of all lengths: the number, and zeros behind a colon. */
static const char *element_of(char text[2 * PADDING], const char *number, unsigned padding)
{
    (void)snprintf(text, 2 * PADDING, "%s:%0*d", number, 1 + (int)(padding % PADDING), 0);
    return text;
}

static void push(struct wire *wire, unsigned owner, uint32_t number)
{
    char digits[16], text[2 * PADDING];

    (void)snprintf(digits, sizeof(digits), "%u", number);
    wire_command(wire, "RPUSH own%u %s", owner, element_of(text, digits, number));
}

/* One unit more: its effect in the model, its commands on the wire. The number of replies. */
static unsigned send_unit(struct owner *owner)
{
    struct state *state = &owner->states[owner->sent + 1];
    struct wire *wire = owner->client.wire;
    unsigned index = owner->client.index;
    bool has_some;

    *state = owner->states[owner->sent];
    has_some = state->tail > state->head;
    switch (below(has_some ? 9 : 4)) {
    case 0:
    case 1:
        push(wire, index, state->tail++);
        return 1;
    case 2:
        wire_command(wire, "INCR count%u", index);
        state->counter++;
        return 1;
    case 3:
        wire_command(wire, "SET short%u x PX %u", index, 1 + below(30));
        return 1;
    case 4:
        wire_command(wire, "LPOP own%u", index);
        state->head++;
        return 1;
    case 5:
        wire_command(wire, "BLMOVE own%u moved%u LEFT RIGHT 0", index, index);
        owner->moved[state->moved++] = state->head++;
        return 1;
    case 6:
        wire_command(wire, "MULTI");
        push(wire, index, state->tail++);
        wire_command(wire, "INCR count%u", index);
        wire_command(wire, "LMOVE own%u moved%u LEFT RIGHT", index, index);
        wire_command(wire, "EXEC");
        state->counter++;
        owner->moved[state->moved++] = state->head++;
        return 5;
    case 7:
        wire_command(wire, "EXPIRE own%u %u", index, 100000 + below(1000));
        return 1;
    default:
        wire_command(wire, "LRANGE own%u 0 5", index); /* reads wait, too */
        return 1;
    }
}

static void feed_owner(struct life_client *client)
{
    struct owner *owner = (struct owner *)client;
    unsigned count = 1 + below(8);

    while (count-- > 0 && owner->sent - owner->answered < UNITS_DUE_MAX) {
        unsigned replies = send_unit(owner);
        owner->replies_due[owner->sent % UNITS_DUE_MAX] = replies;
        owner->sent++;
    }
}

static void take_owners_reply(struct life_client *client, const struct text *reply)
{
    struct owner *owner = (struct owner *)client;
    unsigned *due = &owner->replies_due[owner->answered % UNITS_DUE_MAX];

    ck_assert_msg(reply->bytes[0] != '-' && !strstr(reply->bytes, "\r\n-"), "%s: %s", life.place,
                  reply->bytes);
    if (--*due == 0) owner->answered++;
}

/* ---- producers and consumers ------------------------------------------------------------------
 */

static uint8_t *fate_of(unsigned producer, uint32_t number)
{
    ck_assert_uint_lt(number, ELEMENTS_MAX / PRODUCERS);
    return &test.fates[number * PRODUCERS + producer];
}

static void feed_producer(struct life_client *client)
{
    struct worker *producer = (struct worker *)client;
    char name[24], text[2 * PADDING];
    unsigned count = 1 + below(6);

    while (count-- > 0 && producer->sent - producer->answered < UNITS_DUE_MAX) {
        *fate_of(client->index, producer->sent) = SENT;
        (void)snprintf(name, sizeof(name), "%u:%u", client->index, producer->sent);
        wire_command(client->wire, "RPUSH queue %s", element_of(text, name, below(PADDING)));
        producer->sent++;
    }
}

static void take_length(struct life_client *client, const struct text *reply)
{
    struct worker *producer = (struct worker *)client;
    uint8_t *fate = fate_of(client->index, producer->answered++);

    ck_assert_msg(reply->bytes[0] == ':', "%s: %s", life.place, reply->bytes);
    if (*fate == SENT) *fate = THERE; /* a consumer may have been quicker */
}

static void take(const char *element, const char *how)
{
    unsigned producer, number;

    ck_assert_int_eq(sscanf(element, "%u:%u:", &producer, &number), 2);
    ck_assert_uint_lt(producer, PRODUCERS);
    ck_assert_msg(*fate_of(producer, number) == SENT || *fate_of(producer, number) == THERE,
                  "%s: element %u:%u comes %s", life.place, producer, number, how);
    *fate_of(producer, number) = TAKEN;
}

static void feed_consumer(struct life_client *client)
{
    struct worker *consumer = (struct worker *)client;

    while (consumer->due < 4) {
        wire_command(client->wire, "BLPOP nothing queue 0");
        consumer->due++;
    }
}

static void take_popped(struct life_client *client, const struct text *reply)
{
    const char *element = strstr(reply->bytes, "queue\r\n$");

    ck_assert_msg(element != NULL, "%s: %s", life.place, reply->bytes);
    take(strchr(element + 7, '\n') + 1, "twice");
    ((struct worker *)client)->due--;
}

/* Nobody knows what became of what was under way when the last server died. */
static void forget_what_is_due(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        test.producers[i].answered = test.producers[i].sent;
    for (unsigned i = 0; i < CONSUMERS; i++)
        test.consumers[i].due = 0;
}

/* ---- what is there afterwards -----------------------------------------------------------------
 */

struct found {
    char **elements;
    uint32_t count;
    uint32_t counter;
};

static void read_list(struct wire *wire, struct found *found, const char *format, unsigned index)
{
    struct text reply = { 0 };
    char *at;

    wire_command(wire, format, index);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    found->count = (uint32_t)strtoul(reply.bytes + 1, NULL, 10);
    found->elements = calloc(found->count + 1, sizeof(char *));
    ck_assert_ptr_nonnull(found->elements);
    at = strchr(reply.bytes, '\n') + 1;
    for (uint32_t i = 0; i < found->count; i++) {
        size_t size = strtoul(at + 1, NULL, 10);

        at = strchr(at, '\n') + 1;
        found->elements[i] = strndup(at, size);
        ck_assert_ptr_nonnull(found->elements[i]);
        at += size + 2;
    }
    text_finish(&reply);
}

static void forget(struct found *found)
{
    for (uint32_t i = 0; i < found->count; i++)
        free(found->elements[i]);
    free(found->elements);
}

static bool is_number(const char *element, uint32_t number)
{
    return strtoul(element, NULL, 10) == number;
}

static bool is_state(const struct owner *owner, const struct state *state, const struct found *own,
                     const struct found *moved, uint32_t counter)
{
    if (state->counter != counter || state->tail - state->head != own->count ||
        state->moved != moved->count)
        return false;
    for (uint32_t i = 0; i < own->count; i++) {
        if (!is_number(own->elements[i], state->head + i)) return false;
    }
    for (uint32_t i = 0; i < moved->count; i++) {
        if (!is_number(moved->elements[i], owner->moved[i])) return false;
    }
    return true;
}

static void check_owner(struct wire *wire, struct owner *owner, unsigned index)
{
    struct found own, moved;
    struct text reply = { 0 };
    uint32_t counter, at;

    read_list(wire, &own, "LRANGE own%u 0 -1", index);
    read_list(wire, &moved, "LRANGE moved%u 0 -1", index);
    wire_command(wire, "INCRBY count%u 0", index);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    counter = (uint32_t)strtoul(reply.bytes + 1, NULL, 10);
    for (at = owner->answered; at <= owner->sent; at++) {
        if (is_state(owner, &owner->states[at], &own, &moved, counter)) break;
    }
    ck_assert_msg(at <= owner->sent,
                  "%s: owner %u: %u units were answered, %u sent; its keys hold %u and %u elements "
                  "and the count %u, which is none of these states (the last answered one: %u, "
                  "%u, %u)",
                  life.place, index, owner->answered, owner->sent, own.count, moved.count, counter,
                  owner->states[owner->answered].tail - owner->states[owner->answered].head,
                  owner->states[owner->answered].moved, owner->states[owner->answered].counter);
    owner->states[at].counter = counter;
    owner->states[0] = owner->states[at];
    owner->sent = owner->answered = 0;
    forget(&own);
    forget(&moved);
    text_finish(&reply);
}

/* In order for each producer, none that was taken. */
static void check_order(const struct found *queue, uint8_t *seen)
{
    uint32_t last[PRODUCERS] = { 0 };

    for (uint32_t i = 0; i < queue->count; i++) {
        unsigned producer, number;

        ck_assert_int_eq(sscanf(queue->elements[i], "%u:%u:", &producer, &number), 2);
        ck_assert_msg(*fate_of(producer, number) == SENT || *fate_of(producer, number) == THERE,
                      "%s: element %u:%u was taken, and is there", life.place, producer, number);
        ck_assert_msg(number + 1 > last[producer], "%s: element %u:%u comes behind %u", life.place,
                      producer, number, last[producer] - 1);
        last[producer] = number + 1;
        seen[number * PRODUCERS + producer] = 1;
    }
}

static void check_queue(struct wire *wire)
{
    struct found queue;
    uint8_t *seen = calloc(ELEMENTS_MAX, 1);
    unsigned missing = 0, on_their_way = 0;

    ck_assert_ptr_nonnull(seen);
    read_list(wire, &queue, "LRANGE queue 0 -1", 0);
    check_order(&queue, seen);
    for (unsigned i = 0; i < CONSUMERS; i++)
        on_their_way += test.consumers[i].due;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (uint32_t number = 0; number < test.producers[i].sent; number++) {
            uint8_t *fate = fate_of(i, number);

            if (seen[number * PRODUCERS + i]) {
                *fate = THERE;
            } else if (*fate == THERE) {
                missing++;
                *fate = TAKEN;
            } else if (*fate == SENT) {
                *fate = TAKEN; /* it never came, or a consumer was to have it */
            }
        }
    }
    ck_assert_msg(missing <= on_their_way,
                  "%s: %u elements that were pushed and answered are missing, and %u BLPOP were "
                  "under way",
                  life.place, missing, on_their_way);
    forget(&queue);
    free(seen);
}

static void check_all(void)
{
    struct wire *wire = wire_open(&life.server);

    for (unsigned i = 0; i < OWNERS; i++)
        check_owner(wire, &test.owners[i], i);
    check_queue(wire);
    wire_close(wire);
}

/* Nothing that was to expire stays. */
static void check_expiry(void)
{
    struct wire *wire = wire_open(&life.server);
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (unsigned i = 0; i < OWNERS; i++) {
        while (ask_integer(wire, "EXISTS short%u", i) != 0)
            ck_assert(clock_probe(deadline_ms));
    }
    wire_close(wire);
}

/* ---- rounds -----------------------------------------------------------------------------------
 */

static void set_up(void)
{
    test.fates = calloc(ELEMENTS_MAX, 1);
    ck_assert_ptr_nonnull(test.fates);
    for (unsigned i = 0; i < OWNERS; i++) {
        test.owners[i].states = calloc(ELEMENTS_MAX, sizeof(struct state));
        test.owners[i].moved = calloc(ELEMENTS_MAX, sizeof(uint32_t));
        ck_assert(test.owners[i].states && test.owners[i].moved);
        life_add_client(&test.owners[i].client, i, feed_owner, take_owners_reply);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        life_add_client(&test.producers[i].client, i, feed_producer, take_length);
    for (unsigned i = 0; i < CONSUMERS; i++)
        life_add_client(&test.consumers[i].client, i, feed_consumer, take_popped);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < OWNERS; i++) {
        free(test.owners[i].states);
        free(test.owners[i].moved);
    }
    free(test.fates);
}

/* Both grow with every round: begin anew now and then. */
static void start_over(void)
{
    struct wire *wire = wire_open(&life.server);

    expect_ok(wire, "FLUSHALL");
    wire_close(wire);
    memset(test.fates, 0, ELEMENTS_MAX);
    for (unsigned i = 0; i < OWNERS; i++)
        test.owners[i].states[0] = (struct state){ 0 };
    for (unsigned i = 0; i < PRODUCERS; i++)
        test.producers[i].sent = test.producers[i].answered = 0;
}

START_TEST(what_was_answered_survives_a_kill)
{
    static const struct server_options options = { .own_arguments = arguments };
    const char *seed_text = getenv("SLUICE_SEED");
    unsigned long seed = seed_text ? strtoul(seed_text, NULL, 10) : 1;
    unsigned rounds = suite_scaled(ROUNDS);

    life.random.state = seed;
    set_up();
    server_start(&life.server, &options);
    for (unsigned round = 0; round < rounds; round++) {
        (void)snprintf(life.place, sizeof(life.place), "seed %lu, round %u, %s", seed, round,
                       arguments[MODE_ARGUMENT]);
        forget_what_is_due();
        life_live_and_die(&test.owners[0].answered);
        arguments[MODE_ARGUMENT] = life_modes[below(3)];
        server_restart(&life.server);
        check_all();
        if (round % 10 == 9) {
            check_expiry();
            start_over();
        }
    }
    server_stop(&life.server);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill");
    TCase *cases = suite_case(suite, "kill");

    tcase_set_timeout(cases, 600);
    tcase_add_test(cases, what_was_answered_survives_a_kill);
    return suite_run(suite);
}
