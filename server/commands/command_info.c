/* command_info.c - COMMAND, COMMAND COUNT, INFO, LIST and HELP: the table as Redis shows its own.
 */
#include <stddef.h>
#include <stdio.h>

#include "modules/base/glob.h"
#include "server/commands/acl_category.h"
#include "server/commands/command.h"
#include "server/commands/command_docs.h"
#include "server/commands/command_reply.h"
#include "server/commands/getkeys.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/table.h"

/* ---- sets of words -------------------------------------------------------------------------- */

void reply_bit_names(struct reply *reply, uint32_t bits, const char *prefix,
                     const char *(*name_of)(unsigned index))
{
    uint64_t count = 0;
    const char *name;

    for (unsigned i = 0; name_of(i); i++) {
        count += bits >> i & 1;
    }
    reply_set(reply, count);
    for (unsigned i = 0; (name = name_of(i)) != NULL; i++) {
        char text[32];

        if (!(bits >> i & 1)) continue;
        (void)snprintf(text, sizeof(text), "%s%s", prefix, name);
        reply_simple(reply, slice_of_string(text));
    }
}

void reply_key_flags(struct reply *reply, uint32_t flags)
{
    reply_bit_names(reply, flags, "", key_flag_name);
}

/* In Redis's order. */
static const struct {
    uint32_t flag;
    const char *name;
} command_flags[] = {
    { COMMAND_WRITE, "write" },
    { COMMAND_READONLY, "readonly" },
    { COMMAND_MAY_GROW, "denyoom" },
    { COMMAND_ADMIN, "admin" },
    { COMMAND_PUBSUB, "pubsub" },
    { COMMAND_NOSCRIPT, "noscript" },
    { COMMAND_BLOCKING, "blocking" },
    { COMMAND_LOADING, "loading" },
    { COMMAND_STALE, "stale" },
    { COMMAND_SKIP_MONITOR, "skip_monitor" },
    { COMMAND_SKIP_SLOWLOG, "skip_slowlog" },
    { COMMAND_FAST, "fast" },
    { COMMAND_NO_AUTH, "no_auth" },
    { 0, "no_async_loading" }, /* from command_docs.def */
    { COMMAND_NO_MULTI, "no_multi" },
    { COMMAND_MOVABLE_KEYS, "movablekeys" },
    { COMMAND_ALLOW_BUSY, "allow_busy" },
};
enum { COMMAND_FLAG_COUNT = sizeof(command_flags) / sizeof(command_flags[0]) };

static const char *command_flag_name(unsigned index)
{
    return index < COMMAND_FLAG_COUNT ? command_flags[index].name : NULL;
}

static void reply_command_flags(struct reply *reply, const struct command *command)
{
    uint32_t docs_flags = command->docs ? command->docs->flags : 0, bits = 0;

    for (unsigned i = 0; i < COMMAND_FLAG_COUNT; i++) {
        uint32_t flag = command_flags[i].flag;

        if (flag == COMMAND_SKIP_MONITOR && docs_flags & DOCS_NOT_SKIP_MONITOR) continue;
        if (flag ? command->flags & flag : docs_flags & DOCS_NO_ASYNC_LOADING) bits |= 1u << i;
    }
    reply_bit_names(reply, bits, "", command_flag_name);
}

static const char *category_name_or_null(unsigned index)
{
    return index < ACL_CATEGORY_COUNT ? acl_category_name(index) : NULL;
}

/* ---- key specifications --------------------------------------------------------------------- */

static void reply_pair(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

static void reply_begin(struct reply *reply, const struct key_spec *spec)
{
    static const char *const types[] = {
        [KEY_BEGIN_UNKNOWN] = "unknown",
        [KEY_BEGIN_INDEX] = "index",
        [KEY_BEGIN_KEYWORD] = "keyword",
    };

    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, types[spec->begin]);
    reply_bulk_string(reply, "spec");
    if (spec->begin == KEY_BEGIN_INDEX) {
        reply_map(reply, 1);
        reply_pair(reply, "index", spec->index);
    } else if (spec->begin == KEY_BEGIN_KEYWORD) {
        reply_map(reply, 2);
        reply_bulk_string(reply, "keyword");
        reply_bulk_string(reply, spec->keyword);
        reply_pair(reply, "startfrom", spec->index);
    } else {
        reply_map(reply, 0);
    }
}

static void reply_find(struct reply *reply, const struct key_spec *spec)
{
    static const char *const types[] = {
        [KEY_FIND_UNKNOWN] = "unknown",
        [KEY_FIND_RANGE] = "range",
        [KEY_FIND_NUMBER] = "keynum",
    };

    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, types[spec->find]);
    reply_bulk_string(reply, "spec");
    if (spec->find == KEY_FIND_RANGE) {
        reply_map(reply, 3);
        reply_pair(reply, "lastkey", spec->last);
        reply_pair(reply, "keystep", spec->step);
        reply_pair(reply, "limit", spec->limit);
    } else if (spec->find == KEY_FIND_NUMBER) {
        reply_map(reply, 3);
        reply_pair(reply, "keynumidx", spec->number_at);
        reply_pair(reply, "firstkey", spec->number_to);
        reply_pair(reply, "keystep", spec->step);
    } else {
        reply_map(reply, 0);
    }
}

static void reply_key_specs(struct reply *reply, const struct command *command)
{
    struct key_spec space[KEY_SPEC_SPACE];
    const struct key_spec *specs = key_specs_of(command, space);
    uint64_t count = 0;

    while (specs[count].begin != KEY_BEGIN_NONE) {
        count++;
    }
    reply_set(reply, count);
    for (uint64_t i = 0; i < count; i++) {
        reply_map(reply, specs[i].notes ? 4 : 3);
        if (specs[i].notes) {
            reply_bulk_string(reply, "notes");
            reply_bulk_string(reply, specs[i].notes);
        }
        reply_bulk_string(reply, "flags");
        reply_key_flags(reply, specs[i].flags);
        reply_bulk_string(reply, "begin_search");
        reply_begin(reply, &specs[i]);
        reply_bulk_string(reply, "find_keys");
        reply_find(reply, &specs[i]);
    }
}

/* ---- COMMAND, COMMAND INFO, COMMAND COUNT --------------------------------------------------- */

static void reply_tips(struct reply *reply, const struct command *command)
{
    const char *const *tips = command->docs ? command->docs->tips : NULL;
    uint64_t count = 0;

    while (tips && tips[count]) {
        count++;
    }
    reply_set(reply, count);
    for (uint64_t i = 0; i < count; i++) {
        reply_bulk_string(reply, tips[i]);
    }
}

/* First, last and step as clients older than key specifications read them. */
static void reply_key_range(struct reply *reply, const struct command *command)
{
    /* Where numkeys stands is no key, and what follows it is nowhere fixed. */
    bool is_fixed = !(command->flags & COMMAND_MOVABLE_KEYS) || command->key_last != 0;

    reply_integer(reply, is_fixed ? command->key_first : 0);
    reply_integer(reply, is_fixed ? command->key_last : 0);
    reply_integer(reply, is_fixed ? command->key_step : 0);
}

static void reply_command(struct reply *reply, const struct command *command)
{
    reply_array(reply, 10);
    reply_bulk_string(reply, command->full_name);
    reply_integer(reply, command->arity);
    reply_command_flags(reply, command);
    reply_key_range(reply, command);
    reply_bit_names(reply, acl_categories(command), "@", category_name_or_null);
    reply_tips(reply, command);
    reply_key_specs(reply, command);
    if (command->child_count == 0) {
        reply_set(reply, 0); /* a set when empty, else an array: so does Redis */
        return;
    }
    reply_array(reply, command->child_count);
    for (uint32_t i = 0; i < command->child_count; i++) {
        reply_command(reply, command->children[i]); /* children have none: one level */
    }
}

/* COMMAND */
int command_all(struct call *call)
{
    const struct command_table *table = call->server->table;

    reply_array(call->reply, command_count(table));
    for (uint32_t i = 0; i < command_count(table); i++) {
        reply_command(call->reply, command_at(table, i));
    }
    return 0;
}

/* COMMAND COUNT */
int command_count_command(struct call *call)
{
    reply_integer(call->reply, command_count(call->server->table));
    return 0;
}

/* COMMAND INFO [command-name ...] */
int command_info(struct call *call)
{
    if (call->argument_count == 2) return command_all(call);
    reply_array(call->reply, call->argument_count - 2);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        struct command *command = command_find_full(call->server->table, call->arguments[i]);

        if (command)
            reply_command(call->reply, command);
        else
            reply_null(call->reply);
    }
    return 0;
}

/* ---- COMMAND LIST --------------------------------------------------------------------------- */

struct list_filter {
    uint32_t category;    /* 0: any */
    struct slice pattern; /* no bytes: any */
    bool matches_nothing;
};

static bool passes(const struct list_filter *filter, const struct command *command)
{
    if (filter->matches_nothing) return false;
    if (filter->category && !(acl_categories(command) & filter->category)) return false;
    return !filter->pattern.bytes ||
           glob_match(filter->pattern, slice_of_string(command->full_name), GLOB_IGNORE_CASE);
}

/* Writes the names that pass when reply is not NULL; the count. */
static uint64_t list_names(const struct command_table *table, const struct list_filter *filter,
                           struct reply *reply)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < command_count(table); i++) {
        const struct command *top = command_at(table, i);

        for (uint32_t k = 0; k <= top->child_count; k++) {
            const struct command *command = k == 0 ? top : top->children[k - 1];

            if (!passes(filter, command)) continue;
            if (reply) reply_bulk_string(reply, command->full_name);
            count++;
        }
    }
    return count;
}

/* COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern] */
int command_list(struct call *call)
{
    const struct command_table *table = call->server->table;
    struct list_filter filter = { 0 };

    if (call->argument_count == 5 && slice_is(call->arguments[2], "FILTERBY")) {
        struct slice kind = call->arguments[3], value = call->arguments[4];

        if (slice_is(kind, "MODULE")) {
            filter.matches_nothing = true; /* there are no modules */
        } else if (slice_is(kind, "ACLCAT")) {
            filter.category = acl_category_by_name(value);
            filter.matches_nothing = filter.category == 0;
        } else if (slice_is(kind, "PATTERN")) {
            filter.pattern = value;
        } else {
            return call_syntax_error(call);
        }
    } else if (call->argument_count != 2) {
        return call_syntax_error(call);
    }
    reply_array(call->reply, list_names(table, &filter, NULL));
    (void)list_names(table, &filter, call->reply);
    return 0;
}

/* COMMAND HELP */
int command_help(struct call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    All commands: arity, flags, keys, categories, tips, subcommands.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> ...]",
        "    What commands do and which arguments they take: these, or all.",
        "GETKEYS <full-command>",
        "    The keys that a whole command names.",
        "GETKEYSANDFLAGS <full-command>",
        "    The keys that a whole command names, each with what is done to it.",
        "INFO [<command-name> ...]",
        "    As without a subcommand, for these commands or all.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    The names of commands: all, or those of a module, of a category, like a pattern.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}
