#include "modules/journal/drop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"

/* Longer ones would not fit into a frame's size. */
enum { RUN_BYTES_MAX = 1 << 28 };

void journal_drop_init(struct journal_drop *drop, uint32_t seed)
{
    *drop = (struct journal_drop){ .seed = seed };
}

void journal_drop_finish(struct journal_drop *drop)
{
    free(drop->runs);
    *drop = (struct journal_drop){ 0 };
}

static int need_room(struct journal_drop *drop)
{
    size_t capacity = drop->capacity > 0 ? 2 * drop->capacity : 64;
    struct journal_drop_run *grown;

    if (drop->count < drop->capacity) return 0;
    grown = realloc(drop->runs, capacity * sizeof(*grown));
    if (!grown) return -ENOMEM;
    drop->runs = grown;
    drop->capacity = capacity;
    return 0;
}

int journal_drop_add(struct journal_drop *drop, uint64_t offset, uint64_t frame_bytes)
{
    struct journal_drop_run *last = drop->count > 0 ? &drop->runs[drop->count - 1] : NULL;
    uint64_t end = offset + frame_bytes;
    int rc;

    assert(offset % JOURNAL_FRAME_ALIGN == 0 && frame_bytes % JOURNAL_FRAME_ALIGN == 0);
    assert(end <= JOURNAL_SEGMENT_BYTES_MAX && (!last || offset >= last->end));
    if (last && last->end == offset && end - last->begin <= RUN_BYTES_MAX) {
        last->end = (uint32_t)end;
        return 0;
    }
    rc = need_room(drop);
    if (rc < 0) return rc;
    drop->runs[drop->count++] = (struct journal_drop_run){ (uint32_t)offset, (uint32_t)end };
    return 0;
}

/* What of [from, end) lies among size bytes at offset: *out_from, and how many. */
static size_t common(uint64_t from, uint64_t end, size_t size, uint64_t offset, uint64_t *out_from)
{
    if (end > offset + size) end = offset + size;
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
    count = common(drop->last, drop->last_end, size, offset, &from);
    if (count > 0) memset(bytes + (from - offset), 0, count);
    count = common(drop->last, drop->last + sizeof(header), size, offset, &from);
    if (count > 0) memcpy(bytes + (from - offset), header + (from - drop->last), count);
}

static void go_to_run(struct journal_drop *drop, size_t at)
{
    drop->at = at;
    drop->next = at < drop->count ? drop->runs[at].begin : UINT64_MAX;
}

/* The next frame of the run, by its first word as it was. */
static int begin_frame(struct journal_drop *drop, uint32_t word)
{
    const struct journal_drop_run *run = &drop->runs[drop->at];
    uint64_t begin = drop->next, end = begin + journal_frame_bytes(journal_word_payload(word));
    bool is_sealed = journal_word_state(word) == JOURNAL_SEALED;

    if (end > run->end || (!is_sealed && journal_word_state(word) != JOURNAL_DATA)) return -EIO;
    drop->last = begin;
    drop->last_end = is_sealed ? begin + JOURNAL_FRAME_HEADER_BYTES : end;
    drop->last_payload_bytes = (uint32_t)(run->end - begin) - JOURNAL_FRAME_HEADER_BYTES;
    drop->next = end;
    if (end == run->end) go_to_run(drop, drop->at + 1);
    return 0;
}

int journal_drop_apply(struct journal_drop *drop, uint8_t *bytes, size_t size, uint64_t offset)
{
    assert(offset % JOURNAL_FRAME_ALIGN == 0);
    if (offset == 0) {
        drop->last = drop->last_end = 0;
        go_to_run(drop, 0);
    }
    if (drop->last_end > offset) blank(drop, bytes, size, offset);
    while (drop->next < offset + size) {
        int rc = begin_frame(drop, load_u32le(bytes + (drop->next - offset)));
        if (rc < 0) return rc;
        blank(drop, bytes, size, offset);
    }
    return 0;
}
