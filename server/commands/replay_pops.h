/* replay_pops.h - pops of the log that wait for what follows, so that many become one.
 *
 * A drain leaves pops in the log, one after the other, of a few elements each; what they took was
 * read from the disk. Done together they drop whole chunks unread. What pops from one end of a list
 * is kept back until another command names that list, or there are too many lists. */
#ifndef SERVER_COMMANDS_REPLAY_POPS_H
#define SERVER_COMMANDS_REPLAY_POPS_H
#include "server/commands/command.h"

enum { REPLAY_POPS_MAX = 64, REPLAY_POP_NAME_BYTES_MAX = 128 };

struct replay_pop {
    const struct command *command; /* LPOP or RPOP */
    unsigned database;
    int64_t count;
    uint8_t name_size, name[REPLAY_POP_NAME_BYTES_MAX];
};

struct replay_pops { /* zeroed: none */
    uint32_t count;
    struct replay_pop items[REPLAY_POPS_MAX];
};

/* How a command is done. Negative: it cannot be. */
typedef int (*replay_run)(void *context, struct call *call);

/* True: call is a pop that was kept back. Else what it touches has to be settled, and then it is to
 * be done. */
bool replay_pops_keep(struct replay_pops *pops, const struct call *call);
/* Does the pops of lists that call names; NULL: all. 0, or what run returned. */
int replay_pops_settle(struct replay_pops *pops, const struct call *call,
                       const struct call *pattern, replay_run run, void *context);
#endif
