#include "modules/stream/frame.h"

#include <assert.h>

static uint32_t varint_bytes(uint64_t value)
{
    return value < 128 ? 1 : (uint32_t)(63 - __builtin_clzll(value)) / 7 + 1;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}

/* As put_varint, but that it is read from its end. */
static uint8_t *put_varint_reversed(uint8_t *at, uint64_t value)
{
    uint32_t bytes = varint_bytes(value);

    for (uint32_t i = bytes - 1; i > 0; i--, value >>= 7)
        at[i] = (uint8_t)(value | 128);
    at[0] = (uint8_t)value;
    return at + bytes;
}

/* NULL: it does not end before `end`, does not fit, or is longer than it need be. */
static const uint8_t *check_varint(const uint8_t *at, const uint8_t *end, uint64_t *out_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) return NULL;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte & 128) continue;
        if (shift > 0 && byte == 0) return NULL;
        *out_value = value;
        return at;
    }
    return NULL;
}

uint32_t frame_encode(uint8_t *at, uint64_t base_ms, const struct stream_entry *entry, uint32_t gap)
{
    uint64_t ms = entry->id.ms - base_ms, seq = entry->id.seq;
    uint64_t count = entry->field_count | (gap > 0);
    uint32_t size = varint_bytes(ms) + varint_bytes(seq) + varint_bytes(count) +
                    (gap > 0 ? varint_bytes(gap) : 0) + (uint32_t)entry->fields.size;
    uint8_t *begin = at;

    assert(entry->id.ms >= base_ms && entry->field_count % 2 == 0);
    at = put_varint(at, size);
    at = put_varint(at, ms);
    at = put_varint(at, seq);
    at = put_varint(at, count);
    if (gap > 0) at = put_varint(at, gap);
    memmove(at, entry->fields.bytes, entry->fields.size);
    at = put_varint_reversed(at + entry->fields.size, size);
    return (uint32_t)(at - begin);
}

/* Whether bytes are so many RESP bulk strings, "$4\r\nname\r\n", and nothing else. */
static bool are_strings(const uint8_t *at, const uint8_t *end, uint32_t count)
{
    for (; count > 0; count--) {
        uint64_t size = 0;

        if (at == end || *at++ != '$') return false;
        if (at == end || *at < '0' || *at > '9') return false;
        if (*at == '0' && end - at > 1 && at[1] != '\r') return false;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            size = size * 10 + (uint64_t)(*at - '0');
            if (size > FRAME_FIELDS_BYTES_MAX) return false;
        }
        if ((uint64_t)(end - at) < size + 4) return false;
        if (at[0] != '\r' || at[1] != '\n' || at[size + 2] != '\r' || at[size + 3] != '\n') {
            return false;
        }
        at += size + 4;
    }
    return at == end;
}

/* The numbers before the fields; NULL: they are wrong. */
static const uint8_t *check_head(const uint8_t *at, const uint8_t *end, uint64_t base_ms,
                                 struct stream_entry *out_entry, uint32_t *out_gap)
{
    uint64_t ms, count, gap = 0;

    at = check_varint(at, end, &ms);
    if (at) at = check_varint(at, end, &out_entry->id.seq);
    if (at) at = check_varint(at, end, &count);
    if (!at || ms > UINT64_MAX - base_ms || count > UINT32_MAX) return NULL;
    if (count & 1) {
        at = check_varint(at, end, &gap);
        if (!at || gap == 0 || gap > UINT32_MAX) return NULL;
    }
    out_entry->id.ms = base_ms + ms;
    *out_gap = (uint32_t)gap;
    out_entry->field_count = (uint32_t)count & ~1u;
    return at;
}

uint32_t frame_validate(const uint8_t *at, size_t size, uint64_t base_ms,
                        struct stream_entry *out_entry, uint32_t *out_gap)
{
    const uint8_t *begin = at, *body = NULL, *body_end;
    uint64_t body_size;
    uint8_t trailer[10];
    uint32_t trailer_bytes;

    body = check_varint(at, at + size, &body_size);
    if (!body || body_size > FRAME_FIELDS_BYTES_MAX + FRAME_OVERHEAD_BYTES_MAX) return 0;
    trailer_bytes = (uint32_t)(body - begin);
    if (size - trailer_bytes < body_size + trailer_bytes) return 0;
    body_end = body + body_size;
    (void)put_varint_reversed(trailer, body_size);
    if (memcmp(body_end, trailer, trailer_bytes) != 0) return 0;
    at = check_head(body, body_end, base_ms, out_entry, out_gap);
    if (!at || out_entry->field_count == 0) return 0;
    if (!are_strings(at, body_end, out_entry->field_count)) return 0;
    out_entry->fields = slice_of(at, (size_t)(body_end - at));
    return trailer_bytes * 2 + (uint32_t)body_size;
}
