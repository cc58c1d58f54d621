/* monitor.h - MONITOR: clients that are shown every command. */
#ifndef SERVER_COMMANDS_MONITOR_H
#define SERVER_COMMANDS_MONITOR_H
#include "modules/base/list.h"
#include "server/commands/command.h"
#include "server/commands/server.h"

struct monitors {
    struct list_link sessions; /* by session.monitor_link */
    uint64_t count;
};

void monitors_show_call(struct call *call);
/* Shows a call to all monitors, once. */
static inline void monitors_show(struct call *call)
{
    call->was_shown = true;
    if (call->server->monitors->count > 0) monitors_show_call(call);
}
void monitors_forget(struct session *session); /* its client goes, or RESET */
#endif
