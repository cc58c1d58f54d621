#include "modules/journal/renew.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/live.h"
#include "modules/journal/scan.h"
#include "modules/journal/segment.h"
#include "modules/journal/stored.h"

enum { PIECE_BYTES = 256 << 10 };

static int copy_piece(struct os *os, int fd, uint8_t *piece, uint64_t from, uint64_t to)
{
    size_t size = (size_t)(to - from);
    int rc = os_read_all(os, fd, piece, size, from);

    return rc < 0 ? rc : os_write_all(os, fd, piece, size, from);
}

/* Whole pages: one of which a part is written may be read from the device again before that. */
static int write_pages(struct os *os, const struct journal_segment *segment, uint64_t from,
                       uint64_t to)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    uint64_t size;
    int rc = piece ? os->size(os, segment->fd, &size) : -ENOMEM;

    from -= from % JOURNAL_PAGE_BYTES;
    to += (JOURNAL_PAGE_BYTES - to % JOURNAL_PAGE_BYTES) % JOURNAL_PAGE_BYTES;
    if (rc == 0 && to > size) to = size;
    while (rc == 0 && from < to) {
        uint64_t end = to - from < PIECE_BYTES ? to : from + PIECE_BYTES;
        rc = copy_piece(os, segment->fd, piece, from, end);
        from = end;
    }
    free(piece);
    return rc;
}

/* *offset: of the first frame, then of the one that is not whole. */
static int verify_frames(struct journal_scan *scan, uint64_t *offset, uint64_t to)
{
    while (*offset < to) {
        struct journal_frame frame;
        int rc = journal_scan_frame(scan, *offset, &frame);
        if (rc == 0 || rc == -EAGAIN) return -EBADMSG;
        if (rc < 0) return rc;
        *offset += journal_frame_bytes(frame.payload_bytes);
    }
    return *offset == to ? 0 : -EBADMSG;
}

static int verify(struct os *os, const struct journal_places *places, uint64_t number,
                  uint64_t *offset, uint64_t to)
{
    struct journal_stored stored;
    struct journal_scan scan = { 0 };
    int rc = journal_stored_open(os, places, number, &stored);

    if (rc == 0) rc = journal_scan_init(&scan, &stored);
    if (rc == 0) rc = verify_frames(&scan, offset, to);
    journal_scan_finish(&scan);
    journal_stored_close(&stored);
    return rc;
}

int journal_renew_segment(struct os *os, const struct journal_places *places,
                          const struct journal_segment *segment, uint64_t from, uint64_t to,
                          uint64_t *out_damage)
{
    int rc = write_pages(os, segment, from, to);

    if (rc == 0) rc = os->fdatasync(os, segment->fd);
    if (rc < 0) return rc;
    *out_damage = JOURNAL_SEGMENT_HEADER_BYTES;
    return verify(os, places, segment->number, out_damage, to);
}
