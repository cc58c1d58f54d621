/* chaos_work.h - for chaos.c: what clients of all kinds send, drawn at random, a unit at a time,
 * and what the replies to a unit say of the numbered elements.
 *
 * The numbered elements live in "s0"… of database 0, where nothing is thrown away. What throws away
 * works in databases 1 and 2, on keys and elements of no account. */
#ifndef CLIENT_TESTS_CORE_CHAOS_WORK_H
#define CLIENT_TESTS_CORE_CHAOS_WORK_H
#include "client-tests/core/chaos_elements.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    CLIENTS_MAX = 4000,
    KEYS = 4,
    PUSHED_MAX = 60,
    PADDING_BYTES = 160,
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
    struct wire *control;
    struct random random;
    struct peer peers[CLIENTS_MAX];
    unsigned client_count;
    struct elements elements;
    bool is_scarce; /* lists are nearly empty; else they grow beyond memory */
};

static inline uint32_t below(struct chaos *chaos, uint32_t bound)
{
    return random_below(&chaos->random, bound);
}

static inline unsigned key(struct chaos *chaos)
{
    return below(chaos, KEYS);
}

static inline const char *end_word(struct chaos *chaos)
{
    return below(chaos, 2) ? "LEFT" : "RIGHT";
}

static inline const char *timeout_word(struct chaos *chaos)
{
    static const char *const timeouts[] = { "0", "0.005", "0.05", "100" };

    return timeouts[below(chaos, 4)];
}

/* ---- units of work ----------------------------------------------------------------------------
 */

struct unit {
    struct text text; /* inline commands */
    unsigned replies;
    enum unit_kind kind;
    uint32_t first, end;
};

__attribute__((format(printf, 2, 3))) static inline void add(struct unit *unit, const char *format,
                                                             ...)
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

static inline void add_numbered(struct chaos *chaos, struct unit *unit)
{
    elements_add(&chaos->elements, &unit->text, (int)below(chaos, PADDING_BYTES) + 1);
}

static inline void add_push(struct chaos *chaos, struct unit *unit)
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
static inline void add_conditional_push(struct chaos *chaos, struct unit *unit)
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

static inline void add_take(struct chaos *chaos, struct unit *unit)
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
static inline void add_other(struct chaos *chaos, struct unit *unit)
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
static inline void add_wild(struct chaos *chaos, struct unit *unit)
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
static inline struct peer *victim(struct chaos *chaos)
{
    struct peer *peer = &chaos->peers[below(chaos, chaos->client_count)];

    return peer->kind == UNIT_TAKE && peer->replies_due > 0 ? NULL : peer;
}

static inline void add_about_clients(struct chaos *chaos, struct unit *unit)
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

static inline void add_one(struct chaos *chaos, struct unit *unit, unsigned sort)
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
static inline void add_transaction(struct chaos *chaos, struct unit *unit)
{
    /* Pushes only, takes only, or neither: the reply is judged as a whole. */
    static const unsigned lowest[] = { 0, 34, 60, 80 }, width[] = { 30, 26, 20, 20 };
    unsigned sort = below(chaos, 4), commands = 1 + below(chaos, 4);

    add(unit, "MULTI");
    while (commands-- > 0)
        add_one(chaos, unit, lowest[sort] + below(chaos, width[sort]));
    add(unit, below(chaos, 12) ? "EXEC" : "DISCARD");
}

static inline void start_unit(struct chaos *chaos, struct peer *peer)
{
    struct unit unit = { .first = chaos->elements.count };
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
    peer->end = chaos->elements.count;
    peer->is_asleep = below(chaos, 12) == 0;
    (void)wire_send(peer->wire, unit.text.bytes, unit.text.size);
    text_finish(&unit.text);
}

/* ---- what replies tell ------------------------------------------------------------------------
 */

/* ":n", n above 0, from a push; an array from EXEC, nil when a watched key had changed. */
static inline void judge_push(struct chaos *chaos, const struct peer *peer, const char *reply)
{
    bool was_refused = strncmp(reply, "*-1", 3) == 0 || strncmp(reply, "-EXECABORT", 10) == 0;
    bool has_executed = reply[0] == '*' && !strstr(reply, "\r\n-");
    bool has_pushed = reply[0] == ':' && atoll(reply + 1) > 0;

    if (was_refused)
        elements_settle(&chaos->elements, peer->first, peer->end, REFUSED);
    else if (has_executed || has_pushed)
        elements_settle(&chaos->elements, peer->first, peer->end, THERE);
}

/* To be called with each reply to a unit; replies_due counts those that are to come yet. */
static inline void judge_reply(struct chaos *chaos, const struct peer *peer,
                               const struct text *reply)
{
    if (peer->kind == UNIT_TAKE) elements_take(&chaos->elements, reply);
    if (peer->kind == UNIT_PUSH && peer->replies_due == 0)
        judge_push(chaos, peer, text_string(reply));
}
#endif
