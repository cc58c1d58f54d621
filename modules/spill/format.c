#include "modules/spill/format.h"

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"

#include <assert.h>
#include <errno.h>

enum {
    AT_MAGIC = 0,
    AT_CRC32C = 4,
    AT_SIZE = 8,
    AT_COUNT = 12,
    AT_LIST = 16,
    AT_GENERATION = 24,
    KIND_MAX = 0xff
};
static_assert(AT_GENERATION + 8 == SPILL_HEADER_BYTES, "as drawn in format.h");

static const uint32_t MAGIC = UINT32_C(0x786c5300); /* the kind, then "Slx" */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

bool spill_extent_is_shared(uint32_t payload_bytes)
{
    return (uint64_t)payload_bytes + SPILL_HEADER_BYTES <= SPILL_SHARED_BYTES_MAX;
}

uint64_t spill_extent_bytes(uint32_t payload_bytes)
{
    uint64_t size = (uint64_t)payload_bytes + SPILL_HEADER_BYTES;
    return round_up(size, spill_extent_is_shared(payload_bytes) ? (uint64_t)SPILL_SHARED_ALIGN
                                                                : (uint64_t)SPILL_BLOCK_BYTES);
}

static uint32_t header_crc32c(const uint8_t *header)
{
    return crc32c(0, header + AT_SIZE, SPILL_HEADER_BYTES - AT_SIZE);
}

uint32_t spill_header_encode(uint8_t header[SPILL_HEADER_BYTES], struct slice payload,
                             const struct spill_identity *identity)
{
    assert(identity->kind <= KIND_MAX && payload.size <= UINT32_MAX);
    store_u32le(header + AT_MAGIC, MAGIC | identity->kind);
    store_u32le(header + AT_SIZE, (uint32_t)payload.size);
    store_u32le(header + AT_COUNT, identity->element_count);
    store_u64le(header + AT_LIST, identity->list);
    store_u64le(header + AT_GENERATION, identity->generation);
    uint32_t checksum = crc32c(header_crc32c(header), payload.bytes, payload.size);
    store_u32le(header + AT_CRC32C, checksum);
    return checksum;
}

static_assert((int)AT_SIZE == (int)SPILL_HEADER_CRC_FROM, "as drawn in format.h");

bool spill_header_is_of(const uint8_t header[SPILL_HEADER_BYTES], const struct spill_ref *ref)
{
    return (load_u32le(header + AT_MAGIC) & ~(uint32_t)KIND_MAX) == MAGIC &&
           load_u32le(header + AT_CRC32C) == ref->crc32c &&
           load_u32le(header + AT_SIZE) == ref->size_bytes &&
           load_u64le(header + AT_GENERATION) == ref->generation;
}

int spill_header_verify(const uint8_t header[SPILL_HEADER_BYTES], const struct spill_ref *ref,
                        const struct spill_identity *identity, uint32_t *out_crc32c)
{
    assert(identity->kind <= KIND_MAX);
    bool is_expected = load_u32le(header + AT_MAGIC) == (MAGIC | identity->kind) &&
                       load_u32le(header + AT_CRC32C) == ref->crc32c &&
                       load_u32le(header + AT_SIZE) == ref->size_bytes &&
                       load_u32le(header + AT_COUNT) == identity->element_count &&
                       load_u64le(header + AT_LIST) == identity->list &&
                       load_u64le(header + AT_GENERATION) == identity->generation &&
                       identity->generation == ref->generation;
    if (!is_expected) return -EBADMSG;
    *out_crc32c = header_crc32c(header);
    return 0;
}

int spill_extent_verify(struct slice extent, const struct spill_ref *ref,
                        const struct spill_identity *identity, struct slice *out_payload)
{
    uint32_t checksum;

    if (extent.size < (uint64_t)SPILL_HEADER_BYTES + ref->size_bytes) return -EBADMSG;
    int rc = spill_header_verify(extent.bytes, ref, identity, &checksum);
    if (rc < 0) return rc;
    struct slice payload = slice_of(extent.bytes + SPILL_HEADER_BYTES, ref->size_bytes);
    if (crc32c(checksum, payload.bytes, payload.size) != ref->crc32c) return -EBADMSG;
    *out_payload = payload;
    return 0;
}
