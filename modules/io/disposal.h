/* disposal.h - large heap blocks are freed by an I/O thread.
 *
 * The allocator gives the pages of a large block back to the kernel at once, which takes it
 * milliseconds for a hundred megabytes: time of whoever calls free(). Blocks on their way still
 * are memory of the process: who bounds that counts them. io's owner's thread only. */
#ifndef MODULES_IO_DISPOSAL_H
#define MODULES_IO_DISPOSAL_H
#include <stddef.h>
#include <stdint.h>

struct disposal;
struct io;

enum { DISPOSAL_BYTES_MIN = 4 << 20 }; /* smaller ones are freed sooner than handed over */

/* io must outlive all calls but disposal_destroy. -ENOMEM. */
int disposal_create(struct io *io, struct disposal **out_disposal);
/* Accepts NULL. io has been destroyed, so nothing is under way. */
void disposal_destroy(struct disposal *disposal);
/* Frees block, which came from malloc, of so many bytes: at once when it is small, or when it and
 * those on their way are more than pending_max. Accepts NULL. */
void disposal_free(struct disposal *disposal, void *block, size_t bytes, uint64_t pending_max);
/* On their way. */
uint64_t disposal_pending_bytes(const struct disposal *disposal);
#endif
