#include "modules/journal/mend.h"

#include <errno.h>

#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/journal/meta.h"
#include "modules/journal/recover.h"
#include "modules/journal/segment.h"

enum { SEALED_PAYLOAD_BYTES_MAX = (1 << JOURNAL_SIZE_BITS) - JOURNAL_FRAME_ALIGN };

struct mender {
    struct os *os;
    const char *path;
    uint64_t position; /* of the caller */
    struct journal_meta meta;
    struct journal_extent extent; /* its index is not kept */
};

/* 1: it is damaged, at extent.end. 0: it is whole, but for a tail perhaps. */
static int find_damage(struct mender *mender)
{
    char text[JOURNAL_REPORT_TEXT_BYTES];
    int rc = journal_recover_find(mender->os, mender->path, &mender->meta, mender->position, true,
                                  &mender->extent, text);

    journal_index_finish(&mender->extent.index);
    return rc == -EBADMSG && mender->extent.end < mender->extent.synced ? 1 : rc;
}

/* ---- before the position ----------------------------------------------------------------------
 */

/* What the next of them covers: all that is left, or so much that a frame fits behind it. */
static uint32_t sealed_payload_bytes(uint64_t left)
{
    if (left - JOURNAL_FRAME_HEADER_BYTES <= SEALED_PAYLOAD_BYTES_MAX)
        return (uint32_t)(left - JOURNAL_FRAME_HEADER_BYTES);
    return SEALED_PAYLOAD_BYTES_MAX - JOURNAL_FRAME_HEADER_BYTES;
}

/* Frames that are skipped take the place of what is damaged, up to the position. */
static int seal(struct os *os, const struct journal_segment *segment, uint64_t offset, uint64_t end)
{
    while (offset < end) {
        uint8_t bytes[JOURNAL_FRAME_HEADER_BYTES] = { 0 };
        struct journal_frame frame = { .state = JOURNAL_SEALED,
                                       .payload_bytes = sealed_payload_bytes(end - offset) };
        int rc;

        store_u32le(bytes, journal_word(JOURNAL_SEALED, frame.payload_bytes));
        store_u32le(bytes + 4, journal_frame_crc(segment->seed, offset, &frame));
        rc = os_write_all(os, segment->fd, bytes, sizeof(bytes), offset);
        if (rc < 0) return rc;
        offset += journal_frame_bytes(frame.payload_bytes);
    }
    return os->fsync(os, segment->fd);
}

static int pass_over(struct mender *mender, uint64_t *bytes)
{
    uint64_t number = journal_segment_of(mender->position), end = mender->extent.end;
    struct journal_segment *segment;
    int rc;

    if (journal_segment_of(end) < number) /* what was waiting to be trimmed */
        return journal_places_remove(mender->os, &mender->meta.places, mender->extent.first,
                                     number);
    if (mender->position - end < JOURNAL_FRAME_HEADER_BYTES) return -EBADMSG;
    rc = journal_segment_open(mender->os, mender->path, mender->meta.journal, number, true,
                              &segment);
    if (rc < 0) return rc == -ENOENT ? -EBADMSG : rc;
    rc = seal(mender->os, segment, journal_offset_of(end), journal_offset_of(mender->position));
    journal_segment_close(mender->os, segment);
    if (rc == 0) *bytes += mender->position - end;
    return rc;
}

static int mend_before(struct mender *mender, uint64_t *bytes)
{
    uint64_t before = 0;
    int rc;

    while ((rc = find_damage(mender)) == 1 && mender->extent.end < mender->position) {
        if (mender->extent.end <= before) return -EBADMSG; /* it is of no use */
        before = mender->extent.end;
        rc = pass_over(mender, bytes);
        if (rc < 0) return rc;
    }
    return rc < 0 ? rc : 0;
}

int journal_mend_before(struct os *os, const char *path, uint64_t position, uint64_t *out_bytes)
{
    struct mender mender = { .os = os, .path = path, .position = position };
    int rc = journal_meta_open_alone(os, path, &mender.meta);

    *out_bytes = 0;
    if (rc < 0) return rc;
    rc = mend_before(&mender, out_bytes);
    journal_meta_close(os, &mender.meta);
    return rc;
}

/* ---- from the position on ---------------------------------------------------------------------
 */

/* Then those behind it are, too. */
static bool is_plain(const struct mender *mender, uint64_t number)
{
    struct journal_place place;
    int fd = journal_places_open(mender->os, &mender->meta.places, number, &place);

    if (fd < 0) return fd == -ENOENT;        /* it is gone: the journal ends there */
    (void)mender->os->close(mender->os, fd); /* read only */
    return place.tier == JOURNAL_HOT && !place.is_packed;
}

/* Where nothing counts in the segment, journal_recover_cut leaves it as it is, to be made anew. */
static int cut_first_frame(const struct mender *mender)
{
    uint64_t end = mender->extent.end;
    struct journal_segment *segment;
    int rc;

    if (journal_offset_of(end) != JOURNAL_SEGMENT_HEADER_BYTES) return 0;
    rc = journal_segment_open(mender->os, mender->path, mender->meta.journal,
                              journal_segment_of(end), true, &segment);
    if (rc < 0) return rc == -ENOENT ? -EBADMSG : rc;
    rc = journal_segment_cut(mender->os, segment, JOURNAL_SEGMENT_HEADER_BYTES);
    if (rc == 0) rc = mender->os->fsync(mender->os, segment->fd);
    journal_segment_close(mender->os, segment);
    return rc;
}

/* What the live page knows of is beyond the end; what is left says how far it was synced. */
static int forget_live(const struct mender *mender)
{
    static const uint8_t zeros[JOURNAL_PAGE_BYTES];
    int rc = os_write_all(mender->os, mender->meta.fd, zeros, sizeof(zeros), JOURNAL_PAGE_BYTES);

    return rc < 0 ? rc : mender->os->fdatasync(mender->os, mender->meta.fd);
}

static int mend_cut(struct mender *mender, struct journal_report *report)
{
    struct journal_extent *extent = &mender->extent;
    int rc = find_damage(mender);

    if (rc != 1) return rc == 0 ? -EINVAL : rc;
    if (extent->end < mender->position || extent->end == 0) return -EBADMSG;
    if (!is_plain(mender, journal_segment_of(extent->end))) return -EBADMSG;
    rc = cut_first_frame(mender);
    extent->synced = extent->end;
    if (rc == 0)
        rc = journal_recover_cut(mender->os, mender->path, &mender->meta, extent, false, report);
    if (rc == 0) rc = forget_live(mender);
    if (rc == 0) rc = find_damage(mender);
    report->end = extent->end;
    return rc == 1 ? -EBADMSG : rc;
}

int journal_mend_cut(struct os *os, const char *path, uint64_t position,
                     struct journal_report *out_report)
{
    struct mender mender = { .os = os, .path = path, .position = position };
    int rc = journal_meta_open_alone(os, path, &mender.meta);

    *out_report = (struct journal_report){ 0 };
    if (rc < 0) return rc;
    rc = mend_cut(&mender, out_report);
    journal_meta_close(os, &mender.meta);
    return rc;
}
