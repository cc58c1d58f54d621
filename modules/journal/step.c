/* What was appended goes to the device in steps, one at a time, each for one segment:
 *
 *   sync    of the oldest segment that is not on the device: its buffers are written, then what is
 *           new in it is synced (mapped: exactly those pages), then its index; one that has ended
 *           is cut to its length and closed
 *   write   of the oldest buffers, when nobody has asked for a sync
 *   settle  of what lies some way behind the writer in the active segment, mapped, when nobody has
 *           asked for a sync: nothing is stored there any more, so it is taken out of the mapping's
 *           tables, all at once, and begins to go to the device. A sync then finds little left
 *           to do, and the kernel, when it is short of memory, pages that are clean already;
 *           else it would have all written at once, what is ready ahead of the writer too,
 *           and the writer would fault there
 *
 * A sync that is asked for while one runs waits and covers all that was appended meanwhile: so one
 * sync serves everybody who queued behind it.
 *
 * Failure. A write for which there is no room leaves its buffers at the front of the queue and is
 * tried again by the next call. After any other failure (journal_error) nobody knows what the
 * device holds behind `synced`, and asking again would be answered with a lie. It is final, unless
 * the owner has all that written once more (journal_renew: renew.c), which begins when no step is
 * under way. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"

static struct journal_segment *oldest_segment(const struct journal *journal)
{
    return journal->retired_head ? journal->retired_head->segment : journal->active;
}

/* ---- on an I/O thread -------------------------------------------------------------------------
 */

static int write_buffers(struct step_job *step, struct os *os)
{
    int rc = 0;

    for (struct journal_buffer *b = step->buffers; rc == 0 && b; b = b->next)
        rc = os_write_all(os, step->segment->fd, b->bytes, b->size, b->offset);
    return rc;
}

static void write_index(struct step_job *step, struct os *os)
{
    const struct journal_segment *segment = step->segment;

    step->index_rc = 0;
    if (step->index.count == step->index_from) return;
    step->index_rc = journal_index_write(os, step->path, segment->number, segment->seed,
                                         &step->index, step->index_from);
}

static int sync_frames(struct step_job *step, struct os *os)
{
    return step->is_mapped ? journal_segment_sync(os, step->segment, step->from, step->to)
                           : os->fdatasync(os, step->segment->fd);
}

static int sync_names(const struct step_job *step, struct os *os)
{
    return step->meta_fd < 0 ? 0 : journal_meta_sync(os, step->path, step->meta_fd);
}

/* All of this is for speed only, and nothing is lost with what fails. */
static void settle(const struct step_job *step, struct os *os)
{
    if (step->is_retiring) journal_segment_unpin(os, step->segment);
    journal_segment_settle(os, step->segment, step->settle_from, step->settle_to);
    if (step->is_sync || step->settle_from == step->settle_to) return;
    (void)os->advise(os, step->segment->fd, step->settle_from, step->settle_to - step->settle_from,
                     OS_ADVICE_WRITE);
}

/* What was settled before this step has had time to reach the device; behind a sync all has. */
static void drop_written(const struct step_job *step, struct os *os)
{
    uint64_t end = step->is_sync ? step->settle_to : step->settle_from;

    if (step->drops_written && end > 0)
        (void)os->advise(os, step->segment->fd, 0, end, OS_ADVICE_DROP);
}

static void end_sync(struct step_job *step, struct os *os)
{
    if (step->is_mapped && !step->is_retiring)
        journal_segment_touch_again(os, step->segment, step->to);
    write_index(step, os);
    /* All that counts is on the device: a cut that fails only leaves zeros behind the end. */
    if (step->is_retiring) (void)journal_segment_cut(os, step->segment, step->to);
    drop_written(step, os);
    if (step->is_retiring) journal_segment_let_go(os, step->segment); /* here, nobody waits */
}

static void run_step(struct io_job *job, struct os *os)
{
    struct step_job *step = (struct step_job *)job;

    job->rc = write_buffers(step, os);
    step->is_written = job->rc == 0;
    if (job->rc < 0) return;
    if (step->is_mapped) settle(step, os);
    if (!step->is_sync) {
        drop_written(step, os);
        return;
    }
    job->rc = sync_frames(step, os);
    if (job->rc == 0) job->rc = sync_names(step, os);
    if (job->rc == 0) end_sync(step, os);
}

/* ---- on the owner's thread --------------------------------------------------------------------
 */

void journal_tell_progress(struct journal *journal)
{
    journal_rest_step(journal);
    if (journal->on_progress) journal->on_progress(journal->context);
}

void journal_publish_position(struct journal *journal, uint64_t position)
{
    if (position <= journal->published) return;
    journal->published = position;
    if (journal->is_in_memory) return;
    journal_live_publish(journal->meta.live, journal->meta.waiters, position);
}

/* Entries that are new since the last step, for a job that may not look at the journal's. */
static void mirror_index(struct step_job *step, const struct journal_index *index)
{
    step->index_from = step->index.count;
    for (size_t i = step->index.count; i < index->count; i++) {
        const struct journal_index_entry *entry = &index->entries[i];
        journal_index_add(&step->index, entry->offset, entry->time_ms, entry->seq);
    }
}

/* Takes the buffers of the oldest segment from the queue; they all belong to it or come later. */
static void take_buffers(struct journal *journal, struct journal_segment *segment)
{
    struct journal_buffer *first = journal->buffer_head, *last = NULL;

    for (struct journal_buffer *b = first; b && b->segment == segment; b = b->next)
        last = b;
    journal->jobs->step.buffers = last ? first : NULL;
    if (!last) return;
    journal->buffer_head = last->next;
    if (!last->next) journal->buffer_last = NULL;
    last->next = NULL;
}

static void free_buffers(struct journal *journal)
{
    while (journal->jobs->step.buffers) {
        struct journal_buffer *buffer = journal->jobs->step.buffers;
        journal->jobs->step.buffers = buffer->next;
        journal->buffered_bytes -= buffer->size;
        if (!journal->buffer_spare && buffer->capacity == BUFFER_BYTES) {
            journal->buffer_spare = buffer;
        } else {
            free(buffer);
        }
    }
}

static void put_buffers_back(struct journal *journal)
{
    struct journal_buffer *last = journal->jobs->step.buffers;

    if (!last) return;
    while (last->next)
        last = last->next;
    last->next = journal->buffer_head;
    if (!journal->buffer_head) journal->buffer_last = last;
    journal->buffer_head = journal->jobs->step.buffers;
    journal->jobs->step.buffers = NULL;
}

static void close_retired(struct journal *journal)
{
    struct journal_retired *retired = journal->retired_head;

    journal->retired_head = retired->next;
    if (!retired->next) journal->retired_tail = &journal->retired_head;
    journal_segment_close(journal->os, retired->segment);
    journal_index_finish(&retired->index);
    free(retired);
    /* The mirror was of that segment's. */
    journal_index_clear(&journal->jobs->step.index);
}

static void note_sync(struct journal *journal)
{
    uint64_t bytes = journal->append_bytes - journal->sync_seen_bytes;

    journal->sync_bytes = journal->sync_count == 0 ? bytes : (3 * journal->sync_bytes + bytes) / 4;
    journal->sync_seen_bytes = journal->append_bytes;
    journal->sync_count++;
}

static void take_result(struct journal *journal)
{
    const struct step_job *step = &journal->jobs->step;

    journal->write_error = 0;
    if (step->reached > journal->written) journal->written = step->reached;
    if (journal->publish == JOURNAL_PUBLISH_WRITTEN && journal->way == JOURNAL_BUFFERED) {
        journal_publish_position(journal, journal->written);
    }
    if (!step->is_sync) return;
    note_sync(journal);
    journal->has_names = true;
    journal->synced = step->reached;
    journal_live_note_synced(journal->meta.live, journal->meta.journal, journal->synced);
    journal_publish_position(journal, journal->synced);
    if (step->index_rc < 0) journal->index_error_count++;
    if (step->is_retiring) {
        close_retired(journal);
        journal_tend_step(journal);
    }
}

static void take_failure(struct journal *journal)
{
    const struct step_job *step = &journal->jobs->step;
    bool is_full = !step->is_written && (step->job.rc == -ENOSPC || step->job.rc == -EDQUOT);

    put_buffers_back(journal);
    if (is_full) {
        journal->room_error = journal->write_error = step->job.rc;
        journal->write_target = journal->written;
        journal->sync_target = journal->synced;
    } else {
        journal->error = step->job.rc;
    }
}

static void step_done(struct io_job *job)
{
    struct step_job *step = (struct step_job *)job;
    struct journal *journal = step->journal;

    step->is_running = false;
    if (job->rc < 0) {
        take_failure(journal);
    } else {
        free_buffers(journal);
        take_result(journal);
        journal_step(journal);
    }
    journal_renew_step(journal);
    journal_tell_progress(journal);
}

static void submit(struct journal *journal)
{
    struct step_job *step = &journal->jobs->step;

    step->journal = journal;
    step->path = journal->path;
    step->is_mapped = journal->way == JOURNAL_MAPPED;
    step->is_running = true;
    step->job.run = run_step;
    step->job.done = step_done;
    io_submit(journal->io, &step->job);
}

/* How far the active segment may be settled. */
static uint64_t settled_end(const struct journal *journal)
{
    uint64_t offset = journal->offset;

    if (journal->pins_room && journal->unpinned_end < offset) offset = journal->unpinned_end;
    return journal_segment_settled_end(offset);
}

/* What of its segment is settled with it. */
static void take_settled(struct journal *journal, uint64_t to)
{
    struct step_job *step = &journal->jobs->step;

    step->drops_written = journal->drops_written && journal->way == JOURNAL_MAPPED;
    step->settle_from = step->segment->settled_end;
    step->settle_to = to > step->settle_from ? to : step->settle_from;
    step->segment->settled_end = step->settle_to;
}

static void start_sync(struct journal *journal)
{
    struct journal_retired *retired = journal->retired_head;
    struct step_job *step = &journal->jobs->step;

    step->segment = oldest_segment(journal);
    /* Making room changes what cutting changes. */
    if (retired && journal->jobs->room.is_running && journal->jobs->room.segment == step->segment)
        return;
    take_buffers(journal, step->segment);
    step->is_sync = true;
    step->meta_fd = journal->has_names ? -1 : journal->meta.fd;
    step->is_retiring = retired != NULL;
    step->from = journal_segment_of(journal->synced) == step->segment->number
                     ? journal_offset_of(journal->synced)
                     : JOURNAL_SEGMENT_HEADER_BYTES;
    step->to = retired ? retired->end : journal->offset;
    step->reached =
        retired ? journal_segment_start(step->segment->number + 1) : journal_here(journal);
    mirror_index(step, retired ? &retired->index : &journal->index);
    take_settled(journal, retired ? step->to : settled_end(journal));
    submit(journal);
}

static void start_write(struct journal *journal)
{
    struct step_job *step = &journal->jobs->step;
    const struct journal_buffer *last;

    step->segment = journal->buffer_head->segment;
    take_buffers(journal, step->segment);
    step->is_sync = false;
    step->is_retiring = false;
    for (last = step->buffers; last->next;)
        last = last->next;
    step->reached = journal_position(step->segment->number, last->offset + last->size);
    take_settled(journal, 0);
    submit(journal);
}

static bool may_settle(const struct journal *journal)
{
    return journal->way == JOURNAL_MAPPED && !journal->is_resting &&
           settled_end(journal) >= journal->active->settled_end + SETTLE_BYTES;
}

static void start_settling(struct journal *journal)
{
    struct step_job *step = &journal->jobs->step;

    step->segment = journal->active;
    step->buffers = NULL;
    step->is_sync = false;
    step->is_retiring = false;
    step->reached = 0;
    take_settled(journal, settled_end(journal));
    submit(journal);
}

void journal_step(struct journal *journal)
{
    if (journal->error) return;
    if (journal->is_in_memory) {
        if (journal->sync_target > journal->synced) journal_move_to_file(journal);
        return;
    }
    if (journal->jobs->step.is_running) return;
    if (journal->sync_target > journal->synced) {
        start_sync(journal);
    } else if (journal->write_target > journal->written && journal->buffer_head) {
        start_write(journal);
    } else if (may_settle(journal)) {
        start_settling(journal);
    }
}

void journal_publish(struct journal *journal)
{
    if (journal->error || journal->publish == JOURNAL_PUBLISH_SYNCED) return;
    if (journal->way == JOURNAL_MAPPED || journal->is_in_memory) {
        journal_publish_position(journal, journal_here(journal));
        return;
    }
    journal->write_target = journal_here(journal);
    journal_step(journal);
}

void journal_sync(struct journal *journal)
{
    if (journal->error || journal_here(journal) == journal->synced) return;
    journal_append_note(journal);
    journal->sync_target = journal_here(journal);
    journal_step(journal);
}
