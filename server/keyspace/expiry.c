/* expiry.c - times to live. Each database has a heap of its keys that have one, and the keyspace a
 * heap of such databases, so that what is due next is known without looking at what is not. */
#include "server/keyspace/keyspace_internal.h"

#include <assert.h>

enum {
    HELD_MAX = 64, /* due keys that one round of expiry steps over */
    HELD_RETRY_MS = 10,
};

/* To be called whenever database's first due key may be another one. Room for all databases was
 * reserved, and a heap of up to a segment never gives any back. */
static void due_changed(struct keyspace *keyspace, struct database *database)
{
    bool is_there = database->due_index != HEAP_NOT_THERE;
    int rc = 0;
    if (database->expiring.count == 0) {
        if (is_there) heap_remove(&keyspace->due, database);
    } else if (is_there) {
        heap_change(&keyspace->due, database, heap_first_key(&database->expiring));
    } else {
        rc = heap_add(&keyspace->due, database, heap_first_key(&database->expiring));
    }
    assert(rc == 0);
}
static_assert(KEYSPACE_DATABASES_MAX <= HEAP_SEGMENT_ENTRIES, "one segment holds all databases");

void keyspace_drop_expiry(struct keyspace *keyspace, struct key *key)
{
    struct database *database = database_of(keyspace, key);
    if (key->expiry_index == HEAP_NOT_THERE) return;
    database->expiry_sum -= heap_key(&database->expiring, key);
    heap_remove(&database->expiring, key);
    due_changed(keyspace, database);
}

static int place_expiry(struct keyspace *keyspace, struct key *key, int64_t at_ms)
{
    struct database *database = database_of(keyspace, key);
    if (key->expiry_index == HEAP_NOT_THERE) {
        int rc = heap_add(&database->expiring, key, at_ms);
        if (rc < 0) return rc;
    } else {
        database->expiry_sum -= heap_key(&database->expiring, key);
        heap_change(&database->expiring, key, at_ms);
    }
    database->expiry_sum += at_ms;
    due_changed(keyspace, database);
    return 0;
}

int keyspace_set_expiry(struct keyspace *keyspace, struct key *key, int64_t at_ms)
{
    keyspace_save_first(keyspace, key);
    if (at_ms != -1) return place_expiry(keyspace, key, at_ms);
    keyspace_drop_expiry(keyspace, key);
    return 0;
}

int64_t key_expires_at(const struct keyspace *keyspace, const struct key *key)
{
    if (key->expiry_index == HEAP_NOT_THERE) return -1;
    return heap_key(&database_of(keyspace, key)->expiring, key);
}

static bool is_held(const struct keyspace *keyspace, const struct key *key)
{
    return keyspace->hooks.is_held &&
           keyspace->hooks.is_held(keyspace->hooks.context, key_database(keyspace, key),
                                   key_name(key));
}

bool keyspace_must_expire(const struct keyspace *keyspace, const struct key *key)
{
    return key->expiry_index != HEAP_NOT_THERE &&
           key_expires_at(keyspace, key) <= keyspace->now_ms && !is_held(keyspace, key);
}

void keyspace_expire_key(struct keyspace *keyspace, struct key *key)
{
    keyspace_save_first(keyspace, key);
    if (keyspace->hooks.on_expire)
        keyspace->hooks.on_expire(keyspace->hooks.context, key_database(keyspace, key),
                                  key_name(key));
    keyspace->expired_keys++;
    keyspace_remove(keyspace, key);
}

/* Due keys that are held are taken out of the heap while the others are looked at. */
static void put_back(struct keyspace *keyspace, struct key *const *held, const int64_t *times,
                     unsigned held_count)
{
    for (unsigned i = 0; i < held_count; i++) {
        int rc = place_expiry(keyspace, held[i], times[i]);
        assert(rc == 0); /* heaps keep a spare segment: there is room for what was just there */
    }
}
static_assert((int)HELD_MAX <= (int)HEAP_SEGMENT_ENTRIES, "what the heap keeps spare");

unsigned keyspace_expire_due(struct keyspace *keyspace, unsigned key_max)
{
    struct key *held[HELD_MAX];
    int64_t times[HELD_MAX];
    unsigned held_count = 0, removed = 0;
    struct database *database;

    keyspace->held_until_ms = INT64_MIN;
    if (!keyspace->is_active) return 0;
    while (removed < key_max && held_count < HELD_MAX && (database = heap_first(&keyspace->due)) &&
           heap_first_key(&keyspace->due) <= keyspace->now_ms) {
        struct key *key = heap_first(&database->expiring);
        if (is_held(keyspace, key)) {
            held[held_count] = key;
            times[held_count++] = key_expires_at(keyspace, key);
            keyspace_drop_expiry(keyspace, key);
        } else {
            keyspace_expire_key(keyspace, key);
            removed++;
        }
    }
    put_back(keyspace, held, times, held_count);
    if (held_count > 0 && removed < key_max)
        keyspace->held_until_ms = keyspace->now_ms + HELD_RETRY_MS;
    return removed;
}

int64_t keyspace_next_expiry(const struct keyspace *keyspace)
{
    int64_t next;
    if (!keyspace->is_active || keyspace->due.count == 0) return -1;
    next = heap_first_key(&keyspace->due);
    if (next < keyspace->held_until_ms) next = keyspace->held_until_ms;
    return next < 0 ? 0 : next;
}

void keyspace_set_active_expiry(struct keyspace *keyspace, bool is_active)
{
    keyspace->is_active = is_active;
}

uint64_t keyspace_expiring_count(const struct keyspace *keyspace, unsigned database)
{
    return database_at(keyspace, database)->expiring.count;
}

int64_t keyspace_average_ttl(const struct keyspace *keyspace, unsigned database)
{
    const struct database *home = database_at(keyspace, database);
    __int128 average;
    if (home->expiring.count == 0) return 0;
    average = home->expiry_sum / home->expiring.count - keyspace->now_ms;
    return average > 0 ? (int64_t)average : 0;
}
