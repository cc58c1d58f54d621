/* A reader keeps one segment open, the one it stands in (source.h). What it trusts is the published
 * position and nothing else: sizes are compared with it and with what there is of the segment
 * before they are used, so that no header leads it beyond the mapping or the file. */
#include "modules/journal/reader_internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "modules/base/clock.h"
#include "modules/base/os.h"
#include "modules/journal/index.h"
#include "modules/journal/journal.h"
#include "modules/journal/recover.h"

enum {
    POLL_US = 1000, /* how often one looks who may not sleep on `waiters` */
    /* How often one looks who does: a writer that is killed when it has taken the flag and not
     * woken anybody yet leaves sleepers of whom nobody knows. */
    LOOK_US = 1000 * 1000,
};

/* ---- the end ----------------------------------------------------------------------------------
 */

static bool is_live(const struct journal_reader *reader)
{
    uint64_t boot = atomic_load_explicit(&reader->meta.live->boot, memory_order_acquire);
    return boot != 0 && boot == reader->boot;
}

uint64_t journal_reader_end(const struct journal_reader *reader)
{
    if (reader->async) return journal_async_end(reader->async);
    if (reader->home) return journal_published(reader->home);
    if (reader->searching) return reader->found_end;
    if (!is_live(reader)) return reader->found_end;
    return atomic_load_explicit(&reader->meta.live->published, memory_order_acquire);
}

bool journal_reader_is_busy(const struct journal_reader *reader)
{
    return reader->async && journal_async_is_busy(reader->async);
}

bool journal_reader_has(const struct journal_reader *reader, uint64_t position)
{
    return reader->async && journal_async_has(reader->async, journal_segment_of(position),
                                              journal_offset_of(position));
}

uint64_t journal_reader_window_bytes(const struct journal_reader *reader)
{
    uint64_t run_bytes = reader->run ? journal_run_memory_bytes(reader->run) : 0;

    return reader->async ? run_bytes + journal_async_memory_bytes(reader->async) : 0;
}

void journal_reader_forget_error(struct journal_reader *reader)
{
    if (reader->async) journal_async_forget_error(reader->async);
}

void journal_reader_look_again(struct journal_reader *reader)
{
    if (reader->async) journal_async_look_again(reader->async);
}

void journal_reader_look_anew(struct journal_reader *reader)
{
    if (reader->async) journal_async_look_anew(reader->async);
}

uint64_t journal_reader_position(const struct journal_reader *reader)
{
    return reader->position;
}

/* ---- frames -----------------------------------------------------------------------------------
 */

int journal_reader_need_source(struct journal_reader *reader)
{
    uint64_t number = journal_segment_of(reader->position);
    int rc;

    if (reader->async || reader->searching) return 0; /* they see to that themselves */
    if (reader->home) {
        rc = journal_reader_look_home(reader);
        if (rc < 0 || reader->home) return rc;
    }
    if (reader->source && reader->source->number == number) return 0;
    journal_source_close(reader->source);
    reader->source = NULL;
    rc = journal_source_open(reader->os, &reader->meta.places, number, &reader->source);
    return rc == -ENOENT ? -ESTALE : rc;
}

/* What of its segment the reader may look at. need_source has been called. */
static uint64_t limit_of(const struct journal_reader *reader, uint64_t end)
{
    if (reader->home || journal_segment_of(end) == journal_segment_of(reader->position)) {
        return journal_offset_of(end);
    }
    if (reader->async || reader->searching) {
        return JOURNAL_SEGMENT_BYTES_MAX; /* they know what the file has */
    }
    return reader->source->limit;
}

uint32_t journal_reader_seed(const struct journal_reader *reader)
{
    const struct journal_async *async = reader->async ? reader->async : reader->searching;

    if (async) return journal_async_seed(async, journal_segment_of(reader->position));
    return reader->home ? journal_reader_home_segment(reader)->seed : reader->source->seed;
}

static int view(struct journal_reader *reader, uint64_t offset, uint64_t size, uint64_t limit,
                const uint8_t **out_bytes)
{
    uint64_t number = journal_segment_of(reader->position);
    int rc;

    if (offset > limit || size > limit - offset) return -EBADMSG;
    if (reader->async || reader->searching) {
        rc = reader->async
                 ? journal_async_view(reader->async, number, offset, size, limit, out_bytes)
                 : journal_async_view_here(reader->searching, reader->os, number, offset, size,
                                           limit, out_bytes);
        return rc == -ENOENT ? -ESTALE : rc;
    }
    if (!reader->home) return journal_source_view(reader->source, offset, size, out_bytes);
    *out_bytes = journal_reader_home_segment(reader)->map + offset;
    return 0;
}

/* What it passes over is not looked at: that may be much (drop.h). */
static int verify_sealed(const struct journal_reader *reader, uint64_t offset, uint64_t limit,
                         const struct journal_frame *frame)
{
    if (journal_frame_bytes(frame->payload_bytes) > limit - offset) return -EBADMSG;
    return journal_frame_crc(journal_reader_seed(reader), offset, frame) == frame->crc32c
               ? 1
               : -EBADMSG;
}

int journal_reader_frame(struct journal_reader *reader, uint64_t end,
                         struct journal_frame *out_frame, const uint8_t **out_bytes)
{
    uint64_t offset = journal_offset_of(reader->position), limit;
    int rc;

    if (reader->position >= end) return 0;
    rc = journal_reader_need_source(reader);
    if (rc < 0) return rc;
    limit = limit_of(reader, end);
    rc = view(reader, offset, JOURNAL_FRAME_HEADER_BYTES, limit, out_bytes);
    if (rc < 0) return rc;
    rc = journal_frame_load(*out_bytes, out_frame);
    if (rc != 0) return rc;
    if (out_frame->state == JOURNAL_SEALED) return verify_sealed(reader, offset, limit, out_frame);
    rc = view(reader, offset, JOURNAL_FRAME_HEADER_BYTES + (uint64_t)out_frame->payload_bytes,
              limit, out_bytes);
    if (rc < 0) return rc;
    rc = journal_frame_verify(journal_reader_seed(reader), offset, *out_bytes, limit - offset,
                              out_frame);
    return rc == 1 ? 1 : -EBADMSG;
}

static int frame_here(struct journal_reader *reader, struct journal_frame *out_frame,
                      const uint8_t **out_bytes)
{
    return journal_reader_frame(reader, journal_reader_end(reader), out_frame, out_bytes);
}

void journal_reader_step_over(struct journal_reader *reader, const struct journal_frame *frame)
{
    if (frame->state == JOURNAL_END) {
        reader->position = journal_segment_start(journal_segment_of(reader->position) + 1);
    } else {
        reader->position += journal_frame_bytes(frame->payload_bytes);
    }
}

/* A data frame that was verified; the reader stands behind it. */
static void give(struct journal_reader *reader, uint64_t position,
                 const struct journal_frame *frame, const uint8_t *bytes,
                 struct journal_entry *out_entry)
{
    reader->last_position = position;
    reader->last_crc = frame->crc32c;
    *out_entry = (struct journal_entry){
        .position = position,
        .time_ms = frame->time_ms,
        .seq = frame->seq,
        .payload = slice_of(bytes + JOURNAL_FRAME_HEADER_BYTES, frame->payload_bytes),
    };
}

int journal_reader_next_until(struct journal_reader *reader, uint64_t until,
                              struct journal_entry *out_entry)
{
    struct journal_frame frame;
    const uint8_t *bytes;
    int rc;

    for (;;) {
        uint64_t position = reader->position;
        if (position >= until) return 0;
        rc = frame_here(reader, &frame, &bytes);
        if (rc <= 0) return rc;
        journal_reader_step_over(reader, &frame);
        if (frame.state != JOURNAL_DATA) continue;
        give(reader, position, &frame, bytes, out_entry);
        return 1;
    }
}

int journal_reader_next(struct journal_reader *reader, struct journal_entry *out_entry)
{
    return journal_reader_next_until(reader, UINT64_MAX, out_entry);
}

/* The bytes behind the last frame that may be looked at without another being moved. */
static uint64_t bytes_at_hand(const struct journal_reader *reader, const uint8_t **out_bytes)
{
    uint64_t end = journal_reader_end(reader), offset = journal_offset_of(reader->position), size,
             limit;

    if (reader->position >= end) return 0;
    size = journal_async_at_hand(reader->async, journal_segment_of(reader->position), offset,
                                 out_bytes);
    limit = limit_of(reader, end);
    return size > limit - offset ? limit - offset : size;
}

/* What is no whole, good data frame is left to journal_reader_next. */
static bool is_whole(const struct journal_reader *reader, uint32_t seed, const uint8_t *bytes,
                     uint64_t size, struct journal_frame *out_frame)
{
    return journal_frame_verify(seed, journal_offset_of(reader->position), bytes, size,
                                out_frame) == 1 &&
           out_frame->state == JOURNAL_DATA;
}

int journal_reader_next_some(struct journal_reader *reader, uint64_t until, uint32_t count_max,
                             uint64_t payload_bytes_max, struct journal_entry *out_entries)
{
    int rc = journal_reader_next_until(reader, until, out_entries), count = 1;
    uint64_t payload_bytes, size;
    struct journal_frame frame;
    const uint8_t *bytes = NULL;
    uint32_t seed;

    assert(count_max > 0 && count_max <= INT_MAX);
    if (rc <= 0 || count_max == 1 || !reader->async) return rc;
    payload_bytes = out_entries->payload.size;
    seed = journal_reader_seed(reader);
    size = bytes_at_hand(reader, &bytes);
    while (count < (int)count_max && is_whole(reader, seed, bytes, size, &frame)) {
        uint64_t position = reader->position, frame_bytes;

        payload_bytes += frame.payload_bytes;
        if (payload_bytes > payload_bytes_max) break;
        journal_reader_step_over(reader, &frame);
        give(reader, position, &frame, bytes, &out_entries[count++]);
        frame_bytes = reader->position - position;
        bytes += frame_bytes;
        size -= frame_bytes;
    }
    return count;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static int sleep_once(struct journal_reader *reader, int64_t timeout_us)
{
    const struct journal_live *live = reader->meta.live;
    uint64_t boot = atomic_load_explicit(&live->boot, memory_order_acquire);
    uint64_t seen = atomic_load_explicit(&live->published, memory_order_acquire);
    struct timespec pause = { .tv_nsec = POLL_US * 1000L };

    if (reader->position < journal_reader_end(reader)) return 0;
    if (timeout_us < 0 || timeout_us > LOOK_US) timeout_us = LOOK_US;
    if (reader->meta.waiters) {
        return journal_live_wait(live, reader->meta.waiters, boot, seen, timeout_us);
    }
    return nanosleep(&pause, NULL) < 0 ? -errno : 0;
}

int journal_reader_wait(struct journal_reader *reader, int64_t timeout_us)
{
    uint64_t now = timeout_us > 0 ? clock_monotonic_us() : 0;
    uint64_t deadline = now + (uint64_t)timeout_us;
    int rc;

    while (reader->position >= journal_reader_end(reader)) {
        if (timeout_us == 0 || reader->home || reader->async) return 0;
        if (timeout_us > 0) {
            now = clock_monotonic_us();
            if (now >= deadline) return 0;
        }
        rc = sleep_once(reader, timeout_us > 0 ? (int64_t)(deadline - now) : JOURNAL_FOREVER);
        if (rc < 0 && rc != -ETIMEDOUT) return rc;
    }
    return 1;
}

/* ---- seeking ----------------------------------------------------------------------------------
 */

int journal_reader_segments(struct journal_reader *reader, uint64_t *out_first, uint64_t *out_last)
{
    struct journal_survey survey;
    int rc;

    *out_first = *out_last = 1;
    if (reader->async) return 0; /* in memory, else it seeks by a job */
    if (reader->searching) {
        *out_first = journal_segment_of(journal_async_search_start(reader->searching));
        *out_last = journal_segment_of(reader->found_end);
        return 0;
    }
    if (reader->home) {
        rc = journal_reader_look_home(reader);
        if (rc < 0 || reader->home) return rc;
    }
    rc = journal_places_survey(reader->os, &reader->meta.places, &survey);
    if (rc < 0 || survey.first == 0) return rc;
    *out_first = survey.first;
    *out_last = survey.last;
    return 0;
}

int journal_reader_seek_start(struct journal_reader *reader)
{
    uint64_t first, last;
    int rc;

    reader->last_position = 0;
    if (reader->async) {
        reader->position = journal_async_start(reader->async);
        return 0;
    }
    rc = journal_reader_segments(reader, &first, &last);
    if (rc < 0) return rc;
    reader->position = journal_segment_start(first);
    return 0;
}

int journal_reader_seek_end(struct journal_reader *reader)
{
    reader->last_position = 0;
    reader->position = journal_reader_end(reader);
    return 0;
}

int journal_reader_seek_position(struct journal_reader *reader, uint64_t position)
{
    uint64_t before = reader->position;
    struct journal_frame frame;
    const uint8_t *bytes;
    int rc;

    if (position % JOURNAL_FRAME_ALIGN != 0 || position > journal_reader_end(reader) ||
        journal_offset_of(position) < JOURNAL_SEGMENT_HEADER_BYTES) {
        return -EINVAL;
    }
    reader->last_position = 0;
    reader->position = position;
    rc = frame_here(reader, &frame, &bytes);
    if (rc >= 0) return 0;
    reader->position = before;
    return rc == -EBADMSG ? -EINVAL : rc;
}

static bool is_below(const struct journal_entry *entry, uint64_t time_ms, uint64_t seq)
{
    return entry->time_ms != time_ms ? entry->time_ms < time_ms : entry->seq < seq;
}

static bool is_above(const struct journal_entry *entry, uint64_t time_ms, uint64_t seq)
{
    return entry->time_ms != time_ms ? entry->time_ms > time_ms : entry->seq > seq;
}

/* The first data frame at or after segment number's start, which may lie in a later segment. */
static int first_entry(struct journal_reader *reader, uint64_t number, struct journal_entry *entry)
{
    reader->position = journal_segment_start(number);
    return journal_reader_next(reader, entry);
}

/* The last segment from which on a search for an id must look: all before it end below the id. */
static int find_segment(struct journal_reader *reader, uint64_t time_ms, uint64_t seq,
                        uint64_t *out_number)
{
    uint64_t first, last, low, high;
    int rc = journal_reader_segments(reader, &first, &last);

    if (rc < 0) return rc;
    if (journal_segment_of(journal_reader_end(reader)) < last) {
        last = journal_segment_of(journal_reader_end(reader));
    }
    /* low begins below the id, or is the first there is; high and what follows do not. */
    low = first;
    high = last + 1;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        struct journal_entry entry;
        rc = first_entry(reader, middle, &entry);
        if (rc < 0) return rc;
        if (rc == 1 && is_below(&entry, time_ms, seq)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out_number = low;
    return 0;
}

/* Goes to where the index says that a search may begin, if a frame is there indeed. */
static int use_index(struct journal_reader *reader, uint64_t time_ms, uint64_t seq)
{
    struct journal_index index = { 0 };
    uint64_t number = journal_segment_of(reader->position), offset;
    struct journal_entry entry;
    int rc = journal_reader_need_source(reader);

    if (rc == 0 && reader->source) {
        rc = journal_index_load(reader->os, reader->path, number, reader->source->seed, &index);
    }
    offset = rc == 0 ? journal_index_find_id(&index, time_ms, seq) : 0;
    journal_index_finish(&index);
    if (rc < 0) return rc;
    if (offset == 0 || journal_position(number, offset) >= journal_reader_end(reader)) return 0;
    reader->position = journal_position(number, offset);
    rc = journal_reader_next(reader, &entry);
    if (rc == 1 && entry.position == journal_position(number, offset) &&
        !is_above(&entry, time_ms, seq)) {
        reader->position = entry.position;
    } else {
        reader->position = journal_segment_start(number); /* the hint is wrong */
    }
    return 0;
}

static int seek_id(struct journal_reader *reader, uint64_t time_ms, uint64_t seq)
{
    struct journal_entry entry;
    uint64_t number;
    int rc = find_segment(reader, time_ms, seq, &number);

    if (rc < 0) return rc;
    reader->position = journal_segment_start(number);
    if (reader->position >= journal_reader_end(reader)) return 0;
    rc = use_index(reader, time_ms, seq);
    if (rc < 0) return rc;
    do {
        rc = journal_reader_next(reader, &entry);
    } while (rc == 1 && is_below(&entry, time_ms, seq));
    if (rc == 1) reader->position = entry.position;
    return rc < 0 ? rc : 0;
}

int journal_reader_seek_id(struct journal_reader *reader, uint64_t time_ms, uint64_t seq)
{
    uint64_t before = reader->position;
    int rc;

    if (reader->async && !journal_async_is_in_memory(reader->async)) {
        return journal_async_seek_id(reader->async, time_ms, seq, &reader->position);
    }
    rc = seek_id(reader, time_ms, seq);
    reader->last_position = 0;
    if (rc < 0) reader->position = before;
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int find_end(struct journal_reader *reader)
{
    struct journal_extent extent = { 0 };
    char text[JOURNAL_REPORT_TEXT_BYTES];
    int rc;

    if (is_live(reader)) return 0;
    rc = journal_recover_find(reader->os, reader->path, &reader->meta, 0, false, &extent, text);
    if (rc == 0) reader->found_end = extent.end;
    journal_index_finish(&extent.index);
    return rc;
}

int journal_reader_open(struct os *os, const char *path, struct journal_reader **out_reader)
{
    struct journal_reader *reader = calloc(1, sizeof(*reader));
    int rc = -ENOMEM;

    if (!reader) return -ENOMEM;
    reader->os = os;
    reader->meta.fd = -1;
    reader->name_fd = -1;
    reader->path = strdup(path);
    if (reader->path) rc = journal_meta_open_reader(os, path, &reader->meta);
    if (rc < 0) goto out;
    reader->boot = journal_boot(os);
    rc = find_end(reader);
    if (rc == 0) rc = journal_reader_seek_start(reader);
    if (rc < 0) goto out;
    *out_reader = reader;
    reader = NULL;
out:
    journal_reader_close(reader);
    return rc;
}

void journal_reader_close(struct journal_reader *reader)
{
    if (!reader) return;
    journal_async_destroy(reader->async);
    journal_run_destroy(reader->run);
    journal_source_close(reader->source);
    journal_meta_close(reader->os, &reader->meta);
    if (reader->name_fd >= 0) (void)reader->os->close(reader->os, reader->name_fd);
    free(reader->path);
    free(reader);
}
