/* Headers of segments that are damaged while what is behind them is whole. A frame's checksum is
 * seeded with the numbers of its journal and its segment, so the first frame proves whose file it
 * is: what else the header says is known, or may be less than it was. */
#include "modules/journal/mend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/journal/meta.h"
#include "modules/journal/scan.h"
#include "modules/journal/stored.h"

enum { CRC_OFFSET = JOURNAL_SEGMENT_HEADER_BYTES - 4 };

struct header_mender {
    struct os *os;
    struct journal_meta meta;
    uint64_t created_ms; /* of the last segment whose header is whole; or of the journal */
    unsigned count;
};

/* 1: it is damaged. 0: it is whole, if perhaps of another version, journal or place; or there is
 * none. */
static int is_damaged(struct os *os, int fd, uint64_t size_bytes)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    int rc;

    if (size_bytes < sizeof(bytes)) return 0;
    rc = os_read_all(os, fd, bytes, sizeof(bytes), 0);
    return rc < 0 ? rc : load_u32le(bytes + CRC_OFFSET) != crc32c(0, bytes, CRC_OFFSET);
}

/* A frame that is longer than segments are has a larger one. */
static uint32_t capacity_of(const struct header_mender *mender, uint64_t size_bytes)
{
    uint64_t pages = (size_bytes + JOURNAL_PAGE_BYTES - 1) / JOURNAL_PAGE_BYTES;
    uint64_t capacity = mender->meta.settings.roll_bytes;

    if (pages * JOURNAL_PAGE_BYTES > capacity) capacity = pages * JOURNAL_PAGE_BYTES;
    return capacity > JOURNAL_SEGMENT_BYTES_MAX ? 0 : (uint32_t)capacity;
}

/* 1: with that header the first frame is right. 0: it is not. */
static int proves(struct journal_stored *stored)
{
    struct journal_scan scan = { 0 };
    struct journal_frame frame;
    int rc = journal_scan_init(&scan, stored);

    if (rc == 0) rc = journal_scan_frame(&scan, JOURNAL_SEGMENT_HEADER_BYTES, &frame);
    journal_scan_finish(&scan);
    return rc == -EBADMSG || rc == -EAGAIN ? 0 : rc;
}

static int write_header(struct os *os, int fd, const struct journal_segment_header *header)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    int rc;

    journal_segment_header_store(bytes, header);
    rc = os_write_all(os, fd, bytes, sizeof(bytes), 0);
    return rc < 0 ? rc : os->fsync(os, fd);
}

/* synced: less than it was is right, and others tell (recover.h). */
static int mend_file(struct header_mender *mender, int fd, uint64_t number)
{
    struct journal_stored stored = { .os = mender->os, .fd = fd };
    int rc = mender->os->size(mender->os, fd, &stored.size_bytes);

    if (rc == 0) rc = is_damaged(mender->os, fd, stored.size_bytes);
    if (rc <= 0) return rc;
    stored.header = (struct journal_segment_header){
        .journal = mender->meta.journal,
        .number = number,
        .created_ms = mender->created_ms,
        .capacity = capacity_of(mender, stored.size_bytes),
    };
    if (stored.header.capacity == 0) return 0;
    rc = proves(&stored);
    if (rc <= 0) return rc;
    rc = write_header(mender->os, fd, &stored.header);
    if (rc == 0) mender->count++;
    return rc;
}

static int mend_plain(struct header_mender *mender, uint64_t number)
{
    struct os *os = mender->os;
    struct journal_place place = { .tier = JOURNAL_HOT };
    char *file = journal_places_file(&mender->meta.places, place, number);
    int fd = file ? os->open(os, file, O_RDWR | O_NOFOLLOW, 0) : -ENOMEM;
    int rc = fd < 0 ? fd : mend_file(mender, fd, number), closed;

    free(file);
    if (fd < 0) return rc;
    closed = os->close(os, fd);
    return rc < 0 ? rc : closed;
}

static int look_at(struct header_mender *mender, uint64_t number)
{
    struct journal_stored stored;
    int rc = journal_stored_open(mender->os, &mender->meta.places, number, &stored);
    bool is_ours = !stored.place.is_packed && stored.place.tier == JOURNAL_HOT;

    if (rc == 0) mender->created_ms = stored.header.created_ms;
    journal_stored_close(&stored);
    if (rc != -EBADMSG && rc != -EPROTONOSUPPORT) return rc;
    return is_ours ? mend_plain(mender, number) : 0;
}

static int mend_all(struct header_mender *mender)
{
    struct journal_survey survey;
    uint64_t number;
    int rc = journal_places_survey(mender->os, &mender->meta.places, &survey);

    number = rc == 0 ? survey.first : 0;
    while (rc == 0 && number > 0) {
        rc = look_at(mender, number);
        if (rc == 0)
            rc = journal_places_after(mender->os, &mender->meta.places, number, survey.last,
                                      &number);
    }
    return rc;
}

int journal_mend_headers(struct os *os, const char *path, unsigned *out_count)
{
    struct header_mender mender = { .os = os };
    int rc = journal_meta_open_alone(os, path, &mender.meta);

    *out_count = 0;
    if (rc < 0) return rc;
    mender.created_ms = mender.meta.created_ms;
    rc = mend_all(&mender);
    *out_count = mender.count;
    journal_meta_close(os, &mender.meta);
    return rc;
}
