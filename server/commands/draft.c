#include "server/commands/draft.h"

#include "server/commands/parking.h"
#include "server/commands/server.h"

void draft_begin(struct draft *draft, struct call *call)
{
    draft->client_reply = call->reply;
    draft->is_aside = parking_can_suspend(call->server->parking);
    if (!draft->is_aside) {
        draft->mark = chain_mark(call->reply->chain);
        return;
    }
    chain_init(&draft->chain, chain_pool(call->reply->chain));
    draft->reply = *call->reply;
    draft->reply.chain = &draft->chain;
    call->reply = &draft->reply;
}

/* Whose client has gone meanwhile has another reply by now, which takes nothing. */
static int end_aside(struct draft *draft, struct call *call, int rc)
{
    if (call->reply == &draft->reply) {
        call->reply = draft->client_reply;
        if (rc >= 0) chain_move(call->reply->chain, &draft->chain);
        call->reply->has_hole |= rc >= 0 && draft->reply.has_hole;
    }
    chain_clear(&draft->chain);
    return rc;
}

int draft_end(struct draft *draft, struct call *call, int rc)
{
    if (draft->is_aside) return end_aside(draft, call, rc);
    if (rc < 0) chain_cut(call->reply->chain, draft->mark);
    return rc;
}
