/* files_read.c - places and frames of streams in journals, by a few readers that all share.
 *
 * A place is a position in the journal: the next frame begins there, or the one before ends there.
 * A reader that stands at that position goes on; else the one that was not used for longest goes
 * there. What has to be fetched is fetched by a job: the call waits, or is made again, and then
 * finds the reader where it left it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

enum { FRAMES_AT_ONCE = 16 };

/* What is sought: the place before the first frame that is not less, or (is_behind) greater. */
struct target {
    bool by_ordinal, is_behind;
    uint64_t ordinal;
    struct stream_id id;
};

/* ---- frames ---- */

static int decode(const struct stream *stream, const struct journal_entry *frame,
                  struct stream_entry *out_entry)
{
    const uint8_t *bytes = frame->payload.bytes;
    size_t size = frame->payload.size;

    if (size <= STREAM_PAYLOAD_HEADER_BYTES) return -EBADMSG;
    *out_entry = (struct stream_entry){ .id = { frame->time_ms, frame->seq },
                                        .ordinal = load_u64le(bytes),
                                        .field_count = load_u32le(bytes + 8),
                                        .fields = slice_of(bytes + STREAM_PAYLOAD_HEADER_BYTES,
                                                           size - STREAM_PAYLOAD_HEADER_BYTES) };
    if (out_entry->ordinal == 0 || out_entry->ordinal >= stream->end) return -EBADMSG;
    return out_entry->field_count > 0 && out_entry->field_count % 2 == 0 ? 0 : -EBADMSG;
}

/* What stands behind the published end is on its way there, or never will be. */
static int answer_unpublished(const struct stream_files *files)
{
    struct journal_info info;

    if (journal_published(files->journal) >= files->end) return 0;
    if (journal_is_busy(files->journal)) return -EAGAIN;
    journal_get_info(files->journal, &info);
    if (info.error < 0) return info.error;
    if (info.write_error < 0) return info.write_error;
    journal_publish(files->journal);
    /* No job need end for that: who waits looks again. */
    if (files->store->hooks.on_ready) files->store->hooks.on_ready(files->store->hooks.context);
    return -EAGAIN;
}

/* How many frames, from position on (BACKWARD: before it), of the segment that begins at from; the
 * next one begins at until. */
static int read_frames(struct stream_files *files, struct files_slot *slot, uint64_t position,
                       struct files_range range, enum stream_direction direction,
                       struct stream_want want, struct journal_entry *out_frames)
{
    struct journal_reader *reader = slot->reader;
    int rc = 0;

    if (slot->goal != position) slot->has_arrived = false;
    slot->goal = position;
    if (!slot->has_arrived && journal_reader_position(reader) != position)
        rc = journal_reader_seek_position(reader, position);
    assert(rc <= 0);
    slot->has_arrived = rc == 0; /* and may be further on already, behind what is no entry */
    if (rc == 0 && direction == STREAM_FORWARD)
        rc = journal_reader_next_some(reader, range.end, want.count, want.bytes, out_frames);
    else if (rc == 0)
        rc = journal_reader_previous_from(reader, range.start, out_frames);
    slot->is_awaited = rc == -EAGAIN;
    stream_files_count_window(slot);
    if (!slot->is_awaited) slot->goal = 0;
    if (rc == 0 && direction == STREAM_FORWARD && journal_reader_position(reader) < range.end)
        rc = answer_unpublished(files);
    return rc == -EINVAL || rc == -ESTALE ? -EBADMSG : rc;
}

/* So many of them as are entries of the stream; the first that is none is met again by the next
 * call, which tells. place: behind the last of them. */
static int decode_all(const struct stream *stream, const struct journal_entry *frames, int count,
                      struct stream_place *place, struct stream_entry *out_entries)
{
    const struct stream_files *files = stream->files;

    for (int i = 0; i < count; i++) {
        bool came_later = files->base != files && frames[i].position >= files->end;
        int rc = came_later ? 0 : decode(stream, &frames[i], &out_entries[i]);

        if (!came_later && rc == 0) continue;
        if (i > 0) place->words[0] = frames[i].position;
        return i > 0 ? i : rc;
    }
    return count;
}

/* What lies in a segment, from the place on. 0: nothing does. */
static int read_segment(struct stream *stream, enum stream_direction direction,
                        struct stream_want want, struct files_range range,
                        struct stream_place *place, struct stream_entry *out_entries)
{
    struct stream_files *files = stream->files;
    struct journal_entry frames[FRAMES_AT_ONCE];
    struct files_slot *slot = NULL;
    struct stream_place behind;
    int rc = stream_files_need_open(files->base);

    if (want.count > FRAMES_AT_ONCE) want.count = FRAMES_AT_ONCE;
    if (rc == 0 && place->words[0] > journal_published(files->base->journal))
        rc = answer_unpublished(files->base);
    if (rc == 0) rc = stream_files_slot_at(files->base, place->words[0], &slot);
    if (rc < 0 || !slot) return rc;
    rc = read_frames(files->base, slot, place->words[0], range, direction, want, frames);
    if (rc <= 0) return rc;
    behind = (struct stream_place){ { journal_reader_position(slot->reader) } };
    rc = decode_all(stream, frames, rc, &behind, out_entries);
    if (rc <= 0) return rc;
    *place = behind;
    if (direction == STREAM_FORWARD && files->falls.count == 0)
        slot->behind = (struct files_known){ .files = files->base,
                                             .version = stream_files_version(stream),
                                             .before = out_entries[rc - 1].id,
                                             .position = place->words[0] };
    return rc;
}

static bool is_at_end(const struct stream_files *files, enum stream_direction direction,
                      const struct stream_place *place)
{
    return direction == STREAM_FORWARD ? place->words[0] >= files->end
                                       : place->words[0] <= files->segments[0].start;
}

/* Segment by segment, so that those of which nothing is left are passed over unread. */
static int try_next(struct stream *stream, enum stream_direction direction, struct stream_want want,
                    struct stream_place *place, struct stream_entry *out_entries)
{
    const struct stream_files *files = stream->files;
    uint32_t index;

    while (!is_at_end(files, direction, place) &&
           stream_files_pass_dead(stream, direction, place, &index)) {
        struct files_range range = stream_files_range(files, index);
        int rc = read_segment(stream, direction, want, range, place, out_entries);
        if (rc != 0) return rc;
        if (direction == STREAM_FORWARD && range.end == UINT64_MAX) return 0; /* it is the last */
        place->words[0] = direction == STREAM_FORWARD ? range.end : range.start;
    }
    return 0;
}

int stream_files_next(struct stream *stream, enum stream_direction direction,
                      struct stream_want want, struct stream_place *place,
                      struct stream_entry *out_entries)
{
    uint64_t version = stream->version;

    for (;;) {
        int rc = try_next(stream, direction, want, place, out_entries);
        if (rc != -EAGAIN) return rc;
        rc = stream_files_wait(stream->store);
        if (rc < 0) return rc;
        if (stream->version != version) return -ESTALE; /* the place is worth nothing any more */
    }
}

/* ---- places ---- */

static bool is_before(const struct target *target, const struct files_falls *falls,
                      uint64_t ordinal, struct stream_id id)
{
    int order;

    if (target->by_ordinal) {
        return ordinal < target->ordinal || (target->is_behind && ordinal == target->ordinal);
    }
    order = stream_id_compare(stream_falls_limit(falls, ordinal, id), target->id);
    return order < 0 || (target->is_behind && order == 0);
}

/* On an I/O thread perhaps: of the slot it looks at what is sought, and at nothing else. */
static bool frame_is_before(const void *context, const struct journal_entry *entry)
{
    const struct files_slot *slot = context;
    struct target target = { slot->by_ordinal, slot->is_behind, slot->ordinal, slot->id };
    struct stream_id id = { entry->time_ms, entry->seq };

    if (entry->payload.size < STREAM_PAYLOAD_HEADER_BYTES)
        return false; /* who reads it will tell */
    return is_before(&target, &slot->falls, load_u64le(entry->payload.bytes), id);
}

/* The last segment that begins before the place; NULL: the place is before all frames. */
static const struct files_segment *segment_of(const struct stream_files *files,
                                              const struct target *target)
{
    uint32_t low = 0, high = files->segment_count; /* those below low begin before it */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct files_segment *segment = &files->segments[middle];
        if (is_before(target, &files->falls, segment->first_ordinal, segment->first_id)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? &files->segments[low - 1] : NULL;
}

static bool seeks(const struct files_slot *slot, const struct stream_files *files,
                  const struct target *target)
{
    return slot->files == files->base && slot->search.key != 0 &&
           slot->by_ordinal == target->by_ordinal && slot->is_behind == target->is_behind &&
           slot->ordinal == target->ordinal && stream_id_compare(slot->id, target->id) == 0 &&
           slot->falls.count == files->falls.count;
}

static int begin_search(struct files_slot *slot, const struct target *target,
                        const struct files_falls *falls, const struct files_segment *segment)
{
    free(slot->falls.falls);
    slot->falls = (struct files_falls){ 0 };
    if (falls->count > 0) {
        slot->falls.falls = malloc(falls->count * sizeof(*falls->falls));
        if (!slot->falls.falls) return -ENOMEM;
        memcpy(slot->falls.falls, falls->falls, falls->count * sizeof(*falls->falls));
        slot->falls.count = falls->count;
    }
    slot->by_ordinal = target->by_ordinal;
    slot->is_behind = target->is_behind;
    slot->ordinal = target->ordinal;
    slot->id = target->id;
    slot->search = (struct journal_search){ .is_before = frame_is_before,
                                            .context = slot,
                                            .from = segment->start,
                                            .last = segment->start,
                                            .key = slot->used,
                                            .has_id = !target->by_ordinal && falls->count == 0,
                                            .time_ms = target->id.ms,
                                            .seq = target->id.seq };
    return 0;
}

/* The slot that seeks it already, or one that begins to. */
static int slot_for(struct stream_files *files, const struct target *target,
                    const struct files_segment *segment, struct files_slot **out_slot)
{
    struct files_slot *slots = files->store->files->slots;
    int rc;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        if (!seeks(&slots[i], files, target)) continue;
        *out_slot = &slots[i];
        return 0;
    }
    rc = stream_files_take_slot(files->base, out_slot);
    return rc < 0 ? rc : begin_search(*out_slot, target, &files->falls, segment);
}

/* At an edge of the segment, as the table tells: nothing is left of it, or the next one begins with
 * what is sought. */
static bool is_at_edge(const struct stream *stream, const struct target *target,
                       const struct files_segment *segment, struct stream_place *out_place)
{
    const struct stream_files *files = stream->files;
    uint32_t index = (uint32_t)(segment - files->segments);
    bool has_next = index + 1 < files->segment_count;
    bool begins_next = has_next && target->by_ordinal && !target->is_behind &&
                       segment[1].first_ordinal == target->ordinal;

    if (!begins_next && !stream_files_is_dead(stream, index)) return false;
    out_place->words[0] = target->is_behind ? segment->start
                          : has_next        ? segment[1].start
                                            : files->end;
    return true;
}

static int try_seek(struct stream *stream, const struct target *target,
                    struct stream_place *out_place)
{
    struct stream_files *files = stream->files;
    const struct files_segment *segment = segment_of(files, target);
    struct files_slot *slot = NULL;
    int rc;

    *out_place = (struct stream_place){ { files->segments[0].start } };
    if (!segment || is_at_edge(stream, target, segment, out_place)) return 0;
    rc = stream_files_need_open(files->base);
    if (rc == 0) rc = slot_for(files, target, segment, &slot);
    if (rc < 0 || !slot) return rc;
    rc = journal_reader_search(slot->reader, &slot->search);
    slot->is_awaited = rc == -EAGAIN;
    stream_files_count_window(slot);
    if (rc == 0) rc = answer_unpublished(files->base);
    if (rc == -EAGAIN) return rc;
    slot->search.key = 0;
    out_place->words[0] = journal_reader_position(slot->reader);
    return rc;
}

static int seek(struct stream *stream, const struct target *target, struct stream_place *out_place)
{
    for (;;) {
        int rc = try_seek(stream, target, out_place);
        if (rc != -EAGAIN) return rc;
        rc = stream_files_wait(stream->store);
        if (rc < 0) return rc;
    }
}

/* Whoever reads on asks for what is not less than the id behind the last one. */
static bool is_known(const struct stream *stream, struct stream_id id,
                     struct stream_place *out_place)
{
    *out_place = (struct stream_place){ { 0 } };
    return stream_id_decrement(&id) && stream_files_recall(stream, id, &out_place->words[0]);
}

int stream_files_seek_id(struct stream *stream, struct stream_id id,
                         enum stream_direction direction, struct stream_place *out_place)
{
    struct target target = { .is_behind = direction == STREAM_BACKWARD, .id = id };

    /* Behind all: that is asked for often. */
    if (stream_id_compare(id, stream->files->last_id) > 0) {
        *out_place = (struct stream_place){ { stream->files->end } };
        return 0;
    }
    if (direction == STREAM_FORWARD && is_known(stream, id, out_place)) return 0;
    return seek(stream, &target, out_place);
}

int stream_files_seek_ordinal(struct stream *stream, uint64_t ordinal,
                              enum stream_direction direction, struct stream_place *out_place)
{
    struct target target = { .by_ordinal = true,
                             .is_behind = direction == STREAM_BACKWARD,
                             .ordinal = ordinal };

    if (ordinal >= stream->end) {
        *out_place = (struct stream_place){ { stream->files->end } };
        return 0;
    }
    return seek(stream, &target, out_place);
}
