/* With n buckets, 2^k <= n < 2^(k+1), a hash belongs to its low k+1 bits, or, where there is no
 * such bucket yet, to its low k bits. So bucket n, when it comes, gets its own from bucket n - 2^k.
 */
#include "modules/stream/hash_table.h"

#include "modules/base/alloc_size.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static uint32_t half_of(uint32_t bucket_count)
{
    return 1u << (31 - __builtin_clz(bucket_count));
}

static struct hash_link **bucket_at(const struct hash_table *table, uint32_t index)
{
    return &table->segments[index / HASH_SEGMENT_BUCKETS][index % HASH_SEGMENT_BUCKETS];
}

static struct hash_link **bucket_of(const struct hash_table *table, uint64_t hash)
{
    uint32_t half = half_of(table->bucket_count);
    uint32_t index = (uint32_t)hash & (2 * half - 1);

    return bucket_at(table, index < table->bucket_count ? index : index - half);
}

/* ---- buckets ---- */

/* Room for one bucket more: the first segment grows by doubling, then come whole ones. */
static int make_room(struct hash_table *table)
{
    struct hash_link **segment;
    uint32_t room = table->segment_count == 0 ? HASH_BUCKETS_MIN : 2 * table->first_room;

    if (table->segment_count == table->segment_capacity) {
        uint32_t capacity = table->segment_capacity ? 2 * table->segment_capacity : 1;
        struct hash_link ***segments =
            realloc((void *)table->segments, capacity * sizeof(struct hash_link **));
        if (!segments) return -ENOMEM;
        table->segments = segments;
        table->segment_capacity = capacity;
    }
    if (room > HASH_SEGMENT_BUCKETS) {
        segment = malloc(HASH_SEGMENT_BUCKETS * sizeof(*segment));
        if (!segment) return -ENOMEM;
        table->segments[table->segment_count++] = segment;
        return 0;
    }
    segment = realloc((void *)(table->segment_count ? table->segments[0] : NULL),
                      room * sizeof(*segment));
    if (!segment) return -ENOMEM;
    table->segments[0] = segment;
    table->segment_count = 1;
    table->first_room = room;
    return 0;
}

static bool has_room(const struct hash_table *table)
{
    if (table->segment_count <= 1) return table->bucket_count < table->first_room;
    return table->bucket_count < table->segment_count * HASH_SEGMENT_BUCKETS;
}

static int add_bucket(struct hash_table *table)
{
    uint32_t index = table->bucket_count;
    struct hash_link **from, **to;

    if (index == UINT32_MAX / 2) return 0;
    if (!has_room(table) && make_room(table) < 0) return -ENOMEM;
    to = bucket_at(table, index);
    *to = NULL;
    table->bucket_count++;
    if (index == 0) return 0;
    from = bucket_at(table, index - half_of(index));
    while (*from) {
        struct hash_link *link = *from;

        if (bucket_of(table, link->hash) != to) {
            from = &link->next;
            continue;
        }
        *from = link->next;
        link->next = *to;
        *to = link;
    }
    return 0;
}

static void remove_bucket(struct hash_table *table)
{
    uint32_t index = --table->bucket_count;
    struct hash_link **last = bucket_at(table, index);
    struct hash_link **to = bucket_at(table, index - half_of(index));

    while (*to)
        to = &(*to)->next;
    *to = *last;
    if (index % HASH_SEGMENT_BUCKETS == 0) free((void *)table->segments[--table->segment_count]);
}

void hash_table_finish(struct hash_table *table)
{
    for (uint32_t i = 0; i < table->segment_count; i++)
        free((void *)table->segments[i]);
    free((void *)table->segments);
    *table = (struct hash_table){ 0 };
}

size_t hash_table_memory_bytes(const struct hash_table *table)
{
    size_t bytes = table->segments ? alloc_size(table->segment_capacity * sizeof(void *)) : 0;

    if (table->segment_count == 0) return bytes;
    return bytes + alloc_size(table->first_room * sizeof(void *)) +
           (table->segment_count - 1) * alloc_size(HASH_SEGMENT_BUCKETS * sizeof(void *));
}

/* ---- links ---- */

struct hash_link *hash_table_next(const struct hash_link *link)
{
    struct hash_link *next = link->next;

    while (next && next->hash != link->hash)
        next = next->next;
    return next;
}

struct hash_link *hash_table_first(const struct hash_table *table, uint64_t hash)
{
    struct hash_link *link;

    if (table->bucket_count == 0) return NULL;
    link = *bucket_of(table, hash);
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

int hash_table_add(struct hash_table *table, struct hash_link *link)
{
    struct hash_link **bucket;

    while (table->bucket_count < HASH_BUCKETS_MIN)
        if (add_bucket(table) < 0) return -ENOMEM;
    if (table->count >= table->bucket_count) (void)add_bucket(table); /* else chains are longer */
    bucket = bucket_of(table, link->hash);
    link->next = *bucket;
    *bucket = link;
    table->count++;
    return 0;
}

void hash_table_remove(struct hash_table *table, struct hash_link *link)
{
    struct hash_link **at = bucket_of(table, link->hash);

    while (*at != link) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
    /* Two go for each, so that buckets keep up with a table that empties. */
    for (int i = 0; i < 2; i++)
        if (table->bucket_count > HASH_BUCKETS_MIN && table->count < table->bucket_count / 2)
            remove_bucket(table);
}
