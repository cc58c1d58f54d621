/* files_segments.c - what is left of segments, by their table and what is deleted.
 *
 *   segments    | 1      | 2      | 3      | 4      |        Who comes to the end of segment 1 goes
 *   ordinals    | .. .   |        |        |  .  .. |        on with segment 4: he reads nothing of
 *                        ^ place ─────────▶^                 2 and 3, whether they were written
 * anew without what is deleted or not. */
#include <assert.h>

#include "modules/stream/deleted.h"
#include "modules/stream/files_internal.h"

struct files_range stream_files_range(const struct stream_files *files, uint32_t index)
{
    bool is_last = index + 1 == files->segment_count;

    return (struct files_range){ .start = files->segments[index].start,
                                 .end = is_last ? UINT64_MAX : files->segments[index + 1].start };
}

/* Its ordinals are those before that. */
static uint64_t end_of(const struct stream *stream, uint32_t index)
{
    const struct stream_files *files = stream->files;

    return index + 1 < files->segment_count ? files->segments[index + 1].first_ordinal
                                            : stream->end;
}

/* The first ordinal from that one on that is there, or the stream's end. */
static uint64_t live_from(const struct stream *stream, uint64_t ordinal)
{
    if (ordinal < stream->start) ordinal = stream->start;
    ordinal = deleted_next_live(stream->deleted, ordinal);
    return ordinal < stream->end ? ordinal : stream->end;
}

/* The last one before that one; 0: there is none. */
static uint64_t live_before(const struct stream *stream, uint64_t ordinal)
{
    if (ordinal <= stream->start) return 0;
    ordinal = deleted_previous_live(stream->deleted, ordinal - 1);
    return ordinal >= stream->start ? ordinal : 0;
}

bool stream_files_is_dead(const struct stream *stream, uint32_t index)
{
    uint64_t first = stream->files->segments[index].first_ordinal;

    return live_from(stream, first) >= end_of(stream, index);
}

/* The last one that begins at or before that position (is_behind: before it). */
static uint32_t find_by_position(const struct stream_files *files, uint64_t position,
                                 bool is_behind)
{
    uint32_t low = 0, high = files->segment_count; /* those below low do */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t start = files->segments[middle].start;
        if (start < position || (!is_behind && start == position)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert(low > 0);
    return low - 1;
}

/* The one that an ordinal lies in, which is there. */
static uint32_t find_by_ordinal(const struct stream_files *files, uint64_t ordinal)
{
    uint32_t low = 0, high = files->segment_count; /* those below low begin at or before it */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (files->segments[middle].first_ordinal <= ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert(low > 0);
    return low - 1;
}

static bool pass_forward(const struct stream *stream, struct stream_place *place, uint32_t *index)
{
    const struct files_segment *segments = stream->files->segments;
    uint64_t live;

    if (place->words[0] != segments[*index].start) return true;
    live = live_from(stream, segments[*index].first_ordinal);
    if (live == stream->end) return false;
    *index = find_by_ordinal(stream->files, live);
    place->words[0] = segments[*index].start;
    return true;
}

static bool pass_backward(const struct stream *stream, struct stream_place *place, uint32_t *index)
{
    const struct stream_files *files = stream->files;
    uint64_t edge = stream_files_range(files, *index).end, live;
    uint32_t before = *index;

    if (place->words[0] != (edge < UINT64_MAX ? edge : files->end)) return true;
    live = live_before(stream, end_of(stream, *index));
    if (live == 0) return false;
    *index = find_by_ordinal(files, live);
    if (*index < before) place->words[0] = files->segments[*index + 1].start;
    return true;
}

bool stream_files_pass_dead(const struct stream *stream, enum stream_direction direction,
                            struct stream_place *place, uint32_t *out_index)
{
    bool is_forward = direction == STREAM_FORWARD;

    *out_index = find_by_position(stream->files, place->words[0], !is_forward);
    return is_forward ? pass_forward(stream, place, out_index)
                      : pass_backward(stream, place, out_index);
}
