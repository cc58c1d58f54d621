/* dispatch.h - from a request to its handler: look-up, arity, state, memory, claims, statistics. */
#ifndef SERVER_COMMANDS_DISPATCH_H
#define SERVER_COMMANDS_DISPATCH_H
#include "server/commands/command.h"

struct client;

/* net's on_request; context is the server. */
void dispatch_request(void *context, struct client *client, struct slice *arguments,
                      uint32_t argument_count);
/* net's on_protocol_error: counts it. */
void dispatch_protocol_error(void *context, struct client *client);
/* Runs a call whose turn it is; a result of its handler (command.h). Counts it, feeds slow log. A
 * negative result but -EAGAIN was answered. */
int dispatch_run(struct call *call);
/* The command of these arguments, a subcommand resolved; or NULL with the error answered. */
const struct command *dispatch_resolve(struct call *call);
/* Counts the error that was answered outside of a run, if one was. */
void dispatch_count_error(struct call *call);
/* What of a call's refusal must happen besides the answer: counts, and a MULTI that is open aborts.
 */
void dispatch_rejected(struct call *call);
#endif
