/* hash_table.h - things found by a hash: links that lie inside them, in buckets.
 *
 * It grows and shrinks a bucket at a time (linear hashing), so that no call is long however many
 * there are; the buckets lie in segments. One thread. */
#ifndef MODULES_STREAM_HASH_TABLE_H
#define MODULES_STREAM_HASH_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_SEGMENT_BUCKETS = 256, HASH_BUCKETS_MIN = 4 };

struct hash_link {
    struct hash_link *next; /* in its bucket */
    uint64_t hash;
};

struct hash_table {
    struct hash_link ***segments; /* each of HASH_SEGMENT_BUCKETS; the only one may be smaller */
    uint32_t segment_count, segment_capacity;
    uint32_t first_room;   /* buckets of the first segment; with others, HASH_SEGMENT_BUCKETS */
    uint32_t bucket_count; /* 0, or at least HASH_BUCKETS_MIN */
    uint64_t count;
};

/* A zeroed one is empty and needs no memory. Frees its own; what was in it is not touched. */
void hash_table_finish(struct hash_table *table);
/* The first that may have that hash; go on with hash_table_next. NULL: there is none. */
struct hash_link *hash_table_first(const struct hash_table *table, uint64_t hash);
struct hash_link *hash_table_next(const struct hash_link *link);
/* link->hash is set. -ENOMEM: only where there was none yet; else it grows when there is memory. */
int hash_table_add(struct hash_table *table, struct hash_link *link);
void hash_table_remove(struct hash_table *table, struct hash_link *link);
size_t hash_table_memory_bytes(const struct hash_table *table);
#endif
