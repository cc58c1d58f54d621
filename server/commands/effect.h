/* effect.h - what calls leave in the operation log, and what they wait for because of it.
 *
 * One place appends: dispatch_run, right after a handler that writes has returned. What it did goes
 * there as the client sent it, or as the handler says (effect_say), as effects.def has it; nothing,
 * when nothing changed. A transaction is one frame, at its end. What expires is a DEL of its own,
 * in the transaction that found it where that holds the key; what goes from a stream by its
 * retention is an XTRIM of its own. Loop thread only. */
#ifndef SERVER_COMMANDS_EFFECT_H
#define SERVER_COMMANDS_EFFECT_H
#include "server/commands/command.h"
#include "server/durability/log_frame.h"

struct oplog;
struct server;

struct effects {
    struct oplog *oplog;      /* NULL: nothing is logged (no log counts, or while loading) */
    struct log_frame said;    /* what the handler that runs has said it did */
    struct log_frame unasked; /* what nobody asked for: a DEL, an XTRIM */
    struct {                  /* that the handler that runs has said */
        bool is_said;
        struct slice name;
        uint64_t length;
    } trimmed;
    struct log_frame *exec; /* of an EXEC that runs at once; else NULL */
    uint64_t granted_bytes; /* room for commands that was reserved, and not given out yet */
    bool is_refusing;       /* the log has failed, or has no room for what adds; or save_error */
    int save_error;         /* why the last save failed, where there is no log; 0: it did not */
    bool is_trial;          /* the log does not count yet, and refuses nobody: log_switching.h */
    bool has_lost;          /* answers are held that must not leave: their clients go */
    bool has_moved;         /* the log has: who waits for it looks again */
    bool failure_was_logged;
    uint64_t released; /* ticket that net was told of */
};

/* ---- for handlers ---- */

/* Instead of the call's arguments, this is what it did: one command. Said once, and last, when
 * nothing can fail any more. What is long must be an argument of the call, as it is not copied; the
 * rest is. */
void effect_say(struct call *call, const struct slice *arguments, uint32_t argument_count);
/* The same of a command that ends with raw_count arguments which are bulk strings in the call's own
 * request already. */
void effect_say_raw(struct call *call, const struct slice *arguments, uint32_t argument_count,
                    struct slice raw, uint32_t raw_count);
/* Before what is said of the call, or will be, that command is to be done, in the same frame. Both
 * are said, or neither; it is copied. */
void effect_say_first(struct call *call, const struct slice *arguments, uint32_t argument_count);
/* As effect_say: a name of a command, a key, and a number behind it. */
void effect_say_key(struct call *call, const char *name, struct slice key);
void effect_say_number(struct call *call, const char *name, struct slice key, int64_t number);
/* Behind what the call did, that stream was trimmed to so many entries: retention. name is an
 * argument of the call. */
void effect_say_trimmed(struct call *call, struct slice name, uint64_t length);
/* In a fiber, of a call that goes in steps: what was said of the step that has ended goes to the
 * log, and the next one may say something again. */
void effect_log_step(struct call *call);
/* Room in the log for the next one. 0; -EAGAIN: the log will move; or why there is none. */
int effect_reserve_step(struct call *call);

/* ---- for dispatch and parking ---- */

/* True: the log refuses what the call would do; it was answered (-MISCONF), but not counted. To be
 * asked while the log is refusing. */
bool effect_is_refused(struct call *call);
/* Room for what a call may do that writes, or for an EXEC. 0: go on. -EAGAIN: the log will move.
 * Else it was answered. */
int effect_reserve(struct call *call);
/* The log is refusing, with `always`, and call reads what power loss might take back. 0: it does
 * not. -EAGAIN: the log will move. Else it was answered. */
int effect_settle_reader(struct call *call);
/* The handler has returned while the log is refusing: what call has read that might be taken back
 * does not leave. */
void effect_look_at_reader(struct call *call);
/* The handler has returned rc; changes: keyspace_change_count before it. */
void effect_log(struct call *call, int rc, uint64_t changes);
/* The end of an EXEC, with what its commands did, whose arguments are still there. Frees the frame.
 */
void effect_log_exec(struct call *exec, struct log_frame *frame);

/* What effect_say_trimmed was told, behind the rest of it. */
void effect_log_trimmed(struct call *call);

/* ---- what happens unasked (effect_unasked.c) ---- */

/* Room for what effect_trimmed appends: 0; -EAGAIN: the log will move; or why there is none. */
int effect_reserve_trimmed(struct server *server, struct slice name);
/* Nobody holds that stream, and it was trimmed to so many entries. */
void effect_trimmed(struct server *server, unsigned database, struct slice name, uint64_t length);

/* ---- for boot ---- */

/* keyspace's on_expire; context is the server. */
void effect_expired(void *context, unsigned database, struct slice name);
/* The last checkpoint that was made as a save has failed with that error, or 0. */
void effect_save_ended(struct server *server, int error);
/* The log's on_progress; context is the server. */
void effect_log_moved(void *context);
/* net's on_flush; context is the server. */
uint64_t effect_flush(void *context);
/* server->oplog takes what writes do from now on. */
void effect_begin_log(struct server *server, bool is_trial);
/* Nothing does: between two commands, or at the end of one that has said nothing. */
void effect_end_log(struct server *server);
/* Answers with this ticket or an earlier one leave. */
void effect_release(struct server *server, uint64_t ticket);
void effects_finish(struct effects *effects);
#endif
