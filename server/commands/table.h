/* table.h - all commands, found by name. Made once from commands.def, never changed. Loop thread
 * only. */
#ifndef SERVER_COMMANDS_TABLE_H
#define SERVER_COMMANDS_TABLE_H
#include "modules/base/slice.h"
#include "server/commands/command.h"

struct command_table;
struct claim_name;

/* Made anew for each server; -ENOMEM. Two rows of one name are our mistake. */
int command_table_create(struct command_table **out_table);
void command_table_destroy(struct command_table *table); /* accepts NULL */

/* In any case. A container's own row; the subcommand is found with command_child. NULL: unknown. */
struct command *command_find(struct command_table *table, struct slice name);
/* "config|get" too. */
struct command *command_find_full(struct command_table *table, struct slice full_name);
/* True: the operation log may hold it. What waits is there as what it did; XREADGROUP as itself,
 * but without BLOCK. */
bool command_changes_at_once(const struct command *command);
/* Which command these arguments, the first one the name, are a call of. NULL: none. */
struct command *command_of(struct command_table *table, const struct slice *arguments,
                           uint32_t argument_count);
struct command *command_child(const struct command *container, struct slice name);

uint32_t command_count(const struct command_table *table); /* containers count once */
struct command *command_at(const struct command_table *table,
                           uint32_t index); /* in order of rows */

/* How many keys these arguments name, and which: fills at most capacity indexes of arguments.
 * -EINVAL: the arguments are wrong (numkeys is no number, or more keys than arguments). */
int command_keys(const struct command *command, const struct slice *arguments,
                 uint32_t argument_count, uint32_t *out_indexes, uint32_t capacity);
#endif
