/* stream_gathered.h - an array of an answer whose length is known only when all of it is written.
 */
#ifndef SERVER_COMMANDS_STREAM_GATHERED_H
#define SERVER_COMMANDS_STREAM_GATHERED_H
#include "modules/pool/chain.h"
#include "server/commands/command.h"
#include "server/commands/server.h"
#include "server/observe/memory.h"

struct stream_gathered {
    struct chain chain;
    struct reply reply; /* where elements are written, and counted below */
    uint64_t count;
};

/* Written as reply is. */
static inline void stream_gathered_begin_in(struct stream_gathered *gathered,
                                            const struct reply *reply)
{
    gathered->reply = *reply;
    gathered->count = 0;
    chain_init(&gathered->chain, chain_pool(reply->chain));
    gathered->reply.chain = &gathered->chain;
}

static inline void stream_gathered_begin(struct call *call, struct stream_gathered *gathered)
{
    stream_gathered_begin_in(gathered, call->reply);
}

/* It is not wanted. Harmless when it was moved. */
static inline void stream_gathered_drop(struct stream_gathered *gathered)
{
    chain_clear(&gathered->chain);
}

/* What is answered from memory at once takes at most so much of it. */
static inline uint64_t stream_gathered_bytes_max(const struct call *call)
{
    return memory_limit(call->server->memory) / 8;
}

/* More should not be written. */
static inline bool stream_gathered_is_full(const struct call *call,
                                           const struct stream_gathered *gathered)
{
    return !call->is_replay && chain_bytes(&gathered->chain) > stream_gathered_bytes_max(call);
}

#define STREAM_ANSWER_TOO_LONG                                                                     \
    "OOM the answer would be longer than an eighth of 'maxmemory', ask for fewer"
#define STREAM_ANSWERS_TAKE_TOO_MUCH                                                               \
    "OOM answers that are being sent keep a quarter of 'maxmemory', try again later"

/* What was written, without saying how many there are. */
static inline void stream_gathered_move(struct stream_gathered *gathered, struct reply *reply)
{
    if (reply->is_muted) { /* nobody is there any more */
        stream_gathered_drop(gathered);
        return;
    }
    if (gathered->reply.has_hole) reply->has_hole = true;
    chain_move(reply->chain, &gathered->chain);
}

/* The array goes into reply. */
static inline void stream_gathered_reply_to(struct stream_gathered *gathered, struct reply *reply)
{
    reply_array(reply, gathered->count);
    stream_gathered_move(gathered, reply);
}

/* The array goes into the call's answer. */
static inline void stream_gathered_reply(struct call *call, struct stream_gathered *gathered)
{
    stream_gathered_reply_to(gathered, call->reply);
}
#endif
