/* test_power_switch.h - for test_power_loss.c: the log of a server is told to end and to begin, and
 * when it counted, in events. */
#ifndef SERVER_TEST_POWER_SWITCH_H
#define SERVER_TEST_POWER_SWITCH_H
#include "modules/base/record.h"
#include "server/test_power_client.h"

enum { OFFS_MAX = 64 };

/* From before it was told to end until it was seen to count again (0: not yet). */
struct off {
    size_t from, to;
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

/* no, then yes. */
static inline void offs_switch(struct offs *offs, struct record *record, struct connection *admin)
{
    struct off *off = offs_current(offs);

    if (!off) {
        ck_assert_uint_lt(offs->count, OFFS_MAX);
        offs->items[offs->count++] = (struct off){ .from = record_count(record) };
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

/* A killed server keeps all that was answered only then. */
static inline void offs_end(struct offs *offs, struct record *record, struct connection *admin)
{
    if (offs_current(offs) && !offs_current(offs)->is_to_end) offs_switch(offs, record, admin);
    for (unsigned i = 0; offs_current(offs); i++) {
        ck_assert_uint_lt(i, WAIT_MS);
        offs_look(offs, record, admin);
        usleep(1000);
    }
}

/* What was promised behind so many events had been promised behind this many. */
static inline size_t offs_promised(const struct offs *offs, size_t event_count)
{
    for (unsigned i = 0; i < offs->count; i++) {
        const struct off *off = &offs->items[i];
        if (event_count >= off->from && event_count < off->to) return off->from;
    }
    return event_count;
}
#endif
