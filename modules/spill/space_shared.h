/* space_shared.h - how many extents live in each shared block of a region.
 *
 * A hash table with open addressing while few blocks are shared, and a byte for each block of the
 * region when that is the smaller one: at most 32 KiB, so that growing and copying it is short.
 * Blocks with a single extent have no entry: whoever frees an extent knows from its size that it
 * lies in a shared block, and "no entry" then means that it was the last.
 *
 * One thread; used by space*.c only. */
#ifndef MODULES_SPILL_SPACE_SHARED_H
#define MODULES_SPILL_SPACE_SHARED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct spill_shared {
    uint32_t *slots; /* count << 16 | block, 0: free; the capacity is a power of two */
    uint8_t *counts; /* instead: of each block, 0: no entry; then the capacity is 0 */
    uint32_t capacity, entry_count;
};

void spill_shared_finish(struct spill_shared *shared);
/* block below SPILL_REGION_BLOCKS, without an entry; count 2 to 255. 0 or -ENOMEM. */
int spill_shared_add(struct spill_shared *shared, uint32_t block, unsigned count);
/* Takes one from block's count and returns what is left. Without an entry that is 0; at 1 the entry
 * goes. */
unsigned spill_shared_drop(struct spill_shared *shared, uint32_t block);
/* One more; without an entry there was one. -ENOMEM. */
int spill_shared_raise(struct spill_shared *shared, uint32_t block);
/* An equal table in an empty one. -ENOMEM. */
int spill_shared_copy(struct spill_shared *to, const struct spill_shared *from);
/* 1 without an entry. */
unsigned spill_shared_count(const struct spill_shared *shared, uint32_t block);
/* The entries, in any order: *cursor starts at 0. False: there are no more. */
bool spill_shared_next(const struct spill_shared *shared, uint32_t *cursor, uint32_t *out_block,
                       unsigned *out_count);
size_t spill_shared_memory_bytes(const struct spill_shared *shared);
#endif
