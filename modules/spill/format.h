/* format.h - how an extent lies in the spill file.
 *
 * Little-endian, from a 4 KiB boundary on, or, when several fit into a block, from a multiple of 8:
 *
 *   0        4        8        12       16       24           32                 32+size
 *   +--------+--------+--------+--------+--------+------------+------------------+- - - - +
 *   | magic  | crc32c | size   | count  | list   | generation | payload          | zeros  |
 *   +--------+--------+--------+--------+--------+------------+------------------+- - - - +
 *                     |<------------------ covered by crc32c ------------------->|
 *
 * magic is "Slx" and the kind of the extent. Nothing in it is believed: every field is compared
 * with what the reference that led here says (magic: kind; crc32c, size, count, list, generation),
 * so that damage, a misdirected write and a stale block of another life are all found out.
 *
 * Pure functions; any thread. */
#ifndef MODULES_SPILL_FORMAT_H
#define MODULES_SPILL_FORMAT_H
#include "modules/base/slice.h"
#include "modules/spill/file.h"

enum {
    SPILL_HEADER_BYTES = 32,
    SPILL_SHARED_BYTES_MAX = SPILL_BLOCK_BYTES / 2, /* extents up to this size share a block */
    SPILL_SHARED_ALIGN = 8
};

/* What the extent of a payload takes: a multiple of SPILL_SHARED_ALIGN when it shares a block, else
 * whole blocks. */
uint64_t spill_extent_bytes(uint32_t payload_bytes);
bool spill_extent_is_shared(uint32_t payload_bytes);

/* Fills a header for that payload and returns its crc32c. identity.kind is below 256, the payload
 * shorter than 4 GiB. */
uint32_t spill_header_encode(uint8_t header[SPILL_HEADER_BYTES], struct slice payload,
                             const struct spill_identity *identity);

/* Where the checksum begins in a header, and whether a header is that of the write that ref came
 * of: for who does not know what the extent is of. */
enum { SPILL_HEADER_CRC_FROM = 8 };
bool spill_header_is_of(const uint8_t header[SPILL_HEADER_BYTES], const struct spill_ref *ref);

/* Compares all that a header says with what is expected of it: 0 or -EBADMSG. It does not look at
 * the payload: for extents that are read in pieces. *out_crc32c is the checksum so far; when the
 * payload was added to it, it must be ref's. */
int spill_header_verify(const uint8_t header[SPILL_HEADER_BYTES], const struct spill_ref *ref,
                        const struct spill_identity *identity, uint32_t *out_crc32c);

/* extent is what was read from ref's position on, of any size and content. 0: it is what ref and
 * identity say, and *out_payload is a view of it. -EBADMSG: it is not. */
int spill_extent_verify(struct slice extent, const struct spill_ref *ref,
                        const struct spill_identity *identity, struct slice *out_payload);
#endif
