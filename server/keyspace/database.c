/* database.c - what is done with whole databases: flushing, swapping, choosing, scanning.
 *
 * Flushing a large database only sets it aside: its keys are destroyed a few at a time, by later
 * additions and by keyspace_rehash_step ("burial"). Until then they count as memory. */
#include "server/keyspace/keyspace_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FLUSH_AT_ONCE = 512, /* keys; more than these are buried later */
    SCAN_EFFORT = 10,    /* buckets for each key asked for */
};

void keyspace_init_database(struct keyspace *keyspace, unsigned number, uint64_t seed)
{
    struct database *database = &keyspace->slots[number];
    dict_init(&database->keys, offsetof(struct key, name), seed);
    heap_init(&database->expiring, offsetof(struct key, expiry_index));
    database->number = number;
    database->due_index = HEAP_NOT_THERE;
    keyspace->numbered[number] = database;
}

static void bury_key(void *context, struct dict_node *node)
{
    keyspace_free_key(context, (struct key *)(void *)node);
}

bool keyspace_bury(struct keyspace *keyspace, uint64_t step_max)
{
    struct grave **link = &keyspace->graves;
    while (*link && (*link)->is_pictured)
        link = &(*link)->next;
    if (!*link) return false;
    if (dict_drain(&(*link)->keys, step_max, bury_key, keyspace)) return true;
    keyspace_close_grave(link);
    return *link != NULL;
}

void keyspace_close_grave(struct grave **link)
{
    struct grave *grave = *link;
    *link = grave->next;
    dict_finish(&grave->keys);
    heap_finish(&grave->expiring);
    free(grave);
}

void keyspace_empty_database(struct keyspace *keyspace, struct database *database)
{
    (void)dict_drain(&database->keys, UINT64_MAX, bury_key, keyspace);
    dict_finish(&database->keys);
    heap_finish(&database->expiring);
}

uint64_t keyspace_count(const struct keyspace *keyspace, unsigned database)
{
    return database_at(keyspace, database)->keys.count;
}

void keyspace_flush(struct keyspace *keyspace, unsigned database)
{
    struct database *home = database_at(keyspace, database);
    struct grave *grave = NULL;
    uint64_t seed = home->keys.seed;

    keyspace->counts.changes += home->keys.count;
    if (home->due_index != HEAP_NOT_THERE) heap_remove(&keyspace->due, home);
    if (home->keys.count > FLUSH_AT_ONCE || keyspace->picture.is_running)
        grave = malloc(sizeof(*grave));
    if (!grave) { /* few keys, or so little memory that freeing at once is the better choice */
        keyspace_picture_visit_all(keyspace, home);
        keyspace_empty_database(keyspace, home);
    } else {
        *grave = (struct grave){ home->keys, home->expiring, keyspace->graves,
                                 keyspace->picture.is_running };
        keyspace->graves = grave;
    }
    dict_init(&home->keys, offsetof(struct key, name), seed);
    heap_init(&home->expiring, offsetof(struct key, expiry_index));
    home->expiry_sum = 0;
}

void keyspace_swap(struct keyspace *keyspace, unsigned a, unsigned b)
{
    struct database *first = database_at(keyspace, a), *second = database_at(keyspace, b);
    keyspace->counts.changes++;
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
        if (!key || !keyspace_must_expire(keyspace, key)) return key;
        keyspace_expire_key(keyspace, key);
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
    if (keyspace_must_expire(scan->keyspace, key)) return;
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
    bool has_more = keyspace_bury(keyspace, bucket_max);
    if (!keyspace->may_rehash) return has_more; /* looking at each table is not for every turn */
    for (unsigned i = 0; i < keyspace->database_count; i++) {
        if (!dict_is_rehashing(&keyspace->slots[i].keys)) continue;
        has_more |= dict_rehash(&keyspace->slots[i].keys, bucket_max);
        return has_more;
    }
    keyspace->may_rehash = false;
    return has_more;
}
