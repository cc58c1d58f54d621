/* handlers.h - the prototypes of all handlers, made from commands.def: a handler is declared by its
 * row. */
#ifndef SERVER_COMMANDS_HANDLERS_H
#define SERVER_COMMANDS_HANDLERS_H

struct call;

#define COMMAND(name, handler, ...)            int handler(struct call *call);
#define SUBCOMMAND(parent, name, handler, ...) int handler(struct call *call);
#include "server/commands/commands.def"
#undef COMMAND
#undef SUBCOMMAND
#endif
