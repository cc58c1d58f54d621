#include "modules/journal/renewal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/live.h"
#include "modules/journal/scan.h"
#include "modules/journal/stored.h"

enum { PIECE_BYTES = 256 << 10 };

struct journal_renewal {
    struct os *os;
    const struct journal_places *places;
    struct journal_renewed what;
    int own_fd; /* opened here; -1 */
    /* Writing, verifying. */
    int (*phase)(struct journal_renewal *renewal);
    uint64_t offset; /* writing: of the next page; verifying: of the next frame */
    uint64_t end;    /* of what is written: whole pages, but no more than the file has */
    uint8_t *piece;
    struct journal_stored stored; /* to verify it */
    struct journal_scan scan;
};

/* ---- verifying --------------------------------------------------------------------------------
 */

static int verify_frames(struct journal_renewal *renewal)
{
    uint64_t to = renewal->what.to, stop = renewal->offset + JOURNAL_RENEWAL_STEP_BYTES;

    while (renewal->offset < stop) {
        struct journal_frame frame;
        int rc;
        if (to > 0 && renewal->offset >= to) return renewal->offset == to ? 0 : -EBADMSG;
        rc = journal_scan_frame(&renewal->scan, renewal->offset, &frame);
        if (rc == 0 || rc == -EAGAIN) return -EBADMSG;
        if (rc < 0) return rc;
        renewal->offset += journal_frame_bytes(frame.payload_bytes);
        if (to == 0 && frame.state == JOURNAL_END) return 0;
    }
    return 1;
}

static int start_verifying(struct journal_renewal *renewal)
{
    int rc =
        journal_stored_open(renewal->os, renewal->places, renewal->what.number, &renewal->stored);

    renewal->offset = 0; /* of a header that is damaged */
    if (rc == 0) rc = journal_scan_init(&renewal->scan, &renewal->stored);
    if (rc < 0) return rc;
    renewal->offset = JOURNAL_SEGMENT_HEADER_BYTES;
    renewal->phase = verify_frames;
    return 1;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int copy_piece(struct journal_renewal *renewal, size_t size)
{
    struct os *os = renewal->os;
    int rc = os_read_all(os, renewal->what.fd, renewal->piece, size, renewal->offset);

    return rc < 0 ? rc : os_write_all(os, renewal->what.fd, renewal->piece, size, renewal->offset);
}

static int write_pages(struct journal_renewal *renewal)
{
    uint64_t stop = renewal->offset + JOURNAL_RENEWAL_STEP_BYTES;
    int rc = 0;

    if (stop > renewal->end) stop = renewal->end;
    while (rc == 0 && renewal->offset < stop) {
        uint64_t left = stop - renewal->offset;
        size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        rc = copy_piece(renewal, size);
        renewal->offset += size;
    }
    if (rc == 0) rc = renewal->os->fdatasync(renewal->os, renewal->what.fd);
    if (rc < 0) return rc;
    return renewal->offset < renewal->end ? 1 : start_verifying(renewal);
}

/* Whole pages: one of which a part is written may be read from the device again before that. */
static int start_writing(struct journal_renewal *renewal)
{
    uint64_t size, to = renewal->what.to;
    int rc = renewal->os->size(renewal->os, renewal->what.fd, &size);

    if (rc < 0) return rc;
    to += (JOURNAL_PAGE_BYTES - to % JOURNAL_PAGE_BYTES) % JOURNAL_PAGE_BYTES;
    renewal->end = to > 0 && to < size ? to : size;
    renewal->offset = renewal->what.from - renewal->what.from % JOURNAL_PAGE_BYTES;
    renewal->phase = write_pages;
    return 1;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int open_plain(struct journal_renewal *renewal)
{
    const struct journal_place place = { JOURNAL_HOT, false };
    char *file = journal_places_file(renewal->places, place, renewal->what.number);

    if (!file) return -ENOMEM;
    renewal->own_fd = renewal->os->open(renewal->os, file, O_RDWR | O_NOFOLLOW, 0);
    free(file);
    return renewal->own_fd;
}

/* 0: it is there in another form. */
static int find_elsewhere(struct journal_renewal *renewal)
{
    struct journal_place place;
    int fd = journal_places_open(renewal->os, renewal->places, renewal->what.number, &place);

    if (fd < 0) return fd;
    (void)renewal->os->close(renewal->os, fd); /* read only */
    return 0;
}

static int begin(struct journal_renewal *renewal)
{
    int rc;

    if (renewal->what.fd >= 0) return start_writing(renewal);
    rc = open_plain(renewal);
    if (rc == -ENOENT) return find_elsewhere(renewal);
    if (rc < 0) return rc;
    renewal->what.fd = renewal->own_fd;
    return start_writing(renewal);
}

/* ---- life -------------------------------------------------------------------------------------
 */

int journal_renewal_create(struct os *os, const struct journal_places *places,
                           const struct journal_renewed *renewed,
                           struct journal_renewal **out_renewal)
{
    struct journal_renewal *renewal = calloc(1, sizeof(*renewal));

    if (!renewal) return -ENOMEM;
    *renewal = (struct journal_renewal){ .os = os,
                                         .places = places,
                                         .what = *renewed,
                                         .own_fd = -1,
                                         .phase = begin,
                                         .stored = { .os = os, .fd = -1 } };
    renewal->piece = malloc(PIECE_BYTES);
    if (!renewal->piece) {
        free(renewal);
        return -ENOMEM;
    }
    *out_renewal = renewal;
    return 0;
}

int journal_renewal_step(struct journal_renewal *renewal, uint64_t *out_damage)
{
    int rc = renewal->phase(renewal);

    if (rc == -EBADMSG) *out_damage = renewal->offset;
    return rc;
}

void journal_renewal_destroy(struct journal_renewal *renewal)
{
    if (!renewal) return;
    journal_scan_finish(&renewal->scan);
    journal_stored_close(&renewal->stored);
    /* What was written through it is synced, or its failure was told. */
    if (renewal->own_fd >= 0) (void)renewal->os->close(renewal->os, renewal->own_fd);
    free(renewal->piece);
    free(renewal);
}
