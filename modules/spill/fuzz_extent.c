/* Bytes read from disk against an expectation: verify must stay inside them and must never accept
 * what was not written. The input starts with the expectation; the rest is what the disk gave. */
#include "modules/base/endian.h"
#include "modules/spill/format.h"

#include <stdlib.h>

enum { EXPECTATION_BYTES = 29 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What an honest writer would have stored must be accepted, and nothing but that when one byte of
 * it changes: the fuzzer chooses the byte. */
static void check_round_trip(struct slice payload, const struct spill_identity *identity,
                             uint32_t choice)
{
    size_t size = SPILL_HEADER_BYTES + payload.size;
    uint8_t *extent = malloc(size);
    struct slice seen = { 0 };

    if (!extent) return;
    struct spill_ref ref = { .size_bytes = (uint32_t)payload.size,
                             .generation = identity->generation };
    ref.crc32c = spill_header_encode(extent, payload, identity);
    if (payload.size > 0) memcpy(extent + SPILL_HEADER_BYTES, payload.bytes, payload.size);
    if (spill_extent_verify(slice_of(extent, size), &ref, identity, &seen) != 0) abort();
    if (!slice_equal(seen, payload)) abort();
    extent[choice % size] ^= (uint8_t)(1u << (choice >> 29));
    if (spill_extent_verify(slice_of(extent, size), &ref, identity, &seen) == 0) abort();
    free(extent);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice payload = { 0 };

    if (size < EXPECTATION_BYTES) return 0;
    struct spill_ref ref = { .size_bytes = load_u32le(bytes),
                             .crc32c = load_u32le(bytes + 4),
                             .generation = load_u64le(bytes + 8) };
    struct spill_identity identity = { .list = load_u64le(bytes + 16),
                                       .generation = ref.generation,
                                       .element_count = load_u32le(bytes + 24),
                                       .kind = bytes[28] };
    struct slice extent = slice_of(bytes + EXPECTATION_BYTES, size - EXPECTATION_BYTES);
    if (spill_extent_verify(extent, &ref, &identity, &payload) == 0) {
        if (payload.size != ref.size_bytes) abort();
        if (payload.bytes != extent.bytes + SPILL_HEADER_BYTES) abort();
        if (payload.size > extent.size - SPILL_HEADER_BYTES) abort();
    }
    check_round_trip(extent, &identity, ref.size_bytes);
    return 0;
}
