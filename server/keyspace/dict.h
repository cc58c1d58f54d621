/* dict.h - a hash table of nodes that carry their own names and lie in the caller's memory.
 *
 * Chains in a power of two of buckets. Growing and shrinking move a few buckets at each addition
 * and removal, so that no call takes long whatever the size: large bucket arrays are fresh zero
 * pages from the kernel, and the old array goes back piece by piece as it is emptied. A node never
 * moves.
 *
 * The caller puts a struct dict_node into each of its nodes and the name's bytes at name_offset
 * from it. Names in one dict are different from each other: the caller asks before it adds. One
 * thread. */
#ifndef SERVER_KEYSPACE_DICT_H
#define SERVER_KEYSPACE_DICT_H
#include "modules/base/slice.h"

struct random;

struct dict_node {
    struct dict_node *next; /* in its bucket */
    uint32_t hash;          /* of the name, by dict_hash */
    uint32_t name_size : 31;
    uint32_t is_marked : 1; /* the caller's */
};

struct dict_table {
    struct dict_node **buckets; /* NULL: no table */
    uint64_t size;              /* a power of two, or 0 */
};

struct dict {
    struct dict_table tables[2]; /* the second only while nodes move there from the first */
    uint64_t
        moved; /* buckets of tables[0] below it are empty; their memory may have been returned */
    uint64_t returned; /* bytes of tables[0]'s array that the kernel has back; <= moved buckets' */
    uint64_t count;    /* nodes */
    uint64_t seed;
    size_t name_offset;
};

#define DICT_NAME_BYTES_MAX (UINT32_MAX >> 1)

/* seed: random, so that nobody can prepare names that collide. Needs no memory. */
void dict_init(struct dict *dict, size_t name_offset, uint64_t seed);
/* Frees the buckets; nodes that are still there are not touched. */
void dict_finish(struct dict *dict);

uint32_t dict_hash(const struct dict *dict, struct slice name);
/* hash: of name. NULL: not there. */
struct dict_node *dict_find(const struct dict *dict, struct slice name, uint32_t hash);
struct slice dict_name(const struct dict *dict, const struct dict_node *node);

/* node's hash and name are set; the name is not there yet. -ENOMEM (only the very first addition
 * can fail: where a larger table cannot be had, chains grow). */
int dict_add(struct dict *dict, struct dict_node *node);
/* node is there. It is the caller's again. */
void dict_remove(struct dict *dict, struct dict_node *node);

/* Moves on with growing or shrinking by at most bucket_max buckets: true when there is more to do.
 */
bool dict_rehash(struct dict *dict, unsigned bucket_max);
static inline bool dict_is_rehashing(const struct dict *dict)
{
    return dict->tables[1].buckets != NULL;
}

/* A node chosen evenly enough, or NULL when there is none. */
struct dict_node *dict_random(const struct dict *dict, struct random *random);

/* Calls each for the nodes of one bucket (of several, if the table is changing its size) and
 * returns the next cursor: 0 begins, 0 returned is the end. A node that is there from the first
 * call to the last is seen at least once, however the table has grown and shrunk between. each must
 * change nothing. */
uint64_t dict_scan(const struct dict *dict, uint64_t cursor,
                   void (*each)(void *context, struct dict_node *node), void *context);

/* Takes all nodes out, in no order, visiting at most step_max buckets and nodes: true when there is
 * more to do. each owns the node. From the first call on, nothing but further calls and dict_finish
 * is allowed. */
bool dict_drain(struct dict *dict, uint64_t step_max,
                void (*each)(void *context, struct dict_node *node), void *context);

uint64_t dict_memory_bytes(const struct dict *dict); /* the buckets'; nodes are the caller's */
/* Asserts that every node lies where it is looked for, and the count; for tests. O(n). */
void dict_check(const struct dict *dict);
#endif
