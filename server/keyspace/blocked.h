/* blocked.h - who waits for which key, in what order, until when.
 *
 * A waiter (BLPOP k1 k2 …) stands in the queue of each of its keys, in order of arrival. A key that
 * commands changed is signalled; signalled keys that have waiters come out of blocked_next_ready,
 * in order of first signal, once each. Everything is O(1) but timeouts, which are O(log n). Loop
 * thread only. */
#ifndef SERVER_KEYSPACE_BLOCKED_H
#define SERVER_KEYSPACE_BLOCKED_H
#include "modules/base/slice.h"
#include "server/types/value.h"

struct blocked;
struct blocked_place; /* a waiter's place in one key's queue */

struct waiter {
    uint64_t client_id; /* the caller's: never a pointer to a client */
    void *owner;        /* the caller's */
    unsigned database;
    enum value_kind kind; /* what it waits for: the caller's */
    bool minds_going;     /* it wants to know, too, that a key holds that no more: the caller's */
    int64_t deadline_us;  /* on the clock the caller uses; -1: none */
    /* blocked's own: */
    uint64_t arrival;             /* its number; 0: it has never waited */
    struct blocked_place *places; /* one for each of its keys; NULL: it does not wait */
    uint32_t place_count;
    uint32_t heap_index; /* in the heap of deadlines, while it waits */
};

struct blocked_counts { /* what struct blocked begins with */
    uint64_t waiters, keys;
};

int blocked_create(struct blocked **out_blocked);
void blocked_destroy(struct blocked *blocked); /* accepts NULL; no waiter may be left */

/* Names are copied; one that is named twice counts once. -ENOMEM: nothing has changed. */
/* A waiter that left its queues and comes back, without being zeroed in between, takes its old
 * place among the others. waiter must not be waiting; client_id, owner, database and deadline_us
 * are set and stay. */
int blocked_add(struct blocked *blocked, struct waiter *waiter, const struct slice *names,
                uint32_t name_count);
/* Leaves all its queues, at any moment; does nothing when it does not wait. */
void blocked_remove(struct blocked *blocked, struct waiter *waiter);
bool blocked_is_waiting(const struct waiter *waiter);

/* The key may have something for its waiters now. A no-op, and cheap, when nobody waits at all. */
void blocked_signal_waited(struct blocked *blocked, unsigned database, struct slice name);
static inline void blocked_signal(struct blocked *blocked, unsigned database, struct slice name)
{
    if (((const struct blocked_counts *)(const void *)blocked)->waiters > 0)
        blocked_signal_waited(blocked, database, name);
}
/* As signalling every key that has waiters in that database (SWAPDB). */
void blocked_signal_database(struct blocked *blocked, unsigned database);
/* False: nothing is ready. The name is good until the next call of blocked_next_ready,
 * also when nobody waits for it any more. */
bool blocked_next_ready(struct blocked *blocked, unsigned *out_database, struct slice *out_name);
/* The key that blocked_next_ready gave out last cannot be served now, because somebody holds it: if
 * anybody still waits for it, it comes out again, but not before blocked_resume. */
void blocked_hold_back(struct blocked *blocked);
/* Somebody has let keys go: all that were held back are ready again. Cheap when there are none. */
void blocked_resume(struct blocked *blocked);
/* The waiters of one key in order of arrival. The next one must be asked for before its predecessor
 * is removed. */
struct waiter *blocked_first(struct blocked *blocked, unsigned database, struct slice name);
struct waiter *blocked_next(struct blocked *blocked, const struct waiter *waiter, unsigned database,
                            struct slice name);

/* A waiter whose deadline is at or before now, earliest first, or NULL; the caller removes it. */
struct waiter *blocked_expired(struct blocked *blocked, int64_t now_us);
int64_t blocked_next_deadline(const struct blocked *blocked); /* -1: none */

/* A waiter that waits, and has a deadline, gets another one. */
void blocked_move_deadline(struct blocked *blocked, struct waiter *waiter, int64_t deadline_us);

uint64_t blocked_waiter_count(const struct blocked *blocked); /* blocked_clients */
uint64_t blocked_key_count(const struct blocked *blocked);    /* total_blocking_keys */
uint64_t blocked_memory_bytes(const struct blocked *blocked);
#endif
