/* local.h - whether a client is on this host: what directives with "local" among their words ask.
 */
#ifndef SERVER_COMMANDS_LOCAL_H
#define SERVER_COMMANDS_LOCAL_H
#include <stdbool.h>

struct call;

/* Over the unix socket or from a loopback address. False when the client has gone. Loop thread
 * only. */
bool call_is_local(const struct call *call);
#endif
