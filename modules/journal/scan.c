#include "modules/journal/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/journal/stored.h"

int journal_scan_init(struct journal_scan *scan, struct journal_stored *stored)
{
    *scan = (struct journal_scan){ .stored = stored, .end = stored->size_bytes };
    scan->seed = journal_seed(stored->header.journal, stored->header.number);
    scan->window_capacity = JOURNAL_SCAN_WINDOW_BYTES;
    if (scan->end < scan->window_capacity) scan->window_capacity = (size_t)scan->end + 1;
    scan->window = malloc(scan->window_capacity);
    return scan->window ? 0 : -ENOMEM;
}

void journal_scan_finish(struct journal_scan *scan)
{
    free(scan->window);
    scan->window = NULL;
}

/* How much is read at once. Of a packed segment to the end of a block: what is damaged there should
 * not hide what is good before it. */
static size_t window_bytes(const struct journal_scan *scan, uint64_t offset, uint64_t size)
{
    uint64_t want = scan->end - offset, end;

    if (scan->stored->packed) {
        end = offset + size + JOURNAL_PACKED_BLOCK_BYTES - 1;
        end -= end % JOURNAL_PACKED_BLOCK_BYTES;
        if (end < scan->end) want = end - offset;
    }
    return want < scan->window_capacity ? (size_t)want : scan->window_capacity;
}

/* Views up to size bytes from offset on, fewer where the window or the file ends: *out_size, at
 * least 1. offset lies before scan->end. */
static int view(struct journal_scan *scan, uint64_t offset, uint64_t size,
                const uint8_t **out_bytes, size_t *out_size)
{
    uint64_t window_end = scan->window_offset + scan->window_size;
    uint64_t left = scan->end - offset;

    assert(offset < scan->end && size > 0);
    if (size > left) size = left;
    if (size > scan->window_capacity) size = scan->window_capacity;
    if (offset < scan->window_offset || offset + size > window_end) {
        size_t want = window_bytes(scan, offset, size);
        int rc = journal_stored_read(scan->stored, scan->window, want, offset);
        scan->window_size = 0;
        if (rc < 0) return rc;
        scan->window_offset = offset;
        scan->window_size = want;
    }
    *out_bytes = scan->window + (offset - scan->window_offset);
    *out_size = (size_t)size;
    return 0;
}

static int add_crc(struct journal_scan *scan, uint64_t offset, uint64_t size, uint32_t *crc)
{
    while (size > 0) {
        const uint8_t *bytes;
        size_t part;
        int rc = view(scan, offset, size, &bytes, &part);
        if (rc < 0) return rc;
        *crc = crc32c(*crc, bytes, part);
        offset += part;
        size -= part;
    }
    return 0;
}

int journal_scan_frame(struct journal_scan *scan, uint64_t offset, struct journal_frame *out_frame)
{
    const uint8_t *bytes;
    size_t size;
    uint32_t crc;
    int rc;

    *out_frame = (struct journal_frame){ .state = JOURNAL_UNWRITTEN };
    if (offset + JOURNAL_FRAME_HEADER_BYTES > scan->end) return 0;
    rc = view(scan, offset, JOURNAL_FRAME_HEADER_BYTES, &bytes, &size);
    if (rc == 0) rc = journal_frame_load(bytes, out_frame);
    if (rc < 0) return rc;
    if (out_frame->state == JOURNAL_UNWRITTEN) return 0;
    if (journal_frame_bytes(out_frame->payload_bytes) > scan->end - offset) return -EBADMSG;
    if (out_frame->state == JOURNAL_CLAIMED) return -EAGAIN;
    crc = journal_frame_crc(scan->seed, offset, out_frame);
    if (journal_frame_has_payload_crc(out_frame)) {
        rc = add_crc(scan, offset + JOURNAL_FRAME_HEADER_BYTES, out_frame->payload_bytes, &crc);
        if (rc < 0) return rc;
    }
    return crc == out_frame->crc32c ? 1 : -EBADMSG;
}

int journal_scan_head(struct journal_scan *scan, uint64_t offset, uint64_t *out_head)
{
    const uint8_t *bytes;
    size_t size;
    int rc = view(scan, offset + JOURNAL_FRAME_HEADER_BYTES, sizeof(*out_head), &bytes, &size);

    if (rc < 0) return rc;
    assert(size == sizeof(*out_head));
    *out_head = load_u64le(bytes);
    return 0;
}

int journal_scan_used_end(struct journal_scan *scan, uint64_t offset, uint64_t *out_end)
{
    uint64_t used = offset;

    while (offset < scan->end) {
        const uint8_t *bytes;
        size_t size;
        int rc = view(scan, offset, JOURNAL_SCAN_WINDOW_BYTES, &bytes, &size);
        if (rc < 0) return rc;
        for (size_t i = size; i > 0; i--) {
            if (bytes[i - 1] == 0) continue;
            used = offset + i;
            break;
        }
        offset += size;
    }
    *out_end = used;
    return 0;
}

int journal_scan_search_notes(struct journal_scan *scan, uint64_t offset, uint64_t *out_position)
{
    const uint32_t word = journal_word(JOURNAL_NOTE, JOURNAL_NOTE_BYTES);
    const uint64_t note_bytes = JOURNAL_FRAME_HEADER_BYTES + JOURNAL_NOTE_BYTES;

    *out_position = 0;
    for (; offset + note_bytes <= scan->end; offset += JOURNAL_FRAME_ALIGN) {
        struct journal_frame frame;
        const uint8_t *bytes;
        uint64_t position = 0;
        size_t size;
        int rc = view(scan, offset, note_bytes, &bytes, &size);
        if (rc < 0) return rc;
        if (load_u32le(bytes) != word) continue;
        rc = journal_scan_frame(scan, offset, &frame);
        if (rc == 1) rc = journal_scan_head(scan, offset, &position);
        if (rc == -EBADMSG) continue;
        if (rc < 0) return rc;
        if (position > *out_position) *out_position = position;
    }
    return 0;
}
