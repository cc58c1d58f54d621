/* test_power_group.h - for test_power_model.h: the group "g" of a client's stream, as a model has
 * it and as a server tells it. Entries are told by their values, of which their ids are made. */
#ifndef SERVER_TEST_POWER_GROUP_H
#define SERVER_TEST_POWER_GROUP_H
#include "server/test_power_client.h"

/* Consumers are "x", "y" and "z"; what was given back is nobody's. */
enum { GROUP_CONSUMERS = 3, GROUP_NOBODY = GROUP_CONSUMERS, GROUP_PENDING_MAX = 200 };

struct group_pending {
    uint32_t value, consumer, delivery_count;
};

struct group {
    bool is_there;
    uint32_t last;      /* that was delivered; 0: none */
    uint32_t consumers; /* a bit each */
    unsigned pending_count;
    struct group_pending pending[GROUP_PENDING_MAX]; /* in order of their values */
};

/* The entries that there are, in order. */
struct group_entries {
    const uint32_t *values;
    unsigned count;
};

static inline bool groups_are_equal(const struct group *a, const struct group *b)
{
    return a->is_there == b->is_there && a->last == b->last && a->consumers == b->consumers &&
           a->pending_count == b->pending_count &&
           memcmp(a->pending, b->pending, a->pending_count * sizeof(a->pending[0])) == 0;
}

/* ---- what is done with it ---------------------------------------------------------------------
 */

/* Of the first whose value is not less. */
static inline unsigned group_place(const struct group *group, uint32_t value)
{
    unsigned place = 0;

    while (place < group->pending_count && group->pending[place].value < value)
        place++;
    return place;
}

static inline struct group_pending *group_find(struct group *group, uint32_t value)
{
    unsigned place = group_place(group, value);
    bool is_there = place < group->pending_count && group->pending[place].value == value;

    return is_there ? &group->pending[place] : NULL;
}

static inline void group_drop(struct group *group, uint32_t value)
{
    struct group_pending *pending = group_find(group, value);
    struct group_pending *end = group->pending + group->pending_count;

    if (!pending) return;
    memmove(pending, pending + 1, (size_t)(end - (pending + 1)) * sizeof(*pending));
    group->pending_count--;
}

static inline void group_set(struct group *group, struct group_pending pending)
{
    unsigned place = group_place(group, pending.value), behind = group->pending_count - place;
    struct group_pending *at = &group->pending[place];

    if (!group_find(group, pending.value)) {
        ck_assert_uint_lt(group->pending_count, GROUP_PENDING_MAX);
        memmove(at + 1, at, behind * sizeof(*at));
        group->pending_count++;
    }
    *at = pending;
    if (pending.consumer != GROUP_NOBODY) group->consumers |= 1u << pending.consumer;
}

static inline unsigned group_lag(const struct group *group, struct group_entries entries)
{
    unsigned lag = 0;

    for (unsigned i = 0; i < entries.count; i++)
        lag += entries.values[i] > group->last;
    return lag;
}

/* What is new, at most so many. */
static inline void group_deliver(struct group *group, struct group_entries entries,
                                 uint32_t consumer, unsigned count_max, bool is_acknowledged)
{
    for (unsigned i = 0; i < entries.count && count_max > 0; i++) {
        uint32_t value = entries.values[i];

        if (value <= group->last) continue;
        group->consumers |= 1u << consumer;
        if (!is_acknowledged) group_set(group, (struct group_pending){ value, consumer, 1 });
        group->last = value;
        count_max--;
    }
}

/* One that is pending becomes the consumer's, or is pending no more when it has gone. */
static inline void group_claim(struct group *group, struct group_entries entries, uint32_t value,
                               uint32_t consumer, unsigned more_deliveries)
{
    struct group_pending pending = *group_find(group, value);
    bool has_gone = true;

    for (unsigned i = 0; i < entries.count; i++)
        has_gone = has_gone && entries.values[i] != value;
    pending.consumer = consumer;
    pending.delivery_count += more_deliveries;
    if (has_gone)
        group_drop(group, value);
    else
        group_set(group, pending);
}

static inline void group_remove_consumer(struct group *group, uint32_t consumer)
{
    for (unsigned i = group->pending_count; i-- > 0;)
        if (group->pending[i].consumer == consumer) group_drop(group, group->pending[i].value);
    group->consumers &= ~(1u << consumer);
}

/* ---- what a server says of it -----------------------------------------------------------------
 */

/* An id is made of its value: 0-0 of none. False: that is no such id. */
static inline bool parse_value_id(const char *id, uint32_t *out_value)
{
    unsigned ms = 0, seq = 0;

    if (sscanf(id, "%u-%u\r\n", &ms, &seq) != 2 || seq != ms % 3) return false;
    *out_value = ms;
    return true;
}

/* The line at *at, which moves behind it. */
static inline const char *take_line(const char **at)
{
    const char *line = *at, *end = strstr(line, "\r\n");

    if (end) *at = end + 2;
    return line;
}

/* The line behind the name of a field in a reply; "": there is no such field. */
static inline const char *field_of(const char *reply, const char *name)
{
    const char *field = strstr(reply, name);

    if (!field) return "";
    (void)take_line(&field);
    return field;
}

static inline bool parse_consumer(const char *name, uint32_t *out_consumer)
{
    *out_consumer = GROUP_NOBODY;
    if (strncmp(name, "\r\n", 2) == 0) return true;
    *out_consumer = (uint32_t)(*name - 'x');
    return *out_consumer < GROUP_CONSUMERS;
}

static inline bool read_consumers(struct connection *connection, unsigned client, struct group *out)
{
    char command[32];
    const char *at;

    (void)snprintf(command, sizeof(command), "XINFO CONSUMERS c%u g", client);
    at = connection_ask(connection, command);
    if (*at != '*') return false;
    while ((at = strstr(at, "name\r\n$1\r\n")) != NULL) {
        uint32_t consumer;

        at += strlen("name\r\n$1\r\n");
        if (!parse_consumer(at, &consumer) || consumer == GROUP_NOBODY) return false;
        out->consumers |= 1u << consumer;
    }
    return true;
}

static inline bool read_pending(struct connection *connection, unsigned client, struct group *out)
{
    char command[40];
    const char *at;
    long count;

    (void)snprintf(command, sizeof(command), "XPENDING c%u g - + 1000", client);
    at = connection_ask(connection, command);
    if (*at != '*') return false;
    count = strtol(take_line(&at) + 1, NULL, 10);
    if (count > GROUP_PENDING_MAX) return false;
    for (long i = 0; i < count; i++) {
        struct group_pending *pending = &out->pending[i];

        (void)take_line(&at); /* of so many elements; then each string behind its length */
        (void)take_line(&at);
        if (!parse_value_id(take_line(&at), &pending->value)) return false;
        (void)take_line(&at);
        if (!parse_consumer(take_line(&at), &pending->consumer)) return false;
        (void)take_line(&at); /* for how long it was idle */
        pending->delivery_count = (uint32_t)strtoul(take_line(&at) + 1, NULL, 10);
    }
    out->pending_count = (unsigned)count;
    return true;
}

/* The group as it is, of a stream that has these entries. False: the server does not say it, or it
 * is no group that anybody made. */
static inline bool read_group(struct connection *connection, unsigned client,
                              struct group_entries entries, struct group *out)
{
    const char *reply, *last;
    char command[32];
    unsigned lag;

    *out = (struct group){ .is_there = false };
    (void)snprintf(command, sizeof(command), "XINFO GROUPS c%u", client);
    reply = connection_ask(connection, command);
    if (strncmp(reply, "-ERR no such key", 16) == 0 || strncmp(reply, "*0", 2) == 0) return true;
    if (strncmp(reply, "*1\r\n", 4) != 0) return false;
    out->is_there = true;
    last = field_of(reply, "last-delivered-id");
    (void)take_line(&last);
    if (!parse_value_id(last, &out->last)) return false;
    if (sscanf(field_of(reply, "lag"), ":%u", &lag) != 1) return false;
    if (lag != group_lag(out, entries)) return false;
    return read_consumers(connection, client, out) && read_pending(connection, client, out);
}
#endif
