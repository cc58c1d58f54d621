/* keyspace.h - numbered databases of keys with values and times to live.
 *
 * Names are copied in. A struct key pointer stays good until the key is removed (growing and
 * rehashing of the table, which goes on in small steps, does not move keys). Finding a key that has
 * expired removes it first. Loop thread only; nothing here waits or logs. */
#ifndef SERVER_KEYSPACE_KEYSPACE_H
#define SERVER_KEYSPACE_KEYSPACE_H
#include "modules/base/slice.h"
#include "server/types/value.h"

struct keyspace;
struct key;

struct keyspace_hooks {
    /* The key changed (any change, its appearing and going included). For WATCH. */
    void (*on_change)(void *context, unsigned database, struct slice name);
    /* What a key held is not under that name any more: it was removed, renamed, moved or replaced.
     * May be NULL. */
    void (*on_gone)(void *context, unsigned database, struct slice name);
    /* It is about to be removed because its time has come, found by a command or by active expiry.
     */
    void (*on_expire)(void *context, unsigned database, struct slice name);
    /* True: an operation under way holds this key; expiry must leave it alone for now. NULL: never.
     */
    bool (*is_held)(void *context, unsigned database, struct slice name);
    /* Frees a block of a value that has gone (see value_type's take_block), or has it freed. NULL:
     * free(). */
    void (*free_block)(void *context, void *block, size_t bytes);
    void *context;
};

#define KEYSPACE_DATABASES_MAX 256u /* a key tells its own in 8 bits */

/* database_count: 1 to KEYSPACE_DATABASES_MAX. -ENOMEM, or -errno of the kernel's random source. */
int keyspace_create(unsigned database_count, const struct keyspace_hooks *hooks,
                    struct keyspace **out_keyspace);
void keyspace_destroy(struct keyspace *keyspace); /* accepts NULL; destroys all values */
unsigned keyspace_database_count(const struct keyspace *keyspace);

/* The time that expiry is judged by, in ms since 1970; set once before each command. */
void keyspace_set_now(struct keyspace *keyspace, int64_t now_ms);
int64_t keyspace_now(const struct keyspace *keyspace);

/* NULL: no such key. Counts nothing, touches no access time. */
struct key *keyspace_find(struct keyspace *keyspace, unsigned database, struct slice name);
/* Takes the value over. The key must not exist. -ENOMEM: the value is still the caller's. */
int keyspace_add(struct keyspace *keyspace, unsigned database, struct slice name,
                 struct value *value, struct key **out_key);
/* Removes key and destroys its value. */
void keyspace_remove(struct keyspace *keyspace, struct key *key);
/* Destroys the old value, takes the new one over; keeps name; drops the time to live unless
 * keep_ttl; counts as an access. The caller tells keyspace_changed. */
void keyspace_replace(struct keyspace *keyspace, struct key *key, struct value *value,
                      bool keep_ttl);
/* Gives key another name and database, value and time to live go along; a key that has that name is
 * removed first. The struct key may be another one afterwards: look the new name up again. -ENOMEM:
 * nothing has changed. Renaming onto itself does nothing. */
int keyspace_move(struct keyspace *keyspace, struct key *key, unsigned database, struct slice name);

struct slice key_name(const struct key *key);
unsigned key_database(const struct keyspace *keyspace, const struct key *key);
struct value *key_value(const struct key *key);
/* ms since 1970; -1: never */
int64_t key_expires_at(const struct keyspace *keyspace, const struct key *key);
/* at_ms -1: never. -ENOMEM. The past is allowed: the key goes at the next look. */
int keyspace_set_expiry(struct keyspace *keyspace, struct key *key, int64_t at_ms);
/* Access time for OBJECT IDLETIME and FREQ: cheap, from keyspace_now. */
void key_touch_access(struct keyspace *keyspace, struct key *key);
int64_t key_idle_ms(const struct keyspace *keyspace, const struct key *key);
uint64_t key_memory_bytes(const struct key *key); /* key itself and its name, without the value */

/* To be called after every change of a key's value (adding, removing, moving and expiry call it
 * themselves): runs on_change and counts (rdb_changes_since_last_save). */
void keyspace_changed(struct keyspace *keyspace, unsigned database, struct slice name);

/* The same of what WATCH does not mind: it counts, and that is all. */
void keyspace_count_change(struct keyspace *keyspace);

/* How often anything has changed: what it was before a command tells whether that did something. */
struct keyspace_counts { /* what struct keyspace begins with */
    uint64_t changes;
};
static inline uint64_t keyspace_change_count(const struct keyspace *keyspace)
{
    return ((const struct keyspace_counts *)(const void *)keyspace)->changes;
}

uint64_t keyspace_count(const struct keyspace *keyspace, unsigned database);
uint64_t keyspace_expiring_count(const struct keyspace *keyspace, unsigned database);
/* Average time to live in ms of keys that have one, 0 without any. Exact. */
int64_t keyspace_average_ttl(const struct keyspace *keyspace, unsigned database);
void keyspace_flush(struct keyspace *keyspace,
                    unsigned database); /* on_change for each watched name is the caller's work */
void keyspace_swap(struct keyspace *keyspace, unsigned a, unsigned b);
/* A key chosen evenly enough, or NULL when empty; expired ones are removed on the way. */
struct key *keyspace_random(struct keyspace *keyspace, unsigned database);

/* SCAN: calls each for the keys of one or more buckets and returns the next cursor, 0 at the end. A
 * key that is there all the time is seen at least once. each must not add or remove keys. Buckets
 * visited are bounded by count * 10. */
uint64_t keyspace_scan(struct keyspace *keyspace, unsigned database, uint64_t cursor,
                       uint64_t count, void (*each)(void *context, struct key *key), void *context);

/* Removes keys whose time has come, at most key_max of them: the number removed. O(log n) each,
 * looks at nothing that is not due. */
unsigned keyspace_expire_due(struct keyspace *keyspace, unsigned key_max);
/* When the next key is due, ms since 1970; -1: none. */
int64_t keyspace_next_expiry(const struct keyspace *keyspace);
void keyspace_set_active_expiry(struct keyspace *keyspace, bool is_active);
/* A few steps of rehashing, for idle turns: true when there is more. */
bool keyspace_rehash_step(struct keyspace *keyspace, unsigned bucket_max);

struct keyspace_info {
    uint64_t memory_bytes; /* tables, keys, names, expiry; and the values' that live in memory */
    uint64_t
        value_memory_bytes; /* part of it: strings and the like, lists' roots; not spill's chunks */
    uint64_t expired_keys, changes;
};
void keyspace_info(const struct keyspace *keyspace, struct keyspace_info *out_info);
/* In-memory values tell what they grew or shrank by, so that memory_bytes is a running sum. */
void keyspace_account(struct keyspace *keyspace, int64_t delta_bytes);
#endif
