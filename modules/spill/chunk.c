#include "modules/spill/chunk.h"

#include <assert.h>
#include <errno.h>

uint32_t chunk_offset(const uint8_t *bytes, uint32_t size_bytes, uint64_t element_count,
                      uint64_t index)
{
    struct slice item;
    uint32_t offset;

    assert(index <= element_count);
    if (index <= element_count / 2) {
        offset = 0;
        for (uint64_t i = 0; i < index; i++)
            offset += chunk_first(bytes + offset, &item);
    } else {
        offset = size_bytes;
        for (uint64_t i = element_count; i > index; i--)
            offset -= chunk_last(bytes + offset, &item);
    }
    assert(offset <= size_bytes);
    return offset;
}

void chunk_measure(const uint8_t *bytes, uint32_t size_bytes, uint64_t *out_count,
                   uint64_t *out_element_bytes)
{
    uint64_t count = 0, sum = 0;
    struct slice item;

    for (uint32_t offset = 0; offset < size_bytes; count++) {
        offset += chunk_first(bytes + offset, &item);
        sum += item.size;
    }
    *out_count = count;
    *out_element_bytes = sum;
}

/* Reads one length forwards from untrusted bytes. The groups used, or 0: cut off, too long or not
 * in its shortest form. */
static uint32_t read_length(const uint8_t *bytes, size_t size_bytes, uint64_t *out_length)
{
    uint64_t length = 0;

    for (uint32_t i = 0; i < CHUNK_LENGTH_BYTES_MAX && i < size_bytes; i++) {
        length |= (uint64_t)(bytes[i] & 127) << (7 * i);
        if (bytes[i] & 128) continue;
        if (i > 0 && bytes[i] == 0) return 0;
        *out_length = length;
        return i + 1;
    }
    return 0;
}

int chunk_validate(const uint8_t *bytes, size_t size_bytes, uint64_t element_count,
                   uint64_t *out_element_bytes)
{
    uint64_t count = 0, sum = 0;

    for (size_t offset = 0; offset < size_bytes; count++) {
        const uint8_t *at = bytes + offset;
        size_t rest = size_bytes - offset;
        uint64_t length;
        uint32_t groups = read_length(at, rest, &length);
        if (groups == 0 || length > CHUNK_ELEMENT_BYTES_MAX) return -EBADMSG;
        if (rest < 2 * (size_t)groups + length) return -EBADMSG;
        const uint8_t *last = at + 2 * (size_t)groups + length - 1;
        for (uint32_t i = 0; i < groups; i++) {
            if (at[i] != *(last - i)) return -EBADMSG;
        }
        offset += 2 * (size_t)groups + (size_t)length;
        sum += length;
    }
    if (count != element_count) return -EBADMSG;
    *out_element_bytes = sum;
    return 0;
}
