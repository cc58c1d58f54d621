/* parking_internal.h - what the files of parking share.
 *
 *   parking.c          a call's way from one state to the next; streams; clients that go
 *   parking_form.c     the memory of a parked call
 *   parking_before.c   what a call waits for before it may run
 *   parking_fiber.c    calls in fibers, and the hooks by which spill suspends them
 *   parking_blocked.c  clients that wait for keys, and who is served
 *   parking_sync.c     clients that wait for the log to reach the device
 *   parking_gathering.c  transactions that wait for the memory of others
 *   parking_turn.c     what is due at the end of a turn */
#ifndef SERVER_COMMANDS_PARKING_INTERNAL_H
#define SERVER_COMMANDS_PARKING_INTERNAL_H
#include "modules/pool/chain.h"
#include "server/commands/parking.h"

struct parking {
    struct server *server;
    struct list_link queues[PARKED_STATE_COUNT];
    uint64_t counts[PARKED_STATE_COUNT];
    struct list_link between_slices; /* RUNNING calls that let others go first */
    struct list_link for_eviction;   /* RUNNING calls that wait until lists have room */
    struct parked_call *running;     /* whose fiber is executing */
    struct reply no_reply;           /* as calls have it whose client has gone */
    struct chain no_output;          /* its chain: it stays empty, but whoever looks finds one */
    uint64_t slice_started_us;
    uint64_t bytes;      /* of parked calls and their arguments */
    uint64_t kept_bytes; /* of answers that are being sent, beside their clients' output */
    bool disk_answered;  /* a read ended since suspended calls were last resumed */
    bool has_let_go;     /* a client went: what it held may be somebody's turn */
    bool is_ending;      /* the server stops: even an EXEC that has begun is told */
    bool is_serving;     /* parking_serve_blocked goes on: its caller's inner calls need not */
};

/* ---- parking.c ---- */

/* Puts a call into the queue of its new state. */
void parking_enqueue(struct parking *parking, struct parked_call *parked, enum parked_state state);
/* Takes it out; its state is IDLE then. */
void parking_dequeue(struct parking *parking, struct parked_call *parked);
/* A call in a fiber that goes over into another state is no longer counted as running. */
void parking_leave_running(struct parking *parking, struct parked_call *parked);
/* Gives its claims back, if it has any; clients that wait for those keys look again. */
void parking_release_ticket(struct parked_call *parked);
/* Tells net that there is output: what a call wrote in an earlier turn is sent. */
void parking_announce_output(const struct parked_call *parked);
/* The call is over: its client goes on with what it sent meanwhile. Frees the call. */
void parking_finish(struct parked_call *parked);
/* What follows from the result of a parked call's handler. */
void parking_settle(struct parked_call *parked, int rc);
/* Its turn has come: runs it, or parks it again. */
void parking_attempt(struct parked_call *parked, bool is_first);
/* Something was read: producers that wait for the disk look again. */
void parking_wake_streams(struct parking *parking);

/* ---- parking_form.c ---- */

/* The parked form of a call: its own when it was parked before, else a new one. NULL: no memory.
 * The call stays good, also when the form is freed again: for handlers. */
struct parked_call *parking_form(struct call *call);
/* The same; the call's arguments may have become the form's, and go with it: for who looks at the
 * form alone from here on. */
struct parked_call *parking_form_taking(struct call *call);
/* Frees it; nobody waits with it any more. */
void parking_free_form(struct parked_call *parked);
/* What a call found out is copied for when it runs again: the first time, unless it is nothing. 0,
 * -ENOMEM. */
int parking_keep(struct parked_call *parked, struct slice bytes);
/* It begins to wait, or to run, in that state. */
void parking_fold(struct parked_call *parked, enum parked_state state);
/* Its arguments are there again. False: there is no memory for them. */
bool parking_unfold(struct parked_call *parked);

/* ---- parking_before.c ---- */

/* It could not even wait: says so. rc: why there is no memory. */
void parking_answer_refusal(struct call *call, int rc);
/* True: it was parked until it may run, or refused, or has run already. is_first: nobody stands
 * before it. */
bool parking_must_wait(struct call *call, bool is_first);
/* 1: the claims are this call's; 0: it was parked until they are; negative: answered. */
int parking_take_claims(struct call *call);
/* True: somebody holds one of its keys, or was there before. */
bool parking_must_wait_for_claims(const struct call *call);
/* Until eviction, or a checkpoint, has made room. is_first: nobody stands before it. */
bool parking_must_wait_for_room(const struct call *call, bool is_first);
/* Parks a call in that state, or answers that it could not even wait. */
void parking_wait_in(struct call *call, enum parked_state state);

/* ---- parking_fiber.c ---- */

/* Runs a call in a fiber, or queues it for one. */
void parking_start_fiber(struct parked_call *parked);
/* False: all fibers are in use. */
bool parking_enter_fiber(struct parked_call *parked);
/* Goes on with a suspended call. */
void parking_resume(struct parking *parking, struct parked_call *parked);
/* How long a call may work before others get their turn. */
uint64_t parking_slice_us(const struct parking *parking);

/* ---- parking_blocked.c ---- */

/* A blocked call waits no longer; its state is IDLE then. */
void parking_leave_queues(struct parked_call *parked);
/* A blocked call runs again, and mostly goes on waiting in its old place. */
void parking_look_again(struct parked_call *parked);
/* A blocked client stops waiting: answers nil, or -UNBLOCKED. */
void parking_give_up(struct parked_call *parked, bool with_error);

/* ---- parking_sync.c ---- */

/* Answers those whose writes are there, or whose time is over. */
void parking_run_synced(struct server *server);
/* When the time of the first of them is over; -1: never. */
int64_t parking_sync_deadline_us(const struct parking *parking);
/* CLIENT UNBLOCK. */
void parking_end_sync_wait(struct parked_call *parked, bool with_error);

/* ---- parking_gathering.c ---- */

/* Until other transactions have run: true: it was parked, or could not be and was answered. */
bool parking_must_gather(struct call *call);
/* Goes on with those for whom there is room now, or who have waited for long enough. */
void parking_run_gathering(struct server *server);
/* Somebody can go on. */
bool parking_can_gather(const struct server *server);
/* When the first of them gives up (loop_now_us); -1: nobody waits. */
int64_t parking_gathering_deadline_us(const struct parking *parking);

/* ---- parking_turn.c ---- */

/* Resumes the calls of a queue until limit_us are used up. False: some are left. */
bool parking_resume_all(struct parking *parking, struct list_link *queue, uint64_t limit_us);
/* Runs the calls whose claims were granted. */
void parking_run_granted(struct server *server);

#endif
