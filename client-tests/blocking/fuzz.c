/* Waiting clients, pushes, moves, CLIENT KILL, CLIENT UNBLOCK, timeouts, evicted and vanishing
 * clients at random, with most elements on disk. Each element is a number of its own, so at the end
 * each must have been popped exactly once or still be there.
 *
 * SLUICE_SEED=N runs that seed only. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 24,
    KEYS = 4,
    SEEDS = 3,
    STEPS = 4000, /* of a seed, before scaling */
    PHASE_STEPS = 500,
    SCARCE_STEPS = 25,
    PADDING_BYTES = 150, /* behind an element's number, so that lists outgrow the budget */
    PUSHED_AT_ONCE = 40,
    HELD_BYTES = 60000, /* behind a waiting client's request: above maxmemory-clients with others */
    ELEMENTS_MAX = 4000000
};

static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };

struct fuzz {
    struct server server;
    struct random random;
    struct wire *control;
    struct {
        struct wire *wire;
        long long id;
        bool waits;    /* has sent a command whose reply has not come */
        bool is_large; /* has sent much of a request that it will not end */
        bool may_be_evicted;
        bool is_pop; /* that reply takes elements out; the reply of a move names one that stays */
    } clients[CLIENTS];
    uint8_t *seen; /* a byte an element: how often it was popped */
    uint32_t pushed, popped;
    bool is_scarce; /* nearly all clients wait; else lists grow beyond memory */
    char place[64];
};

static uint32_t below(struct fuzz *fuzz, uint32_t bound)
{
    return random_below(&fuzz->random, bound);
}

/* Every element in a reply begins with '#' and its number. Keys do not. */
static void take_elements(struct fuzz *fuzz, const struct text *reply)
{
    const char *at = text_string(reply);

    while ((at = strstr(at, "\r\n#")) != NULL) {
        unsigned long number = strtoul(at + 3, NULL, 10);
        ck_assert_msg(number < fuzz->pushed, "%s: element %lu was never pushed", fuzz->place,
                      number);
        ck_assert_msg(fuzz->seen[number] == 0, "%s: element %lu came twice", fuzz->place, number);
        fuzz->seen[number] = 1;
        fuzz->popped++;
        at += 3;
    }
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static void add_key(struct fuzz *fuzz, struct text *command)
{
    char key[16];

    (void)snprintf(key, sizeof(key), "key:%u", below(fuzz, KEYS));
    command_add_string(command, key);
}

static void add_push(struct fuzz *fuzz, struct text *command)
{
    char element[PADDING_BYTES + 16];
    uint32_t usual = fuzz->is_scarce ? 2 : PUSHED_AT_ONCE;
    int count = 1 + (int)below(fuzz, below(fuzz, 20) == 0 ? 2 * PUSHED_AT_ONCE : usual);

    command_begin(command, 2 + count);
    command_add_string(command, below(fuzz, 2) ? "LPUSH" : "RPUSH");
    add_key(fuzz, command);
    for (int i = 0; i < count; i++) {
        (void)snprintf(element, sizeof(element), "#%u:%0*d", fuzz->pushed++,
                       (int)below(fuzz, PADDING_BYTES) + 1, 0);
        command_add_string(command, element);
    }
    ck_assert_uint_lt(fuzz->pushed, ELEMENTS_MAX);
}

static void add_end(struct fuzz *fuzz, struct text *command)
{
    command_add_string(command, below(fuzz, 2) ? "LEFT" : "RIGHT");
}

static void add_timeout(struct fuzz *fuzz, struct text *command)
{
    static const char *const timeouts[] = { "0", "0.005", "0.05", "100" };

    command_add_string(command, timeouts[below(fuzz, 4)]);
}

/* BLPOP, BRPOP, BLMPOP or BLMOVE over some keys. True: a pop. */
static bool add_blocking(struct fuzz *fuzz, struct text *command)
{
    uint32_t form = below(fuzz, 5);
    int key_count = 1 + (int)below(fuzz, 3);

    if (form < 2) {
        command_begin(command, 2 + key_count);
        command_add_string(command, form ? "BLPOP" : "BRPOP");
        for (int i = 0; i < key_count; i++)
            add_key(fuzz, command);
        add_timeout(fuzz, command);
    } else if (form == 2) {
        command_begin(command, 6 + key_count);
        command_add_string(command, "BLMPOP");
        add_timeout(fuzz, command);
        command_add_number(command, key_count);
        for (int i = 0; i < key_count; i++)
            add_key(fuzz, command);
        add_end(fuzz, command);
        command_add_string(command, "COUNT");
        command_add_number(command, 1 + below(fuzz, 60));
    } else {
        command_begin(command, 6);
        command_add_string(command, "BLMOVE");
        add_key(fuzz, command);
        add_key(fuzz, command);
        add_end(fuzz, command);
        add_end(fuzz, command);
        add_timeout(fuzz, command);
    }
    return form < 3;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void push(struct fuzz *fuzz)
{
    struct text command = { 0 };
    bool in_transaction = below(fuzz, 8) == 0;

    if (in_transaction) {
        expect_ok(fuzz->control, "MULTI");
        for (int i = 0; i < 3; i++) {
            text_clear(&command);
            add_push(fuzz, &command);
            (void)wire_send(fuzz->control, command.bytes, command.size);
            expect_text(fuzz->control, "QUEUED", "");
        }
        wire_command(fuzz->control, "EXEC");
        wire_skip(fuzz->control, 1);
    } else {
        add_push(fuzz, &command);
        (void)wire_send(fuzz->control, command.bytes, command.size);
        (void)ask_integer(fuzz->control, "");
    }
    text_finish(&command);
}

static void start_waiting(struct fuzz *fuzz, int client)
{
    struct text command = { 0 };

    fuzz->clients[client].is_pop = add_blocking(fuzz, &command);
    fuzz->clients[client].waits = true;
    (void)wire_send(fuzz->clients[client].wire, command.bytes, command.size);
    text_finish(&command);
}

static void open_client(struct fuzz *fuzz, int client)
{
    fuzz->clients[client].wire = wire_open(&fuzz->server);
    fuzz->clients[client].id = ask_integer(fuzz->clients[client].wire, "CLIENT ID");
    fuzz->clients[client].waits = false;
    fuzz->clients[client].is_large = false;
    fuzz->clients[client].may_be_evicted = false;
}

/* Who was evicted after an answer learns it from its next command. */
static void read_reply(struct fuzz *fuzz, int client)
{
    struct text reply = { 0 };
    int rc =
        fuzz->clients[client].waits ? wire_read_now(fuzz->clients[client].wire, &reply) : -1;

    if (rc == 1) {
        fuzz->clients[client].waits = false;
        if (fuzz->clients[client].is_pop) take_elements(fuzz, &reply);
    } else if (rc == 0) {
        ck_assert_msg(fuzz->clients[client].may_be_evicted, "%s: client %d was closed", fuzz->place,
                      client);
        wire_close(fuzz->clients[client].wire);
        open_client(fuzz, client);
    }
    text_finish(&reply);
}

/* Whether each client that waits for a reply is blocked, all at one moment. */
static bool all_are_blocked(struct fuzz *fuzz)
{
    struct text list = { 0 };
    bool are_blocked = true;

    wire_command(fuzz->control, "CLIENT LIST");
    ck_assert_int_eq(wire_read(fuzz->control, &list), 1);
    for (int i = 0; i < CLIENTS && are_blocked; i++) {
        char id[32];
        const char *line, *flags;

        if (!fuzz->clients[i].waits) continue;
        (void)snprintf(id, sizeof(id), "id=%lld addr=", fuzz->clients[i].id);
        line = strstr(text_string(&list), id);
        flags = line ? strstr(line, " flags=") : NULL;
        are_blocked = flags && memchr(flags + 7, 'b', strcspn(flags + 7, " "));
    }
    text_finish(&list);
    return are_blocked;
}

/* Until each command has been answered or blocks: only then is it known that nothing is on its way
 * to anybody (a move that waited for the disk may serve one who is blocked), and whatever comes to
 * a client from then on was served to one that had gone. */
static void settle(struct fuzz *fuzz)
{
    do {
        for (int i = 0; i < CLIENTS; i++)
            read_reply(fuzz, i);
    } while (!all_are_blocked(fuzz));
}

/* Reads what comes until the server closes, and comes back as another client. */
static void take_rest(struct fuzz *fuzz, int client)
{
    struct text reply = { 0 };

    while (wire_read(fuzz->clients[client].wire, &reply) == 1) {}
    if (fuzz->clients[client].is_pop) take_elements(fuzz, &reply);
    wire_close(fuzz->clients[client].wire);
    text_finish(&reply);
    open_client(fuzz, client);
}

static void vanish(struct fuzz *fuzz, int client)
{
    uint32_t how = below(fuzz, 3);

    if (how == 0) { /* says so, and still listens: nothing it was served may be lost on the way */
        wire_half_close(fuzz->clients[client].wire);
        take_rest(fuzz, client);
        return;
    }
    settle(fuzz);
    if (how == 1) {
        wire_reset(fuzz->clients[client].wire);
    } else {
        wire_close(fuzz->clients[client].wire);
    }
    push(fuzz); /* reaches the server with the news, and must not go to the one who left */
    open_client(fuzz, client);
}

/* CLIENT KILL or UNBLOCK, with a push right behind it in the same packet. */
static void disturb(struct fuzz *fuzz, int client)
{
    struct text packet = { 0 };
    bool kills = below(fuzz, 2) == 0;

    settle(fuzz);
    text_format(&packet, "CLIENT %s %lld\r\n", kills ? "KILL ID" : "UNBLOCK",
                fuzz->clients[client].id);
    add_push(fuzz, &packet);
    (void)wire_send(fuzz->control, packet.bytes, packet.size);
    (void)ask_integer(fuzz->control, "");
    (void)ask_integer(fuzz->control, "");
    if (kills) take_rest(fuzz, client);
    text_finish(&packet);
}

/* A client that holds part of a large request behind the one that it waits for. */
static void hold_much(struct fuzz *fuzz, int client)
{
    struct text packet = { 0 };

    fuzz->clients[client].is_pop = add_blocking(fuzz, &packet);
    fuzz->clients[client].waits = true;
    text_format(&packet, "*2\r\n$4\r\nECHO\r\n$900000\r\n");
    text_add_filler(&packet, HELD_BYTES);
    (void)wire_send(fuzz->clients[client].wire, packet.bytes, packet.size);
    fuzz->clients[client].is_large = true;
    text_finish(&packet);
}

/* CONFIG SET maxmemory-clients with pushes in the same packet and more behind it. Who holds much is
 * evicted, be it waiting or served already: what is pushed then must not go to it. */
static void evict(struct fuzz *fuzz)
{
    struct text packet = { 0 };

    for (int i = 0; i < CLIENTS; i++) {
        if (!fuzz->clients[i].waits && below(fuzz, 3) == 0) hold_much(fuzz, i);
        fuzz->clients[i].may_be_evicted = true; /* the others may be holding answers */
    }
    text_add_string(&packet, "CONFIG SET maxmemory-clients 1\r\n"); /* its least, 128 KiB */
    add_push(fuzz, &packet);
    (void)wire_send(fuzz->control, packet.bytes, packet.size);
    expect_ok(fuzz->control, "");
    (void)ask_integer(fuzz->control, "");
    push(fuzz);
    expect_ok(fuzz->control, "CONFIG SET maxmemory-clients 0");
    for (int i = 0; i < CLIENTS; i++) { /* those that were not evicted end, too */
        if (!fuzz->clients[i].is_large) continue;
        wire_half_close(fuzz->clients[i].wire);
        take_rest(fuzz, i);
    }
    text_finish(&packet);
}

static void drain(struct fuzz *fuzz)
{
    for (int key = 0; key < KEYS; key++) {
        while (ask_integer(fuzz->control, "LLEN key:%d", key) > 0) {
            struct text reply = { 0 };
            wire_command(fuzz->control, "LPOP key:%d 500", key);
            ck_assert_int_eq(wire_read(fuzz->control, &reply), 1);
            take_elements(fuzz, &reply);
            text_finish(&reply);
        }
    }
}

static void run_step(struct fuzz *fuzz)
{
    int client = (int)below(fuzz, CLIENTS);
    uint32_t choice = below(fuzz, 100);

    for (int i = 0; i < CLIENTS; i++)
        read_reply(fuzz, i);
    if (choice < (fuzz->is_scarce ? 8 : 20)) {
        push(fuzz);
    } else if (choice < 26 && choice >= 20) {
        vanish(fuzz, client);
    } else if (choice < 32) {
        disturb(fuzz, client);
    } else if (choice < 33) {
        evict(fuzz);
    } else if (!fuzz->clients[client].waits) {
        start_waiting(fuzz, client);
    }
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void end_waits(struct fuzz *fuzz)
{
    for (int i = 0; i < CLIENTS; i++) {
        settle(fuzz);
        if (fuzz->clients[i].waits) { /* its timeout may be quicker: then this finds nobody */
            (void)ask_integer(fuzz->control, "CLIENT UNBLOCK %lld", fuzz->clients[i].id);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        while (fuzz->clients[i].waits) {
            (void)wire_wait(fuzz->clients[i].wire, 1000);
            read_reply(fuzz, i);
        }
    }
}

static void check_all_came_once(struct fuzz *fuzz)
{
    struct text lost = { 0 };
    uint32_t count = 0;

    for (uint32_t i = 0; i < fuzz->pushed; i++) {
        if (fuzz->seen[i] == 1) continue;
        if (count++ < 10) text_format(&lost, " %u", i);
    }
    ck_assert_msg(count == 0, "%s: %u of %u elements were lost:%s", fuzz->place, count,
                  fuzz->pushed, text_string(&lost));
    text_finish(&lost);
}

static void run_seed(struct fuzz *fuzz, uint64_t seed)
{
    unsigned steps = suite_scaled(STEPS);

    fuzz->random = (struct random){ seed };
    fuzz->pushed = fuzz->popped = 0;
    memset(fuzz->seen, 0, ELEMENTS_MAX);
    for (int i = 0; i < CLIENTS; i++)
        open_client(fuzz, i);
    for (unsigned step = 0; step < steps; step++) {
        (void)snprintf(fuzz->place, sizeof(fuzz->place), "seed %llu, step %u",
                       (unsigned long long)seed, step);
        fuzz->is_scarce = (step / PHASE_STEPS) % 2 == 0;
        if (step % (fuzz->is_scarce ? SCARCE_STEPS : PHASE_STEPS) == 0) drain(fuzz);
        run_step(fuzz);
    }
    end_waits(fuzz);
    drain(fuzz);
    expect_integer(fuzz->control, 0, "DBSIZE");
    check_all_came_once(fuzz);
    for (int i = 0; i < CLIENTS; i++)
        wire_close(fuzz->clients[i].wire);
    info_wait(fuzz->control, "connected_clients", 1);
    info_wait(fuzz->control, "blocked_clients", 0);
}

START_TEST(every_element_is_popped_once_or_still_there)
{
    const char *chosen = getenv("SLUICE_SEED");
    uint64_t first = chosen ? strtoull(chosen, NULL, 10) : 1, count = chosen ? 1 : SEEDS;
    struct server_options options = { .own_arguments = tiny };
    static struct fuzz fuzz;

    fuzz.seen = calloc(ELEMENTS_MAX, 1);
    ck_assert_ptr_nonnull(fuzz.seen);
    server_start(&fuzz.server, &options);
    fuzz.control = wire_open(&fuzz.server);
    expect_ok(fuzz.control, "CLIENT NO-EVICT ON");
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(&fuzz, seed);
    ck_assert_int_gt(info_number(fuzz.control, "evicted_clients"), 0);
    wire_close(fuzz.control);
    server_stop(&fuzz.server);
    free(fuzz.seen);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting at random");
    TCase *tcase = suite_case(suite, "fuzz");

    tcase_add_test(tcase, every_element_is_popped_once_or_still_there);
    return suite_run(suite);
}
