/* Growing: a second table twice as large appears, new nodes go there, and each addition moves two
 * buckets of the first, so that the move ends long before the second is full. Shrinking: the second
 * is a quarter, and each call moves more buckets, most of which are empty. When the first table is
 * empty, the second takes its place. Shrinking by no more than four bounds what one step of a scan
 * visits.
 *
 * Large arrays do not come from the allocator, because it may have to clear them, and because it
 * takes them back only whole: 128 MiB (16 million buckets) cost some 30 ms either way. */
#include "server/keyspace/dict.h"

#include "modules/base/alloc_size.h"
#include "modules/base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    BUCKETS_MIN = 8,
    SHRINK_FILL = 8,           /* shrink below one node to so many buckets */
    SHRINK_BY = 4,             /* at a time */
    GROW_STEP = 2,             /* buckets an addition or removal moves while growing */
    SHRINK_STEP = 16,          /* and while shrinking */
    MAP_BYTES = 256 * 1024,    /* arrays from this size on are mapped */
    RETURN_BYTES = 256 * 1024, /* and given back in such pieces */
    RANDOM_TRIES = 64,
};

static uint64_t array_bytes(uint64_t size)
{
    return size * sizeof(struct dict_node *);
}

static struct dict_node **array_create(uint64_t size)
{
    void *array;
    if (array_bytes(size) < MAP_BYTES) return calloc(size, sizeof(struct dict_node *));
    array =
        mmap(NULL, array_bytes(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (array == MAP_FAILED) return NULL;
    return array;
}

/* Unmapping whole pages that we mapped cannot fail but for the number of mappings, which taking
 * from the front of one never raises. */
static void unmap(struct dict_node **array, uint64_t from_byte, uint64_t end_byte)
{
    int rc = munmap((char *)array + from_byte, end_byte - from_byte);
    assert(rc == 0);
    (void)rc;
}

static void array_destroy(struct dict_table *table, uint64_t returned_bytes)
{
    uint64_t bytes = array_bytes(table->size);
    if (bytes < MAP_BYTES)
        free(table->buckets);
    else if (returned_bytes < bytes)
        unmap(table->buckets, returned_bytes, bytes);
    *table = (struct dict_table){ 0 };
}

void dict_init(struct dict *dict, size_t name_offset, uint64_t seed)
{
    *dict = (struct dict){ .seed = seed, .name_offset = name_offset };
}

void dict_finish(struct dict *dict)
{
    array_destroy(&dict->tables[0], dict->returned);
    array_destroy(&dict->tables[1], 0);
    dict_init(dict, dict->name_offset, dict->seed);
}

uint32_t dict_hash(const struct dict *dict, struct slice name)
{
    return (uint32_t)XXH3_64bits_withSeed(name.bytes, name.size, dict->seed);
}

static const uint8_t *name_bytes(const struct dict *dict, const struct dict_node *node)
{
    return (const uint8_t *)node + dict->name_offset;
}

struct slice dict_name(const struct dict *dict, const struct dict_node *node)
{
    return slice_of(name_bytes(dict, node), node->name_size);
}

static struct dict_node **bucket_of(const struct dict_table *table, uint32_t hash)
{
    return &table->buckets[hash & (table->size - 1)];
}

/* Below dict->moved the first table's memory may be gone. */
static bool is_moved(const struct dict *dict, uint32_t hash)
{
    return (hash & (dict->tables[0].size - 1)) < dict->moved;
}

struct dict_node *dict_find(const struct dict *dict, struct slice name, uint32_t hash)
{
    if (dict->count == 0) return NULL;
    for (int t = 0; t < 2; t++) {
        const struct dict_table *table = &dict->tables[t];
        if (!table->buckets) break;
        if (t == 0 && is_moved(dict, hash)) continue;
        for (struct dict_node *node = *bucket_of(table, hash); node; node = node->next) {
            if (node->hash == hash && node->name_size == name.size &&
                (name.size == 0 || memcmp(name_bytes(dict, node), name.bytes, name.size) == 0))
                return node;
        }
    }
    return NULL;
}

/* ---- growing and shrinking ---- */

/* Without memory for it the table stays as it is: a later addition or removal tries again. */
static void start_rehash(struct dict *dict, uint64_t size)
{
    struct dict_node **array = array_create(size);
    if (!array) return;
    dict->tables[1] = (struct dict_table){ .buckets = array, .size = size };
    dict->moved = 0;
    dict->returned = 0;
}

static void resize_if_due(struct dict *dict)
{
    uint64_t size = dict->tables[0].size;
    if (dict_is_rehashing(dict)) return;
    /* Hashes have 32 bits. */
    if (dict->count >= size && size <= UINT32_MAX)
        start_rehash(dict, size * 2);
    else if (size > BUCKETS_MIN && dict->count < size / SHRINK_FILL)
        start_rehash(dict, size / SHRINK_BY > BUCKETS_MIN ? size / SHRINK_BY : BUCKETS_MIN);
}

static void move_bucket(struct dict *dict, uint64_t index)
{
    struct dict_node *node = dict->tables[0].buckets[index];
    while (node) {
        struct dict_node *next = node->next;
        struct dict_node **bucket = bucket_of(&dict->tables[1], node->hash);
        node->next = *bucket;
        *bucket = node;
        node = next;
    }
    dict->tables[0].buckets[index] = NULL;
}

/* Gives the kernel back what has been emptied of the first array. */
static void return_pages(struct dict *dict)
{
    uint64_t emptied = array_bytes(dict->moved) / RETURN_BYTES * RETURN_BYTES;
    if (array_bytes(dict->tables[0].size) < MAP_BYTES || emptied == dict->returned) return;
    unmap(dict->tables[0].buckets, dict->returned, emptied);
    dict->returned = emptied;
}

bool dict_rehash(struct dict *dict, unsigned bucket_max)
{
    if (!dict_is_rehashing(dict)) return false;
    for (unsigned i = 0; i < bucket_max && dict->moved < dict->tables[0].size; i++) {
        move_bucket(dict, dict->moved);
        dict->moved++;
        return_pages(dict);
    }
    if (dict->moved < dict->tables[0].size) return true;
    array_destroy(&dict->tables[0], dict->returned);
    dict->tables[0] = dict->tables[1];
    dict->tables[1] = (struct dict_table){ 0 };
    dict->moved = 0;
    dict->returned = 0;
    resize_if_due(dict);
    return dict_is_rehashing(dict);
}

static void rehash_a_little(struct dict *dict)
{
    bool is_growing = dict->tables[1].size > dict->tables[0].size;
    if (dict_is_rehashing(dict))
        (void)dict_rehash(dict, is_growing ? GROW_STEP : SHRINK_STEP);
    else
        resize_if_due(dict);
}

int dict_add(struct dict *dict, struct dict_node *node)
{
    struct dict_node **bucket;
    if (!dict->tables[0].buckets) {
        dict->tables[0].buckets = array_create(BUCKETS_MIN);
        if (!dict->tables[0].buckets) return -ENOMEM;
        dict->tables[0].size = BUCKETS_MIN;
    }
    dict->count++;
    rehash_a_little(dict);
    bucket = bucket_of(&dict->tables[dict_is_rehashing(dict) ? 1 : 0], node->hash);
    node->next = *bucket;
    *bucket = node;
    return 0;
}

static bool unlink_from(struct dict_node **bucket, struct dict_node *node)
{
    while (*bucket && *bucket != node)
        bucket = &(*bucket)->next;
    if (!*bucket) return false;
    *bucket = node->next;
    node->next = NULL;
    return true;
}

void dict_remove(struct dict *dict, struct dict_node *node)
{
    bool was_there = false;
    assert(dict->count > 0);
    if (!is_moved(dict, node->hash))
        was_there = unlink_from(bucket_of(&dict->tables[0], node->hash), node);
    if (!was_there && dict_is_rehashing(dict))
        was_there = unlink_from(bucket_of(&dict->tables[1], node->hash), node);
    assert(was_there);
    dict->count--;
    rehash_a_little(dict);
}

/* ---- choosing and scanning ---- */

static struct dict_node *first_of_bucket(const struct dict *dict, uint64_t index)
{
    if (index < dict->tables[0].size) return dict->tables[0].buckets[index];
    return dict->tables[1].buckets[index - dict->tables[0].size];
}

struct dict_node *dict_random(const struct dict *dict, struct random *random)
{
    /* Buckets of both tables in one row, without those that have moved. */
    uint64_t begin = dict->moved, end = dict->tables[0].size + dict->tables[1].size;
    uint64_t index, chain = 0;
    struct dict_node *first = NULL, *node;

    if (dict->count == 0) return NULL;
    index = begin + random_below(random, end - begin);
    first = first_of_bucket(dict, index);
    for (int tries = 0; !first && tries < RANDOM_TRIES; tries++) {
        index = begin + random_below(random, end - begin);
        first = first_of_bucket(dict, index);
    }
    while (!first) { /* hardly anything is there: the next bucket that has something */
        index = index + 1 < end ? index + 1 : begin;
        first = first_of_bucket(dict, index);
    }
    for (node = first; node; node = node->next)
        chain++;
    node = first;
    for (chain = random_below(random, chain); chain > 0 && node->next; chain--)
        node = node->next;
    return node;
}

static uint64_t reversed(uint64_t v)
{
    v = (v >> 1 & 0x5555555555555555u) | (v & 0x5555555555555555u) << 1;
    v = (v >> 2 & 0x3333333333333333u) | (v & 0x3333333333333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0fu) | (v & 0x0f0f0f0f0f0f0f0fu) << 4;
    return __builtin_bswap64(v);
}

/* Counts from the highest bit of mask down: cursors that agree in their low bits, which are the
 * buckets that one bucket of a smaller table falls into, follow each other. So whatever size the
 * table has at the next call, what lies before the cursor has been visited. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
    return reversed(reversed(cursor | ~mask) + 1);
}

static void scan_bucket(const struct dict *dict, int t, uint64_t index,
                        void (*each)(void *context, struct dict_node *node), void *context)
{
    if (t == 0 && index < dict->moved) return;
    for (struct dict_node *node = dict->tables[t].buckets[index], *next; node; node = next) {
        next = node->next;
        each(context, node);
    }
}

uint64_t dict_scan(const struct dict *dict, uint64_t cursor,
                   void (*each)(void *context, struct dict_node *node), void *context)
{
    int small = 0, large = 1;
    uint64_t small_mask, large_mask;

    if (dict->count == 0) return 0;
    if (!dict_is_rehashing(dict)) {
        small_mask = dict->tables[0].size - 1;
        scan_bucket(dict, 0, cursor & small_mask, each, context);
        return next_cursor(cursor, small_mask);
    }
    if (dict->tables[0].size > dict->tables[1].size) {
        small = 1;
        large = 0;
    }
    small_mask = dict->tables[small].size - 1;
    large_mask = dict->tables[large].size - 1;
    scan_bucket(dict, small, cursor & small_mask, each, context);
    do { /* all buckets of the larger table that the smaller one's bucket becomes */
        scan_bucket(dict, large, cursor & large_mask, each, context);
        cursor = next_cursor(cursor, large_mask);
    } while (cursor & (small_mask ^ large_mask));
    return cursor;
}

/* ---- taking all out ---- */

bool dict_drain(struct dict *dict, uint64_t step_max,
                void (*each)(void *context, struct dict_node *node), void *context)
{
    for (uint64_t steps = 0; dict->count > 0 && steps < step_max; steps++) {
        struct dict_table *table = &dict->tables[0];
        struct dict_node *node;
        if (dict->moved == table->size) {
            array_destroy(table, dict->returned);
            *table = dict->tables[1];
            dict->tables[1] = (struct dict_table){ 0 };
            dict->moved = 0;
            dict->returned = 0;
        }
        assert(table->buckets);
        node = table->buckets[dict->moved];
        if (!node) {
            dict->moved++;
            return_pages(dict);
            continue;
        }
        table->buckets[dict->moved] = node->next;
        node->next = NULL;
        dict->count--;
        each(context, node);
    }
    return dict->count > 0;
}

static uint64_t table_memory_bytes(const struct dict_table *table)
{
    uint64_t bytes = array_bytes(table->size);
    if (!table->buckets) return 0;
    return bytes < MAP_BYTES ? alloc_size(bytes) : bytes;
}

uint64_t dict_memory_bytes(const struct dict *dict)
{
    return table_memory_bytes(&dict->tables[0]) - dict->returned +
           table_memory_bytes(&dict->tables[1]);
}

void dict_check(const struct dict *dict)
{
    uint64_t count = 0;
    for (int t = 0; t < 2; t++) {
        const struct dict_table *table = &dict->tables[t];
        assert((table->buckets != NULL) == (table->size != 0));
        assert((table->size & (table->size - 1)) == 0);
        for (uint64_t i = t == 0 ? dict->moved : 0; i < table->size; i++) {
            for (struct dict_node *node = table->buckets[i]; node; node = node->next) {
                struct slice name = dict_name(dict, node);
                count++;
                assert((node->hash & (table->size - 1)) == i);
                assert(node->hash == dict_hash(dict, name));
                assert(dict_find(dict, name, node->hash) == node);
            }
        }
    }
    assert(count == dict->count);
    assert(dict_is_rehashing(dict) || dict->moved == 0);
    assert(dict->returned <= array_bytes(dict->moved));
}
