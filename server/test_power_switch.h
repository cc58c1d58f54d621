/* test_power_switch.h - for test_power_loss.c: the log of a server is told to end and to begin, and
 * when it counted, in events. */
#ifndef SERVER_TEST_POWER_SWITCH_H
#define SERVER_TEST_POWER_SWITCH_H
#include <string.h>

#include "modules/base/record.h"
#include "server/test_power_client.h"
#include "server/test_power_model.h"

enum { OFFS_MAX = 64 };

/* From before it was told to end until it was seen to count again (0: not yet). What was answered
 * before is told by numbers of commands: while there is no log, answers follow without an event, so
 * that an event count does not tell them from those before. */
struct off {
    size_t from, to;
    unsigned answered[CLIENTS]; /* before it was told to end */
    bool is_to_end;
};

struct offs {
    struct off items[OFFS_MAX];
    unsigned count;
};

/* NULL: the log counts. */
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

/* no, then yes. */
static inline void offs_switch(struct offs *offs, struct record *record, struct connection *admin,
                               const unsigned answered[CLIENTS])
{
    struct off *off = offs_current(offs);

    if (!off) {
        ck_assert_uint_lt(offs->count, OFFS_MAX);
        off = &offs->items[offs->count++];
        *off = (struct off){ .from = record_count(record) };
        memcpy(off->answered, answered, sizeof(off->answered));
        ck_assert(*connection_ask(admin, "CONFIG SET appendonly no") == '+');
    } else if (!off->is_to_end) {
        off->is_to_end = true;
        ck_assert(*connection_ask(admin, "CONFIG SET appendonly yes") == '+');
    }
}

static inline void offs_look(struct offs *offs, struct record *record, struct connection *admin)
{
    struct off *off = offs_current(offs);

    if (!off || !off->is_to_end) return;
    if (strstr(connection_ask(admin, "INFO persistence"), "aof_enabled:1"))
        off->to = record_count(record);
}

/* Until the log counts, if it was told to. */
static inline void offs_wait(struct offs *offs, struct record *record, struct connection *admin)
{
    for (unsigned i = 0; offs_current(offs); i++) {
        ck_assert_uint_lt(i, WAIT_MS);
        offs_look(offs, record, admin);
        usleep(1000);
    }
}

/* In which of them the power went behind so many events; NULL: the log counted then. */
static inline const struct off *offs_at(const struct offs *offs, size_t event_count)
{
    for (unsigned i = 0; i < offs->count; i++) {
        const struct off *off = &offs->items[i];
        if (event_count >= off->from && event_count < off->to) return off;
    }
    return NULL;
}
#endif
