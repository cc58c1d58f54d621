#include "modules/journal/packed.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/journal/codec.h"

static const uint32_t packed_magic = 0x70726a53; /* "Sjrp" */

enum { CRC_OFFSET = JOURNAL_PACKED_HEADER_BYTES - 4, NO_BLOCK = -1 };
enum { FLAG_ENCRYPTED = 1 };

struct block {
    uint64_t offset; /* in the file */
    uint32_t stored_bytes, crc32c;
};

struct journal_packed {
    int fd;
    uint32_t seed;
    struct journal_packed_header header;
    uint64_t file_bytes;
    uint32_t block_count;
    struct journal_cipher *cipher;      /* NULL: it is not encrypted */
    int64_t block;                      /* that plain holds; NO_BLOCK */
    uint8_t *plain, *stored, *unsealed; /* a block each; NULL until one is read */
    struct block blocks[];
};

/* ---- the header -------------------------------------------------------------------------------
 */

void journal_packed_header_store(uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES],
                                 const struct journal_packed_header *header)
{
    memset(bytes, 0, JOURNAL_PACKED_HEADER_BYTES);
    store_u32le(bytes, packed_magic);
    store_u32le(bytes + 4, JOURNAL_VERSION);
    store_u64le(bytes + 8, header->segment.journal);
    store_u64le(bytes + 16, header->segment.number);
    store_u64le(bytes + 24, header->segment.created_ms);
    store_u32le(bytes + 32, header->segment.capacity);
    store_u32le(bytes + 36, header->codec);
    store_u64le(bytes + 40, header->segment.synced);
    store_u32le(bytes + 48, header->raw_bytes);
    store_u32le(bytes + 52, header->is_encrypted ? FLAG_ENCRYPTED : 0);
    store_u32le(bytes + 56, header->note);
    store_u32le(bytes + 60, header->table_crc);
    memcpy(bytes + 64, header->salt, JOURNAL_SALT_BYTES);
    store_u32le(bytes + CRC_OFFSET, crc32c(0, bytes, CRC_OFFSET));
}

int journal_packed_header_load(const uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES],
                               struct journal_packed_header *out_header)
{
    uint32_t codec = load_u32le(bytes + 36);

    if (load_u32le(bytes) != packed_magic) return -EBADMSG;
    if (load_u32le(bytes + 4) != JOURNAL_VERSION) return -EPROTONOSUPPORT;
    if (load_u32le(bytes + CRC_OFFSET) != crc32c(0, bytes, CRC_OFFSET)) return -EBADMSG;
    if (!journal_codec_is_known(codec)) return -EBADMSG;
    if ((load_u32le(bytes + 52) & ~(uint32_t)FLAG_ENCRYPTED) != 0) return -EBADMSG;
    *out_header = (struct journal_packed_header){
        .segment = { .journal = load_u64le(bytes + 8),
                     .number = load_u64le(bytes + 16),
                     .created_ms = load_u64le(bytes + 24),
                     .capacity = load_u32le(bytes + 32),
                     .synced = load_u64le(bytes + 40) },
        .raw_bytes = load_u32le(bytes + 48),
        .note = load_u32le(bytes + 56),
        .table_crc = load_u32le(bytes + 60),
        .codec = (enum journal_codec)codec,
        .is_encrypted = load_u32le(bytes + 52) == FLAG_ENCRYPTED,
    };
    memcpy(out_header->salt, bytes + 64, JOURNAL_SALT_BYTES);
    if (out_header->segment.capacity > JOURNAL_SEGMENT_BYTES_MAX ||
        out_header->raw_bytes > out_header->segment.capacity ||
        out_header->raw_bytes < JOURNAL_SEGMENT_HEADER_BYTES + JOURNAL_FRAME_HEADER_BYTES) {
        return -EBADMSG;
    }
    return 0;
}

void journal_packed_beside(uint8_t bytes[JOURNAL_PACKED_BESIDE_BYTES],
                           const struct journal_packed_header *header)
{
    struct journal_packed_header beside = *header;
    uint8_t all[JOURNAL_PACKED_HEADER_BYTES];

    beside.table_crc = 0; /* it is known only when all blocks are */
    journal_packed_header_store(all, &beside);
    memcpy(bytes, all, JOURNAL_PACKED_BESIDE_BYTES);
}

uint32_t journal_packed_block_crc(uint32_t seed, uint32_t block, struct slice stored)
{
    uint8_t number[4];

    store_u32le(number, block);
    return crc32c(crc32c(seed, number, sizeof(number)), stored.bytes, stored.size);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* What a block may take at most. */
static uint32_t stored_bytes_max(const struct journal_packed_header *header, uint32_t block)
{
    return journal_packed_block_bytes(header->raw_bytes, block) +
           (header->is_encrypted ? (uint32_t)JOURNAL_TAG_BYTES : 0);
}

static int load_blocks(struct journal_packed *packed, const uint8_t *table, uint64_t file_bytes)
{
    uint64_t offset = journal_packed_start(packed->header.raw_bytes);

    for (uint32_t i = 0; i < packed->block_count; i++) {
        struct block *block = &packed->blocks[i];
        *block = (struct block){
            .offset = offset,
            .stored_bytes = load_u32le(table + (size_t)i * JOURNAL_PACKED_ENTRY_BYTES),
            .crc32c = load_u32le(table + (size_t)i * JOURNAL_PACKED_ENTRY_BYTES + 4),
        };
        if (block->stored_bytes > stored_bytes_max(&packed->header, i)) return -EBADMSG;
        offset += block->stored_bytes;
    }
    return offset == file_bytes ? 0 : -EBADMSG;
}

static int load_table(struct os *os, struct journal_packed *packed, uint64_t file_bytes)
{
    size_t bytes = (size_t)packed->block_count * JOURNAL_PACKED_ENTRY_BYTES;
    uint8_t *table = malloc(bytes);
    int rc =
        table ? os_read_all(os, packed->fd, table, bytes, JOURNAL_PACKED_HEADER_BYTES) : -ENOMEM;

    if (rc == 0 && crc32c(packed->seed, table, bytes) != packed->header.table_crc) rc = -EBADMSG;
    if (rc == 0) rc = load_blocks(packed, table, file_bytes);
    free(table);
    return rc;
}

static int load_header(struct os *os, int fd, uint64_t journal, uint64_t number,
                       struct journal_packed_header *out_header, uint64_t *out_file_bytes)
{
    uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES];
    int rc = os->size(os, fd, out_file_bytes);

    if (rc < 0) return rc;
    if (*out_file_bytes < sizeof(bytes)) return -EBADMSG;
    rc = os_read_all(os, fd, bytes, sizeof(bytes), 0);
    if (rc < 0) return rc;
    rc = journal_packed_header_load(bytes, out_header);
    if (rc != 0) return rc;
    if (out_header->segment.journal != journal || out_header->segment.number != number) {
        return -EBADMSG;
    }
    return journal_packed_start(out_header->raw_bytes) <= *out_file_bytes ? 0 : -EBADMSG;
}

static int need_cipher(struct journal_packed *packed, const struct journal_places *places)
{
    const struct journal_packed_header *header = &packed->header;

    /* A journal has a key from its first day: nobody but an intruder leaves it out. */
    if (!header->is_encrypted) return places->key || places->key_error < 0 ? -EBADMSG : 0;
    if (!places->key) return places->key_error < 0 ? places->key_error : -EBADMSG;
    return journal_cipher_create(places->key, places->journal, header->segment.number, header->salt,
                                 &packed->cipher);
}

int journal_packed_open(struct os *os, int fd, const struct journal_places *places, uint64_t number,
                        struct journal_packed **out_packed)
{
    struct journal_packed_header header;
    struct journal_packed *packed;
    uint32_t block_count;
    uint64_t file_bytes;
    int rc = load_header(os, fd, places->journal, number, &header, &file_bytes);

    if (rc < 0) return rc;
    block_count = journal_packed_block_count(header.raw_bytes);
    packed = calloc(1, sizeof(*packed) + block_count * sizeof(packed->blocks[0]));
    if (!packed) return -ENOMEM;
    packed->fd = fd;
    packed->seed = journal_seed(places->journal, number);
    packed->header = header;
    packed->file_bytes = file_bytes;
    packed->block_count = block_count;
    packed->block = NO_BLOCK;
    rc = load_table(os, packed, file_bytes);
    if (rc == 0) rc = need_cipher(packed, places);
    if (rc < 0) {
        free(packed);
        return rc;
    }
    *out_packed = packed;
    return 0;
}

void journal_packed_close(struct os *os, struct journal_packed *packed)
{
    if (!packed) return;
    (void)os->close(os, packed->fd); /* read only */
    free(packed->plain);
    free(packed->stored);
    free(packed->unsealed);
    journal_cipher_destroy(packed->cipher);
    free(packed);
}

uint64_t journal_packed_file_bytes(const struct journal_packed *packed)
{
    return packed->file_bytes;
}

uint64_t journal_packed_memory_bytes(const struct journal_packed *packed)
{
    uint64_t bytes = sizeof(*packed) + packed->block_count * sizeof(packed->blocks[0]);

    if (packed->plain) bytes += JOURNAL_PACKED_BLOCK_BYTES;
    if (packed->stored) bytes += JOURNAL_PACKED_BLOCK_BYTES + JOURNAL_TAG_BYTES;
    if (packed->unsealed) bytes += JOURNAL_PACKED_BLOCK_BYTES;
    return bytes;
}

const struct journal_packed_header *journal_packed_header_of(const struct journal_packed *packed)
{
    return &packed->header;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int need_buffers(struct journal_packed *packed)
{
    if (!packed->plain) packed->plain = malloc(JOURNAL_PACKED_BLOCK_BYTES);
    if (!packed->stored) packed->stored = malloc(JOURNAL_PACKED_BLOCK_BYTES + JOURNAL_TAG_BYTES);
    if (packed->cipher && !packed->unsealed) packed->unsealed = malloc(JOURNAL_PACKED_BLOCK_BYTES);
    if (packed->cipher && !packed->unsealed) return -ENOMEM;
    return packed->plain && packed->stored ? 0 : -ENOMEM;
}

static int unseal(struct journal_packed *packed, uint32_t number, struct slice *stored)
{
    uint8_t beside[JOURNAL_PACKED_BESIDE_BYTES];
    int rc;

    journal_packed_beside(beside, &packed->header);
    rc = journal_cipher_open(packed->cipher, number, slice_of(beside, sizeof(beside)), *stored,
                             packed->unsealed);
    if (rc == 0) *stored = slice_of(packed->unsealed, stored->size - JOURNAL_TAG_BYTES);
    return rc;
}

static int unpack(struct journal_packed *packed, uint32_t number)
{
    const struct block *block = &packed->blocks[number];
    struct slice stored = slice_of(packed->stored, block->stored_bytes);
    uint32_t plain_bytes = journal_packed_block_bytes(packed->header.raw_bytes, number);

    if (journal_packed_block_crc(packed->seed, number, stored) != block->crc32c) return -EBADMSG;
    if (packed->cipher) {
        int rc = unseal(packed, number, &stored);
        if (rc < 0) return rc;
    }
    if (stored.size == plain_bytes) {
        memcpy(packed->plain, stored.bytes, plain_bytes);
        return 0;
    }
    return journal_codec_unpack(packed->header.codec, stored, packed->plain, plain_bytes);
}

static int need_block(struct os *os, struct journal_packed *packed, uint32_t number)
{
    const struct block *block = &packed->blocks[number];
    int rc;

    if (packed->block == number) return 0;
    rc = need_buffers(packed);
    if (rc < 0) return rc;
    packed->block = NO_BLOCK;
    rc = os_read_all(os, packed->fd, packed->stored, block->stored_bytes, block->offset);
    if (rc == 0) rc = unpack(packed, number);
    if (rc == 0) packed->block = number;
    return rc;
}

int journal_packed_read(struct os *os, struct journal_packed *packed, uint8_t *bytes, size_t size,
                        uint64_t offset)
{
    assert(offset + size <= packed->header.raw_bytes);
    while (size > 0) {
        uint64_t within = offset % JOURNAL_PACKED_BLOCK_BYTES;
        uint32_t number = (uint32_t)(offset / JOURNAL_PACKED_BLOCK_BYTES);
        uint64_t part = journal_packed_block_bytes(packed->header.raw_bytes, number) - within;
        int rc = need_block(os, packed, number);
        if (rc < 0) return rc;
        if (part > size) part = size;
        memcpy(bytes, packed->plain + within, part);
        bytes += part;
        offset += part;
        size -= part;
    }
    return 0;
}
