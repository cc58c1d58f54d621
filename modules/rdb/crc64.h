/* crc64.h - the checksum at the end of an RDB file: CRC-64 as Redis computes it (Jones's
 * polynomial, reflected, begun with 0). crc64(0, "123456789") is 0xe9c6d914c4b8d9ca.
 *
 * Pure function; any thread. */
#ifndef MODULES_RDB_CRC64_H
#define MODULES_RDB_CRC64_H
#include <stddef.h>
#include <stdint.h>

/* Goes on with crc over further bytes. */
uint64_t crc64(uint64_t crc, const void *bytes, size_t size);
#endif
