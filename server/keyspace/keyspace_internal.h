/* keyspace_internal.h - what keyspace.c, expiry.c and database.c share. */
#ifndef SERVER_KEYSPACE_KEYSPACE_INTERNAL_H
#define SERVER_KEYSPACE_KEYSPACE_INTERNAL_H
#include "modules/base/heap.h"
#include "modules/base/random.h"
#include "server/keyspace/dict.h"
#include "server/keyspace/keyspace.h"
#include "server/keyspace/picture.h"

#include <assert.h>

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

/* While a picture is taken (picture.h): what is still to be visited, and by whom. */
struct picture {
    void (*save)(void *context, const struct pictured_key *key); /* NULL: nothing is saved */
    void *context;
    bool is_running;
    unsigned slot;                           /* of the database that is walked now */
    uint64_t cursor;                         /* in its dict */
    uint64_t visited_count, total_count;     /* keys */
    uint8_t numbers[KEYSPACE_DATABASES_MAX]; /* of the slots, when it was begun */
};

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
    bool is_pictured; /* some of its keys may belong to the picture that is taken: it buries them */
};

struct keyspace {
    struct keyspace_counts counts; /* first */
    struct database *slots;        /* database_count of them; a key's slot counts in here */
    struct database **numbered;    /* by number */
    unsigned database_count;
    struct heap due; /* databases that have expiring keys */
    struct keyspace_hooks hooks;
    int64_t now_ms, created_ms;
    int64_t held_until_ms; /* what is due before was held when last looked at: look again then */
    bool is_active;        /* expires keys that nobody asks for */
    bool may_rehash;       /* a table was added to or removed from since none was being rehashed */
    struct grave *graves;
    struct picture picture;
    bool mark; /* of keys that the picture has, or that are no part of it; else of all keys */
    struct random random;
    uint64_t key_bytes, value_bytes; /* graves included */
    uint64_t expired_keys;
};

static inline struct database *database_at(const struct keyspace *keyspace, unsigned number)
{
    assert(number < keyspace->database_count);
    return keyspace->numbered[number];
}

static inline struct database *database_of(const struct keyspace *keyspace, const struct key *key)
{
    return &keyspace->slots[key->slot];
}

/* ---- keyspace.c ---- */
/* Frees a key that is in no database, with its value. */
void keyspace_free_key(struct keyspace *keyspace, struct key *key);

/* ---- database.c ---- */
void keyspace_init_database(struct keyspace *keyspace, unsigned number, uint64_t seed);
/* Frees all keys and tables at once. */
void keyspace_empty_database(struct keyspace *keyspace, struct database *database);
/* Destroys at most step_max of the keys that flushes have set aside: true when more are left. */
bool keyspace_bury(struct keyspace *keyspace, uint64_t step_max);
/* Takes an empty grave out of the row. */
void keyspace_close_grave(struct grave **link);

/* ---- picture.c ---- */
/* Gives the picture that is taken a key that it has not visited. */
void keyspace_picture_visit(struct keyspace *keyspace, struct key *key);
/* The same for all keys of a database, at once. */
void keyspace_picture_visit_all(struct keyspace *keyspace, struct database *database);
/* To be called before a key changes or goes. */
static inline void keyspace_save_first(struct keyspace *keyspace, struct key *key)
{
    if (key->node.is_marked != keyspace->mark) keyspace_picture_visit(keyspace, key);
}

/* ---- expiry.c ---- */
void keyspace_drop_expiry(struct keyspace *keyspace, struct key *key);
/* Its time has come, and nobody holds it. */
bool keyspace_must_expire(const struct keyspace *keyspace, const struct key *key);
/* Removes a key because its time has come. */
void keyspace_expire_key(struct keyspace *keyspace, struct key *key);
#endif
