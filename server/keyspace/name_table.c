#include "server/keyspace/name_table.h"

#include "modules/base/alloc_size.h"
#include "modules/base/random.h"

#include <assert.h>
#include <stdlib.h>

int name_table_init(struct name_table *table, size_t node_size)
{
    *table = (struct name_table){ .node_size = node_size };
    return random_entropy(&table->seed, sizeof(table->seed));
}

void name_table_finish(struct name_table *table)
{
    assert(table->count == 0);
    for (unsigned i = 0; i < table->database_count; i++)
        dict_finish(&table->dicts[i]);
    free(table->dicts);
    table->dicts = NULL;
    table->database_count = 0;
}

struct name_node *name_table_find(const struct name_table *table, unsigned database,
                                  struct slice name)
{
    const struct dict *dict;
    if (database >= table->database_count) return NULL;
    dict = &table->dicts[database];
    if (dict->count == 0) return NULL;
    return (struct name_node *)(void *)dict_find(dict, name, dict_hash(dict, name));
}

static bool has_database(struct name_table *table, unsigned database)
{
    struct dict *dicts;
    if (database < table->database_count) return true;
    dicts = realloc(table->dicts, (database + 1) * sizeof(dicts[0]));
    if (!dicts) return false;
    table->dicts = dicts;
    while (table->database_count <= database)
        dict_init(&dicts[table->database_count++], table->node_size, table->seed);
    return true;
}

static size_t node_bytes(const struct name_table *table, struct slice name)
{
    return table->node_size + name.size;
}

struct name_node *name_table_get(struct name_table *table, unsigned database, struct slice name)
{
    struct name_node *node = name_table_find(table, database, name);
    if (node) return node;
    if (!has_database(table, database) || name.size > DICT_NAME_BYTES_MAX) return NULL;
    node = calloc(1, node_bytes(table, name));
    if (!node) return NULL;
    node->node.hash = dict_hash(&table->dicts[database], name);
    node->node.name_size = (uint32_t)name.size & DICT_NAME_BYTES_MAX;
    node->database = database;
    if (name.size > 0) memcpy((uint8_t *)node + table->node_size, name.bytes, name.size);
    if (dict_add(&table->dicts[database], &node->node) < 0) {
        free(node);
        return NULL;
    }
    table->count++;
    table->node_bytes += alloc_size(node_bytes(table, name));
    return node;
}

void name_table_take(struct name_table *table, struct name_node *node)
{
    dict_remove(&table->dicts[node->database], &node->node);
    table->count--;
    table->node_bytes -= alloc_size(node_bytes(table, name_table_name(table, node)));
}

struct slice name_table_name(const struct name_table *table, const struct name_node *node)
{
    return dict_name(&table->dicts[node->database], &node->node);
}

struct each_call {
    void (*each)(void *context, struct name_node *node);
    void *context;
};

static void call_each(void *context, struct dict_node *node)
{
    const struct each_call *call = context;
    call->each(call->context, (struct name_node *)(void *)node);
}

void name_table_each(const struct name_table *table, unsigned database,
                     void (*each)(void *context, struct name_node *node), void *context)
{
    struct each_call call = { each, context };
    uint64_t cursor = 0;
    if (database >= table->database_count) return;
    do { /* nothing changes meanwhile, so the scan sees each node once */
        cursor = dict_scan(&table->dicts[database], cursor, call_each, &call);
    } while (cursor != 0);
}

uint64_t name_table_memory_bytes(const struct name_table *table)
{
    uint64_t bytes = table->node_bytes;
    if (table->dicts) bytes += alloc_size(table->database_count * sizeof(table->dicts[0]));
    for (unsigned i = 0; i < table->database_count; i++)
        bytes += dict_memory_bytes(&table->dicts[i]);
    return bytes;
}
