/* lookup.h - the key that a command names. Loop thread. */
#ifndef SERVER_COMMANDS_LOOKUP_H
#define SERVER_COMMANDS_LOOKUP_H
#include "server/commands/command.h"

struct key;

/* Looks a key up and, unless CLIENT NO-TOUCH is on, marks it as accessed. NULL: no such key. */
struct key *key_access(struct call *call, struct slice name);
/* 1: *out_key holds a value of that kind, and is marked as accessed. 0: no such key. -EPROTOTYPE:
 * it holds something else. */
int key_access_kind(struct call *call, struct slice name, enum value_kind kind,
                    struct key **out_key);
/* Counts a keyspace hit, or a miss: for commands that only read. */
void key_count_look(struct call *call, bool is_there);
#endif
