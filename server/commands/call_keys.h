/* call_keys.h - which keys a call touches, the queued commands of a transaction included, and what
 * it will do to them. Loop thread only. */
#ifndef SERVER_COMMANDS_CALL_KEYS_H
#define SERVER_COMMANDS_CALL_KEYS_H
#include "server/commands/command.h"
#include "server/keyspace/claims.h"

enum { CALL_NAMES_INLINE = 8 };

/* Names are views into the call's arguments (or its transaction's). */
struct call_names {
    struct claim_name *items;
    uint32_t count, capacity;
    struct claim_name inline_items[CALL_NAMES_INLINE];
};

/* -1: all keys of all databases. 0: out_names holds them (call_names_finish frees). When there is
 * no memory for the names, or they are very many, the call claims everything, which is always safe.
 */
int call_names_collect(const struct call *call, struct call_names *out_names);
void call_names_finish(struct call_names *names);

bool call_writes(const struct call *call);   /* it, or a command of its transaction */
bool call_may_grow(const struct call *call); /* needs memory that a full server refuses */
bool call_spills(const struct call *call);   /* adds to what can go to disk */
bool call_rewrites(const struct call *call); /* moves, or removes inside lists */
#endif
