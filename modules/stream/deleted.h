/* deleted.h - which entries of a stream are deleted: bits by ordinal.
 *
 * Ordinals are cut into leaves of DELETED_LEAF_BITS. A leaf has words up to the last one that was
 * ever needed, so what a few deletions in a short stream take is a few words; a leaf without any
 * has none. What lies before a stream's start is forgotten. The words are shared with snapshots,
 * and copied before they change.
 *
 *   leaves  [first] [first + 1] …        each: how many are deleted, and the bits if any are
 *
 * A NULL pointer is a set with nothing in it, here and where it is kept. One thread. */
#ifndef MODULES_STREAM_DELETED_H
#define MODULES_STREAM_DELETED_H
#include "modules/base/slice.h"

struct deleted;

enum { DELETED_LEAF_BITS = 4096 };

/* It was not deleted yet, and is not below what was dropped. *deleted is made when it is NULL.
 * -ENOMEM: nothing has changed. */
int deleted_add(struct deleted **deleted, uint64_t ordinal);
/* Those below ordinal are forgotten, and nobody asks for such any more; the set itself, *deleted,
 * when nothing is left of it. Never fails. */
void deleted_drop_below(struct deleted **deleted, uint64_t ordinal);
/* The set as it is now, for asking only; it shares the bits until they change. NULL of NULL.
 * -ENOMEM. */
int deleted_snapshot(const struct deleted *deleted, struct deleted **out_snapshot);
/* Accepts NULL. */
void deleted_destroy(struct deleted *deleted);

bool deleted_has(const struct deleted *deleted, uint64_t ordinal);
/* How many there are in all; between first and end (not itself). */
uint64_t deleted_count(const struct deleted *deleted);
uint64_t deleted_count_between(const struct deleted *deleted, uint64_t first, uint64_t end);
/* The first ordinal that is not deleted, not less than that one; the last one that is not greater,
 * or 0. */
uint64_t deleted_next_live(const struct deleted *deleted, uint64_t ordinal);
uint64_t deleted_previous_live(const struct deleted *deleted, uint64_t ordinal);
/* The first one from first on that is not deleted and has so many of these before it. */
uint64_t deleted_select_live(const struct deleted *deleted, uint64_t first, uint64_t count);

/* What it takes of the heap, though it may share that with others. O(1). */
uint64_t deleted_memory_bytes(const struct deleted *deleted);

/* An image, little-endian: for each leaf with bits
 *
 *   +------------+---------+------------+-----------------+
 *   | u64 number | u32 bits | u32 words | u64 word …        |
 *   +------------+---------+------------+-----------------+
 *
 * number: that of its ordinals divided by DELETED_LEAF_BITS; ascending. Size first: it is exact. */
uint64_t deleted_image_size(const struct deleted *deleted);
void deleted_image_write(const struct deleted *deleted,
                         void (*put)(void *context, struct slice piece), void *context);
/* Deleted ordinals must lie from first on, before end. -EBADMSG: it is no such image. -ENOMEM. */
int deleted_image_load(struct slice image, uint64_t first, uint64_t end,
                       struct deleted **out_deleted);
/* Asserts what must hold; for tests. */
void deleted_check(const struct deleted *deleted);
#endif
