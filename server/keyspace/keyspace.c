/* A database is a dict of keys and a heap of those that have a time to live. SWAPDB exchanges
 * databases; keys know only the slot of theirs, so none is touched.
 *
 * Flushing a large database only sets it aside: its keys are destroyed a few at a time, by later
 * additions and by keyspace_rehash_step ("burial"). Until then they count as memory. */
#include "server/keyspace/keyspace.h"

#include "modules/base/alloc_size.h"
#include "modules/base/heap.h"
#include "modules/base/random.h"
#include "server/keyspace/dict.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    FLUSH_AT_ONCE = 512, /* keys; more than these are buried later */
    BURY_PER_ADD = 8,    /* steps; faster than additions can pile up new keys to bury */
    HELD_MAX = 64,       /* due keys that one round of expiry steps over */
    HELD_RETRY_MS = 10,
    SCAN_EFFORT = 10, /* buckets for each key asked for */
};

/* 32 bytes and the name: with names up to 16 bytes, one allocation of 48. */
struct key {
    struct dict_node node;
    struct value *value;
    uint32_t expiry_index;     /* in the database's heap; HEAP_NOT_THERE: lives for ever */
    uint32_t accessed_at : 24; /* seconds since keyspace_create, wraps after 194 days */
    uint32_t slot : 8;         /* of the database */
    uint8_t name[];
};
static_assert(offsetof(struct key, name) == 32, "what a key costs");

struct database {
    struct dict keys;
    struct heap expiring;
    __int128 expiry_sum; /* of the times at which expiring keys are due */
    unsigned number;     /* by which clients select it now */
    uint32_t due_index;  /* in keyspace's heap, by its first key that is due */
};

/* What a flush has set aside. */
struct grave {
    struct dict keys;
    struct heap expiring;
    struct grave *next;
};

struct keyspace {
    struct database *slots;     /* database_count of them; a key's slot counts in here */
    struct database **numbered; /* by number */
    unsigned database_count;
    struct heap due; /* databases that have expiring keys */
    struct keyspace_hooks hooks;
    int64_t now_ms, created_ms;
    int64_t held_until_ms; /* what is due before was held when last looked at: look again then */
    bool is_active;        /* expires keys that nobody asks for */
    struct grave *graves;
    struct random random;
    uint64_t key_bytes, value_bytes; /* graves included */
    uint64_t expired_keys, changes;
};

static const struct keyspace_hooks no_hooks;

int keyspace_create(unsigned database_count, const struct keyspace_hooks *hooks,
                    struct keyspace **out_keyspace)
{
    struct keyspace *keyspace = NULL;
    uint64_t seeds[2];
    int rc;

    if (database_count < 1 || database_count > KEYSPACE_DATABASES_MAX) return -EINVAL;
    rc = random_entropy(seeds, sizeof(seeds));
    if (rc < 0) return rc;
    rc = -ENOMEM;
    keyspace = calloc(1, sizeof(*keyspace));
    if (!keyspace) goto out;
    keyspace->slots = calloc(database_count, sizeof(keyspace->slots[0]));
    keyspace->numbered = calloc(database_count, sizeof(keyspace->numbered[0]));
    if (!keyspace->slots || !keyspace->numbered) goto out;
    keyspace->database_count = database_count;
    keyspace->hooks = hooks ? *hooks : no_hooks;
    keyspace->is_active = true;
    keyspace->held_until_ms = INT64_MIN;
    random_init(&keyspace->random, seeds[0]);
    heap_init(&keyspace->due, offsetof(struct database, due_index));
    for (unsigned i = 0; i < database_count; i++) {
        struct database *database = &keyspace->slots[i];
        dict_init(&database->keys, offsetof(struct key, name), seeds[1]);
        heap_init(&database->expiring, offsetof(struct key, expiry_index));
        database->number = i;
        database->due_index = HEAP_NOT_THERE;
        keyspace->numbered[i] = database;
    }
    rc = heap_reserve(&keyspace->due, database_count);
    if (rc < 0) goto out;
    *out_keyspace = keyspace;
    keyspace = NULL;
out:
    keyspace_destroy(keyspace);
    return rc;
}

static void free_key(struct keyspace *keyspace, struct key *key)
{
    struct value *value = key->value;
    keyspace->key_bytes -= key_memory_bytes(key);
    keyspace->value_bytes -= value->type->counted_bytes(value);
    value->type->destroy(value);
    free(key);
}

static void bury_key(void *context, struct dict_node *node)
{
    free_key(context, (struct key *)(void *)node);
}

/* Destroys at most step_max of the keys that flushes have set aside: true when more are left. */
static bool bury(struct keyspace *keyspace, uint64_t step_max)
{
    struct grave *grave = keyspace->graves;
    if (!grave) return false;
    if (dict_drain(&grave->keys, step_max, bury_key, keyspace)) return true;
    keyspace->graves = grave->next;
    dict_finish(&grave->keys);
    heap_finish(&grave->expiring);
    free(grave);
    return keyspace->graves != NULL;
}

static void empty_database(struct keyspace *keyspace, struct database *database)
{
    (void)dict_drain(&database->keys, UINT64_MAX, bury_key, keyspace);
    dict_finish(&database->keys);
    heap_finish(&database->expiring);
}

void keyspace_destroy(struct keyspace *keyspace)
{
    if (!keyspace) return;
    while (bury(keyspace, UINT64_MAX))
        ;
    for (unsigned i = 0; i < keyspace->database_count; i++)
        empty_database(keyspace, &keyspace->slots[i]);
    heap_finish(&keyspace->due);
    free(keyspace->slots);
    free(keyspace->numbered);
    free(keyspace);
}

unsigned keyspace_database_count(const struct keyspace *keyspace)
{
    return keyspace->database_count;
}

static struct database *database_at(const struct keyspace *keyspace, unsigned number)
{
    assert(number < keyspace->database_count);
    return keyspace->numbered[number];
}

static struct database *database_of(const struct keyspace *keyspace, const struct key *key)
{
    return &keyspace->slots[key->slot];
}

void keyspace_set_now(struct keyspace *keyspace, int64_t now_ms)
{
    if (keyspace->created_ms == 0) keyspace->created_ms = now_ms;
    keyspace->now_ms = now_ms;
}

int64_t keyspace_now(const struct keyspace *keyspace)
{
    return keyspace->now_ms;
}

/* ---- times to live ---- */

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

static void drop_expiry(struct keyspace *keyspace, struct key *key)
{
    struct database *database = database_of(keyspace, key);
    if (key->expiry_index == HEAP_NOT_THERE) return;
    database->expiry_sum -= heap_key(&database->expiring, key);
    heap_remove(&database->expiring, key);
    due_changed(keyspace, database);
}

int keyspace_set_expiry(struct keyspace *keyspace, struct key *key, int64_t at_ms)
{
    struct database *database = database_of(keyspace, key);
    if (at_ms == -1) {
        drop_expiry(keyspace, key);
        return 0;
    }
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

static bool is_due(const struct keyspace *keyspace, const struct key *key)
{
    return key->expiry_index != HEAP_NOT_THERE && key_expires_at(keyspace, key) <= keyspace->now_ms;
}

static void expire(struct keyspace *keyspace, struct key *key)
{
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
        int rc = keyspace_set_expiry(keyspace, held[i], times[i]);
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
            drop_expiry(keyspace, key);
        } else {
            expire(keyspace, key);
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

/* ---- keys ---- */

struct key *keyspace_find(struct keyspace *keyspace, unsigned database, struct slice name)
{
    struct dict *keys = &database_at(keyspace, database)->keys;
    struct key *key = (struct key *)(void *)dict_find(keys, name, dict_hash(keys, name));
    if (!key || !is_due(keyspace, key) || is_held(keyspace, key)) return key;
    expire(keyspace, key);
    return NULL;
}

static uint32_t access_clock(const struct keyspace *keyspace)
{
    return (uint32_t)((keyspace->now_ms - keyspace->created_ms) / 1000) & 0xffffffu;
}

/* A key that is in no database yet. */
static struct key *key_create(struct keyspace *keyspace, struct database *database,
                              struct slice name)
{
    struct key *key;
    if (name.size > UINT32_MAX) return NULL;
    key = malloc(sizeof(*key) + name.size);
    if (!key) return NULL;
    key->node = (struct dict_node){ .hash = dict_hash(&database->keys, name),
                                    .name_size = (uint32_t)name.size };
    key->value = NULL;
    key->expiry_index = HEAP_NOT_THERE;
    key->accessed_at = access_clock(keyspace) & 0xffffffu;
    key->slot = (uint8_t)(database - keyspace->slots);
    if (name.size > 0) memcpy(key->name, name.bytes, name.size);
    return key;
}

int keyspace_add(struct keyspace *keyspace, unsigned database, struct slice name,
                 struct value *value, struct key **out_key)
{
    struct database *home = database_at(keyspace, database);
    struct key *key = key_create(keyspace, home, name);
    if (!key) return -ENOMEM;
    assert(!dict_find(&home->keys, name, key->node.hash));
    if (dict_add(&home->keys, &key->node) < 0) {
        free(key);
        return -ENOMEM;
    }
    key->value = value;
    keyspace->key_bytes += key_memory_bytes(key);
    keyspace->value_bytes += value->type->counted_bytes(value);
    if (keyspace->graves) (void)bury(keyspace, BURY_PER_ADD);
    keyspace_changed(keyspace, database, key_name(key));
    if (out_key) *out_key = key;
    return 0;
}

void keyspace_remove(struct keyspace *keyspace, struct key *key)
{
    struct database *home = database_of(keyspace, key);
    drop_expiry(keyspace, key);
    dict_remove(&home->keys, &key->node);
    keyspace_changed(keyspace, home->number, key_name(key));
    free_key(keyspace, key);
}

void keyspace_replace(struct keyspace *keyspace, struct key *key, struct value *value,
                      bool keep_ttl)
{
    struct value *old = key->value;
    keyspace->value_bytes += value->type->counted_bytes(value);
    keyspace->value_bytes -= old->type->counted_bytes(old);
    key->value = value;
    key_touch_access(keyspace, key);
    old->type->destroy(old);
    if (!keep_ttl) drop_expiry(keyspace, key);
}

int keyspace_move(struct keyspace *keyspace, struct key *key, unsigned database, struct slice name)
{
    struct database *from = database_of(keyspace, key), *to = database_at(keyspace, database);
    int64_t expires_at = key_expires_at(keyspace, key);
    struct key *moved, *old;
    int rc = -ENOMEM;

    if (from == to && slice_equal(key_name(key), name)) return 0;
    moved = key_create(keyspace, to, name);
    if (!moved) return -ENOMEM;
    if (expires_at != -1) {
        rc = heap_reserve(&to->expiring, 1);
        if (rc < 0) goto out;
    }
    /* name may be that of the key that goes: from here on the copy counts. */
    old = (struct key *)(void *)dict_find(&to->keys, name, moved->node.hash);
    rc = dict_add(&to->keys, &moved->node);
    if (rc < 0) goto out;
    moved->value = key->value;
    moved->accessed_at = key->accessed_at;
    keyspace->key_bytes += key_memory_bytes(moved);
    if (expires_at != -1) {
        drop_expiry(keyspace, key);
        rc = keyspace_set_expiry(keyspace, moved, expires_at);
        assert(rc == 0);
    }
    dict_remove(&from->keys, &key->node);
    keyspace_changed(keyspace, from->number, key_name(key));
    if (old) {
        drop_expiry(keyspace, old);
        dict_remove(&to->keys, &old->node);
        free_key(keyspace, old);
    }
    keyspace_changed(keyspace, to->number, key_name(moved));
    keyspace->key_bytes -= key_memory_bytes(key);
    free(key);
    return 0;
out:
    free(moved);
    return rc;
}

struct slice key_name(const struct key *key)
{
    return slice_of(key->name, key->node.name_size);
}

unsigned key_database(const struct keyspace *keyspace, const struct key *key)
{
    return database_of(keyspace, key)->number;
}

struct value *key_value(const struct key *key)
{
    return key->value;
}

void key_touch_access(struct keyspace *keyspace, struct key *key)
{
    key->accessed_at = access_clock(keyspace) & 0xffffffu;
}

int64_t key_idle_ms(const struct keyspace *keyspace, const struct key *key)
{
    return (int64_t)((access_clock(keyspace) - key->accessed_at) & 0xffffffu) * 1000;
}

uint64_t key_memory_bytes(const struct key *key)
{
    return alloc_size(sizeof(*key) + key->node.name_size);
}

void keyspace_changed(struct keyspace *keyspace, unsigned database, struct slice name)
{
    keyspace->changes++;
    if (keyspace->hooks.on_change)
        keyspace->hooks.on_change(keyspace->hooks.context, database, name);
}

/* ---- databases ---- */

uint64_t keyspace_count(const struct keyspace *keyspace, unsigned database)
{
    return database_at(keyspace, database)->keys.count;
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

void keyspace_flush(struct keyspace *keyspace, unsigned database)
{
    struct database *home = database_at(keyspace, database);
    struct grave *grave = NULL;
    uint64_t seed = home->keys.seed;

    keyspace->changes += home->keys.count;
    if (home->due_index != HEAP_NOT_THERE) heap_remove(&keyspace->due, home);
    if (home->keys.count > FLUSH_AT_ONCE) grave = malloc(sizeof(*grave));
    if (!grave) { /* few keys, or so little memory that freeing at once is the better choice */
        empty_database(keyspace, home);
    } else {
        *grave = (struct grave){ home->keys, home->expiring, keyspace->graves };
        keyspace->graves = grave;
    }
    dict_init(&home->keys, offsetof(struct key, name), seed);
    heap_init(&home->expiring, offsetof(struct key, expiry_index));
    home->expiry_sum = 0;
}

void keyspace_swap(struct keyspace *keyspace, unsigned a, unsigned b)
{
    struct database *first = database_at(keyspace, a), *second = database_at(keyspace, b);
    keyspace->numbered[a] = second;
    keyspace->numbered[b] = first;
    second->number = a;
    first->number = b;
}

struct key *keyspace_random(struct keyspace *keyspace, unsigned database)
{
    struct dict *keys = &database_at(keyspace, database)->keys;
    for (;;) {
        struct key *key = (struct key *)(void *)dict_random(keys, &keyspace->random);
        if (!key || !is_due(keyspace, key) || is_held(keyspace, key)) return key;
        expire(keyspace, key);
    }
}

struct scan {
    const struct keyspace *keyspace;
    void (*each)(void *context, struct key *key);
    void *context;
    uint64_t seen;
};

/* What has expired is not there any more, but must not be removed while the buckets are walked. */
static void scan_key(void *context, struct dict_node *node)
{
    struct scan *scan = context;
    struct key *key = (struct key *)(void *)node;
    scan->seen++;
    if (is_due(scan->keyspace, key) && !is_held(scan->keyspace, key)) return;
    scan->each(scan->context, key);
}

uint64_t keyspace_scan(struct keyspace *keyspace, unsigned database, uint64_t cursor,
                       uint64_t count, void (*each)(void *context, struct key *key), void *context)
{
    const struct dict *keys = &database_at(keyspace, database)->keys;
    struct scan scan = { keyspace, each, context, 0 };
    uint64_t bucket_max = count < UINT64_MAX / SCAN_EFFORT ? count * SCAN_EFFORT : UINT64_MAX;
    do {
        cursor = dict_scan(keys, cursor, scan_key, &scan);
    } while (cursor != 0 && scan.seen < count && --bucket_max > 0);
    return cursor;
}

bool keyspace_rehash_step(struct keyspace *keyspace, unsigned bucket_max)
{
    bool has_more = bury(keyspace, bucket_max);
    for (unsigned i = 0; i < keyspace->database_count; i++) {
        if (!dict_is_rehashing(&keyspace->slots[i].keys)) continue;
        has_more |= dict_rehash(&keyspace->slots[i].keys, bucket_max);
        break;
    }
    return has_more;
}

static uint64_t database_memory_bytes(const struct dict *keys, const struct heap *expiring)
{
    return dict_memory_bytes(keys) + heap_memory_bytes(expiring);
}

void keyspace_info(const struct keyspace *keyspace, struct keyspace_info *out_info)
{
    uint64_t table_bytes = alloc_size(sizeof(*keyspace)) + heap_memory_bytes(&keyspace->due) +
                           alloc_size(keyspace->database_count * sizeof(keyspace->slots[0])) +
                           alloc_size(keyspace->database_count * sizeof(keyspace->numbered[0]));
    for (unsigned i = 0; i < keyspace->database_count; i++)
        table_bytes +=
            database_memory_bytes(&keyspace->slots[i].keys, &keyspace->slots[i].expiring);
    for (const struct grave *grave = keyspace->graves; grave; grave = grave->next)
        table_bytes +=
            alloc_size(sizeof(*grave)) + database_memory_bytes(&grave->keys, &grave->expiring);
    *out_info = (struct keyspace_info){
        .memory_bytes = table_bytes + keyspace->key_bytes + keyspace->value_bytes,
        .value_memory_bytes = keyspace->value_bytes,
        .expired_keys = keyspace->expired_keys,
        .changes = keyspace->changes,
    };
}

void keyspace_account(struct keyspace *keyspace, int64_t delta_bytes)
{
    assert(delta_bytes >= 0 || keyspace->value_bytes >= (uint64_t)-delta_bytes);
    keyspace->value_bytes += (uint64_t)delta_bytes;
}
