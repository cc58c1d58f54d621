#include "server/commands/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/commands/local.h"
#include "server/commands/server.h"
#include "server/config/config.h"

bool transfer_is_allowed(struct call *call)
{
    int64_t access = (int64_t)call->server->config->enable_transfer_commands;

    if (access == CONFIG_ACCESS_YES || (access == CONFIG_ACCESS_LOCAL && call_is_local(call)))
        return true;
    (void)call_errorf(call,
                      "ERR %s command not allowed. If the enable-transfer-commands option is set "
                      "to \"local\", you can run it from a local connection, otherwise you need to "
                      "set this option in the configuration file, and then restart the server.",
                      call->command->full_name);
    return false;
}

char *transfer_path(struct call *call, uint32_t index)
{
    struct slice text = call->arguments[index];
    const char *directory = call->server->config->dir;
    char *path = NULL;
    int size;

    if (text.size == 0 || text.size > INT32_MAX || memchr(text.bytes, '\0', text.size)) {
        (void)call_error(call, "ERR that is no path");
        return NULL;
    }
    if (text.bytes[0] == '/')
        size = asprintf(&path, "%.*s", (int)text.size, (const char *)text.bytes);
    else
        size = asprintf(&path, "%s/%.*s", directory, (int)text.size, (const char *)text.bytes);
    if (size >= 0) return path;
    call_engine_error(call, -ENOMEM);
    return NULL;
}
