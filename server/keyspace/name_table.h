/* name_table.h - something for each of a few keys: a dict a database, made when it is first needed.
 *
 * What blocked, claims and watch share. Nodes begin with a struct name_node, are allocated here
 * with the name behind them, and are found by database and name. One thread. */
#ifndef SERVER_KEYSPACE_NAME_TABLE_H
#define SERVER_KEYSPACE_NAME_TABLE_H
#include "server/keyspace/dict.h"

struct name_node {
    struct dict_node node;
    unsigned database;
};

struct name_table {
    struct dict *dicts; /* by database */
    unsigned database_count;
    uint64_t count, node_bytes; /* all nodes, with their names */
    size_t node_size;           /* of the caller's struct; the name follows it */
    uint64_t seed;
};

/* 0, or -errno of the kernel's random source. */
int name_table_init(struct name_table *table, size_t node_size);
/* No node may be left. */
void name_table_finish(struct name_table *table);

struct name_node *name_table_find(const struct name_table *table, unsigned database,
                                  struct slice name);
/* Finds it or adds one that is zero behind its struct name_node. NULL: no memory. */
struct name_node *name_table_get(struct name_table *table, unsigned database, struct slice name);
/* Takes node out. It stays allocated: free() it when nobody looks at it any more. */
void name_table_take(struct name_table *table, struct name_node *node);
struct slice name_table_name(const struct name_table *table, const struct name_node *node);
/* Calls each for the nodes of a database; each may change a node, but add and take none. */
void name_table_each(const struct name_table *table, unsigned database,
                     void (*each)(void *context, struct name_node *node), void *context);
uint64_t name_table_memory_bytes(const struct name_table *table);
#endif
