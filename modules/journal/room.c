/* Room ahead of the appended position, made by one job at a time: first in the active segment up to
 * its capacity, then in a next segment that is made whole (header, room, its name on the device),
 * so that rolling is an assignment.
 *
 * A job that fails leaves its error for the next append, which tells it once and asks again. But on
 * a disk that has no room for what would lie ahead, or for all of it, nothing is told: until there
 * is some again only what is needed is asked for. Of what the owner has left (room_left) an eighth
 * is taken ahead at most, for others may need it before this one does. What he says no to
 * (may_grow) is not begun: with less and less ahead, and at last nothing. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/clock.h"

enum {
    LITTLE_SYNC_BYTES = 32 << 10,
    LEFT_PART = 8, /* room ahead is that part of what is left, at most */
    RESERVE_BYTES = 4 * JOURNAL_AHEAD_BYTES_MAX,
};

static uint64_t page_ceiling(uint64_t offset)
{
    return (offset + JOURNAL_PAGE_BYTES - 1) & ~(uint64_t)(JOURNAL_PAGE_BYTES - 1);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As much may lie ahead, by what the owner has left. */
static uint64_t allowed_bytes(const struct journal *journal)
{
    return journal->room_left ? journal->room_left(journal->context) / LEFT_PART : UINT64_MAX;
}

/* Grows with the segment: a small journal does not reserve megabytes. */
static uint64_t ahead_bytes(const struct journal *journal)
{
    uint64_t ahead = least(journal->offset, allowed_bytes(journal));

    if (ahead < AHEAD_BYTES_MIN) return AHEAD_BYTES_MIN;
    return least(ahead, JOURNAL_AHEAD_BYTES_MAX);
}

/* A sync of much holds reserving up (the file system's own journal), but not touching. So a journal
 * that is large already reserves some windows at once, beyond what is made ready. */
static uint64_t reserve_bytes(const struct journal *journal)
{
    bool is_large = ahead_bytes(journal) == JOURNAL_AHEAD_BYTES_MAX;

    return is_large && allowed_bytes(journal) >= RESERVE_BYTES ? RESERVE_BYTES : 0;
}

/* Where little is synced at a time, half of a sync would be the file system's journal telling that
 * reserved blocks have been written: they are written before. Where much is, that would be the
 * larger cost, for every byte goes to the device twice. */
static enum journal_room kind_of_room(const struct journal *journal)
{
    bool is_little = journal->sync_count > 0 && journal->sync_bytes < LITTLE_SYNC_BYTES;

    return journal->room_kind == JOURNAL_ROOM_RESERVED && is_little ? JOURNAL_ROOM_ZEROED
                                                                    : journal->room_kind;
}

/* What is written behind the room where none can be reserved is not known here. */
void journal_room_note(struct journal_segment *segment)
{
    uint64_t room_end = atomic_load_explicit(&segment->room_end, memory_order_relaxed);

    segment->file_bytes = room_end > segment->size_bytes ? room_end : segment->size_bytes;
}

uint64_t journal_growing_bytes(const struct journal *journal)
{
    const struct room_job *room;

    if (journal->is_in_memory) return 0;
    room = &journal->jobs->room;
    return journal->active->file_bytes + (journal->next ? journal->next->file_bytes : 0) +
           (room->is_running && !room->segment ? room->end : 0);
}

uint64_t journal_spare_bytes(const struct journal *journal)
{
    uint64_t growing = journal_growing_bytes(journal);

    return growing > journal->offset ? growing - journal->offset : 0;
}

/* So much of it is made ready. Zeros go to the device with somebody's sync: few at a time. */
static uint64_t ready_bytes(const struct journal *journal)
{
    uint64_t ahead = ahead_bytes(journal);

    if (kind_of_room(journal) != JOURNAL_ROOM_ZEROED) return ahead;
    return ahead < JOURNAL_TOUCH_BYTES ? ahead : JOURNAL_TOUCH_BYTES;
}

/* The next segment is made some windows before this one is full, for it takes syncs. */
static uint64_t next_is_due_at(const struct journal *journal)
{
    uint64_t capacity = journal->active->capacity, before = 4 * ahead_bytes(journal);

    return capacity - (before < capacity / 2 ? before : capacity / 2);
}

static void run_room(struct io_job *job, struct os *os)
{
    struct room_job *room = (struct room_job *)job;

    journal_segment_close(os, room->unwanted);
    room->unwanted = NULL;
    if (room->segment) {
        /* Not for the last blocks of a disk: what is needed is asked for below, and told of. */
        if (room->kind != JOURNAL_ROOM_NONE && room->segment->size_bytes < room->end) {
            (void)journal_segment_reserve(os, room->segment, room->reserve_end);
        }
        job->rc = journal_segment_make_room(os, room->segment, room->end, room->kind);
    } else {
        job->rc = journal_segment_create(os, room->path, &room->header, room->end, room->kind,
                                         &room->made);
    }
    if (job->rc == 0 && room->pins)
        journal_segment_pin_room(os, room->segment ? room->segment : room->made, room->pin_from);
}

static void take_answer(struct journal *journal, const struct room_job *room)
{
    bool is_full = room->job.rc == -ENOSPC || room->job.rc == -EDQUOT;

    journal->is_short = is_full;
    journal->room_error = is_full && room->is_ample ? 0 : room->job.rc;
}

static void room_done(struct io_job *job)
{
    struct room_job *room = (struct room_job *)job;
    struct journal *journal = room->journal;

    room->is_running = false;
    take_answer(journal, room);
    if (job->rc == 0 && room->segment && room->segment == journal->active)
        journal->unpinned_end = room->pin_from;
    if (room->segment) journal_room_note(room->segment);
    if (job->rc == 0 && room->header.number > 0) {
        assert(!journal->next);
        journal->next = room->made;
        journal_room_note(journal->next);
    }
    room->segment = NULL;
    room->made = NULL;
    if (job->rc == 0) journal_room_plan(journal);
    journal_step(journal); /* retiring waits for a job on its segment */
    journal_tell_progress(journal);
}

static void submit(struct journal *journal)
{
    journal->jobs->room.journal = journal;
    journal->jobs->room.path = journal->path;
    journal->jobs->room.kind = kind_of_room(journal);
    journal->jobs->room.pins = journal->pins_room && journal->way == JOURNAL_MAPPED;
    journal->jobs->room.pin_from =
        journal->jobs->room.segment == journal->active ? journal->offset : 0;
    journal->jobs->room.is_running = true;
    journal->jobs->room.job.run = run_room;
    journal->jobs->room.job.done = room_done;
    io_submit(journal->io, &journal->jobs->room.job);
}

/* 0: a file that takes `from` bytes may take `to`. */
static int ask_to_grow(const struct journal *journal, uint64_t from, uint64_t to)
{
    return journal->may_grow && to > from ? journal->may_grow(journal->context, to - from) : 0;
}

static int ask(struct journal *journal, struct journal_segment *segment, uint64_t end,
               bool is_ample)
{
    struct room_job *room = &journal->jobs->room;
    uint64_t there = segment->file_bytes, reserve_end;
    int rc;

    if (room->is_running) return 0;
    end = least(page_ceiling(end), segment->capacity);
    reserve_end = least(end + reserve_bytes(journal), segment->capacity);
    rc = ask_to_grow(journal, there, reserve_end);
    if (rc < 0) {
        reserve_end = end;
        rc = ask_to_grow(journal, there, reserve_end);
    }
    if (rc < 0) return rc;
    if (reserve_end > there) segment->file_bytes = reserve_end;
    room->segment = segment;
    room->is_ample = is_ample;
    room->end = end;
    room->reserve_end = reserve_end;
    room->header = (struct journal_segment_header){ 0 };
    submit(journal);
    return 0;
}

int journal_room_ask(struct journal *journal, struct journal_segment *segment, uint64_t end)
{
    return ask(journal, segment, end, false);
}

/* In the next segment, behind what is needed. */
static uint64_t next_ahead_bytes(const struct journal *journal)
{
    if (journal->is_short) return 0;
    return journal->is_ending ? AHEAD_BYTES_MIN : ready_bytes(journal);
}

int journal_room_ask_segment(struct journal *journal, uint64_t frame_bytes)
{
    struct room_job *room = &journal->jobs->room;
    uint64_t need = JOURNAL_SEGMENT_HEADER_BYTES + frame_bytes + ROOM_TAIL_BYTES;
    uint64_t capacity = journal->meta.settings.roll_bytes;
    uint64_t there = journal->next ? journal->next->file_bytes : 0, end;
    int rc;

    if (room->is_running) return 0;
    if (need > capacity)
        capacity = page_ceiling(need); /* one frame, and larger than a segment is */
    end = least(page_ceiling(need + next_ahead_bytes(journal)), capacity);
    /* With the one that ends more can go than this takes. */
    rc = journal->is_ending ? 0 : ask_to_grow(journal, there, end);
    if (rc < 0) {
        end = page_ceiling(need);
        rc = ask_to_grow(journal, there, end);
    }
    if (rc < 0) return rc;
    room->is_ample = end > page_ceiling(need);
    room->unwanted = journal->next; /* too small: its file is made anew */
    journal->next = NULL;
    room->segment = NULL;
    room->end = end;
    room->header = (struct journal_segment_header){ .journal = journal->meta.journal,
                                                    .number = journal->active->number + 1,
                                                    .created_ms = (uint64_t)clock_realtime_ms(),
                                                    .capacity = (uint32_t)capacity,
                                                    .synced = journal->synced };
    submit(journal);
    return 0;
}

void journal_room_plan(struct journal *journal)
{
    struct journal_segment *active = journal->active;
    uint64_t ahead = ready_bytes(journal), end = journal->offset + ROOM_TAIL_BYTES + ahead;

    journal->room_end = atomic_load_explicit(&active->room_end, memory_order_acquire);
    if (journal->is_in_memory) {
        if (journal->offset > JOURNAL_MEMORY_BYTES_MAX / 4 * 3) journal_move_to_file(journal);
        journal->ask_at = journal->room_end;
        return;
    }
    if (journal->jobs->room.is_running || journal->error || journal->is_short) {
        journal->ask_at = journal->room_end;
        return;
    }
    /* Half of what lies ahead may be used up before more is asked for. */
    if (journal->room_end < active->capacity && journal->room_end < end - ahead / 2) {
        (void)ask(journal, active, end, true); /* what is needed is asked for then */
    } else if (!journal->next &&
               (journal->is_ending || journal->offset > next_is_due_at(journal))) {
        (void)journal_room_ask_segment(journal, 0);
    }
    journal->ask_at = UINT64_MAX;
    if (journal->room_end < active->capacity) {
        journal->ask_at = journal->room_end > ahead / 2 ? journal->room_end - ahead / 2 : 0;
    }
    if (!journal->next && next_is_due_at(journal) < journal->ask_at) {
        journal->ask_at = next_is_due_at(journal);
    }
}
