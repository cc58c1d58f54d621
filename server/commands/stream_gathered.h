/* stream_gathered.h - an array of an answer whose length is known only when all of it is written.
 */
#ifndef SERVER_COMMANDS_STREAM_GATHERED_H
#define SERVER_COMMANDS_STREAM_GATHERED_H
#include "modules/pool/chain.h"
#include "server/commands/command.h"

struct stream_gathered {
    struct chain chain;
    struct reply reply; /* where elements are written, and counted below */
    uint64_t count;
};

static inline void stream_gathered_begin(struct call *call, struct stream_gathered *gathered)
{
    gathered->reply = *call->reply;
    gathered->count = 0;
    chain_init(&gathered->chain, chain_pool(call->reply->chain));
    gathered->reply.chain = &gathered->chain;
}

/* The array goes into the call's answer. */
static inline void stream_gathered_reply(struct call *call, struct stream_gathered *gathered)
{
    reply_array(call->reply, gathered->count);
    if (gathered->reply.has_hole) call->reply->has_hole = true;
    chain_move(call->reply->chain, &gathered->chain);
}

/* It is not wanted. Harmless after stream_gathered_reply. */
static inline void stream_gathered_drop(struct stream_gathered *gathered)
{
    chain_clear(&gathered->chain);
}
#endif
