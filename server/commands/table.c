#include "server/commands/table.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/command_docs.h"
#include "server/commands/getkeys.h"
#include "server/commands/handlers.h"
#include "server/commands/statistics.h"
#include "server/durability/effects.h"

enum { NAME_BYTES_MAX = 32, SLOTS = 1024 /* a power of two, well above the number of rows */ };

struct row {
    const char *parent, *name;
    int (*handler)(struct call *call);
    int arity;
    uint32_t flags;
    int key_first, key_last, key_step;
    uint32_t key_flags;
    const char *group, *since, *complexity, *summary;
};

/* The short names that commands.def uses. */
#define WRITE                          COMMAND_WRITE
#define READONLY                       COMMAND_READONLY
#define MAY_GROW                       COMMAND_MAY_GROW
#define SPILLS                         COMMAND_SPILLS
#define ADMIN                          COMMAND_ADMIN
#define PUBSUB                         COMMAND_PUBSUB
#define NOSCRIPT                       COMMAND_NOSCRIPT
#define BLOCKING                       COMMAND_BLOCKING
#define LOADING                        COMMAND_LOADING
#define STALE                          COMMAND_STALE
#define SKIP_MONITOR                   COMMAND_SKIP_MONITOR
#define SKIP_SLOWLOG                   COMMAND_SKIP_SLOWLOG
#define FAST                           COMMAND_FAST
#define NO_AUTH                        COMMAND_NO_AUTH
#define ALLOW_BUSY                     COMMAND_ALLOW_BUSY
#define NO_MULTI                       COMMAND_NO_MULTI
#define MOVABLE_KEYS                   COMMAND_MOVABLE_KEYS
#define ALL_KEYS                       COMMAND_ALL_KEYS
#define DANGEROUS                      COMMAND_DANGEROUS
#define IMMEDIATE                      COMMAND_IMMEDIATE
#define OTHER_DATABASE                 COMMAND_OTHER_DATABASE
#define REWRITES                       COMMAND_REWRITES
#define KEYS(first, last, step, flags) first, last, step, (flags)
#define NO_KEYS                        0, 0, 0, 0

#define COMMAND(name, handler, arity, flags, keys, group, since, complexity, summary)              \
    { NULL, name, handler, arity, flags, keys, group, since, complexity, summary },
#define SUBCOMMAND(parent, name, handler, arity, flags, keys, group, since, complexity, summary)   \
    { parent, name, handler, arity, flags, keys, group, since, complexity, summary },
static const struct row rows[] = {
#include "server/commands/commands.def"
};
#undef COMMAND
#undef SUBCOMMAND

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };
static_assert(ROW_COUNT * 2 < SLOTS, "the hash table would be crowded");

/* A name of at most 16 bytes as two words with every byte's case bit set: letters compare alike in
 * any case. Other bytes may collide with control characters, which a second look tells apart. */
struct short_name {
    uint64_t low, high;
    size_t size;
};

struct command_table {
    struct command commands[ROW_COUNT];
    struct command_statistics statistics[ROW_COUNT];
    struct command *top[ROW_COUNT];
    uint32_t top_count;
    struct slot {
        struct short_name name;
        struct command *command;
        bool is_of_letters; /* then equal words mean equal names */
    } slots[SLOTS];         /* open addressing, linear probing */
    char full_names[ROW_COUNT][2 * NAME_BYTES_MAX];
    struct command *children[ROW_COUNT];
};

enum { SHORT_NAME_BYTES = 16 };

static uint64_t load_upto8(const uint8_t *bytes, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

/* Two loads that overlap read a name of 8 to 16, or of 4 to 7 bytes, without a loop. */
static inline struct short_name short_name_of(struct slice name)
{
    const uint64_t case_bits = 0x2020202020202020u;
    struct short_name out = { 0, 0, name.size };
    uint32_t first, last;

    if (name.size >= 8) {
        memcpy(&out.low, name.bytes, 8);
        memcpy(&out.high, name.bytes + name.size - 8, 8);
        out.high |= case_bits;
    } else if (name.size >= 4) {
        memcpy(&first, name.bytes, 4);
        memcpy(&last, name.bytes + name.size - 4, 4);
        out.low = (uint64_t)last << 32 | first;
    } else {
        out.low = load_upto8(name.bytes, name.size);
    }
    out.low |= case_bits;
    return out;
}

static uint32_t short_hash(struct short_name name)
{
    uint64_t mixed = (name.low ^ (name.high << 23 | name.high >> 41)) * 0x9e3779b97f4a7c15u;

    return (uint32_t)(mixed >> 32);
}

static uint32_t name_hash(struct slice name)
{
    uint32_t hash = 2166136261u; /* FNV-1a for the few long names */

    if (name.size <= SHORT_NAME_BYTES) return short_hash(short_name_of(name));
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ ascii_lower(name.bytes[i])) * 16777619u;
    }
    return hash ^ (hash >> 15);
}

static bool is_of_letters(const char *name)
{
    for (; *name; name++) {
        if (*name < 'a' || *name > 'z') return false;
    }
    return true;
}

static void fill_command(struct command_table *table, uint32_t index)
{
    const struct row *row = &rows[index];
    struct command *command = &table->commands[index];
    int written = snprintf(table->full_names[index], sizeof(table->full_names[index]), "%s%s%s",
                           row->parent ? row->parent : "", row->parent ? "|" : "", row->name);

    assert(written > 0 && (size_t)written < sizeof(table->full_names[index]));
    *command = (struct command){
        .name = row->name,
        .handler = row->handler,
        .arity = row->arity,
        .flags = row->flags,
        .key_first = row->key_first,
        .key_last = row->key_last,
        .key_step = row->key_step,
        .key_flags = row->key_flags,
        .group = row->group,
        .since = row->since,
        .complexity = row->complexity,
        .summary = row->summary,
        .full_name = table->full_names[index],
        .docs = command_docs_find(slice_of_string(table->full_names[index])),
        .statistics = &table->statistics[index],
        .effect = effect_form_of(table->full_names[index]),
    };
    assert((command->effect != EFFECT_NONE) == ((command->flags & COMMAND_WRITE) != 0));
}

static void add_top(struct command_table *table, struct command *command)
{
    struct slice name = slice_of_string(command->name);
    uint32_t slot = name_hash(name) % SLOTS;

    assert(!command_find(table, name));
    while (table->slots[slot].command) {
        slot = (slot + 1) % SLOTS;
    }
    table->slots[slot] = (struct slot){
        .command = command,
        .name =
            name.size <= SHORT_NAME_BYTES ? short_name_of(name) : (struct short_name){ 0, 0, 0 },
        .is_of_letters = name.size <= SHORT_NAME_BYTES && is_of_letters(command->name),
    };
    table->top[table->top_count++] = command;
}

/* Rows of one container stand together in commands.def, behind the container's own. */
static void add_children(struct command_table *table)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        struct command *parent;

        if (!rows[i].parent) continue;
        parent = command_find(table, slice_of_string(rows[i].parent));
        assert(parent && "a SUBCOMMAND row stands behind its container's row");
        if (parent->child_count == 0) parent->children = &table->children[used];
        assert(parent->children + parent->child_count == &table->children[used]);
        table->commands[i].parent = parent;
        table->children[used++] = &table->commands[i];
        parent->child_count++;
    }
}

int command_table_create(struct command_table **out_table)
{
    struct command_table *table = calloc(1, sizeof(*table));

    if (!table) return -ENOMEM;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        fill_command(table, i);
        if (!rows[i].parent) add_top(table, &table->commands[i]);
    }
    add_children(table);
    *out_table = table;
    return 0;
}

void command_table_destroy(struct command_table *table)
{
    free(table);
}

static struct command *find_long(struct command_table *table, struct slice name)
{
    uint32_t slot = name_hash(name) % SLOTS;

    for (; table->slots[slot].command; slot = (slot + 1) % SLOTS) {
        if (slice_equal_nocase(slice_of_string(table->slots[slot].command->name), name))
            return table->slots[slot].command;
    }
    return NULL;
}

struct command *command_find(struct command_table *table, struct slice name)
{
    struct short_name wanted;
    uint32_t slot;

    if (name.size > NAME_BYTES_MAX) return NULL;
    if (name.size > SHORT_NAME_BYTES) return find_long(table, name);
    wanted = short_name_of(name);
    for (slot = short_hash(wanted) % SLOTS; table->slots[slot].command; slot = (slot + 1) % SLOTS) {
        const struct slot *found = &table->slots[slot];

        if (found->name.low != wanted.low || found->name.high != wanted.high ||
            found->name.size != wanted.size)
            continue;
        if (found->is_of_letters || slice_equal_nocase(slice_of_string(found->command->name), name))
            return found->command;
    }
    return NULL;
}

struct command *command_child(const struct command *container, struct slice name)
{
    for (uint32_t i = 0; i < container->child_count; i++) {
        if (slice_equal_nocase(slice_of_string(container->children[i]->name), name))
            return container->children[i];
    }
    return NULL;
}

struct command *command_find_full(struct command_table *table, struct slice full_name)
{
    const uint8_t *bar = full_name.size ? memchr(full_name.bytes, '|', full_name.size) : NULL;
    struct command *container;
    size_t head;

    if (!bar) return command_find(table, full_name);
    head = (size_t)(bar - full_name.bytes);
    container = command_find(table, slice_of(full_name.bytes, head));
    if (!container) return NULL;
    return command_child(container, slice_of(bar + 1, full_name.size - head - 1));
}

bool command_changes_at_once(const struct command *command)
{
    if (!(command->flags & COMMAND_WRITE)) return false;
    return !(command->flags & COMMAND_BLOCKING) || command->handler == stream_xreadgroup;
}

struct command *command_of(struct command_table *table, const struct slice *arguments,
                           uint32_t argument_count)
{
    struct command *command = command_find(table, arguments[0]);

    if (!command || command->child_count == 0 || argument_count < 2) return command;
    return command_child(command, arguments[1]);
}

uint32_t command_count(const struct command_table *table)
{
    return table->top_count;
}

struct command *command_at(const struct command_table *table, uint32_t index)
{
    assert(index < table->top_count);
    return table->top[index];
}

/* numkeys stands at key_first, the keys behind it. */
static int movable_keys(const struct command *command, const struct slice *arguments,
                        uint32_t argument_count, uint32_t *out_indexes, uint32_t capacity)
{
    uint32_t at = (uint32_t)command->key_first;
    int64_t count;

    if (at >= argument_count || !number_parse_int64(arguments[at], &count)) return -EINVAL;
    if (count <= 0 || count > (int64_t)argument_count - (int64_t)at - 1) return -EINVAL;
    for (uint32_t i = 0; i < (uint32_t)count && i < capacity; i++) {
        out_indexes[i] = at + 1 + i;
    }
    return (int)count;
}

struct index_list {
    uint32_t *indexes;
    uint32_t count, capacity;
};

static void add_index(void *context, uint32_t index, uint32_t flags)
{
    struct index_list *list = context;

    (void)flags;
    if (list->count < list->capacity) list->indexes[list->count] = index;
    list->count++;
}

/* Behind a word: as the specification in command_docs.def has it. */
static int keys_behind_word(const struct command *command, const struct slice *arguments,
                            uint32_t argument_count, uint32_t *out_indexes, uint32_t capacity)
{
    struct index_list list = { .indexes = out_indexes, .capacity = capacity };

    if (keys_visit(command, arguments, argument_count, add_index, &list) < 0) return -EINVAL;
    return (int)list.count;
}

int command_keys(const struct command *command, const struct slice *arguments,
                 uint32_t argument_count, uint32_t *out_indexes, uint32_t capacity)
{
    int last = command->key_last, count = 0;

    if (command->flags & COMMAND_MOVABLE_KEYS && command->key_first == 0)
        return keys_behind_word(command, arguments, argument_count, out_indexes, capacity);
    if (command->flags & COMMAND_MOVABLE_KEYS)
        return movable_keys(command, arguments, argument_count, out_indexes, capacity);
    if (command->key_first == 0) return 0;
    if (last < 0) last = (int)argument_count + last;
    for (int i = command->key_first; i <= last && i < (int)argument_count; i += command->key_step) {
        if ((uint32_t)count < capacity) out_indexes[count] = (uint32_t)i;
        count++;
    }
    return count;
}
