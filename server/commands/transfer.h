/* transfer.h - what the commands that read and write files of the server's host share. Loop thread
 * only. */
#ifndef SERVER_COMMANDS_TRANSFER_H
#define SERVER_COMMANDS_TRANSFER_H
#include "server/commands/command.h"

/* False: enable-transfer-commands does not let this client; the error was answered. */
bool transfer_is_allowed(struct call *call);
/* An argument as a path, relative ones from the data directory; allocated. NULL: it holds a zero
 * byte, or is empty, and the error was answered; or there is no memory, likewise. */
char *transfer_path(struct call *call, uint32_t index);
#endif
