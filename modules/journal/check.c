#include "modules/journal/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/meta.h"
#include "modules/journal/recover.h"
#include "modules/journal/scan.h"
#include "modules/journal/stored.h"

/* A frame behind the end is looked for at every place. Its time is compared first, as nearly
 * nothing that is no frame has one so near: else a checksum would be made of up to all that
 * follows, at each place. */
#define NEAR_MS (UINT64_C(10) * 366 * 86400000)

struct checker {
    struct os *os;
    const struct journal_meta *meta;
    struct journal_check *check;
    journal_check_frame each;
    void *context;
    uint64_t synced_position; /* the caller's */
    uint64_t last_time_ms;    /* of the last frame before the end; 0: there was none */
    uint64_t last_seq;
    uint8_t *payload;
    size_t capacity;
};

void journal_check_place(uint64_t position, char text[JOURNAL_REPORT_TEXT_BYTES])
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, journal_segment_of(position), "log");
    (void)snprintf(text, JOURNAL_REPORT_TEXT_BYTES, "%s offset %" PRIu64, name,
                   journal_offset_of(position));
}

/* A frame that the scan found whole. */
static int give(struct checker *checker, struct journal_scan *scan, uint64_t position,
                const struct journal_frame *frame, bool is_behind_end)
{
    size_t size = frame->payload_bytes;
    int rc;

    if (!checker->each) return 0;
    if (size > checker->capacity) {
        uint8_t *bytes = realloc(checker->payload, size);
        if (!bytes) return -ENOMEM;
        checker->payload = bytes;
        checker->capacity = size;
    }
    rc = size == 0 ? 0
                   : journal_stored_read(scan->stored, checker->payload, size,
                                         journal_offset_of(position) + JOURNAL_FRAME_HEADER_BYTES);
    if (rc < 0) return rc;
    rc = checker->each(checker->context, position, frame->time_ms, slice_of(checker->payload, size),
                       is_behind_end);
    return rc < 0 ? rc : 0;
}

static void look_at_id(struct checker *checker, uint64_t position,
                       const struct journal_frame *frame)
{
    struct journal_check *check = checker->check;
    bool is_greater = frame->time_ms > checker->last_time_ms ||
                      (frame->time_ms == checker->last_time_ms && frame->seq > checker->last_seq);

    if (check->frame_count++ > 0 && !is_greater && check->unordered_position == 0)
        check->unordered_position = position;
    checker->last_time_ms = frame->time_ms;
    checker->last_seq = frame->seq;
}

static void look_at_place(struct checker *checker, uint64_t position)
{
    if (position == checker->synced_position) checker->check->has_synced_place = true;
}

/* Frames from position on, which recovery has found to be whole up to the end. */
static int walk_counted(struct checker *checker, struct journal_scan *scan, uint64_t position)
{
    while (position < checker->check->end) {
        struct journal_frame frame;
        int rc = journal_scan_frame(scan, journal_offset_of(position), &frame);

        look_at_place(checker, position);
        if (rc < 1 || frame.state == JOURNAL_END) return rc < 0 ? rc : 0;
        if (frame.state == JOURNAL_DATA) {
            look_at_id(checker, position, &frame);
            rc = give(checker, scan, position, &frame, false);
            if (rc < 0) return rc;
        }
        position += journal_frame_bytes(frame.payload_bytes);
    }
    return 0;
}

static bool is_near(const struct checker *checker, uint64_t time_ms)
{
    uint64_t last = checker->last_time_ms;

    return last == 0 || (time_ms + NEAR_MS >= last && time_ms <= last + NEAR_MS);
}

/* 1: a frame of data begins there, with this much of a header at least. */
static int look_for_frame(struct checker *checker, struct journal_scan *scan, uint64_t offset,
                          struct journal_frame *out_frame)
{
    uint8_t header[JOURNAL_FRAME_HEADER_BYTES];
    int rc;

    *out_frame = (struct journal_frame){ 0 };
    rc = journal_stored_read(scan->stored, header, sizeof(header), offset);
    if (rc == 0) rc = journal_frame_load(header, out_frame);
    if (rc == -EBADMSG) return 0;
    if (rc < 0) return rc;
    if (out_frame->state != JOURNAL_DATA || !is_near(checker, out_frame->time_ms)) return 0;
    rc = journal_scan_frame(scan, offset, out_frame);
    return rc == -EBADMSG || rc == -EAGAIN ? 0 : rc;
}

static int walk_tail(struct checker *checker, struct journal_scan *scan, uint64_t number,
                     uint64_t offset)
{
    uint64_t used;
    int rc = journal_scan_used_end(scan, offset, &used);

    if (rc < 0) return rc == -EBADMSG ? 0 : rc;
    checker->check->tail_bytes += used - offset;
    while (offset + JOURNAL_FRAME_HEADER_BYTES <= used) {
        struct journal_frame frame;

        rc = look_for_frame(checker, scan, offset, &frame);
        if (rc < 0) return rc;
        if (rc == 0) {
            offset += JOURNAL_FRAME_ALIGN;
            continue;
        }
        checker->check->tail_frame_count++;
        rc = give(checker, scan, journal_position(number, offset), &frame, true);
        if (rc < 0) return rc;
        offset += journal_frame_bytes(frame.payload_bytes);
    }
    return 0;
}

static int walk_segment(struct checker *checker, uint64_t number)
{
    uint64_t start = journal_segment_start(number), end = checker->check->end, behind;
    struct journal_stored stored;
    struct journal_scan scan = { 0 };
    int rc = journal_stored_open(checker->os, &checker->meta->places, number, &stored);

    if (rc == 0) rc = journal_scan_init(&scan, &stored);
    if (rc == 0 && start < end) rc = walk_counted(checker, &scan, start);
    if (rc == 0 && number >= journal_segment_of(end)) {
        behind = number == journal_segment_of(end) ? journal_offset_of(end)
                                                   : (uint64_t)JOURNAL_SEGMENT_HEADER_BYTES;
        rc = walk_tail(checker, &scan, number, behind);
    }
    journal_scan_finish(&scan);
    journal_stored_close(&stored);
    /* Of a segment that does not open nothing is told but what recovery said of it. */
    return rc == -EBADMSG || rc == -ENOENT ? 0 : rc;
}

static int check_open(struct checker *checker, const char *path, uint64_t synced_position)
{
    struct journal_check *check = checker->check;
    struct journal_extent extent;
    int rc = journal_recover_find(checker->os, path, checker->meta, synced_position, true, &extent,
                                  check->text);

    journal_index_finish(&extent.index);
    if (rc < 0 && (rc != -EBADMSG || extent.end >= extent.synced)) return rc;
    check->is_corrupt = rc < 0;
    check->first_segment = extent.first;
    check->last_segment = extent.last;
    check->end = extent.end;
    check->synced = extent.synced;
    look_at_place(checker, extent.end);
    rc = 0;
    for (uint64_t number = extent.first; rc == 0 && number > 0;) {
        rc = walk_segment(checker, number);
        if (rc == 0)
            rc = journal_places_after(checker->os, &checker->meta->places, number, extent.last,
                                      &number);
    }
    return rc;
}

int journal_check(struct os *os, const char *path, uint64_t synced_position,
                  journal_check_frame each, void *context, struct journal_check *out_check)
{
    struct journal_meta meta;
    struct checker checker = { .os = os,
                               .meta = &meta,
                               .check = out_check,
                               .each = each,
                               .context = context,
                               .synced_position = synced_position };
    int rc;

    *out_check = (struct journal_check){ 0 };
    rc = journal_meta_open_reader(os, path, &meta);
    if (rc < 0) return rc;
    rc = meta.places.key_error;
    if (rc == 0) rc = check_open(&checker, path, synced_position);
    free(checker.payload);
    journal_meta_close(os, &meta);
    return rc;
}
