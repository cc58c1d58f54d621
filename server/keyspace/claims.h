/* claims.h - keys that a long operation holds, and the commands that queue behind it.
 *
 * A command that cannot finish at once (it reads what is on disk, or works in slices) claims all
 * its keys; until it is released, every later command on one of them queues, in order of arrival. A
 * ticket is granted when it is the oldest on each of its keys: no deadlock, no overtaking. A claim
 * on everything (FLUSHALL) waits for all older tickets, and all younger ones wait for it. So does a
 * lull, of which commands that need no ticket know nothing: while it is granted nobody is half-way.
 * Loop thread only. */
#ifndef SERVER_KEYSPACE_CLAIMS_H
#define SERVER_KEYSPACE_CLAIMS_H
#include "modules/base/list.h"
#include "modules/base/slice.h"

struct claims;

struct claim_name {
    unsigned database;
    struct slice name; /* copied */
};

struct claim_ticket {
    bool is_granted;
    void *owner; /* the caller's */
    /* claims' own: */
    struct claim_entry *entries;
    uint32_t entry_count;
    uint32_t
        obstacles; /* keys on which it is not the oldest, and 1 for older claims on everything */
    struct list_link all_link;     /* all tickets, by number */
    struct list_link granted_link; /* those that claims_next_granted will return, by number */
    bool is_global;                /* a claim on everything, or a lull */
    bool is_lull;
    uint64_t number; /* order of arrival */
};

struct claims_counts { /* what struct claims begins with */
    uint64_t tickets, waiting;
};

int claims_create(struct claims **out_claims);
void claims_destroy(struct claims *claims); /* no ticket may be left; accepts NULL */

/* How many tickets there are, granted and waiting: 0 means that nobody need ask. */
static inline uint64_t claims_count(const struct claims *claims)
{
    return ((const struct claims_counts *)(const void *)claims)->tickets;
}
static inline uint64_t claims_waiting_count(const struct claims *claims)
{
    return ((const struct claims_counts *)(const void *)claims)->waiting;
}
/* True: a ticket for these names would have to wait. */
bool claims_would_wait(const struct claims *claims, const struct claim_name *names,
                       uint32_t name_count);
bool claims_all_would_wait(const struct claims *claims);
/* True: a granted ticket is for that key, or for everything. */
bool claims_is_held(const struct claims *claims, unsigned database, struct slice name);
/* That ticket; NULL: nobody holds it. */
const struct claim_ticket *claims_holder(const struct claims *claims, unsigned database,
                                         struct slice name);

/* Duplicate names count once. 1: granted at once; 0: queued, claims_next_granted will return it
 * when it is its turn. -ENOMEM. The ticket is the caller's memory until released. */
int claims_request(struct claims *claims, struct claim_ticket *ticket,
                   const struct claim_name *names, uint32_t name_count);
int claims_request_all(struct claims *claims, struct claim_ticket *ticket);
/* A moment in which nobody holds anything. Who asks for a ticket waits for its end, but a command
 * that can do without one goes on, on all keys that no other ticket is for. */
int claims_request_lull(struct claims *claims, struct claim_ticket *ticket);
/* The newest ticket there has been; 0: none. */
uint64_t claims_newest(const struct claims *claims);
/* True: a ticket is left of those up to that one. */
bool claims_has_older(const struct claims *claims, uint64_t number);
/* Gives a granted ticket back, or withdraws a waiting one (its client has gone). */
void claims_release(struct claims *claims, struct claim_ticket *ticket);
/* Tickets whose turn came by a release, oldest first; NULL: no more. Each is returned once. */
struct claim_ticket *claims_next_granted(struct claims *claims);
#endif
