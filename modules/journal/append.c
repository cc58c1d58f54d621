/* A frame goes where the last one ended: behind `offset` in the active segment's mapping, or in the
 * last buffer. Behind it there is always room left for an END, so that rolling cannot fail
 * half-way, and for a note.
 *
 * When there is not room enough: the active segment may still grow (ask for room); or it may not,
 * and then the next segment must be there, be large enough, and have room (ask for each). Only then
 * the END is put away and the next segment becomes the active one. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"

int journal_room_answer(struct journal *journal)
{
    int rc = journal->room_error;

    journal->room_error = 0;
    if (rc < 0) return rc;
    journal->stall_count++;
    return -EAGAIN;
}

static int ask_room(struct journal *journal, struct journal_segment *segment, uint64_t end)
{
    int rc = journal_room_ask(journal, segment, end);

    return rc < 0 ? rc : journal_room_answer(journal);
}

static int ask_segment(struct journal *journal, uint64_t frame_bytes)
{
    int rc = journal_room_ask_segment(journal, frame_bytes);

    return rc < 0 ? rc : journal_room_answer(journal);
}

static uint64_t room_of(const struct journal_segment *segment)
{
    return atomic_load_explicit(&segment->room_end, memory_order_acquire);
}

static bool next_takes(const struct journal *journal, uint64_t frame_bytes)
{
    uint64_t end = JOURNAL_SEGMENT_HEADER_BYTES + frame_bytes + ROOM_TAIL_BYTES;

    return journal->next && room_of(journal->next) >= end;
}

/* 0: the next segment is there and takes so many bytes. */
static int need_next(struct journal *journal, uint64_t frame_bytes)
{
    uint64_t end = JOURNAL_SEGMENT_HEADER_BYTES + frame_bytes + ROOM_TAIL_BYTES;

    if (!journal->next || journal->next->capacity < end) return ask_segment(journal, frame_bytes);
    return room_of(journal->next) < end ? ask_room(journal, journal->next, end) : 0;
}

/* ---- buffers ----------------------------------------------------------------------------------
 */

static bool goes_to_buffer(const struct journal *journal)
{
    return journal->way == JOURNAL_BUFFERED && !journal->is_in_memory;
}

/* 0: the last buffer takes so many bytes more. */
static int need_buffer(struct journal *journal, uint64_t bytes)
{
    struct journal_buffer *last = journal->buffer_last, *buffer = journal->buffer_spare;

    if (last && last->segment == journal->active && last->capacity - last->size >= bytes) return 0;
    if (buffer && buffer->capacity >= bytes) {
        journal->buffer_spare = NULL;
    } else {
        size_t capacity = bytes > BUFFER_BYTES ? bytes : BUFFER_BYTES;
        buffer = malloc(sizeof(*buffer) + capacity);
        if (!buffer) return -ENOMEM;
        buffer->capacity = capacity;
    }
    buffer->next = NULL;
    buffer->segment = journal->active;
    buffer->offset = journal->offset;
    buffer->size = 0;
    if (last) {
        last->next = buffer;
    } else {
        journal->buffer_head = buffer;
    }
    journal->buffer_last = buffer;
    return 0;
}

/* As need_buffer, when frames wait that the disk must take first. */
static int need_buffered(struct journal *journal, uint64_t bytes)
{
    if (journal->buffered_bytes > 0 &&
        journal->buffered_bytes + bytes > JOURNAL_BUFFERED_BYTES_MAX) {
        journal->write_target = journal_here(journal);
        journal_step(journal);
        return journal_room_answer(journal);
    }
    return need_buffer(journal, bytes);
}

int journal_buffer_put(struct journal *journal, const uint8_t *bytes, size_t size)
{
    int rc = need_buffer(journal, size);

    if (rc < 0) return rc;
    memcpy(journal->buffer_last->bytes + journal->buffer_last->size, bytes, size);
    journal->buffer_last->size += size;
    journal->buffered_bytes += size;
    return 0;
}

/* ---- placing ----------------------------------------------------------------------------------
 */

/* Where the next frame of so many bytes goes. What it needs is there. */
static uint8_t *place(struct journal *journal, uint64_t bytes)
{
    struct journal_buffer *last;
    uint8_t *at;

    if (!goes_to_buffer(journal)) return journal->active->map + journal->offset;
    last = journal->buffer_last;
    assert(last->capacity - last->size >= bytes);
    at = last->bytes + last->size;
    memset(at + bytes - JOURNAL_FRAME_ALIGN, 0, JOURNAL_FRAME_ALIGN);
    last->size += bytes;
    journal->buffered_bytes += bytes;
    return at;
}

/* Copies the parts behind one another and takes them into the checksum, from where they come from:
 * what was just written is read back slowly while the write is under way. */
static uint32_t put_parts(uint8_t *payload, const struct slice *parts, size_t part_count,
                          uint32_t crc)
{
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size == 0) continue;
        memcpy(payload, parts[i].bytes, parts[i].size);
        crc = crc32c(crc, parts[i].bytes, parts[i].size);
        payload += parts[i].size;
    }
    return crc;
}

/* A frame's checksum covers its offset in the place of the checksum itself. */
static void put(struct journal *journal, const struct journal_frame *frame,
                const struct slice *parts, size_t part_count)
{
    uint64_t bytes = journal_frame_bytes(frame->payload_bytes);
    uint8_t *at = place(journal, bytes), header[JOURNAL_FRAME_HEADER_BYTES];
    uint32_t word = journal_word(frame->state, frame->payload_bytes), crc;

    store_u64le(header, word | journal->offset << 32);
    store_u64le(header + 8, frame->time_ms);
    store_u64le(header + 16, frame->seq);
    crc = put_parts(at + sizeof(header), parts, part_count,
                    crc32c(journal->active->seed, header, sizeof(header)));
    store_u32le(at + 4, crc);
    store_u64le(at + 8, frame->time_ms);
    store_u64le(at + 16, frame->seq);
    /* Last: whoever finds the word finds the frame behind it. */
    atomic_store_explicit((_Atomic uint32_t *)(void *)at, htole32(word), memory_order_release);
    journal->offset += bytes;
}

/* ---- rolling ----------------------------------------------------------------------------------
 */

static int roll(struct journal *journal)
{
    struct journal_frame end = { .state = JOURNAL_END };
    struct journal_retired *retired = malloc(sizeof(*retired));
    int rc = retired ? 0 : -ENOMEM;

    if (rc == 0 && journal->way == JOURNAL_BUFFERED) {
        rc = need_buffer(journal, JOURNAL_FRAME_HEADER_BYTES);
    }
    if (rc < 0) {
        free(retired);
        return rc;
    }
    put(journal, &end, NULL, 0);
    *retired = (struct journal_retired){ .segment = journal->active,
                                         .end = journal->offset,
                                         .index = journal->index };
    *journal->retired_tail = retired;
    journal->retired_tail = &retired->next;
    journal->index = (struct journal_index){ 0 };
    journal->active = journal->next;
    journal->next = NULL;
    journal->offset = JOURNAL_SEGMENT_HEADER_BYTES;
    journal->unpinned_end = 0;
    journal->has_segment_time = false;
    journal->roll_count++;
    journal->is_ending = false;
    /* What has ended is synced at once, whatever the policy: it stays open until then. */
    journal->sync_target = journal_here(journal);
    journal_room_plan(journal);
    journal_step(journal);
    return 0;
}

static bool period_is_over(const struct journal *journal, uint64_t time_ms)
{
    uint64_t period = journal->meta.settings.roll_ms;

    return period > 0 && journal->has_segment_time &&
           time_ms / period > journal->segment_time_ms / period;
}

/* A period that is over, or its owner, ends the segment as soon as the next one is there; nobody
 * waits for that. */
static int roll_early(struct journal *journal, uint64_t frame_bytes)
{
    uint64_t bytes = frame_bytes > journal->promised ? frame_bytes : journal->promised;

    if (journal->is_in_memory) {
        journal_move_to_file(journal); /* there it can roll */
        return 0;
    }
    if (!journal->next) {
        (void)journal_room_ask_segment(journal, bytes); /* or this one goes on */
        return 0;
    }
    return next_takes(journal, bytes) ? roll(journal) : 0;
}

void journal_end_segment(struct journal *journal)
{
    if (journal->is_in_memory || journal->is_resting || journal->error) return;
    journal->is_ending = true;
    if (!journal->next) (void)journal_room_ask_segment(journal, journal->promised);
}

bool journal_is_ending(const struct journal *journal)
{
    return journal->is_ending;
}

/* 0: a frame of so many bytes can be put away. */
static int need_room(struct journal *journal, uint64_t frame_bytes)
{
    uint64_t end = journal->offset + frame_bytes + ROOM_TAIL_BYTES;
    int rc;

    if (end > journal->ask_at) journal_room_plan(journal);
    if (end <= journal->room_end) return 0;
    if (journal->is_in_memory) return journal_memory_grow(journal, end);
    if (end <= journal->active->capacity) return ask_room(journal, journal->active, end);
    rc = need_next(journal, frame_bytes);
    return rc < 0 ? rc : roll(journal);
}

/* ---- the public face --------------------------------------------------------------------------
 */

static bool id_grows(const struct journal *journal, uint64_t time_ms, uint64_t seq)
{
    if (!journal->has_last_id || journal->ids_may_fall) return true;
    if (time_ms != journal->last_time_ms) return time_ms > journal->last_time_ms;
    return seq > journal->last_seq;
}

static void note_appended(struct journal *journal, const struct journal_frame *frame,
                          uint64_t offset, uint64_t frame_bytes)
{
    if (offset >= journal->index.due) {
        journal_index_add(&journal->index, offset, frame->time_ms, frame->seq);
    }
    if (!journal->has_segment_time) {
        journal->segment_time_ms = frame->time_ms;
        journal->has_segment_time = true;
    }
    journal->last_time_ms = frame->time_ms;
    journal->last_seq = frame->seq;
    journal->has_last_id = true;
    journal->promised -= frame_bytes < journal->promised ? frame_bytes : journal->promised;
    journal->append_count++;
    journal->append_bytes += frame->payload_bytes;
}

int journal_append(struct journal *journal, uint64_t time_ms, uint64_t seq,
                   const struct slice *parts, size_t part_count, uint64_t *out_position)
{
    struct journal_frame frame = { .state = JOURNAL_DATA, .time_ms = time_ms, .seq = seq };
    uint64_t payload_bytes = 0, frame_bytes, offset;
    int rc = journal->error;

    if (rc < 0) return rc;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size > JOURNAL_PAYLOAD_BYTES_MAX - payload_bytes) return -EMSGSIZE;
        payload_bytes += parts[i].size;
    }
    if (!id_grows(journal, time_ms, seq)) return -EINVAL;
    frame_bytes = journal_frame_bytes(payload_bytes);
    journal->is_used = true;
    if (journal->is_resting) return journal_wake(journal, frame_bytes);
    if (journal->is_ending || period_is_over(journal, time_ms))
        (void)roll_early(journal, frame_bytes); /* or with the next append */
    if (rc == 0) rc = need_room(journal, frame_bytes);
    if (rc == 0 && goes_to_buffer(journal)) rc = need_buffered(journal, frame_bytes);
    if (rc < 0) return rc;
    frame.payload_bytes = (uint32_t)payload_bytes;
    offset = journal->offset;
    put(journal, &frame, parts, part_count);
    note_appended(journal, &frame, offset, frame_bytes);
    *out_position = journal_position(journal->active->number, offset);
    return 0;
}

int journal_reserve(struct journal *journal, uint64_t frame_bytes)
{
    uint64_t end = journal->offset + frame_bytes + ROOM_TAIL_BYTES;
    int rc = journal->error;

    if (rc < 0) return rc;
    if (frame_bytes > JOURNAL_SEGMENT_BYTES_MAX / 2) return -EMSGSIZE;
    journal->is_used = true;
    if (journal->is_resting) return journal_wake(journal, frame_bytes);
    if (end > journal->ask_at) journal_room_plan(journal);
    if (journal->is_in_memory && end > journal->room_end) {
        rc = journal_memory_grow(journal, end);
        if (rc < 0) return rc;
    }
    /* Either all of it fits here, or what does not goes to the next segment, perhaps all of it. */
    if (end > journal->room_end && journal->room_end < journal->active->capacity &&
        !(journal->is_ending && next_takes(journal, frame_bytes))) {
        return ask_room(journal, journal->active, end);
    }
    if (end > journal->room_end) {
        rc = need_next(journal, frame_bytes);
        if (rc < 0) return rc;
    }
    if (goes_to_buffer(journal)) {
        rc = need_buffered(journal, frame_bytes);
        if (rc < 0) return rc;
    }
    if (frame_bytes > journal->promised) journal->promised = frame_bytes;
    return 0;
}

void journal_append_note(struct journal *journal)
{
    uint64_t bytes = journal_frame_bytes(JOURNAL_NOTE_BYTES);
    struct journal_frame frame = { .state = JOURNAL_NOTE, .payload_bytes = JOURNAL_NOTE_BYTES };
    uint8_t payload[JOURNAL_NOTE_BYTES];
    struct slice part = slice_of(payload, sizeof(payload));

    if (journal->noted == journal->synced) return;
    if (journal->offset + bytes + journal->promised + ROOM_TAIL_BYTES > journal->room_end) return;
    if (goes_to_buffer(journal) && need_buffer(journal, bytes) < 0) return;
    journal->noted = journal->synced;
    store_u64le(payload, journal->noted);
    put(journal, &frame, &part, 1);
}
