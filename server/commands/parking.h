/* parking.h - calls that cannot finish at once, and what lets them go on.
 *
 *   THROTTLED  it would grow, and eviction has to make room     until the store's pressure is gone
 *              it moves or removes, and the disk is full      until a checkpoint has made room
 *   QUEUED     an older call holds one of its keys              until claims grant its ticket
 *   NO_FIBER   it needs a fiber, and all are in use             until one ends
 *   RUNNING    in a fiber, suspended for the disk or others     until the disk answers, or its turn
 *   LOGGING    the log has no room yet, or a sync is late       until the log has moved
 *   SYNCING    it wants to know its writes on the device        until they are, or timeout
 *   BLOCKED    in the queues of empty keys (BLPOP)              until served, timeout, UNBLOCK
 *   PAUSED     CLIENT PAUSE is in force                         until it ends
 *   GATHERING  MULTI is to take it in, others hold too much     until one of these has run
 *   STREAMING  its reply is written as the socket drains        until the last piece
 *
 * A parked call owns its arguments: a copy, or the memory that net has read a large request into.
 * Of such a one with very many arguments only that is kept while it waits for its turn (folded).
 * All that waits for us counts in net's memory for requests, so that no more are read than there is
 * room for; its client is parked with it. When the client goes, a
 * call that has not begun is dropped, one that runs is told at its next wait (-ECANCELED) and
 * leaves nothing half-done; an EXEC that has changed something goes on to its end. Loop thread
 * only. */
#ifndef SERVER_COMMANDS_PARKING_H
#define SERVER_COMMANDS_PARKING_H
#include "modules/base/list.h"
#include "server/commands/command.h"
#include "server/keyspace/blocked.h"
#include "server/keyspace/claims.h"
#include "server/net/client.h"

struct parking;
struct spill_hooks;

enum parked_state {
    PARKED_IDLE, /* between two states */
    PARKED_THROTTLED,
    PARKED_LOGGING,
    PARKED_QUEUED,
    PARKED_NO_FIBER,
    PARKED_RUNNING,
    PARKED_SYNCING,
    PARKED_BLOCKED,
    PARKED_PAUSED,
    PARKED_GATHERING,
    PARKED_STREAMING,
    PARKED_STATE_COUNT,
};

struct parked_call {
    struct call call; /* its arguments are this call's own; NULL while it is folded */
    enum parked_state state;
    uint64_t client_id;
    struct list_link link;    /* in the queue of its state */
    uint64_t checkpoint_turn; /* it waits until that one has ended (checkpoint_request); 0: it has
                               * not waited for any */
    struct claim_ticket ticket;
    bool has_ticket;
    struct waiter waiter; /* while BLOCKED */
    int64_t deadline_us;  /* of the first time that it blocked: running again does not move it */
    bool has_deadline;
    bool looks_again;      /* see blocking.look_again_us */
    void *kept;            /* of a call that has blocked: see call_block_keeping; or NULL */
    struct fiber *fiber;   /* while RUNNING */
    struct call *inner;    /* of an EXEC that runs: the queued command it is at, or NULL */
    uint64_t gathering_us; /* loop_now_us when it began to wait for other transactions, or 0 */
    int64_t now_ms;        /* what it takes for the time, after waits too; 0: what it is */
    bool is_canceled;      /* its client has gone */
    bool must_finish;      /* an EXEC that has changed something: goes on without its client */
    bool is_done;          /* its fiber has ended, with rc */
    bool waits_for_disk;   /* a STREAMING call's producer does */
    int rc;
    uint64_t left_ticks, away_ticks; /* when it was suspended, and for how long in all */
    uint64_t bytes;                  /* of this and its arguments */
    struct taken_request request;    /* all NULL: the arguments are a copy, behind this */
    bool is_held;                    /* bytes count in net's memory for requests */
    struct reply no_reply;           /* where it writes when its client has gone */
};

int parking_create(struct server *server, struct parking **out_parking);
void parking_destroy(struct parking *parking); /* accepts NULL; ends what still runs */
/* The hooks to make the spill store with. */
struct spill_hooks parking_hooks(struct server *server);

/* True: this call has to wait before it may run (its keys are held, or a grown store must shrink);
 * it was parked. Or it was refused for want of memory, and answered; or it has run already. False:
 * run it now. */
bool parking_before(struct call *call);
/* The same for what a MULTI is to take in: CLIENT PAUSE holds that back, as it does in Redis, and
 * transactions of others that hold much memory. */
bool parking_before_queueing(struct call *call);
/* A call that returned -EAGAIN goes on in a fiber. */
void parking_run_in_fiber(struct call *call);
struct blocking {
    enum value_kind kind; /* what the keys are to hold */
    bool minds_going;     /* they hold it: the call runs again when one does no more */
    const struct slice *names;
    uint32_t name_count;
    int64_t deadline_us;
    int64_t look_again_us; /* -1: only when one of its keys is signalled */
    struct slice kept;     /* copied */
};
/* Puts a call into the queues of its keys; see call_block_keeping. */
int parking_block(struct call *call, const struct blocking *blocking);
/* Those of name's waiters that look again do so at the end of this turn. Others do not notice. */
void parking_hasten(struct server *server, unsigned database, struct slice name);
/* The client waits until its writes are on the device: CALL_BLOCKED. deadline_us -1: for ever. */
int parking_wait_for_sync(struct call *call, int64_t deadline_us);
/* A streamed reply has begun; parking_stream_end is called by its producer's destroy. */
int parking_stream(struct call *call, struct parked_call **out_parked);
void parking_stream_end(struct parked_call *parked);
/* What answers keep beside their clients' output until all of it is sent: ids, text. It counts in
 * parking_memory_bytes: so many bytes more, or less. */
void parking_count_kept(struct server *server, int64_t delta_bytes);
/* True: with so many bytes more all that answers keep would still be within a quarter of maxmemory.
 */
bool parking_may_keep(const struct server *server, uint64_t bytes);
/* How many that are. */
uint64_t parking_may_keep_bytes(const struct server *server);
/* The producer of parked needs what is on disk: it will be told when something was read. */
void parking_stream_wait(struct parked_call *parked);

/* Serves clients that are blocked on keys that the last command changed. */
void parking_serve_blocked(struct server *server);
/* A blocked client gives up: answers nil (or -UNBLOCKED for an error) and goes on. False: not
 * blocked. */
bool parking_unblock(struct server *server, struct session *session, bool with_error);
/* The client has gone: drops or cancels what it waits for. */
void parking_forget(struct session *session);

/* CLIENT UNPAUSE: what was held back runs at the end of this turn, as the caller may be in the
 * middle of a transaction. */
void parking_end_pause(struct server *server);

/* End of a turn: timeouts, grants, resumed fibers, slices, throttled calls. True: more at once. */
bool parking_run(struct server *server);
/* How long the loop may sleep, in microseconds; -1: until something happens. */
int64_t parking_sleep_us(struct server *server);

/* True inside a fiber, which may be suspended. */
bool parking_can_suspend(const struct parking *parking);
/* Expiry must leave that key alone: a call that may be suspended works on it. What an EXEC holds
 * itself does expire for it, as its time stands still. */
bool parking_protects(const struct server *server, unsigned database, struct slice name);
/* Of the EXEC in whose fiber we are, when it holds that key: what it has done so far; else NULL. */
struct log_frame *parking_frame_holding(const struct parking *parking, unsigned database,
                                        struct slice name);
/* To be called between pieces of long work: lets others go first when the slice is used up. 0, or
 * -ECANCELED: the client has gone. */
int parking_breathe(struct server *server);
/* The call that is running in a fiber, if one is, has changed something, and goes on to its end
 * when its client goes: no wait of it is -ECANCELED from here on, unless the server stops. */
void parking_must_finish(struct server *server);
/* Inside a fiber, before something is added: suspends it while lists are above their memory, as
 * long as eviction gets on. 0, or -ECANCELED: the client has gone. */
int parking_wait_for_eviction(struct server *server);
/* Inside a fiber, suspends it until something was read or parking_wake was called; then the caller
 * looks again whether that was meant for it. 0, or -ECANCELED: the client has gone. */
int parking_wait(struct server *server);
/* What somebody waits for in parking_wait may have come. */
void parking_wake(struct server *server);
/* Ticks that the running call was suspended for: not its own work. */
uint64_t parking_away_ticks(const struct call *call);
uint64_t parking_count(const struct parking *parking, enum parked_state state);
uint64_t parking_memory_bytes(const struct parking *parking);
#endif
