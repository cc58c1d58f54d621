/* checkpointing.h - when checkpoints are made (server/durability/checkpoint.h), and who waits for
 * them.
 *
 * One begins at the end of a turn, when no call is half-way: at once when nobody holds a key but
 * calls that rest between two steps, else when those who do have gone, by a lull (claims.h) that is
 * kept for an instant. It is asked for by commands, and by rules: what the log has grown by, room
 * that only waits for one, `save`. Loop thread only. */
#ifndef SERVER_COMMANDS_CHECKPOINTING_H
#define SERVER_COMMANDS_CHECKPOINTING_H
#include "server/durability/checkpoint.h"
#include "server/keyspace/claims.h"

struct call;
struct checkpoint_load;
struct server;

struct checkpointing {
    struct checkpoint *checkpoint;
    struct checkpoint_load *load; /* what the start goes on from, until that is done; or NULL */
    uint64_t loaded_key_count;
    uint64_t log_end; /* of a log that is not written any more; 0: there was none */
    /* Closes the store and opens it as load says, or makes it anew; keys are gone. For DEBUG. */
    int (*reopen_store)(struct server *server);
    bool must_keep_store;       /* a checkpoint on the disk refers to the store's file, or may */
    struct claim_ticket ticket; /* a lull */
    bool has_ticket;
    uint64_t waited_for;      /* tickets up to that one are let go before a lull is asked for */
    unsigned lulls;           /* given up, for the one that is wanted */
    unsigned resting_count;   /* calls in checkpointing_rest */
    bool was_saved_at_end;    /* SHUTDOWN has made a checkpoint, or was told not to; or what is
                               * here is not all, as loading or an import was given up */
    bool is_for_exec;         /* what is requested was first asked for inside a transaction */
    uint64_t wanted_since_us; /* loop_now_us, or since when the lull is; 0: none is wanted */
    uint64_t fetched_bytes;   /* of the store, when the last one was begun */
    uint64_t ended_count;     /* as of the last turn */
    uint64_t ended_us;        /* loop_now_us when the last one ended; 0: none has */
    bool has_given_way;       /* the log's reserve, to the next one: the last found no room */
    uint64_t completed_us;    /* when one last became complete, or when rules began to count */
};

/* At the end of a turn: begins, goes on, wakes who waits. True: there is more to do at once. */
bool checkpointing_turn(struct server *server);
/* True: our lull is among the claims that wait. */
bool checkpointing_waits_for_claims(const struct server *server);
/* A few times a second: asks for one when a rule says so. */
void checkpointing_look(struct server *server);
/* True: room on the disk comes back with the next checkpoint, and nothing has kept the last one
 * from being made, unless that was want of room and the log's reserve gives way to the next. */
bool checkpointing_brings_room(const struct server *server);
/* True: what changes more of what the last checkpoint refers to could keep the next one from being
 * made, for want of room. */
bool checkpointing_is_out_of_room(const struct server *server);
/* The one that begins next, by number; and whether that has ended, and is not made again because
 * something gave way to it. */
uint64_t checkpointing_next_turn(const struct server *server);
bool checkpointing_has_ended(const struct server *server, uint64_t turn);
/* What the log is to a checkpoint. */
struct checkpoint_log checkpointing_log(struct server *server);
/* In a fiber: asks for one of that kind and suspends it until that has ended. 0, -ECANCELED: the
 * client has gone, or why it failed (checkpoint_get_info says at which step). */
int checkpointing_run(struct server *server, enum checkpoint_kind kind);
/* In a fiber, between two steps of a call that rewrites: all that it has done is in the log, and it
 * looks its keys up again. Suspends it until there is room for the next one, which checkpoints
 * bring: one may begin although the call goes on holding its keys. 0; -ENOSPC: none came back;
 * -ECANCELED; or why the log takes nothing. */
int checkpointing_rest(struct call *call);
/* True: what there is is to be saved before the process ends, as `save` says so and there is no log
 * that has it. */
bool checkpointing_saves_at_end(const struct server *server);
/* For the end of the process: no call is left. Saves what is to be saved, unless SHUTDOWN has seen
 * to it. */
void checkpointing_finish(struct server *server);
#endif
