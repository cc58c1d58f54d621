#include "modules/journal/drop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"

enum { WORD_BITS = 64 };

int journal_drop_init(struct journal_drop *drop, uint32_t seed, uint64_t size_bytes)
{
    uint64_t words = size_bytes / JOURNAL_FRAME_ALIGN / WORD_BITS + 1;

    *drop = (struct journal_drop){ .seed = seed, .size_bytes = size_bytes };
    drop->starts = calloc(words, sizeof(*drop->starts));
    return drop->starts ? 0 : -ENOMEM;
}

void journal_drop_finish(struct journal_drop *drop)
{
    free(drop->starts);
    drop->starts = NULL;
}

void journal_drop_mark(struct journal_drop *drop, uint64_t offset)
{
    uint64_t bit = offset / JOURNAL_FRAME_ALIGN;

    assert(offset % JOURNAL_FRAME_ALIGN == 0 && offset < drop->size_bytes);
    drop->starts[bit / WORD_BITS] |= UINT64_C(1) << bit % WORD_BITS;
}

/* The first one that begins at or behind offset, before end; end: none does. */
static uint64_t find_start(const struct journal_drop *drop, uint64_t offset, uint64_t end)
{
    uint64_t bit = offset / JOURNAL_FRAME_ALIGN, end_bit = end / JOURNAL_FRAME_ALIGN;

    while (bit < end_bit) {
        uint64_t word = drop->starts[bit / WORD_BITS] >> bit % WORD_BITS;
        if (word != 0) {
            bit += (uint64_t)__builtin_ctzll(word);
            break;
        }
        bit = (bit / WORD_BITS + 1) * WORD_BITS;
    }
    return bit < end_bit ? bit * JOURNAL_FRAME_ALIGN : end;
}

/* What of [from, from + count) lies among size bytes at offset: *out_from, and how many. */
static size_t common(uint64_t from, uint64_t count, size_t size, uint64_t offset,
                     uint64_t *out_from)
{
    uint64_t end = from + count < offset + size ? from + count : offset + size;

    *out_from = from > offset ? from : offset;
    return end > *out_from ? (size_t)(end - *out_from) : 0;
}

/* Of the last one, what lies among these bytes. */
static void blank(const struct journal_drop *drop, uint8_t *bytes, size_t size, uint64_t offset)
{
    struct journal_frame frame = { .state = JOURNAL_SEALED,
                                   .payload_bytes = drop->last_payload_bytes };
    uint8_t header[JOURNAL_FRAME_HEADER_BYTES] = { 0 };
    uint64_t from;
    size_t count;

    store_u32le(header, journal_word(frame.state, frame.payload_bytes));
    store_u32le(header + 4, journal_frame_crc(drop->seed, drop->last, &frame));
    count = common(drop->last, journal_frame_bytes(frame.payload_bytes), size, offset, &from);
    if (count > 0) memset(bytes + (from - offset), 0, count);
    count = common(drop->last, sizeof(header), size, offset, &from);
    if (count > 0) memcpy(bytes + (from - offset), header + (from - drop->last), count);
}

void journal_drop_apply(struct journal_drop *drop, uint8_t *bytes, size_t size, uint64_t offset)
{
    uint64_t end = offset + size, start;

    assert(offset % JOURNAL_FRAME_ALIGN == 0 && end <= drop->size_bytes);
    if (offset == 0) drop->last = 0;
    if (drop->last > 0) blank(drop, bytes, size, offset);
    for (start = find_start(drop, offset, end); start < end;
         start = find_start(drop, start + JOURNAL_FRAME_ALIGN, end)) {
        drop->last = start;
        drop->last_payload_bytes = journal_word_payload(load_u32le(bytes + (start - offset)));
        blank(drop, bytes, size, offset);
    }
}
