#include "modules/journal/recover.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/index.h"
#include "modules/journal/scan.h"
#include "modules/journal/segment.h"

struct finder {
    struct os *os;
    const char *path;
    const struct journal_meta *meta;
    struct journal_extent *extent;
};

static void raise_synced(struct journal_extent *extent, uint64_t position)
{
    if (position > extent->synced) extent->synced = position;
}

/* Opens a segment's file for scanning. 0; -EBADMSG: its header is damaged; -ENOENT. */
static int open_segment(struct finder *finder, uint64_t number,
                        struct journal_segment_header *header, struct journal_scan *scan)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    char name[JOURNAL_FILE_NAME_BYTES];
    char *file;
    int rc;

    *scan = (struct journal_scan){ .fd = -1 };
    *header = (struct journal_segment_header){ 0 };
    journal_file_name(name, number, "log");
    file = journal_join_path(finder->path, name);
    if (!file) return -ENOMEM;
    rc = finder->os->open(finder->os, file, O_RDONLY | O_NOFOLLOW, 0);
    free(file);
    if (rc < 0) return rc;
    rc = journal_scan_init(scan, finder->os, rc, journal_seed(finder->meta->journal, number),
                           JOURNAL_SEGMENT_BYTES_MAX);
    if (rc < 0) return rc;
    if (scan->end < sizeof(bytes)) return -EBADMSG;
    rc = os_read_all(finder->os, scan->fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = journal_segment_header_load(bytes, header);
    if (rc < 0) return rc;
    if (header->journal != finder->meta->journal || header->number != number) return -EBADMSG;
    if (scan->end > header->capacity) scan->end = header->capacity;
    return 0;
}

static void close_segment(struct finder *finder, struct journal_scan *scan)
{
    if (scan->fd >= 0) (void)finder->os->close(finder->os, scan->fd); /* read only */
    journal_scan_finish(scan);
}

static void note_data(struct journal_extent *extent, const struct journal_frame *frame)
{
    journal_index_add(&extent->index, journal_offset_of(extent->end), frame->time_ms, frame->seq);
    extent->frame_count++;
    extent->last_time_ms = frame->time_ms;
    extent->last_seq = frame->seq;
    extent->has_last_id = true;
    if (extent->has_segment_time) return;
    extent->segment_time_ms = frame->time_ms;
    extent->has_segment_time = true;
}

/* Goes through the frames from extent->end on. 1: they end with the mark of an end. 0: extent->end
 * is where they end. */
static int walk_frames(struct finder *finder, struct journal_scan *scan)
{
    struct journal_extent *extent = finder->extent;

    for (;;) {
        struct journal_frame frame;
        uint64_t offset = journal_offset_of(extent->end), synced;
        int rc = journal_scan_frame(scan, offset, &frame);
        if (rc == 0 || rc == -EBADMSG || rc == -EAGAIN) {
            return journal_scan_used_end(scan, offset, &extent->used_end);
        }
        if (rc < 0) return rc;
        if (frame.state == JOURNAL_END) return 1;
        if (frame.state == JOURNAL_DATA) note_data(extent, &frame);
        if (frame.state == JOURNAL_NOTE) {
            rc = journal_scan_note(scan, offset, &synced);
            if (rc < 0) return rc;
            raise_synced(extent, synced);
        }
        extent->end += journal_frame_bytes(frame.payload_bytes);
    }
}

/* As walk_frames, for a whole segment. A header that is damaged ends the journal before it. */
static int walk_segment(struct finder *finder, uint64_t number)
{
    struct journal_segment_header header;
    struct journal_scan scan;
    int rc = open_segment(finder, number, &header, &scan);

    finder->extent->end = journal_segment_start(number);
    finder->extent->used_end = JOURNAL_SEGMENT_HEADER_BYTES;
    finder->extent->has_segment_time = false;
    journal_index_clear(&finder->extent->index);
    if (rc == -EBADMSG || rc == -ENOENT) {
        rc = 0;
    } else if (rc == 0) {
        raise_synced(finder->extent, header.synced);
        rc = walk_frames(finder, &scan);
    }
    close_segment(finder, &scan);
    return rc;
}

/* What is said behind the end about how far the journal was synced. */
static int search_behind(struct finder *finder, uint64_t number, uint64_t offset)
{
    struct journal_segment_header header;
    struct journal_scan scan;
    uint64_t synced;
    int rc = open_segment(finder, number, &header, &scan);

    if (rc == 0) {
        raise_synced(finder->extent, header.synced);
        rc = journal_scan_search_notes(&scan, offset, &synced);
        if (rc == 0) raise_synced(finder->extent, synced);
    } else if (rc == -EBADMSG || rc == -ENOENT) {
        rc = 0;
    }
    close_segment(finder, &scan);
    return rc;
}

static int search_all_behind(struct finder *finder)
{
    struct journal_extent *extent = finder->extent;
    uint64_t number = journal_segment_of(extent->end);
    uint64_t offset = journal_offset_of(extent->end);
    int rc = 0;

    for (; rc == 0 && number <= extent->last; number++) {
        rc = search_behind(finder, number, offset);
        offset = JOURNAL_SEGMENT_HEADER_BYTES;
    }
    return rc;
}

static int refuse(const struct finder *finder, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    const struct journal_extent *extent = finder->extent;
    char end[JOURNAL_FILE_NAME_BYTES], synced[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(end, journal_segment_of(extent->end), "log");
    journal_file_name(synced, journal_segment_of(extent->synced), "log");
    (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES,
                   "damaged at %s offset %" PRIu64 ", but it was synced up to %s offset %" PRIu64,
                   end, journal_offset_of(extent->end), synced, journal_offset_of(extent->synced));
    return -EBADMSG;
}

/* The id of the last frame, when it lies in segments before the one where the walk began. */
static int find_last_id(struct finder *finder, uint64_t before)
{
    struct journal_extent behind = { .first = finder->extent->first };
    struct finder back = *finder;
    int rc = 0;

    back.extent = &behind;
    while (rc >= 0 && !behind.has_last_id && before > behind.first) {
        rc = walk_segment(&back, --before);
    }
    journal_index_finish(&behind.index);
    if (rc < 0 || !behind.has_last_id) return rc < 0 ? rc : 0;
    finder->extent->has_last_id = true;
    finder->extent->last_time_ms = behind.last_time_ms;
    finder->extent->last_seq = behind.last_seq;
    return 0;
}

int journal_recover_find(struct os *os, const char *path, const struct journal_meta *meta,
                         uint64_t synced, bool verifies_all, struct journal_extent *out_extent,
                         char text[JOURNAL_REPORT_TEXT_BYTES])
{
    struct finder finder = { .os = os, .path = path, .meta = meta, .extent = out_extent };
    struct journal_extent *extent = out_extent;
    uint64_t number, begin;
    int rc;

    *extent = (struct journal_extent){ .synced = synced };
    raise_synced(extent, journal_live_synced(meta->live, meta->journal));
    rc = journal_segment_list(os, path, &extent->first, &extent->last);
    if (rc < 0) return rc;
    number = journal_segment_of(extent->synced);
    if (number < extent->first || verifies_all) number = extent->first;
    if (number > extent->last) number = extent->last;
    begin = number;
    for (rc = 1; rc == 1 && number > 0 && number <= extent->last; number++) {
        rc = walk_segment(&finder, number);
        if (rc == 1) extent->end = journal_segment_start(number + 1);
    }
    if (rc < 0) return rc;
    rc = extent->first > 0 ? search_all_behind(&finder) : 0;
    if (rc < 0) return rc;
    if (!extent->has_last_id) rc = find_last_id(&finder, begin);
    if (rc < 0) return rc;
    return extent->end < extent->synced ? refuse(&finder, text) : 0;
}

/* Counts what a segment that goes held. */
static int count_segment(struct finder *finder, uint64_t number, uint64_t *bytes)
{
    struct journal_segment_header header;
    struct journal_scan scan;
    uint64_t end;
    int rc = open_segment(finder, number, &header, &scan);

    if (rc == 0) rc = journal_scan_used_end(&scan, JOURNAL_SEGMENT_HEADER_BYTES, &end);
    if (rc == 0) *bytes += end - JOURNAL_SEGMENT_HEADER_BYTES;
    close_segment(finder, &scan);
    return rc == -EBADMSG || rc == -ENOENT ? 0 : rc;
}

/* From the last on, so that a cut that is interrupted leaves no gap. */
static int drop_segments(struct finder *finder, uint64_t keep, struct journal_report *report)
{
    uint64_t last = finder->extent->last;
    int rc = 0;

    for (; rc == 0 && last > keep; last--) {
        rc = count_segment(finder, last, &report->cut_bytes);
        if (rc == 0) rc = journal_segment_remove(finder->os, finder->path, last);
        if (rc == 0) report->dropped_segment_count++;
    }
    if (rc < 0 || report->dropped_segment_count == 0) return rc;
    return finder->os->fsync_directory(finder->os, finder->path);
}

/* Cuts a segment if it is the last one, and brings it to the device. */
static int settle_segment(struct finder *finder, uint64_t number, struct journal_report *report)
{
    const struct journal_extent *extent = finder->extent;
    uint64_t offset = journal_offset_of(extent->end);
    struct journal_segment *segment;
    int rc = journal_segment_open(finder->os, finder->path, finder->meta->journal, number, true,
                                  &segment);

    if (rc < 0) return rc;
    if (number == journal_segment_of(extent->end)) {
        assert(extent->used_end >= offset);
        report->cut_bytes += extent->used_end - offset;
        rc = journal_segment_cut(finder->os, segment, offset);
    }
    if (rc == 0) rc = finder->os->fsync(finder->os, segment->fd);
    journal_segment_close(finder->os, segment);
    return rc;
}

int journal_recover_cut(struct os *os, const char *path, const struct journal_meta *meta,
                        const struct journal_extent *extent, struct journal_report *report)
{
    struct journal_extent found = *extent;
    struct finder finder = { .os = os, .path = path, .meta = meta, .extent = &found };
    uint64_t end = journal_segment_of(extent->end), number = journal_segment_of(extent->synced);
    int rc;

    if (extent->last == 0) return 0;
    assert(extent->end >= extent->synced);
    rc = drop_segments(&finder, end, report);
    /* A segment without frames is made anew by who appends: its header may be what is torn. */
    if (journal_offset_of(extent->end) == JOURNAL_SEGMENT_HEADER_BYTES) {
        report->cut_bytes += extent->used_end - JOURNAL_SEGMENT_HEADER_BYTES;
        end--;
    }
    if (number < extent->first) number = extent->first;
    for (; rc == 0 && number <= end; number++)
        rc = settle_segment(&finder, number, report);
    return rc;
}
