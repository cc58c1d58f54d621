/* Bytes that pretend to be a chunk: validating must stay inside them, and what it accepts must be
 * the same walked from both sides and packed anew. */
#include "modules/spill/chunk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_accepted(const uint8_t *bytes, uint32_t size, uint64_t count, uint64_t sum)
{
    uint8_t *packed = malloc(size > 0 ? size : 1);
    uint64_t walked = 0, walked_sum = 0;
    struct slice item;
    uint32_t end = size;

    if (!packed) return;
    for (uint32_t at = 0; at < size; walked++) {
        uint32_t taken = chunk_first(bytes + at, &item);
        if (taken != chunk_encoded_bytes(item.size)) abort();
        chunk_encode(packed + at, item);
        if (chunk_offset(bytes, size, count, walked) != at) abort();
        walked_sum += item.size;
        at += taken;
    }
    if (walked != count || walked_sum != sum || memcmp(packed, bytes, size) != 0) abort();
    for (; walked > 0; walked--)
        end -= chunk_last(bytes + end, &item);
    if (end != 0) abort();
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint64_t count, sum = 0;

    /* The first byte is the expected count: chunk_offset above is quadratic in it. */
    if (size == 0) return 0;
    count = bytes[0];
    if (chunk_validate(bytes + 1, size - 1, count, &sum) == 0) {
        check_accepted(bytes + 1, (uint32_t)(size - 1), count, sum);
    }
    return 0;
}
