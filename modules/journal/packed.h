/* packed.h - a segment that has ended, in blocks that are compressed, encrypted, or both.
 *
 * In a file N.pak, little-endian:
 *
 *   0      128                  128 + 8 * block_count
 *   +--------+------- - - ------+---------+---------+- - - +---------+
 *   | header | table            | block 0 | block 1 |      | block n |
 *   +--------+------- - - ------+---------+---------+- - - +---------+
 *
 * The blocks hold the plain file from its first byte to its END, JOURNAL_PACKED_BLOCK_BYTES a block
 * but for the last, so that whatever offset is looked for is found in one of them. The table has
 * two words for each: the bytes that it takes, and their crc32c, seeded with the segment's seed and
 * the block's number. A block that did not get smaller is stored as it is, which its size tells.
 *
 * The header:
 *
 *   0       4         8         16       24           32         36      40       48
 *   +-------+---------+---------+--------+------------+----------+-------+--------+-----------+
 *   | magic | version | journal | number | created_ms | capacity | codec | synced | raw_bytes |
 *   +-------+---------+---------+--------+------------+----------+-------+--------+-----------+
 *   52      56        60          64     80      124      128
 *   +-------+---------+-----------+------+-------+--------+
 *   | flags | note    | table_crc | salt | zeros | crc32c |
 *   +-------+---------+-----------+------+-------+--------+
 *
 * note: not 0 when frames were dropped (drop.h), and then what who did it wants to remember.
 *
 * With the flag 1 blocks are encrypted after they were compressed, which makes them longer by
 * JOURNAL_TAG_BYTES (cipher.h); the header up to and with the salt, table_crc left out, is
 * authenticated with each.
 *
 * The file gets its name when it is whole and on the device, so what does not fit is damage. Every
 * frame in it still has its own checksum.
 *
 * Functions wait for the disk. */
#ifndef MODULES_JOURNAL_PACKED_H
#define MODULES_JOURNAL_PACKED_H
#include "modules/journal/cipher.h"
#include "modules/journal/format.h"
#include "modules/journal/places.h"

struct os;
struct journal_packed;

enum {
    JOURNAL_PACKED_BLOCK_BYTES = 64 << 10,
    JOURNAL_PACKED_HEADER_BYTES = 128,
    JOURNAL_PACKED_ENTRY_BYTES = 8,
};

struct journal_packed_header {
    struct journal_segment_header segment; /* of the plain file */
    uint32_t raw_bytes;                    /* of the plain file up to and with its END */
    uint32_t table_crc;
    uint32_t note;
    enum journal_codec codec;
    bool is_encrypted;
    uint8_t salt[JOURNAL_SALT_BYTES];
};

static inline uint32_t journal_packed_block_count(uint32_t raw_bytes)
{
    return (raw_bytes + JOURNAL_PACKED_BLOCK_BYTES - 1) / JOURNAL_PACKED_BLOCK_BYTES;
}

/* The plain bytes of a block. */
static inline uint32_t journal_packed_block_bytes(uint32_t raw_bytes, uint32_t block)
{
    uint32_t begin = block * (uint32_t)JOURNAL_PACKED_BLOCK_BYTES;
    uint32_t left = raw_bytes - begin;

    return left < JOURNAL_PACKED_BLOCK_BYTES ? left : (uint32_t)JOURNAL_PACKED_BLOCK_BYTES;
}

/* Where block 0 begins. */
static inline uint64_t journal_packed_start(uint32_t raw_bytes)
{
    return JOURNAL_PACKED_HEADER_BYTES +
           (uint64_t)journal_packed_block_count(raw_bytes) * JOURNAL_PACKED_ENTRY_BYTES;
}

void journal_packed_header_store(uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES],
                                 const struct journal_packed_header *header);
/* 0, -EBADMSG or -EPROTONOSUPPORT. */
int journal_packed_header_load(const uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES],
                               struct journal_packed_header *out_header);
/* What is authenticated with each block. */
enum { JOURNAL_PACKED_BESIDE_BYTES = 80 };
void journal_packed_beside(uint8_t bytes[JOURNAL_PACKED_BESIDE_BYTES],
                           const struct journal_packed_header *header);
/* The checksum of a block as it is stored. */
uint32_t journal_packed_block_crc(uint32_t seed, uint32_t block, struct slice stored);

/* Takes the descriptor of a file that should be that segment of the journal, whose key is places';
 * on error it stays the caller's. -EBADMSG: it is not, or is damaged. -EPROTONOSUPPORT. -ENOKEY and
 * -EKEYREJECTED: it is encrypted, and there is no key. -ENOMEM, -EIO. */
int journal_packed_open(struct os *os, int fd, const struct journal_places *places, uint64_t number,
                        struct journal_packed **out_packed);
void journal_packed_close(struct os *os, struct journal_packed *packed); /* accepts NULL */
uint64_t journal_packed_file_bytes(const struct journal_packed *packed);
/* What it takes of the heap, with the blocks that are unpacked. */
uint64_t journal_packed_memory_bytes(const struct journal_packed *packed);
const struct journal_packed_header *journal_packed_header_of(const struct journal_packed *packed);
/* Reads the plain bytes [offset, offset + size), which lie below raw_bytes. The block that was read
 * last is kept. -EBADMSG: a block is damaged. */
int journal_packed_read(struct os *os, struct journal_packed *packed, uint8_t *bytes, size_t size,
                        uint64_t offset);
#endif
