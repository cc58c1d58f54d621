/* chunk.h - the packed form of a run of elements: bytes only, no descriptor, no memory of its own.
 *
 * An element is its length, its bytes, and the length once more written backwards, so that a run
 * can be walked from both ends. Lengths are little-endian groups of seven bits, the high bit says
 * that more follow (towards the inside of the element):
 *
 *   +-----------+-------------------+--------------------+
 *   | length    | bytes             | length, reversed   |     10 bytes cost 12, 1 KiB costs 1028
 *   +-----------+-------------------+--------------------+
 *
 * The inline functions trust their bytes (we packed them, or chunk_validate accepted them);
 * chunk_validate trusts nothing. Pure functions; any thread. */
#ifndef MODULES_SPILL_CHUNK_H
#define MODULES_SPILL_CHUNK_H
#include "modules/base/slice.h"

enum {
    CHUNK_LENGTH_BYTES_MAX = 5,
    CHUNK_ELEMENT_BYTES_MAX = 1 << 30, /* so that sizes of a run with one element fit 32 bits */
};

static inline uint32_t chunk_length_bytes(size_t size)
{
    uint32_t bytes = 1;
    for (; size >= 128; size >>= 7)
        bytes++;
    return bytes;
}

/* What an element of that size (at most CHUNK_ELEMENT_BYTES_MAX) takes in a run. */
static inline uint32_t chunk_encoded_bytes(size_t size)
{
    return (uint32_t)size + 2 * chunk_length_bytes(size);
}

/* Writes exactly chunk_encoded_bytes(item.size) bytes at `at`. */
static inline void chunk_encode(uint8_t *at, struct slice item)
{
    if (item.size < 128) {
        at[0] = (uint8_t)item.size;
        if (item.size > 0) memcpy(at + 1, item.bytes, item.size);
        at[item.size + 1] = (uint8_t)item.size;
        return;
    }
    uint32_t length_bytes = chunk_length_bytes(item.size);
    uint8_t *last = at + item.size + 2 * (size_t)length_bytes - 1;
    size_t rest = item.size;

    for (uint32_t i = 0; i < length_bytes; i++, rest >>= 7) {
        uint8_t group = (uint8_t)((rest & 127) | (i + 1 < length_bytes ? 128 : 0));
        at[i] = group;
        *(last - i) = group;
    }
    memcpy(at + length_bytes, item.bytes, item.size);
}

/* The element that begins at `at`; returns what it takes in the run. */
static inline uint32_t chunk_first(const uint8_t *at, struct slice *out_item)
{
    size_t size = at[0] & 127;
    uint32_t bytes = 1;
    for (; at[bytes - 1] & 128; bytes++)
        size |= (size_t)(at[bytes] & 127) << (7 * bytes);
    *out_item = (struct slice){ at + bytes, size };
    return (uint32_t)size + 2 * bytes;
}

/* The element that ends just before `end`; returns what it takes in the run. */
static inline uint32_t chunk_last(const uint8_t *end, struct slice *out_item)
{
    const uint8_t *last = end - 1;
    size_t size = *last & 127;
    uint32_t bytes = 1;
    for (; *(last - (bytes - 1)) & 128; bytes++)
        size |= (size_t)(*(last - bytes) & 127) << (7 * bytes);
    *out_item = (struct slice){ end - bytes - size, size };
    return (uint32_t)size + 2 * bytes;
}

/* Where element `index` begins in a run of element_count elements, in bytes from the run's begin;
 * index == element_count gives size_bytes. Walks from the nearer end. */
uint32_t chunk_offset(const uint8_t *bytes, uint32_t size_bytes, uint64_t element_count,
                      uint64_t index);
/* Number of the elements in a run of whole elements, and the sum of their sizes. */
void chunk_measure(const uint8_t *bytes, uint32_t size_bytes, uint64_t *out_count,
                   uint64_t *out_element_bytes);

/* Checks a run that comes from outside: whole elements, both lengths equal and in their shortest
 * form, exactly element_count of them. 0 and the sum of the sizes, or -EBADMSG. */
int chunk_validate(const uint8_t *bytes, size_t size_bytes, uint64_t element_count,
                   uint64_t *out_element_bytes);
#endif
