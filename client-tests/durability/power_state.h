/* power_state.h - for power.c: what a client's keys hold, what a command makes of it, and what a
 * server says of it. */
#ifndef CLIENT_TESTS_DURABILITY_POWER_STATE_H
#define CLIENT_TESTS_DURABILITY_POWER_STATE_H
#include "client-tests/lib/wire.h"
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES_MAX = 3000 };

/* A client's list holds the numbers [head, tail), in order; its stream has the entries [first,
 * end), of which the group has delivered those up to `delivered`, and those up to `acknowledged`
 * are pending no more. */
struct state {
    uint32_t head, tail;
    uint32_t first, end, delivered, acknowledged;
};

/* What a command of that kind makes of it: '+' a push, '-' a pop, 'a' XADD, 'r' XREADGROUP COUNT 1,
 * 'k' XACK of the oldest that is pending, 't' XTRIM of all that was delivered, 'w' WAITAOF. */
static inline void apply(struct state *state, char kind)
{
    switch (kind) {
    case '+':
        state->tail++;
        break;
    case '-':
        state->head++;
        break;
    case 'a':
        state->end++;
        break;
    case 'r':
        if (state->delivered + 1 < state->end) state->delivered++;
        break;
    case 'k':
        state->acknowledged++;
        break;
    case 't':
        state->first = state->delivered + 1;
        break;
    default:
        break;
    }
}

/* ---- values ----------------------------------------------------------------------------------
 */

static inline size_t element_bytes(uint32_t number)
{
    return 12 + number * 2654435761u % (number % 7 == 0 ? ELEMENT_BYTES_MAX - 12 : 90);
}

static inline size_t fill_element(char *bytes, unsigned client, uint32_t number)
{
    size_t size = element_bytes(number);
    int head;

    memset(bytes, 'a' + (int)(number % 26), size);
    head = snprintf(bytes, 12, "%u:%u", client, number);
    bytes[head] = ':';
    return size;
}

/* ---- what a server says ----------------------------------------------------------------------
 */

enum { NOTHING = UINT32_MAX };

/* Whether that is the value of this number, which the bytes at *at begin with; *at moves behind
 * it. */
static inline bool take_element(const char **at, unsigned index, uint32_t *number)
{
    char expected[ELEMENT_BYTES_MAX];
    size_t size = strtoul(*at + 1, NULL, 10);
    const char *bytes = strchr(*at, '\n') + 1;
    unsigned owner;

    *at = bytes + size + 2;
    if (sscanf(bytes, "%u:%u:", &owner, number) != 2 || owner != index) return false;
    if (size != element_bytes(*number)) return false;
    (void)fill_element(expected, index, *number);
    return memcmp(bytes, expected, size) == 0;
}

static inline void ask(struct wire *wire, struct text *reply, const char *format, unsigned index)
{
    text_clear(reply);
    wire_command(wire, format, index);
    ck_assert_int_eq(wire_read(wire, reply), 1);
}

/* The list holds the elements [head, tail): whether that is so, and which these are. */
static inline bool read_list(struct wire *wire, unsigned index, struct state *found)
{
    struct text reply = { 0 };
    const char *at;
    unsigned long count;
    bool is_right = true;

    ask(wire, &reply, "LRANGE list%u 0 -1", index);
    count = strtoul(reply.bytes + 1, NULL, 10);
    at = strchr(reply.bytes, '\n') + 1;
    found->head = found->tail = NOTHING;
    for (unsigned long i = 0; is_right && i < count; i++) {
        uint32_t number;
        is_right = take_element(&at, index, &number) && (i == 0 || number == found->tail);
        if (i == 0) found->head = number;
        found->tail = number + 1;
    }
    text_finish(&reply);
    return is_right;
}

/* The stream holds the entries [first, end), each the value that its id says. */
static inline bool read_entries(struct wire *wire, unsigned index, struct state *found)
{
    struct text reply = { 0 };
    unsigned long count;
    bool is_right = true;
    const char *at;

    ask(wire, &reply, "XRANGE stream%u - +", index);
    count = strtoul(reply.bytes + 1, NULL, 10);
    at = strchr(reply.bytes, '\n') + 1;
    found->first = found->end = NOTHING;
    for (unsigned long i = 0; is_right && i < count; i++) {
        static const char field[] = "*2\r\n$1\r\nf\r\n";
        unsigned id = 0;
        uint32_t number;

        is_right = sscanf(at, "*2\r\n$%*u\r\n%u-0\r\n", &id) == 1;
        at = strstr(at, field);
        is_right = is_right && at;
        if (!is_right) break;
        at += sizeof(field) - 1;
        is_right =
            take_element(&at, index, &number) && number == id && (i == 0 || number == found->end);
        if (i == 0) found->first = number;
        found->end = number + 1;
    }
    text_finish(&reply);
    return is_right;
}

/* The number in the bulk string behind that field. */
static inline uint32_t number_behind(const struct text *reply, const char *field)
{
    const char *at = strstr(text_string(reply), field);
    unsigned number = NOTHING;

    if (at) (void)sscanf(at + strlen(field), "\r\n$%*u\r\n%u-0\r\n", &number);
    return number;
}

/* What is pending is what was delivered behind what was acknowledged. */
static inline bool read_group(struct wire *wire, unsigned index, struct state *found)
{
    unsigned count = 0, first = 0, last = 0;
    struct text reply = { 0 };
    uint32_t end;

    ask(wire, &reply, "XINFO STREAM stream%u", index);
    end = number_behind(&reply, "last-generated-id") + 1;
    ask(wire, &reply, "XINFO GROUPS stream%u", index);
    found->delivered = found->acknowledged = number_behind(&reply, "last-delivered-id");
    ask(wire, &reply, "XPENDING stream%u g", index);
    if (sscanf(text_string(&reply), "*4\r\n:%u\r\n$%*u\r\n%u-0\r\n$%*u\r\n%u-0\r\n", &count, &first,
               &last) == 3)
        found->acknowledged = first - 1;
    text_finish(&reply);
    if (found->first != NOTHING && found->end != end) return false;
    found->end = end;
    return found->delivered != NOTHING && count == found->delivered - found->acknowledged &&
           (count == 0 || last == found->delivered);
}

static inline bool is_as_found(const struct state *state, const struct state *found)
{
    if (found->head == NOTHING ? state->head != state->tail
                               : state->head != found->head || state->tail != found->tail)
        return false;
    if (found->first == NOTHING ? state->first != state->end : state->first != found->first)
        return false;
    return state->end == found->end && state->delivered == found->delivered &&
           state->acknowledged == found->acknowledged;
}

static inline const char *text_of(const struct state *state, char text[160])
{
    (void)snprintf(text, 160, "a list [%u, %u), entries [%u, %u), delivered %u, acknowledged %u",
                   state->head, state->tail, state->first, state->end, state->delivered,
                   state->acknowledged);
    return text;
}
#endif
