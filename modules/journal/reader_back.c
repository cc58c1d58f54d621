/* Reading backward. Frames tell where the next one begins, not where the one before does: so the
 * places of all frames of a piece are found first, forward from the index point before the reader,
 * and then handed out from the last on. A piece is a **run**:
 *
 *      index point                              target
 *   …  |frame|frame|  …  |frame|frame|frame|    |        all of them are in the segment before the
 *      ^ begin           ^ walked                ^ end   target: a run ends with its segment
 *
 * Frames do not move, so no run misses one for as long as its segment is there. But one that is
 * in it may have been dropped since (packer.h): then the one before is meant. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/index.h"
#include "modules/journal/reader_internal.h"

enum { RUN_FRAMES_MIN = 64, RUN_FRAMES_MAX = 8192 };

struct journal_run {
    uint64_t begin, end;     /* places of all data frames between are known; end 0: not yet */
    uint64_t target, walked; /* while it is being made */
    /* Before asked is looked, and between reached and it there is nothing: runs without any data
     * lie there perhaps. Who waited goes on from there; else, with one index and one window at a
     * time, he would never come past two of them. */
    uint64_t asked, reached;
    uint64_t *places;
    size_t count, capacity;
};

void journal_run_destroy(struct journal_run *run)
{
    if (!run) return;
    free(run->places);
    free(run);
}

uint64_t journal_run_memory_bytes(const struct journal_run *run)
{
    return sizeof(*run) + run->capacity * sizeof(*run->places);
}

/* Of a piece that has more frames than are remembered, the last ones are. */
static void forget_half(struct journal_run *run)
{
    size_t half = run->count / 2;

    memmove(run->places, run->places + half, (run->count - half) * sizeof(*run->places));
    run->count -= half;
    run->begin = run->places[0];
}

static int add_place(struct journal_run *run, uint64_t place)
{
    if (run->count == RUN_FRAMES_MAX) forget_half(run);
    if (run->count == run->capacity) {
        size_t capacity = run->capacity > 0 ? 2 * run->capacity : RUN_FRAMES_MIN;
        uint64_t *places = realloc(run->places, capacity * sizeof(*places));
        if (!places) return -ENOMEM;
        run->places = places;
        run->capacity = capacity;
    }
    run->places[run->count++] = place;
    return 0;
}

/* The last index point of a segment that lies before offset; 0: none is known. */
static int point_before(struct journal_reader *reader, uint64_t number, uint64_t offset,
                        uint64_t *out_offset)
{
    struct journal_index index = { 0 };
    int rc;

    *out_offset = 0;
    if (reader->async) return journal_async_point_before(reader->async, number, offset, out_offset);
    if (!reader->source) return 0; /* in memory */
    rc = journal_index_load(reader->os, reader->path, number, reader->source->seed, &index);
    if (rc == 0) *out_offset = journal_index_find_before(&index, offset);
    journal_index_finish(&index);
    return rc;
}

static void begin_at(struct journal_run *run, uint64_t target, uint64_t position)
{
    run->begin = run->walked = position;
    run->target = target;
    run->end = 0;
    run->count = 0;
}

/* 1: a run towards the target has begun. 0: nothing lies before it. */
static int begin_run(struct journal_reader *reader, uint64_t target)
{
    uint64_t number = journal_segment_of(target), before = journal_offset_of(target), point = 0;
    int rc;

    if (before == JOURNAL_SEGMENT_HEADER_BYTES) {
        number--;
        before = JOURNAL_SEGMENT_BYTES_MAX;
    }
    if (reader->async && journal_segment_start(number) < journal_async_start(reader->async)) {
        return 0;
    }
    reader->position = journal_segment_start(number);
    if (number == 0) return 0;
    rc = journal_reader_need_source(reader);
    if (rc == -ESTALE) return 0;
    if (rc == 0 && reader->home && number != journal_reader_home_segment(reader)->number) return 0;
    if (rc == 0) rc = point_before(reader, number, before, &point);
    if (rc < 0) return rc;
    begin_at(reader->run, target,
             point > 0 ? journal_position(number, point) : journal_segment_start(number));
    return 1;
}

/* What may be looked at by who goes to a place: what is sealed may reach beyond. */
static uint64_t end_for(const struct journal_reader *reader, uint64_t place)
{
    uint64_t end = journal_reader_end(reader);

    return end > place ? end : place;
}

/* Goes on to the target. */
static int walk_run(struct journal_reader *reader)
{
    struct journal_run *run = reader->run;
    uint64_t end = end_for(reader, run->target);

    while (run->walked < run->target) {
        struct journal_frame frame;
        const uint8_t *bytes;
        int rc;
        reader->position = run->walked;
        rc = journal_reader_frame(reader, end, &frame, &bytes);
        if (rc == -EBADMSG && run->walked == run->begin && run->count == 0 &&
            journal_offset_of(run->begin) != JOURNAL_SEGMENT_HEADER_BYTES) {
            /* The hint is wrong. */
            begin_at(run, run->target, journal_segment_start(journal_segment_of(run->begin)));
            continue;
        }
        if (rc < 0) return rc;
        assert(rc == 1);
        if (frame.state == JOURNAL_DATA) rc = add_place(run, run->walked);
        if (rc < 0) return rc;
        journal_reader_step_over(reader, &frame);
        run->walked = reader->position;
        if (frame.state == JOURNAL_SEALED && run->walked > run->target) run->walked = run->target;
    }
    if (run->walked != run->target) return -EBADMSG;
    run->end = run->target;
    return 0;
}

/* The place of the last data frame of a run before position; 0: none is in it. */
static uint64_t place_before(const struct journal_run *run, uint64_t position)
{
    size_t low = 0, high = run->count; /* those below low lie before it, from high on not */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->places[middle] < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? run->places[low - 1] : 0;
}

/* Up to a target there is a run that is complete, and reaches beyond it. 1, 0: nothing lies before
 * the target, or an error. */
static int need_run(struct journal_reader *reader, uint64_t target)
{
    struct journal_run *run = reader->run;
    int rc;

    if (run->end > 0 && target > run->begin && target <= run->end) return 1;
    rc = run->end == 0 && run->target == target ? 1 : begin_run(reader, target);
    if (rc <= 0) return rc;
    if (reader->async) journal_async_fetch_whole(reader->async, true);
    rc = walk_run(reader);
    if (reader->async) journal_async_fetch_whole(reader->async, false);
    return rc < 0 ? rc : 1;
}

/* 1: *out_place is that of the last frame before position that may be data. 0: from from on there
 * is none. */
static int find_before(struct journal_reader *reader, uint64_t from, uint64_t position,
                       uint64_t *out_place)
{
    struct journal_run *run = reader->run;

    if (run->asked != position) run->asked = run->reached = position;
    for (;;) {
        int rc = run->reached > from ? need_run(reader, run->reached) : 0;
        if (rc <= 0) return rc;
        *out_place = place_before(run, run->reached);
        if (*out_place > 0) return 1;
        run->reached = run->begin; /* nothing but notes, and what was dropped */
    }
}

/* The same, and the reader stands there. */
static int go_before(struct journal_reader *reader, uint64_t from, uint64_t position,
                     struct journal_frame *out_frame, const uint8_t **out_bytes)
{
    for (;;) {
        uint64_t place;
        int rc = find_before(reader, from, position, &place);
        if (rc <= 0) return rc;
        reader->position = place;
        rc = journal_reader_frame(reader, end_for(reader, position), out_frame, out_bytes);
        if (rc <= 0 || out_frame->state == JOURNAL_DATA) return rc;
        reader->run->reached = place; /* it was dropped since the run was made */
    }
}

int journal_reader_previous(struct journal_reader *reader, struct journal_entry *out_entry)
{
    return journal_reader_previous_from(reader, 0, out_entry);
}

int journal_reader_previous_from(struct journal_reader *reader, uint64_t from,
                                 struct journal_entry *out_entry)
{
    uint64_t before = reader->position;
    struct journal_frame frame;
    const uint8_t *bytes;
    int rc;

    if (!reader->run) reader->run = calloc(1, sizeof(*reader->run));
    if (!reader->run) return -ENOMEM;
    rc = go_before(reader, from, before, &frame, &bytes);
    if (rc <= 0) {
        bool has_come_there = rc == 0 && reader->run->reached <= from;
        reader->position = has_come_there && from < before ? from : before;
        return rc;
    }
    reader->last_position = 0;
    *out_entry = (struct journal_entry){
        .position = reader->position,
        .time_ms = frame.time_ms,
        .seq = frame.seq,
        .payload = slice_of(bytes + JOURNAL_FRAME_HEADER_BYTES, frame.payload_bytes),
    };
    return 1;
}
