/* A small journal without a file: its one segment lies in memory that grows with it, in the same
 * format, so moving it to a file is a copy.
 *
 * Moving: an I/O thread makes the directory, meta and the first segment with room for all that may
 * be in memory; frames are appended meanwhile. When that is there, what has been appended is
 * copied, and from then on the journal is as any other. A move that fails has changed nothing; what
 * was made of the directory has no frames and is used by the next attempt. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/clock.h"
#include "modules/base/os.h"

enum { MEMORY_BYTES_MIN = 512, MOVE_ROOM_BYTES = 2 * JOURNAL_MEMORY_BYTES_MAX };

int journal_memory_open(struct journal *journal, const struct journal_settings *settings,
                        uint64_t number)
{
    struct journal_settings checked = *settings;
    struct journal_segment *segment;
    int rc;

    rc = journal_settings_check(&checked);
    if (rc == 0) rc = journal_settings_keep(&checked);
    if (rc < 0) return rc;
    journal->meta.settings = checked;
    segment = calloc(1, sizeof(*segment));
    if (!segment) return -ENOMEM;
    *segment = (struct journal_segment){ .journal = number,
                                         .number = journal->first_segment,
                                         .seed = journal_seed(number, journal->first_segment),
                                         .capacity = JOURNAL_MEMORY_BYTES_MAX,
                                         .fd = -1 };
    journal->meta.journal = number;
    journal->is_in_memory = true;
    journal->active = segment;
    journal->offset = JOURNAL_SEGMENT_HEADER_BYTES;
    journal->written = journal->published = journal->synced = journal->noted =
        journal_here(journal);
    return 0;
}

void journal_memory_free(struct journal *journal)
{
    free(journal->active->map);
    free(journal->active);
    journal->active = NULL;
}

int journal_memory_grow(struct journal *journal, uint64_t end)
{
    struct journal_segment *segment = journal->active;
    uint64_t bytes = segment->size_bytes > 0 ? segment->size_bytes : MEMORY_BYTES_MIN;
    uint8_t *map;

    if (end > JOURNAL_MEMORY_BYTES_MAX) {
        journal_move_to_file(journal);
        return journal_room_answer(journal);
    }
    while (bytes < end)
        bytes *= 2;
    map = realloc(segment->map, bytes);
    if (!map) return -ENOMEM;
    memset(map + segment->size_bytes, 0, bytes - segment->size_bytes);
    segment->map = map;
    segment->size_bytes = bytes;
    atomic_store_explicit(&segment->room_end, bytes, memory_order_relaxed);
    journal_room_plan(journal);
    return 0;
}

/* ---- moving -----------------------------------------------------------------------------------
 */

static int make_segment(struct move_job *move, struct os *os)
{
    struct journal_segment_header header = { .journal = move->number,
                                             .number = move->first_segment,
                                             .created_ms = (uint64_t)clock_realtime_ms(),
                                             .capacity = (uint32_t)move->settings.roll_bytes };
    uint64_t room = MOVE_ROOM_BYTES < header.capacity ? MOVE_ROOM_BYTES : header.capacity;
    int rc = journal_segment_create(os, move->path, &header, room, move->kind, &move->segment);

    if (rc != -EOPNOTSUPP) return rc;
    move->kind = JOURNAL_ROOM_NONE;
    return journal_segment_create(os, move->path, &header, room, move->kind, &move->segment);
}

static void run_move(struct io_job *job, struct os *os)
{
    struct move_job *move = (struct move_job *)job;
    bool is_created;

    job->rc =
        journal_meta_open_writer(os, move->path, &move->settings, move->number,
                                 (uint64_t)clock_realtime_ms(), false, &move->meta, &is_created);
    if (job->rc < 0) return;
    /* Another journal has come to be there meanwhile. An attempt that failed left our number. */
    if (move->meta.journal != move->number) job->rc = -EEXIST;
    if (job->rc == 0) job->rc = make_segment(move, os);
    if (job->rc < 0) journal_meta_close(os, &move->meta);
    move->boot = journal_boot(os);
}

/* The frames that are in memory, to where they belong. */
static int copy_frames(struct journal *journal, struct journal_segment *from)
{
    struct move_job *move = &journal->jobs->move;
    uint64_t begin = JOURNAL_SEGMENT_HEADER_BYTES, end = journal->offset;
    int rc = 0;

    journal->active = move->segment;
    journal->is_in_memory = false;
    if (move->kind == JOURNAL_ROOM_TOUCHED) {
        memcpy(move->segment->map + begin, from->map + begin, end - begin);
    } else {
        journal->way = JOURNAL_BUFFERED;
        journal->offset = begin; /* where the buffer begins */
        if (end > begin) rc = journal_buffer_put(journal, from->map + begin, end - begin);
        journal->offset = end;
    }
    if (rc == 0) return 0;
    journal->active = from;
    journal->is_in_memory = true;
    return rc;
}

static int take_move(struct journal *journal)
{
    struct move_job *move = &journal->jobs->move;
    const struct journal_survey first = { .first = move->first_segment,
                                          .packed_end = move->first_segment,
                                          .cool_end = move->first_segment,
                                          .cold_end = move->first_segment };
    struct journal_segment *from = journal->active;
    int rc = copy_frames(journal, from);

    if (rc < 0) {
        journal_segment_close(journal->os, move->segment);
        journal_meta_close(journal->os, &move->meta);
        return rc;
    }
    assert(journal->active == move->segment && from != move->segment);
    free(from->map);
    free(from);
    journal_settings_finish(&journal->meta.settings); /* it has no more in memory */
    journal->meta = move->meta;
    journal->room_kind = move->kind;
    if (journal->way == JOURNAL_BUFFERED) {
        /* Published were frames in memory; to readers of the file they are when they are written.
         */
        journal->published = journal->synced;
        journal->write_target = journal_here(journal);
    }
    journal->jobs->tend.codec = journal->meta.settings.codec;
    journal_tender_init(&journal->jobs->tend.tender, journal->os, &journal->meta, &first);
    journal_tell_readers(journal, move->boot);
    journal_set_add(journal);
    journal_room_note(journal->active);
    journal_room_plan(journal);
    return 0;
}

static void move_done(struct io_job *job)
{
    struct journal *journal = ((struct move_job *)job)->journal;

    journal->jobs->move.is_running = false;
    if (job->rc == 0) job->rc = take_move(journal);
    journal->room_error = job->rc;
    if (job->rc == 0) {
        journal_step(journal);
    } else {
        journal->sync_target = journal->synced; /* asked for again by who needs it */
    }
    journal_tell_progress(journal);
}

int journal_need_jobs(struct journal *journal)
{
    if (!journal->jobs) journal->jobs = calloc(1, sizeof(*journal->jobs));
    return journal->jobs ? 0 : -ENOMEM;
}

void journal_move_to_file(struct journal *journal)
{
    if (!journal->is_in_memory) return;
    if (journal_need_jobs(journal) < 0) {
        journal->room_error = -ENOMEM;
        return;
    }
    if (journal->jobs->move.is_running) return;
    journal->jobs->move = (struct move_job){
        .journal = journal,
        .is_running = true,
        .path = journal->path,
        .number = journal->meta.journal,
        .first_segment = journal->first_segment,
        .settings = journal->meta.settings,
        .kind = journal->way == JOURNAL_MAPPED ? JOURNAL_ROOM_TOUCHED : JOURNAL_ROOM_RESERVED,
        .meta = { .fd = -1 },
    };
    journal->jobs->move.job.run = run_move;
    journal->jobs->move.job.done = move_done;
    io_submit(journal->io, &journal->jobs->move.job);
}

bool journal_is_in_memory(const struct journal *journal)
{
    return journal->is_in_memory;
}
