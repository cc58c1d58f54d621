/* effect_unasked.c - what goes to the log although no call did it: keys that have expired, and what
 * streams no longer keep. */
#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/durability/oplog.h"
#include "server/keyspace/keyspace.h"

/* To the frame, or if that is NULL at once. */
static void append(struct server *server, struct log_frame *frame, unsigned database,
                   const struct slice *arguments, uint32_t argument_count)
{
    struct effects *effects = server->effects;

    if (log_frame_add(frame ? frame : &effects->unasked, database, arguments, argument_count) < 0) {
        oplog_fail(effects->oplog, -ENOMEM); /* it cannot tell what has happened */
        return;
    }
    if (frame) return;
    /* Nobody was promised anything: a log that has failed already is enough said. */
    (void)oplog_append(effects->oplog, keyspace_now(server->keyspace), database,
                       slice_of(effects->unasked.bytes, effects->unasked.size));
    log_frame_clear(&effects->unasked);
}

/* ---- keys that have expired -------------------------------------------------------------------
 */

/* The transaction whose frame tells that a key has expired: the one that runs at once, or the one
 * in whose fiber we are, when it holds the key. Of other keys it tells at once, as others may write
 * them before it ends. */
static struct log_frame *frame_of_expired(struct server *server, unsigned database,
                                          struct slice name)
{
    if (server->effects->exec) return server->effects->exec;
    return parking_frame_holding(server->parking, database, name);
}

void effect_expired(void *context, unsigned database, struct slice name)
{
    struct server *server = context;
    struct slice arguments[2] = { SLICE_LITERAL("DEL"), name };

    if (server->effects->oplog)
        append(server, frame_of_expired(server, database, name), database, arguments, 2);
}

/* ---- what streams no longer keep --------------------------------------------------------------
 */

static void append_trimmed(struct server *server, struct log_frame *frame, unsigned database,
                           struct slice name, uint64_t length)
{
    char digits[NUMBER_INT64_BYTES_MAX];
    struct slice arguments[4] = { SLICE_LITERAL("XTRIM"), name, SLICE_LITERAL("MAXLEN") };

    arguments[3] = slice_of(digits, number_format_uint64(digits, length));
    append(server, frame, database, arguments, 4);
}

void effect_say_trimmed(struct call *call, struct slice name, uint64_t length)
{
    struct effects *effects = call->server->effects;

    if (!effects->oplog) return;
    effects->trimmed.is_said = true;
    effects->trimmed.name = name;
    effects->trimmed.length = length;
}

void effect_log_trimmed(struct call *call)
{
    struct effects *effects = call->server->effects;

    effects->trimmed.is_said = false;
    append_trimmed(call->server, call->frame, call->database, effects->trimmed.name,
                   effects->trimmed.length);
}

int effect_reserve_trimmed(struct server *server, struct slice name)
{
    enum { FRAME_BYTES = 128 }; /* beside the name */
    struct effects *effects = server->effects;

    if (!effects->oplog) return 0;
    effects->granted_bytes = 0; /* room that is asked for does not add up */
    return oplog_reserve(effects->oplog, name.size + FRAME_BYTES, false);
}

void effect_trimmed(struct server *server, unsigned database, struct slice name, uint64_t length)
{
    if (server->effects->oplog) append_trimmed(server, NULL, database, name, length);
}
