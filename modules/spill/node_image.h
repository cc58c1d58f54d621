/* node_image.h - a tree node as it lies on disk: its children's references and counts.
 *
 * Payload of an extent, little-endian, one entry a child:
 *   0           8         12       16           24         32        40          48        52
 *   +-----------+---------+--------+------------+----------+---------+-----------+---------+
 *   | position  | size    | crc32c | generation | elements | bytes   | footprint | chunks  |
 *   +-----------+---------+--------+------------+----------+---------+-----------+---------+
 * 64 of them are 3328 bytes: with the extent's header one block. List, height and number of entries
 * are in the extent's identity. What is read is checked again. */
#ifndef MODULES_SPILL_NODE_IMAGE_H
#define MODULES_SPILL_NODE_IMAGE_H
#include "modules/spill/block.h"

enum { NODE_ENTRY_BYTES = 52, NODE_IMAGE_BYTES_MAX = NODE_ENTRY_BYTES * NODE_CHILDREN_MAX };

/* What an extent of block says of itself. */
struct spill_identity block_identity(const struct block *block, uint64_t generation);
/* Footprint on disk of block and all below it. Of a node with an image it is known. */
uint64_t block_footprint(const struct block *block);

/* Writes the entries of a node whose children all are on disk; the number of bytes. */
uint32_t node_image_write(const struct block *node, uint8_t image[NODE_IMAGE_BYTES_MAX]);
/* Checks an image of node, which is on disk, and makes slots with descriptors of it. -EBADMSG,
 * -ENOMEM. The slots are the caller's, to give to block_adopt_bytes. */
int node_image_read(struct spill_store *store, const struct block *node, struct slice image,
                    struct slot **out_slots, unsigned *out_count);
#endif
