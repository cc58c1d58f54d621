/* Going to a place that what frames hold tells: by halves among segments, then among the index
 * points of one, and forward from there. At each a frame is looked at, so an index that is wrong
 * costs a longer way, and nothing else.
 *
 * A reader that never waits has it done by a job, but where the place is certainly among the pages
 * that the writer has just stored. */
#include <errno.h>

#include "modules/base/os.h"
#include "modules/journal/index.h"
#include "modules/journal/reader_internal.h"

static bool is_before(const struct journal_search *search, const struct journal_entry *entry)
{
    return search->is_before(search->context, entry);
}

/* The first data frame at or behind position. 1, 0: there is none, or an error. */
static int entry_at(struct journal_reader *reader, uint64_t position, struct journal_entry *entry)
{
    reader->position = position;
    return journal_reader_next(reader, entry);
}

/* Forward to the place: no further than to the end of the last segment that may hold it. Behind it
 * there may be many of which nothing is left. */
static int walk(struct journal_reader *reader, const struct journal_search *search)
{
    uint64_t until =
        search->last > 0 ? journal_segment_start(journal_segment_of(search->last) + 1) : UINT64_MAX;
    struct journal_entry entry;
    uint64_t behind = reader->position;
    int rc;

    while ((rc = journal_reader_next_until(reader, until, &entry)) == 1) {
        if (!is_before(search, &entry)) {
            reader->position = entry.position;
            return 0;
        }
        behind = reader->position;
    }
    if (rc == 0) reader->position = behind;
    return rc;
}

/* The last segment whose first frame lies before the place, or the first of all. */
static int find_segment(struct journal_reader *reader, const struct journal_search *search,
                        uint64_t *out_number)
{
    uint64_t low, last, high;
    int rc = journal_reader_segments(reader, &low, &last);

    if (rc < 0) return rc;
    if (journal_segment_of(journal_reader_end(reader)) < last) {
        last = journal_segment_of(journal_reader_end(reader));
    }
    if (search->last > 0 && journal_segment_of(search->last) < last) {
        last = journal_segment_of(search->last);
    }
    if (search->from > 0 && journal_segment_of(search->from) > low) {
        low = journal_segment_of(search->from);
    }
    for (high = last + 1; low + 1 < high;) {
        uint64_t middle = low + (high - low) / 2;
        struct journal_entry entry;
        rc = entry_at(reader, journal_segment_start(middle), &entry);
        if (rc < 0) return rc;
        if (rc == 1 && is_before(search, &entry)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out_number = low;
    return 0;
}

/* Whether a frame is at the index point indeed, and lies before the place. */
static int point_is_before(struct journal_reader *reader, const struct journal_search *search,
                           uint64_t position)
{
    struct journal_entry entry;
    int rc;

    if (position >= journal_reader_end(reader)) return 0;
    rc = entry_at(reader, position, &entry);
    if (rc == -EBADMSG) return 0;
    if (rc < 0) return rc;
    return rc == 1 && entry.position == position && is_before(search, &entry);
}

/* By the id alone: 1, and the reader stands there, if the last point that is not greater lies
 * before the place, or all are greater. */
static int try_point_of_id(struct journal_reader *reader, const struct journal_search *search,
                           uint64_t number, const struct journal_index *index)
{
    uint64_t position = reader->searching ? journal_async_search_hint(reader->searching) : 0;
    uint64_t offset;
    int rc = 1;

    if (!search->has_id) return 0;
    if (journal_segment_of(position) != number) {
        offset = journal_index_find_id(index, search->time_ms, search->seq);
        position = offset > 0 ? journal_position(number, offset) : journal_segment_start(number);
    }
    if (position != journal_segment_start(number)) rc = point_is_before(reader, search, position);
    if (rc == 1) reader->position = position;
    return rc;
}

/* Goes to the last index point of a segment that lies before the place, or to the segment's start.
 */
static int go_to_point(struct journal_reader *reader, const struct journal_search *search,
                       uint64_t number, const struct journal_index *index)
{
    uint64_t best = journal_segment_start(number);
    size_t low = 0, high = index->count; /* points below low lie before it, from high on not */
    int rc = try_point_of_id(reader, search, number, index);

    if (rc != 0) return rc < 0 ? rc : 0;
    while (rc >= 0 && low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t position = journal_position(number, index->entries[middle].offset);
        rc = point_is_before(reader, search, position);
        if (rc == 1) {
            best = position;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    reader->position = best;
    return rc < 0 ? rc : 0;
}

static int search_files(struct journal_reader *reader, const struct journal_search *search)
{
    const struct journal_index *known =
        reader->searching ? journal_async_search_index(reader->searching) : NULL;
    struct journal_index index = { 0 };
    uint64_t number;
    int rc = find_segment(reader, search, &number);

    if (rc < 0) return rc;
    reader->position = journal_segment_start(number);
    if (reader->position >= journal_reader_end(reader)) return 0;
    rc = journal_reader_need_source(reader);
    if (number != journal_segment_of(search->last)) known = NULL;
    if (rc == 0 && !known && (reader->source || reader->searching)) {
        rc = journal_index_load(reader->os, reader->path, number, journal_reader_seed(reader),
                                &index);
    }
    if (rc == 0) rc = go_to_point(reader, search, number, known ? known : &index);
    journal_index_finish(&index);
    return rc < 0 ? rc : walk(reader, search);
}

/* 1: the place is behind the frame at an index point in the writer's pages, and the reader stands
 * there. 0: that is not known. */
static int find_warm(struct journal_reader *reader, const struct journal_search *search)
{
    uint64_t end = journal_reader_end(reader), number = journal_segment_of(end);
    uint64_t offset = journal_offset_of(end), position;
    int rc;

    if (search->last > 0 && journal_segment_of(search->last) < number) return 0;
    for (;;) {
        if (offset == JOURNAL_SEGMENT_HEADER_BYTES) return 0;
        rc = journal_async_point_before(reader->async, number, offset, &offset);
        if (rc < 0) return rc;
        if (offset == 0) offset = JOURNAL_SEGMENT_HEADER_BYTES;
        if (!journal_async_is_warm(reader->async, number, offset)) return 0;
        position = journal_position(number, offset);
        rc = point_is_before(reader, search, position);
        if (rc < 0) return rc;
        reader->position = position;
        if (rc == 1 || position == journal_async_start(reader->async)) return 1;
    }
}

static int search_without_waiting(struct journal_reader *reader,
                                  const struct journal_search *search)
{
    int rc = find_warm(reader, search);

    if (rc == 1) {
        journal_async_forget_search(reader->async);
        return walk(reader, search);
    }
    if (rc < 0 && rc != -EAGAIN) return rc;
    return journal_async_search(reader->async, search, &reader->position);
}

int journal_reader_search(struct journal_reader *reader, const struct journal_search *search)
{
    uint64_t before = reader->position;
    int rc = reader->async ? search_without_waiting(reader, search) : search_files(reader, search);

    reader->last_position = 0;
    if (rc < 0) reader->position = before;
    return rc;
}
