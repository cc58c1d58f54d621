/* frame.h - an entry as it lies in memory.
 *
 *   +------+-----------+-----+-----------------+-------+------------------------+------+
 *   | size | ms - base | seq | fields, has_gap | [gap] | fields as RESP strings | size |
 *   +------+-----------+-----+-----------------+-------+------------------------+------+
 *          |<------------------------- size bytes ---------------------------->|
 *
 * Numbers are varints: seven bits a byte, the lowest first, and the top bit says that more follow.
 * The last size is written the other way round, so that frames are walked from both ends. base is
 * that of the block (block.h). `fields, has_gap` is the number of names and values, which is even,
 * with 1 added when a gap follows: so many ordinals between this frame and the one before have no
 * frame any more.
 *
 * Pure functions; any thread. */
#ifndef MODULES_STREAM_FRAME_H
#define MODULES_STREAM_FRAME_H
#include "modules/stream/stream.h"

enum {
    FRAME_OVERHEAD_BYTES_MAX = 5 + 10 + 10 + 5 + 5 + 5,
    FRAME_FIELDS_BYTES_MAX = 1 << 29, /* all numbers above fit into their bytes then */
};

/* entry's ordinal is not looked at; its id.ms is at least base_ms. gap: above. The bytes that it
 * took, at most fields.size + FRAME_OVERHEAD_BYTES_MAX. The fields may overlap what is written if
 * they lie at or behind where they go to. */
uint32_t frame_encode(uint8_t *at, uint64_t base_ms, const struct stream_entry *entry,
                      uint32_t gap);
/* As frame_decode, of bytes that nobody vouches for: 0 when they are not what frame_encode would
 * have written, or the fields are not what they are said to be. */
uint32_t frame_validate(const uint8_t *at, size_t size, uint64_t base_ms,
                        struct stream_entry *out_entry, uint32_t *out_gap);

/* The number at `at`; behind it. Most take a byte. */
static inline const uint8_t *frame_varint(const uint8_t *at, uint64_t *out_value)
{
    uint64_t value = *at & 127;

    for (unsigned shift = 7; __builtin_expect(*at++ & 128, 0); shift += 7)
        value |= (uint64_t)(*at & 127) << shift;
    *out_value = value;
    return at;
}

/* Of the frame that begins there: its id and gap, and the bytes it takes. */
static inline uint32_t frame_decode_id(const uint8_t *at, uint64_t base_ms,
                                       struct stream_id *out_id, uint32_t *out_gap)
{
    const uint8_t *begin = at, *body;
    uint64_t size, ms, count, gap = 0;

    body = at = frame_varint(at, &size);
    at = frame_varint(at, &ms);
    at = frame_varint(at, &out_id->seq);
    at = frame_varint(at, &count);
    if (count & 1) (void)frame_varint(at, &gap);
    out_id->ms = base_ms + ms;
    *out_gap = (uint32_t)gap;
    return (uint32_t)(body - begin) * 2 + (uint32_t)size;
}

/* All but the entry's ordinal. What is filled in is filled in place: a copy of it just behind would
 * wait for the stores. */
static inline uint32_t frame_decode(const uint8_t *at, uint64_t base_ms,
                                    struct stream_entry *out_entry, uint32_t *out_gap)
{
    const uint8_t *begin = at, *body;
    uint64_t size, ms, count, gap = 0;

    body = at = frame_varint(at, &size);
    at = frame_varint(at, &ms);
    at = frame_varint(at, &out_entry->id.seq);
    at = frame_varint(at, &count);
    if (count & 1) at = frame_varint(at, &gap);
    out_entry->id.ms = base_ms + ms;
    out_entry->field_count = (uint32_t)count & ~1u;
    out_entry->fields.bytes = at;
    out_entry->fields.size = size - (size_t)(at - body);
    *out_gap = (uint32_t)gap;
    return (uint32_t)(body - begin) * 2 + (uint32_t)size;
}

/* Of the frame that ends there. */
static inline uint32_t frame_bytes_before(const uint8_t *end)
{
    const uint8_t *at = end - 1;
    uint64_t size = *at & 127;

    for (unsigned shift = 7; *at & 128; shift += 7)
        size |= (uint64_t)(*--at & 127) << shift;
    return (uint32_t)(end - at) * 2 + (uint32_t)size;
}

#endif
