/* reload.h - DEBUG LOADAOF, DEBUG RELOAD: everything in memory is dropped and recovered from the
 * disk.
 */
#ifndef SERVER_COMMANDS_RELOAD_H
#define SERVER_COMMANDS_RELOAD_H
#include "server/commands/command.h"

/* Whether a call is such a one: it waits for everything under way, as FLUSHALL does. */
bool reload_is_asked(const struct call *call);
/* DEBUG LOADAOF, as a handler. */
int reload_log(struct call *call);
/* DEBUG RELOAD, likewise: a checkpoint is made first, but with NOSAVE. */
int reload_checkpoint(struct call *call);
#endif
