/* test_power_switch.h - for test_power_work.h: a server is told to promise less, and more again
 * (its log ends and begins, or is synced later and at once), and when it promised all, in events.
 */
#ifndef SERVER_TEST_POWER_SWITCH_H
#define SERVER_TEST_POWER_SWITCH_H
#include <string.h>

#include "modules/base/record.h"
#include "server/test_power_client.h"
#include "server/test_power_model.h"

enum { OFFS_MAX = 64 };

/* From before it was told to promise less until it was seen to promise all again (0: not yet). What
 * was answered before is told by numbers of commands: while nobody waits for the log, answers
 * follow without an event, so that an event count does not tell them from those before. */
struct off {
    size_t from, to;
    unsigned answered[CLIENTS]; /* before it was told to */
    bool is_to_end;
};

/* What to say, and what INFO persistence says when it has come true; NULL: the answer says it. */
struct offs_words {
    const char *off, *on, *sign;
};

struct offs {
    struct offs_words words; /* off NULL: nothing is switched */
    struct off items[OFFS_MAX];
    unsigned count;
};

/* NULL: all that is answered is promised. */
static inline struct off *offs_current(struct offs *offs)
{
    if (offs->count == 0 || offs->items[offs->count - 1].to > 0) return NULL;
    return &offs->items[offs->count - 1];
}

/* True: it has been told to end, and not to begin again. */
static inline bool offs_is_off(struct offs *offs)
{
    return offs_current(offs) && !offs_current(offs)->is_to_end;
}

/* From now on. */
static inline void offs_begin(struct offs *offs, const struct record *record,
                              const unsigned answered[CLIENTS])
{
    struct off *off = &offs->items[offs->count++];

    ck_assert_uint_le(offs->count, OFFS_MAX);
    *off = (struct off){ .from = record_count(record) };
    memcpy(off->answered, answered, sizeof(off->answered));
}

/* Off, then on. */
static inline void offs_switch(struct offs *offs, struct record *record, struct connection *admin,
                               const unsigned answered[CLIENTS])
{
    struct off *off = offs_current(offs);

    if (!off) {
        offs_begin(offs, record, answered);
        ck_assert(*connection_ask(admin, offs->words.off) == '+');
    } else if (!off->is_to_end) {
        off->is_to_end = true;
        ck_assert(*connection_ask(admin, offs->words.on) == '+');
        if (!offs->words.sign) off->to = record_count(record);
    }
}

static inline void offs_look(struct offs *offs, struct record *record, struct connection *admin)
{
    struct off *off = offs_current(offs);

    if (!off || !off->is_to_end) return;
    if (strstr(connection_ask(admin, "INFO persistence"), offs->words.sign))
        off->to = record_count(record);
}

/* Until it has come true. */
static inline void offs_wait(struct offs *offs, struct record *record, struct connection *admin)
{
    for (unsigned i = 0; offs_current(offs); i++) {
        ck_assert_uint_lt(i, WAIT_MS);
        offs_look(offs, record, admin);
        usleep(1000);
    }
}

/* In which of them the power went behind so many events; NULL: all was promised. */
static inline const struct off *offs_at(const struct offs *offs, size_t event_count)
{
    for (unsigned i = 0; i < offs->count; i++) {
        const struct off *off = &offs->items[i];
        if (event_count >= off->from && event_count < off->to) return off;
    }
    return NULL;
}
#endif
