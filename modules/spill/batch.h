/* batch.h - blocks on their way to disk, many in one write.
 *
 * A batch holds a reference to each of its blocks, so that whoever changes one meanwhile copies it
 * first and the bytes under the writing thread stay as they are (spill I1). When the write has
 * ended, what nobody holds any more gives its extent back at once; the rest is dropped from memory
 * unless somebody has used it meanwhile. A failed write leaves all as it was.
 *
 * One thread. */
#ifndef MODULES_SPILL_BATCH_H
#define MODULES_SPILL_BATCH_H
#include "modules/spill/block.h"

enum { BATCH_BLOCKS_MAX = 256 };

struct batch;

/* To drop the blocks from memory, or only to have them on disk (for a checkpoint). */
enum batch_for { BATCH_EVICT, BATCH_SAVE };
/* NULL: out of memory. */
struct batch *batch_create(struct spill_store *store, enum batch_for purpose);
/* Whether the block may be dropped from memory now: nobody is at it, and of a node no child is
 * needed in memory. */
bool block_can_unload(const struct block *block);
/* Adds a dirty block that can be unloaded, or that is to be saved. Of a node all children are on
 * disk. False: the batch is full, or out of memory. */
bool batch_add(struct batch *batch, struct block *block);
uint64_t batch_bytes(const struct batch *batch);   /* of memory that will be freed */
uint64_t batch_payload(const struct batch *batch); /* bytes that will be written */
/* A checkpoint is about to begin: of nodes that are written for nobody any more, what is below goes
 * now, before its picture. */
void batches_leave_picture(struct spill_store *store);
/* Adds change to the references of all that is being written. */
void batches_count(const struct spill_store *store, int change);
/* Starts the write; the batch frees itself. An empty one is only freed. */
void batch_start(struct batch *batch);
#endif
