/* Everything at once, at random: list commands of all kinds on lists far above memory, blocking
 * ones, transactions with and without WATCH, times to live, FLUSHDB, SWAPDB, renames, CLIENT KILL,
 * UNBLOCK and PAUSE, readers that fall asleep, a monitor, and clients that vanish at any moment.
 *
 * What must hold: the server lives; an element that was pushed and acknowledged, and that no reply
 * took out, is there once at the end; none comes twice; one of a transaction that did not run never
 * comes; every client that stays is answered; when all have gone nothing is left of them; and the
 * log of all this leads to the same again.
 *
 * The numbered elements live in "s0"… of database 0, where nothing is thrown away. What throws away
 * works in databases 1 and 2, on keys and elements of no account.
 *
 * SLUICE_SEED=N runs that seed only, SLUICE_TEST_CLIENTS=2000 with so many clients. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 28, /* at once, unless $SLUICE_TEST_CLIENTS says otherwise */
    CLIENTS_MAX = 4000,
    KEYS = 4,
    SEEDS = 4,
    STEPS = 12000, /* of a seed, before scaling */
    PHASE_STEPS = 1500,
    ELEMENTS_MAX = 4000000,
    PUSHED_MAX = 60,
    PADDING_BYTES = 160,
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

enum fate {
    NEVER,  /* not sent */
    MAYBE,  /* sent; whether it arrived is not known, or will never be */
    THERE,  /* acknowledged */
    TAKEN,  /* a reply took it out */
    REFUSED /* its transaction did not run */
};

enum unit_kind {
    UNIT_OTHER,
    UNIT_PUSH, /* the last reply tells whether the numbered elements were pushed */
    UNIT_TAKE, /* each element in the replies was taken out */
    UNIT_QUIT, /* the server closes afterwards */
};

struct peer {
    struct wire *wire;
    long long id;
    unsigned replies_due; /* 0: nothing is under way */
    enum unit_kind kind;
    uint32_t first, end; /* the numbered elements that it pushes */
    bool is_doomed;      /* somebody was told to kill it, or it quits: nothing new is sent */
    bool is_asleep;      /* does not read */
    bool is_monitor;
    bool is_watching; /* WATCH was answered: a transaction comes next */
};

struct chaos {
    struct server server;
    struct random random;
    struct wire *control;
    struct peer peers[CLIENTS_MAX];
    unsigned client_count;
    uint8_t *fates;
    uint32_t count; /* of numbered elements sent so far */
    bool is_scarce; /* lists are nearly empty; else they grow beyond memory */
    char place[64];
};

static uint32_t below(struct chaos *chaos, uint32_t bound)
{
    return random_below(&chaos->random, bound);
}

static unsigned key(struct chaos *chaos)
{
    return below(chaos, KEYS);
}

static const char *end_word(struct chaos *chaos)
{
    return below(chaos, 2) ? "LEFT" : "RIGHT";
}

static const char *timeout_word(struct chaos *chaos)
{
    static const char *const timeouts[] = { "0", "0.005", "0.05", "100" };

    return timeouts[below(chaos, 4)];
}

/* ---- what replies tell ------------------------------------------------------------------------
 */

static void take_elements(struct chaos *chaos, const struct text *reply)
{
    const char *at = text_string(reply);

    while ((at = strstr(at, "\r\n#")) != NULL) {
        unsigned long number = strtoul(at + 3, NULL, 10);

        ck_assert_msg(number < chaos->count, "%s: element %lu was never pushed", chaos->place,
                      number);
        ck_assert_msg(chaos->fates[number] == MAYBE || chaos->fates[number] == THERE,
                      "%s: element %lu came %s", chaos->place, number,
                      chaos->fates[number] == TAKEN ? "twice" : "although it was refused");
        chaos->fates[number] = TAKEN;
        at += 3;
    }
}

static void set_fates(struct chaos *chaos, const struct peer *peer, enum fate fate)
{
    for (uint32_t i = peer->first; i < peer->end; i++) {
        if (fate == REFUSED)
            ck_assert_msg(chaos->fates[i] != TAKEN, "%s: element %u came although it was refused",
                          chaos->place, i);
        if (chaos->fates[i] == MAYBE) chaos->fates[i] = (uint8_t)fate;
    }
}

/* ":n", n above 0, from a push; an array from EXEC, nil when a watched key had changed. */
static void judge_push(struct chaos *chaos, const struct peer *peer, const char *reply)
{
    bool was_refused = strncmp(reply, "*-1", 3) == 0 || strncmp(reply, "-EXECABORT", 10) == 0;
    bool has_executed = reply[0] == '*' && !strstr(reply, "\r\n-");
    bool has_pushed = reply[0] == ':' && atoll(reply + 1) > 0;

    if (was_refused)
        set_fates(chaos, peer, REFUSED);
    else if (has_executed || has_pushed)
        set_fates(chaos, peer, THERE);
}

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
        ck_assert_msg(peer->replies_due > 0, "%s: a reply too many: %s", chaos->place,
                      text_string(&reply));
        peer->replies_due--;
        if (peer->kind == UNIT_TAKE) take_elements(chaos, &reply);
        if (peer->kind == UNIT_PUSH && peer->replies_due == 0)
            judge_push(chaos, peer, text_string(&reply));
        text_clear(&reply);
    }
    text_finish(&reply);
    if (rc != 0) return true;
    ck_assert_msg(peer->is_doomed, "%s: client %lld was closed", chaos->place, peer->id);
    return false;
}

/* ---- units of work ----------------------------------------------------------------------------
 */

struct unit {
    struct text text; /* inline commands */
    unsigned replies;
    enum unit_kind kind;
    uint32_t first, end;
};

__attribute__((format(printf, 2, 3))) static void add(struct unit *unit, const char *format, ...)
{
    char line[512];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    text_add_string(&unit->text, line);
    text_add_string(&unit->text, "\r\n");
    unit->replies++;
}

static void add_numbered(struct chaos *chaos, struct unit *unit)
{
    ck_assert_uint_lt(chaos->count, ELEMENTS_MAX);
    chaos->fates[chaos->count] = MAYBE;
    text_format(&unit->text, " #%u:%0*d", chaos->count++, (int)below(chaos, PADDING_BYTES) + 1, 0);
}

static void add_push(struct chaos *chaos, struct unit *unit)
{
    uint32_t count = 1 + below(chaos, chaos->is_scarce ? 2 : PUSHED_MAX);

    unit->kind = UNIT_PUSH;
    text_format(&unit->text, "%s s%u", below(chaos, 2) ? "LPUSH" : "RPUSH", key(chaos));
    while (count-- > 0)
        add_numbered(chaos, unit);
    text_add_string(&unit->text, "\r\n");
    unit->replies++;
}

/* Pushes that may find nothing to push to. */
static void add_conditional_push(struct chaos *chaos, struct unit *unit)
{
    unit->kind = UNIT_PUSH;
    if (below(chaos, 2)) {
        text_format(&unit->text, "%s s%u", below(chaos, 2) ? "LPUSHX" : "RPUSHX", key(chaos));
    } else {
        text_format(&unit->text, "LINSERT s%u %s mark", key(chaos),
                    below(chaos, 2) ? "BEFORE" : "AFTER");
    }
    add_numbered(chaos, unit);
    text_add_string(&unit->text, "\r\n");
    unit->replies++;
}

static void add_take(struct chaos *chaos, struct unit *unit)
{
    uint32_t most = below(chaos, 12) == 0 ? 3000 : 40;

    unit->kind = UNIT_TAKE;
    switch (below(chaos, 5)) {
    case 0:
        add(unit, "%s s%u", below(chaos, 2) ? "LPOP" : "RPOP", key(chaos));
        break;
    case 1:
        add(unit, "%s s%u %u", below(chaos, 2) ? "LPOP" : "RPOP", key(chaos),
            1 + below(chaos, most));
        break;
    case 2:
        add(unit, "LMPOP 2 s%u s%u %s COUNT %u", key(chaos), key(chaos), end_word(chaos),
            1 + below(chaos, most));
        break;
    case 3:
        add(unit, "%s s%u s%u s%u %s", below(chaos, 2) ? "BLPOP" : "BRPOP", key(chaos), key(chaos),
            key(chaos), timeout_word(chaos));
        break;
    default:
        add(unit, "BLMPOP %s 2 s%u s%u %s COUNT %u", timeout_word(chaos), key(chaos), key(chaos),
            end_word(chaos), 1 + below(chaos, most));
        break;
    }
}

/* Neither pushes nor takes: reads, moves, walks that find nothing. */
static void add_other(struct chaos *chaos, struct unit *unit)
{
    unsigned from = key(chaos), to = key(chaos);

    switch (below(chaos, 15)) {
    case 0:
        add(unit, "LRANGE s%u 0 -1", from);
        break;
    case 1:
        add(unit, "LRANGE s%u %d %d", from, (int)below(chaos, 2000) - 1000, 500);
        break;
    case 2:
        add(unit, "LINDEX s%u %d", from, (int)below(chaos, 4000) - 2000);
        break;
    case 3:
        add(unit, "LPOS s%u nothing COUNT 0", from);
        break;
    case 4:
        add(unit, "LREM s%u 0 nothing", from);
        break;
    case 5:
        add(unit, "LTRIM s%u 0 -1", from);
        break;
    case 6:
        add(unit, "RENAMENX s%u s%u", from, to);
        break;
    case 7:
        add(unit, "RPOPLPUSH s%u s%u", from, to);
        break;
    case 8:
        add(unit, "LMOVE s%u s%u %s %s", from, to, end_word(chaos), end_word(chaos));
        break;
    case 9:
        add(unit, "LMOVEM s%u s%u %s %s COUNT %u %s", from, to, end_word(chaos), end_word(chaos),
            1 + below(chaos, 600), below(chaos, 2) ? "OBO" : "BULK");
        break;
    case 10:
    case 11:
        add(unit, "BLMOVE s%u s%u %s %s %s", from, to, end_word(chaos), end_word(chaos),
            timeout_word(chaos));
        break;
    case 12:
        add(unit, "BLMOVEM s%u s%u %s %s %s %s %u BULK", from, to, end_word(chaos), end_word(chaos),
            timeout_word(chaos), below(chaos, 2) ? "COUNT" : "EXACTLY", 1 + below(chaos, 600));
        break;
    case 13:
        add(unit, "LLEN s%u", from);
        break;
    default:
        add(unit, "EXISTS s%u s%u", from, to);
        break;
    }
}

/* In databases 1 and 2: anything. */
static void add_wild(struct chaos *chaos, struct unit *unit)
{
    unsigned from = key(chaos), to = key(chaos);

    switch (below(chaos, 22)) {
    case 0:
        add(unit, "FLUSHDB");
        break;
    case 1:
        add(unit, "SWAPDB 1 2");
        break;
    case 2:
        add(unit, "PEXPIRE k%u %u", from, 1 + below(chaos, 40));
        break;
    case 3:
        add(unit, "EXPIRE k%u -1", from);
        break;
    case 4:
        add(unit, "RENAME k%u k%u", from, to);
        break;
    case 5:
        add(unit, "COPY k%u k%u REPLACE", from, to);
        break;
    case 6:
        add(unit, "COPY k%u k%u DB %u", from, to, 1 + below(chaos, 2));
        break;
    case 7:
        add(unit, "MOVE k%u %u", from, 1 + below(chaos, 2));
        break;
    case 8:
        add(unit, "DEL k%u k%u", from, to);
        break;
    case 9:
        add(unit, "SET k%u text", from);
        break;
    case 10:
        add(unit, "LTRIM k%u %u -%u", from, below(chaos, 100), below(chaos, 100));
        break;
    case 11:
        add(unit, "LREM k%u %d x3", from, (int)below(chaos, 5) - 2);
        break;
    case 12:
        add(unit, "LSET k%u %d y", from, (int)below(chaos, 200) - 100);
        break;
    case 13:
        add(unit, "LINSERT k%u BEFORE x7 z", from);
        break;
    case 14:
        add(unit, "LPOS k%u x5 COUNT 0", from);
        break;
    case 15:
        add(unit, "BLMPOP 0.02 2 k%u k%u LEFT COUNT 9000", from, to);
        break;
    case 16:
        add(unit, "BLMOVE k%u k%u LEFT RIGHT 0.02", from, to);
        break;
    case 17:
        add(unit, "LRANGE k%u 0 -1", from);
        break;
    case 18:
        add(unit, "BLPOP k%u k%u 0.02", from, to);
        break;
    default:
        text_format(&unit->text, "RPUSH k%u", from);
        for (uint32_t i = 0, count = 1 + below(chaos, 600); i < count; i++)
            text_format(&unit->text, " x%u", below(chaos, 10));
        text_add_string(&unit->text, "\r\n");
        unit->replies++;
        break;
    }
}

/* To a peer that may go: nothing that takes out numbered elements is under way there. */
static struct peer *victim(struct chaos *chaos)
{
    struct peer *peer = &chaos->peers[below(chaos, chaos->client_count)];

    return peer->kind == UNIT_TAKE && peer->replies_due > 0 ? NULL : peer;
}

static void add_about_clients(struct chaos *chaos, struct unit *unit)
{
    struct peer *peer = victim(chaos);

    switch (below(chaos, 8)) {
    case 0:
        add(unit, "CLIENT PAUSE %u %s", below(chaos, 15), below(chaos, 2) ? "ALL" : "WRITE");
        break;
    case 1:
        add(unit, "CLIENT UNPAUSE");
        break;
    case 2:
    case 3:
    case 4:
        add(unit, "CLIENT UNBLOCK %lld %s", chaos->peers[below(chaos, chaos->client_count)].id,
            below(chaos, 2) ? "TIMEOUT" : "ERROR");
        break;
    default:
        if (!peer) break;
        add(unit, "CLIENT KILL ID %lld SKIPME no", peer->id);
        peer->is_doomed = true;
        break;
    }
    if (unit->replies == 0) add(unit, "CLIENT LIST");
}

static void add_one(struct chaos *chaos, struct unit *unit, unsigned sort)
{
    if (sort < 30)
        add_push(chaos, unit);
    else if (sort < 34)
        add_conditional_push(chaos, unit);
    else if (sort < 60)
        add_take(chaos, unit);
    else if (sort < 80)
        add_other(chaos, unit);
    else if (sort < 94) {
        add(unit, "SELECT 1");
        add_wild(chaos, unit);
        add(unit, "SELECT 0");
    } else {
        add_about_clients(chaos, unit);
    }
}

/* A transaction of some commands of one kind. */
static void add_transaction(struct chaos *chaos, struct unit *unit)
{
    /* Pushes only, takes only, or neither: the reply is judged as a whole. */
    static const unsigned lowest[] = { 0, 34, 60, 80 }, width[] = { 30, 26, 20, 20 };
    unsigned sort = below(chaos, 4), commands = 1 + below(chaos, 4);

    add(unit, "MULTI");
    while (commands-- > 0)
        add_one(chaos, unit, lowest[sort] + below(chaos, width[sort]));
    add(unit, below(chaos, 12) ? "EXEC" : "DISCARD");
}

static void start_unit(struct chaos *chaos, struct peer *peer)
{
    struct unit unit = { .first = chaos->count };
    unsigned sort = below(chaos, 100);

    if (chaos->is_scarce && sort < 40 && below(chaos, 3)) sort = 40;
    if (peer->is_watching || below(chaos, 8) == 0) {
        add_transaction(chaos, &unit);
        peer->is_watching = false;
    } else if (below(chaos, 10) == 0) {
        add(&unit, "WATCH s%u s%u", key(chaos), key(chaos));
        peer->is_watching = true;
    } else if (below(chaos, 60) == 0) {
        add(&unit, "LRANGE s%u 0 -1", key(chaos));
        add(&unit, "QUIT");
        unit.kind = UNIT_QUIT;
        peer->is_doomed = true;
    } else if (below(chaos, 60) == 0) {
        add(&unit, "CLIENT REPLY SKIP");
        add(&unit, "LRANGE s%u 0 -1", key(chaos));
        add(&unit, "PING");
        unit.replies = 1;
    } else {
        add_one(chaos, &unit, sort);
    }
    peer->kind = unit.kind;
    peer->replies_due = unit.replies;
    peer->first = unit.first;
    peer->end = chaos->count;
    peer->is_asleep = below(chaos, 12) == 0;
    (void)wire_send(peer->wire, unit.text.bytes, unit.text.size);
    text_finish(&unit.text);
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
                      chaos->place, peer->id, peer->replies_due,
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
    contents_expect(chaos->control, &contents, chaos->place);
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
            take_elements(chaos, &reply);
        }
    }
    text_finish(&reply);
}

static void expect_all_came(struct chaos *chaos)
{
    struct text lost = { 0 };
    uint32_t count = 0;

    for (uint32_t i = 0; i < chaos->count; i++) {
        if (chaos->fates[i] == THERE && count++ < 10) text_format(&lost, " %u", i);
    }
    ck_assert_msg(count == 0, "%s: %u of %u elements were lost:%s", chaos->place, count,
                  chaos->count, text_string(&lost));
    text_finish(&lost);
}

static void run_seed(struct chaos *chaos, uint64_t seed)
{
    unsigned steps = suite_scaled(STEPS);

    chaos->random = (struct random){ seed };
    chaos->count = 0;
    memset(chaos->fates, NEVER, ELEMENTS_MAX);
    for (unsigned step = 0; step < steps; step++) {
        (void)snprintf(chaos->place, sizeof(chaos->place), "seed %llu, step %u",
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
    expect_all_came(chaos);
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

    chaos.fates = calloc(ELEMENTS_MAX, 1);
    ck_assert_ptr_nonnull(chaos.fates);
    chaos.client_count = wanted_clients();
    server_start(&chaos.server, &options);
    chaos.control = wire_open(&chaos.server);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(&chaos, seed);
    wire_close(chaos.control);
    server_stop(&chaos.server);
    free(chaos.fates);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chaos");
    TCase *tcase = suite_case(suite, "chaos");

    tcase_add_test(tcase, nothing_is_lost_and_nothing_stays_behind);
    return suite_run(suite);
}
