/* test_power_found.h - for test_power_work.h: what a server holds of a client's keys, and how many
 * of the client's commands have made that. */
#ifndef SERVER_TEST_POWER_FOUND_H
#define SERVER_TEST_POWER_FOUND_H
#include "server/test_power_model.h"

/* The number of the bulk string at *at, which moves behind it. 0: none, or not as it was sent. */
static inline uint32_t take_value(const char **at, unsigned client)
{
    const char *bytes = strchr(*at, '\n') + 1;
    long size = strtol(*at + 1, NULL, 10);
    static struct text expected;
    unsigned owner = 0, number = 0;

    if (**at != '$' || size < 0) return 0;
    *at = bytes + size + 2;
    if (sscanf(bytes, "%u:%u:", &owner, &number) != 2 || owner != client) return 0;
    expected.size = 0;
    add_value(&expected, client, number);
    if (value_bytes(number) != (size_t)size) return 0;
    return memcmp(bytes, strchr(expected.bytes, '\n') + 1, (size_t)size) == 0 ? number : 0;
}

static inline bool read_list(struct connection *connection, unsigned client, unsigned list,
                             struct model *out)
{
    char command[32];
    const char *reply;
    long count;

    (void)snprintf(command, sizeof(command), "LRANGE %c%u 0 -1", 'a' + (int)list, client);
    reply = connection_ask(connection, command);
    if (*reply != '*') return false;
    count = strtol(reply + 1, NULL, 10);
    if (count > LENGTH_MAX) return false;
    reply = strchr(reply, '\n') + 1;
    out->lengths[list] = (unsigned)count;
    for (long i = 0; i < count; i++) {
        out->lists[list][i] = take_value(&reply, client);
        if (out->lists[list][i] == 0) return false;
    }
    return true;
}

/* Entries of one field each, with the id that the value was given. */
static inline bool read_stream(struct connection *connection, unsigned client, struct model *out)
{
    char command[32];
    const char *reply;
    long count;

    (void)snprintf(command, sizeof(command), "XRANGE c%u - +", client);
    reply = connection_ask(connection, command);
    if (*reply != '*') return false;
    count = strtol(reply + 1, NULL, 10);
    if (count > LENGTH_MAX) return false;
    out->lengths[STREAM] = (unsigned)count;
    for (long i = 0; i < count; i++) {
        unsigned ms = 0, seq = 0;
        uint32_t value;

        reply = strstr(reply, "*2\r\n$");
        if (!reply || sscanf(reply, "*2\r\n$%*u\r\n%u-%u\r\n", &ms, &seq) != 2) return false;
        reply = strstr(reply, "f\r\n$");
        if (!reply) return false;
        reply += 3;
        value = take_value(&reply, client);
        if (value == 0 || ms != value || seq != value % 3) return false;
        out->lists[STREAM][i] = value;
    }
    return true;
}

/* The last entry that there ever was. */
static inline bool read_last_entry(struct connection *connection, unsigned client,
                                   struct model *out)
{
    const char *reply, *last;
    char command[32];

    (void)snprintf(command, sizeof(command), "XINFO STREAM c%u", client);
    reply = connection_ask(connection, command);
    if (strncmp(reply, "-ERR no such key", 16) == 0) return true;
    last = field_of(reply, "last-generated-id");
    (void)take_line(&last);
    return parse_value_id(last, &out->last_entry);
}

static inline bool read_stream_and_group(struct connection *connection, unsigned client,
                                         struct model *out)
{
    return read_stream(connection, client, out) && read_last_entry(connection, client, out) &&
           read_group(connection, client, entries_of(out), &out->group);
}

static inline bool read_model(struct connection *connection, unsigned client, struct model *out)
{
    char command[32];
    const char *reply;

    memset(out, 0, sizeof(*out));
    if (!read_list(connection, client, FIRST_LIST, out) ||
        !read_list(connection, client, SECOND_LIST, out) ||
        !read_stream_and_group(connection, client, out))
        return false;
    (void)snprintf(command, sizeof(command), "GET s%u", client);
    reply = connection_ask(connection, command);
    if (strncmp(reply, "$-1", 3) == 0) return true;
    if (*reply != '$') return false;
    out->string = take_value(&reply, client);
    return out->string > 0;
}

static inline bool models_are_equal(const struct model *a, const struct model *b)
{
    if (a->string != b->string || a->last_entry != b->last_entry) return false;
    if (!groups_are_equal(&a->group, &b->group)) return false;
    for (unsigned i = 0; i < ROWS; i++) {
        size_t bytes = a->lengths[i] * sizeof(a->lists[i][0]);
        if (a->lengths[i] != b->lengths[i]) return false;
        if (memcmp(a->lists[i], b->lists[i], bytes) != 0) return false;
    }
    return true;
}

/* How many of the first commands, at least and at most, have made it; -1: none of these. */
static inline long commands_for(uint64_t seed, unsigned client, const struct model *found,
                                unsigned least, unsigned most)
{
    static struct model model;
    static struct text text;

    memset(&model, 0, sizeof(model));
    for (unsigned i = 0;; i++) {
        if (i >= least && models_are_equal(&model, found)) return (long)i;
        if (i == most) return -1;
        (void)do_command(seed, client, i, &model, &text);
    }
}
#endif
