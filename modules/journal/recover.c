#include "modules/journal/recover.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "modules/base/os.h"
#include "modules/journal/index.h"
#include "modules/journal/scan.h"
#include "modules/journal/segment.h"
#include "modules/journal/stored.h"

enum { FILE_TEXT_BYTES = JOURNAL_FILE_NAME_BYTES + 8 };

struct finder {
    struct os *os;
    const char *path;
    const struct journal_meta *meta;
    struct journal_extent *extent;
    uint64_t stop;   /* frames from there on are not looked at; 0: all are */
    bool uses_index; /* and few before it */
    bool syncs_late; /* what is cut is not brought to the device */
};

static void raise_synced(struct journal_extent *extent, uint64_t position)
{
    if (position > extent->synced) extent->synced = position;
}

/* A segment that is open for scanning. */
struct opened {
    struct journal_stored stored;
    struct journal_scan scan;
};

/* 0; -EBADMSG: its header is damaged; -ENOENT. To be closed also after an error. */
static int open_segment(struct finder *finder, uint64_t number, struct opened *opened)
{
    int rc;

    opened->scan = (struct journal_scan){ 0 };
    rc = journal_stored_open(finder->os, &finder->meta->places, number, &opened->stored);
    return rc < 0 ? rc : journal_scan_init(&opened->scan, &opened->stored);
}

static void close_segment(struct opened *opened)
{
    journal_scan_finish(&opened->scan);
    journal_stored_close(&opened->stored);
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
        int rc;
        if (finder->stop > 0 && extent->end >= finder->stop) {
            extent->used_end = offset;
            return 0;
        }
        rc = journal_scan_frame(scan, offset, &frame);
        if (rc == 0 || rc == -EBADMSG || rc == -EAGAIN) {
            extent->used_end = offset;
            rc = journal_scan_used_end(scan, offset, &extent->used_end);
            return rc == -EBADMSG ? 0 : rc; /* of a packed one nothing is cut */
        }
        if (rc < 0) return rc;
        if (frame.state == JOURNAL_END) return 1;
        if (frame.state == JOURNAL_DATA) note_data(extent, &frame);
        if (frame.state == JOURNAL_NOTE) {
            rc = journal_scan_head(scan, offset, &synced);
            if (rc < 0) return rc;
            raise_synced(extent, synced);
        }
        extent->end += journal_frame_bytes(frame.payload_bytes);
    }
}

/* Begins at the last index point before the stop, and takes the entries up to there as the index's
 * own, if a frame is there indeed. */
static int begin_at_point(struct finder *finder, uint64_t number, struct journal_scan *scan)
{
    struct journal_extent *extent = finder->extent;
    struct journal_index stored = { 0 };
    struct journal_frame frame;
    uint64_t point = 0;
    int rc = journal_index_load(finder->os, finder->path, number, scan->seed, &stored);

    if (rc == 0 && stored.count > 0) {
        bool is_last = journal_segment_of(finder->stop) == number;
        point = journal_index_find_before(&stored, is_last ? journal_offset_of(finder->stop)
                                                           : JOURNAL_SEGMENT_BYTES_MAX);
    }
    if (point > 0 && journal_scan_frame(scan, point, &frame) == 1 && frame.state == JOURNAL_DATA) {
        for (size_t i = 0; i < stored.count && stored.entries[i].offset < point; i++) {
            const struct journal_index_entry *entry = &stored.entries[i];
            journal_index_add(&extent->index, entry->offset, entry->time_ms, entry->seq);
        }
        extent->end = journal_position(number, point);
    }
    journal_index_finish(&stored);
    return rc == -ENOMEM ? rc : 0; /* a hint: without it all is looked at */
}

/* As walk_frames, for a whole segment. A header that is damaged ends the journal before it. */
static int walk_segment(struct finder *finder, uint64_t number)
{
    struct opened opened;
    int rc = open_segment(finder, number, &opened);

    finder->extent->end = journal_segment_start(number);
    finder->extent->used_end = JOURNAL_SEGMENT_HEADER_BYTES;
    finder->extent->has_segment_time = false;
    journal_index_clear(&finder->extent->index);
    if (rc == -EBADMSG || rc == -ENOENT) {
        rc = 0;
    } else if (rc == 0) {
        raise_synced(finder->extent, opened.stored.header.synced);
        if (finder->uses_index) rc = begin_at_point(finder, number, &opened.scan);
        if (rc == 0) rc = walk_frames(finder, &opened.scan);
    }
    close_segment(&opened);
    return rc;
}

/* What is said behind the end about how far the journal was synced. */
static int search_behind(struct finder *finder, uint64_t number, uint64_t offset)
{
    struct opened opened;
    uint64_t synced;
    int rc = open_segment(finder, number, &opened);

    if (rc == 0) {
        raise_synced(finder->extent, opened.stored.header.synced);
        rc = journal_scan_search_notes(&opened.scan, offset, &synced);
        if (rc == 0) raise_synced(finder->extent, synced);
    }
    close_segment(&opened);
    /* What is packed had been synced, which is known already. */
    return rc == -EBADMSG || rc == -ENOENT ? 0 : rc;
}

static int search_all_behind(struct finder *finder)
{
    struct journal_extent *extent = finder->extent;
    uint64_t number = journal_segment_of(extent->end);
    uint64_t offset = journal_offset_of(extent->end);
    int rc = 0;

    while (rc == 0 && number > 0) {
        rc = search_behind(finder, number, offset);
        offset = JOURNAL_SEGMENT_HEADER_BYTES;
        if (rc == 0)
            rc = journal_places_after(finder->os, &finder->meta->places, number, extent->last,
                                      &number);
    }
    return rc;
}

/* Where a segment is, in words. */
static void name_file(const struct finder *finder, uint64_t number, char *text, size_t size)
{
    static const char *const tiers[] = { "", " (cool)", " (cold)" };
    char name[JOURNAL_FILE_NAME_BYTES];
    struct journal_place place = { JOURNAL_HOT, false };
    int fd = journal_places_open(finder->os, &finder->meta->places, number, &place);

    if (fd >= 0) (void)finder->os->close(finder->os, fd); /* read only */
    journal_file_name(name, number, place.is_packed ? "pak" : "log");
    (void)snprintf(text, size, "%s%s", name, tiers[place.tier]);
}

static int refuse(const struct finder *finder, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    const struct journal_extent *extent = finder->extent;
    char end[FILE_TEXT_BYTES], synced[FILE_TEXT_BYTES];

    name_file(finder, journal_segment_of(extent->synced), synced, sizeof(synced));
    if (extent->end == 0) {
        (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES,
                       "no segment of it is there, but it was synced up to %s offset %" PRIu64,
                       synced, journal_offset_of(extent->synced));
        return -EBADMSG;
    }
    name_file(finder, journal_segment_of(extent->end), end, sizeof(end));
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
    while (rc >= 0 && !behind.has_last_id) {
        rc =
            journal_places_before(finder->os, &finder->meta->places, before, behind.first, &before);
        if (rc < 0 || before == 0) break;
        rc = walk_segment(&back, before);
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
    struct journal_survey survey;
    uint64_t number, begin;
    int rc;

    *extent = (struct journal_extent){ .synced = synced };
    raise_synced(extent, journal_live_synced(meta->live, meta->journal));
    rc = journal_places_survey(os, &meta->places, &survey);
    if (rc < 0) return rc;
    extent->first = survey.first;
    extent->last = survey.last;
    /* That it is packed or has moved says that it had ended and was synced. */
    if (survey.settled_last > 0) {
        raise_synced(extent, journal_segment_start(survey.settled_last + 1));
    }
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

/* ---- set back ---------------------------------------------------------------------------------
 */

static int refuse_end(const struct finder *finder, uint64_t ends_at,
                      char text[JOURNAL_REPORT_TEXT_BYTES])
{
    const struct journal_extent *extent = finder->extent;
    char end[FILE_TEXT_BYTES], wanted[FILE_TEXT_BYTES];

    name_file(finder, journal_segment_of(ends_at), wanted, sizeof(wanted));
    if (extent->end == 0) {
        (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES,
                       "to end at %s offset %" PRIu64 ", but that is missing, packed or moved",
                       wanted, journal_offset_of(ends_at));
        return -EBADMSG;
    }
    name_file(finder, journal_segment_of(extent->end), end, sizeof(end));
    (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES,
                   "to end at %s offset %" PRIu64 ", but its frames %s %s offset %" PRIu64, wanted,
                   journal_offset_of(ends_at),
                   extent->end < ends_at ? "end at" : "do not begin there, one does at", end,
                   journal_offset_of(extent->end));
    return -EBADMSG;
}

/* Where to begin: where a segment begins nothing is in it yet, and the one before has ended. */
static uint64_t begin_before(const struct journal_extent *extent, uint64_t ends_at,
                             bool verifies_all)
{
    uint64_t number = journal_segment_of(ends_at);

    if (verifies_all) return extent->first;
    if (ends_at == journal_segment_start(number) && number > extent->first) number--;
    return number > extent->first ? number : extent->first;
}

int journal_recover_find_until(struct os *os, const char *path, const struct journal_meta *meta,
                               uint64_t ends_at, bool verifies_all,
                               struct journal_extent *out_extent,
                               char text[JOURNAL_REPORT_TEXT_BYTES])
{
    struct finder finder = {
        .os = os, .path = path, .meta = meta, .extent = out_extent, .stop = ends_at
    };
    struct journal_extent *extent = out_extent;
    uint64_t target = journal_segment_of(ends_at), number, begin;
    struct journal_survey survey;
    int rc;

    *extent = (struct journal_extent){ .synced = ends_at, .is_set_back = true };
    rc = journal_places_survey(os, &meta->places, &survey);
    if (rc < 0) return rc;
    extent->first = survey.first;
    extent->last = survey.last;
    /* All of it was trimmed, and the first one behind could not be made yet. */
    if (survey.first == 0 && ends_at == journal_segment_start(target)) {
        extent->first = target;
        extent->end = ends_at;
        return 0;
    }
    /* With a period, the time of the segment's first frame matters. */
    finder.uses_index = !verifies_all && meta->settings.roll_ms == 0;
    number = begin = begin_before(extent, ends_at, verifies_all);
    if (survey.first == 0 || survey.settled_last >= target) number = 0;
    for (rc = 1; rc == 1 && number > 0 && number <= target; number++) {
        rc = walk_segment(&finder, number);
        if (rc == 1) extent->end = journal_segment_start(number + 1);
    }
    if (rc < 0) return rc;
    extent->synced = ends_at; /* whatever was noted in frames */
    if (extent->end != ends_at) return refuse_end(&finder, ends_at, text);
    return extent->has_last_id ? 0 : find_last_id(&finder, begin);
}

/* ---- cutting ----------------------------------------------------------------------------------
 */

/* What was noted of being synced behind the end must not be missed by the next who opens it. */
static int lower_synced(struct finder *finder)
{
    struct journal_live *live = finder->meta->live;

    journal_live_lower_synced(live, finder->meta->journal, finder->extent->end);
    if (finder->syncs_late) return 0;
    return finder->os->sync_map(finder->os, live, JOURNAL_PAGE_BYTES);
}

/* Counts what a segment that goes held. */
static int count_segment(struct finder *finder, uint64_t number, uint64_t *bytes)
{
    struct opened opened;
    uint64_t end;
    int rc = open_segment(finder, number, &opened);

    if (rc == 0) rc = journal_scan_used_end(&opened.scan, JOURNAL_SEGMENT_HEADER_BYTES, &end);
    if (rc == 0) *bytes += end - JOURNAL_SEGMENT_HEADER_BYTES;
    close_segment(&opened);
    return rc == -EBADMSG || rc == -ENOENT ? 0 : rc;
}

int journal_recover_tail(struct os *os, const char *path, const struct journal_meta *meta,
                         const struct journal_extent *extent, uint64_t *out_bytes,
                         char text[JOURNAL_REPORT_TEXT_BYTES])
{
    struct journal_extent found = *extent;
    struct finder finder = { .os = os, .path = path, .meta = meta, .extent = &found };
    uint64_t end = journal_segment_of(extent->end), number = extent->last;
    char file[FILE_TEXT_BYTES];
    int rc = 0;

    *out_bytes = 0;
    if (extent->last == 0) return 0;
    *out_bytes = extent->used_end - journal_offset_of(extent->end);
    while (rc == 0 && number > end) {
        rc = count_segment(&finder, number, out_bytes);
        if (rc == 0) rc = journal_places_before(os, &meta->places, number, extent->first, &number);
    }
    if (rc < 0 || *out_bytes == 0) return rc;
    name_file(&finder, end, file, sizeof(file));
    (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES,
                   "behind %s offset %" PRIu64 " lie %" PRIu64 " bytes of a torn tail", file,
                   journal_offset_of(extent->end), *out_bytes);
    return 0;
}

/* From the last on, so that a cut that is interrupted leaves no gap. */
static int drop_segments(struct finder *finder, uint64_t keep, struct journal_report *report)
{
    uint64_t last = finder->extent->last;
    int rc = 0;

    while (rc == 0 && last > keep) {
        bool is_set_back = finder->extent->is_set_back;
        rc = is_set_back ? 0 : count_segment(finder, last, &report->cut_bytes);
        if (rc == 0) rc = journal_segment_remove(finder->os, finder->path, last);
        if (rc < 0) break;
        report->dropped_segment_count++;
        rc = journal_places_before(finder->os, &finder->meta->places, last, keep + 1, &last);
    }
    if (rc < 0 || report->dropped_segment_count == 0 || finder->syncs_late) return rc;
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
    if (rc == 0 && !finder->syncs_late) rc = finder->os->fsync(finder->os, segment->fd);
    journal_segment_close(finder->os, segment);
    return rc;
}

int journal_recover_cut(struct os *os, const char *path, const struct journal_meta *meta,
                        const struct journal_extent *extent, bool syncs_late,
                        struct journal_report *report)
{
    struct journal_extent found = *extent;
    struct finder finder = {
        .os = os, .path = path, .meta = meta, .extent = &found, .syncs_late = syncs_late
    };
    uint64_t end = journal_segment_of(extent->end), number = journal_segment_of(extent->synced);
    int rc;

    if (extent->last == 0) return 0;
    assert(extent->end >= extent->synced);
    rc = extent->is_set_back ? lower_synced(&finder) : 0;
    if (rc == 0) rc = drop_segments(&finder, end, report);
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
