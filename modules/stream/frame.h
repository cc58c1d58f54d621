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
#include "modules/base/slice.h"
#include "modules/stream/stream_id.h"

enum {
    FRAME_OVERHEAD_BYTES_MAX = 5 + 10 + 10 + 5 + 5 + 5,
    FRAME_FIELDS_BYTES_MAX = 1 << 29, /* all numbers above fit into their bytes then */
};

struct frame {
    struct stream_id id;
    uint32_t gap;
    uint32_t field_count;
    struct slice fields;
};

/* id.ms >= base_ms. The bytes that it took, at most fields.size + FRAME_OVERHEAD_BYTES_MAX. fields
 * may overlap what is written if they lie at or behind where they go to. */
uint32_t frame_encode(uint8_t *at, uint64_t base_ms, const struct frame *frame);
/* The frame that begins there, and the bytes it takes. */
uint32_t frame_decode(const uint8_t *at, uint64_t base_ms, struct frame *out_frame);
/* Of the frame that ends there. */
uint32_t frame_bytes_before(const uint8_t *end);
/* As frame_decode, of bytes that nobody vouches for: 0 when they are not what frame_encode would
 * have written, or the fields are not what they are said to be. */
uint32_t frame_validate(const uint8_t *at, size_t size, uint64_t base_ms, struct frame *out_frame);
#endif
