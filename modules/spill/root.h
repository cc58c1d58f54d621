/* root.h - what leads to a list, or to a tree of nobody, in a spill file: as bytes.
 *
 *   0          1      2        4        8
 *   +----------+------+--------+--------+--------------------------------------------------+
 *   | version  | kind | count  | crc32c | kind 0: count elements, packed (chunk.h)         |
 *   +----------+------+--------+--------+ kind 1: u64 list, count parts of 56 bytes        |
 *                                       +--------------------------------------------------+
 *   part: u8 place (of the five, from the head on), u8 height, u16 0, u32 size, u64 position, u32
 *   crc32c, u32 chunks, u64 generation, u64 elements, u64 bytes, u64 bytes on disk
 *
 * Little-endian; the checksum is of the bytes before it and after it. One thread. */
#ifndef MODULES_SPILL_ROOT_H
#define MODULES_SPILL_ROOT_H
#include "modules/spill/deque_internal.h"

enum {
    ROOT_VERSION = 1,
    ROOT_HEADER_BYTES = 8,
    ROOT_PART_BYTES = 56,
    ROOT_RUN_BYTES_MAX = 256 /* of a list that is saved as its elements */
};

/* A root of packed elements; of parts (NULL: not there), all of which are on disk. The bytes. */
uint32_t root_write_run(struct slice run, uint64_t element_count, uint8_t *root);
uint32_t root_write_parts(struct block *const parts[PARTS_MAX], uint8_t *root);

/* One block on disk with all that is below. */
void root_write_part(const struct block *block, unsigned place, uint8_t part[ROOT_PART_BYTES]);
/* Checks it against the store's file and makes a descriptor of it, whose chunks count from now on.
 * -EBADMSG, -ENOMEM. */
int root_read_part(struct spill_store *store, uint64_t list, const uint8_t part[ROOT_PART_BYTES],
                   unsigned *out_place, struct block **out_block);

/* Destroys a deque that was loaded and has not changed, for who only looks: its extents stay the
 * file's. */
void root_forget(struct spill_deque *handle);
#endif
