/* copy.h - the journals that the last complete checkpoint refers to, copied to another directory:
 * for backups.
 *
 *   create   what it refers to is noted, and stays until destroy
 *   step     on any thread, one at a time: a piece of it, until 0. What is copied is on the device
 *   discard  on any thread: nothing of it stays
 *
 * A copied journal ends where the checkpoint saw it end, or later: loading its image sets it back.
 * Indexes are not copied; they are made anew. */
#ifndef MODULES_STREAM_COPY_H
#define MODULES_STREAM_COPY_H
#include <stdint.h>

struct os;
struct stream_copy;
struct stream_store;

/* On the store's thread. target is the directory to be, which will exist when steps are made.
 * Steps read through their own os. -ENOMEM. */
int stream_copy_create(struct stream_store *store, const char *target,
                       struct stream_copy **out_copy);
/* On the store's thread; no step is being made. Accepts NULL. */
void stream_copy_destroy(struct stream_copy *copy);
/* What there is to be copied, about. */
uint64_t stream_copy_total_bytes(const struct stream_copy *copy);
/* Copies about so many bytes more: 1, and *out_bytes is how many it were. 0: that was all. Waits
 * for the disk. -ENOSPC, -EIO, … */
int stream_copy_step(struct stream_copy *copy, struct os *os, uint64_t bytes_max,
                     uint64_t *out_bytes);
/* Removes what steps have made. 0 also if nothing is there. Waits for the disk. */
int stream_copy_discard(struct stream_copy *copy, struct os *os);
#endif
