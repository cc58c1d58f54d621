/* test_power_model.h - for test_power_work.h: the commands of its clients, what they make of a
 * client's keys, and what a server holds of these. */
#ifndef SERVER_TEST_POWER_MODEL_H
#define SERVER_TEST_POWER_MODEL_H
#include "modules/base/random.h"
#include "server/test_power_client.h"

enum {
    CLIENTS = 3,
    COMMANDS = 120, /* of each client */
    LENGTH_MAX = COMMANDS + 1,
};

/* The lists "a" and "b", and the stream "c". */
enum { FIRST_LIST, SECOND_LIST, STREAM, ROWS };

/* What a client's keys hold: rows of values, and a string; values are told by their numbers. */
struct model {
    uint32_t lists[ROWS][LENGTH_MAX];
    unsigned lengths[ROWS];
    uint32_t string; /* 0: there is none */
};

/* ---- commands and what they do ----------------------------------------------------------------
 */

struct text {
    char bytes[65536];
    size_t size;
};

static inline size_t value_bytes(uint32_t number)
{
    static const size_t sizes[] = { 12, 100, 700, 3000, 9000 };

    return sizes[number * 2654435761u % 5];
}

static inline void add_value(struct text *text, unsigned client, uint32_t number)
{
    size_t size = value_bytes(number);
    int head;

    head = snprintf(text->bytes + text->size, 64, "$%zu\r\n", size);
    text->size += (size_t)head;
    memset(text->bytes + text->size, 'a' + (int)(number % 26), size);
    head = snprintf(text->bytes + text->size, 16, "%u:%u:", client, number);
    text->bytes[text->size + (size_t)head] = '-';
    text->size += size;
    memcpy(text->bytes + text->size, "\r\n", 2);
    text->size += 2;
}

/* Words, apart by one space: "@" is the client's number, a word "=" the value, "#" an id of it. */
static inline void add_command(struct text *text, unsigned client, const char *words,
                               uint32_t value)
{
    unsigned count = 1;

    for (const char *c = words; *c; c++)
        count += *c == ' ';
    text->size += (size_t)sprintf(text->bytes + text->size, "*%u\r\n", count);
    for (const char *c = words; *c;) {
        char word[32];
        size_t size = strcspn(c, " ");
        (void)snprintf(word, sizeof(word), "%.*s", (int)size, c);
        if (strcmp(word, "=") == 0) {
            add_value(text, client, value);
        } else if (strcmp(word, "#") == 0) {
            int id_size = snprintf(word, sizeof(word), "%u-%u", value, value % 3);
            text->size += (size_t)sprintf(text->bytes + text->size, "$%d\r\n%s\r\n", id_size, word);
        } else {
            char *at = strchr(word, '@');
            if (at) *at = (char)('0' + client);
            text->size += (size_t)sprintf(text->bytes + text->size, "$%zu\r\n%s\r\n", size, word);
        }
        c += size + (c[size] == ' ');
    }
}

static inline void push(struct model *model, unsigned list, bool is_head, uint32_t value)
{
    uint32_t *values = model->lists[list];
    unsigned length = model->lengths[list]++;

    ck_assert_uint_lt(length, LENGTH_MAX);
    if (is_head) memmove(values + 1, values, length * sizeof(*values));
    values[is_head ? 0 : length] = value;
}

static inline uint32_t pop(struct model *model, unsigned list, bool is_head)
{
    uint32_t *values = model->lists[list], value;
    unsigned length = model->lengths[list];

    if (length == 0) return 0;
    value = values[is_head ? 0 : length - 1];
    if (is_head) memmove(values, values + 1, (length - 1) * sizeof(*values));
    model->lengths[list]--;
    return value;
}

/* Command `index` of a client: what it does to the model, its bytes, how many replies it has. */
static inline unsigned do_command(uint64_t seed, unsigned client, unsigned index,
                                  struct model *model, struct text *text)
{
    uint32_t value = index + 1, moved;
    struct random random;

    random_init(&random, seed * 1000003 + client * 1009 + index);
    text->size = 0;
    switch (random_below(&random, 14)) {
    case 0:
        add_command(text, client, "LPUSH a@ =", value);
        push(model, 0, true, value);
        return 1;
    case 1:
        add_command(text, client, "LPOP a@", 0);
        (void)pop(model, 0, true);
        return 1;
    case 2:
        add_command(text, client, "RPOP b@", 0);
        (void)pop(model, 1, false);
        return 1;
    case 3:
    case 4:
        add_command(text, client, "LMOVE a@ b@ LEFT RIGHT", 0);
        moved = pop(model, 0, true);
        if (moved > 0) push(model, 1, false, moved);
        return 1;
    case 5:
        add_command(text, client, "SET s@ =", value);
        model->string = value;
        return 1;
    case 6:
        add_command(text, client, "MULTI", 0);
        add_command(text, client, "RPUSH a@ =", value);
        add_command(text, client, "LPOP b@", 0);
        add_command(text, client, "SET s@ =", value);
        add_command(text, client, "EXEC", 0);
        push(model, 0, false, value);
        (void)pop(model, 1, true);
        model->string = value;
        return 5;
    case 7:
        add_command(text, client, "LTRIM b@ 2 -1", 0);
        (void)pop(model, 1, true);
        (void)pop(model, 1, true);
        return 1;
    case 8:
        if (model->lengths[0] == 0) break;
        add_command(text, client, "LSET a@ -1 =", value);
        model->lists[0][model->lengths[0] - 1] = value;
        return 1;
    case 9:
        /* For decades: longer than any walk takes, and any machine sleeps in it. */
        add_command(text, client, "SET s@ = EX 1000000000", value);
        model->string = value;
        return 1;
    case 10:
    case 11:
        add_command(text, client, "XADD c@ # f =", value);
        push(model, STREAM, false, value);
        return 1;
    case 12:
        add_command(text, client, "XTRIM c@ MAXLEN 3", 0);
        while (model->lengths[STREAM] > 3)
            (void)pop(model, STREAM, true);
        return 1;
    default:
        break;
    }
    add_command(text, client, "RPUSH a@ =", value);
    push(model, 0, false, value);
    return 1;
}

/* ---- what a server holds ----------------------------------------------------------------------
 */

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

static inline bool read_model(struct connection *connection, unsigned client, struct model *out)
{
    char command[32];
    const char *reply;

    memset(out, 0, sizeof(*out));
    if (!read_list(connection, client, FIRST_LIST, out) ||
        !read_list(connection, client, SECOND_LIST, out) || !read_stream(connection, client, out))
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
    if (a->string != b->string) return false;
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
