/* draft.h - an answer that can be taken back while it is written.
 *
 * A handler that reads on while it writes, and may meet an error or wait for the disk half-way,
 * writes a draft. Where it cannot be suspended that goes into its client's output, and is cut off
 * again when it fails. In a fiber what is there may be sent meanwhile, and the client may go: then
 * it is written aside, call->reply being the draft's until its end, and moved to the client when
 * all of it is there. Loop thread only. */
#ifndef SERVER_COMMANDS_DRAFT_H
#define SERVER_COMMANDS_DRAFT_H
#include "modules/pool/chain.h"
#include "server/commands/command.h"

struct draft {
    bool is_aside;
    struct reply reply; /* what call->reply is meanwhile, when it is aside; and its chain */
    struct chain chain;
    struct reply *client_reply; /* good while the client is there */
    struct chain_mark mark;     /* when it is not aside */
};

/* draft stays where it is until draft_end, which follows. */
void draft_begin(struct draft *draft, struct call *call);
/* rc negative: nothing of it stays. Returns rc. */
int draft_end(struct draft *draft, struct call *call, int rc);
#endif
