/* getkeys.c - key specifications, and COMMAND GETKEYS and GETKEYSANDFLAGS. */
#include "server/commands/getkeys.h"

#include <errno.h>
#include <stddef.h>

#include "modules/base/number.h"
#include "server/commands/command.h"
#include "server/commands/command_docs.h"
#include "server/commands/command_reply.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/table.h"

/* ---- specifications ------------------------------------------------------------------------- */

static const char *const flag_names[] = {
    "RO",     "RW",     "OW",      "RM",         "access",         "update",
    "insert", "delete", "not_key", "incomplete", "variable_flags",
};

const char *key_flag_name(unsigned index)
{
    return index < sizeof(flag_names) / sizeof(flag_names[0]) ? flag_names[index] : NULL;
}

const struct key_spec *key_specs_of(const struct command *command, struct key_spec *space)
{
    int first = command->key_first, last = command->key_last;

    if (command->docs && command->docs->key_specs) return command->docs->key_specs;
    space[0] = (struct key_spec){ .begin = KEY_BEGIN_NONE };
    space[1] = space[0];
    if (first == 0) return space;
    space[0] = (struct key_spec){
        .begin = KEY_BEGIN_INDEX,
        .index = first,
        .flags = command->key_flags,
        .step = command->key_step,
    };
    if (command->flags & COMMAND_MOVABLE_KEYS) {
        space[0].find = KEY_FIND_NUMBER;
        space[0].number_to = 1;
    } else {
        space[0].find = KEY_FIND_RANGE;
        space[0].last = last < 0 ? last : last - first;
    }
    return space;
}

/* ---- what they find ------------------------------------------------------------------------- */

struct found {
    int64_t first, last;
};

static bool find_begin(const struct key_spec *spec, const struct slice *arguments, int64_t count,
                       int64_t *out_begin)
{
    bool is_backward = spec->index < 0;
    int64_t at = is_backward ? count + spec->index : spec->index;

    if (spec->begin == KEY_BEGIN_INDEX) {
        *out_begin = at;
        return true;
    }
    if (spec->begin != KEY_BEGIN_KEYWORD) return false;
    for (; at > 0 && at < count - 1; at += is_backward ? -1 : 1) {
        if (!slice_equal_nocase(arguments[at], slice_of_string(spec->keyword))) continue;
        *out_begin = at + 1;
        return true;
    }
    return false;
}

static bool find_range(const struct key_spec *spec, const struct slice *arguments, int64_t count,
                       int64_t begin, struct found *out_found)
{
    int64_t number;

    out_found->first = begin;
    if (spec->find == KEY_FIND_RANGE) {
        if (spec->last >= 0)
            out_found->last = begin + spec->last;
        else if (spec->limit <= 1)
            out_found->last = count + spec->last;
        else
            out_found->last = begin + (count - begin) / spec->limit + spec->last;
    } else if (spec->find == KEY_FIND_NUMBER) {
        int64_t at = begin + spec->number_at;

        if (at >= count || !number_parse_int64(arguments[at], &number)) return false;
        if (number < 0 || number > count) return false;
        out_found->first = begin + spec->number_to;
        out_found->last = out_found->first + (number - 1) * spec->step;
    } else {
        return false;
    }
    return out_found->first < count && out_found->last >= out_found->first &&
           out_found->last < count;
}

static uint32_t flags_in(const struct key_spec *spec, const struct slice *arguments, int64_t count,
                         int64_t behind)
{
    if (!(spec->flags & KEY_VARIABLE_FLAGS)) return spec->flags;
    for (int64_t i = behind + 2; spec->reads && i < count; i++) {
        if (slice_equal_nocase(arguments[i], slice_of_string(spec->reads)))
            return spec->flags & ~(uint32_t)KEY_VARIABLE_FLAGS;
    }
    return (spec->flags & ~(uint32_t)(KEY_VARIABLE_FLAGS | KEY_RW | KEY_ACCESS)) | KEY_OW;
}

int64_t keys_visit(const struct command *command, const struct slice *arguments,
                   uint32_t argument_count,
                   void (*each)(void *context, uint32_t index, uint32_t flags), void *context)
{
    struct key_spec space[KEY_SPEC_SPACE];
    int64_t seen = 0;

    for (const struct key_spec *spec = key_specs_of(command, space); spec->begin != KEY_BEGIN_NONE;
         spec++) {
        struct found found;
        int64_t begin;
        uint32_t flags;

        if (spec->flags & KEY_NOT_KEY) continue;
        if (!find_begin(spec, arguments, argument_count, &begin) ||
            !find_range(spec, arguments, argument_count, begin, &found)) {
            if (spec->flags & KEY_INCOMPLETE || spec->begin != KEY_BEGIN_INDEX) continue;
            return -EINVAL;
        }
        flags = flags_in(spec, arguments, argument_count, found.last);
        for (int64_t i = found.first; i <= found.last; i += spec->step) {
            if (each) each(context, (uint32_t)i, flags);
            seen++;
        }
    }
    return seen;
}

/* ---- GETKEYS, GETKEYSANDFLAGS --------------------------------------------------------------- */

struct key_writer {
    struct reply *reply;
    const struct slice *arguments;
    bool with_flags;
};

static void write_key(void *context, uint32_t index, uint32_t flags)
{
    struct key_writer *writer = context;

    if (writer->with_flags) reply_array(writer->reply, 2);
    reply_bulk(writer->reply, writer->arguments[index]);
    if (writer->with_flags) reply_key_flags(writer->reply, flags);
}

/* The command that the arguments from index on name; NULL: none, answered. */
static const struct command *inner_command(struct call *call, uint32_t index)
{
    uint32_t count = call->argument_count - index;
    const struct command *command = command_find(call->server->table, call->arguments[index]);

    if (command && command->child_count > 0 && count > 1)
        command = command_child(command, call->arguments[index + 1]);
    if (!command) {
        (void)call_error(call, "ERR Invalid command specified");
        return NULL;
    }
    return command;
}

static int answer_keys(struct call *call, bool with_flags)
{
    enum { INNER = 2 };
    struct key_spec space[KEY_SPEC_SPACE];
    struct key_writer writer = { call->reply, call->arguments + INNER, with_flags };
    uint32_t count = call->argument_count - INNER;
    const struct command *command = inner_command(call, INNER);
    int64_t key_count;

    if (!command) return 0;
    if (key_specs_of(command, space)->begin == KEY_BEGIN_NONE)
        return call_error(call, "ERR The command has no key arguments");
    if (!command_takes(command, count))
        return call_error(call, "ERR Invalid number of arguments specified for command");
    key_count = keys_visit(command, writer.arguments, count, NULL, NULL);
    if (key_count <= 0) return call_error(call, "ERR Invalid arguments specified for command");
    reply_array(call->reply, (uint64_t)key_count);
    (void)keys_visit(command, writer.arguments, count, write_key, &writer);
    return 0;
}

/* COMMAND GETKEYS command [argument ...] */
int command_getkeys(struct call *call)
{
    return answer_keys(call, false);
}

/* COMMAND GETKEYSANDFLAGS command [argument ...] */
int command_getkeysandflags(struct call *call)
{
    return answer_keys(call, true);
}
