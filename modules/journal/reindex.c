#include "modules/journal/reindex.h"

#include <errno.h>

#include "modules/journal/index.h"
#include "modules/journal/scan.h"
#include "modules/journal/stored.h"

/* Adds what is missing of the frames from offset on. -EBADMSG: they are damaged, or none begins
 * there. */
static int add_from(struct journal_scan *scan, uint64_t offset, struct journal_index *index)
{
    struct journal_frame frame;
    uint64_t last = index->count > 0 ? index->entries[index->count - 1].offset : 0;

    for (;; offset += journal_frame_bytes(frame.payload_bytes)) {
        int rc = journal_scan_frame(scan, offset, &frame);
        if (rc == 0 || rc == -EAGAIN) return -EBADMSG; /* it has no END */
        if (rc < 0) return rc;
        if (frame.state == JOURNAL_END) return 0;
        if (frame.state == JOURNAL_DATA && offset > last) {
            journal_index_add(index, offset, frame.time_ms, frame.seq);
        }
    }
}

static int complete(struct journal_scan *scan, struct journal_index *index)
{
    size_t had = index->count;
    int rc = -EBADMSG;

    if (had > 0) rc = add_from(scan, index->entries[had - 1].offset, index);
    if (rc == -EBADMSG) { /* it leads elsewhere, or there is none */
        journal_index_clear(index);
        had = 0;
        rc = add_from(scan, JOURNAL_SEGMENT_HEADER_BYTES, index);
    }
    return rc < 0 ? rc : index->count > had;
}

static int reindex(struct os *os, const char *path, struct journal_stored *stored)
{
    uint64_t number = stored->header.number;
    struct journal_index index = { 0 };
    struct journal_scan scan;
    int rc = journal_scan_init(&scan, stored);

    if (rc == 0) rc = journal_index_load(os, path, number, scan.seed, &index);
    if (rc == 0) rc = complete(&scan, &index);
    if (rc == 1) {
        rc = journal_index_write(os, path, number, scan.seed, &index, 0);
        if (rc == 0) rc = 1;
    }
    journal_scan_finish(&scan);
    journal_index_finish(&index);
    return rc == -EBADMSG ? 0 : rc;
}

/* Who dropped frames of it has brought its index to the device before its file had its name. */
static bool was_indexed(struct os *os, const char *path, const struct journal_stored *stored)
{
    return stored->packed && journal_packed_header_of(stored->packed)->note > 0 &&
           journal_index_is_there(os, path, stored->header.number);
}

int journal_reindex(struct os *os, const struct journal_places *places, uint64_t number,
                    bool is_doubted)
{
    const char *path = places->paths[JOURNAL_HOT];
    struct journal_stored stored;
    int rc = journal_stored_open(os, places, number, &stored);

    if (rc == 0 && (is_doubted || !was_indexed(os, path, &stored))) rc = reindex(os, path, &stored);
    journal_stored_close(&stored);
    return rc == -EBADMSG ? 0 : rc;
}
