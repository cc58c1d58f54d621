/* extent_map.h - in which places of a spill file extents have been met, so that two in one place
 * are found out.
 *
 * A bit a block of the file; 72 bytes more for a block that extents share. One thread. */
#ifndef MODULES_SPILL_EXTENT_MAP_H
#define MODULES_SPILL_EXTENT_MAP_H
#include <stdbool.h>
#include <stdint.h>

struct extent_map;
struct spill_ref;

/* For a file of so many blocks. -ENOMEM. */
int extent_map_create(uint64_t block_count, struct extent_map **out_map);
void extent_map_destroy(struct extent_map *map); /* accepts NULL */
/* The extent must lie within the file (asserted), as spill_file_may_hold has it. 1: it is alone
 * there so far. 0: something was met in a part of it, and nothing has changed. -ENOMEM. */
int extent_map_add(struct extent_map *map, const struct spill_ref *ref);
/* Whether an extent, or a part of one, was met in that block. */
bool extent_map_has(const struct extent_map *map, uint64_t block);
#endif
