/* checkpoint_copy.h - a checkpoint file copied, as one that no log goes on from.
 *
 * Its position in the log becomes 0, and as checksums are seeded with the head's, each block is
 * verified and sealed anew. Calls wait for the disk. Memory: one block. */
#ifndef SERVER_DURABILITY_CHECKPOINT_COPY_H
#define SERVER_DURABILITY_CHECKPOINT_COPY_H
#include "server/durability/checkpoint_format.h"

struct checkpoint_copy;
struct os;

/* Copies the head. The descriptors stay the caller's. 0; -EBADMSG: from_fd has no such head, or of
 * another number; -ENOMEM, or an error of the file system. */
int checkpoint_copy_begin(struct os *os, int from_fd, int to_fd, uint64_t number,
                          struct checkpoint_copy **out_copy);
/* Copies blocks of about so many bytes. 1: there are more. 0: that was the last one. -EBADMSG: the
 * file is damaged. */
int checkpoint_copy_step(struct checkpoint_copy *copy, uint64_t bytes_max);
void checkpoint_copy_end(struct checkpoint_copy *copy); /* accepts NULL */
#endif
