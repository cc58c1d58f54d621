/* transaction.h - MULTI: the commands queued between MULTI and EXEC. transaction.c queues them,
 * transaction_exec.c runs them. Loop thread only. */
#ifndef SERVER_COMMANDS_TRANSACTION_H
#define SERVER_COMMANDS_TRANSACTION_H
#include "server/commands/command.h"
#include "server/commands/session.h"

struct queued_command {
    const struct command *command;
    struct slice *arguments; /* one allocation with their bytes */
    uint32_t argument_count;
};

struct transaction {
    struct queued_command *commands;
    uint32_t count, capacity;
    bool has_spilling, has_growing; /* commands whose additions can, or cannot, go to disk */
    uint32_t flags;                 /* of all commands, or-ed */
    uint64_t bytes;                 /* held by the queue */
    uint64_t allocated_bytes;       /* for the commands, as the allocator counts */
    bool must_abort; /* a command was refused while queueing: EXEC answers EXECABORT */
    bool is_running; /* its EXEC has begun, which owns it from then on */
};

/* The call is to be queued: its session has an open MULTI, and it is none of the commands that run
 * at once. */
static inline bool transaction_takes(const struct call *call)
{
    return call->session->transaction && !(call->command->flags & COMMAND_IMMEDIATE);
}
/* Puts a call into its session's queue and answers QUEUED; the limit of what may be queued is a
 * quarter of maxmemory, and an eighth for all together, which one at a time may exceed. */
void transaction_queue(struct call *call);
/* True: another one exceeds that eighth already, or, if is_behind, others wait for it. */
bool transaction_must_wait(const struct call *call, bool is_behind);
/* A command was refused: if a MULTI is open, its EXEC will not run. */
void transaction_spoil(struct session *session);
/* An EXEC is refused for reason: says so, and the transaction is over. */
void transaction_abort(struct call *exec, const char *reason);
void transaction_abort_because(struct call *exec, const char *reason, const char *detail);
/* Ends the session's MULTI, if any, and forgets what it watches. */
void transaction_discard(struct session *session);
/* Frees what no session has any more; accepts NULL. */
void transaction_destroy(struct server *server, struct transaction *transaction);

bool transaction_is_exec(const struct call *call); /* EXEC with an open MULTI that will run */
/* The queued command as a call; views into the transaction. exec is the EXEC. */
struct call transaction_call(const struct transaction *transaction, uint32_t index,
                             const struct call *exec);
/* A queued SELECT changes the database of those behind it. */
void transaction_follow_select(const struct call *queued, unsigned *database);
uint64_t transaction_bytes(const struct session *session);
#endif
