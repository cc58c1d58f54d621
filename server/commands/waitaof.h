/* waitaof.h - WAITAOF: a client waits until what it wrote is on the device. */
#ifndef SERVER_COMMANDS_WAITAOF_H
#define SERVER_COMMANDS_WAITAOF_H
#include "server/commands/command.h"

/* Whether what the call's client wrote is there; what WAITAOF answers, now or when time is over. */
void waitaof_answer(struct call *call);
bool waitaof_is_met(const struct call *call);
#endif
