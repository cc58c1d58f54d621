/* command.h - one row of commands.def, one call of it, and what every handler uses.
 *
 * A handler parses, looks up, acts once, marks the key changed, and replies; nothing is answered
 * before the last step that can fail. It returns 0               it has answered (a wrong
 * argument's error included) CALL_BLOCKED    call_block() has put the client into the queues of its
 * keys CALL_STREAMING  a producer writes the answer; it unparks the client when it is done negative
 * errno  nothing has changed and nothing was answered: dispatch answers, or for -EAGAIN lets the
 * call run again in a fiber, where waiting for the disk suspends it. Loop thread only. */
#ifndef SERVER_COMMANDS_COMMAND_H
#define SERVER_COMMANDS_COMMAND_H
#include "modules/base/slice.h"
#include "server/resp/reply.h"
#include "server/types/value.h"

struct log_frame;
struct server;
struct session;
struct parked_call;

enum command_flag {
    COMMAND_WRITE = 1u << 0,
    COMMAND_READONLY = 1u << 1,
    COMMAND_MAY_GROW = 1u << 2, /* Redis's denyoom: needs memory that a full server refuses */
    COMMAND_SPILLS = 1u << 3,   /* what it adds can go to disk: slowed down rather than refused */
    COMMAND_ADMIN = 1u << 4,
    COMMAND_PUBSUB = 1u << 5,
    COMMAND_NOSCRIPT = 1u << 6,
    COMMAND_BLOCKING = 1u << 7,
    COMMAND_LOADING = 1u << 8,
    COMMAND_STALE = 1u << 9,
    COMMAND_SKIP_MONITOR = 1u << 10,
    COMMAND_SKIP_SLOWLOG = 1u << 11,
    COMMAND_FAST = 1u << 12,
    COMMAND_NO_AUTH = 1u << 13,
    COMMAND_ALLOW_BUSY = 1u << 14,
    COMMAND_NO_MULTI = 1u << 15,
    COMMAND_MOVABLE_KEYS = 1u << 16, /* keys follow a numkeys argument at key_first */
    COMMAND_ALL_KEYS = 1u << 17,     /* touches any key: waits for all operations under way */
    COMMAND_DANGEROUS = 1u << 18,    /* only for the ACL category */
    COMMAND_IMMEDIATE = 1u << 19, /* MULTI, EXEC and others: run at once, never queued by MULTI */
    COMMAND_OTHER_DATABASE = 1u << 20, /* an argument behind the keys names another database */
    COMMAND_REWRITES = 1u << 21,       /* adds nothing, but takes room on disk until a checkpoint */
};

/* What a command does with its keys: COMMAND INFO's key specifications. */
enum key_flag {
    KEY_RO = 1u << 0,
    KEY_RW = 1u << 1,
    KEY_OW = 1u << 2,
    KEY_RM = 1u << 3,
    KEY_ACCESS = 1u << 4,
    KEY_UPDATE = 1u << 5,
    KEY_INSERT = 1u << 6,
    KEY_DELETE = 1u << 7,
    KEY_NOT_KEY = 1u << 8,         /* looks like a key and is none */
    KEY_INCOMPLETE = 1u << 9,      /* there may be keys that the specification does not find */
    KEY_VARIABLE_FLAGS = 1u << 10, /* options decide what is done with the key */
};

enum { CALL_BLOCKED = 1, CALL_STREAMING = 2 };

#define CALL_OUT_OF_MEMORY "OOM command not allowed when used memory > 'maxmemory'."

struct call {
    struct server *server;
    struct session *session; /* NULL: its client has gone meanwhile */
    const struct command *command;
    struct slice *arguments; /* [0] is the command's name as the client wrote it */
    uint32_t argument_count;
    unsigned database;
    struct reply *reply;
    bool in_transaction;     /* inside EXEC: must not block */
    bool was_shown;          /* monitors have seen it */
    bool was_counted;        /* among the calls, when it blocked */
    bool is_replay;          /* recovery does again what was accepted once: no client, no limits */
    bool has_said;           /* effect_say was called */
    struct log_frame *frame; /* of its EXEC, for what it does; NULL: straight to the log */
    struct parked_call *parked; /* not NULL: it was parked, and holds claims on its keys */
    struct slice served_key;    /* set when a blocked client is tried again because of that key */
    struct slice popped_key;    /* of several keys the one that a pop takes from */
};

struct command {
    const char *name; /* lower case; a subcommand's own word, as "setname" */
    int (*handler)(struct call *call);
    int arity; /* as Redis: the count, or minus the least count; the names count */
    uint32_t flags;
    int key_first, key_last, key_step;
    uint32_t key_flags;
    const char *group, *since, *complexity /* or NULL */, *summary;
    const struct command *parent;    /* of a subcommand */
    const char *full_name;           /* "client|setname" */
    const struct command_docs *docs; /* what its row does not say; NULL: nothing */
    unsigned effect;                 /* enum effect_form (durability/effects.h) */
    struct command_statistics *statistics;
    struct command **children; /* of a container */
    uint32_t child_count;
};
/* So many arguments, the name too, may be a call of it. */
static inline bool command_takes(const struct command *command, uint32_t argument_count)
{
    if (command->arity > 0) return argument_count == (uint32_t)command->arity;
    return argument_count >= (uint32_t)-command->arity;
}

/* Errors in Redis's words; each returns 0 for `return call_syntax_error(call)`. */
int call_error(struct call *call, const char *text);
int call_errorf(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
int call_syntax_error(struct call *call);
int call_wrong_type(struct call *call);
int call_not_an_integer(struct call *call);
int call_wrong_arity(struct call *call);
/* "unknown subcommand 'x'. Try CLIENT HELP." */
int call_unknown_subcommand(struct call *call);
/* "unknown subcommand or wrong number of arguments for 'x'. Try CLIENT HELP.": more arguments than
 * a subcommand with optional ones takes. */
int call_wrong_subcommand_arity(struct call *call);
/* HELP of a container: the lines, between Redis's first and last ones. */
int call_help(struct call *call, const char *const *lines, uint32_t line_count);
/* The reply that a negative errno of an engine deserves. */
void call_engine_error(struct call *call, int rc);

/* What the reply that was begun needs cannot be read: that is logged, the connection is closed. */
void call_break_off(struct call *call);

/* True and the value, or false with the error already answered. */
bool call_integer(struct call *call, uint32_t index, int64_t *out_value);
bool call_integer_between(struct call *call, uint32_t index, int64_t least, int64_t most,
                          const char *error_text, int64_t *out_value);
/* The timeout of a blocking command, in seconds with a fraction: the deadline on loop_now_us, -1:
 * none. */
bool call_timeout(struct call *call, uint32_t index, int64_t *out_deadline_us);

static inline struct slice call_argument(const struct call *call, uint32_t index)
{
    return call->arguments[index];
}

/* True when the handler may work long: it runs in a fiber and spill's pause hook applies, or in an
 * EXEC, which has seen to it that there is little to do. A handler that walks something large
 * elsewhere returns -EAGAIN to get there. */
bool call_can_suspend(const struct call *call);
/* True when it is suspended alone, not as a part of an EXEC: it may go in steps. */
bool call_has_own_fiber(const struct call *call);

/* True: what is kept of so many names (to wait for, to watch) would exceed the memory; of few it
 * does not matter. */
bool call_names_exceed_memory(const struct call *call, uint32_t count);

/* The client waits for one of keys to hold something of that kind. Returns CALL_BLOCKED, or a
 * negative errno. */
int call_block(struct call *call, enum value_kind kind, const struct slice *names,
               uint32_t name_count, int64_t deadline_us);
/* The same; so many bytes of what it found out before it began to wait are copied and kept for when
 * it runs again: call_kept. */
int call_block_keeping(struct call *call, enum value_kind kind, const struct slice *names,
                       uint32_t name_count, int64_t deadline_us, const void *kept,
                       size_t kept_bytes);
/* The keys hold something of that kind: the call runs again when one of them has more, or holds it
 * no longer, and at look_again_us (-1: not), if it waits then, without a served_key. */
int call_block_while_there(struct call *call, enum value_kind kind, const struct slice *names,
                           uint32_t name_count, int64_t deadline_us, int64_t look_again_us);
/* NULL: it has not waited. */
const void *call_kept(const struct call *call);

/* After a change of the value under name: WATCH, the count of changes. */
void call_changed(struct call *call, struct slice name);
/* As call_changed, but WATCH does not mind. */
void call_changed_unwatched(struct call *call);
/* As call_changed, and clients blocked on name may be served: a list appeared or grew. */
void call_changed_signal(struct call *call, struct slice name);
#endif
