/* test_power_model.h - for test_power_work.h: the commands of its clients, and what they make of a
 * client's keys. */
#ifndef SERVER_TEST_POWER_MODEL_H
#define SERVER_TEST_POWER_MODEL_H
#include "modules/base/random.h"
#include "server/test_power_client.h"
#include "server/test_power_group.h"

enum {
    CLIENTS = 3,
    COMMANDS = 150, /* of each client */
    LENGTH_MAX = COMMANDS + 1,
};

/* The lists "a" and "b", and the stream "c". */
enum { FIRST_LIST, SECOND_LIST, STREAM, ROWS };

/* What a client's keys hold: rows of values, a string, and the stream's group; values are told by
 * their numbers. */
struct model {
    uint32_t lists[ROWS][LENGTH_MAX];
    unsigned lengths[ROWS];
    uint32_t string;     /* 0: there is none */
    uint32_t last_entry; /* that the stream ever had; 0: none */
    struct group group;
};

/* ---- commands and what they do ----------------------------------------------------------------
 */

struct text {
    char bytes[65536];
    size_t size;
};

enum { VALUE_BYTES_MIN = 12 }; /* its two numbers have room */

/* Values are so many times smaller, where a test wants a store with few bytes. */
static unsigned value_divisor = 1;

static inline size_t value_bytes(uint32_t number)
{
    static const size_t sizes[] = { VALUE_BYTES_MIN, 100, 700, 3000, 9000 };
    size_t size = sizes[number * 2654435761u % 5] / value_divisor;

    return size < VALUE_BYTES_MIN ? VALUE_BYTES_MIN : size;
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

static inline struct group_entries entries_of(const struct model *model)
{
    return (struct group_entries){ model->lists[STREAM], model->lengths[STREAM] };
}

/* ---- commands on the group ----
 * value: of one that is pending, 0 if there is none. */

static inline void group_read(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)value;
    group_deliver(&model->group, entries_of(model), consumer, 3, false);
}

static inline void group_read_noack(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)value;
    group_deliver(&model->group, entries_of(model), consumer, 1, true);
}

static inline void group_ack(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)consumer;
    group_drop(&model->group, value);
}

static inline void group_ackdel(struct model *model, uint32_t consumer, uint32_t value)
{
    uint32_t *values = model->lists[STREAM];
    unsigned kept = 0;

    group_ack(model, consumer, value);
    for (unsigned i = 0; i < model->lengths[STREAM]; i++)
        if (values[i] != value) values[kept++] = values[i];
    model->lengths[STREAM] = kept;
}

static inline void group_xclaim(struct model *model, uint32_t consumer, uint32_t value)
{
    group_claim(&model->group, entries_of(model), value, consumer, 1);
}

static inline void group_xclaim_justid(struct model *model, uint32_t consumer, uint32_t value)
{
    group_claim(&model->group, entries_of(model), value, consumer, 0);
}

static inline void group_autoclaim(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)value;
    if (model->group.pending_count > 0)
        group_xclaim(model, consumer, model->group.pending[0].value);
}

static inline void group_nack(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)consumer;
    group_find(&model->group, value)->consumer = GROUP_NOBODY;
}

static inline void group_nack_silent(struct model *model, uint32_t consumer, uint32_t value)
{
    struct group_pending *pending = group_find(&model->group, value);

    group_nack(model, consumer, value);
    if (pending->delivery_count > 0) pending->delivery_count--;
}

static inline void group_setid(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)consumer;
    model->group.last = value;
}

static inline void group_createconsumer(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)value;
    model->group.consumers |= 1u << consumer;
}

static inline void group_delconsumer(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)value;
    group_remove_consumer(&model->group, consumer);
}

static inline void group_destroy(struct model *model, uint32_t consumer, uint32_t value)
{
    (void)consumer;
    (void)value;
    model->group = (struct group){ .is_there = false };
}

/* "?" is a consumer, "#" the id of what is pending. */
static const struct group_command {
    unsigned weight;
    const char *words;
    void (*act)(struct model *model, uint32_t consumer, uint32_t value);
} group_commands[] = {
    { 28, "XREADGROUP GROUP g ? COUNT 3 STREAMS c@ >", group_read },
    { 4, "XREADGROUP GROUP g ? COUNT 1 NOACK STREAMS c@ >", group_read_noack },
    { 22, "XACK c@ g #", group_ack },
    { 8, "XACKDEL c@ g IDS 1 #", group_ackdel },
    { 8, "XCLAIM c@ g ? 0 #", group_xclaim },
    { 4, "XCLAIM c@ g ? 0 # JUSTID", group_xclaim_justid },
    { 8, "XAUTOCLAIM c@ g ? 0 0 COUNT 1", group_autoclaim },
    { 5, "XNACK c@ g FAIL IDS 1 #", group_nack },
    { 4, "XNACK c@ g SILENT IDS 1 #", group_nack_silent },
    { 3, "XGROUP SETID c@ g #", group_setid },
    { 2, "XGROUP CREATECONSUMER c@ g ?", group_createconsumer },
    { 3, "XGROUP DELCONSUMER c@ g ?", group_delconsumer },
    { 1, "XGROUP DESTROY c@ g", group_destroy },
};

static inline void add_group_command(struct text *text, unsigned client, const char *words,
                                     uint32_t consumer, uint32_t value)
{
    char line[80];
    char *at;

    (void)snprintf(line, sizeof(line), "%s", words);
    at = strchr(line, '?');
    if (at) *at = (char)('x' + consumer);
    add_command(text, client, line, value);
}

/* One that is pending; 0: nothing is. */
static inline uint32_t some_pending(struct random *random, const struct group *group)
{
    if (group->pending_count == 0) return 0;
    return group->pending[random_below(random, group->pending_count)].value;
}

static inline void create_group(struct random *random, unsigned client, struct model *model,
                                struct text *text)
{
    bool is_from_first = random_below(random, 2);

    add_command(text, client,
                is_from_first ? "XGROUP CREATE c@ g 0 MKSTREAM" : "XGROUP CREATE c@ g $ MKSTREAM",
                0);
    model->group.is_there = true;
    model->group.last = is_from_first ? 0 : model->last_entry;
}

/* False: none, as there is nothing pending that it could be done with. */
static inline bool do_group_command(struct random *random, unsigned client, struct model *model,
                                    struct text *text)
{
    uint32_t value = some_pending(random, &model->group);
    uint32_t consumer = (uint32_t)random_below(random, GROUP_CONSUMERS);
    const struct group_command *command = group_commands;
    uint64_t choice = random_below(random, 100); /* the weights add up to that */

    if (!model->group.is_there) {
        create_group(random, client, model, text);
        return true;
    }
    for (; choice >= command->weight; command++)
        choice -= command->weight;
    if (strchr(command->words, '#') && value == 0) return false;
    add_group_command(text, client, command->words, consumer, value);
    command->act(model, consumer, value);
    return true;
}

/* ---- all commands ---- */

/* Five replies. What was taken from the stream goes into a list; or from one list to another. */
static inline void do_transaction(struct random *random, unsigned client, uint32_t value,
                                  struct model *model, struct text *text)
{
    uint32_t pending = some_pending(random, &model->group);

    add_command(text, client, "MULTI", 0);
    add_command(text, client, "RPUSH a@ =", value);
    push(model, 0, false, value);
    if (pending > 0) {
        add_command(text, client, "XACK c@ g #", pending);
        group_drop(&model->group, pending);
    } else {
        add_command(text, client, "LPOP b@", 0);
        (void)pop(model, 1, true);
    }
    add_command(text, client, "SET s@ =", value);
    model->string = value;
    add_command(text, client, "EXEC", 0);
}

/* Command `index` of a client: what it does to the model, its bytes, how many replies it has. */
static inline unsigned do_command(uint64_t seed, unsigned client, unsigned index,
                                  struct model *model, struct text *text)
{
    uint32_t value = index + 1, moved;
    struct random random;

    random_init(&random, seed * 1000003 + client * 1009 + index);
    text->size = 0;
    switch (random_below(&random, 24)) {
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
        do_transaction(&random, client, value, model, text);
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
        model->last_entry = value;
        return 1;
    case 12:
        add_command(text, client, "XTRIM c@ MAXLEN 5", 0);
        while (model->lengths[STREAM] > 5)
            (void)pop(model, STREAM, true);
        return 1;
    case 13:
        break;
    default:
        if (do_group_command(&random, client, model, text)) return 1;
        break;
    }
    add_command(text, client, "RPUSH a@ =", value);
    push(model, 0, false, value);
    return 1;
}
#endif
