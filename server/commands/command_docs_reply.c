/* command_docs_reply.c - COMMAND DOCS: from which clients make help and hints. */
#include <stddef.h>

#include "server/commands/command.h"
#include "server/commands/command_docs.h"
#include "server/commands/command_reply.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/table.h"

static void reply_pair(struct reply *reply, const char *name, const char *value)
{
    reply_bulk_string(reply, name);
    reply_bulk_string(reply, value);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static const char *const type_names[] = {
    [ARGUMENT_STRING] = "string",         [ARGUMENT_INTEGER] = "integer",
    [ARGUMENT_DOUBLE] = "double",         [ARGUMENT_KEY] = "key",
    [ARGUMENT_PATTERN] = "pattern",       [ARGUMENT_UNIX_TIME] = "unix-time",
    [ARGUMENT_PURE_TOKEN] = "pure-token", [ARGUMENT_ONEOF] = "oneof",
    [ARGUMENT_BLOCK] = "block",
};

static const char *argument_flag_name(unsigned index)
{
    static const char *const names[] = { "optional", "multiple", "multiple_token" };

    return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

static void reply_arguments(struct reply *reply, const struct command_argument *arguments);

static void reply_argument(struct reply *reply, const struct command_argument *argument)
{
    uint64_t pairs = 2;

    pairs += argument->key_number > 0;
    pairs += argument->token != NULL;
    pairs += argument->since != NULL;
    pairs += argument->deprecated_since != NULL;
    pairs += argument->flags != 0;
    pairs += argument->children != NULL;
    reply_map(reply, pairs);
    reply_pair(reply, "name", argument->name);
    reply_pair(reply, "type", type_names[argument->type]);
    if (argument->key_number > 0) {
        reply_bulk_string(reply, "key_spec_index");
        reply_integer(reply, argument->key_number - 1);
    }
    if (argument->token) reply_pair(reply, "token", argument->token);
    if (argument->since) reply_pair(reply, "since", argument->since);
    if (argument->deprecated_since)
        reply_pair(reply, "deprecated_since", argument->deprecated_since);
    if (argument->flags) {
        reply_bulk_string(reply, "flags");
        reply_bit_names(reply, argument->flags, "", argument_flag_name);
    }
    if (argument->children) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, argument->children);
    }
}

/* As deep as command_docs.def nests them. */
static void reply_arguments(struct reply *reply, const struct command_argument *arguments)
{
    uint64_t count = 0;

    while (arguments[count].name) {
        count++;
    }
    reply_array(reply, count);
    for (uint64_t i = 0; i < count; i++) {
        reply_argument(reply, &arguments[i]);
    }
}

/* ---- a command ------------------------------------------------------------------------------ */

static void reply_history(struct reply *reply, const struct command_change *history)
{
    uint64_t count = 0;

    while (history[count].since) {
        count++;
    }
    reply_bulk_string(reply, "history");
    reply_set(reply, count);
    for (uint64_t i = 0; i < count; i++) {
        reply_array(reply, 2);
        reply_bulk_string(reply, history[i].since);
        reply_bulk_string(reply, history[i].what);
    }
}

static const char *docs_flag_name(unsigned index)
{
    static const char *const names[] = { "deprecated", "syscmd" };

    return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

static uint32_t shown_flags(const struct command_docs *docs)
{
    return (docs->deprecated_since ? 1u : 0u) | (docs->flags & DOCS_SYSTEM_COMMAND ? 2u : 0u);
}

static void reply_named_docs(struct reply *reply, const struct command *command)
{
    static const struct command_docs nothing;
    const struct command_docs *docs = command->docs ? command->docs : &nothing;
    uint64_t pairs = 3;

    pairs += command->complexity != NULL;
    pairs += shown_flags(docs) != 0;
    pairs += docs->deprecated_since ? 2 : 0;
    pairs += docs->history != NULL;
    pairs += docs->arguments != NULL;
    pairs += command->child_count > 0;
    reply_bulk_string(reply, command->full_name);
    reply_map(reply, pairs);
    reply_pair(reply, "summary", command->summary);
    reply_pair(reply, "since", command->since);
    reply_pair(reply, "group", command->group);
    if (command->complexity) reply_pair(reply, "complexity", command->complexity);
    if (shown_flags(docs)) {
        reply_bulk_string(reply, "doc_flags");
        reply_bit_names(reply, shown_flags(docs), "", docs_flag_name);
    }
    if (docs->deprecated_since) {
        reply_pair(reply, "deprecated_since", docs->deprecated_since);
        reply_pair(reply, "replaced_by", docs->replaced_by);
    }
    if (docs->history) reply_history(reply, docs->history);
    if (docs->arguments) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, docs->arguments);
    }
    if (command->child_count == 0) return;
    reply_bulk_string(reply, "subcommands");
    reply_map(reply, command->child_count);
    for (uint32_t i = 0; i < command->child_count; i++) {
        reply_named_docs(reply, command->children[i]); /* children have none: one level */
    }
}

static int docs_of_all(struct call *call)
{
    const struct command_table *table = call->server->table;

    reply_map(call->reply, command_count(table));
    for (uint32_t i = 0; i < command_count(table); i++) {
        reply_named_docs(call->reply, command_at(table, i));
    }
    return 0;
}

/* COMMAND DOCS [command-name ...]: those that are not there are left out. */
int command_docs_command(struct call *call)
{
    struct command_table *table = call->server->table;
    uint64_t count = 0;

    if (call->argument_count == 2) return docs_of_all(call);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        count += command_find_full(table, call->arguments[i]) != NULL;
    }
    reply_map(call->reply, count);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        const struct command *command = command_find_full(table, call->arguments[i]);

        if (command) reply_named_docs(call->reply, command);
    }
    return 0;
}
