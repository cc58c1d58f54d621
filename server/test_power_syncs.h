/* test_power_syncs.h - for test_power_work.h: which segments its log had, and how much of it had
 * been synced when, as far as the record tells. */
#ifndef SERVER_TEST_POWER_SYNCS_H
#define SERVER_TEST_POWER_SYNCS_H
#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "modules/base/record.h"
#include "modules/journal/format.h"

enum { SEGMENTS_MAX = 1000, LOGS_MAX = 100 };

struct segment {
    uint32_t file;
    unsigned number;
    size_t made_at;
    bool has_frames;
};

struct segments {
    struct segment items[SEGMENTS_MAX];
    unsigned count, removed_count;
    uint32_t logs[LOGS_MAX]; /* directories, which streams have, too */
    unsigned log_count;
};

static inline bool parse_segment(const char *name, unsigned *out_number)
{
    int end = 0;

    return sscanf(name, "%u.log%n", out_number, &end) == 1 && end > 0 && name[end] == '\0';
}

static inline bool is_of_a_log(const struct segments *segments, const struct record_event *event)
{
    for (unsigned i = 0; i < segments->log_count; i++) {
        if (segments->logs[i] == event->directory) return true;
    }
    return false;
}

static inline void add_log(struct segments *segments, const struct record_event *event)
{
    bool is_log = strcmp(event->name, "log") == 0 || strncmp(event->name, "log-", 4) == 0;

    if (!is_log || !event->value) return;
    ck_assert_uint_lt(segments->log_count, LOGS_MAX);
    segments->logs[segments->log_count++] = event->file;
}

static inline struct segment *segment_of(struct segments *segments, uint32_t file)
{
    for (unsigned i = segments->count; i-- > 0;) {
        if (segments->items[i].file == file) return &segments->items[i];
    }
    return NULL;
}

static inline void add_segment(struct segments *segments, const struct record_event *event,
                               size_t index)
{
    unsigned number;

    if (!is_of_a_log(segments, event) || !parse_segment(event->name, &number)) return;
    ck_assert_uint_lt(segments->count, SEGMENTS_MAX);
    segments->items[segments->count++] = (struct segment){ event->file, number, index, false };
}

static inline bool is_of_frames(const struct record_event *event)
{
    uint64_t head = event->offset < JOURNAL_SEGMENT_HEADER_BYTES
                        ? JOURNAL_SEGMENT_HEADER_BYTES - event->offset
                        : 0;

    for (uint64_t i = head; i < event->size; i++) {
        if (event->bytes[i] != 0) return true;
    }
    return false;
}

/* When the first that is later was made: until then it held nothing. Its first frame may have been
 * there for some events before the record has seen it. */
static inline size_t later_made_at(const struct segments *segments, unsigned number)
{
    size_t made_at = SIZE_MAX;

    for (unsigned i = 0; i < segments->count; i++) {
        const struct segment *segment = &segments->items[i];
        if (segment->number > number && segment->made_at < made_at) made_at = segment->made_at;
    }
    return made_at;
}

static inline void note_event(struct segments *segments, const struct record_event *event,
                              size_t index)
{
    struct segment *segment;
    unsigned number;

    switch (event->kind) {
    case RECORD_NAME:
        add_log(segments, event);
        add_segment(segments, event, index);
        break;
    case RECORD_UNNAME:
        segments->removed_count +=
            is_of_a_log(segments, event) && parse_segment(event->name, &number);
        break;
    case RECORD_WRITE:
        segment = segment_of(segments, event->file);
        if (segment && is_of_frames(event)) segment->has_frames = true;
        break;
    default:
        break;
    }
}

/* out_synced_at[n]: behind n events, all that had been answered before that many was synced.
 *
 * The log is synced in steps, one at a time and the oldest segment first. A step was asked for some
 * time before it began: after the one before it had ended, that much can be seen. So what was there
 * then is synced with it, but for what a later segment may have had. The sync of a segment that has
 * no frames yet belongs to its making. */
static inline void learn_syncs(const struct record *record, struct segments *segments,
                               size_t *out_synced_at)
{
    size_t synced_at = 0, last_end = 0;

    segments->count = segments->removed_count = segments->log_count = 0;
    out_synced_at[0] = 0;
    for (size_t i = 0; i < record_count(record); i++) {
        const struct record_event *event = record_event(record, i);
        const struct segment *segment =
            event->kind == RECORD_SYNC_END ? segment_of(segments, event->file) : NULL;
        note_event(segments, event, i);
        if (segment && segment->has_frames) {
            size_t later = later_made_at(segments, segment->number);
            size_t bound = last_end < later ? last_end : later;
            if (bound > synced_at) synced_at = bound;
            last_end = i;
        }
        out_synced_at[i + 1] = synced_at;
    }
}
#endif
