/* Appending with several writers. A frame's first two words are one atomic word of 64 bits:
 *
 *     0  ──claim──▶  CLAIMED | size, slot  ──commit──▶  DATA | size, crc
 *                                          └──seal────▶  SEALED | size, crc
 *     0  ──roll───▶  END, crc
 *
 * Each arrow is one compare-and-swap, so of two who try one wins and the other knows. Once a place
 * is claimed its size is known, so anybody can go past it; where the next place is follows from
 * what is stored, never from who comes first. The tail only saves walking.
 *
 * Whoever commits publishes as far as frames are complete. At a claim of another it stops: that
 * writer publishes when it commits. If it is dead (its slot's lock can be taken) the claim is
 * sealed. A writer that was sealed while it slept goes on filling a frame that nobody reads, and
 * its commit fails; therefore segments are never used again. */
#include "modules/journal/writer_internal.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>

#include "modules/base/clock.h"
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"

enum { WRITER_AHEAD_BYTES = 1 << 20 };

static void at_step(struct journal_writer *writer, enum journal_writer_step step)
{
    if (writer->at_step) writer->at_step(writer->context, step);
}

/* ---- words ------------------------------------------------------------------------------------
 */

static _Atomic uint64_t *word_at(struct journal_writer *writer, uint64_t offset)
{
    return (_Atomic uint64_t *)(void *)(writer->segment->map + offset);
}

static uint64_t make_word(enum journal_state state, uint32_t payload_bytes, uint32_t high)
{
    return htole64((uint64_t)high << 32 | journal_word(state, payload_bytes));
}

static uint32_t low_half(uint64_t word)
{
    return (uint32_t)le64toh(word);
}

static uint32_t high_half(uint64_t word)
{
    return (uint32_t)(le64toh(word) >> 32);
}

static bool exchange(struct journal_writer *writer, uint64_t offset, uint64_t *expected,
                     uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(word_at(writer, offset), expected, desired,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* Where the frame behind the one at position is. -EBADMSG: that word is nobody's. */
static int find_next(struct journal_writer *writer, uint64_t position, uint64_t word,
                     uint64_t *out_next)
{
    uint32_t half = low_half(word);
    uint64_t bytes = journal_frame_bytes(journal_word_payload(half));

    switch (journal_word_state(half)) {
    case JOURNAL_END:
        *out_next = journal_segment_start(journal_segment_of(position) + 1);
        return 0;
    case JOURNAL_CLAIMED:
    case JOURNAL_DATA:
    case JOURNAL_SEALED:
        if (journal_offset_of(position) + bytes > writer->segment->capacity) return -EBADMSG;
        *out_next = position + bytes;
        return 0;
    case JOURNAL_UNWRITTEN:
    case JOURNAL_NOTE:
        break;
    }
    return -EBADMSG;
}

/* ---- segments and room ------------------------------------------------------------------------
 */

int journal_writer_need_segment(struct journal_writer *writer, uint64_t number)
{
    struct journal_segment *segment;
    int rc;

    if (writer->segment && writer->segment->number == number) return 0;
    rc = journal_segment_open(writer->os, writer->path, writer->meta.journal, number, true,
                              &segment);
    if (rc < 0) return rc;
    journal_segment_close(writer->os, writer->segment);
    writer->segment = segment;
    atomic_store_explicit(&segment->room_end, segment->size_bytes - segment->size_bytes % 4096,
                          memory_order_relaxed);
    return 0;
}

/* 1: the file reaches to end. 0: not yet. */
static int has_file(struct journal_writer *writer, uint64_t end)
{
    int rc;

    if (end <= writer->segment->size_bytes) return 1;
    rc = journal_segment_refresh(writer->os, writer->segment);
    return rc < 0 ? rc : end <= writer->segment->size_bytes;
}

static int make_room(struct journal_writer *writer, uint64_t end)
{
    struct journal_segment *segment = writer->segment;
    int rc = journal_meta_lock(writer->os, &writer->meta);

    if (rc < 0) return rc;
    rc = has_file(writer, end); /* somebody else may have made it meanwhile */
    if (rc == 0) {
        end = (end + WRITER_AHEAD_BYTES + 4095) / 4096 * 4096;
        if (end > segment->capacity) end = segment->capacity;
        rc = journal_segment_make_room(writer->os, segment, end, JOURNAL_ROOM_SHARED);
    }
    journal_meta_unlock(writer->os, &writer->meta);
    return rc < 0 ? rc : 0;
}

static int need_room(struct journal_writer *writer, uint64_t end)
{
    int rc = has_file(writer, end);

    if (rc != 0) return rc < 0 ? rc : 0;
    return make_room(writer, end);
}

/* The journal is locked. */
static int make_segment(struct journal_writer *writer, uint64_t number, uint64_t frame_bytes)
{
    uint64_t need = JOURNAL_SEGMENT_HEADER_BYTES + frame_bytes + JOURNAL_FRAME_HEADER_BYTES;
    uint64_t capacity = writer->meta.settings.roll_bytes;
    struct journal_segment_header header = { .journal = writer->meta.journal, .number = number };
    struct journal_segment *made;
    int rc;

    if (need > capacity) capacity = (need + 4095) / 4096 * 4096;
    header.capacity = (uint32_t)capacity;
    header.synced = journal_live_synced(writer->meta.live, writer->meta.journal);
    header.created_ms = (uint64_t)clock_realtime_ms();
    rc =
        journal_segment_create(writer->os, writer->path, &header, need, JOURNAL_ROOM_SHARED, &made);
    if (rc == 0) journal_segment_close(writer->os, made);
    return rc;
}

/* Makes the next segment unless it is there, or the segment has an END at offset: an END comes
 * after the segment that it leads to, which may have been packed meanwhile and must not be made
 * anew. As long as there is none, one that is damaged was never finished by its maker. */
static int make_next(struct journal_writer *writer, uint64_t offset, uint64_t frame_bytes)
{
    uint64_t number = writer->segment->number + 1;
    struct journal_segment *next = NULL;
    int rc = journal_meta_lock(writer->os, &writer->meta);

    if (rc < 0) return rc;
    if (atomic_load_explicit(word_at(writer, offset), memory_order_acquire) == 0) {
        rc = journal_segment_open(writer->os, writer->path, writer->meta.journal, number, true,
                                  &next);
        journal_segment_close(writer->os, next);
        if (rc == -EBADMSG || rc == -ENOENT) rc = make_segment(writer, number, frame_bytes);
    }
    journal_meta_unlock(writer->os, &writer->meta);
    return rc;
}

/* ---- claiming ---------------------------------------------------------------------------------
 */

/* Over the frame that stands at the tail. Whoever does it stores the same. */
static int move_tail(struct journal_writer *writer, uint64_t position, uint64_t word)
{
    uint64_t next;
    int rc = find_next(writer, position, word, &next);

    if (rc < 0) return rc;
    (void)atomic_compare_exchange_strong_explicit(&writer->meta.live->tail, &position, next,
                                                  memory_order_acq_rel, memory_order_relaxed);
    return 0;
}

static uint64_t end_word(const struct journal_writer *writer, uint64_t offset)
{
    struct journal_frame end = { .state = JOURNAL_END };

    return make_word(JOURNAL_END, 0, journal_frame_crc(writer->segment->seed, offset, &end));
}

/* Ends the segment at the tail, which has no place for a frame of so many bytes. */
static int roll(struct journal_writer *writer, uint64_t position, uint64_t frame_bytes)
{
    uint64_t offset = journal_offset_of(position), word = 0;
    int rc = need_room(writer, offset + JOURNAL_FRAME_HEADER_BYTES);

    if (rc < 0) return rc;
    if (atomic_load_explicit(word_at(writer, offset), memory_order_acquire) == 0) {
        at_step(writer, JOURNAL_WRITER_ROLLS);
        rc = make_next(writer, offset, frame_bytes);
        if (rc < 0) return rc;
        at_step(writer, JOURNAL_WRITER_NEXT_MADE);
    }
    if (exchange(writer, offset, &word, end_word(writer, offset))) {
        word = end_word(writer, offset);
        at_step(writer, JOURNAL_WRITER_ENDED);
    }
    return move_tail(writer, position, word);
}

/* Who looked at a place and slept may find that its segment has ended and been packed meanwhile. */
static bool has_moved(_Atomic uint64_t *place, uint64_t seen)
{
    return atomic_load_explicit(place, memory_order_acquire) != seen;
}

/* One try at the tail. 1: the frame is claimed there. 0: the tail has moved, try again. */
static int try_claim(struct journal_writer *writer, uint64_t position, uint32_t payload_bytes)
{
    uint64_t frame_bytes = journal_frame_bytes(payload_bytes), offset = journal_offset_of(position);
    uint64_t claimed = make_word(JOURNAL_CLAIMED, payload_bytes, writer->slot), word = 0;
    uint64_t end = offset + frame_bytes + JOURNAL_FRAME_HEADER_BYTES; /* an END always fits */
    int rc = journal_writer_need_segment(writer, journal_segment_of(position));

    if (rc == -ENOENT) return has_moved(&writer->meta.live->tail, position) ? 0 : -EBADMSG;
    if (rc < 0) return rc;
    if (end > writer->segment->capacity) return roll(writer, position, frame_bytes);
    rc = need_room(writer, end);
    if (rc < 0) return rc;
    if (!exchange(writer, offset, &word, claimed)) return move_tail(writer, position, word);
    at_step(writer, JOURNAL_WRITER_CLAIMED);
    (void)move_tail(writer, position, claimed); /* our own word: it cannot be wrong */
    at_step(writer, JOURNAL_WRITER_TAIL_MOVED);
    return 1;
}

static int claim(struct journal_writer *writer, uint32_t payload_bytes, uint64_t *out_position)
{
    int rc;

    do {
        *out_position = atomic_load_explicit(&writer->meta.live->tail, memory_order_acquire);
        at_step(writer, JOURNAL_WRITER_LOOKED);
        rc = try_claim(writer, *out_position, payload_bytes);
    } while (rc == 0);
    return rc < 0 ? rc : 0;
}

/* ---- filling and committing -------------------------------------------------------------------
 */

static int commit(struct journal_writer *writer, uint64_t offset, struct journal_frame *frame,
                  const struct slice *parts, size_t part_count)
{
    uint8_t *at = writer->segment->map + offset, *payload = at + JOURNAL_FRAME_HEADER_BYTES;
    uint64_t word = make_word(JOURNAL_CLAIMED, frame->payload_bytes, writer->slot);

    store_u64le(at + 8, frame->time_ms);
    store_u64le(at + 16, frame->seq);
    frame->crc32c = journal_frame_crc(writer->segment->seed, offset, frame);
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size == 0) continue;
        memcpy(payload, parts[i].bytes, parts[i].size);
        frame->crc32c = crc32c(frame->crc32c, parts[i].bytes, parts[i].size);
        payload += parts[i].size;
    }
    at_step(writer, JOURNAL_WRITER_FILLED);
    if (!exchange(writer, offset, &word,
                  make_word(JOURNAL_DATA, frame->payload_bytes, frame->crc32c))) {
        return -ESTALE;
    }
    at_step(writer, JOURNAL_WRITER_COMMITTED);
    return 0;
}

/* ---- publishing and sealing -------------------------------------------------------------------
 */

enum patience { BELIEVES, LOOKS, SEALS };

static void seal(struct journal_writer *writer, uint64_t offset, uint64_t word)
{
    struct journal_frame frame = { .state = JOURNAL_SEALED,
                                   .payload_bytes = journal_word_payload(low_half(word)) };
    uint32_t crc = journal_frame_crc(writer->segment->seed, offset, &frame);

    /* Lost: its writer has committed, which is as well. */
    (void)exchange(writer, offset, &word, make_word(JOURNAL_SEALED, frame.payload_bytes, crc));
}

/* At a claim of another. 1: it is one no more. 0: its writer lives. */
static int resolve(struct journal_writer *writer, uint64_t position, uint64_t word,
                   enum patience patience)
{
    uint32_t slot = high_half(word);
    int rc;

    if (slot >= JOURNAL_WRITERS_MAX) return -EBADMSG;
    if (patience == SEALS) {
        seal(writer, journal_offset_of(position), word);
        return 1;
    }
    if (slot == writer->slot) return 0;
    if (patience == BELIEVES && writer->stuck != position) {
        writer->stuck = position;
        return 0;
    }
    rc = journal_meta_take_slot(writer->os, &writer->meta, slot);
    if (rc == -EWOULDBLOCK) return 0;
    if (rc < 0) return rc;
    seal(writer, journal_offset_of(position), word);
    journal_meta_let_slot(writer->os, &writer->meta, slot);
    return 1;
}

/* The word at *position, 0 where nothing is, or an error by rc. *position may have been published
 * for long, and its segment packed: then it becomes what is published now. */
static int word_of(struct journal_writer *writer, uint64_t *position, uint64_t *out_word)
{
    _Atomic uint64_t *published = &writer->meta.live->published;
    int rc;

    *out_word = 0;
    while ((rc = journal_writer_need_segment(writer, journal_segment_of(*position))) == -ENOENT) {
        uint64_t now = atomic_load_explicit(published, memory_order_acquire);
        if (now <= *position) return -EBADMSG;
        *position = now;
    }
    if (rc == 0) rc = has_file(writer, journal_offset_of(*position) + JOURNAL_FRAME_HEADER_BYTES);
    if (rc <= 0) return rc;
    *out_word =
        atomic_load_explicit(word_at(writer, journal_offset_of(*position)), memory_order_acquire);
    return 0;
}

/* Moves published on over all that is complete. *out_sealed counts claims that were resolved. */
static int publish(struct journal_writer *writer, enum patience patience, unsigned *out_sealed)
{
    struct journal_live *live = writer->meta.live;
    uint64_t position = atomic_load_explicit(&live->published, memory_order_acquire), next, word;
    bool has_moved = false;
    int rc;

    *out_sealed = 0;
    while ((rc = word_of(writer, &position, &word)) == 0 && word != 0) {
        if (journal_word_state(low_half(word)) == JOURNAL_CLAIMED) {
            rc = resolve(writer, position, word, patience);
            if (rc <= 0) break;
            ++*out_sealed;
            if (patience == SEALS) patience = BELIEVES; /* one, the one that blocks */
            continue;
        }
        rc = find_next(writer, position, word, &next);
        if (rc < 0) break;
        if (!journal_live_advance(live, &position, next)) continue;
        has_moved = true;
        position = next;
    }
    if (has_moved) journal_live_wake(writer->meta.waiters);
    return rc;
}

int journal_writer_seal_slot(struct journal_writer *writer)
{
    uint64_t position = atomic_load_explicit(&writer->meta.live->published, memory_order_acquire);
    uint64_t word;
    int rc;

    while ((rc = word_of(writer, &position, &word)) == 0 && word != 0) {
        if (journal_word_state(low_half(word)) == JOURNAL_CLAIMED &&
            high_half(word) == writer->slot) {
            seal(writer, journal_offset_of(position), word);
        }
        rc = find_next(writer, position, word, &position);
        if (rc < 0) return rc;
    }
    return rc;
}

/* ---- the public face --------------------------------------------------------------------------
 */

int journal_writer_append(struct journal_writer *writer, uint64_t time_ms, uint64_t seq,
                          const struct slice *parts, size_t part_count, uint64_t *out_position)
{
    struct journal_frame frame = { .state = JOURNAL_DATA, .time_ms = time_ms, .seq = seq };
    uint64_t payload_bytes = 0, position;
    unsigned sealed;
    int rc;

    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size > JOURNAL_PAYLOAD_BYTES_MAX - payload_bytes) return -EMSGSIZE;
        payload_bytes += parts[i].size;
    }
    frame.payload_bytes = (uint32_t)payload_bytes;
    rc = claim(writer, frame.payload_bytes, &position);
    if (rc == 0) rc = commit(writer, journal_offset_of(position), &frame, parts, part_count);
    if (rc < 0) return rc;
    *out_position = position;
    /* The frame is committed: what fails now is publishing, which the next one tries again. */
    (void)publish(writer, BELIEVES, &sealed);
    return 0;
}

int journal_writer_publish(struct journal_writer *writer)
{
    unsigned sealed;

    return publish(writer, LOOKS, &sealed);
}

int journal_writer_seal(struct journal_writer *writer)
{
    unsigned sealed;
    int rc = publish(writer, SEALS, &sealed);

    return rc < 0 ? rc : sealed > 0;
}
