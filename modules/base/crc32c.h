/* crc32c.h - the checksum of everything we store: CRC-32C (Castagnoli), as in iSCSI and ext4.
 *
 * Pure functions; any thread. */
#ifndef MODULES_BASE_CRC32C_H
#define MODULES_BASE_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* seed 0 gives the standard checksum; seed with the checksum of what came before to go on:
 * crc32c(crc32c(0, a), b) is that of a followed by b. bytes may be NULL when size is 0. */
uint32_t crc32c(uint32_t seed, const void *bytes, size_t size);

/* The same without special instructions: what other machines run, and what tests compare with. */
uint32_t crc32c_portable(uint32_t seed, const void *bytes, size_t size);
#endif
