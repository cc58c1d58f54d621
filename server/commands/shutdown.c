/* shutdown.c - SHUTDOWN. There is nothing to save yet, so all forms end the process in the same
 * way; asking for a save is refused, as it could not be done. */
#include "modules/base/log.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/net/client.h"
#include "server/net/loop.h"

/* SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] */
int shutdown_shutdown(struct call *call)
{
    bool nosave = false, save = false, abort_ = false;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        struct slice word = call->arguments[i];

        if (slice_is(word, "NOSAVE"))
            nosave = true;
        else if (slice_is(word, "SAVE"))
            save = true;
        else if (slice_is(word, "ABORT"))
            abort_ = true;
        else if (!slice_is(word, "NOW") && !slice_is(word, "FORCE"))
            return call_syntax_error(call);
    }
    if ((abort_ && call->argument_count > 2) || (nosave && save)) return call_syntax_error(call);
    if (abort_) return call_error(call, "ERR No shutdown in progress.");
    if (save)
        return call_error(call,
                          "ERR Errors trying to SHUTDOWN. Nothing can be saved: durability is "
                          "not there yet. Use SHUTDOWN NOSAVE.");
    log_write(call->server->log, LOG_WARNING, "User requested shutdown...");
    call->server->is_stopping = true;
    client_close(call->session->client);
    loop_stop(call->server->loop);
    return 0;
}
